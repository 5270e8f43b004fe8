"""What comes out of a model, as arrays: logits or features out of whatever it returns, and what its classifier takes in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dsi_cli.errors import UnreadableError, UsageError


def tensor_of(outputs: Any) -> torch.Tensor:
    """Return the logits, or the features, out of whatever a model returns."""
    for name in ("logits", "pooler_output", "image_embeds", "last_hidden_state"):
        found = getattr(outputs, name, None)
        if isinstance(found, torch.Tensor):
            return found[:, 0] if name == "last_hidden_state" else found
    if isinstance(outputs, tuple | list) and outputs:
        outputs = outputs[0]
    if not isinstance(outputs, torch.Tensor):
        raise UsageError(f"the model returns a {type(outputs).__name__}; expected a tensor of (batch, classes)")
    return outputs


class Features:
    """What the classifier's module takes in, caught by a hook while a model runs."""

    def __init__(self, model: torch.nn.Module, head: str | None) -> None:
        self.head = head
        self._caught: torch.Tensor | None = None
        self._hook: Any = None
        if head is not None:
            if isinstance(model, torch.jit.ScriptModule):
                raise UsageError("features cannot be caught within TorchScript: give the model's own code with --model")
            self._module = model.get_submodule(head)

    def __enter__(self) -> Features:
        if self.head is not None:
            self._hook = self._module.register_forward_pre_hook(self._catch, with_kwargs=True)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._hook is not None:
            self._hook.remove()

    def _catch(self, _module: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._caught = arguments[0] if arguments else next(iter(named.values()))

    def of(self, outputs: torch.Tensor | None, rows: int) -> NDArray[np.float64] | None:
        """Return the features ``(rows, d)`` of the batch that has just passed; None where they are not wanted."""
        found = outputs if outputs is not None else self._caught
        if found is None:
            if self.head is not None:
                raise UsageError(f"the model does not call its classifier {self.head}: its features cannot be had")
            return None
        self._caught = None
        if found.dim() == 4:
            found = found.mean((2, 3))
        if found.dim() != 2 or len(found) != rows:
            shape = tuple(found.shape)
            raise UsageError(f"the features have shape {shape}; expected (batch, width), one a sample")
        features: NDArray[np.float64] = found.cpu().double().numpy()
        if not np.isfinite(features).all():
            raise UnreadableError("the model's features are NaN or infinite")
        return features
