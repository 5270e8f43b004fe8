"""The NCSM: cosine similarity of classifier rows, plain and centred."""

import numpy as np
import pytest
from helpers import oracles
from numpy.testing import assert_allclose, assert_array_equal

from dsi_cli.errors import NotFiniteError, UsageError
from dsi_cli.similarity import as_rows, centred_weight_similarity, mean_row_ratio, weight_similarity, zero_rows

BOTH = (weight_similarity, centred_weight_similarity)
SHAPES = [(2, 1), (2, 7), (5, 3), (17, 64), (100, 320)]


def head(classes: int, width: int, dtype: type = np.float32) -> np.ndarray:
    rng = np.random.default_rng([classes, width])
    return (rng.normal(size=(classes, width)) + rng.normal(size=width)).astype(dtype)


def exact_head() -> np.ndarray:
    """Small integers, which any power of two scales without rounding."""
    return np.random.default_rng(15).integers(-99, 100, size=(12, 9)).astype(np.float64)


# The matrices


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weight_similarity_equals_the_oracle(shape, dtype):
    weight = head(*shape, dtype=dtype)
    assert_allclose(weight_similarity(weight), oracles.ncsm(weight), rtol=0, atol=1e-6)
    assert_allclose(centred_weight_similarity(weight), oracles.ncsm_centred(weight), rtol=0, atol=1e-6)
    assert_allclose(mean_row_ratio(weight), oracles.mean_row(weight), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e6, 1e30])
def test_scaling_the_weights_changes_nothing(scale, dtype):
    weight = head(12, 20, dtype)
    scaled = (weight * scale).astype(dtype)
    assert_allclose(weight_similarity(scaled), weight_similarity(weight), rtol=0, atol=1e-6)
    assert_allclose(weight_similarity(scaled), oracles.ncsm(weight), rtol=0, atol=1e-6)
    assert_allclose(centred_weight_similarity(scaled), oracles.ncsm_centred(weight), rtol=0, atol=1e-6)
    assert_allclose(mean_row_ratio(scaled), mean_row_ratio(weight), rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "exponent"),
    [(np.float32, -149), (np.float32, 121), (np.float64, -1074), (np.float64, -1060), (np.float64, 1017)],
    ids=["float32 denormal", "float32 huge", "float64 denormal", "float64 nearly denormal", "float64 huge"],
)
def test_weight_similarity_at_the_ends_of_the_number_range_is_exact(dtype, exponent):
    weight = exact_head()
    scaled = np.ldexp(weight, exponent).astype(dtype)
    assert np.isfinite(scaled).all()
    assert_array_equal(np.ldexp(scaled.astype(np.float64), -(exponent // 2)), np.ldexp(weight, exponent - exponent // 2))
    assert_allclose(weight_similarity(scaled), oracles.ncsm(weight), rtol=0, atol=1e-6)
    assert_allclose(centred_weight_similarity(scaled), oracles.ncsm_centred(weight), rtol=0, atol=1e-6)
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


# Rows without a direction


def test_a_zero_row_is_like_itself_alone():
    weight = head(6, 5)
    weight[[1, 4]] = 0.0
    csm = weight_similarity(weight)
    assert_allclose(csm, oracles.ncsm(weight), rtol=0, atol=1e-6)
    assert csm[1].tolist() == [0, 1, 0, 0, 0, 0]
    assert zero_rows(weight) == [1, 4]
    assert zero_rows(head(6, 5)) == []


# Centred


@pytest.mark.parametrize("shift", [0.5, -3.0])
def test_adding_one_vector_to_all_rows_changes_no_centred_similarity(shift):
    weight = head(12, 20, np.float64)
    moved = weight + shift * np.arange(20)
    assert_allclose(centred_weight_similarity(moved), centred_weight_similarity(weight), rtol=0, atol=1e-6)
    assert np.abs(weight_similarity(moved) - weight_similarity(weight)).max() > 0.1


@pytest.mark.parametrize("level", [0.1, 1e30, 1e-320])
@pytest.mark.parametrize("classes", [2, 3, 7, 100])
def test_rows_that_are_all_the_same_have_no_centred_direction(level, classes):
    """Three times 0.1 over 3 is not 0.1: what is left of such rows is rounding."""
    weight = np.full((classes, 5), level)
    assert_array_equal(centred_weight_similarity(weight), np.eye(classes))
    assert_allclose(mean_row_ratio(weight), 1.0, rtol=1e-12)


# Errors


@pytest.mark.parametrize("function", [*BOTH, mean_row_ratio, zero_rows, as_rows])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(function, bad):
    weight = head(9, 4)
    weight[3, 1] = weight[7, 0] = bad
    with pytest.raises(NotFiniteError, match=r"^NaN or infinite weights in class 3, 7 of 9:"):
        function(weight)


@pytest.mark.parametrize("shape", [(1, 4), (0, 4), (4, 0), (4,), ()])
@pytest.mark.parametrize("similarity", BOTH)
def test_fewer_than_two_classes_or_no_weights(similarity, shape):
    with pytest.raises(UsageError, match=r"needs the weights of two classes or more, \(C, d\); this array has shape \("):
        similarity(np.ones(shape))
