"""`Results`: the tables of a results folder as labelled DataFrames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from dsi_cli.errors import UsageError, expected, nearest
from dsi_cli.similarity import MAX_DENSE_CLASSES
from dsi_cli.store import head_matrix, layout, parquet
from dsi_cli.store.schema import (
    ALIGNMENT_BY_CLASS,
    CHECKPOINTS,
    CLASSES,
    CONFUSIONS,
    CURVES,
    HEADS,
    NEIGHBORS,
    PHASES,
    PREDICTIONS,
    TYPICALITY,
    TYPICALITY_HISTOGRAM,
    Table,
)

KINDS = ("ncsm", "ncsm_centred", "ccsm", "tncsm", "scsm")
"""Of matrices; scsm is the reference."""


class Results:
    """The results folder of ``dsi analyze``: tables as DataFrames, matrices as square labelled DataFrames.

    ``results["cifar100-cnn"]`` is one of its training runs, with the same attributes and methods. Iterating over the
    results gives the names of the runs.

    Parameters
    ----------
    out : path of the folder
    kept : an object that is kept alive as long as this one, such as the temporary folder that contains ``out``
    only : the name of the only run to show; all runs if None

    Raises
    ------
    UsageError
        The folder does not exist or is not a results folder, or it has no run of the name ``only``.
    """

    def __init__(self, out: str | Path, kept: object = None, only: str | None = None) -> None:
        self.path = Path(out)
        self._kept = kept
        self._only: str | None = None
        layout.require_output(self.path)
        if only is not None:
            self._only = self._run(only)
            del self.checkpoints  # read with all runs, to check the name

    def __getitem__(self, run: str) -> Self:
        """Return the results of one training run, with the same attributes and methods.

        Raises
        ------
        UsageError
            There is no such run; the message lists the runs.
        """
        return type(self)(self.path, self._kept, run)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the runs."""
        return iter(self.names)

    def __repr__(self) -> str:
        """Return the folder, its runs and their epochs."""
        epochs = [f"{name} ({len(self.epochs(name))} epochs)" for name in self.names]
        return f"Results({str(self.path)!r}: {', '.join(epochs)})"

    @cached_property
    def curves(self) -> pd.DataFrame:
        """All curves; a row a point, columns as ``docs/tables.md`` says."""
        return self._table(CURVES)

    @cached_property
    def phases(self) -> pd.DataFrame:
        """The phases of each run on its alignment and WSI curves, or why there are none."""
        return self._table(PHASES)

    @cached_property
    def checkpoints(self) -> pd.DataFrame:
        """All files that were found, with status and reason."""
        return self._table(CHECKPOINTS)

    @cached_property
    def classes(self) -> pd.DataFrame:
        """The classes of each run, with the synset that each was understood as."""
        return self._table(CLASSES)

    @cached_property
    def alignment_by_class(self) -> pd.DataFrame:
        """How much each class's row, and each group of classes, agrees with the reference; empty without one.

        A row without ``class_index`` is that of a group.
        """
        return self._table(ALIGNMENT_BY_CLASS)

    @cached_property
    def typicality(self) -> pd.DataFrame:
        """How near right and wrong samples lie to their class's template; empty without ``--templates``."""
        return self._table(TYPICALITY)

    @cached_property
    def typicality_histogram(self) -> pd.DataFrame:
        """How many right and wrong samples have which cosine with their class's template."""
        return self._table(TYPICALITY_HISTOGRAM)

    @property
    def names(self) -> list[str]:
        """The names of the runs in the folder."""
        return list(dict.fromkeys(self.checkpoints["run"]))

    def epochs(self, run: str | None = None) -> list[int]:
        """Return the epochs of a run that have matrices, in order; [0] if its only checkpoint has no epoch."""
        rows = self.checkpoints[(self.checkpoints["run"] == self._run(run)) & (self.checkpoints["status"] == "ok")]
        return sorted({int(epoch) for epoch in rows["epoch"].fillna(0)})

    def has_epochs(self, run: str | None = None) -> bool:
        """Return whether a run's checkpoints have epochs; if not, it has only one."""
        rows = self.checkpoints[(self.checkpoints["run"] == self._run(run)) & (self.checkpoints["status"] == "ok")]
        return not rows["epoch"].isna().any()

    def shown_epoch(self, epoch: int, run: str | None = None) -> str:
        """Return an epoch as it is shown: ``–`` if the run's only checkpoint has none."""
        return str(epoch) if self.has_epochs(run) else "–"

    def curves_of(self, run: str | None = None) -> pd.DataFrame:
        """Return a run's rows of the curves, of several references those of the main one alone.

        The epoch is 0 if the run's only checkpoint has none, as in `epochs`.
        """
        name = self._run(run)
        others = self.references(name)[1:]
        rows = self.curves[self.curves["run"] == name]
        is_other = rows["reference"].isin(others) | rows["reference"].str.contains("|", regex=False, na=False)
        return self.with_places(rows[~is_other])

    @staticmethod
    def with_places(rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows with epoch 0 for a checkpoint without an epoch: that is how the files of its matrices are named."""
        return rows.assign(epoch=rows["epoch"].fillna(0))

    def references(self, run: str | None = None) -> list[str]:
        """Return the names of the reference matrices that a run was compared with, the main one first."""
        return layout.references_of(self.path, self._run(run))

    def csm(
        self,
        kind: str = "ncsm",
        epoch: int | None = None,
        split: str | None = None,
        run: str | None = None,
        step: int | None = None,
        reference: str | None = None,
        rows: Sequence[int | str] | None = None,
        classes: Sequence[int | str] | None = None,
    ) -> pd.DataFrame:
        """Return a class similarity matrix ``(C, C)`` float32, rows and columns named by class, or a part of it.

        Parameters
        ----------
        kind : ``ncsm``, ``ncsm_centred``, ``ccsm``, ``tncsm``, or ``scsm`` for the reference matrix
        epoch : the trainer's own number; the last one if None
        split : ``train`` or ``test`` for matrices that have one
        run : needed only where the folder holds several
        step : of an earlier save within the epoch
        reference : which one, for ``scsm``; a name out of `references`, the main one if None
        rows, classes : names or indices of the rows, and of the columns, that are wanted; all if None

        Notes
        -----
        Above 4,096 classes the matrix is not stored: a part of it is made from the classifier in ``heads/``.

        Raises
        ------
        UsageError
            There is no such run, epoch or matrix, and the message says which there are; or it is too large to be made whole.
        """
        name = self._run(run)
        for word in (kind, split):
            if word is not None and not word.isidentifier():
                raise UsageError(f"{word!r} is no kind or split of a matrix: expected names like ncsm, scsm, test")
        labels = self._labels(name)
        if kind == "scsm":
            return self._part(self._reference(name, labels, reference), rows, classes)
        known = self.epochs(name)
        if epoch is None:
            epoch = known[-1] if known else 0
        path = layout.csm_path(self.path, name, kind, split, int(epoch), step)
        head = layout.head_path(self.path, name, int(epoch), step)
        if not path.is_file() and head.is_file() and kind in head_matrix.KINDS:
            return head_matrix.matrix_part(head, kind, labels, rows, classes)
        if not path.is_file():
            kinds = sorted(k.name for k in path.parent.parent.glob("*/")) if path.parent.parent.is_dir() else []
            near = None if kind in KINDS else nearest(kind, KINDS)
            splits = [] if split else [k.removeprefix(f"{kind}-") for k in kinds if k.startswith(f"{kind}-")]
            meant = f"; say which split (--split, in Python split=): {', '.join(splits)}" if splits else ""
            meant = meant or (f"; did you mean {near}?" if near else "")
            raise UsageError(
                f"no {kind} of epoch {epoch} in run {name!r}: its epochs are {brief_epochs(known)},"
                f" its matrices {', '.join(kinds) or 'none'}{meant}"
            )
        matrix = parquet.to_matrix(parquet.read(path))
        return self._part(pd.DataFrame(matrix, index=labels, columns=labels), rows, classes)

    @staticmethod
    def _part(matrix: pd.DataFrame, rows: Sequence[int | str] | None, classes: Sequence[int | str] | None) -> pd.DataFrame:
        if rows is None and classes is None:
            return matrix
        return matrix.iloc[
            head_matrix.class_indices(rows, matrix.index), head_matrix.class_indices(classes, matrix.columns)
        ]

    def require_matrices(self, run: str | None = None) -> None:
        """Raise `UsageError` if a run has more classes than a matrix is stored of; for what needs whole matrices."""
        if self.is_vast(run):
            raise UsageError(
                f"this needs whole matrices, which of more than {MAX_DENSE_CLASSES:,} classes are not stored:"
                " dsi neighbors lists the nearest classes, dsi export --rows makes a part"
            )

    def is_vast(self, run: str | None = None) -> bool:
        """Return whether a run has more classes than a matrix is stored of: ``neighbors/`` and ``heads/`` stand for matrices."""
        return (self.path / HEADS.path / layout.folder_name(self._run(run))).is_dir()

    def neighbors(
        self, kind: str = "ncsm", epoch: int | None = None, run: str | None = None, step: int | None = None
    ) -> pd.DataFrame:
        """Return the stored nearest classes of each class, where they stand for a matrix; parameters as for `csm`.

        Raises
        ------
        UsageError
            There are none: up to 4,096 classes the matrix itself is stored.
        """
        name = self._run(run)
        known = self.epochs(name)
        path = layout.neighbors_path(self.path, name, kind, int(epoch if epoch is not None else (known or [0])[-1]), step)
        if not path.is_file():
            raise UsageError(
                f"no {NEIGHBORS.path} of the {kind} of epoch {path.stem} in run {name!r}: its epochs are {brief_epochs(known)};"
                f" up to {MAX_DENSE_CLASSES:,} classes the matrix itself is stored, see csm"
            )
        frame: pd.DataFrame = parquet.read(path).to_pandas()
        return frame

    def confusion(
        self, epoch: int | None = None, split: str = "test", run: str | None = None, step: int | None = None
    ) -> pd.DataFrame:
        """Return the confusion counts ``(C, C)`` of a split: rows are the truth, columns the prediction, named by class.

        Parameters and errors as for `csm`.
        """
        name = self._run(run)
        path = self._split_path(CONFUSIONS, name, epoch, split, step)
        labels = self._labels(name)
        return pd.DataFrame(parquet.to_counts(parquet.read(path)), index=labels, columns=labels)

    def predictions(
        self, epoch: int | None = None, split: str = "test", run: str | None = None, step: int | None = None
    ) -> pd.DataFrame:
        """Return the samples of a split with target, prediction and score, as class indices; parameters and errors as `csm`."""
        path = self._split_path(PREDICTIONS, self._run(run), epoch, split, step)
        frame: pd.DataFrame = parquet.read(path).to_pandas()
        return frame

    def _split_path(self, table: Table, run: str, epoch: int | None, split: str, step: int | None) -> Path:
        if not split.isidentifier():
            raise UsageError(f"{split!r} is no split: {expected(split, ('train', 'test'))}")
        known = self.epochs(run)
        path = layout.split_path(
            self.path, table, run, split, int(epoch if epoch is not None else (known or [0])[-1]), step
        )
        if not path.is_file():
            there = sorted(int(p.stem) for p in path.parent.glob("*.parquet") if p.stem.isdecimal())
            raise UsageError(
                f"no {table.path} of epoch {path.stem} on {split} in run {run!r}: there are {brief_epochs(there) or 'none'};"
                " dsi analyze makes them with --predictions or --test"
            )
        return path

    def sorted(
        self,
        kind: str = "ncsm",
        epoch: int | None = None,
        split: str | None = None,
        run: str | None = None,
        reference: str | None = None,
        rows: Sequence[int | str] | None = None,
    ) -> pd.DataFrame:
        """Return the SoCSM ``(C, C)``: class indices of each row by falling similarity, the class itself first.

        Ties keep the order of the class index. Parameters and errors as for `csm`.
        """
        matrix = self.csm(kind, epoch, split, run, reference=reference, rows=rows)
        values = matrix.to_numpy(dtype=np.float64, copy=True)
        values[np.arange(len(values)), head_matrix.class_indices(rows, matrix.columns)] = np.inf
        order = np.argsort(-values, axis=1, kind="stable")
        return pd.DataFrame(order, index=matrix.index, columns=pd.RangeIndex(order.shape[1], name="rank"))

    def _table(self, table: Table) -> pd.DataFrame:
        path = layout.table_path(self.path, table)
        frame = (parquet.read(path) if path.is_file() else parquet.from_rows(table, [])).to_pandas()
        if self._only is not None:
            frame = frame[frame["run"] == self._only].reset_index(drop=True)
        whole = [column.name for column in table.columns if column.type == "int64" and column.name in frame]
        typed: pd.DataFrame = frame.astype(dict.fromkeys(whole, "Int64"))
        return typed

    def _run(self, name: str | None) -> str:
        if name is None and len(self.names) == 1:
            return self.names[0]
        if name is None or name not in self.names:
            asked = "say which run (--run, in Python run=)" if name is None else f"no run {name!r}"
            near = None if name is None else nearest(name, self.names)
            meant = f"; did you mean {near}?" if near else ""
            raise UsageError(f"{asked}: {self.path} holds {', '.join(self.names) or 'none'}{meant}")
        return name

    def _labels(self, run: str) -> pd.Index:
        rows = self.classes[self.classes["run"] == run].sort_values("class_index")
        names = [index if pd.isna(name) else name for index, name in zip(rows["class_index"], rows["name"], strict=True)]
        index: pd.Index = pd.Index(names, name="class")
        return index

    def _reference(self, run: str, labels: pd.Index, asked: str | None) -> pd.DataFrame:
        known = self.references(run)
        if asked is not None and asked not in known:
            raise UsageError(
                f"run {run!r} has no reference {asked!r}: {expected(asked, known) if known else 'it has none'}"
            )
        ids = self.classes.loc[self.classes["run"] == run, "labels_id"].dropna().unique()
        paths = [layout.reference_path(self.path, name, one) for name in ([asked] if asked else known[:1]) for one in ids]
        found = [path for path in paths if path.is_file()]
        if self.is_vast(run) and not found:
            raise UsageError(
                f"the reference matrix of {len(labels):,} classes is not stored: dsi wordnet LABELS writes the nearest of each, and"
                " with --whole the matrix"
            )
        if not found:
            raise UsageError(
                f"run {run!r} has no reference matrix: no label of it was found in WordNet, or it has no labels"
            )
        return pd.DataFrame(parquet.to_matrix(parquet.read(found[0])), index=labels, columns=labels)


def brief_epochs(epochs: list[int]) -> str:
    """Return epochs as a message names them, the first and the last where there are many."""
    return ", ".join(map(str, epochs)) if len(epochs) <= 8 else f"{epochs[0]}, {epochs[1]}, ... {epochs[-1]}"
