"""Describe a tensor (dtype, shape, strides and the storage with its bytes), and read
its values.

dtypes have torch's names without the prefix (``float32``, ``bfloat16``,
``float8_e4m3fn``). NumPy has no bfloat16 and no 8-bit floats, so these are decoded
exactly to float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UnreadableError

NUMPY_DTYPES = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "u2",
    "float8_e4m3fn": "u1",
    "float8_e5m2": "u1",
    "float8_e4m3fnuz": "u1",
    "float8_e5m2fnuz": "u1",
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint64": "u8",
    "uint32": "u4",
    "uint16": "u2",
    "uint8": "u1",
    "bool": "u1",
    "complex64": "c8",
    "complex128": "c16",
    "qint8": "i1",
    "quint8": "u1",
    "qint32": "i4",
}
_INTEGERS = ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")
DTYPES_BY_CODE = {
    np.dtype(name).str[1:]: name
    for name in ("float64", "float32", "float16", "bool", *_INTEGERS)
}
"""The dtypes of NumPy that dsi reads, by their codes without the byte order: ``f4``,
``i8``, ``b1``.
"""
MAX_DIMENSIONS = 32
FLOATS = frozenset(
    name
    for name in NUMPY_DTYPES
    if "float" in name or name.startswith(("qint", "quint"))
)
"""The possible dtypes of a classifier's weight."""
_FLOAT8 = {
    "float8_e4m3fn": (3, 7, [0x7F, 0xFF]),
    "float8_e4m3fnuz": (3, 8, [0x80]),
    "float8_e5m2fnuz": (2, 16, [0x80]),
}
"""The number of mantissa bits, the bias of the exponent and the codes of NaN of 8-bit
floats without infinities.
"""
ReadRange = Callable[[int, int], "bytes | memoryview"]
"""A function from an offset and a size to exactly these bytes; it raises
`CheckpointError` if they cannot be read.
"""


@dataclass(frozen=True)
class PartReader:
    """A `ReadRange` of one part of a file. Tied weights are equal because two readers
    of one part are equal.
    """

    # a function from the part, an offset in it and a size to these bytes
    read: Callable[..., bytes | memoryview]
    part: Any

    def __call__(self, start: int, size: int) -> bytes | memoryview:
        """Return these bytes."""
        return self.read(self.part, start, size)


def from_offset(read: ReadRange, begin: int) -> ReadRange:
    """Return the function that reads the bytes of a part, which begins at an offset of
    a larger block.
    """
    return lambda start, size: read(begin + start, size)


def _no_bytes(_start: int, _size: int) -> bytes:
    raise UnreadableError(
        "the bytes of the tensor are not in the file", code="missing-storage"
    )


class Storage(NamedTuple):
    """A flat block of bytes inside a container."""

    key: str
    dtype: str  # empty for an untyped storage, whose size is in bytes
    size: int  # the number of elements
    read: ReadRange = _no_bytes
    is_big_endian: bool = False


class Quantiser(NamedTuple):
    """The parameters of a quantised tensor, whose values are ``(integer - zero) *
    scale``.
    """

    # a number, or a tensor with one value for each index of ``axis``
    scale: float | Any
    zero: int | Any
    # the axis along which scale and zero differ; None if they are single numbers
    axis: int | None = None


class Tensor(NamedTuple):
    """A view of a storage: ``strides`` and ``offset`` count elements."""

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    storage: Storage
    quantiser: Quantiser | None = None
    # True if the file states that the rows of a weight are the outputs of its layer
    has_output_rows: bool = False

    @property
    def transposed(self) -> Tensor:
        """The transposed matrix, as another view of the same bytes."""
        return self._replace(shape=self.shape[::-1], strides=self.strides[::-1])

    def read(self) -> NDArray[Any]:
        """Return the values; raise `CheckpointError` if the file does not hold them."""
        values = decode(self, self.storage.read(*span(self)))
        return values if self.quantiser is None else dequantise(values, self.quantiser)


def itemsize(dtype: str) -> int:
    """Return the size of one element in bytes.

    Raise `UnreadableError` if the dtype is not supported (``unsupported-dtype``).
    """
    if dtype not in NUMPY_DTYPES:
        message = f"dsi does not read elements of type {dtype[:40]!r}"
        raise UnreadableError(message, code="unsupported-dtype", dtype=dtype[:40])
    return np.dtype(NUMPY_DTYPES[dtype]).itemsize


def are_sizes(value: Any) -> bool:
    """Return whether a value is a tuple of possible sizes."""
    if not isinstance(value, tuple) or len(value) > MAX_DIMENSIONS:
        return False
    for size in value:  # noqa: SIM110 (a generator takes three times as long)
        if type(size) is not int or not 0 <= size < 1 << 48:
            return False
    return True


def contiguous(
    dtype: str, shape: tuple[int, ...], storage: Storage, *, is_fortran: bool = False
) -> Tensor:
    """Return a tensor that fills its storage row by row, or column by column with
    ``is_fortran``.
    """
    if is_fortran:
        return contiguous(dtype, shape[::-1], storage).transposed
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return Tensor(dtype, shape, tuple(reversed(strides)), 0, storage)


def join_rows(parts: Sequence[Tensor]) -> Tensor:
    """Return a tensor with the rows of several tensors of equal width, one after the
    other, in float32.
    """
    shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])

    def read(start: int, size: int) -> bytes:
        rows = np.concatenate([part.read().astype("<f4") for part in parts])
        return rows.tobytes()[start : start + size]

    return contiguous("float32", shape, Storage("", "float32", prod(shape), read))


def span(tensor: Tensor) -> tuple[int, int]:
    """Return the offset of the tensor's bytes in its storage and their number,
    including gaps between strides.

    Raise `UnreadableError` if the numbers are impossible (``impossible-tensor``):
    negative, or more elements than the storage holds.
    """
    if len(tensor.shape) > MAX_DIMENSIONS or len(tensor.shape) != len(tensor.strides):
        message = (
            f"a tensor of {len(tensor.shape)} dimensions with {len(tensor.strides)}"
            " strides cannot be"
        )
        raise UnreadableError(message, code="impossible-tensor")
    numbers = (*tensor.shape, *tensor.strides, tensor.offset, tensor.storage.size)
    if not all(isinstance(number, int) and 0 <= number < 1 << 63 for number in numbers):
        message = (
            f"a tensor of shape {tensor.shape} with strides {tensor.strides} cannot be"
        )
        raise UnreadableError(message, code="impossible-tensor")
    width = itemsize(tensor.dtype)
    if 0 in tensor.shape:
        return tensor.offset * width, 0
    last = sum(
        (size - 1) * stride
        for size, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    storage_bytes = tensor.storage.size
    if tensor.storage.dtype:
        storage_bytes *= itemsize(tensor.storage.dtype)
    if (tensor.offset + last + 1) * width > storage_bytes or prod(
        tensor.shape
    ) * width > storage_bytes:
        message = (
            f"a tensor of shape {tensor.shape} does not fit its storage of"
            f" {storage_bytes} bytes"
        )
        raise UnreadableError(message, code="impossible-tensor")
    return tensor.offset * width, (last + 1) * width


def decode(tensor: Tensor, data: bytes | memoryview) -> NDArray[Any]:
    """Return the tensor as a writable array: floats as float16, float32 or float64,
    other dtypes unchanged.

    ``data`` holds the bytes in the range of `span`. The array may share memory with a
    memoryview.
    """
    stored = np.dtype(NUMPY_DTYPES[tensor.dtype]).newbyteorder(
        ">" if tensor.storage.is_big_endian else "<"
    )
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, dtype=np.float32)
    flat = np.frombuffer(data, dtype=stored)
    strides = tuple(stride * stored.itemsize for stride in tensor.strides)
    view = np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)
    if tensor.dtype == "bfloat16":
        return (view.astype(np.uint32) << 16).view(np.float32)
    if tensor.dtype.startswith("float8"):
        return _float8_values(tensor.dtype)[view]
    if (
        stored.isnative
        and flat.flags.writeable
        and view.flags.c_contiguous
        and view.size == flat.size
    ):
        return flat.reshape(tensor.shape)
    return np.ascontiguousarray(view.astype(stored.newbyteorder("=")))


def dequantise(values: NDArray[Any], quantiser: Quantiser) -> NDArray[np.float32]:
    """Return the numbers of a quantised tensor.

    Raise `UnreadableError` if there is not one scale and zero for each index of the
    axis (``misfit-scales``).
    """
    parts: list[Any] = []
    for part in (quantiser.zero, quantiser.scale):
        if isinstance(part, Tensor):
            part = part.read().astype(np.float32)
            axis = quantiser.axis
            if (
                part.ndim != 1
                or axis is None
                or not 0 <= axis < values.ndim
                or len(part) != values.shape[axis]
            ):
                message = (
                    f"a quantised tensor of shape {values.shape} has scales of shape"
                    f" {part.shape}"
                )
                raise UnreadableError(message, code="misfit-scales")
            shape = [1] * values.ndim
            shape[axis] = -1
            part = part.reshape(shape)
        parts.append(np.float32(part))
    zero, scale = parts
    return (values.astype(np.float32) - zero) * scale


def _float8_values(dtype: str) -> NDArray[np.float32]:
    """Return the values of the 256 codes of an 8-bit float format."""
    if dtype == "float8_e5m2":  # the first byte of a float16
        return (
            (np.arange(256, dtype=np.uint16) << 8).view(np.float16).astype(np.float32)
        )
    mantissa_bits, bias, nan_codes = _FLOAT8[dtype]
    code = np.arange(256)
    exponent, mantissa = np.divmod(code & 0x7F, 1 << mantissa_bits)
    mantissa += (
        exponent > 0
    ) << mantissa_bits  # a normal number has a further bit, which is not stored
    size = np.ldexp(
        mantissa.astype(np.float32), np.maximum(exponent, 1) - bias - mantissa_bits
    )
    values = np.where(code & 0x80, -size, size)
    values[nan_codes] = np.nan
    return values
