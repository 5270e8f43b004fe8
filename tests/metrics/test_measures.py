"""The measures on two arrays of values: closed forms that need no oracle."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from dsi_cli.metrics import measures
from dsi_cli.metrics.measures import ProductMeasure, Spread


def test_off_diagonal_and_its_order():
    assert measures.off_diagonal(np.arange(16.0).reshape(4, 4)).tolist() == [
        [1, 2, 3],
        [4, 6, 7],
        [8, 9, 11],
        [12, 13, 14],
    ]


def product_measure(name, x, y):
    spreads = (Spread(len(v), v.mean(), ((v - v.mean()) ** 2).sum()) for v in (x, y))
    product = (x - x.mean()) @ (y - y.mean())
    return ProductMeasure.of(name, *spreads).values(product)


@pytest.mark.parametrize(
    ("measure", "expected"), [("cosine", 0.8), ("mse", 1 / 6), ("pearson", 0.5)]
)
def test_product_measure_of_three_values_equals_the_closed_form(measure, expected):
    x, y = np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 0.5])
    assert_allclose(product_measure(measure, x, y), expected, rtol=1e-12)


def test_product_measure_of_equal_values_is_exact():
    x = np.random.default_rng(0).random(99)
    assert product_measure("cosine", x, x) == product_measure("pearson", x, x) == 1.0
    assert product_measure("mse", x, x) == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rising_order_sorts_ties_zeros_and_negative_values_as_numpy_does(dtype):
    values = np.random.default_rng(1).integers(-9, 9, 500) / np.array(7, dtype=dtype)
    values[::50] = -0.0
    values[:4] = [np.finfo(dtype).max, np.finfo(dtype).min, 1e-40, -1e-40]
    expected = np.argsort(values, kind="stable")
    assert measures.rising_order(values).tolist() == expected.tolist()


def test_kendall_is_tau_b_and_kendall_a_is_tau_a():
    x, y = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 0.5, 0.7, 1.0])
    assert_allclose(
        measures.kendall(np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 0.5])), 1 / 3
    )
    found = measures.kendall(x, y), *measures.kendall_a(x, np.stack([y, y]))
    assert_allclose(found, [4 / np.sqrt(4 * 6), 4 / 6, 4 / 6], rtol=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_rounding_does_not_take_pearson_past_one(sign):
    past = 0
    for seed in range(200):
        x = np.random.default_rng(seed).random(10)
        y = sign * (3 * x + 1)
        u, v = x - x.mean(), y - y.mean()
        past += abs(u @ v / np.sqrt((u @ u) * (v @ v))) > 1
        assert abs(product_measure("pearson", x, y)) <= 1.0
    assert past
