"""Pairs of class similarity matrices that the tests of the metrics share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

Matrix = npt.NDArray[np.float32]
MakePair = Callable[..., tuple[Matrix, Matrix]]


def related(kind: str, classes: int, seed: int = 0) -> tuple[Matrix, Matrix]:
    """Return two related float32 matrices: ``symmetric``, ``asymmetric``, ``tied`` or
    ``tied-symmetric``.
    """
    rng = np.random.default_rng([classes, seed])
    if kind.endswith("symmetric") and kind != "asymmetric":
        common, mine, yours = (
            np.corrcoef(rng.normal(size=(classes, 9))) for _ in range(3)
        )
    else:
        common, mine, yours = (rng.random((classes, classes)) ** 3 for _ in range(3))
    pair = 0.6 * common + 0.4 * mine, 0.3 * common + 0.7 * yours
    if kind.startswith("tied"):
        pair = np.round(pair[0] * 4) / 7, np.round(pair[1] * 5) / 7
    for matrix in pair:
        np.fill_diagonal(matrix, 1.0)
    return pair[0].astype(np.float32), pair[1].astype(np.float32)


@pytest.fixture(scope="session")
def make_pair() -> MakePair:
    """Return ``make_pair(kind, classes, seed=0)``, two related float32 matrices."""
    return related


@pytest.fixture(scope="session")
def real_pair(four_runs: Path) -> tuple[Matrix, Matrix]:
    """Return the NCSM of the CIFAR-100 CNN at epoch 25, and WordNet's path similarity
    of the same 100 classes.
    """
    import torch

    from dsi_cli.labels.presets import load_preset
    from dsi_cli.similarity import weight_similarity
    from dsi_cli.wordnet.database import taxonomy
    from dsi_cli.wordnet.similarity import path_similarity

    run = four_runs / "cifar100-cnn"
    state = torch.load(run / "epoch_025.pt", map_location="cpu", weights_only=True)[
        "state_dict"
    ]
    head = next(
        tensor.numpy()
        for tensor in state.values()
        if tensor.ndim == 2 and len(tensor) == 100
    )
    graph = taxonomy.load()
    nodes = [graph.node(wnid) for wnid in load_preset("cifar100").wnids]
    return weight_similarity(head), path_similarity.path_similarity(nodes).astype(
        np.float32
    )
