"""HDF5 files by ``h5py``: Keras' weights and models, and arrays in groups. Links to other names or files are not followed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.io import bounded_json
from dsi_cli.checkpoints.isolated.keras_names import OPTIMIZERS, H5Dataset, H5Group, is_keras, parameters
from dsi_cli.checkpoints.isolated.listing import FileContents, dtype_name
from dsi_cli.errors import PendingError, UnreadableError

_DEEPEST = 32
_MOST_OBJECTS = 20_000
_LARGEST_CONFIG = 8 << 20
"""Bytes of JSON; the largest networks of keras.applications have 1 MB."""
_UNFINISHED = ("truncated file", "already open for write", "addr overflow")
"""What the HDF5 library says of files that end too early, or that another process is writing."""


def open_file(file: IO[bytes], config: str = "", version: str | None = None) -> FileContents:
    """Return the parameters of an HDF5 file, the optimiser's left out.

    Parameters
    ----------
    file : the file
    config : the JSON text of the model's configuration, if it lies next to the file
    version : the version of Keras, likewise
    """
    try:
        opened = h5py.File(file, "r")
        root = H5Group(0, texts=_texts(opened))
        _walk(opened, root, "", 0, [_MOST_OBJECTS])
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _problem(error) from None

    listing = FileContents(partial(_read, opened))
    said = _parsed(config or next(iter(root.texts.get("model_config", [])), ""))
    for name, array, is_output in parameters(root, said):
        listing.tensors.append((name, array.dtype, list(array.shape), array.path))
        if is_output:
            listing.outputs = [*(listing.outputs or []), name]
    if is_keras(root):
        written_by = version or next(iter(root.texts.get("keras_version", [])), None)
        listing.values["__metadata__"] = {"keras_version": written_by}
    return listing


def _read(opened: h5py.File, path: str) -> NDArray[Any]:
    dataset = opened[path]
    if dataset.external is not None or dataset.is_virtual:
        raise UnreadableError(f"{path[:80]!r} has its elements in another file, which dsi does not open")
    if dataset.size and not dataset.id.get_storage_size():
        raise UnreadableError(f"{path[:80]!r} has elements that were never written")
    try:
        return np.zeros(0, np.float32) if dataset.shape is None else np.asarray(dataset[()])
    except (OSError, RuntimeError) as error:
        raise _problem(error) from None


def _problem(error: BaseException) -> PendingError | UnreadableError:
    text = " ".join(str(error).split())[:200]
    if any(one in text for one in _UNFINISHED):
        return PendingError(f"the HDF5 file breaks off, or is still being written: {text}")
    return UnreadableError(f"h5py cannot read it: {text}")


def _parsed(text: str) -> Any:
    """Return a configuration's JSON; None if it is none, or too large."""
    try:
        return bounded_json.parse_json(text.encode()) if len(text) <= _LARGEST_CONFIG else None
    except (ValueError, RecursionError):
        return None


def _walk(group: Any, into: H5Group, path: str, depth: int, left: list[int]) -> None:
    """Enter what a group holds; ``left`` is the number of objects that may still come."""
    for name in group:
        if depth == 0 and name in OPTIMIZERS:
            continue
        left[0] -= 1
        if left[0] < 0 or depth >= _DEEPEST:
            raise UnreadableError(
                f"more than {_MOST_OBJECTS} names, or groups in groups {_DEEPEST} deep: dsi does not read that"
            )
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        node = group[name]
        below = f"{path}/{name}"
        if isinstance(node, h5py.Group):
            inner = into.members[name] = H5Group(_address(node), texts=_texts(node))
            _walk(node, inner, below, depth + 1, left)
        elif isinstance(node, h5py.Dataset):
            into.members[name] = H5Dataset(
                _address(node), below, _kind(node), node.shape if node.shape is not None else (0,)
            )


def _address(node: Any) -> int:
    return int(h5py.h5o.get_info(node.id).addr)


def _kind(dataset: Any) -> str:
    try:
        return dtype_name(dataset.dtype)
    except (TypeError, ValueError):
        return "type of its own"


def _texts(node: Any) -> dict[str, list[str]]:
    return {name: list(_strings(value)) for name, value in _attributes(node)}


def _attributes(node: Any) -> Iterator[tuple[str, Any]]:
    for name in node.attrs:
        try:
            yield name, node.attrs[name]
        except (OSError, TypeError, ValueError, RuntimeError, KeyError):
            continue


def _strings(value: Any) -> Iterator[str]:
    for one in value.reshape(-1).tolist() if isinstance(value, np.ndarray) else [value]:
        if isinstance(one, bytes | str):
            yield one.decode("utf-8", "replace") if isinstance(one, bytes) else one
