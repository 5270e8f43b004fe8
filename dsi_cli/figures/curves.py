"""Curves over epochs, all runs overlaid.

Curves with a chance level or with an excess over chance have axes of their own, so that each is next to its chance level. Other
curves share one pair of axes if they are few. If several runs share axes, the colour shows the run and the line style the curve.
Otherwise colour and marker distinguish the curves. With more than two runs, the confidence intervals are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dsi_cli.figures import axes as drawing
from dsi_cli.figures import phase_bands
from dsi_cli.figures.figure_options import FigureOptions
from dsi_cli.figures.style import Style
from dsi_cli.queries import curve_panels
from dsi_cli.queries.curve_panels import Panel, Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dsi_cli.store.results import Results

SEPARATE = ("sai", "excess", "idm", "idm_errors")
"""Panels with one pair of axes per curve."""
WITH_CHANCE = ("sai", "idm", "idm_errors")
MAX_CURVES_PER_AXES = 8


def draw(name: str, results: Results, options: FigureOptions) -> Figure | None:
    """Return the figure of one panel of `dsi_cli.queries.curve_panels.PANELS`, or None if no run has values for it."""
    kinds = [kind for kind in curve_panels.PANELS if kind.name == name]
    panels = curve_panels.panels(results, options.names(results), options.measure, kinds)
    return draw_panel(panels[0], results, options) if panels else None


def draw_panel(panel: Panel, results: Results, options: FigureOptions) -> Figure:
    """Return the figure of a panel; the order of the requested runs determines their colours."""
    parts, names, runs = _split_into_axes(panel), options.names(results), _runs(panel)
    is_separate = len(parts) > 1 or panel.kind.name in SEPARATE
    figure, (width, height) = grid(options.style, len(parts))

    for axes, part in zip(figure.axes, parts, strict=True):
        for curve, style in zip(part, _styles(part, runs, names), strict=True):
            drawing.draw_curve(axes, curve, panel, style, curve.label, shaded=len(runs) <= drawing.MAX_SHADED_CURVES)
        drawing.finish(axes, part, panel)
        drawing.set_labels(axes, width, height, " and ".join(_labels(part)) if is_separate else _title(panel))

    # All axes show the same epochs. Phases need the final limits of the axes.
    limits = [limit for axes in figure.axes for limit in axes.get_xlim()]
    phases: dict[str, Any] = {}
    for axes, part in zip(figure.axes, parts, strict=True):
        axes.set_xlim(min(limits), max(limits))
        if len(runs) == 1:
            phases |= phase_bands.draw_phases(axes, results, part[0], panel.kind.name)

    if is_separate:
        title = _title(panel)
        if panel.kind.name in WITH_CHANCE:
            title += ", each curve with its own chance level"
        size = options.style.size + 1
        figure.suptitle(drawing.wrap(title, options.style.width, size), fontsize=size, fontweight="bold")
    drawing.draw_legend(figure, drawing.band_handles(figure) | phases, _curve_handles(parts, runs, names))
    return figure


def grid(style: Style, parts: int, across: int | None = None) -> tuple[Figure, tuple[float, float]]:
    """Return a figure with a number of axes, and the approximate width and height of each in inches.

    On one column, the axes are below each other.
    """
    from matplotlib.figure import Figure

    default = 2 if parts == 4 else 3
    columns = 1 if style.columns == 1 else min(parts, across or default)
    rows = -(-parts // columns)
    width = style.width / columns
    height = max(width * (0.62 if rows == 1 else 0.48), style.size * 0.2)
    legend_height = style.size * (0.09 if parts > 1 else 0.06)
    figure = Figure(figsize=(style.width, rows * height + legend_height), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).flat[parts:]:
        axes.remove()
    return figure, (width - style.size * 0.08, height - style.size * 0.07)


def _split_into_axes(panel: Panel) -> list[list[Series]]:
    """Return the curves of each pair of axes."""
    by_label: dict[str, list[Series]] = {}
    for curve in _merge_accuracies(panel.series):
        by_label.setdefault(curve.label, []).append(curve)
    curves = sum(map(len, by_label.values()))
    is_crowded = len(_runs(panel)) > 1 and len(by_label) > 1 and curves > MAX_CURVES_PER_AXES
    if panel.kind.name in SEPARATE or is_crowded:
        return list(by_label.values())
    with_band = [part for part in by_label.values() if any(np.isfinite(curve.chance_std).any() for curve in part)]
    shared = [curve for part in by_label.values() if part not in with_band for curve in part]
    return [shared, *with_band] if shared else with_band


def _merge_accuracies(curves: Sequence[Series]) -> list[Series]:
    """Merge accuracy and balanced accuracy into one curve if they are equal, as for classes of equal size."""
    balanced = {(curve.run, curve.split): curve for curve in curves if curve.metric == "balanced_accuracy"}
    plain = {(curve.run, curve.split): curve for curve in curves if curve.metric == "accuracy"}
    if not all(key in plain and _are_equal(plain[key], curve) for key, curve in balanced.items()):
        return list(curves)
    merged = []
    for curve in curves:
        if curve.metric == "balanced_accuracy":
            continue
        if curve.metric == "accuracy" and (curve.run, curve.split) in balanced:
            curve = replace(curve, label=curve.label.replace("accuracy", "accuracy = balanced accuracy"))
        merged.append(curve)
    return merged


def _are_equal(curve: Series, other: Series) -> bool:
    same_epochs = np.array_equal(curve.epochs, other.epochs)
    return same_epochs and bool(np.allclose(curve.value, other.value, rtol=0, atol=1e-6, equal_nan=True))


def _runs(panel: Panel) -> list[str]:
    return list(dict.fromkeys(curve.run for curve in panel.series))


def _labels(part: Sequence[Series]) -> list[str]:
    return list(dict.fromkeys(curve.label for curve in part))


def _styles(part: Sequence[Series], runs: Sequence[str], names: Sequence[str]) -> list[drawing.AxesStyle]:
    """Return the look of each curve. With several runs, each run has a colour and each curve a line style."""
    labels = _labels(part)
    if len(runs) == 1:
        return [drawing.axes_style(labels.index(curve.label), labels.index(curve.label)) for curve in part]
    return [drawing.axes_style(names.index(curve.run), labels.index(curve.label)) for curve in part]


def _curve_handles(parts: Sequence[Sequence[Series]], runs: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Return the legend entries of the runs by colour, and of curves that share axes by line style."""
    labels = _labels(parts[0]) if len(_labels(parts[0])) > 1 else []
    if len(runs) == 1:
        return {label: _handle(drawing.axes_style(index, index)) for index, label in enumerate(labels)}
    handles = {short(name): _handle(drawing.axes_style(names.index(name))) for name in runs}
    for index, label in enumerate(labels):
        handles[label] = _handle(drawing.AxesStyle("#333333", drawing.axes_style(0, index).line, ""))
    return handles


def _handle(style: drawing.AxesStyle) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=style.colour, linestyle=style.line, marker=style.marker, markersize=2.4)


def _title(panel: Panel) -> str:
    runs, title = _runs(panel), panel.kind.title
    return title if len(runs) > 1 else f"{short(runs[0])}: {title[0].lower()}{title[1:]}"


def short(name: str, longest: int = 44) -> str:
    """Return a name without the start if it is long, because runs of a sweep differ at the end."""
    return name if len(name) <= longest else f"...{name[3 - longest :]}"
