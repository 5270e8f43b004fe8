"""What single messages of an object's header mean (IV.A.2): pure functions on their bytes."""

from __future__ import annotations

import struct
from math import prod
from typing import NamedTuple

from dsi_cli.checkpoints.formats.hdf5.ranges import NOWHERE
from dsi_cli.checkpoints.tensors import itemsize
from dsi_cli.errors import UnreadableError

DATASPACE, LINK_INFO, DATATYPE, LINK, LAYOUT, FILTERS, ATTRIBUTE, SYMBOL_TABLE = (
    0x01,
    0x02,
    0x03,
    0x06,
    0x08,
    0x0B,
    0x0C,
    0x11,
)
_MOST_DIMENSIONS = 32
_INTEGER, _FLOAT, _OPAQUE, TEXT, LINKED_TEXT = 0, 1, 5, 3, 9
_CLASSES = (
    "integer", "float", "time", "text", "bits", "opaque", "compound", "reference", "enumeration", "variable-length", "array",
)  # fmt: skip
_FLOATS = {  # size, then where the exponent and the mantissa lie and how long they are, and the exponent's bias
    (2, 10, 5, 0, 10, 15): "float16",
    (2, 7, 8, 0, 7, 127): "bfloat16",
    (4, 23, 8, 0, 23, 127): "float32",
    (8, 52, 11, 0, 52, 1023): "float64",
}


class Kind(NamedTuple):
    """An element's type."""

    dtype: str
    """A name of `dsi_cli.checkpoints.tensors`, or a description of what is not read."""
    is_big_endian: bool
    size: int
    """Bytes of one element."""
    number: int
    """HDF5's own number of the class."""


class Layout(NamedTuple):
    """Where an array's elements lie."""

    size: int
    """Bytes stored without a hole; 0 where they lie in chunks."""
    address: int = NOWHERE
    """Of the first element, or of what leads to the chunks."""
    held: bytes | None = None
    """The elements themselves, where the header holds them."""
    chunk: tuple[int, ...] = ()
    """The shape of a chunk."""
    single: int = 0
    """Bytes of the only chunk, where there is one only and the header points to it."""
    mask: int = 0
    """The filters that the only chunk was not put through."""


class Attribute(NamedTuple):
    """An attribute that was not decoded yet."""

    kind: Kind
    shape: tuple[int, ...]
    data: bytes


class Link(NamedTuple):
    """A name in a group."""

    name: str
    address: int
    order: int = 0
    """When it was made, where the file says so."""


def shape_of(body: bytes) -> tuple[int, ...]:
    """Return the shape that a dataspace message states; (0,) for none."""
    version, rank, _, is_null = struct.unpack_from("<BBBB", body)
    if version not in (1, 2) or rank > _MOST_DIMENSIONS:
        raise UnreadableError(f"an array of {rank} dimensions (dataspace version {version}) is not read")
    if version == 2 and is_null == 2:
        return (0,)
    shape = struct.unpack_from(f"<{rank}Q", body, 8 if version == 1 else 4)
    if prod(size or 1 for size in shape) >= 1 << 63:
        raise UnreadableError(f"an array of shape {shape[:8]} cannot be")
    return shape


def kind_of(body: bytes) -> Kind:
    """Return the element type that a datatype message states."""
    first, flags, _, size = struct.unpack_from("<BBHI", body)
    number = first & 15
    dtype = _CLASSES[number] if number < len(_CLASSES) else "unknown"
    if number == _INTEGER and size in (1, 2, 4, 8):
        offset, precision = struct.unpack_from("<HH", body, 8)
        if (offset, precision) == (0, size * 8):
            dtype = f"{'int' if flags & 8 else 'uint'}{size * 8}"
    elif number == _FLOAT and not flags & 0x40:
        dtype = _FLOATS.get((size, *struct.unpack_from("<4BI", body, 12)), dtype)
    elif number == _OPAQUE and size == 2:
        dtype = "bfloat16"  # NumPy does not know it: h5py stores it as two bytes without a meaning
    return Kind(dtype, bool(flags & 1) and number in (_INTEGER, _FLOAT), size, number)


def layout_of(body: bytes, shape: tuple[int, ...], size: int) -> Layout:
    """Return where the elements of an array lie, given its shape and the bytes of an element."""
    version = body[0]
    if version in (1, 2):
        return _old_layout(body, shape, size)
    if version not in (3, 4, 5):
        raise UnreadableError(f"an array's layout of version {version} is not read")
    if body[1] == 0:
        return _held(body[4 : 4 + int(struct.unpack_from("<H", body, 2)[0])])
    if body[1] == 1:
        address, length = struct.unpack_from("<QQ", body, 2)
        return Layout(length, address)
    if body[1] == 2:
        return _chunked(body) if version == 3 else _new_chunked(body)
    raise UnreadableError("an array put together from other files (virtual) is not read")


def _held(data: bytes) -> Layout:
    return Layout(len(data), held=data)


def _old_layout(body: bytes, shape: tuple[int, ...], size: int) -> Layout:
    rank, place = struct.unpack_from("<BB", body, 1)
    if place == 0:
        length = int(struct.unpack_from("<I", body, 8 + 4 * rank)[0])
        return _held(body[12 + 4 * rank : 12 + 4 * rank + length])
    address = int(struct.unpack_from("<Q", body, 8)[0])
    if place == 1:
        return Layout(prod(shape) * size, address)
    return Layout(0, address, chunk=struct.unpack_from(f"<{rank - 1 if rank else 0}I", body, 16))


def _chunked(body: bytes) -> Layout:
    rank, address = struct.unpack_from("<BQ", body, 2)
    if not rank:
        raise UnreadableError("damaged: chunks without a shape")
    return Layout(0, address, chunk=struct.unpack_from(f"<{rank - 1}I", body, 11))


def _new_chunked(body: bytes) -> Layout:
    flags, rank, width = struct.unpack_from("<3B", body, 2)
    at = 5 + rank * width
    numbers = tuple(int.from_bytes(body[5 + width * i : 5 + width * (i + 1)], "little") for i in range(rank))
    if body[at] != 1 or not rank:
        raise UnreadableError("an array in chunks that are listed in the form of libver='latest', which is not read")
    if flags & 2:
        size, mask, address = struct.unpack_from("<QIQ", body, at + 1)
        return Layout(0, address, chunk=numbers[:-1], single=size, mask=mask)
    return Layout(0, int(struct.unpack_from("<Q", body, at + 1)[0]), chunk=numbers[:-1], single=prod(numbers))


def filters_of(body: bytes) -> tuple[int, ...]:
    """Return the numbers of the filters that chunks were put through, in that order."""
    version, count = struct.unpack_from("<BB", body)
    at = 8 if version == 1 else 2
    found = []
    for _ in range(count):
        number = int(struct.unpack_from("<H", body, at)[0])
        named = version == 1 or number >= 256
        name = int(struct.unpack_from("<H", body, at + 2)[0]) if named else 0
        values = int(struct.unpack_from("<H", body, at + (6 if named else 4))[0])
        at += (8 if named else 6) + name + 4 * (values + (values % 2 if version == 1 else 0))
        found.append(number)
    return tuple(found)


def attribute_of(body: bytes) -> tuple[str, Attribute] | None:
    """Return an attribute with its name; None where it is of a shared type."""
    version, flags, name_size, kind_size, shape_size = struct.unpack_from("<BBHHH", body)
    if version > 1 and flags & 3:
        return None
    at = 9 if version == 3 else 8
    sizes = (name_size, kind_size, shape_size)
    name_end, kind_end, shape_end = (
        at + sum(_padded(one) if version == 1 else one for one in sizes[: number + 1]) for number in range(3)
    )
    name = body[at : at + name_size].rstrip(b"\0").decode("utf-8", "replace")
    return name, Attribute(kind_of(body[name_end:kind_end]), shape_of(body[kind_end:shape_end]), body[shape_end:])


def _padded(size: int) -> int:
    return -(-size // 8) * 8


def link_of(body: bytes) -> Link | None:
    """Return a hard link; None for one that leads to a name or to another file."""
    version, flags = struct.unpack_from("<BB", body)
    if version != 1:
        raise UnreadableError(f"a link of version {version} is not read")
    at = 2
    link_kind = body[at] if flags & 8 else 0
    at += bool(flags & 8)
    order = int(struct.unpack_from("<Q", body, at)[0]) if flags & 4 else 0
    at += (8 if flags & 4 else 0) + bool(flags & 16)
    width = 1 << (flags & 3)
    length = int.from_bytes(body[at : at + width], "little")
    name = body[at + width : at + width + length].decode("utf-8", "replace")
    if link_kind:
        return None
    return Link(name, int(struct.unpack_from("<Q", body, at + width + length)[0]), order)


def elements(dtype: str, size: int) -> int:
    """Return how many elements of a type fit so many bytes; 0 for types that are not read."""
    try:
        return size // itemsize(dtype)
    except UnreadableError:
        return 0
