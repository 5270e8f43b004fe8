"""What one matrix adds up to off its diagonal: its ends, so its scale, and the sums that exact chance levels are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import null
from dsi_cli.metrics.blocked.walk import Blocks, Indices, Walk, without_diagonal
from dsi_cli.metrics.measures import Values
from dsi_cli.metrics.side import ROUNDING


@dataclass(frozen=True)
class Sums:
    """The sums over a matrix's off-diagonal values, float64.

    ``rows`` and ``columns`` are sums of each; ``crossed`` is that of ``x_ij x_ji``; ``largest`` the largest absolute value, the
    diagonal included.
    """

    classes: int
    total: float
    squares: float
    crossed: float
    rows: Values
    columns: Values
    row_squares: Values
    row_is_flat: NDArray[np.bool_]
    """Whether a row has one value throughout."""
    low: float
    high: float
    largest: float

    @property
    def number(self) -> int:
        """How many off-diagonal values there are."""
        return self.classes * (self.classes - 1)

    @property
    def is_constant(self) -> bool:
        """Whether all values are the same but for float32's rounding."""
        return self.high - self.low <= ROUNDING * self.largest

    @property
    def spread(self) -> float:
        """The sum of squares about the mean."""
        return self.squares - self.total * self.total / self.number

    def in_order(self, order: Indices) -> Sums:
        """Return the sums of the same matrix with its classes in another order."""
        by_class = ("rows", "columns", "row_squares", "row_is_flat")
        return replace(self, **{name: getattr(self, name)[order] for name in by_class})

    def moments(self, scale: float = 1.0) -> null.Moments:
        """Return Mantel's sums of the values times ``scale``."""
        n, mean = self.classes, self.total / self.number
        rows, columns = self.rows - (n - 1) * mean, self.columns - (n - 1) * mean
        a1 = self.spread
        a2 = self.crossed - self.number * mean * mean
        a3, a4 = float(rows @ rows) - a1, float(columns @ columns) - a1
        a5 = float(rows @ columns) - a2
        a6 = float(rows.sum()) ** 2 - a1 - a2 - a3 - a4 - 2 * a5
        square = scale * scale
        return null.Moments(n, (a1 * square, a2 * square, a3 * square, a4 * square, a5 * square, a6 * square))


class Part(NamedTuple):
    """What one block adds to `Sums`."""

    crossed: float | None
    """None of a symmetric matrix, as are the columns: they are as the squares and the rows."""
    rows: Values
    columns: Values | None
    squares: Values
    least: NDArray[np.floating[Any]]
    most: NDArray[np.floating[Any]]
    largest: float


def part_of(matrix: Blocks, block: NDArray[np.floating[Any]], start: int) -> Part:
    """Return what rows from the ``start``-th on add."""
    values = without_diagonal(block, start)
    of_rows = values.sum(axis=1, dtype=np.float64), np.einsum("ij,ij->i", values, values, dtype=np.float64)
    least, most = values.min(axis=1), values.max(axis=1)
    largest = max(-float(block.min()), float(block.max()))
    if matrix.symmetric:
        return Part(None, of_rows[0], None, of_rows[1], least, most, largest)
    whole = block.astype(np.float64)
    at = np.arange(len(block))
    whole[at, start + at] = 0.0
    across = matrix.across(start, start + len(block)).astype(np.float64)
    crossed = float(np.einsum("ij,ij->", whole, across))
    return Part(crossed, of_rows[0], whole.sum(axis=0), of_rows[1], least, most, largest)


def joined(parts: Sequence[Part]) -> Sums:
    """Return the sums of all blocks of a matrix, in order."""
    rows, squares, least, most = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "squares", "least", "most")
    )
    columns = [part.columns for part in parts if part.columns is not None]
    return Sums(
        classes=len(rows),
        total=float(rows.sum()),
        squares=float(squares.sum()),
        crossed=float(sum(part.crossed for part in parts if part.crossed is not None) if columns else squares.sum()),
        rows=rows,
        columns=np.sum(columns, axis=0) if columns else rows,
        row_squares=squares,
        row_is_flat=least == most,
        low=float(least.min()),
        high=float(most.max()),
        largest=max(part.largest for part in parts),
    )


def of(matrix: Blocks, walk: Walk) -> Sums:
    """Return the sums of a matrix of two classes or more."""
    return joined(list(walk.over(matrix.size, lambda start, stop: part_of(matrix, matrix.block(start, stop), start))))


def symmetric(rows: Values, squares: float) -> Sums:
    """Return the sums of a symmetric matrix of which the sum of each row and that of all squares are known."""
    return unscaled(len(rows), squares, squares, rows, rows)


def unscaled(classes: int, squares: float, crossed: float, rows: Values, columns: Values) -> Sums:
    """Return sums that serve for `Sums.moments` alone."""
    flat = np.zeros(classes, dtype=bool)
    return Sums(classes, float(rows.sum()), squares, crossed, rows, columns, rows, flat, 0.0, 0.0, 0.0)
