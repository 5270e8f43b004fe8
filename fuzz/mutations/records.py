"""Changes to binary records whose lengths stand before them: protobuf (ONNX), msgpack,
HDF5, and what resembles them.
"""

from __future__ import annotations

from random import Random

from fuzz.mutations import plain

_HDF5 = b"\x89HDF\r\n\x1a\n"
_SIGNATURES = (
    b"TREE",
    b"HEAP",
    b"SNOD",
    b"GCOL",
    b"OHDR",
    b"OCHK",
    b"FRHP",
    b"BTHD",
    b"BTLF",
    b"FSHD",
    _HDF5,
)
_MSGPACK = (
    0xC4,
    0xC5,
    0xC6,
    0xC7,
    0xC8,
    0xC9,
    0xD9,
    0xDA,
    0xDB,
    0xDC,
    0xDD,
    0xDE,
    0xDF,
)
"""Of bytes, extensions, texts, arrays and maps, each with a length behind it."""


def is_hdf5(data: bytes) -> bool:
    """Return whether a file is HDF5."""
    return data[:8] == _HDF5


def beside_signature(data: bytes, dice: Random) -> bytes:
    """Overwrite a number within 80 bytes of one of HDF5's signatures."""
    places = []
    for signature in _SIGNATURES:
        at = data.find(signature)
        while at >= 0 and len(places) < 500:
            places.append(at)
            at = data.find(signature, at + 4)
    if not places:
        return plain.set_integer(data, dice)
    width = dice.choice((1, 2, 4, 8))
    return plain.put(
        data, dice.choice(places) + dice.randrange(4, 80), plain.integer(dice, width)
    )


def pointer(data: bytes, dice: Random) -> bytes:
    """Let an aligned number of eight bytes that points into the file point elsewhere,
    at itself too.
    """
    places = [
        at
        for at in range(8, min(len(data), 16_384) - 8, 8)
        if 0 < int.from_bytes(data[at : at + 8], "little") < len(data)
    ]
    if not places:
        return plain.set_integer(data, dice)
    at = dice.choice(places)
    goal = dice.choice(
        (at, at & ~63, dice.choice(places), len(data) - 1, 0, (1 << 64) - 1)
    )
    return plain.put(data, at, goal.to_bytes(8, "little"))


def varint(data: bytes, dice: Random) -> bytes:
    """Overwrite a byte with a number of protobuf's kind, up to the ten bytes of 64
    bits.
    """
    number, out = dice.choice(plain.INTERESTING), bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    at = plain.place(data, dice)
    return data[:at] + bytes([*out, number]) + data[at + 1 :]


def endless_varint(data: bytes, dice: Random) -> bytes:
    """Insert a number that does not end."""
    at = plain.place(data, dice)
    return data[:at] + b"\xff" * dice.choice((10, 11, 5000)) + data[at:]


def length_prefix(data: bytes, dice: Random) -> bytes:
    """Overwrite a place with one of msgpack's length prefixes and an interesting
    length.
    """
    prefix = bytes([dice.choice(_MSGPACK)]) + plain.integer(
        dice, dice.choice((1, 2, 4))
    )
    return plain.put(data, plain.place(data, dice), prefix)


def nest(data: bytes, dice: Random) -> bytes:
    """Insert containers of one element within each other, as msgpack and protobuf write
    them.
    """
    at = plain.place(data, dice)
    return (
        data[:at]
        + dice.choice((b"\x91", b"\x81\xa1a", b"\x0a\x7f"))
        * dice.choice((5, 1100, 60_000))
        + data[at:]
    )


HDF5 = (
    ("beside-signature", beside_signature),
    ("beside-signature-again", beside_signature),
    ("pointer", pointer),
    ("set-integer", plain.set_integer),
)
LENGTHS = (
    ("varint", varint),
    ("endless-varint", endless_varint),
    ("length-prefix", length_prefix),
    ("nest", nest),
    ("set-integer", plain.set_integer),
)
