"""Curves that trainers wrote themselves."""

import json

import pytest

from dsi_cli.checkpoints.training_logs import find_log, read_log, scalars_of


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_read_log_joins_rows_of_one_epoch(tmp_path):
    """As Lightning writes: train and validation values in rows of their own, the last value counts."""
    text = (
        "epoch,step,train_loss_epoch,val_loss,val_acc,lr-SGD\n"
        "0,3,2.5,,,0.1\n0,3,,2.25,0.25,\n1,7,1.5,,,0.05\n1,7,,1.25,0.5,\n1,9,1.4,,,\n"
    )
    log = read_log(written(tmp_path / "metrics.csv", text))
    assert log.by_epoch == {
        0: {"train_loss": 2.5, "test_loss": 2.25, "test_accuracy": 0.25, "learning_rate": 0.1},
        1: {"train_loss": 1.4, "test_loss": 1.25, "test_accuracy": 0.5, "learning_rate": 0.05},
    }
    assert not log.begins_before_training


def test_read_log_of_a_trainer_state_has_its_curves(tmp_path):
    history = [
        {"epoch": 0.5, "loss": 2.0, "learning_rate": 0.1, "step": 1},
        {"epoch": 1.0, "loss": 1.5, "step": 2},
        {"epoch": 1.0, "eval_loss": 1.4, "eval_accuracy": 0.75, "step": 2},
        {"train_runtime": 3.0},
        "no row",
    ]
    log = read_log(written(tmp_path / "trainer_state.json", json.dumps({"log_history": history})))
    assert log.by_epoch[1] == {"train_loss": 1.5, "test_loss": 1.4, "test_accuracy": 0.75, "learning_rate": 0.1}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "a,b\n1,2\n",
        "epoch\nnot a number\n",
        "epoch,train_loss\nnan,1\ninf,2\n",
        '"' + "x" * 200_000,
        "\0\0\0",
        "epoch\n1,2,3,4\n",
    ],
)
def test_read_log_of_garbage_has_no_curves(text, tmp_path):
    log = read_log(written(tmp_path / "log.csv", text))
    assert log is None or not any(log.by_epoch.values())


def test_a_log_is_found_in_the_first_place_that_has_one(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    places = [run, tmp_path]
    assert find_log(places) is None
    above = written(tmp_path / "log.csv", "epoch,train_loss\n0,3\n")
    assert find_log([run]) is None
    assert find_log(places).path == above
    written(run / "metrics.csv", "no,epochs\n1,2\n")
    assert find_log(places).path == above
    beside = written(run / "summary.csv", "epoch,train_loss\n0,2\n")
    assert find_log(places).path == beside


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"train_loss": 2.0, "test_acc": 0.5, "lr": 0.1}, {"train_loss": 2.0, "test_accuracy": 0.5, "learning_rate": 0.1}),
        (
            {"test_acc": 50.0, "train_acc": 75.0, "val_acc5": 100.0},
            {"test_accuracy": 0.5, "train_accuracy": 0.75, "test_accuracy_top5": 1.0},
        ),
        ({"__metadata__": {"loss": "1.5", "val_acc": "null"}}, {"train_loss": 1.5}),
        ({"loss": True, "val_loss": None, "acc": float("nan")}, {}),
        ([], {}),
        ({"__metadata__": 3, 4: 5}, {}),
    ],
)
def test_curves_of_a_checkpoint_are_its_scalars(tree, expected):
    assert scalars_of(tree) == expected
