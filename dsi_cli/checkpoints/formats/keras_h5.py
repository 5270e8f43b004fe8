"""HDF5 files: Keras' weights (``.weights.h5``), its models before version 3 (``.h5``), and arrays that somebody stored in groups.

The tree is flat, parameters by name; ``__metadata__`` says that Keras wrote it, and in which version if the file tells.
"""

from __future__ import annotations

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.checkpoints.isolated.client import open_isolated


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of an HDF5 file; errors as for `dsi_cli.checkpoints.formats.open_content`."""
    return open_isolated("hdf5", source.size, source)
