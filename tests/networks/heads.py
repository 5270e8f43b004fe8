"""Heads of every form: raw parameters, prototypes, cosine and distance, convolutions, and what may follow them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.cases import ASK, ASK_ALWAYS, Case, sequences
from networks.parts import Parts, Pretrained, Trunk, parameter


def raw(name: str, classes: int, width: int = 32, transposed: bool = False, bias: str | None = None) -> Parts:
    """Return a network whose head is a parameter of the model itself."""

    def classify(model: Parts, x: Tensor) -> Tensor:
        weight = getattr(model, name)
        return (x @ weight if transposed else fn.linear(x, weight)) + (getattr(model, bias) if bias else 0)

    parts = {name: parameter(width, classes) if transposed else parameter(classes, width)}
    if bias:
        parts[bias] = parameter(classes)
    return Parts(lambda m, x: m.classify(m.trunk(x)), classify, trunk=Trunk(width), **parts)


class CosineLinear(nn.Module):
    """Logits are scaled cosines of features and rows."""

    def __init__(self, features: int, classes: int, name: str = "weight", scale: str | None = "sigma") -> None:
        super().__init__()
        self.register_parameter(name, parameter(classes, features))
        if scale:
            self.register_parameter(scale, nn.Parameter(torch.tensor(10.0)))
        self.name, self.scale = name, scale

    def forward(self, x: Tensor) -> Tensor:
        cosine = fn.linear(fn.normalize(x, dim=1), fn.normalize(getattr(self, self.name), dim=1))
        return cosine * (getattr(self, self.scale) if self.scale else 16.0)


def cosine(head: str, classes: int, width: int = 32, **options: object) -> Parts:
    return Parts(
        lambda m, x: m.classify(m.cnn(x)),
        lambda m, x: getattr(m, head)(x),
        cnn=Trunk(width),
        **{head: CosineLinear(width, classes, **options)},
    )


def prototypes(name: str, classes: int, width: int = 32, transposed: bool = False) -> Parts:
    """Return a network whose logits are negative squared distances to a parameter's rows or columns."""

    def classify(model: Parts, x: Tensor) -> Tensor:
        centres = getattr(model, name).T if transposed else getattr(model, name)
        return -(x[:, None] - centres).pow(2).sum(2)

    stored = parameter(width, classes) if transposed else parameter(classes, width)
    return Parts(lambda m, x: m.classify(m.backbone(x)), classify, backbone=Trunk(width), **{name: stored})


def embedded(name: str, classes: int, width: int = 32) -> Parts:
    """Return a network whose class prototypes are an embedding table."""
    classify: Callable[[Parts, Tensor], Tensor] = lambda m, x: x @ getattr(m, name).weight.T  # noqa: E731
    return Parts(
        lambda m, x: m.classify(m.encoder(x)), classify, encoder=Trunk(width), **{name: nn.Embedding(classes, width)}
    )


def followed(name: str, classes: int, width: int = 32, bias: bool = True, **after: nn.Module | Tensor) -> Parts:
    """Return a network with modules or parameters after the head that its logits go through."""

    def forward(model: Parts, x: Tensor) -> Tensor:
        x = getattr(model, name)(model.trunk(x))
        for later in map(model.__getattr__, after):
            x = later(x) if isinstance(later, nn.Module) else x * later
        return x

    return Parts(forward, trunk=Trunk(width), **{name: nn.Linear(width, classes, bias=bias)}, **after)


def unused(name: str, classes: int, width: int = 32, **after: nn.Module) -> Parts:
    """Return a network with modules after the head that nothing uses."""
    return Parts(
        lambda m, x: getattr(m, name)(m.trunk(x)), trunk=Trunk(width), **{name: nn.Linear(width, classes)}, **after
    )


def one_against_the_rest(classes: int, width: int = 32) -> Parts:
    """Return a network with a layer of one row for each class."""
    classify: Callable[[Parts, Tensor], Tensor] = lambda m, x: torch.cat([one(x) for one in m.detectors], 1)  # noqa: E731
    detectors = nn.ModuleList(nn.Linear(width, 1) for _ in range(classes))
    return Parts(lambda m, x: m.classify(m.trunk(x)), classify, trunk=Trunk(width), detectors=detectors)


def in_tasks(*classes: int, width: int = 32) -> Parts:
    """Return a network whose logits are those of several layers side by side, one for each task learned so far."""
    classify: Callable[[Parts, Tensor], Tensor] = lambda m, x: torch.cat([one(x) for one in m.detectors], 1)  # noqa: E731
    layers = nn.ModuleList(nn.Linear(width, number) for number in classes)
    return Parts(lambda m, x: m.classify(m.trunk(x)), classify, trunk=Trunk(width), detectors=layers)


def mean_of_two(first: str, second: str, classes: int) -> Parts:
    """Return a network whose logits are the mean of two layers."""
    classify: Callable[[Parts, Tensor], Tensor] = lambda m, x: (m.get_submodule(first)(x) + m.get_submodule(second)(x)) / 2  # noqa: E731
    layers = {name: nn.Linear(32, classes) for name in (first, second)}
    return Parts(lambda m, x: m.classify(m.trunk(x)), classify, trunk=Trunk(32), **layers)


def maps(width: int = 24) -> nn.Sequential:
    """Return convolutions whose output is a map of 4x4 places."""
    return nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Conv2d(12, width, 3, 2, 1), nn.ReLU())


def flattened(name: str, classes: int, width: int = 24) -> Parts:
    """Return a network whose head sees every place of the last map."""
    layer = nn.Linear(16 * width, classes)
    return Parts(lambda m, x: getattr(m, name)(m.net(x).flatten(1)), net=maps(width), **{name: layer})


def whole_map(name: str, classes: int, width: int = 24) -> Parts:
    """Return a network whose head is a convolution as large as the last map."""
    return Parts(
        lambda m, x: getattr(m, name)(m.net(x)).flatten(1), net=maps(width), **{name: nn.Conv2d(width, classes, 4)}
    )


def bilinear(name: str, classes: int, width: int = 16) -> Parts:
    """Return a bilinear CNN: the head sees the products of all pairs of channels."""

    def forward(model: Parts, x: Tensor) -> Tensor:
        x = model.features(x).flatten(2)
        return getattr(model, name)(fn.normalize((x @ x.transpose(1, 2) / 16).flatten(1)))

    return Parts(forward, features=maps(width), **{name: nn.Linear(width * width, classes)})


def fused(name: str, classes: int) -> Parts:
    """Return a network of two streams whose features are put side by side."""

    def forward(model: Parts, x: Tensor) -> Tensor:
        return getattr(model, name)(torch.cat([model.rgb(x), model.flow(x.flip(1))], 1))

    return Parts(forward, rgb=Trunk(32), flow=Trunk(20), **{name: nn.Linear(52, classes)})


def tied(width: int, classes: int) -> Parts:
    """Return a network with two names for one layer."""
    layer = nn.Linear(width, classes)
    return Parts(lambda m, x: m.tete(m.trunk(x)), trunk=Trunk(width), tete=layer, sortie=layer)


def segmenter(name: str, classes: int, width: int = 16) -> Parts:
    """Return a small U-Net: a class for each pixel by a last 1x1 convolution."""

    def forward(model: Parts, x: Tensor) -> Tensor:
        down = fn.relu(model.down(fn.relu(model.inc(x))))
        return getattr(model, name)(torch.cat([fn.relu(model.inc(x)), model.up(down)], 1))

    parts = {"inc": nn.Conv2d(3, width, 3, padding=1), "down": nn.Conv2d(width, 2 * width, 3, 2, 1)}
    parts["up"] = nn.ConvTranspose2d(2 * width, width, 2, 2)
    return Parts(forward, **parts, **{name: nn.Conv2d(2 * width, classes, 1)})


def signal(name: str, classes: int) -> Parts:
    """Return a network for sequences whose head is a 1x1 convolution over time."""
    trunk = nn.Sequential(nn.Conv1d(9, 24, 5, padding=2), nn.ReLU(), nn.Conv1d(24, 32, 3, padding=1), nn.ReLU())
    return Parts(
        lambda m, x: getattr(m, name)(m.tcn(x.transpose(1, 2))).mean(2), tcn=trunk, **{name: nn.Conv1d(32, classes, 1)}
    )


def stacked(model: nn.Module) -> Tensor:
    return torch.cat([one.weight for one in model.detectors])


BOTH_COUNTS = {"may_ask": True, "may_ask_with_count": True}

CASES = [
    Case("raw_w", lambda: raw("W", 10), "W"),
    Case("raw_transposed_binary", lambda: raw("projection", 2, transposed=True), "projection", transposed=True, **ASK),
    Case("raw_square", lambda: raw("W", 32, bias="b"), "W", **ASK_ALWAYS),
    Case("prototypes_by_distance", lambda: prototypes("prototypes", 10), "prototypes", measure="distance"),
    Case(
        "prototypes_in_columns",
        lambda: prototypes("protos", 20, transposed=True),
        "protos",
        transposed=True,
        measure="distance",
        **ASK,
    ),
    Case("cosine_weight", lambda: cosine("clf", 10), "clf.weight", measure="cosine", then=True),
    Case("embedding_of_classes", lambda: embedded("class_embedding", 10), "class_embedding.weight"),
    Case("batch_norm_after", lambda: followed("fc_out", 20, bn_out=nn.BatchNorm1d(20)), "fc_out", then=True),
    Case("layer_norm_after", lambda: followed("clf", 12, norm=nn.LayerNorm(12)), "clf", then=True),
    Case("temperature_after", lambda: followed("out", 10, temperature=nn.Parameter(torch.ones(1))), "out", then=True),
    Case("unused_wider_after", lambda: unused("clf", 20, extra=nn.Linear(32, 64)), "clf", **ASK),
    Case("unused_norm_after", lambda: unused("verdict", 10, norm=nn.BatchNorm1d(32)), "verdict"),
    Case("unused_convolution_after", lambda: unused("verdict", 10, conv9=nn.Conv2d(32, 10, 3)), "verdict"),
    Case("tied_twice", lambda: tied(32, 10), "tete"),
    Case("one_against_the_rest", lambda: one_against_the_rest(10), "detectors", weight=stacked, **ASK_ALWAYS),
    Case("tasks_side_by_side", lambda: in_tasks(10, 10), "detectors", weight=stacked, **ASK_ALWAYS),
    Case(
        "mean_of_two",
        lambda: mean_of_two("tete_a", "tete_b", 10),
        "trunk",
        weight=lambda m: (m.tete_a.weight + m.tete_b.weight) / 2,
        **ASK_ALWAYS,
    ),
    Case("flattened_map", lambda: flattened("dense", 10), "dense"),
    Case("convolution_of_whole_map", lambda: whole_map("conv_fc", 10), "conv_fc", **ASK_ALWAYS),
    Case("bilinear", lambda: bilinear("fc", 20), "fc"),
    Case("two_streams", lambda: fused("fusion", 11), "fusion"),
    Case("segmentation", lambda: segmenter("outc", 7), "outc"),
    Case("convolution_over_time", lambda: signal("to_class", 6), "to_class", then=True, inputs=sequences(9)),
    Case(
        "new_head_on_pretrained",
        lambda: Parts(lambda m, x: m.my_top(m.net(x)), net=Pretrained(), my_top=nn.Linear(48, 20)),
        "my_top",
        **ASK,
    ),
]
