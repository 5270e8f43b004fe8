"""The text of a label file to names and the ids next to them: lines, tables (CSV, TSV), JSON, YAML and lists of Python.

Where a file numbers its classes, in a column or in each line, the numbers decide the order (`dsi_cli.labels.numbering`).
What is wrong is a ``ValueError`` whose message says what was found, and in which line; the caller knows the file.
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

from dsi_cli.errors import count
from dsi_cli.labels import numbering
from dsi_cli.labels.index_maps import KEYS, IndexedNames, in_order, names_of

NAME_COLUMNS = ("name", "class_name", "class", "label", "names", "labels", "classes", "label_name", "title")
"""Columns that hold class names; the first that a table has and that holds no numbers counts, in any case."""

ID_COLUMNS = ("wnid", "synset", "id")
"""Columns that hold WordNet ids or synset names; of a row's the first that is not empty counts."""

INDEX_COLUMNS = (
    *("index", "class_index", "label_index", "target_index"),
    *("idx", "class_idx", "label_idx", "target_idx"),
    *("id", "class_id", "label_id", "target_id", "category_id"),
    *("number", "class_number", "label_number", "target"),
)
"""Columns that number the classes; ``id`` only if all its values are numbers, which is also how columns of `NAME_COLUMNS` do."""

SUPERCLASS_COLUMNS = ("superclass", "supercategory", "coarse_label", "group", "category", "parent")
"""Columns that hold the superclass of each class; the first that a table has counts, where any row has one."""

_ID = re.compile(r"[nv]\d{8}")
_ID_AND_NAME = re.compile(r"([nv]\d{8})\s+(\S.*)")
_ASSIGNED = re.compile(r"[A-Za-z_]\w*(?:\s*:[^=\n]*)?\s*=\s*(?=[\[({])")
_LITERAL = re.compile(rf"(?:{_ASSIGNED.pattern})?[\[({{].*[\])}}][;,]?", re.DOTALL)


def lines(text: str) -> IndexedNames:
    r"""Return the names of a text with one a line, or with a number or an id and a name a line (``n01440764 tench``).

    A text that is a list or an index map, as Python or JSON writes them, is read as that.

    Raises
    ------
    ValueError
        A line before the last name is empty; or the numbers in the lines give no order, or two.

    Examples
    --------
    >>> lines("cat\ndog\n\n").names, lines("1 dog\n0 cat\n").names, lines("['cat', 'dog']").names
    (('cat', 'dog'), ('cat', 'dog'), ('cat', 'dog'))
    """
    if _LITERAL.fullmatch(text.strip()):
        literal = _literal(text.strip())
        if literal is not None:
            return _listed(literal)
        if not re.match(r"[^\n]*[\])}]\s*\n", text.lstrip()):  # else each line has brackets of its own
            raise ValueError("found a list in brackets that neither Python nor JSON can read")
    names = [line.strip() for line in text.strip().split("\n")]
    first = 1 + text[: len(text) - len(text.lstrip())].count("\n")
    if first > 1:
        raise ValueError("found line 1 empty")
    if "" in names:
        raise ValueError(f"found line {first + names.index('')} empty")
    if _is_header(names[0]) and numbering.split(names[1:]) is not None:
        names = names[1:]
    return _numbered(numbering.unquoted(names))


def _is_header(line: str) -> bool:
    """Return whether a line names the columns of numbers and names (``index name``)."""
    words = [_known_as(word) for word in re.split(r"[\s,;:|]+", line)]
    return len(words) == 2 and bool(set(words) & set(INDEX_COLUMNS)) and bool(set(words) & set(NAME_COLUMNS))


def _numbered(names: Sequence[str]) -> IndexedNames:
    """Return names in the order of the numbers in front of or behind them, if there are any, and the ids before them."""
    found = numbering.split(names)
    first = 0 if found is None else min(found.numbers)
    names = names if found is None else [found.names[place] for place in found.order]
    pairs = [match for name in names if (match := _ID_AND_NAME.fullmatch(name))]
    if len(pairs) < len(names):
        return IndexedNames(tuple(names), None, first)
    listed = (
        _numbered([pair[2] for pair in pairs])
        if found is None
        else IndexedNames(tuple(pair[2] for pair in pairs), None, first)
    )
    if listed.names == tuple(pair[2] for pair in pairs):
        return listed._replace(wnids=tuple(pair[1] for pair in pairs))
    raise ValueError("found an id and a number in each line; write a CSV file with the columns index, name and wnid")


def _literal(text: str) -> object:
    """Return what a list or dict in Python's or JSON's notation holds, maybe assigned to a name; None if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # such as of a number that a name follows: it is refused anyway
            return ast.literal_eval(_ASSIGNED.sub("", text, count=1).rstrip("; \n"))
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def _listed(value: object) -> IndexedNames:
    """Return the names of a list or an index map; the key of a known name inside an object comes first."""
    if isinstance(value, dict):
        inside = [value[key] for key in (*KEYS, "names") if isinstance(value.get(key), dict | list | tuple)]
        value = inside[0] if inside else value
    found = names_of(value)
    if isinstance(value, dict):
        return found
    numbers = numbering.split(found.names)
    if numbers is None or found.wnids is not None:
        return found
    if numbers.order != list(range(len(found.names))):
        as_given = numbering.Numbering(tuple(range(len(found.names))), found.names)
        raise ValueError(
            f"found a list whose order is not that of the numbers in it: {numbering.shown(as_given)}, or "
            f"{numbering.shown(numbers)}; write the names in the classifier's order, without the numbers"
        )
    return IndexedNames(numbers.names, None, min(numbers.numbers))


def json_text(text: str) -> IndexedNames:
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
    return _listed(value)


def yaml_text(text: str) -> IndexedNames:
    r"""Return the names of a YAML list, index map (either direction), or mapping that holds one under a known key.

    Scalars are read as text, so that classes may be called ``no`` or ``1e3``.

    Raises
    ------
    ValueError
        It is no YAML, or none of these.

    Examples
    --------
    >>> yaml_text("nc: 2\nnames: [cat, dog]\n").names, yaml_text("names:\n  1: dog\n  0: cat\n").names
    (('cat', 'dog'), ('cat', 'dog'))
    """
    import yaml

    try:
        value = yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))  # noqa: S506 (it makes texts alone)
    except RecursionError:
        raise ValueError("found YAML that is nested too deeply") from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f" in line {line + 1}"
        raise ValueError(
            f"found YAML that is damaged{where} ({getattr(error, 'problem', None) or 'not readable'})"
        ) from None
    return _listed(value)


def table(text: str) -> IndexedNames:
    r"""Return the names, ids and superclasses of a table with named columns; or of one without a header.

    The separator is the tab where the first line has one, else the comma or semicolon that it has more of. Without a header
    there must be a column of WordNet ids or of class numbers, and the names are in the only other one, or behind the ids.

    Raises
    ------
    ValueError
        No column is known; a row is empty, too short or has no name; a quotation mark is not closed; the numbers of the
        classes are not 0 to n - 1 or 1 to n, each once, or two columns of numbers give different orders.

    Examples
    --------
    >>> table("index,name,wnid\n1,dog,n02084071\n0,cat,\n")[:2]
    (('cat', 'dog'), (None, 'n02084071'))
    >>> table("class_id,name\n1,dog\n0,cat\n").names, table("dog,1\ncat,0\n").names
    (('cat', 'dog'), ('cat', 'dog'))
    >>> table("name,superclass\ndog,pet\nrock,\n").superclasses
    ('pet', None)
    """
    columns, numbers = _columns(_rows(text))
    named, wnids = _names_and_ids(columns, numbers)
    superclasses = next((one.cells for one in columns if one.name in SUPERCLASS_COLUMNS and one is not named), None)
    order = _order(columns, named)
    if order is None:
        found = _numbered(named.cells)
        if found.names == tuple(named.cells):
            return found._replace(wnids=found.wnids if wnids is None else tuple(wnids), superclasses=_any(superclasses))
        if wnids is not None or superclasses is not None:
            raise ValueError("found numbers within the names; write them into a column 'index'")
        return found
    rows = list(zip(named.cells, wnids or [None] * len(named.cells), superclasses or [""] * len(named.cells), strict=True))
    names, ids, above = zip(*in_order(order, rows), strict=True)
    return IndexedNames(names, ids if any(ids) else None, min(order), _any(above))


@dataclass(frozen=True, eq=False)
class _Column:
    """A column of a table: its header in lower case (empty without one), its cells, and these as numbers if all are."""

    name: str
    cells: list[str]
    numbers: list[int] | None

    @property
    def is_order(self) -> bool:
        """Whether its numbers can be those of the classes."""
        return self.numbers is not None and numbering.first_of(self.numbers) is not None


def _any(cells: Sequence[str] | None) -> tuple[str | None, ...] | None:
    return tuple(cell or None for cell in cells) if cells is not None and any(cells) else None


def _columns(rows: list[tuple[int, list[str]]]) -> tuple[list[_Column], list[int]]:
    """Return the columns of a table, and the line of each row."""
    header = [_known_as(cell) for cell in rows[0][1]]
    if _ID.fullmatch(header[0]):
        header = [*["wnid", "name"][: len(header)], *[""] * (len(header) - 2)]
    elif _has_no_header(rows):
        header = [""] * len(header)
    else:
        rows = rows[1:]
    if not rows:
        raise ValueError("found a header and no rows")
    known = Counter(name for name in header if name in _KNOWN)
    if known and known.most_common(1)[0][1] > 1:
        raise ValueError(f"found the column {known.most_common(1)[0][0]!a} twice; rename one of the two")
    columns = []
    for at, name in enumerate(header):
        is_short = name not in _KNOWN and any(at >= len(row) for _, row in rows)
        cells = [] if is_short else [_cell(row, line, at) for line, row in rows]
        columns.append(_Column(name, cells, numbering.as_numbers(cells) if cells else None))
    return [one for one in columns if one.cells], [line for line, _ in rows]


_KNOWN = {*NAME_COLUMNS, *ID_COLUMNS, *INDEX_COLUMNS, *SUPERCLASS_COLUMNS}
_BY_LETTERS = {name.replace("_", ""): name for name in sorted(_KNOWN)}


def _known_as(cell: str) -> str:
    """Return a column's name as the tables above have it (``Class ID`` and ``ClassId`` are ``class_id``), else in lower case."""
    return _BY_LETTERS.get(re.sub(r"[\s_.-]+", "", cell.lower()), cell.lower())


def _has_no_header(rows: list[tuple[int, list[str]]]) -> bool:
    """Return whether a table begins with its first class: a column of class numbers has one in the first line, too."""
    width = len(rows[0][1])
    if any(len(row) != width for _, row in rows) or set(map(_known_as, rows[0][1])) & _KNOWN:
        return False
    columns = [numbering.as_numbers([row[at] for _, row in rows]) for at in range(width)]
    return width > 1 and any(one is not None and numbering.first_of(one) is not None for one in columns)


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Return the rows with their line numbers; cells stripped, empty lines at the end left out."""
    first = text.split("\n", 1)[0]
    separator = "\t" if "\t" in first else max(",;", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
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


def _names_and_ids(columns: Sequence[_Column], lines: Sequence[int]) -> tuple[_Column, list[str | None] | None]:
    """Return the column of names, and the id next to each name; None if there are no ids at all.

    The names are in the first column of `NAME_COLUMNS` that holds no numbers, else in the only column that holds text, is not
    known to hold something else, and has no value twice; else in that of ids; else in one of `NAME_COLUMNS` with numbers.
    """
    ids = [one for name in ID_COLUMNS for one in columns if one.name == name and (name != "id" or one.numbers is None)]
    ids += [one for one in columns if not one.name and all(map(_ID.fullmatch, one.cells))]
    by_name = [one for name in NAME_COLUMNS for one in columns if one.name == name]
    texts = [one for one in columns if one.numbers is None and one not in ids]
    is_alone = len(texts) == 1 and len(set(texts[0].cells)) == len(texts[0].cells) and any(one.is_order for one in columns)
    some = [one for one in by_name if one.numbers is None] or (texts if is_alone else []) or ids[:1] or by_name
    if not some:
        raise ValueError(_no_names(columns))
    if "" in some[0].cells:
        raise ValueError(f"found no name in line {lines[some[0].cells.index('')]}")
    wnids = [next((cell for cell in cells if cell), None) for cells in zip(*(one.cells for one in ids), strict=True)]
    return some[0], wnids if any(wnids) else None


def _no_names(columns: Sequence[_Column]) -> str:
    if not any(one.name for one in columns):
        return f"found {len(columns)} columns without a header; write one above them, such as index,name,superclass"
    found = ", ".join(ascii(one.name) for one in columns[:6])
    return f"found the columns {found}, and none named {', '.join(NAME_COLUMNS[:4])}"


def _order(columns: Sequence[_Column], named: _Column) -> list[int] | None:
    """Return the number of the class of each row; None if no column has numbers of classes.

    Columns that are known to number classes come first; any other counts if it is a permutation and no known one is there.
    """
    others = [one for one in columns if one is not named]
    known = [one for one in others if one.name in INDEX_COLUMNS and (one.name != "id" or one.numbers is not None)]
    known += [one for one in others if one.name in NAME_COLUMNS and one.numbers is not None]
    found = [one for one in known if one.is_order] or ([] if known else [one for one in others if one.is_order])
    if not found:
        if known:
            raise ValueError(_no_order(known[0]))
        return None
    first, *rest = (_from_zero(one) for one in found)
    differing = next((one for one, numbers in zip(found[1:], rest, strict=True) if numbers != first), None)
    if differing is not None:
        readings = " or ".join(f"{_shown(one, named)} by the column {one.name!a}" for one in (found[0], differing))
        raise ValueError(f"found two orders of the classes: {readings}; delete one of the two columns")
    return found[0].numbers


def _from_zero(column: _Column) -> list[int]:
    assert column.numbers is not None
    return [number - min(column.numbers) for number in column.numbers]


def _shown(column: _Column, named: _Column) -> str:
    assert column.numbers is not None
    return numbering.shown(numbering.Numbering(tuple(column.numbers), tuple(named.cells)))


def _no_order(column: _Column) -> str:
    """Return why a column that should number the classes does not."""
    if column.numbers is None:
        return f"found the column {column.name!a} of class numbers with values that are no whole numbers"
    return f"{numbering.reason_no_order(column.numbers)} in the column {column.name!a}"
