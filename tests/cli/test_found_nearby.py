"""What lies in or next to checkpoints and is used without being named: class names, and
the truth of predictions.
"""

import json
import sys
import types

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.outputs import ANIMALS
from sklearn.metrics import confusion_matrix

QUICK = ("--no-report",)
SORTED = sorted(ANIMALS)


def names(out):
    return pd.read_parquet(out / "classes.parquet")["name"].to_list()


@pytest.mark.parametrize("place", ["run", "run/weights"])
def test_class_to_idx_lies_in_the_runs_folder_or_above(dsi, make_run, tmp_path, place):
    run, out = make_run("run/weights", epochs=1, labels=None), tmp_path / "out"
    (tmp_path / place / "class_to_idx.json").write_text(
        json.dumps({name: k for k, name in enumerate(ANIMALS)})
    )
    assert "dsi uses class_to_idx.json\n" in dsi("analyze", run, "-o", out, *QUICK).err
    assert names(out) == list(ANIMALS)


@pytest.mark.parametrize(
    "listed", [dict(enumerate(ANIMALS)), list(ANIMALS)], ids=["map", "list"]
)
@pytest.mark.parametrize("place", ["model", "ema", "top"])
def test_names_within_a_checkpoint_of_ultralytics_are_found(
    dsi, tmp_path, monkeypatch, listed, place
):
    class ClassificationModel(torch.nn.Module):
        __module__, __qualname__ = "ultralytics.nn.tasks", "ClassificationModel"

    module = types.ModuleType("ultralytics.nn.tasks")
    module.ClassificationModel = ClassificationModel
    for name in ("ultralytics", "ultralytics.nn"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    model = ClassificationModel()
    model.model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8, len(ANIMALS))
    )
    saved = {
        "epoch": 1,
        "model": None if place == "ema" else model,
        "ema": model if place == "ema" else None,
    }
    if place == "top":
        saved["names"] = listed
    else:
        model.names = listed
    (tmp_path / "weights").mkdir()
    torch.save(
        saved | {"train_args": {"task": "classify"}}, tmp_path / "weights" / "epoch1.pt"
    )
    out = tmp_path / "out"
    assert (
        dsi("analyze", tmp_path / "weights", "-o", out, *QUICK).code,
        names(out),
    ) == (0, list(ANIMALS))


@pytest.fixture
def answers(tmp_path):
    """Return the folder of predictions of four epochs, and of the truth next to
    them.
    """
    folder = tmp_path / "answers"
    folder.mkdir()
    drawn = np.random.default_rng(0)
    np.save(folder / "preds.npy", drawn.integers(0, len(ANIMALS), (4, 200)))
    np.save(folder / "targets.npy", drawn.integers(0, len(ANIMALS), 200))
    return folder


def test_the_truth_next_to_predictions_is_used_and_named(
    dsi, make_run, tmp_path, answers
):
    run = make_run()
    given = ("--predictions", answers / "preds.npy", *QUICK)
    ended = dsi("analyze", run, "-o", tmp_path / "out", *given)
    assert ended.code == 0
    assert "preds.npy (4 epochs, 200 samples), truth from targets.npy\n" in ended.err
    assert (
        dsi(
            "analyze",
            run,
            "-o",
            tmp_path / "out2",
            *given,
            "--targets",
            answers / "targets.npy",
        ).code
        == 0
    )
    pd.testing.assert_frame_equal(
        *(pd.read_parquet(tmp_path / out / "curves.parquet") for out in ("out", "out2"))
    )
    (answers / "targets.npy").unlink()
    ended = dsi("analyze", run, "-o", tmp_path / "out3", *given)
    assert (ended.code, ended.err.count("\n")) == (2, 2)
    assert "\nhint: give them with --targets" in ended.err


def test_predictions_of_one_run_are_not_taken_for_several(
    dsi, make_run, tmp_path, answers
):
    for name in ("a", "b"):
        make_run(f"runs/{name}", seed=ord(name))
    out = tmp_path / "out"
    ended = dsi(
        "analyze",
        tmp_path / "runs",
        "-o",
        out,
        "--predictions",
        answers / "preds.npy",
        *QUICK,
    )
    assert (ended.code, ended.out) == (2, "")
    assert (
        ended.err
        == "error: preds.npy does not name the run of its predictions, and there are 2:"
        " 'a', 'b'\nhint: analyse one run at a time (dsi analyze FOLDER --predictions"
        " preds.npy), or give a table with a column 'run'\n"
    )
    rows = [
        {"run": run, "epoch": 3, "target": 0, "prediction": n % number}
        for number, run in enumerate("ab", 1)
        for n in (0, 1)
    ]
    pd.DataFrame(rows).to_parquet(answers / "both.parquet")
    assert (
        dsi(
            "analyze",
            tmp_path / "runs",
            "-o",
            out,
            "--predictions",
            answers / "both.parquet",
            *QUICK,
        ).code
        == 0
    )
    curves = (
        pd.read_parquet(out / "curves.parquet")
        .query("metric == 'accuracy' and epoch == 3")
        .set_index("run")
    )
    assert curves["value"].to_dict() == {"a": 1, "b": 0.5}


@pytest.fixture
def scored(tmp_path):
    """Return true classes and predictions of 200 samples, of which 150 are right."""
    targets = np.random.default_rng(1).integers(0, len(ANIMALS), 200)
    return targets, np.where(
        np.arange(200) % 4 == 0, (targets + 1) % len(ANIMALS), targets
    )


def accuracies(out):
    curves = (
        pd.read_parquet(out / "curves.parquet")
        .query("metric == 'accuracy'")
        .dropna(subset="value")
    )
    return dict(
        zip(
            zip(curves["run"], curves["epoch"], strict=True),
            curves["value"],
            strict=True,
        )
    )


def test_predictions_without_epoch_belong_to_the_last_one_and_a_line_says_so(
    dsi, make_run, tmp_path, scored
):
    run, (targets, predicted) = make_run(), scored
    np.save(tmp_path / "targets.npy", targets)
    np.save(tmp_path / "cm.npy", confusion_matrix(targets, predicted))
    np.save(tmp_path / "y_pred.npy", predicted)
    np.save(tmp_path / "logits.npy", np.eye(len(ANIMALS))[predicted] + 0.25)
    pd.DataFrame({"y_true": targets, "y_pred": predicted, "idx": 1}).to_csv(
        tmp_path / "y.csv", index=False
    )
    for name in ("cm.npy", "y_pred.npy", "logits.npy", "y.csv"):
        ended = dsi(
            "analyze",
            run,
            "-o",
            tmp_path / name.replace(".", "-"),
            "--predictions",
            tmp_path / name,
            *QUICK,
        )
        assert ended.code == 0, ended.err
        assert (
            f"{name} names no epoch, so dsi takes its predictions for the last of 4 epochs,"
            " epoch 3\nhint: If they" in ended.err
        )
        assert accuracies(tmp_path / name.replace(".", "-")) == {("run", 3): 0.75}


def test_predictions_without_epoch_that_may_belong_to_another_are_refused(
    dsi, make_run, tmp_path, scored
):
    run, (targets, predicted) = make_run(), scored
    table = pd.DataFrame({"y_true": targets, "y_pred": predicted})
    pd.concat([table] * 4).to_csv(tmp_path / "four.csv")
    ended = dsi(
        "analyze",
        run,
        "-o",
        tmp_path / "out",
        "--predictions",
        tmp_path / "four.csv",
        *QUICK,
    )
    assert (ended.code, "found the same ones 4 times" in ended.err) == (
        2,
        True,
    ), ended.err
    table.to_csv(tmp_path / "one.csv")
    (run / "epoch_3.pt").write_bytes((run / "epoch_3.pt").read_bytes()[:-50])
    ended = dsi(
        "analyze",
        run,
        "-o",
        tmp_path / "out",
        "--predictions",
        tmp_path / "one.csv",
        *QUICK,
    )
    assert (
        ended.code,
        "the last one of run 'run', 3, cannot be used; add a column 'epoch'"
        in ended.err,
    ) == (2, True)


def test_predictions_csv_next_to_checkpoints_is_found_for_each_run(
    dsi, make_run, tmp_path, scored
):
    targets, predicted = scored
    for name in "abc":
        make_run(f"runs/{name}", seed=ord(name))
    pd.DataFrame({"y_true": targets, "y_pred": predicted}).to_csv(
        tmp_path / "runs" / "a" / "predictions.csv"
    )
    table = pd.DataFrame({"target": targets, "prediction": targets, "epoch": 1})
    table.to_csv(tmp_path / "runs" / "b" / "predictions.csv")
    for number, given in enumerate(((), ("--predictions", tmp_path / "runs"))):
        ended = dsi(
            "analyze",
            tmp_path / "runs",
            "-o",
            tmp_path / f"out{number}",
            *given,
            *QUICK,
        )
        assert ended.code == 0, ended.err
        assert accuracies(tmp_path / f"out{number}") == {("a", 3): 0.75, ("b", 1): 1}
        assert ("c: runs has no predictions of this run" in ended.err) == bool(given)


def test_a_run_without_rows_in_a_shared_file_has_no_predictions(
    dsi, make_run, tmp_path, scored
):
    targets, predicted = scored
    for name in "ab":
        make_run(f"runs/{name}", seed=ord(name))
    table = pd.DataFrame(
        {"run": "a", "epoch": 2, "y_true": targets, "y_pred": predicted}
    )
    table.to_csv(tmp_path / "all.csv")
    ended = dsi(
        "analyze",
        tmp_path / "runs",
        "-o",
        tmp_path / "out",
        "--predictions",
        tmp_path / "all.csv",
        *QUICK,
    )
    assert (ended.code, accuracies(tmp_path / "out")) == (0, {("a", 2): 0.75})
    assert "b: all.csv has no predictions of this run\n" in ended.err
    table.assign(run="A").to_csv(tmp_path / "all.csv")
    ended = dsi(
        "analyze",
        tmp_path / "runs",
        "-o",
        tmp_path / "out2",
        "--predictions",
        tmp_path / "all.csv",
        *QUICK,
    )
    assert (
        ended.code,
        "expected rows of 'a', 'b', found only 'A'\nhint: correct the column 'run'"
        in ended.err,
    ) == (2, True)
