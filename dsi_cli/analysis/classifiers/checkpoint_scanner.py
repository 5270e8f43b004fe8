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
from dsi_cli.analysis.previous_plan import PlannedRun
from dsi_cli.checkpoints import training_runs
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions, ScanResult, scan_each
from dsi_cli.checkpoints.discovery import CheckpointFile, TrainingRun
from dsi_cli.checkpoints.records import FAILED, OK, Record
from dsi_cli.engines import Engine, local
from dsi_cli.errors import UsageError
from dsi_cli.labels import files as label_files
from dsi_cli.remote import filesystem

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

    def __call__(self, file: CheckpointFile) -> list[ScanResult]:
        """Return the checkpoint in a file, or each epoch of a file with several."""
        # Scan with the known number of classes; if no matrix fits it, scan without it,
        # so that the error can name both.
        classes = (
            self.classes if self.classes is not None else self.classes_in_label_file
        )
        results = again = scan_each(
            file, self.options, classes, may_lack_head=self.may_lack_head
        )
        codes = {result.record.code for result in results}
        if "class-count" in codes:
            again = scan_each(file, self.options, may_lack_head=self.may_lack_head)
        elif (
            codes & {"no-head", "backbone", "ambiguous-head"}
            and classes is None
            and self.classes_in_targets is not None
        ):
            again = scan_each(
                file,
                self.options,
                self.classes_in_targets,
                may_lack_head=self.may_lack_head,
            )
        if any(result.record.status == OK for result in again):
            results = again
        is_missing = isinstance(file.path, Path) and not file.path.exists()
        if self.names_machine and results[0].record.status == FAILED and is_missing:
            reason = (
                f"{platform.node()} cannot see it; put the checkpoints where every node"
                " of the cluster sees them"
            )
            return [
                replace(
                    results[0],
                    record=replace(results[0].record, reason=reason, code="not-shared"),
                )
            ]
        return results

    def for_run(self, run: TrainingRun) -> CheckpointScanner:
        """Return a scanner that also uses the label list and targets next to a run's
        checkpoints, unless labels are given.
        """
        if self.classes is not None:
            return self
        labels, classes, targets_file = None, None, run.folder / "targets.npy"
        label_file = next(label_files.find_label_files(run.folder), None)
        if label_file is not None:
            with suppress(UsageError):
                labels = len(label_files.read_labels_or_preset(str(label_file)).names)
        with suppress(OSError, ValueError):
            if isinstance(targets_file, Path) and targets_file.is_file():
                targets = np.load(targets_file, mmap_mode="r", allow_pickle=False)
                if (
                    targets.ndim == 1
                    and targets.size > 0
                    and np.issubdtype(targets.dtype, np.integer)
                ):
                    classes = int(targets.max()) + 1
        return replace(self, classes_in_label_file=labels, classes_in_targets=classes)

    def remembered(self, file: CheckpointFile, heads: Heads) -> list[ScanResult] | None:
        """Return what an earlier scan of a file gave, without the weights; None if it
        must be scanned.
        """
        results = heads.remembered(file, self.key(file))
        # A head that was found without labels is also the one that has as many classes
        # as the labels.
        wanted = (
            self.classes if self.classes is not None else self.classes_in_label_file
        )
        if results is None and wanted is not None:
            without_labels = replace(
                self, classes=None, classes_in_label_file=None, classes_in_targets=None
            )
            results = heads.remembered(file, without_labels.key(file))
            if results is not None and any(
                result.record.classes != wanted for result in results
            ):
                return None
        return results

    def key(self, file: CheckpointFile) -> str:
        """Return the key of what scanning a file gives."""
        version = [file.display_path, file.bytes, file.modified_ns, file.moment]
        wanted = (
            self.classes if self.classes is not None else self.classes_in_label_file
        )
        evidence = [wanted, self.classes_in_targets if wanted is None else None]
        return key_of(
            "head", version, asdict(self.options), evidence, self.may_lack_head
        )


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
    remembered = {
        file: results
        for file in run.checkpoints
        if (results := scanner.remembered(file, heads))
    }
    unread = [file for file in run.checkpoints if file not in remembered]

    def lost(file: CheckpointFile, reason: str) -> list[ScanResult]:
        record = Record(
            file.run, file.display_path, bytes=file.bytes, modified_ns=file.modified_ns
        )
        return [
            ScanResult(
                replace(record, status=FAILED, reason=reason, code="worker-lost"),
                file=file,
            )
        ]

    if engine is not None:
        new_results = engine.map_in_order(scanner, unread, lost)
    else:  # remote files are read with more threads than there are cores
        is_remote = any(not isinstance(file.path, Path) for file in unread)
        new_results = local.map_in_order(
            scanner, unread, filesystem.WORKERS if is_remote else None
        )

    records: list[Record] = []
    files: list[CheckpointFile] = []
    heads_read: set[str] = set()
    for file in run.checkpoints:
        results = remembered.get(file)
        if results is None:
            results = next(new_results)
            heads.add(scanner.key(file), results)
            heads_read |= {
                result.record.path
                for result in results
                if result.record.fingerprint is not None
            }
        for result in results:
            files.append(result.file or file)
            records.append(result.record)
            _log.debug("%s", result.record)
        progress()
    names = next(
        (planned.names for planned in previous.values() if planned.names), None
    )
    training = replace(run, checkpoints=tuple(files))
    return RunCheckpoints(
        training, tuple(records), heads_read=frozenset(heads_read), names=names
    )


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
        if one.rows is not None and heads.restore(one.record.path, one.head)
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
        missing = _missing_records(run, own, used)
        read = scanned.heads_read & {record.path for record in own}
        missing_paths = frozenset(record.path for record in missing)
        parts.append(
            RunCheckpoints(
                run,
                (*own, *missing),
                heads_read=read,
                names=scanned.names,
                gone=missing_paths,
            )
        )
    return parts


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
