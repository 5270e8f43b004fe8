"""Low-rank changes of the head in whole state dicts.

A state dict does not hold the scale of a low-rank change. If the head is changed, a reader without the scale has to refuse.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.cases import ASK_ALWAYS, Case, attribute
from networks.parts import Parts, Trunk, cnn, parameter, tutorial

PREFIX = "base_model.model."


def lora(build: Callable[[], nn.Module], *targets: str) -> Callable[[], nn.Module]:
    """Return a function that gives PEFT's model with low-rank changes to these layers."""

    def changed_network() -> nn.Module:
        from peft import LoraConfig, get_peft_model

        return get_peft_model(build(), LoraConfig(target_modules=list(targets), r=4, lora_alpha=8))

    return changed_network


def composed(path: str) -> Callable[[nn.Module], Tensor]:
    """Return the function that composes the weight of a layer that PEFT has changed."""

    def weight(model: nn.Module) -> Tensor:
        layer = attribute(model, path)
        return layer.base_layer.weight + layer.get_delta_weight("default")

    return weight


class LoraLinear(nn.Linear):
    """A linear layer as loralib writes it, with the change next to the weight."""

    def __init__(self, features: int, classes: int, rank: int = 4, alpha: int = 8) -> None:
        super().__init__(features, classes)
        self.lora_A = nn.Parameter(torch.randn(rank, features) / math.sqrt(features))
        self.lora_B = nn.Parameter(torch.randn(classes, rank) * 0.1)
        self.weight.requires_grad_(False)
        self.scaling = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        return fn.linear(x, effective(self), self.bias)


def effective(layer: LoraLinear) -> Tensor:
    return layer.weight + layer.scaling * layer.lora_B @ layer.lora_A


class Composite(nn.Module):
    """A linear layer and a low-rank one in two modules, as blog posts write it: A is (features, rank)."""

    def __init__(self, features: int, classes: int, rank: int = 4, alpha: float = 2.0) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)
        self.lora = nn.Module()
        self.lora.A, self.lora.B = parameter(features, rank), parameter(rank, classes)
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.alpha * (x @ self.lora.A @ self.lora.B)


def own(head: str, layer: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: Parts(lambda m, x: m.get_submodule(head)(m.trunk(x)), trunk=Trunk(32), **{head: layer()})


def with_settings(model: nn.Module) -> dict[str, Any]:
    return {"state_dict": model.state_dict(), "config": {"peft_type": "LORA", "r": 4, "lora_alpha": 8}}


CASES = [
    Case(
        "head_and_body_lora",
        lora(tutorial(48, 32, 10), "fc1", "out"),
        PREFIX + "out",
        weight=composed(PREFIX + "out"),
        **ASK_ALWAYS,
    ),
    Case(
        "head_lora_with_settings",
        lora(cnn("fc"), "fc"),
        PREFIX + "fc",
        weight=composed(PREFIX + "fc"),
        save=with_settings,
        **ASK_ALWAYS,
    ),
    Case(
        "loralib_square_rank_is_classes",
        own("y", lambda: LoraLinear(32, 32, 32)),
        "y",
        weight=lambda m: effective(m.y),
        **ASK_ALWAYS,
    ),
    Case(
        "linear_and_lora_square",
        own("out", lambda: Composite(32, 32)),
        "out",
        weight=lambda m: m.out.linear.weight + m.out.alpha * (m.out.lora.A @ m.out.lora.B).T,
        **ASK_ALWAYS,
    ),
]
