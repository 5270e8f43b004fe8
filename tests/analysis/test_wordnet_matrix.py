"""The reference matrix of a label list in blocks of rows, and the nearest classes of
long lists.
"""

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from dsi_cli import wordnet_csm
from dsi_cli.analysis.semantics import wordnet_matrix
from dsi_cli.analysis.semantics.references import open_references
from dsi_cli.store import parquet
from dsi_cli.store.schema import REFERENCE_NEIGHBORS, REFERENCES


def written(labels, tmp_path, neighbors=None):
    (source,) = open_references(["path"])
    wordnet_matrix.write_blocks(
        wordnet_matrix.reference_tables(labels, neighbors, source),
        tmp_path / "x.parquet",
        source,
    )
    return pd.read_parquet(tmp_path / "x.parquet")


@pytest.mark.parametrize("block", [1, 7, 64, 512])
@pytest.mark.parametrize(
    "names",
    [
        "oxford-pets",  # unresolved classes between others
        ["qzx", "qzy", "dog", "qzz", "cat"],
        ["dog", *["qzx"] * 20, "cat", *["qzy"] * 20],  # more of them than a block holds
        ["dog"],
    ],
    ids=["pets", "first", "many", "one"],
)
def test_reference_tables_in_blocks_give_the_whole_matrix(
    names, block, tmp_path, monkeypatch
):
    monkeypatch.setattr(wordnet_matrix, "LABELS_PER_BLOCK", block)
    labels = wordnet_matrix.resolve_label_list(names)
    found = written(labels, tmp_path)
    assert list(found.columns) == [column.name for column in REFERENCES.columns]
    assert found["name"].to_list() == list(labels.label_list.names)
    assert found["class_index"].to_list() == list(range(labels.classes))
    assert_array_equal(
        np.stack(found["similarity"]).astype(np.float32),
        wordnet_csm(names).astype(np.float32),
    )
    file = pq.ParquetFile(tmp_path / "x.parquet")
    assert max(
        file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)
    ) <= max(block, 1)
    assert parquet.options_of(tmp_path / "x.parquet") == {
        "reference": "wordnet3.0-path"
    }


def test_reference_tables_with_neighbors_match_the_matrix(tmp_path):
    labels = wordnet_matrix.resolve_label_list("oxford-pets")
    found = written(labels, tmp_path, 3)
    assert list(found.columns) == [
        column.name for column in REFERENCE_NEIGHBORS.columns
    ]
    matrix = wordnet_csm("oxford-pets").to_numpy(copy=True)
    np.fill_diagonal(matrix, np.nan)
    names = labels.label_list.names
    assert set(found["class_index"]) == {r.index for r in labels.resolutions if r.wnid}
    for label, rows in found.groupby("class_index"):
        assert rows["name"].to_list() == [names[label]] * 3
        assert rows["neighbor_name"].to_list() == [names[k] for k in rows["neighbor"]]
        assert (
            rows["similarity"].to_list()
            == sorted(matrix[label][~np.isnan(matrix[label])], reverse=True)[:3]
        )
        assert_array_equal(rows["similarity"], matrix[label, rows["neighbor"]])
        for row in rows.itertuples():
            ties = int((matrix[label] == row.similarity).sum())
            assert (row.ties, row.rank) == (
                ties,
                1 + (matrix[label] > row.similarity).sum() + (ties - 1) / 2,
            )


@pytest.mark.slow
def test_wordnet_command_with_imagenet21k_needs_little_memory(tmp_path):
    """Below 4 GB, which a dense matrix with its copies exceeds; address space, so that
    the child cannot pass it unseen.
    """
    limit = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({4 * 2**30},"
        f" {4 * 2**30}))"
    )
    code = f"{limit}; from dsi_cli.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "wordnet",
        "imagenet21k",
        "-o",
        str(tmp_path / "x.parquet"),
        "--quiet",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert (
        ended.stdout
        == f"the nearest 10 of each of 21,843 labels: {tmp_path / 'x.parquet'}\n"
    )
    assert pq.ParquetFile(tmp_path / "x.parquet").metadata.num_rows == 10 * 21843
