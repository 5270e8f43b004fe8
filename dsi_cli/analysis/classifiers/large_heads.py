"""Write the heads and the nearest classes of a run that has too many classes for stored matrices.

``heads/RUN/weight/EPOCH.parquet`` is written first, ``neighbors/RUN/KIND/EPOCH.parquet`` after it. Both contain the checkpoint
that they were made from, as the files of matrices do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.earlier_output import Metadata, provenance_key
from dsi_cli.analysis.classifiers.matrices import MatrixWriter, StoredMatrices, weight_statistics
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.classifiers.scan import Weights
from dsi_cli.analysis.options import Options
from dsi_cli.checkpoints.records import Record
from dsi_cli.metrics.blockwise.blocks import BlockWalk
from dsi_cli.metrics.blockwise.wsi import BlockStatistics, block_statistics
from dsi_cli.similarity.weights import Cosines
from dsi_cli.store import layout, parquet
from dsi_cli.store.layout import WEIGHT
from dsi_cli.store.schema import HEADS, NEIGHBORS

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
        super().__init__(out, run, (WEIGHT, *kinds), options, weights)
        self.walk = walk
        # The head and the statistics of the checkpoint that `stored` works on.
        self._weight: NDArray[np.float32] | None = None
        self._surveys: dict[str, BlockStatistics] = {}

    def stored(self, record: Record, *, wanted: bool, text_weight: NDArray[np.float32] | None = None) -> StoredMatrices:
        """Return the stored head of a checkpoint, after writing what is missing; see `MatrixWriter.stored`."""
        self._weight, self._surveys = None, {}
        stored = super().stored(record, wanted=False, text_weight=text_weight)
        if not wanted or self._path(record, WEIGHT) not in self.paths:
            return stored
        weight = self._weight if self._weight is not None else self._stored_weight(record)
        return replace(stored, weight=weight, surveys=self._surveys)

    def _path(self, record: Record, kind: str) -> Path:
        step = None if self._is_last_of_epoch[record.epoch, record.step] else record.step
        if kind == WEIGHT:
            return layout.head_path(self.out, record.run, record.epoch, step)
        return layout.neighbors_path(self.out, record.run, kind, record.epoch, step)

    def _stored_weight(self, record: Record) -> NDArray[np.float32]:
        weight: NDArray[np.float32] = parquet.to_rows(parquet.read(self._path(record, WEIGHT)), "weight")
        return weight

    def _make(self, record: Record, kind: str) -> tuple[None, Any, Metadata]:
        if self._weight is None:
            path = self._path(record, WEIGHT)
            is_stored = provenance_key(self._stored.get(path, {})) == provenance_key(self._provenance(record))
            is_readable = is_stored and path.is_file()
            self._weight = self._stored_weight(record) if is_readable else self._read_weight(record)
        statistics = weight_statistics(self._weight)
        if kind == WEIGHT:
            weight = self._weight.reshape(len(self._weight), -1)
            table = parquet.from_matrix(HEADS, weight, record.key_columns, {"class_index": range(len(weight))})
            return None, table, statistics
        rows = Cosines.of(self._weight, centred=kind == "ncsm_centred")
        survey = block_statistics(rows, self.walk, self.options.quantiles, STORED_NEIGHBORS)
        self._surveys[kind] = replace(survey, nearest=None)
        nearest = survey.nearest
        assert nearest is not None
        columns = {
            "class_index": np.repeat(np.arange(len(self._weight)), nearest.neighbor.shape[1]),
            "neighbor": nearest.neighbor.ravel(),
            "rank": nearest.rank.ravel(),
            "similarity": nearest.value.ravel().astype(np.float64),
        }
        table = parquet.from_columns(NEIGHBORS, nearest.neighbor.size, record.key_columns | {"kind": kind}, columns)
        return None, table, statistics
