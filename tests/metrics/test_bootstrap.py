"""The interval of ssim on request: the oracle's bootstrap draw for draw."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import oracles
from numpy.testing import assert_allclose

from dsi_cli.metrics.alignment import alignments


@pytest.mark.parametrize("ordered", [False, True])
def test_interval_of_ssim_is_the_oracles_on_the_scale_of_the_excess(make_pair, ordered):
    a, b = make_pair("asymmetric", 14)
    order = np.random.default_rng(11).permutation(14) if ordered else np.arange(14)
    entry = alignments(a, b, ["ssim"], order=order if ordered else None, draws=6, permutations=20)["ssim"]
    low, high = oracles.bootstrap_ssim(a, b, order.tolist(), 6, 0)
    expected = [oracles.excess(end, entry.null_mean, "ssim") for end in (low, high)]
    assert_allclose([entry.low, entry.high], expected, rtol=0, atol=2e-6)


def test_interval_of_ssim_without_draws_is_none_with_the_reason(make_pair):
    entry = alignments(*make_pair("asymmetric", 14), ["ssim"])["ssim"]
    assert (entry.low, entry.high) == (None, None)
    assert "an interval of ssim needs --draws" in entry.reason


def test_interval_of_ssim_is_seeded(make_pair):
    a, b = make_pair("asymmetric", 14)
    first, again, other = (alignments(a, b, ["ssim"], draws=10, seed=seed)["ssim"] for seed in (2, 2, 3))
    assert first == again
    assert first.low != other.low
