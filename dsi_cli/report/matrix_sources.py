"""The matrices of a run, read one at a time: what there is, at which epochs, and how far it reaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.engines import local
from dsi_cli.queries import epoch_sampling
from dsi_cli.report import neighbor_data
from dsi_cli.report.matrix_codec import LEVELS, QuantizationScale, off_diagonal, packed
from dsi_cli.store import layout, parquet
from dsi_cli.store.results import Results
from dsi_cli.store.schema import CSMS, REFERENCES

SYMMETRIC = {"ncsm": True, "ncsm_centred": True, "tncsm": True, "ccsm": False}
"""The kinds of matrices, in the order in which they are shown."""
SHOWN = (0.005, 0.995)
"""Quantiles of the off-diagonal values that the colours reach, the median of all epochs: beyond, a few values would take all
contrast from the others. Of a confusion matrix, most of which is 0, the upper one is that of the values above 0."""
KEPT = 256 * 2**20
"""Bytes of matrices of one kind that are kept in memory between two looks."""
MOST_NEAREST = 8
"""Epochs of a run of very many classes of which the nearest classes are shown."""
LARGEST_INDEX = 2**16
"""Classes that a page can number."""
SAMPLES = 5
"""Matrices that are packed to see how well they pack."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MatrixSeries:
    """One kind of matrix of a run."""

    kind: str
    split: str | None
    epochs: list[int]
    read: Callable[[int], Matrix]
    """From an epoch to ``(C, C)``, NaN where a value is missing."""

    @property
    def symmetric(self) -> bool:
        """Whether a frame is a triangle."""
        return SYMMETRIC.get(self.kind, True)

    @property
    def name(self) -> str:
        """The kind, with its split: ccsm-test."""
        return f"{self.kind}-{self.split}" if self.split else self.kind


class ValueRange(NamedTuple):
    """How far a source's values reach."""

    low: float
    high: float
    shown: tuple[float, float]
    """The ends of the colours."""
    change: dict[int, float]
    """Mean absolute difference from the epoch before, by epoch; 0 for the first."""
    cost: dict[int, float]
    """Bytes of a packed frame by `LEVELS`, the mean of some."""
    empty: list[int]
    """Epochs without a value other than 0: of a confusion matrix, without mistakes."""


def matrix_series(run: Results, name: str) -> list[MatrixSeries]:
    """Return the matrices of a run, the classifier's first, without the reference."""
    folder = run.path / CSMS.path / layout.folder_name(name)
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [(place.name.partition("-")[0], place.name.partition("-")[2] or None) for place in places if place.is_dir()]
    known = [(kind, split) for kind, split in found if kind in SYMMETRIC]
    known.sort(key=lambda one: (list(SYMMETRIC).index(one[0]), one[1] != "test"))
    sources = (_source(run, name, kind, split) for kind, split in known)
    return [source for source in sources if source.epochs]


def _source(run: Results, name: str, kind: str, split: str | None) -> MatrixSeries:
    paths = {epoch: layout.csm_path(run.path, name, kind, split, epoch) for epoch in run.epochs(name)}
    there = {epoch: path for epoch, path in paths.items() if path.is_file()}
    size = int((run.classes["run"] == name).sum())

    @lru_cache(maxsize=max(2, KEPT // max(1, 4 * size * size)))
    def read(epoch: int) -> Matrix:
        return parquet.to_matrix(parquet.read(there[epoch]))

    return MatrixSeries(kind, split, list(there), read)


def nearest(run: Results, name: str, classes: int) -> dict[int, str]:
    """Return by epoch `closest.line_of` of a run whose matrices are not stored; of some epochs where there are many."""
    if classes > LARGEST_INDEX:
        return {}
    there = [epoch for epoch in run.epochs(name) if layout.neighbors_path(run.path, name, "ncsm", epoch).is_file()]
    return {
        epoch: neighbor_data.line_of(run.neighbors("ncsm", epoch, name), classes)
        for epoch in epoch_sampling.evenly_spaced(there, MOST_NEAREST)
    }


def references(run: Results, name: str) -> list[tuple[str, str, Matrix]]:
    """Return name, file and matrix of each reference of a run, the main one first."""
    ids = run.classes.loc[run.classes["run"] == name, "labels_id"].dropna().unique()
    files: list[Path] = [file for one in ids for file in sorted((run.path / REFERENCES.path).glob(f"*-{one}.parquet"))]
    found = [(file.stem.rpartition("-")[0], file.name, parquet.to_matrix(parquet.read(file))) for file in files]
    known = run.references(name)
    return sorted(found, key=lambda one: known.index(one[0]) if one[0] in known else len(known))


def value_range(source: MatrixSeries, seen: Callable[[int, Matrix], None] = lambda *_: None) -> ValueRange | None:
    """Return how far a source's values reach; None where it has no value at all.

    Parameters
    ----------
    seen : called with each epoch and matrix on the way, so that whoever else wants them need not read them again
    """
    ends: list[tuple[float, ...]] = []
    change: dict[int, float] = {}
    empty: list[int] = []
    before: NDArray[Any] | None = None
    read = local.map_in_order(source.read, source.epochs, workers=1)  # the next one meanwhile
    for epoch, matrix in zip(source.epochs, read, strict=True):
        seen(epoch, matrix)
        values = off_diagonal(matrix, symmetric=source.symmetric)
        known = values[~np.isnan(values)]
        if len(known):
            ends.append((float(known.min()), *_quantiles(known, sparse=not source.symmetric), float(known.max())))
        empty += [] if known.any() else [epoch]
        change[epoch] = 0.0 if before is None else _difference(values, before)
        before = values
    if not ends:
        return None
    lows, first, last, highs = zip(*ends, strict=True)
    low, high = min(lows), max(highs)
    return ValueRange(low, high, _shown(median(first), median(last), high), change, _costs(source, low, high), empty)


def reach(values: NDArray[Any]) -> tuple[float, float, tuple[float, float]]:
    """Return the ends of one matrix's values and of its colours."""
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0, 1.0, (0.0, 1.0)
    low, high = float(known.min()), float(known.max())
    return low, high, _shown(*_quantiles(known), high)


def _quantiles(known: NDArray[Any], *, sparse: bool = False) -> tuple[float, float]:
    above = known[known > 0] if sparse else known
    if not len(above):
        return 0.0, 0.0
    first, last = np.quantile(above, SHOWN)
    return 0.0 if sparse else float(first), float(last)


def _shown(first: float, last: float, high: float) -> tuple[float, float]:
    """Return the ends of the colours: 0 in the middle where values have both signs."""
    if last <= first:
        last = high if high > first else first + 1.0  # almost all values are the same
    if first < 0 < last:
        end = max(-first, last)
        return -end, end
    return first, last


def _difference(values: NDArray[Any], before: NDArray[Any]) -> float:
    if values.shape != before.shape:
        return 0.0
    both = ~(np.isnan(values) | np.isnan(before))
    return float(np.abs(values[both] - before[both]).mean()) if both.any() else 0.0


def _costs(source: MatrixSeries, low: float, high: float) -> dict[int, float]:
    """Return the bytes of a packed frame by level."""
    epochs = epoch_sampling.evenly_spaced(source.epochs, SAMPLES)
    chosen = [off_diagonal(source.read(epoch), symmetric=source.symmetric) for epoch in epochs]
    return {
        levels: sum(len(packed(QuantizationScale(low, high, levels).codes(values), levels)) for values in chosen)
        / len(chosen)
        for levels in LEVELS
    }
