"""MessagePack as Flax writes it (``flax.serialization.to_bytes``), by ``msgpack``: nested mappings of text to arrays and numbers.

An array is an extension of type 1 that holds (shape, name of the dtype, bytes); one above a gigabyte is a mapping of its shape and
of flat chunks. Arrays without dimensions (a ``step``) become Python numbers. Names and matrices stay as Flax has them: a ``kernel``
is (inputs, outputs). Source: ``flax/serialization.py``.
"""

from __future__ import annotations

from math import prod
from typing import IO, Any, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.isolated.jax_trees import flatten_tree
from dsi_cli.checkpoints.isolated.listing import FileContents
from dsi_cli.checkpoints.tensors import NUMPY_DTYPES, Storage, contiguous, decode, itemsize
from dsi_cli.errors import PendingError, UnreadableError

_ARRAY, _SCALAR = 1, 3
_CHUNKED = "__msgpack_chunked_array__"
_LONGEST_TEXT = 1 << 20


class _Array(NamedTuple):
    """An array by its dtype, shape and bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def open_file(file: IO[bytes]) -> FileContents:
    """Return the arrays and values of a file by names joined with dots."""
    tree = _unpacked(file.read())
    if not isinstance(tree, dict):
        raise UnreadableError("its contents are no mapping")
    arrays: dict[str, _Array] = {}

    def read(name: str) -> NDArray[Any]:
        return np.frombuffer(arrays[name].data, np.uint8)

    listing = FileContents(read)
    for name, leaf in flatten_tree(_joined(tree)).items():
        value = _number(leaf) if isinstance(leaf, _Array) else _plain(leaf)
        if isinstance(value, _Array):
            arrays[name] = value
            listing.tensors.append((name, value.dtype, list(value.shape), name))
        else:
            listing.values[name] = value
    return listing


def _unpacked(data: bytes) -> Any:
    try:
        return msgpack.unpackb(data, ext_hook=_extension, unicode_errors="backslashreplace")
    except msgpack.ExtraData as error:
        raise UnreadableError(f"{len(error.extra)} bytes stand behind its contents") from None
    except ValueError as error:
        # The most that a mapping or list can hold is what the file's bytes allow: a larger number belongs to a longer file.
        if "incomplete" in str(error) or "exceeds max_" in str(error):
            raise PendingError("breaks off in the middle") from None
        raise UnreadableError(f"msgpack cannot read it: {str(error) or type(error).__name__}") from None


def _extension(kind: int, data: bytes) -> Any:
    """Return an array; None for complex numbers and unknown extensions."""
    if kind not in (_ARRAY, _SCALAR):
        return None
    parts = msgpack.unpackb(data)
    if not isinstance(parts, list) or len(parts) != 3:
        raise ValueError("an array is not stored as shape, dtype and bytes")
    shape, dtype, stored = parts
    are_sizes = isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
    if not are_sizes or not isinstance(dtype, str) or not isinstance(stored, bytes):
        raise ValueError("an array has no possible shape, dtype or bytes")
    if dtype in NUMPY_DTYPES and len(stored) != prod(shape) * itemsize(dtype):
        raise ValueError(f"an array of shape {tuple(shape[:8])} and {dtype} has {len(stored)} bytes")
    return _Array(dtype, tuple(shape), stored)


def _number(array: _Array) -> Any:
    """Return the number that an array without dimensions holds, any other array as it is."""
    if array.shape or array.dtype not in NUMPY_DTYPES:
        return array
    number = decode(contiguous(array.dtype, (), Storage("", array.dtype, 1)), array.data).item()
    return None if isinstance(number, complex) else number


def _plain(leaf: Any) -> Any:
    """Return a value as JSON has it; bytes and long texts become None."""
    if isinstance(leaf, list):
        return [_plain(one) for one in leaf]
    if isinstance(leaf, dict):
        return {str(key): _plain(value) for key, value in leaf.items()}
    if isinstance(leaf, str):
        return leaf if len(leaf) <= _LONGEST_TEXT else None
    return leaf if isinstance(leaf, int | float | None) else None


def _joined(tree: Any) -> Any:
    """Return nested mappings with each array in chunks put together."""
    if not isinstance(tree, dict):
        return tree
    if tree.get(_CHUNKED) is not True:
        return {key: _joined(value) for key, value in tree.items()}
    shape, chunks = ([*tree[key].values()] if isinstance(tree.get(key), dict) else [] for key in ("shape", "chunks"))
    are_sizes = all(type(size) is int and size >= 0 for size in shape)
    if not chunks or not are_sizes or not all(isinstance(one, _Array) and one.dtype == chunks[0].dtype for one in chunks):
        raise UnreadableError("an array in chunks has no possible shape, or no chunks of one dtype")
    if sum(prod(one.shape) for one in chunks) != prod(shape):
        raise UnreadableError(f"the chunks of an array do not fit its shape {tuple(shape[:8])}")
    return _Array(chunks[0].dtype, tuple(shape), b"".join(one.data for one in chunks))
