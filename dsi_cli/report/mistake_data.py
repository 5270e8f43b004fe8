"""The most confused pairs and the worst mistakes of a run's last predictions, with thumbnails of images that can be opened."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from contextlib import suppress
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
        # Find the last epoch with a mistake.
        curves = results.curves
        rows = curves[(curves["run"] == run) & (curves["metric"] == "mistakes") & (curves["split"] == split)]
        wrong = results.fill_missing_epochs(rows).loc[rows["value"] > 0, "epoch"]
        epoch = int(wrong.max()) if len(wrong) else None
        try:
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
            "mistakes": None,
        }
        with suppress(UsageError):  # the run may have confusion counts, but no predictions per sample
            samples = worst_mistakes(results, MistakeQuery(run, epoch, split, most=MAX_MISTAKES))
            images = [asdict(row) | {"image": _data_url(row.path, open_image)} for row in samples.rows]
            by_split[split]["mistakes"] = {"epoch": samples.query.epoch, "found": samples.found, "rows": images}
    return by_split


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
