"""List every matrix of a checkpoint that could be the classifier head, with the evidence for and against it.

Structure comes first: which layer feeds which, which layers repeat in numbered blocks, which weights are normalised. A name can
count against a candidate (attention, a decoder, an auxiliary head) or support it. The choice of the head uses the ranking of
`rank_candidates`, and ``dsi scan --why`` prints it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dsi_cli.checkpoints.background_rows import DETECTOR
from dsi_cli.checkpoints.layers import IN_LOSS, Layer, consumers, is_matrix, is_registration_order, layers_of
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.checkpoints.trainers import NestedStateDict

_MEANS_CLASSIFIER = re.compile(
    r"^(clf|classif\w*|cls(_classifier|_score|_head|_seg)?|heads?|logits?|last_linear|class_(predictor|embed|head)"
    r"|class_labels_classifier|predictions?|predictor|box_predictor|label_predictor|(mlp|linear|fc|decode)_head|head_(fc|dense)"
    r"|conv_seg|to_logits|output_layer|final_layer|(.*_)?(predictions|logits|probs))$",
    re.IGNORECASE,
)
"""Names of modules that mean a classifier."""
FEEDS, IN_BLOCK, NORMALISED, SQUARE, SINGLE_ROW, UNCLEAR_SIDE = (
    "feeds",
    "block",
    "norm",
    "square",
    "one row",
    "unclear side",
)
APART, TABLE, NAME, OTHER_HEAD, NO_OUTPUT = "apart", "table", "name", "other head", "no output"
"""The kinds of reasons against a candidate. `OTHER_HEAD` is a name that means a head for something else or a copy."""
_OTHER_NAMES = tuple(
    (kind, meaning, re.compile(pattern, re.IGNORECASE))
    for kind, meaning, pattern in (
        (OTHER_HEAD, "an auxiliary or distillation head", r"aux|dist($|_|ill)|deep_?sup|side_?out"),
        (OTHER_HEAD, "a discriminator or a head for another task", r"discrim|critic|domain|adv|rotat|jigsaw|regress"),
        (OTHER_HEAD, "a copy of the network", r"teacher|momentum|_k$|target_net|shadow|averaged"),
        (
            NAME,
            "an embedding or a lookup table",
            r"(?<!class_)embed|(^|_)emb($|_)|token|vocab|lookup|position|relative|rel_?pos",
        ),
        (NAME, "a memory", r"codebook|queue|bank"),
        (NAME, "a part of attention", r"attn|attention|qkv|(?-i:^[qkv]$)|query|key(?!point)|value|pooler"),
        (NAME, "a projection", r"(?<!out_)proj|contrast|bottleneck|align|merger|connector"),
        (NAME, "a part that makes an image", r"recon|generator"),
        (NAME, "a head for boxes or masks", r"bbox(?!_head)|box_?reg|mask_head|rpn"),
        (NAME, "a spatial transformer", r"^stn|^t_?net|localization|fc_loc"),
        (NAME, "a gate", r"gate|gating|router|squeeze|^se\d*$|excit"),
        (
            NAME,
            "a part of the body",
            r"downsample|shortcut|reduction|conv_?stem|conv_?(dw|pw|head)|last_conv|pre_|^pool|lora_",
        ),
        (NAME, "a statistic", r"confmat|cent(er|roid)s?$|covariance"),
        (NAME, "the tower of another input", r"^text(_|$)"),
    )
)
"""Names of modules that mean something else: the kind of the reason, what they mean, and the pattern of the name."""
_ANY_OTHER_NAME = re.compile("|".join(pattern.pattern for _, _, pattern in _OTHER_NAMES), re.IGNORECASE)
_DECODER = re.compile(r"^dec$|decoder(?!_head)", re.IGNORECASE)
WIDE = 256
"""A square matrix of at least this size is taken for a hidden layer if nothing else tells."""
_LOSS_KEY = re.compile(r"loss|criterion", re.IGNORECASE)
_BODY_BLOCK = re.compile(r"((?:.*\.)?(?:blocks?|layers?|stages?|h|encoder\w*)\.\d+)\.[a-z_]", re.IGNORECASE)
"""The path of a layer within a numbered block of a network's body."""


class CandidateReason(NamedTuple):
    """A reason against a candidate: its kind, one of the constants of this module, and the words for the user."""

    kind: str
    text: str


@dataclass(frozen=True)
class HeadCandidate:
    """A matrix that could be the head, with the evidence.

    Attributes
    ----------
    layer : the layer that it belongs to
    name : the name of its tensor, with the keys that lead to its state dict if there are several
    tensor : the weight with one row for each output
    support : what speaks for it
    doubts : what speaks against it and could be a coincidence (a name, a normalisation after a linear layer)
    hidden : what shows that it is not the last layer of the network
    is_named : whether its name means a classifier
    is_alone : whether the file has no other layer, and it is clear which side of the matrix the classes are
    fits : whether it has a row for each class; None if the number of classes is not known
    """

    layer: Layer
    name: str
    tensor: Tensor
    support: tuple[str, ...]
    doubts: tuple[CandidateReason, ...]
    hidden: tuple[CandidateReason, ...]
    is_named: bool
    is_alone: bool
    fits: bool | None

    @property
    def against(self) -> tuple[str, ...]:
        """What speaks against it, in words, the strongest first."""
        return tuple(reason.text for reason in (*self.hidden, *self.doubts))

    def has_reason(self, kind: str) -> bool:
        """Return whether a reason of some kind speaks against it."""
        return any(reason.kind == kind for reason in (*self.hidden, *self.doubts))

    @property
    def title(self) -> str:
        """Name and shape, as messages show it."""
        return f"{self.name} {self.tensor.shape}"


def rank_candidates(groups: Sequence[NestedStateDict], classes: int | None = None) -> list[HeadCandidate]:
    """Return every matrix that could be the head, the most plausible first, each with its evidence."""
    layers = layers_of(groups)
    ordered = all(is_registration_order(group.tensors) for group in groups)
    evidence = _Evidence(layers, ordered, classes)
    candidates = [candidate for layer in layers for candidate in evidence.candidates(layer)]
    distinct = {(one.tensor, one.layer.path): one for one in candidates}  # tied weights are one
    ranked = sorted(distinct.values(), key=_rank_of)
    in_one_place = len({one.layer.path for one in ranked}) <= 1
    return ranked if in_one_place else [replace(one, name=one.layer.full_name) for one in ranked]


def _rank_of(candidate: HeadCandidate) -> tuple[bool, bool, bool, bool, int]:
    return (
        candidate.fits is False,
        bool(candidate.hidden),
        bool(candidate.doubts),
        not candidate.is_named,
        -candidate.layer.position,
    )


class _Evidence:
    """What the layers of a network tell about each of them."""

    def __init__(self, layers: Sequence[Layer], ordered: bool, classes: int | None) -> None:
        self.layers = orient(layers, classes)
        self.ordered = ordered
        self.classes = classes
        self.consumer = consumers(self.layers, ordered=ordered)
        self.block_of = [_block(layer) for layer in layers]
        self.blocks = Counter(block for block in self.block_of if block is not None)
        in_blocks = [_body_block(layer) for layer in layers if layer.kind in ("matrix", "other")]
        self.in_body = Counter(block for block in in_blocks if block is not None)
        self.first_with_width: dict[int, int] = {}
        for layer in self.layers:
            if layer.kind != "raw":
                self.first_with_width.setdefault(layer.width_out, layer.position)
        computing = [layer for layer in self.layers if layer.kind in ("matrix", "other")]
        is_no_table = [layer.position for layer in computing if layer.kind == "other" or layer.has_bias]
        self.first = is_no_table[0] if is_no_table else 0
        self.last = computing[-1].position if computing else 0
        self.has_networks = any(layer.path and layer.kind != "raw" for layer in layers)
        self.matrices = sum(layer.kind in ("matrix", "raw", "other") for layer in self.layers)

    def candidates(self, layer: Layer) -> list[HeadCandidate]:
        """Return the layer as a candidate, if it has a matrix; nothing otherwise."""
        layer = self.layers[layer.position]
        weight = layer.weight
        if weight is None or layer.kind not in ("matrix", "raw") or not is_matrix(weight):
            return []
        is_named = any(map(_MEANS_CLASSIFIER.match, layer.module))
        hidden, doubts = self._hidden(layer, is_named), self._doubts(layer)
        fits = self._fits(layer, weight)
        return [
            HeadCandidate(
                layer,
                layer.name,
                weight,
                tuple(self._support(layer, is_named, fits)),
                doubts,
                hidden,
                is_named,
                self.matrices == 1 and layer.width_out > 0,
                fits,
            )
        ]

    def _fits(self, layer: Layer, weight: Tensor) -> bool | None:
        if self.classes is None:
            return None
        rows = weight.shape[0]
        return rows == self.classes or (rows == self.classes + 1 and DETECTOR.search(layer.name) is not None)

    def _support(self, layer: Layer, is_named: bool, fits: bool | None) -> Iterable[str]:
        if fits:
            yield f"has a row for each of {self.classes} classes"
        if layer.position not in self.consumer:
            yield "no other layer takes its output"
        if self.first_with_width.get(layer.width_in, layer.position) < layer.position:
            yield "takes the output of an earlier layer"
        if layer.position == self.last and self.ordered:
            yield "is the last layer"
        if layer.has_bias:
            yield "has a bias for each row"
        if is_named:
            yield "its name means a classifier"

    def _hidden(self, layer: Layer, is_named: bool) -> tuple[CandidateReason, ...]:
        """Return what shows that a layer is not the last one."""
        found = []
        consumer = self.consumer.get(layer.position)
        if consumer is not None and not (is_named and _are_alike(layer, self.layers[consumer])):
            found.append(CandidateReason(FEEDS, f"feeds {self.layers[consumer].name}"))
        block = self.block_of[layer.position]
        body = _body_block(layer)
        if body is not None and self.in_body[body] > 1:
            found.append(CandidateReason(IN_BLOCK, f"is in a block of {self.in_body[body]} layers"))
        elif block is not None and self.blocks[block] > 1 and not is_named and not self._ends_its_chain(layer):
            found.append(CandidateReason(IN_BLOCK, f"is one of {self.blocks[block]} in repeated blocks"))
        norm = self._norm_after(layer)
        if norm is not None and layer.weight is not None and len(layer.weight.shape) > 2:
            found.append(CandidateReason(NORMALISED, f"is a convolution that {norm.name} normalises"))
        return tuple(found)

    def _ends_its_chain(self, layer: Layer) -> bool:
        """Return whether a layer of a numbered block is in the last block, and fed by the block before."""
        numbered = sum(bool(re.search(r"\d", part)) for part in layer.module[:-1])
        if not self.ordered or layer.module[:-1] != self.layers[self.last].module[:-1] or numbered > 1:
            return False
        block = self.block_of[layer.position]
        fellows = [one for one in self.layers if self.block_of[one.position] == block and one is not layer]
        return fellows[-1].width_out == layer.width_in

    def _doubts(self, layer: Layer) -> tuple[CandidateReason, ...]:
        """Return what speaks against a layer without proving that it is hidden."""
        found = (
            self._doubt_by_norm(layer),
            _doubt_by_name(layer),
            self._doubt_by_shape(layer),
            self._doubt_by_place(layer),
        )
        return tuple(doubt for doubt in found if doubt is not None)

    def _doubt_by_norm(self, layer: Layer) -> CandidateReason | None:
        norm = self._norm_after(layer)
        is_linear = layer.weight is not None and len(layer.weight.shape) == 2
        return CandidateReason(NORMALISED, f"{norm.name} normalises its output") if norm is not None and is_linear else None

    def _doubt_by_shape(self, layer: Layer) -> CandidateReason | None:
        if layer.kind == "raw" and layer.width_out == 0:
            return CandidateReason(UNCLEAR_SIDE, "it is not clear whether its rows or its columns are the classes")
        if layer.weight is not None and layer.weight.shape[0] == 1:
            return CandidateReason(SINGLE_ROW, "has a single row")
        is_square = layer.width_in == layer.width_out
        if is_square and layer.width_out >= WIDE and not any(map(_MEANS_CLASSIFIER.match, layer.module[-1:])):
            return CandidateReason(SQUARE, "has as many columns as rows, as a hidden layer does")
        block = self.block_of[layer.position]
        if is_square and block is not None and self.blocks[block] > 1:
            return CandidateReason(SQUARE, "has the width of the block before")
        return None

    def _doubt_by_place(self, layer: Layer) -> CandidateReason | None:
        if layer.kind == "raw" and not layer.path and not layer.module[:-1] and self.has_networks:
            return CandidateReason(APART, "is stored next to the network, not in it")
        if self.ordered and self.matrices > 1 and layer.position < self.first and layer.kind == "matrix":
            return CandidateReason(TABLE, "stands first and has no bias, as a lookup table does")
        return None

    def _norm_after(self, layer: Layer) -> Layer | None:
        """Return the normalisation of a layer's output: the next layer, of the same width, in the same module or one around it."""
        following = self.layers[layer.position + 1] if layer.position + 1 < len(self.layers) else None
        if following is None or following.kind != "norm" or following.width_out != layer.width_out:
            return None
        around = following.module[:-1]
        return following if layer.module[: len(around)] == around and following.path == layer.path else None


def _are_alike(layer: Layer, other: Layer) -> bool:
    """Return whether two layers have the same widths and the same name in different modules, as parallel heads have."""
    widths = (layer.width_in, layer.width_out) == (other.width_in, other.width_out)
    return widths and layer.module[-1:] == other.module[-1:] and len(layer.module) > 1


def _body_block(layer: Layer) -> tuple[object, ...] | None:
    """Return the innermost numbered block of the network's body that a layer lies in (``blocks.3``); None outside such blocks."""
    found = _BODY_BLOCK.match(".".join(layer.module))
    return None if found is None else (layer.path, found[1])


def _doubt_by_name(layer: Layer) -> CandidateReason | None:
    if any(map(_ANY_OTHER_NAME.search, layer.module)):
        found = next((kind, meaning) for kind, meaning, pattern in _OTHER_NAMES if any(map(pattern.search, layer.module)))
    elif any(map(_DECODER.search, layer.module[:-1])):
        found = NAME, "a part of a decoder"
    elif any("bbox" in part.lower() for part in layer.module[-1:]):
        found = NAME, "a head for boxes"
    else:
        return None
    kind, meaning = found
    return CandidateReason(kind, f"its name is that of {meaning}")


def orient(layers: Sequence[Layer], classes: int | None) -> list[Layer]:
    """Return the layers with the widths of raw parameters, where evidence tells which axis is the output."""
    widths = {layer.width_out for layer in layers if layer.kind != "raw"}
    return [_with_widths(layer, widths, classes) if layer.kind == "raw" else layer for layer in layers]


def _with_widths(layer: Layer, widths: set[int], classes: int | None) -> Layer:
    weight = layer.weight
    assert weight is not None
    rows, columns = weight.shape
    in_loss = any(map(IN_LOSS.search, (*layer.path, *layer.module[:-1])))
    name = layer.module[-1]
    if name == "fc" and (in_loss or not layer.module[:-1]):
        refusal = "holds several centres for each class (SoftTriple), so no single row is a class"
        return layer._replace(width_in=rows, width_out=columns, weight=weight.transposed, refusal=refusal)
    turned: bool | None = None
    convention = {"proxies": False, "W": True if in_loss else None}.get(name)  # of pytorch-metric-learning
    if classes is not None and classes in (rows, columns) and rows != columns:
        turned = columns == classes
    elif (rows in widths) != (columns in widths):
        turned = rows in widths
        if convention not in (None, turned) and any(map(_LOSS_KEY.search, (*layer.path, *layer.module[:-1]))):
            turned = None
    elif convention is not None:
        turned = convention
    if turned is None:
        return layer
    width_out, width_in = (columns, rows) if turned else (rows, columns)
    return layer._replace(weight=weight.transposed if turned else weight, width_out=width_out, width_in=width_in)


def _block(layer: Layer) -> tuple[object, ...] | None:
    """Return the pattern of a layer's path within a numbered block (``blocks.#.mlp.fc2``); None outside such blocks."""
    parts = layer.module[:-1]
    if not any(re.search(r"\d", part) for part in parts):
        return None
    return (*layer.path, *(re.sub(r"\d+", "#", part) for part in parts), *layer.module[-1:], layer.kind)
