"""One table in and out of one file."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.errors import raises
from numpy.testing import assert_array_equal

import dsi_cli
from dsi_cli.errors import OutputError
from dsi_cli.store import parquet
from dsi_cli.store.schema import CONFUSIONS, CSMS, PREDICTIONS, SCHEMA_VERSION, TABLES


def matrix_table(matrix):
    constants = {"run": "r", "kind": "ncsm", "epoch": 1}
    return parquet.from_matrix(
        CSMS, matrix, constants, {"class_index": range(len(matrix))}
    )


@pytest.fixture
def matrix():
    values = np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32)
    values[2] = values[:, 2] = np.nan
    return values


def test_a_matrix_comes_back_bit_for_bit(matrix, tmp_path):
    parquet.write(
        matrix_table(matrix), tmp_path / "deep" / "m.parquet", {}, tmp_path / ".tmp"
    )
    found = parquet.to_matrix(parquet.read(tmp_path / "deep" / "m.parquet"))
    assert_array_equal(found, matrix)
    assert found.dtype == np.float32
    rows = pd.read_parquet(tmp_path / "deep" / "m.parquet")
    assert list(rows.columns) == [column.name for column in CSMS.columns]
    assert_array_equal(np.stack(rows["similarity"]).astype(np.float32), matrix)
    assert np.isnan(rows["similarity"][0][2]), "null where a class is lacking"
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_blocks_are_row_groups_of_one_file(matrix, tmp_path):
    table = matrix_table(matrix)
    blocks = (table.slice(start, 3) for start in range(0, 7, 3))
    parquet.write_blocks(blocks, tmp_path / "m.parquet", {"a": 1}, tmp_path)
    assert pq.ParquetFile(tmp_path / "m.parquet").num_row_groups == 3
    assert parquet.read(tmp_path / "m.parquet").equals(table)
    assert parquet.options_of(tmp_path / "m.parquet") == {"a": 1}


def test_a_block_that_fails_leaves_nothing(matrix, tmp_path):
    def blocks():
        yield matrix_table(matrix)
        raise KeyError("the second")

    with pytest.raises(KeyError, match="the second"):
        parquet.write_blocks(blocks(), tmp_path / "m.parquet", {}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_rows_of_a_matrix_may_be_stored_in_any_order(matrix):
    table = matrix_table(matrix)
    assert_array_equal(parquet.to_matrix(table.take([6, 0, 3, 2, 5, 1, 4])), matrix)


def test_the_options_stand_beside_the_schemas_and_dsis_version(matrix, tmp_path):
    options = {"shaping": {"head": None}, "list": [1, 2.5]}
    parquet.write(matrix_table(matrix), tmp_path / "m.parquet", options, tmp_path)
    assert parquet.options_of(tmp_path / "m.parquet") == options
    raw = json.loads(pq.read_schema(tmp_path / "m.parquet").metadata[b"dsi"])
    assert raw == {
        "schema": SCHEMA_VERSION,
        "dsi": dsi_cli.__version__,
        "options": options,
    }


@pytest.mark.parametrize(
    "described",
    [
        b"{",
        b"[]",
        b'{"schema": 0, "options": {"a": 1}}',
        b'{"schema": 1, "options": 3}',
        None,
    ],
)
def test_options_of_another_origin_count_as_none(described, tmp_path):
    table = pa.table({"a": [1]})
    pq.write_table(
        table.replace_schema_metadata({b"dsi": described} if described else None),
        tmp_path / "m.parquet",
    )
    assert parquet.options_of(tmp_path / "m.parquet") == {}


def test_read_of_a_damaged_file_is_one_line(tmp_path):
    path = tmp_path / "m.parquet"
    path.write_bytes(b"PAR1 and no more")
    with raises("cannot-read", OutputError):
        parquet.read(path)
    noise = np.frombuffer(
        np.random.default_rng(0).bytes(60 * 60 * 4), np.float32
    ).reshape(60, 60)
    # noise is stored without compression, whose errors are found
    parquet.write(matrix_table(noise), path, {}, tmp_path)
    data = path.read_bytes()
    # the beginning and the end are as before
    path.write_bytes(data[:4096] + bytes(1024) + data[5120:])
    for run in (None, "r"):
        with raises("cannot-read", OutputError):
            parquet.read(path, run)


def test_a_failed_write_leaves_the_old_file(matrix, tmp_path):
    path = tmp_path / "m.parquet"
    parquet.write(matrix_table(matrix), path, {"version": 1}, tmp_path / ".tmp")
    blocked = tmp_path / "file"
    blocked.touch()
    with raises("cannot-write", OutputError):
        parquet.write(matrix_table(-matrix), path, {"version": 2}, blocked)
    assert parquet.options_of(path) == {"version": 1}
    assert_array_equal(parquet.to_matrix(parquet.read(path)), matrix)


@pytest.mark.parametrize("table", TABLES)
def test_rows_that_lack_columns_are_null_there(table):
    found = parquet.from_rows(table, [{}, {}])
    assert found.schema.names == [column.name for column in table.columns]
    types = [column.type.replace("list<", "list<item: ") for column in table.columns]
    assert [str(kind) for kind in found.schema.types] == types
    assert all(column.null_count == 2 for column in found.columns)


def test_every_column_has_a_meaning_and_a_type_of_its_own():
    for table in TABLES:
        names = [column.name for column in table.columns]
        assert len(names) == len(set(names)), table.path
        assert all(column.meaning and column.type for column in table.columns)


def test_to_counts_returns_the_written_counts(tmp_path):
    counts = np.random.default_rng(1).integers(0, 2**40, (6, 6))
    table = parquet.from_matrix(
        CONFUSIONS,
        counts,
        {"run": "r", "split": "test", "epoch": 3},
        {"class_index": range(6)},
    )
    parquet.write(table, tmp_path / "c.parquet", {}, tmp_path)
    found = parquet.to_counts(parquet.read(tmp_path / "c.parquet"))
    assert_array_equal(found, counts)
    assert found.dtype == np.int64
    assert_array_equal(parquet.to_counts(table.take([5, 0, 3, 2, 1, 4])), counts)
    rows = pd.read_parquet(tmp_path / "c.parquet")
    assert_array_equal(np.stack(rows["count"]), counts)
    assert set(rows["split"]) == {"test"}
    with raises("damaged-table", OutputError):
        parquet.to_counts(table.slice(0, 4))


def test_columns_of_samples_with_what_is_lacking_null():
    varying = {
        "sample": np.arange(3),
        "target": np.array([2, 0, 1], dtype=np.uint8),
        "path": ["a", None, "c"],
    }
    found = parquet.from_columns(
        PREDICTIONS, 3, {"run": "r", "split": "test", "epoch": 0, "step": None}, varying
    )
    assert found.schema.names == [column.name for column in PREDICTIONS.columns]
    assert found.column("target").to_pylist() == [2, 0, 1]
    assert found.column("path").to_pylist() == ["a", None, "c"]
    assert found.column("run").to_pylist() == ["r"] * 3
    for name in ("prediction", "score", "step", "epochs_completed"):
        assert found.column(name).null_count == 3
