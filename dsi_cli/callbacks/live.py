"""A live model's weights as the reader of checkpoints sees a file, so that its classifier is found by the same evidence."""

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
    """Return the weights of a module or of its state dict as they would lie in a file; nothing is copied yet.

    Raises
    ------
    UsageError
        It is neither.
    """
    state = model.state_dict() if hasattr(model, "state_dict") else model
    if not isinstance(state, Mapping):
        raise UsageError(f"expected a model, its state dict or a weight (classes, features), not a {type(model).__name__}")
    shaped = {name: value for name, value in state.items() if hasattr(value, "shape") and hasattr(value, "dtype")}
    tensors = {}
    for name, value in shaped.items():
        dtype, shape = str(value.dtype).removeprefix("torch."), tuple(map(int, value.shape))
        tensors[str(name)] = contiguous(dtype, shape, Storage(str(name), dtype, prod(shape)))
    return CheckpointContent(tensors, lambda tensor: array(shaped[tensor.storage.key]))


def find_head(content: CheckpointContent, wanted: str | None, classes: int | None) -> Head:
    """Return the classifier; parameters as for `dsi_cli.checkpoints.head.choose_head`.

    Raises
    ------
    UsageError
        There is none, or several are equally good; the message lists the candidates.
    """
    groups = trainers.state_dicts(content.tree)
    try:
        try:
            return head.choose_head(groups, trainers.RAW, head_name=wanted, classes=classes)
        except ClassCountError:
            return head.choose_head(groups, trainers.RAW, head_name=wanted)  # so that the caller can name both numbers
    except (NoHeadError, AmbiguousHeadError) as error:
        # The option of the command is a parameter here.
        raise UsageError(str(error).replace("--head ", "head=")) from None


def array(value: Any) -> NDArray[np.float32]:
    """Return a copy of a tensor, on whatever device, or of an array, as float32."""
    if not hasattr(value, "detach"):
        return np.array(value, dtype=np.float32)
    value = value.detach()
    if hasattr(value, "full_tensor"):
        value = value.full_tensor()  # sharded: every process takes part
    copied: NDArray[np.float32] = value.float().cpu().numpy().copy()
    return copied
