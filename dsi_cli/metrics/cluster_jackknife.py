"""Statistics of the correlations of several CSMs, with their variance over classes or
over clusters of classes **[ours]**.

The classes of a data set stand for a population. If it has clusters, such as the 20
superclasses of CIFAR-100, the classes of one cluster are not independent. Leaving out
one cluster at a time gives the variance over other clusters, and leaving out one class
at a time that over other classes of the same clusters (the delete-a-group jackknife,
Kott 2001, www.scb.se/jos).

The jackknife counts twice what is due to single pairs of classes. Half of this is
subtracted, as in `dsi_cli.metrics.jackknife`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import jackknife
from dsi_cli.metrics.intervals import Interval, fisher_interval
from dsi_cli.metrics.measures import Values, mid_ranks, off_diagonal
from dsi_cli.metrics.permutation_null import (
    Moments,
    centred_off_diagonal,
    product_deviation,
)

Csm = NDArray[np.floating[Any]]
Statistic = Callable[[Values], Values]
"""A function of correlation matrices ``(..., M, M)`` with one value each ``(...)``."""
GRADIENT_STEP = 1e-5  # the change of a correlation for a numerical derivative
CONSTANT_SHARE = 1e-12  # a smaller share of the squared sum is rounding


@dataclass(frozen=True, eq=False)
class CorrelatedMatrices:
    """Several CSMs of the same classes, and the correlations of their off-diagonal
    values.

    Parameters
    ----------
    csms : (M, C, C) float
        Finite values; the diagonals do not matter.
    clusters : (C,) int, optional
        The cluster of each class; each class is a cluster of its own by default.
    pairs : (C, C) bool, optional
        The pairs of classes that count, a symmetric matrix; all by default.
    """

    csms: Csm | Sequence[Csm]
    clusters: NDArray[np.integer[Any]] | None = None
    pairs: NDArray[np.bool_] | None = None

    @cached_property
    def counted(self) -> Values:
        """1 for the pairs of classes that count, and 0 for others ``(C, C)``."""
        classes = len(self.csms[0])
        counted = np.ones((classes, classes)) if self.pairs is None else self.pairs
        return counted * (1.0 - np.eye(classes))

    @cached_property
    def centred(self) -> Values:
        """The values less their mean ``(M, C, C)``; 0 for pairs that do not count."""
        values = np.asarray(self.csms, dtype=np.float64)
        values = np.where(self.counted > 0, values, 0.0)
        means = values.sum(axis=(1, 2)) / self.counted.sum()
        return (values - means[:, None, None]) * self.counted

    @cached_property
    def cluster(self) -> NDArray[np.intp]:
        """The index of the cluster of each class ``(C,)``, from 0 to G-1."""
        classes = np.arange(len(self.counted))
        of_class = classes if self.clusters is None else self.clusters
        return np.unique(of_class, return_inverse=True)[1]

    @property
    def number(self) -> int:
        """The number of clusters, G."""
        return int(self.cluster.max()) + 1

    @cached_property
    def whole(self) -> Values:
        """The correlations over all classes ``(M, M)``; NaN for a constant CSM."""
        flat = self.centred.reshape(len(self.csms), -1)
        return _correlations(flat @ flat.T, flat.sum(axis=1), self.counted.sum())

    @cached_property
    def without(self) -> Values:
        """The correlations without each cluster of classes ``(G, M, M)``."""
        is_within = (self.cluster[:, None] == self.cluster).astype(np.float64)

        def sums_without(values: Values) -> Values:
            """Return the sum of values ``(C, C)`` without each cluster ``(G,)``."""
            # The values within a cluster are in its rows and in its columns.
            within = np.einsum("ij,ij->i", values, is_within)
            of_class = values.sum(axis=0) + values.sum(axis=1) - within
            return np.asarray(values.sum() - np.bincount(self.cluster, of_class))

        matrices = len(self.csms)
        products = np.empty((self.number, matrices, matrices))
        for i, j in combinations_with_replacement(range(matrices), 2):
            product = sums_without(self.centred[i] * self.centred[j])
            products[:, i, j] = products[:, j, i] = product
        sums = np.stack([sums_without(values) for values in self.centred], axis=1)
        return _correlations(products, sums, sums_without(self.counted))

    def variance(self, statistic: Statistic) -> float | None:
        """Return the variance of a statistic over classes, or over clusters of classes;
        None if a matrix without one of them is constant.
        """
        pair_variance = self.pair_variance(statistic)
        return jackknife.variance(statistic(self.without), pair_variance)

    def interval(self, statistic: Statistic) -> Interval | None:
        """Return the 95 % confidence interval of a statistic over classes, or over
        clusters of classes; None if it is unknown.
        """
        value = float(statistic(self.whole))
        return interval(value, self.variance(statistic), self.freedom)

    @property
    def freedom(self) -> int:
        """The degrees of freedom of a variance over classes or clusters."""
        return self.number - 1

    def pair_variance(self, statistic: Statistic) -> float:
        """Return the part of the variance that is due to single pairs of clusters; 0
        if only some pairs of classes count.
        """
        return float(np.square(self.pair_residuals(statistic)).sum())

    def pair_residuals(self, statistic: Statistic) -> Values:
        """Return what each pair of clusters adds to a statistic beyond the mean effects
        of its two clusters ``(G, G)``, scaled so that the squared sum is the part of
        the variance that is due to single pairs.

        The effect of a pair on a correlation is what it adds to it. All residuals are 0
        if only some pairs of classes count.
        """
        clusters = self.number
        none = np.zeros((clusters, clusters))
        if self.pairs is not None or clusters < 4:
            return none
        lengths = np.sqrt(np.square(self.centred).sum(axis=(1, 2), keepdims=True))
        if not lengths.all():
            return none
        values = self.centred / lengths
        effects = np.zeros_like(self.counted)
        for (i, j), slope in gradient(statistic, self.whole).items():
            x, y, correlation = values[i], values[j], self.whole[i, j]
            effects += slope * (x * y - correlation / 2 * (x * x + y * y))
        effects = effects + effects.T
        if self.clusters is not None:
            indicator = np.arange(clusters)[:, None] == self.cluster
            effects = indicator @ effects @ indicator.T
            np.fill_diagonal(effects, 0.0)
        # Fit the effects of pairs by the sum of the effects of two clusters.
        number = clusters * (clusters - 1) / 2
        effects = effects - effects.sum() / (2 * number)
        np.fill_diagonal(effects, 0.0)
        of_cluster = effects.sum(axis=0) / (clusters - 2)
        residuals = effects - of_cluster - of_cluster[:, None]
        np.fill_diagonal(residuals, 0.0)
        return residuals * np.sqrt(number / (number - clusters) / 2)


def cosine_excess_without(
    first: Csm, second: Csm, clusters: NDArray[np.integer[Any]]
) -> Values:
    """Return the excess over chance of the cosine SAI of two CSMs ``(C, C)`` without
    each cluster of classes ``(G,)``.
    """
    found = []
    for cluster in np.unique(clusters):
        kept = np.ix_(clusters != cluster, clusters != cluster)
        x, y = (
            off_diagonal(csm[kept]).ravel().astype(np.float64)
            for csm in (first, second)
        )
        x, y = x - x.min(), y - y.min()
        length = float(np.sqrt((x @ x) * (y @ y)))
        chance = x.mean() * y.sum()
        found.append((x @ y - chance) / (length - chance))
    return np.array(found)


def rank_matrix(csm: Csm) -> Values:
    """Return the mid-ranks of the off-diagonal values of a CSM ``(C, C)``, with a
    diagonal of 0.
    """
    ranks = np.zeros(csm.shape)
    ranks[~np.eye(len(csm), dtype=bool)] = mid_ranks(off_diagonal(csm).ravel())
    return ranks


def agreement(correlations: Values) -> Values:
    """Return the correlation of the first of some matrices with the last one."""
    return np.asarray(correlations[..., 0, -1])


def agreement_columns(matrices: CorrelatedMatrices) -> dict[str, float | None]:
    """Return the correlation of two CSMs as ``value``, with its 95 % confidence
    interval from ``low`` to ``high``, and the chance level ``null_mean`` with its
    standard deviation ``null_std`` and ``z``; None if a CSM is constant.

    The chance level is that of relabelled classes. The deviation of the covariance is
    exact (Mantel 1967, https://pubmed.ncbi.nlm.nih.gov/6018555/); the variance of the
    relabelled values over the pairs that count is taken as that over all pairs.
    """
    names = ("value", "low", "high", "null_mean", "null_std", "z")
    columns: dict[str, float | None] = dict.fromkeys(names)
    value = float(matrices.whole[0, 1])
    if not np.isfinite(value):
        return columns
    low, high = matrices.interval(agreement) or (None, None)
    network = centred_off_diagonal(np.asarray(matrices.csms[0], dtype=np.float64))
    reference = matrices.centred[1]
    number = network.size - len(network)
    length = np.square(network).sum() * matrices.counted.sum() / number
    length = float(np.sqrt(length * np.square(reference).sum()))
    null_std = product_deviation(Moments.of(network), Moments.of(reference)) / length
    found = (value, low, high, 0.0, null_std, value / null_std if null_std else None)
    return dict(zip(names, found, strict=True))


def _correlations(products: Values, sums: Values, number: Values) -> Values:
    """Return correlations ``(..., M, M)`` from sums of products, sums of values
    ``(..., M)`` and the numbers of values ``(...)``.
    """
    means = sums / np.maximum(number, 1.0)[..., None]
    spreads = products - sums[..., :, None] * means[..., None, :]
    squares, totals = (
        np.diagonal(matrices, axis1=-2, axis2=-1) for matrices in (spreads, products)
    )
    is_constant = (squares <= CONSTANT_SHARE * totals) | (number < 2)[..., None]
    lengths = np.sqrt(np.where(is_constant, np.nan, squares))
    lengths = lengths[..., :, None] * lengths[..., None, :]
    return np.asarray(np.clip(spreads / lengths, -1.0, 1.0))


def gradient(statistic: Statistic, at: Values) -> dict[tuple[int, int], float]:
    """Return the derivative of a statistic by each correlation ``i < j`` of a matrix
    ``(M, M)``, numerically, where it is not 0.
    """
    first, second = np.triu_indices(len(at), 1)
    steps = np.zeros((len(first), *at.shape))
    index = np.arange(len(first))
    steps[index, first, second] = GRADIENT_STEP
    steps[index, second, first] = GRADIENT_STEP
    slopes = (statistic(at + steps) - statistic(at - steps)) / (2 * GRADIENT_STEP)
    places = zip(first.tolist(), second.tolist(), slopes.tolist(), strict=True)
    return {(i, j): slope for i, j, slope in places if slope != 0}


def interval(value: float, variance: float | None, freedom: float) -> Interval | None:
    """Return the 95 % confidence interval of a correlation on Fisher's scale; None
    without a value or a variance.
    """
    if variance is None or not np.isfinite(value) or freedom < 1:
        return None
    return fisher_interval(value, float(np.sqrt(variance)), freedom)
