"""Low-rank and other adapters in whole state dicts: on the body, on the head, and next to a trained copy of the head.

A state dict does not hold the scale of a low-rank change. If the head is changed, a reader without the scale has to refuse.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.attention import Vit
from networks.cases import ASK_ALWAYS, REFUSE, Case, attribute
from networks.convolutional import Cnn, Tutorial, stack
from networks.parts import Parts, Trunk, parameter

PREFIX = "base_model.model."


def lora(
    build: Callable[[], nn.Module], *targets: str, rank: int = 4, alpha: int = 8, **options: Any
) -> Callable[[], nn.Module]:
    """Return a function that gives PEFT's model with low-rank changes to these layers."""
    config = {"target_modules": list(targets), "r": rank, "lora_alpha": alpha, **options}

    def changed_network() -> nn.Module:
        from peft import LoraConfig, get_peft_model

        return get_peft_model(build(), LoraConfig(**config))

    return changed_network


def composed(path: str) -> Callable[[nn.Module], Tensor]:
    """Return the function that composes the weight of a layer that PEFT has changed."""

    def weight(model: nn.Module) -> Tensor:
        layer = attribute(model, path)
        return layer.base_layer.weight + layer.get_delta_weight("default")

    return weight


def trained_copy(path: str) -> Callable[[nn.Module], Tensor]:
    return lambda model: attribute(model, path).modules_to_save["default"].weight


class LoraLinear(nn.Linear):
    """A linear layer as loralib writes it; ``eval()`` may merge the change into the weight that is saved."""

    def __init__(self, features: int, classes: int, rank: int = 4, alpha: int = 8, merges: bool = False) -> None:
        super().__init__(features, classes)
        self.lora_A = nn.Parameter(torch.randn(rank, features) / math.sqrt(features))
        self.lora_B = nn.Parameter(torch.randn(classes, rank) * 0.1)
        self.weight.requires_grad_(False)
        self.scaling, self.merges, self.merged = alpha / rank, merges, False

    def train(self, mode: bool = True) -> LoraLinear:
        super().train(mode)
        if self.merges and mode == self.merged:
            sign = -1 if mode else 1
            self.weight.data += sign * self.scaling * (self.lora_B @ self.lora_A).detach()
            self.merged = not mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        return fn.linear(x, effective(self), self.bias)


def effective(layer: LoraLinear) -> Tensor:
    return layer.weight if layer.merged else layer.weight + layer.scaling * layer.lora_B @ layer.lora_A


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


class Bottleneck(nn.Module):
    """Houlsby's adapter: down, up, and a shortcut."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.down_proj = nn.Linear(width, hidden)
        self.up_proj = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.up_proj(fn.relu(self.down_proj(x)))


def scaled(build: Callable[[], nn.Module]) -> nn.Module:
    """Return PEFT's model whose layers are scaled by learned vectors."""
    from peft import IA3Config, get_peft_model

    return get_peft_model(build(), IA3Config(target_modules=["qkv", "fc2"], feedforward_modules=["fc2"]))


def other_rank(model: nn.Module) -> dict[str, Tensor]:
    """Return a state dict whose change of the head belongs to another number of classes."""
    state = model.state_dict()
    name = next(name for name in state if name.endswith("lora_B.default.weight"))
    state[name] = state[name][:-1].clone()
    return state


def own(head: str, layer: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: Parts(lambda m, x: m.get_submodule(head)(m.trunk(x)), trunk=Trunk(32), **{head: layer()})


def adapted(head: str, classes: int, hidden: int, adapter_last: bool = False) -> Parts:
    layers = {"adapter": Bottleneck(32, hidden), head: nn.Linear(32, classes)}
    order = dict(reversed(layers.items())) if adapter_last else layers
    return Parts(lambda m, x: m.get_submodule(head)(m.adapter(m.trunk(x))), trunk=Trunk(32), **order)


def with_settings(model: nn.Module) -> dict[str, Any]:
    return {"state_dict": model.state_dict(), "config": {"peft_type": "LORA", "r": 4, "lora_alpha": 8}}


def only_changes(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.state_dict().items() if "lora_" in name}


def vit(head: str = "head", classes: int = 10) -> Callable[[], nn.Module]:
    return lambda: Vit(head, classes)


def cnn(head: str, classes: int = 10) -> Callable[[], nn.Module]:
    return lambda: Cnn(head, classes)


SAVED = {"modules_to_save": ["classifier"]}
CASES = [
    Case("body_lora_odd_head", lora(vit("sortie", 20), "qkv", "proj"), PREFIX + "sortie"),
    Case("body_lora_rank_is_classes", lora(vit("out", 8), "qkv", "fc1", "fc2", rank=8), PREFIX + "out"),
    Case(
        "hidden_lora_in_chain",
        lora(lambda: Tutorial(["fc1", "fc2", "out"], (32, 20, 20)), "fc1", "fc2", rank=20),
        PREFIX + "out",
    ),
    Case(
        "head_trained_whole",
        lora(vit("classifier"), "qkv", **SAVED),
        PREFIX + "classifier",
        weight=trained_copy(PREFIX + "classifier"),
    ),
    Case(
        "head_stack_trained_whole",
        lora(lambda: Vit("kopf", 0, layer=stack(32, 48, 20)), "qkv", modules_to_save=["kopf"]),
        PREFIX + "kopf.modules_to_save.default.2",
    ),
    Case("head_and_body_lora", lora(vit(), "qkv", "head"), PREFIX + "head", weight=composed(PREFIX + "head"), **ASK_ALWAYS),
    Case(
        "head_lora_with_settings",
        lora(cnn("fc"), "fc"),
        PREFIX + "fc",
        weight=composed(PREFIX + "fc"),
        save=with_settings,
        **ASK_ALWAYS,
    ),
    Case("head_lora_that_does_not_fit", lora(cnn("fc"), "fc"), None, 10, save=other_rank, **REFUSE),
    Case("head_dora", lora(cnn("fc"), "fc", use_dora=True), None, 10, **REFUSE),
    Case("changes_without_base", lora(vit("clf", 8), "qkv", "clf", rank=8), None, 8, save=only_changes, **REFUSE),
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
    Case("scaled_body", lambda: scaled(vit("clf")), PREFIX + "clf", steps=1),
    Case("bottleneck_adapter", lambda: adapted("clf", 10, 8), "clf"),
    Case("bottleneck_adapter_last_as_many", lambda: adapted("wahl", 8, 8, True), "wahl", **ASK_ALWAYS),
]
