"""Intervals of differences as small pictures: where each lies beside 0, all of a table on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dsi_cli.queries.comparison.equal_accuracy import CriterionRow

HALF = 66.0
"""Half the width that values may take, in the picture's own units."""


class IntervalSvg(NamedTuple):
    """Where a difference and its interval lie, 0 in the middle; right is more for the first."""

    low: float
    at: float
    high: float


def interval_pictures(rows: Sequence[CriterionRow]) -> list[IntervalSvg | None]:
    """Return a picture for each row, None where it has no interval."""
    known = [
        None if row.difference is None or row.low is None or row.high is None else (row.low, row.difference, row.high)
        for row in rows
    ]
    reach = max((abs(end) for one in known if one is not None for end in one), default=0.0) or 1.0
    return [None if one is None else IntervalSvg(*(round(HALF * end / reach, 1) for end in one)) for one in known]
