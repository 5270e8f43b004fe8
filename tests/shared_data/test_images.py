"""The shared test images: their classes, and the predictions that the complete runs give on them."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import oracles_testset as oracles
from numpy.testing import assert_array_equal
from PIL import Image
from torch import nn
from torchvision.datasets import ImageFolder

from dsi_cli.inference.class_matching import match_classes
from dsi_cli.inference.open_dataset import open_samples
from dsi_cli.labels.presets import load_preset

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def model_of(folder, epoch, arch):
    """Return the network of a complete run with weights that torch loads, and the function that prepares an image for it."""
    names: dict = {}
    exec(compile((folder / "models.py").read_text(encoding="utf-8"), "models", "exec"), names)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    channels = len(config["mean"])
    weights = torch.load(folder / f"epoch_{epoch:03}.pt", weights_only=True)["state_dict"]
    net = names["build"](arch, 10 if channels == 1 else 100, channels)
    net.load_state_dict(weights, strict=True)
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))

    def transform(image):
        values = torch.from_numpy(np.array(image)).reshape(*image.size[::-1], channels).permute(2, 0, 1)
        return (values.float() / 255 - mean) / std

    return net.eval(), transform


@pytest.mark.parametrize(
    ("run", "images", "arch", "epochs", "looped"),
    [
        ("fashion-mnist-tinycnn", "fashion-mnist", "tinycnn", range(16), (0, 15)),
        ("cifar100-cnn", "cifar100", "cnn", (0, 30), (30,)),  # where rounding to float16 turned no near tie
        ("cifar100-vit", "cifar100", "vit", (2, 30), (30,)),
    ],
)
def test_the_real_runs_give_their_stored_predictions(run, images, arch, epochs, looped, shared, evaluate, loop):
    folder, data = shared / "data" / "runs" / run, shared / "data" / "images" / images
    ran = evaluate(
        *(folder, "--model", f"{folder / 'models.py'}:build", "--model-arg", f"arch={arch}"),
        *("--epochs", f"{epochs[0]}:{epochs[-1]}:{epochs[1] - epochs[0]}"),
        data=data,
    )
    assert ran.code == 0, ran.stderr
    assert "is not what the trainer wrote" not in ran.stderr
    stored, targets = np.load(folder / "preds.npy"), np.load(folder / "targets.npy")
    for epoch in epochs:
        found = ran.predictions(epoch)
        number = found["path"].str.extract(r"(\d+)\.png$", expand=False).astype(int)
        assert_array_equal(found["prediction"], stored[epoch][number])
        assert_array_equal(found["target"], targets[number])
        assert_array_equal(
            ran.counts(epoch), oracles.confusion(targets[number], stored[epoch][number], len(ran.counts(epoch)))
        )
    for epoch in looped:
        wanted = loop(*model_of(folder, epoch, arch), data)
        assert_array_equal(ran.predictions(epoch)["prediction"], wanted.predictions)
        order = ran.predictions(epoch)["target"].to_numpy(copy=True)
        at = f"epoch == {epoch} and split == 'test' and metric =="
        logits = torch.from_numpy(wanted.logits).double()
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(order).long()).item()
        assert ran.value(f"{at} 'loss'") == pytest.approx(loss, rel=1e-5)
        top5 = (logits.topk(5).indices == torch.from_numpy(order)[:, None]).any(1).double().mean().item()
        assert ran.value(f"{at} 'accuracy_top5'") == pytest.approx(top5, abs=1e-9)


@pytest.mark.parametrize("model", ["cnn", "vit"])
def test_the_examples_networks_are_those_of_the_complete_runs(model, shared, monkeypatch):
    """The complete run's last checkpoint fits into the network, which then gives the stored predictions."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, "models", raising=False)
    recipes = runpy.run_path(str(EXAMPLES / "train_cifar100.py"))["RECIPES"]
    run = shared / "data" / "runs" / f"cifar100-{model}"
    network = recipes[model].build(100)
    checkpoint = torch.load(run / "epoch_030.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(checkpoint["state_dict"])
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))
    files = sorted((shared / "data" / "images" / "cifar100").glob("*/*.png"))[::20]
    images = torch.stack(
        [torch.from_numpy(np.asarray(Image.open(file).convert("RGB")).copy()).permute(2, 0, 1) for file in files]
    )
    with torch.no_grad():
        answers = network.eval()((images / 255 - mean) / std).argmax(1)
    expected = np.load(run / "preds.npy")[30][[int(file.stem) for file in files]]
    assert_array_equal(answers, expected)


@pytest.mark.parametrize(
    ("name", "run", "classes"), [("fashion-mnist", "fashion-mnist-tinycnn", 10), ("cifar100", "cifar100-cnn", 100)]
)
def test_the_images_and_their_classes_are_those_of_torchvision(name, run, classes, shared):
    folder = shared / "data" / "images" / name
    samples, expected = open_samples(str(folder)), ImageFolder(str(folder))
    assert samples.source == f"image folder {folder} (1,000 images, {classes} classes)"
    assert (list(samples.paths), list(samples.names)) == ([path for path, _ in expected.samples], expected.classes)
    assert samples.targets.tolist() == expected.targets
    assert samples.image(0).size in ((28, 28), (32, 32))
    labels = load_preset(name)
    targets, warnings = match_classes(samples, classes, labels.names, labels.wnids)
    numbers = np.load(shared / "data" / "runs" / run / "targets.npy")
    assert targets.tolist() == [numbers[int(path[-9:-4])] for path in samples.paths]
    assert warnings == []
