"""Single classes: the agreement of each class with WordNet, and the neighbours of a class over the epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.figures import axes as drawing
from dsi_cli.figures import curves
from dsi_cli.figures.heatmaps import requested_frames, short_name
from dsi_cli.figures.style import CHANCE
from dsi_cli.metrics import NORMAL_QUANTILE
from dsi_cli.queries.class_names import class_names
from dsi_cli.queries.neighbors import NeighborQuery, neighbor_history

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from dsi_cli.figures.catalogue import FigureOptions
    from dsi_cli.store.results import Results

MAX_CLASSES = 40
"""Maximum number of classes with a row; of more classes, those of lowest and of highest agreement are shown."""
MAX_RANK, NAMED_RANK = 10, 5
"""The largest rank in a rank chart, and the largest rank at the last epoch of a class with a name and a colour."""


def agreement(results: Results, options: FigureOptions) -> Figure | None:
    """Return a row of dots per class, one dot per run, in order of the first run's agreement; None without labels."""
    by_run = {run: rows for run in options.names(results) if len(rows := class_agreements(results, run, options.epochs))}
    if not by_run:
        return None
    rising = next(iter(by_run.values()))["pearson"].sort_values(kind="stable").index.tolist()
    half = MAX_CLASSES // 2
    left_out = max(0, len(rising) - MAX_CLASSES)
    shown = [*rising[:half], f"… {left_out} more classes …", *rising[-half:]] if left_out else rising

    figure = drawing.grid(options.style, 1)
    figure.set_figheight((len(shown) + 5) * 1.3 * options.style.size / 72)
    (axes,) = figure.axes
    places = np.arange(len(shown))
    for run, rows in by_run.items():
        at = rows.reindex(shown)
        spread = NORMAL_QUANTILE * (at["pearson"] / at["z"]).abs().to_numpy(dtype=np.float64)
        colour = drawing.colour(options.names(results).index(run))
        axes.fill_betweenx(places, -spread, spread, **drawing.CHANCE_BAND)
        axes.plot(at["pearson"], places, "o", color=colour, markersize=3.5, label=drawing.short(run), gid="dots")
    axes.axvline(0, color=CHANCE, linewidth=0.8)
    axes.set_yticks(places, [short_name(str(name)) for name in shown], size=options.style.size - 2, parse_math=False)
    axes.set(ylim=(-0.7, len(shown) - 0.3), xlabel=curves.AGREEMENT.axis, title="Agreement of each class with WordNet")
    axes.grid(axis="y", color="#eeeeee", linewidth=0.5)
    axes.set_axisbelow(True)
    handles, texts = axes.get_legend_handles_labels()
    drawing.draw_legend(figure, dict(zip([*texts, "chance ± 2 std"], [*handles, axes.collections[0]], strict=True)))
    return figure


def class_agreements(results: Results, run: str, epochs: tuple[int, ...] | None = None) -> pd.DataFrame:
    """Return the agreement of a run's classes with the main reference at the last (requested) epoch, by class name."""
    rows = results.alignment_by_class
    rows = results.fill_missing_epochs(rows[(rows["run"] == run) & rows["class_index"].notna() & rows["pearson"].notna()])
    rows = rows[rows["reference"].isin(results.references(run)[:1])]
    if epochs is not None:
        rows = rows[rows["epoch"].isin(epochs)]
    rows = rows[rows["epoch"] == rows["epoch"].max()].drop_duplicates("class_index", keep="last")
    names = class_names(results, run)
    by_class: pd.DataFrame = rows.set_axis([names[int(index)] for index in rows["class_index"]], axis=0)
    return by_class


def neighbors(results: Results, options: FigureOptions) -> Figure | None:
    """Return the rank chart of a class's neighbours over the epochs, one panel per run and class.

    Without a requested class, it is the one whose agreement with WordNet is lowest in the first run.
    """
    all_frames = requested_frames(results, options)
    if not all_frames:
        return None
    names = options.class_names
    if not names:
        rows = class_agreements(results, all_frames[0].run)
        names = (str(rows["pearson"].idxmin()) if len(rows) else class_names(results, all_frames[0].run)[0],)
    parts = []
    for frames in all_frames:
        query = NeighborQuery(frames.kind.name, split=frames.split, run=frames.run, most=MAX_RANK)
        for name in names:
            try:
                parts.append((frames, neighbor_history(results, name, query)))
            except UsageError:
                if options.class_names is not None and len(all_frames) == 1:
                    raise
    if not parts:
        return None
    figure = drawing.grid(options.style, len(parts), across=2, share_y=True, aspect=1.2)
    for axes, (frames, history) in zip(figure.axes, parts, strict=True):
        colours = iter(range(NAMED_RANK))
        for track in history.rows:
            ranks = np.array(track.places, dtype=np.float64)
            is_named = ranks[-1] <= NAMED_RANK
            look: dict[str, Any] = (
                {"color": drawing.colour(next(colours))} if is_named else {"color": "#cfcfcf", "linewidth": 0.7}
            )
            drawing.draw_line(
                axes, np.array(history.epochs), ranks, short_name(track.name) if is_named else "_other", **look
            )
        axes.set_title(f"{drawing.short(frames.run)}: neighbours of {short_name(history.of)}")
        axes.set(ylim=(MAX_RANK + 0.5, 0.5), yticks=[1, NAMED_RANK, MAX_RANK])
    figure.supylabel("rank by the network's similarity", fontsize=options.style.size)
    drawing.format_epochs(figure)
    curves.finish(figure)
    return figure
