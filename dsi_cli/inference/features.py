"""The outputs of a model as arrays: its logits or features, and the inputs of its classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dsi_cli.errors import UnreadableError, UsageError


def tensor_of(outputs: Any) -> torch.Tensor:
    """Return the logits or the features from the outputs of a model."""
    for name in ("logits", "pooler_output", "image_embeds", "last_hidden_state"):
        tensor = getattr(outputs, name, None)
        if isinstance(tensor, torch.Tensor):
            return tensor[:, 0] if name == "last_hidden_state" else tensor
    if isinstance(outputs, tuple | list) and outputs:
        outputs = outputs[0]
    if not isinstance(outputs, torch.Tensor):
        kind = type(outputs).__name__
        raise UsageError(
            f"the model returns a {kind}; expected a tensor of (batch, classes)", code="not-a-tensor", type=kind
        )
    return outputs


class Features:
    """The inputs of the classifier module, recorded by a forward hook while a model runs."""

    def __init__(self, model: torch.nn.Module, head: str | None) -> None:
        self.head = head
        self._inputs: torch.Tensor | None = None
        self._hook: Any = None
        if head is not None:
            if isinstance(model, torch.jit.ScriptModule):
                message = "features within TorchScript are not accessible; give the model's Python code with --model"
                raise UsageError(message, code="torchscript-features")
            self._module = model.get_submodule(head)

    def __enter__(self) -> Features:
        if self.head is not None:
            self._hook = self._module.register_forward_pre_hook(self._record, with_kwargs=True)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._hook is not None:
            self._hook.remove()

    def _record(self, _module: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._inputs = arguments[0] if arguments else next(iter(named.values()))

    def read(self, outputs: torch.Tensor | None, rows: int) -> NDArray[np.float64] | None:
        """Return the features ``(rows, d)`` of the last batch; None without ``outputs`` and without a head."""
        tensor = outputs if outputs is not None else self._inputs
        if tensor is None:
            if self.head is not None:
                message = f"the model does not call its classifier {self.head}: its features are not accessible"
                raise UsageError(message, code="head-not-called", head=self.head)
            return None
        self._inputs = None
        if tensor.dim() == 4:
            tensor = tensor.mean((2, 3))
        if tensor.dim() != 2 or len(tensor) != rows:
            shape = tuple(tensor.shape)
            message = f"the features have shape {shape}; expected (batch, width), one row per sample"
            raise UsageError(message, code="feature-shape", shape=shape)
        features: NDArray[np.float64] = tensor.cpu().double().numpy()
        if not np.isfinite(features).all():
            raise UnreadableError("the model's features are NaN or infinite", code="features-not-finite")
        return features
