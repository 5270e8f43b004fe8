"""The checkpoints of one run, put in order: epochs, finished epochs, duplicates.

A duplicate has the weights and the epoch of another, or those weights and no epoch of its own (``best``, ``last``): it is
skipped. Two saves within one epoch that differ are both kept, told apart by their step; the last one stands for the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from dsi_cli.checkpoints import epochs, trainers
from dsi_cli.checkpoints.records import FAILED, OK, SKIPPED, Record


def resolve_duplicates(records: Sequence[Record], *, begins_before_training: bool = False) -> list[Record]:
    """Return the records of one run with epochs, finished epochs and duplicates settled, in the order given.

    Parameters
    ----------
    records : as scanned
    begins_before_training : whether a log beside them says that epoch 0 was written before training
    """
    settled = _without_copies(_numbered(with_names(records)))
    settled = _with_completed(settled, begins_before_training)
    out = {id(record): record for record in settled}
    for epoch in {record.epoch for record in settled if record.status == OK and record.epoch is not None}:
        for record, verdict in _of_one_epoch([r for r in settled if r.status == OK and r.epoch == epoch]):
            out[id(record)] = verdict
    kept = [record for record in out.values() if record.status == OK and record.epoch is not None]
    only = None if kept else _only(settled)
    return [_without_epoch(out[id(record)], kept) if record is not only else record for record in settled]


def sort_by_epoch(records: Iterable[Record]) -> list[Record]:
    """Return the usable records by epoch, saves within an epoch by step."""
    usable = [record for record in records if record.status == OK]
    return sorted(usable, key=lambda record: (record.epoch or 0, record.step or 0, epochs.natural_key(record.path)))


def stands_for_epoch(records: Sequence[Record]) -> dict[tuple[int | None, int | None], bool]:
    """Return, for the (epoch, step) of each usable record, whether it is the last save of its epoch."""
    last = {record.epoch: record.step for record in sort_by_epoch(records)}
    return {(record.epoch, record.step): last[record.epoch] == record.step for record in sort_by_epoch(records)}


def with_names(records: Sequence[Record]) -> list[Record]:
    """Return the records with the epochs and steps that the names of a run's files state together.

    An epoch in the contents wins over one in a name, and so does what a Hugging Face folder says of itself.
    """
    told = epochs.numbers_in_names([name_of(record) for record in records])
    out = []
    for record, (epoch, step) in zip(records, told, strict=True):
        if record.epoch_source in (epochs.CONTENTS, epochs.ORDER) or record.trainer == trainers.HUGGING_FACE:
            out.append(record)
            continue
        source = None if epoch is None else record.epoch_source or epochs.FILE_NAME
        step = record.step if record.step is not None else step
        out.append(replace(record, epoch=epoch, epoch_source=source, step=step))
    return out


def name_of(record: Record) -> str:
    """Return the name that says the epoch: that of the file, or of its folder if that is the one with a number."""
    path = PurePath(file_of(record))
    in_folder = record.epoch_source == epochs.FOLDER_NAME and not any(map(str.isdigit, path.stem))
    return path.parent.name if in_folder else path.name


def file_of(record: Record) -> str:
    """Return the path of a record's file, which may hold several epochs."""
    return record.path if record.entry is None else record.path.removesuffix(f"[{record.entry}]")


def is_copy(record: Record) -> bool:
    """Return whether a file's name is that of a copy: ``best.pt``, ``last.ckpt``."""
    return bool(epochs.COPY_NAMES.search(_name(record)))


def _numbered(records: Sequence[Record]) -> list[Record]:
    """Return the checkpoints numbered from 1, by their steps or their names' order, if not one of them says its epoch.

    A single checkpoint is not numbered: it has no epoch.
    """
    own = _originals(records)
    if len(own) < 2 or any(record.epoch is not None for record in records if record.status == OK):
        return list(records)
    have_steps = all(record.step is not None for record in own)
    ordered = sorted(own, key=lambda record: ((record.step or 0) if have_steps else 0, epochs.natural_key(record.path)))
    numbers = {record.path: number for number, record in enumerate(ordered, start=1)}
    return [
        replace(record, epoch=numbers[record.path], epoch_source=epochs.ORDER)
        if record.status == OK and record.path in numbers
        else record
        for record in records
    ]


def _without_copies(records: Sequence[Record]) -> list[Record]:
    """Return the records with a copy (``best.pt``) skipped that has the weights of a file whose epoch its name says.

    The copy's own epoch, in its contents, may count from another number than the names do.
    """
    numbered: dict[str, Record] = {}
    for record in records:
        if record.status == OK and record.epoch_source == epochs.FILE_NAME and record.fingerprint is not None:
            numbered.setdefault(record.fingerprint, record)
    out = []
    for record in records:
        twin = numbered.get(record.fingerprint or "")
        is_its_copy = twin is not None and record.epoch_source == epochs.CONTENTS and is_copy(record)
        if record.status == OK and twin is not None and is_its_copy:
            out.append(replace(record, status=SKIPPED, reason=f"the same weights as {_name(twin)}"))
        else:
            out.append(record)
    return out


def _with_completed(records: Sequence[Record], begins_before_training: bool) -> list[Record]:
    told = {record.counts_from for record in records if record.status == OK and record.counts_from is not None}
    if begins_before_training:
        told.add(1)
    common = told.pop() if len(told) == 1 else None
    out = []
    for record in records:
        counts_from = common if record.counts_from is None else record.counts_from
        if record.epoch_source == epochs.ORDER:  # a place in an order is no number of the trainer's
            counts_from = None
        out.append(replace(record, epochs_completed=epochs.epochs_completed(record.epoch, counts_from)))
    return out


def _of_one_epoch(group: list[Record]) -> list[tuple[Record, Record]]:
    """Return each record of an epoch with what becomes of it.

    A file whose name has a number comes before one without (``checkpoint.pt``) and before a copy by its name (``best.pt``), and
    files with a step come before one without. Else, files of the same epoch with other weights are of several trainings, and
    nothing says of which: none of them is used.
    """
    out: list[tuple[Record, Record]] = []
    kept: list[Record] = []
    clashing: dict[int, Record] = {}
    for record in sorted(group, key=_precedence):
        twin = next((other for other in kept if _is_twin(other, record)), None)
        rival = next((other for other in kept if other.step == record.step or record.step is None), None)
        if twin is not None:
            out.append((record, replace(record, status=SKIPPED, reason=f"the same weights as {_name(twin)}")))
        elif rival is not None and (rival.step != record.step or _is_secondary(record) > _is_secondary(rival)):
            reason = f"epoch {record.epoch} again, as in {_name(rival)}, with other weights"
            out.append((record, replace(record, status=SKIPPED, reason=reason)))
        else:
            if rival is not None:
                clashing[id(record)], clashing[id(rival)] = rival, record
            kept.append(record)
    return out + [(record, _clashing(record, clashing.get(id(record)))) for record in kept]


def _precedence(record: Record) -> tuple[Any, ...]:
    """Return the key by which the files of one epoch are sorted: the one to use first."""
    return (
        is_copy(record),
        -(record.step if record.step is not None else -1),
        _is_secondary(record),
        epochs.natural_key(record.path),
    )


def _is_secondary(record: Record) -> bool:
    """Return whether a file gives way to one of the same epoch whose name has a number."""
    return is_copy(record) or not any(map(str.isdigit, name_of(record)))


def _clashing(record: Record, rival: Record | None) -> Record:
    if rival is None:
        return record
    when = f"epoch {record.epoch}" if record.step is None else f"epoch {record.epoch}, step {record.step},"
    reason = f"{when} is also in {_name(rival)}, with other weights; give only the files of one training: dsi analyze FILES"
    return replace(record, status=FAILED, reason=reason)


def _only(records: Sequence[Record]) -> Record | None:
    """Return the only checkpoint of a run without epochs, copies aside; None if there are several."""
    own = _originals(records)
    return own[0] if len(own) == 1 else None


def _originals(records: Iterable[Record]) -> list[Record]:
    """Return the usable records that are no copies by their names; all if each is one."""
    usable = [record for record in records if record.status == OK]
    return [record for record in usable if not is_copy(record)] or usable


def _without_epoch(record: Record, kept: Sequence[Record]) -> Record:
    """Return a record as skipped if it has no epoch."""
    if record.status != OK or record.epoch is not None:
        return record
    twin = next((other for other in kept if _is_twin(other, record)), None)
    reason = f"the same weights as {_name(twin)}" if twin else "neither its contents nor its name say which epoch it is"
    return replace(record, status=SKIPPED, reason=reason)


def _is_twin(record: Record, other: Record) -> bool:
    """Return whether two checkpoints have the same classifier; of those without one nothing is known."""
    return record.fingerprint is not None and record.fingerprint == other.fingerprint


def _name(record: Record) -> str:
    return PurePath(record.path).name
