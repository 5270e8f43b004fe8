"""`Results`: the tables of a results folder as labelled DataFrames."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsi_cli import similarity
from dsi_cli.errors import UsageError, count, require_choice, suggestion
from dsi_cli.similarity import MAX_DENSE_CLASSES, Cosines
from dsi_cli.store import layout, parquet, schema
from dsi_cli.store.schema import (
    HEAD_KINDS,
    MATRIX_KINDS,
    SPLIT_KINDS,
    SPLITS,
    MatrixId,
    Table,
)

if TYPE_CHECKING:
    import pandas as pd

_Selected = tuple[NDArray[np.intp], ...]
"""The indices of rows and columns as `numpy.ix_` returns them."""


def _frame(table: Table, meaning: str) -> cached_property[pd.DataFrame]:
    """Return a property of `Results` that reads a table on first use."""
    frame: cached_property[pd.DataFrame] = cached_property(
        lambda results: results._table(table)
    )
    frame.__doc__ = meaning
    return frame


class Results:
    """The results folder of ``dsi analyze``: tables as DataFrames, matrices as square
    labelled DataFrames.

    `dsi_cli.Results` documents the class for users. It keeps the object ``kept`` alive,
    such as the temporary folder of ``out``.
    """

    def __init__(
        self, out: str | Path, kept: object = None, only: str | None = None
    ) -> None:
        self.path = Path(out)
        self._kept = kept
        layout.require_output(self.path)
        self._only = None if only is None else Results(out).run_name(only)
        self._positions: dict[str, dict[Hashable, Any]] = {}
        """The positions of each run's rows, by the name of a table's attribute."""
        self._known_labels: dict[str, pd.Index] = {}
        """The names of each run's classes."""

    def __getitem__(self, run: str) -> Self:
        """Return the results of one training run, with the same attributes and methods.

        Raise `UsageError` if the run does not exist; the message lists the runs.
        """
        return type(self)(self.path, self._kept, run)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the runs."""
        return iter(self.names)

    def __repr__(self) -> str:
        """Return the folder, its runs and their epochs."""
        epochs = [
            f"{name} ({count(len(self.epochs(name)), 'epoch')})" for name in self.names
        ]
        return f"Results({str(self.path)!r}: {', '.join(epochs)})"

    @cached_property
    def curves(self) -> pd.DataFrame:
        """All curves of both tables, with one row per point; ``docs/tables.md``
        describes the columns.
        """
        import pandas as pd  # Arrow tables do without it

        tables = [self._table(schema.CURVES), self._table(schema.EXTRA_CURVES)]
        return pd.concat(
            [table for table in tables if len(table)] or tables[:1], ignore_index=True
        )

    def table(self, name: str) -> pa.Table:
        """Return a table as an Arrow table, which Polars and DuckDB read without pandas.

        Parameters
        ----------
        name : the name of a Parquet file in the folder, such as ``classes``. As in
            `Results.curves`, ``curves`` has the rows of ``extra_curves``, too.

        Raises
        ------
        UsageError
            There is no such table (``unknown-table``).
        """
        known = {
            table.path.removesuffix(".parquet"): table
            for table in schema.TABLES
            if table.path.endswith(".parquet")
        }
        require_choice("table", name, known)
        table = layout.read_table(self.path, known[name], self._only)
        if name != "curves":
            return table
        extra = layout.read_table(self.path, schema.EXTRA_CURVES, self._only)
        return pa.concat_tables([table, extra], promote_options="permissive")

    phases = _frame(
        schema.PHASES,
        "The phases of each run on its curves, or the reason why a curve has none.",
    )
    facts = _frame(
        schema.FACTS,
        "What dsi noticed, such as warnings: a code, epochs and fields for each run.",
    )
    checkpoints = _frame(
        schema.CHECKPOINTS, "All checkpoint files, with status and reason."
    )
    classes = _frame(
        schema.CLASSES, "The classes of each run, with the synset of each label."
    )
    alignment_by_class = _frame(
        schema.ALIGNMENT_BY_CLASS,
        "The agreement of each class's row, and of each group (whose ``class_index`` is"
        " null), with the reference.",
    )
    geometry = _frame(
        schema.GEOMETRY,
        "The length, the bias and the drift of each class vector at each checkpoint.",
    )
    spectrum = _frame(
        schema.SPECTRUM,
        "The singular values of the centred head at each checkpoint, and their shares.",
    )
    typicality = _frame(
        schema.TYPICALITY,
        "The similarity of correct and wrong samples to their class's template.",
    )
    typicality_histogram = _frame(
        schema.TYPICALITY_HISTOGRAM,
        "The histogram of sample cosines with the class's template.",
    )

    def suspects(self) -> pd.DataFrame:
        """Return the classes, pairs and groups that deserve a look, the strongest
        first, and the ordinary ones last.

        ``rank`` is that within a kind, and ``grade`` is strong, worth a look or
        ordinary. Runs with the same classes are judged together, and ``run`` has the
        strongest evidence. ``docs/tables.md`` describes the columns. ``q_value`` in [0, 1] is
        that of Benjamini and Hochberg (1995).

        Raise `UsageError` if an older version of dsi wrote the results.
        """
        if not (self.path / schema.SUSPECTS.path).is_file():
            raise UsageError(
                f"{self.path} has no {schema.SUSPECTS.path}, because an older version"
                " of dsi wrote it",
                hint="run dsi analyze again with the same output folder",
                code="no-suspects",
                path=str(self.path),
            )
        found = self._table(schema.SUSPECTS)
        for column in ("members", "epoch_ranks", "tested_epochs"):
            found[column] = found[column].map(np.ndarray.tolist)
        return found

    @cached_property
    def names(self) -> list[str]:
        """The names of the runs in the folder, ``seed2`` before ``seed10``."""
        numbers_in = re.compile(r"(\d{1,18})")
        names = dict.fromkeys(self.checkpoints["run"])
        return sorted(
            names,
            key=lambda name: [
                int(part) if part.isdecimal() else part
                for part in numbers_in.split(name)
            ],
        )

    def rows_of(self, table: str, run: str | None = None) -> pd.DataFrame:
        """Return a run's rows of a table, which is given by the name of its attribute,
        such as ``classes``; raise `UsageError` if the run does not exist.
        """
        frame: pd.DataFrame = getattr(self, table)
        if table not in self._positions:
            self._positions[table] = dict(frame.groupby("run", sort=False).indices)
            for name, rows in self._positions[table].items():
                if rows[-1] - rows[0] + 1 == len(
                    rows
                ):  # without a gap between them, a slice copies no rows
                    self._positions[table][name] = slice(rows[0], rows[-1] + 1)
        return frame.iloc[self._positions[table].get(self.run_name(run), slice(0))]

    def epochs(self, run: str | None = None) -> list[int]:
        """Return the epochs of a run with matrices, in order; [0] if its only
        checkpoint has no epoch. Raise `UsageError` if the run does not exist.
        """
        rows = self.fill_missing_epochs(self.usable_checkpoints(run))
        return sorted({int(epoch) for epoch in rows["epoch"]})

    def has_epochs(self, run: str | None = None) -> bool:
        """Return whether a run's checkpoints have epochs; a run without epochs has only
        one checkpoint.
        """
        return not self.usable_checkpoints(run)["epoch"].isna().any()

    def usable_checkpoints(self, run: str | None = None) -> pd.DataFrame:
        """Return a run's rows of the checkpoints table whose status is ok; raise
        `UsageError` if the run does not exist.
        """
        rows = self.rows_of("checkpoints", run)
        return rows[rows["status"] == "ok"]

    def shown_epoch(self, epoch: int, run: str | None = None) -> str:
        """Return an epoch as text; ``–`` if the run's only checkpoint has no epoch."""
        return str(epoch) if self.has_epochs(run) else "–"

    def curves_of(self, run: str | None = None) -> pd.DataFrame:
        """Return a run's rows of the curves; of several references, only the main one
        is included.

        The epoch is 0 if the run's only checkpoint has none, as in `epochs`.
        """
        name = self.run_name(run)
        others = self.references(name)[1:]
        rows = self.rows_of("curves", name)
        return self.fill_missing_epochs(rows[~rows["reference"].isin(others)])

    @staticmethod
    def fill_missing_epochs(rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows in which a missing epoch is 0, as in the names of the files of
        matrices.
        """
        return rows.assign(epoch=rows["epoch"].fillna(0))

    @classmethod
    def last_saves(cls, rows: pd.DataFrame, *keys: str) -> pd.DataFrame:
        """Return rows in order of the epochs, of which the last save counts for each
        combination of the key columns.
        """
        ordered = cls.fill_missing_epochs(rows).sort_values(
            ["epoch", "step"], na_position="first", kind="stable"
        )
        return ordered.drop_duplicates(["epoch", *keys], keep="last")

    def references(self, run: str | None = None) -> list[str]:
        """Return the names of the reference matrices with which a run was compared, the
        main one first. Raise `UsageError` if the run does not exist.
        """
        return layout.references_of(self.path, self.run_name(run))

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
        """Return a class similarity matrix ``(C, C)`` float32 with named rows and
        columns, or a part of it: cosines in [-1, 1], or shares or WordNet similarities
        in [0, 1]. Source: arXiv 2505.21338, section 3.1.

        Raise `UsageError` if the run, epoch or matrix does not exist, and the message
        lists the existing ones; or the matrix is too large.

        Parameters
        ----------
        kind : ``ncsm``, ``ncsm_centred``, ``ccsm``, ``tncsm``, or ``scsm`` for the
            reference matrix; ``ccsm-test`` is allowed.
        epoch : the trainer's number of the epoch; the last epoch if None.
        split : ``train`` or ``test`` for ``ccsm`` and ``tncsm``; ``test`` if None, or
            ``train`` without a test split.
        run : the run; needed only if the folder holds several runs.
        step : the step of an earlier save within the epoch.
        reference : the name of a reference in `references`, for ``scsm``; the main one
            if None.
        rows, classes : names or indices of the rows, and of the columns; all if None.

        Notes
        -----
        Above 4,096 classes the matrix is not stored. dsi then computes a part of it
        from the classifier in ``heads/``.
        """
        name = self.run_name(run)
        matrix = _matrix_id(kind, split)
        labels = self._labels(name)
        selected = np.ix_(_class_indices(rows, labels), _class_indices(classes, labels))
        if matrix.kind == "scsm":
            path = self._reference_path(name, labels, reference)
            return _named_part(parquet.read_matrix(path), labels, selected)

        # A matrix of a checkpoint is stored as a whole.
        epoch = self._epoch_or_last(name, epoch)
        for candidate in _with_default_split(matrix):
            path = layout.csm_path(self.path, name, *candidate, epoch, step)
            if path.is_file():
                return _named_part(parquet.read_matrix(path), labels, selected)

        # A part of a large matrix is computed from the stored head.
        head = layout.head_path(self.path, name, epoch, step)
        if matrix.kind in HEAD_KINDS and head.is_file():
            return _part_from_head(head, matrix.kind, labels, selected)
        raise self._missing_matrix(name, matrix.kind, epoch, step)

    def _epoch_or_last(self, run: str, epoch: int | None) -> int:
        if epoch is None:
            return max(self.epochs(run), default=0)
        return whole_epoch(epoch)

    def _missing_matrix(
        self, run: str, kind: str, epoch: int, step: int | None
    ) -> UsageError:
        """Return the error for a matrix that does not exist; its message lists the
        existing matrices.
        """
        folder = self.path / schema.CSMS.path / layout.folder_name(run)
        kinds = sorted(member.name for member in folder.glob("*/"))
        hint = None if kind in MATRIX_KINDS else suggestion(kind, MATRIX_KINDS)
        where = f"epoch {epoch}" if step is None else f"epoch {epoch}, step {step},"
        message = (
            f"no {kind} of {where} in run {run!r}: its epochs are"
            f" {brief_epochs(self.epochs(run))}, its matrices"
            f" {', '.join(kinds) or 'none'}"
        )
        return UsageError(
            message, hint=hint, code="unknown-matrix", run=run, kind=kind, epoch=epoch
        )

    def require_matrices(self, run: str | None = None) -> None:
        """Raise `UsageError` if a run has so many classes that no matrix is stored; for
        functions that need complete matrices.
        """
        if self.is_vast(run):
            problem = (
                "this needs whole matrices, which are not stored for more than"
                f" {MAX_DENSE_CLASSES:,} classes"
            )
            advice = (
                "dsi neighbors lists the nearest classes, and dsi export --rows writes"
                " a part"
            )
            raise UsageError(f"{problem}; {advice}", code="matrix-too-large")

    def is_vast(self, run: str | None = None) -> bool:
        """Return whether a run has so many classes that ``neighbors/`` replaces the
        stored matrices.
        """
        return (
            self.path / schema.NEIGHBORS.path / layout.folder_name(self.run_name(run))
        ).is_dir()

    def neighbors(
        self,
        kind: str = "ncsm",
        epoch: int | None = None,
        run: str | None = None,
        step: int | None = None,
    ) -> pd.DataFrame:
        """Return the stored nearest classes of each class, one row each, which replace
        a large matrix; parameters as in `csm`. Similarities are in [-1, 1], and
        ``docs/tables.md`` lists the columns.

        Raise `UsageError` if no nearest classes are stored, because up to 4,096 classes
        the matrix itself is stored.
        """
        name = self.run_name(run)
        path = layout.neighbors_path(
            self.path, name, kind, self._epoch_or_last(name, epoch), step
        )
        if not path.is_file():
            problem = (
                f"no {schema.NEIGHBORS.path} of the {kind} of epoch {path.stem} in run"
                f" {name!r}"
            )
            epochs = f"its epochs are {brief_epochs(self.epochs(name))}"
            reason = (
                f"up to {MAX_DENSE_CLASSES:,} classes the matrix itself is stored,"
                " see csm"
            )
            raise UsageError(
                f"{problem}: {epochs}; {reason}", code="no-neighbors", run=name
            )
        return parquet.read(path).to_pandas()

    def confusion(
        self,
        epoch: int | None = None,
        split: str = "test",
        run: str | None = None,
        step: int | None = None,
        rows: Sequence[int | str] | None = None,
        classes: Sequence[int | str] | None = None,
        *,
        normalised: bool = False,
    ) -> pd.DataFrame:
        """Return the confusion counts ``(C, C)`` int64 of a split, or a part of them:
        rows are the truth, columns the prediction, named by class; each is 0 or more.

        If ``normalised``, return the counts divided by the samples of their row: shares
        in [0, 1], with the recall of each class on the diagonal, and NaN for a class
        without samples. The CCSM has the same shares, but 1 on the diagonal.

        The other parameters are those of `csm`. Raise `UsageError` if the run, the epoch
        or the split has no predictions.
        """
        name = self.run_name(run)
        path = self._split_path(schema.CONFUSIONS, name, epoch, split, step)
        labels = self._labels(name)
        counts = parquet.to_counts(parquet.read(path))
        if normalised:
            samples = counts.sum(axis=1, keepdims=True)
            shares = np.full(counts.shape, np.nan)
            counts = np.divide(counts, samples, out=shares, where=samples > 0)
        selected = np.ix_(_class_indices(rows, labels), _class_indices(classes, labels))
        return _named_part(counts, labels, selected)

    def predictions(
        self,
        epoch: int | None = None,
        split: str = "test",
        run: str | None = None,
        step: int | None = None,
    ) -> pd.DataFrame:
        """Return the samples of a split, one row each, with target, prediction (class
        indices from 0) and the score of the prediction, if it is known.

        The parameters are those of `csm`. Raise `UsageError` if the run, the epoch or
        the split has no predictions.
        """
        path = self._split_path(
            schema.PREDICTIONS, self.run_name(run), epoch, split, step
        )
        return parquet.read(path).to_pandas()

    def _split_path(
        self, table: Table, run: str, epoch: int | None, split: str, step: int | None
    ) -> Path:
        require_choice("split", split, SPLITS)
        path = layout.split_path(
            self.path, table, run, split, self._epoch_or_last(run, epoch), step
        )
        if not path.is_file():
            epochs = brief_epochs(layout.stored_epochs(path.parent)) or "none"
            message = (
                f"no {table.path} of epoch {path.stem} on {split} in run {run!r}: there"
                f" are {epochs}"
            )
            message += f"; dsi analyze makes them with --predictions or --{split}"
            raise UsageError(message, code=f"no-{table.path}", run=run, split=split)
        return path

    def sorted(
        self,
        kind: str = "ncsm",
        epoch: int | None = None,
        split: str | None = None,
        run: str | None = None,
        step: int | None = None,
        reference: str | None = None,
        rows: Sequence[int | str] | None = None,
    ) -> pd.DataFrame:
        """Return the SoCSM ``(C, C)`` int64 (arXiv 2505.21338): class indices in [0, C)
        of each row by decreasing similarity, the class itself first.

        Ties keep the order of the class index. The parameters are those of `csm`, and
        so are the errors (`UsageError`).
        """
        import pandas as pd

        matrix = self.csm(kind, epoch, split, run, step, reference, rows)
        values = matrix.to_numpy(dtype=np.float64, copy=True)
        values[np.arange(len(values)), _class_indices(rows, matrix.columns)] = np.inf
        order = np.argsort(-values, axis=1, kind="stable")
        return pd.DataFrame(
            order,
            index=matrix.index,
            columns=pd.RangeIndex(order.shape[1], name="rank"),
        )

    def _table(self, table: Table) -> pd.DataFrame:
        frame = layout.read_table(self.path, table, self._only).to_pandas()
        integers = [
            column.name
            for column in table.columns
            if column.type == "int64" and column.name in frame
        ]
        return frame.astype(dict.fromkeys(integers, "Int64"))

    def run_name(self, name: str | None) -> str:
        """Return the name of an existing run; without a name, that of the only run;
        raise `UsageError` for another name.
        """
        names = self.names
        if name in names:
            return str(name)
        if name is None and len(names) == 1:
            return names[0]
        listed = f"{self.path} has {count(len(names), 'run')}"
        if names:
            listed += f": {', '.join(names)}"
        if name is None:
            hint = "run dsi analyze first"
            if names:
                hint = f"add --run {names[0]}, or another of them"
            raise UsageError(listed, hint=hint, code="ambiguous-run", runs=names)
        raise UsageError(
            f"no run {name!r}: {listed}",
            code="unknown-run",
            run=name,
        )

    def _labels(self, run: str) -> pd.Index:
        import pandas as pd

        if run not in self._known_labels:
            rows = self.rows_of("classes", run).sort_values("class_index")
            names = rows["name"].astype(object).fillna(rows["class_index"])
            self._known_labels[run] = pd.Index(names.tolist(), name="class")
        return self._known_labels[run]

    def _reference_path(
        self, run: str, labels: pd.Index, reference: str | None
    ) -> Path:
        """Return the file of a reference matrix of a run, by default of the main one;
        raise `UsageError` if there is none.
        """
        names = self.references(run)
        if reference is not None and names:
            require_choice(
                "reference", reference, names, f"run {run!r} has no reference"
            )
            names = [reference]
        labels_ids = self.rows_of("classes", run)["labels_id"].dropna().unique()
        if names and len(labels_ids):
            path = layout.reference_path(self.path, names[0], labels_ids[0])
            if path.is_file():
                return path
        if self.is_vast(run):
            message = (
                f"the reference matrix of {len(labels):,} classes is not stored; dsi"
                " wordnet LABELS writes the nearest of each, and with --whole the"
                " matrix"
            )
            raise UsageError(message, code="matrix-too-large")
        message = (
            f"run {run!r} has no reference matrix, because its labels are missing or"
            " not in WordNet"
        )
        raise UsageError(
            message, hint="run dsi analyze with --labels", code="no-reference", run=run
        )


def whole_epoch(epoch: Any) -> int:
    """Return the number of an epoch; raise `UsageError` if a value is not a whole
    number.
    """
    with suppress(TypeError, ValueError, OverflowError):
        if int(epoch) == float(epoch):
            return int(epoch)
    raise UsageError(
        f"epoch {epoch} is not a whole number", code="not-an-epoch", epoch=epoch
    )


def brief_epochs(epochs: list[int]) -> str:
    """Return epochs as text; of many epochs, only the first two and the last one."""
    if len(epochs) > 8:
        return f"{epochs[0]}, {epochs[1]}, ... {epochs[-1]}"
    return ", ".join(map(str, epochs))


def _matrix_id(kind: str, split: str | None) -> MatrixId:
    """Return the matrix that the user names, without a split if its kind has none;
    raise `UsageError` if a name is not one of a matrix.
    """
    if isinstance(kind, str) and split is None:
        kind, split = MatrixId.parse(kind)
    for text in (kind, split or SPLITS[0]):
        if not isinstance(text, str) or not text.isidentifier():
            message = (
                f"{text!r} is not a kind or split of a matrix; expected names like"
                " ncsm, scsm, test"
            )
            if isinstance(text, Integral):
                message += f"; for an epoch write epoch={text}"
            raise UsageError(message, code="unknown-kind")
    if split is not None:
        require_choice("split", split, SPLITS)
    return MatrixId(kind, None if kind in HEAD_KINDS else split)


def _with_default_split(matrix: MatrixId) -> list[MatrixId]:
    """Return the matrix, or without a split, the matrices of all splits that may be
    meant, the first one first.
    """
    if matrix.split is None and matrix.kind in SPLIT_KINDS:
        return [MatrixId(matrix.kind, split) for split in SPLITS]
    return [matrix]


def _named_part(
    values: NDArray[Any], labels: pd.Index, selected: _Selected
) -> pd.DataFrame:
    """Return the selected rows and columns of a matrix with the names of the
    classes.
    """
    import pandas as pd

    rows, columns = (indices.ravel() for indices in selected)
    return pd.DataFrame(values[selected], index=labels[rows], columns=labels[columns])


def _part_from_head(
    head: Path, kind: str, labels: pd.Index, selected: _Selected
) -> pd.DataFrame:
    """Return the selected rows and columns of a matrix that is computed from a head;
    raise `UsageError` if they are too many.
    """
    import pandas as pd

    rows, columns = (indices.ravel() for indices in selected)
    if len(rows) * len(columns) > similarity.MAX_DENSE_CLASSES**2:
        message = (
            f"the {kind} of {len(columns):,} classes is not stored, and {len(rows):,} x"
            f" {len(columns):,} values are too many at once"
        )
        raise UsageError(
            message,
            hint=(
                f"select a part with .csm({kind!r}, rows=[...], classes=[...]) or dsi"
                " export --rows 0:100; neighbors/ holds the nearest classes of each"
                " class"
            ),
            code="matrix-too-large",
            kind=kind,
        )
    values = _cosines(head, kind, head.stat().st_mtime_ns).between(rows, columns)
    return pd.DataFrame(values, index=labels[rows], columns=labels[columns])


def _class_indices(
    classes: Sequence[int | str] | None, labels: pd.Index
) -> NDArray[np.intp]:
    """Return the indices of classes that are given by name or index, all if None; raise
    `UsageError` for an unknown class.
    """
    if classes is None:
        return np.arange(len(labels))
    # The first of several classes with one name counts.
    indices_by_name = {
        str(name): index for index, name in reversed(list(enumerate(labels)))
    }
    indices = []
    for name_or_index in [classes] if isinstance(classes, str | Integral) else classes:
        if isinstance(name_or_index, str):
            index = indices_by_name.get(name_or_index)
        else:
            index = None
        if isinstance(name_or_index, Integral) and not isinstance(name_or_index, bool):
            index = int(name_or_index)
        if index is None or not 0 <= index < len(labels):
            message = (
                f"no class {name_or_index!r}: expected a name, or an index from 0 to"
                f" {len(labels) - 1}"
            )
            raise UsageError(message, code="unknown-class", name=name_or_index)
        indices.append(index)
    return np.array(indices, dtype=np.intp)


@lru_cache(maxsize=1)
def _cosines(head: Path, kind: str, _modified_ns: int) -> Cosines:
    weight = parquet.read_weight(head)
    return Cosines.of(weight, centred=kind == "ncsm_centred")
