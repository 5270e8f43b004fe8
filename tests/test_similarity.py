"""Cosine similarities of weights, confusion counts and templates, compared with slow
float64 oracles.
"""

import numpy as np
import pytest
from helpers import oracles, oracles_testset
from helpers.errors import raises
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import issparse
from sklearn.metrics import confusion_matrix

from dsi_cli import similarity
from dsi_cli.errors import NotFiniteError, UsageError
from dsi_cli.similarity import (
    Cosines,
    as_rows,
    centred_weight_similarity,
    confusion_counts,
    confusion_similarity,
    mean_row_ratio,
    template_similarity,
    weight_similarity,
    zero_rows,
)

BOTH = (weight_similarity, centred_weight_similarity)
SHAPES = [(2, 1), (2, 7), (5, 3), (17, 64), (100, 320)]


def head(classes: int, width: int, dtype: type = np.float32) -> np.ndarray:
    rng = np.random.default_rng([classes, width])
    return (rng.normal(size=(classes, width)) + rng.normal(size=width)).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weight_similarity_equals_the_oracle(shape, dtype):
    weight = head(*shape, dtype=dtype)
    assert_allclose(weight_similarity(weight), oracles.ncsm(weight), rtol=0, atol=1e-6)
    assert_allclose(
        centred_weight_similarity(weight),
        oracles.ncsm_centred(weight),
        rtol=0,
        atol=1e-6,
    )
    assert_allclose(mean_row_ratio(weight), oracles.mean_row(weight), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e6, 1e30])
def test_scaling_the_weights_changes_nothing(scale, dtype):
    weight = head(12, 20, dtype)
    scaled = (weight * scale).astype(dtype)
    assert_allclose(
        weight_similarity(scaled), weight_similarity(weight), rtol=0, atol=1e-6
    )
    assert_allclose(weight_similarity(scaled), oracles.ncsm(weight), rtol=0, atol=1e-6)
    assert_allclose(
        centred_weight_similarity(scaled),
        oracles.ncsm_centred(weight),
        rtol=0,
        atol=1e-6,
    )
    assert_allclose(mean_row_ratio(scaled), mean_row_ratio(weight), rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "exponent"),
    [
        (np.float32, -149),
        (np.float32, 121),
        (np.float64, -1074),
        (np.float64, -1060),
        (np.float64, 1017),
    ],
    ids=[
        "float32 denormal",
        "float32 huge",
        "float64 denormal",
        "float64 nearly denormal",
        "float64 huge",
    ],
)
def test_weight_similarity_at_the_ends_of_the_number_range_is_exact(dtype, exponent):
    # Small integers, which any power of two scales without rounding
    weight = (
        np.random.default_rng(15).integers(-99, 100, size=(12, 9)).astype(np.float64)
    )
    scaled = np.ldexp(weight, exponent).astype(dtype)
    assert np.isfinite(scaled).all()
    assert_array_equal(
        np.ldexp(scaled.astype(np.float64), -(exponent // 2)),
        np.ldexp(weight, exponent - exponent // 2),
    )
    assert_allclose(weight_similarity(scaled), oracles.ncsm(weight), rtol=0, atol=1e-6)
    assert_allclose(
        centred_weight_similarity(scaled),
        oracles.ncsm_centred(weight),
        rtol=0,
        atol=1e-6,
    )
    assert_allclose(mean_row_ratio(scaled), oracles.mean_row(weight), rtol=1e-6)


@pytest.mark.parametrize("shape", [*SHAPES, (301, 77)])
@pytest.mark.parametrize("similarity", BOTH)
def test_exactly_symmetric_with_a_unit_diagonal(similarity, shape):
    csm = similarity(head(*shape))
    assert csm.dtype == np.float32
    assert csm.shape == (shape[0], shape[0])
    assert_array_equal(csm, csm.T)
    assert_array_equal(np.diagonal(csm), 1.0)
    assert np.abs(csm).max() <= 1.0


@pytest.mark.parametrize("similarity", BOTH)
def test_weight_similarity_leaves_its_input_unchanged(similarity):
    weight = head(6, 5, np.float64)
    before = weight.copy()
    similarity(weight)
    assert_array_equal(weight, before)


@pytest.mark.parametrize("similarity", BOTH)
def test_a_convolution_head_is_flattened(similarity):
    weight = head(6, 5)
    assert_array_equal(similarity(weight[:, :, None, None]), similarity(weight))
    assert mean_row_ratio(weight[:, :, None, None]) == mean_row_ratio(weight)
    assert as_rows(weight[:, :, None, None]).shape == (6, 5)


def test_a_zero_row_is_like_itself_alone():
    weight = head(6, 5)
    weight[[1, 4]] = 0.0
    csm = weight_similarity(weight)
    assert_allclose(csm, oracles.ncsm(weight), rtol=0, atol=1e-6)
    assert csm[1].tolist() == [0, 1, 0, 0, 0, 0]
    assert zero_rows(weight) == [1, 4]
    assert zero_rows(head(6, 5)) == []


@pytest.mark.parametrize("shift", [0.5, -3.0])
def test_adding_one_vector_to_all_rows_changes_no_centred_similarity(shift):
    weight = head(12, 20, np.float64)
    moved = weight + shift * np.arange(20)
    assert_allclose(
        centred_weight_similarity(moved),
        centred_weight_similarity(weight),
        rtol=0,
        atol=1e-6,
    )
    assert np.abs(weight_similarity(moved) - weight_similarity(weight)).max() > 0.1


@pytest.mark.parametrize("level", [0.1, 1e30, 1e-320])
@pytest.mark.parametrize("classes", [2, 3, 7, 100])
def test_rows_that_are_all_the_same_have_no_centred_direction(level, classes):
    """Three times 0.1 over 3 is not 0.1: what is left of such rows is rounding."""
    weight = np.full((classes, 5), level)
    assert_array_equal(centred_weight_similarity(weight), np.eye(classes))
    assert_allclose(mean_row_ratio(weight), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    "function", [*BOTH, mean_row_ratio, zero_rows, as_rows, Cosines.of]
)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(function, bad):
    weight = head(9, 4)
    weight[3, 1] = weight[7, 0] = bad
    with pytest.raises(
        NotFiniteError, match=r"^NaN or infinite weights in class 3, 7 of 9:"
    ):
        function(weight)


@pytest.mark.parametrize("shape", [(1, 4), (0, 4), (4, 0), (4,), ()])
@pytest.mark.parametrize("similarity", BOTH)
def test_fewer_than_two_classes_or_no_weights(similarity, shape):
    with pytest.raises(
        UsageError,
        match=(
            r"needs the weights of two classes or more, \(C, d\); this array has"
            r" shape \("
        ),
    ):
        similarity(np.ones(shape))


WEIGHT = np.random.default_rng(0).normal(size=(30, 12))
WEIGHT[4] = 0.0


@pytest.mark.parametrize(
    ("centred", "whole"),
    [(False, weight_similarity), (True, centred_weight_similarity)],
)
def test_rows_are_those_of_the_whole_matrix(centred, whole):
    rows, expected = Cosines.of(WEIGHT, centred=centred), whole(WEIGHT)
    assert_allclose(rows.block(3, 11), expected[3:11], atol=1e-6)
    assert_array_equal(np.diagonal(rows.block(0, 30)), 1.0)
    order = np.array([7, 2, 29, 4])
    assert_allclose(
        rows.take(order).block(0, 4), expected[np.ix_(order, order)], atol=1e-6
    )
    found = rows.between(order, np.array([4, 7, 7]))
    assert_allclose(found, expected[np.ix_(order, [4, 7, 7])], atol=1e-6)
    assert (found[0, 1], found[0, 2], found[3, 0]) == (1.0, 1.0, 1.0)


RNG = np.random.default_rng(3)
TARGETS, PREDICTIONS = RNG.integers(0, 6, 400), RNG.integers(0, 7, 400)


def test_counts_are_scikit_learns_and_sparse_for_very_many_classes(monkeypatch):
    expected = confusion_matrix(TARGETS, PREDICTIONS, labels=range(7))
    assert_array_equal(confusion_counts(TARGETS, PREDICTIONS, 7), expected)
    monkeypatch.setattr(similarity, "MAX_DENSE_CLASSES", 2)
    found = confusion_counts(TARGETS, PREDICTIONS, 7)
    assert issparse(found)
    assert_array_equal(found.toarray(), expected)


def test_similarity_is_the_oracles_a_class_without_samples_included():
    counts = confusion_counts(TARGETS, PREDICTIONS, 7)
    assert_allclose(
        confusion_similarity(counts), oracles.ccsm(counts), rtol=0, atol=1e-7
    )
    assert_array_equal(confusion_similarity(counts)[6], [0, 0, 0, 0, 0, 0, 1])
    assert_array_equal(confusion_similarity(2 * counts), confusion_similarity(counts))
    assert_allclose(
        confusion_similarity(np.array([[6e4, 1e4], [1, 0]], np.float16))[0, 1],
        1 / 7,
        rtol=1e-3,
    )


@pytest.mark.parametrize(
    "counts",
    [np.ones((2, 3), dtype=int), np.array([[1, -1], [0, 1]]), np.ones(4, dtype=int)],
)
def test_confusion_similarity_of_another_matrix_is_refused(counts):
    with raises("not-confusion-counts", UsageError):
        confusion_similarity(counts)


def test_a_class_with_one_sample_takes_part_and_types_are_stored_ones():
    counts = np.array([[0, 1, 0], [0, 3, 1], [0, 0, 0]])
    similarity = confusion_similarity(counts)
    assert similarity.dtype == np.float32
    assert_array_equal(similarity, [[1, 1, 0], [0, 1, 0.25], [0, 0, 1]])


def featured(classes: int, samples: int, width: int, seed: int = 0):
    """Return features that are never negative, and the classes of the samples, unevenly
    many of each.
    """
    rng = np.random.default_rng([classes, samples, width, seed])
    targets = np.concatenate(
        [
            np.arange(classes),
            rng.integers(0, rng.integers(1, classes + 1), samples - classes),
        ]
    )
    centres = rng.exponential(size=(classes, width))
    return np.maximum(0, centres[targets] + rng.normal(size=(samples, width))), targets


def summed(features, targets, classes: int):
    sums = np.zeros((classes, features.shape[1]))
    np.add.at(sums, targets, features)
    return sums, np.bincount(targets, minlength=classes)


@pytest.mark.parametrize(
    ("classes", "samples", "width"),
    [(2, 2, 1), (3, 40, 5), (10, 300, 36), (40, 500, 128)],
)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_template_similarity_equals_the_oracle(classes, samples, width, kind):
    features, targets = featured(classes, samples, width)
    found = template_similarity(
        *(part.astype(kind) for part in summed(features, targets, classes))
    )
    assert_allclose(
        found,
        oracles_testset.template_similarity(features, targets, classes),
        rtol=0,
        atol=1e-6,
    )


def test_a_class_without_a_sample_is_lacking():
    features, targets = featured(6, 60, 8)
    targets[targets == 2] = 3
    found = template_similarity(*summed(features, targets, 6))
    kept = np.array([0, 1, 3, 4, 5])
    expected = oracles_testset.template_similarity(features, targets, 6)[
        np.ix_(kept, kept)
    ]
    assert_allclose(found[np.ix_(kept, kept)], expected, rtol=0, atol=1e-6)
    assert np.isnan(found[2]).all()
    assert np.isnan(found[:, 2]).all()


@pytest.mark.parametrize("zeros", [[1], [0, 3]])
def test_features_that_are_zero_are_like_themselves_alone(zeros):
    features, targets = featured(4, 30, 6)
    features[np.isin(targets, zeros)] = 0
    found = template_similarity(*summed(features, targets, 4))
    assert_allclose(
        found,
        oracles_testset.template_similarity(features, targets, 4),
        rtol=0,
        atol=1e-6,
    )
    assert_array_equal(found[zeros], np.eye(4)[zeros])


def test_exactly_symmetric_float32_with_a_unit_diagonal():
    found = template_similarity(*summed(*featured(30, 400, 50), 30))
    assert found.dtype == np.float32
    assert_array_equal(found, found.T)
    assert_array_equal(np.diagonal(found), 1)
    assert found.min() >= 0, (
        "features that are never negative have no angle above 90 degrees"
    )


def test_permuting_the_classes_permutes_the_matrix():
    sums, samples = summed(*featured(12, 200, 20), 12)
    order = np.random.default_rng(1).permutation(12)
    found = template_similarity(sums[order], samples[order])
    assert_allclose(
        found,
        template_similarity(sums, samples)[np.ix_(order, order)],
        rtol=0,
        atol=1e-6,
    )


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
