"""Runs that repeat each other, and the curves of runs and groups drawn over each other.

A group's curve is the mean of its runs at each epoch that all of them have, its band from the lowest to the highest of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from dsi_cli.errors import UsageError
from dsi_cli.metrics import DISTANCES
from dsi_cli.queries.comparison.cross_alignment import CrossAlignment
from dsi_cli.queries.comparison.runs import ComparedRun

SEED = r"^(.*?)[-_./]?(?:seed|run|rep|trial|fold|s|r)[-_=]?\d+$"
"""What ``--group seed`` stands for: what comes before the usual suffixes of a repetition."""
BAND = "lowest to highest"
NETWORKS = "networks"
"""The curve of how alike two networks are."""


class RepeatedRuns(NamedTuple):
    """A run, or runs that repeat each other."""

    name: str
    runs: list[ComparedRun]


class RunCurve(NamedTuple):
    """One curve that is drawn for every run."""

    name: str
    title: str
    axis: str
    metric: str
    of: str | None
    """``{own}`` stands for the network's own similarity."""
    has_split: bool
    variant: str | None
    column: str = "value"
    chance: bool = False
    """Whether its chance level is drawn."""


CURVES = (
    RunCurve("accuracy", "Accuracy", "accuracy", "accuracy", None, True, None),
    RunCurve(
        "alignment", "Alignment with WordNet", "SAI excess, {measure}", "sai", "{own},scsm", False, "{measure}", "excess"
    ),
    RunCurve("max_wsi", "Similarity to the most similar classes", "max WSI", "wsi", "{own}", False, "max"),
    RunCurve("min_wsi", "Similarity to the least similar classes", "min WSI", "wsi", "{own}", False, "min"),
    RunCurve("widm", "How near mistakes fall, by WordNet", "WIDM of mistakes", "idm", "scsm", True, "errors", chance=True),
    RunCurve(
        "nidm", "How near mistakes fall, by the network", "NIDM of mistakes", "idm", "{own}", True, "errors", chance=True
    ),
)


@dataclass(frozen=True)
class CurveBand:
    """One curve of one run or group."""

    curve: str
    group: str
    runs: list[str]
    x: list[int]
    """Epochs completed where all that are compared know them, else epochs."""
    mean: list[float]
    low: list[float]
    high: list[float]
    """The lowest and highest of the runs; the mean itself where there is one run."""
    chance: list[float | None]
    chance_std: list[float | None]
    """Its deviation on the curve's own scale, of a single run."""


def group_runs(entrants: Sequence[ComparedRun], pattern: str | None) -> list[RepeatedRuns]:
    """Return the runs in groups; each alone where there is no pattern.

    Parameters
    ----------
    pattern : a regular expression, or ``seed`` for `SEED`
        It is looked for in what a run is called; its first captured part names the group. A run without it is alone.

    Raises
    ------
    UsageError
        It is no regular expression, captures nothing, fits no run, or all runs are in one group.
    """
    if pattern is None:
        return [RepeatedRuns(one.label, [one]) for one in entrants]
    compiled = _compiled(SEED if pattern == "seed" else pattern)
    runs = ", ".join(one.label for one in entrants)
    if not any(compiled.search(one.label) for one in entrants):
        raise UsageError(f"--group {pattern!r} fits the name of no run; the runs are {runs}")
    groups: dict[str, list[ComparedRun]] = {}
    for one in entrants:
        found = compiled.search(one.label)
        name = one.label if found is None else found.group(1) or one.run.path.resolve().name
        groups.setdefault(name, []).append(one)
    if len(groups) < 2:
        raise UsageError(
            f"all runs are in one group, {next(iter(groups))!r}: a comparison takes two or more; the runs are {runs}"
        )
    return [RepeatedRuns(name, runs) for name, runs in groups.items()]


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{pattern!r} is no regular expression: {error}; `seed` stands for the usual suffixes") from None
    if compiled.groups < 1:
        raise UsageError(
            f"the group is what parentheses capture, and {pattern!r} has none: for runs a_seed0, a_seed1 write '(.*)_seed'"
        )
    return compiled


def completed_known(entrants: Sequence[ComparedRun]) -> bool:
    """Return whether all runs know how many epochs they have finished."""
    return all(one.completed is not None for one in entrants)


def curve_bands(groups: Sequence[RepeatedRuns], split: str, measure: str) -> list[CurveBand]:
    """Return every curve of `CURVES` of every group that has it."""
    by_completed = completed_known([one for group in groups for one in group.runs])
    found = [_band(curve, group, split, measure, by_completed) for curve in CURVES for group in groups]
    return [band for band in found if band.x]


def network_bands(groups: Sequence[RepeatedRuns], every: Sequence[CrossAlignment], measure: str) -> list[CurveBand]:
    """Return how alike the networks are, as SAI excess: for every two groups over all their pairs of runs, and within a group."""
    of_run = {one.label: group.name for group in groups for one in group.runs}
    pairs: dict[str, dict[str, pd.Series]] = {}
    for one in every:
        first, second = of_run[one.first], of_run[one.second]
        name = f"within {first}" if first == second else f"{first} – {second}"
        points = {p.at: p.excess for p in one.points if p.measure == measure and p.excess is not None}
        if points:
            pairs.setdefault(name, {})[f"{one.first} – {one.second}"] = pd.Series(points)
    found = [_band_of(NETWORKS, name, pd.DataFrame(series).dropna().sort_index()) for name, series in pairs.items()]
    return [band for band in found if band.x]


def _band_of(curve: str, group: str, frame: pd.DataFrame) -> CurveBand:
    """Return the band of values, a column a run or pair of runs, without chance level."""
    return CurveBand(
        curve=curve,
        group=group,
        runs=[str(name) for name in frame],
        x=[int(at) for at in frame.index],
        mean=frame.mean(axis=1).tolist(),
        low=frame.min(axis=1).tolist(),
        high=frame.max(axis=1).tolist(),
        chance=[None] * len(frame),
        chance_std=[None] * len(frame),
    )


def _band(curve: RunCurve, group: RepeatedRuns, split: str, measure: str, by_completed: bool) -> CurveBand:
    points = {one.label: _points(curve, one, split, measure, by_completed) for one in group.runs}
    frame = pd.DataFrame({label: rows["value"] for label, rows in points.items()}).dropna().sort_index()
    chance, std = (
        pd.DataFrame({label: rows[name] for label, rows in points.items()}).reindex(frame.index)
        for name in ("chance", "chance_std")
    )
    levels = _known(chance.mean(axis=1))
    found = replace(_band_of(curve.name, group.name, frame), chance=levels)
    return replace(found, chance_std=_known(std.mean(axis=1))) if len(group.runs) == 1 else found


def _known(values: pd.Series) -> list[float | None]:
    return [None if np.isnan(one) else float(one) for one in values]


def _points(curve: RunCurve, run: ComparedRun, split: str, measure: str, by_completed: bool) -> pd.DataFrame:
    """Return a curve's value, chance level and its deviation on the curve's scale, by epochs completed or epoch."""
    variant = None if curve.variant is None else curve.variant.format(measure=measure)
    of = None if curve.of is None else curve.of.format(own=run.own)
    own_split = None
    if curve.metric == "wsi" and of is not None:
        of, _, own_split = of.partition("-")
    rows = run.curve(curve.metric, of, split if curve.has_split else own_split or None, variant)
    x = rows["epochs_completed"] if by_completed else rows.index.to_series()
    scale = (rows["null_mean"] if variant in DISTANCES else 1 - rows["null_mean"]) if curve.column == "excess" else 1.0
    values = {"value": rows[curve.column], "chance": rows["null_mean"], "chance_std": rows["null_std"] / scale}
    numbers = {name: column.to_numpy(dtype=np.float64, na_value=np.nan) for name, column in values.items()}
    frame = pd.DataFrame(numbers, index=x.to_numpy(dtype=np.float64, na_value=np.nan))
    return frame[~np.isnan(frame.index)].astype(np.float64)
