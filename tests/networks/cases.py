"""The description of one network of the corpus, and the computation of its true classifier weight.

The truth is measured: the head is called with the unit vectors, and what it returns is its weight. The logits that the whole
model returns are compared with those of the head as well.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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
    """The weight (classes, features) that ``forward()`` uses; None if the network has no classifier."""
    head_name: str | None
    """The name of the head's weight; of the head's module, if the weight is stored in parts."""
    classes: int
    """The number of classes that labels would tell. Without a classifier: a number that no matrix of the file has."""
    also: tuple[NDArray[np.float32], ...] = field(default=(), repr=False)
    """Other matrices that are as right as `head`."""
    may_ask: bool = False
    """True if a question is as good as the head when the number of classes is unknown."""
    may_ask_with_count: bool = False
    """True if a question is as good as the head even when the number of classes is known."""
    must_refuse: str | None = None
    """A regular expression that the reason matches, if refusing is the only right result."""


@dataclass(frozen=True)
class Case:
    """A network that is still to be built: the functions that build, feed and save it, and what is known of its head."""

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
        return Network(contents, weight, self.head, len(weight), others, may_ask, may_ask)

    @torch.no_grad()
    def _weight(self, model: nn.Module) -> NDArray[np.float32]:
        """Return the head's weight, and require that the head computes with it and its outputs are the model's."""
        head = model.get_submodule(self.head)
        # The response of the head to the unit vectors, less that to zero, is (classes, features).
        features = head.weight.shape[1]
        measured = (head(torch.eye(features)) - head(torch.zeros(1, features))).T
        # The older norms and pruning compose the weight when the layer is called, so it is read after that.
        assert torch.allclose(head.weight, measured, atol=2e-4), f"{self.name}: the head does not use this weight"

        seen: list[Tensor] = []
        handle = head.register_forward_hook(lambda _module, _given, output: seen.append(output))
        logits = model(*self.inputs())
        handle.remove()
        assert len(seen) == 1, f"the head ran {len(seen)} times"
        assert torch.equal(logits, seen[0]), "the model's output is not the head's"
        return float32(head.weight)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: the networks are so small that several cost more than they save."""
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
        nn.functional.cross_entropy(logits, torch.randint(0, logits.shape[1], (len(logits),))).backward()
        optimizer.step()
