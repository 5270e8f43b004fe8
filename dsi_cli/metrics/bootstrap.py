"""The interval of a SAI: classes drawn with replacement, as often as there are classes **[ours]**.

A class drawn ``m`` times stands for ``m`` classes, so a pair ``(i, j)`` has the weight ``m_i m_j``; pairs of a class with its
own copy are dropped (kept, they inflate every measure). The scale stays that of the whole matrices **[choice]**: a draw that
misses the two extreme pairs would shift every scaled value, and the interval would not hold its own value.
For ``ssim`` the drawn classes stand in display order and the dropped pairs are masked.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import structure
from dsi_cli.metrics.measures import Values, off_diagonal
from dsi_cli.metrics.side import Side

DRAWS = 200
LARGEST = 256
"""Above this many classes an interval is made on request only."""
ROUNDING = 1e-12
"""Drawn values that vary by less than this share of their sum of squares are all the same."""

_AT_ONCE = 1 << 17
"""Pixels whose SSIM is computed in one go: what the caches hold."""

Indices = NDArray[np.intp]
Images = NDArray[np.float32]


def intervals(
    a: Side, b: Side, measures: Sequence[str], draws: int, seed: int, order: Indices
) -> dict[str, tuple[float, float]]:
    """Return the 2.5 and 97.5 percentile of each measure over bootstrap draws.

    Parameters
    ----------
    a, b : two CSMs of the same classes
    measures : names out of `dsi_cli.metrics.MEASURES`, without ``kendall``
    draws, seed : int
        Each draw is one call ``rng.integers(0, C, C)``.
    order : (C,) int
        The display order, for ``ssim``.

    Notes
    -----
    A draw in which a measure does not exist (one class only, no variation) is left out of its percentiles.
    """
    times = multiplicities(draws_of_classes(a.classes, draws, seed))
    sums = weighted_sums(a.scaled_square, b.scaled_square, times)
    found: dict[str, Values] = {}
    for measure in measures:
        if measure == "ssim":
            found[measure] = np.concatenate(list(_ssim(a, b, draws, seed, order)))
        elif measure == "spearman":
            found[measure] = spearman(a, b, times, (draws, seed))
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                found[measure] = FROM_SUMS[measure](*sums)
    return percentiles(found)


def percentiles(found: dict[str, Values]) -> dict[str, tuple[float, float]]:
    """Return the 2.5 and 97.5 percentile of each measure's values over draws; draws in which it does not exist are left out."""
    kept = {measure: values[np.isfinite(values)] for measure, values in found.items()}
    ends = {measure: np.percentile(values, [2.5, 97.5]) for measure, values in kept.items() if values.size}
    return {measure: (float(low), float(high)) for measure, (low, high) in ends.items()}


@lru_cache(maxsize=2)
def draws_of_classes(classes: int, draws: int, seed: int) -> Indices:
    """Return the classes of each draw ``(draws, C)``, each as often as it was drawn."""
    rng = np.random.default_rng(seed)
    return np.array([rng.integers(0, classes, classes) for _ in range(draws)])


def multiplicities(drawn: Indices) -> Values:
    """Return how often each draw holds each class ``(draws, C)``."""
    return np.stack([np.bincount(draw, minlength=len(draw)) for draw in drawn]).astype(np.float64)


def weighted_sums(x: Values, y: Values, times: Values) -> tuple[Values, ...]:
    """Return, a value per draw, the weights' total and the weighted sums of x, y, xx, yy, xy and ``|x - y|``.

    Parameters
    ----------
    x, y : (C, C)
        The diagonal plays no part.
    times : (draws, C)
        How often each draw holds each class.
    """
    ones = 1.0 - np.eye(len(x))
    parts = (ones, ones * x, ones * y, ones * x * x, ones * y * y, ones * x * y, ones * np.abs(x - y))
    return tuple(np.einsum("di,di->d", times @ part, times) for part in parts)


def _cosine(_n: Values, _x: Values, _y: Values, xx: Values, yy: Values, xy: Values, _d: Values) -> Values:
    return xy / np.sqrt(xx * yy)


def _mae(n: Values, _x: Values, _y: Values, _xx: Values, _yy: Values, _xy: Values, d: Values) -> Values:
    return d / n


def _mse(n: Values, _x: Values, _y: Values, xx: Values, yy: Values, xy: Values, _d: Values) -> Values:
    return np.maximum(xx + yy - 2 * xy, 0.0) / n


def pearson(n: Values, x: Values, y: Values, xx: Values, yy: Values, xy: Values, _d: Values) -> Values:
    """Return Pearson's correlation per draw from `weighted_sums`, NaN where a draw has no variation."""
    value = (xy - x * y / n) / np.sqrt(_spread(n, x, xx) * _spread(n, y, yy))
    return np.clip(value, -1.0, 1.0)


def _spread(n: Values, x: Values, xx: Values) -> Values:
    """Return the sum of squares about the mean; NaN where all that is left of it is rounding."""
    spread = xx - x * x / n
    return np.where(spread > ROUNDING * xx, spread, np.nan)


FROM_SUMS: dict[str, Callable[[Values, Values, Values, Values, Values, Values, Values], Values]] = {
    "cosine": _cosine,
    "mae": _mae,
    "mse": _mse,
    "pearson": pearson,
}


def _batches(classes: int, draws: int) -> Iterator[slice]:
    """Yield which draws are looked at together."""
    step = max(1, _AT_ONCE // classes**2)
    return (slice(first, first + step) for first in range(0, draws, step))


def spearman(a: Side, b: Side, times: Values, key: tuple[Hashable, ...] = ()) -> Values:
    """Return Spearman's correlation per draw, of weighted mid-ranks; each value's place is sorted once, not once per draw.

    Parameters
    ----------
    times : (draws, C)
        How often each draw holds each class.
    key : says which draws these are, for a side that is prepared
    """
    return np.concatenate(list(_correlations(a, b, times, key)))


def _correlations(a: Side, b: Side, times: Values, draws: tuple[Hashable, ...]) -> Iterator[Values]:
    once = a.is_symmetric and b.is_symmetric
    pairs: Any = np.triu_indices(a.classes, 1) if once else np.nonzero(~np.eye(a.classes, dtype=bool))
    places = [np.unique(side.scaled_square[pairs], return_inverse=True)[1] for side in (a, b)]
    for some in _batches(a.classes, len(times)):
        key = (*draws, once, some.start)
        (weight,) = b.lasting(("weight", *key), partial(_pair_weights, times[some], *pairs))
        (x, xx), (y, yy) = (
            side.lasting(("ranks", *key), partial(_centred_ranks, at, weight))
            for side, at in zip((a, b), places, strict=True)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            yield _products(weight, x, y) / np.sqrt(xx * yy)


def _pair_weights(times: Values, first: Indices, second: Indices) -> tuple[Values]:
    """Return how often each pair of classes is in each draw ``(draws, pairs)``."""
    return (times.take(first, axis=1) * times.take(second, axis=1),)


def _centred_ranks(places: Indices, weight: Values) -> tuple[Values, Values]:
    """Return each pair's mid-rank among the drawn pairs, less the mean of all ``(draws, pairs)``, and its sum of squares."""
    ranks = np.stack([_weighted_ranks(places, row) - row.sum() / 2 for row in weight])
    return ranks, _products(weight, ranks, ranks)


def _weighted_ranks(places: Indices, weight: Values) -> Values:
    group = np.bincount(places, weights=weight)
    middle: Values = np.cumsum(group) - group / 2
    return middle[places]


def _products(weight: Values, x: Values, y: Values) -> Values:
    return np.array([(w * u) @ v for w, u, v in zip(weight, x, y, strict=True)])


def _ssim(a: Side, b: Side, draws: int, seed: int, order: Indices) -> Iterator[Values]:
    """Yield the SSIM per draw, for some draws at a time; the drawn classes stand in display order."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    drawn = draws_of_classes(a.classes, draws, seed)
    shown = np.take_along_axis(drawn, np.argsort(place[drawn], axis=1, kind="stable"), axis=1)
    for some in _batches(a.classes, draws):
        key = (draws, seed, order.tobytes(), some.start)
        mask, weight = b.lasting(("mask", *key), partial(_mask, shown[some]))
        images = _images(a, shown[some]), _images(b, shown[some])
        x, y = (
            side.lasting(("means", *key), partial(structure.means, image, weight))
            for side, image in zip((a, b), images, strict=True)
        )
        index = structure.index(x, y, structure.window_means(images[0] * images[1]) / weight)
        total, number = (mask * index).sum(axis=(1, 2), dtype=np.float64), mask.sum(axis=(1, 2))
        yield np.divide(total, number, out=np.full(len(total), np.nan), where=number > 0)


def _mask(shown: Indices) -> tuple[NDArray[np.bool_], Images]:
    """Return which windows count, and how much of each: a pair of a class with its own copy does not."""
    mask = off_diagonal(shown[:, :, None] != shown[:, None, :])
    return mask[structure.INNER], structure.window_weights(mask.astype(np.float32))


def _images(side: Side, shown: Indices) -> Images:
    """Return a matrix as some draws show it ``(some, C, C-1)``, 0 where a class meets its own copy."""
    # A class and its copy meet on the matrix's own diagonal, which is 0.
    return off_diagonal(side.scaled_single.take(shown[:, :, None] * side.classes + shown[:, None, :]))
