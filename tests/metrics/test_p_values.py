"""p-values: the third and fourth moments compared with all relabellings, tails with
SciPy and with many relabellings.
"""

import itertools

import numpy as np
import pytest
from scipy import stats

from dsi_cli.metrics import p_values, permutation_null
from dsi_cli.metrics.alignment import alignments
from dsi_cli.metrics.idm import idm
from dsi_cli.metrics.measures import EXACT
from dsi_cli.metrics.p_values import (
    RelabelledMatrix,
    excess_kurtosis,
    p_value,
    skewness,
    upper_tail,
)


def symmetric(classes, seed, power=1):
    values = np.random.default_rng(seed).normal(size=(classes, classes)) ** power
    return values + values.T


def asymmetric(classes, seed):
    return np.random.default_rng(seed).exponential(size=(classes, classes))


def mistakes(classes, columns, seed):
    """Return counts of mistakes in the first columns alone."""
    counts = (
        np.random.default_rng(seed).poisson(1.0, size=(classes, classes)).astype(float)
    )
    counts[:, columns:] = 0
    np.fill_diagonal(counts, 0)
    return counts


def sums_of(x, y, orders):
    """Return S for each relabelling, as deviations from the mean."""
    x, y = (permutation_null.centred_off_diagonal(matrix.copy()) for matrix in (x, y))
    row, column = np.nonzero(x)
    batches = np.array_split(np.asarray(orders), 1 + len(orders) // 2000)
    return np.concatenate(
        [y[batch[:, row], batch[:, column]] @ x[row, column] for batch in batches]
    )


@pytest.mark.parametrize("classes", [6, 7])
@pytest.mark.parametrize("make", [symmetric, asymmetric])
def test_skewness_is_that_of_all_relabellings(classes, make):
    x, y = make(classes, 0), asymmetric(classes, 1)
    sums = sums_of(x, y, list(itertools.permutations(range(classes))))
    assert permutation_null.product_deviation(
        *map(permutation_null.Moments.of, (x, y))
    ) == pytest.approx(sums.std())
    assert skewness(RelabelledMatrix(x), RelabelledMatrix(y)) == pytest.approx(
        stats.skew(sums), abs=1e-9
    )


@pytest.mark.parametrize("make", [symmetric, asymmetric])
def test_excess_kurtosis_is_that_of_all_relabellings(make):
    x, y = make(8, 0), symmetric(8, 1)
    sums = sums_of(x, y, list(itertools.permutations(range(8))))
    assert excess_kurtosis(RelabelledMatrix(x), RelabelledMatrix(y)) == pytest.approx(
        stats.kurtosis(sums), abs=1e-9
    )


def test_excess_kurtosis_of_two_asymmetric_matrices_is_none():
    assert (
        excess_kurtosis(
            RelabelledMatrix(asymmetric(9, 0)), RelabelledMatrix(asymmetric(9, 1))
        )
        is None
    )


@pytest.mark.parametrize(
    "distribution", [stats.logistic(), stats.gumbel_r(), stats.exponnorm(1.0)]
)
@pytest.mark.parametrize("z", [-2.0, -0.5, 0.5, 1.0, 2.0, 3.0])
def test_tail_with_kurtosis_is_near_that_of_distributions_with_these_moments(
    distribution, z
):
    mean, variance, skew, kurtosis = distribution.stats("mvsk")
    assert upper_tail(z, float(skew), float(kurtosis)) == pytest.approx(
        distribution.sf(mean + z * variance**0.5), rel=0.13
    )


@pytest.mark.parametrize("skew", [-0.8, -0.1, 1e-6, 0.05, 0.4, 1.5])
@pytest.mark.parametrize("z", [-3.0, 0.0, 3.0, 6.0])
def test_pearson_3_tail_equals_scipy(skew, z):
    expected = stats.pearson3.sf(z, skew) if abs(skew) > 1e-4 else stats.norm.sf(z)
    assert upper_tail(z, skew) == pytest.approx(expected, rel=1e-5, abs=1e-300)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.exp(symmetric(24, 0) / 3), np.exp(symmetric(24, 10) / 3)),
        (mistakes(30, 30, 1), asymmetric(30, 2)),
        (mistakes(30, 2, 1), asymmetric(30, 2)),  # too few columns for a formula
        (symmetric(9, 0), symmetric(9, 1)),  # too few classes for a formula
    ],
)
def test_p_value_agrees_with_many_relabellings_down_to_one_in_a_thousand(x, y):
    classes = len(x)
    orders = np.random.default_rng(0).permuted(
        np.tile(np.arange(classes), (40_000, 1)), axis=1
    )
    sampled = sums_of(x, y, orders)
    for share in (0.3, 0.01, 0.001):
        order = orders[np.argsort(sampled)[-int(share * len(orders))]]
        relabelled = RelabelledMatrix(y[np.ix_(order, order)])
        z = np.quantile(sampled, 1 - share) / sampled.std()
        assert (
            share / 1.5 < p_value(RelabelledMatrix(x), relabelled, z) < 1.5 * share
        ), share


def test_p_value_of_few_classes_is_the_share_of_all_relabellings():
    x, y = asymmetric(5, 0), asymmetric(5, 1)
    sums = sums_of(x, y, list(itertools.permutations(range(5))))
    assert p_value(RelabelledMatrix(x), RelabelledMatrix(y), 0.0) == np.mean(
        sums >= sums[0] - 1e-9
    )


def test_above_512_classes_the_skewness_far_from_chance_is_neglected(monkeypatch):
    monkeypatch.setattr(p_values, "MAX_SKEWED_CLASSES", 10)
    x, y = RelabelledMatrix(symmetric(40, 0)), RelabelledMatrix(symmetric(40, 1))
    assert p_value(x, y, 8.5) == stats.norm.sf(8.5)
    assert p_value(x, y, 3.0) == pytest.approx(
        upper_tail(3.0, skewness(x, y), excess_kurtosis(x, y))
    )


@pytest.mark.parametrize(
    ("kind", "classes"), [("symmetric", 24), ("symmetric", 12), ("asymmetric", 30)]
)
def test_alignments_have_a_p_value_by_default(make_pair, kind, classes):
    a, b = make_pair(kind, classes)
    found = alignments(a, b, EXACT)
    assert found["cosine"].p_value == found["pearson"].p_value == found["mse"].p_value
    sampled = alignments(a, b, ["pearson"], permutations=1000)["pearson"].p_value
    assert found["pearson"].p_value == pytest.approx(sampled, abs=0.03)
    few, default = (
        alignments(a, a, permutations=number)["pearson"].p_value for number in (5, None)
    )
    assert few == default < 0.001


def test_p_value_of_few_classes_without_relabellings_has_the_reason(make_pair):
    entry = alignments(*make_pair("symmetric", 12), ["pearson"], permutations=0)[
        "pearson"
    ]
    assert (entry.p_value, "needs random relabellings" in entry.reason) == (None, True)


@pytest.mark.parametrize("columns", [40, 2])
def test_idm_p_value_is_the_share_of_relabellings_with_a_larger_idm(columns):
    counts = (mistakes(40, columns, 3) + 5 * np.eye(40)).astype(int)
    csm = np.corrcoef(np.random.default_rng(4).normal(size=(40, 12)))
    found = idm(counts, csm)
    assert found["all"].p_value == found["errors"].p_value
    rng = np.random.default_rng(0)
    for variant in ("errors", "macro"):
        orders = [rng.permutation(40) for _ in range(200)]
        values = [
            idm(counts, csm[np.ix_(p, p)], may_draw=False)[variant].value
            for p in orders
        ]
        assert found[variant].p_value == pytest.approx(
            np.mean(np.array(values) >= found[variant].value), abs=0.1
        )
    if columns == 2:
        assert idm(counts, csm, may_draw=False)["errors"].p_value is None
