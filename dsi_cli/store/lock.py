"""The lock of a results folder: one dsi writes into it at a time."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from dsi_cli.errors import BusyError, OutputError, UsageError
from dsi_cli.store import layout, parquet

_log = logging.getLogger(__name__)

SECOND_TRY = 0.05
"""Seconds for which the lock is tried: the file that was opened first may be that of a process that has just finished."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""Errors of a file system that has no locks: NFS without lockd, Lustre without `-o flock`, some mounts of FUSE."""


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Make the folder and keep other writers out until the block ends, however it ends.

    Raises
    ------
    UsageError
        The place is a file, or a folder of something else.
    BusyError
        Another process writes there.
    OutputError
        The folder cannot be made.
    """
    _require_results_folder(out)
    lock = FileLock(out / ".lock", timeout=SECOND_TRY, poll_interval=SECOND_TRY / 2, fallback_to_soft=False)
    try:
        is_new = not out.exists()
        out.mkdir(parents=True, exist_ok=True)
        _acquire(lock, out)
    except OSError as error:
        raise OutputError(parquet.cannot_write(out, error)) from None
    shutil.rmtree(layout.temporary_folder(out), ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(layout.temporary_folder(out), ignore_errors=True)
        with suppress(OSError):  # Windows does not remove a file that is locked
            (out / ".lock").unlink()
        lock.release()
        if is_new:
            with suppress(OSError):  # it holds something, as it should
                out.rmdir()


def _acquire(lock: FileLock, out: Path) -> None:
    """Acquire the lock of an output, whose file then holds the number of this process; only warn if there are no locks."""
    path = out / ".lock"
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"another dsi ({_holder(path)}) is writing to {out}: wait for it") from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _warn_of_no_locks(out, error.strerror or str(error))
        return
    if not isinstance(lock, SoftFileLock):  # whose file says by itself who holds it
        with suppress(OSError):  # Windows lets nobody write a file that is locked
            path.write_text(f"process {os.getpid()}", encoding="utf-8")


def _holder(path: Path) -> str:
    """Return which process holds a lock, as its file says."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:100].strip() or "unknown process"
    except OSError:
        return "unknown process"


@cache
def _warn_of_no_locks(out: Path, reason: str) -> None:
    """Warn once that nothing keeps other writers out of an output."""
    _log.warning(
        "warning: the file system of %s has no locks (%s): dsi cannot keep a second dsi out; start no other one with this output",
        out,
        reason,
    )


def _require_results_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"the output {out} is a file; -o wants a folder")
    if out.is_dir() and not layout.is_output(out) and not {entry.name for entry in out.iterdir()} <= layout.OUR_NAMES:
        raise UsageError(f"the output folder {out} holds other things; choose an empty or new one with -o")
