"""Arrays with a row an epoch, in every shape, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.predictions.files import read

NAMES = np.array(["cat", "dog", "aquarium_fish", "7"])


@pytest.mark.parametrize("dtype", ["u1", "i8", ">i2", "f4", "f8"])
def test_predictions_of_every_type_give_the_counts(save, counts_of, targets, predictions, counts, dtype):
    truth = save("targets.npy", targets.astype(dtype))
    assert_array_equal(counts_of(save("preds.npy", predictions.astype(dtype)), truth), counts)
    assert_array_equal(counts_of(save("preds.npy", np.asfortranarray(predictions.astype(dtype))), truth), counts)
    assert_array_equal(counts_of(save("preds.npy", predictions[1].astype(dtype)), truth, epochs=[5]), counts[1:2])
    assert_array_equal(counts_of(save("preds.npy", NAMES[predictions]), truth), counts)


@pytest.mark.parametrize("name", ["predictions", "Preds", "pred", "y_pred", "whatever"])
@pytest.mark.parametrize("truth", ["targets", "labels", "target", "Y_TRUE"])
def test_the_arrays_of_an_npz_are_known_by_their_names(save, counts_of, targets, predictions, counts, name, truth):
    other = {} if name == "whatever" else {"other": np.zeros(3)}
    path = save("preds.npz", {name: predictions, truth: targets, **other})
    assert_array_equal(counts_of(path), counts)
    assert_array_equal(counts_of(save("preds.npz", {name: predictions, truth: [targets] * 3})), counts)


def test_scores_and_epochs_come_with_an_npz(save, targets, predictions):
    scores = np.random.default_rng(3).random(predictions.shape)
    arrays = {"preds": predictions, "targets": targets, "scores": scores, "epochs": [2, 0, 7]}
    found = read(save("preds.npz", arrays)).outcomes([0, 1, 2], 4)
    assert list(found) == [0, 2]
    assert_array_equal(found[0].predictions, predictions[1])
    assert_array_equal(found[2].scores, scores[0])
    assert_array_equal(found[2].targets, targets)
    assert found[0].samples is None
    assert found[0].samples_used == len(targets)
    with pytest.raises(UsageError, match=r"expected epochs of the run \(3, 4\), found 2, 0, 7, none in common"):
        read(save("preds.npz", arrays)).outcomes([3, 4], 4)


@pytest.mark.parametrize("name", ["confusions", "Counts", "confusion", "cm", "whatever"])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_confusion_counts_are_known_by_name_or_shape(save, counts_of, counts, name, dtype):
    assert_array_equal(counts_of(save("cm.npz", {name: counts.astype(dtype)})), counts)
    assert_array_equal(counts_of(save("cm.npy", counts.astype(dtype))), counts)
    assert_array_equal(counts_of(save("cm.npy", counts[2].astype(dtype)), epochs=[4]), counts[2:])
    assert_array_equal(counts_of(save("cm.npz", {"cm": counts[::-1], "epochs": [2, 1, 0]})), counts)


def test_the_truth_on_columns_is_turned(save, counts_of, counts):
    path = save("cm.npy", counts.transpose(0, 2, 1))
    assert_array_equal(counts_of(path, truth="columns"), counts)
    assert read(path, truth="columns").source == "cm.npy (3 epochs, confusion counts; columns are the truth)"
    assert read(path).source == "cm.npy (3 epochs, confusion counts; rows are the truth)"


def test_a_square_of_predictions_is_told_from_counts_by_the_targets(save, counts_of):
    square = np.array([[0, 1, 2, 3], [1, 1, 2, 3], [0, 0, 0, 0], [3, 3, 3, 3]])
    as_predictions = counts_of(save("a.npy", square), save("targets.npy", np.array([0, 1, 2, 3])), epochs=range(4))
    assert_array_equal(as_predictions[0], np.eye(4))
    assert_array_equal(counts_of(save("a.npy", square), epochs=[0])[0], square)


P, T = np.zeros((3, 5), dtype=int), np.zeros(5, dtype=int)


@pytest.mark.parametrize(
    ("content", "given", "message"),
    [
        (P, None, "a.npy, row 0: expected a target for each prediction, found none; give them with --targets"),
        (P, T[:4], r"row 0: expected 4 predictions, as t.npy has targets, found 5; give both for the same samples"),
        (P.T, T, "which looks like samples first; give the transposed array"),
        (P[:, :0], T, r"found \(3, 0\), which holds nothing"),
        (P[:0], T, r"found \(0, 5\), which holds nothing"),
        (P + 0.5, T, r"expected class numbers, found 0.5 at index \(0, 0\); give the number of a class"),
        (P * np.nan, T, r"found nan at index \(0, 0\)"),
        (
            np.ones((3, 5, 2)) / 2,
            T,
            r"found \(3, 5, 2\) floats, which look like a score of each class; give the class with",
        ),
        (np.ones((3, 5, 2), dtype=int), T, r"expected predictions of shape .* found \(3, 5, 2\); give one row an epoch"),
        (np.array(3), T, r"found \(\)"),
        (
            np.ones((3, 2, 2)) / 2,
            None,
            "expected counts of samples, found 0.5 at .*; give the counts themselves, not rates",
        ),
        (np.ones((2, 2)) / 2, None, "not rates"),
        (-np.ones((3, 2, 2)), None, "found -1 at index"),
        (np.zeros((3, 0, 0)), None, "which holds nothing"),
        (P.astype("M8[s]"), T, "expected an array of plain numbers or text"),
    ],
)
def test_what_is_no_stack_is_refused(save, content, given, message):
    with pytest.raises(UsageError, match=message):
        read(save("a.npy", content), None if given is None else save("t.npy", given))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": P, "b": P}, r"found 'a' \(3, 5\), 'b' \(3, 5\); name the one that is meant 'predictions'"),
        ({"foo": P, "bar": T}, r"named predictions, preds, pred, .* cm, found 'foo' \(3, 5\), 'bar' \(5,\); name the one"),
        ({"a": T}, "expected a target for each prediction, found none"),
        ({}, "found none"),
        ({"preds": P, "targets": T[:3]}, r"expected targets for predictions of shape \(3, 5\), found \(3,\)"),
        ({"preds": P, "targets": T, "scores": T}, r"expected scores for predictions of shape \(3, 5\), found \(5,\)"),
        ({"preds": P, "targets": T, "scores": P.astype("U")}, "expected scores that are numbers, found type <U21"),
        ({"preds": P, "targets": T, "epochs": [1, 2]}, r"expected 3 distinct epochs, one a row, found \(2,\)"),
        ({"preds": P, "targets": T, "epochs": [1, 2, 2]}, "expected 3 distinct epochs, one a row, found one twice"),
        ({"preds": P, "targets": T, "epochs": [1, 2, 2.5]}, "epochs: expected whole numbers, found 2.5 at index 2"),
        ({"cm": P}, r"expected confusion counts of shape \(epochs, C, C\), found \(3, 5\)"),
        ({"preds": P, "targets": T * np.nan}, r"targets: expected class numbers, found nan"),
    ],
)
def test_what_is_no_stack_in_an_npz_is_refused(save, content, message):
    with pytest.raises(UsageError, match=message):
        read(save("a.npz", content))


def test_a_wrong_number_of_rows_is_refused(save):
    found = read(save("preds.npy", P), save("t.npy", T))
    remedy = "give one row an epoch in the run's order, or give an NPZ with `epochs`"
    with pytest.raises(UsageError, match=f"preds.npy has 3 rows, the run has 31 epochs: {remedy}"):
        found.outcomes(range(31), 4)
    with pytest.raises(UsageError, match=r"preds.npy has 1 row, run 'cnn' has 2 epochs"):
        read(save("preds.npy", P[0]), save("t.npy", T)).outcomes([0, 1], 4, run="cnn")


def test_a_number_that_is_no_class_is_named_with_its_place(save):
    wrong = P.copy()
    wrong[1, 3] = 9
    with pytest.raises(UsageError, match=r"preds.npy, row 1, sample 3: the prediction 9 is no class: expected 0 to 3"):
        read(save("preds.npy", wrong), save("t.npy", T)).outcomes(range(3), 4)
    with pytest.raises(UsageError, match=r"^t.npy, sample 0: the target 4 is no class"):
        read(save("preds.npy", P), save("t.npy", T + 4)).outcomes(range(3), 4)


def test_counts_of_another_classifier_or_of_nothing_are_refused(save, counts):
    with pytest.raises(UsageError, match="expected a matrix of 5 classes, as the classifier has, found one of 4"):
        read(save("cm.npy", counts)).outcomes(range(3), 5)
    with pytest.raises(UsageError, match="row 1: expected confusion counts, found only zeros"):
        read(save("cm.npy", counts * np.array([1, 0, 1])[:, None, None])).outcomes(range(3), 4)
