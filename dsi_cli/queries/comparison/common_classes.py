"""The common classes and the common epochs of two runs.

Classes are matched by the label list, or by WordNet id, or by name, if that identifies all classes of a run uniquely. Their order
may differ. Epochs are matched by the number of completed epochs if both runs have it, or else by the trainers' epoch numbers.
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
    """The common classes of two runs."""

    common: int
    """The number of common classes."""
    order: NDArray[np.intp] | None = None
    """The second run's class index of each class of the first ``(C,)``; None if the runs have different classes."""
    by: str | None = None
    """The key of the match: label list, WordNet id, name or class index."""
    reason: str | None = None
    """The reason for a missing order."""


@dataclass(frozen=True)
class CommonEpochs:
    """The common epochs of two runs, in order."""

    by: str
    """The key of the match: epochs completed or epoch."""
    pairs: list[tuple[int, int, int]] = field(default_factory=list)
    """The common key, the first run's epoch number, and that of the second."""


def match_classes(first: ComparedRun, second: ComparedRun) -> CommonClasses:
    """Return the common classes of two runs."""
    a, b = first.classes, second.classes
    first_labels, second_labels = _labels_id(a), _labels_id(b)
    if len(a) == len(b) and first_labels is not None and first_labels == second_labels:
        return CommonClasses(len(a), np.arange(len(a)), "label list")
    most = 0
    for by, column in (("WordNet id", "wnid"), ("name", "name")):
        keys, other_keys = _unique_texts(a[column]), _unique_texts(b[column])
        if keys is not None and other_keys is not None:
            common = len(set(keys) & set(other_keys))
            if common == len(keys) == len(other_keys):
                index_by_key = {key: index for index, key in enumerate(other_keys)}
                return CommonClasses(common, np.array([index_by_key[key] for key in keys], dtype=np.intp), by)
            most = max(most, common)
    if len(a) == len(b) and first_labels is None and second_labels is None:
        return CommonClasses(len(a), np.arange(len(a)), "class index")
    for run, labels in ((first, first_labels), (second, second_labels)):
        if labels is None:
            return CommonClasses(most, reason=f"{run.label} has no labels, so its classes cannot be matched")
    return CommonClasses(
        most,
        reason=f"{count(most, 'class')} in common, of {len(a)} and {len(b)}: networks are compared on the same classes",
    )


def match_epochs(first: ComparedRun, second: ComparedRun) -> CommonEpochs:
    """Return the common epochs of two runs."""
    if first.completed is None or second.completed is None:
        return CommonEpochs("epoch", [(epoch, epoch, epoch) for epoch in first.epochs if epoch in set(second.epochs)])
    second_epochs = {completed: epoch for epoch, completed in second.completed.items()}
    pairs = [
        (completed, epoch, second_epochs[completed])
        for epoch, completed in first.completed.items()
        if completed in second_epochs
    ]
    return CommonEpochs("epochs completed", sorted(pairs))


def _labels_id(classes: pd.DataFrame) -> str | None:
    known = classes["labels_id"].dropna().unique()
    return str(known[0]) if len(known) == 1 else None


def _unique_texts(column: pd.Series) -> list[str] | None:
    """Return the texts of a column, or None if one is missing or repeated."""
    return None if column.isna().any() or column.duplicated().any() else [str(text) for text in column]
