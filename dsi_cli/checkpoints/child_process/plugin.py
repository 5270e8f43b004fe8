"""Files of a format that a plug-in reads (`dsi_cli.plugins`)."""

from __future__ import annotations

from typing import IO

import numpy as np

from dsi_cli import plugins
from dsi_cli.checkpoints.child_process import FileContents, dtype_name


def open_file(file: IO[bytes], name: str) -> FileContents:
    """Return the arrays that the plug-in finds in a file, by their names."""
    plugin = plugins.load(plugins.FORMATS)[name]
    arrays = {
        str(key): np.asarray(array) for key, array in plugin.content.read(file).items()
    }
    tensors = [
        (key, dtype_name(array.dtype), list(array.shape), key)
        for key, array in arrays.items()
    ]
    return FileContents(arrays.__getitem__, tensors)
