"""Networks put together of named parts in the order in which their author registers them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as fn


class Parts(nn.Module):
    """Modules, parameters and buffers by name, and the function that computes with them.

    If the function for the logits is given apart, it is the method ``classify`` of the features.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        classify: Callable[[Any, Tensor], Tensor] | None = None,
        **parts: nn.Module | Tensor,
    ) -> None:
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)
            elif isinstance(part, nn.Parameter):
                self.register_parameter(name, part)
            else:
                self.register_buffer(name, part)
        self._compute = forward
        if classify is not None:
            self.classify = partial(classify, self)

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


class Pretrained(nn.Module):
    """A trunk of a model zoo with its old layer of 1,000 classes, which is left out of forward if it is not used."""

    def __init__(self, width: int = 48, used: bool = False, name: str = "fc") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(nn.Conv2d(16, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.add_module(name, nn.Linear(width, 1000))
        self.used, self.old = used, name

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer1(fn.relu(self.bn1(self.conv1(x)))).mean((2, 3))
        return self.get_submodule(self.old)(x) if self.used else x


def parameter(*shape: int) -> nn.Parameter:
    """Return random weights as people initialise them by hand."""
    return nn.Parameter(torch.randn(*shape) * 0.1)
