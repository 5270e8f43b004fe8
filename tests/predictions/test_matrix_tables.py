"""CSV files with the confusion matrix of one epoch, or with scores, as NumPy,
scikit-learn and pandas write them.
"""

import numpy as np
import pandas as pd
import pytest
from helpers.errors import raises
from numpy.testing import assert_array_equal
from sklearn.metrics import confusion_matrix

from dsi_cli.predictions.files import read_predictions

NAMES = np.array(["cat", "dog", "aquarium_fish", "7"])
ORDER = [2, 0, 3, 1]


@pytest.fixture
def matrix(targets, predictions):
    return confusion_matrix(targets, predictions[1])


@pytest.fixture
def named(matrix):
    """Return the matrix as a table with the names of the classes in another order."""
    return pd.DataFrame(
        matrix[np.ix_(ORDER, ORDER)], index=NAMES[ORDER], columns=NAMES[ORDER]
    )


@pytest.mark.parametrize(
    "write",
    [
        lambda matrix, path: np.savetxt(path, matrix, delimiter=","),
        lambda matrix, path: np.savetxt(path, matrix, delimiter=",", fmt="%d"),
        lambda matrix, path: np.savetxt(path, matrix),
        lambda matrix, path: pd.DataFrame(matrix).to_csv(path),
        lambda matrix, path: pd.DataFrame(matrix).to_csv(path, index=False),
        lambda matrix, path: pd.DataFrame(matrix).to_csv(path, sep=";"),
        lambda matrix, path: pd.DataFrame(matrix, NAMES, NAMES).to_csv(path),
    ],
)
def test_read_predictions_of_a_matrix_in_csv_returns_its_counts(
    tmp_path, counts_of, matrix, write
):
    path = tmp_path / "cm.csv"
    write(matrix, path)
    assert_array_equal(counts_of(path, epochs=[5]), [matrix])
    assert_array_equal(counts_of(path, truth="columns", epochs=[5]), [matrix.T])
    read = read_predictions(path)
    assert (
        read.describe(read.results([5], 4, NAMES).values())
        == "cm.csv (confusion counts; rows are the truth)"
    )


def test_read_predictions_of_a_named_matrix_takes_the_order_of_the_names(
    tmp_path, counts_of, matrix, named
):
    path = tmp_path / "cm.csv"
    for table in (named, named.iloc[:, ::-1]):
        table.to_csv(path)
        assert_array_equal(counts_of(path, epochs=[5]), [matrix])
        assert_array_equal(counts_of(path, truth="columns", epochs=[5]), [matrix.T])
    named.to_csv(path, index=False)
    assert_array_equal(counts_of(path, epochs=[5]), [matrix])
    named.rename(index={"cat": "horse"}).to_csv(path)
    with raises("unknown-class", label="'horse'"):
        counts_of(path, epochs=[5])
    named.rename(columns={"cat": "dog"}).to_csv(path)
    with raises("repeated-class", axis="column"):
        counts_of(path, epochs=[5])


def test_read_predictions_of_a_crosstab_fills_missing_classes_and_checks_the_axis(
    tmp_path, counts_of, targets
):
    path, predicted = tmp_path / "cm.csv", np.where(targets == 1, 0, targets)
    expected = confusion_matrix(targets, predicted, labels=range(4))
    for labels in (NAMES, np.arange(4)):
        truth, prediction = (
            pd.Series(labels[targets], name="True"),
            pd.Series(labels[predicted], name="Predicted"),
        )
        pd.crosstab(truth, prediction).to_csv(path)
        assert_array_equal(counts_of(path, epochs=[5]), [expected])
        pd.crosstab(truth, prediction, margins=True).to_csv(path)
        with raises("unknown-class", label="'All'"):
            counts_of(path, epochs=[5])
    pd.crosstab(prediction.rename("Actual"), truth).to_csv(path)
    with raises("truth-axis", axis="columns"):
        counts_of(path, truth="columns", epochs=[5])


@pytest.mark.parametrize(
    "mark", ["true_{} pred_{}", "true:{} pred:{}", "Actual_{} Predicted_{}"]
)
def test_read_predictions_of_a_matrix_takes_the_axis_of_the_truth_from_its_names(
    tmp_path, counts_of, matrix, mark
):
    path, (rows, columns) = tmp_path / "cm.csv", mark.split()
    for labels in (NAMES, range(4)):
        index, names = (
            [text.format(label) for label in labels] for text in (rows, columns)
        )
        pd.DataFrame(matrix, index, names).to_csv(path)
        assert_array_equal(counts_of(path, epochs=[5]), [matrix])
        pd.DataFrame(matrix.T, names, index).to_csv(path)
        with raises("truth-axis", axis="rows"):
            counts_of(path, epochs=[5])
        assert_array_equal(counts_of(path, truth="columns", epochs=[5]), [matrix])


def test_read_predictions_of_labels_with_other_numbers_is_no_matrix(
    save, tmp_path, targets, predictions
):
    save("targets.npy", targets)
    rows = {
        "y_pred": NAMES[predictions[1]],
        "confidence": np.linspace(0, 1, 40),
        "loss": np.linspace(3, 1, 40),
    }
    pd.DataFrame(rows).to_csv(tmp_path / "p.csv", index=False)
    found = read_predictions(tmp_path / "p.csv").results([5], 4, NAMES)
    assert_array_equal(found[5].predictions, predictions[1])


def test_read_predictions_of_a_matrix_with_a_header_of_savetxt_takes_its_names(
    tmp_path, counts_of, matrix
):
    path = tmp_path / "cm.csv"
    np.savetxt(
        path,
        matrix[np.ix_(ORDER, ORDER)],
        fmt="%d",
        delimiter=",",
        header=",".join(NAMES[ORDER]),
    )
    assert_array_equal(counts_of(path, epochs=[5]), [matrix])


@pytest.mark.parametrize(
    "content", ["3.5,1\n1,4\n", "-1,2\n1,4\n", "1,2,3\n4,5,6\n7,8,9\n"]
)
def test_read_predictions_of_other_numbers_in_csv_raises(save, counts_of, content):
    with raises(
        {"3": "not-whole-numbers", "-": "negative-count", "1": "counts-classes"}[
            content[0]
        ]
    ):
        counts_of(save("cm.csv", content), epochs=[5])


@pytest.mark.parametrize(
    "header", [None, NAMES[ORDER], [f"prob_{index}" for index in range(4)]]
)
def test_read_predictions_of_scores_in_csv_takes_the_arg_max(
    save, tmp_path, targets, predictions, header
):
    save("targets.npy", targets)
    scores = (
        np.random.default_rng(0).normal(size=(len(targets), 4))
        + 9 * np.eye(4)[predictions[1]]
    )
    if header is None:
        np.savetxt(tmp_path / "scores.csv", scores, delimiter=",")
    else:
        columns = ORDER if header[0] == NAMES[ORDER][0] else range(4)
        pd.DataFrame(scores[:, columns], columns=header).to_csv(tmp_path / "scores.csv")
    found = read_predictions(tmp_path / "scores.csv").results([5], 4, NAMES)
    assert_array_equal(found[5].predictions, predictions[1])
