"""Lists and index maps, as JSON files and checkpoints hold them, to names in the order of the classes.

Four shapes are read: a list ``["cat", "dog"]``; an index map ``{0: "cat", 1: "dog"}`` (its keys may be digits in
quotes, its values ``[id, name]`` pairs as Keras has them); and the reverse ``{"cat": 0, "dog": 1}``. The indices must
be 0 to n - 1, or 1 to n, each once. What is wrong is a ``ValueError`` whose message says what was found; the caller knows where.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

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


class IndexedNames(NamedTuple):
    """Class names in the order of the classes.

    Attributes
    ----------
    names : tuple of str
    wnids : tuple of (str or None), or None
        The id next to each name; None if the list has none at all.
    first : int
        The number that the list gives class 0: 0 or 1.
    superclasses : tuple of (str or None), or None
        The superclass of each class; None if the list has none at all.
    """

    names: tuple[str, ...]
    wnids: tuple[str | None, ...] | None = None
    first: int = 0
    superclasses: tuple[str | None, ...] | None = None


T = TypeVar("T")


def names_of(value: object) -> IndexedNames:
    """Return the names, and the ids next to them, of a list or an index map.

    Raises
    ------
    ValueError
        It is neither; or indices are missing or come twice; or a name is empty or no text; or the names are
        the placeholders ``LABEL_0``, ``LABEL_1`` that Hugging Face writes where nobody gave any.

    Examples
    --------
    >>> names_of({"dog": 1, "cat": 0}).names, names_of({"0": ["n02121620", "cat"]}).wnids
    (('cat', 'dog'), ('n02121620',))
    >>> names_of({"1": "cat", "2": "dog"})
    IndexedNames(names=('cat', 'dog'), wnids=None, first=1, superclasses=None)
    """
    first = 0
    if isinstance(value, dict):
        indices, values = _listed(value)
        first, value = min(indices), in_order(indices, values)
    if not isinstance(value, list | tuple):
        raise ValueError(f"found {_kind(value)}")
    if value and all(_is_pair(item) for item in value):
        wnids, names = zip(*value, strict=True)
        return IndexedNames(_checked(names), wnids, first)
    return IndexedNames(_checked(value), None, first)


def in_order(indices: Sequence[int], values: Sequence[T]) -> list[T]:
    """Return the values by rising index.

    Raises
    ------
    ValueError
        The indices are neither 0 to n - 1 nor 1 to n, each once; the message names the first that is wrong.
    """
    seen: dict[int, T] = {}
    for index, value in zip(indices, values, strict=True):
        if index in seen:
            raise ValueError(f"found index {_short(index)} twice")
        seen[index] = value
    first = 1 if seen and min(seen) == 1 else 0
    wanted = range(first, first + len(seen))
    missing = next((index for index in wanted if index not in seen), None)
    if missing is not None:
        span = f"{_short(min(seen))} to {_short(max(seen))}"
        raise ValueError(f"found indices from {span} without {missing}; they must start at 0 or 1 and have no gaps")
    return [seen[index] for index in wanted]


def _listed(table: dict[object, object]) -> tuple[list[int], list[object]]:
    """Return the indices of an index map, in either direction, and what belongs to each."""
    keys, values = list(table), list(table.values())
    if values and all(type(value) is int for value in values):
        return [value for value in values if type(value) is int], keys
    for some, others in ((keys, values), (values, keys)):
        indices = [index for one in some if (index := _index(one)) is not None]
        if len(indices) == len(keys) > 0:
            return indices, others
    raise ValueError(f"found an object of {count(len(keys), 'key')} that is no index map")


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
