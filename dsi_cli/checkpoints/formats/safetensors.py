"""safetensors: eight bytes of length, a JSON header, then the tensors' bytes. Also
Hugging Face's shards of this or torch's format.

The header must follow the format's rules: the offsets are in order without gaps, the
sizes match the shapes, and the last tensor ends at the end of the file. A wrong header
is therefore an error before anything is read or allocated.
"""

from __future__ import annotations

from math import prod
from typing import Any

from dsi_cli.checkpoints.file_access import RandomAccessFile, find_sibling, parse_json
from dsi_cli.checkpoints.formats import CheckpointContent, OpenFiles, open_source
from dsi_cli.checkpoints.tensors import (
    MAX_DIMENSIONS,
    ReadRange,
    Storage,
    Tensor,
    contiguous,
    from_offset,
    itemsize,
)
from dsi_cli.checkpoints.trainers import as_dict
from dsi_cli.errors import PendingError, UnreadableError
from dsi_cli.remote.locations import Place

MAX_HEADER_BYTES = 25_000_000
"""The maximum size of a header; the format allows 100 MB, but a JSON text of that size
can take gigabytes once it is parsed.
"""
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
METADATA = "__metadata__"


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of one file: tensors by name, and the header's
    ``__metadata__`` (texts by key).
    """
    if source.size < 8:
        raise PendingError("breaks off in its first bytes", code="cut-off")
    length = int.from_bytes(source.read_at(0, 8), "little")
    if length > MAX_HEADER_BYTES:
        raise UnreadableError(
            f"a header of {length} bytes; up to {MAX_HEADER_BYTES} are read",
            code="header-too-large",
        )
    header = parse_json(source.read_at(8, length))
    if not isinstance(header, dict):
        raise UnreadableError(
            "the safetensors header is not a JSON object", code="damaged-header"
        )
    begin = 8 + length
    tree: dict[str, Any] = {}
    end = 0

    def first_byte(item: tuple[str, Any]) -> int:
        offsets = as_dict(item[1]).get("data_offsets")
        if isinstance(offsets, list) and offsets and isinstance(offsets[0], int):
            return offsets[0]
        return -1

    for name, entry in sorted(header.items(), key=first_byte):
        if name == METADATA:
            tree[METADATA] = entry
            continue
        tree[name], end = _tensor(
            name, entry, end, from_offset(source.memory_at, begin)
        )
    if begin + end > source.size:
        raise PendingError(
            f"ends at byte {source.size}, but its tensors go on to byte {begin + end}",
            code="cut-off",
        )
    if begin + end < source.size:
        message = (
            f"{source.size - begin - end} bytes follow the last tensor: the header does"
            " not fit the file"
        )
        raise UnreadableError(message, code="damaged-header")
    # The library groups the tensors by dtype, and sorts each group by name.
    dtypes = {name: getattr(tensor, "dtype", "") for name, tensor in tree.items()}
    is_sorted = sorted(header, key=dtypes.__getitem__) == sorted(
        header, key=lambda name: (dtypes[name], name)
    )
    return CheckpointContent(
        {name: tree[name] for name in (sorted(header) if is_sorted else header)}
    )


def _tensor(name: str, entry: Any, end: int, read: ReadRange) -> tuple[Tensor, int]:
    """Return the tensor of a header's entry and its end; it must begin at ``end``,
    where the tensor before it ended.
    """
    fields = as_dict(entry)
    shape, offsets = (
        fields[key] if isinstance(fields.get(key), list) else [-1]
        for key in ("shape", "data_offsets")
    )
    are_sizes = all(
        type(number) is int and 0 <= number < 1 << 63 for number in (*shape, *offsets)
    )
    if not are_sizes or len(offsets) != 2 or len(shape) > MAX_DIMENSIONS:
        raise UnreadableError(
            f"the safetensors header is damaged at {name[:80]!r}", code="damaged-header"
        )
    first, last = offsets
    dtype_code = fields["dtype"] if isinstance(fields.get("dtype"), str) else ""
    dtype = _DTYPES.get(dtype_code, dtype_code)
    if first != end or last - first != prod(shape) * itemsize(dtype):
        message = (
            f"the safetensors header gives {name[:80]!r} bytes that do not fit its"
            " shape or neighbours"
        )
        raise UnreadableError(message, code="damaged-header")
    storage = Storage(name, dtype, prod(shape), from_offset(read, first))
    return contiguous(dtype, tuple(shape), storage), last


def open_folder(index: Place, files: OpenFiles) -> CheckpointContent:
    """Return the content of all shards in an index of Hugging Face, which must be in
    the folder of the index.

    Raise `UnreadableError` if the index is damaged, it refers to another folder, or a
    shard cannot be read, and `PendingError` if a shard is missing or breaks off.
    """
    with RandomAccessFile(index) as source:
        contents = parse_json(source.head(MAX_HEADER_BYTES))
    names = as_dict(contents).get("weight_map")
    if not isinstance(names, dict) or not all(
        isinstance(name, str) for name in names.values()
    ):
        raise UnreadableError(
            "the index of shards has no weight_map", code="no-weight-map"
        )
    tree: dict[str, Any] = {}
    for shard in sorted(set(names.values())):
        tensors = as_dict(
            open_source(files.open(find_sibling(index, shard, "shard"))).tree
        )
        tree |= {
            name: tensor
            for name, tensor in tensors.items()
            if isinstance(tensor, Tensor)
        }
    return CheckpointContent(tree)
