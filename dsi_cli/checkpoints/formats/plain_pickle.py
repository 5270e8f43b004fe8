"""``pickle.dump`` of a state dict with tensors (each a small file of ``torch.save``
inside the pickle) or NumPy arrays.

The file is one pickle, so dsi reads all of it. The arrays are views of its bytes. Class
names are also read from a pickle: from scikit-learn's ``LabelEncoder``, a list or an
index map.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from dsi_cli.checkpoints.file_access import RandomAccessFile
from dsi_cli.checkpoints.formats import CheckpointContent, unread_format
from dsi_cli.checkpoints.pickle.machine import ExhaustedError, read_pickle
from dsi_cli.checkpoints.pickle.objects import (
    PickledGlobal,
    PickledObject,
    array_of,
    dtype_of,
)
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.checkpoints.trainers import as_dict, plain_data
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
        raise PendingError(
            f"{error}: cut off, or still being written", code="cut-off"
        ) from None
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


def read_class_names(data: bytes) -> Any:
    """Return the class names in a pickle as a list or as an index map.

    For a ``LabelEncoder``, these are its ``classes_``, an array of text. For other
    contents, the result may be any plain data.

    Raise `UnreadableError` if the bytes are not a pickle, or they are an object without
    class names in an array of text (``no-class-names``).
    """
    contents, _ = read_pickle(data)
    if not isinstance(contents, PickledObject):
        return plain_data(contents, depth=2)
    classes = as_dict(contents.state).get("classes_")
    names = _texts(classes) if isinstance(classes, PickledObject) else classes
    if not isinstance(names, list):
        kind = (
            contents.callee.name[:60]
            if isinstance(contents.callee, PickledGlobal)
            else "object"
        )
        raise UnreadableError(
            f"a pickled {kind} without class names in an array of text",
            code="no-class-names",
            kind=kind,
        )
    return names


def _texts(array: PickledObject) -> list[Any] | None:
    """Return the elements of a pickled NumPy array of text; None for anything else."""
    if (
        isinstance(array.state, tuple) and len(array.state) == 5
    ):  # pickle protocols up to 4
        shape, dtype, data = array.state[1], array.state[2], array.state[4]
    elif isinstance(array.args, tuple) and len(array.args) >= 3:  # pickle protocol 5
        data, dtype, shape = array.args[:3]
    else:
        return None
    if isinstance(data, list):  # an array of Python objects
        return data
    # The data type is U and the number of characters.
    code, is_big_endian = dtype_of(dtype)
    is_vector = isinstance(shape, tuple) and len(shape) == 1
    if (
        not re.fullmatch(r"U[1-9]\d{0,5}", code)
        or not is_vector
        or not isinstance(data, bytes | memoryview)
    ):
        return None
    try:
        texts: list[Any] = np.frombuffer(
            data, f"{'>' if is_big_endian else '<'}{code}"
        ).tolist()
        "".join(texts).encode()  # raises an error for half a character
    except ValueError:
        return None
    return texts
