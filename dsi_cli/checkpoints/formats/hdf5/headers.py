"""Where an HDF5 file begins, and the header of an object: a list of messages in one block or several (II, IV.A.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from dsi_cli.checkpoints.formats import HDF5 as SIGNATURE
from dsi_cli.checkpoints.formats.hdf5.ranges import Ranges
from dsi_cli.errors import PendingError, UnreadableError

_SPACE, _CONTINUED = 0x00, 0x10
_OPEN_FOR_WRITING = 1
_MESSAGE_COSTS = 32


class Message(NamedTuple):
    """One message of an object's header."""

    kind: int
    is_shared: bool
    """Whether the body only says where the message itself stands."""
    body: bytes


def find_root(ranges: Ranges) -> int:
    """Return the address of the root group's header, and hold ``ranges`` to the end that the file states.

    Raises
    ------
    PendingError
        The file is shorter than it says, or marked as open for writing.
    """
    if ranges.end < 9:
        raise PendingError("breaks off in its first bytes")
    if ranges.at(0, 8) != SIGNATURE:
        raise UnreadableError("no HDF5 file: it does not begin with the signature")
    version = ranges.at(8, 1)[0]
    if version > 3:
        raise UnreadableError(f"an HDF5 superblock of version {version}; up to 3 are read")
    size = 96 if version < 2 else 48
    if ranges.end < size + 8:
        raise PendingError("breaks off in its first bytes")
    block = ranges.at(0, size + 8)
    at = {0: 24, 1: 28}.get(version, 12)
    base, _, end, last = struct.unpack_from("<4Q", block, at)
    widths = block[13:15] if version < 2 else block[9:11]
    if widths != b"\x08\x08" or base:
        raise UnreadableError("an HDF5 file with addresses that are not 8 bytes counted from its begin, which is not read")
    if end > ranges.end:
        raise PendingError(f"ends at byte {ranges.end}, but its contents go on to byte {end}")
    if version == 3 and block[11] & _OPEN_FOR_WRITING:
        raise PendingError("marked as open for writing")
    ranges.end = end
    return int(struct.unpack_from("<Q", block, at + 40)[0]) if version < 2 else int(last)


def read_header(ranges: Ranges, address: int) -> list[Message]:
    """Return the messages of the object at an address; space and continuations left out."""
    if ranges.at(address, 4) == b"OHDR":
        return list(_second_form(ranges, address))
    return list(_first_form(ranges, address))


def _first_form(ranges: Ranges, address: int) -> Iterator[Message]:
    version, left, size = struct.unpack("<BxH4xI", ranges.at(address, 12))
    if version != 1:
        raise UnreadableError(f"damaged: no object of HDF5 stands at byte {address}")
    blocks = [(address + 16, size)]
    while blocks:
        block, at = ranges.at(*blocks.pop(0)), 0
        while at + 8 <= len(block) and left:
            kind, length, flags = struct.unpack_from("<HHB", block, at)
            left -= 1
            yield from _message(ranges, blocks, kind, flags, block[at + 8 : at + 8 + length])
            at += 8 + length


def _second_form(ranges: Ranges, address: int) -> Iterator[Message]:
    flags = ranges.at(address, 6)[5]
    skipped = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    size = int.from_bytes(ranges.at(address + skipped, width), "little")
    own = 6 if flags & 4 else 4
    # A block's checksum stands outside the length of the first one, inside that of the others, as their signature does.
    blocks = [(address + skipped + width - 4, size + 8)]
    while blocks:
        block, at = ranges.at(*blocks.pop(0)), 4
        end = len(block) - 4
        while at + own <= end:
            kind, length, marks = struct.unpack_from("<BHB", block, at)
            yield from _message(ranges, blocks, kind, marks, block[at + own : min(at + own + length, end)])
            at += own + length


def _message(ranges: Ranges, blocks: list[tuple[int, int]], kind: int, flags: int, body: bytes) -> Iterator[Message]:
    ranges.spend(_MESSAGE_COSTS)
    if kind == _CONTINUED:
        address, size = struct.unpack_from("<QQ", body)
        blocks.append((ranges.once(address), size))
    elif kind != _SPACE:
        yield Message(kind, bool(flags & 2), body)
