"""The text of a label file to names and the ids beside them: lines, tables (CSV, TSV) and JSON.

What is wrong is a ``ValueError`` whose message says what was found, and in which line; the caller knows the file.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence

from dsi_cli.errors import count
from dsi_cli.labels.indexmaps import KEYS, Names, in_order, names_of

NAME_COLUMNS = ("name", "class_name", "class", "label", "names", "labels", "classes")
"""Columns that hold class names; the first that a table has counts, in any case."""

ID_COLUMNS = ("wnid", "synset", "id")
"""Columns that hold WordNet ids or synset names; of a row's the first that is not empty counts."""

INDEX_COLUMNS = ("index", "class_index", "id")
"""Columns that order the rows; ``id`` only where all its values are numbers."""

SUPERCLASS_COLUMNS = ("superclass", "supercategory", "coarse_label", "group", "category", "parent")
"""Columns that hold the superclass of each class; the first that a table has counts, where any row has one."""

_ID = re.compile(r"[nv]\d{8}")
_ID_AND_NAME = re.compile(r"([nv]\d{8})\s+(\S.*)")


def lines(text: str) -> Names:
    r"""Return the names of a text with one a line, or with an id and a name a line (``n01440764 tench``).

    Raises
    ------
    ValueError
        A line before the last name is empty.

    Examples
    --------
    >>> lines("cat\ndog\n\n")
    (('cat', 'dog'), None)
    """
    names = [line.strip() for line in text.strip().split("\n")]
    first = 1 + text[: len(text) - len(text.lstrip())].count("\n")
    if first > 1:
        raise ValueError("found line 1 empty")
    if "" in names:
        raise ValueError(f"found line {first + names.index('')} empty")
    pairs = [match for name in names if (match := _ID_AND_NAME.fullmatch(name))]
    if len(pairs) == len(names):
        return tuple(pair[2] for pair in pairs), tuple(pair[1] for pair in pairs)
    return tuple(names), None


def table(text: str) -> Names:
    r"""Return the names and ids of a table with named columns, or of one without a header: id, name, anything.

    The separator is the tab where the first line has one, else the comma or semicolon that it has more of.

    Raises
    ------
    ValueError
        No column is known; a row is empty, too short or has no name; a quotation mark is not closed; the indices are
        not 0 to n - 1, each once.

    Examples
    --------
    >>> table("index,name,wnid\n1,dog,n02084071\n0,cat,\n")
    (('cat', 'dog'), (None, 'n02084071'))
    >>> table("n02084071\tdog\tdog.n.01\n")
    (('dog',), ('n02084071',))
    """
    names, wnids, _ = _columns(text)
    return names, wnids


def superclasses(text: str) -> tuple[str | None, ...] | None:
    r"""Return the superclass of each class out of a table, in the order of `table`; None where no column has them.

    Raises
    ------
    ValueError
        As for `table`.

    Examples
    --------
    >>> superclasses("name,superclass\ndog,pet\nrock,\n"), superclasses("name\ndog\n")
    (('pet', None), None)
    """
    return _columns(text)[2]


def _columns(text: str) -> tuple[tuple[str, ...], tuple[str | None, ...] | None, tuple[str | None, ...] | None]:
    """Return the names, ids and superclasses of a table, by its indices where it has some."""
    rows = _rows(text)
    header = [cell.lower() for cell in rows[0][1]]
    if _ID.fullmatch(header[0]):
        header = ["wnid", "name"][: len(header)]
    else:
        rows = rows[1:]
    if not rows:
        raise ValueError("found a header and no rows")
    columns = {name: [_cell(row, line, at) for line, row in rows] for at, name in enumerate(header) if name in _KNOWN}
    if _are_numbers(columns.get("id", [""])):
        columns.setdefault("index", columns.pop("id"))
    return _ordered(columns, header, [line for line, _ in rows])


_KNOWN = {*NAME_COLUMNS, *ID_COLUMNS, *INDEX_COLUMNS, *SUPERCLASS_COLUMNS}


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Return the rows with their line numbers; cells stripped, empty lines at the end left out."""
    first = text.split("\n", 1)[0]
    separator = "\t" if "\t" in first else max(",;", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise ValueError(f"found a table that is damaged in line {reader.line_num} ({error})") from None
    while not any(rows[-1][1]) and len(rows) > 1:
        rows.pop()
    for line, row in rows:
        if not any(row):
            raise ValueError(f"found line {line} empty")
        if any("\n" in cell for cell in row):
            raise ValueError(f"found a quotation mark that is not closed before line {line}")
    return rows


def _cell(row: Sequence[str], line: int, at: int) -> str:
    if at >= len(row):
        raise ValueError(f"found {count(len(row), 'column')} in line {line}, fewer than in the first")
    return row[at]


def _ordered(
    columns: dict[str, list[str]], header: Sequence[str], numbers: Sequence[int]
) -> tuple[tuple[str, ...], tuple[str | None, ...] | None, tuple[str | None, ...] | None]:
    ids = [columns[name] for name in ID_COLUMNS if name in columns]
    named = next((columns[name] for name in NAME_COLUMNS if name in columns), ids[0] if ids else None)
    if named is None:
        found = ", ".join(ascii(name) for name in header[:6])
        raise ValueError(f"found the columns {found}, and none named {', '.join(NAME_COLUMNS[:4])}")
    if "" in named:
        raise ValueError(f"found no name in line {numbers[named.index('')]}")
    wnids = [next((cell for cell in cells if cell), None) for cells in zip(*ids, strict=True)] or [None] * len(named)
    above = next((columns[name] for name in SUPERCLASS_COLUMNS if name in columns), [""] * len(named))
    rows = list(zip(named, wnids, [cell or None for cell in above], strict=True))
    index = next((columns[name] for name in INDEX_COLUMNS if name != "id" and name in columns), None)
    if index is not None:
        if not _are_numbers(index):
            raise ValueError("found a column of indices that are not all whole numbers")
        rows = in_order([int(cell) for cell in index], rows)
    names, given, above = zip(*rows, strict=True)
    return names, given if any(given) else None, above if any(above) else None


def _are_numbers(cells: Sequence[str]) -> bool:
    return all(cell.isascii() and cell.isdecimal() and len(cell) <= 9 for cell in cells)


def json_text(text: str) -> Names:
    """Return the names of a JSON list, index map (either direction), or object that holds one under a known key.

    Raises
    ------
    ValueError
        It is no JSON, or none of these.

    Examples
    --------
    >>> json_text('{"0": "cat", "1": "dog"}') == json_text('{"id2label": {"0": "cat", "1": "dog"}}')
    True
    """
    try:
        value = json.loads(text)
    except RecursionError:  # json's own reader gives up on towers of brackets
        raise ValueError("found JSON that is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"found JSON that is damaged in line {error.lineno} ({error.msg})") from None
    except ValueError:
        raise ValueError("found JSON with a number of thousands of digits") from None
    if isinstance(value, dict):
        inside = [value[key] for key in (*KEYS, "names") if isinstance(value.get(key), dict | list)]
        value = inside[0] if inside else value
    return names_of(value)
