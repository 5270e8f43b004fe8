"""Rows of a CSM on demand, and how they are gone through: block by block, perhaps several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.measures import off_diagonal

Indices = NDArray[np.intp]
Single = NDArray[np.float32]
Job = TypeVar("Job")
Result = TypeVar("Result")

ROWS = 256
"""In a block unless said otherwise."""
FEWEST_ROWS = 16
BYTES_A_VALUE = 130
"""What a block needs while a pair of matrices is compared by all measures, per value: measured, and rounded up."""


class Blocks(Protocol):
    """A matrix ``(C, C)`` whose rows are made when they are asked for; NaN has no place in it."""

    @property
    def size(self) -> int:
        """The number of classes."""

    @property
    def symmetric(self) -> bool:
        """Whether the matrix is its own transpose."""

    def block(self, start: int, stop: int, first: int = 0, /) -> NDArray[np.floating[Any]]:
        """Return rows ``(stop - start, C - first)`` from the ``first`` column on, the diagonal included."""

    def across(self, start: int, stop: int, /) -> NDArray[np.floating[Any]]:
        """Return the same rows of the transpose."""


class Rows(Blocks, Protocol):
    """A CSM by rows, in float32."""

    def block(self, start: int, stop: int, first: int = 0, /) -> Single:
        """Return rows ``(stop - start, C - first)`` from the ``first`` column on, the diagonal included."""

    def across(self, start: int, stop: int, /) -> Single:
        """Return the same rows of the transpose."""

    def take(self, at: Sequence[int] | Indices, /) -> Rows:
        """Return the matrix of some classes in another order."""


class Walk:
    """How matrices are gone through.

    Parameters
    ----------
    rows : in a block
    each : from a function and jobs to its results in order, as `map`; perhaps in several threads
    """

    def __init__(self, rows: int = ROWS, each: Callable[..., Iterable[Any]] = map) -> None:
        self.rows = rows
        self._each = each

    def over(self, size: int, function: Callable[[int, int], Result]) -> Iterator[Result]:
        """Yield what a function of the first row and the row behind the last gives of each block, in order."""
        starts = range(0, size, self.rows)
        yield from self._each(lambda start: function(start, min(start + self.rows, size)), starts)


def rows_within(budget: int, classes: int, workers: int) -> int:
    """Return how many rows a block may have for ``workers`` at once to stay within a budget in bytes."""
    return int(np.clip(budget // (classes * BYTES_A_VALUE * workers), FEWEST_ROWS, ROWS))


def without_diagonal(block: NDArray[Any], start: int) -> NDArray[Any]:
    """Return rows ``(B, C)`` from the ``start``-th on without their diagonal values, ``(B, C-1)``.

    >>> without_diagonal(np.arange(6).reshape(2, 3), 1).tolist()
    [[0, 2], [3, 4]]
    """
    size, width = block.shape
    found = np.empty((size, width - 1), dtype=block.dtype)
    found[:, :start] = block[:, :start]
    found[:, start : start + size - 1] = off_diagonal(block[:, start : start + size])
    found[:, start + size - 1 :] = block[:, start + size :]
    return found


def values_once(matrix: Rows, start: int, stop: int) -> Single:
    """Return the off-diagonal values of some rows, flat; of a symmetric matrix those right of the diagonal alone."""
    if not matrix.symmetric:
        return without_diagonal(matrix.block(start, stop), start).ravel()
    right = matrix.block(start, stop, start)
    own = stop - start
    return np.concatenate([right[:, :own][np.triu_indices(own, 1)], right[:, own:].ravel()])
