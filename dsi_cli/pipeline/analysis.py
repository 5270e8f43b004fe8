"""The main job: checkpoints -> matrices -> curves -> tables, with progress as plain events.

Order of work: find the runs; scan each checkpoint; settle epochs and duplicates; find labels; write each matrix as soon as it is
made; compute curves from the stored matrices; write the tables. Whatever an earlier call left that still holds is kept.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import logs
from dsi_cli.checkpoints.discover import discover, ignored_files, printable
from dsi_cli.checkpoints.records import OK, Record
from dsi_cli.errors import DONE, PARTIAL, NothingToAnalyseError
from dsi_cli.pipeline import curves, labelling, reading
from dsi_cli.pipeline.labelling import Labelling
from dsi_cli.pipeline.options import REFERENCE, Options, epoch_filter
from dsi_cli.pipeline.reading import RunState
from dsi_cli.store import output, parquet
from dsi_cli.store.schema import CHECKPOINTS, CLASSES, CURVES, REFERENCES

FLUSH_SECONDS = 20.0


class Progress(NamedTuple):
    """Where a long call is: ``stage`` in words, ``done`` of ``total``."""

    stage: str
    done: int
    total: int


@dataclass
class RunSummary:
    """What became of one run."""

    name: str
    folder: str
    statuses: dict[str, int]
    ignored: int
    classes: int | None
    labels: str | None
    """Where the labels came from, in words."""
    preset: str | None
    resolved: int
    unresolved: list[tuple[str, str]]
    """Label and reason."""
    log: str | None
    heads: list[str]
    weights_used: list[str]
    read: int
    reused: int
    gone: int
    no_reference: str | None
    problems: list[tuple[str, str, str]]
    """Path, status and reason of each checkpoint that could not be used."""


@dataclass
class Summary:
    """What a call did; what the command prints and ``--json`` gives."""

    out: str
    runs: list[RunSummary] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0, or 4 if some checkpoints could not be used."""
        return PARTIAL if any(run.statuses.get("failed") for run in self.runs) else DONE


def analyze(
    paths: Sequence[str | PathLike[str]],
    out: str | PathLike[str] = output.DEFAULT,
    options: Options = Options(),  # noqa: B008 (frozen)
    progress: Callable[[Progress], None] = lambda _: None,
) -> Summary:
    """Analyse checkpoints and write or bring up to date the tables in ``out``.

    Parameters
    ----------
    paths : files, folders or glob patterns
    out : the output folder; made if it is not there
    options : what to compute
    progress : called with each step done

    Raises
    ------
    UsageError
        A path, option or label list that cannot be right; nothing was written.
    NothingToAnalyseError
        No checkpoint, or none that can be used.
    OutputError
        The output could not be written; what was finished is kept.
    """
    began = time.monotonic()
    target = Path(out)
    with output.writing(target):
        analysis = _Analysis(target, options, progress)
        analysis.find(paths)
        analysis.scan()
        analysis.label()
        analysis.write()
        summary = analysis.summary()
    summary.seconds = time.monotonic() - began
    return summary


class _Analysis:
    """One call of `analyze`: what its steps hand to each other."""

    def __init__(self, out: Path, options: Options, progress: Callable[[Progress], None]) -> None:
        self.out = out
        self.options = options
        self.progress = progress
        self.chosen = epoch_filter(options.epochs)
        self.states: list[RunState] = []
        self.logs: dict[str, logs.Log | None] = {}
        self.labellings: dict[str, Labelling] = {}
        self.warnings: list[str] = []
        self.earlier = output.earlier_options(out, CHECKPOINTS)
        self.earlier_curves = output.earlier_options(out, CURVES)
        self.rows: list[curves.Row] = []
        self.made: dict[str, dict[str, str]] = {}
        """By run: which weights (fingerprint) the rows of an ``epoch/step`` are from."""

    def find(self, paths: Sequence[str | PathLike[str]]) -> None:
        runs = discover(paths, self.earlier.get("folders", {}))
        if not runs:
            asked = ", ".join(str(path) for path in paths)
            raise NothingToAnalyseError(
                f"no checkpoints under {asked} ({ignored_files(paths)} other files): expected torch.save or safetensors files"
            )
        self.states = [RunState(run) for run in runs]
        self.logs = {run.name: logs.find_log(run.folder) for run in runs}

    def scan(self) -> None:
        total = sum(len(state.run.checkpoints) for state in self.states)
        done = 0
        asked = self.options.labels
        classes = len(labelling.files.read(asked).names) if asked is not None else None
        for state in self.states:
            known = reading.known_records(self.out, state.run.name, self.options.shaping_matrices)
            for _ in reading.scan_run(state, known, self.options.choice, classes, self.chosen):
                done += 1
                self.progress(Progress("reading classifiers", done, total))
            log = self.logs[state.run.name]
            reading.settle(state, self.chosen, log is not None and log.begins_before_training)
        missing = reading.require_usable(self.states)
        if missing is not None:
            raise NothingToAnalyseError(f"no checkpoint can be used: {missing}")

    def label(self) -> None:
        for state in self.states:
            usable = {record.path for record in state.usable}
            readable = [found for found in state.run.checkpoints if found.shown in usable]
            found = labelling.labels_of(state.run, self.options.labels, readable)
            classes = next((record.classes or 0 for record in state.usable), 0)
            if found is not None and self.options.labels is not None:
                reading.check_class_count(state, len(found.names), found.names, found.source)
            if found is not None and len(found.names) != classes:
                self.warnings.append(
                    f"{state.run.name}: {found.source} has {len(found.names)} labels, the classifier {classes} classes: not used"
                )
                found = None
            self.labellings[state.run.name] = labelling.label(found) if found else labelling.without_labels(classes)

    def write(self) -> None:
        kept = self._keep_earlier_rows()
        total = sum(len(state.usable) for state in self.states)
        done, flushed = 0, time.monotonic()
        for state in self.states:
            semantics = curves.Semantics(self.labellings[state.run.name])
            self._write_reference(semantics)
            stays: set[Path] = set()
            for record, targets in self._targets(state):
                self._one_epoch(state, record, targets, semantics, kept)
                stays |= {one.path for _, one in targets}
                done += 1
                self.progress(Progress("comparing matrices", done, total))
                if time.monotonic() - flushed > FLUSH_SECONDS:
                    self._write_tables()
                    flushed = time.monotonic()
            output.remove_strays(self.out, state.run.name, stays)
        self._write_tables()

    def _targets(self, state: RunState) -> list[tuple[Record, list[tuple[str, reading.Target]]]]:
        kinds = ("ncsm", "ncsm_centred") if self.options.centred else ("ncsm",)
        by_kind = [[(kind, one) for one in reading.targets(self.out, state, kind, self.options.shaping_matrices)] for kind in kinds]
        self._on_disk = output.csm_files(self.out, state.run.name)
        self._places = {found.shown: found for found in state.run.checkpoints}
        return [(group[0][1].record, list(group)) for group in zip(*by_kind, strict=True)]

    def _one_epoch(
        self, state: RunState, record: Record, targets: list[tuple[str, reading.Target]], semantics: curves.Semantics, kept: dict[tuple[str, str], list[curves.Row]]
    ) -> None:
        """Write the matrices of one checkpoint and add its rows."""
        key = f"{record.epoch}/{record.step}"
        rows: list[curves.Row] = kept.get((record.run, key), []) if self._still_holds(record, key) else []
        fresh = not rows
        all_made = True
        for kind, target in targets:
            matrix, options, was_made = self._matrix(state, kind, target, wanted=fresh)
            all_made &= was_made
            self._warn_of_zero_rows(record, options)
            if fresh and matrix is not None:
                rows = rows + curves.matrix_rows(kind, matrix, record, semantics, self.options)
                if kind == "ncsm":
                    rows.append(curves.mean_row(record, options["mean_row"]))
        state.reused += all_made
        state.weights.pop(record.path, None)
        self.made.setdefault(record.run, {})[key] = record.fingerprint or ""
        self.rows += rows + curves.trainer_rows(record, self.logs[record.run])

    def _matrix(self, state: RunState, kind: str, target: reading.Target, *, wanted: bool) -> tuple[NDArray[np.float32] | None, dict[str, Any], bool]:
        """Return the stored matrix (if it is wanted), what its file says, and whether it was there already."""
        made = reading.is_made(target, self._on_disk)
        if made:
            options = self._on_disk[target.path]
            return (parquet.to_matrix(parquet.read(target.path)) if wanted else None), options, True
        table, options = reading.make_matrix(state, target, kind, self.options.choice, self._places)
        parquet.write(table, target.path, options, output.scratch(self.out))
        return parquet.to_matrix(table), options, False

    def _still_holds(self, record: Record, key: str) -> bool:
        """Return whether the rows of an earlier call are of the same weights, labels and options."""
        made = self.earlier_curves.get("made", {}).get(record.run, {})
        same = self.earlier_curves.get("shaping") == self.options.shaping_curves
        labels = self.earlier_curves.get("labels", {}).get(record.run) == self.labellings[record.run].labels_id
        return bool(same and labels and made.get(key) == record.fingerprint)

    def _keep_earlier_rows(self) -> dict[tuple[str, str], list[curves.Row]]:
        """Return the earlier rows that are made from matrices, by run and ``epoch/step``; other runs' rows are kept whole."""
        kept: dict[tuple[str, str], list[curves.Row]] = {}
        mine = {state.run.name for state in self.states}
        for row in output.earlier_rows(self.out, CURVES):
            if row["run"] not in mine:
                self.rows.append(row)
            elif row["metric"] in ("sai", "wsi", "mean_row"):
                kept.setdefault((row["run"], f"{row['epoch']}/{row['step']}"), []).append(row)
        return kept

    def _write_reference(self, semantics: curves.Semantics) -> None:
        labels = semantics.labelling.labels
        if labels is None or not semantics.labelling.resolved:
            return
        path = output.reference_path(self.out, REFERENCE, labels.id)
        if not parquet.options_of(path):
            parquet.write(reference_table(semantics.labelling, semantics.matrix), path, {"reference": REFERENCE}, output.scratch(self.out))

    def _write_tables(self) -> None:
        mine = {state.run.name for state in self.states}
        rows = [row for row in output.earlier_rows(self.out, CHECKPOINTS) if row["run"] not in mine]
        rows += [vars(record) for state in self.states for record in state.settled]
        folders = self.earlier.get("folders", {}) | {state.run.name: printable(str(state.run.folder)) for state in self.states}
        without = [row for row in self.earlier.get("without_matrix", []) if row.get("run") not in mine]
        without += [row for state in self.states for row in reading.without_matrix(state)]
        options = {"shaping": self.options.shaping_matrices, "folders": folders, "without_matrix": without}
        output.write_rows(self.out, CHECKPOINTS, sorted(rows, key=lambda row: row["run"]), options)
        classes = [row for row in output.earlier_rows(self.out, CLASSES) if row["run"] not in mine]
        classes += [row for name, one in self.labellings.items() for row in one.class_rows(name)]
        output.write_rows(self.out, CLASSES, sorted(classes, key=lambda row: row["run"]), {})
        made = {name: one for name, one in self.earlier_curves.get("made", {}).items() if name not in mine} | self.made
        labels = self.earlier_curves.get("labels", {}) | {name: one.labels_id for name, one in self.labellings.items()}
        options = {"shaping": self.options.shaping_curves, "made": made, "labels": labels}
        output.write_rows(self.out, CURVES, sorted(self.rows, key=curves.sort_key), options)

    def _warn_of_zero_rows(self, record: Record, options: dict[str, Any]) -> None:
        zero = options.get("zero_rows") or []
        if zero:
            names = self.labellings[record.run].labels
            shown = ", ".join(repr(names.names[index]) if names else str(index) for index in zero[:3])
            text = f"{record.run}: epoch {record.epoch}: class {shown} has zero weights, so no direction: similarity 0 to all others"
            if text not in self.warnings:
                self.warnings.append(text)

    def summary(self) -> Summary:
        return Summary(str(self.out), [self._run_summary(state) for state in self.states], self.warnings)

    def _run_summary(self, state: RunState) -> RunSummary:
        name, one = state.run.name, self.labellings[state.run.name]
        log = self.logs[name]
        return RunSummary(
            name=name,
            folder=printable(str(state.run.folder)),
            statuses=dict(Counter(record.status for record in state.settled)),
            ignored=state.run.ignored,
            classes=one.classes,
            labels=one.labels.source if one.labels else None,
            preset=one.labels.preset if one.labels else None,
            resolved=one.resolved,
            unresolved=[(r.label, r.reason or "") for r in one.unresolved],
            log=printable(log.path.name) if log else None,
            heads=sorted({r.head for r in state.usable if r.head}),
            weights_used=sorted({r.weights_used for r in state.usable if r.weights_used}),
            read=state.read,
            reused=state.reused,
            gone=state.gone,
            no_reference=one.why_no_reference(),
            problems=[(r.path, r.status, r.reason or "") for r in state.settled if r.status not in (OK, "skipped")],
        )


def reference_table(one: Labelling, matrix: NDArray[np.float32]) -> Any:
    """Return a label list's reference matrix as a table of the schema."""
    assert one.labels is not None
    constants = {"reference": REFERENCE, "labels_id": one.labels.id}
    varying = {"class_index": range(one.classes), "name": list(one.labels.names)}
    return parquet.from_matrix(REFERENCES, matrix, constants, varying)


