"""The runs of a comparison, each with a unique label, and the classes and epochs that
two runs have in common.

Classes are matched by the label list, or by WordNet id, or by name, if that identifies
all classes of a run uniquely. Their order may differ. Epochs are matched by the number
of completed epochs if both runs have it, or by the trainers' epoch numbers if neither
has it. If one has it, the numbers count differently, and the epochs of equal accuracy
or else the last ones are matched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, count, suggestion
from dsi_cli.facts import Fact, fact
from dsi_cli.queries import facts
from dsi_cli.queries.comparison.clusters import Clusters, cluster_indices
from dsi_cli.queries.matrices import reference_title
from dsi_cli.queries.quantities import WSI, Quantity, quantity
from dsi_cli.queries.run_classes import class_rows
from dsi_cli.store.results import Results
from dsi_cli.store.schema import NETWORK_MATRICES, MatrixId

POINT_COLUMNS = (
    *("epoch", "step", "epochs_completed", "samples_used"),
    *("value", "excess", "null_mean", "null_std", "z"),
)
CURVE_KEYS = ("metric", "of", "split", "variant")


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One run of a results folder.

    Its tables are read once, and all that a comparison derives from them is kept, since
    pairs of runs share it.
    """

    # the unique label: the run's name, after a part of the folder's path if several
    # runs share the name
    label: str
    name: str  # the run's name in its results folder
    results: Results
    clusters: Clusters | None = None  # for intervals over clusters of classes

    @cached_property
    def cluster_of_class(self) -> NDArray[np.intp] | None:
        """The index of the cluster of each class ``(C,)``; None without clusters."""
        if self.clusters is None:
            return None
        return cluster_indices(self.classes, self.clusters)

    @cached_property
    def classes(self) -> pd.DataFrame:
        """The run's rows of the classes table, in class order."""
        return class_rows(self.results, self.name).reset_index(drop=True)

    @cached_property
    def labels_id(self) -> str | None:
        """The id of the label list; None without labels."""
        known = self.classes["labels_id"].dropna().unique()
        return str(known[0]) if len(known) == 1 else None

    @cached_property
    def reference(self) -> str:
        """The name of the main reference for readers."""
        return reference_title(self.results, self.name)

    @cached_property
    def contradictions(self) -> list[Fact]:
        """The facts about inputs of the run that contradict one another."""
        return facts.contradictions(facts.of_run(self.results.path, self.name))

    @cached_property
    def epochs(self) -> list[int]:
        """The epochs with matrices."""
        return self.results.epochs(self.name)

    @cached_property
    def has_epochs(self) -> bool:
        """False for a single checkpoint without an epoch number."""
        return self.results.has_epochs(self.name)

    @cached_property
    def is_vast(self) -> bool:
        """True if the run has too many classes for its matrices to be stored."""
        return self.results.is_vast(self.name)

    @cached_property
    def completed(self) -> dict[int, int] | None:
        """The number of completed epochs by epoch number; None if it is unknown for an
        epoch.
        """
        rows = self.results.usable_checkpoints(self.name)
        if rows.empty or rows["epochs_completed"].isna().any():
            return None
        epochs = zip(rows["epoch"], rows["epochs_completed"], strict=True)
        return {int(epoch): int(completed) for epoch, completed in epochs}

    @cached_property
    def _curves(self) -> pd.DataFrame:
        """The points of all curves by epoch, for the main reference and the last
        checkpoint of an epoch.
        """
        rows = self.results.curves_of(self.name)
        keys = (*CURVE_KEYS, "reference")
        rows = rows[[*keys, *POINT_COLUMNS]]
        points = self.results.last_saves(rows, *keys).set_index("epoch")
        return points.fillna(dict.fromkeys(CURVE_KEYS, ""))

    @cached_property
    def _places(self) -> dict[Any, Any]:
        """The places of the points of each curve, by the values of `CURVE_KEYS`."""
        return self._curves.groupby(list(CURVE_KEYS), sort=False).indices

    @cached_property
    def own(self) -> str | None:
        """The matrix of the network's similarity, one of `NETWORK_MATRICES`; None if
        the curves table has none of them.
        """
        known = {(of, split) for metric, of, split, _ in self._places if metric == WSI}
        for name in NETWORK_MATRICES:
            kind, split = MatrixId.parse(name)
            if (kind, split or "") in known:
                return name
        return None

    def points(self, of: str | Quantity, split: str | None = None) -> pd.DataFrame:
        """Return the rows of a quantity, by name or as an entry, in the curves table by
        epoch, in order; the column ``shown`` has its values.
        """
        if (of, split) not in self.kept:
            entry = quantity(of) if isinstance(of, str) else of
            key = entry.key(self.own or NETWORK_MATRICES[0], split)
            place = tuple(key[name] or "" for name in CURVE_KEYS)
            rows = self._curves.iloc[self._places.get(place, [])]
            shown = rows[entry.column].astype(np.float64)
            self.kept[of, split] = rows.assign(shown=shown)
        points: pd.DataFrame = self.kept[of, split]
        return points

    def known(self, of: str | Quantity, split: str | None = None) -> dict[int, float]:
        """Return the values of a quantity by epoch, without missing ones."""
        key = (of, split, "known")
        if key not in self.kept:
            values = self.points(of, split)["shown"].dropna()
            epochs = values.index.astype(int).tolist()
            self.kept[key] = dict(zip(epochs, values.tolist(), strict=True))
        known: dict[int, float] = self.kept[key]
        return known

    def csm(self, kind: str, epoch: int) -> NDArray[np.float32]:
        """Return the matrix of an epoch by its kind and split, such as ``ncsm`` or
        ``ccsm-test``.

        `Results.csm` documents the errors.
        """
        if self.is_vast:
            self.results.require_matrices(self.name)
        name, split = MatrixId.parse(kind)
        return self.results.csm(name, epoch, split, self.name).to_numpy()

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """The values that were computed of this run for an earlier pair, by their key."""
        return {}


def common_reference(runs: Sequence[ComparedRun]) -> str:
    """Return the name of the main reference for readers, without a name if the runs
    have different ones.
    """
    names = {run.reference for run in runs}
    return names.pop() if len(names) == 1 else "the reference"


def compared_runs(
    outputs: Sequence[str | Path], names: Sequence[str] = ()
) -> list[ComparedRun]:
    """Return the runs of some results folders that have usable checkpoints, or those
    with the given names or labels.

    Raise `UsageError` if a folder is not a results folder or is given twice (code
    ``repeated-folder``), a name is unknown (code ``unknown-run``), or fewer than two
    runs remain (code ``too-few-runs``).
    """
    uses = Counter(Path(path).resolve() for path in outputs)
    for path, times in uses.items():
        if times > 1:
            message = (
                f"{path} is given twice, so its runs would be compared with themselves"
            )
            raise UsageError(
                message, hint="leave one out", code="repeated-folder", path=path
            )
    runs = _labelled_runs(
        [(results, name) for results in map(Results, outputs) for name in results.names]
    )
    labels = [run.label for run in runs]
    known = [*labels, *(run.name for run in runs)]
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no run {name!r} among {', '.join(labels) or 'no runs'}",
                hint=suggestion(name, known),
                code="unknown-run",
                run=name,
            )
    selected = [
        run
        for run in runs
        if run.epochs and (not names or run.label in names or run.name in names)
    ]
    if len(selected) < 2:
        if selected:
            only = f"only {selected[0].label}"
        else:
            only = "no run with a usable checkpoint"
        hint = "add another --run" if names else "name another results folder, too"
        message = f"a comparison needs two runs or more, and there is {only}; {hint}"
        raise UsageError(
            message, code="too-few-runs", runs=[run.label for run in selected]
        )
    return selected


def _labelled_runs(runs: Sequence[tuple[Results, str]]) -> list[ComparedRun]:
    """Return the runs; if several share a name, as many parts of the folder's path
    precede it as make the label unique.
    """
    parts = [(*results.path.resolve().parts, name) for results, name in runs]
    labelled = []
    for run_parts, (results, name) in zip(parts, runs, strict=True):
        length = 1
        while sum(
            run_parts[-length:] == other[-length:] for other in parts
        ) > 1 and length < len(run_parts):
            length += 1
        labelled.append(ComparedRun("/".join(run_parts[-length:]), name, results))
    return labelled


@dataclass(frozen=True, eq=False)
class CommonClasses:
    """The common classes of two runs."""

    common: int  # the number of common classes
    order: NDArray[np.intp] | None = None
    """The second run's class index of each class of the first ``(C,)``; None if the
    runs have different classes.
    """
    # the key of the match: label list, WordNet id, name or class index
    by: str | None = None
    reason: str | None = None  # the reason for a missing order


def match_classes(first: ComparedRun, second: ComparedRun) -> CommonClasses:
    """Return the common classes of two runs."""
    a, b = first.classes, second.classes
    labels = [first.labels_id, second.labels_id]
    has_same_number = len(a) == len(b)
    in_order = np.arange(len(a))
    if has_same_number and labels[0] is not None and labels[0] == labels[1]:
        return CommonClasses(len(a), in_order, "label list")
    most = 0
    for by, column in (("WordNet id", "wnid"), ("name", "name")):
        if not (_identifies(a[column]) and _identifies(b[column])):
            continue
        order = pd.Index(b[column]).get_indexer(pd.Index(a[column]))
        common = int((order >= 0).sum())
        if has_same_number and common == len(a):
            return CommonClasses(common, order.astype(np.intp), by)
        most = max(most, common)
    if has_same_number and labels == [None, None]:
        return CommonClasses(len(a), in_order, "class index")
    reason = (
        f"{count(most, 'class')} in common, of {len(a)} and {len(b)}: networks are"
        " compared on the same classes"
    )
    unlabelled = [
        run.label
        for run, known in zip((first, second), labels, strict=True)
        if known is None
    ]
    if unlabelled:
        reason = f"{unlabelled[0]} has no labels, so its classes cannot be matched"
    return CommonClasses(most, reason=reason)


def other_senses(
    first: ComparedRun, second: ComparedRun, order: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the indices in the first run of the classes that have another WordNet id in
    the second one; ``order`` is that of `CommonClasses`.
    """
    first_ids = first.classes["wnid"].fillna("").to_numpy()
    second_ids = second.classes["wnid"].fillna("").to_numpy()[order]
    return np.flatnonzero(first_ids != second_ids)


def label_facts(first: ComparedRun, second: ComparedRun) -> list[Fact]:
    """Return facts about two label lists with the same classes, but in another order or
    with other senses.
    """
    matched = match_classes(first, second)
    if matched.order is None:
        return []
    names = first.classes["name"].tolist()
    described: dict[str, Any] = {
        "first": first.label,
        "second": second.label,
        "classes": len(names),
    }
    facts = []
    moved = np.flatnonzero(matched.order != np.arange(len(names)))
    if len(moved):
        labels = [names[index] for index in moved]
        facts.append(
            fact("label-orders-differ", moved=labels, by=matched.by, **described)
        )
    senses = other_senses(first, second, matched.order)
    if len(senses):
        labels = [names[index] for index in senses]
        facts.append(fact("senses-differ", labels=labels, **described))
    return facts


def match_epochs(*runs: ComparedRun) -> tuple[str, list[tuple[int, ...]]]:
    """Return the number by which the epochs of runs are matched, epochs completed or
    epoch, and the common epochs in order.

    Each common epoch is this number, and then the number of the epoch in each run.
    """
    by = "epochs completed"
    numbers = [run.completed for run in runs if run.completed is not None]
    if len(numbers) < len(runs):
        by = "epoch"
        numbers = [{epoch: epoch for epoch in run.epochs} for run in runs]
    epochs = [{number: epoch for epoch, number in of.items()} for of in numbers]
    common = sorted(set.intersection(*map(set, epochs)))
    return by, [(number, *(of[number] for of in epochs)) for number in common]


class AccuracyLevel(NamedTuple):
    """The common accuracy of runs, and the epoch of each run."""

    value: float | None
    epochs: dict[str, int]
    # the reason for a missing level; the epochs are then the last ones
    reason: str | None


def common_level(
    runs: Sequence[ComparedRun], split: str, tolerance: float
) -> AccuracyLevel:
    """Return the highest accuracy that all runs reach and each run's epoch nearest to
    it, or the last epochs and a reason.
    """
    last = {run.label: run.epochs[-1] for run in runs}
    curves = {}
    for run in runs:
        accuracy = run.known("accuracy", split)
        curve = {epoch: accuracy[epoch] for epoch in run.epochs if epoch in accuracy}
        if not curve:
            return AccuracyLevel(None, last, f"{run.label} has no accuracy on {split}")
        curves[run.label] = curve
    worst = min(curves, key=lambda label: max(curves[label].values()))
    level = max(curves[worst].values())
    guessing = 1 / max(len(run.classes) for run in runs)
    if level <= guessing + tolerance:
        reason = f"{worst} does no better than guessing: its best accuracy is"
        return AccuracyLevel(None, last, f"{reason} {level:.3f}")
    epochs = {}
    for label, curve in curves.items():
        epoch = min(curve, key=lambda epoch: abs(curve[epoch] - level))
        epochs[label] = epoch
        if abs(curve[epoch] - level) > tolerance:
            reason = (
                f"no accuracy in common within {tolerance:g}: the accuracy of {label}"
                f" nearest to {level:.3f} is {curve[epoch]:.3f}"
            )
            return AccuracyLevel(None, last, reason)
    return AccuracyLevel(level, epochs, None)


def _identifies(column: pd.Series) -> bool:
    """Return True if each class has a text of its own."""
    return not column.isna().any() and column.is_unique
