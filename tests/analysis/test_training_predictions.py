"""Stored predictions of training images, from the files to the tables: often only those
of the last epochs.
"""

import shutil

import numpy as np
import pytest
from helpers.errors import raises
from helpers.outputs import (
    ANIMALS,
    assert_like_a_first_call,
    contents,
    heads,
    save_head,
    tables,
)

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Evaluation, Options
from dsi_cli.queries.mistakes import worst_mistakes
from dsi_cli.store.results import Results

QUICK = Options(draws=0)
TARGETS = np.arange(160) % len(ANIMALS)
# every fifth image of the first class is in truth one of the second
TRAIN_TARGETS = np.arange(240) % len(ANIMALS)
MISLABELLED = np.flatnonzero(TRAIN_TARGETS == 0)[::5]


def drawn(targets, epochs, seed=0):
    """Return predictions (epochs, samples), about half of which are right."""
    rng = np.random.default_rng([epochs, seed])
    guesses = rng.integers(0, len(ANIMALS), (epochs, len(targets)))
    return np.where(rng.random(guesses.shape) < 0.5, targets, guesses)


def train_predictions(epochs):
    predictions = drawn(TRAIN_TARGETS, epochs, seed=1)
    predictions[:, MISLABELLED] = 1
    return predictions


def lay_beside(run, predictions, *, end="_train", targets=TRAIN_TARGETS):
    np.save(run / f"preds{end}.npy", predictions)
    np.save(run / f"targets{end}.npy", targets)


def accuracies(out, split, run="run"):
    """Return the accuracy of each epoch with predictions on a split."""
    rows = tables(out)["curves"].query(
        "run == @run and metric == 'accuracy' and split == @split and value.notna()"
    )
    return dict(zip(rows["epoch"], rows["value"], strict=True))


def accuracies_of(predictions, targets=TRAIN_TARGETS):
    return {epoch: (row == targets).mean() for epoch, row in predictions.items()}


def codes(told):
    return {found.code for found in told.facts}


@pytest.mark.parametrize("has_test", [True, False])
def test_preds_train_next_to_checkpoints_are_those_of_the_last_epochs(
    has_test, make_run, tmp_path, dsi
):
    run, out, train = make_run(epochs=6), tmp_path / "out", train_predictions(3)
    lay_beside(run, train)
    if has_test:
        lay_beside(run, drawn(TARGETS, 6), end="", targets=TARGETS)
    ended = dsi("analyze", run, "-o", out)
    assert ended.code == 0, ended.err
    assert (
        "preds_train.npy (epochs 3 to 5, the last 3 of 6; 240 samples), truth from"
        " targets_train.npy"
    ) in ended.err
    assert "warning" not in ended.err
    expected = dict(enumerate(train, start=3))
    assert accuracies(out, "train") == accuracies_of(expected)
    assert len(accuracies(out, "test")) == (6 if has_test else 0)
    results = Results(out)
    for epoch, predictions in expected.items():
        counts = np.zeros((8, 8), int)
        np.add.at(counts, (TRAIN_TARGETS, predictions), 1)
        assert (results.confusion(epoch, "train").to_numpy() == counts).all()
    found = worst_mistakes(
        results, split="train", truth=ANIMALS[0], prediction=ANIMALS[1], most=99
    )
    surest = found[found["epochs"] == 3]["sample"].tolist()
    assert set(surest) >= set(MISLABELLED.tolist())
    assert len(surest) < 2 * len(MISLABELLED)
    assert dsi("mistakes", out, "--split", "train").code == 0


def test_one_row_of_preds_train_is_the_last_epoch_without_a_warning(
    make_run, tmp_path, dsi
):
    run, out = make_run(), tmp_path / "out"
    lay_beside(run, train_predictions(1)[0])
    ended = dsi("analyze", run, "-o", out, "--no-report")
    assert "preds_train.npy (epoch 3, the last one of 4; 240 samples)" in ended.err
    assert "warning" not in ended.err
    assert list(accuracies(out, "train")) == [3]


def test_more_rows_of_preds_train_than_epochs_are_not_used(make_run, tmp_path):
    run, out = make_run(), tmp_path / "out"
    lay_beside(run, train_predictions(5))
    lay_beside(run, drawn(TARGETS, 4), end="", targets=TARGETS)
    told = analyze([run], out, QUICK)
    assert codes(told) >= {"predictions-unusable"}
    assert (accuracies(out, "train"), len(accuracies(out, "test"))) == ({}, 4)
    evaluation = Evaluation(predictions=str(run / "preds_train.npy"))
    with raises("epoch-count", rows=5, epochs=4):
        analyze([run], out, Options(evaluation=evaluation))


def test_rows_of_training_predictions_count_failed_checkpoints(make_run, tmp_path):
    run, out, train = make_run(epochs=5), tmp_path / "out", train_predictions(3)
    (run / "epoch_3.pt").write_bytes(b"")
    lay_beside(run, train)
    analyze([run], out, QUICK)
    expected = {2: train[0], 4: train[2]}
    assert accuracies(out, "train") == accuracies_of(expected)


def test_a_gap_in_the_epochs_of_training_predictions_is_a_warning(make_run, tmp_path):
    run = make_run(epochs=6)
    arrays = {"train_predictions": train_predictions(2), "train_targets": TRAIN_TARGETS}
    for epochs, is_warned in (([4, 5], False), ([3, 5], True)):
        np.savez(run / "predictions.npz", **arrays, train_epochs=epochs)
        told = analyze([run], tmp_path / str(epochs), QUICK)
        assert ("epochs-without-predictions" in codes(told)) == is_warned
        assert list(accuracies(tmp_path / str(epochs), "train")) == epochs


def test_analyze_remembers_training_predictions_without_their_file(make_run, tmp_path):
    run, out, train = make_run(epochs=5), tmp_path / "out", train_predictions(3)
    lay_beside(run, train)
    analyze([run], out, QUICK)
    before = contents(out)
    (told,) = analyze([run], out, QUICK).runs
    assert (told.read, told.evaluated) == (0, 0)
    (run / "preds_train.npy").unlink()
    analyze([run], out, QUICK)
    for name, content in before.items():
        if name.startswith(("confusions", "predictions")):
            assert contents(out)[name] == content
    expected = accuracies_of(dict(enumerate(train, start=2)))
    assert accuracies(out, "train") == expected
    # A new epoch moves the rows of a file to the last epochs.
    save_head(run / "epoch_5.pt", heads(1, seed=9)[0], epoch=5)
    later = train_predictions(4)[1:]
    lay_beside(run, later)
    (told,) = analyze([run], out, QUICK).runs
    assert told.evaluated == 3
    assert accuracies(out, "train") == accuracies_of(dict(enumerate(later, start=3)))
    assert_like_a_first_call(out, [run], QUICK)


def test_predictions_of_both_splits_in_one_file_come_before_nearby_files(
    make_run, tmp_path
):
    run, out, train = make_run(), tmp_path / "out", train_predictions(4)
    lay_beside(run, train_predictions(2))
    lay_beside(run, drawn(TARGETS, 4), end="", targets=TARGETS)
    given = tmp_path / "both.npz"
    test = drawn(TARGETS, 4, seed=5)
    arrays = {"train_predictions": train, "train_targets": TRAIN_TARGETS}
    np.savez(given, predictions=test, targets=TARGETS, **arrays)
    of_file = Options(draws=0, evaluation=Evaluation(predictions=str(given)))
    expected = {
        "test": accuracies_of(dict(enumerate(test)), TARGETS),
        "train": accuracies_of(dict(enumerate(train))),
    }
    analyze([run], out, of_file)
    assert {split: accuracies(out, split) for split in expected} == expected
    # Later calls keep both, until they are given other predictions.
    command = Options(draws=0, given=frozenset())
    (told,) = analyze([run], out, command).runs
    assert told.evaluated == 0
    assert {split: accuracies(out, split) for split in expected} == expected
    np.savez(given, predictions=test, targets=TARGETS)
    analyze([run], out, of_file)
    assert accuracies(out, "test") == expected["test"]
    assert list(accuracies(out, "train")) == [2, 3], "those next to the checkpoints"


def test_a_later_file_of_test_predictions_keeps_the_training_predictions(
    make_run, tmp_path
):
    run, out, train = make_run(), tmp_path / "out", train_predictions(4)
    arrays = {"train_predictions": train, "train_targets": TRAIN_TARGETS}
    np.savez(
        tmp_path / "both.npz", predictions=drawn(TARGETS, 4), targets=TARGETS, **arrays
    )
    later = drawn(TARGETS, 4, seed=5)
    np.savez(tmp_path / "later.npz", predictions=later, targets=TARGETS)
    for name in ("both.npz", "later.npz"):
        evaluation = Evaluation(predictions=str(tmp_path / name))
        (told,) = analyze([run], out, Options(draws=0, evaluation=evaluation)).runs
    assert told.evaluated == 4
    assert accuracies(out, "test") == accuracies_of(dict(enumerate(later)), TARGETS)
    assert accuracies(out, "train") == accuracies_of(dict(enumerate(train)))


def test_a_head_that_grows_has_training_predictions_of_its_largest(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    for epoch, classes in enumerate((4, 6, 8)):
        save_head(run / f"epoch_{epoch}.pt", heads(1)[0][:classes], epoch=epoch)
    lay_beside(run, train_predictions(2))
    analyze([run], out, QUICK)
    assert len(accuracies(out, "train")) == 2
    counts = Results(out).confusion(2, "train").to_numpy()
    assert counts.shape == (4, 4)


def test_a_table_with_runs_and_splits_gives_each_run_its_own(make_run, tmp_path):
    (tmp_path / "runs").mkdir()
    for name in ("a", "b"):
        shutil.copytree(make_run(name=name), tmp_path / "runs" / name)
    lines = ["run,split,epoch,target,prediction"]
    for run, split, epochs in (("a", "train", (2, 3)), ("b", "test", range(4))):
        for epoch in epochs:
            for target, prediction in zip(
                TARGETS, drawn(TARGETS, 4)[epoch], strict=True
            ):
                lines.append(f"{run},{split},{epoch},{target},{prediction}")
    table, out = tmp_path / "both.csv", tmp_path / "out"
    table.write_text("\n".join(lines), encoding="utf-8")
    evaluation = Evaluation(predictions=str(table))
    analyze([tmp_path / "runs"], out, Options(draws=0, evaluation=evaluation))
    assert list(accuracies(out, "train", "a")) == [2, 3]
    assert list(accuracies(out, "test", "b")) == [0, 1, 2, 3]
    assert accuracies(out, "train", "b") == accuracies(out, "test", "a") == {}
