"""Reliability of a CCSM: how well the mistakes of one half of the samples foretell those of the other **[ours]**.

As mistakes vanish a CCSM gets noisier, and a falling SAI with it may be noise alone. The samples of each class are dealt at
random into two halves; the Pearson correlation of the off-diagonal values of the halves' CCSMs, averaged over seeded deals
**[choice]**, becomes by Spearman and Brown's formula ``2 r / (1 + r)`` the reliability of the whole. A correlation with the
CCSM over the square root of it is what a noiseless CCSM would give (Spearman 1904, the correction for attenuation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import measures

DEALS = 20


@dataclass(frozen=True)
class Reliability:
    """The reliability of one CCSM; None where it does not exist, with the reason."""

    value: float | None = None
    """At most 1; near or below 0 where the mistakes of the two halves have nothing in common."""
    classes_used: int = 0
    samples_used: int = 0
    reason: str | None = None


def reliability(counts: NDArray[np.integer[Any]], deals: int = DEALS, seed: int = 0) -> Reliability:
    """Return the split-half reliability of the CCSM of confusion counts, in [-1, 1] but for very unlike halves.

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth. Classes with fewer than two samples have no halves and do not take part.
    deals : int
        How often the samples are dealt into halves.
    seed : int
        Of the deals.

    Raises
    ------
    UsageError
        The counts are no square matrix, or there is no deal.

    Examples
    --------
    >>> counts = np.array([[50, 40, 0], [40, 50, 0], [0, 10, 80]])
    >>> round(reliability(counts).value, 1)
    1.0
    """
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or deals < 1:
        raise UsageError(f"a reliability needs square counts and a deal; these have shape {counts.shape}, {deals} deals")
    kept = np.flatnonzero(counts.sum(axis=1) >= 2)
    empty = Reliability(None, len(kept), int(counts[np.ix_(kept, kept)].sum()))
    if len(kept) < 3:
        return replace(empty, reason=f"{len(kept)} classes with two samples or more: halves need three")
    rows = np.asarray(counts[kept], dtype=np.int64)
    found = [_correlation(a, b, kept) for a, b in _dealt(rows, deals, np.random.default_rng(seed))]
    known = [r for r in found if r is not None]
    if not known:
        return replace(empty, reason="too few mistakes: in every deal a half has none")
    r = float(np.mean(known))
    if r <= -1.0 + 1e-12:
        return replace(empty, reason="the halves contradict each other")
    return replace(empty, value=2.0 * r / (1.0 + r))


Halves = tuple[NDArray[np.int64], NDArray[np.int64]]


def _dealt(rows: NDArray[np.int64], deals: int, rng: np.random.Generator) -> Iterator[Halves]:
    """Yield the counts of the two halves of each deal: the samples of each row shuffled, dealt in turn."""
    cells = np.repeat(np.arange(rows.size), rows.ravel())
    of_row = cells // rows.shape[1]
    begins = np.concatenate([[0], np.cumsum(rows.sum(axis=1))])[:-1]
    is_first = (np.arange(len(cells)) - begins[of_row]) % 2 == 0
    for _ in range(deals):
        order = np.lexsort((rng.random(len(cells)), of_row))
        first = np.bincount(cells[order[is_first]], minlength=rows.size).reshape(rows.shape)
        yield first, rows - first


def _correlation(first: NDArray[np.int64], second: NDArray[np.int64], kept: NDArray[np.intp]) -> float | None:
    """Return the correlation of the halves' shares among the kept classes, None where one is constant."""
    a, b = (measures.off_diagonal((half / half.sum(axis=1, keepdims=True))[:, kept]).ravel() for half in (first, second))
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return None
    return float(np.corrcoef(a, b)[0, 1])
