"""WSI: mean, max and min of a raw NCSM."""

import numpy as np
import pytest
from helpers import oracles
from helpers.errors import raises
from numpy.testing import assert_allclose

from dsi_cli.metrics import WSI_QUANTILE
from dsi_cli.metrics.wsi import max_wsi, mean_wsi, min_wsi

QUANTILES = (0.0, 0.5, 0.7, 0.9, 0.95, 0.99, 1.0)


@pytest.mark.parametrize("classes", [2, 3, 5, 12, 40, 100])
@pytest.mark.parametrize("kind", ["symmetric", "tied-symmetric"])
def test_wsi_equals_the_oracle(make_pair, kind, classes):
    csm, _ = make_pair(kind, classes)
    assert_allclose(mean_wsi(csm), oracles.wsi(csm, "mean"), atol=1e-9)
    for q in QUANTILES:
        assert_allclose(max_wsi(csm, q), oracles.wsi(csm, "max", q), atol=1e-9)
        assert_allclose(min_wsi(csm, q), oracles.wsi(csm, "min", q), atol=1e-9)


def test_wsi_default_quantile_is_that_of_the_paper(make_pair):
    csm, _ = make_pair("symmetric", 60)
    assert WSI_QUANTILE == 0.95
    assert max_wsi(csm) == max_wsi(csm, 0.95) != max_wsi(csm, 0.94)
    assert min_wsi(csm) == min_wsi(csm, 0.95) != min_wsi(csm, 0.94)


def test_an_exact_simplex_has_minus_one_over_c_less_one():
    simplex = np.eye(8) * (1 + 1 / 7) - 1 / 7
    assert_allclose(
        [mean_wsi(simplex), max_wsi(simplex), min_wsi(simplex)], -1 / 7, rtol=1e-12
    )


def test_wsi_of_permuted_classes_is_the_same(make_pair):
    csm, _ = make_pair("tied-symmetric", 30)
    order = np.random.default_rng(14).permutation(30)
    shown = csm[np.ix_(order, order)]
    for wsi in (mean_wsi, max_wsi, min_wsi):
        assert_allclose(wsi(shown), wsi(csm), rtol=1e-12)


@pytest.mark.parametrize("q", [-0.01, 1.01, 95, np.nan])
@pytest.mark.parametrize("wsi", [max_wsi, min_wsi])
def test_wsi_of_a_quantile_outside_0_and_1_raises(wsi, q):
    with raises("quantile-out-of-range"):
        wsi(np.eye(3), q)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (1, 1), (0, 0), (3, 3, 3)])
@pytest.mark.parametrize("wsi", [mean_wsi, max_wsi, min_wsi])
def test_wsi_of_a_matrix_that_is_not_square_raises(wsi, shape):
    with raises("not-square", shape=shape):
        wsi(np.zeros(shape))
