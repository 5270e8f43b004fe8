"""Path similarity of lists too long for a whole matrix in memory: its rows by blocks, or each label's nearest alone.

Memory is that of a block. *Nearer* means a shorter path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsi_cli.wordnet.paths import FAR, Distances, distance_blocks
from dsi_cli.wordnet.taxonomy import Nodes, Rows, Taxonomy

MOST_SORTED = 10_000
"""Near labels of one label that are all put in order; of more those at the last distance are cut first."""
_ITSELF = 255
_SIMILARITIES = np.where(np.arange(256) < FAR, 1.0 / (1.0 + np.arange(256)), 0.0).astype(np.float32)
"""By distance."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """Pairs of a label and a near one, by label and then from the nearest on; P pairs.

    Attributes
    ----------
    label, neighbor : (P,) int
        Positions in the list.
    rank : (P,) float64
        From 1, among the other labels; labels at one distance share their mid-rank, as in the IDM.
    ties : (P,) int
        Labels at exactly this distance, this one included. Where the last pairs of a label have more ties than there are
        such pairs, the list was cut within them, in the order of the positions.
    similarity : (P,) float64
        1 / (1 + shortest path), in (0, 1].
    """

    label: Rows
    neighbor: Rows
    rank: npt.NDArray[np.float64]
    ties: Rows
    similarity: npt.NDArray[np.float64]


class PathRows:
    """The SCSM, its rows on demand: a `dsi_cli.metrics.blocked.walk.Rows`.

    Parameters
    ----------
    nodes : (N,) int
        In any order; a node may come several times.
    taxonomy
        WordNet 3.0 unless given.

    Raises
    ------
    UsageError
        A number is no node of the taxonomy.
    """

    symmetric = True

    def __init__(self, nodes: Nodes, taxonomy: Taxonomy | None = None) -> None:
        self._distances = Distances(nodes, taxonomy)
        self._taxonomy = taxonomy
        self.nodes = np.asarray(nodes, dtype=np.intp)
        self.size = self._distances.size

    def block(self, start: int, stop: int, first: int = 0) -> npt.NDArray[np.float32]:
        """Return rows ``(stop - start, N - first)`` from the ``first`` column on, 1 on the diagonal."""
        return self.between(np.arange(start, stop), first)

    def across(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return rows of the transpose, which is the same."""
        return self.block(start, stop)

    def between(self, rows: Rows, first: int = 0) -> npt.NDArray[np.float32]:
        """Return the rows of some labels, whichever, from the ``first`` column on."""
        return _SIMILARITIES[np.ascontiguousarray(self._distances.between(rows, first).T)]

    def take(self, at: Sequence[int] | Rows) -> PathRows:
        """Return the matrix of some labels in another order."""
        return PathRows(self.nodes[np.asarray(at, dtype=np.intp)], self._taxonomy)


def similarity_rows(
    nodes: Nodes, taxonomy: Taxonomy | None = None, block: int = 512
) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
    """Yield rows of the SCSM, ``block`` at a time.

    Yields
    ------
    rows : slice
        The labels of this block.
    similarity : (B, N) float32
        Their similarities to all, as `path_similarity` gives them, rounded.

    Raises
    ------
    UsageError
        A number is no node of the taxonomy.
    """
    rows = PathRows(nodes, taxonomy)
    for start in range(0, rows.size, block):
        columns = slice(start, min(start + block, rows.size))
        yield columns, rows.block(columns.start, columns.stop)


def nearest(nodes: Nodes, count: int, taxonomy: Taxonomy | None = None, block: int = 512) -> Iterator[Nearest]:
    """Yield the ``count`` nearest others of each node, ``block`` nodes at a time; fewer where there are not as many.

    Raises
    ------
    UsageError
        A number is no node of the taxonomy.

    Examples
    --------
    >>> from dsi_cli.wordnet.taxonomy import load
    >>> names = ("dog.n.01", "cat.n.01", "wolf.n.01", "car.n.01")
    >>> (found,) = nearest([load().node(name) for name in names], 1)
    >>> [names[k] for k in found.neighbor], found.similarity[:2]
    (['wolf.n.01', 'dog.n.01', 'dog.n.01', 'dog.n.01'], array([0.33333333, 0.2       ]))
    """
    wanted = min(count, len(nodes) - 1)
    for columns, distances in distance_blocks(nodes, taxonomy, block):
        rows = np.ascontiguousarray(distances.T)
        rows[np.arange(len(rows)), np.arange(columns.start, columns.stop)] = _ITSELF
        yield _of_block(rows, columns.start, wanted)


def _of_block(rows: npt.NDArray[np.uint8], first: int, wanted: int) -> Nearest:
    """Return the nearest of the labels from ``first`` on, whose distances to all are ``rows``."""
    furthest = np.partition(rows, wanted - 1, axis=1)[:, wanted - 1] if wanted else np.zeros(len(rows), np.uint8)
    is_near = (rows <= furthest[:, None]) & (rows < FAR) & (wanted > 0)
    near = np.count_nonzero(is_near, axis=1)
    if near.max(initial=0) > MOST_SORTED:
        is_last = rows == furthest[:, None]
        room = wanted - (near - np.count_nonzero(is_last & is_near, axis=1))
        is_near &= ~is_last | (np.cumsum(is_last, axis=1, dtype=np.int32) <= room[:, None])
    label, neighbor = np.nonzero(is_near)
    edges = rows[label, neighbor].astype(np.intp)
    order = np.lexsort((neighbor, edges, label))
    label, neighbor, edges = label[order], neighbor[order], edges[order]
    _, start, group, ties = np.unique(label * 256 + edges, return_index=True, return_inverse=True, return_counts=True)
    of_label = np.searchsorted(label, label)
    nearer = start[group] - of_label
    ties = np.where(edges == furthest[label], near[label] - nearer, ties[group])  # of the last distance some may be cut
    shown = np.arange(len(label)) - of_label < wanted
    rank = 1 + nearer + (ties - 1) / 2
    similarity = np.divide(1.0, 1.0 + edges[shown], dtype=np.float64)
    return Nearest(label[shown] + first, neighbor[shown], rank[shown], ties[shown], similarity)
