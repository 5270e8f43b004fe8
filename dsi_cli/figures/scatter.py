"""The rank of each pair of classes in the network against its rank in WordNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from dsi_cli.figures import axes as drawing
from dsi_cli.figures.catalogue import FigureOptions
from dsi_cli.figures.heatmaps import frames_at_epochs, short_name
from dsi_cli.figures.style import CHANCE, NEGATIVE_COLOURS, POSITIVE_COLOURS
from dsi_cli.queries import matrices
from dsi_cli.queries.matrices import MatrixFrames
from dsi_cli.queries.run_classes import class_names
from dsi_cli.store.results import Results

# number of named pairs of either kind: near in the network and far in WordNet, and the
# reverse
OUTLIERS = 4
MAX_DOTS = 600  # pairs that are dots; more pairs are counted in hexagons


def figure(results: Results, options: FigureOptions) -> Figure | None:
    """Return the figure of the last requested epoch, one panel per run, or None without
    matrices or labels.
    """
    all_frames = frames_at_epochs(results, options, with_reference=True)
    if not all_frames:
        return None
    figure = drawing.grid(
        options.style, len(all_frames), across=2, share_y=True, aspect=1.3
    )
    for axes, frames in zip(figure.axes, all_frames, strict=True):
        epoch = frames.among(options.epochs)[-1]
        draw_pairs(axes, pair_ranks(results, frames, epoch))
        shown = results.shown_epoch(epoch, frames.run)
        axes.set_title(f"{drawing.short(frames.run)}: {frames.title}, epoch {shown}")
        reference = matrices.reference_title(results, frames.run)
        axes.set_xlabel(f"rank in {reference} (1 is the most similar pair)")
    figure.supylabel("rank in the network", fontsize=options.style.size)
    handles, texts = figure.axes[0].get_legend_handles_labels()
    drawing.draw_legend(figure, dict(zip(texts, handles, strict=True)))
    return figure


def pair_ranks(results: Results, frames: MatrixFrames, epoch: int) -> pd.DataFrame:
    """Return the pairs of classes that the network and the reference have: ``first``,
    ``second``, and their percentile ranks ``network`` and ``reference`` from 0 to 1,
    the most similar pair.
    """
    values = matrices.epoch_matrix(results, frames, epoch)
    reference = matrices.reference_matrix(results, frames.run)
    assert reference is not None
    symmetric = (values + values.T) / 2
    rows, columns = np.nonzero(np.triu(np.isfinite(symmetric + reference), 1))
    names = np.array(class_names(results, frames.run), dtype=object)
    pairs = pd.DataFrame({"first": names[rows], "second": names[columns]})
    pairs["network"] = matrices.percentile_ranks(symmetric[rows, columns])
    pairs["reference"] = matrices.percentile_ranks(reference[rows, columns])
    return pairs


def draw_pairs(axes: Axes, pairs: pd.DataFrame) -> None:
    """Draw pairs as `pair_ranks` returns them, with the medians of tenths and the names
    of those that differ most.
    """
    # Equal values of WordNet are spread at random over their ranks, so that they do not
    # form lines.
    number, network = len(pairs), pairs["network"].to_numpy()
    shuffled = np.random.default_rng(0).permutation(number)
    falling = np.lexsort((shuffled, pairs["reference"]))
    spread = np.empty(number)
    spread[falling] = (np.arange(number) + 0.5) / number
    if number <= MAX_DOTS:
        axes.plot(
            spread,
            network,
            ".",
            rasterized=True,
            color=POSITIVE_COLOURS[5],
            markersize=3,
            alpha=0.6,
            markeredgewidth=0,
        )
    else:
        axes.hexbin(
            spread,
            network,
            gridsize=min(40, round(number**0.5 / 3)),
            cmap=LinearSegmentedColormap.from_list("dsi", POSITIVE_COLOURS),
            linewidths=0,
        )
    axes.axhline(0.5, color=CHANCE, linewidth=0.8, label="chance")
    tenths = (pairs["reference"] * 10).astype(int).clip(upper=9)
    medians = pairs["network"].groupby(tenths).median()
    axes.plot((medians.index + 0.5) / 10, medians, color="black", label="median")
    of_difference = (pairs["reference"] - pairs["network"]).sort_values(kind="stable")
    most = min(OUTLIERS, number // 2)
    near, far = of_difference.index[:most], of_difference.index[::-1][:most]
    _name(axes, pairs.loc[near], 0.3, "left", POSITIVE_COLOURS[7])
    _name(axes, pairs.loc[far], 0.7, "right", NEGATIVE_COLOURS[6])
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    # Both axes show percentiles. Their ticks are ranks at round numbers.
    step = max(1, int(float(f"{number / 4:.0e}")))
    ranks = np.array([1, *range(step, number + 1, step)])
    places, labels = 1 - (ranks - 0.5) / number, [f"{rank:,}" for rank in ranks]
    axes.set_xticks(places, labels)
    axes.set_yticks(places, labels)


def _name(axes: Axes, pairs: pd.DataFrame, x: float, side: str, colour: str) -> None:
    """Write the names of some pairs below each other at a place of the horizontal axis."""
    rising = pairs.sort_values("network", kind="stable")
    places = spread_apart(rising["network"].tolist(), 0.055, 0.03, 0.97)
    look: dict[str, Any] = {
        "size": drawing.text_size("legend.fontsize") - 1,
        "va": "center",
        "ha": side,
        "color": colour,
        "arrowprops": {"arrowstyle": "-", "color": colour, "linewidth": 0.5},
        "bbox": {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5},
        "parse_math": False,
    }
    for row, place in zip(rising.to_dict("records"), places, strict=True):
        text = f"{short_name(row['first'])} – {short_name(row['second'])}"
        point = row["reference"], row["network"]
        axes.annotate(text, point, (x, place), **look)
        axes.plot(*point, "o", color=colour, markersize=3)


def spread_apart(
    positions: Sequence[float], distance: float, low: float, high: float
) -> list[float]:
    """Return rising positions moved so that neighbours are at least ``distance`` apart
    and all are within ``low`` and ``high``.

    The result is the mean of pushing the positions down from the top and up from the
    bottom. Each of the two keeps the distances, so their mean does, too.

    >>> spread_apart([3, 3, 9], 2, 0, 10)
    [2.0, 4.0, 9.0]
    """
    steps = np.arange(len(positions)) * distance
    offsets = np.asarray(positions, dtype=np.float64) - steps
    down = np.maximum.accumulate(offsets)
    up = np.minimum.accumulate(offsets[::-1])[::-1]
    moved = (
        np.clip((down + up) / 2, low, max(low, high - steps.max(initial=0.0))) + steps
    )
    return [float(position) for position in moved]
