"""ONNX models, read with ``onnx``: the weights in initialisers and ``Constant`` nodes, and those that compute the outputs.

`dsi_cli.checkpoints.isolated.onnx_graph` finds out from the nodes how weights are used. ``transposed`` lists every matrix of a
``Gemm`` or ``MatMul`` that is stored as (inputs, outputs). The parent reads elements in other files (external data).
"""

from __future__ import annotations

import ast
from typing import IO, Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from dsi_cli.checkpoints.isolated import FileContents, dtype_name
from dsi_cli.checkpoints.isolated.onnx_graph import Graph
from dsi_cli.errors import PendingError, UnreadableError

EXTERNAL = "__external_data__"
"""The name of the value with the ``external_data`` entries by key, which locate elements in other files."""
_MIN_VERSION_WITH_OPSETS = 3
"""The first version of the format in which a model lists its operator sets, which follow the graph."""
_MAX_TEXT_LENGTH = 1 << 20
_LENGTH_PREFIXED = 2
"""The wire type of a field that begins with its length."""


def open_file(file: IO[bytes]) -> FileContents:
    """Return the weights of a model in the order in which its nodes use them, and its metadata."""
    data = file.read()
    try:
        model: ModelProto = ModelProto.FromString(data)
    except DecodeError:
        if _breaks_off(data):
            raise PendingError("the model breaks off in the middle", code="cut-off") from None
        raise UnreadableError("damaged: onnx cannot read it", code="damaged") from None
    if not model.HasField("graph"):
        raise PendingError("breaks off before its graph", code="cut-off")
    if model.ir_version >= _MIN_VERSION_WITH_OPSETS and not model.opset_import:
        raise PendingError("breaks off behind its graph", code="cut-off")
    graph = Graph(model.graph)
    weights = list(graph.weights.values())
    indices = {name: index for index, name in enumerate(graph.weights)}

    def read(key: str) -> NDArray[Any]:
        return np.asarray(numpy_helper.to_array(weights[int(key)]))

    listing = FileContents(read, outputs=graph.outputs())
    external: dict[str, dict[str, str]] = {}
    for name, readable_name in graph.names().items():
        tensor = graph.weights[name]
        key = str(indices[name])
        listing.tensors.append((readable_name, _dtype(tensor.data_type), list(tensor.dims), key))
        if name in graph.transposed and len(tensor.dims) == 2:
            listing.transposed.append(readable_name)
        if tensor.data_location == TensorProto.EXTERNAL:
            external[key] = {entry.key: entry.value for entry in tensor.external_data}
    metadata = _metadata(model)
    if metadata:
        listing.values["__metadata__"] = metadata
    if external:
        listing.values[EXTERNAL] = external
    return listing


def _dtype(kind: int) -> str:
    """Return the name of an element type; dsi lists ``string`` and unknown types, but does not read them."""
    if kind == TensorProto.STRING:
        return "string"
    try:
        return dtype_name(helper.tensor_dtype_to_np_dtype(kind))
    except (KeyError, TypeError, ValueError):
        return f"type {kind}"


def _breaks_off(data: bytes) -> bool:
    """Return whether the last field of the message extends beyond its end."""
    offset = 0
    while offset < len(data):
        tag, offset = _varint(data, offset)
        size, offset = _varint(data, offset)
        if tag & 7 not in (0, _LENGTH_PREFIXED):
            return False
        if tag & 7 == _LENGTH_PREFIXED:
            offset += size
    return offset > len(data)


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    """Return a number of seven bits per byte and the offset after it, which is beyond the end if the number breaks off."""
    number = 0
    for index in range(10):
        if offset + index >= len(data):
            return 0, len(data) + 1
        byte = data[offset + index]
        number |= (byte & 127) << 7 * index
        if byte < 128:
            return number, offset + index + 1
    return number, offset + 10


def _metadata(model: ModelProto) -> dict[str, Any]:
    """Return texts by key; the class names that Ultralytics stores as a Python literal become a mapping."""
    metadata: dict[str, Any] = {"producer_name": model.producer_name} if model.producer_name else {}
    for entry in model.metadata_props:
        metadata.setdefault(entry.key, entry.value if len(entry.value) <= _MAX_TEXT_LENGTH else "")
    text = metadata.get("names")
    if isinstance(text, str) and text.startswith("{"):
        try:
            names = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return metadata
        if isinstance(names, dict) and all(isinstance(name, str) for name in names.values()):
            metadata["names"] = {str(index): name for index, name in names.items()}
    return metadata
