"""Convolutional networks and perceptrons as tutorials, theses and papers write them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.cases import Case, vectors


class Cnn(nn.Module):
    """Two convolutions with batch norm, and one linear layer of any name."""

    def __init__(self, head: str, classes: int, width: int = 32, bias: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(2)
        self.add_module(head, nn.Linear(width, classes, bias=bias))
        self.last = head

    def embed(self, x: Tensor) -> Tensor:
        x = self.pool(fn.relu(self.bn1(self.conv1(x))))
        return fn.relu(self.bn2(self.conv2(x))).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(self.embed(x))


class HeadFirst(nn.Module):
    """The head is registered before the layers that feed it."""

    def __init__(self, head: str, classes: int, width: int = 32) -> None:
        super().__init__()
        self.add_module(head, nn.Linear(width, classes))
        self.conv1 = nn.Conv2d(3, 24, 3, padding=1)
        self.conv2 = nn.Conv2d(24, width, 3, padding=1)
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(fn.relu(self.conv2(fn.relu(self.conv1(x)))).mean((2, 3)))


class Tutorial(nn.Module):
    """LeNet as in PyTorch's tutorials, with linear layers of any names and widths."""

    def __init__(self, names: Sequence[str], widths: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 3)
        self.names = tuple(names)
        for name, (width, following) in zip(names, pairwise((64, *widths)), strict=True):
            self.add_module(name, nn.Linear(width, following))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(fn.relu(self.conv1(x)))
        x = self.pool(fn.relu(self.conv2(x))).flatten(1)
        for name in self.names[:-1]:
            x = fn.relu(self.get_submodule(name)(x))
        return self.get_submodule(self.names[-1])(x)


class Perceptron(nn.Module):
    """Linear layers, given by name and width, with ReLU between them."""

    def __init__(self, features: int, **widths: int) -> None:
        super().__init__()
        self.names = tuple(widths)
        for (name, following), width in zip(widths.items(), (features, *widths.values()), strict=False):
            self.add_module(name, nn.Linear(width, following))

    def forward(self, x: Tensor) -> Tensor:
        for name in self.names[:-1]:
            x = fn.relu(self.get_submodule(name)(x))
        return self.get_submodule(self.names[-1])(x)


def stack(*widths: int, norm: bool = False, dropout: bool = False) -> nn.Sequential:
    """Return linear layers of these widths in a Sequential, with ReLU between them."""
    layers: list[nn.Module] = []
    for width, following in pairwise(widths):
        layers += [nn.Linear(width, following)]
        layers += [nn.BatchNorm1d(following)] if norm else []
        layers += [nn.ReLU()] + ([nn.Dropout(0.1)] if dropout else [])
    kept = 1 + norm + dropout
    return nn.Sequential(*layers[:-kept])


class Wrapped(nn.Module):
    """A Sequential under an attribute of any name."""

    def __init__(self, name: str, layers: nn.Module) -> None:
        super().__init__()
        self.add_module(name, layers)
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.name)(x.flatten(1))


class Block(nn.Module):
    """ResNet's basic block."""

    def __init__(self, width: int, following: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, following, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(following)
        self.conv2 = nn.Conv2d(following, following, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(following)
        side = nn.Sequential()
        if stride != 1 or width != following:
            side = nn.Sequential(nn.Conv2d(width, following, 1, stride, bias=False), nn.BatchNorm2d(following))
        self.add_module(shortcut, side)
        self.side = shortcut

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(fn.relu(self.bn1(self.conv1(x)))))
        return fn.relu(out + self.get_submodule(self.side)(x))


class ResNet(nn.Module):
    """A small ResNet with a head of any name, which may be a Sequential."""

    def __init__(
        self, head: str, classes: int, width: int = 32, shortcut: str = "downsample", layer: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1, shortcut), Block(16, 16, 1, shortcut))
        self.layer2 = nn.Sequential(Block(16, width, 2, shortcut))
        self.add_module(head, layer if layer is not None else nn.Linear(width, classes))
        self.last = head

    def embed(self, x: Tensor) -> Tensor:
        return self.layer2(self.layer1(fn.relu(self.bn1(self.conv1(x))))).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(self.embed(x))


class Fire(nn.Module):
    """SqueezeNet's block."""

    def __init__(self, width: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = fn.relu(self.squeeze(x))
        return fn.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


class SqueezeNet(nn.Module):
    """Fire blocks, and a Sequential of dropout, 1x1 convolution, ReLU and pooling."""

    def __init__(self, head: str, classes: int, squeezed: int = 8) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), Fire(16, squeezed, 16), Fire(32, squeezed, 24))
        last = nn.Conv2d(48, classes, 1)
        self.add_module(head, nn.Sequential(nn.Dropout(0.1), last, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(self.features(x))


CASES = [
    Case("head_first", lambda: HeadFirst("top", 20), "top"),
    Case("chain_of_two_square", lambda: Perceptron(48, fc1=20, fc2=20), "fc2", inputs=vectors(48)),
    Case("wrapped_layers", lambda: Wrapped("layers", stack(48, 20, 20, norm=True)), "layers.3", inputs=vectors(48)),
    Case("resnet_linear", lambda: ResNet("linear", 10, shortcut="shortcut"), "linear"),
    Case("resnet_fc_stack", lambda: ResNet("fc", 0, layer=stack(32, 48, 20, dropout=True)), "fc.3"),
    Case("squeezenet", lambda: SqueezeNet("classifier", 10), "classifier.1", then=True),
]
