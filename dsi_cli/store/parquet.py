"""One table in and out of one Parquet file.

A file is written beside its place, flushed to the disk, and then takes its place in one step: whoever reads sees the old
one or the new one. Its metadata holds, under the key ``dsi``, a JSON object with the schema's and dsi's versions and the
options that shaped the table.
"""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dsi_cli.errors import OutputError
from dsi_cli.store.schema import FLOATS, INTEGERS, SCHEMA_VERSION, Table
from dsi_cli.version import __version__

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
LEAST_ROWS = 1000
"""Of a row group that ends with a run."""
_VALUES = {FLOATS: np.float32, INTEGERS: np.int64}


def from_rows(table: Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows (mappings by column name; what is lacking is null) as an Arrow table of the schema."""
    columns = [_column([row.get(column.name) for row in rows], column.type) for column in table.columns]
    return pa.Table.from_arrays(columns, schema=_schema(table))


def with_constants(table: pa.Table, constants: Mapping[str, Any]) -> pa.Table:
    """Return a table with other values, the same in every row, in some of its columns."""
    for name, value in constants.items():
        field = table.schema.field(name)
        column = pa.repeat(pa.scalar(value, type=field.type), len(table))
        table = table.set_column(table.schema.get_field_index(name), field, column)
    return table


def _column(values: Any, kind: str) -> Any:
    """Return a column; text that is no UTF-8 (lone surrogates out of a hostile file) is escaped."""
    if isinstance(values, pa.Array):
        return values
    try:
        return pa.array(values, type=_TYPES[kind])
    except UnicodeEncodeError:
        return pa.array([_utf8(value) for value in values], type=_TYPES[kind])


def _utf8(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def from_matrix(
    table: Table, matrix: NDArray[Any], constants: Mapping[str, Any], varying: Mapping[str, Sequence[Any]]
) -> pa.Table:
    """Return a matrix, or some of its rows, as an Arrow table: a row per class, its values in the table's list column.

    Parameters
    ----------
    matrix : (R, C); NaN becomes null
    constants : values that every row has
    varying : columns of R values
    """
    size, width = matrix.shape
    (listed,) = (column for column in table.columns if column.type in _VALUES)
    values = pa.array(np.ascontiguousarray(matrix, dtype=_VALUES[listed.type]).ravel(), from_pandas=True)
    offsets = pa.array(np.arange(size + 1, dtype=np.int32) * np.int32(width))
    return from_columns(table, size, constants, {**varying, listed.name: pa.ListArray.from_arrays(offsets, values)})


def from_columns(table: Table, size: int, constants: Mapping[str, Any], varying: Mapping[str, Any]) -> pa.Table:
    """Return an Arrow table of ``size`` rows.

    Parameters
    ----------
    constants : values that every row has; what neither this nor ``varying`` holds is null
    varying : columns of ``size`` values: sequences, NumPy or Arrow arrays
    """
    columns = []
    for column in table.columns:
        if column.name in varying:
            columns.append(_column(varying[column.name], column.type))
        else:
            columns.append(pa.repeat(pa.scalar(_utf8(constants.get(column.name)), type=_TYPES[column.type]), size))
    return pa.Table.from_arrays(columns, schema=_schema(table))


def to_counts(table: pa.Table) -> NDArray[np.int64]:
    """Return the counts of a confusions table, ``(C, C)``; errors as for `to_matrix`."""
    counts: NDArray[np.int64] = _square(table, "count").astype(np.int64)
    return counts


def to_matrix(table: pa.Table) -> NDArray[np.float32]:
    """Return the similarities of a table as a square float32 matrix in order of ``class_index``, null as NaN.

    Raises
    ------
    OutputError
        The rows do not make a square matrix.
    """
    matrix: NDArray[np.float32] = _square(table, "similarity").astype(np.float32, copy=False)
    return matrix


def to_rows(table: pa.Table, column: str) -> NDArray[Any]:
    """Return a list column as rows ``(R, width)`` in order of ``class_index``.

    Raises
    ------
    OutputError
        The lists differ in length.
    """
    table = table.sort_by("class_index")
    flat: NDArray[Any] = table.column(column).combine_chunks().flatten().to_numpy(zero_copy_only=False)
    if not len(table) or len(flat) % len(table):
        raise OutputError(f"{len(table)} rows with {len(flat)} values together are no matrix")
    return flat.reshape(len(table), -1)


def _square(table: pa.Table, column: str) -> NDArray[Any]:
    table = table.sort_by("class_index")
    values = table.column(column).combine_chunks()
    flat: NDArray[Any] = values.flatten().to_numpy(zero_copy_only=False)
    if len(flat) != len(table) ** 2:
        raise OutputError(f"{len(table)} rows with {len(flat)} values together are no square matrix")
    return flat.reshape(len(table), len(table))


def write(table: pa.Table, path: Path, options: Mapping[str, Any], scratch: Path) -> None:
    """Write a table to ``path`` in one step; parameters and errors as for `write_blocks`."""
    write_blocks([table], path, options, scratch)


def write_blocks(blocks: Iterable[pa.Table], path: Path, options: Mapping[str, Any], scratch: Path) -> None:
    """Write the rows of one or more tables of one schema to ``path`` in one step, as they come; its folder is made.

    Parameters
    ----------
    blocks : at least one; each is a row group, so one at a time is in memory
    options : what shaped the table; JSON
    scratch : a folder on the same disk for the file while it is not whole

    Raises
    ------
    OutputError
        The disk is full, or the place may not be written.
    """
    part = scratch / f"{uuid.uuid4().hex}.parquet"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            write_stream(blocks, file, options)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise OutputError(cannot_write(path, error)) from None
    finally:
        discard(part)  # gone already if all went well


def discard(part: Path) -> None:
    """Remove a file that did not become whole, if it is there at all."""
    with suppress(OSError):
        part.unlink()


def write_stream(blocks: Iterable[pa.Table], file: IO[bytes], options: Mapping[str, Any]) -> None:
    """Write the rows of one or more tables of one schema to an open file or pipe, a row group each."""
    rest = iter(blocks)
    first = next(rest)
    schema = first.schema.with_metadata({_KEY: json.dumps(_described(options), sort_keys=True)})
    lists = [field.name for field in schema if field.type == _TYPES[FLOATS]]
    with pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=[field.name for field in schema if field.type == pa.string()],
        use_byte_stream_split=[f"{name}.list.element" for name in lists],
    ) as writer:
        for table in chain([first], rest):
            writer.write_table(table.replace_schema_metadata(schema.metadata))


def by_run(table: pa.Table) -> Iterator[pa.Table]:
    """Yield a table, sorted by run, in parts that end where a run does: as row groups they let readers pass over other runs."""
    runs = table.column("run").to_pylist()
    begin = 0
    for row in range(1, len(runs)):
        if row - begin >= LEAST_ROWS and runs[row] != runs[row - 1]:
            yield table.slice(begin, row - begin)
            begin = row
    yield table.slice(begin)


def read(path: Path, run: str | None = None) -> pa.Table:
    """Return a file's table, or the rows of one run in it: then little else is read.

    Raises
    ------
    OutputError
        The file cannot be read.
    """
    try:
        if run is not None:
            return pq.read_table(_source(path), partitioning=None, filters=[("run", "=", run)])
        with pq.ParquetFile(_source(path)) as file:  # twice as fast as `read_table`, which plans for many files
            return file.read(use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise OutputError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None


def _source(path: Path) -> Any:
    """Return what Arrow reads a file from: its path, or its bytes where the path is no UTF-8, which Arrow does not take."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return pa.BufferReader(path.read_bytes())
    return path


def options_of(path: Path) -> dict[str, Any]:
    """Return the options that shaped a file; empty where it is not there, is damaged, or was not written by dsi."""
    try:
        stat = path.stat()
        described = _description(path, (stat.st_size, stat.st_mtime_ns, stat.st_ino))
    except (OSError, ValueError, pa.ArrowException):
        return {}
    if not isinstance(described, dict) or described.get("schema") != SCHEMA_VERSION:
        return {}
    options = described.get("options")
    return options if isinstance(options, dict) else {}


@lru_cache(maxsize=4096)
def _description(path: Path, _identity: tuple[int, int, int]) -> Any:
    """Return what a file says of itself; kept, since a call asks for it several times, of a table at the top once a run."""
    found = (pq.read_schema(_source(path)).metadata or {}).get(_KEY)
    return json.loads(found) if found else {}


OUTPUT_OPTION = "-o"
"""By which most commands are told where to write."""


def cannot_write(path: Path, error: OSError, option: str = OUTPUT_OPTION) -> str:
    """Return the one line that says why a place could not be written; ``option`` chooses another."""
    if error.errno == errno.ENOSPC:
        return f"{path} could not be written: the disk is full; free some space and run the same command again to go on"
    return f"{path} could not be written: {error.strerror or error}; choose another output with {option}"


def _described(options: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": SCHEMA_VERSION, "dsi": __version__, "options": dict(options)}


def _schema(table: Table) -> pa.Schema:
    return pa.schema([(column.name, _TYPES[column.type]) for column in table.columns])
