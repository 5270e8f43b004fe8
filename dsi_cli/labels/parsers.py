r"""Parse the text of a label file.

Four forms are accepted:

- lines: a name per line, with or without a class number or a WordNet id in front
  (``0 tench``, ``n01440764 tench``);
- a table (CSV, TSV) whose first line names the columns;
- JSON: a list, names by index, indices by name, or an object that has one of these
  under a key of `dsi_cli.labels.index_maps.KEYS`, such as ``id2label``;
- YAML: ``names:`` with a list or an index map, or any value that JSON may have.

Class numbers decide the order. They must be 0 to C - 1, or 1 to C, for C classes.
Anything else that looks like a number of the class, or like another notation, is
refused rather than read as a name. Mistakes are a ``ValueError`` that states what was
found, and in which line; the caller adds the file and the accepted forms.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence

from dsi_cli.labels.index_maps import (
    KEYS,
    IndexedNames,
    is_order,
    read_names,
    sort_by_index,
)

NAME_COLUMNS = (
    "display_name",
    "name",
    "class_name",
    "class",
    "label",
    "names",
    "labels",
    "classes",
    "label_name",
    "title",
)
"""The names of columns with class names, in order of priority; a column of numbers does
not count.
"""
ID_COLUMNS = ("wnid", "synset", "wordnet_id", "id")
"""The names of columns with WordNet ids or synset names; the first cell that is not
empty counts. A column ``id`` of numbers does not count.
"""
INDEX_COLUMNS = (
    *("index", "class_index", "label_index", "target_index"),
    *("idx", "class_idx", "label_idx", "target_idx"),
    *("id", "class_id", "label_id", "target_id", "category_id"),
    *("number", "class_number", "label_number", "target"),
)
"""The names of columns with class numbers; columns ``id`` and of `NAME_COLUMNS` count
if all their values are numbers.
"""
SUPERCLASS_COLUMNS = (
    "superclass",
    "supercategory",
    "coarse_label",
    "group",
    "category",
    "parent",
)
"""The names of columns with superclasses, in order of priority."""
_KNOWN = {*NAME_COLUMNS, *ID_COLUMNS, *INDEX_COLUMNS, *SUPERCLASS_COLUMNS}
_BY_LETTERS = {name.replace("_", ""): name for name in sorted(_KNOWN)}
MAX_NAME_LENGTH = 1000  # the maximum number of characters of a class name
_NUMBER = re.compile(r"[0-9]{1,9}")
# Possessive quantifiers keep the time linear in the length of a line.
_NUMBER_IN_FRONT = re.compile(
    r"(?P<number>\d{1,9})(?P<joint>[\s.,:;|)=>_-]++)(?=.*[^\W\d_])(?P<name>.*)"
)
_NUMBER_BEHIND = re.compile(
    r"(?=.*[^\W\d_])(?P<name>.*[^\s,:;|=>])[\s,:;|=>]++(?P<number>\d{1,9})"
)
_JOINED = re.compile(r"[._-]+")
"""The characters between a number and a name that make the number a part of the name,
as in the name of a folder (``001.ak47``).
"""
_ID_IN_FRONT = re.compile(r"([nv]\d{8})[\s,;:]++([^\t]*\S)(?:\t.*)?")
"""An id, a name, and other columns, which are ignored."""
_OTHER_NOTATIONS = {
    "a list in brackets": re.compile(r"\A\s*(\w+\s*=\s*)?([\w.]*\()?[\[{]"),
    "a label map": re.compile(r"\A\s*item\s*\{"),
    "a comment": re.compile(r"\A\s*(#|//)"),
    "bullets": re.compile(r"\A\s*[-*•]\s"),
    "a comma after each name": re.compile(r"\A(?:[^\n]*+(?<=,)\n)+.*\Z"),
}
"""Notations whose lines are no names."""


def read_lines(text: str) -> IndexedNames:
    r"""Return the names of a text with one name per line, in the order of the class
    numbers before the names, if any.

    A text whose first line names several columns is a table.

    Raise `ValueError` if a line is empty, if the numbers define no order, or if the
    text has another notation.

    >>> read_lines("cat\ndog\n\n").names, read_lines("1 dog\n0 cat\n").names
    (('cat', 'dog'), ('cat', 'dog'))
    >>> read_lines("n02121620 cat\nn02084071 dog\n").wnids
    ('n02121620', 'n02084071')
    """
    text = text.rstrip()
    names = [line.strip() for line in text.split("\n")]
    require_short(names)
    header = re.split(r"[\t,;]", text.partition("\n")[0])
    columns = _KNOWN.intersection(map(_standard_column, header))
    if len(columns) > 1 and not columns.isdisjoint(NAME_COLUMNS):
        return read_table(text)
    if "" in names:
        raise ValueError(f"found line {names.index('') + 1} empty")
    first = 0
    numbered = _numbers_in_front(names)
    if numbered is not None:
        numbers, bare = numbered
        names = sort_by_index(numbers, bare)
        first = min(numbers)
    wnids = None
    matches = [match for name in names if (match := _ID_IN_FRONT.fullmatch(name))]
    if len(matches) == len(names):
        wnids = tuple(match[1] for match in matches)
        names = [match[2] for match in matches]
    else:
        _require_one_name_per_line(text)
    has_marks = numbered is not None or wnids is not None
    if has_marks and _numbers_in_front(names) is not None:
        raise ValueError("found two numbers, or an id and a number, in each line")
    _require_same_order(names)
    if _class_numbers(names, _NUMBER_BEHIND.fullmatch):
        raise ValueError("found a number after each name; write it before the name")
    return IndexedNames(tuple(names), wnids, first)


def _require_one_name_per_line(text: str) -> None:
    """Raise `ValueError` if the text of a list has another notation."""
    first, *others = text.strip().split("\n")
    first = first.rstrip(" \t,")
    if first.startswith(("'", '"')) and first[1:].endswith(first[0]):
        raise ValueError("found names in quotation marks")
    for notation, pattern in _OTHER_NOTATIONS.items():
        if pattern.search(text):
            raise ValueError(f"found {notation}")
    if not others and any(mark in first for mark in ",;\t"):
        raise ValueError("found one line with several names")


def _numbers_in_front(names: Sequence[str]) -> tuple[list[int], list[str]] | None:
    """Return the numbers in front of all names, and the names without them; None if a
    name has none, or if the numbers are joined to the names or part of them.
    """
    matches = [match for name in names if (match := _NUMBER_IN_FRONT.fullmatch(name))]
    if len(matches) < max(len(names), 2):
        return None
    if any(_JOINED.fullmatch(match["joint"]) for match in matches):
        return None
    bare = [match["name"] for match in matches]
    # "1 door", "2 door" and "3 door" are names.
    if 2 * len(set(bare)) <= len(bare):
        return None
    return [int(match["number"]) for match in matches], bare


def _class_numbers(
    names: Sequence[str], read: Callable[[str], re.Match[str] | None]
) -> list[int]:
    """Return the numbers in the names, as a pattern reads them; none if they define no
    order.
    """
    matches = [match for name in names if (match := read(name))]
    if len(matches) < max(len(names), 2):
        return []
    # "stage 1", "stage 2" and "stage 3" are names.
    if 2 * len({match["name"] for match in matches}) <= len(matches):
        return []
    numbers = [int(match["number"]) for match in matches]
    return numbers if is_order(numbers) else []


def _require_same_order(names: Sequence[str]) -> None:
    """Raise `ValueError` if numbers in the names define another order than that of the
    list, or if a name is too long.
    """
    require_short(names)
    for read in (_NUMBER_IN_FRONT.fullmatch, _NUMBER_BEHIND.fullmatch):
        numbers = _class_numbers(names, read)
        if numbers == sorted(numbers):
            continue
        first = names[numbers.index(min(numbers))]
        raise ValueError(
            f"found {names[0][:40]!a} before {first[:40]!a}: the order of the list is"
            " not that of the numbers in the names; write the names in the"
            " classifier's order, without numbers"
        )


def require_short(names: Sequence[str]) -> None:
    """Raise `ValueError` if a name is too long."""
    longest = max(names, key=len)
    if len(longest) > MAX_NAME_LENGTH:
        raise ValueError(
            f"found a name of {len(longest)} characters ({longest[:40]!a}...)"
        )


def read_json(text: str) -> IndexedNames:
    """Return the names of a JSON list, index map (either direction), or object that has
    one under a known key.

    Raise `ValueError` if the text is not JSON, or has another structure.

    >>> read_json('{"id2label": {"0": "cat", "1": "dog"}}').names
    ('cat', 'dog')
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("found JSON that is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(
            f"found JSON that is damaged in line {error.lineno} ({error.msg})"
        ) from None
    except ValueError:
        raise ValueError("found JSON with a number of thousands of digits") from None
    return _names_of_value(value)


def read_yaml(text: str) -> IndexedNames:
    r"""Return the names of a YAML list, index map (either direction), or mapping that
    has one under a known key.

    Scalars are read as text, so that ``no`` and ``1e3`` are valid names of classes.

    Raise `ValueError` if the text is not YAML, or has another structure.

    >>> read_yaml("nc: 2\nnames: [cat, dog]\n").names
    ('cat', 'dog')
    """
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        value = yaml.load(text, Loader=loader)  # noqa: S506 (it returns only text)
    except RecursionError:
        raise ValueError("found YAML that is nested too deeply") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"found YAML that is damaged ({reason[:200]})") from None
    return _names_of_value(value)


def _names_of_value(value: object) -> IndexedNames:
    """Return the names of a list or an index map, or of an object that has one under a
    known key.
    """
    if isinstance(value, dict):
        inner = [value[key] for key in KEYS if isinstance(value.get(key), dict | list)]
        value = inner[0] if inner else value
    names = read_names(value)
    if isinstance(value, list):
        _require_same_order(names.names)
    return names


def read_table(text: str) -> IndexedNames:
    r"""Return the names, ids and superclasses of a table whose first line names the
    columns.

    The separator is the tab if the first line has one, else the more frequent one of
    comma and semicolon. Without a header, each line must begin with a WordNet id.

    Raise `ValueError` if no column has a known name, a row is empty, too short or
    without a name, or a quotation mark is not closed. Also raise it if the class
    numbers are not 0 to C - 1 or 1 to C, or two columns define different orders.

    >>> read_table("index,name,wnid\n1,dog,n02084071\n0,cat,\n")[:2]
    (('cat', 'dog'), (None, 'n02084071'))
    >>> read_table("name,superclass\ndog,pet\nrock,\n").superclasses
    ('pet', None)
    """
    if all(map(_ID_IN_FRONT.match, text.strip().split("\n"))):
        return read_lines(text)
    columns = _read_columns(text)
    name_column = _name_column(columns)
    order, first = _class_order(columns, name_column)
    names = tuple(columns[name_column][row] for row in order)
    if first is None:
        _require_same_order(names)
    result = IndexedNames(names, _ids(columns, order), first or 0)
    for name in SUPERCLASS_COLUMNS:
        if name in columns and name != name_column:
            superclasses = tuple(columns[name][row] or None for row in order)
            if any(superclasses):
                result = result._replace(superclasses=superclasses)
            break
    return result


def _read_columns(text: str) -> dict[str, list[str]]:
    """Return the columns of a table by their names; those that are not known are in
    lower case.
    """
    rows = read_cells(text.rstrip(" \n"))
    header = [_standard_column(cell) for cell in rows[0][1]]
    if _KNOWN.isdisjoint(header):
        found = ", ".join(map(ascii, header[:6]))
        raise ValueError(
            f"found {found} in the first line, which names no known column; write a"
            " header such as index,name,superclass"
        )
    if len(rows) == 1:
        raise ValueError("found a header and no rows")
    for name in header:
        if name in _KNOWN and header.count(name) > 1:
            raise ValueError(f"found the column {name!a} twice; rename one of the two")
    columns: dict[str, list[str]] = {name: [] for name in header}
    for line, row in rows[1:]:
        if not any(row):
            raise ValueError(f"found line {line} empty")
        if any("\n" in cell for cell in row):
            raise ValueError(
                f"found a quotation mark that is not closed before line {line}"
            )
        if len(row) < len(header):
            raise ValueError(
                f"found {len(row)} cells in line {line}, fewer than in the first"
            )
        for name, cell in zip(header, row, strict=False):
            columns[name].append(cell)
    return columns


def _name_column(columns: dict[str, list[str]]) -> str:
    """Return the column of names: the first of `NAME_COLUMNS` without numbers, else the
    ids, else a column of `NAME_COLUMNS` with numbers.
    """
    known = [name for name in NAME_COLUMNS if name in columns]
    texts = [name for name in known if _whole_numbers(columns[name]) is None]
    for name in [*texts, *ID_COLUMNS, *known]:
        if name not in columns or _is_number_id(name, columns[name]):
            continue
        if "" in columns[name]:
            row = columns[name].index("") + 1
            raise ValueError(f"found no name in row {row} below the header")
        return name
    found = ", ".join(map(ascii, list(columns)[:6]))
    expected = ", ".join(NAME_COLUMNS[1:5])
    raise ValueError(f"found the columns {found}, and none named {expected}")


def _is_number_id(name: str, cells: Sequence[str]) -> bool:
    """Return True if a column ``id`` has class numbers, not WordNet ids."""
    return name == "id" and _whole_numbers(cells) is not None


def _ids(
    columns: dict[str, list[str]], order: Sequence[int]
) -> tuple[str | None, ...] | None:
    """Return the first id of each row in the columns of ids, or None without any."""
    ids: list[str | None] = [None] * len(order)
    for name in ID_COLUMNS:
        cells = columns.get(name)
        if cells is None or _is_number_id(name, cells):
            continue
        for index, row in enumerate(order):
            ids[index] = ids[index] or cells[row] or None
    return tuple(ids) if any(ids) else None


def _class_order(
    columns: dict[str, list[str]], name_column: str
) -> tuple[list[int], int | None]:
    """Return the rows in the order of the classes, and the number of the first class;
    None for the number if no column numbers the classes.

    Raise `ValueError` if the class numbers define no order, or if columns of numbers
    define different orders.
    """
    rows = list(range(len(columns[name_column])))
    orders: dict[str, list[int]] = {}
    first = None
    for name, cells in columns.items():
        if name in ("", name_column, *SUPERCLASS_COLUMNS):
            continue
        numbers = _whole_numbers(cells)
        is_known = name in INDEX_COLUMNS or name in NAME_COLUMNS
        if numbers is None:
            if name in INDEX_COLUMNS and name != "id":
                raise ValueError(
                    f"found the column {name!a} of class numbers with values that are"
                    " no whole numbers"
                )
        elif is_known or is_order(numbers):
            orders[f"the column {name!a}"] = sort_by_index(numbers, rows)
            if is_known:
                first = min(numbers)
    if first is None:
        orders["the lines"] = rows
    (by, order), *others = orders.items()
    for other_by, other in others:
        if other != order:
            raise ValueError(
                f"found one order of the classes by {by} and another one by"
                f" {other_by}; delete a column, or name the right one 'index'"
            )
    return order, first


def _whole_numbers(cells: Sequence[str]) -> list[int] | None:
    """Return cells as integers, or None if a cell is not an integer; pandas writes some
    integers as ``3.0``.
    """
    texts = [cell.removesuffix(".0") for cell in cells]
    if not all(map(_NUMBER.fullmatch, texts)):
        return None
    return [int(text) for text in texts]


def _standard_column(cell: str) -> str:
    """Return the standard name of a column (``Class ID`` and ``ClassId`` are
    ``class_id``), else the name in lower case.
    """
    name = cell.strip().lower()
    return _BY_LETTERS.get(re.sub(r"[\s_.-]+", "", name), name)


def read_cells(text: str) -> list[tuple[int, list[str]]]:
    """Return the stripped cells of each row with the line number; raise `ValueError`
    for a damaged table.
    """
    first = text.split("\n", 1)[0]
    separator = "\t" if "\t" in first else max(",;", key=first.count)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True
    )
    try:
        return [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise ValueError(
            f"found a table that is damaged in line {reader.line_num} ({error})"
        ) from None
