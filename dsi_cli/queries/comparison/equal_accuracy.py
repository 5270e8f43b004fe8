"""The comparison of two runs, or of two groups of repetitions, at equal accuracy.

The level is the highest accuracy that all runs reach. Each run is compared at the epoch
whose accuracy is nearest to the level; the earliest of several counts. The last epochs
are compared instead if a run has no accuracy within the tolerance of the level, or if
the level is that of guessing. Accuracy itself is always compared at the last epochs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

import numpy as np

from dsi_cli.errors import count
from dsi_cli.metrics.differences import holm
from dsi_cli.metrics.jackknife import LEVEL
from dsi_cli.queries.comparison import criteria
from dsi_cli.queries.comparison.criteria import ACCURACY, SEEDS, Criterion, RunAtEpoch
from dsi_cli.queries.comparison.network_pairs import ClassDifference, compare_classes
from dsi_cli.queries.comparison.repetitions import RepeatedRuns
from dsi_cli.queries.comparison.runs import ComparedRun, common_reference, match_classes
from dsi_cli.queries.matrices import none_if_nan

EQUAL, LAST = "equal accuracy", "last epochs"
MOST_DIFFERENT = 10  # maximum number of classes that are listed as seen differently


@dataclass(frozen=True)
class MatchedEpoch:
    """The epoch at which a run is compared."""

    run: str
    epoch: int
    epochs_completed: int | None
    accuracy: float | None
    mistakes: int | None
    has_epoch: bool = (
        True  # True if the checkpoint has an epoch number; otherwise ``epoch`` is 0
    )


@dataclass(frozen=True)
class CriterionRow:
    """One quantity of two runs or groups and its difference; missing values are None
    and have a ``reason``.
    """

    quantity: str
    title: str
    is_criterion: bool  # True if the paper prefers the network with the higher value
    # True for agreement, IDM, Max WSI and accuracy, whose intervals are corrected by
    # Holm's method
    is_main: bool
    # what the interval covers: classes, test images, or seeds, which cover everything
    covers: str
    first: float | None
    second: float | None
    difference: float | None  # the value of the first less that of the second
    low: float | None  # the lower end of the confidence interval of the difference
    high: float | None
    level: float  # the level of the interval: 0.95, or more after the correction
    # the two-sided p-value of no difference, after the correction
    p_value: float | None
    # True if the interval excludes 0; None without an interval
    excludes_zero: bool | None
    # standard deviation between the repetitions of one network; None if neither has two
    seed_deviation: float | None
    # 95 % of pairs of repetitions of one network differ by at most this
    seed_range: float | None
    reason: str | None


@dataclass(frozen=True)
class EqualAccuracyComparison:
    """The comparison of two runs or groups."""

    first: str
    second: str
    basis: str  # the compared epochs: equal accuracy or last epochs
    split: str
    level: float | None  # the accuracy that all runs reach
    tolerance: float
    first_chosen: list[MatchedEpoch]
    second_chosen: list[MatchedEpoch]
    rows: list[CriterionRow]
    reason: str | None  # the reason for a missing level, or for missing rows
    # those seen most differently, at most `MOST_DIFFERENT`
    classes: list[ClassDifference] = field(default_factory=list)

    @property
    def is_repeated(self) -> bool:
        """True if both sides are repetitions, so that the intervals cover other
        trainings.
        """
        return min(len(self.first_chosen), len(self.second_chosen)) > 1

    @property
    def forest(self) -> list[CriterionRow]:
        """The rows of the forest plot: all main ones at equal accuracy."""
        return [
            row for row in self.rows if row.is_main and row.quantity != ACCURACY.name
        ]

    @property
    def accuracy(self) -> CriterionRow | None:
        """The accuracy at the last epochs; None if nothing was compared."""
        return next((row for row in self.rows if row.quantity == ACCURACY.name), None)


class AccuracyLevel(NamedTuple):
    """The common accuracy of runs, and the epoch of each run."""

    value: float | None
    epochs: dict[str, int]
    # the reason for a missing level; the epochs are then the last ones
    reason: str | None


def at_equal_accuracy(
    first: RepeatedRuns,
    second: RepeatedRuns,
    measures: Sequence[str],
    tolerance: float,
    split: str,
) -> EqualAccuracyComparison:
    """Return the comparison of two runs, or groups of runs, at the highest accuracy
    that all reach.

    Single runs have confidence intervals over classes and samples, repetitions have
    Welch's interval of the mean. The first measure of the SAI is a criterion. An
    epoch's accuracy differs from the level by at most the tolerance.
    """
    runs = [*first.runs, *second.runs]
    level = common_level(runs, split, tolerance)
    rows, classes, reason = [], [], level.reason
    # Compare the quantities if all runs have the classes of the first.
    chosen = runs_at_epochs(runs, level.epochs, split)
    if isinstance(chosen, str):
        reason = chosen
    else:
        split_at = len(first.runs)
        last = [replace(at_epoch, epoch=at_epoch.run.epochs[-1]) for at_epoch in chosen]
        rows = _rows(criteria.criteria(measures), chosen, last, split_at)
        pair = compare_classes(chosen[:split_at], chosen[split_at:])
        if pair is not None:
            known = [row for row in pair.classes if row.likeness is not None]
            classes = sorted(known, key=lambda row: row.likeness or 0.0)[
                :MOST_DIFFERENT
            ]
    return EqualAccuracyComparison(
        first=first.name,
        second=second.name,
        basis=EQUAL if level.reason is None else LAST,
        split=split,
        level=level.value,
        tolerance=tolerance,
        first_chosen=[
            _matched_epoch(run, level.epochs[run.label], split) for run in first.runs
        ],
        second_chosen=[
            _matched_epoch(run, level.epochs[run.label], split) for run in second.runs
        ],
        rows=rows,
        reason=reason,
        classes=classes,
    )


def runs_at_epochs(
    runs: Sequence[ComparedRun], epochs: Mapping[str, int], split: str
) -> list[RunAtEpoch] | str:
    """Return runs at epochs that are given by label, with the classes of the first; or
    the reason why they cannot be matched.
    """
    chosen = []
    for run in runs:
        classes = match_classes(runs[0], run)
        if classes.order is None:
            return classes.reason or "the classes cannot be matched"
        chosen.append(RunAtEpoch(run, epochs[run.label], classes.order, split))
    return chosen


def common_level(
    runs: Sequence[ComparedRun], split: str, tolerance: float
) -> AccuracyLevel:
    """Return the highest accuracy that all runs reach and each run's epoch nearest to
    it, or the last epochs and a reason.
    """
    last = {run.label: run.epochs[-1] for run in runs}
    curves = {}
    for run in runs:
        accuracy = run.curve("accuracy", split=split)["value"].dropna()
        curves[run.label] = accuracy[accuracy.index.isin(run.epochs)]
        if curves[run.label].empty:
            return AccuracyLevel(None, last, f"{run.label} has no accuracy on {split}")
    level = float(min(curve.max() for curve in curves.values()))
    guessing = 1 / max(len(run.classes) for run in runs)
    if level <= guessing + tolerance:
        worst = min(curves, key=lambda label: curves[label].max())
        return AccuracyLevel(
            None,
            last,
            f"{worst} does no better than guessing: its best accuracy is {level:.3f}",
        )
    epochs = {
        label: int(cast("int", (curve - level).abs().idxmin()))
        for label, curve in curves.items()
    }
    for label, curve in curves.items():
        if abs(curve[epochs[label]] - level) > tolerance:
            nearest = (
                f"the accuracy of {label} nearest to {level:.3f} is"
                f" {curve[epochs[label]]:.3f}"
            )
            return AccuracyLevel(
                None, last, f"no accuracy in common within {tolerance:g}: {nearest}"
            )
    return AccuracyLevel(level, epochs, None)


def _matched_epoch(run: ComparedRun, epoch: int, split: str) -> MatchedEpoch:
    accuracy = run.curve("accuracy", split=split)["value"].get(epoch, np.nan)
    mistakes = run.curve("mistakes", split=split)["value"].get(epoch, np.nan)
    return MatchedEpoch(
        run=run.label,
        epoch=epoch,
        epochs_completed=None if run.completed is None else run.completed.get(epoch),
        accuracy=none_if_nan(accuracy),
        mistakes=None if np.isnan(mistakes) else int(mistakes),
        has_epoch=run.results.has_epochs(run.name),
    )


def describe_epochs(epochs: Sequence[MatchedEpoch]) -> str:
    """Return the epochs of a group, or the epoch of a single run with its accuracy and
    mistakes.
    """
    shown = ["–" if not matched.has_epoch else str(matched.epoch) for matched in epochs]
    if len(epochs) > 1:
        return "epochs " + ", ".join(shown)
    (matched,) = epochs
    parts = [f"epoch {shown[0]}"]
    if matched.accuracy is not None:
        parts.append(f"accuracy {matched.accuracy:.3f}")
    if matched.mistakes is not None:
        parts.append(count(matched.mistakes, "mistake"))
    return ", ".join(parts)


def _rows(
    quantities: Sequence[Criterion],
    chosen: Sequence[RunAtEpoch],
    last: Sequence[RunAtEpoch],
    split_at: int,
) -> list[CriterionRow]:
    """Return one row per quantity; Holm's method corrects the intervals of the main
    ones.
    """
    found = {}
    for quantity in quantities:
        runs = last if quantity is ACCURACY else chosen
        found[quantity] = criteria.difference(
            quantity, runs[:split_at], runs[split_at:]
        )
    main = [
        quantity
        for quantity in quantities
        if quantity.is_main and found[quantity].p_value is not None
    ]
    steps = dict(
        zip(
            main,
            holm([found[quantity].p_value or 0.0 for quantity in main]),
            strict=True,
        )
    )

    rows, reference = [], common_reference([at_epoch.run for at_epoch in chosen])
    for quantity, result in found.items():
        level = steps[quantity].level if quantity in steps else LEVEL
        low, high = result.interval(level) or (None, None)
        rows.append(
            CriterionRow(
                quantity=quantity.name,
                title=quantity.title.replace("WordNet", reference),
                is_criterion=quantity.is_criterion,
                is_main=quantity.is_main,
                covers=SEEDS if len(chosen) > 2 else quantity.covers,
                first=result.first,
                second=result.second,
                difference=result.value,
                low=low,
                high=high,
                level=level,
                p_value=(
                    steps[quantity].p_value if quantity in steps else result.p_value
                ),
                excludes_zero=(
                    None if low is None or high is None else not low <= 0.0 <= high
                ),
                seed_deviation=result.seed_deviation,
                seed_range=result.seed_range,
                reason=result.reason,
            )
        )
    return rows
