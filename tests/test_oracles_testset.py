"""The oracles of the test-set metrics against values worked out by hand, scikit-learn and SciPy."""

from __future__ import annotations

import itertools

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


# Confusion and accuracy


def test_confusion_is_scikit_learns(split):
    _, targets, predictions = split
    expected = metrics.confusion_matrix(targets, predictions, labels=range(CLASSES))
    assert_array_equal(oracles.confusion(targets, predictions, CLASSES), expected)


def test_accuracies_are_scikit_learns(split):
    _, targets, predictions = split
    counts = oracles.confusion(targets, predictions, CLASSES)
    assert_allclose(oracles.accuracy(counts), metrics.accuracy_score(targets, predictions), rtol=1e-14)
    assert_allclose(oracles.balanced_accuracy(counts), metrics.balanced_accuracy_score(targets, predictions), rtol=1e-14)


# Scores


def test_top5_is_scikit_learns_without_ties(split):
    logits, targets, _ = split
    expected = metrics.top_k_accuracy_score(targets, logits, k=5, labels=range(CLASSES))
    assert 0.5 < expected < 1
    assert_allclose(oracles.accuracy_top5(logits, targets), expected, rtol=1e-14)


def test_cross_entropy_is_scikit_learns(split):
    logits, targets, _ = split
    expected = metrics.log_loss(targets, special.softmax(logits, axis=1), labels=range(CLASSES))
    assert_allclose(oracles.cross_entropy(logits, targets), expected, rtol=1e-12)


# Reliability


def test_reliability_by_hand():
    first = np.array([[0, 1, 3], [2, 0, 2], [1, 0, 3]])
    second = np.array([[4, 2, 2], [0, 0, 4], [2, 2, 4]])
    x, y = [0.25, 0.75, 0.5, 0.5, 0.25, 0], [0.25, 0.25, 0, 1, 0.25, 0.25]
    r = stats.pearsonr(x, y).statistic
    value = oracles.split_half_reliability(first + second, [(first, second)])
    assert_allclose(value, 2 * r / (1 + r), rtol=1e-13)


# Class means and typicality


def test_template_similarity_is_scikit_learns(rng):
    features, targets = rng.normal(size=(60, 7)), np.arange(60) % 5
    means = np.array([features[targets == i].mean(axis=0) for i in range(5)])
    expected = metrics.pairwise.cosine_similarity(means)
    assert_allclose(oracles.template_similarity(features, targets, 5), expected, rtol=0, atol=1e-14)


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


# IDM


def test_ranks_are_scipys(rng):
    csm = rng.integers(0, 4, (8, 8)) / 4
    out = oracles.ranks(csm)
    for i in range(8):
        others = [j for j in range(8) if j != i]
        assert out[i, i] == 0
        assert_array_equal(out[i, others], stats.rankdata(-csm[i, others]))


CSM = [[1, 0.5, 0.1], [0.2, 1, 0.2], [0.3, 0.4, 1]]  # ranks: 0 1 2 / 1.5 0 1.5 / 2 1 0
COUNTS = [[2, 1, 1], [1, 1, 0], [0, 0, 0]]


def test_idm_by_hand():
    assert oracles.idm(COUNTS, CSM) == {
        "all": pytest.approx(1 - 4.5 / 6 / 2),
        "errors": pytest.approx(1 - 4.5 / 3 / 2),
        "macro": pytest.approx(1 - (3 / 4 + 1.5 / 2) / 2 / 2),
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
