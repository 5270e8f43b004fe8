"""A file that is written whole or not at all, wherever a person wants it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from dsi_cli.errors import OutputError, UsageError
from dsi_cli.store import parquet


def require_suffix(path: str | Path, suffixes: Sequence[str], what: str) -> None:
    """Make sure that a file's name says what the file will hold.

    Parameters
    ----------
    suffixes : those that it may have, in lower case, with the dot
    what : the file in words, such as "the report is a page"

    Raises
    ------
    UsageError
        The name ends in something else.
    """
    if Path(path).suffix.lower() not in suffixes:
        listed = " or ".join([", ".join(suffixes[:-1]), suffixes[-1]]) if len(suffixes) > 1 else suffixes[0]
        raise UsageError(f"{what}: expected a name that ends in {listed}, found {str(path)!r}")


def write_atomically(
    path: Path,
    data: bytes | memoryview,
    scratch: Path | None = None,
    *,
    make_folder: bool = True,
    option: str = parquet.OUTPUT_OPTION,
) -> None:
    """Write a file in one step; a file that is there is replaced.

    Parameters
    ----------
    scratch : a folder on the same disk for the file while it is not whole; beside it, hidden, if None
    make_folder : make the file's folder where it is missing; otherwise that is an error, as with files that a person names
    option : of the command, by which another place is chosen

    Raises
    ------
    OutputError
        The place may not be written, or the disk is full.
    """
    part = (scratch or path.parent) / f".{uuid.uuid4().hex}.part"
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        parquet.discard(part)
        raise OutputError(parquet.cannot_write(path, error, option)) from None
