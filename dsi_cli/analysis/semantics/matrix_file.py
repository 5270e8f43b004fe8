"""Custom reference matrices, such as human similarity judgements or text embeddings, read from CSV, Parquet or NPY.

- CSV: a header of names and a first column of names, as ``dsi export`` writes; or only numbers, in the order of the classifier.
- Parquet: the same, or the rows of a ``references`` table.
- NPY: only numbers.

Larger values mean more similar. A class is missing if its row and its column contain only NaN or empty cells.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.errors import OutputError, UsageError
from dsi_cli.store import parquet

Values = NDArray[np.float64]
Names = tuple[str, ...] | None

SUFFIXES = (".csv", ".parquet", ".npy")
SYMMETRY_TOLERANCE = 1e-6
"""The allowed difference of symmetric values, as a fraction of the largest absolute value."""


@dataclass(frozen=True)
class ReferenceMatrix:
    """A symmetric reference matrix from a file."""

    path: Path
    values: Values
    """The values ``(N, N)``, NaN in rows and columns of missing classes."""
    names: Names

    def for_labels(self, labels: ClassLabels) -> Values:
        """Return the matrix of a run's classes ``(C, C)``, in their order.

        Raise `UsageError` if the matrix lacks the name of a class, or if it has no names and another size.
        """
        if self.names is None:
            if len(self.values) != labels.classes:
                size, classes = self.values.shape, labels.classes
                message = f"{self.path} is {_size(size)}, but there are {classes} classes; write one row per class"
                raise UsageError(message, code="wrong-reference-size", size=size, classes=classes)
            return self.values
        rows = {name: row for row, name in enumerate(self.names)}
        indices, missing = [], []
        for resolution in labels.resolutions:
            candidates = (resolution.label, resolution.synset, resolution.wnid)
            row = next((rows[name] for name in candidates if name in rows), None)
            if row is None:
                missing.append(resolution.label)
            else:
                indices.append(row)
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise UsageError(
                f"{self.path} has no row for {', '.join(map(repr, missing[:3]))}{more}; expected the name, the synset or the "
                "WordNet id of each class",
                code="class-not-in-reference",
                names=missing,
            )
        return self.values[np.ix_(indices, indices)]


def read_matrix(path: Path) -> ReferenceMatrix:
    """Return the matrix of a file.

    Raise `UsageError` if the file cannot be read, or if the matrix is not square, symmetric and finite, or has a name twice.
    """
    try:
        path.open("rb").close()  # pyarrow reports a missing file and a damaged one in the same way
        names: Names = None
        if path.suffix.lower() == ".npy":
            values = np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        elif path.suffix.lower() == ".parquet":
            values, names = _read_parquet(path)
        else:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = [[cell.strip() for cell in row] for row in csv.reader(file)]
            values, names = _parse_cells([row for row in rows if any(row)])
    except OSError as error:
        message = f"the reference {path} cannot be read: {error.strerror or error}"
        raise UsageError(message, code="unreadable-reference", path=str(path)) from None
    except (ValueError, OutputError) as error:
        message = f"the reference {path} is not a matrix of numbers: {error}"
        raise UsageError(message, code="invalid-reference", path=str(path)) from None
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        message = f"the reference {path} is {_size(values.shape)}; expected a square matrix, with one row per class"
        raise UsageError(message, code="reference-not-square", size=values.shape)
    if names is not None and len(set(names)) < len(names):
        name = Counter(names).most_common(1)[0][0]
        raise UsageError(
            f"the reference {path} has the name {name!r} twice; expected each class once", code="duplicate-name", name=name
        )
    return ReferenceMatrix(path, _symmetrized(path, values, names), names)


def _symmetrized(path: Path, values: Values, names: Names) -> Values:
    """Return the mean of the matrix and its transpose, after checking that it is finite and symmetric."""
    # A class is missing if it has no value apart from the diagonal.
    empty = np.isnan(values)
    np.fill_diagonal(empty, True)
    present = np.flatnonzero(~(empty.all(axis=1) & empty.all(axis=0)))
    inner = values[np.ix_(present, present)]
    np.fill_diagonal(inner, np.nan_to_num(np.diagonal(inner), nan=np.nanmax(inner, initial=0.0)))

    def pair_names(pair: NDArray[np.intp]) -> tuple[str, ...]:
        return tuple(repr(names[present[k]]) if names else f"class {present[k]}" for k in pair)

    gaps = np.argwhere(~np.isfinite(inner))
    if len(gaps):
        pair = pair_names(gaps[0])
        message = f"the reference {path} has no finite value for {' and '.join(pair)}; give one, or leave out a whole class"
        raise UsageError(message, code="reference-not-finite", classes=pair)
    differences = np.abs(inner - inner.T)
    if len(present) and differences.max() > SYMMETRY_TOLERANCE * np.abs(inner).max():
        row, column = np.unravel_index(differences.argmax(), differences.shape)
        pair = pair_names(np.array([row, column]))
        raise UsageError(
            f"the reference {path} is not symmetric: the value of {' and '.join(pair)} is {inner[row, column]:g} above the "
            f"diagonal or {inner[column, row]:g} below it; make both equal",
            code="reference-not-symmetric",
            classes=pair,
        )
    result = np.full_like(values, np.nan)
    result[np.ix_(present, present)] = (inner + inner.T) / 2
    return result


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _read_parquet(path: Path) -> tuple[Values, Names]:
    table = parquet.read(path)
    if {"similarity", "name", "class_index"} <= set(table.column_names):
        matrix = parquet.to_matrix(table).astype(np.float64)
        return matrix, tuple(map(str, table.sort_by("class_index")["name"].to_pylist()))
    # pandas writes an index as the last columns; in a CSV file the names come first.
    pandas_metadata = table.schema.pandas_metadata
    index = pandas_metadata.get("index_columns") if isinstance(pandas_metadata, dict) else None
    index = index if isinstance(index, list) else []
    order = sorted(range(table.num_columns), key=lambda column: table.column_names[column] not in index)
    columns = [["" if value is None else str(value) for value in table.column(column).to_pylist()] for column in order]
    cells = [list(row) for row in zip(*columns, strict=True)]
    if columns and all(map(_is_number, columns[0])) and len(columns) == len(cells):
        return _parse_cells(cells)
    return _parse_cells([[table.column_names[column] for column in order], *cells])


def _parse_cells(rows: list[list[str]]) -> tuple[Values, Names]:
    """Return the numbers, and the names if there are any.

    The first row contains names if it is not numeric and has as many cells as there are rows.
    """
    is_named = bool(rows) and len(rows[0]) == len(rows) and not all(map(_is_number, rows[0]))
    body = [row[1:] for row in rows[1:]] if is_named else rows
    if len({len(row) for row in body}) > 1:
        raise ValueError("its rows differ in length")
    values = np.array([[float(cell or "nan") for cell in row] for row in body], dtype=np.float64)
    if not is_named:
        return values, None
    names, row_names = rows[0][1:], [row[0] for row in rows[1:]]
    if sorted(names) != sorted(row_names):
        surplus = Counter(names)
        surplus.subtract(row_names)
        name = min(name for name, number in surplus.items() if number)
        raise ValueError(f"{name!r} is not in the first row as often as in the first column")
    # Columns give the order. A name that occurs twice is refused later.
    if names != row_names:
        values = values[[row_names.index(name) for name in names]]
    return values, tuple(names)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
