"""The way in: real runs, folders, sources, and paths that are none."""

from __future__ import annotations

import csv
import os

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.predictions import files
from dsi_cli.predictions.files import find_beside, read

NAMES = ("cat", "dog", "aquarium_fish", "7")


@pytest.mark.parametrize("run", ["cifar100-cnn", "cifar100-vit"])
def test_the_accuracy_of_the_real_runs_is_their_logs(four_runs, run):
    folder = four_runs / run
    beside = find_beside(folder)
    assert beside == (folder / "preds.npy", folder / "targets.npy")
    with (folder / "log.csv").open() as file:
        accuracy = {int(row["epoch"]): float(row["test_acc"]) for row in csv.DictReader(file)}
    predictions = read(*beside)
    assert predictions.source == "preds.npy (31 epochs, 10,000 samples), truth from targets.npy"
    found = predictions.outcomes(list(accuracy), 100)
    assert list(found) == list(accuracy)
    for epoch, outcome in found.items():
        assert outcome.samples_used == 10_000
        assert_allclose(np.trace(outcome.counts) / outcome.samples_used, accuracy[epoch], rtol=0, atol=1e-4)


def test_all_forms_of_a_real_run_give_the_same_counts(four_runs, tmp_path, save):
    folder = four_runs / "cifar100-cnn"
    predictions, targets = (np.load(path) for path in find_beside(folder))
    names = (folder / "classes.txt").read_text().split()
    epochs = range(len(predictions))
    expected = np.array([one.counts for one in read(*find_beside(folder)).outcomes(epochs, 100).values()])
    labels = np.array(names)
    columns = {
        "epoch": np.repeat(epochs, 10_000),
        "label": labels[np.tile(targets, 31)],
        "pred": labels[predictions].ravel(),
    }
    pa.csv.write_csv(pa.table(columns), tmp_path / "names.csv")
    for epoch in epochs:
        np.savetxt(tmp_path / f"cm_{epoch:02}.csv", expected[epoch], "%d", ",", header=",".join(names), comments="")
    (tmp_path / "cms").mkdir()
    for path in tmp_path.glob("cm_*.csv"):
        path.rename(tmp_path / "cms" / path.name)
    for path in (tmp_path / "names.csv", tmp_path / "cms", save("cm.npy", expected)):
        found = read(path).outcomes(epochs, 100, names)
        assert_array_equal([one.counts for one in found.values()], expected)


def test_a_folder_has_a_file_an_epoch_of_any_form(save, tmp_path, counts_of, targets, predictions, counts):
    rows = "target,prediction\n" + "".join(f"{t},{p}\n" for t, p in zip(targets, predictions[1], strict=True))
    save("f/model2_epoch_000.npy", predictions[0])
    save("f/0001.CSV", rows)
    save("f/cm-2.npz", {"confusions": counts[2:]})
    save("f/targets.npy", targets)
    for other in ("log.csv", "._epoch_3.npy", "epoch_004.pt", "notes5.txt"):
        save(f"f/{other}", "x")
    (tmp_path / "f" / "6.npy").mkdir()
    assert_array_equal(counts_of(tmp_path / "f"), counts)
    assert read(tmp_path / "f").source == "f (3 epochs, confusion counts; rows are the truth), truth from targets.npy"
    assert list(read(tmp_path / "f").outcomes([0, 2, 9], 4)) == [0, 2]


def test_what_a_file_says_of_its_epoch_must_be_its_names(save, tmp_path):
    one = "epoch,target,prediction\n{},1,1\n"
    save("f/e3.csv", one.format(3))
    assert list(read(tmp_path / "f").outcomes([1, 3], 2)) == [3]
    path = save("f/e4.csv", one.format(5))
    with pytest.raises(
        UsageError, match=r"e4.csv: expected the predictions of epoch 4 alone, .* found the epochs 5; name the"
    ):
        read(tmp_path / "f")
    path.write_text(one.format(4) + "5,1,1\n")
    with pytest.raises(UsageError, match="found the epochs 4, 5"):
        read(tmp_path / "f")
    path.unlink()
    save("f/e4.npy", np.ones((2, 3, 3)))
    with pytest.raises(UsageError, match=r"e4.npy: expected the predictions of epoch 4 alone, .* found 2 rows"):
        read(tmp_path / "f")


def test_two_files_of_one_epoch_are_refused(save, tmp_path):
    save("f/a1.csv", "target,prediction\n1,1\n")
    save("f/b01.csv", "target,prediction\n1,1\n")
    with pytest.raises(UsageError, match=r"f: expected epoch 1 once, found it in .*a1.csv and .*b01.csv; keep one of them"):
        read(tmp_path / "f").outcomes([1], 2)


def test_a_folder_without_epochs_in_the_names_is_refused(save, tmp_path):
    save("f/preds.npy", np.zeros((2, 3)))
    with pytest.raises(
        UsageError, match="with the epoch as the last number in the name, found none; name one file with all"
    ):
        read(tmp_path / "f")


def test_both_files_must_lie_beside(save, tmp_path):
    assert find_beside(tmp_path) is None
    save("preds.npy", np.zeros(1))
    assert find_beside(tmp_path) is None
    assert find_beside(tmp_path / "none") is None
    save("targets.npy", np.zeros(1))
    assert find_beside(str(tmp_path)) == (tmp_path / "preds.npy", tmp_path / "targets.npy")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "none.npy",
            r"none.npy: expected a file with predictions \(.npy, .npz, .parquet, .csv, .tsv\), or a folder .*, found noth",
        ),
        ("x" * 5000, r"could not be read \(File name too long\)"),
        ("nul\0.npy", r"could not be read \(embedded null (byte|character.*)\)"),
        ("a.pkl", "found the suffix '.pkl'; name another file, or rename it"),
        ("empty.npy", "found an empty file; write it again"),
    ],
)
def test_what_is_no_path_to_predictions_is_refused(save, tmp_path, name, message):
    save("a.pkl", "x")
    save("empty.npy", "")
    for given in (tmp_path / name, str(tmp_path / name)):
        with pytest.raises(UsageError, match=message) as caught:
            read(given)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"found nothing there|could not be read|suffix|an empty file"):
        read(save("p.npy", np.zeros((1, 2))), tmp_path / name)


def test_a_folder_is_no_file_with_targets(save, tmp_path):
    with pytest.raises(UsageError, match="expected a file with one target a sample, found a folder; name a plain file"):
        read(save("p.npy", np.zeros((1, 2))), tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.npy")
    with pytest.raises(UsageError, match="found a pipe or device; name a plain file"):
        read(tmp_path / "a.npy")


def test_a_file_that_is_too_large_is_refused(save):
    path = save("a.npy", "x")
    os.truncate(path, files.LARGEST + 1)
    with pytest.raises(UsageError, match="of at most 8 GB, found more; split it by epoch"):
        read(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user who may not read everything")
def test_a_file_that_may_not_be_read_is_refused(save):
    path = save("a.npy", np.zeros((1, 2)))
    path.chmod(0)
    with pytest.raises(UsageError, match=r"could not be read \(Permission denied\)"):
        read(path)


def test_the_truth_is_on_one_of_two_axes(save):
    with pytest.raises(UsageError, match="expected the truth on rows or columns, found 'cols'; give one of the two"):
        read(save("a.npy", np.zeros((1, 2, 2))), truth="cols")


def test_the_source_says_how_many(save):
    text = "epoch,target,prediction\n0,1,1\n1,1,1\n1,1,1\n"
    assert read(save("a.csv", text)).source == "a.csv (2 epochs, 1 to 2 samples)"
    assert read(save("a.csv", "target,prediction,count\n0,1,1\n")).source == "a.csv (1 epoch, confusion counts)"
