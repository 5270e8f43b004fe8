"""Two runs, or two groups of repetitions, at equal accuracy: what each is worth there, and which differences are real.

The level is the highest accuracy that all of them reach; each run is taken at the epoch whose accuracy is nearest to it, the
earliest of several. Where one comes no nearer than the tolerance, or the level is that of guessing, there is no common accuracy,
and the last epochs are compared instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dsi_cli.errors import count
from dsi_cli.metrics.differences import Difference, mean_difference
from dsi_cli.queries.comparison.common_classes import match_classes
from dsi_cli.queries.comparison.criteria import BootstrapOptions, Criterion, Order, RunAtEpoch, difference, value
from dsi_cli.queries.comparison.runs import SPLITS, ComparedRun

EQUAL, LAST = "equal accuracy", "last epochs"


@dataclass(frozen=True)
class MatchedEpoch:
    """The epoch at which a run is taken."""

    run: str
    epoch: int
    epochs_completed: int | None
    accuracy: float | None
    mistakes: int | None
    has_epoch: bool = True
    """Whether it has an epoch; if not, ``epoch`` is 0."""

    @property
    def shown_epoch(self) -> str:
        """The epoch as it is shown."""
        return str(self.epoch) if self.has_epoch else "–"


@dataclass(frozen=True)
class CriterionRow:
    """One quantity of the two, and the first less the second; None where something does not exist, with the reason."""

    quantity: str
    title: str
    is_criterion: bool
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    is_real: bool | None
    """Whether the interval leaves out 0."""
    reason: str | None


@dataclass(frozen=True)
class EqualAccuracyComparison:
    """Two runs or groups side by side."""

    first: str
    second: str
    basis: str
    """equal accuracy or last epochs."""
    split: str
    level: float | None
    """The accuracy that all reach."""
    tolerance: float
    first_chosen: list[MatchedEpoch]
    second_chosen: list[MatchedEpoch]
    rows: list[CriterionRow]
    reason: str | None
    """Why there is no common accuracy, or why nothing is compared."""


@dataclass(frozen=True)
class AccuracyLevel:
    """Where runs are compared."""

    value: float | None
    epochs: dict[str, int]
    reason: str | None
    """Why there is no common accuracy."""


def at_equal_accuracy(
    first: tuple[str, Sequence[ComparedRun]],
    second: tuple[str, Sequence[ComparedRun]],
    quantities: Sequence[Criterion],
    tolerance: float,
    split: str | None,
    draws: BootstrapOptions,
) -> EqualAccuracyComparison:
    """Return two runs, or groups of them, at the highest accuracy that all reach.

    Parameters
    ----------
    first, second : a name, and the runs behind it
        With one run each, intervals are bootstrapped from matrices and counts; with several, Welch's over repetitions.
    tolerance : how far from the level an epoch's accuracy may be
    split : of accuracy, mistakes and CCSM; None for test where all have it, else train
    """
    entrants = [*first[1], *second[1]]
    split = split or next((one for one in SPLITS if all(len(_accuracy(e, one)) for e in entrants)), SPLITS[0])
    level = common_level(entrants, split, tolerance)
    orders = [match_classes(entrants[0], one) for one in entrants]
    unlike = next((found.reason for found in orders if found.order is None), None)
    chosen = [[_chosen(one, level.epochs[one.label], split) for one in side] for side in (first[1], second[1])]
    basis, reason = (EQUAL, None) if level.reason is None else (LAST, level.reason)
    rows: list[CriterionRow] = []
    if unlike is None:
        places = {
            one.label: RunAtEpoch(one, level.epochs[one.label], _known(found.order), split)
            for one, found in zip(entrants, orders, strict=True)
        }
        sides = [[places[one.label] for one in side] for side in (first[1], second[1])]
        rows = [_row(quantity, sides[0], sides[1], draws) for quantity in quantities]
    return EqualAccuracyComparison(
        first[0], second[0], basis, split, level.value, tolerance, chosen[0], chosen[1], rows, unlike or reason
    )


def common_level(entrants: Sequence[ComparedRun], split: str, tolerance: float) -> AccuracyLevel:
    """Return the highest accuracy that all runs reach, and each run's epoch nearest to it; without it, the last epochs."""
    last = {one.label: one.epochs[-1] for one in entrants}
    curves = {one.label: _accuracy(one, split) for one in entrants}
    unknown = next((label for label, curve in curves.items() if not len(curve)), None)
    if unknown is not None:
        return AccuracyLevel(None, last, f"{unknown} has no accuracy on {split}")
    level = float(min(curve.max() for curve in curves.values()))
    guessing = 1 / max(len(one.classes) for one in entrants)
    if level <= guessing + tolerance:
        worst = min(curves, key=lambda label: curves[label].max())
        return AccuracyLevel(None, last, f"{worst} does no better than guessing: its best accuracy is {level:.3f}")
    epochs = {label: _first_epoch((curve - level).abs()) for label, curve in curves.items()}
    for label, curve in curves.items():
        if abs(curve[epochs[label]] - level) > tolerance:
            nearest = f"{curve[epochs[label]]:.3f} is the nearest that {label} comes to {level:.3f}"
            return AccuracyLevel(None, last, f"no accuracy in common within {tolerance:g}: {nearest}")
    return AccuracyLevel(level, epochs, None)


def _accuracy(entrant: ComparedRun, split: str) -> pd.Series:
    """Return the accuracy by epoch, of the epochs that have matrices."""
    values = entrant.curve("accuracy", split=split)["value"].dropna()
    return values[values.index.isin(entrant.epochs)]


def _first_epoch(distance: pd.Series) -> int:
    """Return the epoch of the smallest distance, the earliest of several."""
    return int(distance.index.to_numpy(dtype=np.int64)[distance.to_numpy(dtype=np.float64).argmin()])


def _chosen(entrant: ComparedRun, epoch: int, split: str) -> MatchedEpoch:
    found = {name: entrant.curve(name, split=split)["value"].get(epoch, np.nan) for name in ("accuracy", "mistakes")}
    accuracy, mistakes = (None if np.isnan(number) else float(number) for number in found.values())
    completed = None if entrant.completed is None else entrant.completed.get(epoch)
    has_epoch = entrant.run.has_epochs(entrant.name)
    return MatchedEpoch(entrant.label, epoch, completed, accuracy, None if mistakes is None else int(mistakes), has_epoch)


def places(epochs: Sequence[MatchedEpoch]) -> str:
    """Return the epochs at which runs are taken, with accuracy and mistakes where there is one run."""
    if len(epochs) > 1:
        return "epochs " + ", ".join(one.shown_epoch for one in epochs)
    (one,) = epochs
    told = [f"epoch {one.shown_epoch}"]
    told += [] if one.accuracy is None else [f"accuracy {one.accuracy:.3f}"]
    told += [] if one.mistakes is None else [count(one.mistakes, "mistake")]
    return ", ".join(told)


def _row(
    quantity: Criterion, first: Sequence[RunAtEpoch], second: Sequence[RunAtEpoch], draws: BootstrapOptions
) -> CriterionRow:
    if len(first) == len(second) == 1:
        found = difference(quantity, first[0], second[0], draws)
    else:
        found = _over_repetitions(quantity, first, second)
    return CriterionRow(
        quantity=quantity.name,
        title=quantity.title,
        is_criterion=quantity.is_criterion,
        first=found.first,
        second=found.second,
        difference=found.value,
        low=found.low,
        high=found.high,
        is_real=found.is_real,
        reason=found.reason,
    )


def _over_repetitions(quantity: Criterion, first: Sequence[RunAtEpoch], second: Sequence[RunAtEpoch]) -> Difference:
    values = [[found for one in side if (found := value(quantity, one)) is not None] for side in (first, second)]
    return mean_difference(*values)


def _known(order: Order | None) -> Order:
    assert order is not None
    return order
