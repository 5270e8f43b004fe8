"""What the nodes of an ONNX graph tell of its initialisers: their order, which way round a matrix lies, what it is called.

A product ``x @ W`` takes its weight as (inputs, outputs), a ``Gemm`` with ``transB`` as (outputs, inputs); a ``Transpose`` may
stand between. torch's exporters fold that ``Transpose`` into the matrix and name it ``onnx::MatMul_123`` or ``val_12``: the
bias that is added to the product, the scopes in a node's metadata, or its name (``/head/MatMul``) still say whose weight it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from dsi_cli.checkpoints.formats.protobuf import LONGEST_TEXT, Field, Wire
from dsi_cli.checkpoints.tensors import Tensor

_INPUT, _OUTPUT, _NAME, _OPERATOR, _ATTRIBUTE, _METADATA_PROPS = 1, 2, 3, 4, 5, 9
_ATTRIBUTE_NAME, _INTEGER, _INTEGERS = 1, 3, 8
_KEY, _VALUE = 1, 2
_SCOPES = "pkg.torch.onnx.name_scopes"
_PASSING = frozenset({"Identity", "Cast", "CastLike"})
"""Operators whose output is their first input, as far as a weight is concerned."""
_PRODUCTS = frozenset({"MatMul", "Gemm", "FusedMatMul", "FusedGemm"})
_BIASED = frozenset({"Gemm", "FusedGemm", "Conv"})
"""Operators whose third input is a bias."""
_LAYERS = _PRODUCTS | _BIASED
_GENERIC = re.compile(
    r"(onnx::\w+_\d+|val_\d+|\d+|(t|transpose|permute|numpy_t)(_\d+)?|const_fold_opt__\d+|.*/ReadVariableOp(:\d+)?)",
    re.DOTALL,
)
"""Names that an exporter makes up."""
_LONGEST_NAME = 1024
"""Letters of a name that is made out of another one's: nodes may ask for many."""
_LAYER_PATH = re.compile(r"/?(.+)/(MatMul|Gemm|Conv\w*)(_\d+)?", re.DOTALL)


class Use(NamedTuple):
    """How the nodes use an initialiser."""

    place: int
    """The first node that computes with it; behind the last one where none does."""
    is_transposed: bool
    """Whether a product takes it as (inputs, outputs)."""
    name: str
    """Its own, or a readable one where its own is made up and the nodes tell."""


class _Node(NamedTuple):
    name: str
    operator: str
    inputs: list[str]
    outputs: list[str]
    attributes: list[Field]
    metadata: list[Field]


class _Value(NamedTuple):
    """A value in the graph that is an initialiser, or one transposed."""

    initialiser: str
    is_transposed: bool


class _Found:
    """What has been learnt of the initialisers up to a node."""

    def __init__(self, initialisers: dict[str, Tensor]) -> None:
        self.initialisers = initialisers
        self.values = {name: _Value(name, False) for name in initialisers}
        self.places: dict[str, int] = {}
        self.transposed: dict[str, bool] = {}
        self.names: dict[str, str] = {}
        """Readable names, by the module's name."""
        self.by_bias: dict[str, str] = {}
        """The same, by the name of the bias: better evidence."""
        self.products: dict[str, str] = {}
        """The outputs of products, and whose they are."""

    def value(self, inputs: Sequence[str], place: int) -> _Value | None:
        return self.values.get(inputs[place]) if place < len(inputs) else None


def uses(wire: Wire, nodes: Sequence[Field], initialisers: dict[str, Tensor]) -> dict[str, Use]:
    """Return how the nodes, which stand in the order of the computation, use each initialiser."""
    found = _Found(initialisers)
    for place, field in enumerate(nodes):
        node = _node(wire, field)
        if node.operator in _PASSING or node.operator == "Transpose":
            _pass_on(found, wire, node)
            continue
        for name in node.inputs:
            value = found.values.get(name)
            if value is not None:
                found.places.setdefault(value.initialiser, place)
        if node.operator in _PRODUCTS:
            _orient(found, wire, node)
        if node.operator in _LAYERS:
            _name_layer(found, wire, node)
        elif node.operator == "Add":
            _name_by_added(found, node)
    return {
        name: Use(
            found.places.get(name, len(nodes)),
            found.transposed.get(name, False),
            found.by_bias.get(name) or found.names.get(name) or name,
        )
        for name in initialisers
    }


def _node(wire: Wire, field: Field) -> _Node:
    parts = wire.grouped(field.begin, field.end, range(_INPUT, _METADATA_PROPS + 1))
    inputs, outputs, name, operator = (
        [wire.text(part) for part in parts[number]] for number in (_INPUT, _OUTPUT, _NAME, _OPERATOR)
    )
    return _Node("".join(name[-1:]), "".join(operator[-1:]), inputs, outputs, parts[_ATTRIBUTE], parts[_METADATA_PROPS])


def _integers(wire: Wire, node: _Node) -> dict[str, list[int]]:
    """Return the attributes of a node that are integers."""
    found: dict[str, list[int]] = {}
    for attribute in node.attributes:
        parts = wire.grouped(attribute.begin, attribute.end, (_ATTRIBUTE_NAME, _INTEGER, _INTEGERS))
        numbers = [number for part in (*parts[_INTEGER], *parts[_INTEGERS]) for number in wire.numbers(part)]
        found.update((wire.text(part), numbers) for part in parts[_ATTRIBUTE_NAME])
    return found


def _pass_on(found: _Found, wire: Wire, node: _Node) -> None:
    """Note what a node hands on: an initialiser as it is or transposed, or the output of a product."""
    value = found.value(node.inputs, 0)
    if not node.outputs:
        return
    if value is None:
        if node.operator in _PASSING and node.inputs and node.inputs[0] in found.products:
            found.products[node.outputs[0]] = found.products[node.inputs[0]]
        return
    if node.operator == "Transpose":
        if len(found.initialisers[value.initialiser].shape) != 2:
            return
        is_turned = _integers(wire, node).get("perm", [1, 0]) == [1, 0]
        value = value._replace(is_transposed=value.is_transposed != is_turned)
    found.values[node.outputs[0]] = value


def _orient(found: _Found, wire: Wire, node: _Node) -> None:
    """Note which way round the matrices of a product lie; the first product that takes one decides."""
    numbers = _integers(wire, node) if node.operator != "MatMul" else {}
    left, right = found.value(node.inputs, 0), found.value(node.inputs, 1)
    if right is not None:
        has_outputs_last = numbers.get("transB", [0]) != [1]
        found.transposed.setdefault(right.initialiser, has_outputs_last != right.is_transposed)
    if left is not None:
        has_outputs_last = numbers.get("transA", [0]) == [1]
        found.transposed.setdefault(left.initialiser, has_outputs_last != left.is_transposed)


def _name_layer(found: _Found, wire: Wire, node: _Node) -> None:
    """Note what the weight of a layer may be called, and that the layer's output is its."""
    weight = found.value(node.inputs, 1) or (found.value(node.inputs, 0) if node.operator == "MatMul" else None)
    if weight is None or not node.outputs:
        return
    found.products[node.outputs[0]] = weight.initialiser
    if not _GENERIC.fullmatch(weight.initialiser):
        return
    if node.operator in _BIASED:
        _name_by_bias(found, weight.initialiser, found.value(node.inputs, 2))
    module = _scope(wire, node) or _module(node.name)
    if module:
        found.names.setdefault(weight.initialiser, f"{module}.weight")


def _name_by_added(found: _Found, node: _Node) -> None:
    """Note the name of a weight by the bias that is added to its product."""
    for product, bias in (node.inputs[:2], node.inputs[1::-1]) if len(node.inputs) == 2 else ():
        weight = found.products.get(product)
        if weight is not None and _GENERIC.fullmatch(weight):
            _name_by_bias(found, weight, found.values.get(bias))


def _name_by_bias(found: _Found, weight: str, bias: _Value | None) -> None:
    if bias is None or len(found.initialisers[bias.initialiser].shape) != 1:
        return
    layer, dot, last = bias.initialiser.rpartition(".")
    if last == "bias" and len(layer) <= _LONGEST_NAME:
        found.by_bias.setdefault(weight, f"{layer}{dot}weight")


def _scope(wire: Wire, node: _Node) -> str:
    """Return the module that torch's newer exporter says a node is from: ``"['', 'body', 'body.0', 'linear']"`` -> ``body.0``."""
    for pair in node.metadata:
        parts = wire.grouped(pair.begin, pair.end, (_KEY, _VALUE))
        keys, values = parts[_KEY], [part for part in parts[_VALUE] if part.end - part.begin <= LONGEST_TEXT]
        if len(keys) == len(values) == 1 and wire.text(keys[0]) == _SCOPES:
            modules: list[str] = re.findall(r"'([^']*)'", wire.text(values[0]))[:-1]
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
