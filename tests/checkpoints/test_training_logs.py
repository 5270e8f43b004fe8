"""Curves that trainers wrote themselves."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from helpers import errors
from torch.utils.tensorboard import SummaryWriter

from dsi_cli.checkpoints.training_logs import (
    find_log,
    read_log,
    read_named_log,
    scalars_of,
)
from dsi_cli.errors import UsageError


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_read_log_joins_rows_of_one_epoch(tmp_path):
    """As Lightning writes: train and validation values in rows of their own, the last
    value counts.
    """
    text = (
        "epoch,step,train_loss_epoch,val_loss,val_acc,lr-SGD\n"
        "0,3,2.5,,,0.1\n0,3,,2.25,0.25,\n1,7,1.5,,,0.05\n1,7,,1.25,0.5,\n1,9,1.4,,,\n"
    )
    log = read_log(written(tmp_path / "metrics.csv", text))
    assert log.by_epoch == {
        0: {
            "train_loss": 2.5,
            "test_loss": 2.25,
            "test_accuracy": 0.25,
            "learning_rate": 0.1,
        },
        1: {
            "train_loss": 1.4,
            "test_loss": 1.25,
            "test_accuracy": 0.5,
            "learning_rate": 0.05,
        },
    }
    assert not log.begins_before_training
    at_step = {
        "train_loss": 1.5,
        "test_loss": 1.25,
        "test_accuracy": 0.5,
        "learning_rate": 0.05,
    }
    assert [log.at(1, "lightning", step, is_last=False) for step in (8, 9)] == [
        at_step,
        {},
    ]


def test_read_log_of_a_trainer_state_has_its_curves(tmp_path):
    history = [
        {"epoch": 0.5, "loss": 2.0, "learning_rate": 0.1, "step": 1},
        {"epoch": 1.0, "loss": 1.5, "step": 2},
        "no row",
    ]
    history += [
        {"epoch": 1.0, "eval_loss": 1.4, "eval_accuracy": 0.75, "step": 2},
        {"epoch": 2.0, "loss": 1.2},
    ]
    # of the whole training
    history += [
        {"epoch": 2.0, "train_loss": 9.0, "total_flos": 1.0},
        {"train_runtime": 3.0},
    ]
    log = read_log(
        written(tmp_path / "trainer_state.json", json.dumps({"log_history": history}))
    )
    first = {
        "train_loss": 1.5,
        "test_loss": 1.4,
        "test_accuracy": 0.75,
        "learning_rate": 0.1,
    }
    assert log.by_epoch == {1: first, 2: {"train_loss": 1.2}}
    assert log.at(0, "transformers", 1) == {"train_loss": 2.0, "learning_rate": 0.1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "train_loss,val_loss,acc 2,3,40",
            {"train_loss": 2.0, "test_loss": 3.0, "test_accuracy": 0.4},
        ),
        (
            "loss,acc,val_acc 2,0.4,0.3",
            {"train_loss": 2.0, "train_accuracy": 0.4, "test_accuracy": 0.3},
        ),
        ("train_loss,acc 2,0.4", {"train_loss": 2.0}),
        (
            "phase,acc,lr train,0.4,1 Val,0.3,1",
            {"train_accuracy": 0.4, "test_accuracy": 0.3, "learning_rate": 1.0},
        ),
        ("fold,val_acc 1,0.5", {"test_accuracy": 0.5}),
        (
            "Accuracy/train,Accuracy/test,Loss/valid 0.4,0.3,2",
            {"train_accuracy": 0.4, "test_accuracy": 0.3, "test_loss": 2.0},
        ),
    ],
)
def test_read_log_gives_each_accuracy_to_its_split(text, expected, tmp_path):
    header, *rows = text.split()
    text = "\n".join([f"{header},epoch", *(f"{row},7" for row in rows)])
    assert read_log(written(tmp_path / "log.csv", text)).by_epoch == {7: expected}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("training.log", "epoch;train_loss;val_acc\n3;2.5;0.5\n"),
        ("log.csv", " epoch\tTrain Loss\tval_acc\n3\t2.5\t0.5\n"),
        (
            "log.txt",
            '{"train_loss": 2.5, "test_acc1": 50.0, "epoch": 3}\n\n{"train_loss": 2',
        ),
        (
            "log.txt",
            (
                '{"loss": 2.5, "epoch": 3, "mode": "train"}\n{"mode": "val", "epoch":'
                ' 3, "accuracy_top-1": 50.0}'
            ),
        ),
    ],
)
def test_read_log_of_other_delimiters_or_json_lines_has_its_curves(
    name, text, tmp_path
):
    written(tmp_path / name, text)
    assert find_log([tmp_path]).by_epoch == {
        3: {"train_loss": 2.5, "test_accuracy": 0.5}
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("history.json", '{"loss": [2, 1], "val_accuracy": [25, 50]}'),
        (
            "history.json",
            '{"loss": {"0": 2, "1": 1}, "val_accuracy": {"0": 25, "1": 50}}',
        ),
        (
            "history.json",
            '[{"loss": 2, "val_accuracy": 25}, {"loss": 1, "val_accuracy": 50}]',
        ),
        ("history.csv", ",loss,val_accuracy\n0,2,25\n1,1,50\n"),
    ],
)
def test_history_without_numbers_counts_its_rows_from_1(name, text, tmp_path):
    written(tmp_path / name, text)
    rows = [
        {"train_loss": 2.0, "test_accuracy": 0.25},
        {"train_loss": 1.0, "test_accuracy": 0.5},
    ]
    log = find_log([tmp_path])
    assert log.by_epoch == dict(enumerate(rows, start=1))
    assert not log.has_numbers
    # nothing shows that its rows are epochs
    written(tmp_path / name, text.replace("val_accuracy", "val_iou"))
    assert find_log([tmp_path]) is None


def test_rows_of_mmengine_have_the_epoch_of_their_step(tmp_path):
    rows = [
        {"loss": 2, "epoch": 1, "step": 9},
        {"accuracy/top1": 60, "step": 1},
        {"accuracy/top1": 99, "step": 9},
    ]
    for time in ("20250101", "20250102"):
        (tmp_path / time / "vis_data").mkdir(parents=True)
        written(
            tmp_path / time / "vis_data" / "scalars.json",
            "\n".join(map(json.dumps, rows)),
        )
    assert find_log([tmp_path]).by_epoch == {
        1: {"train_loss": 2.0, "test_accuracy": 0.6}
    }
    assert find_log([tmp_path]).path.parts[-3] == "20250102"


def test_read_log_takes_a_curve_from_one_column(tmp_path):
    path = written(tmp_path / "log.csv", "epoch,val_acc,test_acc\n1,0.5,\n2,0.6,0.9\n")
    assert read_log(path).by_epoch == {
        1: {"test_accuracy": 0.5},
        2: {"test_accuracy": 0.6},
    }


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "\n\n",
            "a,b\n1,2\n",
            "epoch\nnot a number\n",
            "epoch,train_loss\nnan,1\ninf,2\n",
            '"' + "x" * 200_000,
        ),
        "epoch,model_name,train_loss\n1,resnet18,2\n1,vgg16,1\n",
        *(
            "\0\0\0",
            "epoch\n1,2,3,4\n",
            "fold,epoch,val_acc\n1,1,0.5\n2,1,0.6\n",
            "run,epoch,loss\na,1,2\nb,1,1\n",
        ),
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
    for version in (9, 10):
        (run / "csv" / f"version_{version}").mkdir(parents=True)
        nested = written(
            run / "csv" / f"version_{version}" / "metrics.csv",
            "epoch,step,val/acc\n0,9,0.5\n",
        )
    assert find_log(places).path == nested
    beside = written(run / "log.tsv", "epoch\ttrain_loss\n0\t2\n")
    assert find_log(places).path == beside


def test_read_log_takes_no_row_of_a_fraction_of_an_epoch(tmp_path):
    log = read_log(
        written(tmp_path / "log.csv", "epoch,val_acc\n0.5,0.1\n1.0,0.2\n1.5,0.3\n")
    )
    assert log.by_epoch == {1: {"test_accuracy": 0.2}}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("9.5 50 100", [0.095, 0.5, 1.0]),
        ("0.5 1 50", [0.005, 0.01, 0.5]),
        ("0.095 0.5 1", [0.095, 0.5, 1.0]),
        ("950 5000 10000", [None] * 3),  # the number of correct predictions
    ],
)
def test_read_log_accuracy_in_percent_is_a_fraction(cells, expected, tmp_path):
    rows = "".join(f"{epoch},{cell}\n" for epoch, cell in enumerate(cells.split()))
    log = read_log(written(tmp_path / "log.csv", f"epoch,val_acc\n{rows}"))
    assert [
        values.get("test_accuracy") for values in log.by_epoch.values()
    ] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (
            {"train_loss": 2.0, "test_acc": 0.5, "lr": 0.1},
            {"train_loss": 2.0, "test_accuracy": 0.5, "learning_rate": 0.1},
        ),
        (
            {"train_acc": 75.0, "val_acc5": 100.0},
            {"train_accuracy": 75.0, "test_accuracy_top5": 100.0},
        ),
        ({"__metadata__": {"loss": "1.5", "val_acc": "null"}}, {"train_loss": 1.5}),
        *(
            ({"loss": True, "val_loss": None, "acc": float("nan")}, {}),
            ([], {}),
            ({"__metadata__": 3, 4: 5}, {}),
        ),
    ],
)
def test_curves_of_a_checkpoint_are_its_scalars(tree, expected):
    assert scalars_of(tree) == expected


def written_events(folder: Path, scalars: list[tuple[str, float, int]]) -> Path:
    """Return the event file that the real library writes; a histogram and a text stand
    between the scalars.
    """
    with SummaryWriter(folder) as writer:
        for at, (tag, value, step) in enumerate(scalars):
            writer.add_scalar(tag, value, step)
            if at == 0:
                writer.add_histogram("weights", np.arange(3.0), step)
                writer.add_text("note", "x" * 5000, step)
    (path,) = folder.glob("events.out.tfevents.*")
    return path


LIGHTNING = [
    *[("train_loss", 2.0 - step / 8, step) for step in range(8)],
    *[("epoch", step // 4, step) for step in range(8)],
    *[
        ("val_loss", 1.5, 3),
        ("val_acc", 0.25, 3),
        ("val_loss", 1.25, 7),
        ("val_acc", 0.5, 7),
    ],
]
EXPECTED = {
    0: {"train_loss": 1.625, "test_loss": 1.5, "test_accuracy": 0.25},
    1: {"train_loss": 1.125, "test_loss": 1.25, "test_accuracy": 0.5},
}


def test_the_tag_epoch_says_which_epoch_a_step_belongs_to_if_no_other_log_is_there(
    tmp_path,
):
    path = written_events(tmp_path / "run", LIGHTNING)
    assert (
        read_log(path).by_epoch
        == read_named_log(path.parent).by_epoch
        == find_log([path.parent]).by_epoch
        == EXPECTED
    )
    (tmp_path / "log.csv").write_text("epoch,test_acc\n0,0.75\n")
    assert find_log([path.parent, tmp_path]).path.name == "log.csv"


def test_hugging_faces_fractions_are_rounded_up(tmp_path):
    scalars = [
        ("train/epoch", 0.5, 5),
        ("train/loss", 2.0, 5),
        ("train/epoch", 1.0, 10),
        ("eval/loss", 1.5, 10),
    ]
    log = read_log(written_events(tmp_path, scalars))
    assert log.by_epoch == {1: {"train_loss": 2.0, "test_loss": 1.5}}
    assert log.at(0, "transformers", 5) == {"train_loss": 2.0}


def test_steps_are_epochs_where_every_curve_has_them_in_a_row(tmp_path):
    scalars = [("Loss/train", 3.0 - step, step) for step in (1, 2)]
    scalars += [("Loss/test", 4.0 - step, step) for step in (0, 1, 2)]
    log = read_log(written_events(tmp_path, scalars))
    rows = [
        {"test_loss": 4.0},
        {"train_loss": 2.0, "test_loss": 3.0},
        {"train_loss": 1.0, "test_loss": 2.0},
    ]
    assert log.by_epoch == dict(enumerate(rows))
    assert log.begins_before_training


@pytest.mark.parametrize(
    ("scalars", "reason"),
    [
        ([("train/loss", 1.0, step) for step in range(9)], "its steps are not epochs"),
        (
            [("train/loss", 1.0, step) for step in range(9)] + [("val/loss", 1.0, 8)],
            "its steps are not epochs",
        ),
        (
            [("val/loss", 1.0, step) for step in (0, 1 << 40)],
            "its steps are not epochs",
        ),  # a step counts tokens
        (
            [("val/loss", 1.0, step) for step in range(4)] + [("train/loss", 1.0, 2)],
            "its curves have different steps",
        ),
        ([("unknown", 1.0, 0)], "no losses, accuracies or learning rate"),
    ],
)
def test_steps_that_are_no_epochs_are_not_taken_for_them(tmp_path, scalars, reason):
    path = written_events(tmp_path, scalars)
    assert read_log(path) is None
    with errors.raises("unreadable-log", UsageError) as caught:
        read_named_log(path)
    assert reason in caught.value.fields["reason"]


def test_a_file_that_is_still_being_written_counts_as_far_as_it_goes(tmp_path):
    path = written_events(tmp_path, LIGHTNING)
    path.write_bytes(path.read_bytes()[:-3])
    last = {
        name: value for name, value in EXPECTED[1].items() if name != "test_accuracy"
    }
    assert read_log(path).by_epoch == {0: EXPECTED[0], 1: last}


def record(data: bytes) -> bytes:
    return struct.pack("<QI", len(data), 0) + data + b"\0\0\0\0"


VERSION = record(b"\x1a\x0dbrain.Event:2")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\0" * 4096, VERSION + b"\0" * 4096),
        *(
            VERSION + record(b"\x2a\xff\xff\xff\xff\x0f"),
            VERSION + record(b"\x2a\x02\x0a\x7f"),
        ),
        VERSION + struct.pack("<QI", 2**64 - 1, 0) + b"x" * 64,
        record(b"\x10\x01"),
    ],
)
def test_read_log_of_no_event_file_is_none(tmp_path, data):
    (tmp_path / "events.out.tfevents.1").write_bytes(data)
    assert read_log(tmp_path / "events.out.tfevents.1") is None


def test_a_named_log_that_is_not_there_or_has_no_epochs_is_an_error(tmp_path):
    with errors.raises("no-such-log", UsageError, path=str(tmp_path / "none.csv")):
        read_named_log(tmp_path / "none.csv")
    (tmp_path / "x.csv").write_text("step,loss\n1,2\n")
    with errors.raises("no-curves-in-log", UsageError):
        read_named_log(tmp_path / "x.csv")
