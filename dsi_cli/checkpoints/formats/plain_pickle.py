"""``pickle.dump`` of a state dict with tensors (each a small file of ``torch.save`` inside the pickle) or NumPy arrays.

The file is one pickle, so dsi reads all of it. The arrays are views of its bytes.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.checkpoints.pickle.machine import ExhaustedError, read_pickle
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import PendingError, UnreadableError

MAX_PICKLE_BYTES = 2 << 30


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of a plain pickle; errors as `formats.open_content`."""
    if source.size > MAX_PICKLE_BYTES:
        message = f"a plain pickle of {source.size} bytes; more than {MAX_PICKLE_BYTES} are not read"
        raise UnreadableError(message, code="pickle-too-large")
    try:
        tree, _ = read_pickle(source.read_at(0, source.size))
    except ExhaustedError as error:
        raise PendingError(f"{error}: cut off, or still being written", code="cut-off") from None

    def read(_tensor: Tensor) -> NDArray[Any]:
        raise UnreadableError("the bytes of the tensor are not in the pickle", code="missing-storage")

    return CheckpointContent(tree, read)
