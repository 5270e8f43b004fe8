"""Differences between two networks, against slow loops over drawn classes and SciPy's
own intervals.
"""

import math

import numpy as np
import pytest
from helpers import oracles
from numpy.testing import assert_allclose
from scipy import stats

from dsi_cli.metrics.alignment import alignments
from dsi_cli.metrics.differences import (
    CsmPair,
    Difference,
    LabelledPredictions,
    alignment_difference,
    difference_of_means,
    holm,
    idm_difference,
    max_wsi_difference,
    mean_accuracy,
    mean_difference,
)
from dsi_cli.metrics.idm import idm
from dsi_cli.metrics.wsi import max_wsi


def accuracy_difference(first, second):
    return difference_of_means(mean_accuracy(first), mean_accuracy(second))


@pytest.fixture
def networks(make_pair):
    """Return ``networks(classes)``: the CSMs of two networks and a reference of the
    same classes.
    """

    def made(classes=12, kind="symmetric"):
        (a, reference), (b, _) = (
            make_pair("symmetric", classes, 0),
            make_pair(kind, classes, 1),
        )
        return a, b, reference

    return made


def slow_alignment(a, b, reference, measure):
    """Return the interval of a difference: each class left out in turn, and the spread
    of the differences.
    """

    def excess(csm, kept):
        first, second = (csm[np.ix_(kept, kept)], reference[np.ix_(kept, kept)])
        return alignments(first, second, [measure])[measure].excess

    count = len(a)
    whole = excess(a, range(count)) - excess(b, range(count))
    without = [[k for k in range(count) if k != left] for left in range(count)]
    found = [excess(a, kept) - excess(b, kept) for kept in without]
    error = math.sqrt(
        (count - 1) / count * sum((one - np.mean(found)) ** 2 for one in found)
    )
    half = stats.t.ppf(0.975, count - 1) * error
    return whole - half, whole + half


@pytest.mark.parametrize("measure", ["cosine", "pearson"])
def test_an_alignment_difference_is_that_of_a_slow_loop(networks, measure):
    a, b, reference = networks(9)
    found = alignment_difference(CsmPair(a, reference), CsmPair(b, reference), measure)
    for value, csm in ((found.first, a), (found.second, b)):
        assert value == pytest.approx(
            alignments(csm, reference, [measure], draws=0)[measure].excess, abs=1e-12
        )
    assert found.value == found.first - found.second
    assert_allclose(
        [found.low, found.high],
        slow_alignment(a, b, reference, measure),
        rtol=1e-8,
        atol=1e-10,
    )


@pytest.mark.parametrize("kind", ["symmetric", "tied-symmetric", "asymmetric"])
@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.9, 0.95, 1.0])
def test_a_wsi_difference_is_that_of_a_slow_loop(networks, kind, quantile):
    a, b, _ = networks(11, kind)
    found = max_wsi_difference(a, b, quantile)
    assert (found.first, found.second) == (max_wsi(a, quantile), max_wsi(b, quantile))
    without = [
        np.ix_(kept, kept)
        for kept in ([k for k in range(11) if k != left] for left in range(11))
    ]
    slow = np.array(
        [max_wsi(a[kept], quantile) - max_wsi(b[kept], quantile) for kept in without]
    )
    half = stats.t.ppf(0.975, 10) * math.sqrt(
        10 / 11 * ((slow - slow.mean()) ** 2).sum()
    )
    assert_allclose(
        [found.low, found.high],
        [found.value - half, found.value + half],
        rtol=1e-9,
        atol=1e-12,
    )


def counts_of(samples, classes):
    targets, predictions, _ = samples
    return np.bincount(targets * classes + predictions, minlength=classes**2).reshape(
        classes, classes
    )


def predictions_of(classes, seed, targets=None, share=0.6):
    """Return the predictions of a network, most of them right; ``share`` of the
    mistakes of two seeds are the same.
    """
    rng, common = np.random.default_rng(seed), np.random.default_rng(99)
    if targets is None:
        targets = np.arange(900) % classes
    drawn = [
        (
            targets
            + one.integers(0, classes, len(targets)) * (one.random(len(targets)) < 0.5)
        )
        % classes
        for one in (common, rng)
    ]
    return LabelledPredictions(
        targets, np.where(common.random(len(targets)) < share, *drawn)
    )


def test_an_idm_difference_is_what_a_bootstrap_of_samples_gives(networks):
    a, b, _ = networks(12)
    first, second = predictions_of(12, 0), predictions_of(12, 1)
    found, accuracy = (
        idm_difference((first, a), (second, b)),
        accuracy_difference(first, second),
    )
    alone = [
        idm(counts_of(one, 12), csm)["errors"] for one, csm in ((first, a), (second, b))
    ]
    assert (found.first, found.second) == pytest.approx(
        (alone[0].value, alone[1].value)
    )
    rng, drawn = np.random.default_rng(0), []
    for _ in range(400):
        picked = rng.integers(0, 900, 900)
        two = [
            LabelledPredictions(one.targets[picked], one.predictions[picked])
            for one in (first, second)
        ]
        drawn.append(
            (
                idm_difference((two[0], a), (two[1], b)).value,
                accuracy_difference(*two).value,
            )
        )
    assert_allclose([found.error, accuracy.error], np.std(drawn, axis=0), rtol=0.12)


def test_differences_over_other_samples_are_not_paired(networks):
    a, _, _ = networks(12)
    first, second = predictions_of(12, 0), predictions_of(12, 1)
    order = np.random.default_rng(0).permutation(900)
    moved = LabelledPredictions(second.targets[order], second.predictions[order])
    paired, apart = (idm_difference((first, a), (one, a)) for one in (second, moved))
    assert apart.value == pytest.approx(paired.value)
    assert apart.error > 1.2 * paired.error
    variances = [
        (one.high - one.low) / 2 / 1.96
        for one in (
            idm(counts_of(two, 12), csm)["errors"]
            for two, csm in ((first, a), (second, a))
        )
    ]
    assert apart.error == pytest.approx(math.hypot(*variances), rel=0.01)
    again, counted = (
        LabelledPredictions.from_counts(counts_of(one, 12)) for one in (second, first)
    )
    for one in (first, counted):
        assert idm_difference((one, a), (again, a)).error == pytest.approx(apart.error)
        assert accuracy_difference(one, again).value == pytest.approx(
            accuracy_difference(first, second).value
        )


def test_a_class_without_a_sample_or_synset_plays_no_part_in_an_idm(networks):
    a, b, _ = networks(12)
    a[3, :] = a[:, 3] = np.nan
    first = predictions_of(12, 0, np.array([k for k in range(12) if k != 5] * 60))
    found = idm_difference((first, a), (predictions_of(12, 1), b))
    counts = counts_of(first, 12)
    kept = np.ix_(*[[i for i in range(12) if i not in (3, 5)]] * 2)
    assert found.first == pytest.approx(idm(counts[kept], a[kept])["errors"].value)


def test_means_of_repetitions_have_welchs_interval():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 0.1, 5), rng.normal(0.4, 0.02, 3)
    found = mean_difference(a.tolist(), b.tolist())
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert_allclose([found.low, found.high], [expected.low, expected.high])
    assert_allclose(
        [found.first, found.second, found.value],
        [a.mean(), b.mean(), a.mean() - b.mean()],
    )


@pytest.mark.parametrize("sizes", [(3, 3), (4, 1), (2, 5)])
def test_seed_range_of_simulated_repetitions_holds_95_percent_of_further_pairs(sizes):
    rng, holds = np.random.default_rng(1), []
    for _ in range(1500):
        a, b = rng.normal(0.5, 0.02, sizes[0]), rng.normal(0.3, 0.02, sizes[1])
        found = mean_difference(a.tolist(), b.tolist())
        assert found.seed_deviation == pytest.approx(
            np.sqrt(sum(((x - x.mean()) ** 2).sum() for x in (a, b)) / (sum(sizes) - 2))
        )
        first, second = rng.normal(0.4, 0.02, (2, 10))
        holds.append(np.mean(np.abs(first - second) <= found.seed_range))
    assert 0.93 < np.mean(holds) < 0.97


def test_seed_range_of_single_trainings_is_unknown():
    found = mean_difference([0.5], [0.4])
    assert (found.seed_deviation, found.seed_range) == (None, None)


def test_the_order_of_classes_changes_no_value(networks):
    a, b, reference = networks()
    order = np.random.default_rng(5).permutation(12)
    square = np.ix_(order, order)
    before = alignment_difference(CsmPair(a, reference), CsmPair(b, reference))
    after = alignment_difference(
        CsmPair(a[square], reference[square]), CsmPair(b[square], reference[square])
    )
    assert after.value == pytest.approx(before.value, abs=1e-12)
    assert max_wsi_difference(a[square], b[square]).value == pytest.approx(
        max_wsi_difference(a, b).value, abs=1e-12
    )
    part, gap = max_wsi_difference(a[1:, 1:], b[1:, 1:]), a.copy()
    gap[0] = gap[:, 0] = np.nan  # a head that grows
    assert max_wsi_difference(gap, b) == part


def test_a_correlation_is_divided_by_the_root_of_its_reliability(networks):
    a, b, reference = networks()
    plain = alignment_difference(
        CsmPair(a, reference), CsmPair(a, reference), "pearson"
    )
    found = alignment_difference(
        CsmPair(a, reference, 0.25), CsmPair(a, reference, 0.64), "pearson"
    )
    assert found.first == pytest.approx(plain.first / 0.5)
    assert found.second == pytest.approx(plain.first / 0.8)
    assert found.low <= found.value <= found.high
    assert b is not a


def test_difference_that_does_not_exist_has_the_reason(networks):
    a, b, reference = networks()
    few = alignment_difference(
        CsmPair(a[:3, :3], reference[:3, :3]), CsmPair(b[:3, :3], reference[:3, :3])
    )
    assert few.reason == "3 classes in all matrices: a difference needs 4 or more"
    flat = alignment_difference(
        CsmPair(np.full_like(a, 0.5), reference), CsmPair(b, reference)
    )
    assert flat.reason.startswith("constant matrix")
    right = LabelledPredictions(np.arange(12), np.arange(12))
    none = idm_difference((right, a), (predictions_of(12, 0), b))
    assert (none.first, none.reason, none.excludes_zero, none.p_value) == (
        None,
        "no mistake",
        None,
        None,
    )
    assert none.second is not None
    one = idm_difference(
        (right._replace(predictions=(np.arange(12) // 11 + np.arange(12)) % 12), a),
        (predictions_of(12, 0), b),
    )
    assert one.value is not None
    assert one.reason == "no interval: a network made only one mistake"
    assert (
        idm_difference((right, a[:2, :2]), (right, b)).reason
        == "2 classes: ranks need three or more"
    )
    assert (
        max_wsi_difference(a[:3, :3], b[:3, :3]).reason
        == "no interval: it needs 4 classes or more"
    )
    one = LabelledPredictions(np.zeros(1, int), np.zeros(1, int))
    assert accuracy_difference(one, right).reason == "fewer than two samples"


@pytest.mark.parametrize(
    ("value", "excludes"), [(0.15, True), (-0.15, True), (0.05, False), (0.0, False)]
)
def test_p_value_and_interval_agree_with_scipy(value, excludes):
    found = Difference(1.0, 1.0 - value, value, 0.05, 9)
    assert found.excludes_zero is excludes is (found.p_value < 0.05)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(value) / 0.05, 9))
    assert found.interval(0.99) == pytest.approx(stats.t.interval(0.99, 9, value, 0.05))


@pytest.mark.parametrize(
    "p_values", [[0.04, 0.01, 0.03], [0.2, 0.001, 0.02, 0.9], [0.5], [0.01, 0.01], []]
)
def test_holm_rejects_as_the_procedure_says_and_its_levels_agree(p_values):
    steps, remaining = holm(p_values), len(p_values)
    rejected = set()
    for index in np.argsort(p_values, kind="stable"):
        if p_values[index] >= 0.05 / remaining:
            break
        rejected.add(int(index))
        remaining -= 1
    assert {
        index for index, step in enumerate(steps) if step.p_value < 0.05
    } == rejected
    assert {
        index for index, step in enumerate(steps) if p_values[index] < 1 - step.level
    } == rejected


def test_unrelated_networks_differ_by_chance_about_one_time_in_twenty():
    """Two networks have the same similarities up to independent noise, so few intervals
    exclude 0.
    """
    excluding = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        common = rng.normal(size=(24, 16))
        reference = oracles.ncsm(common + 0.8 * rng.normal(size=common.shape))
        a, b = (
            oracles.ncsm(common + 0.8 * rng.normal(size=common.shape)) for _ in range(2)
        )
        excluding += alignment_difference(
            CsmPair(a, reference), CsmPair(b, reference), "pearson"
        ).excludes_zero
    assert excluding <= 12
