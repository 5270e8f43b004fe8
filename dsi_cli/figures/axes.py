"""One pair of axes: curves with their interval and chance level, titles, scale, legend.

A curve that has a chance level is never drawn without it: a dotted line in a band of two standard deviations.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from dsi_cli.figures.style import CHANCE, COLOURS, LINES, MARKERS
from dsi_cli.queries.curve_panels import Panel, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHANCE_DEVIATIONS = 2.0
"""Half the width of a chance level's band."""
ALONE = 0.2
"""Epochs on either side of a single one that its bands reach."""
CHANCE_LINE = (0, (1.2, 1.2))
CHANCE_BAND: dict[str, Any] = {"facecolor": "#ececec", "edgecolor": "#8f8f8f", "hatch": "//////", "linewidth": 0.0}
"""Hatched: also in grey it is told from an interval."""
FEW = 16
"""Points that are marked one by one; of more, some are: many marks hide a line's style."""
SHADED = 2
"""Curves on one pair of axes that have their intervals shaded: more would hide each other."""
MARKED = 10
LOGARITHMIC = ("learning_rate", "loss", "mistakes")
"""Panels whose axis is logarithmic where the values span more than `WIDEST`."""
WIDEST = 50.0
TAIL = 0.15
"""Share of a learning rate's points whose smallness does not count: a schedule's last steps go to nothing on any axis."""
FLOOR = 1e3
"""How far below a curve's largest value a logarithmic axis goes."""
WIDE_LETTER = 0.62
"""Width of a letter in its size, for what has to fit before it is drawn."""


class AxesStyle(NamedTuple):
    """How one curve is told from the others, in colour and in grey."""

    colour: str
    line: Any = "-"
    marker: str = "o"


def axes_style(place: int, line: int = 0) -> AxesStyle:
    """Return the look of a run's or a curve's place among the others."""
    return AxesStyle(COLOURS[place % len(COLOURS)], LINES[line % len(LINES)], MARKERS[place % len(MARKERS)])


def values(curve: Series, panel: Panel) -> Any:
    """Return what a panel shows of a series."""
    return curve.excess if panel.kind.column == "excess" else curve.value


def curve(axes: Axes, curve: Series, panel: Panel, style: AxesStyle, label: str, *, shaded: bool = True) -> None:
    """Draw one curve with its interval, if it is to be shaded, and its chance level with its band."""
    axes.plot(
        curve.epochs,
        values(curve, panel),
        color=style.colour,
        linestyle=style.line,
        label=label,
        gid="curve",
        zorder=3,
        **marks(style, len(curve.epochs)),
    )
    is_excess = panel.kind.column == "excess"
    has_interval = is_excess or curve.metric != "sai"  # the interval of a SAI is that of its excess
    if shaded and has_interval and np.isfinite(curve.low).any():
        epochs, low, high = _widened(curve, curve.low, curve.high)
        interval = axes.fill_between(epochs, low, high, color=style.colour, alpha=0.22, linewidth=0, zorder=2)
        interval.set_gid("interval")
    if is_excess:
        _band(axes, curve, np.zeros(len(curve.epochs)), curve.excess_std)
    elif np.isfinite(curve.chance).any():
        _chance(axes, curve, style)


def marks(style: AxesStyle, points: int) -> dict[str, Any]:
    """Return how a curve of so many points is marked."""
    return {"marker": style.marker, "markersize": 2.4, "markevery": 1 if points <= FEW else points // MARKED}


def _chance(axes: Axes, curve: Series, style: AxesStyle) -> None:
    epochs, chance = _widened(curve, curve.chance)
    axes.plot(epochs, chance, color=style.colour, linestyle=CHANCE_LINE, linewidth=1.0, gid="chance", zorder=2.5)
    _band(axes, curve, curve.chance, curve.chance_std)


def _band(axes: Axes, curve: Series, chance: Any, std: Any) -> None:
    """Draw what chance reaches, where its deviation is known."""
    if np.isfinite(std).any():
        epochs, chance, spread = _widened(curve, chance, CHANCE_DEVIATIONS * std)
        axes.fill_between(epochs, chance - spread, chance + spread, zorder=1, gid="chance band", **CHANCE_BAND)


def _widened(curve: Series, *beside: Any) -> tuple[Any, ...]:
    """Return a curve's epochs and what lies beside it; of a single epoch with some width, since bands of none are not seen."""
    if len(curve.epochs) != 1:
        return curve.epochs, *beside
    return curve.epochs[0] + np.array([-ALONE, ALONE]), *(np.repeat(values, 2) for values in beside)


def finish(axes: Axes, part: Sequence[Series], panel: Panel) -> None:
    """Name and scale the axes, and draw what 0 means where it is the chance level."""
    axes.set_ylabel(panel.axis + (", lower is closer" if panel.lower_is_closer else ""))
    over_epochs(axes)
    if panel.kind.column == "excess":
        axes.axhline(0.0, color=CHANCE, linestyle=CHANCE_LINE, linewidth=1.4, gid="chance", zorder=2.5)
    if panel.kind.name in LOGARITHMIC and spans_far(part, TAIL if panel.kind.name == "learning_rate" else 0.0):
        axes.set_yscale("log")
        largest = [float(np.nanmax(one.value)) for one in part]
        bottom = max(axes.get_ylim()[0], min(largest) / FLOOR)
        axes.set_ylim(bottom=bottom)
        if any((one.value < bottom).any() for one in part):
            axes.set_ylabel(f"{axes.get_ylabel()} (none shown below {bottom:.0e})")
    elif panel.kind.name == "mistakes":
        axes.set_ylim(bottom=0)


def over_epochs(axes: Axes, text: str = "epoch") -> None:
    """Name the horizontal axis and give it whole numbers, with lines across."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(text)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.grid(axis="y", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)


def spans_far(part: Sequence[Series], tail: float = 0.0) -> bool:
    """Return whether the values are positive, but for the first of a curve (a warm-up's 0), and far apart.

    The smallest ``tail`` of a curve's values, and zeros among them, do not count.
    """
    kept = [np.sort(found[np.isfinite(found)])[int(tail * len(found)) :] for found in (one.value[1:] for one in part)]
    every = np.concatenate(kept)
    return bool(len(every) and every.min() > 0 and every.max() > WIDEST * every.min())


def label(axes: Axes, width: float, height: float, title: str) -> None:
    """Set the title and break it and the vertical axis's name into lines that fit ``width`` and ``height`` inches."""
    axes.set_title(wrapped(title, width, text_size("axes.titlesize")), loc="left")
    axes.set_ylabel(wrapped(axes.get_ylabel(), height, text_size("axes.labelsize")))


def wrapped(text: str, width: float, size: float) -> str:
    """Return text in lines of at most ``width`` inches, in letters of ``size`` points."""
    return "\n".join(textwrap.wrap(text, max(8, int(width * 72 / (size * WIDE_LETTER)))))


def legend(figure: Figure) -> None:
    """Say below the axes what each line and each band is."""
    handles = {text: handle for axes in figure.axes for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    below(figure, bands(figure), handles)


def below(figure: Figure, bands: dict[str, Any], handles: dict[str, Any]) -> None:
    """Draw a legend below all axes, in as many columns as fit."""
    found = handles | bands
    if not found:
        return
    size = text_size("legend.fontsize")
    widest = max(map(len, found)) * WIDE_LETTER * size + 4.1 * size
    width, height = figure.get_size_inches()
    columns = max(1, min(len(found), int(width * 72 / widest)))
    figure.set_size_inches(width, height + -(-len(found) // columns) * size * 1.6 / 72)
    figure.legend(
        list(found.values()), list(found), loc="outside lower center", ncols=columns, frameon=False, handlelength=2.6
    )


def bands(figure: Figure) -> dict[str, Any]:
    """Return what stands for chance levels and intervals in a legend, where they are drawn."""
    from matplotlib.patches import Patch

    found: dict[str, Any] = {}
    if any(line.get_gid() == "chance" for axes in figure.axes for line in axes.get_lines()):
        found["chance level"] = chance_line()
    if any(area.get_gid() == "chance band" for axes in figure.axes for area in axes.collections):
        found["chance ± 2 std"] = Patch(**CHANCE_BAND)
    if any(area.get_gid() == "interval" for axes in figure.axes for area in axes.collections):
        found["95 % interval"] = Patch(color="#333333", alpha=0.22, linewidth=0)
    return found


def chance_line() -> Any:
    """Return what stands for chance levels of any colour in a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color="#333333", linestyle=CHANCE_LINE, linewidth=1.0)


def text_size(parameter: str) -> float:
    """Return the points of a kind of text in the style that is drawn in: ``legend.fontsize``."""
    import matplotlib as mpl

    return float(cast("Any", mpl.rcParams)[parameter])
