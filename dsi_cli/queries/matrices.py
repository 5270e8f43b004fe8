"""The matrices of a run that heat maps and animations show, without their diagonals, which are 1 by definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, expected
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
        raise UsageError(
            f"{kind!r} is no kind of matrix that changes over epochs: {expected(kind, known)}",
            code="unknown-kind",
            matrix=kind,
        )
    for matrix_kind in KINDS:
        if kind not in (None, matrix_kind.name):
            continue
        splits = matrix_kind.splits if split is None or matrix_kind.splits == (None,) else (split,)
        for part in splits:
            epochs = [
                epoch
                for epoch in run.epochs(name)
                if layout.csm_path(run.path, name, matrix_kind.name, part, epoch).is_file()
            ]
            if epochs:
                return MatrixFrames(name, matrix_kind, part, tuple(epochs))
    return None


def epoch_matrix(run: Results, frames: MatrixFrames, epoch: int) -> Values:
    """Return an epoch's raw matrix ``(C, C)`` with NaN on the diagonal; `Results.csm` documents the errors."""
    return without_diagonal(run.csm(frames.kind.name, epoch, frames.split, frames.run).to_numpy(copy=True))


def reference_matrix(run: Results, name: str) -> Values | None:
    """Return a run's reference matrix ``(C, C)`` with NaN on the diagonal and for classes without a synset, or None."""
    try:
        return without_diagonal(run.csm("scsm", run=name).to_numpy(copy=True))
    except UsageError:
        return None


def without_diagonal(values: NDArray[Any]) -> Values:
    """Set the diagonal of a matrix to NaN in place and return it."""
    np.fill_diagonal(values, np.nan)
    return values
