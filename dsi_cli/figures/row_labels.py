"""What stands beside a heat map's rows: names of classes as far as they can be read, and brackets with the groups' names.

All names are written where they fit at a size that can be read. Where they do not, the groups' names stand alone; without groups
every n-th class is named. A group's name stands at its bracket's middle, moved up or down as far as its neighbours need, with a
line to the bracket; where not all groups' names fit, the largest groups are named.
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

SMALLEST = 4.2
"""Points of text that can be read on paper."""
LINE = 1.2
"""Distance of two lines, in sizes of their text."""
LONGEST = 22
"""Characters of a name."""
GAP, BRACKET, LEADER = 0.04, 0.05, 0.10
"""Inches: beside a text, of a bracket's ends, from a bracket to its name."""
APART = 0.012
"""Inches between a bracket's end and that of its group: neighbours' brackets do not touch."""
DARK = "#404040"


class RowLabel(NamedTuple):
    """A text beside the rows."""

    place: float
    """Row at its middle."""
    text: str


class RowLabels(NamedTuple):
    """What stands beside the rows of a map."""

    labels: tuple[RowLabel, ...]
    size: float
    """Of the labels' text, in points."""
    brackets: tuple[tuple[ClassGroup, RowLabel], ...]
    bracket_size: float


def plan_labels(names: Sequence[str], groups: Sequence[ClassGroup], height: float, size: float) -> RowLabels:
    """Return what is written beside rows of which all together are ``height`` inches high.

    Parameters
    ----------
    names : of the classes, in the order of the rows
    groups : of neighbours among them
    height : of the map, inches
    size : of text, points; names of classes may be smaller, down to `SMALLEST`
    """
    rows = len(names)
    fitting = height * 72 / max(rows, 1) / LINE
    line = LINE * size / 72 / height * rows
    if fitting >= SMALLEST:
        labels, label_size = tuple(RowLabel(at, short(name)) for at, name in enumerate(names)), min(size, fitting)
    else:
        every = 1 if groups else int(np.ceil(line))
        labels = () if groups else tuple(RowLabel(at, short(names[at])) for at in range(0, rows, every))
        label_size = size
    return RowLabels(labels, label_size, _named(groups, rows, line), size)


def _named(groups: Sequence[ClassGroup], rows: int, line: float) -> tuple[tuple[ClassGroup, RowLabel], ...]:
    """Return the groups that are named, in order, with their names ``line`` rows apart at least."""
    most = int(rows / line)
    largest = sorted(groups, key=lambda group: group.first - group.last)[:most]
    kept = sorted(largest, key=lambda group: group.first)
    places = spread_labels([(group.first + group.last) / 2 for group in kept], line, line / 2 - 0.5, rows - 0.5 - line / 2)
    return tuple((group, RowLabel(place, short(group.name))) for group, place in zip(kept, places, strict=True))


def spread_labels(places: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Return rising places moved so that neighbours are ``apart`` or more, within ``low`` and ``high``, which leave room for all.

    The mean of pushing from the top and from the bottom: either alone keeps the distances, so the mean does.

    >>> spread_labels([3, 3, 9], 2, 0, 10)
    [2.0, 4.0, 9.0]
    """
    steps = np.arange(len(places)) * apart
    room = high - (steps[-1] if len(places) else 0.0)
    bare = np.asarray(places, dtype=np.float64) - steps
    down = np.maximum.accumulate(bare)
    up = np.minimum.accumulate(bare[::-1])[::-1]
    moved = np.clip((down + up) / 2, low, max(low, room)) + steps
    return [float(place) for place in moved]


def short(name: str, longest: int = LONGEST) -> str:
    """Return a name on one line, cut where it is long.

    >>> short("great white shark, white shark, man-eater")
    'great white shark'
    >>> short("a" * 30)
    'aaaaaaaaaaaaaaaaaaaaa…'
    """
    line = "".join(letter if letter.isprintable() else " " for letter in name).strip()
    if len(line) > longest:
        line = line.split(",")[0]
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def widths(figure: Figure, side: RowLabels) -> tuple[float, float]:
    """Return how far the labels and then the brackets with their names reach, in inches; 0 for what is not there."""
    labels = text_width(figure, [one.text for one in side.labels], side.size)
    names = text_width(figure, [one.text for _, one in side.brackets], side.bracket_size)
    return labels + GAP if side.labels else 0.0, names + 2 * GAP + BRACKET + LEADER if side.brackets else 0.0


def write(figure: Figure, axes: Axes, side: RowLabels, *, right: bool = False) -> None:
    """Write labels and brackets at the left of axes whose rows are 0, 1, ..., or at their right."""
    from matplotlib.lines import Line2D
    from matplotlib.transforms import blended_transform_factory

    wide = axes.get_position().width * figure.get_figwidth()
    top, bottom = sorted(axes.get_ylim())
    rows_an_inch = (bottom - top) / (axes.get_position().height * figure.get_figheight())
    where = blended_transform_factory(axes.transAxes, axes.transData)
    align = "left" if right else "right"

    def away(inches: float) -> float:
        return float(1 + inches / wide if right else -inches / wide)

    for at, text in side.labels:
        axes.text(away(GAP), at, text, size=side.size, ha=align, va="center_baseline", transform=where, parse_math=False)
    start = widths(figure, side)[0] + GAP
    for group, (at, text) in side.brackets:
        gap = min(APART * rows_an_inch, 0.3 * (group.last - group.first))
        top, bottom = group.first - 0.5 + gap, group.last + 0.5 - gap
        middle = (group.first + group.last) / 2
        far = away(start + BRACKET)
        shape = (away(start), far, far, away(start)), (top, top, bottom, bottom)
        leader = (far, away(start + BRACKET + LEADER)), (middle, at)
        for line in (shape, leader):
            axes.add_artist(Line2D(*line, color=DARK, lw=0.6, transform=where, clip_on=False))
        place = away(start + BRACKET + LEADER + GAP / 2)
        axes.text(
            place, at, text, size=side.bracket_size, ha=align, va="center_baseline", transform=where, parse_math=False
        )
