"""Predictions of test and training images: in one table, in one NPZ file, and in files
next to each other.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.errors import raises
from numpy.testing import assert_array_equal

from dsi_cli.predictions.files import open_predictions, read_predictions, require_runs

TARGETS, TRAIN_TARGETS = np.array([0, 1, 1]), np.array([1, 0, 2, 2])
PREDICTIONS = np.array([[0, 0, 1], [0, 1, 2]])
TRAIN = np.array([[1, 0, 0, 2], [1, 1, 2, 2]])
CLASSES = 3


def rows(targets, predictions, epochs, **columns):
    """Return a table of predictions (epochs, samples) with more columns."""
    frames = []
    for epoch, predicted in zip(epochs, predictions, strict=True):
        values = {"epoch": epoch, "target": targets, "prediction": predicted}
        frames.append(pd.DataFrame(values | columns))
    return pd.concat(frames)


def found_in(file, epochs=(3, 4), run="run"):
    """Return the predictions by split and epoch of a file."""
    found = {}
    for split, of_split in file.of_run(run, Path("runs/run")).items():
        results = of_split.results(epochs, CLASSES, run=run)
        found[split] = {
            epoch: result.predictions.tolist() for epoch, result in results.items()
        }
    return found


BOTH = {
    "test": dict(zip((3, 4), PREDICTIONS.tolist(), strict=True)),
    "train": dict(zip((3, 4), TRAIN.tolist(), strict=True)),
}


@pytest.mark.parametrize(
    "names", [("test", "train"), ("val", "TRAIN"), ("Validation", "training")]
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_read_predictions_of_a_table_with_a_split_returns_both(names, suffix, tmp_path):
    test = rows(TARGETS, PREDICTIONS, (3, 4), split=names[0], path=["a", "b", "c"])
    train = rows(TRAIN_TARGETS, TRAIN, (3, 4), split=names[1], path=list("defg"))
    table = pd.concat([train, test]).sort_values("epoch", kind="stable")
    path = tmp_path / f"both.{suffix}"
    getattr(table, f"to_{suffix}")(path, index=False)
    file = read_predictions(path)
    assert file.splits == {"test", "train"}
    assert found_in(file) == BOTH
    of_train = file.of_run("run", Path("runs/run"))["train"]
    assert of_train.results((3, 4), CLASSES)[4].paths == list("defg")


def test_read_predictions_of_a_table_with_splits_and_runs_separates_both(tmp_path):
    tables = []
    for run, split in (("a", "test"), ("b", "train"), ("b", "test")):
        tables.append(rows(TARGETS, PREDICTIONS, (3, 4), split=split, run=run))
    pd.concat(tables).to_csv(tmp_path / "p.csv", index=False)
    file = read_predictions(tmp_path / "p.csv")
    assert set(found_in(file, run="a")) == {"test"}
    assert set(found_in(file, run="b")) == {"test", "train"}
    require_runs(file, {"a": Path("runs/a"), "b": Path("runs/b")})


@pytest.mark.parametrize(
    ("splits", "code", "fields"),
    [
        (["train", "dogs"], "unknown-split", {"split": "dogs"}),
        (["val", "test"], "several-test-splits", {"splits": ["test", "val"]}),
        (["train", None], "missing-value", {"column": "split", "rows": 3}),
    ],
)
def test_read_predictions_of_another_split_raises(splits, code, fields, tmp_path):
    tables = [rows(TARGETS, PREDICTIONS[:1], (3,), split=split) for split in splits]
    pd.concat(tables).to_parquet(tmp_path / "p.parquet")
    with raises(code, **fields):
        read_predictions(tmp_path / "p.parquet")


@pytest.mark.parametrize("has_split", [True, False])
def test_read_predictions_takes_the_targets_of_each_split(has_split, tmp_path):
    test = rows(TARGETS, PREDICTIONS, (3, 4), split="test")
    train = rows(TRAIN_TARGETS, TRAIN, (3, 4), split="train")
    table = pd.concat([test, train]).drop(columns="target")
    table.to_csv(tmp_path / "p.csv", index=False)
    if has_split:
        targets = tmp_path / "t.csv"
        pd.concat([test, train]).query("epoch == 3").to_csv(targets, index=False)
    else:
        targets = tmp_path / "t.npz"
        np.savez(targets, targets=TARGETS, train_targets=TRAIN_TARGETS)
    file = read_predictions(tmp_path / "p.csv", targets)
    counts = {
        split: of_split.results((3, 4), CLASSES)[3].counts.trace()
        for split, of_split in file.of_run("run", Path("runs/run")).items()
    }
    assert counts == {"test": 2, "train": 3}


def test_read_predictions_compares_given_targets_with_the_test_split(save, tmp_path):
    arrays = {"predictions": PREDICTIONS, "targets": TARGETS}
    arrays |= {"train_predictions": TRAIN, "train_targets": TRAIN_TARGETS}
    path = save("both.npz", arrays)
    file = read_predictions(path, save("t.npy", TARGETS))
    assert file.truths.keys() == {"test"}
    with raises("target-count", targets=4):
        read_predictions(path, save("t.npy", TRAIN_TARGETS))


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        ({}, [3, 4]),
        ({"epochs": [3, 4]}, [3, 4]),
        ({"epochs": [3, 4], "train_epochs": [2, 4]}, [2, 4]),
        ({"train_epochs": [2, 3]}, [2, 3]),
    ],
)
def test_read_predictions_of_an_npz_file_gives_training_predictions_their_epochs(
    epochs, expected, save
):
    arrays = {"predictions": PREDICTIONS, "targets": TARGETS}
    arrays |= {"train_predictions": TRAIN, "train_targets": TRAIN_TARGETS}
    arrays |= {name: np.array(values) for name, values in epochs.items()}
    found = found_in(
        read_predictions(save("both.npz", arrays)).of_run("", Path())["train"], range(5)
    )
    assert found == {"train": dict(zip(expected, TRAIN.tolist(), strict=True))}


def test_fewer_shared_epochs_of_training_predictions_are_the_last_ones(save):
    arrays = {
        "predictions": PREDICTIONS,
        "targets": TARGETS,
        "epochs": np.array([3, 4]),
    }
    arrays |= {"train_predictions": TRAIN[1], "train_targets": TRAIN_TARGETS}
    found = found_in(read_predictions(save("both.npz", arrays)), range(9))
    assert found["train"] == {4: TRAIN[1].tolist()}


def test_read_predictions_of_training_images_alone_has_one_split(save):
    scores = np.linspace(0.1, 0.9, 8).reshape(2, 4)
    arrays = {"train_predictions": TRAIN, "train_targets": TRAIN_TARGETS}
    file = read_predictions(save("train.npz", arrays | {"train_scores": scores}))
    assert found_in(file) == {"train": BOTH["train"]}
    result = file.results((3, 4), CLASSES)[4]
    assert_array_equal(result.scores, scores[1])
    confusions = np.arange(1, 19).reshape(2, 3, 3)
    file = read_predictions(save("counts.npz", {"train_confusions": confusions}))
    assert file.splits == {"train"}
    with raises("no-targets", split="train"):
        read_predictions(save("train.npz", {"train_predictions": TRAIN}))
    with raises("predictions-array"):
        read_predictions(save("train.npz", {"train_loss": TRAIN, "targets": TARGETS}))


def test_fewer_rows_of_training_predictions_are_the_last_epochs(save, tmp_path):
    save("targets_train.npy", TRAIN_TARGETS)
    file = read_predictions(save("preds_train.npy", TRAIN))
    assert file.truth.name == "targets_train.npy"
    assert found_in(file, range(7)) == {
        "train": dict(zip((5, 6), TRAIN.tolist(), strict=True))
    }
    with raises("epoch-count", rows=2, epochs=1):
        file.results((3,), CLASSES)
    save("targets.npy", TARGETS)
    with raises("epoch-count", rows=2, epochs=7):
        read_predictions(save("preds.npy", PREDICTIONS)).results(range(7), CLASSES)
    (tmp_path / "targets_train.npy").unlink()
    with raises("no-targets", split="train"):
        read_predictions(tmp_path / "preds_train.npy")


@pytest.mark.parametrize("folder", ["all", "all/run"])
def test_open_predictions_of_a_folder_finds_both_files(folder, save, tmp_path):
    save(f"{folder}/preds.npy", PREDICTIONS)
    save(f"{folder}/targets.npy", TARGETS)
    save(f"{folder}/preds_train.npy", TRAIN)
    save(f"{folder}/targets_train.npy", TRAIN_TARGETS)
    found = open_predictions(tmp_path / "all")
    assert found.splits == {"test", "train"}
    require_runs(found, {"run": Path("runs/run")})
    assert found_in(found) == BOTH
    for name in ("preds.npy", "targets.npy"):
        (tmp_path / folder / name).unlink()
    found = open_predictions(tmp_path / "all")
    assert found.splits == {"train"}
    assert found_in(found) == {"train": BOTH["train"]}
    given = open_predictions(tmp_path / "all", save("t.npy", TRAIN_TARGETS))
    of_train = given.of_run("run", Path("runs/run"))["train"]
    assert of_train.truth.name == "t.npy"


def test_open_predictions_of_a_folder_takes_the_file_of_training_images_first(
    save, tmp_path
):
    tables = [
        rows(TARGETS, PREDICTIONS, (3, 4), split="test"),
        rows(TARGETS, PREDICTIONS, (3, 4), split="train"),
    ]
    (tmp_path / "all").mkdir()
    pd.concat(tables).to_csv(tmp_path / "all" / "predictions.csv", index=False)
    assert found_in(open_predictions(tmp_path / "all"))["train"] == BOTH["test"]
    save("all/preds_train.npy", TRAIN)
    save("all/targets_train.npy", TRAIN_TARGETS)
    found = open_predictions(tmp_path / "all")
    assert found.name == "predictions.csv and preds_train.npy"
    assert found_in(found) == BOTH


def test_read_predictions_of_a_folder_takes_both_splits_of_each_file(save, tmp_path):
    for epoch in (3, 4):
        arrays = {"predictions": PREDICTIONS[epoch - 3], "targets": TARGETS}
        arrays |= {
            "train_predictions": TRAIN[epoch - 3],
            "train_targets": TRAIN_TARGETS,
        }
        save(f"all/epoch_{epoch}.npz", arrays)
    assert found_in(read_predictions(tmp_path / "all")) == BOTH
