"""The colours of a matrix: white for the less similar half of its pairs, then violet in
even steps of lightness up to rank 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from dsi_cli.figures.style import NO_VALUE, POSITIVE_COLOURS
from dsi_cli.queries.matrices import block_means, percentile_ranks

CONFUSIONS = "ccsm"
MAX_CELLS = 125
"""Maximum number of cells per row of a map of confusions; with more classes the map
shows means of blocks.

Few cells of such a matrix differ from 0, and single cells would be too small to see.
"""
MEDIAN = 0.5  # percentile rank below which all pairs are white
PALETTE = LinearSegmentedColormap.from_list("dsi", POSITIVE_COLOURS, 512)
TICKS = {MEDIAN: "less similar\nhalf", 0.75: "nearest\n25 %", 1.0: "rank 1"}


def block_size(classes: int, kind: str) -> int:
    """Return the number of classes per row of cells in a map.

    >>> block_size(1000, "ccsm"), block_size(100, "ccsm"), block_size(1000, "ncsm")
    (8, 1, 1)
    """
    return -(-classes // MAX_CELLS) if kind == CONFUSIONS else 1


def cell_ranks(values: NDArray[Any], kind: str) -> NDArray[Any]:
    """Return the percentile ranks of the cells of a map: those of the pairs of classes,
    or of means of blocks; NaN for a cell without values.
    """
    size = block_size(len(values), kind)
    if size > 1:
        starts = range(0, len(values), size)
        values = block_means(values, np.arange(len(values)), starts)
    return percentile_ranks(values)


def draw_bar(figure: Figure, maps: Sequence[Axes], location: str = "right") -> None:
    """Draw the colour bar of some maps."""
    bar = figure.colorbar(
        ScalarMappable(Normalize(MEDIAN, 1.0), PALETTE),
        ax=maps,
        label="rank of a pair",
        location=location,
        fraction=0.06,
        aspect=24,
        pad=0.02,
    )
    bar.outline.set_visible(False)
    bar.set_ticks(list(TICKS), labels=list(TICKS.values()))


def draw_cells(axes: Axes, ranks: NDArray[Any], classes: int) -> AxesImage:
    """Draw the percentile ranks of cells without frame and ticks, on axes with one row
    per class; missing values are grey.
    """
    end = classes - 0.5
    image = axes.imshow(
        np.ma.masked_invalid(ranks),
        cmap=PALETTE.with_extremes(bad=NO_VALUE),
        vmin=MEDIAN,
        vmax=1.0,
        extent=(-0.5, end, end, -0.5),
    )
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return image
