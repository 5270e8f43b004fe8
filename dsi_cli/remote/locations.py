"""Inputs by their text: a local `pathlib.Path`, or a
`dsi_cli.remote.remote_path.RemotePath` for a URL.

dsi imports fsspec and universal_pathlib with the first URL.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from dsi_cli.errors import UnreachableError, UsageError
from dsi_cli.remote import filesystem, urls

if TYPE_CHECKING:
    from dsi_cli.remote.remote_path import RemotePath

Place: TypeAlias = "Path | RemotePath"


def locate(location: str | os.PathLike[str]) -> Place:
    """Return a local path, or the listed remote path of a URL.

    Raise `UsageError` if the URL's scheme is not known, or its backend is not
    installed, and `UnreachableError` if the server does not respond, or denies access.
    """
    if urls.scheme_of(location) is None:
        return Path(urls.local_path(location))
    return open_url(os.fspath(location))


def open_url(url: str) -> RemotePath:
    """Return the remote path of a URL after listing it recursively again; errors as
    `locate`.
    """
    from dsi_cli.remote import remote_path

    fs, root = filesystem.open_filesystem(url)
    if not root.strip("/"):
        message = (
            f"{urls.without_secrets(url)} has no bucket; expected"
            f" {urls.scheme_of(url)}://BUCKET/PATH"
        )
        raise UsageError(message, code="no-bucket")

    def refresh_listing() -> None:
        fs.invalidate_cache(root)
        for folder in [
            cached for cached in fs.dircache if f"{cached}/".startswith(f"{root}/")
        ]:
            del fs.dircache[folder]
        if not fs.find(
            root
        ):  # `find` also returns nothing if the server does not respond
            with suppress(FileNotFoundError):
                fs.ls(root)

    try:
        filesystem.server_of(fs).send(refresh_listing)
    except FileNotFoundError:
        raise UsageError(
            f"no such file or folder: {urls.without_secrets(url)}", code="no-such-path"
        ) from None
    except OSError as error:
        raise UnreachableError(
            f"{urls.without_secrets(url)} cannot be listed: {error.strerror or error}"
        ) from None
    return remote_path.path_for_url(url.rstrip("/"))


def match_url(url: str) -> list[RemotePath]:
    """Return the remote path of a URL, or all matches of a pattern; empty if nothing
    exists. Errors as `locate`.
    """
    head, scheme_end, rest = url.partition("://")
    fixed = re.split(r"(?<![^/])[^/]*[*?\[]", rest, maxsplit=1)[0]
    if fixed == rest or head.lower() in ("http", "https"):
        path = open_url(url)
        return [path] if path.exists() else []
    top = open_url(f"{head}{scheme_end}{fixed.rstrip('/')}")
    pattern = rest[len(fixed) :].rstrip("/")
    # a name like "run [2]" has precedence
    return list(top.glob(glob.escape(pattern))) or list(top.glob(pattern))


def walk(top: Place) -> Iterator[tuple[Place, list[str], list[str]]]:
    """Yield each folder with the names of its folders and files, top down; the caller
    may change the list of folders.
    """
    if not isinstance(top, Path):
        yield from top.walk()
        return
    seen: set[tuple[int, int]] = set()  # a link back to a folder does not repeat it
    for name, subfolders, files in os.walk(top, followlinks=True):
        folder = Path(name)
        status = None
        with suppress(
            OSError
        ):  # A trainer that keeps only the newest step folders may remove one at any time.
            status = folder.stat()
        if status is None or (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        # Folders come before links to them, so that a run is not named "latest" after a
        # link.
        links = {
            subfolder for subfolder in subfolders if (folder / subfolder).is_symlink()
        }
        subfolders.sort(key=lambda subfolder: (subfolder in links, subfolder))
        yield folder, subfolders, files


class Version(NamedTuple):
    """One revision of a repository."""

    folder: Place  # the folder, or the file, at this revision
    text: str
    """The text that may state the epoch: a commit's title, or the name of a tag or
    branch.
    """
    error: OSError | None = None  # the reason why the revision cannot be read
