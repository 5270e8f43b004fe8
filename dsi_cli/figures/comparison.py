"""The curves of several runs over each other, a figure a quantity: one line a run, or a line and a band a group of repetitions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dsi_cli.errors import OutputError
from dsi_cli.figures.style import CHANCE, COLOURS, LINES, Style, using
from dsi_cli.store import parquet
from dsi_cli.views.comparison.groups import BAND, CURVES, NETWORKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dsi_cli.views.comparison.whole import Comparison

PREFIX = "compare-"
LONGEST = 36
"""Characters of a name in a legend."""


class Drawn(NamedTuple):
    """One line of a figure."""

    label: str
    x: list[int]
    y: list[float]
    low: list[float]
    high: list[float]
    chance: list[float | None]


class Plan(NamedTuple):
    """One figure."""

    name: str
    title: str
    axis: str
    lines: list[Drawn]
    zero_is_chance: bool
    with_chance: bool


def plans(comparison: Comparison) -> list[Plan]:
    """Return the figures of a comparison that have at least one line."""
    found = [_curve_plan(comparison, at) for at in range(len(CURVES))]
    return [plan for plan in [*found, _between_plan(comparison)] if plan.lines]


def figures(comparison: Comparison, style: Style | None = None) -> Iterator[tuple[str, Figure]]:
    """Yield each figure with its name; a figure belongs to whoever takes it."""
    from matplotlib.figure import Figure

    style = style or Style("screen")
    for plan in plans(comparison):
        with using(style):
            figure = Figure(figsize=(style.width, style.width * 0.68))
            _draw(figure.subplots(), plan, comparison.epochs)
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures(comparison, style):
            path = folder / f"{PREFIX}{name}.{kind}"
            with using(style):
                figure.savefig(path, metadata={"Date": None} if kind == "svg" else None)
            written.append(path)
    except OSError as error:
        raise OutputError(parquet.cannot_write(folder, error)) from None
    return written


def _curve_plan(comparison: Comparison, at: int) -> Plan:
    curve = CURVES[at]
    bands = [band for band in comparison.curves if band.curve == curve.name]
    lines = [
        Drawn(_label(band.group, len(band.runs)), band.x, band.mean, band.low, band.high, band.chance) for band in bands
    ]
    axis = curve.axis.format(measure=comparison.measures[0])
    split = f" ({comparison.split})" if curve.has_split else ""
    return Plan(curve.name, curve.title, f"{axis}{split}", lines, curve.column == "excess", curve.chance)


def _between_plan(comparison: Comparison) -> Plan:
    """Return the figure of how alike the networks are: a line a pair of runs or groups."""
    bands = [band for band in comparison.curves if band.curve == NETWORKS]
    lines = [
        Drawn(_label(band.group, len(band.runs)), band.x, band.mean, band.low, band.high, band.chance) for band in bands
    ]
    axis = f"SAI excess, {comparison.measures[0]}"
    return Plan(NETWORKS, "How alike the networks see the classes", axis, lines, True, False)


def _draw(axes: Axes, plan: Plan, epochs: str) -> None:
    from matplotlib.ticker import MaxNLocator

    for place, line in enumerate(plan.lines):
        colour = COLOURS[place % len(COLOURS)]
        mark = "o" if len(line.x) == 1 else None
        axes.plot(line.x, line.y, color=colour, linestyle=LINES[place % len(LINES)], marker=mark, label=line.label)
        if line.low != line.high:
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, linewidth=0)
    _draw_chance(axes, plan)
    axes.set_title(plan.title, loc="left")
    axes.set_xlabel(epochs)
    axes.set_ylabel(plan.axis)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    few = 12 if max(len(line.label) for line in plan.lines) < LONGEST else 6
    if len(plan.lines) <= few:
        axes.legend(frameon=False)
    else:
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _draw_chance(axes: Axes, plan: Plan) -> None:
    if plan.zero_is_chance:
        axes.axhline(0.0, color=CHANCE, linewidth=0.8, label="chance")
        return
    if plan.with_chance:
        levels = sorted({round(one, 6) for line in plan.lines for one in line.chance if one is not None})
        for place, level in enumerate(levels[:2]):
            axes.axhline(level, color=CHANCE, linewidth=0.8, label="chance" if place == 0 else None)


def _label(name: str, runs: int = 1) -> str:
    short = name if len(name) <= LONGEST else f"...{name[-LONGEST:]}"
    return short if runs == 1 else f"{short}: mean of {runs}, {BAND}"
