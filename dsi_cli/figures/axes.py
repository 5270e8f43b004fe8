"""One pair of axes: curves with their confidence intervals and chance levels, titles, scales and legends.

A curve with a chance level is never drawn without it. The chance level is a dotted line in a band of two standard deviations.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from dsi_cli.figures.style import CHANCE, COLOURS, LINES, MARKERS
from dsi_cli.queries.curve_panels import Panel, Series, Values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHANCE_DEVIATIONS = 2.0
"""Half the width of a chance band in standard deviations."""
SINGLE_EPOCH_MARGIN = 0.2
"""Epochs by which the bands of a single epoch extend to either side."""
CHANCE_LINE = (0, (1.2, 1.2))
CHANCE_BAND: dict[str, Any] = {"facecolor": "#ececec", "edgecolor": "#8f8f8f", "hatch": "//////", "linewidth": 0.0}
"""The hatched look of a chance band, which differs from an interval in greyscale, too."""
MAX_MARKED_POINTS = 16
"""Maximum number of points of which each has a marker, because many markers hide the line style."""
MARKERS_ON_LONG_CURVE = 10
MAX_SHADED_CURVES = 2
"""Maximum number of curves on one pair of axes with shaded intervals."""
LOGARITHMIC = ("learning_rate", "loss", "mistakes")
"""Panels with a logarithmic axis if the values span more than a factor of `LOG_RATIO`."""
LOG_RATIO = 50.0
LEARNING_RATE_TAIL = 0.15
"""Fraction of the smallest learning rates that does not affect the scale, because schedules end near 0."""
MAX_LOG_RANGE = 1e3
"""Maximum ratio of a curve's largest value to the lower end of a logarithmic axis."""
LETTER_WIDTH = 0.62
"""Estimated width of a letter relative to the font size."""


class AxesStyle(NamedTuple):
    """The look of one curve, distinct in colour and in greyscale."""

    colour: str
    line: Any = "-"
    marker: str = "o"


def axes_style(index: int, line: int = 0) -> AxesStyle:
    """Return the look of the run or curve with this index, with the line style of index ``line``."""
    return AxesStyle(COLOURS[index % len(COLOURS)], LINES[line % len(LINES)], MARKERS[index % len(MARKERS)])


def draw_curve(axes: Axes, curve: Series, panel: Panel, style: AxesStyle, label: str, *, shaded: bool = True) -> None:
    """Draw one curve with its chance level, and with its confidence interval if ``shaded``."""
    is_excess = panel.kind.column == "excess"
    axes.plot(
        curve.epochs,
        curve.excess if is_excess else curve.value,
        color=style.colour,
        linestyle=style.line,
        label=label,
        gid="curve",
        zorder=3,
        **marker_options(style, len(curve.epochs)),
    )
    # The interval of a SAI belongs to its excess, not to the raw value.
    has_interval = is_excess or curve.metric != "sai"
    if shaded and has_interval and np.isfinite(curve.low).any():
        epochs, low, high = _widen_single_epoch(curve, curve.low, curve.high)
        interval = axes.fill_between(epochs, low, high, color=style.colour, alpha=0.22, linewidth=0, zorder=2)
        interval.set_gid("interval")
    if is_excess:
        _draw_chance_band(axes, curve, np.zeros(len(curve.epochs)), curve.excess_std)
    elif np.isfinite(curve.chance).any():
        epochs, chance = _widen_single_epoch(curve, curve.chance)
        axes.plot(epochs, chance, color=style.colour, linestyle=CHANCE_LINE, linewidth=1.0, gid="chance", zorder=2.5)
        _draw_chance_band(axes, curve, curve.chance, curve.chance_std)


def marker_options(style: AxesStyle, points: int) -> dict[str, Any]:
    """Return the matplotlib options for the markers of a curve with a number of points."""
    every = 1 if points <= MAX_MARKED_POINTS else points // MARKERS_ON_LONG_CURVE
    return {"marker": style.marker, "markersize": 2.4, "markevery": every}


def _draw_chance_band(axes: Axes, curve: Series, chance: Values, std: Values) -> None:
    """Draw the band around the chance level if its standard deviation is known."""
    if np.isfinite(std).any():
        epochs, chance, spread = _widen_single_epoch(curve, chance, CHANCE_DEVIATIONS * std)
        axes.fill_between(epochs, chance - spread, chance + spread, zorder=1, gid="chance band", **CHANCE_BAND)


def _widen_single_epoch(curve: Series, *values: Values) -> tuple[Any, ...]:
    """Return the epochs of a curve and some values; a single epoch gets some width, so that its bands are visible."""
    if len(curve.epochs) != 1:
        return curve.epochs, *values
    epochs = curve.epochs[0] + np.array([-SINGLE_EPOCH_MARGIN, SINGLE_EPOCH_MARGIN])
    return epochs, *(np.repeat(column, 2) for column in values)


def finish(axes: Axes, curves: Sequence[Series], panel: Panel) -> None:
    """Set the labels and scales of the axes, and draw the chance level of an excess, which is 0."""
    axes.set_ylabel(panel.axis + (", lower is more similar" if panel.lower_is_closer else ""))
    format_epoch_axis(axes)
    if panel.kind.column == "excess":
        axes.axhline(0.0, color=CHANCE, linestyle=CHANCE_LINE, linewidth=1.4, gid="chance", zorder=2.5)
    tail = LEARNING_RATE_TAIL if panel.kind.name == "learning_rate" else 0.0
    if panel.kind.name in LOGARITHMIC and spans_orders_of_magnitude(curves, tail):
        axes.set_yscale("log")
        smallest_peak = min(float(np.nanmax(curve.value)) for curve in curves)
        bottom = max(axes.get_ylim()[0], smallest_peak / MAX_LOG_RANGE)
        axes.set_ylim(bottom=bottom)
        if any((curve.value < bottom).any() for curve in curves):
            axes.set_ylabel(f"{axes.get_ylabel()} (values below {bottom:.0e} not shown)")
    elif panel.kind.name == "mistakes":
        axes.set_ylim(bottom=0)


def format_epoch_axis(axes: Axes, text: str = "epoch") -> None:
    """Label the horizontal axis, restrict its ticks to whole numbers, and draw horizontal grid lines."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(text)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.grid(axis="y", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)


def spans_orders_of_magnitude(curves: Sequence[Series], tail: float = 0.0) -> bool:
    """Return whether the values are positive and span more than a factor of `LOG_RATIO`.

    The first value of each curve does not count, because a warm-up starts at 0. The fraction ``tail`` of the smallest values of
    each curve does not count either.
    """
    kept = []
    for curve in curves:
        values = curve.value[1:]
        rising = np.sort(values[np.isfinite(values)])
        kept.append(rising[int(tail * len(values)) :])
    all_values = np.concatenate(kept)
    return bool(len(all_values) and all_values.min() > 0 and all_values.max() > LOG_RATIO * all_values.min())


def set_labels(axes: Axes, width: float, height: float, title: str) -> None:
    """Set the title, and wrap it and the label of the vertical axis to ``width`` and ``height`` inches."""
    axes.set_title(wrap(title, width, text_size("axes.titlesize")), loc="left")
    axes.set_ylabel(wrap(axes.get_ylabel(), height, text_size("axes.labelsize")))


def wrap(text: str, width: float, size: float) -> str:
    """Return text in lines of at most ``width`` inches at a font size of ``size`` points."""
    return "\n".join(textwrap.wrap(text, max(8, int(width * 72 / (size * LETTER_WIDTH)))))


def draw_legend(figure: Figure, bands: dict[str, Any], curves: dict[str, Any] | None = None) -> None:
    """Draw a legend below all axes in as many columns as fit; ``curves`` are the labelled curves of the axes if None."""
    if curves is None:
        labelled = [axes.get_legend_handles_labels() for axes in figure.axes]
        curves = {text: handle for handles, texts in labelled for handle, text in zip(handles, texts, strict=True)}
    entries = curves | bands
    if not entries:
        return
    size = text_size("legend.fontsize")
    entry_width = max(map(len, entries)) * LETTER_WIDTH * size + 4.1 * size
    width, height = figure.get_size_inches()
    columns = max(1, min(len(entries), int(width * 72 / entry_width)))
    rows = -(-len(entries) // columns)
    figure.set_size_inches(width, height + rows * size * 1.6 / 72)
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=columns, frameon=False, handlelength=2.6
    )


def band_handles(figure: Figure) -> dict[str, Any]:
    """Return the legend entries of the chance levels and intervals that a figure contains."""
    from matplotlib.patches import Patch

    lines = {line.get_gid() for axes in figure.axes for line in axes.get_lines()}
    areas = {area.get_gid() for axes in figure.axes for area in axes.collections}
    handles: dict[str, Any] = {}
    if "chance" in lines:
        handles["chance level"] = chance_handle()
    if "chance band" in areas:
        handles["chance ± 2 std"] = Patch(**CHANCE_BAND)
    if "interval" in areas:
        handles["95 % CI"] = Patch(color="#333333", alpha=0.22, linewidth=0)
    return handles


def chance_handle() -> Any:
    """Return the legend handle of chance levels of any colour."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color="#333333", linestyle=CHANCE_LINE, linewidth=1.0)


def text_size(parameter: str) -> float:
    """Return a font size of the current style in points, such as that of ``legend.fontsize``."""
    import matplotlib as mpl

    return float(cast("Any", mpl.rcParams)[parameter])
