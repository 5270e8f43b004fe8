"""The runs of a comparison, each with a unique label, and the classes and epochs that
two runs have in common.

Classes are matched by the label list, or by WordNet id, or by name, if that identifies
all classes of a run uniquely. Their order may differ. Epochs are matched by the number
of completed epochs if both runs have it, or else by the trainers' epoch numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, count, suggestion
from dsi_cli.queries.comparison.clusters import Clusters, cluster_indices
from dsi_cli.queries.matrices import reference_title
from dsi_cli.queries.run_classes import class_rows
from dsi_cli.store.results import Results
from dsi_cli.store.schema import NETWORK_MATRICES, MatrixId

# size of the matrices of a run that stay in memory between two reads
MAX_CACHED_BYTES = 64 << 20


class CurveRows(NamedTuple):
    """The rows of a quantity in the curves table, and the column of its values.

    In ``of`` and ``variant``, ``{own}`` is the matrix of the network's similarity,
    ``{split}`` the split of the predictions, and ``{measure}`` the measure of the SAI.
    """

    metric: str
    of: str = ""
    has_split: bool = False
    variant: str = ""
    column: str = "value"


ACCURACY = CurveRows("accuracy", has_split=True)
MISTAKES = CurveRows("mistakes", has_split=True)
RELIABILITY = CurveRows("reliability", "ccsm", has_split=True)
ALIGNMENT = CurveRows("sai", "{own},scsm", variant="{measure}", column="excess")
MAX_WSI = CurveRows("wsi", "{own}", variant="max")
MIN_WSI = CurveRows("wsi", "{own}", variant="min")
WIDM = CurveRows("idm", "scsm", has_split=True, variant="errors")
NIDM = CurveRows("idm", "{own}", has_split=True, variant="errors")


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One run of a results folder.

    Its tables are read once, and its matrices and predictions are kept, since pairs of
    runs share them.
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
    def epochs(self) -> list[int]:
        """The epochs with matrices."""
        return self.results.epochs(self.name)

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
    def _curves(self) -> dict[Any, pd.DataFrame]:
        """The points of all curves by epoch, for the main reference and the last
        checkpoint of an epoch, by metric, of, split and variant.
        """
        rows = self.results.last_saves(
            self.results.curves_of(self.name),
            "metric",
            "of",
            "split",
            "variant",
            "reference",
        )
        points = rows.set_index("epoch").sort_index()
        keys = [
            points[name].fillna("") for name in ("metric", "of", "split", "variant")
        ]
        return dict(iter(points.groupby(keys, sort=False)))

    @cached_property
    def own(self) -> str | None:
        """The matrix of the network's similarity, one of `NETWORK_MATRICES`; None if
        the curves table has none of them.
        """
        known = {key[1:3] for key in self._curves if key[0] == "wsi"}
        for name in NETWORK_MATRICES:
            kind, split = MatrixId.parse(name)
            if (kind, split or "") in known:
                return name
        return None

    def points(
        self, rows: CurveRows, split: str = "", measure: str = "pearson"
    ) -> pd.DataFrame:
        """Return the rows of a quantity by epoch, in order; the column ``shown`` has
        its values.
        """
        of = rows.of.format(own=self.own, split=split)
        used: str | None = split if rows.has_split else ""
        # The split of a WSI is that of its matrix.
        if rows.metric == "wsi":
            of, used = MatrixId.parse(of)
        key = (rows.metric, of, used or "", rows.variant.format(measure=measure))
        selected = (*key, rows.column)
        if selected not in self.kept:
            empty = next(iter(self._curves.values())).iloc[:0]
            found = self._curves.get(key, empty)
            shown = found[rows.column].astype(np.float64)
            self.kept[selected] = found.assign(shown=shown)
        points: pd.DataFrame = self.kept[selected]
        return points

    @cached_property
    def csm(self) -> Callable[[str, int], NDArray[np.float32]]:
        """The function that reads the matrix of an epoch by its kind and split, such as
        ``ncsm`` or ``ccsm-test``.

        As many matrices as fit in `MAX_CACHED_BYTES` stay in memory, so do not change a
        matrix. `Results.csm` documents the errors.
        """
        self.results.require_matrices(self.name)
        bytes_of_one = max(1, 4 * len(self.classes) ** 2)

        @lru_cache(maxsize=max(2, MAX_CACHED_BYTES // bytes_of_one))
        def read(kind: str, epoch: int) -> NDArray[np.float32]:
            name, split = MatrixId.parse(kind)
            return self.results.csm(name, epoch, split, self.name).to_numpy()

        return read

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """The values that were computed of this run for an earlier pair, by their key."""
        return {}


def common_reference(runs: Sequence[ComparedRun]) -> str:
    """Return the name of the main reference for readers, without a name if the runs
    have different ones.
    """
    names = {reference_title(run.results, run.name) for run in runs}
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
            message = (
                f"there is no run {name!r} among"
                f" {', '.join(labels) or 'no runs'}{suggestion(name, known)}"
            )
            raise UsageError(message, code="unknown-run", run=name)
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
    labels = [_labels_id(classes) for classes in (a, b)]
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


def match_epochs(
    first: ComparedRun, second: ComparedRun
) -> tuple[str, list[tuple[int, int, int]]]:
    """Return the number by which the epochs of two runs are matched, epochs completed
    or epoch, and the common epochs in order.

    Each common epoch is this number, and the numbers of the epoch in the first and in
    the second run.
    """
    by = "epochs completed"
    numbers = [first.completed, second.completed]
    if first.completed is None or second.completed is None:
        by = "epoch"
        numbers = [{epoch: epoch for epoch in run.epochs} for run in (first, second)]
    one, other = (
        {number: epoch for epoch, number in (known or {}).items()} for known in numbers
    )
    common = sorted(number for number in one if number in other)
    return by, [(number, one[number], other[number]) for number in common]


def _labels_id(classes: pd.DataFrame) -> str | None:
    known = classes["labels_id"].dropna().unique()
    return str(known[0]) if len(known) == 1 else None


def _identifies(column: pd.Series) -> bool:
    """Return True if each class has a text of its own."""
    return not column.isna().any() and column.is_unique
