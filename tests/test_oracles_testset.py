"""The oracles of the test-set metrics against values worked out by hand, scikit-learn and SciPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from helpers import oracles_testset as oracles
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats
from sklearn import metrics

CLASSES = 9


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def split(rng):
    """Logits, targets and predictions of 200 samples in 9 classes, some classes harder than others."""
    targets = rng.integers(0, CLASSES, 200)
    logits = rng.normal(size=(200, CLASSES))
    logits[np.arange(200), targets] += 0.3 * targets
    return logits, targets, logits.argmax(axis=1)


def errors_table(rng, classes):
    counts = rng.integers(0, 5, (classes, classes))
    counts[0, 1] += 1
    return counts


# Confusion and accuracy


def test_confusion_is_scikit_learns(split):
    _, targets, predictions = split
    expected = metrics.confusion_matrix(targets, predictions, labels=range(CLASSES))
    assert_array_equal(oracles.confusion(targets, predictions, CLASSES), expected)


def test_confusion_has_truth_in_rows():
    assert_array_equal(oracles.confusion([0, 0, 2], [1, 1, 2], 3), [[0, 2, 0], [0, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize(("targets", "predictions"), [([3], [0]), ([0], [-1])])
def test_confusion_refuses_a_class_it_does_not_have(targets, predictions):
    with pytest.raises(ValueError, match=r"not in 0\.\.2"):
        oracles.confusion(targets, predictions, 3)


def test_ccsm_by_hand():
    counts = [[6, 3, 1], [0, 0, 0], [1, 1, 2]]
    assert_array_equal(oracles.ccsm(counts), [[1, 0.3, 0.1], [0, 1, 0], [0.25, 0.25, 1]])


def test_samples_of_undoes_confusion(rng):
    counts = errors_table(rng, 4)
    samples = oracles.samples_of(counts)
    assert_array_equal(oracles.confusion([i for i, _ in samples], [j for _, j in samples], 4), counts)
    with pytest.raises(ValueError, match="not a count"):
        oracles.samples_of([[1, 0.5], [0, 1]])


def test_accuracies_are_scikit_learns(split):
    _, targets, predictions = split
    counts = oracles.confusion(targets, predictions, CLASSES)
    assert_allclose(oracles.accuracy(counts), metrics.accuracy_score(targets, predictions), rtol=1e-14)
    assert_allclose(oracles.balanced_accuracy(counts), metrics.balanced_accuracy_score(targets, predictions), rtol=1e-14)


def test_accuracies_by_hand_with_a_class_without_samples():
    counts = [[3, 1, 0], [0, 0, 0], [3, 0, 1]]
    assert oracles.accuracy(counts) == 4 / 8
    assert oracles.balanced_accuracy(counts) == (0.75 + 0.25) / 2


def test_accuracies_need_a_sample():
    for measure in (oracles.accuracy, oracles.balanced_accuracy):
        with pytest.raises(ValueError, match="no sample"):
            measure(np.zeros((3, 3)))


# Scores


def test_top5_is_scikit_learns_without_ties(split):
    logits, targets, _ = split
    expected = metrics.top_k_accuracy_score(targets, logits, k=5, labels=range(CLASSES))
    assert 0.5 < expected < 1
    assert_allclose(oracles.accuracy_top5(logits, targets), expected, rtol=1e-14)


def test_top5_counts_only_what_is_strictly_larger():
    logits = [[1, 1, 1, 1, 1, 1, 0], [2, 2, 2, 2, 1, 1, 0], [2, 2, 2, 2, 2, 1, 1], [0, 0, 0, 0, 0, 0, 0]]
    assert oracles.accuracy_top5(logits[:1], [5]) == 1
    assert oracles.accuracy_top5(logits[:1], [6]) == 0
    assert oracles.accuracy_top5(logits, [6, 5, 6, 3]) == 2 / 4


def test_cross_entropy_is_scikit_learns(split):
    logits, targets, _ = split
    expected = metrics.log_loss(targets, special.softmax(logits, axis=1), labels=range(CLASSES))
    assert_allclose(oracles.cross_entropy(logits, targets), expected, rtol=1e-12)


def test_cross_entropy_by_hand_and_with_large_logits():
    assert_allclose(oracles.cross_entropy([[0, 0], [math.log(3), 0]], [0, 1]), (math.log(2) + math.log(4)) / 2)
    assert oracles.cross_entropy([[1e4, 0], [0, 1e4]], [0, 0]) == 5e3


# Reliability


def test_reliability_by_hand():
    first = np.array([[0, 1, 3], [2, 0, 2], [1, 0, 3]])
    second = np.array([[4, 2, 2], [0, 0, 4], [2, 2, 4]])
    x, y = [0.25, 0.75, 0.5, 0.5, 0.25, 0], [0.25, 0.25, 0, 1, 0.25, 0.25]
    r = stats.pearsonr(x, y).statistic
    value = oracles.split_half_reliability(first + second, [(first, second)])
    assert_allclose(value, 2 * r / (1 + r), rtol=1e-13)


def test_reliability_leaves_out_classes_that_a_half_lacks_but_normalises_first():
    first = np.array([[0, 1, 3, 4], [2, 0, 2, 4], [1, 0, 3, 4], [0, 0, 0, 0]])
    second = np.array([[4, 2, 2, 0], [0, 0, 4, 0], [2, 2, 4, 8], [9, 0, 0, 0]])
    x, y = [1 / 8, 3 / 8, 2 / 8, 2 / 8, 1 / 8, 0], [2 / 8, 2 / 8, 0, 1, 2 / 16, 2 / 16]
    r = stats.pearsonr(x, y).statistic
    value = oracles.split_half_reliability(first + second, [(first, second)])
    assert_allclose(value, 2 * r / (1 + r), rtol=1e-13)


def test_reliability_takes_the_mean_before_spearman_brown_and_skips_halves_without_a_correlation():
    one = np.array([[5, 2, 1], [0, 5, 1], [0, 3, 5]])
    two = np.array([[5, 1, 1], [1, 5, 1], [0, 4, 5]])
    total = one + two
    flawless = np.diag([1, 1, 1])
    shift = np.array([[0, 0, 0], [0, -1, 1], [0, 0, 0]])
    with_one = [(one, two), (one + shift, two - shift)]
    halves = [with_one[0], (flawless, total - flawless), with_one[1]]
    rs = []
    for a, b in with_one:
        xs, ys = (half / half.sum(axis=1, keepdims=True) for half in (a, b))
        off = ~np.eye(3, dtype=bool)
        rs.append(stats.pearsonr(xs[off], ys[off]).statistic)
    assert rs[0] != pytest.approx(rs[1])
    mean = np.mean(rs)
    assert_allclose(oracles.split_half_reliability(total, halves), 2 * mean / (1 + mean), rtol=1e-13)


def test_reliability_of_two_equal_halves_is_one():
    half = np.array([[5, 2, 1], [0, 5, 1], [0, 3, 5]])
    assert_allclose(oracles.split_half_reliability(2 * half, [(half, half)]), 1, rtol=1e-14)


def test_reliability_that_does_not_exist():
    flawless = np.diag([2, 2, 2])
    with pytest.raises(ValueError, match="no halves have a correlation"):
        oracles.split_half_reliability(2 * flawless, [(flawless, flawless)])
    first, second = np.array([[1, 1], [0, 2]]), np.array([[2, 0], [1, 1]])
    with pytest.raises(ValueError, match="of -1"):
        oracles.split_half_reliability(first + second, [(first, second)])
    with pytest.raises(ValueError, match="do not sum"):
        oracles.split_half_reliability(first, [(first, second)])


def test_sampled_halves_sum_to_the_counts_and_share_each_class_out_evenly(rng):
    counts = errors_table(rng, 5)
    counts[3] = 0
    counts[4] = [0, 0, 0, 0, 3]
    halves = oracles.sampled_halves(counts, np.random.default_rng(1), 20)
    assert len(halves) == 20
    for first, second in halves:
        assert_array_equal(first + second, counts)
        assert_array_equal(first.sum(axis=1), (counts.sum(axis=1) + 1) // 2)
    assert len({first.tobytes() for first, _ in halves}) > 10


def test_sampled_halves_are_hypergeometric():
    counts = np.array([[3, 2, 1], [0, 1, 0], [0, 0, 1]])
    found = [int(first[0, 0]) for first, _ in oracles.sampled_halves(counts, np.random.default_rng(0), 4000)]
    expected = stats.hypergeom(6, 3, 3).pmf(range(4))
    assert_allclose(np.bincount(found, minlength=4) / 4000, expected, atol=0.03)


def test_pearson_corrected(rng):
    a, b = rng.normal(size=(2, 6, 6))
    off = ~np.eye(6, dtype=bool)
    r = stats.pearsonr(a[off], b[off]).statistic
    assert_allclose(oracles.pearson_corrected(a, b, 0.64), r / 0.8, rtol=1e-12)
    assert_allclose(oracles.pearson_corrected(a, b, 0.5, 0.32), r / 0.4, rtol=1e-12)
    for reliability in (0.0, -0.2, math.nan):
        with pytest.raises(ValueError, match="not positive"):
            oracles.pearson_corrected(a, b, reliability)
    with pytest.raises(ValueError, match="constant"):
        oracles.pearson_corrected(np.ones((6, 6)), b, 1.0)


# Class means and typicality


def test_template_similarity_by_hand():
    features = [[1, 0], [3, 0], [1, 1], [1, 0], [-1, 0]]
    out = oracles.template_similarity(features, [0, 0, 1, 3, 3], 4)
    root = math.sqrt(0.5)
    assert_allclose(out, [[1, root, 0, 0], [root, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], rtol=1e-15)


def test_template_similarity_is_scikit_learns(rng):
    features, targets = rng.normal(size=(60, 7)), np.arange(60) % 5
    means = np.array([features[targets == i].mean(axis=0) for i in range(5)])
    expected = metrics.pairwise.cosine_similarity(means)
    assert_allclose(oracles.template_similarity(features, targets, 5), expected, rtol=0, atol=1e-14)


def test_typicality_by_hand():
    features = [[1, 0], [0, 1], [1, 0], [5, 5], [2, 0]]
    targets, predictions = [0, 0, 0, 1, 3], [0, 1, 0, 0, 3]
    rows, right, wrong = oracles.typicality(features, targets, predictions, 4)
    group_right, group_wrong, pair = 2 / math.sqrt(5), 1 / math.sqrt(5), math.sqrt(0.5)
    keys = ("class_index", "correct", "samples", "group_cosine", "sample_cosine")
    expected = [
        (0, True, 2, pytest.approx(group_right), pytest.approx(pair)),
        (0, False, 1, pytest.approx(group_wrong), pytest.approx(0)),
        (1, True, 0, None, None),
        (1, False, 1, pytest.approx(1), None),
        (2, True, 0, None, None),
        (2, False, 0, None, None),
        (3, True, 1, pytest.approx(1), None),
        (3, False, 0, None, None),
    ]
    assert [tuple(row[key] for key in keys) for row in rows] == expected
    assert right == pytest.approx([pair, pair])
    assert wrong == pytest.approx([0])
    assert oracles.typicality_summary(rows) == {
        "right": pytest.approx((group_right + 1) / 2),
        "wrong": pytest.approx((group_wrong + 1) / 2),
        "left_out_right": 2,
        "left_out_wrong": 2,
    }


def test_typicality_is_scikit_learns_and_its_rows_agree_with_the_lists(split, rng):
    _, targets, predictions = split
    features = rng.normal(size=(200, 6)) + np.eye(CLASSES, 6)[targets]
    rows, right, wrong = oracles.typicality(features, targets, predictions, CLASSES)
    of_right, of_wrong = [], []
    for n in range(200):
        others = (targets == targets[n]) & (np.arange(200) != n)
        value = metrics.pairwise.cosine_similarity(features[[n]], features[others].mean(axis=0, keepdims=True))[0, 0]
        (of_right if targets[n] == predictions[n] else of_wrong).append(value)
    assert_allclose(right, of_right, rtol=0, atol=1e-14)
    assert_allclose(wrong, of_wrong, rtol=0, atol=1e-14)
    for row in rows:
        own = targets == row["class_index"]
        group = own & ((targets == predictions) == row["correct"])
        means = [features[own].mean(axis=0), features[group].mean(axis=0)]
        assert row["samples"] == group.sum()
        assert row["group_cosine"] == pytest.approx(metrics.pairwise.cosine_similarity(means)[0, 1], abs=1e-14)
    by_rows = sum(row["samples"] * row["sample_cosine"] for row in rows if not row["correct"])
    assert_allclose(by_rows, sum(wrong), rtol=1e-12)


def test_typicality_of_a_zero_mean_is_zero():
    rows, right, wrong = oracles.typicality([[1, 0], [-1, 0]], [0, 0], [0, 1], 2)
    assert [row["group_cosine"] for row in rows] == [0, 0, None, None]
    assert right == wrong == [-1]


def test_typicality_summary_without_mistakes():
    rows, _, _ = oracles.typicality([[1, 0], [0, 1]], [0, 1], [0, 1], 2)
    assert oracles.typicality_summary(rows) == {
        "right": 1.0,
        "wrong": None,
        "left_out_right": 0,
        "left_out_wrong": 2,
    }


def test_typicality_null_by_hand():
    features = [[1, 0], [1, 0], [0, 1]]
    root = math.sqrt(5)
    assert_allclose(oracles.typicality_null_enumerated(features, 1), (2 + 2 + 1) / root / 3)
    assert_allclose(oracles.typicality_null_enumerated(features, 2), (2 / root + 2 * 3 / root / math.sqrt(2)) / 3)
    assert_allclose(oracles.typicality_null_enumerated(features, 3), 1)
    for size in (0, 4):
        with pytest.raises(ValueError, match="no subset"):
            oracles.typicality_null_enumerated(features, size)


# IDM


def test_ranks_are_scipys(rng):
    csm = rng.integers(0, 4, (8, 8)) / 4
    out = oracles.ranks(csm)
    for i in range(8):
        others = [j for j in range(8) if j != i]
        assert out[i, i] == 0
        assert_array_equal(out[i, others], stats.rankdata(-csm[i, others]))


def test_ranks_tie_values_that_are_equal_as_given():
    close = np.array([[1, 0.5, 0.5 + 1e-12], [0, 1, 0], [0, 0, 1]])
    assert_array_equal(oracles.ranks(close)[0], [0, 2, 1])
    assert_array_equal(oracles.ranks(close.astype(np.float32))[0], [0, 1.5, 1.5])
    with pytest.raises(ValueError, match="NaN"):
        oracles.ranks([[1, math.nan], [0, 1]])


CSM = [[1, 0.5, 0.1], [0.2, 1, 0.2], [0.3, 0.4, 1]]  # ranks: 0 1 2 / 1.5 0 1.5 / 2 1 0
COUNTS = [[2, 1, 1], [1, 1, 0], [0, 0, 0]]


def test_idm_by_hand():
    assert oracles.idm(COUNTS, CSM) == {
        "all": pytest.approx(1 - 4.5 / 6 / 2),
        "errors": pytest.approx(1 - 4.5 / 3 / 2),
        "macro": pytest.approx(1 - (3 / 4 + 1.5 / 2) / 2 / 2),
    }


def test_idm_without_a_mistake_or_a_sample():
    assert oracles.idm(np.diag([1, 2, 0]), CSM) == {"all": 1, "errors": None, "macro": 1}
    with pytest.raises(ValueError, match="a sample"):
        oracles.idm(np.zeros((3, 3)), CSM)
    with pytest.raises(ValueError, match="counts of"):
        oracles.idm(np.eye(2), CSM)


@pytest.mark.parametrize("classes", [3, 5])
def test_errors_follow_from_all_and_the_accuracy(rng, classes):
    counts, csm = errors_table(rng, classes), rng.integers(0, 4, (classes, classes))
    value = oracles.idm(counts, csm)
    assert_allclose(value["errors"], 1 - (1 - value["all"]) / (1 - oracles.accuracy(counts)), rtol=1e-12)


def test_idm_ceiling_by_hand():
    assert oracles.idm_ceiling(COUNTS, CSM) == {
        "all": pytest.approx(1 - 3.5 / 6 / 2),
        "errors": pytest.approx(1 - 3.5 / 3 / 2),
        "macro": pytest.approx(1 - (2 / 4 + 1.5 / 2) / 2 / 2),
    }


def test_idm_ceiling_is_the_best_that_any_predictions_reach(rng):
    csm = rng.integers(0, 3, (4, 4))
    values = [
        oracles.idm(oracles.confusion([0, 1, 2, 3], wrong, 4), csm)["errors"]
        for wrong in itertools.product(*[[j for j in range(4) if j != i] for i in range(4)])
    ]
    counts = oracles.confusion([0, 1, 2, 3], [1, 2, 3, 0], 4)
    best = max(values)
    smallest = [sorted(row)[1] for row in oracles.ranks(csm)]
    assert_allclose(oracles.idm_ceiling(counts, csm)["errors"], best, rtol=1e-12)
    assert_allclose(best, 1 - np.mean(smallest) / 3, rtol=1e-12)
