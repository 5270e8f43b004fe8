"""A figure laid out in inches from its upper left corner: places are worked out from the widths of texts, so that none meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dsi_cli.figures import color_scales
from dsi_cli.figures.style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGIN = 0.06
"""Inches around all that is drawn."""


class ColorBar(NamedTuple):
    """A scale with what it stands for."""

    scale: color_scales.ColorScale
    text: str


def blank(width: float, height: float) -> Figure:
    """Return a figure of a size in inches, on a canvas that measures and draws without a window system."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")
    FigureCanvasAgg(figure)
    return figure


def axes_at(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return new axes at a place."""
    wide, high = figure.get_size_inches()
    return figure.add_axes((left / wide, 1 - (top + height) / high, width / wide, height / high))


def text_width(figure: Figure, texts: Sequence[str], size: float, weight: str = "normal") -> float:
    """Return how wide the widest of some texts is, in inches."""
    from matplotlib.font_manager import FontProperties

    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    pixels = [renderer.get_text_width_height_descent(text, font, ismath=False)[0] for text in texts]
    return float(max(pixels, default=0.0)) / figure.dpi


def heading(
    figure: Figure, top: float, title: str, detail: str, style: Style, place: tuple[float, float] | None = None
) -> None:
    """Write a heading: the title, cut where it is too long, and the detail where there is room for it.

    ``place`` is where it begins and what width it has, in inches; all of the figure's if None.
    """
    wide, high = figure.get_size_inches()
    left, whole = place or (MARGIN, wide)
    room = whole - 2 * MARGIN
    while (used := text_width(figure, [title], style.size, "bold")) > room:
        title = title[: int(len(title) * room / used) - 1].rstrip(", …") + "…"
    down = 1 - top / high
    figure.text(left / wide, down, title, size=style.size, weight="bold", va="top", parse_math=False)
    after = left + used + style.size / 72
    if after + text_width(figure, [detail], style.size) <= left + room:
        figure.text(after / wide, down, detail, size=style.size, va="top", parse_math=False)


def bars_height(style: Style) -> float:
    """Return how much room bars need, in inches."""
    return 6.4 * style.size / 72


def draw_bars(figure: Figure, top: float, bars: Sequence[ColorBar], style: Style) -> None:
    """Draw bars side by side across the figure."""
    line = style.size / 72
    room = (figure.get_figwidth() - 2 * MARGIN) / len(bars)
    wide = min(0.84 * room, 3.0)
    for at, one in enumerate(bars):
        left = MARGIN + at * room + (room - wide) / 2
        color_scales.bar(axes_at(figure, left, top + 0.9 * line, wide, 0.8 * line), one.scale, one.text)
