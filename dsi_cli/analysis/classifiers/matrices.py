"""Write the heads and the weight similarity matrices of a run, and reuse those of an earlier call.

If a run has too many classes for stored matrices, ``neighbors/RUN/KIND/EPOCH.parquet`` replaces a matrix by the nearest classes.
Each file contains the checkpoint that it was made from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.checkpoint_scanner import HeadParameters, Weights
from dsi_cli.analysis.classifiers.earlier_output import (
    KINDS,
    MATRIX_TABLES,
    Metadata,
    epoch_metadata,
    files_of_run,
    provenance_key,
    relocate,
)
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.options import Options
from dsi_cli.checkpoints.checkpoint_reader import scan_checkpoint
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import CheckpointError, UnreadableError
from dsi_cli.metrics.blockwise import BlockStatistics, BlockWalk, block_statistics
from dsi_cli.similarity import Cosines, zero_rows
from dsi_cli.store import layout, parquet
from dsi_cli.store.layout import WEIGHT
from dsi_cli.store.schema import CSMS, HEADS, NEIGHBORS

STORED_NEIGHBORS = 50  # the number of nearest classes that are stored for each class


@dataclass(frozen=True)
class StoredMatrices:
    """The stored matrices of one checkpoint."""

    by_kind: dict[str, NDArray[np.float32]]  # the matrices ``(C, C)``, if they are needed
    zero_rows: list[int]
    head: HeadParameters | None = None  # the head, if it is needed; it also replaces matrices too large to be stored
    statistics_of_blocks: Mapping[str, BlockStatistics] = field(default_factory=dict)
    """The statistics of matrices that were read in blocks of rows, by kind."""
    failed: str | None = None  # the reason why the checkpoint can no longer be used


class MatrixWriter:
    """The heads and matrices of one run in a results folder.

    ``heads/RUN/weight/EPOCH.parquet`` is written first, the matrices of the `KINDS` after it. Stored files of the run whose
    checkpoints have other epochs now are moved when the object is made. A head in memory (`weights`) is removed when its matrices
    exist. With a `walk`, matrices are too large to be stored, and are read in blocks of rows.

    Attributes
    ----------
    heads_read : the paths of the checkpoints whose heads were read again.
    paths : the files of all checkpoints for which `stored` was called.
    reused : the number of these checkpoints whose matrices all existed.
    """

    def __init__(self, out: Path, run: RunCheckpoints, options: Options, weights: Weights, walk: BlockWalk | None) -> None:
        self.out, self.run, self.options, self.weights, self.walk = out, run, options, weights, walk
        self.heads_read: set[str] = set()
        self.kinds = (WEIGHT, "ncsm", "ncsm_centred") if options.centred else (WEIGHT, "ncsm")
        self.paths: set[Path] = set()
        self.reused = 0
        self._files = {file.display_path: file for file in run.training.checkpoints}
        # Files that were made from predictions on a split belong to another object.
        stored = files_of_run(out, run.name, MATRIX_TABLES).items()
        self._stored = {path: metadata for path, metadata in stored if path.parent.name in (*KINDS, WEIGHT)}
        # Move the files that should have another path or another epoch.
        records = {provenance_key(run.provenance(record, options.shaping_matrices)): record for record in run.usable}
        relocations = []
        for path, metadata in self._stored.items():
            record = records.get(provenance_key(metadata))
            if record is not None:
                relocations.append((path, self._path(record, path.parent.name), record))
        self._stored |= relocate(relocations, layout.temporary_folder(out))

    def unused_files(self) -> list[Path]:
        """Return the files that belong to no checkpoint now; the last copies of checkpoints that are gone are kept."""
        missing = self.run.gone - {record.path for record in self.run.usable}
        unused = self._stored.keys() - self.paths
        return [path for path in unused if self._stored[path].get("record", {}).get("path") not in missing]

    def stored(self, record: Record, *, wanted: bool, text_weight: NDArray[np.float32] | None = None) -> StoredMatrices:
        """Return the stored matrices of a usable checkpoint, if they are wanted, after writing those that are missing.

        A checkpoint that has changed since it was scanned fails, with the reason. If a checkpoint is gone, matrices of it
        that were never made are left out. Text embeddings ``(C, d)`` serve as the head of a network with a text tower.
        """
        head = self.weights.pop(record.path, None)
        if text_weight is not None:
            head = HeadParameters(text_weight)
        # Without a head, a checkpoint has the matrices of its text tower, or those that are stored.
        kinds: Sequence[str] = self.kinds
        if record.head is None and head is None:
            kinds = [kind for kind in self.kinds if self._is_stored(record, kind)]
        matrices: dict[str, NDArray[np.float32]] = {}
        statistics_of_blocks: dict[str, BlockStatistics] = {}
        statistics: Metadata = {}
        all_existed = True
        failed = None
        for kind in kinds:
            path = self._path(record, kind)
            matrix = None
            if not self._is_stored(record, kind):
                all_existed = False
                try:
                    head = head or self.stored_head(record) or self._read_head(record)
                except CheckpointError as error:
                    if record.path not in self.run.gone:
                        failed = str(error)
                    continue
                matrix = self._write(record, kind, head, statistics_of_blocks)
            self.paths.add(path)
            statistics = self._stored[path]
            if wanted and kind != WEIGHT and self.walk is None:
                matrices[kind] = matrix if matrix is not None else parquet.read_matrix(path)
        self.reused += all_existed and bool(statistics)
        head = (head or self.stored_head(record)) if wanted else None
        return StoredMatrices(matrices, list(statistics.get("zero_rows", [])), head, statistics_of_blocks, failed)

    def stored_head(self, record: Record) -> HeadParameters | None:
        """Return the stored head of a checkpoint; None if it is not stored."""
        if not self._is_stored(record, WEIGHT):
            return None
        table = parquet.by_class(parquet.read(self._path(record, WEIGHT), columns=("class_index", "weight", "bias")))
        bias = None
        if "bias" in table.column_names and not table["bias"].null_count:
            bias = table["bias"].to_numpy().astype(np.float32)
        return HeadParameters(parquet.to_rows(table, "weight"), bias)

    def _is_stored(self, record: Record, kind: str) -> bool:
        """Return whether a matrix of a checkpoint is stored, made from the same weights with the same options."""
        metadata, expected = self._stored.get(self._path(record, kind), {}), self._expected_metadata(record)
        return layout.canonical_json({name: metadata.get(name) for name in expected}) == layout.canonical_json(expected)

    def _path(self, record: Record, kind: str) -> Path:
        step = self.run.step_in_names(record)
        if kind == WEIGHT:
            return layout.head_path(self.out, record.run, record.epoch, step)
        if self.walk is not None:
            return layout.neighbors_path(self.out, record.run, kind, record.epoch, step)
        return layout.csm_path(self.out, record.run, kind, None, record.epoch, step)

    def _expected_metadata(self, record: Record) -> Metadata:
        """Return the metadata that the files of a checkpoint must have to be valid."""
        names = {"names": self.run.names} if record.head is None else {}
        return self.run.provenance(record, self.options.shaping_matrices) | epoch_metadata(record) | names

    def _write(
        self, record: Record, kind: str, head: HeadParameters, statistics_of_blocks: dict[str, BlockStatistics]
    ) -> NDArray[np.float32] | None:
        """Write a head, or a matrix and return it; of a matrix in blocks of rows, write neighbors and add its statistics."""
        matrix = None
        constants = record.key_columns | {"kind": kind}
        if kind == WEIGHT:
            weight = head.weight.reshape(len(head.weight), -1)
            varying: dict[str, Any] = {"class_index": range(len(weight))}
            if head.bias is not None and np.isfinite(head.bias).all():
                varying["bias"] = head.bias.astype(np.float64)
            table = parquet.from_matrix(HEADS, weight, record.key_columns, varying)
        elif self.walk is None:
            matrix = KINDS[kind](head.weight)
            table = parquet.from_matrix(CSMS, matrix, constants, {"class_index": range(len(matrix))})
        else:
            rows = Cosines.of(head.weight, centred=kind == "ncsm_centred")
            with_nearest = block_statistics(rows, self.walk, self.options.quantiles, STORED_NEIGHBORS)
            nearest, statistics_of_blocks[kind] = with_nearest.nearest, replace(with_nearest, nearest=None)
            assert nearest is not None
            varying = {
                "class_index": np.repeat(np.arange(len(head.weight)), nearest.neighbor.shape[1]),
                "neighbor": nearest.neighbor.ravel(),
                "rank": nearest.rank.ravel(),
                "similarity": nearest.value.ravel().astype(np.float64),
            }
            table = parquet.from_columns(NEIGHBORS, nearest.neighbor.size, constants, varying)
        path = self._path(record, kind)
        self._stored[path] = self._expected_metadata(record) | {"zero_rows": zero_rows(head.weight)}
        # After a power failure, the footer or the checksums show that a matrix is damaged.
        parquet.write(table, path, self._stored[path], layout.temporary_folder(self.out), is_durable=False)
        return matrix

    def _read_head(self, record: Record) -> HeadParameters:
        file = self._files.get(record.path)
        result = scan_checkpoint(file, self.options.choice, record.classes) if file is not None else None
        self.heads_read.add(record.path)
        if result is None or result.weight is None or result.record.fingerprint != record.fingerprint:
            raise UnreadableError("changed while it was analysed; run the same command again", code="changed")
        return HeadParameters(result.weight, result.bias)
