"""``torch.save`` before PyTorch 1.6 (or with ``_use_new_zipfile_serialization=False``): a row of pickles, then the storages.

Magic number, protocol version, system information, the object, the list of storage keys; then each storage in that order:
its size as int64 and its elements. Where they stand follows from their tensors' sizes, so that none is touched but the one
that is read; its own size is held against that.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.formats.torch_zip import LARGEST_PICKLE
from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.checkpoints.pickle.machine import ExhaustedError, read_pickle
from dsi_cli.checkpoints.pickle.objects import storage_of
from dsi_cli.checkpoints.tensors import Storage, Tensor, decode, itemsize, span
from dsi_cli.errors import PendingError, UnreadableError

_LEAST_READ, _FIRST_READ = 1 << 16, 1 << 18
_WORD = 8
"""Bytes of a storage's size."""


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of a legacy file; errors as for `dsi_cli.checkpoints.formats.open_content`."""
    storages: dict[str, Storage] = {}

    def remember(pid: Any) -> Storage:
        storage = storage_of(pid)
        storages[storage.key] = storage
        return storage

    (_magic, _protocol, system, tree, keys), at = _pickles(source, remember)
    big_endian = isinstance(system, dict) and system.get("little_endian") is False
    places = _places(source, keys, storages, at)

    def read(tensor: Tensor) -> NDArray[Any]:
        if tensor.storage.key not in places:
            raise UnreadableError(f"the file has no storage {tensor.storage.key!r}")
        start, size = span(tensor)
        _require_size(source, places[tensor.storage.key], tensor.storage, start + size, big_endian=big_endian)
        return decode(tensor, source.memory_at(places[tensor.storage.key] + start, size), big_endian=big_endian)

    return CheckpointContent(tree, read)


def _pickles(source: RandomAccessFile, persistent: Any) -> tuple[list[Any], int]:
    """Return the five pickles and where the storages begin; reads on only while a pickle is not whole."""
    size = min(_FIRST_READ, max(_LEAST_READ, source.size // 512))
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


def _places(source: RandomAccessFile, keys: Any, storages: dict[str, Storage], at: int) -> dict[str, int]:
    """Return where each storage's elements begin."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise UnreadableError("the list of storages is damaged")
    places = {}
    for key in keys:
        if key not in storages:
            raise UnreadableError(f"storage {key!r} is listed but belongs to no tensor")
        size, dtype = storages[key].size, storages[key].dtype
        if not 0 <= size < 1 << 48:
            raise UnreadableError(f"storage {key!r} cannot have {size} elements")
        places[key] = at + _WORD
        at += _WORD + size * (itemsize(dtype) if dtype else 1)
    if at > source.size:
        raise PendingError(f"ends at byte {source.size}, but its storages go on to byte {at}")
    return places


def _require_size(source: RandomAccessFile, place: int, storage: Storage, needed: int, *, big_endian: bool) -> None:
    """Raise where a storage does not say the size that its tensors do; brings it and what is needed of it together."""
    source.ahead(place - _WORD, _WORD + needed)
    size = int.from_bytes(source.read_at(place - _WORD, _WORD), "big" if big_endian else "little")
    if size != storage.size:
        raise UnreadableError(f"storage {storage.key!r} has {size} elements, its tensors say {storage.size}")
