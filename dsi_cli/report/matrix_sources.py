"""The matrices of a training run, read one at a time: which exist at which epochs, and
their ranges of values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.queries import epoch_sampling
from dsi_cli.queries.matrices import MatrixFrames, all_frames
from dsi_cli.report.matrix_codec import LEVELS, QuantizationScale, off_diagonal, pack
from dsi_cli.report.matrix_summaries import Summaries, Summary
from dsi_cli.store import layout, parquet
from dsi_cli.store.results import Results

# size of the matrices of one kind that stay in memory between two reads
MAX_CACHED_BYTES = 256 * 2**20
# number of matrices that are packed to estimate the size of a packed matrix
COST_SAMPLES = 5

Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MatrixSeries:
    """One kind of matrix of a training run over the epochs, with the range of its
    values and the size of its packed matrices.
    """

    frames: MatrixFrames
    # reads the matrix ``(C, C)`` of an epoch; missing values are NaN
    read: Callable[[int], Matrix]
    # returns the packed matrix of an epoch
    packed: Callable[[int, QuantizationScale], str]
    low: float
    high: float
    # mean absolute difference from the previous epoch, by epoch; 0 for the first epoch
    change: dict[int, float]
    cost: dict[int, float]  # estimated bytes of a packed matrix for each of `LEVELS`
    # epochs whose values are all 0; a confusion matrix without mistakes is empty
    empty: list[int]


def matrix_series(
    results: Results, run: str, summaries: Summaries
) -> list[MatrixSeries]:
    """Return the matrix series of a run that have a value, in display order, without
    the reference.
    """
    classes = len(results.rows_of("classes", run))
    all_series = []
    for frames in all_frames(results, run):
        read = _cached_reader(results.path, frames, classes)
        series = _summarise_series(frames, read, classes, summaries)
        if series is not None:
            all_series.append(series)
    return all_series


def _cached_reader(
    out: Path, frames: MatrixFrames, classes: int
) -> Callable[[int], Matrix]:
    """Return a function that returns the matrix ``(C, C)`` of an epoch; it keeps up to
    `MAX_CACHED_BYTES` in memory.
    """

    @lru_cache(max(2, MAX_CACHED_BYTES // max(1, 4 * classes * classes)))
    def read(epoch: int) -> Matrix:
        # `Results.csm` takes twice as long, because it makes a table with the names of
        # the classes.
        return parquet.read_matrix(_path(out, frames, epoch))

    return read


def _path(out: Path, frames: MatrixFrames, epoch: int) -> Path:
    return layout.csm_path(out, frames.run, frames.kind.name, frames.split, epoch)


class StoredReference(NamedTuple):
    """A reference matrix of a run."""

    name: str  # the name in the tables, such as ``wordnet3.0-path``
    file: str  # the name of its file, which runs with the same labels share
    matrix: Matrix


def references(results: Results, run: str) -> list[StoredReference]:
    """Return the reference matrices of a run, the main one first."""
    labels_ids = results.rows_of("classes", run)["labels_id"].dropna().unique()
    stored = []
    for name, labels_id in product(results.references(run), labels_ids):
        path = layout.reference_path(results.path, name, labels_id)
        if path.is_file():
            stored.append(StoredReference(name, path.name, parquet.read_matrix(path)))
    return stored


def _summarise_series(
    frames: MatrixFrames,
    read: Callable[[int], Matrix],
    classes: int,
    summaries: Summaries,
) -> MatrixSeries | None:
    """Return the series of some matrices; None if no matrix has a value."""
    symmetric, epochs = frames.kind.is_symmetric, frames.epochs

    @lru_cache(2)
    def values(epoch: int) -> NDArray[Any]:
        return off_diagonal(read(epoch), symmetric=symmetric)

    def summary(epoch: int, previous: int | None) -> Summary:
        before = None if previous is None else values(previous)
        return _summary(values(epoch), before)

    def packed(epoch: int, scale: QuantizationScale) -> str:
        def make() -> Summary:
            return {"packed": pack(scale.codes(values(epoch)), scale.levels)}

        file = _path(summaries.out, frames, epoch)
        return str(summaries.get([file], scale, make)["packed"])

    found: dict[int, Summary] = {}
    previous: int | None = None
    for epoch in epochs:
        used = [epoch] if previous is None else [epoch, previous]
        files = [_path(summaries.out, frames, each) for each in used]
        found[epoch] = summaries.get(files, classes, partial(summary, epoch, previous))
        previous = epoch
    limits = [one["limits"] for one in found.values() if one["limits"]]
    if not limits:
        return None
    low, high = min(map(min, limits)), max(map(max, limits))
    change = {epoch: one["change"] for epoch, one in found.items()}
    empty = [epoch for epoch, one in found.items() if one["is_empty"]]

    # The size of a packed matrix is the mean of a few.
    sampled = epoch_sampling.evenly_spaced(epochs, COST_SAMPLES)
    cost = {}
    for levels in LEVELS:
        scale = QuantizationScale(low, high, levels)
        sizes = [len(packed(epoch, scale)) for epoch in sampled]
        cost[levels] = sum(sizes) / len(sizes)
    return MatrixSeries(frames, read, packed, low, high, change, cost, empty)


def _summary(values: NDArray[Any], before: NDArray[Any] | None) -> Summary:
    """Return what a report needs of the off-diagonal values of a matrix and of those at
    the epoch before: the ``limits`` (lowest and highest value), whether it
    ``is_empty``, and its mean absolute ``change``.
    """
    known = values[~np.isnan(values)]
    limits: list[float] = []
    if len(known):
        limits = [float(known.min()), float(known.max())]
    change = 0.0
    if before is not None and before.shape == values.shape:
        differences = np.abs(values - before)
        both = ~np.isnan(differences)
        change = float(differences[both].mean()) if both.any() else 0.0
    return {"limits": limits, "is_empty": not known.any(), "change": change}


def value_range(values: NDArray[Any]) -> tuple[float, float]:
    """Return the lowest and the highest value of a reference matrix; 0 and 1 if all
    values are NaN.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0, 1.0
    return float(known.min()), float(known.max())
