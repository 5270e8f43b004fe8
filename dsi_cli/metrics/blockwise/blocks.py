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

MOST_ROWS, FEWEST_ROWS = 128, 16
"""The numbers of rows that a block may have."""
BYTES_A_VALUE = 130
"""The memory that a block takes while two matrices are compared, in bytes for each of its values (measured, and rounded up)."""
SHORT_OF_MEMORY = "whole matrices in memory: give more with --memory"
TOO_MANY_CLASSES = "whole matrices, which are not made above 4,096 classes"
"""What a measure needs that is not computed by blocks of rows: the end of its reason."""


class RowSource(Protocol):
    """A matrix ``(C, C)`` without NaN whose rows are made on demand. It is symmetric unless it is `DenseRows`."""

    @property
    def size(self) -> int:
        """The number of classes."""

    def block(self, start: int, stop: int, /) -> Single:
        """Return the rows ``(stop - start, C)`` from ``start`` up to ``stop``, the diagonal included."""

    def take(self, at: Sequence[int] | Indices, /) -> RowSource:
        """Return the matrix of some of the classes, in the order given."""


class DenseRows:
    """A matrix ``(C, C)`` that is in memory; it need not be symmetric."""

    def __init__(self, matrix: Single) -> None:
        self.matrix = matrix
        self.size = len(matrix)

    def block(self, start: int, stop: int, /) -> Single:
        """Return the rows ``(stop - start, C)`` from ``start`` up to ``stop``."""
        return self.matrix[start:stop]

    def take(self, at: Sequence[int] | Indices, /) -> DenseRows:
        """Return the matrix of some of the classes, in the order given."""
        index = np.asarray(at, dtype=np.intp)
        return DenseRows(self.matrix[np.ix_(index, index)])


class BlockWalk:
    """How the blocks of a matrix are gone through.

    Parameters
    ----------
    rows : the number of rows of a block
    each : maps a function over the blocks, in order, as `map` does; it may use several threads
    lacking : what there is not, so that some measures are null: `SHORT_OF_MEMORY` or `TOO_MANY_CLASSES`
    """

    def __init__(
        self, rows: int = MOST_ROWS, each: Callable[..., Iterable[Any]] = map, lacking: str = TOO_MANY_CLASSES
    ) -> None:
        self.rows = rows
        self._each = each
        self.lacking = lacking

    def over(self, size: int, function: Callable[[int, int], Result]) -> Iterator[Result]:
        """Yield what ``function(start, stop)`` returns for each block of a matrix of ``size`` rows, in order."""
        yield from self._each(lambda start: function(start, min(start + self.rows, size)), range(0, size, self.rows))


def rows_within(budget: int, classes: int, workers: int) -> int:
    """Return how many rows a block may have if ``workers`` blocks at once are to stay within a budget in bytes."""
    return int(np.clip(budget // (classes * BYTES_A_VALUE * workers), FEWEST_ROWS, MOST_ROWS))


def without_diagonal(block: NDArray[Any], start: int) -> NDArray[Any]:
    """Return rows ``(B, C)``, of which the first is row ``start`` of the matrix, without their diagonal values: ``(B, C-1)``.

    >>> without_diagonal(np.arange(6).reshape(2, 3), 1).tolist()
    [[0, 2], [3, 4]]
    """
    size, width = block.shape
    found = np.empty((size, width - 1), dtype=block.dtype)
    found[:, :start] = block[:, :start]
    found[:, start : start + size - 1] = off_diagonal(block[:, start : start + size])
    found[:, start + size - 1 :] = block[:, start + size :]
    return found


@dataclass(frozen=True)
class MatrixSums:
    """What the off-diagonal values of a matrix add up to, in float64.

    Attributes
    ----------
    rows, columns : (C,) the sum of each row and of each column
    squares : the sum of all squares
    crossed : the sum of ``x_ij x_ji``
    low, high : the smallest and the largest value
    largest : the largest absolute value, the diagonal included
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
        """Whether all values are the same but for float32's rounding."""
        return self.high - self.low <= ROUNDING * self.largest

    @property
    def scaled(self) -> tuple[float, float]:
        """The sum of the values scaled to [0, 1], and the sum of their squares."""
        total, low, reach = float(self.rows.sum()), self.low, self.high - self.low
        squares = self.squares - 2 * low * total + self.number * low**2
        return (total - self.number * low) / reach, squares / reach**2

    @property
    def moments(self) -> permutation_null.Moments:
        """Mantel's sums of the values, not scaled."""
        return permutation_null.Moments.of_sums(self.rows, self.columns, self.squares, self.crossed)


BlockSums = tuple[Values, Values, float, float, float, float, float]


def sums_of_block(matrix: RowSource, block: Single, start: int) -> BlockSums:
    """Return the sums of the rows ``start``, ``start + 1``, ... of a matrix, in the order of the fields of `MatrixSums`."""
    off = without_diagonal(block, start)
    values = block.astype(np.float64)
    at = np.arange(len(block))
    values[at, start + at] = 0.0
    squares = crossed = float(np.einsum("ij,ij->", values, values))
    if isinstance(matrix, DenseRows):
        crossed = float(np.einsum("ij,ij->", values, matrix.matrix[:, start : start + len(block)].T))
    largest = max(-float(block.min()), float(block.max()))
    return values.sum(axis=1), values.sum(axis=0), squares, crossed, float(off.min()), float(off.max()), largest


def combine_sums(parts: Iterable[BlockSums]) -> MatrixSums:
    """Return the sums of a matrix from those of all its blocks, in order."""
    rows, columns, squares, crossed, low, high, largest = zip(*parts, strict=True)
    return MatrixSums(
        np.concatenate(rows), np.sum(columns, axis=0), sum(squares), sum(crossed), min(low), max(high), max(largest)
    )


def matrix_sums(matrix: RowSource, walk: BlockWalk) -> MatrixSums:
    """Return the sums of a matrix of two classes or more."""
    return combine_sums(walk.over(matrix.size, lambda start, stop: sums_of_block(matrix, matrix.block(start, stop), start)))
