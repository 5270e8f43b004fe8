"""A mapping file that a person owns: which synset each class means, as CSV with a header.

Columns ``index`` and ``name`` say the class (one is enough; both must agree), ``synset`` (or, without it, ``wnid``) what it
means; an empty one leaves the class out. Other columns are for reading, and classes that the file does not name stay as they
are. What is wrong is a `UsageError` that names the line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from dsi_cli.errors import UsageError, nearest
from dsi_cli.labels.files import text_of
from dsi_cli.labels.label_list import LabelList

EXPECTED = "a mapping (CSV with the columns index or name, and synset or wnid)"
KEYS = ("synset", "wnid")


def read(path: str | Path, labels: LabelList) -> dict[int, tuple[int, dict[str, str]]]:
    """Return for each class that a mapping names the line of the file, and its ``synset`` and ``wnid`` as written.

    Raises
    ------
    UsageError
        It cannot be read, lacks a column, names a class that the list lacks, or a class twice.
    """
    found: dict[int, tuple[int, dict[str, str]]] = {}
    for line, row in _rows(Path(path)):
        where = f"{path}, line {line}"
        for index in _classes(row, labels, where):
            if index in found:
                raise UsageError(f"{where}: class {index} ({_short(labels.names[index])}) comes twice; delete one line")
            found[index] = line, {key: row[key] for key in KEYS if key in row}
    return found


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows that are not empty, with their line numbers; cells stripped, columns in lower case."""
    text = text_of(path, EXPECTED)
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise UsageError(f"{path}: expected {EXPECTED}, found line {reader.line_num} damaged ({error})") from None
    header = [cell.lower() for cell in rows[0][1]]
    if not {"index", "name"} & set(header) or not set(KEYS) & set(header):
        raise UsageError(f"{path}: expected {EXPECTED}, found the columns {', '.join(map(ascii, header[:6]))}")
    for line, cells in rows[1:]:
        if any(cells):
            yield line, dict(zip(header, [*cells, *[""] * len(header)], strict=False))


def _classes(row: dict[str, str], labels: LabelList, where: str) -> list[int]:
    """Return the classes that a row means: one by its index, or all of its name."""
    name, index = row.get("name", ""), row.get("index", "")
    if index:
        if not (index.isascii() and index.isdecimal() and int(index[:9]) < len(labels.names)):
            raise UsageError(f"{where}: there is no class {index[:20]!a}; the labels are 0 to {len(labels.names) - 1}")
        if name and name != labels.names[int(index)].strip():
            is_called = _short(labels.names[int(index)])
            raise UsageError(
                f"{where}: class {index} is {is_called}, not {_short(name)}; is it the mapping of another list?"
            )
        return [int(index)]
    found = [k for k, known in enumerate(labels.names) if known.strip() == name]
    if not found:
        near = nearest(name, labels.names)
        hint = f"; did you mean {_short(near)}?" if near else f"; the labels are those of {labels.source}"
        raise UsageError(f"{where}: there is no class {_short(name)}{hint}")
    return found


def _short(name: str) -> str:
    return ascii(name if len(name) <= 60 else f"{name[:57]}...")
