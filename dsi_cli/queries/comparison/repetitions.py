"""Groups of repeated runs, such as seeds, and the mean curves and bands of groups.

The curve of a group is the mean of its runs at each epoch that all of them have. Its
band is from the lowest to the highest run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from dsi_cli.errors import UsageError
from dsi_cli.queries.comparison.criteria import measure_title
from dsi_cli.queries.comparison.network_pairs import CrossAlignment
from dsi_cli.queries.comparison.runs import ComparedRun
from dsi_cli.queries.matrices import none_if_nan

SEED_PATTERN = (
    r"^(.*?)(?:[-_./]?(?:seed|run|rep|trial|fold)|(?:^|[-_./])[sr])[-_=]?\d+$"
)
"""The pattern of ``--group seed``: it captures the name without the usual suffixes of
repetitions.
"""
BAND = "lowest to highest"
NETWORKS = "networks"  # name of the curve of the SAI between two networks


class RepeatedRuns(NamedTuple):
    """A single run, or repetitions of a training."""

    name: str
    runs: list[ComparedRun]


class RunCurve(NamedTuple):
    """A curve that figures show for every run."""

    name: str
    title: str
    axis: str
    metric: str
    # the column ``of`` of the curves table; ``{own}`` is the matrix of the network's
    # similarity
    of: str | None
    has_split: bool
    variant: str | None
    column: str = "value"
    chance: bool = False  # True if figures show the chance level

    def axis_title(self, measure: str, split: str) -> str:
        """Return the title of the vertical axis."""
        axis = measure_title(measure) if self.column == "excess" else self.axis
        return f"{axis} ({split})" if self.has_split else axis


CURVES = (
    RunCurve("accuracy", "Accuracy", "accuracy", "accuracy", None, True, None),
    RunCurve(
        "alignment",
        "Agreement with WordNet",
        "",
        "sai",
        "{own},scsm",
        False,
        "{measure}",
        "excess",
    ),
    RunCurve(
        "max_wsi",
        "Similarity to the most similar classes",
        "max WSI",
        "wsi",
        "{own}",
        False,
        "max",
    ),
    RunCurve(
        "min_wsi",
        "Similarity to the least similar classes",
        "min WSI",
        "wsi",
        "{own}",
        False,
        "min",
    ),
    RunCurve(
        "widm",
        "How near mistakes fall, by WordNet",
        "WIDM of mistakes",
        "idm",
        "scsm",
        True,
        "errors",
        chance=True,
    ),
    RunCurve(
        "nidm",
        "How near mistakes fall, by the network",
        "NIDM of mistakes",
        "idm",
        "{own}",
        True,
        "errors",
        chance=True,
    ),
)
NETWORK_CURVE = RunCurve(
    NETWORKS, "Similarity between the networks", "", "sai", None, False, None, "excess"
)
"""The curve of the SAI between two networks, which is in no table."""


@dataclass(frozen=True)
class CurveBand:
    """One curve of one run or group."""

    curve: str
    group: str
    runs: list[str]
    # the numbers of completed epochs if all runs have them, or else the epoch numbers
    x: list[int]
    mean: list[float]
    low: list[float]  # the lowest value of the runs; the mean for a single run
    high: list[float]  # the highest value of the runs; the mean for a single run
    chance: list[float | None]
    # of the chance level on the scale of the curve; None for a group
    chance_std: list[float | None]


def group_runs(
    runs: Sequence[ComparedRun], pattern: str | None, least: int = 2
) -> list[RepeatedRuns]:
    """Return the runs in groups of repetitions; each run is a group without a pattern.

    The pattern, a regular expression or ``seed`` for `SEED_PATTERN`, is searched in the
    labels of the runs, and its first captured part names the group. A run without a
    match is a group.

    Raise `UsageError` if the pattern is not a regular expression (code
    ``invalid-pattern``), captures nothing (code ``no-captured-group``), matches no run
    (code ``no-match``), or gives fewer groups than `least` (code ``one-group``).
    """
    if pattern is None:
        return [RepeatedRuns(run.label, [run]) for run in runs]
    expression = SEED_PATTERN if pattern == "seed" else pattern
    try:
        compiled = re.compile(expression)
    except re.error as error:
        message = f"{expression!r} is not a regular expression ({error})"
        raise UsageError(
            message,
            hint="write --group seed for the usual suffixes",
            code="invalid-pattern",
            pattern=expression,
        ) from None
    if compiled.groups < 1:
        message = (
            f"{expression!r} captures no group; for runs a_seed0 and a_seed1 write"
            " --group '(.*)_seed'"
        )
        raise UsageError(message, code="no-captured-group", pattern=expression)
    labels = ", ".join(run.label for run in runs)
    groups: dict[str, list[ComparedRun]] = {}
    matches = 0
    for run in runs:
        name = run.label
        if match := compiled.search(run.label):
            matches += 1
            name = match.group(1) or run.results.path.resolve().name
        groups.setdefault(name, []).append(run)
    if not matches:
        message = (
            f"--group {pattern!r} matches the name of no run; the runs are {labels}"
        )
        raise UsageError(message, code="no-match", pattern=pattern)
    if len(groups) < least:
        only = next(iter(groups))
        message = (
            f"all runs are in one group, {only!r}, and a comparison needs two or more;"
            f" the runs are {labels}"
        )
        raise UsageError(message, code="one-group", group=only)
    return [RepeatedRuns(name, members) for name, members in groups.items()]


def all_know_completed_epochs(runs: Sequence[ComparedRun]) -> bool:
    """Return True if the number of completed epochs is known for all runs."""
    return all(run.completed is not None for run in runs)


def curve_bands(
    groups: Sequence[RepeatedRuns], split: str, measure: str
) -> list[CurveBand]:
    """Return every curve of `CURVES` of every group that has it."""
    by_completed = all_know_completed_epochs(
        [run for group in groups for run in group.runs]
    )
    bands = []
    for curve, group in product(CURVES, groups):
        points = {
            run.label: _points(curve, run, split, measure, by_completed)
            for run in group.runs
        }
        values = (
            pd.DataFrame({label: rows["value"] for label, rows in points.items()})
            .dropna()
            .sort_index()
        )
        chance = pd.DataFrame(
            {label: rows["chance"] for label, rows in points.items()}
        ).reindex(values.index)
        band = replace(
            _band(curve.name, group.name, values),
            chance=[*map(none_if_nan, chance.mean(axis=1))],
        )
        if len(points) == 1:
            (rows,) = points.values()
            band = replace(
                band,
                chance_std=[
                    *map(none_if_nan, rows["chance_std"].reindex(values.index))
                ],
            )
        bands.append(band)
    return [band for band in bands if band.x]


def network_bands(
    groups: Sequence[RepeatedRuns], every: Sequence[CrossAlignment]
) -> list[CurveBand]:
    """Return the bands of the SAI excess between networks: for each two groups over
    their pairs of runs, and within groups.
    """
    group_of_run = {run.label: group.name for group in groups for run in group.runs}
    pairs: dict[str, dict[str, pd.Series]] = {}
    for pair in every:
        first, second = group_of_run[pair.first], group_of_run[pair.second]
        name = f"within {first}" if first == second else f"{first} – {second}"
        points = {
            point.at: point.excess for point in pair.points if point.excess is not None
        }
        if points:
            pairs.setdefault(name, {})[f"{pair.first} – {pair.second}"] = pd.Series(
                points
            )
    bands = [
        _band(NETWORKS, name, pd.DataFrame(series).dropna().sort_index())
        for name, series in pairs.items()
    ]
    return [band for band in bands if band.x]


def _band(curve: str, group: str, values: pd.DataFrame) -> CurveBand:
    """Return the band of values with one column per run or pair of runs, without a
    chance level.
    """
    return CurveBand(
        curve=curve,
        group=group,
        runs=[str(name) for name in values],
        x=[int(epoch) for epoch in values.index],
        mean=values.mean(axis=1).tolist(),
        low=values.min(axis=1).tolist(),
        high=values.max(axis=1).tolist(),
        chance=[None] * len(values),
        chance_std=[None] * len(values),
    )


def _points(
    curve: RunCurve, run: ComparedRun, split: str, measure: str, by_completed: bool
) -> pd.DataFrame:
    """Return the values, chance level and its deviation of a curve, by completed epochs
    or epoch number.
    """
    variant = None if curve.variant is None else curve.variant.format(measure=measure)
    rows = run.curve(
        curve.metric, curve.of, split if curve.has_split else None, variant
    )
    x = rows["epochs_completed"] if by_completed else rows.index.to_series()
    # The deviation of the chance level is on the scale of the value, so divide it to
    # get that of the excess.
    std = rows["null_std"]
    if curve.column == "excess":
        std = std / (1 - rows["null_mean"])
    values = {
        "value": rows[curve.column],
        "chance": rows["null_mean"],
        "chance_std": std,
    }
    numbers = {
        name: column.to_numpy(dtype=np.float64, na_value=np.nan)
        for name, column in values.items()
    }
    frame = pd.DataFrame(numbers, index=x.to_numpy(dtype=np.float64, na_value=np.nan))
    return frame[~np.isnan(frame.index)].astype(np.float64)
