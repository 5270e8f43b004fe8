"""IDM, the Inverse Dissimilarity Metric: how similar confused classes are in a CSM
(arXiv 2505.21338, section 3.4).

A sample of class ``i`` with prediction ``j`` has the rank of ``j`` in row ``i`` of the
CSM. Ranks are by falling similarity from 1; ties have their mid-rank by default
**[choice]**, and the class itself has rank 0. ``DM`` is the mean rank over samples
divided by ``C - 1``, and ``IDM = 1 - DM``. It depends only on the confusion counts and
the CSM.

The IDM by the NCSM of the same epoch is the paper's NIDM, that by the reference matrix
(WordNet similarity) its WIDM. The chance level **[ours]** is that of random
relabellings of the CSM's classes; its deviation is exact by Mantel's moments, and the
p-value is that of `dsi_cli.metrics.p_values`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsi_cli.errors import UsageError, require_choice
from dsi_cli.metrics import p_values, permutation_null
from dsi_cli.metrics.measures import Values, similarity_ranks
from dsi_cli.metrics.p_values import RelabelledMatrix
from dsi_cli.metrics.prepared_matrix import PreparedMatrix
from dsi_cli.similarity import require_same_order

Indices = NDArray[np.intp]
VARIANTS = ("all", "errors", "macro")
TIES = ("average", "min", "max")
MIN_CLASSES = 3
NO_MISTAKE = "no mistake"
ALWAYS_RIGHT = f"{NO_MISTAKE}, so the value is its chance level"
NO_Z = "every relabelling gives the same value, so there is no z"
NORMAL_95 = 1.959963984540054
MIN_ERROR = 1e-12  # the smallest standard error that is more than rounding


@dataclass(frozen=True)
class Score:
    """An IDM, or a metric on a hierarchy, with chance level and confidence interval;
    ``reason`` explains missing values.
    """

    value: float | None = None
    null_mean: float | None = None
    """The mean over random relabellings of the classes, or over shuffles of the
    predictions: the chance level.
    """
    null_std: float | None = None
    """The standard deviation over relabellings or shuffles."""
    z: float | None = None
    """Standard deviations above chance; positive if predictions are better than by
    chance.
    """
    excess: float | None = None
    """The value relative to chance: 0 at chance, 1 at the best possible value of the
    metric.
    """
    ceiling: float | None = None
    """The value if every mistake were the least severe one of its class."""
    p_value: float | None = None
    """The share of relabellings with a value at least as large, one-sided; only for an
    IDM.
    """
    low: float | None = None
    """The lower end of the 95 % confidence interval from the variance over samples."""
    high: float | None = None
    classes_used: int = 0
    samples_used: int = 0
    reason: str | None = None
    variant: str | None = None
    """The variant of an IDM."""


class ChanceLevel(NamedTuple):
    """The chance level of the mean rank of mistakes: its deviation over all
    relabellings, and the p-value of a z.
    """

    std: float
    p_value: Callable[[float], float | None]


@dataclass(frozen=True)
class ConfusedPairs:
    """The P pairs of truth and prediction that occur, in row order, with their ranks in
    a CSM.
    """

    row: Indices
    """The class of the truth ``(P,)``."""
    column: Indices
    """The class of the prediction ``(P,)``."""
    count: Values
    """The number of samples ``(P,)``."""
    rank: Values
    """The rank of the prediction in the row of the truth ``(P,)``; 0 for correct
    predictions.
    """
    nearest: Values
    """The smallest rank in each row ``(C,)``."""
    mean_rank: float
    """The mean rank of the other classes over all rows."""

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.nearest)


def idm(
    counts: ArrayLike,
    csm: ArrayLike,
    *,
    ties: Literal["average", "min", "max"] = "average",
    seed: int = 0,
    may_draw: bool = True,
) -> dict[str, Score]:
    """Return the IDM ``1 - mean rank / (C - 1)`` of a confusion matrix by a CSM, with
    chance level and interval. Source: arXiv 2505.21338, section 3.4.

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth, columns the prediction.
    csm : (C, C) float
        Classes with a NaN diagonal and classes without a sample are left out. Ranks and
        ``C`` are those of the other classes, and samples whose truth or prediction is
        left out do not count.
    ties : {"average", "min", "max"}, the rank that equally similar classes share, as in
        `scipy.stats.rankdata`.
    seed : int, the seed of the random relabellings for the p-value of few classes, or
        of mistakes in few columns.
    may_draw : bool
        Whether classes may be relabelled at random. Without it, such p-values are
        missing.

    Returns
    -------
    dict
        The results in [0, 1] by variant: ``all`` samples, ``errors`` alone, and
        ``macro``, the mean over classes.

    Raises
    ------
    UsageError
        The two are not square matrices of one size (code ``not-square``), the counts
        are no counts (``not-confusion-counts``), two data frames have the same classes
        in different orders (``class-order``), or ``ties`` is another name
        (``unknown-ties``).

    Examples
    --------
    >>> csm = np.array([[1, 0.9, 0.1, 0.2], [0.9, 1, 0.2, 0.1], [0.1, 0.2, 1, 0.8], [0.2, 0.1, 0.8, 1]])
    >>> nearest = np.array([[5, 1, 0, 0], [1, 5, 0, 0], [0, 0, 5, 1], [0, 0, 1, 5]])
    >>> result = idm(nearest, csm)["errors"]
    >>> round(result.value, 3), round(result.null_mean, 3), result.value == result.ceiling
    (0.667, 0.333, True)
    """
    require_same_order(counts, csm)
    counts, csm = np.asarray(counts), np.asarray(csm)
    if (
        counts.ndim != 2
        or counts.shape != csm.shape
        or counts.shape[0] != counts.shape[1]
    ):
        message = (
            "an IDM needs counts and a CSM of one size; these have shapes"
            f" {counts.shape} and {csm.shape}"
        )
        raise UsageError(message, code="not-square", shapes=(counts.shape, csm.shape))
    if not ((counts >= 0) & (counts % 1 == 0)).all():
        raise UsageError(
            "the counts are not all whole numbers of 0 or more",
            code="not-confusion-counts",
        )
    require_choice("ties", ties, TIES, "unknown rank of ties")
    kept = np.flatnonzero(~np.isnan(np.diagonal(csm)) & (counts.sum(axis=1) > 0))
    used = counts[np.ix_(kept, kept)]
    prepared = PreparedMatrix(np.asarray(csm, dtype=np.float32)[np.ix_(kept, kept)])
    if ties == "average":
        ranks = None
    else:
        ranks = RelabelledMatrix(-similarity_ranks(prepared.matrix, ties))
    return idm_of_prepared(used, prepared, ranks, seed=seed, may_draw=may_draw)


def idm_of_prepared(
    counts: NDArray[np.integer[Any]],
    matrix: PreparedMatrix,
    ranks: RelabelledMatrix | None = None,
    *,
    seed: int = 0,
    may_draw: bool = True,
) -> dict[str, Score]:
    """Return the IDM of the counts ``(C, C)`` of classes with samples by a prepared CSM
    of these classes.

    ``ranks`` are its negated ranks, which are the mid-ranks if None.
    """
    missing = reason_no_idm(len(counts), int(counts.sum()))
    if missing is not None:
        return empty_result(missing, len(counts), int(counts.sum()))
    ranks = ranks or matrix.row_ranks
    rank = -ranks.values
    nearest = np.where(np.eye(len(rank), dtype=bool), np.inf, rank).min(axis=1)
    row, column = np.nonzero(counts)
    mean_rank = float(rank.sum()) / (rank.size - len(rank))
    weight = counts[row, column].astype(np.float64)
    pairs = ConfusedPairs(row, column, weight, rank[row, column], nearest, mean_rank)

    def chance_level(weight: Values) -> ChanceLevel:
        dense = np.zeros_like(rank)
        dense[row, column] = weight
        mistakes = RelabelledMatrix(dense)
        deviation = permutation_null.product_deviation(mistakes.moments, ranks.moments)
        return ChanceLevel(
            deviation,
            lambda z: p_values.p_value(mistakes, ranks, z, seed, may_draw=may_draw),
        )

    return idm_variants(pairs, chance_level)


def reason_no_idm(classes: int, samples: int) -> str | None:
    """Return why so many classes with samples have no IDM, or None if they have one."""
    if samples == 0:
        return "no sample"
    if classes < MIN_CLASSES:
        return f"{classes} classes: ranks need three or more"
    return None


def empty_result(reason: str, classes: int = 0, samples: int = 0) -> dict[str, Score]:
    """Return all variants without a value, with one reason."""
    used = {"classes_used": classes, "samples_used": samples}
    return {
        variant: Score(**used, reason=reason, variant=variant) for variant in VARIANTS
    }


def idm_variants(
    pairs: ConfusedPairs, chance_level: Callable[[Values], ChanceLevel]
) -> dict[str, Score]:
    """Return all variants of an IDM.

    ``chance_level`` is a function of the weights of the pairs, which are 0 for correct
    predictions and sum to 1.
    """
    samples = np.bincount(pairs.row, weights=pairs.count, minlength=pairs.classes)
    present = samples > 0
    share = pairs.count / samples[pairs.row]
    macro = share / present.sum()
    wrong, macro_wrong = (
        np.where(pairs.row == pairs.column, 0.0, weight)
        for weight in (pairs.count, macro)
    )
    errors = Score(classes_used=pairs.classes, reason=NO_MISTAKE, variant="errors")
    of_all = None
    of_macro = None
    if wrong.any():
        of_errors = chance_level(wrong / wrong.sum())
        errors = _variant(
            "errors", wrong, pairs, of_errors, pooled_error(wrong, pairs.rank)
        )
        # The mistakes among all samples are the same, and so are z and the p-value.
        of_all = ChanceLevel(of_errors.std, lambda _: errors.p_value)
        of_macro = chance_level(macro_wrong / macro_wrong.sum())
    # The variance of the mean over classes of their mean ranks is the sum of the
    # classes' variances.
    means = np.bincount(pairs.row, weights=share * pairs.rank, minlength=pairs.classes)
    spread = np.bincount(
        pairs.row,
        weights=share * np.square(pairs.rank - means[pairs.row]),
        minlength=pairs.classes,
    )
    macro_error = float(
        np.sqrt((spread[present] / samples[present]).sum()) / present.sum()
    )
    return {
        "all": _variant(
            "all", pairs.count, pairs, of_all, pooled_error(pairs.count, pairs.rank)
        ),
        "errors": errors,
        "macro": replace(
            _variant("macro", macro, pairs, of_macro, macro_error),
            samples_used=int(pairs.count.sum()),
        ),
    }


def _variant(
    variant: str,
    weight: Values,
    pairs: ConfusedPairs,
    level: ChanceLevel | None,
    error: float,
) -> Score:
    """Return a variant of an IDM; ``level`` is that of the mean rank of mistakes, and
    ``error`` that of the mean rank.
    """
    samples, weight = int(weight.sum()), weight / weight.sum()
    scale = pairs.classes - 1
    is_right = pairs.row == pairs.column
    value = 1 - float(weight @ pairs.rank) / scale
    error_rate = 1 - float(weight[is_right].sum())
    chance = 1 - error_rate * pairs.mean_rank / scale
    ceiling = (
        1 - float(np.where(is_right, 0.0, weight) @ pairs.nearest[pairs.row]) / scale
    )
    low, high = interval(value, error / scale)
    result = Score(
        value, chance, 0.0, ceiling=ceiling, low=low, high=high, variant=variant
    )
    result = replace(result, classes_used=pairs.classes, samples_used=samples)
    if level is None:
        return replace(result, reason=ALWAYS_RIGHT)
    std, gain = level.std * error_rate / scale, value - chance
    result = replace(result, null_std=std, excess=gain / (1 - chance))
    if std <= 0:
        return replace(result, reason=NO_Z)
    return replace(result, z=gain / std, p_value=level.p_value(gain / std))


def interval(value: float, error: float) -> tuple[float, float] | tuple[None, None]:
    """Return the 95 % confidence interval of a mean, or None twice if all samples are
    alike, such as a single mistake.
    """
    if error > MIN_ERROR:
        return (value - NORMAL_95 * error, value + NORMAL_95 * error)
    return (None, None)


def pooled_error(counts: Values, rank: Values) -> float:
    """Return the standard error of the mean rank over samples, from the numbers of
    samples and the rank of each number.
    """
    total = counts.sum()
    mean = (counts * rank).sum() / total
    return float(np.sqrt((counts * (rank - mean) ** 2).sum()) / total)
