"""The colours of a matrix's values: from white to violet in even steps of lightness,
and to orange below 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from dsi_cli.figures.style import NEGATIVE_COLOURS, NO_VALUE, POSITIVE_COLOURS
from dsi_cli.queries.matrices import block_means

CLIPPED_FRACTION = 0.005
"""Fraction of a matrix's raw values that the scale may clip at either end, so that
extreme values do not dominate it.
"""
# their raw colours follow the square root, because most values are small fractions
SQUARE_ROOT_KINDS = ("ccsm",)
MAX_CELLS = 125
"""Maximum number of cells per row of a map of these kinds; with more classes the map
shows means of blocks.

Few cells of such a matrix differ from 0, and single cells would be too small to see.
"""
MEDIAN = 0.5  # percentile rank below which all pairs are white


class ColorScale(NamedTuple):
    """The range of values of the colours; values beyond it have the colours of its
    ends.
    """

    low: float
    high: float
    root: bool = False  # True if the colours follow the square root of the value

    @property
    def palette(self) -> Colormap:
        """The colours; 0 is white if both signs occur."""
        colours = (
            [*NEGATIVE_COLOURS[:0:-1], *POSITIVE_COLOURS]
            if self.low < 0 < self.high
            else POSITIVE_COLOURS
        )
        return LinearSegmentedColormap.from_list("dsi", colours, 512).with_extremes(
            bad=NO_VALUE
        )

    @property
    def norm(self) -> Normalize:
        """Matplotlib's mapping of values to the unit interval."""
        return (
            PowerNorm(0.5, self.low, self.high, clip=True)
            if self.root
            else Normalize(self.low, self.high, clip=True)
        )


RANKS = ColorScale(MEDIAN, 1.0)
TICKS = {
    RANKS: {MEDIAN: "less similar\nhalf", 0.75: "nearest\n25 %", 1.0: "rank 1"},
}
"""The texts next to the colour bars of ranks; matplotlib chooses those of other scales.
"""


def raw_scale(matrices: Iterable[NDArray[Any]], kind: str) -> ColorScale:
    """Return one scale for the raw values of several matrices of a kind, each read
    once; NaN does not count.

    The scale is symmetric about 0 if values of both signs occur. A square-root scale
    begins at 0. A scale has some width even if all values are equal.
    """
    limits = []
    for values in matrices:
        known = values[np.isfinite(values)]
        limits.append(
            np.quantile(known, [CLIPPED_FRACTION, 1 - CLIPPED_FRACTION, 1])
            if len(known)
            else np.zeros(3)
        )
    low, high, highest = (
        float(limit)
        for limit in (np.min(limits, axis=0)[0], *np.max(limits, axis=0)[1:])
    )
    root = kind in SQUARE_ROOT_KINDS
    if root:
        low = 0.0
    elif low < 0 < high:
        high = max(-low, high)
        low = -high
    if high <= low:
        high = highest if highest > low else low + 1.0
    return ColorScale(low, high, root)


def block_size(classes: int, kind: str) -> int:
    """Return the number of classes per row of cells in a map.

    >>> block_size(1000, "ccsm"), block_size(100, "ccsm"), block_size(1000, "ncsm")
    (8, 1, 1)
    """
    return -(-classes // MAX_CELLS) if kind in SQUARE_ROOT_KINDS else 1


def cell_values(values: NDArray[Any], kind: str) -> NDArray[Any]:
    """Return the values of the cells of a map: those of the matrix, or means of blocks;
    NaN for a block without values.
    """
    size = block_size(len(values), kind)
    if size == 1:
        return values
    return block_means(values, np.arange(len(values)), range(0, len(values), size))


def draw_bar(
    figure: Figure,
    maps: Sequence[Axes],
    scale: ColorScale,
    text: str,
    location: str = "right",
) -> None:
    """Draw the colour bar of some maps, with a text."""
    mappable = ScalarMappable(scale.norm, scale.palette)
    bar = figure.colorbar(
        mappable,
        ax=maps,
        label=text,
        location=location,
        fraction=0.06,
        aspect=24,
        pad=0.02,
    )
    bar.outline.set_visible(False)
    if ticks := TICKS.get(scale):
        bar.set_ticks(list(ticks), labels=list(ticks.values()))


def draw_cells(
    axes: Axes, values: NDArray[Any], scale: ColorScale, classes: int
) -> AxesImage:
    """Draw a matrix as cells without frame and ticks, on axes with one row per class;
    missing values are grey.
    """
    end = classes - 0.5
    image = axes.imshow(
        np.ma.masked_invalid(values),
        cmap=scale.palette,
        norm=scale.norm,
        extent=(-0.5, end, end, -0.5),
    )
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return image
