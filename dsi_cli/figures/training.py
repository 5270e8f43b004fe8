"""SAI with loss and learning rate on twin axes (arXiv 2505.21338, figure I.1), two pairs of twin axes per run."""

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

TRAINING_PANELS = ("loss", "learning_rate")
MAX_RUNS_PER_COLUMN = 2
"""Maximum number of runs per column, so that the figure fits on a page; with more runs, its title mentions --run."""


def draw(results: Results, options: FigureOptions) -> Figure | None:
    """Return the figure, or None if no run has both a SAI and a loss or learning rate."""
    by_run = [pairs for name in options.names(results) if (pairs := _panel_pairs(results, options, name))]
    shown = by_run[: MAX_RUNS_PER_COLUMN * options.style.columns]
    all_pairs = [pair for pairs in shown for pair in pairs]
    if not all_pairs:
        return None
    figure, (width, height) = curves.grid(options.style, len(all_pairs), across=2)
    for axes, (alignment, training) in zip(list(figure.axes), all_pairs, strict=True):
        run = curves.short(alignment.series[0].run)
        _draw_twin_axes(axes, alignment, training, height)
        drawing.set_labels(axes, width, height, f"{run}: SAI and {training.kind.title.lower()}")
    if len(shown) < len(by_run):
        text = f"{len(shown)} of {len(by_run)} runs (choose others with --run)"
        figure.suptitle(drawing.wrap(text, options.style.width, options.style.size), fontsize=options.style.size)
    drawing.draw_legend(figure, drawing.band_handles(figure))
    return figure


def _panel_pairs(results: Results, options: FigureOptions, run: str) -> list[tuple[Panel, Panel]]:
    """Return a run's first SAI together with each of the `TRAINING_PANELS`; a SAI with the reference comes first."""
    kinds = [kind for kind in curve_panels.PANELS if kind.name in ("sai", *TRAINING_PANELS)]
    panels = {panel.kind.name: panel for panel in curve_panels.panels(results, [run], options.measure, kinds)}
    if "sai" not in panels:
        return []
    sai = Panel(panels["sai"].kind, panels["sai"].measure, panels["sai"].series[:1])
    return [(sai, panels[name]) for name in TRAINING_PANELS if name in panels]


def _draw_twin_axes(axes: Axes, alignment: Panel, training: Panel, height: float) -> None:
    sai = alignment.series[0]
    drawing.draw_curve(axes, sai, alignment, drawing.AxesStyle(COLOURS[0]), sai.label)
    drawing.finish(axes, alignment.series, alignment)
    axes.yaxis.label.set_color(COLOURS[0])
    twin = axes.twinx()
    twin.spines["right"].set_visible(True)
    for index, curve in enumerate(sorted(training.series, key=lambda curve: curve.split or "")):
        drawing.draw_curve(twin, curve, training, drawing.AxesStyle(COLOURS[1], LINES[1 + index], "s"), curve.label)
    drawing.finish(twin, training.series, training)
    twin.grid(visible=False)
    twin.set_ylabel(drawing.wrap(training.axis, height, drawing.text_size("axes.labelsize")))
    twin.yaxis.label.set_color(COLOURS[1])
