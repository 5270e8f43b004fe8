"""A remote file in few requests, by fsspec's caches for the bytes of a file.

Containers keep what describes them at their beginning or end, in many small items. So one request near the end brings all
of the last part, and each other request brings some more than dsi asked for; both are small compared with the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsspec.caching import BytesCache

from dsi_cli.errors import PendingError, UnreadableError

if TYPE_CHECKING:
    from dsi_cli.remote.paths import RemotePath

_LEAST, _MOST = 16 << 10, 256 << 10
"""Bytes that a request brings in addition: a share of the file's size, between these."""
_SHARE = 1024


class RemoteRanges:
    """The bytes of one remote file.

    Attributes
    ----------
    size : int
        Bytes, by the listing.

    Raises
    ------
    UnreadableError
        There is no such file, or the server does not answer.
    """

    def __init__(self, path: RemotePath) -> None:
        try:
            self._info = path.listed_info()
        except OSError as error:
            raise UnreadableError(f"cannot be opened: {error.strerror or error}") from None
        self.size = self._info.size
        self._path = path
        self._is_read = False
        more = min(_MOST, max(_LEAST, self.size // _SHARE))
        self._last = max(0, self.size - more)
        self._before_last = BytesCache(more, self._fetch, self.size, trim=False)
        self._end = BytesCache(self.size, self._fetch, self.size, trim=False)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return exactly ``size`` bytes from ``offset`` on.

        Raises
        ------
        PendingError
            The file ends before them by now.
        UnreadableError
            The server does not give them.
        """
        if offset < self._last:
            return bytes(self._before_last._fetch(offset, offset + size))
        self._end._fetch(self._last, self.size)
        return bytes(self._end._fetch(offset, offset + size))

    def memory_at(self, offset: int, size: int) -> memoryview:
        """Return the same as `read_at`, to make an array of that may be written to; errors as there."""
        return memoryview(bytearray(self.read_at(offset, size)))

    def ahead(self, offset: int, size: int) -> None:
        """Bring a range in one request, if it is not here already: it is about to be read in parts."""
        size = min(size, self.size - offset)
        if size > 0:
            self.read_at(offset, size)

    def require_unchanged(self) -> None:
        """Raise `PendingError` if the file is another than the one that was listed, or the server does not answer."""
        try:
            is_unchanged = not self._is_read or self._path.info_now() == self._info
        except OSError:
            is_unchanged = False
        if not is_unchanged:
            raise PendingError("changed while it was read")

    def close(self) -> None:
        """Do nothing: each request has its own connection, and what is kept goes with this object."""

    def _fetch(self, begin: int, end: int) -> bytes:
        self._is_read = True
        try:
            data = self._path.range(begin, end)
        except OSError as error:
            raise UnreadableError(f"cannot be read: {error.strerror or error}") from None
        if len(data) != end - begin:
            raise PendingError("changed while it was read")
        return data
