"""Where something lies: a `pathlib.Path` on this machine, or a `RemotePath` behind a URL.

A remote folder is listed once, to any depth; that listing then says what is there, how large it is and when it changed, so that
looking for a file costs no request. The two folders above are listed, one level deep, when somebody looks there.
"""

from __future__ import annotations

import io
import os
import re
import stat
import uuid
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import IO, Any, NamedTuple

from dsi_cli.errors import DsiError, UnreachableError, UsageError
from dsi_cli.remote import urls
from dsi_cli.remote.connecting import Server
from dsi_cli.remote.lasting import Lasting

_TIMES = ("LastModified", "mtime", "updated", "created", "last_modified")
_TAGS = ("ETag", "etag", "generation", "md5Hash", "blob_id", "sha256", "checksum")
_NANO = 10**9
_ABOVE = 2
"""Folders above the one asked for in which files that belong to it are looked for."""


class Info(NamedTuple):
    """What a listing says of a file."""

    size: int
    modified_ns: int
    """Nanoseconds since 1970. Where the server has a tag of the contents, it takes the place of the fractions of a second: a
    file that changes twice in a second differs as well. Without a time, it stands alone."""


class Listing:
    """What lies below a URL, as the server told once.

    Parameters
    ----------
    server : whose file system it is
    root : the folder or file, as that file system names it
    token : tells one listing from another
    """

    def __init__(self, server: Server, root: str, token: str = "") -> None:
        self.server = server
        self.root = root.rstrip("/")
        self.token = token or uuid.uuid4().hex
        self.files: dict[str, Info] = {}
        self.folders: dict[str, set[str]] = {}
        self._lock = Lock()
        self._kept: Lasting | None = None
        server.fs.invalidate_cache()
        self._add(server.ask(lambda: server.fs.find(self.root, detail=True)))
        self._looked = set(self.folders) | {self.root}
        self._above = _above(self.root)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process lists once for itself."""
        return _listed_again, (self.server.scheme, self.root, self.token)

    def info(self, key: str) -> Info | None:
        """Return what is known of a file, None where there is none."""
        self._look(key.rpartition("/")[0])
        return self.files.get(key)

    def inside(self, key: str) -> set[str]:
        """Return the names in a folder; none where there is no such folder."""
        self._look(key)
        return self.folders.get(key, set())

    def kept(self) -> Path:
        """Return a folder of this machine that lasts as long as this object."""
        with self._lock:
            self._kept = self._kept or Lasting()
            return self._kept.path

    def _look(self, folder: str) -> None:
        """List one of the folders above; others than these and those below are not looked into."""
        if folder not in self._above or folder in self._looked:
            return
        with self._lock:
            if folder in self._looked:
                return
            try:
                listed = self.server.ask(lambda: self.server.fs.ls(folder, detail=True))
            except OSError:  # what may not be listed has nothing for us
                listed = []
            self._add({one["name"]: one for one in listed}, top=folder)
            self._looked.add(folder)

    def _add(self, found: dict[str, dict[str, Any]], top: str | None = None) -> None:
        for key, told in found.items():
            if key.endswith("/") or (top is None and told.get("type") != "file"):
                continue
            if told.get("type") == "file":
                self.files[key] = _info(told)
            self._enter(key, self.root if top is None else top)

    def _enter(self, key: str, top: str) -> None:
        """Note a file or folder in the folders between it and the top."""
        while len(key) > len(top):
            folder, _, name = key.rpartition("/")
            known = self.folders.setdefault(folder, set())
            if name in known:
                return
            known.add(name)
            key = folder


def _above(root: str) -> list[str]:
    """Return the folders above a root in which something may be looked for: never the list of all buckets."""
    found = []
    for _ in range(_ABOVE):
        root = root.rpartition("/")[0]
        if not root.strip("/"):
            break
        found.append(root)
    return found


@lru_cache(maxsize=16)
def _listed_again(scheme: str, root: str, token: str) -> Listing:
    return Listing(Server(scheme), root, token)


def _info(told: dict[str, Any]) -> Info:
    time = next((_seconds(told[name]) for name in _TIMES if told.get(name)), None)
    tag = next((str(told[name]).strip('"') for name in _TAGS if told.get(name)), None)
    if tag is None:
        return Info(int(told.get("size") or 0), int((time or 0.0) * _NANO))
    return Info(int(told.get("size") or 0), int(time or 0.0) * _NANO + zlib.crc32(tag.encode()) % _NANO)


def _seconds(time: Any) -> float | None:
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return None
    if isinstance(time, datetime):
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return float(time) if isinstance(time, int | float) else None


class RemotePath:
    """A file or folder behind a URL, with the parts of `pathlib.Path` that readers use; its text is the URL without secrets."""

    __slots__ = ("_listing", "key")

    def __init__(self, listing: Listing, key: str) -> None:
        self._listing = listing
        self.key = key

    def __str__(self) -> str:
        """Return the URL."""
        return urls.shown(str(self._listing.server.fs.unstrip_protocol(self.key)))

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return RemotePath, (self._listing, self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self.key == other.key and self.server.scheme == other.server.scheme

    def __hash__(self) -> int:
        return hash(self.key)

    def __lt__(self, other: RemotePath) -> bool:
        return self.key < other.key

    def __truediv__(self, name: str | os.PathLike[str]) -> RemotePath:
        return RemotePath(self._listing, f"{self.key}/{os.fspath(name).strip('/')}")

    def joinpath(self, *names: str) -> RemotePath:
        """Return a place below this one."""
        return self / "/".join(names)

    @property
    def server(self) -> Server:
        """The server that it lies on."""
        return self._listing.server

    @property
    def name(self) -> str:
        """The last part."""
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """What follows the name's last dot, with it."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> RemotePath:
        """The folder that it lies in."""
        return RemotePath(self._listing, self.key.rpartition("/")[0])

    @property
    def parts(self) -> tuple[str, ...]:
        """The scheme, then the names on the way."""
        return (f"{self.server.scheme}://", *(part for part in self.key.split("/") if part))

    @property
    def info(self) -> Info | None:
        """What the listing says of the file; None where it has none."""
        return self._listing.info(self.key)

    def is_relative_to(self, folder: object) -> bool:
        """Return whether it lies below a folder."""
        return isinstance(folder, RemotePath) and f"{self.key}/".startswith(f"{folder.key}/")

    def relative_to(self, folder: object) -> PurePosixPath:
        """Return the way from a folder above to here."""
        if not isinstance(folder, RemotePath) or not self.is_relative_to(folder):
            raise ValueError(f"{self} does not lie below {folder}")
        return PurePosixPath(self.key[len(folder.key) :].lstrip("/"))

    def is_file(self) -> bool:
        """Return whether the listing has a file here."""
        return self.info is not None

    def is_dir(self) -> bool:
        """Return whether the listing has files below."""
        return bool(self._listing.inside(self.key))

    def exists(self) -> bool:
        """Return whether there is a file or a folder."""
        return self.is_file() or self.is_dir()

    def stat(self) -> os.stat_result:
        """Return kind, size and time of the last change, as far as the listing tells; `FileNotFoundError` without either."""
        found = self.info
        if found is None and not self.is_dir():
            raise FileNotFoundError(2, "not found on the server", str(self))
        size, time = found or (0, 0)
        kind = stat.S_IFREG if found is not None else stat.S_IFDIR
        return os.stat_result((kind | 0o644, 0, 0, 0, 0, 0, size, 0, time // _NANO, 0), {"st_mtime_ns": time})

    def lstat(self) -> os.stat_result:
        """Return `stat`: there are no links."""
        return self.stat()

    def iterdir(self) -> Iterator[RemotePath]:
        """Yield what lies right in the folder, sorted."""
        return (self / name for name in sorted(self._listing.inside(self.key)))

    def walk(self) -> Iterator[tuple[RemotePath, list[str], list[str]]]:
        """Yield folder, names of folders and of files, from the top down; as with `os.walk` the folders may be changed."""
        names = sorted(self._listing.inside(self.key))
        files = [name for name in names if (self / name).is_file()]
        folders = [name for name in names if (self / name).is_dir()]
        yield self, folders, files
        for name in folders:
            yield from (self / name).walk()

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Yield the files and folders below that fit, sorted; ``**`` stands for any number of folders."""
        fits = _pattern(pattern)
        for folder, inner, files in self.walk():
            for name in [*files, *inner]:
                if fits.fullmatch((folder / name).key[len(self.key) :].lstrip("/")):
                    yield folder / name

    def range(self, begin: int, size: int) -> bytes:
        """Return a range of the file as it is now; `OSError` where the server does not give it."""
        fs = self.server.fs
        return self.server.ask(lambda: bytes(fs.cat_file(self.key, start=begin, end=begin + size)))

    def read_bytes(self) -> bytes:
        """Return the whole file; `OSError` where the server does not give it."""
        fs, found = self.server.fs, self.info
        if found is not None and found.size:
            # A range is one request, where a whole file takes two to some backends; one byte more shows whether it has grown.
            data = self.range(0, found.size + 1)
            if len(data) == found.size:
                return data
        return self.server.ask(lambda: bytes(fs.cat_file(self.key)))

    def open(
        self, mode: str = "r", encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> IO[Any]:
        """Return the whole file, read at once; for small ones."""
        found = io.BytesIO(self.read_bytes())
        return found if "b" in mode else io.TextIOWrapper(found, encoding, errors, newline)

    def info_now(self) -> Info | None:
        """Return what the server says of the file now, None if there is none; `OSError` if the server does not answer."""
        fs = self.server.fs
        fs.invalidate_cache(self.parent.key)
        try:
            return _info(self.server.ask(lambda: fs.info(self.key)))
        except FileNotFoundError:
            return None

    def is_unchanged(self) -> bool:
        """Return whether the server still has the file that was listed; False as well where it does not answer."""
        try:
            return self.info_now() == self.info
        except OSError:
            return False

    def fetched(self) -> Path:
        """Return a copy of the file on this machine, which lasts as long as the listing; its folder's name is kept."""
        path = self._listing.kept() / f"{zlib.crc32(self.parent.key.encode()):08x}" / self.name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read_bytes())
        return path


Place = Path | RemotePath


def _pattern(text: str) -> re.Pattern[str]:
    """Return the expression of a pattern for whole paths."""
    parts = ["(?:[^/]+/)*" if part == "**" else f"{_of_name(part)}/" for part in text.strip("/").split("/")]
    return re.compile("".join(parts).removesuffix("/"))


def _of_name(pattern: str) -> str:
    known = {"*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*|\?|\[[^\]]+\])", pattern)
    return "".join(
        known.get(part) or (part.replace("[!", "[^") if part.startswith("[") else re.escape(part)) for part in parts
    )


def place(given: str | os.PathLike[str] | RemotePath) -> Place:
    """Return a path, or the place behind a URL, which is listed.

    Raises
    ------
    UsageError
        The URL's kind is not known, or its backend is not installed.
    UnreachableError
        The server does not answer, or denies access.
    """
    if isinstance(given, RemotePath):
        return given
    scheme = urls.scheme_of(given)
    return Path(urls.local_path(given)) if scheme is None else listed(os.fspath(given))


def listed(url: str) -> RemotePath:
    """Return the place behind a URL, listed anew; errors as `place`."""
    server = Server(urls.scheme_of(url) or "")
    root = str(server.fs._strip_protocol(url)).rstrip("/")
    if not root.strip("/"):
        raise UsageError(f"{urls.shown(url)} names no bucket: expected {server.scheme}://BUCKET/PATH")
    try:
        return RemotePath(Listing(server, root), root)
    except FileNotFoundError:
        raise UsageError(f"no such file or folder: {urls.shown(url)}") from None
    except OSError as error:
        raise cannot_list(url, error) from None


def cannot_list(url: str, error: OSError) -> DsiError:
    """Return the error that says that a URL could not be looked at."""
    return UnreachableError(f"{urls.shown(url)} cannot be listed: {error.strerror or error}")


def matching(url: str) -> list[RemotePath]:
    """Return the places that a URL means: itself, or those that fit where it is a pattern; empty where there are none.

    Errors as `place`.
    """
    head, scheme_end, rest = url.partition("://")
    fixed = re.split(r"[^/]*[*?\[]", rest, maxsplit=1)[0]
    if fixed == rest or head.lower() in ("http", "https"):
        found = listed(url)
        return [found] if found.exists() else []
    top = listed(f"{head}{scheme_end}{fixed.rstrip('/')}")
    return list(top.glob(rest[len(fixed) :]))
