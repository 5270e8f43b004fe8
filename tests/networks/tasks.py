"""Networks with a classifier and other outputs on the same features: domains, boxes, scores, tasks, projectors, helpers.

Where the shapes alone do not tell which of the outputs is meant, the number of classes does.
"""

from __future__ import annotations

from torch import Tensor, nn

from networks.cases import ASK, ASK_ALWAYS, Case
from networks.convolutional import stack
from networks.parts import Parts, Trunk


def side_by_side(first: str, *others: str, **parts: nn.Module) -> Parts:
    """Return a network whose named parts all see the trunk's features; the first one's output comes first.

    All of ``parts`` are registered in their order, and those that are not named are not used.
    """

    def forward(model: Parts, x: Tensor) -> tuple[Tensor, ...]:
        x = model.features(x)
        return tuple(model.get_submodule(name)(x) for name in (first, *others))

    return Parts(forward, features=Trunk(32), **parts)


def linear(classes: int, width: int = 32) -> nn.Linear:
    return nn.Linear(width, classes)


BOTH_COUNTS = {"may_ask": True, "may_ask_with_count": True}
CASES = [
    Case(
        "domain_stack_named_domain",
        lambda: side_by_side("cls", "domain", domain=stack(32, 24, 2), cls=stack(32, 24, 9)),
        "cls.2",
        **ASK,
    ),
    Case(
        "domain_of_as_many",
        lambda: side_by_side("y_head", "d_head", y_head=linear(4), d_head=linear(4)),
        "y_head",
        **ASK_ALWAYS,
    ),
    Case(
        "discriminator_of_one_row",
        lambda: side_by_side("aux_layer", "adv_layer", adv_layer=linear(1), aux_layer=linear(10)),
        "aux_layer",
        **ASK_ALWAYS,
    ),
    Case(
        "discriminator_stack_last",
        lambda: side_by_side("kategorie", "disc", kategorie=linear(10), disc=stack(32, 16, 1)),
        "kategorie",
    ),
    Case(
        "quality_score_after", lambda: side_by_side("emotion", "quality", emotion=linear(7), quality=linear(1)), "emotion"
    ),
    Case(
        "tasks_neither",
        lambda: side_by_side("shape", "colour", shape=linear(6), colour=linear(11)),
        None,
        20,
        only_with_count=True,
    ),
    Case(
        "rotation_before",
        lambda: side_by_side("decision", "fc_rotation", fc_rotation=linear(4), decision=linear(20)),
        "decision",
        **ASK,
    ),
    Case("projector_before", lambda: side_by_side("clf", "head", head=stack(32, 32, 24), clf=linear(20)), "clf", **ASK),
    Case("distilled_as_many", lambda: side_by_side("head", "head_dist", head=linear(10), head_dist=linear(10)), "head"),
]
