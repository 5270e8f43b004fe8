"""The lock of a results folder, so that only one dsi writes to it at a time."""

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

from dsi_cli.errors import BusyError
from dsi_cli.store import atomic_write, layout

_log = logging.getLogger(__name__)

LOCK_TIMEOUT_SECONDS = 0.05
"""The time for which dsi tries to lock, because a process that has just ended can have
removed the file opened first.
"""
_NO_LOCK_ERRORS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""The errors of a file system without locks: NFS without lockd, Lustre without `-o
flock`, some FUSE mounts.
"""


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Create the folder and lock it for other writers until the block ends or raises.

    Raise `UsageError` if the folder belongs to something else, and `BusyError` if
    another process writes to it.
    """
    names = {entry.name for entry in out.iterdir()} if out.is_dir() else set()
    layout.require_usable(out, names, is_file=out.exists() and not out.is_dir())
    path, is_new = out / layout.LOCK, not out.exists()
    lock = FileLock(
        path,
        timeout=LOCK_TIMEOUT_SECONDS,
        poll_interval=LOCK_TIMEOUT_SECONDS / 2,
        fallback_to_soft=False,
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if not isinstance(
            lock, SoftFileLock
        ):  # a soft lock writes its holder to the file itself
            with suppress(OSError):  # Windows does not write a locked file
                path.write_text(f"process {os.getpid()}", encoding="utf-8")
    except Timeout:
        holder = ""
        with suppress(OSError):
            holder = path.read_text(encoding="utf-8", errors="replace")[:100].strip()
        problem = f"another dsi ({holder or 'unknown process'}) is writing to {out}"
        raise BusyError(
            problem, hint="wait for it, or choose another folder with -o"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCK_ERRORS:
            raise atomic_write.write_error(out, error) from None
        _warn_about_missing_locks(out, error.strerror or str(error))
    shutil.rmtree(layout.temporary_folder(out), ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(layout.temporary_folder(out), ignore_errors=True)
        with suppress(OSError):  # Windows does not remove a locked file
            path.unlink()
        lock.release()
        if is_new:
            with suppress(OSError):  # the folder is usually not empty
                out.rmdir()


@cache
def _warn_about_missing_locks(out: Path, reason: str) -> None:
    _log.warning(
        "warning: the file system of %s has no locks (%s), so start no second dsi with"
        " this output",
        out,
        reason,
    )
