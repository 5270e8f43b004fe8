"""The neighbours of a class over the epochs: the rank of each class at each epoch, and when it was among the nearest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.queries.class_distance import is_surprise, none_if_nan
from dsi_cli.queries.class_names import class_index_by_name, class_names
from dsi_cli.queries.epoch_sampling import log_spaced
from dsi_cli.queries.neighbors import (
    NeighborQuery,
    fill_defaults,
    matrix_title,
    neighbor_order,
    similarity_row,
    stored_epochs,
    wordnet_row,
)

if TYPE_CHECKING:
    from dsi_cli.store.results import Results


@dataclass(frozen=True)
class Interval:
    """Consecutive epochs at which a class was among the nearest."""

    entered: int
    last: int
    left: int | None
    """The next epoch, at which it was not among the nearest; None if the run ends before."""


@dataclass(frozen=True)
class NeighborTrack:
    """The rank of one class as a neighbour at each epoch."""

    name: str
    class_index: int
    places: list[int]
    """The rank at each epoch, from 1."""
    stays: list[Interval]
    wordnet_similarity: float | None
    wordnet_rank: float | None
    surprise: bool = False
    """True if the class is near at the last epoch and far in WordNet, or the other way round."""


@dataclass(frozen=True)
class NeighborHistory:
    """Every class that was among the nearest at an epoch, in order of its rank at the last epoch."""

    query: NeighborQuery
    """The query with run, split and the last epoch filled in."""
    of: str
    """The name of the class whose neighbours are listed."""
    epochs: list[int]
    wordnet_furthest: int | None
    rows: list[NeighborTrack]

    @property
    def title(self) -> str:
        """The title of the list, in one line."""
        most, rows = self.query.most, f"{len(self.rows):,}"
        if not self.is_lasting:
            neighbors = f"{rows} classes were {'the' if most == 1 else f'among the {most}'} nearest"
        elif len(self.rows) == 1:
            neighbors = "the class nearest"
        else:
            neighbors = f"the {rows} classes nearest"
        matrix = matrix_title(replace(self.query, epoch=None))
        return f"{matrix}, epochs {self.epochs[0]} to {self.epochs[-1]}: {neighbors} to {self.of}"

    @property
    def is_lasting(self) -> bool:
        """True if the same classes were the nearest at all epochs."""
        return all(stay.entered == self.epochs[0] and stay.left is None for row in self.rows for stay in row.stays)

    @property
    def shown(self) -> list[int]:
        """The indices of the epochs that a table shows; most are early, where most changes."""
        return log_spaced(range(len(self.epochs)))


def neighbor_history(run: Results, of: str, query: NeighborQuery | None = None) -> NeighborHistory:
    """Return every class that was among the ``query.most`` nearest to a class at an epoch, in order of the last epoch.

    Raises
    ------
    UsageError
        The query names an epoch (code ``epoch-not-applicable``) or the reference matrix (code ``matrix-without-epochs``). Other
        errors are those of `dsi_cli.queries.neighbors.nearest`.
    """
    query = query or NeighborQuery()
    if query.epoch is not None:
        raise UsageError("neighbours over epochs are those of all epochs: leave out the epoch", code="epoch-not-applicable")
    if query.kind == "scsm":
        raise UsageError(
            "the reference matrix is the same at every epoch: choose another kind, or leave out the epochs",
            code="matrix-without-epochs",
        )
    query = fill_defaults(run, query)
    names = class_names(run, query.run)
    index = class_index_by_name(of, names)
    epochs = stored_epochs(run, query)
    places = np.full((len(epochs), len(names)), len(names), dtype=np.int64)
    known = np.zeros(places.shape, dtype=np.bool_)
    for row, epoch in enumerate(epochs):
        order = neighbor_order(similarity_row(run, replace(query, epoch=epoch), index), index)
        places[row, order] = np.arange(1, len(order) + 1)
        known[row, order] = True
    is_near = known & (places <= query.most)
    wordnet, rank, furthest = wordnet_row(run, query, index)
    rows = [
        NeighborTrack(
            name=names[j],
            class_index=j,
            places=places[:, j].tolist(),
            stays=_intervals(is_near[:, j], epochs),
            wordnet_similarity=none_if_nan(wordnet[j]),
            wordnet_rank=none_if_nan(rank[j]),
            surprise=is_surprise(int(places[-1, j]), len(names) - 1, none_if_nan(rank[j]), furthest),
        )
        for j in np.argsort(places[-1], kind="stable").tolist()
        if is_near[:, j].any()
    ]
    return NeighborHistory(query, names[index], epochs, furthest, rows)


def _intervals(is_near: NDArray[np.bool_], epochs: list[int]) -> list[Interval]:
    """Return the intervals of epochs at which a class was among the nearest."""
    padded = np.concatenate([[False], is_near, [False]])
    starts, ends = np.flatnonzero(padded[1:] & ~padded[:-1]), np.flatnonzero(padded[:-1] & ~padded[1:])
    return [
        Interval(epochs[start], epochs[end - 1], epochs[end] if end < len(epochs) else None)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
