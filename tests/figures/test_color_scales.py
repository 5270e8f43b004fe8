"""The colours of a matrix's values."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from dsi_cli.figures import color_scales
from dsi_cli.figures.style import NEGATIVE_COLOURS, POSITIVE_COLOURS
from dsi_cli.queries import matrices


def _made(classes: int, seed: int = 0) -> np.ndarray:
    values = (
        np.random.default_rng(seed)
        .normal(0.1, 0.2, (classes, classes))
        .astype(np.float32)
    )
    np.fill_diagonal(values, np.nan)
    return values


def test_both_signs_reach_equally_far_and_0_is_white():
    matrices = [_made(60, seed) for seed in range(3)]
    scale = color_scales.raw_scale(iter(matrices), "ncsm")
    assert scale.low == -scale.high
    for values in matrices:
        assert (
            np.nanmean(np.abs(values) > scale.high) <= 2 * color_scales.CLIPPED_FRACTION
        )
    assert scale.palette(scale.norm(0.0))[:3] == pytest.approx((1, 1, 1), abs=0.01)


def test_shares_begin_with_white_at_0_and_follow_the_square_root():
    values = np.zeros((100, 100), dtype=np.float32)
    values[:, :3] = 0.04
    values[0, 5] = 1.0
    scale = color_scales.raw_scale([values], "ccsm")
    assert (scale, scale.norm(0.01)) == (
        pytest.approx((0.0, 0.04, True)),
        pytest.approx(0.5),
    )
    assert scale.palette(0.0) == (1, 1, 1, 1)


@pytest.mark.parametrize("palette", [POSITIVE_COLOURS, NEGATIVE_COLOURS])
def test_palette_has_even_steps_of_lightness(palette: tuple[str, ...]):
    linear = [
        np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        for rgb in map(np.array, map(to_rgb, palette))
    ]
    lightness = [116 * np.cbrt(rgb @ [0.2126, 0.7152, 0.0722]) - 16 for rgb in linear]
    steps = -np.diff(lightness)
    assert steps.min() > 0.6 * steps.max()


def test_percentile_ranks_equal_the_share_of_smaller_values_and_half_of_the_ties():
    values = np.random.default_rng(0).integers(0, 5, (8, 8)).astype(float)
    np.fill_diagonal(values, np.nan)
    known = values[np.isfinite(values)]
    expected = [(known < value).mean() + (known == value).mean() / 2 for value in known]
    ranks = matrices.percentile_ranks(values)
    np.testing.assert_allclose(ranks[np.isfinite(values)], expected)
    assert np.isnan(np.diagonal(ranks)).all()
