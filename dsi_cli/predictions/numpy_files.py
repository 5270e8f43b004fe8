"""NPY and NPZ files with the arrays of `dsi_cli.predictions.arrays`. Files are never
unpickled.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import first_line, wrong
from dsi_cli.predictions.arrays import (
    ARRAY_NAMES,
    FindTargets,
    describe,
    encode,
    epochs_of_arrays,
    one_per_sample,
    split_off_train,
)
from dsi_cli.predictions.epoch_predictions import (
    EncodedLabels,
    EpochPredictions,
    names_by_role,
)

MAX_BYTES = 8 * 2**30  # the maximum size of all unpacked arrays in an NPZ file


def read_epochs(
    path: Path, axis: str, find_targets: FindTargets
) -> list[EpochPredictions]:
    """Return the epochs of an NPY or NPZ file in the order of its rows.

    Raise `UsageError` if the file cannot be read, and as `epochs_of_arrays` does, which
    also has the parameters.
    """
    return epochs_of_arrays(_load(path), path, axis, find_targets)


def read_targets(path: Path, split: str) -> EncodedLabels:
    """Return the targets ``(samples,)`` in an NPY file, or in the array ``targets`` of
    an NPZ file; those of training images in ``train_targets`` if it has this array.

    Raise `UsageError` if the file cannot be read, or if its array has another name,
    shape or type.
    """
    arrays = _load(path)
    others, of_train = split_off_train(arrays)
    chosen = others
    if split == "train" and "targets" in names_by_role(of_train, ARRAY_NAMES):
        chosen = of_train
    name = names_by_role(chosen, ARRAY_NAMES).get("targets", "")
    targets = one_per_sample(chosen.get(name, np.zeros(0)))
    if targets.ndim != 1 or not targets.size:
        raise wrong(
            path,
            "targets (samples,), in an NPZ file under this name",
            describe(arrays),
            "save them with numpy.save",
            code="targets-array",
        )
    return encode(targets, str(path))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file by name; the array of an NPY file has the name ""."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            # an impossible shape, which is an error below
            warnings.simplefilter("ignore", RuntimeWarning)
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                arrays = {"": loaded}
                if file.read(1):
                    raise ValueError("more than one array in an NPY file")
            else:
                size = sum(member.file_size for member in loaded.zip.infolist())
                if size > MAX_BYTES:
                    raise ValueError(f"more than {MAX_BYTES >> 30} GB when unpacked")
                arrays = {name: loaded[name] for name in loaded.files}
        for array in arrays.values():
            dtype = np.asarray(array).dtype
            if dtype.kind not in "biufUS" or not dtype.itemsize:
                raise TypeError(f"neither numbers nor text but {dtype}")
    except Exception as error:  # noqa: BLE001 (NumPy and zipfile raise many kinds of errors on damaged files)
        reason = first_line(error)
        raise wrong(
            path,
            "arrays that NumPy saved, without pickled objects",
            f"a file that cannot be read ({reason})",
            "write it again with numpy.save or numpy.savez",
            code="numpy-not-readable",
            reason=reason,
        ) from None
    return arrays
