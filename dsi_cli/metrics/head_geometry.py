"""Geometry of the classifier's class vectors, from the weights ``W (C, d)`` alone, and
its differences between two heads.

*Centred* vectors are the rows of ``W`` minus their mean row, which changes no
prediction of a softmax classifier.

- Effective rank: ``exp`` of the entropy of the singular values over their sum (Roy and
  Vetterli 2007, EUSIPCO).
- Stable rank: the sum of the squared singular values over the largest one. Its
  reciprocal is the share of the first direction.
- Spectrum: the singular values of the centred vectors. Those of a random head follow
  Marchenko and Pastur (1967, Math. USSR Sb.).
- Neural collapse (Papyan, Han and Donoho 2020, doi 10.1073/pnas.2015509117) predicts
  that the centred vectors become a simplex. Its vertices have equal norms (NC2), and a
  cosine of ``-1 / (C - 1)`` with each other. `HeadGeometry` has the deviations.

Angles between two heads need one feature space: the class vectors of independently
trained networks have no common axes. `correlation_z` detects this. Similarities of
pairs of classes (the NCSM) can always be compared. The dtypes in which the weights are
stored bound their rounding. A stored value is within the unit roundoff of the value
that was rounded, or within half of the smallest subnormal number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsi_cli.metrics.class_alignment import MIN_CLASSES, align_group
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.similarity import (
    as_rows,
    below_one,
    centre,
    centred_weight_similarity,
    unit_rows,
)

Float64s = NDArray[np.float64]
# the maximum number of classes for which every cosine is computed
MAX_PAIRED_CLASSES = 4096
BLOCK_ROWS = 1024  # the number of rows of a product that are in memory at a time
MIN_DRAWS, MAX_DRAWS, MAX_OPERATIONS = 3, 20, 2e9
"""The number of random heads for the chance level: as many as the operations for their
spectra allow.
"""
COSINE_ROUNDING = 1e-6
"""The bound of the error of a cosine in float32, as the NCSM has it. The largest error
of measured heads with up to 8,192 features is 5e-7.
"""
MIN_BREAK_ANGLE = 60.0
"""The vectors of the same class in independent networks have at least this mean angle,
in degrees.
"""
NEIGHBORS = 5  # the number of nearest classes that count as neighbours
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
"""Unit roundoff, and half of the smallest subnormal number, by dtype. dsi reads float64
as float32.
"""


@dataclass(frozen=True)
class HeadGeometry:
    """The ranks and deviations of one head; None if one is not defined."""

    effective_rank: float | None
    """1 for vectors of one direction, and at most ``min(C, d)``."""
    stable_rank: float | None
    norm_variation: float | None
    """The standard deviation of the norms over their mean; 0 for equal norms (NC2)."""
    centred_effective_rank: float | None
    """At most ``min(C - 1, d)``, which a simplex reaches."""
    centred_stable_rank: float | None
    centred_norm_variation: float | None
    angle_deviation: float | None
    """The mean of ``|cos + 1 / (C - 1)|`` over pairs of centred vectors; 0 for a
    simplex (NC2). None above 4,096 classes.
    """
    angle_spread: float | None
    """The standard deviation of these cosines; 0 for equal angles (NC2)."""


class RandomHeads(NamedTuple):
    """The chance levels for heads of one shape: means and standard deviations over
    seeded random heads.
    """

    means: HeadGeometry
    deviations: HeadGeometry
    shares: Float64s
    """The mean share of each singular value in the squared sum, ``(min(C - 1, d),)``.
    """
    share_deviations: Float64s


def head_geometry(weight: ArrayLike) -> HeadGeometry:
    """Return the effective and stable ranks of a head, and its deviations from neural
    collapse.

    Sources: Roy and Vetterli 2007 (effective rank); Papyan, Han and Donoho 2020, doi
    10.1073/pnas.2015509117 (NC2).

    Parameters
    ----------
    weight : (C, d) or (C, d, 1, 1) float
        A zero row has a norm of 0 and takes no part in angles.

    Returns
    -------
    HeadGeometry
        Ranks in [1, min(C, d)], and deviations of 0 or more; rows without a direction
        have none.

    Raises
    ------
    NotFiniteError
        A weight is NaN or infinite.
    UsageError
        The array is not a weight of two classes or more.

    Examples
    --------
    >>> geometry = head_geometry(np.eye(3))
    >>> round(geometry.effective_rank, 6), round(geometry.centred_effective_rank, 6), round(geometry.angle_deviation, 6)
    (3.0, 2.0, 0.0)
    """
    return geometry_and_spectrum(weight)[0]


def geometry_and_spectrum(weight: ArrayLike) -> tuple[HeadGeometry, Float64s]:
    """Return the indices of a head, and its spectrum.

    The spectrum ``(min(C - 1, d),)`` contains the singular values of the centred
    vectors, the largest first. A value is 0 if it is below rounding. Parameters and
    errors are those of `head_geometry`.
    """
    rows, scale = below_one(as_rows(weight))
    centred, mean = centre(rows), rows.mean(axis=0)

    raw_squares, squares = _squared_singular_values(centred, mean)
    # Centred vectors have a rank of at most C - 1, but rounding can leave another
    # value.
    spectrum = np.zeros(min(len(rows) - 1, rows.shape[1]))
    squares = squares[-len(spectrum) :]
    geometry = HeadGeometry(
        *_ranks(raw_squares),
        norm_variation(rows),
        *_ranks(squares),
        norm_variation(centred),
        *_angles(centred),
    )
    spectrum[: len(squares)] = scale * np.sqrt(squares[::-1])
    return geometry, spectrum


def spectrum_shares(spectrum: Float64s) -> Float64s:
    """Return the square of each singular value over the sum of all squares; the
    spectrum is not all 0.
    """
    squares = (spectrum / spectrum[0]) ** 2
    return squares / squares.sum()


def norm_variation(rows: Float64s) -> float | None:
    """Return the standard deviation of the norms of rows over their mean (NC2); None if
    all are zero.
    """
    norms = row_lengths(rows)
    return float(norms.std() / norms.mean()) if norms.any() else None


@lru_cache(maxsize=16)
def random_heads(classes: int, features: int) -> RandomHeads:
    """Return the chance levels of a head ``(classes, features)``, from 3 to 20 seeded
    heads of independent normal values.

    There are two classes or more. An untrained network usually has these levels, too.
    """
    operations = classes * features * min(classes, features)
    generator = np.random.default_rng(0)
    draws = int(np.clip(MAX_OPERATIONS // operations, MIN_DRAWS, MAX_DRAWS))
    indices, shares = [], []
    for _ in range(draws):
        geometry, spectrum = geometry_and_spectrum(
            generator.standard_normal((classes, features))
        )
        indices.append(list(vars(geometry).values()))
        shares.append(spectrum_shares(spectrum))
    values = np.array(indices, dtype=np.float64)
    means, deviations = (
        HeadGeometry(*(None if np.isnan(value) else float(value) for value in fields))
        for fields in (values.mean(axis=0), values.std(axis=0, ddof=1))
    )
    return RandomHeads(
        means, deviations, np.mean(shares, axis=0), np.std(shares, axis=0, ddof=1)
    )


def _squared_singular_values(
    centred: Float64s, mean: Float64s
) -> tuple[Float64s, Float64s]:
    """Return the squared singular values above rounding in rising order, of the class
    vectors and of the centred ones.

    One matrix is made tridiagonal for both. The first axis of the result is the first
    axis of the matrix (Golub and Van Loan 2013, section 8.3.1), which is made the one
    in which they differ: the mean of the rows, or the direction of the mean row.
    """
    classes, features = centred.shape
    if classes <= features:
        axis = np.full(classes, classes**-0.5)
        product = _reflected(_reflected(centred @ centred.T, axis).T, axis)
        product[0] = product[:, 0] = _reflected(centred @ mean, axis) / axis[0]
        product[0, 0] = classes * (mean @ mean)
        raw_diagonal, beside = _tridiagonal(product)
        return (
            _eigenvalues(raw_diagonal, beside),
            _eigenvalues(raw_diagonal[1:], beside[1:]),
        )
    length = np.sqrt(mean @ mean)
    product = centred.T @ centred
    if length:
        axis = mean / length
        product = _reflected(_reflected(product, axis).T, axis)
    diagonal, beside = _tridiagonal(product)
    raw_diagonal = diagonal.copy()
    raw_diagonal[0] += classes * length**2
    return _eigenvalues(raw_diagonal, beside), _eigenvalues(diagonal, beside)


def _reflected(rows: Float64s, axis: Float64s) -> Float64s:
    """Return rows ``(..., n)`` after a reflection that makes a vector of length 1 the
    first axis, or its opposite.
    """
    normal = axis.copy()
    normal[0] += np.copysign(1.0, axis[0])
    reflected: Float64s = rows - np.multiply.outer(
        rows @ normal, 2 / (normal @ normal) * normal
    )
    return reflected


def _tridiagonal(symmetric: Float64s) -> tuple[Float64s, Float64s]:
    """Return the diagonal ``(n,)`` of a tridiagonal matrix with the same eigenvalues
    and first axis, and the values beside it ``(n - 1,)``.
    """
    from scipy.linalg import lapack

    size, _ = lapack.dsytrd_lwork(len(symmetric), lower=True)
    _, diagonal, beside, _, _ = lapack.dsytrd(symmetric, lower=True, lwork=int(size))
    return diagonal, beside


def _eigenvalues(diagonal: Float64s, beside: Float64s) -> Float64s:
    """Return the eigenvalues above rounding of a tridiagonal matrix, in rising
    order.
    """
    from scipy.linalg import eigvalsh_tridiagonal

    found: Any = diagonal
    if len(diagonal) > 1:  # SciPy 1.11 refuses a single value
        found = eigvalsh_tridiagonal(diagonal, beside, lapack_driver="sterf")
    values = np.asarray(found, dtype=np.float64)
    largest = max(values[-1], 0.0)
    return values[values > largest * len(values) * np.finfo(np.float64).eps]


def _ranks(squares: Float64s) -> tuple[float | None, float | None]:
    """Return the effective and the stable rank from squared singular values in rising
    order; None without any.
    """
    if not len(squares):
        return None, None
    shares = np.sqrt(squares)
    shares /= shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum())), float(
        squares.sum() / squares[-1]
    )


def _angles(centred: Float64s) -> tuple[float | None, float | None]:
    """Return the mean deviation of the cosines from those of a simplex, and their
    standard deviation.
    """
    norms = row_lengths(centred)
    unit = centred[norms > 0] / norms[norms > 0, None]
    count = len(unit)
    if count < 2:
        return None, None
    # Sums over all pairs, with each class and itself.
    squares, deviation, ideal = 0.0, 0.0, 1 / (count - 1)
    if count <= MAX_PAIRED_CLASSES:
        for start in range(0, count, BLOCK_ROWS):
            block = unit[start : start + BLOCK_ROWS] @ unit.T
            squares += float(np.vdot(block, block))
            block += ideal
            deviation += float(np.abs(block, out=block).sum())
    else:
        # The product of the columns (d, d) has the same squares as that of the rows.
        product = unit.T @ unit
        squares = float(np.vdot(product, product))
    pairs = count * (count - 1)
    total = unit.sum(axis=0)
    mean = (float(total @ total) - count) / pairs
    spread = float(np.sqrt(max((squares - count) / pairs - mean**2, 0.0)))
    if count > MAX_PAIRED_CLASSES:
        return None, spread
    return max((deviation - count * (1 + ideal)) / pairs, 0.0), spread


def angles(
    first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]
) -> Float64s:
    """Return the angle in degrees between each row of two matrices ``(C, d)``, in [0,
    180]; NaN for a zero row.

    The formula with both sum and difference (Kahan) is exact for small angles, which
    the arc cosine is not.

    >>> angles(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[2.0, 2.0], [1.0, 0.0]])).round(6).tolist()
    [45.0, nan]
    """
    return angles_of_units(
        unit_rows(np.asarray(first, dtype=np.float64)),
        unit_rows(np.asarray(second, dtype=np.float64)),
    )


def angles_of_units(first: Float64s, second: Float64s) -> Float64s:
    """Return the same as `angles` for rows that are of length 1 already, or zero; NaN
    for heads of different shapes.
    """
    if first.shape != second.shape:
        return np.full(len(first), np.nan)
    difference = row_lengths(first - second)
    # The squares of the lengths of difference and sum are 4 together.
    total = np.sqrt(np.maximum(4 - difference * difference, 0.0))
    result: Float64s = np.degrees(2 * np.arctan2(difference, total))
    result[~(first.any(axis=1) & second.any(axis=1))] = np.nan
    return result


def row_lengths(rows: Float64s) -> Float64s:
    """Return the Euclidean length of each row, without a temporary array of their
    squares.
    """
    lengths: Float64s = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return lengths


class Rounding(NamedTuple):
    """The largest differences that rounding can explain."""

    exceeded: NDArray[np.bool_] | None
    """True for classes with a weight that differs by more ``(C,)``; None if the weights
    are not compared.
    """
    angle: Float64s
    """In degrees ``(C,)``."""
    relative: Float64s
    """The bound of the change of a class vector relative to its length ``(C,)``; two of
    them bound the change of a cosine.
    """


def rounding(
    first: NDArray[Any], second: NDArray[Any], dtypes: tuple[str, str]
) -> Rounding:
    """Return what rounding to the dtypes of two heads of the same shape can explain;
    dtypes not in `PRECISIONS` explain nothing.

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
    """Return the correlation of two heads of the same shape, in standard deviations
    above that of unrelated feature spaces.

    The statistic is the sum of the cosines of the centred vectors of each class in both
    heads. Independent networks have their features in random order, so the result is
    the distance from the mean over all orders of the features, in standard deviations
    of these (both exact). 0 is chance. None if all vectors are zero or equal, or if
    there is one feature.
    """
    one, other = (
        unit_rows(centre(head.astype(np.float64))) for head in (first, second)
    )
    products = one.T @ other
    centred = (
        products
        - products.mean(axis=0)
        - products.mean(axis=1, keepdims=True)
        + products.mean()
    )
    if len(products) < 2 or np.abs(centred).max() < 1e-9:
        return None
    return float(np.trace(centred) / np.sqrt((centred**2).sum() / (len(products) - 1)))


def is_of_other_training(before: NDArray[Any], after: NDArray[Any]) -> bool:
    """Return whether a head does not continue the one before but is of another training
    of the same classes, both ``(C, d)``.

    The vectors of the same class are then uncorrelated, as in independent networks, but
    the similarities of the classes agree, as only those of trained networks do. A head
    that starts again has no similarities yet, and later heads of one training are
    correlated whatever the learning rate.
    """
    if before.shape != after.shape or len(before) < MIN_CLASSES:
        return False
    if np.nanmean(angles(before, after)) < MIN_BREAK_ANGLE:  # this is faster
        return False
    z = correlation_z(before, after)
    if z is None or z >= MIN_Z:
        return False
    agreement = align_group(
        centred_weight_similarity(before), centred_weight_similarity(after)
    )
    return agreement.z is not None and agreement.z >= MIN_Z


def nearest(similarity: Float64s) -> NDArray[np.intp]:
    """Return the nearest classes of each class ``(C, k)``, the nearest first; equal
    ones in class order.
    """
    others = similarity.copy()
    np.fill_diagonal(others, -np.inf)
    return np.argsort(-others, axis=1, kind="stable")[
        :, : min(NEIGHBORS, len(others) - 1)
    ]


def relative_change(first: NDArray[Any], second: NDArray[Any]) -> Float64s:
    """Return the length of the difference of each class vector over its length in the
    first head; NaN for a zero vector there.
    """
    difference = np.linalg.norm(second.astype(np.float64) - first, axis=1)
    length = np.linalg.norm(first.astype(np.float64), axis=1)
    return np.divide(
        difference, length, out=np.full(len(length), np.nan), where=length > 0
    )
