"""``torch.save`` before PyTorch 1.6 (or with ``_use_new_zipfile_serialization=False``): five pickles, then the storages.

The pickles are a magic number, the protocol version, system information, the object and the list of storage keys. Each storage
follows in the order of that list, as its size (int64) and its elements.

The offsets of the storages follow from the sizes of their tensors, so that dsi reads only the storage of the requested tensor.
It compares the size in the file with the size of the tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from dsi_cli.checkpoints.file_access import RandomAccessFile
from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.formats.torch_zip import MAX_PICKLE_BYTES
from dsi_cli.checkpoints.pickle.machine import ExhaustedError, read_pickle
from dsi_cli.checkpoints.pickle.objects import storage_of
from dsi_cli.checkpoints.tensors import Storage, Tensor, decode, itemsize, span
from dsi_cli.errors import PendingError, UnreadableError

_MIN_FIRST_READ_BYTES, _MAX_FIRST_READ_BYTES = 1 << 16, 1 << 18
_SIZE_FIELD_BYTES = 8


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of a legacy file; errors as `formats.open_content`."""
    storages: dict[str, Storage] = {}

    def load_storage(pid: Any) -> Storage:
        storage = storage_of(pid)
        storages[storage.key] = storage
        return storage

    (_magic, _protocol, system, tree, keys), end = _read_pickles(source, load_storage)
    big_endian = isinstance(system, dict) and system.get("little_endian") is False
    # Find the offset of the elements of each storage.
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise UnreadableError("the list of storages is damaged", code="damaged-storage")
    offsets = {}
    for key in keys:
        if key not in storages:
            raise UnreadableError(f"storage {key!r} is listed but belongs to no tensor", code="damaged-storage")
        size, dtype = storages[key].size, storages[key].dtype
        if not 0 <= size < 1 << 48:
            raise UnreadableError(f"storage {key!r} cannot have {size} elements", code="damaged-storage")
        offsets[key] = end + _SIZE_FIELD_BYTES
        end += _SIZE_FIELD_BYTES + size * (itemsize(dtype) if dtype else 1)
    if end > source.size:
        raise PendingError(f"ends at byte {source.size}, but its storages go on to byte {end}", code="cut-off")

    def read(tensor: Tensor) -> NDArray[Any]:
        storage = tensor.storage
        if storage.key not in offsets:
            raise UnreadableError(f"the file has no storage {storage.key!r}", code="missing-storage")
        start, size = span(tensor)
        offset = offsets[storage.key]
        # The size of the storage and the requested elements come in one request.
        source.prefetch(offset - _SIZE_FIELD_BYTES, _SIZE_FIELD_BYTES + start + size)
        stored_size = source.read_at(offset - _SIZE_FIELD_BYTES, _SIZE_FIELD_BYTES)
        elements = int.from_bytes(stored_size, "big" if big_endian else "little")
        if elements != storage.size:
            message = f"storage {storage.key!r} has {elements} elements, but its tensors state {storage.size}"
            raise UnreadableError(message, code="size-mismatch")
        return decode(tensor, source.memory_at(offset + start, size), big_endian=big_endian)

    return CheckpointContent(tree, read)


def _read_pickles(source: RandomAccessFile, persistent_load: Callable[[Any], Any]) -> tuple[list[Any], int]:
    """Return the contents of the five pickles and the offset of the storages; read more bytes only if a pickle is incomplete."""
    size = min(_MAX_FIRST_READ_BYTES, max(_MIN_FIRST_READ_BYTES, source.size // 512))
    while True:
        data = source.head(size)
        try:
            values, end = [], 0
            for _ in range(5):
                value, end = read_pickle(data, end, persistent_load=persistent_load)
                values.append(value)
        except ExhaustedError:
            if len(data) == source.size:
                message = "breaks off inside its pickles: cut off, or still being written"
                raise PendingError(message, code="cut-off") from None
            if size >= MAX_PICKLE_BYTES:
                message = f"its pickles have more than {MAX_PICKLE_BYTES} bytes"
                raise UnreadableError(message, code="pickle-too-large") from None
            size *= 8
        else:
            return values, end
