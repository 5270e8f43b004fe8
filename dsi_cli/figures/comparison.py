"""Figures of a comparison, one per quantity: one line per run, or one line with a band per group of repetitions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dsi_cli.figures import axes as drawing
from dsi_cli.figures import curves
from dsi_cli.figures.save import save as save_figure
from dsi_cli.figures.style import Style, using
from dsi_cli.queries.comparison.criteria import measure_title
from dsi_cli.queries.comparison.repetitions import BAND, CURVES, NETWORKS, CurveBand

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dsi_cli.queries.comparison.compare import Comparison

PREFIX = "compare-"
STYLE = Style("screen")


def figures(comparison: Comparison) -> Iterator[tuple[str, Figure]]:
    """Yield the name and the figure of each quantity that has at least one line, in the style of a screen."""
    measure = comparison.measures[0]
    contents = []
    for curve in CURVES:
        axis = curve.axis_title(measure, comparison.split)
        contents.append((curve.name, curve.title, axis, curve.column == "excess", curve.chance))
    contents.append((NETWORKS, "Similarity between the networks", measure_title(measure), True, False))
    for name, title, axis, is_excess, has_chance in contents:
        bands = [band for band in comparison.curves if band.curve == name]
        if not bands:
            continue
        with using(STYLE):
            figure = drawing.grid(STYLE, 1)
            (axes,) = figure.axes
            for index, band in enumerate(bands):
                _draw_band(axes, index, band, is_excess, has_chance, len(bands) <= drawing.MAX_SHADED_CURVES)
            axes.set(ylabel=axis, title=title)
            drawing.format_epochs(figure, comparison.epochs)
            curves.finish(figure)
            yield name, figure


def save(comparison: Comparison, folder: Path, kind: str) -> list[Path]:
    """Write the figures into a folder, which is created if missing, and return their paths.

    Raises
    ------
    OutputError
        The folder or a file in it cannot be written.
    """
    paths = []
    for name, figure in figures(comparison):
        with using(STYLE):
            paths.append(save_figure(figure, folder / f"{PREFIX}{name}.{kind}", kind))
    return paths


def _draw_band(axes: Axes, index: int, band: CurveBand, is_excess: bool, has_chance: bool, shades_chance: bool) -> None:
    """Draw the curve of a run or group. Bands of chance are left out if there are so many curves that they hide each other."""
    colour, epochs = drawing.colour(index), np.array(band.x, dtype=np.float64)
    label = drawing.short(band.group)
    if len(band.runs) > 1:
        label += f": mean of {len(band.runs)}, {BAND}"
    mean = np.array(band.mean, dtype=np.float64)
    drawing.draw_line(axes, epochs, mean, label, color=colour, linestyle=drawing.line_style(index))
    if band.low != band.high:
        axes.fill_between(band.x, band.low, band.high, color=colour, alpha=0.2, linewidth=0)
    if is_excess or has_chance:
        level = np.zeros(len(epochs)) if is_excess else np.array(band.chance, dtype=np.float64)
        std = np.array(band.chance_std, dtype=np.float64) if shades_chance else np.full(len(epochs), np.nan)
        drawing.draw_chance(axes, epochs, level, std)
