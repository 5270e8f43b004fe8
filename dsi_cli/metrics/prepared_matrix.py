"""One of the two matrices of a SAI: its pairs of classes are sorted once, and all
measures, chance levels and intervals share their values, ranks and sums.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import ssim
from dsi_cli.metrics.measures import (
    Scalar,
    Spread,
    Values,
    off_diagonal,
    rising_mid_ranks,
    rising_order,
    similarity_ranks,
    spread_of_sums,
)
from dsi_cli.metrics.p_values import RelabelledMatrix, lazy_property
from dsi_cli.metrics.permutation_null import Moments

Csm = NDArray[np.floating[Any]]
Indices = NDArray[np.intp]
Value = TypeVar("Value")
# a range of off-diagonal values below this share of the largest value counts as
# rounding **[choice]**
ROUNDING = 5e-7


@lru_cache(maxsize=4)
def _above_diagonal(classes: int) -> tuple[Indices, Indices]:
    """Return the index in the flat matrix, and the column, of each value above the
    diagonal, row by row.
    """
    row, column = np.triu_indices(classes, 1)
    return row * classes + column, column


@dataclass(frozen=True)
class PairLayout:
    """The order in which a flat array holds the values of pairs of classes.

    A folded array has the N values above the diagonal, which represent a symmetric
    matrix. Any other array has the N values off the diagonal. Both are row by row.
    """

    classes: int
    is_folded: bool

    def take(self, matrix: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return the values ``(N,)`` of a matrix ``(C, C)``."""
        if self.is_folded:
            return matrix.ravel().take(_above_diagonal(self.classes)[0])
        return off_diagonal(matrix).ravel()

    def classes_of(self, index: int) -> tuple[int, int]:
        """Return the two classes of a value."""
        if self.is_folded:
            place = int(_above_diagonal(self.classes)[0][index])
            return divmod(place, self.classes)
        first, second = divmod(index, self.classes - 1)
        return first, second + (second >= first)

    def square(self, values: Values) -> Values:
        """Return the matrix ``(C, C)`` of values, with a diagonal of 0."""
        square = np.zeros((self.classes, self.classes))
        if self.is_folded:
            square.ravel()[_above_diagonal(self.classes)[0]] = values
            return square + square.T
        square[~np.eye(self.classes, dtype=bool)] = values
        return square

    def class_sums(self, values: Values) -> Values:
        """Return for each class the sum of the values of its pairs ``(C,)``."""
        if not self.is_folded:
            square = self.square(values)
            return square.sum(axis=0) + square.sum(axis=1)
        _, column = _above_diagonal(self.classes)
        sums: Values = np.asarray(
            np.bincount(column, values, self.classes), dtype=np.float64
        )
        # Row i begins after the rows of C-1, C-2, ..., C-i values.
        lengths = np.arange(self.classes - 1, 0, -1)
        sums[:-1] += np.add.reduceat(values, np.cumsum(lengths) - lengths)
        return sums

    def fold(self, values: Values) -> Values:
        """Return the mean of both values of each pair, above the diagonal."""
        if self.is_folded:
            return values
        square = self.square(values)
        folded = PairLayout(self.classes, is_folded=True)
        return folded.take((square + square.T) / 2)


class PairValues(RelabelledMatrix):
    """The scaled values or the ranks of all pairs of classes, less their mean.

    Parameters
    ----------
    rising : (N,) float
        The values in rising order.
    order : (N,) int
        The index of each rising value in the layout.
    layout : the order of values that correspond to pairs.
    """

    def __init__(self, rising: Values, order: Indices, layout: PairLayout) -> None:
        self.mean = float(rising.mean())
        self.rising = rising - self.mean
        self.order = order
        self.layout = layout
        self.classes = layout.classes
        self.deviations = np.empty(len(rising))
        self.deviations[order] = self.rising

    @lazy_property
    def spread(self) -> Spread:
        """Number, mean and squares of the values."""
        squares = float(self.deviations @ self.deviations)
        return Spread(len(self.deviations), self.mean, squares)

    @lazy_property
    def squares(self) -> Values:
        """The squared deviations ``(N,)``."""
        return self.deviations * self.deviations

    @lazy_property
    def class_sums(self) -> Values:
        """The sum of the deviations of each class ``(C,)``."""
        return self.layout.class_sums(self.deviations)

    @lazy_property
    def class_squares(self) -> Values:
        """The sum of the squared deviations of each class ``(C,)``."""
        return self.layout.class_sums(self.squares)

    @lazy_property
    def values(self) -> Values:
        """The matrix of deviations ``(C, C)``, with a diagonal of 0."""
        return self.layout.square(self.deviations)

    @lazy_property
    def moments(self) -> Moments:
        """Mantel's sums for the deviation of S."""
        if not self.layout.is_folded:
            return Moments.of(self.values)
        squares = 2 * self.spread.squares
        return Moments.of_sums(self.class_sums, self.class_sums, squares, squares)

    @lazy_property
    def effective_classes(self) -> float:
        """The number of rows, or of columns if it is smaller, that the squared
        deviations from the mean cover.
        """
        if not self.layout.is_folded:
            return RelabelledMatrix(self.values).effective_classes
        sums = self.class_squares
        return float(sums.sum() ** 2 / (sums @ sums))

    @lazy_property
    def least_without(self) -> Values:
        """The smallest value without each class ``(C,)``, deviations plus mean."""
        least = np.full(self.classes, self.rising[0])
        # It is the smallest of all unless one of the two classes of that pair is left
        # out.
        for left_out in self.layout.classes_of(int(self.order[0])):
            for value, index in zip(self.rising, self.order, strict=True):
                if left_out not in self.layout.classes_of(int(index)):
                    least[left_out] = value
                    break
        return least + self.mean


class SortedPairs:
    """The values of a matrix's pairs of classes, sorted."""

    def __init__(self, matrix: Csm, layout: PairLayout) -> None:
        values = layout.take(matrix)
        self.layout = layout
        self.order = rising_order(values)
        self.rising = values[self.order].astype(np.float64)
        self.low, self.high = float(self.rising[0]), float(self.rising[-1])

    @lazy_property
    def scaled(self) -> PairValues:
        """The values scaled to [0, 1]."""
        scaled = (self.rising - self.low) / (self.high - self.low)
        return PairValues(scaled, self.order, self.layout)

    @lazy_property
    def ranked(self) -> PairValues:
        """The mid-ranks of the values."""
        return PairValues(rising_mid_ranks(self.rising), self.order, self.layout)


class PreparedMatrix:
    """One of the two matrices of a SAI, with derived values that are computed once for
    all matrices it is compared with.

    Parameters
    ----------
    csm : (C, C) float
        Finite values of two or more classes, which both matrices of the SAI have.
        Matrices of float32 are sorted fastest.

    Raises
    ------
    UsageError
        A value is NaN or infinite (code ``csm-not-finite``).
    """

    def __init__(self, csm: Csm) -> None:
        csm = np.asarray(csm)
        dtype = np.float32 if csm.dtype == np.float32 else np.float64
        self.matrix: Csm = csm.astype(dtype, copy=False)
        if not np.isfinite(self.matrix).all():
            message = (
                "the CSM holds NaN or infinite values; a class without values has NaN"
                " in its whole row and column"
            )
            raise UsageError(message, code="csm-not-finite")
        self.classes = len(self.matrix)
        self._derived: dict[Hashable, Any] = {}

    @lazy_property
    def is_symmetric(self) -> bool:
        """True if the matrix equals its transpose."""
        return np.array_equal(self.matrix, self.matrix.T)

    def pairs(self, *, is_folded: bool) -> SortedPairs:
        """Return the sorted values of all pairs; those of a symmetric matrix can be
        folded.
        """
        layout = PairLayout(self.classes, is_folded)
        return self._once(layout, lambda: SortedPairs(self.matrix, layout))

    @property
    def all_pairs(self) -> SortedPairs:
        """The sorted values of all pairs, folded if the matrix is symmetric."""
        return self.pairs(is_folded=self.is_symmetric)

    @lazy_property
    def is_constant(self) -> bool:
        """True if all off-diagonal values are equal up to float32 rounding, so that
        they cannot be scaled.
        """
        spread = self.all_pairs.high - self.all_pairs.low
        return bool(spread <= ROUNDING * float(np.abs(self.matrix).max()))

    def images(self, orders: Indices, dtype: Any = np.float64) -> Csm:
        """Return the matrix without its diagonal, scaled to [0, 1], in several orders
        of its classes ``(n, K)``: ``(K, n, K-1)``.
        """
        low, high = self.all_pairs.low, self.all_pairs.high
        images: Csm = ssim.images(self.matrix, orders).astype(dtype)
        images -= low
        images /= high - low
        return images

    def ssim_bands(
        self, order: Indices, *, is_symmetric: bool
    ) -> tuple[ssim.Band, ...]:
        """Return the bands of the image in an order of its classes ``(C,)``."""

        def make() -> tuple[ssim.Band, ...]:
            bands = ssim.bands(self.images(order[None]), is_symmetric=is_symmetric)
            return tuple(bands)

        return self._once((order.tobytes(), is_symmetric), make)

    def ssim_windows(self, order: Indices, step: int, dtype: Any) -> ssim.Windows:
        """Return every ``step``-th window of the image in an order of its classes."""

        def make() -> ssim.Windows:
            return ssim.Windows.of(self.images(order[None], dtype), step)

        return self._once((order.tobytes(), step, dtype), make)

    def _once(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return a derived value that is computed once."""
        if key not in self._derived:
            self._derived[key] = make()
        value: Value = self._derived[key]
        return value

    @lazy_property
    def row_ranks(self) -> RelabelledMatrix:
        """The negated ranks of `similarity_ranks`, which are larger for more similar
        classes.
        """
        return RelabelledMatrix(-similarity_ranks(self.matrix))


class MatchedValues:
    """The values of two matrices, pair by pair, with the sums of their products."""

    def __init__(self, x: PairValues, y: PairValues) -> None:
        self.x = x
        self.y = y

    @lazy_property
    def product(self) -> float:
        """The sum S of the products of the deviations."""
        return float(self.x.deviations @ self.y.deviations)

    @lazy_property
    def products(self) -> Values:
        """The products of the deviations ``(N,)``."""
        return self.x.deviations * self.y.deviations

    @lazy_property
    def class_products(self) -> Values:
        """The sum of the products of each class ``(C,)``."""
        return self.x.layout.class_sums(self.products)

    @lazy_property
    def row_correlations(self) -> Values:
        """The correlation of each class's values ``(C,)`` in two folded matrices, in
        [-1, 1]; NaN for equal values.
        """
        others = self.x.classes - 1
        x, xx = self.x.class_sums, self.x.class_squares
        y, yy = self.y.class_sums, self.y.class_squares
        x_spread = spread_of_sums(others, x, xx, xx)
        y_spread = spread_of_sums(others, y, yy, yy)
        covariance = self.class_products - x * y / others
        return np.clip(covariance / np.sqrt(x_spread * y_spread), -1.0, 1.0)
