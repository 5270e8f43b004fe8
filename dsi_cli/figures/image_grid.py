"""The images of the most telling mistakes in a grid, each with its truth, its prediction, their ranks and the score.

A small image is enlarged without smoothing. An image that cannot be opened is a grey tile with the reason.
"""

from __future__ import annotations

import io
import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.figures.figure_options import FigureOptions, Opener
from dsi_cli.figures.style import Style, using
from dsi_cli.queries.mistakes import SPLITS, Mistake, MistakeList, MistakeQuery, stored_epochs, worst_mistakes
from dsi_cli.store import atomic_write
from dsi_cli.store.schema import PREDICTIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from dsi_cli.store.results import Results

SHOWN = 20
"""Images in the figure of ``dsi plot``."""
MOST = 200
"""Images in a file of ``dsi mistakes --sheet``."""
CAPTION = 0.4
"""Height of a tile's caption, where the image's is 1."""
LETTERS = 26
"""The longest name in a caption; it is wider than the tile only in capital letters, and then it is clipped."""


def draw(run: Results, options: FigureOptions) -> Figure | None:
    """Return the grid of the first run that has images (on test, else on train), of the last epoch asked for.

    Returns None if no run has images. The figure spans two columns, since the captions could not be read on one.
    """
    if options.open_image is None:
        return None
    for name in options.names(run):
        listing = _listing(run, name, options)
        if listing is not None:
            return grid(listing, options.open_image, options.style._replace(columns=2))[0]
    return None


def grid(listing: MistakeList[Mistake], open_image: Opener, style: Style) -> tuple[Figure, dict[int, str]]:
    """Return the grid of a listing, row by row in its order, and why images could not be opened.

    Parameters
    ----------
    open_image
        From a mistake's path to its image, of any mode. The text of a ``UsageError`` is the reason on a grey tile.

    Returns
    -------
    figure
    unopened : from a row of the listing to the reason

    Raises
    ------
    UsageError
        The listing has more than `MOST` rows, or has rows and none with a path.
    """
    from matplotlib.figure import Figure

    _require_images(listing.rows)
    columns = min(max(len(listing.rows), 3), 5)
    rows = math.ceil(len(listing.rows) / columns)
    tile = style.width / columns
    key = f"Bold: the truth; →: the prediction; #: its rank. {listing.legend[0].upper()}{listing.legend[1:]}."
    heading = [*textwrap.wrap(_printable(listing.title), 80), *textwrap.wrap(key, 100)]
    line = 1.5 * style.size / 72
    height = rows * tile * (1 + CAPTION) + (len(heading) + 1) * line

    figure = Figure(figsize=(style.width, height))
    figure.set_layout_engine("none")
    for at, text in enumerate(heading):
        weight, colour = ("bold", "black") if at == 0 else ("normal", "#555555")
        figure.text(
            0.01,
            1 - (at + 0.5) * line / height,
            text,
            size=style.size,
            weight=weight,
            color=colour,
            va="top",
            parse_math=False,
        )
    unopened = {}
    for at, row in enumerate(listing.rows):
        bottom = (rows - at // columns - 1) * tile * (1 + CAPTION) / height
        axes = figure.add_axes((at % columns / columns, bottom, 1 / columns, tile * (1 + CAPTION) / height))
        axes.set(xlim=(-0.05, 1.05), ylim=(1 + CAPTION, -0.05))
        axes.set_axis_off()
        reason = _show(axes, row.path, open_image, style)
        if reason is not None:
            unopened[at] = reason
        _write(axes, _caption(row, listing), style.size * 0.75)
    return figure, unopened


def save(listing: MistakeList[Mistake], open_image: Opener, path: Path) -> dict[int, str]:
    """Write the grid of a listing as PNG in one step, and return why images could not be opened.

    Raises
    ------
    UsageError
        As for `grid`.
    OutputError
        The file could not be written.
    """
    style = Style("screen", 2)
    buffer = io.BytesIO()
    with using(style):
        figure, unopened = grid(listing, open_image, style)
        figure.savefig(buffer, format="png")
    atomic_write.write_atomically(path, buffer.getbuffer(), make_folder=False, option="--sheet")
    return unopened


def require_png(path: Path) -> None:
    """Make sure that a contact sheet can have this name.

    Raises
    ------
    UsageError
        The name does not end in ``.png``.
    """
    atomic_write.require_suffix(path, (".png",), "a contact sheet is a PNG")


def _listing(run: Results, name: str, options: FigureOptions) -> MistakeList[Mistake] | None:
    """Return a run's mistakes that have images; None without any, or with too many classes for ranks of mistakes."""
    if run.is_vast(name):
        return None
    for split in SPLITS:
        there = [
            one for one in stored_epochs(run, PREDICTIONS, name, split) if options.epochs is None or one in options.epochs
        ]
        if there:
            found = worst_mistakes(run, MistakeQuery(name, there[-1], split, most=SHOWN))
            if any(row.path for row in found.rows):
                return found
    return None


def _require_images(rows: list[Mistake]) -> None:
    if len(rows) > MOST:
        raise UsageError(f"a contact sheet has room for {MOST} images, found {len(rows)}: ask for fewer with --most")
    if rows and not any(row.path for row in rows):
        raise UsageError(
            "a contact sheet needs images, and these predictions name none: dsi analyze --test with image files (class folders, "
            "Parquet, tars) records where they lie; predictions made elsewhere have a column 'path'"
        )


def _show(axes: Axes, path: str | None, open_image: Opener, style: Style) -> str | None:
    """Draw an image within the unit square, standing on its bottom edge; return the reason if there is none."""
    reason = None if path else "the predictions do not say where this image lies"
    if path:
        try:
            pixels = _pixels(open_image(path))
        except UsageError as error:
            reason = str(error).removeprefix(f"{path}: ")
    if reason is not None:
        axes.fill([0, 1, 1, 0], [0, 0, 1, 1], color="#dcdcdc")
        lines = ["no image", *textwrap.wrap(_printable(reason), LETTERS)]
        axes.text(0.04, 0.04, "\n".join(lines[:10]), size=style.size * 0.7, va="top", parse_math=False, clip_on=True)
        return reason
    height, width = (size / max(pixels.shape[:2]) for size in pixels.shape[:2])
    smoothing = "nearest" if max(pixels.shape[:2]) <= 128 else "antialiased"
    axes.imshow(pixels, cmap="gray", extent=(0, width, 1, 1 - height), aspect="auto", interpolation=smoothing)
    axes.set(xlim=(-0.05, 1.05), ylim=(1 + CAPTION, -0.05))
    return None


def _pixels(image: Image) -> Any:
    """Return an image as RGBA, or as one plane of numbers if it has more than 8 bits; a large one is made smaller."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return np.nan_to_num(np.asarray(image, dtype=np.float64))
    image = image.convert("RGBA")
    image.thumbnail((512, 512))
    return np.asarray(image)


def _caption(row: Mistake, listing: MistakeList[Mistake]) -> list[str]:
    by = (((listing.own or "").upper(), row.rank), ("WordNet", row.wordnet_rank))
    ranks = " · ".join(f"{name} #{rank:g}" for name, rank in by if rank is not None)
    score = "" if row.score is None else f"score {row.score:.3f} · "
    return [_cut(row.truth), _cut(f"→ {row.prediction}"), ranks or "no rank", f"{score}sample {row.sample}"]


def _write(axes: Axes, lines: list[str], size: float) -> None:
    """Write a caption below an image, the first line in bold."""
    for at, text in enumerate(lines):
        weight = "bold" if at == 0 else "normal"
        top = 1.02 + at * CAPTION / (len(lines) + 0.3)
        axes.text(0, top, text, size=size, weight=weight, va="top", parse_math=False, clip_on=True)


def _cut(text: str) -> str:
    text = _printable(text)
    return text if len(text) <= LETTERS else text[: LETTERS - 1].rstrip() + "…"


def _printable(text: str) -> str:
    """Return text in one line, with a mark for each character that no font has."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text[:1000].split()))
