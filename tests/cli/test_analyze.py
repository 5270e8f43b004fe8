"""``dsi analyze``: one clear line for each value of an option that is not allowed, and
the options of labelled data.
"""

import re
import shutil
from pathlib import Path

import pytest
import torch

from dsi_cli import Evaluation, analyze


def refused(ran, message, code=2):
    """Assert that a call ended with one clear line and nothing else."""
    assert ran.code == code, (ran.code, ran.stderr)
    assert ran.stdout == ""
    (error,) = ran.errors
    assert re.search(message, error), error
    assert f"error: {error}\n" in ran.stderr.replace("\nhint: ", "; ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--model", "{nets}:fails"),
            (
                r":fails: expected a function that returns a model, .*\(ValueError: two"
                r" lines\)"
            ),
        ),
        (
            ("--model", "{nets}:Leaves"),
            r"^the model cannot process these images: SystemExit: 0; check",
        ),
        (
            ("--model-arg", "width"),
            r"^--model-arg takes NAME=VALUE; 'width' is not of that form$",
        ),
        (("--std", "0"), r"^a standard deviation is above 0; \(0\.0,\) is not$"),
        (("--image-size", "big"), r"--image-size"),
        (("--device", "gpu"), r"^--device gpu is not available: .*; try auto or cpu$"),
        pytest.param(
            ("--device", "cuda"),
            r"^--device cuda is not available: .*; try auto or cpu$",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU"),
        ),
        (
            ("--predictions", "test.csv"),
            (
                r"^--predictions and --test both give the test split; leave one of them"
                r" out$"
            ),
        ),
        (("--targets", "x.npy"), r"^--targets needs --predictions FILE$"),
    ],
)
def test_analyze_option_with_an_invalid_value_is_refused_in_one_line(
    options, message, own_run, nets, evaluate, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("test.csv").write_text("target,prediction\n0,1\n", encoding="utf-8")
    options = [str(option).replace("{nets}", str(nets)) for option in options]
    spec = () if "--model" in options else own_run.options
    refused(evaluate(own_run.folder, *spec, *options), message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--templates",),
            r"^--templates needs data; add --test DATA or --train DATA$",
        ),
        (
            ("--model", "timm:test_vit"),
            r"^--model needs data; add --test DATA or --train DATA$",
        ),
        (("--templates", "--predictions", "x.npy"), r"^--templates needs data"),
    ],
)
def test_analyze_option_that_needs_data_without_data_is_refused(
    options, message, own_run, evaluate
):
    refused(evaluate(own_run.folder, *options, data=None), message)


def test_analyze_checkpoints_without_a_model_name_ask_for_model(own_run, evaluate):
    refused(
        evaluate(own_run.folder),
        r"^the checkpoints of run 'own' do not name their model; add --model with"
        r" timm:NAME, .* or file\.py:FUNCTION$",
    )


@pytest.fixture
def data(few, tmp_path):
    """Return a copy of the images, to change."""
    return shutil.copytree(few, tmp_path / "data")


ORDER = (
    "warning: dsi takes the class names of the data, in sorted order, as the"
    " classifier's order\nhint: Give --labels"
)


def test_analyze_folders_in_place_of_labels_warn(own_run, evaluate, few, tmp_path):
    """At each call: their order may be another than that which the network was trained
    with.
    """
    for _ in range(2):
        ran = evaluate(own_run.folder, *own_run.options, "--train", few)
        assert ran.stderr.count(ORDER) == 1
    (tmp_path / "labels.txt").write_text(
        "\n".join(sorted(place.name for place in few.iterdir())), encoding="utf-8"
    )
    ran = evaluate(
        own_run.folder, *own_run.options, "--labels", tmp_path / "labels.txt"
    )
    assert "sorted order" not in ran.stderr


def test_analyze_class_without_an_image_warns(own_run, evaluate, data, few, tmp_path):
    shutil.rmtree(data / "bear")
    (tmp_path / "labels.txt").write_text(
        "\n".join(sorted(place.name for place in few.iterdir())), encoding="utf-8"
    )
    ran = evaluate(
        own_run.folder,
        *own_run.options,
        "--templates",
        "--labels",
        tmp_path / "labels.txt",
        data=data,
    )
    assert ran.code == 0, ran.stderr
    assert re.search(
        r"^warning: image folder .* has no image of 1 class \(of 10\): 'bear'$",
        ran.stderr,
        re.MULTILINE,
    )
    assert len(ran.predictions(1)) == 90
    assert ran.curves("epoch == 1 and metric == 'sai' and of == 'tncsm-test,scsm'")[
        "classes_used"
    ].tolist() == [9]


def test_analyze_undecodable_images_are_refused_or_skipped(
    own_run, evaluate, data, tmp_path
):
    bad = [sorted((data / "bear").iterdir())[3], sorted((data / "wolf").iterdir())[0]]
    bad[0].write_bytes(b"no image")
    bad[1].write_bytes(bad[1].read_bytes()[:200])
    ran = evaluate(own_run.folder, *own_run.options, data=data)
    refused(
        ran,
        rf"{bad[0]}.* cannot be decoded.*skip_bad_images=True in Python to leave|such as {bad[0]}"
        r" .*skip_bad_images=True in Python",
    )
    model = own_run.options[own_run.options.index("--model") + 1]
    evaluation = Evaluation(test=data, model=model, skip_bad_images=True)
    found = analyze(
        own_run.folder, tmp_path / "skipped", evaluation=evaluation, labels="none"
    )
    predictions = found.predictions(1)
    assert (len(predictions), predictions["sample"].max()) == (98, 99)
    assert not set(map(str, bad)) & set(predictions["path"])
    accuracy = found.curves.query("metric == 'accuracy'")
    assert accuracy["samples_used"].tolist() == [98, 98]
