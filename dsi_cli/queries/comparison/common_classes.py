"""The same classes and the same epochs in two runs.

Classes are the same by the label list, else by WordNet id, else by name, each only where it tells all classes of a run apart; they
may stand in another order. Epochs are the same by the number of finished epochs where both runs know it, else by the trainers'
own numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.errors import count
from dsi_cli.queries.comparison.runs import ComparedRun


@dataclass(frozen=True, eq=False)
class CommonClasses:
    """What two runs' classes have in common."""

    common: int
    order: NDArray[np.intp] | None = None
    """The second run's class of each class of the first, ``(C,)``; None where they are not the same classes."""
    by: str | None = None
    """label list, WordNet id, name or class index."""
    reason: str | None = None
    """Why there is no order."""


@dataclass(frozen=True)
class CommonEpochs:
    """Epochs of two runs that are the same, in order."""

    by: str
    """epochs completed or epoch."""
    pairs: list[tuple[int, int, int]] = field(default_factory=list)
    """(what is the same, the first run's own number, the second's)."""


def match_classes(first: ComparedRun, second: ComparedRun) -> CommonClasses:
    """Return how the classes of two runs correspond."""
    a, b = first.classes, second.classes
    if len(a) == len(b) and _labels_id(a) is not None and _labels_id(a) == _labels_id(b):
        return CommonClasses(len(a), np.arange(len(a)), "label list")
    best = 0
    for by, column in (("WordNet id", "wnid"), ("name", "name")):
        mine, yours = (_told_apart(frame[column]) for frame in (a, b))
        if mine is not None and yours is not None:
            common = len(set(mine) & set(yours))
            if common == len(mine) == len(yours):
                place = {one: at for at, one in enumerate(yours)}
                return CommonClasses(common, np.array([place[one] for one in mine], dtype=np.intp), by)
            best = max(best, common)
    if len(a) == len(b) and _labels_id(a) is None and _labels_id(b) is None:
        return CommonClasses(len(a), np.arange(len(a)), "class index")
    unnamed = next((one.label for one, frame in ((first, a), (second, b)) if _labels_id(frame) is None), None)
    if unnamed is not None:
        return CommonClasses(best, reason=f"{unnamed} has no labels, so nothing says which of its classes are which")
    return CommonClasses(
        best,
        reason=f"{count(best, 'class')} in common, of {len(a)} and {len(b)}: networks are compared on the same classes",
    )


def match_epochs(first: ComparedRun, second: ComparedRun) -> CommonEpochs:
    """Return the epochs that two runs both have."""
    mine, yours = first.completed, second.completed
    if mine is None or yours is None:
        return CommonEpochs("epoch", [(epoch, epoch, epoch) for epoch in first.epochs if epoch in set(second.epochs)])
    theirs = {done: epoch for epoch, done in yours.items()}
    pairs = [(done, epoch, theirs[done]) for epoch, done in mine.items() if done in theirs]
    return CommonEpochs("epochs completed", sorted(pairs))


def _labels_id(classes: pd.DataFrame) -> str | None:
    known = classes["labels_id"].dropna().unique()
    return str(known[0]) if len(known) == 1 else None


def _told_apart(column: pd.Series) -> list[str] | None:
    """Return a column's texts; None where one is missing or stands twice."""
    return None if column.isna().any() or column.duplicated().any() else [str(text) for text in column]
