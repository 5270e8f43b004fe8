"""Read foreign files in exact ranges of bytes, and JSON within a limit.

A remote file is read in few requests: each request reads more than needed, and dsi
keeps the bytes while the file is open. Containers store their metadata as many small
items at the beginning or end. The first request therefore reads part of the beginning,
and a request near the end reads the whole last part. fsspec's caches would need three
to four times as many requests.
"""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Callable
from copy import copy
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from dsi_cli.errors import PendingError, UnreadableError, first_line
from dsi_cli.remote.locations import Place

if TYPE_CHECKING:
    from dsi_cli.remote.remote_path import RemotePath

_MAX_NAME_LENGTH = 255
_MIN_REQUEST_BYTES, _MAX_REQUEST_BYTES = 16 << 10, 256 << 10
"""The range of the minimum size of a request, which depends on the size of the file."""
_SHARE_OF_BEGINNING, _SHARE_OF_END = 512, 1024
_MAX_STEP_BYTES = 1 << 20
_REQUESTS_BEFORE_GROWTH = 8
"""The number of requests after which the reader seems to visit all items, so that each
request reads more.
"""
# the maximum size of cached ranges, in addition to the last one
_MAX_CACHED_BYTES = 8 << 20
_MAX_JSON_BYTES = 16 << 20
MAX_JSON_VALUES = 1_000_000
"""The maximum number of commas and opening brackets, because one byte of text can take
fifty bytes of memory once parsed.
"""


class _LocalRanges:
    """The bytes of a regular file on this machine; errors as in `RandomAccessFile`."""

    def __init__(self, path: Path) -> None:
        try:
            self._require_regular(path.stat())
            self._file = open(path, "rb", buffering=0, opener=_open_without_blocking)  # noqa: SIM115
            info = os.fstat(self._file.fileno())
        except OSError as error:
            raise UnreadableError(
                f"cannot be opened: {error.strerror or error}", code="cannot-open"
            ) from None
        # Another file may have taken its place before it was opened.
        try:
            self._require_regular(info)
        except UnreadableError:
            self._file.close()
            raise
        self._lock = Lock()
        self.size = info.st_size
        self.bytes_read = 0

    @staticmethod
    def _require_regular(info: os.stat_result) -> None:
        if not stat.S_ISREG(info.st_mode):
            raise UnreadableError("not a regular file", code="not-a-regular-file")

    def memory_at(self, offset: int, size: int) -> memoryview:
        data = remaining = np.empty(size, dtype=np.uint8).data
        try:
            with self._lock:  # all threads share one position in the file
                self._file.seek(offset)
                while remaining:
                    count = self._file.readinto(remaining)
                    if not count:
                        raise PendingError("changed while it was read", code="changed")
                    remaining = remaining[count:]
        except OSError as error:
            raise UnreadableError(
                f"cannot be read: {error.strerror or error}", code="cannot-read"
            ) from None
        return data

    def prefetch(self, offset: int, size: int) -> None:
        """Do nothing, because the operating system reads ahead."""

    def require_unchanged(self) -> None:
        """Do nothing, because an open local file cannot be replaced."""

    def close(self) -> None:
        self._file.close()


def _open_without_blocking(path: str, flags: int) -> int:
    """Open a file; a pipe without a writer would block."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class _RemoteRanges:
    """The bytes of one remote file; errors as in `RandomAccessFile`."""

    def __init__(self, path: RemotePath) -> None:
        try:
            self._info = path.listed_info()
        except OSError as error:
            raise UnreadableError(
                f"cannot be opened: {error.strerror or error}", code="cannot-open"
            ) from None
        self.size = self._info.size
        self.requests = self.bytes_read = 0
        self._path = path
        self._cache: list[tuple[int, bytes]] = []

    def memory_at(self, offset: int, size: int) -> memoryview:
        parts: list[bytes] = []
        while size:
            # Take as much as possible from one cached range, or else request a range.
            cached = next(
                (
                    item
                    for item in self._cache[::-1]
                    if item[0] <= offset < item[0] + len(item[1])
                ),
                None,
            )
            if cached is None:
                begin, length = self._range_to_request(offset, size)
                self.requests += 1
                try:
                    data = self._path.range(begin, begin + length)
                except OSError as error:
                    raise UnreadableError(
                        f"cannot be read: {error.strerror or error}", code="cannot-read"
                    ) from None
                if len(data) == self.size:  # some web servers send the whole file
                    begin, length = 0, self.size
                if len(data) != length:
                    raise PendingError("changed while it was read", code="changed")
                while (
                    self._cache
                    and sum(len(cached) for _, cached in self._cache)
                    > _MAX_CACHED_BYTES
                ):
                    del self._cache[0]
                cached = begin, data
                self._cache.append(cached)
            begin, data = cached
            parts.append(data[offset - begin : offset - begin + size])
            offset, size = offset + len(parts[-1]), size - len(parts[-1])
        return memoryview(bytearray().join(parts))

    def prefetch(self, offset: int, size: int) -> None:
        self.memory_at(offset, max(0, min(size, self.size - offset)))

    def require_unchanged(self) -> None:
        try:
            is_unchanged = not self.requests or self._path.info_now() == self._info
        except FileNotFoundError:
            is_unchanged = False
        except OSError as error:
            raise UnreadableError(
                f"cannot be read: {error.strerror or error}", code="cannot-read"
            ) from None
        if not is_unchanged:
            raise PendingError("changed while it was read", code="changed")

    def close(self) -> None:
        self._cache.clear()

    def _range_to_request(self, offset: int, size: int) -> tuple[int, int]:
        """Return a range with the needed bytes and with the bytes that are probably
        needed next.
        """
        step = min(
            _MAX_REQUEST_BYTES,
            max(_MIN_REQUEST_BYTES, self.size // _SHARE_OF_BEGINNING),
        )
        end = self.size - min(
            _MAX_REQUEST_BYTES, max(_MIN_REQUEST_BYTES, self.size // _SHARE_OF_END)
        )
        if offset >= end:
            return max(end, 0), self.size - max(end, 0)
        step = min(
            _MAX_STEP_BYTES,
            step << max(0, self.requests - _REQUESTS_BEFORE_GROWTH + 1) // 2,
        )
        return offset, min(max(size, step), self.size - offset)


class RandomAccessFile:
    """One regular file, opened to read ranges of bytes.

    `UnreadableError` is raised if the file does not exist, may not be read, or is not
    regular. A pipe is never opened, because opening it would block.
    """

    def __init__(self, path: Place) -> None:
        self.path = path
        self._ranges = (
            _LocalRanges(path) if isinstance(path, Path) else _RemoteRanges(path)
        )
        self.size = self._ranges.size  # in bytes, when the file was opened
        self._offset = 0

    @property
    def bytes_read(self) -> int:
        """The number of bytes that were requested so far, including those of
        windows.
        """
        return self._ranges.bytes_read

    def window(self, offset: int, size: int) -> RandomAccessFile:
        """Return ``size`` bytes from ``offset`` on as a separate file, which is closed
        together with this one.

        It represents a file that is stored inside this one. Raise `PendingError` if the
        file ends before the end of the window.
        """
        self._require_range(offset, size)
        part = copy(self)
        part.size, part._offset = size, self._offset + offset
        return part

    def __enter__(self) -> RandomAccessFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ranges.close()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return exactly ``size`` bytes from ``offset`` on; raise `PendingError` if the
        file ends earlier or shrank.
        """
        return self.memory_at(offset, size).tobytes()

    def memory_at(self, offset: int, size: int) -> memoryview:
        """Return the bytes of `read_at` as writable memory, so that an array needs no
        copy; errors as there.
        """
        self._require_range(offset, size)
        self._ranges.bytes_read += size
        return self._ranges.memory_at(self._offset + offset, size)

    def prefetch(self, offset: int, size: int) -> None:
        """Announce a range that is about to be read in parts, so that a remote file is
        read in one request.
        """
        self._ranges.prefetch(self._offset + offset, size)

    def require_unchanged(self) -> None:
        """Raise `PendingError` if a remote file was replaced during reading, because
        its parts may not fit together.
        """
        self._ranges.require_unchanged()

    def _require_range(self, offset: int, size: int) -> None:
        if size < 0 or offset < 0 or offset + size > self.size:
            message = (
                f"ends at byte {self.size}, but its contents go on to byte"
                f" {offset + size}"
            )
            raise PendingError(
                message, code="cut-off", size=self.size, needed=offset + size
            )

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or fewer if the file is shorter."""
        return self.read_at(0, min(size, self.size))


class RangeFile(io.RawIOBase):
    """A file object for libraries, whose bytes come from a function like
    `RandomAccessFile.read_at`.
    """

    def __init__(self, size: int, read_at: Callable[[int, int], bytes]) -> None:
        self._size, self._read_at, self._position = size, read_at, 0

    def readable(self) -> bool:  # noqa: D102
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset from the start (0), from the current position (1) or from
        the end (2).
        """
        self._position = max(
            0, offset + {0: 0, 1: self._position, 2: self._size}[whence]
        )
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer up to the end of the file; return the number of bytes."""
        view = memoryview(buffer).cast("B")
        size = max(0, min(len(view), self._size - self._position))
        if size:
            view[:size] = self._read_at(self._position, size)
            self._position += size
        return size

    def readall(self) -> bytes:
        """Return the rest of the file; Python would request it in parts of a few
        kilobytes.
        """
        return b"".join(iter(lambda: self.read(_MAX_CACHED_BYTES) or b"", b""))


def find_sibling(path: Place, name: str, description: str) -> Place:
    """Return the file in the same folder that a container refers to by its name.

    Raise `UnreadableError` if the name or a link leads out of the folder, and
    `PendingError` if the file does not exist (yet).
    """
    if not name or Path(name).name != name or name == ".." or {"\\", "\0"} & set(name):
        message = f"refers to a {description} outside its own folder: {name[:80]!r}"
        raise UnreadableError(message, code="outside-folder", name=name)
    if len(name) > _MAX_NAME_LENGTH or not (path.parent / name).exists():
        raise PendingError(
            f"{description} {name[:80]!r} does not exist",
            code="missing-part",
            name=name,
        )
    require_inside(path.parent / name, path.parent, f"{description} {name[:80]!r}")
    return path.parent / name


def require_inside(part: Place, folder: Place, description: str) -> None:
    """Raise `UnreadableError` if a link leads from a part of a checkpoint out of the
    checkpoint's folder.

    Otherwise a downloaded checkpoint could bring a private file of this machine into
    the results.
    """
    if not is_inside(part, folder):
        message = (
            f"{description} is a link to a file outside its folder; replace the link"
            " with a copy of that file"
        )
        raise UnreadableError(message, code="outside-folder", name=part.name)


def is_inside(path: Place, folder: Place) -> bool:
    """Return whether a path is in a folder after all links are followed.

    In the cache of Hugging Face, the files in ``snapshots/COMMIT`` are links into the
    folder ``blobs`` of the same model.
    """
    if not isinstance(path, Path) or not isinstance(
        folder, Path
    ):  # a server has no links
        return ".." not in path.parts and str(path).startswith(f"{folder}/")
    try:
        real, home = (Path(os.path.realpath(one)) for one in (path, folder))
    except (OSError, ValueError):
        return False
    snapshots = [
        parent for parent in (home, *home.parents) if parent.name == "snapshots"
    ]
    blobs = [parent.parent / "blobs" for parent in snapshots[:1]]
    return any(real.is_relative_to(allowed) for allowed in (home, *blobs))


def parse_json(data: bytes) -> Any:
    """Return the value of a JSON text.

    Raise `UnreadableError` if the text is not JSON, holds more than `MAX_JSON_VALUES`
    values, or is nested too deeply.

    >>> parse_json(b'{"epoch": 3}')
    {'epoch': 3}
    """
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise UnreadableError(
            f"its JSON has more than {MAX_JSON_VALUES} values", code="damaged-json"
        )
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(
            f"its JSON cannot be read: {first_line(error)}", code="damaged-json"
        ) from None


def read_json_or_none(path: Place) -> Any:
    """Return the value of a JSON file of at most 16 MiB, or None if it cannot be
    read.
    """
    try:
        if not path.is_file() or path.stat().st_size > _MAX_JSON_BYTES:
            return None
        return parse_json(path.read_bytes())
    except (OSError, UnreadableError):
        return None


def parse_json_or_none(data: bytes) -> Any:
    """Return the value of a JSON text, or None if `parse_json` fails."""
    try:
        return parse_json(data)
    except UnreadableError:
        return None
