"""An HDF5 file as a tree of groups and arrays; the elements of an array are read when they are asked for."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats.hdf5.chunks import read_chunks
from dsi_cli.checkpoints.formats.hdf5.groups import links
from dsi_cli.checkpoints.formats.hdf5.headers import Message, find_root, read_header
from dsi_cli.checkpoints.formats.hdf5.messages import (
    ATTRIBUTE,
    DATASPACE,
    DATATYPE,
    FILTERS,
    LAYOUT,
    LINKED_TEXT,
    TEXT,
    Attribute,
    Layout,
    attribute_of,
    elements,
    filters_of,
    kind_of,
    layout_of,
    shape_of,
)
from dsi_cli.checkpoints.formats.hdf5.ranges import NOWHERE, Ranges, Readable, damage_named
from dsi_cli.checkpoints.tensors import Storage, Tensor, contiguous, decode, itemsize, span, view_of
from dsi_cli.errors import UnreadableError

_DEEPEST = 32
_MOST_OBJECTS = 50_000
_REFERENCE = struct.Struct("<IQI")


@dataclass
class Group:
    """A group: what it holds by name, in the file's order, and its attributes."""

    address: int
    """Where its header stands: what was written later mostly stands behind."""
    members: dict[str, Group | Tensor] = field(default_factory=dict)
    attributes: dict[str, Attribute] = field(default_factory=dict)


class _Array(NamedTuple):
    shape: tuple[int, ...]
    """As it is stored; a tensor may be another view of it."""
    layout: Layout
    filters: tuple[int, ...]
    is_big_endian: bool


class File:
    """An HDF5 file.

    Attributes
    ----------
    root : Group

    Parameters
    ----------
    source : where its bytes are
    passed_over : names at the top whose contents are not looked at

    Raises
    ------
    UnreadableError
        Damaged, hostile or in a form that is not read.
    PendingError
        Shorter than it says, or open for writing.
    """

    def __init__(self, source: Readable, passed_over: frozenset[str] = frozenset()) -> None:
        self._ranges = Ranges(source)
        self._met: dict[int, Tensor] = {}
        self._arrays: dict[str, _Array] = {}
        self._heaps: dict[int, dict[int, bytes]] = {}
        with damage_named():
            self.root = self._walked(find_root(self._ranges), passed_over)

    def read(self, tensor: Tensor) -> NDArray[Any]:
        """Return an array's elements."""
        start, size = span(tensor)
        array = self._arrays[tensor.storage.key]
        with damage_named():
            if size and array.layout.chunk:
                return view_of(tensor, self._put_together(array, tensor))
            data = self._bytes(array.layout, start, size) if size else b""
        return decode(tensor, data, big_endian=array.is_big_endian)

    def text(self, group: Group, name: str) -> list[str]:
        """Return the texts of an attribute: one for a scalar, none where it is not there or no text."""
        attribute = group.attributes.get(name)
        if attribute is None:
            return []
        with damage_named():
            return [one.decode("utf-8", "replace") for one in self._texts(attribute)]

    def _walked(self, root: int, passed_over: frozenset[str]) -> Group:
        top = Group(root)
        waiting: deque[tuple[Group, str, int, int]] = deque([(top, "", root, 0)])
        count = 0
        while waiting:
            parent, name, address, depth = waiting.popleft()
            if address in self._met:
                parent.members[name] = self._met[address]
                continue
            header = read_header(self._ranges, address)
            if any(message.kind == LAYOUT for message in header):
                parent.members[name] = self._met[address] = self._array(address, header)
                continue
            self._ranges.once(address)
            group = parent if depth == 0 else Group(address)
            group.attributes = dict(_attributes(header))
            if depth:
                parent.members[name] = group
            for link in links(self._ranges, header):
                count += 1
                if count > _MOST_OBJECTS or depth >= _DEEPEST:
                    raise UnreadableError(f"more than {_MOST_OBJECTS} names, or groups in groups {_DEEPEST} deep: not read")
                if depth or link.name not in passed_over:
                    waiting.append((group, link.name, link.address, depth + 1))
        return top

    def _array(self, address: int, header: list[Message]) -> Tensor:
        bodies = {message.kind: message for message in header if message.kind != ATTRIBUTE}
        if DATASPACE not in bodies or DATATYPE not in bodies:
            raise UnreadableError(f"damaged: the array at byte {address} has no shape or no type")
        shape, key = shape_of(bodies[DATASPACE].body), str(address)
        if bodies[DATATYPE].is_shared:
            return contiguous("type of its own", shape, Storage(key, "type of its own", 0))
        kind = kind_of(bodies[DATATYPE].body)
        layout = layout_of(bodies[LAYOUT].body, shape, kind.size)
        filters = filters_of(bodies[FILTERS].body) if FILTERS in bodies else ()
        self._arrays[key] = _Array(shape, layout, filters, kind.is_big_endian)
        held = prod(shape) if layout.chunk else elements(kind.dtype, layout.size)
        return contiguous(kind.dtype, shape, Storage(key, kind.dtype, held))

    def _put_together(self, array: _Array, tensor: Tensor) -> NDArray[Any]:
        """Return all elements of an array that lies in chunks, in its stored shape."""
        _require_written(array.layout)
        data = read_chunks(self._ranges, array.layout, array.filters, array.shape, itemsize(tensor.dtype))
        return decode(contiguous(tensor.dtype, array.shape, tensor.storage), data, big_endian=array.is_big_endian)

    def _bytes(self, layout: Layout, start: int, size: int) -> bytes | memoryview:
        if layout.held is not None:
            return layout.held[start : start + size]
        _require_written(layout)
        self._ranges.require(layout.address + start, size)
        return self._ranges.source.memory_at(layout.address + start, size)

    def _texts(self, attribute: Attribute) -> Iterator[bytes]:
        kind, data = attribute.kind, attribute.data
        count = prod(attribute.shape)
        if kind.number == TEXT and kind.size and count * kind.size <= len(data):
            for at in range(0, count * kind.size, kind.size):
                yield data[at : at + kind.size].split(b"\0", 1)[0].rstrip(b" ")
        elif kind.number == LINKED_TEXT and kind.size == _REFERENCE.size and count * kind.size <= len(data):
            for size, heap, number in _REFERENCE.iter_unpack(data[: count * kind.size]):
                held = self._heap(heap).get(number, b"")[:size] if size else b""
                self._ranges.spend(len(held))
                yield held.split(b"\0", 1)[0]

    def _heap(self, address: int) -> dict[int, bytes]:
        """Return the objects of a global heap (III.E) by number."""
        if address not in self._heaps:
            mark, size = struct.unpack("<4s4xQ", self._ranges.at(address, 16))
            if mark != b"GCOL":
                raise UnreadableError(f"damaged: no texts stand at byte {address}")
            block = self._ranges.at(address, size)
            found, at = {}, 16
            while at + 16 <= len(block):
                number, length = struct.unpack_from("<H6xQ", block, at)
                if number == 0:
                    break
                self._ranges.spend(_REFERENCE.size)
                found[number] = block[at + 16 : at + 16 + length]
                at += 16 + -(-length // 8) * 8
            self._heaps[address] = found
        return self._heaps[address]


def _require_written(layout: Layout) -> None:
    if layout.address == NOWHERE:
        raise UnreadableError("an array whose elements were never written, or lie in another file")


def _attributes(header: list[Message]) -> Iterator[tuple[str, Attribute]]:
    for message in header:
        found = attribute_of(message.body) if message.kind == ATTRIBUTE and not message.is_shared else None
        if found is not None:
            yield found
