"""The containers that are read: one module each, all with one function ``open_content(source) -> Content``.

A container is recognised by its first bytes, not by its name. To add one: a module here, and a line in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from dsi_cli.checkpoints.source import Source
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import PendingError, UnreadableError


@dataclass(frozen=True)
class Content:
    """What a container holds: inert data whose leaves include `Tensor` records, and the way to read one of them."""

    tree: Any
    """Plain dicts, lists, scalars and stand-ins; may hold cycles."""
    read: Callable[[Tensor], NDArray[Any]]
    notes: list[str] = field(default_factory=list)
    """What a person should know though the file could be read (a wrong checksum)."""


class Format(NamedTuple):
    """One container."""

    name: str
    module: str
    begins: Callable[[bytes], bool]
    """Whether a file with these first bytes (16, or fewer if it is shorter) may be one."""
    title: str


_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32


FORMATS = (
    Format("torch-zip", "torch_zip", lambda head: head[:4] == b"PK\x03\x04", "torch.save since PyTorch 1.6: a zip archive"),
    Format(
        "torch-legacy", "torch_legacy", lambda head: head[:15] == _LEGACY, "torch.save before PyTorch 1.6: a row of pickles"
    ),
    Format("safetensors", "safetensors", _is_safetensors, "safetensors, one file"),
)
SHARDED = "safetensors-sharded"
INDEX_SUFFIX = ".safetensors.index.json"
MAGICS = (b"PK\x03\x04", _LEGACY)


def recognise(head: bytes) -> Format | None:
    """Return the format of a file that begins with these bytes, or None."""
    return next((format_ for format_ in FORMATS if format_.begins(head)), None)


def open_content(path: Path, stack: ExitStack) -> tuple[str, Content, list[Source]]:
    """Return the format's name, the content, and the sources that were opened (closed by ``stack``).

    Raises
    ------
    UnreadableError
        Not a container that is read, or damaged.
    PendingError
        It breaks off in the way of a file that is still being written.
    """
    if path.name.endswith(INDEX_SUFFIX):
        module = import_module("dsi_cli.checkpoints.formats.safetensors")
        sources: list[Source] = []
        return SHARDED, module.open_sharded(path, stack, sources), sources
    source = stack.enter_context(Source(path))
    head = source.head(16)
    found = recognise(head)
    if found is None:
        if any(magic.startswith(head) for magic in MAGICS):
            raise PendingError("empty, or breaks off in its first bytes")
        raise UnreadableError("not a container that dsi reads: expected a torch.save or safetensors file")
    module = import_module(f"dsi_cli.checkpoints.formats.{found.module}")
    return found.name, module.open_content(source), [source]
