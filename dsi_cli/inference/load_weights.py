"""Load a checkpoint's weights into a model, in place and strictly: every name and shape must match.

Trainers add the prefix of a wrapper to names (``module.``, ``model.``). The prefix is found from the classifier's name, or from
the number of names that match. Weights without the prefix, such as those of a criterion or a metric, do not belong to the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from numpy.typing import NDArray

from dsi_cli.checkpoints.state_dict import StateDict
from dsi_cli.errors import UnreadableError

_INNER = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_LISTED = 4
_PARTS_OF_WEIGHT = re.compile(r"\.(weight|weight_orig|weight_v|parametrizations\.weight\.original1)$")


def load_weights(model: torch.nn.Module, state: StateDict) -> str | None:
    """Copy a checkpoint's weights into a model; return the name of the classifier module, or None.

    Raise `UnreadableError` if a name is missing or unexpected, or a shape differs.
    """
    arrays = {_INNER.sub("", name): array for name, array in state.arrays.items()}
    head = _INNER.sub("", state.head) if state.head is not None else None
    matches = [_Match(tensors, arrays, head) for tensors in _naming_schemes(model)]
    best = min(matches, key=lambda match: match.problems)
    best.require_none()
    with torch.no_grad():
        for name, tensor in best.tensors.items():
            tensor.copy_(torch.from_numpy(best.arrays[name]))
    if head is None:
        return None
    weight = best.tensors[head.removeprefix(best.prefix)]
    name = next(name for name, tensor in model.state_dict().items() if _is_same(tensor, weight))
    return _PARTS_OF_WEIGHT.sub("", name)


def _naming_schemes(model: torch.nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the model's tensors by their names in the model, and by their names in files of Hugging Face's library."""
    tensors = model.state_dict()
    yield {_INNER.sub("", name): tensor for name, tensor in tensors.items()}
    if type(model).__module__.startswith("transformers."):
        try:
            from transformers.core_model_loading import revert_weight_conversion
        except ImportError:  # before version 5 the names were the same
            return
        in_files = revert_weight_conversion(cast(Any, model), tensors)
        if len(in_files) == len(tensors) and all(any(_is_same(a, b) for b in tensors.values()) for a in in_files.values()):
            yield dict(in_files)


def _is_same(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    return tensor.data_ptr() == other.data_ptr() and tensor.shape == other.shape


class _Match:
    """The weights of a checkpoint and of a model under one naming scheme."""

    def __init__(self, tensors: dict[str, torch.Tensor], arrays: Mapping[str, NDArray[Any]], head: str | None) -> None:
        self.tensors, self.prefix = tensors, _find_prefix(tensors, arrays, head)
        self.arrays = {
            name.removeprefix(self.prefix): array for name, array in arrays.items() if name.startswith(self.prefix)
        }
        self.missing = [name for name in tensors if name not in self.arrays]
        self.unexpected = [name for name in self.arrays if name not in tensors]
        self.shapes = [
            f"{name} {tuple(self.arrays[name].shape)} for {tuple(tensor.shape)}"
            for name, tensor in tensors.items()
            if name in self.arrays and tuple(self.arrays[name].shape) != tuple(tensor.shape)
        ]

    @property
    def problems(self) -> int:
        """The number of names and shapes that do not match."""
        return len(self.missing) + len(self.unexpected) + len(self.shapes)

    def require_none(self) -> None:
        """Raise `UnreadableError` with the names and shapes that do not match, if any."""
        problems = (("missing", self.missing), ("unexpected", self.unexpected), ("of another shape", self.shapes))
        listed = []
        for problem, names in problems:
            if names:
                more = ", ..." if len(names) > _LISTED else ""
                listed.append(f"{len(names)} {problem} ({', '.join(names[:_LISTED])}{more})")
        if listed:
            raise UnreadableError(
                f"the weights do not fit the model: {'; '.join(listed)}",
                code="weights-do-not-fit",
                missing=self.missing,
                unexpected=self.unexpected,
            )


def _find_prefix(tensors: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], head: str | None) -> str:
    """Return the prefix of the model's names in the checkpoint that matches the most names."""
    counts: dict[str, int] = {}
    for name in arrays:
        parts = name.split(".")
        for length in range(len(parts)):
            if ".".join(parts[length:]) in tensors:
                prefix = "".join(f"{part}." for part in parts[:length])
                counts[prefix] = counts.get(prefix, 0) + 1
    if head is not None:
        counts = {prefix: count for prefix, count in counts.items() if head.startswith(prefix)}
    return max(counts, key=lambda prefix: (counts[prefix], -len(prefix)), default="")
