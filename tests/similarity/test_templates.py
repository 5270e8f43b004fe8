"""The TNCSM: cosine similarity of the classes' mean features."""

import numpy as np
import pytest
from helpers import oracles_testset
from helpers.errors import raises
from numpy.testing import assert_allclose, assert_array_equal

from dsi_cli.errors import NotFiniteError, UsageError
from dsi_cli.similarity import template_similarity


def featured(classes: int, samples: int, width: int, seed: int = 0):
    """Return features that are never negative, and the classes of the samples, unevenly many of each."""
    rng = np.random.default_rng([classes, samples, width, seed])
    targets = np.concatenate([np.arange(classes), rng.integers(0, rng.integers(1, classes + 1), samples - classes)])
    centres = rng.exponential(size=(classes, width))
    return np.maximum(0, centres[targets] + rng.normal(size=(samples, width))), targets


def summed(features, targets, classes: int):
    sums = np.zeros((classes, features.shape[1]))
    np.add.at(sums, targets, features)
    return sums, np.bincount(targets, minlength=classes)


@pytest.mark.parametrize(("classes", "samples", "width"), [(2, 2, 1), (3, 40, 5), (10, 300, 36), (40, 500, 128)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_template_similarity_equals_the_oracle(classes, samples, width, kind):
    features, targets = featured(classes, samples, width)
    found = template_similarity(*(part.astype(kind) for part in summed(features, targets, classes)))
    assert_allclose(found, oracles_testset.template_similarity(features, targets, classes), rtol=0, atol=1e-6)


def test_classes_of_a_single_sample_are_compared_by_it():
    features, targets = featured(5, 5, 9)
    found = template_similarity(features, np.ones(5, dtype=int))
    assert_allclose(found, oracles_testset.template_similarity(features, targets, 5), rtol=0, atol=1e-6)


def test_a_class_without_a_sample_is_lacking():
    features, targets = featured(6, 60, 8)
    targets[targets == 2] = 3
    found = template_similarity(*summed(features, targets, 6))
    kept = np.array([0, 1, 3, 4, 5])
    expected = oracles_testset.template_similarity(features, targets, 6)[np.ix_(kept, kept)]
    assert_allclose(found[np.ix_(kept, kept)], expected, rtol=0, atol=1e-6)
    assert np.isnan(found[2]).all()
    assert np.isnan(found[:, 2]).all()


@pytest.mark.parametrize("zeros", [[1], [0, 3]])
def test_features_that_are_zero_are_like_themselves_alone(zeros):
    features, targets = featured(4, 30, 6)
    features[np.isin(targets, zeros)] = 0
    found = template_similarity(*summed(features, targets, 4))
    assert_allclose(found, oracles_testset.template_similarity(features, targets, 4), rtol=0, atol=1e-6)
    assert_array_equal(found[zeros], np.eye(4)[zeros])


def test_exactly_symmetric_float32_with_a_unit_diagonal():
    found = template_similarity(*summed(*featured(30, 400, 50), 30))
    assert found.dtype == np.float32
    assert_array_equal(found, found.T)
    assert_array_equal(np.diagonal(found), 1)
    assert found.min() >= 0, "features that are never negative have no angle above 90 degrees"


def test_permuting_the_classes_permutes_the_matrix():
    sums, samples = summed(*featured(12, 200, 20), 12)
    order = np.random.default_rng(1).permutation(12)
    found = template_similarity(sums[order], samples[order])
    assert_allclose(found, template_similarity(sums, samples)[np.ix_(order, order)], rtol=0, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite(bad):
    sums, samples = summed(*featured(4, 30, 6), 4)
    sums[2, 1] = bad
    with pytest.raises(NotFiniteError, match=r"^NaN or infinite features:"):
        template_similarity(sums, samples)


@pytest.mark.parametrize(
    ("sums", "samples", "code"),
    [
        (np.ones((3, 2)), [1, 0, 0], "too-few-classes"),
        (np.ones((3, 2)), [0, 0, 0], "too-few-classes"),
        (np.ones((3, 2)), [1, 1], "shapes"),
        (np.ones(3), [1, 1, 1], "shapes"),
        (np.ones((3, 2)), [[1, 1, 1]], "shapes"),
    ],
)
def test_template_similarity_invalid_input_is_refused(sums, samples, code):
    with raises(code, UsageError):
        template_similarity(sums, np.array(samples))
