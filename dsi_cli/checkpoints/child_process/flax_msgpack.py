"""MessagePack as Flax writes it (``flax.serialization.to_bytes``), read with
``msgpack``: nested mappings of arrays and numbers.

An array is an extension of type 1 with its shape, the name of its dtype and its bytes.
Flax splits arrays above a gigabyte, which no head reaches: their flat parts are listed.
Arrays without dimensions (such as ``step``) become Python numbers. Names and matrices
stay as in Flax: a ``kernel`` has the shape (inputs, outputs). Source:
``flax/serialization.py``.
"""

from __future__ import annotations

from math import prod
from typing import IO, Any, NamedTuple

import msgpack
import numpy as np

from dsi_cli.checkpoints.child_process import FileContents
from dsi_cli.checkpoints.tensors import (
    NUMPY_DTYPES,
    Storage,
    contiguous,
    decode,
    itemsize,
)
from dsi_cli.errors import PendingError, UnreadableError

_ARRAY, _SCALAR = 1, 3
_MAX_TEXT_LENGTH = 1 << 20
_MAX_NAME_LENGTH = 1024
_MAX_NAME_CHARACTERS = 8 << 20
"""The maximum number of characters in all names of a tree, including mappings; a
ViT-L/16 with Adam's state has 400,000.
"""


class _Array(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


def open_file(file: IO[bytes]) -> FileContents:
    """Return the arrays and values of a file by names joined with dots."""
    try:
        tree = msgpack.unpackb(
            file.read(), ext_hook=_extension, unicode_errors="backslashreplace"
        )
    except msgpack.ExtraData as error:
        raise UnreadableError(
            f"{len(error.extra)} bytes follow its contents", code="trailing-bytes"
        ) from None
    except ValueError as error:
        # The number of bytes limits the size of a mapping or list. A larger size
        # therefore belongs to a longer file.
        if "incomplete" in str(error) or "exceeds max_" in str(error):
            raise PendingError("breaks off in the middle", code="cut-off") from None
        raise UnreadableError(
            f"msgpack cannot read it: {str(error) or type(error).__name__}",
            code="damaged",
        ) from None
    if not isinstance(tree, dict):
        raise UnreadableError("its contents are not a mapping", code="not-a-mapping")
    arrays: dict[str, _Array] = {}
    listing = FileContents(lambda name: np.frombuffer(arrays[name].data, np.uint8))
    for name, leaf in _flatten(tree).items():
        if isinstance(leaf, _Array) and (leaf.shape or leaf.dtype not in NUMPY_DTYPES):
            arrays[name] = leaf
            listing.tensors.append((name, leaf.dtype, list(leaf.shape), name))
        elif isinstance(leaf, _Array):
            # An array without dimensions, such as the step, is a number.
            number = decode(
                contiguous(leaf.dtype, (), Storage("", leaf.dtype, 1)), leaf.data
            ).item()
            listing.values[name] = None if isinstance(number, complex) else number
        else:
            listing.values[name] = _to_json(leaf)
    return listing


def _extension(kind: int, data: bytes) -> Any:
    """Return an array, or None for complex numbers and unknown extensions."""
    if kind not in (_ARRAY, _SCALAR):
        return None
    parts = msgpack.unpackb(data)
    if not isinstance(parts, list) or len(parts) != 3:
        raise ValueError("an array is not stored as shape, dtype and bytes")
    shape, dtype, array_bytes = parts
    are_sizes = isinstance(shape, list) and all(
        type(size) is int and size >= 0 for size in shape
    )
    if (
        not are_sizes
        or not isinstance(dtype, str)
        or not isinstance(array_bytes, bytes)
    ):
        raise ValueError("an array has no possible shape, dtype or bytes")
    if dtype in NUMPY_DTYPES and len(array_bytes) != prod(shape) * itemsize(dtype):
        raise ValueError(
            f"an array of shape {tuple(shape[:8])} and {dtype} has {len(array_bytes)}"
            " bytes"
        )
    return _Array(dtype, tuple(shape), array_bytes)


def _to_json(leaf: Any) -> Any:
    """Return a value that JSON can represent; bytes and long texts become None."""
    if isinstance(leaf, list):
        return [_to_json(item) for item in leaf]
    if isinstance(leaf, dict):
        return {str(key): _to_json(value) for key, value in leaf.items()}
    if isinstance(leaf, str):
        return leaf if len(leaf) <= _MAX_TEXT_LENGTH else None
    return leaf if isinstance(leaf, int | float | None) else None


def _flatten(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the leaves of nested mappings by their names joined with dots; these
    repeat the keys above, so they are limited.
    """
    leaves: dict[str, Any] = {}
    remaining = _MAX_NAME_CHARACTERS
    stack: list[tuple[str, Any]] = [("", tree)]
    while stack:
        name, node = stack.pop()
        if not isinstance(node, dict):
            leaves[name] = node
            continue
        for key, value in reversed(list(node.items())):
            child_name = f"{name}.{key}" if name else str(key)
            remaining -= len(child_name)
            if len(child_name) > _MAX_NAME_LENGTH or remaining < 0:
                message = (
                    f"names of up to {_MAX_NAME_LENGTH} letters, and"
                    f" {_MAX_NAME_CHARACTERS} in all, are read"
                )
                raise UnreadableError(
                    f"{message}; one has {len(child_name)}", code="names-too-long"
                )
            stack.append((child_name, value))
    return leaves
