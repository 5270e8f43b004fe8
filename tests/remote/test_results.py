"""Analyses of remote checkpoints, results folders behind URLs, and commands that would
write to one.
"""

import json

import pandas as pd
import pytest
import torch
from helpers.errors import raises
from helpers.outputs import ANIMALS, contents
from helpers.s3 import BUCKET

from dsi_cli import analyze, open_results
from dsi_cli.errors import UsageError

OUT = f"s3://{BUCKET}/results/out"
QUICK = ("--no-report",)


def gets(s3, prefix):
    return [
        path
        for method, path, _ in s3.requests
        if method == "GET" and path.startswith(f"/{BUCKET}/{prefix}/")
    ]


def test_labels_predictions_and_logs_are_fetched(make_run, memory, dsi, tmp_path):
    folder = make_run(labels=None)
    targets = torch.arange(80) % len(ANIMALS)
    rows = pd.concat(
        pd.DataFrame(
            {
                "epoch": epoch,
                "sample": range(80),
                "target": targets,
                "prediction": targets.roll(epoch),
            }
        )
        for epoch in range(4)
    )
    memory.pipe("/lists/animals.txt", "\n".join(ANIMALS).encode())
    memory.pipe("/lists/rows.csv", rows.to_csv(index=False).encode())
    memory.pipe("/lists/log.csv", b"epoch,train_loss\n0,2.0\n3,1.0\n")
    lists = {"--labels": "animals.txt", "--predictions": "rows.csv", "--log": "log.csv"}
    options = [
        part
        for name, file in lists.items()
        for part in (name, f"memory://lists/{file}")
    ]
    ended = dsi("analyze", folder, "-o", tmp_path / "out", *options, *QUICK, "--json")
    (run,) = json.loads(ended.out)["runs"]
    assert run["labels"] == "animals.txt"
    assert run["splits"]["test"].startswith("rows.csv (4 epochs, 80 samples)")
    assert run["log"] == "log.csv"
    wrong = dsi(
        "analyze", folder, "-o", tmp_path / "out", "--labels", "memory://lists/log.csv"
    )
    assert wrong.code == 2
    assert "memory://lists/log.csv" in wrong.err


def test_labels_behind_a_url_hold_in_later_calls(
    make_run, memory, dsi, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, out = make_run(labels=None), tmp_path / "out"
    memory.pipe("/lists/animals.txt", "\n".join(ANIMALS).encode())
    assert (
        dsi(
            "analyze",
            folder,
            "-o",
            out,
            "--labels",
            "memory://lists/animals.txt",
            *QUICK,
        ).code
        == 0
    )
    for _ in range(2):
        assert (
            "labels from the earlier call: memory://lists/animals.txt\n"
            in dsi("analyze", folder, "-o", out, *QUICK).err
        )
        assert pd.read_parquet(out / "classes.parquet")["name"].to_list() == list(
            ANIMALS
        )


def test_analyze_of_remote_checkpoints_gives_the_tables_of_local_ones(
    make_run, s3, dsi, tmp_path
):
    folder, remote, local = make_run(epochs=2), tmp_path / "remote", tmp_path / "local"
    (folder / "log.csv").write_text(
        "epoch,train_loss,test_loss\n0,2.0,2.1\n1,1.0,1.2\n"
    )
    s3.put_folder(folder, "sweep/run")
    ended = dsi("analyze", f"s3://{BUCKET}/sweep", "-o", remote, *QUICK)
    assert ended.code == 0, ended.err
    assert "dsi uses classes.txt, log.csv\n" in ended.err
    assert dsi("analyze", folder, "-o", local, *QUICK).code == 0
    assert set(contents(remote)) == set(contents(local))
    for path in local.rglob("*.parquet"):
        if path.name != "checkpoints.parquet":
            pd.testing.assert_frame_equal(
                pd.read_parquet(remote / path.relative_to(local)), pd.read_parquet(path)
            )
    paths = pd.read_parquet(remote / "checkpoints.parquet")["path"]
    assert list(paths) == [
        f"s3://{BUCKET}/sweep/run/epoch_{epoch}.pt" for epoch in range(2)
    ]
    assert not [name for name, data in contents(remote).items() if b"sesame" in data]
    assert "sesame" not in ended.out + ended.err

    s3.requests.clear()
    again = dsi("analyze", f"s3://{BUCKET}/sweep", "-o", remote, *QUICK, "--json")
    (run,) = json.loads(again.out)["runs"]
    assert (run["reused"], run["read"]) == (2, 0)
    assert not [path for path in gets(s3, "sweep/run") if path.endswith(".pt")]


def test_results_behind_a_url_are_read_by_commands_and_the_api(
    make_run, s3, dsi, tmp_path
):
    out = tmp_path / "out"
    assert dsi("analyze", make_run(epochs=2), "-o", out, *QUICK).code == 0
    s3.put_folder(out, "results/out")
    s3.requests.clear()
    assert dsi("export", OUT, "--epoch", 1, "-o", tmp_path / "1.csv").code == 0
    assert [path.rpartition("/")[2] for path in gets(s3, "results/out/csms")] == [
        "1.parquet"
    ]
    shown = dsi("neighbors", OUT, "--class", "cat", "--epoch", 1)
    assert (shown.code, shown.err) == (0, "")
    assert dsi("plot", OUT, "wsi", "-o", tmp_path / "figures").code == 0
    assert (tmp_path / "figures" / "wsi.png").read_bytes().startswith(b"\x89PNG")
    assert dsi("report", OUT, "-o", tmp_path / "page.html").code == 0
    run = open_results(OUT)
    assert run.epochs() == [0, 1]
    pd.testing.assert_frame_equal(
        run.csm(epoch=1).reset_index(drop=True),
        pd.read_csv(tmp_path / "1.csv")[list(ANIMALS)],
        atol=1e-6,
        check_names=False,
        check_dtype=False,
    )
    assert not [
        request
        for request in s3.requests
        if request[0] != "GET" and request[0] != "HEAD"
    ]


def test_results_of_a_server_that_denies_access_are_an_output_error(s3, dsi):
    s3.status = "403 Forbidden"
    ended = dsi("neighbors", OUT, "--class", "cat")
    assert (ended.code, ended.err) == (
        5,
        f"error: {OUT} cannot be listed: the server denies access (Forbidden)\n",
    )
    s3.status = None
    ended = dsi("neighbors", "s3://elsewhere/out", "--class", "cat")
    assert (ended.code, ended.err) == (
        2,
        "error: no such file or folder: s3://elsewhere/out\n",
    )


@pytest.mark.parametrize("command", ["analyze", "watch"])
def test_analyze_with_a_url_as_output_raises_before_it_reads(make_run, dsi, command):
    folder = make_run()
    ended = dsi(command, folder, "-o", "s3://key:secret@lab/results/resnet 18/")
    assert (ended.code, ended.err) == (
        2,
        (
            "error: the output must be a folder of this machine, not"
            " s3://lab/results/resnet 18\nhint: give -o 'resnet 18', and copy that folder"
            " to the server afterwards (docs/remote.md has the commands)\n"
        ),
    )
    with raises("url-output", UsageError):
        analyze(folder, "s3://lab/results/resnet")


@pytest.mark.parametrize("command", [("report",), ("plot", "wsi")])
def test_report_and_plot_of_a_url_without_an_output_raise(dsi, command):
    name, *figures = command
    ended = dsi(name, OUT, *figures)
    assert (ended.code, ended.err) == (
        2,
        f"error: {OUT} cannot be written to\nhint: add -o with a path of this machine\n",
    )
