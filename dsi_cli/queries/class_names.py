"""What a run's classes are called, and the class that a person means by a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

LISTED = 12
"""Classes that a message names all of."""
_INDEX = " (class {})"
"""Tells classes of one name apart."""


def class_names(run: Results, name: str | None) -> list[str]:
    """Return a name for each class of a run; where several share one, each with its index; without labels, the index."""
    rows = run.classes[run.classes["run"] == name].sort_values("class_index")
    plain = [name if isinstance(name, str) else str(index) for index, name in enumerate(rows["name"])]
    uses = Counter(plain)
    return [f"{name}{_INDEX.format(index)}" if uses[name] > 1 else name for index, name in enumerate(plain)]


def match_class_name(name: str | None, names: Sequence[str]) -> NDArray[np.bool_]:
    """Return which classes have a name; all where it is None.

    Raises
    ------
    UsageError
        None has it; the message suggests names that are like it.
    """
    if name is None:
        return np.ones(len(names), dtype=bool)
    found = np.array([one in (name, name + _INDEX.format(index)) for index, one in enumerate(names)])
    if not found.any():
        found = np.array([one.casefold() == name.casefold() for one in names])
    if not found.any():
        near = _similar(name, names)
        listed = (
            f"expected one of {', '.join(names)}" if len(names) <= LISTED else "dsi export OUT --table classes lists them"
        )
        raise UsageError(f"no class {name!r}: {f'did you mean {near}?' if near else listed}")
    return found


def class_index_by_name(name: str, names: Sequence[str]) -> int:
    """Return the index of the one class that a name means.

    Raises
    ------
    UsageError
        None has it, or several do; the message says which.
    """
    found = np.flatnonzero(match_class_name(name, names))
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} classes are called {name!r}: say which, {' or '.join(repr(names[int(i)]) for i in found)}"
        )
    return int(found[0])


def _similar(name: str, names: Sequence[str]) -> str:
    """Return the names that are most like one, or one of whose synonyms is."""
    called = [(part.lower(), one) for one in names for part in (one, *one.partition(" (class ")[0].split(", "))]
    close = get_close_matches(name.lower(), dict(called), n=3)
    return " or ".join(dict.fromkeys(one for part in close for word, one in called if word == part))
