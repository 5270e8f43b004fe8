"""``pickle.dump`` of a state dict: of tensors, each a small file of ``torch.save`` within the pickle, or of NumPy arrays.

The whole file is one pickle, so it is read whole; its arrays are views of it.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.checkpoints.pickle.machine import ExhaustedError, read_pickle
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import PendingError, UnreadableError

LARGEST = 2 << 30


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of a plain pickle; errors as for `dsi_cli.checkpoints.formats.open_content`."""
    if source.size > LARGEST:
        raise UnreadableError(f"a plain pickle of {source.size} bytes; more than {LARGEST} are not read")
    try:
        tree, _ = read_pickle(source.read_at(0, source.size))
    except ExhaustedError as error:
        raise PendingError(f"{error}: cut off, or still being written") from None
    return CheckpointContent(tree, _read)


def _read(_tensor: Tensor) -> NDArray[Any]:
    raise UnreadableError("the tensor's bytes do not stand within the pickle")
