"""How many matrices a page keeps whole, of which epochs, and how finely: what its size allows.

All runs share `BYTES`. Each gets an equal share of what is left, the one that needs least first, so that small runs leave theirs
to large ones. A run with many classes keeps at most `MOST_WHOLE` epochs whole: the page is to open at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dsi_cli.report.matrix_codec import LEVELS

BYTES = 21_000_000
"""Of packed matrices, as text: 4 MB below the 25 MB that a page may have."""
MANY_CLASSES = 256
MOST_WHOLE = 20
"""Epochs that are kept whole with more classes than that."""


class BudgetNeed(NamedTuple):
    """What a run asks for."""

    epochs: int
    classes: int
    cost: Mapping[int, float]
    """Bytes of all matrices of an epoch, by `LEVELS`."""
    between: float
    """Bytes of an epoch that is not whole."""
    fixed: float
    """Bytes that are there in any case."""


class BudgetShare(NamedTuple):
    """What a run gets."""

    whole: int
    """Epochs."""
    levels: int


def shares(needs: Sequence[BudgetNeed], total: int = BYTES) -> list[BudgetShare]:
    """Return what each run gets, in the order of ``needs``."""
    found: dict[int, BudgetShare] = {}
    left = float(total)
    least_first = sorted(range(len(needs)), key=lambda at: (needs[at].cost[LEVELS[-1]] * needs[at].epochs, at))
    for done, at in enumerate(least_first):
        found[at], spent = _share(needs[at], left / (len(needs) - done))
        left -= spent
    return [found[at] for at in range(len(needs))]


def _share(need: BudgetNeed, room: float) -> tuple[BudgetShare, float]:
    """Return as many whole epochs as there is room for, as finely as that allows; and the bytes that they take."""
    most = need.epochs if need.classes <= MANY_CLASSES else min(MOST_WHOLE, need.epochs)
    for levels in LEVELS:
        spent = need.fixed + need.cost[levels] * most + need.between * (need.epochs - most)
        if spent <= room:
            return BudgetShare(most, levels), spent
    levels = LEVELS[-1]
    spare = room - need.fixed - need.between * need.epochs
    whole = max(0, min(most, int(spare // max(1.0, need.cost[levels] - need.between))))
    return BudgetShare(whole, levels), need.fixed + need.cost[levels] * whole + need.between * (need.epochs - whole)
