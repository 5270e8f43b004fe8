"""Arrays of predictions, scores, targets and confusion counts, which are told apart by
their names, shapes and types.

An array has one row per epoch: predictions are ``(epochs, samples)``, scores ``(epochs,
samples, C)`` and confusion counts ``(epochs, C, C)``. The array of one epoch may lack
the first axis. Scores are probabilities or logits, of which the arg max is the
prediction. The arrays of an NPZ file have the names ``predictions`` or ``confusions``,
``targets``, ``epochs`` and ``scores``, the score of each prediction. Those of training
images have these names after ``train_``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import DsiError, UsageError, count, wrong
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
    " epochs, scores; and of training images train_predictions, train_targets, ...)"
)
ARRAY_NAMES = {
    "predictions": (*PREDICTION, "logits", "probabilities", "probs"),
    "targets": TARGET,
    "confusions": ("confusion", "confusion_matrix", "cm"),
    "epochs": ("epoch",),
    "scores": ("score",),
}
"""The names of each array in an NPZ file (`names_by_role`)."""
CONTENTS = {"predictions", "confusions"}  # the arrays of which each split has one
_OF_TRAIN = re.compile(r"train[^a-z0-9]+(?=.)", re.IGNORECASE)
Arrays = Mapping[str, NDArray[Any]]
FindTargets = Callable[[], EncodedLabels | None]
"""Returns the targets that the user gave or that are in the same folder, or None."""


def epochs_of_arrays(
    arrays: Arrays, path: Path, axis: str, find_targets: FindTargets
) -> list[EpochPredictions]:
    """Return the epochs of arrays by name, in the order of their rows; those of training
    images are the last ones.

    Without epochs of their own, training predictions belong to the last ones in
    ``epochs``. Raise `UsageError` if the arrays have other names, shapes or types, or if a square
    array may be a confusion matrix or predictions.

    Parameters
    ----------
    arrays : the arrays; the only array of an NPY or CSV file has the name "".
    path : the file, for messages.
    axis : "rows" or "columns", the axis of a confusion matrix that is the truth.
    find_targets : returns the targets that are not among the arrays.
    """
    other = wrong(
        path,
        EXPECTED,
        describe(arrays),
        "save such arrays with numpy.save or numpy.savez",
        code="predictions-array",
    )
    by_role, of_train = map(_arrays_by_role, split_off_train(arrays))
    if "" in arrays:
        are_confusions = _are_confusions(arrays[""], path, find_targets)
        by_role = {"confusions" if are_confusions else "predictions": arrays[""]}
    parts = []
    if by_role.keys() & CONTENTS or not of_train.keys() & CONTENTS:
        parts += _epochs_of_split(by_role, str(path), axis, None, other)
    if of_train.keys() & CONTENTS:
        epochs = by_role.get("epochs")
        for part in _epochs_of_split(of_train, f"{path}, train", axis, epochs, other):
            parts.append(replace(part, split="train"))
    return parts


def split_off_train(arrays: Arrays) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays of test images, and those of training images without the
    ``train_`` in their names.
    """
    others, of_train = {}, {}
    for name, array in arrays.items():
        prefix = _OF_TRAIN.match(name)
        if prefix is None:
            others[name] = array
        else:
            of_train[name[prefix.end() :]] = array
    return others, of_train


def _arrays_by_role(arrays: Arrays) -> dict[str, NDArray[Any]]:
    names = names_by_role(arrays, ARRAY_NAMES)
    return {role: arrays[name] for role, name in names.items()}


def _epochs_of_split(
    by_role: Arrays,
    location: str,
    axis: str,
    shared_epochs: NDArray[Any] | None,
    other: DsiError,
) -> list[EpochPredictions]:
    """Return the epochs of the arrays of one split; the last ones of the shared epochs
    if it has none of its own.

    Raise the error ``other`` if the shapes do not fit each other.
    """
    predictions, confusions = by_role.get("predictions"), by_role.get("confusions")
    if confusions is not None and predictions is None:
        if confusions.ndim == 2:
            confusions = confusions[None]
        if not _are_square(confusions) or not confusions.size:
            raise other
        counts = confusion_counts(confusions, location, axis)
        contents = [{"counts": matrix} for matrix in counts]
    elif predictions is not None and confusions is None and predictions.size:
        contents = _predictions(by_role, location, other)
    else:
        raise other
    numbers = by_role.get("epochs")
    if numbers is None and shared_epochs is not None:
        numbers = np.atleast_1d(shared_epochs)[-len(contents) :]
    epochs = _epochs(numbers, len(contents), location)
    parts = []
    for row, (epoch, fields) in enumerate(zip(epochs, contents, strict=True)):
        place = location
        if epoch is not None:
            place += f", epoch {epoch}"
        elif len(epochs) > 1:
            place += f", row {row}"
        parts.append(EpochPredictions(place, epoch, **fields))
    return parts


def describe(arrays: Arrays) -> str:
    """Return the names and shapes of arrays for a message."""
    shapes = [f"{name[:40]!a} {array.shape}" for name, array in arrays.items()]
    return ", ".join(shapes[:8]) or "no array"


def _are_square(values: NDArray[Any]) -> bool:
    """Return True if an array can be one matrix for each epoch."""
    return values.ndim == 3 and values.shape[1] == values.shape[2]


def _are_confusions(
    values: NDArray[Any], path: Path, find_targets: FindTargets
) -> bool:
    """Return True if an array without a name has confusion matrices; raise `UsageError`
    if it may also have the predictions of as many epochs as samples.
    """
    matrices = values[None] if values.ndim == 2 else values
    is_numeric = values.dtype.kind in "iuf" and min(values.shape, default=0) > 0
    if not is_numeric or not _are_square(matrices) or matrices.shape[1] < 2:
        return False
    targets = find_targets()
    if values.ndim == 2 and targets is not None and len(targets) == len(values):
        raise UsageError(
            (
                f"{path}: the array {values.shape} may be a confusion matrix, or the"
                f" predictions of {len(values)} epochs, because there are as many"
                " targets"
            ),
            hint="save it in an NPZ file under the name confusions or predictions",
            code="unclear-array",
        )
    return True


def confusion_counts(
    values: NDArray[Any], path: Path | str, axis: str
) -> NDArray[np.int64]:
    """Return confusion counts ``(..., C, C)`` with the truth on the rows; raise
    `UsageError` if they are no counts of samples.
    """
    if axis == "columns":
        values = values.swapaxes(-2, -1)
    expected = (
        "counts of samples (confusion_matrix without normalize), or for scores of as"
        " many samples as classes --targets"
    )
    counts = whole_numbers(values, f"{path}, confusions", expected).astype(np.int64)
    if (counts < 0).any():
        raise wrong(
            f"{path}, confusions",
            "counts of samples",
            str(counts.min()),
            "correct it",
            code="negative-count",
        )
    return counts


def _predictions(arrays: Arrays, path: str, other: DsiError) -> list[dict[str, Any]]:
    """Return the fields of each epoch; targets of ``(samples,)`` apply to all epochs.

    Raise the error ``other`` if the shapes do not fit each other.
    """
    values = one_per_sample(arrays["predictions"])
    score_columns = None
    if _are_scores(values):
        score_columns = values.shape[-1]
        scores = values.reshape(-1, *values.shape[-2:])
        _require_numbers(scores, path)
        values = scores.argmax(axis=-1)
    if values.ndim > 2:
        raise other
    predictions = encode(np.atleast_2d(values), f"{path}, predictions")
    shape = predictions.codes.shape
    fields: dict[str, Any] = {"predictions": predictions}
    if "targets" in arrays:
        targets = one_per_sample(arrays["targets"])
        if targets.shape not in (shape, shape[1:]):
            raise other
        targets = np.broadcast_to(targets, shape)
        fields["targets"] = encode(targets, f"{path}, targets")
    if "scores" in arrays and score_columns is None:
        confidences = arrays["scores"]
        is_float = confidences.dtype.kind == "f"
        if not is_float or confidences.shape != arrays["predictions"].shape:
            raise other
        fields["scores"] = confidences.reshape(shape)
    contents = []
    for row in range(shape[0]):
        content = {name: values[row] for name, values in fields.items()}
        contents.append(content | {"score_columns": score_columns})
    return contents


def _are_scores(values: NDArray[Any]) -> bool:
    """Return True if the last axis has a score of each class: numbers with
    fractions.
    """
    if values.ndim not in (2, 3) or values.dtype.kind != "f":
        return False
    finite = values[np.isfinite(values)]
    return values.shape[-1] > 1 and bool((finite != np.round(finite)).any())


def _require_numbers(scores: NDArray[Any], path: str) -> None:
    """Raise `UsageError` if a score ``(epochs, samples, C)`` is not a number."""
    places = np.argwhere(np.isnan(scores).any(axis=-1))
    if not len(places):
        return
    row = f", row {places[0][0]}" if len(scores) > 1 else ""
    raise wrong(
        f"{path}{row}, sample {places[0][1]}",
        "scores",
        f"NaN, as in {count(len(places), 'sample')}",
        "leave these samples out of the scores and the targets, or this epoch if all"
        " of them are NaN",
        code="nan-score",
        samples=len(places),
    )


def one_per_sample(values: NDArray[Any]) -> NDArray[Any]:
    """Return values ``(samples,)`` of a column ``(samples, 1)``, as Keras has it; other
    values as they are.
    """
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def encode(values: NDArray[Any], location: str) -> EncodedLabels:
    """Return an array of whole numbers or texts as labels."""
    if values.dtype.kind == "S":
        raise wrong(
            location,
            "class names as text",
            "bytes",
            "save names.astype(str)",
            code="not-text",
        )
    if values.dtype.kind != "U":
        expected = "class numbers, such as scores.argmax(axis=-1)"
        return EncodedLabels(whole_numbers(values, location, expected))
    names, codes = np.unique(values, return_inverse=True)
    return EncodedLabels(codes.reshape(values.shape), tuple(names.tolist()))


def _epochs(
    values: NDArray[Any] | None, rows: int, path: str
) -> list[int] | list[None]:
    if values is None:
        return [None] * rows
    numbers = whole_numbers(np.atleast_1d(values), f"{path}, epochs", "whole numbers")
    epochs: list[int] = numbers.tolist()
    if numbers.shape != (rows,) or len(set(epochs)) < rows:
        raise wrong(
            f"{path}, epochs",
            f"{rows} distinct numbers, one per row",
            str(epochs)[:80],
            "give the epoch of each row",
            code="epochs-array",
            rows=rows,
        )
    return epochs


def whole_numbers(values: NDArray[Any], location: str, expected: str) -> Ints:
    """Return whole numbers as integers in native byte order; integers keep their
    type.
    """
    if values.dtype.kind in "iu":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    found = f"values of type {values.dtype}"
    # Whether a prediction is right would be read as the classes 0 and 1.
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            numbers = values.astype(np.int64)
        unlike = values[numbers != values]
        if not unlike.size:
            return numbers
        found = f"{unlike[0]:.6g}"
    raise wrong(
        location, expected, found, "save such numbers", code="not-whole-numbers"
    )
