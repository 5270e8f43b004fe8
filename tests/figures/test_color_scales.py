"""The colours of a matrix's values."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from dsi_cli.figures.style import NEGATIVE_COLOURS, POSITIVE_COLOURS
from dsi_cli.queries import matrices


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
