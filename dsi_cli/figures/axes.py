"""Pairs of axes for curves: their layout, confidence intervals, chance levels and
legend.

A curve with a chance level is never drawn without it: a thin grey line in a light grey
band of `MIN_Z` standard deviations, within which a value is called within chance.
"""

from __future__ import annotations

import textwrap
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from dsi_cli.figures.style import CHANCE, COLOURS, LINES, Style
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.queries.curve_panels import Values

CHANCE_BAND: dict[str, Any] = {
    "facecolor": "#d9d9d9",
    "linewidth": 0,
    "zorder": 1,
    "gid": "chance band",
}
# epochs by which curves and bands of a single epoch extend to either side
SINGLE_EPOCH_MARGIN = 0.2
MAX_MARKED_POINTS = 8  # points of which each has a marker
MAX_SHADED_CURVES = 2  # curves on one pair of axes with shaded intervals
# estimated width of a letter and height of a line relative to the font size
LETTER_WIDTH, LINE_HEIGHT = (0.58, 1.25)


def grid(
    style: Style,
    parts: int,
    *,
    across: int | None = None,
    share_y: bool = False,
    aspect: float = 0.88,
) -> Figure:
    """Return a figure with a number of axes in rows, whose horizontal axes are shared.

    By default, as many axes as fit the style are next to each other (`across`), and two
    by two of four axes. The `aspect` is the height of a panel relative to a third of
    the width, or to half of it on one column of a paper.
    """
    columns = min(parts, across or (2 if parts == 4 else 3), style.across)
    rows = -(-parts // columns)
    # A screen has room for less: one or two panels do not fill the width.
    width = style.width * (
        1.0 if style.name == "paper" else min(1.0, 0.1 + columns / 2.2)
    )
    height = aspect * (style.width / 3 if style.across > 1 else style.width / 2)
    figure = Figure(figsize=(width, rows * height), layout="constrained")
    margin = 0.5 * style.size / 72
    figure.get_layout_engine().set(w_pad=margin, h_pad=margin)  # type: ignore[union-attr, call-arg]
    all_axes = figure.subplots(
        rows, columns, squeeze=False, sharex=True, sharey=share_y
    )
    for index, axes in enumerate(all_axes.flat):
        if index >= parts:
            axes.remove()
        elif index + columns >= parts:
            axes.tick_params(labelbottom=True)
    return figure


def line_style(index: int) -> Any:
    """Return the line style of the curve with this index."""
    return LINES[index % len(LINES)]


def colour(index: int) -> str:
    """Return the colour of the run or curve with this index."""
    return COLOURS[index % len(COLOURS)]


def draw_line(axes: Axes, x: NDArray[Any], y: Values, label: str, **look: Any) -> None:
    """Draw one curve, with a marker at each point if there are few points, and
    otherwise at points without neighbours.
    """
    known = np.pad(np.isfinite(y), 1)
    marked = known[1:-1] & ~known[:-2] & ~known[2:] | (len(x) <= MAX_MARKED_POINTS)
    axes.plot(
        x,
        y,
        label=label,
        gid="curve",
        zorder=3,
        marker="o",
        markevery=marked,
        markersize=3,
        clip_on=False,  # the markers of the first and the last epoch are whole
        **look,
    )


def draw_interval(
    axes: Axes, epochs: NDArray[Any], low: Values, high: Values, colour: str
) -> None:
    """Shade a confidence interval, if it is known."""
    if np.isfinite(low).any():
        epochs, low, high = _widen_single_epoch(epochs, low, high)
        axes.fill_between(
            epochs,
            low,
            high,
            color=colour,
            alpha=0.18,
            linewidth=0,
            zorder=2,
            gid="interval",
        )


def draw_chance(
    axes: Axes, epochs: NDArray[Any], level: Values, std: Values, colour: str = CHANCE
) -> None:
    """Draw a chance level, with its band if the deviation is known, in the curve's
    colour if the levels differ.
    """
    if not np.isfinite(level).any():
        return
    epochs, level, spread = _widen_single_epoch(epochs, level, MIN_Z * std)
    axes.plot(
        epochs,
        level,
        color=colour,
        linewidth=0.8,
        alpha=0.7,
        label="chance",
        gid="chance",
        zorder=1.5,
    )
    if np.isfinite(spread).any():
        axes.fill_between(epochs, level - spread, level + spread, **CHANCE_BAND)


def _widen_single_epoch(epochs: NDArray[Any], *values: Values) -> tuple[Values, ...]:
    """Return epochs and values; a single epoch gets some width, so that its bands are
    visible.
    """
    if len(epochs) != 1:
        return np.asarray(epochs, dtype=np.float64), *values
    wide = epochs[0] + np.array([-SINGLE_EPOCH_MARGIN, SINGLE_EPOCH_MARGIN])
    return wide, *(np.repeat(column, 2) for column in values)


def format_epochs(figure: Figure) -> None:
    """Let all axes show the epochs from edge to edge, with ticks at round whole numbers
    and faint horizontal lines.
    """
    for axes in figure.axes:
        axes.margins(x=0)
        axes.xaxis.set_major_locator(
            MaxNLocator(7, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
        )
        # The label of axes below serves these axes, too.
        if axes.xaxis.get_major_ticks(1)[0].label1.get_visible():
            axes.set_xlabel("epoch")
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.5)
        axes.set_axisbelow(True)


def set_title(axes: Axes, text: str, style: Style) -> None:
    """Write a title in lines that fit the axes."""
    figure = cast("Figure", axes.figure)
    spec = axes.get_subplotspec()
    columns = 1 if spec is None else spec.get_gridspec().ncols
    width = 0.8 * figure.get_figwidth() / columns
    axes.set_title(wrap(text, width, style.size))


def draw_legend_of_lines(figure: Figure) -> None:
    """Draw a legend of the lines and intervals of all axes."""
    curves: dict[str, Any] = {}
    chance: dict[str, Any] = {}
    for line in (line for axes in figure.axes for line in axes.get_lines()):
        label = str(line.get_label())
        if not label.startswith("_"):
            handles = curves if line.get_gid() == "curve" else chance
            look: dict[str, Any] = {
                "color": line.get_color(),
                "linestyle": line.get_linestyle(),
            }
            handles[label] = Line2D([], [], **look)
    entries = curves | chance
    areas = {area.get_gid(): area for axes in figure.axes for area in axes.collections}
    if CHANCE_BAND["gid"] in areas:
        band: dict[str, Any] = {"facecolor": CHANCE_BAND["facecolor"], "linewidth": 0}
        entries[f"within chance ({MIN_Z:g} SD)"] = Patch(**band)
    if "interval" in areas:
        # The chance band is grey, so this has the colour of a curve.
        shade: dict[str, Any] = {
            "facecolor": areas["interval"].get_facecolor(),
            "linewidth": 0,
        }
        entries["95 % CI"] = Patch(**shade)
    if entries:
        draw_legend(figure, entries)


def draw_legend(figure: Figure, entries: dict[str, Any]) -> None:
    """Draw a legend below all axes in as many columns as fit, and make the figure
    higher by its height.
    """
    size = text_size("legend.fontsize")
    width, height = figure.get_size_inches()
    entry_width = (max(map(len, entries)) * LETTER_WIDTH + 5.4) * size
    rows = -(-len(entries) // max(1, int(width * 72 / entry_width)))
    figure.set_size_inches(width, height + (rows * 1.5 + 0.5) * size / 72)
    look: dict[str, Any] = {
        "loc": "outside lower center",
        "frameon": False,
        "handlelength": 3.0,
        "columnspacing": 1.2,
    }
    figure.legend(
        list(entries.values()), list(entries), ncols=-(-len(entries) // rows), **look
    )


def wrap(text: str, width: float, size: float) -> str:
    """Return text in lines of at most ``width`` inches at a font size of ``size``
    points.
    """
    return "\n".join(
        textwrap.wrap(text, max(8, int(width * 72 / (size * LETTER_WIDTH))))
    )


def short(name: str) -> str:
    """Return a name without the start if it has more than 24 characters, because runs
    of a sweep differ at the end.
    """
    return name if len(name) <= 24 else f"...{name[-21:]}"


def text_size(parameter: str) -> float:
    """Return a font size of the current style in points, such as that of
    ``legend.fontsize``.
    """
    return float(cast("Any", mpl.rcParams)[parameter])
