"""Figures of a comparison, one per quantity: one line per run, or one line with a band per group of repetitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsi_cli.figures import axes as drawing
from dsi_cli.figures import curves
from dsi_cli.figures.save import save as save_figure
from dsi_cli.figures.style import Style, using
from dsi_cli.queries.comparison.criteria import measure_title
from dsi_cli.queries.comparison.repetitions import BAND, CURVES, NETWORKS, CurveBand
from dsi_cli.queries.curve_panels import Values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dsi_cli.queries.comparison.compare import Comparison

PREFIX = "compare-"


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
            figure = drawing.grid(style, 1)
            _draw(figure.axes[0], content)
            drawing.format_epochs(figure, comparison.epochs)
            curves.finish(figure)
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


def _draw(axes: Axes, content: ComparisonFigure) -> None:
    for index, band in enumerate(content.bands):
        colour, epochs = drawing.colour(index), _floats(band.x)
        drawing.draw_line(axes, epochs, _floats(band.mean), _label(band), color=colour, linestyle=drawing.line_style(index))
        if band.low != band.high:
            axes.fill_between(band.x, band.low, band.high, color=colour, alpha=0.2, linewidth=0)
        if content.zero_is_chance or content.with_chance:
            # Bands of many curves would hide each other.
            has_band = len(content.bands) <= drawing.MAX_SHADED_CURVES
            level = np.zeros(len(epochs)) if content.zero_is_chance else _floats(band.chance)
            drawing.draw_chance(axes, epochs, level, _floats(band.chance_std) if has_band else np.full(len(epochs), np.nan))
    axes.set_ylabel(content.axis)
    axes.set_title(content.title)


def _floats(values: Sequence[float | None]) -> Values:
    return np.array(values, dtype=np.float64)


def _label(band: CurveBand) -> str:
    name = drawing.short(band.group)
    return name if len(band.runs) == 1 else f"{name}: mean of {len(band.runs)}, {BAND}"
