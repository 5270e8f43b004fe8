"""The interval of a SAI: classes drawn with replacement, as often as there are classes **[ours]**.

A class drawn ``m`` times stands for ``m`` classes, so a pair ``(i, j)`` has the weight ``m_i m_j``; pairs of a class with its
own copy are dropped (kept, they inflate every measure). The scale stays that of the whole matrices **[choice]**: a draw that
misses the two extreme pairs would shift every scaled value, and the interval would not hold its own value.
For ``ssim`` the drawn classes stand in display order and the dropped pairs are masked.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import structure
from dsi_cli.metrics.measures import Values
from dsi_cli.metrics.side import Side
from dsi_cli.metrics.structure import Means

DRAWS = 200
LARGEST = 256
"""Above this many classes an interval is made on request only."""
ROUNDING = 1e-12
"""Drawn values that vary by less than this share of their sum of squares are all the same."""

AT_ONCE = 1 << 16
"""Pixels whose SSIM is computed in one go: what the caches hold."""

Indices = NDArray[np.intp]
Images = NDArray[np.float32]
Counts = NDArray[np.int32]
Summed = TypeVar("Summed", bound=np.generic)


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
    times = _times(a.classes, draws, seed)
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
    drawn = np.array(list(found.values()))
    if np.isfinite(drawn).all():
        return {measure: (float(low), float(high)) for measure, low, high in zip(found, *_ends(drawn), strict=True)}
    kept = {measure: values[np.isfinite(values)] for measure, values in found.items()}
    ends = {measure: _ends(values) for measure, values in kept.items() if values.size}
    return {measure: (float(low), float(high)) for measure, (low, high) in ends.items()}


def _ends(drawn: Values) -> Values:
    ends: Values = np.percentile(drawn, [2.5, 97.5], axis=-1)
    return ends


@lru_cache(maxsize=2)
def draws_of_classes(classes: int, draws: int, seed: int) -> Indices:
    """Return the classes of each draw ``(draws, C)``, each as often as it was drawn."""
    rng = np.random.default_rng(seed)
    return np.array([rng.integers(0, classes, classes) for _ in range(draws)])


@lru_cache(maxsize=2)
def _times(classes: int, draws: int, seed: int) -> Values:
    return multiplicities(draws_of_classes(classes, draws, seed))


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
    step = max(1, AT_ONCE // classes**2)
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
    """Yield the correlations of some draws at a time.

    A pair that was drawn ``w`` times holds ``w`` ranks and has their middle. ``b``'s ranks, times ``w`` and with their mean
    taken off, sum to 0; so of ``a``'s ranks it does not matter from where they are counted.
    """
    once = a.is_symmetric and b.is_symmetric
    pairs: Any = np.triu_indices(a.classes, 1) if once else np.nonzero(~np.eye(a.classes, dtype=bool))
    x, y = (_Order(side.scaled_square[pairs]) for side in (a, b))
    for some in _batches(a.classes, len(times)):
        drawn = b.lasting(("ranks", *draws, once, some.start), partial(_drawn_ranks, y, times[some], pairs))
        weight, moment, yy, untied = drawn
        group = x.grouped(weight)
        xx = untied if group.shape == weight.shape else _spread_of_ranks(group)
        with np.errstate(divide="ignore", invalid="ignore"):
            yield np.einsum("dg,dg->d", x.grouped(moment), _middles(group)) / np.sqrt(xx * yy)


class _Order:
    """In which order some values rise, and which of them are equal."""

    def __init__(self, values: Values) -> None:
        self.order = np.argsort(values)
        ordered = values[self.order]
        rises = ordered[1:] != ordered[:-1]
        self.starts = np.concatenate([[0], np.flatnonzero(rises) + 1])
        self.group = np.empty_like(self.order)
        self.group[self.order] = np.concatenate([[0], np.cumsum(rises)])

    def grouped(self, summed: NDArray[Summed]) -> NDArray[Summed]:
        """Return the sum over each group of equal values, as they rise: ``(draws, groups)`` of ``(draws, pairs)``."""
        ordered = summed.take(self.order, axis=1)
        return ordered if len(self.starts) == len(self.order) else np.add.reduceat(ordered, self.starts, axis=1)


def _drawn_ranks(y: _Order, times: Values, pairs: tuple[Indices, Indices]) -> tuple[Counts, Values, Values, Values]:
    """Return how often each pair is in each draw ``(draws, pairs)``, that times its centred mid-rank, and the spreads.

    The spreads are those of the ranks ``(draws,)``: of ``y``, and of values among which no two are equal.
    """
    counts = times.astype(np.int32)
    weight = counts.take(pairs[0], axis=1) * counts.take(pairs[1], axis=1)
    group = y.grouped(weight)
    middle = _middles(group) - group.sum(axis=1, keepdims=True) / 2
    return weight, weight * middle.take(y.group, axis=1), _spread_of_ranks(group), _spread_of_ranks(weight)


def _middles(group: Counts) -> Values:
    """Return the middle of each group's ranks, of groups that follow each other with so many ranks each."""
    twice = np.cumsum(group, axis=1, dtype=np.int32)  # of integers: five times as fast
    twice *= 2
    twice -= group
    middles: Values = twice / 2
    return middles


def _spread_of_ranks(group: Counts) -> Values:
    """Return the sum of squares of all ranks about their mean, less what lies within the groups: their ties."""
    sizes = group.astype(np.float64)
    total = sizes.sum(axis=1)
    spread: Values = (total * total * total - np.einsum("dg,dg->d", sizes * sizes, sizes)) / 12
    return spread


def _ssim(a: Side, b: Side, draws: int, seed: int, order: Indices) -> Iterator[Values]:
    """Yield the SSIM per draw, for some draws at a time; the drawn classes stand in display order."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    drawn = draws_of_classes(a.classes, draws, seed)
    shown = np.take_along_axis(drawn, np.argsort(place[drawn], axis=1, kind="stable"), axis=1)
    for some in _batches(a.classes, draws):
        key = (draws, seed, order.tobytes(), some.start)
        pixels, share, weight = b.lasting(("windows", *key), partial(_windows, shown[some]))
        y, *of_y = b.lasting(("image", *key), partial(_image, b, pixels, weight))
        x, *of_x = a.lasting(("image", *key), partial(_image, a, pixels, weight))
        index = structure.index(Means(*of_x), Means(*of_y), structure.window_means(x * y, weight))
        index *= share
        yield index.sum(axis=2).sum(axis=0, dtype=np.float64)


def _windows(shown: Indices) -> tuple[NDArray[np.int32], Images, Images]:
    """Return where some draws' images come from, each window's share in a draw's mean, and how much of a window counts.

    The first is a place in the flat matrix for each value of the images ``(C, some, C-1)``. A pair of a class with its own copy
    does not count; the shares of a draw without any window are NaN.
    """
    classes = shown.shape[1]
    across = np.arange(classes - 1) + (np.arange(classes)[:, None] <= np.arange(classes - 1))
    rows, columns = shown.T[:, :, None], np.moveaxis(shown[:, across], 1, 0)
    counts = (rows != columns).astype(np.float32)
    share = counts[structure.INNER].copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        share /= share.sum(axis=(0, 2), keepdims=True)
    return (rows * classes + columns).astype(np.int32), share, structure.window_weights(counts)


def _image(side: Side, pixels: NDArray[np.int32], weight: Images) -> tuple[Images, Images, Images]:
    """Return a matrix as some draws show it, ``(C, some, C-1)``, and its windows' means."""
    # A class and its copy meet on the matrix's own diagonal, which is 0.
    image = side.scaled_single.take(pixels)
    return image, *structure.means(image, weight)
