"""Lists and index maps, as JSON files and checkpoints hold them, to names in the order of the classes.

Four shapes are read: a list ``["cat", "dog"]``; an index map ``{0: "cat", 1: "dog"}`` (its keys may be digits in
quotes, its values ``[id, name]`` pairs as Keras has them); and the reverse ``{"cat": 0, "dog": 1}``. The indices must
be 0 to n - 1, each once. What is wrong is a ``ValueError`` whose message says what was found; the caller knows where.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from dsi_cli.errors import count

KEYS = (
    "id2label",
    "label2id",
    "class_to_idx",
    "idx_to_class",
    "classes",
    "CLASSES",
    "class_names",
    "label_names",
)
"""The keys under which trainers keep class names, in the order in which they are tried."""

Names = tuple[tuple[str, ...], tuple[str | None, ...] | None]
"""Class names, and the ids beside them where there are any."""

T = TypeVar("T")


def names_of(value: object) -> Names:
    """Return the names, and ids beside them, of a list or an index map.

    Raises
    ------
    ValueError
        It is neither; or indices are missing or come twice; or a name is empty or no text; or the names are
        the placeholders ``LABEL_0``, ``LABEL_1`` that Hugging Face writes where nobody gave any.

    Examples
    --------
    >>> names_of({"dog": 1, "cat": 0}), names_of({"0": ["n02121620", "cat"]})
    ((('cat', 'dog'), None), (('cat',), ('n02121620',)))
    """
    if isinstance(value, dict):
        value = _listed(value)
    if not isinstance(value, list | tuple):
        raise ValueError(f"found {_kind(value)}")
    if value and all(_is_pair(item) for item in value):
        wnids, names = zip(*value, strict=True)
        return _checked(names), wnids
    return _checked(value), None


def in_order(indices: Sequence[int], values: Sequence[T]) -> list[T]:
    """Return the values by rising index.

    Raises
    ------
    ValueError
        The indices are not 0 to n - 1, each once; the message names the first that is wrong.
    """
    seen: dict[int, T] = {}
    for index, value in zip(indices, values, strict=True):
        if index in seen:
            raise ValueError(f"found index {_short(index)} twice")
        seen[index] = value
    missing = next((index for index in range(len(seen)) if index not in seen), None)
    if missing is not None:
        span = f"{_short(min(seen))} to {_short(max(seen))}"
        raise ValueError(f"found indices from {span} without {missing}; they must start at 0 and have no gaps")
    return [seen[index] for index in range(len(seen))]


def _listed(table: dict[object, object]) -> list[object]:
    """Return an index map, in either direction, as a list."""
    keys, values = list(table), list(table.values())
    if values and all(type(value) is int for value in values):
        return in_order([value for value in values if type(value) is int], keys)
    indices = [index for key in keys if (index := _index(key)) is not None]
    if len(indices) < len(keys) or not keys:
        raise ValueError(f"found an object of {count(len(keys), 'key')} that is no index map")
    return in_order(indices, values)


def _index(key: object) -> int | None:
    """Return a key as an index; keys of JSON are always texts."""
    if type(key) is int:
        return key
    return int(key) if isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) <= 9 else None


def _is_pair(item: object) -> bool:
    return isinstance(item, list | tuple) and len(item) == 2 and all(isinstance(part, str) for part in item)


def _checked(values: Sequence[object]) -> tuple[str, ...]:
    if not values:
        raise ValueError("found an empty list")
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise ValueError(f"found {_kind(value)} as the name of class {index}")
        if not value.strip():
            raise ValueError(f"found an empty name for class {index}")
    names = tuple(str(value).strip() for value in values)
    if all(name == f"LABEL_{index}" for index, name in enumerate(names)):
        raise ValueError("found only placeholders (LABEL_0, LABEL_1, ...)")
    return names


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else f"a {type(value).__name__}")


def _short(index: int) -> str:
    return str(index) if abs(index) < 10**9 else "a number beyond 10^9"
