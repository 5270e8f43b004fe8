"""The SAI of two matrices by blocks of rows: the values and chance levels of `dsi_cli.metrics.alignment`, to 1e-6.

What has an exact chance level in closed form has it here. Relabellings are sampled only where a number of them is asked for, each
one walk over both matrices; an interval where draws are asked for, by the measures that sums give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dsi_cli.metrics import alignment, null, structure
from dsi_cli.metrics.alignment import Alignment
from dsi_cli.metrics.blocked import images, places, resampled, sums
from dsi_cli.metrics.blocked.places import Matched, Places
from dsi_cli.metrics.blocked.sums import Sums
from dsi_cli.metrics.blocked.walk import Indices, Rows, Single, Walk, without_diagonal
from dsi_cli.metrics.measures import Values

NO_KENDALL = "kendall needs the whole matrices in memory: give more with --memory (up to 4,096 classes)"
COLUMNS = 1014
"""Of a block that are compared at once; with ten more for windows."""
NO_INTERVAL = "no interval of this measure by blocks of rows"


class Side:
    """One of two matrices, with what is worth computing once for many partners.

    Parameters
    ----------
    matrix : of the classes that both have, in display order
    known : its sums, where they are known already
    """

    def __init__(self, matrix: Rows, walk: Walk, known: Sums | None = None) -> None:
        self.matrix, self.walk = matrix, walk
        self.sums = known or sums.of(matrix, walk)
        self.rank_rows: Values | None = None
        """The sums of the centred ranks of each row, once a walk over this matrix has met them."""

    @cached_property
    def places(self) -> Places:
        """Where each value stands among all."""
        return Places(self.matrix, self.sums, self.walk)

    @cached_property
    def moments(self) -> null.Moments:
        """Mantel's sums of the scaled values."""
        return self.sums.moments(1 / (self.sums.high - self.sums.low))

    @cached_property
    def rank_moments(self) -> null.Moments:
        """Mantel's sums of the ranks."""
        if self.matrix.symmetric and self.rank_rows is not None:
            return sums.symmetric(self.rank_rows, self.places.squares).moments()
        return sums.of(places.Ranked(self.matrix, self.places), self.walk).moments()

    @property
    def total(self) -> float:
        """The sum of the scaled values."""
        one = self.sums
        return (one.total - one.number * one.low) / (one.high - one.low)

    @property
    def squares(self) -> float:
        """The sum of their squares."""
        one = self.sums
        return (one.squares - 2 * one.low * one.total + one.number * one.low**2) / (one.high - one.low) ** 2

    def prepare(self, which: Sequence[str]) -> None:
        """Compute now what the measures ``which`` need of this side alone, but for what a walk over both gives anyway."""
        if not self.sums.is_constant:
            _ = self.places
            _ = self.rank_moments if "spearman" in which and not self.matrix.symmetric else None


class Compared(NamedTuple):
    """What a walk over two matrices side by side adds up to."""

    products: Values
    """Of the scaled values, row by row."""
    apart: float
    """Absolute differences of the scaled values."""
    ranked: float
    """Products of the centred ranks."""
    image: float
    """SSIM's index."""
    rank_rows: tuple[Values, Values] | None
    """The centred ranks of each side, row by row."""


def alignments(
    a: Side,
    b: Side,
    which: Sequence[str],
    walk: Walk,
    *,
    order: Indices | None = None,
    permutations: int | None = None,
    draws: int | None = None,
    seed: int = 0,
) -> tuple[dict[str, Alignment], Compared | None]:
    """Return the SAI of two matrices of the same classes by each measure, and what the rows add up to.

    Parameters
    ----------
    order : (C,) int
        Which class, in the order of the checkpoint, stands where; permutations and draws are those of that order. As given if None.
    permutations, draws, seed
        As for `dsi_cli.metrics.alignment.alignments`, but nothing is sampled unless it is asked for.

    Notes
    -----
    `Compared` is None where the two cannot be compared.
    """
    missing = why_nothing(a.sums, b.sums)
    if missing:
        return {name: Alignment(name, classes_used=a.sums.classes, reason=missing) for name in which}, None
    able = [name for name in which if name != "kendall"]
    found = compared(a, b, b.matrix, able, walk)
    if found.rank_rows is not None:
        a.rank_rows, b.rank_rows = found.rank_rows
    sorted_pairs = places.matched(a.places, b.places)
    entries = {name: _entry(a, b, name, found, sorted_pairs) for name in which}
    if permutations:
        entries = _with_relabellings(a, b, entries, able, walk, _order(order, a), permutations, seed)
    if draws:
        entries = _with_intervals(a, b, entries, walk, _order(order, a), draws, seed)
    return {name: _finished(entry, draws) for name, entry in entries.items()}, found


def why_nothing(a: Sums, b: Sums) -> str | None:
    """Return why two matrices cannot be compared, None if they can."""
    if a.classes < alignment.FEWEST_CLASSES:
        return f"{a.classes} classes in both matrices: an alignment needs {alignment.FEWEST_CLASSES} or more"
    if a.is_constant or b.is_constant:
        return "constant matrix: all off-diagonal values are the same, so there is no scale"
    return None


def compared(a: Side, b: Side, other: Rows, which: Sequence[str], walk: Walk) -> Compared:
    """Return what the first matrix and ``other``, the second or a relabelling of it, add up to."""
    a.prepare(which)
    b.prepare(which)
    halo = images.HALO if "ssim" in which and a.sums.classes >= structure.SMALLEST else 0

    def of_block(start: int, stop: int) -> Compared:
        reach = min(stop + halo, a.sums.classes)
        x, y = (_rows(matrix, start, stop, reach) for matrix in (a.matrix, other))
        parts = [_of_columns(a, b, x, y, first, stop - start, halo, which) for first in range(0, x.shape[1], COLUMNS)]
        products, apart, ranked, image, rows = zip(*parts, strict=True)
        sides = zip(*(pair for pair in rows if pair is not None), strict=True)
        both = tuple(np.sum(side, axis=0) for side in sides)
        return Compared(np.sum(products, axis=0), sum(apart), sum(ranked), sum(image), both if len(both) == 2 else None)

    products, apart, ranked, image, rows = zip(*walk.over(a.sums.classes, of_block), strict=True)
    sides = zip(*(pair for pair in rows if pair is not None), strict=True)
    joined = tuple(np.concatenate(side) for side in sides)
    return Compared(np.concatenate(products), sum(apart), sum(ranked), sum(image), joined if len(joined) == 2 else None)


def _rows(matrix: Rows, start: int, stop: int, reach: int) -> Single:
    """Return rows without the diagonal from ``start`` to ``reach``.

    Those from ``stop`` on are made apart, since a product of another shape may be rounded otherwise, and so be of another rank.
    """
    own = without_diagonal(matrix.block(start, stop), start)
    return own if reach == stop else np.concatenate([own, without_diagonal(matrix.block(stop, reach), stop)])


def _of_columns(a: Side, b: Side, x: Single, y: Single, first: int, own: int, halo: int, which: Sequence[str]) -> Compared:
    """Return what some columns of a block add, `COLUMNS` from the ``first`` on: what the processor's cache holds."""
    wide = slice(first, first + COLUMNS + halo)
    scaled_x, scaled_y = (side.places.scaled(values[:, wide]) for side, values in ((a, x), (b, y)))
    image = images.summed(scaled_x, scaled_y) if halo else 0.0
    scaled_x, scaled_y = scaled_x[:own, :COLUMNS], scaled_y[:own, :COLUMNS]
    apart = float(np.abs(scaled_x - scaled_y).sum()) if "mae" in which else 0.0
    ranked, rows = 0.0, None
    if "spearman" in which:
        ranks, others = a.places.centred_ranks(scaled_x), b.places.centred_ranks(scaled_y)
        ranked, rows = float(np.einsum("ij,ij->", ranks, others)), (ranks.sum(axis=1), others.sum(axis=1))
    return Compared(np.einsum("ij,ij->i", scaled_x, scaled_y), apart, ranked, image, rows)


def _entry(a: Side, b: Side, name: str, found: Compared, sorted_pairs: Matched) -> Alignment:
    """Return a measure's value, and whatever of its chance level and ceiling needs no sampling."""
    blank = Alignment(name, classes_used=a.sums.classes)
    if name == "kendall":
        return replace(blank, reason=NO_KENDALL)
    if name == "ssim":
        if a.sums.classes < structure.SMALLEST:
            return replace(blank, reason=f"ssim's window needs {structure.SMALLEST} classes or more, not {a.sums.classes}")
        return replace(blank, value=value_of(a, b, name, found), reason="ssim has no ceiling: it depends on places")
    mean, std = _chance(a, b, name)
    return replace(
        blank, value=value_of(a, b, name, found), null_mean=mean, null_std=std, ceiling=_ceiling(a, b, name, sorted_pairs)
    )


def value_of(a: Side, b: Side, name: str, found: Compared) -> float:
    """Return a measure's value."""
    number, product = a.sums.number, float(found.products.sum())
    if name == "ssim":
        return found.image / images.windows(a.sums.classes)
    if name == "mae":
        return found.apart / number
    if name == "mse":
        return (a.squares + b.squares - 2 * product) / number
    if name == "cosine":
        return product / float(np.sqrt(a.squares * b.squares))
    x, y = (side.rank_moments if name == "spearman" else side.moments for side in (a, b))
    shared = found.ranked if name == "spearman" else product - a.total * b.total / number
    return float(np.clip(shared / np.sqrt(x.sums[0] * y.sums[0]), -1.0, 1.0))


def _chance(a: Side, b: Side, name: str) -> tuple[float, float | None]:
    """Return the exact mean of a measure over relabellings, and its deviation where that is exact."""
    if name == "mae":
        return places.mean_absolute_difference(a.places, b.places), None
    x, y = (side.rank_moments if name == "spearman" else side.moments for side in (a, b))
    deviation, lengths = null.product_deviation(x, y), float(np.sqrt(a.squares * b.squares))
    if name == "cosine":
        return a.total * b.total / a.sums.number / lengths, deviation / lengths
    if name == "mse":
        number = a.sums.number
        return (a.squares + b.squares - 2 * a.total * b.total / number) / number, 2 * deviation / number
    return 0.0, deviation / float(np.sqrt(x.sums[0] * y.sums[0]))


def _ceiling(a: Side, b: Side, name: str, sorted_pairs: Matched) -> float:
    """Return the best value that the two sets of values could reach under any pairing: both sorted."""
    first, second, times = sorted_pairs
    x, y = (
        (side.places.midranks if name == "spearman" else side.places.middles)[at] for side, at in ((a, first), (b, second))
    )
    number = float(times.sum())
    if name == "mae":
        return float(times @ np.abs(x - y)) / number
    if name == "mse":
        return float(times @ np.square(x - y)) / number
    if name != "cosine":
        x, y = x - float(times @ x) / number, y - float(times @ y) / number
    return float(np.clip((times * x) @ y / np.sqrt(((times * x) @ x) * ((times * y) @ y)), -1.0, 1.0))


def _with_relabellings(
    a: Side, b: Side, entries: dict[str, Alignment], able: list[str], walk: Walk, order: Indices, count: int, seed: int
) -> dict[str, Alignment]:
    able = [name for name in able if entries[name].value is not None]
    values: dict[str, list[float]] = {name: [] for name in able}
    place = np.argsort(order)
    for relabelling in null.random_relabellings(len(order), count, seed):
        found = compared(a, b, b.matrix.take(place[relabelling[order]]), able, walk)
        for name in able:
            values[name].append(value_of(a, b, name, found))
    return entries | {
        name: alignment.with_sample(entries[name], np.array(values[name]), everything=False, wants_p=True) for name in able
    }


def _with_intervals(
    a: Side, b: Side, entries: dict[str, Alignment], walk: Walk, order: Indices, draws: int, seed: int
) -> dict[str, Alignment]:
    able = [name for name in entries if name in resampled.MEASURES and entries[name].value is not None]
    ends = resampled.intervals((a.matrix, a.sums), (b.matrix, b.sums), able, draws, seed, order, walk)
    return entries | {name: replace(entries[name], low=low, high=high) for name, (low, high) in ends.items()}


def _finished(entry: Alignment, draws: int | None) -> Alignment:
    """Return the entry with z, excess and a reason for whatever is missing."""
    if not draws or entry.low is not None or entry.value is None:
        return alignment.finished(entry)
    plain = alignment.finished(entry)
    others = (plain.reason or "").removesuffix(alignment.why_no_interval(entry))
    return replace(plain, reason=f"{others}{NO_INTERVAL}")


def _order(order: Indices | None, side: Side) -> Indices:
    return np.arange(side.sums.classes) if order is None else order
