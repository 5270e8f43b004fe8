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
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, count, suggestion
from dsi_cli.queries.matrices import reference_title
from dsi_cli.queries.run_classes import class_rows
from dsi_cli.store.results import Results
from dsi_cli.store.schema import NETWORK_MATRICES, MatrixId

# size of the matrices of a run that stay in memory between two reads
MAX_CACHED_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One run of a results folder."""

    # the unique label: the run's name, after a part of the folder's path if several
    # runs share the name
    label: str
    name: str  # the run's name in its results folder
    results: Results

    @cached_property
    def classes(self) -> pd.DataFrame:
        """The run's rows of the classes table, in class order."""
        return class_rows(self.results, self.name).reset_index(drop=True)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The run's rows of the curves table for its main reference; the last
        checkpoint of an epoch counts.
        """
        rows = self.results.curves_of(self.name)
        return self.results.last_saves(
            rows, "metric", "of", "split", "variant", "reference"
        )

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
        return {
            int(epoch): int(completed)
            for epoch, completed in zip(
                rows["epoch"], rows["epochs_completed"], strict=True
            )
        }

    @cached_property
    def own(self) -> str | None:
        """The matrix of the network's similarity, one of `NETWORK_MATRICES`; None if
        the curves table has none of them.
        """
        rows = self.curves[self.curves["metric"] == "wsi"]
        splits = {
            (of, None if pd.isna(split) else split)
            for of, split in zip(rows["of"], rows["split"], strict=True)
        }
        return next(
            (name for name in NETWORK_MATRICES if MatrixId.parse(name) in splits), None
        )

    @cached_property
    def csm(self) -> Callable[[str, int], NDArray[np.float32]]:
        """The function that reads the matrix of an epoch by its kind and split, such as
        ``ncsm`` or ``ccsm-test``.

        As many matrices as fit in `MAX_CACHED_BYTES` stay in memory, since pairs of
        runs share them, so do not change a matrix. `Results.csm` documents the errors.
        """
        self.results.require_matrices(self.name)

        @lru_cache(
            maxsize=max(2, MAX_CACHED_BYTES // max(1, 4 * len(self.classes) ** 2))
        )
        def read(kind: str, epoch: int) -> NDArray[np.float32]:
            name, split = MatrixId.parse(kind)
            return self.results.csm(name, epoch, split, self.name).to_numpy()

        return read

    def curve(
        self,
        metric: str,
        of: str | None = None,
        split: str | None = None,
        variant: str | None = None,
    ) -> pd.DataFrame:
        """Return the points of a curve by epoch, in order; None selects rows without a
        value in the column.

        In ``of``, ``{own}`` is replaced by the matrix of the network's similarity. The
        split of a WSI is that of its matrix.
        """
        of = None if of is None else of.format(own=self.own)
        if metric == "wsi" and of is not None:
            of, split = MatrixId.parse(of)
        key = (metric, of or "", split or "", variant or "")
        return self._points.get(key, self.curves.iloc[:0].set_index("epoch"))

    @cached_property
    def _points(self) -> dict[Any, pd.DataFrame]:
        """The points of all curves by epoch, by metric, of, split and variant; an empty
        text stands for a missing value.
        """
        points = self.curves.set_index("epoch").sort_index()
        keys = [
            points[name].fillna("") for name in ("metric", "of", "split", "variant")
        ]
        return dict(iter(points.groupby(keys, sort=False)))


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
        only = (
            f"only {selected[0].label}"
            if selected
            else "no run with a usable checkpoint"
        )
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
    by: str | None = (
        None  # the key of the match: label list, WordNet id, name or class index
    )
    reason: str | None = None  # the reason for a missing order


def match_classes(first: ComparedRun, second: ComparedRun) -> CommonClasses:
    """Return the common classes of two runs."""
    a, b = first.classes, second.classes
    first_labels, second_labels = _labels_id(a), _labels_id(b)
    if len(a) == len(b) and first_labels is not None and first_labels == second_labels:
        return CommonClasses(len(a), np.arange(len(a)), "label list")
    most = 0
    for by, column in (("WordNet id", "wnid"), ("name", "name")):
        keys, other_keys = _unique_texts(a[column]), _unique_texts(b[column])
        if keys is not None and other_keys is not None:
            common = len(set(keys) & set(other_keys))
            if common == len(keys) == len(other_keys):
                index_by_key = {key: index for index, key in enumerate(other_keys)}
                return CommonClasses(
                    common,
                    np.array([index_by_key[key] for key in keys], dtype=np.intp),
                    by,
                )
            most = max(most, common)
    if len(a) == len(b) and first_labels is None and second_labels is None:
        return CommonClasses(len(a), np.arange(len(a)), "class index")
    for run, labels in ((first, first_labels), (second, second_labels)):
        if labels is None:
            return CommonClasses(
                most,
                reason=f"{run.label} has no labels, so its classes cannot be matched",
            )
    return CommonClasses(
        most,
        reason=(
            f"{count(most, 'class')} in common, of {len(a)} and {len(b)}: networks are"
            " compared on the same classes"
        ),
    )


def match_epochs(
    first: ComparedRun, second: ComparedRun
) -> tuple[str, list[tuple[int, int, int]]]:
    """Return the number by which the epochs of two runs are matched, epochs completed
    or epoch, and the common epochs in order.

    Each common epoch is this number, and the numbers of the epoch in the first and in
    the second run.
    """
    if first.completed is None or second.completed is None:
        return "epoch", [
            (epoch, epoch, epoch)
            for epoch in first.epochs
            if epoch in set(second.epochs)
        ]
    second_epochs = {completed: epoch for epoch, completed in second.completed.items()}
    in_both = [
        (completed, epoch)
        for epoch, completed in first.completed.items()
        if completed in second_epochs
    ]
    return "epochs completed", sorted(
        (completed, epoch, second_epochs[completed]) for completed, epoch in in_both
    )


def _labels_id(classes: pd.DataFrame) -> str | None:
    known = classes["labels_id"].dropna().unique()
    return str(known[0]) if len(known) == 1 else None


def _unique_texts(column: pd.Series) -> list[str] | None:
    """Return the texts of a column, or None if one is missing or repeated."""
    return (
        None
        if column.isna().any() or column.duplicated().any()
        else [str(text) for text in column]
    )
