"""Label files: named by the user, or found next to checkpoints.

Files are text in UTF-8, in UTF-16 or UTF-32 with a byte order mark, or in Windows'
Latin-1. The suffix determines the format: ``.csv`` and ``.tsv`` are tables, ``.json``
is JSON, ``.yaml`` and ``.yml`` are YAML. All other files have one name per line.

The user's mapping file is a CSV file with a header, which gives the synset of each
class. The columns ``index`` and ``name`` identify the class. One of them is enough; if
both are given, they must agree. The column ``synset`` (or, without it, ``wnid``) is the
synset; an empty cell leaves the class out. Other columns are ignored, and classes that
the file does not contain keep their synsets.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dsi_cli.errors import UsageError, nearest, quoted, suggestion
from dsi_cli.labels import numbering
from dsi_cli.labels.label_list import LabelList
from dsi_cli.labels.parsers import (
    read_cells,
    read_json,
    read_lines,
    read_table,
    read_yaml,
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
MAX_NAME_LENGTH = 1000  # the maximum number of characters of a class name
READERS = {
    ".csv": read_table,
    ".tsv": read_table,
    ".json": read_json,
    ".yaml": read_yaml,
    ".yml": read_yaml,
}
"""The parser for each suffix; every other file is read as lines."""
EXPECTED = (
    "a label file (one name per line; .csv or .tsv with a column 'name'; .json or .yaml"
    " with a list or an index map)"
)

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
    found = (
        "found neither at"
        f" {quoted(spec, 100)}{suggestion(spec[:100], [preset.name for preset in PRESETS])}"
    )
    message = (
        f"expected a label file or a preset (dsi labels --presets lists them), {found}"
    )
    raise UsageError(message, code="unknown-labels", spec=spec)


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
    text, reader = read_text(path), READERS.get(path.suffix.lower(), read_lines)
    try:
        names = reader(text)
        name, times = Counter(names.names).most_common(1)[0]
        longest = max(names.names, key=len)
        if len(longest) > MAX_NAME_LENGTH:
            raise ValueError(
                f"found a name of {len(longest)} characters ({longest[:40]!a}...);"
                " shorten it"
            )
        if 2 * len({*names.names}) <= len(names.names):
            raise ValueError(
                f"found the name {name[:40]!a} {times} times; keep one line per class,"
                " not one per image"
            )
    except ValueError as error:
        raise UsageError(
            f"{path}: {error}; expected {EXPECTED}",
            code="label-file",
            reason=str(error),
        ) from None
    source = path.name + numbering.numbering_note(names.first, len(names.names))
    return replace(
        recognise(names.names, source, names.wnids),
        superclasses=names.superclasses,
        path=str(path),
    )


def find_label_files(folder: str | Place) -> Iterator[Place]:
    """Yield the label files of `LABEL_FILE_NAMES` in a folder."""
    folder = Path(folder) if isinstance(folder, str) else folder
    for name in LABEL_FILE_NAMES:
        path = folder / name
        if path.is_file() and (name != "config.json" or _has_names(path)):
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
    encoding = next(
        (encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8"
    )
    text = None
    for name in (encoding, "cp1252") if encoding == "utf-8" else (encoding,):
        with suppress(UnicodeDecodeError):
            text = data.decode(name)
            break
    # Control characters, such as NUL or escape, show that the file is not text.
    if text is None or any(
        character < " " and character not in "\t\n\r\f" for character in set(text)
    ):
        message = f"{path}: expected {expected}, found a file that is not text"
        raise UsageError(
            message, hint="save it as UTF-8, or name another", code="file-not-text"
        )
    if not text.strip():
        message = f"{path}: expected {expected}, found an empty file"
        raise UsageError(
            message, hint="write the class names into it", code="file-empty"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: Place, expected: str) -> bytes:
    """Return a file's bytes; raise `UsageError` if it is missing, a folder, not
    readable, or above 64 MB.
    """
    try:
        if path.is_dir():
            raise UsageError(
                f"{path}: expected {expected}, found a folder",
                hint="name a file in it",
                code="file-is-folder",
            )
        with path.open("rb") as file:
            # stat does not know the size of a pipe
            data = file.read(MAX_LABEL_FILE_BYTES + 1)
    except FileNotFoundError:
        message = f"{path}: expected {expected}, found no such file"
        raise UsageError(message, hint="check the path", code="file-missing") from None
    except OSError as error:
        message = (
            f"{path}: expected {expected}, but the file could not be read"
            f" ({error.strerror})"
        )
        raise UsageError(
            message, code="file-not-readable", reason=error.strerror
        ) from None
    if len(data) > MAX_LABEL_FILE_BYTES:
        message = f"{path}: expected {expected} of at most 64 MB, found a larger file"
        raise UsageError(message, hint="name another", code="file-too-large")
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
        message = (
            f"{path}: expected {EXPECTED_MAPPING}, found the columns"
            f" {', '.join(map(ascii, header[:6]))}"
        )
        raise UsageError(message, code="mapping-columns", columns=header)
    mapping: dict[int, tuple[int, dict[str, str]]] = {}
    for line, cells in rows[1:]:
        if not any(cells):
            continue
        row = dict(zip(header, [*cells, *[""] * len(header)], strict=False))
        where = f"{path}, line {line}"
        for index in _find_classes(row, labels, where):
            if index in mapping:
                message = (
                    f"{where}: class {index} ({quoted(labels.names[index])}) comes"
                    " twice"
                )
                raise UsageError(
                    message,
                    hint="delete one line",
                    code="mapping-duplicate",
                    line=line,
                    index=index,
                )
            mapping[index] = (
                line,
                {key: row[key] for key in _MAPPING_COLUMNS if key in row},
            )
    return mapping


def _find_classes(row: dict[str, str], labels: LabelList, where: str) -> list[int]:
    """Return the classes of a row: one class by its index, or all classes of its
    name.
    """
    name, index = row.get("name", ""), row.get("index", "")
    if index:
        if not (
            index.isascii() and index.isdecimal() and int(index[:9]) < len(labels.names)
        ):
            message = (
                f"{where}: there is no class {index[:20]!a}; the labels are 0 to"
                f" {len(labels.names) - 1}"
            )
            raise UsageError(message, code="mapping-unknown-class", name=index)
        label = labels.names[int(index)]
        if name and name not in (label.strip(), spreadsheet.cell_text(label.strip())):
            message = f"{where}: class {index} is {quoted(label)}, not {quoted(name)}"
            raise UsageError(
                message,
                hint="give the mapping of these labels",
                code="mapping-other-labels",
                index=int(index),
                name=name,
                label=label,
            )
        return [int(index)]
    classes = [
        k
        for k, label in enumerate(labels.names)
        if name in (label.strip(), spreadsheet.cell_text(label.strip()))
    ]
    if not classes:
        similar = nearest(name, labels.names)
        hint = (
            f"; try {quoted(similar)}"
            if similar
            else f"; the labels are those of {labels.source}"
        )
        message = f"{where}: there is no class {quoted(name)}{hint}"
        raise UsageError(
            message, code="mapping-unknown-class", name=name, similar=similar
        )
    return classes
