"""Building blocks of the networks."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as fn


class Parts(nn.Module):
    """Modules by name in the order in which their author registers them, and the function that computes with them."""

    def __init__(self, forward: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self._compute = forward

    def forward(self, *given: Tensor) -> Any:
        return self._compute(self, *given)


class Trunk(nn.Module):
    """Two convolutions with batch norm and global pooling: images to features."""

    def __init__(self, width: int = 32, between: int = 16) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, between, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(between)
        self.conv2 = nn.Conv2d(between, width, 3, stride=2, padding=1)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return fn.relu(self.bn2(self.conv2(fn.relu(self.bn1(self.conv1(x)))))).mean((2, 3))


class Cnn(nn.Module):
    """A trunk and one linear layer of any name, which may be registered before the trunk."""

    def __init__(self, head: str, classes: int, head_first: bool = False) -> None:
        super().__init__()
        layers = {"trunk": Trunk(), head: nn.Linear(32, classes)}
        for name, layer in reversed(layers.items()) if head_first else layers.items():
            self.add_module(name, layer)
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(self.trunk(x))


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


def cnn(head: str = "clf", classes: int = 10) -> Callable[[], nn.Module]:
    """Return a function that builds a trunk and one linear layer of any name."""
    return lambda: Cnn(head, classes)


def tutorial(*widths: int) -> Callable[[], nn.Module]:
    """Return a function that builds LeNet with linear layers of these widths."""
    return lambda: Tutorial(["fc1", "fc2", "out"], widths)
