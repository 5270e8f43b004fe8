"""The best epoch of a training run by each criterion: alignment, mistakes, accuracy, loss."""

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
    """A criterion for the best epoch: one column of one curve."""

    title: str
    short: str
    """The title of a table column."""
    panel: str
    matrices: tuple[str | None, ...]
    """Matrices of the curve in order of preference; the first that the run has decides."""
    column: str = "value"
    split: str | None = None
    lowest_is_best: bool = False


CRITERIA = (
    Criterion(
        "alignment with WordNet (SAI excess)",
        "SAI excess, WordNet",
        "excess",
        ("ncsm,scsm", "tncsm-test,scsm", "tncsm-train,scsm"),
        "excess",
    ),
    Criterion(
        "alignment with the network's mistakes (SAI excess)",
        "SAI excess, mistakes",
        "excess",
        ("ncsm,ccsm-test", "tncsm-test,ccsm-test"),
        "excess",
    ),
    Criterion("mistakes near by WordNet (WIDM over errors)", "WIDM, errors", "idm_errors", ("scsm",), split="test"),
    Criterion(
        "mistakes near by the network's similarity (NIDM over errors)",
        "NIDM, errors",
        "idm_errors",
        ("ncsm", "tncsm"),
        split="test",
    ),
    Criterion("accuracy on test", "accuracy", "accuracy", (None,), split="test"),
    Criterion("loss on test", "loss", "loss", (None,), split="test", lowest_is_best=True),
)
MISTAKE_COUNTS = next(kind for kind in PANELS if kind.name == "mistakes")
MIN_Z = 3.0
"""Standard deviations above the chance level from which a value counts as above chance."""
SINGLE_PRECISION_ERROR = 1e-6
"""Tolerance for accuracies, because a training log may store them in single precision."""
METRICS = ("sai", "idm", "accuracy", "loss")


class BestEpoch(NamedTuple):
    """The best epoch by one criterion, together with the value at the last epoch."""

    title: str
    short: str
    epoch: int
    value: str
    chance: str
    """The chance level and z; empty if there is no chance level."""
    last: str
    """The value at the last epoch that has one."""
    last_epoch: int | None = None
    """The epoch of ``last``; None if it is the last epoch of the run."""
    within_chance: bool = False
    """True if all values are compatible with chance."""
    ties: int = 1
    """The number of epochs with this value; ``epoch`` is the first of them."""
    mistakes: str = ""
    """The number of mistakes that the value averages over; empty if the criterion does not concern mistakes."""
    has_epoch: bool = True
    """True if the checkpoint has an epoch number; the only checkpoint of a run may have none."""

    @property
    def epoch_text(self) -> str:
        """The epoch as text."""
        return str(self.epoch) if self.has_epoch else "–"


def best_of_run(results: Results, run: str) -> list[BestEpoch]:
    """Return `best_epochs` of a training run in a results folder."""
    epochs = best_epochs(results.curves_of(run), int((results.classes["run"] == run).sum()))
    return [epoch._replace(has_epoch=results.has_epochs(run)) for epoch in epochs]


def best_epochs(curves: pd.DataFrame, classes: int = 0) -> list[BestEpoch]:
    """Return the best epoch by each criterion that the curves of a run have.

    Only epochs whose value is `MIN_Z` standard deviations above chance compete. If there is no such epoch, all compete. The first
    of several equal epochs is the best.

    Parameters
    ----------
    classes : number of classes, for the chance level of the accuracy; 0 if unknown
    """
    names = {criterion.panel for criterion in CRITERIA}
    panels = {kind.name: curves_of_first_measure(curves, kind, classes) for kind in PANELS if kind.name in names}
    mistakes = {curve.split: curve for curve in curves_of_first_measure(curves, MISTAKE_COUNTS)}
    result = []
    for criterion in CRITERIA:
        candidates = [c for c in panels[criterion.panel] if c.split == criterion.split and c.metric in METRICS]
        matching = [curve for matrices in criterion.matrices for curve in candidates if curve.of == matrices]
        if matching:
            best = _best_epoch(criterion, matching[0], int(curves["epoch"].max()))
            result.append(best._replace(mistakes=_mistakes_text(criterion, mistakes.get("test"), best.epoch)))
    return result


def criteria_table(
    best: Mapping[str, Sequence[BestEpoch]],
) -> tuple[list[str], list[tuple[str, list[BestEpoch | None]]]]:
    """Return the short titles of the criteria that any run has, and one row per run with its best epoch by each criterion."""
    available = {epoch.short for epochs in best.values() for epoch in epochs}
    shorts = [criterion.short for criterion in CRITERIA if criterion.short in available]
    rows = []
    for run, epochs in best.items():
        by_short = {epoch.short: epoch for epoch in epochs}
        rows.append((run, [by_short.get(short) for short in shorts]))
    return shorts, rows


def curves_of_first_measure(curves: pd.DataFrame, kind: PanelSpec, classes: int = 0) -> list[Series]:
    """Return a run's curves of a panel; for the SAI, those of the first measure in the table. ``classes`` is as for `series`."""
    measure = next(iter(sai_measures(curves)), "cosine")
    return series(curves, kind, measure, classes) if len(curves) else []


def exclude_chance(curve: Series, values: Values) -> Values:
    """Return values with NaN where z is below `MIN_Z`, as for an IDM over very few mistakes; unchanged if no value remains."""
    kept = np.where(curve.z < MIN_Z, np.nan, values)
    return values if np.isnan(kept).all() else kept


def _best_epoch(criterion: Criterion, curve: Series, last_of_run: int) -> BestEpoch:
    all_values = getattr(curve, criterion.column)
    values = exclude_chance(curve, all_values)
    index = int(np.nanargmin(values) if criterion.lowest_is_best else np.nanargmax(values))
    last = np.flatnonzero(~np.isnan(all_values))[-1]
    last_epoch = int(curve.epochs[last])
    return BestEpoch(
        criterion.title,
        criterion.short,
        int(curve.epochs[index]),
        _number(values[index]),
        _chance_text(criterion, curve, index),
        _number(all_values[last]),
        last_epoch=None if last_epoch == last_of_run else last_epoch,
        within_chance=_is_within_chance(curve, values[index]),
        ties=int((values == values[index]).sum()),
    )


def _is_within_chance(curve: Series, best: float) -> bool:
    if curve.metric == "accuracy":
        return bool(best <= curve.chance[0] + SINGLE_PRECISION_ERROR)
    return not np.isnan(curve.z).all() and bool(np.nanmax(curve.z) < MIN_Z)


def _mistakes_text(criterion: Criterion, counts: Series | None, epoch: int) -> str:
    """Return the number of mistakes at an epoch in words, if the criterion concerns mistakes and the number is known."""
    if counts is None or "mistakes" not in criterion.title:
        return ""
    by_epoch = dict(zip(counts.epochs.tolist(), counts.value.tolist(), strict=True))
    return count(int(by_epoch[epoch]), "mistake") if epoch in by_epoch else ""


def _chance_text(criterion: Criterion, curve: Series, index: int) -> str:
    if np.isnan(curve.chance[index]):
        return ""
    chance = "0" if criterion.column == "excess" else _number(curve.chance[index])
    return chance if np.isnan(curve.z[index]) else f"{chance} (z {curve.z[index]:.1f})"


def _number(value: float) -> str:
    text = f"{round(value, 3) + 0.0:.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return text.replace("-", "−")
