"""Shortest paths against a slow search on random taxonomies."""

import numpy as np
import pytest
from helpers.taxonomies import preset_nodes, random_taxonomy
from numpy.testing import assert_array_equal

from dsi_cli.wordnet.database.taxonomy import Taxonomy, load
from dsi_cli.wordnet.similarity.path_similarity import (
    NO_HYPERNYM,
    UNREACHABLE,
    PathRows,
    common_heights,
    path_similarity,
)


def slow_distance(taxonomy, a, b):
    """Return the distance by the definition: over all common hypernyms, the sum of the
    two ways up.
    """

    def ways(node):
        """Return the length of the shortest way up to each hypernym."""
        found = {node: 0}
        for parent in taxonomy.parents_of(node):
            for above, length in ways(parent).items():
                found[above] = min(found.get(above, length + 1), length + 1)
        return found

    first, second = ways(a), ways(b)
    return min(
        (first[v] + second[v] for v in first.keys() & second.keys()),
        default=UNREACHABLE,
    )


@pytest.mark.parametrize("seed", range(8))
def test_distances_are_those_of_a_slow_search(seed):
    rng = np.random.default_rng(seed)
    taxonomy = random_taxonomy(rng, 40)
    nodes = rng.integers(0, 40, 30)
    expected = [[slow_distance(taxonomy, int(a), int(b)) for b in nodes] for a in nodes]
    assert_array_equal(PathRows(nodes, taxonomy).distances(0, len(nodes)), expected)


def test_without_a_common_hypernym_the_similarity_is_zero_and_there_is_no_height():
    nothing = np.zeros(3, np.int32)
    taxonomy = Taxonomy(
        np.array([1, 2]),
        ("a", "b"),
        np.zeros(2, np.uint8),
        nothing,
        np.array([], np.int32),
    )
    assert_array_equal(
        PathRows([0, 1], taxonomy).distances(0, 2), [[0, UNREACHABLE], [UNREACHABLE, 0]]
    )
    assert_array_equal(path_similarity([0, 1], taxonomy), np.eye(2))
    assert_array_equal(
        common_heights([0, 1, 0], taxonomy), [[0, -1, 0], [-1, 0, -1], [0, -1, 0]]
    )


def test_the_matrix_is_symmetric_within_its_range_and_one_on_the_diagonal():
    similarity = path_similarity(preset_nodes("imagenet1k"))
    assert_array_equal(similarity, similarity.T)
    assert_array_equal(np.diag(similarity), 1)
    assert similarity.min() > 0
    assert similarity.max() == 1


WORDS = {
    "n.01": ("dog", "cat", "car", "oak", "dog", "entity"),
    "v.01": (
        "banish",
        "buffet",
        "run",
        "eat",
        "banish",
        "be",
    ),  # which meet at a root that is simulated alone
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
    assert_array_equal(rows.distances(1, 4), rows.distances(0, 6)[1:4])
    assert_array_equal(
        rows.take([4, 2, 0]).block(0, 3), expected[np.ix_([4, 2, 0], [4, 2, 0])]
    )


@pytest.mark.parametrize("block", [1, 7, 60])
@pytest.mark.parametrize("part", ["noun", "verb"])
def test_blocks_of_rows_are_those_of_the_matrix(part, block):
    taxonomy = load(part)
    nodes = np.random.default_rng(0).integers(0, len(taxonomy.offsets), 60)
    rows = PathRows(nodes, taxonomy)
    found = np.vstack(
        [rows.block(start, min(start + block, 60)) for start in range(0, 60, block)]
    )
    assert_array_equal(found, path_similarity(nodes, taxonomy).astype(np.float32))


def slow_heights(above, labels):
    """Return the heights by the definition, from a function that gives a node's
    parents.
    """

    def up(node):
        return {node}.union(*(up(parent) for parent in above(node)))

    ups = [up(label) for label in labels]
    spanned = set().union(*ups)
    below = {
        node: [child for child in spanned if node in above(child)] for node in spanned
    }

    def height(node):
        return max((1 + height(child) for child in below[node]), default=0)

    heights = {node: height(node) for node in spanned}
    return [
        [
            min((heights[v] for v in first & second), default=NO_HYPERNYM)
            for second in ups
        ]
        for first in ups
    ]


@pytest.mark.parametrize("seed", range(8))
def test_heights_are_those_of_a_slow_search(seed):
    rng = np.random.default_rng(seed)
    taxonomy = random_taxonomy(rng, 25)
    nodes = rng.integers(0, 25, 12)
    assert_array_equal(
        common_heights(nodes, taxonomy),
        slow_heights(taxonomy.parents_of, [int(node) for node in nodes]),
    )
