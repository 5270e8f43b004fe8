"""Find how a log numbers the epochs of checkpoints: like them, one higher, or one
lower.

A shift is the number of an epoch in the log less that of its checkpoint: -1, 0 or 1. A
shift is possible if each checkpoint has a row. If several shifts are possible, dsi
joins the log only if the numbers, the trainer's way of counting or the stored values
show which one is right, because a value that is one epoch off looks right.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from math import isclose

SHIFTS = (0, -1, 1)
COMPARED = ("test_accuracy", "train_accuracy", "test_loss", "train_loss")
# the maximum difference of a value in a checkpoint and in its row, which may be rounded
MAX_ROUNDING = 1e-4


ValuesByEpoch = Mapping[int, Mapping[str, float]]  # the values of curves by epoch


def find_shift(
    files: Set[int],
    log: Set[int],
    first_of_files: int | None = None,
    first_of_log: int | None = None,
    usual_shift: int | None = None,
) -> int | None:
    """Return the shift between the numbers of checkpoints and of their log, or None if
    nothing shows which one is right.

    Parameters
    ----------
    files, log : the numbers of the epochs of checkpoints and of a log, not empty.
    first_of_files, first_of_log : the numbers of the first finished epoch, if they are
        known.
    usual_shift : the shift of the trainer, if it is known.

    >>> find_shift({1, 2, 3}, {0, 1, 2}), find_shift({5, 10}, set(range(1, 11)))
    (-1, 0)
    >>> find_shift({12, 17}, set(range(20))) is None
    True
    """
    # Epoch 0 may be from before the training.
    trained = files if first_of_files == 0 else files - {0}
    possible = [shift for shift in SHIFTS if _shifted(files, shift) <= log]
    if 0 not in log and trained != files and trained <= log:
        possible.append(0)
    if not possible:
        possible = _shifts_with_gaps(files, trained, log)
    if len(possible) == 1:
        return possible[0]
    for shift in possible:
        if _shifted(files, shift) == log:
            return shift
    if first_of_files is not None and first_of_log is not None:
        usual_shift = first_of_log - first_of_files
    elif 0 not in log:
        usual_shift = None
    if usual_shift in possible:
        return usual_shift
    return 0 if 0 in possible and max(files) == max(log) else None


def _shifts_with_gaps(files: Set[int], trained: Set[int], log: Set[int]) -> list[int]:
    """Return the shifts of a log that lacks rows that can be expected to be missing."""
    # The last row may not be written yet.
    for part in (trained, files - {max(files)}):
        possible = [shift for shift in SHIFTS if part and _shifted(part, shift) <= log]
        if possible:
            return possible
    # Not every epoch is evaluated, or a resumed training has begun a new log.
    return [shift for shift in SHIFTS if log <= _shifted(files, shift)]


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


def _shifted(numbers: Set[int], shift: int) -> set[int]:
    return {number + shift for number in numbers}
