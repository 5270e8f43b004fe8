"""Metrics of mistakes on a class hierarchy: their severity, and the accuracy on superclasses.

Both are the mean over samples of a matrix entry for truth and prediction. The chance level **[ours]** is that of random
relabellings of the matrix's classes; its mean and deviation are exact. Correct predictions stay correct under a relabelling.

Classes without a sample and classes that the hierarchy lacks are left out, and so are the samples whose truth or prediction is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import p_values
from dsi_cli.metrics.idm import ALWAYS_RIGHT, NO_Z, NORMAL_95, pooled_error
from dsi_cli.metrics.measures import Values, off_diagonal
from dsi_cli.metrics.p_values import RelabelledMatrix

Counts = NDArray[np.integer[Any]]
MIN_CLASSES = 3
MIN_DEVIATION = 1e-12
"""A smaller deviation is rounding and counts as 0."""


@dataclass(frozen=True)
class HierarchyScore:
    """The severity or the superclass accuracy, with chance level and confidence interval.

    A field is None if it does not exist; ``reason`` then explains why.
    """

    value: float | None = None
    null_mean: float | None = None
    """The mean over random relabellings of the classes: the chance level."""
    null_std: float | None = None
    """The standard deviation over random relabellings."""
    z: float | None = None
    """Standard deviations above chance; positive if mistakes are less severe than by chance."""
    excess: float | None = None
    """The value relative to chance: 0 at chance, 1 at the best possible value of the metric."""
    ceiling: float | None = None
    """The value if every mistake were the least severe one of its class."""
    low: float | None = None
    """The lower end of the 95 % confidence interval from the variance over samples."""
    high: float | None = None
    """The upper end of the interval."""
    classes_used: int = 0
    samples_used: int = 0
    reason: str | None = None


def severity(counts: Counts, heights: NDArray[np.floating[Any]]) -> HierarchyScore:
    """Return the mean height of the lowest common hypernym of truth and prediction over mistakes, 0 or more; lower is better.

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth, columns the prediction.
    heights : (C, C)
        Heights of the lowest common hypernyms, 0 or more. NaN on the diagonal marks a class without a synset.

    Notes
    -----
    ``z`` is positive if mistakes are less severe than by chance. ``excess`` is ``1 - value / null_mean``. Source: Bertinetto et
    al. 2020 (arXiv 1912.09393).

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
    score = HierarchyScore(classes_used=len(kept), samples_used=int(wrong.sum()))
    if len(kept) < MIN_CLASSES:
        return replace(score, reason=_reason_too_few_classes(len(kept)))
    if not wrong.any():
        return replace(score, reason="no mistake")

    matrix: Values = np.asarray(heights, dtype=np.float64)[np.ix_(kept, kept)]
    weight = wrong / wrong.sum()
    mean = float(off_diagonal(matrix).mean())
    value, std, half = _value_deviation_and_half_width(weight, wrong, matrix)
    score = replace(score, value=value, null_mean=mean, null_std=std, low=value - half, high=value + half)
    ceiling = float(weight.sum(axis=1) @ off_diagonal(matrix).min(axis=1))
    score = replace(score, excess=1 - value / mean if mean > 0 else None, ceiling=ceiling)
    return replace(score, z=(mean - value) / std) if std else replace(score, reason=NO_Z)


def superclass_accuracy(counts: Counts, superclasses: NDArray[np.integer[Any]]) -> HierarchyScore:
    """Return the share of samples that are predicted as a class of the correct superclass, in [0, 1].

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth, columns the prediction. Classes without a sample are left out.
    superclasses : (C,) int
        The superclass of each class. A class that is alone in its superclass is correct only by itself.

    Notes
    -----
    The chance level contains the accuracy, because correct predictions stay correct under a relabelling. ``excess``, which is
    ``(value - null_mean) / (1 - null_mean)``, therefore does not repeat the accuracy.

    Examples
    --------
    >>> near = np.array([[5, 1, 0, 0], [1, 5, 0, 0], [0, 0, 5, 1], [0, 0, 1, 5]])
    >>> score = superclass_accuracy(near, np.array([0, 0, 1, 1]))
    >>> score.value, round(score.null_mean, 3)
    (1.0, 0.889)
    """
    kept = np.flatnonzero(counts.sum(axis=1) > 0)
    used_counts: Values = counts[np.ix_(kept, kept)].astype(np.float64)
    score = HierarchyScore(classes_used=len(kept), samples_used=int(used_counts.sum()))
    if len(kept) < MIN_CLASSES:
        return replace(score, reason=_reason_too_few_classes(len(kept)))
    if not used_counts.any():
        return replace(score, reason="no sample")

    matrix = (superclasses[kept, None] == superclasses[kept]).astype(np.float64)
    weight = used_counts / used_counts.sum()
    error_rate = 1 - float(np.trace(weight))
    mean = 1 - error_rate * (1 - float(off_diagonal(matrix).mean()))
    value, std, half = _value_deviation_and_half_width(weight, used_counts, matrix)
    wrong_share = weight.sum(axis=1) - np.diagonal(weight)
    ceiling = 1 - error_rate + float(wrong_share @ off_diagonal(matrix).max(axis=1))
    score = replace(score, value=value, null_mean=mean, null_std=std, ceiling=ceiling, low=value - half, high=value + half)
    if error_rate == 0.0:
        return replace(score, reason=ALWAYS_RIGHT)
    if not std:
        return replace(score, reason=NO_Z)
    return replace(score, z=(value - mean) / std, excess=(value - mean) / (1 - mean))


def _value_deviation_and_half_width(weight: Values, counts: Values, matrix: Values) -> tuple[float, float, float]:
    """Return the mean of a matrix over samples, the deviation of its chance level and half the width of its interval."""
    std = p_values.deviation(RelabelledMatrix(weight), RelabelledMatrix(matrix))
    half = NORMAL_95 * pooled_error(counts, matrix)
    return float((weight * matrix).sum()), std if std > MIN_DEVIATION else 0.0, half


def _reason_too_few_classes(classes: int) -> str:
    return f"{classes} classes: a hierarchy needs {MIN_CLASSES} or more"
