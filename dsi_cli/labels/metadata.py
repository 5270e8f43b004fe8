"""Class names out of a checkpoint's own metadata.

Trainers keep them under many keys (``indexmaps.KEYS``), at the top or within ``args``, ``meta``, ``hyper_parameters``,
``dataset_meta`` and the like. Only what is a whole list of names counts; two lists that differ are no evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dsi_cli.labels import numbering
from dsi_cli.labels.index_maps import KEYS, IndexedNames, names_of
from dsi_cli.labels.label_list import LabelList
from dsi_cli.labels.presets import recognise

_PARAMETER = re.compile(r"(^|[./])(weight|bias|kernel|scale|gamma|beta|running_\w+|num_batches_tracked)$")
DEEPEST = 2
"""Levels below the top that are searched."""


def from_metadata(mapping: object) -> LabelList | None:
    """Return the class names that a checkpoint's metadata holds, or None. Never raises.

    Parameters
    ----------
    mapping
        Nested plain dicts, safely decoded; the values may be anything.

    Notes
    -----
    The highest level with a list decides; where that level has lists that differ, the answer is None. A list ``names`` (as
    YOLOv5 has it) does not count if it holds the names of parameters.

    Examples
    --------
    >>> found = from_metadata({"epoch": 3, "args": {"class_to_idx": {"cat": 0, "dog": 1}}})
    >>> found.names, found.source
    (('cat', 'dog'), "class_to_idx in args of the checkpoint's metadata")
    >>> from_metadata({"classes": 10}) is None
    True
    """
    level: list[tuple[tuple[str, ...], dict[object, object]]] = [((), mapping)] if isinstance(mapping, dict) else []
    for _ in range(DEEPEST + 1):
        found = [(path, key, names) for path, table in level for key, names in _lists(table)]
        if found:
            path, key, listed = found[0]
            if any(other.names != listed.names for _, _, other in found):
                return None
            inside = f" in {'.'.join(path)} of" if path else " in"
            note = numbering.note(listed.first, len(listed.names))
            return recognise(listed.names, f"{key}{inside} the checkpoint's metadata{note}", listed.wnids)
        level = [((*path, str(key)), value) for path, table in level for key, value in _tables(table)]
    return None


def _lists(table: dict[object, object]) -> Iterator[tuple[str, IndexedNames]]:
    for key in (*KEYS, "names"):
        value = table.get(key)
        if not isinstance(value, dict | list | tuple) or (key == "names" and any(map(_is_parameter, value))):
            continue
        try:
            yield key, names_of(value)
        except ValueError:
            continue  # a key of that name which holds something else, such as the number of classes


def _is_parameter(name: object) -> bool:
    return isinstance(name, str) and _PARAMETER.search(name) is not None


def _tables(table: dict[object, object]) -> Iterator[tuple[str, dict[object, object]]]:
    for key, value in table.items():
        if isinstance(key, str) and isinstance(value, dict):
            yield key, value
