"""The SAI between two networks by epoch, with its chance level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.alignment import MatrixPair
from dsi_cli.metrics.prepared import PreparedMatrix
from dsi_cli.queries.comparison.common_classes import CommonClasses, CommonEpochs
from dsi_cli.queries.comparison.runs import ComparedRun
from dsi_cli.queries.epoch_sampling import log_spaced

MAX_CLASSES_AT_ALL_EPOCHS, MAX_EPOCHS = 256, 20
"""With more classes, at most this many epochs are compared."""


@dataclass(frozen=True)
class AlignmentPoint:
    """One measure at one epoch; missing values are None and have a ``reason``."""

    at: int
    """The number of completed epochs, or the common epoch number."""
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
    """The similarity of two networks over the epochs."""

    first: str
    second: str
    of: str | None
    """The two matrices, such as ``ncsm,ncsm``."""
    matched_by: str
    """The key of common epochs: epochs completed or epoch."""
    common_classes: int
    classes_by: str | None
    points: list[AlignmentPoint] = field(default_factory=list)
    reason: str | None = None
    """The reason for missing points."""


def cross_alignment(
    first: ComparedRun, second: ComparedRun, classes: CommonClasses, epochs: CommonEpochs, measures: Sequence[str]
) -> CrossAlignment:
    """Return the SAI of two networks' matrices at their common epochs, without confidence intervals.

    With more than `MAX_CLASSES_AT_ALL_EPOCHS` classes, at most `MAX_EPOCHS` epochs are compared, with the first and the last.
    """
    result = CrossAlignment(first.label, second.label, None, epochs.by, classes.common, classes.by)
    for run in (first, second):
        if run.own is None:
            return replace(result, reason=f"{run.label} has neither an NCSM nor a TNCSM")
        if run.results.is_vast(run.name):
            return replace(result, reason=f"{run.label} has too many classes for its matrix to be stored")
    if classes.order is None:
        return replace(result, reason=classes.reason)
    if not epochs.pairs:
        return replace(result, reason=f"no epoch in common, by {epochs.by}")
    pairs = epochs.pairs
    if classes.common > MAX_CLASSES_AT_ALL_EPOCHS:
        pairs = log_spaced(pairs, MAX_EPOCHS)
    points = [point for pair in pairs for point in _points(first, second, pair, classes.order, measures)]
    return replace(result, of=f"{first.own},{second.own}", points=points)


def _points(
    first: ComparedRun, second: ComparedRun, epochs: tuple[int, int, int], order: NDArray[np.intp], measures: Sequence[str]
) -> list[AlignmentPoint]:
    key, first_epoch, second_epoch = epochs
    assert first.own is not None
    assert second.own is not None
    a, b = first.csm(first.own, first_epoch), second.csm(second.own, second_epoch)[np.ix_(order, order)]
    kept = np.flatnonzero(~np.isnan(np.diagonal(a)) & ~np.isnan(np.diagonal(b)))
    square = np.ix_(kept, kept)
    pair = MatrixPair(PreparedMatrix(a[square]), PreparedMatrix(b[square]), np.arange(len(kept)))
    return [
        AlignmentPoint(
            at=key,
            first_epoch=first_epoch,
            second_epoch=second_epoch,
            measure=entry.measure,
            value=entry.value,
            null_mean=entry.null_mean,
            null_std=entry.null_std,
            z=entry.z,
            excess=entry.excess,
            classes_used=entry.classes_used,
            reason=entry.reason if entry.value is None else None,
        )
        for entry in pair.alignments(measures, 0, 0, 0, with_p_value=False).values()
    ]
