"""Folders with one file per epoch, sources in words, and paths without
predictions.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from helpers.errors import raises
from numpy.testing import assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.predictions.files import (
    find_prediction_files,
    nearby_names,
    open_predictions,
    read_predictions,
    require_runs,
)

NAMES = ("cat", "dog", "aquarium_fish", "7")


def test_a_folder_has_a_file_an_epoch_of_any_format(
    save, tmp_path, counts_of, targets, predictions, counts
):
    rows = "target,prediction\n" + "".join(
        f"{t},{p}\n" for t, p in zip(targets, predictions[1], strict=True)
    )
    save("f/model2_epoch_000.npy", predictions[0])
    save("f/0001.CSV", rows)
    save("f/cm_epoch=2-acc=0.71.npz", {"confusions": counts[2:]})
    save("f/targets.npy", targets)
    for other in ("log.csv", "._epoch_3.npy", "epoch_004.pt", "notes5.txt"):
        save(f"f/{other}", "x")
    (tmp_path / "f" / "6.npy").mkdir()
    assert_array_equal(counts_of(tmp_path / "f"), counts)
    read = read_predictions(tmp_path / "f")
    found = read.results([0, 2, 9], 4, NAMES)
    assert list(found) == [0, 2]
    assert (
        read.describe(found.values(), "2 epochs, ")
        == "f (2 epochs, 40 samples), truth from targets.npy"
    )


def test_the_epoch_in_a_file_must_be_the_one_in_its_name(save, tmp_path):
    one = "epoch,target,prediction\n{},1,1\n"
    save("f/e3.csv", one.format(3))
    assert list(read_predictions(tmp_path / "f").results([1, 3], 2)) == [3]
    path = save("f/e4.csv", one.format(5))
    with raises("several-epochs-in-file", UsageError, epoch=4):
        read_predictions(tmp_path / "f")
    path.write_text(one.format(4) + "5,1,1\n")
    with pytest.raises(UsageError, match="found epochs 4, 5"):
        read_predictions(tmp_path / "f")
    path.unlink()
    # a square array of one epoch is a confusion matrix
    save("f/e4.npy", np.array([[3, 0], [1, 2]]))
    found = read_predictions(tmp_path / "f").results([3, 4], 2)
    assert {epoch: result.counts.tolist() for epoch, result in found.items()} == {
        3: [[0, 0], [0, 1]],
        4: [[3, 0], [1, 2]],
    }
    save("f/e4.npy", np.ones((2, 3, 3)))
    with pytest.raises(
        UsageError,
        match=r"e4.npy: expected the predictions of epoch 4 alone, .* found 2 rows",
    ):
        read_predictions(tmp_path / "f")


def test_a_folder_without_epochs_in_the_names_is_refused(save, tmp_path):
    save("f/preds.npy", np.zeros((2, 3)))
    with raises("no-epoch-files", UsageError):
        read_predictions(tmp_path / "f")


@pytest.mark.parametrize(("split", "end"), [("test", ""), ("train", "_train")])
def test_find_beside_needs_both_files(save, tmp_path, split, end):
    assert find_prediction_files(tmp_path, split) is None
    save(f"preds{end}.npy", np.zeros(1))
    assert find_prediction_files(tmp_path, split) is None
    assert find_prediction_files(tmp_path / "none", split) is None
    save(f"targets{end}.npy", np.zeros(1))
    assert find_prediction_files(tmp_path, split) == (
        tmp_path / f"preds{end}.npy",
        tmp_path / f"targets{end}.npy",
    )


def test_find_beside_takes_the_first_name(save, tmp_path):
    save("preds.npy", np.zeros(1))
    targets = save("targets.npy", np.zeros(1))
    table = save("predictions.csv", "target,prediction\n0,1\n")
    assert nearby_names(tmp_path, "test") == ["preds.npy", "predictions.csv"]
    targets.unlink()
    assert find_prediction_files(tmp_path, "test") == (table, None)


@pytest.mark.parametrize("checkpoints", ["", "checkpoints"])
def test_a_folder_with_predictions_of_each_run_is_matched_by_the_path_of_the_run(
    save, tmp_path, checkpoints
):
    save("preds/cnn/seed0/predictions.csv", "y_true,y_pred\n0,1\n1,1\n")
    save(
        "preds/seed1/predictions.npz",
        {"predictions": np.array([1, 0]), "targets": np.array([0, 1])},
    )
    found = open_predictions(tmp_path / "preds")
    assert found.name == "preds"
    runs = {
        name: Path("/x/runs/cnn", name, checkpoints)
        for name in ("seed0", "seed1", "seed2")
    }
    accuracies = []
    for name, folder in runs.items():
        of_run = found.of_run(name, folder)
        result = of_run["test"].results([5], 2, run=name)[5] if of_run else None
        accuracies.append(None if result is None else result.counts.trace() / 2)
    assert accuracies == [0.5, 0, None]
    assert found.of_run("vit/seed1", Path("/x/runs/vit/seed1")) == {}, (
        "a name of two folders is not that of one"
    )
    require_runs(found, runs)
    with raises("unknown-run"):
        require_runs(found, {"other": Path("/x/other")})
    assert open_predictions(tmp_path / "preds" / "seed1").name == "predictions.npz"
    with raises("no-epoch-files"):
        open_predictions(save("empty/model.pt", "x").parent)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "none.npy",
            (
                r"none.npy': expected a file \(.npy, .npz, .parquet, .csv\), or .* a"
                r" folder .*, found no such file"
            ),
        ),
        ("x" * 5000, "found no such file; check the path"),
        ("nul\0.npy", "found no such file; check the path"),
        ("pipe.npy", "found no such file; check the path"),
        ("a.pkl", "found the suffix '.pkl'; save a table with the columns target"),
    ],
)
def test_a_path_without_predictions_is_refused(save, tmp_path, name, message):
    save("a.pkl", "x")
    if name == "pipe.npy" and hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / name)
    for given in (tmp_path / name, str(tmp_path / name)):
        with pytest.raises(UsageError, match=message) as caught:
            read_predictions(given)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=message):
        read_predictions(save("p.npy", np.zeros((1, 2))), tmp_path / name)
    with pytest.raises(UsageError, match="found a folder; check the path"):
        read_predictions(tmp_path / "p.npy", tmp_path)


def test_a_file_that_may_not_be_read_is_refused(save, monkeypatch):
    path = save("p.npy", np.zeros((1, 4), dtype=int))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UsageError, match="may not be read"):
        read_predictions(path)
