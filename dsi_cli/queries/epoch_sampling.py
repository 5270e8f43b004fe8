"""Select a few of many epochs, for tables, figures and pages that cannot show all of
them.

``evenly_spaced``  equal steps.
``log_spaced``     most of the early epochs, by logarithmic steps.
``front_loaded``   epochs between which a matrix changes equally, from known changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

MAX_COLUMNS = 6  # default number of epochs that a table shows as columns


def evenly_spaced(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most ``most`` items in equal steps, with the first and the last.

    >>> evenly_spaced(range(400), 5)
    [0, 100, 200, 299, 399]
    """
    if len(items) <= most:
        return list(items)
    return [items[round(index)] for index in np.linspace(0, len(items) - 1, most)]


def log_spaced(items: Sequence[Item], most: int = MAX_COLUMNS) -> list[Item]:
    """Return at most ``most`` items in logarithmic steps, with the first and the last.

    >>> log_spaced(range(31)), log_spaced(range(3))
    ([0, 1, 3, 7, 15, 30], [0, 1, 2])
    """
    if len(items) <= most:
        return list(items)
    indices = np.geomspace(1, len(items), most).round().astype(int) - 1
    return [items[index] for index in np.unique(indices)]


def front_loaded(changes: Sequence[float], count: int) -> list[int]:
    """Return the indices of ``count`` epochs, with the first and the last, between
    which a matrix changes about equally.

    The widest gap, by the sum of its changes, is split repeatedly where half of it is
    reached. `changes` holds the change of each epoch from the one before.

    >>> front_loaded([0, 5, 5, 1, 1, 1, 1], 4)
    [0, 1, 2, 6]
    """
    last = len(changes) - 1
    if count >= len(changes):
        return list(range(len(changes)))
    if count < 2:
        return [last][:count]
    total = np.concatenate([[0.0], np.cumsum(changes[1:])])
    kept = [0, last]
    while len(kept) < count:
        gaps = [
            (total[end] - total[start], end - start, start, end)
            for start, end in pairwise(kept)
        ]
        _, _, start, end = max(gap for gap in gaps if gap[1] > 1)
        middle = (total[start] + total[end]) / 2
        kept.append(
            min(range(start + 1, end), key=lambda index: abs(total[index] - middle))
        )
        kept.sort()
    return kept
