"""Find the classifier head among a checkpoint's layers, or ask.

The head is the layer whose weight has one row for each class. The evidence comes from the structure of the network first:
which layer feeds which, what is repeated, what is normalised, and how many classes there are if labels or metadata say so.
Names only rule out what clearly is something else (attention, a decoder, an auxiliary head) and break ties. Where two answers
are plausible, or none is, dsi does not guess: it lists the best candidates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dsi_cli.checkpoints.candidates import (
    IN_BLOCK,
    NAME,
    NORMALISED,
    OTHER_HEAD,
    SINGLE_ROW,
    UNCLEAR_SIDE,
    WIDE,
    HeadCandidate,
    orient,
    rank_candidates,
)
from dsi_cli.checkpoints.graph_output import add_graph_evidence
from dsi_cli.checkpoints.layers import IN_LOSS, PLAIN, WINDOW, Factors, Layer, is_matrix, layers_of
from dsi_cli.checkpoints.tensors import FLOATS, Tensor
from dsi_cli.checkpoints.trainers import NestedStateDict
from dsi_cli.errors import AmbiguousHeadError, BackboneError, ClassCountError, NoHeadError

_TRUNK = re.compile(
    r"^(backbone|encoder|trunk|feature_extractor|base|pretrained|body|features?|extractor|resnet\w*|vit)$", re.I
)
_BEST_COPY = re.compile(r"best", re.IGNORECASE)
_MAX_LISTED = 5


class Head(NamedTuple):
    """The weight of the classifier head, and how its values follow from the file."""

    name: str
    """The name of the stored tensor."""
    tensor: Tensor
    """``(classes, features, ...)``, further axes of size 1."""
    role: str
    """``raw`` or ``ema``: which of the weights in the file these are."""
    path: tuple[str, ...] = ()
    """The keys that lead to its state dict."""
    factors: Factors = Factors()
    """The tensors that belong to it, if the weight is stored in parts."""

    @property
    def full_name(self) -> str:
        """The name with the keys that lead to it, which tells two models in one file apart."""
        return ".".join((*self.path, self.name))


def choose_head(
    state_dicts: Iterable[NestedStateDict],
    role: str,
    *,
    wanted: str | None = None,
    classes: int | None = None,
    with_background: bool = False,
    outputs: Sequence[str] | None = None,
) -> Head:
    """Return the classifier head among a checkpoint's state dicts.

    Parameters
    ----------
    state_dicts : the state dicts of one checkpoint
    role : ``raw`` or ``ema``: which weights to look at. Averaged weights are also used as raw ones if a file has no others.
    wanted : the head's name as the user gave it: the whole name of a tensor or layer, or the end of one
    classes : the number of classes, if labels or metadata tell it
    with_background : whether a row more than that is plausible in any network, and not in detectors alone
    outputs : the names of the weights that compute outputs of the model, if its graph tells

    Raises
    ------
    NoHeadError
        No tensor is a classifier head, or not the one that was asked for.
    BackboneError
        The file holds a network without a classifier.
    ClassCountError
        No matrix has one row for each class.
    AmbiguousHeadError
        Several are equally plausible; the message lists them.
    """
    groups = usable_state_dicts(list(state_dicts), role)
    if wanted is not None:
        return _named(groups, wanted, classes)
    candidates = add_graph_evidence(rank_candidates(groups, classes), outputs)
    if with_background and classes is not None and not any(one.fits for one in candidates):
        candidates = add_graph_evidence(rank_candidates(groups, classes + 1), outputs)
    best = _best(candidates, classes, groups)
    if best.layer.refusal is not None:
        raise NoHeadError(f"{best.title} {best.layer.refusal}")
    return _head(best.layer, best.tensor)


def usable_state_dicts(groups: Sequence[NestedStateDict], role: str) -> list[NestedStateDict]:
    """Return the state dicts in which to look for the head.

    Raises
    ------
    NoHeadError
        There are none.
    """
    found = [group for group in groups if group.role == role] or ([] if role == "ema" else list(groups))
    if found:
        losses = [group for group in groups if group.role != role and any(map(IN_LOSS.search, group.path))]
        return [*found, *(group for group in losses if group not in found)]
    if groups:
        raise NoHeadError("no averaged (EMA) weights in this file; leave out --ema to use the raw ones")
    raise NoHeadError("no weights in this file (an optimiser or scheduler alone?)")


def _best(candidates: Sequence[HeadCandidate], classes: int | None, groups: Sequence[NestedStateDict]) -> HeadCandidate:
    """Return the head, or raise an error that lists the candidates."""
    if classes is not None:
        return _best_with_count(candidates, classes, groups)
    plausible = [one for one in candidates if not one.hidden and not one.doubts]
    if not plausible:
        alone = [one for one in candidates if one.is_alone and not one.has_reason(NAME) and not one.has_reason(OTHER_HEAD)]
        plausible = alone or _last_resort(candidates)
    plausible = _narrowed(plausible)
    if not plausible:
        raise BackboneError(_no_classifier(groups, candidates))
    plausible += [one for one in candidates if _is_unclear_loss(one)]
    if len(plausible) > 1:
        raise AmbiguousHeadError(_ambiguous(plausible))
    return plausible[0]


def _is_unclear_loss(candidate: HeadCandidate) -> bool:
    """Return whether a matrix of a loss may be the classifier, though it is not clear how it is used."""
    in_loss = any(map(IN_LOSS.search, (*candidate.layer.path, *candidate.layer.module[:-1])))
    return in_loss and not candidate.hidden and _only_doubt(candidate) == UNCLEAR_SIDE


def _last_resort(candidates: Sequence[HeadCandidate]) -> list[HeadCandidate]:
    """Return candidates whose only doubt is a normalisation after them or a single row, if nothing better is there."""
    not_hidden = [one for one in candidates if not one.hidden]
    normalised = [one for one in not_hidden if _only_doubt(one) == NORMALISED and one.tensor.shape[0] < WIDE]
    return normalised or [one for one in not_hidden if _only_doubt(one) == SINGLE_ROW]


def _only_doubt(candidate: HeadCandidate) -> str | None:
    return candidate.doubts[0].kind if len(candidate.doubts) == 1 else None


def _best_with_count(candidates: Sequence[HeadCandidate], classes: int, groups: Sequence[NestedStateDict]) -> HeadCandidate:
    """Return the head among the matrices that have a row for each class."""
    fitting = [one for one in candidates if one.fits]
    if not fitting and any(not one.hidden and not one.doubts for one in candidates):
        raise ClassCountError(classes, [one.title for one in candidates[:_MAX_LISTED]])
    possible = [one for one in fitting if not _is_contradicted(one)]
    if len(fitting) == len(possible) == 1:
        return possible[0]
    not_hidden = [one for one in possible if not one.hidden]
    certain = [one for one in not_hidden if not one.doubts]
    remaining = _narrowed(certain or not_hidden)
    if not remaining:
        raise BackboneError(_no_classifier(groups, candidates, classes))
    if len(remaining) > 1:
        raise AmbiguousHeadError(_ambiguous(remaining))
    return remaining[0]


def _is_contradicted(candidate: HeadCandidate) -> bool:
    """Return whether a matrix cannot be the head although it has a row for each class."""
    return any(map(candidate.has_reason, (IN_BLOCK, OTHER_HEAD, UNCLEAR_SIDE)))


def _narrowed(plausible: Sequence[HeadCandidate]) -> list[HeadCandidate]:
    """Leave out candidates that a plausible one makes unlikely.

    These are heads in a part called a trunk, unnamed 1x1 convolutions and single rows, each if something else comes after them, and
    heads in a copy of the weights that the file keeps as the best ones.
    """
    remaining = list(plausible)
    last = max((one.layer.position for one in remaining), default=0)
    for is_unlikely in (_is_in_trunk, _is_unnamed_convolution, _has_single_row):
        others = [one for one in remaining if not is_unlikely(one)]
        if any(one.layer.position == last for one in others):
            remaining = others
    return [one for one in remaining if not any(map(_BEST_COPY.search, one.layer.path))] or remaining


def _is_in_trunk(candidate: HeadCandidate) -> bool:
    return any(map(_TRUNK.match, candidate.layer.module[:-1]))


def _is_unnamed_convolution(candidate: HeadCandidate) -> bool:
    return len(candidate.tensor.shape) > 2 and not candidate.is_named


def _has_single_row(candidate: HeadCandidate) -> bool:
    return candidate.tensor.shape[0] == 1


def _head(layer: Layer, tensor: Tensor) -> Head:
    return Head(layer.name, tensor, layer.role, layer.path, layer.factors)


def _named(groups: Sequence[NestedStateDict], wanted: str, classes: int | None) -> Head:
    """Return the head that the user named, if it can be one."""
    layers = orient(layers_of(groups), classes)
    found = [layer for layer in layers if layer.weight is not None and _is_called(layer, wanted)]
    exact = [layer for layer in found if wanted in (layer.name, layer.full_name)] or found
    if not exact:
        raise NoHeadError(_nothing_called(groups, wanted, classes))
    if len(exact) > 1:
        listed = ", ".join(sorted(layer.full_name for layer in exact)[:_MAX_LISTED])
        raise AmbiguousHeadError(f"--head {wanted} fits {len(exact)} tensors: {listed}; give the whole name of one")
    layer = exact[0]
    if layer.refusal is not None:
        raise NoHeadError(f"{layer.name} {layer.refusal}")
    weight = layer.weight
    assert weight is not None
    if _is_wide_convolution(layer):
        return _head(layer._replace(factors=Factors(WINDOW)), weight)
    if not is_matrix(weight) or weight.dtype not in FLOATS:
        raise NoHeadError(_no_matrix(layer.name, weight))
    if classes is not None and len(weight.shape) == 2 and weight.shape[1] == classes != weight.shape[0]:
        weight = weight.transposed
    return _head(layer, weight)


def _is_wide_convolution(layer: Layer) -> bool:
    """Return whether a layer is a two-dimensional convolution with a window larger than 1x1, and not a depthwise one."""
    weight = layer.weight
    if weight is None or len(weight.shape) != 4 or is_matrix(weight) or layer.factors.kind != PLAIN:
        return False
    return weight.dtype in FLOATS and min(weight.shape[:2]) > 1


def _is_called(layer: Layer, wanted: str) -> bool:
    module = (
        layer.name.rpartition(".")[0]
        .partition(".parametrizations")[0]
        .removesuffix("._packed_params")
        .removesuffix(".base_layer")
    )
    names = {
        layer.full_name,
        ".".join((*layer.path, module)),
        ".".join((*layer.path, module, "weight")),
        ".".join(layer.module),
    }
    names.add(f"{'.'.join(layer.module)}.weight")
    return any(name == wanted or name.endswith(f".{wanted}") for name in names)


def _nothing_called(groups: Sequence[NestedStateDict], wanted: str, classes: int | None) -> str:
    """Return the message for a name that no layer has."""
    tensors = {".".join((*group.path, name)): tensor for group in groups for name, tensor in group.tensors.items()}
    there = next((name for name in tensors if name == wanted or name.endswith(f".{wanted}")), None)
    if there is not None:
        return _no_matrix(there, tensors[there])
    listed = ", ".join(one.title for one in rank_candidates(groups, classes)[:_MAX_LISTED])
    if not listed:
        return f"no tensor is named {wanted}, and there is no matrix in this file"
    return f"no tensor is named {wanted}; the best candidates are {listed}"


def _no_matrix(name: str, tensor: Tensor) -> str:
    return f"{name} is {tensor.dtype} of shape {tensor.shape}; a classifier head is a floating-point matrix of (classes, features)"


def _ambiguous(plausible: Sequence[HeadCandidate]) -> str:
    in_order = sorted(plausible, key=lambda one: one.layer.position)
    listed = ", ".join(one.title for one in in_order[:_MAX_LISTED])
    example = in_order[-1].name
    return f"{len(plausible)} tensors could be the classifier: {listed}; choose one, for example with --head {example}"


def _no_classifier(
    groups: Sequence[NestedStateDict], candidates: Sequence[HeadCandidate], classes: int | None = None
) -> str:
    """Return the message for a network in which nothing looks like a classifier."""
    tensors = sum(len(group.tensors) for group in groups)
    count = "" if classes is None else f" with {classes} rows"
    wide = [(name, one) for group in groups for name, one in group.tensors.items() if _is_wide_predictor(name, one)]
    if wide:
        name, last = wide[-1]
        return f"no classifier: {name} {last.shape} predicts classes by a convolution that is no 1x1, so no row of it is a class"
    final = next(reversed(layers_of(groups)), None)
    if final is not None and final.weight is not None and final.has_bias and _is_wide_convolution(final):
        return (
            f"no classifier{count} among {tensors} tensors; the last layer is the convolution {final.name} {final.weight.shape}: "
            f"if only global average pooling follows it, name it with --head {final.name}"
        )
    if not candidates:
        return f"no classifier{count} among {tensors} tensors, and no matrix at all"
    listed = "; ".join(f"{one.title} {one.against[0]}" if one.against else one.title for one in candidates[:3])
    return (
        f"no classifier{count} among {tensors} tensors (a backbone, an adapter?); the best candidates: {listed};"
        f" if one is the head, name it: --head {candidates[0].name}"
    )


def _is_wide_predictor(name: str, tensor: Tensor) -> bool:
    """Return whether a weight is a detector's class predictor that looks at a neighbourhood (RetinaNet, FCOS, SSD)."""
    is_convolution = len(tensor.shape) == 4 and not is_matrix(tensor)
    return is_convolution and re.search(r"cls_logits|cls_score|classification_head", name) is not None
