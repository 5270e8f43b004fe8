"""Typicality of right and wrong samples for their class over the epochs (arXiv
2505.21338, appendix H).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsi_cli.figures import axes as drawing
from dsi_cli.figures.catalogue import FigureOptions
from dsi_cli.figures.style import NEGATIVE_COLOURS, POSITIVE_COLOURS
from dsi_cli.queries.epoch_summary import typicality
from dsi_cli.store.results import Results

_CURVES = (
    ("right", POSITIVE_COLOURS[7], "-", "right: mean of the class's right samples"),
    ("right_sample", POSITIVE_COLOURS[7], "--", "right: single samples"),
    ("wrong", NEGATIVE_COLOURS[6], "-", "wrong: mean of the class's wrong samples"),
    ("wrong_sample", NEGATIVE_COLOURS[6], "--", "wrong: single samples"),
)


def figure(results: Results, options: FigureOptions) -> Figure | None:
    """Return the figure of the cosines with the class's template, or None without
    templates.
    """
    found = typicality(results)
    parts = {}
    for run in options.names(results):
        for split, rows in found[found["run"] == run].groupby("split"):
            parts[run, split] = rows
    if not parts:
        return None
    figure = drawing.grid(options.style, len(parts), share_y=True)
    for axes, ((run, split), rows) in zip(figure.axes, parts.items(), strict=True):
        draw_typicality(axes, rows)
        title = f"{drawing.short(run)}: typicality on {split}"
        drawing.set_title(axes, title, options.style)
    figure.supylabel("cosine with the class's template", fontsize=options.style.size)
    drawing.format_epochs(figure)
    drawing.draw_legend_of_lines(figure)
    return figure


def draw_typicality(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the cosines of right and wrong samples by ``epoch``, with the chance levels
    ``right_chance`` and ``wrong_chance``.
    """
    epochs = rows["epoch"].to_numpy(dtype=np.float64)
    for name, colour, line, label in _CURVES:
        values = rows[name].to_numpy(dtype=np.float64)
        drawing.draw_line(axes, epochs, values, label, color=colour, linestyle=line)
    unknown = np.full(len(epochs), np.nan)
    for name in ("right_chance", "wrong_chance"):
        values = rows[name].to_numpy(dtype=np.float64)
        drawing.draw_chance(axes, epochs, values, unknown)
