"""What lies around a run's checkpoints is joined by evidence, not by guess."""

import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from helpers.analysed_runs import Command, MakeRun
from helpers.errors import raises
from helpers.outputs import noticed
from safetensors.torch import save_file
from torch.utils.tensorboard import SummaryWriter

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.scan import scan_paths
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions
from dsi_cli.errors import UsageError
from dsi_cli.labels.presets import load_preset
from dsi_cli.store.results import Results

QUICK = Options(draws=0)


def save(path, epoch, rows=6, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(epoch + 100 * rows)
    torch.save(
        {
            "epoch": epoch,
            "fc.weight": torch.randn(rows, 8, generator=generator),
            **more,
        },
        path,
    )


def curve(out, **where):
    table = pd.read_parquet(out / "curves.parquet")
    for name, value in where.items():
        table = table[table[name] == value]
    return dict(zip(table["epoch"], table["value"], strict=True))


def test_analyze_log_above_several_runs_is_not_used(tmp_path):
    for run in ("a", "b"):
        save(tmp_path / "runs" / run / "epoch_1.pt", 1)
    (tmp_path / "runs/results.csv").write_text("epoch,test_acc\n1,0.5\n")
    analyze([tmp_path / "runs"], tmp_path / "out", QUICK)
    assert curve(tmp_path / "out", metric="accuracy") == {}
    analyze([tmp_path / "runs/a"], tmp_path / "alone", QUICK)
    assert curve(tmp_path / "alone", metric="accuracy") == {1: 0.5}


def test_hugging_faces_log_lies_in_the_last_step_folder_and_states_the_losses_of_steps(
    tmp_path,
):
    for step, epoch in ((10, 1.0), (12, 1.2), (15, 1.5), (20, 2.0)):
        folder = tmp_path / "run" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        save_file(
            {"classifier.weight": torch.randn(6, 8)}, folder / "model.safetensors"
        )
        history = [
            {"epoch": e / 10, "loss": 3 - e / 10, "step": e}
            for e in range(5, step + 1, 5)
        ]
        state = {"epoch": epoch, "global_step": step, "log_history": history}
        (folder / "trainer_state.json").write_text(json.dumps(state))
    shutil.copy(folder / "model.safetensors", tmp_path / "run")  # trainer.save_model()
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    losses = Results(tmp_path / "out").curves.query("metric == 'loss'")[
        ["epoch", "step", "value"]
    ]
    assert losses.to_numpy().tolist() == [[1, 10, 2.0], [1, 15, 1.5], [2, 20, 1.0]]


def test_a_step_folder_whose_state_is_not_written_yet_has_no_epoch_and_gets_it_later(
    tmp_path,
):
    folder = tmp_path / "run/checkpoint-1000"
    folder.mkdir(parents=True)
    save_file({"fc.weight": torch.randn(6, 8)}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    save(tmp_path / "run/epoch_1.pt", 1)
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert (
        pd.read_parquet(tmp_path / "out/checkpoints.parquet")
        .set_index("step")
        .loc[1000, "status"]
        == "skipped"
    )
    (folder / "trainer_state.json").write_text(
        json.dumps({"epoch": 2.0, "global_step": 1000})
    )
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    rows = pd.read_parquet(tmp_path / "out/checkpoints.parquet").set_index("step")
    assert (rows.loc[1000, "status"], rows.loc[1000, "epoch"]) == ("ok", 2)


@pytest.mark.parametrize("first", [0, 1])
def test_ultralytics_counts_its_log_from_1_or_0_and_its_checkpoints_from_0(
    first, tmp_path
):
    save(tmp_path / "run/epoch0.pt", 0, train_args={}, ema=None, updates=1)
    (tmp_path / "run/results.csv").write_text(
        f"epoch,metrics/accuracy_top1\n{first},0.25\n{first + 1},0.5\n"
    )
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert curve(tmp_path / "out", metric="accuracy") == {0: 0.25}


@pytest.mark.parametrize(
    ("names", "header", "expected"),
    [
        *(
            ("model.01-0.50", "epoch", {1: 0.25}),
            ("e0 e1 e2", "epoch", {1: 0.25, 2: 0.5}),
        ),
        *(
            ("e0 e1", header, {0: 0.25, 1: 0.5}) for header in ("epoch", "")
        ),  # a custom loop
    ],
)
def test_keras_counts_its_log_from_0_and_its_checkpoints_from_1(
    names, header, expected, tmp_path
):
    (tmp_path / "run").mkdir()
    for name in names.split():
        with h5py.File(tmp_path / f"run/{name}.h5", "w") as file:
            file.attrs["keras_version"] = "2.15.0"
            file["model_weights/dense/dense/kernel:0"] = torch.randn(8, 6).numpy()
            file["model_weights"].attrs["layer_names"] = [b"dense"]
            file["model_weights/dense"].attrs["weight_names"] = [b"dense/kernel:0"]
    log = (
        f"{header},accuracy,loss,val_accuracy,val_loss\n0,0.2,2,0.25,2\n1,0.5,1,0.5,1\n"
    )
    (tmp_path / "run/history.csv").write_text(log)
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert curve(tmp_path / "out", metric="accuracy", split="test") == expected


@pytest.mark.parametrize(
    ("logged", "expected"),
    [
        (range(26), [0.09, 0.19]),
        (range(1, 20), [0.09, 0.19]),
        (range(1, 26), []),
        (range(1, 16), []),
    ],
)
def test_a_log_is_joined_by_the_names_if_the_checkpoints_store_the_next_epoch(
    logged, expected, tmp_path
):
    for epoch in (9, 19):
        save(tmp_path / f"run/checkpoint_{epoch:04}.pt", epoch + 1)
    rows = [f"{epoch},1,0.{epoch:02}" for epoch in logged]
    (tmp_path / "run/log.csv").write_text(
        "\n".join(["epoch,train_loss,val_acc", *rows])
    )
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert curve(tmp_path / "out", metric="accuracy") == dict(
        zip((10, 20), expected, strict=False)
    )


@pytest.mark.parametrize(
    ("epochs", "name", "text", "expected", "values"),
    [
        (
            (0, 1, 2),
            "log.csv",
            "epoch,test_acc\n1,0.1\n2,0.2\n3,0.3",
            "log-shifted",
            {0: 0.1, 1: 0.2, 2: 0.3},
        ),
        (
            (1, 2),
            "log.csv",
            "epoch,test_acc\n0,0.1\n1,0.2",
            "log-shifted",
            {1: 0.1, 2: 0.2},
        ),
        ((0, 1, 2), "log.csv", "epoch,test_acc\n1,0.5\n2,0.6", None, {1: 0.5, 2: 0.6}),
        (
            (0, 2, 4),
            "log.csv",
            "epoch,test_acc" + "".join(f"\n{n},1" for n in range(1, 7)),
            "log-not-joined",
            {},
        ),
        ((0, 2), "log.csv", "epoch,test_acc\n1,0.1\n2,0.2", None, {2: 0.2}),
        (
            (1, 2),
            "history.json",
            '{"val_acc": [0.1, 0.2, 0.3]}',
            "log-without-epochs",
            {},
        ),
        (
            (1, 3),
            "history.json",
            '{"val_acc": [0.1, 0.2, 0.3]}',
            None,
            {1: 0.1, 3: 0.3},
        ),
        ((0, 1), "history.json", '{"val_acc": [0.1, 0.2]}', None, {0: 0.1, 1: 0.2}),
    ],
)
def test_analyze_log_of_another_first_epoch_is_shifted_or_left_out(
    tmp_path, epochs, name, text, expected, values
):
    for epoch in epochs:
        save(tmp_path / "run" / f"epoch_{epoch}.pt", epoch)
    (tmp_path / "run" / name).write_text(text)
    found = noticed(analyze([tmp_path / "run"], tmp_path / "out", QUICK))
    of_log = {code: values for code, values in found.items() if "log" in values}
    assert list(of_log) == ([expected] if expected else [])
    assert curve(tmp_path / "out", metric="accuracy") == values


@pytest.mark.parametrize(("shift", "expected"), [(0, None), (-1, (11, 12))])
def test_analyze_accuracy_in_a_checkpoint_decides_how_the_log_counts(
    shift, expected, tmp_path
):
    for epoch in (12, 17, 23):
        save(tmp_path / "run" / f"epoch_{epoch}.pt", epoch, val_acc=epoch)
    log = "".join(f"{epoch + shift},{epoch}\n" for epoch in range(1, 31))
    (tmp_path / "run/log.csv").write_text("epoch,val_acc\n" + log)
    shifted = noticed(
        analyze([tmp_path / "run"], tmp_path / "out", QUICK), "log-shifted"
    )
    assert [
        (fields["epoch_of_log"], fields["epoch_of_run"]) for fields in shifted.values()
    ] == ([expected] if expected else [])
    assert curve(tmp_path / "out", metric="accuracy") == {12: 0.12, 17: 0.17, 23: 0.23}


def test_analyze_log_whose_numbers_and_accuracies_show_different_shifts_is_left_out(
    tmp_path,
):
    for epoch in range(2, 9):
        save(tmp_path / "run" / f"epoch_{epoch}.pt", epoch, val_acc=(epoch - 1) / 10)
    (tmp_path / "run/log.csv").write_text(
        "epoch,val_loss,val_acc\n" + "".join(f"{n},{n},{n / 10}\n" for n in range(1, 9))
    )
    assert "log-not-joined" in noticed(
        analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    )
    assert curve(tmp_path / "out", metric="loss") == {}


def test_analyze_named_log_that_may_be_shifted_joins_equal_numbers(tmp_path):
    for epoch in (5, 10, 15):
        save(tmp_path / "run" / f"epoch_{epoch}.pt", epoch)
    log = tmp_path / "run/log.csv"
    log.write_text("epoch,test_acc\n" + "".join(f"{n},0.{n:02}\n" for n in range(20)))
    found = noticed(analyze([tmp_path / "run"], tmp_path / "out", QUICK))
    assert found["log-not-joined"]["option"] == f"--log {log}"
    assert curve(tmp_path / "out", metric="accuracy") == {}
    named = analyze(
        [tmp_path / "run"], tmp_path / "out", Options(draws=0, log=str(log))
    )
    assert not any("log" in fields for fields in noticed(named).values())
    assert curve(tmp_path / "out", metric="accuracy") == {5: 0.05, 10: 0.1, 15: 0.15}


def test_analyze_epochs_that_are_left_out_do_not_change_the_numbers_of_a_log(tmp_path):
    for epoch in (1, 2, 3, 4):
        save(tmp_path / "run" / f"epoch_{epoch}.pt", epoch)
    (tmp_path / "run/log.csv").write_text(
        "epoch,test_acc\n0,0.1\n1,0.2\n2,0.3\n3,0.4\n"
    )
    analyze([tmp_path / "run"], tmp_path / "out", Options(draws=0, epochs="2:3"))
    assert curve(tmp_path / "out", metric="accuracy") == {2: 0.2, 3: 0.3}


def test_analyze_names_logs_that_it_does_not_join_with_the_option_that_does(tmp_path):
    for epoch in (1, 2):
        save(tmp_path / "run" / f"epoch_{epoch}.pt", epoch)
    for split, value in (("train", 0.9), ("val", 0.5)):
        (tmp_path / f"run/{split}_log.csv").write_text(
            f"epoch,loss,acc\n1,2,{value}\n2,1,{value}\n"
        )
    with SummaryWriter(tmp_path / "run/tb/first") as writer:
        for epoch in (1, 2):
            writer.add_scalar("Accuracy/test", 0.25, epoch)
    (tmp_path / "run/notes.csv").write_text("epoch,mood\n1,good\n")
    with SummaryWriter(tmp_path / "other") as writer:
        writer.add_scalar("Accuracy/test", 0.25, 1)
    save(tmp_path / "other/epoch_1.pt", 1)
    summary = analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    logs = [
        tmp_path / "run" / name for name in ("tb/first", "train_log.csv", "val_log.csv")
    ]
    assert [fact.fields for fact in summary.facts if fact.code == "log-nearby"] == [
        {"log": log.name, "option": f"--log {log}"} for log in logs
    ]
    splits = (("test", 0.25), ("train", 0.9), ("test", 0.5))
    for log, (split, value) in zip(logs, splits, strict=True):
        out = tmp_path / log.name
        analyze([tmp_path / "run"], out, Options(draws=0, log=str(log)))
        assert curve(out, metric="accuracy", split=split) == {1: value, 2: value}


def test_labels_of_another_number_leave_the_place_to_the_next_source(tmp_path):
    save(
        tmp_path / "run/epoch_1.pt",
        1,
        classes=["dog", "cat", "car", "oak", "rose", "cup"],
    )
    (tmp_path / "run/classes.txt").write_text("dog\ncat\n")
    summary = analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert summary.runs[0].resolved == 6
    assert noticed(summary) == {
        "labels-not-used": {
            "source": "classes.txt",
            "labels": 2,
            "classes": 6,
            "in_checkpoint": False,
        }
    }


def test_labels_that_come_twice_and_weights_that_are_left_out_are_told(tmp_path):
    save(tmp_path / "run/epoch1.pt", 1)
    torch.save({"epoch": 1, "fc.weight": torch.ones(6, 8)}, tmp_path / "run/best.pt")
    (tmp_path / "run/classes.txt").write_text("dog\ncat\ncar\noak\nrose\ndog\n")
    found = noticed(analyze([tmp_path / "run"], tmp_path / "out", QUICK))
    assert found["labels-repeated"] == {"source": "classes.txt", "labels": ["dog"]}
    left_out = found["checkpoints-left-out"]
    assert left_out["example"] == "best.pt"
    assert left_out["reason"] == "epoch 1 again, as in epoch1.pt, with other weights"
    save(tmp_path / "inet/epoch1.pt", 1, rows=1000)
    named = Options(labels="imagenet1k", draws=0)
    assert noticed(analyze([tmp_path / "inet"], tmp_path / "out2", named)) == {}
    save(tmp_path / "few/epoch1.pt", 1, rows=3, classes=["dog", "cat", "car"])
    few = noticed(analyze([tmp_path / "few"], tmp_path / "out3", QUICK), "no-agreement")
    reason = few["no-agreement"]["reason"]
    assert reason == "3 classes; an alignment needs 4 or more"


def test_analyze_guessed_order_of_files_warns(tmp_path):
    (tmp_path / "run").mkdir()
    for step in (100, 200):
        torch.save(
            {"fc.weight": torch.eye(6, 8) + step * torch.ones(6, 8)},
            tmp_path / "run" / f"step_{step}.pt",
        )
    (tmp_path / "run/log.csv").write_text("epoch,val_acc\n1,0.5\n2,0.6\n")
    summary = analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert noticed(summary) == {"epochs-numbered": {"by": "steps"}}
    assert curve(tmp_path / "out", metric="accuracy") == {}


def test_a_log_that_tells_finished_epochs_later_also_tells_of_what_is_gone(tmp_path):
    for epoch in (0, 1):
        save(tmp_path / "run" / f"epoch_{epoch}.pt", epoch)
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    (tmp_path / "run/epoch_0.pt").unlink()
    (tmp_path / "run/log.csv").write_text("epoch,train_loss\n0,\n1,2.5\n")
    assert analyze([tmp_path / "run"], tmp_path / "out", QUICK).exit_code == 0
    table = pd.read_parquet(tmp_path / "out/csms")
    assert set(zip(table["epoch"], table["epochs_completed"], strict=True)) == {
        (0, 0),
        (1, 1),
    }


def test_analyze_of_predictions_with_another_accuracy_than_the_log_asks_for_their_order(
    make_run, tmp_path
):
    run = make_run()
    np.save(run / "targets.npy", np.repeat(np.arange(8), 20))
    np.save(run / "preds.npy", np.zeros((4, 160), dtype=int))
    (run / "log.csv").write_text("epoch,test_acc\n0,0.125\n1,0.05\n2,0.05\n3,0.05\n")
    summary = analyze([run], tmp_path / "out", QUICK)
    (message,) = [one for one in summary.messages if one.code == "accuracy-differs"]
    assert message.text.endswith(" (3 epochs from 1 to 3)")


def test_find_labels_in_another_order_than_the_names_in_the_checkpoint_warns(tmp_path):
    names = list(load_preset("cifar10").names)
    save(tmp_path / "run/epoch_1.pt", 1, rows=10, classes=names[::-1])
    given = Options(labels="cifar10", draws=0)
    for _ in range(2):  # the second call opens no checkpoint
        found = noticed(analyze([tmp_path / "run"], tmp_path / "out", given))
        assert found["labels-reordered"] == {
            "used": "the preset cifar10",
            "source": "classes in the checkpoint's metadata",
            "in_checkpoint": True,
            "index": 0,
            "here": "airplane",
            "there": "truck",
        }
    assert analyze([tmp_path / "run"], tmp_path / "own", QUICK).runs[0].preset is None
    for listed, code in (
        (names, "labels-reordered"),
        ([*names[:9], "tree"], "labels-partly-reordered"),
    ):
        # a file that dsi finds
        (tmp_path / "run/classes.txt").write_text("\n".join(listed))
        found = noticed(
            analyze([tmp_path / "run"], tmp_path / f"found-{listed[9]}", QUICK)
        )
        assert found[code]["used"] == "classes in the checkpoint's metadata"
        assert found[code]["source"] == "classes.txt"
    # two names without a certain place
    (tmp_path / "run/classes.txt").write_text("\n".join([*names[:8], *names[:2]]))
    save(tmp_path / "run/epoch_1.pt", 1, rows=10, classes=[*names[:8], "boat", "lorry"])
    repeated = noticed(analyze([tmp_path / "run"], tmp_path / "repeated", QUICK))
    assert not any("used" in fields for fields in repeated.values())


def test_find_labels_takes_names_in_a_checkpoint_before_files_but_numbers_after_them(
    tmp_path,
):
    names = list(load_preset("cifar10").names)
    for place, own, expected in (
        ("names", names[::-1], names[::-1]),
        ("numbers", list("0123456789"), names),
    ):
        save(tmp_path / place / "epoch_1.pt", 1, rows=10, classes=own)
        (tmp_path / place / "classes.txt").write_text("\n".join(names))
        analyze([tmp_path / place], tmp_path / f"out-{place}", QUICK)
        assert Results(tmp_path / f"out-{place}").classes["name"].to_list() == expected


@pytest.mark.parametrize("place", ["run", "."])
def test_find_labels_in_two_files_with_different_orders_raises(tmp_path, place):
    run, names = tmp_path / "run", list(load_preset("cifar10").names)
    save(run / "epoch_1.pt", 1, rows=10)
    (run / "classes.txt").write_text("\n".join(names))
    other = tmp_path / place / "class_to_idx.json"
    other.write_text(json.dumps({name: index for index, name in enumerate(names)}))
    assert analyze([run], tmp_path / "same", QUICK).runs[0].preset == "cifar10"
    other.write_text(
        json.dumps(
            {name: index for index, name in enumerate(sorted(names, reverse=True))}
        )
    )
    with raises(
        "label-files-disagree",
        UsageError,
        path=str(run / "classes.txt"),
        other=str(other),
    ) as caught:
        analyze([run], tmp_path / "out", QUICK)
    assert str(caught.value).endswith(
        f"with --labels {run / 'classes.txt'} or --labels {other}"
    )
    summary = analyze([run], tmp_path / "out", replace(QUICK, labels=str(other)))
    assert noticed(summary)["labels-reordered"]["source"] == "classes.txt"
    # the names in a checkpoint decide
    save(run / "epoch_1.pt", 1, rows=10, classes=names)
    assert (
        Results(analyze([run], tmp_path / "own", QUICK).out).classes["name"].to_list()
        == names
    )


def test_find_labels_in_another_order_than_the_ids_or_numbers_in_the_checkpoint_warns(
    tmp_path,
):
    first, file = load_preset("imagenet1k"), tmp_path / "names.txt"
    file.write_text("\n".join(first.names[:2] + first.names[11:1:-1]))
    for own, name in (
        (first.wnids[:12], "n01484850"),
        (sorted(map(str, range(12))), "10"),
    ):  # 0, 1, 10, 11, 2
        save(tmp_path / name / "epoch_1.pt", 1, rows=12, classes=list(own))
        given = Options(labels=str(file), draws=0)
        (found,) = noticed(analyze([tmp_path / name], tmp_path / "out", given)).values()
        assert (found["index"], found["there"], found["here"]) == (
            2,
            name,
            first.names[11],
        )


def test_a_named_log_wins_and_counts_for_all_runs(
    make_run: MakeRun, dsi: Command, tmp_path
):
    runs = [make_run("a"), make_run("b")]
    (runs[0] / "log.csv").write_text("epoch,test_loss\n0,9\n1,9\n2,9\n3,9\n")
    (tmp_path / "mine.csv").write_text("epoch,test_loss\n0,4\n1,3\n2,2\n3,1\n")
    options = ["--log", tmp_path / "mine.csv", "--no-report"]
    assert dsi("analyze", *runs, "-o", tmp_path / "out", *options).code == 0
    losses = (
        Results(tmp_path / "out").curves.query("metric == 'loss'").sort_values("epoch")
    )
    for name in ("a", "b"):
        assert losses.loc[losses["run"] == name, "value"].tolist() == [
            4.0,
            3.0,
            2.0,
            1.0,
        ]


@pytest.fixture
def run(tmp_path):
    """Return a folder with a checkpoint of two heads, of seven and of five classes."""
    heads = torch.nn.ModuleDict(
        {"a": torch.nn.Linear(16, 7), "b": torch.nn.Linear(16, 5)}
    )
    torch.save(heads.state_dict(), tmp_path / "epoch_1.pt")
    return tmp_path


def head_of(run):
    ((_, (record,)),) = scan_paths([run], HeadOptions())
    return record.head, record.reason


def test_labels_and_targets_next_to_the_checkpoints_decide_if_nothing_else_does(run):
    names = ["cat", "dog", "horse", "frog", "bird", "lion", "bee"]
    for number, head in ((5, "b.weight"), (3, None)):
        (run / "classes.txt").write_text("\n".join(names[:number]))
        assert head_of(run)[0] == head
    (run / "classes.txt").unlink()
    np.save(run / "targets.npy", np.array([0, 4, 2]))
    assert head_of(run) == ("b.weight", None)
    (run / "classes.txt").write_text("\n".join(names))
    assert head_of(run) == ("a.weight", None)
