"""Metrics of predictions on a class hierarchy, each with its chance level **[ours]**.

Severity of mistakes and accuracy on superclasses are means over samples of a matrix
entry for truth and prediction. Their chance level is that of random relabellings of the
matrix's classes. Correct predictions stay correct under a relabelling. Classes without
a sample and classes that the hierarchy lacks are left out, and so are samples whose
truth or prediction is one.

Hierarchical precision, recall and F1 replace a class by the set of its node and all
hypernyms of it, without the root (Kiritchenko et al. 2006; Silla and Freitas 2011, doi
10.1007/s10618-010-0175-9). `micro` sums the sizes of these sets over samples; `macro`
is the mean over samples. Both are defined as in HiClass (Miranda et al. 2023). The
chance level of these scores and of the accuracy at each level is that of predictions
that are shuffled among the samples. The number of samples of each true and of each
predicted class stays the same. The ``excess`` of an accuracy is then Cohen's kappa.

Mean and deviation of both chance levels are exact.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.idm import (
    ALWAYS_RIGHT,
    NO_MISTAKE,
    NO_Z,
    Score,
    interval,
    pooled_error,
)
from dsi_cli.metrics.measures import Values, off_diagonal
from dsi_cli.metrics.permutation_null import Moments, product_deviation

Counts = NDArray[np.integer[Any]]
MIN_CLASSES = 3
MIN_DEVIATION = 1e-12  # a smaller deviation is rounding and counts as 0
# a smaller variance over shuffles, relative to the squared mean, is rounding and counts
# as 0
MIN_VARIANCE = 1e-14
NO_SAMPLE = "no sample"
NO_Z_OF_SHUFFLES = (
    "every shuffle of the predictions gives the same value, so there is no z"
)
SET_SCORES = ("hierarchical_precision", "hierarchical_recall", "hierarchical_f1")
AVERAGES = ("micro", "macro")
HIERARCHY_METRICS = (*SET_SCORES, "path_accuracy", "level_accuracy")
"""The values of the column ``metric`` in the curves table."""


def severity(counts: Counts, heights: NDArray[np.floating[Any]]) -> Score:
    """Return the mean height of the lowest common hypernym of truth and prediction over
    mistakes, 0 or more; lower is better.

    Parameters
    ----------
    counts : (C, C) int, rows are the truth, columns the prediction.
    heights : (C, C) Heights of the lowest common hypernyms, 0 or more. NaN on the
        diagonal marks a class without a synset.

    Notes
    -----
    ``z`` is positive if mistakes are less severe than by chance. ``excess`` is ``1 -
    value / null_mean``. Source: Bertinetto et al. 2020 (arXiv 1912.09393).

    Examples
    --------
    >>> heights = np.array([[0, 1, 3, 3], [1, 0, 3, 3], [3, 3, 0, 1], [3, 3, 1, 0.0]])
    >>> near = np.array([[5, 1, 0, 0], [1, 5, 0, 0], [0, 0, 5, 1], [0, 0, 1, 5]])
    >>> score = severity(near, heights)
    >>> score.value, round(score.null_mean, 3), score.value == score.ceiling
    (1.0, 2.333, True)
    """
    kept = np.flatnonzero(~np.isnan(np.diagonal(heights)) & (counts.sum(axis=1) > 0))
    wrong: Values = counts[np.ix_(kept, kept)].astype(np.float64)
    np.fill_diagonal(wrong, 0.0)
    matrix: Values = np.asarray(heights, dtype=np.float64)[np.ix_(kept, kept)]
    score = _relabelled_score(wrong, matrix, 0.0, NO_MISTAKE)
    if score.value is None or not score.null_mean:
        return score
    # The excess exists even if every relabelling gives the same value.
    return replace(score, excess=1 - score.value / score.null_mean)


def superclass_accuracy(
    counts: Counts, superclasses: NDArray[np.integer[Any]]
) -> Score:
    """Return the share of samples that are predicted as a class of the correct
    superclass, in [0, 1].

    Parameters
    ----------
    counts : (C, C) int Rows are the truth, columns the prediction. Classes without a
        sample are left out.
    superclasses : (C,) int The superclass of each class. A class that is alone in its
        superclass is correct only by itself.

    Notes
    -----
    The chance level contains the accuracy, because correct predictions stay correct
    under a relabelling. ``excess``, which is ``(value - null_mean) / (1 - null_mean)``,
    therefore does not repeat the accuracy.

    Examples
    --------
    >>> near = np.array([[5, 1, 0, 0], [1, 5, 0, 0], [0, 0, 5, 1], [0, 0, 1, 5]])
    >>> score = superclass_accuracy(near, np.array([0, 0, 1, 1]))
    >>> score.value, round(score.null_mean, 3)
    (1.0, 0.889)
    """
    kept = np.flatnonzero(counts.sum(axis=1) > 0)
    matrix = (superclasses[kept, None] == superclasses[kept]).astype(np.float64)
    return _relabelled_score(
        counts[np.ix_(kept, kept)].astype(np.float64), matrix, 1.0, NO_SAMPLE
    )


def _relabelled_score(
    counts: Values, matrix: Values, best: float, no_sample: str
) -> Score:
    """Return the mean of a matrix over samples, relative to random relabellings of its
    classes; ``best`` is its diagonal.
    """
    score = Score(classes_used=len(counts), samples_used=int(counts.sum()))
    if len(counts) < MIN_CLASSES:
        return replace(
            score,
            reason=f"{len(counts)} classes: a hierarchy needs {MIN_CLASSES} or more",
        )
    if not score.samples_used:
        return replace(score, reason=no_sample)
    weight = counts / counts.sum()
    value = float((weight * matrix).sum())
    # Correct predictions have the best value, also under a relabelling.
    wrong, others = off_diagonal(weight).sum(axis=1), off_diagonal(matrix)
    error_rate = 1 - float(np.trace(weight))
    mean = best - error_rate * (best - float(others.mean()))
    nearest = others.max(axis=1) if best else others.min(axis=1)
    ceiling = best * (1 - error_rate) + float(wrong @ nearest)
    std = product_deviation(Moments.of(weight), Moments.of(matrix))
    low, high = interval(value, pooled_error(counts, matrix))
    score = replace(
        score,
        value=value,
        null_mean=mean,
        null_std=0.0,
        ceiling=ceiling,
        low=low,
        high=high,
    )
    if error_rate == 0.0:
        return replace(score, reason=ALWAYS_RIGHT)
    if std <= MIN_DEVIATION:
        return replace(score, reason=NO_Z)
    z = (value - mean) / std
    return replace(
        score, null_std=std, z=z if best else -z, excess=(value - mean) / (best - mean)
    )


def set_scores(counts: Counts, common: NDArray[Any]) -> dict[tuple[str, str], Score]:
    """Return the hierarchical precision, recall and F1, each in [0, 1], by metric and
    average.

    Parameters
    ----------
    counts : (C, C) int, rows are the truth, columns the prediction.
    common : (C, C) int The number of nodes that the sets of two classes share; the size
        of each set is on the diagonal and 1 or more.

    Examples
    --------
    >>> near, common = np.array([[5, 1, 0], [1, 5, 0], [0, 0, 6]]), np.array([[2, 1, 0], [1, 2, 0], [0, 0, 2]])
    >>> score = set_scores(near, common)["hierarchical_f1", "micro"]
    >>> round(score.value, 3), round(score.null_mean, 3)
    (0.944, 0.444)
    """
    empty, cells, number = _samples(counts)
    size = np.diagonal(common).astype(np.float64)
    shared: Values = common.astype(np.float64)
    predicted = np.broadcast_to(size, shared.shape)
    true = np.broadcast_to(size[:, None], shared.shape)
    moments, ones, scores = _shuffle_moments(counts, shared), np.ones(len(number)), {}
    for metric, divisor in zip(
        SET_SCORES, (predicted, true, (true + predicted) / 2), strict=True
    ):
        share = shared / divisor
        scores[metric, "micro"] = _shuffled_score(
            empty, number, shared[cells], divisor[cells], *moments
        )
        scores[metric, "macro"] = _shuffled_score(
            empty, number, share[cells], ones, *_shuffle_moments(counts, share)
        )
    return scores


def level_accuracies(counts: Counts, paths: NDArray[np.integer[Any]]) -> list[Score]:
    """Return the share of samples whose prediction has the node of the truth, at each
    level from the top.

    Parameters
    ----------
    counts : (C, C) int, rows are the truth, columns the prediction.
    paths : (C, L) int The node of each class at each level. A class that ends above a
        level is its own node there.

    Examples
    --------
    >>> near = np.array([[5, 1, 0], [1, 5, 0], [0, 0, 6]])
    >>> [round(score.value, 3) for score in level_accuracies(near, np.array([[0, 2], [0, 3], [1, 4]]))]
    [1.0, 0.889]
    """
    empty, (rows, columns), number = _samples(counts)
    share, ones, scores = number / max(number.sum(), 1), np.ones(len(number)), []
    for nodes in paths.T:
        # Classes of one node count as one class, and the matrix of the score is the
        # identity.
        names, group = np.unique(nodes, return_inverse=True)
        true, predicted = (
            np.bincount(group[side], share, len(names)) for side in (rows, columns)
        )
        mean = float(true @ predicted)
        variance = float(mean - true @ predicted**2 - true**2 @ predicted + mean**2)
        is_same = (group[rows] == group[columns]).astype(np.float64)
        scores.append(_shuffled_score(empty, number, is_same, ones, mean, variance))
    return scores


def _samples(counts: Counts) -> tuple[Score, tuple[NDArray[np.intp], ...], Values]:
    """Return a score without a value, the cells of the counts that are not 0, and the
    number of samples in each of them.
    """
    cells = np.nonzero(counts)
    empty = Score(
        classes_used=int((counts.sum(axis=1) > 0).sum()), samples_used=int(counts.sum())
    )
    return empty, cells, counts[cells].astype(np.float64)


def _shuffle_moments(counts: Counts, matrix: Values) -> tuple[float, float]:
    """Return the mean of a matrix entry if predictions are shuffled, and its mean
    square less its row's and its column's mean.
    """
    total = max(counts.sum(), 1)
    true, predicted = counts.sum(axis=1) / total, counts.sum(axis=0) / total
    row_mean, column_mean = matrix @ predicted, true @ matrix
    mean = true @ row_mean
    return (
        mean,
        true @ (matrix**2 @ predicted)
        - true @ row_mean**2
        - column_mean**2 @ predicted
        + mean**2,
    )


def _shuffled_score(
    empty: Score,
    number: Values,
    entries: Values,
    divisors: Values,
    mean: float,
    variance: float,
) -> Score:
    """Return the sum of entries over samples divided by that of divisors, from the
    number of samples with each of them.

    ``mean`` and ``variance`` are the results of `_shuffle_moments`.
    """
    total = float(number.sum())
    if not total:
        return replace(empty, reason=NO_SAMPLE)
    mean_divisor = float(number @ divisors / total)
    value = float(number @ entries / total) / mean_divisor
    error = (
        float(np.sqrt(number @ (entries - value * divisors) ** 2))
        / total
        / mean_divisor
    )
    has_spread = total > 1 and variance > MIN_VARIANCE * mean**2
    std = float(np.sqrt(variance / (total - 1))) / mean_divisor if has_spread else 0.0
    null_mean = float(mean) / mean_divisor
    low, high = interval(value, error)
    score = replace(
        empty, value=value, null_mean=null_mean, null_std=std, low=low, high=high
    )
    if not has_spread:
        return replace(score, reason=NO_Z_OF_SHUFFLES)
    return replace(
        score, z=(value - null_mean) / std, excess=(value - null_mean) / (1 - null_mean)
    )
