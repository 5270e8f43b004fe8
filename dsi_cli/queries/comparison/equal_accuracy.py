"""The comparison of two runs, or of two groups of repetitions, at equal accuracy.

The level is the highest accuracy that all runs reach. Each run is compared at the epoch
whose accuracy is nearest to the level; the earliest of several counts. The last epochs
are compared instead if a run has no accuracy within the tolerance of the level, or if
the level is that of guessing. Accuracy itself is always compared at the last epochs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from dsi_cli.errors import count
from dsi_cli.metrics.differences import Difference, holm
from dsi_cli.metrics.intervals import LEVEL
from dsi_cli.queries.comparison import criteria
from dsi_cli.queries.comparison.criteria import (
    LAST_ACCURACY,
    SEEDS,
    Criterion,
    RunAtEpoch,
)
from dsi_cli.queries.comparison.network_pairs import NetworkPair, compare_classes
from dsi_cli.queries.comparison.repetitions import RepeatedRuns
from dsi_cli.queries.comparison.runs import (
    ComparedRun,
    common_level,
    common_reference,
    match_classes,
    other_senses,
)

EQUAL, LAST = "equal accuracy", "last epochs"
MOST_DIFFERENT = 10  # maximum number of classes that are listed as seen differently
Row = dict[Any, Any]


@dataclass(frozen=True, eq=False)
class EqualAccuracy:
    """The comparison of two runs or groups.

    The main rows are computed at once, since a verdict needs those of all pairs. The
    tables are made on first use.
    """

    first: str
    second: str
    basis: str  # the compared epochs: equal accuracy or last epochs
    split: str
    level: float | None  # the accuracy that all runs reach
    reason: str | None  # the reason for a missing level, or for missing criteria
    trainings: tuple[int, int]  # the number of runs of each side
    main_rows: list[Row]  # the rows of `criteria` with ``is_main``
    chosen_rows: list[Row]
    # the networks of both sides; None if their classes cannot be matched
    sides: tuple[list[RunAtEpoch], list[RunAtEpoch]] | None = None
    measures: Sequence[str] = ()  # those that only describe the networks

    @property
    def is_repeated(self) -> bool:
        """True if both sides are repetitions, so that the intervals cover other
        trainings.
        """
        return min(self.trainings) > 1

    @cached_property
    def chosen(self) -> pd.DataFrame:
        """One row for each run: ``group``, ``run``, ``epoch`` (0 if ``has_epoch`` is
        False), ``epochs_completed``, ``accuracy``, ``mistakes``.
        """
        return chosen_table(self.chosen_rows)

    @cached_property
    def main(self) -> pd.DataFrame:
        """The rows of `criteria` with ``is_main``."""
        return criteria_table(self.main_rows)

    @cached_property
    def criteria_rows(self) -> list[Row]:
        """The rows of `criteria`."""
        if self.sides is None:
            return self.main_rows
        return self.main_rows + _rows(criteria.descriptions(self.measures), *self.sides)

    @cached_property
    def criteria(self) -> pd.DataFrame:
        """One row for each quantity: ``quantity``, ``title``, ``is_criterion`` (the
        paper prefers the higher value), ``is_main`` (the interval is corrected by
        Holm's method), ``covers`` (classes, test images, or for
        repetitions seeds together with one of them), ``first_value``, ``second_value``, their ``difference`` with the
        ends ``low`` and ``high`` of its confidence interval of a ``level``, the
        corrected ``p_value`` of no difference, ``excludes_zero``, ``seed_deviation``
        (standard deviation between the repetitions of one network), ``seed_range`` (95
        % of pairs of repetitions differ by at most this), and the ``reason`` for a
        missing value.
        """
        return criteria_table(self.criteria_rows)

    def networks(self) -> NetworkPair | None:
        """Return the percentile ranks of both sides; None if matrices are missing."""
        return None if self.sides is None else compare_classes(*self.sides)

    @cached_property
    def classes(self) -> pd.DataFrame:
        """The classes that are seen most differently, at most `MOST_DIFFERENT`;
        `network_pairs.compare_classes` describes the columns.
        """
        networks = self.networks()
        if networks is None:
            return pd.DataFrame({"name": [], "likeness": []})
        known = networks.classes.dropna(subset="likeness")
        return known.sort_values("likeness", kind="stable").head(MOST_DIFFERENT)

    @property
    def forest(self) -> pd.DataFrame:
        """The rows of the forest plot: all main ones at equal accuracy."""
        return self.main[self.main["quantity"] != LAST_ACCURACY.name]

    @property
    def accuracy(self) -> Row | None:
        """The row of the accuracy at the last epochs; None if nothing was compared."""
        rows = self.main[self.main["quantity"] == LAST_ACCURACY.name]
        return None if rows.empty else rows.iloc[0].to_dict()

    def described(self, group: str) -> str:
        """Return the epochs of a group, or the epoch of a single run with its accuracy
        and mistakes.
        """
        rows = [row for row in self.chosen_rows if row["group"] == group]
        epochs = [str(row["epoch"]) if row["has_epoch"] else "–" for row in rows]
        if len(rows) > 1:
            return f"epochs {', '.join(epochs)}"
        text = f"epoch {epochs[0]}"
        accuracy, mistakes = rows[0]["accuracy"], rows[0]["mistakes"]
        if not np.isnan(accuracy):
            text += f", accuracy {accuracy:.3f}"
        if not np.isnan(mistakes):
            text += f", {count(int(mistakes), 'mistake')}"
        return text


def largest_end(rows: pd.DataFrame) -> float:
    """Return the largest distance from 0 of a difference or an end of its interval, to
    draw some rows on one scale; 1 if there is none.
    """
    ends = rows[["low", "high", "difference"]].to_numpy(dtype=np.float64)
    return float(np.nan_to_num(np.abs(ends)).max(initial=0.0)) or 1.0


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
    main_rows: list[Row] = []
    sides, reason = None, level.reason
    # Compare the quantities if all runs have the classes of the first.
    chosen = runs_at_epochs(runs, level.epochs, split)
    if isinstance(chosen, str):
        reason = chosen
    else:
        at = len(first.runs)
        sides = chosen[:at], chosen[at:]
        main_rows = _main_rows(measures[0], *sides)
    return EqualAccuracy(
        first=first.name,
        second=second.name,
        basis=EQUAL if level.reason is None else LAST,
        split=split,
        level=level.value,
        reason=reason,
        trainings=(len(first.runs), len(second.runs)),
        main_rows=main_rows,
        chosen_rows=_chosen_rows([first, second], level.epochs, split),
        sides=sides,
        measures=measures[1:],
    )


def runs_at_epochs(
    runs: Sequence[ComparedRun], epochs: Mapping[str, int], split: str
) -> list[RunAtEpoch] | str:
    """Return runs at epochs that are given by label, with the classes of the first; or
    the reason why they cannot be matched.
    """
    orders = []
    senses: set[int] = set()
    for run in runs:
        classes = match_classes(runs[0], run)
        if classes.order is None:
            return classes.reason or "the classes cannot be matched"
        orders.append(classes.order)
        senses.update(other_senses(runs[0], run, classes.order).tolist())
    return [
        RunAtEpoch(run, epochs[run.label], order, split, tuple(sorted(senses)))
        for run, order in zip(runs, orders, strict=True)
    ]


def _chosen_rows(
    groups: Sequence[RepeatedRuns], epochs: Mapping[str, int], split: str
) -> list[Row]:
    rows = []
    for group in groups:
        for run in group.runs:
            epoch = epochs[run.label]
            row = {
                "group": group.name,
                "run": run.label,
                "epoch": epoch,
                "epochs_completed": (run.completed or {}).get(epoch),
                "accuracy": run.known("accuracy", split).get(epoch, np.nan),
                "mistakes": run.known("mistakes", split).get(epoch, np.nan),
                "has_epoch": run.has_epochs,
            }
            rows.append(row)
    return rows


def chosen_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Return rows on the chosen epochs as a table."""
    return pd.DataFrame(rows).astype({"epochs_completed": "Int64", "mistakes": "Int64"})


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


def criteria_table(
    rows: Sequence[Row], more_columns: Sequence[str] = ()
) -> pd.DataFrame:
    """Return rows of `EqualAccuracy.criteria` as a table; ``more_columns`` are its first
    columns.
    """
    frame = pd.DataFrame(rows, columns=[*more_columns, *_COLUMNS])
    types = dict.fromkeys(_NUMBERS, "float64") | {"excludes_zero": "boolean"}
    return frame.astype(types)


def _main_rows(
    measure: str, first: Sequence[RunAtEpoch], second: Sequence[RunAtEpoch]
) -> list[Row]:
    """Return one row per main quantity; Holm's method corrects their intervals."""
    *at_level, accuracy = criteria.main_criteria(measure)
    last, other_last = (
        [replace(one, epoch=one.run.epochs[-1]) for one in side]
        for side in (first, second)
    )
    rows = _rows(at_level, first, second) + _rows([accuracy], last, other_last)
    known = [row for row in rows if row["p_value"] is not None]
    steps = holm([row["p_value"] for row in known])
    for row, step in zip(known, steps, strict=True):
        row |= {"p_value": step.p_value} | _interval(row["result"], step.level)
    return rows


def _rows(
    quantities: Sequence[Criterion],
    first: Sequence[RunAtEpoch],
    second: Sequence[RunAtEpoch],
) -> list[Row]:
    """Return one row per quantity, without a correction for several of them."""
    reference = common_reference([one.run for one in (*first, *second)])
    rows = []
    for quantity in quantities:
        result = criteria.difference(quantity, first, second)
        covers = SEEDS if len(first) + len(second) > 2 else quantity.covers
        row = {
            "quantity": quantity.name,
            "title": quantity.title.format(reference=reference),
            "is_criterion": quantity.is_criterion,
            "is_main": quantity.is_main,
            "covers": result.covers or covers,
            "first_value": result.first,
            "second_value": result.second,
            "difference": result.value,
            "p_value": result.p_value,
            "seed_deviation": result.seed_deviation,
            "seed_range": result.seed_range,
            "reason": result.reason,
            "result": result,
        }
        rows.append(row | _interval(result, LEVEL))
    return rows


def _interval(result: Difference, level: float) -> Row:
    """Return the columns of a row on the confidence interval of a level."""
    low, high = result.interval(level) or (None, None)
    excludes_zero = None
    if low is not None and high is not None:
        excludes_zero = not low <= 0.0 <= high
    return {"low": low, "high": high, "level": level, "excludes_zero": excludes_zero}
