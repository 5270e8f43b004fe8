"""Heat maps of class similarity matrices at chosen epochs: one row of panels per run, with the reference matrix at its end.

The maps show raw values without the diagonal, and all panels of a kind share one colour scale. Sizes follow from the widths of
the texts in inches, so that no texts overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsi_cli.figures import color_scales, panel_layout, row_labels
from dsi_cli.figures.style import Style
from dsi_cli.queries import class_order, epoch_sampling, matrices
from dsi_cli.queries.class_order import ClassGroup, Order
from dsi_cli.queries.matrices import MatrixFrames, MatrixKind, Values

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from dsi_cli.figures.figure_options import FigureOptions
    from dsi_cli.store.results import Results

PANEL_GAP = 0.12
"""Inches between panels."""
MIN_GROUP_SHARE, MIN_GROUPED_SHARE = 0.03, 0.33
"""Minimum share of the classes in a group with a bracket, and in all groups with brackets together."""
PANELS_ACROSS = (2, 5)
"""Maximum number of panels next to each other on one column and on two columns."""
MAX_PANEL_WIDTH = 0.7
"""Maximum width of a panel relative to the figure."""
ORDER_DESCRIPTIONS = {
    "taxonomy": "the order of WordNet's tree",
    "given": "the order of the classifier",
    "cluster": "the order of their clusters",
}


class MatrixPanel(NamedTuple):
    """One matrix with its classes in display order."""

    title: str
    values: Values
    is_reference: bool = False


class ClassLayout(NamedTuple):
    """A run's classes in display order."""

    order: Order
    names: list[str]
    groups: list[ClassGroup]
    detail: str
    """A description of the number of classes and their order."""


class HeatmapRow(NamedTuple):
    """The panels of one run."""

    title: str
    classes: ClassLayout
    panels: list[MatrixPanel]


class HeatmapSizes(NamedTuple):
    """The sizes of a figure in inches."""

    across: int
    """Number of panels next to each other."""
    left: float
    """Width of the row labels."""
    panel: float
    """Width and height of a panel."""
    line: float
    """Height of a line of text."""

    def height(self, row: HeatmapRow) -> float:
        """Return the height of a row with its heading."""
        return 2.2 * self.line + -(-len(row.panels) // self.across) * (self.panel + 1.8 * self.line)


def figure(results: Results, options: FigureOptions) -> Figure | None:
    """Return heat maps, one row per run, or None if no run has a requested matrix at a requested epoch."""
    frames = requested_frames(results, options)
    rows = heatmap_rows(results, frames, options.order, options.epochs)
    return draw(rows, frames[0].kind, options.style) if rows else None


def requested_frames(results: Results, options: FigureOptions) -> list[MatrixFrames]:
    """Return the matrices of the requested kind of the runs that have them; by default of the first kind that a run has."""
    kinds = [options.kind] if options.kind else [kind.name for kind in matrices.KINDS]
    for kind in kinds:
        all_frames = [matrices.matrix_frames(results, run, kind) for run in options.names(results)]
        existing = [frames for frames in all_frames if frames]
        if existing:
            return existing
    return []


def heatmap_rows(
    results: Results,
    all_frames: Sequence[MatrixFrames],
    order: str = "taxonomy",
    epochs: Sequence[int] | None = None,
    count: int = 3,
) -> list[HeatmapRow]:
    """Return the panels of the runs that have a matrix at a requested epoch.

    Without requested epochs, ``count`` epochs are chosen between which the matrices change most. Runs with the same epochs show the
    same choice. The default kind of `matrices.frames` determines the choice, so that figures of two kinds show the same epochs.
    """
    default_frames = [matrices.matrix_frames(results, frames.run) or frames for frames in all_frames]
    have_equal_epochs = len({frames.epochs for frames in default_frames}) == 1
    rows = []
    for frames, default in zip(all_frames, default_frames, strict=True):
        if epochs is None:
            deciding = default_frames if have_equal_epochs else [default]
            chosen: Sequence[int] = epoch_sampling.epochs_of_most_change(results, deciding, count)
        else:
            chosen = epochs
        existing = [epoch for epoch in chosen if epoch in frames.epochs]
        if existing:
            rows.append(_heatmap_row(results, frames, existing, order))
    return rows


def _heatmap_row(results: Results, frames: MatrixFrames, epochs: Sequence[int], order: str) -> HeatmapRow:
    classes = class_layout(results, frames, order)
    panels = []
    for epoch in epochs:
        values = color_scales.cell_values(
            reorder(matrices.epoch_matrix(results, frames, epoch), classes.order), frames.kind.name
        )
        title = f"epoch {results.shown_epoch(epoch, frames.run)}"
        if frames.kind.name in color_scales.SQUARE_ROOT_KINDS and not np.nan_to_num(values).any():
            title += ": no mistakes"
        panels.append(MatrixPanel(title, values))
    reference = matrices.reference_matrix(results, frames.run)
    if reference is not None:
        panels.append(MatrixPanel(matrices.REFERENCE.title, reorder(reference, classes.order), is_reference=True))
    return HeatmapRow(f"{frames.run}, {matrix_title(frames, len(classes.names))}", classes, panels)


def matrix_title(frames: MatrixFrames, classes: int) -> str:
    """Return the title of a matrix, with the size of the blocks if the map shows means of blocks."""
    size = color_scales.block_size(classes, frames.kind.name)
    return frames.title + (f", means of {size} x {size}" if size > 1 else "")


def class_layout(results: Results, frames: MatrixFrames, order: str) -> ClassLayout:
    """Return a run's classes in an order: taxonomy, given, or cluster, which uses the run's last matrix of the kind."""
    table = results.classes[results.classes["run"] == frames.run]
    given = class_order.given_order(len(table))
    if order == "cluster":
        indices = class_order.cluster_order(matrices.epoch_matrix(results, frames, frames.epochs[-1]))
    elif order == "given":
        indices = given
    else:
        indices = class_order.taxonomy_order(table)
        if table["synset"].isna().all() and np.array_equal(indices, given):
            order = "given"
    return layout_in_order(table, indices, ORDER_DESCRIPTIONS[order])


def layout_in_order(table: pd.DataFrame, order: Order, description: str) -> ClassLayout:
    """Return the classes of one run in an order with a description; a class without a name gets its index."""
    rows = table.sort_values("class_index")
    names = [text if isinstance(text, str) else str(index) for index, text in enumerate(rows["name"])]
    groups = bracketed_groups(class_order.class_groups(rows, order), len(names))
    return ClassLayout(order, [names[index] for index in order], groups, f"{len(names):,} classes in {description}")


def bracketed_groups(groups: Sequence[ClassGroup], classes: int) -> list[ClassGroup]:
    """Return the groups that are large enough for a bracket; none if these groups contain few of the classes.

    In the order of the taxonomy, a group is contiguous. In another order it may be in many small parts, which are not informative.
    """
    large = [group for group in groups if group.last - group.first + 1 >= MIN_GROUP_SHARE * classes]
    grouped = sum(group.last - group.first + 1 for group in large)
    return large if grouped >= MIN_GROUPED_SHARE * classes else []


def reorder(values: Values, order: Order) -> Values:
    """Return a matrix with rows and columns in an order of the classes."""
    return values[np.ix_(order, order)]


def draw(rows: Sequence[HeatmapRow], kind: MatrixKind, style: Style) -> Figure:
    """Return the figure of one or more rows of panels of a kind."""
    # Lay out the rows below each other.
    figure = panel_layout.blank_figure(style.width, style.width)
    sizes = _sizes(figure, rows, style)
    tops = np.cumsum([panel_layout.MARGIN, *(sizes.height(row) for row in rows)])
    figure.set_figheight(tops[-1] + panel_layout.bars_height(style) + panel_layout.MARGIN)

    # The network's matrices share one colour scale, and the references share another.
    panels = [panel for row in rows for panel in row.panels]
    scale = color_scales.shared_scale((panel.values for panel in panels if not panel.is_reference), kind.name)
    bars = [panel_layout.ColorBar(scale, f"{kind.values}\n{color_scales.describe_scale(scale)}")]
    references = [panel.values for panel in panels if panel.is_reference]
    if references:
        bars.append(panel_layout.ColorBar(color_scales.shared_scale(references, "scsm"), matrices.REFERENCE.values))

    for row, top in zip(rows, tops, strict=False):
        _draw_row(figure, row, top, sizes, style, [bar.scale for bar in bars])
    panel_layout.draw_bars(figure, tops[-1], bars, style)
    return figure


def _sizes(figure: Figure, rows: Sequence[HeatmapRow], style: Style) -> HeatmapSizes:
    """Return the sizes. The width of the labels and the height of a panel depend on each other, so both are computed twice."""
    across = min(PANELS_ACROSS[style.columns - 1], max(len(row.panels) for row in rows))
    left, panel = 0.0, style.width / (2 * style.columns)
    for _ in range(2):
        for row in rows:
            labels = row_labels.plan_labels(row.classes.names, row.classes.groups, panel, style.size - 1)
            left = max(left, sum(row_labels.widths(figure, labels)))
        panel = (style.width - 2 * panel_layout.MARGIN - left - (across - 1) * PANEL_GAP) / across
    return HeatmapSizes(across, left, min(panel, MAX_PANEL_WIDTH * style.width), style.size / 72)


def _draw_row(
    figure: Figure,
    row: HeatmapRow,
    top: float,
    sizes: HeatmapSizes,
    style: Style,
    scales: Sequence[color_scales.ColorScale],
) -> None:
    """Draw a row's heading and panels with the scale of the network's matrices and that of the reference."""
    panel_layout.write_heading(figure, top, row.title, row.classes.detail, style)
    labels = row_labels.plan_labels(row.classes.names, row.classes.groups, sizes.panel, style.size - 1)
    for index, panel in enumerate(row.panels):
        line, column = divmod(index, sizes.across)
        left = panel_layout.MARGIN + sizes.left + column * (sizes.panel + PANEL_GAP)
        panel_top = top + 3.2 * sizes.line + line * (sizes.panel + 1.8 * sizes.line)
        axes = panel_layout.add_axes(figure, left, panel_top, sizes.panel, sizes.panel)
        color_scales.draw_cells(axes, panel.values, scales[panel.is_reference], len(row.classes.names))
        axes.set_title(panel.title, size=style.size, pad=0.35 * style.size)
        if column == 0:
            row_labels.write_labels(figure, axes, labels)
