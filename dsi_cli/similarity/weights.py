"""Similarity of classes by their classifier weights: the NCSM of arXiv 2505.21338, section 3.1.

The weight of a classifier is ``W (C, d)``, one row a class; a 1x1 convolution's ``(C, d, 1, 1)`` is flattened. The bias
plays no part. Lengths are taken in float64 (so that huge and denormal weights have a direction too), products in float32.
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
        One row a class, any scale: scaling a row changes nothing.

    Returns
    -------
    (C, C) float32
        Exactly symmetric, exactly 1 on the diagonal.

    Raises
    ------
    NotFiniteError
        A weight is NaN or infinite; the message names the classes.
    UsageError
        The array has no classes to compare.

    Notes
    -----
    A zero row has no direction: its similarity is 0 to all others and 1 to itself; `zero_rows` names them.

    Examples
    --------
    >>> weight_similarity(np.array([[1.0, 0.0], [3.0, 3.0], [0.0, 0.0]])).round(3).tolist()
    [[1.0, 0.7070000171661377, 0.0], [0.7070000171661377, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return _cosine(as_rows(weight))


def centred_weight_similarity(weight: FloatArray) -> Float32Array:
    """Return the NCSM of ``W`` less its mean row, in [-1, 1].

    Adding one vector to every row of a softmax classifier changes no prediction but changes the NCSM; this matrix has
    no such freedom. A row that equals the mean row but for rounding counts as zero.

    Parameters
    ----------
    weight : (C, d) or (C, d, 1, 1) float

    Returns
    -------
    (C, C) float32
        Zero rows as for `weight_similarity`.

    Raises
    ------
    NotFiniteError, UsageError
        As for `weight_similarity`.
    """
    return _cosine(_centred(as_rows(weight)))


class Cosines:
    """The NCSM of weights, its rows made on demand: a `dsi_cli.metrics.blockwise.blocks.RowSource`.

    The values are those of the whole matrix to float32's rounding: a product of another shape may be summed in another order.

    Parameters
    ----------
    unit : (C, d) float32
        Rows of length 1, or 0 for those without a direction.
    """

    def __init__(self, unit: Float32Array) -> None:
        self.unit = unit
        self.size = len(unit)

    @classmethod
    def of(cls, weight: FloatArray, *, centred: bool = False) -> Cosines:
        """Return the NCSM of weights ``(C, d)``; ``centred``: less their mean row. Errors as for `weight_similarity`."""
        rows = as_rows(weight)
        return cls(_directions(_centred(rows) if centred else rows))

    def block(self, start: int, stop: int, /) -> Float32Array:
        """Return the rows ``(stop - start, C)`` from ``start`` up to ``stop``, the diagonal included."""
        found: Float32Array = self.unit[start:stop] @ self.unit.T
        np.clip(found, -1.0, 1.0, out=found)
        at = np.arange(len(found))
        found[at, start + at] = 1.0
        return found

    def between(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Float32Array:
        """Return the similarities of some classes (rows) to others (columns); that of a class to itself is exactly 1."""
        found: Float32Array = np.clip(self.unit[rows] @ self.unit[columns].T, -1.0, 1.0)
        found[rows[:, None] == columns] = 1.0
        return found

    def take(self, at: Sequence[int] | NDArray[np.intp], /) -> Cosines:
        """Return the matrix of some of the classes, in the order given."""
        return Cosines(self.unit[np.asarray(at, dtype=np.intp)])


def mean_row_ratio(weight: FloatArray) -> float:
    """Return the length of the mean weight row relative to the mean row length, in [0, 1]; 0 if all rows are zero.

    It says how much of the NCSM is the shared direction that `centred_weight_similarity` takes away.

    Parameters
    ----------
    weight : (C, d) or (C, d, 1, 1) float

    Raises
    ------
    NotFiniteError, UsageError
        As for `weight_similarity`.
    """
    rows, peak = _below_one(as_rows(weight))
    if peak == 0.0:
        return 0.0
    return float(np.linalg.norm(rows.mean(axis=0)) / np.linalg.norm(rows, axis=1).mean())


def zero_rows(weight: FloatArray) -> list[int]:
    """Return the indices of the classes whose weight row is all zero and so has no direction."""
    return [int(index) for index in np.flatnonzero(~as_rows(weight).any(axis=1))]


def as_rows(weight: FloatArray) -> NDArray[np.float64]:
    """Return ``weight`` as finite float64 rows ``(C, d)``; errors as for `weight_similarity`."""
    if weight.ndim < 2 or weight.shape[0] < 2 or weight.size == 0:
        msg = f"similarity needs the weights of two classes or more, (C, d); this array has shape {weight.shape}"
        raise UsageError(msg)
    rows: NDArray[np.float64] = weight.reshape(weight.shape[0], -1).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        named = ", ".join(map(str, bad[:5])) + (f" and {bad.size - 5} more" if bad.size > 5 else "")
        raise NotFiniteError(f"NaN or infinite weights in class {named} of {len(rows)}: nothing can be said of this epoch")
    return rows


def _below_one(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return the rows over their largest absolute value, and that value: huge and denormal rows have a mean too."""
    peak = float(np.abs(rows).max())
    with np.errstate(over="ignore"):  # NumPy 1.26 cries overflow where it divides denormals, and divides them well
        return rows / (peak or 1.0), peak


def _directions(rows: NDArray[np.float64]) -> Float32Array:
    """Return rows ``(C, d)`` of length 1, zero where there is no direction."""
    peak = np.abs(rows).max(axis=1, keepdims=True)
    scaled = np.divide(rows, peak, out=np.zeros_like(rows), where=peak > 0)
    length = np.linalg.norm(scaled, axis=1, keepdims=True)
    unit: Float32Array = np.divide(scaled, length, out=scaled, where=length > 0).astype(np.float32)
    return unit


def _centred(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    below, _ = _below_one(rows)
    centred: NDArray[np.float64] = below - below.mean(axis=0, keepdims=True)
    centred[np.abs(centred).max(axis=1) <= len(rows) * np.finfo(np.float64).eps] = 0.0
    return centred


def _cosine(rows: NDArray[np.float64]) -> Float32Array:
    unit = _directions(rows)
    product = unit @ unit.T
    # BLAS may sum (i, j) and (j, i) in another order: keep one of the two.
    upper = np.triu(np.clip(product, -1.0, 1.0), 1)
    similarity: Float32Array = upper + upper.T
    np.fill_diagonal(similarity, 1.0)
    return similarity
