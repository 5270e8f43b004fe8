"""A specification -> a model: what each form builds, with which arguments, and how it
says that it cannot.
"""

import json
import sys
from operator import attrgetter

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import oracles
from helpers.errors import raises
from helpers.oracles_testset import accuracy, template_similarity
from helpers.outputs import stored_counts
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from torch import nn

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Evaluation, Options
from dsi_cli.analysis.report_file import write_report
from dsi_cli.checkpoints.checkpoint_reader import StateDict
from dsi_cli.errors import UnreadableError, UsageError
from dsi_cli.inference.models import ModelSpec, build_model, load_weights
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
    def written(text, name="builders_of_mine.py"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    yield written
    sys.modules.pop("builders_of_mine", None)


def shape_of(model, channels=3, side=32):
    with torch.inference_mode():
        outputs = model(torch.zeros(2, channels, side, side))
    return tuple(getattr(outputs, "logits", outputs).shape)


@pytest.mark.parametrize(
    ("name", "channels", "size"),
    [("test_resnet", 1, None), ("test_resnet", 3, (48, 48)), ("test_vit", 3, (64, 64))],
)
def test_timm_builds_for_the_classes_channels_and_size(name, channels, size):
    built = build_model(f"timm:{name}", ModelSpec(7, channels, size))
    assert shape_of(built.model, channels, 160 if size is None else size[0]) == (2, 7)
    assert not built.model.training


def test_torchvision_builds_a_listed_classifier_with_the_arguments():
    spec = ModelSpec(7, 3, None, {"dropout": 0.0})
    built = build_model("torchvision:squeezenet1_1", spec)
    assert shape_of(built.model, side=64) == (2, 7)
    assert built.model.classifier[0].p == 0.0


def test_transformers_builds_what_a_config_says(hugging_face_run):
    folder = hugging_face_run.files[0].parent
    built = build_model(f"transformers:{folder}", ModelSpec(10, 3))
    assert (shape_of(built.model), type(built.model).__name__) == (
        (2, 10),
        "ViTForImageClassification",
    )
    half = (0.5, 0.5, 0.5)
    assert built.usual == Preprocessing(
        (32, 32), None, None, "bilinear", half, half, processor=str(folder)
    )
    (folder.parent / "other").mkdir(exist_ok=True)
    (folder.parent / "other" / "config.json").write_bytes(
        (folder / "config.json").read_bytes()
    )
    wanted = ModelSpec(10, 3, None, {"hidden_size": 16})
    other = build_model(f"transformers:{folder.parent / 'other'}", wanted)
    assert other.model.classifier.in_features == 16
    assert other.usual.size == (32, 32)


@pytest.mark.parametrize(
    ("name", "channels", "expected"),
    [
        *[
            ("n_classes", 3, 5),
            ("nclasses", 3, 5),
            ("num_labels", 1, 5),
            ("num_labels", 3, 5),
            ("classes", 1, 5),
        ],
        ("any_", 3, 7),
    ],
)
def test_the_number_of_classes_and_channels_go_where_they_are_asked_for(
    name, channels, expected, write
):
    built = build_model(f"{write(NAMED)}:{name}", ModelSpec(5, channels))
    assert shape_of(built.model, channels) == (2, expected)


@pytest.mark.parametrize(
    ("spec", "arguments", "code"),
    [
        *((spec, {}, "unknown-model-format") for spec in ("resnet18", "")),
        *(
            (f"timm:{name}", {}, "unknown-model")
            for name in (
                "test_resnets",
                "resnet18x",
                "hf-hub:timm/test_vit.r160_in1k",
                "../evil",
            )
        ),
        *(
            (f"torchvision:{name}", {}, "unknown-model")
            for name in ("zzz", "resnets", "fcn_resnet50")
        ),
        *(
            (spec, {"depth": 3}, "model-not-built")
            for spec in ("timm:test_resnet", "torchvision:resnet18")
        ),
        ("transformers:google/vit-base", {}, "no-config"),
        ("gone.py:build", {}, "file-missing"),
        ("torchscript:gone.pt", {}, "unknown-model-format"),
        *(
            (f"{file}:build", {}, "user-code-failed")
            for file in ("damaged.py", "imports.py", "ends.py")
        ),
        ("late.py:Net", {}, "model-not-built"),
    ],
)
def test_build_model_of_a_wrong_specification_raises(
    spec, arguments, code, tmp_path, monkeypatch
):
    contents = {
        "damaged.py": b"def build(:",
        "imports.py": b"import gone_for_ever",
        "ends.py": b"raise SystemExit",
    }
    contents["late.py"] = (
        b"import torch\nclass Net(torch.nn.Module):\n    def eval(self): raise"
        b" SystemExit(0)\n"
    )
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    with raises(code, UsageError) as caught:
        build_model(spec, ModelSpec(10, 3, None, arguments))
    assert "resnets" not in spec or "; it has " in str(caught.value)


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        *((name, {}, "unknown-function") for name in ("absent", "time")),
        ("nothing", {}, "not-a-model"),
        *((name, {}, "user-code-failed") for name in ("fails", "leaves")),
        ("strict", {}, "missing-model-argument"),
        ("strict", {"depth": 2}, "unknown-model-argument"),
        ("build", {"width": "wide"}, "user-code-failed"),
    ],
)
def test_build_model_of_a_function_without_a_model_raises(
    name, arguments, code, nets, write
):
    with raises(code, UsageError):
        build_model(f"{nets}:{name}", ModelSpec(10, 3, None, arguments))
    with pytest.raises(UsageError):  # its parameters have no names
        build_model(f"{write(NAMED)}:positional", ModelSpec(10, 3))


@pytest.mark.parametrize(
    "config",
    [
        *("{", "{}", '{"model_type": "bert"}'),
        (
            '{"model_type": "mine", "auto_map": {"AutoConfig": "evil.Config",'
            ' "AutoModelForImageClassification": "evil.Net"}}'
        ),
    ],
)
def test_build_model_of_a_config_without_an_image_classifier_raises(config, tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    (tmp_path / "evil.py").write_text(
        f"open({str(tmp_path / 'PWNED')!r}, 'w')", encoding="utf-8"
    )
    with raises("model-not-built", UsageError):
        build_model(f"transformers:{tmp_path}", ModelSpec(10, 3))
    assert not (tmp_path / "PWNED").exists()


class Net(nn.Module):
    def __init__(self, width=4, classes=3):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, width), nn.BatchNorm1d(width))
        self.fc = nn.Linear(width, classes)


def state_of(model, prefix="", head="fc.weight", **other):
    """Return a model's weights as they are read from a checkpoint, under a wrapper's
    name.
    """
    arrays = {
        f"{prefix}{name}": tensor.numpy() for name, tensor in model.state_dict().items()
    }
    return StateDict(arrays | other, None if head is None else prefix + head)


def assert_same(model, other):
    wanted = other.state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, wanted[name]), name


@pytest.mark.parametrize(
    "inner", ["", "_fsdp_wrapped_module._checkpoint_wrapped_module._orig_mod."]
)
@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "module.",
        "model.",
        "_orig_mod.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model.module.",
        "net.a.b.",
        "fc.",
    ],
)
def test_names_of_wrappers_are_taken_off(prefix, inner):
    torch.manual_seed(0)
    source, model = Net(), Net()
    weights = state_of(source, prefix)
    arrays = {
        name.replace("body.", f"body.{inner}"): array
        for name, array in weights.arrays.items()
    }
    assert load_weights(model, StateDict(arrays, weights.head)) == "fc"
    assert_same(model, source)


@pytest.mark.parametrize("wrapped", [torch.compile, nn.DataParallel])
def test_a_model_that_is_wrapped_itself(wrapped):
    torch.manual_seed(0)
    source, model = Net(), wrapped(Net())
    (name,) = (name for name in model.state_dict() if name.endswith("fc.weight"))
    head = load_weights(model, state_of(wrapped(source), head=name))
    assert_same(model, wrapped(source))
    assert model.get_submodule(head).weight is dict(model.named_parameters())[name]


def test_load_weights_ignores_tensors_of_other_modules():
    source, model = Net(), Net()
    beside = {
        "criterion.weight": np.ones(3),
        "metric.fc.total": np.ones(()),
        "teacher.fc.weight": np.ones((3, 4)),
    }
    # of a frozen batch normalisation
    beside["model.num_batches_tracked"] = np.ones((), np.int64)
    assert load_weights(model, state_of(source, "model.", **beside)) == "fc"
    assert_same(model, source)
    model.norm = nn.BatchNorm1d(3)
    norm = {
        name: np.full(3, 0.5, np.float32)
        for name in ("weight", "bias", "running_mean", "running_var")
    }
    load_weights(
        model,
        state_of(source, **{f"norm.{name}": values for name, values in norm.items()}),
    )
    assert all(
        (values == 0.5).all()
        for name, values in model.norm.state_dict().items()
        if name in norm
    )


def test_the_classifiers_name_or_the_most_names_tell_which_model_is_meant():
    torch.manual_seed(0)
    source, other, model = Net(), Net(), Net()
    both = state_of(other, "teacher.").arrays | state_of(source, "student.").arrays
    load_weights(model, StateDict(both, "student.fc.weight"))
    assert_same(model, source)
    source, model = Net().body, Net().body
    arrays = {
        f"backbone.{name}": tensor.numpy()
        for name, tensor in source.state_dict().items()
    }
    assert (
        load_weights(
            model, StateDict(arrays | {"projector.0.weight": np.ones((2, 2))}, None)
        )
        is None
    )
    assert_same(model, source)


@pytest.mark.parametrize(
    "norm",
    ["parametrizations.weight_norm", "weight_norm", "parametrizations.spectral_norm"],
)
def test_the_module_of_a_normed_classifier(norm):
    norm = attrgetter(norm)(nn.utils)
    source, model = Net(), Net()
    norm(source.fc)
    norm(model.fc)
    (name,) = (
        one
        for one in source.state_dict()
        if one.endswith(("original", "original1", "weight_v"))
    )
    assert load_weights(model, state_of(source, "module.", head=name)) == "fc"
    assert_same(model, source)


def test_a_modules_own_state_is_no_weight_and_a_quantised_model_is_refused(monkeypatch):
    source, model = Net(), Net()
    weights = state_of(source)
    monkeypatch.setattr(Net, "get_extra_state", lambda _: {"calls": 3}, raising=False)
    assert load_weights(model, weights) == "fc"
    assert torch.equal(model.fc.weight, source.fc.weight)
    monkeypatch.setattr(
        Net,
        "state_dict",
        lambda _: {"fc.scale": 0.5, "fc._packed_params": (torch.ones(3, 4), None)},
    )
    with pytest.raises(
        UnreadableError,
        match=r"fit the model, which is quantised \(fc\.scale, fc\._packed_params\)",
    ):
        load_weights(model, weights)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"fc.bias": None},
            r"^the weights do not fit the model: 1 missing \(fc\.bias\)$",
        ),
        (
            {"fc.scale": np.ones(3)},
            r"^the weights do not fit the model: 1 unexpected \(fc\.scale\)$",
        ),
        (
            {"fc.weight": np.ones((7, 4)), "fc.bias": np.ones(7)},
            (
                r"fit the model: 2 of another shape \(fc\.weight \(7, 4\) for \(3, 4\),"
                r" fc\.bias \(7,\) for \(3,\)\)$"
            ),
        ),
        (
            {
                "body.0.bias": None,
                "fc.weight": np.ones((3, 4, 1, 1)),
                "more": np.ones(1),
            },
            (
                r"1 missing \(body\.0\.bias\); 1 unexpected \(more\); 1 of another"
                r" shape \(fc\.weight \(3, 4, 1, 1\) for \(3, 4\)\)"
            ),
        ),
        (
            {f"extra.{number}": np.ones(1) for number in range(9)},
            r"9 unexpected \(extra\.0, extra\.1, extra\.2, extra\.3, \.\.\.\)$",
        ),
    ],
)
def test_load_weights_that_do_not_fit_raise_one_line(changed, message):
    arrays = state_of(Net()).arrays | changed
    held = StateDict(
        {name: array for name, array in arrays.items() if array is not None},
        "fc.weight",
    )
    model = Net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UnreadableError, match=message) as caught:
        load_weights(model, held)
    assert "\n" not in str(caught.value)
    assert all(
        torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items()
    )


NAMES = ("bird", "cat", "dog", "frog", "horse", "lion")
EVALUATED = {"templates": True, "mean": (0.5,), "std": (0.25,)}


def tokenizer():
    tokenizers = pytest.importorskip(
        "tokenizers", reason="needs the extra transformers"
    )
    transformers = pytest.importorskip(
        "transformers", reason="needs the extra transformers"
    )
    words = ["[PAD]", "[BOS]", "[UNK]", *NAMES, *("a", "photo", "of", "."), "[EOS]"]
    vocabulary = {word: number for number, word in enumerate(words)}
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    ends = [(name, vocabulary[name]) for name in ("[BOS]", "[EOS]")]
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=ends
    )
    names = {
        "pad_token": "[PAD]",
        "bos_token": "[BOS]",
        "eos_token": "[EOS]",
        "unk_token": "[UNK]",
    }
    # as SigLIP's; CLIP's text tower is causal, and needs no mask
    names["model_input_names"] = ["input_ids"]
    return (
        transformers.PreTrainedTokenizerFast(tokenizer_object=made, **names),
        vocabulary,
    )


def towers(kind, vocabulary, seed):
    import transformers

    size = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = {
        "vocab_size": len(vocabulary),
        "max_position_embeddings": 12,
        "initializer_factor": 4.0,
        **size,
    }
    text |= {
        "eos_token_id": vocabulary["[EOS]"],
        "bos_token_id": vocabulary["[BOS]"],
        "pad_token_id": 0,
    }
    image = {"image_size": 16, "patch_size": 8, "initializer_factor": 4.0, **size}
    torch.manual_seed(seed)
    if kind == "siglip":
        return transformers.SiglipModel(
            transformers.SiglipConfig(text_config=text, vision_config=image)
        ).eval()
    config = transformers.CLIPConfig(
        text_config=text, vision_config=image, projection_dim=8, initializer_factor=4.0
    )
    return transformers.CLIPModel(config).eval()


@pytest.fixture(params=["clip"])
def run(request, tmp_path):
    """Two checkpoints as the Trainer lays them down, and images in class folders."""
    words, vocabulary = tokenizer()
    for step in (1, 2):
        folder = tmp_path / request.param / f"checkpoint-{step}"
        towers(request.param, vocabulary, step).save_pretrained(folder)
        words.save_pretrained(folder)
        state = {"epoch": float(step), "global_step": step, "log_history": []}
        (folder / "trainer_state.json").write_text(json.dumps(state))
    rng = np.random.default_rng(0)
    for name in NAMES:
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(5):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / request.param


def by_hand(folder):
    """Return logits, image features and text embeddings of one checkpoint, by the
    library alone.
    """
    import transformers

    words, _ = tokenizer()
    model = transformers.AutoModel.from_pretrained(folder).eval()
    paths = sorted((folder.parents[1] / "images").glob("*/*.png"))
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths]).transpose(
        0, 3, 1, 2
    )
    images = (torch.from_numpy(pixels).float() / 255 - 0.5) / 0.25
    padding = (
        {"padding": "max_length", "max_length": 12}
        if folder.parent.name == "siglip"
        else {"padding": True}
    )
    tokens = words(
        [f"a photo of a {name}." for name in NAMES], **padding, return_tensors="pt"
    )
    with torch.no_grad():
        # With and without its own forward: the whole network's logits, and what goes
        # into them.
        whole = model(pixel_values=images, input_ids=tokens["input_ids"])
    return (
        whole.logits_per_image.numpy(),
        whole.image_embeds.numpy(),
        whole.text_embeds.numpy(),
    )


def matrix(path):
    return np.stack(pd.read_parquet(path)["similarity"])


@pytest.mark.parametrize("run", ["clip", "siglip"], indirect=True)
def test_class_names_are_the_classifier(run, tmp_path):
    out = tmp_path / "out"
    evaluation = Evaluation(test=str(tmp_path / "images"), **EVALUATED)
    (told,) = analyze([run], out, Options(draws=0, evaluation=evaluation)).runs
    assert (told.classes, told.evaluated, told.not_evaluated) == (6, 2, [])
    targets = np.repeat(np.arange(6), 5)
    curves = pd.read_parquet(out / "curves.parquet")
    for epoch in (1, 2):
        logits, features, text = by_hand(run / f"checkpoint-{epoch}")
        assert_allclose(
            matrix(out / f"csms/{run.name}/ncsm/{epoch}.parquet"),
            oracles.ncsm(text),
            atol=1e-6,
        )
        counts = stored_counts(out, run.name, epoch)
        assert_array_equal(
            counts,
            np.array(
                [
                    [(logits.argmax(1)[targets == i] == j).sum() for j in range(6)]
                    for i in range(6)
                ]
            ),
        )
        assert_allclose(
            matrix(out / f"csms/{run.name}/tncsm-test/{epoch}.parquet"),
            template_similarity(features, targets, 6),
            atol=1e-5,
        )
        found = curves.query("epoch == @epoch and metric == 'accuracy'")["value"].item()
        assert found == accuracy(counts)
    assert {"ncsm,scsm", "ncsm,tncsm-test", "ncsm,ccsm-test"} <= set(
        curves["of"].dropna()
    )
    write_report(out)


def test_zero_shot_without_a_tokenizer_uses_templates_and_needs_data(
    run, tmp_path, dsi
):
    for path in run.rglob("tokenizer*"):
        path.unlink()
    said = []
    evaluation = Evaluation(test=str(tmp_path / "images"), **EVALUATED)
    analyze(
        [run],
        tmp_path / "out",
        Options(draws=0, evaluation=evaluation),
        say=said.append,
    )
    assert any("without a tokenizer next to it: features only" in line for line in said)
    assert set(
        pd.read_parquet(tmp_path / "out" / "curves.parquet").query("metric == 'sai'")[
            "of"
        ]
    ) == {"tncsm-test,scsm"}
    assert not (tmp_path / "out" / "csms/clip/ncsm").exists()
    ended = dsi("analyze", run, "-o", tmp_path / "without-data")
    assert ended.code == 3
    assert "no classifier among" in ended.err
