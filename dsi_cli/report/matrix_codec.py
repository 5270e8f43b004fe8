"""Packing of matrices and of nearest classes for the page: values become whole numbers,
compressed with zlib, as text.

A packed matrix, called a frame, has no diagonal, because its values are 1 by
definition. A frame of a symmetric matrix holds the upper triangle row by row. A frame
of any other matrix holds all off-diagonal values row by row. All matrices of a kind
have one scale. Code 0 is a missing value, and code ``k`` is ``low + (k - 1) * step``.
Codes of more than 8 bits are stored as two planes, first all low bytes and then all
high bytes, because this compresses better.

The packed nearest classes of an epoch are 16-bit numbers. The class indices of the
neighbours come first, row by row, and then the codes of their similarities. The first
classes, second classes and similarity codes of the closest pairs follow.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.queries.neighbors import closest_of_stored

# numbers of distinct values of a scale, from fine to coarse
LEVELS = (65_535, 4_095, 255)

Codes = NDArray[np.uint16]
MAX_PAIRS = 20
# placeholder for a missing similarity: below every similarity, but above the -inf of
# the class itself
MISSING = -9.0


class QuantizationScale(NamedTuple):
    """A linear scale between two values, both included."""

    low: float
    high: float
    levels: int

    @property
    def step(self) -> float:
        """The distance of adjacent codes; the rounding error is at most half of it."""
        if self.high > self.low:
            return (self.high - self.low) / (self.levels - 1)
        return 1.0

    def codes(self, values: NDArray[Any]) -> Codes:
        """Return the nearest codes, from 1; 0 for NaN.

        >>> QuantizationScale(0.0, 1.0, 255).codes(np.array([0.0, 0.5, 1.0, np.nan])).tolist()
        [1, 128, 255, 0]
        """
        numbers = (
            np.rint((np.asarray(values, dtype=np.float64) - self.low) / self.step) + 1
        )
        return np.where(np.isnan(numbers), 0, np.clip(numbers, 1, self.levels)).astype(
            np.uint16
        )


def off_diagonal(matrix: NDArray[Any], *, symmetric: bool) -> NDArray[Any]:
    """Return the values of a frame in its order."""
    size = len(matrix)
    if symmetric:
        mask = np.triu(np.ones((size, size), dtype=bool), 1)
    else:
        mask = ~np.eye(size, dtype=bool)
    return matrix[mask]


def pack(codes: Codes, levels: int) -> str:
    """Return codes as text."""
    flat = codes.ravel()
    planes = flat.astype(np.uint8).tobytes()
    if levels > 255:
        planes += (flat >> 8).astype(np.uint8).tobytes()
    return base64.b64encode(zlib.compress(planes, 6)).decode()


NEIGHBOR_SCALE = QuantizationScale(-1.0, 1.0, LEVELS[0])


def neighbor_count(classes: int) -> int:
    """Return the number of neighbours of each class in the page."""
    return min(10 if classes <= 256 else 5, classes - 1)


def pair_count(classes: int) -> int:
    """Return the number of closest pairs in the page."""
    return min(MAX_PAIRS, classes * (classes - 1) // 2)


def pack_neighbors(matrix: NDArray[Any]) -> str:
    """Return the nearest classes and the closest pairs of a symmetric matrix; ties by
    class index, missing values last.
    """
    size = len(matrix)
    values = np.where(np.isnan(matrix), MISSING, matrix.astype(np.float64))
    np.fill_diagonal(values, -np.inf)
    neighbors = _smallest(-values, neighbor_count(size))
    similarity = np.take_along_axis(values, neighbors, axis=1)

    first, second = np.triu_indices(size, 1)
    upper = values[first, second]
    pairs = _smallest(-upper[None, :], pair_count(size))[0]
    return _pack_parts(
        neighbors, _codes(similarity), first[pairs], second[pairs], _codes(upper[pairs])
    )


def pack_stored_neighbors(table: pd.DataFrame, classes: int) -> str:
    """Return the nearest classes and the closest pairs from the stored neighbours of
    each class, which include these pairs.
    """
    neighbors, values = (
        table[name].to_numpy().reshape(classes, -1)
        for name in ("neighbor", "similarity")
    )
    count = neighbor_count(classes)

    pairs, similarity = closest_of_stored(table, pair_count(classes))
    return _pack_parts(
        neighbors[:, :count], _codes(values[:, :count]), *pairs.T, _codes(similarity)
    )


def _pack_parts(*parts: NDArray[Any]) -> str:
    return pack(
        np.concatenate([part.ravel() for part in parts]).astype(np.uint16), LEVELS[0]
    )


def _smallest(keys: NDArray[Any], count: int) -> NDArray[np.intp]:
    """Return the columns of the ``count`` smallest keys of each row, in rising order;
    ties by column.
    """
    is_small = keys <= np.partition(keys, count - 1, axis=1)[:, count - 1 : count]
    if is_small.sum() > count * len(keys):  # some row has ties at its last key
        return np.argsort(keys, axis=1, kind="stable")[:, :count]
    columns = np.nonzero(is_small)[1].reshape(len(keys), count)
    order = np.argsort(np.take_along_axis(keys, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _codes(values: NDArray[Any]) -> NDArray[np.uint16]:
    return NEIGHBOR_SCALE.codes(np.where(values <= MISSING, np.nan, values))
