"""IDM, the Inverse Dissimilarity Metric: how near a class's mistakes fall in a CSM (arXiv 2505.21338, section 3.4).

For truth ``i`` and prediction ``j`` the rank of ``j`` in row ``i`` of the CSM by falling similarity, from 1, ties at their
mid-rank **[choice]**, 0 for the class itself. ``DM`` is the mean rank over samples, over ``C - 1``; ``IDM = 1 - DM``. It is a
function of the confusion counts and the CSM alone.

With the NCSM of the same epoch it is the paper's NIDM, with WordNet's matrix its WIDM. The chance level **[ours]** is that of a
random relabelling of the CSM's classes; deviations are exact by Mantel's moments.
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
FEWEST_CLASSES = 3
ALWAYS_RIGHT = "no mistake, so chance gives the same"
NO_Z = "every relabelling gives the same value, so there is no z"
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class IdmResult:
    """One variant of an IDM and what it is worth; None where something does not exist, with the reason."""

    variant: str
    value: float | None = None
    null_mean: float | None = None
    null_std: float | None = None
    z: float | None = None
    """Standard deviations above chance."""
    excess: float | None = None
    """0 at chance, 1 where every prediction is right."""
    ceiling: float | None = None
    """Every mistake in its class's nearest rank, ties included."""
    low: float | None = None
    high: float | None = None
    """The 95 % interval from the variance of the samples' ranks."""
    classes_used: int = 0
    samples_used: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class ConfusedPairs:
    """The pairs of truth and prediction that occur, in the order of the rows of the counts, and what they rank.

    Attributes
    ----------
    row, column : (P,) the class of the truth and of the prediction
    count : (P,) the number of samples
    rank : (P,) the rank of the prediction in the row of the truth; 0 if they are the same
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
        """Whether truth and prediction are the same."""
        return np.equal(self.row, self.column, dtype=bool)

    def dense(self, values: Values) -> Values:
        """Return a matrix ``(C, C)`` that has these values in the cells, and 0 elsewhere."""
        matrix = np.zeros((self.classes, self.classes))
        matrix[self.row, self.column] = values
        return matrix


def similarity_ranks(csm: NDArray[np.floating[Any]]) -> Values:
    """Return the rank of each class in each row of a CSM ``(C, C)``, by falling similarity: 0 on the diagonal, else 1 to C-1.

    Ties have their mid-rank; equality is that of the values given.

    Examples
    --------
    >>> similarity_ranks(np.array([[1, 0.5, 0.5], [0.2, 1, 0.9], [0.1, 0.3, 1]])).tolist()
    [[0.0, 1.5, 1.5], [2.0, 0.0, 1.0], [2.0, 1.0, 0.0]]
    """
    out = np.zeros(csm.shape)
    rows = off_diagonal(csm).astype(np.float64)
    out[~np.eye(len(csm), dtype=bool)] = mid_ranks(-rows).ravel()
    return out


def idm(counts: NDArray[np.integer[Any]], csm: NDArray[np.floating[Any]]) -> dict[str, IdmResult]:
    """Return the IDM of a confusion matrix by a CSM: over all samples, over errors alone, and as the mean over classes.

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth, columns the prediction.
    csm : (C, C) float
        A class whose diagonal is NaN does not take part, nor does one without a sample: ranks and ``C`` are taken among
        the others, and samples whose truth or prediction is left out do not count.

    Raises
    ------
    UsageError
        The two differ in size.

    Examples
    --------
    >>> csm = np.array([[1, 0.9, 0.1, 0.2], [0.9, 1, 0.2, 0.1], [0.1, 0.2, 1, 0.8], [0.2, 0.1, 0.8, 1]])
    >>> nearest = np.array([[5, 1, 0, 0], [1, 5, 0, 0], [0, 0, 5, 1], [0, 0, 1, 5]])
    >>> found = idm(nearest, csm)["errors"]
    >>> round(found.value, 3), round(found.null_mean, 3), found.value == found.ceiling
    (0.667, 0.333, True)
    """
    if counts.ndim != 2 or counts.shape != csm.shape or counts.shape[0] != counts.shape[1]:
        raise UsageError(f"an IDM needs counts and a CSM of one size; these have shapes {counts.shape} and {csm.shape}")
    kept = np.flatnonzero(~np.isnan(np.diagonal(csm)) & (counts.sum(axis=1) > 0))
    used = counts[np.ix_(kept, kept)]
    missing = reason_no_idm(len(kept), int(used.sum()))
    if missing is not None:
        return empty_result(missing, len(kept), int(used.sum()))
    rank = similarity_ranks(np.asarray(csm, dtype=np.float32)[np.ix_(kept, kept)])
    nearest = np.where(np.eye(len(kept), dtype=bool), np.inf, rank).min(axis=1)
    row, column = np.nonzero(used)
    cells = ConfusedPairs(row, column, used[row, column].astype(np.float64), rank[row, column], nearest)
    return idm_variants(cells, lambda weight: null_deviation(cells.dense(weight), rank))


def reason_no_idm(classes: int, samples: int) -> str | None:
    """Return why there is no IDM of so many classes with samples, None if there is one."""
    if samples == 0:
        return "no sample"
    return f"{classes} classes: ranks need three or more" if classes < FEWEST_CLASSES else None


def empty_result(reason: str, classes: int = 0, samples: int = 0) -> dict[str, IdmResult]:
    """Return all variants without a value, for one reason."""
    used = {"classes_used": classes, "samples_used": samples}
    return {variant: IdmResult(variant, **used, reason=reason) for variant in VARIANTS}


def idm_variants(cells: ConfusedPairs, deviation: Callable[[Values], float]) -> dict[str, IdmResult]:
    """Return all variants of an IDM.

    Parameters
    ----------
    deviation
        Gives, for the weight of each cell, the standard deviation of the weighted sum of the ranks over all relabellings.
    """
    samples = int(cells.count.sum())
    used = dict.fromkeys(VARIANTS, samples) | {"errors": samples - int(cells.count[cells.right].sum())}
    weights = _weights(cells)
    return {
        one: replace(
            _variant(one, weights[one], cells, deviation) if one in weights else IdmResult(one, reason="no mistake"),
            classes_used=cells.classes,
            samples_used=used[one],
        )
        for one in VARIANTS
    }


def _weights(cells: ConfusedPairs) -> dict[str, Values]:
    """Return the weight of each cell for each variant that exists; the weights of a variant sum to 1."""
    samples = np.bincount(cells.row, weights=cells.count, minlength=cells.classes)
    wrong = np.where(cells.right, 0.0, cells.count)
    found = {"all": cells.count / cells.count.sum(), "macro": cells.count / samples[cells.row] / np.count_nonzero(samples)}
    return found | ({"errors": wrong / wrong.sum()} if wrong.any() else {})


def _variant(variant: str, weight: Values, cells: ConfusedPairs, deviation: Callable[[Values], float]) -> IdmResult:
    """Return a variant's value, chance level and interval: all follow from the cells' weights and ranks."""
    scale = cells.classes - 1
    off = np.where(cells.right, 0.0, weight)
    value = 1 - float(weight @ cells.rank) / scale
    wrong = 1 - float(weight[cells.right].sum())
    chance = 1 - wrong * (cells.classes / 2) / scale
    ceiling = 1 - float(off @ cells.nearest[cells.row]) / scale
    std = deviation(off) / scale
    if variant == "macro":
        error = _stratified_error(cells)
    else:
        error = pooled_error(np.where(cells.right, 0.0, cells.count) if variant == "errors" else cells.count, cells.rank)
    half = NORMAL_95 * error / scale
    entry = IdmResult(variant, value, chance, std, ceiling=ceiling, low=value - half, high=value + half)
    if wrong == 0.0:
        return replace(entry, reason=ALWAYS_RIGHT)
    z = (value - chance) / std if std > 0 else None
    reason = None if z is not None else NO_Z
    return replace(entry, z=z, excess=(value - chance) / (1 - chance), reason=reason)


def null_deviation(weight: Values, rank: Values) -> float:
    """Return the deviation of ``sum_ij weight_ij rank_ij`` over all relabellings of the classes of ``rank``, exact."""
    if len(rank) <= permutation_null.ENUMERATED:
        sums = [float((weight * rank[np.ix_(p, p)]).sum()) for p in permutation_null.every_relabelling(len(rank))]
        return float(np.std(sums))
    return permutation_null.product_deviation(permutation_null.Moments.of(weight), permutation_null.Moments.of(rank))


def pooled_error(counts: Values, rank: Values) -> float:
    """Return the standard error of the mean over samples of what ``rank`` gives each."""
    total = counts.sum()
    mean = (counts * rank).sum() / total
    return float(np.sqrt((counts * (rank - mean) ** 2).sum()) / total)


def _stratified_error(cells: ConfusedPairs) -> float:
    """Return the standard error of the mean over classes of their mean ranks."""
    samples = np.bincount(cells.row, weights=cells.count, minlength=cells.classes)
    share = cells.count / samples[cells.row]
    means = np.bincount(cells.row, weights=share * cells.rank, minlength=cells.classes)
    spread = np.bincount(cells.row, weights=share * np.square(cells.rank - means[cells.row]), minlength=cells.classes)
    present = samples > 0
    return float(np.sqrt((spread[present] / samples[present]).sum()) / present.sum())
