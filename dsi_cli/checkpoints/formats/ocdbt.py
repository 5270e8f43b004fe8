"""OCDBT: TensorStore's key-value store in a folder, read only; a B+tree in files that are only ever appended to.

``manifest.ocdbt`` names the roots of the latest versions; a root, the inner nodes and the leaves lie in data files, as do the
values that a leaf does not hold itself. Every part that is decoded has a checksum, which is held against it. Reference:
"Storage format" at https://google.github.io/tensorstore/kvstore/ocdbt.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from math import isqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.source import Source
from dsi_cli.errors import PendingError, UnreadableError
from dsi_cli.remote.places import Place, RemotePath

MANIFEST = "manifest.ocdbt"
MOST_ENTRIES = 300_000
_MOST_BYTES = 48 << 20
"""Of all nodes and keys of a store, packed and unpacked."""
_MANIFEST_MAGIC, _NODE_MAGIC = 0x0CDB3A2A, 0x0CDB20DE
_MOST_NODES = 2000
_OVERHEAD = 64
"""What a key or name takes in memory beside its own bytes, about."""
_CRC32C = 0x82F63B78
_LONGEST_NAME = 1024
"""Bytes of a key, and of a file's place in its folder."""
_LARGEST_PART = 48 << 20


class Block(NamedTuple):
    """A range of a file, which is named relative to the checkpoint's folder."""

    name: str
    offset: int
    size: int


class Folder:
    """The files of a checkpoint's folder, each opened while it is read.

    A name that leads out of the folder is refused, for it is the checkpoint that says it. Links are followed: whoever keeps the
    folder made them (Hugging Face's cache holds nothing else).

    Parameters
    ----------
    root : the folder
    sources : where each file that is met is noted once, closed, with what was asked of it
    """

    def __init__(self, root: Place, sources: list[Source]) -> None:
        self.root = _resolved(root)
        self._sources = sources
        self._met: dict[str, Source] = {}
        self._by_place: dict[Place, Source] = {}

    def read(self, name: str, offset: int = 0, size: int | None = None, most: int = _LARGEST_PART) -> bytes:
        """Return a range of a file, or all of it; it may not be larger than ``most``.

        Raises
        ------
        UnreadableError
            Its name leads elsewhere, or it asks for too much.
        PendingError
            It is not there (yet), or ends before the range does.
        """
        noted = self._noted(name)
        with Source(noted.path) as source:
            size = source.size if size is None else size
            if size > most:
                raise UnreadableError(f"{name[:80]!r} holds {size} bytes where up to {most} can be")
            noted.asked += size
            return source.read_at(offset, size)

    def size(self, names: Iterable[str]) -> int:
        """Return the bytes of some files, one that has several names counted once; errors as in `read`."""
        found = map(self._noted, names)
        return sum({source.path: source.size for source in found}.values())

    def _noted(self, name: str) -> Source:
        if name not in self._met:
            parts = name.split("/")
            if len(name) > _LONGEST_NAME or "\0" in name or any(part in ("", ".", "..") for part in parts):
                raise UnreadableError(f"it names a file that cannot be in its folder: {name[:80]!r}")
            place = _resolved(self.root.joinpath(*parts))
            if not (place.exists() if isinstance(place, RemotePath) else os.path.lexists(place)):
                raise PendingError(f"file {name[:80]!r} is not there")
            if place not in self._by_place:
                with Source(place) as source:
                    self._by_place[place] = source
                self._sources.append(source)
            self._met[name] = self._by_place[place]
        return self._met[name]


def _resolved(place: Place) -> Place:
    return place if isinstance(place, RemotePath) else Path(os.path.realpath(place))


Entries = dict[str, bytes | Block]
"""The values of a store by their keys, or where they lie."""


def entries(folder: Folder, prefix: str) -> Entries:
    """Return what the latest version of a store holds, in the order of the keys.

    Parameters
    ----------
    folder : the checkpoint's
    prefix : the store's place in it: empty, or ending in a slash
    """
    store = _Store(folder)
    body = store.opened(folder.read(prefix + MANIFEST), _MANIFEST_MAGIC)
    body.take(16)
    if body.varint():
        raise UnreadableError("an OCDBT store with numbered manifests is not read")
    body.varints(2)
    body.take(1)
    if body.varint():
        body.take(4)
    root = body.latest_root(body.files(prefix))
    found = dict(store.leaves(root)) if root is not None else {}
    return {key.decode("utf-8", "backslashreplace"): value for key, value in found.items()}


class _Node(NamedTuple):
    block: Block
    height: int
    base: str
    """What the names of its files begin with."""
    prefix: bytes
    """What the keys below it begin with."""


class _Store:
    """The walk through one store, and how much of it may still be decoded."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._left = _MOST_BYTES

    def spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise UnreadableError(f"the OCDBT store is too large: up to {_MOST_BYTES} bytes of nodes are read")

    def opened(self, data: bytes, magic: int) -> _Body:
        """Return the body of a manifest or node, checked and unpacked."""
        if len(data) < 18 or int.from_bytes(data[4:12], "little") > len(data):
            raise PendingError("the OCDBT store breaks off")
        if int.from_bytes(data[:4], "big") != magic or int.from_bytes(data[4:12], "little") != len(data):
            raise UnreadableError("the OCDBT store is damaged: a part of it does not begin as it should")
        if crc32c(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise UnreadableError("the OCDBT store is damaged: a checksum is wrong")
        if data[12] != 0 or data[13] > 1:
            raise UnreadableError(f"OCDBT of version {data[12]} with compression {data[13]} is not read")
        body = unpacked("zstd", data[14:-4], self._left) if data[13] else data[14:-4]
        self.spend(len(data) + len(body))
        return _Body(body, self)

    def leaves(self, root: _Node) -> Iterator[tuple[bytes, bytes | Block]]:
        """Yield every key with its value; nodes on one path differ in height, so that no path leads back."""
        waiting, count = [root], 0
        seen: set[Block] = set()
        while waiting:
            node = waiting.pop()
            if node.block in seen or len(seen) == _MOST_NODES:
                raise UnreadableError(f"nodes of the OCDBT store share a child, or are more than {_MOST_NODES}")
            seen.add(node.block)
            body = self.opened(self._folder.read(*node.block), _NODE_MAGIC)
            if body.take(1)[0] != node.height:
                raise UnreadableError("a node of the OCDBT store is not of the height that its parent gives")
            files = body.files(node.base)
            number = body.varint()
            self.spend(number * _OVERHEAD)
            count += number
            if count > MOST_ENTRIES:
                raise UnreadableError(f"the OCDBT store is too large: up to {MOST_ENTRIES} entries are read")
            if node.height:
                waiting += reversed(body.children(number, files, node))
            else:
                yield from body.values(number, files, node.prefix)


class _Body:
    """The fields of a manifest or node, read from front to back."""

    def __init__(self, data: bytes, store: _Store) -> None:
        self._data = data
        self._bytes = np.frombuffer(data, dtype=np.uint8)
        self._at = 0
        self._store = store

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise UnreadableError("the OCDBT store is damaged: a part of it is too short for what it says")
        self._at += size
        return self._data[self._at - size : self._at]

    def varint(self) -> int:
        return self.varints(1)[0]

    def varints(self, count: int) -> list[int]:
        """Return numbers of seven bits a byte, the lowest first, where the last byte's top bit is not set."""
        part = self._bytes[self._at : self._at + 10 * count]
        ends = np.flatnonzero(part < 128)[:count]
        sizes = np.diff(ends, prepend=-1)
        if len(ends) < count or (count and sizes.max() > 10):
            raise UnreadableError("the OCDBT store is damaged: a number in it does not end")
        values: NDArray[np.uint64] = np.zeros(count, dtype=np.uint64)
        for place in range(int(sizes.max(initial=0))):
            has = np.flatnonzero(sizes > place)
            seven = part[ends[has] - sizes[has] + 1 + place] & 127
            values[has] |= seven.astype(np.uint64) << np.uint64(7 * place)
        self._at += int(ends[-1]) + 1 if count else 0
        numbers: list[int] = values.tolist()
        return numbers

    def _joined(self, prefixes: list[int], suffixes: list[int]) -> list[bytes]:
        """Return texts of which each is stored as its own end and how much of the one before it begins with."""
        out, text = [], b""
        for shared, size in zip([0, *prefixes], suffixes, strict=False):
            if shared > len(text):
                raise UnreadableError("the OCDBT store is damaged: a key shares more than there is")
            if shared + size > _LONGEST_NAME:
                raise UnreadableError(f"a key or a file's name of {shared + size} bytes; up to {_LONGEST_NAME} are read")
            text = text[:shared] + self.take(size)
            self._store.spend(len(text))
            out.append(text)
        return out

    def files(self, base: str) -> list[tuple[str, str]]:
        """Return the data files that a body refers to: what its nodes' own files begin with, and its name."""
        count = self.varint()
        self._store.spend(count * (_OVERHEAD + 2 * len(base)))
        prefixes, suffixes, bases = self.varints(max(0, count - 1)), self.varints(count), self.varints(count)
        paths = self._joined(prefixes, suffixes)
        return [(base + os.fsdecode(p[:n]), base + os.fsdecode(p)) for p, n in zip(paths, bases, strict=True)]

    def latest_root(self, files: list[tuple[str, str]]) -> _Node | None:
        count = self.varint()
        self.varints(count)
        heights = self.take(count)
        ids, offsets, sizes = self.varints(count), self.varints(count), self.varints(count)
        if not count:
            return None
        base, name = _file(files, ids[-1])
        return _Node(Block(name, offsets[-1], sizes[-1]), heights[-1], base, b"")

    def children(self, count: int, files: list[tuple[str, str]], node: _Node) -> list[_Node]:
        prefixes, suffixes, shared = self.varints(max(0, count - 1)), self.varints(count), self.varints(count)
        keys = self._joined(prefixes, suffixes)
        places = zip(self.varints(count), self.varints(count), self.varints(count), strict=True)
        out = []
        for key, common, (file, offset, size) in zip(keys, shared, places, strict=True):
            base, name = _file(files, file)
            out.append(_Node(Block(name, offset, size), node.height - 1, base, node.prefix + key[:common]))
            self._store.spend(len(out[-1].prefix))
        return out

    def values(self, count: int, files: list[tuple[str, str]], prefix: bytes) -> Iterator[tuple[bytes, bytes | Block]]:
        prefixes, suffixes = self.varints(max(0, count - 1)), self.varints(count)
        keys = self._joined(prefixes, suffixes)
        sizes, kinds = self.varints(count), self.varints(count)
        apart = sum(map(bool, kinds))
        places = zip(self.varints(apart), self.varints(apart), strict=True)
        self._store.spend(count * len(prefix))
        for key, size, kind in zip(keys, sizes, kinds, strict=True):
            if kind:
                file, offset = next(places)
                yield prefix + key, Block(_file(files, file)[1], offset, size)
            else:
                yield prefix + key, self.take(size)


def _file(files: list[tuple[str, str]], place: int) -> tuple[str, str]:
    if place >= len(files):
        raise UnreadableError("the OCDBT store is damaged: it refers to a file that it does not name")
    return files[place]


def unpacked(kind: str, data: bytes, most: int) -> bytes:
    """Return what was packed with ``zstd`` or ``gzip``.

    Raises
    ------
    UnreadableError
        It is damaged, or more than ``most`` bytes.
    """
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.BufferReader(data), kind) as stream:
            out: bytes = stream.read(most + 1)
    except (OSError, ValueError, pa.ArrowException):
        raise UnreadableError(f"{kind} data cannot be unpacked") from None
    if len(out) > most:
        raise UnreadableError(f"{kind} data unpacks to more than the {most} bytes that can be there")
    return out


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of four bytes or more.

    Lanes of equal length are summed side by side and then joined, as the sum over zeros is linear: what it makes of each bit
    is found in 32 lanes more.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    count = isqrt(len(data))
    steps = -(-len(data) // count)
    lanes = np.zeros((count, steps), dtype=np.uint8)
    padding = lanes.size - len(data)
    lanes.reshape(-1)[padding:] = np.frombuffer(data, dtype=np.uint8)
    # A sum that begins with zero is not changed by zeros in front; the first sum (all bits set) is put into the first bytes.
    lanes.reshape(-1)[padding : padding + 4] ^= 255
    state = np.concatenate([np.uint32(1) << np.arange(32, dtype=np.uint32), np.zeros(count, dtype=np.uint32)])
    columns = np.concatenate([np.zeros((steps, 32), dtype=np.uint8), lanes.T], axis=1)
    for column in columns:
        state = _TABLE[(state ^ column) & 255] ^ (state >> 8)
    moved, total = state[:32].tolist(), 0
    for lane in state[32:].tolist():
        for bit in range(32) if total else ():
            lane ^= moved[bit] if total >> bit & 1 else 0
        total = lane
    return int(total) ^ 0xFFFFFFFF


def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_CRC32C), table >> 1).astype(np.uint32)
    return table


_TABLE = _table()
