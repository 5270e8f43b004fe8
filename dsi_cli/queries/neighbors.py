"""The classes nearest to a class at one epoch or over all epochs, and the closest pairs
of classes, as tables.

Neighbours are sorted by falling similarity in the class's row of a CSM, with ties in
order of class index, as in the SoCSM. Each row has the WordNet similarity of the same
two classes and its rank from 1, in which ties share their mid-rank. Both are NaN if one
of the two classes has no synset. ``surprise`` is True if the network finds two classes closer
than WordNet explains (`dsi_cli.queries.matrices.surprising_pairs`).

The ``attrs`` of a table describe it: ``title`` and ``legend`` for readers, the chosen
``run``, ``kind``, ``split``, ``epoch`` and ``most``, the number of neighbours or pairs
that were ``found``, ``vast`` if whole matrices are too large to be stored, the largest
WordNet rank as ``wordnet_furthest``, and the name of the ``reference``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, require_choice
from dsi_cli.metrics.measures import mid_ranks
from dsi_cli.queries.matrices import (
    Ranks,
    matrix_or_none,
    reference_title,
    surprising_pairs,
)
from dsi_cli.queries.run_classes import class_index_by_name, class_names
from dsi_cli.similarity import MAX_DENSE_CLASSES
from dsi_cli.store import layout
from dsi_cli.store.results import Results, brief_epochs
from dsi_cli.store.schema import MATRIX_KINDS, SPLIT_KINDS, SPLITS


class ChosenMatrix(NamedTuple):
    """A matrix of a run; the epoch is None for the reference and for a run without
    epochs.
    """

    run: str
    kind: str
    split: str | None = None
    epoch: int | None = None

    @property
    def name(self) -> str:
        """The kind and the split for readers."""
        kind = self.kind.upper().replace("_", " ")
        return f"{kind} {self.split}" if self.split else kind

    @property
    def title(self) -> str:
        """The run, the matrix and the epoch for a title."""
        title = f"{self.run}, {self.name}"
        return title if self.epoch is None else f"{title}, epoch {self.epoch}"


def nearest(
    results: Results,
    of: str,
    *,
    kind: str = "ncsm",
    epoch: int | None = None,
    split: str | None = None,
    run: str | None = None,
    most: int = 10,
) -> pd.DataFrame:
    """Return the classes nearest to a class: ``place``, ``name``, ``class_index``,
    ``similarity``, ``wordnet_similarity``, ``wordnet_rank``, ``surprise``.

    Raise `UsageError` if the run, matrix, epoch or class does not exist; the message
    lists those that exist.

    Parameters
    ----------
    results : the results folder.
    of : the name of the class.
    kind, split : the matrix; the split of a CCSM or TNCSM is test by default, or train
        without a test split.
    epoch : the trainer's epoch number; the last epoch with such a matrix by default.
    run : the name of the run; optional if the results folder has one run.
    most : the maximum number of rows.
    """
    matrix = _choose_matrix(results, kind, epoch, split, run)
    names = class_names(results, matrix.run)
    index = class_index_by_name(of, names)
    similarity = _row(results, matrix, index)
    order = _falling(similarity)
    shown = order[:most]
    frame = _compared(similarity, _reference_row(results, matrix.run, index), shown)
    frame.insert(0, "place", np.arange(1, len(shown) + 1))
    frame.insert(1, "name", [names[other] for other in shown])
    frame.insert(2, "class_index", shown)
    frame["surprise"] = _surprising_pairs(results, matrix)[index, shown]
    _describe(frame, results, matrix, most, len(order))
    what = f"the {len(shown):,} classes nearest to {names[index]}, of {len(order):,}"
    return _titled(frame, f"{matrix.title}: {what}", of=names[index])


def closest_pairs(
    results: Results,
    *,
    kind: str = "ncsm",
    epoch: int | None = None,
    split: str | None = None,
    run: str | None = None,
    most: int = 10,
) -> pd.DataFrame:
    """Return the closest pairs of classes, each once, by falling similarity, then by
    class index: ``place``, ``first``, ``second``, ``first_index``, ``second_index``,
    ``similarity``, ``wordnet_similarity``, ``wordnet_rank``, ``surprise``.

    The similarity of a pair in an asymmetric matrix (CCSM) is the mean of both
    directions. `nearest` documents the parameters and the errors.
    """
    matrix = _choose_matrix(results, kind, epoch, split, run)
    names = np.array(class_names(results, matrix.run), dtype=object)
    is_symmetric = True
    if results.is_vast(matrix.run):
        first, second, similarity = _stored_pairs(results, matrix, most)
        semantic = np.full(len(first), np.nan)
        found = len(names) * (len(names) - 1) // 2
    else:
        csm = results.csm(kind, matrix.epoch, matrix.split, matrix.run)
        values = csm.to_numpy(dtype=np.float64)
        is_symmetric = bool(np.array_equal(values, values.T, equal_nan=True))
        first, second = np.triu_indices(len(values), 1)
        similarity = (values[first, second] + values[second, first]) / 2
        semantic = np.full(len(first), np.nan)
        scsm = matrix_or_none(results, matrix.run, "scsm")
        if scsm is not None:
            semantic = scsm[first, second].astype(np.float64)
        found = int((~np.isnan(similarity)).sum())
    shown = _falling(similarity)[:most]
    frame = _compared(similarity, semantic, shown)
    frame.insert(0, "place", np.arange(1, len(shown) + 1))
    frame.insert(1, "first", names[first[shown]])
    frame.insert(2, "second", names[second[shown]])
    frame.insert(3, "first_index", first[shown])
    frame.insert(4, "second_index", second[shown])
    surprising = _surprising_pairs(results, matrix)
    frame["surprise"] = surprising[frame["first_index"], frame["second_index"]]
    _describe(frame, results, matrix, most, found)
    if not is_symmetric:
        mean = "the similarity of a pair is the mean of its two directions"
        frame.attrs["legend"] = "; ".join(filter(None, (mean, frame.attrs["legend"])))
    title = f"{matrix.title}: the {len(frame):,} closest of {found:,} pairs"
    return _titled(frame, title, symmetric=is_symmetric)


def _stored_pairs(
    results: Results, matrix: ChosenMatrix, most: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the closest pairs from the stored ``k`` nearest classes of each class,
    which contain the ``k`` closest pairs.
    """
    classes = len(results.rows_of("classes", matrix.run))
    near = results.neighbors(matrix.kind, matrix.epoch, matrix.run)
    stored = len(near) // classes
    if most > stored:
        message = (
            f"{classes:,} classes have only their {stored} nearest classes stored:"
            f" list {stored} pairs or fewer"
        )
        raise UsageError(message, code="too-many-pairs", classes=classes, stored=stored)
    pairs, similarity = closest_of_stored(near, most)
    return pairs[:, 0], pairs[:, 1], similarity.astype(np.float64)


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
    results: Results,
    of: str,
    *,
    kind: str = "ncsm",
    split: str | None = None,
    run: str | None = None,
    most: int = 10,
) -> pd.DataFrame:
    """Return every class that was among the ``most`` nearest to a class at an epoch, in
    order of its rank at the last epoch: ``name``, ``class_index``, ``places``,
    ``similarity``, ``wordnet_similarity``, ``wordnet_rank``, ``surprise``.

    ``places`` lists the class's rank at each of ``attrs["epochs"]``, from 1; None where
    one of the two classes has no similarity. The similarity is that at the last epoch.
    `nearest` documents the parameters and the errors.
    """
    last = _choose_matrix(results, kind, None, split, run)
    if kind == "scsm":
        message = "the reference matrix is the same at every epoch"
        raise UsageError(
            message,
            hint="choose another kind, or leave out the epochs",
            code="matrix-without-epochs",
        )
    names = class_names(results, last.run)
    index = class_index_by_name(of, names)
    epochs = stored_epochs(results, last)
    places = np.full((len(epochs), len(names)), len(names), dtype=np.int64)
    for row, epoch in enumerate(epochs):
        similarity = _row(results, last._replace(epoch=epoch), index)
        order = _falling(similarity)
        places[row, order] = np.arange(1, len(order) + 1)
    is_near: NDArray[np.bool_] = np.less_equal(places, min(most, len(names) - 1))
    near = np.flatnonzero(is_near.any(axis=0))
    shown = near[np.argsort(places[-1, near], kind="stable")]

    frame = _compared(similarity, _reference_row(results, last.run, index), shown)
    known = places.astype(object)
    is_missing: NDArray[np.bool_] = np.equal(places, len(names))
    known[is_missing] = None
    frame.insert(0, "name", [names[other] for other in shown])
    frame.insert(1, "class_index", shown)
    frame.insert(2, "places", known[:, shown].T.tolist())
    frame["surprise"] = _surprising_pairs(results, last)[index, shown]
    _describe(frame, results, last, most, len(shown))
    # The same classes may be the nearest at all epochs.
    neighbors = f"the {len(shown):,} classes nearest"
    if not is_near[:, shown].all():
        neighbors = f"{len(shown):,} classes were among the {most} nearest"
    span = f"epochs {epochs[0]} to {epochs[-1]}"
    matrix = last._replace(epoch=None).title
    title = f"{matrix}, {span}: {neighbors} to {names[index]}"
    frame.attrs["legend"] = "rank 1 is the most similar class and has the highest bar"
    return _titled(frame, title, of=names[index], epochs=epochs)


def _row(results: Results, matrix: ChosenMatrix, index: int) -> Ranks:
    """Return the similarities of a class to the others; NaN for itself."""
    csm = results.csm(matrix.kind, matrix.epoch, matrix.split, matrix.run, rows=[index])
    row: Ranks = csm.to_numpy(dtype=np.float64)[0].copy()
    row[index] = np.nan
    return row


def _reference_row(results: Results, run: str, index: int) -> Ranks:
    """Return the reference similarities of a class to the others, all NaN without a
    reference.
    """
    scsm = matrix_or_none(results, run, "scsm")
    if scsm is None:
        return np.full(len(results.rows_of("classes", run)), np.nan)
    row: Ranks = scsm[index].astype(np.float64)
    row[index] = np.nan
    return row


def _falling(similarity: Ranks) -> NDArray[np.intp]:
    """Return the indices of known similarities, the highest first; ties stay in
    order.
    """
    order: NDArray[np.intp] = np.argsort(-similarity, kind="stable")
    return order[~np.isnan(similarity[order])]


def _compared(
    similarity: Ranks, semantic: Ranks, shown: NDArray[np.integer]
) -> pd.DataFrame:
    """Return the shown ones of some classes or pairs, with their similarity, and that of
    the reference with its rank.
    """
    other_rank, other_furthest = _ranks(semantic)
    frame = pd.DataFrame({"similarity": similarity[shown]})
    frame["wordnet_similarity"] = semantic[shown]
    frame["wordnet_rank"] = other_rank[shown]
    frame.attrs["wordnet_furthest"] = other_furthest
    return frame


def _surprising_pairs(results: Results, matrix: ChosenMatrix) -> NDArray[np.bool_]:
    return surprising_pairs(
        results, matrix.run, matrix.kind, matrix.epoch, matrix.split
    )


def _ranks(similarity: Ranks) -> tuple[Ranks, int | None]:
    """Return the rank of each known similarity, from 1 with ties at their mid-rank, and
    the largest rank.
    """
    known = ~np.isnan(similarity)
    ranks = np.full(similarity.shape, np.nan)
    ranks[known] = mid_ranks(-similarity[known])
    return ranks, int(known.sum()) or None


def _describe(
    frame: pd.DataFrame, results: Results, matrix: ChosenMatrix, most: int, found: int
) -> None:
    """Add what all tables have in their ``attrs``."""
    reference = reference_title(results, matrix.run)
    furthest = frame.attrs["wordnet_furthest"]
    frame.attrs |= matrix._asdict()
    frame.attrs |= {"most": most, "found": found, "reference": reference}
    frame.attrs["vast"] = results.is_vast(matrix.run)
    frame.attrs["legend"] = None
    if furthest is not None:
        ranks = f"from 1, the most similar, to {furthest:,}"
        legend = f"{reference} ranks {ranks}; ties share their mean rank"
        frame.attrs["legend"] = legend
    elif frame.attrs["vast"]:
        limit = f"more than {MAX_DENSE_CLASSES:,} classes"
        legend = f"{reference} similarities are not available for {limit}"
        frame.attrs["legend"] = legend


def _titled(frame: pd.DataFrame, title: str, **attrs: Any) -> pd.DataFrame:
    frame.attrs |= {"title": title, **attrs}
    return frame


def _choose_matrix(
    results: Results, kind: str, epoch: int | None, split: str | None, run: str | None
) -> ChosenMatrix:
    """Return the matrix with run, split and epoch filled in; `nearest` documents the
    errors.
    """
    require_choice("kind", kind, MATRIX_KINDS, "no kind of matrix")
    matrix = ChosenMatrix(results.run_name(run), kind, split)
    if split is not None:
        require_choice("split", split, SPLITS)
        if kind not in SPLIT_KINDS:
            message = f"a matrix of kind {kind} has no split"
            raise UsageError(
                message,
                hint=f"leave out {split!r}",
                code="matrix-without-splits",
                matrix=kind,
            )
    if kind == "scsm":
        if epoch is not None:
            message = "the reference matrix (scsm) is the same at every epoch"
            raise UsageError(
                message, hint="leave out the epoch", code="matrix-without-epochs"
            )
        return matrix
    # Without a split, choose the first one that has such a matrix.
    if split is None and kind in SPLIT_KINDS:
        choices = [matrix._replace(split=name) for name in SPLITS]
        stored = [choice for choice in choices if stored_epochs(results, choice)]
        matrix = (stored or choices)[0]
    epochs = stored_epochs(results, matrix)
    if not epochs:
        raise _missing_matrix(results, matrix)
    if epoch is not None and epoch not in epochs:
        message = (
            f"no {matrix.name} of epoch {epoch} in run {matrix.run!r}: there are"
            f" {brief_epochs(epochs)}"
        )
        raise UsageError(message, code="unknown-epoch", epoch=epoch, run=matrix.run)
    if not results.has_epochs(matrix.run):
        return matrix
    return matrix._replace(epoch=epochs[-1] if epoch is None else epoch)


def stored_epochs(results: Results, matrix: ChosenMatrix) -> list[int]:
    """Return the epochs of a run that have a kind of matrix, or the nearest classes in
    its place.
    """
    run, kind = matrix.run, matrix.kind
    csm = layout.csm_path(results.path, run, kind, matrix.split, 0)
    epochs = layout.stored_epochs(csm.parent)
    if matrix.split is None:
        near = layout.neighbors_path(results.path, run, kind, 0)
        epochs += layout.stored_epochs(near.parent)
    return sorted(epochs)


def _missing_matrix(results: Results, matrix: ChosenMatrix) -> UsageError:
    data = f"--{matrix.split or SPLITS[0]}"
    options = {
        "ncsm_centred": "centred=True in Python",
        "ccsm": f"{data} or --predictions",
        "tncsm": f"{data} and --templates",
    }
    hint = f"dsi analyze writes it with {options.get(matrix.kind, 'a classifier')}"
    if results.is_vast(matrix.run) and matrix.split is not None:
        hint = f"dsi analyze writes none for more than {MAX_DENSE_CLASSES:,} classes"
    return UsageError(
        f"no {matrix.name} in run {matrix.run!r}: {hint}",
        code="missing-matrix",
        matrix=matrix.kind,
        run=matrix.run,
    )
