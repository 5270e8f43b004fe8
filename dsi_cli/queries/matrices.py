"""The matrices of a run that heat maps and animations show, without their diagonals, which are 1 by definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, expected
from dsi_cli.metrics.measures import mid_ranks
from dsi_cli.store import layout

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

Values = NDArray[np.float32]


class MatrixKind(NamedTuple):
    """A kind of matrix with its texts for figures."""

    name: str
    title: str
    values: str
    """The meaning of a value."""
    splits: tuple[str | None, ...] = (None,)
    """The splits in order of preference."""


KINDS = (
    MatrixKind("ncsm", "NCSM", "cosine of weights"),
    MatrixKind("ncsm_centred", "centred NCSM", "cosine of centred weights"),
    MatrixKind("tncsm", "TNCSM", "cosine of mean features", ("test", "train")),
    MatrixKind("ccsm", "CCSM", "share of row taken for column", ("test", "train")),
)
REFERENCE = MatrixKind("scsm", "SCSM", "similarity in WordNet")


class MatrixFrames(NamedTuple):
    """The matrices of one kind of one run at all epochs."""

    run: str
    kind: MatrixKind
    split: str | None
    epochs: tuple[int, ...]
    """The epochs that have a matrix, in order."""

    @property
    def title(self) -> str:
        """The title in a figure, such as ``NCSM`` or ``CCSM on test``."""
        return f"{self.kind.title} on {self.split}" if self.split else self.kind.title


def matrix_frames(run: Results, name: str, kind: str | None = None, split: str | None = None) -> MatrixFrames | None:
    """Return the matrices of a kind of a run, or None if the run has none.

    Parameters
    ----------
    run : the results folder
    name : the name of a run in it
    kind : the name of one of `KINDS`; the first that the run has if None
    split : test or train; test if None, or train if the run has no test split

    Raises
    ------
    UsageError
        The kind is not one of `KINDS` (code ``unknown-kind``).
    """
    known = [matrix_kind.name for matrix_kind in KINDS]
    if kind is not None and kind not in known:
        message = f"{kind!r} is not a matrix of epochs: {expected(kind, known)}"
        raise UsageError(message, code="unknown-kind", matrix=kind)
    for matrix_kind in KINDS:
        if kind not in (None, matrix_kind.name):
            continue
        splits = matrix_kind.splits if split is None or matrix_kind.splits == (None,) else (split,)
        for part in splits:
            paths = {epoch: layout.csm_path(run.path, name, matrix_kind.name, part, epoch) for epoch in run.epochs(name)}
            epochs = [epoch for epoch, path in paths.items() if path.is_file()]
            if epochs:
                return MatrixFrames(name, matrix_kind, part, tuple(epochs))
    return None


def epoch_matrix(run: Results, frames: MatrixFrames, epoch: int) -> Values:
    """Return an epoch's raw matrix ``(C, C)`` with NaN on the diagonal; `Results.csm` documents the errors."""
    values: Values = run.csm(frames.kind.name, epoch, frames.split, frames.run).to_numpy(copy=True)
    np.fill_diagonal(values, np.nan)
    return values


def reference_matrix(run: Results, name: str) -> Values | None:
    """Return a run's reference matrix ``(C, C)`` with NaN on the diagonal and for classes without a synset, or None."""
    values = matrix_or_none(run, "scsm", None, None, name)
    if values is not None:
        values = values.copy()
        np.fill_diagonal(values, np.nan)
    return values


def matrix_or_none(run: Results, kind: str, epoch: int | None, split: str | None, name: str | None) -> Values | None:
    """Return a matrix as `Results.csm` does, or None if the run does not have it."""
    try:
        return run.csm(kind, epoch, split, name).to_numpy()
    except UsageError:
        return None


def percentile_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the percentile rank of each value among the known ones, between 0 and 1, ties at their mid-rank; NaN stays NaN.

    >>> percentile_ranks(np.array([[np.nan, 0.1], [0.7, 0.3], [0.3, 0.2]])).round(1).tolist()
    [[nan, 0.1], [0.9, 0.6], [0.6, 0.3]]
    """
    is_known = np.isfinite(values)
    ranks = np.full(values.shape, np.nan)
    ranks[is_known] = (mid_ranks(values[is_known]) - 0.5) / max(1, int(is_known.sum()))
    return ranks
