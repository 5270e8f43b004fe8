"""Select a few of many epochs, for tables, figures and pages that cannot show all of them.

``evenly_spaced``          equal steps.
``log_spaced``             most of the early epochs, by logarithmic steps.
``front_loaded``           epochs between which a matrix changes equally, from known changes.
``epochs_of_most_change``  epochs between which matrices change equally, from the stored matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.queries.matrices import MatrixFrames, epoch_matrix
from dsi_cli.store.results import Results

Item = TypeVar("Item")

MAX_COLUMNS = 6  # default number of epochs that a table shows as columns
MAX_COMPARED_EPOCHS = 50  # number of epochs whose matrices are compared, which takes a second or two for 1,000 classes


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
    """Return the indices of ``count`` epochs, with the first and the last, between which a matrix changes about equally.

    The widest gap, by the sum of its changes, is split repeatedly where half of it is reached. `changes` holds the change of each
    epoch from the one before.

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
        gaps = [(total[end] - total[start], end - start, start, end) for start, end in pairwise(kept)]
        _, _, start, end = max(gap for gap in gaps if gap[1] > 1)
        middle = (total[start] + total[end]) / 2
        kept.append(min(range(start + 1, end), key=lambda index: abs(total[index] - middle)))
        kept.sort()
    return kept


def epochs_of_most_change(results: Results, frames: Sequence[MatrixFrames], count: int) -> list[int]:
    """Return up to ``count`` epochs, with the first and the last, between which matrices change about equally.

    The change between two epochs is the root mean square difference of their off-diagonal values. The changes of a run
    are divided by their sum and averaged over runs, which have the same epochs. At most two matrices are in memory.
    """
    epochs = evenly_spaced(frames[0].epochs, max(MAX_COMPARED_EPOCHS, count))
    if count < 2 or len(epochs) <= count:
        return epochs[-count:]
    changes = np.mean([_relative_changes(results, matrices, epochs) for matrices in frames], axis=0)
    return [epochs[index] for index in front_loaded(changes.tolist(), count)]


def _relative_changes(results: Results, frames: MatrixFrames, epochs: Sequence[int]) -> NDArray[np.float64]:
    """Return the change of each epoch from the one before, relative to the sum of all changes."""
    changes, before = [0.0], epoch_matrix(results, frames, epochs[0])
    for epoch in epochs[1:]:
        after = epoch_matrix(results, frames, epoch)
        changes.append(float(np.sqrt(np.nanmean(np.square(after - before, dtype=np.float64)))) if len(after) > 1 else 0.0)
        before = after
    return np.array(changes) / (sum(changes) or 1.0)
