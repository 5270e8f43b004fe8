"""Reliability over seeds, the corrected agreement, and their variances."""

import numpy as np
import pytest
from scipy import stats

from dsi_cli.metrics.differences import (
    CsmPair,
    Difference,
    alignment_estimate,
    difference_of_estimates,
    mean_difference,
)
from dsi_cli.metrics.reliability import SeedEstimate, joint_difference, seed_estimates


def seeds(number, classes=10, noise=0.7, seed=0):
    """Return the CSMs of some seeds, and a reference."""
    rng = np.random.default_rng(seed)

    def symmetric():
        matrix = rng.normal(size=(classes, classes))
        return matrix + matrix.T

    signal = symmetric()
    return (
        np.array([signal + noise * symmetric() for _ in range(number)]),
        signal + symmetric(),
    )


def slow(csms, reference):
    """Return agreement, reliability and corrected agreement by their definitions."""
    off = ~np.eye(len(reference), dtype=bool)
    values = [csm[off] for csm in csms]
    agreements = [np.corrcoef(x, reference[off])[0, 1] for x in values]
    between = [
        np.corrcoef(x, y)[0, 1] for at, x in enumerate(values) for y in values[:at]
    ]
    agreement, reliability = np.mean(agreements), np.mean(between)
    return {
        "agreement": agreement,
        "reliability": reliability,
        "corrected": agreement / np.sqrt(reliability),
    }


def squares(values):
    values = np.asarray(values)
    number = len(values)
    return (number - 1) / number * ((values - values.mean()) ** 2).sum()


def test_estimates_equal_the_definitions_and_slow_jackknives():
    csms, reference = seeds(4)
    found = seed_estimates(csms, reference)
    without_seed = [slow(np.delete(csms, s, 0), reference) for s in range(4)]
    kept = [np.ix_(*2 * [np.delete(np.arange(10), k)]) for k in range(10)]
    without_class = [slow([m[k] for m in csms], reference[k]) for k in kept]
    without_both = [
        [slow([m[k] for m in np.delete(csms, s, 0)], reference[k]) for k in kept]
        for s in range(4)
    ]
    for name, value in slow(csms, reference).items():
        estimate = found[name]
        assert estimate.value == pytest.approx(value, abs=1e-12)
        of_seeds = squares([one[name] for one in without_seed])
        of_classes = squares([one[name] for one in without_class])
        both = np.array([[one[name] for one in row] for row in without_both])
        own = both - [[one[name]] for one in without_seed]
        own = own - [one[name] for one in without_class]
        own = own - own.mean(axis=0) - own.mean(axis=1, keepdims=True) + own.mean()
        interaction = (3 / 4) * (9 / 10) * (own**2).sum()
        variances = estimate.variances()
        assert variances["seeds"].value == pytest.approx(of_seeds)
        of_classes -= min(estimate.pair_variance / 2, of_classes / 2)
        assert variances["classes"].value == pytest.approx(of_classes)
        of_pairs = squared(pair_residuals(csms, reference)[name])
        assert estimate.pair_variance == pytest.approx(of_pairs, rel=1e-6)
        own_pairs = [
            pair_residuals(np.delete(csms, seed, 0), reference)[name]
            for seed in range(4)
        ]
        own_noise = 3 / 4 * squared(own_pairs - np.mean(own_pairs, axis=0))
        interaction = max(interaction - own_noise, interaction / 2)
        jackknifed = squares([one[name] for one in without_class])
        of_classes = max(jackknifed - of_pairs, jackknifed / 2)
        joint = max(of_seeds + of_classes - interaction, of_seeds, of_classes)
        assert variances["both"].value == pytest.approx(joint)
        assert estimate.without_both == pytest.approx(both)


def test_joint_variance_of_a_mean_is_that_of_seeds_and_classes_without_their_noise():
    rng = np.random.default_rng(3)
    found = []
    for _ in range(400):
        seed, single = rng.normal(size=(6, 1)), 2.0 * rng.normal(size=8)
        values = seed + single + 3.0 * rng.normal(size=(6, 8))
        total, of_seed, of_class = values.sum(), values.sum(1), values.sum(0)
        both = total - of_seed[:, None] - of_class + values
        estimate = SeedEstimate(
            values.mean(), (total - of_seed) / 40, (total - of_class) / 42, both / 35
        )
        variances = estimate.variances()
        unclipped = variances["seeds"].value + variances["classes"].value
        residual = values - values.mean(0) - values.mean(1, keepdims=True)
        residual = residual + values.mean()
        noise = (residual**2).sum() / (5 * 7) / (6 * 8)
        assert variances["both"].value == pytest.approx(
            max(
                unclipped - noise,
                variances["seeds"].value,
                variances["classes"].value,
            )
        )
        found.append(unclipped - noise)
    assert np.mean(found) == pytest.approx(1 / 6 + 4 / 8 + 9 / 48, rel=0.05)


def test_corrected_agreement_does_not_depend_on_the_noise_of_seeds():
    for noise in (0.2, 0.6, 1.2):
        rng = np.random.default_rng(5)
        signal, reference = seeds(1, 60, noise=0.0, seed=9)
        signal = signal[0]
        drawn = rng.normal(size=(5, 60, 60))
        csms = signal + noise * (drawn + drawn.transpose(0, 2, 1))
        off = ~np.eye(60, dtype=bool)
        truth = np.corrcoef(signal[off], reference[off])[0, 1]
        found = seed_estimates(csms, reference)
        assert found["corrected"].value == pytest.approx(truth, abs=0.03)
        assert found["agreement"].value < truth


def test_two_seeds_have_no_interval_over_seeds_of_the_reliability():
    found = seed_estimates(*seeds(2))
    assert found["reliability"].interval("seeds") is None
    assert found["reliability"].interval("both") is None
    assert found["reliability"].interval("classes") is not None


def test_unrelated_seeds_have_no_corrected_agreement():
    rng = np.random.default_rng(0)
    csms = rng.normal(size=(3, 10, 10))
    csms[1] = -csms[0]
    csms[2] = 0.0 + rng.normal(size=(10, 10)) - csms[0]
    found = seed_estimates(csms, rng.normal(size=(10, 10)))
    assert found["reliability"].value < 0
    assert np.isnan(found["corrected"].value)
    assert found["corrected"].interval() is None


def test_intervals_over_clusters_are_those_of_the_clusters():
    csms, reference = seeds(3)
    clusters = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    found = seed_estimates(csms, reference, clusters)["agreement"]
    kept = [np.flatnonzero(clusters != cluster) for cluster in range(5)]
    expected = [
        slow([m[np.ix_(k, k)] for m in csms], reference[np.ix_(k, k)])["agreement"]
        for k in kept
    ]
    assert found.without_cluster == pytest.approx(expected)
    assert found.variances()["classes"].freedom == 4


def test_joint_difference_is_that_of_means_over_seeds_and_units():
    """The values are plain means, whose effects are known."""
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(4, 30)), 0.5 + rng.normal(size=(3, 30))
    first, second = first + rng.normal(size=30), second + rng.normal(size=30)

    def variance(x, y):
        return (x - y).var() / 29

    def difference(x, y):
        value = x.mean() - y.mean()
        return Difference(value=value, error=variance(x, y) ** 0.5, freedom=29)

    welch = mean_difference(first.mean(axis=1), second.mean(axis=1))
    found = joint_difference(first, second, difference, welch)
    of_units = variance(first.mean(axis=0), second.mean(axis=0))
    noise = 0.0
    for side in (first, second):
        own = side - side.mean(axis=0)
        own = own - own.mean(axis=1, keepdims=True)
        noise += (own**2).sum() / 30 / 29 / len(side) / (len(side) - 1)
    joint = max(welch.error**2 + of_units - noise, welch.error**2, of_units)
    assert found.error == pytest.approx(joint**0.5)
    assert found.value == welch.value
    total = welch.error**2 + of_units
    squares = welch.error**4 / welch.freedom + of_units**2 / 29
    assert found.freedom == pytest.approx(total**2 / squares)


@pytest.mark.parametrize(("second", "error"), [([0.2], 0.1), ([0.2, 0.4], None)])
def test_joint_difference_without_an_error_is_that_over_seeds(second, error):
    first = [0.1, 0.2]
    welch = mean_difference(first, second)
    found = joint_difference(first, second, lambda *_: Difference(error=error), welch)
    assert found is welch


@pytest.mark.parametrize("measure", ["pearson", "spearman"])
def test_joint_difference_counts_what_is_due_to_single_pairs_of_classes_once(measure):
    sides = [seeds(number, 24, seed=number) for number in (3, 4)]
    # Effects of classes, so that single pairs have less than half of each variance.
    rng = np.random.default_rng(5)
    for csms, reference in sides:
        for csm in (*csms, reference):
            of_class = 4.0 * rng.normal(size=24)
            csm += of_class + of_class[:, None]
    kept = np.arange(24)

    def difference(*pairs):
        estimates = [
            alignment_estimate(pair, kept, measure, is_repeated=True) for pair in pairs
        ]
        return difference_of_estimates(*estimates)

    first, second = ([CsmPair(csm, side[1]) for csm in side[0]] for side in sides)
    agreements = [[excess(pair, measure) for pair in side] for side in (first, second)]
    welch = mean_difference(*agreements)
    found = joint_difference(first, second, difference, welch)

    # the jackknife of all trainings, and the fit of the effects of pairs
    without = [
        [[excess(without_class(pair, k), "pearson") for k in kept] for pair in side]
        for side in (ranked(first, measure), ranked(second, measure))
    ]
    effects = [[pair_effects(p) for p in ranked(s, measure)] for s in (first, second)]
    of_units = unit_variance(
        np.mean(without[0], axis=0) - np.mean(without[1], axis=0),
        np.mean(effects[0], axis=0) - np.mean(effects[1], axis=0),
    )
    noise = 0.0
    for jackknifed, of_pairs in zip(without, effects, strict=True):
        number = len(jackknifed)
        own = [
            unit_variance(one - np.mean(jackknifed, axis=0), pairs)
            for one, pairs in zip(
                jackknifed, of_pairs - np.mean(of_pairs, axis=0), strict=True
            )
        ]
        noise += np.sum(own) / number / (number - 1)
    joint = max(welch.error**2 + of_units - noise, welch.error**2, of_units)
    assert found.error == pytest.approx(joint**0.5)


def ranked(pairs, measure):
    """Return pairs of matrices, for Spearman with the mid-ranks of their values."""
    if measure == "pearson":
        return pairs
    off = ~np.eye(len(pairs[0].a), dtype=bool)
    found = []
    for pair in pairs:
        ranks = np.zeros((2, *off.shape))
        for rank, csm in zip(ranks, (pair.a, pair.b), strict=True):
            rank[off] = stats.rankdata(csm[off])
        found.append(CsmPair(*ranks))
    return found


def excess(pair, measure):
    off = ~np.eye(len(pair.a), dtype=bool)
    function = stats.pearsonr if measure == "pearson" else stats.spearmanr
    return function(pair.a[off], pair.b[off]).statistic


def without_class(pair, index):
    square = np.ix_(*2 * [np.delete(np.arange(len(pair.a)), index)])
    return CsmPair(pair.a[square], pair.b[square])


def pair_effects(pair):
    """Return what each pair of classes adds to the correlation of two matrices."""
    upper = np.triu_indices(len(pair.a), 1)
    x, y = (stats.zscore(csm[upper]) for csm in (pair.a, pair.b))
    return (x * y - np.mean(x * y) / 2 * (x**2 + y**2)) / len(x)


def pair_residuals(csms, reference):
    """Return for each statistic what pairs of classes add beyond the effects of their
    classes.
    """
    with_reference = [pair_effects(CsmPair(csm, reference)) for csm in csms]
    with_seeds = [
        pair_effects(CsmPair(x, y)) for at, x in enumerate(csms) for y in csms[:at]
    ]
    agreement, reliability = (
        np.mean(with_reference, axis=0),
        np.mean(with_seeds, axis=0),
    )
    values = slow(csms, reference)
    root = np.sqrt(values["reliability"])
    corrected = agreement / root
    corrected -= values["agreement"] / 2 / root**3 * reliability
    effects = {"agreement": agreement, "reliability": reliability}
    effects["corrected"] = corrected
    return {name: residual_of(one, len(reference)) for name, one in effects.items()}


def squared(values):
    return (np.asarray(values) ** 2).sum()


def residual_of(effects, classes):
    """Return the residuals of effects of pairs by least squares, whose squared sum is
    their variance.
    """
    pairs = len(effects)
    design = np.zeros((pairs, classes + 1))
    design[:, -1] = 1.0
    for row, both in enumerate(zip(*np.triu_indices(classes, 1), strict=True)):
        design[row, [*both]] = 1.0
    residual = effects - design @ np.linalg.lstsq(design, effects, rcond=None)[0]
    return residual * np.sqrt(pairs / (pairs - classes))


def unit_variance(without, effects):
    """Return the jackknife's variance less that of the residuals of the effects of
    pairs from effects of classes by least squares.
    """
    of_pairs = squared(residual_of(effects, len(without)))
    assert of_pairs < squares(without) / 2
    return squares(without) - of_pairs
