"""The bytes of an HDF5 file by address: within the file, and within what one file may ask for."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from dsi_cli.errors import UnreadableError

NOWHERE = 0xFFFF_FFFF_FFFF_FFFF
"""The address of what does not exist."""
_MOST_METADATA = 32 << 20
"""Bytes of headers, names and attributes; the largest networks of keras.applications have 3 MB."""
READ_COSTS = 64
"""Bytes that a read is counted as beside its own: what bounds the time for many small ones."""


class Readable(Protocol):
    """What an HDF5 file is read from: a `Source`, or bytes that were inflated."""

    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Return exactly ``size`` bytes from ``offset`` on."""

    def memory_at(self, offset: int, size: int) -> memoryview:
        """Return the same to make an array of."""


class Ranges:
    """A file's bytes, read with two bounds: the end that the file states, and a budget for all that is not elements.

    Attributes
    ----------
    source : Readable
    end : int
        The address at which the file ends.
    """

    def __init__(self, source: Readable) -> None:
        self.source = source
        self.end = source.size
        self._left = _MOST_METADATA
        self._seen: set[int] = set()

    def require(self, address: int, size: int) -> None:
        """Raise `UnreadableError` where a range does not lie within the file."""
        if address + size > self.end:
            raise UnreadableError(f"damaged: it points to byte {address + size}, but ends at byte {self.end}")

    def at(self, address: int, size: int) -> bytes:
        """Return a range of what describes the arrays; counted."""
        self.require(address, size)
        self.spend(size + READ_COSTS)
        return self.source.read_at(address, size)

    def spend(self, cost: int) -> None:
        """Count work that a file asks for.

        Raises
        ------
        UnreadableError
            It asks for more than any network's file does.
        """
        self._left -= cost
        if self._left < 0:
            raise UnreadableError(f"describes its contents in more than {_MOST_METADATA >> 20} MB, which are not read")

    def once(self, address: int) -> int:
        """Return an address that may be met once only; `UnreadableError` where it was met before (a circle)."""
        if address in self._seen:
            raise UnreadableError(f"damaged: what stands at byte {address} is reached in two ways")
        self._seen.add(address)
        return address


@contextmanager
def damage_named() -> Iterator[None]:
    """Turn what unpacking too few bytes raises into an `UnreadableError`."""
    try:
        yield
    except (struct.error, IndexError):
        raise UnreadableError("damaged: one of its HDF5 records breaks off") from None
