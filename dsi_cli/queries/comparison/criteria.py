"""What is compared at one epoch of each network, and how each difference gets its interval.

A quantity is compared between two runs from their matrices and counts (`difference`), and between repetitions from what each
run's curves table says (`value`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import differences
from dsi_cli.metrics.differences import CsmPair, Difference
from dsi_cli.queries.comparison.runs import ComparedRun

Order = NDArray[np.intp]


@dataclass(frozen=True)
class RunAtEpoch:
    """One network at one epoch, with its classes in a common order."""

    entrant: ComparedRun
    epoch: int
    order: Order
    """Its class of each common class, ``(C,)``."""
    split: str

    def csm(self, kind: str) -> NDArray[np.float32]:
        """Return a matrix in the common order, a class without a sample lacking in a CCSM; ``own`` for the network's own."""
        name = (self.entrant.own or "ncsm") if kind == "own" else f"ccsm-{self.split}" if kind == "ccsm" else kind
        matrix = self.entrant.csm(name, self.epoch)[np.ix_(self.order, self.order)]
        if kind == "ccsm":
            empty = np.flatnonzero(self.counts().sum(axis=1) == 0)
            matrix[empty, empty] = np.nan
        return matrix

    def counts(self) -> NDArray[np.int64]:
        """Return the confusion counts in the common order."""
        counts = self.entrant.run.confusion(self.epoch, self.split, self.entrant.name).to_numpy()
        return np.asarray(counts[np.ix_(self.order, self.order)], dtype=np.int64)

    def reliability(self) -> float:
        """Return the reliability of the CCSM, above 0; a `UsageError` where it has none."""
        rows = self.entrant.curve("reliability", "ccsm", self.split)
        value = rows["value"].get(self.epoch, np.nan)
        if not value > 0:
            raise UsageError(f"the CCSM of {self.entrant.label} has no reliability above 0: its mistakes are noise")
        return float(value)


class BootstrapOptions(NamedTuple):
    """Of the intervals."""

    number: int
    seed: int


class Criterion(NamedTuple):
    """One thing that is compared."""

    name: str
    title: str
    is_criterion: bool
    """Whether the paper prefers the network that has more of it."""
    difference: Callable[[RunAtEpoch, RunAtEpoch, BootstrapOptions], Difference]
    row: tuple[str, str | None, bool, str | None, str]
    """Where a run's value is in the curves table: metric, of, whether it has a split, variant, column."""


def criteria(measures: Sequence[str]) -> list[Criterion]:
    """Return what is compared, SAI by some measures first."""
    return [*(_sai(measure) for measure in measures), *_OTHERS]


def difference(quantity: Criterion, first: RunAtEpoch, second: RunAtEpoch, draws: BootstrapOptions) -> Difference:
    """Return the difference of two networks; where one lacks what it needs, the reason."""
    try:
        return quantity.difference(first, second, draws)
    except UsageError as error:
        return Difference(reason=str(error))


def value(quantity: Criterion, run: RunAtEpoch) -> float | None:
    """Return a run's own value out of its curves table, None where there is none."""
    metric, of, has_split, variant, column = quantity.row
    named = None if of is None else of.format(own=run.entrant.own, split=run.split)
    split = run.split if has_split else None
    if named is not None and metric == "wsi":
        named, _, split = named.partition("-")
    rows = run.entrant.curve(metric, named, split or None, variant)
    found = rows[column].get(run.epoch, np.nan)
    return None if np.isnan(found) else float(found)


def _sai(measure: str) -> Criterion:
    def by(first: RunAtEpoch, second: RunAtEpoch, _draws: BootstrapOptions) -> Difference:
        a, b = (CsmPair(one.csm("own"), one.csm("scsm")) for one in (first, second))
        return differences.alignment_difference(a, b, measure)

    title = f"SAI excess, {measure}"
    return Criterion(f"sai_{measure}", title, True, by, ("sai", "{own},scsm", False, measure, "excess"))


def _idm(kind: str) -> Callable[[RunAtEpoch, RunAtEpoch, BootstrapOptions], Difference]:
    def by(first: RunAtEpoch, second: RunAtEpoch, draws: BootstrapOptions) -> Difference:
        a, b = ((one.counts(), one.csm(kind)) for one in (first, second))
        return differences.idm_difference(a, b, draws.number, draws.seed)

    return by


def _corrected(kind: str) -> Callable[[RunAtEpoch, RunAtEpoch, BootstrapOptions], Difference]:
    def by(first: RunAtEpoch, second: RunAtEpoch, _draws: BootstrapOptions) -> Difference:
        a, b = (CsmPair(one.csm(kind), one.csm("ccsm"), one.reliability()) for one in (first, second))
        return differences.alignment_difference(a, b, "pearson")

    return by


def _max_wsi(first: RunAtEpoch, second: RunAtEpoch, draws: BootstrapOptions) -> Difference:
    return differences.max_wsi_difference(first.csm("own"), second.csm("own"), draws=draws.number, seed=draws.seed)


_OTHERS = (
    Criterion("widm", "WIDM of mistakes", True, _idm("scsm"), ("idm", "scsm", True, "errors", "value")),
    Criterion("nidm", "NIDM of mistakes", True, _idm("own"), ("idm", "{own}", True, "errors", "value")),
    Criterion(
        "sai_ccsm_scsm",
        "SAI(CCSM, SCSM), corrected",
        False,
        _corrected("scsm"),
        ("sai", "ccsm-{split},scsm", False, "pearson_corrected", "value"),
    ),
    Criterion(
        "sai_own_ccsm",
        "SAI(NCSM, CCSM), corrected",
        False,
        _corrected("own"),
        ("sai", "{own},ccsm-{split}", False, "pearson_corrected", "value"),
    ),
    Criterion("max_wsi", "Max WSI", False, _max_wsi, ("wsi", "{own}", False, "max", "value")),
)
