"""A made-up run of any size whose classes come to lie as in WordNet: for what no real
run here is large enough to measure.

``python -m benchmarks.interpolated FOLDER --labels imagenet1k --epochs 100`` writes the
checkpoints, the predictions and the training log of one. Its classifier goes from a
random matrix to a structured one, in which a class is the sum of random directions, one
for each of its hypernyms; fast at first, then slower, as real runs do.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def structured(labels: str, features: int, seed: int = 0) -> Array:
    """Return a weight ``(C, d)`` whose similarities follow WordNet's: the sum of a
    random direction per hypernym.
    """
    from dsi_cli.analysis.semantics import wordnet_matrix
    from dsi_cli.wordnet.database import taxonomy

    graph, generator = taxonomy.load(), np.random.default_rng(seed)
    direction: dict[int, Array] = {}
    rows = []
    for one in wordnet_matrix.resolve_label_list(labels).resolutions:
        above = (
            []
            if one.wnid is None
            else taxonomy.ancestors(graph, np.array([graph.node(one.wnid)]))
        )
        for node in above:
            direction.setdefault(
                int(node), generator.standard_normal(features, dtype=np.float32)
            )
        own = generator.standard_normal(features, dtype=np.float32)
        rows.append(
            own
            + sum(
                (direction[int(node)] for node in above), np.zeros(features, np.float32)
            )
        )
    weight = np.stack(rows)
    centred: Array = weight - weight.mean(axis=0)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def heads(labels: str, epochs: int, features: int, seed: int = 0) -> Iterator[Array]:
    """Yield the classifier of each epoch; the first is random."""
    goal, generator = (
        structured(labels, features, seed),
        np.random.default_rng(seed + 1),
    )
    start = generator.standard_normal(goal.shape, dtype=np.float32) / np.sqrt(
        np.float32(features)
    )
    for epoch in range(epochs):
        share = np.float32(1 - np.exp(-5.0 * epoch / epochs))
        noise = generator.standard_normal(goal.shape, dtype=np.float32) / np.sqrt(
            np.float32(features)
        )
        yield (1 - share) * start + share * goal + np.float32(0.05) * noise


def write(
    folder: Path,
    labels: str,
    epochs: int,
    features: int = 512,
    samples: int = 10,
    seed: int = 0,
) -> Path:
    """Write a run's checkpoints (safetensors), ``preds.npy``, ``targets.npy`` and
    ``log.csv``; return the folder.

    Parameters
    ----------
    samples : test samples a class; their predictions are the class nearest to a noisy
        copy of the class's weight
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    generator, answers, log = (
        np.random.default_rng(seed + 2),
        [],
        ["epoch,train_loss,test_loss,test_acc,lr"],
    )
    for epoch, weight in enumerate(heads(labels, epochs, features, seed)):
        save_file(
            {"fc.weight": weight},
            folder / f"epoch_{epoch:04d}.safetensors",
            {"epoch": str(epoch)},
        )
        targets = np.repeat(np.arange(len(weight)), samples)
        noise = generator.standard_normal(
            (len(targets), features), dtype=np.float32
        ) / np.sqrt(np.float32(features))
        spread = np.float32(0.8 + 6.0 * np.exp(-5.0 * epoch / epochs))
        answers.append(
            np.argmax((weight[targets] + spread * noise) @ weight.T, axis=1).astype(
                np.int16
            )
        )
        right, loss = (
            float(np.mean(answers[-1] == targets)),
            1.0 + 5.9 * np.exp(-5.0 * epoch / epochs),
        )
        log.append(
            f"{epoch},{loss if epoch else ''},{loss + 0.1},{right},{0.1 * (1 - epoch / epochs)}"
        )
    np.save(folder / "preds.npy", np.stack(answers))
    np.save(folder / "targets.npy", targets)
    (folder / "log.csv").write_text("\n".join(log) + "\n")
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", default="imagenet1k")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--features", type=int, default=512)
    write(**vars(parser.parse_args()))
