"""A hierarchical clustering of the classes as a tree, whose leaves are the rows of the heat map next to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.figures import color_scales, panel_layout, row_labels
from dsi_cli.figures.heatmaps import ClassLayout, layout_in_order, reorder, requested_frames
from dsi_cli.figures.row_labels import RowLabels
from dsi_cli.figures.style import Style
from dsi_cli.queries import class_order, matrices
from dsi_cli.queries.matrices import MatrixFrames, MatrixKind, Values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dsi_cli.figures.figure_options import FigureOptions
    from dsi_cli.store.results import Results

TREE_WIDTH = 0.2
"""Width of a tree relative to the column."""
TREE_GAP = 0.05
"""Inches between a tree and its map."""


class ClassTree(NamedTuple):
    """One run's clustering, with its matrix in the order of the leaves."""

    title: str
    classes: ClassLayout
    values: Values
    tree: NDArray[np.float64]
    """The linkage matrix of SciPy."""


def figure(results: Results, options: FigureOptions) -> Figure | None:
    """Return the clusterings of the runs at the last requested epoch, or None if no run has such a matrix."""
    all_frames = requested_frames(results, options)
    epoch = options.epochs[-1] if options.epochs else None
    trees = [tree for frames in all_frames if (tree := class_tree(results, frames, epoch))]
    return draw(trees, all_frames[0].kind, options.style) if trees else None


def class_tree(results: Results, frames: MatrixFrames, epoch: int | None = None) -> ClassTree | None:
    """Return a run's clustering at an epoch, by default the last; None if the epoch is missing or all values are equal."""
    if epoch is None:
        epoch = frames.epochs[-1]
    table = results.classes[results.classes["run"] == frames.run]
    if epoch not in frames.epochs or len(table) < 2:
        return None
    values = matrices.epoch_matrix(results, frames, epoch)
    if np.nanmin(values) == np.nanmax(values):
        return None
    complete = values.copy()
    np.fill_diagonal(complete, 1.0)
    tree = class_order.clustering(complete)
    classes = layout_in_order(table, class_order.leaf_order(tree), "the order of the tree")
    title = f"{frames.run}, {frames.title}, epoch {results.shown_epoch(epoch, frames.run)}"
    return ClassTree(title, classes, reorder(values, classes.order), tree)


def draw(trees: Sequence[ClassTree], kind: MatrixKind, style: Style) -> Figure:
    """Return the figure of one or more clusterings: below each other, or two side by side if the style has two columns."""

    def plan_labels(class_tree: ClassTree, height: float) -> RowLabels:
        return row_labels.plan_labels(class_tree.classes.names, class_tree.classes.groups, height, style.size - 1)

    # The width of the labels depends on the size of the map, and the size of the map on the labels, so compute both twice.
    across = min(style.columns, len(trees))
    column_width = style.width / across
    figure = panel_layout.blank_figure(style.width, style.width)
    line, tree_width = style.size / 72, TREE_WIDTH * column_width
    label_width, size = 0.0, column_width
    for _ in range(2):
        label_width = max(label_width, *(sum(row_labels.widths(figure, plan_labels(tree, size))) for tree in trees))
        size = column_width - 2 * panel_layout.MARGIN - tree_width - TREE_GAP - label_width
    row_height = 2.0 * line + size + 3.4 * line
    bottom = panel_layout.MARGIN + -(-len(trees) // across) * row_height
    figure.set_figheight(bottom + panel_layout.bars_height(style) + panel_layout.MARGIN)

    scale = color_scales.shared_scale((tree.values for tree in trees), kind.name)
    for index, class_tree in enumerate(trees):
        row, column = divmod(index, across)
        top, left = panel_layout.MARGIN + row * row_height, panel_layout.MARGIN + column * column_width
        panel_layout.write_heading(figure, top, class_tree.title, class_tree.classes.detail, style, left, column_width)
        tree_axes = panel_layout.add_axes(figure, left + line, top + 2.0 * line, tree_width - line, size)
        map_axes = panel_layout.add_axes(figure, left + tree_width + TREE_GAP, top + 2.0 * line, size, size)
        color_scales.draw_cells(map_axes, class_tree.values, scale)
        draw_tree(tree_axes, class_tree.tree)
        row_labels.write_labels(figure, map_axes, plan_labels(class_tree, size), right=True)
    text = f"{kind.values}\n{color_scales.describe_scale(scale)}" if len(trees) > 1 else kind.values
    panel_layout.draw_bars(figure, bottom, [panel_layout.ColorBar(scale, text)], style)
    return figure


def draw_tree(axes: Axes, tree: NDArray[Any]) -> None:
    """Draw a clustering from its root at the left to its leaves at rows 0, 1, ... at the right.

    The axis shows the mean similarity of the two clusters that a fork joins; the diagonal counts as 1.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.ticker import MaxNLocator

    forks = branches(tree)
    heights = tree[:, 2]
    padding = 0.06 * float(heights.max() - heights.min()) or 0.01
    start = max(0.0, float(heights.min()) - padding)
    lines = LineCollection(list(np.maximum(forks, [start, -np.inf])), colors=row_labels.DARK)
    lines.set_linewidth(max(0.25, min(0.9, 60 / len(tree))))
    axes.add_collection(lines, autolim=False)
    axes.set_xlim(float(heights.max()) + padding, start)
    axes.set_ylim(len(tree) + 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda height, _: f"{1 - height:.2g}".replace("-", "\N{MINUS SIGN}"))
    axes.set_xlabel("similarity at fork")


def branches(tree: NDArray[Any]) -> NDArray[np.float64]:
    """Return the forks of a linkage matrix ``(C-1, 4, 2)`` as lines of (height, row) without recursion."""
    leaves = len(tree) + 1
    heights, rows = np.zeros(2 * leaves - 1), np.zeros(2 * leaves - 1)
    rows[class_order.leaf_order(tree)] = np.arange(leaves)
    forks = np.empty((leaves - 1, 4, 2))
    for index, (left, right, height, _) in enumerate(tree):
        first, second = int(left), int(right)
        forks[index, :, 0] = heights[first], height, height, heights[second]
        forks[index, :, 1] = rows[first], rows[first], rows[second], rows[second]
        heights[leaves + index] = height
        rows[leaves + index] = (rows[first] + rows[second]) / 2
    return forks
