"""A file that is written whole or not at all, wherever a person wants it."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from dsi_cli.errors import OutputError
from dsi_cli.store import parquet


def write(path: Path, data: bytes, scratch: Path | None = None) -> None:
    """Write a file in one step; its folder is made, and a file that is there is replaced.

    Parameters
    ----------
    scratch : a folder on the same disk for the file while it is not whole; beside it, hidden, if None

    Raises
    ------
    OutputError
        The place may not be written, or the disk is full.
    """
    part = (scratch or path.parent) / f".{uuid.uuid4().hex}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        parquet.discard(part)
        raise OutputError(parquet.cannot_write(path, error)) from None
