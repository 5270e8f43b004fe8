"""Skip the duplicates among the checkpoints of one run.

A duplicate has the same weights as another checkpoint, and the same epoch or none
(``best``, ``last``). Two different saves within one epoch are both kept and
distinguished by their steps. The last one represents the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from dsi_cli.checkpoints import epochs, file_names, trainers, training_logs
from dsi_cli.checkpoints.records import FAILED, OK, SKIPPED, Record


def resolve_duplicates(
    records: Sequence[Record],
    *,
    begins_before_training: bool = False,
    question: str | None = None,
) -> list[Record]:
    """Return the records of one run, in the same order, with finished epochs,
    duplicates and percentages resolved.

    ``begins_before_training`` means that the training log shows that epoch 0 was
    written before training. With a ``question`` about the names of the run's files, no
    checkpoint is used.
    """
    scalars = training_logs.with_fractions([record.scalars for record in records])
    resolved = []
    for record, values in zip(records, scalars, strict=True):
        record = replace(record, scalars=values)
        if record.status == OK and question is not None:
            record = _fail(record, question, "open-names")
        resolved.append(_without_fraction(record))
    resolved = _skip_copies(_number_by_step(resolved))
    resolved = _with_epochs_completed(resolved, begins_before_training)

    resolved = _resolve_epochs(resolved)
    return _skip_without_epoch(resolved)


def sort_by_epoch(records: Iterable[Record]) -> list[Record]:
    """Return the usable records by epoch, saves within an epoch by step."""
    usable = [record for record in records if record.status == OK]
    return sorted(
        usable,
        key=lambda record: (
            record.epoch_number,
            record.step or 0,
            file_names.natural_key(record.path),
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


def stores_next_epoch(records: Sequence[Record]) -> bool:
    """Return whether each of several checkpoints stores the epoch after that in its
    name: 10 in ``checkpoint_0009.pth``.

    The records are those of a run, with epochs.
    """
    gaps = []
    for record in originals(records):
        number = file_names.number_at_end(record.name)
        if record.epoch_source == file_names.CONTENTS and number is not None:
            gaps.append(record.epoch_number - number)
    return len(gaps) > 1 and set(gaps) == {1}


def is_copy(record: Record) -> bool:
    """Return whether a file's name is that of a copy: ``best.pt``, ``last.ckpt``."""
    is_repository = record.path.startswith("hf://")
    return file_names.is_copy(record.name) and not (
        is_repository and "@" in record.name
    )


def _fail(record: Record, reason: str, code: str) -> Record:
    return replace(record, status=FAILED, reason=reason, code=code)


def _without_fraction(record: Record) -> Record:
    """Return the record; it is failed if only its name states its epoch, which is a
    fraction.
    """
    fractions = file_names.parse(record.name).of_kind("fraction")
    is_undated = record.status == OK and (record.epoch, record.step) == (None, None)
    if not fractions or not is_undated:
        return record
    number = fractions[0].text.lstrip("epochEPOCH _=.-")
    return _fail(record, epochs.fraction_of_epoch(number), "fraction-of-epoch")


def _number_by_step(records: Sequence[Record]) -> list[Record]:
    """Return several records numbered from 1 by step, if no checkpoint has an epoch.
    Different weights of one step are not two epochs.
    """
    usable = [record for record in records if record.status == OK]
    steps = {one.step for one in originals(records) if one.step is not None}
    if len(steps) < 2 or any(record.epoch is not None for record in usable):
        return list(records)
    order = {step: number for number, step in enumerate(sorted(steps), start=1)}
    numbered = []
    for record in records:
        if record.status == OK and record.step in order and not is_secondary(record):
            epoch = order[record.step]
            record = replace(record, epoch=epoch, epoch_source=file_names.ORDER)
        numbered.append(record)
    return numbered


def _skip_copies(records: Sequence[Record]) -> list[Record]:
    """Return the records without files that another file repeats under a number, and
    whose own epoch counts differently.

    Such files are ``best.pt`` and ``checkpoint.pt``. The epoch in their contents may be
    that of the next epoch, and that of Hugging Face's best model, which is loaded at
    the end, is the last one.
    """
    numbered = {}
    for record in records:
        has_epoch = record.status == OK and record.epoch is not None
        if has_epoch and record.fingerprint and not is_secondary(record):
            numbered[record.fingerprint] = record
    result = []
    for record in records:
        twin = numbered.get(record.fingerprint or "")
        is_dated = record.status == OK and record.epoch_source == file_names.CONTENTS
        if twin is not None and is_dated and is_secondary(record):
            is_named = is_copy(record) and twin.epoch_source == file_names.FILE_NAME
            is_final = record.trainer == trainers.HUGGING_FACE
            gap = record.epoch_number - twin.epoch_number
            if is_named or is_final or abs(gap) == 1:
                record = _skip_as_twin(record, twin)
        result.append(record)
    return result


def _with_epochs_completed(
    records: Sequence[Record], begins_before_training: bool
) -> list[Record]:
    """Return the records with the number of finished epochs, if there is evidence for
    how the trainer counts.
    """
    conventions = {one.counts_from for one in records if one.status == OK} - {None}
    if begins_before_training:
        conventions.add(1)
    common = conventions.pop() if len(conventions) == 1 else None
    result = []
    for record in records:
        counts_from = record.counts_from
        if counts_from is None:
            counts_from = common
        if record.epoch_source == file_names.ORDER:
            counts_from = None  # the position in an order is not the trainer's number
        completed = epochs.epochs_completed(record.epoch, counts_from)
        # Lightning also numbers the state before training 0.
        if completed is not None and record.epoch == record.step == 0:
            completed = 0
        result.append(replace(record, epochs_completed=completed))
    return result


def _resolve_epochs(records: Sequence[Record]) -> list[Record]:
    """Return the records with the distinct saves of each epoch."""
    resolved = list(records)
    saves: dict[int, list[int]] = {}
    for index, record in enumerate(resolved):
        if record.status == OK and record.epoch is not None:
            saves.setdefault(record.epoch, []).append(index)
    for indices in saves.values():
        settled = _resolve_epoch([resolved[index] for index in indices])
        for index, record in zip(indices, settled, strict=True):
            resolved[index] = record
    return resolved


def _resolve_epoch(records: Sequence[Record]) -> list[Record]:
    """Return the records of one epoch, in the same order, with a reason for those that
    are not used.

    A file with a number in its name has precedence over one without (``checkpoint.pt``)
    and over a copy (``best.pt``). Files with a step have precedence over files without.
    Any other files of one epoch with different weights belong to several trainings.
    None of them is used, because nothing shows which belongs to which training.
    """
    resolved = list(records)
    kept: list[int] = []

    def precedence(index: int) -> tuple[Any, ...]:
        record = records[index]
        step = 1 if record.step is None else -record.step
        key = file_names.natural_key(record.path)
        return is_copy(record), step, is_secondary(record), key

    for index in sorted(range(len(records)), key=precedence):
        record = records[index]
        twins = [one for one in kept if _is_twin(records[one], record)]
        rivals = [
            one
            for one in kept
            if record.step is None or records[one].step == record.step
        ]
        if twins:
            resolved[index] = _skip_as_twin(record, records[twins[0]])
            continue
        if not rivals:
            kept.append(index)
            continue
        rival = records[rivals[0]]
        is_weaker = is_secondary(record) and not is_secondary(rival)
        if rival.step != record.step or is_weaker:
            reason = (
                f"epoch {record.epoch} again, as in {rival.name}, with other weights"
            )
            resolved[index] = replace(
                record, status=SKIPPED, reason=reason, code="epoch-again"
            )
            continue
        kept.append(index)
        resolved[index] = _fail_as_rival(record, rival)
        resolved[rivals[0]] = _fail_as_rival(rival, record)
    return resolved


def _fail_as_rival(record: Record, rival: Record) -> Record:
    when = f"epoch {record.epoch}"
    if record.step is not None:
        when += f", step {record.step},"
    reason = (
        f"{when} is also in {rival.name}, with other weights; after a resumption, move"
        " the older file away, else state the trainings with --names, as in --names"
        " 'm_{run}_{epoch}.pt'"
    )
    return _fail(record, reason, "several-trainings")


def is_secondary(record: Record) -> bool:
    """Return whether a file of the same epoch with a number in its name has precedence,
    or Hugging Face's folder of a step.
    """
    parent, _, last = record.path.rpartition("/")
    folder = parent.rpartition("/")[2]
    is_in_step = file_names.is_step_folder(folder) or folder.isdecimal()
    has_number = is_in_step or any(map(str.isdigit, last))
    is_final = (
        record.trainer == trainers.HUGGING_FACE
        and record.epoch_source == file_names.CONTENTS
        and not file_names.is_step_folder(last)
    )
    return file_names.is_copy(record.name) or not has_number or is_final


def originals(records: Iterable[Record]) -> list[Record]:
    """Return the usable records without copies and files that repeat a numbered one
    (``model.pt``), or all if none is left.
    """
    usable = [record for record in records if record.status == OK]
    numbered = {one.fingerprint for one in usable if not is_secondary(one)}
    found = []
    for record in usable:
        is_repeated = is_secondary(record) and record.fingerprint in numbered
        if not is_copy(record) and not is_repeated:
            found.append(record)
    return found or usable


def _skip_without_epoch(records: Sequence[Record]) -> list[Record]:
    """Return the records; those without an epoch are skipped, unless the run has a
    single checkpoint.
    """
    kept = [one for one in records if one.status == OK and one.epoch is not None]
    if not kept and len(originals(records)) == 1:
        kept = originals(records)
    kept_ids = {id(one) for one in kept}
    resolved = []
    for record in records:
        if record.status == OK and id(record) not in kept_ids:
            record = _skip_undated(record, kept)
        resolved.append(record)
    return resolved


def _skip_undated(record: Record, kept: Sequence[Record]) -> Record:
    for other in kept:
        if _is_twin(other, record):
            return _skip_as_twin(record, other)
    reason = (
        "neither its contents nor its name contain an epoch; --names states one, as in"
        " --names 'm_{epoch}.pt'"
    )
    return replace(record, status=SKIPPED, reason=reason, code="no-epoch")


def _skip_as_twin(record: Record, twin: Record) -> Record:
    reason = f"the same weights as {twin.name}"
    return replace(record, status=SKIPPED, reason=reason, code="duplicate")


def _is_twin(record: Record, other: Record) -> bool:
    return record.fingerprint is not None and record.fingerprint == other.fingerprint
