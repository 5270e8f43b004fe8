"""Common subsumers: the maximum, over the common hypernyms of two synsets, of a number that belongs to each node.

A label counts as its own hypernym. As for the shortest paths, no loop over pairs is needed. Each ancestor of the labels is a row
of an array. From the root down, each row is replaced by the maximum of itself and its parents' rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsi_cli.wordnet.database.taxonomy import Nodes, Taxonomy, check_nodes, load
from dsi_cli.wordnet.similarity import path_similarity
from dsi_cli.wordnet.similarity.path_similarity import UNREACHABLE, AncestorLevels

NO_HYPERNYM = -1
"""The height for two nodes without a common hypernym, which WordNet 3.0 does not have: its nouns and verbs have one root."""


def largest_over_common(levels: AncestorLevels, numbers: npt.NDArray[Any], lacking: float) -> npt.NDArray[Any]:
    """Return the largest number over the common hypernyms of all pairs of labels: ``(N, N)``, exactly symmetric.

    Parameters
    ----------
    levels
        The ancestors of the labels, from `dsi_cli.wordnet.similarity.path_similarity.ancestor_levels`.
    numbers : (A,)
        One number for each row of ``levels``; the result has their dtype.
    lacking
        The value for pairs without a common hypernym; it must be smaller than all numbers.
    """
    is_below = path_similarity.distances_up(levels, levels.labels) < UNREACHABLE
    rows = np.where(is_below, numbers[:, None], np.array(lacking, dtype=numbers.dtype))
    for first, last, parents in levels.steps:
        np.maximum(rows[first:last], rows[parents], out=rows[first:last])
    common: npt.NDArray[Any] = rows[levels.labels]
    return common


def common_heights(nodes: Nodes, taxonomy: Taxonomy | None = None) -> npt.NDArray[np.int16]:
    """Return the height of the lowest common hypernym of all pairs, which measures the severity of a mistake.

    The result is ``(N, N)`` int16, symmetric, with ``NO_HYPERNYM`` for pairs without a common hypernym. Parameters and errors are
    those of `dsi_cli.wordnet.similarity.path_similarity.path_similarity`.

    Notes
    -----
    The height of a node is the number of edges on the longest path down to a class. The path is within the taxonomy of the
    classes and their hypernyms. So a class without other classes below it has height 0, even if WordNet has hyponyms of it. Of
    several common hypernyms, the one of least height counts. A simulated root is one edge above all other nodes. Source:
    Bertinetto et al. 2020 (arXiv 1912.09393), whose trees contain only the classes, too.

    Examples
    --------
    >>> common_heights([load().node(name) for name in ("dog.n.01", "cat.n.01", "car.n.01")])
    array([[ 0,  2, 10],
           [ 2,  0, 10],
           [10, 10,  0]], dtype=int16)
    """
    taxonomy = taxonomy or load()
    levels = path_similarity.ancestor_levels(taxonomy, check_nodes(nodes, len(taxonomy.offsets)))
    heights = np.zeros(len(levels.nodes), dtype=np.int16)
    for first, last, parents in reversed(levels.steps):
        np.maximum.at(heights, parents, heights[first:last] + np.int16(1))
    lacking = np.iinfo(np.int16).min
    negative = largest_over_common(levels, -heights, lacking)
    root = int(heights.max(initial=0)) + 1 if taxonomy.simulates_root else NO_HYPERNYM
    return np.where(negative == lacking, np.int16(root), -negative)


def lowest_common_hypernyms(nodes: Nodes, taxonomy: Taxonomy | None = None) -> npt.NDArray[np.int32]:
    """Return the deepest common hypernym of all pairs: nodes ``(N, N)`` int32, or ``NO_HYPERNYM``; parameters as `common_heights`.

    >>> animals = lowest_common_hypernyms([load().node(name) for name in ("dog.n.01", "cat.n.01", "frog.n.01")])
    >>> [load().names[node] for node in animals[0]]
    ['dog.n.01', 'carnivore.n.01', 'vertebrate.n.01']
    """
    taxonomy = taxonomy or load()
    levels = path_similarity.ancestor_levels(taxonomy, check_nodes(nodes, len(taxonomy.offsets)))
    # Rows are sorted by depth, so the largest row is a deepest hypernym.
    rows = largest_over_common(levels, np.arange(len(levels.nodes), dtype=np.int32), NO_HYPERNYM)
    return np.where(rows == NO_HYPERNYM, NO_HYPERNYM, levels.nodes[rows]).astype(np.int32)
