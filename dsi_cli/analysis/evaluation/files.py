"""The stored files of the evaluation results of one run on one split.

A file contains the checkpoint, the options and the source that it was made from. The file of a result that is written last
also contains ``parts``, the names of all its files; its metadata is called the result's mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsi_cli.analysis.classifiers.earlier_output import Metadata, provenance_key
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.relocation import epoch_metadata
from dsi_cli.checkpoints import deduplication
from dsi_cli.checkpoints.records import Record
from dsi_cli.store import layout
from dsi_cli.store.schema import CONFUSIONS, CSMS, PREDICTIONS, Table

MATRIX_PARTS = ("ccsm", "tncsm", "tncsm_equal")


@dataclass(frozen=True)
class CompleteFiles:
    """The files of an evaluation result that has all its parts."""

    mark: Metadata
    paths: dict[str, Path]
    """The file of each part, that of the mark last."""
    metadata: dict[str, Metadata]

    def has_epoch_of(self, record: Record) -> bool:
        """Return whether the files contain the epoch that the checkpoint has now."""
        return all(
            metadata.get(name) == value
            for metadata in self.metadata.values()
            for name, value in epoch_metadata(record).items()
        )


class EvaluationFiles:
    """The stored files of one run on one split, by path and by provenance.

    Parameters
    ----------
    shaping : the options that affect matrices

    Attributes
    ----------
    owners : the path of the checkpoint that each file was made from; None if the file is damaged
    """

    def __init__(self, out: Path, run: RunCheckpoints, split: str, shaping: Mapping[str, Any]) -> None:
        self.out, self.split, self.run = out, split, run.name
        self.owners: dict[Path, str | None] = {}
        self._shaping = dict(shaping)
        self._raw_records = {record.path: record for record in run.records}
        self._is_last_of_epoch = deduplication.stands_for_epoch(run.usable)
        self._metadata: dict[Path, tuple[str, Metadata]] = {}
        self._by_provenance: dict[str, list[Path]] = {}
        for table in (CONFUSIONS, PREDICTIONS, CSMS):
            folders = {f"{kind}-{split}": kind for kind in MATRIX_PARTS} if table is CSMS else {split: table.path}
            for path, metadata in layout.files_of(out, table, self.run).items():
                if path.parent.name in folders:
                    self.add(path, folders[path.parent.name], metadata)

    def add(self, path: Path, part: str, metadata: Metadata) -> None:
        """Add a file that was written, or replace the one of the same path."""
        self.discard(path)
        self._metadata[path] = (part, metadata)
        self._by_provenance.setdefault(provenance_key(metadata), []).append(path)
        self.owners[path] = metadata.get("record", {}).get("path")

    def discard(self, path: Path) -> None:
        """Forget a file."""
        if path in self._metadata:
            self._by_provenance[provenance_key(self._metadata.pop(path)[1])].remove(path)
            del self.owners[path]

    def path(self, record: Record, part: str) -> Path:
        """Return the path of a part of a checkpoint's result."""
        step = None if self._is_last_of_epoch[record.epoch, record.step] else record.step
        if part in MATRIX_PARTS:
            return layout.csm_path(self.out, record.run, part, self.split, record.epoch, step)
        table: Table = CONFUSIONS if part == CONFUSIONS.path else PREDICTIONS
        return layout.split_path(self.out, table, record.run, self.split, record.epoch, step)

    def provenance(self, record: Record) -> Metadata:
        """Return the part of the metadata that all files of a checkpoint share, whatever the source."""
        return {"record": dict(vars(self._raw_records[record.path])), "shaping": self._shaping}

    def complete(self, record: Record) -> Iterator[CompleteFiles]:
        """Yield each stored result of a checkpoint that has all its parts, one per source, under whatever epoch."""
        by_source: dict[str, dict[str, Path]] = {}
        for path in self._by_provenance.get(provenance_key(self.provenance(record)), []):
            part, metadata = self._metadata[path]
            paths = by_source.setdefault(layout.canonical_json(metadata.get("source") or {}), {})
            if part not in paths or path == self.path(record, part):
                paths[part] = path
        for paths in by_source.values():
            metadata_of = {part: self._metadata[path][1] for part, path in paths.items()}
            mark = next((metadata for metadata in metadata_of.values() if "parts" in metadata), None)
            if mark is not None and set(mark["parts"]) <= set(paths):
                parts = sorted(mark["parts"], key=lambda part: "parts" in metadata_of[part])
                yield CompleteFiles(
                    mark, {part: paths[part] for part in parts}, {part: metadata_of[part] for part in parts}
                )
