"""Atomic writes: a file is written completely or not at all."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from dsi_cli.errors import OutputError, wrong

# the errors of Windows for a file that another program has open
_OPEN_ELSEWHERE = (5, 32)
_PAUSES_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
DISK_FULL = (  # code of the error if the disk, or the user's share of it, is full
    "disk-full"
)
OUTPUT_OPTION = "-o"  # option with which most commands choose the output


def require_suffix(path: str | Path, suffixes: Sequence[str], description: str) -> None:
    """Raise `UsageError` unless a file's name has one of the suffixes, which are in
    lower case and with the dot.

    The message begins with the description, a short sentence about the file such as
    "the report is a page".
    """
    if Path(path).suffix.lower() in suffixes:
        return
    *others, last = suffixes
    listed = f"{', '.join(others)} or {last}" if others else last
    raise wrong(
        description,
        f"a name that ends in {listed}",
        f"{str(path)!r}",
        code="wrong-suffix",
        path=str(path),
    )


@contextmanager
def open_atomically(
    path: Path,
    scratch: Path | None = None,
    *,
    make_folder: bool = True,
    is_durable: bool = True,
    option: str = OUTPUT_OPTION,
) -> Iterator[IO[bytes]]:
    """Open a file that replaces ``path`` in one step when the block ends without an
    error.

    The incomplete file is in ``scratch``, a folder on the same disk, or else hidden
    next to ``path``. A power failure may damage a file that is not durable, but waiting
    for the disk takes longer than writing a matrix. Raise `OutputError` if the path may
    not be written, the disk is full, or the folder is missing and not made
    (`make_folder`). The message names the option of the command that chooses another
    path.
    """
    part = (scratch or path.parent) / f".{uuid.uuid4().hex}.part"
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            yield file
            if is_durable:
                file.flush()
                os.fsync(file.fileno())
        _replace(part, path)
    except OSError as error:
        raise write_error(path, error, option) from None
    finally:
        with suppress(OSError):  # after a success, the file no longer exists
            part.unlink()


def _replace(part: Path, path: Path) -> None:
    """Move a file to its final name; on Windows, wait while another program has the
    earlier file open.
    """
    for pause in _PAUSES_SECONDS:
        try:
            part.replace(path)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _OPEN_ELSEWHERE:
                raise
            time.sleep(pause)
        else:
            return
    part.replace(path)


def write_atomically(
    path: Path,
    data: bytes | memoryview,
    scratch: Path | None = None,
    *,
    make_folder: bool = True,
    option: str = OUTPUT_OPTION,
) -> None:
    """Write the bytes of a file in one step; parameters and errors as in
    `open_atomically`.
    """
    with open_atomically(path, scratch, make_folder=make_folder, option=option) as file:
        file.write(data)


def write_error(path: Path, error: OSError, option: str = OUTPUT_OPTION) -> OutputError:
    """Return the error that says why a path could not be written; ``option`` chooses
    another path.
    """
    reason = str(error.strerror or error)
    hint, code = f"choose another output with {option}", "cannot-write"
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        reason = "the disk is full"
        hint = "free some space and run the same command again to go on"
        code = DISK_FULL
    message = f"{path} could not be written: {reason}"
    return OutputError(message, hint=hint, code=code, path=str(path))
