"""Write the nearest classes of a run that has too many classes for stored matrices.

``neighbors/RUN/KIND/EPOCH.parquet`` replaces a matrix. As a matrix's file, it contains the checkpoint that it was made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.matrices import MatrixWriter, StoredMatrices
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.classifiers.scan import HeadParameters, Weights
from dsi_cli.analysis.options import Options
from dsi_cli.checkpoints.records import Record
from dsi_cli.metrics.blockwise.blocks import BlockWalk
from dsi_cli.metrics.blockwise.wsi import BlockStatistics, block_statistics
from dsi_cli.similarity.weights import Cosines
from dsi_cli.store import layout, parquet
from dsi_cli.store.layout import WEIGHT
from dsi_cli.store.schema import NEIGHBORS

STORED_NEIGHBORS = 50
"""The number of nearest classes that are stored for each class."""


class LargeHeads(MatrixWriter):
    """The heads and nearest classes of one run in a results folder; see `MatrixWriter`.

    Parameters
    ----------
    walk : how matrices are read in blocks of rows
    """

    def __init__(
        self,
        out: Path,
        run: RunCheckpoints,
        kinds: Sequence[str],
        options: Options,
        weights: Weights,
        walk: BlockWalk,
    ) -> None:
        super().__init__(out, run, kinds, options, weights)
        self.walk = walk
        self._surveys: dict[str, BlockStatistics] = {}
        """The statistics of the checkpoint that `stored` works on."""

    def stored(self, record: Record, *, wanted: bool, text_weight: NDArray[np.float32] | None = None) -> StoredMatrices:
        """Return the stored head of a checkpoint, after writing what is missing; see `MatrixWriter.stored`."""
        self._surveys = {}
        stored = super().stored(record, wanted=False, text_weight=text_weight)
        if not wanted or self._path(record, WEIGHT) not in self.paths:
            return stored
        head = self._head or self.stored_head(record)
        return replace(stored, head=head, weight=head.weight if head is not None else None, surveys=self._surveys)

    def _path(self, record: Record, kind: str) -> Path:
        if kind == WEIGHT:
            return super()._path(record, kind)
        step = None if self._is_last_of_epoch[record.epoch, record.step] else record.step
        return layout.neighbors_path(self.out, record.run, kind, record.epoch, step)

    def _make(self, record: Record, kind: str, head: HeadParameters) -> tuple[None, Any]:
        rows = Cosines.of(head.weight, centred=kind == "ncsm_centred")
        survey = block_statistics(rows, self.walk, self.options.quantiles, STORED_NEIGHBORS)
        self._surveys[kind] = replace(survey, nearest=None)
        nearest = survey.nearest
        assert nearest is not None
        columns = {
            "class_index": np.repeat(np.arange(len(head.weight)), nearest.neighbor.shape[1]),
            "neighbor": nearest.neighbor.ravel(),
            "rank": nearest.rank.ravel(),
            "similarity": nearest.value.ravel().astype(np.float64),
        }
        return None, parquet.from_columns(NEIGHBORS, nearest.neighbor.size, record.key_columns | {"kind": kind}, columns)
