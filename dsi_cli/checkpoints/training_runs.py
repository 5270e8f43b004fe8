"""The checkpoints of one folder -> its training runs: different networks, and several trainings told apart by their names.

Two checkpoints are of different networks if the names or shapes of their layers differ. Checkpoints of one network are of several
trainings if the same epoch or step occurs under different names: ``runA_epoch_1.pt`` and ``runB_epoch_1.pt``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from dsi_cli.checkpoints import deduplication, epochs
from dsi_cli.checkpoints.discovery import TrainingRun
from dsi_cli.checkpoints.records import OK, Record


def split_training_runs(
    run: TrainingRun, records: Sequence[Record], earlier: Mapping[str, str] | None = None
) -> list[tuple[TrainingRun, list[Record]]]:
    """Return the training runs of a folder, each with its records; usually one, which keeps the folder's name.

    Of several runs, each is named after what the names of its files have in common: ``folder/runA``. Files whose names say
    nothing of a training (``epoch_3.pt``) keep the folder's name.

    Parameters
    ----------
    run : the folder's checkpoints
    records : as scanned; those of files that are gone may be among them
    earlier : the run that each path had in an earlier output, whose name it keeps
    """
    networks = _networks([record for record in records if record.status == OK])
    parts = [part for network in networks for own in _collections(network) for part in _trainings(own)] or [[]]
    _add_unusable([record for record in records if record.status != OK], parts)
    out: list[tuple[TrainingRun, list[Record]]] = []
    for name, part in zip(_names(run.name, parts, earlier or {}), parts, strict=True):
        paths = {record.path for record in part}
        places = tuple(replace(found, run=name) for found in run.checkpoints if found.shown in paths)
        ignored = 0 if out else run.ignored
        is_part = len(parts) > 1 and name != run.name
        own = replace(run, name=name, checkpoints=places, ignored=ignored, is_part=is_part)
        order = {found.shown: place for place, found in enumerate(places)}
        part.sort(key=lambda record: order.get(record.path, len(order)))
        out.append((own, [record if record.run == name else replace(record, run=name) for record in part]))
    return out


def _networks(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records of each network, the network with the most first.

    A file that has the same classifier as a checkpoint of a larger group is a copy of it in another form.
    """
    keys = [f"{record.network} {record.classes}x{record.features}" for record in records]
    sizes = Counter(keys)
    home: dict[str, str] = {}
    for key, record in sorted(zip(keys, records, strict=True), key=lambda pair: -sizes[pair[0]]):
        if record.fingerprint is not None:
            home.setdefault(record.fingerprint, key)
    found: dict[str, list[Record]] = {}
    for key, record in zip(keys, records, strict=True):
        found.setdefault(home.get(record.fingerprint or "", key), []).append(record)
    return sorted(found.values(), key=len, reverse=True)


def _collections(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records of each file that holds several epochs, which is a run, and those of all other files together."""
    found: dict[str | None, list[Record]] = {}
    for record in records:
        found.setdefault(None if record.entry is None else deduplication.file_of(record), []).append(record)
    return list(found.values())


def _trainings(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records of each training of one network."""
    named = deduplication.with_names(records)
    copies = [deduplication.is_copy(record) for record in records]
    originals = [place for place, is_copy in enumerate(copies) if not is_copy or all(copies)]
    moments = {(named[place].epoch, named[place].step) for place in originals}
    if len(moments) == len(originals) and (None, None) not in moments:
        return [list(records)]
    names = [deduplication.name_of(record) for record in records]
    numbers = epochs.numbers_in_names(names)
    labels = [epochs.training_in_name(name, number) for name, number in zip(names, numbers, strict=True)]
    if not _is_of_several(named, names, labels, originals) and not (all(copies) and len(set(labels)) > 1):
        return [list(records)]
    training = {records[place].fingerprint: labels[place] for place in originals}
    found: dict[str, list[Record]] = {}
    for place, record in enumerate(records):
        is_copy = place not in originals and labels[place] not in {labels[one] for one in originals}
        label = training.get(record.fingerprint, labels[place]) if is_copy else labels[place]
        found.setdefault(label, []).append(record)
    return list(found.values())


def _is_of_several(named: Sequence[Record], names: Sequence[str], labels: Sequence[str], originals: Sequence[int]) -> bool:
    """Return whether one epoch or step has different weights under names that differ in more than numbers and scores."""
    met: dict[tuple[int | None, int | None], tuple[str, str | None]] = {}
    if sum(epochs.names_a_training(names[place]) and named[place].epoch is None for place in originals) > 1:
        return len({labels[place] for place in originals}) > 1
    for place in originals:
        record, label = named[place], labels[place]
        when = (record.epoch, record.step)
        if when == (None, None):
            when = (epochs.last_number(names[place]), None)
            label = label.removesuffix(str(when[0])).rstrip("_")
        if when == (None, None):
            continue
        other_label, other_print = met.setdefault(when, (label, record.fingerprint))
        if other_label != label and other_print != record.fingerprint:
            return True
    return False


def _add_unusable(records: Iterable[Record], parts: list[list[Record]]) -> None:
    """Add each record that cannot be used to the training that its name fits; else to the largest one."""
    if len(parts) == 1:
        parts[0] += records
        return
    labels = [_label(part) for part in parts]
    for record in records:
        fitting = [part for part, label in zip(parts, labels, strict=True) if label == _label([record])]
        (fitting or parts)[0].append(record)


def _label(part: Sequence[Record]) -> str:
    """Return what the names of a training's files say of it, empty if they say nothing, or different things."""
    names = [deduplication.name_of(record) for record in part]
    numbers = epochs.numbers_in_names(names)
    labels = {
        epochs.training_in_name(name, number)
        for name, number, record in zip(names, numbers, part, strict=True)
        if not deduplication.is_copy(record) or len(part) == 1
    }
    return labels.pop() if len(labels) == 1 else ""


def _names(folder: str, parts: Sequence[Sequence[Record]], earlier: Mapping[str, str]) -> list[str]:
    """Return a name for each training of a folder; all differ."""
    names: list[str] = []
    for part in parts:
        known = Counter(earlier[record.path] for record in part if record.path in earlier).most_common(1)
        label = _label(part) if len(parts) > 1 else ""
        stem = PurePath(deduplication.name_of(part[0])).stem if part else ""
        wanted = [known[0][0]] if known else []
        wanted += [f"{folder}/{label}" if label else folder, f"{folder}/{stem}"]
        wanted += [f"{folder}/{stem}-{number}" for number in range(2, len(parts) + 2)]
        names.append(next(name for name in wanted if name not in names))
    return names
