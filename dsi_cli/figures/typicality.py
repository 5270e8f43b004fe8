"""Typicality of right and wrong samples for their class (arXiv 2505.21338, appendix H):
curves, a table and histograms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure

from dsi_cli.figures import axes as drawing
from dsi_cli.figures.catalogue import Drawing, FigureOptions
from dsi_cli.figures.curves import finish
from dsi_cli.figures.style import COLOURS
from dsi_cli.queries import epoch_sampling
from dsi_cli.queries.curve_panels import Values
from dsi_cli.queries.epoch_summary import TypicalitySummary, typicality_summary
from dsi_cli.store.results import Results

# a run, a split and its summaries by epoch
_Part = tuple[str, str, list[TypicalitySummary]]
MAX_TABLE_EPOCHS = 8
MAX_HISTOGRAM_EPOCHS = 4
_CURVES = (
    ("right", COLOURS[0], "-", "right: mean of the class's right samples"),
    ("right_sample", COLOURS[0], "--", "right: single samples"),
    ("wrong", COLOURS[1], "-", "wrong: mean of the class's wrong samples"),
    ("wrong_sample", COLOURS[1], "--", "wrong: single samples"),
)
_COLUMNS = (
    "right",
    "right_chance",
    "right_sample",
    "wrong",
    "wrong_chance",
    "wrong_sample",
)
_TABLE_NOTE = (
    "Cosine similarity (at most 1) of the class's template with the mean feature of its"
    " right or wrong samples. Chance: with the mean feature of as many random samples"
    " of the class. Single: mean over single samples."
)


def curves(results: Results, options: FigureOptions) -> Drawing | None:
    """Return the drawing of curves of the cosine with the class's template, or None
    without templates.
    """
    parts = _summaries(results, options)
    style = options.style

    def draw() -> Figure:
        figure = drawing.grid(style, len(parts), share_y=True)
        for axes, (run, split, summaries) in zip(figure.axes, parts, strict=True):
            epochs = np.array(
                [summary.epoch or 0 for summary in summaries], dtype=np.float64
            )
            for field, colour, line, label in _CURVES:
                drawing.draw_line(
                    axes,
                    epochs,
                    _values(summaries, field),
                    label,
                    color=colour,
                    linestyle=line,
                )
            for field in ("right_chance", "wrong_chance"):
                drawing.draw_chance(
                    axes,
                    epochs,
                    _values(summaries, field),
                    np.full(len(epochs), np.nan),
                )
            axes.set_title(f"{drawing.short(run)}: typicality on {split}")
        figure.supylabel("cosine with the class's template", fontsize=style.size)
        drawing.format_epochs(figure)
        return finish(figure)

    return draw if parts else None


def table(results: Results, options: FigureOptions) -> Drawing | None:
    """Return the drawing of a table of the cosines at several epochs, or None without
    templates.
    """
    parts = _summaries(results, options)
    style = options.style

    def draw() -> Figure:
        row_height = style.size / 72 * 1.9
        rows = [
            epoch_sampling.log_spaced(list(summaries), MAX_TABLE_EPOCHS)
            for _, _, summaries in parts
        ]
        heights = [row_height * (len(summaries) + 4) for summaries in rows]
        figure = Figure(
            figsize=(style.width, sum(heights) + row_height), layout="constrained"
        )
        all_axes = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)
        for axes, (run, split, _), summaries in zip(
            all_axes[:, 0], parts, rows, strict=True
        ):
            axes.set_axis_off()
            cells = []
            for summary in summaries:
                epoch = "–" if summary.epoch is None else str(summary.epoch)
                values = [getattr(summary, field) for field in _COLUMNS]
                cells.append(
                    [
                        epoch,
                        *("-" if value is None else f"{value:.3f}" for value in values),
                    ]
                )
            titles = ["epoch", "right", "chance", "single", "wrong", "chance", "single"]
            table: Any = axes.table(
                cells,
                colLabels=titles,
                loc="center",
                cellLoc="right",
                edges="horizontal",
            )
            table.auto_set_font_size(False)
            table.set_fontsize(float(axes.xaxis.label.get_fontsize()) - 1)
            for cell in table.get_celld().values():
                cell.set(linewidth=0.4, edgecolor="#8f8f8f")
            axes.set_title(
                f"{drawing.short(run)}, {split}: typicality of right and wrong samples"
            )
            note = drawing.wrap(_TABLE_NOTE, style.width, style.size - 1)
            axes.text(
                0,
                0,
                note,
                transform=axes.transAxes,
                va="top",
                fontsize=style.size - 1,
                color="#444444",
            )
        return figure

    return draw if parts else None


def _summaries(results: Results, options: FigureOptions) -> list[_Part]:
    """Return run, split and summaries by epoch for each run and split with
    templates.
    """
    by_run = {
        run: typicality_summary(results.path, run) for run in options.names(results)
    }
    return [
        (run, split, summaries)
        for run, by_split in by_run.items()
        for split, summaries in by_split.items()
    ]


def _values(summaries: Sequence[TypicalitySummary], field: str) -> Values:
    return np.array(
        [getattr(summary, field) for summary in summaries], dtype=np.float64
    )


def histograms(results: Results, options: FigureOptions) -> Drawing | None:
    """Return the drawing of histograms of the cosines of samples at several epochs, or
    None without templates.
    """
    frame = results.typicality_histogram
    frame = frame[frame["run"].isin(options.names(results)) & (frame["samples"] > 0)]

    def draw() -> Figure:
        parts = []
        for (run, split), rows in cast(
            "Iterable[Any]", frame.groupby(["run", "split"], sort=False)
        ):
            epochs = sorted(map(int, rows["epoch"].unique()))
            if options.epochs is None:
                shown = epoch_sampling.log_spaced(epochs, MAX_HISTOGRAM_EPOCHS)
            else:
                shown = [
                    epoch for epoch in epochs if epoch in options.epochs
                ] or epochs[-1:]
            parts += [(run, split, epoch) for epoch in shown]
        figure = drawing.grid(options.style, len(parts), share_y=True)
        handles: dict[str, Any] = {}
        looks: tuple[tuple[bool, str, dict[str, Any]], ...] = (
            (True, "right", {"color": COLOURS[0], "alpha": 0.5}),
            (False, "wrong", {"fill": False, "edgecolor": COLOURS[1], "hatch": "///"}),
        )
        for axes, (run, split, epoch) in zip(figure.axes, parts, strict=True):
            part = frame[
                (frame["run"] == run)
                & (frame["split"] == split)
                & (frame["epoch"] == epoch)
            ]
            for is_right, label, look in looks:
                bins = part[part["correct"] == is_right].sort_values("low")
                shares = bins["samples"].to_numpy(dtype=float) / max(
                    1.0, float(bins["samples"].sum())
                )
                widths = (bins["high"] - bins["low"]).to_numpy(dtype=float)
                handles[label] = axes.bar(
                    bins["low"].to_numpy(dtype=float),
                    shares,
                    widths,
                    align="edge",
                    **look,
                )
            axes.set_xlim(frame["low"].min(), frame["high"].max())
            axes.set_title(f"{drawing.short(run)}, {split}, epoch {epoch}")
        figure.supylabel("share of samples", fontsize=options.style.size)
        figure.draw_without_rendering()
        for axes in figure.axes:
            if axes.xaxis.get_tick_params().get("labelbottom", True):
                text = "cosine of a sample with its class's template"
                axes.set_xlabel(
                    drawing.wrap(
                        text,
                        axes.bbox.width / figure.dpi,
                        drawing.text_size("axes.labelsize"),
                    )
                )
        drawing.draw_legend(figure, handles)
        return figure

    return None if frame.empty else draw
