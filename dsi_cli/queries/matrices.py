"""The matrices of a run that heat maps show, and the ranks of its classes by the
network's similarity and by WordNet similarity.

The diagonals of matrices, which are 1 by definition, are NaN. Ranks are those of the
IDM: from 1, the most similar class, to C-1, with ties at their mid-rank. Classes that a
matrix lacks have no rank and do not count in C.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, expected, suggestion
from dsi_cli.metrics.measures import mid_ranks, similarity_ranks
from dsi_cli.metrics.pair_residuals import fisher, pair_residuals
from dsi_cli.queries.findings import reference_name
from dsi_cli.store import layout
from dsi_cli.store.schema import SPLIT_KINDS, SPLITS, MatrixId

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

Values = NDArray[np.float32]
Ranks = NDArray[np.float64]
COSINES = ("ncsm", "ncsm_centred", "tncsm")  # the kinds of matrices of cosines
MIN_CLASSES = 4  # with fewer classes, effects of classes explain all pairs
# a pair is a surprise from this residual on, except for the nearest of the reference
MIN_SURPRISE = 2.0  # robust standard deviations
NEAREST = 0.9  # the quantile of the reference above which a pair is no surprise
SURPRISE_LEGEND = (
    "! closer for the network than its classes and the reference explain, by at least 2"
    " standard deviations of all pairs"
)


class MatrixKind(NamedTuple):
    """A kind of matrix with its texts for figures and for the report."""

    name: str
    title: str
    values: str  # the meaning of a value
    about: str  # the same with the range of the values

    @property
    def is_symmetric(self) -> bool:
        """True if the matrices are symmetric; in a confusion matrix, a row is the
        truth.
        """
        return self.name != "ccsm"

    @property
    def splits(self) -> tuple[str | None, ...]:
        """The splits that have such a matrix, in order of preference; None for a matrix
        without a split.
        """
        return SPLITS if self.name in SPLIT_KINDS else (None,)


KINDS = (
    MatrixKind(
        "ncsm",
        "NCSM",
        "cosine of weights",
        "cosine similarity of the classifier's weights (−1 to 1)",
    ),
    MatrixKind(
        "ncsm_centred",
        "centred NCSM",
        "cosine of centred weights",
        "NCSM after subtraction of the mean weight row (−1 to 1)",
    ),
    MatrixKind(
        "tncsm",
        "TNCSM",
        "cosine of mean features",
        "cosine similarity of the classes' mean features (−1 to 1)",
    ),
    MatrixKind(
        "ccsm",
        "CCSM",
        "share of row taken for column",
        "share of the row's samples predicted as another class, the column (0 to 1); 1"
        " on the diagonal by definition",
    ),
)
"""The kinds of matrices in the order of preference and of the report."""
REFERENCE = MatrixKind(
    "scsm", "SCSM", "similarity in WordNet", "path similarity in WordNet 3.0 (0 to 1)"
)


class MatrixFrames(NamedTuple):
    """The matrices of one kind of one run at all epochs."""

    run: str
    kind: MatrixKind
    split: str | None
    epochs: tuple[int, ...]  # the epochs that have a matrix, in order

    @property
    def title(self) -> str:
        """The title in a figure, such as ``NCSM`` or ``CCSM on test``."""
        return f"{self.kind.title} on {self.split}" if self.split else self.kind.title

    @property
    def name(self) -> str:
        """The kind with its split, such as ``ncsm`` or ``ccsm-test``."""
        return str(MatrixId(self.kind.name, self.split))

    def at(self, epoch: int | None) -> int:
        """Return the epoch; the last one if None."""
        return self.epochs[-1] if epoch is None else epoch

    def among(self, epochs: Sequence[int] | None) -> list[int]:
        """Return the epochs that are in ``epochs``, in order; all if None."""
        return [epoch for epoch in self.epochs if epochs is None or epoch in epochs]


def matrix_frames(
    results: Results, run: str, kind: str | None = None
) -> MatrixFrames | None:
    """Return the matrices of a kind of a run, by default the first of `KINDS` that it
    has, or None if it has none.

    The split is test, or train if the run has no test split. Raise `UsageError` if the
    kind is not one of `KINDS` (code ``unknown-kind``).
    """
    known = [matrix_kind.name for matrix_kind in KINDS]
    if kind is not None and kind not in known:
        raise UsageError(
            f"{kind!r} is not a matrix of epochs: {expected(known)}",
            hint=suggestion(kind, known),
            code="unknown-kind",
            matrix=kind,
        )
    return next(
        (
            frames
            for frames in all_frames(results, run)
            if kind in (None, frames.kind.name)
        ),
        None,
    )


def all_frames(results: Results, run: str) -> Iterator[MatrixFrames]:
    """Yield the matrices of each kind and split that a run has, in the order of
    `KINDS`.
    """
    for kind in KINDS:
        for split in kind.splits:
            stored = layout.stored_epochs(
                layout.csm_path(results.path, run, kind.name, split, 0).parent
            )
            epochs = tuple(epoch for epoch in results.epochs(run) if epoch in stored)
            if epochs:
                yield MatrixFrames(run, kind, split, epochs)


def epoch_matrix(results: Results, frames: MatrixFrames, epoch: int) -> Values:
    """Return an epoch's raw matrix ``(C, C)`` with NaN on the diagonal; `Results.csm`
    documents the errors.
    """
    values: Values = results.csm(
        frames.kind.name, epoch, frames.split, frames.run
    ).to_numpy(copy=True)
    np.fill_diagonal(values, np.nan)
    return values


def reference_matrix(results: Results, run: str) -> Values | None:
    """Return a run's reference matrix ``(C, C)`` with NaN on the diagonal and for
    classes without a synset, or None.
    """
    values = matrix_or_none(results, run, "scsm")
    if values is not None:
        values = values.copy()
        np.fill_diagonal(values, np.nan)
    return values


def reference_title(results: Results, run: str | None) -> str:
    """Return the name of a run's main reference for readers, WordNet if it has none;
    see `findings.reference_name`.
    """
    return reference_name(next(iter(results.references(run)), "wordnet"))


def matrix_or_none(
    results: Results,
    run: str | None,
    kind: str,
    epoch: int | None = None,
    split: str | None = None,
) -> Values | None:
    """Return a matrix as `Results.csm` does, or None if the run does not have it."""
    try:
        return results.csm(kind, epoch, split, run).to_numpy()
    except UsageError:
        return None


def percentile_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the percentile rank of each value among the known ones, between 0 and 1,
    ties at their mid-rank; NaN stays NaN.

    >>> percentile_ranks(np.array([[np.nan, 0.1], [0.7, 0.3], [0.3, 0.2]])).round(1).tolist()
    [[nan, 0.1], [0.9, 0.6], [0.6, 0.3]]
    """
    is_known = np.isfinite(values)
    ranks = np.full(values.shape, np.nan)
    ranks[is_known] = (mid_ranks(values[is_known]) - 0.5) / max(1, int(is_known.sum()))
    return ranks


def block_means(
    matrix: NDArray[Any], order: NDArray[np.intp], starts: Sequence[int]
) -> NDArray[np.float64]:
    """Return the means of blocks of neighbouring classes in an order, ``(B, B)``; NaN
    for a block without values.

    The blocks begin at the positions `starts`. The means exclude the diagonal and
    missing values.

    >>> block_means(np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 1.0]]), np.array([0, 1, 2]), [0, 1]).round(3).tolist()
    [[nan, 0.25], [0.25, 0.25]]
    """
    from scipy.sparse import csr_array

    known = ~np.isnan(matrix)
    np.fill_diagonal(known, False)
    sizes = np.diff([*starts, len(matrix)])
    members = csr_array(
        (np.ones(len(order), np.float32), order, [*starts, len(matrix)]),
        shape=(len(starts), len(matrix)),
    )

    def block_sums(array: NDArray[np.float32]) -> NDArray[np.float64]:
        rows = np.asarray(members @ array, dtype=np.float64)
        return np.asarray(members @ rows.T, dtype=np.float64).T

    total = block_sums(np.where(known, matrix, 0).astype(np.float32, copy=False))
    if known.sum() == len(matrix) * (len(matrix) - 1):  # only the diagonal is excluded
        count = np.outer(sizes, sizes) - np.diag(sizes)
    else:
        count = block_sums(known.astype(np.float32))
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


@dataclass(frozen=True, eq=False)
class ClassDistance:
    """Ranks and similarities ``(C, C)`` of truth (row) and prediction (column); NaN for
    missing values and diagonal ranks.
    """

    # the matrix of the network's similarity, ncsm or tncsm; None if the epoch has
    # neither
    own: str | None
    rank: Ranks  # the rank by the network's similarity
    furthest: int | None  # the largest such rank
    wordnet: Ranks  # the WordNet similarity
    wordnet_rank: Ranks
    wordnet_furthest: int | None

    @cached_property
    def farness(self) -> Ranks:
        """The mean of the two ranks, each divided by its largest rank; only the known
        one if the other is NaN **[ours]**.
        """
        relative = np.stack(
            [
                self.rank / (self.furthest or 1),
                self.wordnet_rank / (self.wordnet_furthest or 1),
            ]
        )
        return np.ma.masked_invalid(relative).mean(axis=0).filled(np.nan)


def class_distance(
    results: Results, epoch: int | None, split: str, run: str | None
) -> ClassDistance:
    """Return the distances of the classes of a run; `Results.csm` documents the
    parameters.
    """
    own: str | None = "ncsm"
    csm = matrix_or_none(results, run, "ncsm", epoch)
    if csm is None:
        own, csm = "tncsm", matrix_or_none(results, run, "tncsm", epoch, split)
    # A missing matrix has NaN for all pairs of classes.
    classes = len(results.rows_of("classes", run))
    missing = np.full((classes, classes), np.nan)
    if csm is None:
        own, csm = None, missing
    scsm = matrix_or_none(results, run, "scsm")
    wordnet = missing if scsm is None else scsm.astype(np.float64)
    return ClassDistance(
        own, *ranks_among_known(csm), wordnet, *ranks_among_known(wordnet)
    )


def ranks_among_known(csm: NDArray[Any]) -> tuple[Ranks, int | None]:
    """Return the ranks among the classes that a matrix has, NaN for others and the
    diagonal, and the largest rank.

    >>> nan = np.nan
    >>> ranks, furthest = ranks_among_known(np.array([[1, nan, 0.2, 0.5], [nan] * 4, [0.2, nan, 1, 0.1], [0.5, nan, 0.1, 1]]))
    >>> ranks[0].tolist(), furthest
    ([nan, nan, 2.0, 1.0], 2)
    """
    known = np.flatnonzero(~np.isnan(np.diagonal(csm)))
    ranks = np.full(csm.shape, np.nan)
    if len(known) < 2:
        return ranks, None
    block = np.ix_(known, known)
    ranks[block] = similarity_ranks(csm[block])
    np.fill_diagonal(ranks, np.nan)
    return ranks, len(known) - 1


def surprising_pairs(
    results: Results, run: str, kind: str, epoch: int | None, split: str | None
) -> NDArray[np.bool_]:
    """Return which pairs ``(C, C)`` a matrix of cosines finds closer than their classes
    and the reference explain, by at least `MIN_SURPRISE` (see `pair_residuals`), but
    not the nearest tenth of the pairs of the reference.

    The pairs of other kinds of matrices are judged by the network's similarity. No pair
    of a run without a reference or without whole matrices is a surprise.
    """
    classes = len(results.rows_of("classes", run))
    found = np.zeros((classes, classes), dtype=bool)
    kinds = [kind] if kind in COSINES else ["ncsm", "tncsm"]
    matrices = (
        matrix_or_none(results, run, name, epoch, split if name == "tncsm" else None)
        for name in kinds
    )
    similarity = next((matrix for matrix in matrices if matrix is not None), None)
    reference = matrix_or_none(results, run, "scsm")
    if similarity is None or reference is None or results.is_vast(run):
        return found
    known = ~np.isnan(np.diagonal(similarity)) & ~np.isnan(np.diagonal(reference))
    if known.sum() < MIN_CLASSES:
        return found
    block = np.ix_(known, known)
    expected_by = reference[block].astype(np.float64)
    residuals = pair_residuals(fisher(similarity[block]), expected_by)
    nearest = np.quantile(expected_by[np.triu_indices(len(expected_by), 1)], NEAREST)
    found[block] = (residuals >= MIN_SURPRISE) & (expected_by <= nearest)
    return found
