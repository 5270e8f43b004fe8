"""A run's checkpoints: what an earlier call knows already, what must be read, and its matrices.

The file of a matrix holds the record of its checkpoint, so a call that was killed loses no matrix that was whole; what
has no matrix (duplicates, failures) is remembered with the checkpoints table. A file counts as known while its path, size
and time of change are the same and the options that shape matrices are.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.options import Options
from dsi_cli.checkpoints import deduplication, training_runs
from dsi_cli.checkpoints.discovery import CheckpointFile, TrainingRun
from dsi_cli.checkpoints.records import FAILED, OK, PENDING, SKIPPED, Record, messages_by_cause
from dsi_cli.checkpoints.scan import NO_HEAD, WRONG_COUNT, HeadOptions, ScanResult, explain, scan_checkpoint, scan_each
from dsi_cli.engines import Engine, local
from dsi_cli.errors import CheckpointError, UnreadableError, UsageError, count
from dsi_cli.labels import files as label_files
from dsi_cli.metrics.blockwise.wsi import BlockStatistics
from dsi_cli.remote import filesystem
from dsi_cli.similarity import weights
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import CHECKPOINTS, CSMS, HEADS, NEIGHBORS, Table

_log = logging.getLogger(__name__)

STORED = (CSMS, HEADS, NEIGHBORS)
"""The tables that hold a matrix, or what stands for one."""
NOT_ASKED = "not among --epochs"
KEPT_BYTES = 128 << 20
"""Weights held between scanning and computing; beyond that they are read a second time."""


@dataclass
class RunState:
    """What is known of one run while it is analysed."""

    run: TrainingRun
    records: list[Record] = field(default_factory=list)
    """As scanned, before epochs and duplicates are settled."""
    settled: list[Record] = field(default_factory=list)
    weights: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """By path, of the checkpoints that were read in this call, as far as `KEPT_BYTES` reach."""
    heads_read: set[str] = field(default_factory=set)
    """Paths of the heads read in this call."""
    reused: int = 0
    """Matrices of an earlier call that still hold."""
    names: tuple[str, ...] | None = None
    """Of the classes, where they are known."""
    no_reference: str | None = None
    """Why there is no alignment with the main reference."""
    text_weights: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """By path, of networks with a text tower: the embeddings of the class names, which serve as the classifier."""
    failed: set[str] = field(default_factory=set)
    """Paths of checkpoints that could be scanned and cannot be used after all."""
    gone: set[str] = field(default_factory=set)
    """Paths of an earlier call that this call did not find; their matrices are kept: nothing could make them again."""

    joins: bool = False
    """Whether labels hold that an earlier call gave to other runs alone, and this run has not taken them."""

    def fail(self, record: Record, reason: str) -> None:
        """Note that a checkpoint which could be scanned cannot be used after all."""
        self.settled = [
            replace(one, status=FAILED, reason=reason) if one.path == record.path else one for one in self.settled
        ]
        self.failed.add(record.path)

    @property
    def usable(self) -> list[Record]:
        """The checkpoints that have a matrix, in order."""
        return deduplication.sort_by_epoch(self.settled)


@dataclass(frozen=True)
class KnownCheckpoint:
    """The records that an earlier call left for a run, by path."""

    without_matrix: dict[str, Record] = field(default_factory=dict)
    with_matrix: dict[str, Record] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    """Of the classes, where the run's checkpoints have no classifier and so labelled data told them."""

    def get(self, path: str) -> Record | None:
        """Return the record of a path, None where there is none."""
        return self.with_matrix.get(path) or self.without_matrix.get(path)


def known_records(out: Path, runs: Iterable[str], shaping: Mapping[str, Any]) -> KnownCheckpoint:
    """Return what an earlier call left for the runs of a folder; nothing of a run whose matrices other options shaped."""
    known = KnownCheckpoint()
    for run in runs:
        _add_known(known, out, run, shaping)
    return known


def _add_known(known: KnownCheckpoint, out: Path, run: str, shaping: Mapping[str, Any]) -> None:
    others = layout.earlier_options(out, CHECKPOINTS)
    if others.get("shaping", {}).get(run) == dict(shaping):
        for row in others.get("without_matrix", []):
            record = _record(row)
            if record is not None and record.run == run:
                known.without_matrix[record.path] = record
    for path, options in _files(out, run, (CSMS, NEIGHBORS)).items():
        record = _record(options.get("record"))
        is_its_own = path.parent.name in KINDS or (record is not None and record.head is None)
        if record is not None and is_its_own and options.get("shaping") == dict(shaping):
            known.with_matrix[record.path] = record
            if record.head is None:
                known.names[:] = options.get("names") or options.get("source", {}).get("names") or known.names


@dataclass(frozen=True)
class CheckpointScanner:
    """How a call scans its checkpoints, wherever that is done."""

    choice: HeadOptions
    classes: int | None = None
    """The number of classes, if labels that the user gave tell it."""
    classes_beside: int | None = None
    """The number of classes of a label list next to the checkpoints, which may belong to something else."""
    classes_seen: int | None = None
    """The number of classes that targets next to the checkpoints show, which may lack some."""
    may_lack_head: bool = False
    names_machine: bool = False
    """Whether the reason of a file that is not there has the machine that does not see it."""

    def __call__(self, file: CheckpointFile) -> list[ScanResult]:
        """Return what `scan_each` does: a checkpoint, or each epoch of a file that holds several."""
        scanned = self._with_evidence(file)
        if self.names_machine and scanned[0].record.status == FAILED and _is_gone(file):
            reason = f"{platform.node()} does not see it: checkpoints must lie where every node of the cluster sees them"
            return [replace(scanned[0], record=replace(scanned[0].record, reason=reason))]
        return scanned

    def for_run(self, run: TrainingRun) -> CheckpointScanner:
        """Return this with what lies next to a run's checkpoints, which is evidence only if no labels are given."""
        if self.classes is not None:
            return self
        return replace(self, classes_beside=classes_beside(run), classes_seen=classes_seen(run))

    def _with_evidence(self, file: CheckpointFile) -> list[ScanResult]:
        """Scan with the number of classes that is known; without it where no matrix has as many rows, so that both can be named."""
        known = self.classes if self.classes is not None else self.classes_beside
        scanned = scan_each(file, self.choice, known, may_lack_head=self.may_lack_head)
        problems = {one.problem for one in scanned}
        if WRONG_COUNT in problems:
            again = scan_each(file, self.choice, may_lack_head=self.may_lack_head)
        elif NO_HEAD in problems and known is None and self.classes_seen is not None:
            again = scan_each(file, self.choice, self.classes_seen, may_lack_head=self.may_lack_head)
        else:
            return scanned
        return again if any(one.record.status == OK for one in again) else scanned


def classes_beside(run: TrainingRun) -> int | None:
    """Return the number of classes of the label list in a run's folder; None without one that can be read."""
    path = label_files.find_label_file(run.folder)
    if path is None:
        return None
    try:
        return len(label_files.read_labels_or_preset(str(path)).names)
    except UsageError:
        return None


def classes_seen(run: TrainingRun) -> int | None:
    """Return the number of classes that ``targets.npy`` in a run's folder shows; None without a list of whole numbers there."""
    path = run.folder / "targets.npy"
    try:
        if not isinstance(path, Path) or not path.is_file():
            return None
        targets = np.load(path, mmap_mode="r", allow_pickle=False)
        is_list = targets.ndim == 1 and targets.size > 0 and np.issubdtype(targets.dtype, np.integer)
        return int(targets.max()) + 1 if is_list else None
    except (OSError, ValueError):
        return None


def _is_gone(file: CheckpointFile) -> bool:
    return isinstance(file.path, Path) and not file.path.exists()


def _unscanned(file: CheckpointFile, reason: str) -> list[ScanResult]:
    record = Record(file.run, file.shown, bytes=file.bytes, modified_ns=file.modified_ns, status=FAILED, reason=reason)
    return [ScanResult(record, found=file)]


def scan_run(
    state: RunState, known: KnownCheckpoint, scanner: CheckpointScanner, chosen: range | None, engine: Engine
) -> Iterator[Record]:
    """Scan a run's checkpoints, those that are known from what is known; yields each record as it comes."""
    held = 0
    state.names = tuple(known.names) or None
    held_already = {found.shown: _current(known, found) for found in state.run.checkpoints}
    new = [found for found in state.run.checkpoints if held_already[found.shown] is None]
    coming = scan_checkpoints(scanner, new, engine)
    places: list[CheckpointFile] = []
    for found in state.run.checkpoints:
        earlier = held_already[found.shown]
        for one in next(coming) if earlier is None else [ScanResult(earlier, found=found)]:
            places.append(one.found or found)
            record, weight = one.record, one.weight
            if earlier is None and record.fingerprint is not None:
                state.heads_read.add(record.path)
            if weight is not None and held + weight.nbytes <= KEPT_BYTES and _is_chosen(record, chosen):
                held += weight.nbytes
                state.weights[record.path] = weight
            state.records.append(record)
            _log.debug("%s", record)
        yield state.records[-1]
    state.run = replace(state.run, checkpoints=tuple(places))


def split(state: RunState, known: KnownCheckpoint) -> list[RunState]:
    """Return the training runs of a folder that was scanned (`dsi_cli.checkpoints.training_runs`), each with what is known of it.

    An earlier call may have found another training in the same folder, none of whose files is among those of this call. Its
    checkpoints count when trainings are told apart, so that the two are not joined.
    """
    there = {record.path for record in state.records}
    earlier = {path: record.run for path, record in {**known.without_matrix, **known.with_matrix}.items()}
    present = {run for path, run in earlier.items() if path in there}
    gone = [record for record in known.with_matrix.values() if record.run not in present]
    parts = []
    for run, records in training_runs.split_training_runs(state.run, [*state.records, *gone], earlier):
        own = [record for record in records if record.path in there]
        if not own:
            continue
        paths = {record.path for record in own}
        weights = {path: weight for path, weight in state.weights.items() if path in paths}
        part = RunState(run, own, weights=weights, heads_read=state.heads_read & paths, names=state.names)
        left = _left(part, known)
        part.gone = {record.path for record in left}
        part.records += left
        parts.append(part)
    return parts


def scan_checkpoints(
    scanner: CheckpointScanner, places: Sequence[CheckpointFile], engine: Engine
) -> Iterator[list[ScanResult]]:
    """Yield what is read of each file, in order; where a server is waited for, more at once than there are cores."""
    if not engine.is_elsewhere and any(not isinstance(found.path, Path) for found in places):
        return local.map_in_order(scanner, places, filesystem.WORKERS)
    return engine.map_in_order(scanner, places, _unscanned)


def _left(state: RunState, known: KnownCheckpoint) -> list[Record]:
    """Return the records of a run's files that are gone, but for epochs that another file has now."""
    there = {found.shown for found in state.run.checkpoints}
    taken = {(r.epoch, r.step) for r in state.records if r.status == OK and r.epoch is not None}
    renamed = {r.fingerprint for r in state.records if r.epoch is None}
    own = {path: record for path, record in known.with_matrix.items() if record.run == state.run.name}
    gone = [r for path, r in own.items() if path not in there and (r.epoch, r.step) not in taken]
    return [r for r in gone if not (r.epoch is None and r.fingerprint in renamed)]


def resolve_run_duplicates(state: RunState, chosen: range | None, begins_before_training: bool) -> None:
    """Settle the run's epochs and duplicates, and leave out the epochs that were not asked for."""
    settled = deduplication.resolve_duplicates(state.records, begins_before_training=begins_before_training)
    state.settled = [
        replace(record, status=SKIPPED, reason=NOT_ASKED)
        if record.status == OK and not _is_chosen(record, chosen)
        else record
        for record in settled
    ]


@dataclass(frozen=True)
class StoredMatrices:
    """What the output holds of one checkpoint."""

    by_kind: dict[str, NDArray[np.float32]]
    """The stored matrices, where they are wanted."""
    mean_row: float
    zero_rows: list[int]
    weight: NDArray[np.float32] | None = None
    """The classifier, where it stands for matrices too large to be stored, and is wanted."""
    surveys: Mapping[str, BlockStatistics] = field(default_factory=dict)
    """By kind, of the matrices that were gone through meanwhile."""


class MatrixWriter:
    """The matrices of one run in an output folder: those that are there and still hold, and those to be made.

    Parameters
    ----------
    kinds : names out of `KINDS`
    """

    def __init__(self, out: Path, state: RunState, kinds: Sequence[str], options: Options) -> None:
        self.out = out
        self.state = state
        self.kinds = kinds
        self.options = options
        self.paths: set[Path] = set()
        """Where the matrices of all checkpoints asked for so far lie."""
        self._raw = {record.path: record for record in state.records}
        self._places = {found.shown: found for found in state.run.checkpoints}
        self._last = deduplication.stands_for_epoch(state.usable)
        self._there = {path: said for path, said in self._every().items() if _is_ours(path)}
        self._waiting = {record.path for record in state.usable}
        self._displaced: dict[str, tuple[NDArray[np.float32], dict[str, Any]]] = {}

    def _every(self) -> dict[Path, dict[str, Any]]:
        return _files(self.out, self.state.run.name, STORED)

    def strays(self) -> set[Path]:
        """Return the files that stand for no checkpoint now; not the last copies of checkpoints that are gone."""
        left = self.state.gone - {record.path for record in self.state.usable}
        kept = {path for path, said in self._there.items() if said.get("record", {}).get("path") in left}
        every = {path for table in STORED for path in layout.paths_of(self.out, table, self.state.run.name)}
        return {path for path in every if _is_ours(path)} - self.paths - kept

    def stored(self, record: Record, *, wanted: bool) -> StoredMatrices:
        """Return what the output holds of a checkpoint, after writing what it lacks.

        Parameters
        ----------
        record : a usable checkpoint of the run
        wanted : whether to return matrices that were there already

        Raises
        ------
        OutputError
            The output cannot be written.

        Notes
        -----
        A checkpoint that changed since it was scanned fails, with the reason; of one that is gone, a matrix that was never
        made is left out.
        """
        found: dict[str, NDArray[np.float32]] = {}
        said: dict[str, Any] = {}
        reused = True
        self._waiting.discard(record.path)
        for kind in self._kinds(record):
            path, described = self._path(record, kind), self._described(record)
            there = self._there.get(path, {})
            matrix = None
            if not self._holds(record, kind):
                reused = False
                try:
                    matrix, table, there = self._table(record, kind, described)
                except CheckpointError as error:
                    if record.path not in self.state.gone:
                        self.state.fail(record, str(error))
                    continue
                self._keep_displaced(path, kind)
                parquet.write(table, path, there, layout.temporary_folder(self.out))
            self.paths.add(path)
            if wanted:
                found[kind] = matrix if matrix is not None else parquet.to_matrix(parquet.read(path))
            said = there
        self.state.reused += reused and bool(said)
        self.state.weights.pop(record.path, None)
        return StoredMatrices(found, float(said.get("mean_row", 0.0)), list(said.get("zero_rows", [])))

    def _kinds(self, record: Record) -> Sequence[str]:
        """Return the kinds that a checkpoint can have: without a classifier, those of its text tower."""
        if record.head is not None or record.path in self.state.text_weights:
            return self.kinds
        return [kind for kind in self.kinds if self._holds(record, kind)]

    def _holds(self, record: Record, kind: str) -> bool:
        """Return whether the output has this matrix of a checkpoint, made from the same weights and options."""
        there, described = self._there.get(self._path(record, kind), {}), self._described(record)
        return layout.canonical_json({name: there.get(name) for name in described}) == layout.canonical_json(described)

    def _path(self, record: Record, kind: str) -> Path:
        step = None if self._last[record.epoch, record.step] else record.step
        return layout.csm_path(self.out, record.run, kind, None, record.epoch, step)

    def _described(self, record: Record) -> dict[str, Any]:
        """Return what must be in a matrix's file for it to be this checkpoint's."""
        place: dict[str, Any] = {"epoch": record.epoch, "epochs_completed": record.epochs_completed}
        if record.head is None:
            place["names"] = self.state.names
        return {"record": dict(vars(self._raw[record.path])), "shaping": self.options.shaping_matrices, **place}

    def _table(
        self, record: Record, kind: str, described: dict[str, Any]
    ) -> tuple[NDArray[np.float32] | None, Any, dict[str, Any]]:
        """Return a matrix (None where it is never whole), as a table, and what stands beside it.

        It is moved from another place of the output, or made.
        """
        matrix, said = self._moved(kind, described) or self._made(record, kind)
        constants = {name: getattr(record, name) for name in ("run", "epoch", "epochs_completed", "step")}
        table = parquet.from_matrix(CSMS, matrix, constants | {"kind": kind}, {"class_index": range(len(matrix))})
        return matrix, table, described | said

    def _moved(self, kind: str, described: dict[str, Any]) -> tuple[NDArray[np.float32], dict[str, Any]] | None:
        """Return the matrix of these very weights that lies, or lay until now, under another epoch's or step's name."""
        same = _source(kind, described)
        if same in self._displaced:
            return self._displaced.pop(same)
        path = next((path for path in self._by_source.get(same, ()) if path not in self.paths), None)
        return None if path is None else _read_matrix(path, self._there[path])

    @cached_property
    def _by_source(self) -> dict[str, list[Path]]:
        """The matrices that were there, by what they were made from."""
        found: dict[str, list[Path]] = {}
        for path, there in self._there.items():
            if self.out / CSMS.path in path.parents:
                found.setdefault(_source(path.parent.name, there), []).append(path)
        return found

    def _keep_displaced(self, path: Path, kind: str) -> None:
        """Remember the matrix that is about to be overwritten, for the checkpoint whose it is."""
        there = self._there.get(path, {})
        if there.get("record", {}).get("path") in self._waiting:
            self._displaced[_source(kind, there)] = _read_matrix(path, there)

    def _made(self, record: Record, kind: str) -> tuple[NDArray[np.float32], dict[str, Any]]:
        weight = self._read_weight(record)
        return KINDS[kind](weight), weight_statistics(weight)

    def _read_weight(self, record: Record) -> NDArray[np.float32]:
        weight = self.state.weights.get(record.path, self.state.text_weights.get(record.path))
        if weight is None:
            place = self._places.get(record.path)
            again = scan_checkpoint(place, self.options.choice, record.classes) if place else None
            self.state.heads_read.add(record.path)
            if again is None or again.weight is None or again.record.fingerprint != record.fingerprint:
                raise UnreadableError("changed while it was analysed: run the same command again")
            weight = again.weight
        return weight


def weight_statistics(weight: NDArray[np.float32]) -> dict[str, Any]:
    """Return what stands beside what was made from a classifier."""
    return {"mean_row": weights.mean_row_ratio(weight), "zero_rows": weights.zero_rows(weight)}


def _files(out: Path, run: str, tables: Sequence[Table]) -> dict[Path, dict[str, Any]]:
    return {path: said for table in tables for path, said in layout.files_of(out, table, run).items()}


def _is_ours(path: Path) -> bool:
    """Return whether a file was made from weights alone; those of a split are `dsi_cli.analysis.evaluation.stored`'."""
    return path.parent.name in (*KINDS, layout.WEIGHT)


def _source(kind: str, said: Mapping[str, Any]) -> str:
    """Return what a matrix was made from, as text that is equal exactly when that is."""
    return f"{kind} {provenance_key(said)}"


def provenance_key(said: Mapping[str, Any]) -> str:
    """Return the checkpoint and the options that a file was made from, as text that is equal exactly when they are."""
    return layout.canonical_json({name: said.get(name) for name in ("record", "shaping")})


def _read_matrix(path: Path, said: Mapping[str, Any]) -> tuple[NDArray[np.float32], dict[str, Any]]:
    return parquet.to_matrix(parquet.read(path)), {name: said[name] for name in ("mean_row", "zero_rows")}


def records_without_matrix(state: RunState) -> list[dict[str, Any]]:
    """Return the records that no matrix's file remembers, as scanned.

    A failure counts only if the head was read (NaN weights): another may pass away with permissions, labels or a newer dsi.
    """
    usable = {record.path for record in state.usable}
    certain = [
        record for record in state.records if record.status == OK or (record.status == FAILED and record.fingerprint)
    ]
    return [asdict(record) for record in certain if record.path not in usable]


def reason_nothing_usable(states: Sequence[RunState]) -> str | None:
    """Return why nothing in the runs can be analysed, None if something can."""
    if any(state.usable for state in states):
        return None
    unusable = [r for state in states for r in state.settled if r.status in (FAILED, PENDING, SKIPPED)]
    problems = [(Path(record.path).name, record.status, record.reason or "") for record in unusable]
    reasons = messages_by_cause(problems, single="{name}: {reason}")
    return "; ".join(reasons[:3]) + (f"; and {len(reasons) - 3} more" if len(reasons) > 3 else "")


def fail_other_networks(states: Sequence[RunState], classes: int, source: str) -> None:
    """Fail the networks of a folder that have another number of classes than the labels, if another network there has as many.

    A pretrained network beside a training's checkpoints is no reason to refuse the labels.
    """
    folders = {state.run.folder for state in states if any(record.classes == classes for record in state.usable)}
    for state in states:
        for record in state.usable if state.run.folder in folders else ():
            if record.classes is not None and record.classes != classes:
                state.fail(record, f"has {count(record.classes, 'class')}, {source} has {count(classes, 'label')}")


def check_class_count(state: RunState, choice: HeadOptions, names: tuple[str, ...], source: str) -> None:
    """Raise `UsageError` if a run's heads have another number of classes than the labels that the user gave.

    The message names a matrix that does have a row for each label, if the file holds one.
    """
    classes = len(names)
    other = next((record for record in state.usable if record.classes not in (None, classes)), None)
    if other is None:
        return
    first = ", ".join(repr(name) for name in names[:3])
    stated = f"{source} has {classes} labels ({first}, ...)"
    found = f"{stated}, but the classifier of run {state.run.name!r} has {other.classes} classes"
    fitting = _matrices_with_rows(state, other, choice, classes)
    if fitting:
        taken = f"{other.head} is taken with --head" if choice.head is not None else f"{other.head} is taken"
        raise UsageError(
            f"{found} ({taken}): {fitting[0]} has {classes} rows, --head {fitting[0].partition(' ')[0]} takes it"
        )
    raise UsageError(f"{found}: give the list that the model was trained with")


def _matrices_with_rows(state: RunState, record: Record, choice: HeadOptions, classes: int) -> list[str]:
    """Return name and shape of the matrices of a checkpoint that have a row for each class."""
    found = next((one for one in state.run.checkpoints if one.shown == record.path), None)
    if found is None:
        return []
    try:
        candidates = explain(found, choice, classes)[1]
    except CheckpointError:
        return []
    return [one.title for one in candidates if one.fits]


def is_filtered(record: Record) -> bool:
    """Return whether a checkpoint is left out only because its epoch was not asked for."""
    return record.status == SKIPPED and record.reason == NOT_ASKED


def _is_chosen(record: Record, chosen: range | None) -> bool:
    return chosen is None or record.epoch is None or record.epoch in chosen


def _current(known: KnownCheckpoint, file: CheckpointFile) -> Record | None:
    """Return what is known of a file; None if that is nothing, or the file has changed."""
    record = known.get(file.shown)
    if record is None or record.status == PENDING:
        return None
    return record if (record.bytes, record.modified_ns) == (file.bytes, file.modified_ns) else None


def _record(row: Any) -> Record | None:
    try:
        return Record(**row)
    except TypeError:
        return None


KINDS: dict[str, Callable[[NDArray[Any]], NDArray[np.float32]]] = {
    "ncsm": weights.weight_similarity,
    "ncsm_centred": weights.centred_weight_similarity,
}
