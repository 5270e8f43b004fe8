"""A second call does what is new or changed and nothing else; a call that was killed loses nothing that was whole."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.outputs import ANIMALS, assert_same_output, contents, garble, heads, save_head, tables
from numpy.testing import assert_array_equal

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.errors import UsageError
from dsi_cli.similarity.weights import weight_similarity
from dsi_cli.store.results import Results

pytest_plugins = ("helpers.analysed_runs",)

QUICK = Options(draws=0)
LONG = 40


@contextmanager
def opened_files(monkeypatch):
    """Yield the list of checkpoints that are opened meanwhile."""
    opened = []
    real = RandomAccessFile.__init__

    def counted(self, path):
        opened.append(path.name)
        real(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(RandomAccessFile, "__init__", counted)
        yield opened


def again(run, out, monkeypatch, options=QUICK):
    """Analyse once more; return what the summary says of the run, and the names of the checkpoints that were opened."""
    with opened_files(monkeypatch) as opened:
        summary = analyze([run], out, options)
    (told,) = summary.runs
    return told, opened


def assert_matrices_are(out, run, weights):
    """Assert that a run's stored matrices are those of these weights, by epoch."""
    frames = Results(out)
    assert frames.epochs(run) == sorted(weights)
    for epoch, weight in weights.items():
        assert_array_equal(frames.csm(epoch=epoch, run=run), weight_similarity(weight.numpy()))


def test_a_second_call_reads_no_head(make_run, tmp_path, monkeypatch, dsi):
    run, out = make_run(), tmp_path / "out"
    (first,) = analyze([run], out, QUICK).runs
    assert (first.read, first.reused) == (4, 0)
    before = contents(out)
    garble(run)
    told, opened = again(run, out, monkeypatch)
    assert (told.read, told.reused, told.statuses, opened) == (0, 4, {"ok": 4}, [])
    assert contents(out) == before
    dsi("analyze", run, "-o", out, "--draws", 0)  # the command also records its settings
    ended = dsi("analyze", run, "-o", out, "--draws", 0)
    assert ended.code == 0
    assert ended.out.startswith("Nothing new: 4 checkpoints already analysed.")


def test_what_failed_or_is_a_duplicate_is_known_too(make_run, tmp_path, monkeypatch):
    run, out = make_run(), tmp_path / "out"
    shutil.copyfile(run / "epoch_3.pt", run / "best.pt")
    save_head(run / "epoch_4.pt", torch.full((8, 8), torch.nan), epoch=4)
    analyze([run], out, QUICK)
    before = contents(out)
    garble(run)
    told, opened = again(run, out, monkeypatch)
    assert (told.read, told.reused, opened) == (0, 4, [])
    assert told.statuses == {"ok": 4, "skipped": 1, "failed": 1}
    assert contents(out) == before


def test_a_new_checkpoint_is_added(make_run, tmp_path, monkeypatch):
    run, out = make_run(epochs=5), tmp_path / "out"
    later = run / "epoch_4.pt"
    later.rename(tmp_path / "later.pt")
    analyze([run], out, QUICK)
    (tmp_path / "later.pt").rename(later)
    told, opened = again(run, out, monkeypatch)
    assert (told.read, told.reused, opened) == (1, 4, ["epoch_4.pt"])
    analyze([run], tmp_path / "fresh", QUICK)
    assert_same_output(out, tmp_path / "fresh")


def test_a_changed_checkpoint_is_read_again(make_run, tmp_path, monkeypatch):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    save_head(run / "epoch_2.pt", heads(1, seed=5)[0], epoch=2)
    told, opened = again(run, out, monkeypatch)
    assert (told.read, told.reused, opened) == (1, 3, ["epoch_2.pt"])
    analyze([run], tmp_path / "fresh", QUICK)
    assert_same_output(out, tmp_path / "fresh")


def test_a_deleted_checkpoint_is_kept(make_run, tmp_path, monkeypatch, dsi):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    before = {name: frame.sort_values(list(frame.columns[:2])) for name, frame in tables(out).items()}
    (run / "epoch_1.pt").unlink()
    told, opened = again(run, out, monkeypatch)
    assert (told.gone, told.reused, told.statuses, opened) == (1, 4, {"ok": 4}, [])
    assert_matrices_are(out, "run", dict(enumerate(heads(4))))
    for name, frame in tables(out).items():
        found = frame.sort_values(list(frame.columns[:2])).reset_index(drop=True)
        pd.testing.assert_frame_equal(found, before[name].reset_index(drop=True), obj=name)
    ended = dsi("analyze", run, "-o", out, "--draws", 0)
    assert "run: dsi keeps the results of 1 checkpoint that no longer exist\n" in ended.err


def test_a_deleted_checkpoint_gives_way_to_a_new_file_of_its_epoch(make_run, tmp_path):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    (run / "epoch_2.pt").unlink()
    other = heads(1, seed=5)[0]
    save_head(run / "epoch_2_again.pt", other, epoch=2)
    (told,) = analyze([run], out, QUICK).runs
    assert (told.gone, told.statuses) == (0, {"ok": 4})
    assert_matrices_are(out, "run", dict(enumerate(heads(4))) | {2: other})


def test_narrower_and_wider_epochs(make_run, tmp_path, monkeypatch):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    analyze([run], tmp_path / "fresh", QUICK)
    told, opened = again(run, out, monkeypatch, Options(draws=0, epochs="1:3:2"))
    assert (told.read, told.statuses, opened) == (0, {"ok": 2, "skipped": 2}, [])
    assert set(tables(out)["curves"]["epoch"]) == {1, 3}
    assert sorted(path.name for path in (out / "csms" / "run" / "ncsm").iterdir()) == ["1.parquet", "3.parquet"]
    reasons = tables(out)["checkpoints"].set_index("epoch")["reason"]
    assert reasons.loc[[0, 2]].to_list() == ["not among --epochs"] * 2
    told, opened = again(run, out, monkeypatch)
    assert (told.read, told.reused, opened) == (2, 2, ["epoch_0.pt", "epoch_2.pt"])
    assert_same_output(out, tmp_path / "fresh")


def test_other_labels_change_the_alignment_alone(make_run, tmp_path, monkeypatch):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    before = contents(out)
    others = tmp_path / "others.txt"
    others.write_text("\n".join(("cat", "dog", "ship", "truck", "rose", "oak", "chair", "cup")), encoding="utf-8")
    options = Options(draws=0, labels=str(others))
    told, opened = again(run, out, monkeypatch, options)
    assert (told.read, told.reused, opened) == (0, 4, [])
    assert {name for name in before if name.startswith("csms")} == {n for n in contents(out) if n.startswith("csms")}
    assert all(contents(out)[name] == data for name, data in before.items() if name.startswith("csms"))
    analyze([run], tmp_path / "fresh", options)
    assert_same_output(out, tmp_path / "fresh")
    assert len(list((out / "references").iterdir())) == 1, "the reference that nobody uses is gone"
    again(run, out, monkeypatch)
    assert contents(out) == before


@pytest.mark.parametrize(
    "options",
    [
        Options(draws=0, measures=("pearson", "mae")),
        Options(draws=7),
        Options(draws=0, permutations=50),
        Options(draws=0, quantiles=(0.9, 0.95)),
        Options(draws=0, centred=True),
        Options(draws=0, head="fc.weight"),
    ],
)
def test_other_options_and_back(options, make_run, tmp_path):
    run, out = make_run(epochs=2), tmp_path / "out"
    analyze([run], out, QUICK)
    before = contents(out)
    analyze([run], out, options)
    assert contents(out) != before
    analyze([run], tmp_path / "fresh", options)
    assert_same_output(out, tmp_path / "fresh")
    analyze([run], out, QUICK)
    assert contents(out) == before


def test_the_choice_of_a_head_in_one_run_says_nothing_of_another(make_run, tmp_path):
    one, two, out = make_run("one"), make_run("two", seed=1), tmp_path / "out"
    save_head(one / "epoch_4.pt", heads(1, seed=2)[0], epoch=4)
    state = {"state_dict": {"head.weight": heads(1, seed=3)[0], "head.bias": torch.zeros(8)}, "epoch": 5}
    torch.save(state, one / "epoch_5.pt")
    (told,) = analyze([one], out, Options(draws=0, head="fc.weight")).runs
    assert told.statuses == {"ok": 5, "failed": 1}
    analyze([two], out, QUICK)
    # The head of another name is of another network, so it is a run of its own.
    told = {run.name: run.statuses for run in analyze([one], out, QUICK).runs}
    assert told == {"one": {"ok": 5}, "one/epoch_5": {"ok": 1}}


def test_a_run_added_later_leaves_the_first_as_it_was(make_run, tmp_path):
    one, two, out = make_run("one"), make_run("two", seed=1), tmp_path / "out"
    analyze([one], out, QUICK)
    before = tables(out)
    matrices = {name: data for name, data in contents(out).items() if name.startswith("csms")}
    shutil.rmtree(tmp_path / "one")
    analyze([two], out, QUICK)
    for name, frame in tables(out).items():
        assert set(frame["run"]) == {"one", "two"}
        pd.testing.assert_frame_equal(frame.query("run == 'one'"), before[name], obj=name)
    assert matrices.items() <= contents(out).items()


def test_the_same_name_from_another_place_is_refused(make_run, tmp_path):
    here, there, out = make_run("run"), make_run("elsewhere/run", seed=1), tmp_path / "out"
    analyze([here], out, QUICK)
    before = contents(out)
    expected = (
        f"the output has a run 'run' from {here}, and {there} would be another of that name:"
        " choose another output with -o, or rename a folder"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
        analyze([there], out, QUICK)
    assert contents(out) == before


def test_checkpoints_without_epochs_move_up_when_one_comes_before_them(make_run, tmp_path, monkeypatch):
    """Their order numbers them; the matrices that are there must go along with their checkpoints."""
    run, out, weights = make_run(epochs=0), tmp_path / "out", heads(5)
    names = ("a", "b", "c", "d", "e")
    for name, weight in list(zip(names, weights, strict=True))[2:]:
        save_head(run / f"{name}.pt", weight)
    analyze([run], out, QUICK)
    assert_matrices_are(out, "run", dict(enumerate(weights[2:], start=1)))
    for name, weight in list(zip(names, weights, strict=True))[:2]:
        save_head(run / f"{name}.pt", weight)
    _, opened = again(run, out, monkeypatch)
    assert opened == ["a.pt", "b.pt"]
    assert_matrices_are(out, "run", dict(enumerate(weights, start=1)))
    analyze([run], tmp_path / "fresh", QUICK)
    assert_same_output(out, tmp_path / "fresh")


def test_saves_within_an_epoch_are_all_kept(make_run, tmp_path, monkeypatch):
    run, out, weights = make_run(epochs=0), tmp_path / "out", heads(4)
    save_head(run / "a.pt", weights[0], epoch=0, global_step=10)
    save_head(run / "b.pt", weights[1], epoch=1, global_step=20)
    save_head(run / "c.pt", weights[2], epoch=1, global_step=30)
    (told,) = analyze([run], out, QUICK).runs
    assert told.statuses == {"ok": 3}
    folder = out / "csms" / "run" / "ncsm"

    def stored():
        return {path.name: np.stack(pd.read_parquet(path)["similarity"]) for path in folder.iterdir()}

    assert set(stored()) == {"0.parquet", "1-20.parquet", "1.parquet"}
    assert_array_equal(stored()["1-20.parquet"], weight_similarity(weights[1].numpy()))
    assert_array_equal(stored()["1.parquet"], weight_similarity(weights[2].numpy()))
    assert_array_equal(Results(out).csm(epoch=1, step=20), stored()["1-20.parquet"])
    curves = tables(out)["curves"].query("metric == 'wsi' and variant == 'max'")
    assert list(zip(curves["epoch"], curves["step"], strict=True)) == [(0, 10), (1, 20), (1, 30)]

    save_head(run / "d.pt", weights[3], epoch=1, global_step=40)
    _, opened = again(run, out, monkeypatch)
    assert opened == ["d.pt"], "the one that was the last until now keeps its matrix under another name"
    assert set(stored()) == {"0.parquet", "1-20.parquet", "1-30.parquet", "1.parquet"}
    assert_array_equal(stored()["1-30.parquet"], weight_similarity(weights[2].numpy()))
    assert_array_equal(stored()["1.parquet"], weight_similarity(weights[3].numpy()))


def test_a_damaged_matrix_or_table_is_made_again(make_run, tmp_path):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    before = contents(out)
    for name in ("csms/run/ncsm/2.parquet", "curves.parquet"):
        (out / name).write_bytes(before[name][: len(before[name]) // 2])
    analyze([run], out, QUICK)
    assert contents(out) == before


def started(run, out):
    """Start an analysis in a process of its own."""
    command = [sys.executable, "-m", "dsi_cli", "analyze", str(run), "-o", str(out), "--draws", "0"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process):
    """Wait until something is true, or the process ends."""
    while not condition() and process.poll() is None:
        time.sleep(0.001)


def matrices(out):
    return list((out / "csms").rglob("*.parquet"))


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """Return a longer run and its undisturbed analysis."""
    folder = tmp_path_factory.mktemp("longer")
    for epoch, weight in enumerate(heads(LONG)):
        save_head(folder / "run" / f"epoch_{epoch}.pt", weight, epoch=epoch)
    (folder / "run" / "classes.txt").write_text("\n".join(ANIMALS), encoding="utf-8")
    analyze([folder / "run"], folder / "out", QUICK)
    return folder


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_has_its_exit_code_and_can_be_gone_on_from(number, code, longer, tmp_path):
    run, out = longer / "run", tmp_path / "out"
    process = started(run, out)
    wait_for(lambda: len(matrices(out)) >= 5, process)
    process.send_signal(number)
    told, errors = process.communicate(timeout=60)
    assert (process.returncode, told) == (code, "")
    assert errors == "dsi: interrupted: what was finished is kept; run the same command again to go on\n"
    assert not (out / ".tmp").exists()
    assert not (out / ".lock").exists()
    left = len(matrices(out))
    assert 5 <= left < LONG
    (told,) = analyze([run], out, QUICK).runs
    assert (told.reused, told.read) == (left, LONG - left)
    assert_same_output(out, longer / "out")
