"""Parquet and CSV files to the columns that matter, whatever the case or synonym that they are named by."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from dsi_cli.errors import UsageError
from dsi_cli.predictions.classes import shown

COLUMNS: dict[str, tuple[str, ...]] = {
    "epoch": ("epoch",),
    "target": ("target", "label", "truth", "true", "y_true"),
    "prediction": ("prediction", "pred", "predicted", "y_pred"),
    "count": ("count",),
    "class_index": ("class_index",),
    "sample": ("sample",),
    "path": ("path",),
    "score": ("score",),
    "run": ("run",),
}
"""The columns that are read, each with the names that it may have, in any case; the first that a table has counts."""

LARGEST_ROWS = 2**30
_TEXTS = ("epoch", "target", "prediction", "class_index", "path", "run")
"""Columns of a CSV that are read as text, each distinct one once; the others are floats."""

_LONGEST = 1 << 22
"""Bytes of a first line."""

SEPARATORS = "\t;, "


class Table(NamedTuple):
    """A table's known columns, as Arrow's chunked arrays by the name that `COLUMNS` has for them; and the names of all."""

    columns: dict[str, Any]
    names: list[str]


class Header(NamedTuple):
    """The first line of a text table."""

    cells: list[str]
    separator: str


def parquet(path: Path) -> Table:
    """Return a Parquet file's known columns.

    Raises
    ------
    UsageError
        It is no Parquet file, is damaged, or has a column twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = str(path)
    try:
        with path.open("rb") as stream, pq.ParquetFile(stream) as file:
            if file.metadata.num_rows > LARGEST_ROWS:
                raise UsageError(f"{where}: expected at most {LARGEST_ROWS:,} rows, found more; split the file")
            names = file.schema_arrow.names
            found = known(names, where)
            table = file.read(columns=list(found.values()))
            return Table({role: table.column(name) for role, name in found.items()}, names)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise UsageError(f"{where}: expected a Parquet file, found {_line(error)}; write it again") from None


def text(path: Path, header: Header) -> Table:
    """Return a CSV file's known columns.

    Raises
    ------
    UsageError
        It is not in UTF-8, a line has too few or too many cells, or a cell that must be a number is none.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow

    where = str(path)
    found = known(header.cells, where)
    places = {role: str(header.cells.index(name)) for role, name in found.items()}
    kinds = {place: _kind(role) for role, place in places.items()}
    reading = arrow.ReadOptions(column_names=[str(place) for place in range(len(header.cells))], skip_rows=1)
    parsing = arrow.ParseOptions(delimiter=header.separator)
    converting = arrow.ConvertOptions(include_columns=list(places.values()), column_types=kinds)
    try:
        with path.open("rb") as stream:
            table = arrow.read_csv(stream, reading, parsing, converting)
    except (pa.ArrowException, OSError) as error:
        if "UTF8" in str(error):
            raise not_utf8(where) from None
        raise UsageError(
            f"{where}: expected a table of {len(header.cells)} columns, found {_line(error)}; correct it"
        ) from None
    return Table({role: table.column(place) for role, place in places.items()}, header.cells)


def _kind(role: str) -> Any:
    import pyarrow as pa

    return pa.dictionary(pa.int32(), pa.string()) if role in _TEXTS else pa.float64()


def header(path: Path) -> Header:
    """Return the cells of a text file's first line, blanks around them removed, and what separates them.

    That is the tab where the line has one, else the semicolon, the comma, the blank.

    Raises
    ------
    UsageError
        The file is empty or not in UTF-8.
    """
    with path.open("rb") as stream:
        line = first_line(stream, str(path))
    separator = next((mark for mark in SEPARATORS if mark in line), ",")
    try:
        cells = next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        cells = line.split(separator)
    return Header([cell.strip() for cell in cells], separator)


def first_line(stream: IO[bytes], where: str) -> str:
    """Return the first line of a text in UTF-8, without a byte order mark.

    Raises
    ------
    UsageError
        There is no text, or it is none in UTF-8.
    """
    try:
        line = re.split(r"[\r\n]", stream.readline(_LONGEST).decode("utf-8-sig"), maxsplit=1)[0]
    except UnicodeDecodeError:
        raise not_utf8(where) from None
    if "\0" in line:
        raise not_utf8(where)
    if not line.strip():
        raise UsageError(f"{where}: expected a table, found an empty file or first line; write the columns' names there")
    return line


def known(names: Sequence[str], where: str) -> dict[str, str]:
    """Return the columns of a table that are known: the table's own name by the name in `COLUMNS`.

    Raises
    ------
    UsageError
        Two columns have one name.
    """
    lower = [name.strip().lower() for name in names]
    found = {}
    for role, synonyms in COLUMNS.items():
        name = next((name for name in synonyms if name in lower), None)
        if name is None:
            continue
        if lower.count(name) > 1:
            raise UsageError(f"{where}: expected one column {name}, found {lower.count(name)}; rename the others")
        found[role] = names[lower.index(name)]
    return found


def listed(names: Sequence[str]) -> str:
    """Return a table's columns for a message.

    Examples
    --------
    >>> listed(["image", "class"])
    "2 columns, 'image', 'class'"
    """
    return ", ".join([f"{len(names)} columns", *(shown(name) for name in names[:8]), *(["..."] if len(names) > 8 else [])])


def not_utf8(where: str) -> UsageError:
    """Return the error for a text that is in some other encoding."""
    return UsageError(f"{where}: expected text in UTF-8, found other bytes; save it as UTF-8")


def _line(error: BaseException) -> str:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return ascii(first)[1:-1][:200]
