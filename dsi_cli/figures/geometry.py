"""Class geometry: norms of the class vectors, their drift, distance from a simplex (neural collapse), rank and spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dsi_cli.figures import axes as drawing
from dsi_cli.figures import curves
from dsi_cli.figures.catalogue import Drawing, FigureOptions
from dsi_cli.figures.heatmaps import short_name
from dsi_cli.figures.style import CHANCE
from dsi_cli.queries.run_classes import by_class, class_names, spectrum_by_epoch

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dsi_cli.store.results import Results

NAMED_CLASSES = 2
"""The number of classes with the longest, and of those with the shortest vectors at the last epoch that have names."""
MAX_FAINT_CLASSES = 200
"""The maximum number of other classes with a line."""


def draw(results: Results, options: FigureOptions) -> Drawing | None:
    """Return the drawing of a row of panels per run: norms, drift, simplex, rank and spectrum; None without a classifier."""
    runs = [run for run in options.names(results) if not by_class(results, run, "norm").empty]
    return partial(_draw_runs, runs[: options.style.across], results, options) if runs else None


def _draw_runs(runs: Sequence[str], results: Results, options: FigureOptions) -> Figure:
    figure = drawing.grid(options.style, 5 * len(runs), across=len(runs), aspect=0.8)
    *rows, last_row = np.array(figure.axes).reshape(5, len(runs))
    for run, norms, drift, simplex, rank in zip(runs, *rows, strict=True):
        _draw_norms(norms, by_class(results, run, "norm"), class_names(results, run), options.class_names)
        norms.set(title=f"{drawing.short(run)}: norms of classes")
        _draw_drift(drift, by_class(results, run, "angle_previous"), by_class(results, run, "angle_last"))
        for axes, name in ((simplex, "simplex"), (rank, "effective_rank")):
            panel = curves.find_panel(name, results, [run])
            if panel is None:
                axes.set_axis_off()
                continue
            for index, curve in enumerate(panel.series):
                colour = drawing.colour(index)
                drawing.draw_chance(axes, curve.epochs, curve.chance, curve.chance_std, colour)
                drawing.draw_line(axes, curve.epochs, curve.value, curve.label, color=colour)
            axes.set(title=panel.kind.title, ylabel=panel.axis, ylim=(0, None))
    for row in rows:
        top = max(axes.get_ylim()[1] for axes in row)
        for axes in row:
            axes.set_ylim(0, top)
    # The horizontal axis of the spectra has singular values in place of epochs, so the panels above have their own labels.
    places = [axes.get_subplotspec() for axes in last_row]
    for axes, above in zip(last_row, rows[-1], strict=True):
        axes.remove()
        above.tick_params(labelbottom=True)
    drawing.format_epochs(figure)
    for run, place in zip(runs, places, strict=True):
        _draw_spectrum(figure.add_subplot(place), results, run, options.epochs)
    curves.finish(figure)
    return figure


def _draw_norms(axes: Axes, norms: pd.DataFrame, names: list[str], chosen: tuple[str, ...] | None) -> None:
    """Draw the norm of each class; the chosen classes, or those with the longest and shortest vectors, have names."""
    falling = norms[norms.columns[-1]].sort_values(ascending=False, kind="stable").index
    named = [index for index in falling if names[int(index)] in (chosen or ())]
    named = named or list(dict.fromkeys([*falling[:NAMED_CLASSES], *falling[-NAMED_CLASSES:]]))
    others = [index for index in falling if index not in named]
    epochs = norms.columns.to_numpy(dtype=np.float64)
    for index in others[:: max(1, len(others) // MAX_FAINT_CLASSES)]:
        drawing.draw_line(axes, epochs, norms.loc[index].to_numpy(), "_other", color="#cfcfcf", linewidth=0.5)
    for place, index in enumerate(named):
        values = norms.loc[index].to_numpy()
        drawing.draw_line(axes, epochs, values, short_name(str(names[int(index)])), color=drawing.colour(place))
    axes.set(ylabel="norm", ylim=(0, None))


def _draw_drift(axes: Axes, previous: pd.DataFrame, last: pd.DataFrame) -> None:
    """Draw the median angle to the previous and to the last checkpoint, and the range of 80 % of the classes."""
    for place, (name, frame) in enumerate((("to the last", last), ("to the previous", previous))):
        known = frame.loc[:, frame.notna().any()]
        if known.shape[1]:
            epochs = known.columns.to_numpy(dtype=np.float64)
            low, middle, high = np.nanquantile(known.to_numpy(), [0.1, 0.5, 0.9], axis=0)
            axes.fill_between(epochs, low, high, color=drawing.colour(place), alpha=0.18, linewidth=0)
            drawing.draw_line(axes, epochs, middle, name, color=drawing.colour(place))
    axes.axhline(90, color=CHANCE, linewidth=0.8)
    axes.set(title="Drift (median, 80 % of classes)", ylabel="degrees", ylim=(0, 95))


def _draw_spectrum(axes: Axes, results: Results, run: str, epochs: tuple[int, ...] | None) -> None:
    """Draw the share of each singular value at the first and the last epoch, or at the first and the chosen ones."""
    shares, chance = spectrum_by_epoch(results, run)
    if shares.empty:
        axes.set_axis_off()
        return
    known = [int(epoch) for epoch in shares.columns]
    chosen = [epoch for epoch in epochs or () if epoch in known] or known[-1:]
    for place, epoch in enumerate(dict.fromkeys([known[0], *chosen])):
        share = shares[epoch].where(shares[epoch] > 0)
        drawing.draw_line(axes, shares.index.to_numpy(), share.to_numpy(), f"epoch {epoch}", color=drawing.colour(place))
    # An untrained head is close to chance, so the chance level is above its line.
    axes.plot(chance.index, chance, "--", color="black", linewidth=0.8, label="chance", gid="chance", zorder=4)
    axes.set(title="Spectrum of the head", xlabel="singular value", ylabel="share of the squared sum", yscale="log")
    axes.set_xlim(1, max(2, len(shares)))
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.5)
    axes.set_axisbelow(True)
