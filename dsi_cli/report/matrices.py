"""The matrices of a training run, packed for the page, at some or all epochs.

All runs share `MAX_BYTES`. Runs are served in the order of their need, smallest first.
Each run gets an equal part of the bytes that remain, so that a small run leaves its
unused part to larger runs. A run with many classes keeps at most `MAX_EPOCHS` epochs,
because the page should open without delay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dsi_cli.queries import epoch_sampling
from dsi_cli.queries.findings import reference_name
from dsi_cli.queries.matrices import REFERENCE
from dsi_cli.report import matrix_codec, matrix_sources
from dsi_cli.report.matrix_codec import LEVELS, QuantizationScale
from dsi_cli.report.matrix_sources import MatrixSeries, StoredReference
from dsi_cli.report.matrix_summaries import Summaries
from dsi_cli.store.results import Results
from dsi_cli.store.schema import NETWORK_MATRICES

# size of all packed matrices as text: 4 MB less than the 25 MB of a page
MAX_BYTES = 21_000_000
MANY_CLASSES = 256
# epochs of a run with more than `MANY_CLASSES` classes
MAX_EPOCHS = 20
# the titles of the matrices on the page, which has their abbreviations in brackets
TITLES = {
    "ncsm": "Network’s similarity",
    "ncsm_centred": "Network’s similarity, centred",
    "tncsm": "Network’s similarity by class means",
    "ccsm": "Mistakes’ similarity",
}
# classes of a reference matrix that is packed with the finest scale
MAX_FINE_REFERENCE = 2048
# packed texts by name; each name becomes one element of the page with one line per text
Lines = dict[str, list[str]]


class BudgetNeed(NamedTuple):
    """The sizes of a run's data."""

    epochs: int
    classes: int
    # bytes of all matrices of an epoch, for each of `LEVELS`
    cost: Mapping[int, float]
    fixed: float  # bytes that the run needs in any case


class BudgetShare(NamedTuple):
    """The number of epochs of a run on the page, and the number of levels of their
    scale.
    """

    epochs: int
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
    most = need.epochs
    if need.classes > MANY_CLASSES:
        most = min(MAX_EPOCHS, most)
    # Keep as many epochs as allowed at the finest scale that fits, or else as many as
    # fit at the coarsest scale.
    for levels in LEVELS:
        cost = max(1.0, need.cost[levels])
        epochs = min(most, max(0, int((limit - need.fixed) // cost)))
        if epochs == most:
            break
    return BudgetShare(epochs, levels), need.fixed + cost * epochs


@dataclass(frozen=True, eq=False)
class RunMatrices:
    """The matrices of a training run."""

    name: str
    epochs: list[int]
    classes: int
    series: list[MatrixSeries]
    references: list[StoredReference]

    @property
    def own(self) -> MatrixSeries | None:
        """The network's similarity matrix, or None if the run has none."""
        for series in self.series:
            if series.frames.name in NETWORK_MATRICES:
                return series
        return None

    def need(self) -> BudgetNeed:
        """Return the size that the run needs in the page."""
        cost = {
            levels: sum(series.cost[levels] for series in self.series)
            for levels in LEVELS
        }
        fixed = sum(reference.matrix.size for reference in self.references) / 2
        return BudgetNeed(len(self.epochs), self.classes, cost, fixed)


def run_matrices(results: Results, run: str, summaries: Summaries) -> RunMatrices:
    """Return the matrices of a training run; of very many classes, none are stored."""
    classes = len(results.rows_of("classes", run))
    series = []
    if not results.is_vast(run):
        series = matrix_sources.matrix_series(results, run, summaries)
    references = matrix_sources.references(results, run)
    return RunMatrices(run, results.epochs(run), classes, series, references)


def pack(
    matrices: RunMatrices,
    share: BudgetShare,
    prefix: str,
    lines: Lines,
) -> dict[str, Any]:
    """Return a run's matrices for the page, and add their packed texts to ``lines``
    under names with the prefix.
    """
    # The page has the epochs between which the network's matrix changes most.
    own = matrices.own
    change = own.change if own else dict.fromkeys(matrices.epochs, 1.0)
    epochs = list(change)
    chosen = epoch_sampling.front_loaded(list(change.values()), share.epochs)
    shown = [epochs[index] for index in chosen]
    packed = [
        _pack_series(
            series, share.levels, shown, f"{prefix}-{series.frames.name}", lines
        )
        for series in matrices.series
    ]
    return {"whole": shown if packed else [], "matrices": packed}


def _pack_series(
    series: MatrixSeries, levels: int, shown: Sequence[int], name: str, lines: Lines
) -> dict[str, Any]:
    """Return the description of some matrices, and add those of the shown epochs to the
    lines.
    """
    frames, kind = series.frames, series.frames.kind
    scale = QuantizationScale(series.low, series.high, levels)
    epochs = [epoch for epoch in frames.epochs if epoch in shown]
    lines[name] = [series.packed(epoch, scale) for epoch in epochs]
    title = TITLES[kind.name]
    return {
        "name": frames.name,
        "title": f"{title}, {frames.split}" if frames.split else title,
        "about": f"({kind.title}) {kind.about}",
        "symmetric": kind.is_symmetric,
        "lines": name,
        "epochs": epochs,
        "withoutMistakes": [] if kind.is_symmetric else series.empty,
        **_scale_data(scale),
    }


def pack_references(matrices: RunMatrices, lines: Lines) -> list[dict[str, Any]]:
    """Return the description of a run's reference matrices, and add their packed texts,
    which runs share, to ``lines``.
    """
    result = []
    for reference, file, matrix in matrices.references:
        values = matrix_codec.off_diagonal(matrix, symmetric=True)
        low, high = matrix_sources.value_range(values)
        levels = LEVELS[0] if len(matrix) <= MAX_FINE_REFERENCE else LEVELS[-1]
        scale = QuantizationScale(low, high, levels)
        key = f"reference-{file}"
        if key not in lines:
            lines[key] = [matrix_codec.pack(scale.codes(values), levels)]
        title, about = reference_name(reference), reference
        if reference == "wordnet3.0-path":
            about = f"({REFERENCE.title}) {REFERENCE.about}"
        if len(matrices.references) > 1:
            title = f"{title}, {reference}"
        result.append(
            {
                "name": "scsm",
                "title": title,
                "about": about,
                "symmetric": True,
                "lines": key,
                "epochs": None,
                "withoutMistakes": [],
                **_scale_data(scale),
            }
        )
    return result


def _scale_data(scale: QuantizationScale) -> dict[str, Any]:
    return {"low": scale.low, "step": scale.step, "levels": scale.levels}
