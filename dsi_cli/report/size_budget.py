"""The number, epochs and precision of the complete matrices that fit into the size of a page.

All runs share `MAX_BYTES`. Runs are served in the order of their need, smallest first. Each run gets an equal part of the bytes
that remain, so that a small run leaves its unused part to larger runs. A run with many classes keeps at most
`MAX_COMPLETE_EPOCHS` complete epochs, because the page should open without delay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dsi_cli.report.matrix_codec import LEVELS

MAX_BYTES = 21_000_000
"""Maximum size of all packed matrices as text: 4 MB less than the 25 MB of a page."""
MANY_CLASSES = 256
MAX_COMPLETE_EPOCHS = 20
"""Maximum number of complete epochs of a run with more than `MANY_CLASSES` classes."""


class BudgetNeed(NamedTuple):
    """The sizes of a run's data."""

    epochs: int
    classes: int
    cost: Mapping[int, float]
    """Bytes of all complete matrices of an epoch, for each of `LEVELS`."""
    block_cost: float
    """Bytes of the block means of an epoch."""
    fixed: float
    """Bytes that the run needs in any case."""


class BudgetShare(NamedTuple):
    """The number of complete epochs of a run, and the number of levels of their scale."""

    complete: int
    levels: int


def shares(needs: Sequence[BudgetNeed], total: int = MAX_BYTES) -> list[BudgetShare]:
    """Return the share of each run in the order of ``needs``."""
    by_index: dict[int, BudgetShare] = {}
    remaining = float(total)
    smallest_first = sorted(range(len(needs)), key=lambda index: needs[index].cost[LEVELS[-1]] * needs[index].epochs)
    for done, index in enumerate(smallest_first):
        by_index[index], used = _share(needs[index], remaining / (len(needs) - done))
        remaining -= used
    return [by_index[index] for index in range(len(needs))]


def _share(need: BudgetNeed, limit: float) -> tuple[BudgetShare, float]:
    """Return the share of a run that has at most ``limit`` bytes, and the bytes that it uses."""
    # Keep as many complete epochs as allowed at the finest scale that fits.
    most = need.epochs if need.classes <= MANY_CLASSES else min(MAX_COMPLETE_EPOCHS, need.epochs)
    for levels in LEVELS:
        used = need.fixed + need.cost[levels] * most + need.block_cost * (need.epochs - most)
        if used <= limit:
            return BudgetShare(most, levels), used
    # Otherwise keep as many as fit at the coarsest scale.
    levels = LEVELS[-1]
    spare = limit - need.fixed - need.block_cost * need.epochs
    complete = max(0, min(most, int(spare // max(1.0, need.cost[levels] - need.block_cost))))
    used = need.fixed + need.cost[levels] * complete + need.block_cost * (need.epochs - complete)
    return BudgetShare(complete, levels), used
