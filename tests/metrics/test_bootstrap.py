"""The interval: the oracle's bootstrap draw for draw, and what it must hold on real data."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose

from dsi_cli.metrics import DEFAULT_MEASURES
from dsi_cli.metrics.alignment import alignments

ON_VALUES = ("cosine", "mae", "mse", "pearson", "spearman")


@pytest.mark.parametrize("measure", ON_VALUES)
@pytest.mark.parametrize("classes", [4, 5, 9, 25])
@pytest.mark.parametrize("kind", ["symmetric", "asymmetric", "tied", "tied-symmetric"])
def test_intervals_equal_the_oracles_draw_for_draw(make_pair, kind, classes, measure):
    a, b = make_pair(kind, classes)
    entry = alignments(a, b, [measure], draws=50, seed=classes)[measure]
    expected = oracles.bootstrap_interval(a, b, measure, 50, seed=classes)
    assert_allclose([entry.low, entry.high], expected, rtol=1e-8, atol=1e-10)


def test_one_symmetric_matrix_of_two_is_not_enough_to_halve_the_pairs(make_pair):
    (a, _), (_, b) = make_pair("symmetric", 9), make_pair("asymmetric", 9)
    for pair in ((a, b), (b, a)):
        entry = alignments(*pair, ["spearman"], draws=50)["spearman"]
        assert_allclose([entry.low, entry.high], oracles.bootstrap_interval(*pair, "spearman", 50, 0), rtol=1e-8)


@pytest.mark.parametrize("measure", ON_VALUES)
def test_200_draws_with_seed_0_by_default(make_pair, measure):
    a, b = make_pair("asymmetric", 8)
    entry = alignments(a, b, [measure])[measure]
    assert_allclose([entry.low, entry.high], oracles.bootstrap_interval(a, b, measure, 200, 0), rtol=1e-8)


@pytest.mark.parametrize("ordered", [False, True])
def test_ssims_interval_equals_the_oracles(make_pair, ordered):
    a, b = make_pair("asymmetric", 14)
    order = np.random.default_rng(11).permutation(14) if ordered else np.arange(14)
    entry = alignments(a, b, ["ssim"], order=order if ordered else None, draws=6, permutations=0)["ssim"]
    assert_allclose([entry.low, entry.high], oracles.bootstrap_ssim(a, b, order.tolist(), 6, 0), rtol=0, atol=1e-6)


def test_all_measures_see_the_same_draws(make_pair):
    a, b = make_pair("asymmetric", 14)
    together = alignments(a, b, DEFAULT_MEASURES, draws=10, seed=2)
    for name in DEFAULT_MEASURES:
        alone = alignments(a, b, [name], draws=10, seed=2)[name]
        assert together[name] == alone


def test_a_draw_without_variation_does_not_count():
    """Four classes of which two are left in many a draw: one symmetric value, and no correlation of it."""
    a = np.array([[1, 0.9, 0.1, 0.3], [0.9, 1, 0.7, 0.1], [0.1, 0.7, 1, 0.6], [0.3, 0.1, 0.6, 1]])
    b = np.array([[1, 0.3, 0.2, 0.9], [0.3, 1, 0.6, 0.7], [0.2, 0.6, 1, 0.1], [0.9, 0.7, 0.1, 1]])
    found = alignments(a, b, ON_VALUES, draws=300)
    for name in ON_VALUES:
        expected = oracles.bootstrap_interval(a, b, name, 300, 0)
        assert_allclose([found[name].low, found[name].high], expected, rtol=1e-8, err_msg=name)
    for name in ("pearson", "spearman"):
        assert -1 <= found[name].low <= found[name].high <= 1


def test_where_no_draw_counts_there_is_no_interval(make_pair):
    a, b = make_pair("symmetric", 4)
    seed = next(s for s in range(999) if len(set(np.random.default_rng(s).integers(0, 4, 4))) == 1)
    found = alignments(a, b, ON_VALUES, draws=1, seed=seed)
    for entry in found.values():
        assert (entry.low, entry.high) == (None, None)
        assert entry.reason == "no interval: no draws were asked for, or the measure exists in none"


@pytest.mark.parametrize("measure", ON_VALUES)
def test_identical_matrices_have_no_width(make_pair, measure):
    a, _ = make_pair("asymmetric", 12)
    entry = alignments(a, a, [measure])[measure]
    assert_allclose([entry.low, entry.high], entry.value, atol=1e-12)
    assert entry.high <= 1


@pytest.mark.parametrize("factor", [0.3, -0.3])
def test_rounding_takes_no_draw_out_of_range(factor):
    for seed in range(100):
        a = np.random.default_rng(seed).random((8, 8))
        found = alignments(a, factor * a + 0.7, ["mse", "pearson"], draws=1, seed=seed)
        assert found["mse"].low >= 0
        assert -1 <= found["pearson"].low <= found["pearson"].high <= 1


def test_draws_that_miss_the_one_high_pair_count(make_pair):
    """What is left of the scaled values is then some 1e-4, and varies all the same."""
    a, b = (matrix.astype(np.float64) for matrix in make_pair("asymmetric", 5))
    a[0, 1], b[3, 2] = 2e4, 3e4
    for name in ON_VALUES:
        entry = alignments(a, b, [name], draws=100)[name]
        assert_allclose([entry.low, entry.high], oracles.bootstrap_interval(a, b, name, 100, 0), rtol=1e-6, err_msg=name)


def test_intervals_hold_their_own_value_on_real_data(real_pair):
    a, b = real_pair
    for name, entry in alignments(a, b, permutations=0).items():
        assert entry.low < entry.value < entry.high, name
        assert entry.high - entry.low < 0.2, name
