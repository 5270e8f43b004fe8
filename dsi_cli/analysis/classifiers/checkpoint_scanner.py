"""Scan the checkpoints of a run, except for files that have not changed since they were
scanned.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.cache import key_of
from dsi_cli.analysis.classifiers.heads import Heads
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.previous_plan import PlannedCheckpoint, PlannedRun
from dsi_cli.checkpoints import training_runs
from dsi_cli.checkpoints.checkpoint_reader import (
    HeadOptions,
    ScanResult,
    scan_checkpoint,
)
from dsi_cli.checkpoints.discovery import CheckpointFile, TrainingRun
from dsi_cli.checkpoints.records import FAILED, OK, Record
from dsi_cli.engines import Engine, local, processes
from dsi_cli.errors import UsageError
from dsi_cli.facts import Fact, fact
from dsi_cli.labels import files as label_files
from dsi_cli.remote import filesystem
from dsi_cli.remote.locations import Place

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckpointScanner:
    """A callable that scans a checkpoint file, in this process or elsewhere."""

    options: HeadOptions
    classes: int | None = None  # the number of classes, if the user gave labels
    classes_in_label_file: int | None = None
    """The number of labels in a file next to the checkpoints, which may not belong to
    them.
    """
    classes_in_targets: int | None = None
    """The number of classes in the targets next to the checkpoints, which may lack
    classes.
    """
    may_lack_head: bool = False
    # True if the reason for a missing file names the machine that cannot see it
    names_machine: bool = False

    @property
    def known_classes(self) -> int | None:
        """The number of labels that the user gave, or else of those in a file."""
        return self.classes_in_label_file if self.classes is None else self.classes

    def __call__(self, file: CheckpointFile) -> ScanResult:
        """Return the checkpoint in a file."""
        # Scan with the known number of classes; if no matrix fits it, scan without it,
        # so that the error can name both.
        result = self._scan(file, self.known_classes)
        code = result.record.code
        is_unknown = self.known_classes is None and self.classes_in_targets is not None
        other = None
        if code == "class-count":
            other = self._scan(file, None)
        elif is_unknown and code in ("no-head", "backbone", "ambiguous-head"):
            other = self._scan(file, self.classes_in_targets)
        if other is not None and other.record.status == OK:
            result = other
        is_missing = isinstance(file.path, Path) and not file.path.exists()
        if self.names_machine and is_missing and result.record.status == FAILED:
            reason = (
                f"{platform.node()} cannot see it; put the checkpoints where every node"
                " of the cluster sees them"
            )
            record = replace(result.record, reason=reason, code="not-shared")
            return replace(result, record=record)
        return result

    def _scan(self, file: CheckpointFile, classes: int | None) -> ScanResult:
        return scan_checkpoint(
            file, self.options, classes, may_lack_head=self.may_lack_head
        )

    def for_run(self, run: TrainingRun) -> CheckpointScanner:
        """Return a scanner that also uses the label list and targets next to a run's
        checkpoints, unless labels are given.
        """
        if self.classes is not None:
            return self
        labels = None
        label_file = next(label_files.find_label_files(run.folder), None)
        if label_file is not None:
            with suppress(UsageError):
                labels = len(label_files.read_labels_or_preset(str(label_file)).names)
        return replace(
            self,
            classes_in_label_file=labels,
            classes_in_targets=_classes_in_targets(run.folder / "targets.npy"),
        )

    def remembered(self, file: CheckpointFile, heads: Heads) -> Record | None:
        """Return the record of an earlier scan of a file; None if it must be scanned."""
        record = heads.remembered(file, self.key(file))
        if record is not None or self.known_classes is None:
            return record
        # A head that was found without labels is also the one that has as many classes
        # as the labels.
        without_labels = CheckpointScanner(
            self.options, may_lack_head=self.may_lack_head
        )
        record = heads.remembered(file, without_labels.key(file))
        if record is not None and record.classes != self.known_classes:
            return None
        return record

    def key(self, file: CheckpointFile) -> str:
        """Return the key of what scanning a file gives."""
        version = [file.display_path, file.bytes, file.modified_ns, file.moment]
        evidence = [self.known_classes, None]
        if self.known_classes is None:
            evidence = [None, self.classes_in_targets]
        return key_of(
            "head", version, asdict(self.options), evidence, self.may_lack_head
        )


def _classes_in_targets(file: Place) -> int | None:
    """Return the number of classes in a file of targets; None if there is none."""
    if not isinstance(file, Path) or not file.is_file():
        return None
    with suppress(OSError, ValueError):
        targets = np.load(file, mmap_mode="r", allow_pickle=False)
        is_whole = np.issubdtype(targets.dtype, np.integer)
        if targets.ndim == 1 and targets.size > 0 and is_whole:
            return int(targets.max()) + 1
    return None


def scan_run(
    run: TrainingRun,
    scanner: CheckpointScanner,
    heads: Heads,
    previous: Mapping[str, PlannedRun],
    engine: Engine | None,
    progress: Callable[[], None] = lambda: None,
) -> RunCheckpoints:
    """Scan the checkpoints of a folder that `heads` does not have; `progress` is called
    after each file.

    `previous` are the runs of the folder in an earlier call with the same options for
    heads.
    """
    remembered: dict[CheckpointFile, Record] = {}
    for file in run.checkpoints:
        record = scanner.remembered(file, heads)
        if record is not None:
            remembered[file] = record
    unread = [file for file in run.checkpoints if file not in remembered]
    if engine is not None:
        new_results = engine.map_in_order(scanner, unread, _lost)
    elif any(not isinstance(file.path, Path) for file in unread):  # remote files
        new_results = local.map_in_order(scanner, unread, filesystem.WORKERS)
    else:
        new_results = processes.map_in_order(scanner, unread)

    records: list[Record] = []
    heads_read: set[str] = set()
    for file in run.checkpoints:
        record = remembered.get(file)
        if record is None:
            result = next(new_results)
            heads.add(file, scanner.key(file), result)
            record = result.record
            if record.fingerprint is not None:
                heads_read.add(record.path)
        records.append(record)
        _log.debug("%s", record)
        progress()
    names = next((one.names for one in previous.values() if one.names), None)
    return RunCheckpoints(
        run,
        tuple(records),
        heads_read=frozenset(heads_read),
        names_from_data=names,
    )


def _lost(file: CheckpointFile, reason: str) -> ScanResult:
    """Return the record of a file that a machine could not scan."""
    record = Record(
        file.run,
        file.display_path,
        bytes=file.bytes,
        modified_ns=file.modified_ns,
        status=FAILED,
        reason=reason,
        code="worker-lost",
    )
    return ScanResult(record)


def split_trainings(
    scanned: RunCheckpoints, heads: Heads, previous: Mapping[str, PlannedRun]
) -> list[RunCheckpoints]:
    """Return the training runs of a scanned folder
    (`dsi_cli.checkpoints.training_runs`).

    An earlier call may have found another training in the same folder whose files no
    longer exist. Its checkpoints count when dsi separates the trainings, so that the
    two are not joined.
    """
    present = {record.path for record in scanned.records}
    earlier = {
        one.record.path: name
        for name, planned in previous.items()
        for one in planned.checkpoints
    }
    present_runs = {run for path, run in earlier.items() if path in present}
    deleted = [
        one
        for planned in previous.values()
        for one in planned.checkpoints
        if one.record.path not in present
    ]
    used = [
        one.record
        for one in deleted
        if one.rows is not None and heads.restore(one.record.path, one.head_key)
    ]
    gone = [record for record in used if record.run not in present_runs]

    def read_head(record: Record) -> NDArray[np.float32] | None:
        head = heads.get(record.path)
        return None if head is None else head.weight

    parts = []
    records_and_gone = [*scanned.records, *gone]
    for run, records in training_runs.split_training_runs(
        scanned.training, records_and_gone, earlier, read_head
    ):
        own = [record for record in records if record.path in present]
        if not own:
            continue
        run = replace(run, facts=(*run.facts, *_lost_facts(run, deleted, used)))
        missing = _missing_records(run, own, used)
        read = scanned.heads_read & {record.path for record in own}
        missing_paths = frozenset(record.path for record in missing)
        parts.append(
            RunCheckpoints(
                run,
                (*own, *missing),
                heads_read=read,
                names_from_data=scanned.names_from_data,
                gone=missing_paths,
            )
        )
    return parts


def _lost_facts(
    run: TrainingRun, deleted: Sequence[PlannedCheckpoint], used: Sequence[Record]
) -> list[Fact]:
    """Return a fact about deleted checkpoints of a run whose heads, of which the cache
    had the only copy, were damaged; none if there are no such checkpoints.
    """
    used_paths = {record.path for record in used}
    names = [
        one.record.name
        for one in deleted
        if one.rows is not None
        and one.record.run == run.name
        and one.record.path not in used_paths
    ]
    return [fact("checkpoints-lost", files=names)] if names else []


def _missing_records(
    run: TrainingRun, records: Sequence[Record], earlier: Sequence[Record]
) -> list[Record]:
    """Return the records of checkpoints that no longer exist, except for epochs that
    another file has now.
    """
    present = {file.display_path for file in run.checkpoints}
    epochs = {
        (record.epoch, record.step)
        for record in records
        if record.status == OK and record.epoch is not None
    }
    renamed = {record.fingerprint for record in records if record.epoch is None}
    missing = []
    for record in earlier:
        is_replaced = (record.epoch, record.step) in epochs or (
            record.epoch is None and record.fingerprint in renamed
        )
        if record.run == run.name and record.path not in present and not is_replaced:
            missing.append(record)
    return missing
