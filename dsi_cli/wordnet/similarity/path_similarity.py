"""Shortest paths between synsets through a common hypernym, and the common hypernyms,
for all pairs of many labels at once.

An *edge* leads from a node up to a parent (hypernym or instance hypernym). The distance
of two labels is the least number of edges through a common hypernym, where a label
counts as its own hypernym. This is the distance of NLTK's ``path_similarity``.

The algorithm has no loop over pairs. Each ancestor of the labels is a row with one byte
per label. The upward pass computes the distance ``U[v, j]`` from each label up to each
ancestor. The downward pass replaces it by a shorter path through a parent, level by
level: ``P[v] = min(U[v], 1 + min P[parent])``. The rows of the labels are the result.
Labels are processed in blocks of columns, so that memory is bounded: about 25 MB beyond
the result for the 21,841 labels of ImageNet-22k.

The maximum of a number over the common hypernyms (`largest_over_common`) follows in the
same way. From the root down, each row is replaced by the maximum of itself and its
parents' rows.

Verbs also have a simulated root. By NLTK's rule, its distance from a verb is one more
than the distance to the verb's *furthest* hypernym. So the root is not a node of the
graph, but a second path between any two verbs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsi_cli.wordnet.database.taxonomy import (
    Nodes,
    Rows,
    Taxonomy,
    ancestors,
    check_nodes,
    load,
    parent_edges,
)

Bytes = npt.NDArray[np.uint8]
NO_HYPERNYM = -1
"""The height and hypernym of two nodes without a common one; nouns and verbs of WordNet
3.0 always have one.
"""
LABELS_PER_BLOCK = 512
"""The number of labels that are compared with all labels at once; their rows fit into
the processor's cache.
"""
UNREACHABLE = 200
"""The byte for "no path": longer than any path (WordNet's longest has 38 edges), and
adding an edge cannot exceed 255.
"""
_SIMILARITIES = np.where(
    np.arange(256) < UNREACHABLE, 1.0 / (1.0 + np.arange(256)), 0.0
)
"""The similarity for each distance."""


def path_similarity(
    nodes: Nodes, taxonomy: Taxonomy | None = None
) -> npt.NDArray[np.float64]:
    """Return the SCSM: 1 / (1 + shortest path), in (0, 1].

    Raise `UsageError` if a number is not a node of the taxonomy, such as -1, which
    marks unresolved labels in tables.

    Parameters
    ----------
    nodes : (N,) int, one node per class, in any order; a node may be repeated.
    taxonomy : the taxonomy of the nodes, by default WordNet 3.0.

    Returns
    -------
    (N, N) float64
        An exactly symmetric array, 1 on the diagonal, and 0 for pairs without a common
        hypernym. On WordNet 3.0 it is bit-identical to NLTK's ``path_similarity``.

    Examples
    --------
    >>> path_similarity([load().node(name) for name in ("dog.n.01", "cat.n.01")])
    array([[1. , 0.2],
           [0.2, 1. ]])
    """
    return all_pairs(nodes, taxonomy, _SIMILARITIES)


class PathRows:
    """The SCSM with rows that are computed on demand
    (`dsi_cli.metrics.blockwise.RowSource`).

    Parameters and errors are those of `path_similarity`.
    """

    def __init__(self, nodes: Nodes, taxonomy: Taxonomy | None = None) -> None:
        self._taxonomy = taxonomy or load()
        self.nodes = check_nodes(nodes, len(self._taxonomy.offsets))
        self.size = len(self.nodes)
        self._levels = ancestor_levels(self._taxonomy, self.nodes)
        self._to_root = (
            distances_to_root(self._levels) if self._taxonomy.simulates_root else None
        )

    def distances(self, start: int, stop: int) -> Bytes:
        """Return the distances ``(stop - start, N)`` in edges from some labels to all;
        ``UNREACHABLE`` (200) without a path.

        Memory in bytes is the number of these labels times the number of ancestors of
        all labels.
        """
        rows = distances_up(self._levels, self._levels.labels[start:stop])
        shorten_over_parents(self._levels, rows)
        distances = np.ascontiguousarray(rows[self._levels.labels].T)
        if self._to_root is not None:
            np.minimum(
                distances,
                self._to_root[start:stop, None] + self._to_root,
                out=distances,
            )
        return distances

    def block(self, start: int, stop: int, /) -> npt.NDArray[np.float32]:
        """Return the rows ``(stop - start, N)`` from ``start`` up to ``stop``, the
        diagonal included.
        """
        return _SIMILARITIES.astype(np.float32)[self.distances(start, stop)]

    def take(self, indices: Sequence[int] | Rows, /) -> PathRows:
        """Return the matrix of some of the labels, in the order of ``indices``."""
        return PathRows(self.nodes[np.asarray(indices, dtype=np.intp)], self._taxonomy)


def distances_to_root(levels: AncestorLevels) -> Bytes:
    """Return the number of edges from each label to the simulated root ``(N,)``."""
    distances = np.zeros(len(levels.labels), dtype=np.uint8)
    for start in range(0, len(distances), LABELS_PER_BLOCK):
        rows = distances_up(levels, levels.labels[start : start + LABELS_PER_BLOCK])
        distances[start : start + LABELS_PER_BLOCK] = 1 + np.where(
            rows < UNREACHABLE, rows, 0
        ).max(axis=0)
    return distances


@dataclass(frozen=True)
class AncestorLevels:
    """The labels' ancestors as rows, sorted by depth (the longest path to a root), so
    that parents precede children.

    ``nodes`` is the node of each row, ``labels`` the row of each label. ``graph`` holds
    the rows' parents as row numbers. In a step ``(first, last, parents)``, ``parents``
    are the k-th parents of the rows from ``first`` to ``last``. Rows of equal depth are
    sorted by their number of parents, most first.
    """

    nodes: Rows
    labels: Rows
    graph: Taxonomy
    steps: tuple[tuple[int, int, npt.NDArray[np.int32]], ...]


def ancestor_levels(taxonomy: Taxonomy, nodes: Nodes) -> AncestorLevels:
    """Return the ancestors of the nodes of labels in the order of the downward pass,
    parents first; errors as `path_similarity`.
    """
    labels = check_nodes(nodes, len(taxonomy.offsets))
    nodes = ancestors(taxonomy, labels)
    count = np.diff(taxonomy.starts)[nodes]
    depth = taxonomy.depths[nodes]
    order = np.lexsort((-count, depth))
    nodes, count, depth = nodes[order], count[order], depth[order]
    row = np.zeros(len(taxonomy.offsets), dtype=np.intp)
    row[nodes] = np.arange(len(nodes))
    starts = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
    parents = row[parent_edges(taxonomy, nodes)[1]].astype(np.int32)
    steps = []
    for first in np.flatnonzero(np.diff(depth, prepend=-1)):
        for k in range(count[first]):
            last = first + np.count_nonzero((depth == depth[first]) & (count > k))
            steps.append((int(first), int(last), parents[starts[first:last] + k]))
    graph = Taxonomy(taxonomy.offsets[nodes], (), depth, starts, parents)
    return AncestorLevels(nodes, row[labels], graph, tuple(steps))


def distances_up(levels: AncestorLevels, labels: Rows) -> Bytes:
    """Return the number of edges from each label (column) up to each ancestor (row),
    ``UNREACHABLE`` for other rows.

    This is a breadth-first search from all labels at once. A label has about ten
    ancestors, so few elements are written.
    """
    rows: Bytes = np.full(
        (len(levels.graph.offsets), len(labels)), UNREACHABLE, dtype=np.uint8
    )
    row, column, edges = labels, np.arange(len(labels)), 0
    while row.size:
        rows[row, column] = edges
        child, row = parent_edges(levels.graph, row)
        column = column[child]
        is_unvisited = rows[row, column] == UNREACHABLE
        row, column, edges = row[is_unvisited], column[is_unvisited], edges + 1
    return rows


def shorten_over_parents(levels: AncestorLevels, rows: Bytes) -> None:
    """Replace, in place, each distance by a shorter path through a parent, from the
    root down.
    """
    for first, last, parents in levels.steps:
        through_parent = rows[parents]
        through_parent += 1
        np.minimum(rows[first:last], through_parent, out=rows[first:last])


def all_pairs(
    nodes: Nodes, taxonomy: Taxonomy | None, table: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Return ``table[distance]`` for all pairs: ``(N, N)``, symmetric; the table has
    256 values, `UNREACHABLE` without a path.
    """
    rows = PathRows(nodes, taxonomy)
    out = np.empty((rows.size, rows.size), dtype=table.dtype)
    for start in range(0, rows.size, LABELS_PER_BLOCK):
        stop = min(start + LABELS_PER_BLOCK, rows.size)
        np.take(table, rows.distances(start, stop), out=out[start:stop], mode="clip")
    return out


def largest_over_common(
    levels: AncestorLevels, numbers: npt.NDArray[Any], lacking: float
) -> npt.NDArray[Any]:
    """Return the largest number over the common hypernyms of all pairs of labels: ``(N,
    N)``, exactly symmetric.

    Parameters
    ----------
    levels : the ancestors of the labels, from `ancestor_levels`.
    numbers : (A,), one number for each row of ``levels``; the result has their dtype.
    lacking : the value for pairs without a common hypernym; it must be smaller than all
        numbers.
    """
    is_below = distances_up(levels, levels.labels) < UNREACHABLE
    rows = np.where(is_below, numbers[:, None], np.array(lacking, dtype=numbers.dtype))
    for first, last, parents in levels.steps:
        np.maximum(rows[first:last], rows[parents], out=rows[first:last])
    return rows[levels.labels]


def common_heights(
    nodes: Nodes, taxonomy: Taxonomy | None = None
) -> npt.NDArray[np.int16]:
    """Return the height of the lowest common hypernym of all pairs, which measures the
    severity of a mistake.

    The result is ``(N, N)`` int16, symmetric, with ``NO_HYPERNYM`` for pairs without a
    common hypernym. Parameters and errors are those of `path_similarity`.

    Notes
    -----
    The height of a node is the number of edges on the longest path down to a class. The
    path is within the taxonomy of the classes and their hypernyms. So a class without
    other classes below it has height 0, even if WordNet has hyponyms of it. Of several
    common hypernyms, the one of least height counts. A simulated root is one edge above
    all other nodes. Source: Bertinetto et al. 2020 (arXiv 1912.09393), whose trees
    contain only the classes, too.

    Examples
    --------
    >>> common_heights([load().node(name) for name in ("dog.n.01", "cat.n.01", "car.n.01")])
    array([[ 0,  2, 10],
           [ 2,  0, 10],
           [10, 10,  0]], dtype=int16)
    """
    taxonomy = taxonomy or load()
    levels = ancestor_levels(taxonomy, nodes)
    heights = np.zeros(len(levels.nodes), dtype=np.int16)
    for first, last, parents in reversed(levels.steps):
        np.maximum.at(heights, parents, heights[first:last] + np.int16(1))
    lacking = np.iinfo(np.int16).min
    negative = largest_over_common(levels, -heights, lacking)
    root = int(heights.max(initial=0)) + 1 if taxonomy.simulates_root else NO_HYPERNYM
    return np.where(negative == lacking, np.int16(root), -negative)
