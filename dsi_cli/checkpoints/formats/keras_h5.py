"""HDF5 files: Keras' weights (``.weights.h5``), its models before version 3 (``.h5``), and arrays that somebody stored in groups.

The tree is flat, parameters by name; ``__metadata__`` says that Keras wrote it, and in which version if the file tells.
"""

from __future__ import annotations

import json
from typing import Any

from dsi_cli.checkpoints.formats import Content
from dsi_cli.checkpoints.formats.hdf5.file import File
from dsi_cli.checkpoints.formats.hdf5.ranges import Readable
from dsi_cli.checkpoints.formats.keras_names import OPTIMIZERS, is_keras, parameters
from dsi_cli.checkpoints.source import Source
from dsi_cli.checkpoints.tensors import Tensor

LARGEST_CONFIG = 8 << 20
"""Bytes of JSON; the largest networks of keras.applications have 1 MB. In a larger one the order of layers is not looked up."""
METADATA = "__metadata__"
_MOST_PARTS = 200_000
"""Lists and objects of a configuration, which take a hundred times their letters once they are read."""


def open_content(source: Source) -> Content:
    """Return the content of an HDF5 file; errors as for `dsi_cli.checkpoints.formats.open_content`."""
    return content_of(source)


def content_of(source: Readable, config: Any = None, version: str | None = None) -> Content:
    """Return the content of an HDF5 file.

    Parameters
    ----------
    source : its bytes
    config : the model's configuration, where it lies beside the file
    version : that of Keras, likewise
    """
    file = File(source, passed_over=OPTIMIZERS)
    if config is None:
        config = parsed(next(iter(file.text(file.root, "model_config")), ""))
    tree: dict[str, Any] = dict[str, Tensor](parameters(file, config))
    if is_keras(file):
        said = version or next(iter(file.text(file.root, "keras_version")), None)
        tree[METADATA] = {"keras_version": said}
    return Content(tree, file.read)


def parsed(text: str | bytes) -> Any:
    """Return a configuration's JSON; None where it is none, or too large."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if not data or len(data) > LARGEST_CONFIG or data.count(b"[") + data.count(b"{") > _MOST_PARTS:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
