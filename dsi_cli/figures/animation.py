"""A similarity matrix over the epochs as an animation: the heat map with the curve of the SAI and a cursor at the epoch.

One colour scale holds for all frames, so a colour means the same value throughout. matplotlib draws the frames
(``FuncAnimation``). Pillow writes GIF and WebP, ffmpeg writes MP4.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from dsi_cli.errors import OutputError, UsageError, count
from dsi_cli.figures import axes as drawing
from dsi_cli.figures import color_scales, panel_layout, row_labels
from dsi_cli.figures.figure_options import ANIMATION, FILMS
from dsi_cli.figures.heatmaps import ClassLayout, arranged, frames_of, permuted, title_of
from dsi_cli.figures.style import Style, using
from dsi_cli.queries import curve_panels, epoch_sampling, matrices
from dsi_cli.queries.curve_panels import Panel, Series
from dsi_cli.queries.matrices import MatrixFrames, Values
from dsi_cli.store import atomic_write, layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dsi_cli.figures.figure_options import FigureOptions
    from dsi_cli.store.results import Results

MOST_FRAMES = 100
"""The most epochs that an animation shows; of more, evenly spread ones are chosen. Pillow holds all frames in memory."""
LONGEST, SLOWEST, PAUSE = 12, 2, 2
"""The longest animation in seconds, the fewest frames per second, and how long the last epoch stays, in seconds."""
MAP, BETWEEN, CURVES, DOTS = 3.8, 0.85, 3.0, 110
"""Inches of the map, from it to the curves, of the curves; dots an inch: some 1,000 pixels across, 600 high."""
MOST_CURVES = 3
STYLE = Style("screen")
Told = Callable[[str, int, int], None]


class Animation(NamedTuple):
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


def animations(
    run: Results, options: FigureOptions, folder: Path, forms: Sequence[str], told: Told = _untold
) -> list[Animation]:
    """Write a film of each run asked for in each format: ``animation.gif``, with the run's name where there are several.

    Parameters
    ----------
    run : the output
    options : the runs, the kind of matrix, the epochs, the order of classes and the SAI's measure; not the style
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
    found = [of for of in frames_of(run, options) if options.epochs is None or set(of.epochs) & set(options.epochs)]
    made = []
    for of in found:
        name = ANIMATION if len(found) == 1 else f"{ANIMATION}-{layout.folder_name(of.run)}"
        made += [make_animation(run, of, options, folder / f"{name}.{form}", told) for form in forms]
    return made


def make_animation(run: Results, of: MatrixFrames, options: FigureOptions, path: Path, told: Told = _untold) -> Animation:
    """Write the film of one run's matrices; its format is the ending of the path. Parameters and errors as for `animations`."""
    from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter

    there = [epoch for epoch in of.epochs if options.epochs is None or epoch in options.epochs]
    epochs = epoch_sampling.evenly_spaced(there, MOST_FRAMES)
    rate = frames_per_second(len(epochs))
    frames = [*epochs, *[epochs[-1]] * (PAUSE * rate - 1)]

    def tell(at: int, _total: int) -> None:
        told(f"frames of {of.run}", at + 1, len(frames))

    with using(STYLE), tempfile.TemporaryDirectory() as folder:
        figure, update = scene(run, of, epochs, options.order, options.measure)
        moving = FuncAnimation(figure, update, frames=frames, cache_frame_data=False)
        writer = FFMpegWriter if path.suffix == ".mp4" else PillowWriter
        part = Path(folder) / path.name
        try:
            moving.save(part, writer=writer(fps=rate), dpi=DOTS, progress_callback=tell)
        except (subprocess.SubprocessError, BrokenPipeError):
            raise OutputError(f"ffmpeg could not write {path}: choose another format with --format gif or webp") from None
        atomic_write.write_atomically(path, part.read_bytes())
    return Animation(path, of.run, of.title, tuple(epochs), len(there), len(frames) / rate, path.stat().st_size)


def require_format(form: str) -> None:
    """Refuse a format that cannot be written.

    Raises
    ------
    UsageError
        The format is none of `FILMS`, or it is MP4 and ffmpeg is missing.
    """
    if form not in FILMS:
        raise UsageError(f"an animation is written as {', '.join(FILMS)}, not as {form!r}: choose one of these")
    if form == "mp4" and shutil.which("ffmpeg") is None:
        raise UsageError("MP4 is written by ffmpeg, which was not found on PATH: install it, or take gif or webp")


def frames_per_second(epochs: int) -> int:
    """Return the rate at which so many epochs last at most `LONGEST` seconds.

    >>> frames_per_second(3), frames_per_second(31), frames_per_second(100)
    (2, 3, 9)
    """
    return max(SLOWEST, math.ceil(epochs / LONGEST))


def scene(
    run: Results, frames: MatrixFrames, epochs: Sequence[int], order: str = "taxonomy", measure: str | None = None
) -> tuple[Figure, Callable[[int], list[Any]]]:
    """Return the figure and the function that shows an epoch in it. Every matrix is read once before, for the scale."""
    classes = arranged(run, frames, order)

    def shown_of(epoch: int) -> Values:
        return color_scales.seen(permuted(matrices.epoch_matrix(run, frames, epoch), classes), frames.kind.name)

    scale = color_scales.shared_scale(map(shown_of, epochs), frames.kind.name)
    bar = panel_layout.ColorBar(scale, f"{frames.kind.values}\n{color_scales.in_words(scale)}")
    shown = shown_curves(run, frames, measure)
    count = len(classes.names)
    figure, cells, beside = _stage(f"{frames.run}, {title_of(frames, count)}", classes, bar, shown)
    image = color_scales.show(cells, np.full((count, count), np.nan), scale)
    title = cells.set_title("", size=STYLE.size)
    cursor, points = _cursor(beside, epochs[0]) if beside else (None, None)

    def update(epoch: int) -> list[Any]:
        image.set_data(np.ma.masked_invalid(shown_of(epoch)))
        title.set_text(f"epoch {epoch}")
        if shown is not None and cursor is not None and points is not None:
            cursor.set_xdata([epoch, epoch])
            points.set_data(*_points(shown.series, epoch))
        return [image, title]

    return figure, update


def shown_curves(run: Results, frames: MatrixFrames, measure: str | None = None) -> Panel | None:
    """Return the SAI's curves of a run's matrix, the first few; where there is none, its WSI's; None without either."""
    name = f"{frames.kind.name}-{frames.split}" if frames.split else frames.kind.name
    for metric in ("sai", "wsi"):
        kinds = [kind for kind in curve_panels.PANELS if kind.name == metric]
        for panel in curve_panels.panels(run, [frames.run], measure, kinds):
            found = [one for one in panel.series if name in (one.of or "").split(",")]
            if found:
                return replace(panel, series=found[:MOST_CURVES])
    return None


def _stage(
    title: str, classes: ClassLayout, bar: panel_layout.ColorBar, shown: Panel | None
) -> tuple[Figure, Axes, Axes | None]:
    """Return the figure with all that stays, its map's axes and its curves' axes."""
    side = row_labels.plan_labels(classes.names, classes.groups, MAP, STYLE.size - 1)
    line = STYLE.size / 72
    left = panel_layout.MARGIN + sum(row_labels.widths(panel_layout.blank(1, 1), side))
    top = panel_layout.MARGIN + 3.8 * line
    room = BETWEEN + CURVES if shown else 0.0
    below = (
        max(panel_layout.bars_height(STYLE), (8.6 + 1.5 * len(shown.series)) * line if shown else 0.0) + panel_layout.MARGIN
    )
    figure = panel_layout.blank(left + MAP + room + 3 * panel_layout.MARGIN, top + MAP + below)
    figure.set_dpi(DOTS)
    panel_layout.heading(figure, panel_layout.MARGIN, title, classes.detail, STYLE)
    cells = panel_layout.axes_at(figure, left, top, MAP, MAP)
    cells.set(xlim=(-0.5, len(classes.names) - 0.5), ylim=(len(classes.names) - 0.5, -0.5))
    row_labels.write(figure, cells, side)
    color_scales.bar(panel_layout.axes_at(figure, left, top + MAP + 0.9 * line, MAP, 0.8 * line), bar.scale, bar.text)
    if shown is None:
        return figure, cells, None
    beside = panel_layout.axes_at(figure, left + MAP + BETWEEN, top, CURVES, MAP)
    _draw_curves(beside, shown)
    return figure, cells, beside


def _draw_curves(axes: Axes, shown: Panel) -> None:
    """Draw curves as `dsi_cli.figures.curves` does, each with its chance level, and the legend below."""
    for place, one in enumerate(shown.series):
        drawing.curve(axes, one, shown, drawing.axes_style(place, place), one.label)
    drawing.finish(axes, shown.series, shown)
    handles = {text: handle for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    handles |= drawing.bands(cast("Figure", axes.figure))
    corner = (0, -3.2 * STYLE.size / 72 / MAP)
    axes.legend(
        list(handles.values()), list(handles), loc="upper left", bbox_to_anchor=corner, frameon=False, borderaxespad=0
    )


def _cursor(axes: Axes, epoch: int) -> tuple[Any, Any]:
    """Return the cursor and the points on the curves."""
    (points,) = axes.plot([], [], "o", color="black", markersize=5, zorder=5)
    return axes.axvline(epoch, color="black", linewidth=1.0), points


def _points(shown: Sequence[Series], epoch: int) -> tuple[list[int], list[float]]:
    """Return the places of the curves' points at an epoch."""
    found = [float(value) for one in shown for value in one.value[one.epochs == epoch]]
    return [epoch] * len(found), found
