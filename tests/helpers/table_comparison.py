"""Outputs to compare: small made-up runs with the accuracies that a test wants."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from helpers.outputs import ANIMALS, heads, save_head

SAMPLES = 400


def write_run(
    folder: Path,
    accuracies: Sequence[float] | None = (0.2, 0.5, 0.8),
    labels: Sequence[str] | None = ANIMALS,
    seed: int = 0,
    order: Sequence[int] | None = None,
) -> Path:
    """Write a run's checkpoints and answers: an epoch an accuracy.

    Parameters
    ----------
    accuracies : None for three epochs without answers
    order : the classes in another order: the same network, its rows, labels and answers
        moved
    """
    count = len(accuracies) if accuracies is not None else 3
    classes = np.arange(len(ANIMALS)) if order is None else np.asarray(order)
    for epoch, weight in enumerate(heads(count, seed=seed)):
        save_head(folder / f"epoch_{epoch}.pt", weight[classes.tolist()], epoch=epoch)
    if labels is not None:
        (folder / "classes.txt").write_text(
            "".join(f"{labels[i]}\n" for i in classes), encoding="utf-8"
        )
    if accuracies is not None:
        target, predictions = answers(accuracies, seed)
        place = np.argsort(classes)
        np.save(folder / "targets.npy", place[target])
        np.save(folder / "preds.npy", place[predictions])
    return folder


def answers(
    accuracies: Sequence[float], seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return targets ``(samples,)``, as many of each class, and predictions ``(epochs,
    samples)``.
    """
    rng = np.random.default_rng(seed)
    target = np.arange(SAMPLES) % len(ANIMALS)
    wrong = (target + rng.integers(1, len(ANIMALS), (len(accuracies), SAMPLES))) % len(
        ANIMALS
    )
    right = np.array(
        [rng.permutation(SAMPLES) < round(share * SAMPLES) for share in accuracies]
    )
    return target, np.where(right, target, wrong)


def write_output(out: Path, *folders: Path, **options: object) -> Path:
    """Analyse runs without intervals of their own, which take their time."""
    analyze(list(folders), out, Options(draws=0, **options))
    return out


def write_two(top: Path) -> Path:
    """Write the results of two networks, of which ``fast`` learns faster than ``slow``,
    and return their folder.
    """
    fast, slow = (
        write_run(top / "fast", (0.2, 0.6, 0.9)),
        write_run(top / "slow", (0.2, 0.4, 0.605), seed=1),
    )
    return write_output(top / "out", fast, slow)
