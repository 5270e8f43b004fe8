"""The matrices of a training run, packed for the page: complete at some or all epochs,
as block means at the other epochs.

All runs share `MAX_BYTES`. Runs are served in the order of their need, smallest first.
Each run gets an equal part of the bytes that remain, so that a small run leaves its
unused part to larger runs. A run with many classes keeps at most `MAX_COMPLETE_EPOCHS`
complete epochs, because the page should open without delay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.queries import epoch_sampling
from dsi_cli.queries.matrices import REFERENCE, block_means
from dsi_cli.report import matrix_codec, matrix_sources
from dsi_cli.report.matrix_codec import LEVELS, QuantizationScale
from dsi_cli.report.matrix_sources import MatrixSeries, StoredReference
from dsi_cli.store.results import Results
from dsi_cli.store.schema import NETWORK_MATRICES

# size of all packed matrices as text: 4 MB less than the 25 MB of a page
MAX_BYTES = 21_000_000
MANY_CLASSES = 256
MAX_COMPLETE_EPOCHS = (
    20  # complete epochs of a run with more than `MANY_CLASSES` classes
)
# blocks per row of a matrix of block means, without those that begin at the start of a
# group
MAX_BLOCKS = 64
# scale of block means of percentile ranks
RANK_SCALE = QuantizationScale(0.0, 1.0, LEVELS[-1])
MAX_FINE_REFERENCE = (
    2048  # classes of a reference matrix that is packed with the finest scale
)
# packed texts by name; each name becomes one element of the page with one line per text
Lines = dict[str, list[str]]


class BudgetNeed(NamedTuple):
    """The sizes of a run's data."""

    epochs: int
    classes: int
    # bytes of all complete matrices of an epoch, for each of `LEVELS`
    cost: Mapping[int, float]
    block_cost: float  # bytes of the block means of an epoch
    fixed: float  # bytes that the run needs in any case


class BudgetShare(NamedTuple):
    """The number of complete epochs of a run, and the number of levels of their
    scale.
    """

    complete: int
    levels: int


def shares(needs: Sequence[BudgetNeed], total: int = MAX_BYTES) -> list[BudgetShare]:
    """Return the share of each run in the order of ``needs``."""
    by_index: dict[int, BudgetShare] = {}
    remaining = float(total)
    smallest_first = sorted(
        range(len(needs)),
        key=lambda index: needs[index].cost[LEVELS[-1]] * needs[index].epochs,
    )
    for done, index in enumerate(smallest_first):
        by_index[index], used = _share(needs[index], remaining / (len(needs) - done))
        remaining -= used
    return [by_index[index] for index in range(len(needs))]


def _share(need: BudgetNeed, limit: float) -> tuple[BudgetShare, float]:
    """Return the share of a run that has at most ``limit`` bytes, and the bytes that it
    uses.
    """
    # Keep as many complete epochs as allowed at the finest scale that fits.
    most = (
        need.epochs
        if need.classes <= MANY_CLASSES
        else min(MAX_COMPLETE_EPOCHS, need.epochs)
    )
    for levels in LEVELS:
        used = (
            need.fixed
            + need.cost[levels] * most
            + need.block_cost * (need.epochs - most)
        )
        if used <= limit:
            return BudgetShare(most, levels), used
    # Otherwise keep as many as fit at the coarsest scale.
    levels = LEVELS[-1]
    spare = limit - need.fixed - need.block_cost * need.epochs
    complete = max(
        0, min(most, int(spare // max(1.0, need.cost[levels] - need.block_cost)))
    )
    used = (
        need.fixed
        + need.cost[levels] * complete
        + need.block_cost * (need.epochs - complete)
    )
    return BudgetShare(complete, levels), used


@dataclass(frozen=True, eq=False)
class RunMatrices:
    """The matrices of a training run."""

    name: str
    epochs: list[int]
    classes: int
    series: list[MatrixSeries]
    references: list[StoredReference]
    # the packed nearest classes by epoch (`matrix_codec.pack_neighbors`)
    nearest: dict[int, str]

    @property
    def own(self) -> MatrixSeries | None:
        """The network's similarity matrix, or None if the run has none."""
        return next(
            (
                series
                for series in self.series
                if series.frames.name in NETWORK_MATRICES
            ),
            None,
        )

    def need(self, orders: int) -> BudgetNeed:
        """Return the size that the run needs in the page, with a number of display
        orders.
        """
        cost = {
            levels: sum(series.cost[levels] for series in self.series)
            for levels in LEVELS
        }
        blocks = block_count(self.classes)
        fixed = (
            sum(map(len, self.nearest.values()))
            + sum(2 * reference.matrix.size for reference in self.references) / 4
        )
        block_cost = 2 * blocks * blocks * orders * len(self.series) * 0.9
        return BudgetNeed(len(self.epochs), self.classes, cost, block_cost, fixed)


def run_matrices(results: Results, run: str) -> RunMatrices:
    """Return the matrices of a training run; of very many classes, only the nearest
    classes are stored.
    """
    classes = len(results.rows_of("classes", run))
    if results.is_vast(run):
        series, nearest = [], matrix_sources.nearest(results, run, classes)
    else:
        series = matrix_sources.matrix_series(results, run)
        nearest = next((of_kind.nearest for of_kind in series if of_kind.nearest), {})
    return RunMatrices(
        run,
        results.epochs(run),
        classes,
        series,
        matrix_sources.references(results, run),
        nearest,
    )


def block_count(classes: int) -> int:
    """Return the approximate number of blocks into which a row of a matrix is
    divided.
    """
    return min(MAX_BLOCKS, max(1, classes // 2))


def block_starts(classes: int, groups: Sequence[Sequence[Any]]) -> list[int]:
    """Return the positions at which blocks begin in a display order. A group of classes
    begins and ends with a block.

    >>> block_starts(8, []), block_starts(8, [["dog", 1, 4]])
    ([0, 2, 4, 6], [0, 1, 3, 5, 6])
    """
    edges = sorted(
        {0, classes} | {edge for _, first, last in groups for edge in (first, last + 1)}
    )
    if len(edges) > MAX_BLOCKS:  # the order has scattered groups
        edges = [0, classes]
    starts = []
    for first, last in pairwise(edges):
        count = max(1, round((last - first) * block_count(classes) / classes))
        starts += [first + k * (last - first) // count for k in range(count)]
    return starts


def pack(
    matrices: RunMatrices,
    share: BudgetShare,
    orders: Sequence[Mapping[str, Any]],
    prefix: str,
    lines: Lines,
) -> dict[str, Any]:
    """Return a run's matrices for the page, and add their packed texts to ``lines``
    under names with the prefix.
    """
    # Complete matrices are at epochs between which the network's matrix changes most.
    own = matrices.own
    change = dict.fromkeys(matrices.epochs, 1.0) if own is None else own.change
    epochs = list(change)
    complete = [
        epochs[index]
        for index in epoch_sampling.front_loaded(list(change.values()), share.complete)
    ]
    packed = [
        _pack_series(series, share.levels, complete, orders, prefix, lines)
        for series in matrices.series
    ]
    near: dict[str, Any] | None = None
    if matrices.nearest:
        lines[f"{prefix}-near"] = list(matrices.nearest.values())
        of = "ncsm" if own is None else own.frames.name
        near = {"lines": f"{prefix}-near", "of": of, "epochs": list(matrices.nearest)}
        near |= {
            "count": matrix_codec.neighbor_count(matrices.classes),
            "pairs": matrix_codec.pair_count(matrices.classes),
        }
        near |= _scale_data(matrix_codec.NEIGHBOR_SCALE)
    return {"whole": complete, "matrices": packed, "near": near}


def _pack_series(
    series: MatrixSeries,
    levels: int,
    complete: Sequence[int],
    orders: Sequence[Mapping[str, Any]],
    prefix: str,
    lines: Lines,
) -> dict[str, Any]:
    # Pack the complete matrices.
    kind, symmetric, name = (
        series.frames.kind,
        series.frames.kind.is_symmetric,
        f"{prefix}-{series.frames.name}",
    )
    scale = QuantizationScale(series.low, series.high, levels)
    complete_epochs = [epoch for epoch in series.frames.epochs if epoch in complete]
    lines[name] = [
        _pack_matrix(series.read(epoch), scale, symmetric=symmetric)
        for epoch in complete_epochs
    ]

    # Pack the means of the values and of their percentile ranks in blocks, at the other
    # epochs and in each display order.
    block_epochs = [epoch for epoch in series.frames.epochs if epoch not in complete]
    blocks: dict[str, Any] | None = None
    if block_epochs:
        coarse = QuantizationScale(series.low, series.high, LEVELS[-1])
        starts = [
            block_starts(len(order["order"]), order["groups"]) for order in orders
        ]
        lines[f"{name}-blocks"] = texts = []
        for epoch in block_epochs:
            matrix = series.read(epoch)
            off_diagonal = scale.codes(
                matrix_codec.off_diagonal(matrix, symmetric=symmetric)
            )
            ranks = matrix_codec.percentiles(off_diagonal, levels)[scale.codes(matrix)]
            for order, edges in zip(orders, starts, strict=True):
                means = coarse.codes(
                    block_means(matrix, np.asarray(order["order"]), edges)
                )
                mean_ranks = RANK_SCALE.codes(
                    block_means(ranks, np.asarray(order["order"]), edges)
                )
                texts.append(
                    matrix_codec.pack(
                        np.concatenate([means.ravel(), mean_ranks.ravel()]),
                        coarse.levels,
                    )
                )
        names = [order["name"] for order in orders]
        blocks = {
            "lines": f"{name}-blocks",
            "epochs": block_epochs,
            "orders": names,
            "starts": starts,
        }
        blocks |= _scale_data(coarse)
    title = f"{kind.title[0].upper()}{kind.title[1:]}" + (
        f", {series.frames.split}" if series.frames.split else ""
    )
    described: dict[str, Any] = {
        "name": series.frames.name,
        "title": title,
        "about": kind.about,
        "symmetric": symmetric,
    }
    described |= {
        "lines": name,
        "epochs": complete_epochs,
        "withoutMistakes": [] if symmetric else series.empty,
    }
    return (
        described
        | {"blocks": blocks, "shown": series.color_limits}
        | _scale_data(scale)
    )


def pack_references(matrices: RunMatrices, lines: Lines) -> list[dict[str, Any]]:
    """Return the description of a run's reference matrices, and add their packed texts,
    which runs share, to ``lines``.
    """
    result = []
    for reference, file, matrix in matrices.references:
        low, high, color_limits = matrix_sources.value_range(
            matrix_codec.off_diagonal(matrix, symmetric=True)
        )
        scale = QuantizationScale(
            low, high, LEVELS[0] if len(matrix) <= MAX_FINE_REFERENCE else LEVELS[-1]
        )
        key = f"reference-{file}"
        if key not in lines:
            lines[key] = [_pack_matrix(matrix, scale, symmetric=True)]
        title, about = REFERENCE.title, REFERENCE.about
        if len(matrices.references) > 1:
            title = f"{title}, {reference}"
        if reference != "wordnet3.0-path":
            about = reference
        described = {
            "name": "scsm",
            "title": title,
            "about": about,
            "symmetric": True,
            "lines": key,
            "epochs": None,
        }
        result.append(
            described | {"blocks": None, "shown": color_limits} | _scale_data(scale)
        )
    return result


def _pack_matrix(
    matrix: NDArray[Any], scale: QuantizationScale, *, symmetric: bool
) -> str:
    return matrix_codec.pack(
        scale.codes(matrix_codec.off_diagonal(matrix, symmetric=symmetric)),
        scale.levels,
    )


def _scale_data(scale: QuantizationScale) -> dict[str, Any]:
    return {"low": scale.low, "step": scale.step, "levels": scale.levels}
