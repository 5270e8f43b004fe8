"""Curves over epochs, all runs overlaid, and the curves of a comparison, one figure per
quantity.

Curves of several runs have a panel each, in which a colour is a run. Curves of one run
share a panel, except those with a chance level, so that each is next to its chance
level. With more than two runs, the confidence intervals are left out. In a comparison,
a run has one line, and a group of repetitions has one line with a band.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsi_cli.figures import axes as drawing
from dsi_cli.figures.catalogue import Drawing, FigureOptions
from dsi_cli.figures.save import save
from dsi_cli.figures.style import CHANCE, SCREEN, Style, using
from dsi_cli.queries import curve_panels, matrices, quantities
from dsi_cli.queries.comparison.compare import Comparison
from dsi_cli.queries.comparison.repetitions import BAND, CURVES, NETWORK_CURVE
from dsi_cli.queries.curve_panels import Panel, Series
from dsi_cli.queries.findings import AGREEMENT_PREFIXES, PHASE_NAMES
from dsi_cli.queries.quantities import SAI, PanelSpec
from dsi_cli.store.results import Results

AGREEMENT = PanelSpec(
    "agreement",
    "Agreement",
    "agreement: 0 chance, 1 perfect",
    (SAI,),
    column="excess",
)
"""The agreement of two matrices: Pearson's correlation, or the excess of another
measure over its chance level.
"""
PANELS = (AGREEMENT, *quantities.PANELS)
# have one pair of axes per curve
SEPARATE = (
    "agreement",
    "sai",
    "excess",
    "idm",
    "idm_errors",
)
TRAINING_PANELS = ("agreement", "loss", "learning_rate")
"""The panels of the figure of the training, from top to bottom; each run has a column.
"""
LOG_RATIO = 50.0  # a loss has a logarithmic axis if its values span a larger factor
MATRIX_WORDS = {
    "ncsm": "network",
    "ncsm_centred": "centred network",
    "scsm": "WordNet",
    "ccsm": "mistakes",
    "tncsm": "features",
}
_PHASE_CURVES = dict.fromkeys(("agreement", "sai", "excess"), AGREEMENT_PREFIXES) | {
    "wsi": ("wsi max",)
}
"""The prefixes of the curve whose phases a panel shows, by panel."""


def draw(name: str, results: Results, options: FigureOptions) -> Drawing | None:
    """Return the drawing of one of the `PANELS`, or None if no run has values for
    it.
    """
    panel = find_panel(name, results, options.names(results), options.measure)
    return None if panel is None else partial(draw_panel, panel, results, options)


def find_panel(
    name: str, results: Results, runs: Sequence[str], measure: str | None = None
) -> Panel | None:
    """Return one of the `PANELS` with its curves, or None; without a measure, the
    agreement is Pearson's correlation.
    """
    if (
        name == "agreement"
        and measure is None
        and "pearson" in curve_panels.sai_measures(results.curves)
    ):
        measure = "pearson"
    kinds = [kind for kind in PANELS if kind.name == name]
    return next(iter(curve_panels.panels(results, runs, measure, kinds)), None)


def draw_panel(panel: Panel, results: Results, options: FigureOptions) -> Figure:
    """Return the figure of a panel; the order of the requested runs determines their
    colours.
    """
    names = options.names(results)
    runs = list(dict.fromkeys(curve.run for curve in panel.series))
    # Curves with the same label share a pair of axes.
    by_label: dict[str, list[Series]] = {}
    for curve in panel.series:
        by_label.setdefault(curve.label, []).append(curve)
    parts = list(by_label.values())
    if panel.kind.name not in SEPARATE and len(runs) == 1:
        # The curves of one run share a pair of axes, except those with a chance level.
        with_chance = [
            part
            for part in parts
            if any(np.isfinite(curve.chance).any() for curve in part)
        ]
        shared = [curve for part in parts if part not in with_chance for curve in part]
        parts = [*with_chance, shared] if shared else with_chance
    is_separate = len(parts) > 1 or panel.kind.name in SEPARATE
    figure = drawing.grid(options.style, len(parts), share_y=is_separate)

    for axes, part in zip(figure.axes, parts, strict=True):
        draw_curves(axes, part, panel, names)
        title = (
            curve_title(part[0], panel)
            if len({curve.label for curve in part}) == 1
            else panel.kind.title
        )
        axes.set_title(title if len(runs) > 1 else f"{drawing.short(runs[0])}: {title}")
    drawing.format_epochs(figure)
    text = panel.axis + (", lower is more similar" if panel.lower_is_closer else "")
    figure.supylabel(
        drawing.wrap(text, figure.get_figheight(), options.style.size),
        fontsize=options.style.size,
    )
    draw_phases(figure, results, panel, parts, names)
    return finish(figure)


def finish(
    figure: Figure, style: Style | None = None, shown: int = 0, runs: int = 0
) -> Figure:
    """Return the figure with names of its lines, and with titles and labels that are
    wrapped to the size of the axes.
    """
    if style is not None and shown < runs:
        text = f"{shown} of {runs} runs (choose others with --run)"
        figure.suptitle(
            drawing.wrap(text, style.width, style.size), fontsize=style.size
        )
    figure.draw_without_rendering()
    for axes in figure.axes:
        drawing.set_title(axes, axes.get_title(loc="left"))
        axes.set_ylabel(
            drawing.wrap(
                axes.get_ylabel(),
                axes.bbox.height / figure.dpi,
                drawing.text_size("axes.labelsize"),
            )
        )
    drawing.name_lines(figure)
    return figure


def draw_curves(
    axes: Axes, curves: Sequence[Series], panel: Panel, names: Sequence[str]
) -> None:
    """Draw curves with their chance levels and confidence intervals, and choose the
    scale of the axes.
    """
    runs = list(dict.fromkeys(curve.run for curve in curves))
    labels = list(dict.fromkeys(curve.label for curve in curves))
    is_excess = panel.kind.column == "excess"
    is_same = (
        is_excess
        or len(runs) == 1
        or len({round(level, 6) for curve in curves for level in curve.chance}) == 1
    )
    for curve in curves:
        line = labels.index(curve.label)
        if len(runs) == 1 and len(labels) > 1:
            name, colour = curve.label, drawing.colour(line)
        else:
            index = names.index(curve.run)
            name, colour = drawing.short(curve.run), drawing.colour(index)
            line += drawing.colour_round(index)
        # The interval of a SAI belongs to its excess, not to the raw value.
        if len(runs) <= drawing.MAX_SHADED_CURVES and (
            is_excess or curve.metric != SAI
        ):
            drawing.draw_interval(axes, curve.epochs, curve.low, curve.high, colour)
        values, chance, chance_std = curve.value, curve.chance, curve.chance_std
        if is_excess:
            values, chance, chance_std = (
                curve.excess,
                np.zeros(len(curve.epochs)),
                curve.excess_std,
            )
        drawing.draw_chance(
            axes, curve.epochs, chance, chance_std, CHANCE if is_same else colour
        )
        has_name = len(runs) > 1 or len(labels) > 1
        drawing.draw_line(
            axes,
            curve.epochs,
            values,
            name if has_name else "_only",
            color=colour,
            linestyle=drawing.line_style(line),
        )
    _choose_scale(axes, curves, panel.kind.name)


def _choose_scale(axes: Axes, curves: Sequence[Series], name: str) -> None:
    """Let a loss of many magnitudes have a logarithmic axis, and counts and learning
    rates begin at 0.
    """
    if name == "loss":
        values = np.concatenate(
            [curve.value[np.isfinite(curve.value)] for curve in curves]
        )
        if values.min() > 0 and values.max() > LOG_RATIO * values.min():
            axes.set_yscale("log")
    elif name in ("learning_rate", "mistakes"):
        axes.set_ylim(bottom=0)


def draw_phases(
    figure: Figure,
    results: Results,
    panel: Panel,
    parts: Sequence[Sequence[Series]],
    names: Sequence[str],
) -> None:
    """Draw the phases of each run above the axes with its agreement with the reference
    or its Max WSI, if there are few runs.
    """
    if (
        panel.kind.name not in _PHASE_CURVES
        or len({curve.run for curve in panel.series}) > drawing.MAX_PHASE_BARS
    ):
        return
    prefixes, table = _PHASE_CURVES[panel.kind.name], results.phases
    for axes, part in zip(figure.axes, parts, strict=True):
        level = 0
        for curve in {curve.run: curve for curve in reversed(part)}.values():
            if curve.of not in ("ncsm,scsm", "ncsm") or curve.variant in (
                "mean",
                "min",
            ):
                continue
            is_shown = table["curve"].str.startswith(prefixes) & table["phase"].isin(
                PHASE_NAMES
            )
            rows = (
                table[is_shown & (table["run"] == curve.run)]
                .sort_values("first_epoch")
                .to_dict("records")
            )
            if rows:
                drawing.draw_phases(
                    axes, rows, drawing.colour(names.index(curve.run)), level
                )
                level += 1


def curve_title(curve: Series, panel: Panel) -> str:
    """Return the title of the axes of one curve: plain words for an agreement, such as
    "network and WordNet".
    """
    if curve.metric == "wsi":
        return f"{curve.label} WSI"
    if panel.kind.name != "agreement" or curve.label.count(",") > 1:
        return curve.label
    parts = [
        part.removesuffix("-test").partition("-")
        for part in (curve.of or "").split(",")
    ]
    return " and ".join(
        MATRIX_WORDS.get(kind, kind) + (f" ({split})" if split else "")
        for kind, _, split in parts
    )


def draw_against_accuracy(results: Results, options: FigureOptions) -> Drawing | None:
    """Return the drawing of the agreement with the reference against the accuracy; None
    if no run has both.
    """
    pairs = {}
    for run in options.names(results):
        panels = [
            find_panel(name, results, [run], options.measure)
            for name in ("agreement", "accuracy")
        ]
        agreements, accuracies = (
            [] if panel is None else panel.series for panel in panels
        )
        agreements = [
            curve for curve in agreements if (curve.of or "").endswith(",scsm")
        ]
        accuracies = [curve for curve in accuracies if curve.metric == "accuracy"]
        if agreements and accuracies:
            pairs[run] = agreements[0], accuracies[0]

    def draw() -> Figure:
        figure = drawing.grid(options.style, 1, aspect=1.1)
        (axes,) = figure.axes
        for run, (agreement, accuracy) in pairs.items():
            epochs, at, there = np.intersect1d(
                agreement.epochs, accuracy.epochs, return_indices=True
            )
            x, y = accuracy.value[there], agreement.excess[at]
            index, rising = options.names(results).index(run), np.argsort(x)
            colour, line = (
                drawing.colour(index),
                drawing.line_style(drawing.colour_round(index)),
            )
            drawing.draw_chance(
                axes, x[rising], np.zeros(len(x)), agreement.excess_std[at][rising]
            )
            look: dict[str, Any] = {
                "color": colour,
                "linestyle": line,
                "marker": "o",
                "markersize": 3,
                "zorder": 3,
            }
            axes.plot(x, y, label=drawing.short(run), gid="curve", **look)
            axes.vlines(
                x,
                agreement.low[at],
                agreement.high[at],
                color=colour,
                alpha=0.25,
                linewidth=1.5,
                gid="interval",
            )
            if len(epochs) > 1:
                text = f"epoch {results.shown_epoch(int(epochs[1]), run)}"
                size = options.style.size - 2
                axes.annotate(
                    text,
                    (x[1], y[1]),
                    (4, -9),
                    textcoords="offset points",
                    color=colour,
                    size=size,
                )
        title = (
            f"Agreement with {matrices.reference_title(results, next(iter(pairs)))}"
            " against accuracy"
        )
        axes.set(xlabel="accuracy", ylabel=AGREEMENT.axis, title=title)
        axes.set_xlim(left=0)
        return finish(figure)

    return draw if pairs else None


def draw_training(results: Results, options: FigureOptions) -> Drawing | None:
    """Return the drawing of the agreement with loss and learning rate (arXiv
    2505.21338, I.1), or None without both.
    """
    by_run = {}
    for run in options.names(results):
        panels = [
            find_panel(name, results, [run], options.measure)
            for name in TRAINING_PANELS
        ]
        if panels[0] is not None and any(panels[1:]):
            by_run[run] = panels
    names = options.names(results)
    style = options.style

    def draw() -> Figure:
        shown = list(by_run)[: style.across]  # as many as fit next to each other
        rows = [
            index
            for index in range(len(TRAINING_PANELS))
            if any(by_run[run][index] for run in shown)
        ]
        figure = drawing.grid(
            style, len(rows) * len(shown), across=len(shown), aspect=0.7
        )
        for place, axes in enumerate(figure.axes):
            run = shown[place % len(shown)]
            panel = by_run[run][rows[place // len(shown)]]
            if panel is None:
                axes.set_axis_off()
                continue
            # The first agreement is that with the reference, if there is one.
            series = panel.series[:1] if panel.kind is AGREEMENT else panel.series
            draw_curves(axes, series, panel, names)
            if place < len(shown):
                axes.set_title(f"{drawing.short(run)}: {curve_title(series[0], panel)}")
            first = figure.axes[place - place % len(shown)]
            if axes is first:
                axes.set_ylabel(
                    panel.axis if panel.kind is AGREEMENT else panel.kind.title.lower()
                )
            elif panel.kind.name != "learning_rate":
                axes.sharey(first)
        drawing.format_epochs(figure)
        return finish(figure, style, len(shown), len(by_run))

    return draw if by_run else None


def comparison_figures(comparison: Comparison) -> Iterator[tuple[str, Figure]]:
    """Yield the name and the figure of each quantity that has at least one line, in the
    style of a screen.
    """
    for curve in (*CURVES, NETWORK_CURVE):
        bands = [band for band in comparison.curves if band.curve == curve.name]
        if not bands:
            continue
        with using(SCREEN):
            figure = drawing.grid(SCREEN, 1)
            (axes,) = figure.axes
            is_excess = curve.column == "excess"
            for index, band in enumerate(bands):
                colour, epochs = (
                    drawing.colour(index),
                    np.array(band.x, dtype=np.float64),
                )
                label = drawing.short(band.group)
                if len(band.runs) > 1:
                    label += f": mean of {len(band.runs)}, {BAND}"
                mean = np.array(band.mean, dtype=np.float64)
                drawing.draw_line(
                    axes,
                    epochs,
                    mean,
                    label,
                    color=colour,
                    linestyle=drawing.line_style(index),
                )
                if band.low != band.high:
                    axes.fill_between(
                        band.x,
                        band.low,
                        band.high,
                        color=colour,
                        alpha=0.2,
                        linewidth=0,
                    )
                if is_excess or curve.chance:
                    level = (
                        np.zeros(len(epochs))
                        if is_excess
                        else np.array(band.chance, dtype=np.float64)
                    )
                    std = np.array(band.chance_std, dtype=np.float64)
                    if len(bands) > drawing.MAX_SHADED_CURVES:
                        std[:] = np.nan  # the bands of chance would hide each other
                    drawing.draw_chance(axes, epochs, level, std)
            title = curve.title.replace("WordNet", comparison.reference)
            axes.set(
                ylabel=curve.axis_title(comparison.measures[0], comparison.split),
                title=title,
            )
            drawing.format_epochs(figure, comparison.epochs)
            yield curve.name, finish(figure)


def save_comparison(comparison: Comparison, folder: Path, kind: str) -> list[Path]:
    """Write the figures into a folder, and return their paths; raise `OutputError` if
    one cannot be written.
    """
    # The style stays in effect until the next figure is drawn.
    return [
        save(figure, folder / f"compare-{name}.{kind}", kind)
        for name, figure in comparison_figures(comparison)
    ]
