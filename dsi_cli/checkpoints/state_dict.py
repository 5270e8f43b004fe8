"""All weights of one checkpoint's model, as arrays under their names: what a model of the user's own is filled with.

The state dict is the one in which the classifier was found; without a classifier, the largest. Nothing is executed.
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

_SMALL, _MOST_TIMES = 32 << 20, 3
"""What the weights may take: so many bytes more than so many times the file. Tied weights are shared once or twice."""


@dataclass(frozen=True)
class StateDict:
    """The weights of a model."""

    arrays: dict[str, NDArray[Any]]
    head: str | None
    """The classifier's weight among them."""


def read_state_dict(file: CheckpointFile, choice: HeadOptions, classes: int | None = None) -> StateDict:
    """Return the weights of a checkpoint's model; parameters as for `dsi_cli.checkpoints.scan.scan_checkpoint`.

    Raises
    ------
    CheckpointError
        The file cannot be read, or holds no weights.
    """
    with ExitStack() as stack:
        _, content, sources = open_checkpoint(file, stack)
        group, name = _group(content, choice, classes)
        _require_room(group, max(file.bytes, sum(source.size for source in sources)))
        return StateDict({key: content.read(tensor) for key, tensor in group.tensors.items()}, name)


def state_dict_tensors(file: CheckpointFile, choice: HeadOptions, classes: int | None = None) -> dict[str, Tensor]:
    """Return what these weights are, without reading them; parameters and errors as for `read_state_dict`."""
    with ExitStack() as stack:
        _, content, _ = open_checkpoint(file, stack)
        return _group(content, choice, classes)[0].tensors


def _require_room(group: NestedStateDict, held: int) -> None:
    """Refuse weights that are far more than the file holds: views of one storage, named again and again."""
    wanted = sum(prod(tensor.shape) * itemsize(tensor.dtype) for tensor in group.tensors.values())
    if wanted > _SMALL + _MOST_TIMES * held:
        raise UnreadableError(f"its tensors have {wanted} bytes, which is more than the file ({held}) can hold")


def _group(content: CheckpointContent, choice: HeadOptions, classes: int | None) -> tuple[NestedStateDict, str | None]:
    groups = trainers.state_dicts(content.tree, trainers.trainer_of(content.tree).name)
    role = trainers.EMA if choice.ema else trainers.RAW
    try:
        picked = head.choose_head(groups, role, wanted=choice.head, classes=classes, outputs=content.outputs)
    except NoHeadError:
        usable = [group for group in groups if group.role == role] or groups
        if not usable or choice.head is not None:
            raise
        return max(usable, key=lambda group: len(group.tensors)), None
    return next(
        g for g in groups if (g.path, g.role) == (picked.path, picked.role) and picked.name in g.tensors
    ), picked.name
