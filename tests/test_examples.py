"""The training example, from images to an analysis, and that its networks are the
demo's.
"""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.pictures import encoded
from numpy.testing import assert_allclose
from PIL import Image

from dsi_cli.labels.presets import load_preset
from dsi_cli.store.results import Results

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
EPOCHS = {"cnn": 2, "vit": 1}


def png(rng, target):
    """Return an image with its class's colour and noise."""
    colour = np.array([target % 5, target // 5 % 5, target // 25]) * 50
    pixels = np.clip(colour + rng.integers(0, 50, (32, 32, 3)), 0, 255).astype(np.uint8)
    return encoded(Image.fromarray(pixels), "png")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three made-up images of each of CIFAR-100's classes, in class folders."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    names = list(load_preset("cifar100").names)
    for split, count in (("train", 200), ("test", 100)):
        for number in range(count):
            path = folder / split / names[number % 100] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(rng, number % 100))
    return folder


def example(*arguments):
    command = [sys.executable, EXAMPLES / "train_cifar100.py", *map(str, arguments)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
    )


@pytest.mark.slow
def test_from_images_to_an_analysis(data, tmp_path, dsi_process):
    runs = tmp_path / "runs"
    for model, epochs in EPOCHS.items():
        ended = example(
            "--data", data, "--model", model, "--epochs", epochs, "--out", runs / model
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.splitlines()[-1] == f"next: dsi analyze {runs / model}"
    assert (
        dsi_process("analyze", runs, "-o", tmp_path / "out", "--measure", "cosine").code
        == 0
    )
    run = Results(tmp_path / "out")
    assert run.names == ["cnn", "vit"]
    for model, epochs in EPOCHS.items():
        assert run.epochs(model) == list(range(epochs + 1))
        files = run.checkpoints[run.checkpoints["run"] == model]
        assert files["epochs_completed"].tolist() == files["epoch"].tolist(), (
            "epoch 0 is known to be before training"
        )
        rows = run.curves[run.curves["run"] == model]
        log = pd.read_csv(runs / model / "log.csv")
        assert log["train_loss"].dropna().is_monotonic_decreasing
        for metric, split, column in (
            ("accuracy", "test", "test_acc"),
            ("loss", "test", "test_loss"),
            ("loss", "train", "train_loss"),
        ):
            found = rows[
                (rows["metric"] == metric) & (rows["split"] == split)
            ].sort_values("epoch")["value"]
            assert_allclose(
                found.dropna().to_numpy(float), log[column].dropna(), atol=1e-6
            )
        assert (
            rows[(rows["metric"] == "sai") & (rows["of"] == "ncsm,scsm")]["z"]
            .notna()
            .sum()
            == epochs + 1
        )
        assert run.confusion(run=model).to_numpy().sum() == 100


@pytest.fixture(scope="module")
def training():
    """The example's functions."""
    # of a test that ran before in this process
    others = sys.modules.pop("models", None)
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield runpy.run_path(str(EXAMPLES / "train_cifar100.py"))
    finally:
        sys.path.remove(str(EXAMPLES))
        sys.modules.pop("models", None)
        if others is not None:
            sys.modules["models"] = others


def test_train_example_wrong_usage_is_one_line(training, data, tmp_path, capsys):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "epoch_000.pt").touch()
    for arguments, message in (
        (
            (data, "--out", tmp_path / "used"),
            f"{tmp_path}/used holds files already: give a new folder, or empty it",
        ),
        ((tmp_path / "none", "--out", tmp_path / "new"), "found nothing at"),
    ):
        with pytest.raises(SystemExit, match="2"):
            training["main"](
                ["--model", "cnn", "--epochs", "0", "--data", *map(str, arguments)]
            )
        assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "new").exists()
