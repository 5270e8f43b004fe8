"""NPY and NPZ files with arrays of predictions, scores, targets or confusion counts.
Files are never unpickled.

An array has one row per epoch: predictions are ``(epochs, samples)``, scores ``(epochs,
samples, C)`` and confusion counts ``(epochs, C, C)``. The array of one epoch may lack
the first axis. Scores are probabilities or logits, of which the arg max is the
prediction. The arrays of an NPZ file have the names ``predictions`` or ``confusions``,
``targets``, ``epochs`` and ``scores``, the score of each prediction.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, count, first_line
from dsi_cli.predictions.epoch_predictions import (
    PREDICTION,
    TARGET,
    EncodedLabels,
    EpochPredictions,
    Ints,
    names_by_role,
)

EXPECTED = (
    "predictions (epochs, samples), scores (samples, C) or confusions (epochs, C, C),"
    " in an NPZ file under the names predictions or confusions (also read: targets,"
    " epochs, scores)"
)
MAX_BYTES = 8 * 2**30  # the maximum size of all unpacked arrays in an NPZ file
ARRAY_NAMES = {
    "predictions": (*PREDICTION, "logits", "probabilities", "probs"),
    "targets": TARGET,
    "confusions": ("confusion", "confusion_matrix", "cm"),
    "epochs": ("epoch",),
    "scores": ("score",),
}
"""The names of each array in an NPZ file (`names_by_role`)."""
Arrays = Mapping[str, NDArray[Any]]
FindTargets = Callable[[], EncodedLabels | None]
"""Returns the targets that the user gave or that are in the same folder, or None."""


def read_epochs(
    path: Path, axis: str, find_targets: FindTargets
) -> list[EpochPredictions]:
    """Return the epochs of an NPY or NPZ file in the order of its rows.

    Raise `UsageError` if the file cannot be read, or if its arrays have other names,
    shapes or types.

    Parameters
    ----------
    path : the file.
    axis : "rows" or "columns", the axis of a confusion matrix that is the truth.
    find_targets : a square array is a confusion matrix unless it can be the predictions
        of these targets.
    """
    arrays = _load(path)
    if "" not in arrays:
        arrays |= {
            role: arrays[name]
            for role, name in names_by_role(arrays, ARRAY_NAMES).items()
        }
    return epochs_of_arrays(arrays, path, axis, find_targets)


def epochs_of_arrays(
    arrays: Arrays, path: Path, axis: str, find_targets: FindTargets
) -> list[EpochPredictions]:
    """Return the epochs of arrays by name, where an array without a name is called "";
    for the rest see `read_epochs`.
    """
    error = UsageError(
        f"{path}: expected {EXPECTED}; found {_shapes(arrays)}; save such arrays with"
        " numpy.save or numpy.savez",
        code="predictions-array",
    )
    arrays = dict(arrays)
    unnamed = arrays.pop("", None)
    if unnamed is not None:
        arrays[
            "confusions" if _are_confusions(unnamed, find_targets) else "predictions"
        ] = unnamed
    predictions, confusions = arrays.get("predictions"), arrays.get("confusions")
    if (predictions is None) == (confusions is None):
        raise error
    if confusions is not None:
        confusions = confusions[None] if confusions.ndim == 2 else confusions
        if (
            confusions.ndim != 3
            or confusions.shape[1] != confusions.shape[2]
            or not confusions.size
        ):
            raise error
        contents = [
            {"counts": matrix} for matrix in confusion_counts(confusions, path, axis)
        ]
    else:
        assert predictions is not None
        if not predictions.size:
            raise error
        contents = _predictions(predictions, arrays, error, path, find_targets)
    epochs = _epochs(arrays.get("epochs"), len(contents), path)
    parts = [
        f"{path}, row {row}" if epoch is None else f"{path}, epoch {epoch}"
        for row, epoch in enumerate(epochs)
    ]
    if epochs == [None]:
        parts = [str(path)]
    return [
        EpochPredictions(part, epoch, **fields)
        for part, epoch, fields in zip(parts, epochs, contents, strict=True)
    ]


def confusion_counts(values: NDArray[Any], path: Path, axis: str) -> NDArray[np.int64]:
    """Return confusion counts ``(..., C, C)`` with the truth on the rows; raise
    `UsageError` if they are no counts of samples.
    """
    if axis == "columns":
        values = values.swapaxes(-2, -1)
    expected = (
        "counts of samples (confusion_matrix without normalize), or for scores of as"
        " many samples as classes --targets"
    )
    counts = _whole_numbers(values, f"{path}, confusions", expected).astype(np.int64)
    if (counts < 0).any():
        message = (
            f"{path}, confusions: expected counts of samples, found {counts.min()}"
        )
        raise UsageError(message, hint="correct it", code="negative-count")
    return counts


def _are_confusions(array: NDArray[Any], find_targets: FindTargets) -> bool:
    """Return whether an array without a name is one of confusion matrices.

    A square array may also have the predictions of as many epochs as samples. It is a
    confusion matrix if there are no targets for such predictions, or if the samples of
    each class are as many as in the targets.
    """
    if (
        array.ndim not in (2, 3)
        or array.shape[-1] != array.shape[-2]
        or array.dtype.kind not in "iuf"
        or array.shape[-1] < 2
    ):
        return False
    targets = find_targets()
    if array.ndim == 3 or targets is None or len(targets) != len(array):
        return True
    samples_of_classes = sorted(
        np.unique(targets.codes, return_counts=True)[1].tolist()
    )
    sums = [array.sum(axis=axis) for axis in (0, 1)]
    return any(
        sorted(along[along != 0].tolist()) == samples_of_classes for along in sums
    )


def read_targets(path: Path) -> EncodedLabels:
    """Return the targets ``(samples,)`` in an NPY file, or in the array ``targets`` of
    an NPZ file.

    Raise `UsageError` if the file cannot be read, or if its array has another name,
    shape or type.
    """
    arrays = _load(path)
    targets = arrays.get(names_by_role(arrays, ARRAY_NAMES).get("targets", ""))
    if targets is not None:
        targets = _one_per_sample(targets)
    if targets is None or targets.ndim != 1 or not targets.size:
        message = (
            f"{path}: expected targets (samples,), in an NPZ file under this name;"
            f" found {_shapes(arrays)}; save "
        )
        raise UsageError(f"{message}them with numpy.save", code="targets-array")
    return _labels(targets, str(path))


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
                if (
                    sum(member.file_size for member in loaded.zip.infolist())
                    > MAX_BYTES
                ):
                    raise ValueError(f"more than {MAX_BYTES >> 30} GB when unpacked")
                arrays = {name: loaded[name] for name in loaded.files}
        for array in arrays.values():
            if (
                not isinstance(array, np.ndarray)
                or array.dtype.kind not in "biufUS"
                or not array.dtype.itemsize
            ):
                raise TypeError(
                    f"neither numbers nor text but {getattr(array, 'dtype', 'bytes')}"
                )
    except Exception as error:  # noqa: BLE001 (NumPy and zipfile raise many kinds of errors on damaged files)
        reason = first_line(error)
        message = (
            f"{path}: expected arrays that NumPy saved, without pickled objects, found"
            " a file that cannot be read "
        )
        message += f"({reason}); write it again with numpy.save or numpy.savez"
        raise UsageError(message, code="numpy-not-readable", reason=reason) from None
    return arrays


def _shapes(arrays: Mapping[str, NDArray[Any]]) -> str:
    return (
        ", ".join(
            f"{name[:40]!a} {array.shape}" for name, array in [*arrays.items()][:8]
        )
        or "no array"
    )


def _predictions(
    values: NDArray[Any],
    arrays: Arrays,
    error: UsageError,
    path: Path,
    find_targets: FindTargets,
) -> list[dict[str, Any]]:
    """Return the fields of each epoch; targets of ``(samples,)`` apply to all
    epochs.
    """
    # Find the number of samples, by the targets in this file or in another one.
    targets = arrays.get("targets")
    if targets is not None:
        targets = _one_per_sample(targets)
    found = find_targets() if targets is None else None
    samples = None if found is None else len(found)
    if targets is not None and targets.ndim:
        samples = targets.shape[-1]

    # Replace scores by their arg max.
    if values.shape == (samples, 1):
        values = _one_per_sample(values)
    score_columns = None
    if _are_scores(values, samples):
        score_columns = values.shape[-1]
        scores = values.reshape(-1, *values.shape[-2:])
        _require_numbers(scores, path)
        values = scores.argmax(axis=-1)
    if values.ndim > 2:
        raise error
    predictions = _labels(np.atleast_2d(values), f"{path}, predictions")
    shape = predictions.codes.shape

    # Select the values of each epoch.
    fields: dict[str, Any] = {"predictions": predictions}
    if targets is not None:
        if targets.shape not in (shape, shape[1:]):
            raise error
        fields["targets"] = _labels(np.broadcast_to(targets, shape), f"{path}, targets")
    confidences = arrays.get("scores")
    if confidences is not None and score_columns is None:
        if (
            confidences.shape != arrays["predictions"].shape
            or confidences.dtype.kind != "f"
        ):
            raise error
        fields["scores"] = confidences.reshape(shape)
    epochs = range(shape[0])
    return [
        {name: labels[row] for name, labels in fields.items()}
        | {"score_columns": score_columns}
        for row in epochs
    ]


def _are_scores(values: NDArray[Any], samples: int | None) -> bool:
    """Return whether an array has the scores of each class on its last axis: numbers
    with fractions, or one-hot rows.

    An array of two axes has one row per epoch or one per sample. If the number of
    samples is known, it decides.
    """
    if (
        values.ndim not in (2, 3)
        or values.shape[-1] < 2
        or values.dtype.kind not in "biuf"
    ):
        return False
    could_be_labels = values.ndim == 2 and samples == values.shape[1] != values.shape[0]
    if could_be_labels:
        return False
    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)]
        if (finite != np.round(finite)).any():
            return True
    return _is_one_hot(values) and (
        values.ndim == 3 or samples == values.shape[0] != values.shape[1]
    )


def _is_one_hot(values: NDArray[Any]) -> bool:
    """Return whether each row has a single 1 and otherwise zeros."""
    return bool(
        ((values == 0) | (values == 1)).all() and (values.sum(axis=-1) == 1).all()
    )


def _require_numbers(scores: NDArray[Any], path: Path) -> None:
    """Raise `UsageError` if a score ``(epochs, samples, C)`` is not a number."""
    places = np.argwhere(np.isnan(scores).any(axis=-1))
    if not len(places):
        return
    row = f", row {places[0][0]}" if len(scores) > 1 else ""
    message = (
        f"{path}{row}, sample {places[0][1]}: expected scores, found NaN, as in"
        f" {count(len(places), 'sample')}; "
    )
    message += (
        "leave these samples out of the scores and the targets, or this epoch if all of"
        " them are NaN"
    )
    raise UsageError(message, code="nan-score", samples=len(places))


def _one_per_sample(values: NDArray[Any]) -> NDArray[Any]:
    """Return values ``(samples,)`` of a column ``(samples, 1)``, as Keras has it; other
    values as they are.
    """
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _labels(values: NDArray[Any], location: str) -> EncodedLabels:
    if values.dtype.kind not in "US":
        return EncodedLabels(
            _whole_numbers(
                values, location, "class numbers, such as scores.argmax(axis=-1)"
            )
        )
    import pyarrow as pa

    try:
        texts = (
            pa.array(values.astype(values.dtype.newbyteorder("=")).ravel())
            .cast(pa.string())
            .dictionary_encode()
        )
    except (pa.ArrowException, UnicodeError):
        message = f"{location}: expected class names in UTF-8, found other bytes"
        raise UsageError(message, hint="save them as UTF-8", code="not-utf8") from None
    return EncodedLabels(
        texts.indices.to_numpy().reshape(values.shape),
        tuple(texts.dictionary.to_pylist()),
    )


def _epochs(
    values: NDArray[Any] | None, rows: int, path: Path
) -> list[int] | list[None]:
    if values is None:
        return [None] * rows
    epochs: list[int] = _whole_numbers(
        np.atleast_1d(values), f"{path}, epochs", "whole numbers"
    ).tolist()
    if values.size != rows or len({*epochs}) < rows:
        message = (
            f"{path}, epochs: expected {rows} distinct numbers, one per row, found"
            f" {str(epochs)[:80]}; give the "
        )
        raise UsageError(f"{message}epoch of each row", code="epochs-array", rows=rows)
    return epochs


def _whole_numbers(values: NDArray[Any], location: str, expected: str) -> Ints:
    """Return whole numbers as integers in native byte order; integers keep their
    type.
    """
    if values.dtype.kind in "iu":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if (
        values.dtype.kind != "f"
    ):  # whether a prediction is right would be read as the classes 0 and 1
        message = (
            f"{location}: expected {expected}; found values of type {values.dtype}"
        )
        raise UsageError(message, hint="save such numbers", code="not-whole-numbers")
    with np.errstate(invalid="ignore"):
        numbers = values.astype(np.int64)
    if (numbers != values).any():
        message = (
            f"{location}: expected {expected}; found {values[numbers != values][0]:.6g}"
        )
        raise UsageError(message, hint="save such numbers", code="not-whole-numbers")
    return numbers
