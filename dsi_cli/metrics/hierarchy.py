"""How bad mistakes are by a hierarchy of the classes: severity, and accuracy with groups of classes as one.

Both are the mean over samples of what a matrix gives each pair of truth and prediction. The chance level **[ours]** is that of
every metric here, a random relabelling of that matrix's classes: its mean and deviation are exact. Right answers stay right.

Classes without a sample, and those that the hierarchy lacks, do not take part, nor do samples whose truth or prediction is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.idm import NORMAL_95, null_deviation, pooled_error
from dsi_cli.metrics.measures import Values, off_diagonal

Counts = NDArray[np.integer[Any]]

NO_MISTAKE = "no mistake"
ALWAYS_THE_SAME = "every relabelling gives the same value, so there is no z"
FEWEST_CLASSES = 3
SAME_VALUE = 1e-12
"""A deviation below this is rounding."""


@dataclass(frozen=True)
class HierarchyScore:
    """One of the two metrics and what it is worth; None where something does not exist, with the reason."""

    value: float | None = None
    null_mean: float | None = None
    null_std: float | None = None
    z: float | None = None
    """Deviations above chance; positive where mistakes are less bad."""
    excess: float | None = None
    """0 at chance, 1 where no mistake is bad at all."""
    ceiling: float | None = None
    """Every mistake the least bad that its class allows."""
    low: float | None = None
    high: float | None = None
    """The 95 % interval from the variance over samples."""
    classes_used: int = 0
    samples_used: int = 0
    reason: str | None = None


def severity(counts: Counts, heights: NDArray[np.floating[Any]]) -> HierarchyScore:
    """Return the mean height of the lowest common hypernym of truth and prediction over mistakes; lower is better.

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth, columns the prediction.
    heights : (C, C)
        0 or more; NaN on the diagonal marks a class without a synset.

    Notes
    -----
    ``z`` is positive where mistakes are less severe than by chance, and ``excess`` is 1 at severity 0. Source: Bertinetto et
    al. 2020 (arXiv 1912.09393).

    Examples
    --------
    >>> heights = np.array([[0, 1, 3, 3], [1, 0, 3, 3], [3, 3, 0, 1], [3, 3, 1, 0.0]])
    >>> near = np.array([[5, 1, 0, 0], [1, 5, 0, 0], [0, 0, 5, 1], [0, 0, 1, 5]])
    >>> found = severity(near, heights)
    >>> found.value, round(found.null_mean, 3), found.value == found.ceiling
    (1.0, 2.333, True)
    """
    kept = np.flatnonzero(~np.isnan(np.diagonal(heights)) & (counts.sum(axis=1) > 0))
    wrong: Values = counts[np.ix_(kept, kept)].astype(np.float64)
    np.fill_diagonal(wrong, 0.0)
    used = HierarchyScore(classes_used=len(kept), samples_used=int(wrong.sum()))
    if not wrong.any() or len(kept) < FEWEST_CLASSES:
        return replace(used, reason=_why_nothing(len(kept)))
    matrix: Values = np.asarray(heights, dtype=np.float64)[np.ix_(kept, kept)]
    weight = wrong / wrong.sum()
    mean = float(off_diagonal(matrix).mean())
    least = off_diagonal(matrix).min(axis=1)
    found = _measured(used, weight, wrong, matrix, mean)
    assert found.value is not None
    z = None if not found.null_std else (mean - found.value) / found.null_std
    excess = 1 - found.value / mean if mean > 0 else None
    return replace(
        found,
        z=z,
        excess=excess,
        ceiling=float(weight.sum(axis=1) @ least),
        reason=None if z is not None else ALWAYS_THE_SAME,
    )


def superclass_accuracy(counts: Counts, superclasses: NDArray[np.integer[Any]]) -> HierarchyScore:
    """Return the share of samples that are predicted as a class of the right superclass, in [0, 1].

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth, columns the prediction.
    superclasses : (C,) int
        The superclass of each class; one that is alone in its superclass is right only by itself.

    Notes
    -----
    Accuracy is part of the chance level, since a relabelling leaves right answers right; so what is left is not accuracy again.

    Examples
    --------
    >>> near = np.array([[5, 1, 0, 0], [1, 5, 0, 0], [0, 0, 5, 1], [0, 0, 1, 5]])
    >>> found = superclass_accuracy(near, np.array([0, 0, 1, 1]))
    >>> found.value, round(found.null_mean, 3)
    (1.0, 0.889)
    """
    kept = np.flatnonzero(counts.sum(axis=1) > 0)
    used_counts: Values = counts[np.ix_(kept, kept)].astype(np.float64)
    used = HierarchyScore(classes_used=len(kept), samples_used=int(used_counts.sum()))
    if not used_counts.any() or len(kept) < FEWEST_CLASSES:
        return replace(used, reason=_why_nothing(len(kept), "no sample"))
    matrix = (superclasses[kept, None] == superclasses[kept]).astype(np.float64)
    weight = used_counts / used_counts.sum()
    wrong = 1 - float(np.trace(weight))
    mean = 1 - wrong * (1 - float(off_diagonal(matrix).mean()))
    most = off_diagonal(matrix).max(axis=1)
    found = _measured(used, weight, used_counts, matrix, mean)
    off = weight.sum(axis=1) - np.diagonal(weight)
    found = replace(found, ceiling=1 - wrong + float(off @ most))
    assert found.value is not None
    if wrong == 0.0:
        return replace(found, reason=f"{NO_MISTAKE}, so chance gives the same")
    if not found.null_std:
        return replace(found, reason=ALWAYS_THE_SAME)
    return replace(found, z=(found.value - mean) / found.null_std, excess=(found.value - mean) / (1 - mean))


def _measured(used: HierarchyScore, weight: Values, counts: Values, matrix: Values, mean: float) -> HierarchyScore:
    """Return the mean of a matrix over samples, its chance level and its interval."""
    value = float((weight * matrix).sum())
    half = NORMAL_95 * pooled_error(counts, matrix)
    std = null_deviation(weight, matrix)
    std = std if std > SAME_VALUE else 0.0
    return replace(used, value=value, null_mean=mean, null_std=std, low=value - half, high=value + half)


def _why_nothing(classes: int, otherwise: str = NO_MISTAKE) -> str:
    if classes < FEWEST_CLASSES:
        return f"{classes} classes: a hierarchy needs {FEWEST_CLASSES} or more"
    return otherwise
