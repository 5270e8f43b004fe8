"""The wire format of protocol buffers, walked field by field without reading what is stepped over.

A message is a row of fields: a varint with the field's number and wire type, then a varint, 4 or 8 bytes, or a length and as
many bytes (text, packed numbers, a message). Nothing in it says what a field means: its reader knows the numbers. Source:
https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.source import Source
from dsi_cli.checkpoints.window import Window
from dsi_cli.errors import PendingError, UnreadableError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT = 10
MOST_FIELDS = 300_000
"""Fields, and numbers in a row, looked at in one file; a graph of 5,000 nodes from torch's newer exporter has some 90,000."""
LONGEST_TEXT = 4096
"""Bytes of a name."""
_MOST_NUMBERS = 64
_DECODED_AT_ONCE = 1 << 18


class Field(NamedTuple):
    """One field of a message."""

    number: int
    wire: int
    value: int
    """The number, unsigned, where the field is a varint; else 0."""
    begin: int
    end: int
    """Where in the file its contents begin and end."""


class Wire:
    """A file of protocol buffers, with a budget of fields for all that is looked at."""

    def __init__(self, source: Source, most: int = MOST_FIELDS) -> None:
        self._window = Window(source)
        self._left = self._most = most
        self.size = source.size

    def fields(self, begin: int, end: int) -> Iterator[Field]:
        """Yield the fields of the message between two places of the file.

        Raises
        ------
        PendingError
            The file ends before a field does.
        UnreadableError
            These are no fields, one is longer than its message, or there are too many.
        """
        at = begin
        while at < end:
            self._spend()
            tag, at = self._varint(at, end)
            number, wire, value, start = tag >> 3, tag & 7, 0, at
            if wire == VARINT:
                value, at = self._varint(at, end)
            elif wire == BYTES:
                length, start = self._varint(at, end)
                at = start + length
            elif wire in _FIXED:
                at += _FIXED[wire]
            else:
                number = 0
            if number == 0:
                raise UnreadableError(f"no protocol buffer: no field begins before byte {start}")
            if at > end:
                self._refuse(at, end)
            yield Field(number, wire, value, start, at)

    def grouped(self, begin: int, end: int, wanted: Container[int]) -> defaultdict[int, list[Field]]:
        """Return the fields of a message that have one of the numbers ``wanted``, by number; errors as for `fields`."""
        found: defaultdict[int, list[Field]] = defaultdict(list)
        for field in self.fields(begin, end):
            if field.number in wanted:
                found[field.number].append(field)
        return found

    def text(self, field: Field, longest: int = LONGEST_TEXT) -> str:
        """Return a field of bytes as text, bytes that are no UTF-8 escaped.

        Raises
        ------
        UnreadableError
            It is a number, or longer than ``longest``.
        """
        size = field.end - field.begin
        if field.wire != BYTES or size > longest:
            raise UnreadableError(f"a text of {size} bytes was expected to have {longest} at most")
        return self._window.read(field.begin, size).decode("utf-8", "backslashreplace")

    def numbers(self, field: Field) -> list[int]:
        """Return the signed integers of a repeated field, which may stand alone or packed in a row.

        Raises
        ------
        UnreadableError
            There are more than any shape has.
        """
        if field.wire == VARINT:
            return [signed(field.value)]
        if field.wire != BYTES or field.end - field.begin > _MOST_NUMBERS * _LONGEST_VARINT:
            raise UnreadableError(f"no list of up to {_MOST_NUMBERS} integers at byte {field.begin}")
        found, at = [], field.begin
        while at < field.end:
            self._spend()
            value, at = self._varint(at, field.end)
            found.append(signed(value))
        return found

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise UnreadableError(f"more than {self._most} fields")

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """Return the number at a place, 64 bits and unsigned, and where the next thing begins."""
        data = self._window.read(at, min(_LONGEST_VARINT, end - at))
        if data and data[0] < 0x80:
            return data[0], at + 1
        value = 0
        for place, byte in enumerate(data):
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, at + place + 1
        if len(data) < _LONGEST_VARINT and end == self.size:
            raise PendingError(f"breaks off inside a number at byte {at}")
        raise UnreadableError(f"no protocol buffer: no number at byte {at}")

    def _refuse(self, at: int, end: int) -> None:
        if end == self.size:
            raise PendingError(f"ends at byte {end}, but its contents go on to byte {at}")
        raise UnreadableError(f"a field goes on to byte {at}, but its message ends at byte {end}")


def signed(value: int) -> int:
    """Return a 64-bit number as the signed integer that it stands for.

    >>> signed(3), signed(2**64 - 3)
    (3, -3)
    """
    return value - (1 << 64) if value >> 63 else value


def unpacked(data: memoryview, count: int, width: int) -> memoryview:
    """Return packed varints as elements of a fixed size, little-endian: the low bits of each.

    Parameters
    ----------
    data : the bytes of all of them
    count : how many there should be
    width : bytes of an element

    Raises
    ------
    UnreadableError
        There are more or fewer, or one is longer than a varint can be.
    """
    codes = np.frombuffer(data, dtype=np.uint8)
    is_last = codes < 0x80
    if np.count_nonzero(is_last) != count or not (count == 0 or is_last[-1]):
        raise UnreadableError(f"packed numbers were expected to be {count}, but are {np.count_nonzero(is_last)}")
    out = np.empty(count, dtype=f"<u{width}")
    begin, done = 0, 0
    while begin < len(codes):
        # Some of them at a time: eight bytes are worked with for each byte in the file.
        ends = np.flatnonzero(is_last[begin : begin + _DECODED_AT_ONCE]) + 1
        if not ends.size:
            raise UnreadableError("a packed number is longer than numbers are")
        out[done : done + ends.size] = _decoded(codes[begin : begin + ends[-1]], ends).astype(out.dtype)
        begin, done = begin + int(ends[-1]), done + ends.size
    return out.view(np.uint8).data


def _decoded(codes: NDArray[np.uint8], ends: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Return the numbers of some varints; ``ends`` is where each of them ends."""
    lengths = np.diff(ends, prepend=0)
    if lengths.max() > _LONGEST_VARINT:
        raise UnreadableError("a packed number is longer than numbers are")
    place = np.arange(len(codes)) - np.repeat(ends - lengths, lengths)
    bits = (codes & 0x7F).astype(np.uint64) << (7 * place).astype(np.uint64)
    numbers: NDArray[np.uint64] = np.add.reduceat(bits, ends - lengths)
    return numbers
