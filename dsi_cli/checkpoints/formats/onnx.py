"""ONNX: a protocol buffer whose graph holds nodes and weights; the elements of a weight may lie in a file next to the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.io.source import RandomAccessFile, find_sibling
from dsi_cli.checkpoints.isolated.client import open_isolated
from dsi_cli.checkpoints.tensors import NUMPY_DTYPES, Tensor, decode, itemsize, span
from dsi_cli.errors import PendingError, UnreadableError
from dsi_cli.remote.locations import Place

_EXTERNAL = "__external_data__"
"""As in `dsi_cli.checkpoints.isolated.onnx_model`."""


class _Range(NamedTuple):
    """Where the elements of a tensor lie in another file."""

    file: Place
    begin: int


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of a model: its weights in the order in which nodes use them, and ``__metadata__``.

    Errors as for `dsi_cli.checkpoints.formats.open_content`.
    """
    content = open_isolated("onnx_model", source.size, source)
    entries: dict[str, dict[str, str]] = content.tree.pop(_EXTERNAL, {})
    sizes: dict[str, int] = {}
    ranges: dict[str, _Range] = {}
    for name, tensor in content.tree.items():
        entry = entries.get(tensor.storage.key) if isinstance(tensor, Tensor) else None
        if entry is not None and tensor.dtype in NUMPY_DTYPES:
            ranges[tensor.storage.key] = _external(name, tensor, entry, source.path, sizes)

    def read(tensor: Tensor) -> NDArray[Any]:
        where = ranges.get(tensor.storage.key)
        if where is None:
            return content.read(tensor)
        start, size = span(tensor)
        with RandomAccessFile(where.file) as external:
            return decode(tensor, external.memory_at(where.begin + start, size))

    return CheckpointContent(content.tree, read, outputs=content.outputs)


def _external(name: str, tensor: Tensor, entry: dict[str, str], model: Place, sizes: dict[str, int]) -> _Range:
    """Return where the elements of a tensor lie, which must be a file in the model's own folder."""
    location = entry.get("location", "").removeprefix("./")
    if not location or Path(location).name != location or location == ".." or {"\\", "\0"} & set(location):
        raise UnreadableError(f"external data outside the model's own folder: {location[:80]!r}")
    wanted = tensor.storage.size * itemsize(tensor.dtype)
    numbers = [entry.get(key) or default for key, default in (("offset", "0"), ("length", str(wanted)))]
    if not all(number.isascii() and number.isdigit() and len(number) < 20 for number in numbers):
        raise UnreadableError(f"external data in {location[:80]!r} has no possible offset or length")
    begin, size = map(int, numbers)
    if size != wanted:
        raise UnreadableError(f"{name[:80]!r} has {size} bytes, which do not fit the {wanted} of its shape")
    file = find_sibling(model, location, "external data")
    if location not in sizes:
        with RandomAccessFile(file) as opened:
            sizes[location] = opened.size
    if begin + size > sizes[location]:
        raise PendingError(f"external data {location[:80]!r} ends at byte {sizes[location]}, too early")
    return _Range(file, begin)
