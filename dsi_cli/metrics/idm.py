"""IDM, the Inverse Dissimilarity Metric: how similar confused classes are in a CSM (arXiv 2505.21338, section 3.4).

A sample of class ``i`` with prediction ``j`` has the rank of ``j`` in row ``i`` of the CSM. Ranks are by falling similarity from 1;
ties have their mid-rank **[choice]**, and the class itself has rank 0. ``DM`` is the mean rank over samples divided by ``C - 1``,
and ``IDM = 1 - DM``. It depends only on the confusion counts and the CSM.

The IDM by the NCSM of the same epoch is the paper's NIDM, that by the reference matrix (WordNet similarity) its WIDM. The chance
level **[ours]** is that of random relabellings of the CSM's classes; its deviation is exact by Mantel's moments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import permutation_null
from dsi_cli.metrics.measures import Values, mid_ranks, off_diagonal

Indices = NDArray[np.intp]

VARIANTS = ("all", "errors", "macro")
MIN_CLASSES = 3
ALWAYS_RIGHT = "no mistake, so the value is its chance level"
NO_Z = "every relabelling gives the same value, so there is no z"
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class IdmResult:
    """One variant of an IDM with its chance level and confidence interval; missing values are None and have a ``reason``."""

    variant: str
    value: float | None = None
    """In [0, 1]; 1 if every prediction is correct."""
    null_mean: float | None = None
    """The mean over random relabellings of the classes: the chance level."""
    null_std: float | None = None
    """The standard deviation over random relabellings."""
    z: float | None = None
    """Standard deviations above chance."""
    excess: float | None = None
    """The value relative to chance: 0 at chance, 1 if every prediction is correct."""
    ceiling: float | None = None
    """The value if every mistake had the smallest rank of its class."""
    low: float | None = None
    """The lower end of the 95 % confidence interval from the variance of the samples' ranks."""
    high: float | None = None
    """The upper end of the interval."""
    classes_used: int = 0
    samples_used: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class ConfusedPairs:
    """The pairs of truth and prediction that occur, in row order, with their ranks in a CSM.

    Attributes
    ----------
    row : (P,) the class of the truth
    column : (P,) the class of the prediction
    count : (P,) the number of samples
    rank : (P,) the rank of the prediction in the row of the truth; 0 for correct predictions
    nearest : (C,) the smallest rank in each row
    """

    row: Indices
    column: Indices
    count: Values
    rank: Values
    nearest: Values

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.nearest)

    @property
    def right(self) -> NDArray[np.bool_]:
        """The pairs ``(P,)`` whose prediction is correct."""
        return np.equal(self.row, self.column, dtype=bool)

    def dense(self, values: Values) -> Values:
        """Return a matrix ``(C, C)`` with one value for each pair, and 0 elsewhere."""
        matrix = np.zeros((self.classes, self.classes))
        matrix[self.row, self.column] = values
        return matrix


def similarity_ranks(csm: NDArray[np.floating[Any]]) -> Values:
    """Return the rank of each class in each row of a CSM ``(C, C)`` by falling similarity: 0 on the diagonal, else 1 to C-1.

    Ties, which are exactly equal values, have their mid-rank.

    Examples
    --------
    >>> similarity_ranks(np.array([[1, 0.5, 0.5], [0.2, 1, 0.9], [0.1, 0.3, 1]])).tolist()
    [[0.0, 1.5, 1.5], [2.0, 0.0, 1.0], [2.0, 1.0, 0.0]]
    """
    ranks = np.zeros(csm.shape)
    rows = off_diagonal(csm).astype(np.float64)
    ranks[~np.eye(len(csm), dtype=bool)] = mid_ranks(-rows).ravel()
    return ranks


def idm(counts: NDArray[np.integer[Any]], csm: NDArray[np.floating[Any]]) -> dict[str, IdmResult]:
    """Return the IDM ``1 - mean rank / (C - 1)`` of a confusion matrix by a CSM, with chance level and interval.

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth, columns the prediction.
    csm : (C, C) float
        Classes with a NaN diagonal and classes without a sample are left out. Ranks and ``C`` are those of the other
        classes, and samples whose truth or prediction is left out do not count.

    Returns
    -------
    dict
        The results in [0, 1] by variant: ``all`` samples, ``errors`` alone, and ``macro``, the mean over classes. Ties have
        their mid-rank.

    Raises
    ------
    UsageError
        The two are not square matrices of one size (code ``not-square``).

    Examples
    --------
    >>> csm = np.array([[1, 0.9, 0.1, 0.2], [0.9, 1, 0.2, 0.1], [0.1, 0.2, 1, 0.8], [0.2, 0.1, 0.8, 1]])
    >>> nearest = np.array([[5, 1, 0, 0], [1, 5, 0, 0], [0, 0, 5, 1], [0, 0, 1, 5]])
    >>> result = idm(nearest, csm)["errors"]
    >>> round(result.value, 3), round(result.null_mean, 3), result.value == result.ceiling
    (0.667, 0.333, True)
    """
    if counts.ndim != 2 or counts.shape != csm.shape or counts.shape[0] != counts.shape[1]:
        raise UsageError(
            f"an IDM needs counts and a CSM of one size; these have shapes {counts.shape} and {csm.shape}",
            code="not-square",
            shapes=(counts.shape, csm.shape),
        )
    kept = np.flatnonzero(~np.isnan(np.diagonal(csm)) & (counts.sum(axis=1) > 0))
    used = counts[np.ix_(kept, kept)]
    missing = reason_no_idm(len(kept), int(used.sum()))
    if missing is not None:
        return empty_result(missing, len(kept), int(used.sum()))
    rank = similarity_ranks(np.asarray(csm, dtype=np.float32)[np.ix_(kept, kept)])
    nearest = np.where(np.eye(len(kept), dtype=bool), np.inf, rank).min(axis=1)
    row, column = np.nonzero(used)
    pairs = ConfusedPairs(row, column, used[row, column].astype(np.float64), rank[row, column], nearest)
    return idm_variants(pairs, lambda weight: null_deviation(pairs.dense(weight), rank))


def reason_no_idm(classes: int, samples: int) -> str | None:
    """Return why so many classes with samples have no IDM, or None if they have one."""
    if samples == 0:
        return "no sample"
    return f"{classes} classes: ranks need three or more" if classes < MIN_CLASSES else None


def empty_result(reason: str, classes: int = 0, samples: int = 0) -> dict[str, IdmResult]:
    """Return all variants without a value, with one reason."""
    used = {"classes_used": classes, "samples_used": samples}
    return {variant: IdmResult(variant, **used, reason=reason) for variant in VARIANTS}


def idm_variants(pairs: ConfusedPairs, deviation: Callable[[Values], float]) -> dict[str, IdmResult]:
    """Return all variants of an IDM.

    Parameters
    ----------
    deviation
        A function of the weights of the pairs. It returns the standard deviation of the weighted sum of the ranks over all
        relabellings.
    """
    samples = np.bincount(pairs.row, weights=pairs.count, minlength=pairs.classes)
    wrong = np.where(pairs.right, 0.0, pairs.count)
    # The weights of the pairs sum to 1 for each variant.
    weights = {
        "all": pairs.count / pairs.count.sum(),
        "macro": pairs.count / samples[pairs.row] / np.count_nonzero(samples),
    }
    if wrong.any():
        weights["errors"] = wrong / wrong.sum()
    results = {}
    for variant in VARIANTS:
        result = IdmResult(variant, reason="no mistake")
        if variant in weights:
            result = _variant(variant, weights[variant], pairs, deviation)
        used = int(wrong.sum()) if variant == "errors" else int(pairs.count.sum())
        results[variant] = replace(result, classes_used=pairs.classes, samples_used=used)
    return results


def _variant(variant: str, weight: Values, pairs: ConfusedPairs, deviation: Callable[[Values], float]) -> IdmResult:
    """Return a variant's value, chance level and interval from the weights and ranks of the pairs."""
    scale = pairs.classes - 1
    wrong_weight = np.where(pairs.right, 0.0, weight)
    value = 1 - float(weight @ pairs.rank) / scale
    error_rate = 1 - float(weight[pairs.right].sum())
    chance = 1 - error_rate * (pairs.classes / 2) / scale
    ceiling = 1 - float(wrong_weight @ pairs.nearest[pairs.row]) / scale
    std = deviation(wrong_weight) / scale
    if variant == "macro":
        error = _stratified_error(pairs)
    elif variant == "errors":
        error = pooled_error(np.where(pairs.right, 0.0, pairs.count), pairs.rank)
    else:
        error = pooled_error(pairs.count, pairs.rank)
    half = NORMAL_95 * error / scale
    result = IdmResult(variant, value, chance, std, ceiling=ceiling, low=value - half, high=value + half)
    if error_rate == 0.0:
        return replace(result, reason=ALWAYS_RIGHT)
    result = replace(result, excess=(value - chance) / (1 - chance))
    if std > 0:
        return replace(result, z=(value - chance) / std)
    return replace(result, reason=NO_Z)


def null_deviation(weight: Values, rank: Values) -> float:
    """Return the exact deviation of ``sum_ij weight_ij rank_ij`` over all relabellings of the classes of ``rank``."""
    if len(rank) <= permutation_null.MAX_ENUMERATED_CLASSES:
        sums = [float((weight * rank[np.ix_(p, p)]).sum()) for p in permutation_null.every_relabelling(len(rank))]
        return float(np.std(sums))
    return permutation_null.product_deviation(permutation_null.Moments.of(weight), permutation_null.Moments.of(rank))


def pooled_error(counts: Values, rank: Values) -> float:
    """Return the standard error of the mean rank over samples.

    Parameters
    ----------
    counts : the numbers of samples
    rank : the rank of each sample that the same entry of ``counts`` counts
    """
    total = counts.sum()
    mean = (counts * rank).sum() / total
    return float(np.sqrt((counts * (rank - mean) ** 2).sum()) / total)


def _stratified_error(pairs: ConfusedPairs) -> float:
    """Return the standard error of the mean over classes of their mean ranks."""
    samples = np.bincount(pairs.row, weights=pairs.count, minlength=pairs.classes)
    share = pairs.count / samples[pairs.row]
    means = np.bincount(pairs.row, weights=share * pairs.rank, minlength=pairs.classes)
    spread = np.bincount(pairs.row, weights=share * np.square(pairs.rank - means[pairs.row]), minlength=pairs.classes)
    present = samples > 0
    return float(np.sqrt((spread[present] / samples[present]).sum()) / present.sum())
