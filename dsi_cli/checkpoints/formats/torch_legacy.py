"""``torch.save`` before PyTorch 1.6 (or with ``_use_new_zipfile_serialization=False``): a row of pickles, then the storages.

Magic number, protocol version, system information, the object, the list of storage keys; then each storage in that order:
its size as int64 and its elements. The storages are stepped over, not read.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import Content
from dsi_cli.checkpoints.formats.torch_zip import LARGEST_PICKLE
from dsi_cli.checkpoints.pickles import ExhaustedError, read_pickle
from dsi_cli.checkpoints.source import Source
from dsi_cli.checkpoints.stand_ins import storage_of
from dsi_cli.checkpoints.tensors import Storage, Tensor, decode, itemsize, span
from dsi_cli.errors import PendingError, UnreadableError

_FIRST_READ = 1 << 20


def open_content(source: Source) -> Content:
    """Return the content of a legacy file; errors as for `dsi_cli.checkpoints.formats.open_content`."""
    storages: dict[str, Storage] = {}

    def remember(pid: Any) -> Storage:
        storage = storage_of(pid)
        storages[storage.key] = storage
        return storage

    (_magic, _protocol, system, tree, keys), at = _pickles(source, remember)
    big_endian = isinstance(system, dict) and system.get("little_endian") is False
    places = _places(source, keys, storages, at, big_endian=big_endian)

    def read(tensor: Tensor) -> NDArray[Any]:
        if tensor.storage.key not in places:
            raise UnreadableError(f"the file has no storage {tensor.storage.key!r}")
        start, size = span(tensor)
        return decode(tensor, source.memory_at(places[tensor.storage.key] + start, size), big_endian=big_endian)

    return Content(tree, read)


def _pickles(source: Source, persistent: Any) -> tuple[list[Any], int]:
    """Return the five pickles and where the storages begin; reads on only while a pickle is not whole."""
    size = _FIRST_READ
    while True:
        data = source.head(size)
        try:
            found, at = [], 0
            for _ in range(5):
                value, at = read_pickle(data, at, persistent=persistent)
                found.append(value)
        except ExhaustedError:
            if len(data) == source.size:
                raise PendingError("breaks off inside its pickles: cut off, or still being written") from None
            if size >= LARGEST_PICKLE:
                raise UnreadableError(f"its pickles have more than {LARGEST_PICKLE} bytes") from None
            size *= 8
        else:
            return found, at


def _places(source: Source, keys: Any, storages: dict[str, Storage], at: int, *, big_endian: bool) -> dict[str, int]:
    """Return where each storage's elements begin."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise UnreadableError("the list of storages is damaged")
    places = {}
    for key in keys:
        if key not in storages:
            raise UnreadableError(f"storage {key!r} is listed but belongs to no tensor")
        size = int.from_bytes(source.read_at(at, 8), "big" if big_endian else "little")
        if size != storages[key].size:
            raise UnreadableError(f"storage {key!r} has {size} elements, its tensors say {storages[key].size}")
        places[key] = at + 8
        at += 8 + size * (itemsize(storages[key].dtype) if storages[key].dtype else 1)
    if at > source.size:
        raise PendingError(f"ends at byte {source.size}, but its storages go on to byte {at}")
    return places
