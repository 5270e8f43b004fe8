"""Read what an earlier call stored about the checkpoints of a run, and move files whose checkpoint has another epoch now.

The file of a matrix contains the record of its checkpoint, so a call that was killed loses no complete matrix. The
checkpoints table contains the records without a matrix (duplicates, failures).

The name of a stored file is its epoch. Epochs change, for example, if a checkpoint without an epoch is added before the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.discovery import CheckpointFile
from dsi_cli.checkpoints.records import PENDING, Record
from dsi_cli.similarity import centred_weight_similarity, weight_similarity
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import CHECKPOINTS, CSMS, HEADS, NEIGHBORS, Table

KINDS: dict[str, Callable[[NDArray[Any]], NDArray[np.float32]]] = {
    "ncsm": weight_similarity,
    "ncsm_centred": centred_weight_similarity,
}
"""The matrices that are made from weights alone, with the functions that make them."""
MATRIX_TABLES = (CSMS, HEADS, NEIGHBORS)
"""The tables with matrices, and the tables that replace matrices too large to be stored."""

Metadata = dict[str, Any]  # the options that a stored file contains about itself


@dataclass(frozen=True)
class KnownCheckpoints:
    """The records that an earlier call left for a run, by the path of the checkpoint."""

    without_matrix: dict[str, Record] = field(default_factory=dict)
    with_matrix: dict[str, Record] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    """The class names that labelled data gave, if the checkpoints have no head."""
    heads: dict[str, Path] = field(default_factory=dict)

    def of_unchanged(self, file: CheckpointFile) -> Record | None:
        """Return the record of a file that was complete and has not changed since; None for any other file."""
        record = self.with_matrix.get(file.display_path) or self.without_matrix.get(file.display_path)
        if record is None or (record.bytes, record.modified_ns) != (file.bytes, file.modified_ns):
            return None
        return None if record.status == PENDING else record


def known_records(out: Path, runs: Iterable[str], shaping: Mapping[str, Any]) -> KnownCheckpoints:
    """Return the records of an earlier call for the runs of one folder, if they were made with the same ``shaping`` options."""
    known = KnownCheckpoints()
    earlier = layout.earlier_options(out, CHECKPOINTS)
    for run in runs:
        if earlier.get("shaping", {}).get(run) == dict(shaping):
            for row in earlier.get("without_matrix", []):
                record = _record(row)
                if record is not None and record.run == run:
                    known.without_matrix[record.path] = record
        for path, metadata in files_of_run(out, run, MATRIX_TABLES).items():
            record = _record(metadata.get("record"))
            if record is None or metadata.get("shaping") != dict(shaping):
                continue
            if path.parent.name == layout.WEIGHT:
                known.heads[record.path] = path
                continue
            # A matrix of a split contains the record of a checkpoint with a head, whose own matrix contains it, too.
            if path.parent.name in KINDS or record.head is None:
                known.with_matrix[record.path] = record
            if record.head is None:
                known.names[:] = metadata.get("names") or metadata.get("source", {}).get("names") or known.names
    return known


def files_of_run(out: Path, run: str, tables: Sequence[Table]) -> dict[Path, Metadata]:
    """Return the stored files of a run in some tables with their metadata; a damaged file has none, so it is written again."""
    folders = [out / table.path / layout.folder_name(run) for table in tables]
    return {path: parquet.options_of(path) for folder in folders for path in sorted(folder.glob("*/*.parquet"))}


def provenance_key(metadata: Mapping[str, Any]) -> str:
    """Return the checkpoint and the options that a file was made from, as text that is equal if and only if they are equal."""
    return layout.canonical_json({name: metadata.get(name) for name in ("record", "shaping")})


def _record(row: Any) -> Record | None:
    try:
        return Record(**row)
    except TypeError:  # written by another version of dsi
        return None


def epoch_metadata(record: Record) -> dict[str, Any]:
    """Return the part of a file's metadata that changes with the epoch of its checkpoint."""
    return {"epoch": record.epoch, "epochs_completed": record.epochs_completed}


def relocate(relocations: Iterable[tuple[Path, Path, Record]], temporary: Path) -> dict[Path, dict[str, Any]]:
    """Move files to their new paths, in this order, with the epochs in their contents; return the metadata of each new path.

    A relocation is the path of a stored file, the path that it should have, and the checkpoint that it was made from. Files that
    have their path and epoch already are left out. Files may swap paths: each file first gets a name that no epoch has. A call
    that is killed in between leaves complete files under such names, and the next call moves these. Incomplete files are in the
    folder `temporary`.
    """
    parked = []
    for source, target, record in relocations:
        if source != target:
            # A name made from the path could be that of a file which a killed call left there.
            source = source.replace(source.with_name(f"moving-{uuid4().hex}.parquet"))
        elif parquet.options_of(source).items() >= epoch_metadata(record).items():
            continue
        parked.append((source, target, record))
    moved = {}
    for source, target, record in parked:
        columns = {name: getattr(record, name) for name in ("epoch", "epochs_completed", "step")}
        metadata = parquet.options_of(source) | epoch_metadata(record)
        table = parquet.with_constants(parquet.read(source), columns)
        parquet.write(table, target, metadata, temporary)
        if source != target:
            source.unlink(missing_ok=True)
        moved[target] = metadata
    return moved
