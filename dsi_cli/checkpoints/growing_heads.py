"""Recognise one training whose classifier head grows: a class-incremental run with 10, 20, ... classes.

Checkpoints of different widths are otherwise different networks. They are one training only if all of this holds:

- the heads have the same name and the same number of features,
- the number of classes does not fall with the epoch (or the step), and each width belongs to one training,
- the class vectors of the older classes are still recognisable after the head has grown (`has_grown_from`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import deduplication
from dsi_cli.checkpoints.records import Record

ReadHead = Callable[[Record], "NDArray[np.float32] | None"]
"""Returns the weight ``(C, d)`` of a checkpoint's head, or None if it cannot be read."""

MIN_RECOGNISED = 0.8
"""The minimum share of older classes whose new vector is more similar to their own older vector than to all others."""
MIN_STANDARD_DEVIATIONS = 4.0
"""The minimum mean cosine of old and new vectors, in standard deviations of independent directions."""


def has_grown_from(wide: NDArray[np.floating[Any]], narrow: NDArray[np.floating[Any]]) -> bool:
    """Return whether a head contains the classes of a narrower head of the same network as its first rows.

    Both heads, ``(C, d)`` and ``(c, d)``, lose the mean vector of the older classes, because all vectors of a network may share a
    direction. ``c`` is 2 or more, and smaller than ``C``.

    >>> head = np.random.default_rng(0).standard_normal((30, 16))
    >>> has_grown_from(head, head[:10]), has_grown_from(head, head[10:20])
    (True, False)
    """
    count, features = narrow.shape
    directions = []
    for rows in (narrow, wide):
        centred = rows[:count].astype(np.float64)
        centred -= centred.mean(axis=0)
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        directions.append(np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 0))
    old, new = directions
    cosines = new @ old.T
    recognised = float((cosines.argmax(axis=1) == np.arange(count)).mean())
    deviation = 1 / np.sqrt((count - 1) * features)
    return recognised >= MIN_RECOGNISED and bool(cosines.diagonal().mean() >= MIN_STANDARD_DEVIATIONS * deviation)


def join_growing(trainings: Sequence[list[Record]], read_head: ReadHead) -> list[list[Record]]:
    """Return the records of each training, those of a growing head as one training.

    Parameters
    ----------
    trainings : the usable records of each training of a folder, each of one network
    read_head : reads the head of a checkpoint; it is called twice for each step of a head that may have grown
    """
    joined: list[list[Record]] = []
    by_head: dict[tuple[str | None, int | None, str | None], list[list[Record]]] = {}
    for training in trainings:
        first = training[0]
        by_head.setdefault((first.head, first.features, first.weights_used), []).append(training)
    for (head, _, _), parts in by_head.items():
        widths = [part[0].classes or 0 for part in parts]
        moments = _moments([record for part in parts for record in part])
        if head is None or moments is None or len(set(widths)) < len(widths):
            joined += parts
            continue
        parts = [parts[index] for index in np.argsort(widths)]
        joined.append(parts[0])
        for narrow, wide in pairwise(parts):
            last = max(deduplication.originals(narrow), key=lambda record: moments[record.path])
            first = min(deduplication.originals(wide), key=lambda record: moments[record.path])
            old, new = (read_head(last), read_head(first)) if moments[last.path] < moments[first.path] else (None, None)
            if old is not None and new is not None and has_grown_from(new, old):
                joined[-1] = joined[-1] + wide
            else:
                joined.append(wide)
    return joined


def _moments(records: Sequence[Record]) -> dict[str, int] | None:
    """Return the epoch of each checkpoint, or else its step, by path; None if some have neither."""
    dated = deduplication.with_numbers_from_names(records)
    originals = [record for record in dated if not deduplication.is_copy(record)]
    for name in ("epoch", "step"):
        if originals and all(getattr(record, name) is not None for record in originals):
            return {record.path: getattr(record, name) or 0 for record in dated}
    return None
