"""Labels next to the rows of a heat map: class names if they are legible, and brackets with the names of groups.

All class names are written if they fit at a legible size. Otherwise only the groups are named. Without groups, every n-th class is
named. The name of a group is next to the middle of its bracket, and a line connects both if neighbouring names displace it. If the
names of all groups do not fit, only the largest groups are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsi_cli.figures.panel_layout import text_width
from dsi_cli.queries.class_order import ClassGroup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MIN_FONT_SIZE = 4.2
"""Smallest legible font size on paper in points."""
LINE_HEIGHT = 1.2
"""Distance of two lines relative to the font size."""
MAX_NAME_LENGTH = 22
TEXT_GAP, BRACKET_WIDTH, LEADER_LENGTH = 0.04, 0.05, 0.10
"""Inches between a text and its neighbours, of the ends of a bracket, and between a bracket and its name."""
BRACKET_GAP = 0.012
"""Inches between the end of a group and the end of its bracket, so that brackets of neighbours do not touch."""
DARK = "#404040"


class RowLabel(NamedTuple):
    """A text next to the rows."""

    row: float
    """The row at the middle of the text."""
    text: str


class RowLabels(NamedTuple):
    """All labels next to the rows of a heat map."""

    labels: tuple[RowLabel, ...]
    size: float
    """The font size of the class names in points."""
    brackets: tuple[tuple[ClassGroup, RowLabel], ...]
    bracket_size: float
    """The font size of the group names in points."""


def plan_labels(names: Sequence[str], groups: Sequence[ClassGroup], height: float, size: float) -> RowLabels:
    """Return the labels for rows with a total height in inches.

    Parameters
    ----------
    names : names of the classes in row order
    groups : groups of neighbouring classes
    height : height of the map in inches
    size : font size in points; class names may be smaller, down to `MIN_FONT_SIZE`
    """
    rows = len(names)
    fitting_size = height * 72 / max(rows, 1) / LINE_HEIGHT
    line = LINE_HEIGHT * size / 72 / height * rows
    label_size = size
    if fitting_size >= MIN_FONT_SIZE:
        labels = tuple(RowLabel(row, short(name)) for row, name in enumerate(names))
        label_size = min(size, fitting_size)
    elif groups:
        labels = ()
    else:
        labels = tuple(RowLabel(row, short(names[row])) for row in range(0, rows, int(np.ceil(line))))
    return RowLabels(labels, label_size, _name_groups(groups, rows, line), size)


def _name_groups(groups: Sequence[ClassGroup], rows: int, line: float) -> tuple[tuple[ClassGroup, RowLabel], ...]:
    """Return the largest groups whose names fit, in row order, with names that are at least ``line`` rows apart."""
    largest = sorted(groups, key=lambda group: group.first - group.last)[: int(rows / line)]
    kept = sorted(largest, key=lambda group: group.first)
    middles = [(group.first + group.last) / 2 for group in kept]
    positions = spread_labels(middles, line, line / 2 - 0.5, rows - 0.5 - line / 2)
    return tuple((group, RowLabel(row, short(group.name))) for group, row in zip(kept, positions, strict=True))


def spread_labels(positions: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Return rising positions moved so that neighbours are at least ``distance`` apart and all are within ``low`` and ``high``.

    The result is the mean of pushing the positions down from the top and up from the bottom. Each of the two keeps the distances,
    so their mean does, too.

    >>> spread_labels([3, 3, 9], 2, 0, 10)
    [2.0, 4.0, 9.0]
    """
    steps = np.arange(len(positions)) * distance
    last = high - (steps[-1] if len(positions) else 0.0)
    offsets = np.asarray(positions, dtype=np.float64) - steps
    down = np.maximum.accumulate(offsets)
    up = np.minimum.accumulate(offsets[::-1])[::-1]
    moved = np.clip((down + up) / 2, low, max(low, last)) + steps
    return [float(position) for position in moved]


def short(name: str, longest: int = MAX_NAME_LENGTH) -> str:
    """Return a name on one line, shortened if it is long.

    >>> short("great white shark, white shark, man-eater")
    'great white shark'
    >>> short("a" * 30)
    'aaaaaaaaaaaaaaaaaaaaa…'
    """
    line = "".join(letter if letter.isprintable() else " " for letter in name).strip()
    if len(line) > longest:
        line = line.split(",")[0]
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def widths(figure: Figure, row_labels: RowLabels) -> tuple[float, float]:
    """Return the widths of the class names and of the brackets with their names in inches; 0 if there are none."""
    class_width = bracket_width = 0.0
    if row_labels.labels:
        class_width = text_width(figure, [label.text for label in row_labels.labels], row_labels.size) + TEXT_GAP
    if row_labels.brackets:
        names = text_width(figure, [label.text for _, label in row_labels.brackets], row_labels.bracket_size)
        bracket_width = names + 2 * TEXT_GAP + BRACKET_WIDTH + LEADER_LENGTH
    return class_width, bracket_width


def write_labels(figure: Figure, axes: Axes, row_labels: RowLabels, *, right: bool = False) -> None:
    """Write class names and brackets to the left of axes with rows 0, 1, ..., or to their right."""
    from matplotlib.lines import Line2D
    from matplotlib.transforms import blended_transform_factory

    # Horizontal positions are fractions of the axes' width; vertical positions are rows.
    axes_width = axes.get_position().width * figure.get_figwidth()
    top, bottom = sorted(axes.get_ylim())
    rows_per_inch = (bottom - top) / (axes.get_position().height * figure.get_figheight())
    transform = blended_transform_factory(axes.transAxes, axes.transData)

    def x_at(inches: float) -> float:
        return float(1 + inches / axes_width if right else -inches / axes_width)

    def write(row_label: RowLabel, inches: float, size: float) -> None:
        axes.text(
            x_at(inches),
            row_label.row,
            row_label.text,
            size=size,
            ha="left" if right else "right",
            va="center_baseline",
            transform=transform,
            parse_math=False,
        )

    for label in row_labels.labels:
        write(label, TEXT_GAP, row_labels.size)
    start = widths(figure, row_labels)[0] + TEXT_GAP
    name_start = start + BRACKET_WIDTH + LEADER_LENGTH
    for group, label in row_labels.brackets:
        gap = min(BRACKET_GAP * rows_per_inch, 0.3 * (group.last - group.first))
        top, bottom = group.first - 0.5 + gap, group.last + 0.5 - gap
        middle = (group.first + group.last) / 2
        near, far = x_at(start), x_at(start + BRACKET_WIDTH)
        bracket = (near, far, far, near), (top, top, bottom, bottom)
        leader = (far, x_at(name_start)), (middle, label.row)
        for line in (bracket, leader):
            axes.add_artist(Line2D(*line, color=DARK, lw=0.6, transform=transform, clip_on=False))
        write(label, name_start + TEXT_GAP / 2, row_labels.bracket_size)
