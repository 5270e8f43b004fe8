"""Local copies of remote files, for readers that need a path; see
`dsi_cli.remote.urls`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dsi_cli.errors import NothingToAnalyseError, OutputError, UsageError
from dsi_cli.remote import locations, urls
from dsi_cli.remote.filesystem import WORKERS

if TYPE_CHECKING:
    from dsi_cli.remote.remote_path import RemotePath

_RESERVED_BYTES = 256 << 20  # disk space that copies leave free


def fetch(
    url: str, folder: Path, is_selected: Callable[[str], bool] = lambda _: True
) -> Path:
    """Download a file, a folder with its selected files, or all matches of a pattern;
    return the local path.

    `is_selected` takes the path of a file in the folder. A file is not downloaded again
    if the local copy has the same size and time.

    Raise `UsageError` if nothing matches the URL, the disk has too little space, or the
    server refuses the download.
    """
    shown = urls.without_secrets(url)
    try:
        paths = locations.match_url(url)
    except NothingToAnalyseError as error:
        raise UsageError(str(error), code="unreachable") from None
    if not paths:
        raise UsageError(f"no such file or folder: {shown}", code="no-such-path")
    try:
        files: list[RemotePath] = []
        for path in paths:
            if path.is_file():
                files.append(path)
                continue
            for file in path.files():
                name = file.relative_to(path).as_posix()
                files += [file] if is_selected(name) else []
        _require_space(sum(file.listed_info().size for file in files), folder)
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda file: _download(file, folder), files))
    except OSError as error:
        raise UsageError(
            f"{shown} could not be downloaded: {error.strerror or error}",
            code="download-failed",
        ) from None
    return urls.copy_path(url, folder)


def fetch_results(
    url: str, folder: Path, is_needed: Callable[[str], bool] = lambda _: True
) -> Path:
    """Download the needed files of a results folder; return the local path.

    `is_needed` takes the relative path of a file. Raise `UsageError` if the folder does
    not exist, and `OutputError` if the server does not send it.
    """
    try:
        return fetch(url, folder, is_needed)
    except UsageError as error:
        if error.code not in ("unreachable", "download-failed"):
            raise
        raise OutputError(str(error), code=error.code) from None


def localize(text: str, folder: Path) -> str:
    """Return an option's text in which the path of a local copy (see `fetch`) replaces
    a URL.

    >>> localize("res:brown.csv", Path("/tmp/x"))
    'res:brown.csv'
    """
    match = urls.find_url(text)
    if match:
        return f"{text[: match.start()]}{fetch(match[0], folder)}"
    return urls.local_path(text)


def cache_folder() -> Path:
    """Return the folder in the user's cache where dsi keeps data between calls."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dsi"


def local_file(file: locations.Place) -> Path:
    """Return the path of a small file, or of its copy until the process ends; raise
    `OSError` if it is not sent.
    """
    if isinstance(file, Path):
        return file
    return _download(file, copies_folder())


class TemporaryFolder:
    """A new, empty folder (``path``) that is removed together with this object, or at
    the end of the process.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=urls.COPIES)).resolve()
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


_process_folder = cache(TemporaryFolder)


def copies_folder() -> Path:
    """Return the folder of copies that stay until the process ends."""
    return _process_folder().path


def _require_space(size: int, folder: Path) -> None:
    """Raise `UsageError` if the disk of a folder has too little space for new files."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if size + _RESERVED_BYTES > free:
        message = (
            f"{size >> 20} MB would be downloaded to {existing}, which has {free >> 20}"
            " MB free"
        )
        raise UsageError(message, hint="free some space", code="disk-full")


def _download(file: RemotePath, folder: Path) -> Path:
    """Return the copy of a file in a folder, after downloading it if it has changed."""
    info = file.listed_info()
    path = urls.copy_path(str(file), folder)
    if path.is_file() and (path.stat().st_size, path.stat().st_mtime_ns) == info:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(file.read_bytes())
        os.utime(part, ns=(info.modified_ns, info.modified_ns))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
