"""Trainings of a linear classifier whose classes resemble each other as in WordNet, for
the tests of inputs that contradict one another.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from dsi_cli import wordnet_csm
from helpers.outputs import save_head

CLASSES, WIDTH, SAMPLES = 40, 256, 16_000
EPOCHS = tuple(range(1, 9))
Ints = npt.NDArray[np.int64]


class Training(NamedTuple):
    """The names of the classes, the heads ``(C, d)`` and the predictions ``(N,)`` of
    each epoch, and the targets ``(N,)``.
    """

    names: tuple[str, ...]
    heads: list[npt.NDArray[np.float64]]
    predictions: list[Ints]
    targets: Ints

    @property
    def accuracies(self) -> list[float]:
        """The accuracy of each epoch."""
        return [float((one == self.targets).mean()) for one in self.predictions]


def trained(seed: int = 0) -> Training:
    """Return a training on some classes of CIFAR-100 in a random order, from a random
    head to the means of the classes. Another seed has other features.
    """
    generator = np.random.default_rng(seed)
    chosen = np.random.default_rng(0).permutation(100)[:CLASSES]
    reference = wordnet_csm("cifar100").iloc[chosen, chosen]
    root = np.linalg.cholesky(reference.to_numpy(np.float64) + 0.01 * np.eye(CLASSES))
    means = root @ generator.normal(size=(CLASSES, WIDTH))
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    targets = np.arange(SAMPLES) % CLASSES
    noise = generator.normal(size=(SAMPLES, WIDTH))
    images = means[targets] + 0.5 * noise
    start = generator.normal(size=means.shape) / WIDTH**0.5
    head, heads, predictions = start, [], []
    for _ in EPOCHS:
        wander = generator.normal(size=means.shape) / WIDTH**0.5
        head = 0.6 * head + 0.4 * means + 0.4 * wander
        heads.append(head)
        predictions.append((images @ head.T).argmax(axis=1))
    return Training(tuple(map(str, reference.index)), heads, predictions, targets)


def write(folder: Path, heads: Sequence[npt.NDArray[np.float64]]) -> Path:
    """Write heads as the checkpoints of epoch 1 and later ones; return the folder."""
    for epoch, head in enumerate(heads, start=1):
        path = folder / f"epoch_{epoch}.pt"
        save_head(path, torch.tensor(head, dtype=torch.float32), epoch=epoch)
    return folder
