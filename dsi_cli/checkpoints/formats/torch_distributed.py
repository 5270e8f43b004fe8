"""``torch.distributed.checkpoint``: a folder of parts that many processes wrote, and ``.metadata``, which says where each lies.

The metadata is a pickle: shapes, the names in the order of the state dict, and for each chunk of a tensor a file, an offset and a
length, where a file of ``torch.save`` with that chunk stands. Chunks are put together when their tensor is read.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import CheckpointContent, open_source
from dsi_cli.checkpoints.formats.torch_zip import LARGEST_PICKLE
from dsi_cli.checkpoints.io.source import RandomAccessFile, find_sibling
from dsi_cli.checkpoints.pickle.machine import ExhaustedError, read_pickle
from dsi_cli.checkpoints.pickle.objects import PickledGlobal, PickledObject
from dsi_cli.checkpoints.tensors import Storage, Tensor, contiguous, itemsize, view_of
from dsi_cli.errors import PendingError, UnreadableError
from dsi_cli.remote.locations import Place

_MOST_FILES = 4096
_WHERE = ("relative_path", "offset", "length")


class _Chunk(NamedTuple):
    """A part of a tensor: where it begins in it, and where it stands."""

    place: tuple[int, ...]
    file: str
    offset: int
    length: int


def open_folder(metadata: Place, stack: ExitStack, sources: list[RandomAccessFile]) -> CheckpointContent:
    """Return the content of a folder; errors as for `dsi_cli.checkpoints.formats.open_content`.

    Files are opened when a tensor in them is read; ``sources`` gets those that are open.
    """
    described = _described(metadata)
    chunks = _chunks(described.get("storage_data"))
    opened: dict[str, RandomAccessFile] = {}

    def part(chunk: _Chunk) -> CheckpointContent:
        if chunk.file not in opened:
            if len(opened) >= _MOST_FILES:
                raise UnreadableError(f"more than {_MOST_FILES} files")
            opened[chunk.file] = stack.enter_context(RandomAccessFile(find_sibling(metadata, chunk.file, "file")))
            sources.append(opened[chunk.file])
        return open_source(opened[chunk.file].window(chunk.offset, chunk.length))[1]

    def read(tensor: Tensor) -> NDArray[Any]:
        name = tensor.storage.key
        return view_of(tensor, _joined(tensors[name], chunks.get(name, []), part))

    tensors = dict(_tensors(described))
    return CheckpointContent(tensors, read)


def _described(metadata: Place) -> dict[str, Any]:
    with RandomAccessFile(metadata) as source:
        if source.size > LARGEST_PICKLE:
            raise UnreadableError(f"metadata of {source.size} bytes; more than {LARGEST_PICKLE} are not read")
        try:
            tree, _ = read_pickle(source.read_at(0, source.size))
        except ExhaustedError:
            raise PendingError("its metadata break off: cut off, or still being written") from None
    state = tree.state if isinstance(tree, PickledObject) else None
    if not isinstance(state, dict) or not isinstance(state.get("state_dict_metadata"), dict):
        raise UnreadableError("its .metadata are not those of torch.distributed.checkpoint")
    return state


def _state(node: Any) -> dict[str, Any]:
    state = node.state if isinstance(node, PickledObject) else None
    return state if isinstance(state, dict) else {}


def _chunks(storage: Any) -> dict[str, list[_Chunk]]:
    """Return where the parts of each tensor, or the one of another value, stand."""
    found: dict[str, list[_Chunk]] = {}
    for key, info in storage.items() if isinstance(storage, dict) else ():
        index, where = _state(key), _state(info)
        name, chunk = index.get("fqn"), _Chunk(index.get("offset") or (), *(where.get(part) for part in _WHERE))  # type: ignore[arg-type]
        is_plain = isinstance(name, str) and isinstance(chunk.file, str) and isinstance(chunk.place, tuple)
        if not is_plain or {type(chunk.offset), type(chunk.length)} != {int} or where.get("transform_descriptors"):
            raise UnreadableError("its .metadata say nothing that can be read of where a tensor stands")
        found.setdefault(str(name), []).append(chunk)
    return found


def _tensors(described: dict[str, Any]) -> list[tuple[str, Tensor]]:
    """Return the tensors without the optimiser's, in the state dict's own order, which the planner's data keep."""
    shapes, paths = described["state_dict_metadata"], described.get("planner_data")
    paths = paths if isinstance(paths, dict) else {}
    found = []
    for name in [*paths, *(name for name in shapes if name not in paths)]:
        of = _state(shapes.get(name))
        kind = _state(of.get("properties")).get("dtype")
        if kind is None and isinstance(of.get("properties"), PickledObject):
            kind = _first_dtype(of["properties"].state)
        if not isinstance(name, str) or not isinstance(kind, PickledGlobal) or not _are_sizes(of.get("size")):
            continue
        path = paths.get(name)
        if not any("optim" in str(part).lower() for part in (path if isinstance(path, tuple) else (name,))):
            storage = Storage(name, kind.name, int(np.prod(of["size"], dtype=object)))
            found.append((name, contiguous(kind.name, of["size"], storage)))
    return found


def _first_dtype(state: Any) -> PickledGlobal | None:
    """Return the dtype of properties that are pickled as a tuple, where it comes first."""
    return state[0] if isinstance(state, tuple) and state and isinstance(state[0], PickledGlobal) else None


def _are_sizes(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) <= 32 and all(type(one) is int and 0 <= one < 1 << 48 for one in value)


def _joined(tensor: Tensor, chunks: list[_Chunk], part: Callable[[_Chunk], CheckpointContent]) -> NDArray[Any]:
    """Return a tensor put together of its parts, which must fill it without overlap, each from bytes of its own."""
    _require_apart(chunks)
    if tensor.storage.size * itemsize(tensor.dtype) > sum(chunk.length for chunk in chunks):
        raise UnreadableError(f"a tensor of shape {tensor.shape} has more bytes than its parts")
    whole: NDArray[Any] | None = None
    filled = np.zeros(tensor.shape, dtype=bool)
    for chunk in chunks:
        content = part(chunk)
        place = chunk.place or (0,) * filled.ndim
        if not isinstance(content.tree, Tensor) or len(content.tree.shape) != filled.ndim:
            raise UnreadableError("a part of a tensor is no tensor, or has other dimensions")
        fits = _are_sizes(place) and len(place) == filled.ndim
        where = tuple(slice(at, at + size) for at, size in zip(place, content.tree.shape, strict=True)) if fits else ()
        if not fits or filled[where].shape != content.tree.shape or filled[where].any():
            raise UnreadableError("a part of a tensor lies outside it, or on another")
        piece = content.read(content.tree)
        whole = np.zeros(tensor.shape, dtype=piece.dtype) if whole is None else whole
        whole[where], filled[where] = piece, True
    if whole is None or not filled.all():
        raise UnreadableError(
            f"parts of a tensor of shape {tensor.shape} are missing: {int(filled.sum())} elements are there"
        )
    return whole


def _require_apart(chunks: list[_Chunk]) -> None:
    """Raise where two parts stand on the same bytes: so that a small file cannot be read a thousand times."""
    ranges = sorted((chunk.file, chunk.offset, chunk.length) for chunk in chunks)
    for (file, begin, size), (other, after, _) in pairwise(ranges):
        if file == other and begin + size > after:
            raise UnreadableError("two parts of a tensor stand on the same bytes")
