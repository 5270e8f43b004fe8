"""ONNX models by ``onnx``: the weights among the initialisers and in ``Constant`` nodes, and which of them compute the outputs.

The nodes tell how a weight is meant (`dsi_cli.checkpoints.isolated.onnx_graph`): every matrix that a ``Gemm`` or ``MatMul``
multiplies by is named in ``transposed`` if it is stored as (inputs, outputs). The parent reads elements in
other files (external data).
"""

from __future__ import annotations

import ast
from typing import IO, Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from dsi_cli.checkpoints.isolated.listing import FileContents, dtype_name
from dsi_cli.checkpoints.isolated.onnx_graph import Graph
from dsi_cli.errors import PendingError, UnreadableError

EXTERNAL = "__external_data__"
"""The name of the value that says where elements in other files lie: by key the entries of ``external_data``."""
_NEEDS_OPSETS = 3
"""The version of the format since which a model names its operator sets, which stand behind the graph."""
_LONGEST_TEXT = 1 << 20
_BYTES = 2
"""The wire type of a field that begins with its length."""


def open_file(file: IO[bytes]) -> FileContents:
    """Return the weights of a model in the order in which its nodes use them, and its metadata."""
    model = _parsed(file.read())
    graph = Graph(model.graph)
    stored = list(graph.weights.values())
    numbers = {name: place for place, name in enumerate(graph.weights)}

    def read(key: str) -> NDArray[Any]:
        return np.asarray(numpy_helper.to_array(stored[int(key)]))

    listing = FileContents(read, outputs=graph.outputs())
    external: dict[str, dict[str, str]] = {}
    for name, shown in graph.names().items():
        tensor = graph.weights[name]
        key = str(numbers[name])
        listing.tensors.append((shown, _dtype(tensor.data_type), list(tensor.dims), key))
        if name in graph.transposed and len(tensor.dims) == 2:
            listing.transposed.append(shown)
        if tensor.data_location == TensorProto.EXTERNAL:
            external[key] = {entry.key: entry.value for entry in tensor.external_data}
    metadata = _metadata(model)
    if metadata:
        listing.values["__metadata__"] = metadata
    if external:
        listing.values[EXTERNAL] = external
    return listing


def _dtype(kind: int) -> str:
    """Return the name of an element type; ``string`` and unknown ones are listed, but not read."""
    if kind == TensorProto.STRING:
        return "string"
    try:
        return dtype_name(helper.tensor_dtype_to_np_dtype(kind))
    except (KeyError, TypeError, ValueError):
        return f"type {kind}"


def _parsed(data: bytes) -> ModelProto:
    try:
        model: ModelProto = ModelProto.FromString(data)
    except DecodeError:
        if _breaks_off(data):
            raise PendingError("the model breaks off in the middle") from None
        raise UnreadableError("damaged: onnx cannot read it") from None
    if not model.HasField("graph"):
        raise PendingError("breaks off before its graph")
    if model.ir_version >= _NEEDS_OPSETS and not model.opset_import:
        raise PendingError("breaks off behind its graph")
    return model


def _breaks_off(data: bytes) -> bool:
    """Return whether the last field of the message goes on beyond its end."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        size, at = _varint(data, at)
        if tag & 7 not in (0, _BYTES):
            return False
        at += size if tag & 7 == _BYTES else 0
    return at > len(data)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and where the next one begins: beyond the end if the number breaks off."""
    number = 0
    for place in range(10):
        if at + place >= len(data):
            return 0, len(data) + 1
        number |= (data[at + place] & 127) << 7 * place
        if data[at + place] < 128:
            return number, at + place + 1
    return number, at + 10


def _metadata(model: ModelProto) -> dict[str, Any]:
    """Return texts by key; the class names that Ultralytics keeps as a Python literal become a mapping."""
    found: dict[str, Any] = {"producer_name": model.producer_name} if model.producer_name else {}
    for entry in model.metadata_props:
        found.setdefault(entry.key, entry.value if len(entry.value) <= _LONGEST_TEXT else "")
    names = found.get("names")
    if isinstance(names, str) and names.startswith("{"):
        try:
            said = ast.literal_eval(names)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return found
        if isinstance(said, dict) and all(isinstance(name, str) for name in said.values()):
            found["names"] = {str(number): name for number, name in said.items()}
    return found
