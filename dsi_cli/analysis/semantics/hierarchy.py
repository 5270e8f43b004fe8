"""The class hierarchy of a training run: WordNet, or a custom taxonomy that replaces
it.

The hierarchy gives the display order of the classes, their groups and the severity of
mistakes. It also gives the superclasses of datasets that define no superclasses
themselves.

The groups, which figures and reports show as brackets and blocks, come from the display
tree, where each node has one parent. So a group is a run of neighbours in the display
order. A hypernym may be a group if it holds 3 to 40 % of the classes, and at least two.
Of all sets of hypernyms without overlap, the most informative one is chosen: the
largest ``-sum p log p``, where ``p`` is a group's share of the classes. If several
hypernyms hold the same classes, the deepest is chosen.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.labels.label_list import LabelList
from dsi_cli.wordnet.database import custom_taxonomy, taxonomy
from dsi_cli.wordnet.database.taxonomy import (
    Nodes,
    Taxonomy,
    check_nodes,
    display_parents,
    load,
)
from dsi_cli.wordnet.similarity import path_similarity

SUPERCLASS_TREE_DEPTH = 2
"""The number of edges from the root to a class in a taxonomy that holds only
superclasses and classes.
"""
Shares = tuple[float, float]
DEFAULT_SHARES: Shares = (0.03, 0.40)
MIN_CLASSES = 2
# the largest share of the classes in one coarse group
MAX_COARSE_SHARE = 2 / 3
# sums of gains that differ by less are considered equal, because of rounding
MIN_GAIN = 1e-12


@dataclass(frozen=True, eq=False)
class CustomTaxonomy:
    """A taxonomy that was read from the user's file."""

    name: str  # the name in the tables: the file name without its suffix
    source: str  # the file name, for messages
    # twelve hex digits of a hash of its nodes, edges and names, which may come from
    # several files
    fingerprint: str
    taxonomy: Taxonomy

    def class_nodes(self, labels: LabelList | None) -> dict[int, int]:
        """Return the node of each class that the taxonomy contains, by class index.

        Raise `UsageError` if most classes are above all other nodes, as in a file of
        parents and children in the wrong order.
        """
        if labels is None:
            return {}
        matches = custom_taxonomy.match_labels(
            self.taxonomy, labels.names, labels.wnids
        )
        nodes = {index: node for index, node in enumerate(matches) if node is not None}
        root = self.taxonomy.node(custom_taxonomy.ROOT)
        inner = set(self.taxonomy.parents.tolist())
        tops = [
            node
            for node in nodes.values()
            if node in inner and set(self.taxonomy.parents_of(node)) <= {root}
        ]
        if len(tops) > max(1, len(nodes) / 2):
            message = (
                f"{self.source}: {len(tops)} of {len(nodes)} classes have children but"
                " no parent, as if the columns"
            )
            message += " were exchanged; begin the file with the line parent,child"
            raise UsageError(message, code="taxonomy-of-parents")
        return nodes


def open_taxonomy(path: str | None) -> CustomTaxonomy | None:
    """Return the taxonomy of a file, None without one; raise `UsageError` if the file
    contains no taxonomy.
    """
    if path is None:
        return None
    graph, file = custom_taxonomy.read_taxonomy(path), Path(path)
    content = repr(
        (graph.names, graph.parents.tolist(), graph.starts.tolist())
    ).encode()
    return CustomTaxonomy(
        safe_filename(file.stem),
        file.name,
        hashlib.sha256(content).hexdigest()[:12],
        graph,
    )


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """The classes of a training run in a taxonomy."""

    name: str  # the name in the tables, such as ``wordnet3.0``
    taxonomy: Taxonomy
    # the node of each class that the taxonomy contains, by class index
    nodes: Mapping[int, int]
    classes: int
    is_custom: bool = False
    """True if the user supplied the taxonomy; a group of a custom taxonomy may hold
    most of the classes.
    """

    def order(self) -> list[int]:
        """Return the classes in the order of the taxonomy, followed by the classes that
        it does not contain.
        """
        known = list(self.nodes)
        ordered = [
            known[position]
            for position in taxonomy.taxonomy_order(
                list(self.nodes.values()), self.taxonomy
            )
        ]
        return [
            *ordered,
            *(index for index in range(self.classes) if index not in self.nodes),
        ]

    def groups(self) -> tuple[str | None, ...]:
        """Return the name of the node that groups each class; None for classes without
        a group.
        """
        nodes = list(self.nodes.values())
        smallest, largest = DEFAULT_SHARES
        if self.is_custom and nodes:
            largest = 1.0
            if self.taxonomy.depths[nodes].max() <= SUPERCLASS_TREE_DEPTH:
                smallest = 0.0
        groups = find_groups(nodes, self.taxonomy, (smallest, largest))
        pairs = zip(self.nodes, groups, strict=True)
        names = {
            index: self.taxonomy.names[group]
            for index, group in pairs
            if group is not None
        }
        return tuple(map(names.get, range(self.classes)))

    @cached_property
    def heights(self) -> NDArray[np.float32]:
        """The height of the lowest common hypernym of every two classes ``(C, C)``, NaN
        for classes without a node.
        """
        measure = partial(path_similarity.common_heights, taxonomy=self.taxonomy)
        return scatter_to_classes(self.nodes, self.classes, measure).astype(np.float32)

    @cached_property
    def common_hypernyms(self) -> NDArray[np.float32]:
        """The number of nodes that two known classes and their hypernyms share ``(K,
        K)``, without the root.

        A class counts as its own hypernym. Rows are in the order of `nodes`.
        """
        from scipy.sparse import csr_array

        is_root = (np.diff(self.taxonomy.starts) == 0) & (
            not self.taxonomy.simulates_root
        )
        sets = []
        for node in self.nodes.values():
            closure = taxonomy.hypernym_closure(self.taxonomy, node)
            sets.append(
                [
                    node,
                    *(
                        above
                        for above in closure
                        if above != node and not is_root[above]
                    ),
                ]
            )
        starts = np.cumsum([0, *map(len, sets)])
        columns = np.concatenate(
            [np.array(members, dtype=np.int64) for members in sets]
        )
        members = csr_array(
            (np.ones(len(columns), dtype=np.float32), columns, starts),
            shape=(len(sets), len(is_root)),
        )
        return (members @ members.T).toarray()

    @cached_property
    def paths(self) -> NDArray[np.intp]:
        """The node of each known class at each level below the root ``(K, L)``, in the
        order of `nodes`.

        The path is the longest one, that of
        `dsi_cli.wordnet.database.taxonomy.display_parents`. At levels below a class,
        its own node is repeated. The last level is the first at which all classes are
        apart.
        """
        parents = taxonomy.display_parents(
            self.taxonomy, np.array(list(self.nodes.values()), dtype=np.intp)
        )
        chains = []
        for node in self.nodes.values():
            chain = [node]
            while parents[chain[-1]] >= 0:
                chain.append(parents[chain[-1]])
            if not self.taxonomy.simulates_root and len(chain) > 1:
                chain.pop()
            chains.append(chain[::-1])
        levels = max(map(len, chains))
        paths = np.array(
            [chain + [chain[-1]] * (levels - len(chain)) for chain in chains],
            dtype=np.intp,
        )
        nodes = [len(np.unique(level)) for level in paths.T]
        return paths[:, : nodes.index(nodes[-1]) + 1]

    def coarse_groups(self) -> NDArray[np.intp] | None:
        """Return the coarse group of each class ``(C,)``: its node at the first level below
        the root at which no node holds more than `MAX_COARSE_SHARE` of the classes; -1
        for classes that the taxonomy lacks, and None if there is no such level.
        """
        if not self.nodes:
            return None
        for level in self.paths.T[:-1]:
            _, sizes = np.unique(level, return_counts=True)
            if sizes.max() <= MAX_COARSE_SHARE * len(level):
                groups = np.full(self.classes, -1, dtype=np.intp)
                groups[list(self.nodes)] = level
                return groups
        return None


def scatter_to_classes(
    nodes: Mapping[int, int],
    classes: int,
    measure: Callable[[Sequence[int]], NDArray[Any]],
) -> NDArray[np.float64]:
    """Return the values of a measure for every two classes ``(C, C)``, NaN for classes
    without a node.

    The measure returns the values ``(N, N)`` for the N nodes, which are given by class
    index.
    """
    matrix = np.full((classes, classes), np.nan)
    if nodes:
        indices = np.array(list(nodes))
        matrix[np.ix_(indices, indices)] = measure(list(nodes.values()))
    return matrix


def gather_superclasses(
    order: Sequence[int], superclasses: Sequence[str | None]
) -> list[int]:
    """Return the order with the classes of each superclass together, at the position of
    the first of them.

    >>> gather_superclasses([2, 0, 3, 1], ["pet", "tool", "tool", "pet"])
    [2, 1, 0, 3]
    """
    members: dict[str | int, list[int]] = {}
    for index in order:
        members.setdefault(superclasses[index] or index, []).append(index)
    return [index for group in members.values() for index in group]


def file_fingerprint(path: Path) -> str:
    """Return the first twelve hex digits of a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def safe_filename(stem: str) -> str:
    """Return a name with only the characters that every Parquet reader accepts in a
    file name.
    """
    return re.sub(r"[^A-Za-z0-9.-]+", "-", stem).strip(".-") or "matrix"


def find_groups(
    nodes: Nodes, taxonomy: Taxonomy | None = None, shares: Shares = DEFAULT_SHARES
) -> list[int | None]:
    """Return the group of each class as a hypernym's node; None for classes without a
    group.

    There is one node per class ``(N,)``, in any order, and a node may be repeated. The
    default taxonomy is WordNet 3.0. A group has at least the first and at most the
    second of the two shares of the classes. Raise `UsageError` if a number is not a
    node of the taxonomy.

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
        group_of[node] = group_of[parents[node]]
        if group_of[node] is None and node in chosen:
            group_of[node] = node
    return [group_of[node] for node in labels]
