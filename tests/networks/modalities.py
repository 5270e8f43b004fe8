"""Classifiers of graphs, point clouds, videos and text with the layers that are usual there."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.cases import ASK, ASK_ALWAYS, REFUSE, Case, Inputs, tokens, vectors
from networks.parts import Parts, parameter
from networks.recurrent import TextTransformer

NEIGHBOURS = fn.normalize(torch.eye(6) + torch.diag(torch.ones(5), 1) + torch.diag(torch.ones(5), -1), p=1, dim=1)


class Kipf(nn.Module):
    """Kipf's own graph convolution: ``weight`` (features, outputs)."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.weight = parameter(features, outputs)
        self.bias = parameter(outputs)

    def forward(self, x: Tensor, graph: bool = True) -> Tensor:
        return (NEIGHBOURS @ x if graph else x) @ self.weight + self.bias


class Geometric(nn.Module):
    """PyTorch Geometric's graph convolution: a bias, then ``lin`` without one."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.bias = parameter(outputs)
        self.lin = nn.Linear(features, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return NEIGHBOURS @ self.lin(x) + self.bias


class Sage(nn.Module):
    """GraphSAGE: one matrix for the neighbours and one for the node."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.lin_l = nn.Linear(features, outputs)
        self.lin_r = nn.Linear(features, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin_l(NEIGHBOURS @ x) + self.lin_r(x)


def kipf(hidden: int, classes: int) -> Parts:
    classify: Callable[[Parts, Tensor], Tensor] = lambda m, x: m.gc2(x, graph=False)  # noqa: E731
    return Parts(lambda m, x: m.gc2(fn.relu(m.gc1(x))), classify, gc1=Kipf(30, hidden), gc2=Kipf(hidden, classes))


def geometric(kind: type[nn.Module], hidden: int, classes: int, head: str | None = None) -> Parts:
    layers = {"conv1": kind(30, hidden), "conv2": kind(hidden, hidden if head else classes)}
    if head:
        layers[head] = nn.Linear(hidden, classes)

    def forward(model: Parts, x: Tensor) -> Tensor:
        x = model.conv2(fn.relu(model.conv1(x)))
        return model.get_submodule(head)(fn.relu(x)) if head else x

    return Parts(forward, **layers)


class PointNet(nn.Module):
    """PointNet: a network for the 3x3 transformation of the input, convolutions over points, linear layers."""

    def __init__(self, names: tuple[str, str], hidden: int, classes: int) -> None:
        super().__init__()
        self.stn = nn.ModuleDict({"conv1": nn.Conv1d(3, 24, 1), "fc1": nn.Linear(24, 16), "fc2": nn.Linear(16, 9)})
        self.conv1 = nn.Conv1d(3, 32, 1)
        self.conv2 = nn.Conv1d(32, 48, 1)
        for name, (width, following) in zip(names, ((48, hidden), (hidden, classes)), strict=True):
            self.add_module(name, nn.Linear(width, following))
        self.names = names

    def forward(self, x: Tensor) -> Tensor:
        turn = fn.relu(self.stn["conv1"](x)).amax(2)
        turn = self.stn["fc2"](fn.relu(self.stn["fc1"](turn))).reshape(-1, 3, 3) + torch.eye(3)
        x = fn.relu(self.conv2(fn.relu(self.conv1(turn @ x)))).amax(2)
        return self.get_submodule(self.names[1])(fn.relu(self.get_submodule(self.names[0])(x)))


class TextHead(nn.Module):
    """The heads of transformers' models: a dense layer and a projection under one name, or under two."""

    def __init__(self, first: str, second: str, classes: int, decoder: bool = False) -> None:
        super().__init__()
        self.bert = TextTransformer("x", 2, pooler=None)
        self.bert.x = nn.Identity()
        if decoder:
            self.cls = nn.ModuleDict({"transform": nn.Linear(32, 32), "decoder": nn.Linear(32, 500)})
        for name, layer in ((first, nn.Linear(32, 32)), (second, nn.Linear(32, classes))):
            *owner, last = name.split(".")
            if owner and not hasattr(self, owner[0]):
                self.add_module(owner[0], nn.Module())
            self.get_submodule(".".join(owner)).add_module(last, layer)
        self.names = (first, second)

    def forward(self, x: Tensor) -> Tensor:
        first, second = map(self.get_submodule, self.names)
        return second(torch.tanh(first(self.bert(x))))


def points(batch: int = 6, number: int = 20) -> Inputs:
    return lambda: (torch.randn(batch, 3, number),)


NODES = vectors(30)
CASES = [
    Case(
        "graph_kipf_hidden_is_classes",
        lambda: kipf(16, 16),
        "gc2",
        weight=lambda m: m.gc2.weight.T,
        inputs=NODES,
        **ASK_ALWAYS,
    ),
    Case("graph_geometric", lambda: geometric(Geometric, 16, 7), "conv2.lin", then=True, inputs=NODES),
    Case("graph_geometric_square", lambda: geometric(Geometric, 20, 20), "conv2.lin", then=True, inputs=NODES, **ASK),
    Case("graph_geometric_head", lambda: geometric(Geometric, 24, 6, "lin"), "lin", inputs=NODES),
    Case("graph_sage_head", lambda: geometric(Sage, 24, 10, "ausgabe"), "ausgabe", inputs=NODES),
    Case("graph_sage_two_matrices", lambda: geometric(Sage, 24, 10), None, 10, inputs=NODES, **REFUSE),
    Case("pointnet", lambda: PointNet(("fc1", "fc2"), 32, 40), "fc2", inputs=points()),
    Case(
        "text_dense_and_projection",
        lambda: TextHead("classifier.dense", "classifier.out_proj", 5),
        "classifier.out_proj",
        inputs=tokens(500),
    ),
    Case(
        "text_words_and_classes", lambda: TextHead("pooler", "classifier", 6, True), "classifier", inputs=tokens(500), **ASK
    ),
    Case(
        "text_words_and_odd_classes",
        lambda: TextHead("verdichten", "label_out", 9, True),
        "label_out",
        inputs=tokens(500),
        **ASK,
    ),
]
