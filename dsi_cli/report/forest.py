"""The forest plot of a comparison: positions of differences and their confidence intervals on one scale with 0 in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dsi_cli.queries.comparison.criteria import seed_range
from dsi_cli.queries.comparison.equal_accuracy import CriterionRow

MAX_TICKS = 4
"""The maximum number of ticks on each side of 0."""
EDGE = 0.93
"""Ticks that are further from 0 than this share of the half width are left out, because their text would be cut off."""


class ForestRow(NamedTuple):
    """The positions of one row in percent of the width; None if the value is missing."""

    row: CriterionRow
    difference: float | None
    low: float | None
    high: float | None
    seeds: tuple[float, float] | None
    """The start and the width of the range of 95 % of pairs of seeds."""


class Forest(NamedTuple):
    """A forest plot; positive differences, which are to the right, favour the first network."""

    rows: list[ForestRow]
    ticks: list[tuple[float, str]]
    """The position and the text of each tick."""


def forest(rows: Sequence[CriterionRow]) -> Forest:
    """Return the forest plot of some rows.

    The scale holds all intervals. A range of seeds that is larger is cut off.
    """
    ends = [abs(value) for row in rows for value in (row.low, row.high, row.difference) if value is not None]
    limit = 1.1 * (max(ends, default=0.0) or 1.0)

    def position(value: float | None) -> float | None:
        return None if value is None else round(50 + 50 * max(-1.0, min(1.0, value / limit)), 2)

    placed = []
    for row in rows:
        seeds = None
        if row.seed_deviation is not None:
            half = min(50.0, 50 * seed_range(row.seed_deviation) / limit)
            seeds = (round(50 - half, 2), round(2 * half, 2))
        placed.append(ForestRow(row, position(row.difference), position(row.low), position(row.high), seeds))

    # Choose the smallest round step that gives few ticks.
    unit = 10.0 ** np.floor(np.log10(limit))
    step = next(factor * unit for factor in (0.5, 1.0, 2.0, 5.0) if limit / (factor * unit) < MAX_TICKS + 1)
    digits = max(0, int(-np.floor(np.log10(step) + 1e-9)))
    count = int(EDGE * limit / step)
    ticks = []
    for multiple in range(-count, count + 1):
        text = "0" if multiple == 0 else f"{multiple * step:+.{digits}f}".replace("-", "−")
        ticks.append((round(50 + 50 * multiple * step / limit, 2), text))
    return Forest(placed, ticks)
