"""Arrays that lie in chunks, each perhaps shuffled and deflated (III.A.1, IV.A.2.l)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from math import ceil, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.formats.hdf5.groups import entries
from dsi_cli.checkpoints.formats.hdf5.messages import Layout
from dsi_cli.checkpoints.formats.hdf5.ranges import READ_COSTS, Ranges
from dsi_cli.errors import UnreadableError

_LARGEST = 64 << 20
"""Bytes of an array, whole chunks counted: nobody stores a classifier so, and what is deflated may be a thousand times larger."""
_MOST_CHUNKS = 20_000
_WIDEST = 4
"""Bytes that an element takes once it is read: 16-bit floats become 32 bits wide."""
_DEFLATE, _SHUFFLE, _CHECKSUM = 1, 2, 3


class _Chunk(NamedTuple):
    place: tuple[int, ...]
    address: int
    size: int
    mask: int
    """A bit for each filter that it was not put through."""


def read_chunks(ranges: Ranges, layout: Layout, filters: tuple[int, ...], shape: tuple[int, ...], width: int) -> memoryview:
    """Return the bytes of an array of ``width`` bytes an element, row by row.

    Raises
    ------
    UnreadableError
        A chunk is missing or damaged, chunks name the same bytes, or a filter is not one that is read.
    """
    grid = _require_bounded(layout.chunk, shape, width)
    if len(set(filters)) < len(filters):
        raise UnreadableError("damaged: an array that was put through one filter twice")
    unknown = sorted(set(filters) - {_DEFLATE, _SHUFFLE, _CHECKSUM})
    if unknown:
        raise UnreadableError(
            f"an array compressed by HDF5's filter {unknown[0]}, which is not read; deflate and shuffle are"
        )
    whole = np.zeros((*shape, width), dtype=np.uint8)
    met: set[tuple[int, ...]] = set()
    left = ranges.end
    for chunk in _listed(ranges, layout):
        step = [at // size for at, size in zip(chunk.place, layout.chunk, strict=True)]
        if chunk.place in met or any(one >= most for one, most in zip(step, grid, strict=True)):
            raise UnreadableError("damaged: a chunk of an array lies outside it, or twice at one place")
        met.add(chunk.place)
        left -= chunk.size
        if left < 0:
            raise UnreadableError("damaged: the chunks of an array have more bytes than the file")
        values = _unpacked(ranges, chunk, filters, layout.chunk, width)
        inside = tuple(slice(at, at + size) for at, size in zip(chunk.place, layout.chunk, strict=True))
        target = whole[inside]
        target[...] = values[tuple(slice(0, size) for size in target.shape[:-1])]
    if len(met) != prod(grid):
        raise UnreadableError(f"an array of which {prod(grid) - len(met)} of {prod(grid)} chunks were never written")
    return whole.reshape(-1).data


def _require_bounded(chunk: tuple[int, ...], shape: tuple[int, ...], width: int) -> list[int]:
    """Return how many chunks there are along each dimension."""
    if len(chunk) != len(shape) or 0 in chunk:
        raise UnreadableError(f"damaged: an array of shape {shape} in chunks of shape {chunk}")
    grid = [ceil(size / part) if size < _LARGEST else _LARGEST for size, part in zip(shape, chunk, strict=True)]
    if prod(grid) > _MOST_CHUNKS or max(prod(shape), prod(chunk)) * max(width, _WIDEST) > _LARGEST:
        raise UnreadableError(
            f"an array of shape {shape} in chunks of {chunk}; up to {_MOST_CHUNKS} chunks and {_LARGEST >> 20} MB are read"
        )
    return grid


def _listed(ranges: Ranges, layout: Layout) -> Iterator[_Chunk]:
    rank = len(layout.chunk)
    if layout.single:
        yield _Chunk((0,) * rank, layout.address, layout.single, layout.mask)
        return
    for key, address in entries(ranges, layout.address, kind=1, key=8 + 8 * (rank + 1)):
        size, mask, *place = struct.unpack(f"<II{rank}Q8x", key)
        if any(at % part for at, part in zip(place, layout.chunk, strict=True)):
            raise UnreadableError("damaged: a chunk of an array lies between the places of chunks")
        yield _Chunk(tuple(place), address, size, mask)


def _unpacked(
    ranges: Ranges, chunk: _Chunk, filters: tuple[int, ...], shape: tuple[int, ...], width: int
) -> NDArray[np.uint8]:
    size = prod(shape) * width
    ranges.require(chunk.address, chunk.size)
    if chunk.size > 2 * size + 1024:
        raise UnreadableError(f"damaged: a chunk of {size} bytes that takes {chunk.size} in the file")
    ranges.spend(READ_COSTS)
    data = ranges.source.read_at(chunk.address, chunk.size)
    for number in reversed(range(len(filters))):
        if chunk.mask >> number & 1:
            continue
        if filters[number] == _CHECKSUM:
            data = data[:-4]
        elif filters[number] == _DEFLATE:
            data = _inflated(data, size + 4)
        elif len(data) == size:
            data = np.frombuffer(data, dtype=np.uint8).reshape(width, -1).T.tobytes()
    if len(data) != size:
        raise UnreadableError(f"damaged: a chunk of {len(data)} bytes, expected {size}")
    return np.frombuffer(data, dtype=np.uint8).reshape(*shape, width)


def _inflated(data: bytes, most: int) -> bytes:
    """Return at most so many bytes: those of a chunk, and of the checksum that may have been put behind them."""
    try:
        return zlib.decompressobj().decompress(data, most)
    except zlib.error:
        raise UnreadableError("damaged: a chunk of an array cannot be inflated") from None
