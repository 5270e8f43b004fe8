"""MessagePack as Flax writes it (``flax.serialization.to_bytes``): nested mappings of text to arrays and numbers.

An array is an extension of type 1 that holds (shape, name of the dtype, bytes); one above a gigabyte is a mapping of its
shape and of flat chunks. Arrays are stepped over; those without dimensions (a ``step``) are read at once, as Python numbers.
Names and matrices stay as Flax has them: a ``kernel`` is (inputs, outputs). Sources: https://github.com/msgpack/msgpack/blob/master/spec.md,
``flax/serialization.py``.
"""

from __future__ import annotations

import struct
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import Content
from dsi_cli.checkpoints.formats.jax_trees import flattened, grouped
from dsi_cli.checkpoints.source import Source
from dsi_cli.checkpoints.tensors import NUMPY_DTYPES, Storage, Tensor, contiguous, decode, itemsize, span
from dsi_cli.checkpoints.window import Window
from dsi_cli.errors import PendingError, UnreadableError

_MOST_VALUES = 250_000
"""Keys, numbers, arrays and mappings in one file; a state of a ViT-L/16 with Adam's has some 5,000."""
_DEEPEST = 64
_LONGEST_KEY = 4096
_LONGEST_TEXT = 1 << 20
_MOST_TEXT = 16 << 20
_MOST_DIMENSIONS = 32
_CHUNKED = "__msgpack_chunked_array__"
_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_SIZED = {  # the first byte of what has a length: its kind, and the bytes of the length
    0xC4: ("bin", 1), 0xC5: ("bin", 2), 0xC6: ("bin", 4),
    0xC7: ("ext", 1), 0xC8: ("ext", 2), 0xC9: ("ext", 4),
    0xD9: ("str", 1), 0xDA: ("str", 2), 0xDB: ("str", 4),
    0xDC: ("list", 2), 0xDD: ("list", 4), 0xDE: ("map", 2), 0xDF: ("map", 4),
}  # fmt: skip
_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


class _Item(NamedTuple):
    """The head of one value."""

    kind: str
    """``value`` (in ``value``), ``str``, ``bin``, ``ext``, ``list`` or ``map``."""
    value: Any
    code: int
    """The type of an extension."""
    begin: int
    """Where what stands behind the head begins."""
    size: int
    """Bytes of a text, bytes or extension; values of a list; pairs of a mapping."""


class _Open:
    """A mapping or list that is not yet full."""

    def __init__(self, item: _Item) -> None:
        self.held: dict[str, Any] | list[Any] = {} if item.kind == "map" else []
        self.left = item.size
        self.key: str | None = None

    def add(self, value: Any) -> None:
        self.left -= 1
        if isinstance(self.held, list):
            self.held.append(value)
        else:
            assert self.key is not None
            self.held[self.key] = value


class _Part(NamedTuple):
    """A piece of an array's bytes in the file."""

    begin: int
    size: int


def open_content(source: Source) -> Content:
    """Return the content of a file: what lies under each key at its top, by names joined with dots.

    Errors as for `dsi_cli.checkpoints.formats.open_content`.
    """
    walk = _Walk(source)
    tree = grouped(flattened(walk.tree()))

    def read(tensor: Tensor) -> NDArray[Any]:
        start, size = span(tensor)
        parts = _cut(walk.parts[tensor.storage.key], start, size)
        if len(parts) == 1:
            return decode(tensor, source.memory_at(*parts[0]))
        joined = np.empty(size, dtype=np.uint8)
        at = 0
        for part in parts:
            joined[at : at + part.size] = np.frombuffer(source.memory_at(*part), dtype=np.uint8)
            at += part.size
        return decode(tensor, joined.data)

    return Content(tree, read)


def _cut(parts: list[_Part], start: int, size: int) -> list[_Part]:
    """Return where the bytes from ``start`` on lie in an array of several parts."""
    found, at = [], 0
    for begin, held in parts:
        first, last = max(start - at, 0), min(start + size - at, held)
        if first < last:
            found.append(_Part(begin + first, last - first))
        at += held
    return found


class _Walk:
    """One pass over a file, with a budget."""

    def __init__(self, source: Source) -> None:
        self.parts: dict[str, list[_Part]] = {}
        """Where the bytes of each storage lie."""
        self._window = Window(source)
        self._values_left = _MOST_VALUES
        self._text_left = _MOST_TEXT

    def tree(self) -> dict[str, Any]:
        """Return the mapping that is the whole file."""
        item = self._item(0, self._window.size)
        if item.kind != "map":
            raise UnreadableError("its contents are no mapping")
        root = _Open(item)
        stack, at = [root], item.begin
        while stack:
            top = stack[-1]
            if top.left:
                at = self._step(stack, top, at)
                continue
            stack.pop()
            if stack:
                stack[-1].add(self._closed(top.held))
        if at != self._window.size:
            raise UnreadableError(f"{self._window.size - at} bytes stand behind its contents")
        assert isinstance(root.held, dict)
        return root.held

    def _step(self, stack: list[_Open], top: _Open, at: int) -> int:
        """Take in the next value of the innermost mapping or list; return where the one after it begins."""
        if isinstance(top.held, dict):
            top.key, at = self._key(at)
        item = self._item(at, self._window.size)
        if item.kind not in ("map", "list"):
            top.add(self._leaf(item))
            return item.begin + item.size
        if len(stack) >= _DEEPEST:
            raise UnreadableError(f"nested more than {_DEEPEST} deep")
        stack.append(_Open(item))
        return item.begin

    def _item(self, at: int, end: int) -> _Item:
        """Return the head of the value at a place, which must end before ``end``."""
        self._values_left -= 1
        if self._values_left < 0:
            raise UnreadableError(f"more than {_MOST_VALUES} values")
        code = self._read(at, 1, end)[0]
        at += 1
        if code in _CONSTANTS:
            return _Item("value", _CONSTANTS[code], 0, at, 0)
        if code < 0x80 or code >= 0xE0:
            return _Item("value", code if code < 0x80 else code - 0x100, 0, at, 0)
        if code in _NUMBERS:
            form = struct.Struct(_NUMBERS[code])
            return _Item("value", form.unpack(self._read(at, form.size, end))[0], 0, at + form.size, 0)
        return self._sized(code, at, end)

    def _sized(self, code: int, at: int, end: int) -> _Item:
        kind, width, size = "", 0, 0
        if code in _SIZED:
            kind, width = _SIZED[code]
            size = int.from_bytes(self._read(at, width, end), "big")
        elif code < 0xC0:
            kind, size = (
                ("map", code & 0x0F) if code < 0x90 else ("list", code & 0x0F) if code < 0xA0 else ("str", code & 0x1F)
            )
        elif 0xD4 <= code <= 0xD8:
            kind, size = "ext", 1 << code - 0xD4
        else:
            raise UnreadableError(f"no MessagePack: byte {at - 1} is {code:#x}")
        at += width
        extension = self._read(at, 1, end)[0] if kind == "ext" else 0
        at += kind == "ext"
        # A value takes a byte or more, a pair two: what a count promises must fit too.
        self._require(at + size * (2 if kind == "map" else 1), end)
        return _Item(kind, None, extension, at, size)

    def _key(self, at: int) -> tuple[str, int]:
        item = self._item(at, self._window.size)
        if item.kind != "str" or item.size > _LONGEST_KEY:
            raise UnreadableError(f"a key at byte {at} is no text of up to {_LONGEST_KEY} bytes")
        return self._text(item), item.begin + item.size

    def _text(self, item: _Item) -> str:
        self._text_left -= item.size
        if self._text_left < 0:
            raise UnreadableError(f"more than {_MOST_TEXT} bytes of text")
        return self._window.read(item.begin, item.size).decode("utf-8", "backslashreplace")

    def _leaf(self, item: _Item) -> Any:
        """Return a value that holds no others; bytes, long texts and unknown extensions become None."""
        if item.kind == "str":
            return self._text(item) if item.size <= _LONGEST_TEXT else None
        if item.kind == "ext" and item.code in (_ARRAY, _SCALAR):
            return self._array(item)
        if item.kind == "ext" and item.code == _COMPLEX:
            return self._complex(item)
        return item.value

    def _complex(self, item: _Item) -> complex:
        pair = self._item(item.begin, item.begin + item.size)
        end = item.begin + item.size
        real = self._item(pair.begin, end)
        imaginary = self._item(real.begin, end)
        if (pair.kind, pair.size) != ("list", 2) or not all(isinstance(x.value, int | float) for x in (real, imaginary)):
            raise UnreadableError(f"no complex number at byte {item.begin}")
        return complex(real.value, imaginary.value)

    def _array(self, item: _Item) -> Any:
        """Return an array as a tensor, or as a number where it has no dimensions."""
        end = item.begin + item.size
        outer = self._item(item.begin, end)
        dims = self._item(outer.begin, end)
        if (outer.kind, outer.size, dims.kind) != ("list", 3, "list") or dims.size > _MOST_DIMENSIONS:
            raise UnreadableError(f"no array at byte {item.begin}")
        shape, at = [], dims.begin
        for _ in range(dims.size):
            size = self._item(at, end)
            at = size.begin
            shape.append(size.value)
        named = self._item(at, end)
        if named.kind != "str" or named.size > 64 or not all(type(n) is int and n >= 0 for n in shape):
            raise UnreadableError(f"an array at byte {item.begin} has no possible shape or dtype")
        dtype = self._text(named)
        data = self._item(named.begin + named.size, end)
        if data.kind != "bin" or data.begin + data.size != end:
            raise UnreadableError(f"an array at byte {item.begin} has no bytes, or some behind them")
        return self._tensor(dtype, tuple(shape), _Part(data.begin, data.size))

    def _tensor(self, dtype: str, shape: tuple[int, ...], part: _Part) -> Any:
        key = str(len(self.parts))
        tensor = contiguous(dtype, shape, Storage(key, dtype, prod(shape)))
        if dtype in NUMPY_DTYPES:
            if part.size != prod(shape) * itemsize(dtype):
                raise UnreadableError(f"an array of shape {shape} and {dtype} has {part.size} bytes")
            if not shape:
                return decode(tensor, self._window.read(*part)).item()
        self.parts[key] = [part]
        return tensor

    def _closed(self, held: dict[str, Any] | list[Any]) -> Any:
        """Return a mapping or list that is full: itself, or the tensor where it is an array in chunks."""
        if not (isinstance(held, dict) and held.get(_CHUNKED) is True):
            return held
        shape, chunks = _row(held.get("shape")), _row(held.get("chunks"))
        if not chunks or len(shape) > _MOST_DIMENSIONS or not all(type(n) is int and 0 <= n < 1 << 63 for n in shape):
            raise UnreadableError("an array in chunks has no possible shape, or no chunks")
        first = chunks[0]
        if not all(isinstance(one, Tensor) and one.dtype == first.dtype and len(one.shape) == 1 for one in chunks):
            raise UnreadableError("the chunks of an array are no flat arrays of one dtype")
        if sum(one.shape[0] for one in chunks) != prod(shape):
            raise UnreadableError(f"the chunks of an array do not fit its shape {tuple(shape)}")
        parts = [part for one in chunks for part in self.parts[one.storage.key]]
        key = str(len(self.parts))
        self.parts[key] = parts
        return contiguous(first.dtype, tuple(shape), Storage(key, first.dtype, prod(shape)))

    def _read(self, at: int, size: int, end: int) -> bytes:
        self._require(at + size, end)
        return self._window.read(at, size)

    def _require(self, at: int, end: int) -> None:
        if at > end == self._window.size:
            raise PendingError(f"ends at byte {end}, but its contents go on to byte {at}")
        if at > end:
            raise UnreadableError(f"a value goes on to byte {at}, but what it is part of ends at byte {end}")


def _row(held: Any) -> list[Any]:
    """Return the values of a mapping with the keys "0", "1", ..., as Flax stores a tuple; empty for anything else."""
    if not isinstance(held, dict) or list(held) != [str(place) for place in range(len(held))]:
        return []
    return list(held.values())
