"""Split the checkpoints of one folder into training runs, by the network and by the
names of the files.

Two checkpoints belong to different networks if the names or shapes of their layers
differ, unless only the head has grown. Checkpoints of one network belong to several
trainings if the same epoch or step occurs under different names: ``runA_epoch_1.pt``
and ``runB_epoch_1.pt``. Folds, seeds and averaged weights (``ema_epoch_2.pt``) are
always apart, and so are files that are all the best or last ones of trainings with
different names (``art_best.pt``, ``photo_best.pt``), and files whose names have no
number at all (``sgd.pt``, ``adam.pt``).

Numbers without a word for epoch or step (``m_1.pt``, ``m_2.pt``), and names alone, give
epochs only if the class vectors of two successive checkpoints are related. If all are
unrelated, each file is a training of its own: a fold, a seed, a client, a width.

Checkpoints whose head grows (a class-incremental training with 10, 20, ... classes) are
one training only if all of this holds:

- the heads have the same name and the same number of features,
- the number of classes does not fall with the epoch (or the step), and each width
  belongs to one training,
- the class vectors of the older classes are still recognisable after the head has grown
  (`has_grown_from`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import deduplication, epochs, trainers
from dsi_cli.checkpoints.discovery import TrainingRun
from dsi_cli.checkpoints.records import OK, Record
from dsi_cli.similarity import centre, unit_rows
from dsi_cli.store.layout import folder_key

ReadHead = Callable[[Record], "NDArray[np.float32] | None"]
"""Returns the weight ``(C, d)`` of a checkpoint's head, or None if it cannot be read.
"""

_METRICS = frozenset(
    {"acc", "accuracy", "loss", "val", "valid", "validation", "test", "train", "f1"}
    | {"auc", "auroc", "map", "score", "err", "error", "metric", "top1", "precision"}
    | {"recall", "kappa", "macro", "micro", "balanced", "weighted", "mean", "overall"}
)
"""Words in the names of the best checkpoints of one training: ``best_acc.pt``,
``best_loss.pt``.
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
MIN_CONTINUED = 0.8
"""The minimum mean cosine of the class vectors of two checkpoints of one training,
except for the first two.
"""


def split_training_runs(
    run: TrainingRun,
    records: Sequence[Record],
    earlier: Mapping[str, str] | None = None,
    read_head: ReadHead = lambda _: None,
) -> list[tuple[TrainingRun, list[Record]]]:
    """Return the training runs of a folder with their records; usually one, which keeps
    the folder's name.

    If there are several, each is named after the common part of its files' names:
    ``folder/runA``. Files whose names do not identify a training (``epoch_3.pt``) keep
    the folder's name.

    Parameters
    ----------
    run : the folder's checkpoints.
    records : the records as scanned, which may include deleted files.
    earlier : ``{path: run name}`` of an earlier output; these runs keep their names.
    read_head : reads the head of a checkpoint, to recognise a head that grows
        (`dsi_cli.checkpoints.training_runs`).
    """
    records = deduplication.with_folder_names(records)
    trainings: list[list[Record]] = []
    numbered_apart: set[str] = set()
    for group in _groups_by_contents(
        [record for record in records if record.status == OK], read_head
    ):
        for training in _group_by_label(group):
            parts = _separate_unrelated(training, read_head)
            trainings += parts
            if len(parts) > 1:
                numbered_apart |= {record.path for record in training}
    parts = sorted(join_growing(trainings, read_head), key=len, reverse=True) or [[]]
    _add_unusable([record for record in records if record.status != OK], parts)
    runs: list[tuple[TrainingRun, list[Record]]] = []
    for name, part in zip(
        _run_names(run.name, parts, earlier or {}), parts, strict=True
    ):
        paths = {record.path for record in part}
        files = tuple(
            replace(file, run=name)
            for file in run.checkpoints
            if file.display_path in paths
        )
        # The first run reports the other files of the folder.
        ignored = 0 if runs else run.ignored
        is_part = len(parts) > 1 and name != run.name
        order = {file.display_path: index for index, file in enumerate(files)}
        part.sort(key=lambda record: order.get(record.path, len(order)))
        renamed = [replace(record, run=name) for record in part]
        is_apart = not numbered_apart.isdisjoint(paths)
        named = replace(
            run,
            name=name,
            checkpoints=files,
            ignored=ignored,
            is_part=is_part,
            is_numbered_apart=is_apart,
        )
        runs.append((named, renamed))
    return runs


def _groups_by_contents(
    records: Sequence[Record], read_head: ReadHead
) -> Iterator[list[Record]]:
    """Yield the records of each network, file with several epochs, fold or seed."""
    for network in _group_by_network(records):
        # Each file that holds several epochs is a run, and all other files are grouped
        # by name.
        groups: dict[str | None, list[Record]] = {}
        for record in network:
            groups.setdefault(
                None if record.entry is None else deduplication.file_path(record), []
            ).append(record)
        for group in groups.values():
            yield from _group_by_kind(group, read_head)


def _group_by_network(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records of each network, the network with the most checkpoints
    first.
    """
    # A file with the same classifier as a checkpoint of a larger group is a copy of it
    # in another form.
    keys = [
        f"{record.network} {record.classes}x{record.features}" for record in records
    ]
    sizes = Counter(keys)
    largest_group: dict[str, str] = {}
    for key, record in sorted(
        zip(keys, records, strict=True), key=lambda pair: -sizes[pair[0]]
    ):
        if record.fingerprint is not None:
            largest_group.setdefault(record.fingerprint, key)
    groups: dict[str, list[Record]] = {}
    for key, record in zip(keys, records, strict=True):
        groups.setdefault(largest_group.get(record.fingerprint or "", key), []).append(
            record
        )
    return sorted(groups.values(), key=len, reverse=True)


def _group_by_kind(
    records: Sequence[Record], read_head: ReadHead
) -> list[list[Record]]:
    """Return the records of each fold or seed that the names state, and of averaged
    weights, whatever their epochs are.
    """
    numbers = _numbers_by_contents(records, read_head) | _stated_numbers(records)
    kinds = {}
    for record in records:
        name = re.sub(r"[\W_]+", "_", deduplication.training_name(record))
        kinds[record.path] = (
            record.fold or numbers.get(record.path, ""),
            trainers.is_averaged(name),
        )
    # best.pt and checkpoint.pt belong to the file with the same weights, or else to the
    # only kind of other files.
    originals = [record for record in records if not deduplication.is_secondary(record)]
    originals = originals or [
        record for record in records if deduplication.parsed(record).epoch is not None
    ]
    kind_by_weights = {record.fingerprint: kinds[record.path] for record in originals}
    only_kind = {kinds[record.path] for record in originals}
    groups: dict[tuple[str, bool], list[Record]] = {}
    for record in records:
        kind = kinds[record.path]
        if deduplication.is_secondary(record):
            kind = kind_by_weights.get(record.fingerprint, kind)
            if kind == ("", False) and len(only_kind) == 1:
                (kind,) = only_kind
        groups.setdefault(kind, []).append(record)
    return list(groups.values())


def _stated_numbers(records: Sequence[Record]) -> dict[str, str]:
    """Return the folds, seeds and the like in the names, by path, unless the contents
    state them as epochs: ``my_run_10.pt``.
    """
    stated = {
        record.path: epochs.parse(deduplication.training_name(record)).training
        for record in records
    }
    numbers = {
        path: int(re.sub(r"\D", "", name)) for path, name in stated.items() if name
    }
    found = [
        record
        for record in records
        if record.path in numbers and record.epoch_source == epochs.CONTENTS
    ]
    gaps = {(record.epoch or 0) - numbers[record.path] for record in found}
    return (
        {}
        if len(set(numbers.values())) > 1 and gaps in ({0}, {1})
        else {path: stated[path] for path in numbers}
    )


def _numbers_by_contents(
    records: Sequence[Record], read_head: ReadHead
) -> dict[str, str]:
    """Return the numbers in the names of files or folders, by path, that number
    trainings and not epochs.

    They begin with 0 or 1, or name folders, and the epochs in the contents do not rise
    with them.

    ``best_0.pt`` of epoch 7 and ``best_1.pt`` of epoch 4 are the best files of two
    folds. But if each head is almost the one of the epoch before, the numbers are ranks
    or slots of one training.
    """
    names = list(map(deduplication.epoch_name, records))
    found: list[tuple[int, Record]] = []
    for record, name, (number, _) in zip(
        records, names, epochs.numbers_in_names(names), strict=True
    ):
        if (
            number is not None
            and epochs.parse(name).epoch is None
            and record.epoch_source == epochs.CONTENTS
        ):
            found.append((number, record))
    found.sort(key=lambda pair: pair[0])
    by_epoch = sorted(found, key=lambda pair: pair[1].epoch or 0)
    stated = [record.epoch for _, record in found]
    are_folders = all(map(str.isdecimal, names))
    # One epoch in all of them is the length of the training, and says nothing about the
    # numbers.
    if not are_folders and len(set(stated)) == 1 < len(stated):
        return {}
    may_be = epochs.may_number_trainings([number for number, _ in found]) or are_folders
    if not may_be or (
        by_epoch == found and not (are_folders and len(set(stated)) < len(found))
    ):
        return {}
    are_continued = _are_continued([read_head(record) for _, record in by_epoch])
    return (
        {} if are_continued else {record.path: str(number) for number, record in found}
    )


def _are_continued(heads: Sequence[NDArray[np.float32] | None]) -> bool:
    """Return whether each head is almost the one before; the first pair of several may
    differ, because training begins with it.
    """
    pairs = [
        (new, old)
        for old, new in pairwise(heads)
        if old is not None and new is not None
    ]
    cosines = [_class_cosines(*pair).diagonal().mean() for pair in pairs]
    return len(pairs) == len(heads) - 1 and all(
        cosine >= MIN_CONTINUED for cosine in cosines[1:] or cosines
    )


def _separate_unrelated(
    records: Sequence[Record], read_head: ReadHead
) -> list[list[Record]]:
    """Return the records of each training if only numbers or names order its files, and
    no head continues the one before.

    A copy (``best.pt``) goes to the file with the same weights.
    """
    dated = deduplication.with_numbers_from_names(records)
    ordered = deduplication.originals(dated)
    paths = {record.path for record in ordered}
    pairs = zip(records, dated, strict=True)
    are_stated = any(
        deduplication.has_stated_moment(*pair)
        for pair in pairs
        if pair[0].path in paths
    )
    if len(ordered) < 2 or are_stated:
        return [list(records)]
    keys = epochs.order_keys([record.path for record in ordered])
    ordered.sort(
        key=lambda record: (record.epoch or 0, record.step or 0, keys[record.path])
    )
    # The last checkpoints of a training are the most similar ones.
    later = read_head(ordered[-1])
    for record in reversed(ordered[:-1]):
        head = read_head(record)
        if head is None or later is None or _are_related(later, head):
            return [list(records)]
        later = head
    trainings: dict[str, list[Record]] = {record.path: [] for record in ordered}
    path_by_weights = {record.fingerprint: record.path for record in ordered}
    for record in records:
        path = (
            record.path
            if record.path in trainings
            else path_by_weights.get(record.fingerprint, ordered[-1].path)
        )
        trainings[path].append(record)
    return list(trainings.values())


def _are_related(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool:
    """Return whether two heads ``(C, d)`` are more similar than heads of independent
    trainings.
    """
    classes, features = first.shape
    chance = RELATED_STANDARD_DEVIATIONS / np.sqrt(max(1, classes - 1) * features)
    return bool(
        _class_cosines(second, first).diagonal().mean()
        > min(max(MAX_UNRELATED, chance), MIN_CONTINUED)
    )


def _group_by_label(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records of each training, by the words in their names if these occur
    with the same epochs or steps.
    """
    dated, labels = deduplication.with_numbers_from_names(records), _labels(records)
    are_copies = all(map(deduplication.is_copy, records))
    paths = {record.path for record in deduplication.originals(records)}
    originals = [index for index, record in enumerate(records) if record.path in paths]
    moments = {(dated[index].epoch, dated[index].step) for index in originals}
    if len(moments) == len(originals) and (None, None) not in moments:
        # One training has an epoch or step for each original, but the best checkpoints
        # of a training also have the same words.
        labels = [_without(label, str.isdecimal) for label in labels]
        is_apart = are_copies and "" not in labels and len(set(labels)) > 1
    else:
        is_apart = _has_several_trainings(dated, labels, originals) or (
            are_copies and len(set(labels)) > 1
        )
    if not is_apart:
        return [list(records)]
    labels = _without_epochs(labels, dated, originals)
    # A copy whose name fits no original belongs to the training of the original with
    # the same weights.
    label_by_weights = {
        records[index].fingerprint: labels[index] for index in originals
    }
    original_labels = {labels[index] for index in originals}
    trainings: dict[str, list[Record]] = {}
    for index, record in enumerate(records):
        label = labels[index]
        if index not in originals and label not in original_labels:
            label = label_by_weights.get(record.fingerprint, label)
        trainings.setdefault(label, []).append(record)
    return list(trainings.values())


def _labels(records: Sequence[Record]) -> list[str]:
    """Return the words and numbers in the name of each record that identify its
    training.
    """
    names = list(map(deduplication.training_name, records))
    numbers = epochs.numbers_in_names(
        [deduplication.epoch_name(record) for record in records]
    )
    labels = [
        epochs.training_in_name(name, number)
        for name, number in zip(names, numbers, strict=True)
    ]
    if all(map(deduplication.is_copy, records)):
        return [
            _without(label, lambda word: word.lower() in _METRICS) for label in labels
        ]
    return labels


def _without_epochs(
    labels: Sequence[str], dated: Sequence[Record], originals: Sequence[int]
) -> list[str]:
    """Return the labels without a number at their end if it counts the epochs:
    ``stage1_01``, ``stage1_02``, ``stage2_01``.

    The contents state it (or the next one) as the epoch, or state no epoch.
    """
    gaps = set()
    for index in originals:
        label, _, number = labels[index].rpartition("_")
        if not label or not number.isdecimal() or len(number) > epochs.MAX_DIGITS:
            return list(labels)
        epoch = dated[index].epoch
        gaps.add(None if epoch is None else epoch - int(number))
    if gaps not in ({0}, {1}, {-1}, {None}):
        return list(labels)
    return [
        label.rpartition("_")[0] if index in originals else label
        for index, label in enumerate(labels)
    ]


def _without(label: str, is_left_out: Callable[[str], bool]) -> str:
    """Return a label without some of its words."""
    return "_".join(word for word in label.split("_") if not is_left_out(word))


def _has_several_trainings(
    dated: Sequence[Record], labels: Sequence[str], originals: Sequence[int]
) -> bool:
    """Return whether an epoch or step has different weights under names that differ in
    more than numbers and scores.
    """
    undated = [
        index
        for index in originals
        if dated[index].epoch is None and deduplication.parsed(dated[index]).training
    ]
    if len(undated) > 1:
        return len({labels[index] for index in originals}) > 1
    seen: dict[tuple[int | None, int | None], list[tuple[str, str | None]]] = {}
    for index in originals:
        record, label = dated[index], labels[index]
        moment = record.epoch, record.step
        if moment == (None, None):
            # A number at the end of the name may be the epoch.
            moment = deduplication.parsed(record).last_number, None
            label = label.removesuffix(str(moment[0])).rstrip("_")
        seen.setdefault(moment, []).append((label, record.fingerprint))
    # Words without a number name networks, not moments, but single letters have an
    # order.
    if set(seen) == {(None, None)}:
        return len({label for label, _ in seen[None, None]}) > 1 and any(
            len(label) > 1 for label, _ in seen[None, None]
        )
    seen.pop((None, None), None)
    return any(
        label != first[0] and weights != first[1]
        for first, *others in seen.values()
        for label, weights in others
    )


def _add_unusable(records: Sequence[Record], parts: list[list[Record]]) -> None:
    """Add each record that cannot be used to the training whose label its name has, or
    else to the largest training.
    """
    labels = [_common_label(part) for part in parts]
    for record in records:
        fitting = [
            part
            for part, label in zip(parts, labels, strict=True)
            if label == _common_label([record])
        ]
        (fitting or parts)[0].append(record)


def _common_label(part: Sequence[Record]) -> str:
    """Return the common label in the names of a training's files, or an empty text if
    they have none or several.
    """
    are_copies = list(map(deduplication.is_copy, part))
    labels = {
        label
        for label, is_copy in zip(_labels(part), are_copies, strict=True)
        if not is_copy or all(are_copies)
    }
    return labels.pop() if len(labels) == 1 else ""


def _run_names(
    folder: str, parts: Sequence[Sequence[Record]], earlier: Mapping[str, str]
) -> list[str]:
    """Return a distinct name for each training of a folder."""
    names: list[str] = []
    labels = [_common_label(part) if len(parts) > 1 else "" for part in parts]
    for part, label in zip(parts, labels, strict=True):
        known = Counter(
            earlier[record.path] for record in part if record.path in earlier
        ).most_common(2)
        # Files that seemed to be trainings of their own, and that later files continue,
        # lose their names.
        if len(known) > 1 and known[0][1] == known[1][1]:
            known = []
        stem = PurePath(deduplication.epoch_name(part[0])).stem if part else ""
        # Nothing shows which of several single files without a label is that of the
        # folder.
        own = (
            [f"{folder}/{label}" if label else folder]
            if label or len(part) != 1 or labels.count(label) == 1
            else []
        )
        numbered = [f"{folder}/{stem}-{number}" for number in range(2, len(parts) + 2)]
        candidates = [
            *(name for name, _ in known[:1]),
            *own,
            f"{folder}/{stem}",
            *numbered,
        ]
        taken = set(map(folder_key, names))
        names.append(next(name for name in candidates if folder_key(name) not in taken))
    return names


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
    count, features = narrow.shape
    cosines = _class_cosines(wide, narrow)
    recognised = float((cosines.argmax(axis=1) == np.arange(count)).mean())
    deviation = 1 / np.sqrt((count - 1) * features)
    return recognised >= MIN_RECOGNISED and bool(
        cosines.diagonal().mean() >= MIN_STANDARD_DEVIATIONS * deviation
    )


def _class_cosines(
    wide: NDArray[np.floating[Any]], narrow: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return the cosines ``(c, c)`` of the first c class vectors of one head and all of
    another, both centred.
    """
    old, new = (
        unit_rows(centre(rows[: len(narrow)].astype(np.float64)))
        for rows in (narrow, wide)
    )
    return new @ old.T


def join_growing(
    trainings: Sequence[list[Record]], read_head: ReadHead
) -> list[list[Record]]:
    """Return the records of each training of a folder, those of a growing head as one
    training.

    ``read_head`` reads the head of a checkpoint; it is called twice for each step of a
    head that may have grown.
    """
    joined: list[list[Record]] = []
    by_head: dict[tuple[str | None, int | None, str | None], list[list[Record]]] = {}
    for training in trainings:
        first = training[0]
        by_head.setdefault((first.head, first.features, first.weights_used), []).append(
            training
        )
    for (head, _, _), parts in by_head.items():
        widths = [part[0].classes or 0 for part in parts]
        moments = _moments([record for part in parts for record in part])
        if head is None or moments is None or len(set(widths)) < len(widths):
            joined += parts
            continue
        parts = [parts[index] for index in np.argsort(widths)]
        joined.append(parts[0])
        for narrow, wide in pairwise(parts):
            last = max(
                deduplication.originals(narrow), key=lambda record: moments[record.path]
            )
            first = min(
                deduplication.originals(wide), key=lambda record: moments[record.path]
            )
            old, new = (
                (read_head(last), read_head(first))
                if moments[last.path] < moments[first.path]
                else (None, None)
            )
            if old is not None and new is not None and has_grown_from(new, old):
                joined[-1] = joined[-1] + wide
            else:
                joined.append(wide)
    return joined


def _moments(records: Sequence[Record]) -> dict[str, int] | None:
    """Return the epoch of each checkpoint, or else its step, by path; None if some have
    neither.
    """
    dated = deduplication.with_numbers_from_names(records)
    originals = [record for record in dated if not deduplication.is_copy(record)]
    for name in ("epoch", "step"):
        if originals and all(getattr(record, name) is not None for record in originals):
            return {record.path: getattr(record, name) or 0 for record in dated}
    return None
