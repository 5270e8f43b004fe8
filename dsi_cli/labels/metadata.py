"""Class names in a checkpoint's own metadata.

Trainers store them under many keys (`index_maps.KEYS`), at the top level or within ``args``, ``meta``, ``hyper_parameters``,
``dataset_meta`` and similar keys. Only complete lists of names count. Two lists that differ are not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dsi_cli.labels import numbering
from dsi_cli.labels.index_maps import KEYS, IndexedNames, read_names
from dsi_cli.labels.label_list import LabelList
from dsi_cli.labels.presets import recognise

_PARAMETER = re.compile(r"(^|[./])(weight|bias|kernel|scale|gamma|beta|running_\w+|num_batches_tracked)$")
MAX_DEPTH = 2
"""The maximum number of levels below the top that are searched."""


def from_metadata(mapping: object) -> LabelList | None:
    """Return the class names in a checkpoint's metadata, or None. This function never raises.

    Parameters
    ----------
    mapping
        Nested plain dicts, safely decoded; the values may be anything.

    Notes
    -----
    The highest level with a list decides. If that level has lists that differ, the result is None. A list ``names`` (as in
    YOLOv5) does not count if it contains names of parameters.

    Examples
    --------
    >>> labels = from_metadata({"epoch": 3, "args": {"class_to_idx": {"cat": 0, "dog": 1}}})
    >>> labels.names, labels.source, from_metadata({"classes": 10})
    (('cat', 'dog'), "class_to_idx in args of the checkpoint's metadata", None)
    """
    level: list[tuple[tuple[str, ...], dict[object, object]]] = [((), mapping)] if isinstance(mapping, dict) else []
    for _ in range(MAX_DEPTH + 1):
        lists = [(path, key, names) for path, table in level for key, names in _name_lists(table)]
        if lists:
            path, key, first = lists[0]
            if any(other.names != first.names for _, _, other in lists):
                return None
            inside = f" in {'.'.join(path)} of" if path else " in"
            note = numbering.numbering_note(first.first, len(first.names))
            return recognise(first.names, f"{key}{inside} the checkpoint's metadata{note}", first.wnids)
        level = [
            ((*path, key), value)
            for path, table in level
            for key, value in table.items()
            if isinstance(key, str) and isinstance(value, dict)
        ]
    return None


def _name_lists(table: dict[object, object]) -> Iterator[tuple[str, IndexedNames]]:
    for key in (*KEYS, "names"):
        value = table.get(key)
        if not isinstance(value, dict | list | tuple):
            continue
        if key == "names" and any(isinstance(name, str) and _PARAMETER.search(name) for name in value):
            continue
        try:
            yield key, read_names(value)
        except ValueError:
            continue  # the key has another meaning, such as the number of classes
