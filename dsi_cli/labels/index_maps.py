"""Read class names from lists and index maps: the content of a JSON or YAML file, or of
a checkpoint's metadata.

Three shapes are read: a list ``["cat", "dog"]``, names by index ``{0: "cat", 1:
"dog"}``, and indices by name ``{"cat": 0, "dog": 1}``. Indices may be digits in quotes.
They must be 0 to C - 1, or 1 to C, for C classes. Names by index may be ``[id, name]``
pairs, as in Keras. An object may hold one of these under a key of `KEYS`. Mistakes are
a ``ValueError`` that states what was found; the caller adds the file.

Trainers store class names in a checkpoint's metadata: at the top level, or within
``args``, ``meta``, ``hyper_parameters``, ``dataset_meta`` and similar keys. There, two
lists that differ are not used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from dsi_cli.errors import count
from dsi_cli.labels.label_list import LabelList
from dsi_cli.labels.presets import recognise

KEYS = (
    "id2label",
    "label2id",
    "class_to_idx",
    "idx_to_class",
    "classes",
    "CLASSES",
    "class_names",
    "label_names",
    "names",
)
"""The keys of class names in files of trainers, in the order of the search."""
_PARAMETER = re.compile(
    r"(^|[./])(weight|bias|kernel|scale|gamma|beta|running_\w+|num_batches_tracked)$"
)
MAX_DEPTH = 2  # the maximum number of levels below the top that are searched
T = TypeVar("T")


class IndexedNames(NamedTuple):
    """Class names in the order of the classes."""

    names: tuple[str, ...]
    # the WordNet id next to each name; None if the list has no ids
    wnids: tuple[str | None, ...] | None = None
    # the number that the list gives class 0: 0 or 1
    first: int = 0
    # the superclass of each class; None if the list has no superclasses
    superclasses: tuple[str | None, ...] | None = None

    @property
    def note(self) -> str:
        """A note for the source of a list whose numbers begin with 1, else an empty
        text.

        >>> IndexedNames(("cat", "dog"), first=1).note
        ' (numbered from 1: its 1 is class 0, its 2 is class 1)'
        """
        if self.first == 0:
            return ""
        classes = len(self.names)
        last = f"its {classes} is class {classes - 1}"
        return f" (numbered from 1: its 1 is class 0, {last})"


def is_order(indices: Sequence[int]) -> bool:
    """Return True if indices are 0 to C - 1 or 1 to C in any order.

    >>> is_order([2, 0, 1]), is_order([3, 1, 2]), is_order([0, 2]), is_order([1, 1])
    (True, True, False, False)
    """
    first = min(indices, default=2)
    return first in (0, 1) and sorted(indices) == [*range(first, first + len(indices))]


def sort_by_index(indices: Sequence[int], values: Sequence[T]) -> list[T]:
    """Return the values in the order of their indices.

    Raise `ValueError` if the indices are not 0 to C - 1 or 1 to C.
    """
    if not is_order(indices):
        index, times = Counter(indices).most_common(1)[0]
        if times > 1:
            raise ValueError(f"found the class number {index} twice")
        raise ValueError(
            f"found class numbers from {min(indices)} to {max(indices)} for"
            f" {len(indices)} names; they must be 0, 1, 2, ... or 1, 2, 3, ... without"
            " gaps"
        )
    by_index = dict(zip(indices, values, strict=True))
    return [by_index[index] for index in sorted(by_index)]


def read_names(value: object) -> IndexedNames:
    """Return the names, and the ids next to them, of a list or an index map.

    Raise `ValueError` if the value is neither, if indices are missing or repeated, if a
    name is empty or not text, or if the names are placeholders (``LABEL_0``).

    >>> read_names({"dog": 1, "cat": 0}).names
    ('cat', 'dog')
    >>> read_names({"0": ["n02121620", "cat"]})
    IndexedNames(names=('cat',), wnids=('n02121620',), first=0, superclasses=None)
    """
    first = 0
    if isinstance(value, dict):
        indices, values = _indices_and_values(value)
        value = sort_by_index(indices, values)
        first = min(indices)
    if not isinstance(value, list | tuple):
        raise ValueError(f"found {_type_name(value)}")
    if value and all(map(_is_pair, value)):
        wnids, names = zip(*value, strict=True)
        return IndexedNames(_check_names(names), wnids, first)
    return IndexedNames(_check_names(value), None, first)


def _is_pair(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return isinstance(value[0], str) and isinstance(value[1], str)


def _indices_and_values(table: dict[object, object]) -> tuple[list[int], list[object]]:
    """Return the indices of an index map in either direction, and the value of each
    index.
    """
    keys, values = list(table), list(table.values())
    by_key, by_value = _parse_indices(keys), _parse_indices(values)
    # If both could be indices, integers are: the names are texts of digits.
    if by_value is not None and all(type(value) is int for value in values):
        return by_value, keys
    if by_key is not None:
        return by_key, values
    if by_value is not None:
        return by_value, keys
    found = count(len(keys), "key")
    raise ValueError(f"found an object of {found} that is not an index map")


def _parse_indices(values: Sequence[object]) -> list[int] | None:
    """Return values as indices, also if they are text, because keys in JSON always are;
    None if a value is no index, or without values.
    """
    indices = []
    for value in values:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            indices.append(int(value))
        elif type(value) is int:
            indices.append(value)
        else:
            return None
    return indices or None


def _check_names(values: Sequence[object]) -> tuple[str, ...]:
    if not values:
        raise ValueError("found an empty list")
    names = []
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise ValueError(f"found {_type_name(value)} as the name of class {index}")
        if not value.strip():
            raise ValueError(f"found an empty name for class {index}")
        names.append(str(value).strip())
    if all(name == f"LABEL_{index}" for index, name in enumerate(names)):
        raise ValueError("found only placeholders (LABEL_0, LABEL_1, ...)")
    return tuple(names)


def _type_name(value: object) -> str:
    return f"a value of the type {type(value).__name__}"


def from_metadata(mapping: object) -> LabelList | None:
    """Return the class names in a checkpoint's metadata, or None. This function never
    raises.

    Parameters
    ----------
    mapping : nested plain dicts, safely decoded; the values may be anything.

    Notes
    -----
    The highest level with a list decides. Lists of that level that differ do not count.
    A list ``names`` (as in YOLOv5) does not count if it contains names of parameters.

    Examples
    --------
    >>> labels = from_metadata({"args": {"class_to_idx": {"cat": 0, "dog": 1}}})
    >>> labels.names, labels.source
    (('cat', 'dog'), "class_to_idx in args of the checkpoint's metadata")
    >>> from_metadata({"classes": 10}) is None
    True
    """
    level: list[tuple[tuple[str, ...], object]] = [((), mapping)]
    for _ in range(MAX_DEPTH + 1):
        tables = [(path, value) for path, value in level if isinstance(value, dict)]
        level, lists = [], []
        for path, table in tables:
            for key, names in _name_lists(table):
                inside = f" in {'.'.join(path)} of" if path else " in"
                lists.append((f"{key}{inside} the checkpoint's metadata", names))
            for key, value in table.items():
                if isinstance(key, str):
                    level.append(((*path, key), value))
        if lists:
            source, first = lists[0]
            if any(other.names != first.names for _, other in lists):
                return None
            return recognise(first.names, source + first.note, first.wnids)
    return None


def _name_lists(table: dict[object, object]) -> Iterator[tuple[str, IndexedNames]]:
    """Yield the lists of names in a table, each with its key."""
    for key in KEYS:
        value = table.get(key)
        if not isinstance(value, dict | list | tuple):
            continue
        if key == "names" and _are_parameters(value):
            continue
        try:
            yield key, read_names(value)
        except ValueError:
            continue  # the key has another meaning, such as the number of classes


def _are_parameters(names: Sequence[object] | dict[object, object]) -> bool:
    """Return True if one of the names is that of a parameter (``fc.weight``)."""
    texts = [name for name in names if isinstance(name, str)]
    return any(map(_PARAMETER.search, texts))
