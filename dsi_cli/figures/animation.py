"""An animation over the epochs: the network's matrix, WordNet's, and their agreement
with a cursor at the epoch.

All frames share one colour scale, so each colour always means the same. Matplotlib
draws the frames (``FuncAnimation``), Pillow writes GIF and WebP, and ffmpeg writes MP4.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dsi_cli.errors import OutputError, UsageError
from dsi_cli.figures import axes as drawing
from dsi_cli.figures import color_scales, curves, heatmaps
from dsi_cli.figures.catalogue import ANIMATION, FigureOptions
from dsi_cli.figures.save import Progress
from dsi_cli.figures.style import SCREEN, using
from dsi_cli.queries import epoch_sampling, matrices
from dsi_cli.queries.matrices import MatrixFrames
from dsi_cli.store import atomic_write, layout
from dsi_cli.store.results import Results

MAX_FRAMES = 100
"""Maximum number of epochs in an animation, because Pillow keeps all frames in memory;
of more epochs, evenly spaced ones are shown.
"""
MAX_SECONDS, MIN_FRAMES_PER_SECOND, PAUSE_SECONDS = 12, 2, 2
"""Maximum duration without the pause, minimum frame rate, and duration of the last
epoch.
"""
# inches: of a map, of the curve with its labels, and of the figure
MAP_WIDTH, CURVE_WIDTH, HEIGHT = (3.2, 3.2, 4.2)
DPI = 100


def animations(
    results: Results,
    options: FigureOptions,
    folder: Path,
    formats: Sequence[str],
    progress: Progress = lambda *_: None,
) -> tuple[list[Path], list[str]]:
    """Write an animation of each run in each format: ``animation.gif``, with the run's
    name if there are several runs.

    Return the paths, and a note on each run with more epochs than an animation can
    have.

    All options except the style apply. Raise `UsageError` if a format is MP4 and ffmpeg
    is missing, and `OutputError` if a file could not be written.
    """
    if "mp4" in formats and shutil.which("ffmpeg") is None:
        message = "ffmpeg, which writes MP4, is not on PATH"
        raise UsageError(
            message,
            hint="install ffmpeg, or use --format gif or webp",
            code="no-ffmpeg",
        )
    all_frames = heatmaps.frames_at_epochs(results, options)
    written, notes = [], []
    for frames in all_frames:
        count = len(frames.among(options.epochs))
        if count > MAX_FRAMES:
            notes.append(
                f"{frames.run}: the animation shows {MAX_FRAMES} of {count} epochs,"
                " evenly spaced"
            )
        if len(all_frames) == 1:
            name = ANIMATION
        else:
            name = f"{ANIMATION}-{layout.folder_name(frames.run)}"
        written += [
            _write_animation(
                results, frames, options, folder / f"{name}.{form}", progress
            )
            for form in formats
        ]
    return written, notes


def _write_animation(
    results: Results,
    frames: MatrixFrames,
    options: FigureOptions,
    path: Path,
    progress: Progress,
) -> Path:
    # The last epoch is repeated, so that it stays visible.
    epochs = epoch_sampling.evenly_spaced(frames.among(options.epochs), MAX_FRAMES)
    rate = max(MIN_FRAMES_PER_SECOND, math.ceil(len(epochs) / MAX_SECONDS))
    frame_epochs = [*epochs, *[epochs[-1]] * (PAUSE_SECONDS * rate - 1)]

    def report(index: int, _total: int) -> None:
        progress(f"frames of {frames.run}", index + 1, len(frame_epochs))

    with using(SCREEN), tempfile.TemporaryDirectory() as folder:
        figure, update = scene(results, frames, epochs, options)
        animation = FuncAnimation(
            figure, update, frames=frame_epochs, cache_frame_data=False
        )
        writer = FFMpegWriter if path.suffix == ".mp4" else PillowWriter
        temporary = Path(folder) / path.name
        try:
            animation.save(
                temporary, writer=writer(fps=rate), dpi=DPI, progress_callback=report
            )
        except (subprocess.SubprocessError, BrokenPipeError):
            message = f"ffmpeg could not write {path}"
            raise OutputError(
                message,
                hint="use --format gif or webp",
                code="ffmpeg-failed",
                path=str(path),
            ) from None
        atomic_write.write_atomically(path, temporary.read_bytes())
    return path


def scene(
    results: Results,
    frames: MatrixFrames,
    epochs: Sequence[int],
    options: FigureOptions,
) -> tuple[Figure, Callable[[int], list[Any]]]:
    """Return the figure, and the function that updates it for an epoch. Raw values are
    read once for their scale.
    """
    classes = heatmaps.class_layout(results, frames, options.order)
    size, kind = len(classes.names), frames.kind.name

    is_raw, scale, text = options.scale == "raw", color_scales.RANKS, "rank of a pair"

    def cells_at(epoch: int) -> NDArray[Any]:
        values = heatmaps.reorder(
            matrices.epoch_matrix(results, frames, epoch), classes.order
        )
        cells = color_scales.cell_values(values, kind)
        return cells if is_raw else matrices.percentile_ranks(cells)

    # Lay out the map of the network, that of WordNet if there are labels, and the curve
    # if there is one.
    if is_raw:
        scale = color_scales.raw_scale(map(cells_at, epochs), kind)
        text = frames.kind.values
    reference = matrices.reference_matrix(results, frames.run)
    curve = curve_of(results, frames, options.measure)
    widths = [MAP_WIDTH] * (1 if reference is None else 2) + [CURVE_WIDTH] * (
        curve is not None
    )
    figure = Figure(figsize=(sum(widths), HEIGHT), dpi=DPI, layout="constrained")
    map_axes, *others = figure.subplots(
        1, len(widths), width_ratios=widths, squeeze=False
    )[0]
    counter = figure.suptitle("epoch", size=2 * SCREEN.size, weight="bold")

    colours = heatmaps.group_colours([classes])
    image = color_scales.draw_cells(
        map_axes, np.full((size, size), np.nan), scale, size
    )
    titles = {
        map_axes: f"{drawing.short(frames.run)}: {heatmaps.matrix_title(frames, size)}"
    }
    maps = [map_axes]
    if reference is not None:
        wordnet = heatmaps.reorder(reference, classes.order)
        titles[others[0]] = matrices.reference_title(results, frames.run)
        if is_raw:
            of_wordnet = color_scales.raw_scale([wordnet], "scsm")
            color_scales.draw_cells(others[0], wordnet, of_wordnet, size)
            color_scales.draw_bar(
                figure, [others[0]], of_wordnet, matrices.REFERENCE.values, "bottom"
            )
        else:
            color_scales.draw_cells(
                others[0], matrices.percentile_ranks(wordnet), scale, size
            )
            maps.append(others[0])
    color_scales.draw_bar(figure, maps, scale, text, "bottom")
    for axes, title in titles.items():
        heatmaps.label_classes(
            axes, classes, colours, MAP_WIDTH - 1, SCREEN, with_names=axes is map_axes
        )
        axes.set_title(title, pad=0.05 * MAP_WIDTH * 72, parse_math=False)
    cursor, point = None, None
    if curve is not None:
        name, rows = curve
        curves.draw_curves(others[-1], rows, [frames.run])
        others[-1].set(
            title=rows["title"].iloc[0], ylabel=curves.AXES[name], xlabel="epoch"
        )
        (point,) = others[-1].plot(
            [], [], "o", color="black", markersize=5, zorder=5, label="_epoch"
        )
        cursor = others[-1].axvline(epochs[0], color="black", linewidth=0.8)

    # The layout stays as it is, so that only what changes moves.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")

    def update(epoch: int) -> list[Any]:
        image.set_data(np.ma.masked_invalid(cells_at(epoch)))
        counter.set_text(f"epoch {results.shown_epoch(epoch, frames.run)}")
        if curve is not None and cursor is not None and point is not None:
            at = curve[1][curve[1]["epoch"] == epoch]
            cursor.set_xdata([epoch, epoch])
            point.set_data(at["epoch"], at["value"])
        return [image, counter]

    return figure, update


def curve_of(
    results: Results, frames: MatrixFrames, measure: str | None = None
) -> tuple[str, pd.DataFrame] | None:
    """Return the figure and the rows of the first agreement of a run's matrix, or its
    max WSI if it has no agreement; None without either.
    """
    for name in ("agreement", "wsi"):
        rows = curves.curve_rows(results, name, [frames.run], measure)
        if rows.empty:
            continue
        is_of_matrix = [frames.name in str(of).split(",") for of in rows["of"]]
        found = rows[is_of_matrix]
        if len(found):
            return name, found[found["label"] == found["label"].iloc[0]]
    return None
