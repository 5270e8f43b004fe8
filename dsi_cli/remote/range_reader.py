"""A remote file in few ranges: a request brings more than was asked for, and what came is kept while the file is open.

Containers keep what describes them at their beginning or end, in many small items; so the first request brings some of the
beginning, one near the end all of the last part, and both are small compared with the file.

fsspec's caches for the bytes of a file would need more: they hold one piece, or ask for each block by itself (measured: HDF5
files took three to four times as many requests).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsi_cli.errors import PendingError, UnreadableError

if TYPE_CHECKING:
    from dsi_cli.remote.remote_path import RemotePath

_LEAST, _MOST = 16 << 10, 256 << 10
"""Bytes that a request brings at least: by the file's size, between these."""
_SHARE_OF_BEGINNING, _SHARE_OF_END = 512, 1024
_LARGEST_STEP = 1 << 20
_FEW_REQUESTS = 8
"""After as many, a file is one that is walked item by item: each request then brings more."""
_HELD = 8 << 20
"""Bytes that are kept, beside the range that came last."""


class RemoteRanges:
    """The bytes of one remote file.

    Attributes
    ----------
    size : int
        Bytes, by the listing.
    requests : int
        How many were made.

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
        self.requests = 0
        self._path = path
        self._held: list[tuple[int, bytes]] = []

    def read_at(self, offset: int, size: int) -> bytes:
        """Return exactly ``size`` bytes from ``offset`` on.

        Raises
        ------
        PendingError
            The file ends before them by now.
        UnreadableError
            The server does not give them.
        """
        parts: list[bytes] = []
        while size:
            held = self._part(offset, size)
            if held is None:
                self._fetch(*self._around(offset, size))
                held = self._part(offset, size)
                assert held is not None
            parts.append(held)
            offset, size = offset + len(held), size - len(held)
        return parts[0] if len(parts) == 1 else b"".join(parts)

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
            is_unchanged = not self.requests or self._path.info_now() == self._info
        except OSError:
            is_unchanged = False
        if not is_unchanged:
            raise PendingError("changed while it was read")

    def close(self) -> None:
        """Forget what is kept."""
        self._held.clear()

    def _part(self, offset: int, size: int) -> bytes | None:
        """Return as much of a range, from its beginning on, as one of the kept pieces has."""
        for begin, data in reversed(self._held):
            if begin <= offset < begin + len(data):
                return data[offset - begin : offset - begin + size]
        return None

    def _around(self, offset: int, size: int) -> tuple[int, int]:
        """Return the range to ask for: what is wanted, and what is likely to be wanted next."""
        step = min(_MOST, max(_LEAST, self.size // _SHARE_OF_BEGINNING))
        end = self.size - min(_MOST, max(_LEAST, self.size // _SHARE_OF_END))
        if offset >= end:
            return max(end, 0), self.size - max(end, 0)
        step = min(_LARGEST_STEP, step << max(0, self.requests - _FEW_REQUESTS + 1) // 2)
        return offset, min(max(size, step if size < step else 0), self.size - offset)

    def _fetch(self, begin: int, size: int) -> None:
        self.requests += 1
        try:
            data = self._path.range(begin, begin + size)
        except OSError as error:
            raise UnreadableError(f"cannot be read: {error.strerror or error}") from None
        if len(data) != size:
            raise PendingError("changed while it was read")
        while self._held and sum(len(kept) for _, kept in self._held) > _HELD:
            del self._held[0]
        self._held.append((begin, data))
