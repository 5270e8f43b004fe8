"""Differences between two networks, against slow loops over drawn classes and SciPy's own intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import oracles
from helpers.errors import raises
from numpy.testing import assert_allclose
from scipy import stats

from dsi_cli.metrics import jackknife
from dsi_cli.metrics.alignment import alignments
from dsi_cli.metrics.differences import (
    CsmPair,
    Difference,
    alignment_difference,
    idm_difference,
    max_wsi_difference,
    mean_difference,
)
from dsi_cli.metrics.idm import idm
from dsi_cli.metrics.wsi import max_wsi


@pytest.fixture
def networks(make_pair):
    """Return ``networks(classes)``: the CSMs of two networks and a reference of the same classes."""

    def made(classes=12, kind="symmetric"):
        (a, reference), (b, _) = make_pair("symmetric", classes, 0), make_pair(kind, classes, 1)
        return a, b, reference

    return made


def slow_alignment(a, b, reference, measure):
    """Return the interval of a difference: each class left out in turn, and the spread of the differences."""

    def excess(csm, kept):
        first, second = (csm[np.ix_(kept, kept)], reference[np.ix_(kept, kept)])
        return alignments(first, second, [measure])[measure].excess

    count = len(a)
    whole = excess(a, range(count)) - excess(b, range(count))
    without = [[k for k in range(count) if k != left] for left in range(count)]
    found = [excess(a, kept) - excess(b, kept) for kept in without]
    error = math.sqrt((count - 1) / count * sum((one - np.mean(found)) ** 2 for one in found))
    half = stats.t.ppf(0.975, count - 1) * error
    return whole - half, whole + half


def slow_max_wsi(csm, drawn, q):
    rows = []
    for a, i in enumerate(drawn):
        values = np.array([csm[i, j] for b, j in enumerate(drawn) if a != b and i != j], dtype=np.float64)
        rows.append(values[values >= np.quantile(values, q)].mean())
    return float(np.mean(rows))


@pytest.mark.parametrize("measure", ["cosine", "pearson"])
def test_an_alignment_difference_is_that_of_a_slow_loop(networks, measure):
    a, b, reference = networks(9)
    found = alignment_difference(CsmPair(a, reference), CsmPair(b, reference), measure)
    for value, csm in ((found.first, a), (found.second, b)):
        assert value == pytest.approx(alignments(csm, reference, [measure], draws=0)[measure].excess, abs=1e-12)
    assert found.value == found.first - found.second
    assert_allclose([found.low, found.high], slow_alignment(a, b, reference, measure), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", ["symmetric", "tied-symmetric", "asymmetric"])
@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.95, 1.0])
def test_a_wsi_difference_is_that_of_a_slow_loop(networks, kind, quantile):
    a, b, _ = networks(11, kind)
    found = max_wsi_difference(a, b, quantile, draws=25, seed=4)
    assert (found.first, found.second) == (max_wsi(a, quantile), max_wsi(b, quantile))
    rng = np.random.default_rng(4)
    draws = [rng.integers(0, 11, 11).tolist() for _ in range(25)]
    slow = np.array([slow_max_wsi(a, drawn, quantile) - slow_max_wsi(b, drawn, quantile) for drawn in draws])
    expected = np.percentile(slow, [2.5, 97.5]) - slow.mean() + found.value
    assert_allclose([found.low, found.high], expected, rtol=1e-9, atol=1e-12)


def counts_of(classes, mistakes, seed):
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(mistakes, rng.dirichlet(np.ones(classes * classes) / 3)).reshape(classes, classes)
    return counts + 5 * np.eye(classes, dtype=int)


def test_an_idm_difference_is_what_the_variances_of_the_ranks_give(networks):
    a, b, _ = networks(12)
    first, second = (counts_of(12, 600, 0), a), (counts_of(12, 900, 1), b)
    found = idm_difference(first, second, draws=20_000)
    alone = [idm(*one)["errors"] for one in (first, second)]
    assert (found.first, found.second) == (alone[0].value, alone[1].value)
    half = math.hypot(*((one.high - one.low) / 2 for one in alone))
    assert_allclose([found.low, found.high], [found.value - half, found.value + half], atol=0.06 * half)


def test_a_class_without_a_sample_or_synset_plays_no_part_in_an_idm(networks):
    a, b, _ = networks(12)
    a[3, :] = a[:, 3] = np.nan
    counts = counts_of(12, 600, 0)
    counts[5] = 0
    kept = [i for i in range(12) if i not in (3, 5)]
    found = idm_difference((counts, a), (counts, b), draws=50)
    assert found.first == idm(counts[np.ix_(kept, kept)], a[np.ix_(kept, kept)])["errors"].value
    again = idm_difference((counts[np.ix_(kept, kept)], a[np.ix_(kept, kept)]), (counts, b), draws=50)
    assert found == again


def test_means_of_repetitions_have_welchs_interval():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 0.1, 5), rng.normal(0.4, 0.02, 3)
    found = mean_difference(a.tolist(), b.tolist())
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert_allclose([found.low, found.high], [expected.low, expected.high])
    assert_allclose([found.first, found.second, found.value], [a.mean(), b.mean(), a.mean() - b.mean()])


def test_repetitions_that_do_not_vary_have_no_width():
    assert mean_difference([0.5, 0.5], [0.5, 0.5]) == Difference(0.5, 0.5, 0.0, 0.0, 0.0)
    assert mean_difference([0.5, 0.5], [0.25, 0.25]).is_real


def test_one_repetition_has_no_interval():
    found = mean_difference([0.5], [0.25, 0.75])
    assert (found.value, found.low, found.is_real) == (0.0, None, None)
    assert found.reason == "an interval over repetitions needs two or more of each"
    assert mean_difference([], [0.5]).reason == "no repetition has a value"


@pytest.mark.parametrize("measure", jackknife.MEASURES)
def test_a_network_does_not_differ_from_itself(networks, measure):
    a, _, reference = networks()
    found = alignment_difference(CsmPair(a, reference), CsmPair(a.copy(), reference), measure)
    assert (found.value, found.low, found.high, found.is_real) == (0.0, 0.0, 0.0, False)
    found = max_wsi_difference(a, a.copy())
    assert (found.value, found.low, found.high, found.is_real) == (0.0, 0.0, 0.0, False)
    found = idm_difference((counts_of(12, 500, 0), a), (counts_of(12, 500, 0), a))
    assert found.value == 0.0
    assert found.low < 0 < found.high
    assert found.is_real is False


def test_the_other_way_round_the_sign_changes(networks):
    a, b, reference = networks()
    for one, other in (
        [alignment_difference(CsmPair(x, reference), CsmPair(y, reference)) for x, y in ((a, b), (b, a))],
        [max_wsi_difference(x, y) for x, y in ((a, b), (b, a))],
    ):
        assert_allclose([one.value, one.low, one.high], [-other.value, -other.high, -other.low], atol=1e-12)


def test_the_order_of_classes_changes_no_value(networks):
    a, b, reference = networks()
    order = np.random.default_rng(5).permutation(12)
    square = np.ix_(order, order)
    before = alignment_difference(CsmPair(a, reference), CsmPair(b, reference))
    after = alignment_difference(CsmPair(a[square], reference[square]), CsmPair(b[square], reference[square]))
    assert after.value == pytest.approx(before.value, abs=1e-12)
    assert max_wsi_difference(a[square], b[square]).value == pytest.approx(max_wsi_difference(a, b).value, abs=1e-12)


def test_a_class_that_one_matrix_lacks_plays_no_part(networks):
    a, b, reference = networks()
    lacking = a.copy()
    lacking[[2, 7], :] = lacking[:, [2, 7]] = np.nan
    kept = np.ix_(*[[i for i in range(12) if i not in (2, 7)]] * 2)
    for sides in ((lacking, reference, b, reference), (b, lacking, b, reference)):
        found = alignment_difference(CsmPair(*sides[:2]), CsmPair(*sides[2:]))
        small = [matrix[kept] for matrix in sides]
        assert found == alignment_difference(CsmPair(*small[:2]), CsmPair(*small[2:]))


def test_a_correlation_is_divided_by_the_root_of_its_reliability(networks):
    a, b, reference = networks()
    plain = alignment_difference(CsmPair(a, reference), CsmPair(a, reference), "pearson")
    found = alignment_difference(CsmPair(a, reference, 0.25), CsmPair(a, reference, 0.64), "pearson")
    assert found.first == pytest.approx(plain.first / 0.5)
    assert found.second == pytest.approx(plain.first / 0.8)
    assert found.low <= found.value <= found.high
    assert b is not a


def test_why_there_is_no_difference(networks):
    a, b, reference = networks()
    few = alignment_difference(CsmPair(a[:3, :3], reference[:3, :3]), CsmPair(b[:3, :3], reference[:3, :3]))
    assert few.reason == "3 classes in all matrices: a difference needs 4 or more"
    flat = alignment_difference(CsmPair(np.full_like(a, 0.5), reference), CsmPair(b, reference))
    assert flat.reason.startswith("constant matrix")
    none = idm_difference((np.eye(12, dtype=int), a), (counts_of(12, 9, 0), b))
    assert (none.first, none.reason, none.is_real) == (None, "no mistake", None)
    assert none.second is not None
    undrawn = max_wsi_difference(a, b, draws=0)
    assert undrawn.value is not None
    assert (undrawn.is_real, undrawn.reason) == (None, "no interval: no draws, or the metric exists in none")


def test_difference_of_an_unknown_measure_or_of_different_sizes_raises(networks):
    a, b, reference = networks()
    with raises("unknown-measure", measure="ssim"):
        alignment_difference(CsmPair(a, reference), CsmPair(b, reference), "ssim")
    with raises("different-sizes"):
        alignment_difference(CsmPair(a, reference), CsmPair(b[:5, :5], reference))
    with raises("different-sizes"):
        max_wsi_difference(a, b[:5, :5])


@pytest.mark.parametrize(
    ("low", "high", "real"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.0, False)]
)
def test_is_real_is_true_if_the_interval_excludes_0(low, high, real):
    assert Difference(1.0, 1.0, 0.0, low, high).is_real is real


def test_unrelated_networks_differ_by_chance_about_one_time_in_twenty():
    """Two networks have the same similarities up to independent noise, so few intervals exclude 0."""
    real = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        common = rng.normal(size=(24, 16))
        reference = oracles.ncsm(common + 0.8 * rng.normal(size=common.shape))
        a, b = (oracles.ncsm(common + 0.8 * rng.normal(size=common.shape)) for _ in range(2))
        real += alignment_difference(CsmPair(a, reference), CsmPair(b, reference), "pearson").is_real
    assert real <= 12
