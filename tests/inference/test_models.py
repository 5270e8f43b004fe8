"""A specification -> a model: what each form builds, with which arguments, and how it says that it cannot."""

import sys

import pytest
import torch
from helpers.errors import raises

from dsi_cli.errors import UsageError
from dsi_cli.inference.models import ModelSpec, build_model
from dsi_cli.inference.preprocess import Preprocessing

NAMED = """
from torch import nn

def _net(classes, channels=3):
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))

def n_classes(n_classes): return _net(n_classes)
def nclasses(nclasses): return _net(nclasses)
def num_labels(num_labels, channels): return _net(num_labels, channels)
def classes(*, classes, in_channels=3): return _net(classes, in_channels)
def any_(**options): return _net(options.get("num_classes", 7))
def positional(num_classes, in_ch, /): return _net(num_classes, in_ch)
"""


@pytest.fixture
def write(tmp_path):
    """Write a user's file and return its path."""

    def written(text, name="builders_of_mine.py"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    yield written
    sys.modules.pop("builders_of_mine", None)


def shape_of(model, channels=3, side=32):
    with torch.inference_mode():
        outputs = model(torch.zeros(2, channels, side, side))
    return tuple(getattr(outputs, "logits", outputs).shape)


# The libraries


@pytest.mark.parametrize(
    ("name", "channels", "size"), [("test_resnet", 1, None), ("test_resnet", 3, (48, 48)), ("test_vit", 3, (64, 64))]
)
def test_timm_builds_for_the_classes_channels_and_size(name, channels, size):
    built = build_model(f"timm:{name}", ModelSpec(7, channels, size))
    assert shape_of(built.model, channels, 160 if size is None else size[0]) == (2, 7)
    assert not built.model.training
    assert built.usual.crop_pct == 0.95
    assert built.usual.interpolation == ("bilinear" if name == "test_resnet" else "bicubic")
    assert built.usual.mean == built.usual.std == (0.5, 0.5, 0.5)


def test_torchvision_builds_a_listed_classifier_and_tells_its_preset():
    built = build_model("torchvision:shufflenet_v2_x0_5", ModelSpec(7, 3))
    assert shape_of(built.model) == (2, 7)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert built.usual == Preprocessing((224, 224), 224 / 256, None, "bilinear", mean, std)
    assert build_model("torchvision:squeezenet1_1", ModelSpec(7, 3, None, {"dropout": 0.0})).model.classifier[0].p == 0.0


def test_transformers_builds_what_a_config_says(hugging_face_run):
    folder = hugging_face_run.files[0].parent
    built = build_model(f"transformers:{folder}", ModelSpec(10, 3))
    assert shape_of(built.model) == (2, 10)
    assert type(built.model).__name__ == "ViTForImageClassification"
    half = (0.5, 0.5, 0.5)
    assert built.usual == Preprocessing((32, 32), None, "squash", "bilinear", half, half)
    (folder.parent / "other").mkdir(exist_ok=True)
    (folder.parent / "other" / "config.json").write_bytes((folder / "config.json").read_bytes())
    wanted = ModelSpec(10, 3, None, {"hidden_size": 16})
    other = build_model(f"transformers:{folder.parent / 'other'}", wanted)
    assert other.model.classifier.in_features == 16
    assert other.usual.size == (32, 32)


# A function


@pytest.mark.parametrize(
    ("name", "channels", "expected"),
    [
        *[("n_classes", 3, 5), ("nclasses", 3, 5), ("num_labels", 1, 5), ("num_labels", 3, 5), ("classes", 1, 5)],
        ("any_", 3, 7),
    ],
)
def test_the_number_of_classes_and_channels_go_where_they_are_asked_for(name, channels, expected, write):
    built = build_model(f"{write(NAMED)}:{name}", ModelSpec(5, channels))
    assert shape_of(built.model, channels) == (2, expected)


# What cannot be built


@pytest.mark.parametrize(
    ("spec", "arguments", "code"),
    [
        ("resnet18", {}, "unknown-model-format"),
        ("", {}, "unknown-model-format"),
        ("timm:resnet18x", {}, "unknown-model"),
        ("timm:hf-hub:timm/test_vit.r160_in1k", {}, "unknown-model"),
        ("timm:../evil", {}, "unknown-model"),
        ("timm:test_resnet", {"depth": 3}, "model-not-built"),
        ("torchvision:zzz", {}, "unknown-model"),
        ("torchvision:fcn_resnet50", {}, "unknown-model"),
        ("torchvision:resnet18", {"depth": 3}, "model-not-built"),
        ("transformers:google/vit-base", {}, "no-config"),
        ("torchscript:gone.pt", {}, "file-missing"),
        ("gone.py:build", {}, "file-missing"),
        ("gone.module:build", {}, "user-code-failed"),
    ],
)
def test_build_model_of_an_unknown_specification_raises(spec, arguments, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with raises(code, UsageError) as caught:
        build_model(spec, ModelSpec(10, 3, None, arguments))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("library", "name"), [("timm", "test_resnets"), ("torchvision", "resnet")])
def test_build_model_of_a_misspelled_name_lists_similar_ones(library, name):
    with pytest.raises(UsageError, match=r"; it has .*resnet"):
        build_model(f"{library}:{name}", ModelSpec(10, 3))


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("absent", {}, "unknown-function"),
        ("time", {}, "unknown-function"),
        ("nothing", {}, "not-a-model"),
        ("fails", {}, "user-code-failed"),
        ("leaves", {}, "user-code-failed"),
        ("strict", {}, "missing-model-argument"),
        ("strict", {"depth": 2}, "unknown-model-argument"),
        ("build", {"width": "wide"}, "user-code-failed"),
    ],
)
def test_build_model_of_a_function_without_a_model_raises(name, arguments, code, nets):
    with raises(code, UsageError) as caught:
        build_model(f"{nets}:{name}", ModelSpec(10, 3, None, arguments))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["int", "positional"])
def test_build_model_of_a_function_without_named_parameters_raises(name, write):
    with pytest.raises(UsageError):
        build_model(f"{write(f'{NAMED}{chr(10)}int = int')}:{name}", ModelSpec(10, 3))


@pytest.mark.parametrize("text", ["def build(:", "import gone_for_ever", "raise SystemExit"])
def test_build_model_of_a_file_that_cannot_be_imported_raises(text, write):
    with raises("user-code-failed", UsageError):
        build_model(f"{write(text)}:build", ModelSpec(10, 3))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_build_model_of_another_file_than_torchscript_raises(content, tmp_path):
    (tmp_path / "net.pt").write_bytes(content)
    with raises("not-torchscript", UsageError):
        build_model(f"torchscript:{tmp_path / 'net.pt'}", ModelSpec(10, 3))


def test_build_model_that_ends_the_process_raises(tmp_path):
    code = "import torch\nclass Net(torch.nn.Module):\n    def eval(self): raise SystemExit(0)\n"
    (tmp_path / "ending.py").write_text(code, encoding="utf-8")
    with raises("model-not-built", UsageError):
        build_model(f"{tmp_path / 'ending.py'}:Net", ModelSpec(10, 3))


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "{}",
        '{"model_type": "bert"}',
        '{"model_type": "mine", "auto_map": {"AutoConfig": "evil.Config", "AutoModelForImageClassification": "evil.Net"}}',
    ],
)
def test_build_model_of_a_config_without_an_image_classifier_raises(config, tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'PWNED')!r}, 'w')", encoding="utf-8")
    with raises("model-not-built", UsageError) as caught:
        build_model(f"transformers:{tmp_path}", ModelSpec(10, 3))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "PWNED").exists()
