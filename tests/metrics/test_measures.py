"""The measures on two arrays of values: closed forms that need no oracle."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from dsi_cli.metrics import measures


def test_off_diagonal_and_its_order():
    assert measures.off_diagonal(np.arange(16.0).reshape(4, 4)).tolist() == [
        [1, 2, 3],
        [4, 6, 7],
        [8, 9, 11],
        [12, 13, 14],
    ]


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (measures.cosine, 0.8),
        (measures.mae, 1 / 3),
        (measures.mse, 1 / 6),
        (measures.pearson, 0.5),
        (measures.kendall, 1 / 3),
    ],
)
def test_closed_forms(measure, expected):
    assert_allclose(
        measure(np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 0.5])),
        expected,
        rtol=1e-12,
    )


def test_kendall_is_tau_b_and_kendall_a_is_tau_a():
    x, y = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 0.5, 0.7, 1.0])
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
        assert abs(measures.pearson(x, y)) <= 1.0
    assert past
