"""One of the two matrices of a SAI, with the values that the measures need; each is
computed on first use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import measures
from dsi_cli.metrics.measures import Values, similarity_ranks
from dsi_cli.metrics.p_values import RelabelledMatrix, lazy_property

Csm = NDArray[np.floating[Any]]
# a range of off-diagonal values below this share of the largest value counts as
# rounding **[choice]**
ROUNDING = 5e-7


class PairValues:
    """A flat float64 array of off-diagonal values: all of them, or one per pair of a
    symmetric matrix.
    """

    def __init__(self, values: Values) -> None:
        self.values = values

    @lazy_property
    def rising(self) -> Values:
        """The values in rising order."""
        return np.sort(self.values)


class ComparedMatrix(RelabelledMatrix):
    """The scaled values or the ranks of a matrix ``(C, C)`` with a diagonal of 0, which
    measures compare.
    """

    @lazy_property
    def all_pairs(self) -> PairValues:
        """The off-diagonal values, row by row."""
        return PairValues(measures.off_diagonal(self.values).ravel())

    @lazy_property
    def upper_pairs(self) -> PairValues:
        """The values above the diagonal, row by row; they represent a symmetric
        matrix.
        """
        return PairValues(
            self.values[np.triu(np.ones(self.values.shape, dtype=bool), 1)]
        )

    @lazy_property
    def class_sums(self) -> tuple[Values, Values]:
        """Two arrays ``(C,)``: the sum of the values, and of their squares, in the row
        and column of each class.
        """
        squares = self.values * self.values
        return self.values.sum(axis=0) + self.values.sum(axis=1), squares.sum(
            axis=0
        ) + squares.sum(axis=1)


class PreparedMatrix:
    """One of the two matrices of a SAI, with derived values that are computed once for
    all matrices it is compared with.

    Parameters
    ----------
    csm : (C, C) float
        Finite values of two or more classes, which both matrices of the SAI have.

    Raises
    ------
    UsageError
        A value is NaN or infinite (code ``csm-not-finite``).
    """

    def __init__(self, csm: Csm) -> None:
        self.matrix: Values = np.asarray(csm, dtype=np.float64)
        if not np.isfinite(self.matrix).all():
            message = (
                "the CSM holds NaN or infinite values; a class without values has NaN"
                " in its whole row and column"
            )
            raise UsageError(message, code="csm-not-finite")
        self.classes = len(self.matrix)

    @lazy_property
    def is_symmetric(self) -> bool:
        """True if the matrix equals its transpose."""
        return np.array_equal(self.matrix, self.matrix.T)

    @lazy_property
    def is_constant(self) -> bool:
        """True if all off-diagonal values are equal up to float32 rounding, so that
        they cannot be scaled.
        """
        return bool(
            np.ptp(measures.off_diagonal(self.matrix))
            <= ROUNDING * np.abs(self.matrix).max()
        )

    @lazy_property
    def scaled(self) -> ComparedMatrix:
        """The values scaled to [0, 1]."""
        values = measures.off_diagonal(self.matrix)
        low, high = values.min(), values.max()
        square = (self.matrix - low) / (high - low)
        np.fill_diagonal(square, 0.0)
        return ComparedMatrix(square)

    @lazy_property
    def ranked(self) -> ComparedMatrix:
        """The mid-ranks of the values; the pairs of a symmetric matrix are ranked once
        each.
        """
        square, kept = np.zeros_like(self.matrix), ~np.eye(self.classes, dtype=bool)
        if self.is_symmetric:
            kept = np.triu(kept)
        square[kept] = measures.mid_ranks(self.matrix[kept])
        return ComparedMatrix(square + square.T if self.is_symmetric else square)

    def compared(self, measure: str) -> ComparedMatrix:
        """Return what a measure compares: ranks for ``spearman``, else scaled
        values.
        """
        return self.ranked if measure == "spearman" else self.scaled

    @lazy_property
    def least_without(self) -> Values:
        """The smallest scaled value of the matrix without each class ``(C,)``."""
        values = self.scaled.values + np.diag(np.full(self.classes, np.inf))
        minima = np.zeros(self.classes)
        # The minimum is 0 unless one of the two classes of a smallest pair is left out.
        for index in np.unravel_index(values.argmin(), values.shape):
            minima[index] = np.delete(
                np.delete(values, index, axis=0), index, axis=1
            ).min()
        return minima

    @lazy_property
    def row_ranks(self) -> RelabelledMatrix:
        """The negated ranks of `similarity_ranks`, which are larger for more similar
        classes.
        """
        return RelabelledMatrix(-similarity_ranks(self.matrix))
