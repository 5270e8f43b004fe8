"""Confusion counts from a pass over validation data on the model's device, without
disturbing the training.

Counts are ``(C, C)`` int64; rows are the true classes, columns the predictions.
``no_grad`` turns gradients off, and not ``inference_mode``, because a module that keeps
an inference tensor for its next forward pass could no longer be trained.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from dsi_cli.errors import UnreadableError, UsageError
from dsi_cli.inference.evaluator import tensor_of

BatchRunner = Callable[[Any], tuple[Any, torch.Tensor]]
"""A function that returns the model's outputs and the targets ``(N,)`` of a batch."""
TARGET_KEYS = ("labels", "label", "targets", "target")
"""The possible keys of the targets in a batch that is a mapping; all other entries are
inputs of the model.
"""


def confusion(
    model: torch.nn.Module,
    batches: Iterable[Any],
    classes: int,
    run_batch: BatchRunner | None = None,
) -> torch.Tensor:
    """Return how often each true class was predicted as each class, from one pass in
    evaluation mode.

    Parameters
    ----------
    model : the model; afterwards, its modes and the states of the random generators are
        the same as before.
    batches : batches of (images, targets), or mappings with targets under one of
        `TARGET_KEYS`.
    classes : the number of columns of the model's outputs.
    run_batch : a function that runs a batch; if None, the batch is moved to the model's
        device and passed to the model.

    Raises
    ------
    UsageError
        A batch or the outputs do not have the expected form.
    UnreadableError
        A target is not a class, or an output is NaN.
    """
    if isinstance(model, torch.nn.parallel.DistributedDataParallel):
        model = model.module
    device = device_of(model)

    def move(value: Any) -> Any:
        return value.to(device) if isinstance(value, torch.Tensor) else value

    def run(batch: Any) -> tuple[Any, torch.Tensor]:
        if run_batch is not None:
            return run_batch(batch)
        inputs, targets = split(batch)
        if isinstance(inputs, Mapping):
            return model(**{name: move(value) for name, value in inputs.items()}), move(
                targets
            )
        return model(move(inputs)), move(targets)

    counts = torch.zeros(classes * classes + 1, dtype=torch.int64, device=device)
    with _evaluation_mode(model, batches), torch.no_grad():
        for batch in batches:
            outputs, targets = run(batch)
            logits = tensor_of(outputs)
            if (
                not isinstance(targets, torch.Tensor)
                or logits.shape != (len(targets), classes)
                or targets.dim() != 1
            ):
                shapes = (
                    f"outputs {tuple(logits.shape)} and targets"
                    f" {tuple(getattr(targets, 'shape', ()))}"
                )
                message = (
                    f"{shapes}; expected (batch, {classes}) and (batch,): images,"
                    " classes"
                )
                raise UsageError(message, code="invalid-batch")
            # Count in one cell per pair of classes, and invalid samples in the last
            # cell, without waiting for the device.
            is_invalid = (targets < 0) | (targets >= classes) | logits.isnan().any(1)
            cells = torch.where(
                is_invalid,
                classes * classes,
                targets.long() * classes + logits.argmax(1),
            )
            counts += torch.bincount(cells, minlength=len(counts)).to(counts.device)
    if counts[-1]:
        message = (
            f"{int(counts[-1])} samples have a target outside 0 to {classes - 1}, or"
            " NaN for an output"
        )
        raise UnreadableError(message, code="invalid-targets")
    return counts[:-1].reshape(classes, classes)


def pooled(
    count: Callable[[], torch.Tensor],
    classes: int,
    add: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Return the sum of the counts of all processes, from functions that count in this
    process and sum a tensor over all.

    A process that fails still takes part in the sum, so that the other processes do not
    wait forever. Raise `UnreadableError` if another process failed. An error in this
    process is raised unchanged.
    """
    failure: Exception | None = None
    try:
        counts = count()
        device = counts.device
    except Exception as error:  # noqa: BLE001 (raised below, after the sum over all processes)
        failure, device = error, None
        counts = torch.zeros(classes, classes, dtype=torch.int64)
    total = add(
        torch.cat(
            [
                counts.flatten(),
                torch.tensor([failure is not None], dtype=torch.int64, device=device),
            ]
        )
    )
    if failure is not None:
        raise failure
    if total[-1]:
        raise UnreadableError(
            "the validation pass failed in another process", code="other-process-failed"
        )
    return total[:-1].reshape(classes, classes)


def device_of(model: torch.nn.Module) -> torch.device:
    """Return the device of the model's first parameter."""
    return next(
        (parameter.device for parameter in model.parameters()), torch.device("cpu")
    )


def split(batch: Any) -> tuple[Any, Any]:
    """Return the model's inputs and the targets of a batch; errors as in
    `confusion`.
    """
    if isinstance(batch, tuple | list) and len(batch) >= 2:
        return batch[0], batch[1]
    if isinstance(batch, Mapping):
        for name in TARGET_KEYS:
            if name in batch:
                return {
                    key: value for key, value in batch.items() if key != name
                }, batch[name]
    expected = f"expected (images, targets) or a mapping with {TARGET_KEYS[0]!r}"
    raise UsageError(
        f"a validation batch is a {type(batch).__name__}; {expected}",
        code="invalid-batch",
    )


@contextmanager
def _evaluation_mode(model: torch.nn.Module, loader: Any) -> Iterator[None]:
    """Set the model to evaluation mode; afterwards, restore the mode of each module and
    all random states.
    """
    modes = [(module, module.training) for module in model.modules()]
    device, generator = device_of(model), getattr(loader, "generator", None)
    states = (
        random.getstate(),
        np.random.get_state(),
        None if generator is None else generator.get_state(),
    )
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        model.eval()
        try:
            yield
        finally:
            model.train(modes[0][1])  # some modules do more than set a flag
            for module, mode in modes:
                module.training = mode
            random.setstate(states[0])
            np.random.set_state(states[1])
            if generator is not None:
                generator.set_state(states[2])
