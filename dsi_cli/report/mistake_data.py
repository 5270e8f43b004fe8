"""The most confused pairs and the worst mistakes of a run's last predictions, with thumbnails of images that can be opened."""

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

MAX_PAIRS = 30
MAX_MISTAKES = 24
THUMBNAIL_PIXELS = 64
"""Maximum length in pixels of the longer side of a thumbnail."""
Opener = Callable[[str], "Image"]


def mistake_data(results: Results, run: str, open_image: Opener | None) -> dict[str, Any]:
    """Return, for each split with predictions, the confused pairs and the mistakes of the last epoch with a mistake."""
    by_split: dict[str, Any] = {}
    for split in ("test", "train"):
        try:
            epoch = _last_epoch_with_mistake(results, run, split)
            listing = confused_pairs(results, MistakeQuery(run, epoch, split, most=MAX_PAIRS))
        except UsageError:
            continue  # there are no predictions on this split
        epoch = listing.query.epoch
        by_split[split] = {
            "epoch": epoch,
            "own": listing.own,
            "furthest": listing.furthest,
            "wordnet_furthest": listing.wordnet_furthest,
            "found": listing.found,
            "pairs": [asdict(row) for row in listing.rows],
            "mistakes": _mistakes(results, MistakeQuery(run, epoch, split, most=MAX_MISTAKES), open_image),
        }
    return by_split


def _last_epoch_with_mistake(results: Results, run: str, split: str) -> int | None:
    """Return the last epoch with a mistake, or None."""
    curves = results.curves
    rows = curves[(curves["run"] == run) & (curves["metric"] == "mistakes") & (curves["split"] == split)]
    rows = results.fill_missing_epochs(rows)
    wrong = rows.loc[rows["value"] > 0, "epoch"]
    return int(wrong.max()) if len(wrong) else None


def _mistakes(results: Results, query: MistakeQuery, open_image: Opener | None) -> dict[str, Any] | None:
    try:
        listing = worst_mistakes(results, query)
    except UsageError:
        return None  # the run has confusion counts, but no predictions per sample
    rows = [asdict(row) | {"image": _data_url(row.path, open_image)} for row in listing.rows]
    return {"epoch": listing.query.epoch, "found": listing.found, "rows": rows}


def _data_url(path: str | None, open_image: Opener | None) -> str | None:
    """Return a small version of an image as a data URL, or None if it cannot be opened."""
    if path is None or open_image is None:
        return None
    try:
        image = open_image(path)
    except UsageError:
        return None
    small = image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
    small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    buffer = io.BytesIO()
    small.save(buffer, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
