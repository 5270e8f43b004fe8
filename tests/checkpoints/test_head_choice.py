"""The choice of the classifier: right on real architectures, never quietly wrong, and
clear where it has to ask.
"""

import re
import sys
from contextlib import suppress
from types import FrameType

import pytest
import torch
from helpers import errors

from dsi_cli.checkpoints.head_choice import choose_head
from dsi_cli.checkpoints.tensors import Storage, Tensor, contiguous
from dsi_cli.checkpoints.trainers import EMA, RAW, NestedStateDict
from dsi_cli.errors import AmbiguousHeadError, ClassCountError, NoHeadError

TORCHVISION = {
    "resnet18": "fc.weight",
    "vgg11": "classifier.6.weight",
    "vit_b_16": "heads.head.weight",
    "googlenet": "fc.weight",
}
TIMM = [
    "resnet18",
    "deit_tiny_distilled_patch16_224",
    "levit_128s",
    "efficientformer_l1",
    "swiftformer_xs",
    "convnextv2_atto",
    "swin_tiny_patch4_window7_224",
    "mobilenetv3_small_050",
    "mixer_s16_224",
    "inception_v4",
    "coatnet_0_rw_224",
    "mobilevit_xxs",
]
PREFIXES = [
    "",
    "module.",
    "_orig_mod.",
    "model.",
    "module._orig_mod.",
    "model.net.module.",
    "backbone.",
]


def records(state: dict[str, torch.Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Return a state dict's shapes as what a reader gives: one storage a tensor."""
    out = {}
    for name, tensor in state.items():
        dtype = str(tensor.dtype).removeprefix("torch.")
        out[prefix + name] = contiguous(
            dtype, tuple(tensor.shape), Storage(name, dtype, tensor.numel())
        )
    return out


def tensors(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    """Return tensors by name, where ``__`` stands for a dot."""
    return records(
        {
            name.replace("__", "."): torch.empty(shape, device="meta")
            for name, shape in shapes.items()
        }
    )


def chosen(found: dict[str, Tensor], **options: object) -> str:
    return choose_head([NestedStateDict((), found, RAW)], RAW, **options).name


def state_of(name: str, classes: int = 10) -> dict[str, torch.Tensor]:
    """Return the shapes of a model of timm or, with that before its name, of
    torchvision.
    """
    import timm
    from torchvision import models

    with torch.device("meta"):
        if name.startswith("torchvision:"):
            name = name.removeprefix("torchvision:")
            options = {"init_weights": False} if name == "googlenet" else {}
            return models.get_model(
                name, weights=None, num_classes=classes, **options
            ).state_dict()
        return timm.create_model(name, num_classes=classes).state_dict()


@pytest.mark.parametrize("name", TIMM)
def test_choose_head_of_timm_models_is_their_classifier(name):
    import timm

    classifier, state = timm.get_pretrained_cfg(name).classifier, state_of(name)
    main = classifier if isinstance(classifier, str) else classifier[0]
    for prefix in ("", "module."):
        assert chosen(records(state, prefix)) == f"{prefix}{main}.weight"
    assert chosen(records(state), classes=10) == f"{main}.weight"


def test_two_equal_heads_are_asked_about():
    state = state_of("crossvit_tiny_240")
    candidates = ("head.0.weight (10, 96)", "head.1.weight (10, 192)")
    with errors.raises(
        "ambiguous-head",
        AmbiguousHeadError,
        candidates=candidates,
        example="head.1.weight",
    ):
        chosen(records(state))
    # A classifier and the state dict of its network, saved in one file, share their
    # bytes.
    (head,) = tensors(fc__weight=(10, 8)).values()
    network = NestedStateDict(("state_dict",), {"classifier.fc.weight": head}, RAW)
    parts = [network, NestedStateDict(("classifier",), {"fc.weight": head}, RAW)]
    assert (
        choose_head(parts, RAW).name
        == choose_head(parts, RAW, classes=10).name
        == "classifier.fc.weight"
    )
    others = [
        tensors(head__weight=(10, 8)),
        {"fc.weight": head} | tensors(fc__bias=(10,)),
    ]
    others.append({"fc.weight": head} | tensors(fc__threshold=(1,)))
    for other in others:
        with errors.raises("ambiguous-head", AmbiguousHeadError):
            choose_head([network, NestedStateDict(("classifier",), other, RAW)], RAW)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", TORCHVISION)
def test_choose_head_behind_wrapper_prefixes_is_the_same(name, prefix):
    assert (
        chosen(records(state_of(f"torchvision:{name}"), prefix))
        == prefix + TORCHVISION[name]
    )


@pytest.mark.parametrize(
    "shapes",
    [
        {"stem__fc__0__se__fc2__weight": (10, 4), "layer1__0__se__fc__weight": (10, 4)},
        {"head__pre_logits__fc__weight": (768, 768)},
        {"visual_projection__weight": (10, 32), "text_projection__weight": (10, 32)},
        {
            "blocks__0__attn__qkv__weight": (30, 10),
            "blocks__0__mlp__fc1__weight": (10, 40),
        },
        {"fc__weight": (10,)},
        {"fc__weight": (10, 16, 3, 3)},
        {
            "base_model__model__q__lora_A__weight": (4, 32),
            "base_model__model__classifier__lora_B__weight": (10, 4),
        },
        {
            "fc__weight_mu": (10, 64),
            "fc__weight_rho": (10, 64),
            "fc__bias_mu": (10,),
            "fc__bias_rho": (10,),
        },
    ],
)
def test_choose_head_without_a_head_raises(shapes):
    with errors.raises("backbone", NoHeadError) as caught:
        chosen(tensors(**shapes))
    assert f" {len(shapes)} tensors" in str(caught.value)
    assert re.search(
        r", and no matrix at all$|add --head [^ ;]+(;|$)|merge_and_unload",
        str(caught.value),
    )
    named = str(caught.value).partition("dsi does not know; add --head ")[2]
    assert not named or chosen(tensors(**shapes), head_name=named) == "fc.weight_mu"


def test_choose_head_without_its_output_table_does_not_suggest_the_input_table():
    layers = {
        f"layers__{index}__{name}__weight": shape
        for index in range(2)
        for name, shape in {"fc1": (64, 16), "fc2": (16, 64)}.items()
    }
    with errors.raises("backbone", NoHeadError) as caught:
        chosen(tensors(embed_in__weight=(48, 16), **layers))
    assert "if one is the head, add --head NAME;" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["vit_small_patch14_dinov2", "resnet18", "mobilevit_xxs", "convnext_atto"]
)
def test_choose_head_of_a_backbone_raises(name):
    found = records(state_of(name, 0))
    for ordered in (found, dict(sorted(found.items()))):
        with errors.raises("backbone", NoHeadError):
            chosen(ordered)


def test_raw_and_averaged_weights_are_chosen_by_role():
    raw, ema = tensors(fc__weight=(10, 16)), tensors(module__fc__weight=(10, 16))
    groups = [
        NestedStateDict(("model",), raw, RAW),
        NestedStateDict(("model_ema",), ema, EMA),
    ]
    heads = [choose_head(groups, role) for role in (RAW, EMA)]
    assert [head.full_name for head in heads] == [
        "model.fc.weight",
        "model_ema.module.fc.weight",
    ]
    assert [(head.tensor, head.role) for head in heads] == [
        (raw["fc.weight"], RAW),
        (ema["module.fc.weight"], EMA),
    ]


def test_the_example_is_the_parameter_that_takes_the_output_of_the_last_layer():
    with errors.raises("ambiguous-head", AmbiguousHeadError, example="prototypes"):
        chosen(
            tensors(
                prototypes=(10, 24), conv__weight=(64, 3, 3, 3), fc__weight=(24, 64)
            )
        )


def test_the_example_is_the_first_of_several_copies_of_a_network():
    states = {
        "state_dict": tensors(fc__weight=(10, 16)),
        "masks": tensors(module__fc__weight=(10, 16)),
    }
    with errors.raises(
        "ambiguous-head", AmbiguousHeadError, example="state_dict.fc.weight"
    ):
        choose_head(
            [NestedStateDict((key,), state, RAW) for key, state in states.items()], RAW
        )


TWO = {
    "head_a__head__weight": (10, 16),
    "head_b__head__weight": (10, 16),
    "head_a__head__bias": (10,),
}


def test_the_number_of_classes_decides_between_equals():
    found = tensors(head1__head__weight=(10, 16), head2__head__weight=(7, 16))
    assert chosen(found, classes=7) == "head2.head.weight"
    candidates = ("head2.head.weight (7, 16)", "head1.head.weight (10, 16)")
    with errors.raises(
        "class-count", ClassCountError, classes=9, candidates=candidates
    ):
        chosen(found, classes=9)
    assert chosen(found, classes=6, with_background=True) == "head2.head.weight"


def embedding_and_loss(name: str, shape: tuple[int, ...]) -> list[NestedStateDict]:
    embedding = NestedStateDict(("model",), tensors(fc__weight=(12, 16)), RAW)
    return [embedding, NestedStateDict(("loss",), tensors(**{name: shape}), RAW)]


@pytest.mark.parametrize(
    ("name", "shape"), [("W", (12, 10)), ("weight", (10, 12)), ("proxies", (10, 12))]
)
def test_a_matrix_of_the_loss_on_top_of_an_embedding_is_the_classifier(name, shape):
    found = choose_head(embedding_and_loss(name, shape), RAW)
    assert (found.full_name, found.tensor.shape) == (f"loss.{name}", (10, 12))


def test_a_matrix_of_the_loss_within_the_models_own_state_dict():
    assert chosen(tensors(model__fc__weight=(12, 16), loss__W=(12, 10))) == "loss.W"
    averaged = NestedStateDict(("ema",), tensors(fc__weight=(12, 16)), EMA)
    assert (
        choose_head(
            [averaged, NestedStateDict(("loss",), tensors(W=(12, 10)), RAW)], EMA
        ).name
        == "W"
    )


@pytest.mark.parametrize(
    ("name", "shape"),
    [("weight", (12,)), ("centers", (12, 512)), ("centers", (10, 12))],
)
def test_choose_head_ignores_other_tensors_of_a_loss(name, shape):
    assert choose_head(embedding_and_loss(name, shape), RAW).name == "fc.weight"


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("weight", (7, 9)),
        ("weight", (12, 16)),
        ("weight", (12, 10)),
        ("W", (10, 12)),
        ("proxies", (12, 64)),
    ],
)
def test_a_matrix_of_the_loss_of_which_it_is_not_clear_makes_the_head_doubtful(
    name, shape
):
    with errors.raises(
        "ambiguous-head", AmbiguousHeadError, example=f"loss.{name}"
    ) as caught:
        choose_head(embedding_and_loss(name, shape), RAW)
    assert [title.split(" ")[0] for title in caught.value.fields["candidates"]] == [
        "model.fc.weight",
        f"loss.{name}",
    ]
    # If the user names it, the side that takes the output of the network has the
    # features.
    named = choose_head(
        embedding_and_loss(name, shape), RAW, head_name=f"loss.{name}"
    ).tensor.shape
    assert named == ((10, 12) if shape == (12, 10) else shape)


@pytest.mark.parametrize(
    "names",
    [
        {
            "conv__kernel": (3, 3, 8, 16),
            "Dense_0__kernel": (16, 32),
            "Dense_1__kernel": (32, 10),
        },
        {"body__kernel": (16, 32), "head__kernel": (32, 10)},
        {"classifier__kernel": (1, 1, 32, 10)},
    ],
)
def test_a_kernel_has_a_column_for_each_class(names):
    (last, shape), found = (
        list(names.items())[-1],
        choose_head([NestedStateDict((), tensors(**names), RAW)], RAW),
    )
    assert (found.name, found.tensor.shape) == (
        last.replace("__", "."),
        (10, 32, *shape[:-2]),
    )


@pytest.mark.parametrize(
    ("wanted", "code", "fields"),
    [
        (
            "head",
            "ambiguous-head-name",
            {"candidates": ("head_a.head.weight", "head_b.head.weight")},
        ),
        (
            "fc",
            "no-such-head",
            {
                "candidates": (
                    "head_b.head.weight (10, 16)",
                    "head_a.head.weight (10, 16)",
                )
            },
        ),
        (
            "head_a.head.bias",
            "head-not-matrix",
            {"head": "head_a.head.bias", "dtype": "float32", "shape": (10,)},
        ),
    ],
)
def test_choose_head_unusable_name_is_refused(wanted, code, fields):
    with errors.raises(code, **fields):
        chosen(tensors(**TWO), head_name=wanted)


def test_a_class_predictor_for_each_layer_is_asked_about_unless_they_are_one():
    apart = tensors(
        **{f"class_embed__{layer}__weight": (13, 256) for layer in range(3)}
    )
    candidates = tuple(f"class_embed.{layer}.weight (13, 256)" for layer in range(3))
    with errors.raises("ambiguous-head", AmbiguousHeadError, candidates=candidates):
        chosen(apart)
    assert chosen(dict.fromkeys(apart, next(iter(apart.values())))).startswith(
        "class_embed."
    )


def test_the_projection_of_a_pooling_is_the_classifier_only_where_labels_say_so():
    found = tensors(
        **{f"head__{part}__weight": (64, 64) for part in "qkv"},
        head__proj__weight=(10, 64),
    )
    with errors.raises("backbone", NoHeadError):
        chosen(found)
    assert chosen(found, classes=10) == "head.proj.weight"


_CONVOLUTIONS = {"body__0__weight": (32, 3, 3, 3), "body__1__weight": (64, 32, 3, 3)}


@pytest.mark.parametrize(
    ("shapes", "candidates"),
    [
        pytest.param(
            {**_CONVOLUTIONS, "fc__weight": (10, 64), "calibration__weight": (10, 10)},
            ("fc.weight", "calibration.weight"),
            id="square layer after the logits",
        ),
        pytest.param(
            {
                **_CONVOLUTIONS,
                "score__weight": (10, 64, 1, 1),
                "score__bias": (10,),
                "side__weight": (4, 32),
            },
            ("score.weight", "side.weight"),
            id="convolution, and a linear layer after it",
        ),
        pytest.param(
            {
                "theta": (48, 24),
                **_CONVOLUTIONS,
                "a__weight": (48, 64),
                "b__weight": (24, 64),
            },
            ("theta", "a.weight", "b.weight"),
            id="parameter whose rows or columns could be the classes",
        ),
    ],
)
@pytest.mark.parametrize("is_sorted", [False, True])
def test_choose_head_several_plausible_layers_asks(shapes, candidates, is_sorted):
    found = tensors(**shapes)
    if is_sorted:
        found = dict(sorted(found.items()))
    with pytest.raises(AmbiguousHeadError) as raised:
        chosen(found)
    assert {title.split(" ")[0] for title in raised.value.fields["candidates"]} >= set(
        candidates
    )


def steps_of_choice(pattern: str, shape: tuple[int, ...], count: int) -> int:
    """Return the number of lines of Python that the choice among as many equal tensors
    executes.
    """
    found = {
        pattern.format(index): contiguous(
            "float32", shape, Storage(str(index), "float32", 640)
        )
        for index in range(count)
    }
    steps = 0

    def trace(_frame: FrameType, event: str, _value: object) -> object:
        nonlocal steps
        steps += event == "line"
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        with suppress(NoHeadError, AmbiguousHeadError):
            chosen(found)
    finally:
        sys.settrace(previous)
    return steps


@pytest.mark.parametrize("shape", [(10, 4), (2, 10, 4)], ids=str)
@pytest.mark.parametrize("pattern", ["l{}.weight", "blocks.{}.mlp.fc.weight", "p{}"])
def test_choose_head_many_tensors_takes_linear_steps(pattern, shape):
    few, many = (steps_of_choice(pattern, shape, count) for count in (100, 400))
    assert many < 4.5 * few
