"""Where something lies: a `pathlib.Path` on this machine, or a `dsi_cli.remote.remote_path.RemotePath` behind a URL.

fsspec and universal_pathlib are imported with the first URL.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from dsi_cli.errors import UnreachableError, UsageError
from dsi_cli.remote import filesystem, urls

if TYPE_CHECKING:
    from dsi_cli.remote.remote_path import RemotePath

Place: TypeAlias = "Path | RemotePath"


def place(given: str | os.PathLike[str]) -> Place:
    """Return a path, or the place behind a URL, which is listed.

    Raises
    ------
    UsageError
        The URL's kind is not known, or its backend is not installed.
    UnreachableError
        The server does not answer, or denies access.
    """
    scheme = urls.scheme_of(given)
    return Path(urls.local_path(given)) if scheme is None else listed(os.fspath(given))


def listed(url: str) -> RemotePath:
    """Return the place behind a URL, listed again to any depth; errors as `place`."""
    from dsi_cli.remote import remote_path

    fs, root = filesystem.opened(url)
    if not root.strip("/"):
        raise UsageError(f"{urls.shown(url)} names no bucket: expected {urls.scheme_of(url)}://BUCKET/PATH")

    def find() -> None:
        fs.invalidate_cache(root)
        for folder in [one for one in fs.dircache if f"{one}/".startswith(f"{root}/")]:
            del fs.dircache[folder]
        fs.find(root)

    try:
        filesystem.server_of(fs).ask(find)
    except FileNotFoundError:
        raise UsageError(f"no such file or folder: {urls.shown(url)}") from None
    except OSError as error:
        raise UnreachableError(f"{urls.shown(url)} cannot be listed: {error.strerror or error}") from None
    return remote_path.of_url(url.rstrip("/"))


def matching(url: str) -> list[RemotePath]:
    """Return the places that a URL means: itself, or those that fit if it is a pattern; empty if there are none.

    Errors as `place`.
    """
    head, scheme_end, rest = url.partition("://")
    fixed = re.split(r"[^/]*[*?\[]", rest, maxsplit=1)[0]
    if fixed == rest or head.lower() in ("http", "https"):
        found = listed(url)
        return [found] if found.exists() else []
    top = listed(f"{head}{scheme_end}{fixed.rstrip('/')}")
    return list(top.glob(rest[len(fixed) :]))
