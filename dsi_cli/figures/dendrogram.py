"""The trees of the network's classes and of WordNet's, facing each other (a
tanglegram): a line joins each class in both.

Both are average-linkage clusterings of a similarity matrix. Forks are turned so that
few lines cross. Without a reference, the network's tree is drawn alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from dsi_cli.figures import axes as drawing
from dsi_cli.figures.catalogue import FigureOptions
from dsi_cli.figures.heatmaps import (
    class_layout,
    group_colours,
    repetition,
    requested_frames,
    short_name,
)
from dsi_cli.figures.style import CHANCE, Style
from dsi_cli.queries import matrices, run_classes
from dsi_cli.queries.matrices import MatrixFrames
from dsi_cli.store.results import Results

MAX_HEIGHT = {"screen": 12.0, "paper": 9.0}  # height of a pair of trees in inches
# smallest legible font size of class names in points; smaller names are left out
MIN_FONT_SIZE = 3.6
# of a tree and of the lines between the trees, relative to a run's figure
TREE_WIDTH, LINK_WIDTH = (0.24, 0.16)
DARK = "#404040"


Tree = NDArray[np.float64]
"""A hierarchical clustering of C classes: SciPy's linkage ``(C-1, 4)``. The first
branch of each fork is on top.
"""


class Tanglegram(NamedTuple):
    """One run's trees."""

    title: str
    names: list[str]
    colours: list[Any]
    network: Tree
    reference: Tree | None
    reference_title: str = "WordNet"
    line_styles: Sequence[Any] = ("-",)  # dashed if an earlier group has the colour


def figure(results: Results, options: FigureOptions) -> Figure | None:
    """Return the figure of the trees of the runs at the last requested epoch, or None
    if no run has such a matrix.
    """
    epoch = options.epochs[-1] if options.epochs else None
    all_frames = [
        frames
        for frames in requested_frames(results, options)
        if _has_tree(results, frames, epoch)
    ]
    if not all_frames:
        return None
    layouts = [class_layout(results, frames, "taxonomy") for frames in all_frames]
    colours = group_colours(layouts)
    pairs = [tanglegram(results, frames, colours, epoch) for frames in all_frames]
    return draw(pairs, colours, options.style)


def _has_tree(results: Results, frames: MatrixFrames, epoch: int | None) -> bool:
    """Return whether a matrix exists at an epoch, by default the last, and has
    different values.
    """
    epoch = frames.at(epoch)
    if epoch not in frames.epochs:
        return False
    values = matrices.epoch_matrix(results, frames, epoch)
    return len(values) > 1 and np.nanmin(values) != np.nanmax(values)


def tanglegram(
    results: Results,
    frames: MatrixFrames,
    colours: dict[str, Any],
    epoch: int | None = None,
) -> Tanglegram:
    """Return a run's trees at an epoch, by default the last."""
    epoch = frames.at(epoch)
    table = run_classes.class_rows(results, frames.run)
    names = class_layout(results, frames, "given").names
    groups = [
        run_classes.synset_words(group) if isinstance(group, str) else ""
        for group in table["group"]
    ]
    values = matrices.epoch_matrix(results, frames, epoch)
    reference = matrices.reference_matrix(results, frames.run)
    known, other = np.arange(len(values)), None
    if reference is None or not np.isfinite(reference).any():
        network = _tree(values, known)
    else:
        # Both trees have the classes that have a synset.
        known = np.flatnonzero(np.isfinite(reference).any(axis=0))
        network, other = _tree(values, known), _tree(reference, known)
        for _ in range(2):
            other = turn_forks(other, leaf_rows(network))
            network = turn_forks(network, leaf_rows(other))
    return Tanglegram(
        f"{drawing.short(frames.run)}: {frames.title}, epoch"
        f" {results.shown_epoch(epoch, frames.run)}",
        [short_name(names[index]) for index in known],
        [colours.get(groups[index], CHANCE) for index in known],
        network,
        other,
        matrices.reference_title(results, frames.run),
        [_line_style(groups[index], colours) for index in known],
    )


def _line_style(group: str, colours: dict[str, Any]) -> Any:
    """Return the line style that tells a group from earlier ones of its colour."""
    return drawing.line_style(repetition(group, colours) if group in colours else 0)


def _tree(values: NDArray[Any], known: NDArray[np.intp]) -> Tree:
    similarity = values[np.ix_(known, known)]
    np.fill_diagonal(similarity, 1.0)
    return run_classes.clustering(similarity)


def leaf_rows(tree: Tree) -> NDArray[np.intp]:
    """Return the row of each leaf, from the top."""
    return np.argsort(run_classes.leaf_order(tree))


def turn_forks(tree: Tree, rows: NDArray[Any]) -> Tree:
    """Return the tree with each fork turned so that the branch whose leaves have the
    smaller mean of ``rows`` is on top.
    """
    turned, leaves = tree.copy(), len(rows)
    sizes = np.concatenate([np.ones(leaves), tree[:, 3]])
    sums = np.concatenate([rows, np.zeros(leaves - 1)])
    for index, branches in enumerate(tree[:, :2].astype(int)):
        sums[leaves + index] = sums[branches].sum()
        turned[index, :2] = branches[
            np.argsort(sums[branches] / sizes[branches], kind="stable")
        ]
    return turned


def draw(pairs: list[Tanglegram], colours: dict[str, Any], style: Style) -> Figure:
    """Return the figure of the trees of one or more runs: below each other, or two side
    by side on two columns.
    """
    across = min(style.columns, len(pairs))
    rows = -(-len(pairs) // across)
    classes = max(len(pair.names) for pair in pairs)
    size = style.size - 2
    height = min(MAX_HEIGHT[style.name], classes * size * drawing.LINE_HEIGHT / 72 + 1)
    figure = Figure(figsize=(style.width, rows * height), layout="constrained")
    parts = figure.subfigures(rows, across, squeeze=False).flat
    longest = max(len(name) for pair in pairs for name in pair.names)
    room = (1 - 2 * TREE_WIDTH - LINK_WIDTH) / 2 * style.width / across * 72
    font_size = min(
        size,
        (height - 1) * 72 / classes / drawing.LINE_HEIGHT,
        room / max(1, longest) / drawing.LETTER_WIDTH,
    )
    for part, pair in zip(parts, pairs, strict=False):
        _draw_pair(part, pair, font_size, style)
    if colours:
        entries = {
            short_name(name): Line2D(
                [], [], color=colour, linestyle=_line_style(name, colours)
            )
            for name, colour in colours.items()
        }
        drawing.draw_legend(figure, entries)
    return figure


def _draw_pair(part: SubFigure, pair: Tanglegram, size: float, style: Style) -> None:
    """Draw a run's tree at the left, WordNet's at the right, and names and lines
    between them.
    """
    part.suptitle(pair.title, weight="bold", size=style.size, parse_math=False)
    if pair.reference is None:
        widths = [TREE_WIDTH, 1 - TREE_WIDTH]
    else:
        widths = [TREE_WIDTH, 1 - 2 * TREE_WIDTH, TREE_WIDTH]
    left, middle, *right = part.subplots(1, len(widths), width_ratios=widths)
    draw_tree(left, pair.network)
    left.set_title("network", weight="normal")
    ends = [(pair.network, 0.01, "left")]
    if pair.reference is not None:
        draw_tree(right[0], pair.reference)
        right[0].invert_xaxis()
        right[0].set_title(pair.reference_title, weight="normal", loc="right")
        ends.append((pair.reference, 0.99, "right"))
        link = LINK_WIDTH / (1 - 2 * TREE_WIDTH) if size >= MIN_FONT_SIZE else 0.9
        rows = zip(leaf_rows(pair.network), leaf_rows(pair.reference), strict=True)
        lines = [
            [(0.5 - link / 2, one), (0.5 + link / 2, other)] for one, other in rows
        ]
        middle.add_collection(
            LineCollection(
                lines,
                colors=pair.colours,
                linestyles=pair.line_styles,
                linewidths=0.9,
            )
        )
    if size >= MIN_FONT_SIZE:
        for tree, x, side in ends:
            for row, leaf in enumerate(run_classes.leaf_order(tree)):
                name = pair.names[leaf]
                middle.text(
                    x,
                    row,
                    name,
                    size=size,
                    ha=side,
                    va="center",
                    color=DARK,
                    parse_math=False,
                )
    middle.set(xlim=(0, 1), ylim=left.get_ylim())
    middle.set_axis_off()


def draw_tree(axes: Axes, tree: Tree) -> None:
    """Draw a clustering from its root at the left to its leaves at rows 0, 1, ... at
    the right.

    The axis shows the mean similarity of the two clusters that a fork joins, relative
    to the range of the tree.
    """
    heights = tree[:, 2]
    padding = 0.06 * float(heights.max() - heights.min()) or 0.01
    start = max(0.0, float(heights.min()) - padding)
    lines = LineCollection(
        list(np.maximum(branches(tree), [start, -np.inf])), colors=DARK
    )
    lines.set_linewidth(max(0.25, min(0.9, 60 / len(heights))))
    axes.add_collection(lines, autolim=False)
    axes.set(
        xlim=(float(heights.max()) + padding, start), ylim=(len(heights) + 0.5, -0.5)
    )
    axes.set_axis_off()


def branches(tree: Tree) -> NDArray[np.float64]:
    """Return the forks of a tree ``(C-1, 4, 2)`` as lines of (height, row) without
    recursion.
    """
    leaves = len(tree) + 1
    heights, rows = np.zeros(2 * leaves - 1), np.zeros(2 * leaves - 1)
    rows[:leaves] = leaf_rows(tree)
    forks = np.empty((leaves - 1, 4, 2))
    for index, (left, right, height, _) in enumerate(tree):
        first, second = int(left), int(right)
        forks[index, :, 0] = heights[first], height, height, heights[second]
        forks[index, :, 1] = rows[first], rows[first], rows[second], rows[second]
        heights[leaves + index] = height
        rows[leaves + index] = (rows[first] + rows[second]) / 2
    return forks
