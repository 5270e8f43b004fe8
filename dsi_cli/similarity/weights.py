"""Similarity of classes by their classifier weights: the NCSM of arXiv 2505.21338, section 3.1.

The weight of a classifier is ``W (C, d)``, with one row per class; that of a 1x1 convolution, ``(C, d, 1, 1)``, is flattened. The
bias is ignored. Lengths are computed in float64, so that huge and denormal weights have a direction, too; products in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import NotFiniteError, UsageError

FloatArray = NDArray[np.floating[Any]]
Float32Array = NDArray[np.float32]


def weight_similarity(weight: FloatArray) -> Float32Array:
    """Return the cosine similarity of the classes' weight rows (the raw NCSM), in [-1, 1].

    Parameters
    ----------
    weight : (C, d) or (C, d, 1, 1) float
        One row per class; the scale of a row does not matter.

    Returns
    -------
    (C, C) float32
        An exactly symmetric matrix, exactly 1 on the diagonal.

    Raises
    ------
    NotFiniteError
        A weight is NaN or infinite; the message names the classes.
    UsageError
        The array has no classes to compare.

    Notes
    -----
    A zero row has no direction. Its similarity is 0 to all others and 1 to itself; `zero_rows` returns such rows.

    Examples
    --------
    >>> weight_similarity(np.array([[1.0, 0.0], [3.0, 3.0], [0.0, 0.0]])).round(3).tolist()
    [[1.0, 0.7070000171661377, 0.0], [0.7070000171661377, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return _cosine(as_rows(weight))


def centred_weight_similarity(weight: FloatArray) -> Float32Array:
    """Return the NCSM of ``W`` minus its mean row, in [-1, 1].

    Adding one vector to every row of a softmax classifier changes the NCSM, but no prediction and not this matrix. A row that
    equals the mean row up to rounding counts as zero.

    Parameters
    ----------
    weight : (C, d) or (C, d, 1, 1) float

    Returns
    -------
    (C, C) float32
        An exactly symmetric matrix; zero rows have the values of `weight_similarity`.

    Raises
    ------
    NotFiniteError, UsageError
        The errors of `weight_similarity`.
    """
    return _cosine(_centre(as_rows(weight)))


class Cosines:
    """The NCSM with rows that are computed on demand (`dsi_cli.metrics.blockwise.RowSource`), from unit or zero rows ``(C, d)``.

    The values equal those of the whole matrix up to float32 rounding, because the order of summation depends on the shape.
    """

    def __init__(self, unit: Float32Array) -> None:
        self.unit = unit
        self.size = len(unit)

    @classmethod
    def of(cls, weight: FloatArray, *, centred: bool = False) -> Cosines:
        """Return the NCSM of weights ``(C, d)``, minus their mean row if ``centred``; errors as for `weight_similarity`."""
        rows = as_rows(weight)
        return cls(unit_rows(_centre(rows) if centred else rows).astype(np.float32))

    def block(self, start: int, stop: int, /) -> Float32Array:
        """Return the rows ``(stop - start, C)`` from ``start`` up to ``stop``, the diagonal included."""
        block: Float32Array = self.unit[start:stop] @ self.unit.T
        np.clip(block, -1.0, 1.0, out=block)
        rows = np.arange(len(block))
        block[rows, start + rows] = 1.0
        return block

    def between(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Float32Array:
        """Return the similarities of some classes (rows) to others (columns); a class has exactly 1 with itself."""
        similarities: Float32Array = np.clip(self.unit[rows] @ self.unit[columns].T, -1.0, 1.0)
        similarities[rows[:, None] == columns] = 1.0
        return similarities

    def take(self, indices: Sequence[int] | NDArray[np.intp], /) -> Cosines:
        """Return the matrix of some of the classes, in the order of ``indices``."""
        return Cosines(self.unit[np.asarray(indices, dtype=np.intp)])


def mean_row_ratio(weight: FloatArray) -> float:
    """Return the length of the mean weight row relative to the mean row length, in [0, 1]; 0 if all rows are zero.

    The ratio measures the part of the NCSM that comes from the shared direction, which `centred_weight_similarity` removes.

    Parameters
    ----------
    weight : (C, d) or (C, d, 1, 1) float

    Raises
    ------
    NotFiniteError, UsageError
        The errors of `weight_similarity`.
    """
    rows, peak = _below_one(as_rows(weight))
    if peak == 0.0:
        return 0.0
    return float(np.linalg.norm(rows.mean(axis=0)) / np.linalg.norm(rows, axis=1).mean())


def zero_rows(weight: FloatArray) -> list[int]:
    """Return the indices of the classes with a zero row, which has no direction."""
    return [int(index) for index in np.flatnonzero(~as_rows(weight).any(axis=1))]


def as_rows(weight: FloatArray) -> NDArray[np.float64]:
    """Return ``weight`` as finite float64 rows ``(C, d)``; errors as for `weight_similarity`."""
    if weight.ndim < 2 or weight.shape[0] < 2 or weight.size == 0:
        message = f"dsi needs the weights of two classes or more, (C, d); this array has shape {weight.shape}"
        raise UsageError(message, code="not-a-weight", shape=weight.shape)
    rows: NDArray[np.float64] = weight.reshape(weight.shape[0], -1).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        listed = ", ".join(map(str, bad[:5])) + (f" and {bad.size - 5} more" if bad.size > 5 else "")
        raise NotFiniteError(f"NaN or infinite weights in class {listed} of {len(rows)}: this epoch cannot be analysed")
    return rows


def _below_one(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return the rows divided by their largest absolute value, and this value, so that huge rows have a finite mean."""
    peak = float(np.abs(rows).max())
    with np.errstate(over="ignore"):  # NumPy 1.26 warns of overflow for denormals although the result is right
        return rows / (peak or 1.0), peak


def unit_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows ``(C, d)`` of length 1; zero rows stay zero."""
    peak = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    scaled = rows / np.where(peak > 0, peak, 1.0)
    length = np.linalg.norm(scaled, axis=1, keepdims=True)
    unit: NDArray[np.float64] = scaled / np.where(length > 0, length, 1.0)
    return unit


def _centre(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    below, _ = _below_one(rows)
    centred: NDArray[np.float64] = below - below.mean(axis=0, keepdims=True)
    centred[np.abs(centred).max(axis=1) <= len(rows) * np.finfo(np.float64).eps] = 0.0
    return centred


def _cosine(rows: NDArray[np.float64]) -> Float32Array:
    unit = unit_rows(rows).astype(np.float32)
    product = unit @ unit.T
    # BLAS may sum (i, j) and (j, i) in different orders, so keep only one of them.
    upper = np.triu(np.clip(product, -1.0, 1.0), 1)
    similarity: Float32Array = upper + upper.T
    np.fill_diagonal(similarity, 1.0)
    return similarity
