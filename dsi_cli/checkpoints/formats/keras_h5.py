"""HDF5 files: Keras' weights (``.weights.h5``), its models before version 3 (``.h5``), and arrays from other writers.

The tree is flat and maps names to parameters. If Keras wrote the file, ``__metadata__`` states this and the version, if known.
"""

from __future__ import annotations

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.checkpoints.isolated.client import open_isolated


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of an HDF5 file; errors as `formats.open_content`."""
    return open_isolated("hdf5", source.size, source)
