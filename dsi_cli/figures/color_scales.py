"""The colours of a matrix's values: one scale for all panels of a kind, found a matrix at a time, and its bar."""

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

CUT = {"ccsm": 0.01, "scsm": 0.0}
"""Share of a matrix's values at either end that a scale may cut off, by kind: else a few extreme ones would decide. Most of a
CCSM's are small, and in an untrained network's a single column holds nearly all."""
OTHERS_CUT = 0.001
ROOTS = ("ccsm",)
"""Kinds whose colours follow the square root: shares, most of which are small."""
MOST_CELLS = 125
"""A side, of the map of such a kind: of more classes it shows means of blocks, since few cells hold anything at all, and single
ones could not be seen."""
NO_VALUE = "#a6a6a6"
"""Of the diagonal and of classes without a value: a grey that neither map has."""


class ColorScale(NamedTuple):
    """From which to which value colours run."""

    low: float
    high: float
    root: bool
    """Whether colours follow the square root of a value."""
    cut_low: bool
    """Whether values below are shown as the lowest colour."""
    cut_high: bool

    @property
    def diverging(self) -> bool:
        """Whether both signs occur: then 0 is in the middle."""
        return self.low < 0 < self.high

    @property
    def colours(self) -> Colormap:
        """The colour map."""
        import matplotlib as mpl

        return mpl.colormaps[DIVERGING if self.diverging else SEQUENTIAL].with_extremes(bad=NO_VALUE)

    @property
    def norm(self) -> Normalize:
        """What matplotlib takes for the way from value to colour."""
        from matplotlib.colors import Normalize, PowerNorm

        if self.root:
            return PowerNorm(0.5, self.low, self.high, clip=True)
        return Normalize(self.low, self.high, clip=True)


def shared_scale(matrices: Iterable[NDArray[Any]], kind: str) -> ColorScale:
    """Return the one scale of several matrices of a kind, each looked at once; NaN does not count.

    Where both signs occur it reaches equally far on both sides of 0. Of a single value it has some width. Square roots begin
    at 0.
    """
    root = kind in ROOTS
    ends = np.array([_ends(values, CUT.get(kind, OTHERS_CUT)) for values in matrices])
    lowest, low = ends[:, 0].min(), ends[:, 1].min()
    high, highest = ends[:, 2].max(), ends[:, 3].max()
    if root:
        low = 0.0
    elif low < 0 < high:
        high = max(-low, high)
        low = -high
    if high <= low:
        low, high = (low, highest) if highest > low else (low, low + 1.0)
    return ColorScale(float(low), float(high), root, bool(lowest < low), bool(highest > high))


def _ends(values: NDArray[Any], share: float) -> tuple[float, float, float, float]:
    """Return the lowest value, the lowest shown, the highest shown and the highest; zeros where there is no value."""
    found = values[np.isfinite(values)]
    if not len(found):
        return 0.0, 0.0, 0.0, 0.0
    cut = int(share * len(found))
    places = [0, cut, len(found) - 1 - cut, len(found) - 1]
    lowest, low, high, highest = (float(value) for value in np.partition(found, places)[places])
    return lowest, low, high, highest


def block(classes: int, kind: str) -> int:
    """Return how many classes a cell of a map stands for.

    >>> block(1000, "ccsm"), block(100, "ccsm"), block(1000, "ncsm")
    (8, 1, 1)
    """
    return -(-classes // MOST_CELLS) if kind in ROOTS else 1


def seen(values: NDArray[Any], kind: str) -> NDArray[Any]:
    """Return what a map shows of a matrix: its values, or the means of blocks of them; NaN where a block has none."""
    size = block(len(values), kind)
    if size == 1:
        return values
    starts = np.arange(0, len(values), size)
    there = np.isfinite(values)
    total, count = (
        np.add.reduceat(np.add.reduceat(part, starts, axis=0), starts, axis=1)
        for part in (np.where(there, values, 0.0), there.astype(np.int64))
    )
    means: NDArray[Any] = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return means


def show(axes: Axes, values: NDArray[Any], scale: ColorScale, classes: int | None = None) -> AxesImage:
    """Draw a matrix in square cells, without frame and ticks; what has no value is grey.

    Rows of the axes are ``classes``, of which there may be more than cells.
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


def in_words(scale: ColorScale) -> str:
    """Return what a scale's bar says of it beside the values' name.

    >>> in_words(ColorScale(0.0, 1.0, True, False, False))
    'one scale for all, by square root'
    """
    return "one scale for all" + (", by square root" if scale.root else "")


def bar(axes: Axes, scale: ColorScale, text: str) -> None:
    """Draw a scale's bar along lying axes, pointed at the ends that stand for values beyond; ``text`` below says what it is."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    ends = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    drawn = axes.figure.colorbar(
        ScalarMappable(scale.norm, scale.colours),
        cax=axes,
        orientation="horizontal",
        extend=ends[scale.cut_low, scale.cut_high],
        extendfrac=0.03,
    )
    places = _rounded(np.square(np.linspace(0, 1, 5)) * scale.high)
    drawn.locator = FixedLocator(list(places)) if scale.root else MaxNLocator(4, steps=[1, 2, 2.5, 5, 10])
    drawn.formatter = FuncFormatter(lambda value, _: f"{value:.3g}".replace("-", "\N{MINUS SIGN}"))
    drawn.update_ticks()
    drawn.outline.set_visible(False)
    axes.set_xlabel(text, parse_math=False)


def _rounded(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return places of ticks as short numbers, each once."""
    return np.unique([float(f"{place:.1g}") for place in places])
