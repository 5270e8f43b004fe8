"""SAI with loss and learning rate on twin axes (arXiv 2505.21338, figure I.1): two axes a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsi_cli.figures import axes as drawing
from dsi_cli.figures import curves
from dsi_cli.figures.figure_options import FigureOptions
from dsi_cli.figures.style import COLOURS, LINES
from dsi_cli.queries import curve_panels
from dsi_cli.queries.curve_panels import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dsi_cli.store.results import Results

BESIDE = ("loss", "learning_rate")
MOST_RUNS = 2
"""A column: of more runs the figure would not fit a page, and says how to see the others."""


def draw(run: Results, options: FigureOptions) -> Figure | None:
    """Return the figure; None where no run has both a SAI and a loss or a learning rate."""
    by_run = [found for name in options.names(run) if (found := _pairs(run, options, name))]
    shown = by_run[: MOST_RUNS * options.style.columns]
    pairs = [pair for found in shown for pair in found]
    if not pairs:
        return None
    figure, (width, height) = curves.grid(options.style, len(pairs), across=2)
    for axes, (alignment, other) in zip(list(figure.axes), pairs, strict=True):
        run_name = curves.short(alignment.series[0].run)
        _twins(axes, alignment, other, height)
        drawing.label(axes, width, height, f"{run_name}: SAI and {other.kind.title.lower()}")
    if len(shown) < len(by_run):
        text = f"{len(shown)} of {len(by_run)} runs; others with --run"
        figure.suptitle(drawing.wrapped(text, options.style.width, options.style.size), fontsize=options.style.size)
    drawing.legend(figure)
    return figure


def _pairs(run: Results, options: FigureOptions, name: str) -> list[tuple[Panel, Panel]]:
    """Return a run's first SAI, that with the reference where there is one, with each that stands beside it."""
    kinds = [kind for kind in curve_panels.PANELS if kind.name in ("sai", *BESIDE)]
    found = {panel.kind.name: panel for panel in curve_panels.panels(run, [name], options.measure, kinds)}
    if "sai" not in found:
        return []
    sai = Panel(found["sai"].kind, found["sai"].measure, found["sai"].series[:1])
    return [(sai, found[one]) for one in BESIDE if one in found]


def _twins(axes: Axes, alignment: Panel, other: Panel, height: float) -> None:
    one = alignment.series[0]
    drawing.curve(axes, one, alignment, drawing.AxesStyle(COLOURS[0]), one.label)
    drawing.finish(axes, alignment.series, alignment)
    axes.yaxis.label.set_color(COLOURS[0])
    twin = axes.twinx()
    twin.spines["right"].set_visible(True)
    for place, beside in enumerate(sorted(other.series, key=lambda curve: curve.split or "")):
        drawing.curve(twin, beside, other, drawing.AxesStyle(COLOURS[1], LINES[1 + place], "s"), beside.label)
    drawing.finish(twin, other.series, other)
    twin.grid(visible=False)
    twin.set_ylabel(drawing.wrapped(other.axis, height, drawing.text_size("axes.labelsize")))
    twin.yaxis.label.set_color(COLOURS[1])
