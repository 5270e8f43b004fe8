"""The interval over classes, compared with a slow loop that leaves each class out, and
by how often it holds the truth.
"""

import numpy as np
import pytest
from helpers import oracles
from numpy.testing import assert_allclose

from dsi_cli.metrics.alignment import alignments
from dsi_cli.metrics.jackknife import MEASURES


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("classes", [5, 9, 25])
@pytest.mark.parametrize("kind", ["symmetric", "asymmetric", "tied", "tied-symmetric"])
def test_interval_equals_the_oracles(make_pair, kind, classes, measure):
    a, b = make_pair(kind, classes)
    entry = alignments(a, b, [measure])[measure]
    assert_allclose(
        [entry.low, entry.high],
        oracles.jackknife_interval(a, b, measure),
        rtol=1e-8,
        atol=1e-9,
    )


@pytest.mark.parametrize("measure", MEASURES)
def test_interval_of_identical_matrices_has_no_width(make_pair, measure):
    a, _ = make_pair("asymmetric", 12)
    entry = alignments(a, a, [measure])[measure]
    assert_allclose([entry.low, entry.high], 1.0, atol=1e-12)
    assert entry.high <= 1


def test_interval_does_not_exist_if_a_matrix_is_constant_without_one_class(make_pair):
    a, b = make_pair("symmetric", 6)
    a = np.full((6, 6), 0.25)
    a[0, 1:] = a[1:, 0] = [0.1, 0.2, 0.3, 0.4, 0.5]
    entry = alignments(a, b, ["pearson"])["pearson"]
    assert (entry.low, entry.high) == (None, None)
    assert "without one of the classes a matrix is constant" in entry.reason


def test_interval_holds_its_own_value_on_real_data(real_pair):
    a, b = real_pair
    for name, entry in alignments(a, b, MEASURES, permutations=0).items():
        assert entry.low < entry.excess < entry.high, name
        assert entry.high - entry.low < 0.35, name


@pytest.mark.parametrize("classes", [20, 60])
def test_interval_covers_the_value_of_all_classes(classes):
    """Two similarities that share one of their two sources, over 600 classes of which
    some are drawn.
    """
    rng = np.random.default_rng(0)
    shared, own, other = (rng.normal(size=(600, 12)) for _ in range(3))
    a, b = (np.corrcoef(np.hstack([shared, one])) for one in (own, other))
    truth = alignments(a, b, ["pearson"])["pearson"].value
    trials = 300
    held = 0
    for _ in range(trials):
        kept = rng.choice(600, classes, replace=False)
        entry = alignments(
            *(matrix[np.ix_(kept, kept)] for matrix in (a, b)), ["pearson"]
        )["pearson"]
        held += entry.low <= truth <= entry.high
    assert 0.92 <= held / trials <= 1.0
