"""Rows of an NCSM on demand are those of the whole one."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import issparse

from dsi_cli import similarity
from dsi_cli.errors import NotFiniteError
from dsi_cli.similarity import Cosines, centred_weight_similarity, confusion_counts, weight_similarity

WEIGHT = np.random.default_rng(0).normal(size=(30, 12))
WEIGHT[4] = 0.0


@pytest.mark.parametrize(("centred", "whole"), [(False, weight_similarity), (True, centred_weight_similarity)])
def test_rows_are_those_of_the_whole_matrix(centred, whole):
    rows, expected = Cosines.of(WEIGHT, centred=centred), whole(WEIGHT)
    assert_allclose(rows.block(3, 11), expected[3:11], atol=1e-6)
    assert_array_equal(np.diagonal(rows.block(0, 30)), 1.0)
    order = np.array([7, 2, 29, 4])
    assert_allclose(rows.take(order).block(0, 4), expected[np.ix_(order, order)], atol=1e-6)
    found = rows.between(order, np.array([4, 7, 7]))
    assert_allclose(found, expected[np.ix_(order, [4, 7, 7])], atol=1e-6)
    assert (found[0, 1], found[0, 2], found[3, 0]) == (1.0, 1.0, 1.0)


def test_weights_without_a_value_are_refused():
    with pytest.raises(NotFiniteError, match=r"^NaN or infinite weights in class 1 of 2"):
        Cosines.of(np.array([[1.0, 0.0], [np.nan, 1.0]]))


def test_counts_of_very_many_classes_are_sparse(monkeypatch):
    targets, predictions = np.array([0, 0, 1, 2]), np.array([0, 0, 2, 2])
    dense = confusion_counts(targets, predictions, 3)
    monkeypatch.setattr(similarity, "MAX_DENSE_CLASSES", 2)
    found = confusion_counts(targets, predictions, 3)
    assert issparse(found)
    assert_array_equal(found.toarray(), dense)
