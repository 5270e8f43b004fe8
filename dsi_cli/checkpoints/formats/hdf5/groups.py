"""The names in a group: by symbol table (III.A, III.B, III.D), as h5py and Keras write them, or by link messages."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from dsi_cli.checkpoints.formats.hdf5.headers import Message
from dsi_cli.checkpoints.formats.hdf5.messages import LINK, LINK_INFO, SYMBOL_TABLE, Link, link_of
from dsi_cli.checkpoints.formats.hdf5.ranges import NOWHERE, Ranges
from dsi_cli.errors import UnreadableError

_ENTRY = struct.Struct("<QQI20x")
_SYMBOLIC = 2
_LONGEST_NAME = 1024
_LETTER_COSTS = 32
"""Bytes that a letter of a name is counted as: names may share their letters in the file, and are taken apart to be sorted."""


def links(ranges: Ranges, header: list[Message]) -> Iterator[Link]:
    """Yield the hard links of a group, in the file's order; nothing for what is no group. Their names are counted."""
    for link in _links(ranges, header):
        ranges.spend(_LETTER_COSTS * len(link.name))
        yield link


def _links(ranges: Ranges, header: list[Message]) -> Iterator[Link]:
    found = []
    for message in header:
        if message.kind == SYMBOL_TABLE:
            tree, heap = struct.unpack_from("<QQ", message.body)
            yield from _of_table(ranges, tree, heap)
        elif message.kind == LINK_INFO:
            _require_compact(message.body)
        elif message.kind == LINK:
            found.append(link_of(message.body))
    yield from sorted((link for link in found if link is not None), key=lambda link: link.order)


def _require_compact(body: bytes) -> None:
    if struct.unpack_from("<Q", body, 10 if body[1] & 1 else 2)[0] != NOWHERE:
        raise UnreadableError("a group of many names in the form of libver='latest' (dense links), which is not read")


def _of_table(ranges: Ranges, tree: int, heap: int) -> Iterator[Link]:
    names = _heap(ranges, heap)
    for node in leaves(ranges, tree, kind=0, key=8):
        mark, count = struct.unpack("<4s2xH", ranges.at(ranges.once(node), 8))
        if mark != b"SNOD":
            raise UnreadableError(f"damaged: no names stand at byte {node}")
        for offset, address, cached in _ENTRY.iter_unpack(ranges.at(node + 8, count * _ENTRY.size)):
            if cached != _SYMBOLIC:
                yield Link(_name(names, offset), address)


def leaves(ranges: Ranges, root: int, *, kind: int, key: int) -> Iterator[int]:
    """Yield what the leaves of a B-tree (version 1) point to, in order: the addresses alone."""
    for _, address in entries(ranges, root, kind=kind, key=key):
        yield address


def entries(ranges: Ranges, root: int, *, kind: int, key: int) -> Iterator[tuple[bytes, int]]:
    """Yield key and address of each entry in the leaves of a B-tree (version 1), in order.

    Parameters
    ----------
    kind : 0 for names, 1 for chunks
    key : bytes of a key
    """
    waiting: list[tuple[int, int | None]] = [(root, None)]
    met: set[int] = set()
    while waiting:
        node, expected = waiting.pop()
        if node in met:
            raise UnreadableError(f"damaged: what stands at byte {node} is reached in two ways")
        met.add(node)
        mark, type_, level, count = struct.unpack("<4sBBH", ranges.at(node, 8))
        if mark != b"TREE" or type_ != kind or (expected is not None and level != expected):
            raise UnreadableError(f"damaged: no node of a B-tree stands at byte {node}")
        block = ranges.at(node + 24, count * (key + 8))
        found = [
            (block[at : at + key], int.from_bytes(block[at + key : at + key + 8], "little"))
            for at in range(0, len(block), key + 8)
        ]
        if level == 0:
            yield from found
        else:
            waiting += [(address, level - 1) for _, address in reversed(found)]


def _heap(ranges: Ranges, address: int) -> bytes:
    mark, size, begin = struct.unpack("<4s4xQ8xQ", ranges.at(address, 32))
    if mark != b"HEAP":
        raise UnreadableError(f"damaged: no names stand at byte {address}")
    return ranges.at(begin, size)


def _name(names: bytes, offset: int) -> str:
    end = names.find(b"\0", offset, offset + _LONGEST_NAME)
    if offset >= len(names) or end < 0:
        raise UnreadableError("damaged: a name that has no end, or stands outside the names")
    return names[offset:end].decode("utf-8", "replace")
