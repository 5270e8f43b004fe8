"""Shortest paths between nouns, or verbs, through a common hypernym, for all pairs of many labels at once.

An *edge* leads from a node up to a parent (hypernym or instance hypernym). The distance of two labels is the least
number of edges over all hypernyms that both have, where a label counts as its own hypernym: the distance of NLTK's
``path_similarity``.

There is no loop over pairs. Each ancestor of the labels gets a row of one byte a label. On the way up a node learns
how far each label lies below it, ``U[v, j]``; on the way down whether a parent knows of a shorter way,
``P[v] = min(U[v], 1 + min P[parent])``, level by level. The labels' own rows are the answer. Labels are taken in blocks
of columns, so that memory stays bounded: some 25 MB beyond the result for the 21,841 labels of ImageNet-22k.

Verbs have a simulated root besides, and NLTK's rule for the way to it: one edge more than the way to the *furthest* of a verb's
hypernyms, itself counted as its shortest. So it is no node of the graph, but a second way that any two verbs have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsi_cli.wordnet.database.taxonomy import Nodes, Rows, Taxonomy, ancestors, check_nodes, load, parent_edges

Bytes = npt.NDArray[np.uint8]

NO_PATH = -1
"""The distance of two nodes without a common hypernym. WordNet 3.0's nouns have one root, verbs a simulated one: there is none."""

LABELS_PER_BLOCK = 512
"""The number of labels that are compared with all at once; so many stay in the processor's cache."""

UNREACHABLE = 200
"""No path, in bytes: above any path (WordNet's longest is 38 edges), and adding an edge cannot wrap past 255."""


def path_distances(nodes: Nodes, taxonomy: Taxonomy | None = None) -> npt.NDArray[np.int16]:
    """Return the shortest paths between nodes through a common hypernym, in edges.

    Parameters
    ----------
    nodes : (N,) int
        In any order; a node may come several times.
    taxonomy
        WordNet 3.0 unless given.

    Returns
    -------
    (N, N) int16
        Symmetric, 0 on the diagonal (and between copies of a node); ``NO_PATH`` (-1) without a common hypernym,
        which cannot be within WordNet 3.0.

    Raises
    ------
    UsageError
        A number is no node of the taxonomy, as the -1 that stands for "unresolved" elsewhere.

    Examples
    --------
    >>> path_distances([load().node(name) for name in ("dog.n.01", "cat.n.01", "car.n.01")])
    array([[ 0,  4, 12],
           [ 4,  0, 17],
           [12, 17,  0]], dtype=int16)
    """
    table = np.arange(256, dtype=np.int16)
    table[UNREACHABLE:] = NO_PATH
    return _all_pairs(nodes, taxonomy, table)


def path_similarity(nodes: Nodes, taxonomy: Taxonomy | None = None) -> npt.NDArray[np.float64]:
    """Return the SCSM: 1 / (1 + shortest path), in (0, 1].

    Parameters
    ----------
    nodes : (N,) int
        In any order; a node may come several times.
    taxonomy
        WordNet 3.0 unless given.

    Returns
    -------
    (N, N) float64
        Exactly symmetric, 1 on the diagonal (and between copies of a node); equal to the last bit to NLTK's
        ``path_similarity`` on WordNet 3.0. 0 without a common hypernym, which cannot be within WordNet 3.0.

    Raises
    ------
    UsageError
        A number is no node of the taxonomy.

    Examples
    --------
    >>> path_similarity([load().node(name) for name in ("dog.n.01", "cat.n.01")])
    array([[1. , 0.2],
           [0.2, 1. ]])
    """
    table = 1.0 / (1.0 + np.arange(256))
    table[UNREACHABLE:] = 0.0
    return _all_pairs(nodes, taxonomy, table)


class PathRows:
    """The SCSM, its rows made on demand: a `dsi_cli.metrics.blockwise.blocks.RowSource`.

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

    def __init__(self, nodes: Nodes, taxonomy: Taxonomy | None = None) -> None:
        self._taxonomy = taxonomy or load()
        self.nodes = check_nodes(nodes, len(self._taxonomy.offsets))
        self.size = len(self.nodes)
        self._above = ancestor_levels(self._taxonomy, self.nodes)
        self._to_root = distances_to_root(self._above) if self._taxonomy.simulates_root else None

    def distances(self, start: int, stop: int) -> Bytes:
        """Return the distances ``(stop - start, N)`` in edges of some labels to all; ``UNREACHABLE`` (200) if there is no path.

        Memory is the number of these labels times that of the ancestors of all labels, in bytes; 512 labels stay in the cache.
        """
        rows = distances_up(self._above, self._above.labels[start:stop])
        shorten_over_parents(self._above, rows)
        found = np.ascontiguousarray(rows[self._above.labels].T)
        if self._to_root is not None:
            np.minimum(found, self._to_root[start:stop, None] + self._to_root, out=found)
        return found

    def block(self, start: int, stop: int, /) -> npt.NDArray[np.float32]:
        """Return the rows ``(stop - start, N)`` from ``start`` up to ``stop``, the diagonal included."""
        edges = np.arange(256)
        similarities = np.where(edges < UNREACHABLE, 1.0 / (1.0 + edges), 0.0).astype(np.float32)
        return similarities[self.distances(start, stop)]

    def take(self, at: Sequence[int] | Rows, /) -> PathRows:
        """Return the matrix of some of the labels, in the order given."""
        return PathRows(self.nodes[np.asarray(at, dtype=np.intp)], self._taxonomy)


def distances_to_root(levels: AncestorLevels) -> Bytes:
    """Return the edges from each label to the simulated root ``(N,)``."""
    ways = np.zeros(len(levels.labels), dtype=np.uint8)
    for start in range(0, len(ways), LABELS_PER_BLOCK):
        rows = distances_up(levels, levels.labels[start : start + LABELS_PER_BLOCK])
        ways[start : start + LABELS_PER_BLOCK] = 1 + np.where(rows < UNREACHABLE, rows, 0).max(axis=0)
    return ways


@dataclass(frozen=True)
class AncestorLevels:
    """The labels' ancestors as rows, by rising depth (the longest way to a root), so that parents come before children.

    ``nodes`` says which node each row is, ``labels`` in which row each label is. ``graph`` holds the rows' parents as row
    numbers. A step ``(first, last, above)`` says that ``above`` are the k-th parents of the rows from ``first`` to ``last``:
    within a depth the rows with most parents come first.
    """

    nodes: Rows
    labels: Rows
    graph: Taxonomy
    steps: tuple[tuple[int, int, npt.NDArray[np.int32]], ...]


def ancestor_levels(taxonomy: Taxonomy, labels: Rows) -> AncestorLevels:
    """Return the labels' ancestors in the order in which what is known of them is handed on."""
    nodes = ancestors(taxonomy, labels)
    count = np.diff(taxonomy.starts)[nodes]
    depth = taxonomy.depths[nodes]
    order = np.lexsort((-count, depth))
    nodes, count, depth = nodes[order], count[order], depth[order]
    row = np.zeros(len(taxonomy.offsets), dtype=np.intp)
    row[nodes] = np.arange(len(nodes))
    starts = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
    above = row[parent_edges(taxonomy, nodes)[1]].astype(np.int32)
    steps = []
    for first in np.flatnonzero(np.diff(depth, prepend=-1)):
        for k in range(count[first]):
            last = first + np.count_nonzero((depth == depth[first]) & (count > k))
            steps.append((int(first), int(last), above[starts[first:last] + k]))
    graph = Taxonomy(taxonomy.offsets[nodes], (), depth, starts, above)
    return AncestorLevels(nodes, row[labels], graph, tuple(steps))


def distances_up(levels: AncestorLevels, labels: Rows) -> Bytes:
    """Return the edges from each label (columns) up to each of its ancestors (rows), ``UNREACHABLE`` for other rows.

    A wave that starts at every label at once; a label has some ten ancestors, so it touches little of the array.
    """
    rows: Bytes = np.full((len(levels.graph.offsets), len(labels)), UNREACHABLE, dtype=np.uint8)
    at, column, edges = labels, np.arange(len(labels)), 0
    while at.size:
        rows[at, column] = edges
        child, at = parent_edges(levels.graph, at)
        column = column[child]
        fresh = rows[at, column] == UNREACHABLE
        at, column, edges = at[fresh], column[fresh], edges + 1
    return rows


def shorten_over_parents(levels: AncestorLevels, rows: Bytes) -> None:
    """Shorten, in place, each row by the way over its parents, from the root down."""
    for first, last, above in levels.steps:
        over_parent = rows[above]
        over_parent += 1
        np.minimum(rows[first:last], over_parent, out=rows[first:last])


def _all_pairs(nodes: Nodes, taxonomy: Taxonomy | None, table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ``table[distance]`` of all pairs."""
    rows = PathRows(nodes, taxonomy)
    out = np.empty((rows.size, rows.size), dtype=table.dtype)
    for start in range(0, rows.size, LABELS_PER_BLOCK):
        stop = min(start + LABELS_PER_BLOCK, rows.size)
        np.take(table, rows.distances(start, stop), out=out[start:stop], mode="clip")
    return out
