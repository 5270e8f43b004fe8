"""The weights of a live model in the form of a checkpoint's contents, so that dsi finds its classifier in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import head, trainers
from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.head import Head
from dsi_cli.checkpoints.tensors import Storage, contiguous
from dsi_cli.errors import AmbiguousHeadError, ClassCountError, NoHeadError, UsageError


def content(model: Any) -> CheckpointContent:
    """Return the weights of a module or of a state dict like the content of a file, without copying them.

    Raises
    ------
    UsageError
        The argument is neither a module nor a state dict.
    """
    state = model.state_dict() if hasattr(model, "state_dict") else model
    if not isinstance(state, Mapping):
        raise UsageError(
            f"expected a model, its state dict or a weight (classes, features), not a {type(model).__name__}",
            code="not-a-model",
        )
    arrays = {name: value for name, value in state.items() if hasattr(value, "shape") and hasattr(value, "dtype")}
    tensors = {}
    for name, value in arrays.items():
        dtype, shape = str(value.dtype).removeprefix("torch."), tuple(map(int, value.shape))
        tensors[str(name)] = contiguous(dtype, shape, Storage(str(name), dtype, prod(shape)))
    return CheckpointContent(tensors, lambda tensor: array(arrays[tensor.storage.key]))


def find_head(content: CheckpointContent, name: str | None, classes: int | None) -> Head:
    """Return the classifier head.

    Parameters
    ----------
    content : the weights
    name : the name of the head's weight; found automatically if None
    classes : the number of labels, if known

    Raises
    ------
    UsageError
        There is no head, or there are several candidates; the message lists them.
    """
    groups = trainers.state_dicts(content.tree)
    try:
        try:
            return head.choose_head(groups, trainers.RAW, head_name=name, classes=classes)
        except ClassCountError:
            return head.choose_head(groups, trainers.RAW, head_name=name)  # the caller reports both numbers
    except (NoHeadError, AmbiguousHeadError) as error:
        # In the command, the parameter is an option.
        raise UsageError(str(error).replace("--head ", "head="), code=error.code) from None


def array(value: Any) -> NDArray[np.float32]:
    """Return a float32 copy of an array, or of a tensor on any device."""
    if not hasattr(value, "detach"):
        return np.array(value, dtype=np.float32)
    value = value.detach()
    if hasattr(value, "full_tensor"):
        value = value.full_tensor()  # collects a sharded tensor from all processes
    copy: NDArray[np.float32] = value.float().cpu().numpy().copy()
    return copy
