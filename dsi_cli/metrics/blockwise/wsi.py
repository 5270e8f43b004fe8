"""The WSI, the nearest classes and the sums of a matrix, from one iteration over its rows."""

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
    """The nearest other classes of each class, as arrays ``(B, k)``; the nearest is first, ties are in class order."""

    neighbor: Indices
    """The class index of the neighbour."""
    rank: Values
    """The rank among all other classes, from 1; ties have their mid-rank."""
    ties: Indices
    """The number of classes with exactly this value, with this one."""
    value: NDArray[Any]
    """The similarity."""


@dataclass(frozen=True)
class BlockStatistics:
    """The sums, the WSI and the nearest classes of a matrix."""

    sums: MatrixSums
    wsi: dict[tuple[str, float], float]
    """The max and min WSI, by ``max`` or ``min`` and the quantile."""
    nearest: NearestClasses | None
    """None if no neighbours were requested."""

    @property
    def mean_wsi(self) -> float:
        """The mean of the off-diagonal values."""
        return float(self.sums.rows.sum()) / self.sums.number


def block_statistics(
    matrix: RowSource, walk: BlockWalk, quantiles: Sequence[float] = (), neighbors: int = 0
) -> BlockStatistics:
    """Return the statistics of a matrix of two classes or more.

    Parameters
    ----------
    quantiles : the quantiles of the max and min WSI
    neighbors : the number of nearest classes of each class, or 0 for none
    """
    names = [(kind, quantile) for quantile in quantiles for kind in ("max", "min")]

    def statistics_of_block(start: int, stop: int) -> tuple[blocks.BlockSums, list[Values], NearestClasses | None]:
        block = matrix.block(start, stop)
        off = without_diagonal(block, start)
        values = off.astype(np.float64)
        tails = [upper_tails(values, q) if kind == "max" else -upper_tails(-values, q) for kind, q in names]
        near = nearest_of_rows(off, neighbors, start) if neighbors else None
        return blocks.sums_of_block(matrix, block, start), tails, near

    sums, tails, near = zip(*walk.map_blocks(matrix.size, statistics_of_block), strict=True)
    wsi = {name: float(np.concatenate(tail).mean()) for name, tail in zip(names, zip(*tails, strict=True), strict=True)}
    nearest = None
    if neighbors:
        nearest = NearestClasses(*(np.concatenate(column) for column in zip(*near, strict=True)))
    return BlockStatistics(blocks.combine_sums(sums), wsi, nearest)


def nearest_of_rows(values: NDArray[Any], count: int, start: int) -> NearestClasses:
    """Return the ``count`` nearest other classes of each row, or all if there are fewer.

    Parameters
    ----------
    values : (B, C-1)
        The rows without their diagonal values; larger is nearer.
    start : the index of the first row in the matrix
    """
    count = min(count, values.shape[1])
    edges = np.partition(values, -count, axis=1)[:, -count]
    columns, ties = np.empty((len(values), count), dtype=np.intp), np.empty((len(values), count), dtype=np.intp)
    ranks = np.empty((len(values), count))
    for index, (row, edge) in enumerate(zip(values, edges, strict=True)):
        # The candidates include all classes tied with the last neighbour, so that mid-ranks are exact.
        candidates = np.flatnonzero(row >= edge)
        candidate_ranks = mid_ranks(-row[candidates])
        order = np.argsort(candidate_ranks, kind="stable")
        rising, nearest = candidate_ranks[order], order[:count]
        columns[index], ranks[index] = candidates[nearest], candidate_ranks[nearest]
        ties[index] = np.searchsorted(rising, ranks[index], side="right") - np.searchsorted(
            rising, ranks[index], side="left"
        )
    class_index = np.arange(start, start + len(values))[:, None]
    neighbor = columns + (columns >= class_index)  # columns after the diagonal are shifted by one
    return NearestClasses(neighbor, ranks, ties, np.take_along_axis(values, columns, axis=1))
