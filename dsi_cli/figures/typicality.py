"""How typical right and wrong samples are of their class (arXiv 2505.21338, appendix H): curves with a table, and histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dsi_cli.figures import axes as drawing
from dsi_cli.figures.curves import grid, short
from dsi_cli.figures.figure_options import FigureOptions
from dsi_cli.figures.style import COLOURS
from dsi_cli.queries import epoch_sampling
from dsi_cli.queries import typicality as view
from dsi_cli.queries.typicality import TypicalitySummary

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dsi_cli.store.results import Results

LISTED = 8
"""Epochs in the table."""
SHOWN = 4
"""Epochs with a histogram."""
_CURVES = (
    ("right", COLOURS[0], "-", "right: mean of the class's right samples"),
    ("right_sample", COLOURS[0], "--", "right: sample by sample"),
    ("wrong", COLOURS[1], "-", "wrong: mean of the class's wrong samples"),
    ("wrong_sample", COLOURS[1], "--", "wrong: sample by sample"),
)
_COLUMNS = ("right", "right_chance", "right_sample", "wrong", "wrong_chance", "wrong_sample")
_HEADS = ("epoch", "right", "chance", "single", "wrong", "chance", "single")
_SAID = (
    "mean cosine of the class's template with the mean feature of its right (wrong) samples; chance: with that of as many"
    " random samples of the class; single: with a sample alone"
)


def curves(run: Results, options: FigureOptions) -> Figure | None:
    """Return the cosines with the class's template by epoch; None without templates."""
    parts = _parts(run, options)
    if not parts:
        return None
    figure, (width, height) = grid(options.style, len(parts))
    for axes, (name, split, lines) in zip(figure.axes, parts, strict=True):
        _lines(axes, lines)
        drawing.label(axes, width, height, f"{short(name)}: typicality on {split}")
    handles, texts = figure.axes[0].get_legend_handles_labels()
    drawing.below(
        figure,
        {"by chance: as many random samples of the class": drawing.chance_line()},
        dict(zip(texts, handles, strict=True)),
    )
    return figure


def table(run: Results, options: FigureOptions) -> Figure | None:
    """Return the same as a table, some epochs of it; None without templates."""
    from matplotlib.figure import Figure

    parts = _parts(run, options)
    if not parts:
        return None
    style, high = options.style, options.style.size / 72 * 1.9
    shown = [epoch_sampling.thin_epochs(list(lines), LISTED) for _, _, lines in parts]
    tall = [high * (len(lines) + 4) for lines in shown]
    figure = Figure(figsize=(style.width, sum(tall) + high), layout="constrained")
    grid_ = figure.subplots(len(parts), 1, squeeze=False, height_ratios=tall)
    for axes, (name, split, _), lines in zip(grid_[:, 0], parts, shown, strict=True):
        _table(axes, lines)
        drawing.label(axes, style.width, high, f"{short(name)}, {split}: typicality of right and wrong samples")
        said = drawing.wrapped(_SAID, style.width, style.size - 1)
        axes.text(0, 0, said, transform=axes.transAxes, va="top", fontsize=style.size - 1, color="#444444")
    return figure


def _parts(run: Results, options: FigureOptions) -> list[tuple[str, str, list[TypicalitySummary]]]:
    return [
        (name, split, found)
        for name in options.names(run)
        for split, found in view.typicality_summary(run.path, name).items()
        if found
    ]


def _lines(axes: Axes, lines: Sequence[TypicalitySummary]) -> None:
    epochs = [line.epoch or 0 for line in lines]
    for field, colour, style, label in _CURVES:
        axes.plot(epochs, _values(lines, field), color=colour, linestyle=style, label=label)
    for field, colour in (("right_chance", COLOURS[0]), ("wrong_chance", COLOURS[1])):
        axes.plot(epochs, _values(lines, field), color=colour, linestyle=drawing.CHANCE_LINE, linewidth=1.0, gid="chance")
    axes.set_ylabel("cosine with the class's template")
    drawing.over_epochs(axes)


def _values(lines: Sequence[TypicalitySummary], field: str) -> list[float]:
    return [float("nan") if (value := getattr(line, field)) is None else value for line in lines]


def _table(axes: Axes, lines: Sequence[TypicalitySummary]) -> None:
    axes.set_axis_off()
    cells = [
        ["–" if line.epoch is None else str(line.epoch), *(_cell(getattr(line, field)) for field in _COLUMNS)]
        for line in lines
    ]
    table: Any = axes.table(cells, colLabels=list(_HEADS), loc="center", cellLoc="right", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(float(axes.xaxis.label.get_fontsize()) - 1)
    for cell in table.get_celld().values():
        cell.set(linewidth=0.4, edgecolor="#8f8f8f")


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def histograms(run: Results, options: FigureOptions) -> Figure | None:
    """Return the share of right and of wrong samples by cosine, at some epochs; None without templates."""
    frame = run.typicality_histogram
    frame = frame[frame["run"].isin(options.names(run)) & (frame["samples"] > 0)]
    of = dict.fromkeys(zip(frame["run"], frame["split"], strict=True))
    shown = [(name, split, epoch) for name, split in of for epoch in _shown(frame, name, split, options)]
    if not shown:
        return None
    figure, (width, height) = grid(options.style, len(shown), across=2)
    for axes, (name, split, epoch) in zip(figure.axes, shown, strict=True):
        part = frame[(frame["run"] == name) & (frame["split"] == split) & (frame["epoch"] == epoch)]
        _histogram(axes, part)
        axes.set_xlim(frame["low"].min(), frame["high"].max())
        axes.set_xlabel("cosine of a sample with its class's template")
        axes.set_ylabel("share of samples")
        drawing.label(axes, width, height, f"{short(name)}, {split}, epoch {epoch}")
    handles, texts = figure.axes[0].get_legend_handles_labels()
    drawing.below(figure, {}, dict(zip(texts, handles, strict=True)))
    return figure


def _shown(frame: pd.DataFrame, name: str, split: str, options: FigureOptions) -> list[int]:
    there = sorted({int(e) for e in frame.loc[(frame["run"] == name) & (frame["split"] == split), "epoch"]})
    if options.epochs is not None:
        return [epoch for epoch in there if epoch in options.epochs] or there[-1:]
    return epoch_sampling.thin_epochs(there, SHOWN)


def _histogram(axes: Axes, part: pd.DataFrame) -> None:
    for correct, colour, label in ((True, COLOURS[0], "right"), (False, COLOURS[1], "wrong")):
        rows = part[part["correct"] == correct].sort_values("low")
        share = rows["samples"].to_numpy(dtype=float) / max(1.0, float(rows["samples"].sum()))
        width = (rows["high"] - rows["low"]).to_numpy(dtype=float)
        look: dict[str, Any] = (
            {"color": colour, "alpha": 0.5} if correct else {"fill": False, "edgecolor": colour, "hatch": "///"}
        )
        axes.bar(rows["low"].to_numpy(dtype=float), share, width, align="edge", label=label, **look)
