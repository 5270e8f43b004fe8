"""The state of one training run while it is analysed, and the checks of its checkpoints against labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import deduplication
from dsi_cli.checkpoints.discovery import TrainingRun
from dsi_cli.checkpoints.records import FAILED, OK, PENDING, SKIPPED, Record, messages_by_cause
from dsi_cli.checkpoints.scan import HeadOptions, explain_head_choice
from dsi_cli.errors import CheckpointError, UsageError, count

NOT_IN_EPOCHS = "not among --epochs"
"""The reason of a checkpoint that ``--epochs`` leaves out."""


@dataclass
class RunState:
    """A training run, filled in by the stages of an analysis: scanning, resolving epochs, labelling, comparing."""

    run: TrainingRun
    records: list[Record] = field(default_factory=list)
    """The records as scanned, before epochs and duplicates are resolved."""
    settled: list[Record] = field(default_factory=list)
    """The records with their final epochs and statuses."""
    weights: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """The heads that are still in memory, by the path of the checkpoint."""
    heads_read: set[str] = field(default_factory=set)
    """The paths of the checkpoints whose heads were read in this call."""
    names: tuple[str, ...] | None = None
    """The names of the classes, if known."""
    text_weights: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """For networks with a text tower: the embeddings of the class names, which serve as the head, by path."""
    failed: set[str] = field(default_factory=set)
    """The paths of checkpoints that failed after they had been scanned."""
    gone: set[str] = field(default_factory=set)
    """The paths of checkpoints of an earlier call that no longer exist; dsi keeps their matrices."""
    ignores_kept_labels: bool = False
    """True if labels kept from an earlier call, which were given for other runs, are not used for this run."""

    def fail(self, record: Record, reason: str) -> None:
        """Mark a checkpoint that has been scanned as failed."""
        failed = replace(record, status=FAILED, reason=reason)
        self.settled = [failed if other.path == record.path else other for other in self.settled]
        self.failed.add(record.path)

    @property
    def usable(self) -> list[Record]:
        """The checkpoints that have a matrix, in the order of their epochs."""
        return deduplication.sort_by_epoch(self.settled)


def is_filtered(record: Record) -> bool:
    """Return whether only ``--epochs`` leaves out a checkpoint."""
    return record.status == SKIPPED and record.reason == NOT_IN_EPOCHS


def is_selected(record: Record, epochs: range | None) -> bool:
    """Return whether ``--epochs`` includes a checkpoint; checkpoints without an epoch are always included."""
    return epochs is None or record.epoch is None or record.epoch in epochs


def resolve_run_duplicates(state: RunState, epochs: range | None, begins_before_training: bool) -> None:
    """Resolve the epochs and duplicates of a run, and skip the epochs that ``--epochs`` leaves out."""
    state.settled = []
    for record in deduplication.resolve_duplicates(state.records, begins_before_training=begins_before_training):
        if record.status == OK and not is_selected(record, epochs):
            record = replace(record, status=SKIPPED, reason=NOT_IN_EPOCHS)
        state.settled.append(record)


def records_without_matrix(state: RunState) -> list[dict[str, Any]]:
    """Return the records, as scanned, that no matrix file contains.

    Failures are included only if the head was read (NaN weights). Other failures may disappear with other permissions,
    other labels or a newer dsi.
    """
    usable = {record.path for record in state.usable}
    certain = [
        record for record in state.records if record.status == OK or (record.status == FAILED and record.fingerprint)
    ]
    return [asdict(record) for record in certain if record.path not in usable]


def reason_nothing_usable(states: Sequence[RunState]) -> str | None:
    """Return why none of the runs has a usable checkpoint; None if one has."""
    if any(state.usable for state in states):
        return None
    unusable = [r for state in states for r in state.settled if r.status in (FAILED, PENDING, SKIPPED)]
    problems = [(Path(record.path).name, record.status, record.reason or "") for record in unusable]
    reasons = messages_by_cause(problems, single="{name}: {reason}")
    more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return "; ".join(reasons[:3]) + more


def fail_other_networks(states: Sequence[RunState], classes: int, source: str) -> None:
    """Fail networks whose class count is not that of the labels, if another network in the same folder fits the labels.

    A pretrained network next to the checkpoints of a training is no reason to refuse the labels.
    """
    folders = {state.run.folder for state in states if any(record.classes == classes for record in state.usable)}
    for state in states:
        if state.run.folder not in folders:
            continue
        for record in state.usable:
            if record.classes is not None and record.classes != classes:
                state.fail(record, f"has {count(record.classes, 'class')}, {source} has {count(classes, 'label')}")


def check_class_count(state: RunState, options: HeadOptions, names: tuple[str, ...], source: str) -> None:
    """Check that the heads of a run have as many rows as the user's labels.

    Raises
    ------
    UsageError
        They have not. The message names a matrix with one row per label, if the file contains one.
    """
    classes = len(names)
    other = next((record for record in state.usable if record.classes not in (None, classes)), None)
    if other is None:
        return
    fields: dict[str, Any] = {"run": state.run.name, "classes": other.classes, "labels": classes}
    first = ", ".join(repr(name) for name in names[:3])
    mismatch = (
        f"{source} has {classes} labels ({first}, ...),"
        f" but the classifier of run {state.run.name!r} has {other.classes} classes"
    )
    fitting = _matrices_with_rows(state, other, options, classes)
    if not fitting:
        raise UsageError(f"{mismatch}: give the list that the model was trained with", code="label-count", **fields)
    taken = f"{other.head} is taken with --head" if options.head is not None else f"{other.head} is taken"
    name = fitting[0].partition(" ")[0]
    raise UsageError(
        f"{mismatch} ({taken}): {fitting[0]} has {classes} rows, --head {name} takes it",
        code="label-count",
        head=name,
        **fields,
    )


def _matrices_with_rows(state: RunState, record: Record, options: HeadOptions, classes: int) -> list[str]:
    """Return the names and shapes of the matrices in a checkpoint that have one row per class."""
    file = next((file for file in state.run.checkpoints if file.display_path == record.path), None)
    if file is None:
        return []
    try:
        candidates = explain_head_choice(file, options, classes)[1]
    except CheckpointError:
        return []
    return [candidate.title for candidate in candidates if candidate.fits]
