"""Confusion counts and the CCSM, against scikit-learn and the definition."""

import numpy as np
import pytest
from helpers import oracles
from helpers.errors import raises
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import confusion_matrix

from dsi_cli.errors import UsageError
from dsi_cli.similarity import classes_with_samples, confusion_counts, confusion_similarity

RNG = np.random.default_rng(3)
TARGETS, PREDICTIONS = RNG.integers(0, 6, 400), RNG.integers(0, 7, 400)


def test_counts_are_scikit_learns():
    assert_array_equal(confusion_counts(TARGETS, PREDICTIONS, 7), confusion_matrix(TARGETS, PREDICTIONS, labels=range(7)))


def test_similarity_is_the_oracles_a_class_without_samples_included():
    counts = confusion_counts(TARGETS, PREDICTIONS, 7)
    assert_allclose(confusion_similarity(counts), oracles.ccsm(counts), rtol=0, atol=1e-7)
    assert_array_equal(confusion_similarity(counts)[6], [0, 0, 0, 0, 0, 0, 1])
    assert_array_equal(classes_with_samples(counts), range(6))


def test_counting_a_sample_twice_changes_nothing():
    counts = confusion_counts(TARGETS, PREDICTIONS, 7)
    assert_array_equal(confusion_similarity(2 * counts), confusion_similarity(counts))


@pytest.mark.parametrize(
    ("targets", "predictions", "code", "fields"),
    [
        ([0, 1], [0], "shapes", {"targets": (2,), "predictions": (1,)}),
        ([0, 7], [0, 1], "unknown-class", {"values": "target", "number": 7}),
        ([0, 1], [0, -1], "unknown-class", {"values": "prediction", "number": -1}),
    ],
)
def test_confusion_counts_invalid_input_is_refused(targets, predictions, code, fields):
    with raises(code, UsageError, **fields):
        confusion_counts(np.array(targets), np.array(predictions), 7)


@pytest.mark.parametrize("counts", [np.ones((2, 3), dtype=int), np.array([[1, -1], [0, 1]]), np.ones(4, dtype=int)])
def test_confusion_similarity_of_another_matrix_is_refused(counts):
    with raises("not-confusion-counts", UsageError):
        confusion_similarity(counts)


def test_a_class_with_one_sample_takes_part_and_types_are_stored_ones():
    counts = np.array([[0, 1, 0], [0, 3, 1], [0, 0, 0]])
    similarity = confusion_similarity(counts)
    assert similarity.dtype == np.float32
    assert_array_equal(similarity, [[1, 1, 0], [0, 1, 0.25], [0, 0, 1]])
    assert_array_equal(classes_with_samples(counts), [0, 1])
