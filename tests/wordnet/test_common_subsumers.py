"""Heights of lowest common hypernyms against a slow search on random taxonomies."""

import numpy as np
import pytest
from helpers.taxonomies import random_taxonomy
from numpy.testing import assert_array_equal

from dsi_cli.wordnet.database.taxonomy import Taxonomy
from dsi_cli.wordnet.similarity.path_similarity import NO_HYPERNYM, common_heights


def slow_heights(above, labels):
    """Return the heights by the definition, from a function that gives a node's parents."""

    def up(node):
        return {node}.union(*(up(parent) for parent in above(node)))

    ups = [up(label) for label in labels]
    spanned = set().union(*ups)
    below = {node: [child for child in spanned if node in above(child)] for node in spanned}

    def height(node):
        return max((1 + height(child) for child in below[node]), default=0)

    heights = {node: height(node) for node in spanned}
    return [[min((heights[v] for v in first & second), default=NO_HYPERNYM) for second in ups] for first in ups]


@pytest.mark.parametrize("seed", range(8))
def test_heights_are_those_of_a_slow_search(seed):
    rng = np.random.default_rng(seed)
    taxonomy = random_taxonomy(rng, 25)
    nodes = rng.integers(0, 25, 12)
    assert_array_equal(common_heights(nodes, taxonomy), slow_heights(taxonomy.parents_of, [int(node) for node in nodes]))


def test_without_a_common_hypernym_there_is_no_height():
    nothing = np.zeros(3, np.int32)
    taxonomy = Taxonomy(np.array([1, 2]), ("a", "b"), np.zeros(2, np.uint8), nothing, np.array([], np.int32))
    assert_array_equal(common_heights([0, 1, 0], taxonomy), [[0, -1, 0], [-1, 0, -1], [0, -1, 0]])
