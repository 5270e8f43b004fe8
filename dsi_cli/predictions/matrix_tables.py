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

from dsi_cli.errors import UsageError
from dsi_cli.predictions import numpy_files
from dsi_cli.predictions.epoch_predictions import (
    PREDICTION,
    TARGET,
    EncodedLabels,
    EpochPredictions,
    names_by_role,
)
from dsi_cli.predictions.numpy_files import FindTargets

DELIMITERS = ",;\t "
MIN_COLUMNS = 2  # a single column holds labels
ROLES = {"rows": [name for name in TARGET if name != "label"], "columns": PREDICTION}
"""The names of the truth and of the predictions, by the axis that usually has them;
`label` may be either.
"""


@dataclass(frozen=True, eq=False)
class _NumberTable:
    """An array in a CSV file, with the names of its rows and columns, if it has them,
    and the text in the corner.
    """

    values: NDArray[Any]
    rows: tuple[str, ...] | None
    columns: tuple[str, ...] | None
    corner: str

    @property
    def are_counts(self) -> bool:
        """True if the array is a confusion matrix; ``pandas.crosstab`` leaves out
        classes that never occur.
        """
        if self.values.shape[0] == self.values.shape[1]:
            return True
        if (
            self.rows is None
            or self.columns is None
            or len({*self.rows}) < len(self.rows)
        ):
            return False
        return bool((self.values == np.round(self.values)).all())


def read_epochs(
    path: Path, axis: str, find_targets: FindTargets
) -> list[EpochPredictions] | None:
    """Return the predictions or the confusion counts in a CSV file; None if it does not
    hold an array of numbers.

    Raise `UsageError` as for `numpy_files.read_epochs`, or if names in the table give
    the truth on the other axis.
    """
    table = _read_numbers(path)
    if table is None:
        return None
    (row_role, rows), (column_role, columns) = (
        _split_role(table.rows),
        _split_role(table.columns),
    )
    corner_role = _role(table.corner)
    if not table.are_counts:
        if corner_role is not None:
            return None  # a column of labels
        parts = numpy_files.epochs_of_arrays(
            {"": table.values}, path, axis, find_targets
        )
        return [_with_class_names(part, columns) for part in parts]

    # Names such as true_cat and pred_cat, or the corner of pandas.crosstab, give the
    # axis of the truth.
    row_role = row_role or corner_role
    is_transposed = row_role == "columns" or column_role == "rows"
    is_usual = row_role == "rows" or column_role == "columns"
    stated = "columns" if is_transposed else "rows"
    if is_usual != is_transposed and stated != axis:
        message = (
            f"{path}: expected the truth on the {axis}, but the names in this table"
            f" give it on the {stated}; "
        )
        raise UsageError(
            f"{message}give --truth {stated}", code="truth-axis", axis=axis
        )

    counts = numpy_files.confusion_counts(table.values, path, axis)
    if all(
        _are_numbers_from_0(names) for names in (rows, columns) if names is not None
    ):
        rows = columns = None
    rows, columns = rows or columns, columns or rows
    names = None
    if rows is not None and columns is not None:
        labels = [
            EncodedLabels(np.arange(len(axis_names)), axis_names)
            for axis_names in (rows, columns)
        ]
        names = (labels[0], labels[1]) if axis == "rows" else (labels[1], labels[0])
    return [EpochPredictions(str(path), counts=counts, classes_of_counts=names)]


def _role(text: str) -> str | None:
    """Return which axis usually has such a name, or None."""
    return next(iter(names_by_role([text], ROLES)), None)


def _split_role(
    names: tuple[str, ...] | None,
) -> tuple[str | None, tuple[str, ...] | None]:
    """Return the role in names of classes such as ``true_cat`` and ``true_dog``, and
    the names without it.

    >>> _split_role(("Predicted cat", "Predicted dog"))
    ('columns', ('cat', 'dog'))
    """
    if names is None:
        return None, None
    parts = [re.split("[ _:]", name, maxsplit=1) for name in names]
    role = _role(parts[0][0])
    if role is None or any(len(part) < 2 or part[0] != parts[0][0] for part in parts):
        return None, names
    return role, tuple(part[1].strip() for part in parts)


def _with_class_names(
    part: EpochPredictions, names: tuple[str, ...] | None
) -> EpochPredictions:
    """Return predictions whose class numbers are columns of scores with names."""
    if (
        names is None
        or part.score_columns is None
        or part.predictions is None
        or _are_numbers_from_0(names)
    ):
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
    if header is not None and names_by_role(
        header, {"target": TARGET, "prediction": PREDICTION}
    ):
        return None  # a table, from which a column is missing
    if len(columns) < MIN_COLUMNS or not all(map(_has_numbers, columns)):
        return None
    values = np.column_stack([column.to_numpy() for column in columns])
    if (
        header is None
        and len(values) != len(columns)
        and (values[0] == np.arange(len(columns))).all()
    ):
        values = values[1:]  # a header of numbers
    return _NumberTable(
        values,
        rows,
        None if header is None else tuple(name.strip() for name in header),
        corner,
    )


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
        has_header = not all(map(_is_number, cells))
        reading = arrow_csv.ReadOptions(
            autogenerate_column_names=True, skip_rows=int(has_header)
        )
        with path.open("rb") as stream:
            table = arrow_csv.read_csv(
                stream, reading, arrow_csv.ParseOptions(delimiter=delimiter)
            )
    except (pa.ArrowException, OSError, UnicodeError, csv.Error, StopIteration):
        return None, []
    is_complete = table.num_rows > 0 and len(cells) == table.num_columns
    return cells if has_header else None, table.columns if is_complete else []


def _are_row_names(header: Sequence[str] | None, first_column: Any) -> bool:
    """Return whether the first column names the rows: it has text, or no name, or its
    name is a text and all others numbers.
    """
    if str(first_column.type) == "string":
        return True
    return header is not None and (
        not header[0].strip() or all(map(_is_number, header[1:]))
    )


def _has_numbers(column: Any) -> bool:
    return str(column.type) in ("int64", "double") and not column.null_count


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _are_numbers_from_0(names: Sequence[str]) -> bool:
    """Return whether names are the numbers 0 to n - 1 with the same text before
    each.
    """
    prefix = names[0].removesuffix("0")
    return list(names) == [f"{prefix}{index}" for index in range(len(names))]
