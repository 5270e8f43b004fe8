"""Rows of the path similarity on demand are those of the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dsi_cli.wordnet.database.taxonomy import load
from dsi_cli.wordnet.similarity.path_similarity import PathRows, path_distances, path_similarity

WORDS = {
    "n.01": ("dog", "cat", "car", "oak", "dog", "entity"),
    "v.01": ("banish", "buffet", "run", "eat", "banish", "be"),  # which meet at a root that is simulated alone
}


@pytest.mark.parametrize("sense", WORDS)
def test_rows_on_demand_are_those_of_the_matrix(sense):
    taxonomy = load("verb") if sense == "v.01" else load()
    nodes = [taxonomy.node(f"{word}.{sense}") for word in WORDS[sense]]
    expected = path_similarity(nodes, taxonomy).astype(np.float32)
    assert expected.min() > 0
    rows = PathRows(nodes, taxonomy)
    assert rows.size == 6
    assert_array_equal(rows.block(1, 4), expected[1:4])
    assert_array_equal(rows.distances(1, 4), path_distances(nodes, taxonomy)[1:4])
    assert_array_equal(rows.take([4, 2, 0]).block(0, 3), expected[np.ix_([4, 2, 0], [4, 2, 0])])


@pytest.mark.parametrize("block", [1, 7, 60])
@pytest.mark.parametrize("part", ["noun", "verb"])
def test_blocks_of_rows_are_those_of_the_matrix(part, block):
    taxonomy = load(part)
    nodes = np.random.default_rng(0).integers(0, len(taxonomy.offsets), 60)
    rows = PathRows(nodes, taxonomy)
    found = np.vstack([rows.block(start, min(start + block, 60)) for start in range(0, 60, block)])
    assert_array_equal(found, path_similarity(nodes, taxonomy).astype(np.float32))
