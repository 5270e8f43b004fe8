"""A file that is read in a few exact ranges; it counts the bytes that are read."""

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

_MAX_READ_BYTES = 32 << 20
"""The maximum size of one `RandomAccessFile.read`, which `zipfile` uses for the directory of an archive."""
_MAX_NAME_LENGTH = 255


class _LocalRanges:
    """The bytes of a regular file on this machine; errors as in `RandomAccessFile`."""

    def __init__(self, path: Path) -> None:
        try:
            info = path.stat()
            if not stat.S_ISREG(info.st_mode):
                raise UnreadableError("not a regular file", code="not-a-regular-file")
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise UnreadableError(f"cannot be opened: {error.strerror or error}", code="cannot-open") from None
        self._lock = Lock()
        self.size = info.st_size

    def read_at(self, offset: int, size: int) -> bytes:
        return self.memory_at(offset, size).tobytes()

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
            raise UnreadableError(f"cannot be read: {error.strerror or error}", code="cannot-read") from None
        return data

    def prefetch(self, offset: int, size: int) -> None:
        """Do nothing, because the operating system reads ahead."""

    def require_unchanged(self) -> None:
        """Do nothing, because an open local file cannot be replaced."""

    def close(self) -> None:
        self._file.close()


class RandomAccessFile:
    """One regular file, opened to read ranges of bytes; also a file object for readers of the standard library.

    `UnreadableError` is raised if the file does not exist, may not be read, or is not regular. A pipe is never opened, because
    opening it would block.

    Attributes
    ----------
    path : the location of the file
    size : the size in bytes when the file was opened
    bytes_read : the number of bytes that were requested so far
    """

    def __init__(self, path: Place) -> None:
        self.path = path
        self._ranges: _LocalRanges | RemoteRanges
        if isinstance(path, Path):
            self._ranges = _LocalRanges(path)
        else:
            from dsi_cli.remote.range_reader import RemoteRanges

            self._ranges = RemoteRanges(path)
        self.size = self._ranges.size
        self.bytes_read = 0
        self._position = 0
        self._parent: RandomAccessFile | None = None
        self._offset = 0

    def window(self, offset: int, size: int) -> RandomAccessFile:
        """Return ``size`` bytes from ``offset`` on as a separate file, which is closed together with this one.

        It represents a file that is stored inside this one. Raise `PendingError` if the file ends before the end of the window.
        """
        self._require_range(offset, size)
        part = object.__new__(RandomAccessFile)
        part.path, part.size, part.bytes_read, part._position = self.path, size, 0, 0
        part._ranges, part._offset, part._parent = self._ranges, self._offset + offset, self
        return part

    def __enter__(self) -> RandomAccessFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ranges.close()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return exactly ``size`` bytes from ``offset`` on; raise `PendingError` if the file ends earlier or shrank."""
        self._count_read(offset, size)
        return self._ranges.read_at(self._offset + offset, size)

    def memory_at(self, offset: int, size: int) -> memoryview:
        """Return the bytes of `read_at` as writable memory, so that an array needs no copy; errors as there."""
        self._count_read(offset, size)
        return self._ranges.memory_at(self._offset + offset, size)

    def prefetch(self, offset: int, size: int) -> None:
        """Announce a range that is about to be read in parts, so that a remote file is read in one request."""
        self._ranges.prefetch(self._offset + offset, size)

    def require_unchanged(self) -> None:
        """Raise `PendingError` if a remote file was replaced during reading, because its parts may not fit together."""
        self._ranges.require_unchanged()

    def _count_read(self, offset: int, size: int) -> None:
        self._require_range(offset, size)
        file: RandomAccessFile | None = self
        while file is not None:
            file.bytes_read += size
            file = file._parent

    def _require_range(self, offset: int, size: int) -> None:
        if size < 0 or offset < 0 or offset + size > self.size:
            message = f"ends at byte {self.size}, but its contents go on to byte {offset + size}"
            raise PendingError(message, code="cut-off", size=self.size, needed=offset + size)

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or fewer if the file is shorter."""
        return self.read_at(0, min(size, self.size))

    # These methods make the file object through which `zipfile` reads the directory.

    def seekable(self) -> bool:  # noqa: D102
        return True

    def tell(self) -> int:  # noqa: D102
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset from the start (0), from the current position (1) or from the end (2)."""
        self._position = max(0, offset + {0: 0, 1: self._position, 2: self.size}[whence])
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes from the current position on."""
        remaining = max(0, self.size - self._position)
        size = remaining if size < 0 else min(size, remaining)
        if size > _MAX_READ_BYTES:
            message = f"the zip directory would take {size} bytes; more than {_MAX_READ_BYTES} are not read"
            raise UnreadableError(message, code="zip-directory-too-large", size=size)
        self._position += size
        return self.read_at(self._position - size, size)


def find_sibling(path: Place, name: str, description: str) -> Place:
    """Return the file in the same folder that a container refers to by its name.

    Raise `UnreadableError` if the name leads out of the folder, and `PendingError` if the file does not exist (yet).
    """
    if not name or Path(name).name != name or "\0" in name:
        message = f"refers to a {description} outside its own folder: {name[:80]!r}"
        raise UnreadableError(message, code="outside-folder", name=name)
    if len(name) > _MAX_NAME_LENGTH or not (path.parent / name).exists():
        raise PendingError(f"{description} {name[:80]!r} does not exist", code="missing-part", name=name)
    return path.parent / name
