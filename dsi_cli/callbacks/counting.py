"""A pass over validation data -> confusion counts, on the model's device, and the training that goes on undisturbed.

Counts are ``(C, C)`` int64: rows are the truth, columns the prediction. Gradients are off by ``no_grad`` and not by
``inference_mode``: a module that keeps a tensor of the latter for its next forward pass could not be trained on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from dsi_cli.errors import UnreadableError, UsageError
from dsi_cli.inference.features import tensor_of

Answer = Callable[[Any], tuple[Any, torch.Tensor]]
"""A batch -> the model's outputs and the targets ``(N,)``."""
TARGETS = ("labels", "label", "targets", "target")
"""Under which of these a batch that is a mapping holds its targets; the rest is what the model takes."""


def confusion(model: torch.nn.Module, batches: Iterable[Any], classes: int, answer: Answer | None = None) -> torch.Tensor:
    """Return how often each class was taken for each, in one pass in evaluation mode.

    Parameters
    ----------
    model : its modes are as before when this returns, and so are the states of the random generators
    batches : of (images, targets), or mappings that hold targets under one of `TARGETS`
    classes : columns of the model's outputs
    answer : how a batch is run; None: moved to the model's device and handed to it

    Raises
    ------
    UsageError
        A batch or the outputs are not of the form expected.
    UnreadableError
        A target is no class, or an output NaN.
    """
    model = model.module if isinstance(model, torch.nn.parallel.DistributedDataParallel) else model
    run = _Bare(model) if answer is None else answer
    counts = torch.zeros(classes * classes + 1, dtype=torch.int64, device=device_of(model))
    with _undisturbed(model, batches), torch.no_grad():
        for batch in batches:
            outputs, targets = run(batch)
            counts += torch.bincount(_cells(tensor_of(outputs), targets, classes), minlength=len(counts)).to(counts.device)
    if counts[-1]:
        raise UnreadableError(f"{int(counts[-1])} samples have a target outside 0 to {classes - 1}, or NaN for an output")
    return counts[:-1].reshape(classes, classes)


def pooled(count: Callable[[], torch.Tensor], classes: int, add: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Return the counts of all processes; one that fails still takes part in the sum, so that none waits for it forever.

    Parameters
    ----------
    count : this process's counts
    add : a tensor -> its sum over processes

    Raises
    ------
    UnreadableError
        Another process failed; what fails in this one is raised as it is.
    """
    failure: Exception | None = None
    try:
        counts = count()
        device = counts.device
    except Exception as error:  # noqa: BLE001 (raised below, once the others have been served)
        failure, device = error, None
        counts = torch.zeros(classes, classes, dtype=torch.int64)
    total = add(torch.cat([counts.flatten(), torch.tensor([failure is not None], dtype=torch.int64, device=device)]))
    if failure is not None:
        raise failure
    if total[-1]:
        raise UnreadableError("the validation pass failed in another process")
    return total[:-1].reshape(classes, classes)


def device_of(model: torch.nn.Module) -> torch.device:
    """Return where the model's first parameter lies."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


class _Bare:
    """A batch run as it is: its tensors moved to the model's device and handed to the model."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model, self._device = model, device_of(model)

    def __call__(self, batch: Any) -> tuple[Any, torch.Tensor]:
        inputs, targets = split(batch)
        if isinstance(inputs, Mapping):
            return self._model(**{name: self._moved(value) for name, value in inputs.items()}), self._moved(targets)
        return self._model(self._moved(inputs)), self._moved(targets)

    def _moved(self, value: Any) -> Any:
        return value.to(self._device) if isinstance(value, torch.Tensor) else value


def split(batch: Any) -> tuple[Any, Any]:
    """Return what the model takes of a batch, and its targets; errors as for `confusion`."""
    if isinstance(batch, tuple | list) and len(batch) >= 2:
        return batch[0], batch[1]
    name = next((name for name in TARGETS if name in batch), None) if isinstance(batch, Mapping) else None
    if name is None:
        kind = type(batch).__name__
        raise UsageError(f"a validation batch is a {kind}; expected (images, targets) or a mapping with {TARGETS[0]!r}")
    return {key: value for key, value in batch.items() if key != name}, batch[name]


def _cells(logits: torch.Tensor, targets: torch.Tensor, classes: int) -> torch.Tensor:
    """Return the cell of each sample, row by row; ``classes ** 2`` for one that has none. Nothing waits for the device."""
    if not isinstance(targets, torch.Tensor) or logits.shape != (len(targets), classes) or targets.dim() != 1:
        found = f"outputs {tuple(logits.shape)} and targets {tuple(getattr(targets, 'shape', ()))}"
        raise UsageError(f"{found}; expected (batch, {classes}) and (batch,): images, classes")
    wrong = (targets < 0) | (targets >= classes) | logits.isnan().any(1)
    return torch.where(wrong, classes * classes, targets.long() * classes + logits.argmax(1))


@contextmanager
def _undisturbed(model: torch.nn.Module, loader: Any) -> Iterator[None]:
    """Put the model into evaluation mode, and each module's mode and all random states back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    device, generator = device_of(model), getattr(loader, "generator", None)
    states = random.getstate(), np.random.get_state(), None if generator is None else generator.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        model.eval()
        try:
            yield
        finally:
            model.train(modes[0][1])  # some modules do more than to set a flag
            for module, mode in modes:
                module.training = mode
            random.setstate(states[0])
            np.random.set_state(states[1])
            if generator is not None:
                generator.set_state(states[2])
