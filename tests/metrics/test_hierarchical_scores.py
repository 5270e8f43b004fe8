"""Hierarchical scores against HiClass, and their chance level against all shuffles of the predictions."""

from itertools import permutations

import numpy as np
import pytest
from hiclass import metrics as hiclass
from numpy.testing import assert_allclose
from scipy.stats import norm
from sklearn.metrics import cohen_kappa_score

from dsi_cli.metrics.hierarchy import level_accuracies, set_scores

pytestmark = pytest.mark.filterwarnings("ignore:F-score is ill-defined")

TREE = [["a", "b", "c"], ["a", "b", "d"], ["a", "e", ""], ["f", "g", "h"], ["f", "", ""], ["i", "j", "k"]]
"""The paths of six classes. Two end above the last level, and one of these is a hypernym of another class."""
GRAPH = [[["a", "b"], ["c", "b"]], [["a", "d"], ["c", "d"]], [["a", "e"], ["a", "e"]], [["f", "g"], ["c", "g"]]]
"""The paths of four classes, three of which have two."""


def example(classes, seed=0):
    rng = np.random.default_rng([classes, seed])
    return rng.integers(0, 6, (classes, classes)) + 5 * np.eye(classes, dtype=int)


def samples(counts):
    rows, columns = np.nonzero(counts)
    return np.repeat(rows, counts[rows, columns]), np.repeat(columns, counts[rows, columns])


def common_of(paths):
    sets = [set(np.ravel(path)) - {""} for path in paths]
    return np.array([[len(one & other) for other in sets] for one in sets])


@pytest.mark.parametrize("paths", [TREE, GRAPH])
@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("metric", ["precision", "recall", "f1"])
def test_set_scores_equal_hiclass(paths, average, metric):
    counts = example(len(paths))
    truth, prediction = (np.array(paths)[classes] for classes in samples(counts))
    expected = getattr(hiclass, metric)(truth, prediction, average=average)
    found = set_scores(counts, common_of(paths))[f"hierarchical_{metric}", average]
    assert found.value == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert (found.classes_used, found.samples_used) == (len(paths), counts.sum())


def test_level_accuracy_counts_equal_nodes_and_the_last_level_is_the_full_path():
    # A class that ends above a level stands for itself there.
    paths = np.array([[0, 3], [0, 4], [1, 1], [2, 5], [2, 6]])
    counts = example(5)
    truth, prediction = samples(counts)
    found = level_accuracies(counts, paths)
    assert [score.value for score in found] == [np.mean(level[truth] == level[prediction]) for level in paths.T]
    assert found[1].value == np.trace(counts) / counts.sum()
    assert found[1].excess == pytest.approx(cohen_kappa_score(truth, prediction))
    assert {score.classes_used for score in found} == {5}


def test_chance_level_is_that_of_all_shuffles():
    paths, counts = TREE[:4], np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]])
    common, levels = common_of(paths), np.array([[0, 2], [0, 3], [0, 4], [1, 5]])
    truth, prediction = samples(counts)
    names = list(set_scores(counts, common))
    null = []
    for order in permutations(range(len(truth))):
        shuffled = np.zeros_like(counts)
        np.add.at(shuffled, (truth, prediction[list(order)]), 1)
        found = set_scores(shuffled, common)
        null.append(
            [*(found[name].value for name in names), *(score.value for score in level_accuracies(shuffled, levels))]
        )
    found = [*set_scores(counts, common).values(), *level_accuracies(counts, levels)]
    assert_allclose([score.null_mean for score in found], np.mean(null, axis=0), rtol=1e-12)
    assert_allclose([score.null_std for score in found], np.std(null, axis=0), rtol=1e-9)
    for score in found:
        assert score.z == pytest.approx((score.value - score.null_mean) / score.null_std)


def test_interval_covers_the_population_value():
    common, counts = common_of(TREE), example(6)
    share, rng = (counts / counts.sum()).ravel(), np.random.default_rng(1)
    expected = {name: score.value for name, score in set_scores(counts, common).items()}
    inside = dict.fromkeys(expected, 0)
    for _ in range(400):
        for name, score in set_scores(rng.multinomial(300, share).reshape(6, 6), common).items():
            inside[name] += score.low <= expected[name] <= score.high
    assert all(0.95 - 4 * 0.011 < number / 400 < 0.95 + norm.ppf(0.999) * 0.011 for number in inside.values())


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
    found = [*set_scores(counts, np.eye(3, dtype=int)).values(), *level_accuracies(counts, np.arange(3)[:, None])]
    assert {(score.reason, score.z) for score in found} == {(reason, None)}
    assert {score.value for score in found} == ({None} if not counts.any() else {1 / 3})
