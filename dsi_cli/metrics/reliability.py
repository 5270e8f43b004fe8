"""The reliability of a network's similarities over seeds, and the agreement corrected
for it **[ours]**.

Two trainings that differ only by the seed have different similarity matrices. Their
mean correlation is the *reliability* (1 if the seed does not matter). Noise of the seed
lowers the agreement with a reference by the square root of the reliability. The
*corrected agreement* is the agreement divided by it (Spearman 1904,
doi:10.2307/1412159), an estimate of the agreement of the mean matrix of infinitely many
seeds. Noise ceilings of representational similarity analysis have the same purpose
(Nili et al. 2014, doi:10.1371/journal.pcbi.1003553; Schuett et al. 2023,
doi:10.7554/eLife.82566).

The variance over seeds is that of the jackknife over seeds, and the variance over
classes that of the jackknife over classes. Both contain the noise of single classes in
single seeds. So the joint variance is their sum less this part, which is the variance
of the interaction of both jackknives. What is due to single pairs of classes, which the
jackknife counts twice, is subtracted once from both (Efron and Stein 1981,
doi:10.1214/aos/1176345462). The joint variance equals 2 (V_seeds + V_classes) - V_both of the
dual bootstrap of Schuett et al., where V_both is the sum of all three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, product
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.cluster_jackknife import (
    CorrelatedMatrices,
    Csm,
    Statistic,
    interval,
)
from dsi_cli.metrics.differences import Difference
from dsi_cli.metrics.intervals import Interval, freedom_of_sum
from dsi_cli.metrics.jackknife import variance
from dsi_cli.metrics.measures import Values

Training = TypeVar("Training")
MIN_SEEDS = 3  # the number of seeds that an interval over seeds needs


def agreement(correlations: Values) -> Values:
    """Return the mean correlation of the seeds with the reference, which is the last of
    the correlated matrices ``(..., S + 1, S + 1)``.
    """
    return np.asarray(correlations[..., :-1, -1].mean(axis=-1))


def reliability(correlations: Values) -> Values:
    """Return the mean correlation of two seeds; NaN for a single seed."""
    first, second = np.triu_indices(correlations.shape[-1] - 1, 1)
    if not len(first):
        return np.full(correlations.shape[:-2], np.nan)
    return np.asarray(correlations[..., first, second].mean(axis=-1))


def corrected_agreement(correlations: Values) -> Values:
    """Return the agreement divided by the square root of the reliability; NaN if the
    reliability is not above 0.
    """
    noise = reliability(correlations)
    noise = np.where(noise > 0, noise, np.nan)
    return np.asarray(agreement(correlations) / np.sqrt(noise))


STATISTICS: Mapping[str, Statistic] = {
    "agreement": agreement,
    "reliability": reliability,
    "corrected": corrected_agreement,
}


class Variance(NamedTuple):
    """A variance with its degrees of freedom."""

    value: float
    freedom: float


class SeedEstimate(NamedTuple):
    """A statistic of several seeds, and its values without some of them."""

    value: float
    without_seed: Values  # (S,)
    without_cluster: Values  # (G,)
    without_both: Values  # (S, G)
    pair_variance: float = 0.0  # see `CorrelatedMatrices.pair_variance`
    pair_noise: float = 0.0  # the part of it that differs between seeds

    def variances(self) -> dict[str, Variance]:
        """Return the variance over ``seeds``, over ``classes`` (or clusters of
        classes), and over ``both``, as far as they are known.
        """
        found = {}
        seeds, clusters = self.without_both.shape
        of_seeds = variance(self.without_seed)
        of_classes = variance(self.without_cluster, self.pair_variance)
        if of_seeds is not None:
            found["seeds"] = Variance(of_seeds, seeds - 1)
        if of_classes is not None:
            found["classes"] = Variance(of_classes, clusters - 1)
        if of_seeds is None or of_classes is None:
            return found

        # The interaction is what a class has of its own in a seed, in both jackknives.
        own = self.without_both - self.without_seed[:, None] - self.without_cluster
        own = own - own.mean(axis=0) - own.mean(axis=1)[:, None] + own.mean()
        scale = (seeds - 1) / seeds * (clusters - 1) / clusters
        noise = scale * float(np.square(own).sum())
        # Both count twice what is due to single pairs, which is subtracted once.
        noise = max(noise - self.pair_noise, noise / 2)
        once = variance(self.without_cluster, self.pair_variance, share=1.0) or 0.0
        joint = max(of_seeds + once - noise, of_seeds, once)
        freedom = seeds - 1.0
        if joint > 0:
            freedom = freedom_of_sum([of_seeds, once], [seeds - 1, clusters - 1])
        found["both"] = Variance(joint, freedom)
        return found

    def interval(self, over: str = "both") -> Interval | None:
        """Return the 95 % confidence interval over ``seeds``, ``classes`` or ``both``;
        None if it is unknown.
        """
        known = self.variances().get(over)
        return None if known is None else interval(self.value, *known)


def seed_estimates(
    csms: Csm,
    reference: Csm,
    clusters: NDArray[np.integer[Any]] | None = None,
) -> dict[str, SeedEstimate]:
    """Return the estimates of `STATISTICS` for the CSMs ``(S, C, C)`` of several seeds
    and a reference ``(C, C)`` of the same classes.

    ``clusters`` is the cluster of each class ``(C,)``, for variances over clusters of
    classes. Values that are not known are NaN.
    """
    matrices = CorrelatedMatrices([*csms, reference], clusters)
    seeds = range(len(csms))
    whole_without = [_without_row(matrices.whole, seed) for seed in seeds]
    both_without = [_without_row(matrices.without, seed) for seed in seeds]
    return {
        name: SeedEstimate(
            value=float(statistic(matrices.whole)),
            without_seed=np.array([statistic(one) for one in whole_without]),
            without_cluster=statistic(matrices.without),
            without_both=np.array([statistic(one) for one in both_without]),
            pair_variance=matrices.pair_variance(statistic),
            pair_noise=_pair_noise(matrices, statistic),
        )
        for name, statistic in STATISTICS.items()
    }


def _pair_noise(matrices: CorrelatedMatrices, statistic: Statistic) -> float:
    """Return the part of the interaction of the jackknives over seeds and over classes
    that is due to single pairs of classes.
    """
    seeds = len(matrices.csms) - 1
    total, squares = np.zeros(()), 0.0
    for seed in range(seeds):
        residuals = matrices.pair_residuals(partial(_without_seed, statistic, seed))
        total = total + residuals
        squares += float(np.square(residuals).sum())
    of_mean = float(np.square(total).sum()) / seeds
    return (seeds - 1) / seeds * (squares - of_mean)


def _without_seed(statistic: Statistic, seed: int, correlations: Values) -> Values:
    return statistic(_without_row(correlations, seed))


def _without_row(correlations: Values, index: int) -> Values:
    """Return correlations ``(..., M, M)`` without one of the matrices."""
    return np.delete(np.delete(correlations, index, axis=-1), index, axis=-2)


def joint_difference(
    first: Sequence[Training],
    second: Sequence[Training],
    difference: Callable[[Training, Training], Difference],
    over_seeds: Difference,
) -> Difference:
    """Return a difference of the means of two networks' repetitions with a standard
    error over seeds and units together, or over seeds alone if another error is
    unknown; the units are classes, clusters of classes or test images.

    The effect of a unit on the difference of the means is the mean of its effects on
    the differences of single trainings. Their squared sum follows from the variances of
    pairs of trainings, as the distance of two centroids from the distances of points.

    Parameters
    ----------
    first, second : the trainings of each network.
    difference : returns the difference of two trainings, with its error over units.
    over_seeds : the difference of the means, with Welch's standard error.
    """
    if over_seeds.error is None:
        return over_seeds
    between = [difference(one, other) for one, other in product(first, second)]
    found = list(between)
    of_units, noise = _mean_variance(between), 0.0
    for side in (first, second):
        within = [difference(one, other) for one, other in combinations(side, 2)]
        found += within
        # half the variance of a difference is that of a training
        own = _mean_variance(within) / 2
        of_units -= own * (1 - 1 / len(side))
        noise += own / len(side)
    if any(pair.error is None for pair in found):
        return over_seeds
    of_units = max(of_units, 0.0)
    of_seeds = over_seeds.error**2
    joint = max(of_seeds + of_units - noise, of_seeds, of_units)
    if joint == 0:
        return over_seeds
    freedoms = over_seeds.freedom, min(pair.freedom for pair in found)
    freedom = freedom_of_sum([of_seeds, of_units], freedoms)
    covers = between[0].covers
    return replace(over_seeds, error=joint**0.5, freedom=freedom, covers=covers)


def _mean_variance(found: Sequence[Difference]) -> float:
    """Return the mean squared standard error of differences; one without an error
    counts as 0.
    """
    return float(np.mean([(pair.error or 0.0) ** 2 for pair in found]))
