"""The names of a run's classes, and the class that a name means."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

MAX_LISTED_CLASSES = 12
"""The largest number of classes that an error message lists."""
_INDEX = " (class {})"
"""The suffix that distinguishes classes of one name."""
_WITH_WNID = re.compile(r"(.+) \((n\d{8})\)(?: \(class \d+\))?")


def class_names(run: Results, name: str | None) -> list[str]:
    """Return a name for each class of a run: its label, followed by its index if several classes share it, or else its index.

    A label that is a WordNet id follows a word for it, as in ``tabby (n02123045)``.
    """
    rows = run.classes[run.classes["run"] == name].sort_values("class_index")
    labels = [label if isinstance(label, str) else str(index) for index, label in enumerate(readable_names(rows))]
    uses = Counter(labels)
    return [f"{label}{_INDEX.format(index)}" if uses[label] > 1 else label for index, label in enumerate(labels)]


def readable_names(classes: pd.DataFrame) -> list[Any]:
    """Return the labels in rows of the classes table; a word precedes a label that is the WordNet id of its class."""
    columns = (classes[column].tolist() for column in ("name", "wnid", "synset"))
    return [
        f"{synset.split('.')[0].replace('_', ' ')} ({label})" if label == wnid and isinstance(synset, str) else label
        for label, wnid, synset in zip(*columns, strict=True)
    ]


def match_class_name(name: str | None, names: Sequence[str]) -> NDArray[np.bool_]:
    """Return a mask of the classes with a name, or of all classes if the name is None.

    Raises
    ------
    UsageError
        No class has the name (code ``unknown-class``). The message suggests similar names.
    """
    if name is None:
        return np.ones(len(names), dtype=bool)
    mask = np.array([label in (name, name + _INDEX.format(index)) for index, label in enumerate(names)])
    if not mask.any():
        mask = np.array([name.casefold() in _spellings(label) for label in names])
    if mask.any():
        return mask
    # Suggest the classes with a similar name or synonym.
    labels_by_word: dict[str, list[str]] = {}
    for label in names:
        for word in (label, *label.partition(" (class ")[0].split(", ")):
            labels_by_word.setdefault(word.lower(), []).append(label)
    close = get_close_matches(name.lower(), labels_by_word, n=3)
    similar = " or ".join(dict.fromkeys(label for word in close for label in labels_by_word[word]))
    hint = "dsi export OUT --table classes lists them"
    if similar:
        hint = f"try {similar}"
    elif len(names) <= MAX_LISTED_CLASSES:
        hint = f"expected one of {', '.join(names)}"
    raise UsageError(f"no class {name!r}: {hint}", code="unknown-class", name=name, similar=similar)


def _spellings(label: str) -> tuple[str, ...]:
    """Return the texts in lower case that name a class: its label, or the word and the WordNet id in its label."""
    parts = _WITH_WNID.fullmatch(label)
    return (label.casefold(), *(part.casefold() for part in parts.groups())) if parts else (label.casefold(),)


def class_index_by_name(name: str, names: Sequence[str]) -> int:
    """Return the index of the class with a name.

    Raises
    ------
    UsageError
        No class has the name (code ``unknown-class``), or several do (code ``ambiguous-class``).
    """
    indices = np.flatnonzero(match_class_name(name, names))
    if len(indices) > 1:
        listed = " or ".join(repr(names[int(index)]) for index in indices)
        message = f"{len(indices)} classes are called {name!r}; write {listed}"
        raise UsageError(message, code="ambiguous-class", name=name, count=len(indices))
    return int(indices[0])
