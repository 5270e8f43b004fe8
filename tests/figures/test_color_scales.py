"""The colours of a matrix's values."""

from __future__ import annotations

import numpy as np
import pytest

from dsi_cli.figures import color_scales


def _made(classes: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0.1, 0.2, (classes, classes)).astype(np.float32)
    np.fill_diagonal(values, np.nan)
    return values


def test_both_signs_reach_equally_far_and_cut_a_thousandth_at_most():
    matrices = [_made(60, seed) for seed in range(3)]
    scale = color_scales.shared_scale(iter(matrices), "ncsm")
    assert scale.diverging
    assert scale.low == -scale.high
    for values in matrices:
        assert np.sum(values > scale.high) <= 0.001 * values.size
    most = max(np.sort(values[np.isfinite(values)])[-1 - int(0.001 * 60 * 59)] for values in matrices)
    assert scale.high == pytest.approx(most)
    assert scale.cut_high == (np.nanmax(matrices) > scale.high)
    assert scale.norm(0.0) == pytest.approx(0.5)


def test_one_sign_takes_the_sequential_map_from_end_to_end():
    values = np.abs(_made(9)) + 0.2
    scale = color_scales.shared_scale([values], "ncsm")
    assert not scale.diverging
    assert (scale.low, scale.high) == pytest.approx((np.nanmin(values), np.nanmax(values)))
    assert not scale.cut_low
    assert not scale.cut_high


def test_shares_begin_at_0_follow_the_square_root_and_show_what_is_common():
    values = np.zeros((100, 100), dtype=np.float32)
    values[:, :3] = 0.04
    values[0, 5] = 1.0
    scale = color_scales.shared_scale([values], "ccsm")
    assert (scale.low, scale.high, scale.cut_low, scale.cut_high) == pytest.approx((0.0, 0.04, False, True))
    assert scale.norm(0.01) == pytest.approx(0.5)


def test_shares_that_are_rarer_than_what_may_be_cut_are_shown_all_the_same():
    values = np.zeros((100, 100), dtype=np.float32)
    values[0, 5] = 0.3
    assert color_scales.shared_scale([values], "ccsm").high == pytest.approx(0.3)


@pytest.mark.parametrize("value", [0.0, -0.4, np.nan])
def test_a_single_value_has_a_scale_of_some_width(value: float):
    scale = color_scales.shared_scale([np.full((3, 3), value)], "ncsm")
    assert scale.low < scale.high
    assert np.isfinite(scale.norm(0.0))
