"""Changes to zip archives: to their records as they stand, and archives written anew
around other entries.

Source of the layout: PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12
(directory) and 4.3.16 (its end).
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from fuzz.mutations import plain

STORED, DEFLATED = 0, 8
_MOST_ENTRIES = 300
_RECORDS = {
    b"PK\x03\x04": (
        (4, 2),
        (6, 2),
        (8, 2),
        (10, 4),
        (14, 4),
        (18, 4),
        (22, 4),
        (26, 2),
        (28, 2),
    ),
    b"PK\x01\x02": (
        (4, 2),
        (6, 2),
        (8, 2),
        (10, 2),
        (12, 4),
        (16, 4),
        (20, 4),
        (24, 4),
        (28, 2),
        (30, 2),
        (32, 2),
        (34, 2),
        (36, 2),
        (38, 4),
        (42, 4),
    ),
    b"PK\x05\x06": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
    b"PK\x06\x06": (
        (4, 8),
        (12, 2),
        (14, 2),
        (16, 4),
        (20, 4),
        (24, 8),
        (32, 8),
        (40, 8),
        (48, 8),
    ),
    b"PK\x06\x07": ((4, 4), (8, 8), (16, 4)),
}
"""Signature -> offset and width of each field behind it."""
_TELLING = (".pkl", ".json", "byteorder", "version", ".npy", ".h5", "archive_format")
_NAMES = (
    "",
    "/",
    "../../x",
    "a" * 70_000,
    "data.pkl",
    "x/data.pkl",
    "data/0",
    "\udc80",
    "x\n\x1b[31m",
    "C:\\x",
    "é/data.pkl",
)


class Entry(NamedTuple):
    """One file of an archive, and what its records say."""

    name: str
    data: bytes
    method: int = STORED
    size: int | None = None
    """What the directory says of its length where that is a lie."""
    checksum: int | None = None
    offset: int = 0
    """Added to where the directory says that it lies."""


def is_one(data: bytes) -> bool:
    """Return whether these are the first bytes of a zip archive."""
    return data[:4] == b"PK\x03\x04"


def tells(name: str) -> bool:
    """Return whether an entry of this name says how the others are read."""
    return name.endswith(_TELLING)


def parse(data: bytes) -> list[Entry]:
    """Return an archive's entries, inflated; none of one that cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [
                Entry(i.filename, archive.read(i), i.compress_type)
                for i in archive.infolist()[:_MOST_ENTRIES]
            ]
    except Exception:  # noqa: BLE001 - a changed archive may be damaged in any way: then it is changed as plain bytes
        return []


def write(entries: list[Entry]) -> bytes:
    """Return the archive of these entries."""
    out, directory = bytearray(), bytearray()
    for entry in entries[:65_535]:
        name = entry.name.encode("utf-8", "surrogatepass")[:65_535]
        packed = (
            zlib.compress(entry.data, 6, -15)
            if entry.method == DEFLATED
            else entry.data
        )
        checksum = zlib.crc32(entry.data) if entry.checksum is None else entry.checksum
        size = len(entry.data) if entry.size is None else entry.size
        fields = (
            20,
            0x800,
            entry.method,
            0,
            0,
            checksum,
            len(packed) if entry.method else size,
            size,
        )
        at = (len(out) + entry.offset) % (1 << 32)
        out += (
            struct.pack("<4s5H3L2H", b"PK\x03\x04", *fields, len(name), 0)
            + name
            + packed
        )
        directory += (
            struct.pack(
                "<4s6H3L5H2L", b"PK\x01\x02", 20, *fields, len(name), 0, 0, 0, 0, 0, at
            )
            + name
        )
    count, end = min(len(entries), 65_535), (len(directory), len(out), 0)
    return (
        bytes(out)
        + bytes(directory)
        + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, *end)
    )


def change_field(data: bytes, dice: Random) -> bytes:
    """Overwrite a field of a local header, the directory or its end."""
    signature = dice.choice(tuple(_RECORDS))
    places = []
    at = data.find(signature)
    while at >= 0 and len(places) < _MOST_ENTRIES:
        places.append(at)
        at = data.find(signature, at + 4)
    if not places:
        return plain.set_integer(data, dice)
    offset, width = dice.choice(_RECORDS[signature])
    return plain.put(data, dice.choice(places) + offset, plain.integer(dice, width))


def _rewritten(
    change: Callable[[list[Entry], int, Random], None],
) -> Callable[[bytes, Random], bytes]:
    """Return a mutation that parses an archive, changes the list of its entries, and
    writes it.
    """

    def mutation(data: bytes, dice: Random) -> bytes:
        entries = parse(data)
        if not entries:
            return change_field(data, dice)
        change(entries, dice.randrange(len(entries)), dice)
        return write(entries)

    return mutation


def _drop(entries: list[Entry], at: int, dice: Random) -> None:
    del entries[at]


def _duplicate(entries: list[Entry], at: int, dice: Random) -> None:
    entries.insert(dice.randrange(len(entries) + 1), entries[at])


def _duplicate_often(entries: list[Entry], at: int, dice: Random) -> None:
    often = dice.choice((2, 50, 2000))
    entries += [
        entries[at]._replace(name=f"{entries[at].name}{number}", data=b"")
        for number in range(often)
    ]


def _rename(entries: list[Entry], at: int, dice: Random) -> None:
    name = dice.choice(_NAMES) if dice.random() < 0.5 else dice.choice(entries).name
    entries[at] = entries[at]._replace(name=name)


def _swap(entries: list[Entry], at: int, dice: Random) -> None:
    other = dice.randrange(len(entries))
    one, two = entries[at], entries[other]
    entries[at], entries[other] = (
        one._replace(data=two.data),
        two._replace(data=one.data),
    )


def _deflate(entries: list[Entry], at: int, dice: Random) -> None:
    entries[at] = entries[at]._replace(method=DEFLATED)


def _deflate_all(entries: list[Entry], at: int, dice: Random) -> None:
    entries[:] = [entry._replace(method=DEFLATED) for entry in entries]


def _bomb(entries: list[Entry], at: int, dice: Random) -> None:
    """Deflate millions of zeros into one entry."""
    entries[at] = entries[at]._replace(
        method=DEFLATED, data=bytes(dice.choice((1 << 16, 1 << 20, 1 << 24)))
    )


def _other_method(entries: list[Entry], at: int, dice: Random) -> None:
    entries[at] = entries[at]._replace(
        method=dice.choice((1, 9, 12, 14, 93, 99, 65535))
    )


def _lie_about_size(entries: list[Entry], at: int, dice: Random) -> None:
    entries[at] = entries[at]._replace(size=dice.choice(plain.INTERESTING) % (1 << 32))


def _lie_about_checksum(entries: list[Entry], at: int, dice: Random) -> None:
    entries[at] = entries[at]._replace(
        checksum=dice.choice((0, 1, dice.getrandbits(32)))
    )


def _lie_about_place(entries: list[Entry], at: int, dice: Random) -> None:
    entries[at] = entries[at]._replace(
        offset=dice.choice((1, -1, 30, -30, 1 << 20, dice.getrandbits(32)))
    )


def _nested_root(entries: list[Entry], at: int, dice: Random) -> None:
    """Put all entries into a folder, or out of theirs."""
    root = dice.choice(("", "a/", "a/b/c/", "/", "../"))
    entries[:] = [
        entry._replace(name=root + entry.name.partition("/")[2]) for entry in entries
    ]


MUTATIONS = (
    ("change-field", change_field),
    ("change-field-again", change_field),
    ("drop", _rewritten(_drop)),
    ("duplicate", _rewritten(_duplicate)),
    ("duplicate-often", _rewritten(_duplicate_often)),
    ("rename", _rewritten(_rename)),
    ("swap", _rewritten(_swap)),
    ("deflate", _rewritten(_deflate)),
    ("deflate-all", _rewritten(_deflate_all)),
    ("bomb", _rewritten(_bomb)),
    ("other-method", _rewritten(_other_method)),
    ("lie-about-size", _rewritten(_lie_about_size)),
    ("lie-about-checksum", _rewritten(_lie_about_checksum)),
    ("lie-about-place", _rewritten(_lie_about_place)),
    ("nested-root", _rewritten(_nested_root)),
)
