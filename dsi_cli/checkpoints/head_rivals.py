"""The rules by which dsi asks about another layer, although one is more plausible as
the classifier head, in one table.

A rule compares a candidate with the best one. Each rule has an example of a network, in
which it asks about one layer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dsi_cli.checkpoints.head_candidates import HeadCandidate
from dsi_cli.checkpoints.head_names import Code
from dsi_cli.checkpoints.layers import are_siblings, stem

_TRUNK = re.compile(
    r"^((\w+_)?backbone|encoder|trunk|feature_extractor|base|pretrained|body|features?"
    r"|extractor|resnet\w*|vit)$",
    re.IGNORECASE,
)


class Choice:
    """The most plausible candidate of a network, and all candidates."""

    def __init__(
        self,
        best: HeadCandidate,
        candidates: Sequence[HeadCandidate],
        classes: int | None,
    ) -> None:
        self.best = best
        self.classes = classes
        self.stems = Counter(stem(it.layer) for it in candidates)
        self.narrowing = Counter(
            stem(it.layer)
            for it in candidates
            if _is_end(it) and it.layer.width_out < it.layer.width_in
        )
        self.single_rows = Counter(
            stem(it.layer) for it in candidates if it.rows == 1 and not it.hidden
        )
        # One matrix for each annotator may convert the same logits.
        self.takers = {
            it.layer.position for it in candidates if stem(it.layer) == stem(best.layer)
        }

    @property
    def has_parameter(self) -> bool:
        """Return whether the best candidate is a parameter of the model, not of its loss."""
        return self.best.layer.kind == "raw" and not self.best.layer.is_in_loss

    @property
    def may_convert(self) -> bool:
        """Return whether the best candidate is a layer without the name of a classifier."""
        is_fc = self.best.layer.module[-1:] == ("fc",)
        return not (self.has_parameter or self.best.is_named or is_fc)


class RivalRule(NamedTuple):
    """A row of the table of rules."""

    name: str  # what the other candidate may be
    why: str
    test: Callable[[Choice, HeadCandidate], bool]
    example: str  # the tensors of a network with their shapes
    rival: str  # the name of the weight that the rule asks about
    # True if it also asks about matrices without a row for each known class
    of_any_rows: bool = False
    # True if it also asks where the number of classes confirms the best candidate
    despite_count: bool = False
    classes: int | None = None  # the number of classes of the example, if it is known


def rivals(
    best: HeadCandidate,
    candidates: Sequence[HeadCandidate],
    classes: int | None,
    *,
    is_confirmed: bool = False,
) -> list[HeadCandidate]:
    """Return the candidates about which dsi has to ask, although another one is more
    plausible. ``is_confirmed`` means that the number of classes confirms it.
    """
    choice = Choice(best, candidates, classes)
    rules = [rule for rule in RULES if rule.despite_count or not is_confirmed]
    found = []
    for other in candidates:
        fitting = [it for it in rules if it.of_any_rows or other.fits is not False]
        if other is not best and any(rule.test(choice, other) for rule in fitting):
            found.append(other)
    return found


def _are_twins(other: HeadCandidate, best: HeadCandidate) -> bool:
    """Return whether two candidates have the same sides."""
    return sorted(other.tensor.shape[:2]) == sorted(best.tensor.shape[:2])


def _is_end(candidate: HeadCandidate) -> bool:
    """Return whether a candidate may be the end of one of several equal networks."""
    return candidate.codes == {Code.BLOCK} and len(candidate.tensor.shape) == 2


def _is_normalised(choice: Choice, other: HeadCandidate) -> bool:
    best = choice.best
    is_sibling = are_siblings(other.layer, best.layer)
    return other.codes == {Code.NORMALISED} and is_sibling and _are_twins(other, best)


def _follows_trunk(choice: Choice, other: HeadCandidate) -> bool:
    layer = choice.best.layer
    is_later = other.layer.position > layer.position
    is_in_trunk = any(map(_TRUNK.match, layer.module[:-1]))
    return other.codes == {Code.ONE_ROW} and is_later and is_in_trunk


def _is_square(choice: Choice, other: HeadCandidate) -> bool:
    best, sides = choice.best, {choice.best.rows}
    is_square = other.codes <= {Code.SQUARE, Code.SIDE} and other.sides == sides
    return is_square and bool(best.doubts) and best.sides != sides


def _may_be_vectors(other: HeadCandidate) -> bool:
    """Return whether a candidate is a parameter that may hold vectors of classes."""
    # The centres of a loss are means of classes.
    is_mean = Code.STATISTIC in other.codes and other.layer.is_in_loss
    has_other_evidence = other.codes - {Code.NAME, Code.SIDE, Code.STATISTIC}
    return other.layer.kind == "raw" and not is_mean and not has_other_evidence


def _is_other_parameter(choice: Choice, other: HeadCandidate) -> bool:
    layer = choice.best.layer
    are_parameters = layer.kind == "raw" and _may_be_vectors(other)
    is_sibling = are_parameters and are_siblings(other.layer, layer)
    return is_sibling and bool(choice.best.sides & other.sides)


def _takes_embedding(choice: Choice, other: HeadCandidate) -> bool:
    best = choice.best
    takes_output = other.may_take_output or other.layer.is_in_loss
    may_fit = best.rows in other.sides or not best.is_named
    return _may_be_vectors(other) and takes_output and may_fit


def _has_shape(choice: Choice, other: HeadCandidate) -> bool:
    best = choice.best
    is_plain = not best.is_named and not best.layer.has_bias
    return _may_be_vectors(other) and is_plain and _are_twins(other, best)


def _has_name(other: HeadCandidate) -> bool:
    """Return whether only the name of a layer counts against it."""
    return other.codes == {Code.NAME} and other.layer.kind != "raw"


def _takes_best(choice: Choice, other: HeadCandidate) -> bool:
    best = choice.best
    takes = other.layer.width_in == best.rows and not _are_twins(other, best)
    return _has_name(other) and takes and not best.is_named


def _is_part(choice: Choice, other: HeadCandidate) -> bool:
    best = choice.best
    has_same_name = other.layer.module[-1:] == best.layer.module[-1:]
    is_twin = _has_name(other) and _are_twins(other, best)
    return is_twin and other.is_named and has_same_name


def _is_added(choice: Choice, other: HeadCandidate) -> bool:
    best = choice.best
    is_sibling = are_siblings(other.layer, best.layer) and len(other.layer.module) > 1
    is_twin = _has_name(other) and _are_twins(other, best)
    return is_twin and not other.is_named and is_sibling


def _is_expert(choice: Choice, other: HeadCandidate) -> bool:
    return _is_end(other) and choice.narrowing[stem(other.layer)] == choice.best.rows


def _is_row(choice: Choice, other: HeadCandidate) -> bool:
    is_single = other.rows == 1 and not other.hidden
    times = choice.single_rows[stem(other.layer)]
    return is_single and times > 1 and times == choice.classes


def _only_feeds(choice: Choice, other: HeadCandidate) -> bool:
    """Return whether nothing counts against a layer of the same file, except for the
    layer that takes its output.
    """
    codes = {Code.FEEDS}, {Code.FEEDS, Code.WINDOW}
    return other.codes in codes and other.layer.path == choice.best.layer.path


def _gives_vectors(choice: Choice, other: HeadCandidate) -> bool:
    parent = choice.best.layer.module[:-1]
    is_around = other.layer.module[: len(parent)] == parent
    has_name = other.is_named or other.layer.module[-1:] == ("fc",)
    is_fed = _only_feeds(choice, other) and other.feeds == choice.best.layer.position
    return choice.has_parameter and is_fed and is_around and has_name


def _is_mapped(choice: Choice, other: HeadCandidate) -> bool:
    is_fed = _only_feeds(choice, other) and other.feeds in choice.takers
    is_wider = other.is_named and other.rows >= choice.best.rows
    return choice.may_convert and is_fed and is_wider


def _is_calibrated(choice: Choice, other: HeadCandidate) -> bool:
    taker = choice.best.layer
    is_fed = _only_feeds(choice, other) and other.feeds in choice.takers
    if not (choice.may_convert and is_fed):
        return False
    if not taker.width_in == taker.width_out == other.rows:
        return False
    # A narrow network often numbers its hidden layers (``0`` and ``2``, or ``fc1``,
    # ``fc2`` and ``out``). A matrix of label noise has no bias.
    own, after = stem(other.layer), stem(taker)
    is_numbered = choice.stems[own] > 1 and (own == after or choice.stems[after] == 1)
    return not (is_numbered and own[:-1] == after[:-1])


def _is_calibrated_elsewhere(choice: Choice, other: HeadCandidate) -> bool:
    is_square = other.layer.width_in == other.layer.width_out
    is_fed = _only_feeds(choice, other) and other.feeds not in choice.takers
    return choice.may_convert and is_fed and other.is_named and is_square


RULES = (
    RivalRule(
        "normalised twin",
        "Of two equal layers in one module, the normalised one may be the head.",
        _is_normalised,
        "fc.weight 64x64, fc.bias 64, att.weight 24x64, att.bias 24,"
        " cla.weight 24x64, cla.bias 24, bn.weight 24, bn.bias 24",
        "cla.weight",
    ),
    RivalRule(
        "single row after a trunk",
        "The classifier that a trunk was trained with may be unused, if layers with a"
        " row for each label follow it.",
        _follows_trunk,
        "backbone.conv.weight 32x3x3x3, backbone.conv.bias 32,"
        " backbone.fc.weight 50x32, backbone.fc.bias 50, last.weight 1x32,"
        " last.bias 1",
        "last.weight",
    ),
    RivalRule(
        "square classifier",
        "A square matrix may be the head if something counts against the other one.",
        _is_square,
        "net.conv.weight 48x3x3x3, net.fc.weight 32x480, net.fc.bias 32,"
        " net.norm.weight 32, net.norm.bias 32, head.w 32x32",
        "head.w",
        classes=32,
    ),
    RivalRule(
        "parameter beside a parameter",
        "One of two parameters in a module may hold the vectors of the classes.",
        _is_other_parameter,
        "conv.weight 64x3x3x3, conv.bias 64, out.mu 20x64, out.rho 20x64",
        "out.rho",
    ),
    RivalRule(
        "vectors over an embedding",
        "A parameter of the model or the loss may take the embedding.",
        _takes_embedding,
        "model: fc.weight 12x16, model: fc.bias 12, loss: W 10x12",
        "loss.W",
    ),
    RivalRule(
        "parameter with the shape of the head",
        "A layer without a bias and with any name may compute features alone.",
        _has_shape,
        "conv.weight 64x3x3x3, conv.bias 64, out.weight 20x64, vectors 20x64",
        "vectors",
    ),
    RivalRule(
        "layer after the head",
        "An unnamed layer may compute what a layer with another name classifies.",
        _takes_best,
        "conv.bias 48, conv.weight 48x3x3x3, projection.weight 20x32, seg.bias 32,"
        " seg.weight 32x480",
        "projection.weight",
    ),
    RivalRule(
        "head of another part",
        "Several parts of a network have a classifier of the same name.",
        _is_part,
        "image.conv.weight 48x3x3x3, image.cls.weight 20x48, image.cls.bias 20,"
        " align.w.weight 48x96, align.w.bias 48, align.cls.weight 20x48,"
        " align.cls.bias 20",
        "align.cls.weight",
    ),
    RivalRule(
        "second layer of a sum",
        "The outputs of two layers in one module may be added.",
        _is_added,
        "conv.weight 64x3x3x3, conv.bias 64, end.value.weight 20x64,"
        " end.value.bias 20, end.skip.weight 20x64, end.skip.bias 20",
        "end.value.weight",
    ),
    RivalRule(
        "expert",
        "A head with a row for each of several networks may weight them.",
        _is_expert,
        "experts.0.0.weight 64x20, experts.0.2.weight 2x64,"
        " experts.1.0.weight 64x20, experts.1.2.weight 2x64, gate_0.weight 32x20,"
        " selector.weight 2x32",
        "experts.0.2.weight",
    ),
    RivalRule(
        "row of a head",
        "A head may have one layer for each class, which dsi does not put together.",
        _is_row,
        "conv.weight 64x3x3x3, conv.bias 64, attn.weight 2x64, attn.bias 2,"
        " row_0.weight 1x64, row_1.weight 1x64",
        "row_0.weight",
        of_any_rows=True,
        despite_count=True,
        classes=2,
    ),
    RivalRule(
        "classifier before vectors",
        "A parameter may hold attributes or word vectors of the classes.",
        _gives_vectors,
        "conv.weight 24x3x3x3, conv.bias 24, fc.weight 20x24, fc.bias 20,"
        " class_embeddings 20x300",
        "fc.weight",
        of_any_rows=True,
    ),
    RivalRule(
        "classifier before a map",
        "An unnamed layer may map the classes to coarser ones.",
        _is_mapped,
        "conv.weight 64x3x3x3, conv.bias 64, classifier.weight 50x64,"
        " classifier.bias 50, to_coarse.weight 10x50",
        "classifier.weight",
        of_any_rows=True,
    ),
    RivalRule(
        "classifier before a calibration",
        "A square layer may calibrate the logits, or model the noise of the labels.",
        _is_calibrated,
        "conv.weight 64x3x3x3, conv.bias 64, fc.weight 10x64, calibration.weight 10x10",
        "fc.weight",
        of_any_rows=True,
    ),
    RivalRule(
        "square classifier before an adapter",
        "A square layer with the name of a classifier may be the head.",
        _is_calibrated_elsewhere,
        "conv.weight 32x3x3x3, conv.bias 32, classifier.weight 32x32,"
        " classifier.bias 32, down.weight 8x32, down.bias 8, up.weight 32x8,"
        " up.bias 32",
        "classifier.weight",
        classes=32,
        of_any_rows=True,
    ),
)
"""All rules."""
