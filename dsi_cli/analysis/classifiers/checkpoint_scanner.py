"""Scan the checkpoints of a run; files that an earlier call has scanned and that have not changed are not read again."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.earlier_output import KnownCheckpoints
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints, is_selected
from dsi_cli.checkpoints import training_runs
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions, ScanResult, scan_checkpoint, scan_each
from dsi_cli.checkpoints.discovery import CheckpointFile, TrainingRun
from dsi_cli.checkpoints.records import FAILED, OK, Record
from dsi_cli.engines import Engine, local
from dsi_cli.errors import UsageError
from dsi_cli.labels import files as label_files
from dsi_cli.remote import filesystem
from dsi_cli.store import parquet


class HeadParameters(NamedTuple):
    """The parameters of a classifier head."""

    weight: NDArray[np.float32]  # ``(C, d)``
    bias: NDArray[np.float32] | None = None  # ``(C,)``; None if the head has no bias, or if it is unknown


Weights = dict[str, HeadParameters]  # heads by the path of their checkpoint
_log = logging.getLogger(__name__)

MAX_CACHED_BYTES = 128 << 20
"""The total size of the heads that stay in memory between scanning and comparing; others are read a second time."""


@dataclass(frozen=True)
class CheckpointScanner:
    """A callable that scans a checkpoint file, in this process or elsewhere."""

    options: HeadOptions
    classes: int | None = None  # the number of classes, if the user gave labels
    classes_in_label_file: int | None = None
    """The number of labels in a file next to the checkpoints, which may not belong to them."""
    classes_in_targets: int | None = None
    """The number of classes in the targets next to the checkpoints, which may lack classes."""
    may_lack_head: bool = False
    names_machine: bool = False  # True if the reason for a missing file names the machine that cannot see it

    def __call__(self, file: CheckpointFile) -> list[ScanResult]:
        """Return the checkpoint in a file, or each epoch of a file with several."""
        # Scan with the known number of classes; if no matrix fits it, scan without it, so that the error can name both.
        classes = self.classes if self.classes is not None else self.classes_in_label_file
        results = again = scan_each(file, self.options, classes, may_lack_head=self.may_lack_head)
        codes = {result.record.code for result in results}
        if "class-count" in codes:
            again = scan_each(file, self.options, may_lack_head=self.may_lack_head)
        elif codes & {"no-head", "backbone", "ambiguous-head"} and classes is None and self.classes_in_targets is not None:
            again = scan_each(file, self.options, self.classes_in_targets, may_lack_head=self.may_lack_head)
        if any(result.record.status == OK for result in again):
            results = again
        is_missing = isinstance(file.path, Path) and not file.path.exists()
        if self.names_machine and results[0].record.status == FAILED and is_missing:
            reason = f"{platform.node()} cannot see it; put the checkpoints where every node of the cluster sees them"
            return [replace(results[0], record=replace(results[0].record, reason=reason, code="not-shared"))]
        return results

    def for_run(self, run: TrainingRun) -> CheckpointScanner:
        """Return a scanner that also uses the label list and targets next to a run's checkpoints, unless labels are given."""
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
                if targets.ndim == 1 and targets.size > 0 and np.issubdtype(targets.dtype, np.integer):
                    classes = int(targets.max()) + 1
        return replace(self, classes_in_label_file=labels, classes_in_targets=classes)


def scan_run(
    run: TrainingRun,
    known: KnownCheckpoints,
    scanner: CheckpointScanner,
    epochs: range | None,
    engine: Engine | None,
    progress: Callable[[], None] = lambda: None,
) -> tuple[RunCheckpoints, Weights]:
    """Scan the checkpoints of a run, except those with known records; return them, and the heads that stay in memory.

    Heads of the given epochs may stay in memory, or of all epochs if None. `progress` is called after each file.
    """
    # Use the records of an earlier call for files that were complete and have not changed.
    earlier = {file.display_path: record for file in run.checkpoints if (record := known.of_unchanged(file)) is not None}
    unread = [file for file in run.checkpoints if file.display_path not in earlier]

    def lost(file: CheckpointFile, reason: str) -> list[ScanResult]:
        record = Record(file.run, file.display_path, bytes=file.bytes, modified_ns=file.modified_ns)
        return [ScanResult(replace(record, status=FAILED, reason=reason, code="worker-lost"), file=file)]

    if engine is not None:
        new_results = engine.map_in_order(scanner, unread, lost)
    else:  # remote files are read with more threads than there are cores
        is_remote = any(not isinstance(file.path, Path) for file in unread)
        new_results = local.map_in_order(scanner, unread, filesystem.WORKERS if is_remote else None)

    records: list[Record] = []
    weights: Weights = {}
    heads_read: set[str] = set()
    cached_bytes = 0
    files: list[CheckpointFile] = []
    for file in run.checkpoints:
        is_new = file.display_path not in earlier
        for result in next(new_results) if is_new else [ScanResult(earlier[file.display_path], file=file)]:
            record, weight = result.record, result.weight
            files.append(result.file or file)
            records.append(record)
            if is_new and record.fingerprint is not None:
                heads_read.add(record.path)
            if weight is not None and cached_bytes + weight.nbytes <= MAX_CACHED_BYTES and is_selected(record, epochs):
                cached_bytes += weight.nbytes
                weights[record.path] = HeadParameters(weight, result.bias)
            _log.debug("%s", record)
        progress()
    training, names = replace(run, checkpoints=tuple(files)), tuple(known.names) or None
    return RunCheckpoints(training, tuple(records), heads_read=frozenset(heads_read), names=names), weights


def split_trainings(
    scanned: RunCheckpoints, known: KnownCheckpoints, options: HeadOptions, weights: Weights
) -> list[RunCheckpoints]:
    """Return the training runs of a scanned folder (`dsi_cli.checkpoints.training_runs`).

    An earlier call may have found another training in the same folder whose files no longer exist. Its checkpoints count
    when dsi separates the trainings, so that the two are not joined.
    """
    present = {record.path for record in scanned.records}
    earlier = {path: record.run for path, record in {**known.without_matrix, **known.with_matrix}.items()}
    present_runs = {run for path, run in earlier.items() if path in present}
    gone = [record for record in known.with_matrix.values() if record.run not in present_runs]
    files = {file.display_path: file for file in scanned.training.checkpoints}

    def read_head(record: Record) -> NDArray[np.float32] | None:
        if record.path in weights:
            return weights[record.path].weight
        if record.path in known.heads:
            return parquet.read_weight(known.heads[record.path])
        file = files.get(record.path)
        return None if file is None else scan_checkpoint(file, options, record.classes).weight

    parts = []
    records_and_gone = [*scanned.records, *gone]
    for run, records in training_runs.split_training_runs(scanned.training, records_and_gone, earlier, read_head):
        own = [record for record in records if record.path in present]
        if not own:
            continue
        missing = _missing_records(run, own, known)
        read = scanned.heads_read & {record.path for record in own}
        missing_paths = frozenset(record.path for record in missing)
        parts.append(RunCheckpoints(run, (*own, *missing), heads_read=read, names=scanned.names, gone=missing_paths))
    return parts


def _missing_records(run: TrainingRun, records: Sequence[Record], known: KnownCheckpoints) -> list[Record]:
    """Return the records of checkpoints that no longer exist, except for epochs that another file has now."""
    present = {file.display_path for file in run.checkpoints}
    epochs = {(record.epoch, record.step) for record in records if record.status == OK and record.epoch is not None}
    renamed = {record.fingerprint for record in records if record.epoch is None}
    missing = []
    for path, record in known.with_matrix.items():
        is_replaced = (record.epoch, record.step) in epochs or (record.epoch is None and record.fingerprint in renamed)
        if record.run == run.name and path not in present and not is_replaced:
            missing.append(record)
    return missing
