"""An animation over the epochs: the network's matrix, WordNet's, and their agreement
with a point at the epoch.

A colour always means the same rank. Matplotlib draws the frames (``FuncAnimation``),
and Pillow writes GIF and WebP.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.figure import Figure
from numpy.typing import NDArray

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
) -> list[Path]:
    """Write an animation of each run in each format: ``animation.gif``, with the run's
    name if there are several runs; return the paths.

    All options except the style apply. Raise `OutputError` if a file could not be
    written.
    """
    all_frames = heatmaps.frames_at_epochs(results, options)
    written = []
    for frames, form in product(all_frames, formats):
        name = ANIMATION
        if len(all_frames) > 1:
            name = f"{ANIMATION}-{layout.folder_name(frames.run)}"
        path = folder / f"{name}.{form}"
        written.append(_write_animation(results, frames, options, path, progress))
    return written


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
        temporary, writer = Path(folder) / path.name, PillowWriter(fps=rate)
        animation.save(temporary, writer=writer, dpi=DPI, progress_callback=report)
        atomic_write.write_atomically(path, temporary.read_bytes())
    return path


def scene(
    results: Results,
    frames: MatrixFrames,
    epochs: Sequence[int],
    options: FigureOptions,
) -> tuple[Figure, Callable[[int], list[Any]]]:
    """Return the figure, and the function that updates it for an epoch."""
    classes = heatmaps.class_layout(results, frames, options.order)
    size, kind = len(classes.names), frames.kind.name

    def ranks_at(epoch: int) -> NDArray[Any]:
        values = matrices.epoch_matrix(results, frames, epoch)
        return color_scales.cell_ranks(heatmaps.reorder(values, classes.order), kind)

    # Lay out the map of the network, that of WordNet if there are labels, and the curve
    # if there is one.
    reference = matrices.reference_matrix(results, frames.run)
    curve = curve_of(results, frames, options.measure)
    widths = [MAP_WIDTH] * (1 if reference is None else 2)
    if curve is not None:
        widths.append(CURVE_WIDTH)
    figure = Figure(figsize=(sum(widths), HEIGHT), dpi=DPI, layout="constrained")
    all_axes = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    counter = figure.suptitle("epoch", size=2 * SCREEN.size, weight="bold")

    title = f"{drawing.short(frames.run)}: {heatmaps.matrix_title(frames, size)}"
    maps = {title: ranks_at(epochs[0])}
    if reference is not None:
        ordered = heatmaps.reorder(reference, classes.order)
        title = matrices.reference_title(results, frames.run)
        maps[title] = matrices.percentile_ranks(ordered)
    colours = heatmaps.group_colours([classes])
    images = []
    for axes, (title, ranks) in zip(all_axes, maps.items(), strict=False):
        images.append(color_scales.draw_cells(axes, ranks, size))
        side_of_names = 0 if images[1:] else MAP_WIDTH - 1
        heatmaps.label_classes(axes, classes, colours, SCREEN, side_of_names)
        axes.set_title(title, pad=0.05 * MAP_WIDTH * 72, parse_math=False)
    color_scales.draw_bar(figure, list(all_axes[: len(maps)]), "bottom")
    rows = pd.DataFrame({"epoch": [], "value": []})
    moving: list[Any] = []
    if curve is not None:
        rows = curve
        axes = all_axes[-1]
        curves.draw_curves(axes, rows, [frames.run])
        axes.set(title=rows["title"].iloc[0], xlabel="epoch")
        axes.set_ylabel(rows["axis"].iloc[0])
        moving = axes.plot([], [], "o", color="black", markersize=5, zorder=5)

    # The layout stays as it is, so that only what changes moves.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")

    def update(epoch: int) -> list[Any]:
        images[0].set_data(np.ma.masked_invalid(ranks_at(epoch)))
        counter.set_text(f"epoch {results.shown_epoch(epoch, frames.run)}")
        at = rows[rows["epoch"] == epoch]
        for point in moving:
            point.set_data(at["epoch"], at["value"])
        return [images[0], counter]

    return figure, update


def curve_of(
    results: Results, frames: MatrixFrames, measure: str | None = None
) -> pd.DataFrame | None:
    """Return the rows of the first agreement of a run's matrix, or its
    max WSI if it has no agreement; None without either.
    """
    for name in ("agreement", "wsi"):
        rows = curves.curve_rows(results, name, [frames.run], measure)
        if rows.empty:
            continue
        is_of_matrix = [frames.name in str(of).split(",") for of in rows["of"]]
        found = rows[is_of_matrix]
        if len(found):
            return found[found["label"] == found["label"].iloc[0]]
    return None
