"""One of the two matrices of a SAI, prepared: scaled, ranked, sorted, summed, each when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import measures, null
from dsi_cli.metrics.measures import Values

Csm = NDArray[np.floating[Any]]
Arrays = TypeVar("Arrays", bound=tuple[NDArray[Any], ...])

ROUNDING = 5e-7
"""A spread of off-diagonal values below this share of the largest value is rounding, not a scale **[choice]**."""

ROOM = 128 << 20
"""Bytes that a prepared side may keep of what is sampled."""


class Side:
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
        self._room = ROOM

    @cached_property
    def values(self) -> Values:
        """The off-diagonal values, flat, row by row, unscaled."""
        return measures.off_diagonal(self.matrix).ravel()

    @cached_property
    def is_constant(self) -> bool:
        """Whether all off-diagonal values are the same but for float32's rounding, so that there is no scale."""
        return bool(np.ptp(self.values) <= ROUNDING * np.abs(self.matrix).max())

    @cached_property
    def scaled(self) -> Values:
        """The off-diagonal values scaled to [0, 1], flat."""
        return measures.scaled(self.values)

    @cached_property
    def ranks(self) -> Values:
        """The mid-ranks of the off-diagonal values, flat."""
        return measures.ranks(self.values)

    @cached_property
    def scaled_sorted(self) -> Values:
        """The scaled values in rising order."""
        return np.sort(self.scaled)

    @cached_property
    def ranks_sorted(self) -> Values:
        """The ranks in rising order."""
        return np.sort(self.ranks)

    @cached_property
    def scaled_square(self) -> Values:
        """The scaled values as a ``(C, C)`` matrix with a diagonal of 0."""
        return self.square(self.scaled)

    @cached_property
    def scaled_single(self) -> NDArray[np.float32]:
        """The same in float32: what SSIM's bootstrap looks at."""
        return self.scaled_square.astype(np.float32)

    @cached_property
    def is_symmetric(self) -> bool:
        """Whether the matrix is its own transpose."""
        return np.array_equal(self.matrix, self.matrix.T)

    @cached_property
    def value_moments(self) -> null.Moments:
        """Mantel's sums of the scaled values."""
        return null.Moments.of(self.scaled_square)

    @cached_property
    def rank_moments(self) -> null.Moments:
        """Mantel's sums of the ranks."""
        return null.Moments.of(self.square(self.ranks))

    def prepare(self) -> None:
        """Compute all of it now, so that threads that share this side do not each do so; what is sampled lasts from now on."""
        self._is_lasting = True
        if not self.is_constant:
            _ = self.scaled_sorted, self.ranks_sorted, self.value_moments, self.rank_moments

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
        """Return flat off-diagonal values as a ``(C, C)`` matrix with a diagonal of 0."""
        matrix = np.zeros_like(self.matrix)
        matrix[~np.eye(self.classes, dtype=bool)] = flat
        return matrix


def _square(csm: Csm) -> Values:
    matrix: Values = np.asarray(csm, dtype=np.float64)
    if not np.isfinite(matrix).all():
        raise UsageError("a CSM holds NaN or infinite values in classes that it has; a lacking class is NaN throughout")
    return matrix
