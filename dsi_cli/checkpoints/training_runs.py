"""Split the checkpoints of one folder into training runs, by the network and by the
names of the files, and give each checkpoint its epoch and step.

Checkpoints belong to different trainings if their networks differ (the names or shapes
of layers), if their contents state different folds, if one holds averaged weights, or
if their names differ in more than the epoch (``runA_epoch_1.pt``, ``runB_epoch_1.pt``).
A copy (``best.pt``), and a file without an epoch, belongs to the training with its
words or its weights, or to the only one.

Numbers without a word for epoch or step (``m_1.pt``, ``m_2.pt``) are epochs only if the
class vectors of two successive checkpoints are related. Otherwise dsi asks, as for all
names that `dsi_cli.checkpoints.file_names` cannot read.

Checkpoints whose head grows (a class-incremental training with 10, 20, ... classes) are
one training only if all of this holds:

- the heads have the same name and the same number of features,
- the number of classes does not fall with the epoch (or the step), and each width
  belongs to one training,
- the class vectors of the older classes are still recognisable after the head has grown
  (`has_grown_from`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import deduplication, file_names, trainers
from dsi_cli.checkpoints.discovery import TrainingRun, relative_name
from dsi_cli.checkpoints.file_names import Reading
from dsi_cli.checkpoints.name_pattern import NamePattern, option_text
from dsi_cli.checkpoints.records import OK, Record
from dsi_cli.errors import listed
from dsi_cli.facts import Fact, fact
from dsi_cli.similarity import centre, unit_rows
from dsi_cli.store.layout import folder_key

ReadHead = Callable[[Record], "NDArray[np.float32] | None"]
"""Returns the weight ``(C, d)`` of a checkpoint's head, or None if it cannot be read.
"""

MIN_RECOGNISED = 0.8
"""The minimum share of older classes whose new vector is more similar to their own
older vector than to all others.
"""
MIN_STANDARD_DEVIATIONS = 4.0
"""The minimum mean cosine of old and new vectors, in standard deviations of independent
directions.
"""
MAX_UNRELATED = 0.174
"""The maximum mean cosine of the class vectors of unrelated networks with many classes
and features: that of 80 degrees.
"""
RELATED_STANDARD_DEVIATIONS = 3.0
"""The mean cosine of related networks exceeds that of independent directions by more
than this.
"""
MAX_THRESHOLD = 0.8  # heads with a larger mean cosine are always related


@dataclass
class Training:
    """The checkpoints of one training."""

    label: str  # the words and numbers in the names
    records: list[Record] = field(default_factory=list)
    question: str | None = None  # why dsi asks for ``--names``


def split_training_runs(
    run: TrainingRun,
    records: Sequence[Record],
    earlier: Mapping[str, str] | None = None,
    read_head: ReadHead = lambda _: None,
) -> list[tuple[TrainingRun, list[Record]]]:
    """Return the training runs of a folder with their records, which have their epochs
    and steps; usually one run, which keeps the folder's name.

    If there are several, each is named after the common part of its files' names:
    ``folder/runA``. Files whose names do not identify a training (``epoch_3.pt``) keep
    the folder's name.

    Parameters
    ----------
    run : the folder's checkpoints, and the pattern of `--names`.
    records : the records as scanned, which may include deleted files.
    earlier : ``{path: run name}`` of an earlier output; these runs keep their names.
    read_head : reads the head of a checkpoint, to recognise a head that grows
        (`dsi_cli.checkpoints.training_runs`).
    """
    facts = list(run.facts)
    if run.names is None:
        readings = _readings(run, records)
        dated = [
            _with_moment_in_name(record, readings[record.path]) for record in records
        ]
    else:
        readings, dated = _read_by_pattern(run, run.names, records, facts)

    is_named = run.names is not None
    trainings = _trainings(dated, readings, read_head, is_named=is_named)
    if not is_named:
        facts += _facts_about_single(trainings, readings, read_head)
    # The pattern alone decides, so that a name does not change with further runs.
    known = {} if is_named else earlier or {}
    has_labels = is_named or len(trainings) > 1
    run_names = _run_names(run.name, trainings, known, has_labels=has_labels)

    runs: list[tuple[TrainingRun, list[Record]]] = []
    for name, training in zip(run_names, trainings, strict=True):
        paths = {record.path for record in training.records}
        files = [
            replace(file, run=name)
            for file in run.checkpoints
            if file.display_path in paths
        ]
        order = {file.display_path: index for index, file in enumerate(files)}
        training.records.sort(key=lambda one: order.get(one.path, len(order)))
        named = replace(
            run,
            name=name,
            checkpoints=tuple(files),
            # The first run reports the other files of the folder.
            ignored=0 if runs else run.ignored,
            facts=() if runs else tuple(facts),
            is_part=len(trainings) > 1 and name != run.name,
            question=training.question,
        )
        runs.append((named, [replace(one, run=name) for one in training.records]))
    return runs


def _trainings(
    records: Sequence[Record],
    readings: Mapping[str, Reading],
    read_head: ReadHead,
    *,
    is_named: bool,
) -> list[Training]:
    """Return the trainings of a folder, the largest first.

    ``is_named`` means that `--names` states the training of each file.
    """
    usable = [record for record in records if record.status == OK]
    trainings: list[Training] = []
    for group in _group_by_network(usable):
        trainings += _group_by_name(group, readings, is_named=is_named)
    if not is_named:
        for training in trainings:
            _ask_if_unrelated(training, readings, read_head)
    trainings = join_growing(trainings, read_head, by_name=is_named)
    for training in trainings:
        _without_epoch_of_single(training, readings)
    trainings.sort(key=lambda training: len(training.records), reverse=True)
    trainings = trainings or [Training("")]
    # A checkpoint that cannot be used belongs to the training with its words.
    for record in records:
        if record.status != OK:
            label = readings[record.path].label
            fitting = [one for one in trainings if one.label == label]
            (fitting or trainings)[0].records.append(record)
    return trainings


def _readings(run: TrainingRun, records: Sequence[Record]) -> dict[str, Reading]:
    """Return what the name of each checkpoint says, by its path."""
    texts, stated, steps = [], [], []
    revisions = {one.display_path for one in run.checkpoints if one.moment is not None}
    for record in records:
        text = relative_name(record.path, run.folder)
        # The file of a revision may have any name.
        texts.append("" if record.path in revisions else text)
        stated.append(record.epoch if _is_settled(record) else None)
        steps.append(record.step)
    found = file_names.read_names(texts, stated, steps)
    return {
        record.path: reading for record, reading in zip(records, found, strict=True)
    }


def _is_settled(record: Record) -> bool:
    """Return whether the name does not change the epoch of a record."""
    from_name = (
        None,
        file_names.FILE_NAME,
        file_names.FOLDER_NAME,
        file_names.NAME_PATTERN,
    )
    return (
        record.trainer == trainers.HUGGING_FACE or record.epoch_source not in from_name
    )


def _with_moment_in_name(record: Record, reading: Reading) -> Record:
    """Return a record with the epoch and step in its name; the contents count first,
    unless all state the same epoch.
    """
    is_overruled = (
        reading.overrules_contents and record.trainer != trainers.HUGGING_FACE
    )
    if _is_settled(record) and not is_overruled:
        if record.step is None and reading.step is not None and not reading.is_plain:
            return replace(record, step=reading.step)
        return record
    step = reading.step if record.step is None else record.step
    source = None
    if reading.epoch is not None:
        is_folder = (
            record.epoch_source == file_names.FOLDER_NAME or "." not in record.name
        )
        source = file_names.FOLDER_NAME if is_folder else file_names.FILE_NAME
    return replace(record, epoch=reading.epoch, epoch_source=source, step=step)


def _read_by_pattern(
    run: TrainingRun, pattern: NamePattern, records: Sequence[Record], facts: list[Fact]
) -> tuple[dict[str, Reading], list[Record]]:
    """Return the readings of `--names` and the records with their epochs and steps,
    without those that do not match; add a fact about contents with other epochs.
    """
    files = {file.display_path: file for file in run.checkpoints}
    readings: dict[str, Reading] = {}
    dated, differing = [], []
    for record in records:
        paths = [relative_name(record.path, run.folder)]
        if record.path in files:
            paths = files[record.path].names_in(run.folder)
        moment = pattern.read(paths)
        if moment is None:
            continue
        readings[record.path] = Reading(moment.run, moment.epoch, moment.step)
        if moment.step is not None:
            record = replace(record, step=moment.step)
        if moment.epoch is None and not _is_settled(record):
            record = replace(record, epoch=None, epoch_source=None)
        if moment.epoch is not None:
            if (
                record.epoch_source == file_names.CONTENTS
                and record.epoch != moment.epoch
            ):
                differing.append((record, moment.epoch))
            record = _with_epoch_of_pattern(record, moment.epoch)
        dated.append(record)
    if differing:
        record, epoch = differing[0]
        facts.append(
            fact(
                "names-differ-from-contents",
                files=len(differing),
                example=record.name,
                in_contents=record.epoch,
                in_name=epoch,
            )
        )
    return readings, dated


def _with_epoch_of_pattern(record: Record, epoch: int) -> Record:
    """Return a record with the epoch that `--names` states. The number of finished
    epochs does not change.
    """
    counts_from = record.counts_from
    stated = record.epoch if record.epoch_source == file_names.CONTENTS else None
    if counts_from is not None and stated is not None:
        counts_from += epoch - stated
    return replace(
        record,
        epoch=epoch,
        epoch_source=file_names.NAME_PATTERN,
        counts_from=counts_from,
    )


def _group_by_network(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records of each network, the network with the most checkpoints
    first.
    """
    keys = {}
    for record in records:
        keys[record.path] = f"{record.network} {record.classes}x{record.features}"
    sizes = Counter(keys.values())
    # A file with the same classifier as a checkpoint of a larger group is a copy of it
    # in another form.
    largest: dict[str | None, str] = {}
    for record in sorted(records, key=lambda one: -sizes[keys[one.path]]):
        largest.setdefault(record.fingerprint, keys[record.path])
    groups: dict[str, list[Record]] = {}
    for record in records:
        key = keys[record.path]
        if record.fingerprint is not None:
            key = largest[record.fingerprint]
        groups.setdefault(key, []).append(record)
    return sorted(groups.values(), key=len, reverse=True)


def _group_by_name(
    records: Sequence[Record], readings: Mapping[str, Reading], *, is_named: bool
) -> list[Training]:
    """Return the trainings of one network, by fold, averaged weights and names.

    ``is_named`` means that `--names` states the training of each file.
    """
    trainings: dict[tuple[Any, ...], Training] = {}
    dated: set[tuple[Any, ...]] = set()
    loose = []
    for record in records:
        reading = readings[record.path]
        is_dated = record.epoch is not None or record.step is not None
        if reading.is_copy:
            is_dated = reading.moment != (None, None)
        if is_named or is_dated or reading.question is not None:
            key = _key(record, reading)
            dated.add(key)
            trainings.setdefault(key, Training(reading.label)).records.append(record)
        else:
            loose.append(record)
    by_weights = {}
    for key, training in trainings.items():
        for record in training.records:
            by_weights[record.fingerprint] = key
    for record in sorted(loose, key=lambda one: readings[one.path].is_copy):
        reading = readings[record.path]
        key = own = _key(record, reading)
        similar = [one for one in dated if one[:2] == own[:2]]
        is_numbered = any(map(str.isdigit, reading.label))
        if own not in trainings:
            if record.fingerprint in by_weights:
                key = by_weights[record.fingerprint]
            elif len(similar) == 1 and not is_numbered:
                key = similar[0]
        trainings.setdefault(key, Training(reading.label)).records.append(record)
        by_weights.setdefault(record.fingerprint, key)
    for training in trainings.values():
        for record in training.records:
            question = readings[record.path].question
            training.question = training.question or question
    return list(trainings.values())


def _key(record: Record, reading: Reading) -> tuple[Any, ...]:
    """Return what distinguishes the trainings of one network."""
    is_averaged = trainers.is_averaged(record.name.replace("-", "_"))
    return record.fold, is_averaged, reading.label.lower()


def _ask_if_unrelated(
    training: Training, readings: Mapping[str, Reading], read_head: ReadHead
) -> None:
    """Ask if only plain numbers order the checkpoints of a training, and no head
    continues the one before.
    """
    ordered = deduplication.originals(training.records)
    are_plain = all(readings[record.path].is_plain for record in ordered)
    has_epochs = any(_is_settled(record) for record in ordered)
    if len(ordered) < 2 or not are_plain or has_epochs or training.question:
        return
    ordered.sort(key=lambda record: (record.epoch or 0, record.step or 0))
    # The last checkpoints of a training are the most similar ones.
    later = read_head(ordered[-1])
    for record in reversed(ordered[:-1]):
        head = read_head(record)
        if head is None or later is None or _are_related(later, head):
            return
        later = head
    name = ordered[0].name
    files = listed([record.name for record in ordered], 3)
    epochs = option_text(file_names.pattern_of(name, "epoch"))
    trainings = option_text(file_names.pattern_of(name, "run"))
    training.question = (
        f"the names do not show the epochs: the class vectors of {files} are unrelated"
        f" (80 degrees or more); {file_names.either_option(epochs, trainings)}"
    )


def _are_related(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool:
    """Return whether two heads ``(C, d)`` are more similar than heads of independent
    trainings.
    """
    classes, features = first.shape
    chance = RELATED_STANDARD_DEVIATIONS / np.sqrt(max(1, classes - 1) * features)
    threshold = min(max(MAX_UNRELATED, chance), MAX_THRESHOLD)
    return bool(_class_cosines(second, first).diagonal().mean() > threshold)


def _without_epoch_of_single(
    training: Training, readings: Mapping[str, Reading]
) -> None:
    """Remove a plain number from the only checkpoint of a training: without a second
    checkpoint, nothing shows that it is an epoch.
    """
    ordered = deduplication.originals(training.records)
    if len(ordered) != 1 or not readings[ordered[0].path].is_plain:
        return
    (record,) = ordered
    if not _is_settled(record):
        index = training.records.index(record)
        training.records[index] = replace(record, epoch=None, epoch_source=None)


def _facts_about_single(
    trainings: Sequence[Training],
    readings: Mapping[str, Reading],
    read_head: ReadHead,
) -> list[Fact]:
    """Return facts about trainings of one checkpoint each that seem to be one training:
    their contents state different epochs, and each head continues the one before.
    """
    groups: dict[Any, list[Record]] = {}
    for training in trainings:
        ordered = deduplication.originals(training.records)
        if len(ordered) == 1 and ordered[0].epoch_source == file_names.CONTENTS:
            (record,) = ordered
            fold, is_averaged, _ = _key(record, readings[record.path])
            key = record.network, record.classes, fold, is_averaged
            groups.setdefault(key, []).append(record)
    found = []
    for records in groups.values():
        records.sort(key=lambda record: record.epoch or 0)
        epochs = {record.epoch for record in records}
        if len(records) < 2 or len(epochs) < len(records):
            continue
        if not all(_is_continued(*pair, read_head) for pair in pairwise(records)):
            continue
        suffixes = {PurePosixPath(record.name).suffix for record in records}
        pattern = f"*{suffixes.pop()}" if len(suffixes) == 1 else "*"
        files = [record.name for record in records]
        option = option_text(pattern)
        found.append(fact("epochs-in-contents", files=files, option=option))
    return found


def _is_continued(before: Record, after: Record, read_head: ReadHead) -> bool:
    """Return whether the head of a checkpoint is related to that of the next one."""
    first, second = read_head(before), read_head(after)
    return first is not None and second is not None and _are_related(second, first)


def _run_names(
    folder: str,
    trainings: Sequence[Training],
    earlier: Mapping[str, str],
    *,
    has_labels: bool,
) -> list[str]:
    """Return a distinct name for each training of a folder, with its words if
    ``has_labels``.
    """
    run_names: list[str] = []
    taken: set[str] = set()
    for training in trainings:
        known = Counter(
            earlier[record.path]
            for record in training.records
            if record.path in earlier
        ).most_common(2)
        # Files that seemed to be trainings of their own, and that later files continue,
        # lose their names.
        is_tie = len(known) > 1 and known[0][1] == known[1][1]
        candidates = [] if is_tie else [name for name, _ in known[:1]]
        own = folder
        if has_labels and training.label:
            own = f"{folder}/{training.label}"
        candidates.append(own)
        stem = "run"
        if training.records:
            stem = PurePosixPath(training.records[0].name).stem
        candidates.append(f"{folder}/{stem}")
        candidates += [f"{folder}/{stem}-{n}" for n in range(2, len(trainings) + 2)]
        name = next(name for name in candidates if folder_key(name) not in taken)
        taken.add(folder_key(name))
        run_names.append(name)
    return run_names


def has_grown_from(
    wide: NDArray[np.floating[Any]], narrow: NDArray[np.floating[Any]]
) -> bool:
    """Return whether a head contains the classes of a narrower head of the same network
    as its first rows.

    Both heads, ``(C, d)`` and ``(c, d)``, lose the mean vector of the older classes,
    because all vectors of a network may share a direction. ``c`` is 2 or more, and
    smaller than ``C``.

    >>> head = np.random.default_rng(0).standard_normal((30, 16))
    >>> has_grown_from(head, head[:10]), has_grown_from(head, head[10:20])
    (True, False)
    """
    classes, features = narrow.shape
    cosines = _class_cosines(wide, narrow)
    recognised = float((cosines.argmax(axis=1) == np.arange(classes)).mean())
    deviation = 1 / np.sqrt((classes - 1) * features)
    mean = cosines.diagonal().mean()
    return recognised >= MIN_RECOGNISED and bool(
        mean >= MIN_STANDARD_DEVIATIONS * deviation
    )


def _class_cosines(
    wide: NDArray[np.floating[Any]], narrow: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return the cosines ``(c, c)`` of the first c class vectors of one head and all of
    another, both centred.
    """
    classes = len(narrow)
    old = unit_rows(centre(narrow.astype(np.float64)))
    new = unit_rows(centre(wide[:classes].astype(np.float64)))
    return new @ old.T


def join_growing(
    trainings: Sequence[Training], read_head: ReadHead, *, by_name: bool = False
) -> list[Training]:
    """Return the trainings of a folder, those of a growing head as one training.

    ``read_head`` reads the head of a checkpoint; it is called twice for each step of a
    head that may have grown. With ``by_name``, only trainings with the same words are
    joined.
    """
    joined: list[Training] = []
    by_head: dict[Any, list[Training]] = {}
    for training in trainings:
        first = training.records[0]
        key: tuple[Any, ...]
        key = first.head, first.features, first.weights_used
        if by_name:
            key += (training.label,)
        by_head.setdefault(key, []).append(training)
    for (head, *_), parts in by_head.items():
        parts.sort(key=lambda part: part.records[0].classes or 0)
        widths = {part.records[0].classes for part in parts}
        if head is None or len(widths) < len(parts):
            joined += parts
            continue
        joined.append(parts[0])
        for narrow, wide in pairwise(parts):
            if _continues(narrow, wide, read_head):
                joined[-1].records += wide.records
            else:
                joined.append(wide)
    return joined


def _continues(narrow: Training, wide: Training, read_head: ReadHead) -> bool:
    """Return whether a head has grown from that of an earlier part of its training."""
    moments = []
    for part in (narrow, wide):
        ordered = deduplication.originals(part.records)
        by = "epoch" if all(one.epoch is not None for one in ordered) else "step"
        if any(getattr(one, by) is None for one in ordered):
            return False
        ordered.sort(key=lambda one: getattr(one, by))
        moments.append((by, ordered))
    (first_by, before), (second_by, after) = moments
    last, first = before[-1], after[0]
    if first_by != second_by or getattr(last, first_by) >= getattr(first, first_by):
        return False
    old, new = read_head(last), read_head(first)
    return old is not None and new is not None and has_grown_from(new, old)
