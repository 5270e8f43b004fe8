"""What a trainer recorded of its model: a name counts only where a library lists exactly it."""

import argparse
import json

import pytest
import torch

from dsi_cli.checkpoints import checkpoint_reader
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions, require_file, scan_checkpoint
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.inference import preprocess


@pytest.fixture
def found(tmp_path, state_dict):
    """Write a checkpoint and return where it lies."""

    def written(**held):
        torch.save({"state_dict": state_dict, **held}, tmp_path / "net.pt")
        return require_file(tmp_path / "net.pt")

    return written


@pytest.fixture
def state_dict():
    return {"conv.weight": torch.zeros(4, 3, 3, 3), "fc.weight": torch.randn(5, 4), "fc.bias": torch.zeros(5)}


def guessed(place):
    return preprocess.recorded_model(place, scan_checkpoint(place).record.trainer, preprocess.recorded_facts(place))


@pytest.mark.parametrize(
    ("which", "expected"), [("timm_run", "timm:test_vit"), ("torchvision_run", "torchvision:shufflenet_v2_x0_5")]
)
def test_the_trainers_own_checkpoints_say_their_model(which, expected, request):
    run = request.getfixturevalue(which)
    assert [guessed(require_file(path)) for path in run.files] == [expected, expected]


def test_a_hugging_face_folder_is_its_own_model(hugging_face_run):
    (run,) = discover([hugging_face_run.folder])
    folders = [path.parent for path in hugging_face_run.files]
    assert [guessed(one) for one in run.checkpoints] == [f"transformers:{folder}" for folder in folders]


@pytest.mark.parametrize(
    "name",
    [
        *["../evil", "/etc/passwd", "hf_hub:x/y", "hf-hub:timm/test_vit", "local-dir:/tmp", "hub:x/y", "", " resnet18"],
        *["resnet18 ", "ResNet18", "RESNET18", "resnet_18", "resnet18.tv_in1k", "resnet18x", "resnet", "timm/resnet18"],
        *[
            "timm:resnet18",
            "torchvision:resnet18",
            "resnet18:build",
            "os:system",
            "os.system",
            "resnet18\n",
            "fcn_resnet50",
        ],
        *[None, 3, True, 0.5, ["resnet18"], {"name": "resnet18"}, "x" * 100_000, "resnet18\0"],
    ],
)
def test_a_name_that_no_library_lists_is_not_used(name, found):
    assert guessed(found(arch=name, epoch=1, version=2)) is None
    assert guessed(found(arch=name)) is None
    args = argparse.Namespace(model=name)
    beside = {"optimizer": {}, "lr_scheduler": {}, "epoch": 1}
    assert preprocess.recorded_model(found(args=args, **beside), "torchvision", {"model": name}) is None


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ({"arch": "resnet18", "epoch": 1, "version": 2}, "timm:resnet18"),
        ({"arch": "resnet18"}, "torchvision:resnet18"),
        ({"arch": "test_vit"}, "timm:test_vit"),
        ({"args": argparse.Namespace(arch="resnet18")}, "torchvision:resnet18"),
        ({"hyper_parameters": {"arch": "resnet18"}}, "torchvision:resnet18"),
        ({"args": argparse.Namespace(model="resnet18")}, None),
        ({}, None),
    ],
)
def test_recorded_model_reads_each_place_of_the_name(held, expected, found):
    assert guessed(found(**held)) == expected


def test_the_checkpoint_wins_over_what_lies_beside_it(found, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"arch": "resnet50", "mean": [0.1], "std": [0.2]}), encoding="utf-8")
    facts = preprocess.recorded_facts(found(arch="resnet18", mean=[0.5]))
    assert {name: facts[name] for name in ("arch", "mean", "std")} == {"arch": "resnet18", "mean": [0.5], "std": [0.2]}


def test_a_file_that_cannot_be_read_says_nothing(tmp_path):
    (tmp_path / "net.pt").write_bytes(b"nothing of interest")
    place = require_file(tmp_path / "net.pt")
    assert preprocess.recorded_facts(place) == {}
    assert preprocess.recorded_model(place, None, {}) is None


@pytest.mark.parametrize(
    ("name", "is_used"),
    [
        *[("ViTForImageClassification", True), ("DeiTForImageClassificationWithTeacher", True), ("Dinov2Model", True)],
        *[("BertForSequenceClassification", False), ("ViTForImageClassification; evil", False), ("../Model/x", False)],
        *[("x" * 99 + "Model", False), ("DetrForObjectDetection", False)],
    ],
)
def test_which_networks_of_hugging_face_are_built(name, is_used, found, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [name]}), encoding="utf-8")
    assert guessed(found()) == (f"transformers:{tmp_path}" if is_used else None)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"a": (4, 3, 3, 3), "b": (4, 4, 3, 3)}, 3),
        ({"pos": (1, 5, 4), "a": (4, 1, 7, 7)}, 1),
        ({"a": (4, 6, 1, 1), "b": (4, 2, 3, 3)}, 2),
        ({"a": (4, 5)}, None),
        ({}, None),
    ],
)
def test_the_channels_are_those_of_the_first_convolution(shapes, expected, tmp_path):
    torch.save(
        {name: torch.zeros(shape) for name, shape in shapes.items()} | {"fc.weight": torch.ones(3, 2)}, tmp_path / "n.pt"
    )
    tensors = checkpoint_reader.state_dict_tensors(require_file(tmp_path / "n.pt"), HeadOptions())
    assert all(isinstance(tensor, Tensor) for tensor in tensors.values())
    assert preprocess.input_channels(tensors) == expected
