"""Changes to JSON texts, alone or as a safetensors file's header, and to the header of
an .npy array.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from fuzz.mutations import plain

_DTYPES = (
    "F64",
    "F32",
    "F16",
    "BF16",
    "I64",
    "BOOL",
    "F8_E4M3",
    "F4",
    "",
    "f32",
    "C64",
    None,
    3,
)
_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    1 << 31,
    1 << 63,
    1 << 64,
    10**400,
    "",
    "x",
    "\ud800",
    "a" * 5000,
    "../../etc/passwd",
    "/dev/zero",
    "x\n\x1b[2J",
    [],
    {},
    [[]],
    {"a": {}},
    [0] * 40,
    "2",
    "NaN",
    "0.5",
)
_KEYS = (
    "weight_map",
    "__metadata__",
    "dtype",
    "shape",
    "data_offsets",
    "id2label",
    "epoch",
    "fc.weight",
    "",
    "\ud800",
    "a" * 5000,
)
_NPY = b"\x93NUMPY"
_DESCRIPTIONS = (
    b"'|O'",
    b"'<f2'",
    b"'<M8[s]'",
    b"'<f99'",
    b"'|V1000000000'",
    b"[('a', '<f4')]",
    b"'<U9999999999'",
    b"3",
    b"'<c16'",
)
_SHAPES = (
    b"()",
    b"(0,)",
    b"(-1, 4)",
    b"(99999999999, 99999999999)",
    b"(5,)",
    b"(1,)*99",
    b"(5, 8",
    b"'5'",
    b"(5.5, 8)",
    b"(True, 8)",
)


def is_json(data: bytes) -> bool:
    """Return whether a file may be a JSON text."""
    return data[:1] in (b"{", b"[") and data.rstrip()[-1:] in (b"}", b"]")


def is_safetensors(data: bytes) -> bool:
    """Return whether a file has a safetensors header."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data)


def is_npy(data: bytes) -> bool:
    """Return whether a file is an .npy array."""
    return data[:6] == _NPY


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Return every container within a JSON value, each with one of its keys."""
    found, left = [], [tree]
    while left and len(found) < 3000:
        one = left.pop()
        items = (
            one.items()
            if isinstance(one, dict)
            else enumerate(one)
            if isinstance(one, list)
            else ()
        )
        for key, value in items:
            found.append((one, key))
            left.append(value)
    return found


def change_value(tree: Any, dice: Random) -> None:
    """Put an odd value anywhere."""
    places = _places(tree)
    if places:
        container, key = dice.choice(places)
        container[key] = dice.choice(_VALUES)


def change_number(tree: Any, dice: Random) -> None:
    """Put an interesting integer in place of a number: a length, an offset, a shape."""
    numbers = [
        (container, key)
        for container, key in _places(tree)
        if type(container[key]) in (int, float)
    ]
    if not numbers:
        change_value(tree, dice)
        return
    container, key = dice.choice(numbers)
    near = container[key] + dice.choice((-8, -4, -1, 1, 4, 8))
    container[key] = (
        near
        if dice.random() < 0.5
        else dice.choice(plain.INTERESTING) * dice.choice((1, -1))
    )


def change_dtype(tree: Any, dice: Random) -> None:
    """Name another type of elements."""
    typed = [
        container
        for container, key in _places(tree)
        if key == "dtype" and isinstance(container, dict)
    ]
    if typed:
        dice.choice(typed)["dtype"] = dice.choice(_DTYPES)
    else:
        change_value(tree, dice)


def change_key(tree: Any, dice: Random) -> None:
    """Rename, drop or add a key."""
    dicts = [
        (container, key)
        for container, key in _places(tree)
        if isinstance(container, dict)
    ]
    if not dicts:
        change_value(tree, dice)
        return
    container, key = dice.choice(dicts)
    value = container.pop(key)
    if dice.random() < 0.7:
        container[dice.choice((*_KEYS, str(key) + "x"))] = value


def swap_values(tree: Any, dice: Random) -> None:
    """Let two values change places."""
    places = _places(tree)
    if places:
        (one, key), (two, other) = dice.choice(places), dice.choice(places)
        if key in (one if isinstance(one, dict) else range(len(one))):
            one[key], two[other] = two[other], one[key]


def nest(text: bytes, dice: Random) -> bytes:
    """Insert brackets as deep as recursion goes and deeper."""
    depth = dice.choice((10, 900, 100_000))
    opening, closing = dice.choice(((b"[", b"]"), (b'{"a":', b"}")))
    at = text.rfind(b":") + 1
    return (
        text[:at]
        + opening * depth
        + b"0"
        + closing * depth
        + b","
        + b'"b":'
        + text[at:]
    )


def repeat_key(text: bytes, dice: Random) -> bytes:
    """Say everything twice, the second time changed, or one key many times."""
    inner = text.strip()[1:-1]
    other = (
        plain.flip_bits(inner, dice)
        if dice.random() < 0.5
        else b'"k":{},' * dice.choice((10, 30_000)) + b'"k":0'
    )
    return b"{" + inner + b"," + other + b"}"


def many(text: bytes, dice: Random) -> bytes:
    """Add many small values."""
    value = dice.choice((b"{},", b"[],", b"0,", b'"",', b"[[]],", b'{"a":0},', b"1e9,"))
    return (
        text.rstrip()[:-1]
        + b',"many":['
        + value * dice.choice((100, 30_000, 200_000))
        + b"0]}"
    )


def _on_tree(change: Callable[[Any, Random], None]) -> Callable[[bytes, Random], bytes]:
    """Return a change of a text that changes what it says once or a few times."""

    def mutation(text: bytes, dice: Random) -> bytes:
        try:
            tree = json.loads(text)
            for _ in range(dice.choice((1, 1, 1, 3))):
                change(tree, dice)
            return json.dumps(tree, ensure_ascii=dice.random() < 0.5).encode(
                "utf-8", "surrogatepass"
            )
        except (ValueError, RecursionError, TypeError, OverflowError):
            return plain.set_bytes(text, dice)

    return mutation


def _behind_length(
    change: Callable[[bytes, Random], bytes],
) -> Callable[[bytes, Random], bytes]:
    """Return a mutation of a safetensors file that changes its header and keeps length
    and header in step.
    """

    def mutation(data: bytes, dice: Random) -> bytes:
        length = int.from_bytes(data[:8], "little")
        text = change(data[8 : 8 + length], dice)
        return len(text).to_bytes(8, "little") + text + data[8 + length :]

    return mutation


def _length(data: bytes, dice: Random) -> bytes:
    near = int.from_bytes(data[:8], "little") + dice.choice((-8, -1, 1, 8))
    return (
        (near % (1 << 64)).to_bytes(8, "little") + data[8:]
        if dice.random() < 0.5
        else plain.integer(dice, 8) + data[8:]
    )


def _npy_version(data: bytes, dice: Random) -> bytes:
    return plain.put(data, 6, plain.integer(dice, dice.choice((1, 2))))


def _npy_length(data: bytes, dice: Random) -> bytes:
    return plain.put(data, 8, plain.integer(dice, 2))


def _npy_description(data: bytes, dice: Random) -> bytes:
    return (
        re.sub(
            rb"'[<>|=][a-z]\d+'",
            lambda _: dice.choice(_DESCRIPTIONS),
            data[:200],
            count=1,
        )
        + data[200:]
    )


def _npy_shape(data: bytes, dice: Random) -> bytes:
    return (
        re.sub(rb"\([\d, ]*\)", lambda _: dice.choice(_SHAPES), data[:200], count=1)
        + data[200:]
    )


_TEXTS = (
    ("change-value", _on_tree(change_value)),
    ("change-number", _on_tree(change_number)),
    ("change-dtype", _on_tree(change_dtype)),
    ("change-key", _on_tree(change_key)),
    ("swap-values", _on_tree(swap_values)),
    ("nest", nest),
    ("repeat-key", repeat_key),
    ("many", many),
)
JSON = (*_TEXTS, ("flip-bits", plain.flip_bits))
SAFETENSORS = (
    *((name, _behind_length(change)) for name, change in _TEXTS),
    ("flip-header", _behind_length(plain.flip_bits)),
    ("length", _length),
)
NPY = (
    ("version", _npy_version),
    ("length", _npy_length),
    ("description", _npy_description),
    ("shape", _npy_shape),
)
