"""CSMs too large to be whole in memory: rows on demand, in blocks of any size.

Each is a `dsi_cli.metrics.blocked.walk.Rows`. Values are those of the whole matrix to float32's rounding: a product of another
shape may be summed in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.similarity.weights import FloatArray, as_rows, directions

Float32Array = NDArray[np.float32]
Indices = NDArray[np.intp]
Chosen = Indices | slice
Products = Callable[[Chosen, Chosen], Float32Array]
"""The products of some rows with some others."""

LARGEST_WHOLE = 4096
"""Classes; of more a matrix is neither stored nor made whole unless it is asked for."""


class Whole:
    """A matrix that is in memory."""

    def __init__(self, matrix: Float32Array) -> None:
        self.matrix = matrix
        self.size = len(matrix)
        self.symmetric = bool(np.array_equal(matrix, matrix.T, equal_nan=True))

    def block(self, start: int, stop: int, first: int = 0) -> Float32Array:
        """Return rows ``(stop - start, C - first)`` from the ``first`` column on, the diagonal included."""
        return self.matrix[start:stop, first:]

    def across(self, start: int, stop: int) -> Float32Array:
        """Return rows of the transpose."""
        return self.matrix[:, start:stop].T

    def take(self, at: Sequence[int] | Indices) -> Whole:
        """Return the matrix of some classes."""
        index = np.asarray(at, dtype=np.intp)
        return Whole(self.matrix[np.ix_(index, index)])


class Cosines:
    """The cosine similarities of rows of weights or features: an NCSM or TNCSM.

    Parameters
    ----------
    unit : (C, d) float32
        Rows of length 1, or 0 for those without a direction.
    on
        Makes what multiplies elsewhere out of the rows: ``on(unit)(a, b)`` is ``unit[a] @ unit[b].T``. NumPy does if None.
    """

    symmetric = True

    def __init__(self, unit: Float32Array, on: Callable[[Float32Array], Products] | None = None) -> None:
        self.unit, self._on = unit, on
        self._products = on(unit) if on is not None else self._multiplied
        self.size = len(unit)

    @classmethod
    def of(
        cls, weight: FloatArray, *, centred: bool = False, on: Callable[[Float32Array], Products] | None = None
    ) -> Cosines:
        """Return the NCSM of weights ``(C, d)``; ``centred``: less their mean row. Errors as for `weight_similarity`."""
        return cls(directions(as_rows(weight), centred=centred), on)

    def block(self, start: int, stop: int, first: int = 0) -> Float32Array:
        """Return rows ``(stop - start, C - first)`` from the ``first`` column on, the diagonal included."""
        return self.between(slice(start, stop), slice(first, None))

    def between(self, rows: Chosen, columns: Chosen) -> Float32Array:
        """Return the similarities of some classes (rows) to others (columns); a class to itself is exactly 1."""
        found = self._products(rows, columns)
        np.clip(found, -1.0, 1.0, out=found)
        every = np.arange(self.size)
        _, row, column = np.intersect1d(every[rows], every[columns], return_indices=True)
        found[row, column] = 1.0
        return found

    def across(self, start: int, stop: int) -> Float32Array:
        """Return rows of the transpose, which is the same."""
        return self.block(start, stop)

    def take(self, at: Sequence[int] | Indices) -> Cosines:
        """Return the matrix of some classes."""
        return Cosines(self.unit[np.asarray(at, dtype=np.intp)], self._on)

    def _multiplied(self, rows: Chosen, columns: Chosen) -> Float32Array:
        found: Float32Array = self.unit[rows] @ self.unit[columns].T
        return found


class Sparse:
    """A matrix that is zero but for a few values: a CCSM of many classes.

    Parameters
    ----------
    values : scipy.sparse array (C, C)
    """

    symmetric = False

    def __init__(self, values: Any) -> None:
        self._rows, self._columns = values.tocsr(), values.tocsc()
        self.size = values.shape[0]

    def block(self, start: int, stop: int, first: int = 0) -> Float32Array:
        """Return rows ``(stop - start, C - first)`` from the ``first`` column on, the diagonal included."""
        found: Float32Array = self._rows[start:stop, first:].toarray().astype(np.float32)
        return found

    def across(self, start: int, stop: int) -> Float32Array:
        """Return rows of the transpose."""
        found: Float32Array = self._columns[:, start:stop].T.toarray().astype(np.float32)
        return found

    def take(self, at: Sequence[int] | Indices) -> Sparse:
        """Return the matrix of some classes."""
        return Sparse(self._rows[at][:, at])
