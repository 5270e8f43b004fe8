"""A second call does what is new or changed and nothing else; a call that was killed
loses nothing that was whole.
"""

import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.errors import raises
from helpers.outputs import (
    ANIMALS,
    assert_like_a_first_call,
    assert_same_output,
    contents,
    garble,
    heads,
    save_head,
    tables,
    write_checkpoints,
)
from numpy.testing import assert_array_equal

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.checkpoints.file_access import RandomAccessFile
from dsi_cli.errors import UsageError
from dsi_cli.queries.export import export_frame
from dsi_cli.similarity import weight_similarity
from dsi_cli.store.results import Results

QUICK = Options(draws=0)
LONG = 40


def again(run, out, monkeypatch, options=QUICK):
    """Analyse once more; return what the summary says of the run, and the names of the
    checkpoints that were opened.
    """
    opened, real = [], RandomAccessFile.__init__

    def counted(self, path):
        opened.append(path.name)
        real(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(RandomAccessFile, "__init__", counted)
        (told,) = analyze([run], out, options).runs
    return told, opened


def assert_matrices_are(out, run, weights):
    """Assert that a run's stored matrices are those of these weights, by epoch."""
    frames = Results(out)
    assert frames.epochs(run) == sorted(weights)
    for epoch, weight in weights.items():
        assert_array_equal(
            frames.csm(epoch=epoch, run=run), weight_similarity(weight.numpy())
        )


def test_analyze_again_reads_no_head(make_run, tmp_path, monkeypatch, dsi):
    run, out = make_run(), tmp_path / "out"
    (first,) = analyze([run], out, QUICK).runs
    assert (first.read, first.reused) == (4, 0)
    before = contents(out)
    garble(run)
    told, opened = again(run, out, monkeypatch)
    assert (told.read, told.reused, told.statuses, opened) == (0, 4, {"ok": 4}, [])
    assert contents(out) == before
    # the command also records its settings
    dsi("analyze", run, "-o", out, "--draws", 0, "--no-report")
    ended = dsi("analyze", run, "-o", out, "--draws", 0, "--no-report")
    assert ended.code == 0
    assert ended.out.startswith("Nothing new: 4 of 4 checkpoints.")


def test_analyze_again_reads_no_failed_or_duplicate_checkpoint(
    make_run, tmp_path, monkeypatch
):
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


def test_analyze_of_results_without_a_cache_sets_them_aside_and_keeps_their_settings(
    make_run, tmp_path, dsi
):
    run, out, labels = make_run(labels=None), tmp_path / "out", tmp_path / "animals.txt"
    labels.write_text("\n".join(ANIMALS), encoding="utf-8")
    dsi("analyze", run, "-o", out, "--draws", 0, "--no-report", "--labels", labels)
    shutil.rmtree(out / ".cache")
    before = contents(out)
    ended = dsi("analyze", run, "-o", out, "--draws", 0, "--no-report")
    line = (
        f"{out} has results of dsi 0.2: they are now in {out}-before-1, and dsi"
        " analyses all checkpoints again"
    )
    assert line in ended.err.splitlines()
    assert contents(tmp_path / "out-before-1") == before
    assert contents(out) == before
    assert (
        "Nothing new: 4 of 4 checkpoints."
        in dsi("analyze", run, "-o", out, "--draws", 0, "--no-report").out
    )


def test_analyze_with_one_more_checkpoint_makes_one_entry_of_each_kind(
    make_run, tmp_path
):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    before = {str(path) for path in (out / ".cache").glob("*/*")}
    save_head(run / "epoch_4.pt", heads(1, seed=5)[0], epoch=4)
    analyze([run], out, QUICK)
    new = {str(path) for path in (out / ".cache").glob("*/*")} - before
    assert sorted(path.split("/")[-2] for path in new) == ["heads", "rows"]


def test_a_deleted_checkpoint_gives_way_to_a_new_file_of_its_epoch(make_run, tmp_path):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    (run / "epoch_2.pt").unlink()
    other = heads(1, seed=5)[0]
    save_head(run / "model_epoch_2.pt", other, epoch=2)
    (told,) = analyze([run], out, QUICK).runs
    assert (told.gone, told.statuses) == (0, {"ok": 4})
    assert_matrices_are(out, "run", dict(enumerate(heads(4))) | {2: other})


def test_analyze_with_other_labels_changes_only_the_alignment(
    make_run, tmp_path, monkeypatch
):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    before = contents(out)
    others = tmp_path / "others.txt"
    others.write_text(
        "\n".join(("cat", "dog", "ship", "truck", "rose", "oak", "chair", "cup")),
        encoding="utf-8",
    )
    options = Options(draws=0, labels=str(others))
    told, opened = again(run, out, monkeypatch, options)
    assert (told.read, told.reused, opened) == (
        0,
        0,
        [],
    ), "no checkpoint is opened, and all rows are new"
    assert {name for name in before if name.startswith("csms")} == {
        n for n in contents(out) if n.startswith("csms")
    }
    assert all(
        contents(out)[name] == data
        for name, data in before.items()
        if name.startswith("csms")
    )
    assert_like_a_first_call(out, [run], options)
    assert len(list((out / "references").iterdir())) == 1, (
        "the reference that nobody uses is gone"
    )
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
def test_analyze_with_other_options_and_back_equals_a_first_call(
    options, make_run, tmp_path
):
    run, out = make_run(epochs=2), tmp_path / "out"
    analyze([run], out, QUICK)
    before = contents(out)
    analyze([run], out, options)
    assert contents(out) != before
    assert_like_a_first_call(out, [run], options)
    analyze([run], out, QUICK)
    assert contents(out) == before


def test_analyze_head_option_holds_for_one_run(make_run, tmp_path):
    one, two, out = make_run("one"), make_run("two", seed=1), tmp_path / "out"
    save_head(one / "epoch_4.pt", heads(1, seed=2)[0], epoch=4)
    state = {
        "state_dict": {"head.weight": heads(1, seed=3)[0], "head.bias": torch.zeros(8)},
        "epoch": 5,
    }
    torch.save(state, one / "epoch_5.pt")
    (told,) = analyze([one], out, Options(draws=0, head="fc.weight")).runs
    assert told.statuses == {"ok": 5, "failed": 1}
    analyze([two], out, QUICK)
    # The head of another name is of another network, so it is a run of its own.
    told = {run.name: run.statuses for run in analyze([one], out, QUICK).runs}
    assert told == {"one": {"ok": 5}, "one/epoch_5": {"ok": 1}}


def test_analyze_run_of_the_same_name_from_another_folder_is_refused(
    make_run, tmp_path
):
    here, there, out = (
        make_run("run"),
        make_run("elsewhere/run", seed=1),
        tmp_path / "out",
    )
    analyze([here], out, QUICK)
    before = contents(out)
    with raises(
        "run-name-taken",
        UsageError,
        run="run",
        folder=str(there),
        known_folder=str(here),
    ):
        analyze([there], out, QUICK)
    assert contents(out) == before


def test_analyze_keeps_all_saves_within_an_epoch(make_run, tmp_path, monkeypatch):
    run, out, weights = make_run(epochs=0), tmp_path / "out", heads(4)
    save_head(run / "step_10.pt", weights[0], epoch=0, global_step=10)
    save_head(run / "step_20.pt", weights[1], epoch=1, global_step=20)
    save_head(run / "step_30.pt", weights[2], epoch=1, global_step=30)
    (told,) = analyze([run], out, QUICK).runs
    assert told.statuses == {"ok": 3}
    folder = out / "csms" / "run" / "ncsm"

    def stored():
        return {
            path.name: np.stack(pd.read_parquet(path)["similarity"])
            for path in folder.iterdir()
        }

    assert set(stored()) == {"0.parquet", "1-20.parquet", "1.parquet"}
    assert_array_equal(stored()["1-20.parquet"], weight_similarity(weights[1].numpy()))
    assert_array_equal(stored()["1.parquet"], weight_similarity(weights[2].numpy()))
    assert_array_equal(Results(out).csm(epoch=1, step=20), stored()["1-20.parquet"])
    assert_array_equal(
        export_frame(Results(out), epoch=1, step=20), stored()["1-20.parquet"]
    )
    curves = tables(out)["curves"].query("metric == 'wsi' and variant == 'max'")
    assert list(zip(curves["epoch"], curves["step"], strict=True)) == [
        (0, 10),
        (1, 20),
        (1, 30),
    ]

    save_head(run / "step_40.pt", weights[3], epoch=1, global_step=40)
    _, opened = again(run, out, monkeypatch)
    assert opened == ["step_40.pt"], (
        "the one that was the last until now keeps its matrix under another name"
    )
    assert set(stored()) == {"0.parquet", "1-20.parquet", "1-30.parquet", "1.parquet"}
    assert_array_equal(stored()["1-30.parquet"], weight_similarity(weights[2].numpy()))
    assert_array_equal(stored()["1.parquet"], weight_similarity(weights[3].numpy()))


def matrices(out):
    return list((out / "csms").rglob("*.parquet"))


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """Return a longer run and its undisturbed analysis."""
    folder = tmp_path_factory.mktemp("longer")
    write_checkpoints(folder / "run", LONG)
    analyze([folder / "run"], folder / "out", QUICK)
    return folder


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_analyze_interrupted_exits_with_its_code_and_can_be_continued(
    number, code, longer, tmp_path
):
    run, out = longer / "run", tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "dsi_cli",
        "analyze",
        str(run),
        "-o",
        str(out),
        "--draws",
        "0",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while len(matrices(out)) < 5 and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(number)
    told, errors = process.communicate()
    assert (process.returncode, told) == (code, "")
    assert (
        errors
        == "dsi: interrupted; finished work is kept, so run the same command again to"
        " continue\n"
    )
    assert not (out / ".tmp").exists()
    assert not (out / ".lock").exists()
    left = len(matrices(out))
    assert 5 <= left < LONG
    (told,) = analyze([run], out, QUICK).runs
    assert (told.reused, told.read) == (left, 0), "all heads had been read"
    assert_same_output(out, longer / "out")
