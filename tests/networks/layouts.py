"""Networks of which only the names, the order and the shapes of the tensors matter."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from networks.cases import Network

PATH = Path(__file__).with_name("layouts.jsonl")
INTEGERS = ("num_batches_tracked", "_index", "_ids", "_ptr", "qweight")
"""How the names of the buffers end that PyTorch and its users store as integers."""


@dataclass(frozen=True)
class Layout:
    """A checkpoint's contents with the shape of each tensor in its place."""

    name: str
    tensors: dict[str, Any]
    """The shapes by name, in nested dicts as the file has them. Plain numbers are
    stored as they are.
    """
    head: str | list[str] | None = None
    """The name of the head's weight (with the keys of outer dicts before it), or
    several that are as right.
    """
    classes: int | None = None
    """The number of classes, if there is no head to count them in."""
    transposed: bool = False
    """True if the weight is (features, classes)."""
    may_ask: bool = False
    may_ask_with_count: bool = False
    must_refuse: str | None = None
    only_with_count: bool = False

    def network(self) -> Network:
        """Return the network with random weights."""
        contents = filled(
            self.tensors,
            "",
            torch.Generator().manual_seed(zlib.crc32(self.name.encode())),
        )
        tensors = dict(flattened(contents))
        names = [self.head] if isinstance(self.head, str) else self.head or []
        heads = [
            (tensors[name].T if self.transposed else tensors[name]).flatten(1).numpy()
            for name in names
        ]
        return Network(
            contents,
            head=heads[0] if heads else None,
            head_name=names[0] if names else None,
            classes=self.classes if self.classes is not None else len(heads[0]),
            also=tuple(heads[1:]),
            may_ask=self.may_ask or self.may_ask_with_count,
            may_ask_with_count=self.may_ask_with_count,
            must_refuse=self.must_refuse,
        )


def layouts() -> list[Layout]:
    """Return every network of the file."""
    return [
        Layout(**json.loads(line))
        for line in PATH.read_text(encoding="utf-8").splitlines()
    ]


def filled(shapes: Any, name: str, generator: torch.Generator) -> Any:
    """Return the contents with a random tensor for each shape."""
    if isinstance(shapes, dict):
        return {key: filled(inner, key, generator) for key, inner in shapes.items()}
    if not isinstance(shapes, list):
        return shapes
    if name.endswith(INTEGERS):
        return torch.zeros(
            shapes, dtype=torch.int32 if name.endswith("qweight") else torch.int64
        )
    return torch.randn(shapes, generator=generator) * 0.1


def flattened(contents: Any, *keys: str) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor, with the keys that lead to it joined by dots."""
    if isinstance(contents, dict):
        for key, inner in contents.items():
            yield from flattened(inner, *keys, key)
    elif isinstance(contents, Tensor):
        yield ".".join(keys), contents
