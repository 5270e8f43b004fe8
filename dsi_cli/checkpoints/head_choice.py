"""Choose the classifier head among a checkpoint's layers.

The head is the layer whose weight has one row for each class. The first evidence is the
structure of the network: which layer feeds which, and which layers are repeated or
normalised. Names only exclude other parts (attention, a decoder, an auxiliary head) and
break ties. Labels or metadata may state the number of classes, which confirms what the
structure shows, or decides if the structure does not. If no candidate or several are
plausible, dsi does not guess: it raises an error that lists the best ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from dsi_cli.checkpoints.head_candidates import HeadCandidate, rank_candidates
from dsi_cli.checkpoints.head_names import Code
from dsi_cli.checkpoints.head_rivals import rivals
from dsi_cli.checkpoints.head_rules import WIDE
from dsi_cli.checkpoints.layers import (
    IN_LOSS,
    PLAIN,
    Layer,
    is_matrix,
    stem,
)
from dsi_cli.checkpoints.named_head import (
    MAX_LISTED,
    find_named_head,
    plain_matrices,
    refused,
)
from dsi_cli.checkpoints.trainers import EMA, NestedStateDict
from dsi_cli.errors import (
    AmbiguousHeadError,
    BackboneError,
    ClassCountError,
    NoHeadError,
)

_IMPLAUSIBLE = 4
_NAME_CODES = {Code.NAME, Code.TABLE, Code.STATISTIC, Code.OTHER_HEAD}
_CONTRADICTIONS = {
    Code.BLOCK,
    Code.OTHER_HEAD,
    Code.SIDE,
    Code.TABLE,
    Code.STACK,
    Code.WINDOW,
}
"""The evidence against a candidate that its number of rows does not outweigh."""


def choose_head(
    state_dicts: Iterable[NestedStateDict],
    role: str,
    head_name: str | None = None,
    classes: int | None = None,
    outputs: Sequence[str] | None = None,
    *,
    with_background: bool = False,
) -> Layer:
    """Return the classifier head among a checkpoint's state dicts.

    Raise `NoHeadError` if no tensor is a classifier head, or the wanted tensor cannot
    be one. Raise `BackboneError` if the file holds a network without a classifier.
    Raise `ClassCountError` if no matrix has one row for each class. Raise
    `AmbiguousHeadError` if several candidates are equally plausible; the message lists
    them.

    Parameters
    ----------
    state_dicts : the state dicts of one checkpoint.
    role : ``raw`` or ``ema``; if a file has only averaged weights, they are also used
        as raw ones.
    head_name : the head's name as the user gave it: the complete name of a tensor or
        layer, or the end of a name; for a head in several parts, their names in order
        with commas between them.
    classes : the number of classes, if labels or metadata state it.
    outputs : the names of the weights that compute outputs of the model, if the file
        has a graph.
    with_background : whether any network may have one row more than classes; otherwise
        only detectors may.
    """
    groups = usable_state_dicts(list(state_dicts), role)
    if head_name is not None:
        return find_named_head(groups, head_name, classes)
    candidates = rank_candidates(groups, None, outputs)
    heads = _most_plausible(candidates)
    if classes is not None and [head.rows for head in heads] != [classes]:
        candidates = rank_candidates(groups, classes, outputs)
        if with_background and not any(candidate.fits for candidate in candidates):
            candidates = rank_candidates(groups, classes + 1, outputs)
        heads = _heads_by_count(candidates, classes)
    if not heads:
        raise _no_classifier(groups, candidates, classes)
    if not _are_copies(heads):
        raise _several(heads)
    best = max(heads, key=lambda head: (len(head.layer.module), head.layer.position))
    if best.layer.refusal is not None:
        raise refused(best.layer, best.name)
    return best.layer


def usable_state_dicts(
    groups: Sequence[NestedStateDict], role: str
) -> list[NestedStateDict]:
    """Return the state dicts in which to look for the head.

    Raise `NoHeadError` if the file has no weights (``no-weights``) or no averaged
    weights (``no-ema-weights``).
    """
    usable = [group for group in groups if group.role == role]
    if not usable and role != EMA:
        usable = list(groups)
    if usable:
        # The weights of a loss have no averaged copy.
        for group in groups:
            if group not in usable and any(map(IN_LOSS.search, group.path)):
                usable.append(group)
        return usable
    if groups:
        raise NoHeadError(
            "no averaged (EMA) weights in this file; leave out --ema to use the raw"
            " ones",
            code="no-ema-weights",
        )
    raise NoHeadError(
        "no weights in this file that have names; it may hold an optimiser, a frozen"
        " TorchScript module or a list of arrays",
        code="no-weights",
    )


def _most_plausible(candidates: Sequence[HeadCandidate]) -> list[HeadCandidate]:
    """Return the candidates that may be the head if the number of classes is not known;
    several if dsi has to ask.
    """
    tiers = [_tier(candidate) for candidate in candidates]
    best = min(tiers, default=_IMPLAUSIBLE)
    if best == _IMPLAUSIBLE:
        return []
    pairs = zip(candidates, tiers, strict=True)
    heads = _without_unlikely([it for it, tier in pairs if tier == best])
    return _with_rivals(heads, candidates, None)


def _heads_by_count(
    candidates: Sequence[HeadCandidate], classes: int
) -> list[HeadCandidate]:
    """Return the candidates that may be the head among the matrices that have a row for
    each class; several if dsi has to ask.
    """
    fitting = [candidate for candidate in candidates if candidate.fits]
    for best in [*fitting, *candidates][:1]:
        rows = rivals(best, candidates, classes, is_confirmed=True)
        if rows:
            return [best, *rows]
    if not fitting and any(candidate.is_certain for candidate in candidates):
        raise _wrong_count(candidates, classes)
    possible = [it for it in fitting if not it.codes & _CONTRADICTIONS]
    if len(possible) == 1 and (len(fitting) == 1 or possible[0].is_named):
        return possible
    not_hidden = [candidate for candidate in possible if not candidate.hidden]
    certain = [candidate for candidate in not_hidden if not candidate.doubts]
    heads = _without_unlikely(certain or not_hidden)
    return _with_rivals(heads, candidates, classes)


def _with_rivals(
    heads: list[HeadCandidate],
    candidates: Sequence[HeadCandidate],
    classes: int | None,
) -> list[HeadCandidate]:
    """Return the candidates that may be the head, and those about which dsi has to ask
    nevertheless.
    """
    if not heads:
        return []
    chosen = set(heads)
    others = rivals(heads[0], candidates, classes)
    return heads + [it for it in others if it not in chosen]


def _tier(candidate: HeadCandidate) -> int:
    """Return how plausible a candidate is, from 0 (nothing is against it) to
    `_IMPLAUSIBLE`.
    """
    if candidate.is_certain:
        return 0
    # The only layer of the file is the head, unless its name means something else.
    if candidate.is_alone and not candidate.codes & _NAME_CODES:
        return 1
    # A normalisation after the head or a single row may be a coincidence, but an
    # embedding has a power of two as its width.
    rows = candidate.rows
    is_embedding = rows >= WIDE or (rows >= 32 and rows.bit_count() == 1)
    if candidate.codes == {Code.NORMALISED} and not candidate.hidden:
        return _IMPLAUSIBLE if is_embedding else 2
    return 3 if candidate.codes == {Code.ONE_ROW} else _IMPLAUSIBLE


def _without_unlikely(plausible: Sequence[HeadCandidate]) -> list[HeadCandidate]:
    """Return the candidates that are not in a copy of the weights called the best ones;
    without 1x1 convolutions, if a linear layer has the name of a classifier.
    """
    found = [it for it in plausible if not any("best" in key for key in it.layer.path)]
    remaining = found or list(plausible)
    linear = [it for it in remaining if len(it.tensor.shape) == 2 or it.is_named]
    if any(it.is_named for it in linear):
        return linear
    return remaining


def _are_copies(heads: Sequence[HeadCandidate]) -> bool:
    """Return whether candidates share all their bytes. A file may hold a network and
    its classifier, or a module and its state dict.
    """
    first = heads[0].layer
    return all(
        (it.layer.tensor, it.layer.factors, it.layer.bias, it.layer.refusal)
        == (first.tensor, first.factors, first.bias, first.refusal)
        for it in heads
    )


def _several(heads: Sequence[HeadCandidate]) -> AmbiguousHeadError:
    heads = sorted(heads, key=lambda candidate: candidate.layer.position)
    titles = [candidate.title for candidate in heads]
    example = _example(heads)
    listed = ", ".join(titles[:MAX_LISTED])
    hint = f"choose one, for example with --head {example}"
    if _may_be_parts(heads):
        names = ",".join(head.name for head in heads)
        hint += f"; if they are the parts of one classifier, add --head {names}"
    return AmbiguousHeadError(
        f"{len(titles)} tensors could be the classifier: {listed}",
        hint=hint,
        candidates=tuple(titles),
        example=example,
    )


def _example(heads: Sequence[HeadCandidate]) -> str:
    """Return the name of the most plausible candidate; `heads` are in the order of the
    file.
    """
    widths = {it.layer.width_out for it in heads}

    def plausibility(head: HeadCandidate) -> tuple[bool, bool, bool]:
        # A parameter of the model is stored before its layers, but may take the output
        # of one of them.
        is_parameter = head.layer.kind == "raw" and head.is_certain
        takes_output = is_parameter and head.layer.width_in in widths
        return takes_output or head.layer.is_in_loss, head.is_certain, head.is_named

    best = max(reversed(heads), key=plausibility)
    # Copies of the network (a teacher, masks, first weights) are stored after it.
    return next(it.name for it in heads if it.layer.module == best.layer.module)


def _may_be_parts(heads: Sequence[HeadCandidate]) -> bool:
    """Return whether the rows of candidates may be the classes of one head, in order
    (``fc1`` and ``fc2``, ``heads.0`` and on).
    """
    layers = [head.layer for head in heads]
    places = {(it.path, stem(it), it.width_in) for it in layers}
    is_plain = all(it.factors.kind == PLAIN and it.width_in > 0 for it in layers)
    return len(layers) > 1 and len(places) == 1 and is_plain


def _wrong_count(candidates: Sequence[HeadCandidate], classes: int) -> ClassCountError:
    titles = tuple(candidate.title for candidate in candidates[:MAX_LISTED])
    message = (
        f"no matrix has {classes} rows, one for each class; the best candidates are"
        f" {', '.join(titles)}"
    )
    possible = [it for it in candidates if it.codes <= {Code.BLOCK}]
    possible.sort(key=lambda candidate: candidate.layer.position)
    if sum(it.rows for it in possible) == classes and _may_be_parts(possible):
        names = ",".join(candidate.name for candidate in possible)
        message += f"; if they are the parts of one classifier, add --head {names}"
    best = candidates[0]
    if best.is_certain and best.rows > classes and best.rows % classes == 0:
        times = best.rows // classes
        message += (
            f"; {best.name} has {times} rows for each class, which dsi does not put"
            " together"
        )
    return ClassCountError(message, classes=classes, candidates=titles)


def _no_classifier(
    groups: Sequence[NestedStateDict],
    candidates: Sequence[HeadCandidate],
    classes: int | None,
) -> BackboneError:
    tensors = [item for group in groups for item in group.tensors.items()]
    # A detector may predict classes by a convolution with a window (RetinaNet, FCOS,
    # SSD).
    for name, tensor in reversed(tensors):
        is_wide = len(tensor.shape) == 4 and not is_matrix(tensor)
        if is_wide and re.search(r"cls_logits|cls_score|classification_head", name):
            return BackboneError(
                f"no classifier: {name} {tensor.shape} predicts classes by a"
                " convolution larger than 1x1, so no row of it is a class"
            )
        if "flat_param" in name:
            return BackboneError(
                f"no classifier: {name} holds the weights of one FSDP rank",
                hint="save with StateDictType.FULL_STATE_DICT",
            )
    count = "" if classes is None else f" with {classes} rows"
    message = f"no classifier{count} among {len(tensors)} tensors"
    if any("lora_" in name for name, _ in tensors):
        return BackboneError(
            f"{message} of this adapter (LoRA)",
            hint="keep it with modules_to_save of peft, or merge the adapter before"
            " saving (merge_and_unload)",
        )
    if not candidates:
        likely = _likely_head(groups)
        if likely is None:
            return BackboneError(f"{message}, and no matrix at all")
        return BackboneError(
            f"{message}, whose names dsi does not know",
            hint=f"add --head {likely}",
            example=likely,
        )
    best = candidates[0]
    # A layer whose name means something else is no good example.
    example = "NAME" if best.codes & _NAME_CODES else best.name
    advice = f"add --head {example}"
    if Code.SIDE in best.codes and classes is None and len(best.sides) == 2:
        advice = "add --labels FILE, whose number of labels decides"
    listed = "; ".join(
        ", which ".join((candidate.title, *candidate.against[:1]))
        for candidate in candidates[:3]
    )
    return BackboneError(
        f"{message}, as in a backbone or an adapter; the best candidates are {listed}",
        hint=f"if one is the head, {advice}; a network without a head needs"
        " --templates, --test DATA and --model",
        example=example,
    )


def _likely_head(groups: Sequence[NestedStateDict]) -> str | None:
    """Return the name of the last matrix of a file without a known layer, or None
    without any; a Bayesian layer stores its mean first.
    """
    names = [layer.name for layer in plain_matrices(groups)]
    if not names:
        return None
    module = names[-1].rpartition(".")[0]
    return next(name for name in names if name.rpartition(".")[0] == module)
