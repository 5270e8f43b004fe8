"""The files of the answers of one run on one split: where each part lies, and what each file remembers.

A file remembers the checkpoint, the options and the source that it was made from; the last one written of an answer is its mark
and has ``parts``, the names of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsi_cli.analysis.classifiers.run_state import RunState
from dsi_cli.checkpoints import deduplication
from dsi_cli.checkpoints.records import Record
from dsi_cli.store import layout
from dsi_cli.store.schema import CONFUSIONS, CSMS, PREDICTIONS, Table

PARTS = (PREDICTIONS.path, "ccsm", "tncsm", CONFUSIONS.path)


@dataclass(frozen=True)
class CompleteFiles:
    """An answer with all its parts."""

    mark: dict[str, Any]
    """What its mark remembers."""
    paths: dict[str, Path]
    """Where each part lies."""
    said: dict[str, dict[str, Any]]
    """What each part remembers."""


class EvaluationFiles:
    """What is there, looked up by place and by what it was made from.

    Parameters
    ----------
    shaping : the options that shape matrices
    """

    def __init__(self, out: Path, state: RunState, split: str, shaping: Mapping[str, Any]) -> None:
        self.out, self.split, self.run = out, split, state.run.name
        self.owners: dict[Path, str | None] = {}
        """The path of the checkpoint that each file was made from; None of a damaged file."""
        self._shaping = dict(shaping)
        self._raw = {record.path: record for record in state.records}
        self._last = deduplication.stands_for_epoch(state.usable)
        self._said: dict[Path, tuple[str, dict[str, Any]]] = {}
        self._by_key: dict[str, list[Path]] = {}
        for table in (CONFUSIONS, PREDICTIONS, CSMS):
            parts = {f"{kind}-{split}": kind for kind in ("ccsm", "tncsm")} if table is CSMS else {split: table.path}
            for path, said in layout.files_of(out, table, self.run).items():
                if path.parent.name in parts:
                    self.note(path, parts[path.parent.name], said)

    def note(self, path: Path, part: str, said: dict[str, Any]) -> None:
        """Take a file that is there now."""
        if path in self._said:
            self._by_key[self._key(self._said[path][1])].remove(path)
        self._said[path] = (part, said)
        self._by_key.setdefault(self._key(said), []).append(path)
        self.owners[path] = said.get("record", {}).get("path")

    def path(self, record: Record, part: str) -> Path:
        """Return where a part of a checkpoint's answer is to lie."""
        step = None if self._last[record.epoch, record.step] else record.step
        if part in ("ccsm", "tncsm"):
            return layout.csm_path(self.out, record.run, part, self.split, record.epoch, step)
        table: Table = CONFUSIONS if part == CONFUSIONS.path else PREDICTIONS
        return layout.split_path(self.out, table, record.run, self.split, record.epoch, step)

    def owner_at(self, record: Record) -> str | None:
        """Return the path of another checkpoint whose files lie where this one's are to lie; None where none do."""
        owners = [self.owners.get(self.path(record, part)) for part in PARTS]
        return next((owner for owner in owners if owner not in (None, record.path)), None)

    def made_from_this(self, record: Record) -> dict[str, Any]:
        """Return what the files of a checkpoint's answer remember, whatever its source."""
        return {"record": dict(vars(self._raw[record.path])), "shaping": self._shaping}

    def whole(self, record: Record) -> Iterator[CompleteFiles]:
        """Yield each answer made from a checkpoint that has all its parts, whatever its source and wherever it lies."""
        together: dict[tuple[str, str], dict[str, Path]] = {}
        for path in self._by_key.get(self._key(self.made_from_this(record)), []):
            part, said = self._said[path]
            together.setdefault((layout.canonical_json(said.get("source") or {}), path.stem), {})[part] = path
        for paths in together.values():
            said = {part: self._said[path][1] for part, path in paths.items()}
            mark = next((one for one in said.values() if "parts" in one), None)
            if mark is not None and set(mark["parts"]) <= set(paths):
                parts = mark["parts"]
                yield CompleteFiles(mark, {part: paths[part] for part in parts}, {part: said[part] for part in parts})

    def is_in_place(self, record: Record, files: CompleteFiles) -> bool:
        """Return whether an answer lies where that of this checkpoint is to lie, under its epoch."""
        when = (record.epoch, record.epochs_completed)
        is_named = all(path == self.path(record, part) for part, path in files.paths.items())
        return is_named and all((said.get("epoch"), said.get("epochs_completed")) == when for said in files.said.values())

    @staticmethod
    def _key(said: Mapping[str, Any]) -> str:
        return layout.canonical_json({name: said.get(name) for name in ("record", "shaping")})
