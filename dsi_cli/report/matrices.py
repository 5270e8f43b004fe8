"""A run's matrices, packed for the page: whole at some epochs or all, the means of blocks at the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.queries import epoch_sampling
from dsi_cli.report import matrix_codec, matrix_sources, neighbor_data, size_budget
from dsi_cli.report.classes import Orders
from dsi_cli.report.matrix_codec import LEVELS, QuantizationScale
from dsi_cli.report.matrix_sources import Matrix, MatrixSeries, ValueRange
from dsi_cli.store.results import Results

BLOCKS = 100
"""Blocks along a side of a matrix that is not whole."""
OWN = ("ncsm", "tncsm-test", "tncsm-train")
"""The network's own similarity: the first of these that a run has."""
TITLES = {
    "ncsm": ("NCSM", "cosine similarity of the classifier's weights"),
    "ncsm_centred": ("Centred NCSM", "the same without the mean weight row"),
    "tncsm": ("TNCSM", "cosine similarity of the classes' mean features"),
    "ccsm": ("CCSM", "share of the row's samples taken for the column"),
    "scsm": ("SCSM", "path similarity in WordNet 3.0"),
}
Lines = dict[str, list[str]]
"""Packed texts by name; the page has each name's in one element, a line each."""


@dataclass(eq=False)
class RunMatrices:
    """A run's matrices and how far they reach, before it is decided what is kept."""

    name: str
    epochs: list[int]
    classes: int
    found: list[tuple[MatrixSeries, ValueRange]]
    references: list[tuple[str, str, Matrix]]
    nearest: dict[int, str] = field(default_factory=dict)
    """By epoch, `closest.line` of the network's own matrix."""

    @property
    def own(self) -> tuple[MatrixSeries, ValueRange] | None:
        """The network's own similarity; None where it has none."""
        by_name = {source.name: (source, survey) for source, survey in self.found}
        return next((by_name[name] for name in OWN if name in by_name), None)

    def need(self, orders: int) -> size_budget.BudgetNeed:
        """Return what the run asks of the page's size."""
        cost = {levels: sum(survey.cost[levels] for _, survey in self.found) for levels in LEVELS}
        side = blocks_of(self.classes)
        fixed = sum(map(len, self.nearest.values())) + sum(2 * matrix.size for *_, matrix in self.references) / 4
        return size_budget.BudgetNeed(
            len(self.epochs), self.classes, cost, side * side * orders * len(self.found) * 0.9, fixed
        )


def run_matrices(run: Results, name: str) -> RunMatrices:
    """Return what is known of a run's matrices after one look at each."""
    classes = int((run.classes["run"] == name).sum())
    surveyed = RunMatrices(name, run.epochs(name), classes, [], matrix_sources.references(run, name))
    if run.is_vast(name):
        surveyed.nearest = matrix_sources.nearest(run, name, classes)
        return surveyed

    def note(epoch: int, matrix: Matrix) -> None:
        surveyed.nearest[epoch] = neighbor_data.line(matrix)

    found = matrix_sources.matrix_series(run, name)
    own = next((name for name in OWN if any(source.name == name for source in found)), None)
    for source in found:
        known = (
            matrix_sources.value_range(source, note)
            if source.name == own and classes > 1
            else matrix_sources.value_range(source)
        )
        if known is not None:
            surveyed.found.append((source, known))
    return surveyed


def blocks_of(classes: int) -> int:
    """Return how many blocks a side of a matrix is divided into."""
    return min(BLOCKS, max(1, classes // 2))


def pack(
    surveyed: RunMatrices, share: size_budget.BudgetShare, orders: Orders, prefix: str, lines: Lines
) -> dict[str, Any]:
    """Return a run's matrices as the page wants them, and add their packed texts to ``lines``.

    Parameters
    ----------
    prefix : of the names in ``lines``
    """
    whole = _whole_epochs(surveyed, share.whole)
    packed = [
        _pack_source(source, known, share.levels, whole, orders, f"{prefix}-{source.name}", lines)
        for source, known in surveyed.found
    ]
    near = None
    if surveyed.nearest:
        lines[f"{prefix}-near"] = list(surveyed.nearest.values())
        near = {
            "lines": f"{prefix}-near",
            "of": "ncsm" if surveyed.own is None else surveyed.own[0].name,
            "epochs": list(surveyed.nearest),
            "count": neighbor_data.neighbours_shown(surveyed.classes),
            "pairs": neighbor_data.pairs_shown(surveyed.classes),
            **_described(neighbor_data.SCALE),
        }
    return {"whole": whole, "matrices": packed, "near": near}


def _whole_epochs(surveyed: RunMatrices, count: int) -> list[int]:
    change = dict.fromkeys(surveyed.epochs, 1.0) if surveyed.own is None else surveyed.own[1].change
    return [list(change)[place] for place in epoch_sampling.front_loaded(list(change.values()), count)]


def _pack_source(
    source: MatrixSeries, known: ValueRange, levels: int, whole: Sequence[int], orders: Orders, name: str, lines: Lines
) -> dict[str, Any]:
    scale, coarse = QuantizationScale(known.low, known.high, levels), QuantizationScale(known.low, known.high, LEVELS[-1])
    kept = [epoch for epoch in source.epochs if epoch in set(whole)]
    between = [epoch for epoch in source.epochs if epoch not in set(whole)]
    lines[name] = [_frame(source.read(epoch), scale, symmetric=source.symmetric) for epoch in kept]
    blocks = None
    if between:
        side = blocks_of(len(source.read(between[0])))
        lines[f"{name}-blocks"] = [
            _block_frame(source.read(epoch), order, side, coarse) for epoch in between for order in orders.values()
        ]
        blocks = {"lines": f"{name}-blocks", "epochs": between, "side": side, "orders": list(orders), **_described(coarse)}
    title, about = TITLES[source.kind]
    return {
        "name": source.name,
        "title": title + (f", {source.split}" if source.split else ""),
        "about": about,
        "symmetric": source.symmetric,
        "lines": name,
        "epochs": kept,
        "withoutMistakes": known.empty if source.kind == "ccsm" else [],
        "blocks": blocks,
        "shown": known.shown,
        **_described(scale),
    }


def pack_references(surveyed: RunMatrices, name: str, lines: Lines) -> list[dict[str, Any]]:
    """Return a run's reference matrices; those of one label list are packed once, under names that begin with ``name``."""
    found = []
    for reference, file, matrix in surveyed.references:
        low, high, shown = matrix_sources.reach(matrix_codec.off_diagonal(matrix, symmetric=True))
        scale = QuantizationScale(low, high, LEVELS[0] if len(matrix) <= 2048 else LEVELS[-1])
        key = f"{name}-{file}"
        if key not in lines:
            lines[key] = [_frame(matrix, scale, symmetric=True)]
        title, about = TITLES["scsm"]
        about = about if reference == "wordnet3.0-path" else reference
        found.append(
            {
                "name": "scsm",
                "title": title if len(surveyed.references) == 1 else f"{title}, {reference}",
                "about": about,
                "symmetric": True,
                "lines": key,
                "epochs": None,
                "blocks": None,
                "shown": shown,
                **_described(scale),
            }
        )
    return found


def _frame(matrix: NDArray[Any], scale: QuantizationScale, *, symmetric: bool) -> str:
    return matrix_codec.packed(scale.codes(matrix_codec.off_diagonal(matrix, symmetric=symmetric)), scale.levels)


def _block_frame(matrix: Matrix, order: Sequence[int], side: int, scale: QuantizationScale) -> str:
    means = matrix_codec.block_means(matrix, np.asarray(order, dtype=np.intp), side)
    return matrix_codec.packed(scale.codes(means), scale.levels)


def _described(scale: QuantizationScale) -> dict[str, Any]:
    return {"low": scale.low, "step": scale.step, "levels": scale.levels}
