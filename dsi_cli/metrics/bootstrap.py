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
from dsi_cli.metrics.measures import Values
from dsi_cli.metrics.side import Side
from dsi_cli.metrics.structure import Band, Partner

DRAWS = 200
LARGEST = 256
"""Above this many classes an interval is made on request only."""
ROUNDING = 1e-12
"""Drawn values that vary by less than this share of their sum of squares are all the same."""

AT_ONCE = 1 << 16
"""Pixels whose SSIM is computed in one go: what the caches hold."""
BESIDE = 8
"""Draws whose ranks lie side by side: what is moved from place to place is a row of them (measured)."""

Indices = NDArray[np.intp]
Images = NDArray[np.float32]
Counts = NDArray[np.int32]


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


def interval_of_ssim(a: Side, b: Side, draws: int, seed: int, order: Indices) -> tuple[float, float] | None:
    """Return the 2.5 and 97.5 percentile of SSIM over bootstrap draws of classes; None if it exists in none.

    Parameters
    ----------
    a, b : two CSMs of the same classes
    order : (C,) int
        The display order.
    """
    drawn = np.concatenate(list(_ssim(a, b, draws, seed, order)))
    drawn = drawn[np.isfinite(drawn)]
    return (float(np.percentile(drawn, 2.5)), float(np.percentile(drawn, 97.5))) if drawn.size else None


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
    for some in (slice(first, first + BESIDE) for first in range(0, len(times), BESIDE)):
        drawn = b.lasting(("ranks", *draws, once, some.start), partial(_drawn_ranks, y, times[some], pairs))
        weight, moment, yy, untied = drawn
        ranks, xx = x.doubled_ranks(weight, untied)
        with np.errstate(divide="ignore", invalid="ignore"):
            yield np.einsum("pd,pd->d", moment, ranks) / (2 * np.sqrt(xx * yy))


class _Order:
    """In which order some values rise, and which of them are equal."""

    def __init__(self, values: Values) -> None:
        self.order = np.argsort(values)
        ordered = values[self.order]
        rises = ordered[1:] != ordered[:-1]
        self.last = np.append(np.flatnonzero(rises), len(values) - 1)
        self.group = np.empty_like(self.order)
        self.group[self.order] = np.concatenate([[0], np.cumsum(rises)])

    def doubled_ranks(self, weight: Counts, untied: Values | None = None) -> tuple[Counts, Values]:
        """Return twice the mid-rank of each value in each draw ``(pairs, draws)``, and the ranks' sum of squares.

        Parameters
        ----------
        weight : (pairs, draws)
            How many ranks each value holds.
        untied : (draws,)
            The sum of squares if no two values were equal, where it is known.

        Notes
        -----
        The sum of squares is about the mean, ``(draws,)``. All is counted in integers, which is several times as fast.
        """
        group = weight.take(self.order, axis=0)
        ends = np.cumsum(group, axis=0, dtype=np.int32)
        has_ties = len(self.last) < len(ends)
        if has_ties:
            ends = ends.take(self.last, axis=0)
            group = np.diff(ends, axis=0, prepend=0)
        spread = _spread_of_ranks(group, ends[-1]) if has_ties or untied is None else untied
        return (2 * ends - group).take(self.group, axis=0), spread


def _drawn_ranks(y: _Order, times: Values, pairs: tuple[Indices, Indices]) -> tuple[Counts, Values, Values, Values]:
    """Return how often each pair is in each draw ``(pairs, draws)``, that times its centred mid-rank, and the spreads.

    The spreads are those of the ranks ``(draws,)``: of ``y``, and of values among which no two are equal.
    """
    counts = np.ascontiguousarray(times.T, dtype=np.int32)
    weight = counts.take(pairs[0], axis=0) * counts.take(pairs[1], axis=0)
    ranks, spread = y.doubled_ranks(weight)
    total = weight.sum(axis=0)
    return weight, weight * ((ranks - total) / 2), spread, _spread_of_ranks(weight, total)


def _spread_of_ranks(group: Counts, total: Counts) -> Values:
    """Return the sum of squares of all ranks about their mean, less what lies within the groups: their ties."""
    sizes, ranks = group.astype(np.float64), total.astype(np.float64)
    spread: Values = (ranks * ranks * ranks - np.einsum("gd,gd->d", sizes * sizes, sizes)) / 12
    return spread


def _ssim(a: Side, b: Side, draws: int, seed: int, order: Indices) -> Iterator[Values]:
    """Yield the SSIM per draw, for some draws at a time; the drawn classes stand in display order."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    drawn = draws_of_classes(a.classes, draws, seed)
    shown = np.take_along_axis(drawn, np.argsort(place[drawn], axis=1, kind="stable"), axis=1)
    bands = list(structure.bands(a.classes, is_symmetric=a.is_symmetric and b.is_symmetric))
    step = max(1, AT_ONCE // max(band.rows * band.columns for band in bands))
    for some in (slice(first, first + step) for first in range(0, draws, step)):
        found, counted = np.zeros(len(shown[some])), np.zeros(len(shown[some]))
        for band in bands:
            key = (draws, seed, order.tobytes(), some.start, band.first, len(bands))
            pixels, share, weight, windows = b.lasting(("windows", *key), partial(_windows, shown[some], band))
            twice, *of_y = b.lasting(("image", *key), partial(_partner, b, pixels, weight))
            # A class and its copy meet on the matrix's own diagonal, which is 0.
            x = a.scaled_single.take(pixels)
            index = structure.index(structure.means(x, weight), Partner(*of_y), structure.window_means(x * twice, weight))
            index *= share
            found += index.sum(axis=2).sum(axis=0, dtype=np.float64)
            counted += windows
        with np.errstate(invalid="ignore"):
            yield found / counted


def _windows(shown: Indices, band: Band) -> tuple[NDArray[np.int32], Images, Images, Values]:
    """Return where a part of some draws' images comes from, how often each window counts, and how much of a window counts.

    The first is a place in the flat matrix for each value of the part ``(rows, some, columns)``. A pair of a class with its own
    copy does not count. The last is how many windows count in each draw ``(some,)``.
    """
    classes = shown.shape[1]
    across = np.arange(band.columns)
    across = across + (np.arange(band.first, band.first + band.rows)[:, None] <= across)
    rows, columns = shown.T[band.first : band.first + band.rows, :, None], np.moveaxis(shown[:, across], 1, 0)
    counts = (rows != columns).astype(np.float32)
    share = counts[structure.INNER] * band.times
    windows: Values = share.sum(axis=2).sum(axis=0, dtype=np.float64)
    return (rows * classes + columns).astype(np.int32), share, structure.window_weights(counts), windows


def _partner(side: Side, pixels: NDArray[np.int32], weight: Images) -> tuple[Images, ...]:
    """Return a matrix, doubled, as some draws show it, ``(C, some, C-1)``, and what `structure.index` needs of it alone."""
    image = side.scaled_single.take(pixels)
    return 2 * image, *structure.partner(structure.means(image, weight))
