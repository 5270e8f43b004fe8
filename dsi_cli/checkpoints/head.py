"""Which tensor of a state dict is the classifier: by evidence, or an error that lists the candidates.

The evidence, strongest first: the name asked for; a name that means a classifier; as many rows as there are classes; being
the last layer of its module; a bias of its length; being last. Auxiliary and distillation heads, embeddings, attention and
convolutions of a body are no candidates. Where two are equally good, nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from dsi_cli.checkpoints.layouts import StateDict
from dsi_cli.checkpoints.tensors import FLOATS, Tensor
from dsi_cli.errors import AmbiguousHeadError, NoHeadError

_WRAPPERS = {"module", "_orig_mod", "model", "net", "network", "backbone_model", "student", "_forward_module", "base_model", "timm_model", "_fsdp_wrapped_module"}
_HEAD = re.compile(r"^(fc|classifier|classif\w*|cls|cls_classifier|head|heads|cls_head|linear|logits?|out|output|last_linear|lin|score|cls_score|class_predictor|class_labels_classifier|final|prediction|predictions|fc_out|head_fc|fc_cls|predictor|box_predictor)$", re.IGNORECASE)
_NOT_HEAD = re.compile(r"aux|dist(?:$|ill)|embed|attn|attention|position|token|lora_|mlp|qkv|downsample|shortcut|bbox|mask_head|rpn|criterion|confmat|proto|proj|query|key|value|pooler|reduction|conv_stem|conv_dw|conv_pw|relative|teacher", re.IGNORECASE)
_BLOCK = re.compile(r"^(blocks?|layers?|stages?|encoder|decoder|trunk|body|layer\d+|block\d+|stage\d+|denseblock\d+|features)$", re.IGNORECASE)
_LISTED = 5


class Head(NamedTuple):
    """The classifier's weight."""

    name: str
    tensor: Tensor
    role: str
    """``raw`` or ``ema``: which of the weights in the file these are."""
    others: tuple[str, ...]
    """Other heads that were passed over (auxiliary, distilled)."""


class _Candidate(NamedTuple):
    name: str
    tensor: Tensor
    place: int
    module: tuple[str, ...]
    """The path of the layer, wrappers taken off."""
    has_bias: bool


def choose(found: Iterable[StateDict], role: str, *, wanted: str | None = None, classes: int | None = None) -> Head:
    """Return the classifier among a checkpoint's state dicts.

    Parameters
    ----------
    found : the state dicts of one checkpoint
    role : ``raw`` or ``ema``: which weights to look at. Raw is also what is there where only averaged weights are.
    wanted : the tensor's name as a person gave it, whole or its end
    classes : the number of classes if something else tells it (metadata, labels)

    Raises
    ------
    NoHeadError
        No tensor is a classifier, or not the one asked for.
    AmbiguousHeadError
        Several are equally good; the message lists them.
    """
    groups = list(found)
    usable = [group for group in groups if group.role == role] or ([] if role == "ema" else groups)
    if not usable:
        raise NoHeadError(_nothing_there(groups, role))
    if wanted is not None:
        return _named(usable, wanted)
    chosen = [pick for group in usable if (pick := _of_one(group, classes)) is not None]
    if not chosen:
        raise NoHeadError(_no_classifier(usable))
    best = min(rank for rank, _ in chosen)
    equal = list({head.name: head for rank, head in chosen if rank == best}.values())
    if len(equal) > 1:
        raise AmbiguousHeadError(_ambiguous([(head.name, head.tensor) for head in equal]))
    return equal[0]


def shape_of(tensor: Tensor) -> tuple[int, int]:
    """Return (rows, features) of a head, a 1x1 convolution flattened."""
    return tensor.shape[0], tensor.shape[1]


def _of_one(group: StateDict, classes: int | None) -> tuple[int, Head] | None:
    """Return the head of one state dict and how good its evidence is (0 is best), None if there is none."""
    everything = _candidates(group)
    named = [one for one in everything if _is_named(one)]
    likely = [one for one in named if not _is_ruled_out(one)] or [one for one in everything if _is_plain_stack(one)][-1:]
    if classes is not None:
        likely = [one for one in likely if one.tensor.shape[0] in (classes, classes + 1)] or likely
    if not likely:
        return None
    finalists = _finalists(likely)
    if len(finalists) > 1:
        raise AmbiguousHeadError(_ambiguous([(one.name, one.tensor) for one in finalists]))
    head = finalists[0]
    others = tuple(one.name for one in named if one.name != head.name and one.tensor.shape[0] == head.tensor.shape[0])
    return (0 if head in named else 1), Head(head.name, head.tensor, group.role, others)


def _candidates(group: StateDict) -> list[_Candidate]:
    out = []
    for place, (name, tensor) in enumerate(group.tensors.items()):
        layer, _, kind = name.rpartition(".")
        if kind not in ("weight", "weight_orig") or not _is_matrix(tensor) or tensor.dtype not in FLOATS:
            continue
        bias = group.tensors.get(f"{layer}.bias")
        out.append(_Candidate(name, tensor, place, _unwrapped(layer), bias is not None and bias.shape == tensor.shape[:1]))
    return out


def _is_matrix(tensor: Tensor) -> bool:
    shape = tensor.shape
    return len(shape) >= 2 and all(isinstance(size, int) for size in shape) and shape[0] >= 1 and shape[1] >= 1 and all(s == 1 for s in shape[2:])


def _unwrapped(layer: str) -> tuple[str, ...]:
    parts = layer.split(".") if layer else []
    while len(parts) > 1 and parts[0] in _WRAPPERS:
        parts = parts[1:]
    return tuple(parts)


def _is_named(one: _Candidate) -> bool:
    """Whether a part of the layer's path, not inside a block of the body, means a classifier."""
    if not one.module or any(map(_BLOCK.match, one.module[:-1])) and not any(map(_HEAD.match, one.module[:1])):
        words = [part for part in one.module if not part.isdigit()]
        return bool(words) and bool(_HEAD.match(words[-1])) and not any(map(str.isdigit, one.module[:-1]))
    return any(map(_HEAD.match, one.module))


def _is_ruled_out(one: _Candidate) -> bool:
    return any(map(_NOT_HEAD.search, one.module))


def _is_plain_stack(one: _Candidate) -> bool:
    """Whether the layer is one of a plain stack of layers (``6.weight``, ``net.4.weight``), where the last is the head."""
    return len(one.tensor.shape) == 2 and bool(one.module) and all(p.isdigit() or p in _WRAPPERS | {"layers", "seq", "mlp"} for p in one.module)


def _finalists(likely: list[_Candidate]) -> list[_Candidate]:
    """Return the last layer of each head module; several only if nothing sets them apart."""
    last: dict[tuple[str, ...], _Candidate] = {}
    for one in likely:
        words = tuple(part for part in one.module if not part.isdigit() and part not in ("layers", "l", "linear", "fc", "out_proj", "fc1", "fc2"))
        last[words] = one
    rest = list(last.values())
    for better in (_feeds_nothing(rest), [one for one in rest if one.has_bias]):
        if len(rest) > 1 and better:
            rest = [one for one in rest if one in better]
    return rest


def _feeds_nothing(rest: list[_Candidate]) -> list[_Candidate]:
    """Leave out layers whose rows are the features of a later one: hidden layers."""
    return [one for one in rest if not any(o.place > one.place and o.tensor.shape[1] == one.tensor.shape[0] != o.tensor.shape[0] for o in rest)]


def _named(groups: list[StateDict], wanted: str) -> Head:
    found = {name: Head(name, group.tensors[name], group.role, ()) for group in groups for name in group.tensors if _is_called(name, wanted)}
    exact = found.get(wanted)
    if exact is None and len(found) == 1:
        exact = next(iter(found.values()))
    if exact is None and found:
        raise AmbiguousHeadError(f"--head {wanted} fits {len(found)} tensors: " + ", ".join(sorted(found)[:_LISTED]))
    if exact is None:
        raise NoHeadError(f"no tensor is named {wanted}; the matrices are {_matrices(groups)}")
    if not _is_matrix(exact.tensor):
        raise NoHeadError(f"{exact.name} has shape {exact.tensor.shape}; a classifier is a matrix of (classes, features)")
    return exact


def _is_called(name: str, wanted: str) -> bool:
    return name == wanted or name.endswith(f".{wanted}") or name in (f"{wanted}.weight", f"{wanted}.weight_orig") or name.endswith(f".{wanted}.weight")


def _matrices(groups: list[StateDict]) -> str:
    names = [f"{name} {one.tensor.shape}" for group in groups for one in _candidates(group) for name in [one.name]]
    return ", ".join(names[-_LISTED:]) or "none"


def _ambiguous(heads: list[tuple[str, Tensor]]) -> str:
    listed = ", ".join(f"{name} {tensor.shape}" for name, tensor in heads[:_LISTED])
    return f"{len(heads)} tensors could be the classifier: {listed}; choose one with --head NAME"


def _nothing_there(groups: list[StateDict], role: str) -> str:
    if groups and role == "ema":
        return "no averaged (EMA) weights in this file; leave out --ema to use the raw ones"
    return "no weights in this file (an optimiser or scheduler alone?)"


def _no_classifier(groups: list[StateDict]) -> str:
    tensors = sum(len(group.tensors) for group in groups)
    return f"no classifier among {tensors} tensors (a backbone, an adapter?); if one is, name it with --head: {_matrices(groups)}"
