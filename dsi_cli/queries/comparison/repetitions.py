"""Groups of repeated runs, such as seeds, and the mean curves and bands of groups.

The curve of a group is the mean of its runs at each epoch that all of them have. Its
band is from the lowest to the highest run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from dsi_cli.errors import UsageError
from dsi_cli.queries.comparison.runs import ComparedRun
from dsi_cli.queries.quantities import Quantity, alignment, quantity

SEED_PATTERN = (
    r"^(.*?)(?:[-_./]?(?:seed|run|rep|trial|fold)|(?:^|[-_./])[sr])[-_=]?\d+$"
)
"""The pattern of ``--group seed``: it captures the name without the usual suffixes of
repetitions.
"""
BAND = "lowest to highest"
BAND_COLUMNS = (
    *("curve", "group", "runs", "x", "mean", "low", "high", "chance", "chance_std"),
)
NETWORKS = "networks"  # name of the curve of the SAI between two networks


class RepeatedRuns(NamedTuple):
    """A single run, or repetitions of a training."""

    name: str
    runs: list[ComparedRun]


ALIGNMENT = "alignment"
CURVES = ("accuracy", ALIGNMENT, "max_wsi", "min_wsi", "widm", "nidm")
"""The curves that figures and pages show for every run: quantities, and the alignment,
which is the agreement or the SAI by the chosen measure.
"""


def curve_quantity(name: str, measure: str) -> Quantity:
    """Return the quantity of a curve of `CURVES` or `NETWORKS`; ``measure`` is that of
    the SAI.
    """
    return alignment([measure]) if name in (ALIGNMENT, NETWORKS) else quantity(name)


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
            hint="write seed for the usual suffixes",
            code="invalid-pattern",
            pattern=expression,
        ) from None
    if compiled.groups < 1:
        message = (
            f"{expression!r} captures no group; for runs a_seed0 and a_seed1 write"
            " '(.*)_seed'"
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
            f"the group {pattern!r} matches the name of no run; the runs are {labels}"
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
    points = []
    for name, group in product(CURVES, groups):
        entry = curve_quantity(name, measure)
        for run in group.runs:
            rows = run.points(entry, split)
            x = rows["epochs_completed"] if by_completed else rows.index.to_series()
            # The deviation of the chance level is on the scale of the value, so divide
            # it to get that of the excess.
            std = rows["null_std"].astype(np.float64)
            if entry.is_excess:
                std = std / (1 - rows["null_mean"].astype(np.float64))
            of_run = {
                "curve": name,
                "group": group.name,
                "member": run.label,
                "x": x.to_numpy(dtype=np.float64, na_value=np.nan),
                "value": rows["shown"].to_numpy(),
                "chance": rows["null_mean"].to_numpy(dtype=np.float64),
                "chance_std": std.to_numpy(),
            }
            points.append(pd.DataFrame(of_run))
    return _bands(pd.concat(points, ignore_index=True))


def network_bands(
    groups: Sequence[RepeatedRuns], networks: pd.DataFrame
) -> pd.DataFrame:
    """Return the bands of the SAI excess between networks, with the columns of
    `curve_bands`: for each two groups over their pairs of runs, and within groups.
    """
    group_of_run = {run.label: group.name for group in groups for run in group.runs}
    known = networks.dropna(subset="excess")
    names, members = [], []
    for one, other in zip(known["first"], known["second"], strict=True):
        first, second = group_of_run[one], group_of_run[other]
        names.append(f"within {first}" if first == second else f"{first} – {second}")
        members.append(f"{one} – {other}")
    points = {
        "curve": NETWORKS,
        "group": pd.Series(names, dtype=object),
        "member": pd.Series(members, dtype=object),
        "x": known["at"].to_numpy(dtype=np.float64),
        "value": known["excess"].to_numpy(),
    }
    return _bands(pd.DataFrame(points).assign(chance=np.nan, chance_std=np.nan))


def _bands(points: pd.DataFrame) -> pd.DataFrame:
    """Return the bands of points, one member per run or pair of runs, at every x that
    all members of a group have.
    """
    by = ["curve", "group"]
    points = points.assign(runs=points.groupby(by)["member"].transform("nunique"))
    known = points.dropna(subset=["x", "value"]).astype({"x": "int64"})
    # The groups keep their order, which a stable sort by x would lose.
    order = known.groupby(by, sort=False).ngroup()
    known = known.assign(order=order)
    bands = known.groupby(["order", "x", *by, "runs"]).agg(
        mean=("value", "mean"),
        low=("value", "min"),
        high=("value", "max"),
        chance=("chance", "mean"),
        chance_std=("chance_std", "first"),
        members=("value", "size"),
    )
    bands = bands.reset_index()
    bands.loc[bands["runs"] > 1, "chance_std"] = np.nan
    return bands.loc[bands["members"] == bands["runs"], list(BAND_COLUMNS)].reset_index(
        drop=True
    )
