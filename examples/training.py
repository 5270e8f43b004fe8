"""Train a small CNN on images in memory, and keep what dsi reads.

The scripts that plant faults share this training.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from models import SmallCNN
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

BATCH = 64
LAST_EPOCHS = 3
"""The number of epochs whose predictions on the training images are kept."""


class Split(NamedTuple):
    """Images and the indices of their classes."""

    images: Tensor
    targets: Tensor


def trained_epochs(
    model: SmallCNN, training: Split, epochs: int
) -> Iterator[tuple[int, float | None]]:
    """Train a network, and yield each finished epoch with its mean loss.

    Epoch 0 is the network before training, which has no loss.
    """
    optimizer = torch.optim.SGD(
        model.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    steps = epochs * -(-len(training.targets) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, steps)
    yield 0, None
    for epoch in range(1, epochs + 1):
        yield epoch, train_epoch(model, optimizer, schedule, training)


def train_epoch(
    model: SmallCNN,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    training: Split,
) -> float:
    """Train for one epoch and return the mean loss."""
    model.train()
    losses = []
    for chosen in torch.randperm(len(training.targets)).split(BATCH):
        logits = model(training.images[chosen])
        loss = functional.cross_entropy(logits, training.targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if schedule.last_epoch < schedule.total_steps:  # type: ignore[attr-defined]
            schedule.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


@torch.no_grad()
def logits_of(model: SmallCNN, images: Tensor) -> Tensor:
    """Return the logits ``(N, C)`` in the mode of evaluation."""
    model.eval()
    return torch.cat([model(batch) for batch in images.split(500)])


def write_run(
    out: Path,
    model: SmallCNN,
    training: Split,
    test: Split,
    names: Sequence[str],
    epochs: int,
) -> float:
    """Train a network, and write its heads, predictions, log and class names.

    Return the last accuracy on test.
    """
    out.mkdir(parents=True)
    on_test, on_train, log = [], [], []
    for epoch, loss in trained_epochs(model, training, epochs):
        on_test.append(logits_of(model, test.images).argmax(1))
        accuracy = float((on_test[-1] == test.targets).float().mean())
        log.append((epoch, loss, accuracy))
        if epoch > epochs - LAST_EPOCHS:
            on_train.append(logits_of(model, training.images).argmax(1))
        head = {f"fc.{name}": value for name, value in model.fc.state_dict().items()}
        name = f"epoch_{epoch:03}.safetensors"
        save_file(head, out / name, metadata={"epoch": str(epoch)})
        print(f"{out.name}  epoch {epoch:2}  accuracy {accuracy:.3f}", flush=True)
    np.save(out / "preds.npy", indices(torch.stack(on_test)))
    np.save(out / "targets.npy", indices(test.targets))
    np.save(out / "preds_train.npy", indices(torch.stack(on_train)))
    np.save(out / "targets_train.npy", indices(training.targets))
    (out / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    with (out / "log.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("epoch", "train_loss", "test_acc"), *log])
    return accuracy


def indices(classes: Tensor) -> NDArray[np.int16]:
    """Return class indices as they are written."""
    return classes.numpy().astype(np.int16)
