"""Label files: named by the user, or found next to checkpoints.

Text in UTF-8, in UTF-16 or UTF-32 with a byte order mark, or else in Windows' Latin-1. The suffix decides: ``.csv`` and ``.tsv``
are tables, ``.json`` is JSON, ``.yaml`` and ``.yml`` are YAML, and all other files have a name a line.
"""

from __future__ import annotations

import codecs
from dataclasses import replace
from pathlib import Path

from dsi_cli.errors import UsageError
from dsi_cli.labels import numbering, parsers
from dsi_cli.labels.label_list import LabelList
from dsi_cli.labels.presets import find_preset, hint, load_preset, recognise
from dsi_cli.remote.locations import Place

BESIDE = ("classes.txt", "labels.txt", "class_names.txt", "class_to_idx.json", "config.json")
"""File names that are looked for beside checkpoints, in this order; ``config.json`` only where it has ``id2label``."""

LARGEST = 64 * 2**20
"""Bytes; ImageNet-22k's list has one million."""

READERS = {
    ".csv": parsers.table,
    ".tsv": parsers.table,
    ".json": parsers.json_text,
    ".yaml": parsers.yaml_text,
    ".yml": parsers.yaml_text,
}
"""By suffix; every other file is read as lines."""

EXPECTED = "a label file (a name a line; .csv or .tsv with a column 'name'; .json or .yaml with a list or an index map)"

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read(spec: str) -> LabelList:
    """Return the list that an option names: a file where there is one of that path, else a preset.

    Raises
    ------
    UsageError
        It is neither, or the file cannot be read as labels.

    Examples
    --------
    >>> read("cifar10").names[-1]
    'truck'
    """
    try:
        path = Path(spec)
        if path.is_file() or (path.exists() and find_preset(spec) is None):
            return read_labels(path)
    except OSError:
        pass  # a text that the system takes for no path at all, such as one of 10,000 characters
    if find_preset(spec):
        return load_preset(spec)
    shown = ascii(spec if len(spec) <= 100 else spec[:97] + "...")
    raise UsageError(
        f"expected a label file or a preset (dsi labels --presets lists them), found neither at {shown}{hint(spec[:100])}"
    )


def read_labels(path: str | Place) -> LabelList:
    """Return the labels of a file, recognised as a preset where they are one.

    Parameters
    ----------
    path
        ``.csv`` or ``.tsv``: see ``parsers.table``; ``.json``: see ``parsers.json_text``; ``.yaml``: see ``parsers.yaml_text``;
        any other file: see ``parsers.lines``.

    Raises
    ------
    UsageError
        It is missing, a folder, not readable, above 64 MB, not text, empty, or damaged; the message names the line.
    """
    path = Path(path) if isinstance(path, str) else path
    text, reader = text_of(path), READERS.get(path.suffix.lower(), parsers.lines)
    try:
        found = reader(text)
    except ValueError as error:
        raise UsageError(f"{path}: expected {EXPECTED}, {error}; correct the file, or name another") from None
    source = path.name + numbering.note(found.first, len(found.names))
    return replace(recognise(found.names, source, found.wnids), superclasses=found.superclasses, path=str(path))


def find_beside(folder: str | Place) -> Place | None:
    """Return the label file in a folder, the first of ``BESIDE`` that is there; None where there is none."""
    folder = Path(folder) if isinstance(folder, str) else folder
    for name in BESIDE:
        path = folder / name
        if path.is_file() and (name != "config.json" or _has_names(path)):
            return path
    return None


def _has_names(config: Place) -> bool:
    """Return whether a Hugging Face ``config.json`` has class names (and not only the placeholders LABEL_0 ...)."""
    try:
        text = text_of(config)
        return '"id2label"' in text and bool(parsers.json_text(text))
    except (UsageError, ValueError):
        return False


def text_of(path: Place, expected: str = EXPECTED) -> str:
    """Return a file's text with plain line ends.

    Raises
    ------
    UsageError
        It is not ``expected``: missing, a folder, not readable, above 64 MB, not text, or empty.
    """
    try:
        text = _decoded(bytes_of(path, expected))
    except UnicodeDecodeError:
        raise UsageError(f"{path}: expected {expected}, found no text; save it as UTF-8, or name another") from None
    if not text.strip():
        raise UsageError(f"{path}: expected {expected}, found an empty file; write the class names into it")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def bytes_of(path: Place, expected: str) -> bytes:
    """Return a file's bytes; errors as for `text_of`, but that it may be no text, or empty."""
    try:
        if path.is_dir():
            raise UsageError(f"{path}: expected {expected}, found a folder; name a file in it")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)  # bounded, and no question to stat: it may be a pipe
    except FileNotFoundError:
        raise UsageError(f"{path}: expected {expected}, found nothing there; check the path, or name a preset") from None
    except OSError as error:
        raise UsageError(f"{path}: expected {expected}, which could not be read ({error.strerror})") from None
    if len(data) > LARGEST:
        raise UsageError(f"{path}: expected {expected} of at most 64 MB, found more; name another")
    return data


def _decoded(data: bytes) -> str:
    """Return bytes as text; control characters (a NUL, an escape) mean that it is none, which is a decoding error."""
    marked = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    try:
        text = data.decode(marked or "utf-8")
    except UnicodeDecodeError:
        if marked:
            raise
        text = data.decode("cp1252")
    if any(character < " " and character not in "\t\n\r\f" for character in set(text)):
        raise UnicodeDecodeError("utf-8", data[:1], 0, 1, "control character")
    return text
