"""Scores of predictions by a class hierarchy: hierarchical precision, recall and F1, and the accuracy at each level.

A class is replaced by the set of its node and all hypernyms of it, without the root (Kiritchenko et al. 2006; Silla and Freitas
2011, doi 10.1007/s10618-010-0175-9). `micro` sums the sizes of these sets over samples; `macro` is the mean over samples. Both are
defined as in HiClass (Miranda et al. 2023).

The chance level **[ours]** is that of predictions that are shuffled among the samples: the number of samples of each true and of
each predicted class stays the same. Its mean and its deviation are exact, because each score is a sum over samples of a matrix
entry, divided by a number that no shuffle changes. The ``excess`` of an accuracy is Cohen's kappa.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.hierarchy import MIN_DEVIATION, Counts, HierarchyScore
from dsi_cli.metrics.idm import NORMAL_95
from dsi_cli.metrics.measures import Values

NO_SAMPLE = "no sample"
NO_Z = "every shuffle of the predictions gives the same value, so there is no z"
SET_SCORES = ("hierarchical_precision", "hierarchical_recall", "hierarchical_f1")
AVERAGES = ("micro", "macro")
HIERARCHY_METRICS = (*SET_SCORES, "path_accuracy", "level_accuracy")
"""The values of the column ``metric`` in the curves table."""


class _Samples(NamedTuple):
    """The confusion counts that are not 0, and their margins."""

    row: NDArray[np.intp]
    column: NDArray[np.intp]
    number: Values
    true: Values
    """The number of samples of each class ``(C,)``."""
    predicted: Values
    """The number of predictions of each class ``(C,)``."""


def set_scores(counts: Counts, common: NDArray[Any]) -> dict[tuple[str, str], HierarchyScore]:
    """Return the hierarchical precision, recall and F1, each in [0, 1], by metric and average.

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth, columns the prediction.
    common : (C, C) int
        The number of nodes that the sets of two classes share; the size of each set is on the diagonal and 1 or more.

    Examples
    --------
    >>> near, common = np.array([[5, 1, 0], [1, 5, 0], [0, 0, 6]]), np.array([[2, 1, 0], [1, 2, 0], [0, 0, 2]])
    >>> score = set_scores(near, common)["hierarchical_f1", "micro"]
    >>> round(score.value, 3), round(score.null_mean, 3)
    (0.944, 0.444)
    """
    samples = _samples(counts)
    size = np.diagonal(common).astype(np.float64)
    shared: Values = common.astype(np.float64)
    sizes: dict[str, Values] = {
        "hierarchical_precision": np.broadcast_to(size, shared.shape),
        "hierarchical_recall": np.broadcast_to(size[:, None], shared.shape),
        "hierarchical_f1": (size[:, None] + size) / 2,
    }
    scores = {}
    for metric, divisor in sizes.items():
        scores[metric, "micro"] = _score(samples, shared, divisor)
        scores[metric, "macro"] = _score(samples, shared / divisor, np.ones(()))
    return scores


def level_accuracies(counts: Counts, paths: NDArray[np.integer[Any]]) -> list[HierarchyScore]:
    """Return the share of samples whose prediction has the node of the truth, at each level from the top.

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth, columns the prediction.
    paths : (C, L) int
        The node of each class at each level. A class that ends above a level stands for itself there.

    Examples
    --------
    >>> near = np.array([[5, 1, 0], [1, 5, 0], [0, 0, 6]])
    >>> [round(score.value, 3) for score in level_accuracies(near, np.array([[0, 2], [0, 3], [1, 4]]))]
    [1.0, 0.889]
    """
    scores, present = [], int((counts.sum(axis=1) > 0).sum())
    for nodes in paths.T:
        names, group = np.unique(nodes, return_inverse=True)
        # Classes of one node count as one class
        rows, columns = np.nonzero(counts)
        merged = np.zeros((len(names), len(names)), dtype=np.int64)
        np.add.at(merged, (group[rows], group[columns]), counts[rows, columns])
        scores.append(replace(_score(_samples(merged), np.eye(len(names)), np.ones(())), classes_used=present))
    return scores


def _samples(counts: Counts) -> _Samples:
    row, column = np.nonzero(counts)
    margins = (counts.sum(axis=axis).astype(np.float64) for axis in (1, 0))
    return _Samples(row, column, counts[row, column].astype(np.float64), *margins)


def _score(samples: _Samples, matrix: Values, divisor: Values) -> HierarchyScore:
    """Return the sum of a matrix over samples divided by that of the divisor, which depends on the margins alone."""
    total = samples.number.sum()
    score = HierarchyScore(classes_used=int((samples.true > 0).sum()), samples_used=int(total))
    if not total:
        return replace(score, reason=NO_SAMPLE)
    true, predicted = samples.true / total, samples.predicted / total
    divisor = np.broadcast_to(divisor, matrix.shape)
    entries, divisors = matrix[samples.row, samples.column], divisor[samples.row, samples.column]
    mean_divisor = float(samples.number @ divisors / total)
    value = float(samples.number @ entries / total) / mean_divisor
    error = np.sqrt(samples.number @ (entries - value * divisors) ** 2) / total / mean_divisor

    # The variance of a sum over shuffled samples follows from the matrix without its row and column means.
    row_mean, column_mean = matrix @ predicted, true @ matrix
    mean = float(true @ row_mean)
    squares = float(true @ (matrix**2 @ predicted) - true @ row_mean**2 - column_mean**2 @ predicted + mean**2)
    std = float(np.sqrt(max(squares, 0.0) / (total - 1))) / mean_divisor if total > 1 else 0.0
    null_mean = mean / mean_divisor
    low, high = value - NORMAL_95 * error, value + NORMAL_95 * error
    score = replace(score, value=value, null_mean=null_mean, null_std=std, low=low, high=high)
    if std <= MIN_DEVIATION:
        return replace(score, null_std=0.0, reason=NO_Z)
    return replace(score, z=(value - null_mean) / std, excess=(value - null_mean) / (1 - null_mean))
