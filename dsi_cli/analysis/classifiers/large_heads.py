"""The classifiers and nearest classes that stand in an output for matrices too large to be stored.

``heads/RUN/weight/EPOCH.parquet`` is written first, ``neighbors/RUN/KIND/EPOCH.parquet`` after it: both remember the checkpoint as
the file of a matrix does, and the same rules say when they hold, where they lie and when they are strays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.run_state import MatrixWriter, RunState, StoredMatrices, provenance_key, weight_statistics
from dsi_cli.analysis.options import Options
from dsi_cli.checkpoints.records import Record
from dsi_cli.metrics.blockwise.blocks import BlockWalk
from dsi_cli.metrics.blockwise.wsi import BlockStatistics, block_statistics
from dsi_cli.similarity.weights import Cosines
from dsi_cli.store import layout, parquet
from dsi_cli.store.layout import WEIGHT
from dsi_cli.store.schema import HEADS, NEIGHBORS

LISTED = 50
"""Nearest classes of each that are stored."""


class LargeHeads(MatrixWriter):
    """What stands for the matrices of one run; see `MatrixWriter`.

    Parameters
    ----------
    walk : how a matrix is gone through
    """

    def __init__(self, out: Path, state: RunState, kinds: Sequence[str], options: Options, walk: BlockWalk) -> None:
        super().__init__(out, state, (WEIGHT, *kinds), options)
        self.walk = walk
        self._displaced_weights: dict[str, NDArray[np.float32]] = {}
        self._overwritten: set[Path] = set()
        self._weight: NDArray[np.float32] | None = None
        self._surveys: dict[str, BlockStatistics] = {}

    def stored(self, record: Record, *, wanted: bool) -> StoredMatrices:
        """Return what the output holds of a checkpoint, after writing what it lacks; see `MatrixWriter.stored`."""
        self._weight, self._surveys = None, {}
        found = super().stored(record, wanted=False)
        if not wanted or self._path(record, WEIGHT) not in self.paths:
            return found
        weight = self._weight
        if weight is None:
            weight = parquet.to_rows(parquet.read(self._path(record, WEIGHT)), "weight")
        return StoredMatrices({}, found.mean_row, found.zero_rows, weight, self._surveys)

    def _path(self, record: Record, kind: str) -> Path:
        step = None if self._last[record.epoch, record.step] else record.step
        if kind == WEIGHT:
            return layout.head_path(self.out, record.run, record.epoch, step)
        return layout.neighbors_path(self.out, record.run, kind, record.epoch, step)

    def _table(self, record: Record, kind: str, described: dict[str, Any]) -> tuple[None, Any, dict[str, Any]]:
        if self._weight is None:
            self._weight = self._from_output(record, described)
        if self._weight is None:
            self._weight = self._read_weight(record)
        said = weight_statistics(self._weight)
        constants = {name: getattr(record, name) for name in ("run", "epoch", "epochs_completed", "step")}
        if kind == WEIGHT:
            weight = self._weight.reshape(len(self._weight), -1)
            return (
                None,
                parquet.from_matrix(HEADS, weight, constants, {"class_index": range(len(weight))}),
                described | said,
            )
        rows = Cosines.of(self._weight, centred=kind == "ncsm_centred")
        seen = block_statistics(rows, self.walk, self.options.quantiles, LISTED)
        self._surveys[kind] = replace(seen, nearest=None)
        assert seen.nearest is not None
        near = seen.nearest
        size = near.neighbor.size
        varying = {"neighbor": near.neighbor.ravel(), "rank": near.rank.ravel()}
        varying["similarity"] = near.value.ravel().astype(np.float64)
        varying["class_index"] = np.repeat(np.arange(len(self._weight)), near.neighbor.shape[1])
        return None, parquet.from_columns(NEIGHBORS, size, constants | {"kind": kind}, varying), described | said

    def _from_output(self, record: Record, described: dict[str, Any]) -> NDArray[np.float32] | None:
        """Return the classifier where the output has it, perhaps under another epoch's or step's name."""
        for path, there in self._there.items():
            same = provenance_key(there) == provenance_key(described)
            if same and path.parent.name == WEIGHT and path.is_file() and path not in self._overwritten:
                found: NDArray[np.float32] = parquet.to_rows(parquet.read(path), "weight")
                return found
        return self._displaced_weights.pop(record.path, None)

    def _keep_displaced(self, path: Path, kind: str) -> None:
        """Remember the classifier that is about to be overwritten, for the checkpoint whose it is."""
        owner = self._there.get(path, {}).get("record", {}).get("path")
        self._overwritten.add(path)
        if kind == WEIGHT and owner in self._waiting:
            self._displaced_weights[owner] = parquet.to_rows(parquet.read(path), "weight")
