"""Analysis of the nodes of an ONNX graph: the order, orientation and names of its weights, and the layers of its outputs.

A product ``x @ W`` takes its weight as (inputs, outputs), and a ``Gemm`` with ``transB`` as (outputs, inputs). A ``Transpose`` may
come between them. Torch's exporters fold the ``Transpose`` into the matrix and rename it ``onnx::MatMul_123`` or ``val_12``. The
layer of such a weight follows from the bias added to the product, from the scopes in the node's metadata, or from the node's name
(``/head/MatMul``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from dsi_cli.errors import UnreadableError

_PASSING = frozenset({"Identity", "Cast", "CastLike"})
"""Operators that pass a weight on unchanged."""
_PRODUCTS = frozenset({"MatMul", "Gemm", "FusedMatMul", "FusedGemm"})
_BIASED = frozenset({"Gemm", "FusedGemm", "Conv"})
"""Operators whose third input is a bias."""
_LAYERS = _PRODUCTS | _BIASED
_GENERIC = re.compile(
    r"(onnx::\w+_\d+|val_\d+|\d+|(t|transpose|permute|numpy_t)(_\d+)?|const_fold_opt__\d+|.*Constant(_\d+)?_output_\d+|.*/ReadVariableOp(:\d+)?)",
    re.DOTALL,
)
"""Names that an exporter invents."""
_LAYER_PATH = re.compile(r"/?(.+)/(MatMul|Gemm|Conv\w*)(_\d+)?", re.DOTALL)
_ADDED = frozenset({"Add", "Sub", "Mul", "Div"})
"""Operators that shift or scale; the search for the output layer continues with the input that is not a weight."""
_FOLLOWED = frozenset(
    {
        *("Softmax", "LogSoftmax", "Sigmoid", "Identity", "Cast", "CastLike", "Dropout", "BatchNormalization"),
        *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
        *("GlobalAveragePool", "GlobalMaxPool", "AveragePool", "MaxPool", "ReduceMean", "ReduceMax"),
    }
)
"""Operators between the classifier and the output; the search for the output layer continues with their first input."""
_SCOPES = "pkg.torch.onnx.name_scopes"


class _Value(NamedTuple):
    weight: str
    is_transposed: bool


class Graph:
    """The weights of a graph, and their properties according to its nodes.

    Raise `UnreadableError` if two initialisers have one name.

    Attributes
    ----------
    weights : the initialisers, and the tensors in ``Constant`` nodes that layers use, by name
    transposed : the names of matrices that a product takes as (inputs, outputs)
    """

    def __init__(self, graph: GraphProto) -> None:
        self._graph = graph
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        if len(self.weights) != len(graph.initializer):
            raise UnreadableError("two initialisers have one name", code="duplicate-name")
        constants = _constants(graph)
        layer_inputs = {name for node in graph.node if node.op_type in _LAYERS for name in node.input}
        self._constants = set(constants) | set(self.weights)
        for name, tensor in constants.items():
            if name in layer_inputs:
                self.weights.setdefault(name, tensor)
        self._values = {name: _Value(name, False) for name in self.weights}
        self._first_uses: dict[str, int] = {}
        self._is_transposed: dict[str, bool] = {}
        self._names_by_module: dict[str, str] = {}
        self._names_by_bias: dict[str, str] = {}
        """The names of weights derived from their bias, which is better evidence than the module."""
        self._products: dict[str, str] = {}
        """The weight of each product, by the name of the product's output."""
        for index, node in enumerate(graph.node):
            self._add_node(index, node)
        self.transposed = {name for name, is_transposed in self._is_transposed.items() if is_transposed}

    def names(self) -> dict[str, str]:
        """Return the readable names of the weights by their original names, in the order in which nodes use the weights."""
        readable_names: dict[str, str] = {}
        taken: set[str] = set()
        for name in sorted(self.weights, key=lambda name: self._first_uses.get(name, len(self._graph.node))):
            readable = self._names_by_bias.get(name) or self._names_by_module.get(name) or name
            if readable in self.weights or readable in taken:
                readable = name
            readable_names[name] = readable
            taken.add(readable)
        return readable_names

    def outputs(self) -> list[str] | None:
        """Return the names of the weights whose layers compute the graph's outputs; None if the search fails for an output."""
        producers = {name: node for node in self._graph.node for name in node.output}
        readable_names = self.names()
        weights: dict[str, None] = {}
        for output in self._graph.output:
            weight = self._output_weight(output.name, producers)
            if weight is None:
                return None
            weights[readable_names[weight]] = None
        return list(weights) or None

    def _output_weight(self, name: str, producers: dict[str, NodeProto]) -> str | None:
        """Return the weight of the layer that computes a value, or None if there is no such layer."""
        visited: set[str] = set()
        while name in producers and name not in visited:
            visited.add(name)
            node = producers[name]
            if node.op_type in _LAYERS:
                value = self._layer_weight(node)
                return value.weight if value is not None else None
            inputs = list(node.input)
            if node.op_type in _ADDED:
                inputs = [value for value in inputs if value not in self._constants and value not in self._values]
                if len(inputs) != 1:
                    return None
            elif node.op_type not in _FOLLOWED or not inputs:
                return None
            name = inputs[0]
        return None

    def _add_node(self, index: int, node: NodeProto) -> None:
        """Record the properties of weights that follow from a node; nodes are in the order of the computation."""
        if node.op_type in _PASSING or node.op_type == "Transpose":
            self._propagate(node)
            return
        for name in node.input:
            if name in self._values:
                self._first_uses.setdefault(self._values[name].weight, index)
        if node.op_type in _PRODUCTS:
            # Record whether the matrices are transposed; the first product that uses a matrix decides.
            numbers = _numbers(node) if node.op_type != "MatMul" else {}
            for position, has_outputs_last in ((1, numbers.get("transB", 0) != 1), (0, numbers.get("transA", 0) == 1)):
                value = self._value(node.input, position)
                if value is not None:
                    self._is_transposed.setdefault(value.weight, has_outputs_last != value.is_transposed)
        if node.op_type in _LAYERS:
            self._name_layer(node)
        elif node.op_type == "Add" and len(node.input) == 2:
            # Name a weight after the bias that is added to its product.
            for product, bias in (node.input[:2], node.input[1::-1]):
                weight = self._products.get(product)
                if weight is not None and _GENERIC.fullmatch(weight):
                    self._name_by_bias(weight, self._values.get(bias))

    def _value(self, inputs: Sequence[str], index: int) -> _Value | None:
        return self._values.get(inputs[index]) if index < len(inputs) else None

    def _layer_weight(self, node: NodeProto) -> _Value | None:
        value = self._value(node.input, 1)
        if value is None and node.op_type == "MatMul":
            return self._value(node.input, 0)
        return value

    def _propagate(self, node: NodeProto) -> None:
        """Record the output of a node that passes on a weight, a transposed weight or the output of a product."""
        if not node.output:
            return
        value = self._value(node.input, 0)
        if value is None:
            if node.op_type in _PASSING and node.input and node.input[0] in self._products:
                self._products[node.output[0]] = self._products[node.input[0]]
            return
        if node.op_type == "Transpose":
            if len(self.weights[value.weight].dims) != 2:
                return
            is_turned = _numbers(node).get("perm", [1, 0]) == [1, 0]
            value = value._replace(is_transposed=value.is_transposed != is_turned)
        self._values[node.output[0]] = value

    def _name_layer(self, node: NodeProto) -> None:
        """Record a readable name for the weight of a layer, and that the layer's output depends on the weight."""
        value = self._layer_weight(node)
        if value is None or not node.output:
            return
        self._products[node.output[0]] = value.weight
        if not _GENERIC.fullmatch(value.weight):
            return
        if node.op_type in _BIASED:
            self._name_by_bias(value.weight, self._value(node.input, 2))
        module = _scope(node) or _module(node.name)
        if module:
            self._names_by_module.setdefault(value.weight, f"{module}.weight")

    def _name_by_bias(self, weight: str, bias: _Value | None) -> None:
        if bias is None or len(self.weights[bias.weight].dims) != 1:
            return
        layer, dot, last = bias.weight.rpartition(".")
        if last == "bias":
            self._names_by_bias.setdefault(weight, f"{layer}{dot}weight")


def _constants(graph: GraphProto) -> dict[str, TensorProto]:
    """Return the tensors in ``Constant`` nodes by the name of the node's output."""
    constants: dict[str, TensorProto] = {}
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            tensors = [attribute.t for attribute in node.attribute if attribute.type == AttributeProto.TENSOR]
            if tensors:
                constants[node.output[0]] = tensors[0]
    return constants


def _numbers(node: NodeProto) -> dict[str, Any]:
    """Return the attributes of a node that are integers or lists of integers."""
    numbers: dict[str, Any] = {}
    for attribute in node.attribute:
        numbers[attribute.name] = list(attribute.ints) if attribute.type == AttributeProto.INTS else attribute.i
    return numbers


def _scope(node: NodeProto) -> str:
    """Return a node's module according to torch's newer exporter: ``"['', 'body', 'body.0', 'linear']"`` -> ``body.0``."""
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            modules: list[str] = re.findall(r"'([^']*)'", entry.value)[:-1]
            return modules[-1] if modules else ""
    return ""


def _module(name: str) -> str:
    """Return the module in the name of a node, without a leading slash and without repeated scopes.

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
