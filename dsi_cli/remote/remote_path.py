"""Remote files and folders: paths of universal_pathlib, with errors and texts that dsi
can print.

The cache of listings in fsspec's file system has the names, sizes and times of files,
so that a search for a file needs no request. `dsi_cli.remote.locations.open_url` fills
it. A folder above is listed when dsi first looks there.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import IO, Any, NamedTuple, TypeVar

from fsspec.utils import glob_translate
from upath import UPath
from upath.extensions import ProxyUPath
from upath.registry import available_implementations, register_implementation

from dsi_cli.remote import filesystem, urls

Result = TypeVar("Result")
_TIME_FIELDS = ("LastModified", "mtime", "updated", "created", "last_modified")
_TAG_FIELDS = ("ETag", "etag", "generation", "md5Hash", "blob_id", "sha256", "checksum")
_NANO = 10**9
_LISTING_SCHEMES = ("s3", "gs")
"""The schemes whose file systems use a cached listing of a folder, but do not request
the listing themselves.
"""
_REFRESH = {"s3": {"refresh": True}, "hf": {"refresh": True, "expand_info": True}}
"""By scheme, the options with which a file system requests the information about one
file again.
"""
# the commit in a path of the Hugging Face Hub, whose files never change
_COMMIT = re.compile(r"@[0-9a-f]{40}(/|$)")


class FileInfo(NamedTuple):
    """The size and time of a file on a server."""

    size: int
    modified_ns: int
    """The time of the last change in nanoseconds since 1970.

    If the server has a tag of the contents, the tag replaces the fractions of a second.
    Two changes in one second are therefore different. If the server has no time, the
    number depends only on the tag.
    """


class RemotePath(ProxyUPath):  # type: ignore[misc]
    """A path of universal_pathlib whose errors are `OSError` with one line, and whose
    text is the URL without secrets.
    """

    def __str__(self) -> str:
        """Return the URL."""
        return urls.without_secrets(super().__str__())

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return path_for_url, (super().__str__(),)

    @property
    def parent(self) -> RemotePath:
        """The folder above; for a repository of the Hugging Face Hub the path
        itself.
        """
        folder: RemotePath = super().parent
        is_above_repository = "/" not in folder.path.removeprefix(
            "datasets/"
        ).removeprefix("spaces/")
        return self if self.protocol == "hf" and is_above_repository else folder

    def _send(
        self, request: Callable[[], Result], listing: str | None = None
    ) -> Result:
        """Return the result of a call of the file system, which may use the listing of
        a folder; errors as `Server.send`.
        """
        return filesystem.server_of(self.fs).send(
            request, is_cached=listing in self.fs.dircache
        )

    def is_relative_to(self, folder: object, /) -> bool:
        """Return whether this path is the folder or is inside it."""
        if not isinstance(folder, RemotePath) or folder.protocol != self.protocol:
            return False
        return f"{self.path}/".startswith(f"{folder.path.rstrip('/')}/")

    def relative_to(self, folder: object, /) -> PurePosixPath:
        """Return the path relative to a folder that contains it."""
        if not isinstance(folder, RemotePath) or not self.is_relative_to(folder):
            raise ValueError(f"{self} is not inside {folder}")
        return PurePosixPath(self.path[len(folder.path) :].lstrip("/"))

    def _entry(self) -> dict[str, Any]:
        """Return the entry in the folder's listing; raise `OSError` if it has no such
        entry, or the server does not respond.
        """
        folder = self.parent.path.rstrip("/")
        if self.protocol in _LISTING_SCHEMES and folder not in self.fs.dircache:
            try:
                self._send(lambda: self.fs.ls(folder, detail=True))
            except (
                PermissionError,
                FileNotFoundError,
            ):  # dsi cannot use a folder that may not be listed
                self.fs.dircache[folder] = []
        return self._send(lambda: dict(self.fs.info(self.path)), folder)

    def listed_info(self) -> FileInfo:
        """Return size and time according to the listing; raise `OSError` if it has no
        such file, or the server does not respond.
        """
        entry = self._entry()
        if entry["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        return _info(entry)

    def tag(self) -> str | None:
        """Return the server's tag of the contents according to the listing, or None
        without one; errors as `listed_info`.
        """
        return _tag(self._entry())

    def info_now(self) -> FileInfo | None:
        """Return the current size and time, or None if the file does not exist; raise
        `OSError` if the server does not respond.
        """
        if self.protocol == "hf" and _COMMIT.search(self.path):
            return self.listed_info()
        refresh = _REFRESH.get(self.protocol, {})
        if not refresh:
            self.fs.invalidate_cache(self.parent.path)
        try:
            return _info(self._send(lambda: dict(self.fs.info(self.path, **refresh))))
        except FileNotFoundError:
            return None

    def is_file(self) -> bool:
        """Return whether the path is a file."""
        return self._kind() == "file"

    def is_dir(self) -> bool:
        """Return whether the path is a folder."""
        return self._kind() == "directory"

    def _kind(self) -> str | None:
        try:
            return str(self._entry()["type"])
        except OSError:
            return None

    def exists(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002 (there are no links)
        """Return whether the path is a file or a folder."""
        return self._kind() is not None

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:  # noqa: ARG002
        """Return kind, size and time; raise `OSError` if nothing exists, or the server
        does not respond.
        """
        entry = self._entry()
        is_file = entry["type"] == "file"
        size, time = _info(entry) if is_file else FileInfo(0, 0)
        mode = (stat.S_IFREG if is_file else stat.S_IFDIR) | 0o644
        return os.stat_result(
            (mode, 0, 0, 0, 0, 0, size, 0, time // _NANO, 0), {"st_mtime_ns": time}
        )

    def _entries(self) -> dict[str, str]:
        """Return the type of each member of the folder, by its name; empty if the
        folder does not exist.
        """
        folder = self.path.rstrip("/")
        try:
            entries = self._send(lambda: self.fs.ls(self.path, detail=True), folder)
        except FileNotFoundError:
            return {}
        types = {entry["name"].rstrip("/"): entry["type"] for entry in entries}
        types.pop(folder, None)  # some servers list an object with the folder's name
        return {name.rpartition("/")[2]: types[name] for name in sorted(types)}

    def iterdir(self) -> Iterator[RemotePath]:
        """Yield the members of the folder, sorted."""
        return (self / name for name in self._entries())

    def walk(self) -> Iterator[tuple[RemotePath, list[str], list[str]]]:
        """Yield each folder with the names of its folders and files, top down; the
        caller may change the list of folders.
        """
        types = self._entries()
        folders = [name for name, kind in types.items() if kind != "file"]
        yield self, folders, [name for name, kind in types.items() if kind == "file"]
        for name in folders:
            yield from (self / name).walk()

    def files(self) -> Iterator[RemotePath]:
        """Yield all files in the folder and its subfolders."""
        for folder, _, names in self.walk():
            for name in names:
                yield folder / name

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Yield the files and folders that match, sorted; ``**`` matches any number of
        folders.
        """
        expression = re.compile(glob_translate(pattern))
        for folder, folders, files in self.walk():
            for name in [*files, *folders]:
                path = folder / name
                if expression.match(path.relative_to(self).as_posix()):
                    yield path
            if "/" not in pattern and "**" not in pattern:
                return

    def range(self, begin: int, end: int) -> bytes:
        """Return a range of the current file; raise `OSError` if the server does not
        send it.
        """
        # By default, HfFileSystem reads 5 MB more than it is asked for.
        exact = {"cache_type": "none"} if self.protocol == "hf" else {}
        return self._send(
            lambda: bytes(self.fs.cat_file(self.path, start=begin, end=end, **exact))
        )

    def read_bytes(self) -> bytes:
        """Return the whole file; raise `OSError` if the server does not send it."""
        return self._send(lambda: bytes(self.fs.cat_file(self.path)))

    def open(
        self,
        mode: str = "r",
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Return a file object of the whole file, which is read at once; use this only
        for small files.
        """
        data = io.BytesIO(self.read_bytes())
        if "b" in mode:
            return data
        return io.TextIOWrapper(data, encoding, errors, newline)


class _OtherPath(UPath):  # type: ignore[misc]
    """A path of a file system that universal_pathlib does not know."""


def path_for_url(url: str) -> RemotePath:
    """Return the path of a URL."""
    scheme = urls.scheme_of(url) or ""
    if scheme not in available_implementations():
        register_implementation(scheme, _OtherPath)
    return RemotePath(url, **filesystem.options_of(scheme))


def _info(entry: dict[str, Any]) -> FileInfo:
    """Return size and time of a file from its entry in a listing."""
    size = int(entry.get("size") or 0)
    nanoseconds = int(_seconds(entry) * _NANO)
    tag = _tag(entry)
    if tag is not None:
        whole_seconds = nanoseconds - nanoseconds % _NANO
        nanoseconds = whole_seconds + zlib.crc32(tag.encode()) % _NANO
    return FileInfo(size, nanoseconds)


def _seconds(entry: dict[str, Any]) -> float:
    """Return the time in an entry in seconds since 1970; 0 without a time."""
    times = [entry[name] for name in _TIME_FIELDS if entry.get(name)]
    time = times[0] if times else 0.0
    if isinstance(time, str):
        with suppress(ValueError):
            time = datetime.fromisoformat(time)
    if isinstance(time, datetime):
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        return time.timestamp()
    if isinstance(time, int | float):
        return float(time)
    return 0.0


def _tag(entry: dict[str, Any]) -> str | None:
    """Return the server's tag of the contents in an entry."""
    for name in _TAG_FIELDS:
        if entry.get(name):
            return str(entry[name]).strip('"')
    return None
