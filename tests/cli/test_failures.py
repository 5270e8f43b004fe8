"""What goes wrong is one clear line on stderr and an exit code; what can be done is
done all the same.
"""

import json
import os
import pickle
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.outputs import (
    ANIMALS,
    assert_same_output,
    contents,
    heads,
    save_head,
    tables,
)

from dsi_cli.cli import app
from dsi_cli.store import lock

QUICK = ("--no-report",)


def done(ended, code, out):
    """Assert that a command printed its results up to the next step, and ended with a
    code.
    """
    assert ended.code == code, ended.err
    assert f"  Tables     {out}\n" in ended.out or ended.out.startswith("Nothing new: ")
    assert "Traceback" not in ended.err


def states(out):
    """Return the status and reason of each checkpoint, by the file's name."""
    rows = tables(out)["checkpoints"].astype(object)
    rows = rows.where(rows.notna(), None)
    return {
        path.rpartition("/")[2]: tuple(row)
        for path, *row in rows[["path", "status", "reason"]].to_numpy()
    }


COMMANDS_OF_PATHS = ("scan", "report", "analyze", "plot")
USAGE_HINT = "run dsi {} --help"
FAILURES = [
    # call, exit code, code, hint
    ("analyse x", 2, "unknown-command", "run dsi analyze"),
    ("xyzzy", 2, "unknown-command", "run dsi --help"),
    ("file", 2, "path-as-command", "run dsi analyze file"),
    ("-v scan x", 2, "unknown-option", "run dsi --help"),
    ("analyze x --lables y", 2, "unknown-option", "use --labels"),
    ("analyze x --memory 4GB", 2, "unknown-option", USAGE_HINT.format("analyze")),
    ("report x --epochs=3", 2, "unknown-option", USAGE_HINT.format("report")),
    ("neighbors out wolf", 2, "usage", USAGE_HINT.format("neighbors")),
    ("scan --tensors", 2, "usage", USAGE_HINT.format("scan")),
    ("analyze run --permutations x", 2, "usage", USAGE_HINT.format("analyze")),
    ("scan", 2, "no-checkpoints", ...),
    ("scan gone", 2, "no-such-path", ...),
    ("wordnet gone.txt", 2, "unknown-labels", ...),
    ("mistakes empty", 2, "not-an-output", ...),
    ("export gone", 2, "no-output", ...),
    ("plot", 2, "no-output-folder", ...),
    ("analyze empty", 3, "no-checkpoints", ...),
    ("scan empty", 3, "no-checkpoints", ...),
    *(
        (f"{name} {'a' * 300}/x", 2, "path", "check the path")
        for name in COMMANDS_OF_PATHS
    ),
    # an unknown suffix is refused first
    ("wordnet cifar10 -o t.xlsx", 2, "wrong-suffix", ...),
    ("wordnet cifar10 -o table", 2, "wrong-suffix", ...),
    ("wordnet cifar10 --write-map map.parquet", 2, "wrong-suffix", ...),
    ("labels cifar10 --write-map map.json", 2, "wrong-suffix", ...),
    ("export gone -o t.xlsx", 2, "wrong-suffix", ...),
    ("report gone -o report.pdf", 2, "wrong-suffix", ...),
    ("compare gone --html page.pdf", 2, "wrong-suffix", ...),
    ("mistakes gone --sheet x.jpg", 2, "wrong-suffix", ...),
    # outputs
    ("wordnet labels.txt -o labels.txt", 2, "overwrites-labels", ...),
    ("wordnet labels.txt -o t.csv --write-map labels.txt", 2, "overwrites-labels", ...),
    ("wordnet labels.txt -o t.npy --neighbors 2", 2, "npy-of-a-table", ...),
    ("wordnet labels.txt -o - --json", 2, "options-conflict", ...),
    ("wordnet imagenet12k --whole -o t.csv", 2, "matrix-too-large", ...),
    ("analyze run -o file", 2, "output-is-a-file", ...),
    ("analyze run -o run", 2, "foreign-folder", ...),
    ("analyze run -o file/out", 5, "cannot-write", ...),
    ("wordnet cifar10 -o file/x.parquet", 5, "cannot-write", ...),
    # options
    ("analyze run -o out --epochs a:b", 2, "not-epochs", ...),
    ("analyze run -o out --epochs 50:", 3, "nothing-usable", ...),
]


@pytest.mark.parametrize(("call", "exit_code", "code", "hint"), FAILURES)
def test_call_that_fails_has_an_exit_code_a_code_and_a_hint(
    call, exit_code, code, hint, make_run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    make_run(epochs=2)
    (tmp_path / "run" / ".tmp").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "labels.txt").write_text("dog\ncat\n", encoding="utf-8")
    before = contents(tmp_path)
    failure = app.run(call.split())
    assert (failure.exit_code, failure.code) == (exit_code, code)
    assert hint in (..., failure.hint)
    assert contents(tmp_path) == before, "nothing was written"


@pytest.mark.parametrize("code", [2, 3])
def test_failure_is_a_line_on_stderr_and_with_json_a_document(code, dsi, tmp_path):
    call = ("scan", "--no-such") if code == 2 else ("scan", tmp_path)
    plain, with_json = dsi(*call), dsi(*call, "--json")
    document = json.loads(with_json.out)
    assert list(document) == ["exit_code", "error", "code", "hint", "fields"]
    assert document["exit_code"] == plain.code == code
    hint = f"hint: {document['hint']}\n" if document["hint"] else ""
    assert plain.err == with_json.err == f"error: {document['error']}\n{hint}"
    assert plain.out == ""


def codes(out):
    """Return the codes of the facts of a results folder, the most important first."""
    return pd.read_parquet(out / "facts.parquet")["code"].to_list()


@pytest.mark.parametrize(
    ("name", "contents", "advice"),
    [
        (
            "model_1.tflite",
            b"\x1c\0\0\0TFL3" + bytes(100),
            "a format that dsi does not read (TensorFlow Lite); load it",
        ),
        (
            "lr_1.joblib",
            b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n\x06",
            "a format that dsi does not read (joblib)",
        ),
        (
            "model.nemo",
            bytes(257) + b"ustar" + bytes(100),
            "a tar archive; run tar -xf {path}",
        ),
        ("model.pt.xz", b"\xfd7zXZ\0" + bytes(100), "xz-compressed; run unxz {path}"),
    ],
)
def test_a_folder_of_another_format_exits_with_advice(
    name, contents, advice, dsi, tmp_path
):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / name).write_bytes(contents)
    ended = dsi("scan", tmp_path / "other")
    assert ended.code == 3
    assert f"; {name}: {advice.format(path=tmp_path / 'other' / name)}" in ended.err


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">/dev/full"])
def test_scan_with_closed_or_full_streams_prints_no_traceback(closed, make_run):
    command = f"{sys.executable} -m dsi_cli scan {make_run()} {closed}"
    ended = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ended.stdout + ended.stderr
    assert ended.returncode == (5 if "full" in closed else 0)
    if "full" in closed:
        line = (
            "error: stdout, or a file that is open, could not be written or read: No"
            " space left on device\n"
        )
        assert ended.stderr.endswith(line)


def test_analyze_found_labels_of_another_number_warn(dsi, make_run, tmp_path):
    run, out = make_run(labels=ANIMALS[:5]), tmp_path / "out"
    ended = dsi("analyze", run, "-o", out, *QUICK)
    done(ended, 0, out)
    assert codes(out) == ["labels-not-used", "no-labels"]
    assert ended.err.endswith("this list:\n  dsi labels --presets\n")
    assert "95 % CI" not in ended.out, "no value has an interval"
    sai = tables(out)["curves"].query("metric == 'sai'")
    assert set(sai["reason"]) == {"no labels; add --labels FILE, or --labels PRESET"}


def test_analyze_labels_unknown_to_wordnet_warn(dsi, make_run, tmp_path):
    labels = [f"qzx{letter}" for letter in "abcdefgh"]
    run, out = make_run(labels=labels), tmp_path / "out"
    ended = dsi("analyze", run, "-o", out, *QUICK)
    done(ended, 0, out)
    reason = "0 of 8 labels are known to WordNet; an alignment needs 4 or more"
    assert codes(out) == ["no-agreement"]
    assert ended.err.count("--write-map") == 1
    assert ended.err.endswith(
        f"hint: dsi labels {run / 'classes.txt'} --write-map map.csv\n"
    )
    sai = tables(out)["curves"].query("metric == 'sai'")
    assert (set(sai["reason"]), set(tables(out)["classes"]["resolved_by"])) == (
        {reason},
        {"unresolved"},
    )
    (tmp_path / "zoo.csv").write_text("child,parent\nqzxa,qzx\n", encoding="utf-8")
    ended = dsi("analyze", run, "-o", out, *QUICK, "--taxonomy", tmp_path / "zoo.csv")
    assert "warning: no agreement with zoo-path: 1 of 8 label" in ended.err


TWO_HEADS = (
    "2 tensors could be the classifier: left.head.weight (8, 8), right.head.weight (8,"
    " 8); choose one, for example with --head right.head.weight"
)


def test_analyze_two_candidate_heads_ask_for_head(dsi, tmp_path):
    (tmp_path / "run").mkdir()
    weights = {f"{name}.head.weight": heads(1)[0] for name in ("left", "right")}
    torch.save({"state_dict": weights, "epoch": 9}, tmp_path / "run" / "epoch_0.pt")
    ended = dsi("analyze", tmp_path / "run", "-o", tmp_path / "out", *QUICK)
    assert ended.code == 3
    assert f"no checkpoint can be used: epoch_0.pt: {TWO_HEADS}" in ended.err
    assert states(tmp_path / "out") == {"epoch_0.pt": ("failed", TWO_HEADS)}
    ended = dsi(
        "analyze",
        tmp_path / "run",
        "-o",
        tmp_path / "out",
        *QUICK,
        "--head",
        "left.head.weight",
    )
    done(ended, 0, tmp_path / "out")
    before = contents(tmp_path / "out")
    ended = dsi("analyze", tmp_path / "run", "-o", tmp_path / "out", *QUICK)
    assert "head from the earlier call: left.head.weight\n" in ended.err
    assert contents(tmp_path / "out") == before
    assert (
        dsi(
            "analyze",
            tmp_path / "run",
            "-o",
            tmp_path / "out",
            *QUICK,
            "--head",
            "none",
        ).code
        == 3
    )
    assert contents(tmp_path / "out") == before, "what an earlier call made is kept"


def test_analyze_weights_that_are_not_finite_fail_one_checkpoint(
    dsi, make_run, tmp_path
):
    run, out = make_run(epochs=3), tmp_path / "out"
    weight = heads(1)[0]
    weight[2, 3], weight[5, 0] = torch.nan, torch.inf
    save_head(run / "epoch_1.pt", weight, epoch=1)
    ended = dsi("analyze", run, "-o", out, *QUICK)
    done(ended, 4, out)
    line = (
        "error: epoch_1.pt cannot be used: NaN or infinite weights in class 2, 5 of 8\n"
    )
    assert line in ended.err
    assert states(out) == {
        "epoch_0.pt": ("ok", None),
        "epoch_1.pt": ("failed", "NaN or infinite weights in class 2, 5 of 8"),
        "epoch_2.pt": ("ok", None),
    }
    assert set(tables(out)["curves"]["epoch"]) == {0, 2}
    quiet = dsi("analyze", run, "-o", out, *QUICK, "--quiet")
    assert (quiet.err, quiet.code) == (line, 4)


def test_analyze_zero_class_vector_warns(dsi, make_run, tmp_path):
    run, out = make_run(epochs=2), tmp_path / "out"
    weight = heads(1)[0]
    weight[3] = 0
    save_head(run / "epoch_1.pt", weight, epoch=1)
    ended = dsi("analyze", run, "-o", out, *QUICK)
    done(ended, 0, out)
    warning = (
        "warning: the weights of class 'frog' are zero, so its similarity to all others"
        " is 0 (epoch 1)\n"
    )
    assert ended.err.endswith(warning)
    assert list(
        pd.read_parquet(out / "csms" / "run" / "ncsm" / "1.parquet")["similarity"][3]
    ) == [0, 0, 0, 1, 0, 0, 0, 0]
    assert dsi("analyze", run, "-o", out, *QUICK).err.endswith(warning), (
        "told again though nothing is read again"
    )


@pytest.mark.parametrize(
    ("age", "status", "code"), [(0, "pending", 0), (7200, "failed", 4)]
)
def test_analyze_cut_off_file_is_pending_then_failed(
    age, status, code, dsi, make_run, tmp_path
):
    run, out = make_run(epochs=3), tmp_path / "out"
    path = run / "epoch_2.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    ended = dsi("analyze", run, "-o", out, *QUICK)
    done(ended, code, out)
    assert codes(out) == [f"checkpoints-{status}"]
    found, reason = states(out)["epoch_2.pt"]
    assert found == status
    assert reason == "the file breaks off before the directory of its zip archive"
    path.write_bytes(whole)
    done(dsi("analyze", run, "-o", out, *QUICK), 0, out)
    assert states(out)["epoch_2.pt"] == ("ok", None)


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


@pytest.mark.parametrize("where", ["zip", "legacy"])
def test_analyze_malicious_pickle_is_not_run(where, dsi, make_run, tmp_path):
    run, out, marker = make_run(epochs=2), tmp_path / "out", tmp_path / "marker"
    state = {
        "state_dict": {"fc.weight": heads(1)[0], "fc.bias": torch.zeros(8)},
        "epoch": 2,
        "config": Evil(marker),
    }
    torch.save(state, run / "epoch_2.pt", _use_new_zipfile_serialization=where == "zip")
    (run / "epoch_3.pt").write_bytes(pickle.dumps(Evil(marker)))
    ended = dsi("analyze", run, "-o", out, *QUICK)
    done(ended, 4, out)
    assert not marker.exists()
    assert states(out)["epoch_2.pt"][0] == "ok", "its weights are read all the same"
    assert (states(out)["epoch_3.pt"][0], dsi("scan", run).code) == ("failed", 4)
    assert not marker.exists()
    torch.load(run / "epoch_2.pt", weights_only=False)
    assert marker.exists(), "torch runs it: the file is what it claims to be"


@contextmanager
def tiny_disk(folder, size):
    """Mount a file system of that size for the time; skip where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        allowed = (
            subprocess.run(mount, capture_output=True, check=False).returncode == 0
        )
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("may not mount a small file system here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("blocks", [3, 11])
def test_analyze_full_disk_can_be_continued(blocks, dsi, make_run, tmp_path):
    """With answers, so that tables of every kind may be the one that has no room."""
    run, disk, undisturbed = (
        make_run(epochs=6),
        tmp_path / "disk",
        tmp_path / "undisturbed",
    )
    targets = np.arange(80) % 8
    np.save(run / "targets.npy", targets)
    np.save(
        run / "preds.npy", np.stack([np.roll(targets, epoch + 1) for epoch in range(6)])
    )
    with tiny_disk(disk, f"{4 * blocks}k"):
        out = disk / "out"
        ended = dsi("analyze", run, "-o", out, *QUICK)
        assert (ended.code, ended.out, ended.err.count("\n")) == (5, "", 2), ended.err
        assert (
            "could not be written: the disk is full\nhint: free some space and run the same"
            " command again" in ended.err
        )
        for path in out.rglob("*.parquet"):
            pd.read_parquet(path)
        assert not (out / ".tmp").exists()
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        for place in (out, undisturbed):
            assert dsi("analyze", run, "-o", place, *QUICK).code == 0
        assert_same_output(out, undisturbed)


def test_analyze_output_locked_by_another_writer_exits_with_5(dsi, make_run, tmp_path):
    run, out = make_run(), tmp_path / "out"
    with lock.exclusive(out):
        (out / "csms").mkdir()  # else the folder would go with the lock
        line = (
            f"another dsi (process {os.getpid()}) is writing to {out}\nhint: wait for it, or"
            " choose another folder with -o"
        )
        ended = dsi("analyze", run, "-o", out, *QUICK)
        assert (ended.code, ended.out, ended.err) == (5, "", f"error: {line}\n")
        (out / "csms").rmdir()
    done(dsi("analyze", run, "-o", out, *QUICK), 0, out)


def test_analyze_abandoned_lock_is_ignored(dsi, make_run, tmp_path):
    run, out = make_run(), tmp_path / "out"
    out.mkdir()
    (out / ".lock").write_text("process 1", encoding="utf-8")
    (out / ".tmp").mkdir()
    (out / ".tmp" / "torn.parquet").write_bytes(b"PAR1")
    done(dsi("analyze", run, "-o", out, *QUICK), 0, out)
    assert not {".lock", ".tmp"} & {path.name for path in out.iterdir()}


def test_names_with_control_characters_are_printed_escaped(dsi, make_run, tmp_path):
    name = "run\n\x1b[31mred\u202e"
    shown = r"run\n\x1b[31mred\u202e"
    run, out = make_run(name, epochs=2), tmp_path / f"out\udcff {name}"
    save_head(run / f"epoch_2{name}.pt", torch.full((8, 8), torch.nan))
    for ended in (dsi("analyze", run, "-o", out), dsi("scan", run)):
        assert ended.code == 4
        assert shown in ended.err
        assert shown in ended.out.replace("\n", "")
        assert not {"\x1b", "\u202e"} & set(ended.out + ended.err)
    ended = dsi("export", out, "--run", "x")
    assert ended.code == 2
    assert f"no run 'x': {tmp_path}/out\\udcff {shown} has 1 run: {shown}" in ended.err
    assert dsi("export", out, "--run", name).code == 0
