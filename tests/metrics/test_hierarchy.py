"""Severity and superclass accuracy against loops over samples, and their null against all relabellings."""

from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from dsi_cli.metrics.hierarchy import severity, superclass_accuracy
from dsi_cli.metrics.idm import Score


def example(classes, seed=0):
    """Return counts, heights and superclasses of a made-up hierarchy."""
    rng = np.random.default_rng([classes, seed])
    counts = rng.integers(0, 5, (classes, classes)) + 6 * np.eye(classes, dtype=int)
    upper = np.triu(rng.integers(1, 6, (classes, classes)), 1)
    return counts, (upper + upper.T).astype(np.float32), rng.integers(0, max(2, classes // 3), classes)


def samples(counts):
    return [(i, j) for i, row in enumerate(counts) for j, number in enumerate(row) for _ in range(number)]


def slow_severity(counts, heights):
    return np.mean([heights[i, j] for i, j in samples(counts) if i != j])


def slow_superclass_accuracy(counts, superclasses):
    return np.mean([superclasses[i] == superclasses[j] for i, j in samples(counts)])


@pytest.mark.parametrize("classes", [3, 6, 30])
def test_severity_and_superclass_accuracy_equal_loops_over_samples(classes):
    counts, heights, superclasses = example(classes)
    assert severity(counts, heights).value == pytest.approx(slow_severity(counts, heights))
    found = superclass_accuracy(counts, superclasses)
    assert found.value == pytest.approx(slow_superclass_accuracy(counts, superclasses))
    assert (found.classes_used, found.samples_used) == (classes, counts.sum())
    assert severity(counts, heights).samples_used == counts.sum() - np.trace(counts)


@pytest.mark.parametrize("classes", [4, 6, 8])
def test_the_null_is_that_of_all_relabellings(classes):
    """Eight classes are more than the code enumerates itself: there the moments stand in."""
    counts, heights, superclasses = example(classes, seed=1)
    orders = [list(order) for order in permutations(range(classes))]
    wrong = counts - np.diag(np.diagonal(counts))
    null = [(wrong * heights[np.ix_(order, order)]).sum() / wrong.sum() for order in orders]
    found = severity(counts, heights)
    assert_allclose([found.null_mean, found.null_std], [np.mean(null), np.std(null)], rtol=1e-9)
    assert found.z == pytest.approx((np.mean(null) - found.value) / np.std(null))
    assert found.excess == pytest.approx(1 - found.value / np.mean(null))

    same = superclasses[:, None] == superclasses
    null = [(counts * same[np.ix_(order, order)]).sum() / counts.sum() for order in orders]
    found = superclass_accuracy(counts, superclasses)
    assert_allclose([found.null_mean, found.null_std], [np.mean(null), np.std(null)], rtol=1e-9)
    assert found.z == pytest.approx((found.value - np.mean(null)) / np.std(null))


def test_the_interval_is_that_of_a_mean_over_samples():
    counts, heights, superclasses = example(9)
    values = np.array([heights[i, j] for i, j in samples(counts) if i != j])
    half = 1.959963984540054 * values.std() / np.sqrt(len(values))
    found = severity(counts, heights)
    assert_allclose([found.low, found.high], [values.mean() - half, values.mean() + half])
    share = superclass_accuracy(counts, superclasses)
    half = 1.959963984540054 * np.sqrt(share.value * (1 - share.value) / counts.sum())
    assert_allclose([share.low, share.high], [share.value - half, share.value + half])


def test_the_ceiling_has_every_mistake_as_mild_as_its_class_allows():
    counts, heights, superclasses = example(9)
    off = np.where(np.eye(9) > 0, np.inf, heights)
    mildest = np.zeros_like(counts)
    for i in range(9):
        mildest[i, i] = counts[i, i]
        mildest[i, off[i].argmin()] += counts[i].sum() - counts[i, i]
    assert severity(counts, heights).ceiling == pytest.approx(severity(mildest, heights).value)
    same = (superclasses[:, None] == superclasses) & ~np.eye(9, dtype=bool)
    moved = np.diag(np.diagonal(counts))
    for i in range(9):
        moved[i, same[i].argmax() if same[i].any() else (i + 1) % 9] += counts[i].sum() - counts[i, i]
    assert superclass_accuracy(counts, superclasses).ceiling == pytest.approx(slow_superclass_accuracy(moved, superclasses))


def test_permuting_the_classes_changes_nothing():
    counts, heights, superclasses = example(12)
    order = np.random.default_rng(0).permutation(12)
    at = np.ix_(order, order)
    for moved, kept in (
        (severity(counts[at], heights[at]), severity(counts, heights)),
        (superclass_accuracy(counts[at], superclasses[order]), superclass_accuracy(counts, superclasses)),
    ):
        assert vars(moved) == pytest.approx(vars(kept))


def test_classes_without_a_synset_or_a_sample_do_not_take_part():
    counts, heights, _ = example(8)
    counts[3] = 0
    heights[5] = heights[:, 5] = np.nan
    kept = [0, 1, 2, 4, 6, 7]
    assert severity(counts, heights) == severity(counts[np.ix_(kept, kept)], heights[np.ix_(kept, kept)])
    assert superclass_accuracy(counts, np.arange(8)).classes_used == 7


def test_severity_without_a_mistake_is_null():
    _, heights, superclasses = example(5)
    right = 3 * np.eye(5, dtype=int)
    assert severity(right, heights) == Score(classes_used=5, reason="no mistake")
    found = superclass_accuracy(right, superclasses)
    assert (found.value, found.z, found.reason) == (1.0, None, "no mistake, so the value is its chance level")
