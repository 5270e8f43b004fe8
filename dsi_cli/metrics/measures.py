"""The measures of a SAI, on off-diagonal values ``x (n,)`` and ``y (n,)``, or on ``y
(draws, n)`` for many at once.

``cosine``, ``mae`` and ``mse`` expect values that are scaled to [0, 1]. The
correlations do not depend on the scale. All measures work in float64 and accept no NaN.
Sources: arXiv 2505.21338, section 3.2; the authors' companion notebook for Spearman's
and Kendall's correlation.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)
# a sum of squared deviations below this share of all squares is 0
SPREAD_ROUNDING = 1e-12


def off_diagonal(matrix: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return matrices ``(..., C, C)`` without their diagonal values, row by row:
    ``(..., C, C-1)``.

    >>> off_diagonal(np.arange(9.0).reshape(3, 3)).tolist()
    [[1.0, 2.0], [3.0, 5.0], [6.0, 7.0]]
    """
    *leading, size, _ = matrix.shape
    # After the first value, every (C+1)-th value is on the diagonal.
    values = matrix.reshape(*leading, size * size)[..., 1:].reshape(
        *leading, size - 1, size + 1
    )[..., :-1]
    return values.reshape(*leading, size, size - 1)


def common_classes(csms: Iterable[NDArray[np.floating[Any]]]) -> NDArray[np.intp]:
    """Return the indices of the classes that all CSMs ``(C, C)`` have; a class that a
    matrix lacks has a NaN diagonal.

    >>> common_classes([np.diag([1, 1, np.nan]), np.diag([np.nan, 1, 1])]).tolist()
    [1]
    """
    diagonals = [np.diagonal(csm) for csm in csms]
    return np.flatnonzero(~np.isnan(diagonals).any(axis=0))


def rising_order(values: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """Return the index of each value ``(N,)`` in rising order; equal values stay in
    their order.

    >>> rising_order(np.array([0.5, -2.0, 0.0, -0.0], dtype=np.float32)).tolist()
    [1, 2, 3, 0]
    """
    if values.dtype != np.float32:
        return np.argsort(values, kind="stable")
    # The bits of a float32, as an integer, rise with its value if those of negative
    # values are inverted. Zero is added because -0.0 equals 0.0.
    bits = (values + np.float32(0)).view(np.uint32)
    is_negative = bits >> np.uint32(31) == 1
    keys = np.where(is_negative, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    # One sort of 64-bit keys, which hold value and index, is several times as fast as
    # an indirect sort.
    keys <<= np.uint64(32)
    keys |= np.arange(len(values), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64(2**32 - 1)).astype(np.intp)


def rising_mid_ranks(rising: NDArray[Any]) -> Values:
    """Return the ranks of values ``(..., n)`` in rising order along the last axis.

    >>> rising_mid_ranks(np.array([0.1, 0.5, 0.5])).tolist()
    [1.0, 2.5, 2.5]
    """
    # Equal values are adjacent. A group of them starts in the first column, or where
    # the value changes.
    is_start = np.ones(rising.shape, dtype=bool)
    np.not_equal(rising[..., 1:], rising[..., :-1], out=is_start[..., 1:])
    starts = np.flatnonzero(is_start)
    sizes = np.diff(starts, append=is_start.size)
    middles = starts % rising.shape[-1] + (sizes + 1) / 2
    return np.repeat(middles, sizes).reshape(rising.shape)


def mid_ranks(values: NDArray[Any]) -> Values:
    """Return the rank of each value along the last axis, from 1 for the smallest; equal
    values have the mean of their ranks.

    >>> mid_ranks(np.array([0.5, 0.1, 0.5])).tolist()
    [2.5, 1.0, 2.5]
    """
    order = np.argsort(values, axis=-1)
    rising = np.take_along_axis(values, order, axis=-1)
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, rising_mid_ranks(rising), axis=-1)
    return ranks


def similarity_ranks(
    csm: NDArray[np.floating[Any]], ties: Literal["average", "min", "max"] = "average"
) -> Values:
    """Return the rank of each class in each row of a CSM ``(C, C)`` by falling
    similarity: 0 on the diagonal, else 1 to C-1.

    Ties, which are exactly equal values, have their mid-rank, or that of another method
    of `scipy.stats.rankdata`.

    >>> similarity_ranks(np.array([[1, 0.5, 0.5], [0.2, 1, 0.9], [0.1, 0.3, 1]])).tolist()
    [[0.0, 1.5, 1.5], [2.0, 0.0, 1.0], [2.0, 1.0, 0.0]]
    """
    negated = -csm.astype(np.float64)
    np.fill_diagonal(negated, -np.inf)  # the first of each row
    if ties == "average":
        return mid_ranks(negated) - 1

    from scipy.stats import rankdata

    return np.asarray(rankdata(negated, method=ties, axis=1) - 1, dtype=np.float64)


class Spread(NamedTuple):
    """The number of values, their mean, and the sum of their squared deviations from
    it.
    """

    number: int
    mean: float
    squares: float


def spread_of_sums(
    number: float, sums: Values, squares: Values, total: float | Values
) -> Values:
    """Return sums of squared deviations ``(C,)`` from sums of values and of squares.

    It is NaN if it is only rounding compared with a ``total`` of squares.
    """
    spread: Values = squares - sums * sums / number
    spread[spread <= SPREAD_ROUNDING * total] = np.nan
    return spread


class ProductMeasure(NamedTuple):
    """A measure of `EXACT` for two given sets of values: ``(base + factor * S) /
    scale``, where S is the sum of the products of their deviations.

    The mean of S over all relabellings of the classes is 0.
    """

    base: float
    factor: float
    scale: float
    lowest: float
    """The lowest possible value; the highest one is 1."""

    @classmethod
    def of(cls, name: str, x: Spread, y: Spread) -> ProductMeasure:
        """Return the measure of two sets of equally many values."""
        if name == "cosine":
            base = x.number * x.mean * y.mean
            x_squares = x.squares + x.number * x.mean**2
            y_squares = y.squares + y.number * y.mean**2
            return cls(base, 1.0, sqrt(x_squares * y_squares), 0.0)
        if name == "mse":
            base = x.squares + y.squares + x.number * (x.mean - y.mean) ** 2
            return cls(base, -2.0, x.number, 0.0)
        return cls(0.0, 1.0, sqrt(x.squares * y.squares), -1.0)

    def values(self, products: Any) -> Any:
        """Return the measure for one or several sums of products."""
        value = (self.base + self.factor * products) / self.scale
        return np.minimum(np.maximum(value, self.lowest), 1.0)

    def chance_level(self, deviation: float) -> tuple[float, float]:
        """Return the mean and the deviation over relabellings from the deviation of
        S.
        """
        return self.base / self.scale, abs(self.factor) * deviation / self.scale


EXACT = ("cosine", "mse", "pearson", "spearman")
"""The measures that follow from a sum of products, so that their chance level is exact;
``spearman`` is that of ranks.
"""


def kendall(x: Values, y: Values) -> Any:
    """Return Kendall's tau-b, in [-1, 1]."""
    from scipy.stats import kendalltau

    if y.ndim == 1:
        return kendalltau(x, y, variant="b").statistic
    return np.array([kendall(x, row) for row in y])


def kendall_a(x: Values, y: Values) -> Any:
    """Return Kendall's tau-a, in [-1, 1]: tau-b over all pairs of values, so that ties
    lower it.
    """
    if y.ndim > 1:
        return np.array([kendall_a(x, row) for row in y])
    # The share of the pairs that are not tied, in x and in y.
    untied = [
        1 - counts @ (counts - 1) / (len(x) * (len(x) - 1))
        for counts in (np.unique(v, return_counts=True)[1] for v in (x, y))
    ]
    return kendall(x, y) * np.sqrt(np.prod(untied))
