"""Which tensor of a state dict is the classifier: by evidence, or an error that lists the candidates.

The evidence, strongest first: the name asked for; a name that means a classifier; as many rows as there are classes; feeding no
later layer and no norm; being the last of a plain stack. Auxiliary and distillation heads, embeddings, attention and
what lies in a numbered block of the body are no candidates. Where two are equally good, nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dsi_cli.checkpoints.layouts import StateDict
from dsi_cli.checkpoints.tensors import FLOATS, Tensor
from dsi_cli.errors import AmbiguousHeadError, BackboneError, NoHeadError

_WRAPPERS = frozenset(
    {"module", "_orig_mod", "model", "net", "network", "backbone_model", "student", "base_model", "timm_model"}
    | {"_forward_module", "_fsdp_wrapped_module", "params", "functional", "sequential"}
)
_HEAD = re.compile(
    r"^(fc|classif\w*|cls|cls_classifier|heads?|linear|lin|logits?|out|output|last_linear|score|cls_score"
    r"|class_predictor|class_labels_classifier|class_embed|final|predictions?|fc_out|head_fc|fc_cls|predictor|box_predictor"
    r"|(cls|class|mlp|linear|fc|decode)_head|cls_seg|conv_seg|to_logits|output_layer|final_layer)$",
    re.IGNORECASE,
)
_NUMBERED_HEAD = re.compile(r"^((fc|linear|lin|fully_connected)_?\d+|dense(_?\d+)?)$", re.IGNORECASE)
_KERAS_HEAD = re.compile(r"(^|_)(predictions|logits|probs|classifier|head|head_dense)$", re.IGNORECASE)
"""Ends of the names of Keras' layers, which are all beside each other and carry the model's name."""
_KERAS_DENSE = re.compile(r"^dense(_\d+)?$")
_NOT_HEAD = re.compile(
    r"aux|dist(?:$|_|ill)|(?<!class_)embed|^text(?:_|$)|attn|attention|position|token|lora_|mlp(?!_head)|qkv|^[qkv]$|downsample|shortcut|bbox(?!_head)"
    r"|mask_head|rpn|criterion|confmat|proto|(?<!out_)proj|query|key|value|pooler|reduction|conv_stem|conv_dw|conv_pw|relative"
    r"|teacher|^pre_|last_conv|^pool|^se$|squeeze",
    re.IGNORECASE,
)
_BODY = re.compile(r"^(blocks?|layers?|stages?|encoder|decoder|trunk|body|features)$", re.IGNORECASE)
_NUMBERED_BODY = re.compile(r"^(layer|block|stage|denseblock)_?\d+$", re.IGNORECASE)
_KINDS = ("weight", "weight_orig", "weight_v", "parametrizations.weight.original1", "_packed_params", "kernel")
_GAINS = {"weight_v": "weight_g", "parametrizations.weight.original1": "parametrizations.weight.original0"}
"""How a layer's weight is named: plain, under spectral norm, under weight norm (directions, beside their lengths), quantised,
and as Keras and Flax have it, with a column a class."""
_TURNED = "kernel"
"""The last part of names of weights with a column for each class: Keras' and Flax's."""
_OF_LOSS = frozenset({"weight", "W", "kernel", "proxies"})
"""What a loss calls a weight of its own; its ``W``, in pytorch-metric-learning, has a column for each class."""
_NORMS = {"kernel": ("gamma", "beta")}
_COPY = re.compile(r"best", re.IGNORECASE)
_HOLDS_A_LOSS = re.compile(r"loss|criterion|margin", re.IGNORECASE)
_MOST_DIMENSIONS = 8
_MOST_COMPARED = 500
_LISTED = 5


class Head(NamedTuple):
    """The classifier's weight."""

    name: str
    tensor: Tensor
    role: str
    """``raw`` or ``ema``: which of the weights in the file these are."""
    others: tuple[str, ...] = ()
    """Other heads that were passed over (auxiliary, distilled)."""
    path: tuple[str, ...] = ()
    """The keys that lead to its state dict."""
    gain: Tensor | None = None
    """The lengths of its rows, where weight normalisation keeps them apart from the directions."""

    @property
    def full_name(self) -> str:
        """The name with the keys that lead to it, which tells two models of one file apart."""
        return ".".join((*self.path, self.name))


class _Candidate(NamedTuple):
    name: str
    tensor: Tensor
    place: int
    module: tuple[str, ...]
    """The path of the layer, wrappers taken off."""
    is_normalised: bool
    """Whether the next layer beside it is a norm of its rows: a hidden layer."""


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
        return _named(usable, wanted, classes)
    chosen = [pick for group in usable if (pick := _of_one(group, classes)) is not None]
    if not chosen:
        raise BackboneError(_no_classifier(usable))
    best = min(rank for rank, _ in chosen)
    equal = [head for rank, head in chosen if rank == best]
    equal = [head for head in equal if not any(map(_COPY.search, head.path))] or equal
    if len(equal) > 1:
        raise AmbiguousHeadError(_ambiguous([(head.full_name, head.tensor) for head in equal]))
    return _in_loss(equal[0], groups) or equal[0]


def _in_loss(head: Head, groups: list[StateDict]) -> Head | None:
    """Return the classifier that a loss has on top of the head's outputs, which are then an embedding (ArcFace); None without one.

    A matrix with a row for each of the head's rows and the head's own width (centres, prototypes) lies beside it.

    Raises
    ------
    AmbiguousHeadError
        It is not clear whether the loss's matrix takes the head's outputs, and with which side.
    """
    width = head.tensor.shape[0]
    for group, name, stored in _weights_of_losses(groups):
        tensor = stored.turned if name.rpartition(".")[2] in ("W", "kernel") else stored
        if width not in tensor.shape[:2] or stored.shape == head.tensor.shape:
            continue
        if tensor.shape[1] != width or tensor.shape[0] == width:
            path = ".".join((*group.path, name))
            raise AmbiguousHeadError(_ambiguous([(head.name, head.tensor), (path, stored)]))
        return Head(name, tensor, group.role, (head.full_name,), group.path)
    return None


def _weights_of_losses(groups: list[StateDict]) -> Iterator[tuple[StateDict, str, Tensor]]:
    """Yield the matrices that losses have of their own, in state dicts of theirs or within the model's."""
    for group in groups:
        for name, tensor in group.tensors.items():
            parts = (*group.path, *name.split(".")[:-1])
            if name.rpartition(".")[2] in _OF_LOSS and _is_matrix(tensor) and any(map(_HOLDS_A_LOSS.search, parts)):
                yield group, name, tensor


def _of_one(group: StateDict, classes: int | None) -> tuple[int, Head] | None:
    """Return the head of one state dict and how good its evidence is (0 is best), None if there is none."""
    everything = _candidates(group)
    named = [one for one in everything if _is_named(one.module, is_keras=_is_turned(one.name))]
    likely = [one for one in named if not _is_ruled_out(one)]
    if not likely and classes is not None:  # CLIP's pooling as timm has it: ``head.proj`` beside ``head.q``
        exact = [one for one in named if one.tensor.shape[0] == classes]
        likely = exact if len(exact) == 1 else []
    if not likely:
        likely = [one for one in everything if _is_plain_stack(one) and not one.is_normalised][-1:]
    if classes is not None:
        likely = [one for one in likely if one.tensor.shape[0] in (classes, classes + 1)] or likely
    if not likely:
        return None
    finalists = list({one.tensor: one for one in _feeds_nothing(likely)}.values())  # tied ones are one
    if len({one.module[:-1] for one in finalists}) == 1 and all(map(_is_counted_by_keras, finalists)):
        finalists = finalists[-1:]  # counted by Keras, in the model's order
    if len(finalists) > 1:
        raise AmbiguousHeadError(_ambiguous([(one.name, one.tensor) for one in finalists]))
    head = finalists[0]
    others = tuple(one.name for one in named if one.name != head.name and one.tensor.shape[0] == head.tensor.shape[0])
    _require_outermost(head, group)
    return (0 if head in named else 1), _head(group, head.name, others)


def _is_counted_by_keras(one: _Candidate) -> bool:
    return _is_turned(one.name) and _KERAS_DENSE.match(one.module[-1]) is not None


def _head(group: StateDict, name: str, others: tuple[str, ...] = ()) -> Head:
    layer, kind = _split(name)
    gain = group.tensors.get(f"{layer}.{_GAINS[kind]}") if kind in _GAINS else None
    return Head(name, _rows_first(name, group.tensors[name]), group.role, others, group.path, gain)


def _require_outermost(head: _Candidate, group: StateDict) -> None:
    """Raise where a later layer that is no candidate (quantised) takes the head's outputs: the head is a hidden layer."""
    for name, tensor in list(group.tensors.items())[head.place + 1 :]:
        if tensor.dtype not in FLOATS and _is_matrix(tensor) and tensor.shape[1] == head.tensor.shape[0] != tensor.shape[0]:
            raise NoHeadError(f"{name} {tensor.shape} looks like the classifier, but {tensor.dtype} weights are not read")


def _candidates(group: StateDict) -> list[_Candidate]:
    out = []
    entries = [(*_split(name), _rows_first(name, tensor)) for name, tensor in group.tensors.items()]
    for place, (name, (layer, kind, tensor)) in enumerate(zip(group.tensors, entries, strict=True)):
        if kind not in _KINDS or not _is_matrix(tensor) or tensor.dtype not in FLOATS:
            continue
        if kind in _GAINS and f"{layer}.{_GAINS[kind]}" not in group.tensors:
            continue
        beside = next((other for other, _, _ in entries[place + 1 : place + 3] if other != layer), layer)
        norm = [group.tensors.get(f"{beside}.{part}") for part in _NORMS.get(kind, ("weight", "bias"))]
        is_normalised = _split(beside)[0] == _split(layer)[0] and all(
            part is not None and part.shape == tensor.shape[:1] for part in norm
        )
        module = _unwrapped(layer)
        if kind == "kernel":  # Keras writes "layers" between any two modules
            module = tuple(part for part in module if part != "layers") or module
        out.append(_Candidate(name, tensor, place, module, is_normalised))
    return out


def _is_turned(name: str) -> bool:
    return name.endswith(_TURNED) and name.rpartition(".")[2] == _TURNED


def _rows_first(name: str, tensor: Tensor) -> Tensor:
    """Return a weight with a row for each class: as it is, or turned where its name says that it has a column for each."""
    return tensor.turned if _is_turned(name) else tensor


def _split(name: str) -> tuple[str, str]:
    """Return the layer that a parameter belongs to, and which of its parameters it is."""
    layer, found, _ = name.partition(".parametrizations.")
    if found:
        return layer, name.removeprefix(f"{layer}.")
    parent, _, last = name.rpartition(".")
    if last == "_packed_params":
        parent = parent.removesuffix("._packed_params")
    return parent, last


def _is_matrix(tensor: Tensor) -> bool:
    shape = tensor.shape
    return 2 <= len(shape) <= _MOST_DIMENSIONS and min(shape) >= 1 and all(size == 1 for size in shape[2:])


def _unwrapped(layer: str) -> tuple[str, ...]:
    parts = layer.split(".") if layer else []
    while len(parts) > 1 and parts[0] in _WRAPPERS:
        parts = parts[1:]
    return tuple(parts)


def _is_named(module: tuple[str, ...], *, is_keras: bool = False) -> bool:
    """Whether a part of the layer's path means a classifier, and does not lie within a numbered block of the body."""
    first = next((place for place, part in enumerate(module) if _HEAD.match(part)), None)
    if first is None:
        return bool(module) and bool(_NUMBERED_HEAD.match(module[0]) or (is_keras and _KERAS_HEAD.search(module[-1])))
    before = module[:first]
    in_body = any(map(_BODY.match, before))
    if any(map(_NUMBERED_BODY.match, before)) or any(part.isdigit() for part in (before if in_body else before[1:])):
        return False
    return not in_body or bool(_HEAD.match([part for part in module if not part.isdigit()][-1]))


def _is_ruled_out(one: _Candidate) -> bool:
    return one.is_normalised or any(map(_NOT_HEAD.search, one.module))


def _is_plain_stack(one: _Candidate) -> bool:
    """Whether the layer is one of a plain stack of layers (``6.weight``, ``net.4.weight``), where the last is the head."""
    return (
        len(one.tensor.shape) == 2
        and bool(one.module)
        and all(p.isdigit() or p in _WRAPPERS | {"layers", "seq", "mlp"} for p in one.module)
    )


def _feeds_nothing(likely: list[_Candidate]) -> list[_Candidate]:
    """Leave out layers whose rows are the features of a later one: hidden layers."""
    if len(likely) > _MOST_COMPARED:
        return likely
    return [one for one in likely if not any(_feeds(one, other) for other in likely)]


def _feeds(one: _Candidate, other: _Candidate) -> bool:
    rows, features = other.tensor.shape[:2]
    return other.place > one.place and features == one.tensor.shape[0] != rows


def _named(groups: list[StateDict], wanted: str, classes: int | None) -> Head:
    """Return the head that a person named, if it can be one."""
    heads = [_head(group, name) for group in groups for name in group.tensors]
    found = [head for head in heads if _is_called(head.full_name, wanted)]
    exact = [head for head in found if wanted in (head.name, head.full_name)] or found
    if not exact:
        raise NoHeadError(f"no tensor is named {wanted}; the matrices are {_matrices(groups)}")
    if len(exact) > 1:
        listed = ", ".join(sorted(head.full_name for head in exact)[:_LISTED])
        raise AmbiguousHeadError(f"--head {wanted} fits {len(exact)} tensors: {listed}")
    head = exact[0]
    if head.name.rpartition(".")[2] == "W" and any(map(_HOLDS_A_LOSS.search, head.full_name.split("."))):
        head = head._replace(tensor=head.tensor.turned)
    if not _is_matrix(head.tensor) or head.tensor.dtype not in FLOATS:
        what = f"{head.name} is {head.tensor.dtype} of shape {head.tensor.shape}"
        raise NoHeadError(f"{what}; a classifier is a floating-point matrix of (classes, features)")
    if classes is not None and head.tensor.shape[1] == classes != head.tensor.shape[0]:
        return head._replace(tensor=head.tensor.turned)
    return head


def _is_called(name: str, wanted: str) -> bool:
    return (
        name == wanted
        or name.endswith(f".{wanted}")
        or name in (f"{wanted}.weight", f"{wanted}.weight_orig", f"{wanted}.kernel")
        or name.endswith((f".{wanted}.weight", f".{wanted}.kernel"))
    )


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


def _is_wide_predictor(name: str, tensor: Tensor) -> bool:
    """Whether a weight is a detector's class predictor that looks at a neighbourhood (RetinaNet, FCOS, SSD)."""
    return (
        len(tensor.shape) == 4
        and not _is_matrix(tensor)
        and bool(re.search(r"cls_logits|cls_score|classification_head", name))
    )


def _no_classifier(groups: list[StateDict]) -> str:
    tensors = sum(len(group.tensors) for group in groups)
    wide = [(name, one) for group in groups for name, one in group.tensors.items() if _is_wide_predictor(name, one)]
    if wide:
        name, last = wide[-1]
        return f"no classifier: {name} {last.shape} predicts classes by a convolution that is no 1x1, so no row of it is a class"
    return f"no classifier among {tensors} tensors (a backbone, an adapter?); if one is, name it with --head: {_matrices(groups)}"
