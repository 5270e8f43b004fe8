"""The geometry of class vectors against slow definitions, the bound of rounding, and
the correlation of two heads.
"""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from helpers import oracles
from numpy.testing import assert_allclose

from dsi_cli.errors import DsiError
from dsi_cli.metrics.head_geometry import (
    COSINE_ROUNDING,
    angles,
    correlation_z,
    geometry_and_spectrum,
    head_geometry,
    random_heads,
    rounding,
    spectrum_shares,
)
from dsi_cli.similarity import centre, unit_rows, weight_similarity

SHAPES = [(5, 12), (12, 5), (10, 36), (30, 30), (3, 2)]


def head(shape, seed=0):
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal(shape) @ rng.standard_normal(
        (shape[1], shape[1])
    ) + rng.standard_normal(shape[1])
    return (weight * rng.uniform(0.1, 3, (shape[0], 1))).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_head_geometry_random_head_equals_the_oracle(shape):
    weight = head(shape)
    for name, expected in oracles.head_geometry(weight).items():
        assert getattr(head_geometry(weight), name) == pytest.approx(
            expected, rel=1e-6, abs=1e-6
        ), name


def test_head_geometry_simplex_has_the_ideal_values():
    classes = 7
    simplex = np.eye(classes) - 1 / classes
    geometry = head_geometry(
        simplex
        @ np.linalg.qr(np.random.default_rng(1).standard_normal((9, classes)))[0].T
    )
    assert geometry.centred_effective_rank == pytest.approx(classes - 1)
    assert geometry.centred_stable_rank == pytest.approx(classes - 1)
    assert [
        geometry.norm_variation,
        geometry.angle_deviation,
        geometry.angle_spread,
    ] == pytest.approx([0, 0, 0], abs=1e-7)


def test_head_geometry_shift_of_all_rows_changes_no_centred_index():
    weight = head((12, 20)).astype(np.float64)
    first, second = (
        vars(head_geometry(rows)) for rows in (weight, weight + np.linspace(-5, 5, 20))
    )
    centred = [name for name in first if name.startswith(("centred", "angle"))]
    assert [second[name] for name in centred] == pytest.approx(
        [first[name] for name in centred]
    )


@pytest.mark.parametrize("scale", [1e-38, 1.0, 1e38])
def test_head_geometry_scale_changes_nothing(scale):
    weight = np.clip(head((6, 9)), -3, 3)
    expected = list(vars(head_geometry(weight)).values())
    assert list(
        vars(head_geometry((weight * scale).astype(np.float32))).values()
    ) == pytest.approx(expected, rel=1e-4)


def test_head_geometry_zero_row_counts_as_a_norm_but_not_as_an_angle():
    weight = head((6, 9)).astype(np.float64)
    weight -= weight.mean(axis=0)
    with_zero = np.vstack([weight, np.zeros(9)])
    geometry, without = head_geometry(with_zero), head_geometry(weight)
    assert geometry.angle_deviation == pytest.approx(without.angle_deviation)
    assert geometry.norm_variation == pytest.approx(
        oracles.head_geometry(with_zero)["norm_variation"]
    )


@pytest.mark.parametrize(
    "weight", [np.ones(3), np.ones((1, 3)), np.ones((3, 0)), np.full((3, 2), np.nan)]
)
def test_head_geometry_of_what_is_no_weight_is_an_error(weight):
    with pytest.raises(DsiError):
        head_geometry(weight)


def test_head_geometry_flattens_a_convolution():
    assert head_geometry(head((5, 3)).reshape(5, 3, 1, 1)) == head_geometry(
        head((5, 3))
    )


@pytest.mark.parametrize(
    "weight", [np.zeros((3, 4)), np.ones((3, 4))], ids=["zero", "equal"]
)
def test_head_geometry_without_directions_is_none(weight):
    geometry = head_geometry(weight)
    assert [
        geometry.centred_effective_rank,
        geometry.centred_stable_rank,
        geometry.centred_norm_variation,
    ] == [None] * 3
    assert [geometry.angle_deviation, geometry.angle_spread] == [None, None]
    assert (geometry.effective_rank is None) == (not weight.any())


def test_head_geometry_two_classes_are_always_opposite():
    geometry = head_geometry(head((2, 8)))
    assert [geometry.angle_deviation, geometry.angle_spread] == pytest.approx(
        [0, 0], abs=1e-7
    )
    assert geometry.centred_effective_rank == pytest.approx(1)


def test_random_heads_are_the_same_again_and_hold_other_random_heads():
    means, deviations, *_ = random_heads(40, 60)
    random_heads.cache_clear()
    assert random_heads(40, 60)[:2] == (means, deviations)
    other = head_geometry(np.random.default_rng(9).standard_normal((40, 60)))
    for name, mean in vars(means).items():
        assert abs(getattr(other, name) - mean) < 5 * getattr(deviations, name), name


@pytest.mark.parametrize("shape", SHAPES)
def test_spectrum_random_head_equals_numpys_singular_values(shape):
    weight = head(shape)
    expected = oracles.spectrum(weight)
    _, spectrum = geometry_and_spectrum(weight)
    assert spectrum == pytest.approx(expected, rel=1e-6, abs=1e-7 * expected[0])
    assert spectrum_shares(spectrum) == pytest.approx(
        expected**2 / (expected**2).sum(), rel=1e-6, abs=1e-12
    )


def test_spectrum_shift_and_rotation_change_nothing():
    weight = head((12, 20)).astype(np.float64)
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((20, 20)))[0]
    rotated = (weight + np.linspace(-5, 5, 20)) @ rotation
    assert geometry_and_spectrum(rotated)[1] == pytest.approx(
        geometry_and_spectrum(weight)[1]
    )


def test_spectrum_of_one_direction_has_one_value_above_rounding():
    spectrum = geometry_and_spectrum(np.outer(np.arange(6), np.ones(4)))[1]
    assert spectrum == pytest.approx([math.sqrt(4 * 17.5), 0, 0, 0], abs=1e-12)


@pytest.mark.parametrize(
    "shape", [(30, 8), (3, 320)]
)  # rounding gives the second one a third value
def test_random_heads_shares_are_the_mean_over_their_draws(shape):
    generator = np.random.default_rng(0)
    spectra = [oracles.spectrum(generator.standard_normal(shape)) for _ in range(20)]
    shares = [spectrum**2 / (spectrum**2).sum() for spectrum in spectra]
    assert random_heads(*shape).shares == pytest.approx(np.mean(shares, axis=0))
    assert random_heads(*shape).share_deviations == pytest.approx(
        np.std(shares, axis=0, ddof=1)
    )


def test_random_heads_of_many_values_follow_marchenko_and_pastur():
    """The largest squared singular value is near the edge of the distribution,
    ``(sqrt(C) + sqrt(d)) ** 2``.
    """
    classes, features = 400, 100
    edge = (math.sqrt(classes) + math.sqrt(features)) ** 2 / (classes * features)
    assert random_heads(classes, features).shares[0] == pytest.approx(edge, rel=0.05)


def test_angles_equal_the_arc_cosine_and_resolve_small_angles():
    first, second = (
        head((8, 5)).astype(np.float64),
        head((8, 5), seed=1).astype(np.float64),
    )
    cosines = [
        a @ b / math.sqrt(a @ a * (b @ b)) for a, b in zip(first, second, strict=True)
    ]
    assert angles(first, second) == pytest.approx(np.degrees(np.arccos(cosines)))
    assert (
        angles(first, 3 * first).tolist() == [0.0] * 8
        or angles(first, 3 * first).max() < 1e-12
    )
    assert angles(np.array([[1.0, 0.0]]), np.array([[1.0, 1e-9]]))[0] == pytest.approx(
        math.degrees(1e-9)
    )
    assert angles(first, -first).tolist() == pytest.approx([180.0] * 8)
    assert np.isnan(angles(np.zeros((1, 3)), np.ones((1, 3)))).all(), (
        "a zero row has no direction"
    )


def normal_head(classes=6, features=40, seed=0):
    return (
        np.random.default_rng(seed).normal(size=(classes, features)).astype(np.float32)
    )


def cosines(weight):
    unit = unit_rows(weight.astype(np.float64))
    return unit @ unit.T


@pytest.mark.parametrize("features", [3, 320, 8192])
def test_cosine_rounding_bounds_the_error_of_the_float32_ncsm(features):
    weight = np.abs(normal_head(50, features))
    error = np.abs(weight_similarity(weight) - cosines(weight))
    assert error.max() < COSINE_ROUNDING


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e-7, 300.0])
@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
)
def test_rounding_explains_a_rounded_copy_but_no_larger_change(dtype, scale):
    weight = np.clip(normal_head(seed=3) * np.float32(scale), -400, 400)
    copy = torch.from_numpy(weight).to(getattr(torch, dtype)).to(torch.float32).numpy()
    found = rounding(weight, copy, ("float32", dtype))
    assert not found.exceeded.any()
    known = copy.any(axis=1)
    assert (angles(weight, copy)[known] <= found.angle[known]).all()
    length = np.linalg.norm(weight, axis=1)
    assert (
        np.abs(cosines(copy) - cosines(weight))
        <= found.relative[:, None] + found.relative
    )[np.ix_(known, known)].all()
    copy[2] += length.max() + 1
    assert (
        rounding(weight, copy, ("float32", dtype)).exceeded.tolist()
        == [False] * 2 + [True] + [False] * 3
    )


def test_rounding_of_an_unknown_dtype_explains_nothing():
    assert rounding(
        normal_head(), normal_head() * np.float32(1.001), ("float32", "qint8")
    ).exceeded.all()


def test_correlation_z_is_that_of_all_orders_of_the_features():
    first, second = (
        normal_head(9, 6, seed=1),
        normal_head(9, 6, seed=1) + 2 * normal_head(9, 6, seed=2),
    )
    one, other = (
        unit_rows(centre(first.astype(np.float64))),
        unit_rows(centre(second.astype(np.float64))),
    )
    null = [(one * other[:, list(order)]).sum() for order in permutations(range(6))]
    expected = ((one * other).sum() - np.mean(null)) / np.std(null)
    assert_allclose(correlation_z(first, second), expected)


def test_correlation_z_of_independent_heads_is_chance():
    z = [
        correlation_z(normal_head(30, 64, seed), normal_head(30, 64, seed + 1000))
        for seed in range(200)
    ]
    assert abs(np.mean(z)) < 0.25
    assert 0.85 < np.std(z) < 1.15
    assert correlation_z(normal_head(30), normal_head(30)) > 20
    assert correlation_z(normal_head(3), normal_head(3) + normal_head(3, seed=1)) > 3, (
        "three classes are enough"
    )
    assert correlation_z(np.ones((4, 3)), normal_head(4, 3)) is None
