"""Groups of classes: the hypernyms that figures and reports show as brackets, blocks and superclasses.

The groups come from the display tree (`taxonomy.display_parents`), where each node has one parent. So a group is a run of
neighbours in `taxonomy.taxonomy_order`, and groups never overlap. A hypernym may be a group if it holds 3 to 40 % of the classes,
and at least two. Among all sets of hypernyms without overlap, the algorithm chooses the most informative one: the largest
``-sum p log p``, where ``p`` is a group's share of the classes. So a large group is split if its parts hold most of its classes.
If several hypernyms hold the same classes, the deepest is chosen. Classes outside all groups have no group.
"""

from __future__ import annotations

from math import log

import numpy as np

from dsi_cli.wordnet.database.taxonomy import Nodes, Taxonomy, check_nodes, display_parents, load

Shares = tuple[float, float]
DEFAULT_SHARES: Shares = (0.03, 0.40)
MIN_CLASSES = 2
MIN_GAIN = 1e-12
"""Sums of gains that differ by less are considered equal, because of rounding."""


def find_groups(nodes: Nodes, taxonomy: Taxonomy | None = None, shares: Shares = DEFAULT_SHARES) -> list[int | None]:
    """Return the group of each class as a hypernym's node; None for classes without a group.

    Parameters
    ----------
    nodes : (N,) int
        One node per class; the order does not matter, and a node may be repeated.
    taxonomy
        The taxonomy of the nodes, by default WordNet 3.0.
    shares
        The smallest and the largest share of the classes in a group.

    Raises
    ------
    UsageError
        A number is not a node of the taxonomy.

    Examples
    --------
    >>> nodes = [load().node(f"{word}.n.01") for word in ("cat", "truck", "dog", "car", "frog")]
    >>> [None if group is None else load().names[group] for group in find_groups(nodes)]
    ['carnivore.n.01', 'motor_vehicle.n.01', 'carnivore.n.01', 'motor_vehicle.n.01', None]
    """
    taxonomy = taxonomy or load()
    labels = check_nodes(nodes, len(taxonomy.offsets)).tolist()
    parents = display_parents(taxonomy, np.array(labels, dtype=np.intp))
    bottom_up = sorted(parents, key=lambda node: (-int(taxonomy.depths[node]), node))
    # Count the classes at and below each node.
    sizes = dict.fromkeys([-1, *bottom_up], 0)
    for node in labels:
        sizes[node] += 1
    for node in bottom_up:
        sizes[parents[node]] += sizes[node]
    # Choose each hypernym that is more informative than the best choice below it.
    best = dict.fromkeys([-1, *bottom_up], 0.0)
    chosen = set()
    for node in bottom_up:
        share = sizes[node] / len(labels)
        gain = 0.0
        if sizes[node] >= MIN_CLASSES and shares[0] <= share <= shares[1]:
            gain = -share * log(share)
        if gain > best[node] + MIN_GAIN:
            chosen.add(node)
            best[node] = gain
        best[parents[node]] += best[node]
    # From the top down, the first chosen node becomes the group of all nodes below it.
    group_of: dict[int, int | None] = {-1: None}
    for node in reversed(bottom_up):
        group = group_of[parents[node]]
        if group is None and node in chosen:
            group = node
        group_of[node] = group
    return [group_of[node] for node in labels]
