"""Label files: named by the user, or found next to checkpoints.

Files are text in UTF-8, in UTF-16 or UTF-32 with a byte order mark, or in Windows'
Latin-1. The suffix determines the form (`dsi_cli.labels.parsers`): ``.csv`` and
``.tsv`` are tables, ``.json`` is JSON, ``.yaml`` and ``.yml`` are YAML. All other files
have one name per line.

The user's mapping file is a CSV file with a header, which gives the synset of each
class. The columns ``index`` and ``name`` identify the class. One of them is enough; if
both are given, they must agree. The column ``synset`` (or, without it, ``wnid``) is the
synset; an empty cell leaves the class out. Other columns are ignored, and classes that
the file does not contain keep their synsets.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dsi_cli.errors import UsageError, nearest, quoted, suggestion, wrong
from dsi_cli.labels.label_list import LabelList
from dsi_cli.labels.parsers import (
    read_cells,
    read_json,
    read_lines,
    read_table,
    read_yaml,
    require_short,
)
from dsi_cli.labels.presets import PRESETS, find_preset, load_preset, recognise
from dsi_cli.remote.locations import Place
from dsi_cli.store import spreadsheet

LABEL_FILE_NAMES = (
    "classes.txt",
    "labels.txt",
    "class_names.txt",
    "class_to_idx.json",
    "class_indices.json",
    "class_names.json",
    "config.json",
)
"""The names of label files next to checkpoints, in the order of the search;
``config.json`` counts if it has ``id2label``.
"""
# the maximum size of a label file; ImageNet-22k's list has one million bytes
MAX_LABEL_FILE_BYTES = 64 * 2**20
READERS = {
    ".csv": read_table,
    ".tsv": read_table,
    ".json": read_json,
    ".yaml": read_yaml,
    ".yml": read_yaml,
}
"""The parser for each suffix; every other file is read as lines."""
EXPECTED = (
    "a label file: text with one name per line (tench, 0 tench or n01440764 tench);"
    ' .csv or .tsv with a header (index,name); .json with a list, {"tench": 0},'
    ' {"0": "tench"} or id2label; or .yaml with names:'
)
"""The four accepted forms, for the message about any other file."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
EXPECTED_MAPPING = "a mapping (CSV with the columns index or name, and synset or wnid)"
_MAPPING_COLUMNS = ("synset", "wnid")


def read_labels_or_preset(spec: str) -> LabelList:
    """Return the list that an option names: a file if there is one of that path, else a
    preset.

    Raise `UsageError` if no file or preset has this name, or the file cannot be read as
    labels.

    >>> read_labels_or_preset("cifar10").names[-1]
    'truck'
    """
    try:
        path = Path(spec)
        if path.is_file() or (path.exists() and find_preset(spec) is None):
            return read_labels(path)
    except OSError:
        # the system does not accept the text as a path, for example because it has
        # 10,000 characters
        pass
    if find_preset(spec):
        return load_preset(spec)
    similar = suggestion(spec[:100], [preset.name for preset in PRESETS])
    message = (
        "expected a label file or a preset (dsi labels --presets lists them), found"
        f" neither at {quoted(spec, 100)}"
    )
    raise UsageError(message, hint=similar, code="unknown-labels", spec=spec)


def read_labels(path: str | Place) -> LabelList:
    """Return the labels of a file, recognised as a preset if they equal one.

    Raise `UsageError` if the file is missing, a folder, not readable, above 64 MB, not
    text, empty, or damaged; the message names the line.

    Parameters
    ----------
    path : a file in a format of `parsers`: a table (``.csv``, ``.tsv``), ``.json``,
        ``.yaml``, or lines (any other suffix).
    """
    path = Path(path) if isinstance(path, str) else path
    text = read_text(path)
    read = READERS.get(path.suffix.lower(), read_lines)
    try:
        found = read(text)
        _require_class_names(found.names)
    except ValueError as error:
        raise UsageError(
            f"{path}: {error}; expected {EXPECTED}",
            code="label-file",
            where=str(path),
            reason=str(error),
        ) from None
    labels = recognise(found.names, path.name + found.note, found.wnids)
    return replace(labels, superclasses=found.superclasses, path=str(path))


def _require_class_names(names: Sequence[str]) -> None:
    """Raise `ValueError` if a name is too long, or most names are repeated."""
    require_short(names)
    name, times = Counter(names).most_common(1)[0]
    if 2 * len(set(names)) <= len(names):
        raise ValueError(
            f"found the name {name[:40]!a} {times} times; keep one line per class, not"
            " one per image"
        )


def find_label_files(folder: str | Place) -> Iterator[Place]:
    """Yield the label files of `LABEL_FILE_NAMES` in a folder."""
    folder = Path(folder) if isinstance(folder, str) else folder
    for name in LABEL_FILE_NAMES:
        path = folder / name
        if not path.is_file():
            continue
        if name != "config.json" or _has_names(path):
            yield path


def _has_names(config: Place) -> bool:
    """Return True if a Hugging Face ``config.json`` has class names other than
    placeholders such as LABEL_0.
    """
    try:
        text = read_text(config)
        return '"id2label"' in text and bool(read_json(text))
    except (UsageError, ValueError):
        return False


def read_text(path: Place, expected: str = EXPECTED) -> str:
    r"""Return a file's text with ``\n`` as line ends.

    Raise `UsageError` if the file is missing, a folder, not readable, above 64 MB, not
    text, or empty; the message says what was ``expected``.
    """
    data = read_bytes(path, expected)
    text = _decode(data)
    # Control characters, such as NUL or escape, show that the file is not text.
    if text is None or re.search(r"[\x00-\x08\x0b\x0e-\x1f]", text):
        raise wrong(
            path,
            expected,
            "a file that is not text",
            "save it as UTF-8, or name another",
            code="file-not-text",
        )
    if not text.strip():
        raise wrong(
            path,
            expected,
            "an empty file",
            "write the class names into it",
            code="file-empty",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes) -> str | None:
    """Return the text of a file by its byte order mark, in UTF-8 or in Latin-1; None if
    it is none of these.
    """
    encodings = ["utf-8", "cp1252"]
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            encodings = [encoding]
            break
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def read_bytes(path: Place, expected: str) -> bytes:
    """Return a file's bytes; raise `UsageError` if it is missing, a folder, not
    readable, or above 64 MB.
    """
    try:
        if path.is_dir():
            raise wrong(
                path, expected, "a folder", "name a file in it", code="file-is-folder"
            )
        with path.open("rb") as file:
            # stat does not know the size of a pipe
            data = file.read(MAX_LABEL_FILE_BYTES + 1)
    except FileNotFoundError:
        raise wrong(
            path, expected, "no such file", "check the path", code="file-missing"
        ) from None
    except OSError as error:
        message = (
            f"{path}: expected {expected}, but the file could not be read"
            f" ({error.strerror})"
        )
        raise UsageError(
            message,
            code="file-not-readable",
            where=str(path),
            reason=error.strerror,
        ) from None
    if len(data) > MAX_LABEL_FILE_BYTES:
        raise wrong(
            path,
            f"{expected} of at most 64 MB",
            "a larger file",
            "name another",
            code="file-too-large",
        )
    return data


def read_mapping(
    path: str | Path, labels: LabelList
) -> dict[int, tuple[int, dict[str, str]]]:
    """Return for each class in a mapping the line of the file, and its ``synset`` and
    ``wnid`` as written.

    Raise `UsageError` if the file cannot be read, lacks a column, names an unknown
    class, or names a class twice.
    """
    text = read_text(Path(path), EXPECTED_MAPPING)
    try:
        rows = read_cells(text)
    except ValueError as error:
        raise UsageError(
            f"{path}: expected {EXPECTED_MAPPING}, {error}", code="mapping-damaged"
        ) from None
    header = [cell.lower() for cell in rows[0][1]]
    if not {"index", "name"} & set(header) or not set(_MAPPING_COLUMNS) & set(header):
        found = ", ".join(map(ascii, header[:6]))
        raise wrong(
            path,
            EXPECTED_MAPPING,
            f"the columns {found}",
            code="mapping-columns",
            columns=header,
        )
    mapping: dict[int, tuple[int, dict[str, str]]] = {}
    for line, cells in rows[1:]:
        if not any(cells):
            continue
        row = dict.fromkeys(header, "") | dict(zip(header, cells, strict=False))
        senses = {key: row[key] for key in _MAPPING_COLUMNS if key in row}
        where = f"{path}, line {line}"
        for index in _find_classes(row, labels, where):
            if index in mapping:
                name = quoted(labels.names[index])
                message = f"{where}: class {index} ({name}) comes twice"
                raise UsageError(
                    message,
                    hint="delete one line",
                    code="mapping-duplicate",
                    line=line,
                    index=index,
                )
            mapping[index] = (line, senses)
    return mapping


def _find_classes(row: dict[str, str], labels: LabelList, where: str) -> list[int]:
    """Return the classes of a row: one class by its index, or all classes of its
    name.
    """
    name, index = row.get("name", ""), row.get("index", "")
    if not index:
        classes = []
        for number, label in enumerate(labels.names):
            if _is_name(name, label):
                classes.append(number)
        if classes:
            return classes
        similar = nearest(name, labels.names)
        hint = f"the labels are those of {labels.source}"
        if similar:
            hint = f"try {quoted(similar)}"
        raise UsageError(
            f"{where}: there is no class {quoted(name)}; {hint}",
            code="mapping-unknown-class",
            name=name,
            similar=similar,
        )
    number = int(index) if re.fullmatch(r"[0-9]{1,9}", index) else -1
    if not 0 <= number < len(labels.names):
        message = (
            f"{where}: there is no class {index[:20]!a}; the labels are 0 to"
            f" {len(labels.names) - 1}"
        )
        raise UsageError(message, code="mapping-unknown-class", name=index)
    label = labels.names[number]
    if name and not _is_name(name, label):
        message = f"{where}: class {index} is {quoted(label)}, not {quoted(name)}"
        raise UsageError(
            message,
            hint="give the mapping of these labels",
            code="mapping-other-labels",
            index=number,
            name=name,
            label=label,
        )
    return [number]


def _is_name(cell: str, label: str) -> bool:
    """Return True if a cell is a label, perhaps as dsi wrote it for spreadsheets."""
    return cell in (label.strip(), spreadsheet.cell_text(label.strip()))
