"""A checkpoint's weights into a model, in place and strictly: every name and shape must fit.

Trainers put a wrapper's name before the model's (``module.``, ``model.``); the classifier's name, or the most names that fit,
says which. What lies beside the model under another name (a criterion, a metric) is none of the model's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from numpy.typing import NDArray

from dsi_cli.checkpoints.state_dict import StateDict
from dsi_cli.errors import UnreadableError

_INNER = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_LISTED = 4
_PARTS_OF_WEIGHT = re.compile(r"\.(weight|weight_orig|weight_v|parametrizations\.weight\.original1)$")


def load_weights(model: torch.nn.Module, state: StateDict) -> str | None:
    """Copy a checkpoint's weights into a model; return the name of the module that is the classifier, None without one.

    Raises
    ------
    UnreadableError
        A name is missing or unexpected, or a shape differs; the message lists them.
    """
    arrays = {_INNER.sub("", name): array for name, array in state.arrays.items()}
    head = _INNER.sub("", state.head) if state.head is not None else None
    fits = [_Fit(own, arrays, head) for own in _namings(model)]
    best = min(fits, key=lambda fit: fit.problems)
    best.require_none()
    with torch.no_grad():
        for name, tensor in best.own.items():
            tensor.copy_(torch.from_numpy(best.given[name]))
    if head is None:
        return None
    weight = best.own[head.removeprefix(best.prefix)]
    name = next(name for name, tensor in model.state_dict().items() if _is_same(tensor, weight))
    return _PARTS_OF_WEIGHT.sub("", name)


def _namings(model: torch.nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the model's own weights by their names: as it has them, and as Hugging Face's library writes them to files."""
    own = model.state_dict()
    yield {_INNER.sub("", name): tensor for name, tensor in own.items()}
    if type(model).__module__.startswith("transformers."):
        try:
            from transformers.core_model_loading import revert_weight_conversion
        except ImportError:  # before version 5 the names were the same
            return
        written = revert_weight_conversion(cast(Any, model), own)
        if len(written) == len(own) and all(any(_is_same(a, b) for b in own.values()) for a in written.values()):
            yield dict(written)


def _is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape


class _Fit:
    """A checkpoint's weights beside a model's, under one naming of these."""

    def __init__(self, own: dict[str, torch.Tensor], arrays: Mapping[str, NDArray[Any]], head: str | None) -> None:
        self.own, self.prefix = own, _prefix(own, arrays, head)
        self.given = {
            name.removeprefix(self.prefix): array for name, array in arrays.items() if name.startswith(self.prefix)
        }
        self.missing = [name for name in own if name not in self.given]
        self.unexpected = [name for name in self.given if name not in own]
        self.shapes = [
            f"{name} {tuple(self.given[name].shape)} for {tuple(tensor.shape)}"
            for name, tensor in own.items()
            if name in self.given and tuple(self.given[name].shape) != tuple(tensor.shape)
        ]

    @property
    def problems(self) -> int:
        """How many names or shapes do not fit."""
        return len(self.missing) + len(self.unexpected) + len(self.shapes)

    def require_none(self) -> None:
        """Raise `UnreadableError` with what does not fit."""
        found = (("missing", self.missing), ("unexpected", self.unexpected), ("of another shape", self.shapes))
        told = [f"{len(names)} {what} ({_listed(names)})" for what, names in found if names]
        if told:
            raise UnreadableError(f"the weights do not fit the model: {'; '.join(told)}")


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


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
