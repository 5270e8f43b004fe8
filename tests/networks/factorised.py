"""Heads that a checkpoint keeps in parts: pruned, normed, spectrally normed, orthogonal, or parametrised by the author."""

import warnings
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.utils import parametrizations, prune

from networks.cases import Case
from networks.parts import cnn, tutorial

Change = Callable[[nn.Module], Any]


def changed(build: Callable[[], nn.Module], **changes: Change) -> Callable[[], nn.Module]:
    """Return a function that builds a network and changes its modules of these names (``__`` means a dot)."""

    def changed_network() -> nn.Module:
        model = build()
        for path, change in changes.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                change(model.get_submodule(path.replace("__", ".")))
        return model

    return changed_network


def pruned(amount: float = 0.4) -> Change:
    return lambda layer: prune.l1_unstructured(layer, "weight", amount)


def pruned_twice(layer: nn.Module) -> None:
    prune.random_unstructured(layer, "weight", 0.3)
    prune.l1_unstructured(layer, "weight", 0.3)


def normed(dim: int | None = 0) -> Change:
    return lambda layer: nn.utils.weight_norm(layer, dim=dim)


def newly_normed(dim: int | None = 0) -> Change:
    return lambda layer: parametrizations.weight_norm(layer, dim=dim)


def spectral_of_columns(layer: nn.Module) -> None:
    nn.utils.spectral_norm(layer, dim=1)


def newly_spectral_of_columns(layer: nn.Module) -> None:
    parametrizations.spectral_norm(layer, dim=1)


newly_spectral = parametrizations.spectral_norm


CASES = [
    Case("pruned_all_square", changed(tutorial(20, 20, 20), fc1=pruned(), fc2=pruned(), out=pruned()), "out"),
    Case("pruned_twice", changed(cnn("fc"), fc=pruned_twice), "fc"),
    Case("pruned_trunk", changed(cnn("linear"), trunk__conv1=pruned(), linear=pruned()), "linear"),
    Case("spectral_norm_of_columns_square", changed(cnn("fc", 32), fc=spectral_of_columns), "fc", may_ask_with_count=True),
    Case("new_spectral_norm_of_columns", changed(cnn("fc"), fc=newly_spectral_of_columns), "fc"),
    Case("new_weight_norm_dim_none", changed(cnn("fc", 9), fc=newly_normed(None)), "fc"),
    Case("weight_norm_dim_1", changed(cnn("fc", 12), fc=normed(1)), "fc"),
    Case("weight_norm_everywhere", changed(tutorial(32, 20, 20), fc1=normed(), fc2=normed(), out=normed()), "out"),
    Case(
        "new_spectral_norm_everywhere",
        changed(tutorial(20, 20, 20), fc1=newly_spectral, fc2=newly_spectral, out=newly_spectral),
        "out",
    ),
]
