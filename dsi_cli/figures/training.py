"""Agreement with loss and learning rate (arXiv 2505.21338, figure I.1): one column of panels per run, with one axis of epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsi_cli.figures import axes as drawing
from dsi_cli.figures import curves
from dsi_cli.figures.figure_options import FigureOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dsi_cli.store.results import Results

TRAINING_PANELS = ("agreement", "loss", "learning_rate")


def draw(results: Results, options: FigureOptions) -> Figure | None:
    """Return the figure, or None if no run has both an agreement and a loss or learning rate.

    It shows as many runs as fit next to each other; with more runs, its title mentions ``--run``.
    """
    by_run = {}
    for run in options.names(results):
        panels = [curves.find_panel(name, results, [run], options.measure) for name in TRAINING_PANELS]
        if panels[0] is not None and any(panels[1:]):
            by_run[run] = panels
    shown = list(by_run)[: options.style.across]
    rows = [index for index in range(len(TRAINING_PANELS)) if any(by_run[run][index] for run in shown)]
    if not shown:
        return None

    figure = drawing.grid(options.style, len(rows) * len(shown), across=len(shown), aspect=0.7)
    for place, axes in enumerate(figure.axes):
        run = shown[place % len(shown)]
        panel = by_run[run][rows[place // len(shown)]]
        if panel is None:
            axes.set_axis_off()
            continue
        # The first agreement is that with the reference, if there is one.
        series = panel.series[:1] if panel.kind is curves.AGREEMENT else panel.series
        curves.draw_curves(axes, series, panel, options.names(results))
        if place < len(shown):
            axes.set_title(f"{drawing.short(run)}: {curves.curve_title(series[0], panel)}")
        first = figure.axes[place - place % len(shown)]
        if axes is not first and panel.kind.name != "learning_rate":
            axes.sharey(first)
        if axes is first:
            axes.set_ylabel(panel.axis if panel.kind is curves.AGREEMENT else panel.kind.title.lower())
    drawing.format_epochs(figure)
    if len(shown) < len(by_run):
        text = f"{len(shown)} of {len(by_run)} runs (choose others with --run)"
        figure.suptitle(drawing.wrap(text, options.style.width, options.style.size), fontsize=options.style.size)
    curves.finish(figure)
    return figure
