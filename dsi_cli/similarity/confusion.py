"""Similarity of classes by the mistakes between them: the CCSM of arXiv 2505.21338, section 3.1.

The confusion counts ``K`` are a ``(C, C)`` array: rows are the truth, columns the prediction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli import similarity
from dsi_cli.errors import UsageError

Counts = NDArray[np.integer[Any]]


def confusion_counts(targets: Counts, predictions: Counts, classes: int) -> Any:
    """Return the confusion counts ``(C, C)`` int64: rows are the truth, columns the prediction.

    For more than `similarity.MAX_DENSE_CLASSES` classes, the result is a ``scipy.sparse.csr_array``, else an array.

    Parameters
    ----------
    targets, predictions : (N,) int
        Class indices from 0 to ``classes - 1``.
    classes : int

    Raises
    ------
    UsageError
        The lengths differ, or a number is not a class.

    Examples
    --------
    >>> confusion_counts(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    if targets.ndim != 1 or targets.shape != predictions.shape:
        message = f"targets {targets.shape} and predictions {predictions.shape}: expected one of each per sample"
        raise UsageError(message, code="shapes", targets=targets.shape, predictions=predictions.shape)
    for name, values in (("target", targets), ("prediction", predictions)):
        wrong = values[(values < 0) | (values >= classes)]
        if wrong.size:
            message = f"{name} {wrong[0]} is not a class; expected 0 to {classes - 1}"
            raise UsageError(message, code="unknown-class", values=name, number=int(wrong[0]))
    if classes > similarity.MAX_DENSE_CLASSES:
        from scipy.sparse import coo_array

        ones = np.ones(len(targets), dtype=np.int64)
        return coo_array((ones, (targets, predictions)), shape=(classes, classes)).tocsr()
    pairs = targets.astype(np.int64) * classes + predictions.astype(np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def confusion_similarity(counts: Counts) -> NDArray[np.float32]:
    """Return the CCSM ``(C, C)`` float32, in [0, 1]: each row of counts over its sum, then the diagonal set to 1.

    The matrix is not symmetric in general. The row of a class without samples is 1 on the diagonal and 0 elsewhere;
    `classes_with_samples` returns the classes for metrics.

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
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or (counts < 0).any():
        message = f"confusion counts are a square matrix of non-negative numbers; this one has shape {counts.shape}"
        raise UsageError(message, code="not-confusion-counts", shape=counts.shape)
    samples = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, samples, out=np.zeros(counts.shape), where=samples > 0)
    np.fill_diagonal(shares, 1.0)
    similarity: NDArray[np.float32] = shares.astype(np.float32)
    return similarity


def classes_with_samples(counts: Counts) -> NDArray[np.intp]:
    """Return the classes with samples in the split."""
    return np.flatnonzero(counts.sum(axis=1) > 0)
