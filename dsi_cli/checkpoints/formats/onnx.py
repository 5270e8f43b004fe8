"""ONNX: a protocol buffer whose graph holds nodes and weights. A file next to the model
may store the elements of a weight.
"""

from __future__ import annotations

from dsi_cli.checkpoints.child_process import EXTERNAL_DATA
from dsi_cli.checkpoints.child_process.client import open_isolated
from dsi_cli.checkpoints.file_access import RandomAccessFile, find_sibling
from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.tensors import (
    NUMPY_DTYPES,
    PartReader,
    Tensor,
    from_offset,
    itemsize,
)
from dsi_cli.errors import PendingError, UnreadableError
from dsi_cli.remote.locations import Place

_PROTOCOL_BUFFER_LIMIT = 1 << 31


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of a model: its weights in the order in which nodes use them,
    and ``__metadata__``.

    Errors are those of `formats.open_content`.
    """
    if source.size >= _PROTOCOL_BUFFER_LIMIT:
        message = (
            f"an ONNX file of {source.size} bytes; it has less than 2 GiB, and other"
            " files store further elements"
        )
        raise UnreadableError(message, code="model-too-large")
    content = open_isolated("onnx_model", source.size, source.read_at)
    entries: dict[str, dict[str, str]] = content.tree.pop(EXTERNAL_DATA, {})
    sizes: dict[str, int] = {}
    for name, tensor in list(content.tree.items()):
        entry = entries.get(tensor.storage.key) if isinstance(tensor, Tensor) else None
        if entry is None or tensor.dtype not in NUMPY_DTYPES:
            continue
        # The elements are in another file, which must be in the model's folder.
        location = entry.get("location", "").removeprefix("./")
        file = find_sibling(source.path, location, "file with external data")
        expected_size = tensor.storage.size * itemsize(tensor.dtype)
        numbers = [
            entry.get("offset") or "0",
            entry.get("length") or str(expected_size),
        ]
        if not all(
            number.isascii() and number.isdigit() and len(number) < 20
            for number in numbers
        ):
            message = (
                f"external data in {location[:80]!r} has no possible offset or length"
            )
            raise UnreadableError(message, code="damaged-external-data")
        offset, size = map(int, numbers)
        if size != expected_size:
            message = (
                f"{name[:80]!r} has {size} bytes, which do not fit the {expected_size}"
                " of its shape"
            )
            raise UnreadableError(message, code="size-mismatch")
        if location not in sizes:
            with RandomAccessFile(file) as external:
                sizes[location] = external.size
        if offset + size > sizes[location]:
            raise PendingError(
                f"external data {location[:80]!r} ends at byte {sizes[location]}, too"
                " early",
                code="cut-off",
            )
        storage = tensor.storage._replace(
            read=from_offset(PartReader(_read_file, file), offset)
        )
        content.tree[name] = tensor._replace(storage=storage)
    return content


def _read_file(file: Place, offset: int, size: int) -> memoryview:
    with RandomAccessFile(file) as external:
        return external.memory_at(offset, size)
