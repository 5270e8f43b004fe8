"""The report's block of suspects: the notable ones with a line of their rank over the
epochs, and a sentence for each kind that has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsi_cli.queries.suspect_texts import (
    NO_SUSPECTS,
    REASON_TO_LOOK,
    by_kind,
    counted,
    not_sought,
    sentence,
    suspects_or_none,
)
from dsi_cli.suspect_kinds import NOTABLE

MAX_OPEN = 5  # suspects that are visible before a click
LINE_WIDTH, LINE_HEIGHT, MARGIN = 120, 28, 3
"""The size of a line of ranks and of the margin around it, in pixels."""
MIN_LAST_RANK = 10  # the rank at the bottom of the lines, or a lower one that occurs


def suspects_block(out: Path, runs: Sequence[str]) -> dict[str, Any] | None:
    """Return the texts of the block of suspects of some runs; None if an older version
    of dsi wrote the results.
    """
    found = suspects_or_none(out)
    if found is None:
        return None
    notable = [row for row in found if row["grade"] in NOTABLE]
    last = max((rank for row in notable for rank in row["epoch_ranks"]), default=0)
    last = max(last, MIN_LAST_RANK)
    entries = [
        {
            "run": runs.index(row["run"]),
            "members": row["members"],
            "classes": row["classes"],
            "facts": ", ".join(filter(None, (_words(row), row["grade"], row["since"]))),
            "evidence": row["evidence"],
            "next_step": row["next_step"],
            "line": rank_line(row["tested_epochs"], row["epoch_ranks"], last),
        }
        for row in notable
    ]
    ordinary = [
        f"{of_kind.kind.question} {sentence(of_kind.ordinary_line)}"
        for of_kind in by_kind(found)
        if not of_kind.notable
    ]
    block: dict[str, Any] = {
        "title": NO_SUSPECTS.capitalize(),
        "entries": entries,
        "parts": [entries[:MAX_OPEN], entries[MAX_OPEN:]],
        "ordinary": ordinary,
        "not_sought": not_sought(out),
    }
    if entries:
        block |= {
            "title": "Look at these classes",
            "reason": REASON_TO_LOOK,
            "link": f"{counted(notable)}, the first: {entries[0]['classes']}",
            "has_lines": any(entry["line"] for entry in entries),
        }
    return block


def _words(row: Mapping[str, Any]) -> str:
    """Return the kind of a suspect in words."""
    return str(row["kind"]).replace("-", " ")


def rank_line(
    epochs: Sequence[int], ranks: Sequence[int], last: int
) -> dict[str, Any] | None:
    """Return the line of a suspect's rank over the tested epochs as an SVG path with
    its texts; None if fewer than two epochs were tested.

    Rank 1 is on top, and ``last`` at the bottom of the logarithmic scale. The line has
    a gap where the suspect is no candidate (rank 0).
    """
    if len(epochs) < 2:
        return None
    span = epochs[-1] - epochs[0]
    path, is_drawing = "", False
    for epoch, rank in zip(epochs, ranks, strict=True):
        if rank == 0:
            is_drawing = False
            continue
        x = MARGIN + (LINE_WIDTH - 2 * MARGIN) * (epoch - epochs[0]) / span
        y = MARGIN + (LINE_HEIGHT - 2 * MARGIN) * math.log(rank) / math.log(last)
        # A line of length 0 shows a point that has no neighbours.
        path += f"{'L' if is_drawing else 'M'}{x:.1f} {y:.1f}h0"
        is_drawing = True
    texts = [
        f"rank {rank} at epoch {epoch}" if rank else f"no candidate at epoch {epoch}"
        for epoch, rank in zip(epochs, ranks, strict=True)
    ]
    return {
        "path": path,
        "size": (LINE_WIDTH, LINE_HEIGHT),
        "ends": f"{texts[0]}, {texts[-1]}",
        "title": ", ".join(texts),
    }
