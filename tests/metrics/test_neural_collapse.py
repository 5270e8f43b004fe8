"""NC1 to NC4 against their definitions, and the values of a collapsed network."""

import itertools

import numpy as np
import pytest

from dsi_cli.metrics.neural_collapse import (
    class_means,
    nearest_centre,
    self_duality,
    within_class_variability,
)

CLASSES, FEATURES = 4, 6


@pytest.fixture
def data():
    """Return features with classes, the predictions, and a classifier."""
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(CLASSES), [5, 8, 6, 9])
    features = (
        rng.standard_normal((CLASSES, FEATURES))[targets]
        + 0.7 * rng.standard_normal((28, FEATURES))
    ).astype(np.float32)
    return (
        features,
        targets,
        rng.integers(0, CLASSES, 28),
        rng.standard_normal((CLASSES, FEATURES)),
    )


def test_within_class_variability_equals_the_definition(data):
    features, targets, _, _ = data
    rows = features.astype(np.float64)
    means = np.stack([rows[targets == c].mean(axis=0) for c in range(CLASSES)])
    within = sum(
        np.outer(row - means[c], row - means[c])
        for row, c in zip(rows, targets, strict=True)
    ) / len(rows)
    between = (
        sum(
            np.outer(mean - means.mean(axis=0), mean - means.mean(axis=0))
            for mean in means
        )
        / CLASSES
    )
    expected = np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / CLASSES
    found = within_class_variability(features, targets)
    assert found.value == pytest.approx(expected, rel=1e-6)
    assert (found.samples_used, found.classes_used) == (28, CLASSES)
    assert found.null_mean > found.value


def test_self_duality_equals_the_definition_and_its_chance_level_all_relabellings(data):
    features, targets, _, weight = data
    means, _ = class_means(features, targets)
    w, m = weight - weight.mean(axis=0), means - means.mean(axis=0)

    def index(rows):
        return float(((rows / np.linalg.norm(rows) - m / np.linalg.norm(m)) ** 2).sum())

    found, cosines = self_duality(weight, means)
    assert found.value == pytest.approx(index(w))
    relabelled = [
        index(w[list(order)]) for order in itertools.permutations(range(CLASSES))
    ]
    assert [found.null_mean, found.null_std] == pytest.approx(
        [np.mean(relabelled), np.std(relabelled)]
    )
    assert cosines == pytest.approx(
        [a @ b / np.sqrt(a @ a * (b @ b)) for a, b in zip(w, m, strict=True)]
    )


def test_nearest_centre_equals_the_definition(data):
    features, targets, predictions, _ = data
    means, _ = class_means(features, targets)
    nearest = np.array(
        [np.argmin([np.linalg.norm(row - mean) for mean in means]) for row in features]
    )
    found, agrees = nearest_centre(features, targets, predictions)
    assert agrees.tolist() == (nearest == predictions).tolist()
    pairs = list(itertools.product(nearest, predictions))
    assert found.null_mean == pytest.approx(np.mean([a == b for a, b in pairs]))


def test_collapsed_network_has_the_ideal_values():
    simplex = np.eye(CLASSES, FEATURES) - np.eye(CLASSES, FEATURES).mean(axis=0)
    targets = np.repeat(np.arange(CLASSES), 5)
    features = 3 * simplex[targets] + 7
    assert within_class_variability(features, targets).value == pytest.approx(
        0, abs=1e-20
    )
    assert self_duality(simplex, class_means(features, targets)[0])[
        0
    ].value == pytest.approx(0, abs=1e-12)
    assert nearest_centre(features, targets, targets)[0].value == 1


@pytest.mark.parametrize(
    "targets",
    [np.zeros(6, dtype=int), np.repeat([0, 1], 3)],
    ids=["one class", "equal means"],
)
def test_within_class_variability_without_difference_has_a_reason(targets):
    found = within_class_variability(np.ones((6, 3)), targets)
    assert found.value is None
    assert found.reason


def test_self_duality_of_zero_weights_has_a_reason():
    found, cosines = self_duality(np.zeros((3, 2)), np.eye(3, 2))
    assert found.value is None
    assert found.reason
    assert np.isnan(cosines).all()
