"""Groups of repeated runs, such as seeds, and the mean curves and bands of groups.

The curve of a group is the mean of its runs at each epoch that all of them have. Its
band is from the lowest to the highest run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from dsi_cli.errors import UsageError
from dsi_cli.queries.comparison.criteria import measure_title
from dsi_cli.queries.comparison.runs import (
    ACCURACY,
    ALIGNMENT,
    MAX_WSI,
    MIN_WSI,
    NIDM,
    WIDM,
    ComparedRun,
    CurveRows,
)

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
    """A curve that figures and pages show for every run."""

    name: str
    title: str
    axis: str
    rows: CurveRows
    chance: bool = False  # True if figures show the chance level

    @property
    def is_excess(self) -> bool:
        """True if the values are an excess, whose chance level is 0."""
        return self.rows.column == "excess"

    def axis_title(self, measure: str, split: str) -> str:
        """Return the title of the vertical axis."""
        axis = measure_title(measure) if self.is_excess else self.axis
        return f"{axis} ({split})" if self.rows.has_split else axis


_NEAR = "How near mistakes fall, by"
_SIMILARITY = "Similarity to the"
CURVES = (
    RunCurve("accuracy", "Accuracy", "accuracy", ACCURACY),
    RunCurve("alignment", "Agreement with WordNet", "", ALIGNMENT),
    RunCurve("max_wsi", f"{_SIMILARITY} most similar classes", "max WSI", MAX_WSI),
    RunCurve("min_wsi", f"{_SIMILARITY} least similar classes", "min WSI", MIN_WSI),
    RunCurve("widm", f"{_NEAR} WordNet", "WIDM of mistakes", WIDM, chance=True),
    RunCurve("nidm", f"{_NEAR} the network", "NIDM of mistakes", NIDM, chance=True),
)
NETWORK_CURVE = RunCurve(NETWORKS, "Similarity between the networks", "", ALIGNMENT)
"""The curve of the SAI between two networks, which is in no table."""


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


def repeated_runs(names: Sequence[str]) -> set[str]:
    """Return the names of the runs that are repetitions by `SEED_PATTERN`.

    >>> sorted(repeated_runs(["cnn_seed0", "cnn_seed1", "vit_seed0", "resnet"]))
    ['cnn_seed0', 'cnn_seed1']
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        if match := re.search(SEED_PATTERN, name):
            groups.setdefault(match.group(1), []).append(name)
    return {name for group in groups.values() if len(group) > 1 for name in group}


def all_know_completed_epochs(runs: Sequence[ComparedRun]) -> bool:
    """Return True if the number of completed epochs is known for all runs."""
    return all(run.completed is not None for run in runs)


def curve_bands(
    groups: Sequence[RepeatedRuns], split: str, measure: str
) -> pd.DataFrame:
    """Return every curve of `CURVES` of every group that has it, one row per epoch.

    The columns are ``curve``, ``group``, ``runs`` (their number), ``x`` (the number of
    completed epochs if all runs have it, or else the epoch number), ``mean``, ``low``
    and ``high`` (the lowest and the highest run), ``chance``, and ``chance_std`` on the
    scale of the curve, which is NaN for groups.
    """
    runs = [run for group in groups for run in group.runs]
    by_completed = all_know_completed_epochs(runs)
    bands = []
    for curve, group in product(CURVES, groups):
        points = {
            run.label: _points(curve.rows, run, split, measure, by_completed)
            for run in group.runs
        }
        values = {label: rows["value"] for label, rows in points.items()}
        band = _band(curve.name, group.name, values)
        chance = pd.DataFrame({label: rows["chance"] for label, rows in points.items()})
        band["chance"] = chance.mean(axis=1).reindex(band["x"]).to_numpy()
        if len(points) == 1:
            (rows,) = points.values()
            band["chance_std"] = rows["chance_std"].reindex(band["x"]).to_numpy()
        bands.append(band)
    return pd.concat(bands, ignore_index=True)


def network_bands(
    groups: Sequence[RepeatedRuns], networks: pd.DataFrame
) -> pd.DataFrame:
    """Return the bands of the SAI excess between networks, with the columns of
    `curve_bands`: for each two groups over their pairs of runs, and within groups.
    """
    group_of_run = {run.label: group.name for group in groups for run in group.runs}
    pairs: dict[str, dict[str, pd.Series]] = {}
    known = networks.dropna(subset="excess")
    for (one, other), rows in known.groupby(["first", "second"], sort=False):
        first, second = group_of_run[str(one)], group_of_run[str(other)]
        name = f"within {first}" if first == second else f"{first} – {second}"
        series = rows.set_index("at")["excess"]
        pairs.setdefault(name, {})[f"{one} – {other}"] = series
    bands = [_band(NETWORKS, name, series) for name, series in pairs.items()]
    return pd.concat([_band(NETWORKS, "", {}), *bands], ignore_index=True)


def _band(curve: str, group: str, series: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return the band of values, one series per run or pair of runs, without a chance
    level.
    """
    values = pd.DataFrame(series).dropna().sort_index()
    band = pd.DataFrame({"x": values.index.astype(int)})
    band.insert(0, "curve", curve)
    band.insert(1, "group", group)
    band.insert(2, "runs", len(series))
    band["mean"] = values.mean(axis=1).to_numpy()
    band["low"] = values.min(axis=1).to_numpy()
    band["high"] = values.max(axis=1).to_numpy()
    return band.assign(chance=np.nan, chance_std=np.nan)


def _points(
    selected: CurveRows, run: ComparedRun, split: str, measure: str, by_completed: bool
) -> pd.DataFrame:
    """Return the values, chance level and its deviation of a curve, by completed epochs
    or epoch number.
    """
    rows = run.points(selected, split, measure)
    x = rows["epochs_completed"] if by_completed else rows.index.to_series()
    # The deviation of the chance level is on the scale of the value, so divide it to
    # get that of the excess.
    std = rows["null_std"].astype(np.float64)
    if selected.column == "excess":
        std = std / (1 - rows["null_mean"].astype(np.float64))
    points = pd.DataFrame({"value": rows["shown"], "chance_std": std})
    points["chance"] = rows["null_mean"].astype(np.float64)
    points.index = pd.Index(x.to_numpy(dtype=np.float64, na_value=np.nan))
    return points[points.index.notna()]
