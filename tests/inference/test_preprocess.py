"""How an image becomes a model's input: to the last bit what the libraries do, and
where that is known from.
"""

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.errors import raises
from helpers.pictures import encoded
from PIL import Image

from dsi_cli.checkpoints import checkpoint_reader
from dsi_cli.checkpoints.checkpoint_reader import (
    HeadOptions,
    require_file,
    scan_checkpoint,
)
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.inference import preprocess
from dsi_cli.inference.evaluator import Evaluator
from dsi_cli.inference.image_folder import open_bytes
from dsi_cli.inference.models import ModelSpec, build_model
from dsi_cli.inference.preprocess import (
    Preprocessing,
    from_processor,
    recorded_preprocessing,
)

SIZES = [(32, 32), (37, 53), (53, 37), (224, 224), (301, 200), (31, 400), (1, 1)]
HALF = (0.5, 0.5, 0.5)


def picture(size, mode="RGB", seed=0):
    """Return an image of noise with some structure, ``size`` its width and height."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    noisy = np.clip(
        np.asarray(coarse, dtype=int) + rng.integers(-20, 21, (size[1], size[0], 3)),
        0,
        255,
    ).astype(np.uint8)
    return Image.fromarray(noisy).convert(mode)


def as_model_takes(prepared, image):
    """Return what a model is given of an image: transformed here, scaled and normalised
    by the evaluator.
    """
    row = prepared.transform()(image)
    return Evaluator(torch.nn.Identity(), prepared.mean, prepared.std)._forward(
        row[None], (), {}
    )[0]


@pytest.mark.parametrize(
    ("crop_pct", "crop_mode", "interpolation"),
    [
        (0.875, "center", "bilinear"),
        (1.0, "center", "bicubic"),
        (0.95, "squash", "lanczos"),
        (0.5, "center", "nearest"),
    ],
)
def test_transform_equals_that_of_timm(crop_pct, crop_mode, interpolation):
    from timm.data import create_transform

    theirs = create_transform(
        (3, 48, 48),
        crop_pct=crop_pct,
        crop_mode=crop_mode,
        interpolation=interpolation,
        mean=HALF,
        std=(0.2, 0.3, 0.4),
    )
    prepared = Preprocessing(
        (48, 48), crop_pct, crop_mode, interpolation, HALF, (0.2, 0.3, 0.4), 3
    ).validated()
    for size in SIZES:
        assert torch.equal(
            as_model_takes(prepared, picture(size)), theirs(picture(size))
        )


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_mambaout"])
def test_usual_preprocessing_of_a_timm_model_equals_that_of_timm(name):
    import timm
    from timm.data import create_transform, resolve_data_config

    theirs = create_transform(**resolve_data_config({}, model=timm.create_model(name)))
    prepared = (
        build_model(f"timm:{name}", ModelSpec(10, 3))
        .usual.with_defaults(Preprocessing(channels=3))
        .validated()
    )
    for size in SIZES[1:4]:
        assert torch.equal(
            as_model_takes(prepared, picture(size)), theirs(picture(size))
        )


@pytest.mark.parametrize(
    "name", ["shufflenet_v2_x0_5", "mobilenet_v3_small", "squeezenet1_1"]
)
def test_usual_preprocessing_of_a_torchvision_model_equals_that_of_torchvision(name):
    from torchvision import models

    theirs = models.get_model_weights(name).DEFAULT.transforms()
    usual = build_model(f"torchvision:{name}", ModelSpec(10, 3)).usual
    prepared = usual.with_defaults(Preprocessing(channels=3)).validated()
    for size in SIZES:
        assert torch.equal(
            as_model_takes(prepared, picture(size)), theirs(picture(size))
        )


@pytest.mark.parametrize(
    ("crop", "resize"),
    [(224, 232), (288, 320), (48, 55), (40, 41), (33, 57), (384, 384), (7, 9)],
)
def test_as_torchvisions_presets_do_for_any_crop_and_size(crop, resize):
    from torchvision.transforms._presets import ImageClassification

    theirs = ImageClassification(crop_size=crop, resize_size=resize)
    prepared = recorded_preprocessing(
        {"val_crop_size": crop, "val_resize_size": resize, "interpolation": "bilinear"}
    )
    usual = Preprocessing(
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), channels=3
    )
    for size in SIZES[:6]:
        assert torch.equal(
            as_model_takes(prepared.with_defaults(usual).validated(), picture(size)),
            theirs(picture(size)),
        )


PROCESSORS = [
    ("ViT", {"size": {"height": 48, "width": 40}, "resample": 3}),
    ("ViT", {"size": {"height": 40, "width": 40}, "do_normalize": False}),
    ("ConvNext", {"size": {"shortest_edge": 42}}),
    ("EfficientNet", {"size": {"height": 48, "width": 40}}),
    ("Levit", {"size": {"shortest_edge": 42}, "crop_size": 42}),
    ("MobileViT", {"size": {"shortest_edge": 42}, "crop_size": 42}),
]


@pytest.mark.parametrize(("kind", "options"), PROCESSORS)
def test_transform_of_a_processor_equals_that_of_transformers(kind, options, tmp_path):
    transformers = pytest.importorskip("transformers")
    theirs = getattr(transformers, f"{kind}ImageProcessor")(**options)
    theirs.save_pretrained(tmp_path)
    prepared = from_processor(tmp_path).validated()
    for size in SIZES[:5]:
        wanted = theirs(picture(size), return_tensors="np")["pixel_values"][0]
        assert torch.equal(
            as_model_takes(prepared, picture(size)), torch.from_numpy(wanted)
        )


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"]
)
def test_any_colour_mode_fits_any_number_of_channels(mode, channels):
    image = (
        picture((9, 7)).convert("L").convert("I").convert("I;16")
        if mode == "I;16"
        else picture((9, 7)).convert(mode)
    )
    row = Preprocessing(size=(5, 5), channels=channels).transform()(image)
    assert (row.shape, row.dtype) == ((channels, 5, 5), np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_not_clipped(channels):
    values = np.arange(0, 65536, 1040, dtype=np.uint16)[:63].reshape(7, 9)
    found = open_bytes(encoded(Image.fromarray(values), "png"))
    assert found.mode == "I;16"
    row = Preprocessing(channels=channels).transform()(found)
    for channel in row:
        assert np.abs(channel.astype(int) - values / 257).max() <= 1


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        *(
            (facts, Preprocessing())
            for facts in (
                {},
                {"mean": [], "std": [1, "2"]},
                {"mean": [0.1] * 5},
                {"std": 0.02},
            )
        ),
        (
            {"mean": [0.1, 0.2, 0.3], "std": (0.4,)},
            Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.4,)),
        ),
        ({"mean": 0.1, "std": 1}, Preprocessing(mean=(0.1,), std=(1.0,))),
        ({"mean": [float("nan")], "std": [float("inf")]}, Preprocessing()),
        (
            {"mean": [51, 102, 127.5], "std": [255]},
            Preprocessing(mean=(0.2, 0.4, 0.5), std=(1.0,)),
        ),
        ({"std": [0.3, 0.3, 0.3]}, Preprocessing(std=(0.3, 0.3, 0.3))),
        ({"img_size": 64}, Preprocessing((64, 64))),
        ({"image_size": [48, 64]}, Preprocessing((48, 64))),
        ({"image_size": {"height": 48, "width": 64}}, Preprocessing((48, 64))),
        ({"input_size": [3, 48, 64], "img_size": 32}, Preprocessing((48, 64))),
        ({"input_size": (224,)}, Preprocessing((224, 224))),
        *(
            (facts, Preprocessing())
            for facts in ({"img_size": 0}, {"crop_pct": None, "interpolation": ""})
        ),
        (
            {"img_size": 64, "crop_pct": 0.9, "crop_mode": "squash"},
            Preprocessing((64, 64), 0.9, "squash"),
        ),
        ({"interpolation": "random"}, Preprocessing()),
        ({"interpolation": "lanczos"}, Preprocessing(interpolation="lanczos")),
        (
            {
                "val_crop_size": 40,
                "val_resize_size": 50,
                "train_crop_size": 36,
                "interpolation": "bicubic",
            },
            Preprocessing((40, 40), 0.8, None, "bicubic"),
        ),
        ({"val_crop_size": 40, "val_resize_size": 0}, Preprocessing((40, 40))),
    ],
)
def test_recorded_preprocessing_of_trainer_facts(facts, expected):
    assert recorded_preprocessing(facts) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"size": 40, "resample": 3}, Preprocessing((40, 40), interpolation="bicubic")),
        ({"size": {"height": 40, "width": 48}}, Preprocessing((40, 48))),
        ({"size": {"shortest_edge": 64}, "crop_size": 48}, Preprocessing((48, 48))),
        ({"size": {"shortest_edge": 64}, "resample": 9}, Preprocessing((64, 64))),
        ({"image_mean": HALF, "image_std": HALF}, Preprocessing(mean=HALF, std=HALF)),
    ],
)
def test_from_processor_of_a_file_has_its_plain_values(facts, expected, tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    found = from_processor(tmp_path)
    assert found == replace(expected, processor=str(tmp_path))


def test_from_processor_of_a_folder_without_a_file_is_unknown(tmp_path):
    assert from_processor(tmp_path) == Preprocessing()


def test_a_librarys_values_are_averaged_for_one_channel():
    usual = Preprocessing(mean=(0.1, 0.3, 0.8), std=(0.2, 0.2, 0.5))
    averaged = (
        usual.with_defaults(Preprocessing(channels=1)).average_channels().validated()
    )
    assert averaged.mean == pytest.approx((0.4,))
    assert averaged.std == pytest.approx((0.3,))
    assert (
        usual.with_defaults(Preprocessing(channels=3)).average_channels().mean
        == usual.mean
    )


@pytest.mark.parametrize(
    ("prepared", "code"),
    [
        (Preprocessing(channels=2), "channels"),
        *(
            (Preprocessing(std=std), "mean-or-std")
            for std in ((0.1, 0.0, 0.2), (float("nan"),))
        ),
        (Preprocessing(mean=(float("nan"),), std=(1.0,)), "mean-or-std"),
        *((Preprocessing(size=size), "image-size") for size in ((0, 4), (4, 9000))),
        *(
            (Preprocessing(crop_pct=crop_pct), "crop-share")
            for crop_pct in (0.0, float("nan"))
        ),
        *((Preprocessing(mean=mean), "channel-values") for mean in ((0.1, 0.2), ())),
        (Preprocessing(std=HALF, channels=1), "channel-values"),
        (Preprocessing(size=(4, 4), interpolation="cubic"), "interpolation"),
    ],
)
def test_validated_with_a_wrong_value_raises(prepared, code):
    with raises(code):
        prepared.validated()


@pytest.fixture
def found(tmp_path, state_dict):
    """Write a checkpoint and return where it lies."""

    def written(**held):
        torch.save({"state_dict": state_dict, **held}, tmp_path / "net.pt")
        return require_file(tmp_path / "net.pt")

    return written


@pytest.fixture
def state_dict():
    return {
        "conv.weight": torch.zeros(4, 3, 3, 3),
        "fc.weight": torch.randn(5, 4),
        "fc.bias": torch.zeros(5),
    }


def guessed(place):
    return preprocess.recorded_model(
        place, scan_checkpoint(place).record.trainer, preprocess.recorded_facts(place)
    )


@pytest.mark.parametrize(
    "name",
    [
        *[
            "../evil",
            "/etc/passwd",
            "hf_hub:x/y",
            "hf-hub:timm/test_vit",
            "local-dir:/tmp",
            "hub:x/y",
            "",
            " resnet18",
        ],
        *[
            "resnet18 ",
            "ResNet18",
            "RESNET18",
            "resnet_18",
            "resnet18.tv_in1k",
            "resnet18x",
            "resnet",
            "timm/resnet18",
        ],
        *[
            "timm:resnet18",
            "torchvision:resnet18",
            "resnet18:build",
            "os:system",
            "os.system",
            "resnet18\n",
        ],
        *[
            None,
            3,
            True,
            0.5,
            ["resnet18"],
            {"name": "resnet18"},
            "x" * 100_000,
            "resnet18\0",
            "fcn_resnet50",
        ],
    ],
)
def test_a_name_that_no_library_lists_is_not_used(name, found):
    assert guessed(found(arch=name, epoch=1, version=2)) is None
    assert guessed(found(arch=name)) is None
    args = argparse.Namespace(model=name)
    beside = {"optimizer": {}, "lr_scheduler": {}, "epoch": 1}
    assert (
        preprocess.recorded_model(
            found(args=args, **beside), "torchvision", {"model": name}
        )
        is None
    )


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ({"arch": "resnet18", "epoch": 1, "version": 2}, "timm:resnet18"),
        ({"arch": "test_vit"}, "timm:test_vit"),
        ({"arch": "resnet18"}, "torchvision:resnet18"),
        *(
            ({key: {"arch": "resnet18"}}, "torchvision:resnet18")
            for key in ("args", "hyper_parameters")
        ),
        ({"args": argparse.Namespace(arch="resnet18")}, "torchvision:resnet18"),
        ({"args": argparse.Namespace(model="resnet18")}, None),
        ({}, None),
    ],
)
def test_recorded_model_reads_each_place_of_the_name(held, expected, found):
    assert guessed(found(**held)) == expected


def test_the_checkpoint_wins_over_what_lies_beside_it_and_a_damaged_one_says_nothing(
    found, tmp_path
):
    (tmp_path / "config.json").write_text(
        json.dumps({"arch": "resnet50", "mean": [0.1], "std": [0.2]}), encoding="utf-8"
    )
    facts = preprocess.recorded_facts(found(arch="resnet18", mean=[0.5]))
    assert {name: facts[name] for name in ("arch", "mean", "std")} == {
        "arch": "resnet18",
        "mean": [0.5],
        "std": [0.2],
    }
    hub = {
        "architecture": "resnet18",
        "pretrained_cfg": {"input_size": [3, 32, 40], "mean": [0.1], "std": [0.2]},
    }
    (tmp_path / "config.json").write_text(json.dumps(hub), encoding="utf-8")
    assert guessed(found()) == "timm:resnet18"
    expected = Preprocessing((32, 40), mean=(0.1,), std=(0.2,))
    assert (
        preprocess.recorded_preprocessing(preprocess.recorded_facts(found()))
        == expected
    )
    (tmp_path / "config.json").unlink()
    (tmp_path / "net.pt").write_bytes(b"nothing of interest")
    place = require_file(tmp_path / "net.pt")
    assert preprocess.recorded_facts(place) == {}
    assert preprocess.recorded_model(place, None, {}) is None


@pytest.mark.parametrize(
    ("name", "is_used"),
    [
        *[
            ("ViTForImageClassification", True),
            ("DeiTForImageClassificationWithTeacher", True),
            ("Dinov2Model", True),
        ],
        *[
            ("BertForSequenceClassification", False),
            ("ViTForImageClassification; evil", False),
            ("../Model/x", False),
        ],
        *[("x" * 99 + "Model", False), ("DetrForObjectDetection", False)],
    ],
)
def test_which_networks_of_hugging_face_are_built(name, is_used, found, tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"architectures": [name]}), encoding="utf-8"
    )
    assert guessed(found()) == (f"transformers:{tmp_path}" if is_used else None)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"a": (4, 3, 3, 3), "b": (4, 4, 3, 3)}, 3),
        ({"pos": (1, 5, 4), "a": (4, 1, 7, 7)}, 1),
        ({"a": (4, 6, 1, 1), "b": (4, 2, 3, 3)}, 2),
        *((shapes, None) for shapes in ({"a": (4, 5)}, {})),
        ({"depthwise": (4, 1, 3, 3), "stem": (4, 3, 3, 3)}, 3),
    ],
)
def test_the_channels_are_those_of_the_first_convolution(shapes, expected, tmp_path):
    torch.save(
        {name: torch.zeros(shape) for name, shape in shapes.items()}
        | {"fc.weight": torch.ones(3, 2)},
        tmp_path / "n.pt",
    )
    tensors = checkpoint_reader.state_dict_tensors(
        require_file(tmp_path / "n.pt"), HeadOptions(head="fc.weight")
    )
    assert all(isinstance(tensor, Tensor) for tensor in tensors.values())
    assert preprocess.input_channels(tensors) == expected
