"""The curves of several runs over each other, a figure a quantity: one line a run, or a line and a band a group of repetitions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dsi_cli.figures import axes as drawing
from dsi_cli.figures.curves import grid, short
from dsi_cli.figures.save import save as save_figure
from dsi_cli.figures.style import CHANCE, Style, using
from dsi_cli.queries.comparison.repetitions import BAND, CURVES, NETWORKS, CurveBand
from dsi_cli.queries.curve_panels import Values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dsi_cli.queries.comparison.compare import Comparison

PREFIX = "compare-"
LONGEST = 36
"""Characters of a name in a legend."""


class ComparedCurves(NamedTuple):
    """One line of a figure."""

    label: str
    x: list[int]
    y: list[float]
    low: list[float]
    high: list[float]
    chance: list[float | None]
    chance_std: list[float | None]


class ComparisonFigure(NamedTuple):
    """One figure."""

    name: str
    title: str
    axis: str
    lines: list[ComparedCurves]
    zero_is_chance: bool
    with_chance: bool


def comparison_figures(comparison: Comparison) -> list[ComparisonFigure]:
    """Return the figures of a comparison that have at least one line."""
    found = [_curve_plan(comparison, at) for at in range(len(CURVES))]
    return [plan for plan in [*found, _between_plan(comparison)] if plan.lines]


def figures(comparison: Comparison, style: Style | None = None) -> Iterator[tuple[str, Figure]]:
    """Yield each figure with its name; a figure belongs to whoever takes it."""
    style = style or Style("screen")
    for plan in comparison_figures(comparison):
        with using(style):
            figure, room = grid(style, 1)
            _draw(figure.axes[0], plan, comparison.epochs, room)
            handles, labels = figure.axes[0].get_legend_handles_labels()
            drawing.below(figure, {}, dict(zip(labels, handles, strict=True)))
            yield plan.name, figure


def save(comparison: Comparison, folder: Path, kind: str, style: Style | None = None) -> list[Path]:
    """Write the figures into a folder, which is made where it is missing; return their paths.

    Raises
    ------
    OutputError
        The folder or a file in it cannot be written.
    """
    style = style or Style("screen")
    written = []
    for name, figure in figures(comparison, style):
        with using(style):
            written.append(save_figure(figure, folder / f"{PREFIX}{name}.{kind}", kind))
    return written


def _curve_plan(comparison: Comparison, at: int) -> ComparisonFigure:
    curve = CURVES[at]
    bands = [band for band in comparison.curves if band.curve == curve.name]
    lines = [_drawn(band) for band in bands]
    axis = curve.axis.format(measure=comparison.measures[0])
    split = f" ({comparison.split})" if curve.has_split else ""
    return ComparisonFigure(curve.name, curve.title, f"{axis}{split}", lines, curve.column == "excess", curve.chance)


def _drawn(band: CurveBand) -> ComparedCurves:
    label = _label(band.group, len(band.runs))
    return ComparedCurves(label, band.x, band.mean, band.low, band.high, band.chance, band.chance_std)


def _between_plan(comparison: Comparison) -> ComparisonFigure:
    """Return the figure of how alike the networks are: a line a pair of runs or groups."""
    bands = [band for band in comparison.curves if band.curve == NETWORKS]
    lines = [_drawn(band) for band in bands]
    axis = f"SAI excess, {comparison.measures[0]}"
    return ComparisonFigure(NETWORKS, "How alike the networks see the classes", axis, lines, True, False)


def _draw(axes: Axes, plan: ComparisonFigure, epochs: str, room: tuple[float, float]) -> None:
    for place, line in enumerate(plan.lines):
        how = drawing.axes_style(place, place)
        axes.plot(line.x, line.y, color=how.colour, linestyle=how.line, label=line.label, **drawing.marks(how, len(line.x)))
        if line.low != line.high:
            axes.fill_between(line.x, line.low, line.high, color=how.colour, alpha=0.2, linewidth=0)
    _draw_chance(axes, plan)
    axes.set_ylabel(plan.axis)
    drawing.over_epochs(axes, epochs)
    drawing.label(axes, *room, plan.title)


def _draw_chance(axes: Axes, plan: ComparisonFigure) -> None:
    """Draw what chance gives: one line where it is the same for all, else one in each run's colour; of few runs its band."""
    if not (plan.zero_is_chance or plan.with_chance):
        return
    look: dict[str, Any] = {"linestyle": drawing.CHANCE_LINE, "linewidth": 1.0}
    chances = [[0.0] * len(line.x) if plan.zero_is_chance else line.chance for line in plan.lines]
    levels = {round(level, 6) for chance in chances for level in chance if level is not None}
    if len(levels) == 1:
        axes.axhline(levels.pop(), color=CHANCE, label="chance", **look)
    else:
        for place, (line, chance) in enumerate(zip(plan.lines, chances, strict=True)):
            axes.plot(line.x, _numbers(chance), color=drawing.axes_style(place).colour, **look)
        axes.plot([], [], color=CHANCE, label="chance, in each one's colour", **look)
    look = drawing.CHANCE_BAND | {"label": "chance ± 2 std"}
    for line, chance in zip(plan.lines, chances, strict=True) if len(plan.lines) <= drawing.SHADED else ():
        level, spread = _numbers(chance), drawing.CHANCE_DEVIATIONS * _numbers(line.chance_std)
        if np.isfinite(level + spread).any():
            axes.fill_between(line.x, level - spread, level + spread, zorder=1, **look)


def _numbers(values: list[float | None] | list[float]) -> Values:
    return np.array(values, dtype=np.float64)


def _label(name: str, runs: int = 1) -> str:
    called = short(name, LONGEST)
    return called if runs == 1 else f"{called}: mean of {runs}, {BAND}"
