"""``.keras``: a zip archive with the model's configuration, and its weights in an HDF5 file that is read where it lies."""

from __future__ import annotations

from typing import Any

from dsi_cli.checkpoints.formats import Content
from dsi_cli.checkpoints.formats.archives import Archive
from dsi_cli.checkpoints.formats.keras_h5 import LARGEST_CONFIG, content_of, parsed
from dsi_cli.checkpoints.source import Source
from dsi_cli.errors import PendingError, UnreadableError

_WEIGHTS, _CONFIG, _METADATA = "model.weights.h5", "config.json", "metadata.json"
_LARGEST_INFLATED = 64 << 20
"""Bytes of weights that are deflated, and so have to be held whole; Keras itself stores them as they are."""


class _Held:
    """Bytes that were inflated, read like a `Source`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        if offset + size > self.size:
            raise PendingError(f"ends at byte {self.size}, but its contents go on to byte {offset + size}")
        return self._data[offset : offset + size]

    def memory_at(self, offset: int, size: int) -> memoryview:
        return memoryview(bytearray(self.read_at(offset, size)))


def open_content(archive: Archive) -> Content:
    """Return the content of a ``.keras`` archive; errors as for `dsi_cli.checkpoints.formats.open_content`."""
    metadata = _json(archive, _METADATA)
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    content = content_of(_weights(archive), _json(archive, _CONFIG), version if isinstance(version, str) else None)
    content.notes.extend(archive.notes)
    return content


def _json(archive: Archive, name: str) -> Any:
    size = archive.sizes.get(name, 0)
    return parsed(archive.whole(name, LARGEST_CONFIG)) if 0 < size <= LARGEST_CONFIG else None


def _weights(archive: Archive) -> Source | _Held:
    try:
        return archive.window(_WEIGHTS)
    except UnreadableError:  # deflated; where it is worse than that, reading it whole says so
        return _Held(archive.whole(_WEIGHTS, _LARGEST_INFLATED))
