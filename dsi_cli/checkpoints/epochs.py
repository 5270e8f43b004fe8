"""The epoch and step in the contents of a checkpoint, and how its trainer counts
epochs.

``epoch`` is the trainer's own number. ``epochs_completed``, the number of finished
epochs, is given only if there is evidence for how the trainer counts. With it, runs of
different trainers can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from math import floor, isfinite
from typing import Any, NamedTuple

from dsi_cli.checkpoints.file_names import (
    CONTENTS,
    FILE_NAME,
    FOLDER_NAME,
    MIN_STEP_NUMBER,
    epoch_alone,
    is_copy,
    parse,
)
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import CheckpointError, UnreadableError

EPOCH_KEYS = (
    *("epoch", "meta.epoch", "trainer.epoch", "current_epoch", "epochs_completed"),
    *("state.timestamp.Timestamp.epoch", "state.timestamp.epoch", "__metadata__.epoch"),
)
"""The keys of the epoch in a checkpoint's contents, in the order of the search; a dot
separates nested keys.
"""
STEP_KEYS = (
    *(
        "global_step",
        "global_steps",
        "step",
        "iteration",
        "iter",
        "iter_num",
        "meta.iter",
        "trainer.iteration",
    ),
    *("state.timestamp.Timestamp.batch", "state.timestamp.batch", "__metadata__.step"),
)
# the versions of Lightning that store the next epoch
_STORES_NEXT_EPOCH = re.compile(r"(0|1\.[0-5])\.")


class EpochAndStep(NamedTuple):
    """The time in training at which a checkpoint was written."""

    epoch: int | None = None
    source: str | None = (
        None  # the source of ``epoch``, by `dsi_cli.checkpoints.file_names`
    )
    step: int | None = None
    # True if a revision has a trainer's state, which has precedence
    has_state: bool = False


def epoch_and_step(tree: Any, file_names: Sequence[str]) -> EpochAndStep:
    """Return epoch and step of a checkpoint by its contents, or else by its name alone,
    which later gives way to a comparison with the other names
    (`dsi_cli.checkpoints.training_runs`).

    ``file_names`` are the file's name, and that of its step folder if it has one. Raise
    `UnreadableError` if the contents state a fraction of an epoch
    (``fraction-of-epoch``), and neither a step nor the name states when it was saved.
    """
    step = _first_whole_number(tree, STEP_KEYS)
    name = file_names[0]
    epoch = _epoch_in_contents(tree, name, step)
    # A copy (best, last) with a negative epoch is dated by its name.
    if epoch is not None and not (epoch < 0 and is_copy(name)):
        return EpochAndStep(epoch, CONTENTS, step)
    for name, source in zip(file_names, (FILE_NAME, FOLDER_NAME), strict=False):
        if step is None:
            step = parse(name).step
        epoch = epoch_alone(name)
        if epoch is not None:
            return EpochAndStep(epoch, source, step)
    return EpochAndStep(None, None, step)


def _epoch_in_contents(tree: Any, name: str, step: int | None) -> int | None:
    """Return the number of the epoch that the trainer stored; ``name`` is that of the
    file.
    """
    epoch = _stated_epoch(tree, name, step)
    # Ignite
    iteration = _first_whole_number(tree, ["trainer.iteration"])
    length = _first_whole_number(tree, ["trainer.epoch_length"])
    if iteration is not None and length is not None and length > 0:
        epoch = iteration // length
    # MMEngine's loop over iterations always stores the epoch 0; its loop over epochs
    # begins with 1.
    if (
        _first_number(tree, ["meta.epoch"]) == 0
        and (_first_number(tree, ["meta.iter"]) or 0) > 0
    ):
        epoch = None
    # Lightning before 1.6 stores the next epoch, except at the end of a training with
    # max_steps.
    version = tree.get("pytorch-lightning_version") if isinstance(tree, dict) else None
    if (
        epoch
        and isinstance(version, str)
        and _STORES_NEXT_EPOCH.match(version)
        and epoch_alone(name) != epoch
    ):
        epoch -= 1
    if epoch is None and (isinstance(tree, list) or type(tree) is tuple):
        # (model, optimizer, epoch): its only whole number is the epoch, unless it is
        # large enough for a step.
        numbers = [value for value in tree if type(value) is int]
        if len(numbers) == 1 and 0 <= numbers[0] < MIN_STEP_NUMBER:
            epoch = numbers[0]
    return epoch


def _stated_epoch(tree: Any, name: str, step: int | None) -> int | None:
    """Return the epoch in the contents; of a fraction, the epoch counts only if a step
    states the moment in it (Hugging Face).
    """
    stated = _first_number(tree, EPOCH_KEYS)
    if stated is None or stated.is_integer() or step is not None:
        return None if stated is None else floor(stated)
    if epoch_alone(name) is None:
        raise UnreadableError(
            fraction_of_epoch(f"{stated:g}"), code="fraction-of-epoch", epoch=stated
        )
    return None


def fraction_of_epoch(epoch: str) -> str:
    """Return why a checkpoint with a fraction of an epoch is not used, and what to
    do.
    """
    return (
        f"states the epoch {epoch}, and dsi numbers epochs by whole numbers; name all"
        " files of the run by their steps, as in step_1500.pt"
    )


def epochs_completed(epoch: int | None, counts_from: int | None) -> int | None:
    """Return the number of finished epochs if a trainer counts from a number, or None
    if it is unknown.
    """
    if epoch is None or counts_from is None or epoch < 0:
        return None
    return epoch + 1 - counts_from


def _first_whole_number(tree: Any, keys: Sequence[str]) -> int | None:
    """Return the first number under one of the keys, rounded down."""
    number = _first_number(tree, keys)
    return None if number is None else floor(number)


def _first_number(tree: Any, keys: Sequence[str]) -> float | None:
    """Return the first finite number under one of the keys."""
    for key in keys:
        node = tree
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        # The metadata of safetensors are texts.
        if (
            key.startswith("__metadata__")
            and isinstance(node, str)
            and re.fullmatch(r"-?\d{1,12}", node)
        ):
            return float(node)
        if isinstance(node, Tensor) and node.shape in ((), (1,)):
            with suppress(CheckpointError):
                node = node.read().item()
        if (
            isinstance(node, int | float)
            and not isinstance(node, bool)
            and isfinite(node)
            and abs(node) < 1e12
        ):
            return float(node)
    return None
