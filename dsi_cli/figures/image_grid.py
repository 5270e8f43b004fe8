"""A grid of images of the worst mistakes, each with the true class, the prediction, its
ranks and the score.

A small image is enlarged without smoothing. A grey tile with the reason replaces an
image that cannot be opened.
"""

from __future__ import annotations

import io
import math
import textwrap
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsi_cli.errors import UsageError
from dsi_cli.figures.catalogue import FigureOptions, Opener
from dsi_cli.figures.heatmaps import MAX_NAME_LENGTH, short_name
from dsi_cli.figures.style import SCREEN, Style, using
from dsi_cli.queries.mistakes import stored_epochs, worst_mistakes
from dsi_cli.store import atomic_write
from dsi_cli.store.results import Results
from dsi_cli.store.schema import PREDICTIONS, SPLITS

PLOT_IMAGES = 20  # number of images in the figure of ``dsi plot``
MAX_IMAGES = 200  # images in a file of ``dsi mistakes --sheet``
TILE_ASPECT = 1.35  # height of an image with its caption relative to its width
MAX_PIXELS = 512  # maximum length in pixels of the longer side of an image


def figure(results: Results, options: FigureOptions) -> Figure | None:
    """Return the grid of the first run with images at the last requested epoch, or None
    if no run has images.

    The split test is preferred over train. The figure spans two columns, because its
    captions are not legible on one.
    """
    if options.open_image is None:
        return None
    for run, split in product(options.names(results), SPLITS):
        epochs = stored_epochs(results, PREDICTIONS, run, split)
        if options.epochs is not None:
            epochs = [epoch for epoch in epochs if epoch in options.epochs]
        if not epochs or results.is_vast(run):  # very many classes have no ranks
            continue
        listing = worst_mistakes(
            results, run=run, epoch=epochs[-1], split=split, most=PLOT_IMAGES
        )
        if listing["path"].notna().any():
            style = options.style._replace(columns=2)
            return grid(listing, options.open_image, style)[0]
    return None


def grid(
    listing: pd.DataFrame, open_image: Opener, style: Style
) -> tuple[Figure, dict[int, str]]:
    """Return the figure of a listing, row by row, and the reasons why images could not
    be opened, by row of the listing.

    `open_image` opens the image of any mode at a path. The field ``reason`` of its
    `UsageError` is on a grey tile. Raise `UsageError` if the listing has more than
    `MAX_IMAGES` rows, or no row has a path.
    """
    if len(listing) > MAX_IMAGES:
        message = f"{len(listing)} images are too many for a contact sheet"
        raise UsageError(
            message,
            hint=f"use --most {MAX_IMAGES} or less",
            code="too-many-images",
            images=len(listing),
        )
    if len(listing) and listing["path"].isna().all():
        message = (
            "the predictions contain no paths of images, which a contact sheet needs;"
            " run dsi analyze --test with image files"
        )
        message += (
            " (class folders, Parquet, tars), or add a column 'path' to your"
            " predictions"
        )
        raise UsageError(message, code="no-image-paths")
    columns = min(max(len(listing), 3), 5)
    rows = max(1, math.ceil(len(listing) / columns))
    legend = listing.attrs["legend"]
    legend = f"{legend[0].upper()}{legend[1:]}."
    key = f"The true class is bold, → is the prediction, and # is its rank. {legend}"
    figure = Figure(
        figsize=(style.width, rows * style.width / columns * TILE_ASPECT + 0.5),
        layout="constrained",
    )
    heading: dict[str, Any] = {
        "x": 0.01,
        "ha": "left",
        "fontsize": style.size,
        "parse_math": False,
    }
    figure.suptitle(
        textwrap.fill(_printable(listing.attrs["title"]), 90), weight="bold", **heading
    )
    figure.supxlabel(textwrap.fill(key, 120), **heading)
    all_axes = figure.subplots(rows, columns, squeeze=False).flat
    unopened = {}
    for index, axes in enumerate(all_axes):
        if index >= len(listing):
            axes.remove()
            continue
        row = listing.iloc[index]
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        path = row["path"] if isinstance(row["path"], str) else None
        reason = _draw_image(axes, path, open_image, style)
        if reason is not None:
            unopened[index] = reason
        own = str(listing.attrs["own"]).upper()
        named_ranks = {
            own: row["rank"],
            listing.attrs["reference"]: row["wordnet_rank"],
        }
        ranks = [
            f"{name} #{rank:g}" for name, rank in named_ranks.items() if pd.notna(rank)
        ]
        score = "" if pd.isna(row["score"]) else f"score {row['score']:.3f} · "
        caption = [
            f"→ {short_name(row['prediction'])}",
            " · ".join(ranks) or "no rank",
            f"{score}sample {row['sample']}",
        ]
        axes.set_title(
            short_name(row["truth"]),
            size=style.size * 0.75,
            weight="bold",
            loc="left",
            parse_math=False,
        )
        axes.set_xlabel(
            "\n".join(caption), size=style.size * 0.75, loc="left", parse_math=False
        )
    return figure, unopened


def save(listing: pd.DataFrame, open_image: Opener, path: Path) -> dict[int, str]:
    """Write the grid of a listing as PNG, and return the reasons why images could not
    be opened, by row.

    Raise `UsageError` if the listing has more than `MAX_IMAGES` rows, or no row has a
    path, and `OutputError` if the file could not be written.
    """
    style = SCREEN._replace(columns=2)
    buffer = io.BytesIO()
    with using(style):
        figure, unopened = grid(listing, open_image, style)
        figure.savefig(buffer, format="png")
    atomic_write.write_atomically(
        path, buffer.getbuffer(), make_folder=False, option="--sheet"
    )
    return unopened


def _draw_image(
    axes: Axes, path: str | None, open_image: Opener, style: Style
) -> str | None:
    """Draw an image, or a grey tile, and return the reason for a grey tile."""
    reason = None if path else "the predictions contain no path of this image"
    if path:
        try:
            image = open_image(path)
        except UsageError as error:
            reason = str(error.fields["reason"])
    if reason is not None:
        lines = ["no image", *textwrap.wrap(_printable(reason), MAX_NAME_LENGTH)]
        axes.set(facecolor="#dcdcdc", aspect=1)
        axes.text(
            0.04,
            0.96,
            "\n".join(lines[:10]),
            size=style.size * 0.7,
            va="top",
            parse_math=False,
            clip_on=True,
        )
        return reason
    # An image of more than 8 bits has one channel and keeps its values. Other images
    # are drawn as RGBA.
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        pixels = np.nan_to_num(np.asarray(image, dtype=np.float64))
    else:
        image = image.convert("RGBA")
        image.thumbnail((MAX_PIXELS, MAX_PIXELS))
        pixels = np.asarray(image)
    smoothing = "nearest" if max(pixels.shape[:2]) <= 128 else "antialiased"
    axes.imshow(pixels, cmap="gray", interpolation=smoothing)
    return None


def _printable(text: str) -> str:
    """Return text on one line, with a replacement character for each character that is
    not printable.
    """
    return "".join(
        c if c.isprintable() else "\ufffd" for c in " ".join(text[:1000].split())
    )
