"""Answers on a split over several calls: made once, made again where something changed,
kept where nothing could make them.
"""

import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.oracles_testset import confusion
from helpers.outputs import (
    ANIMALS,
    assert_like_a_first_call,
    assert_same_output,
    contents,
    heads,
    noticed,
    save_head,
    stored_counts,
    tables,
)
from numpy.testing import assert_array_equal

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Evaluation, Options
from dsi_cli.checkpoints.file_access import RandomAccessFile
from dsi_cli.store.results import Results

SAMPLES = 160
CLASSES = len(ANIMALS)
PARTS = ("confusions/run/test", "csms/run/ccsm-test", "predictions/run/test")
TARGETS = np.arange(SAMPLES) % CLASSES
TOP = {
    f"{name}.parquet"
    for name in (
        "checkpoints",
        "classes",
        "curves",
        "extra_curves",
        "facts",
        "phases",
        "alignment_by_class",
        "geometry",
        "spectrum",
    )
}


def drawn(epochs, seed=0):
    """Return predictions (epochs, samples) that get better."""
    rng = np.random.default_rng([epochs, seed])
    guesses = rng.integers(0, CLASSES, (epochs, SAMPLES))
    is_right = rng.random((epochs, SAMPLES)) < np.linspace(0.1, 0.6, epochs)[:, None]
    return np.where(is_right, TARGETS, guesses)


def counted(predictions):
    return confusion(TARGETS, predictions, CLASSES)


def lay_beside(run, predictions):
    np.save(run / "preds.npy", predictions)
    np.save(run / "targets.npy", TARGETS)


def written(path, predictions, epochs=None):
    """Write an NPZ with predictions and targets; return the options that name it."""
    named = {} if epochs is None else {"epochs": np.array(epochs)}
    np.savez(path, predictions=predictions, targets=TARGETS, **named)
    return Options(draws=0, evaluation=Evaluation(predictions=str(path)))


QUICK = Options(draws=0)


def stamps(out):
    """Return time of change and inode of each file of an output."""
    return {
        name: ((out / name).stat().st_mtime_ns, (out / name).stat().st_ino)
        for name in contents(out)
    }


def changed(out, before):
    """Return the files that are new or were written since; none may be gone."""
    now = stamps(out)
    assert before.keys() <= now.keys()
    return {name for name in now if now[name] != before.get(name)}


def answers_of(epoch, parts=PARTS):
    return {f"{part}/{epoch}.parquet" for part in parts}


def assert_answers_are(out, predictions, run="run"):
    """Assert that a run has the answers of these epochs, given by epoch, and no others;
    in tables and in curves.
    """
    names = [part.replace("/run/", f"/{run}/") for part in PARTS]
    for part in names:
        assert sorted(int(path.stem) for path in (out / part).glob("*")) == sorted(
            predictions
        ), part
    curves = (
        tables(out)["curves"]
        .query("run == @run and metric == 'accuracy' and value.notna()")
        .set_index("epoch")
    )
    assert list(curves.index) == sorted(predictions)
    for epoch, row in predictions.items():
        assert_array_equal(stored_counts(out, run, epoch), counted(row))
        rows = [pd.read_parquet(out / part / f"{epoch}.parquet") for part in names]
        assert all(set(frame["epoch"]) == {epoch} for frame in rows)
        assert_array_equal(rows[2]["prediction"], row)
        assert curves.loc[epoch, "value"] == (row == TARGETS).mean()


@pytest.fixture
def answered(make_run, tmp_path):
    """Return an analysed run with predictions next to it, ``drawn(4)``, and its
    results.
    """
    run, out = make_run(), tmp_path / "out"
    lay_beside(run, drawn(4))
    analyze([run], out, QUICK)
    return run, out


@pytest.mark.parametrize("way", ["beside", "named"])
def test_analyze_again_with_predictions_changes_nothing(
    way, make_run, tmp_path, monkeypatch
):
    run, out = make_run(), tmp_path / "out"
    lay_beside(run, drawn(4))
    options = QUICK if way == "beside" else written(tmp_path / "answers.npz", drawn(4))
    (first,) = analyze([run], out, options).runs
    assert first.evaluated == 4
    assert_answers_are(out, dict(enumerate(drawn(4))))
    before, files = contents(out), stamps(out)
    monkeypatch.setattr(RandomAccessFile, "__init__", None)
    (told,) = analyze([run], out, options).runs
    assert (told.evaluated, told.reused, told.read) == (0, 4, 0)
    assert contents(out) == before
    assert changed(out, files) <= TOP


def test_changed_predictions_of_one_epoch_make_that_epoch_anew(make_run, tmp_path):
    run, out, predictions = make_run(), tmp_path / "out", drawn(4)
    analyze([run], out, written(tmp_path / "answers.npz", predictions))
    files = stamps(out)
    predictions[2, 5] = (predictions[2, 5] + 1) % CLASSES
    options = written(tmp_path / "answers.npz", predictions)
    (told,) = analyze([run], out, options).runs
    assert told.evaluated == 1
    assert changed(out, files) - TOP == answers_of(2)
    assert_answers_are(out, dict(enumerate(predictions)))
    assert_like_a_first_call(out, [run], options)


def test_analyze_new_checkpoint_with_a_new_row_writes_only_its_files(
    make_run, tmp_path
):
    run, out, predictions = make_run(epochs=5), tmp_path / "out", drawn(5)
    (run / "epoch_4.pt").rename(tmp_path / "later.pt")
    lay_beside(run, predictions[:4])
    analyze([run], out, QUICK)
    files = stamps(out)
    (tmp_path / "later.pt").rename(run / "epoch_4.pt")
    lay_beside(run, predictions)
    (told,) = analyze([run], out, QUICK).runs
    assert told.evaluated == 1
    assert changed(out, files) - TOP == answers_of(4) | {
        "csms/run/ncsm/4.parquet",
        "heads/run/weight/4.parquet",
    }
    assert_like_a_first_call(out, [run], QUICK)


def test_analyze_other_curve_options_keep_the_predictions(answered, tmp_path):
    run, out = answered
    before, files = contents(out), stamps(out)
    other = Options(draws=0, measures=("pearson",), quantiles=(0.8,), seed=3)
    for folder in (out, tmp_path / "fresh"):
        analyze([run], folder, other)
    assert changed(out, files) <= TOP
    assert_same_output(out, tmp_path / "fresh")
    analyze([run], out, QUICK)
    assert contents(out) == before


def test_analyze_rows_for_the_usable_epochs_alone_warn(make_run, tmp_path):
    run, predictions = make_run(), drawn(4)
    (run / "epoch_1.pt").write_bytes(b"damaged")
    lay_beside(run, predictions)
    told = analyze([run], tmp_path / "all", QUICK)
    assert not any("file" in fields for fields in noticed(told).values())
    assert_answers_are(
        tmp_path / "all", {epoch: predictions[epoch] for epoch in (0, 2, 3)}
    )
    lay_beside(run, predictions[:3])
    told = analyze([run], tmp_path / "out", QUICK)
    assert noticed(told)["predictions-of-usable-epochs"] == {
        "file": "preds.npy",
        "of_run": 4,
        "used": [0, 2, 3],
        "left_out": [1],
    }
    assert_answers_are(
        tmp_path / "out", dict(zip((0, 2, 3), predictions, strict=False))
    )


def test_without_predictions_what_is_there_stays_with_its_rows(answered):
    run, out = answered
    before, files = contents(out), stamps(out)
    for name in ("preds.npy", "targets.npy"):
        (run / name).unlink()
    (told,) = analyze([run], out, QUICK).runs
    assert told.splits == {
        "test": "preds.npy (160 samples), truth from targets.npy, from an earlier call"
    }
    assert contents(out) == before
    assert changed(out, files) <= TOP
    analyze([run], out, Options(draws=0, measures=("pearson",)))
    analyze([run], out, QUICK)
    assert contents(out) == before, "the rows can be made again from the counts"


def test_predictions_beside_that_do_not_fit_are_told_and_what_is_there_stays(answered):
    run, out = answered
    before = contents(out)
    lay_beside(run, drawn(7))
    summary = analyze([run], out, QUICK)
    (found,) = noticed(summary, "predictions-unusable").values()
    assert found["reason"].startswith("preds.npy has 7 rows, run 'run' has 4 epochs")
    assert contents(out) == before | {"facts.parquet": contents(out)["facts.parquet"]}


def test_a_checkpoint_replaced_when_no_predictions_are_given_has_none(
    make_run, tmp_path
):
    """They were another network's."""
    run, out, predictions = make_run(), tmp_path / "out", drawn(4)
    analyze([run], out, written(tmp_path / "answers.npz", predictions))
    save_head(
        run / "epoch_2.pt",
        heads(1, seed=5)[0],
        epoch=2,
        beside="so its size is another",
    )
    analyze([run], out, QUICK)
    assert_answers_are(out, {epoch: predictions[epoch] for epoch in (0, 1, 3)})
    assert Results(out).epochs("run") == [0, 1, 2, 3]


def test_other_predictions_of_fewer_epochs_keep_the_old_ones_and_do_not_count_them(
    make_run, tmp_path
):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, written(tmp_path / "one.npz", drawn(4)))
    before = contents(out)
    fewer = written(tmp_path / "two.npz", drawn(4, seed=1)[[1, 3]], [1, 3])
    (fact,) = analyze([run], out, fewer).facts
    assert (fact.code, fact.epochs) == ("epochs-without-predictions", (0, 2))
    assert not contents(out).keys() & (answers_of(0) | answers_of(2)), (
        "what does not count is in the cache alone"
    )
    assert_array_equal(stored_counts(out, "run", 1), counted(drawn(4, seed=1)[1]))
    found = tables(out)["curves"].query("metric == 'accuracy'").set_index("epoch")
    assert list(found["value"].dropna().index) == [1, 3]
    reason = "two.npz has no predictions for epoch {}"
    assert list(found["reason"].dropna()) == [reason.format(0), reason.format(2)]
    assert (
        tables(out)["curves"]
        .query("epoch == 0 and of.str.contains('ccsm', na=False)")
        .empty
    )
    found = analyze([run], out, QUICK).facts
    assert [(fact.code, fact.epochs, fact.fields["source"]) for fact in found] == [
        ("sources-differ", (0, 2), "one.npz (160 samples)"),
        ("sources-differ", (1, 3), "two.npz (160 samples)"),
    ]
    assert set(
        tables(out)["curves"].query("metric == 'accuracy' and value.notna()")["epoch"]
    ) == {0, 1, 2, 3}
    assert (
        analyze([run], out, written(tmp_path / "one.npz", drawn(4))).facts,
        contents(out),
    ) == ([], before)


def test_analyze_another_split_keeps_the_first(make_run, tmp_path):
    run, out = make_run(), tmp_path / "out"
    analyze([run], out, written(tmp_path / "test.npz", drawn(4)))
    files = stamps(out)
    written(tmp_path / "train.npz", drawn(4, seed=1))
    train = Options(
        draws=0,
        evaluation=Evaluation(
            predictions=str(tmp_path / "train.npz"), predictions_split="train"
        ),
    )
    analyze([run], out, train)
    assert changed(out, files) - TOP == {
        f"{part.replace('test', 'train')}/{epoch}.parquet"
        for part in PARTS
        for epoch in range(4)
    }
    assert_array_equal(
        stored_counts(out, "run", 3, "train"), counted(drawn(4, seed=1)[3])
    )
    assert_array_equal(stored_counts(out, "run", 3, "test"), counted(drawn(4)[3]))
    found = tables(out)["curves"]
    assert set(found.query("metric == 'sai'")["of"]) == {
        *(
            "ncsm,scsm",
            "ncsm,ccsm-train",
            "ncsm,ccsm-test",
            "ccsm-train,ccsm-test",
            "ccsm-train,scsm",
            "ccsm-test,scsm",
        )
    }


def test_analyze_epoch_without_predictions_has_the_reason(make_run, tmp_path):
    run, out, predictions = make_run(), tmp_path / "out", drawn(4)
    options = written(
        tmp_path / "answers.npz",
        np.vstack([predictions[[2, 0]], drawn(1, seed=3)]),
        [2, 0, 9],
    )
    summary = analyze([run], out, options)
    assert summary.exit_code == 0
    assert [(fact.code, fact.epochs) for fact in summary.facts] == [
        ("epochs-without-predictions", (1, 3)),
        ("predictions-without-checkpoint", (9,)),
    ]
    assert summary.runs[0].splits == {"test": "answers.npz (2 epochs, 160 samples)"}
    assert_answers_are(out, {0: predictions[0], 2: predictions[2]})
    lacking = tables(out)["curves"].query("split == 'test' and value.isna()")
    assert set(zip(lacking["epoch"], lacking["reason"], strict=True)) == {
        (epoch, f"answers.npz has no predictions for epoch {epoch}") for epoch in (1, 3)
    }
    assert set(
        tables(out)["curves"].query("metric == 'sai' and of == 'ncsm,scsm'")["epoch"]
    ) == {0, 1, 2, 3}
    before = contents(out)
    analyze([run], out, options)
    assert contents(out) == before


def test_epochs_chosen_out_of_an_array_of_all(make_run, tmp_path):
    run, out, predictions = make_run(), tmp_path / "out", drawn(4)
    evaluation = written(tmp_path / "answers.npz", predictions).evaluation
    narrow, wide = (
        Options(draws=0, epochs=epochs, evaluation=evaluation)
        for epochs in ("1:3:2", None)
    )
    analyze([run], out, narrow)
    assert_answers_are(out, {epoch: predictions[epoch] for epoch in (1, 3)})
    files = stamps(out)
    (told,) = analyze([run], out, wide).runs
    assert told.evaluated == 2
    assert not changed(out, files) & (answers_of(1) | answers_of(3))
    assert_answers_are(out, dict(enumerate(predictions)))
    assert_like_a_first_call(out, [run], wide)
    analyze([run], out, narrow)
    analyze([run], tmp_path / "narrow", narrow)
    for name in tables(out):
        pd.testing.assert_frame_equal(
            tables(out)[name], tables(tmp_path / "narrow")[name], obj=name
        )
    (told,) = analyze([run], out, wide).runs
    assert told.evaluated == 0, (
        "answers of epochs that were not asked for are kept: they may have cost an hour"
    )
    assert_same_output(out, tmp_path / "fresh")


@pytest.mark.parametrize(
    "beside",
    [{}, {"optimizer": "so its size is another"}],
    ids=["same size", "other size"],
)
def test_a_replaced_checkpoint_keeps_the_answers_that_are_given(beside, answered):
    run, out = answered
    files = stamps(out)
    save_head(run / "epoch_2.pt", heads(1, seed=5)[0], epoch=2, **beside)
    analyze([run], out, QUICK)
    assert changed(out, files) - TOP == {
        "csms/run/ncsm/2.parquet",
        "heads/run/weight/2.parquet",
    }
    assert_like_a_first_call(out, [run], QUICK)


@pytest.mark.parametrize(
    "is_given", [True, False], ids=["given again", "no longer given"]
)
def test_deleted_checkpoints_keep_their_answers(is_given, answered):
    run, out = answered
    before = {
        name: frame.sort_values(list(frame.columns[:2]))
        for name, frame in tables(out).items()
    }
    files = stamps(out)
    for epoch in (1, 3):
        (run / f"epoch_{epoch}.pt").unlink()
    if not is_given:
        (run / "preds.npy").unlink()
    (told,) = analyze([run], out, QUICK).runs
    assert (told.gone, told.evaluated) == (2, 0)
    assert changed(out, files) <= TOP
    assert_answers_are(out, dict(enumerate(drawn(4))))
    for name, frame in tables(out).items():
        found = frame.sort_values(list(frame.columns[:2])).reset_index(drop=True)
        pd.testing.assert_frame_equal(
            found, before[name].reset_index(drop=True), obj=name
        )


def numbered_by_order(run, names, weights):
    for name, weight in zip(names, weights, strict=True):
        save_head(run / f"{name}.pt", weight)


@pytest.mark.parametrize(
    "is_given", [True, False], ids=["given again", "no longer given"]
)
def test_answers_move_along_with_their_checkpoints(is_given, make_run, tmp_path):
    """Their order numbers them, and two come before them: what is at 1, 2 and 3 is at
    3, 4 and 5 then.
    """
    run, out, weights, predictions = (
        make_run(epochs=0),
        tmp_path / "out",
        heads(5),
        drawn(5),
    )
    numbered_by_order(run, "cde", weights[2:])
    analyze([run], out, written(tmp_path / "answers.npz", predictions[2:]))
    assert_answers_are(out, dict(enumerate(predictions[2:], start=1)))
    numbered_by_order(run, "ab", weights[:2])
    options = written(tmp_path / "answers.npz", predictions) if is_given else QUICK
    (told,) = analyze([run], out, options).runs
    assert told.evaluated == (2 if is_given else 0)
    assert_answers_are(
        out, dict(list(enumerate(predictions, start=1))[0 if is_given else 2 :])
    )
    if is_given:
        assert_like_a_first_call(out, [run], options)


def test_strays_and_damaged_files_are_set_right(answered):
    run, out = answered
    before = contents(out)
    for part in PARTS:
        shutil.copyfile(out / part / "1.parquet", out / part / "7.parquet")
        shutil.copyfile(out / part / "1.parquet", out / part / "1-50.parquet")
    analyze([run], out, QUICK)
    assert contents(out) == before
    for part in PARTS:
        (out / part / "2.parquet").write_bytes(before[f"{part}/2.parquet"][:100])
        (out / part / "3.parquet").unlink()
        # after a power failure
        (out / part / "1.parquet").write_bytes(bytes(len(before[f"{part}/1.parquet"])))
        analyze([run], out, QUICK)
        assert contents(out) == before, part


def test_analyze_another_run_keeps_the_predictions_of_the_first(make_run, tmp_path):
    one, two, out = make_run("one"), make_run("two", seed=1), tmp_path / "out"
    lay_beside(one, drawn(4))
    lay_beside(two, drawn(4, seed=1))
    analyze([one], out, QUICK)
    before, first = stamps(out), tables(out)["curves"]
    shutil.rmtree(one)
    analyze([two], out, QUICK)
    assert changed(out, before) - TOP == {
        name for name in contents(out) if "/two/" in name
    }
    pd.testing.assert_frame_equal(tables(out)["curves"].query("run == 'one'"), first)
    assert_answers_are(out, dict(enumerate(drawn(4))), "one")
    assert_answers_are(out, dict(enumerate(drawn(4, seed=1))), "two")
