"""Losses that hold the classifier: those of pytorch-metric-learning and the well-known ones that people copy into their code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.cases import ASK, Case
from networks.parts import Parts, Trunk, parameter


def with_loss(
    name: str, loss: Callable[[], nn.Module], classes: int, width: int = 24, embedder: str | None = "embedder"
) -> Callable[[], nn.Module]:
    """Return a function that builds an embedding network and a loss with weights."""

    def embed(model: Parts, x: Tensor) -> Tensor:
        x = model.trunk(x)
        return model.get_submodule(embedder)(x) if embedder else x

    def forward(model: Parts, x: Tensor) -> Tensor:
        x = embed(model, x)
        return model.get_submodule(name)(x, torch.randint(0, classes, (len(x),)))

    def classify(model: Parts, x: Tensor) -> Tensor:
        criterion = model.get_submodule(name)
        if hasattr(criterion, "proxies"):
            return fn.normalize(x, dim=1) @ fn.normalize(criterion.proxies, dim=1).T  # the similarity that they compare
        return criterion.get_logits(x)

    def build() -> Parts:
        layers = {embedder: nn.Linear(32, width)} if embedder else {}
        return Parts(forward, classify, trunk=Trunk(32 if embedder else width), **layers, **{name: loss()})

    return build


def stored(loss: nn.Module) -> Tensor:
    """Return a loss's weight as (classes, features)."""
    if hasattr(loss, "proxies"):
        return loss.proxies
    if hasattr(loss, "W"):
        return loss.W.T
    return loss.weight if hasattr(loss, "weight") else loss.kernel.T


class ArcMargin(nn.Module):
    """The copy of ArcFace that most repositories hold: ``weight`` (classes, features)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = parameter(classes, features)

    def get_logits(self, x: Tensor) -> Tensor:
        return fn.linear(fn.normalize(x), fn.normalize(self.weight))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        cosine = self.get_logits(x)
        return fn.cross_entropy(30 * (cosine - 0.3 * fn.one_hot(label, cosine.shape[1])), label)


class Kernel(nn.Module):
    """The copy that keeps ``kernel`` (features, classes)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.kernel = parameter(features, classes)

    def get_logits(self, x: Tensor) -> Tensor:
        return 64 * fn.normalize(x) @ fn.normalize(self.kernel, dim=0)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        return fn.cross_entropy(self.get_logits(x), label)


def alone(name: str) -> Callable[[nn.Module], Any]:
    return lambda model: model.get_submodule(name).state_dict()


def beside(name: str, model_key: str = "model", loss_key: str = "loss") -> Callable[[nn.Module], Any]:
    """Return a function that saves the network and the loss in two state dicts of one file."""

    def save(model: nn.Module) -> dict[str, Any]:
        states = model.state_dict()
        network = {key: tensor for key, tensor in states.items() if not key.startswith(f"{name}.")}
        return {"epoch": 7, model_key: network, loss_key: model.get_submodule(name).state_dict()}

    return save


def holding(
    loss: str, save: Callable[[nn.Module], Any] | None = None, *, name: str = "loss_fn", **known: Any
) -> dict[str, Any]:
    """Return what a case needs whose loss ``name`` keeps the weight as its parameter ``loss``."""
    case = {
        "head": f"{name}.{loss}",
        "measure": "cosine",
        "weight": lambda m: stored(m.get_submodule(name)),
    }
    return case | ({"save": save} if save else {}) | known


def from_library(name: str, **options: Any) -> Callable[[int, int], Callable[[], nn.Module]]:
    """Return a function of the numbers of classes and features that returns a builder of a loss of pytorch-metric-learning."""

    def builder(classes: int, width: int = 24) -> Callable[[], nn.Module]:
        def build() -> nn.Module:
            from pytorch_metric_learning import losses

            return getattr(losses, name)(num_classes=classes, embedding_size=width, **options)

        return build

    return builder


arcface = from_library("ArcFaceLoss")
cosface = from_library("CosFaceLoss")
softmax = from_library("NormalizedSoftmaxLoss")
anchor = from_library("ProxyAnchorLoss")
nca = from_library("ProxyNCALoss")
subcentres = from_library("SubCenterArcFaceLoss", sub_centers=3)
triple = from_library("SoftTripleLoss", centers_per_class=3)

SQUARE = {"may_ask": True, "may_ask_with_count": True}
SEVERAL = {"head": None, "must_refuse": ".", "only_with_count": True}
L = "loss_fn"
CASES = [
    Case("cosface_alone", with_loss(L, cosface(10), 10), **holding("W", alone(L), **ASK)),
    Case("subcentres_alone", with_loss(L, subcentres(20), 20), classes=20, save=alone(L), **SEVERAL),
    Case("soft_triple_alone", with_loss(L, triple(10), 10), classes=10, save=alone(L), **SEVERAL),
    Case("arcface_beside", with_loss(L, arcface(20), 20), **holding("W", beside(L))),
    Case("arcface_beside_square", with_loss(L, arcface(24), 24), **holding("W", beside(L), **SQUARE)),
    Case("normalised_softmax_beside", with_loss(L, softmax(15), 15), **holding("W", beside(L, "encoder", "criterion"))),
    Case("proxy_anchor_beside", with_loss(L, anchor(20), 20), **holding("proxies", beside(L))),
    Case("soft_triple_beside", with_loss(L, triple(10), 10), classes=10, save=beside(L), **SEVERAL),
    Case("arcface_within", with_loss("arc", arcface(20), 20), **holding("W", name="arc")),
    Case("arcface_within_classes_as_trunk", with_loss("arc", arcface(32), 32), **holding("W", name="arc", **ASK)),
    Case("cosface_within", with_loss("verlust", cosface(20), 20), **holding("W", name="verlust")),
    Case("proxy_anchor_within", with_loss("criterion", anchor(12), 12), **holding("proxies", name="criterion")),
    Case("proxy_nca_within_fc", with_loss("perte", nca(20), 20, embedder="fc"), **holding("proxies", name="perte")),
    Case("subcentres_within", with_loss("arc", subcentres(20), 20), classes=20, **SEVERAL),
    Case("margin_within", with_loss("metric_fc", lambda: ArcMargin(24, 20), 20), **holding("weight", name="metric_fc")),
    Case(
        "margin_beside",
        with_loss("metric_fc", lambda: ArcMargin(24, 20), 20),
        **holding("weight", beside("metric_fc", "backbone", "metric_fc"), name="metric_fc"),
    ),
    Case(
        "margin_alone",
        with_loss("metric_fc", lambda: ArcMargin(24, 20), 20),
        **holding("weight", alone("metric_fc"), name="metric_fc", **ASK),
    ),
    Case("kernel_within", with_loss("head", lambda: Kernel(24, 20), 20), **holding("kernel", name="head")),
    Case(
        "kernel_beside",
        with_loss("head", lambda: Kernel(24, 40), 40),
        **holding("kernel", beside("head", "backbone", "head"), name="head"),
    ),
    Case(
        "kernel_alone",
        with_loss("head", lambda: Kernel(24, 10), 10),
        **holding("kernel", alone("head"), name="head", **ASK),
    ),
]
