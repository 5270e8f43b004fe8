"""A similarity matrix over the epochs, as a film: the heat map, and beside it the SAI's curve with a cursor at the epoch.

Colours mean the same throughout: one scale for all frames. All that stays is drawn once; a frame is the map, its title, the
cursor and its points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from dsi_cli.errors import count
from dsi_cli.figures import axes as drawing
from dsi_cli.figures import scales, sheet, sides
from dsi_cli.figures.asked import ANIMATION
from dsi_cli.figures.films import Pixels, require_format, write
from dsi_cli.figures.heatmaps import Classes, arranged, frames_of, permuted, title_of
from dsi_cli.figures.style import CHANCE, COLOURS, Style, using
from dsi_cli.store import output
from dsi_cli.views import matrices, series
from dsi_cli.views.matrices import Frames, Values
from dsi_cli.views.series import Panel, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dsi_cli.figures.asked import Asked
    from dsi_cli.store.runs import Run

MOST_FRAMES = 200
"""Of a film; of more epochs they are evenly chosen."""
WHOLE, LONGEST, LAST = 12_000, 500, 2_000
"""Milliseconds: what a film lasts, the most that a frame lasts, and the last frame."""
MAP, BETWEEN, CURVES, DOTS = 3.8, 0.85, 3.0, 110
"""Inches of the map, from it to the curves, of the curves; dots an inch: some 1,000 pixels across, 600 high."""
MOST_CURVES = 3
MAP_COLOURS = 128
"""Of the map in a GIF: fewer make bands in the bar, more a larger file."""
STYLE = Style("screen")
Told = Callable[[str, int, int], None]


class Film(NamedTuple):
    """What was written."""

    path: Path
    run: str
    matrix: str
    epochs: tuple[int, ...]
    """One a frame."""
    of: int
    """Epochs that have a matrix."""
    seconds: float
    """That it lasts."""
    bytes: int

    def __str__(self) -> str:
        """Return it in words."""
        there = count(self.of, "epoch")
        chosen = there if self.of <= len(self.epochs) else f"{len(self.epochs)} of {there}, evenly chosen"
        return f"{self.run}, {self.matrix}: {chosen}, {self.seconds:.1f} s"


def _untold(_stage: str, _done: int, _total: int) -> None:
    """Tell nobody."""


def films(run: Run, asked: Asked, folder: Path, forms: Sequence[str], told: Told = _untold) -> list[Film]:
    """Write a film of each run asked for in each format: ``animation.gif``, with the run's name where there are several.

    Parameters
    ----------
    run : the output
    asked : the runs, the kind of matrix, the epochs, the order of classes and the SAI's measure; not the style
    folder : made if it is not there
    forms : of `FILMS`
    told : called with (stage, done, total) after each frame

    Raises
    ------
    UsageError
        A format is none, or is MP4 and ffmpeg is missing.
    OutputError
        A file could not be written.
    """
    for form in forms:
        require_format(form)
    found = [of for of in frames_of(run, asked) if asked.epochs is None or set(of.epochs) & set(asked.epochs)]
    made = []
    for of in found:
        name = ANIMATION if len(found) == 1 else f"{ANIMATION}-{output.folder_name(of.run)}"
        made += [film(run, of, asked, folder / f"{name}.{form}", told) for form in forms]
    return made


def film(run: Run, of: Frames, asked: Asked, path: Path, told: Told = _untold) -> Film:
    """Write the film of one run's matrices; its format is the ending of the path. Parameters and errors as for `films`."""
    there = [epoch for epoch in of.epochs if asked.epochs is None or epoch in asked.epochs]
    epochs = matrices.evenly(there, MOST_FRAMES)
    lasting = durations(len(epochs))
    with using(STYLE):
        paint, palette = painter(run, of, epochs, asked.order, asked.measure)

        def told_of(place: int) -> Pixels:
            pixels = paint(epochs[place])
            told(f"frames of {of.run}", place + 1, len(epochs))
            return pixels

        write(map(told_of, range(len(epochs))), palette, path, path.suffix.removeprefix("."), lasting)
    return Film(path, of.run, of.title, tuple(epochs), len(there), sum(lasting) / 1000, path.stat().st_size)


def durations(frames: int) -> list[int]:
    """Return how long each frame stays, in milliseconds: multiples of 10, as a GIF counts; the last one longer.

    >>> durations(3), durations(31)[0], durations(200)[0]
    ([500, 500, 2000], 390, 60)
    """
    each = min(round(WHOLE / frames / 10) * 10, LONGEST)
    return [each] * (frames - 1) + [max(1, round(LAST / each)) * each]


def painter(
    run: Run, of: Frames, epochs: Sequence[int], order: str = "taxonomy", measure: str | None = None
) -> tuple[Callable[[int], Pixels], Pixels]:
    """Return what paints the frame of an epoch, and the colours in use; every matrix is read once before, for the scale."""
    classes = arranged(run, of, order)

    def shown_of(epoch: int) -> Values:
        return scales.seen(permuted(matrices.matrix(run, of, epoch), classes), of.kind.name)

    scale = scales.shared(map(shown_of, epochs), of.kind.name)
    bar = sheet.Bar(scale, f"{of.kind.values}\n{scales.in_words(scale)}")
    shown = shown_curves(run, of, measure)
    count = len(classes.names)
    figure, cells, beside = _stage(f"{of.run}, {title_of(of, count)}", classes, bar, shown)
    image = scales.show(cells, np.full((count, count), np.nan), scale)
    title = cells.set_title("", size=STYLE.size)
    moving = [image, title, *(_cursor(beside, epochs[0]) if beside else [])]
    for artist in moving:
        artist.set_animated(True)
    canvas: Any = figure.canvas
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)

    def paint(epoch: int) -> Pixels:
        canvas.restore_region(still)
        image.set_data(np.ma.masked_invalid(shown_of(epoch)))
        title.set_text(f"epoch {epoch}")
        if shown is not None:
            moving[2].set_xdata([epoch, epoch])
            moving[3].set_data(*_points(shown.series, epoch))
        for artist in moving:
            figure.draw_artist(artist)
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        return np.ascontiguousarray(pixels[: len(pixels) // 2 * 2, : pixels.shape[1] // 2 * 2])

    return paint, _palette(scale)


def _palette(scale: scales.Scale) -> Pixels:
    """Return the colours of frames: the map's, and those of lines and text on white, in steps towards it."""
    from matplotlib.colors import to_rgb

    towards_white = np.linspace(0, 1, 16)[:, None]
    inks = [to_rgb(name) for name in ("black", scales.NO_VALUE, CHANCE, *COLOURS[:MOST_CURVES])]
    shades = [np.array(ink) * (1 - towards_white) + towards_white for ink in inks]
    colours = np.vstack([*shades, scale.colours(np.linspace(0, 1, MAP_COLOURS))[:, :3]])
    return np.round(255 * colours).astype(np.uint8)


def shown_curves(run: Run, of: Frames, measure: str | None = None) -> Panel | None:
    """Return the SAI's curves of a run's matrix, the first few; where there is none, its WSI's; None without either."""
    name = f"{of.kind.name}-{of.split}" if of.split else of.kind.name
    for metric in ("sai", "wsi"):
        kinds = [kind for kind in series.PANELS if kind.name == metric]
        for panel in series.panels(run, [of.run], measure, kinds):
            found = [one for one in panel.series if name in (one.of or "").split(",")]
            if found:
                return replace(panel, series=found[:MOST_CURVES])
    return None


def _stage(title: str, classes: Classes, bar: sheet.Bar, shown: Panel | None) -> tuple[Figure, Axes, Axes | None]:
    """Return the figure with all that stays, its map's axes and its curves' axes."""
    side = sides.plan(classes.names, classes.groups, MAP, STYLE.size - 1)
    line = STYLE.size / 72
    left = sheet.MARGIN + sum(sides.widths(sheet.blank(1, 1), side))
    top = sheet.MARGIN + 3.8 * line
    room = BETWEEN + CURVES if shown else 0.0
    below = max(sheet.bars_height(STYLE), (8.6 + 1.5 * len(shown.series)) * line if shown else 0.0) + sheet.MARGIN
    figure = sheet.blank(left + MAP + room + 3 * sheet.MARGIN, top + MAP + below)
    figure.set_dpi(DOTS)
    sheet.heading(figure, sheet.MARGIN, title, classes.detail, STYLE)
    cells = sheet.axes_at(figure, left, top, MAP, MAP)
    cells.set(xlim=(-0.5, len(classes.names) - 0.5), ylim=(len(classes.names) - 0.5, -0.5))
    sides.write(figure, cells, side)
    scales.bar(sheet.axes_at(figure, left, top + MAP + 0.9 * line, MAP, 0.8 * line), bar.scale, bar.text)
    if shown is None:
        return figure, cells, None
    beside = sheet.axes_at(figure, left + MAP + BETWEEN, top, CURVES, MAP)
    _draw_curves(beside, shown)
    return figure, cells, beside


def _draw_curves(axes: Axes, shown: Panel) -> None:
    """Draw curves as `dsi_cli.figures.curves` does, each with its chance level, and the legend below."""
    for place, one in enumerate(shown.series):
        drawing.curve(axes, one, shown, drawing.look(place, place), one.label)
    drawing.finish(axes, shown.series, shown)
    handles = {text: handle for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    handles |= drawing.bands(cast("Figure", axes.figure))
    corner = (0, -3.2 * STYLE.size / 72 / MAP)
    axes.legend(
        list(handles.values()), list(handles), loc="upper left", bbox_to_anchor=corner, frameon=False, borderaxespad=0
    )


def _cursor(axes: Axes, epoch: int) -> list[Any]:
    """Return the cursor and the points on the curves."""
    (points,) = axes.plot([], [], "o", color="black", markersize=5, zorder=5)
    return [axes.axvline(epoch, color="black", linewidth=1.0), points]


def _points(shown: Sequence[Series], epoch: int) -> tuple[list[int], list[float]]:
    """Return the places of the curves' points at an epoch."""
    found = [float(value) for one in shown for value in one.value[one.epochs == epoch]]
    return [epoch] * len(found), found
