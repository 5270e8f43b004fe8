"""HDF5 files, read with ``h5py``: Keras' weights and models, and arrays in groups. dsi does not follow soft or external links."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.io.bounded_json import parse_json_or_none
from dsi_cli.checkpoints.isolated import FileContents, dtype_name
from dsi_cli.checkpoints.isolated.keras_names import OPTIMIZERS, H5Dataset, H5Group, is_keras, parameters
from dsi_cli.errors import PendingError, UnreadableError

_MAX_DEPTH = 32
_MAX_OBJECTS = 20_000
_MAX_CONFIG_LENGTH = 8 << 20
"""The maximum length of a configuration; the largest networks of keras.applications have 1 MB."""
_INCOMPLETE_MESSAGES = ("truncated file", "already open for write", "addr overflow")
"""The messages of the HDF5 library about files that end too early, or that another process is writing."""


def open_file(file: IO[bytes], config: str = "", version: str | None = None) -> FileContents:
    """Return the parameters of an HDF5 file except those of the optimiser.

    Parameters
    ----------
    file : the file
    config : the JSON text of the model's configuration, if it is stored in another file
    version : the version of Keras, if it is stored in another file
    """
    try:
        opened = h5py.File(file, "r")
        root = H5Group(0, texts=_texts(opened))
        _read_group(opened, root, "", 0, [_MAX_OBJECTS])
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _problem(error) from None

    listing = FileContents(partial(_read, opened))
    config = config or root.text("model_config") or ""
    model_config = parse_json_or_none(config.encode()) if len(config) <= _MAX_CONFIG_LENGTH else None
    for name, array, is_output in parameters(root, model_config):
        listing.tensors.append((name, array.dtype, list(array.shape), array.path))
        if is_output:
            listing.outputs = [*(listing.outputs or []), name]
    if is_keras(root):
        listing.values["__metadata__"] = {"keras_version": version or root.text("keras_version")}
    return listing


def _read(opened: h5py.File, path: str) -> NDArray[Any]:
    dataset = opened[path]
    if dataset.external is not None or dataset.is_virtual:
        message = f"{path[:80]!r} has its elements in another file, which dsi does not open"
        raise UnreadableError(message, code="outside-folder")
    if dataset.size and not dataset.id.get_storage_size():
        raise UnreadableError(f"{path[:80]!r} has elements that were never written", code="missing-elements")
    try:
        if dataset.shape is None:
            return np.zeros(0, np.float32)
        return np.asarray(dataset[()])
    except (OSError, RuntimeError) as error:
        raise _problem(error) from None


def _problem(error: BaseException) -> PendingError | UnreadableError:
    text = " ".join(str(error).split())[:200]
    if any(message in text for message in _INCOMPLETE_MESSAGES):
        return PendingError(f"the HDF5 file breaks off, or is still being written: {text}", code="cut-off")
    return UnreadableError(f"h5py cannot read it: {text}", code="damaged")


def _read_group(group: Any, record: H5Group, path: str, depth: int, remaining: list[int]) -> None:
    """Add the members of an h5py group to a record; ``remaining[0]`` is the number of objects that may still follow."""
    for name in group:
        if depth == 0 and name in OPTIMIZERS:
            continue
        remaining[0] -= 1
        if remaining[0] < 0 or depth >= _MAX_DEPTH:
            message = f"more than {_MAX_OBJECTS} names, or groups in groups {_MAX_DEPTH} deep: dsi does not read that"
            raise UnreadableError(message, code="too-many-objects")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        member = group[name]
        member_path = f"{path}/{name}"
        if isinstance(member, h5py.Group):
            inner = record.members[name] = H5Group(_address(member), texts=_texts(member))
            _read_group(member, inner, member_path, depth + 1, remaining)
            inner.address = max(inner.address, *(part.address for part in inner.members.values()), 0)
        elif isinstance(member, h5py.Dataset):
            shape = (0,) if member.shape is None else member.shape
            try:
                dtype = dtype_name(member.dtype)
            except (TypeError, ValueError):
                dtype = "type of its own"
            record.members[name] = H5Dataset(_address(member), member_path, dtype, shape)


def _address(node: Any) -> int:
    return int(h5py.h5o.get_info(node.id).addr)


def _texts(node: Any) -> dict[str, list[str]]:
    texts = {}
    for name in node.attrs:
        with suppress(OSError, TypeError, ValueError, RuntimeError, KeyError):
            value = node.attrs[name]
            items = value.reshape(-1).tolist() if isinstance(value, np.ndarray) else [value]
            strings = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in items]
            texts[name] = [item for item in strings if isinstance(item, str)]
    return texts
