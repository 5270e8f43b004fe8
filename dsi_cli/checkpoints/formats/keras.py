"""``.keras``: a zip archive with the model's configuration, and its weights in an HDF5 file that is read where it lies."""

from __future__ import annotations

from typing import Any

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.formats.zip_archive import Archive
from dsi_cli.checkpoints.io import bounded_json
from dsi_cli.checkpoints.isolated.client import ByteRanges, open_isolated
from dsi_cli.errors import PendingError, UnreadableError

_WEIGHTS, _CONFIG, _METADATA = "model.weights.h5", "config.json", "metadata.json"
_LARGEST_TEXT = 8 << 20
"""Bytes of JSON; the largest networks of keras.applications have 1 MB."""
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


def open_content(archive: Archive) -> CheckpointContent:
    """Return the content of a ``.keras`` archive; errors as for `dsi_cli.checkpoints.formats.open_content`."""
    weights = _weights(archive)
    version = _version(_text(archive, _METADATA))
    content = open_isolated("hdf5", weights.size, weights, config=_text(archive, _CONFIG), version=version)
    content.notes.extend(archive.notes)
    return content


def _text(archive: Archive, name: str) -> str:
    size = archive.sizes.get(name, 0)
    return archive.whole(name, _LARGEST_TEXT).decode("utf-8", "replace") if 0 < size <= _LARGEST_TEXT else ""


def _version(text: str) -> str | None:
    try:
        metadata: Any = bounded_json.parse_json(text.encode())
    except (ValueError, RecursionError):
        return None
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) else None


def _weights(archive: Archive) -> ByteRanges:
    try:
        return archive.window(_WEIGHTS)
    except UnreadableError:  # deflated; where it is worse than that, reading it whole says so
        return _Held(archive.whole(_WEIGHTS, _LARGEST_INFLATED))
