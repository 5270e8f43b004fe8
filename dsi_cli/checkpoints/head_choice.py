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
from collections import Counter
from collections.abc import Iterable, Sequence

from dsi_cli.checkpoints.head_candidates import (
    FEEDS,
    IN_BLOCK,
    NAME,
    NORMALISED,
    OTHER_HEAD,
    POSITIONS,
    PROTOTYPES,
    SINGLE_ROW,
    SQUARE,
    STACK,
    STATISTIC,
    TABLE,
    UNCLEAR_SIDE,
    WIDE,
    HeadCandidate,
    orient,
    rank_candidates,
)
from dsi_cli.checkpoints.layers import (
    IN_LOSS,
    PLAIN,
    WINDOW,
    Factors,
    Layer,
    consumers,
    is_matrix,
    is_registration_order,
    is_sorted_by_name,
    layers_of,
    stem,
)
from dsi_cli.checkpoints.tensors import FLOATS, Tensor, join_rows
from dsi_cli.checkpoints.trainers import EMA, NestedStateDict
from dsi_cli.errors import (
    AmbiguousHeadError,
    BackboneError,
    ClassCountError,
    NoHeadError,
)

_TRUNK = re.compile(
    r"^((\w+_)?backbone|encoder|trunk|feature_extractor|base|pretrained|body|features?|extractor|resnet\w*|vit)$",
    re.I,
)
_COARSER = re.compile(r"coarse|(^|_)super(_|class|cat|$)", re.IGNORECASE)
_BEST_COPY = re.compile(r"best", re.IGNORECASE)
_MAX_LISTED = 5
_IMPLAUSIBLE = 4


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
        names = [name.strip() for name in head_name.split(",")]
        if len(names) > 1:
            return _join([_find_named_head(groups, name, None) for name in names])
        return _find_named_head(groups, head_name, classes)
    candidates = rank_candidates(groups, None, outputs)
    # Without the number of classes, the most plausible candidates may be the head;
    # several if dsi has to ask.
    tier = min(map(_tier, candidates), default=_IMPLAUSIBLE)
    heads = _without_unlikely(
        [it for it in candidates if _tier(it) == tier < _IMPLAUSIBLE]
    )
    heads += _rivals(heads, candidates)
    if classes is not None and [head.tensor.shape[0] for head in heads] != [classes]:
        candidates = rank_candidates(groups, classes, outputs)
        if with_background and not any(candidate.fits for candidate in candidates):
            candidates = rank_candidates(groups, classes + 1, outputs)
        heads = _heads_by_count(candidates, classes)
    if not heads:
        raise BackboneError(_no_classifier_message(groups, candidates, classes))
    # A file may hold a network and its classifier, or a module and its state dict,
    # which share the bytes of the head.
    stored = [
        (head.tensor, head.layer.factors, head.layer.bias, head.layer.refusal)
        for head in heads
    ]
    if any(parts != stored[0] for parts in stored):
        heads.sort(key=lambda candidate: candidate.layer.position)
        titles = [candidate.title for candidate in heads]
        example = _example(heads)
        message = (
            f"{len(titles)} tensors could be the classifier:"
            f" {', '.join(titles[:_MAX_LISTED])};"
        )
        message += f" choose one, for example with --head {example}"
        parts = _parts_in_order(heads)
        if len(parts) > 1:
            message += (
                "; if they are the parts of one classifier, add --head"
                f" {_names_of(parts)}"
            )
        raise AmbiguousHeadError(message, candidates=tuple(titles), example=example)
    best = max(heads, key=lambda head: (len(head.layer.module), head.layer.position))
    if best.layer.refusal is not None:
        message = f"{best.title} {best.layer.refusal}"
        raise NoHeadError(
            message, code="unusable-head", head=best.name, shape=best.tensor.shape
        )
    return best.layer


def _example(heads: Sequence[HeadCandidate]) -> str:
    """Return the name of the most plausible candidate; `heads` are in the order of the
    file.
    """
    widths = {it.layer.width_out for it in heads}

    def plausibility(head: HeadCandidate) -> tuple[bool, bool, bool]:
        # A parameter of the model is stored before its layers, but may take the output
        # of one of them.
        takes_output = (
            head.layer.kind == "raw"
            and head.is_certain
            and head.layer.width_in in widths
        )
        return takes_output or head.layer.is_in_loss, head.is_certain, head.is_named

    best = max(reversed(heads), key=plausibility)
    # Copies of the network (a teacher, masks, first weights) are stored after it.
    return next(it.name for it in heads if it.layer.module == best.layer.module)


def _parts_in_order(heads: Sequence[HeadCandidate]) -> list[HeadCandidate]:
    """Return the candidates if their rows may be the classes of one head, in order
    (``fc1`` and ``fc2``, ``heads.0`` and on).
    """
    places = {(it.layer.path, stem(it.layer), it.layer.width_in) for it in heads}
    is_plain = all(
        it.layer.factors.kind == PLAIN and it.layer.width_in > 0 for it in heads
    )
    return list(heads) if len(places) == 1 and is_plain else []


def _names_of(parts: Sequence[HeadCandidate]) -> str:
    return ",".join(part.name for part in parts)


def _join(parts: Sequence[Layer]) -> Layer:
    """Return a head that is stored in several parts, whose rows follow one another."""
    name = ",".join(part.name for part in parts)
    features = {part.tensor.shape[1:] for part in parts}
    if len(features) > 1 or any(part.factors.kind != PLAIN for part in parts):
        shapes = ", ".join(str(part.tensor.shape) for part in parts)
        message = (
            f"{name} of the shapes {shapes} cannot be the parts of one classifier; give"
            " plain weights of one width"
        )
        raise NoHeadError(message, code="misfit-parts", head=name)
    weight = join_rows([part.tensor for part in parts])
    biases = [
        part.bias[0]
        for part in parts
        if len(part.bias) == 1 and len(part.bias[0].shape) == 1
    ]
    bias = (join_rows(biases),) if len(biases) == len(parts) else ()
    return parts[0]._replace(
        name=name, weight=weight, width_out=weight.shape[0], bias=bias
    )


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
        losses = [
            group
            for group in groups
            if group.role != role and any(map(IN_LOSS.search, group.path))
        ]
        return [*usable, *(group for group in losses if group not in usable)]
    if groups:
        message = (
            "no averaged (EMA) weights in this file; leave out --ema to use the raw"
            " ones"
        )
        raise NoHeadError(message, code="no-ema-weights")
    message = (
        "no weights in this file that have names; it may hold an optimiser, a frozen"
        " TorchScript module"
    )
    raise NoHeadError(f"{message} or a list of arrays", code="no-weights")


def _tier(candidate: HeadCandidate) -> int:
    """Return how plausible a candidate is, from 0 (nothing is against it) to
    `_IMPLAUSIBLE`.
    """
    if candidate.is_certain:
        return 0
    # The only layer of the file is the head, unless its name means something else.
    if candidate.is_alone and not candidate.kinds & {
        NAME,
        POSITIONS,
        STATISTIC,
        OTHER_HEAD,
    }:
        return 1
    # A normalisation after the head or a single row may be a coincidence, but an
    # embedding has a power of two as its width.
    rows = candidate.tensor.shape[0]
    is_embedding = rows >= WIDE or (rows >= 32 and rows.bit_count() == 1)
    if candidate.kinds == {NORMALISED} and not candidate.hidden and not is_embedding:
        return 2
    return 3 if candidate.kinds == {SINGLE_ROW} else _IMPLAUSIBLE


def _rivals(
    heads: Sequence[HeadCandidate], candidates: Sequence[HeadCandidate]
) -> list[HeadCandidate]:
    """Return the candidates about which dsi has to ask, although another one is more
    plausible.
    """
    if not heads:
        return []
    chosen = set(heads)
    fitting = [it for it in candidates if it.fits is not False and it not in chosen]
    shown = [
        it
        for it in fitting
        if not it.hidden
        or it.kinds in ({NORMALISED}, {IN_BLOCK}, {IN_BLOCK, UNCLEAR_SIDE})
    ]
    tests = (_may_hold_classes, _is_next_to_projection, _may_be_added, _may_follow)
    others = [it for it in shown if any(test(it, heads[0]) for test in tests)]
    # The classifier that a trunk was trained with may be unused, because layers with a
    # row for each label follow it.
    rows = [
        it
        for it in fitting
        if it.kinds == {SINGLE_ROW} and it.layer.position > heads[0].layer.position
    ]
    others += rows if _is_in_trunk(heads[0]) else []
    listed = set(others)
    others += [it for it in _experts(heads[0], fitting) if it not in listed]
    return (
        others
        or _classifiers_before(heads[0], candidates)
        or _logits_before(heads[0], candidates)
    )


def _experts(
    best: HeadCandidate, candidates: Sequence[HeadCandidate]
) -> list[HeadCandidate]:
    """Return the ends of several networks, if the best candidate has a row for each: it
    may weight them (mixture of experts).
    """
    ends = [
        it for it in candidates if it.kinds == {IN_BLOCK} and len(it.tensor.shape) == 2
    ]
    times = Counter(
        stem(it.layer) for it in ends if it.layer.width_out < it.layer.width_in
    )
    return [it for it in ends if times[stem(it.layer)] == best.tensor.shape[0]]


def _is_in_trunk(candidate: HeadCandidate) -> bool:
    """Return whether a module around a candidate has the name of a trunk."""
    return any(map(_TRUNK.match, candidate.layer.module[:-1]))


def _is_next_to_projection(candidate: HeadCandidate, best: HeadCandidate) -> bool:
    """Return whether a candidate may be the classifier, and the best one the projection
    next to it (SimGCD).
    """
    parent, module = candidate.layer.module[:-1], best.layer.module
    return (
        candidate.kinds == {PROTOTYPES}
        and 0 < len(parent) < len(module) - 1
        and module[: len(parent)] == parent
    )


def _may_be_added(candidate: HeadCandidate, best: HeadCandidate) -> bool:
    """Return whether the outputs of a candidate and of the best one may be added
    (FastKAN, TransformerConv), or both are one layer.

    They have the same input and are stored in one block or module, or are means and
    variances.
    """
    layer, other = candidate.layer, best.layer
    if candidate.kinds == {IN_BLOCK}:
        return (
            candidate.fits is True
            and layer.name.rsplit(".", 2)[0] == other.name.rsplit(".", 2)[0]
        )
    if candidate.tensor.shape != best.tensor.shape:
        return False
    # Several parts of a network have a classifier of the same name (ABINet).
    if (
        candidate.is_named
        and candidate.kinds == {NAME}
        and layer.module[-1:] == other.module[-1:]
    ):
        return True
    if layer.path != other.path or layer.module[:-1] != other.module[:-1]:
        return False
    if layer.kind == other.kind == "raw":
        return candidate.kinds <= {NAME, STATISTIC, UNCLEAR_SIDE}
    return candidate.kinds == {NAME} and not best.is_named and bool(layer.module[:-1])


def _may_follow(candidate: HeadCandidate, best: HeadCandidate) -> bool:
    """Return whether a candidate with little against it may take the output of the best
    one, which has doubts or no name.
    """
    rows = best.tensor.shape[0]
    if candidate.kinds <= {SQUARE, UNCLEAR_SIDE} and best.doubts:
        return set(candidate.tensor.shape[:2]) == {rows} != set(best.tensor.shape[:2])
    is_projection = candidate.kinds == {NAME} and "projection" in candidate.against[0]
    return (
        is_projection
        and not best.is_named
        and candidate.layer.kind == "matrix"
        and candidate.layer.width_in == rows
    )


def _may_hold_classes(candidate: HeadCandidate, best: HeadCandidate) -> bool:
    """Return whether dsi has to ask about a candidate with doubts next to the best
    candidate.
    """
    layer, rows = candidate.layer, best.tensor.shape[0]
    if _may_embed_labels(candidate, best):
        return True
    # One of several parallel matrices in a list, not square, which take the input of an
    # unnamed candidate.
    if candidate.kinds == {IN_BLOCK, UNCLEAR_SIDE}:
        return not best.is_named and {best.layer.width_in} < set(candidate.tensor.shape)
    if candidate.kinds == {UNCLEAR_SIDE}:
        return (
            layer.is_in_loss
            or candidate.may_take_output
            or _may_be_twin(candidate, best)
        )
    # A layer in parallel to the best candidate, from which only a normalisation
    # distinguishes it.
    if candidate.kinds == {NORMALISED}:
        return (
            layer.module[:-1] == best.layer.module[:-1]
            and candidate.tensor.shape == best.tensor.shape
        )
    if best.is_named:
        return False
    if STACK in candidate.kinds:
        return True
    # A parameter with another name that may take the output of an unnamed candidate, or
    # the input of one that is a parameter.
    if NAME in candidate.kinds <= {NAME, UNCLEAR_SIDE}:
        shared = best.tensor.shape[1] if best.layer.kind == "raw" else rows
        return candidate.may_take_output and shared in candidate.tensor.shape
    # The centres of other classes than an unnamed candidate has.
    is_statistic = (
        candidate.kinds == {STATISTIC} and not layer.is_in_loss and layer.kind == "raw"
    )
    return is_statistic and layer.width_out not in (0, rows)


def _may_be_twin(candidate: HeadCandidate, best: HeadCandidate) -> bool:
    """Return whether a matrix whose axis of the classes is not known may take the
    output of the best one, or be its twin.
    """
    if best.layer.kind == "raw" and best.tensor.shape[0] in candidate.tensor.shape:
        return True
    has_same_sides = sorted(best.tensor.shape[:2]) == sorted(candidate.tensor.shape[:2])
    return has_same_sides and not (best.is_named or best.layer.has_bias)


def _may_embed_labels(candidate: HeadCandidate, best: HeadCandidate) -> bool:
    """Return whether a parameter that may take the output of the best candidate may
    hold the vectors of the classes.
    """
    if not candidate.may_take_output or not candidate.kinds <= {NAME, UNCLEAR_SIDE}:
        return False
    sides = set(candidate.tensor.shape[:2])
    return best.tensor.shape[0] in sides != set(best.tensor.shape[:2])


def _classifiers_before(
    best: HeadCandidate, candidates: Sequence[HeadCandidate]
) -> list[HeadCandidate]:
    """Return the classifiers before a parameter of the model, which may be attributes
    or word vectors of their classes.
    """
    if best.layer.kind != "raw" or best.layer.is_in_loss:
        return []
    parent = best.layer.module[:-1]
    before = [
        it
        for it in candidates
        if it.feeds == best.layer.position and it.kinds == {FEEDS}
    ]
    before = [
        it
        for it in before
        if it.layer.path == best.layer.path and it.layer.module[: len(parent)] == parent
    ]
    return [it for it in before if it.is_named or it.layer.module[-1:] == ("fc",)]


def _logits_before(
    best: HeadCandidate, candidates: Sequence[HeadCandidate]
) -> list[HeadCandidate]:
    """Return the candidates that compute logits which the best candidate may only
    convert.

    An unnamed layer after a layer with the name of a classifier may map classes to
    coarser ones. A square layer after a layer with as many outputs is the classifier of
    a narrow network, or a calibration of its logits. A narrow network often numbers its
    hidden layers (``0`` and ``2``, or ``fc1``, ``fc2`` and ``out``).
    """
    rows, columns = best.tensor.shape[:2]
    if best.is_named or best.layer.module[-1:] == ("fc",):
        return []
    stems = Counter(stem(candidate.layer) for candidate in candidates)
    copies = {best.layer.position} | (
        _square_copies(best, candidates) if rows == columns else set()
    )
    found = []
    for candidate in candidates:
        if candidate.feeds not in copies:
            if _is_square_classifier(candidate, best):
                found.append(candidate)
            continue
        if candidate.doubts:
            continue
        own, after = stem(candidate.layer), stem(best.layer)
        is_chain = (
            stems[own] > 1
            and own[:-1] == after[:-1]
            and (own == after or stems[after] == 1)
        )
        # a matrix of label noise has no bias
        is_chain = is_chain and candidate.layer.has_bias == best.layer.has_bias
        is_square = rows == columns == candidate.tensor.shape[0]
        only_feeds = candidate.layer.path == best.layer.path and candidate.kinds == {
            FEEDS
        }
        may_be_coarser = candidate.is_named or any(
            map(_COARSER.search, best.layer.module)
        )
        is_coarser = may_be_coarser and only_feeds and candidate.tensor.shape[0] > rows
        if is_coarser or (is_square and not is_chain):
            found.append(candidate)
    return found


def _square_copies(
    best: HeadCandidate, candidates: Sequence[HeadCandidate]
) -> set[int]:
    """Return the positions of square layers next to the best one that may convert the
    same logits (one for each annotator).
    """
    copies = [
        it
        for it in candidates
        if it.tensor.shape == best.tensor.shape and stem(it.layer) == stem(best.layer)
    ]
    return {it.layer.position for it in copies}


def _is_square_classifier(candidate: HeadCandidate, best: HeadCandidate) -> bool:
    """Return whether a candidate seems to feed each later layer that takes its input
    (an adapter), since it is square.
    """
    is_square = candidate.layer.width_in == candidate.layer.width_out
    only_feeds = candidate.kinds in ({FEEDS}, {FEEDS, WINDOW})
    return (
        is_square
        and candidate.is_named
        and candidate.layer.path == best.layer.path
        and only_feeds
    )


def _heads_by_count(
    candidates: Sequence[HeadCandidate], classes: int
) -> list[HeadCandidate]:
    """Return the candidates that may be the head among the matrices that have a row for
    each class; several if dsi has to ask.
    """
    fitting = [candidate for candidate in candidates if candidate.fits]
    parts = _parts(candidates, classes)
    if parts:
        return parts + fitting
    if not fitting and any(candidate.is_certain for candidate in candidates):
        best = tuple(candidate.title for candidate in candidates[:_MAX_LISTED])
        message = (
            f"no matrix has {classes} rows, one for each class; the best candidates are"
            f" {', '.join(best)}"
        )
        message += _parts_advice(candidates, classes)
        raise ClassCountError(message, classes=classes, candidates=best)
    # The number of rows outweighs all reasons against a candidate but these.
    contradictions = {
        IN_BLOCK,
        OTHER_HEAD,
        UNCLEAR_SIDE,
        TABLE,
        POSITIONS,
        STACK,
        WINDOW,
    }
    possible = [
        it
        for it in fitting
        if not it.kinds & contradictions and not _is_input(it, candidates)
    ]
    if len(possible) == 1 and (len(fitting) == 1 or possible[0].is_named):
        return possible
    not_hidden = [candidate for candidate in possible if not candidate.hidden]
    certain = [candidate for candidate in not_hidden if not candidate.doubts]
    heads = _without_unlikely(certain or not_hidden)
    return heads + _rivals(heads, candidates)


def _parts_advice(candidates: Sequence[HeadCandidate], classes: int) -> str:
    """Return what is known of matrices that have the rows of all classes together, or
    several rows for each class.
    """
    layers: dict[tuple[str, ...], list[HeadCandidate]] = {}
    for candidate in candidates:
        if candidate.kinds <= {IN_BLOCK}:
            layers.setdefault(stem(candidate.layer), []).append(candidate)
    for parts in layers.values():
        parts.sort(key=lambda candidate: candidate.layer.position)
        if sum(part.tensor.shape[0] for part in parts) == classes and _parts_in_order(
            parts
        ):
            return (
                f"; if the {len(parts)} of them with {classes} rows together are its"
                f" parts, add --head {_names_of(parts)}"
            )
    for candidate in candidates:
        times, rest = divmod(candidate.tensor.shape[0], classes)
        if candidate.is_certain and times > 1 and not rest:
            several = (
                f"; {candidate.name} has {times} rows for each class (members of an"
                " ensemble, sub-centres or votes)"
            )
            return f"{several}, which dsi does not put together"
    return ""


def _parts(candidates: Sequence[HeadCandidate], classes: int) -> list[HeadCandidate]:
    """Return the parts of a head with one layer for each class, which dsi does not put
    together.
    """
    single_rows = [
        candidate
        for candidate in candidates
        if not candidate.hidden and candidate.tensor.shape[0] == 1
    ]
    times = Counter(stem(candidate.layer) for candidate in single_rows)
    return [
        candidate
        for candidate in single_rows
        if times[stem(candidate.layer)] == classes > 1
    ]


def _is_input(candidate: HeadCandidate, candidates: Sequence[HeadCandidate]) -> bool:
    """Return whether a candidate is a table of class vectors that conditions a network,
    which ends in another layer.
    """
    is_table = (
        candidate.layer.kind == "matrix"
        and not candidate.layer.has_bias
        and NAME in candidate.kinds
    )
    return is_table and any(
        not it.hidden and it.layer.position > candidate.layer.position
        for it in candidates
    )


def _without_unlikely(plausible: Sequence[HeadCandidate]) -> list[HeadCandidate]:
    """Return the candidates without those that another plausible candidate makes
    unlikely.

    A head in a part called a trunk and a single row are unlikely if another candidate
    comes last. A 1x1 convolution is unlikely if a linear layer has the name of a
    classifier. So is a head in a copy of the weights that the file keeps as the best
    ones.
    """
    last = max((candidate.layer.position for candidate in plausible), default=0)
    remaining = _outside_trunk(plausible, last)
    wide = [it for it in remaining if it.tensor.shape[0] > 1]
    remaining = wide if any(it.layer.position == last for it in wide) else remaining
    linear = [
        candidate
        for candidate in remaining
        if len(candidate.tensor.shape) == 2 or candidate.is_named
    ]
    if any(candidate.is_named for candidate in linear):
        remaining = linear
    return [
        candidate
        for candidate in remaining
        if not any(map(_BEST_COPY.search, candidate.layer.path))
    ] or remaining


def _outside_trunk(
    plausible: Sequence[HeadCandidate], last: int
) -> list[HeadCandidate]:
    """Return the candidates outside parts called a trunk if one of them comes last, and
    does not return features to a trunk.
    """
    outside = [it for it in plausible if not _is_in_trunk(it)]
    widths = {it.layer.width_in for it in plausible if _is_in_trunk(it)}
    is_head = any(
        it.layer.position == last and it.layer.width_out not in widths for it in outside
    )
    return outside if is_head else list(plausible)


def _find_named_head(
    groups: Sequence[NestedStateDict], head_name: str, classes: int | None
) -> Layer:
    layers = orient(
        layers_of(groups),
        classes,
        is_sorted=is_sorted_by_name(groups),
        may_be_table=False,
    )
    matches = [
        layer
        for layer in layers
        if layer.weight is not None and _has_name(layer, head_name)
    ]
    # If no layer has this name, any other matrix may be the head, such as the mean of a
    # Bayesian layer.
    matches = matches or [
        layer
        for layer in _plain_matrices(groups)
        if f".{layer.full_name}".endswith(f".{head_name}")
    ]
    matches = [
        layer for layer in matches if head_name in (layer.name, layer.full_name)
    ] or matches
    if not matches:
        raise _no_such_head(groups, head_name, classes)
    if len(matches) > 1:
        names = sorted(layer.full_name for layer in matches)
        listed = ", ".join(names[:_MAX_LISTED])
        message = (
            f"--head {head_name} fits {len(names)} tensors ({listed}); give the whole"
            " name of one"
        )
        raise AmbiguousHeadError(
            message, code="ambiguous-head-name", head=head_name, candidates=tuple(names)
        )
    # Check that the weight can be used.
    layer, weight = matches[0], matches[0].tensor
    if layer.refusal is not None:
        raise NoHeadError(
            f"{layer.name} {layer.refusal}",
            code="unusable-head",
            head=layer.name,
            shape=weight.shape,
        )
    if _is_wide_convolution(layer):
        return layer._replace(factors=Factors(WINDOW))
    if not is_matrix(weight) or weight.dtype not in FLOATS:
        raise _not_a_matrix(layer.name, weight)
    has_class_columns = (
        len(weight.shape) == 2 and weight.shape[1] == classes != weight.shape[0]
    )
    if has_class_columns and not weight.has_output_rows:
        return layer._replace(weight=weight.transposed)
    return layer


def _advice_on_unknown_names(groups: Sequence[NestedStateDict]) -> str:
    """Return the end of the message for a file without a known layer; a Bayesian layer
    stores its mean first.
    """
    matrices = [layer.name for layer in _plain_matrices(groups)]
    likely = [
        name
        for name in matrices
        if name.rpartition(".")[0] == matrices[-1].rpartition(".")[0]
    ]
    return (
        f"whose names dsi does not know; add --head {likely[0]}"
        if likely
        else "and no matrix at all"
    )


def _plain_matrices(groups: Sequence[NestedStateDict]) -> list[Layer]:
    """Return every matrix of the state dicts with two rows and columns or more, except
    for those of LoRA.
    """
    found = [
        (group, name, tensor)
        for group in groups
        for name, tensor in group.tensors.items()
        if "lora" not in name
    ]
    found = [
        it
        for it in found
        if is_matrix(it[2]) and min(it[2].shape[:2]) > 1 and it[2].dtype in FLOATS
    ]
    return [
        Layer(name, group.path, group.role, (), tensor, 0, 0, 0, "raw")
        for group, name, tensor in found
    ]


def _has_name(layer: Layer, head_name: str) -> bool:
    """Return whether a text is the name of a layer or of its weight, or the end of such
    a name.
    """
    parent = layer.name.rpartition(".")[0].partition(".parametrizations")[0]
    stored_module = ".".join(
        (
            *layer.path,
            parent.removesuffix("._packed_params").removesuffix(".base_layer"),
        )
    )
    module = ".".join(layer.module)
    names = (
        layer.full_name,
        stored_module,
        f"{stored_module}.weight",
        module,
        f"{module}.weight",
    )
    return any(name == head_name or name.endswith(f".{head_name}") for name in names)


def _is_wide_convolution(layer: Layer) -> bool:
    """Return whether a layer is a two-dimensional convolution with a window larger than
    1x1, and not a depthwise one.
    """
    weight = layer.weight
    if (
        weight is None
        or len(weight.shape) != 4
        or is_matrix(weight)
        or layer.factors.kind != PLAIN
    ):
        return False
    return weight.dtype in FLOATS and min(weight.shape[:2]) > 1


def _no_such_head(
    groups: Sequence[NestedStateDict], head_name: str, classes: int | None
) -> NoHeadError:
    for group in groups:
        for tensor_name, tensor in group.tensors.items():
            name = ".".join((*group.path, tensor_name))
            if name == head_name or name.endswith(f".{head_name}"):
                return _not_a_matrix(name, tensor)
    titles = tuple(
        candidate.title for candidate in rank_candidates(groups, classes)[:_MAX_LISTED]
    )
    if titles:
        message = (
            f"no tensor is named {head_name}; the best candidates are"
            f" {', '.join(titles)}"
        )
    else:
        message = f"no tensor is named {head_name}, and there is no matrix in this file"
    return NoHeadError(message, code="no-such-head", head=head_name, candidates=titles)


def _not_a_matrix(name: str, tensor: Tensor) -> NoHeadError:
    message = (
        f"{name} is {tensor.dtype} of shape {tensor.shape}; a classifier head is a"
        " floating-point matrix"
    )
    message += " of (classes, features)"
    return NoHeadError(
        message,
        code="head-not-matrix",
        head=name,
        shape=tensor.shape,
        dtype=tensor.dtype,
    )


def _final_convolution(groups: Sequence[NestedStateDict]) -> Layer | None:
    """Return the last layer if it is a convolution whose output no layer takes; the
    user must name it as the head.
    """
    layers = layers_of(groups)
    ordered = all(
        is_registration_order(group.tensors) for group in groups
    ) and not is_sorted_by_name(groups)
    is_final = bool(layers) and _is_wide_convolution(layers[-1])
    return (
        layers[-1]
        if is_final and layers[-1].position not in consumers(layers, ordered=ordered)
        else None
    )


def _no_classifier_message(
    groups: Sequence[NestedStateDict],
    candidates: Sequence[HeadCandidate],
    classes: int | None,
) -> str:
    tensors = [item for group in groups for item in group.tensors.items()]
    count = "" if classes is None else f" with {classes} rows"
    message = f"no classifier{count} among {len(tensors)} tensors"
    # A detector may predict classes by a convolution with a window (RetinaNet, FCOS,
    # SSD).
    for name, tensor in reversed(tensors):
        is_wide = len(tensor.shape) == 4 and not is_matrix(tensor)
        if is_wide and re.search(r"cls_logits|cls_score|classification_head", name):
            reason = (
                "predicts classes by a convolution larger than 1x1, so no row of it is"
                " a class"
            )
            return f"no classifier: {name} {tensor.shape} {reason}"
    final = _final_convolution(groups)
    if final is not None and final.weight is not None:
        advice = f"if only global average pooling follows it, add --head {final.name}"
        return (
            f"{message}; the last layer is the convolution {final.name}"
            f" {final.weight.shape}; {advice}"
        )
    flat = next((name for name, _ in tensors if "flat_param" in name), None)
    if flat is not None:
        return (
            f"no classifier: {flat} holds the weights of one FSDP rank; save with"
            " StateDictType.FULL_STATE_DICT"
        )
    if not candidates:
        return f"{message}, {_advice_on_unknown_names(groups)}"
    listed = "; ".join(
        ", which ".join((candidate.title, *candidate.against[:1]))
        for candidate in candidates[:3]
    )
    advice = f"add --head {candidates[0].name}"
    is_square = len(set(candidates[0].tensor.shape[:2])) == 1
    if UNCLEAR_SIDE in candidates[0].kinds and classes is None and not is_square:
        advice = "add --labels FILE, whose number of labels decides"
    advice += "; a network without a head needs --templates, --test DATA and --model"
    return (
        f"{message}, as in a backbone or an adapter; the best candidates are {listed};"
        f" if one is the head, {advice}"
    )
