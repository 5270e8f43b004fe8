"""The checkpoints of one run, put in order: epochs, finished epochs, duplicates.

A duplicate has the weights and the epoch of another, or those weights and no epoch of its own (``best``, ``last``): it is
skipped. Two saves within one epoch that differ are both kept, told apart by their step; the last one stands for the epoch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePath

from dsi_cli.checkpoints import epochs
from dsi_cli.checkpoints.records import FAILED, OK, SKIPPED, Record


def settle(records: Sequence[Record], *, begins_before_training: bool = False) -> list[Record]:
    """Return the records of one run with epochs, finished epochs and duplicates settled, in the order given.

    Parameters
    ----------
    records : as scanned
    begins_before_training : whether a log beside them says that epoch 0 was written before training
    """
    settled = _with_one_class_count(records)
    settled = _numbered(_without_bare_numbers(settled))
    settled = _with_completed(settled, begins_before_training)
    out = {id(record): record for record in settled}
    for epoch in {record.epoch for record in settled if record.status == OK and record.epoch is not None}:
        for record, verdict in _of_one_epoch([r for r in settled if r.status == OK and r.epoch == epoch]):
            out[id(record)] = verdict
    kept = [record for record in out.values() if record.status == OK and record.epoch is not None]
    return [_without_epoch(out[id(record)], kept) for record in settled]


def in_order(records: Iterable[Record]) -> list[Record]:
    """Return the usable records by epoch, saves within an epoch by step."""
    usable = [record for record in records if record.status == OK]
    return sorted(usable, key=lambda record: (record.epoch or 0, record.step or 0, epochs.natural(record.path)))


def stands_for_epoch(records: Sequence[Record]) -> dict[tuple[int, int | None], bool]:
    """Return, for the (epoch, step) of each usable record, whether it is the last save of its epoch."""
    last = {record.epoch: record.step for record in in_order(records)}
    return {
        (record.epoch, record.step): last[record.epoch] == record.step
        for record in in_order(records)
        if record.epoch is not None
    }


def _with_one_class_count(records: Sequence[Record]) -> list[Record]:
    counts = Counter(record.classes for record in records if record.status == OK)
    if len(counts) < 2:
        return list(records)
    usual = counts.most_common(1)[0][0]
    reason = "has {} classes, the run's other checkpoints have {}"
    return [
        replace(record, status=FAILED, reason=reason.format(record.classes or "no", usual or "none"))
        if record.status == OK and record.classes != usual
        else record
        for record in records
    ]


def _without_bare_numbers(records: Sequence[Record]) -> list[Record]:
    """Take the epoch from names like ``vit_b_16`` whose number no other file of the run varies."""
    patterns = Counter(re.sub(r"\d+", "#", _name(record)) for record in records)
    out = []
    for record in records:
        name = _name(record)
        is_series = patterns[re.sub(r"\d+", "#", name)] > 1
        bare = record.epoch_source == epochs.FILE_NAME and epochs.is_bare_number(name) and not is_series
        out.append(replace(record, epoch=None, epoch_source=None) if bare else record)
    return out


def _numbered(records: Sequence[Record]) -> list[Record]:
    """Return the checkpoints numbered by their names' order where not one of them says its epoch."""
    usable = [record for record in records if record.status == OK]
    if any(record.epoch is not None for record in usable):
        return list(records)
    own = [record for record in usable if not _is_copy(record)] or usable
    numbers = {
        record.path: number for number, record in enumerate(sorted(own, key=lambda record: epochs.natural(record.path)))
    }
    return [
        replace(record, epoch=numbers[record.path], epoch_source=epochs.ORDER)
        if record.status == OK and record.path in numbers
        else record
        for record in records
    ]


def _with_completed(records: Sequence[Record], begins_before_training: bool) -> list[Record]:
    told = {record.counts_from for record in records if record.status == OK and record.counts_from is not None}
    if begins_before_training:
        told.add(1)
    common = told.pop() if len(told) == 1 else None
    out = []
    for record in records:
        counts_from = common if record.counts_from is None and record.epoch_source != epochs.ORDER else record.counts_from
        out.append(replace(record, epochs_completed=epochs.completed(record.epoch, counts_from)))
    return out


def _of_one_epoch(group: list[Record]) -> list[tuple[Record, Record]]:
    """Return each record of an epoch with what becomes of it."""
    out: list[tuple[Record, Record]] = []
    kept: list[Record] = []
    for record in sorted(
        group, key=lambda r: (-(r.step if r.step is not None else -1), _is_copy(r), epochs.natural(r.path))
    ):
        twin = next((other for other in kept if _is_twin(other, record)), None)
        rival = next((other for other in kept if other.step == record.step or record.step is None), None)
        if twin is not None:
            record_now = replace(record, status=SKIPPED, reason=f"the same weights as {_name(twin)}")
        elif rival is not None:
            record_now = replace(
                record, status=SKIPPED, reason=f"epoch {record.epoch} again, as in {_name(rival)}, with other weights"
            )
        else:
            record_now = record
            kept.append(record)
        out.append((record, record_now))
    return out


def _without_epoch(record: Record, kept: Sequence[Record]) -> Record:
    if record.status != OK or record.epoch is not None:
        return record
    twin = next((other for other in kept if _is_twin(other, record)), None)
    reason = f"the same weights as {_name(twin)}" if twin else "neither its contents nor its name say which epoch it is"
    return replace(record, status=SKIPPED, reason=reason)


def _is_twin(one: Record, other: Record) -> bool:
    """Return whether two checkpoints have the same classifier; of those without one nothing is known."""
    return one.fingerprint is not None and one.fingerprint == other.fingerprint


def _is_copy(record: Record) -> bool:
    return bool(epochs.COPY_NAMES.search(_name(record)))


def _name(record: Record) -> str:
    return PurePath(record.path).name
