"""The checkpoints of one training run, and their checks against labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from dsi_cli.checkpoints import deduplication
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions, explain_head_choice
from dsi_cli.checkpoints.discovery import TrainingRun
from dsi_cli.checkpoints.head_candidates import HeadCandidate
from dsi_cli.checkpoints.records import (
    FAILED,
    OK,
    PENDING,
    SKIPPED,
    Record,
    messages_by_cause,
)
from dsi_cli.checkpoints.trainers import network_id
from dsi_cli.errors import CheckpointError, UsageError, count
from dsi_cli.labels.label_list import LabelList


@dataclass(frozen=True)
class RunCheckpoints:
    """The checkpoints of one training run; each stage of an analysis returns a new
    value.
    """

    training: TrainingRun
    records: tuple[
        Record, ...
    ] = ()  # the records as scanned, before epochs and duplicates are resolved
    resolved: tuple[
        Record, ...
    ] = ()  # the records with their final epochs and statuses
    # the paths of the checkpoints whose heads were read in this call
    heads_read: frozenset[str] = frozenset()
    # the class names that labelled data gave in an earlier call, if it had no head
    names_from_data: tuple[str, ...] | None = None
    label_list: LabelList | None = None  # the labels of its largest head, if known
    gone: frozenset[str] = frozenset()
    """The paths of checkpoints of an earlier call that no longer exist; dsi keeps their
    results.
    """
    # the labels that the user gave for the run
    given: LabelList | None = None

    def with_failures(self, reasons: Mapping[str, str], code: str) -> RunCheckpoints:
        """Return a copy in which some checkpoints failed after they had been scanned,
        with the reasons by path.
        """
        resolved = [
            (
                replace(record, status=FAILED, reason=reasons[record.path], code=code)
                if record.path in reasons
                else record
            )
            for record in self.resolved
        ]
        return replace(self, resolved=tuple(resolved))

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.training.name

    @cached_property
    def usable(self) -> list[Record]:
        """The checkpoints that are in the results, in the order of their epochs."""
        return deduplication.sort_by_epoch(self.resolved)

    @property
    def names(self) -> tuple[str, ...] | None:
        """The class names of its largest head, if known."""
        return None if self.label_list is None else self.label_list.names

    @property
    def has_epochs(self) -> bool:
        """False if the only usable checkpoint has no epoch."""
        return not self.usable or self.usable[0].epoch is not None

    def epochs(self, statuses: Collection[str]) -> set[int]:
        """Return the epochs of the checkpoints of some statuses, and of those that only
        ``--epochs`` leaves out.
        """
        return {
            record.epoch
            for record in self.resolved
            if record.epoch is not None
            and (record.status in statuses or is_filtered(record))
        }

    @cached_property
    def classes(self) -> int | None:
        """The number of classes of the largest head; None without a classifier, 0
        without a usable checkpoint.
        """
        return max(self._class_counts, default=None if self.usable else 0)

    @cached_property
    def is_last_of_epoch(self) -> dict[tuple[int | None, int | None], bool]:
        """True for the last save of an epoch, by epoch and step of the usable
        checkpoints.
        """
        return deduplication.stands_for_epoch(self.usable)

    def step_in_names(self, record: Record) -> int | None:
        """Return the step in the names of a checkpoint's files; None for the last save
        of its epoch.
        """
        return None if self.is_last_of_epoch[record.epoch, record.step] else record.step

    @cached_property
    def common_classes(self) -> int | None:
        """The number of classes of the smallest head, which all heads have; None and 0
        as for `classes`.
        """
        return min(self._class_counts, default=None if self.usable else 0)

    @property
    def fits_given_labels(self) -> bool:
        """True if the user gave labels for the run, one for each class."""
        return self.given is not None and self.classes == len(self.given.names)

    @property
    def _class_counts(self) -> list[int]:
        return [record.classes for record in self.usable if record.classes is not None]


def is_filtered(record: Record) -> bool:
    """Return whether only ``--epochs`` leaves out a checkpoint."""
    return record.code == "not-in-epochs"


def resolve_duplicates(
    run: RunCheckpoints, epochs: range | None, begins_before_training: bool
) -> RunCheckpoints:
    """Return a run with resolved epochs and duplicates, without the epochs that
    ``--epochs`` leaves out.
    """
    resolved = []
    records = deduplication.resolve_duplicates(
        run.records,
        begins_before_training=begins_before_training,
        question=run.training.question,
    )
    for record in records:
        # Checkpoints without an epoch are always included.
        is_included = epochs is None or record.epoch is None or record.epoch in epochs
        if record.status == OK and not is_included:
            record = replace(
                record,
                status=SKIPPED,
                reason="not among --epochs",
                code="not-in-epochs",
            )
        resolved.append(record)
    return replace(run, resolved=tuple(resolved))


def reason_nothing_usable(runs: Sequence[RunCheckpoints]) -> str | None:
    """Return why none of the runs has a usable checkpoint; None if one has."""
    if any(run.usable for run in runs):
        return None
    unusable = [
        r
        for run in runs
        for r in run.resolved
        if r.status in (FAILED, PENDING, SKIPPED)
    ]
    if unusable and all(map(is_filtered, unusable)):
        epochs = {record.epoch_number for record in unusable}
        return f"--epochs selects none of the epochs {min(epochs)} to {max(epochs)}"
    reasons = messages_by_cause(unusable, single="{name}: {reason}")
    more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return "; ".join(reasons[:3]) + more


def fail_other_networks(runs: Sequence[RunCheckpoints]) -> list[RunCheckpoints]:
    """Fail networks whose class count is not that of the labels that the user gave, if
    another network in the same folder fits the labels.

    A pretrained network next to the checkpoints of a training does not make the labels
    wrong.
    """
    fitting = {run.training.folder for run in runs if run.fits_given_labels}
    checked = []
    for run in runs:
        is_other = run.given is not None and not run.fits_given_labels
        if run.given is not None and is_other and run.training.folder in fitting:
            has = f"{run.given.source} has {count(len(run.given.names), 'label')}"
            reasons = {
                record.path: f"has {count(record.classes, 'class')}, {has}"
                for record in run.usable
                if record.classes is not None
            }
            run = run.with_failures(reasons, "class-count")
        checked.append(run)
    return checked


def fail_backbones(runs: Sequence[RunCheckpoints]) -> list[RunCheckpoints]:
    """Fail files whose outputs are the inputs of a classifier in another file of the
    folder and epoch.

    The classifier's file holds no other layer: ``backbone_3.pth`` and
    ``classifier_3.pth``.
    """
    classifiers: dict[tuple[Any, ...], Record] = {}
    single_layers: set[str] = set()
    for run in runs:
        for record in run.usable:
            shape = (
                (record.classes or 0) + (record.extra_classes or 0),
                record.features or 0,
            )
            if record.head is not None and record.network == network_id(
                {record.head: shape}
            ):
                single_layers.add(record.path)
                classifiers[
                    run.training.folder, record.features, record.epoch, record.step
                ] = record
    checked = []
    for run in runs:
        reasons = {}
        for record in run.usable:
            classifier = classifiers.get(
                (run.training.folder, record.classes, record.epoch, record.step)
            )
            is_same = classifier is None or classifier.fingerprint == record.fingerprint
            if (
                classifier is not None
                and not is_same
                and record.path not in single_layers
            ):
                joined = (
                    f"the {record.classes} outputs of {record.head} are the inputs of"
                    f" {classifier.name}"
                )
                reasons[record.path] = (
                    f"no classifier: {joined}; if it is the head, add --head"
                    f" {record.head}"
                )
        checked.append(run.with_failures(reasons, "backbone"))
    return checked


def check_class_count(run: RunCheckpoints, options: HeadOptions) -> None:
    """Raise `UsageError` if the heads of a run have another number of rows than the
    labels that the user gave.

    The message names a matrix with one row per label, if the file contains one.
    """
    if run.given is None or run.classes in (None, 0, len(run.given.names)):
        return
    names = run.given.names
    other = next(record for record in run.usable if record.classes == run.classes)
    fields: dict[str, Any] = {
        "run": run.name,
        "classes": other.classes,
        "labels": len(names),
    }
    first = ", ".join(map(repr, names[:3]))
    mismatch = (
        f"{run.given.source} has {count(len(names), 'label')} ({first}, ...), but the"
        f" classifier of run {run.name!r} has {count(other.classes or 0, 'class')}"
    )
    # Look for a matrix in the checkpoint that has one row per label.
    fitting = _fitting_matrix(run, other, options)
    if fitting is None:
        raise UsageError(
            mismatch,
            hint="give the list that the model was trained with",
            code="label-count",
            **fields,
        )
    taken = other.head if options.head is None else f"{other.head}, by --head"
    raise UsageError(
        f"{mismatch} ({taken}); {fitting.title} has {len(names)} rows",
        hint=f"add --head {fitting.name}",
        code="label-count",
        head=fitting.name,
        **fields,
    )


def _fitting_matrix(
    run: RunCheckpoints, record: Record, options: HeadOptions
) -> HeadCandidate | None:
    """Return a matrix in a checkpoint that has one row per given label;
    None without one.
    """
    assert run.given is not None
    for file in run.training.checkpoints:
        if file.display_path == record.path:
            with suppress(CheckpointError):
                candidates = explain_head_choice(file, options, len(run.given.names))[1]
                return next((one for one in candidates if one.fits), None)
    return None
