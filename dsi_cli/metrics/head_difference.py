"""The differences between two classifier heads ``(C, d)`` with the same classes.

Angles need one feature space: the class vectors of independently trained networks have no common axes. `correlation_z` detects
this. Similarities of pairs of classes (the NCSM) can always be compared.

The rounding bound follows from the dtypes in which the weights are stored: a stored value is within the unit roundoff of the value
that was rounded, or within half of the smallest subnormal number.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.head_geometry import centre
from dsi_cli.similarity import unit_rows

Float64s = NDArray[np.float64]
MIN_Z = 3.0
"""The correlation of two heads, in standard deviations above chance, from which their angles are compared."""
NEIGHBORS = 5
"""The number of nearest classes that count as neighbours."""
PRECISIONS = {
    "float64": (2.0**-24, 0.0),
    "float32": (2.0**-24, 0.0),
    "float16": (2.0**-11, 2.0**-25),
    "bfloat16": (2.0**-8, 0.0),
    "float8_e4m3fn": (2.0**-4, 2.0**-10),
    "float8_e4m3fnuz": (2.0**-4, 2.0**-11),
    "float8_e5m2": (2.0**-3, 2.0**-17),
    "float8_e5m2fnuz": (2.0**-3, 2.0**-18),
}
"""Unit roundoff, and half of the smallest subnormal number, by dtype. dsi reads float64 as float32."""


class Rounding(NamedTuple):
    """The largest differences that rounding can explain."""

    exceeded: NDArray[np.bool_]
    """True for classes with a weight that differs by more ``(C,)``."""
    angle: Float64s
    """In degrees ``(C,)``."""
    relative: Float64s
    """The bound of the change of a class vector relative to its length ``(C,)``; two of them bound the change of a cosine."""


def rounding(first: NDArray[Any], second: NDArray[Any], dtypes: tuple[str, str]) -> Rounding:
    """Return what rounding to the dtypes of two heads of the same shape can explain.

    Parameters
    ----------
    dtypes : keys of `PRECISIONS`; other dtypes explain nothing.

    Examples
    --------
    >>> weight = np.array([[1.0, 0.1], [0.3, 2.0]], dtype=np.float32)
    >>> rounding(weight, weight.astype(np.float16), ("float32", "float16")).exceeded.tolist()
    [False, False]
    """
    one, other = first.astype(np.float64), second.astype(np.float64)
    (u, tiny), (v, other_tiny) = (PRECISIONS.get(dtype, (0.0, 0.0)) for dtype in dtypes)
    bound = u * np.abs(one) + v * np.abs(other) + tiny + other_tiny
    length = np.maximum(np.linalg.norm(one, axis=1), np.finfo(np.float64).tiny)
    relative = np.linalg.norm(bound, axis=1) / length
    angle = np.degrees(np.arcsin(np.minimum(relative, 1.0)))
    exceeded: NDArray[np.bool_] = np.any(np.abs(one - other) > bound, axis=1)
    return Rounding(exceeded, angle, relative)


def correlation_z(first: NDArray[Any], second: NDArray[Any]) -> float | None:
    """Return the correlation of two heads of the same shape, in standard deviations above that of unrelated feature spaces.

    The statistic is the sum of the cosines of the centred vectors of each class in both heads. Independent networks have their
    features in random order, so the result is the distance from the mean over all orders of the features, in standard deviations
    of these (both exact). 0 is chance. None if all vectors are zero or equal, or if there is one feature.
    """
    one, other = (unit_rows(centre(head.astype(np.float64))) for head in (first, second))
    products = one.T @ other
    centred = products - products.mean(axis=0) - products.mean(axis=1, keepdims=True) + products.mean()
    if len(products) < 2 or np.abs(centred).max() < 1e-9:
        return None
    return float(np.trace(centred) / np.sqrt((centred**2).sum() / (len(products) - 1)))


def cosines(weight: NDArray[Any]) -> Float64s:
    """Return the NCSM in float64 with an exact diagonal, so that small changes are not lost to rounding."""
    unit = unit_rows(weight.astype(np.float64))
    matrix: Float64s = np.clip(unit @ unit.T, -1.0, 1.0)
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 1.0)
    return matrix


def nearest(similarity: Float64s) -> NDArray[np.intp]:
    """Return the nearest classes of each class ``(C, k)``, the nearest first; equal ones in class order."""
    others = similarity.copy()
    np.fill_diagonal(others, -np.inf)
    return np.argsort(-others, axis=1, kind="stable")[:, : min(NEIGHBORS, len(others) - 1)]


def relative_change(first: NDArray[Any], second: NDArray[Any]) -> Float64s:
    """Return the length of the difference of each class vector over its length in the first head; NaN for a zero vector there."""
    difference = np.linalg.norm(second.astype(np.float64) - first, axis=1)
    length = np.linalg.norm(first.astype(np.float64), axis=1)
    change: Float64s = np.divide(difference, length, out=np.full(len(length), np.nan), where=length > 0)
    return change
