"""Arrays with a row an epoch: predictions ``(epochs, samples)``, or confusion counts ``(epochs, C, C)``.

An array of one epoch may lack the first axis. An NPZ says by its arrays' names what they are; an NPY's one array is
confusion counts where its last two axes are equal, unless they are epochs and as many samples as there are targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.predictions import arrays
from dsi_cli.predictions.classes import Labels, from_array
from dsi_cli.predictions.numbers import counts, whole
from dsi_cli.predictions.sheets import Answers, Matrix, Sheet

NAMES: dict[str, tuple[str, ...]] = {
    "predictions": ("predictions", "preds", "pred", "y_pred"),
    "confusions": ("confusions", "confusion", "counts", "cm"),
    "targets": ("targets", "labels", "target", "y_true"),
    "epochs": ("epochs",),
    "scores": ("scores",),
}
"""The arrays of an NPZ that are read, each with the names that it may have, in any case."""

EXPECTED = "predictions of shape (epochs, samples), or confusion counts of shape (epochs, C, C)"

Arrays = Mapping[str, NDArray[Any]]


def sheets(path: Path, targets: Labels | None, axis: str) -> list[Sheet]:
    """Return what an NPY or NPZ file holds, a sheet an epoch, in order.

    Parameters
    ----------
    targets : the truth from a file of its own, if there is one
    axis : "rows" or "columns", the axis of a confusion matrix that is the truth

    Raises
    ------
    UsageError
        The file cannot be read, or its arrays have other shapes or types.
    """
    named = arrays.load(path)
    found = {role: next((named[name] for name in names if name in named), None) for role, names in NAMES.items()}
    predictions, confusions, own = found["predictions"], found["confusions"], found["targets"]
    if predictions is None and confusions is None:
        array = _only(named, str(path))
        samples = own.shape[-1] if own is not None and own.ndim else None if targets is None else len(targets)
        predictions, confusions = (None, array) if _has_counts(array, samples) else (array, None)
    if predictions is not None:
        contents: Sequence[Any] = _answers(predictions, own, found["scores"], targets, str(path))
    else:
        assert confusions is not None
        contents = _matrices(confusions, str(path), axis)
    epochs = _epochs(found["epochs"], len(contents), str(path))
    return [
        Sheet(f"{path}, row {row}" if epoch is None else f"{path}, epoch {epoch}", content, epoch)
        for row, (content, epoch) in enumerate(zip(contents, epochs, strict=True))
    ]


def _only(named: Arrays, where: str) -> NDArray[Any]:
    """Return the one array that can be meant: whatever its name, where it is alone but for what stands beside predictions."""
    sides = {name for role in ("targets", "epochs", "scores") for name in NAMES[role]}
    left = [array for name, array in named.items() if name not in sides]
    if len(left) != 1:
        found = ", ".join(f"{name!a} {array.shape}" for name, array in list(named.items())[:6]) or "none"
        names = ", ".join((*NAMES["predictions"], *NAMES["confusions"]))
        raise UsageError(
            f"{where}: expected one array beside targets, epochs and scores, or one named {names}, found {found}; "
            "name the one that is meant 'predictions'"
        )
    return left[0]


def _has_counts(array: NDArray[Any], samples: int | None) -> bool:
    if array.ndim not in (2, 3) or array.shape[-1] != array.shape[-2]:
        return False
    return array.ndim == 3 or samples != array.shape[-1]


def _matrices(array: NDArray[Any], where: str, axis: str) -> list[Matrix]:
    if array.ndim not in (2, 3) or array.shape[-1] != array.shape[-2]:
        raise UsageError(
            f"{where}: expected confusion counts of shape (epochs, C, C), found {array.shape}; give one square an epoch"
        )
    _require_samples(array, where)
    stack = counts(array if array.ndim == 3 else array[np.newaxis], where)
    return [Matrix(matrix.T if axis == "columns" else matrix) for matrix in stack]


def _answers(
    array: NDArray[Any],
    own: NDArray[Any] | None,
    scores: NDArray[Any] | None,
    given: Labels | None,
    where: str,
) -> list[Answers]:
    if array.ndim == 1:
        array = array[np.newaxis]
    _require_predictions(array, given, where)
    labels = from_array(array, where)
    targets = None if own is None else from_array(_aligned(own, array.shape, "targets", where), f"{where}, targets")
    sure = None if scores is None else _scores(_aligned(scores, array.shape, "scores", where), where)
    return [
        Answers(
            labels[row],
            None if targets is None else targets[row],
            None if sure is None else sure[row],
        )
        for row in range(len(array))
    ]


def _require_predictions(array: NDArray[Any], given: Labels | None, where: str) -> None:
    if array.ndim == 3 and array.dtype.kind == "f":
        raise UsageError(
            f"{where}: expected {EXPECTED}, found {array.shape} floats, which look like a score of each class; "
            "give the class with the highest score, scores.argmax(axis=-1)"
        )
    if array.ndim != 2:
        raise UsageError(f"{where}: expected {EXPECTED}, found {array.shape}; give one row an epoch")
    _require_samples(array, where)
    if given is not None and len(given) == len(array) != array.shape[1]:
        raise UsageError(
            f"{where}: expected {EXPECTED}, found {array.shape} with {len(given):,} targets, "
            "which looks like samples first; give the transposed array"
        )


def _require_samples(array: NDArray[Any], where: str) -> None:
    if not array.size:
        raise UsageError(f"{where}: expected {EXPECTED}, found {array.shape}, which holds nothing; give one row an epoch")


def _aligned(array: NDArray[Any], shape: tuple[int, ...], name: str, where: str) -> NDArray[Any]:
    """Return an array that belongs to the predictions, with their shape; one of ``(samples,)`` counts for each epoch."""
    if array.shape == shape:
        return array
    if array.shape == shape[1:] and (name == "targets" or shape[0] == 1):
        return np.broadcast_to(array, shape)
    raise UsageError(
        f"{where}: expected {name} for predictions of shape {shape}, found {array.shape}; give one a prediction"
    )


def _scores(array: NDArray[Any], where: str) -> NDArray[np.floating[Any]]:
    if array.dtype.kind not in "fiu":
        raise UsageError(f"{where}: expected scores that are numbers, found type {array.dtype}; give floats")
    return array.astype(array.dtype.newbyteorder("=") if array.dtype.kind == "f" else np.float64, copy=False)


def _epochs(array: NDArray[Any] | None, rows: int, where: str) -> list[int | None]:
    if array is None:
        return [None] * rows
    remedy = "give the number of each row's epoch"
    epochs = whole(np.atleast_1d(array), f"{where}, epochs", "whole numbers", remedy)
    if epochs.shape != (rows,) or len(np.unique(epochs)) < rows:
        found = f"{epochs.shape}" if epochs.shape != (rows,) else "one twice"
        raise UsageError(f"{where}: expected {rows} distinct epochs, one a row, found {found}; {remedy}")
    return [int(epoch) for epoch in epochs]
