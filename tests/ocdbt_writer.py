"""A small writer of OCDBT stores and Zarr arrays, for tests that need what Orbax would never write."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

MANIFEST, NODE = 0x0CDB3A2A, 0x0CDB20DE
DATA = "d/" + "0" * 32


def crc32c(data: bytes) -> int:
    """Return the checksum bit by bit: slow, and plainly the definition."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def varints(*numbers: int) -> bytes:
    out = bytearray()
    for number in numbers:
        while number > 127:
            out.append(number & 127 | 128)
            number >>= 7
        out.append(number)
    return bytes(out)


def part(magic: int, body: bytes, *, packed: bool = True, checksum: Callable[[bytes], int] = crc32c) -> bytes:
    body = pa.Codec("zstd").compress(body, asbytes=True) if packed else body
    data = struct.pack(">I", magic) + struct.pack("<Q", len(body) + 18) + bytes([0, packed]) + body
    return data + struct.pack("<I", checksum(data))


def texts(names: list[bytes]) -> tuple[bytes, bytes, bytes]:
    """Return names as how much each shares with the one before (none for the first), the sizes of the ends, and the ends."""
    shared = [next((i for i in range(len(b)) if a[i : i + 1] != b[i : i + 1]), len(b)) for a, b in pairwise(names)]
    ends = [name[n:] for name, n in zip(names, [0, *shared], strict=True)]
    return varints(*shared), varints(*map(len, ends)), b"".join(ends)


def files(names: list[str]) -> bytes:
    shared, sizes, ends = texts([name.encode() for name in names])
    return varints(len(names)) + shared + sizes + varints(*[0] * len(names)) + ends


def leaf(values: dict[str, bytes | tuple[int, int, int]], names: list[str] = [DATA]) -> bytes:  # noqa: B006
    """Return a leaf's body; a value is its bytes, or (file, offset, size)."""
    shared, sizes, ends = texts([key.encode() for key in values])
    apart = [value for value in values.values() if isinstance(value, tuple)]
    lengths = [value[2] if isinstance(value, tuple) else len(value) for value in values.values()]
    kinds = [isinstance(value, tuple) for value in values.values()]
    inline = b"".join(value for value in values.values() if isinstance(value, bytes))
    places = varints(*(one[0] for one in apart), *(one[1] for one in apart))
    return b"\0" + files(names) + varints(len(values)) + shared + sizes + ends + varints(*lengths, *kinds) + places + inline


def inner(height: int, children: list[tuple[str, int, int, int]], names: list[str] = [DATA]) -> bytes:  # noqa: B006
    """Return an inner node's body; a child is (first key, file, offset, size)."""
    shared, sizes, ends = texts([child[0].encode() for child in children])
    columns = [varints(*(child[column] for child in children)) for column in (1, 2, 3)]
    none = varints(*[0] * len(children))
    head = bytes([height]) + files(names) + varints(len(children)) + shared + sizes + none + ends
    return head + b"".join(columns) + none * 3


def manifest(offset: int, size: int, height: int = 0, name: str = DATA, kind: int = 0) -> bytes:
    config = bytes(16) + varints(kind, 1024, 100_000_000) + b"\4\1" + bytes(4)
    root = varints(1, 1) + bytes([height]) + varints(0, offset, size, 0, 0, 0) + bytes(8)
    return part(MANIFEST, config + files([name]) + root + b"\0")


def array(
    values: np.ndarray, chunks: tuple[int, ...], name: str = "params.head.kernel", /, **said: object
) -> dict[str, bytes]:
    """Return an array's keys and values, its chunks packed with zstd."""
    text = {"zarr_format": 2, "shape": values.shape, "chunks": chunks, "dtype": values.dtype.str, "order": "C"}
    text |= {"compressor": {"id": "zstd", "level": 1}, "filters": None, "fill_value": None, "dimension_separator": "."}
    out = {f"{name}/.zarray": json.dumps(text | said).encode()}
    for place in np.ndindex(*(-(-size // step) for size, step in zip(values.shape, chunks, strict=True))):
        part = values[tuple(slice(at * step, (at + 1) * step) for at, step in zip(place, chunks, strict=True))]
        block = np.zeros(chunks, dtype=values.dtype)
        block[tuple(map(slice, part.shape))] = part
        packed = pa.Codec("zstd").compress(block.tobytes(), asbytes=True)
        out[f"{name}/{'.'.join(map(str, place)) or 0}"] = packed
    return dict(sorted(out.items()))


def store(folder: Path, *nodes: bytes, height: int = 0, root: int = -1, name: str = DATA) -> Path:
    """Write a folder whose data file holds the nodes' parts one after the other; the root is the last. Return its manifest."""
    parts = [node if node[:4] == struct.pack(">I", NODE) else part(NODE, node) for node in nodes]
    at = [sum(map(len, parts[:place])) for place in range(len(parts))]
    (folder / "d").mkdir(parents=True, exist_ok=True)
    (folder / DATA).write_bytes(b"".join(parts))
    (folder / "manifest.ocdbt").write_bytes(manifest(at[root], len(parts[root]), height, name))
    return folder / "manifest.ocdbt"
