"""``numpy.savez``: a zip archive with a file of NumPy's own a name. Flax's names with slashes become names with dots."""

from __future__ import annotations

import re
from math import prod
from typing import Any

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.formats.zip_archive import Archive
from dsi_cli.checkpoints.tensors import NUMPY_DTYPES, Storage, Tensor, contiguous, decode, itemsize, span
from dsi_cli.errors import UnreadableError

_LONGEST_HEADER = 4096
_HEADER = re.compile(
    rb"\{'descr': '[<|](?P<dtype>\w{2,3})', 'fortran_order': (?P<order>True|False), 'shape': \((?P<shape>[\d, ]{0,400})\), \}\s*"
)
"""As NumPy writes it: a Python literal, which is not evaluated here."""
_MOST_DIMENSIONS = 32
_MOST_ARRAYS = 100_000
_NAMES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_DTYPES = {NUMPY_DTYPES[name]: name for name in _NAMES} | {"b1": "bool"}


def open_content(archive: Archive) -> CheckpointContent:
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

    return CheckpointContent(tree, read, archive.notes)


def _array(archive: Archive, entry: str) -> tuple[Tensor | int | float | None, int]:
    """Return what an entry holds, a number where it has no dimensions, and where its elements begin.

    None for arrays of text, of records and of objects, which are nothing for a classifier.
    """
    head = bytes(archive.part(entry, 0, min(_LONGEST_HEADER, archive.sizes[entry])))
    width = {b"\x01": 2, b"\x02": 4, b"\x03": 4}.get(head[6:7])
    if head[:6] != b"\x93NUMPY" or width is None:
        raise UnreadableError(f"{entry[:80]!r} is no array of NumPy's")
    begin = 8 + width + int.from_bytes(head[8 : 8 + width], "little")
    found = _HEADER.fullmatch(head[8 + width : begin])
    name = _DTYPES.get(found["dtype"].decode()) if found is not None else None
    if found is None or name is None:
        return None, begin
    shape = tuple(int(size) for size in found["shape"].replace(b",", b" ").split())
    is_fortran = found["order"] == b"True"
    size = archive.sizes[entry] - begin
    if len(shape) > _MOST_DIMENSIONS or size != itemsize(name) * prod(shape):
        raise UnreadableError(f"{entry[:80]!r} has {size} bytes, which do not fit its shape")
    tensor = contiguous(name, shape[::-1] if is_fortran else shape, Storage(entry, name, size // itemsize(name)))
    if not shape:
        return decode(tensor, archive.part(entry, begin, size)).item(), begin
    return (tensor.transposed if is_fortran else tensor), begin
