"""ONNX models, read with ``onnx``: the weights in initialisers and ``Constant`` nodes,
and those that compute the outputs.

The nodes show how weights are used (`Graph`): their order, their orientation and their
names. A product ``x @ W`` takes its weight as (inputs, outputs), and a ``Gemm`` with
``transB`` as (outputs, inputs). A ``Transpose`` may come between them. Torch's
exporters fold the ``Transpose`` into the matrix and rename it ``onnx::MatMul_123`` or
``val_12``. The layer of such a weight follows from the bias added to the product, from
the scopes in the node's metadata, or from the node's name (``/head/MatMul``).

The parent process reads elements in other files (external data).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    numpy_helper,
)

from dsi_cli.checkpoints.child_process import EXTERNAL_DATA, FileContents, dtype_name
from dsi_cli.errors import PendingError, UnreadableError

_MAX_TEXT_LENGTH = 1 << 20
_LENGTH_PREFIXED = 2  # the wire type of a field that begins with its length
# operators that pass a weight on unchanged
_PASSING = frozenset({"Identity", "Cast", "CastLike"})
_PRODUCTS = frozenset({"MatMul", "Gemm", "FusedMatMul", "FusedGemm"})
# operators whose third input is a bias
_BIASED = frozenset({"Gemm", "FusedGemm", "Conv"})
_LAYERS = _PRODUCTS | _BIASED
_GENERIC = re.compile(
    r"(onnx::\w+_\d+|val_\d+|\d+|(t|transpose|permute|numpy_t)(_\d+)?|const_fold_opt__\d+|.*Constant(_\d+)?_output_\d+|.*/ReadVariableOp(:\d+)?)",
    re.DOTALL,
)
"""Names that an exporter invents."""
_LAYER_PATH = re.compile(r"/?(.+)/(MatMul|Gemm|Conv\w*)(_\d+)?", re.DOTALL)
_ADDED = frozenset({"Add", "Sub", "Mul", "Div"})
"""Operators that shift or scale; the search for the output layer continues with the
input that is not a weight.
"""
_FOLLOWED = frozenset(
    {
        *(
            "Softmax",
            "LogSoftmax",
            "Sigmoid",
            "Identity",
            "Cast",
            "CastLike",
            "Dropout",
            "BatchNormalization",
        ),
        *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
        *(
            "GlobalAveragePool",
            "GlobalMaxPool",
            "AveragePool",
            "MaxPool",
            "ReduceMean",
            "ReduceMax",
        ),
    }
)
"""Operators between the classifier and the output; the search for the output layer
continues with their first input.
"""


def open_file(file: IO[bytes]) -> FileContents:
    """Return the weights of a model in the order in which its nodes use them, and its
    metadata.
    """
    data = file.read()
    try:
        model: ModelProto = ModelProto.FromString(data)
    except DecodeError:
        if _breaks_off(data):
            raise PendingError(
                "the model breaks off in the middle", code="cut-off"
            ) from None
        raise UnreadableError("damaged: onnx cannot read it", code="damaged") from None
    if not model.HasField("graph"):
        raise PendingError("breaks off before its graph", code="cut-off")
    # Since version 3 of the format, a model lists its operator sets, which follow the
    # graph.
    if model.ir_version >= 3 and not model.opset_import:
        raise PendingError("breaks off behind its graph", code="cut-off")
    graph = Graph(model.graph)
    weights = list(graph.weights.values())
    listing = FileContents(
        lambda key: np.asarray(numpy_helper.to_array(weights[int(key)].tensor)),
        outputs=graph.outputs(),
    )
    external: dict[str, dict[str, str]] = {}
    for index, weight in sorted(enumerate(weights), key=lambda item: item[1].first_use):
        tensor, key = weight.tensor, str(index)
        # Texts and unknown types are listed, but not read.
        dtype = f"type {tensor.data_type}"
        with suppress(KeyError, TypeError, ValueError):
            is_text = tensor.data_type == TensorProto.STRING
            if is_text:
                dtype = "string"
            else:
                dtype = dtype_name(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        listing.tensors.append((weight.name, dtype, list(tensor.dims), key))
        is_matrix = len(tensor.dims) == 2
        if weight.is_convolution or (is_matrix and weight.is_transposed is not None):
            listing.output_axes[weight.name] = int(
                is_matrix and bool(weight.is_transposed)
            )
        if tensor.data_location == TensorProto.EXTERNAL:
            external[key] = {entry.key: entry.value for entry in tensor.external_data}
    metadata = _metadata(model)
    if metadata:
        listing.values["__metadata__"] = metadata
    if external:
        listing.values[EXTERNAL_DATA] = external
    return listing


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
    """Return a number of seven bits per byte and the offset after it, which is beyond
    the end if the number breaks off.
    """
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
    """Return texts by key; the class names that Ultralytics stores as a Python literal
    become a mapping.
    """
    metadata: dict[str, Any] = (
        {"producer_name": model.producer_name} if model.producer_name else {}
    )
    for entry in model.metadata_props:
        metadata.setdefault(
            entry.key, entry.value if len(entry.value) <= _MAX_TEXT_LENGTH else ""
        )
    text = metadata.get("names")
    if isinstance(text, str) and text.startswith("{"):
        try:
            names = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return metadata
        if isinstance(names, dict) and all(
            isinstance(name, str) for name in names.values()
        ):
            metadata["names"] = {str(index): name for index, name in names.items()}
    return metadata


@dataclass
class _Weight:
    """A weight, and its properties according to the nodes that use it."""

    name: str
    tensor: TensorProto
    first_use: int  # the index of the first node that uses it, or the number of nodes
    is_transposed: bool | None = None
    """True if the first product that uses the matrix takes it as (inputs, outputs);
    None if no product uses it.
    """
    # the name that follows from the bias of its layer, which is better evidence than
    # the module
    name_by_bias: str = ""
    name_by_module: str = ""
    # True if a convolution uses it, whose first axis is the output
    is_convolution: bool = False


class _Value(NamedTuple):
    weight: _Weight
    is_transposed: bool


class Graph:
    """The weights of a graph: the initialisers, and the tensors in ``Constant`` nodes
    that layers use.

    Raise `UnreadableError` if two initialisers have one name.
    """

    def __init__(self, graph: GraphProto) -> None:
        self._graph = graph
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        if len(tensors) != len(graph.initializer):
            raise UnreadableError(
                "two initialisers have one name", code="duplicate-name"
            )
        constants = _constants(graph)
        self._constants = constants.keys() | tensors.keys()
        layer_inputs = {
            name
            for node in graph.node
            if node.op_type in _LAYERS
            for name in node.input
        }
        tensors |= {
            name: constants[name]
            for name in constants
            if name in layer_inputs and name not in tensors
        }
        self.weights = {
            name: _Weight(name, tensor, len(graph.node))
            for name, tensor in tensors.items()
        }
        self._values = {
            name: _Value(weight, False) for name, weight in self.weights.items()
        }
        self._products: dict[str, _Weight] = {}
        """The weight of each product, by the name of the product's output."""
        for index, node in enumerate(graph.node):
            self._add_node(index, node)
        # Replace invented names by readable ones that are not taken.
        taken: set[str] = set()
        for weight in sorted(
            self.weights.values(), key=lambda weight: weight.first_use
        ):
            readable = weight.name_by_bias or weight.name_by_module
            if (
                readable
                and _GENERIC.fullmatch(weight.name)
                and readable not in self.weights
                and readable not in taken
            ):
                weight.name = readable
            taken.add(weight.name)

    def outputs(self) -> list[str] | None:
        """Return the names of the weights whose layers compute the graph's outputs;
        None if the search fails for an output.
        """
        producers = {name: node for node in self._graph.node for name in node.output}
        weights = [
            self._output_weight(output.name, producers) for output in self._graph.output
        ]
        names = dict.fromkeys(weight.name for weight in weights if weight is not None)
        return None if None in weights or not names else list(names)

    def _output_weight(
        self, name: str, producers: dict[str, NodeProto]
    ) -> _Weight | None:
        """Return the weight of the layer that computes a value, or None if the search
        fails.
        """
        visited: set[str] = set()
        while name in producers and name not in visited:
            if name in self._products:
                return self._products[name]
            visited.add(name)
            node = producers[name]
            inputs = list(node.input)
            if node.op_type in _ADDED:
                inputs = [
                    value
                    for value in inputs
                    if value not in self._constants and value not in self._values
                ]
                if len(inputs) != 1:
                    return None
            elif node.op_type not in _FOLLOWED or not inputs:
                return None
            name = inputs[0]
        return None

    def _add_node(self, index: int, node: NodeProto) -> None:
        """Record the properties of weights that follow from a node; nodes are in the
        order of the computation.
        """
        if node.op_type in _PASSING or node.op_type == "Transpose":
            self._propagate(node)
            return
        for name in node.input:
            if name in self._values:
                weight = self._values[name].weight
                weight.first_use = min(weight.first_use, index)
        if node.op_type in _PRODUCTS:
            for position, has_outputs_last in (
                (1, _attribute(node, "transB") != 1),
                (0, _attribute(node, "transA") == 1),
            ):
                value = self._value(node.input, position)
                if value is not None and value.weight.is_transposed is None:
                    value.weight.is_transposed = has_outputs_last != value.is_transposed
        if node.op_type in _LAYERS:
            self._add_layer(node)
        elif node.op_type == "Add" and len(node.input) == 2:
            for product, bias in (node.input[:2], node.input[1::-1]):
                if product in self._products:
                    self._name_by_bias(self._products[product], self._values.get(bias))

    def _add_layer(self, node: NodeProto) -> None:
        value = self._value(node.input, 1)
        if value is None and node.op_type == "MatMul":
            value = self._value(node.input, 0)
        if value is None or not node.output:
            return
        weight = self._products[node.output[0]] = value.weight
        weight.is_convolution |= node.op_type == "Conv"
        if node.op_type in _BIASED:
            self._name_by_bias(weight, self._value(node.input, 2))
        # Torch's newer exporter stores the scopes of a node: ``"['', 'body', 'body.0',
        # 'linear']"`` for the module ``body.0``.
        scopes = next(
            (
                entry.value
                for entry in node.metadata_props
                if entry.key == "pkg.torch.onnx.name_scopes"
            ),
            "",
        )
        modules = ["", *re.findall(r"'([^']*)'", scopes)[:-1]]
        module = modules[-1] or _module(node.name)
        if module and not weight.name_by_module:
            weight.name_by_module = f"{module}.weight"

    def _value(self, inputs: Sequence[str], index: int) -> _Value | None:
        return self._values.get(inputs[index]) if index < len(inputs) else None

    def _propagate(self, node: NodeProto) -> None:
        """Record the output of a node that passes on a weight, a transposed weight or
        the output of a product.
        """
        if not node.output:
            return
        value = self._value(node.input, 0)
        if value is None:
            if (
                node.op_type in _PASSING
                and node.input
                and node.input[0] in self._products
            ):
                self._products[node.output[0]] = self._products[node.input[0]]
            return
        if node.op_type == "Transpose":
            if len(value.weight.tensor.dims) != 2:
                return
            is_turned = _attribute(node, "perm") in (None, [1, 0])
            value = value._replace(is_transposed=value.is_transposed != is_turned)
        self._values[node.output[0]] = value

    def _name_by_bias(self, weight: _Weight, bias: _Value | None) -> None:
        if bias is None or len(bias.weight.tensor.dims) != 1 or weight.name_by_bias:
            return
        layer, dot, last = bias.weight.name.rpartition(".")
        if last == "bias":
            weight.name_by_bias = f"{layer}{dot}weight"


def _constants(graph: GraphProto) -> dict[str, TensorProto]:
    return {
        node.output[0]: attribute.t
        for node in graph.node
        for attribute in node.attribute
        if node.op_type == "Constant"
        and node.output
        and attribute.type == AttributeProto.TENSOR
    }


def _attribute(node: NodeProto, name: str) -> int | list[int] | None:
    """Return an attribute of a node that is an integer or a list of integers; None
    without it.
    """
    found = next(
        (attribute for attribute in node.attribute if attribute.name == name), None
    )
    if found is None:
        return None
    return list(found.ints) if found.type == AttributeProto.INTS else found.i


def _module(name: str) -> str:
    """Return the module in the name of a node, without a leading slash and without
    repeated scopes.

    >>> _module("/blocks/blocks.0/attn/qkv/MatMul_1"), _module("/MatMul")
    ('blocks.0.attn.qkv', '')
    """
    match = _LAYER_PATH.fullmatch(name)
    if match is None:
        return ""
    parts: list[str] = []
    for part in match[1].split("/"):
        if parts and part.startswith(f"{parts[-1]}."):
            parts[-1] = part
        else:
            parts.append(part)
    return ".".join(parts)
