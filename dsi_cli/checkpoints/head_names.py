"""The names of modules that mean a classifier, and those that mean another part of a
network.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from dsi_cli.checkpoints.layers import Layer

CLASSIFIER_NAME = re.compile(
    r"^(clf|classif\w*|cls(_classifier|_score|_head|_seg)?|heads?|logits?|last_linear"
    r"|class_(predictor|embed|head)|class_labels_classifier|predictions?|predictor"
    r"|box_predictor|label_predictor|(mlp|linear|fc|decode)_head|head_(fc|dense)"
    r"|conv_seg|to_logits|output_layer|final_layer|(.*_)?(predictions|logits|probs))$",
    re.IGNORECASE,
)
"""Names of modules that mean a classifier."""


class Code(StrEnum):
    """The kinds of evidence against a layer."""

    FEEDS = "feeds"
    BLOCK = "block"
    NORMALISED = "normalised"
    NO_OUTPUT = "no output"  # by the graph in the file
    STACK = "stack"
    OTHER_HEAD = "other head"
    NAME = "name"
    STATISTIC = "statistic"
    SIDE = "unclear side"
    ONE_ROW = "one row"
    SQUARE = "square"
    WINDOW = "window"
    APART = "apart"
    TABLE = "table"


def is_named(layer: Layer) -> bool:
    """Return whether the name of a layer or of a module around it means a
    classifier.
    """
    return any(map(CLASSIFIER_NAME.match, layer.module))


def confirms_classifier(layer: Layer) -> bool:
    """Return whether the name of a layer is that of a classifier in torchvision, timm
    or transformers.
    """
    return is_named(layer) or layer.module == ("fc",)


def has_classifier_name(layer: Layer) -> bool:
    """Return whether a layer's own name means a classifier."""
    return any(map(CLASSIFIER_NAME.match, layer.module[-1:]))


class OtherName(NamedTuple):
    """A name of modules that are not the classifier."""

    code: Code
    text: str  # the meaning of the name
    pattern: str
    parts: slice = slice(None)  # the parts of the module's path that may have the name


PROJECTION = OtherName(
    Code.NAME, "a projection", r"(?<!out_)proj|contrast|neck|align|merger|connector"
)
_OTHER_NAMES = (
    OtherName(
        Code.OTHER_HEAD,
        "an auxiliary or distillation head",
        r"aux|dist($|_|ill)|deep_?sup|side_?out",
    ),
    OtherName(
        Code.OTHER_HEAD,
        "a discriminator or a head for another task",
        r"discrim|critic|domain|adv|jigsaw|regress|(^|_)rot(at|_|$)",
    ),
    OtherName(
        Code.OTHER_HEAD,
        "a copy of the network",
        r"teacher|momentum|_k$|target_net|shadow|averaged"
        r"|^(old|original)_(net|model|backbone)",
    ),
    OtherName(
        Code.TABLE,
        "a table of positions",
        r"(^|_)pos($|_)|position|relative|rel_?pos|^wpe$",
    ),
    OtherName(
        Code.NAME,
        "an embedding or lookup table",
        r"^(?!embed_out$).*(?<!class_)embed|(^|_)emb($|_)|token|vocab|lookup"
        r"|^latents?$|^wte$",
    ),
    OtherName(Code.NAME, "a memory", r"codebook|queue|bank|memory"),
    OtherName(
        Code.NAME,
        "a part of attention",
        r"attn|attention|qkv|(?-i:^[qkv]$)|quer(y|ies)|key(?!point)|value|pooler",
    ),
    PROJECTION,
    OtherName(
        Code.NAME,
        "a part that makes an image",
        r"recon|generator|^to_pixels?$|^decoder_pred",
    ),
    OtherName(
        Code.NAME, "a head for boxes or masks", r"bbox(?!_head)|box_?reg|mask_head|rpn"
    ),
    OtherName(Code.NAME, "a spatial transformer", r"^stn|^t_?net|localization|fc_loc"),
    OtherName(Code.NAME, "a gate", r"gate|gating|router|squeeze|^se\d*$|excit"),
    OtherName(
        Code.NAME,
        "a part of the body",
        r"downsample|shortcut|reduction|conv_?stem|conv_?(dw|pw|head)|last_conv|pre_"
        r"|^pool|lora_",
    ),
    OtherName(
        Code.STATISTIC,
        "a statistic",
        r"confmat|cent(er|roid)s?$|covariance|(^|_)(rho|sigma)$",
    ),
    OtherName(Code.NAME, "the tower of another input", r"^text(_|$)"),
    OtherName(
        Code.NAME, "a part of a decoder", r"^dec$|decoder(?!_head)", slice(None, -1)
    ),
    OtherName(Code.NAME, "a head for boxes", r"bbox", slice(-1, None)),
)
"""Names of modules that are not the classifier; the first one counts."""


@lru_cache(4096)
def _names_of_part(part: str) -> list[OtherName]:
    """Return the names that a part of a path has."""
    return [
        name for name in _OTHER_NAMES if re.search(name.pattern, part, re.IGNORECASE)
    ]


def other_name(layer: Layer) -> OtherName | None:
    """Return the name of a layer, or of a module around it, that is not the
    classifier.
    """
    found = [
        name
        for index, part in enumerate(layer.module)
        for name in _names_of_part(part)
        if index in range(len(layer.module))[name.parts]
    ]
    if not found:
        return None
    name = min(found, key=_OTHER_NAMES.index)
    # A layer with a bias is not a table of positions, but may compute one.
    if name.code == Code.TABLE and layer.has_bias:
        return name._replace(code=Code.NAME)
    return name
