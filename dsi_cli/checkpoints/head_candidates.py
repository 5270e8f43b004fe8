"""List every matrix of a checkpoint that could be the classifier head, with the
evidence for and against it.

The evidence comes from the structure first: which layer feeds which, which layers
repeat in numbered blocks, and which weights are normalised. A name can count against a
candidate or support it. The table `head_rules.RULES` lists all rules. `head_choice` uses
the ranking of `rank_candidates`, and ``dsi scan --why`` prints it. Files with a graph
(ONNX, Keras) state which layers compute the outputs of the model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dsi_cli.checkpoints.head_names import Code, is_named
from dsi_cli.checkpoints.head_rules import Network, Reason, reasons_against
from dsi_cli.checkpoints.layers import Layer, is_matrix
from dsi_cli.checkpoints.orientation import ends_by_width, unused_sides
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.checkpoints.trainers import NestedStateDict

DETECTOR = re.compile(
    r"class_labels_classifier|class_predictor|class_embed|fc_cls|cls_score|box_predictor"
)
"""Names of a detector's head, which may have one row more than classes."""


@dataclass(frozen=True, eq=False)
class HeadCandidate:
    """A matrix that could be the head, with the evidence."""

    layer: Layer  # the layer that it belongs to
    # the name of its tensor, with the keys that lead to its state dict if there are
    # several
    name: str
    tensor: Tensor  # the weight with one row for each output
    support: tuple[str, ...]  # the evidence for it
    doubts: tuple[Reason, ...]  # the evidence against it that could be a coincidence
    # the evidence that it is not the last layer of the network
    hidden: tuple[Reason, ...]
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
    def codes(self) -> set[Code]:
        """The kinds of evidence against it."""
        return {reason.code for reason in (*self.hidden, *self.doubts)}

    @property
    def against(self) -> tuple[str, ...]:
        """The evidence against it as texts, the strongest first."""
        return tuple(reason.text for reason in (*self.hidden, *self.doubts))

    @property
    def rows(self) -> int:
        """The number of rows of its tensor."""
        return self.tensor.shape[0]

    @property
    def sides(self) -> set[int]:
        """The numbers of its rows and of its columns."""
        return set(self.tensor.shape[:2])

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
    network = Network(groups, classes)
    ends = ends_by_width(network.unused)
    distinct = {}
    for layer in network.layers:
        if layer.kind in ("matrix", "raw") and layer.weight and is_matrix(layer.weight):
            candidate = _candidate(network, layer, ends)
            # Tied weights are one candidate.
            distinct[candidate.tensor, layer.path] = candidate
    ranked = sorted(distinct.values(), key=_plausibility)
    # Candidates in several state dicts are shown with the keys that lead to them.
    if len({candidate.layer.path for candidate in ranked}) > 1:
        ranked = [
            replace(candidate, name=candidate.layer.full_name) for candidate in ranked
        ]
    return _by_graph(ranked, frozenset(outputs or ()))


def _plausibility(candidate: HeadCandidate) -> tuple[bool, bool, bool, bool, int]:
    """Return a key that sorts candidates, the most plausible first."""
    return (
        candidate.fits is False,
        bool(candidate.hidden),
        bool(candidate.doubts),
        not candidate.is_named,
        -candidate.layer.position,
    )


def _candidate(
    network: Network, layer: Layer, ends: dict[int, list[tuple[int, int]]]
) -> HeadCandidate:
    rows, columns = layer.tensor.shape[:2]
    classes = network.classes
    fits = None
    if classes is not None:
        is_detector = DETECTOR.search(layer.name) is not None
        fits = rows == classes or (is_detector and rows == classes + 1)
    consumer = network.consumer.get(layer.position)
    evidence = {
        f"has a row for each of {classes} classes": bool(fits),
        "no other layer takes its output": consumer is None,
        "takes the output of another layer": layer.position in network.producer,
        "is the last layer": layer.position == network.last and network.ordered,
        "has a bias for each row": layer.has_bias,
        "its name means a classifier": is_named(layer),
    }
    may_take_output = layer.kind == "raw" and bool(unused_sides(rows, columns, ends))
    return HeadCandidate(
        layer=layer,
        name=layer.name,
        tensor=layer.tensor,
        support=tuple(text for text, holds in evidence.items() if holds),
        doubts=reasons_against(network, layer, hides=False),
        hidden=reasons_against(network, layer, hides=True),
        is_named=is_named(layer),
        is_alone=network.is_single and layer.width_out > 0,
        fits=fits,
        feeds=consumer,
        may_take_output=may_take_output,
    )


def _by_graph(
    ranked: list[HeadCandidate], outputs: frozenset[str]
) -> list[HeadCandidate]:
    """Return the candidates that compute an output of the model first; the graph
    overrules the evidence of position and name.
    """
    chosen = [it for it in ranked if it.layer.name in outputs]
    if not chosen:
        return ranked
    if len(chosen) == 1:
        only = chosen[0]
        stay = (Code.ONE_ROW, Code.SIDE)
        doubts = tuple(doubt for doubt in only.doubts if doubt.code in stay)
        support = (*only.support, "computes an output of the model, by its graph")
        chosen = [replace(only, hidden=(), doubts=doubts, support=support)]
    reason = Reason(Code.NO_OUTPUT, "computes no output of the model, by its graph")
    others = [
        replace(it, hidden=(*it.hidden, reason))
        for it in ranked
        if it.layer.name not in outputs
    ]
    return [*chosen, *others]
