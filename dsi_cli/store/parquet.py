"""Conversion of one table to and from one Parquet file.

Readers see the old file or the new one (`dsi_cli.store.atomic_write`). The key ``dsi``
of the file's metadata is a JSON object with the versions of the schema and of dsi, and
with the options that affected the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dsi_cli.errors import OutputError, first_line
from dsi_cli.store.atomic_write import open_atomically
from dsi_cli.store.schema import FLOATS, INTEGERS, SCHEMA_VERSION, Table
from dsi_cli.version import __version__

if TYPE_CHECKING:
    import pandas as pd

_KEY = b"dsi"
_TYPES = {
    "string": pa.string(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "list<string>": pa.list_(pa.string()),
    "list<float>": pa.list_(pa.float32()),
    "list<int64>": pa.list_(pa.int64()),
}
_MIN_GROUP_ROWS = 1000  # minimum number of rows in a row group that ends with a run
_VALUE_DTYPES = {FLOATS: np.float32, INTEGERS: np.int64}


def from_rows(table: Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows (mappings by column name; missing values are null) as an Arrow table
    of the schema.
    """
    columns = [
        _column([row.get(column.name) for row in rows], column.type)
        for column in table.columns
    ]
    return pa.Table.from_arrays(columns, schema=_schema(table))


def from_frame(table: Table, frame: pd.DataFrame) -> pa.Table:
    """Return a frame with the columns of the schema, in any order, as an Arrow table;
    NaN is null.
    """
    return pa.Table.from_pandas(frame, schema=_schema(table), preserve_index=False)


def with_constants(table: pa.Table, constants: Mapping[str, Any]) -> pa.Table:
    """Return a table in which some columns have a new value that is the same in every
    row.
    """
    for name, value in constants.items():
        field = table.schema.field(name)
        column = pa.repeat(pa.scalar(value, type=field.type), len(table))
        table = table.set_column(table.schema.get_field_index(name), field, column)
    return table


def _column(values: Any, kind: str) -> Any:
    """Return a column; text that UTF-8 cannot encode (lone surrogates from a hostile
    file) is escaped.
    """
    if isinstance(values, pa.Array):
        return values
    try:
        return pa.array(values, type=_TYPES[kind])
    except UnicodeEncodeError:
        return pa.array([_escape(value) for value in values], type=_TYPES[kind])


def _escape(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def from_matrix(
    table: Table,
    matrix: NDArray[Any],
    constants: Mapping[str, Any],
    varying: Mapping[str, Any],
) -> pa.Table:
    """Return a matrix ``(R, C)`` as an Arrow table with one row per class and the
    values in the list column; NaN becomes null.

    Constants are the same in every row, and the varying columns have R values.
    """
    size, width = matrix.shape
    (list_column,) = (
        column for column in table.columns if column.type in _VALUE_DTYPES
    )
    values = pa.array(
        np.ascontiguousarray(matrix, dtype=_VALUE_DTYPES[list_column.type]).ravel(),
        from_pandas=True,
    )
    offsets = pa.array(np.arange(size + 1, dtype=np.int32) * np.int32(width))
    return from_columns(
        table,
        size,
        constants,
        {**varying, list_column.name: pa.ListArray.from_arrays(offsets, values)},
    )


def from_columns(
    table: Table, size: int, constants: Mapping[str, Any], varying: Mapping[str, Any]
) -> pa.Table:
    """Return an Arrow table of ``size`` rows.

    Constants are the same in every row. The varying columns are sequences, NumPy or
    Arrow arrays. All other columns are null.
    """
    columns = []
    for column in table.columns:
        if column.name in varying:
            columns.append(_column(varying[column.name], column.type))
        else:
            columns.append(
                pa.repeat(
                    pa.scalar(
                        _escape(constants.get(column.name)), type=_TYPES[column.type]
                    ),
                    size,
                )
            )
    return pa.Table.from_arrays(columns, schema=_schema(table))


def to_counts(table: pa.Table) -> NDArray[np.int64]:
    """Return the counts of a confusions table, ``(C, C)``; errors as in `to_matrix`."""
    return _square(table, "count").astype(np.int64)


def to_matrix(table: pa.Table) -> NDArray[np.float32]:
    """Return similarities as a float32 matrix ``(C, C)``, NaN for null; raise
    `OutputError` if it is not square.
    """
    return _square(table, "similarity").astype(np.float32, copy=False)


def read_matrix(path: Path) -> NDArray[np.float32]:
    """Return the matrix of a file as `to_matrix` does; other columns are not read."""
    return to_matrix(read(path, columns=("class_index", "similarity")))


def read_weight(path: Path) -> NDArray[np.float32]:
    """Return the class vectors ``(C, d)`` of a stored head; other columns are not
    read.
    """
    return to_rows(read(path, columns=("class_index", "weight")), "weight")


def by_class(table: pa.Table) -> pa.Table:
    """Return a table in order of ``class_index``, which a table that dsi wrote has
    already.
    """
    indices = table.column("class_index").to_numpy()
    return table if (indices[1:] > indices[:-1]).all() else table.sort_by("class_index")


def to_rows(table: pa.Table, column: str) -> NDArray[Any]:
    """Return a list column as rows ``(R, width)`` in order of ``class_index``; raise
    `OutputError` if their lengths differ.
    """
    table = by_class(table)
    flat: NDArray[Any] = (
        table.column(column).combine_chunks().flatten().to_numpy(zero_copy_only=False)
    )
    if not len(table) or len(flat) % len(table):
        raise OutputError(
            f"{len(table)} rows with {len(flat)} values in total are not a matrix",
            code="damaged-table",
        )
    return flat.reshape(len(table), -1)


def _square(table: pa.Table, column: str) -> NDArray[Any]:
    rows = to_rows(table, column)
    if rows.shape[1] != len(rows):
        message = (
            f"{len(rows)} rows with {rows.size} values in total are not a square matrix"
        )
        raise OutputError(message, code="damaged-table")
    return rows


def write(
    table: pa.Table,
    path: Path,
    options: Mapping[str, Any],
    scratch: Path,
    *,
    is_durable: bool = True,
) -> None:
    """Write a table to ``path`` in one step; parameters and errors as in
    `write_blocks`.
    """
    write_blocks([table], path, options, scratch, is_durable=is_durable)


def write_blocks(
    blocks: Iterable[pa.Table],
    path: Path,
    options: Mapping[str, Any],
    scratch: Path,
    *,
    is_durable: bool = True,
) -> None:
    """Write the rows of tables of one schema to ``path`` in one step; create its
    folder.

    Each block, of which there is at least one, becomes a row group, so that only one is
    in memory. The options that affected the table are stored as JSON. ``scratch`` and
    `is_durable` are those of `open_atomically`.
    """
    with open_atomically(path, scratch, is_durable=is_durable) as file:
        write_stream(blocks, file, options)


def write_stream(
    blocks: Iterable[pa.Table], file: IO[bytes], options: Mapping[str, Any]
) -> None:
    """Write the rows of tables of one schema to an open file or pipe; each table
    becomes a row group.
    """
    remaining = iter(blocks)
    first = next(remaining)
    metadata = {"schema": SCHEMA_VERSION, "dsi": __version__, "options": dict(options)}
    schema = first.schema.with_metadata({_KEY: json.dumps(metadata, sort_keys=True)})
    lists = [field.name for field in schema if field.type == _TYPES[FLOATS]]
    with pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=[field.name for field in schema if field.type == pa.string()],
        use_byte_stream_split=[f"{name}.list.element" for name in lists],
        write_page_checksum=True,
    ) as writer:
        for table in chain([first], remaining):
            writer.write_table(table.replace_schema_metadata(schema.metadata))


def by_run(table: pa.Table) -> Iterator[pa.Table]:
    """Yield a table sorted by run in parts that end with a run, so that readers can
    skip the row groups of other runs.
    """
    runs = table.column("run").to_pylist()
    begin = 0
    for row in range(1, len(runs)):
        if row - begin >= _MIN_GROUP_ROWS and runs[row] != runs[row - 1]:
            yield table.slice(begin, row - begin)
            begin = row
    yield table.slice(begin)


def read(
    path: Path, run: str | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the table in a file, or some of its rows or columns; raise `OutputError`
    if the file cannot be read.
    """
    try:
        if run is not None:
            rows: dict[str, Any] = {
                "filters": [("run", "=", run)],
                "partitioning": None,
                "page_checksum_verification": True,
            }
            return pq.read_table(_source(path), columns=columns, **rows)
        # `ParquetFile` is twice as fast as `read_table`, which supports many files.
        with pq.ParquetFile(_source(path), page_checksum_verification=True) as file:
            return file.read(columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        message = (
            f"{path} cannot be read: {first_line(error)}; if it is damaged, remove it"
            " and run dsi analyze again"
        )
        raise OutputError(message, code="cannot-read", path=str(path)) from None


def _source(path: Path) -> Any:
    """Return a source for Arrow: the path, or the bytes if UTF-8 cannot encode the
    path, which Arrow does not accept.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return pa.BufferReader(path.read_bytes())
    return path


def options_of(path: Path) -> dict[str, Any]:
    """Return the options that affected a file; empty if it is missing, damaged or not
    written by dsi.
    """
    try:
        stored = pq.read_schema(_source(path)).metadata or {}
        metadata = json.loads(stored.get(_KEY, b"{}"))
    except (OSError, ValueError, pa.ArrowException):
        return {}
    if not isinstance(metadata, dict) or metadata.get("schema") != SCHEMA_VERSION:
        return {}
    options = metadata.get("options")
    return options if isinstance(options, dict) else {}


def _schema(table: Table) -> pa.Schema:
    return pa.schema([(column.name, _TYPES[column.type]) for column in table.columns])
