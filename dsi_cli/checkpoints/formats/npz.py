"""``numpy.savez``: a zip archive with one ``.npy`` file per array. Slashes in Flax's
names become dots.
"""

from __future__ import annotations

import re
from math import prod
from typing import Any

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.formats.zip_archive import Archive
from dsi_cli.checkpoints.tensors import (
    DTYPES_BY_CODE,
    PartReader,
    Storage,
    are_sizes,
    contiguous,
    from_offset,
    itemsize,
)
from dsi_cli.errors import UnreadableError

_MAX_HEADER_BYTES = 4096
_HEADER = re.compile(
    rb"\{'descr': '[<|](?P<dtype>\w{2,3})', 'fortran_order': (?P<order>True|False),"
    rb" 'shape': \((?P<shape>[\d, ]{0,400})\), \}\s*"
)
"""The header as NumPy writes it; it is a Python literal, but dsi does not evaluate it.
"""
_MAX_ARRAYS = 100_000


def open_content(archive: Archive) -> CheckpointContent:
    """Return the content of an ``.npz``; errors as `formats.open_content`."""
    if len(archive.sizes) > _MAX_ARRAYS:
        raise UnreadableError(
            f"it has {len(archive.sizes)} arrays; dsi reads up to {_MAX_ARRAYS}",
            code="too-many-arrays",
        )
    tree: dict[str, Any] = {}
    for entry, entry_size in archive.sizes.items():
        head = bytes(archive.read_range(entry, 0, min(_MAX_HEADER_BYTES, entry_size)))
        width = {b"\x01": 2, b"\x02": 4, b"\x03": 4}.get(head[6:7])
        if head[:6] != b"\x93NUMPY" or width is None:
            raise UnreadableError(
                f"{entry[:80]!r} is not a NumPy array", code="damaged-array"
            )
        begin = 8 + width + int.from_bytes(head[8 : 8 + width], "little")
        header = _HEADER.fullmatch(head[8 + width : begin])
        if header is not None:
            dtype = DTYPES_BY_CODE.get(header["dtype"].decode())
        else:
            dtype = None
        name = entry.removesuffix(".npy").replace("/", ".")
        if header is None or dtype is None:  # text, records or objects
            tree[name] = None
            continue
        shape = tuple(int(size) for size in header["shape"].replace(b",", b" ").split())
        size = entry_size - begin
        if not are_sizes(shape) or size != itemsize(dtype) * prod(shape):
            raise UnreadableError(
                f"{entry[:80]!r} has {size} bytes, which do not fit its shape",
                code="size-mismatch",
            )
        read = from_offset(PartReader(archive.read_range, entry), begin)
        storage = Storage(entry, dtype, size // itemsize(dtype), read)
        tensor = tree[name] = contiguous(
            dtype, shape, storage, is_fortran=header["order"] == b"True"
        )
        if not shape:
            tree[name] = tensor.read().item()
    # Arrays that were saved without names are a list.
    if all(name == f"arr_{index}" for index, name in enumerate(tree)):
        return CheckpointContent(list(tree.values()), archive.notes)
    # A training state of Flax holds the optimiser next to the parameters.
    if any(name.startswith("params.") for name in tree):
        tree = {
            name: value for name, value in tree.items() if not name.startswith("opt.")
        }
    return CheckpointContent(tree, archive.notes)
