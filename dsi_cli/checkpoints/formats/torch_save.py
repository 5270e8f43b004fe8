"""PyTorch's files: ``torch.save`` since and before PyTorch 1.6, TorchScript and
``torch.export.save``.

Since PyTorch 1.6, ``torch.save`` writes a zip archive with one pickle and one entry per
storage: ``ROOT/data.pkl`` is the object, ``ROOT/data/KEY`` is a storage, and
``ROOT/byteorder`` states the order of bytes. dsi reads only the directory, the pickle
and the bytes of the requested tensor.

Before, or with ``_use_new_zipfile_serialization=False``, it writes five pickles: a
magic number, the protocol version, system information, the object and the list of
storage keys. Each storage follows in the order of that list, as its size (int64) and
its elements. The offsets of the storages follow from the sizes of their tensors, so
that dsi reads only the storage of the requested tensor. It compares the size in the
file with the size of the tensor.

``torch.export.save`` writes one file per weight and a JSON list of the weights. Before
PyTorch 2.8, it writes a state dict instead. dsi does not read the code or program in an
archive.
"""

from __future__ import annotations

from typing import Any

from dsi_cli.checkpoints.file_access import RandomAccessFile, parse_json
from dsi_cli.checkpoints.formats import CheckpointContent, open_source
from dsi_cli.checkpoints.formats.zip_archive import Archive
from dsi_cli.checkpoints.pickle.machine import ExhaustedError, read_pickle
from dsi_cli.checkpoints.pickle.objects import storage_of
from dsi_cli.checkpoints.tensors import PartReader, Storage, Tensor, itemsize
from dsi_cli.checkpoints.trainers import as_dict
from dsi_cli.errors import PendingError, UnreadableError

MAX_PICKLE_BYTES = 64 << 20
_MAX_LIST_BYTES = 25_000_000
_ARCHIVE_FORMAT, _STATE_DICT = "archive_format", "serialized_state_dict.pt"
"""Files by which an archive of ``torch.export.save`` is recognised, since and before
PyTorch 2.8.
"""
_LIST = "data/weights/model_weights_config.json"
_DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    10: "complex64",
    11: "complex128",
    12: "bool",
    13: "bfloat16",
}
"""The dtypes by their numbers in the schema of torch.export."""
_MIN_FIRST_READ_BYTES, _MAX_FIRST_READ_BYTES = 1 << 16, 1 << 18
_SIZE_FIELD_BYTES = 8


def open_content(archive: Archive | RandomAccessFile) -> CheckpointContent:
    """Return the content of a zip archive or a legacy file; errors as
    `formats.open_content`.
    """
    if isinstance(archive, RandomAccessFile):
        return _open_legacy(archive)
    if any(
        name.rpartition("/")[2] in (_ARCHIVE_FORMAT, _STATE_DICT)
        for name in archive.sizes
    ):
        return _open_export(archive)
    pickles = [name for name in archive.sizes if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        message = (
            f"a zip archive, but not of torch.save: {len(pickles)} entries named"
            " data.pkl, expected one"
        )
        raise UnreadableError(message, code="several-pickles")
    root = pickles[0].removesuffix("data.pkl")
    data = archive.read_entry(pickles[0], MAX_PICKLE_BYTES)
    byte_order = f"{root}byteorder"
    is_big_endian = (
        byte_order in archive.sizes
        and archive.read_entry(byte_order, 16).strip() == b"big"
    )

    def read(key: str, start: int, size: int) -> memoryview:
        entry = f"{root}data/{key}"
        if entry not in archive.sizes:
            raise UnreadableError(
                f"the archive has no storage {key!r}", code="missing-storage"
            )
        if start + size > archive.sizes[entry]:
            message = (
                f"storage {key!r} has {archive.sizes[entry]} bytes, the tensor needs"
                f" {start + size}"
            )
            raise UnreadableError(message, code="size-mismatch")
        return archive.read_range(entry, start, size)

    def load_storage(pid: Any) -> Storage:
        key, dtype, size = storage_of(pid)[:3]
        return Storage(key, dtype, size, PartReader(read, key), is_big_endian)

    tree, _ = read_pickle(data, persistent_load=load_storage)
    return CheckpointContent(tree, archive.notes)


def _open_legacy(source: RandomAccessFile) -> CheckpointContent:
    storages: dict[str, Storage] = {}
    offsets: dict[str, int] = {}
    values: list[Any] = []

    def read(storage: Storage, start: int, size: int) -> memoryview:
        if storage.key not in offsets:
            raise UnreadableError(
                f"the file has no storage {storage.key!r}", code="missing-storage"
            )
        offset = offsets[storage.key]
        # The size of the storage and the requested elements come in one request.
        source.prefetch(offset - _SIZE_FIELD_BYTES, _SIZE_FIELD_BYTES + start + size)
        stored_size = source.read_at(offset - _SIZE_FIELD_BYTES, _SIZE_FIELD_BYTES)
        elements = int.from_bytes(
            stored_size, "big" if storage.is_big_endian else "little"
        )
        if elements != storage.size:
            message = (
                f"storage {storage.key!r} has {elements} elements, but its tensors"
                f" state {storage.size}"
            )
            raise UnreadableError(message, code="size-mismatch")
        return source.memory_at(offset + start, size)

    def load_storage(pid: Any) -> Storage:
        is_big_endian = (
            len(values) > 2 and as_dict(values[2]).get("little_endian") is False
        )
        storage = storage_of(pid)._replace(is_big_endian=is_big_endian)
        storages[storage.key] = storage
        return storage._replace(read=PartReader(read, storage))

    # Read the five pickles, and more bytes only if one is incomplete.
    size = min(_MAX_FIRST_READ_BYTES, max(_MIN_FIRST_READ_BYTES, source.size // 512))
    end = 0
    while len(values) < 5:
        data = source.head(size)
        try:
            value, end = read_pickle(data, end, persistent_load=load_storage)
            values.append(value)
        except ExhaustedError:
            if len(data) == source.size:
                raise PendingError(
                    "the file breaks off inside its pickles", code="cut-off"
                ) from None
            if size >= MAX_PICKLE_BYTES:
                message = f"its pickles have more than {MAX_PICKLE_BYTES} bytes"
                raise UnreadableError(message, code="pickle-too-large") from None
            size *= 8
    _magic, _protocol, _system, tree, keys = values
    # Find the offset of the elements of each storage.
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise UnreadableError("the list of storages is damaged", code="damaged-storage")
    for key in keys:
        if key not in storages:
            raise UnreadableError(
                f"storage {key!r} is listed but belongs to no tensor",
                code="damaged-storage",
            )
        size, dtype = storages[key].size, storages[key].dtype
        if not 0 <= size < 1 << 48:
            raise UnreadableError(
                f"storage {key!r} cannot have {size} elements", code="damaged-storage"
            )
        offsets[key] = end + _SIZE_FIELD_BYTES
        end += _SIZE_FIELD_BYTES + size * (itemsize(dtype) if dtype else 1)
    if end > source.size:
        raise PendingError(
            f"ends at byte {source.size}, but its storages go on to byte {end}",
            code="cut-off",
        )
    return CheckpointContent(tree)


def _open_export(archive: Archive) -> CheckpointContent:
    state_dict = next(
        (name for name in archive.sizes if name.rpartition("/")[2] == _STATE_DICT), None
    )
    if state_dict is not None:
        return open_source(archive.window(state_dict))
    list_name = next(
        (name for name in archive.sizes if name == _LIST or name.endswith(f"/{_LIST}")),
        None,
    )
    if list_name is None:
        raise UnreadableError(
            "an archive of torch.export without a list of weights",
            code="no-weight-list",
        )
    config = parse_json(archive.read_entry(list_name, _MAX_LIST_BYTES))
    weights = as_dict(config).get("config")
    if not isinstance(weights, dict):
        raise UnreadableError(
            "the list of weights is damaged", code="damaged-weight-list"
        )
    folder = list_name.rpartition("/")[0]
    tree = {
        name: tensor
        for name, entry in weights.items()
        if (tensor := _tensor(entry, folder, archive)) is not None
    }
    return CheckpointContent(tree, archive.notes)


def _tensor(entry: Any, folder: str, archive: Archive) -> Tensor | None:
    """Return the weight for an entry of the list, or None if dsi does not support the
    way it is stored.
    """
    try:
        meta, path = entry["tensor_meta"], f"{folder}/{entry['path_name']}"
        dtype = _DTYPES.get(meta["dtype"])
        # The list writes integers as ``{"as_int": 3}``.
        values = (meta["sizes"], meta["strides"], [meta["storage_offset"]])
        shape, strides, (offset,) = (
            tuple(value["as_int"] for value in part) for part in values
        )
    except (KeyError, TypeError):
        return None
    are_integers = all(type(number) is int for number in (*shape, *strides, offset))
    if (
        entry.get("use_pickle")
        or not dtype
        or path not in archive.sizes
        or not are_integers
    ):
        return None
    storage = Storage(
        path, "", archive.sizes[path], PartReader(archive.read_range, path)
    )
    return Tensor(dtype, shape, strides, offset, storage)
