"""p-values: the third moment compared with all relabellings, tails with SciPy and with many relabellings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from dsi_cli.metrics import p_values, permutation_null
from dsi_cli.metrics.alignment import EXACT, alignments
from dsi_cli.metrics.p_values import ThirdMoments, skewness, upper_tail


def symmetric(classes, seed, power=1):
    values = np.random.default_rng(seed).normal(size=(classes, classes)) ** power
    return values + values.T


def centred(matrix):
    return permutation_null.centred_off_diagonal(matrix.copy())


@pytest.mark.parametrize("classes", [6, 7])
@pytest.mark.parametrize("is_other_symmetric", [True, False])
def test_skewness_is_that_of_all_relabellings(classes, is_other_symmetric):
    x, y = symmetric(classes, 0), symmetric(classes, 1, power=2)
    if not is_other_symmetric:
        y = np.random.default_rng(2).exponential(size=(classes, classes))
    sums = np.array(
        [(centred(x) * centred(y)[np.ix_(p, p)]).sum() for p in map(list, itertools.permutations(range(classes)))]
    )
    deviation = permutation_null.product_deviation(permutation_null.Moments.of(x), permutation_null.Moments.of(y))
    assert deviation == pytest.approx(sums.std())
    found = skewness(ThirdMoments.of(x), ThirdMoments.of(y), deviation)
    assert found == pytest.approx(stats.skew(sums), abs=1e-9)


@pytest.mark.parametrize("skew", [-0.8, -0.1, 1e-6, 0.05, 0.4, 1.5])
@pytest.mark.parametrize("z", [-3.0, -0.5, 0.0, 1.0, 3.0, 6.0])
def test_tail_is_scipys(skew, z):
    expected = stats.pearson3.sf(z, skew) if abs(skew) > 1e-4 else stats.norm.sf(z)
    assert upper_tail(z, skew) == pytest.approx(expected, rel=1e-6, abs=1e-300)


@pytest.mark.parametrize("seed", [0, 1])
def test_p_value_is_right_to_a_factor_of_1_2_down_to_one_in_a_thousand(seed):
    """A skewed statistic of 24 classes, compared with 200,000 relabellings."""
    x, y = np.exp(symmetric(24, seed) / 3), np.exp(symmetric(24, seed + 10) / 3)
    first, second = centred(x), centred(y)
    deviation = permutation_null.product_deviation(permutation_null.Moments.of(x), permutation_null.Moments.of(y))
    skew = skewness(ThirdMoments.of(x), ThirdMoments.of(y), deviation)
    rng = np.random.default_rng(seed)
    places = rng.permuted(np.tile(np.arange(24), (200_000, 1)), axis=1)
    chunks = (second[some[:, :, None], some[:, None, :]] for some in np.array_split(places, 200))
    sampled = np.concatenate([np.einsum("ij,pij->p", first, some) for some in chunks]) / deviation
    for share in (0.05, 0.01, 0.001):
        z = np.quantile(sampled, 1 - share)
        assert share / 1.3 < upper_tail(z, skew) < 1.3 * share, share


def test_alignments_of_symmetric_matrices_have_a_p_value_by_default(make_pair):
    a, b = make_pair("symmetric", 24)
    found = alignments(a, b, EXACT)
    assert found["cosine"].p_value == pytest.approx(found["pearson"].p_value)
    assert found["cosine"].p_value == pytest.approx(found["mse"].p_value)
    sampled = alignments(a, b, ["pearson"], permutations=4000)["pearson"].p_value
    assert found["pearson"].p_value == pytest.approx(sampled, abs=0.03)


@pytest.mark.parametrize(
    ("kind", "classes", "reason"),
    [("symmetric", 19, "of fewer than 20 classes"), ("asymmetric", 30, "of an asymmetric matrix")],
)
def test_alignments_whose_tail_is_not_known_have_a_p_value_from_permutations_alone(make_pair, kind, classes, reason):
    a, b = make_pair(kind, classes)
    entry = alignments(a, b, ["pearson"])["pearson"]
    assert entry.p_value is None
    assert f"a p-value {reason}" in entry.reason
    assert "needs --permutations" in entry.reason
    entry = alignments(a, b, ["pearson"], permutations=99)["pearson"]
    assert entry.p_value is not None
    assert entry.reason is None


def test_above_512_classes_the_skewness_is_neglected(monkeypatch, make_pair):
    monkeypatch.setattr(p_values, "MAX_SKEWED_CLASSES", 10)
    a, b = make_pair("symmetric", 24)
    entry = alignments(a, b, ["pearson"])["pearson"]
    assert entry.p_value == pytest.approx(stats.norm.sf(entry.z))
