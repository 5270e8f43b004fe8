"""Confidence intervals of differences as small pictures; all intervals of a table share one scale with 0 in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dsi_cli.queries.comparison.equal_accuracy import CriterionRow

HALF_WIDTH = 66.0
"""Half the width of the picture in SVG units."""


class IntervalSvg(NamedTuple):
    """Horizontal positions of a difference and its confidence interval; positive values favour the first network."""

    low: float
    difference: float
    high: float


def interval_pictures(rows: Sequence[CriterionRow]) -> list[IntervalSvg | None]:
    """Return one picture per row, or None if the row has no interval."""
    intervals: list[tuple[float, float, float] | None] = []
    for row in rows:
        if row.difference is None or row.low is None or row.high is None:
            intervals.append(None)
        else:
            intervals.append((row.low, row.difference, row.high))
    largest = max((abs(value) for interval in intervals if interval for value in interval), default=0.0) or 1.0
    return [
        None if interval is None else IntervalSvg(*(round(HALF_WIDTH * value / largest, 1) for value in interval))
        for interval in intervals
    ]
