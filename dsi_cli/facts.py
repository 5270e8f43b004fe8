"""The record of what a step of an analysis notices, without words.

`dsi_cli.queries.facts` has the sentence of each code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
"""The severities of facts: something could not be used, a value may be wrong or is
missing, or something is worth knowing.
"""


@dataclass(frozen=True)
class Fact:
    """Something that a step of an analysis has noticed about a run.

    Parameters
    ----------
    code : the stable name of the kind of fact, such as ``zero-weights``.
    run : the name of the run; empty if the step does not know it.
    epochs : the epochs that the fact is about; empty if it is about the whole run.
    fields : the values that describe it: texts, numbers, and lists of these.
    """

    code: str
    run: str = ""
    epochs: tuple[int, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


def fact(code: str, *, epochs: Iterable[int] = (), **fields: Any) -> Fact:
    """Return a fact whose run is not known yet.

    >>> fact("zero-weights", epochs=[3], classes=["frog"])
    Fact(code='zero-weights', run='', epochs=(3,), fields={'classes': ['frog']})
    """
    return Fact(code, epochs=tuple(epochs), fields=fields)


def about_run(run: str, facts: Iterable[Fact]) -> list[Fact]:
    """Return facts as facts about a run."""
    return [replace(one, run=run) for one in facts]
