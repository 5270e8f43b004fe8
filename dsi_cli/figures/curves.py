"""Curves over epochs, all runs overlaid: the agreement, NIDM and WIDM of mistakes, and
the WSI.

Curves with the same label share a pair of axes, in which a colour is a run. The WSI of
one run has all its curves on one pair of axes. With more than two runs, the confidence
intervals are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsi_cli.figures import axes as drawing
from dsi_cli.figures.catalogue import FigureOptions
from dsi_cli.figures.style import CHANCE
from dsi_cli.queries import curve_panels, facts
from dsi_cli.queries.quantities import IDM, SAI, WSI, PanelSpec, alignment
from dsi_cli.store.results import Results

AXES = {
    "agreement": "{title}: 0 chance, 1 same",
    "idm_errors": "IDM of mistakes",
    "wsi": "WSI: cosine similarity",
}
"""The label of the vertical axis of each figure."""
TITLES = {
    "ncsm": "network",
    "ncsm_centred": "centred network",
    "scsm": "WordNet",
    "ccsm": "mistakes",
    "tncsm": "features",
}
"""The words for each matrix in the titles of agreements."""
_SPECS = {
    "agreement": PanelSpec("agreement", "", "", (SAI,), column="excess"),
    "idm_errors": PanelSpec("idm_errors", "", "", (IDM,), ("errors",)),
    "wsi": PanelSpec("wsi", "", "", (WSI,)),
}


def curve_rows(
    results: Results, name: str, runs: Sequence[str], measure: str | None = None
) -> pd.DataFrame:
    """Return the curves of a figure, one row per run, curve and epoch: ``run``, ``of``,
    ``label``, ``title``, ``axis``, ``epoch``, ``value``, ``chance``, ``chance_std``,
    ``low`` and ``high``.

    The figure of the agreement shows the excess of a measure: by default the agreement,
    or the first measure if it is missing.
    """
    measures = [measure] if measure else curve_panels.sai_measures(results.curves)
    shown = alignment(measures)
    if name == "agreement":
        measure = shown.variant
    axis = AXES[name].format(title=shown.title)
    parts = []
    for panel in curve_panels.panels(results, runs, measure, [_SPECS[name]]):
        for series in panel.series:
            rows = pd.DataFrame({"epoch": series.epochs, "value": series.value})
            rows["chance"], rows["chance_std"] = series.chance, series.chance_std
            rows["low"], rows["high"] = series.low, series.high
            if name == "agreement":
                rows["value"], rows["chance"] = series.excess, 0.0
                rows["chance_std"] = series.excess_std
            title = f"{series.label} WSI" if name == "wsi" else series.label
            if name == "agreement":
                title = _agreement_title(series.label, series.of or "")
            keys = {"run": series.run, "of": series.of, "label": series.label}
            parts.append(rows.assign(**keys, title=title, axis=axis))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _agreement_title(label: str, of: str) -> str:
    """Return plain words for the agreement of two matrices, such as "network and
    WordNet"; with another reference, the label names it.
    """
    if label.count(",") > 1:
        return label
    words = []
    for part in of.split(","):
        kind, _, split = part.removesuffix("-test").partition("-")
        word = TITLES.get(kind, kind)
        words.append(f"{word} ({split})" if split else word)
    return " and ".join(words)


def figure(name: str, results: Results, options: FigureOptions) -> Figure | None:
    """Return the figure of some curves, or None if no run has values for it; the order
    of the requested runs determines their colours.
    """
    names = options.names(results)
    rows = curve_rows(results, name, names, options.measure)
    if rows.empty:
        return None
    runs = rows["run"].unique()
    parts = [part for _, part in rows.groupby("label", sort=False)]
    if name == "wsi" and len(runs) == 1:
        parts = [rows]
    figure = drawing.grid(options.style, len(parts), share_y=True)
    for axes, part in zip(figure.axes, parts, strict=True):
        draw_curves(axes, part, names if len(runs) > 1 else [str(runs[0])])
        draw_breaks(axes, results, [str(run) for run in runs], names)
        title = part["title"].iloc[0]
        if part["label"].nunique() > 1:
            title = "Weights similarity index"
        if len(runs) == 1:
            title = f"{drawing.short(runs[0])}: {title}"
        drawing.set_title(axes, title, options.style)
    drawing.format_epochs(figure)
    label = drawing.wrap(
        rows["axis"].iloc[0], figure.get_figheight(), options.style.size
    )
    figure.supylabel(label, fontsize=options.style.size)
    drawing.draw_legend_of_lines(figure)
    return figure


def draw_breaks(
    axes: Axes, results: Results, runs: Sequence[str], names: Sequence[str]
) -> None:
    """Draw a line before each epoch at which another training begins."""
    for run in runs:
        colour = CHANCE if len(runs) == 1 else drawing.colour(names.index(run))
        for one in facts.of_run(results.path, run):
            if one.code == facts.BREAK:
                for epoch in one.epochs:
                    axes.axvline(epoch - 0.5, color=colour, linestyle=":")


def draw_curves(axes: Axes, rows: pd.DataFrame, names: Sequence[str]) -> None:
    """Draw the curves of a table as `curve_rows` returns it, with their chance levels
    and confidence intervals.

    ``names`` are the runs of the whole figure in order of their colours, which are the
    same on all its axes. In a figure of one run, a colour is a curve.
    """
    runs, labels = list(rows["run"].unique()), list(rows["label"].unique())
    is_same = len(runs) == 1 or rows["chance"].round(6).nunique() == 1
    for (run, label), curve in rows.groupby(["run", "label"], sort=False):
        index, name = names.index(str(run)), drawing.short(str(run))
        if len(names) == 1:
            index = labels.index(label)
            name = str(label) if len(labels) > 1 else "_only"
        colour = drawing.colour(index)
        epochs = curve["epoch"].to_numpy()
        value, chance, std, low, high = (
            curve[column].to_numpy(dtype=np.float64)
            for column in ("value", "chance", "chance_std", "low", "high")
        )
        if len(runs) <= drawing.MAX_SHADED_CURVES:
            drawing.draw_interval(axes, epochs, low, high, colour)
        drawing.draw_chance(axes, epochs, chance, std, CHANCE if is_same else colour)
        line = drawing.line_style(index)
        drawing.draw_line(axes, epochs, value, name, color=colour, linestyle=line)
