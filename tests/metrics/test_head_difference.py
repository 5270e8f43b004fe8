"""The differences of two heads: the rounding bound for each dtype, and the correlation of heads against all relabellings."""

from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from dsi_cli.metrics import head_geometry
from dsi_cli.metrics.head_geometry import angles
from dsi_cli.similarity import centre, unit_rows


def head(classes=6, features=40, seed=0):
    return np.random.default_rng(seed).normal(size=(classes, features)).astype(np.float32)


def rounded(weight, dtype):
    return torch.from_numpy(weight).to(getattr(torch, dtype)).to(torch.float32).numpy()


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e-7, 300.0])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_rounding_explains_a_rounded_copy_but_no_larger_change(dtype, scale):
    weight = np.clip(head(seed=3) * np.float32(scale), -400, 400)
    copy = rounded(weight, dtype)
    found = head_geometry.rounding(weight, copy, ("float32", dtype))
    assert not found.exceeded.any()
    known = copy.any(axis=1)
    assert (angles(weight, copy)[known] <= found.angle[known]).all()
    length = np.linalg.norm(weight, axis=1)
    change = np.abs(head_geometry.cosines(copy) - head_geometry.cosines(weight))
    assert (change <= found.relative[:, None] + found.relative)[np.ix_(known, known)].all()
    copy[2] += length.max() + 1
    assert head_geometry.rounding(weight, copy, ("float32", dtype)).exceeded.tolist() == [False] * 2 + [True] + [False] * 3


def test_rounding_of_an_unknown_dtype_explains_nothing():
    assert head_geometry.rounding(head(), head() * np.float32(1.001), ("float32", "qint8")).exceeded.all()


def test_correlation_z_is_that_of_all_orders_of_the_features():
    first, second = head(9, 6, seed=1), head(9, 6, seed=1) + 2 * head(9, 6, seed=2)
    one, other = unit_rows(centre(first.astype(np.float64))), unit_rows(centre(second.astype(np.float64)))
    null = [(one * other[:, list(order)]).sum() for order in permutations(range(6))]
    expected = ((one * other).sum() - np.mean(null)) / np.std(null)
    assert_allclose(head_geometry.correlation_z(first, second), expected)


def test_correlation_z_of_independent_heads_is_chance():
    z = [head_geometry.correlation_z(head(30, 64, seed), head(30, 64, seed + 1000)) for seed in range(200)]
    assert abs(np.mean(z)) < 0.25
    assert 0.85 < np.std(z) < 1.15
    assert head_geometry.correlation_z(head(30), head(30)) > 20
    assert head_geometry.correlation_z(head(3), head(3) + head(3, seed=1)) > 3, "three classes are enough"
    assert head_geometry.correlation_z(np.ones((4, 3)), head(4, 3)) is None
