"""SAI between two networks: how alike they see the classes, epoch by epoch, each with its chance level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.alignment import alignments
from dsi_cli.queries.comparison.common_classes import CommonClasses, CommonEpochs
from dsi_cli.queries.comparison.runs import ComparedRun
from dsi_cli.queries.neighbor_history import log_spaced

LARGEST, MOST_EPOCHS = 256, 20


@dataclass(frozen=True)
class AlignmentPoint:
    """One measure at one epoch; None where it does not exist, with the reason."""

    at: int
    """Epochs completed, or the epoch of both."""
    first_epoch: int
    second_epoch: int
    measure: str
    value: float | None
    null_mean: float | None
    null_std: float | None
    z: float | None
    excess: float | None
    classes_used: int
    reason: str | None


@dataclass(frozen=True)
class CrossAlignment:
    """How alike two networks are."""

    first: str
    second: str
    of: str | None
    """The two matrices, ``ncsm,ncsm``."""
    matched_by: str
    """epochs completed or epoch."""
    common_classes: int
    classes_by: str | None
    points: list[AlignmentPoint] = field(default_factory=list)
    reason: str | None = None
    """Why there is no point."""


def cross_alignment(
    first: ComparedRun, second: ComparedRun, classes: CommonClasses, epochs: CommonEpochs, measures: Sequence[str]
) -> CrossAlignment:
    """Return the SAI of two networks' own matrices at the epochs that they share.

    Above `LARGEST` classes at `MOST_EPOCHS` of them, the first and the last among them. Without intervals: those of differences
    are `dsi_cli.queries.comparison.equal_accuracy`'s.
    """
    found = CrossAlignment(first.label, second.label, None, epochs.by, classes.common, classes.by)
    for one in (first, second):
        if one.own is None:
            return replace(found, reason=f"{one.label} has neither an NCSM nor a TNCSM")
        if one.run.is_vast(one.name):
            return replace(found, reason=f"{one.label} has too many classes for its matrix to be stored")
    if classes.order is None:
        return replace(found, reason=classes.reason)
    if not epochs.pairs:
        return replace(found, reason=f"no epoch in common, by {epochs.by}")
    taken = (
        [epochs.pairs[at] for at in log_spaced(len(epochs.pairs), MOST_EPOCHS)]
        if classes.common > LARGEST
        else epochs.pairs
    )
    points = [point for at in taken for point in _points(first, second, at, classes.order, measures)]
    return replace(found, of=f"{first.own},{second.own}", points=points)


def _points(
    first: ComparedRun, second: ComparedRun, at: tuple[int, int, int], order: NDArray[np.intp], measures: Sequence[str]
) -> list[AlignmentPoint]:
    same, mine, yours = at
    assert first.own is not None
    assert second.own is not None
    csms = first.csm(first.own, mine), second.csm(second.own, yours)[np.ix_(order, order)]
    return [
        AlignmentPoint(
            at=same,
            first_epoch=mine,
            second_epoch=yours,
            measure=entry.measure,
            value=entry.value,
            null_mean=entry.null_mean,
            null_std=entry.null_std,
            z=entry.z,
            excess=entry.excess,
            classes_used=entry.classes_used,
            reason=entry.reason if entry.value is None else None,
        )
        for entry in alignments(*csms, measures, permutations=0, draws=0).values()
    ]
