"""Find how a log numbers the epochs of checkpoints: like them, one higher, or one
lower.

A shift is the number of an epoch in the log less that of its checkpoint: -1, 0 or 1. A
shift explains the files if each has a row. If several shifts do, evidence decides
(`_evidence`). Without enough evidence, dsi joins nothing, because a value that is one
epoch off looks right. If the log has an accuracy or a loss of the checkpoints under
only one shift, that shift is right, unless the numbers show another one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise
from math import gcd, isclose
from typing import NamedTuple

SHIFTS = (0, -1, 1)
MIN_EVIDENCE = 2
COMPARED = ("test_accuracy", "train_accuracy", "test_loss", "train_loss")
# the maximum difference of a value in a checkpoint and in its row, which may be rounded
MAX_ROUNDING = 1e-4


ValuesByEpoch = Mapping[int, Mapping[str, float]]  # the values of curves by epoch


class EpochNumbers(NamedTuple):
    """The numbers of the epochs of checkpoints or of a log."""

    numbers: frozenset[int]
    # the number of the first finished epoch, if it is known
    counts_from: int | None = None
    # False if a log has no numbers, and dsi counts its rows from 1
    are_stated: bool = True

    @property
    def first(self) -> int | None:
        """The number of the first finished epoch, if it is known or the numbers show
        it; else None.
        """
        if self.counts_from is not None:
            return self.counts_from
        lowest, by_spacing = min(self.numbers), self.first_by_spacing
        # 1, 3, 5 may be each second epoch from 0, or the first one and each second one
        # after it.
        if lowest == 1 and by_spacing == 0:
            return None
        return lowest if lowest in (0, 1) else by_spacing

    @property
    def first_by_spacing(self) -> int | None:
        """The number of the first epoch by the distance of the numbers: 1 for 5, 10,
        15, and 0 for 4, 9, 14; else None.
        """
        ordered = sorted(self.numbers - {0})
        spacing = gcd(*(after - before for before, after in pairwise(ordered)))
        if spacing < 2:
            return None
        return {0: 1, spacing - 1: 0}.get(ordered[0] % spacing)


def find_shift(
    files: EpochNumbers, log: EpochNumbers, usual_shift: int | None = None
) -> int | None:
    """Return the shift between the numbers of checkpoints and of their log, or None if
    nothing shows which one is right.

    ``usual_shift`` is that of the trainer, if one is known.

    >>> def shift(files, log): return find_shift(EpochNumbers(frozenset(files)), EpochNumbers(frozenset(log)))
    >>> shift(range(1, 6), range(5)), shift(range(5), range(1, 6)), shift(range(1, 6), range(1, 6))
    (-1, 1, 0)
    >>> shift([5, 10, 15], range(1, 21)), shift([5, 10, 15], range(20)), shift([12, 17], range(20))
    (0, None, None)
    """
    possible, enough = _shifts_with_all_files(files, log), MIN_EVIDENCE
    if not possible:
        possible, enough = _shifts_without_one_file(files, log), MIN_EVIDENCE + 1
    if not possible:
        # A log may lack epochs, because not every epoch is evaluated, or because a
        # resumed training has begun a new log.
        possible = [
            shift for shift in SHIFTS if log.numbers <= _shifted(files.numbers, shift)
        ]
        enough = MIN_EVIDENCE
    evidence = {shift: _evidence(files, log, shift, usual_shift) for shift in possible}
    if len(evidence) < 2:
        return next(iter(evidence), None)
    best, second = sorted(evidence, key=lambda shift: -evidence[shift])[:2]
    if evidence[best] >= enough and evidence[best] > evidence[second]:
        return best
    return None


def shift_by_values(files: ValuesByEpoch, log: ValuesByEpoch) -> int | None:
    """Return the only shift under which the rows of a log have the values that the
    checkpoints state, or None.

    >>> log = {epoch: {"test_accuracy": 0.1 * epoch} for epoch in range(9)}
    >>> shift_by_values({4: {"test_accuracy": 0.3}}, log), shift_by_values({4: {"test_accuracy": 0.35}}, log)
    (-1, None)
    """
    found = set()
    for curve in COMPARED:
        fitting = [shift for shift in SHIFTS if _has_values(files, log, shift, curve)]
        if len(fitting) == 1:
            found.add(fitting[0])
    return found.pop() if len(found) == 1 else None


def _has_values(
    files: ValuesByEpoch, log: ValuesByEpoch, shift: int, curve: str
) -> bool:
    """Return whether a curve has a value in some checkpoints, and the same one in their
    rows.
    """
    rows = {epoch: log.get(epoch + shift, {}) for epoch in files}
    pairs = [
        (values[curve], rows[epoch][curve])
        for epoch, values in files.items()
        if curve in values and curve in rows[epoch]
    ]
    return bool(pairs) and all(
        isclose(*pair, rel_tol=0, abs_tol=MAX_ROUNDING) for pair in pairs
    )


def _shifts_with_all_files(files: EpochNumbers, log: EpochNumbers) -> list[int]:
    """Return the shifts with a row for each file. A file 0 needs none if it may be from
    before the training.
    """
    possible = [
        shift for shift in SHIFTS if _shifted(files.numbers, shift) <= log.numbers
    ]
    if (
        0 not in log.numbers
        and _trained(files) != files.numbers
        and _trained(files) <= log.numbers
    ):
        possible.append(0)
    return possible


def _shifts_without_one_file(files: EpochNumbers, log: EpochNumbers) -> list[int]:
    """Return the shifts with a row for all files but the first or the last one.

    The first file may be from before the training, and the last row may not be written
    yet.
    """
    parts = [_trained(files)]
    if len(files.numbers) > 2:
        parts.append(files.numbers - {max(files.numbers)})
    return [
        shift
        for shift in SHIFTS
        if any(_shifted(part, shift) <= log.numbers for part in parts)
    ]


def _trained(files: EpochNumbers) -> frozenset[int]:
    """Return the numbers of the files without a file 0 that may be from before the
    training.
    """
    others = files.numbers - {0}
    return others if files.counts_from != 0 and others else files.numbers


def _evidence(
    files: EpochNumbers, log: EpochNumbers, shift: int, usual_shift: int | None
) -> int:
    """Return the number of reasons for a shift: the first and the last epoch are the
    same, or the numbers, or it is usual.
    """
    shifted = _shifted(files.numbers, shift)
    begins_alike = (
        None not in (files.first, log.first) and log.first == (files.first or 0) + shift
    )
    # Each third file of an epoch from 1 has another number in a log from 0.
    is_contradicted = (
        None not in (files.first_by_spacing, log.first) and not begins_alike
    )
    reasons = [max(shifted) == max(log.numbers), shift == usual_shift]
    reasons.append(shift == 0 and log.are_stated and not is_contradicted)
    # Each row has a file.
    reasons += [shifted == log.numbers] * 2
    # A file 0 may be from before the training.
    is_certain = files.counts_from is not None or (
        log.are_stated and 0 not in files.numbers
    )
    reasons += [begins_alike] * (
        2 if is_certain and files.first_by_spacing is None else 1
    )
    return sum(reasons)


def _shifted(numbers: Collection[int], shift: int) -> set[int]:
    return {number + shift for number in numbers}
