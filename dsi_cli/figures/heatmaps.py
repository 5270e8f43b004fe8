"""Heat maps of class similarity matrices at chosen epochs, side by side: a row a run, the reference matrix at its end.

Raw values, one scale for all panels of a kind, the diagonal left out. Sizes are worked out in inches, from the widths of the
texts, so that no text meets another.
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

BETWEEN = 0.12
"""Inches between panels."""
SMALLEST_GROUP, FEWEST_HELD = 0.03, 0.33
"""Shares of the classes: of a group with a bracket, and of all groups that have one."""
ACROSS = (2, 5)
"""Panels beside each other on one column and on two."""
MOST_HIGH = 0.7
"""Of a panel, in widths of the figure."""


class MatrixPanel(NamedTuple):
    """One matrix, classes in the order shown."""

    title: str
    values: Values
    is_reference: bool = False


class ClassLayout(NamedTuple):
    """A run's classes in the order shown."""

    places: Order
    names: list[str]
    groups: list[ClassGroup]
    detail: str
    """How many there are, and the order in words."""


class HeatmapRow(NamedTuple):
    """The panels of one run."""

    title: str
    classes: ClassLayout
    panels: list[MatrixPanel]


class HeatmapSizes(NamedTuple):
    """Of a figure, in inches."""

    across: int
    """Panels beside each other."""
    left: float
    """Room for what stands beside the rows."""
    panel: float
    line: float
    """Of text."""

    def height(self, row: HeatmapRow) -> float:
        """Return that of a row with its heading."""
        return 2.2 * self.line + -(-len(row.panels) // self.across) * (self.panel + 1.8 * self.line)


def figure(run: Results, options: FigureOptions) -> Figure | None:
    """Return heat maps of the runs asked for, a row a run; None where no run has such a matrix at such an epoch."""
    found = frames_of(run, options)
    made = rows(run, found, options.order, options.epochs)
    return draw(made, found[0].kind, options.style) if made else None


def frames_of(run: Results, options: FigureOptions) -> list[MatrixFrames]:
    """Return the matrices of the kind asked for, of the runs that have them; unasked, of the first kind that one has."""
    names = run.names if options.runs is None else options.runs
    for kind in [options.kind] if options.kind else [kind.name for kind in matrices.KINDS]:
        found = [one for name in names if (one := matrices.matrix_frames(run, name, kind))]
        if found:
            return found
    return []


def rows(
    run: Results,
    frames: Sequence[MatrixFrames],
    order: str = "taxonomy",
    epochs: Sequence[int] | None = None,
    count: int = 3,
) -> list[HeatmapRow]:
    """Return the panels of runs that have a matrix at one of ``epochs``; if None, of ``count`` between which they changed.

    Where all have the same epochs, the same ones are chosen. They are chosen by the kind that `matrix_frames` takes unasked, so
    that figures of two kinds show the same.
    """
    deciding = [matrices.matrix_frames(run, of.run) or of for of in frames]
    are_alike = len({of.epochs for of in deciding}) == 1
    made = []
    for of, own in zip(frames, deciding, strict=True):
        chosen = (
            epoch_sampling.epochs_of_most_change(run, deciding if are_alike else [own], count) if epochs is None else epochs
        )
        there = [epoch for epoch in chosen if epoch in of.epochs]
        if there:
            made.append(_row(run, of, there, order))
    return made


def _row(run: Results, frames: MatrixFrames, epochs: Sequence[int], order: str) -> HeatmapRow:
    classes = arranged(run, frames, order)
    panels = []
    for epoch in epochs:
        values = color_scales.seen(permuted(matrices.epoch_matrix(run, frames, epoch), classes), frames.kind.name)
        is_empty = frames.kind.name in color_scales.ROOTS and not np.nan_to_num(values).any()
        panels.append(
            MatrixPanel(f"epoch {run.shown_epoch(epoch, frames.run)}" + (": no mistakes" if is_empty else ""), values)
        )
    reference = matrices.reference_matrix(run, frames.run)
    if reference is not None:
        panels.append(MatrixPanel(matrices.REFERENCE.title, permuted(reference, classes), is_reference=True))
    return HeatmapRow(f"{frames.run}, {title_of(frames, len(classes.names))}", classes, panels)


def title_of(frames: MatrixFrames, classes: int) -> str:
    """Return what a map's matrix is called, and that it shows means of blocks where it does."""
    size = color_scales.block(classes, frames.kind.name)
    return frames.title + (f", means of {size} x {size}" if size > 1 else "")


def arranged(run: Results, frames: MatrixFrames, order: str) -> ClassLayout:
    """Return a run's classes in an order: taxonomy, given, or cluster by the run's last matrix of the kind."""
    table = run.classes[run.classes["run"] == frames.run]
    if order == "cluster":
        return in_order(
            table, class_order.cluster_order(matrices.epoch_matrix(run, frames, frames.epochs[-1])), ORDERED[order]
        )
    given = class_order.given_order(len(table))
    places = given if order == "given" else class_order.taxonomy_order(table)
    is_given = table["synset"].isna().all() and np.array_equal(places, given)
    return in_order(table, places, ORDERED["given" if is_given else order])


ORDERED = {"taxonomy": "the order of WordNet's tree", "given": "their own order", "cluster": "the order of their clusters"}
"""How a heading names an order."""


def in_order(table: pd.DataFrame, places: Order, order: str) -> ClassLayout:
    """Return one run's rows of the classes table in an order, which ``order`` describes; without a name, by number."""
    rows = table.sort_values("class_index")
    names = [text if isinstance(text, str) else str(index) for index, text in enumerate(rows["name"])]
    detail = f"{len(names):,} classes in {order}"
    return ClassLayout(
        places, [names[at] for at in places], bracketed(class_order.class_groups(rows, places), len(names)), detail
    )


def bracketed(groups: Sequence[ClassGroup], classes: int) -> list[ClassGroup]:
    """Return the groups that get a bracket: those that are not too small; none where these hold few of the classes.

    In the taxonomy's order a group is one stretch; in another it may lie in shreds, which say nothing.
    """
    large = [group for group in groups if group.last - group.first + 1 >= SMALLEST_GROUP * classes]
    held = sum(group.last - group.first + 1 for group in large)
    return large if held >= FEWEST_HELD * classes else []


def permuted(values: Values, classes: ClassLayout) -> Values:
    """Return a matrix with rows and columns in the order shown."""
    return values[np.ix_(classes.places, classes.places)]


def draw(rows: Sequence[HeatmapRow], kind: MatrixKind, style: Style) -> Figure:
    """Return the figure of one or more rows of panels of a kind."""
    drawn = panel_layout.blank(style.width, style.width)
    sizes = _sizes(drawn, rows, style)
    tops = np.cumsum([panel_layout.MARGIN, *(sizes.height(row) for row in rows)])
    drawn.set_figheight(tops[-1] + panel_layout.bars_height(style) + panel_layout.MARGIN)
    panels = [panel for row in rows for panel in row.panels]
    own = color_scales.shared_scale((panel.values for panel in panels if not panel.is_reference), kind.name)
    bars = [panel_layout.ColorBar(own, f"{kind.values}\n{color_scales.in_words(own)}")]
    references = [panel.values for panel in panels if panel.is_reference]
    if references:
        bars.append(panel_layout.ColorBar(color_scales.shared_scale(references, "scsm"), matrices.REFERENCE.values))
    for row, top in zip(rows, tops, strict=False):
        _draw_row(drawn, row, top, sizes, style, [one.scale for one in bars])
    panel_layout.draw_bars(drawn, tops[-1], bars, style)
    return drawn


def _sizes(figure: Figure, rows: Sequence[HeatmapRow], style: Style) -> HeatmapSizes:
    """Return the sizes; what stands at the left depends on how high a panel is, and that on what stands there: so twice."""
    most = max(len(row.panels) for row in rows)
    across = min(ACROSS[style.columns - 1], most)
    left, panel = 0.0, style.width / (2 * style.columns)
    for _ in range(2):
        planned = [row_labels.plan_labels(row.classes.names, row.classes.groups, panel, style.size - 1) for row in rows]
        left = max(left, *(sum(row_labels.widths(figure, side)) for side in planned))
        panel = (style.width - 2 * panel_layout.MARGIN - left - (across - 1) * BETWEEN) / across
    return HeatmapSizes(across, left, min(panel, MOST_HIGH * style.width), style.size / 72)


def _draw_row(
    figure: Figure, row: HeatmapRow, top: float, sizes: HeatmapSizes, style: Style, both: Sequence[color_scales.ColorScale]
) -> None:
    """Draw a row's heading and panels; ``both`` are the scales of the epochs and of the reference."""
    panel_layout.heading(figure, top, row.title, row.classes.detail, style)
    side = row_labels.plan_labels(row.classes.names, row.classes.groups, sizes.panel, style.size - 1)
    for at, panel in enumerate(row.panels):
        line, column = divmod(at, sizes.across)
        left = panel_layout.MARGIN + sizes.left + column * (sizes.panel + BETWEEN)
        below = top + 3.2 * sizes.line + line * (sizes.panel + 1.8 * sizes.line)
        axes = panel_layout.axes_at(figure, left, below, sizes.panel, sizes.panel)
        color_scales.show(axes, panel.values, both[panel.is_reference], len(row.classes.names))
        axes.set_title(panel.title, size=style.size, pad=0.35 * style.size)
        if column == 0:
            row_labels.write(figure, axes, side)
