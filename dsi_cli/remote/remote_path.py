"""A file or folder behind a URL: universal_pathlib's path, with errors and a text that dsi can print.

The listings cache of fsspec's file system says what is there, how large it is and when it changed, so that looking for a file
costs no request; `dsi_cli.remote.locations.listed` fills it. A folder above is listed when dsi first looks there.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import IO, Any, NamedTuple, TypeVar

from fsspec.utils import glob_translate
from upath import UPath
from upath.extensions import ProxyUPath
from upath.registry import available_implementations, register_implementation

from dsi_cli.remote import filesystem, urls

Result = TypeVar("Result")
_TIMES = ("LastModified", "mtime", "updated", "created", "last_modified")
_TAGS = ("ETag", "etag", "generation", "md5Hash", "blob_id", "sha256", "checksum")
_NANO = 10**9
_LOOKED_UP = ("s3", "gs")
"""Schemes whose file systems look a file up in the listing of its folder, but do not ask for the listing by themselves."""

_REFRESHED = ("s3", "hf")
"""Schemes whose file systems can be told to ask the server again for one file."""


class FileInfo(NamedTuple):
    """What a server says of a file."""

    size: int
    modified_ns: int
    """Nanoseconds since 1970. If the server has a tag of the contents, the tag replaces the fractions of a second, so that a
    file that changes twice in a second differs as well. Without a time, the tag is all there is."""


class RemotePath(ProxyUPath):  # type: ignore[misc]
    """A path of universal_pathlib: its errors are an `OSError` of one line each, and its text is the URL without secrets."""

    def __str__(self) -> str:
        """Return the URL."""
        return urls.shown(super().__str__())

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return of_url, (super().__str__(),)

    def _ask(self, request: Callable[[], Result], listing: str | None = None) -> Result:
        """Return what a call of the file system gives, if need be from a folder's listing; errors as `connecting.Server.ask`."""
        return filesystem.server_of(self.fs).ask(request, is_cached=listing in self.fs.dircache)

    def is_relative_to(self, folder: object, /) -> bool:
        """Return whether this is a folder or lies below it."""
        if not isinstance(folder, RemotePath) or folder.protocol != self.protocol:
            return False
        return f"{self.path}/".startswith(f"{folder.path.rstrip('/')}/")

    def relative_to(self, folder: object, /) -> PurePosixPath:
        """Return the way from a folder above to here."""
        if not isinstance(folder, RemotePath) or not self.is_relative_to(folder):
            raise ValueError(f"{self} does not lie below {folder}")
        return PurePosixPath(self.path[len(folder.path) :].lstrip("/"))

    def _told(self) -> dict[str, Any]:
        """Return what the listing of the folder says of this; `OSError` if it has nothing, or the server does not answer."""
        folder = self.parent.path.rstrip("/")
        if self.protocol in _LOOKED_UP and folder not in self.fs.dircache:
            try:
                self._ask(lambda: self.fs.ls(folder, detail=True))
            except (PermissionError, FileNotFoundError):  # a folder that may not be listed has nothing for dsi
                self.fs.dircache[folder] = []
        return self._ask(lambda: dict(self.fs.info(self.path)), folder)

    def listed_info(self) -> FileInfo:
        """Return what the listing says of the file; `OSError` if it has no such file, or the server does not answer."""
        told = self._told()
        if told["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        return _info(told)

    def info_now(self) -> FileInfo | None:
        """Return what the server says of the file now, None if there is none; `OSError` if the server does not answer."""
        refresh = {"refresh": True} if self.protocol in _REFRESHED else {}
        if not refresh:
            self.fs.invalidate_cache(self.parent.path)
        try:
            return _info(self._ask(lambda: dict(self.fs.info(self.path, **refresh))))
        except FileNotFoundError:
            return None

    def is_file(self) -> bool:
        """Return whether there is a file."""
        try:
            return bool(self._told()["type"] == "file")
        except OSError:
            return False

    def is_dir(self) -> bool:
        """Return whether there is a folder."""
        try:
            return bool(self._told()["type"] == "directory")
        except OSError:
            return False

    def exists(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002 (there are no links)
        """Return whether there is a file or a folder."""
        return self.is_file() or self.is_dir()

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:  # noqa: ARG002
        """Return kind, size and time of the last change; `OSError` if there is nothing, or the server does not answer."""
        told = self._told()
        is_file = told["type"] == "file"
        size, time = _info(told) if is_file else (0, 0)
        kind = stat.S_IFREG if is_file else stat.S_IFDIR
        return os.stat_result((kind | 0o644, 0, 0, 0, 0, 0, size, 0, time // _NANO, 0), {"st_mtime_ns": time})

    def lstat(self) -> os.stat_result:
        """Return `stat`: there are no links."""
        return self.stat()

    def _inside(self) -> list[tuple[str, FileInfo | None]]:
        """Return name and info (None of a folder) of everything right in the folder, sorted; empty if there is no such folder."""
        try:
            found = self._ask(lambda: self.fs.ls(self.path, detail=True), self.path.rstrip("/"))
        except FileNotFoundError:
            return []
        inside = {one["name"].rstrip("/"): _info(one) if one["type"] == "file" else None for one in found}
        inside.pop(self.path.rstrip("/"), None)  # some servers list an object with the folder's own name
        return [(name.rpartition("/")[2], inside[name]) for name in sorted(inside)]

    def iterdir(self) -> Iterator[RemotePath]:
        """Yield what lies right in the folder, sorted."""
        return (self / name for name, _ in self._inside())

    def walk(self) -> Iterator[tuple[RemotePath, list[str], list[str]]]:
        """Yield folder, names of folders and of files, from the top down; as with `os.walk` the folders may be changed."""
        inside = self._inside()
        folders = [name for name, info in inside if info is None]
        yield self, folders, [name for name, info in inside if info is not None]
        for name in folders:
            yield from (self / name).walk()

    def files(self) -> Iterator[tuple[RemotePath, FileInfo]]:
        """Yield all files below the folder, with what the listing says of each."""
        for name, info in self._inside():
            if info is None:
                yield from (self / name).files()
            else:
                yield self / name, info

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Yield the files and folders below that fit, sorted; ``**`` stands for any number of folders."""
        fits = re.compile(glob_translate(pattern))
        for folder, folders, files in self.walk():
            way = folder.relative_to(self)
            yield from (folder / name for name in [*files, *folders] if fits.match((way / name).as_posix()))

    def range(self, begin: int, end: int) -> bytes:
        """Return a range of the file as it is now; `OSError` if the server does not give it."""
        return self._ask(lambda: bytes(self.fs.cat_file(self.path, start=begin, end=end)))

    def read_bytes(self) -> bytes:
        """Return the whole file; `OSError` if the server does not give it."""
        return self._ask(lambda: bytes(self.fs.cat_file(self.path)))

    def write_bytes(self, data: bytes) -> int:
        """Write the whole file in one step; `OSError` if the server does not take it."""
        self._ask(lambda: self.fs.pipe_file(self.path, data))
        return len(data)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file; `OSError` if the server does not."""
        try:
            self._ask(lambda: self.fs.rm_file(self.path))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def open(
        self, mode: str = "r", encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> IO[Any]:
        """Return the whole file, read at once; for small ones."""
        found = io.BytesIO(self.read_bytes())
        return found if "b" in mode else io.TextIOWrapper(found, encoding, errors, newline)


class _OtherPath(UPath):  # type: ignore[misc]
    """A path of a file system that universal_pathlib does not know by itself."""


def of_url(url: str) -> RemotePath:
    """Return the path of a URL."""
    scheme = urls.scheme_of(url) or ""
    if scheme not in available_implementations():
        register_implementation(scheme, _OtherPath)
    return RemotePath(url, **filesystem.options_of(scheme))


def _info(told: dict[str, Any]) -> FileInfo:
    time = next((_seconds(told[name]) for name in _TIMES if told.get(name)), None)
    tag = next((str(told[name]).strip('"') for name in _TAGS if told.get(name)), None)
    if tag is None:
        return FileInfo(int(told.get("size") or 0), int((time or 0.0) * _NANO))
    return FileInfo(int(told.get("size") or 0), int(time or 0.0) * _NANO + zlib.crc32(tag.encode()) % _NANO)


def _seconds(time: Any) -> float | None:
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return None
    if isinstance(time, datetime):
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return float(time) if isinstance(time, int | float) else None
