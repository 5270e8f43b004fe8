"""The taxonomy of WordNet's nouns, or of its verbs: nodes, their ids, names and parents, and the order of classes.

Conventions. A *node* is a row of the taxonomy, 0 to M - 1 by rising synset offset; a *WordNet id* is ``n`` or ``v`` and the
offset in eight digits. Hypernyms and instance hypernyms are both *parents*, in the order of WordNet's files. Verbs have hundreds
of roots; a root above these is *simulated*, as NLTK does, so that any two verbs have something in common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from dsi_cli.errors import UsageError

Rows = npt.NDArray[np.intp]
Nodes = Sequence[int] | npt.NDArray[np.integer[Any]]
Tables = Callable[[str], Any]
"""Gives one of the five tables of a part of speech: ``graph``, ``glosses``, ``kinds``, ``lemmas``, ``exceptions``."""

PARTS = {"noun": "n", "verb": "v"}
"""Parts of speech that have a taxonomy, and the letter of their ids."""


@dataclass(frozen=True, eq=False)
class Taxonomy:
    """A graph of hypernyms.

    Attributes
    ----------
    offsets : (M,) int32
        Synset offsets, rising.
    names : tuple of M str
        Synset names, such as ``dog.n.01``.
    depths : (M,) uint8
        Edges of the longest way to a root.
    starts : (M + 1,) int32
        The parents of node ``v`` are ``parents[starts[v]:starts[v + 1]]``.
    parents : (E,) int32
        Nodes, in WordNet's order for each child.
    letter : str
        What ids begin with: ``n`` or ``v``.
    simulates_root : bool
        Whether a root above all roots is thought of.
    """

    offsets: npt.NDArray[np.int32]
    names: tuple[str, ...]
    depths: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int32]
    parents: npt.NDArray[np.int32]
    letter: str = "n"
    simulates_root: bool = False

    def node(self, key: str | int) -> int | None:
        """Return the node of a WordNet id, an offset or a synset's own name, or None where there is none.

        Examples
        --------
        >>> dog = load().node("n02084071")
        >>> load().names[dog], dog == load().node("dog.n.01") == load().node(2084071)
        ('dog.n.01', True)
        >>> load().node("n99999999") is None
        True
        """
        if isinstance(key, str):
            if not is_wnid(key):
                return self._by_name.get(key)
            if key[0] != self.letter:
                return None
            key = int(key[1:])
        row = int(np.searchsorted(self.offsets, key))
        return row if row < len(self.offsets) and self.offsets[row] == key else None

    def wnid(self, node: int) -> str:
        """Return a node's WordNet id.

        Examples
        --------
        >>> load().wnid(load().node("dog.n.01"))
        'n02084071'
        """
        return f"{self.letter}{self.offsets[node]:08d}"

    def parents_of(self, node: int) -> list[int]:
        """Return a node's hypernyms and instance hypernyms, in WordNet's order."""
        return [int(parent) for parent in self.parents[self.starts[node] : self.starts[node + 1]]]

    @cached_property
    def shortest_depths(self) -> npt.NDArray[np.int16]:
        """Edges of the shortest way to a root ``(M,)``; ``depths`` has the longest."""
        shortest = np.zeros(len(self.offsets), dtype=np.int16)
        for depth in range(1, int(self.depths.max(initial=0)) + 1):
            nodes = np.flatnonzero(self.depths == depth)
            child, above = parent_edges(self, nodes)
            least = np.full(len(nodes), np.iinfo(np.int16).max, dtype=np.int16)
            np.minimum.at(least, child, shortest[above])
            shortest[nodes] = least + 1
        return shortest

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {name: node for node, name in enumerate(self.names)}


def is_wnid(text: str) -> bool:
    """Return whether a text has the form of a WordNet id of a noun or verb: ``n`` or ``v`` and eight digits.

    Examples
    --------
    >>> is_wnid("n02084071"), is_wnid("v01926311"), is_wnid("a00001740")
    (True, True, False)
    """
    return len(text) == 9 and text[0] in PARTS.values() and text.isascii() and text[1:].isdigit()


def read_table(part: str, name: str, columns: list[str] | None = None) -> Any:
    """Return one of the package's compiled tables of a part of speech, see `Tables`."""
    with as_file(files("dsi_cli.wordnet") / "data" / part / f"{name}.parquet") as path, pq.ParquetFile(path) as file:
        return file.read(columns).combine_chunks()


def to_numpy(column: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return a column without nulls as a read-only array; pyarrow's own way would import pandas (0.2 s)."""
    array = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    return np.frombuffer(array.buffers()[1], dtype, count=len(array))


def offsets_and_values(column: Any) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return a column of lists of int32 as (where each list starts, all values); there is one start more than lists."""
    array = column.combine_chunks()
    return to_numpy(array.offsets, np.dtype(np.int32)), to_numpy(array.values, np.dtype(np.int32))


def taxonomy_from_tables(tables: Tables, part: str) -> Taxonomy:
    """Return the taxonomy of a part of speech out of its tables; glosses are not touched."""
    table = tables("graph")
    starts, parents = offsets_and_values(table["parents"])
    return Taxonomy(
        offsets=to_numpy(table["offset"], np.dtype(np.int32)),
        names=tuple(table["name"].to_pylist()),
        depths=to_numpy(table["depth"], np.dtype(np.uint8)),
        starts=starts,
        parents=parents,
        letter=PARTS[part],
        simulates_root=part == "verb",
    )


@cache
def load(part: str = "noun") -> Taxonomy:
    """Return WordNet 3.0's 82,115 nouns or 13,767 verbs (read once a process, some 20 ms)."""
    return taxonomy_from_tables(partial(read_table, part), part)


def check_nodes(nodes: Nodes, count: int) -> Rows:
    """Return nodes as an array.

    Raises
    ------
    UsageError
        A number is no node of a taxonomy of ``count`` nodes, as the -1 that stands for "unresolved" elsewhere.
    """
    found = np.asarray(nodes, dtype=np.intp).reshape(-1)
    wrong = np.flatnonzero((found < 0) | (found >= count))
    if wrong.size:
        at = int(wrong[0])
        raise UsageError(
            f"expected nodes from 0 to {count - 1}, found {found[at]} at position {at}: leave out unresolved labels"
        )
    return found


def parent_edges(taxonomy: Taxonomy, nodes: Rows) -> tuple[Rows, Rows]:
    """Return every edge that leads up from ``nodes``: the position in ``nodes`` where it starts, and the parent."""
    first = taxonomy.starts[nodes]
    count = taxonomy.starts[nodes + 1] - first
    child = np.repeat(np.arange(len(nodes)), count)
    within = np.arange(len(child)) - np.repeat(np.cumsum(count) - count, count)
    return child, taxonomy.parents[first[child] + within].astype(np.intp)


@lru_cache(maxsize=65536)
def hypernym_closure(taxonomy: Taxonomy, node: int) -> frozenset[int]:
    """Return a node and all that lie above it."""
    return frozenset((node,)).union(*(hypernym_closure(taxonomy, parent) for parent in taxonomy.parents_of(node)))


def ancestors(taxonomy: Taxonomy, nodes: Rows) -> Rows:
    """Return the nodes and all that lie above them, each once, rising."""
    seen = np.zeros(len(taxonomy.offsets), dtype=bool)
    fresh = np.unique(nodes)
    while fresh.size:
        seen[fresh] = True
        _, above = parent_edges(taxonomy, fresh)
        fresh = np.unique(above[~seen[above]])
    return np.flatnonzero(seen)


def display_parents(taxonomy: Taxonomy, nodes: Rows) -> dict[int, int]:
    """Return the tree in which classes are shown: of nodes and all that lies above, rising, each one's only parent.

    That is the deepest parent, which says most, and WordNet's first of equals; -1 stands above the roots.
    """
    return {
        int(node): max(taxonomy.parents_of(int(node)), key=lambda above: taxonomy.depths[above], default=-1)
        for node in ancestors(taxonomy, nodes)
    }


def taxonomy_order(nodes: Nodes, taxonomy: Taxonomy | None = None) -> Rows:
    """Return the order in which classes of one group stand together: depth-first through their hypernyms.

    Parameters
    ----------
    nodes : (N,) int
        One node a class, in any order; a node may come several times.
    taxonomy
        WordNet 3.0 unless given.

    Returns
    -------
    (N,) int
        A permutation: the class that comes first, second, and so on. A class stands before the classes below it.

    Raises
    ------
    UsageError
        A number is no node of the taxonomy.

    Notes
    -----
    A node with several parents stands under the deepest, which says most (a dog is a canine before it is a domestic
    animal, a grouse a bird before it is game), and under WordNet's first of equals: over all hypernyms of ImageNet-1k
    this splits 91 groups, the first parent 122. Siblings stand by rising offset, which keeps WordNet's own topics
    together and does not depend on the order of the classes; copies of one node stay as they came.

    Examples
    --------
    >>> names = ["car.n.01", "dog.n.01", "rose.n.01", "wolf.n.01", "truck.n.01"]
    >>> [names[k] for k in taxonomy_order([load().node(name) for name in names])]
    ['dog.n.01', 'wolf.n.01', 'rose.n.01', 'car.n.01', 'truck.n.01']
    """
    taxonomy = taxonomy or load()
    labels = check_nodes(nodes, len(taxonomy.offsets))
    below: dict[int, list[int]] = {}
    for node, parent in reversed(display_parents(taxonomy, labels).items()):
        below.setdefault(parent, []).append(node)
    rank = np.zeros(len(taxonomy.offsets) + 1, dtype=np.intp)  # the last is of -1, which stands above the roots
    stack = [-1]
    for visited in range(1 + sum(map(len, below.values()))):
        node = stack.pop()
        rank[node] = visited
        stack.extend(below.get(node, ()))
    return np.argsort(rank[labels], kind="stable")
