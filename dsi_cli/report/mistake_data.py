"""The most confused pairs and the most telling mistakes of a run's last answers, with the images that open."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dsi_cli.errors import UsageError
from dsi_cli.queries.mistakes import MistakeQuery, confused_pairs, worst_mistakes

if TYPE_CHECKING:
    from PIL.Image import Image

    from dsi_cli.store.results import Results

PAIRS, MISTAKES = 30, 24
THUMBNAIL_PIXELS = 64
"""Pixels of the longer side of an image."""
Opener = Callable[[str], "Image"]


def mistake_data(run: Results, name: str, open_image: Opener | None) -> dict[str, Any]:
    """Return, for each split with answers, the confused pairs and the mistakes of the last epoch with a mistake."""
    found: dict[str, Any] = {}
    for split in ("test", "train"):
        try:
            epoch, is_last = _epoch(run, name, split)
            listing = confused_pairs(run, MistakeQuery(name, epoch, split, most=PAIRS))
        except UsageError:
            continue  # no answers on this split
        found[split] = {
            "epoch": listing.query.epoch,
            "is_last": is_last,
            "own": listing.own,
            "furthest": listing.furthest,
            "wordnet_furthest": listing.wordnet_furthest,
            "found": listing.found,
            "legend": listing.legend,
            "pairs": [asdict(row) for row in listing.rows],
            "mistakes": _mistakes(run, MistakeQuery(name, listing.query.epoch, split, most=MISTAKES), open_image),
        }
    return found


def _epoch(run: Results, name: str, split: str) -> tuple[int | None, bool]:
    """Return the last epoch with a mistake, and whether it is the last with answers; None for the latter where none has one."""
    rows = run.curves[(run.curves["run"] == name) & (run.curves["metric"] == "mistakes") & (run.curves["split"] == split)]
    rows = run.with_places(rows)
    wrong = rows.loc[rows["value"] > 0, "epoch"]
    last = rows.loc[rows["value"].notna(), "epoch"].max()
    return (int(wrong.max()), bool(wrong.max() == last)) if len(wrong) else (None, True)


def _mistakes(run: Results, query: MistakeQuery, open_image: Opener | None) -> dict[str, Any] | None:
    try:
        listing = worst_mistakes(run, query)
    except UsageError:
        return None  # confusion counts alone
    rows = [asdict(row) | {"image": _image(row.path, open_image)} for row in listing.rows]
    return {"epoch": listing.query.epoch, "found": listing.found, "rows": rows}


def _image(path: str | None, open_image: Opener | None) -> str | None:
    """Return an image as a data address, None where there is none that opens."""
    if path is None or open_image is None:
        return None
    try:
        image = open_image(path)
    except UsageError:
        return None
    return thumbnail(image)


def thumbnail(image: Image) -> str:
    """Return a small image as a data address: PNG, its longer side at most `THUMBNAIL_PIXELS` pixels."""
    small = image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
    small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    buffer = io.BytesIO()
    small.save(buffer, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
