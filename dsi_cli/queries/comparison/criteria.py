"""The criteria of a comparison at one epoch of each network, and the confidence intervals of their differences.

Two single runs are compared by their matrices and counts (`difference`). Repetitions are compared by the values of their curves
tables (`value`).
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
from dsi_cli.store.matrix_id import MatrixId

Order = NDArray[np.intp]


@dataclass(frozen=True)
class RunAtEpoch:
    """One network at one epoch, with its classes in a common order."""

    run: ComparedRun
    epoch: int
    order: Order
    """The run's class index of each common class ``(C,)``."""
    split: str

    def csm(self, kind: str) -> NDArray[np.float32]:
        """Return a matrix in the common order; ``own`` is that of the network's similarity.

        Classes without a sample have a NaN diagonal in a CCSM.
        """
        name = {"own": self.run.own or "ncsm", "ccsm": f"ccsm-{self.split}"}.get(kind, kind)
        matrix = self.run.csm(name, self.epoch)[np.ix_(self.order, self.order)]
        if kind == "ccsm":
            empty = np.flatnonzero(self.counts().sum(axis=1) == 0)
            matrix[empty, empty] = np.nan
        return matrix

    def counts(self) -> NDArray[np.int64]:
        """Return the confusion counts in the common order."""
        counts = self.run.results.confusion(self.epoch, self.split, self.run.name).to_numpy()
        return np.asarray(counts[np.ix_(self.order, self.order)], dtype=np.int64)

    def reliability(self) -> float:
        """Return the reliability of the CCSM.

        Raises
        ------
        UsageError
            The CCSM has no reliability above 0 (code ``unreliable-ccsm``).
        """
        rows = self.run.curve("reliability", "ccsm", self.split)
        reliability = rows["value"].get(self.epoch, np.nan)
        if not reliability > 0:
            raise UsageError(
                f"the CCSM of {self.run.label} has no reliability above 0: its mistakes are noise",
                code="unreliable-ccsm",
                run=self.run.label,
            )
        return float(reliability)


class BootstrapOptions(NamedTuple):
    """The options of the confidence intervals."""

    number: int
    """The number of bootstrap draws."""
    seed: int


class Criterion(NamedTuple):
    """One quantity that is compared."""

    name: str
    title: str
    is_criterion: bool
    """True if the paper prefers the network with the higher value."""
    difference: Callable[[RunAtEpoch, RunAtEpoch, BootstrapOptions], Difference]
    row: tuple[str, str | None, bool, str | None, str]
    """The rows of a run in the curves table: metric, of, True for rows with a split, variant, column."""


def criteria(measures: Sequence[str]) -> list[Criterion]:
    """Return the compared quantities; the SAI by each measure is first."""
    return [*(_sai_criterion(measure) for measure in measures), *_OTHERS]


def difference(quantity: Criterion, first: RunAtEpoch, second: RunAtEpoch, draws: BootstrapOptions) -> Difference:
    """Return the difference of two networks, or the reason why one of them lacks the required data."""
    try:
        return quantity.difference(first, second, draws)
    except UsageError as error:
        return Difference(reason=str(error))


def value(quantity: Criterion, at_epoch: RunAtEpoch) -> float | None:
    """Return a run's value from its curves table, or None if it has none."""
    metric, of, has_split, variant, column = quantity.row
    split = at_epoch.split if has_split else None
    if of is not None:
        of = of.format(own=at_epoch.run.own, split=at_epoch.split)
    if of is not None and metric == "wsi":
        of, split = MatrixId.parse(of)
    rows = at_epoch.run.curve(metric, of, split, variant)
    number = rows[column].get(at_epoch.epoch, np.nan)
    return None if np.isnan(number) else float(number)


def _sai_criterion(measure: str) -> Criterion:
    def sai_difference(first: RunAtEpoch, second: RunAtEpoch, _draws: BootstrapOptions) -> Difference:
        a, b = (CsmPair(run.csm("own"), run.csm("scsm")) for run in (first, second))
        return differences.alignment_difference(a, b, measure)

    row = ("sai", "{own},scsm", False, measure, "excess")
    return Criterion(f"sai_{measure}", f"SAI excess, {measure}", True, sai_difference, row)


def _idm_difference(kind: str) -> Callable[[RunAtEpoch, RunAtEpoch, BootstrapOptions], Difference]:
    def idm_difference(first: RunAtEpoch, second: RunAtEpoch, draws: BootstrapOptions) -> Difference:
        a, b = ((run.counts(), run.csm(kind)) for run in (first, second))
        return differences.idm_difference(a, b, draws.number, draws.seed)

    return idm_difference


def _corrected_difference(kind: str) -> Callable[[RunAtEpoch, RunAtEpoch, BootstrapOptions], Difference]:
    def sai_difference(first: RunAtEpoch, second: RunAtEpoch, _draws: BootstrapOptions) -> Difference:
        a, b = (CsmPair(run.csm(kind), run.csm("ccsm"), run.reliability()) for run in (first, second))
        return differences.alignment_difference(a, b, "pearson")

    return sai_difference


def _max_wsi_difference(first: RunAtEpoch, second: RunAtEpoch, draws: BootstrapOptions) -> Difference:
    return differences.max_wsi_difference(first.csm("own"), second.csm("own"), draws=draws.number, seed=draws.seed)


_OTHERS = (
    Criterion("widm", "WIDM of mistakes", True, _idm_difference("scsm"), ("idm", "scsm", True, "errors", "value")),
    Criterion("nidm", "NIDM of mistakes", True, _idm_difference("own"), ("idm", "{own}", True, "errors", "value")),
    Criterion(
        "sai_ccsm_scsm",
        "SAI(CCSM, SCSM), corrected",
        False,
        _corrected_difference("scsm"),
        ("sai", "ccsm-{split},scsm", False, "pearson_corrected", "value"),
    ),
    Criterion(
        "sai_own_ccsm",
        "SAI(NCSM, CCSM), corrected",
        False,
        _corrected_difference("own"),
        ("sai", "{own},ccsm-{split}", False, "pearson_corrected", "value"),
    ),
    Criterion("max_wsi", "Max WSI", False, _max_wsi_difference, ("wsi", "{own}", False, "max", "value")),
)
