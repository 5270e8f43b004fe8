"""The user's mapping file: the synset of each class, as CSV with a header.

The columns ``index`` and ``name`` identify the class. One of them is enough; if both are given, they must agree. The column
``synset`` (or, without it, ``wnid``) is the synset; an empty cell leaves the class out. Other columns are ignored, and classes
that the file does not contain keep their synsets. Mistakes are a `UsageError` that names the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dsi_cli.errors import UsageError, nearest
from dsi_cli.labels.files import read_text
from dsi_cli.labels.label_list import LabelList
from dsi_cli.labels.parsers import read_cells

EXPECTED = "a mapping (CSV with the columns index or name, and synset or wnid)"
KEYS = ("synset", "wnid")


def read_mapping(path: str | Path, labels: LabelList) -> dict[int, tuple[int, dict[str, str]]]:
    """Return for each class in a mapping the line of the file, and its ``synset`` and ``wnid`` as written.

    Raises
    ------
    UsageError
        The file cannot be read, lacks a column, names an unknown class, or names a class twice.
    """
    mapping: dict[int, tuple[int, dict[str, str]]] = {}
    for line, row in _read_rows(Path(path)):
        where = f"{path}, line {line}"
        for index in _find_classes(row, labels, where):
            if index in mapping:
                message = f"{where}: class {index} ({_quote(labels.names[index])}) comes twice; delete one line"
                raise UsageError(message, code="mapping-duplicate", line=line, index=index)
            mapping[index] = line, {key: row[key] for key in KEYS if key in row}
    return mapping


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows that are not empty, with their line numbers; cells are stripped, column names in lower case."""
    text = read_text(path, EXPECTED)
    try:
        rows = read_cells(text, max(",;\t", key=text.split("\n", 1)[0].count))
    except ValueError as error:
        raise UsageError(f"{path}: expected {EXPECTED}, {error}", code="mapping-damaged") from None
    header = [cell.lower() for cell in rows[0][1]]
    if not {"index", "name"} & set(header) or not set(KEYS) & set(header):
        message = f"{path}: expected {EXPECTED}, found the columns {', '.join(map(ascii, header[:6]))}"
        raise UsageError(message, code="mapping-columns", columns=header)
    for line, cells in rows[1:]:
        if any(cells):
            yield line, dict(zip(header, [*cells, *[""] * len(header)], strict=False))


def _find_classes(row: dict[str, str], labels: LabelList, where: str) -> list[int]:
    """Return the classes of a row: one class by its index, or all classes of its name."""
    name, index = row.get("name", ""), row.get("index", "")
    if index:
        if not (index.isascii() and index.isdecimal() and int(index[:9]) < len(labels.names)):
            message = f"{where}: there is no class {index[:20]!a}; the labels are 0 to {len(labels.names) - 1}"
            raise UsageError(message, code="mapping-unknown-class", name=index)
        label = labels.names[int(index)]
        if name and name != label.strip():
            raise UsageError(
                f"{where}: class {index} is {_quote(label)}, not {_quote(name)}; give the mapping of these labels",
                code="mapping-other-labels",
                index=int(index),
                name=name,
                label=label,
            )
        return [int(index)]
    classes = [k for k, label in enumerate(labels.names) if label.strip() == name]
    if not classes:
        similar = nearest(name, labels.names)
        hint = f"; try {_quote(similar)}" if similar else f"; the labels are those of {labels.source}"
        message = f"{where}: there is no class {_quote(name)}{hint}"
        raise UsageError(message, code="mapping-unknown-class", name=name, similar=similar)
    return classes


def _quote(name: str) -> str:
    return ascii(name if len(name) <= 60 else f"{name[:57]}...")
