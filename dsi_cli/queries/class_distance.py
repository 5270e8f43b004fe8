"""How far each class lies from each other at an epoch, by rank: in the network's own similarity, and in WordNet's.

The network's own is its NCSM; without a classifier the TNCSM of the split. Ranks are made as for the IDM: from 1, the most similar
class, to C-1, ties at their mid-rank, as seen from the first class. A class that a matrix lacks has none, and C counts the others.

A class without a sample in the split has ranks, other than in the IDM, which also asks for counts: it can still be what a sample
was taken for, and that mistake is to be judged. Where each class has a sample, the two are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics.idm import similarity_ranks

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassDistance:
    """Arrays ``(C, C)``, a row a class as the truth; NaN where something does not exist, and on the diagonal of the ranks."""

    own: str | None
    """ncsm or tncsm; None where the run has neither at that epoch."""
    rank: Values
    furthest: int | None
    """The furthest rank in it."""
    wordnet: Values
    """Similarity."""
    wordnet_rank: Values
    wordnet_furthest: int | None

    @property
    def farness(self) -> Values:
        """The mean of the two ranks, each over the furthest; where one does not exist, the other **[ours]**."""
        relative = np.stack([self.rank / (self.furthest or 1), self.wordnet_rank / (self.wordnet_furthest or 1)])
        known = ~np.isnan(relative)
        total, count = np.where(known, relative, 0.0).sum(axis=0), known.sum(axis=0)
        mean: Values = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        return mean

    def of(self, truth: int, prediction: int) -> dict[str, float | None]:
        """Return what is known of one pair, by name; None for what does not exist."""
        return {
            "rank": number(self.rank[truth, prediction]),
            "wordnet_similarity": number(self.wordnet[truth, prediction]),
            "wordnet_rank": number(self.wordnet_rank[truth, prediction]),
        }


def class_distance(run: Results, epoch: int | None, split: str, name: str | None) -> ClassDistance:
    """Return how far the classes of a run lie from each other; parameters as for `Results.csm`."""
    matrices = {
        "ncsm": _matrix(run, "ncsm", epoch, None, name),
        "tncsm": _matrix(run, "tncsm", epoch, split, name),
    }
    own = next((kind for kind, matrix in matrices.items() if matrix is not None), None)
    classes = int((run.classes["run"] == name).sum())
    nothing = np.full((classes, classes), np.nan)
    csm = nothing if own is None else matrices[own]
    wordnet = _matrix(run, "scsm", epoch, None, name)
    assert csm is not None
    known = nothing if wordnet is None else wordnet
    return ClassDistance(own, *ranked(csm), known, *ranked(known))


def _matrix(run: Results, kind: str, epoch: int | None, split: str | None, name: str | None) -> NDArray[Any] | None:
    try:
        return run.csm(kind, epoch, split, name).to_numpy()
    except UsageError:
        return None  # not every run has each


def ranked(csm: NDArray[Any]) -> tuple[Values, int | None]:
    """Return the ranks among the classes that a matrix knows, NaN for the others and on the diagonal; and the furthest.

    >>> nan = np.nan
    >>> ranks, furthest = ranked(np.array([[1, nan, 0.2, 0.5], [nan] * 4, [0.2, nan, 1, 0.1], [0.5, nan, 0.1, 1]]))
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


def number(value: float) -> float | None:
    """Return a value, None where it does not exist."""
    return None if np.isnan(value) else float(value)
