"""Similarity of classes by the mistakes between them: the CCSM of arXiv 2505.21338, section 3.1.

Counts are ``K (C, C)``: rows are the truth, columns the prediction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli import similarity
from dsi_cli.errors import UsageError

Counts = NDArray[np.integer[Any]]


def confusion_counts(targets: Counts, predictions: Counts, classes: int) -> Any:
    """Return how often each class was taken for each, ``(C, C)`` int64: rows are the truth, columns the prediction.

    An array, but of more than `LARGEST_WHOLE` classes a ``scipy.sparse.csr_array``.

    Parameters
    ----------
    targets, predictions : (N,) int
        Class indices from 0 to ``classes - 1``.
    classes : int

    Raises
    ------
    UsageError
        The two differ in length, or hold a number that is no class.

    Examples
    --------
    >>> confusion_counts(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    if targets.ndim != 1 or targets.shape != predictions.shape:
        raise UsageError(f"targets {targets.shape} and predictions {predictions.shape}: expected one of each a sample")
    for name, values in (("target", targets), ("prediction", predictions)):
        wrong = values[(values < 0) | (values >= classes)]
        if wrong.size:
            raise UsageError(f"{name} {wrong[0]} is no class: expected 0 to {classes - 1}")
    if classes > similarity.MAX_DENSE_CLASSES:
        from scipy.sparse import coo_array

        ones = np.ones(len(targets), dtype=np.int64)
        return coo_array((ones, (targets, predictions)), shape=(classes, classes)).tocsr()
    pairs = targets.astype(np.int64) * classes + predictions.astype(np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def confusion_similarity(counts: Counts) -> NDArray[np.float32]:
    """Return the CCSM ``(C, C)`` float32, in [0, 1]: each row of counts over its sum, then the diagonal set to 1.

    Not symmetric in general. A class without a sample has zeros with 1 on the diagonal; `classes_with_samples` says which
    take part in a metric.

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth, columns the prediction.

    Raises
    ------
    UsageError
        The counts are not a square matrix of non-negative numbers.

    Examples
    --------
    >>> confusion_similarity(np.array([[3, 1], [0, 0]])).tolist()
    [[1.0, 0.25], [0.0, 1.0]]
    """
    _require_counts(counts)
    samples = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, samples, out=np.zeros(counts.shape), where=samples > 0)
    np.fill_diagonal(shares, 1.0)
    similarity: NDArray[np.float32] = shares.astype(np.float32)
    return similarity


def classes_with_samples(counts: Counts) -> NDArray[np.intp]:
    """Return the classes that have a sample in the split."""
    return np.flatnonzero(counts.sum(axis=1) > 0)


def _require_counts(counts: Counts) -> None:
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or (counts < 0).any():
        raise UsageError(f"confusion counts are a square matrix of non-negative numbers; this one has shape {counts.shape}")
