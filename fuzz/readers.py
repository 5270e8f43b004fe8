"""What every input is given to, and what must hold of the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np

from dsi_cli.checkpoints import checkpoint_reader
from dsi_cli.checkpoints.checkpoint_reader import (
    HeadOptions,
    ScanResult,
    list_tensors,
    read_metadata,
    require_file,
    scan_checkpoint,
)
from dsi_cli.checkpoints.discovery import CheckpointFile, discover
from dsi_cli.checkpoints.records import FAILED, OK, PENDING, SKIPPED
from dsi_cli.errors import CheckpointError

Reader = Callable[[Path, bool, int], str]
"""``(path, whether it is a folder, turn) -> status``; raises what it should not."""
_LONGEST_TEXT = 4096
NOTHING = "nothing"
"""The status of a folder in which no checkpoint is left."""


class WrongAnswerError(AssertionError):
    """The reader answered with something that no caller can use."""


def read(path: Path, is_folder: bool, turn: int) -> str:
    """Return the status of a checkpoint that is looked at the way `dsi scan` and `dsi
    analyze` do; one more look by turns.
    """
    found = (
        [one for run in discover([path]) for one in run.checkpoints]
        if is_folder
        else [require_file(path)]
    )
    statuses = [_scanned(one) for one in found]
    for one in found:
        LOOKS[turn % len(LOOKS)](one)
    return OK if OK in statuses else statuses[0] if statuses else NOTHING


def _scanned(file: CheckpointFile) -> str:
    answer = scan_checkpoint(file)
    require_usable(answer)
    return answer.record.status


def require_usable(answer: ScanResult) -> None:
    """Raise `WrongAnswerError` if a record could not be stored or computed with;
    MemoryError if it stands for one.
    """
    record, weight = answer.record, answer.weight
    if record.reason and record.reason.endswith("(MemoryError)"):
        # it ended as a record, but without the limit it would have taken more
        raise MemoryError
    if record.status not in (OK, FAILED, SKIPPED, PENDING):
        raise WrongAnswerError(f"status {record.status!r}")
    for field in fields(record):
        _require_storable(field.name, getattr(record, field.name))
    if record.status != OK:
        if not record.reason or weight is not None:
            raise WrongAnswerError(
                f"{record.status} without a reason, or with a weight"
            )
        return
    if (
        weight is None
        or weight.dtype != np.float32
        or weight.shape != (record.classes, record.features)
    ):
        raise WrongAnswerError(
            f"{record.classes} classes of {record.features} features, but another"
            " weight"
        )
    if not np.isfinite(weight).all():
        raise WrongAnswerError("a weight that is not finite")


def _require_storable(name: str, value: object) -> None:
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise WrongAnswerError(f"{name} has {len(value)} characters")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise WrongAnswerError(f"{name} has more than 64 bits")


def _nothing_more(file: CheckpointFile) -> None:
    """Only the scan itself."""


def _tensors(file: CheckpointFile) -> None:
    try:
        list_tensors(file.path)
    except CheckpointError:
        return


def _metadata(file: CheckpointFile) -> None:
    read_metadata(file)


def _weights(file: CheckpointFile) -> None:
    try:
        checkpoint_reader.read_state_dict(file, HeadOptions())
    except CheckpointError:
        return


LOOKS = (_nothing_more, _tensors, _metadata, _weights)
"""`dsi scan --tensors`, labels out of a checkpoint, and the weights that a model is
filled with.
"""
