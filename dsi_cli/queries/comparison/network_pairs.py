"""The similarity of two networks to each other: the SAI of their matrices by epoch, and
the classes that they see differently.

Similarities of different networks have different scales, so classes are compared by
percentile ranks: the share of pairs of classes that are less similar. The ranks of
repetitions are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics.alignment import MatrixPair
from dsi_cli.metrics.class_alignment import align_rows
from dsi_cli.metrics.measures import Values, common_classes, off_diagonal
from dsi_cli.metrics.prepared_matrix import PreparedMatrix
from dsi_cli.queries.comparison.criteria import RunAtEpoch
from dsi_cli.queries.comparison.runs import (
    CommonClasses,
    ComparedRun,
    common_level,
    match_classes,
    match_epochs,
)
from dsi_cli.queries.epoch_sampling import log_spaced
from dsi_cli.queries.matrices import percentile_ranks
from dsi_cli.queries.run_classes import class_names

# with more classes, at most this many epochs are compared
MAX_CLASSES_AT_ALL_EPOCHS = 256
MAX_EPOCHS = 20
EQUAL_ACCURACY, LAST_EPOCHS = "accuracy", "last epochs"
"""The ways to match the epochs of two runs if the number of completed epochs is known for
one of them alone.
"""
NEAREST = 3  # number of nearest classes that are listed
_NUMBERS = ("value", "null_mean", "null_std", "z", "excess")
_COUNTS = ("at", "first_epoch", "second_epoch", "classes_used")
_FIELDS = (*_NUMBERS, "classes_used", "reason")
_TYPES = dict.fromkeys(_COUNTS, "Int64") | dict.fromkeys(_NUMBERS, "float64")
Row = dict[Any, Any]


def networks_of(
    runs: Sequence[ComparedRun],
    measure: str,
    split: str,
    *,
    tolerance: float = 0.01,
    last_only: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> pd.DataFrame:
    """Return the SAI of the matrices of every two networks at their common epochs, or at
    the last of them, without confidence intervals; without an epoch, one row with the
    ``reason``.

    Numbers that count differently match no epochs: if the number of completed epochs is
    known for one network alone, both are compared at equal accuracy within
    ``tolerance``, as in the table of differences, or else at their last epochs.

    The columns are ``first``, ``second``, ``of`` (the two matrices), ``common_classes``,
    ``classes_by``, ``matched_by``, ``at`` (the number by which epochs are matched; in
    the case above, the number of completed epochs of the network for which it is known),
    ``first_epoch``, ``second_epoch``, ``measure``, and the fields of `Alignment`.
    ``progress`` is called with the number of finished epochs and that of all.
    """
    rows: list[Row] = []
    jobs: dict[int, list[tuple[Row, RunAtEpoch, RunAtEpoch]]] = {}
    for first, second in combinations(runs, 2):
        pair, reason, epochs = _matched(first, second, measure, split, tolerance)
        if reason is not None:
            rows.append(pair | {"of": None, "reason": reason})
            continue
        for at, one, other in epochs[-1:] if last_only else epochs:
            numbers = {"at": at, "first_epoch": one.epoch, "second_epoch": other.epoch}
            rows.append(pair | numbers)
            jobs.setdefault(at, []).append((rows[-1], one, other))

    # Each network is prepared once, and only those of one epoch are in memory.
    for done, at in enumerate(sorted(jobs), start=1):
        prepared: dict[Any, PreparedMatrix] = {}
        for row, one, other in jobs[at]:
            row |= _alignment(one, other, measure, prepared)
        progress(done, len(jobs))
    frame = pd.DataFrame(rows)
    return frame.reindex(columns=[*frame, *_TYPES.keys() - {*frame}]).astype(_TYPES)


def _matched(
    first: ComparedRun,
    second: ComparedRun,
    measure: str,
    split: str,
    tolerance: float,
) -> tuple[Row, str | None, list[tuple[int, RunAtEpoch, RunAtEpoch]]]:
    """Return the description of two networks, the reason why they are not compared, and
    the networks at their common epochs.
    """
    classes = match_classes(first, second)
    matched_by, epochs = match_epochs(first, second)
    if (first.completed is None) != (second.completed is None):
        level = common_level([first, second], split, tolerance)
        matched_by = EQUAL_ACCURACY if level.reason is None else LAST_EPOCHS
        pair = [level.epochs[run.label] for run in (first, second)]
        numbers = [
            run.completed[epoch]
            for run, epoch in zip((first, second), pair, strict=True)
            if run.completed is not None
        ]
        epochs = [(numbers[0], *pair)]
    described = {
        "first": first.label,
        "second": second.label,
        "of": f"{first.own},{second.own}",
        "common_classes": classes.common,
        "classes_by": classes.by,
        "matched_by": matched_by,
        "measure": measure,
    }
    reason = _reason_not_compared(first, second, classes)
    if reason is None and not epochs:
        reason = f"no epoch in common, by {matched_by}"
    if reason is not None:
        return described, reason, []
    if classes.common > MAX_CLASSES_AT_ALL_EPOCHS:
        epochs = log_spaced(epochs, MAX_EPOCHS)
    assert classes.order is not None
    in_order = np.arange(classes.common)
    matched = []
    for at, first_epoch, second_epoch in epochs:
        one = RunAtEpoch(first, first_epoch, in_order, split)
        other = RunAtEpoch(second, second_epoch, classes.order, split)
        matched.append((at, one, other))
    return described, None, matched


def _alignment(
    one: RunAtEpoch,
    other: RunAtEpoch,
    measure: str,
    prepared: dict[Any, PreparedMatrix],
) -> Row:
    """Return the fields of the SAI of two networks."""
    kept = common_classes([one.csm("own"), other.csm("own")])
    matrices = []
    for network in (one, other):
        key = (network.key, kept.tobytes())
        if key not in prepared:
            prepared[key] = PreparedMatrix(network.csm("own")[np.ix_(kept, kept)])
        matrices.append(prepared[key])
    pair = MatrixPair(matrices[0], matrices[1], np.arange(len(kept)))
    entry = pair.alignments([measure], 0, 0, 0, with_inference=False)[measure]
    return {name: getattr(entry, name) for name in _FIELDS}


def _reason_not_compared(
    first: ComparedRun, second: ComparedRun, classes: CommonClasses
) -> str | None:
    for run in (first, second):
        if run.own is None:
            return f"{run.label} has neither an NCSM nor a TNCSM"
        if run.is_vast:
            return f"{run.label} has too many classes for its matrix to be stored"
    return classes.reason if classes.order is None else None


class NetworkPair(NamedTuple):
    """Two networks, or two groups of repetitions, with the classes in the order of the
    first run.
    """

    # the percentile ranks ``(C, C)`` of the first network, from 0 to 100, with 100 on
    # the diagonal
    first: Values
    second: Values
    classes: pd.DataFrame


def compare_classes(
    first: Sequence[RunAtEpoch], second: Sequence[RunAtEpoch]
) -> NetworkPair | None:
    """Return two networks, or groups of repetitions, by class; None if their matrices
    are too large to be stored or missing.

    The table of classes has the ``name``, its ``likeness`` (the correlation of its
    percentile ranks with the other classes in the two networks, 1 if the networks see
    it alike), its ``first_agreement`` and ``second_agreement`` with WordNet, and the
    names of its nearest classes, ``first_nearest`` and ``second_nearest``.
    """
    # A head that grows, or a class without samples, leaves classes without a
    # similarity.
    try:
        known = common_classes([run.csm("own") for run in (*first, *second)])
    except UsageError:
        return None
    square = np.ix_(known, known)
    ranks = [
        np.mean([_percentile_ranks(run, known) for run in side], axis=0)
        for side in (first, second)
    ]
    likeness = np.full(len(first[0].order), np.nan)
    likeness[known] = align_rows(*(off_diagonal(matrix[square]) for matrix in ranks))
    all_names = class_names(first[0].run.results, first[0].run.name)
    names = [all_names[index] for index in first[0].order]
    classes = pd.DataFrame({"name": names, "likeness": likeness})
    classes["first_agreement"] = _mean_agreement(first, known)
    classes["second_agreement"] = _mean_agreement(second, known)
    classes["first_nearest"] = _nearest_names(ranks[0], known, names)
    classes["second_nearest"] = _nearest_names(ranks[1], known, names)
    return NetworkPair(ranks[0], ranks[1], classes)


def _nearest_names(
    ranks: Values, known: NDArray[np.intp], names: list[str]
) -> list[list[str]]:
    """Return the names of the classes that are most similar to each known class."""
    own = np.eye(len(names), dtype=bool)
    ordered = np.where(own | np.isnan(ranks), -np.inf, ranks)
    most = max(0, min(NEAREST, len(known) - 1))
    order = np.argsort(-ordered, axis=1, kind="stable")[:, :most]
    nearest: list[list[str]] = [[] for _ in names]
    for index in known:
        nearest[index] = [names[other] for other in order[index]]
    return nearest


def _percentile_ranks(at_epoch: RunAtEpoch, known: NDArray[np.intp]) -> Values:
    """Return the percentile rank of each pair of known classes, from 0 to 100; 100 on
    the diagonal, and NaN for other classes.
    """

    def make() -> Values:
        square = at_epoch.csm("own")[np.ix_(known, known)].astype(np.float64)
        np.fill_diagonal(square, np.nan)
        of_known = 100 * percentile_ranks(square)
        np.fill_diagonal(of_known, 100.0)
        ranks = np.full(at_epoch.csm("own").shape, np.nan)
        ranks[np.ix_(known, known)] = of_known
        return ranks

    return at_epoch.kept(("ranks", known.tobytes()), make)


def _mean_agreement(side: Sequence[RunAtEpoch], known: NDArray[np.intp]) -> Values:
    """Return the mean agreement of each known class over repetitions; NaN without a
    reference.
    """
    missing: Values = np.full(len(side[0].order), np.nan)
    try:
        reference = np.asarray(side[0].csm("scsm"), dtype=np.float64)
    except UsageError:
        return missing
    kept = known[~np.isnan(np.diagonal(reference))[known]]
    square = np.ix_(kept, kept)

    values = []
    for run in side:

        def agreement(run: RunAtEpoch = run) -> Values:
            own = np.asarray(run.csm("own"), dtype=np.float64)
            rows = align_rows(
                off_diagonal(own[square]), off_diagonal(reference[square])
            )
            return np.asarray(rows)

        values.append(run.kept(("agreement", kept.tobytes()), agreement))
    missing[kept] = np.mean(values, axis=0)
    return missing
