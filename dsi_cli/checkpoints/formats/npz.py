"""``numpy.savez``: a zip archive with a file of NumPy's own a name. Flax's names with slashes become names with dots."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import Content
from dsi_cli.checkpoints.formats.archives import Archive
from dsi_cli.checkpoints.tensors import NUMPY_DTYPES, Storage, Tensor, contiguous, decode, span
from dsi_cli.errors import UnreadableError

_LONGEST_HEADER = 4096
_MOST_ARRAYS = 100_000
_NAMES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_DTYPES = {NUMPY_DTYPES[name]: name for name in _NAMES} | {"b1": "bool"}


def open_content(archive: Archive) -> Content:
    """Return the content of an ``.npz``; errors as for `dsi_cli.checkpoints.formats.open_content`."""
    if len(archive.sizes) > _MOST_ARRAYS:
        raise UnreadableError(f"{len(archive.sizes)} arrays; more than {_MOST_ARRAYS} are not read")
    tree: dict[str, Any] = {}
    begins: dict[str, int] = {}
    for entry in archive.sizes:
        tensor, begins[entry] = _array(archive, entry)
        tree[entry.removesuffix(".npy").replace("/", ".")] = tensor

    def read(tensor: Tensor) -> NDArray[Any]:
        start, size = span(tensor)
        return decode(tensor, archive.part(tensor.storage.key, begins[tensor.storage.key] + start, size))

    return Content(tree, read, archive.notes)


def _array(archive: Archive, entry: str) -> tuple[Tensor | int | float | None, int]:
    """Return what an entry holds, a number where it has no dimensions, and where its elements begin."""
    head = io.BytesIO(bytes(archive.part(entry, 0, min(_LONGEST_HEADER, archive.sizes[entry]))))
    try:
        version = npy.read_magic(head)
        reader = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, is_fortran, dtype = reader(head, _LONGEST_HEADER)
    except (ValueError, KeyError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise UnreadableError(f"{entry[:80]!r} is no array that is read") from None
    begin = head.tell()
    size = archive.sizes[entry] - begin
    name = _DTYPES.get(dtype.str[1:]) if dtype.str[:1] in "<|" else None
    if name is None or size != dtype.itemsize * int(np.prod(shape, dtype=object)):
        return None, begin  # texts and the like: nothing for a classifier
    storage = Storage(entry, name, size // dtype.itemsize)
    found = contiguous(name, shape[::-1] if is_fortran else shape, storage)
    if not shape and size:
        return decode(found, archive.part(entry, begin, size)).item(), begin
    return (found.turned if is_fortran else found), begin
