"""The description of one network of the corpus, and the computation of its true classifier weight.

The truth is measured: the head is called with the unit vectors, and what it returns is its weight. For a plain case the
logits that the whole model returns are compared with those of the head as well.
"""

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Inputs = Callable[[], tuple[Tensor, ...]]


def images(side: int = 16, batch: int = 6, channels: int = 3) -> Inputs:
    """Return a function that draws a batch of random images."""
    return lambda: (torch.randn(batch, channels, side, side),)


def vectors(features: int, batch: int = 6) -> Inputs:
    """Return a function that draws a batch of random feature vectors."""
    return lambda: (torch.randn(batch, features),)


ASK: dict[str, Any] = {"may_ask": True}
ASK_ALWAYS: dict[str, Any] = {"may_ask_with_count": True}
REFUSE: dict[str, Any] = {"must_refuse": "."}


@dataclass(frozen=True)
class Network:
    """A checkpoint's contents and what is true of them."""

    name: str
    contents: Any = field(repr=False)
    """The object that ``torch.save`` writes."""
    head: NDArray[np.float32] | None = field(repr=False)
    """The weight (classes, features) that ``forward()`` uses; None if the network has no classifier."""
    head_name: str | None
    """The name of the head's weight; of the head's module, if the weight is stored in parts."""
    classes: int | None
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
    head: str | None
    """The path of the head's module."""
    classes: int | None = None
    """The number of classes; None if it is the number of the head's rows."""
    inputs: Inputs = field(default_factory=images)
    weight: Callable[[nn.Module], Tensor] | None = None
    """A function that composes the weight (classes, features) of a head that is not a single parameter."""
    steps: int = 2
    save: Callable[[nn.Module], Any] = lambda model: model.state_dict()
    also: Callable[[nn.Module], tuple[Tensor, ...]] = lambda _model: ()
    may_ask: bool = False
    may_ask_with_count: bool = False
    must_refuse: str | None = None
    only_with_count: bool = False
    """True if nobody could decide without the number of classes: no result is expected without it."""

    def network(self) -> Network:
        """Return the trained network with its truth."""
        with torch.random.fork_rng(devices=[]), one_thread():
            torch.manual_seed(zlib.crc32(self.name.encode()))
            model = self.build()
            train(model, self.inputs, self.steps)
            model.eval()
            weight = None if self.head is None else self._weight(model)
            contents = self.save(model)
        others = tuple(float32(one) for one in self.also(model))
        return Network(
            name=self.name,
            contents=contents,
            head=weight,
            head_name=self.head,
            classes=self.classes if self.classes is not None else len(weight) if weight is not None else None,
            also=others,
            may_ask=self.may_ask or self.may_ask_with_count,
            may_ask_with_count=self.may_ask_with_count,
            must_refuse=self.must_refuse,
        )

    @torch.no_grad()
    def _weight(self, model: nn.Module) -> NDArray[np.float32]:
        """Return the head's weight, and require that the head computes with it."""
        stored = attribute(model, self.head)
        if self.weight is not None:
            weight = self.weight(model)
            measured = response(getattr(model, "classify", stored), weight.shape[1:])
        else:
            # The older norms and pruning compose the weight when the layer is called, so it is read after that.
            measured = response(stored, stored.weight.shape[1:])
            weight = stored.weight
            require_logits(model, stored, self.inputs)
        assert weight.shape == measured.shape, f"{self.name}: {tuple(weight.shape)} is not {tuple(measured.shape)}"
        assert torch.allclose(weight, measured, atol=2e-4), f"{self.name}: the head does not use this weight"
        return float32(weight)


def attribute(model: nn.Module, path: str) -> nn.Module | Tensor:
    """Return the module, parameter or buffer at a dotted path."""
    owner, _, last = path.rpartition(".")
    return getattr(model.get_submodule(owner), last)


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


def train(model: nn.Module, inputs: Inputs, steps: int) -> None:
    """Make a few steps of gradient descent on random targets."""
    trainable = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=0.05)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(model(*inputs()))
        loss.backward()
        optimizer.step()


def loss_of(output: Any) -> Tensor:
    """Return the loss of a model's outputs: cross-entropy of logits, squares of values, losses as they are."""
    if isinstance(output, Tensor):
        if output.ndim == 2 and output.shape[1] > 1:
            return nn.functional.cross_entropy(output, torch.randint(0, output.shape[1], (len(output),)))
        return output.pow(2).mean() if output.ndim else output
    return sum(loss_of(one) for one in output)


def response(head: Callable[[Tensor], Tensor], shape: Sequence[int]) -> Tensor:
    """Return what a head makes of the unit vectors of this shape, less what it makes of zero: (classes, features)."""
    features = math.prod(shape)
    unit, zero = torch.eye(features).reshape(-1, *shape), torch.zeros(1, *shape)
    return (head(unit) - head(zero)).flatten(1).T


def require_logits(model: nn.Module, head: nn.Module, inputs: Inputs) -> None:
    """Require that the first output of the model is what the head returns."""
    seen: list[Tensor] = []
    handle = head.register_forward_hook(lambda _module, _given, output: seen.append(output))
    output = model(*inputs())
    handle.remove()
    logits = output if isinstance(output, Tensor) else output[0]
    assert len(seen) == 1, f"the head ran {len(seen)} times"
    assert torch.equal(logits, seen[0].reshape(logits.shape)), "the model's output is not the head's"
