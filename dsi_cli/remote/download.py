"""Copies on this machine of what lies behind URLs, for readers that want a path; see `dsi_cli.remote.local_names`."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache as once
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from dsi_cli.errors import NothingToAnalyseError, UsageError
from dsi_cli.remote import local_names, locations, urls
from dsi_cli.remote.filesystem import WORKERS

if TYPE_CHECKING:
    from dsi_cli.remote.remote_path import FileInfo, RemotePath

_SPARE = 256 << 20
"""Bytes of the disk that copies leave free."""


def fetch(url: str, folder: Path) -> Path:
    """Return the path of a copy of what a URL means: a file, a folder with all below it, or a pattern with all that fits.

    What is there already, as large and as old, is not fetched again.

    Raises
    ------
    UsageError
        There is nothing, the disk has no room for it, or the server does not give it.
    """
    try:
        found = locations.matching(url)
    except NothingToAnalyseError as error:
        raise UsageError(str(error)) from None
    if not found:
        raise UsageError(f"no such file or folder: {urls.shown(url)}")
    for one in found:
        try:
            fetch_below(one, local_names.path_of(str(one), folder))
        except OSError as error:
            raise UsageError(f"{one} could not be fetched: {error.strerror or error}") from None
    return local_names.path_of(url, folder)


def localize(text: str, folder: Path) -> str:
    """Return an option's text with a URL in it as the path of a copy, see `fetch`; without one as it is.

    >>> localize("res:brown.csv", Path("/tmp/x"))
    'res:brown.csv'
    """
    found = urls.found_in(text)
    if found is None:
        return urls.local_path(text)
    return f"{text[: found.start()]}{fetch(found[0], folder)}"


def cache() -> Path:
    """Return where data is kept from call to call: in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dsi"


def fetch_below(path: RemotePath, to: Path, wanted: Callable[[str], bool] = lambda _: True) -> dict[str, FileInfo]:
    """Copy a file to a path, or the files below a folder into one, and return these by their way from there.

    Parameters
    ----------
    wanted : whether a file is, by its way from the folder

    Raises
    ------
    OSError
        The server does not give a file, or the disk does not take it.
    UsageError
        The disk has no room.
    """
    files = [(path, path.listed_info())] if path.is_file() else path.files()
    jobs = [(way, one, info) for one, info in files if wanted(way := one.relative_to(path).as_posix())]
    _require_room(sum(info.size for _, _, info in jobs), to)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda job: _fetch(job[1], job[2], to / job[0]), jobs))
    return {way: info for way, _, info in jobs}


def copied(one: RemotePath) -> Path:
    """Return a copy of a small file that lasts as long as this process; `OSError` if the server does not give the file."""
    info = one.listed_info()
    with _one_at_a_time:
        path = local_names.path_of(str(one), _of_process().path)
        _fetch(one, info, path)
    return path


_one_at_a_time = Lock()


class TemporaryFolder:
    """A new, empty folder, removed with this object, at the latest at the end of the process.

    Attributes
    ----------
    path : Path
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="dsi-")).resolve()
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@once
def _of_process() -> TemporaryFolder:
    """Return a folder for copies that is removed at the end of the process."""
    return TemporaryFolder()


def _fetch(one: RemotePath, info: FileInfo, path: Path) -> None:
    if path.is_file() and (path.stat().st_size, path.stat().st_mtime_ns) == info:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(one.read_bytes())
        os.utime(part, ns=(info.modified_ns, info.modified_ns))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _require_room(size: int, to: Path) -> None:
    there = next(folder for folder in (to, *to.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if size + _SPARE > free:
        raise UsageError(f"{size >> 20} MB would be fetched to {there}, which has {free >> 20} MB free: free some space")
