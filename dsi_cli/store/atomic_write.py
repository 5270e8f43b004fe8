"""Atomic writes: a file is written completely or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from dsi_cli.errors import UsageError
from dsi_cli.store import parquet


def require_suffix(path: str | Path, suffixes: Sequence[str], description: str) -> None:
    """Raise an error unless a file's name has one of the suffixes.

    Parameters
    ----------
    path : the file
    suffixes : the allowed suffixes, in lower case and with the dot
    description : a short sentence about the file, such as "the report is a page"

    Raises
    ------
    UsageError
        The name has another suffix.
    """
    if Path(path).suffix.lower() in suffixes:
        return
    listed = suffixes[0]
    if len(suffixes) > 1:
        listed = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
    raise UsageError(
        f"{description}: expected a name that ends in {listed}, found {str(path)!r}", code="wrong-suffix", path=str(path)
    )


def write_atomically(
    path: Path,
    data: bytes | memoryview,
    scratch: Path | None = None,
    *,
    make_folder: bool = True,
    option: str = parquet.OUTPUT_OPTION,
) -> None:
    """Write a file in one step; an existing file is replaced.

    Parameters
    ----------
    path : the file
    data : its bytes
    scratch : a folder on the same disk for the incomplete file; if None, the incomplete file is hidden next to ``path``
    make_folder : whether to create the file's folder; if not, a missing folder is an error
    option : the option of the command that chooses another path, for the message

    Raises
    ------
    OutputError
        The path may not be written, or the disk is full.
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
        raise parquet.write_error(path, error, option) from None
