"""The colours of a matrix's values: one scale for all panels of a kind, and its colour bar."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.figures.style import DIVERGING, SEQUENTIAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.image import AxesImage

CLIPPED_FRACTION = {"ccsm": 0.01, "scsm": 0.0}
"""Fraction of a matrix's values that the scale may clip at either end, by kind, so that extreme values do not dominate it.

Most values of a CCSM are small. In an untrained network, a single column contains nearly all predictions.
"""
DEFAULT_CLIPPED_FRACTION = 0.001
SQUARE_ROOT_KINDS = ("ccsm",)
"""Kinds whose colours follow the square root of the value, because most values are small fractions."""
MAX_CELLS = 125
"""Maximum number of cells per row of a map of these kinds; with more classes the map shows means of blocks.

Few cells of such a matrix differ from 0, and single cells would be too small to see.
"""
NO_VALUE = "#a6a6a6"
"""Grey for the diagonal and for classes without a value; neither colour map contains it."""


class ColorScale(NamedTuple):
    """The range of values of the colours."""

    low: float
    high: float
    root: bool
    """True if the colours follow the square root of the value."""
    cut_low: bool
    """True if values below the range occur; they have the lowest colour."""
    cut_high: bool
    """True if values above the range occur; they have the highest colour."""

    @property
    def diverging(self) -> bool:
        """True if values of both signs occur; 0 is then in the middle."""
        return self.low < 0 < self.high

    @property
    def colours(self) -> Colormap:
        """The colour map."""
        import matplotlib as mpl

        return mpl.colormaps[DIVERGING if self.diverging else SEQUENTIAL].with_extremes(bad=NO_VALUE)

    @property
    def norm(self) -> Normalize:
        """Matplotlib's mapping of values to the unit interval."""
        from matplotlib.colors import Normalize, PowerNorm

        if self.root:
            return PowerNorm(0.5, self.low, self.high, clip=True)
        return Normalize(self.low, self.high, clip=True)


def shared_scale(matrices: Iterable[NDArray[Any]], kind: str) -> ColorScale:
    """Return one scale for several matrices of a kind, each read once; NaN does not count.

    The scale is symmetric about 0 if values of both signs occur. A square-root scale begins at 0. A scale has some width even if
    all values are equal.
    """
    root = kind in SQUARE_ROOT_KINDS
    clipped = CLIPPED_FRACTION.get(kind, DEFAULT_CLIPPED_FRACTION)
    limits = np.array([_limits(values, clipped) for values in matrices])
    lowest, low = limits[:, 0].min(), limits[:, 1].min()
    high, highest = limits[:, 2].max(), limits[:, 3].max()
    if root:
        low = 0.0
    elif low < 0 < high:
        high = max(-low, high)
        low = -high
    if high <= low:
        high = highest if highest > low else low + 1.0
    return ColorScale(float(low), float(high), root, bool(lowest < low), bool(highest > high))


def _limits(values: NDArray[Any], fraction: float) -> tuple[float, float, float, float]:
    """Return the lowest value, the lowest and highest value after clipping, and the highest value; zeros without values."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 0.0, 0.0, 0.0
    clipped = int(fraction * len(known))
    indices = [0, clipped, len(known) - 1 - clipped, len(known) - 1]
    lowest, low, high, highest = (float(value) for value in np.partition(known, indices)[indices])
    return lowest, low, high, highest


def block_size(classes: int, kind: str) -> int:
    """Return the number of classes per row of cells in a map.

    >>> block_size(1000, "ccsm"), block_size(100, "ccsm"), block_size(1000, "ncsm")
    (8, 1, 1)
    """
    return -(-classes // MAX_CELLS) if kind in SQUARE_ROOT_KINDS else 1


def cell_values(values: NDArray[Any], kind: str) -> NDArray[Any]:
    """Return the values of the cells of a map: those of the matrix, or means of blocks; NaN for a block without values."""
    size = block_size(len(values), kind)
    if size == 1:
        return values
    starts = np.arange(0, len(values), size)
    is_known = np.isfinite(values)

    def block_sums(array: NDArray[Any]) -> NDArray[Any]:
        sums: NDArray[Any] = np.add.reduceat(np.add.reduceat(array, starts, axis=0), starts, axis=1)
        return sums

    total, count = block_sums(np.where(is_known, values, 0.0)), block_sums(is_known.astype(np.int64))
    means: NDArray[Any] = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return means


def draw_cells(axes: Axes, values: NDArray[Any], scale: ColorScale, classes: int | None = None) -> AxesImage:
    """Draw a matrix as cells without frame and ticks; missing values are grey.

    Parameters
    ----------
    classes : number of rows of the axes, if it differs from the number of cells
    """
    end = (classes or len(values)) - 0.5
    image = axes.imshow(
        np.ma.masked_invalid(values),
        cmap=scale.colours,
        norm=scale.norm,
        aspect="auto",
        extent=(-0.5, end, end, -0.5),
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return image


def describe_scale(scale: ColorScale) -> str:
    """Return a description of a scale for its colour bar.

    >>> describe_scale(ColorScale(0.0, 1.0, True, False, False))
    'one scale for all, by square root'
    """
    return "one scale for all" + (", by square root" if scale.root else "")


def draw_bar(axes: Axes, scale: ColorScale, text: str) -> None:
    """Draw the horizontal colour bar of a scale with a label below. Ends with clipped values are pointed."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    bar = axes.figure.colorbar(
        ScalarMappable(scale.norm, scale.colours),
        cax=axes,
        orientation="horizontal",
        extend=extend[scale.cut_low, scale.cut_high],
        extendfrac=0.03,
    )
    if scale.root:
        # Short numbers at about equal distances on the bar.
        ticks = np.square(np.linspace(0, 1, 5)) * scale.high
        bar.locator = FixedLocator(sorted({float(f"{tick:.1g}") for tick in ticks}))
    else:
        bar.locator = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10])
    bar.formatter = FuncFormatter(lambda value, _: f"{value:.3g}".replace("-", "\N{MINUS SIGN}"))
    bar.update_ticks()
    bar.outline.set_visible(False)
    axes.set_xlabel(text, parse_math=False)
