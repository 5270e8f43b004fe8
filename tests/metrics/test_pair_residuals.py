"""Residuals of pairs against least squares on the known pairs, and their invariances."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from dsi_cli.metrics.pair_residuals import (
    closeness,
    filled,
    pair_residuals,
    upper,
    without_class_effects,
)

SIZE = 12
MISSING = ((0, 1), (0, 5), (3, 4), (3, 9))


def symmetric(seed, missing=()):
    values = np.random.default_rng(seed).normal(size=(SIZE, SIZE))
    matrix = values + values.T
    for pair in missing:
        matrix[pair] = matrix[pair[::-1]] = np.nan
    return matrix


def left_by_least_squares(matrix, *others):
    """Return the known pairs, and what one effect per class and other matrices leave of
    them.
    """
    pairs = [
        pair for pair in combinations(range(SIZE), 2) if not np.isnan(matrix[pair])
    ]
    design = np.zeros((len(pairs), SIZE + len(others)))
    for row, pair in enumerate(pairs):
        design[row, list(pair)] = 1
        design[row, SIZE:] = [other[pair] for other in others]
    values = np.array([matrix[pair] for pair in pairs])
    fit = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return tuple(np.transpose(pairs)), values - fit


@pytest.mark.parametrize("missing", [(), MISSING])
def test_class_effects_are_those_of_least_squares_on_the_known_pairs(missing):
    matrix = symmetric(0, missing)
    pairs, left = left_by_least_squares(matrix)
    residuals = without_class_effects(matrix)
    assert_allclose(residuals[pairs], left, atol=1e-6)
    assert np.count_nonzero(np.isnan(upper(residuals))) == len(missing)
    # Missing pairs are filled by the fit, so they have no residuals.
    rest = without_class_effects(filled(matrix))
    for pair in missing:
        assert rest[pair] == pytest.approx(0, abs=1e-6)


def test_class_effects_of_a_class_without_pairs_are_missing():
    matrix = symmetric(0)
    matrix[2] = matrix[:, 2] = np.nan
    residuals = without_class_effects(matrix)
    others = np.delete(np.arange(SIZE), 2)
    assert np.isnan(residuals[2, others]).all()
    square = np.ix_(others, others)
    assert_allclose(residuals[square], without_class_effects(matrix[square]))


def test_pair_residuals_are_those_of_a_regression_on_reference_and_classes():
    similarity, reference = symmetric(1), symmetric(2)
    pairs, left = left_by_least_squares(similarity, reference)
    deviation = 1.4826 * np.median(np.abs(left - np.median(left)))
    residuals = pair_residuals(similarity, reference)
    assert_allclose(residuals[pairs], left / deviation, rtol=1e-9)


def test_pair_residuals_of_classes_that_the_reference_lacks_are_those_without_it():
    similarity, reference = symmetric(1), symmetric(2)
    reference[7] = reference[:, 7] = np.nan
    pairs = 7, np.delete(np.arange(SIZE), 7)
    plain = pair_residuals(similarity)[pairs]
    ratios = pair_residuals(similarity, reference)[pairs] / plain
    assert_allclose(ratios, ratios[0])
    assert ratios[0] > 1, "the other pairs are explained in part"


def test_pair_residuals_ignore_effects_of_classes_scale_and_order():
    generator = np.random.default_rng(3)
    similarity, reference = symmetric(4, MISSING), symmetric(5)
    expected = pair_residuals(similarity, reference)
    effects = generator.normal(size=SIZE)
    moved = 3 * similarity + effects + effects[:, None]
    assert_allclose(pair_residuals(moved, 2 * reference), expected, atol=1e-6)
    order = np.ix_(*[generator.permutation(SIZE)] * 2)
    renumbered = pair_residuals(similarity[order], reference[order])
    assert_allclose(renumbered, expected[order], atol=1e-9)


def test_closeness_of_the_median_nearest_class_is_1():
    close = closeness(symmetric(6, MISSING))
    nearest = [max(np.delete(row, index)) for index, row in enumerate(close)]
    assert np.median(nearest) == pytest.approx(1)
    assert (close == -np.inf).sum() == SIZE + 2 * len(MISSING)


def test_closeness_without_pairs_is_that_of_missing_ones():
    assert (closeness(pair_residuals(np.full((9, 9), np.nan))) == -np.inf).all()
