"""A file that is read in a few exact ranges, and counts what was asked of it."""

from __future__ import annotations

import stat
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from dsi_cli.errors import PendingError, UnreadableError
from dsi_cli.remote.locations import Place

if TYPE_CHECKING:
    from dsi_cli.remote.range_reader import RemoteRanges
    from dsi_cli.remote.remote_path import RemotePath

_LARGEST_DIRECTORY = 32 << 20


class _LocalRanges:
    """The bytes of a regular file of this machine; errors as `RandomAccessFile`."""

    def __init__(self, path: Path) -> None:
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise UnreadableError("not a regular file")
            self._file = path.open("rb", buffering=0)
            self._lock = Lock()
        except OSError as error:
            raise UnreadableError(f"cannot be opened: {error.strerror or error}") from None
        self.size = found.st_size

    def read_at(self, offset: int, size: int) -> bytes:
        return self.memory_at(offset, size).tobytes()

    def memory_at(self, offset: int, size: int) -> memoryview:
        found = left = np.empty(size, dtype=np.uint8).data
        try:
            with self._lock:  # the position in the file is one for all threads
                self._file.seek(offset)
                while left:
                    count = self._file.readinto(left)
                    if not count:
                        raise PendingError("changed while it was read")
                    left = left[count:]
        except OSError as error:
            raise UnreadableError(f"cannot be read: {error.strerror or error}") from None
        return found

    def ahead(self, offset: int, size: int) -> None:
        """Do nothing: the system reads ahead by itself."""

    def require_unchanged(self) -> None:
        """Do nothing: who holds a file open reads that very file."""

    def close(self) -> None:
        self._file.close()


def _remote_ranges(path: RemotePath) -> RemoteRanges:
    from dsi_cli.remote.range_reader import RemoteRanges

    return RemoteRanges(path)


class RandomAccessFile:
    """One regular file, open for reading ranges; also a file object for the readers of the standard library.

    `window` gives a part of it in the same form: a file that stands inside another.

    Attributes
    ----------
    path : Path, or RemotePath
    size : int
        Bytes, when it was opened.
    asked : int
        Bytes asked for so far.

    Raises
    ------
    UnreadableError
        It is not there, not a regular file (a pipe is never opened: it would block), or may not be read.
    """

    def __init__(self, path: Place) -> None:
        self.path = path
        self._bytes = _LocalRanges(path) if isinstance(path, Path) else _remote_ranges(path)
        self.size = self._bytes.size
        self.asked = 0
        self._at = 0
        self._whole: RandomAccessFile | None = None
        self._begin = 0

    def window(self, offset: int, size: int) -> RandomAccessFile:
        """Return ``size`` bytes from ``offset`` on as a source of their own; it is closed with this one.

        Raises
        ------
        PendingError
            The file ends before them.
        """
        self._require(offset, size)
        part = object.__new__(RandomAccessFile)
        part.path, part.size, part.asked, part._at = self.path, size, 0, 0
        part._bytes, part._begin, part._whole = self._bytes, self._begin + offset, self
        return part

    def __enter__(self) -> RandomAccessFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bytes.close()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return exactly ``size`` bytes from ``offset`` on.

        Raises
        ------
        PendingError
            The file ends before them: it was cut off, or shrank while it was read.
        """
        self._ask(offset, size)
        return self._bytes.read_at(self._begin + offset, size)

    def memory_at(self, offset: int, size: int) -> memoryview:
        """Return the same as `read_at`, to make an array of that may be written to, without a copy; errors as there."""
        self._ask(offset, size)
        return self._bytes.memory_at(self._begin + offset, size)

    def ahead(self, offset: int, size: int) -> None:
        """Say that a range is about to be read in parts: a remote file's comes in one request, as far as the file goes."""
        self._bytes.ahead(self._begin + offset, size)

    def require_unchanged(self) -> None:
        """Raise `PendingError` where a remote file was replaced while it was read: its parts may be of either."""
        self._bytes.require_unchanged()

    def _ask(self, offset: int, size: int) -> None:
        self._require(offset, size)
        one: RandomAccessFile | None = self
        while one is not None:
            one.asked += size
            one = one._whole

    def _require(self, offset: int, size: int) -> None:
        if size < 0 or offset < 0 or offset + size > self.size:
            raise PendingError(f"ends at byte {self.size}, but its contents go on to byte {offset + size}")

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or fewer if the file is shorter."""
        return self.read_at(0, min(size, self.size))

    # The file object that `zipfile` reads the directory through.

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return where the next `read` begins."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset from the start (0), from here (1) or from the end (2)."""
        self._at = max(0, offset + {0: 0, 1: self._at, 2: self.size}[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes from here on."""
        left = max(0, self.size - self._at)
        size = left if size < 0 else min(size, left)
        if size > _LARGEST_DIRECTORY:
            raise UnreadableError(f"the zip directory would take {size} bytes; more than {_LARGEST_DIRECTORY} are not read")
        self._at += size
        return self.read_at(self._at - size, size)


def find_sibling(path: Place, name: str, what: str) -> Place:
    """Return the file of a name that a container gives for a part of itself, which lies in the same folder.

    Raises
    ------
    UnreadableError
        The name leads out of the folder.
    PendingError
        It is not there, perhaps not yet.
    """
    if not name or Path(name).name != name or "\0" in name:
        raise UnreadableError(f"names a {what} outside its own folder: {name[:80]!r}")
    if len(name) > 255 or not (path.parent / name).exists():
        raise PendingError(f"{what} {name[:80]!r} is not there")
    return path.parent / name
