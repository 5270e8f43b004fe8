"""What a reader in the child process returns: the tensors and values of a file, and a way to read one tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass
class FileContents:
    """The contents of one file.

    Attributes
    ----------
    read : returns the tensor with a key
    tensors : of each tensor its name, dtype (as `dsi_cli.checkpoints.tensors` names it), shape and key, in the order of the network
    values : whatever else the file holds by name, as JSON has it
    outputs : the names of the weights whose layers compute the outputs of the model; None if the file does not tell
    transposed : the names of matrices that are stored as (inputs, outputs)
    """

    read: Callable[[str], NDArray[Any]]
    tensors: list[tuple[str, str, list[int], str]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    outputs: list[str] | None = None
    transposed: list[str] = field(default_factory=list)


def dtype_name(array_dtype: Any) -> str:
    """Return the name of a NumPy dtype, those of ``ml_dtypes`` included; two bytes without a meaning are bfloat16.

    Examples
    --------
    >>> import numpy as np
    >>> dtype_name(np.dtype(">f4")), dtype_name(np.dtype("V2"))
    ('float32', 'bfloat16')
    """
    is_opaque = array_dtype.kind == "V" and array_dtype.itemsize == 2 and array_dtype.name.startswith("void")
    return "bfloat16" if is_opaque else str(array_dtype.name)
