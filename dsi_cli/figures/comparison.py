"""Figures of a comparison, one per quantity: one line per run, or one line with a band per group of repetitions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dsi_cli.figures import axes as drawing
from dsi_cli.figures.curves import grid, short
from dsi_cli.figures.save import save as save_figure
from dsi_cli.figures.style import CHANCE, Style, using
from dsi_cli.queries.comparison.criteria import measure_title
from dsi_cli.queries.comparison.repetitions import BAND, CURVES, NETWORKS, CurveBand
from dsi_cli.queries.curve_panels import Values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dsi_cli.queries.comparison.compare import Comparison

PREFIX = "compare-"
MAX_NAME_LENGTH = 36
"""Maximum number of characters of a run's name in a legend."""


class ComparisonFigure(NamedTuple):
    """The content of one figure."""

    name: str
    title: str
    axis: str
    bands: list[CurveBand]
    zero_is_chance: bool
    with_chance: bool


def comparison_figures(comparison: Comparison) -> list[ComparisonFigure]:
    """Return the figures of a comparison that have at least one line."""
    measure = comparison.measures[0]
    content = []
    for curve in CURVES:
        axis = curve.axis_title(measure, comparison.split)
        bands = [band for band in comparison.curves if band.curve == curve.name]
        content.append(ComparisonFigure(curve.name, curve.title, axis, bands, curve.column == "excess", curve.chance))
    networks = [band for band in comparison.curves if band.curve == NETWORKS]
    title = "Similarity between the networks"
    content.append(ComparisonFigure(NETWORKS, title, measure_title(measure), networks, True, False))
    return [figure for figure in content if figure.bands]


def figures(comparison: Comparison, style: Style | None = None) -> Iterator[tuple[str, Figure]]:
    """Yield the name of each figure and the figure."""
    style = style or Style("screen")
    for content in comparison_figures(comparison):
        with using(style):
            figure, size = grid(style, 1)
            _draw(figure.axes[0], content, comparison.epochs, size)
            drawing.draw_legend(figure, {})
            yield content.name, figure


def save(comparison: Comparison, folder: Path, kind: str, style: Style | None = None) -> list[Path]:
    """Write the figures into a folder, which is created if missing, and return their paths.

    Raises
    ------
    OutputError
        The folder or a file in it cannot be written.
    """
    style = style or Style("screen")
    paths = []
    for name, figure in figures(comparison, style):
        with using(style):
            paths.append(save_figure(figure, folder / f"{PREFIX}{name}.{kind}", kind))
    return paths


def _draw(axes: Axes, content: ComparisonFigure, epochs: str, size: tuple[float, float]) -> None:
    for index, band in enumerate(content.bands):
        style = drawing.axes_style(index, index)
        markers = drawing.marker_options(style, len(band.x))
        axes.plot(band.x, band.mean, color=style.colour, linestyle=style.line, label=_label(band), **markers)
        if band.low != band.high:
            axes.fill_between(band.x, band.low, band.high, color=style.colour, alpha=0.2, linewidth=0)
    if content.zero_is_chance or content.with_chance:
        _draw_chance(axes, content)
    axes.set_ylabel(content.axis)
    drawing.format_epoch_axis(axes, epochs)
    drawing.set_labels(axes, *size, content.title)


def _draw_chance(axes: Axes, content: ComparisonFigure) -> None:
    """Draw the chance levels: one line if all are equal, otherwise one per curve in its colour; bands only for few curves."""
    line: dict[str, Any] = {"linestyle": drawing.CHANCE_LINE, "linewidth": 1.0}
    chances = [[0.0] * len(band.x) if content.zero_is_chance else band.chance for band in content.bands]
    levels = {round(level, 6) for chance in chances for level in chance if level is not None}
    if len(levels) == 1:
        axes.axhline(levels.pop(), color=CHANCE, label="chance", **line)
    else:
        for index, (band, chance) in enumerate(zip(content.bands, chances, strict=True)):
            axes.plot(band.x, _floats(chance), color=drawing.axes_style(index).colour, **line)
        axes.plot([], [], color=CHANCE, label="chance, in the colour of the curve", **line)

    if len(content.bands) > drawing.MAX_SHADED_CURVES:
        return
    area = drawing.CHANCE_BAND | {"label": "chance ± 2 std"}
    for band, chance in zip(content.bands, chances, strict=True):
        level, spread = _floats(chance), drawing.CHANCE_DEVIATIONS * _floats(band.chance_std)
        if np.isfinite(level + spread).any():
            axes.fill_between(band.x, level - spread, level + spread, zorder=1, **area)


def _floats(values: list[float | None] | list[float]) -> Values:
    return np.array(values, dtype=np.float64)


def _label(band: CurveBand) -> str:
    name = short(band.group, MAX_NAME_LENGTH)
    return name if len(band.runs) == 1 else f"{name}: mean of {len(band.runs)}, {BAND}"
