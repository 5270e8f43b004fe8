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
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from dsi_cli.figures import axes as drawing
from dsi_cli.figures import color_scales
from dsi_cli.figures.catalogue import FigureOptions
from dsi_cli.figures.style import GROUP_COLOURS, NO_VALUE, Style
from dsi_cli.queries import epoch_sampling, matrices, run_classes
from dsi_cli.queries.matrices import MatrixFrames, Values
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
FILLED_SHARE = 0.8  # of the side of a map, at most filled by lines of names
# width of a strip of group colours, and with its distance, relative to the map
STRIP_WIDTH, STRIP_SPACE = (0.035, 0.05)
MARK: dict[str, Any] = {"color": "white", "linewidth": 0.8, "gid": "group mark"}
"""The look of the lines through a group's colour that an earlier group has."""


class ClassLayout(NamedTuple):
    """A run's classes in display order."""

    order: Order
    names: list[str]
    groups: list[ClassGroup]


class HeatmapRow(NamedTuple):
    """The maps of one run: percentile ranks ``(C, C)`` in display order by title."""

    title: str
    classes: ClassLayout
    maps: dict[str, NDArray[Any]]


def figure(results: Results, options: FigureOptions) -> Figure | None:
    """Return the figure of heat maps, one row per run, or None if no run has a
    requested matrix at a requested epoch.
    """
    rows: list[HeatmapRow] = []
    for frames in frames_at_epochs(results, options):
        row = heatmap_row(results, frames, options)
        # The reference is shown once, unless runs have other classes.
        if rows and row.classes.names == rows[0].classes.names:
            row.maps.pop(matrices.reference_title(results, frames.run), None)
        rows.append(row)
    return draw(rows, options.style) if rows else None


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


def heatmap_row(
    results: Results, frames: MatrixFrames, options: FigureOptions
) -> HeatmapRow:
    """Return the maps of a run at the requested epochs; the reference is the last.

    Without requested epochs, it has `DEFAULT_EPOCHS` epochs in logarithmic steps.
    """
    classes, kind = class_layout(results, frames, options.order), frames.kind.name
    epochs = frames.among(options.epochs)
    if options.epochs is None:
        epochs = epoch_sampling.log_spaced(epochs, DEFAULT_EPOCHS)
    maps = {}
    for epoch in epochs:
        values = matrices.epoch_matrix(results, frames, epoch)
        title = f"epoch {results.shown_epoch(epoch, frames.run)}"
        if kind == color_scales.CONFUSIONS and not np.nan_to_num(values).any():
            title += ": no mistakes"
        maps[title] = color_scales.cell_ranks(reorder(values, classes.order), kind)
    reference = matrices.reference_matrix(results, frames.run)
    if reference is not None:
        title = matrices.reference_title(results, frames.run)
        maps[title] = matrices.percentile_ranks(reorder(reference, classes.order))
    title = matrix_title(frames, len(classes.names))
    return HeatmapRow(f"{drawing.short(frames.run)}: {title}", classes, maps)


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


def draw(rows: Sequence[HeatmapRow], style: Style) -> Figure:
    """Return the figure of the maps of each run, in lines of equally many maps."""
    most = max(len(row.maps) for row in rows)
    across = min(MAX_PANELS_ACROSS[style.name][style.columns - 1], most)
    lines = [-(-len(row.maps) // across) for row in rows]
    # The title of a run and the colour bar need room at the sides.
    room = 0.2 * style.size
    side = min((style.width - room) / across, MAX_PANEL_SHARE * style.width)
    height = sum(lines) * (side + 0.034 * style.size)
    figure = Figure(figsize=(style.width, height), layout="compressed")
    all_axes = figure.subplots(sum(lines), across, squeeze=False)
    colours = group_colours([row.classes for row in rows])
    line = 0
    for row, of_run in zip(rows, lines, strict=True):
        places = list(all_axes[line : line + of_run].flat)
        line += of_run
        for axes in places[len(row.maps) :]:
            axes.remove()
        for index, (title, ranks) in enumerate(row.maps.items()):
            axes = places[index]
            color_scales.draw_cells(axes, ranks, len(row.classes.names))
            pad = 2 + STRIP_SPACE * side * 72 * bool(row.classes.groups)
            axes.set_title(title, weight="normal", pad=pad)
            side_of_names = 0 if index % across else side
            label_classes(axes, row.classes, colours, style, side_of_names)
        places[0].set_ylabel(
            drawing.wrap(row.title, side, style.size),
            weight="bold",
            labelpad=pad,
            parse_math=False,
        )
    color_scales.draw_bar(figure, list(figure.axes))
    if colours:
        drawing.draw_legend(figure, group_entries(colours))
    return figure


def label_classes(
    axes: Axes,
    classes: ClassLayout,
    colours: Mapping[str, Any],
    style: Style,
    side: float,
) -> None:
    """Colour the groups of the classes along the left and the upper edge of a map, and
    write the names of the classes if they fit the `side` of the map in inches.
    """
    line = drawing.LINE_HEIGHT * (style.size - 2) / 72
    if len(classes.names) * line <= FILLED_SHARE * side:
        names = [short_name(name) for name in classes.names]
        places = range(len(names))
        axes.set_yticks(places, names, size=style.size - 2, parse_math=False)
        axes.tick_params(axis="y", length=0, pad=2 + 8 * bool(classes.groups))
    if not classes.groups:
        return
    pixels = np.full((len(classes.names), 3), to_rgb(NO_VALUE))
    for group in classes.groups:
        pixels[group.first : group.last + 1] = to_rgb(colours[group.name])
    left = (-STRIP_SPACE, 0, STRIP_WIDTH, 1)
    top = (0, 1 + STRIP_SPACE - STRIP_WIDTH, 1, STRIP_WIDTH)
    for place, strip_pixels in ((left, pixels[:, None]), (top, pixels[None])):
        strip = axes.inset_axes(place)
        strip.imshow(strip_pixels, aspect="auto", interpolation="nearest")
        strip.set(xticks=[], yticks=[])
        strip.set_axis_off()
        for group in classes.groups:
            along = (group.first - 0.5, group.last + 0.5)
            for across in lines_across(group.name, colours):
                ends = ((across - 0.5,) * 2, along)
                strip.plot(*(ends if place is left else ends[::-1]), **MARK)


def group_colours(layouts: Sequence[ClassLayout]) -> dict[str, Any]:
    """Return a colour for each group of classes, by name."""
    names = dict.fromkeys(group.name for layout in layouts for group in layout.groups)
    return {
        name: GROUP_COLOURS[index % len(GROUP_COLOURS)]
        for index, name in enumerate(names)
    }


def repetition(name: str, colours: Mapping[str, Any]) -> int:
    """Return how many earlier groups have the colour of a group."""
    return list(colours).index(name) // len(GROUP_COLOURS)


def lines_across(name: str, colours: Mapping[str, Any]) -> list[float]:
    """Return where lines cross the colour of a group, from 0 to 1, as in the report:
    each repetition of the colours has one line more.
    """
    count = repetition(name, colours)
    return [(line + 1) / (count + 1) for line in range(count)]


def group_entries(colours: Mapping[str, Any]) -> dict[str, Any]:
    """Return the legend of groups of classes: their colours with the lines through
    them.
    """
    entries = {}
    for name, colour in colours.items():
        parts: list[Artist] = [Patch(color=colour, linewidth=0)]
        # Lines that are drawn over one another, each thinner than the one before, leave
        # as many white lines as needed.
        for line in range(repetition(name, colours)):
            width = MARK["linewidth"] * (2 * (repetition(name, colours) - line) - 1)
            shown = "white" if line % 2 == 0 else colour
            parts.append(Line2D([], [], color=shown, linewidth=width))
        entries[short_name(name)] = tuple(parts)
    return entries


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
