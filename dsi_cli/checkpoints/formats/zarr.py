"""Zarr arrays of version 2 out of a store of keys: one JSON text an array, and its chunks.

What TensorStore writes for Orbax is read: chunks as they are, or packed with zstd or gzip. Reference:
https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.formats.ocdbt import unpacked
from dsi_cli.checkpoints.tensors import Storage, contiguous, decode, itemsize
from dsi_cli.errors import UnreadableError

DESCRIPTION, DESCRIPTION_3 = ".zarray", "zarr.json"
"""The key, under an array's name, of the text that describes it: version 2, and version 3, which is not read."""
_MOST_CHUNKS = 16_384
_MOST_DIMENSIONS = 32
_SEPARATORS = (".", "/")
_KINDS = {"f": "float", "i": "int", "u": "uint", "c": "complex"}


class Array(NamedTuple):
    """What an array's text says."""

    dtype: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    """The shape of each chunk, at the array's end too."""
    packing: str
    """``zstd``, ``gzip``, empty for none; another word for what is not read."""
    separator: str
    fill: Any

    def key(self, place: tuple[int, ...]) -> str:
        """Return the key of a chunk, under the array's name."""
        return self.separator.join(map(str, place)) or "0"


def described(data: bytes) -> Array:
    """Return the array that a JSON text describes.

    Raises
    ------
    UnreadableError
        It is no such text, or its numbers are impossible.
    """
    try:
        text = json.loads(data)
        is_plain = text["order"] == "C" and not text.get("filters")
        packing = text["compressor"]["id"] if text["compressor"] else ""
        shape, chunk = _sizes(text["shape"], 0), _sizes(text["chunks"], 1)
        dtype, separator = _dtype(str(text["dtype"])), str(text.get("dimension_separator", "."))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise UnreadableError("the text of a Zarr array does not say what it should") from None
    if separator not in _SEPARATORS:
        raise UnreadableError(f"a Zarr array whose chunks' keys are joined with {separator[:8]!r} is not read")
    if len(shape) != len(chunk) or len(shape) > _MOST_DIMENSIONS or prod(size or 1 for size in shape) >= 1 << 63:
        raise UnreadableError(f"a Zarr array of shape {shape[:8]} in chunks of {chunk[:8]} cannot be")
    return Array(dtype, shape, chunk, str(packing) if is_plain else "filters", separator, text.get("fill_value"))


def _dtype(text: str) -> str:
    """Return torch's name of a dtype; NumPy's have a sign for the order of bytes, the others go by their names."""
    if text == "|b1":
        return "bool"
    return _KINDS.get(text[1:2], "?") + str(8 * int(text[2:])) if text[:1] in ("<", "|") else text


def _sizes(numbers: Any, least: int) -> tuple[int, ...]:
    if not all(type(number) is int and least <= number < 1 << 48 for number in numbers):
        raise ValueError(numbers)
    return tuple(numbers)


def read(array: Array, value: Callable[[str, int], bytes | None], most: int) -> NDArray[Any]:
    """Return an array put together from its chunks; floats as `dsi_cli.checkpoints.tensors.decode` gives them.

    Parameters
    ----------
    value : what a key under the array's name holds, up to a number of bytes; None where nothing is stored
    most : bytes that the array may take, its chunks' overhang included

    Raises
    ------
    UnreadableError
        It is damaged, would take more, or is packed in a way that is not read.
    """
    grid = [-(-size // step) for size, step in zip(array.shape, array.chunk, strict=True)]
    count, size = prod(array.chunk), prod(array.chunk) * itemsize(array.dtype)
    if prod(grid) > _MOST_CHUNKS or prod(grid) * max(size, 4 * count) > most:
        raise UnreadableError(f"an array of shape {array.shape} in {prod(grid)} chunks is more than is stored of it can be")
    if array.packing not in ("", "zstd", "gzip"):
        raise UnreadableError(f"a Zarr array packed with {array.packing[:40]!r} is not read")
    tensor = contiguous(array.dtype, array.chunk, Storage("", array.dtype, count))
    out = None
    for place in np.ndindex(*grid):
        data = value(array.key(place), 2 * size + 1024)
        if data is None and array.fill not in (None, 0):
            raise UnreadableError(f"a chunk that is not stored stands for {str(array.fill)[:40]}: that is not read")
        if data is not None:
            data = unpacked(array.packing, data, size) if array.packing else data
            if len(data) != size:
                raise UnreadableError(f"a chunk of a Zarr array holds {len(data)} bytes instead of {size}")
            block = decode(tensor, data)
            if array.chunk == array.shape:
                return block
            out = np.zeros(array.shape, dtype=block.dtype) if out is None else out
            part = out[tuple(slice(at * step, (at + 1) * step) for at, step in zip(place, array.chunk, strict=True))]
            part[...] = block[tuple(map(slice, part.shape))]
    return np.zeros(array.shape, dtype=np.float32) if out is None else out
