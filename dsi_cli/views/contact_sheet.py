"""The images of a listing's mistakes on one sheet, each with what it is, what it was taken for, ranks and score.

A tiny image is enlarged by a whole number, pixel by pixel; a large one is scaled down; both keep their aspect. All that is said is
said in black and grey. An image that cannot be opened is a grey tile with the reason.
"""

from __future__ import annotations

import io
import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dsi_cli.errors import UsageError
from dsi_cli.store import whole
from dsi_cli.views.mistakes import Listing, Mistake

Opener = Callable[[str], Image.Image]
Place = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""
MOST = 200
"""Images on a sheet."""
BOX = 224
"""Pixels: images of 28, 32, 56, 112 and 224 fill it exactly."""
GAP, MARGIN, LINE = 22, 28, 22
CAPTION = 4 * LINE + 14
"""Below a box: four lines, and what sets them apart from the next row."""
PAPER, INK, FAINT, FRAME, BLANK = "white", "#111111", "#555555", "#b0b0b0", "#dcdcdc"


@dataclass(frozen=True, eq=False)
class Sheet:
    """A sheet that was drawn."""

    image: Image.Image
    places: list[Place]
    """Where each mistake's image is."""
    unopened: dict[int, str]
    """Which of them could not be opened, and why."""


class _Fonts(NamedTuple):
    title: ImageFont.FreeTypeFont
    bold: ImageFont.FreeTypeFont
    plain: ImageFont.FreeTypeFont
    small: ImageFont.FreeTypeFont


class _Line(NamedTuple):
    text: str
    font: ImageFont.FreeTypeFont
    ink: str


def require_png(path: Path) -> None:
    """Make sure that a sheet can have this name.

    Raises
    ------
    UsageError
        It does not end in ``.png``.
    """
    whole.require_suffix(path, (".png",), "a contact sheet is a PNG")


def draw(listing: Listing[Mistake], open_image: Opener) -> Sheet:
    """Return the sheet of a listing, in its order, row by row.

    Parameters
    ----------
    open_image
        From a mistake's path to its image, of any mode; a ``UsageError`` of it is the reason on a grey tile.

    Raises
    ------
    UsageError
        The listing has more than `MOST` rows, or has rows and none with a path.
    """
    _require_images(listing.rows)
    fonts = _fonts()
    columns = min(max(min(len(listing.rows), 5), math.ceil(math.sqrt(len(listing.rows))), 1), 8)
    width = max(columns, 3) * (BOX + GAP) - GAP
    heading = _heading(listing, fonts, width)
    top, tall = MARGIN + len(heading) * LINE + GAP, BOX + CAPTION + GAP
    height = top + math.ceil(len(listing.rows) / columns) * tall
    image = Image.new("RGB", (width + 2 * MARGIN, height + MARGIN - GAP), PAPER)
    _write(image, (MARGIN, MARGIN), heading)
    places, unopened = [], {}
    for at, row in enumerate(listing.rows):
        picture = _opened(row.path, open_image)
        if isinstance(picture, str):
            unopened[at] = picture
            picture = _blank(picture, fonts)
        corner = MARGIN + at % columns * (BOX + GAP), top + at // columns * tall
        places.append(_tile(image, corner, picture, _caption(row, listing, fonts)))
    return Sheet(image, places, unopened)


def save(sheet: Sheet, path: Path) -> None:
    """Write a sheet in one step; one that is there is replaced.

    Raises
    ------
    OutputError
        The place may not be written, or the disk is full.
    """
    buffer = io.BytesIO()
    sheet.image.save(buffer, "png", optimize=True)
    whole.write(path, buffer.getbuffer(), make_folder=False, option="--sheet")


def _require_images(rows: list[Mistake]) -> None:
    if len(rows) > MOST:
        raise UsageError(f"a contact sheet has room for {MOST} images, found {len(rows)}: ask for fewer with --most")
    if rows and not any(row.path for row in rows):
        raise UsageError(
            "a contact sheet needs images, and these predictions name none: dsi analyze --test with image files (class folders, "
            "Parquet, tars) records where they lie; predictions made elsewhere have a column 'path'"
        )


def _fonts() -> _Fonts:
    """Return the fonts, DejaVu Sans out of matplotlib: it has Greek, Cyrillic and accents, and is there on every machine."""
    import matplotlib as mpl

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    plain, bold = folder / "DejaVuSans.ttf", folder / "DejaVuSans-Bold.ttf"
    sizes = ((bold, 18), (bold, 16), (plain, 16), (plain, 13))
    return _Fonts(*(ImageFont.truetype(font, size, layout_engine=ImageFont.Layout.BASIC) for font, size in sizes))


def _heading(listing: Listing[Mistake], fonts: _Fonts, width: int) -> list[_Line]:
    key = f"Bold: the truth; →: the prediction; #: its rank. {listing.legend[0].upper()}{listing.legend[1:]}."
    lines = [_Line(text, fonts.title, INK) for text in _wrapped(listing.title, fonts.title, width, 2)]
    return lines + [_Line(text, fonts.small, FAINT) for text in _wrapped(key, fonts.small, width, 3)]


def _caption(row: Mistake, listing: Listing[Mistake], fonts: _Fonts) -> list[_Line]:
    by = (((listing.own or "").upper(), row.rank), ("WordNet", row.wordnet_rank))
    ranks = " · ".join(f"{name} #{rank:g}" for name, rank in by if rank is not None)
    score = "" if row.score is None else f"score {row.score:.3f} · "
    return [
        _Line(_cut(row.truth, fonts.bold, BOX), fonts.bold, INK),
        _Line(_cut(f"→ {row.prediction}", fonts.plain, BOX), fonts.plain, INK),
        _Line(_cut(ranks or "no rank", fonts.small, BOX), fonts.small, INK),
        _Line(_cut(f"{score}sample {row.sample}", fonts.small, BOX), fonts.small, FAINT),
    ]


def _tile(image: Image.Image, corner: tuple[int, int], picture: Image.Image, caption: list[_Line]) -> Place:
    """Draw a picture, standing on its caption, and return where it is."""
    left, top = corner[0], corner[1] + BOX - picture.height
    place = (left, top, left + picture.width, top + picture.height)
    image.paste(picture, place)
    ImageDraw.Draw(image).rectangle((left - 1, top - 1, place[2], place[3]), outline=FRAME)
    _write(image, (corner[0], corner[1] + BOX + 6), caption)
    return place


def _write(image: Image.Image, corner: tuple[int, int], lines: list[_Line]) -> None:
    pen = ImageDraw.Draw(image)
    for at, line in enumerate(lines):
        pen.text((corner[0], corner[1] + (at + 0.5) * LINE), line.text, line.ink, line.font, anchor="lm")


def _opened(path: str | None, open_image: Opener) -> Image.Image | str:
    """Return the image of a path, ready to be pasted, or why there is none."""
    if path is None:
        return "the predictions do not say where this image lies"
    try:
        return _scaled(_coloured(open_image(path)))
    except UsageError as error:
        return str(error).removeprefix(f"{path}: ")


def _coloured(image: Image.Image) -> Image.Image:
    """Return an image as RGB: transparent parts on the sheet's paper, more than 8 bits between their darkest and brightest."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        return Image.fromarray(((values - values.min()) / (np.ptp(values) or 1) * 255).astype(np.uint8)).convert("RGB")
    if "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa", "RGBA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, PAPER), image)
    return image.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Return an image that fits the box."""
    factor = BOX / max(image.size)
    if factor >= 1:
        return image.resize((image.width * int(factor), image.height * int(factor)), Image.Resampling.NEAREST)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _blank(reason: str, fonts: _Fonts) -> Image.Image:
    tile = Image.new("RGB", (BOX, BOX), BLANK)
    lines = ["no image", *_wrapped(reason, fonts.small, BOX - 20, BOX // LINE - 2)]
    _write(tile, (10, 6), [_Line(text, fonts.small, INK) for text in lines])
    return tile


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int, most: int) -> list[str]:
    """Return text in at most so many lines; a word that is too long is broken, what is left is cut."""
    lines: list[str] = []
    rest = _printable(text)
    while len(lines) < most - 1 and (fits := _fitting(rest, font, width)) < len(rest):
        end = max(rest.rfind(" ", 0, fits + 1), 0) or fits
        lines.append(rest[:end])
        rest = rest[end:].strip()
    return [*lines, _cut(rest, font, width)]


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Return text on one line, its end replaced by an ellipsis where it is too long."""
    text = _printable(text)
    if _fitting(text, font, width) == len(text):
        return text
    return text[: _fitting(text, font, width - font.getlength("…"))].rstrip() + "…"


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: float) -> int:
    """Return how many characters of a text are no wider than that."""
    return bisect_right(range(1, len(text) + 1), width, key=lambda count: font.getlength(text[:count]))


def _printable(text: str) -> str:
    """Return text in one line, with a mark for each character that no font has."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text[:1000].split()))
