"""How far classes lie from each other."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dsi_cli.metrics.idm import idm
from dsi_cli.queries.matrices import ClassDistance, ranks_among_known


def test_farness_is_the_mean_of_what_exists():
    nan = np.nan
    rank, wordnet_rank = np.array([[nan, 1.0], [3.0, nan]]), np.array([[nan, nan], [2.0, nan]])
    near = ClassDistance("ncsm", rank, 4, wordnet_rank, wordnet_rank, 2)
    assert_array_equal(near.farness, [[nan, 0.25], [(0.75 + 1.0) / 2, nan]])
    assert near.pair(0, 1) == {"rank": 1.0, "wordnet_similarity": None, "wordnet_rank": None}


@pytest.mark.parametrize("empty", [False, True])
def test_ranks_are_the_idms_where_each_class_has_a_sample(empty):
    rng = np.random.default_rng(0)
    counts, csm = rng.integers(1, 5, (6, 6)), rng.random((6, 6))
    np.fill_diagonal(csm, 1.0)
    if empty:
        counts[2] = 0
    ranks, furthest = ranks_among_known(csm)
    mean = (counts * np.nan_to_num(ranks)).sum() / counts.sum()
    assert (1 - mean / furthest == pytest.approx(idm(counts, csm)["all"].value)) is not empty
    assert np.isfinite(ranks[0, 2])
