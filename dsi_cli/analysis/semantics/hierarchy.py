"""The hierarchy that a run's classes hang in: WordNet's, or a taxonomy of one's own in its place.

It gives the order in which classes are shown, their groups, the severity of mistakes and, where the data set has none of its
own, the superclasses.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.wordnet.database import custom_taxonomy, taxonomy
from dsi_cli.wordnet.database.taxonomy import Taxonomy
from dsi_cli.wordnet.similarity import class_groups, common_subsumers

TWO_LEVELS = 2
"""Edges from the root of a taxonomy of superclasses to a class."""


@dataclass(frozen=True, eq=False)
class OpenedTaxonomy:
    """A taxonomy of one's own, read."""

    name: str
    """In the tables: the file's, without its suffix."""
    source: str
    """The file's name, for a person to read."""
    fingerprint: str
    """Twelve hex digits that change with the file."""
    taxonomy: Taxonomy

    def nodes(self, names: Sequence[str]) -> dict[int, int]:
        """Return the node of each class that is in it."""
        found = custom_taxonomy.match_labels(self.taxonomy, names)
        return {index: node for index, node in enumerate(found) if node is not None}


def open_tree(path: str | None) -> OpenedTaxonomy | None:
    """Return the taxonomy of a CSV file, None without a file.

    Raises
    ------
    UsageError
        The file cannot be read or is no taxonomy.
    """
    if path is None:
        return None
    found = custom_taxonomy.read_taxonomy(path)
    return OpenedTaxonomy(replace_infinities(Path(path).stem), Path(path).name, fingerprint(Path(path)), found)


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """The classes of a run in a taxonomy."""

    name: str
    """In the tables: ``wordnet3.0``."""
    source: str
    """Where a class must be known, for a person to read."""
    taxonomy: Taxonomy
    nodes: Mapping[int, int]
    """The node of each class that has one."""
    classes: int
    is_own: bool = False
    """Whether a person made it: then what holds most of the classes may be a group, and where it has two levels, any."""

    def order(self) -> list[int]:
        """Return the classes by the taxonomy, those that it lacks behind."""
        known = list(self.nodes)
        first = [known[place] for place in taxonomy.taxonomy_order(list(self.nodes.values()), self.taxonomy)]
        return [*first, *(index for index in range(self.classes) if index not in self.nodes)]

    def groups(self) -> tuple[str | None, ...]:
        """Return the name of the node that groups each class; None for those that no group holds."""
        nodes, shares = list(self.nodes.values()), class_groups.DEFAULT_SHARES
        if self.is_own and nodes:
            shares = (0.0 if self.taxonomy.depths[nodes].max() <= TWO_LEVELS else shares[0], 1.0)
        found = dict(zip(self.nodes, class_groups.find_groups(nodes, self.taxonomy, shares), strict=True))
        over = [found.get(index) for index in range(self.classes)]
        return tuple(None if node is None else self.taxonomy.names[node] for node in over)

    def heights(self) -> NDArray[np.float32]:
        """Return the height of the lowest common hypernym ``(C, C)``, NaN for classes without a node."""
        return scatter_to_classes(
            self.nodes, self.classes, lambda nodes: common_subsumers.common_heights(nodes, self.taxonomy), np.float32
        )


def scatter_to_classes(
    nodes: Mapping[int, int],
    classes: int,
    between: Callable[[Sequence[int]], NDArray[Any]],
    dtype: type[np.floating[Any]] = np.float64,
) -> NDArray[Any]:
    """Return what a measure gives between the nodes of classes ``(C, C)``, NaN for classes without one."""
    matrix = np.full((classes, classes), np.nan, dtype=dtype)
    if nodes:
        at = np.array(list(nodes))
        matrix[np.ix_(at, at)] = between(list(nodes.values()))
    return matrix


def by_superclass(order: Sequence[int], superclasses: Sequence[str | None]) -> list[int]:
    """Return an order in which the classes of a superclass stand together, where the first of them stood.

    >>> by_superclass([2, 0, 3, 1], ["pet", "tool", "tool", "pet"])
    [2, 1, 0, 3]
    """
    first: dict[str, int] = {}
    place = {index: k for k, index in enumerate(order)}
    for index in order:
        name = superclasses[index]
        if name is not None:
            first.setdefault(name, place[index])
    return sorted(order, key=lambda index: (first.get(superclasses[index] or "", place[index]), place[index]))


def fingerprint(path: Path) -> str:
    """Return twelve hex digits that change with a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def replace_infinities(stem: str) -> str:
    """Return a name that may be part of a file's name that every Parquet reader takes."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", stem).strip(".-") or "matrix"
