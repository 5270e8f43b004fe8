"""The matrices that heat maps and animations show: which a run has, at which epochs, and at which of them change is seen.

The diagonal is left out: it is 1 by definition, NaN here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, expected
from dsi_cli.store import layout

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

Values = NDArray[np.float32]
MOST_COMPARED = 50
"""Epochs, evenly chosen, of which neighbours are compared to see where change is: of 1,000 classes, a second or two."""


class MatrixKind(NamedTuple):
    """A kind of matrix, as a figure names it."""

    name: str
    title: str
    values: str
    """What a value is."""
    splits: tuple[str | None, ...] = (None,)
    """The one taken unless another is asked for comes first."""


KINDS = (
    MatrixKind("ncsm", "NCSM", "cosine of weights"),
    MatrixKind("ncsm_centred", "centred NCSM", "cosine of centred weights"),
    MatrixKind("tncsm", "TNCSM", "cosine of mean features", ("test", "train")),
    MatrixKind("ccsm", "CCSM", "share of row taken for column", ("test", "train")),
)
REFERENCE = MatrixKind("scsm", "SCSM", "similarity in WordNet")


class MatrixFrames(NamedTuple):
    """One kind of matrix of one run, epoch by epoch."""

    run: str
    kind: MatrixKind
    split: str | None
    epochs: tuple[int, ...]
    """Those that have one, in order."""

    @property
    def title(self) -> str:
        """What a figure calls it: NCSM, CCSM on test."""
        return f"{self.kind.title} on {self.split}" if self.split else self.kind.title


def frames(run: Results, name: str, kind: str | None = None, split: str | None = None) -> MatrixFrames | None:
    """Return a run's matrices of a kind, or None where it has none.

    Parameters
    ----------
    run : the output
    name : a run in it
    kind : one of `KINDS`; the first that the run has if None
    split : test or train; test if None, and train where there is no test

    Raises
    ------
    UsageError
        There is no such kind.
    """
    known = [one.name for one in KINDS]
    if kind is not None and kind not in known:
        raise UsageError(f"{kind!r} is no kind of matrix that changes over epochs: {expected(kind, known)}")
    for one in KINDS:
        if kind not in (None, one.name):
            continue
        for part in one.splits if split is None or one.splits == (None,) else (split,):
            there = [e for e in run.epochs(name) if layout.csm_path(run.path, name, one.name, part, e).is_file()]
            if there:
                return MatrixFrames(name, one, part, tuple(there))
    return None


def matrix(run: Results, frames: MatrixFrames, epoch: int) -> Values:
    """Return an epoch's raw matrix ``(C, C)``, NaN on the diagonal; errors as for `Results.csm`."""
    return without_diagonal(run.csm(frames.kind.name, epoch, frames.split, frames.run).to_numpy(copy=True))


def reference(run: Results, name: str) -> Values | None:
    """Return a run's reference matrix ``(C, C)``, NaN on the diagonal and where a class has no synset; None without one."""
    try:
        return without_diagonal(run.csm("scsm", run=name).to_numpy(copy=True))
    except UsageError:
        return None


def without_diagonal(values: NDArray[Any]) -> Values:
    """Return the matrix with NaN on its diagonal; a writable one is changed itself."""
    np.fill_diagonal(values, np.nan)
    return values


def evenly_spaced(epochs: Sequence[int], most: int) -> list[int]:
    """Return at most ``most`` of the epochs, evenly spread, the first and the last among them.

    >>> evenly_spaced(range(400), 5)
    [0, 100, 200, 299, 399]
    """
    if len(epochs) <= most:
        return list(epochs)
    return [epochs[round(place)] for place in np.linspace(0, len(epochs) - 1, most)]


def epochs_of_most_change(run: Results, frames: Sequence[MatrixFrames], count: int) -> list[int]:
    """Return up to ``count`` epochs between which matrices changed by as much as can be: the first, some between, the last.

    The change between two epochs is the root mean square difference of their off-diagonal values. The changes are added up
    along the run, and the epochs taken at equal parts of the sum: many where much happens. Of several runs, which all have the
    same epochs, the mean of the sums counts, each in parts of its last. At most two matrices are held.
    """
    epochs = evenly_spaced(frames[0].epochs, max(MOST_COMPARED, count))
    if len(epochs) <= count:
        return epochs
    way = np.mean([_way(run, of, epochs) for of in frames], axis=0)
    return [epochs[place] for place in _at_equal_parts(way, count)]


def _way(run: Results, frames: MatrixFrames, epochs: Sequence[int]) -> NDArray[np.float64]:
    """Return how far a run has changed by each epoch, in parts of all its change."""
    way, before = [0.0], matrix(run, frames, epochs[0])
    for epoch in epochs[1:]:
        after = matrix(run, frames, epoch)
        step = float(np.sqrt(np.nanmean(np.square(after - before, dtype=np.float64)))) if len(after) > 1 else 0.0
        way.append(way[-1] + step)
        before = after
    return np.array(way) / (way[-1] or 1.0)


def _at_equal_parts(way: NDArray[np.float64], count: int) -> list[int]:
    """Return ``count`` different places, the ends among them, each the nearest to its part of the way that is free."""
    places, last = [0], len(way) - 1
    for part in range(1, count - 1):
        goal = way[-1] * part / (count - 1)
        low, high = places[-1] + 1, last - (count - 1 - part)
        places.append(low + int(np.argmin(np.abs(way[low : high + 1] - goal))))
    return [*places, last] if count > 1 else [last]
