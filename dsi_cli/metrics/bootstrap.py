"""The interval of a SAI: classes drawn with replacement, as often as there are classes **[ours]**.

A class drawn ``m`` times stands for ``m`` classes, so a pair ``(i, j)`` has the weight ``m_i m_j``; pairs of a class with its
own copy are dropped (kept, they inflate every measure). The scale stays that of the whole matrices **[choice]**: a draw that
misses the two extreme pairs would shift every scaled value, and the interval would not hold its own value.
For ``ssim`` the drawn classes stand in display order and the dropped pairs are masked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.measures import Values, off_diagonal
from dsi_cli.metrics.structure import ssim

DRAWS = 200
LARGEST = 256
"""Above this many classes an interval is made on request only."""
ROUNDING = 1e-12
"""Drawn values that vary by less than this share of their sum of squares are all the same."""

Indices = NDArray[np.intp]


def intervals(
    x: Values, y: Values, measures: Sequence[str], draws: int, seed: int, order: Indices
) -> dict[str, tuple[float, float]]:
    """Return the 2.5 and 97.5 percentile of each measure over bootstrap draws.

    Parameters
    ----------
    x, y : (C, C) float64
        Two CSMs scaled to [0, 1]; the diagonal plays no part.
    measures : names out of `dsi_cli.metrics.MEASURES`, without ``kendall``
    draws, seed : int
        Each draw is one call ``rng.integers(0, C, C)``.
    order : (C,) int
        The display order, for ``ssim``.

    Notes
    -----
    A draw in which a measure does not exist (one class only, no variation) is left out of its percentiles.
    """
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, len(x), len(x)) for _ in range(draws)]
    times = np.stack([np.bincount(draw, minlength=len(x)) for draw in drawn]).astype(np.float64)
    sums = _weighted_sums(x, y, times)
    found: dict[str, Values] = {}
    for measure in measures:
        if measure == "ssim":
            small_x, small_y = x.astype(np.float32), y.astype(np.float32)
            found[measure] = np.array([_ssim(small_x, small_y, draw, order) for draw in drawn])
        elif measure == "spearman":
            found[measure] = _spearman(x, y, times)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                found[measure] = _FROM_SUMS[measure](*sums)
    kept = {measure: values[np.isfinite(values)] for measure, values in found.items()}
    percentiles = {measure: np.percentile(values, [2.5, 97.5]) for measure, values in kept.items() if values.size}
    return {measure: (float(low), float(high)) for measure, (low, high) in percentiles.items()}


def _weighted_sums(x: Values, y: Values, times: Values) -> tuple[Values, ...]:
    """Return, a value per draw, the weights' total and the weighted sums of x, y, xx, yy, xy and ``|x - y|``."""
    ones = 1.0 - np.eye(len(x))
    parts = (ones, ones * x, ones * y, ones * x * x, ones * y * y, ones * x * y, ones * np.abs(x - y))
    return tuple(np.einsum("di,di->d", times @ part, times) for part in parts)


def _cosine(_n: Values, _x: Values, _y: Values, xx: Values, yy: Values, xy: Values, _d: Values) -> Values:
    return xy / np.sqrt(xx * yy)


def _mae(n: Values, _x: Values, _y: Values, _xx: Values, _yy: Values, _xy: Values, d: Values) -> Values:
    return d / n


def _mse(n: Values, _x: Values, _y: Values, xx: Values, yy: Values, xy: Values, _d: Values) -> Values:
    return np.maximum(xx + yy - 2 * xy, 0.0) / n


def _pearson(n: Values, x: Values, y: Values, xx: Values, yy: Values, xy: Values, _d: Values) -> Values:
    value = (xy - x * y / n) / np.sqrt(_spread(n, x, xx) * _spread(n, y, yy))
    return np.clip(value, -1.0, 1.0)


def _spread(n: Values, x: Values, xx: Values) -> Values:
    """Return the sum of squares about the mean; NaN where all that is left of it is rounding."""
    spread = xx - x * x / n
    return np.where(spread > ROUNDING * xx, spread, np.nan)


_FROM_SUMS: dict[str, Callable[[Values, Values, Values, Values, Values, Values, Values], Values]] = {
    "cosine": _cosine,
    "mae": _mae,
    "mse": _mse,
    "pearson": _pearson,
}


def _spearman(x: Values, y: Values, times: Values) -> Values:
    """Return a correlation of weighted mid-ranks per draw; each value's place is sorted once, not once per draw."""
    symmetric = np.array_equal(x, x.T) and np.array_equal(y, y.T)
    at = np.triu_indices(len(x), 1) if symmetric else np.nonzero(~np.eye(len(x), dtype=bool))
    places_x, places_y = (np.unique(matrix[at], return_inverse=True)[1] for matrix in (x, y))
    return np.array([_rank_correlation(places_x, places_y, m[at[0]] * m[at[1]]) for m in times])


def _rank_correlation(places_x: Indices, places_y: Indices, weight: Values) -> float:
    total = weight.sum()
    if total == 0.0:
        return float("nan")
    x, y = (_weighted_ranks(places, weight) - total / 2 for places in (places_x, places_y))
    wx, wy = weight * x, weight * y
    scale = float((wx @ x) * (wy @ y))
    return float(wx @ y) / scale**0.5 if scale > 0 else float("nan")


def _weighted_ranks(places: Indices, weight: Values) -> Values:
    group = np.bincount(places, weights=weight)
    middle: Values = np.cumsum(group) - group / 2
    return middle[places]


def _ssim(x: NDArray[np.float32], y: NDArray[np.float32], drawn: Indices, order: Indices) -> float:
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    shown = drawn[np.argsort(place[drawn], kind="stable")]
    valid = off_diagonal(np.not_equal.outer(shown, shown))
    x_image, y_image = (off_diagonal(matrix[np.ix_(shown, shown)]) for matrix in (x, y))
    return ssim(x_image, y_image, valid)
