"""CSV files that hold an array instead of a table: the confusion matrix of one epoch,
or scores with one row per sample.

They are written by ``numpy.savetxt`` or pandas (also ``pandas.crosstab``). A header or
a first column may name the classes, in any order. Names that only number the classes
from 0 are ignored, because pandas writes them for an array without names.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import wrong
from dsi_cli.predictions.arrays import FindTargets, confusion_counts, epochs_of_arrays
from dsi_cli.predictions.epoch_predictions import (
    PREDICTION,
    TARGET,
    EncodedLabels,
    EpochPredictions,
    names_by_role,
)

DELIMITERS = ",;\t "
MIN_COLUMNS = 2  # a single column holds labels
ROLES = {"rows": [name for name in TARGET if name != "label"], "columns": PREDICTION}
"""The names of the truth and of the predictions, by the axis that usually has them;
`label` may be either.
"""
Names = tuple[str, ...] | None


@dataclass(frozen=True, eq=False)
class _NumberTable:
    """An array in a CSV file, with the names of its rows and columns, if it has them,
    and the text in the corner.
    """

    values: NDArray[Any]
    rows: Names
    columns: Names
    corner: str

    @property
    def are_counts(self) -> bool:
        """True if the array is a confusion matrix; ``pandas.crosstab`` leaves out
        classes that never occur.
        """
        rows, columns = self.values.shape
        if rows == columns:
            return True
        if self.rows is None or self.columns is None:
            return False
        is_named_once = len(set(self.rows)) == len(self.rows)
        return is_named_once and bool((self.values == np.round(self.values)).all())


def read_epochs(
    path: Path, axis: str, find_targets: FindTargets
) -> list[EpochPredictions] | None:
    """Return the predictions or the confusion counts in a CSV file; None if it does not
    hold an array of numbers.

    Raise `UsageError` as `epochs_of_arrays` does, which has the parameters, or if names
    in the table give the truth on the other axis.
    """
    table = _read_numbers(path)
    if table is None:
        return None
    row_role, rows = _split_role(table.rows)
    column_role, columns = _split_role(table.columns)
    row_role = row_role or _role(table.corner)
    if not table.are_counts:
        if _role(table.corner) is not None:
            return None  # a column of labels
        parts = epochs_of_arrays({"": table.values}, path, axis, find_targets)
        return [_with_class_names(part, columns) for part in parts]
    _require_axis(row_role, column_role, path, axis)
    counts = confusion_counts(table.values, path, axis)
    if _are_numbers_from_0(rows) and _are_numbers_from_0(columns):
        return [EpochPredictions(str(path), counts=counts)]
    names = (rows or columns, columns or rows)
    if axis == "columns":
        names = names[::-1]
    truth, predicted = (_labels(names_of_axis or ()) for names_of_axis in names)
    return [
        EpochPredictions(str(path), counts=counts, classes_of_counts=(truth, predicted))
    ]


def _labels(names: tuple[str, ...]) -> EncodedLabels:
    return EncodedLabels(np.arange(len(names)), names)


def _require_axis(
    row_role: str | None, column_role: str | None, path: Path, axis: str
) -> None:
    """Raise `UsageError` if names such as true_cat and pred_cat, or the corner of
    pandas.crosstab, give the truth on the other axis.
    """
    is_usual = row_role == "rows" or column_role == "columns"
    is_transposed = row_role == "columns" or column_role == "rows"
    stated = "columns" if is_transposed else "rows"
    if is_usual != is_transposed and stated != axis:
        raise wrong(
            path,
            f"the truth on the {axis}",
            f"names in this table that give it on the {stated}",
            f"give --truth {stated}",
            code="truth-axis",
            axis=axis,
        )


def _role(text: str) -> str | None:
    """Return which axis usually has such a name, or None."""
    return next(iter(names_by_role([text], ROLES)), None)


def _split_role(names: Names) -> tuple[str | None, Names]:
    """Return the role in names of classes such as ``true_cat`` and ``true_dog``, and
    the names without it.

    >>> _split_role(("Predicted cat", "Predicted dog"))
    ('columns', ('cat', 'dog'))
    """
    if names is None:
        return None, None
    prefixes, classes = set(), []
    for name in names:
        prefix, _, rest = re.sub("[ :]", "_", name).partition("_")
        prefixes.add(prefix)
        classes.append(name[len(prefix) + 1 :].strip())
        if not rest:
            return None, names
    role = _role(prefixes.pop())
    if role is None or prefixes:
        return None, names
    return role, tuple(classes)


def _with_class_names(part: EpochPredictions, names: Names) -> EpochPredictions:
    """Return predictions whose class numbers are columns of scores with names."""
    if part.score_columns is None or part.predictions is None:
        return part
    if names is None or _are_numbers_from_0(names):
        return part
    return replace(part, predictions=EncodedLabels(part.predictions.codes, names))


def _read_numbers(path: Path) -> _NumberTable | None:
    """Return the array in a CSV file; None if the file cannot be read, is a table, or
    has a cell without a number.
    """
    header, columns = _read_columns(path)
    rows, corner = None, ""
    if columns and _are_row_names(header, columns[0]):
        rows = tuple(str(name).strip() for name in columns.pop(0).to_pylist())
        if header is not None:
            corner = header.pop(0)
    roles = names_by_role(header or [], {"target": TARGET, "prediction": PREDICTION})
    if roles or len(columns) < MIN_COLUMNS:
        return None  # a table, from which a column is missing
    for column in columns:
        if str(column.type) not in ("int64", "double") or column.null_count:
            return None
    values = np.column_stack([column.to_numpy() for column in columns])
    if header is None:
        is_square = len(values) == len(columns)
        if not is_square and (values[0] == np.arange(len(columns))).all():
            values = values[1:]  # a header of numbers
        return _NumberTable(values, rows, None, corner)
    names = tuple(name.strip() for name in header)
    return _NumberTable(values, rows, names, corner)


def _read_columns(path: Path) -> tuple[list[str] | None, list[Any]]:
    """Return the header of a CSV file, if it has text, and Arrow's columns of the other
    lines; no columns without any rows.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            # as numpy.savetxt writes a header
            line = text.readline().removeprefix("# ")
        delimiter = next((mark for mark in DELIMITERS if mark in line), ",")
        cells = next(csv.reader([line], delimiter=delimiter))
        has_header = not all(map(is_number, cells))
        reading = arrow_csv.ReadOptions(
            autogenerate_column_names=True, skip_rows=int(has_header)
        )
        parsing = arrow_csv.ParseOptions(delimiter=delimiter)
        with path.open("rb") as stream:
            table = arrow_csv.read_csv(stream, reading, parsing)
    except (pa.ArrowException, OSError, UnicodeError, csv.Error, StopIteration):
        return None, []
    if not table.num_rows or len(cells) != table.num_columns:
        return None, []
    return cells if has_header else None, table.columns


def _are_row_names(header: Sequence[str] | None, first_column: Any) -> bool:
    """Return whether the first column names the rows: it has text, or no name, or its
    name is a text and all others numbers.
    """
    if str(first_column.type) == "string":
        return True
    if header is None:
        return False
    return not header[0].strip() or all(map(is_number, header[1:]))


def is_number(cell: str) -> bool:
    """Return True if the text of a cell is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _are_numbers_from_0(names: Names) -> bool:
    """Return True without names, or if they are the numbers 0 to n - 1 with the same
    text before each.
    """
    if names is None:
        return True
    prefix = names[0].removesuffix("0")
    return list(names) == [f"{prefix}{index}" for index in range(len(names))]
