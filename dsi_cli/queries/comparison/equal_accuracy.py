"""The comparison of two runs, or of two groups of repetitions, at equal accuracy.

The level is the highest accuracy that all runs reach. Each run is compared at the epoch whose accuracy is nearest to the level; the
earliest of several counts. The last epochs are compared instead if a run has no accuracy within the tolerance of the level, or if
the level is that of guessing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dsi_cli.errors import count
from dsi_cli.metrics.differences import mean_difference
from dsi_cli.queries.comparison.common_classes import match_classes
from dsi_cli.queries.comparison.criteria import BootstrapOptions, Criterion, RunAtEpoch, difference, value
from dsi_cli.queries.comparison.runs import ComparedRun
from dsi_cli.store.matrix_id import SPLITS

EQUAL, LAST = "equal accuracy", "last epochs"


@dataclass(frozen=True)
class MatchedEpoch:
    """The epoch at which a run is compared."""

    run: str
    epoch: int
    epochs_completed: int | None
    accuracy: float | None
    mistakes: int | None
    has_epoch: bool = True
    """True if the checkpoint has an epoch number; otherwise ``epoch`` is 0."""

    @property
    def shown_epoch(self) -> str:
        """The epoch for display."""
        return str(self.epoch) if self.has_epoch else "–"


@dataclass(frozen=True)
class CriterionRow:
    """One quantity of two runs or groups and its difference; missing values are None and have a ``reason``."""

    quantity: str
    title: str
    is_criterion: bool
    first: float | None
    second: float | None
    difference: float | None
    """The value of the first less that of the second."""
    low: float | None
    """The lower end of the 95 % confidence interval of the difference."""
    high: float | None
    """The upper end of the interval."""
    is_real: bool | None
    """True if the 95 % confidence interval excludes 0; None without an interval."""
    reason: str | None


@dataclass(frozen=True)
class EqualAccuracyComparison:
    """The comparison of two runs or groups."""

    first: str
    second: str
    basis: str
    """The compared epochs: equal accuracy or last epochs."""
    split: str
    level: float | None
    """The accuracy that all runs reach."""
    tolerance: float
    first_chosen: list[MatchedEpoch]
    second_chosen: list[MatchedEpoch]
    rows: list[CriterionRow]
    reason: str | None
    """The reason for a missing level, or for missing rows."""


@dataclass(frozen=True)
class AccuracyLevel:
    """The common accuracy of runs, and the epoch of each run."""

    value: float | None
    epochs: dict[str, int]
    reason: str | None
    """The reason for a missing level; the epochs are then the last ones."""


def at_equal_accuracy(
    first: tuple[str, Sequence[ComparedRun]],
    second: tuple[str, Sequence[ComparedRun]],
    quantities: Sequence[Criterion],
    tolerance: float,
    split: str | None,
    draws: BootstrapOptions,
) -> EqualAccuracyComparison:
    """Return the comparison of two runs, or groups of runs, at the highest accuracy that all reach.

    Parameters
    ----------
    first, second : a name and the runs of that name
        Single runs have confidence intervals from their matrices and counts, repetitions have Welch's interval of the mean.
    tolerance : the largest difference of an epoch's accuracy from the level
    split : the split of accuracy, mistakes and CCSM; test if None, or train if a run has no accuracy on test
    """
    runs = [*first[1], *second[1]]
    split = split or next((name for name in SPLITS if all(len(_accuracy(run, name)) for run in runs)), SPLITS[0])
    level = common_level(runs, split, tolerance)
    first_epochs = [_matched_epoch(run, level.epochs[run.label], split) for run in first[1]]
    second_epochs = [_matched_epoch(run, level.epochs[run.label], split) for run in second[1]]
    # Compare the quantities if all runs have the classes of the first.
    rows: list[CriterionRow] = []
    reason, at_epoch = level.reason, []
    for run in runs:
        classes = match_classes(runs[0], run)
        if classes.order is None:
            reason = classes.reason
            break
        at_epoch.append(RunAtEpoch(run, level.epochs[run.label], classes.order, split))
    else:
        split_at = len(first[1])
        rows = [_row(quantity, at_epoch[:split_at], at_epoch[split_at:], draws) for quantity in quantities]
    return EqualAccuracyComparison(
        first=first[0],
        second=second[0],
        basis=EQUAL if level.reason is None else LAST,
        split=split,
        level=level.value,
        tolerance=tolerance,
        first_chosen=first_epochs,
        second_chosen=second_epochs,
        rows=rows,
        reason=reason,
    )


def common_level(runs: Sequence[ComparedRun], split: str, tolerance: float) -> AccuracyLevel:
    """Return the highest accuracy that all runs reach and each run's epoch nearest to it, or the last epochs and a reason."""
    last = {run.label: run.epochs[-1] for run in runs}
    curves = {run.label: _accuracy(run, split) for run in runs}
    for label, curve in curves.items():
        if not len(curve):
            return AccuracyLevel(None, last, f"{label} has no accuracy on {split}")
    level = float(min(curve.max() for curve in curves.values()))
    guessing = 1 / max(len(run.classes) for run in runs)
    if level <= guessing + tolerance:
        worst = min(curves, key=lambda label: curves[label].max())
        return AccuracyLevel(None, last, f"{worst} does no better than guessing: its best accuracy is {level:.3f}")
    epochs = {label: _epoch_of_minimum((curve - level).abs()) for label, curve in curves.items()}
    for label, curve in curves.items():
        if abs(curve[epochs[label]] - level) > tolerance:
            nearest = f"the accuracy of {label} nearest to {level:.3f} is {curve[epochs[label]]:.3f}"
            return AccuracyLevel(None, last, f"no accuracy in common within {tolerance:g}: {nearest}")
    return AccuracyLevel(level, epochs, None)


def _accuracy(run: ComparedRun, split: str) -> pd.Series:
    """Return the accuracy by epoch, for the epochs with matrices."""
    values = run.curve("accuracy", split=split)["value"].dropna()
    return values[values.index.isin(run.epochs)]


def _epoch_of_minimum(distance: pd.Series) -> int:
    """Return the epoch of the smallest distance; the earliest of several counts."""
    return int(distance.index.to_numpy(dtype=np.int64)[distance.to_numpy(dtype=np.float64).argmin()])


def _matched_epoch(run: ComparedRun, epoch: int, split: str) -> MatchedEpoch:
    accuracy = run.curve("accuracy", split=split)["value"].get(epoch, np.nan)
    mistakes = run.curve("mistakes", split=split)["value"].get(epoch, np.nan)
    return MatchedEpoch(
        run=run.label,
        epoch=epoch,
        epochs_completed=None if run.completed is None else run.completed.get(epoch),
        accuracy=None if np.isnan(accuracy) else float(accuracy),
        mistakes=None if np.isnan(mistakes) else int(mistakes),
        has_epoch=run.results.has_epochs(run.name),
    )


def describe_epochs(epochs: Sequence[MatchedEpoch]) -> str:
    """Return the epochs of a group, or the epoch of a single run with its accuracy and mistakes."""
    if len(epochs) > 1:
        return "epochs " + ", ".join(matched.shown_epoch for matched in epochs)
    (matched,) = epochs
    parts = [f"epoch {matched.shown_epoch}"]
    if matched.accuracy is not None:
        parts.append(f"accuracy {matched.accuracy:.3f}")
    if matched.mistakes is not None:
        parts.append(count(matched.mistakes, "mistake"))
    return ", ".join(parts)


def _row(
    quantity: Criterion, first: Sequence[RunAtEpoch], second: Sequence[RunAtEpoch], draws: BootstrapOptions
) -> CriterionRow:
    if len(first) == len(second) == 1:
        result = difference(quantity, first[0], second[0], draws)
    else:
        first_values, second_values = (
            [number for run in runs if (number := value(quantity, run)) is not None] for runs in (first, second)
        )
        result = mean_difference(first_values, second_values)
    return CriterionRow(
        quantity=quantity.name,
        title=quantity.title,
        is_criterion=quantity.is_criterion,
        first=result.first,
        second=result.second,
        difference=result.value,
        low=result.low,
        high=result.high,
        is_real=result.is_real,
        reason=result.reason,
    )
