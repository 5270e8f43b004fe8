"""The best epoch by each criterion: alignment, mistakes, accuracy, loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsi_cli.errors import count
from dsi_cli.queries.curve_panels import PANELS, PanelSpec, Series, Values, sai_measures, series

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results


class Criterion(NamedTuple):
    """By which an epoch may be the best."""

    title: str
    short: str
    """Over a column."""
    panel: str
    of: tuple[str | None, ...]
    """The first of these that the run has."""
    column: str = "value"
    split: str | None = None
    lowest: bool = False


CRITERIA = (
    Criterion(
        "alignment with WordNet (SAI excess)",
        "SAI excess, WordNet",
        "excess",
        ("ncsm,scsm", "tncsm-test,scsm", "tncsm-train,scsm"),
        "excess",
    ),
    Criterion(
        "alignment with its own mistakes (SAI excess)",
        "SAI excess, mistakes",
        "excess",
        ("ncsm,ccsm-test", "tncsm-test,ccsm-test"),
        "excess",
    ),
    Criterion("mistakes near by WordNet (WIDM, errors)", "WIDM, errors", "idm_errors", ("scsm",), split="test"),
    Criterion(
        "mistakes near by its own similarity (NIDM, errors)", "NIDM, errors", "idm_errors", ("ncsm", "tncsm"), split="test"
    ),
    Criterion("accuracy on test", "accuracy", "accuracy", (None,), split="test"),
    Criterion("loss on test", "loss", "loss", (None,), split="test", lowest=True),
)
MISTAKES = next(kind for kind in PANELS if kind.name == "mistakes")
SURE = 3.0
"""Deviations above chance from which a value counts as more than chance."""
ROUNDING = 1e-6
"""Of an accuracy that a log holds in single precision."""
METRICS = ("sai", "idm", "accuracy", "loss")


class BestEpoch(NamedTuple):
    """The best epoch by one criterion, beside the last."""

    title: str
    short: str
    epoch: int
    value: str
    chance: str
    """What chance gives, and how far above it the value is; empty where chance has no say."""
    last: str
    last_at: int | None = None
    """The epoch of ``last``, where the run's last epoch has no value."""
    within_chance: bool = False
    """Whether chance may have given all values."""
    equal: int = 1
    """Epochs that have this value; the first of them is named."""
    mistakes: str = ""
    """On how many the value rests, where it is about them."""
    has_epoch: bool = True
    """Whether the checkpoint has an epoch; the only one of a run may have none."""

    @property
    def shown_epoch(self) -> str:
        """The epoch as it is shown."""
        return str(self.epoch) if self.has_epoch else "–"


def best_of_run(run: Results, name: str) -> list[BestEpoch]:
    """Return `best_epochs` of a run of an output."""
    found = best_epochs(run.curves_of(name), int((run.classes["run"] == name).sum()))
    return [one._replace(has_epoch=run.has_epochs(name)) for one in found]


def best_epochs(curves: pd.DataFrame, classes: int = 0) -> list[BestEpoch]:
    """Return the best epoch by each criterion that a run's curves have.

    Only epochs whose value is `SURE` deviations above chance compete, unless there is none; of equal ones the first is named.

    Parameters
    ----------
    classes : how many there are, for the chance level of the accuracy; 0 if that is not known
    """
    wanted = {criterion.panel for criterion in CRITERIA}
    panels = {kind.name: first_measure(curves, kind, classes) for kind in PANELS if kind.name in wanted}
    mistakes = {one.split: one for one in first_measure(curves, MISTAKES)}
    found = []
    for criterion in CRITERIA:
        every = [one for one in panels[criterion.panel] if one.split == criterion.split and one.metric in METRICS]
        fitting = [one for of in criterion.of for one in every if one.of == of]
        if fitting:
            best = _best(criterion, fitting[0], int(curves["epoch"].max()))
            found.append(best._replace(mistakes=_mistakes(criterion, mistakes.get("test"), best.epoch)))
    return found


def beside_each_other(
    found: Mapping[str, Sequence[BestEpoch]],
) -> tuple[list[str], list[tuple[str, list[BestEpoch | None]]]]:
    """Return the criteria that any run has, in short, and each run with its best by each of these."""
    shorts = [
        criterion.short
        for criterion in CRITERIA
        if any(one.short == criterion.short for all_ in found.values() for one in all_)
    ]
    rows = []
    for run, of_run in found.items():
        by_short = {one.short: one for one in of_run}
        rows.append((run, [by_short.get(short) for short in shorts]))
    return shorts, rows


def first_measure(curves: pd.DataFrame, kind: PanelSpec, classes: int = 0) -> list[Series]:
    """Return a run's curves of a panel, of the SAI's those of the first measure that there is; ``classes`` as `series`."""
    measure = next(iter(sai_measures(curves)), "cosine")
    return series(curves, kind, measure, classes) if len(curves) else []


def _best(criterion: Criterion, curve: Series, last_of_run: int) -> BestEpoch:
    values = is_certain(curve, getattr(curve, criterion.column))
    place = int(np.nanargmin(values) if criterion.lowest else np.nanargmax(values))
    every = getattr(curve, criterion.column)
    last = np.flatnonzero(~np.isnan(every))[-1]
    return BestEpoch(
        criterion.title,
        criterion.short,
        int(curve.epochs[place]),
        _number(values[place]),
        _chance(criterion, curve, place),
        _number(every[last]),
        last_at=None if curve.epochs[last] == last_of_run else int(curve.epochs[last]),
        within_chance=_is_within_chance(curve, values[place]),
        equal=int((values == values[place]).sum()),
    )


def _is_within_chance(curve: Series, best: float) -> bool:
    """Return whether chance may have given the best value: by z, or an accuracy that is not above chance."""
    if curve.metric == "accuracy":
        return bool(best <= curve.chance[0] + ROUNDING)
    return not np.isnan(curve.z).all() and bool(np.nanmax(curve.z) < SURE)


def _mistakes(criterion: Criterion, counts: Series | None, epoch: int) -> str:
    """Return how many mistakes a criterion that is about them rests on at an epoch, in words."""
    known = {} if counts is None else dict(zip(counts.epochs.tolist(), counts.value.tolist(), strict=True))
    return count(int(known[epoch]), "mistake") if "mistakes" in criterion.title and epoch in known else ""


def is_certain(curve: Series, values: Values) -> Values:
    """Return values without those that chance may have given, as where hardly a mistake is left; all if no other is there."""
    kept = np.where(curve.z < SURE, np.nan, values)
    return values if np.isnan(kept).all() else kept


def _chance(criterion: Criterion, curve: Series, place: int) -> str:
    if np.isnan(curve.chance[place]):
        return ""
    above = "" if np.isnan(curve.z[place]) else f"z {curve.z[place]:.1f}"
    chance = "0" if criterion.column == "excess" else _number(curve.chance[place])
    return f"{chance} ({above})" if above else chance


def _number(value: float) -> str:
    text = f"{round(value, 3) + 0.0:.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return text.replace("-", "−")
