"""Layout of a figure in inches from its upper left corner. Positions follow from the widths of texts, so that no texts overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dsi_cli.figures import color_scales
from dsi_cli.figures.style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGIN = 0.06
"""Margin of a figure in inches."""
MAX_BAR_WIDTH = 3.0
"""Maximum width of a colour bar in inches."""


class ColorBar(NamedTuple):
    """A colour scale with its label."""

    scale: color_scales.ColorScale
    text: str


def blank_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, on a canvas that needs no window system."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return new axes with a position and size in inches."""
    figure_width, figure_height = figure.get_size_inches()
    return figure.add_axes(
        (left / figure_width, 1 - (top + height) / figure_height, width / figure_width, height / figure_height)
    )


def text_width(figure: Figure, texts: Sequence[str], size: float, weight: str = "normal") -> float:
    """Return the width of the widest text in inches."""
    from matplotlib.font_manager import FontProperties

    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    pixels = [renderer.get_text_width_height_descent(text, font, ismath=False)[0] for text in texts]
    return float(max(pixels, default=0.0)) / figure.dpi


def write_heading(
    figure: Figure, top: float, title: str, detail: str, style: Style, left: float = MARGIN, width: float | None = None
) -> None:
    """Write a title, shortened if it is too long, and the detail next to it if there is room.

    Parameters
    ----------
    top, left : position in inches
    width : available width in inches; that of the figure if None
    """
    figure_width, figure_height = figure.get_size_inches()
    available = (figure_width if width is None else width) - 2 * MARGIN
    while (title_width := text_width(figure, [title], style.size, "bold")) > available:
        title = title[: int(len(title) * available / title_width) - 1].rstrip(", …") + "…"
    y = 1 - top / figure_height
    figure.text(left / figure_width, y, title, size=style.size, weight="bold", va="top", parse_math=False)
    detail_left = left + title_width + style.size / 72
    if detail_left + text_width(figure, [detail], style.size) <= left + available:
        figure.text(detail_left / figure_width, y, detail, size=style.size, va="top", parse_math=False)


def bars_height(style: Style) -> float:
    """Return the height of a row of colour bars in inches."""
    return 6.4 * style.size / 72


def draw_bars(figure: Figure, top: float, bars: Sequence[ColorBar], style: Style) -> None:
    """Draw colour bars side by side across the figure."""
    line = style.size / 72
    available = (figure.get_figwidth() - 2 * MARGIN) / len(bars)
    width = min(0.84 * available, MAX_BAR_WIDTH)
    for index, bar in enumerate(bars):
        left = MARGIN + index * available + (available - width) / 2
        color_scales.draw_bar(add_axes(figure, left, top + 0.9 * line, width, 0.8 * line), bar.scale, bar.text)
