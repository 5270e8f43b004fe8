"""Four training runs for the tests: the two of the demo, one that learns small classes
and one that never learns.

``cifar100-cnn`` and ``cifar100-vit`` are the real runs that ship with the package,
saved as a training loop saves them: with the weights of earlier layers, and with the
state of the optimiser at first. ``garments`` is a linear classifier that is trained
here on made-up features of the ten Fashion-MNIST classes. ``collapsed`` stands for a
training that never learns: its head wanders at random and it predicts almost always the
same class.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from dsi_cli.demo import runs_folder

SAMPLES = 10_000
GARMENTS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
GROUPS = (0, 1, 0, 0, 0, 2, 0, 2, 3, 2)
"""Which garments look alike: worn above the waist, on the legs, on the feet, in the
hand.
"""
LOG_COLUMNS = "epoch,train_loss,test_loss,test_acc,lr,seconds\n"


class Moment(NamedTuple):
    """What a training loop has after an epoch."""

    head: torch.Tensor
    predictions: npt.NDArray[np.int64]
    train_loss: float | None
    test_loss: float


def write(folder: Path) -> Path:
    """Write the four runs into a folder, and return it."""
    with runs_folder() as demo:
        for name, head in (("cifar100-cnn", "fc"), ("cifar100-vit", "head")):
            _save_demo_run(demo / name, folder / name, head)
        labels = (
            (demo / "cifar100-cnn" / "classes.txt").read_text(encoding="utf-8").split()
        )
        targets = np.load(demo / "cifar100-cnn" / "targets.npy")
    _save_run(folder / "collapsed", labels, targets, _wandering())
    _save_run(
        folder / "garments", GARMENTS, np.arange(SAMPLES) % len(GARMENTS), _trained()
    )
    return folder


def _save_demo_run(source: Path, folder: Path, head: str) -> None:
    from safetensors.torch import load_file

    folder.mkdir(parents=True)
    for name in ("classes.txt", "log.csv", "preds.npy", "targets.npy"):
        shutil.copy(source / name, folder / name)
    _save_settings(folder)
    losses = [
        line.split(",")[1]
        for line in (source / "log.csv").read_text(encoding="utf-8").splitlines()[1:]
    ]
    for epoch, path in enumerate(sorted(source.glob("*.safetensors"))):
        weight = load_file(path)[f"{head}.weight"]
        _save_checkpoint(
            folder, epoch, head, weight, float(losses[epoch]) if losses[epoch] else None
        )


def _save_run(
    folder: Path,
    labels: tuple[str, ...] | list[str],
    targets: npt.NDArray[np.int64],
    moments: Iterator[Moment],
) -> None:
    folder.mkdir(parents=True)
    (folder / "classes.txt").write_text(
        "".join(f"{label}\n" for label in labels), encoding="utf-8"
    )
    _save_settings(folder)
    log, predictions = LOG_COLUMNS, []
    for epoch, moment in enumerate(moments):
        _save_checkpoint(folder, epoch, "fc", moment.head, moment.train_loss)
        accuracy = float((moment.predictions == targets).mean())
        train_loss = "" if moment.train_loss is None else f"{moment.train_loss:.5f}"
        log += f"{epoch},{train_loss},{moment.test_loss:.5f},{accuracy:.4f},0.1,1.0\n"
        predictions.append(moment.predictions)
    (folder / "log.csv").write_text(log, encoding="utf-8")
    np.save(folder / "preds.npy", np.stack(predictions).astype(np.uint8))
    np.save(folder / "targets.npy", targets.astype(np.uint8))


def _save_settings(folder: Path) -> None:
    (folder / "config.json").write_text(
        json.dumps({"mean": [0.5], "std": [0.25]}), encoding="utf-8"
    )
    (folder / "models.py").write_text(
        "# The network's definition lies next to its checkpoints, as it often does.\n",
        encoding="utf-8",
    )


def _save_checkpoint(
    folder: Path, epoch: int, head: str, weight: torch.Tensor, train_loss: float | None
) -> None:
    classes, features = weight.shape
    generator = torch.Generator().manual_seed(epoch)
    state = {
        "features.0.weight": torch.randn(8, 3, 3, 3, generator=generator),
        "features.1.weight": torch.ones(8),
        "features.1.bias": torch.zeros(8),
        "features.2.weight": torch.randn(features, 8, 1, 1, generator=generator),
        f"{head}.weight": weight,
        f"{head}.bias": torch.zeros(classes),
    }
    checkpoint = {
        "epoch": epoch,
        "state_dict": state,
        "train_loss": train_loss,
        "lr": 0.1,
    }
    if epoch < 3:
        momentum = {
            number: {"momentum_buffer": torch.zeros_like(one)}
            for number, one in enumerate(state.values())
        }
        groups = [{"lr": 0.1, "momentum": 0.9, "params": list(momentum)}]
        checkpoint["optimizer"] = {
            "state": momentum if epoch else {},
            "param_groups": groups,
        }
    torch.save(checkpoint, folder / f"epoch_{epoch:03d}.pt")


def _wandering() -> Iterator[Moment]:
    """Yield 16 epochs of a head of 100 classes that moves at random and of predictions
    that hardly depend on the image.
    """
    rng = np.random.default_rng(3)
    head = rng.normal(size=(100, 64))
    for epoch in range(16):
        predictions = np.full(SAMPLES, rng.integers(100))
        others = rng.random(SAMPLES) < (0.9 if epoch == 0 else 0.2)
        predictions[others] = rng.integers(100, size=others.sum())
        yield Moment(
            torch.tensor(head, dtype=torch.float32),
            predictions,
            4.7 if epoch else None,
            4.7,
        )
        head = 0.7 * head + rng.normal(size=head.shape)


def _trained() -> Iterator[Moment]:
    """Yield 16 epochs of a linear classifier trained on features in which the garments
    of a group resemble each other.
    """
    generator = torch.Generator().manual_seed(0)
    groups = torch.randn(max(GROUPS) + 1, 36, generator=generator)
    means = groups[list(GROUPS)] + 0.6 * torch.randn(
        len(GARMENTS), 36, generator=generator
    )
    labels = torch.arange(2000) % len(GARMENTS)
    images = (
        means[labels] + 1.2 * torch.randn(len(labels), 36, generator=generator)
    ).relu()
    test_labels = torch.arange(SAMPLES) % len(GARMENTS)
    test_images = (
        means[test_labels] + 1.2 * torch.randn(SAMPLES, 36, generator=generator)
    ).relu()
    head = torch.nn.Linear(36, len(GARMENTS))
    torch.nn.init.normal_(head.weight, std=0.1, generator=generator)
    torch.nn.init.zeros_(head.bias)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.02)
    train_loss = None
    for _ in range(16):
        with torch.no_grad():
            outputs = head(test_images)
            test_loss = torch.nn.functional.cross_entropy(outputs, test_labels).item()
        yield Moment(
            head.weight.detach().clone(),
            outputs.argmax(dim=1).numpy(),
            train_loss,
            test_loss,
        )
        for rows in torch.randperm(len(labels), generator=generator).split(100):
            loss = torch.nn.functional.cross_entropy(head(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            train_loss = loss.item()
