"""Curves over epochs, all runs overlaid.

Curves that have a chance level or say how far they lie above it stand on axes of their own, so that each is seen beside its own
chance level; others share one pair of axes where they are few. On shared axes of several runs a colour is a run and a line style
a curve; elsewhere colour and marker together tell apart. Of more than two runs the intervals are left out.
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

APART = ("sai", "excess", "idm", "idm_errors")
"""Panels whose curves stand on axes of their own."""
MOST_TOGETHER = 8
"""Curves on one pair of axes."""


def draw(name: str, run: Results, options: FigureOptions) -> Figure | None:
    """Return the figure of one panel of `dsi_cli.queries.curve_panels.PANELS`; None where no run has a point of it."""
    kinds = [kind for kind in curve_panels.PANELS if kind.name == name]
    found = curve_panels.panels(run, options.names(run), options.measure, kinds)
    return draw_panel(found[0], run, options) if found else None


def draw_panel(panel: Panel, run: Results, options: FigureOptions) -> Figure:
    """Return a panel's figure; the order of the runs that are asked for gives them their colours."""
    parts, names, runs = _parts(panel), options.names(run), _runs(panel)
    is_apart = len(parts) > 1 or panel.kind.name in APART
    figure, (width, height) = grid(options.style, len(parts))
    phases: dict[str, Any] = {}
    for axes, part in zip(figure.axes, parts, strict=True):
        for one, how in zip(part, _looks(part, runs, names), strict=True):
            drawing.curve(axes, one, panel, how, one.label, shaded=len(runs) <= drawing.SHADED)
        drawing.finish(axes, part, panel)
        drawing.label(axes, width, height, " and ".join(_labels(part)) if is_apart else _title(panel))
    limits = [end for axes in figure.axes for end in axes.get_xlim()]
    for axes, part in zip(figure.axes, parts, strict=True):
        axes.set_xlim(min(limits), max(limits))
        phases |= phase_bands.draw(axes, run, part[0], panel.kind.name) if len(runs) == 1 else {}
    if is_apart:
        _head(figure, panel, options.style)
    drawing.below(figure, drawing.bands(figure) | phases, _handles(parts, runs, names))
    return figure


def grid(style: Style, parts: int, across: int | None = None) -> tuple[Figure, tuple[float, float]]:
    """Return a figure with that many axes, and the inches that each of them has about: below each other on one column."""
    from matplotlib.figure import Figure

    across = 1 if style.columns == 1 else min(parts, across or (3 if parts != 4 else 2))
    down = -(-parts // across)
    width = style.width / across
    height = max(width * (0.62 if down == 1 else 0.48), style.size * 0.2)
    extra = style.size * (0.09 if parts > 1 else 0.06)
    figure = Figure(figsize=(style.width, down * height + extra), layout="constrained")
    for axes in figure.subplots(down, across, squeeze=False).flat[parts:]:
        axes.remove()
    return figure, (width - style.size * 0.08, height - style.size * 0.07)


def _parts(panel: Panel) -> list[list[Series]]:
    """Return the curves of each pair of axes."""
    by_label: dict[str, list[Series]] = {}
    for one in _told_apart(panel.series):
        by_label.setdefault(one.label, []).append(one)
    is_crowded = len(_runs(panel)) > 1 and len(by_label) > 1 and sum(map(len, by_label.values())) > MOST_TOGETHER
    if panel.kind.name in APART or is_crowded:
        return list(by_label.values())
    beside_chance = [part for part in by_label.values() if any(np.isfinite(one.chance_std).any() for one in part)]
    together = [one for part in by_label.values() if part not in beside_chance for one in part]
    return [*([together] if together else []), *beside_chance]


def _told_apart(curves: Sequence[Series]) -> list[Series]:
    """Return accuracy and balanced accuracy as one curve where they are the same, as they are for classes of one size."""
    balanced = {(one.run, one.split): one for one in curves if one.metric == "balanced_accuracy"}
    plain = {(one.run, one.split): one for one in curves if one.metric == "accuracy"}
    if not all(key in plain and _alike(plain[key], one) for key, one in balanced.items()):
        return list(curves)
    kept = [one for one in curves if one.metric != "balanced_accuracy"]
    return [
        replace(one, label=one.label.replace("accuracy", "accuracy = balanced accuracy"))
        if one.metric == "accuracy" and (one.run, one.split) in balanced
        else one
        for one in kept
    ]


def _alike(curve: Series, other: Series) -> bool:
    same = np.array_equal(curve.epochs, other.epochs)
    return same and bool(np.allclose(curve.value, other.value, rtol=0, atol=1e-6, equal_nan=True))


def _runs(panel: Panel) -> list[str]:
    return list(dict.fromkeys(one.run for one in panel.series))


def _labels(part: Sequence[Series]) -> list[str]:
    return list(dict.fromkeys(one.label for one in part))


def _looks(part: Sequence[Series], runs: Sequence[str], names: Sequence[str]) -> list[drawing.AxesStyle]:
    """Return each curve's look on its axes: of several runs a colour each, with a line style a curve; else by curve."""
    labels = _labels(part)
    if len(runs) == 1:
        return [drawing.axes_style(labels.index(one.label), labels.index(one.label)) for one in part]
    return [drawing.axes_style(names.index(one.run), labels.index(one.label)) for one in part]


def _handles(parts: Sequence[Sequence[Series]], runs: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Return what a legend says: the runs by colour, then the curves that share axes by line style."""
    labels = _labels(parts[0]) if len(_labels(parts[0])) > 1 else []
    if len(runs) == 1:
        return {label: _line(drawing.axes_style(at, at)) for at, label in enumerate(labels)}
    found = {short(name): _line(drawing.axes_style(names.index(name))) for name in runs}
    if labels:
        found |= {
            label: _line(drawing.AxesStyle("#333333", drawing.axes_style(0, at).line, ""))
            for at, label in enumerate(labels)
        }
    return found


def _line(style: drawing.AxesStyle) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=style.colour, linestyle=style.line, marker=style.marker, markersize=2.4)


def _title(panel: Panel) -> str:
    runs, title = _runs(panel), panel.kind.title
    return title if len(runs) > 1 else f"{short(runs[0])}: {title[0].lower()}{title[1:]}"


def _head(figure: Figure, panel: Panel, style: Style) -> None:
    beside = ", each curve beside its own chance level" if panel.kind.name in ("sai", "idm", "idm_errors") else ""
    text = _title(panel) + beside
    figure.suptitle(drawing.wrapped(text, style.width, style.size + 1), fontsize=style.size + 1, fontweight="bold")


def short(name: str, most: int = 44) -> str:
    """Return a name whose end is kept where it is long: runs of a sweep differ there."""
    return name if len(name) <= most else f"...{name[3 - most :]}"
