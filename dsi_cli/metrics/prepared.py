"""One of the two matrices of a SAI, prepared: scaled, ranked, sorted, summed, each when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import measures, p_values, permutation_null
from dsi_cli.metrics.measures import Values

Csm = NDArray[np.floating[Any]]
Arrays = TypeVar("Arrays", bound=tuple[NDArray[Any], ...])

ROUNDING = 5e-7
"""A spread of off-diagonal values below this share of the largest value is rounding, not a scale **[choice]**."""

MAX_CACHED_BYTES = 128 << 20
"""Bytes that a prepared side may keep of what is sampled."""


Value = TypeVar("Value")


class lazy_property(Generic[Value]):  # noqa: N801 (used as a decorator)
    """A value that an object makes when it is first asked for; `functools.cached_property` holds one lock for all objects."""

    def __init__(self, make: Callable[[Any], Value]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn under which name the value is kept."""
        self._name = name

    def __get__(self, one: Any, owner: type) -> Value:
        """Make the value; from then on the object has it, and this is not asked again."""
        made = one.__dict__[self._name] = self._make(one)
        return made


class PairValues:
    """Off-diagonal values in a row: all of them, or of a symmetric matrix those of each pair once.

    Parameters
    ----------
    values : (n,) float64
    """

    def __init__(self, values: Values) -> None:
        self.values = values

    @lazy_property
    def scaled(self) -> Values:
        """The values scaled to [0, 1]."""
        return measures.scaled(self.values)

    @lazy_property
    def scaled_sorted(self) -> Values:
        """The scaled values in rising order."""
        return np.sort(self.scaled)

    @lazy_property
    def ranks(self) -> Values:
        """The mid-ranks of the values."""
        return measures.mid_ranks(self.values)

    @lazy_property
    def ranks_sorted(self) -> Values:
        """The ranks in rising order."""
        return np.sort(self.ranks)


class PreparedMatrix:
    """One of the two matrices of a SAI, with what is worth computing only once for many partners.

    Parameters
    ----------
    csm : (C, C) float
        Finite: the classes that both matrices have, two or more.

    Raises
    ------
    UsageError
        A value is NaN or infinite.
    """

    def __init__(self, csm: Csm) -> None:
        self.matrix: Values = _square(csm)
        self.classes = len(self.matrix)
        self._is_lasting = False
        self._lasting: dict[Hashable, Any] = {}
        self._room = MAX_CACHED_BYTES

    @lazy_property
    def every(self) -> PairValues:
        """The off-diagonal values, row by row."""
        return PairValues(measures.off_diagonal(self.matrix).ravel())

    @lazy_property
    def once(self) -> PairValues:
        """Of a symmetric matrix the values above the diagonal, row by row."""
        return PairValues(self.matrix[np.triu(np.ones(self.matrix.shape, dtype=bool), 1)])

    @lazy_property
    def is_constant(self) -> bool:
        """Whether all off-diagonal values are the same but for float32's rounding, so that there is no scale."""
        return bool(np.ptp(self._least.values) <= ROUNDING * np.abs(self.matrix).max())

    @property
    def _least(self) -> PairValues:
        return self.once if self.is_symmetric else self.every

    @lazy_property
    def scaled_square(self) -> Values:
        """The values scaled to [0, 1] as a ``(C, C)`` matrix with a diagonal of 0."""
        low, high = self._least.values.min(), self._least.values.max()
        matrix: Values = (self.matrix - low) / (high - low)
        np.fill_diagonal(matrix, 0.0)
        return matrix

    @lazy_property
    def scaled_single(self) -> NDArray[np.float32]:
        """The same in float32: what SSIM's bootstrap looks at."""
        return self.scaled_square.astype(np.float32)

    @lazy_property
    def value_sums(self) -> tuple[Values, Values]:
        """For each class the sum of the scaled values, and of their squares, in its row and its column: two arrays ``(C,)``."""
        return _sums_by_class(self.scaled_square)

    @lazy_property
    def rank_square(self) -> Values:
        """The mid-ranks as a ``(C, C)`` matrix with a diagonal of 0; of a symmetric matrix those of each pair among the pairs."""
        return self.square(self._least.ranks)

    @lazy_property
    def rank_sums(self) -> tuple[Values, Values]:
        """For each class the sum of the ranks, and of their squares, in its row and its column: two arrays ``(C,)``."""
        return _sums_by_class(self.rank_square)

    @lazy_property
    def least_without(self) -> Values:
        """The smallest scaled value that is left without each class ``(C,)``."""
        values = self.scaled_square + np.diag(np.full(self.classes, np.inf))
        found = np.zeros(self.classes)
        # Only the classes of a smallest pair can matter: another smallest pair may be left without them.
        for index in np.unravel_index(values.argmin(), values.shape):
            rest = np.delete(np.delete(values, index, axis=0), index, axis=1)
            found[index] = rest.min()
        return found

    @lazy_property
    def is_symmetric(self) -> bool:
        """Whether the matrix is its own transpose."""
        return np.array_equal(self.matrix, self.matrix.T)

    @lazy_property
    def value_moments(self) -> permutation_null.Moments:
        """Mantel's sums of the scaled values."""
        return permutation_null.Moments.of(self.scaled_square, is_symmetric=self.is_symmetric)

    @lazy_property
    def rank_moments(self) -> permutation_null.Moments:
        """Mantel's sums of the ranks; of a symmetric matrix those of each pair's rank among the pairs."""
        return permutation_null.Moments.of(self.rank_square, is_symmetric=self.is_symmetric)

    @lazy_property
    def value_thirds(self) -> p_values.ThirdMoments:
        """The sums of the scaled values that the skewness of the chance level needs."""
        return p_values.ThirdMoments.of(self.scaled_square)

    @lazy_property
    def rank_thirds(self) -> p_values.ThirdMoments:
        """The sums of the ranks that the skewness of the chance level needs."""
        return p_values.ThirdMoments.of(self.rank_square)

    def prepare(self) -> None:
        """Compute all of it now, so that threads that share this side do not each do so; what is sampled lasts from now on."""
        self._is_lasting = True
        if not self.is_constant:
            _ = self._least.scaled_sorted, self.value_moments, self.rank_moments
            _ = self.value_sums, self.rank_sums, self.least_without
            if self.classes <= p_values.SKEWED:
                _ = self.value_thirds, self.rank_thirds

    def lasting(self, key: Hashable, make: Callable[[], Arrays]) -> Arrays:
        """Return the arrays that ``make`` returns; a side that is prepared makes them once for a key, while there is room."""
        found: Arrays | None = self._lasting.get(key)
        if found is None:
            found = make()
            self._room -= sum(array.nbytes for array in found) if self._is_lasting else 0
            if self._is_lasting and self._room >= 0:
                self._lasting[key] = found
        return found

    def square(self, flat: Values) -> Values:
        """Return flat off-diagonal values, all or each pair once, as a ``(C, C)`` matrix with a diagonal of 0."""
        matrix = np.zeros_like(self.matrix)
        if len(flat) == self.classes * (self.classes - 1):
            matrix[~np.eye(self.classes, dtype=bool)] = flat
            return matrix
        matrix[np.triu(np.ones(matrix.shape, dtype=bool), 1)] = flat
        return matrix + matrix.T


def _sums_by_class(matrix: Values) -> tuple[Values, Values]:
    """Return the sums of values and of squares over the row and the column of each class; the diagonal is 0."""
    squares = matrix * matrix
    return matrix.sum(axis=0) + matrix.sum(axis=1), squares.sum(axis=0) + squares.sum(axis=1)


def _square(csm: Csm) -> Values:
    matrix: Values = np.asarray(csm, dtype=np.float64)
    if not np.isfinite(matrix).all():
        raise UsageError("a CSM holds NaN or infinite values in classes that it has; a lacking class is NaN throughout")
    return matrix
