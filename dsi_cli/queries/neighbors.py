"""The classes nearest to a class at one epoch or over all epochs, and the closest pairs
of classes.

Neighbours are sorted by falling similarity in the class's row of a CSM, with ties in
order of class index, as in the SoCSM. Each has the WordNet similarity of the same two
classes, which shows if the neighbour is related semantically.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, expected, require_choice
from dsi_cli.metrics.measures import mid_ranks
from dsi_cli.queries.matrices import (
    Ranks,
    is_surprise,
    matrix_or_none,
    none_if_nan,
    ranks_among_known,
    reference_title,
)
from dsi_cli.queries.run_classes import class_index_by_name, class_names
from dsi_cli.similarity import MAX_DENSE_CLASSES
from dsi_cli.store import layout
from dsi_cli.store.results import Results, brief_epochs
from dsi_cli.store.schema import MATRIX_KINDS, SPLIT_KINDS, SPLITS


@dataclass(frozen=True)
class NeighborQuery:
    """The options of a list of neighbours."""

    kind: str = "ncsm"
    epoch: int | None = (
        None  # the trainer's epoch number; the last epoch with such a matrix if None
    )
    split: str | None = (
        # the split of a CCSM or TNCSM; test, or train without a test split, if None
        None
    )
    run: str | None = (
        None  # the name of the run; optional if the results folder has one run
    )
    most: int = 10  # the maximum number of rows


@dataclass(frozen=True)
class Neighbor:
    """One neighbour of a class; WordNet values are None if one of the two classes has
    no synset.
    """

    place: int  # the position in the list, from 1; ties are in order of class index
    name: str
    class_index: int
    similarity: float
    wordnet_similarity: float | None
    # the rank by WordNet similarity, from 1; ties have their mid-rank
    wordnet_rank: float | None
    surprise: bool = False
    """True if the two classes are near by one similarity and far by WordNet
    (`dsi_cli.queries.matrices.is_surprise`).
    """


@dataclass(frozen=True)
class ClassPair:
    """Two classes; the first has the lower index."""

    place: int
    first: str
    second: str
    first_index: int
    second_index: int
    similarity: (
        float  # the similarity; the mean of both directions for an asymmetric matrix
    )
    wordnet_similarity: float | None
    # the rank among all pairs by WordNet similarity, from 1; ties have their mid-rank
    wordnet_rank: float | None
    surprise: bool = False


@dataclass(frozen=True)
class NeighborList:
    """The nearest neighbours of a class, or the closest pairs."""

    query: NeighborQuery  # the query with run, epoch and split filled in
    of: str | None  # the name of the class; None for pairs
    found: int  # the number of neighbours, or pairs, that exist
    # the largest WordNet rank, which is the number of them with a WordNet similarity
    wordnet_furthest: int | None
    symmetric: bool
    rows: list[Neighbor] | list[ClassPair]
    # True if whole matrices are too large to store, so that WordNet similarities are
    # missing
    vast: bool = False
    reference: str = (
        "WordNet"  # the name of the matrix of the WordNet values for readers
    )

    @property
    def title(self) -> str:
        """The title of the list, in one line."""
        if self.of is None:
            what = f"the {len(self.rows):,} closest of {self.found:,} pairs"
        else:
            what = (
                f"the {len(self.rows):,} classes nearest to {self.of}, of"
                f" {self.found:,}"
            )
        return f"{matrix_title(self.query)}: {what}"

    @property
    def legend(self) -> str | None:
        """The meaning of the numbers, in one line."""
        parts = []
        if self.of is None and not self.symmetric:
            parts.append("the similarity of a pair is the mean of its two directions")
        if self.wordnet_furthest:
            ranks = f"from 1, the most similar, to {self.wordnet_furthest:,}"
            parts.append(f"{self.reference} ranks {ranks}; ties share their mean rank")
        if self.vast:
            parts.append(
                f"{self.reference} similarities are not available for more than"
                f" {MAX_DENSE_CLASSES:,} classes"
            )
        return "; ".join(parts) or None


@dataclass(frozen=True)
class Interval:
    """Consecutive epochs at which a class was among the nearest."""

    entered: int
    last: int
    # the next epoch, at which it was not among the nearest; None if the run ends before
    left: int | None


@dataclass(frozen=True)
class NeighborTrack:
    """The rank of one class as a neighbour at each epoch."""

    name: str
    class_index: int
    # the rank at each epoch, from 1; None where one of the two classes has no
    # similarity
    places: list[int | None]
    stays: list[Interval]
    wordnet_similarity: float | None
    wordnet_rank: float | None
    # True if the class is near at the last epoch and far in WordNet, or the other way
    # round
    surprise: bool = False


@dataclass(frozen=True)
class NeighborHistory:
    """Every class that was among the nearest at an epoch, in order of its rank at the
    last epoch.
    """

    query: NeighborQuery  # the query with run, split and the last epoch filled in
    of: str  # the name of the class whose neighbours are listed
    epochs: list[int]
    wordnet_furthest: int | None
    rows: list[NeighborTrack]
    reference: str = "WordNet"  # as in `NeighborList`

    @property
    def title(self) -> str:
        """The title of the list, in one line."""
        most, rows = self.query.most, f"{len(self.rows):,}"
        # The same classes may be the nearest at all epochs.
        if any(
            stay.entered != self.epochs[0] or stay.left is not None
            for row in self.rows
            for stay in row.stays
        ):
            neighbors = (
                f"{rows} classes were {'the' if most == 1 else f'among the {most}'}"
                " nearest"
            )
        elif len(self.rows) == 1:
            neighbors = "the class nearest"
        else:
            neighbors = f"the {rows} classes nearest"
        matrix = matrix_title(replace(self.query, epoch=None))
        return (
            f"{matrix}, epochs {self.epochs[0]} to {self.epochs[-1]}: {neighbors} to"
            f" {self.of}"
        )


class WordNetValues(NamedTuple):
    """The WordNet similarities of some classes or pairs and their ranks, NaN where they
    are missing, and the largest rank.
    """

    similarity: NDArray[np.floating]
    rank: Ranks
    furthest: int | None

    def fields(self, index: int, own_rank: float, last: int) -> dict[str, Any]:
        """Return the values of one class or pair by field, and whether it is a surprise
        at a mid-rank of ``last`` in a list.
        """
        similarity, rank = (
            none_if_nan(self.similarity[index]),
            none_if_nan(self.rank[index]),
        )
        surprise = is_surprise(none_if_nan(own_rank), last, rank, self.furthest)
        return {
            "wordnet_similarity": similarity,
            "wordnet_rank": rank,
            "surprise": surprise,
        }


def nearest(
    results: Results, of: str, query: NeighborQuery | None = None
) -> NeighborList:
    """Return the classes nearest to a class.

    Raise `UsageError` if the run, matrix, epoch or class does not exist; the message
    lists those that exist.
    """
    query = _fill_defaults(results, query or NeighborQuery())
    names = class_names(results, query.run)
    index = class_index_by_name(of, names)
    similarity, order = _ordered_row(results, query, index)
    ranks = mid_ranks(-similarity[order])
    wordnet = _wordnet_row(results, query, index)
    rows = [
        Neighbor(
            place,
            names[j],
            j,
            float(similarity[j]),
            **wordnet.fields(j, ranks[place - 1], len(order)),
        )
        for place, j in enumerate(order[: query.most].tolist(), start=1)
    ]
    is_vast, reference = results.is_vast(query.run), reference_title(results, query.run)
    return NeighborList(
        query,
        names[index],
        len(order),
        wordnet.furthest,
        True,
        rows,
        is_vast,
        reference,
    )


def closest_pairs(results: Results, query: NeighborQuery | None = None) -> NeighborList:
    """Return the closest pairs of classes, each once, by falling similarity, then by
    class index.

    The similarity of a pair in an asymmetric matrix (CCSM) is the mean of both
    directions. `nearest` documents the errors.
    """
    query = _fill_defaults(results, query or NeighborQuery())
    if results.is_vast(query.run):
        return _closest_stored_pairs(results, query)
    names = class_names(results, query.run)
    csm = results.csm(query.kind, query.epoch, query.split, query.run).to_numpy(
        dtype=np.float64
    )
    first, second = np.triu_indices(len(csm), 1)
    similarity = (csm[first, second] + csm[second, first]) / 2
    # Rank the pairs by WordNet similarity.
    scsm = matrix_or_none(results, query.run, "scsm")
    semantic = (
        np.full(len(first), np.nan)
        if scsm is None
        else scsm[first, second].astype(np.float64)
    )
    has_wordnet = ~np.isnan(semantic)
    rank = np.full(semantic.shape, np.nan)
    rank[has_wordnet] = mid_ranks(-semantic[has_wordnet])
    wordnet = WordNetValues(semantic, rank, int(has_wordnet.sum()) or None)
    # Sort them by similarity, with NaN last.
    known = int((~np.isnan(similarity)).sum())
    order = np.lexsort((second, first, -similarity))[:known]
    ranks = mid_ranks(-similarity[order])
    rows = []
    for place, index in enumerate(order[: query.most].tolist(), start=1):
        i, j = int(first[index]), int(second[index])
        fields = wordnet.fields(index, ranks[place - 1], known)
        rows.append(
            ClassPair(
                place, names[i], names[j], i, j, float(similarity[index]), **fields
            )
        )
    is_symmetric, reference = (
        bool(np.array_equal(csm, csm.T, equal_nan=True)),
        reference_title(results, query.run),
    )
    return NeighborList(
        query, None, known, wordnet.furthest, is_symmetric, rows, reference=reference
    )


def _closest_stored_pairs(results: Results, query: NeighborQuery) -> NeighborList:
    """Return the closest pairs from the stored ``k`` nearest classes of each class,
    which contain the ``k`` closest pairs.
    """
    names, near = (
        class_names(results, query.run),
        results.neighbors(query.kind, query.epoch, query.run),
    )
    stored = len(near) // len(names)
    if query.most > stored:
        message = (
            f"{len(names):,} classes have only their {stored} nearest classes stored:"
            f" list {stored} pairs or fewer"
        )
        raise UsageError(
            message, code="too-many-pairs", classes=len(names), stored=stored
        )
    rows = []
    for place, ((i, j), similarity) in enumerate(
        zip(*closest_of_stored(near, query.most), strict=True), start=1
    ):
        rows.append(
            ClassPair(
                place, names[i], names[j], int(i), int(j), float(similarity), None, None
            )
        )
    found = len(names) * (len(names) - 1) // 2
    return NeighborList(
        query, None, found, None, True, rows, True, reference_title(results, query.run)
    )


def closest_of_stored(
    near: pd.DataFrame, most: int
) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """Return the closest pairs ``(most, 2)`` among stored neighbours and their
    similarities; ties are in order of class index.
    """
    ends = np.sort(near[["class_index", "neighbor"]].to_numpy(), axis=1)
    pairs, first_rows = np.unique(ends, axis=0, return_index=True)
    similarity = near["similarity"].to_numpy()[first_rows]
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -similarity))[:most]
    return pairs[order], similarity[order]


def neighbor_history(
    results: Results, of: str, query: NeighborQuery | None = None
) -> NeighborHistory:
    """Return every class that was among the ``query.most`` nearest to a class at an
    epoch, in order of the last epoch.

    Raise `UsageError` if the query names an epoch (code ``epoch-not-applicable``) or
    the reference matrix (code ``matrix-without-epochs``); other errors are those of
    `nearest`.
    """
    query = query or NeighborQuery()
    if query.epoch is not None:
        raise UsageError(
            "neighbours over epochs are those of all epochs",
            hint="leave out the epoch",
            code="epoch-not-applicable",
        )
    if query.kind == "scsm":
        message = "the reference matrix is the same at every epoch"
        raise UsageError(
            message,
            hint="choose another kind, or leave out the epochs",
            code="matrix-without-epochs",
        )
    query = _fill_defaults(results, query)
    names = class_names(results, query.run)
    index = class_index_by_name(of, names)
    epochs = stored_epochs(results, query)
    places = np.full((len(epochs), len(names)), len(names), dtype=np.int64)
    is_near = np.zeros(places.shape, dtype=np.bool_)
    for row, epoch in enumerate(epochs):
        similarity, order = _ordered_row(results, replace(query, epoch=epoch), index)
        places[row, order] = np.arange(1, len(order) + 1)
        is_near[row, order[: query.most]] = True
    own_ranks = np.full(len(names), np.nan)
    own_ranks[order] = mid_ranks(-similarity[order])
    wordnet = _wordnet_row(results, query, index)
    rows, following = [], [*epochs, None]
    for j in np.argsort(places[-1], kind="stable").tolist():
        if is_near[:, j].any():
            changes = (
                np.flatnonzero(np.diff(is_near[:, j], prepend=False, append=False))
                .reshape(-1, 2)
                .tolist()
            )
            stays = [
                Interval(epochs[start], epochs[end - 1], following[end])
                for start, end in changes
            ]
            fields = wordnet.fields(j, own_ranks[j], len(order))
            ranks = [
                place if place < len(names) else None for place in places[:, j].tolist()
            ]
            rows.append(NeighborTrack(names[j], j, ranks, stays, **fields))
    return NeighborHistory(
        query,
        names[index],
        epochs,
        wordnet.furthest,
        rows,
        reference_title(results, query.run),
    )


def _fill_defaults(results: Results, query: NeighborQuery) -> NeighborQuery:
    """Return the query with run, split and epoch filled in; `nearest` documents the
    errors.
    """
    if query.kind not in MATRIX_KINDS:
        message = (
            f"no kind {query.kind!r} of matrix: {expected(query.kind, MATRIX_KINDS)}"
        )
        raise UsageError(message, code="unknown-kind", matrix=query.kind)
    name = results.run_name(query.run)
    query = replace(query, run=name)
    # Check the split, or choose the first one that has such a matrix.
    has_splits = query.kind in SPLIT_KINDS
    if query.split is not None:
        require_choice("split", query.split, SPLITS)
        if not has_splits:
            message = f"a matrix of kind {query.kind} belongs to no split"
            raise UsageError(
                message,
                hint=f"leave out the split {query.split!r}",
                code="matrix-without-splits",
                matrix=query.kind,
            )
    elif has_splits:
        stored = [
            name
            for name in SPLITS
            if stored_epochs(results, replace(query, split=name))
        ]
        query = replace(query, split=stored[0] if stored else SPLITS[0])
    # Check the epoch, or choose the last one.
    if query.kind == "scsm":
        if query.epoch is not None:
            message = "the reference matrix (scsm) is the same at every epoch"
            raise UsageError(
                message, hint="leave out the epoch", code="matrix-without-epochs"
            )
        return query
    epochs = stored_epochs(results, query)
    if not epochs:
        raise _missing_matrix_error(results, query, name)
    if query.epoch is not None and query.epoch not in epochs:
        message = (
            f"no {_matrix_name(query)} of epoch {query.epoch} in run {query.run!r}:"
            f" there are {brief_epochs(epochs)}"
        )
        raise UsageError(
            message, code="unknown-epoch", epoch=query.epoch, run=query.run
        )
    if not results.has_epochs(name):
        return replace(query, epoch=None)
    return replace(query, epoch=epochs[-1] if query.epoch is None else query.epoch)


def stored_epochs(results: Results, query: NeighborQuery) -> list[int]:
    """Return the epochs of a run that have a kind of matrix, or the nearest classes in
    its place.
    """
    assert query.run is not None
    epochs = layout.stored_epochs(
        layout.csm_path(results.path, query.run, query.kind, query.split, 0).parent
    )
    if query.split is None:
        epochs += layout.stored_epochs(
            layout.neighbors_path(results.path, query.run, query.kind, 0).parent
        )
    return sorted(epochs)


def _missing_matrix_error(
    results: Results, query: NeighborQuery, run: str
) -> UsageError:
    files = (
        layout.csm_path(results.path, run, "", None, 0),
        layout.neighbors_path(results.path, run, "", 0),
    )
    stored = sorted(
        {folder.name for file in files for folder in file.parent.glob("*/")}
    )
    data = f"--{query.split or SPLITS[0]}"
    options = {
        "ncsm_centred": "--centred",
        "ccsm": f"{data} or --predictions",
        "tncsm": f"{data} and --templates",
    }
    hint = (
        f"; dsi analyze writes it with {options[query.kind]}"
        if query.kind in options
        else ""
    )
    if results.is_vast(run) and query.split is not None:
        hint = f"; dsi analyze writes none for more than {MAX_DENSE_CLASSES:,} classes"
    message = (
        f"no {_matrix_name(query)} in run {run!r}: there are"
        f" {', '.join(stored) or 'no matrices'}{hint}"
    )
    return UsageError(
        message, code="missing-matrix", matrix=query.kind, run=run, stored=tuple(stored)
    )


def _ordered_row(
    results: Results, query: NeighborQuery, index: int
) -> tuple[Ranks, NDArray[np.intp]]:
    """Return a class's similarities, and the other known classes by falling similarity,
    with ties in order of class index.
    """
    row: Ranks = results.csm(
        query.kind, query.epoch, query.split, query.run, rows=[index]
    ).to_numpy(dtype=np.float64)[0]
    order: NDArray[np.intp] = np.argsort(-row, kind="stable")
    return row, order[(order != index) & ~np.isnan(row[order])]


def _wordnet_row(results: Results, query: NeighborQuery, index: int) -> WordNetValues:
    scsm = matrix_or_none(results, query.run, "scsm")
    if (
        scsm is None
    ):  # the labels are missing or not in WordNet, or the matrix is too large to be stored
        missing = np.full(len(class_names(results, query.run)), np.nan)
        return WordNetValues(missing, missing, None)
    rank, furthest = ranks_among_known(scsm)
    return WordNetValues(scsm[index], rank[index], furthest)


def matrix_title(query: NeighborQuery) -> str:
    """Return the run, matrix and epoch of a query for a title."""
    return f"{query.run}, {_matrix_name(query)}" + (
        "" if query.epoch is None else f", epoch {query.epoch}"
    )


def _matrix_name(query: NeighborQuery) -> str:
    return query.kind.upper().replace("_", " ") + (
        f" {query.split}" if query.split else ""
    )
