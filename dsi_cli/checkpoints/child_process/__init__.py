"""Readers for the formats of other libraries, which run in a child process.

The HDF5 library, protobuf and TensorStore are written in C and C++. A damaged or
hostile file can make them crash or take all memory. In a child process with limits,
such a file only makes one checkpoint fail, with a reason.

- `client`: starts the child, sends requests and enforces the limits
- `worker`: runs in the child and handles requests with one of the readers
- `hdf5`, `onnx_model`, `flax_msgpack`, `orbax_folder`, `event_file`: one reader per
  format, which returns `FileContents`
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

EXTERNAL_DATA = "__external_data__"
"""The name of the value with ONNX's ``external_data`` entries by key, which locate
elements in other files.
"""


@dataclass
class FileContents:
    """The contents of one file."""

    # returns the tensor with a key; without tensors, it is not called
    read: Callable[[str], NDArray[Any]] | None = None
    tensors: list[tuple[str, str, list[int], str]] = field(default_factory=list)
    """The name, dtype (named as in `dsi_cli.checkpoints.tensors`), shape and key of
    each tensor, in the network's order.
    """
    # all other contents by name, as values that JSON can represent
    values: dict[str, Any] = field(default_factory=dict)
    outputs: list[str] | None = None
    """The names of the weights whose layers compute the outputs of the model; None if
    the file does not state them.
    """
    output_axes: dict[str, int] = field(default_factory=dict)
    """The axis of the outputs, 0 or 1, by the name of the weight, if the file states
    it; a matrix with axis 1 is transposed.
    """


def dtype_name(array_dtype: Any) -> str:
    """Return the name of a NumPy or ``ml_dtypes`` dtype; a dtype of two opaque bytes is
    bfloat16.

    >>> import numpy as np
    >>> dtype_name(np.dtype(">f4")), dtype_name(np.dtype("V2"))
    ('float32', 'bfloat16')
    """
    is_opaque = (
        array_dtype.kind == "V"
        and array_dtype.itemsize == 2
        and array_dtype.name.startswith("void")
    )
    return "bfloat16" if is_opaque else str(array_dtype.name)
