"""What two nouns, or verbs, have in common: over all hypernyms that both have, the largest of a number that each node has.

A label counts as its own hypernym. Like the shortest paths there is no loop over pairs: each ancestor of the labels is a row, and
on the way down from the root a row takes over what its parents know, if it is larger.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsi_cli.wordnet.database.taxonomy import Nodes, Taxonomy, check_nodes, load
from dsi_cli.wordnet.similarity import shortest_paths
from dsi_cli.wordnet.similarity.shortest_paths import UNREACHABLE, AncestorLevels

NO_HYPERNYM = -1
"""The height of two nodes without a common hypernym. WordNet 3.0's nouns have one root, verbs a simulated one: there is none."""


def largest_over_common(levels: AncestorLevels, numbers: npt.NDArray[Any], lacking: float) -> npt.NDArray[Any]:
    """Return the largest number over the common hypernyms of all pairs of labels.

    Parameters
    ----------
    levels
        Of the labels, by `dsi_cli.wordnet.similarity.shortest_paths.levels`.
    numbers : (A,)
        One for each row of ``levels``.
    lacking
        Below all numbers; what pairs without a common hypernym get.

    Returns
    -------
    (N, N)
        Of the type of ``numbers``, exactly symmetric.
    """
    is_below = shortest_paths.distances_up(levels, levels.labels) < UNREACHABLE
    rows = np.where(is_below, numbers[:, None], np.array(lacking, dtype=numbers.dtype))
    for first, last, above in levels.steps:
        np.maximum(rows[first:last], rows[above], out=rows[first:last])
    found: npt.NDArray[Any] = rows[levels.labels]
    return found


def common_heights(nodes: Nodes, taxonomy: Taxonomy | None = None) -> npt.NDArray[np.int16]:
    """Return the height of the lowest common hypernym of all pairs: how bad it is to take one for the other.

    Parameters
    ----------
    nodes : (N,) int
        One node a class, in any order; a node may come several times.
    taxonomy
        WordNet 3.0 unless given.

    Returns
    -------
    (N, N) int16
        Symmetric; ``NO_HYPERNYM`` (-1) without a common hypernym, which cannot be within WordNet 3.0.

    Raises
    ------
    UsageError
        A number is no node of the taxonomy.

    Notes
    -----
    The height of a node is the longest way down, in edges, to a class, in the taxonomy that the classes span: these and all their
    hypernyms. So a class with no other below it has height 0, whatever else WordNet has below it. Of several common hypernyms the
    one of least height counts; a simulated root is one edge above all else. Source: Bertinetto et al. 2020 (arXiv 1912.09393),
    whose trees hold the classes alone too.

    Examples
    --------
    >>> common_heights([load().node(name) for name in ("dog.n.01", "cat.n.01", "car.n.01")])
    array([[ 0,  2, 10],
           [ 2,  0, 10],
           [10, 10,  0]], dtype=int16)
    """
    taxonomy = taxonomy or load()
    levels = shortest_paths.ancestor_levels(taxonomy, check_nodes(nodes, len(taxonomy.offsets)))
    heights = np.zeros(len(levels.nodes), dtype=np.int16)
    for first, last, above in reversed(levels.steps):
        np.maximum.at(heights, above, heights[first:last] + np.int16(1))
    lacking = np.iinfo(np.int16).min
    found = largest_over_common(levels, -heights, lacking)
    root = int(heights.max(initial=0)) + 1 if taxonomy.simulates_root else NO_HYPERNYM
    return np.where(found == lacking, np.int16(root), -found)
