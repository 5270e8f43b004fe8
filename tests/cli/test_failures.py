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

from dsi_cli.checkpoints.formats import EXPECTED
from dsi_cli.store import lock

QUICK = ("--no-report",)


def failed(ended, code, line):
    """Assert that a command printed one line on stderr, nothing on stdout, and ended
    with a code.
    """
    assert ended == (code, "", f"dsi: {line}\n")


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


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("analyze", "{folder}", "--json"),
            3,
            "no checkpoints under {folder} (0 other files): expected",
        ),
        (("scan", "gone", "--json"), 2, "no such file or folder: gone"),
        (("wordnet", "--json", "gone.txt"), 2, "gone.txt"),
        (("mistakes", "{folder}", "--json"), 2, "{folder}"),
        (
            ("scan", "--json", "--no-such-option"),
            2,
            "no such option: --no-such-option;",
        ),
    ],
)
def test_json_of_a_failed_command_has_the_error(
    arguments, code, message, dsi, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    folder = str(tmp_path / "empty")
    ended = dsi(*(argument.format(folder=folder) for argument in arguments))
    document = json.loads(ended.out)
    assert (ended.code, document["exit_code"]) == (code, code)
    assert message.format(folder=folder) in document["error"]
    assert ended.err == f"dsi: {document['error']}\n"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "0 other files"),
        (["a.txt"], "1 other file"),
        (["a.txt", "b.png", "c"], "3 other files"),
    ],
)
def test_folder_without_checkpoints_exits_with_3(names, said, dsi, tmp_path):
    (tmp_path / "other").mkdir()
    for name in names:
        (tmp_path / "other" / name).write_text(
            "nothing of interest to anybody", encoding="utf-8"
        )
    expected = f"no checkpoints under {tmp_path}/other ({said}): expected {EXPECTED}"
    failed(dsi("analyze", tmp_path / "other", "-o", tmp_path / "out"), 3, expected)
    (tmp_path / "other/wandb").mkdir()
    failed(
        dsi("scan", tmp_path / "other"),
        3,
        f"{expected}; dsi searches {tmp_path}/other/wandb only if you name it",
    )
    assert not (tmp_path / "out").exists()


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


def test_wordnet_output_over_the_label_list_is_refused(dsi, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("dog\ncat\n", encoding="utf-8")
    expected = f"{labels} is the label list itself; give another name to --write-map"
    failed(dsi("wordnet", labels, "-o", labels), 2, expected)
    failed(
        dsi("wordnet", labels, "-o", tmp_path / "x.parquet", "--write-map", labels),
        2,
        expected,
    )
    assert labels.read_text(encoding="utf-8") == "dog\ncat\n"


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
            "dsi: stdout, or a file that is open, could not be written or read: No"
            " space left on device\n"
        )
        assert ended.stderr.endswith(line)


@pytest.mark.parametrize("verb", ["scan", "report", "analyze", "plot"])
def test_command_with_an_overlong_path_is_wrong_usage(verb, dsi):
    path = f"{'a' * 300}/x"
    ended = dsi(verb, path)
    assert (ended.code, "a" * 300 in ended.err) == (2, True)
    assert ended.err.endswith(": File name too long; check the path\n")
    assert json.loads(dsi(verb, path, "--json").out)["exit_code"] == 2


def test_analyze_found_labels_of_another_number_warn(dsi, make_run, tmp_path):
    run, out = make_run(labels=ANIMALS[:5]), tmp_path / "out"
    ended = dsi("analyze", run, "-o", out, *QUICK)
    done(ended, 0, out)
    assert (
        "warning: run: classes.txt is not used, because it has 5 labels and the"
        " classifier 8 classes\n" in ended.err
    )
    assert (
        "no agreement; add --labels FILE, or --labels PRESET from this list\n  dsi"
        " labels --presets\n" in ended.err
    )
    assert "95 % CI" not in ended.out, "no value has an interval"
    sai = tables(out)["curves"].query("metric == 'sai'")
    assert set(sai["reason"]) == {"no labels; add --labels FILE, or --labels PRESET"}


def test_analyze_labels_unknown_to_wordnet_warn(dsi, make_run, tmp_path):
    labels = [f"qzx{letter}" for letter in "abcdefgh"]
    run, out = make_run(labels=labels), tmp_path / "out"
    ended = dsi("analyze", run, "-o", out, *QUICK)
    done(ended, 0, out)
    reason = "0 of 8 labels are known to WordNet; an alignment needs 4 or more"
    assert (
        f"warning: no agreement with WordNet: {reason}; unknown: qzxa, qzxb, qzxc,"
        " qzxd, qzxe, ... ('qzxa' " in ended.err
    )
    assert ended.err.count("--write-map") == 1
    assert ended.err.endswith(
        f"  dsi labels {run / 'classes.txt'} --write-map map.csv\n"
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
    failed(ended, 3, f"no checkpoint can be used: epoch_0.pt: {TWO_HEADS}")
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
    assert (
        f"run: failed: {run}/epoch_1.pt: NaN or infinite weights in class 2, 5 of 8\n"
        in ended.err
    )
    assert states(out) == {
        "epoch_0.pt": ("ok", None),
        "epoch_1.pt": ("failed", "NaN or infinite weights in class 2, 5 of 8"),
        "epoch_2.pt": ("ok", None),
    }
    assert set(tables(out)["curves"]["epoch"]) == {0, 2}
    quiet = dsi("analyze", run, "-o", out, *QUICK, "--quiet")
    assert (quiet.err, quiet.code) == (
        f"run: failed: {run}/epoch_1.pt: NaN or infinite weights in class 2, 5 of 8\n",
        4,
    )


def test_analyze_zero_class_vector_warns(dsi, make_run, tmp_path):
    run, out = make_run(epochs=2), tmp_path / "out"
    weight = heads(1)[0]
    weight[3] = 0
    save_head(run / "epoch_1.pt", weight, epoch=1)
    ended = dsi("analyze", run, "-o", out, *QUICK)
    done(ended, 0, out)
    warning = (
        "warning: run: zero weights in class 'frog', so the similarity to all others is"
        " 0 (epoch 1)\n"
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
    assert f"run: {status}: {path}: " in ended.err
    found, reason = states(out)["epoch_2.pt"]
    assert found == status
    assert reason.startswith(
        "a zip archive without its directory, which is written last: cut off"
    )
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


def test_analyze_output_that_is_a_file_or_holds_other_files_is_refused(
    dsi, make_run, tmp_path
):
    run = make_run()
    (run / ".tmp" / "mine").mkdir(parents=True)
    before = contents(run)
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    failed(
        dsi("analyze", run, "-o", file),
        2,
        f"the output {file} is a file; give -o a folder",
    )
    assert file.read_text(encoding="utf-8") == "mine"
    other = (
        f"the output folder {run} holds other files; choose an empty or new one with -o"
    )
    failed(dsi("analyze", run, "-o", run), 2, other)
    assert contents(run) == before
    assert (run / ".tmp" / "mine").is_dir()


def test_output_that_cannot_be_written_exits_with_5(dsi, make_run, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    out = tmp_path / "file" / "out"
    expected = (
        f"{out} could not be written: Not a directory; choose another output with -o"
    )
    failed(dsi("analyze", make_run(), "-o", out), 5, expected)
    failed(
        dsi("wordnet", "cifar10", "-o", out / "x.parquet"),
        5,
        expected.replace("out could", "out/x.parquet could"),
    )


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
        assert (ended.code, ended.out, ended.err.count("\n")) == (5, "", 1), ended.err
        assert (
            "could not be written: the disk is full; free some space and run the same"
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
            f"another dsi (process {os.getpid()}) is writing to {out}; wait for it, or"
            " choose another folder with -o"
        )
        failed(dsi("analyze", run, "-o", out, *QUICK), 5, line)
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


def test_analyze_invalid_option_writes_nothing(dsi, make_run, tmp_path):
    line = (
        "--epochs takes first:last:step, for example 0:200:5; 'a:b' is not of that form"
    )
    failed(
        dsi("analyze", make_run(epochs=1), "-o", tmp_path / "out", "--epochs", "a:b"),
        2,
        line,
    )
    assert not (tmp_path / "out").exists()


def test_analyze_epochs_that_select_nothing_exit_with_3(dsi, make_run, tmp_path):
    ended = dsi(
        "analyze", make_run(epochs=2), "-o", tmp_path / "out", "--epochs", "50:"
    )
    failed(
        ended,
        3,
        "no checkpoint can be used: --epochs selects none of the epochs 0 to 1",
    )
    assert not (tmp_path / "out").exists()


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
    failed(ended, 2, f"no run 'x': {tmp_path}/out\\udcff {shown} holds {shown}")
    assert dsi("export", out, "--run", name).code == 0
