"""Networks with a classifier and other outputs on the same features: domains, boxes, scores, tasks, projectors, helpers.

Where the shapes alone do not tell which of the outputs is meant, the number of classes does.
"""

from __future__ import annotations

from torch import Tensor, nn

from networks.cases import Case, images
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


PROJECTION = {"may_ask": True}
BOTH_COUNTS = {"may_ask": True, "may_ask_with_count": True}
CASES = [
    Case(
        "domain_classifier_after",
        lambda: side_by_side("label_predictor", "classifier", label_predictor=linear(10), classifier=linear(2)),
        images(),
        "label_predictor",
        may_ask=True,
    ),
    Case(
        "domain_classifier_before",
        lambda: side_by_side("label_predictor", "classifier", classifier=linear(2), label_predictor=linear(10)),
        images(),
        "label_predictor",
        may_ask=True,
    ),
    Case(
        "domain_stack_after",
        lambda: side_by_side("c", "d", c=stack(32, 24, 9), d=stack(32, 24, 2)),
        images(),
        "c.2",
        may_ask=True,
    ),
    Case(
        "domain_stack_named_domain",
        lambda: side_by_side("cls", "domain", domain=stack(32, 24, 2), cls=stack(32, 24, 9)),
        images(),
        "cls.2",
        may_ask=True,
    ),
    Case(
        "domain_of_as_many",
        lambda: side_by_side("y_head", "d_head", y_head=linear(4), d_head=linear(4)),
        images(),
        "y_head",
        **BOTH_COUNTS,
    ),
    Case(
        "discriminator_of_one_row",
        lambda: side_by_side("aux_layer", "adv_layer", adv_layer=linear(1), aux_layer=linear(10)),
        images(),
        "aux_layer",
        may_ask=True,
        may_ask_with_count=True,
    ),
    Case(
        "discriminator_stack_last",
        lambda: side_by_side("kategorie", "disc", kategorie=linear(10), disc=stack(32, 16, 1)),
        images(),
        "kategorie",
    ),
    Case(
        "quality_score_after",
        lambda: side_by_side("emotion", "quality", emotion=linear(7), quality=linear(1)),
        images(),
        "emotion",
    ),
    Case(
        "regression_before", lambda: side_by_side("what", "how_much", how_much=linear(1), what=linear(20)), images(), "what"
    ),
    Case(
        "box_after",
        lambda: side_by_side("cls_fc", "box_fc", cls_fc=linear(20), box_fc=linear(4)),
        images(),
        "cls_fc",
        may_ask=True,
    ),
    Case(
        "box_before_by_odd_names",
        lambda: side_by_side("klasse", "kasten", kasten=linear(4), klasse=linear(20)),
        images(),
        "klasse",
        may_ask=True,
    ),
    Case(
        "box_stack_after",
        lambda: side_by_side("which", "where", which=stack(32, 24, 12), where=stack(32, 24, 4)),
        images(),
        "which.2",
        may_ask=True,
    ),
    Case(
        "landmarks_after",
        lambda: side_by_side("gesicht", "marken", gesicht=linear(8), marken=linear(10)),
        images(),
        "gesicht",
        may_ask=True,
    ),
    Case(
        "tasks_gender",
        lambda: side_by_side("gender", "age", "race", gender=linear(2), age=linear(9), race=linear(7)),
        images(),
        "gender",
        may_ask=True,
    ),
    Case(
        "tasks_age",
        lambda: side_by_side("gender", "age", "race", gender=linear(2), age=linear(9), race=linear(7)),
        images(),
        "age",
        then=True,
        may_ask=True,
    ),
    Case(
        "tasks_neither",
        lambda: side_by_side("shape", "colour", shape=linear(6), colour=linear(11)),
        images(),
        None,
        20,
        only_with_count=True,
    ),
    Case(
        "coarse_and_fine",
        lambda: side_by_side("fine", "coarse", coarse=linear(5), fine=linear(20)),
        images(),
        "fine",
        may_ask=True,
    ),
    Case(
        "coarse_feeds_fine_features",
        lambda: side_by_side("feinheit", "grob", grob=linear(20), feinheit=linear(40)),
        images(),
        "feinheit",
        may_ask=True,
    ),
    Case(
        "rotation_after", lambda: side_by_side("clf", "rot", clf=linear(20), rot=linear(4)), images(), "clf", may_ask=True
    ),
    Case(
        "rotation_before",
        lambda: side_by_side("decision", "fc_rotation", fc_rotation=linear(4), decision=linear(20)),
        images(),
        "decision",
        may_ask=True,
    ),
    Case(
        "jigsaw_after",
        lambda: side_by_side("object_class", "jigsaw", object_class=linear(7), jigsaw=linear(31)),
        images(),
        "object_class",
        may_ask=True,
    ),
    Case(
        "projector_before",
        lambda: side_by_side("clf", "head", head=stack(32, 32, 24), clf=linear(20)),
        images(),
        "clf",
        **PROJECTION,
    ),
    Case(
        "projector_before_as_many",
        lambda: side_by_side("clf", "head", head=stack(32, 32, 20), clf=linear(20)),
        images(),
        "clf",
        **BOTH_COUNTS,
    ),
    Case(
        "projector_after",
        lambda: side_by_side("wahl", "proj", wahl=linear(6), proj=stack(32, 64, 128)),
        images(),
        "wahl",
        **PROJECTION,
    ),
    Case(
        "projector_named_fc",
        lambda: side_by_side("l_cls", "fc", fc=linear(128), l_cls=linear(9)),
        images(),
        "l_cls",
        **PROJECTION,
    ),
    Case(
        "projector_named_classifier",
        lambda: side_by_side("y", "classifier", y=linear(9), classifier=linear(64)),
        images(),
        "y",
        **PROJECTION,
    ),
    Case(
        "distilled_as_many",
        lambda: side_by_side("head", "head_dist", head=linear(10), head_dist=linear(10)),
        images(),
        "head",
    ),
    Case(
        "distilled_odd_names",
        lambda: side_by_side("kopf", "kopf_schueler", kopf=linear(10), kopf_schueler=linear(10)),
        images(),
        "kopf",
        **BOTH_COUNTS,
    ),
    Case(
        "auxiliary_before",
        lambda: side_by_side("verdict", "aux_fc", aux_fc=linear(10), verdict=linear(10)),
        images(),
        "verdict",
    ),
    Case(
        "auxiliary_after",
        lambda: side_by_side("verdict", "aux_head", verdict=linear(10), aux_head=linear(10)),
        images(),
        "verdict",
    ),
    Case(
        "data_sets_first",
        lambda: side_by_side("heads.cifar", "heads.dtd", heads=nn.ModuleDict({"cifar": linear(10), "dtd": linear(47)})),
        images(),
        "heads.cifar",
        may_ask=True,
    ),
    Case(
        "data_sets_second",
        lambda: side_by_side("heads.dtd", "heads.cifar", heads=nn.ModuleDict({"cifar": linear(10), "dtd": linear(47)})),
        images(),
        "heads.dtd",
        may_ask=True,
    ),
    Case(
        "data_sets_unfamiliar",
        lambda: side_by_side("b.y", "a.y", a=nn.ModuleDict({"y": linear(12)}), b=nn.ModuleDict({"y": linear(30)})),
        images(),
        "b.y",
        may_ask=True,
    ),
]
