"""The WSI and the nearest classes of a matrix, and its sums, from one walk over its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.blockwise import blocks
from dsi_cli.metrics.blockwise.blocks import BlockWalk, Indices, MatrixSums, RowSource, without_diagonal
from dsi_cli.metrics.measures import Values, mid_ranks
from dsi_cli.metrics.wsi import upper_tails


class NearestClasses(NamedTuple):
    """The nearest other classes of each class, the nearest first and ties in the order of the class index; ``(B, k)`` each."""

    neighbor: Indices
    rank: Values
    """The rank among all other classes, from 1; ties have their mid-rank."""
    ties: Indices
    """The number of classes with exactly this value, this one included."""
    value: NDArray[Any]


@dataclass(frozen=True)
class BlockStatistics:
    """What one walk over a matrix gives."""

    sums: MatrixSums
    wsi: dict[tuple[str, float], float]
    """The max and min WSI, by ``max`` or ``min`` and the quantile."""
    nearest: NearestClasses | None

    @property
    def mean_wsi(self) -> float:
        """The mean of the off-diagonal values."""
        return float(self.sums.rows.sum()) / self.sums.number


def block_statistics(
    matrix: RowSource, walk: BlockWalk, quantiles: Sequence[float] = (), neighbors: int = 0
) -> BlockStatistics:
    """Return the survey of a matrix of two classes or more.

    Parameters
    ----------
    quantiles : the quantiles of the max and min WSI
    neighbors : how many nearest classes of each class to find; 0 for none
    """
    names = [(kind, quantile) for quantile in quantiles for kind in ("max", "min")]

    def of_block(start: int, stop: int) -> tuple[blocks.BlockSums, list[Values], NearestClasses | None]:
        block = matrix.block(start, stop)
        off = without_diagonal(block, start)
        exact = off.astype(np.float64)
        tails = [upper_tails(exact, q) if kind == "max" else -upper_tails(-exact, q) for kind, q in names]
        found = nearest_of_rows(off, neighbors, start) if neighbors else None
        return blocks.sums_of_block(matrix, block, start), tails, found

    parts, tails, near = zip(*walk.over(matrix.size, of_block), strict=True)
    wsi = {name: float(np.concatenate(column).mean()) for name, column in zip(names, zip(*tails, strict=True), strict=True)}
    whole = NearestClasses(*(np.concatenate(column) for column in zip(*near, strict=True))) if neighbors else None
    return BlockStatistics(blocks.combine_sums(parts), wsi, whole)


def nearest_of_rows(values: NDArray[Any], count: int, start: int) -> NearestClasses:
    """Return the ``count`` nearest other classes of each row, or all if there are fewer.

    Parameters
    ----------
    values : (B, C-1)
        The rows without their diagonal values; larger is nearer.
    start : the row of the matrix that is the first of these
    """
    count = min(count, values.shape[1])
    edges = np.partition(values, -count, axis=1)[:, -count]
    columns, ties = np.empty((len(values), count), dtype=np.intp), np.empty((len(values), count), dtype=np.intp)
    ranks = np.empty((len(values), count))
    for k, (row, edge) in enumerate(zip(values, edges, strict=True)):
        # All classes that may be listed, and those that are tied with the last of them: enough for exact mid-ranks.
        near = np.flatnonzero(row >= edge)
        found = mid_ranks(-row[near])
        order = np.argsort(found, kind="stable")
        rising, listed = found[order], order[:count]
        columns[k], ranks[k] = near[listed], found[listed]
        ties[k] = np.searchsorted(rising, ranks[k], side="right") - np.searchsorted(rising, ranks[k], side="left")
    own = np.arange(start, start + len(values))[:, None]
    return NearestClasses(columns + (columns >= own), ranks, ties, np.take_along_axis(values, columns, axis=1))
