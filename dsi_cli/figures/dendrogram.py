"""A clustering of the classes as a tree, its leaves the rows of the heat map beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.figures import color_scales, panel_layout, row_labels
from dsi_cli.figures.heatmaps import ClassLayout, frames_of, in_order, permuted
from dsi_cli.figures.style import Style
from dsi_cli.queries import class_order, matrices
from dsi_cli.queries.matrices import MatrixFrames, MatrixKind, Values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dsi_cli.figures.figure_options import FigureOptions
    from dsi_cli.store.results import Results

TREE = 0.2
"""Of the figure's width."""
BETWEEN = 0.05
"""Inches between a tree and its map."""


class ClassTree(NamedTuple):
    """One run's matrix in the order of the leaves of its clustering."""

    title: str
    classes: ClassLayout
    values: Values
    tree: NDArray[np.float64]
    """SciPy's linkage."""


def figure(run: Results, options: FigureOptions) -> Figure | None:
    """Return the clusterings of the runs asked for at the last epoch asked for; None where no run has such a matrix."""
    found = frames_of(run, options)
    epoch = options.epochs[-1] if options.epochs else None
    made = [one for of in found if (one := class_tree(run, of, epoch))]
    return draw(made, found[0].kind, options.style) if made else None


def class_tree(run: Results, frames: MatrixFrames, epoch: int | None = None) -> ClassTree | None:
    """Return a run's clustered matrix of an epoch, the last if None; None without that epoch, or where all values are the same."""
    epoch = frames.epochs[-1] if epoch is None else epoch
    table = run.classes[run.classes["run"] == frames.run]
    if epoch not in frames.epochs or len(table) < 2:
        return None
    values = matrices.epoch_matrix(run, frames, epoch)
    if np.nanmin(values) == np.nanmax(values):
        return None
    whole = values.copy()
    np.fill_diagonal(whole, 1.0)
    tree = class_order.clustering(whole)
    classes = in_order(table, class_order.leaf_order(tree), "the order of the tree")
    return ClassTree(
        f"{frames.run}, {frames.title}, epoch {run.shown_epoch(epoch, frames.run)}",
        classes,
        permuted(values, classes),
        tree,
    )


def draw(trees: Sequence[ClassTree], kind: MatrixKind, style: Style) -> Figure:
    """Return the figure of one or more clusterings, one below the other; of several on two columns, two side by side."""
    across = min(style.columns, len(trees))
    wide = style.width / across
    drawn = panel_layout.blank(style.width, style.width)
    line, tree = style.size / 72, TREE * wide
    right, size = 0.0, wide
    for _ in range(2):
        planned = [row_labels.plan_labels(one.classes.names, one.classes.groups, size, style.size - 1) for one in trees]
        right = max(right, *(sum(row_labels.widths(drawn, side)) for side in planned))
        size = wide - 2 * panel_layout.MARGIN - tree - BETWEEN - right
    each = 2.0 * line + size + 3.4 * line
    bottom = panel_layout.MARGIN + -(-len(trees) // across) * each
    drawn.set_figheight(bottom + panel_layout.bars_height(style) + panel_layout.MARGIN)
    scale = color_scales.shared_scale((one.values for one in trees), kind.name)
    for at, one in enumerate(trees):
        down, beside = divmod(at, across)
        top, left = panel_layout.MARGIN + down * each, panel_layout.MARGIN + beside * wide
        panel_layout.heading(drawn, top, one.title, one.classes.detail, style, (left, wide))
        stem = panel_layout.axes_at(drawn, left + line, top + 2.0 * line, tree - line, size)
        cells = panel_layout.axes_at(drawn, left + tree + BETWEEN, top + 2.0 * line, size, size)
        color_scales.show(cells, one.values, scale)
        draw_tree(stem, one.tree)
        row_labels.write(
            drawn, cells, row_labels.plan_labels(one.classes.names, one.classes.groups, size, style.size - 1), right=True
        )
    bars = [
        panel_layout.ColorBar(scale, f"{kind.values}\n{color_scales.in_words(scale)}" if len(trees) > 1 else kind.values)
    ]
    panel_layout.draw_bars(drawn, bottom, bars, style)
    return drawn


def draw_tree(axes: Axes, tree: NDArray[Any]) -> None:
    """Draw a clustering from its root at the left to its leaves at rows 0, 1, ... at the right.

    The axis tells the mean similarity of the two clusters that a line joins, the diagonal counting as 1.
    """
    from matplotlib.collections import LineCollection

    forks = branches(tree)
    heights = tree[:, 2]
    room = 0.06 * float(heights.max() - heights.min()) or 0.01
    start = max(0.0, float(heights.min()) - room)
    lines = LineCollection(list(np.maximum(forks, [start, -np.inf])), colors=row_labels.DARK)
    lines.set_linewidth(max(0.25, min(0.9, 60 / len(tree))))
    axes.add_collection(lines, autolim=False)
    axes.set_xlim(float(heights.max()) + room, start)
    axes.set_ylim(len(tree) + 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(_few())
    axes.xaxis.set_major_formatter(lambda height, _: f"{1 - height:.2g}".replace("-", "\N{MINUS SIGN}"))
    axes.set_xlabel("similarity at fork")


def branches(tree: NDArray[Any]) -> NDArray[np.float64]:
    """Return the forks ``(C-1, 4, 2)`` of a linkage as lines of (height, row), leaves at their rows; without recursion."""
    leaves = len(tree) + 1
    height, row = np.zeros(2 * leaves - 1), np.zeros(2 * leaves - 1)
    row[class_order.leaf_order(tree)] = np.arange(leaves)
    forks = np.empty((leaves - 1, 4, 2))
    for at, (one, other, far, _) in enumerate(tree):
        ends = [int(one), int(other)]
        forks[at, :, 0] = height[ends[0]], far, far, height[ends[1]]
        forks[at, :, 1] = row[ends[0]], row[ends[0]], row[ends[1]], row[ends[1]]
        height[leaves + at], row[leaves + at] = far, row[ends].mean()
    return forks


def _few() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3, steps=[1, 2, 5, 10])
