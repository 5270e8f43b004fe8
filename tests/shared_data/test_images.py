"""The shared test images: their classes, and the predictions that the complete runs
give on them.
"""

import json

import numpy as np
import pytest
import torch
from helpers import oracles_testset as oracles
from numpy.testing import assert_array_equal
from torch import nn


def model_of(folder, epoch, arch):
    """Return the network of a complete run with weights that torch loads, and the
    function that prepares an image for it.
    """
    names: dict = {}
    exec(
        compile((folder / "models.py").read_text(encoding="utf-8"), "models", "exec"),
        names,
    )
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    channels = len(config["mean"])
    weights = torch.load(folder / f"epoch_{epoch:03}.pt", weights_only=True)[
        "state_dict"
    ]
    net = names["build"](arch, 10 if channels == 1 else 100, channels)
    net.load_state_dict(weights, strict=True)
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))

    def transform(image):
        values = (
            torch.from_numpy(np.array(image))
            .reshape(*image.size[::-1], channels)
            .permute(2, 0, 1)
        )
        return (values.float() / 255 - mean) / std

    return net.eval(), transform


@pytest.mark.parametrize(
    ("run", "images", "arch", "epochs", "looped"),
    [
        ("fashion-mnist-tinycnn", "fashion-mnist", "tinycnn", range(16), (0, 15)),
        (
            "cifar100-cnn",
            "cifar100",
            "cnn",
            (0, 30),
            (30,),
        ),  # where rounding to float16 turned no near tie
        ("cifar100-vit", "cifar100", "vit", (2, 30), (30,)),
    ],
)
def test_the_real_runs_give_their_stored_predictions(
    run, images, arch, epochs, looped, shared, evaluate, loop
):
    folder, data = shared / "data" / "runs" / run, shared / "data" / "images" / images
    ran = evaluate(
        *(
            folder,
            "--model",
            f"{folder / 'models.py'}:build",
            "--model-arg",
            f"arch={arch}",
        ),
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
            ran.counts(epoch),
            oracles.confusion(
                targets[number], stored[epoch][number], len(ran.counts(epoch))
            ),
        )
    for epoch in looped:
        wanted = loop(*model_of(folder, epoch, arch), data)
        assert_array_equal(ran.predictions(epoch)["prediction"], wanted.predictions)
        order = ran.predictions(epoch)["target"].to_numpy(copy=True)
        at = f"epoch == {epoch} and split == 'test' and metric =="
        logits = torch.from_numpy(wanted.logits).double()
        loss = nn.functional.cross_entropy(
            logits, torch.from_numpy(order).long()
        ).item()
        assert ran.value(f"{at} 'loss'") == pytest.approx(loss, rel=1e-5)
        top5 = (
            (logits.topk(5).indices == torch.from_numpy(order)[:, None])
            .any(1)
            .double()
            .mean()
            .item()
        )
        assert ran.value(f"{at} 'accuracy_top5'") == pytest.approx(top5, abs=1e-9)
