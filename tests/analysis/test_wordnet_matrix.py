"""The reference of a label list alone: by blocks of rows, and the nearest classes of long lists."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from dsi_cli.analysis.semantics import wordnet_matrix
from dsi_cli.errors import NothingToAnalyseError, OutputError, UsageError
from dsi_cli.store import parquet
from dsi_cli.store.schema import REFERENCE_NEIGHBORS, REFERENCES


def written(one, tmp_path, neighbors=None):
    wordnet_matrix.write_blocks(wordnet_matrix.reference_tables(one, neighbors), tmp_path / "x.parquet")
    return pd.read_parquet(tmp_path / "x.parquet")


@pytest.mark.parametrize("block", [1, 7, 64, 512])
@pytest.mark.parametrize(
    "labels",
    [
        "oxford-pets",  # unresolved classes between others
        ["qzx", "qzy", "dog", "qzz", "cat"],
        ["dog", *["qzx"] * 20, "cat", *["qzy"] * 20],  # more of them than a block holds
        ["dog"],
    ],
    ids=["pets", "first", "many", "one"],
)
def test_blocks_of_rows_make_the_whole_matrix(labels, block, tmp_path, monkeypatch):
    monkeypatch.setattr(wordnet_matrix, "BLOCK", block)
    one = wordnet_matrix.resolve_label_list(labels)
    found = written(one, tmp_path)
    assert list(found.columns) == [column.name for column in REFERENCES.columns]
    assert found["name"].to_list() == list(one.label_list.names)
    assert found["class_index"].to_list() == list(range(one.classes))
    assert_array_equal(np.stack(found["similarity"]).astype(np.float32), one.reference())
    file = pq.ParquetFile(tmp_path / "x.parquet")
    assert max(file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)) <= max(block, 1)
    assert parquet.options_of(tmp_path / "x.parquet") == {"reference": "wordnet3.0-path"}


def test_the_nearest_are_those_of_the_matrix(tmp_path):
    one = wordnet_matrix.resolve_label_list("oxford-pets")
    found = written(one, tmp_path, 3)
    assert list(found.columns) == [column.name for column in REFERENCE_NEIGHBORS.columns]
    matrix = one.similarity()
    np.fill_diagonal(matrix, np.nan)
    names = one.label_list.names
    assert set(found["class_index"]) == {r.index for r in one.resolutions if r.wnid}
    for label, rows in found.groupby("class_index"):
        assert rows["name"].to_list() == [names[label]] * 3
        assert rows["neighbor_name"].to_list() == [names[k] for k in rows["neighbor"]]
        assert rows["similarity"].to_list() == sorted(matrix[label][~np.isnan(matrix[label])], reverse=True)[:3]
        assert_array_equal(rows["similarity"], matrix[label, rows["neighbor"]])
        for row in rows.itertuples():
            ties = int((matrix[label] == row.similarity).sum())
            assert (row.ties, row.rank) == (ties, 1 + (matrix[label] > row.similarity).sum() + (ties - 1) / 2)


def test_long_lists_have_their_nearest_unless_the_whole_matrix_is_asked_for(monkeypatch):
    one = wordnet_matrix.resolve_label_list("cifar10")
    assert wordnet_matrix.choose_neighbors(one, None, whole=False) is None
    assert wordnet_matrix.choose_neighbors(one, 4, whole=False) == 4
    monkeypatch.setattr(wordnet_matrix, "MAX_DENSE_CLASSES", 9)
    assert wordnet_matrix.choose_neighbors(one, None, whole=False) == wordnet_matrix.DEFAULT_NEIGHBORS
    assert wordnet_matrix.choose_neighbors(one, None, whole=True) is None
    with pytest.raises(
        UsageError, match=r"^expected --whole or --neighbors, found --whole and --neighbors 4: leave one out$"
    ):
        wordnet_matrix.choose_neighbors(one, 4, whole=True)


@pytest.mark.parametrize("neighbors", [None, 2])
def test_a_list_that_wordnet_does_not_know_has_no_reference(neighbors):
    with pytest.raises(NothingToAnalyseError, match=r"^none of 2 labels is known to WordNet: 'qzx' is no noun"):
        wordnet_matrix.reference_tables(wordnet_matrix.resolve_label_list(["qzx", "qzy"]), neighbors)


def test_a_place_that_may_not_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="could not be written"):
        wordnet_matrix.write_blocks(
            wordnet_matrix.reference_tables(wordnet_matrix.resolve_label_list("cifar10")), tmp_path / "file" / "x.parquet"
        )


@pytest.mark.slow
def test_imagenet21k_stays_small(tmp_path):
    """Below 4 GB, which a dense matrix with its copies exceeds; address space, so that the child cannot pass it unseen."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({4 * 2**30}, {4 * 2**30}))"
    code = f"{limit}; from dsi_cli.cli import main; main()"
    command = [sys.executable, "-c", code, "wordnet", "imagenet21k", "-o", str(tmp_path / "x.parquet"), "--quiet"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"the nearest 10 of each of 21,843 labels: {tmp_path / 'x.parquet'}\n"
    file = pq.ParquetFile(tmp_path / "x.parquet")
    assert file.metadata.num_rows == 10 * 21843
