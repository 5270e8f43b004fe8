"""``torch.distributed.checkpoint``: a folder of parts that many processes wrote, and
``.metadata`` with their locations.

The metadata is a pickle with the shapes, and with the names in the order of the state
dict. For each chunk of a tensor it has a file, an offset and a length, which locate a
file of ``torch.save`` with that chunk. Reading a tensor merges its chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.file_access import RandomAccessFile, find_sibling
from dsi_cli.checkpoints.formats import CheckpointContent, OpenFiles, open_source
from dsi_cli.checkpoints.formats.torch_save import MAX_PICKLE_BYTES
from dsi_cli.checkpoints.pickle.machine import ExhaustedError, read_pickle
from dsi_cli.checkpoints.pickle.objects import PickledGlobal, PickledObject
from dsi_cli.checkpoints.tensors import (
    NUMPY_DTYPES,
    PartReader,
    Storage,
    Tensor,
    are_sizes,
    contiguous,
    itemsize,
)
from dsi_cli.checkpoints.trainers import as_dict
from dsi_cli.errors import PendingError, UnreadableError
from dsi_cli.remote.locations import Place

_MAX_FILES = 4096


class _Chunk(NamedTuple):
    """A part of a tensor: its first index in the tensor and its location in a file."""

    position: tuple[int, ...]
    file: str
    offset: int
    length: int


def open_folder(metadata: Place, files: OpenFiles) -> CheckpointContent:
    """Return the content of a folder, whose files are opened when a tensor in them is
    read; errors as `formats.open_content`.
    """
    with RandomAccessFile(metadata) as source:
        if source.size > MAX_PICKLE_BYTES:
            message = (
                f"its metadata have {source.size} bytes; dsi reads up to"
                f" {MAX_PICKLE_BYTES}"
            )
            raise UnreadableError(message, code="pickle-too-large")
        try:
            tree, _ = read_pickle(source.read_at(0, source.size))
        except ExhaustedError:
            raise PendingError("its metadata break off", code="cut-off") from None
    state = _state(tree)
    if not isinstance(state.get("state_dict_metadata"), dict):
        raise UnreadableError(
            "its .metadata are not those of torch.distributed.checkpoint",
            code="damaged-metadata",
        )
    # Find the locations of the parts of each tensor, and of other values, by name.
    chunks: dict[str, list[_Chunk]] = {}
    for key, info in as_dict(state.get("storage_data")).items():
        index, location = _state(key), _state(info)
        name: Any = index.get("fqn")
        chunk = _Chunk(
            index.get("offset") or (),
            location.get("relative_path"),  # type: ignore[arg-type]
            location.get("offset"),  # type: ignore[arg-type]
            location.get("length"),  # type: ignore[arg-type]
        )
        is_valid = (
            isinstance(name, str)
            and isinstance(chunk.file, str)
            and isinstance(chunk.position, tuple)
        )
        if (
            not is_valid
            or {type(chunk.offset), type(chunk.length)} != {int}
            or location.get("transform_descriptors")
        ):
            raise UnreadableError(
                "its .metadata do not state where a tensor is stored",
                code="damaged-metadata",
            )
        chunks.setdefault(name, []).append(chunk)
    parts: dict[str, RandomAccessFile] = {}

    def open_chunk(chunk: _Chunk) -> Any:
        if chunk.file not in parts:
            if len(parts) >= _MAX_FILES:
                raise UnreadableError(
                    f"more than {_MAX_FILES} files", code="too-many-files"
                )
            parts[chunk.file] = files.open(find_sibling(metadata, chunk.file, "file"))
        return open_source(parts[chunk.file].window(chunk.offset, chunk.length)).tree

    def read(name: str, start: int, size: int) -> memoryview:
        values = _merge_chunks(tensors[name], chunks.get(name, []), open_chunk)
        return values.reshape(-1).view(np.uint8).data[start : start + size]

    tensors = _tensors(
        state["state_dict_metadata"], as_dict(state.get("planner_data")), read
    )
    return CheckpointContent(tensors)


def _state(value: Any) -> dict[str, Any]:
    return as_dict(value.state) if isinstance(value, PickledObject) else {}


def _tensors(
    shapes: dict[str, Any], paths: dict[str, Any], read: Callable[..., memoryview]
) -> dict[str, Tensor]:
    """Return the tensors except those of the optimiser, in the order of the state dict,
    which the planner's data keep.
    """
    tensors = {}
    for name in [*paths, *(name for name in shapes if name not in paths)]:
        info = _state(shapes.get(name))
        # The properties are pickled as a dict or as a tuple.
        properties: Any = info.get("properties")
        properties = properties.state if isinstance(properties, PickledObject) else None
        if isinstance(properties, tuple) and properties:
            dtype = properties[0]
        else:
            dtype = as_dict(properties).get("dtype")
        size: Any = info.get("size")
        if (
            not isinstance(name, str)
            or not isinstance(dtype, PickledGlobal)
            or not are_sizes(size)
        ):
            continue
        path = paths.get(name)
        if not any(
            "optim" in str(part).lower()
            for part in (path if isinstance(path, tuple) else (name,))
        ):
            storage = Storage(name, dtype.name, prod(size), PartReader(read, name))
            tensors[name] = contiguous(dtype.name, size, storage)
    return tensors


def _merge_chunks(
    tensor: Tensor, chunks: list[_Chunk], open_chunk: Callable[[_Chunk], Any]
) -> NDArray[Any]:
    """Return a tensor made from its chunks, which must fill it and share neither
    elements nor bytes.
    """
    # If parts shared bytes, a small file could be read a thousand times.
    ranges = sorted((chunk.file, chunk.offset, chunk.length) for chunk in chunks)
    for (file, offset, length), (next_file, next_offset, _) in pairwise(ranges):
        if file == next_file and offset + length > next_offset:
            raise UnreadableError(
                "two parts of a tensor share the same bytes", code="overlapping-parts"
            )
    if tensor.storage.size * itemsize(tensor.dtype) > sum(
        chunk.length for chunk in chunks
    ):
        raise UnreadableError(
            f"a tensor of shape {tensor.shape} has more bytes than its parts",
            code="tensor-too-large",
        )
    # Chunks are merged as they are stored: NumPy has no bfloat16, for example.
    values = np.zeros(tensor.shape, dtype=NUMPY_DTYPES[tensor.dtype])
    filled = np.zeros(tensor.shape, dtype=bool)
    for chunk in chunks:
        part = open_chunk(chunk)
        if (
            not isinstance(part, Tensor)
            or part.dtype != tensor.dtype
            or len(part.shape) != filled.ndim
        ):
            raise UnreadableError(
                "a part of a tensor is not such a tensor, or has other dimensions",
                code="damaged-part",
            )
        # The part must lie inside the tensor, on elements that no other part has
        # filled.
        position = chunk.position or (0,) * filled.ndim
        if not are_sizes(position) or len(position) != filled.ndim:
            raise UnreadableError(
                "a part of a tensor has no possible position", code="overlapping-parts"
            )
        area = tuple(
            slice(first, first + size)
            for first, size in zip(position, part.shape, strict=True)
        )
        if filled[area].shape != part.shape or filled[area].any():
            raise UnreadableError(
                "a part of a tensor lies outside it, or on another part",
                code="overlapping-parts",
            )
        values[area] = part._replace(dtype=values.dtype.name).read()
        filled[area] = True
    if not filled.all():
        message = (
            f"parts of a tensor of shape {tensor.shape} are missing: only"
            f" {int(filled.sum())} elements are present"
        )
        raise UnreadableError(message, code="missing-part")
    return values
