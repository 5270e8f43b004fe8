"""Fits of names and senses against slow oracles."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from dsi_cli.metrics.name_fits import (
    agreement_without,
    name_fits,
    name_scores,
    own_fits,
    sense_fits,
)
from dsi_cli.metrics.pair_residuals import fisher, without_class_effects
from dsi_cli.similarity import centred_weight_similarity

SIZE = 15
INDEX = np.arange(SIZE)


@pytest.fixture
def cosines():
    weight = np.random.default_rng(4).normal(size=(SIZE, 40))
    return centred_weight_similarity(weight).astype(float)


@pytest.fixture
def similarity(cosines):
    return fisher(cosines)


@pytest.fixture
def reference():
    return np.exp(-np.abs(INDEX - INDEX[:, None]) / 3)


def test_name_fits_are_row_correlations_and_predictions(cosines, reference):
    similarity = fisher(cosines)
    correlations, predicted = np.zeros((SIZE, SIZE)), np.zeros((SIZE, SIZE))
    for one in range(SIZE):
        for name in range(SIZE):
            rows = []
            for matrix, own in ((similarity, one), (reference, name)):
                row = matrix[own].copy()
                row[own] = np.delete(row, own).mean()  # the class itself counts as mean
                rows.append(row)
            correlations[one, name] = np.arctanh(np.corrcoef(*rows)[0, 1])
            # The best linear prediction of the named class from all others.
            others = np.delete(INDEX, name)
            covariance = reference[np.ix_(others, others)] + np.eye(SIZE - 1)
            weights = np.linalg.solve(covariance, reference[others, name])
            product = weights[others != one] @ cosines[others[others != one], one]
            gram = cosines[np.ix_(others, others)]
            predicted[one, name] = product / np.sqrt(weights @ gram @ weights)
    off = ~np.eye(SIZE, dtype=bool)
    expected = correlations / correlations[off].std() + predicted / predicted[off].std()
    assert_allclose(name_fits(similarity, reference), expected, rtol=1e-6)


def test_sense_fits_stay_small_where_no_vectors_have_such_similarities(
    similarity, reference
):
    """Pairs that are set aside can make the squared length of a prediction negative."""
    near = INDEX < 5
    similarity[np.ix_(near, near)] = np.arctanh(-0.4)
    reference[np.ix_(near, near)] = 0.1
    np.fill_diagonal(reference, 1.0)
    row = np.where(near, 0.5, 0.0)[None]
    (fit,) = sense_fits(similarity, reference, row, np.array([SIZE - 1]))
    assert abs(fit) < 100


def test_name_fits_of_renumbered_classes_are_renumbered(similarity, reference):
    order = np.ix_(*[np.random.default_rng(5).permutation(SIZE)] * 2)
    fits = name_fits(similarity[order], reference[order])
    assert_allclose(fits, name_fits(similarity, reference)[order], atol=1e-9)


def test_sense_fits_of_the_used_senses_are_the_fits_of_the_own_names(
    similarity, reference
):
    fits = sense_fits(similarity, reference, reference, INDEX)
    assert_allclose(fits, np.diag(name_fits(similarity, reference)), rtol=1e-9)


def test_own_fits_are_correlations_of_rows_without_class_effects(similarity, reference):
    network, names = map(without_class_effects, (similarity, reference))
    expected = [
        np.corrcoef(np.delete(network[one], one), np.delete(names[one], one))[0, 1]
        for one in range(SIZE)
    ]
    assert_allclose(own_fits(similarity, reference), expected)


def test_agreement_without_a_class_is_the_correlation_of_the_other_pairs(
    similarity, reference
):
    network, names = map(without_class_effects, (similarity, reference))
    expected = []
    for one in range(SIZE):
        pairs = tuple(np.transpose(list(combinations(np.delete(INDEX, one), 2))))
        expected.append(np.corrcoef(network[pairs], names[pairs])[0, 1])
    assert_allclose(agreement_without(similarity, reference), expected)


def test_name_scores_add_the_best_name_exchange_and_chain():
    gains = np.random.default_rng(6).normal(size=(6, 6))
    expected = []
    for one in range(6):
        others = [name for name in range(6) if name != one]
        exchange = max((gains[one, name] + gains[name, one]) / 2 for name in others)
        chain = max(
            gains[one, name] + max(np.delete(gains[name], name)) / 2 for name in others
        )
        expected.append(max(gains[one, others]) + exchange + chain)
    assert_allclose(name_scores(gains), expected)
