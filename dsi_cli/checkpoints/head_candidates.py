"""List every matrix of a checkpoint that could be the classifier head, with the
evidence for and against it.

The evidence comes from the structure first: which layer feeds which, which layers
repeat in numbered blocks, and which weights are normalised. A name can count against a
candidate (attention, a decoder, an auxiliary head) or support it. `HIDDEN_RULES` and
`DOUBT_RULES` at the end of this module list all reasons against a candidate.
`head_choice` uses the ranking of `rank_candidates`, and ``dsi scan --why`` prints it.
Files with a graph (ONNX, Keras) state which layers compute the outputs of the model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from itertools import combinations, islice
from math import isqrt, prod
from typing import NamedTuple, TypeAlias

from dsi_cli.checkpoints.layers import (
    PLAIN,
    SPECTRAL_NORM,
    WINDOW,
    Layer,
    consumers,
    is_matrix,
    is_registration_order,
    is_sorted_by_name,
    layers_of,
    stem,
)
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.checkpoints.trainers import NestedStateDict

_MEANS_CLASSIFIER = re.compile(
    r"^(clf|classif\w*|cls(_classifier|_score|_head|_seg)?|heads?|logits?|last_linear|class_(predictor|embed|head)"
    r"|class_labels_classifier|predictions?|predictor|box_predictor|label_predictor|(mlp|linear|fc|decode)_head|head_(fc|dense)"
    r"|conv_seg|to_logits|output_layer|final_layer|(.*_)?(predictions|logits|probs))$",
    re.IGNORECASE,
)
"""Names of modules that mean a classifier."""
# names of modules that no projection has
_SAYS_CLASSES = re.compile(r"cl(ass|f|s)|logit", re.IGNORECASE)
FEEDS, IN_BLOCK, NORMALISED, NO_OUTPUT, PROTOTYPES = (
    "feeds",
    "block",
    "norm",
    "no output",
    "prototypes",
)
UNCLEAR_SIDE, SINGLE_ROW, SQUARE, IMAGE, APART, TABLE = (
    "unclear side",
    "one row",
    "square",
    "image",
    "apart",
    "table",
)
NAME, POSITIONS, STATISTIC, OTHER_HEAD, STACK = (
    "name",
    "positions",
    "statistic",
    "other head",
    "stack",
)
"""The kinds of reasons against a candidate. `OTHER_HEAD` is the name of a head for
another purpose or of a copy.
"""
_OTHER_NAME_PATTERNS = (
    (
        OTHER_HEAD,
        "an auxiliary or distillation head",
        r"aux|dist($|_|ill)|deep_?sup|side_?out",
    ),
    (
        OTHER_HEAD,
        "a discriminator or a head for another task",
        r"discrim|critic|domain|adv|jigsaw|regress",
    ),
    (OTHER_HEAD, "a discriminator or a head for another task", r"(^|_)rot(at|_|$)"),
    (
        OTHER_HEAD,
        "a copy of the network",
        r"teacher|momentum|_k$|target_net|shadow|averaged",
    ),
    (OTHER_HEAD, "a copy of the network", r"^(old|original)_(net|model|backbone)"),
    (POSITIONS, "a table of positions", r"(^|_)pos($|_)|position|relative|rel_?pos"),
    (
        NAME,
        "an embedding or lookup table",
        r"(?<!class_)embed|(^|_)emb($|_)|token|vocab|lookup|^latents?$",
    ),
    (NAME, "a memory", r"codebook|queue|bank|memory"),
    (
        NAME,
        "a part of attention",
        r"attn|attention|qkv|(?-i:^[qkv]$)|quer(y|ies)|key(?!point)|value|pooler",
    ),
    (NAME, "a projection", r"(?<!out_)proj|contrast|neck|align|merger|connector"),
    (NAME, "a part that makes an image", r"recon|generator|^to_pixels?$|^decoder_pred"),
    (NAME, "a head for boxes or masks", r"bbox(?!_head)|box_?reg|mask_head|rpn"),
    (NAME, "a spatial transformer", r"^stn|^t_?net|localization|fc_loc"),
    (NAME, "a gate", r"gate|gating|router|squeeze|^se\d*$|excit"),
    (
        NAME,
        "a part of the body",
        r"downsample|shortcut|reduction|conv_?stem|conv_?(dw|pw|head)|last_conv|pre_|^pool|lora_",
    ),
    (
        STATISTIC,
        "a statistic",
        r"confmat|cent(er|roid)s?$|covariance|(^|_)(rho|sigma)$",
    ),
    (NAME, "the tower of another input", r"^text(_|$)"),
)
"""Names of modules that are not the classifier: the kind of the reason, the meaning of
the name, and its pattern.
"""
_OTHER_NAMES = tuple(
    (kind, meaning, re.compile(pattern, re.I))
    for kind, meaning, pattern in _OTHER_NAME_PATTERNS
)
_search_other_name = lru_cache(4096)(
    re.compile("|".join(it.pattern for _, _, it in _OTHER_NAMES), re.IGNORECASE).search
)
_FITTED = re.compile(r"^(?!coef_$)\w*[a-z]_$|^_(fit|standard|average)_")
_DECODER = re.compile(r"^dec$|decoder(?!_head)", re.IGNORECASE)
DETECTOR = re.compile(
    r"class_labels_classifier|class_predictor|class_embed|fc_cls|cls_score|box_predictor"
)
"""Names of a detector's head, which may have one row more than classes."""
# without other evidence, a square matrix of at least this size is taken for a hidden
# layer
WIDE = 256
_PROTOTYPES = re.compile(r"(^|_)prototypes?\d*$", re.IGNORECASE)
# the number of layers with which a rule compares a candidate, so that its time is
# linear
_MAX_NEAR = 64
_MAX_CHAIN = 8  # the number of layers that a rule follows back from a candidate
_VALUE = re.compile(r"^(critic|v|vf|value)(_|$)", re.IGNORECASE)
_LOSS_KEY = re.compile(r"loss|criterion", re.IGNORECASE)
_BODY_BLOCK = re.compile(
    r"((?:.*\.)?(?:blocks?|layers?|stages?|h|encoder\w*)\.\d+)(?:\.\d+)*\.[a-z_]",
    re.IGNORECASE,
)
"""The path of a layer in a numbered block of a network's body."""


class CandidateReason(NamedTuple):
    """A reason against a candidate."""

    kind: str  # one of this module's constants
    text: str  # the description for the user


_Ends: TypeAlias = "dict[int, list[tuple[int, int]]]"
"""The input's width and the position of some layers, by the width of their output."""
Rules: TypeAlias = (
    "tuple[tuple[str, str, Callable[[_Network, Layer], str | None]], ...]"
)


@dataclass(frozen=True, eq=False)
class HeadCandidate:
    """A matrix that could be the head, with the evidence."""

    layer: Layer  # the layer that it belongs to
    # the name of its tensor, with the keys that lead to its state dict if there are
    # several
    name: str
    tensor: Tensor  # the weight with one row for each output
    support: tuple[str, ...]  # the evidence for it
    doubts: tuple[CandidateReason, ...]
    """The evidence against it that could be a coincidence (a name, a normalisation
    after a linear layer).
    """
    # the evidence that it is not the last layer of the network
    hidden: tuple[CandidateReason, ...]
    is_named: bool  # True if its name means a classifier
    # True if the file has no other layer, and the axis of the classes is known
    is_alone: bool
    # True if it has a row for each class; None if the number of classes is not known
    fits: bool | None
    # the position of the layer that takes its output; None if there is none
    feeds: int | None
    may_take_output: bool
    """True if it is a parameter of its own, and one of its sides has the width of an
    output that no layer takes.
    """

    @property
    def is_certain(self) -> bool:
        """Return whether nothing counts against it."""
        return not self.hidden and not self.doubts

    @property
    def kinds(self) -> set[str]:
        """The kinds of evidence against it."""
        return {reason.kind for reason in (*self.hidden, *self.doubts)}

    @property
    def against(self) -> tuple[str, ...]:
        """The evidence against it as texts, the strongest first."""
        return tuple(reason.text for reason in (*self.hidden, *self.doubts))

    @property
    def title(self) -> str:
        """The name and shape, as shown in messages."""
        return f"{self.name} {self.tensor.shape}"


def rank_candidates(
    groups: Sequence[NestedStateDict],
    classes: int | None = None,
    outputs: Sequence[str] | None = None,
) -> list[HeadCandidate]:
    """Return every matrix that could be the head, the most plausible first, each with
    its evidence.

    ``outputs`` are the names of the weights that compute outputs of the model, if the
    file has a graph.
    """
    network = _Network(groups, classes)
    candidates = [
        it for layer in network.layers if (it := network.candidate(layer)) is not None
    ]
    # Tied weights are one candidate.
    distinct = {
        (candidate.tensor, candidate.layer.path): candidate for candidate in candidates
    }
    ranked = sorted(
        distinct.values(),
        key=lambda it: (
            it.fits is False,
            bool(it.hidden),
            bool(it.doubts),
            not it.is_named,
            -it.layer.position,
        ),
    )
    # Candidates in several state dicts are shown with the keys that lead to them.
    if len({candidate.layer.path for candidate in ranked}) > 1:
        ranked = [
            replace(candidate, name=candidate.layer.full_name) for candidate in ranked
        ]
    # Candidates that compute an output come first. The graph overrules the evidence of
    # position and name.
    names = frozenset(outputs or ())
    chosen = [candidate for candidate in ranked if candidate.layer.name in names]
    if not chosen:
        return ranked
    no_output = CandidateReason(
        NO_OUTPUT, "computes no output of the model, by its graph"
    )
    others = [
        replace(other, hidden=(*other.hidden, no_output))
        for other in ranked
        if other.layer.name not in names
    ]
    if len(chosen) == 1:
        doubts = tuple(
            doubt
            for doubt in chosen[0].doubts
            if doubt.kind in (SINGLE_ROW, UNCLEAR_SIDE)
        )
        support = (*chosen[0].support, "computes an output of the model, by its graph")
        chosen = [replace(chosen[0], hidden=(), doubts=doubts, support=support)]
    return [*chosen, *others]


class _Network:
    """The structure of a network, with which the layers are judged."""

    def __init__(self, groups: Sequence[NestedStateDict], classes: int | None) -> None:
        self.ordered = all(is_registration_order(group.tensors) for group in groups)
        self.is_sorted = is_sorted_by_name(groups)
        self.layers = orient(layers_of(groups), classes, is_sorted=self.is_sorted)
        self.classes = classes
        self.modules = {".".join(layer.module) for layer in self.layers}
        self.consumer = consumers(
            self.layers, ordered=self.ordered, is_sorted=self.is_sorted
        )
        self.producer = {
            consumer: producer for producer, consumer in self.consumer.items()
        }
        self.unused = _unused_layers(self.layers, self.consumer)
        # Count the layers at the same path in numbered blocks, and the layers in each
        # block of the body.
        self.unused_outputs = Counter(layer.width_out for layer in self.unused)
        self.block_of = [_block(layer) for layer in self.layers]
        self.blocks = Counter(self.block_of)
        self.blocks[None] = 0
        computing = [
            layer for layer in self.layers if layer.kind in ("matrix", "other")
        ]
        self.body_blocks = Counter(_body_block(layer) for layer in computing)
        # Find the first and the last layer that computes; a matrix without a bias may
        # be a lookup table.
        not_tables = [
            layer for layer in computing if layer.kind == "other" or layer.has_bias
        ]
        self.first = next(iter(not_tables or self.layers), None)
        self.last = computing[-1].position if computing else 0
        self.has_networks = any(
            layer.path and layer.kind != "raw" for layer in self.layers
        )
        self.matrices = sum(
            layer.kind in ("matrix", "raw", "other") for layer in self.layers
        )
        self.image = _convolution_to_image(computing)
        self.convolutions = [layer for layer in self.layers if layer.kind == "other"]
        self.modules_of_convolutions = {
            (layer.path, layer.module) for layer in self.convolutions
        }

    @cached_property
    def numbered_norms(self) -> dict[tuple[object, ...], list[Layer]]:
        """The normalisations of each module by their numbers."""
        found: dict[tuple[object, ...], list[Layer]] = {}
        for layer in self.layers:
            if layer.kind == "norm":
                found.setdefault(_numbered(layer), []).append(layer)
        return found

    @cached_property
    def stacks(self) -> list[tuple[Layer, tuple[int, ...]]]:
        """The parameters with three axes; a convolution that nothing feeds, and that
        feeds nothing, may be one.
        """
        alone = {
            it.position
            for it in self.unused
            if not it.has_bias and it.position not in self.producer
        }
        found = [
            it
            for it in self.layers
            if it.kind == "stack" or (it.kind == "other" and it.position in alone)
        ]
        return [
            (it, it.weight.shape)
            for it in found
            if it.weight and len(it.weight.shape) == 3
        ]

    @cached_property
    def layers_by_block(self) -> dict[tuple[object, ...] | None, list[Layer]]:
        """The layers at each path in numbered blocks."""
        found: dict[tuple[object, ...] | None, list[Layer]] = {}
        for layer in self.layers:
            found.setdefault(self.block_of[layer.position], []).append(layer)
        return found

    @cached_property
    def ends(self) -> _Ends:
        """The layers whose output no other layer takes, by the width of their
        output.
        """
        return _first_ends(self.unused, is_sorted=False)

    @cached_property
    def siblings(self) -> dict[tuple[object, ...], list[Layer]]:
        """The layers of each module, by path, module and widths."""
        found: dict[tuple[object, ...], list[Layer]] = {}
        for layer in self.layers:
            found.setdefault(_place(layer, layer.width_in, layer.width_out), []).append(
                layer
            )
        return found

    @cached_property
    def experts(self) -> dict[tuple[int, int], list[Layer]]:
        """The parameters that may hold the matrices of several experts, by their number
        and the width of the input.

        They are stored as (experts, inputs, outputs), or as (experts, outputs, inputs)
        with a matrix of biases.
        """
        found: dict[tuple[int, int], list[Layer]] = {}
        unused = (it for it in self.unused if it.kind == "other" and it.weight)
        for layer in (*(it for it in self.layers if it.kind == "stack"), *unused):
            shape, bias = layer.tensor.shape, [len(part.shape) for part in layer.bias]
            if len(shape) == 3 and shape[0] > 1 and bias in ([], [2]):
                inputs = (
                    shape[1:] if bias or "expert" in layer.name.lower() else shape[1:2]
                )
                for width in inputs:
                    found.setdefault((shape[0], width), []).append(layer)
        return found

    @cached_property
    def stacks_by_sizes(self) -> dict[tuple[object, ...], Layer]:
        """A parameter with three axes for each two of its sizes, for its place and last
        size, and for the last of three sizes.
        """
        found: dict[tuple[object, ...], Layer] = {}
        for layer, shape in self.stacks:
            for pair in combinations(sorted(shape), 2):
                found.setdefault(pair, layer)
            if shape[0] > 1:
                found.setdefault((*_place(layer), shape[-1]), layer)
            if min(shape) > 1:
                found.setdefault(shape[-1:], layer)
        return found

    @cached_property
    def attentions(self) -> list[tuple[Layer, int, int]]:
        """The parameters that score several attention heads, with the numbers of heads
        and of outputs of each.
        """
        return [
            (it, shape[1], shape[2])
            for it, shape in self.stacks
            if shape[0] == 1 < min(shape[1:])
        ][:_MAX_NEAR]

    @cached_property
    def hidden_widths(self) -> set[int]:
        """The widths of the inputs of layers with a window."""
        return {layer.width_in for layer in self.convolutions}

    @cached_property
    def trunk(self) -> Layer | None:
        """The only layer with a window whose output no other layer takes; None if there
        are several or none.
        """
        ends = [layer for layer in self.unused if layer.kind == "other"]
        return ends[0] if len(ends) == 1 else None

    @cached_property
    def producers(self) -> dict[int, list[int]]:
        """The positions of all layers whose output a layer takes, by its position."""
        found: dict[int, list[int]] = {}
        for producer, consumer in self.consumer.items():
            found.setdefault(consumer, []).append(producer)
        return found

    @cached_property
    def roots(self) -> list[int]:
        """For each layer, the position of the first layer of the chain that feeds
        it.
        """
        found: dict[int, int] = {}
        for layer in self.layers:
            chain = dict.fromkeys([layer.position])
            last = layer.position
            while last not in found and self.producer.get(last, last) not in chain:
                last = self.producer[last]
                chain[last] = None
            root = found.get(last, last)
            found |= dict.fromkeys(chain, root)
        return [found[layer.position] for layer in self.layers]

    @cached_property
    def starts(self) -> list[int]:
        """For each layer, the position of the first of the layers in its module that
        are stored one after the other.
        """
        found: list[int] = []
        for layer in self.layers:
            is_next = layer.position > 0 and _are_siblings(
                self.layers[layer.position - 1], layer
            )
            found.append(found[-1] if is_next else layer.position)
        return found

    @cached_property
    def unused_by_widths(self) -> dict[tuple[int, int], list[Layer]]:
        """The layers whose output no other layer takes, by the widths of input and
        output.
        """
        found: dict[tuple[int, int], list[Layer]] = {}
        for layer in self.unused:
            found.setdefault((layer.width_in, layer.width_out), []).append(layer)
        return found

    @cached_property
    def linear_by_widths(self) -> dict[tuple[int, int], Layer]:
        """A linear layer for each pair of widths of input and output."""
        return {
            (layer.width_in, layer.width_out): layer
            for layer in self.layers
            if _is_linear(layer)
        }

    @cached_property
    def scales(self) -> dict[tuple[object, ...], int]:
        """The last position of a layer with twice as many outputs as inputs, by path,
        module around it and width of the input.
        """
        unused = (
            layer
            for layer in self.unused
            if layer.has_bias and layer.width_out == 2 * layer.width_in
        )
        ends = (
            (layer, end) for layer in unused for end in range(len(layer.module) + 1)
        )
        return {
            (layer.path, layer.module[:end], layer.width_in): layer.position
            for layer, end in ends
        }

    @cached_property
    def matrix_outputs(self) -> Counter[int]:
        """The number of matrices with each width of the output."""
        return Counter(
            layer.width_out for layer in self.layers if layer.kind == "matrix"
        )

    @cached_property
    def first_narrow(self) -> int | None:
        """The position of the first matrix with fewer outputs than the first layer has
        input values; None without one.
        """
        first = self.first
        if first is None or first.weight is None:
            return None
        values = prod(first.weight.shape[1:])
        later = self.layers[first.position :]
        return next(
            (
                it.position
                for it in later
                if it.kind == "matrix" and it.width_out < values
            ),
            None,
        )

    @cached_property
    def blocks_of_convolutions(
        self,
    ) -> dict[tuple[object, ...], tuple[set[int], set[int]]]:
        """The widths of the inputs and of the outputs of the convolutions in each
        module.
        """
        found: dict[tuple[object, ...], tuple[set[int], set[int]]] = {}
        for layer in self.convolutions:
            for end in range(len(layer.module) + 1):
                inputs, outputs = found.setdefault(
                    (layer.path, layer.module[:end]), (set(), set())
                )
                inputs.add(layer.width_in)
                outputs.add(layer.width_out)
        return found

    @cached_property
    def modules_of_layers(self) -> set[tuple[str, ...]]:
        """The modules that contain a layer that computes."""
        layers = [layer for layer in self.layers if layer.kind in ("matrix", "other")]
        return {
            layer.module[:end]
            for layer in layers
            for end in range(len(layer.module) + 1)
        }

    @cached_property
    def feature_widths(self) -> set[int]:
        """The widths of the inputs and outputs of layers whose output no other layer
        takes.
        """
        return {width for end in self.unused for width in (end.width_in, end.width_out)}

    @cached_property
    def language_tables(self) -> dict[tuple[int, int], list[Layer]]:
        """The first two tables of words, by their widths: matrices without a bias that
        come first or have the name of a table.
        """
        found: dict[tuple[int, int], list[Layer]] = {}
        for widths, layers in self.unused_by_widths.items():
            is_vocabulary = widths[1] >= WIDE
            without_bias = (layer for layer in layers if not layer.has_bias)
            tables = (
                it
                for it in without_bias
                if self.comes_first(it) or (is_vocabulary and NAME in _names(it))
            )
            found[widths] = list(islice(tables, 2))
        return found

    @cached_property
    def inputs_by_module(self) -> set[tuple[int, tuple[str, ...]]]:
        """The width of the input of each layer, with the module in which a layer
        computes an output of this width.

        The module is that of the layer itself, or () for the whole network if no other
        layer in that module has such an output.
        """
        layers = [layer for layer in self.layers if layer.kind != "norm"]
        outputs = Counter(
            (it.path, it.module[:end], it.width_out)
            for it in layers
            for end in range(len(it.module) + 1)
        )
        found = set()
        for layer in layers:
            parent = layer.module[:-1]
            producers = outputs[layer.path, parent, layer.width_in] - (
                layer.width_in == layer.width_out
            )
            found.add((layer.width_in, parent if producers else ()))
        return found

    @cached_property
    def has_only_tables(self) -> bool:
        """True if all layers are matrices without a bias, and none has the name of a
        classifier or takes another's output.
        """
        are_tables = all(
            it.kind == "matrix" and not it.has_bias and not _is_named(it)
            for it in self.layers
        )
        return (
            are_tables
            and not self.consumer
            and len({it.path for it in self.layers}) == 1 < len(self.layers)
        )

    def candidate(self, layer: Layer) -> HeadCandidate | None:
        """Return the layer as a candidate, or None if it has no matrix."""
        weight = layer.weight
        if (
            weight is None
            or layer.kind not in ("matrix", "raw")
            or not is_matrix(weight)
        ):
            return None
        rows, fits = weight.shape[0], None
        if self.classes is not None:
            fits = rows == self.classes or (
                rows == self.classes + 1 and DETECTOR.search(layer.name) is not None
            )
        evidence = {
            f"has a row for each of {self.classes} classes": bool(fits),
            "no other layer takes its output": layer.position not in self.consumer,
            "takes the output of another layer": layer.position in self.producer,
            "is the last layer": layer.position == self.last and self.ordered,
            "has a bias for each row": layer.has_bias,
            "its name means a classifier": _is_named(layer),
        }
        return HeadCandidate(
            layer=layer,
            name=layer.name,
            tensor=weight,
            support=tuple(text for text, holds in evidence.items() if holds),
            doubts=self.reasons(layer, DOUBT_RULES),
            hidden=self.reasons(layer, HIDDEN_RULES),
            is_named=_is_named(layer),
            is_alone=self.matrices == 1 and layer.width_out > 0,
            fits=fits,
            feeds=self.consumer.get(layer.position),
            may_take_output=layer.kind == "raw"
            and bool(_unused_sides(rows, weight.shape[1], self.ends)),
        )

    def reasons(self, layer: Layer, rules: Rules) -> tuple[CandidateReason, ...]:
        found = [(kind, find(self, layer)) for kind, _why, find in rules]
        return tuple(
            CandidateReason(kind, text) for kind, text in found if text is not None
        )

    def feeds_another(self, layer: Layer) -> str | None:
        consumer = self.consumer.get(layer.position)
        if consumer is None:
            return None
        # In a file sorted by name, the layers that could take the output may take that
        # of a layer in their own block.
        other = self.layers[consumer]
        around = (layer.module[:end] for end in range(len(layer.module) + 1))
        if self.is_sorted and not any(
            (other.width_in, module) in self.inputs_by_module for module in around
        ):
            return None
        # Parallel heads have the same widths and the same name in different modules.
        has_same_widths = (layer.width_in, layer.width_out) == (
            other.width_in,
            other.width_out,
        )
        has_same_name = layer.module[-1:] == other.module[-1:] and len(layer.module) > 1
        is_parallel = _is_named(layer) and has_same_widths and has_same_name
        return None if is_parallel else f"feeds {other.name}"

    def is_in_block(self, layer: Layer) -> str | None:
        body_block = _body_block(layer)
        times = self.blocks[self.block_of[layer.position]]
        # The last block may differ from those of the body, and end in the classifier.
        is_end = (
            times < 2
            and layer.position == self.last
            and layer.width_out == self.classes
        )
        if body_block is not None and self.body_blocks[body_block] > 1 and not is_end:
            return f"is in a block of {self.body_blocks[body_block]} layers"
        if times < 2 or _is_named(layer):
            return None
        # The last of several blocks in a chain ends the network. The one before it may
        # have a layer with a window.
        block = self.block_of[layer.position]
        before = next(
            other
            for other in reversed(self.layers_by_block[block])
            if other is not layer
        )
        producer = self.layers[self.producer.get(layer.position, layer.position)]
        is_in_other = (
            producer.module[:-1] != layer.module[:-1]
            and producer.module[-1:] == layer.module[-1:]
        )
        if (
            is_in_other
            and stem(producer) == stem(layer)
            and producer.path == layer.path
        ):
            before = producer
        different = sum(
            part != other
            for part, other in zip(layer.module, before.module, strict=True)
        )
        is_in_last = (
            self.ordered and layer.module[:-1] == self.layers[self.last].module[:-1]
        )
        ends_chain = (
            is_in_last and different == 1 and before.width_out == layer.width_in
        )
        return None if ends_chain else f"is one of {times} in repeated blocks"

    def normalised(self, layer: Layer, dimensions: range) -> str | None:
        # The normalisation is the next layer, of the same width, in the same module or
        # one around it.
        if layer.weight is None or len(layer.weight.shape) not in dimensions:
            return None
        near = self.layers[layer.position + 1 : layer.position + 2]
        if self.is_sorted and layer.width_in != layer.width_out:
            # "bn" comes before "conv", and "bn1", "bn2" and "bn3" come before "conv1".
            before = self.layers[max(layer.position - 1, 0) : layer.position]
            norms = [
                *before,
                *self.numbered_norms.get(_numbered(layer), [])[:_MAX_NEAR],
            ]
            near += [norm for norm in norms if not self.normalises_another(norm, layer)]
        for norm in near:
            parent = norm.module[:-1]
            is_near = (
                norm.path == layer.path
                and layer.module[: len(parent)] == parent != layer.module
            )
            if is_near and norm.kind == "norm" and norm.width_out == layer.width_out:
                return f"is normalised by {norm.name}"
        return None

    def normalises_another(self, norm: Layer, layer: Layer) -> bool:
        """Return whether a normalisation without a number follows another layer of its
        width ("att", "bn_att", "cla").
        """
        owner = self.layers[max(norm.position - 1, 0)]
        is_owner = (
            owner is not layer
            and owner.kind != "norm"
            and owner.width_out == norm.width_in
        )
        return (
            is_owner
            and _are_siblings(owner, norm)
            and not re.search(r"\d", "".join(norm.module[-1:]))
        )

    def is_unclear(self, layer: Layer) -> str | None:
        if layer.kind != "raw" or layer.weight is None:
            return None
        if layer.width_out == 0:
            return "may have its classes in rows or in columns"
        if layer.module[-1].isdigit():  # in a list of parameters (PODNet)
            return "may have several rows for each class"
        # The first of two thin matrices is a factor of a head of low rank (U in U @ V),
        # and means precede a covariance (LDA).
        for other in self.layers[layer.position + 1 : layer.position + 1 + _MAX_NEAR]:
            sizes = () if other.weight is None else other.weight.shape
            is_near = (
                other.kind == "raw"
                and other.module[:-1] == layer.module[:-1]
                and layer.width_in in sizes
            )
            is_square = len(set(sizes)) == 1 and layer.width_in != layer.width_out
            if is_near and (
                is_square or layer.width_in < min(layer.width_out, max(sizes))
            ):
                return f"may be multiplied by {other.name}"
        return None

    def has_single_row(self, layer: Layer) -> str | None:
        return (
            "has a single row"
            if layer.weight is not None and layer.weight.shape[0] == 1
            else None
        )

    def is_square(self, layer: Layer) -> str | None:
        if layer.width_in != layer.width_out or layer.width_out == 0:
            return None
        if layer.width_out >= WIDE and not any(
            map(_MEANS_CLASSIFIER.match, layer.module[-1:])
        ):
            return "has as many columns as rows, as a hidden layer does"
        is_repeated = self.blocks[self.block_of[layer.position]] > 1
        return "has the width of the block before" if is_repeated else None

    def returns_to_input(self, layer: Layer) -> str | None:
        # A residual block or predictor (BYOL) returns to the width of its input, and a
        # transformer of points to its square.
        part = layer.module[:-1]
        if (
            not part
            or not self.ordered
            or layer.kind != "matrix"
            or _MEANS_CLASSIFIER.match(layer.module[-1])
        ):
            return None
        start = self.starts[layer.position]
        width = self.layers[start].width_in
        is_later = (
            self.first is not None and self.first.position < start < layer.position
        )
        returns = is_later and width > 2 and layer.width_out in (width, width * width)
        return f"returns to the {width} inputs of {'.'.join(part)}" if returns else None

    def ends_autoencoder(self, layer: Layer) -> str | None:
        # An autoencoder narrows, and its last layer has a row for each value of the
        # input or of a patch.
        first = self.first
        if first is None or first.weight is None or not self.may_be_image(layer):
            return None
        values = prod(first.weight.shape[1:])
        others = self.matrix_outputs[first.width_in] - (
            layer.width_out == first.width_in
        )
        if layer.width_out != values or others:
            return None
        narrow = self.first_narrow
        if narrow is None or narrow >= layer.position:
            return None
        return (
            f"has a row for each of the {values} inputs, as the end of an autoencoder"
            " does"
        )

    def is_modulated(self, layer: Layer) -> str | None:
        # The last layer of a diffusion transformer is registered before the layer that
        # computes its input's scale and shift.
        parent = layer.module[:-1]
        if (
            not parent
            or not self.ordered
            or layer.width_out in (self.classes, 2 * layer.width_in)
        ):
            return None
        scale = self.scales.get((layer.path, parent, layer.width_in), -1)
        is_scaled = scale > layer.position
        return (
            "takes an input that the layer after it scales and shifts, as in a"
            " diffusion model"
            if is_scaled
            else None
        )

    def widens(self, layer: Layer) -> str | None:
        # A generator, a decoder of points and the expander of self-supervised training
        # widen from layer to layer. The last layer of a decoder may be narrower again
        # (CapsNet).
        if (
            layer.kind != "matrix"
            or layer.width_out == self.classes
            or _is_named(layer)
        ):
            return None
        before = self.widening_layers_before(layer)
        widens = layer.width_out > layer.width_in
        is_image = (
            len(before) > 1
            and layer.width_out >= WIDE
            and layer.width_out > before[-1].width_in
        )
        return (
            f"widens, as the layer {before[0].name} before it does"
            if before and (widens or is_image)
            else None
        )

    def widening_layers_before(self, layer: Layer) -> list[Layer]:
        """Return the linear layers of the same module that feed a layer one after the
        other, the last first, while each widens.
        """
        found: list[Layer] = []
        while len(found) < _MAX_CHAIN:
            inputs = (
                self.layers[position]
                for position in self.producers.get(layer.position, [])[:_MAX_CHAIN]
            )
            linear = (
                it
                for it in inputs
                if _is_linear(it) and _is_linear(layer) and _are_siblings(it, layer)
            )
            before = next((it for it in linear if it.width_in < it.width_out), None)
            if before is None:
                break
            found.append(before)
            layer = before
        return found

    def mirrors_linear(self, layer: Layer) -> str | None:
        # An autoencoder flattens a map into a code and returns to the map. The order of
        # a sorted file does not show this.
        if (self.ordered and not self.is_sorted) or not _is_linear(layer):
            return None
        other = self.linear_by_widths.get((layer.width_out, layer.width_in))
        size = max(layer.width_in, layer.width_out)
        channels = self.hidden_widths | {layer.width_out for layer in self.convolutions}
        pixels = [
            size // width for width in channels if width > 4 and size % width == 0
        ]
        is_map = any(number >= 4 and isqrt(number) ** 2 == number for number in pixels)
        if other is None or other is layer or not is_map:
            return None
        return (
            f"returns from the width of {other.name} to its input, as an autoencoder"
            " does"
        )

    def is_prototypes(self, layer: Layer) -> str | None:
        is_fed = layer.position in self.producer
        is_last = layer.module[-1:] == ("last_layer",) and is_fed and not layer.has_bias
        is_named = layer.kind == "matrix" and any(map(_PROTOTYPES.search, layer.module))
        return (
            "may hold the prototypes of self-supervised training"
            if is_named or is_last
            else None
        )

    def is_projection(self, layer: Layer) -> str | None:
        # Contrastive training often ends in a square layer and one whose width is a
        # power of two (SimCLR, SupCon, MoCo).
        before = self.layers[self.producer.get(layer.position, layer.position)]
        is_pair = (
            before is not layer
            and _are_siblings(before, layer)
            and before.width_in == before.width_out
        )
        is_power = (
            layer.width_out >= 32
            and layer.width_out.bit_count() == 1
            and layer.width_out != self.classes
        )
        earlier = self.producer.get(before.position)
        is_triple = earlier is not None and _are_siblings(self.layers[earlier], before)
        if (
            not is_pair
            or not is_power
            or is_triple
            or any(map(_SAYS_CLASSES.match, layer.module))
        ):
            return None
        return (
            f"has {layer.width_out} rows and follows a square layer, as the projection"
            " of contrastive training does"
        )

    def is_like_stack(self, layer: Layer) -> str | None:
        # A parameter with three axes may hold the class vectors, which a table of
        # queries or of class means resembles.
        if layer.weight is None or layer.width_in == layer.width_out:
            return None
        for other in self.experts.get((layer.width_out, layer.width_in), []):
            return (
                f"has a row for each matrix of {other.name} {other.tensor.shape}, as a"
                " gate over experts does"
            )
        if layer.has_bias or (_is_named(layer) and not _names(layer)):
            return None
        # A prompt has fewer rows than the vectors of the classes next to it, with the
        # same features.
        stack = (
            self.stacks_by_sizes.get((*_place(layer), layer.width_in))
            if layer.kind == "raw"
            else None
        )
        stack = stack or self.stacks_by_sizes.get(tuple(sorted(layer.weight.shape[:2])))
        return (
            None
            if stack is None
            else (
                f"has the sizes of {stack.name} {stack.tensor.shape}, which may hold"
                " the classes"
            )
        )

    def feeds_stack(self, layer: Layer) -> str | None:
        # Several vectors for each class (sub-centres, prototypes) are a parameter with
        # three axes.
        if (
            layer.kind != "matrix"
            or layer.width_out == self.classes
            or _is_named(layer)
        ):
            return None
        stack = self.stacks_by_sizes.get((layer.width_out,))
        if stack is None:
            return None
        return (
            f"may feed {stack.name} {stack.tensor.shape}, which may hold several"
            " vectors for each class"
        )

    def is_policy(self, layer: Layer) -> str | None:
        for other in self.unused_by_widths.get((layer.width_in, 1), [])[:_MAX_NEAR]:
            if other is not layer and any(map(_VALUE.match, other.module)):
                return (
                    f"is next to the value {other.name}, as the policy of an agent is"
                )
        return None

    def is_class_table(self, layer: Layer) -> str | None:
        # The discriminator of a GAN may add the product of its features and a vector of
        # the class to its score.
        for score in self.unused_by_widths.get((layer.width_in, 1), [])[:_MAX_NEAR]:
            is_normalised = layer.factors.kind == score.factors.kind == SPECTRAL_NORM
            if is_normalised and score.has_bias and not layer.has_bias:
                return (
                    f"has no bias and is next to the score {score.name}, as the classes"
                    " of a discriminator are"
                )
        return None

    def generates_weights(self, layer: Layer) -> str | None:
        # A hypernetwork takes another input than the trunk. It gives a matrix for the
        # output of the trunk, and perhaps a bias.
        trunk = self.trunk
        if trunk is None or trunk.width_out < 2 or not self.ordered:
            return None
        generated = self.siblings.get(
            _place(layer, layer.width_in, layer.width_out * trunk.width_out), []
        )[:_MAX_NEAR]
        for other in (layer, *generated):
            rows, rest = divmod(other.width_out, trunk.width_out)
            if rest or rows < 2 or other.kind != "matrix":
                continue
            root = self.layers[self.roots[other.position]]
            is_linear = root.weight is not None and len(root.weight.shape) == 2
            if is_linear and root.kind == "matrix" and root.position > trunk.position:
                return (
                    f"depends on {root.width_in} values that the trunk does not"
                    " compute, as in a hypernetwork"
                )
        return None

    def has_image_width(self, layer: Layer) -> str | None:
        is_image = layer is self.image or layer.width_out in self.hidden_widths
        if self.image is None or not is_image or not self.may_be_image(layer):
            return None
        return (
            "has the width of the image or of a hidden layer, and the network ends in"
            f" {self.image.name}"
        )

    def precedes_convolution(self, layer: Layer) -> str | None:
        # The classifier may be the convolution over the last map, and a narrow 1x1
        # convolution before it has as many outputs.
        last = self.layers[self.last]
        is_before = (
            layer.position in self.consumer and layer.width_out == last.width_out
        )
        is_window = (
            last.kind == "other"
            and last.weight is not None
            and last.position not in self.consumer
        )
        is_window = is_window and self.normalised(last, range(3, 99)) is None
        return (
            f"comes before the convolution {last.name} with as many outputs"
            if is_before and is_window
            else None
        )

    def follows_convolution(self, layer: Layer) -> str | None:
        # The convolution may be the classifier, and the square layer unused (HTS-AT).
        before = self.layers[self.producer.get(layer.position, layer.position)]
        is_window = (
            before.kind == "other"
            and before.weight is not None
            and before.width_in > before.width_out
        )
        is_linear = layer.weight is not None and len(layer.weight.shape) == 2
        is_square = is_linear and layer.width_in == layer.width_out == before.width_out
        is_last = (
            is_window and is_square and self.normalised(before, range(3, 99)) is None
        )
        return (
            f"is square and follows the convolution {before.name}, which may be the"
            " classifier"
            if is_last
            else None
        )

    def is_shortcut(self, layer: Layer) -> str | None:
        # A block may add a 1x1 convolution of its input to the output of its
        # convolutions (the U-Net of MONAI).
        parent = layer.module[:-1]
        if (
            not parent
            or layer.weight is None
            or layer.width_in not in self.hidden_widths
            or _is_named(layer)
        ):
            return None
        inputs, outputs = self.blocks_of_convolutions.get(
            (layer.path, parent), (set(), set())
        )
        # A spline convolution has a matrix for the node itself.
        is_in_other = (layer.path, parent) in self.modules_of_convolutions
        if not is_in_other and (
            layer.position == self.last or len(layer.weight.shape) < 3
        ):
            return None
        is_beside = layer.width_in in inputs and layer.width_out in outputs
        return (
            "is next to convolutions from its input to its output, as a shortcut is"
            if is_beside
            else None
        )

    def has_attention_heads(self, layer: Layer) -> str | None:
        # A graph attention has a row for each class and each of its heads, whose
        # outputs are averaged in the last layer.
        for other, heads, width in self.attentions:
            if _are_siblings(other, layer) and heads * width == layer.width_out:
                return (
                    f"has {heads} x {width} rows, which may be those of {heads}"
                    f" attention heads, by {other.name}"
                )
        return None

    def is_added_to_attention(self, layer: Layer) -> str | None:
        # A residual of a graph attention has a row for each class, and the attention
        # for each class and head.
        for scores, heads, width in self.attentions:
            values = self.siblings.get(
                (*_place(scores), layer.width_in, heads * width), []
            )
            if width == layer.width_out and any(
                it.position not in self.consumer for it in values
            ):
                return (
                    f"may be added to the output of {heads} attention heads, by"
                    f" {scores.name}"
                )
        return None

    def has_tails(self, layer: Layer) -> str | None:
        # The head of torch's AdaptiveLogSoftmaxWithLoss has rows for frequent classes
        # and for groups of rare ones.
        parts = [
            ".".join(layer.module[:end])
            for end, part in enumerate(layer.module)
            if part in ("head", "tail")
        ]
        is_part = any(f"{part}.tail.0.1".lstrip(".") in self.modules for part in parts)
        return (
            "has a part of the classes, as an adaptive softmax does"
            if is_part
            else None
        )

    def may_be_image(self, layer: Layer) -> bool:
        """Return whether neither the name nor the number of rows of a layer shows that
        its outputs are classes.
        """
        return (
            self.ordered
            and layer.kind == "matrix"
            and layer.width_out != self.classes
            and not _is_named(layer)
        )

    def is_fitted_value(self, layer: Layer) -> str | None:
        is_fitted = layer.kind == "raw" and _FITTED.search(layer.module[-1]) is not None
        return (
            "has the name of a fitted value of scikit-learn other than the coefficients"
            if is_fitted
            else None
        )

    def is_apart(self, layer: Layer) -> str | None:
        is_apart = (
            layer.kind == "raw"
            and not layer.path
            and not layer.module[:-1]
            and self.has_networks
        )
        return "is stored next to the network, not in it" if is_apart else None

    def is_table(self, layer: Layer) -> str | None:
        if self.is_sorted or not self.ordered:
            return None
        if layer.kind == "raw":
            return self.precedes_network(layer)
        if layer.kind != "matrix":
            return None
        if not layer.has_bias and self.comes_first(layer):
            return "comes first and has no bias, as a lookup table does"
        if not layer.has_bias and self.image is not None and not _is_named(layer):
            return (
                "has no bias, as a lookup table does, and the network ends in"
                f" {self.image.name}"
            )
        return None

    def precedes_network(self, layer: Layer) -> str | None:
        # A module before the network may hold a table alone (mel filters), which takes
        # no features.
        parent = layer.module[:-1]
        if self.first is None or layer.position >= self.first.position or not parent:
            return None
        is_filter = (
            parent not in self.modules_of_layers
            and layer.width_in not in self.feature_widths
        )
        return "comes first, as a table of filters does" if is_filter else None

    def is_among_tables(self, _layer: Layer) -> str | None:
        # Embeddings of words or of a graph's nodes are stored without any other layer,
        # and so are the columns of some networks.
        several = (
            "is one of several matrices without a bias, of which none takes the output"
            " of another"
        )
        return several if self.has_only_tables else None

    def ends_language_model(self, layer: Layer) -> str | None:
        # A language model has a row for each word in its first table and in its last
        # layer.
        if not self.ordered or layer.kind != "matrix":
            return None
        is_vocabulary = layer.width_out >= WIDE
        for table in self.language_tables.get((layer.width_in, layer.width_out), []):
            is_input = (
                table is self.layers[0]
                and self.first is not None
                and self.first.width_in == table.width_in
            )
            is_before = table.position < layer.position or (
                self.is_sorted and table is not layer
            )
            if is_before and (not layer.has_bias or is_vocabulary or is_input):
                return (
                    f"has the shape of the table {table.name}, as in a language model"
                )
        return None

    def comes_first(self, layer: Layer) -> bool:
        """Return whether a matrix comes before the network, does not take its output,
        and has not the name of a head.
        """
        first = self.first
        if (
            self.is_sorted
            or first is None
            or layer.position >= first.position
            or layer.kind != "matrix"
        ):
            return False
        is_own_width = (
            layer.width_in == layer.width_out and layer.position not in self.consumer
        )
        is_end = self.unused_outputs[layer.width_in] > is_own_width
        is_head = is_end and layer.width_in != first.width_in
        return (
            self.matrices > 1
            and bool(layer.module)
            and not _is_named(layer)
            and not is_head
        )


def _convolution_to_image(computing: Sequence[Layer]) -> Layer | None:
    """Return the last layer if it is a convolution that computes as many channels as
    the image has.
    """
    convolutions = [
        layer for layer in computing if layer.weight and len(layer.weight.shape) == 4
    ]
    if (
        len(convolutions) < 2
        or convolutions[-1] is not computing[-1]
        or not convolutions[-1].has_bias
    ):
        return None
    return (
        convolutions[-1]
        if convolutions[-1].width_out == convolutions[0].width_in
        else None
    )


def _is_named(layer: Layer) -> bool:
    """Return whether the name of a layer or of a module around it means a
    classifier.
    """
    return any(map(_MEANS_CLASSIFIER.match, layer.module))


def _is_linear(layer: Layer) -> bool:
    """Return whether a layer is linear, and not a convolution or a parameter of the
    model.
    """
    return (
        layer.kind == "matrix"
        and layer.weight is not None
        and len(layer.weight.shape) == 2
    )


def _place(layer: Layer, *widths: int) -> tuple[object, ...]:
    """Return the state dict and the module in which a layer is stored, and further
    keys.
    """
    return (layer.path, layer.module[:-1], *widths)


def _are_siblings(one: Layer, other: Layer) -> bool:
    """Return whether two layers are stored in the same module."""
    return (one.path, one.module[:-1]) == (other.path, other.module[:-1])


def _numbered(layer: Layer) -> tuple[object, ...]:
    """Return the module around a layer and the layer's numbers in it, which ``conv1``
    and ``bn1`` share.
    """
    return (
        layer.path,
        *layer.module[:-1],
        *re.findall(r"\d+", "".join(layer.module[-1:])),
    )


def _block(layer: Layer) -> tuple[object, ...] | None:
    """Return the pattern of a layer's path in a numbered block (``blocks.#.mlp.fc2``);
    None outside such blocks.
    """
    parts = layer.module[:-1]
    if not any(re.search(r"\d", part) for part in parts):
        return None
    return (
        *layer.path,
        *(re.sub(r"\d+", "#", part) for part in parts),
        *layer.module[-1:],
        layer.kind,
    )


def _body_block(layer: Layer) -> tuple[object, ...] | None:
    """Return the innermost numbered block of the network's body that contains a layer
    (``blocks.3``), or None.
    """
    match = _BODY_BLOCK.match(".".join(layer.module))
    return None if match is None else (layer.path, match[1])


def _names(layer: Layer) -> dict[str, str]:
    """Return ``{kind: text}`` of the reason that the name of a layer gives against it;
    empty without a reason.
    """
    # One search with all patterns is faster for the many names that match none, and
    # most modules have several layers.
    if any(map(_search_other_name, layer.module)):
        for kind, meaning, pattern in _OTHER_NAMES:
            if any(map(pattern.search, layer.module)):
                # A layer with a bias is not a table of positions, but may compute one.
                own_kind = NAME if kind == POSITIONS and layer.has_bias else kind
                return {own_kind: f"has the name of {meaning}"}
    if any(map(_DECODER.search, layer.module[:-1])):
        return {NAME: "has the name of a part of a decoder"}
    if any("bbox" in part.lower() for part in layer.module[-1:]):
        return {NAME: "has the name of a head for boxes"}
    return {}


def _named(kind: str, network: _Network, layer: Layer) -> str | None:
    text = _names(layer).get(kind)
    # The last layer of a head may be called a projection (SlowFast). An embedding has a
    # multiple of 32 as its width.
    is_end = (
        network.ordered
        and layer.position == network.last
        and layer.has_bias
        and layer.width_out % 32 > 0
    )
    is_head = is_end and any(map(_MEANS_CLASSIFIER.match, layer.module[-2:-1]))
    return None if is_head and text is not None and "projection" in text else text


def orient(
    layers: Sequence[Layer],
    classes: int | None,
    *,
    is_sorted: bool,
    may_be_table: bool = True,
) -> list[Layer]:
    """Return the layers with the widths of raw parameters and of weights without a
    bias, if evidence shows the axis of the output.

    Some authors store the weight of a last layer with a column for each class (LDAM,
    MagFace, SphereFace). The axis that takes the output of the layer before is the
    input. If both axes could take one, the layer has no widths, which makes it unclear.
    A parameter called ``weight`` may be a lookup table, unless the user names it as the
    head.
    """
    return _orient_parameters(
        _orient_weights(layers, classes, is_sorted=is_sorted),
        classes,
        may_be_table=may_be_table,
    )


def _orient_weights(
    layers: Sequence[Layer], classes: int | None, *, is_sorted: bool
) -> list[Layer]:
    """Return the layers, with the last weights without a bias oriented."""
    consumer = consumers(layers, ordered=True, is_sorted=is_sorted)
    fed = set(consumer.values())
    without_bias = [layer for layer in layers if _may_have_class_columns(layer)]
    last = {
        layer.position: layer
        for layer in without_bias
        if layer.position not in consumer
    }
    ends = _ends_without(last, layers, is_sorted=is_sorted)
    all_ends = _first_ends(_unused_layers(layers, consumer), is_sorted=is_sorted)
    norms = {it.width_out for it in layers if it.kind == "norm"} if is_sorted else set()
    # A square weight has the orientation of the other weights without a bias, which the
    # layers before or after them show.
    linked = fed | consumer.keys()
    has_rows = any(
        it.position in linked and it.width_in != it.width_out for it in without_bias
    )
    times = Counter(map(_block, layers))
    times[None] = 0
    oriented = list(layers)
    for layer in last.values():
        is_repeated = times[_block(layer)] > 1
        before = (
            layers[layer.position - 1] if layer.position and not is_sorted else None
        )
        if len(layers) == 1 and _may_be_margin(layer, classes):
            oriented[layer.position] = _without_sides(layer)
        elif layer.is_in_loss or (is_repeated and layer.position not in fed):
            oriented[layer.position] = _orient_weight(
                layer, before, all_ends, norms, is_decidable=False
            )
        elif not (is_repeated or _is_usual_square(layer, before, has_rows)):
            oriented[layer.position] = _orient_weight(
                layer, before, ends, norms, is_decidable=True
            )
    return oriented


def _ends_without(
    left_out: Container[int], layers: Sequence[Layer], *, is_sorted: bool
) -> _Ends:
    """Return the layers whose output no other layer takes, if the layers at some
    positions are left out.
    """
    others = [
        it._replace(kind="norm") if it.position in left_out else it for it in layers
    ]
    return _first_ends(
        _unused_layers(others, consumers(others, ordered=True, is_sorted=is_sorted)),
        is_sorted=is_sorted,
    )


def _orient_parameters(
    layers: Sequence[Layer], classes: int | None, *, may_be_table: bool
) -> list[Layer]:
    """Return the layers with the widths of raw parameters, if evidence shows the axis
    of the output.
    """
    widths = {layer.width_out for layer in layers if layer.kind != "raw"}
    unused = _first_ends(
        _unused_layers(layers, consumers(layers, ordered=True)), is_sorted=False
    )
    return [
        (
            _orient_parameter(it, widths, unused, classes, may_be_table)
            if it.kind == "raw"
            else it
        )
        for it in layers
    ]


def _may_have_class_columns(layer: Layer) -> bool:
    """Return whether a layer is a plain matrix without a bias, which could be stored
    transposed.
    """
    is_plain = (
        layer.kind == "matrix"
        and layer.factors.kind == PLAIN
        and not (layer.has_bias or layer.is_transposed)
    )
    has_unknown_side = (
        layer.weight is not None
        and len(layer.weight.shape) == 2
        and not layer.weight.has_output_rows
    )
    return is_plain and has_unknown_side and not _names(layer)


def _first_ends(unused: Sequence[Layer], *, is_sorted: bool) -> _Ends:
    """Return the layers whose output no other layer takes, by its width: at most two
    for each width, with different inputs.

    The width of the input is -1 for a convolution of images, and the position is -1 in
    a file sorted by name.
    """
    ends: _Ends = {}
    for layer in unused:
        same = ends.setdefault(layer.width_out, [])
        width_in = (
            -1
            if layer.weight is not None and len(layer.weight.shape) > 3
            else layer.width_in
        )
        if len(same) < 2 and all(width_in != width for width, _ in same):
            same.append((width_in, -1 if is_sorted else layer.position))
    return ends


def _is_usual_square(layer: Layer, before: Layer | None, has_rows: bool) -> bool:
    """Return whether a weight without a bias is square, and other layers or its name
    show that its outputs are its rows.
    """
    if layer.width_in != layer.width_out:
        return False
    is_sibling = (
        before is not None and _is_linear(before) and stem(before) == stem(layer)
    )
    return has_rows or is_sibling or _is_named(layer) or layer.module[-1:] == ("fc",)


def _orient_weight(
    layer: Layer,
    before: Layer | None,
    ends: _Ends,
    norms: set[int],
    *,
    is_decidable: bool,
) -> Layer:
    """Return a weight without a bias with its classes as rows, or as a raw parameter if
    the side of the classes is unclear.

    The layer ``before`` it is None in a file sorted by name. There, a normalisation
    with the width of the columns may come before it (DenseNet). The columns may be a
    multiple of the width of their input, if a convolution is flattened or outputs are
    joined.
    """
    rows, columns = layer.width_out, layer.width_in
    if 0 in (rows, columns):
        return layer
    is_square = rows == columns
    # A layer whose sides are not known has the width 0.
    is_fed = (
        before is not None
        and before.width_out not in (0, 1, rows)
        and columns % before.width_out == 0
    )
    # another head may come before
    is_parallel = before is not None and before.width_out < before.width_in == rows
    # A second matrix of the same shape is parallel and gives no input.
    takers = {
        width: [
            it
            for it in ends.get(width, ())
            if (is_square or it[0] != other) and it[1] < layer.position
        ]
        for width, other in ((rows, columns), (columns, rows))
    }
    if (is_fed and not is_parallel) or not takers[rows]:
        return layer
    may_be_input = bool(takers[columns]) or columns in norms or columns % rows == 0
    if is_decidable and not may_be_input:
        return layer._replace(
            weight=layer.tensor.transposed,
            is_transposed=True,
            width_in=rows,
            width_out=columns,
        )
    return _without_sides(layer)


def _without_sides(layer: Layer) -> Layer:
    """Return a weight as a parameter whose input and output are not known."""
    return layer._replace(
        kind="raw", module=(*layer.module, "weight"), width_in=0, width_out=0
    )


def _may_be_margin(layer: Layer, classes: int | None) -> bool:
    """Return whether a weight that was saved alone may be a margin, whose embedding
    often has a power of two as its width.
    """
    is_embedding = layer.width_out >= 128 and layer.width_out.bit_count() == 1
    return is_embedding and (
        layer.width_in == classes or layer.width_in.bit_count() > 1
    )


def _unused_layers(layers: Sequence[Layer], consumer: Mapping[int, int]) -> list[Layer]:
    """Return the layers whose output no other layer takes."""
    return [
        layer
        for layer in layers
        if layer.kind in ("matrix", "other") and layer.position not in consumer
    ]


def _unused_sides(rows: int, columns: int, ends: _Ends) -> set[int]:
    """Return those of the two sizes of a matrix with which it could take the output of
    a layer whose output no other layer takes.

    A square matrix, or a second matrix of the layer's own shape (prototypes, a running
    mean), does not take its output.
    """
    if rows == columns:
        return set()
    pairs = ((rows, columns), (columns, rows))
    return {
        side
        for side, other in pairs
        if any(width_in != other for width_in, _ in ends.get(side, ()))
    }


def _orient_parameter(
    layer: Layer,
    widths: set[int],
    unused: _Ends,
    classes: int | None,
    may_be_table: bool,
) -> Layer:
    """Return a raw parameter with its classes as rows, if the number of classes or the
    widths of other layers show them.
    """
    weight = layer.tensor
    rows, columns = weight.shape[:2]
    if (
        len(weight.shape) > 2 or weight.has_output_rows
    ):  # the outputs of a 1x1 convolution are its rows
        return layer._replace(width_out=rows, width_in=columns)
    name = layer.module[-1]
    if name == "fc":
        refusal = (
            "holds several centres for each class (SoftTriple), so no single row is a"
            " class"
        )
        return layer._replace(
            width_in=rows, width_out=columns, weight=weight.transposed, refusal=refusal
        )
    # In pytorch-metric-learning, proxies have a row for each class, and the W of a loss
    # has a column.
    conventions = (
        {"proxies": False, "W": True} if layer.is_in_loss else {"proxies": False}
    )
    convention = conventions.get(name)
    inputs = {rows, columns} & widths
    if len(inputs) == 2 or rows == columns:
        inputs = _unused_sides(rows, columns, unused)
    if (
        name == "weight"
    ):  # a table of as many rows as classes looks like the weight of a margin
        inputs = set() if may_be_table else _unused_sides(rows, columns, unused)
    # The number of classes is the strongest evidence, then the axis that takes the
    # output of a layer.
    has_class_columns = convention
    if classes is not None and classes in (rows, columns) and rows != columns:
        has_class_columns = columns == classes
    elif len(inputs) == 1:
        has_class_columns = rows in inputs
        contradicts_convention = (
            convention is not None and convention != has_class_columns
        )
        if contradicts_convention and any(
            map(_LOSS_KEY.search, (*layer.path, *layer.module[:-1]))
        ):
            has_class_columns = None
    if has_class_columns is None:
        return layer
    if has_class_columns:
        return layer._replace(
            weight=weight.transposed, width_out=columns, width_in=rows
        )
    return layer._replace(width_out=rows, width_in=columns)


HIDDEN_RULES: Rules = (
    (
        FEEDS,
        "No layer takes the output of the head, which is the output of the network.",
        _Network.feeds_another,
    ),
    (IN_BLOCK, "Repeated blocks are the body of a network.", _Network.is_in_block),
    (
        NORMALISED,
        "A normalised 1x1 convolution is hidden in practice.",
        lambda net, it: net.normalised(it, range(3, 99)),
    ),
)
"""The evidence that a layer is not the last one: kind, reason and function. A graph in
the file gives `NO_OUTPUT`, too.
"""

DOUBT_RULES: Rules = (
    (
        NORMALISED,
        "A normalisation rarely follows logits.",
        lambda net, it: net.normalised(it, range(3)),
    ),
    (
        STACK,
        "A parameter with three axes may hold the classes.",
        _Network.is_like_stack,
    ),
    (STACK, "A parameter with three axes may take the output.", _Network.feeds_stack),
    (
        OTHER_HEAD,
        "A head for another purpose, or a copy, has the shape of the head.",
        partial(_named, OTHER_HEAD),
    ),
    (NAME, "Authors name the other parts of a network.", partial(_named, NAME)),
    (
        POSITIONS,
        "A table of positions has no rows for classes.",
        partial(_named, POSITIONS),
    ),
    (
        STATISTIC,
        "Means of classes have the shape of the head, but compute nothing.",
        partial(_named, STATISTIC),
    ),
    (
        UNCLEAR_SIDE,
        "The wrong axis gives a wrong similarity matrix.",
        _Network.is_unclear,
    ),
    (
        SINGLE_ROW,
        "One row has no similarities; it may score attention or a value.",
        _Network.has_single_row,
    ),
    (SQUARE, "Hidden layers are often square, and heads rarely.", _Network.is_square),
    (
        SQUARE,
        "A part of a network often returns to its input's width.",
        _Network.returns_to_input,
    ),
    (
        IMAGE,
        "A network that returns its input has no classes.",
        _Network.ends_autoencoder,
    ),
    (
        IMAGE,
        "A network that returns an image has no classes.",
        _Network.has_image_width,
    ),
    (IMAGE, "A transformer that removes noise has no classes.", _Network.is_modulated),
    (IMAGE, "A head rarely is the second of two widening layers.", _Network.widens),
    (
        IMAGE,
        "A decoder returns to the width that its encoder had.",
        _Network.mirrors_linear,
    ),
    (
        PROTOTYPES,
        "Self-supervised training ends in prototypes, which are no classes.",
        _Network.is_prototypes,
    ),
    (
        NAME,
        "A projection of self-supervised training has no classes.",
        _Network.is_projection,
    ),
    (NAME, "The actions of an agent are no classes of images.", _Network.is_policy),
    (TABLE, "A discriminator takes the class as an input.", _Network.is_class_table),
    (OTHER_HEAD, "A hypernetwork computes the head.", _Network.generates_weights),
    (
        WINDOW,
        "The last layer may be a convolution without global pooling.",
        _Network.precedes_convolution,
    ),
    (
        WINDOW,
        "The last layer may be unused, and the convolution before it the classifier.",
        _Network.follows_convolution,
    ),
    (
        WINDOW,
        "A shortcut around convolutions computes no classes.",
        _Network.is_shortcut,
    ),
    (
        SQUARE,
        "Several heads of attention have a row for each class.",
        _Network.has_attention_heads,
    ),
    (
        WINDOW,
        "A residual of an attention is a part of the classifier.",
        _Network.is_added_to_attention,
    ),
    (
        NAME,
        "The layers of an adaptive softmax predict a part of the classes each.",
        _Network.has_tails,
    ),
    (
        TABLE,
        "scikit-learn stores the coefficients of each class in coef_.",
        _Network.is_fitted_value,
    ),
    (
        APART,
        "A matrix next to the state dicts is a result, such as a confusion matrix.",
        _Network.is_apart,
    ),
    (
        TABLE,
        "A lookup table has the shape of a head without a bias.",
        _Network.is_table,
    ),
    (TABLE, "A file may hold lookup tables alone.", _Network.is_among_tables),
    (
        TABLE,
        "The last layer of a language model has the shape of its first table.",
        _Network.ends_language_model,
    ),
)
"""The evidence that could be a coincidence, in the order of the messages."""
