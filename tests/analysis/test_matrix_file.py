"""Custom reference matrices in each format, and each way in which a file can be invalid."""

import numpy as np
import pandas as pd
import pytest
from helpers.errors import raises
from numpy.testing import assert_allclose, assert_array_equal

from dsi_cli.analysis.semantics import references, wordnet_matrix
from dsi_cli.analysis.semantics.class_labels import resolve_labels
from dsi_cli.errors import UsageError
from dsi_cli.labels.label_list import LabelList

NAMES = ("cat", "dog", "oak", "car", "zebra crossing")


@pytest.fixture
def matrix():
    values = np.random.default_rng(0).random((5, 5))
    return (values + values.T) / 2


@pytest.fixture
def labels():
    return resolve_labels(LabelList(NAMES, None, "the test"))


def frame(matrix, names=NAMES):
    return pd.DataFrame(matrix, index=pd.Index(names, name="class"), columns=list(names))


def saved(matrix, path):
    """Save a matrix as the file's suffix says, named unless it is NPY."""
    if path.suffix == ".npy":
        np.save(path, matrix)
    elif path.suffix == ".csv":
        frame(matrix).to_csv(path)
    else:
        frame(matrix).reset_index().to_parquet(path)
    return path


@pytest.mark.parametrize("name", ["m.csv", "m.parquet", "m.npy", "M.CSV"])
def test_read_matrix_reads_each_format(matrix, labels, tmp_path, name):
    path = saved(matrix, tmp_path / name) if name != "M.CSV" else tmp_path / name
    if name == "M.CSV":
        frame(matrix).to_csv(path)
    assert_allclose(references.read_matrix(path).for_labels(labels), matrix, rtol=1e-12)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_for_labels_orders_by_name_and_ignores_other_names(matrix, labels, tmp_path, suffix):
    order = [3, 0, 4, 2, 1]
    moved = frame(matrix).iloc[order, order]
    path = tmp_path / f"m.{suffix}"
    moved.to_csv(path) if suffix == "csv" else moved.reset_index().to_parquet(path)
    assert_allclose(references.read_matrix(path).for_labels(labels), matrix)
    few = resolve_labels(LabelList(("oak", "cat"), None, "the test"))
    assert_allclose(references.read_matrix(path).for_labels(few), matrix[np.ix_([2, 0], [2, 0])])


@pytest.mark.parametrize("name", [None, "class", "index"])
def test_read_matrix_takes_the_names_of_a_pandas_index(matrix, labels, tmp_path, name):
    table = frame(matrix).iloc[[4, 2, 0, 1, 3]].rename_axis(name)
    table.to_parquet(tmp_path / "m.parquet")
    assert_allclose(references.read_matrix(tmp_path / "m.parquet").for_labels(labels), matrix)


def test_for_labels_accepts_synsets_and_ids_as_names(matrix, labels, tmp_path):
    frame(matrix, ("cat.n.01", "n02084071", "oak", "car", "zebra crossing")).to_csv(tmp_path / "m.csv")
    assert_allclose(references.read_matrix(tmp_path / "m.csv").for_labels(labels), matrix)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_read_matrix_without_names_keeps_the_order(matrix, labels, tmp_path, suffix):
    table = pd.DataFrame(matrix, columns=[f"c{k}" for k in range(5)])
    path = tmp_path / f"m.{suffix}"
    table.to_csv(path, header=False, index=False) if suffix == "csv" else table.to_parquet(path)
    assert_allclose(references.read_matrix(path).for_labels(labels), matrix)


def test_read_matrix_reads_the_table_of_dsi_wordnet(labels, tmp_path):
    (opened,) = references.open_references(["wup"], None)
    wordnet_matrix.write_blocks(wordnet_matrix.reference_tables(labels, None, opened), tmp_path / "m.parquet", opened)
    found = references.read_matrix(tmp_path / "m.parquet").for_labels(labels)
    assert_array_equal(found.astype(np.float32), opened.for_labels(labels).matrix.dense)


@pytest.mark.parametrize("gap", [np.nan, ""])
def test_read_matrix_with_an_empty_row_and_column_lacks_the_class(matrix, labels, tmp_path, gap):
    table = frame(matrix).astype(object)
    table.iloc[2], table.iloc[:, 2] = gap, gap
    table.to_csv(tmp_path / "m.csv")
    found = references.read_matrix(tmp_path / "m.csv").for_labels(labels)
    assert_array_equal(np.isnan(np.diagonal(found)), [False, False, True, False, False])


def test_read_matrix_fills_an_empty_diagonal(matrix, labels, tmp_path):
    np.fill_diagonal(matrix, np.nan)
    found = references.read_matrix(saved(matrix, tmp_path / "m.npy")).for_labels(labels)
    assert_array_equal(np.diagonal(found), np.nanmax(matrix))


def changed(matrix, **changes):
    """Return a copy with other values, such as ``p13`` for row 1 and column 3."""
    matrix = matrix.copy()
    for name, value in changes.items():
        matrix[int(name[1]), int(name[2])] = value
    return matrix


@pytest.mark.parametrize(
    ("change", "code", "classes"),
    [
        ({"p13": 9.0}, "reference-not-symmetric", ("'dog'", "'car'")),
        ({"p02": np.nan}, "reference-not-finite", ("'cat'", "'oak'")),
        ({"p02": np.inf, "p20": np.inf}, "reference-not-finite", ("'cat'", "'oak'")),
    ],
)
def test_read_matrix_with_invalid_values_names_the_classes(matrix, tmp_path, change, code, classes):
    with raises(code, UsageError, classes=classes):
        references.read_matrix(saved(changed(matrix, **change), tmp_path / "m.csv"))


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("class,a,b\na,1,2\n", "invalid-reference", "could not convert string to float: 'class'"),
        ("1,2\n3\n", "invalid-reference", "its rows differ in length"),
        ("1,2,3\n2,1,3\n", "reference-not-square", "2 x 3"),
        ("class,a,a\na,1,2\na,2,1\n", "duplicate-name", "'a'"),
        ("class,a,b\na,1,2\nc,2,1\n", "invalid-reference", "'b' is not in the first row as often as"),
        ("class,a,a,b\na,1,2,3\nb,2,1,3\nb,3,3,1\n", "invalid-reference", "'a' is not in the first row as often as"),
        ("class,a,b\na,1,two\nb,2,1\n", "invalid-reference", "could not convert string to float: 'two'"),
        ("", "reference-not-square", "is 0;"),
    ],
)
def test_read_matrix_of_an_invalid_file_fails(tmp_path, text, code, message):
    (tmp_path / "m.csv").write_text(text)
    with raises(code, UsageError) as caught:
        references.read_matrix(tmp_path / "m.csv")
    assert message in str(caught.value)


def test_for_labels_with_another_number_of_classes_fails(matrix, tmp_path):
    found = references.read_matrix(saved(matrix, tmp_path / "m.npy"))
    with raises("wrong-reference-size", UsageError, size=(5, 5), classes=2):
        found.for_labels(resolve_labels(LabelList(("cat", "dog"), None, "the test")))


def test_for_labels_with_unknown_classes_names_them(matrix, tmp_path):
    found = references.read_matrix(saved(matrix, tmp_path / "m.csv"))
    labels = LabelList(("cat", "frog", "bee", "ant", "fly"), None, "the test")
    with raises("class-not-in-reference", UsageError, names=["frog", "bee", "ant", "fly"]) as caught:
        found.for_labels(resolve_labels(labels))
    assert "'frog', 'bee', 'ant' and 1 more" in str(caught.value)


@pytest.mark.parametrize("name", ["m.csv", "m.parquet", "m.npy"])
def test_read_matrix_of_a_missing_or_damaged_file_fails(tmp_path, name):
    with raises("unreadable-reference", UsageError, path=str(tmp_path / name)):
        references.read_matrix(tmp_path / name)
    (tmp_path / name).write_bytes(b"\xff\x00damaged")
    with raises("invalid-reference", UsageError, path=str(tmp_path / name)):
        references.read_matrix(tmp_path / name)


def test_read_matrix_does_not_run_a_pickle_in_an_npy(tmp_path):
    np.save(tmp_path / "m.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with raises("invalid-reference", UsageError):
        references.read_matrix(tmp_path / "m.npy")
