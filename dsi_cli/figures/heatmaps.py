"""Heat maps of class similarity matrices at chosen epochs: one row of panels per run,
with WordNet's matrix once.

By default, a colour is the rank of a pair among all pairs of its matrix, so that all
matrices can be compared by eye. The diagonal is left out. A strip along the edges shows
the group of each class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from dsi_cli.figures import axes as drawing
from dsi_cli.figures import color_scales
from dsi_cli.figures.catalogue import FigureOptions
from dsi_cli.figures.style import GROUP_COLOURS, NO_VALUE, Style
from dsi_cli.queries import epoch_sampling, matrices, run_classes
from dsi_cli.queries.matrices import MatrixFrames, MatrixKind, Values
from dsi_cli.queries.run_classes import ClassGroup, Order
from dsi_cli.store.results import Results

MIN_GROUP_SHARE, MIN_GROUPED_SHARE = 0.03, 0.33
"""Minimum share of the classes in a group with a colour, and in all groups with colours
together.
"""
# panels next to each other on one column and on two columns
MAX_PANELS_ACROSS = {"screen": (4, 6), "paper": (2, 4)}
MAX_PANEL_SHARE = 0.4  # width of a panel relative to the figure
DEFAULT_EPOCHS = 3  # number of epochs of a figure without requested epochs
MAX_NAME_LENGTH = 22
# distance and width of a strip of group colours relative to the map
STRIP_GAP, STRIP_WIDTH = (0.015, 0.035)


class MatrixPanel(NamedTuple):
    """One matrix with its classes in display order."""

    title: str
    values: NDArray[Any]
    is_reference: bool = False


class ClassLayout(NamedTuple):
    """A run's classes in display order."""

    order: Order
    names: list[str]
    groups: list[ClassGroup]


class HeatmapRow(NamedTuple):
    """The panels of one run."""

    title: str
    classes: ClassLayout
    panels: list[MatrixPanel]


def figure(results: Results, options: FigureOptions) -> Figure | None:
    """Return the figure of heat maps, one row per run, or None if no run has a
    requested matrix at a requested epoch.
    """
    all_frames = frames_at_epochs(results, options)
    if not all_frames:
        return None
    rows = heatmap_rows(results, all_frames, options.order, options.epochs)
    return draw(rows, all_frames[0].kind, options.style, options.scale)


def requested_frames(results: Results, options: FigureOptions) -> list[MatrixFrames]:
    """Return the matrices of the requested kind of the runs that have them; by default
    of the first kind that a run has.
    """
    kinds = [options.kind] if options.kind else [kind.name for kind in matrices.KINDS]
    for kind in kinds:
        all_frames = [
            matrices.matrix_frames(results, run, kind) for run in options.names(results)
        ]
        existing = [frames for frames in all_frames if frames]
        if existing:
            return existing
    return []


def frames_at_epochs(
    results: Results, options: FigureOptions, *, with_reference: bool = False
) -> list[MatrixFrames]:
    """Return the requested matrices of the runs with a requested epoch, and with a
    reference matrix if the figure needs one.
    """
    all_frames = [
        frames
        for frames in requested_frames(results, options)
        if frames.among(options.epochs)
    ]
    if with_reference:
        all_frames = [
            frames
            for frames in all_frames
            if matrices.reference_matrix(results, frames.run) is not None
        ]
    return all_frames


def heatmap_rows(
    results: Results,
    all_frames: Sequence[MatrixFrames],
    order: str = "taxonomy",
    epochs: Sequence[int] | None = None,
) -> list[HeatmapRow]:
    """Return the panels of the runs that have a matrix at a requested epoch; the
    reference matrix is the last panel of a row.

    Without requested epochs, it has `DEFAULT_EPOCHS` epochs in logarithmic steps.
    """
    rows = []
    for frames in all_frames:
        existing = frames.among(epochs)
        if epochs is None:
            existing = epoch_sampling.log_spaced(existing, DEFAULT_EPOCHS)
        if not existing:
            continue
        classes, panels = class_layout(results, frames, order), []
        for epoch in existing:
            values = reorder(
                matrices.epoch_matrix(results, frames, epoch), classes.order
            )
            title = f"epoch {results.shown_epoch(epoch, frames.run)}"
            if (
                frames.kind.name in color_scales.SQUARE_ROOT_KINDS
                and not np.nan_to_num(values).any()
            ):
                title += ": no mistakes"
            panels.append(
                MatrixPanel(title, color_scales.cell_values(values, frames.kind.name))
            )
        reference = matrices.reference_matrix(results, frames.run)
        if reference is not None:
            name = matrices.reference_title(results, frames.run)
            panels.append(
                MatrixPanel(name, reorder(reference, classes.order), is_reference=True)
            )
        title = (
            f"{drawing.short(frames.run)}: {matrix_title(frames, len(classes.names))}"
        )
        rows.append(HeatmapRow(title, classes, panels))
    return rows


def matrix_title(frames: MatrixFrames, classes: int) -> str:
    """Return the title of a matrix, with the size of the blocks if the map shows means
    of blocks.
    """
    size = color_scales.block_size(classes, frames.kind.name)
    return frames.title + (f", means of {size} x {size}" if size > 1 else "")


def class_layout(results: Results, frames: MatrixFrames, order: str) -> ClassLayout:
    """Return a run's classes in an order: taxonomy, given, name, or cluster, which uses
    the run's last matrix of the kind.
    """
    table = run_classes.class_rows(results, frames.run)
    names = run_classes.class_names(results, frames.run)
    if order == "cluster":
        indices = run_classes.cluster_order(
            matrices.epoch_matrix(results, frames, frames.epochs[-1])
        )
    elif order == "given":
        indices = np.arange(len(table))
    elif order == "name":
        indices = np.array(sorted(range(len(names)), key=names.__getitem__))
    else:
        indices = run_classes.taxonomy_order(table)
    # A group has a colour if it is large enough. In the order of the taxonomy, a group
    # is contiguous. In another order it may be in many small parts, which are not
    # informative, so no group has a colour if the large ones contain few of the
    # classes.
    sizes = {
        group: group.last - group.first + 1
        for group in run_classes.class_groups(table, indices)
    }
    large = [
        group for group, size in sizes.items() if size >= MIN_GROUP_SHARE * len(names)
    ]
    is_grouped = sum(sizes[group] for group in large) >= MIN_GROUPED_SHARE * len(names)
    return ClassLayout(
        indices, [names[index] for index in indices], large if is_grouped else []
    )


def reorder(values: Values, order: Order) -> Values:
    """Return a matrix with rows and columns in an order of the classes."""
    return values[np.ix_(order, order)]


def draw(
    rows: Sequence[HeatmapRow], kind: MatrixKind, style: Style, scale: str = "rank"
) -> Figure:
    """Return the figure of rows of panels of a kind; the scale is rank or raw."""
    # The reference is shown once, unless runs have other classes.
    shown = [row.panels for row in rows]
    for index, row in enumerate(rows):
        if (
            index
            and row.classes.names == rows[index - 1].classes.names
            and row.panels[-1].is_reference
        ):
            shown[index] = row.panels[:-1]
    across = min(MAX_PANELS_ACROSS[style.name][style.columns - 1], max(map(len, shown)))
    lines = [-(-len(panels) // across) for panels in shown]
    panel = _panel_width(rows, across, style)
    height = sum(lines) * (panel + 0.034 * style.size) + 0.02 * style.size * len(rows)
    figure = Figure(figsize=(style.width, height), layout="compressed")
    all_axes = figure.subplots(sum(lines), across, squeeze=False)

    # The network's matrices share one scale, and raw values of the reference have
    # another.
    scales = _scales([one for of_row in shown for one in of_row], kind, scale)
    colours = group_colours([row.classes for row in rows])
    line = 0
    for row, of_row in zip(rows, shown, strict=True):
        places = all_axes[line : (line := line + -(-len(of_row) // across))].flat
        for index, axes in enumerate(places):
            if index >= len(of_row):
                axes.remove()
                continue
            values, is_reference = of_row[index].values, of_row[index].is_reference
            cells = matrices.percentile_ranks(values) if scale == "rank" else values
            color_scales.draw_cells(
                axes, cells, scales[is_reference][0], len(row.classes.names)
            )
            pad = 2 + (STRIP_GAP + STRIP_WIDTH) * panel * 72 * bool(row.classes.groups)
            axes.set_title(of_row[index].title, weight="normal", pad=pad)
            label_classes(
                axes, row.classes, colours, panel, style, with_names=index % across == 0
            )
            if index == 0:
                axes.set_ylabel(
                    drawing.wrap(row.title, panel, style.size),
                    weight="bold",
                    labelpad=pad,
                    parse_math=False,
                )
    maps = list(figure.axes)
    for values_scale, text in dict.fromkeys(scales.values()):
        color_scales.draw_bar(figure, maps, values_scale, text)
    if colours:
        drawing.draw_legend(figure, group_entries(colours))
    return figure


def _panel_width(rows: Sequence[HeatmapRow], across: int, style: Style) -> float:
    """Return the width of a panel in inches; names of classes, titles of runs and the
    colour bar need room at the sides.
    """
    named = [
        name
        for row in rows
        if len(row.classes.names) < 30 or not row.classes.groups
        for name in row.classes.names
    ]
    longest = max((len(short_name(name)) for name in named), default=0)
    room = 0.2 * style.size + longest * drawing.LETTER_WIDTH * (style.size - 2) / 72
    return min((style.width - room) / across, MAX_PANEL_SHARE * style.width)


def _scales(
    panels: Sequence[MatrixPanel], kind: MatrixKind, scale: str
) -> dict[bool, tuple[color_scales.ColorScale, str]]:
    """Return the scale and the text of its bar for the network's matrices (False) and,
    if there is one, the reference (True).
    """
    if scale == "rank":
        ranks = (color_scales.RANKS, "rank of a pair")
        return {False: ranks, True: ranks}
    own = [panel.values for panel in panels if not panel.is_reference]
    scales = {False: (color_scales.raw_scale(own, kind.name), kind.values)}
    references = [panel.values for panel in panels if panel.is_reference]
    if references:
        scales[True] = (
            color_scales.raw_scale(references, "scsm"),
            matrices.REFERENCE.values,
        )
    return scales


def label_classes(
    axes: Axes,
    classes: ClassLayout,
    colours: Mapping[str, Any],
    height: float,
    style: Style,
    *,
    with_names: bool,
) -> None:
    """Write the names of the classes next to a map if they fit its height in inches;
    otherwise colour the groups.
    """
    size = style.size - 2
    step = int(np.ceil(len(classes.names) * drawing.LINE_HEIGHT * size / (height * 72)))
    if with_names and (
        step == 1 or not classes.groups
    ):  # without groups, every n-th class has its name
        places = range(0, len(classes.names), step)
        axes.set_yticks(
            list(places),
            [short_name(classes.names[place]) for place in places],
            size=size,
            parse_math=False,
        )
        axes.tick_params(
            axis="y",
            length=0,
            pad=2 + (STRIP_GAP + STRIP_WIDTH) * height * 72 * bool(classes.groups),
        )
    if not classes.groups:
        return
    # The left and the upper edge of the map have the colour of each class's group.
    pixels = np.full((len(classes.names), 3), to_rgb(NO_VALUE))
    for group in classes.groups:
        pixels[group.first : group.last + 1] = to_rgb(colours[group.name])
    left = (-STRIP_GAP - STRIP_WIDTH, 0, STRIP_WIDTH, 1)
    top = (0, 1 + STRIP_GAP, 1, STRIP_WIDTH)
    for place, strip_pixels in ((left, pixels[:, None]), (top, pixels[None])):
        strip = axes.inset_axes(place)
        strip.imshow(strip_pixels, aspect="auto", interpolation="nearest")
        strip.set(xticks=[], yticks=[])
        strip.set_axis_off()


def group_colours(layouts: Sequence[ClassLayout]) -> dict[str, Any]:
    """Return a colour for each group of classes, by name."""
    names = dict.fromkeys(group.name for layout in layouts for group in layout.groups)
    return {
        name: GROUP_COLOURS[index % len(GROUP_COLOURS)]
        for index, name in enumerate(names)
    }


def group_entries(colours: Mapping[str, Any]) -> dict[str, Any]:
    """Return the legend of groups of classes."""
    return {
        short_name(name): Patch(color=colour, linewidth=0)
        for name, colour in colours.items()
    }


def short_name(name: str) -> str:
    """Return a name on one line, shortened if it is long.

    >>> short_name("great white shark, white shark, man-eater")
    'great white shark'
    >>> short_name("a" * 30)
    'aaaaaaaaaaaaaaaaaaaaa…'
    """
    line = "".join(letter if letter.isprintable() else " " for letter in name).strip()
    if len(line) > MAX_NAME_LENGTH:
        line = line.split(",")[0]
    if len(line) <= MAX_NAME_LENGTH:
        return line
    return line[: MAX_NAME_LENGTH - 1].rstrip() + "…"
