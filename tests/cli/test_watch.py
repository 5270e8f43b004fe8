"""``dsi watch`` beside a real training, and how it ends; each in a process of its own,
as a person has them.
"""

import json
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from threading import Timer

import numpy as np
import pytest
from helpers.outputs import ANIMALS, assert_same_output, heads, save_head, tables

from dsi_cli.analysis.lasting_suspects import MIN_EPOCHS

QUICK = ("--no-report",)
AT_MOST = 100
"""Seconds that anything may take on a busy machine."""
LINE = re.compile(
    r"run  epoch +(\d+)  agreement +(-?\d\.\d{3})  z +(-?\d+\.\d)  WSI max"
    r" (-?\d\.\d{3}) min +(-?\d\.\d{3})"
)
NEXT_STEP = "\n  Python     dsi_cli.open_results('{out}')\n"
TRAINING = '''
"""A training loop as people write them: a checkpoint an epoch, the last one and a
log beside them.
"""
import sys, time
from pathlib import Path
import torch
from torch import nn
folder, epochs = Path(sys.argv[1]), int(sys.argv[2])
torch.manual_seed(0)
torch.set_num_threads(1)
x, y = torch.randn(64, 12), torch.arange(64) % 8
model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 8))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
folder.mkdir(parents=True)
(folder / "classes.txt").write_text(sys.argv[3].replace(",", "\\n"))
for epoch in range(1, epochs + 1):
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    state = {"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, folder / f"epoch_{epoch}.pt")
    torch.save(state, folder / "last.pt")
    with (folder / "log.csv").open("a") as log:
        log.write("epoch,train_loss\\n" * (epoch == 1) + f"{epoch},{loss.item()}\\n")
    time.sleep(0.4)
'''


@pytest.fixture
def started():
    """Return ``started(*arguments)``: the command as a process, which is ended with the
    test if it is still there.
    """
    processes, watchdogs = [], []

    def begin(*arguments):
        command = [sys.executable, *map(str, arguments)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        watchdogs.append(Timer(AT_MOST, process.kill))
        watchdogs[-1].start()
        return process

    yield begin
    for watchdog in watchdogs:
        watchdog.cancel()
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def watching(started):
    """Return ``watching(*arguments)``: ``dsi watch`` as a process, which looks several
    times a second.
    """
    return lambda *arguments: started(
        "-m", "dsi_cli", "watch", *arguments, "--every", "0.2s"
    )


def ended(process):
    """Return the code, stdout and stderr of a process, once it has ended."""
    out, err = process.communicate(timeout=AT_MOST)
    assert "Traceback" not in err
    return process.returncode, out, err


@pytest.mark.slow
def test_watch_next_to_a_training_writes_each_epoch(started, watching, dsi, tmp_path):
    run, out = tmp_path / "runs" / "run", tmp_path / "out"
    watcher = watching(run, "-o", out, *QUICK, "--until-epoch", 5)
    first = [watcher.stderr.readline() for _ in range(2)]
    assert first == [
        f"watching {run} every 0.2s; Ctrl-C ends it\n",
        f"waiting: no such file or folder: {run}\n",
    ]
    training = started("-c", TRAINING, run, 5, ",".join(ANIMALS))
    code, shown, notes = ended(watcher)
    assert ended(training) == (0, "", "")
    assert code == 0, notes
    lines = [LINE.fullmatch(line) for line in shown.partition("\n\n")[0].splitlines()]
    assert [int(line[1]) for line in lines] == [1, 2, 3, 4, 5]
    assert "the training has reached epoch 5\n" in notes
    assert (
        "run  5 checkpoints, epochs 1–5  2.weight, 8 classes  ✓ classes.txt\n" in shown
    )
    assert shown.endswith(NEXT_STEP.format(out=out))
    curves = (
        tables(out)["curves"]
        .query("metric == 'sai' and variant == 'pearson'")
        .set_index("epoch")
    )
    for line in lines:
        row = curves.loc[int(line[1])]
        assert (line[2], line[3]) == (f"{row['value']:.3f}", f"{row['z']:.1f}")
    assert dsi("analyze", run, "-o", out, *QUICK).code == 0, (
        "the last row of the log may have come after the checkpoint"
    )
    assert dsi("analyze", run, "-o", tmp_path / "plain", *QUICK).code == 0
    assert_same_output(out, tmp_path / "plain")


@pytest.mark.parametrize(
    "how", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
def test_watch_stopped_by_a_signal_exits_with_0(how, make_run, watching, dsi, tmp_path):
    run, out = make_run(epochs=3), tmp_path / "out"
    watcher = watching(run, "-o", out, *QUICK)
    assert [int(LINE.match(watcher.stdout.readline())[1]) for _ in range(3)] == [
        0,
        1,
        2,
    ]
    watcher.send_signal(how)
    code, shown, notes = ended(watcher)
    assert (code, "\nstopped\n" in notes) == (0, True), notes
    assert shown.endswith(NEXT_STEP.format(out=out))
    assert not (out / ".lock").exists()
    plain = dsi("analyze", run, "-o", tmp_path / "plain", *QUICK)
    assert_same_output(out, tmp_path / "plain")
    assert shown == "\n" + plain.out.replace("plain", "out"), (
        "the same closing as that of dsi analyze"
    )


@pytest.mark.slow
def test_watch_stopped_during_an_analysis_loses_nothing(
    make_run, watching, dsi, tmp_path
):
    run, out = make_run(epochs=30), tmp_path / "out"
    watcher = watching(run, "-o", out, "--permutations", 20000)
    while len(list(out.glob("csms/run/ncsm/*.parquet"))) < 3:
        assert watcher.poll() is None
        time.sleep(0.02)
    watcher.send_signal(signal.SIGINT)
    code, _, notes = ended(watcher)
    assert code in (0, 130), notes
    assert not [*out.rglob("*.tmp"), *out.glob(".tmp")]
    for folder in (out, tmp_path / "plain"):
        assert dsi("analyze", run, "-o", folder, "--permutations", 20000).code == 0
    assert_same_output(out, tmp_path / "plain")


def test_watch_json_is_one_document_a_line(make_run, dsi, tmp_path):
    run, out = make_run(epochs=2), tmp_path / "out"
    told = dsi(
        "watch", run, "-o", out, *QUICK, "--every", "0.1s", "--idle", "0.3s", "--json"
    )
    assert (told.code, told.err) == (0, "")
    updated, last = map(json.loads, told.out.splitlines())
    assert updated["event"] == "updated"
    plain = json.loads(dsi("analyze", run, "-o", out, *QUICK, "--json").out)
    assert updated["epochs"] == [
        {"run": "run", **line} for line in plain["runs"][0]["epochs"]
    ]
    assert (last.pop("event"), last.pop("why"), last | {"seconds": 0}) == (
        "ended",
        "idle",
        plain | {"seconds": 0},
    )
    told = dsi(
        "watch",
        tmp_path / "none",
        "-o",
        out,
        "--every",
        "0.1s",
        "--idle",
        "0.3s",
        "--json",
    )
    (document,) = map(json.loads, told.out.splitlines())
    assert (document["exit_code"], document["code"]) == (told.code, "idle")
    assert told.err.startswith(f"error: {document['error']}\n")


@pytest.mark.parametrize("as_json", [False, True])
def test_watch_prints_a_suspect_that_is_strong_in_two_successive_tables(
    as_json, dsi, tmp_path
):
    run, out = tmp_path / "run", tmp_path / "out"
    weights = heads(MIN_EPOCHS + 2)
    for epoch, weight in enumerate(weights):
        weight[3] = weight[[k for k in range(len(weight)) if k != 3]].mean(dim=0)
        if epoch == MIN_EPOCHS + 1:  # the table before has one epoch less
            assert dsi("analyze", run, "-o", out, *QUICK).code == 0
        save_head(run / f"epoch_{epoch}.pt", weight, epoch=epoch)
        (run / "classes.txt").write_text("\n".join(ANIMALS), encoding="utf-8")
    options = (*QUICK, "--every", "0.1s", "--idle", "0.3s")
    told = dsi("watch", run, "-o", out, *options, *(["--json"] * as_json))
    last = MIN_EPOCHS + 1
    if as_json:
        updated = json.loads(told.out.splitlines()[0])
        dead = {"kind": "dead-class", "classes": [ANIMALS[3]]}
        assert {"run": "run", "epoch": last} | dead in updated["suspects"]
    else:
        line = f"run  epoch {last:>3}  strong suspect (dead-class): {ANIMALS[3]};"
        assert f"{line} dsi suspects {out}\n" in told.out.partition("\n\n")[0] + "\n"


def test_watch_writes_the_same_tables_as_analyze(make_run, dsi, tmp_path):
    run = make_run(epochs=5)
    (tmp_path / "log.csv").write_text(
        "epoch,train_loss\n0,3\n1,2\n2,1\n", encoding="utf-8"
    )
    np.save(
        tmp_path / "predictions.npy", np.random.default_rng(0).integers(0, 8, (5, 40))
    )
    np.save(tmp_path / "targets.npy", np.arange(40) % 8)
    options = (
        *(
            "--epochs",
            "0:4:2",
            "--measure",
            "pearson",
            "--log",
            tmp_path / "log.csv",
        ),
        *(
            "--predictions",
            tmp_path / "predictions.npy",
            "--targets",
            tmp_path / "targets.npy",
        ),
        *("--truth", "columns", *QUICK),
    )
    ended = dsi(
        "watch",
        run,
        "-o",
        tmp_path / "out",
        *options,
        "--every",
        "0.1s",
        "--until-epoch",
        3,
    )
    assert ended.code == 0, ended.err
    assert "the training has reached epoch 2\n" in ended.err, (
        "the last epoch up to --until-epoch that --epochs selects"
    )
    assert dsi("analyze", run, "-o", tmp_path / "plain", *options).code == 0
    curves = tables(tmp_path / "out")["curves"]
    assert set(curves.query("metric == 'sai'")["variant"]) == {
        "pearson",
        "pearson_corrected",
    }
    assert "ccsm" in set(curves["of"].str.split(",").explode())
    assert {"accuracy", "loss"} <= set(curves["metric"]), sorted(set(curves["metric"]))
    assert_same_output(tmp_path / "out", tmp_path / "plain")


def test_watch_of_a_measure_without_z_prints_its_excess_alone(make_run, dsi, tmp_path):
    once = ("-o", tmp_path / "out", "--every", "0.1s", "--until-epoch", 1, *QUICK)
    ended = dsi("watch", make_run(epochs=2), "--measure", "mae", *once)
    assert ended.code == 0, ended.err
    assert re.search(r"MAE \(excess\) +-?\d\.\d{3}  WSI max", ended.out), ended.out


@pytest.mark.parametrize(
    ("column", "title"), [("val_acc", "accuracy"), ("train_acc", "train accuracy")]
)
def test_watch_prints_the_accuracy_of_a_log(column, title, make_run, dsi, tmp_path):
    run = make_run(epochs=2)
    (run / "log.csv").write_text(
        f"epoch,train_loss,{column}\n0,3,0.25\n1,2,0.5\n", encoding="utf-8"
    )
    ended = dsi(
        "watch",
        run,
        "-o",
        tmp_path / "out",
        *QUICK,
        "--every",
        "0.1s",
        "--until-epoch",
        1,
    )
    assert [line.rpartition("  ")[2] for line in ended.out.splitlines()[:2]] == [
        f"{title} 0.250",
        f"{title} 0.500",
    ]


@pytest.mark.skipif(
    find_spec("tensorboard") is None, reason="the tracker that this test logs to"
)
def test_watch_writes_the_report_and_logs_to_a_tracker(make_run, dsi, tmp_path):
    run, logs = make_run(epochs=2), tmp_path / "logs"
    log_to = ("--log-to", f"tensorboard:{logs}")
    ended = dsi(
        "watch",
        run,
        "-o",
        tmp_path / "out",
        "--every",
        "0.1s",
        "--until-epoch",
        1,
        *log_to,
    )
    assert (tmp_path / "out" / "report.html").is_file()
    assert ended.code == 0, ended.err
    assert [
        line
        for line in ended.out.splitlines()
        if line.startswith(f"tensorboard: {logs} (1 run, ")
    ]
    assert [path.name for path in logs.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            "--epochs 5:9 --until-epoch 4",
            "--epochs 5:9 selects no epoch up to --until-epoch 4\nhint: change one of them",
        ),
        (
            "--log-to paper",
            (
                "--log-to takes tensorboard:DIR, wandb[:PROJECT], trackio[:PROJECT],"
                " mlflow[:URI]; 'paper' is not one of these"
            ),
        ),
        (
            "--every 0s",
            (
                "--every takes a time, for example 90s, 30m or 2h; '0s' is not of that"
                " form"
            ),
        ),
        (
            "--idle 10s",
            "--idle 10s is not longer than --every 10s\nhint: use --idle 20s or longer",
        ),
        (
            "--model timm:resnet18",
            "--model needs data\nhint: add --test DATA or --train DATA",
        ),
    ],
)
def test_watch_invalid_option_writes_nothing(options, line, make_run, dsi, tmp_path):
    assert dsi("watch", make_run(), "-o", tmp_path / "out", *options.split()) == (
        2,
        "",
        f"error: {line}\n",
    )
    assert not (tmp_path / "out").exists()


def test_watch_into_a_closed_pipe_exits_with_0(make_run, watching, tmp_path):
    run = make_run(epochs=1)
    watcher = watching(run, "-o", tmp_path / "out", *QUICK)
    assert LINE.match(watcher.stdout.readline())
    watcher.stdout.close()
    save_head(run / "epoch_1.pt", heads(2)[1], epoch=1)
    assert watcher.wait(AT_MOST) == 0
    assert "Traceback" not in watcher.stderr.read()


def test_watch_of_a_file_that_is_overwritten_warns(make_run, watching, tmp_path):
    run = make_run(epochs=1)
    watcher = watching(run, "-o", tmp_path / "out", *QUICK, "--until-epoch", 1)
    assert LINE.match(watcher.stdout.readline())
    save_head(run / "epoch_0.pt", heads(2)[1], epoch=1)
    assert (
        "\nwarning: run: the results lack epochs whose file was overwritten; save one"
        " file per epoch\n" in ended(watcher)[2]
    )
