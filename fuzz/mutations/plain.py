"""Changes to any bytes."""

from __future__ import annotations

from random import Random

LARGEST = 4_000_000
"""Bytes that a change may make a file grow to."""
INTERESTING = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    31,
    32,
    63,
    64,
    100,
    127,
    128,
    255,
    256,
    1000,
    4095,
    4096,
    32767,
    32768,
    65535,
    65536,
    1_000_000,
    (1 << 24) - 1,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 2,
    (1 << 32) - 1,
    1 << 32,
    (1 << 40) + 1,
    (1 << 53) + 1,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
)
"""Numbers at which counters, signs and sizes turn over."""


def integer(dice: Random, width: int) -> bytes:
    """Return an interesting integer of a width in bytes, or a random one, in either
    byte order.
    """
    number = (
        dice.choice(INTERESTING) if dice.random() < 0.8 else dice.getrandbits(8 * width)
    )
    return (number % (1 << 8 * width)).to_bytes(
        width, "little" if dice.random() < 0.8 else "big"
    )


def put(data: bytes, at: int, new: bytes) -> bytes:
    """Return the bytes with some of them overwritten."""
    return data[:at] + new + data[at + len(new) :]


def place(data: bytes, dice: Random) -> int:
    """Return an offset; half of them are near the beginning or the end, where headers
    and directories lie.
    """
    if not data:
        return 0
    chance = dice.random()
    if chance < 0.3:
        return dice.randrange(min(256, len(data)))
    if chance < 0.5:
        return len(data) - 1 - dice.randrange(min(512, len(data)))
    return dice.randrange(len(data))


def flip_bits(data: bytes, dice: Random) -> bytes:
    """Flip one to eight bits."""
    new = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 8)) if data else 0):
        new[place(data, dice)] ^= 1 << dice.randrange(8)
    return bytes(new)


def set_bytes(data: bytes, dice: Random) -> bytes:
    """Overwrite one to sixteen bytes with random ones."""
    return put(data, place(data, dice), dice.randbytes(dice.choice((1, 2, 4, 16))))


def set_integer(data: bytes, dice: Random) -> bytes:
    """Overwrite an integer of 1, 2, 4 or 8 bytes with an interesting one."""
    return put(data, place(data, dice), integer(dice, dice.choice((1, 2, 4, 8))))


def truncate(data: bytes, dice: Random) -> bytes:
    """Cut the end off."""
    return data[: place(data, dice)]


def extend(data: bytes, dice: Random) -> bytes:
    """Append random bytes or zeros."""
    more = dice.choice((1, 8, 64, 4096))
    return data + (dice.randbytes(more) if dice.random() < 0.5 else bytes(more))


def repeat(data: bytes, dice: Random) -> bytes:
    """Repeat a piece, seldom very often."""
    at, size = place(data, dice), dice.choice((1, 2, 4, 9, 30, 200))
    times = dice.choice((1, 2, 10, 100)) if dice.random() < 0.97 else 20_000
    piece = data[at : at + size]
    return (
        data[:at]
        + piece * min(times, max(1, (LARGEST - len(data)) // max(1, len(piece))))
        + data[at:]
    )


def remove(data: bytes, dice: Random) -> bytes:
    """Leave a piece out."""
    at = place(data, dice)
    return data[:at] + data[at + dice.choice((1, 2, 4, 8, 100, 1000)) :]


def splice(data: bytes, dice: Random) -> bytes:
    """Copy a piece over another place of the same file."""
    at, size = place(data, dice), dice.choice((2, 8, 30, 200))
    return put(data, place(data, dice), data[at : at + size])


def cross(data: bytes, other: bytes, dice: Random) -> bytes:
    """Return the beginning of one file and the end of another, or a piece of the other
    inside the first.
    """
    if dice.random() < 0.5:
        return (data[: place(data, dice)] + other[place(other, dice) :])[:LARGEST]
    at = place(other, dice)
    return put(data, place(data, dice), other[at : at + dice.choice((16, 256, 4096))])


MUTATIONS = (
    ("flip-bits", flip_bits),
    ("set-bytes", set_bytes),
    ("set-integer", set_integer),
    ("truncate", truncate),
    ("extend", extend),
    ("repeat", repeat),
    ("remove", remove),
    ("splice", splice),
)
