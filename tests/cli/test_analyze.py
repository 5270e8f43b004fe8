"""``dsi analyze``: one clear line for each value of an option that is not allowed, and the options of labelled data."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec

import pytest
import torch
from PIL import Image

pytest_plugins = ("helpers.analysed_runs", "helpers.trained_models")


def refused(ran, message, code=2):
    """Assert that a call ended with one clear line and nothing else."""
    assert ran.code == code, (ran.code, ran.stderr)
    assert ran.stdout == ""
    (error,) = ran.errors
    assert re.search(message, error), error
    assert ran.stderr.endswith(f"dsi: {error}\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "nets"), r"^--model takes timm:NAME, .*; found 'nets'$"),
        (("--model", "timm:resnet18x"), r"^timm has no model 'resnet18x'"),
        (("--model", "timm:hf_hub:x/y"), r"^timm has no model 'hf_hub:x/y'"),
        (
            ("--model", "torchvision:resnet"),
            r"^torchvision has no classifier 'resnet'; it has resnet\d+, resnet\d+, resnet\d+$",
        ),
        pytest.param(
            ("--model", "transformers:google/vit"),
            r"expected a folder with a config.json, found none; check the path$",
            marks=pytest.mark.skipif(find_spec("transformers") is None, reason="needs the extra transformers"),
        ),
        (("--model", "torchscript:gone.pt"), r"^--model torchscript:gone.pt: there is no such file$"),
        (("--model", "gone.py:build"), r"^gone.py:build: expected a Python file, found nothing at gone.py"),
        (("--model", "{nets}:gone"), r":gone: expected a function 'gone' in .*, found none; check its name$"),
        (("--model", "{nets}:fails"), r":fails: expected a function that returns a model, .*\(ValueError: two lines\)"),
        (("--model", "{nets}:Leaves"), r"^the model cannot process these images: SystemExit: 0$"),
        (("--model", "{nets}:leaves"), r":leaves: expected a function that returns a model, .*\(SystemExit: 3\)"),
        (("--model", "{nets}:nothing"), r":nothing returned a NoneType; expected a torch.nn.Module$"),
        (("--model", "{nets}:strict"), r":strict needs width: give --model-arg width=VALUE$"),
        (("--model", "{nets}:strict", "--model-arg", "depth=3"), r"^--model-arg depth: .* takes num_classes, width$"),
        (("--model-arg", "width"), r"^--model-arg takes NAME=VALUE; 'width' is not of that form$"),
        (("--model-arg", "gives=dict"), r"^the model returns a dict; expected a tensor of \(batch, classes\)$"),
        (("--mean", "a"), r"^--mean takes numbers, for example"),
        (("--mean", "0.1,0.2"), r"^2 values of mean or std for 3 channels: give one value, or one per channel$"),
        (("--mean", "nan"), r"mean"),
        (
            ("--mean", "0.1,0.9,0.2", "--channels", 1),
            r"^3 values of mean or std for 1 channel: give one value, or one per channel$",
        ),
        (("--std", "0"), r"^a standard deviation is above 0; \(0\.0,\) is not$"),
        (("--std", ""), r"^0 values of mean or std for 3 channels|--std takes numbers"),
        (("--image-size", 0), r"^an image size lies between 1 and 8,192; 0 does not$"),
        (("--image-size", 10**6), r"^an image size lies between 1 and 8,192"),
        (("--image-size", "big"), r"--image-size"),
        (("--crop-pct", 0), r"^a crop share lies between 0 and 4; 0\.0 does not$"),
        (("--image-size", 24, "--interpolation", "cubic"), r"interpolation.*nearest, bilinear, bicubic.* lanczos.*cubic"),
        (("--channels", 2), r"^images of 2 channels cannot be made: expected 1, 3, 4$"),
        (
            ("--channels", 1),
            r"^run 'own', epoch_0\.pt: the weights do not fit the model: 1 of another shape \(conv\.weight",
        ),
        (("--batch-size", 0), r"^--batch-size takes 1 or more, or auto; 0 is not allowed$"),
        (("--batch-size", "many"), r"^--batch-size takes a number or auto; 'many' is neither$"),
        (("--cache", "half"), r"^--cache takes a size, for example 8GB or 0; 'half' is not of that form$"),
        (("--device", "cuda:77"), r"^--device cuda:77 is not available: .*; try auto or cpu$"),
        (("--device", "gpu"), r"^--device gpu is not available: .*; try auto or cpu$"),
        (("--device", "hpu"), r"^--device hpu is not available: .*; try auto or cpu$"),
        (("--predictions", "x.npy"), r"^--predictions and --test both give the test split: leave one of them out$"),
        (("--targets", "x.npy"), r"^--targets needs --predictions FILE$"),
    ],
)
def test_an_option_that_cannot_be_right(options, message, own_run, nets, evaluate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = [str(option).replace("{nets}", str(nets)) for option in options]
    spec = () if "--model" in options else own_run.options
    refused(evaluate(own_run.folder, *spec, *options), message)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_gpu_that_is_not_there(own_run, evaluate):
    refused(
        evaluate(own_run.folder, *own_run.options, "--device", "cuda"),
        r"^--device cuda is not available: .*; try auto or cpu$",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--templates",), r"^--templates needs data: give --test DATA or --train DATA$"),
        (("--model", "timm:test_vit"), r"^--model needs data: give --test DATA or --train DATA$"),
        (("--data-root", "x"), r"^--data-root needs data: give --test DATA or --train DATA$"),
        (("--download",), r"^--download needs data: give --test DATA or --train DATA$"),
        (("--templates", "--predictions", "x.npy"), r"^--templates needs data"),
    ],
)
def test_what_needs_data(options, message, own_run, evaluate):
    refused(evaluate(own_run.folder, *options, data=None), message)


def test_no_model_where_nothing_is_recorded(own_run, evaluate):
    refused(
        evaluate(own_run.folder),
        r"^run 'own': its checkpoints do not name their model: give --model timm:NAME, .* or module:FUNCTION$",
    )


@pytest.fixture
def data(few, tmp_path):
    """Return a copy of the images, to change."""
    return shutil.copytree(few, tmp_path / "data")


def test_data_that_are_not_there_or_empty(own_run, evaluate, tmp_path, data):
    refused(evaluate(own_run.folder, *own_run.options, data=tmp_path / "gone"), r"^expected .*; found nothing at '.*gone'")
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    refused(
        evaluate(own_run.folder, *own_run.options, data=tmp_path / "empty"),
        r"empty: expected a folder of images for each class .*, found 1 folders without an image; check the path$",
    )
    (tmp_path / "none").mkdir()
    refused(
        evaluate(own_run.folder, *own_run.options, data=tmp_path / "none"),
        r"none: expected a folder of images .* found no fold",
    )


def test_an_empty_split_of_a_function(own_run, evaluate, tmp_path):
    (tmp_path / "empty_data.py").write_text("def data(): return []\n", encoding="utf-8")
    ran = evaluate(own_run.folder, *own_run.options, data=f"{tmp_path / 'empty_data.py'}:data")
    refused(ran, r"found an empty list; return one with items$")


def test_labels_that_are_not_the_folders_names(own_run, evaluate, tmp_path):
    names = ["cat", "dog", *(f"qzx{number}" for number in range(8))]
    (tmp_path / "labels.txt").write_text("\n".join(names), encoding="utf-8")
    ran = evaluate(own_run.folder, *own_run.options, "--labels", tmp_path / "labels.txt")
    message = (
        r"^image folder .* \(100 images, 10 classes\): expected a label of the classifier for each class, found none, or more "
        r"than one, for 'apple', 'bear', 'bicycle'.*; labels without data are 'cat', 'dog', 'qzx0'.*; give --labels"
    )
    refused(ran, message.replace("'", "['\"]?"))


def test_labels_of_another_number_of_classes(own_run, evaluate, tmp_path):
    (tmp_path / "labels.txt").write_text("cat\ndog\nhorse\nship\n", encoding="utf-8")
    ran = evaluate(own_run.folder, *own_run.options, "--labels", tmp_path / "labels.txt")
    refused(
        ran, r"^labels.txt has 4 labels \('cat', 'dog', 'horse', \.\.\.\), but the classifier of run 'own' has 10 classes"
    )


@pytest.mark.parametrize(("change", "words"), [("fewer", "more classes in the head"), ("more", "more classes in the data")])
def test_another_number_of_classes_without_names(change, words, own_run, evaluate, data):
    if change == "fewer":
        shutil.rmtree(data / "apple")
    else:
        shutil.copytree(data / "apple", data / "pear")
    found = 9 if change == "fewer" else 11
    ran = evaluate(own_run.folder, *own_run.options, data=data)
    refused(
        ran, rf": expected 10 classes, as the classifier has, found {found}: {words} than in the (data|head); use the data"
    )


ORDER = (
    "warning: own: the class names are those of the data, in sorted order: taken as the classifier's order; give --labels"
)


def test_folders_in_the_place_of_labels_are_a_warning(own_run, evaluate, few, tmp_path):
    """At each call: their order may be another than that which the network was trained with."""
    for _ in range(2):
        ran = evaluate(own_run.folder, *own_run.options, "--train", few)
        assert ran.stderr.count(ORDER) == 1
    (tmp_path / "labels.txt").write_text("\n".join(sorted(place.name for place in few.iterdir())), encoding="utf-8")
    ran = evaluate(own_run.folder, *own_run.options, "--labels", tmp_path / "labels.txt")
    assert "sorted order" not in ran.stderr


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("None", "labels are taken as class numbers"),
        ("[f'c{n}' for n in range(10)]", "class names are taken to be in the classifier's order"),
    ],
)
def test_numbers_that_are_taken_as_class_numbers_are_told(names, said, own_run, evaluate, tmp_path):
    (tmp_path / "numbered_data.py").write_text(
        "from PIL import Image\n"
        "class Data(list):\n"
        f"    classes = {names}\n"
        "def data(): return Data((Image.new('RGB', (8, 8), (9 * n, 0, 0)), n) for n in range(10))\n",
        encoding="utf-8",
    )
    ran = evaluate(own_run.folder, *own_run.options, data=f"{tmp_path / 'numbered_data.py'}:data")
    assert ran.code == 0, ran.stderr
    assert f"data (10 images, 10 classes); {said}\n" in ran.stderr
    assert "in sorted order" not in ran.stderr


def test_a_class_without_an_image_is_a_warning(own_run, evaluate, data, few, tmp_path):
    shutil.rmtree(data / "bear")
    (tmp_path / "labels.txt").write_text("\n".join(sorted(place.name for place in few.iterdir())), encoding="utf-8")
    ran = evaluate(own_run.folder, *own_run.options, "--templates", "--labels", tmp_path / "labels.txt", data=data)
    assert ran.code == 0, ran.stderr
    assert re.search(
        r"^warning: own: 1 of the 10 classes has no image in image folder .*: '?bear'?$", ran.stderr, re.MULTILINE
    )
    assert len(ran.predictions(1)) == 90
    at = "epoch == 1 and metric == 'sai' and of == 'tncsm-test,scsm'"
    assert ran.curves(at)["classes_used"].tolist() == [9]


@pytest.mark.parametrize("cache", [(), ("--cache", 0)])
def test_images_that_cannot_be_decoded(cache, own_run, evaluate, data):
    bad = [sorted((data / "bear").iterdir())[3], sorted((data / "wolf").iterdir())[0]]
    bad[0].write_bytes(b"no image")
    bad[1].write_bytes(bad[1].read_bytes()[:200])
    ran = evaluate(own_run.folder, *own_run.options, *cache, data=data)
    assert ran.code == 2
    (error,) = ran.errors
    assert str(bad[0]) in error
    assert "cannot be decoded" in error
    assert "--skip-bad-images leaves" in error
    if not cache:
        assert error.startswith("2 of 100 images cannot be decoded, first ")
    ran = evaluate(own_run.folder, *own_run.options, *cache, "--skip-bad-images", data=data, out="skipped")
    assert ran.code == 0, ran.stderr
    assert "warning: test: 2 images cannot be decoded and are left out, first " in ran.stderr
    assert str(bad[0]) in ran.stderr
    found = ran.predictions(1)
    assert (len(found), found["sample"].max()) == (98, 99)
    assert not set(map(str, bad)) & set(found["path"])
    assert ran.curves("metric == 'accuracy'")["samples_used"].tolist() == [98, 98]
    again = evaluate(own_run.folder, *own_run.options, *cache, "--skip-bad-images", data=data, out="skipped")
    assert again.code == 0


def test_no_image_that_can_be_decoded(own_run, evaluate, data):
    for path in data.rglob("*.png"):
        path.write_bytes(b"no image")
    for options in ((), ("--skip-bad-images",), ("--skip-bad-images", "--cache", 0)):
        ran = evaluate(own_run.folder, *own_run.options, *options, data=data)
        refused(ran, r"^(100 of 100 images cannot be decoded, first .*: not an image that Pillow knows|.*no image)")


def test_images_of_several_sizes(own_run, evaluate, data):
    path = sorted((data / "wolf").iterdir())[0]
    Image.open(path).resize((20, 30)).save(path)
    ran = evaluate(own_run.folder, *own_run.options, data=data)
    refused(ran, r"^expected images of one size .* found that .* and .*wolf.*; give --image-size$")
    assert evaluate(own_run.folder, *own_run.options, "--image-size", 32, data=data).code == 0


def test_images_of_several_colour_modes(own_run, evaluate, data):
    paths = sorted((data / "wolf").iterdir())
    for path, mode in zip(paths, ("L", "RGBA", "P", "1", "LA", "I;16"), strict=False):
        image = Image.open(path)
        (image.convert("L").convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)).save(path)
    ran = evaluate(own_run.folder, *own_run.options, "--templates", data=data)
    assert ran.code == 0, ran.stderr
    assert len(ran.predictions(1)) == 100


def test_images_that_a_transformer_cannot_take(timm_run, evaluate):
    ran = evaluate(timm_run.folder, "--model", "timm:test_vit", "--image-size", 32)
    refused(ran, r"^run 'timm', checkpoint-0\.pth\.tar: the weights do not fit the model: 1 of another shape \(pos_embed")


def test_a_model_that_takes_no_image_of_this_size(own_run, tmp_path, evaluate):
    (tmp_path / "net_of_one_size.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__()\n"
        "        self.fc = torch.nn.Linear(48, num_classes)\n"
        "    def forward(self, x):\n"
        "        return self.fc(x.flatten(1))\n",
        encoding="utf-8",
    )
    (tmp_path / "run").mkdir()
    weights = {"fc.weight": torch.randn(10, 48), "fc.bias": torch.zeros(10)}
    torch.save({"state_dict": weights, "epoch": 0}, tmp_path / "run" / "epoch_0.pt")
    spec = ("--model", f"{tmp_path / 'net_of_one_size.py'}:Net", "--mean", 0.5, "--std", 0.5)
    refused(
        evaluate(tmp_path / "run", *spec),
        r"^the model cannot process these images: .*mat1 and mat2 shapes cannot be multiplied",
    )
    assert evaluate(tmp_path / "run", *spec, "--image-size", 4).code == 0


@pytest.mark.parametrize(("gives", "shape"), [("wide", "(100, 10, 1)"), ("one", "(1, 10)")])
def test_outputs_of_another_shape(gives, shape, own_run, evaluate):
    ran = evaluate(own_run.folder, *own_run.options, "--model-arg", f"gives={gives}")
    assert ran.code == 4, ran.stderr
    reason = f"the model's outputs have shape {shape}; expected (100, 10): images, classes"
    assert f"2 checkpoints have no predictions on test: {reason}; first" in ran.stderr


def test_without_mean_and_deviation_there_is_a_warning(own_run, tmp_path, evaluate):
    shutil.copytree(own_run.folder, tmp_path / "bare")
    (tmp_path / "bare" / "config.json").unlink()
    ran = evaluate(tmp_path / "bare", *own_run.options)
    assert ran.code == 0
    assert "warning: mean and std are not known: images are scaled to [0, 1] only; give --mean and --std" in ran.stderr
    ran = evaluate(own_run.folder, *own_run.options, out="other")
    assert "no mean and std" not in ran.stderr


def test_the_document_says_what_was_done(own_run, evaluate):
    ran = evaluate(own_run.folder, *own_run.options, "--templates", "--json")
    assert ran.code == 0
    (run,) = json.loads(ran.stdout)["runs"]
    assert (run["answered"], run["unanswered"]) == (2, [])
    assert run["splits"]["test"].endswith("(100 images, 10 classes)")
    again = evaluate(own_run.folder, *own_run.options, "--templates", "--json")
    (run,) = json.loads(again.stdout)["runs"]
    assert run["answered"] == 0


def test_quiet_is_quiet(own_run, evaluate):
    ran = evaluate(own_run.folder, *own_run.options, "--quiet")
    assert (ran.code, ran.stderr) == (0, "")
