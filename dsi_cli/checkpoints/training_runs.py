"""Split the checkpoints of one folder into training runs, by the network and by the names of the files.

Two checkpoints belong to different networks if the names or shapes of their layers differ, unless only the head has grown.
Checkpoints of one network belong to several trainings if the same epoch or step occurs under different names:
``runA_epoch_1.pt`` and ``runB_epoch_1.pt``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from dsi_cli.checkpoints import deduplication, epochs, growing_heads
from dsi_cli.checkpoints.discovery import TrainingRun
from dsi_cli.checkpoints.growing_heads import ReadHead
from dsi_cli.checkpoints.records import OK, Record


def split_training_runs(
    run: TrainingRun,
    records: Sequence[Record],
    earlier: Mapping[str, str] | None = None,
    read_head: ReadHead = lambda _: None,
) -> list[tuple[TrainingRun, list[Record]]]:
    """Return the training runs of a folder with their records; usually one, which keeps the folder's name.

    If there are several, each is named after the common part of its files' names: ``folder/runA``. Files whose names do not
    identify a training (``epoch_3.pt``) keep the folder's name.

    Parameters
    ----------
    run : the folder's checkpoints
    records : the records as scanned, which may include deleted files
    earlier : ``{path: run name}`` of an earlier output; these runs keep their names
    read_head : reads the head of a checkpoint, to recognise a head that grows (`dsi_cli.checkpoints.growing_heads`)
    """
    parts: list[list[Record]] = []
    for network in _group_by_network([record for record in records if record.status == OK]):
        # Each file that holds several epochs is a run, and all other files are grouped by name.
        groups: dict[str | None, list[Record]] = {}
        for record in network:
            groups.setdefault(None if record.entry is None else deduplication.file_path(record), []).append(record)
        for group in groups.values():
            parts += _group_by_training(group)
    parts = sorted(growing_heads.join_growing(parts, read_head), key=len, reverse=True) or [[]]
    _add_unusable([record for record in records if record.status != OK], parts)
    runs: list[tuple[TrainingRun, list[Record]]] = []
    for name, part in zip(_run_names(run.name, parts, earlier or {}), parts, strict=True):
        paths = {record.path for record in part}
        files = tuple(replace(file, run=name) for file in run.checkpoints if file.display_path in paths)
        # The first run reports the other files of the folder.
        ignored = 0 if runs else run.ignored
        is_part = len(parts) > 1 and name != run.name
        order = {file.display_path: index for index, file in enumerate(files)}
        part.sort(key=lambda record: order.get(record.path, len(order)))
        renamed = [record if record.run == name else replace(record, run=name) for record in part]
        runs.append((replace(run, name=name, checkpoints=files, ignored=ignored, is_part=is_part), renamed))
    return runs


def _group_by_network(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records of each network, the network with the most checkpoints first.

    A file with the same classifier as a checkpoint of a larger group is a copy of it in another form.
    """
    keys = [f"{record.network} {record.classes}x{record.features}" for record in records]
    sizes = Counter(keys)
    largest_group: dict[str, str] = {}
    for key, record in sorted(zip(keys, records, strict=True), key=lambda pair: -sizes[pair[0]]):
        if record.fingerprint is not None:
            largest_group.setdefault(record.fingerprint, key)
    groups: dict[str, list[Record]] = {}
    for key, record in zip(keys, records, strict=True):
        groups.setdefault(largest_group.get(record.fingerprint or "", key), []).append(record)
    return sorted(groups.values(), key=len, reverse=True)


def _group_by_training(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records of each training of one network."""
    dated = deduplication.with_numbers_from_names(records)
    copies = [deduplication.is_copy(record) for record in records]
    originals = [index for index, is_copy in enumerate(copies) if not is_copy or all(copies)]
    # One training if each original has its own epoch or step.
    moments = {(dated[index].epoch, dated[index].step) for index in originals}
    if len(moments) == len(originals) and (None, None) not in moments:
        return [list(records)]
    names = [deduplication.epoch_name(record) for record in records]
    numbers = epochs.numbers_in_names(names)
    labels = [epochs.training_in_name(name, number) for name, number in zip(names, numbers, strict=True)]
    if not _has_several_trainings(dated, names, labels, originals) and not (all(copies) and len(set(labels)) > 1):
        return [list(records)]
    # A copy whose name fits no original belongs to the training of the original with the same weights.
    label_by_weights = {records[index].fingerprint: labels[index] for index in originals}
    original_labels = {labels[index] for index in originals}
    trainings: dict[str, list[Record]] = {}
    for index, record in enumerate(records):
        label = labels[index]
        if index not in originals and label not in original_labels:
            label = label_by_weights.get(record.fingerprint, label)
        trainings.setdefault(label, []).append(record)
    return list(trainings.values())


def _has_several_trainings(
    dated: Sequence[Record], names: Sequence[str], labels: Sequence[str], originals: Sequence[int]
) -> bool:
    """Return whether an epoch or step has different weights under names that differ in more than numbers and scores."""
    if sum(epochs.has_training_number(names[index]) and dated[index].epoch is None for index in originals) > 1:
        return len({labels[index] for index in originals}) > 1
    first_seen: dict[tuple[int | None, int | None], tuple[str, str | None]] = {}
    for index in originals:
        record, label = dated[index], labels[index]
        moment = (record.epoch, record.step)
        if moment == (None, None):
            # A number at the end of the name may be the epoch.
            moment = (epochs.last_number(names[index]), None)
            label = label.removesuffix(str(moment[0])).rstrip("_")
        if moment == (None, None):
            continue
        other_label, other_fingerprint = first_seen.setdefault(moment, (label, record.fingerprint))
        if other_label != label and other_fingerprint != record.fingerprint:
            return True
    return False


def _add_unusable(records: Sequence[Record], parts: list[list[Record]]) -> None:
    """Add each record that cannot be used to the training whose label its name has, or else to the largest training."""
    if len(parts) == 1:
        parts[0] += records
        return
    labels = [_common_label(part) for part in parts]
    for record in records:
        fitting = [part for part, label in zip(parts, labels, strict=True) if label == _common_label([record])]
        (fitting or parts)[0].append(record)


def _common_label(part: Sequence[Record]) -> str:
    """Return the common label in the names of a training's files, or an empty text if they have none or several."""
    names = [deduplication.epoch_name(record) for record in part]
    numbers = epochs.numbers_in_names(names)
    labels = {
        epochs.training_in_name(name, number)
        for name, number, record in zip(names, numbers, part, strict=True)
        if not deduplication.is_copy(record) or len(part) == 1
    }
    return labels.pop() if len(labels) == 1 else ""


def _run_names(folder: str, parts: Sequence[Sequence[Record]], earlier: Mapping[str, str]) -> list[str]:
    """Return a distinct name for each training of a folder."""
    names: list[str] = []
    for part in parts:
        known = Counter(earlier[record.path] for record in part if record.path in earlier).most_common(1)
        label = _common_label(part) if len(parts) > 1 else ""
        stem = PurePath(deduplication.epoch_name(part[0])).stem if part else ""
        candidates = [known[0][0]] if known else []
        candidates += [f"{folder}/{label}" if label else folder, f"{folder}/{stem}"]
        candidates += [f"{folder}/{stem}-{number}" for number in range(2, len(parts) + 2)]
        names.append(next(name for name in candidates if name not in names))
    return names
