"""The difference of two networks in a metric, with a 95 % confidence interval and a
p-value **[ours]**.

Each difference has a standard error and degrees of freedom of Student's t, from which
interval and p-value follow:

- SAI and Max WSI: the jackknife over classes (`dsi_cli.metrics.jackknife`), or over
  clusters of classes. The same class or cluster is left out for both networks. The
  jackknife counts twice what is due to single pairs (Efron and Stein 1981,
  doi:10.1214/aos/1176345462). All of this is subtracted once from the variance of a
  difference in agreement over clusters, and in the interval over seeds and classes.
- IDM and accuracy: the linearization over samples (the infinitesimal jackknife, Jaeckel
  1972). If both networks were tested on the same samples, the effects of each sample on
  both are subtracted before they are squared.
- Means over repetitions: Welch's interval (Welch 1947, doi:10.1093/biomet/34.1-2.28).

The first two cover other classes, or other samples, for the same two trained networks.
Only the third covers other trainings. `holm` corrects for several comparisons (Holm
1979, www.jstor.org/stable/4615733).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import WSI_QUANTILE, idm, jackknife
from dsi_cli.metrics.alignment import CONSTANT, MIN_CLASSES, MatrixPair
from dsi_cli.metrics.cluster_jackknife import CorrelatedMatrices, rank_matrix
from dsi_cli.metrics.intervals import (
    LEVEL,
    Interval,
    freedom_of_sum,
    plain_interval,
    t_quantile,
)
from dsi_cli.metrics.measures import (
    Values,
    common_classes,
    off_diagonal,
    similarity_ranks,
)
from dsi_cli.metrics.prepared_matrix import PreparedMatrix
from dsi_cli.metrics.wsi import interpolated, max_wsi

Csm = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
CLUSTERS = "clusters"  # what a standard error over clusters of classes covers


@dataclass(frozen=True)
class Difference:
    """A metric of two networks and its difference; ``reason`` explains missing
    values.
    """

    first: float | None = None
    second: float | None = None
    value: float | None = None
    """The metric of the first network less that of the second."""
    error: float | None = None
    """The standard error of the difference; None without an interval."""
    freedom: float = 0.0
    """The degrees of freedom of Student's t."""
    reason: str | None = None
    covers: str | None = None
    """The source of variation that the standard error covers, if it is not that of
    single trainings.
    """
    seed_deviation: float | None = None
    """The standard deviation between repetitions of one network, pooled over both
    networks; None if neither has two.
    """
    seed_range: float | None = None
    """The prediction limit: the difference of 95 % of pairs of further repetitions of
    one network is at most as large.
    """

    def interval(self, level: float = LEVEL) -> Interval | None:
        """Return the confidence interval of a level, such as 0.95; None without a
        standard error.
        """
        if self.value is None or self.error is None:
            return None
        return plain_interval(self.value, self.error, self.freedom, level)

    @property
    def low(self) -> float | None:
        """The lower end of the 95 % confidence interval of the difference."""
        return (self.interval() or (None, None))[0]

    @property
    def high(self) -> float | None:
        """The upper end of the interval."""
        return (self.interval() or (None, None))[1]

    @property
    def p_value(self) -> float | None:
        """The two-sided p-value of no difference; None without a standard error."""
        from scipy.special import stdtr

        if self.value is None or self.error is None:
            return None
        if self.error == 0:
            return float(self.value == 0)
        return float(2 * stdtr(self.freedom, -abs(self.value) / self.error))

    @property
    def excludes_zero(self) -> bool | None:
        """True if the 95 % confidence interval excludes 0; None without an interval."""
        interval = self.interval()
        return None if interval is None else not interval[0] <= 0.0 <= interval[1]


class CsmPair(NamedTuple):
    """The two CSMs ``(C, C)`` of one network's SAI."""

    a: Csm
    b: Csm
    reliability: float = 1.0
    """The product of the reliabilities of both; a correlation is divided by its square
    root (`dsi_cli.metrics.split_half`).
    """


class LabelledPredictions(NamedTuple):
    """The samples of a split with a network's predictions."""

    targets: Integers
    """The class index of each sample ``(N,)``."""
    predictions: Integers
    """The predicted class index of each sample ``(N,)``."""
    # False if they cannot be matched with the samples of another network
    are_ordered: bool = True

    @classmethod
    def from_counts(cls, counts: Integers) -> LabelledPredictions:
        """Return samples with the given confusion counts ``(C, C)``, in no particular
        order.
        """
        row, column = np.nonzero(counts)
        times = counts[row, column]
        return cls(np.repeat(row, times), np.repeat(column, times), are_ordered=False)


class ClassEstimate(NamedTuple):
    """A metric of one network."""

    value: float | None = None
    without: Values | None = None
    """The metric without each class ``(C,)``, or without each cluster ``(G,)``."""
    pair_residuals: Values | None = None
    """See `CorrelatedMatrices.pair_residuals`; None if nothing is subtracted for single
    pairs.
    """
    reason: str | None = None
    """The reason for missing values."""


def difference_of_estimates(
    first: ClassEstimate, second: ClassEstimate, *, over_clusters: bool = False
) -> Difference:
    """Return the difference of two estimates over the same classes or clusters."""
    a, b, reason = first.value, second.value, first.reason or second.reason
    if a is None or b is None:
        return Difference(reason=reason)
    if first.without is None or second.without is None:
        return Difference(a, b, a - b, reason=reason)
    of_pairs = 0.0
    if first.pair_residuals is not None and second.pair_residuals is not None:
        residuals = first.pair_residuals - second.pair_residuals
        of_pairs = float(np.square(residuals).sum())
    variance = jackknife.variance(first.without - second.without, of_pairs, share=1.0)
    if variance is None:
        unit = "clusters" if over_clusters else "classes"
        reason = f"no interval: without one of the {unit} a matrix is constant"
        return Difference(a, b, a - b, reason=reason)
    covers = CLUSTERS if over_clusters else None
    freedom = len(first.without) - 1
    return Difference(a, b, a - b, variance**0.5, freedom, covers=covers)


def alignment_difference(
    first: CsmPair,
    second: CsmPair,
    measure: str = "cosine",
    clusters: Integers | None = None,
) -> Difference:
    """Return the difference of two networks' SAI excess over chance, which is 0 at
    chance and 1 at identity.

    Parameters
    ----------
    first, second : CSMs of the same classes in the same order
        A class with a NaN diagonal in any of the four matrices is left out.
    measure : a name from `dsi_cli.metrics.jackknife.MEASURES`
        The excess of ``pearson`` and ``spearman`` is the correlation itself.
    clusters : (C,) int, optional
        The cluster of each class, for a standard error of ``pearson`` over clusters.
    """
    kept = common_classes([first.a, first.b, second.a, second.b])
    estimates = [
        alignment_estimate(pair, kept, measure, clusters) for pair in (first, second)
    ]
    return difference_of_estimates(*estimates, over_clusters=clusters is not None)


def alignment_estimate(
    pair: CsmPair,
    kept: NDArray[np.intp],
    measure: str,
    clusters: Integers | None = None,
    *,
    is_repeated: bool = False,
) -> ClassEstimate:
    """Return the excess of a network's SAI over some classes; `alignment_difference`
    describes the parameters, and `agreement_estimate` ``is_repeated``.
    """
    if len(kept) < MIN_CLASSES:
        reason = (
            f"{len(kept)} classes in all matrices: a difference needs {MIN_CLASSES}"
        )
        return ClassEstimate(reason=f"{reason} or more")
    square = np.ix_(kept, kept)
    csms = [np.asarray(csm)[square] for csm in (pair.a, pair.b)]
    x, y = (PreparedMatrix(csm) for csm in csms)
    if x.is_constant or y.is_constant:
        return ClassEstimate(reason=CONSTANT)
    scale = pair.reliability**0.5
    if clusters is not None or (is_repeated and measure != "cosine"):
        if measure == "spearman":
            csms = list(map(rank_matrix, csms))
        of_class = None if clusters is None else clusters[kept]
        matrices = CorrelatedMatrices(csms, of_class)
        return agreement_estimate(matrices, 0, scale, is_repeated=is_repeated)
    both = MatrixPair(x, y, np.arange(len(kept)))
    entries = both.alignments([measure], 0, 0, 0, with_inference=False)
    excess = entries[measure].excess
    assert excess is not None
    without = jackknife.excess_without(both.matched(measure), measure)
    return ClassEstimate(excess / scale, without / scale)


def agreement_estimate(
    matrices: CorrelatedMatrices,
    index: int,
    scale: float = 1.0,
    *,
    is_repeated: bool = False,
) -> ClassEstimate:
    """Return the correlation of one of some CSMs with the last one, over classes or
    clusters of classes; all values are divided by a scale.

    Over clusters, and for one of several trainings (``is_repeated``), the estimate has
    what is due to single pairs.
    """

    def agreement(correlations: Values) -> Values:
        return np.asarray(correlations[..., index, -1] / scale)

    value, without = float(agreement(matrices.whole)), agreement(matrices.without)
    if matrices.clusters is None and not is_repeated:
        return ClassEstimate(value, without)
    return ClassEstimate(value, without, matrices.pair_residuals(agreement))


def max_wsi_difference(
    first: Csm,
    second: Csm,
    quantile: float = WSI_QUANTILE,
    clusters: Integers | None = None,
) -> Difference:
    """Return the difference of two networks' max WSI, from raw NCSMs ``(C, C)`` of the
    same classes in the same order.

    A class with a NaN diagonal in one of them is left out. ``clusters`` is the cluster
    of each class ``(C,)``, for a standard error over clusters.
    """
    kept = common_classes([first, second])
    estimates = [
        max_wsi_estimate(csm, kept, quantile, clusters) for csm in (first, second)
    ]
    return difference_of_estimates(*estimates, over_clusters=clusters is not None)


def max_wsi_estimate(
    csm: Csm,
    kept: NDArray[np.intp],
    quantile: float = WSI_QUANTILE,
    clusters: Integers | None = None,
) -> ClassEstimate:
    """Return the max WSI of a raw NCSM ``(C, C)`` over some classes;
    `max_wsi_difference` describes the parameters.
    """
    known = csm[np.ix_(kept, kept)]
    value = max_wsi(known, quantile)
    if len(kept) < MIN_CLASSES:
        reason = f"no interval: it needs {MIN_CLASSES} classes or more"
        return ClassEstimate(value, reason=reason)
    if clusters is None:
        return ClassEstimate(value, _max_wsi_without(known, quantile))
    labels = clusters[kept]
    without = []
    for cluster in np.unique(labels):
        rest = np.ix_(labels != cluster, labels != cluster)
        without.append(max_wsi(known[rest], quantile))
    return ClassEstimate(value, np.array(without))


class SampleMean(NamedTuple):
    """The mean of a quantity over the samples of a split."""

    samples: LabelledPredictions
    value: float | None = None
    effects: Values | None = None
    """The effect of each sample on the mean ``(N,)``."""
    counted: int = 0
    """The number of samples of which it is the mean."""
    reason: str | None = None
    """The reason for a missing value."""


def difference_of_means(first: SampleMean, second: SampleMean) -> Difference:
    """Return the difference of two means over samples; it is paired if both networks
    have the same targets.
    """
    a, b = first.value, second.value
    if a is None or b is None:
        return Difference(a, b, reason=first.reason or second.reason)
    counted = min(first.counted, second.counted)
    if counted < 2:
        reason = "no interval: a network made only one mistake"
        return Difference(a, b, a - b, reason=reason)
    return Difference(a, b, a - b, _error_over_samples(first, second), counted - 1)


def idm_difference(
    first: tuple[LabelledPredictions, Csm], second: tuple[LabelledPredictions, Csm]
) -> Difference:
    """Return the difference of two networks' IDM over mistakes alone; it is paired if
    both networks have the same targets.

    Each network has its samples and a CSM ``(C, C)``. Classes with a NaN diagonal and
    classes without a sample are left out.
    """
    return difference_of_means(mean_idm(*first), mean_idm(*second))


def mean_idm(samples: LabelledPredictions, csm: Csm) -> SampleMean:
    """Return a network's IDM over mistakes alone; `idm_difference` describes the
    parameters.
    """
    has_sample = np.isin(np.arange(len(csm)), samples.targets)
    kept = np.flatnonzero(~np.isnan(np.diagonal(csm)) & has_sample)
    if len(kept) < idm.MIN_CLASSES:
        reason = f"{len(kept)} classes: ranks need three or more"
        return SampleMean(samples, reason=reason)
    square = np.ix_(kept, kept)
    ranks = np.full(csm.shape, np.nan)
    ranks[square] = similarity_ranks(np.asarray(csm, dtype=np.float32)[square])
    distance = ranks[samples.targets, samples.predictions] / (len(kept) - 1)
    is_mistake = (samples.targets != samples.predictions) & ~np.isnan(distance)
    mistakes = int(is_mistake.sum())
    if not mistakes:
        return SampleMean(samples, reason=idm.NO_MISTAKE)
    mean = float(distance[is_mistake].mean())
    effects = np.where(is_mistake, mean - distance, 0.0) / mistakes
    return SampleMean(samples, 1 - mean, effects, mistakes)


def mean_accuracy(samples: LabelledPredictions) -> SampleMean:
    """Return a network's accuracy, if there are two samples or more."""
    is_hit = (samples.targets == samples.predictions).astype(np.float64)
    if len(is_hit) < 2:
        return SampleMean(samples, reason="fewer than two samples")
    effects = (is_hit - is_hit.mean()) / len(is_hit)
    return SampleMean(samples, float(is_hit.mean()), effects, len(is_hit))


def mean_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Return the difference of the means of two networks' repetitions, with Welch's
    interval and the spread of repetitions.

    >>> difference = mean_difference([0.50, 0.52, 0.51], [0.40, 0.42, 0.41])
    >>> round(difference.value, 3), round(difference.low, 3), round(difference.high, 3), difference.excludes_zero
    (0.1, 0.077, 0.123, True)
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if not len(a) or not len(b):
        return Difference(reason="no repetition has a value")
    means = float(a.mean()), float(b.mean())
    deviation, limit = _spread_of_repetitions(a, b)
    found = Difference(
        *means, means[0] - means[1], seed_deviation=deviation, seed_range=limit
    )
    if len(a) < 2 or len(b) < 2:
        reason = "an interval over repetitions needs two or more of each"
        return replace(found, reason=reason)
    variances = [float(side.var(ddof=1)) / len(side) for side in (a, b)]
    freedom = len(a) + len(b) - 2.0
    if any(variances):
        freedom = freedom_of_sum(variances, [len(a) - 1, len(b) - 1])
    return replace(found, error=sum(variances) ** 0.5, freedom=freedom)


def _spread_of_repetitions(a: Values, b: Values) -> tuple[float | None, float | None]:
    """Return the pooled standard deviation of two networks' repetitions, and the range
    of differences of 95 % of pairs.

    The range is Student's prediction interval of the difference of two further
    repetitions of one network, so few repetitions give a wide one. Both are None if no
    network has two repetitions.
    """
    freedom = len(a) + len(b) - 2
    if freedom == 0:
        return None, None
    squares = ((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()
    deviation = float((squares / freedom) ** 0.5)
    return deviation, t_quantile(freedom) * 2**0.5 * deviation


class HolmStep(NamedTuple):
    """One of several comparisons after the correction."""

    p_value: float
    """The corrected p-value."""
    level: float
    """The level of the confidence interval that excludes 0 exactly if the corrected
    p-value is below 0.05.
    """


def holm(p_values: Sequence[float]) -> list[HolmStep]:
    """Return the corrected p-value of each of several comparisons, and the level of its
    interval.

    >>> [(round(step.p_value, 3), round(step.level, 4)) for step in holm([0.04, 0.01, 0.03])]
    [(0.06, 0.975), (0.03, 0.9833), (0.06, 0.975)]
    """
    order = np.argsort(p_values, kind="stable")
    remaining = np.arange(len(p_values), 0, -1)
    corrected = np.minimum(
        np.maximum.accumulate(remaining * np.asarray(p_values)[order]), 1.0
    )
    # After the first comparison that is not rejected, no further one is, so that all of
    # them share its level.
    first = np.searchsorted(corrected, 1 - LEVEL)
    levels = 1 - (1 - LEVEL) / remaining[np.minimum(np.arange(len(order)), first)]
    return [
        HolmStep(float(corrected[place]), float(levels[place]))
        for place in np.argsort(order)
    ]


def _error_over_samples(first: SampleMean, second: SampleMean) -> float:
    """Return the standard error of a difference from the effect of each sample on the
    value of each network.
    """
    assert first.effects is not None
    assert second.effects is not None
    one, other = first.samples, second.samples
    are_ordered = one.are_ordered and other.are_ordered
    if are_ordered and np.array_equal(one.targets, other.targets):
        return float(np.linalg.norm(first.effects - second.effects))
    norms = np.linalg.norm(first.effects), np.linalg.norm(second.effects)
    return float(np.hypot(*norms))


def _max_wsi_without(csm: Csm, quantile: float) -> Values:
    """Return the max WSI ``(C,)`` with each class left out in turn."""
    classes = len(csm)
    values = np.asarray(csm, dtype=np.float64)
    others = ~np.eye(classes, dtype=bool)
    rising = np.sort(off_diagonal(values), axis=1)
    position = np.zeros((classes, classes), dtype=np.intp)
    position[others] = np.argsort(
        np.argsort(off_diagonal(values), axis=1), axis=1
    ).ravel()

    # The quantile of a row without one value lies between two of the other values.
    # Which ones depends on the place of that value.
    exact = quantile * (classes - 3)
    lower = int(np.floor(exact))
    upper = min(lower + 1, classes - 3)
    tails = np.zeros((classes, classes))
    for applies, below, above in (
        (position <= lower, lower + 1, upper + 1),
        ((position > lower) & (position <= upper), lower, upper + 1),
        (position > upper, lower, upper),
    ):
        quantiles = interpolated(rising[:, below], rising[:, above], exact - lower)
        in_tail = rising >= quantiles[:, None]
        is_own = values >= quantiles[:, None]
        total = (rising * in_tail).sum(axis=1, keepdims=True) - values * is_own
        with np.errstate(invalid="ignore", divide="ignore"):
            tails = np.where(
                applies, total / (in_tail.sum(axis=1, keepdims=True) - is_own), tails
            )
    return np.asarray(np.where(others, tails, 0.0).sum(axis=0) / (classes - 1))
