"""Severity and superclass accuracy against loops, hierarchical scores against HiClass,
and their nulls against all shuffles.
"""

from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm
from sklearn.metrics import cohen_kappa_score

from dsi_cli.metrics.hierarchy import (
    level_accuracies,
    set_scores,
    severity,
    superclass_accuracy,
)
from dsi_cli.metrics.idm import Score


def example(classes, seed=0):
    """Return counts, heights and superclasses of a made-up hierarchy."""
    rng = np.random.default_rng([classes, seed])
    counts = rng.integers(0, 5, (classes, classes)) + 6 * np.eye(classes, dtype=int)
    upper = np.triu(rng.integers(1, 6, (classes, classes)), 1)
    return (
        counts,
        (upper + upper.T).astype(np.float32),
        rng.integers(0, max(2, classes // 3), classes),
    )


def samples(counts):
    return [
        (i, j)
        for i, row in enumerate(counts)
        for j, number in enumerate(row)
        for _ in range(number)
    ]


def slow_superclass_accuracy(counts, superclasses):
    return np.mean([superclasses[i] == superclasses[j] for i, j in samples(counts)])


@pytest.mark.parametrize("classes", [3, 6, 30])
def test_severity_and_superclass_accuracy_equal_loops_over_samples(classes):
    counts, heights, superclasses = example(classes)
    assert severity(counts, heights).value == pytest.approx(
        np.mean([heights[i, j] for i, j in samples(counts) if i != j])
    )
    found = superclass_accuracy(counts, superclasses)
    assert found.value == pytest.approx(slow_superclass_accuracy(counts, superclasses))
    assert (found.classes_used, found.samples_used) == (classes, counts.sum())
    assert severity(counts, heights).samples_used == counts.sum() - np.trace(counts)


@pytest.mark.parametrize("classes", [4, 6, 8])
def test_the_null_is_that_of_all_relabellings(classes):
    """Eight classes are more than the code enumerates itself: there the moments stand
    in.
    """
    counts, heights, superclasses = example(classes, seed=1)
    orders = np.array(list(permutations(range(classes))))
    at = orders[:, :, None], orders[:, None]
    wrong = counts - np.diag(np.diagonal(counts))
    null = (wrong * heights[at]).sum(axis=(1, 2)) / wrong.sum()
    found = severity(counts, heights)
    assert_allclose(
        [found.null_mean, found.null_std], [np.mean(null), np.std(null)], rtol=1e-9
    )
    assert found.z == pytest.approx((np.mean(null) - found.value) / np.std(null))
    assert found.excess == pytest.approx(1 - found.value / np.mean(null))

    same = superclasses[:, None] == superclasses
    null = (counts * same[at]).sum(axis=(1, 2)) / counts.sum()
    found = superclass_accuracy(counts, superclasses)
    assert_allclose(
        [found.null_mean, found.null_std], [np.mean(null), np.std(null)], rtol=1e-9
    )
    assert found.z == pytest.approx((found.value - np.mean(null)) / np.std(null))


def test_the_interval_is_that_of_a_mean_over_samples():
    counts, heights, superclasses = example(9)
    values = np.array([heights[i, j] for i, j in samples(counts) if i != j])
    half = 1.959963984540054 * values.std() / np.sqrt(len(values))
    found = severity(counts, heights)
    assert_allclose(
        [found.low, found.high], [values.mean() - half, values.mean() + half]
    )
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
    assert severity(counts, heights).ceiling == pytest.approx(
        severity(mildest, heights).value
    )
    same = (superclasses[:, None] == superclasses) & ~np.eye(9, dtype=bool)
    moved = np.diag(np.diagonal(counts))
    for i in range(9):
        moved[i, same[i].argmax() if same[i].any() else (i + 1) % 9] += (
            counts[i].sum() - counts[i, i]
        )
    assert superclass_accuracy(counts, superclasses).ceiling == pytest.approx(
        slow_superclass_accuracy(moved, superclasses)
    )


def test_permuting_the_classes_changes_nothing():
    counts, heights, superclasses = example(12)
    order = np.random.default_rng(0).permutation(12)
    at = np.ix_(order, order)
    for moved, kept in (
        (severity(counts[at], heights[at]), severity(counts, heights)),
        (
            superclass_accuracy(counts[at], superclasses[order]),
            superclass_accuracy(counts, superclasses),
        ),
    ):
        assert vars(moved) == pytest.approx(vars(kept))


def test_classes_without_a_synset_or_a_sample_do_not_take_part():
    counts, heights, _ = example(8)
    counts[3] = 0
    heights[5] = heights[:, 5] = np.nan
    kept = [0, 1, 2, 4, 6, 7]
    assert severity(counts, heights) == severity(
        counts[np.ix_(kept, kept)], heights[np.ix_(kept, kept)]
    )
    assert superclass_accuracy(counts, np.arange(8)).classes_used == 7


def test_severity_without_a_mistake_is_null():
    _, heights, superclasses = example(5)
    right = 3 * np.eye(5, dtype=int)
    assert severity(right, heights) == Score(classes_used=5, reason="no mistake")
    found = superclass_accuracy(right, superclasses)
    assert (found.value, found.z, found.reason) == (
        1.0,
        None,
        "no mistake, so the value is its chance level",
    )


pytestmark = pytest.mark.filterwarnings("ignore:F-score is ill-defined")

TREE = [
    ["a", "b", "c"],
    ["a", "b", "d"],
    ["a", "e", ""],
    ["f", "g", "h"],
    ["f", "", ""],
    ["i", "j", "k"],
]
"""The paths of six classes. Two end above the last level, and one of these is a
hypernym of another class.
"""
GRAPH = [
    [["a", "b"], ["c", "b"]],
    [["a", "d"], ["c", "d"]],
    [["a", "e"], ["a", "e"]],
    [["f", "g"], ["c", "g"]],
]
"""The paths of four classes, three of which have two."""


def example_counts(classes, seed=0):
    rng = np.random.default_rng([classes, seed])
    return rng.integers(0, 6, (classes, classes)) + 5 * np.eye(classes, dtype=int)


def pairs_of_samples(counts):
    rows, columns = np.nonzero(counts)
    return np.repeat(rows, counts[rows, columns]), np.repeat(
        columns, counts[rows, columns]
    )


def common_of(paths):
    sets = [set(np.ravel(path)) - {""} for path in paths]
    return np.array([[len(one & other) for other in sets] for one in sets])


@pytest.mark.parametrize("paths", [TREE, GRAPH])
@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("metric", ["precision", "recall", "f1"])
def test_set_scores_equal_hiclass(paths, average, metric):
    counts = example_counts(len(paths))
    truth, prediction = (
        np.array(paths)[classes] for classes in pairs_of_samples(counts)
    )
    hiclass = pytest.importorskip("hiclass.metrics")  # `make test-oldest` lacks it
    expected = getattr(hiclass, metric)(truth, prediction, average=average)
    found = set_scores(counts, common_of(paths))[f"hierarchical_{metric}", average]
    assert found.value == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert (found.classes_used, found.samples_used) == (len(paths), counts.sum())


def test_level_accuracy_counts_equal_nodes_and_the_last_level_is_the_full_path():
    # A class that ends above a level stands for itself there.
    paths = np.array([[0, 3], [0, 4], [1, 1], [2, 5], [2, 6]])
    counts = example_counts(5)
    truth, prediction = pairs_of_samples(counts)
    found = level_accuracies(counts, paths)
    assert [score.value for score in found] == [
        np.mean(level[truth] == level[prediction]) for level in paths.T
    ]
    assert found[1].value == np.trace(counts) / counts.sum()
    assert found[1].excess == pytest.approx(cohen_kappa_score(truth, prediction))
    assert {score.classes_used for score in found} == {5}


def test_chance_level_is_that_of_all_shuffles():
    paths, counts = (
        TREE[:4],
        np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]]),
    )
    common, levels = common_of(paths), np.array([[0, 2], [0, 3], [0, 4], [1, 5]])
    truth, prediction = pairs_of_samples(counts)
    names = list(set_scores(counts, common))
    null = []
    for order in permutations(range(len(truth))):
        shuffled = np.zeros_like(counts)
        np.add.at(shuffled, (truth, prediction[list(order)]), 1)
        found = set_scores(shuffled, common)
        null.append(
            [
                *(found[name].value for name in names),
                *(score.value for score in level_accuracies(shuffled, levels)),
            ]
        )
    found = [*set_scores(counts, common).values(), *level_accuracies(counts, levels)]
    assert_allclose(
        [score.null_mean for score in found], np.mean(null, axis=0), rtol=1e-12
    )
    assert_allclose(
        [score.null_std for score in found], np.std(null, axis=0), rtol=1e-9
    )
    for score in found:
        assert score.z == pytest.approx(
            (score.value - score.null_mean) / score.null_std
        )


def test_interval_covers_the_population_value():
    common, counts = common_of(TREE), example_counts(6)
    share, rng = (counts / counts.sum()).ravel(), np.random.default_rng(1)
    expected = {name: score.value for name, score in set_scores(counts, common).items()}
    inside = dict.fromkeys(expected, 0)
    for _ in range(400):
        for name, score in set_scores(
            rng.multinomial(300, share).reshape(6, 6), common
        ).items():
            inside[name] += score.low <= expected[name] <= score.high
    assert all(
        0.95 - 4 * 0.011 < number / 400 < 0.95 + norm.ppf(0.999) * 0.011
        for number in inside.values()
    )


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (np.zeros((3, 3), dtype=int), "no sample"),
        (
            np.array([[2, 0, 0], [3, 0, 0], [1, 0, 0]]),
            "every shuffle of the predictions gives the same value, so there is no z",
        ),
    ],
)
def test_scores_without_a_chance_level_have_the_reason(counts, reason):
    found = [
        *set_scores(counts, np.eye(3, dtype=int)).values(),
        *level_accuracies(counts, np.arange(3)[:, None]),
    ]
    assert {(score.reason, score.z) for score in found} == {(reason, None)}
    assert {score.value for score in found} == ({None} if not counts.any() else {1 / 3})
