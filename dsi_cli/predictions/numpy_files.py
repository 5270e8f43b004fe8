"""NPY and NPZ files with arrays of predictions, targets or confusion counts. Files are never unpickled.

An array has one row per epoch: predictions are ``(epochs, samples)``, confusion counts ``(epochs, C, C)``. The predictions of one
epoch may be ``(samples,)``. An NPY file holds confusion counts if its array has three axes, or is square in a folder with one
file per epoch. The arrays of an NPZ file have the names ``predictions`` or ``confusions``, ``targets``, ``epochs`` and ``scores``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, first_line
from dsi_cli.predictions.epoch_predictions import EncodedLabels, EpochPredictions, Ints

EXPECTED = (
    "predictions (epochs, samples) or confusions (epochs, C, C), in an NPZ file under these names "
    "(also read: targets, epochs, scores)"
)
MAX_BYTES = 8 * 2**30  # the maximum size of all unpacked arrays in an NPZ file


def read_epochs(path: Path, axis: str, *, is_one_epoch: bool = False) -> list[EpochPredictions]:
    """Return the epochs of an NPY or NPZ file in the order of its rows.

    Raise `UsageError` if the file cannot be read, or if its arrays have other names, shapes or types.

    Parameters
    ----------
    path : the file.
    axis : "rows" or "columns", the axis of a confusion matrix that is the truth.
    is_one_epoch : whether the file has the predictions of one epoch, so a square array is a confusion matrix.
    """
    arrays = _load(path)
    if "" in arrays:
        array = arrays.pop("")
        array = array[None] if is_one_epoch and array.ndim == 2 and len(array) == array.shape[1] > 1 else array
        arrays["confusions" if array.ndim == 3 else "predictions"] = array
    message = f"{path}: expected {EXPECTED}; found {_shapes(arrays)}; save such arrays with numpy.save or numpy.savez, of "
    error = UsageError(f"{message}scores their argmax over the classes", code="predictions-array")
    predictions, confusions = arrays.get("predictions"), arrays.get("confusions")
    if (predictions is None) == (confusions is None):
        raise error
    if confusions is not None:
        if confusions.ndim != 3 or confusions.shape[1] != confusions.shape[2] or not confusions.size:
            raise error
        if axis == "columns":
            confusions = confusions.swapaxes(1, 2)
        expected = "counts of samples instead of rates or normalised rows"
        counts = _whole_numbers(confusions, f"{path}, confusions", expected).astype(np.int64)
        if (counts < 0).any():
            message = f"{path}, confusions: expected counts of samples, found {counts.min()}; correct it"
            raise UsageError(message, code="negative-count")
        contents = [{"counts": matrix} for matrix in counts]
    else:
        assert predictions is not None
        if predictions.ndim not in (1, 2) or not predictions.size:
            raise error
        contents = _predictions(np.atleast_2d(predictions), arrays, error, path)
    epochs = _epochs(arrays.get("epochs"), len(contents), path)
    parts = [f"{path}, row {row}" if epoch is None else f"{path}, epoch {epoch}" for row, epoch in enumerate(epochs)]
    return [EpochPredictions(part, epoch, **fields) for part, epoch, fields in zip(parts, epochs, contents, strict=True)]


def read_targets(path: Path) -> EncodedLabels:
    """Return the targets ``(samples,)`` in an NPY file, or in the array ``targets`` of an NPZ file.

    Raise `UsageError` if the file cannot be read, or if its array has another name, shape or type.
    """
    arrays = _load(path)
    targets = arrays.get("", arrays.get("targets"))
    if targets is None or targets.ndim != 1 or not targets.size:
        message = f"{path}: expected targets (samples,), in an NPZ file under this name; found {_shapes(arrays)}; save "
        raise UsageError(f"{message}them with numpy.save", code="targets-array")
    return _labels(targets, str(path))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file by name; the array of an NPY file has the name ""."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # an impossible shape, which is an error below
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                arrays = {"": loaded}
                if file.read(1):
                    raise ValueError("more than one array in an NPY file")
            else:
                if sum(member.file_size for member in loaded.zip.infolist()) > MAX_BYTES:
                    raise ValueError(f"more than {MAX_BYTES >> 30} GB when unpacked")
                arrays = {name: loaded[name] for name in loaded.files}
        for array in arrays.values():
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufUS" or not array.dtype.itemsize:
                raise TypeError(f"neither numbers nor text but {getattr(array, 'dtype', 'bytes')}")
    except Exception as error:  # noqa: BLE001 (NumPy and zipfile raise many kinds of errors on damaged files)
        reason = first_line(error)
        message = f"{path}: expected arrays that NumPy saved, without pickled objects, found a file that cannot be read "
        message += f"({reason}); write it again with numpy.save or numpy.savez"
        raise UsageError(message, code="numpy-not-readable", reason=reason) from None
    return arrays


def _shapes(arrays: Mapping[str, NDArray[Any]]) -> str:
    return ", ".join(f"{name[:40]!a} {array.shape}" for name, array in [*arrays.items()][:8]) or "no array"


def _predictions(
    predictions: NDArray[Any], arrays: Mapping[str, NDArray[Any]], error: UsageError, path: Path
) -> list[dict[str, Any]]:
    """Return the fields of each epoch; targets of ``(samples,)`` apply to all epochs."""
    labels = _labels(predictions, f"{path}, predictions")
    fields: dict[str, Any] = {"predictions": labels}
    if "targets" in arrays:
        if arrays["targets"].shape not in (predictions.shape, predictions.shape[1:]):
            raise error
        targets = np.broadcast_to(arrays["targets"], predictions.shape)
        fields["targets"] = _labels(targets, f"{path}, targets")
    if "scores" in arrays:
        if arrays["scores"].shape != predictions.shape or arrays["scores"].dtype.kind != "f":
            raise error
        fields["scores"] = arrays["scores"]
    return [{name: values[row] for name, values in fields.items()} for row in range(len(predictions))]


def _labels(values: NDArray[Any], location: str) -> EncodedLabels:
    if values.dtype.kind not in "US":
        return EncodedLabels(_whole_numbers(values, location, "class numbers, such as scores.argmax(axis=-1)"))
    import pyarrow as pa

    try:
        texts = pa.array(values.astype(values.dtype.newbyteorder("=")).ravel()).cast(pa.string()).dictionary_encode()
    except (pa.ArrowException, UnicodeError):
        message = f"{location}: expected class names in UTF-8, found other bytes; save them as UTF-8"
        raise UsageError(message, code="not-utf8") from None
    return EncodedLabels(texts.indices.to_numpy().reshape(values.shape), tuple(texts.dictionary.to_pylist()))


def _epochs(values: NDArray[Any] | None, rows: int, path: Path) -> list[int] | list[None]:
    if values is None:
        return [None] * rows
    epochs: list[int] = _whole_numbers(np.atleast_1d(values), f"{path}, epochs", "whole numbers").tolist()
    if values.size != rows or len({*epochs}) < rows:
        message = f"{path}, epochs: expected {rows} distinct numbers, one per row, found {str(epochs)[:80]}; give the "
        raise UsageError(f"{message}epoch of each row", code="epochs-array", rows=rows)
    return epochs


def _whole_numbers(values: NDArray[Any], location: str, expected: str) -> Ints:
    """Return whole numbers as integers in native byte order; integers keep their type."""
    if values.dtype.kind in "iu":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind != "f":  # whether a prediction is right would be read as the classes 0 and 1
        message = f"{location}: expected {expected}; found values of type {values.dtype}; save such numbers"
        raise UsageError(message, code="not-whole-numbers")
    with np.errstate(invalid="ignore"):
        numbers = values.astype(np.int64)
    if (numbers != values).any():
        message = f"{location}: expected {expected}; found {values[numbers != values][0]:.6g}; save such numbers"
        raise UsageError(message, code="not-whole-numbers")
    return numbers
