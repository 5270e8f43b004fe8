"""Outputs behind URLs: the same tables as on this machine, put whole, and what is promised of two writers."""

import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers.outputs import ANIMALS, contents
from helpers.s3 import BUCKET

from dsi_cli import open_results
from dsi_cli.errors import BusyError
from dsi_cli.store import remote_output
from dsi_cli.store.remote_output import RemoteOutput

OUT = f"s3://{BUCKET}/results/out"
QUICK = ("--draws", 0, "--no-report")


def objects(s3, prefix):
    return {key.removeprefix(f"{prefix}/"): s3.get(key) for key in s3.keys(f"{prefix}/")}


def gets(s3, prefix):
    return [path for method, path, _ in s3.requests if method == "GET" and path.startswith(f"/{BUCKET}/{prefix}/")]


def test_checkpoints_and_output_on_a_server_give_the_tables_of_this_machine(make_run, s3, dsi, tmp_path):
    folder = make_run(epochs=2)
    (folder / "log.csv").write_text("epoch,train_loss,test_loss\n0,2.0,2.1\n1,1.0,1.2\n")
    s3.put_folder(folder, "sweep/run")
    s3.requests.clear()
    ended = dsi("analyze", f"s3://{BUCKET}/sweep", "-o", OUT, *QUICK)
    assert ended.code == 0, ended.err
    assert f"  Tables     {OUT}\n" in ended.out
    assert "losses and accuracies: log.csv" in ended.err
    assert dsi("analyze", folder, "-o", tmp_path / "out", *QUICK).code == 0
    there, here = objects(s3, "results/out"), contents(tmp_path / "out")
    assert set(there) == set(here), "no lock, no part of a file is left"
    for name in (name for name in here if name.endswith(".parquet") and name != "checkpoints.parquet"):
        (tmp_path / "there.parquet").write_bytes(there[name])
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "there.parquet"), pd.read_parquet(tmp_path / "out" / name))
    (tmp_path / "there.parquet").write_bytes(there["checkpoints.parquet"])
    paths = pd.read_parquet(tmp_path / "there.parquet")["path"]
    assert list(paths) == [f"s3://{BUCKET}/sweep/run/epoch_{epoch}.pt" for epoch in range(2)]
    assert not [name for name, data in there.items() if b"sesame" in data]
    assert "sesame" not in ended.out + ended.err

    s3.requests.clear()
    again = dsi("analyze", f"s3://{BUCKET}/sweep", "-o", OUT, *QUICK, "--json")
    (run,) = json.loads(again.out)["runs"]
    assert (run["reused"], run["read"]) == (2, 0)
    assert not [path for path in gets(s3, "sweep/run") if path.endswith(".pt")]
    assert not [path for method, path, _ in s3.requests if method == "PUT" and "/csms/" in path]


def test_remote_output_is_read_by_other_commands_and_the_api(make_run, s3, dsi, tmp_path):
    assert dsi("analyze", make_run(epochs=2), "-o", OUT, *QUICK).code == 0
    shown = dsi("neighbors", OUT, "--class", "cat", "--epoch", 1)
    assert (shown.code, shown.err) == (0, "")
    s3.requests.clear()
    assert dsi("export", OUT, "--epoch", 1, "-o", tmp_path / "1.csv").code == 0
    assert [path.rpartition("/")[2] for path in gets(s3, "results/out/csms")] == ["1.parquet"]
    assert dsi("plot", OUT, "sai").out == f"{OUT}/figures/sai.png\n"
    assert s3.get("results/out/figures/sai.png").startswith(b"\x89PNG")
    assert dsi("report", OUT).out.startswith(f"report: {OUT}/report.html (")
    run = open_results(OUT)
    assert run.epochs() == [0, 1]
    pd.testing.assert_frame_equal(
        run.csm(epoch=1).reset_index(drop=True),
        pd.read_csv(tmp_path / "1.csv")[list(ANIMALS)],
        atol=1e-6,
        check_names=False,
        check_dtype=False,
    )


def test_labels_predictions_and_logs_are_fetched(make_run, memory, dsi, tmp_path):
    folder = make_run(labels=None)
    targets = torch.arange(80) % len(ANIMALS)
    rows = pd.concat(
        pd.DataFrame({"epoch": epoch, "sample": range(80), "target": targets, "prediction": targets.roll(epoch)})
        for epoch in range(4)
    )
    memory.pipe("/lists/animals.txt", "\n".join(ANIMALS).encode())
    memory.pipe("/lists/rows.csv", rows.to_csv(index=False).encode())
    memory.pipe("/lists/log.csv", b"epoch,train_loss\n0,2.0\n3,1.0\n")
    lists = {"--labels": "animals.txt", "--predictions": "rows.csv", "--log": "log.csv"}
    options = [part for name, file in lists.items() for part in (name, f"memory://lists/{file}")]
    ended = dsi("analyze", folder, "-o", tmp_path / "out", *options, *QUICK, "--json")
    (run,) = json.loads(ended.out)["runs"]
    assert run["labels"] == "animals.txt"
    assert run["splits"]["test"].startswith("rows.csv (4 epochs, 80 samples)")
    assert run["log"] == "log.csv"
    wrong = dsi("analyze", folder, "-o", tmp_path / "out", "--labels", "memory://lists/log.csv")
    assert wrong.code == 2
    assert "memory://lists/log.csv" in wrong.err


def test_labels_behind_a_url_hold_in_later_calls(make_run, memory, dsi, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, out = make_run(labels=None), tmp_path / "out"
    memory.pipe("/lists/animals.txt", "\n".join(ANIMALS).encode())
    assert dsi("analyze", folder, "-o", out, "--labels", "memory://lists/animals.txt", *QUICK).code == 0
    for _ in range(2):
        assert "labels from the earlier call: memory://lists/animals.txt\n" in dsi("analyze", folder, "-o", out, *QUICK).err
        assert pd.read_parquet(out / "classes.parquet")["name"].to_list() == list(ANIMALS)


def test_an_output_on_a_server_that_holds_other_files_is_refused(make_run, memory, dsi):
    memory.pipe("/x/theirs/thesis.txt", b"x")
    ended = dsi("analyze", make_run(), "-o", "memory://x/theirs")
    assert (ended.code, ended.err) == (
        2, "dsi: the output folder memory://x/theirs holds other files; choose an empty or new one with -o\n"
    )  # fmt: skip


def test_remote_output_of_a_failed_call_has_what_was_finished(memory, tmp_path):
    def fails():
        with RemoteOutput("memory://results/out", tmp_path).writing():
            folder = tmp_path / "memory" / "results" / "out"
            (folder / "csms").mkdir(parents=True)
            (folder / "csms" / "1.parquet").write_bytes(b"matrix")
            (folder / ".tmp").mkdir()
            (folder / ".tmp" / "half").write_bytes(b"mat")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fails()
    assert memory.find("/results") == ["/results/out/csms/1.parquet"]


def test_changes_are_put_while_the_work_goes_on_and_removals_as_well(memory, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_output, "FLUSH_SECONDS", 0.02)
    memory.pipe("/results/out/checkpoints.parquet", b"old")
    memory.pipe("/results/out/csms/stray.parquet", b"old")
    one = RemoteOutput("memory://results/out", tmp_path)
    with one.writing():
        assert memory.cat("/results/out/.lock").startswith(b"process ")
        (one.path / "csms" / "stray.parquet").unlink()
        (one.path / "curves.parquet").write_bytes(b"new")
        deadline = time.monotonic() + 100
        while not memory.exists("/results/out/curves.parquet") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert memory.cat("/results/out/curves.parquet") == b"new"
    assert sorted(memory.find("/results")) == ["/results/out/checkpoints.parquet", "/results/out/curves.parquet"]


def test_a_second_writer_is_refused_and_one_that_died_is_not_waited_for(memory, tmp_path, monkeypatch):
    memory.pipe("/results/out/checkpoints.parquet", b"old")
    earlier = RemoteOutput("memory://results/out", tmp_path)
    memory.pipe("/results/out/.lock", b"process 7 on node3 abc")
    line = r"another dsi \(process 7 on node3\) is writing to memory://results/out: wait for it; if it is dead, delete "
    for output in (earlier, RemoteOutput("memory://results/out", tmp_path)):
        with pytest.raises(BusyError, match=line), output.writing():
            pass
        assert memory.cat("/results/out/.lock") == b"process 7 on node3 abc"
    monkeypatch.setattr(remote_output, "STALE_SECONDS", 0.0)
    with RemoteOutput("memory://results/out", tmp_path).writing():
        pass
    assert memory.find("/results") == ["/results/out/checkpoints.parquet"]


def test_a_writer_is_interrupted_once_another_has_the_lock(memory, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_output, "FLUSH_SECONDS", 0.02)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    deadline = time.monotonic() + 100
    one = RemoteOutput("memory://results/out", tmp_path)
    is_interrupted = True

    def work():
        nonlocal is_interrupted
        with one.writing():
            one.path.mkdir(parents=True)
            (one.path / "curves.parquet").write_bytes(b"ours")
            memory.pipe("/results/out/.lock", b"process 8 on node4 def")
            while time.monotonic() < deadline:
                time.sleep(0.01)
            is_interrupted = False

    with pytest.raises(BusyError, match="another dsi has begun to write to memory://results/out meanwhile"):
        work()
    assert is_interrupted
    assert one.kept is not None
    assert (one.kept / "curves.parquet").read_bytes() == b"ours"
    assert memory.cat("/results/out/.lock") == b"process 8 on node4 def", "the lock of another process is left alone"


def test_output_after_a_short_outage_has_all_tables(make_run, s3, dsi, tmp_path, monkeypatch):
    monkeypatch.setattr("dsi_cli.remote.filesystem.FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(remote_output, "FIRST_PAUSE_SECONDS", 0.01)
    folder = make_run(epochs=2)
    refused = []

    def refuses(method, path):
        if method != "PUT" or path.endswith("/.lock") or len(refused) == 20:
            return False
        refused.append(path)
        return True

    s3.refuses = refuses
    ended = dsi("analyze", folder, "-o", OUT, *QUICK)
    assert ended.code == 0, ended.err
    assert len(refused) == 20, "the outage was long enough for the server to count as gone"
    assert dsi("analyze", folder, "-o", tmp_path / "out", *QUICK).code == 0
    assert set(objects(s3, "results/out")) == set(contents(tmp_path / "out"))


def test_without_the_server_all_tables_are_kept_and_uploaded_by_the_command_that_is_printed(
    make_run, s3, dsi, tmp_path, monkeypatch
):
    monkeypatch.setattr("dsi_cli.remote.filesystem.FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(remote_output, "LAST_UPLOAD_SECONDS", 0.1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = make_run(epochs=1)
    s3.refuses = lambda method, path: method == "PUT" and "csms" in path
    ended = dsi("analyze", folder, "-o", OUT, *QUICK)
    assert ended.code == 5
    assert (ended.out, ended.err.count("\n")) == ("", 1)
    found = re.fullmatch(
        rf"dsi: {OUT} could not be written: the server .*; all files are kept in (.*); upload them later: (python -c .*)\n",
        ended.err,
    )
    assert found is not None, ended.err
    assert dsi("analyze", folder, "-o", tmp_path / "out", *QUICK).code == 0
    assert set(contents(Path(found[1]))) == set(contents(tmp_path / "out"))
    assert Path(found[1]).is_relative_to(tmp_path / "cache")
    s3.begin()
    _, *arguments = shlex.split(found[2])
    subprocess.run([sys.executable, *arguments], check=True)
    assert set(objects(s3, "results/out")) == set(contents(tmp_path / "out"))


def test_a_server_that_denies_access_is_an_output_error(make_run, s3, dsi):
    folder = make_run()
    s3.status = "403 Forbidden"
    ended = dsi("analyze", folder, "-o", OUT, *QUICK)
    assert (ended.code, ended.err) == (5, f"dsi: {OUT} cannot be listed: the server denies access (Forbidden)\n")
    s3.status = None
    ended = dsi("analyze", folder, "-o", "s3://elsewhere/out", *QUICK)
    assert (ended.code, ended.err) == (2, "dsi: no such file or folder: s3://elsewhere/out\n")
