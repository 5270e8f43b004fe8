"""Keras: HDF5 files, and ``.keras``, a zip archive with the model's configuration and
an HDF5 file, which is read in place.

HDF5 files are Keras' weights (``.weights.h5``), its models before version 3 (``.h5``),
and arrays from other writers. The tree is flat and maps names to parameters. If Keras
wrote the file, ``__metadata__`` states this and the version, if known.
"""

from __future__ import annotations

from dsi_cli.checkpoints.child_process.client import open_isolated
from dsi_cli.checkpoints.file_access import RandomAccessFile, parse_json_or_none
from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.formats.zip_archive import Archive
from dsi_cli.checkpoints.trainers import as_dict
from dsi_cli.errors import UnreadableError

_WEIGHTS, _CONFIG, _METADATA = "model.weights.h5", "config.json", "metadata.json"
# the maximum size of a JSON entry; the largest networks of keras.applications have 1 MB
_MAX_JSON_BYTES = 8 << 20
_MAX_DEFLATED_WEIGHT_BYTES = 64 << 20
"""The maximum size of compressed weights, which must be kept in memory; Keras itself
stores weights uncompressed.
"""


def open_content(archive: Archive | RandomAccessFile) -> CheckpointContent:
    """Return the content of a ``.keras`` archive or an HDF5 file; errors as
    `formats.open_content`.
    """
    if isinstance(archive, RandomAccessFile):
        return open_isolated("hdf5", archive.size, archive.read_at)
    size = archive.sizes[_WEIGHTS]
    try:
        read_at = archive.window(_WEIGHTS).read_at
    # the entry is deflated; if it has another problem, reading all of it raises again
    except UnreadableError:
        inflated = archive.read_entry(_WEIGHTS, _MAX_DEFLATED_WEIGHT_BYTES)

        def read_at(offset: int, size: int) -> bytes:
            return inflated[offset : offset + size]

    version = as_dict(parse_json_or_none(_read_text(archive, _METADATA).encode())).get(
        "keras_version"
    )
    if not isinstance(version, str):
        version = None
    content = open_isolated(
        "hdf5", size, read_at, config=_read_text(archive, _CONFIG), version=version
    )
    content.notes.extend(archive.notes)
    return content


def _read_text(archive: Archive, name: str) -> str:
    """Return the text of an entry, or an empty text if the entry is missing or too
    large.
    """
    if not 0 < archive.sizes.get(name, 0) <= _MAX_JSON_BYTES:
        return ""
    return archive.read_entry(name, _MAX_JSON_BYTES).decode("utf-8", "replace")
