"""Record of a call for the next one, in ``OUT/.cache/plan.json``: the checkpoints of
each run, and the entries made from them.

So deleted checkpoints stay in the results, and so do evaluations whose predictions are
not given again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dsi_cli.analysis.cache import EVALUATIONS, HEADS, ROWS
from dsi_cli.analysis.classifiers.heads import HeadId
from dsi_cli.checkpoints.records import Record
from dsi_cli.store import atomic_write, layout

FILE = "plan.json"


class SavedEvaluation(NamedTuple):
    """The evaluation of a checkpoint on a split in the cache."""

    key: str
    # the key of the predictions, or of data and model, without options that add to the
    # result
    source: str


@dataclass(frozen=True)
class PlannedCheckpoint:
    """A checkpoint with what was made from it."""

    record: Record  # as scanned, before epochs and duplicates are resolved
    head: HeadId | None = None
    evaluations: Mapping[str, SavedEvaluation] = field(default_factory=dict)
    """The last evaluation by split, even if the call that records it is given other
    predictions.
    """
    rows: str | None = None  # the key of its rows; None if it is not in the tables


@dataclass(frozen=True)
class PlannedRun:
    """The checkpoints of a run."""

    # the options that affect heads
    shaping: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] | None = (
        None  # the class names that labelled data gave, if the checkpoints have no head
    )
    checkpoints: tuple[PlannedCheckpoint, ...] = ()

    @property
    def entries(self) -> set[tuple[str, str]]:
        """The entries of the cache that the run uses, by kind and key."""
        used = set()
        for checkpoint in self.checkpoints:
            used |= {
                (EVALUATIONS, saved.key) for saved in checkpoint.evaluations.values()
            }
            if checkpoint.head is not None:
                used.add((HEADS, checkpoint.head[0]))
            if checkpoint.rows is not None:
                used.add((ROWS, checkpoint.rows))
        return used


def is_missing(out: Path) -> bool:
    """Return whether an output folder has results, and nothing about the call that made
    them.
    """
    return layout.is_output(out) and not (out / layout.CACHE / FILE).is_file()


def read(out: Path) -> dict[str, PlannedRun]:
    """Return the runs of the last call that finished; empty if there was none, or if
    another version of dsi wrote it.
    """
    try:
        document = json.loads((out / layout.CACHE / FILE).read_text(encoding="utf-8"))
        return {name: _run(values) for name, values in document.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def write(out: Path, runs: Mapping[str, PlannedRun]) -> None:
    """Write the runs for the next call, unless they are the same; raise `OutputError`
    if this fails.
    """
    path = out / layout.CACHE / FILE
    text = json.dumps({name: asdict(run) for name, run in runs.items()})
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        atomic_write.write_atomically(path, text.encode(), layout.temporary_folder(out))


def _run(values: Mapping[str, Any]) -> PlannedRun:
    checkpoints = []
    for one in values["checkpoints"]:
        evaluations = {
            split: SavedEvaluation(*saved)
            for split, saved in one["evaluations"].items()
        }
        head = None if one["head"] is None else (one["head"][0], one["head"][1])
        checkpoints.append(
            PlannedCheckpoint(Record(**one["record"]), head, evaluations, one["rows"])
        )
    return PlannedRun(
        values["shaping"],
        tuple(values["names"]) if values["names"] else None,
        tuple(checkpoints),
    )
