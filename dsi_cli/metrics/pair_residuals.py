"""The residuals of pairs of classes that other similarities do not explain **[ours]**.

The *residual* of a pair is its similarity (Fisher's z of the cosine) minus a
least-squares fit by one effect for each of its two classes (the additive model of a
round robin, Warner, Kenny and Stoto 1979, https://doi.org/10.1037/0022-3514.37.10.1742),
and by the reference, if there is one. NaN marks pairs that are missing or set aside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

MAD_TO_DEVIATION = 1.4826  # for a normal distribution
MAX_COSINE = 0.999  # keeps Fisher's z finite
ROUNDING = 1e-6  # of cosines that are computed from float32 values
TINY = float(np.finfo(np.float64).tiny)
MIN_PAIRS = 3  # a class with fewer pairs has no effect of its own
MISSING_STEPS = 20
"""The number of steps that estimate missing pairs; few are missing, so each step
reduces the error to a small share.
"""


def upper(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return the values of all pairs, those above the diagonal."""
    return matrix[np.triu_indices(len(matrix), 1)]


def with_diagonal(matrix: Values, value: float) -> Values:
    """Return a copy of a matrix with this value on its diagonal."""
    copy = matrix.copy()
    np.fill_diagonal(copy, value)
    return copy


def robust_deviation(values: Values) -> float:
    """Return the standard deviation of normal values, by their median deviation."""
    return float(MAD_TO_DEVIATION * np.median(np.abs(values - np.median(values))))


def fisher(cosines: NDArray[Any]) -> Values:
    """Return Fisher's z of cosines, whose spread depends less on their size."""
    clipped = np.clip(np.asarray(cosines, np.float64), -MAX_COSINE, MAX_COSINE)
    transformed: Values = np.arctanh(clipped)
    return transformed


def without_class_effects(values: Values) -> Values:
    """Return what a least-squares fit of one effect per class leaves of the
    off-diagonal values of a symmetric matrix ``(C, C)``.

    The diagonal is 0. Missing pairs are NaN, as are all pairs of a class with fewer
    than three.
    """
    missing = np.isnan(with_diagonal(values, 0.0))
    if not missing.any():
        return _residuals_of_complete(values)
    is_used = has_pairs(values)
    square = np.ix_(is_used, is_used)
    left = np.full_like(values, np.nan)
    if np.count_nonzero(is_used) > MIN_PAIRS:
        left[square] = _residuals_of_complete(filled(values[square]))
    left[missing] = np.nan
    np.fill_diagonal(left, 0.0)
    return left


def has_pairs(values: Values) -> NDArray[np.bool_]:
    """Return whether each class of a matrix has enough pairs for an effect ``(C,)``."""
    known: NDArray[np.bool_] = np.count_nonzero(~np.isnan(values), axis=1) > MIN_PAIRS
    return known


def filled(values: Values) -> Values:
    """Return a symmetric matrix ``(C, C)`` whose missing pairs are replaced by their
    least-squares fit by one effect per class; the diagonal is 0.
    """
    pairs = with_diagonal(values, 0.0)
    missing = np.isnan(pairs)
    if missing.any():
        pairs[missing] = np.mean(pairs[~missing])
        # Each step replaces missing pairs by the fit of the step before.
        for _ in range(MISSING_STEPS):
            pairs[missing] -= _residuals_of_complete(pairs)[missing]
    return pairs


def _residuals_of_complete(values: Values) -> Values:
    pairs = with_diagonal(values, 0.0)
    classes = len(pairs)
    effects = pairs.sum(axis=1) / (classes - 2)
    mean = pairs.sum() / ((classes - 1) * (classes - 2))
    return with_diagonal(pairs - (effects[:, None] + effects - mean), 0.0)


def pair_residuals(similarity: Values, reference: Values | None = None) -> Values:
    """Return how much closer each pair is than its classes and the reference explain
    ``(C, C)``, in robust standard deviations.

    The diagonal is 0, and missing pairs are NaN. The reference explains nothing of
    pairs that it lacks.
    """
    residuals = without_class_effects(similarity)
    if reference is not None:
        explained = np.nan_to_num(without_class_effects(reference))
        explained[np.isnan(residuals)] = 0.0
        squares = max((explained * explained).sum(), TINY)
        slope = (np.nan_to_num(residuals) * explained).sum() / squares
        residuals -= slope * explained
    known = upper(residuals)
    known = known[~np.isnan(known)]
    deviation = robust_deviation(known) if len(known) else 0.0
    return residuals / max(deviation, ROUNDING)


def closeness(residuals: Values) -> Values:
    """Return residuals ``(C, C)`` in relation to the median class's largest one: 1 is a
    usual nearest class. The diagonal and missing pairs are -inf.
    """
    pairs = with_diagonal(np.where(np.isnan(residuals), -np.inf, residuals), -np.inf)
    nearest = pairs.max(axis=1, initial=-np.inf)
    nearest = nearest[np.isfinite(nearest)]
    usual = float(np.median(nearest)) if len(nearest) else 0.0
    return pairs / max(usual, ROUNDING)
