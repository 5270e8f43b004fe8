"""Train a small CNN or a tiny ViT on CIFAR-100, and keep what dsi reads: a checkpoint
an epoch, the log, the predictions.

``python examples/train_cifar100.py --data DIR --model cnn --epochs 30 --out runs/cnn``

DIR is what torchvision unpacks (``cifar-100-python``), or has a folder ``train`` and a
folder ``test`` with a folder of images per class. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import models
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dsi_cli.errors import UsageError
from dsi_cli.inference.open_dataset import Samples, open_samples


class Recipe(NamedTuple):
    """How a network is built and trained."""

    build: Callable[[int], nn.Module]
    optimizer: Callable[..., torch.optim.Optimizer]
    rate: float
    """The highest learning rate: it rises to it over the warm-up, then falls to 0 along
    half a cosine.
    """
    warmup: int
    """Epochs."""
    batch: int


def sgd(parameters: Any, lr: float) -> torch.optim.Optimizer:
    """Return the CNN's optimiser."""
    return torch.optim.SGD(
        parameters, lr, momentum=0.9, weight_decay=5e-4, nesterov=True
    )


def adamw(parameters: Any, lr: float) -> torch.optim.Optimizer:
    """Return the ViT's optimiser."""
    return torch.optim.AdamW(parameters, lr, weight_decay=0.05)


RECIPES = {
    "cnn": Recipe(models.cnn, sgd, 0.1, 3, 128),
    "vit": Recipe(models.vit, adamw, 0.001, 4, 64),
}


class Split(NamedTuple):
    """A split in memory."""

    images: Tensor
    """(N, 3, 32, 32) uint8."""
    targets: Tensor
    """(N,) int64."""
    names: tuple[str, ...]


def load(folder: Path, *, train: bool) -> Split:
    """Return a split of the data."""
    is_torchvision = (folder / "cifar-100-python").is_dir()
    source = "CIFAR100" if is_torchvision else str(folder)
    samples: Samples = open_samples(
        source, root=str(folder) if is_torchvision else None, train=train
    )
    if samples.names is None:
        raise UsageError(
            f"{folder}: expected class names with the labels, found numbers alone; use"
            " a source that has names"
        )
    images = np.stack(
        [
            np.asarray(samples.image(place).convert("RGB").resize((32, 32)))
            for place in range(len(samples))
        ]
    )
    return Split(
        torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(samples.targets),
        samples.names,
    )


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images of a batch shifted by up to 4 pixels either way and half of them
    mirrored, each by its own chance.
    """
    count, size = len(images), images.shape[-1]
    padded = functional.pad(images, (4, 4, 4, 4))
    rows, columns = torch.randint(
        0, 9, (2, count, 1), generator=generator
    ) + torch.arange(size)
    columns = torch.where(
        torch.rand(count, 1, generator=generator) < 0.5, columns, columns.flip(1)
    )
    return padded[
        torch.arange(count)[:, None, None, None],
        torch.arange(3)[:, None, None],
        rows[:, None, :, None],
        columns[:, None, None],
    ]


def rate_at(step: int, steps: int, warmup: int) -> float:
    """Return the learning rate of a step, in parts of the highest.

    >>> [round(rate_at(step, 10, 2), 3) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.038]
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


class Preparation(NamedTuple):
    """How images go into the network."""

    mean: Tensor
    std: Tensor
    device: torch.device

    def __call__(self, images: Tensor) -> Tensor:
        """Return normalised float images on the device."""
        return ((images.float() / 255 - self.mean) / self.std).to(self.device)


def prepared(split: Split) -> Preparation:
    """Return the preparation by a training split's mean and deviation."""
    values = split.images.float() / 255
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Preparation(
        values.mean((0, 2, 3))[:, None, None],
        values.std((0, 2, 3))[:, None, None],
        device,
    )


@torch.no_grad()
def tested(
    model: nn.Module, split: Split, prepare: Preparation
) -> tuple[float, Tensor]:
    """Return the mean loss on a split, and the predictions ``(N,)``."""
    model.eval()
    logits = torch.cat(
        [model(prepare(images)).cpu() for images in split.images.split(500)]
    )
    return float(functional.cross_entropy(logits, split.targets)), logits.argmax(1)


def trained(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    split: Split,
    batch: int,
    prepare: Preparation,
    generator: torch.Generator,
) -> float:
    """Train for one epoch and return the mean loss."""
    model.train()
    losses = []
    for chosen in torch.randperm(len(split.targets), generator=generator).split(batch):
        loss = functional.cross_entropy(
            model(prepare(moved(split.images[chosen], generator))),
            split.targets[chosen].to(prepare.device),
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def run(
    recipe: Recipe, train: Split, test: Split, epochs: int, seed: int, out: Path
) -> None:
    """Train and write ``epoch_NNN.pt`` (000 is before training), ``log.csv``,
    ``preds.npy`` and what stands beside them.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    prepare = prepared(train)
    model = recipe.build(len(train.names)).to(prepare.device)
    optimizer = recipe.optimizer(model.parameters(), lr=recipe.rate)
    steps = math.ceil(len(train.targets) / recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_at(step, epochs * steps, recipe.warmup * steps)
    )
    describe(out, train, test, prepare)
    predictions, log, start, loss = [], [], perf_counter(), None
    for epoch in range(epochs + 1):
        if epoch:
            loss = trained(
                model, optimizer, schedule, train, recipe.batch, prepare, generator
            )
        test_loss, answers = tested(model, test, prepare)
        accuracy = float((answers == test.targets).float().mean())
        predictions.append(answers.numpy().astype(np.int16))
        log.append(
            (
                epoch,
                loss,
                test_loss,
                accuracy,
                schedule.get_last_lr()[0],
                round(perf_counter() - start, 1),
            )
        )
        state = {
            "epoch": epoch,
            "state_dict": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "train_loss": loss,
        }
        torch.save(state, out / f"epoch_{epoch:03}.pt")
        np.save(out / "preds.npy", np.stack(predictions))
        write_log(out / "log.csv", log)
        print(
            f"epoch {epoch:3}  test loss {test_loss:.3f}  accuracy {accuracy:.3f}",
            flush=True,
        )


def describe(out: Path, train: Split, test: Split, prepare: Preparation) -> None:
    """Write what stays the same: class names, the truth, how images are prepared."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "classes.txt").write_text(
        "".join(f"{name}\n" for name in train.names), encoding="utf-8"
    )
    np.save(out / "targets.npy", test.targets.numpy())
    values = {
        "mean": prepare.mean.flatten().tolist(),
        "std": prepare.std.flatten().tolist(),
    }
    (out / "config.json").write_text(json.dumps(values), encoding="utf-8")


def write_log(path: Path, rows: Sequence[tuple[object, ...]]) -> None:
    """Write the losses, accuracies and learning rates so far; an unknown one is
    empty.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("epoch", "train_loss", "test_loss", "test_acc", "lr", "seconds"), *rows]
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="where CIFAR-100 lies")
    parser.add_argument("--model", choices=RECIPES, required=True)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for the run's files; new or empty",
    )
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    if asked.out.is_dir() and any(asked.out.iterdir()):
        parser.error(f"{asked.out} holds files already: give a new folder, or empty it")
    try:
        train, test = (load(asked.data, train=train) for train in (True, False))
    except UsageError as error:
        parser.error(str(error))
    if train.names != test.names:
        parser.error(
            f"{asked.data}: the classes of train and test differ: {len(train.names)}"
            f" and {len(test.names)}"
        )
    run(RECIPES[asked.model], train, test, asked.epochs, asked.seed, asked.out)
    print(f"next: dsi analyze {asked.out}")


if __name__ == "__main__":
    main()
