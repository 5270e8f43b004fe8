"""What predictions say about pairs of classes, against SciPy and textbook formulas."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, multinomial

from dsi_cli.metrics import pair_confusions
from dsi_cli.metrics.pair_confusions import (
    asymmetry,
    mixture_ratios,
    told_apart,
    told_apart_interval,
    told_apart_z,
    wilson,
)


def random_counts(seed, size=7):
    generator = np.random.default_rng(seed)
    counts = generator.poisson(2.0, (size, size)).astype(float)
    return counts + np.diag(generator.poisson(20.0, size))


def proportions(counts, first, second):
    """Return the right predictions of both classes and their images, among those that
    are predicted as one of the two.
    """
    right = [counts[first, first], counts[second, second]]
    wrong = [counts[first, second], counts[second, first]]
    return right, np.add(right, wrong)


def test_told_apart_is_the_sum_of_two_recalls_minus_1():
    counts = np.array([[6.0, 2.0, 0.0], [4.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    apart = told_apart(counts)
    assert_allclose(apart[[0, 1], [1, 0]], 6 / 8 + 4 / 8 - 1)
    assert np.isnan(apart[2, 2])


def test_told_apart_z_is_that_of_two_proportions():
    counts = random_counts(0)
    z = told_apart_z(counts)
    for first, second in zip(*np.triu_indices(7, 1), strict=True):
        (right, other_right), (images, others) = proportions(counts, first, second)
        # The shares that are predicted as the first class.
        shares = right / images, 1 - other_right / others
        pooled = (shares[0] * images + shares[1] * others) / (images + others)
        error = np.sqrt(pooled * (1 - pooled) * (1 / images + 1 / others))
        assert_allclose(z[first, second], (shares[0] - shares[1]) / error)
    assert_allclose(z, z.T)
    assert not told_apart_z(np.zeros((3, 3))).any()


def test_told_apart_interval_is_newcombe_s_of_a_difference():
    counts = random_counts(1)
    (right, other_right), (images, others) = proportions(counts, 2, 5)
    right, images, other_right, others = map(int, (right, images, other_right, others))
    one = binomtest(right, images).proportion_ci(method="wilson")
    # The share of the images of class 5 that are predicted as class 2.
    other = binomtest(others - other_right, others).proportion_ci(method="wilson")
    first, second = right / images, 1 - other_right / others
    below = np.hypot(first - one.low, other.high - second)
    above = np.hypot(one.high - first, second - other.low)
    difference = first - second
    limits = np.array([0, -below, above]) + difference
    assert_allclose(
        told_apart_interval(counts, 2, 5),
        [images + others, *((1 + limits) / 2)],
        rtol=1e-6,
    )


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (3, 10), (40, 40)])
def test_wilson_is_scipy_s(successes, trials):
    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    expected = successes / trials, interval.low, interval.high
    assert_allclose(wilson(successes, trials), expected, rtol=1e-6, atol=1e-12)


def test_intervals_without_predictions_hold_everything():
    assert wilson(0, 0) == (0.5, 0.0, 1.0)
    images, share, low, high = told_apart_interval(np.zeros((2, 2)), 0, 1)
    assert (images, share) == (0, 0.5)
    assert low < 0.2
    assert high > 0.8


def test_asymmetry_is_nearly_the_root_of_mcnemar_s_statistic():
    counts = 1000.0 * random_counts(2)
    z = asymmetry(counts)
    assert_allclose(z, -z.T)
    lower, higher = counts[3, 1], counts[1, 3]
    mcnemar = (higher - lower) ** 2 / (higher + lower)
    assert z[1, 3] ** 2 == pytest.approx(mcnemar, rel=0.01)


def log_ratio(share, wrong, rows, label, other):
    """Return the logarithm of the ratio of the likelihood of a mixture to that of the
    row of the label alone.
    """
    shares = [np.delete(rows[one], label) for one in (label, other)]
    own, moved = (one / one.sum() for one in shares)
    images = wrong.sum()
    mixed = multinomial.logpmf(wrong, images, (1 - share) * own + share * moved)
    return mixed - multinomial.logpmf(wrong, images, own)


def test_mixture_ratios_are_those_of_the_likeliest_shares():
    test, train = random_counts(3), random_counts(4)
    train[2, [0, 5]] += 6, 15  # images of class 5 have the label 2
    rows = test + pair_confusions.SHRINKAGE * test.sum(axis=0) / test.sum()
    ratios = mixture_ratios(train, test)
    for label, other in zip(*np.nonzero(~np.eye(7, dtype=bool)), strict=True):
        known = np.delete(train[label], label), rows, label, other
        tried = [log_ratio(s, *known) for s in pair_confusions.MIXTURE_SHARES]
        expected = np.sqrt(2 * max(0.0, *tried))
        assert_allclose(ratios[label, other], expected, atol=1e-6)
        best = minimize_scalar(
            lambda share, known=known: -log_ratio(share, *known),
            bounds=(0, 1),
            method="bounded",
        )
        assert expected == pytest.approx(np.sqrt(2 * max(0.0, -best.fun)), abs=0.1)
    assert np.unravel_index(ratios.argmax(), ratios.shape) == (2, 5)
    assert not np.diag(ratios).any()


def test_mixture_ratios_without_predictions_are_0():
    none, counts = np.zeros((4, 4)), random_counts(5, 4)
    assert not mixture_ratios(none, counts).any()
    assert not mixture_ratios(counts, none).any()
