"""One look at each row of a matrix: its WSI, its nearest classes, and what the matrix adds up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.blocked import sums
from dsi_cli.metrics.blocked.sums import Part, Sums
from dsi_cli.metrics.blocked.walk import Indices, Rows, Single, Walk, without_diagonal
from dsi_cli.metrics.measures import Values


class Nearest(NamedTuple):
    """The nearest others of each class, from the nearest on, ties in order of class index; ``(C, k)`` each."""

    neighbor: Indices
    rank: Values
    """From 1, among all others; ties at their mid-rank."""
    similarity: Single


@dataclass(frozen=True)
class Survey:
    """What one walk over a matrix tells."""

    sums: Sums
    wsi: dict[tuple[str, float], float]
    """By ``max`` or ``min`` and the quantile."""
    nearest: Nearest | None

    @property
    def mean_wsi(self) -> float:
        """The mean of the off-diagonal values."""
        return self.sums.total / self.sums.number


def of(matrix: Rows, walk: Walk, quantiles: Sequence[float] = (), neighbors: int = 0) -> Survey:
    """Return the survey of a matrix of two classes or more.

    Parameters
    ----------
    quantiles : of the max and min WSI
    neighbors : how many nearest classes of each; 0 for none
    """
    names = [(kind, quantile) for quantile in quantiles for kind in ("max", "min")]
    most = min(neighbors, matrix.size - 1)

    def of_block(start: int, stop: int) -> tuple[Part, Values, Nearest | None]:
        block = matrix.block(start, stop)
        values = without_diagonal(block, start)
        rising = np.sort(values, axis=1)
        tails = [
            upper_tails(rising, quantile) if kind == "max" else -upper_tails(-rising[:, ::-1], quantile)
            for kind, quantile in names
        ]
        found = _nearest(values, rising, most, start) if most else None
        return sums.part_of(matrix, block, start), np.array([tail.sum() for tail in tails]), found

    parts, tails, nearest = zip(*walk.over(matrix.size, of_block), strict=True)
    means = np.sum(tails, axis=0) / matrix.size
    whole = Nearest(*(np.concatenate(column) for column in zip(*nearest, strict=True))) if most else None
    return Survey(sums.joined(parts), dict(zip(names, means.tolist(), strict=True)), whole)


def upper_tails(rising: Single, quantile: float) -> Values:
    """Return the mean of the values of each row at or above its quantile; rows in rising order."""
    place = quantile * (rising.shape[1] - 1)
    first = int(place)
    around = rising[:, [first, min(first + 1, rising.shape[1] - 1)]].astype(np.float64)
    edge = np.quantile(around, place - first, axis=1)[:, None]
    start = first
    while start and (rising[:, start] >= edge[:, 0]).any():  # values that are the same as the edge
        start = max(0, 2 * start - rising.shape[1])
    tail = rising[:, start:]
    kept = tail >= edge
    tails: Values = np.where(kept, tail, 0.0).sum(axis=1, dtype=np.float64) / kept.sum(axis=1)
    return tails


def _nearest(values: Single, rising: Single, most: int, start: int) -> Nearest:
    """Return the nearest of the classes from ``start`` on; ``values`` are without the diagonal."""
    edges = rising[:, -most]
    found: list[NDArray[np.intp]] = []
    for row, edge in zip(values, edges, strict=True):
        near = np.flatnonzero(row >= edge)
        found.append(near[np.argsort(-row[near], kind="stable")][:most])
    column = np.array(found, dtype=np.intp)
    similarity = np.take_along_axis(values, column, axis=1)
    ranks = np.array([_ranks(row, one) for row, one in zip(rising, similarity, strict=True)])
    own = np.arange(start, start + len(values))[:, None]
    return Nearest(column + (column >= own), ranks, similarity)


def _ranks(rising: Single, values: Single) -> Values:
    """Return the mid-ranks of some values of a row, 1 for the highest."""
    upto, below = np.searchsorted(rising, values, side="right"), np.searchsorted(rising, values, side="left")
    ranks: Values = len(rising) - (upto + below - 1) / 2
    return ranks
