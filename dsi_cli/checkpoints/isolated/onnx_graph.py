"""What the nodes of an ONNX graph tell of its weights: order, which way round a matrix lies, names, and which compute outputs.

A product ``x @ W`` takes its weight as (inputs, outputs), a ``Gemm`` with ``transB`` as (outputs, inputs); a ``Transpose`` may
stand between. torch's exporters fold that ``Transpose`` into the matrix and name it ``onnx::MatMul_123`` or ``val_12``: the
bias that is added to the product, the scopes in a node's metadata, or its name (``/head/MatMul``) still say whose weight it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from dsi_cli.errors import UnreadableError

_PASSING = frozenset({"Identity", "Cast", "CastLike"})
"""Operators whose output is their first input, as far as a weight is concerned."""
_PRODUCTS = frozenset({"MatMul", "Gemm", "FusedMatMul", "FusedGemm"})
_BIASED = frozenset({"Gemm", "FusedGemm", "Conv"})
"""Operators whose third input is a bias."""
_LAYERS = _PRODUCTS | _BIASED
_GENERIC = re.compile(
    r"(onnx::\w+_\d+|val_\d+|\d+|(t|transpose|permute|numpy_t)(_\d+)?|const_fold_opt__\d+|.*Constant(_\d+)?_output_\d+|.*/ReadVariableOp(:\d+)?)",
    re.DOTALL,
)
"""Names that an exporter makes up."""
_LAYER_PATH = re.compile(r"/?(.+)/(MatMul|Gemm|Conv\w*)(_\d+)?", re.DOTALL)


_ADDED = frozenset({"Add", "Sub", "Mul", "Div"})
"""Operators that shift or scale: the input that is no weight is followed back."""
_FOLLOWED = frozenset(
    {
        *("Softmax", "LogSoftmax", "Sigmoid", "Identity", "Cast", "CastLike", "Dropout", "BatchNormalization"),
        *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
        *("GlobalAveragePool", "GlobalMaxPool", "AveragePool", "MaxPool", "ReduceMean", "ReduceMax"),
    }
)
"""Operators between the classifier and the output: their first input is followed back."""
_SCOPES = "pkg.torch.onnx.name_scopes"


class _Value(NamedTuple):
    """A value in the graph that is a weight, or one transposed."""

    weight: str
    is_transposed: bool


class Graph:
    """The weights of a graph, and what its nodes tell of them.

    Attributes
    ----------
    weights : the initialisers, and what ``Constant`` nodes hold for layers, by name
    transposed : the names of matrices that a product takes as (inputs, outputs)

    Raises
    ------
    UnreadableError
        Two initialisers have one name.
    """

    def __init__(self, graph: GraphProto) -> None:
        self._graph = graph
        self.weights = {one.name: one for one in graph.initializer}
        if len(self.weights) != len(graph.initializer):
            raise UnreadableError("two initialisers have one name")
        constants = _constants(graph)
        of_layers = {name for node in graph.node if node.op_type in _LAYERS for name in node.input}
        self._constants = set(constants) | set(self.weights)
        self.weights |= {name: one for name, one in constants.items() if name in of_layers and name not in self.weights}
        self._values = {name: _Value(name, False) for name in self.weights}
        self._places: dict[str, int] = {}
        self._is_transposed: dict[str, bool] = {}
        self._by_module: dict[str, str] = {}
        self._by_bias: dict[str, str] = {}
        """Names by the name of the bias, which is better evidence than the name of the module."""
        self._products: dict[str, str] = {}
        """The outputs of products, and whose weight they are made with."""
        for place, node in enumerate(graph.node):
            self._take(place, node)
        self.transposed = {name for name, is_transposed in self._is_transposed.items() if is_transposed}

    def names(self) -> dict[str, str]:
        """Return the readable names of the weights by their own, in the order in which nodes compute with them."""
        shown: dict[str, str] = {}
        taken: set[str] = set()
        for name in sorted(self.weights, key=lambda name: self._places.get(name, len(self._graph.node))):
            readable = self._by_bias.get(name) or self._by_module.get(name) or name
            shown[name] = name if readable in self.weights or readable in taken else readable
            taken.add(shown[name])
        return shown

    def outputs(self) -> list[str] | None:
        """Return the names of the weights whose layers compute the graph's outputs; None if one of them cannot be followed."""
        made_by = {name: node for node in self._graph.node for name in node.output}
        found = [self._of_output(output.name, made_by) for output in self._graph.output]
        names = self.names()
        weights = [names[weight] for weight in found if weight is not None]
        return list(dict.fromkeys(weights)) if weights and len(weights) == len(found) else None

    def _of_output(self, name: str, made_by: dict[str, NodeProto]) -> str | None:
        seen: set[str] = set()
        while name in made_by and name not in seen:
            seen.add(name)
            node = made_by[name]
            if node.op_type in _LAYERS:
                value = self._weight_of(node)
                return value.weight if value is not None else None
            inputs = list(node.input)
            if node.op_type in _ADDED:
                inputs = [one for one in inputs if one not in self._constants and one not in self._values]
            is_followed = bool(inputs) and (node.op_type in _FOLLOWED or (node.op_type in _ADDED and len(inputs) == 1))
            name = inputs[0] if is_followed else ""
        return None

    def _take(self, place: int, node: NodeProto) -> None:
        """Note what a node tells; nodes stand in the order of the computation."""
        if node.op_type in _PASSING or node.op_type == "Transpose":
            self._pass_on(node)
            return
        for name in node.input:
            if name in self._values:
                self._places.setdefault(self._values[name].weight, place)
        if node.op_type in _PRODUCTS:
            self._orient(node)
        if node.op_type in _LAYERS:
            self._name_layer(node)
        elif node.op_type == "Add":
            self._name_by_added(node)

    def _value(self, inputs: Sequence[str], place: int) -> _Value | None:
        return self._values.get(inputs[place]) if place < len(inputs) else None

    def _weight_of(self, node: NodeProto) -> _Value | None:
        return self._value(node.input, 1) or (self._value(node.input, 0) if node.op_type == "MatMul" else None)

    def _pass_on(self, node: NodeProto) -> None:
        """Note what a node hands on: a weight as it is or transposed, or the output of a product."""
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

    def _orient(self, node: NodeProto) -> None:
        """Note which way round the matrices of a product lie; the first product that takes one decides."""
        numbers = _numbers(node) if node.op_type != "MatMul" else {}
        for place, has_outputs_last in ((1, numbers.get("transB", 0) != 1), (0, numbers.get("transA", 0) == 1)):
            value = self._value(node.input, place)
            if value is not None:
                self._is_transposed.setdefault(value.weight, has_outputs_last != value.is_transposed)

    def _name_layer(self, node: NodeProto) -> None:
        """Note what the weight of a layer may be called, and that the layer's output is made with it."""
        value = self._weight_of(node)
        if value is None or not node.output:
            return
        self._products[node.output[0]] = value.weight
        if not _GENERIC.fullmatch(value.weight):
            return
        if node.op_type in _BIASED:
            self._name_by_bias(value.weight, self._value(node.input, 2))
        module = _scope(node) or _module(node.name)
        if module:
            self._by_module.setdefault(value.weight, f"{module}.weight")

    def _name_by_added(self, node: NodeProto) -> None:
        """Note the name of a weight by the bias that is added to its product."""
        for product, bias in (node.input[:2], node.input[1::-1]) if len(node.input) == 2 else ():
            weight = self._products.get(product)
            if weight is not None and _GENERIC.fullmatch(weight):
                self._name_by_bias(weight, self._values.get(bias))

    def _name_by_bias(self, weight: str, bias: _Value | None) -> None:
        if bias is None or len(self.weights[bias.weight].dims) != 1:
            return
        layer, dot, last = bias.weight.rpartition(".")
        if last == "bias":
            self._by_bias.setdefault(weight, f"{layer}{dot}weight")


def _constants(graph: GraphProto) -> dict[str, TensorProto]:
    """Return the tensors that ``Constant`` nodes hold, by the name of their output."""
    found: dict[str, TensorProto] = {}
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            tensors = [one.t for one in node.attribute if one.type == AttributeProto.TENSOR]
            found.update(dict.fromkeys(node.output[:1], tensors[0]) if tensors else {})
    return found


def _numbers(node: NodeProto) -> dict[str, Any]:
    """Return the attributes of a node that are integers, or lists of these."""
    return {one.name: list(one.ints) if one.type == AttributeProto.INTS else one.i for one in node.attribute}


def _scope(node: NodeProto) -> str:
    """Return the module that torch's newer exporter says a node is from: ``"['', 'body', 'body.0', 'linear']"`` -> ``body.0``."""
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            modules: list[str] = re.findall(r"'([^']*)'", entry.value)[:-1]
            return modules[-1] if modules else ""
    return ""


def _module(name: str) -> str:
    """Return the module that the name of a node tells, without a slash at its beginning or scopes said twice.

    >>> _module("/blocks/blocks.0/attn/qkv/MatMul_1"), _module("/MatMul")
    ('blocks.0.attn.qkv', '')
    """
    found = _LAYER_PATH.fullmatch(name)
    parts: list[str] = []
    for part in found[1].split("/") if found else ():
        if parts and part.startswith(f"{parts[-1]}."):
            parts[-1] = part
        else:
            parts.append(part)
    return ".".join(parts)
