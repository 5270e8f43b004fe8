"""A checkpoint's weights into a model, in place and strictly: every name and shape must fit.

Trainers put a wrapper's name before the model's (``module.``, ``model.``); the classifier's name, or the most names that fit,
says which. What lies beside the model under another name (a criterion, a metric) is none of the model's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from dsi_cli.checkpoints.state import State
from dsi_cli.errors import UnreadableError

_INNER = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_LISTED = 4
_PARTS_OF_WEIGHT = re.compile(r"\.(weight|weight_orig|weight_v|parametrizations\.weight\.original1)$")


def load(model: torch.nn.Module, state: State) -> str | None:
    """Copy a checkpoint's weights into a model; return the name of the module that is the classifier, None without one.

    Raises
    ------
    UnreadableError
        A name is missing or unexpected, or a shape differs; the message lists them.
    """
    own = model.state_dict()
    arrays = {_INNER.sub("", name): array for name, array in state.arrays.items()}
    head = _INNER.sub("", state.head) if state.head is not None else None
    prefix = _prefix(own, arrays, head)
    given = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    _require_same(own, given)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.from_numpy(given[name]))
    return None if head is None else _PARTS_OF_WEIGHT.sub("", head.removeprefix(prefix))


def _prefix(own: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], head: str | None) -> str:
    """Return what stands before the model's own names in the checkpoint."""
    found: dict[str, int] = {}
    for name in arrays:
        parts = name.split(".")
        for taken in range(len(parts)):
            if ".".join(parts[taken:]) in own:
                prefix = ".".join((*parts[:taken], "")) if taken else ""
                found[prefix] = found.get(prefix, 0) + 1
    if head is not None:
        found = {prefix: fits for prefix, fits in found.items() if head.startswith(prefix)}
    return max(found, key=lambda prefix: (found[prefix], -len(prefix)), default="")


def _require_same(own: Mapping[str, torch.Tensor], given: Mapping[str, NDArray[Any]]) -> None:
    missing = [name for name in own if name not in given]
    unexpected = [name for name in given if name not in own]
    shapes = [
        f"{name} {tuple(given[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in given and tuple(given[name].shape) != tuple(own[name].shape)
    ]
    problems = [
        f"{len(found)} {what} ({_listed(found)})"
        for what, found in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if found
    ]
    if problems:
        raise UnreadableError(f"the weights do not fit the model: {'; '.join(problems)}; give the right one with --model")


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:_LISTED]) + (", ..." if len(found) > _LISTED else "")
