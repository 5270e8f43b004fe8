"""Many small reads that lie near each other as few reads of the file: for containers that are walked item by item.

What is stepped over is not read: a jump costs one window, however far it goes.
"""

from __future__ import annotations

from dsi_cli.checkpoints.source import Source

_WINDOW = 4096
"""Bytes: many of the small items that stand around a tensor, few against the tensor itself."""


class Window:
    """A source seen through a few kilobytes that move to where it is looked at.

    Attributes
    ----------
    size : int
        Bytes of the whole file.
    """

    def __init__(self, source: Source) -> None:
        self.size = source.size
        self._source = source
        self._begin = 0
        self._held = b""

    def read(self, offset: int, size: int) -> bytes:
        """Return exactly ``size`` bytes from ``offset`` on.

        Raises
        ------
        PendingError
            The file ends before them.
        """
        start = offset - self._begin
        if start >= 0 and start + size <= len(self._held):
            return self._held[start : start + size]
        if size > _WINDOW:
            return self._source.read_at(offset, size)
        self._held = self._source.read_at(offset, max(size, min(_WINDOW, self.size - offset)))
        self._begin = offset
        return self._held[:size]
