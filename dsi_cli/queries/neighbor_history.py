"""How a class's neighbours changed over the epochs: how near each was, and when it came and went."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.queries.class_distance import number
from dsi_cli.queries.class_names import class_index_by_name, class_names
from dsi_cli.queries.neighbors import NeighborQuery, epochs_of, fill_defaults, order_of, place_of, row, wordnet_row

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

MOST_EPOCHS = 6
"""That a table shows."""


@dataclass(frozen=True)
class Interval:
    """Epochs in a row at which a class was among the nearest."""

    entered: int
    last: int
    left: int | None
    """The next epoch, at which it no longer was; None where the run ends before."""


@dataclass(frozen=True)
class NeighborTrack:
    """How near one class was over the epochs."""

    name: str
    class_index: int
    places: list[int]
    """At each epoch, from 1."""
    stays: list[Interval]
    wordnet_similarity: float | None
    wordnet_rank: float | None


@dataclass(frozen=True)
class NeighborHistory:
    """A class's neighbours over the epochs: every class that was among the nearest at an epoch, the last epoch's first."""

    asked: NeighborQuery
    """With run and split filled in; the epoch is the last."""
    of: str
    epochs: list[int]
    wordnet_furthest: int | None
    rows: list[NeighborTrack]

    @property
    def title(self) -> str:
        """One line that says what these are."""
        most = self.asked.most
        if self.is_lasting:
            few = "the class nearest" if len(self.rows) == 1 else f"the {len(self.rows):,} classes nearest"
        else:
            few = f"{len(self.rows):,} classes were {'the' if most == 1 else f'among the {most}'} nearest"
        of = f"{place_of(replace(self.asked, epoch=None))}, epochs {self.epochs[0]} to {self.epochs[-1]}"
        return f"{of}: {few} to {self.of}"

    @property
    def is_lasting(self) -> bool:
        """Whether none came or went, as where there are no more classes than were asked for."""
        return all(stay.entered == self.epochs[0] and stay.left is None for row in self.rows for stay in row.stays)

    @property
    def shown(self) -> list[int]:
        """Indices of a few epochs, more of the early ones, in which most changes."""
        return log_spaced(len(self.epochs))


def log_spaced(many: int, most: int = MOST_EPOCHS) -> list[int]:
    """Return places out of ``many``, the first and the last among them, more of the early ones.

    >>> log_spaced(31), log_spaced(3)
    ([0, 1, 3, 7, 15, 30], [0, 1, 2])
    """
    if many <= most:
        return list(range(many))
    steps = np.geomspace(1, many, most).round().astype(int) - 1
    return [int(step) for step in np.unique(steps)]


def over_epochs(run: Results, of: str, query: NeighborQuery | None = None) -> NeighborHistory:
    """Return how a class's neighbours changed: every class that was among the ``most`` nearest at an epoch; errors as `nearest`.

    They stand in the order of the last epoch.
    """
    query = query or NeighborQuery()
    if query.epoch is not None:
        raise UsageError("neighbours over epochs are those of all epochs: leave out the epoch")
    if query.kind == "scsm":
        raise UsageError("WordNet's matrix is the same at every epoch: choose another kind, or leave out the epochs")
    query = fill_defaults(run, query)
    names = class_names(run, query.run)
    index = class_index_by_name(of, names)
    epochs = epochs_of(run, query)
    places = np.full((len(epochs), len(names)), len(names), dtype=np.int64)
    known = np.zeros(places.shape, dtype=np.bool_)
    for at, epoch in enumerate(epochs):
        order = order_of(row(run, replace(query, epoch=epoch), index), index)
        places[at, order] = np.arange(1, len(order) + 1)
        known[at, order] = True
    inside = known & (places <= query.most)
    wordnet, rank, furthest = wordnet_row(run, query, index)
    rows = [
        NeighborTrack(names[j], j, places[:, j].tolist(), _stays(inside[:, j], epochs), number(wordnet[j]), number(rank[j]))
        for j in np.argsort(places[-1], kind="stable").tolist()
        if inside[:, j].any()
    ]
    return NeighborHistory(query, names[index], epochs, furthest, rows)


def _stays(inside: NDArray[np.bool_], epochs: list[int]) -> list[Interval]:
    """Return the stretches of epochs that a class was among the nearest."""
    padded = np.concatenate([[False], inside, [False]])
    begins, ends = (np.flatnonzero(padded[1:] & ~padded[:-1]), np.flatnonzero(padded[:-1] & ~padded[1:]))
    return [
        Interval(epochs[begin], epochs[end - 1], epochs[end] if end < len(epochs) else None)
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
    ]
