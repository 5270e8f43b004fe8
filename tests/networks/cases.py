"""The description of one network of the corpus, and its true classifier weight: what
its head returns for the unit vectors.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn

Inputs = Callable[[], tuple[Tensor, ...]]


def images() -> tuple[Tensor, ...]:
    """Return a batch of random images."""
    return (torch.randn(6, 3, 16, 16),)


def vectors(features: int) -> Inputs:
    """Return a function that draws a batch of random feature vectors."""
    return lambda: (torch.randn(6, features),)


@dataclass(frozen=True)
class Network:
    """A checkpoint's contents and what is true of them."""

    contents: Any = field(repr=False)
    """The object that ``torch.save`` writes."""
    head: NDArray[np.float32] | None = field(repr=False)
    """The weight (classes, features) that ``forward()`` uses; None if the network has
    no classifier.
    """
    head_name: str | None
    """The name of the head's weight; of the head's module, if the weight is stored in
    parts.
    """
    classes: int
    """The number of classes that labels would tell. Without a classifier: a number that
    no matrix of the file has.
    """
    also: tuple[NDArray[np.float32], ...] = field(default=(), repr=False)
    """Other matrices that are as right as `head`."""
    may_ask: bool = False
    """True if a question is as good as the head when the number of classes is unknown.
    """
    may_ask_with_count: bool = False
    """True if a question is as good as the head even when the number of classes is
    known.
    """
    must_refuse: str | None = None
    """A regular expression that the reason matches, if refusing is the only right
    result.
    """


@dataclass(frozen=True)
class Case:
    """A network that is still to be built: the functions that build, feed and save it,
    and what is known of its head.
    """

    name: str
    build: Callable[[], nn.Module]
    head: str
    """The path of the head's module."""
    inputs: Inputs = images
    save: Callable[[nn.Module], Any] = lambda model: model.state_dict()
    also: Callable[[nn.Module], tuple[Tensor, ...]] = lambda _model: ()
    may_ask_with_count: bool = False
    only_with_count: bool = False

    def network(self) -> Network:
        """Return the trained network with its truth."""
        with torch.random.fork_rng(devices=[]), one_thread():
            torch.manual_seed(zlib.crc32(self.name.encode()))
            model = self.build()
            train(model, self.inputs)
            model.eval()
            weight = self._weight(model)
            contents = self.save(model)
        others = tuple(float32(one) for one in self.also(model))
        may_ask = self.may_ask_with_count
        return Network(
            contents, weight, self.head, len(weight), others, may_ask, may_ask
        )

    @torch.no_grad()
    def _weight(self, model: nn.Module) -> NDArray[np.float32]:
        """Return the head's weight, and require that the head computes with it and its
        outputs are the model's.
        """
        head = model.get_submodule(self.head)
        # The response of the head to the unit vectors, less that to zero, is (classes,
        # features).
        features = head.weight.shape[1]
        measured = (head(torch.eye(features)) - head(torch.zeros(1, features))).T
        # The older norms and pruning compose the weight when the layer is called, so it
        # is read after that.
        assert torch.allclose(head.weight, measured, atol=2e-4), (
            f"{self.name}: the head does not use this weight"
        )

        seen: list[Tensor] = []
        handle = head.register_forward_hook(
            lambda _module, _given, output: seen.append(output)
        )
        logits = model(*self.inputs())
        handle.remove()
        assert len(seen) == 1, f"the head ran {len(seen)} times"
        assert torch.equal(logits, seen[0]), "the model's output is not the head's"
        return float32(head.weight)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: the networks are so small that several cost more than
    they save.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def float32(weight: Tensor) -> NDArray[np.float32]:
    """Return a copy of a tensor as a NumPy array of float32."""
    return np.array(weight.detach().float().numpy())


def train(model: nn.Module, inputs: Inputs) -> None:
    """Make two steps of gradient descent on random targets."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    model.train()
    for _ in range(2):
        optimizer.zero_grad()
        logits = model(*inputs())
        nn.functional.cross_entropy(
            logits, torch.randint(0, logits.shape[1], (len(logits),))
        ).backward()
        optimizer.step()


class Parts(nn.Module):
    """Modules by name in the order in which their author registers them, and the
    function that computes with them.
    """

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
        return fn.relu(self.bn2(self.conv2(fn.relu(self.bn1(self.conv1(x)))))).mean(
            (2, 3)
        )


class Cnn(nn.Module):
    """A trunk and one linear layer of any name, which may be registered before the
    trunk.
    """

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
        for name, (width, following) in zip(
            names, pairwise((64, *widths)), strict=True
        ):
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
