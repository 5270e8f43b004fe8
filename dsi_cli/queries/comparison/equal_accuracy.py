"""The comparison of two runs, or of two groups of repetitions, at equal accuracy.

The level is the highest accuracy that all runs reach. Each run is compared at the epoch
whose accuracy is nearest to the level; the earliest of several counts. The last epochs
are compared instead if a run has no accuracy within the tolerance of the level, or if
the level is that of guessing. Accuracy itself is always compared at the last epochs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from dsi_cli.errors import count
from dsi_cli.metrics.differences import Difference, holm
from dsi_cli.metrics.jackknife import LEVEL
from dsi_cli.queries.comparison import criteria
from dsi_cli.queries.comparison.criteria import (
    LAST_ACCURACY,
    SEEDS,
    Criterion,
    RunAtEpoch,
)
from dsi_cli.queries.comparison.network_pairs import compare_classes
from dsi_cli.queries.comparison.repetitions import RepeatedRuns
from dsi_cli.queries.comparison.runs import (
    ACCURACY,
    MISTAKES,
    ComparedRun,
    common_reference,
    match_classes,
)

EQUAL, LAST = "equal accuracy", "last epochs"
MOST_DIFFERENT = 10  # maximum number of classes that are listed as seen differently


@dataclass(frozen=True, eq=False)
class EqualAccuracy:
    """The comparison of two runs or groups.

    ``chosen`` has one row for each run: ``group``, ``run``, ``epoch`` (0 if ``has_epoch``
    is False), ``epochs_completed``, ``accuracy``, ``mistakes``.

    ``criteria`` has one row for each quantity: ``quantity``, ``title``,
    ``is_criterion`` (the paper prefers the higher value), ``is_main`` (the interval is
    corrected by Holm's method), ``covers`` (classes, test images, or for repetitions
    seeds together with one of them), ``first_value``, ``second_value``, their ``difference`` with the ends
    ``low`` and ``high`` of its confidence interval of a ``level``, the corrected
    ``p_value`` of no difference, ``excludes_zero``, ``seed_deviation`` (standard
    deviation between the repetitions of one network), ``seed_range`` (95 % of pairs of
    repetitions differ by at most this), and the ``reason`` for a missing value.

    ``classes`` has the classes that are seen most differently, at most
    `MOST_DIFFERENT`; `network_pairs.compare_classes` describes its columns.
    """

    first: str
    second: str
    basis: str  # the compared epochs: equal accuracy or last epochs
    split: str
    level: float | None  # the accuracy that all runs reach
    reason: str | None  # the reason for a missing level, or for missing criteria
    chosen: pd.DataFrame
    criteria: pd.DataFrame
    classes: pd.DataFrame

    @property
    def trainings(self) -> tuple[int, int]:
        """The number of runs of each side."""
        is_first = self.chosen["group"] == self.first
        return int(is_first.sum()), int((~is_first).sum())

    @property
    def is_repeated(self) -> bool:
        """True if both sides are repetitions, so that the intervals cover other
        trainings.
        """
        return min(self.trainings) > 1

    @property
    def forest(self) -> pd.DataFrame:
        """The rows of the forest plot: all main ones at equal accuracy."""
        rows = self.criteria
        return rows[rows["is_main"] & (rows["quantity"] != LAST_ACCURACY.name)]

    @property
    def accuracy(self) -> dict[Any, Any] | None:
        """The row of the accuracy at the last epochs; None if nothing was compared."""
        rows = self.criteria[self.criteria["quantity"] == LAST_ACCURACY.name]
        return None if rows.empty else rows.iloc[0].to_dict()

    def described(self, group: str) -> str:
        """Return the epochs of a group, or the epoch of a single run with its accuracy
        and mistakes.
        """
        rows = self.chosen[self.chosen["group"] == group]
        epochs = rows["epoch"].astype(str).where(rows["has_epoch"], "–")
        if len(rows) > 1:
            return f"epochs {', '.join(epochs)}"
        (row,) = rows.to_dict("records")
        text = f"epoch {epochs.iloc[0]}"
        if not pd.isna(row["accuracy"]):
            text += f", accuracy {row['accuracy']:.3f}"
        if not pd.isna(row["mistakes"]):
            text += f", {count(int(row['mistakes']), 'mistake')}"
        return text


def largest_end(rows: pd.DataFrame) -> float:
    """Return the largest distance from 0 of a difference or an end of its interval, to
    draw some rows on one scale; 1 if there is none.
    """
    ends = rows[["low", "high", "difference"]].to_numpy(dtype=np.float64)
    return float(np.nan_to_num(np.abs(ends)).max(initial=0.0)) or 1.0


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
) -> EqualAccuracy:
    """Return the comparison of two runs, or groups of runs, at the highest accuracy
    that all reach.

    Single runs have confidence intervals over classes and samples, repetitions have
    Welch's interval of the mean. The first measure of the SAI is a criterion. An
    epoch's accuracy differs from the level by at most the tolerance.
    """
    runs = [*first.runs, *second.runs]
    level = common_level(runs, split, tolerance)
    rows, classes, reason = pd.DataFrame(columns=_COLUMNS), None, level.reason
    # Compare the quantities if all runs have the classes of the first.
    chosen = runs_at_epochs(runs, level.epochs, split)
    if isinstance(chosen, str):
        reason = chosen
    else:
        at = len(first.runs)
        rows = _rows(criteria.criteria(measures), chosen[:at], chosen[at:])
        pair = compare_classes(chosen[:at], chosen[at:])
        classes = None if pair is None else pair.classes
    if classes is None:
        classes = pd.DataFrame({"name": [], "likeness": []})
    differing = classes.dropna(subset="likeness").sort_values("likeness", kind="stable")
    return EqualAccuracy(
        first=first.name,
        second=second.name,
        basis=EQUAL if level.reason is None else LAST,
        split=split,
        level=level.value,
        reason=reason,
        chosen=_chosen([first, second], level.epochs, split),
        criteria=rows,
        classes=differing.head(MOST_DIFFERENT),
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
        accuracy = run.points(ACCURACY, split)["shown"].dropna()
        curves[run.label] = accuracy[accuracy.index.isin(run.epochs)]
        if curves[run.label].empty:
            return AccuracyLevel(None, last, f"{run.label} has no accuracy on {split}")
    worst = min(curves, key=lambda label: curves[label].max())
    level = float(curves[worst].max())
    guessing = 1 / max(len(run.classes) for run in runs)
    if level <= guessing + tolerance:
        reason = f"{worst} does no better than guessing: its best accuracy is"
        return AccuracyLevel(None, last, f"{reason} {level:.3f}")
    epochs = {}
    for label, curve in curves.items():
        epochs[label] = int(cast("int", (curve - level).abs().idxmin()))
        nearest = curve[epochs[label]]
        if abs(nearest - level) > tolerance:
            reason = (
                f"no accuracy in common within {tolerance:g}: the accuracy of {label}"
                f" nearest to {level:.3f} is {nearest:.3f}"
            )
            return AccuracyLevel(None, last, reason)
    return AccuracyLevel(level, epochs, None)


def _chosen(
    groups: Sequence[RepeatedRuns], epochs: Mapping[str, int], split: str
) -> pd.DataFrame:
    rows = []
    for group in groups:
        for run in group.runs:
            epoch = epochs[run.label]
            completed = run.completed or {}
            row = {
                "group": group.name,
                "run": run.label,
                "epoch": epoch,
                "epochs_completed": completed.get(epoch),
                "accuracy": run.points(ACCURACY, split)["shown"].get(epoch, np.nan),
                "mistakes": run.points(MISTAKES, split)["shown"].get(epoch, np.nan),
                "has_epoch": run.results.has_epochs(run.name),
            }
            rows.append(row)
    return pd.DataFrame(rows)


_COLUMNS = (
    "quantity",
    "title",
    "is_criterion",
    "is_main",
    "covers",
    "first_value",
    "second_value",
    "difference",
    "low",
    "high",
    "level",
    "p_value",
    "excludes_zero",
    "seed_deviation",
    "seed_range",
    "reason",
)
_NUMBERS = (
    "first_value",
    "second_value",
    "difference",
    "low",
    "high",
    "p_value",
    "seed_deviation",
    "seed_range",
)


def _rows(
    quantities: Sequence[Criterion],
    first: Sequence[RunAtEpoch],
    second: Sequence[RunAtEpoch],
) -> pd.DataFrame:
    """Return one row per quantity; Holm's method corrects the intervals of the main
    ones.
    """
    last, other_last = (
        [replace(one, epoch=one.run.epochs[-1]) for one in side]
        for side in (first, second)
    )
    found: dict[str, Difference] = {}
    for quantity in quantities:
        if quantity is LAST_ACCURACY:
            found[quantity.name] = criteria.difference(quantity, last, other_last)
        else:
            found[quantity.name] = criteria.difference(quantity, first, second)
    p_values = {
        quantity.name: found[quantity.name].p_value
        for quantity in quantities
        if quantity.is_main
    }
    main = {name: value for name, value in p_values.items() if value is not None}
    corrected = dict(zip(main, holm(list(main.values())), strict=True))

    reference = common_reference([one.run for one in (*first, *second)])
    rows = []
    for quantity in quantities:
        result = found[quantity.name]
        level, p_value = LEVEL, result.p_value
        if quantity.name in corrected:
            level = corrected[quantity.name].level
            p_value = corrected[quantity.name].p_value
        low, high = result.interval(level) or (None, None)
        excludes_zero = None
        if low is not None and high is not None:
            excludes_zero = not low <= 0.0 <= high
        covers = SEEDS if len(first) + len(second) > 2 else quantity.covers
        row = {
            "quantity": quantity.name,
            "title": quantity.title.replace("WordNet", reference),
            "is_criterion": quantity.is_criterion,
            "is_main": quantity.is_main,
            "covers": result.covers or covers,
            "first_value": result.first,
            "second_value": result.second,
            "difference": result.value,
            "low": low,
            "high": high,
            "level": level,
            "p_value": p_value,
            "excludes_zero": excludes_zero,
            "seed_deviation": result.seed_deviation,
            "seed_range": result.seed_range,
            "reason": result.reason,
        }
        rows.append(row)
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    types = dict.fromkeys(_NUMBERS, "float64") | {"excludes_zero": "boolean"}
    return frame.astype(types)
