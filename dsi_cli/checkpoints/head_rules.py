"""The rules that count against a layer as the classifier head, in one table.

A rule looks at one layer of a network. It returns a description if it counts against
the layer, or None. A rule that *hides* a layer shows that it is not the last layer of
the network. Any other rule is a doubt, which could be a coincidence. Each rule has an
example of a network, in which it counts against one layer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

from dsi_cli.checkpoints.connections import consumers, unused_layers
from dsi_cli.checkpoints.head_names import (
    CLASSIFIER_NAME,
    PROJECTION,
    Code,
    has_classifier_name,
    is_named,
    other_name,
)
from dsi_cli.checkpoints.layers import (
    Layer,
    are_siblings,
    is_linear,
    is_registration_order,
    is_sorted_by_name,
    layers_of,
    stem,
)
from dsi_cli.checkpoints.orientation import block_of, orient
from dsi_cli.checkpoints.trainers import NestedStateDict

# without other evidence, a square matrix of at least this size is taken for a hidden
# layer
WIDE = 256
_MAX_NEAR = 64  # the number of layers that a rule compares with a layer
_PROTOTYPES = re.compile(r"(^|_)prototypes?\d*$", re.IGNORECASE)
_FITTED = re.compile(r"^(?!coef_$)\w*[a-z]_$|^_(fit|standard|average)_")
_BODY_BLOCK = re.compile(
    r"((?:.*\.)?(?:blocks?|layers?|stages?|h|encoder\w*)\.\d+)(?:\.\d+)*\.[a-z_]",
    re.IGNORECASE,
)
"""The path of a layer in a numbered block of a network's body."""


class Reason(NamedTuple):
    """Evidence against a layer."""

    code: Code
    text: str  # the description for the user


class Rule(NamedTuple):
    """A row of the table of rules."""

    code: Code
    why: str
    test: Callable[[Network, Layer], str | None]
    example: str  # the tensors of a network with their shapes
    hit: str  # the name of the weight that the rule counts against
    hides: bool = False  # True if it shows that a layer is not the last one


class Network:
    """The layers of a checkpoint and what feeds what."""

    def __init__(self, groups: Sequence[NestedStateDict], classes: int | None) -> None:
        self.classes = classes
        self.ordered = all(is_registration_order(group.tensors) for group in groups)
        self.is_sorted = is_sorted_by_name(groups)
        self.layers = orient(layers_of(groups), classes, is_sorted=self.is_sorted)
        self.consumer = consumers(self.layers, ordered=self.ordered)
        self.producer = {taker: giver for giver, taker in self.consumer.items()}
        self.unused = unused_layers(self.layers, self.consumer)
        self.computing = [it for it in self.layers if it.kind in ("matrix", "other")]
        self.last = self.computing[-1].position if self.computing else 0

    @cached_property
    def is_single(self) -> bool:
        """Return whether the file has one weight alone."""
        kinds = Counter(layer.kind for layer in self.layers)
        return kinds["matrix"] + kinds["raw"] + kinds["other"] == 1

    @cached_property
    def first(self) -> Layer | None:
        """The first layer that computes; a matrix without a bias may be a table."""
        for layer in self.computing:
            if layer.kind == "other" or layer.has_bias:
                return layer
        return self.layers[0] if self.layers else None

    @cached_property
    def times_in_blocks(self) -> Counter[object]:
        """The number of layers at each path in numbered blocks."""
        return Counter(block_of(layer) for layer in self.layers)

    @cached_property
    def layers_in_blocks(self) -> Counter[object]:
        """The number of layers in each numbered block of the body."""
        return Counter(_body_block(layer) for layer in self.computing)

    @cached_property
    def last_in_blocks(self) -> dict[object, list[Layer]]:
        """The last two layers at each path in numbered blocks, the last one first."""
        found: dict[object, list[Layer]] = {}
        for layer in reversed(self.layers):
            same = found.setdefault(block_of(layer), [])
            if len(same) < 2:
                same.append(layer)
        return found

    @cached_property
    def numbered_norms(self) -> dict[object, list[Layer]]:
        """The normalisations of each module by the numbers in their names."""
        found: dict[object, list[Layer]] = {}
        for layer in self.layers:
            if layer.kind == "norm":
                found.setdefault(_numbers_in_module(layer), []).append(layer)
        return found

    @cached_property
    def stacks(self) -> list[Layer]:
        """The weights with three axes that may hold several vectors for each class."""
        found = []
        for layer in self.layers:
            is_alone = (
                layer.kind == "other"
                and layer.position not in self.consumer
                and layer.position not in self.producer
            )
            is_stack = layer.kind == "stack" or is_alone
            if is_stack and layer.weight and len(layer.weight.shape) == 3:
                found.append(layer)
        return found[:_MAX_NEAR]

    @cached_property
    def experts(self) -> list[Layer]:
        """The weights with three axes that may hold a matrix for each expert."""
        unused = [layer for layer in self.unused if layer.kind == "other"]
        found = []
        for layer in [*self.stacks, *unused]:
            is_stack = layer.weight is not None and len(layer.weight.shape) == 3
            if is_stack and all(len(part.shape) == 2 for part in layer.bias):
                found.append(layer)
        return found[:_MAX_NEAR]

    @cached_property
    def starts(self) -> list[int]:
        """For each layer, the position of the first of the layers in its module that
        are stored one after the other.
        """
        found: list[int] = []
        for layer in self.layers:
            position = layer.position
            if position and are_siblings(self.layers[position - 1], layer):
                found.append(found[-1])
            else:
                found.append(position)
        return found

    @cached_property
    def inputs_in_modules(self) -> set[tuple[int, tuple[str, ...]]]:
        """The width of the input of each layer, with the module in which a layer
        computes an output of this width.

        The module is that of the layer itself, or () for the whole network if no other
        layer in that module has such an output.
        """
        layers = [layer for layer in self.layers if layer.kind != "norm"]
        outputs: Counter[object] = Counter()
        for layer in layers:
            for end in range(len(layer.module) + 1):
                outputs[layer.path, layer.module[:end], layer.width_out] += 1
        found = set()
        for layer in layers:
            parent = layer.module[:-1]
            producers = outputs[layer.path, parent, layer.width_in]
            if layer.width_in == layer.width_out:
                producers -= 1
            found.add((layer.width_in, parent if producers else ()))
        return found

    @cached_property
    def modules(self) -> set[tuple[str, ...]]:
        """The modules of all layers, and the modules around them."""
        return {
            layer.module[:end]
            for layer in self.computing
            for end in range(len(layer.module) + 1)
        }

    @cached_property
    def unused_widths(self) -> Counter[int]:
        """The number of layers with each width of the output that no layer takes."""
        return Counter(layer.width_out for layer in self.unused)


def reasons_against(
    network: Network, layer: Layer, *, hides: bool
) -> tuple[Reason, ...]:
    """Return what the rules that hide a layer, or the others, find against it."""
    found = []
    for rule in RULES:
        if rule.hides == hides:
            text = rule.test(network, layer)
            if text is not None:
                found.append(Reason(rule.code, text))
    return tuple(found)


def _feeds(network: Network, layer: Layer) -> str | None:
    position = network.consumer.get(layer.position)
    if position is None:
        return None
    taker = network.layers[position]
    if network.is_sorted:
        # The layers that could take the output may take that of a layer in their own
        # block.
        modules = [layer.module[:end] for end in range(len(layer.module) + 1)]
        inputs = network.inputs_in_modules
        if not any((taker.width_in, module) in inputs for module in modules):
            return None
    # Parallel heads have the same widths and the same name in different modules.
    is_parallel = (
        is_named(layer)
        and len(layer.module) > 1
        and layer.module[-1:] == taker.module[-1:]
        and layer.width_in == taker.width_in
        and layer.width_out == taker.width_out
    )
    return None if is_parallel else f"feeds {taker.name}"


def _is_in_block(network: Network, layer: Layer) -> str | None:
    times = network.times_in_blocks[block_of(layer)]
    is_repeated = block_of(layer) is not None and times > 1
    # The last block may differ from those of the body, and end in the classifier.
    is_end = (
        not is_repeated
        and layer.position == network.last
        and layer.width_out == network.classes
    )
    body_block = _body_block(layer)
    size = network.layers_in_blocks[body_block]
    if body_block is not None and size > 1 and not is_end:
        return f"is in a block of {size} layers"
    if not is_repeated or is_named(layer) or _ends_chain(network, layer):
        return None
    return f"is one of {times} in repeated blocks"


def _ends_chain(network: Network, layer: Layer) -> bool:
    """Return whether a layer takes the output of the block before its own, which is the
    last one of the network.
    """
    last = network.layers[network.last]
    if not network.ordered or layer.module[:-1] != last.module[:-1]:
        return False
    before = next(
        it for it in network.last_in_blocks[block_of(layer)] if it is not layer
    )
    producer = network.layers[network.producer.get(layer.position, layer.position)]
    if (
        stem(producer) == stem(layer)
        and producer.path == layer.path
        and producer.module[:-1] != layer.module[:-1]
        and producer.module[-1:] == layer.module[-1:]
    ):
        before = producer
    pairs = zip(layer.module, before.module, strict=True)
    different = sum(part != other for part, other in pairs)
    return different == 1 and before.width_out == layer.width_in


def _is_normalised_convolution(network: Network, layer: Layer) -> str | None:
    if layer.weight is None or len(layer.weight.shape) == 2:
        return None
    return _normalisation_of(network, layer)


def _is_normalised_matrix(network: Network, layer: Layer) -> str | None:
    if layer.weight is None or len(layer.weight.shape) > 2:
        return None
    return _normalisation_of(network, layer)


def _normalisation_of(network: Network, layer: Layer) -> str | None:
    """Return a text that names the normalisation of a layer's output, or None.

    It is the next layer, has the same width, and is in the same module or in one around
    it. In a file sorted by name, "bn" comes before "conv", and "bn3" before "conv1".
    """
    after = layer.position + 1
    near = network.layers[after : after + 1]
    if network.is_sorted and layer.width_in != layer.width_out:
        before = network.layers[max(layer.position - 1, 0) : layer.position]
        numbered = network.numbered_norms.get(_numbers_in_module(layer), [])
        for norm in [*before, *numbered[:_MAX_NEAR]]:
            if not _normalises_another(network, norm, layer):
                near.append(norm)
    for norm in near:
        parent = norm.module[:-1]
        is_near = layer.module[: len(parent)] == parent != layer.module
        is_in_file = norm.kind == "norm" and norm.path == layer.path
        if is_in_file and is_near and norm.width_out == layer.width_out:
            return f"is normalised by {norm.name}"
    return None


def _normalises_another(network: Network, norm: Layer, layer: Layer) -> bool:
    """Return whether a normalisation without a number follows another layer of its
    width ("att", "bn_att", "cla").
    """
    owner = network.layers[max(norm.position - 1, 0)]
    if owner is layer or owner.kind == "norm" or owner.width_out != norm.width_in:
        return False
    has_number = re.search(r"\d", "".join(norm.module[-1:]))
    return are_siblings(owner, norm) and not has_number


def _is_like_stack(network: Network, layer: Layer) -> str | None:
    # A gate has a row for each expert. Queries, prompts and class means have the sizes
    # of the vectors of the classes.
    if layer.weight is None or layer.width_in == layer.width_out:
        return None
    for stack in network.experts:
        shape = stack.tensor.shape
        # The experts are (experts, inputs, outputs), or the bias or a name shows them.
        is_clear = stack.bias or "expert" in stack.name.lower()
        widths = shape[1:] if is_clear else shape[1:2]
        if layer.width_out == shape[0] > 1 and layer.width_in in widths:
            title = f"{stack.name} {shape}"
            return f"has a row for each matrix of {title}, as a gate over experts does"
    may_be_vectors = not layer.has_bias and (other_name(layer) or not is_named(layer))
    for stack in network.stacks:
        shape = stack.tensor.shape
        title = f"{stack.name} {shape}"
        heads, width = shape[1:]
        if shape[0] == 1 < min(heads, width) and layer.width_out in (
            width,
            heads * width,
        ):
            return f"may be a part of an attention with {heads} heads, by {title}"
        sizes = Counter(shape)
        sizes.subtract(layer.weight.shape[:2])
        has_sizes = min(sizes.values()) >= 0
        is_prompt = (
            layer.kind == "raw"
            and are_siblings(layer, stack)
            and shape[0] > 1
            and layer.width_in == shape[-1]
        )
        if may_be_vectors and (has_sizes or is_prompt):
            return f"has the sizes of {title}, which may hold the classes"
    return None


def _feeds_stack(network: Network, layer: Layer) -> str | None:
    # Several vectors for each class (sub-centres, prototypes) have three axes.
    is_final = layer.width_out == network.classes or is_named(layer)
    if layer.kind != "matrix" or is_final:
        return None
    for stack in network.stacks:
        shape = stack.tensor.shape
        if min(shape) > 1 and shape[-1] == layer.width_out:
            vectors = "which may hold several vectors for each class"
            return f"may feed {stack.name} {shape}, {vectors}"
    return None


def _has_name(code: Code) -> Callable[[Network, Layer], str | None]:
    """Return the test for a name that means another part of a network."""

    def test(network: Network, layer: Layer) -> str | None:
        found = other_name(layer)
        if found is None or found.code != code:
            return None
        # The last layer of a head may be called a projection (SlowFast). An embedding
        # has a multiple of 32 as its width.
        is_last = network.ordered and layer.position == network.last
        is_classifier = is_last and layer.has_bias and layer.width_out % 32 > 0
        is_in_head = any(map(CLASSIFIER_NAME.match, layer.module[-2:-1]))
        if found is PROJECTION and is_classifier and is_in_head:
            return None
        return f"has the name of {found.text}"

    return test


def _is_prototypes(_network: Network, layer: Layer) -> str | None:
    if layer.kind == "matrix" and any(map(_PROTOTYPES.search, layer.module)):
        return "may hold the prototypes of self-supervised training"
    return None


def _is_fitted_value(_network: Network, layer: Layer) -> str | None:
    if layer.kind == "raw" and _FITTED.search(layer.module[-1]):
        return "has the name of a fitted value of scikit-learn, not of coefficients"
    return None


def _has_unclear_side(network: Network, layer: Layer) -> str | None:
    if layer.kind != "raw" or layer.weight is None:
        return None
    if layer.width_out == 0:
        return "may have its classes in rows or in columns"
    if layer.module[-1].isdigit():  # in a list of parameters (PODNet)
        return "may have several rows for each class"
    # The first of two thin matrices is a factor of a head of low rank (U in U @ V), and
    # means precede a covariance (LDA).
    after = layer.position + 1
    for other in network.layers[after : after + _MAX_NEAR]:
        if other.kind != "raw" or other.module[:-1] != layer.module[:-1]:
            continue
        sizes = other.tensor.shape
        if layer.width_in not in sizes:
            continue
        is_covariance = len(set(sizes)) == 1 and layer.width_in != layer.width_out
        is_factor = layer.width_in < min(layer.width_out, max(sizes))
        if is_covariance or is_factor:
            return f"may be multiplied by {other.name}"
    return None


def _has_one_row(_network: Network, layer: Layer) -> str | None:
    if layer.weight is None or layer.weight.shape[0] != 1:
        return None
    return "has a single row"


def _is_square(network: Network, layer: Layer) -> str | None:
    if layer.width_in != layer.width_out or layer.width_out == 0:
        return None
    if layer.width_out >= WIDE and not has_classifier_name(layer):
        return "has as many columns as rows, as a hidden layer does"
    block = block_of(layer)
    if block is not None and network.times_in_blocks[block] > 1:
        return "has the width of the block before"
    return None


def _returns_to_input(network: Network, layer: Layer) -> str | None:
    # A residual block or predictor (BYOL) returns to the width of its input, and a
    # transformer of points to its square.
    part = layer.module[:-1]
    first = network.first
    if not part or not network.ordered or layer.kind != "matrix" or first is None:
        return None
    start = network.starts[layer.position]
    width = network.layers[start].width_in
    is_later = first.position < start < layer.position
    if not is_later or width <= 2 or has_classifier_name(layer):
        return None
    if layer.width_out not in (width, width * width):
        return None
    return f"returns to the {width} inputs of {'.'.join(part)}"


def _widens(network: Network, layer: Layer) -> str | None:
    # The decoder of a classifier (CapsNet) widens from layer to layer, and its last
    # layer may be narrower again.
    if layer.width_out == network.classes or is_named(layer):
        return None
    chain = [layer]
    while len(chain) < 3:
        taker = chain[-1]
        giver = network.layers[network.producer.get(taker.position, taker.position)]
        if giver.width_in >= giver.width_out or not are_siblings(giver, taker):
            break
        if not is_linear(giver) or not is_linear(taker) or giver in chain:
            break
        chain.append(giver)
    if len(chain) == 1:
        return None
    is_image = len(chain) == 3 and layer.width_out >= WIDE
    widens = layer.width_out > layer.width_in
    if widens or (is_image and layer.width_out > chain[-1].width_in):
        return f"widens, as the layer {chain[1].name} before it does"
    return None


def _is_next_to_window(network: Network, layer: Layer) -> str | None:
    # The classifier may be a convolution over the last map. A narrow 1x1 convolution
    # before it or an unused square layer after it has as many outputs (HTS-AT).
    last = network.layers[network.last]
    is_before_last = (
        layer.position in network.consumer
        and last.position not in network.consumer
        and last.width_out == layer.width_out
    )
    if is_before_last and _may_classify(network, last):
        return f"comes before the convolution {last.name} with as many outputs"
    before = network.layers[network.producer.get(layer.position, layer.position)]
    is_square = layer.width_in == layer.width_out == before.width_out
    narrows = before.width_in > before.width_out
    is_linear = layer.weight is not None and len(layer.weight.shape) == 2
    if is_linear and is_square and narrows and _may_classify(network, before):
        return f"follows the convolution {before.name}, which may be the classifier"
    return None


def _may_classify(network: Network, layer: Layer) -> bool:
    """Return whether a layer is a convolution with a window, and not normalised."""
    if layer.kind != "other" or layer.weight is None:
        return False
    return _is_normalised_convolution(network, layer) is None


def _is_in_convolution(network: Network, layer: Layer) -> str | None:
    # A spline convolution of a graph adds a matrix for the node itself.
    parent = layer.module[:-1]
    for other in network.layers[max(layer.position - 1, 0) : layer.position]:
        if parent and other.kind == "other" and other.module == parent:
            return f"is a part of the convolution {other.name}"
    return None


def _has_tails(network: Network, layer: Layer) -> str | None:
    # The head of torch's AdaptiveLogSoftmaxWithLoss has rows for frequent classes and
    # for groups of rare ones.
    for end, part in enumerate(layer.module):
        tail = (*layer.module[:end], "tail", "0", "1")
        if part in ("head", "tail") and tail in network.modules:
            return "has a part of the classes, as an adaptive softmax does"
    return None


def _is_apart(network: Network, layer: Layer) -> str | None:
    is_result = layer.kind == "raw" and not layer.path and len(layer.module) == 1
    if not is_result:
        return None
    if any(other.path and other.kind != "raw" for other in network.layers[:_MAX_NEAR]):
        return "is stored next to the network, not in it"
    return None


def _is_table(network: Network, layer: Layer) -> str | None:
    first = network.first
    if network.is_sorted or not network.ordered or first is None:
        return None
    if layer.position >= first.position or not layer.module:
        return None
    if layer.kind == "raw":
        # A module before the network may hold a table of filters alone.
        parent = layer.module[:-1]
        takes_features = any(
            layer.width_in in (end.width_in, end.width_out)
            for end in network.unused[:_MAX_NEAR]
        )
        if parent and parent not in network.modules and not takes_features:
            return "comes first, as a table of filters does"
        return None
    if layer.kind != "matrix" or layer.has_bias or is_named(layer):
        return None
    # The head may come first if a layer computes its input.
    own = layer.width_in == layer.width_out and layer.position not in network.consumer
    takes_output = network.unused_widths[layer.width_in] > own
    if network.is_single or (takes_output and layer.width_in != first.width_in):
        return None
    return "comes first and has no bias, as a lookup table does"


def _numbers_in_module(layer: Layer) -> tuple[object, ...]:
    """Return the module around a layer and the layer's numbers in it, which ``conv1``
    and ``bn1`` share.
    """
    numbers = re.findall(r"\d+", "".join(layer.module[-1:]))
    return layer.path, *layer.module[:-1], *numbers


def _body_block(layer: Layer) -> tuple[object, ...] | None:
    """Return the innermost numbered block of the network's body that contains a layer
    (``blocks.3``), or None.
    """
    match = _BODY_BLOCK.match(".".join(layer.module))
    return None if match is None else (layer.path, match[1])


RULES = (
    Rule(
        Code.FEEDS,
        "No layer takes the output of the head, which is the output of the network.",
        _feeds,
        "hidden.weight 32x16, hidden.bias 32, out.weight 10x32, out.bias 10",
        "hidden.weight",
        hides=True,
    ),
    Rule(
        Code.BLOCK,
        "Repeated blocks are the body of a network.",
        _is_in_block,
        "blocks.0.a.weight 8x8, blocks.0.b.weight 9x8, blocks.1.a.weight 8x8,"
        " blocks.1.b.weight 9x8",
        "blocks.1.b.weight",
        hides=True,
    ),
    Rule(
        Code.NORMALISED,
        "A normalised 1x1 convolution is hidden in practice.",
        _is_normalised_convolution,
        "conv.weight 64x32x1x1, bn.weight 64, bn.bias 64",
        "conv.weight",
        hides=True,
    ),
    Rule(
        Code.NORMALISED,
        "A normalisation rarely follows logits.",
        _is_normalised_matrix,
        "fc.weight 64x32, fc.bias 64, bn.weight 64, bn.bias 64",
        "fc.weight",
    ),
    Rule(
        Code.STACK,
        "A parameter with three axes may hold the classes or the experts.",
        _is_like_stack,
        "fc.weight 24x64, fc.bias 24, gate.weight 4x64, experts 4x64x24",
        "gate.weight",
    ),
    Rule(
        Code.STACK,
        "A parameter with three axes may take the output.",
        _feeds_stack,
        "fc.weight 48x64, fc.bias 48, vectors 10x3x48",
        "fc.weight",
    ),
    Rule(
        Code.OTHER_HEAD,
        "A head for another purpose, or a copy, has the shape of the head.",
        _has_name(Code.OTHER_HEAD),
        "fc.weight 10x64, fc.bias 10, aux.weight 10x32, aux.bias 10",
        "aux.weight",
    ),
    Rule(
        Code.NAME,
        "Authors name the other parts of a network.",
        _has_name(Code.NAME),
        "fc.weight 10x64, fc.bias 10, projector.weight 48x64, projector.bias 48",
        "projector.weight",
    ),
    Rule(
        Code.TABLE,
        "A table of positions has no rows for classes.",
        _has_name(Code.TABLE),
        "pos_embed 50x64, fc.weight 10x64, fc.bias 10",
        "pos_embed",
    ),
    Rule(
        Code.STATISTIC,
        "Means of classes have the shape of the head, but compute nothing.",
        _has_name(Code.STATISTIC),
        "fc.weight 10x64, fc.bias 10, centers 10x64",
        "centers",
    ),
    Rule(
        Code.NAME,
        "Self-supervised training ends in prototypes, which are no classes.",
        _is_prototypes,
        "fc.weight 64x32, fc.bias 64, prototypes.weight 300x64",
        "prototypes.weight",
    ),
    Rule(
        Code.TABLE,
        "scikit-learn stores the coefficients of each class in coef_.",
        _is_fitted_value,
        "cluster_centers_ 10x64",
        "cluster_centers_",
    ),
    Rule(
        Code.SIDE,
        "The wrong axis gives a wrong similarity matrix.",
        _has_unclear_side,
        "conv.weight 64x3x3x3, weights 30x20",
        "weights",
    ),
    Rule(
        Code.ONE_ROW,
        "One row has no similarities; it may score attention or a value.",
        _has_one_row,
        "fc.weight 10x64, fc.bias 10, score.weight 1x64, score.bias 1",
        "score.weight",
    ),
    Rule(
        Code.SQUARE,
        "Hidden layers are often square, and heads rarely.",
        _is_square,
        "fc.weight 512x512, fc.bias 512",
        "fc.weight",
    ),
    Rule(
        Code.SQUARE,
        "A part of a network often returns to its input's width.",
        _returns_to_input,
        "conv.weight 64x3x3x3, conv.bias 64, part.down.weight 16x64, part.down.bias 16,"
        " part.up.weight 64x16, part.up.bias 64",
        "part.up.weight",
    ),
    Rule(
        Code.SQUARE,
        "A head rarely is the second of two widening layers.",
        _widens,
        "net.0.weight 64x16, net.0.bias 64, net.2.weight 256x64, net.2.bias 256",
        "net.2.weight",
    ),
    Rule(
        Code.WINDOW,
        "The last layer may be a convolution without global pooling.",
        _is_next_to_window,
        "a.weight 64x3x3x3, a.bias 64, b.weight 10x64x1x1, b.bias 10,"
        " c.weight 10x10x3x3, c.bias 10",
        "b.weight",
    ),
    Rule(
        Code.WINDOW,
        "A matrix in a convolution computes a part of its output.",
        _is_in_convolution,
        "conv1.weight 2x48x32, conv1.lin.weight 32x48, conv2.weight 2x32x20,"
        " conv2.lin.weight 20x32",
        "conv2.lin.weight",
    ),
    Rule(
        Code.NAME,
        "The layers of an adaptive softmax predict a part of the classes each.",
        _has_tails,
        "out.head.weight 22x64, out.tail.0.0.weight 16x64, out.tail.0.1.weight 80x16",
        "out.head.weight",
    ),
    Rule(
        Code.APART,
        "A matrix next to the state dicts is a result, such as a confusion matrix.",
        _is_apart,
        "logits 100x10, net: fc.weight 10x64, net: fc.bias 10",
        "logits",
    ),
    Rule(
        Code.TABLE,
        "A lookup table has the shape of a head without a bias.",
        _is_table,
        "words.weight 300x64, rnn.weight 64x64, rnn.bias 64, fc.weight 10x64,"
        " fc.bias 10",
        "words.weight",
    ),
)
"""All rules, in the order of the messages. A graph in the file gives
`Code.NO_OUTPUT`, too.
"""
