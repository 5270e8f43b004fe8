"""Heads of every form: raw parameters, prototypes, cosine and distance, convolutions, and what may follow them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.cases import Case, images, sequences
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
    Case("raw_w", lambda: raw("W", 10), images(), "W"),
    Case("raw_w_and_b", lambda: raw("W", 20, bias="b"), images(), "W"),
    Case("raw_w_more_classes", lambda: raw("W", 40, 24, bias="b"), images(), "W"),
    Case("raw_class_weights", lambda: raw("class_weights", 12), images(), "class_weights"),
    Case("raw_transposed_and_bias", lambda: raw("W", 10, transposed=True, bias="b"), images(), "W", transposed=True),
    Case("raw_transposed", lambda: raw("W_out", 20, transposed=True), images(), "W_out", transposed=True, may_ask=True),
    Case("raw_transposed_more_classes", lambda: raw("theta", 40, 24, True, "beta"), images(), "theta", transposed=True),
    Case(
        "raw_transposed_binary",
        lambda: raw("projection", 2, transposed=True),
        images(),
        "projection",
        transposed=True,
        may_ask=True,
    ),
    Case("raw_square", lambda: raw("W", 32, bias="b"), images(), "W", may_ask_with_count=True),
    Case(
        "raw_square_transposed",
        lambda: raw("M", 32, transposed=True),
        images(),
        "M",
        transposed=True,
        may_ask_with_count=True,
    ),
    Case("prototypes_by_distance", lambda: prototypes("prototypes", 10), images(), "prototypes", measure="distance"),
    Case("centres_by_distance", lambda: prototypes("zentren", 20), images(), "zentren", measure="distance"),
    Case(
        "prototypes_in_columns",
        lambda: prototypes("protos", 20, transposed=True),
        images(),
        "protos",
        transposed=True,
        measure="distance",
        may_ask=True,
    ),
    Case("cosine_weight", lambda: cosine("clf", 10), images(), "clf.weight", measure="cosine", then=True),
    Case(
        "cosine_prototypes",
        lambda: cosine("metric", 20, name="prototypes"),
        images(),
        "metric.prototypes",
        measure="cosine",
    ),
    Case("cosine_square", lambda: cosine("fc", 32, scale="tau"), images(), "fc.weight", measure="cosine"),
    Case(
        "cosine_fixed_scale", lambda: cosine("similitude", 15, scale=None), images(), "similitude.weight", measure="cosine"
    ),
    Case("cosine_more_classes", lambda: cosine("arc", 40, 24, name="W"), images(), "arc.W", measure="cosine"),
    Case("embedding_of_classes", lambda: embedded("class_embedding", 10), images(), "class_embedding.weight"),
    Case("embedding_odd_name", lambda: embedded("konzepte", 20), images(), "konzepte.weight"),
    Case("embedding_square", lambda: embedded("label_vectors", 32), images(), "label_vectors.weight"),
    Case("batch_norm_after", lambda: followed("fc_out", 20, bn_out=nn.BatchNorm1d(20)), images(), "fc_out", then=True),
    Case(
        "batch_norm_after_without_bias",
        lambda: followed("entscheidung", 10, bias=False, bn_final=nn.BatchNorm1d(10)),
        images(),
        "entscheidung",
        then=True,
    ),
    Case("layer_norm_after", lambda: followed("clf", 12, norm=nn.LayerNorm(12)), images(), "clf", then=True),
    Case("layer_norm_after_square", lambda: followed("zeug", 32, norm=nn.LayerNorm(32)), images(), "zeug", then=True),
    Case(
        "temperature_after",
        lambda: followed("out", 10, temperature=nn.Parameter(torch.ones(1))),
        images(),
        "out",
        then=True,
    ),
    Case(
        "scale_of_each_class_after",
        lambda: followed("out_layer", 20, scale=nn.Parameter(torch.ones(20))),
        images(),
        "out_layer",
        then=True,
    ),
    Case("unused_wider_after", lambda: unused("clf", 20, extra=nn.Linear(32, 64)), images(), "clf", may_ask=True),
    Case(
        "unused_chain_after",
        lambda: unused("kopf", 10, old1=nn.Linear(48, 32), old2=nn.Linear(32, 7)),
        images(),
        "kopf",
        may_ask=True,
    ),
    Case("unused_norm_after", lambda: unused("verdict", 10, norm=nn.BatchNorm1d(32)), images(), "verdict"),
    Case("unused_convolution_after", lambda: unused("verdict", 10, conv9=nn.Conv2d(32, 10, 3)), images(), "verdict"),
    Case("tied_twice", lambda: tied(32, 10), images(), "tete"),
    Case(
        "one_against_the_rest",
        lambda: one_against_the_rest(10),
        images(),
        "detectors",
        weight=stacked,
        may_ask_with_count=True,
    ),
    Case(
        "one_against_the_rest_two",
        lambda: one_against_the_rest(2),
        images(),
        "detectors",
        weight=stacked,
        may_ask_with_count=True,
    ),
    Case("tasks_side_by_side", lambda: in_tasks(10, 10), images(), "detectors", weight=stacked, may_ask_with_count=True),
    Case(
        "tasks_of_other_numbers", lambda: in_tasks(8, 5, 5), images(), "detectors", weight=stacked, may_ask_with_count=True
    ),
    Case(
        "mean_of_two",
        lambda: mean_of_two("tete_a", "tete_b", 10),
        images(),
        "trunk",
        weight=lambda m: (m.tete_a.weight + m.tete_b.weight) / 2,
        may_ask_with_count=True,
    ),
    Case("flattened_map", lambda: flattened("dense", 10), images(), "dense"),
    Case("flattened_map_width_is_classes", lambda: flattened("fc_end", 24), images(), "fc_end"),
    Case("convolution_of_whole_map", lambda: whole_map("conv_fc", 10), images(), "conv_fc", **BOTH_COUNTS),
    Case("convolution_of_whole_map_width_is_classes", lambda: whole_map("score", 24), images(), "score", **BOTH_COUNTS),
    Case("bilinear", lambda: bilinear("fc", 20), images(), "fc"),
    Case("bilinear_width_is_classes", lambda: bilinear("espèces", 16), images(), "espèces"),
    Case("two_streams", lambda: fused("fusion", 11), images(), "fusion"),
    Case("two_streams_width_is_classes", lambda: fused("join", 20), images(), "join"),
    Case("segmentation", lambda: segmenter("outc", 7), images(), "outc"),
    Case("segmentation_width_is_classes", lambda: segmenter("klassen", 16), images(), "klassen"),
    Case("convolution_over_time", lambda: signal("to_class", 6), sequences(9), "to_class", then=True),
    Case("convolution_over_time_width_is_classes", lambda: signal("geste", 24), sequences(9), "geste", then=True),
    Case(
        "new_head_on_pretrained",
        lambda: Parts(lambda m, x: m.my_top(m.net(x)), net=Pretrained(), my_top=nn.Linear(48, 20)),
        images(),
        "my_top",
        may_ask=True,
    ),
]
