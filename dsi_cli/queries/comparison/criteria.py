"""The compared quantities: their differences between two networks, and their values in
the curves table for repetitions.

The first measure of the SAI is the main criterion. By default it is Pearson's
correlation, called the agreement with WordNet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import differences
from dsi_cli.metrics.differences import CsmPair, Difference, LabelledPredictions
from dsi_cli.queries.comparison.runs import ComparedRun

CLASSES, IMAGES, SEEDS = "classes", "test images", "seeds"
"""The sources of variation that a confidence interval covers: other classes, other
samples, or other trainings.
"""
SHORT_TITLES = {
    "sai_pearson": "agreement",
    "widm": "WIDM",
    "nidm": "NIDM",
    "max_wsi": "Max WSI",
    "accuracy": "last accuracy",
}


@dataclass(frozen=True)
class RunAtEpoch:
    """One network at one epoch, with its classes in a common order."""

    run: ComparedRun
    epoch: int
    order: NDArray[np.intp]  # the run's class index of each common class ``(C,)``
    split: str

    def csm(self, kind: str) -> NDArray[np.float32]:
        """Return a matrix in the common order; ``own`` is that of the network's
        similarity.
        """
        name = {"own": self.run.own or "ncsm", "ccsm": f"ccsm-{self.split}"}.get(
            kind, kind
        )
        matrix = self.run.csm(name, self.epoch)[np.ix_(self.order, self.order)]
        if kind == "ccsm":  # classes without a sample have a NaN diagonal
            empty = np.flatnonzero(self.counts().sum(axis=1) == 0)
            matrix[empty, empty] = np.nan
        return matrix

    def counts(self) -> NDArray[np.int64]:
        """Return the confusion counts in the common order."""
        counts = self.run.results.confusion(
            self.epoch, self.split, self.run.name
        ).to_numpy()
        return np.asarray(counts[np.ix_(self.order, self.order)], dtype=np.int64)

    def predictions(self) -> LabelledPredictions:
        """Return targets and predictions as common classes, by sample; from the counts
        if single predictions are not stored.
        """
        try:
            rows = self.run.results.predictions(
                self.epoch, self.split, self.run.name
            ).sort_values("sample")
        except UsageError:
            return LabelledPredictions.from_counts(self.counts())
        common = np.argsort(self.order)
        return LabelledPredictions(
            common[rows["target"].to_numpy()], common[rows["prediction"].to_numpy()]
        )

    def reliability(self) -> float:
        """Return the reliability of the CCSM; raise `UsageError` if it is not above 0
        (code ``unreliable-ccsm``).
        """
        reliability = self.run.curve("reliability", "ccsm", self.split)["value"].get(
            self.epoch, np.nan
        )
        if not reliability > 0:
            message = (
                f"the CCSM of {self.run.label} has no reliability above 0, so its"
                " mistakes are noise"
            )
            raise UsageError(message, code="unreliable-ccsm", run=self.run.label)
        return float(reliability)


class Criterion(NamedTuple):
    """One quantity that is compared."""

    name: str
    title: str
    is_criterion: bool  # True if the paper prefers the network with the higher value
    is_main: bool  # True if its interval is corrected for several comparisons
    # the source of variation that the interval of the difference of two trainings
    # covers
    covers: str
    difference: Callable[[RunAtEpoch, RunAtEpoch], Difference]
    row: tuple[str, str | None, bool, str | None, str]
    """The rows of a run in the curves table: metric, of, True for rows with a split,
    variant, column.
    """


def criteria(measures: Sequence[str]) -> list[Criterion]:
    """Return the compared quantities, those of the forest plot first."""
    main, *others = (
        _sai_criterion(measure, is_main=index == 0)
        for index, measure in enumerate(measures)
    )
    return [main, *_MAIN, *others, *_DESCRIPTIONS]


def measure_title(measure: str) -> str:
    """Return the name of the SAI by a measure: agreement by Pearson's correlation,
    otherwise the excess over chance.
    """
    return "agreement" if measure == "pearson" else f"SAI excess, {measure}"


def difference(
    quantity: Criterion, first: Sequence[RunAtEpoch], second: Sequence[RunAtEpoch]
) -> Difference:
    """Return the difference of two networks, or of the means of repetitions; or the
    reason why it is missing.
    """
    if len(first) == len(second) == 1:
        try:
            return quantity.difference(first[0], second[0])
        except UsageError as error:
            return Difference(reason=str(error))
    values = [
        [stored_value(quantity, at_epoch) for at_epoch in runs]
        for runs in (first, second)
    ]
    known = [[value for value in of_runs if not np.isnan(value)] for of_runs in values]
    return differences.mean_difference(*known)


def stored_value(quantity: Criterion, at_epoch: RunAtEpoch) -> float:
    """Return the value of a quantity in a run's curves table; NaN if it is missing."""
    metric, of, has_split, variant, column = quantity.row
    name = of and of.replace("{split}", at_epoch.split)
    points = at_epoch.run.curve(
        metric, name, at_epoch.split if has_split else None, variant
    )
    return float(points[column].get(at_epoch.epoch, np.nan))


def _sai_criterion(measure: str, *, is_main: bool) -> Criterion:
    def sai_difference(first: RunAtEpoch, second: RunAtEpoch) -> Difference:
        a, b = (CsmPair(run.csm("own"), run.csm("scsm")) for run in (first, second))
        return differences.alignment_difference(a, b, measure)

    title = "Agreement with WordNet" if measure == "pearson" else measure_title(measure)
    row = ("sai", "{own},scsm", False, measure, "excess")
    return Criterion(
        f"sai_{measure}", title, is_main, is_main, CLASSES, sai_difference, row
    )


def _idm_criterion(name: str, title: str, kind: str, of: str) -> Criterion:
    def idm_difference(first: RunAtEpoch, second: RunAtEpoch) -> Difference:
        a, b = ((run.predictions(), run.csm(kind)) for run in (first, second))
        return differences.idm_difference(a, b)

    return Criterion(
        name,
        title,
        True,
        True,
        IMAGES,
        idm_difference,
        ("idm", of, True, "errors", "value"),
    )


def _corrected_criterion(name: str, matrices: str, kind: str, of: str) -> Criterion:
    def sai_difference(first: RunAtEpoch, second: RunAtEpoch) -> Difference:
        a, b = (
            CsmPair(run.csm(kind), run.csm("ccsm"), run.reliability())
            for run in (first, second)
        )
        return differences.alignment_difference(a, b, "pearson")

    title = f"SAI({matrices}), corrected for the noise of the CCSM"
    return Criterion(
        name,
        title,
        False,
        False,
        CLASSES,
        sai_difference,
        ("sai", of, False, "pearson_corrected", "value"),
    )


ACCURACY = Criterion(
    "accuracy",
    "Accuracy, last epochs",
    False,
    True,
    IMAGES,
    lambda first, second: differences.accuracy_difference(
        first.predictions(), second.predictions()
    ),
    ("accuracy", None, True, None, "value"),
)
"""The accuracy, which is compared at the last epochs, because it is equal by choice
where the other quantities are compared.
"""
_MAIN = (
    _idm_criterion("widm", "WIDM of mistakes", "scsm", "scsm"),
    _idm_criterion("nidm", "NIDM of mistakes", "own", "{own}"),
    Criterion(
        "max_wsi",
        "Max WSI",
        False,
        True,
        CLASSES,
        lambda first, second: differences.max_wsi_difference(
            first.csm("own"), second.csm("own")
        ),
        ("wsi", "{own}", False, "max", "value"),
    ),
    ACCURACY,
)
_DESCRIPTIONS = (
    _corrected_criterion("sai_ccsm_scsm", "CCSM, SCSM", "scsm", "ccsm-{split},scsm"),
    _corrected_criterion("sai_own_ccsm", "NCSM, CCSM", "own", "{own},ccsm-{split}"),
)
