"""Move stored files whose checkpoint now has another epoch or step.

The name of a stored file is its epoch. Epochs change, for example, if a checkpoint without an epoch is added before
the others. A file contains the checkpoint that it was made from, so it need not be made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from dsi_cli.checkpoints.records import Record
from dsi_cli.store import parquet


class Relocation(NamedTuple):
    """A stored file, the checkpoint that it was made from, and the path that the file should have."""

    source: Path
    target: Path
    record: Record


def epoch_metadata(record: Record) -> dict[str, Any]:
    """Return the part of a file's metadata that changes with the epoch of its checkpoint."""
    return {"epoch": record.epoch, "epochs_completed": record.epochs_completed}


def has_epoch(metadata: Mapping[str, Any], record: Record) -> bool:
    """Return whether the metadata of a file contain the epoch that the checkpoint has now."""
    return all(metadata.get(name) == value for name, value in epoch_metadata(record).items())


def relocate(relocations: Iterable[Relocation], temporary: Path) -> dict[Path, dict[str, Any]]:
    """Move files to their new paths, with the epochs in their contents; return the metadata of each new path.

    Files may swap paths: each file first gets a name that no epoch has. A call that is killed in between leaves complete
    files under such names, and the next call moves these.

    Parameters
    ----------
    relocations : in the order in which the files are written.
    temporary : the folder for incomplete files.
    """
    parked = []
    for source, target, record in relocations:
        if source != target:
            # A name made from the path could be that of a file which a killed call left there.
            source = source.replace(source.with_name(f"moving-{uuid4().hex}.parquet"))
        parked.append(Relocation(source, target, record))
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
