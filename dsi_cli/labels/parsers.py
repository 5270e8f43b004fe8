"""Parse the text of a label file: lines, tables (CSV, TSV), JSON, YAML and Python
lists.

If a file numbers its classes, in a column or in each line, the numbers determine the
order (`dsi_cli.labels.numbering`). Mistakes are a ``ValueError`` that states what was
found, and in which line; the caller adds the file.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from dsi_cli.errors import count
from dsi_cli.labels import numbering
from dsi_cli.labels.index_maps import (
    KEYS,
    MAX_DEPTH,
    IndexedNames,
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
ID_COLUMNS = ("wnid", "synset", "id")
"""The names of columns with WordNet ids or synset names; the first cell that is not
empty counts. Without one, the first column of different WordNet ids counts.
"""
INDEX_COLUMNS = (
    *("index", "class_index", "label_index", "target_index"),
    *("idx", "class_idx", "label_idx", "target_idx"),
    *("id", "class_id", "label_id", "target_id", "category_id"),
    *("number", "class_number", "label_number", "target"),
)
"""The names of columns with class numbers; ``id`` and columns of `NAME_COLUMNS` count
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
MAX_LINE_LENGTH = 2**20
"""The maximum number of characters of a line of names or of a table; the names of
ImageNet-22k in one line have about that many.
"""
_OF_PARENT = re.compile(r"super|parent|hypernym|coarse|(?:group|category)$")
"""In the name of a column whose WordNet ids are those of superclasses."""
_ID = re.compile(r"[nv]\d{8}")
_ID_AND_NAME = re.compile(r"([nv]\d{8})\s+(\S.*)")
_ASSIGNED = re.compile(
    r"^[A-Za-z_]\w*+(?:\s*+:[^=\n]*+)?\s*+=\s*+(?=[\[({])", re.MULTILINE
)
_LITERAL = re.compile(rf"(?:{_ASSIGNED.pattern})?[\[({{].*[\])}}][;,]?", re.DOTALL)
_BULLET = re.compile(r"[-*•]\s+(?=\S)")
_COMMENT = re.compile(r"\A((?:#|//).*\n)+(?=[^#/\n])")
_PRINTED = re.compile(r"\A\s*[A-Za-z_.]+\((\[.*\])(,[^\[\]]*)?\)\s*\Z", re.DOTALL)
"""A list as Python, NumPy or pandas print it: ``dict_keys(['cat', 'dog'])``,
``array(['cat', 'dog'], dtype='<U3')``.
"""
_ITEM = re.compile(r"item\s*\{[^{}]*\}\s*")
"""A class in a label map of TensorFlow, with its number in ``id`` and its name in
``name`` or ``display_name``.
"""


def read_lines(text: str) -> IndexedNames:
    r"""Return the names of a text with one name per line, or with a number or an id
    before each name (``n01440764 tench``).

    A text may also be a list or an index map in the notation of Python or JSON, a label
    map of TensorFlow (``item { id: 1 }``), or a table whose first line names two
    columns or more.

    Raise `ValueError` if a line before the last name is empty, or the numbers in the
    lines define no order or contradict each other.

    >>> read_lines("cat\ndog\n\n").names, read_lines("1 dog\n0 cat\n").names, read_lines("['cat', 'dog']").names
    (('cat', 'dog'), ('cat', 'dog'), ('cat', 'dog'))
    """
    text = _PRINTED.sub(r"\1", text)
    if _LITERAL.fullmatch(text.strip()):
        literal = _parse_literal(text.strip())
        if literal is not None:
            # Python joins quoted texts without a comma between them, as NumPy prints
            # arrays.
            if (
                isinstance(literal, list | tuple)
                and len(literal) == 1
                and re.search(r"(['\"])\s+\1", text)
            ):
                raise ValueError(
                    "found names in quotes without commas between them; write one name"
                    " per line"
                )
            return _names_from_value(literal)
        has_bracket_per_line = re.match(r"[^\n]*[\])}]\s*\n", text.lstrip())
        if not has_bracket_per_line:
            raise ValueError(
                "found a list in brackets that neither Python nor JSON can read"
            )
    if re.fullmatch(rf"({_ITEM.pattern})+", text.strip()):
        return _names_from_value(dict(map(_read_item, _ITEM.findall(text))))
    _require_short_lines(text)
    header = map(_standard_column, re.split(r"[\t,;]", text.partition("\n")[0].strip()))
    if len(columns := _KNOWN.intersection(header)) > 1 and not columns.isdisjoint(
        NAME_COLUMNS
    ):
        return read_table(text)
    lines, text = text.count("\n"), _COMMENT.sub("", text)
    # the number of the first line after the comments
    first = 1 + lines - text.count("\n")
    names = _split_lines(text.strip())
    if text[: len(text) - len(text.lstrip())].count("\n"):
        raise ValueError(f"found line {first} empty")
    if "" in names:
        raise ValueError(f"found line {first + names.index('')} empty")
    # The first line may name the columns of numbers and names (``index name``).
    words = [_standard_column(word) for word in re.split(r"[\s,;:|]+", names[0])]
    is_header = len(words) == 2 and {*INDEX_COLUMNS, *NAME_COLUMNS}.issuperset(words)
    if is_header and numbering.split_numbers(names[1:]) is not None:
        names = names[1:]
    return _split_numbers_and_ids(numbering.remove_quotes(names))


def _require_short_lines(text: str) -> None:
    longest = max(map(len, text.split("\n")))
    if longest > MAX_LINE_LENGTH:
        raise ValueError(
            f"found a line of {longest} characters; write one name per line"
        )


def _split_lines(text: str) -> list[str]:
    """Return the lines without the bullets of a list; a single line holds several
    names, as classifiers have several classes.
    """
    names = [line.strip() for line in text.split("\n")]
    if all(map(_BULLET.match, names)):
        return [_BULLET.sub("", name, count=1) for name in names]
    if len(names) > 1:
        return names
    quoted = _parse_literal(f"[{text}]")
    if (
        isinstance(quoted, list)
        and len(quoted) > 1
        and all(isinstance(name, str) for name in quoted)
    ):
        return quoted
    if re.search(r"[\"'()\[\]{}]", text):
        return names
    return [name.strip() for name in re.split(r"[,;\t]", text.rstrip(",; ") or text)]


def _read_item(item: str) -> tuple[int, str]:
    number = re.search(r"\bid:\s*(\d+)", item)
    last = max(item.rfind("display_name"), 0)  # it has precedence over the name
    name = re.search(r"name:\s*(?:'([^'\n]+)'|\"([^\"\n]+)\")", item[last:])
    if number is None or name is None:
        raise ValueError(
            f"found an item of a label map without an id or a name ({item[:40]!a})"
        )
    return int(number[1]), name[1] or name[2]


def _split_numbers_and_ids(names: Sequence[str]) -> IndexedNames:
    """Return names in the order of the numbers before or after them, if any, and the
    ids before them.
    """
    numbered, first = numbering.split_numbers(names), 0
    if numbered is not None:
        first = min(numbered.numbers)
        names = [numbered.names[index] for index in numbered.order]
    pairs = [match for name in names if (match := _ID_AND_NAME.fullmatch(name))]
    if len(pairs) < len(names):
        return IndexedNames(tuple(names), None, first)
    # All names begin with an id, which may precede a number.
    bare = tuple(pair[2] for pair in pairs)
    if numbered is None:
        result = _split_numbers_and_ids(bare)
        if result.names != bare:
            message = (
                "found an id and a number in each line; write a CSV file with the"
                " columns index, name and wnid"
            )
            raise ValueError(message)
        first = result.first
    return IndexedNames(bare, tuple(pair[1] for pair in pairs), first)


def _parse_literal(text: str) -> object:
    """Return the value of a Python or JSON list or dict, which may be assigned to a
    name; None if it is neither.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            # for example about a number followed by a name
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.literal_eval(_ASSIGNED.sub("", text, count=1).rstrip("; \n"))
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def _are_objects(value: object) -> TypeGuard[list[dict[str, object]]]:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(item, dict) for item in value)
    )


def _names_from_value(value: object) -> IndexedNames:
    """Return the names of a list, an index map or a list of objects, or of an object
    that has one of these.
    """
    # An object may have the names under a known key, or under its only key.
    for _ in range(MAX_DEPTH):
        if isinstance(value, dict):
            only = [
                key
                for key, inner in value.items()
                if len(value) == 1 and not _are_objects(inner)
            ]
            known = (*KEYS, "names", "categories", *only)
            value = next(
                (
                    value[key]
                    for key in known
                    if isinstance(value.get(key), dict | list | tuple)
                ),
                value,
            )
    # A list of objects, such as the categories of COCO, is a table.
    if _are_objects(value):
        keys = [
            key
            for key in value[0]
            if all(isinstance(item.get(key), str | int) for item in value)
        ]
        cells = {key: [str(item[key]).strip() for item in value] for key in keys}
        columns = [
            _Column(
                _standard_column(key), cells[key], numbering.parse_numbers(cells[key])
            )
            for key in keys
        ]
        return _names_from_columns(columns, range(1, len(value) + 1))
    names = read_names(value)
    if isinstance(value, dict):
        return names
    # The elements of a list may contain numbers, which must agree with the order of the
    # list.
    numbered = numbering.split_numbers(names.names)
    if numbered is None or names.wnids is not None:
        return names
    if numbered.order != list(range(len(names.names))):
        as_given = numbering.Numbering(tuple(range(len(names.names))), names.names)
        message = (
            "found a list whose order is not that of the numbers in it:"
            f" {numbering.first_names(as_given)}, or "
        )
        message += (
            f"{numbering.first_names(numbered)}; write the names in the classifier's"
            " order, without the numbers"
        )
        raise ValueError(message)
    return IndexedNames(numbered.names, None, min(numbered.numbers))


def read_json(text: str) -> IndexedNames:
    """Return the names of a JSON list, index map (either direction), or object that has
    one under a known key.

    Raise `ValueError` if the text is not JSON, or has another structure.

    >>> read_json('{"0": "cat", "1": "dog"}') == read_json('{"id2label": {"0": "cat", "1": "dog"}}')
    True
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("found JSON that is nested too deeply") from None
    except json.JSONDecodeError as error:
        value = _parse_literal(text.strip())
        if not value:
            raise ValueError(
                f"found JSON that is damaged in line {error.lineno} ({error.msg})"
            ) from None
    except ValueError:
        raise ValueError("found JSON with a number of thousands of digits") from None
    return _names_from_value(value)


def read_yaml(text: str) -> IndexedNames:
    r"""Return the names of a YAML list, index map (either direction), or mapping that
    has one under a known key.

    Scalars are read as text, so that ``no`` and ``1e3`` are valid names of classes.

    Raise `ValueError` if the text is not YAML, or has another structure.

    >>> read_yaml("nc: 2\nnames: [cat, dog]\n").names, read_yaml("names:\n  1: dog\n  0: cat\n").names
    (('cat', 'dog'), ('cat', 'dog'))
    """
    import yaml

    try:
        value = yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))  # noqa: S506 (it returns only text)
    except RecursionError:
        raise ValueError("found YAML that is nested too deeply") from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f" in line {line + 1}"
        message = (
            f"found YAML that is damaged{where}"
            f" ({getattr(error, 'problem', None) or 'not readable'})"
        )
        raise ValueError(message) from None
    return _names_from_value(value)


def read_table(text: str) -> IndexedNames:
    r"""Return the names, ids and superclasses of a table with or without a header.

    The separator is the tab if the first line has one, else the more frequent one of
    comma and semicolon. A table without a header must have a column of WordNet ids or
    of class numbers. Its names are in the only other column, or in the column after the
    ids.

    Raise `ValueError` if no column is known, a row is empty, too short or without a
    name, or a quotation mark is not closed. Also raise it if the class numbers are not
    a permutation of 0 to n - 1 or of 1 to n, or two columns define different orders.

    >>> read_table("index,name,wnid\n1,dog,n02084071\n0,cat,\n")[:2]
    (('cat', 'dog'), (None, 'n02084071'))
    >>> read_table("class_id,name\n1,dog\n0,cat\n").names, read_table("dog,1\ncat,0\n").names
    (('cat', 'dog'), ('cat', 'dog'))
    >>> read_table("name,superclass\ndog,pet\nrock,\n").superclasses
    ('pet', None)
    """
    rows = read_cells(text)
    # Empty lines are allowed only at the end.
    while not any(rows[-1][1]) and len(rows) > 1:
        rows.pop()
    for line, row in rows:
        if not any(row):
            raise ValueError(f"found line {line} empty")
        if any("\n" in cell for cell in row):
            raise ValueError(
                f"found a quotation mark that is not closed before line {line}"
            )
    return _names_from_columns(*_read_columns(rows))


def _names_from_columns(
    columns: Sequence[_Column], lines: Sequence[int]
) -> IndexedNames:
    names = _name_column(columns, lines)
    ids = zip(*(column.cells for column in _id_columns(columns)), strict=True)
    wnids = [next(filter(None, cells), "") for cells in ids]
    superclass_columns = [
        column
        for column in columns
        if column.name in SUPERCLASS_COLUMNS and column is not names
    ]
    superclasses = superclass_columns[0].cells if superclass_columns else []
    order = _class_numbers(columns, names)
    if order is not None:
        wnids = sort_by_index(order, wnids or [""] * len(order))
        superclasses = sort_by_index(order, superclasses or [""] * len(order))
        result = IndexedNames(
            tuple(sort_by_index(order, names.cells)), None, min(order)
        )
    else:
        result = _split_numbers_and_ids(names.cells)
        if result.names != tuple(names.cells) and (any(wnids) or superclasses):
            raise ValueError(
                "found numbers within the names; write them into a column 'index'"
            )
    return result._replace(
        wnids=_none_if_empty(wnids) or result.wnids,
        superclasses=_none_if_empty(superclasses),
    )


@dataclass(frozen=True, eq=False)
class _Column:
    """A column of a table: its header in lower case or an empty text, its cells, and
    the cells as numbers if possible.
    """

    name: str
    cells: list[str]
    numbers: list[int] | None

    @property
    def is_order(self) -> bool:
        """True if the numbers define an order of the classes."""
        return numbering.first_number(self.numbers) is not None


def _none_if_empty(cells: Sequence[str]) -> tuple[str | None, ...] | None:
    return tuple(cell or None for cell in cells) if any(cells) else None


def _read_columns(rows: list[tuple[int, list[str]]]) -> tuple[list[_Column], list[int]]:
    """Return the columns of a table, and the line number of each row."""
    header = [_standard_column(cell) for cell in rows[0][1]]
    width = len(header)
    if any(map(_ID.fullmatch, header)):
        header = _columns_around_id(header)
    elif (
        width > 1
        and all(len(row) == width for _, row in rows)
        and _KNOWN.isdisjoint(header)
        and _has_order(rows)
    ):
        header = [""] * width
    else:
        rows = rows[1:]
    if not rows:
        raise ValueError("found a header and no rows")
    repeated = [
        name
        for name, number in Counter(header).items()
        if name in _KNOWN and number > 1
    ]
    if repeated:
        raise ValueError(
            f"found the column {repeated[0]!a} twice; rename one of the two"
        )
    columns = []
    for index, name in enumerate(header):
        short = next(((line, row) for line, row in rows if index >= len(row)), None)
        if short is None:
            cells = [row[index] for _, row in rows]
            columns.append(_Column(name, cells, numbering.parse_numbers(cells)))
        elif name in _KNOWN:
            line, row = short
            raise ValueError(
                f"found {count(len(row), 'column')} in line {line}, fewer than in the"
                " first"
            )
    return columns, [line for line, _ in rows]


def _columns_around_id(cells: Sequence[str]) -> list[str]:
    """Return the columns of a table without a header: the id, and the name after it or
    else before it.
    """
    place = [bool(_ID.fullmatch(cell)) for cell in cells].index(True)
    header = [""] * len(cells)
    header[place + 1 if place + 1 < len(cells) else place - 1] = "name"
    header[place] = "wnid"
    return header


_KNOWN = {*NAME_COLUMNS, *ID_COLUMNS, *INDEX_COLUMNS, *SUPERCLASS_COLUMNS}
_BY_LETTERS = {name.replace("_", ""): name for name in sorted(_KNOWN)}


def _standard_column(cell: str) -> str:
    """Return the standard name of a column (``Class ID`` and ``ClassId`` are
    ``class_id``), else the name in lower case.
    """
    return _BY_LETTERS.get(re.sub(r"[\s_.-]+", "", cell.lower()), cell.lower())


def _has_order(rows: list[tuple[int, list[str]]]) -> bool:
    """Return whether a column numbers the rows with the first line, which is then a
    class and no header.
    """
    columns = zip(*(row for _, row in rows), strict=True)
    return any(
        numbering.first_number(numbering.parse_numbers(column)) is not None
        for column in columns
    )


def read_cells(text: str) -> list[tuple[int, list[str]]]:
    """Return the stripped cells of each row with the line number; raise `ValueError`
    for a damaged table.
    """
    _require_short_lines(text)
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


def _id_columns(columns: Sequence[_Column]) -> list[_Column]:
    ids = []
    for name in ID_COLUMNS:
        ids += [
            column
            for column in columns
            if column.name == name and (name != "id" or column.numbers is None)
        ]
    others = [
        column
        for column in columns
        if not _OF_PARENT.search(column.name)
        and len({*column.cells}) == len(column.cells)
    ]
    return (
        ids
        or [column for column in others if all(map(_ID.fullmatch, column.cells))][:1]
    )


def _name_column(columns: Sequence[_Column], lines: Sequence[int]) -> _Column:
    """Return the column of names; the line numbers of the rows are for a message."""
    # It is the first column of `NAME_COLUMNS` without numbers. Otherwise it is the only
    # other text column, if its values are distinct and a column numbers the classes.
    # Otherwise it is the column of ids, or a column of `NAME_COLUMNS` with numbers.
    ids = _id_columns(columns)
    by_name = [
        column for name in NAME_COLUMNS for column in columns if column.name == name
    ]
    candidates = [column for column in by_name if column.numbers is None]
    texts = [
        column for column in columns if column.numbers is None and column not in ids
    ]
    if len(texts) == 1 and any(column.is_order for column in columns):
        candidates += [
            column for column in texts if len(set(column.cells)) == len(column.cells)
        ]
    candidates += [*ids, *by_name]
    if candidates:
        names = candidates[0]
        if "" in names.cells:
            raise ValueError(f"found no name in line {lines[names.cells.index('')]}")
        return names
    if not any(column.name for column in columns):
        message = (
            f"found {len(columns)} columns without a header; write one above them, such"
            " as index,name,superclass"
        )
        raise ValueError(message)
    found = ", ".join(ascii(column.name) for column in columns[:6])
    raise ValueError(
        f"found the columns {found}, and none named {', '.join(NAME_COLUMNS[1:5])}"
    )


def _class_numbers(columns: Sequence[_Column], names: _Column) -> list[int] | None:
    """Return the class number of each row by a column with a known name, else by any
    permutation; None without one.
    """
    ids = _id_columns(columns)
    others = [column for column in columns if column is not names and column not in ids]
    known = [
        column
        for column in others
        if column.name in INDEX_COLUMNS
        and (column.name != "id" or column.numbers is not None)
    ]
    known += [
        column
        for column in others
        if column.name in NAME_COLUMNS and column.numbers is not None
    ]
    orders = [column for column in known or others if column.is_order]
    if not orders and known:
        column = known[0]
        if column.numbers is None:
            raise ValueError(
                f"found the column {column.name!a} of class numbers with values that"
                " are no whole numbers"
            )
        raise ValueError(
            f"{numbering.reason_no_order(column.numbers)} in the column {column.name!a}"
        )
    _require_one_order(orders, names)
    return orders[0].numbers if orders else None


def _require_one_order(orders: Sequence[_Column], names: _Column) -> None:
    """Raise `ValueError` if several columns number the classes in different orders."""
    numberings = [
        numbering.Numbering(tuple(column.numbers or ()), tuple(names.cells))
        for column in orders
    ]
    for column, numbered in zip(orders, numberings, strict=True):
        if numbered.order != numberings[0].order:
            first, other = (
                numbering.first_names(numberings[0]),
                numbering.first_names(numbered),
            )
            message = (
                f"found two orders of the classes: {first} by the column"
                f" {orders[0].name!a} or {other} by the column "
            )
            message += f"{column.name!a}; delete one of the two columns"
            raise ValueError(message)
