"""Changes to pickles, instruction by instruction. Source of the instructions: Python's
``pickletools``.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from functools import lru_cache
from random import Random

from fuzz.mutations import plain

_LONGEST_KEPT = 100_000
_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"(", b"}", b"]", b"c")
_BARE = tuple(
    code.code.encode("latin-1")
    for code in pickletools.opcodes
    if code.arg is None and code.code != "."
)
_COUNTED = (
    b"X",
    b"T",
    b"B",
    b"\x8a",
    b"\x8b",
    b"\x8c",
    b"\x8d",
    b"\x8e",
    b"\x96",
    b"U",
    b"C",
)
_WIDTHS = {b"\x8a": 1, b"\x8c": 1, b"U": 1, b"C": 1, b"\x8d": 8, b"\x8e": 8, b"\x96": 8}
_GLOBALS = (
    b"cos\nsystem\n",
    b"cbuiltins\neval\n",
    b"cbuiltins\ngetattr\n",
    b"ccollections\nOrderedDict\n",
    b"cbuiltins\nset\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._tensor\n_rebuild_from_type_v2\n",
    b"ctorch\nSize\n",
    b"cnumpy.core.multiarray\nscalar\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"c_codecs\nencode\n",
    b"ctorch.storage\n_load_from_bytes\n",
    b"cbuiltins\nfrozenset\n",
    b"ctorch\nFloatStorage\n",
    b"ctorch._utils\n_rebuild_parameter\n",
)
_TOWERS = (
    b"2\x86",
    b"\x85",
    b"]",
    b"}",
    b"(",
    b"\x8f",
    b")R",
    b"N2",
    b"2a",
    b"2s",
    b"\x94",
)


def is_one(data: bytes) -> bool:
    """Return whether a file may begin with a pickle."""
    return data.startswith(_STARTS[:4]) or (
        data.startswith(_STARTS[4:]) and data[-1:] == b"." and data[:1] != b"{"
    )


@lru_cache(maxsize=128)
def _split(data: bytes) -> tuple[bytes, ...]:
    """Return the instructions of all pickles that stand in a row, and what follows them
    as one piece.
    """
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        starts = []
        try:
            for _, _, start in pickletools.genops(data[at:] if at else data):
                starts.append(start)
        except Exception:  # noqa: BLE001 - genops raises whatever it comes upon; the rest is no pickle
            break
        ends = [*starts[1:], starts[-1] + 1]
        parts += [
            data[at + start : at + end] for start, end in zip(starts, ends, strict=True)
        ]
        at += ends[-1]
    return (*parts, data[at:]) if at < len(data) else tuple(parts)


def _parts(data: bytes) -> list[bytes]:
    return (
        list(_split(data))
        if len(data) <= _LONGEST_KEPT
        else list(_split.__wrapped__(data))
    )


def _on_parts(
    change: Callable[[list[bytes], int, Random], None],
) -> Callable[[bytes, Random], bytes]:
    """Return a mutation that changes the list of instructions at one place."""

    def mutation(data: bytes, dice: Random) -> bytes:
        parts = _parts(data)
        if len(parts) < 2:
            return plain.set_bytes(data, dice)
        for _ in range(dice.choice((1, 1, 1, 2, 5))):
            change(parts, dice.randrange(len(parts)), dice)
            if not parts:
                break
        return b"".join(parts)[: plain.LARGEST]

    return mutation


def _delete(parts: list[bytes], at: int, dice: Random) -> None:
    del parts[at : at + dice.choice((1, 1, 1, 3, 10))]


def _duplicate(parts: list[bytes], at: int, dice: Random) -> None:
    parts.insert(at, parts[at])


def _swap(parts: list[bytes], at: int, dice: Random) -> None:
    other = dice.randrange(len(parts))
    parts[at], parts[other] = parts[other], parts[at]


def _move(parts: list[bytes], at: int, dice: Random) -> None:
    piece = parts[at : at + dice.choice((1, 2, 5, 20))]
    other = dice.randrange(len(parts))
    parts[other:other] = piece


def _insert(parts: list[bytes], at: int, dice: Random) -> None:
    parts.insert(at, dice.choice(_BARE))


def _insert_global(parts: list[bytes], at: int, dice: Random) -> None:
    parts.insert(
        at, dice.choice(_GLOBALS) + dice.choice((b"", b")R", b"(tR", b"2\x85R", b"0"))
    )


def _replace(parts: list[bytes], at: int, dice: Random) -> None:
    parts[at] = dice.choice(_BARE)


def _other_code(parts: list[bytes], at: int, dice: Random) -> None:
    """Keep an instruction's argument, change what it does."""
    parts[at] = bytes([dice.randrange(256)]) + parts[at][1:]


def _other_argument(parts: list[bytes], at: int, dice: Random) -> None:
    code, argument = parts[at][:1], parts[at][1:]
    parts[at] = code + (
        plain.set_integer(argument, dice)
        if len(argument) < 9
        else plain.flip_bits(argument, dice)
    )


def _global(parts: list[bytes], at: int, dice: Random) -> None:
    """Let the nearest global name something else."""
    for index in (*range(at, len(parts)), *range(at)):
        if parts[index][:1] == b"c":
            parts[index] = dice.choice(_GLOBALS)
            return


def _number(parts: list[bytes], at: int, dice: Random) -> None:
    """Put an interesting integer in place of the nearest number: a shape, a stride, an
    offset, a size.
    """
    for index in (*range(at, len(parts)), *range(at)):
        if parts[index][:1] in (b"K", b"M", b"J", b"\x8a", b"I"):
            number = dice.choice(plain.INTERESTING) * dice.choice((1, 1, -1))
            parts[index] = b"\x8a\x09" + number.to_bytes(9, "little", signed=True)
            return


def _count(parts: list[bytes], at: int, dice: Random) -> None:
    """Insert an instruction whose length is a lie."""
    code = dice.choice(_COUNTED)
    parts.insert(
        at,
        code
        + plain.integer(dice, _WIDTHS.get(code, 4))
        + dice.randbytes(dice.choice((0, 3, 40))),
    )


def _memo(parts: list[bytes], at: int, dice: Random) -> None:
    """Insert a look into the memo, or a place in it, of any number."""
    code = dice.choice((b"r", b"j", b"q", b"h", b"p", b"g"))
    text = str(dice.choice((*plain.INTERESTING, 5, 9, 14))).encode() + b"\n"
    parts.insert(
        at,
        code
        + (text if code in b"pg" else plain.integer(dice, 1 if code in b"qh" else 4)),
    )


def _tower(parts: list[bytes], at: int, dice: Random) -> None:
    """Insert a row of instructions that grow the stack or nest it; seldom a very long
    one.
    """
    parts.insert(
        at,
        dice.choice(_TOWERS)
        * (dice.choice((10, 60, 2000)) if dice.random() < 0.97 else 500_000),
    )


def _cycle(parts: list[bytes], at: int, dice: Random) -> None:
    """Insert a list or dict that holds itself."""
    parts.insert(
        at,
        dice.choice(
            (
                b"]r\xff\xff\x00\x00j\xff\xff\x00\x00a",
                b"}r\xff\xff\x00\x00K\x01j\xff\xff\x00\x00s",
            )
        ),
    )


def _nest(data: bytes, dice: Random) -> bytes:
    """Put a pickle's bytes into a row of lists or dicts, as deep as recursion goes and
    deeper.
    """
    end = data.rfind(b".")
    depth = dice.choice((10, 900, 1100, 20_000))
    opening, closing = dice.choice(
        ((b"]", b"a"), (b"}K\x01", b"s"), (b"(", b"t"), (b"", b"\x85"))
    )
    head = 2 if data[:1] == b"\x80" else 0
    return data[:head] + opening * depth + data[head:end] + closing * depth + data[end:]


MUTATIONS = (
    ("delete", _on_parts(_delete)),
    ("duplicate", _on_parts(_duplicate)),
    ("swap", _on_parts(_swap)),
    ("move", _on_parts(_move)),
    ("insert", _on_parts(_insert)),
    ("insert-global", _on_parts(_insert_global)),
    ("replace", _on_parts(_replace)),
    ("other-code", _on_parts(_other_code)),
    ("other-argument", _on_parts(_other_argument)),
    ("other-argument-again", _on_parts(_other_argument)),
    ("global", _on_parts(_global)),
    ("number", _on_parts(_number)),
    ("number-again", _on_parts(_number)),
    ("count", _on_parts(_count)),
    ("memo", _on_parts(_memo)),
    ("tower", _on_parts(_tower)),
    ("cycle", _on_parts(_cycle)),
    ("nest", _nest),
)
