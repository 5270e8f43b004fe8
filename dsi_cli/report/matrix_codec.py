"""Packing of matrices for the page: values become whole numbers, compressed with zlib,
as text.

A packed matrix, called a frame, has no diagonal, because its values are 1 by
definition. A frame of a symmetric matrix holds the upper triangle row by row. A frame
of any other matrix holds all off-diagonal values row by row. All matrices of a kind
have one scale. Code 0 is a missing value, and code ``k`` is ``low + (k - 1) * step``.
Codes of more than 8 bits are stored as two planes, first all low bytes and then all
high bytes, because this compresses better.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# numbers of distinct values of a scale, from fine to coarse
LEVELS = (65_535, 4_095, 255)

Codes = NDArray[np.uint16]


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
