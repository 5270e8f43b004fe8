"""Class similarity matrices whose rows are made on demand, block by block, because the whole matrix would not fit into memory.

A `RowSource` returns the rows of such a matrix, a `BlockWalk` iterates over its blocks, and `MatrixSums` holds the sums of its
values. `dsi_cli.metrics.blockwise.alignment` computes its metrics from the sums of two matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import permutation_null
from dsi_cli.metrics.measures import Values, off_diagonal
from dsi_cli.metrics.prepared import ROUNDING

Indices = NDArray[np.intp]
Single = NDArray[np.float32]
Result = TypeVar("Result")

MAX_BLOCK_ROWS, MIN_BLOCK_ROWS = 128, 16
"""The largest and the smallest number of rows of a block."""
BYTES_PER_VALUE = 130
"""The memory for each value of a block while two matrices are compared (measured, and rounded up)."""
SHORT_OF_MEMORY = "whole matrices in memory: give more with --memory"
TOO_MANY_CLASSES = "whole matrices, which are not made above 4,096 classes"
"""The requirements of measures that are not computed by blocks of rows, as the end of the reason why they are missing."""


class RowSource(Protocol):
    """A matrix ``(C, C)`` without NaN whose rows are computed on demand. It is symmetric unless it is `DenseRows`."""

    @property
    def size(self) -> int:
        """The number of classes."""

    def block(self, start: int, stop: int, /) -> Single:
        """Return the rows ``(stop - start, C)`` from ``start`` to ``stop``, with the diagonal."""

    def take(self, classes: Sequence[int] | Indices, /) -> RowSource:
        """Return the matrix of some of the classes, in the given order."""


class DenseRows:
    """A matrix ``(C, C)`` that is in memory; it need not be symmetric."""

    def __init__(self, matrix: Single) -> None:
        self.matrix = matrix
        self.size = len(matrix)

    def block(self, start: int, stop: int, /) -> Single:
        """Return the rows ``(stop - start, C)`` from ``start`` to ``stop``."""
        return self.matrix[start:stop]

    def take(self, classes: Sequence[int] | Indices, /) -> DenseRows:
        """Return the matrix of some of the classes, in the given order."""
        index = np.asarray(classes, dtype=np.intp)
        return DenseRows(self.matrix[np.ix_(index, index)])


class BlockWalk:
    """An iteration over the blocks of rows of a matrix.

    Parameters
    ----------
    rows : the number of rows of a block
    map_in_order : a function like `map`; it may use several threads
    requirement : `SHORT_OF_MEMORY` or `TOO_MANY_CLASSES`, the reason why some measures are null
    """

    def __init__(
        self,
        rows: int = MAX_BLOCK_ROWS,
        map_in_order: Callable[..., Iterable[Any]] = map,
        requirement: str = TOO_MANY_CLASSES,
    ) -> None:
        self.rows = rows
        self._map = map_in_order
        self.requirement = requirement

    def map_blocks(self, size: int, function: Callable[[int, int], Result]) -> Iterator[Result]:
        """Yield the result of ``function(start, stop)`` for each block of a matrix with ``size`` rows, in order."""
        yield from self._map(lambda start: function(start, min(start + self.rows, size)), range(0, size, self.rows))


def rows_within(budget: int, classes: int, workers: int) -> int:
    """Return the number of rows of a block for which ``workers`` concurrent blocks stay within a budget in bytes."""
    return int(np.clip(budget // (classes * BYTES_PER_VALUE * workers), MIN_BLOCK_ROWS, MAX_BLOCK_ROWS))


def without_diagonal(block: NDArray[Any], start: int) -> NDArray[Any]:
    """Return rows ``(B, C)`` without the diagonal values of the matrix: ``(B, C-1)``; the first is row ``start``.

    >>> without_diagonal(np.arange(6).reshape(2, 3), 1).tolist()
    [[0, 2], [3, 4]]
    """
    size, width = block.shape
    values = np.empty((size, width - 1), dtype=block.dtype)
    values[:, :start] = block[:, :start]
    values[:, start : start + size - 1] = off_diagonal(block[:, start : start + size])
    values[:, start + size - 1 :] = block[:, start + size :]
    return values


@dataclass(frozen=True)
class MatrixSums:
    """Sums and extremes of the off-diagonal values of a matrix, in float64.

    Attributes
    ----------
    rows : (C,) the sum of each row
    columns : (C,) the sum of each column
    squares : the sum of all squares
    crossed : the sum of ``x_ij x_ji``
    low : the smallest value
    high : the largest value
    largest : the largest absolute value, with the diagonal
    """

    rows: Values
    columns: Values
    squares: float
    crossed: float
    low: float
    high: float
    largest: float

    @property
    def number(self) -> int:
        """The number of off-diagonal values."""
        return len(self.rows) * (len(self.rows) - 1)

    @property
    def is_constant(self) -> bool:
        """True if all values are equal up to float32 rounding."""
        return self.high - self.low <= ROUNDING * self.largest

    @property
    def scaled(self) -> tuple[float, float]:
        """The sum of the values scaled to [0, 1], and the sum of their squares."""
        total, low, spread = float(self.rows.sum()), self.low, self.high - self.low
        squares = self.squares - 2 * low * total + self.number * low**2
        return (total - self.number * low) / spread, squares / spread**2

    @property
    def moments(self) -> permutation_null.Moments:
        """Mantel's sums of the unscaled values."""
        return permutation_null.Moments.of_sums(self.rows, self.columns, self.squares, self.crossed)


BlockSums = tuple[Values, Values, float, float, float, float, float]


def sums_of_block(matrix: RowSource, block: Single, start: int) -> BlockSums:
    """Return the sums of a block of rows from row ``start`` of a matrix, in the order of the fields of `MatrixSums`."""
    off = without_diagonal(block, start)
    values = block.astype(np.float64)
    index = np.arange(len(block))
    values[index, start + index] = 0.0
    squares = crossed = float(np.einsum("ij,ij->", values, values))
    if isinstance(matrix, DenseRows):
        crossed = float(np.einsum("ij,ij->", values, matrix.matrix[:, start : start + len(block)].T))
    largest = max(-float(block.min()), float(block.max()))
    return values.sum(axis=1), values.sum(axis=0), squares, crossed, float(off.min()), float(off.max()), largest


def combine_sums(parts: Iterable[BlockSums]) -> MatrixSums:
    """Return the sums of a matrix from the sums of its blocks, in order."""
    rows, columns, squares, crossed, low, high, largest = zip(*parts, strict=True)
    return MatrixSums(
        np.concatenate(rows), np.sum(columns, axis=0), sum(squares), sum(crossed), min(low), max(high), max(largest)
    )


def matrix_sums(matrix: RowSource, walk: BlockWalk) -> MatrixSums:
    """Return the sums of a matrix of two classes or more."""
    sums = walk.map_blocks(matrix.size, lambda start, stop: sums_of_block(matrix, matrix.block(start, stop), start))
    return combine_sums(sums)
