"""Copies on this machine of what lies behind URLs, for readers that want a path.

A copy keeps the URL's names below a folder: ``s3://lab/runs/a`` is ``FOLDER/s3/lab/runs/a``. So names mean the same, and a message
about a copy can be told in the URL's words.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from dsi_cli.errors import DsiError, NothingToAnalyseError, UsageError
from dsi_cli.remote import places, urls
from dsi_cli.remote.connecting import WORKERS
from dsi_cli.remote.places import Info, RemotePath

_URL = re.compile(r"[a-z][a-z0-9+.-]+://.*", re.IGNORECASE)
_folders: list[Path] = []
"""Of copies, for as long as these are there."""
_SPARE = 256 << 20
"""Bytes of the disk that copies leave free."""


def path_of(url: str, folder: Path) -> Path:
    """Return where the copy of a URL lies below a folder."""
    scheme, _, rest = urls.shown(url).partition("://")
    return folder.joinpath(scheme.lower(), *(part for part in rest.split("/") if part not in ("", ".", "..")))


def told(text: str, folder: Path) -> str:
    """Return a text in which the copies below a folder go by their URLs.

    >>> told("no labels in /tmp/x/s3/lab/classes.txt", Path("/tmp/x"))
    'no labels in s3://lab/classes.txt'
    """
    before, found, rest = text.partition(f"{folder}/")
    if not found:
        return text
    scheme, slash, rest = rest.partition("/")
    return f"{before}{scheme}{'://' if slash else ''}{told(rest, folder)}"


def fetch(url: str, folder: Path) -> Path:
    """Return the path of a copy of what a URL means: a file, a folder with all below it, or a pattern with all that fits.

    What is there already, as large and as old, is not fetched again.

    Raises
    ------
    UsageError
        There is nothing, the disk has no room for it, or the server does not give it.
    """
    try:
        found = places.matching(url)
    except NothingToAnalyseError as error:
        raise UsageError(str(error)) from None
    if not found:
        raise UsageError(f"no such file or folder: {urls.shown(url)}")
    for one in found:
        try:
            fetch_below(one, path_of(str(one), folder))
        except OSError as error:
            raise UsageError(f"{one} could not be fetched: {error.strerror or error}") from None
    return path_of(url, folder)


def here(text: str, folder: Path) -> str:
    """Return an option's text with a URL in it as the path of a copy, see `fetch`; without one as it is.

    >>> here("res:brown.csv", Path("/tmp/x"))
    'res:brown.csv'
    """
    found = _URL.search(text)
    if found is None or urls.scheme_of(found[0]) is None:
        return urls.local_path(text)
    return f"{text[: found.start()]}{fetch(found[0], folder)}"


def cache() -> Path:
    """Return where data is kept from call to call: in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dsi"


@contextmanager
def telling(folder: Path) -> Iterator[None]:
    """Tell errors of ours in the words of the URLs; `address` knows the folder meanwhile."""
    _folders.append(folder)
    try:
        yield
    except DsiError as error:
        error.args = (told(str(error), folder),)
        raise
    finally:
        _folders.remove(folder)


def address(path: Path) -> str:
    """Return what a path is known by from call to call: the URL of a copy, the path itself of anything else."""
    text = str(path.resolve())
    for folder in _folders:
        text = told(text, folder.resolve())
    return text


def fetch_below(place: RemotePath, to: Path, wanted: Callable[[str], bool] = lambda _: True) -> dict[str, Info]:
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
    files = [place] if place.is_file() else [one for one in place.glob("**/*") if one.is_file()]
    ways = {one: one.relative_to(place).as_posix() for one in files}
    jobs = {one: info for one in files if wanted(ways[one]) and (info := one.info) is not None}
    _require_room(sum(info.size for info in jobs.values()), to)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda one: _fetch(one, jobs[one], to / ways[one]), jobs))
    return {ways[one]: info for one, info in jobs.items()}


def _fetch(one: RemotePath, info: Info, path: Path) -> None:
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
