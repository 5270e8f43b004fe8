"""Groups of classes: the hypernyms that brackets, blocks and superclasses show.

The rule. Taken is the tree in which classes are shown (`taxonomy.display_parents`: of several hypernyms the deepest), so a
group is a stretch of neighbours in `taxonomy.taxonomy_order`, and groups never overlap. A hypernym may be a group if it holds
3 to 40 % of the classes, and two or more. Of all sets of such hypernyms that do not overlap, the one that says most about a
class: the largest ``-sum p log p`` over groups, where ``p`` is a group's share of the classes. So a large group is split where
its parts hold most of its classes, and is kept where they would leave many out. Of hypernyms that hold the same classes the
deepest gives the name. What no group holds has none. Other shares than 3 to 40 % may be asked for.
"""

from __future__ import annotations

from math import log

from dsi_cli.wordnet.database.taxonomy import Nodes, Rows, Taxonomy, check_nodes, display_parents, load

Shares = tuple[float, float]
DEFAULT_SHARES: Shares = (0.03, 0.40)
MIN_CLASSES = 2
MIN_GAIN = 1e-12
"""Sums of gains that differ by less are the same but for rounding."""


def find_groups(nodes: Nodes, taxonomy: Taxonomy | None = None, shares: Shares = DEFAULT_SHARES) -> list[int | None]:
    """Return the group of each class, a hypernym's node; None for classes that no group holds.

    Parameters
    ----------
    nodes : (N,) int
        One node a class, in any order, which changes nothing; a node may come several times.
    taxonomy
        WordNet 3.0 unless given.
    shares
        The smallest and the largest share of the classes that a group may hold; never all of them.

    Raises
    ------
    UsageError
        A number is no node of the taxonomy.

    Examples
    --------
    >>> nodes = [load().node(f"{word}.n.01") for word in ("cat", "truck", "dog", "car", "frog")]
    >>> [None if group is None else load().names[group] for group in groups(nodes)]
    ['carnivore.n.01', 'motor_vehicle.n.01', 'carnivore.n.01', 'motor_vehicle.n.01', None]
    """
    taxonomy = taxonomy or load()
    labels = check_nodes(nodes, len(taxonomy.offsets))
    parents = display_parents(taxonomy, labels)
    bottom_up = sorted(parents, key=lambda node: (-int(taxonomy.depths[node]), node))
    chosen = _chosen(bottom_up, parents, _sizes(bottom_up, parents, labels), len(labels), shares)
    of_node: dict[int, int | None] = {-1: None}
    for node in reversed(bottom_up):
        above = of_node[parents[node]]
        of_node[node] = node if above is None and node in chosen else above
    return [of_node[int(node)] for node in labels]


def _sizes(bottom_up: list[int], parents: dict[int, int], labels: Rows) -> dict[int, int]:
    """Return how many classes lie at or below each node."""
    sizes = dict.fromkeys([-1, *bottom_up], 0)
    for node in labels:
        sizes[int(node)] += 1
    for node in bottom_up:
        sizes[parents[node]] += sizes[node]
    return sizes


def _chosen(bottom_up: list[int], parents: dict[int, int], sizes: dict[int, int], classes: int, shares: Shares) -> set[int]:
    """Return the hypernyms that beat the best choice below them; where one lies below another, the upper one counts."""
    best = dict.fromkeys([-1, *bottom_up], 0.0)
    chosen = set()
    for node in bottom_up:
        gain = _gain(sizes[node], classes, shares)
        if gain > best[node] + MIN_GAIN:
            chosen.add(node)
            best[node] = gain
        best[parents[node]] += best[node]
    return chosen


def _gain(size: int, classes: int, shares: Shares) -> float:
    share, (smallest, largest) = size / classes, shares
    return -share * log(share) if size >= MIN_CLASSES and smallest <= share <= largest else 0.0
