"""Confidence intervals with Student's t, from a standard error and its degrees of
freedom.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEVEL = 0.95
ROUNDING = 1e-12  # a correlation that is nearer to 1 is 1
Interval = tuple[float, float]


def t_quantile(freedom: float, level: float = LEVEL) -> float:
    """Return the half width of a two-sided interval for a standard error of 1.

    >>> round(t_quantile(10), 3)
    2.228
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def plain_interval(
    value: float, error: float, freedom: float, level: float = LEVEL
) -> Interval:
    """Return the confidence interval of a value."""
    half = t_quantile(freedom, level) * error
    return value - half, value + half


def fisher_interval(value: float, error: float, freedom: float) -> Interval:
    """Return the 95 % confidence interval of a correlation on Fisher's scale; the plain
    one of a value that is not below 1 in size, as after a correction.
    """
    if abs(value) > 1 - ROUNDING:
        return plain_interval(value, error, freedom)
    low, high = plain_interval(
        float(np.arctanh(value)), error / (1 - value**2), freedom
    )
    return float(np.tanh(low)), float(np.tanh(high))


def freedom_of_sum(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """Return the degrees of freedom of the sum of independent variances, of which one
    is above 0 (Satterthwaite 1946, doi:10.2307/3002019).

    >>> freedom_of_sum([0.5, 0.5], [4, 4])
    8.0
    """
    parts = np.asarray(variances, dtype=np.float64)
    return float(parts.sum() ** 2 / (parts**2 / np.asarray(freedoms)).sum())
