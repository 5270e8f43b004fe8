"""Heads that a checkpoint keeps in parts: pruned, normed, spectrally normed, orthogonal, or parametrised by the author."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

from networks.cases import ASK, ASK_ALWAYS, REFUSE, Case
from networks.parts import Parts, Trunk, cnn, tutorial

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


spectral = nn.utils.spectral_norm
newly_spectral = parametrizations.spectral_norm


class LowRank(nn.Module):
    """The product of two factors, which are all that is stored."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank

    def forward(self, up: Tensor, down: Tensor) -> Tensor:
        return up @ down

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        u, s, v = torch.linalg.svd(weight, full_matrices=False)
        return u[:, : self.rank] * s[: self.rank], v[: self.rank]


def parametrized(made: Callable[[], nn.Module]) -> Change:
    return lambda layer: parametrize.register_parametrization(layer, "weight", made(), unsafe=True)


def in_two_layers(first: str, second: str, rank: int, classes: int, bias: bool = True) -> Parts:
    """Return a network whose head is two linear layers without anything between them."""
    classify: Callable[[Parts, Tensor], Tensor] = lambda m, x: m.get_submodule(second)(m.get_submodule(first)(x))  # noqa: E731
    layers = {first: nn.Linear(32, rank, bias=False), second: nn.Linear(rank, classes, bias=bias)}
    return Parts(lambda m, x: m.classify(m.trunk(x)), classify, trunk=Trunk(32), **layers)


def product(first: str, second: str) -> Callable[[nn.Module], Tensor]:
    return lambda model: model.get_submodule(second).weight @ model.get_submodule(first).weight


def only_last(name: str) -> Callable[[nn.Module], tuple[Tensor, ...]]:
    return lambda model: (model.get_submodule(name).weight,)


def with_other_mask(model: nn.Module) -> dict[str, Tensor]:
    """Return a state dict whose mask belongs to another number of classes."""
    state = model.state_dict()
    state["clf.weight_mask"] = state["clf.weight_mask"][:-1].clone()
    return state


def without(*names: str) -> Callable[[nn.Module], dict[str, Tensor]]:
    return lambda model: {name: tensor for name, tensor in model.state_dict().items() if name not in names}


def side_by_side(*classes: int) -> Parts:
    """Return a network whose logits are those of several layers side by side: one for each class, or for each task."""
    classify: Callable[[Parts, Tensor], Tensor] = lambda m, x: torch.cat([one(x) for one in m.detectors], 1)  # noqa: E731
    layers = nn.ModuleList(nn.Linear(32, number) for number in classes)
    return Parts(lambda m, x: m.classify(m.trunk(x)), classify, trunk=Trunk(32), detectors=layers)


def stacked(model: nn.Module) -> Tensor:
    return torch.cat([one.weight for one in model.detectors])


def mean_of_two(classes: int) -> Parts:
    """Return a network whose logits are the mean of two layers."""
    classify: Callable[[Parts, Tensor], Tensor] = lambda m, x: (m.tete_a(x) + m.tete_b(x)) / 2  # noqa: E731
    layers = {name: nn.Linear(32, classes) for name in ("tete_a", "tete_b")}
    return Parts(lambda m, x: m.classify(m.trunk(x)), classify, trunk=Trunk(32), **layers)


CASES = [
    Case("pruned_all_square", changed(tutorial(20, 20, 20), fc1=pruned(), fc2=pruned(), out=pruned()), "out"),
    Case("pruned_twice", changed(cnn("fc"), fc=pruned_twice), "fc"),
    Case("pruned_trunk", changed(cnn("linear"), trunk__conv1=pruned(), linear=pruned()), "linear"),
    Case("pruned_with_other_mask", changed(cnn("clf"), clf=pruned()), "clf", save=with_other_mask, **REFUSE),
    Case("spectral_norm_of_columns_square", changed(cnn("fc", 32), fc=spectral_of_columns), "fc", **ASK_ALWAYS),
    Case("new_spectral_norm_of_columns", changed(cnn("fc"), fc=newly_spectral_of_columns), "fc"),
    Case("new_weight_norm_dim_none", changed(cnn("fc", 9), fc=newly_normed(None)), "fc"),
    Case("weight_norm_dim_1", changed(cnn("fc", 12), fc=normed(1)), "fc"),
    Case("weight_norm_everywhere", changed(tutorial(32, 20, 20), fc1=normed(), fc2=normed(), out=normed()), "out"),
    Case("weight_norm_without_lengths", changed(cnn("clf"), clf=normed()), "clf", save=without("clf.weight_g"), **REFUSE),
    Case("spectral_norm_without_vector", changed(cnn("clf"), clf=spectral), "clf", save=without("clf.weight_u"), **REFUSE),
    Case(
        "new_spectral_norm_everywhere",
        changed(tutorial(20, 20, 20), fc1=newly_spectral, fc2=newly_spectral, out=newly_spectral),
        "out",
    ),
    Case("parametrised_low_rank", changed(cnn("fc"), fc=parametrized(lambda: LowRank(6))), "fc", **ASK_ALWAYS),
    Case("parametrised_rank_1", changed(cnn("fc"), fc=parametrized(lambda: LowRank(1))), "fc", **ASK_ALWAYS),
    Case(
        "two_layers_low_rank",
        lambda: in_two_layers("u", "v", 6, 20),
        "v",
        weight=product("u", "v"),
        also=only_last("v"),
        **ASK,
    ),
    Case("one_against_the_rest", lambda: side_by_side(*[1] * 10), "detectors", weight=stacked, **ASK_ALWAYS),
    Case("tasks_side_by_side", lambda: side_by_side(10, 10), "detectors", weight=stacked, **ASK_ALWAYS),
    Case(
        "mean_of_two",
        lambda: mean_of_two(10),
        "trunk",
        weight=lambda m: (m.tete_a.weight + m.tete_b.weight) / 2,
        **ASK_ALWAYS,
    ),
]
