"""Read class names from the lists and index maps of JSON files and checkpoints.

Three shapes are read: a list ``["cat", "dog"]``, an index map ``{0: "cat", 1: "dog"}``,
and the reverse ``{"cat": 0, "dog": 1}``. The keys of an index map may also be WordNet
ids (``{"n02121620": "cat"}``), whose order counts. The keys of an index map may be
digits in quotes, and its values ``[id, name]`` pairs, as in Keras. The indices must be
a permutation of 0 to n - 1, or of 1 to n. Mistakes are a ``ValueError`` that states
what was found; the caller adds the file.

Trainers store class names under many keys (`KEYS`) in a checkpoint's metadata: at the
top level or within ``args``, ``meta``, ``hyper_parameters``, ``dataset_meta`` and
similar keys. There, only complete lists count, and two lists that differ are not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from dsi_cli.errors import count
from dsi_cli.labels import numbering
from dsi_cli.labels.label_list import LabelList, are_ids
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
)
"""The keys of class names in files of trainers, in the order of the search."""
_PARAMETER = re.compile(
    r"(^|[./])(weight|bias|kernel|scale|gamma|beta|running_\w+|num_batches_tracked)$"
)
MAX_DEPTH = 2  # the maximum number of levels below the top that are searched


class IndexedNames(NamedTuple):
    """Class names in the order of the classes."""

    names: tuple[str, ...]
    wnids: tuple[str | None, ...] | None = (
        None  # the id next to each name; None if the list has none at all
    )
    first: int = 0  # the number that the list gives class 0: 0 or 1
    superclasses: tuple[str | None, ...] | None = (
        None  # the superclass of each class; None if the list has none at all
    )


T = TypeVar("T")


def read_names(value: object) -> IndexedNames:
    """Return the names, and the ids next to them, of a list or an index map.

    Raise `ValueError` if the value is neither a list nor an index map, or indices are
    missing or repeated. Also raise it if a name is empty or not text, or the names are
    Hugging Face's placeholders ``LABEL_0``, ``LABEL_1``.

    >>> read_names({"dog": 1, "cat": 0}).names, read_names({"0": ["n02121620", "cat"]}).wnids
    (('cat', 'dog'), ('n02121620',))
    >>> read_names({"1": "cat", "2": "dog"})
    IndexedNames(names=('cat', 'dog'), wnids=None, first=1, superclasses=None)
    """
    first = 0
    if isinstance(value, dict) and all(
        isinstance(text, str) for text in (*value, *value.values())
    ):
        # Names by WordNet id are in the order of the ids, as trainers sort folders with
        # these names.
        is_index_map = any(_parse_index(text) is not None for text in value.values())
        value = (
            sorted(value.items())
            if value and are_ids(list(value)) and not is_index_map
            else value
        )
    if isinstance(value, dict):
        indices, values = _indices_and_values(value)
        first, value = min(indices), sort_by_index(indices, values)
    if not isinstance(value, list | tuple):
        raise ValueError(f"found {_type_name(value)}")
    if value and all(map(_is_pair_of_texts, value)):
        wnids, names = zip(*value, strict=True)
        return IndexedNames(_check_names(names), wnids, first)
    return IndexedNames(_check_names(value), None, first)


def _is_pair_of_texts(item: object) -> bool:
    return (
        isinstance(item, list | tuple)
        and len(item) == 2
        and all(isinstance(part, str) for part in item)
    )


def sort_by_index(indices: Sequence[int], values: Sequence[T]) -> list[T]:
    """Return the values in order of their indices.

    Raise `ValueError` if the indices are not a permutation of 0 to n - 1 or of 1 to n.
    """
    if numbering.first_number(indices) is None:
        raise ValueError(numbering.reason_no_order(indices))
    by_index = dict(zip(indices, values, strict=True))
    return [by_index[index] for index in sorted(by_index)]


def _indices_and_values(table: dict[object, object]) -> tuple[list[int], list[object]]:
    """Return the indices of an index map in either direction, and the value of each
    index.
    """
    keys, values = list(table), list(table.values())
    if values and all(type(value) is int for value in values):
        return [value for value in values if type(value) is int], keys
    for candidates, others in ((keys, values), (values, keys)):
        indices = [
            index
            for candidate in candidates
            if (index := _parse_index(candidate)) is not None
        ]
        if len(indices) == len(keys) > 0:
            return indices, others
    raise ValueError(
        f"found an object of {count(len(keys), 'key')} that is not an index map"
    )


def _parse_index(key: object) -> int | None:
    """Return a key as an index, also if it is text, because keys in JSON always are."""
    if type(key) is int:
        return key
    if isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) <= 9:
        return int(key)
    return None


def _check_names(values: Sequence[object]) -> tuple[str, ...]:
    if not values:
        raise ValueError("found an empty list")
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise ValueError(f"found {_type_name(value)} as the name of class {index}")
        if not value.strip():
            raise ValueError(f"found an empty name for class {index}")
    names = tuple(str(value).strip() for value in values)
    if all(name == f"LABEL_{index}" for index, name in enumerate(names)):
        raise ValueError("found only placeholders (LABEL_0, LABEL_1, ...)")
    return names


def _type_name(value: object) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        type(None): "null",
    }
    default = (
        "a number" if isinstance(value, int | float) else f"a {type(value).__name__}"
    )
    return names.get(type(value), default)


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
    >>> labels = from_metadata({"epoch": 3, "args": {"class_to_idx": {"cat": 0, "dog": 1}}})
    >>> labels.names, labels.source, from_metadata({"classes": 10})
    (('cat', 'dog'), "class_to_idx in args of the checkpoint's metadata", None)
    """
    level: list[tuple[tuple[str, ...], dict[object, object]]] = (
        [((), mapping)] if isinstance(mapping, dict) else []
    )
    for _ in range(MAX_DEPTH + 1):
        lists = [
            (path, key, names)
            for path, table in level
            for key, names in _name_lists(table)
        ]
        if lists:
            path, key, first = lists[0]
            if any(other.names != first.names for _, _, other in lists):
                return None
            inside = f" in {'.'.join(path)} of" if path else " in"
            note = numbering.numbering_note(first.first, len(first.names))
            return recognise(
                first.names,
                f"{key}{inside} the checkpoint's metadata{note}",
                first.wnids,
            )
        next_level = []
        for path, table in level:
            tables = {
                key: value
                for key, value in table.items()
                if isinstance(key, str) and isinstance(value, dict)
            }
            next_level += [((*path, key), value) for key, value in tables.items()]
        level = next_level
    return None


def _name_lists(table: dict[object, object]) -> Iterator[tuple[str, IndexedNames]]:
    for key in (*KEYS, "names"):
        value = table.get(key)
        if not isinstance(value, dict | list | tuple):
            continue
        if key == "names" and any(
            isinstance(name, str) and _PARAMETER.search(name) for name in value
        ):
            continue
        try:
            yield key, read_names(value)
        except ValueError:
            continue  # the key has another meaning, such as the number of classes
