"""Assign epochs to the checkpoints of one run, and skip duplicates.

A duplicate has the same weights as another checkpoint, and the same epoch or none
(``best``, ``last``). Two different saves within one epoch are both kept and
distinguished by their steps. The last one represents the epoch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from dsi_cli.checkpoints import epochs, trainers, training_logs
from dsi_cli.checkpoints.records import FAILED, OK, SKIPPED, Record


def resolve_duplicates(
    records: Sequence[Record],
    *,
    begins_before_training: bool = False,
    is_numbered_apart: bool = False,
) -> list[Record]:
    """Return the records of one run, in the same order, with epochs, finished epochs,
    duplicates and percentages resolved.

    ``begins_before_training`` means that the training log shows that epoch 0 was
    written before training, and ``is_numbered_apart`` that numbers in the names are
    those of trainings.
    """
    scalars = training_logs.with_fractions([record.scalars for record in records])
    records = [
        replace(record, scalars=values)
        for record, values in zip(records, scalars, strict=True)
    ]
    records = _without_fractions(records)
    dated = with_numbers_from_names(records)
    if is_numbered_apart:
        dated = [
            (
                later
                if has_stated_moment(record, later)
                else replace(record, epoch=None, epoch_source=None)
            )
            for record, later in zip(records, dated, strict=True)
        ]
    records = _skip_copies(_number_by_order(dated))
    records = _with_epochs_completed(records, begins_before_training)
    # Keep the distinct saves of each epoch.
    resolved = {id(record): record for record in records}
    saves: dict[int, list[Record]] = {}
    for record in records:
        if record.status == OK and record.epoch is not None:
            saves.setdefault(record.epoch, []).append(record)
    for saves_of_epoch in saves.values():
        resolved |= _resolve_epoch(saves_of_epoch)
    kept = [
        record
        for record in resolved.values()
        if record.status == OK and record.epoch is not None
    ]
    # Checkpoints without an epoch are skipped, unless the run has a single checkpoint.
    single = originals(records) if not kept and len(originals(records)) == 1 else []
    return [
        (
            record
            if record in single
            else _skip_without_epoch(resolved[id(record)], kept or single)
        )
        for record in records
    ]


def sort_by_epoch(records: Iterable[Record]) -> list[Record]:
    """Return the usable records by epoch, saves within an epoch by step."""
    usable = [record for record in records if record.status == OK]
    return sorted(
        usable,
        key=lambda record: (
            record.epoch or 0,
            record.step or 0,
            epochs.natural_key(record.path),
        ),
    )


def stands_for_epoch(
    records: Sequence[Record],
) -> dict[tuple[int | None, int | None], bool]:
    """Return, for the (epoch, step) of each usable record, whether it is the last save
    of its epoch.
    """
    last = {record.epoch: record.step for record in sort_by_epoch(records)}
    return {
        (record.epoch, record.step): last[record.epoch] == record.step
        for record in sort_by_epoch(records)
    }


def with_numbers_from_names(records: Sequence[Record]) -> list[Record]:
    """Return the records of a run with epochs and steps from their names.

    An epoch in the contents has precedence over one in a name, and so has the metadata
    of a Hugging Face folder. But if all contents state one epoch, such as the length of
    the training, and the names have different ones, the names count.
    """
    numbers = epochs.numbers_in_names([epoch_name(record) for record in records])
    if _state_one_epoch(records, numbers):
        records = [
            _with_moment_in_name(record, *number)
            for record, number in zip(records, numbers, strict=True)
        ]
    dated = []
    for record, (epoch, step) in zip(records, numbers, strict=True):
        if not _is_settled(record):
            source = None if epoch is None else record.epoch_source or epochs.FILE_NAME
            record = replace(
                record,
                epoch=epoch,
                epoch_source=source,
                step=step if record.step is None else record.step,
            )
        dated.append(record)
    # The numbers in the names are steps if the contents state the same steps (``100``
    # of Orbax).
    found = originals(dated)
    steps = sorted(
        {
            record.epoch
            for record in found
            if record.epoch is not None and record.epoch == record.step
        }
    )
    if len(steps) < max(2, len(found)) or any(
        parsed(record).epoch is not None for record in found
    ):
        return dated
    # Consecutive numbers are epochs, which some training loops call steps.
    are_apart = min(after - before for before, after in pairwise(steps)) > 1
    are_in_names = all(
        record.epoch_source in (epochs.FILE_NAME, epochs.FOLDER_NAME)
        for record in found
    )
    return (
        [replace(record, epoch=None, epoch_source=None) for record in dated]
        if are_apart and are_in_names
        else dated
    )


def _state_one_epoch(
    records: Sequence[Record], numbers: Sequence[epochs.NameNumbers]
) -> bool:
    """Return whether the contents of all records state one epoch, and the names of the
    originals different epochs or steps.
    """
    stated = {
        (record.epoch, record.step, record.epoch_source)
        for record in records
        if record.status == OK
    }
    paths = {record.path for record in originals(records)}
    named = [
        number
        for record, number in zip(records, numbers, strict=True)
        if record.path in paths
    ]
    is_constant = len(stated) == 1 and stated.pop()[2] == epochs.CONTENTS
    return (
        is_constant
        and epochs.NameNumbers() not in named
        and 1 < len(named) == len(set(named))
    )


def _with_moment_in_name(record: Record, epoch: int | None, step: int | None) -> Record:
    """Return a record with the step in its name, and without the epoch in its contents
    unless only a step is in its name.
    """
    if _is_hugging_face(record):
        return record
    if epoch is None and step is not None:
        return replace(record, step=step)
    return replace(record, epoch=None, epoch_source=None)


def _without_fractions(records: Sequence[Record]) -> list[Record]:
    """Return the records; those whose name states a fraction of an epoch, and whose
    contents state no epoch, are failed.
    """
    result = []
    for record in records:
        fraction = parsed(record).fraction
        if record.status == OK and fraction is not None and record.epoch is None:
            reason = epochs.fraction_of_epoch(fraction)
            record = replace(
                record, status=FAILED, reason=reason, code="fraction-of-epoch"
            )
        result.append(record)
    return result


def has_stated_moment(record: Record, dated: Record) -> bool:
    """Return whether the contents, a revision, or a word in the name state the epoch or
    step of a record.

    Other numbers in names may be those of trainings. ``dated`` is the record with the
    numbers in its name.
    """
    name = parsed(record)
    is_named = name.epoch is not None or name.step is not None
    from_number = (None, epochs.FILE_NAME, epochs.FOLDER_NAME)
    return (
        is_named
        or record.step is not None
        or _is_hugging_face(record)
        or dated.epoch_source not in from_number
    )


def _is_hugging_face(record: Record) -> bool:
    return record.trainer == trainers.HUGGING_FACE


def _is_settled(record: Record) -> bool:
    """Return whether the names of a run's files do not change the epoch of a record."""
    from_name = (None, epochs.FILE_NAME, epochs.FOLDER_NAME)
    return _is_hugging_face(record) or record.epoch_source not in from_name


def stores_next_epoch(records: Sequence[Record]) -> bool:
    """Return whether each of several checkpoints stores the epoch after that in its
    name: 10 in ``checkpoint_0009.pth``.

    The records are those of a run, with epochs.
    """
    found = [
        record
        for record in originals(records)
        if record.epoch_source == epochs.CONTENTS
    ]
    named = epochs.numbers_in_names([epoch_name(record) for record in found])
    pairs = [
        (number.epoch, record.epoch)
        for number, record in zip(named, found, strict=True)
        if number.epoch is not None
    ]
    return len(pairs) > 1 and all(
        epoch is not None and epoch == name + 1 for name, epoch in pairs
    )


def epoch_name(record: Record) -> str:
    """Return the name that states the epoch: the name of the file, or of its step
    folder if only that has a number.

    The name of a repository's revision is empty, because it states neither an epoch nor
    a training.
    """
    path = PurePath(file_path(record))
    if _is_repository(record):
        return ""
    if record.epoch_source != epochs.FOLDER_NAME or path.name.isdecimal():
        return path.name
    return next(
        (name for name in reversed(path.parts) if epochs.is_step_folder(name)),
        path.name,
    )


def parsed(record: Record) -> epochs.Name:
    """Return what the name that states the epoch says."""
    return epochs.parse(epoch_name(record))


def training_name(record: Record) -> str:
    """Return the name that identifies the training: that of the epoch, and that of the
    file or W&B's artifact if it is another.

    A file with a number does not count in a folder without a word for epoch or step:
    ``ckpt_1/n_2.pt`` may be an epoch.
    """
    name, path = epoch_name(record), PurePath(file_path(record))
    artifact = path.parent.name if re.search(r":v\d+$", path.parent.name) else ""
    is_clear = (
        artifact
        or epochs.parse(name).epoch is not None
        or epochs.parse(name).step is not None
    )
    file = path.name if is_clear or not any(map(str.isdigit, path.stem)) else ""
    return "_".join(dict.fromkeys(filter(None, (artifact, name, file)))) if name else ""


def with_folder_names(records: Sequence[Record]) -> list[Record]:
    """Return the records of a folder; those whose file name recurs in other step
    folders have the epochs of these folders.

    ``epoch_1/net_2.pt`` and ``epoch_3/net_2.pt`` are the epochs 1 and 3 of a second
    network.
    """
    counts = Counter(map(epoch_name, records))
    result = []
    for record in records:
        step = epochs.parse(
            next(
                filter(
                    epochs.is_step_folder, reversed(PurePath(record.path).parts[:-1])
                ),
                "",
            )
        )
        in_step = (step.stated_epoch, step.step) != (None, None)
        if counts[epoch_name(record)] > 1 and in_step and not _is_settled(record):
            record = replace(record, epoch=None, epoch_source=epochs.FOLDER_NAME)
        result.append(record)
    return result


def file_path(record: Record) -> str:
    """Return the path of a record's file, which may hold several epochs."""
    return (
        record.path
        if record.entry is None
        else record.path.removesuffix(f"[{record.entry}]")
    )


def is_copy(record: Record) -> bool:
    """Return whether a file's name is that of a copy: ``best.pt``, ``last.ckpt``."""
    return not _is_repository(record) and bool(epochs.COPY_NAMES.search(record.name))


def _is_repository(record: Record) -> bool:
    """Return whether a record is a whole repository at a revision:
    ``hf://org/model@v1``.
    """
    return record.path.startswith("hf://") and "@" in PurePath(record.path).name


def _number_by_order(records: Sequence[Record]) -> list[Record]:
    """Return several records numbered from 1, by step or else by name, if no checkpoint
    has an epoch.
    """
    ordered = originals(records)
    if len(ordered) < 2 or any(
        record.epoch is not None for record in records if record.status == OK
    ):
        return list(records)
    if any(
        record.step is not None for record in ordered
    ):  # the name of a commit shows no order
        ordered = [
            record
            for record in ordered
            if record.step is not None or not _is_repository(record)
        ]
    keys = epochs.order_keys([record.path for record in ordered])
    ordered.sort(key=lambda record: keys[record.path])
    positions: list[Any] = [id(record) for record in ordered]
    if all(record.step is not None for record in ordered):
        ordered.sort(key=lambda record: record.step or 0)
        # different weights of one step are not two epochs
        positions = [record.step for record in ordered]
    order = {
        position: number
        for number, position in enumerate(dict.fromkeys(positions), start=1)
    }
    numbered = {
        id(record): replace(record, epoch=order[position], epoch_source=epochs.ORDER)
        for record, position in zip(ordered, positions, strict=True)
    }
    return [numbered.get(id(record), record) for record in records]


def _skip_copies(records: Sequence[Record]) -> list[Record]:
    """Return the records without files that another file repeats under a number, and
    whose own epoch counts differently.

    Such files are ``best.pt`` and ``checkpoint.pt``. The epoch in their contents may be
    that of the next epoch, and that of Hugging Face's best model, which is loaded at
    the end, is the last one.
    """
    numbered = {
        record.fingerprint: record
        for record in records
        if record.status == OK
        and record.epoch is not None
        and record.fingerprint
        and not is_secondary(record)
    }
    result = []
    for record in records:
        twin = numbered.get(record.fingerprint or "")
        if (
            twin is not None
            and record.status == OK
            and record.epoch_source == epochs.CONTENTS
            and is_secondary(record)
        ):
            is_named = is_copy(record) and twin.epoch_source == epochs.FILE_NAME
            if (
                is_named
                or record.trainer == trainers.HUGGING_FACE
                or abs((record.epoch or 0) - (twin.epoch or 0)) == 1
            ):
                record = _skip_as_twin(record, twin)
        result.append(record)
    return result


def _with_epochs_completed(
    records: Sequence[Record], begins_before_training: bool
) -> list[Record]:
    """Return the records with the number of finished epochs, if there is evidence for
    how the trainer counts.
    """
    conventions = {
        record.counts_from
        for record in records
        if record.status == OK and record.counts_from is not None
    }
    if begins_before_training:
        conventions.add(1)
    common = conventions.pop() if len(conventions) == 1 else None
    result = []
    for record in records:
        counts_from = common if record.counts_from is None else record.counts_from
        if (
            record.epoch_source == epochs.ORDER
        ):  # The position in an order is not the trainer's number.
            counts_from = None
        completed = epochs.epochs_completed(record.epoch, counts_from)
        if (
            completed is not None and record.epoch == record.step == 0
        ):  # Lightning also numbers the state before training 0
            completed = 0
        result.append(replace(record, epochs_completed=completed))
    return result


def _resolve_epoch(records: list[Record]) -> dict[int, Record]:
    """Return the records of an epoch that are not used as they are, with a reason, by
    the `id` of the given record.

    A file with a number in its name has precedence over one without (``checkpoint.pt``)
    and over a copy (``best.pt``). Files with a step have precedence over files without.
    Any other files of one epoch with different weights belong to several trainings.
    None of them is used, because nothing shows which belongs to which training.
    """
    resolved: dict[int, Record] = {}
    kept: list[Record] = []

    def precedence(record: Record) -> tuple[Any, ...]:
        step = 1 if record.step is None else -record.step
        return (
            is_copy(record),
            step,
            is_secondary(record),
            epochs.natural_key(record.path),
        )

    for record in sorted(records, key=precedence):
        twin = next((other for other in kept if _is_twin(other, record)), None)
        rival = next(
            (
                other
                for other in kept
                if other.step == record.step or record.step is None
            ),
            None,
        )
        if twin is not None:
            resolved[id(record)] = _skip_as_twin(record, twin)
        elif rival is not None and (
            rival.step != record.step or is_secondary(record) > is_secondary(rival)
        ):
            reason = (
                f"epoch {record.epoch} again, as in {rival.name}, with other weights"
            )
            resolved[id(record)] = replace(
                record, status=SKIPPED, reason=reason, code="epoch-again"
            )
        else:
            kept.append(record)
            if rival is not None:
                for one, other in ((record, rival), (rival, record)):
                    when = (
                        f"epoch {one.epoch}"
                        if one.step is None
                        else f"epoch {one.epoch}, step {one.step},"
                    )
                    reason = (
                        f"{when} is also in {other.name}, with other weights; after a"
                        " resumption, move the older file"
                    )
                    reason += (
                        " away, else run dsi analyze with the files of one training"
                    )
                    resolved[id(one)] = replace(
                        one, status=FAILED, reason=reason, code="several-trainings"
                    )
    return resolved


def is_secondary(record: Record) -> bool:
    """Return whether a file of the same epoch with a number in its name has precedence,
    or Hugging Face's folder of a step.
    """
    name = epoch_name(record)
    is_final = (
        record.trainer == trainers.HUGGING_FACE
        and record.epoch_source == epochs.CONTENTS
    )
    return (
        is_copy(record)
        or not any(map(str.isdigit, name))
        or (is_final and not epochs.is_step_folder(name))
    )


def originals(records: Iterable[Record]) -> list[Record]:
    """Return the usable records without copies and files that repeat a numbered one
    (``model.pt``), or all if none is left.
    """
    usable = [record for record in records if record.status == OK]
    numbered = {record.fingerprint for record in usable if not is_secondary(record)}
    repeated = [
        record
        for record in usable
        if is_secondary(record) and record.fingerprint in numbered
    ]
    return [
        record for record in usable if not is_copy(record) and record not in repeated
    ] or usable


def _skip_without_epoch(record: Record, kept: Sequence[Record]) -> Record:
    if record.status != OK or record.epoch is not None:
        return record
    twin = next((other for other in kept if _is_twin(other, record)), None)
    if twin is not None:
        return _skip_as_twin(record, twin)
    reason = "neither its contents nor its name contain an epoch"
    return replace(record, status=SKIPPED, reason=reason, code="no-epoch")


def _skip_as_twin(record: Record, twin: Record) -> Record:
    return replace(
        record,
        status=SKIPPED,
        reason=f"the same weights as {twin.name}",
        code="duplicate",
    )


def _is_twin(record: Record, other: Record) -> bool:
    return record.fingerprint is not None and record.fingerprint == other.fingerprint
