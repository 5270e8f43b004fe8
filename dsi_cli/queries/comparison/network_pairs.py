"""The similarity of two networks to each other: the SAI of their matrices by epoch, and
the classes that they see differently.

Similarities of different networks have different scales, so classes are compared by
percentile ranks: the share of pairs of classes that are less similar. The ranks of
repetitions are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics.alignment import MatrixPair
from dsi_cli.metrics.class_alignment import align_rows
from dsi_cli.metrics.measures import Values, off_diagonal
from dsi_cli.metrics.prepared_matrix import PreparedMatrix
from dsi_cli.queries.comparison.criteria import RunAtEpoch
from dsi_cli.queries.comparison.runs import ComparedRun, match_classes, match_epochs
from dsi_cli.queries.epoch_sampling import log_spaced
from dsi_cli.queries.matrices import none_if_nan, percentile_ranks
from dsi_cli.queries.run_classes import class_names

# with more classes, at most this many epochs are compared
MAX_CLASSES_AT_ALL_EPOCHS, MAX_EPOCHS = (
    256,
    20,
)
NEAREST = 3  # number of nearest classes that are listed


@dataclass(frozen=True)
class AlignmentPoint:
    """One measure at one epoch; missing values are None and have a ``reason``."""

    at: int  # the number of completed epochs, or the common epoch number
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
    of: str | None  # the two matrices, such as ``ncsm,ncsm``
    matched_by: str  # the key of common epochs: epochs completed or epoch
    common_classes: int
    classes_by: str | None
    points: list[AlignmentPoint] = field(default_factory=list)
    reason: str | None = None  # the reason for missing points


def cross_alignment(
    first: ComparedRun, second: ComparedRun, measure: str
) -> CrossAlignment:
    """Return the SAI of two networks' matrices at their common epochs, without
    confidence intervals.
    """
    classes, (matched_by, epochs) = (
        match_classes(first, second),
        match_epochs(first, second),
    )
    result = CrossAlignment(
        first.label, second.label, None, matched_by, classes.common, classes.by
    )
    for run in (first, second):
        if run.own is None:
            return replace(
                result, reason=f"{run.label} has neither an NCSM nor a TNCSM"
            )
        if run.results.is_vast(run.name):
            return replace(
                result,
                reason=f"{run.label} has too many classes for its matrix to be stored",
            )
    if classes.order is None:
        return replace(result, reason=classes.reason)
    if not epochs:
        return replace(result, reason=f"no epoch in common, by {matched_by}")
    if classes.common > MAX_CLASSES_AT_ALL_EPOCHS:
        epochs = log_spaced(epochs, MAX_EPOCHS)
    points = []
    for at, first_epoch, second_epoch in epochs:
        a = first.csm(str(first.own), first_epoch)
        b = second.csm(str(second.own), second_epoch)[
            np.ix_(classes.order, classes.order)
        ]
        kept = np.flatnonzero(~np.isnan(np.diagonal(a)) & ~np.isnan(np.diagonal(b)))
        square = np.ix_(kept, kept)
        pair = MatrixPair(
            PreparedMatrix(a[square]), PreparedMatrix(b[square]), np.arange(len(kept))
        )
        entry = pair.alignments([measure], 0, 0, 0, with_p_value=False)[measure]
        columns = (
            "measure",
            "value",
            "null_mean",
            "null_std",
            "z",
            "excess",
            "classes_used",
        )
        fields: dict[str, Any] = {column: getattr(entry, column) for column in columns}
        reason = entry.reason if entry.value is None else None
        points.append(
            AlignmentPoint(at, first_epoch, second_epoch, **fields, reason=reason)
        )
    return replace(result, of=f"{first.own},{second.own}", points=points)


@dataclass(frozen=True)
class ClassDifference:
    """One class in two networks."""

    name: str
    likeness: float | None
    """The correlation of its percentile ranks with the other classes in the two
    networks: 1 if the networks see it alike.
    """
    # the correlation of its similarities with those of WordNet; None without a synset
    first_agreement: float | None
    second_agreement: float | None
    first_nearest: list[str]  # the most similar classes in the first network
    second_nearest: list[str]


class NetworkPair(NamedTuple):
    """Two networks, or two groups of repetitions, with the classes in the order of the
    first run.
    """

    # the percentile ranks ``(C, C)`` of the first network, from 0 to 100, with 100 on
    # the diagonal
    first: Values
    second: Values
    classes: list[ClassDifference]


def compare_classes(
    first: Sequence[RunAtEpoch], second: Sequence[RunAtEpoch]
) -> NetworkPair | None:
    """Return two networks, or groups of repetitions, by class; None if their matrices
    are too large to be stored or missing.
    """
    try:
        csms = [
            [np.asarray(run.csm("own"), dtype=np.float64) for run in runs]
            for runs in (first, second)
        ]
    except UsageError:
        return None
    # A head that grows, or a class without samples, leaves classes without a
    # similarity.
    diagonals = np.array([np.diagonal(csm) for matrices in csms for csm in matrices])
    is_known: NDArray[np.bool_] = ~np.isnan(diagonals).any(axis=0)
    known = np.flatnonzero(is_known)
    ranks = [
        np.mean([_percentile_ranks(csm, known) for csm in matrices], axis=0)
        for matrices in csms
    ]
    likeness = np.full(len(is_known), np.nan)
    likeness[known] = align_rows(
        *(off_diagonal(matrix[np.ix_(known, known)]) for matrix in ranks)
    )
    agreements = [
        _agreement(matrices, runs[0], is_known)
        for matrices, runs in zip(csms, (first, second), strict=True)
    ]

    all_names = class_names(first[0].run.results, first[0].run.name)
    names = [all_names[index] for index in first[0].order]
    nearest = []
    for matrix in ranks:
        ordered = np.where(
            np.eye(len(names), dtype=bool) | np.isnan(matrix), -np.inf, matrix
        )
        order = np.argsort(-ordered, axis=1, kind="stable")[
            :, : max(0, min(NEAREST, len(known) - 1))
        ]
        nearest.append(
            [
                [names[other] for other in row] if is_known[index] else []
                for index, row in enumerate(order)
            ]
        )
    numbers = [map(none_if_nan, values) for values in (likeness, *agreements)]
    classes = [
        ClassDifference(*values)
        for values in zip(names, *numbers, *nearest, strict=True)
    ]
    return NetworkPair(ranks[0], ranks[1], classes)


def _percentile_ranks(csm: Values, known: NDArray[np.intp]) -> Values:
    """Return the percentile rank of each pair of known classes, from 0 to 100; 100 on
    the diagonal, and NaN for other classes.
    """
    square = csm[np.ix_(known, known)].copy()
    np.fill_diagonal(square, np.nan)
    ranks = np.full(csm.shape, np.nan)
    ranks[np.ix_(known, known)] = np.where(
        np.eye(len(known), dtype=bool), 100.0, 100 * percentile_ranks(square)
    )
    return ranks


def _agreement(
    csms: Sequence[Values], run: RunAtEpoch, is_known: NDArray[np.bool_]
) -> Values:
    """Return the mean agreement of each known class over repetitions; NaN without a
    reference.
    """
    values = np.full(len(csms[0]), np.nan)
    try:
        reference = np.asarray(run.csm("scsm"), dtype=np.float64)
    except UsageError:
        return values
    kept = np.flatnonzero(is_known & ~np.isnan(np.diagonal(reference)))
    square = np.ix_(kept, kept)
    rows = [
        align_rows(off_diagonal(csm[square]), off_diagonal(reference[square]))
        for csm in csms
    ]
    values[kept] = np.mean(rows, axis=0)
    return values
