"""CSV files that hold an array instead of a table: the confusion matrix of one epoch, or scores with one row per sample.

They are written by ``numpy.savetxt`` or pandas (also ``pandas.crosstab``). A header or a first column may name the classes, in any
order. Names that only number the classes from 0 are ignored, because pandas writes them for an array without names.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.predictions import numpy_files
from dsi_cli.predictions.epoch_predictions import PREDICTION, TARGET, EncodedLabels, EpochPredictions, names_by_role
from dsi_cli.predictions.numpy_files import FindTargets

DELIMITERS = ",;\t "
MIN_COLUMNS = 2  # a single column holds labels


@dataclass(frozen=True, eq=False)
class _NumberTable:
    """An array in a CSV file, with the names of its rows and columns, if it has them, and the text in the corner."""

    values: NDArray[Any]
    rows: tuple[str, ...] | None
    columns: tuple[str, ...] | None
    corner: str

    @property
    def are_counts(self) -> bool:
        """True if the array is a confusion matrix; ``pandas.crosstab`` leaves out classes that never occur."""
        has_names = self.rows is not None and self.columns is not None
        is_square = self.values.shape[0] == self.values.shape[1]
        return is_square or (has_names and bool((self.values == np.round(self.values)).all()))


def read_epochs(path: Path, axis: str, find_targets: FindTargets) -> list[EpochPredictions] | None:
    """Return the predictions or the confusion counts in a CSV file; None if it does not hold an array of numbers.

    Raise `UsageError` as for `numpy_files.read_epochs`, or if the corner of the table names the other axis than ``axis``.
    """
    table = _read_numbers(path)
    if table is None:
        return None
    if not table.are_counts:
        parts = numpy_files.epochs_of_arrays({"": table.values}, path, axis, find_targets)
        return [_with_class_names(part, table.columns) for part in parts]
    roles = names_by_role([table.corner], {"rows": TARGET, "columns": PREDICTION})
    if roles and axis not in roles:
        (other,) = roles
        message = f"{path}: expected the truth on the {axis}, found rows called {table.corner[:40]!a}; give --truth {other}"
        raise UsageError(message, code="truth-axis", axis=axis)
    counts = numpy_files.confusion_counts(table.values, path, axis)
    rows, columns = table.rows or table.columns, table.columns or table.rows
    names = None
    if rows is not None and columns is not None:
        labels = [EncodedLabels(np.arange(len(axis_names)), axis_names) for axis_names in (rows, columns)]
        names = (labels[0], labels[1]) if axis == "rows" else (labels[1], labels[0])
    return [EpochPredictions(str(path), counts=counts, classes_of_counts=names)]


def _with_class_names(part: EpochPredictions, names: tuple[str, ...] | None) -> EpochPredictions:
    """Return predictions whose class numbers are columns of scores with names."""
    if names is None or part.score_columns is None or part.predictions is None:
        return part
    return replace(part, predictions=EncodedLabels(part.predictions.codes, names))


def _read_numbers(path: Path) -> _NumberTable | None:
    """Return the array in a CSV file; None if the file cannot be read, is a table, or has a cell without a number."""
    header, columns = _read_columns(path)
    rows, corner = None, ""
    if columns and _are_row_names(header, columns[0]):
        rows = tuple(str(name).strip() for name in columns.pop(0).to_pylist())
        if header is not None:
            corner = header.pop(0)
    if header is not None and names_by_role(header, {"target": TARGET, "prediction": PREDICTION}):
        return None  # a table, from which a column is missing
    if len(columns) < MIN_COLUMNS or not all(map(_has_numbers, columns)):
        return None
    values = np.column_stack([column.to_numpy() for column in columns])
    if header is None and len(values) != len(columns) and (values[0] == np.arange(len(columns))).all():
        values = values[1:]  # a header of numbers
    column_names = None if header is None else tuple(name.strip() for name in header)
    if all(_are_numbers_from_0(names) for names in (rows, column_names) if names is not None):
        rows = column_names = None
    return _NumberTable(values, rows, column_names, corner)


def _read_columns(path: Path) -> tuple[list[str] | None, list[Any]]:
    """Return the header of a CSV file, if it has text, and Arrow's columns of the other lines; no columns without any rows."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            line = text.readline()
        delimiter = next((mark for mark in DELIMITERS if mark in line), ",")
        cells = next(csv.reader([line], delimiter=delimiter))
        has_header = not all(map(_is_number, cells))
        reading = arrow_csv.ReadOptions(autogenerate_column_names=True, skip_rows=int(has_header))
        with path.open("rb") as stream:
            table = arrow_csv.read_csv(stream, reading, arrow_csv.ParseOptions(delimiter=delimiter))
    except (pa.ArrowException, OSError, UnicodeError, csv.Error, StopIteration):
        return None, []
    is_complete = table.num_rows > 0 and len(cells) == table.num_columns
    return cells if has_header else None, table.columns if is_complete else []


def _are_row_names(header: Sequence[str] | None, first_column: Any) -> bool:
    """Return whether the first column names the rows: it has text, or no name, or its name is a text and all others numbers."""
    if str(first_column.type) == "string":
        return True
    return header is not None and (not header[0].strip() or all(map(_is_number, header[1:])))


def _has_numbers(column: Any) -> bool:
    return str(column.type) in ("int64", "double") and not column.null_count


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _are_numbers_from_0(names: Sequence[str]) -> bool:
    """Return whether names are the numbers 0 to n - 1 with the same text before each."""
    prefix = names[0].removesuffix("0")
    return list(names) == [f"{prefix}{index}" for index in range(len(names))]
