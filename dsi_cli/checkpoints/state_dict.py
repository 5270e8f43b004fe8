"""Read all weights of one checkpoint's model, to load them into the user's model.

The weights are the state dict in which the classifier was found, or the largest one if the file has no classifier. No code is
executed.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from typing import Any

from numpy.typing import NDArray

from dsi_cli.checkpoints import head, trainers
from dsi_cli.checkpoints.discovery import CheckpointFile
from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.scan import HeadOptions, open_checkpoint
from dsi_cli.checkpoints.tensors import Tensor, itemsize
from dsi_cli.checkpoints.trainers import NestedStateDict
from dsi_cli.errors import NoHeadError, UnreadableError

_MAX_EXTRA_BYTES, _MAX_FILE_MULTIPLE = 32 << 20, 3
"""The weights may have 32 MiB more than three times the size of the file, because tied weights are stored once."""


@dataclass(frozen=True)
class StateDict:
    """The weights of a model."""

    arrays: dict[str, NDArray[Any]]
    head: str | None
    """The name of the classifier's weight, if it was found."""


def read_state_dict(file: CheckpointFile, options: HeadOptions, classes: int | None = None) -> StateDict:
    """Return the weights of a checkpoint's model; parameters as for `dsi_cli.checkpoints.scan.scan_checkpoint`.

    Raise `CheckpointError` if the file cannot be read, or holds no weights.
    """
    with ExitStack() as stack:
        _, content, sources = open_checkpoint(file, stack)
        group, head_name = _choose_state_dict(content, options, classes)
        # Refuse views of one storage that would take far more memory than the file.
        size = sum(prod(tensor.shape) * itemsize(tensor.dtype) for tensor in group.tensors.values())
        file_size = max(file.bytes, sum(source.size for source in sources))
        if size > _MAX_EXTRA_BYTES + _MAX_FILE_MULTIPLE * file_size:
            message = f"its tensors have {size} bytes, which is more than the file ({file_size}) can hold"
            raise UnreadableError(message, code="tensors-exceed-file", size=size, file_size=file_size)
        return StateDict({name: content.read(tensor) for name, tensor in group.tensors.items()}, head_name)


def state_dict_tensors(file: CheckpointFile, options: HeadOptions, classes: int | None = None) -> dict[str, Tensor]:
    """Return the tensors of these weights without reading their values; parameters and errors as for `read_state_dict`."""
    with ExitStack() as stack:
        _, content, _ = open_checkpoint(file, stack)
        return _choose_state_dict(content, options, classes)[0].tensors


def _choose_state_dict(
    content: CheckpointContent, options: HeadOptions, classes: int | None
) -> tuple[NestedStateDict, str | None]:
    groups = trainers.state_dicts(content.tree)
    try:
        chosen = head.choose_head(groups, options.role, head_name=options.head, classes=classes, outputs=content.outputs)
    except NoHeadError:
        usable = [group for group in groups if group.role == options.role] or groups
        if not usable or options.head is not None:
            raise
        return max(usable, key=lambda group: len(group.tensors)), None
    for group in groups:
        if (group.path, group.role) == (chosen.path, chosen.role) and chosen.name in group.tensors:
            return group, chosen.name
    raise AssertionError("the head is in one of the state dicts")
