"""An animation of a similarity matrix over the epochs: the heat map and the curve of the SAI with a cursor at the epoch.

All frames share one colour scale, so each colour always means the same value. Matplotlib draws the frames (``FuncAnimation``),
Pillow writes GIF and WebP, and ffmpeg writes MP4.
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
from dsi_cli.figures.heatmaps import ClassLayout, class_layout, matrix_title, reorder, requested_frames
from dsi_cli.figures.style import Style, using
from dsi_cli.queries import curve_panels, epoch_sampling, matrices
from dsi_cli.queries.curve_panels import Panel
from dsi_cli.queries.matrices import MatrixFrames, Values
from dsi_cli.store import atomic_write, layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dsi_cli.figures.figure_options import FigureOptions
    from dsi_cli.store.results import Results

MAX_FRAMES = 100
"""Maximum number of epochs in an animation, because Pillow keeps all frames in memory; of more epochs, evenly spaced ones are
shown."""
MAX_SECONDS, MIN_FRAMES_PER_SECOND, PAUSE_SECONDS = 12, 2, 2
"""Maximum duration without the pause, minimum frame rate, and duration of the last epoch."""
MAP_SIZE, MAP_GAP, CURVE_WIDTH = 3.8, 0.85, 3.0
"""Inches: width and height of the map, distance from the map to the curves, and width of the curves."""
DPI = 110
MAX_CURVES = 3
STYLE = Style("screen")
Progress = Callable[[str, int, int], None]
"""Receives the current stage, the number of completed frames and the number of all frames."""


class Animation(NamedTuple):
    """The description of a written animation."""

    path: Path
    run: str
    matrix: str
    epochs: tuple[int, ...]
    """The epochs of the frames."""
    of: int
    """The number of epochs that have a matrix."""
    seconds: float
    """The duration in seconds."""
    bytes: int

    def __str__(self) -> str:
        """Return a one-line description."""
        epochs = count(self.of, "epoch")
        if self.of > len(self.epochs):
            epochs = f"{len(self.epochs)} of {epochs}, evenly spaced"
        return f"{self.run}, {self.matrix}: {epochs}, {self.seconds:.1f} s"


def animations(
    results: Results,
    options: FigureOptions,
    folder: Path,
    formats: Sequence[str],
    progress: Progress = lambda *_: None,
) -> list[Animation]:
    """Write an animation of each run in each format: ``animation.gif``, with the run's name if there are several runs.

    Parameters
    ----------
    options : all options except the style apply
    folder : output folder, created if missing
    formats : formats from `FILMS`
    progress : called with the stage, the number of completed frames and the number of all frames

    Raises
    ------
    UsageError
        A format does not exist, or it is MP4 and ffmpeg is missing.
    OutputError
        A file could not be written.
    """
    for form in formats:
        require_format(form)
    all_frames = requested_frames(results, options)
    if options.epochs is not None:
        all_frames = [frames for frames in all_frames if set(frames.epochs) & set(options.epochs)]
    films = []
    for frames in all_frames:
        name = ANIMATION if len(all_frames) == 1 else f"{ANIMATION}-{layout.folder_name(frames.run)}"
        films += [make_animation(results, frames, options, folder / f"{name}.{form}", progress) for form in formats]
    return films


def make_animation(
    results: Results,
    frames: MatrixFrames,
    options: FigureOptions,
    path: Path,
    progress: Progress = lambda *_: None,
) -> Animation:
    """Write the animation of one run's matrices in the format of the path's suffix.

    Raises
    ------
    OutputError
        The file could not be written.
    """
    from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter

    # The last epoch is repeated, so that it stays visible.
    existing = [epoch for epoch in frames.epochs if options.epochs is None or epoch in options.epochs]
    epochs = epoch_sampling.evenly_spaced(existing, MAX_FRAMES)
    rate = frames_per_second(len(epochs))
    frame_epochs = [*epochs, *[epochs[-1]] * (PAUSE_SECONDS * rate - 1)]

    def report(index: int, _total: int) -> None:
        progress(f"frames of {frames.run}", index + 1, len(frame_epochs))

    with using(STYLE), tempfile.TemporaryDirectory() as folder:
        figure, update = scene(results, frames, epochs, options.order, options.measure)
        animation = FuncAnimation(figure, update, frames=frame_epochs, cache_frame_data=False)
        writer = FFMpegWriter if path.suffix == ".mp4" else PillowWriter
        temporary = Path(folder) / path.name
        try:
            animation.save(temporary, writer=writer(fps=rate), dpi=DPI, progress_callback=report)
        except (subprocess.SubprocessError, BrokenPipeError):
            raise OutputError(
                f"ffmpeg could not write {path}: use --format gif or webp", code="ffmpeg-failed", path=str(path)
            ) from None
        atomic_write.write_atomically(path, temporary.read_bytes())
    return Animation(
        path=path,
        run=frames.run,
        matrix=frames.title,
        epochs=tuple(epochs),
        of=len(existing),
        seconds=len(frame_epochs) / rate,
        bytes=path.stat().st_size,
    )


def require_format(form: str) -> None:
    """Check that an animation can be written in a format.

    Raises
    ------
    UsageError
        The format is not one of `FILMS`, or it is MP4 and ffmpeg is missing.
    """
    if form not in FILMS:
        raise UsageError(
            f"the animation cannot be written as {form}: use one of {', '.join(FILMS)}", code="figure-format", format=form
        )
    if form == "mp4" and shutil.which("ffmpeg") is None:
        raise UsageError(
            "ffmpeg, which writes MP4, is not on PATH: install ffmpeg, or use --format gif or webp", code="no-ffmpeg"
        )


def frames_per_second(epochs: int) -> int:
    """Return the frame rate at which a number of epochs lasts at most `MAX_SECONDS` seconds.

    >>> frames_per_second(3), frames_per_second(31), frames_per_second(100)
    (2, 3, 9)
    """
    return max(MIN_FRAMES_PER_SECOND, math.ceil(epochs / MAX_SECONDS))


def scene(
    results: Results, frames: MatrixFrames, epochs: Sequence[int], order: str = "taxonomy", measure: str | None = None
) -> tuple[Figure, Callable[[int], list[Any]]]:
    """Return the figure, and the function that updates it for an epoch. Every matrix is read once for the colour scale."""
    classes = class_layout(results, frames, order)

    def values_at(epoch: int) -> Values:
        return color_scales.cell_values(
            reorder(matrices.epoch_matrix(results, frames, epoch), classes.order), frames.kind.name
        )

    scale = color_scales.shared_scale(map(values_at, epochs), frames.kind.name)
    bar = panel_layout.ColorBar(scale, f"{frames.kind.values}\n{color_scales.describe_scale(scale)}")
    panel = curve_panel(results, frames, measure)
    size = len(classes.names)
    figure, map_axes, curve_axes = _still_parts(f"{frames.run}, {matrix_title(frames, size)}", classes, bar, panel)
    image = color_scales.draw_cells(map_axes, np.full((size, size), np.nan), scale)
    title = map_axes.set_title("", size=STYLE.size)
    cursor, points = None, None
    if curve_axes is not None:
        (points,) = curve_axes.plot([], [], "o", color="black", markersize=5, zorder=5)
        cursor = curve_axes.axvline(epochs[0], color="black", linewidth=1.0)

    def update(epoch: int) -> list[Any]:
        image.set_data(np.ma.masked_invalid(values_at(epoch)))
        title.set_text(f"epoch {epoch}")
        if panel is not None and cursor is not None and points is not None:
            values = [float(value) for curve in panel.series for value in curve.value[curve.epochs == epoch]]
            cursor.set_xdata([epoch, epoch])
            points.set_data([epoch] * len(values), values)
        return [image, title]

    return figure, update


def curve_panel(results: Results, frames: MatrixFrames, measure: str | None = None) -> Panel | None:
    """Return the first SAI curves of a run's matrix, or its WSI curves if it has no SAI; None without either."""
    name = f"{frames.kind.name}-{frames.split}" if frames.split else frames.kind.name
    for metric in ("sai", "wsi"):
        kinds = [kind for kind in curve_panels.PANELS if kind.name == metric]
        for panel in curve_panels.panels(results, [frames.run], measure, kinds):
            curves = [curve for curve in panel.series if name in (curve.of or "").split(",")]
            if curves:
                return replace(panel, series=curves[:MAX_CURVES])
    return None


def _still_parts(
    title: str, classes: ClassLayout, bar: panel_layout.ColorBar, panel: Panel | None
) -> tuple[Figure, Axes, Axes | None]:
    """Return the figure with all parts that do not change, the axes of the map and the axes of the curves."""
    # Compute the size of the figure.
    labels = row_labels.plan_labels(classes.names, classes.groups, MAP_SIZE, STYLE.size - 1)
    line = STYLE.size / 72
    left = panel_layout.MARGIN + sum(row_labels.widths(panel_layout.blank_figure(1, 1), labels))
    top = panel_layout.MARGIN + 3.8 * line
    width, below = left + MAP_SIZE + 3 * panel_layout.MARGIN, panel_layout.bars_height(STYLE)
    if panel is not None:
        width += MAP_GAP + CURVE_WIDTH
        below = max(below, (8.6 + 1.5 * len(panel.series)) * line)
    figure = panel_layout.blank_figure(width, top + MAP_SIZE + below + panel_layout.MARGIN)
    figure.set_dpi(DPI)

    # Draw the heading, the map's frame and the colour bar.
    panel_layout.write_heading(figure, panel_layout.MARGIN, title, classes.detail, STYLE)
    map_axes = panel_layout.add_axes(figure, left, top, MAP_SIZE, MAP_SIZE)
    map_axes.set(xlim=(-0.5, len(classes.names) - 0.5), ylim=(len(classes.names) - 0.5, -0.5))
    row_labels.write_labels(figure, map_axes, labels)
    bar_axes = panel_layout.add_axes(figure, left, top + MAP_SIZE + 0.9 * line, MAP_SIZE, 0.8 * line)
    color_scales.draw_bar(bar_axes, bar.scale, bar.text)
    if panel is None:
        return figure, map_axes, None
    curve_axes = panel_layout.add_axes(figure, left + MAP_SIZE + MAP_GAP, top, CURVE_WIDTH, MAP_SIZE)
    _draw_curves(curve_axes, panel)
    return figure, map_axes, curve_axes


def _draw_curves(axes: Axes, panel: Panel) -> None:
    """Draw curves with their chance levels, and the legend below."""
    for index, curve in enumerate(panel.series):
        drawing.draw_curve(axes, curve, panel, drawing.axes_style(index, index), curve.label)
    drawing.finish(axes, panel.series, panel)
    handles, texts = axes.get_legend_handles_labels()
    legend = dict(zip(texts, handles, strict=True)) | drawing.band_handles(cast("Figure", axes.figure))
    corner = (0, -3.2 * STYLE.size / 72 / MAP_SIZE)
    axes.legend(
        list(legend.values()), list(legend), loc="upper left", bbox_to_anchor=corner, frameon=False, borderaxespad=0
    )
