"""Where each value stands among all off-diagonal values of a matrix.

Up to `EXACT` values, those of 4,096 classes, ranks are exact. Of more they come from a fine histogram: `BINS` bins lie between the
least and the largest value, and values of a bin count as tied at its middle. So a value is off by at most ``1 / (2 BINS)`` of the
range, 1.2e-7, and a rank by half of the values in its bin; values that are equal stay tied. A bin without a value has a rank
too, since rows that are made again in another block may be rounded otherwise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.blocked.sums import Sums
from dsi_cli.metrics.blocked.walk import Rows, Walk, values_once
from dsi_cli.metrics.measures import Values

BINS = 1 << 22
EXACT = 1 << 24
AT_ONCE = 1 << 17
"""Values whose bins are found in one go: what the processor's cache holds."""

Counts = NDArray[np.int64]


class Places:
    """How many values of a matrix lie in each bin, and the mid-rank of each.

    Parameters
    ----------
    sums : of the same matrix, which is not constant
    """

    def __init__(self, matrix: Rows, sums: Sums, walk: Walk) -> None:
        self.low, self.high = sums.low, sums.high
        self._distinct: Values | None = None
        if sums.number <= EXACT:
            found = walk.over(matrix.size, lambda start, stop: values_once(matrix, start, stop))
            values, counts = np.unique(np.concatenate(list(found)), return_counts=True)
            self._distinct = self.scaled(values)
            filled: Any = slice(None)
        else:
            counts = np.zeros(BINS, dtype=np.int64)
            for some in walk.over(matrix.size, lambda start, stop: self._counted(values_once(matrix, start, stop))):
                counts += some
            filled = np.flatnonzero(counts)
        counts = counts * (2 if matrix.symmetric else 1)
        ranks = np.cumsum(counts) - (counts - 1) / 2
        self.counts: Counts = counts[filled]
        """Of each distinct value, or bin that holds one."""
        self.middles: Values = filled / (BINS - 1) if self._distinct is None else self._distinct
        """These values, scaled to [0, 1], rising."""
        self.midranks: Values = ranks[filled]
        """Their ranks, from 1."""
        self._middle = (sums.number + 1) / 2
        self._ranks: Values = ranks - self._middle

    def centred_ranks(self, scaled: Values) -> Values:
        """Return the mid-ranks of scaled values less the mean rank."""
        return self._ranks[_bins(scaled) if self._distinct is None else self._found(self._distinct, scaled)]

    @property
    def squares(self) -> float:
        """The sum of the squares of the centred ranks."""
        centred = self.midranks - self._middle
        return float((self.counts * centred) @ centred)

    def scaled(self, values: NDArray[Any]) -> Values:
        """Return values on the scale from 0, the least of the matrix, to 1, the largest."""
        return scaled(values, self.low, self.high)

    def _counted(self, values: NDArray[Any]) -> Counts:
        bins = np.empty(len(values), dtype=np.intp)
        for first in range(0, len(values), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            bins[some] = _bins(self.scaled(values[some]))
        return np.bincount(bins, minlength=BINS)

    @staticmethod
    def _found(distinct: Values, scaled: Values) -> NDArray[np.intp]:
        return np.minimum(np.searchsorted(distinct, scaled), len(distinct) - 1)


def scaled(values: NDArray[Any], low: float, high: float) -> Values:
    """Return values in float64 on the scale from ``low`` to ``high``."""
    found: Values = values.astype(np.float64)
    found -= low
    found /= high - low
    return found


def _bins(scaled: Values) -> NDArray[np.intp]:
    """Return the bins of values; one that another product rounded to just beyond the ends lies in the last one."""
    bins = (scaled * (BINS - 1) + 0.5).astype(np.intp)
    return np.clip(bins, 0, BINS - 1, out=bins)


def mean_absolute_difference(x: Places, y: Places) -> float:
    """Return the mean of ``|x_a - y_b|`` of the scaled values over all pairs: the chance level of ``mae``."""
    values, others = x.middles, y.middles
    below = np.searchsorted(others, values)
    number = np.concatenate([[0], np.cumsum(y.counts)])
    total = np.concatenate([[0.0], np.cumsum(y.counts * others)])
    each = values * (2 * number[below] - number[-1]) + total[-1] - 2 * total[below]
    return float((x.counts @ each) / (float(x.counts.sum()) * float(number[-1])))


class Matched(NamedTuple):
    """The values of two matrices in rising order side by side, each stretch of equal pairs once."""

    first: NDArray[np.intp]
    """Place of each stretch's value among the distinct ones of the first matrix, or its bins."""
    second: NDArray[np.intp]
    times: Counts
    """How long each stretch is."""


def matched(x: Places, y: Places) -> Matched:
    """Return which values of two matrices meet where both are sorted."""
    upto, other = np.cumsum(x.counts), np.cumsum(y.counts)
    ends = np.sort(np.concatenate([upto, other]), kind="stable")
    ends = ends[np.append(True, ends[1:] != ends[:-1])]
    return Matched(np.searchsorted(upto, ends), np.searchsorted(other, ends), np.diff(ends, prepend=0))


class Ranked:
    """A matrix of the ranks, less their mean, of another's values, in float64: by rows, as that one."""

    def __init__(self, matrix: Rows, places: Places) -> None:
        self._matrix, self._places = matrix, places
        self.size = matrix.size

    @property
    def symmetric(self) -> bool:
        """Whether the matrix is its own transpose."""
        return self._matrix.symmetric

    def block(self, start: int, stop: int, first: int = 0, /) -> Values:
        """Return rows; 0 on the diagonal."""
        assert first == 0
        return self._ranks(self._matrix.block(start, stop), start)

    def across(self, start: int, stop: int, /) -> Values:
        """Return rows of the transpose."""
        return self._ranks(self._matrix.across(start, stop), start)

    def _ranks(self, block: NDArray[Any], start: int) -> Values:
        at = np.arange(len(block))
        values = self._places.scaled(block)
        values[at, start + at] = 0.0
        found = self._places.centred_ranks(values)
        found[at, start + at] = 0.0
        return found
