"""``pickle.dump`` of a state dict with tensors (each a small file of ``torch.save``
inside the pickle) or NumPy arrays.

The file is one pickle, so dsi reads all of it. The arrays are views of its bytes.
"""

from __future__ import annotations

from typing import Any

from dsi_cli.checkpoints.file_access import RandomAccessFile
from dsi_cli.checkpoints.formats import CheckpointContent, unread_format
from dsi_cli.checkpoints.pickle.machine import ExhaustedError, read_pickle
from dsi_cli.checkpoints.pickle.objects import PickledObject, array_of
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import PendingError, UnreadableError

MAX_PICKLE_BYTES = 2 << 30
_PADDLE_NAMES = "StructuredToParameterName@@"
"""The entry by which a state dict of Paddle is recognised; its linear layers store a
column for each output.
"""


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of a plain pickle; errors as `formats.open_content`."""
    if source.size > MAX_PICKLE_BYTES:
        message = (
            f"the pickle has {source.size} bytes; dsi reads up to {MAX_PICKLE_BYTES}"
        )
        raise UnreadableError(message, code="pickle-too-large")
    data = source.read_at(0, source.size)
    try:
        tree, _ = read_pickle(data)
    except ExhaustedError as error:
        raise PendingError(str(error), code="cut-off") from None
    except UnreadableError:
        # joblib writes the bytes of arrays between the instructions of the pickle.
        if b"joblib.numpy_pickle" in data:
            raise unread_format("joblib") from None
        raise
    if isinstance(tree, dict) and _PADDLE_NAMES in tree:
        tree = {name: _with_output_rows(name, value) for name, value in tree.items()}
    return CheckpointContent(tree)


def _with_output_rows(name: Any, value: Any) -> Any:
    """Return an entry of Paddle's state dict, the weight of a linear layer with its
    outputs as rows.

    The name of a table of embeddings, which has a row for each entry, is only known to
    be such by its name.
    """
    array = array_of(value) if isinstance(value, PickledObject) else value
    if (
        not isinstance(array, Tensor)
        or len(array.shape) != 2
        or not str(name).endswith("weight")
        or "emb" in str(name)
    ):
        return value
    return array.transposed._replace(has_output_rows=True)
