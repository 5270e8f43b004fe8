"""A reference matrix of the user's own: human judgements, text embeddings. CSV, Parquet or NPY, checked, in the classes' order.

CSV: a header of names and a first column of names, as ``dsi export`` writes; or numbers alone, in the classifier's order.
Parquet: the same, or the rows of a ``references`` table. NPY: numbers alone. Larger is more alike; an empty value or NaN
throughout a row and its column is a class that the matrix lacks.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.errors import OutputError, UsageError
from dsi_cli.store import parquet

Values = NDArray[np.float64]

SUFFIXES = (".csv", ".parquet", ".npy")
TOLERANCE = 1e-6
"""Of the largest absolute value: what symmetric values may differ by."""


@dataclass(frozen=True)
class ReferenceMatrix:
    """A file's matrix, symmetric."""

    path: Path
    values: Values
    """``(N, N)``, NaN in rows and columns of classes that it lacks."""
    names: tuple[str, ...] | None

    def of(self, labels: ClassLabels) -> Values:
        """Return the matrix of a run's classes in their order.

        Raises
        ------
        UsageError
            It has no names and another size, or lacks the name of a class.
        """
        if self.names is None:
            if len(self.values) != labels.classes:
                raise UsageError(
                    f"{self.path} is {_size(self.values)}, but there are {labels.classes} classes: give a row a class"
                )
            return self.values
        rows = {name: row for row, name in enumerate(self.names)}
        found = [next((rows[name] for name in names if name in rows), None) for names in _names(labels)]
        missing = [names[0] for names, row in zip(_names(labels), found, strict=True) if row is None]
        if missing:
            listed = ", ".join(map(repr, missing[:3])) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            raise UsageError(
                f"{self.path} has no row for {listed}: expected the name, the synset or the WordNet id of each class"
            )
        at = np.array([row for row in found if row is not None], dtype=np.intp)
        return self.values[np.ix_(at, at)]


def read_matrix(path: Path) -> ReferenceMatrix:
    """Return a file's matrix.

    Raises
    ------
    UsageError
        It cannot be read, is not square or not symmetric, holds infinities or gaps, or has a name twice.
    """
    try:
        values, names = {".npy": _npy, ".csv": _csv, ".parquet": _parquet}[path.suffix.lower()](path)
    except OSError as error:
        raise UsageError(f"the reference {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, OutputError) as error:
        raise UsageError(f"the reference {path} is no matrix of numbers: {error}") from None
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise UsageError(f"the reference {path} is {_size(values)}: expected a square matrix, a row and a column a class")
    if names is not None and len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise UsageError(f"the reference {path} names {twice!r} twice: expected each class once")
    return ReferenceMatrix(path, _checked(path, values, names), names)


def _checked(path: Path, values: Values, names: tuple[str, ...] | None) -> Values:
    values = values.copy()
    empty = np.isnan(values)
    np.fill_diagonal(empty, True)
    lacking = empty.all(axis=1) & empty.all(axis=0)
    there = np.flatnonzero(~lacking)
    inner = values[np.ix_(there, there)]
    np.fill_diagonal(inner, np.nan_to_num(np.diagonal(inner), nan=np.nanmax(inner, initial=0.0)))

    def named(pair: NDArray[np.intp]) -> str:
        return " and ".join(repr(names[there[k]]) if names else f"class {there[k]}" for k in pair)

    wrong = np.argwhere(~np.isfinite(inner))
    if len(wrong):
        raise UsageError(
            f"the reference {path} has no finite value for {named(wrong[0])}: give one, or leave out a whole class"
        )
    apart = np.abs(inner - inner.T)
    if len(there) and apart.max() > TOLERANCE * np.abs(inner).max():
        pair = np.array(np.unravel_index(apart.argmax(), apart.shape))
        found = f"{inner[pair[0], pair[1]]:g} one way and {inner[pair[1], pair[0]]:g} the other"
        raise UsageError(f"the reference {path} is not symmetric: {named(pair)} have {found}")
    values[:] = np.nan
    values[np.ix_(there, there)] = (inner + inner.T) / 2
    return values


def _names(labels: ClassLabels) -> list[tuple[str, ...]]:
    """Return what each class may be called, its label first."""
    assert labels.label_list is not None
    return [(r.label, *(name for name in (r.synset, r.wnid) if name is not None)) for r in labels.resolutions]


def _size(values: Values) -> str:
    return " x ".join(map(str, values.shape)) or "a single number"


def _npy(path: Path) -> tuple[Values, None]:
    return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64), None


def _csv(path: Path) -> tuple[Values, tuple[str, ...] | None]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    return _from_cells([[cell.strip() for cell in row] for row in rows])


def _from_cells(rows: list[list[str]]) -> tuple[Values, tuple[str, ...] | None]:
    """Return numbers and names; there are names if a first row has one column more than there are rows under it."""
    is_named = bool(rows) and len(rows[0]) == len(rows) and not all(map(_is_number, rows[0]))
    body = [row[1:] for row in rows[1:]] if is_named else rows
    if len({len(row) for row in body}) > 1:
        raise ValueError("its rows differ in length")
    values = np.array([[float(cell or "nan") for cell in row] for row in body], dtype=np.float64)
    if not is_named:
        return values, None
    names, beside = tuple(rows[0][1:]), tuple(row[0] for row in rows[1:])
    return _in_order(values, names, beside), names


def _in_order(values: Values, names: tuple[str, ...], beside: tuple[str, ...]) -> Values:
    """Return the rows in the order of the columns."""
    if names == beside:
        return values
    if sorted(names) != sorted(beside):
        lone = sorted(set(names) ^ set(beside))[0]
        raise ValueError(f"{lone!r} names a row or a column, not both")
    return values[[beside.index(name) for name in names]]


def _parquet(path: Path) -> tuple[Values, tuple[str, ...] | None]:
    table = parquet.read(path)
    if {"similarity", "name", "class_index"} <= set(table.column_names):
        matrix = parquet.to_matrix(table).astype(np.float64)
        return matrix, tuple(map(str, table.sort_by("class_index")["name"].to_pylist()))
    index = _index_of(table)
    order = sorted(range(table.num_columns), key=lambda at: table.column_names[at] not in index)
    columns = [list(map(_text, table.column(at).to_pylist())) for at in order]
    cells = [list(row) for row in zip(*columns, strict=True)]
    if columns and all(map(_is_number, columns[0])) and len(columns) == len(cells):
        return _from_cells(cells)
    return _from_cells([[table.column_names[at] for at in order], *cells])


def _index_of(table: Any) -> list[Any]:
    """Return the names of the columns that pandas writes an index as, which stand last."""
    described = table.schema.pandas_metadata
    index = described.get("index_columns") if isinstance(described, dict) else None
    return index if isinstance(index, list) else []


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return bool(cell)
