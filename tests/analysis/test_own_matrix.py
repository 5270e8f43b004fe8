"""A reference matrix of the user's own, in each form, and each way in which it can be wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dsi_cli.analysis.semantics import matrix_file, references, wordnet_matrix
from dsi_cli.analysis.semantics.class_labels import resolve_labels
from dsi_cli.errors import UsageError
from dsi_cli.labels.label_list import LabelList

NAMES = ("cat", "dog", "oak", "car", "zebra crossing")


@pytest.fixture
def matrix():
    values = np.random.default_rng(0).random((5, 5))
    return (values + values.T) / 2


@pytest.fixture
def labelling():
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
def test_each_form_gives_the_matrix(matrix, labelling, tmp_path, name):
    path = saved(matrix, tmp_path / name) if name != "M.CSV" else tmp_path / name
    if name == "M.CSV":
        frame(matrix).to_csv(path)
    assert_allclose(matrix_file.read_matrix(path).of(labelling), matrix, rtol=1e-12)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_names_decide_the_order_and_more_names_do_no_harm(matrix, labelling, tmp_path, suffix):
    order = [3, 0, 4, 2, 1]
    moved = frame(matrix).iloc[order, order]
    path = tmp_path / f"m.{suffix}"
    moved.to_csv(path) if suffix == "csv" else moved.reset_index().to_parquet(path)
    assert_allclose(matrix_file.read_matrix(path).of(labelling), matrix)
    few = resolve_labels(LabelList(("oak", "cat"), None, "the test"))
    assert_allclose(matrix_file.read_matrix(path).of(few), matrix[np.ix_([2, 0], [2, 0])])


@pytest.mark.parametrize("name", [None, "class", "index"])
def test_an_index_of_pandas_holds_the_names(matrix, labelling, tmp_path, name):
    table = frame(matrix).iloc[[4, 2, 0, 1, 3]].rename_axis(name)
    table.to_parquet(tmp_path / "m.parquet")
    assert_allclose(matrix_file.read_matrix(tmp_path / "m.parquet").of(labelling), matrix)


@pytest.mark.parametrize("said", ["3", "{}", '{"index_columns": 7}', '{"index_columns": [{"kind": "range"}]}', "{"])
def test_what_a_file_says_for_pandas_may_be_anything(matrix, labelling, tmp_path, said):
    table = pa.table({name: list(column) for name, column in zip(NAMES, matrix.T, strict=True)})
    pq.write_table(table.replace_schema_metadata({"pandas": said}), tmp_path / "m.parquet")
    if said == "{":
        with pytest.raises(UsageError, match="is no matrix of numbers"):
            matrix_file.read_matrix(tmp_path / "m.parquet")
    else:
        assert_allclose(matrix_file.read_matrix(tmp_path / "m.parquet").of(labelling), matrix)


def test_rows_in_another_order_than_columns_are_put_right(matrix, labelling, tmp_path):
    frame(matrix).iloc[[4, 2, 0, 1, 3]].to_csv(tmp_path / "m.csv")
    assert_allclose(matrix_file.read_matrix(tmp_path / "m.csv").of(labelling), matrix)


def test_synsets_and_ids_are_names_too(matrix, labelling, tmp_path):
    frame(matrix, ("cat.n.01", "n02084071", "oak", "car", "zebra crossing")).to_csv(tmp_path / "m.csv")
    assert_allclose(matrix_file.read_matrix(tmp_path / "m.csv").of(labelling), matrix)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_numbers_alone_are_in_the_classes_order(matrix, labelling, tmp_path, suffix):
    table = pd.DataFrame(matrix, columns=[f"c{k}" for k in range(5)])
    path = tmp_path / f"m.{suffix}"
    table.to_csv(path, header=False, index=False) if suffix == "csv" else table.to_parquet(path)
    assert_allclose(matrix_file.read_matrix(path).of(labelling), matrix)


def test_what_dsi_wordnet_wrote_is_read(labelling, tmp_path):
    (opened,) = references.open_references(["wup"], None)
    wordnet_matrix.write(wordnet_matrix.reference_tables(labelling, None, opened), tmp_path / "m.parquet", opened)
    found = matrix_file.read_matrix(tmp_path / "m.parquet").of(labelling)
    assert_array_equal(found.astype(np.float32), opened.of(labelling).csm.matrix)


@pytest.mark.parametrize("gap", [np.nan, ""])
def test_a_class_without_values_is_lacking(matrix, labelling, tmp_path, gap):
    table = frame(matrix).astype(object)
    table.iloc[2], table.iloc[:, 2] = gap, gap
    table.to_csv(tmp_path / "m.csv")
    found = matrix_file.read_matrix(tmp_path / "m.csv").of(labelling)
    assert_array_equal(np.isnan(np.diagonal(found)), [False, False, True, False, False])


def test_a_diagonal_may_be_empty(matrix, labelling, tmp_path):
    np.fill_diagonal(matrix, np.nan)
    found = matrix_file.read_matrix(saved(matrix, tmp_path / "m.npy")).of(labelling)
    assert_array_equal(np.diagonal(found), np.nanmax(matrix))


def changed(matrix, **at):
    matrix = matrix.copy()
    for place, value in at.items():
        matrix[int(place[1]), int(place[2])] = value
    return matrix


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p13": 9.0}, r"is not symmetric: 'dog' and 'car' have 9 one way and 0\.\d+ the other"),
        ({"p02": np.nan}, "has no finite value for 'cat' and 'oak': give one, or leave out a whole class"),
        ({"p02": np.inf, "p20": np.inf}, "has no finite value for 'cat' and 'oak'"),
    ],
)
def test_values_that_cannot_be_are_named(matrix, tmp_path, change, message):
    with pytest.raises(UsageError, match=message):
        matrix_file.read_matrix(saved(changed(matrix, **change), tmp_path / "m.csv"))


def test_without_names_a_class_is_called_by_its_number(matrix, tmp_path):
    with pytest.raises(UsageError, match="not symmetric: class 1 and class 3 have"):
        matrix_file.read_matrix(saved(changed(matrix, p13=9.0), tmp_path / "m.npy"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class,a,b\na,1,2\n", "is no matrix of numbers: could not convert string to float: 'class'"),
        ("1,2\n3\n", "its rows differ in length"),
        ("1,2,3\n2,1,3\n", "is 2 x 3: expected a square matrix"),
        ("class,a,a\na,1,2\na,2,1\n", "names 'a' twice: expected each class once"),
        ("class,a,b\na,1,2\nc,2,1\n", "'b' names a row or a column, not both"),
        ("class,a,b\na,1,two\nb,2,1\n", "could not convert string to float: 'two'"),
        ("", "is 0: expected a square matrix"),
    ],
)
def test_a_file_that_is_no_matrix_is_refused(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        matrix_file.read_matrix(tmp_path / "m.csv")


def test_a_wrong_size_is_said(matrix, tmp_path):
    found = matrix_file.read_matrix(saved(matrix, tmp_path / "m.npy"))
    with pytest.raises(UsageError, match=r"m.npy is 5 x 5, but there are 2 classes: give a row a class"):
        found.of(resolve_labels(LabelList(("cat", "dog"), None, "the test")))


def test_a_class_without_a_row_is_named(matrix, tmp_path):
    found = matrix_file.read_matrix(saved(matrix, tmp_path / "m.csv"))
    labels = LabelList(("cat", "frog", "bee", "ant", "fly"), None, "the test")
    with pytest.raises(UsageError, match=r"has no row for 'frog', 'bee', 'ant' and 1 more: expected the name"):
        found.of(resolve_labels(labels))


@pytest.mark.parametrize("name", ["m.csv", "m.parquet", "m.npy"])
def test_a_file_that_is_missing_or_damaged_is_said(tmp_path, name):
    with pytest.raises(UsageError, match=r"the reference .*cannot be read"):
        matrix_file.read_matrix(tmp_path / name)
    (tmp_path / name).write_bytes(b"\xff\x00damaged")
    with pytest.raises(UsageError, match=r"the reference .* is no matrix of numbers"):
        matrix_file.read_matrix(tmp_path / name)


def test_a_pickle_in_an_npy_is_not_run(tmp_path):
    np.save(tmp_path / "m.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match="is no matrix of numbers"):
        matrix_file.read_matrix(tmp_path / "m.npy")
