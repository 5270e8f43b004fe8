"""One of the two matrices of a SAI, with the values that the measures need; each is computed on first use."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import measures
from dsi_cli.metrics.measures import Values, similarity_ranks
from dsi_cli.metrics.p_values import RelabelledMatrix, lazy_property

Csm = NDArray[np.floating[Any]]
ROUNDING = 5e-7
"""A range of off-diagonal values below this share of the largest value counts as rounding **[choice]**."""


class PairValues:
    """A flat float64 array of off-diagonal values: all of them, or one per pair of a symmetric matrix."""

    def __init__(self, values: Values) -> None:
        self.values = values

    @lazy_property
    def scaled(self) -> Values:
        """The values scaled to [0, 1]."""
        return measures.min_max_scaled(self.values)

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

    def compared_by(self, measure: str) -> Values:
        """Return what a measure compares: ranks for ``spearman``, else scaled values."""
        return self.ranks if measure == "spearman" else self.scaled

    def rising(self, measure: str) -> Values:
        """Return what a measure compares, in rising order."""
        return self.ranks_sorted if measure == "spearman" else self.scaled_sorted


class PreparedMatrix:
    """One of the two matrices of a SAI, with derived values that are computed once for all matrices it is compared with.

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
            message = "the CSM holds NaN or infinite values; a class without values has NaN in its whole row and column"
            raise UsageError(message, code="csm-not-finite")
        self.classes = len(self.matrix)

    @lazy_property
    def all_values(self) -> PairValues:
        """The off-diagonal values, row by row."""
        return PairValues(measures.off_diagonal(self.matrix).ravel())

    @lazy_property
    def upper_values(self) -> PairValues:
        """The values above the diagonal, row by row; they represent a symmetric matrix."""
        return PairValues(self.matrix[np.triu(np.ones(self.matrix.shape, dtype=bool), 1)])

    @lazy_property
    def is_symmetric(self) -> bool:
        """True if the matrix equals its transpose."""
        return np.array_equal(self.matrix, self.matrix.T)

    @property
    def _distinct_values(self) -> PairValues:
        """The values above the diagonal of a symmetric matrix, all off-diagonal values of another."""
        return self.upper_values if self.is_symmetric else self.all_values

    @lazy_property
    def is_constant(self) -> bool:
        """True if all off-diagonal values are equal up to float32 rounding, so that they cannot be scaled."""
        return bool(np.ptp(self._distinct_values.values) <= ROUNDING * np.abs(self.matrix).max())

    @lazy_property
    def scaled_square(self) -> Values:
        """The values scaled to [0, 1] as a ``(C, C)`` matrix with a diagonal of 0."""
        low, high = self._distinct_values.values.min(), self._distinct_values.values.max()
        matrix: Values = (self.matrix - low) / (high - low)
        np.fill_diagonal(matrix, 0.0)
        return matrix

    @lazy_property
    def value_sums(self) -> tuple[Values, Values]:
        """Two arrays ``(C,)``: the sum of the scaled values, and of their squares, in the row and column of each class."""
        return _class_sums(self.scaled_square)

    @lazy_property
    def rank_square(self) -> Values:
        """The mid-ranks as a ``(C, C)`` matrix with a diagonal of 0; the pairs of a symmetric matrix are ranked once each."""
        return self.square(self._distinct_values.ranks)

    @lazy_property
    def rank_sums(self) -> tuple[Values, Values]:
        """Two arrays ``(C,)``: the sum of the ranks, and of their squares, in the row and column of each class."""
        return _class_sums(self.rank_square)

    @lazy_property
    def least_without(self) -> Values:
        """The smallest scaled value of the matrix without each class ``(C,)``."""
        values = self.scaled_square + np.diag(np.full(self.classes, np.inf))
        minima = np.zeros(self.classes)
        # The minimum is 0 unless one of the two classes of a smallest pair is left out.
        for index in np.unravel_index(values.argmin(), values.shape):
            minima[index] = np.delete(np.delete(values, index, axis=0), index, axis=1).min()
        return minima

    @lazy_property
    def relabelled_values(self) -> RelabelledMatrix:
        """The scaled values, with the sums for their chance level."""
        return RelabelledMatrix(self.scaled_square)

    @lazy_property
    def relabelled_ranks(self) -> RelabelledMatrix:
        """The ranks of `rank_square`, with the sums for their chance level."""
        return RelabelledMatrix(self.rank_square)

    @lazy_property
    def row_ranks(self) -> Values:
        """The ranks of the other classes in each row by falling similarity, from `similarity_ranks`."""
        return similarity_ranks(self.matrix)

    @lazy_property
    def relabelled_row_ranks(self) -> RelabelledMatrix:
        """The negated `row_ranks`, which are larger for more similar classes, with the sums for their chance level."""
        return RelabelledMatrix(-self.row_ranks)

    def prepare(self) -> None:
        """Compute the derived values now, so that threads do not compute them repeatedly."""
        if not self.is_constant:
            _ = self._distinct_values.scaled_sorted, self.value_sums, self.rank_sums, self.least_without
            for matrix in (self.relabelled_values, self.relabelled_ranks, self.relabelled_row_ranks):
                matrix.prepare()

    def square(self, flat: Values) -> Values:
        """Return flat off-diagonal values, all or those above the diagonal, as a ``(C, C)`` matrix with a diagonal of 0."""
        matrix = np.zeros_like(self.matrix)
        if len(flat) == self.classes * (self.classes - 1):
            matrix[~np.eye(self.classes, dtype=bool)] = flat
            return matrix
        matrix[np.triu(np.ones(matrix.shape, dtype=bool), 1)] = flat
        return matrix + matrix.T


def _class_sums(matrix: Values) -> tuple[Values, Values]:
    """Return the sums of values and of squares over the row and the column of each class; the diagonal is 0."""
    squares = matrix * matrix
    return matrix.sum(axis=0) + matrix.sum(axis=1), squares.sum(axis=0) + squares.sum(axis=1)
