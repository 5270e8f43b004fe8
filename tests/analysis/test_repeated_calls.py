"""A later call does what is new or changed and nothing else: what random sequences of
calls (test_call_sequences.py) do not show.
"""

import os
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
    heads,
    save_head,
    tables,
    write_checkpoints,
)
from numpy.testing import assert_array_equal

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.cache import EVALUATIONS, GEOMETRY, HEADS, ROWS, Cache
from dsi_cli.analysis.options import Evaluation, Options
from dsi_cli.checkpoints.file_access import RandomAccessFile
from dsi_cli.errors import UsageError
from dsi_cli.queries import facts
from dsi_cli.queries.export import export_frame
from dsi_cli.similarity import weight_similarity
from dsi_cli.store.results import Results

QUICK = Options(draws=0)
LONG = 40
SAMPLES = 160
TARGETS = np.arange(SAMPLES) % len(ANIMALS)
PARTS = ("confusions/run/test", "csms/run/ccsm-test", "predictions/run/test")


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


def drawn(epochs, seed=0):
    """Return predictions (epochs, samples), about half of which are right."""
    rng = np.random.default_rng([epochs, seed])
    guesses = rng.integers(0, len(ANIMALS), (epochs, SAMPLES))
    return np.where(rng.random((epochs, SAMPLES)) < 0.5, TARGETS, guesses)


def lay_beside(run, predictions):
    np.save(run / "preds.npy", predictions)
    np.save(run / "targets.npy", TARGETS)


def written(path, predictions, epochs=None, **evaluation):
    """Write an NPZ with predictions and targets; return the options that name it."""
    named = {} if epochs is None else {"epochs": np.array(epochs)}
    np.savez(path, predictions=predictions, targets=TARGETS, **named)
    return Options(draws=0, evaluation=Evaluation(predictions=str(path), **evaluation))


def named_rows(epochs):
    """Return a table of predictions by name for each of some epochs."""
    names = np.array(ANIMALS)
    one = {"target": names[TARGETS], "prediction": names[drawn(1)[0]]}
    return pd.concat([pd.DataFrame({"epoch": epoch} | one) for epoch in epochs])


def accuracies(out, run="run", split="test"):
    """Return the accuracy of each epoch with predictions."""
    rows = tables(out)["curves"].query(
        "run == @run and metric == 'accuracy' and split == @split and value.notna()"
    )
    return dict(zip(rows["epoch"], rows["value"], strict=True))


def accuracies_of(predictions):
    """Return the accuracy of predictions by epoch."""
    return {epoch: (row == TARGETS).mean() for epoch, row in predictions.items()}


def stamps(out):
    """Return time of change and inode of each file of an output."""
    return {
        name: ((out / name).stat().st_mtime_ns, (out / name).stat().st_ino)
        for name in contents(out)
    }


def test_analyze_again_opens_no_checkpoint_and_writes_no_file(
    make_run, tmp_path, monkeypatch, dsi
):
    run, out = make_run(), tmp_path / "out"
    shutil.copyfile(run / "epoch_3.pt", run / "best.pt")
    save_head(run / "epoch_4.pt", torch.full((8, 8), torch.nan), epoch=4)
    lay_beside(run, drawn(5))
    (first,) = analyze([run], out, QUICK).runs
    assert (first.read, first.reused, first.evaluated) == (6, 0, 4)
    before = stamps(out)
    told, opened = again(run, out, monkeypatch)
    assert (told.read, told.reused, told.evaluated, opened) == (0, 4, 0, [])
    assert told.statuses == {"ok": 4, "skipped": 1, "failed": 1}
    assert stamps(out) == before
    # The command also records its settings.
    command = ("analyze", run, "-o", out, "--no-report")
    dsi(*command)
    assert dsi(*command).out.startswith("Nothing new: 4 of 5 checkpoints.")


def test_analyze_again_reads_no_rows_and_notices_the_same(
    make_run, tmp_path, monkeypatch
):
    run, out = make_run(), tmp_path / "out"
    weight = heads(1, seed=5)[0]
    weight[2] = 0
    save_head(run / "epoch_4.pt", weight, epoch=4)
    (run / "epoch_5.pt").write_bytes(b"no checkpoint")
    first = analyze([run], out, QUICK)
    real = Cache.get

    def get(cache, kind, key, names=None):
        assert kind != ROWS
        return real(cache, kind, key, names)

    monkeypatch.setattr(Cache, "get", get)
    again = analyze([run], out, QUICK)
    assert again.unchanged
    assert {"zero-weights", "checkpoints-failed"} <= {one.code for one in first.facts}
    assert facts.documents(again.facts) == facts.documents(first.facts)


@pytest.mark.parametrize("name", ["curves.parquet", "csms/run/ncsm/2.parquet"])
def test_analyze_again_makes_a_damaged_file_with_an_old_time_again(
    make_run, tmp_path, name
):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    before = contents(out)
    path = out / name
    stat = path.stat()
    path.write_bytes(path.read_bytes()[:-9])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    analyze([run], out, QUICK)
    assert contents(out) == before


def test_analyze_of_results_without_a_cache_sets_them_aside(make_run, tmp_path, dsi):
    run, out = make_run(), tmp_path / "out"
    dsi("analyze", run, "-o", out, "--no-report")
    shutil.rmtree(out / ".cache")
    before = contents(out)
    ended = dsi("analyze", run, "-o", out, "--no-report")
    line = (
        f"{out} has results of dsi 0.2: they are now in {out}-before-1, and dsi"
        " analyses all checkpoints again; give labels and other settings again, too"
    )
    assert line in ended.err.splitlines()
    assert contents(tmp_path / "out-before-1") == before
    assert contents(out) == before
    assert (
        "Nothing new: 4 of 4 checkpoints."
        in dsi("analyze", run, "-o", out, "--no-report").out
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
    assert sorted(path.split("/")[-2] for path in new) == [
        "geometry",
        "heads",
        "last",
        "rows",
    ]


def test_a_deleted_checkpoint_gives_way_to_a_new_file_of_its_epoch(make_run, tmp_path):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    (run / "epoch_2.pt").unlink()
    other = heads(1, seed=5)[0]
    save_head(run / "epoch_2.ckpt", other, epoch=2)
    (told,) = analyze([run], out, QUICK).runs
    assert (told.gone, told.statuses) == (0, {"ok": 4})
    assert_array_equal(Results(out).csm(epoch=2), weight_similarity(other.numpy()))


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


def test_analyze_rows_for_the_usable_epochs_alone_warn(make_run, tmp_path):
    run, predictions = make_run(), drawn(4)
    (run / "epoch_1.pt").write_bytes(b"damaged")
    usable = (0, 2, 3)
    lay_beside(run, predictions)
    codes = {one.code for one in analyze([run], tmp_path / "all", QUICK).facts}
    assert "predictions-of-usable-epochs" not in codes
    expected = {epoch: predictions[epoch] for epoch in usable}
    assert accuracies(tmp_path / "all") == accuracies_of(expected)
    lay_beside(run, predictions[:3])
    codes = {one.code for one in analyze([run], tmp_path / "out", QUICK).facts}
    assert "predictions-of-usable-epochs" in codes
    expected = dict(zip(usable, predictions, strict=False))
    assert accuracies(tmp_path / "out") == accuracies_of(expected)


def test_predictions_nearby_that_do_not_fit_leave_the_earlier_ones(make_run, tmp_path):
    run, out = make_run(), tmp_path / "out"
    lay_beside(run, drawn(4))
    analyze([run], out, QUICK)
    before = contents(out)
    lay_beside(run, drawn(7))
    (unusable,) = analyze([run], out, QUICK).facts
    assert unusable.code == "predictions-unusable"
    assert_same_tables = contents(out)
    assert (
        assert_same_tables.items()
        >= {
            name: data for name, data in before.items() if name.startswith(PARTS)
        }.items()
    )


def test_a_checkpoint_replaced_when_no_predictions_are_given_has_none(
    make_run, tmp_path
):
    """They were another network's."""
    run, out, predictions = make_run(), tmp_path / "out", drawn(4)
    analyze([run], out, written(tmp_path / "found.npz", predictions))
    save_head(run / "epoch_2.pt", heads(1, seed=5)[0], epoch=2, more="another size")
    analyze([run], out, QUICK)
    expected = {epoch: predictions[epoch] for epoch in (0, 1, 3)}
    assert accuracies(out) == accuracies_of(expected)
    assert Results(out).epochs("run") == [0, 1, 2, 3]


def test_predictions_of_fewer_epochs_count_alone_and_lose_no_others(make_run, tmp_path):
    run, out = make_run(), tmp_path / "out"
    one, two = drawn(4), drawn(4, seed=1)
    analyze([run], out, written(tmp_path / "one.npz", one))
    analyze([run], out, written(tmp_path / "two.npz", two[[1, 3]], [1, 3]))
    assert accuracies(out) == accuracies_of({1: two[1], 3: two[3]})
    told = analyze([run], out, QUICK)
    mixed = accuracies_of({0: one[0], 1: two[1], 2: one[2], 3: two[3]})
    assert accuracies(out) == mixed
    assert told.facts, "the predictions come from two files"


def test_analyze_another_split_keeps_the_first(make_run, tmp_path):
    run, out = make_run(), tmp_path / "out"
    test, train = drawn(4), drawn(4, seed=1)
    analyze([run], out, written(tmp_path / "test.npz", test))
    before = contents(out)
    of_train = written(tmp_path / "train.npz", train, predictions_split="train")
    analyze([run], out, of_train)
    for name in [name for name in before if name.startswith(PARTS)]:
        assert contents(out)[name] == before[name]
    assert accuracies(out) == accuracies_of(dict(enumerate(test)))
    assert accuracies(out, split="train") == accuracies_of(dict(enumerate(train)))


def test_a_choice_of_epochs_keeps_the_evaluations_of_the_others(make_run, tmp_path):
    run, out, predictions = make_run(), tmp_path / "out", drawn(4)
    evaluation = written(tmp_path / "found.npz", predictions).evaluation
    narrow = Options(draws=0, epochs="1:3:2", evaluation=evaluation)
    wide = Options(draws=0, evaluation=evaluation)
    analyze([run], out, narrow)
    assert accuracies(out) == accuracies_of({1: predictions[1], 3: predictions[3]})
    for options, evaluated in ((wide, 2), (narrow, 0), (wide, 0)):
        (told,) = analyze([run], out, options).runs
        assert told.evaluated == evaluated
        shutil.rmtree(tmp_path / "fresh", ignore_errors=True)
        assert_like_a_first_call(out, [run], options)


def test_evaluations_move_along_with_checkpoints_that_order_numbers(make_run, tmp_path):
    run, out, weights = make_run(epochs=0), tmp_path / "out", heads(5)
    for number in (3, 4, 5):
        save_head(run / f"step_{number}.pt", weights[number - 1])
    analyze([run], out, written(tmp_path / "found.npz", drawn(3)))
    for number in (1, 2):
        save_head(run / f"step_{number}.pt", weights[number - 1])
    (told,) = analyze([run], out, QUICK).runs
    assert told.evaluated == 0
    assert accuracies(out) == accuracies_of(dict(enumerate(drawn(3), start=3)))


def test_strays_and_damaged_files_are_set_right(make_run, tmp_path):
    run, out = make_run(), tmp_path / "out"
    lay_beside(run, drawn(4))
    analyze([run], out, QUICK)
    before = contents(out)
    for part in PARTS:
        shutil.copyfile(out / part / "1.parquet", out / part / "7.parquet")
        shutil.copyfile(out / part / "1.parquet", out / part / "1-50.parquet")
        (out / part / "2.parquet").write_bytes(before[f"{part}/2.parquet"][:100])
        (out / part / "3.parquet").unlink()
        # after a power failure
        (out / part / "1.parquet").write_bytes(bytes(len(before[f"{part}/1.parquet"])))
    analyze([run], out, QUICK)
    assert contents(out) == before


def test_analyze_another_run_keeps_the_rows_of_the_first(make_run, tmp_path):
    one, two, out = make_run("one"), make_run("two", seed=1), tmp_path / "out"
    lay_beside(one, drawn(4))
    analyze([one], out, QUICK)
    first, files = tables(out)["curves"], contents(out)
    shutil.rmtree(one)
    analyze([two], out, QUICK)
    pd.testing.assert_frame_equal(tables(out)["curves"].query("run == 'one'"), first)
    for name in [name for name in files if "/one/" in name]:
        assert contents(out)[name] == files[name]


def matrices(out):
    return list((out / "csms").rglob("*.parquet"))


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """Return a longer run and its undisturbed analysis."""
    folder = tmp_path_factory.mktemp("longer")
    write_checkpoints(folder / "run", LONG)
    analyze([folder / "run"], folder / "out", Options())
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
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while len(matrices(out)) < 5 and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(number)
    told, errors = process.communicate()
    assert (process.returncode, told) == (code, "")
    assert errors == (
        "error: interrupted\nhint: finished work is kept; run the same command again to"
        " continue\n"
    )
    assert not (out / ".tmp").exists()
    assert not (out / ".lock").exists()
    left = len(matrices(out))
    assert 5 <= left < LONG
    (told,) = analyze([run], out, Options()).runs
    # Rows are kept before the files of their epoch are written.
    assert told.reused in (left, left + 1)
    assert told.read == 0, "all heads had been read"
    assert_same_output(out, longer / "out")


def test_analyze_of_two_runs_with_equal_files_reuses_nothing_at_first(
    make_run, tmp_path
):
    one, two = make_run("one"), make_run("two")
    runs = analyze([one, two], tmp_path / "out", QUICK).runs
    assert [run.reused for run in runs] == [0, 0]
    runs = analyze([one, two], tmp_path / "out", Options()).runs
    assert [run.reused for run in runs] == [4, 4], "no draws are the default"


@pytest.mark.parametrize("kind", ["table", "counts", "targets"])
def test_analyze_with_labels_in_another_order_reads_names_of_predictions_again(
    kind, make_run, tmp_path
):
    run, out, fresh = make_run(), tmp_path / "out", tmp_path / "fresh"
    names = np.array(ANIMALS)
    predictions, targets = tmp_path / "named.csv", None
    if kind == "table":
        rows = named_rows(range(4))
        rows.to_csv(predictions, index=False)
    elif kind == "counts":
        run = make_run("one", epochs=1)
        counts = pd.crosstab(names[TARGETS], names[drawn(1)[0]])
        counts.to_csv(predictions)
    else:
        targets = tmp_path / "targets.npy"
        np.save(targets, names[TARGETS])
        predictions = tmp_path / "numbers.npz"
        np.savez(predictions, predictions=drawn(4), epochs=range(4))
    (tmp_path / "another.txt").write_text("\n".join(ANIMALS[::-1]), encoding="utf-8")
    evaluation = Evaluation(
        predictions=str(predictions), targets=None if targets is None else str(targets)
    )
    labels = str(tmp_path / "another.txt")
    analyze([run], out, Options(draws=0, evaluation=evaluation))
    analyze([run], out, Options(draws=0, labels=labels))
    analyze([run], fresh, Options(draws=0, labels=labels, evaluation=evaluation))
    assert_same_output(out, fresh)


def test_analyze_with_labels_that_lack_a_name_of_the_predictions_raises(
    make_run, tmp_path
):
    run, out = make_run(), tmp_path / "out"
    named_rows([3]).to_csv(tmp_path / "named.csv", index=False)
    evaluation = Evaluation(predictions=str(tmp_path / "named.csv"))
    analyze([run], out, Options(draws=0, evaluation=evaluation))
    others = tmp_path / "others.txt"
    others.write_text("\n".join(("tulip", *ANIMALS[1:])), encoding="utf-8")
    with raises("other-labels", UsageError, run="run", split="test"):
        analyze([run], out, Options(draws=0, labels=str(others)))


def replace_keeping_size_and_time(path, weight, epoch):
    """Replace a checkpoint, as the next training with ``cp -p`` does."""
    before = path.stat()
    other = save_head(path.parent.parent / "next" / path.name, weight, epoch=epoch)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def test_analyze_notices_another_checkpoint_of_the_same_size_and_time(
    make_run, tmp_path
):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    replace_keeping_size_and_time(run / "epoch_2.pt", heads(4, seed=9)[2], 2)
    (told,) = analyze([run], out, QUICK).runs
    assert (told.read, told.reused) == (1, 3)
    assert_like_a_first_call(out, [run], QUICK)


def test_analyze_of_copied_checkpoints_reads_heads_and_computes_no_row(
    make_run, tmp_path, monkeypatch
):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    before = contents(out)
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    shutil.rmtree(run)
    copy.rename(run)
    told, opened = again(run, out, monkeypatch)
    assert (told.read, told.reused) == (4, 4)
    assert {*opened} == {f"epoch_{epoch}.pt" for epoch in range(4)}
    after = contents(out)
    tables_before = {name: before[name] for name in before if ".cache" not in name}
    assert tables_before == {
        name: after[name] for name in after if ".cache" not in name
    }
    told, opened = again(run, out, monkeypatch)
    assert (told.read, opened) == (0, [])


@pytest.mark.parametrize("kind", [HEADS, EVALUATIONS, ROWS, GEOMETRY])
@pytest.mark.parametrize("has_new_checkpoint", [True, False])
def test_analyze_with_damaged_entries_computes_them_anew_and_says_so(
    kind, has_new_checkpoint, make_run, tmp_path
):
    run, out, said = make_run(), tmp_path / "out", []
    lay_beside(run, drawn(5))
    save_head(run / "epoch_4.pt", heads(5)[4], epoch=4)
    late = run / "epoch_4.pt"
    if has_new_checkpoint:
        late.rename(tmp_path / "late")
    np.save(run / "preds.npy", drawn(5)[: 5 - has_new_checkpoint])
    analyze([run], out, QUICK)
    if has_new_checkpoint:
        (tmp_path / "late").rename(late)
        np.save(run / "preds.npy", drawn(5))
    for path in (out / ".cache" / kind).iterdir():
        path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    analyze([run], out, QUICK, say=said.append)
    # Without a new checkpoint, some entries are not read.
    assert sum("damaged" in line for line in said) in {1, int(has_new_checkpoint)}
    assert_like_a_first_call(out, [run], QUICK)


def test_analyze_with_damaged_predictions_of_an_earlier_file_names_them(
    make_run, tmp_path
):
    run, out, said = make_run(), tmp_path / "out", []
    analyze([run], out, written(tmp_path / "given.npz", drawn(4)))
    for path in (out / ".cache" / EVALUATIONS).iterdir():
        path.write_bytes(b"damaged")
    summary = analyze([run], out, QUICK, say=said.append)
    (found,) = [one for one in summary.facts if one.code == "predictions-lost"]
    assert found.fields["files"] == [f"epoch_{epoch}.pt" for epoch in range(4)]
    assert found.fields["split"] == "test"


def test_analyze_with_damaged_heads_of_deleted_checkpoints_names_them(
    make_run, tmp_path
):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, QUICK)
    (run / "epoch_1.pt").unlink()
    for kind in (HEADS, ROWS):
        for path in (out / ".cache" / kind).iterdir():
            path.write_bytes(b"damaged")
    save_head(run / "epoch_4.pt", heads(5)[4], epoch=4)
    summary = analyze([run], out, QUICK)
    (found,) = [one for one in summary.facts if one.code == "checkpoints-lost"]
    assert found.fields["files"] == ["epoch_1.pt"]
    analyze([run], out, QUICK)
    assert_like_a_first_call(out, [run], QUICK)
