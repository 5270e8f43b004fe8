"""The compared quantities: their differences between two networks, and their values in
the curves table for repetitions.

The first measure of the SAI is the main criterion. By default it is Pearson's
correlation, called the agreement with WordNet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import differences, jackknife, reliability
from dsi_cli.metrics.differences import (
    ClassEstimate,
    CsmPair,
    Difference,
    LabelledPredictions,
    SampleMean,
)
from dsi_cli.metrics.measures import common_classes
from dsi_cli.queries.comparison.runs import ComparedRun
from dsi_cli.queries.quantities import PEARSON, SAI, Quantity, alignment, quantity

CLASSES, IMAGES, SEEDS = "classes", "test images", "seeds"
"""The sources of variation that a confidence interval covers: other classes, other
samples, or other trainings.
"""
AND_SEEDS = {
    name: f"{SEEDS}, {name}" for name in (CLASSES, IMAGES, differences.CLUSTERS)
}
"""The name of each source of variation together with other trainings."""
OVER_SEEDS = {SEEDS, *AND_SEEDS.values()}
OVER_CLUSTERS = {differences.CLUSTERS, AND_SEEDS[differences.CLUSTERS]}
Value = TypeVar("Value")


@dataclass(frozen=True)
class RunAtEpoch:
    """One network at one epoch, with its classes in a common order."""

    run: ComparedRun
    epoch: int
    order: NDArray[np.intp]  # the run's class index of each common class ``(C,)``
    split: str
    # the common classes whose senses differ between the runs: no reference is common
    other_senses: tuple[int, ...] = ()

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """The values that identify the network."""
        order = self.order.tobytes()
        return (self.run.label, self.epoch, order, self.split, self.other_senses)

    def kept(self, what: Any, make: Callable[[], Value]) -> Value:
        """Return what was made of this network at this epoch for an earlier pair, or
        make it.
        """
        key = (*self.key[1:], what)
        if key not in self.run.kept:
            self.run.kept[key] = make()
        found: Value = self.run.kept[key]
        return found

    def csm(self, kind: str) -> NDArray[np.float32]:
        """Return a matrix in the common order; ``own`` is that of the network's
        similarity.
        """
        if kind == "scsm":  # all epochs have the same reference
            return replace(self, epoch=-1).kept(kind, lambda: self._read_csm(kind))
        return self.kept(kind, lambda: self._read_csm(kind))

    def _read_csm(self, kind: str) -> NDArray[np.float32]:
        names = {"own": self.run.own or "ncsm", "ccsm": f"ccsm-{self.split}"}
        matrix = self.run.csm(names.get(kind, kind), self.epoch)
        matrix = matrix[np.ix_(self.order, self.order)]
        if kind == "ccsm":  # classes without a sample have a NaN diagonal
            empty = np.flatnonzero(self.counts().sum(axis=1) == 0)
            matrix[empty, empty] = np.nan
        if kind == "scsm":
            matrix[list(self.other_senses)] = np.nan
            matrix[:, list(self.other_senses)] = np.nan
        return matrix

    def clusters(self) -> NDArray[np.intp] | None:
        """Return the cluster of each common class; None for intervals over classes."""
        of_class = self.run.cluster_of_class
        return None if of_class is None else of_class[self.order]

    def counts(self) -> NDArray[np.int64]:
        """Return the confusion counts in the common order."""
        results = self.run.results
        counts = results.confusion(self.epoch, self.split, self.run.name).to_numpy()
        return np.asarray(counts[np.ix_(self.order, self.order)], dtype=np.int64)

    def predictions(self) -> LabelledPredictions:
        """Return targets and predictions as common classes, by sample; from the counts
        if single predictions are not stored.
        """
        return self.kept("predictions", self._read_predictions)

    def _read_predictions(self) -> LabelledPredictions:
        results = self.run.results
        try:
            rows = results.predictions(self.epoch, self.split, self.run.name)
        except UsageError:
            return LabelledPredictions.from_counts(self.counts())
        rows = rows.sort_values("sample")
        common = np.argsort(self.order)
        targets = common[rows["target"].to_numpy()]
        return LabelledPredictions(targets, common[rows["prediction"].to_numpy()])

    def csm_pair(self, first: str, second: str) -> CsmPair:
        """Return two matrices; with a CCSM, its reliability.

        Raise `UsageError` if it is not above 0 (code ``unreliable-ccsm``).
        """
        pair = CsmPair(self.csm(first), self.csm(second))
        if second != "ccsm":
            return pair
        known = self.run.known("reliability", self.split)
        reliability = known.get(self.epoch, 0.0)
        if reliability <= 0:
            message = (
                f"the CCSM of {self.run.label} has no reliability above 0, so its"
                " mistakes are noise"
            )
            raise UsageError(message, code="unreliable-ccsm", run=self.run.label)
        return pair._replace(reliability=reliability)


class Criterion(NamedTuple):
    """One quantity that is compared."""

    name: str
    title: str
    difference: Callable[[RunAtEpoch, RunAtEpoch], Difference]
    quantity: Quantity  # its values in the curves table
    # the source of variation that the interval of the difference of two trainings
    # covers
    covers: str = CLASSES
    is_criterion: bool = False  # True if the paper prefers the higher value
    is_main: bool = False  # True if its interval is corrected for several comparisons
    # the difference of two of several trainings, if it is another
    repeated_difference: Callable[[RunAtEpoch, RunAtEpoch], Difference] | None = None


def main_criteria(measure: str) -> list[Criterion]:
    """Return the quantities on which a verdict is based, the SAI by a measure first, if
    its differences have intervals.
    """
    if measure not in jackknife.MEASURES:
        return list(_MAIN)
    return [_sai_criterion(measure, is_main=True), *_MAIN]


def descriptions(measures: Sequence[str]) -> list[Criterion]:
    """Return the quantities that describe networks: the SAI by further measures, and
    the SAI of the CCSM.
    """
    others = [_sai_criterion(measure, is_main=False) for measure in measures]
    return [*others, *_DESCRIPTIONS]


def measure_title(measure: str) -> str:
    """Return the name of the SAI by a measure within a sentence: agreement by
    Pearson's correlation, otherwise the title of its quantity.
    """
    return "agreement" if measure == PEARSON else alignment([measure]).title


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
    known = []
    for runs in (first, second):
        values = [stored_value(quantity, at_epoch) for at_epoch in runs]
        known.append([value for value in values if not np.isnan(value)])
    found = differences.mean_difference(*known)
    complete = [len(runs) for runs in (first, second)] == [len(one) for one in known]
    if found.error is None or not complete:
        return found
    try:
        of_trainings = quantity.repeated_difference or quantity.difference
        joint = reliability.joint_difference(first, second, of_trainings, found)
    except UsageError:
        return found
    if joint is found:
        return found
    return replace(joint, covers=AND_SEEDS[joint.covers or quantity.covers])


def stored_value(quantity: Criterion, at_epoch: RunAtEpoch) -> float:
    """Return the value of a quantity in a run's curves table; NaN if it is missing."""
    known = at_epoch.run.known(quantity.quantity, at_epoch.split)
    return known.get(at_epoch.epoch, np.nan)


def _alignment_difference(
    first: RunAtEpoch,
    second: RunAtEpoch,
    kinds: tuple[str, str],
    measure: str = "pearson",
    *,
    is_repeated: bool = False,
) -> Difference:
    a, b = first.csm_pair(*kinds), second.csm_pair(*kinds)
    kept = common_classes([a.a, a.b, b.a, b.b])
    clusters = first.clusters() if measure == "pearson" else None

    def estimate(at_epoch: RunAtEpoch) -> ClassEstimate:
        pair = at_epoch.csm_pair(*kinds)
        return differences.alignment_estimate(
            pair, kept, measure, clusters, is_repeated=is_repeated
        )

    return _difference_over_classes(
        (first, second), (*kinds, measure), estimate, kept, clusters
    )


def _max_wsi_difference(first: RunAtEpoch, second: RunAtEpoch) -> Difference:
    kept = common_classes([first.csm("own"), second.csm("own")])
    clusters = first.clusters()

    def estimate(at_epoch: RunAtEpoch) -> ClassEstimate:
        csm = at_epoch.csm("own")
        return differences.max_wsi_estimate(csm, kept, clusters=clusters)

    return _difference_over_classes(
        (first, second), ("max_wsi",), estimate, kept, clusters
    )


def _difference_over_classes(
    both: tuple[RunAtEpoch, RunAtEpoch],
    what: tuple[str, ...],
    estimate: Callable[[RunAtEpoch], ClassEstimate],
    kept: NDArray[np.intp],
    clusters: NDArray[np.intp] | None,
) -> Difference:
    """Return the difference of two estimates, each of which is made once for a network,
    some classes and their clusters.
    """
    units = kept.tobytes(), None if clusters is None else clusters.tobytes()
    estimates = [
        at_epoch.kept((*what, *units), partial(estimate, at_epoch)) for at_epoch in both
    ]
    over_clusters = clusters is not None
    return differences.difference_of_estimates(*estimates, over_clusters=over_clusters)


def _sai_criterion(measure: str, *, is_main: bool) -> Criterion:
    entry = alignment([measure])
    difference = partial(_alignment_difference, kinds=("own", "scsm"), measure=measure)
    return Criterion(
        name=f"sai_{measure}",
        title="agreement with {reference}" if measure == PEARSON else entry.title,
        difference=difference,
        repeated_difference=partial(difference, is_repeated=True),
        quantity=entry,
        is_criterion=is_main,
        is_main=is_main,
    )


def _sample_criterion(
    name: str,
    title: str,
    mean: Callable[[RunAtEpoch], SampleMean],
    *,
    is_criterion: bool = False,
) -> Criterion:
    """Return a criterion that is a mean over samples, which is computed once for each
    network.
    """

    def difference_of_means(first: RunAtEpoch, second: RunAtEpoch) -> Difference:
        means = [
            at_epoch.kept(name, partial(mean, at_epoch)) for at_epoch in (first, second)
        ]
        return differences.difference_of_means(*means)

    return Criterion(
        name=name,
        title=title,
        difference=difference_of_means,
        quantity=quantity(name),
        covers=IMAGES,
        is_criterion=is_criterion,
        is_main=True,
    )


def _idm_criterion(name: str, kind: str) -> Criterion:
    return _sample_criterion(
        name,
        quantity(name).title,
        lambda run: differences.mean_idm(run.predictions(), run.csm(kind)),
        is_criterion=True,
    )


def _corrected_criterion(name: str, matrices: str, kind: str, of: str) -> Criterion:
    title = f"SAI({matrices}), corrected for the noise of the CCSM"
    difference = partial(_alignment_difference, kinds=(kind, "ccsm"))
    return Criterion(
        name=name,
        title=title,
        difference=difference,
        repeated_difference=partial(difference, is_repeated=True),
        quantity=Quantity(name, title, SAI, of, variant="pearson_corrected"),
    )


LAST_ACCURACY = _sample_criterion(
    "accuracy",
    "Accuracy, last epochs",
    lambda run: differences.mean_accuracy(run.predictions()),
)
"""The accuracy, which is compared at the last epochs, because it is equal by choice
where the other quantities are compared.
"""
_MAIN = (
    _idm_criterion("widm", "scsm"),
    _idm_criterion("nidm", "own"),
    Criterion(
        name="max_wsi",
        title=quantity("max_wsi").title,
        difference=_max_wsi_difference,
        quantity=quantity("max_wsi"),
        is_main=True,
    ),
    LAST_ACCURACY,
)
_DESCRIPTIONS = (
    _corrected_criterion("sai_ccsm_scsm", "CCSM, SCSM", "scsm", "ccsm-{split},scsm"),
    _corrected_criterion("sai_own_ccsm", "NCSM, CCSM", "own", "{own},ccsm-{split}"),
)
