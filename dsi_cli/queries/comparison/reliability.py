"""The reliability of similarities over the seeds of a training, the agreement corrected
for it, and whether a decline of the agreement is one of the reliability.

`dsi_cli.metrics.reliability` defines the quantities. A training run alone has no
reliability: it is unknown how much of its agreement the next seed would share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import phases
from dsi_cli.metrics.alignment import MIN_CLASSES
from dsi_cli.metrics.measures import common_classes
from dsi_cli.metrics.reliability import (
    MIN_SEEDS,
    STATISTICS,
    SeedEstimate,
    seed_estimates,
)
from dsi_cli.queries.comparison.clusters import Clusters
from dsi_cli.queries.comparison.repetitions import (
    RepeatedRuns,
    group_runs,
    repeated_runs,
)
from dsi_cli.queries.comparison.runs import (
    ComparedRun,
    compared_runs,
    match_classes,
    match_epochs,
)
from dsi_cli.queries.matrices import matrix_or_none
from dsi_cli.queries.quantities import SEED_QUANTITIES
from dsi_cli.store.results import Results

COLUMNS = (
    "group",
    "epoch",
    "seeds",
    "classes_used",
    "agreement",
    "agreement_low",
    "agreement_high",
    "reliability",
    "reliability_low",
    "reliability_high",
    "corrected",
    "low",
    "high",
    "seeds_low",
    "seeds_high",
    "classes_low",
    "classes_high",
    "reason",
)
INTERVALS = {
    "agreement_": ("agreement", "both"),
    "reliability_": ("reliability", "both"),
    "": ("corrected", "both"),
    "seeds_": ("corrected", "seeds"),
    "classes_": ("corrected", "classes"),
}
"""The statistic of each interval and what it covers, by the start of its columns."""
MAX_VALUES = 2**27
"""The most values of all matrices of a group at an epoch, which need 1 GiB."""
CURVES_DRAWN = 100
"""The number of random curves for the phases of a mean curve, whose intervals are not
used.
"""
NO_SEEDS = f"an interval over seeds needs {MIN_SEEDS} trainings or more"
UNRELIABLE = (
    "the interval of the reliability includes 0, so the agreement cannot be corrected"
)


@dataclass(frozen=True, eq=False)
class EpochOfSeeds:
    """The estimates of the seeds of one training at one epoch."""

    epoch: int
    seeds: int
    classes_used: int
    estimates: dict[str, SeedEstimate]
    reason: str | None = None

    @property
    def is_reliable(self) -> bool:
        """True if the 95 % confidence interval of the reliability is above 0."""
        if "reliability" not in self.estimates:
            return False
        found = self.estimates["reliability"]
        interval = found.interval("both") or found.interval("classes")
        return interval is not None and interval[0] > 0

    def row(self, group: str) -> dict[str, Any]:
        """Return the row of `COLUMNS`."""
        known, reason = dict(self.estimates), self.reason
        if known and not self.is_reliable:
            del known["corrected"]
            reason = UNRELIABLE
        elif known and self.seeds < MIN_SEEDS:
            reason = NO_SEEDS
        row: dict[str, Any] = {
            "group": group,
            "epoch": self.epoch,
            "seeds": self.seeds,
            "classes_used": self.classes_used,
            "reason": reason,
        }
        row |= {name: estimate.value for name, estimate in known.items()}
        for start, (name, over) in INTERVALS.items():
            interval = known[name].interval(over) if name in known else None
            row[f"{start}low"], row[f"{start}high"] = interval or (np.nan, np.nan)
        return row


@dataclass(frozen=True, eq=False)
class SeedReliability:
    """The reliability of groups of repeated trainings."""

    groups: dict[str, list[EpochOfSeeds]]
    # the names of the runs of each group
    members: dict[str, list[str]] = field(default_factory=dict)
    # the clusters of classes of the intervals; None for single classes
    clusters: Clusters | None = None

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per group and epoch; `Results.reliability` describes the columns."""
        rows = [one.row(name) for name, epochs in self.groups.items() for one in epochs]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def curve(self, quantity: str) -> pd.DataFrame:
        """Return a quantity of `SEED_QUANTITIES` of each group, where it is known:
        ``run`` (the group), ``epoch``, ``value``, ``low``, ``high``, ``chance``.
        """
        column = SEED_QUANTITIES[quantity]
        start = "" if column == "corrected" else f"{column}_"
        names = {"group": "run", "epoch": "epoch", column: "value"}
        names |= {f"{start}{end}": end for end in ("low", "high")}
        found = self.table[list(names)].rename(columns=names)
        return found.dropna(subset="value").assign(chance=0.0)

    @cached_property
    def changes(self) -> pd.DataFrame:
        """The change of each quantity over the plateau of each group, from the epoch
        after t95 of the mean agreement: ``group``, ``quantity``, ``first_epoch``,
        ``last_epoch``, ``change``, its 95 % confidence interval over seeds and classes
        from ``low`` to ``high``, and ``falls``, True if it is below 0.

        The change is that of a line by least squares, as for phases. A group without a
        plateau has no rows.
        """
        rows: list[dict[str, Any]] = []
        for name, epochs in self.groups.items():
            rows += _changes(name, epochs)
        columns = ("group", "quantity", "first_epoch", "last_epoch", "change")
        return pd.DataFrame(rows, columns=[*columns, "low", "high", "falls"])

    @cached_property
    def sentences(self) -> list[str]:
        """One sentence on each group whose agreement falls after its surge."""
        found = []
        for group, rows in self.changes.groupby("group", sort=False):
            by_name = rows.set_index("quantity").to_dict("index")
            if by_name["agreement"]["falls"] and "corrected" in by_name:
                text = _sentence(by_name["agreement"], by_name["corrected"])
                found.append(f"{group}: {text}")
        return found


def _sentence(agreement: dict[Any, Any], corrected: dict[Any, Any]) -> str:
    """Return whether the corrected agreement falls as the agreement does."""
    text = (
        f"after epoch {agreement['first_epoch']}, the agreement falls by"
        f" {-agreement['change']:.3f}"
    )
    change = "{change:+.3f} [{low:+.3f}, {high:+.3f}]".format(**corrected)
    if corrected["falls"]:
        return f"{text}, and so does the corrected agreement ({change})"
    return (
        f"{text}, but the corrected agreement does not ({change}): the seeds become"
        " less alike, and this is no refinement"
    )


def results_reliability(
    results: Results, pattern: str, clusters: Clusters | None = None
) -> SeedReliability:
    """Return the reliability of the repetitions in one results folder, with intervals
    over single classes or over clusters of classes.

    Raise `UsageError` if no group has two runs (code ``no-repetitions``), and for the
    errors of `group_runs`.
    """
    groups = []
    if len(results.names) > 1:
        runs = compared_runs([results.path], results.names)
        runs = [replace(run, clusters=clusters) for run in runs]
        groups = group_runs(runs, pattern, least=1)
    if all(len(group.runs) < 2 for group in groups):
        message = (
            f"no training has two runs by the group {pattern!r}, so the reliability is"
            f" unknown; the runs are {', '.join(results.names)}"
        )
        raise UsageError(message, code="no-repetitions", pattern=pattern)
    return seed_reliability(groups)


def usual_repetitions(
    results: Results, clusters: Clusters | None = None
) -> SeedReliability:
    """Return the reliability of the repetitions in a results folder, by the usual names
    of seeds; without groups if there are none.
    """
    if not repeated_runs(results.names):
        return SeedReliability({})
    return results_reliability(results, "seed", clusters)


def seed_reliability(groups: Sequence[RepeatedRuns]) -> SeedReliability:
    """Return the reliability of each group that has two runs or more."""
    repeated = [group for group in groups if len(group.runs) > 1]
    return SeedReliability(
        {one.name: _epochs_of_seeds(one.runs) for one in repeated},
        {one.name: [run.name for run in one.runs] for one in repeated},
        groups[0].runs[0].clusters,
    )


def _epochs_of_seeds(runs: Sequence[ComparedRun]) -> list[EpochOfSeeds]:
    """Return the estimates of the seeds at each epoch that all runs have."""
    orders = [match_classes(runs[0], run).order for run in runs]
    reference = matrix_or_none(runs[0].results, runs[0].name, "scsm")
    if reference is None:
        return []
    members = []
    for run, order in zip(runs, orders, strict=True):
        if order is None or run.own is None:
            return []
        members.append((run, run.own, np.ix_(order, order)))
    found = []
    for number, *epochs in match_epochs(*runs)[1]:
        csms = [
            run.csm(kind, epoch)[square]
            for (run, kind, square), epoch in zip(members, epochs, strict=True)
        ]
        found.append(_epoch_of_seeds(number, csms, reference, runs[0].cluster_of_class))
    return found


def _epoch_of_seeds(
    epoch: int,
    csms: Sequence[NDArray[np.floating]],
    reference: NDArray[np.floating],
    clusters: NDArray[np.intp] | None,
) -> EpochOfSeeds:
    """Return the estimates of matrices ``(C, C)`` of the same classes, which may have
    the clusters ``(C,)``; or the reason why they are missing.
    """
    kept = common_classes([*csms, reference])
    empty = EpochOfSeeds(epoch, len(csms), len(kept), {})
    if len(kept) < MIN_CLASSES:
        reason = f"{len(kept)} classes: the reliability needs {MIN_CLASSES} or more"
        return replace(empty, reason=reason)
    if (len(csms) + 1) * len(kept) ** 2 > MAX_VALUES:
        reason = f"{len(kept)} classes of {len(csms)} runs need too much memory"
        return replace(empty, reason=reason)
    block = np.ix_(kept, kept)
    estimates = seed_estimates(
        np.array([csm[block] for csm in csms]),
        reference[block],
        None if clusters is None else clusters[kept],
    )
    return replace(empty, estimates=estimates)


def _changes(group: str, epochs: Sequence[EpochOfSeeds]) -> list[dict[str, Any]]:
    known = [one for one in epochs if one.estimates]
    time = np.array([one.epoch for one in known], dtype=np.float64)
    curve = np.array([one.estimates["agreement"].value for one in known])
    of_curve = phases.phases(time, curve, start=0.0, draws=CURVES_DRAWN)
    risen = next((one.last_epoch for one in of_curve.found if one.name == "t95"), None)
    if risen is None:
        return []
    # The epoch that reaches t95 is left out, since it is chosen for its high value.
    late = np.flatnonzero(time >= risen)[1:]
    if len(late) < phases.MIN_LATE_EPOCHS:
        return []
    line = phases.line_of_change(time[late])
    rows = []
    for name in STATISTICS:
        if name == "corrected" and not all(known[at].is_reliable for at in late):
            continue
        estimates = [known[at].estimates[name] for at in late]
        both = [one.without_both for one in estimates]
        change = SeedEstimate(
            value=float(line @ [one.value for one in estimates]),
            without_seed=line @ [one.without_seed for one in estimates],
            without_cluster=line @ [one.without_cluster for one in estimates],
            without_both=np.tensordot(line, both, axes=1),
        )
        low, high = change.interval() or (np.nan, np.nan)
        row = {
            "group": group,
            "quantity": name,
            "first_epoch": known[late[0]].epoch,
            "last_epoch": known[late[-1]].epoch,
            "change": change.value,
            "low": low,
            "high": high,
            "falls": bool(high < 0),
        }
        rows.append(row)
    return rows
