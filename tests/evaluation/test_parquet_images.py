"""Parquet shards: columns found or asked for, names from the metadata, damage."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluation.layouts import write_parquet

from dsi_cli.errors import UsageError
from dsi_cli.evaluation.images import reason
from dsi_cli.evaluation.parquet_images import open_parquet, row_bytes


@pytest.fixture
def data(grey_images):
    folder = grey_images / "Bag"
    return [path.read_bytes() for path in sorted(folder.iterdir())[:6]]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("image", ["image", "img", "picture"])
def test_both_kinds_of_image_column_are_read(tmp_path, data, plain, image):
    path = write_parquet(tmp_path / "a.parquet", data, [2, 0, 1, 1, 0, 2], image=image, plain=plain)
    samples = open_parquet("a.parquet", [path])
    assert samples.targets.tolist() == [2, 0, 1, 1, 0, 2]
    assert samples.names is None
    assert samples.source == "parquet a.parquet (6 images, 3 classes)"
    assert samples.paths == [f"{path}#{row}" for row in range(6)]
    assert [row_bytes(path, row) for row in range(6)] == data
    assert samples.image(5).size == (28, 28)


def test_names_come_from_the_metadata(tmp_path, data):
    path = write_parquet(tmp_path / "a.parquet", data, [2, 0, 1, 1, 0, 2], names=["a", "b", "c", "d"])
    assert open_parquet("a", [path]).names == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    "metadata",
    [b"not json", b"[]", b"{}", b'{"info": null}', b'{"info": {"features": {"label": {"dtype": "int64"}}}}'],
)
def test_metadata_without_names_leave_numbers(tmp_path, data, metadata):
    path = write_parquet(tmp_path / "a.parquet", data, [0] * 6)
    pq.write_table(pq.read_table(path).replace_schema_metadata({b"huggingface": metadata}), path)
    assert open_parquet("a", [path]).names is None


def test_names_of_old_writers_are_read(tmp_path, data):
    path = write_parquet(tmp_path / "a.parquet", data, [0, 1] * 3)
    known = {"info": {"features": {"label": {"names": {"0": "cat", "1": "dog"}}}}}
    pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": json.dumps(known)}), path)
    assert open_parquet("a", [path]).names == ("cat", "dog")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_labels_may_be_names(tmp_path, data, kind):
    labels = pa.array(["dog", "cat", "dog", "dog", "cat", "cat"]).cast(kind)
    samples = open_parquet("a", [write_parquet(tmp_path / "a.parquet", data, labels)])
    assert samples.names == ("cat", "dog")
    assert samples.targets.tolist() == [1, 0, 1, 1, 0, 0]


def test_shards_are_one_split(tmp_path, data):
    files = [write_parquet(tmp_path / f"{n}.parquet", data[n : n + 3], [*"abc"[n : n + 2], "z"]) for n in (0, 1)]
    samples = open_parquet("*.parquet", files)
    assert samples.names == ("a", "b", "c", "z")
    assert samples.targets.tolist() == [0, 1, 3, 1, 2, 3]
    assert samples.paths[3] == f"{files[1]}#0"


def _with(path, **columns):
    table = pq.read_table(path)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, path)
    return path


def test_cifar100_has_its_fine_labels(tmp_path, data):
    path = write_parquet(tmp_path / "a.parquet", data, [5] * 6, column="fine_label", image="img")
    _with(path, coarse_label=[1] * 6)
    assert set(open_parquet("a", [path]).targets) == {5}
    assert set(open_parquet("a", [path], labels="coarse_label").targets) == {1}


def test_the_label_column_changes_the_id(tmp_path, data):
    path = _with(write_parquet(tmp_path / "a.parquet", data, [5] * 6), coarse=[5] * 6)
    assert open_parquet("a", [path]).id != open_parquet("a", [path], labels="coarse").id


@pytest.mark.parametrize(
    ("columns", "labels", "message"),
    [
        (
            {"target": [0] * 6},
            None,
            r"a.parquet: expected one label column, found several: label, target; name the one to use",
        ),
        ({}, "fine", r"expected a label column \('fine'\), found image, label; name the column of labels"),
        (
            {"score": [0.5] * 6},
            "score",
            r"expected integers or names in the label column 'score', found double; name another",
        ),
    ],
)
def test_an_unclear_column_is_refused(tmp_path, data, columns, labels, message):
    path = _with(write_parquet(tmp_path / "a.parquet", data, [0] * 6), **columns)
    with pytest.raises(UsageError, match=message):
        open_parquet("a", [path], labels)


def test_of_several_image_columns_the_one_called_image_is_taken(tmp_path, data):
    path = _with(write_parquet(tmp_path / "a.parquet", data, [0] * 6), mask=[b""] * 6, other=[b""] * 6)
    assert open_parquet("a", [path]).image(0).size == (28, 28)


def test_no_column_for_images_or_several_are_refused(tmp_path, data):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"label": [0]}), path)
    with pytest.raises(UsageError, match=r"expected one image column .*, found none among label; name it 'image'$"):
        open_parquet("a", [path])
    pq.write_table(pa.table({"one": [b""], "two": [b""], "label": [0]}), path)
    with pytest.raises(UsageError, match=r"expected one image column .*, found several \(one, two\); name it 'image'$"):
        open_parquet("a", [path])
    pq.write_table(pa.table({"image": [b""], "kind": ["x"]}), path)
    with pytest.raises(UsageError, match=r"expected a label column \(one of label, labels, .*\), found image, kind; name"):
        open_parquet("a", [path])


def test_shards_with_other_columns_are_refused(tmp_path, data):
    one = write_parquet(tmp_path / "1.parquet", data, [0] * 6)
    two = write_parquet(tmp_path / "2.parquet", data, [0] * 6, column="target")
    with pytest.raises(
        UsageError, match=r"2.parquet: expected the columns 'image' and 'label', as in 1.parquet, found image, target"
    ):
        open_parquet("*", [one, two])


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0, None, 0, 0, 0, 0], None, r"a.parquet#1: expected a label in column 'label', found none; remove the row"),
        (
            [0, -1, 0, 0, 0, 0],
            ["a"],
            r"a.parquet#1: expected a class number of 0 to 0 .*, found -1; use a split whose labels",
        ),
        ([0, 1, 0, 0, 0, 0], ["a"], r"a.parquet#1: expected a class number of 0 to 0 \(it has 1 names\), found 1;"),
    ],
)
def test_a_row_without_a_class_is_refused(tmp_path, data, labels, names, message):
    path = write_parquet(tmp_path / "a.parquet", data, labels, names=names)
    with pytest.raises(UsageError, match=message):
        open_parquet("a", [path])


def test_no_rows_and_no_parquet_are_refused(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", [], pa.array([], pa.int64()))
    with pytest.raises(UsageError, match=r"^shown: expected a row for each image, found none; name another split$"):
        open_parquet("shown", [path])
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(
        UsageError, match=r"a.parquet: expected a Parquet file, found none that can be read \(.*\); replace it$"
    ):
        open_parquet("shown", [path])


def test_a_row_without_bytes_is_a_bad_image(tmp_path, data):
    path = write_parquet(tmp_path / "a.parquet", [data[0], None], [0, 0])
    samples = open_parquet("a", [path])
    assert np.asarray(samples.image(0)).shape == (28, 28)
    with pytest.raises(OSError, match=r"^the row holds no image bytes$") as caught:
        samples.image(1)
    assert reason(caught.value) == "the row holds no image bytes"
    with pytest.raises(UsageError, match=r"a.parquet: expected a row 2, found 2 rows; the file has changed"):
        row_bytes(path, 2)
