"""The classes that lie nearest to a class, and the closest pairs of all.

Neighbours stand in order of falling similarity in the class's row of a CSM, ties in order of class index: as in the SoCSM. Beside
each stands what WordNet says of the same two classes, so that one sees whether a neighbour is a semantic one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, expected
from dsi_cli.metrics.measures import mid_ranks
from dsi_cli.queries.class_distance import Values, number, ranked
from dsi_cli.queries.class_names import class_index_by_name, class_names
from dsi_cli.similarity import MAX_DENSE_CLASSES
from dsi_cli.store import layout
from dsi_cli.store.results import KINDS, brief_epochs

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

SPLIT_KINDS = ("ccsm", "tncsm")
"""Those that have a split."""
SPLITS = ("test", "train")


@dataclass(frozen=True)
class NeighborQuery:
    """Which neighbours are asked for."""

    kind: str = "ncsm"
    epoch: int | None = None
    """The trainer's own number; None for the last that has the matrix."""
    split: str | None = None
    """Of the CCSM or TNCSM; None for test where there is that, else train."""
    run: str | None = None
    """None where there is one."""
    most: int = 10


@dataclass(frozen=True)
class Neighbor:
    """One neighbour of a class; None where WordNet does not know one of the two."""

    place: int
    """From 1, the nearest; ties in order of class index."""
    name: str
    class_index: int
    similarity: float
    wordnet_similarity: float | None
    wordnet_rank: float | None
    """Among the class's neighbours by WordNet, from 1, ties at their mid-rank."""


@dataclass(frozen=True)
class ClassPair:
    """Two classes, the one of lower index first."""

    place: int
    first: str
    second: str
    first_index: int
    second_index: int
    similarity: float
    """The mean of the two directions where the matrix is not symmetric."""
    wordnet_similarity: float | None
    wordnet_rank: float | None
    """Among all pairs by WordNet, from 1, ties at their mid-rank."""


@dataclass(frozen=True)
class NeighborList:
    """The nearest of a class, or the closest pairs."""

    asked: NeighborQuery
    """With run, epoch and split filled in."""
    of: str | None
    """The class; None for pairs."""
    found: int
    """How many neighbours, or pairs, there are."""
    wordnet_furthest: int | None
    """How many of them WordNet knows: the last rank."""
    symmetric: bool
    rows: list[Neighbor] | list[ClassPair]
    vast: bool = False
    """Whether there are more classes than a matrix is stored of, so that WordNet's is not there to be shown beside."""

    @property
    def title(self) -> str:
        """One line that says what these are."""
        what = "closest pairs" if self.of is None else f"classes nearest to {self.of}"
        return f"{place_of(self.asked)}: {len(self.rows):,} of {self.found:,} {what}"

    @property
    def legend(self) -> str | None:
        """One line that says what the numbers mean."""
        parts = []
        if self.of is None and not self.symmetric:
            parts.append("the similarity of a pair is the mean of its two directions")
        if self.wordnet_furthest:
            parts.append(f"WordNet ranks from 1, the most similar, to {self.wordnet_furthest:,}")
        if self.vast:
            parts.append(f"of more than {MAX_DENSE_CLASSES:,} classes WordNet's similarities are not shown beside")
        return "; ".join(parts) or None


def nearest(run: Results, of: str, query: NeighborQuery | None = None) -> NeighborList:
    """Return the classes nearest to a class.

    Raises
    ------
    UsageError
        There is no such run, matrix, epoch or class; the message says what there is.
    """
    query = fill_defaults(run, query or NeighborQuery())
    names = class_names(run, query.run)
    index = class_index_by_name(of, names)
    similar = row(run, query, index)
    order = order_of(similar, index)
    wordnet, rank, furthest = wordnet_row(run, query, index)
    rows = [
        Neighbor(place, names[j], j, float(similar[j]), number(wordnet[j]), number(rank[j]))
        for place, j in enumerate(order[: query.most].tolist(), start=1)
    ]
    return NeighborList(query, names[index], len(order), furthest, True, rows, run.is_vast(query.run))


def closest_pairs(run: Results, query: NeighborQuery | None = None) -> NeighborList:
    """Return the closest pairs of classes, each once, by falling similarity, then by class index.

    The similarity of a pair is the mean of its two directions where the matrix is not symmetric (CCSM). Errors as for `nearest`.
    """
    query = fill_defaults(run, query or NeighborQuery())
    if run.is_vast(query.run):
        return _of_nearest(run, query)
    names, csm = class_names(run, query.run), matrix(run, query)
    first, second = np.triu_indices(len(csm), 1)
    similarity = (csm[first, second] + csm[second, first]) / 2
    wordnet = _wordnet(run, query)
    semantic = np.full(len(first), np.nan) if wordnet is None else wordnet[first, second]
    rank, furthest = _ranks(semantic)
    known = int((~np.isnan(similarity)).sum())
    order = np.lexsort((second, first, np.where(np.isnan(similarity), np.inf, -similarity)))[: min(query.most, known)]
    rows = [
        ClassPair(
            place=place,
            first=names[first[at]],
            second=names[second[at]],
            first_index=int(first[at]),
            second_index=int(second[at]),
            similarity=float(similarity[at]),
            wordnet_similarity=number(semantic[at]),
            wordnet_rank=number(rank[at]),
        )
        for place, at in enumerate(order.tolist(), start=1)
    ]
    return NeighborList(query, None, known, furthest, _is_symmetric(csm), rows)


def _of_nearest(run: Results, query: NeighborQuery) -> NeighborList:
    """Return the closest pairs out of the nearest classes of each: two classes of the ``k`` closest pairs are among them."""
    names, near = class_names(run, query.run), run.neighbors(query.kind, query.epoch, query.run)
    listed = len(near) // len(names)
    if query.most > listed:
        raise UsageError(
            f"of {len(names):,} classes the {listed} nearest of each are stored: ask for {listed} pairs or fewer"
        )
    ends = np.sort(near[["class_index", "neighbor"]].to_numpy(), axis=1)
    pairs, at = np.unique(ends, axis=0, return_index=True)
    similarity = near["similarity"].to_numpy()[at]
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -similarity))[: query.most]
    rows = [
        ClassPair(place, names[i], names[j], int(i), int(j), float(similarity[one]), None, None)
        for place, (one, (i, j)) in enumerate(zip(order.tolist(), pairs[order], strict=True), start=1)
    ]
    return NeighborList(query, None, len(names) * (len(names) - 1) // 2, None, True, rows, True)


def fill_defaults(run: Results, query: NeighborQuery) -> NeighborQuery:
    """Return what is asked for with run, split and epoch filled in; errors as for `nearest`."""
    if query.kind not in KINDS:
        raise UsageError(f"no kind {query.kind!r} of matrix: {expected(query.kind, KINDS)}")
    run.epochs(query.run)  # says so where there is no such run
    query = replace(query, run=query.run if query.run is not None else run.names[0])
    query = _with_split(run, query)
    if query.kind == "scsm":
        if query.epoch is not None:
            raise UsageError("WordNet's matrix (scsm) is the same at every epoch: leave out the epoch")
        return query
    known = epochs_of(run, query)
    if not known:
        raise UsageError(_none(run, query))
    if query.epoch is not None and query.epoch not in known:
        raise UsageError(f"no {_kind(query)} of epoch {query.epoch} in run {query.run!r}: there are {brief_epochs(known)}")
    if not run.has_epochs(query.run):
        return replace(query, epoch=None)
    return replace(query, epoch=known[-1] if query.epoch is None else query.epoch)


def epochs_of(run: Results, query: NeighborQuery) -> list[int]:
    """Return the epochs of a run that have a kind of matrix."""
    assert query.run is not None
    places = [layout.csm_path(run.path, query.run, query.kind, query.split, 0)]
    places += [layout.neighbors_path(run.path, query.run, query.kind, 0)] if query.split is None else []
    files = (path for place in places for path in place.parent.glob("*.parquet"))
    return sorted(int(path.stem) for path in files if path.stem.isdecimal())


def _with_split(run: Results, query: NeighborQuery) -> NeighborQuery:
    if query.split is not None and query.split not in SPLITS:
        raise UsageError(f"no split {query.split!r}: {expected(query.split, SPLITS)}")
    if query.kind not in SPLIT_KINDS:
        if query.split is not None:
            raise UsageError(f"a matrix of kind {query.kind} belongs to no split: leave out the split {query.split!r}")
        return query
    there = [split for split in SPLITS if epochs_of(run, replace(query, split=split))]
    return replace(query, split=query.split or next(iter(there), SPLITS[0]))


def _none(run: Results, query: NeighborQuery) -> str:
    """Return what to do where a run has no matrix of a kind."""
    places = (
        layout.csm_path(run.path, query.run or "", "", None, 0),
        layout.neighbors_path(run.path, query.run or "", "", 0),
    )
    there = sorted({path.name for place in places for path in place.parent.glob("*/")})
    made = {"ncsm_centred": "--centred", "ccsm": "--test or --predictions", "tncsm": "--test and --templates"}
    hint = f"; dsi analyze makes it with {made[query.kind]}" if query.kind in made else ""
    if run.is_vast(query.run) and query.split is not None:
        hint = f"; of more than {MAX_DENSE_CLASSES:,} classes dsi analyze makes none"
    return f"no {_kind(query)} in run {query.run!r}: there are {', '.join(there) or 'no matrices'}{hint}"


def matrix(run: Results, query: NeighborQuery) -> Values:
    """Return the matrix that is asked for, settled."""
    return run.csm(query.kind, query.epoch, query.split, query.run).to_numpy(dtype=np.float64)


def row(run: Results, query: NeighborQuery, index: int) -> Values:
    """Return the row of a class in the matrix that is asked for, settled."""
    values: Values = run.csm(query.kind, query.epoch, query.split, query.run, rows=[index]).to_numpy(dtype=np.float64)[0]
    return values


def _wordnet(run: Results, query: NeighborQuery) -> Values | None:
    try:
        return run.csm("scsm", None, None, query.run).to_numpy(dtype=np.float64)
    except UsageError:
        return None  # no label was found in WordNet, or there are none


def wordnet_row(run: Results, query: NeighborQuery, index: int) -> tuple[Values, Values, int | None]:
    """Return a class's WordNet similarities, their ranks, and the furthest rank."""
    wordnet = _wordnet(run, query)
    if wordnet is None:
        nothing = np.full(len(class_names(run, query.run)), np.nan)
        return nothing, nothing, None
    rank, furthest = ranked(wordnet)
    return wordnet[index], rank[index], furthest


def order_of(row: Values, index: int) -> NDArray[np.intp]:
    """Return the other classes by falling similarity, ties in order of class index; those that a matrix lacks left out."""
    order: NDArray[np.intp] = np.argsort(np.where(np.isnan(row), np.inf, -row), kind="stable")
    others: NDArray[np.intp] = order[(order != index) & ~np.isnan(row[order])]
    return others


def _ranks(values: Values) -> tuple[Values, int | None]:
    """Return the ranks of values from 1, the highest, ties at their mid-rank; NaN for NaN; and how many are known."""
    known = ~np.isnan(values)
    ranks = np.full(values.shape, np.nan)
    ranks[known] = mid_ranks(-values[known])
    return ranks, int(known.sum()) or None


def _is_symmetric(csm: Values) -> bool:
    return bool(np.array_equal(csm, csm.T, equal_nan=True))


def place_of(query: NeighborQuery) -> str:
    """Return the run, matrix and epoch that was asked for, as a title says it."""
    return f"{query.run}, {_kind(query)}" + ("" if query.epoch is None else f", epoch {query.epoch}")


def _kind(query: NeighborQuery) -> str:
    return query.kind.upper().replace("_", " ") + (f" {query.split}" if query.split else "")
