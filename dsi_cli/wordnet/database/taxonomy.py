"""The taxonomy of WordNet's nouns or verbs: nodes, their ids, names and parents, and
the display order of classes.

A *node* is a row of the taxonomy, 0 to M - 1 in ascending order of synset offsets. A
*WordNet id* is ``n`` or ``v`` and the offset in eight digits. Hypernyms and instance
hypernyms are both *parents*, in the order of WordNet's files. Verbs have hundreds of
roots; a root above these is *simulated*, as NLTK does, so that any two verbs have a
common hypernym.
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
"""A function that returns one of five tables by name: ``graph``, ``glosses``,
``kinds``, ``lemmas``, ``exceptions``.
"""
# the maximum number of edges from a root, because distances are stored as bytes
MAX_DEPTH = 90
# the parts of speech that have a taxonomy, and the first letter of their ids
PARTS = {"noun": "n", "verb": "v"}


@dataclass(frozen=True, eq=False)
class Taxonomy:
    """A graph of hypernyms with M nodes."""

    offsets: npt.NDArray[np.int32]  # synset offsets ``(M,)`` in ascending order
    names: tuple[str, ...]  # synset names, such as ``dog.n.01``
    # the number of edges on the longest path to a root ``(M,)``
    depths: npt.NDArray[np.uint8]
    # ``(M + 1,)``; the parents of node ``v`` are ``parents[starts[v]:starts[v + 1]]``
    starts: npt.NDArray[np.int32]
    # the parents of all nodes, in WordNet's order for each child
    parents: npt.NDArray[np.int32]
    letter: str = "n"  # the first letter of ids: ``n`` or ``v``
    simulates_root: bool = False  # True if all roots have a simulated common root

    def node(self, key: str | int) -> int | None:
        """Return the node of a WordNet id, an offset or a synset name; None if it is
        unknown.

        >>> dog = load().node("n02084071")
        >>> load().names[dog], dog == load().node("dog.n.01") == load().node(2084071), load().node("n99999999")
        ('dog.n.01', True, None)
        """
        if isinstance(key, str):
            if not is_wnid(key):
                return self._by_name.get(key)
            if key[0] != self.letter:
                return None
            key = int(key[1:])
        row = int(np.searchsorted(self.offsets, key))
        if row < len(self.offsets) and self.offsets[row] == key:
            return row
        return None

    def wnid(self, node: int) -> str:
        """Return a node's WordNet id.

        >>> load().wnid(load().node("dog.n.01"))
        'n02084071'
        """
        return f"{self.letter}{self.offsets[node]:08d}"

    def parents_of(self, node: int) -> list[int]:
        """Return a node's hypernyms and instance hypernyms, in WordNet's order."""
        return [
            int(parent)
            for parent in self.parents[self.starts[node] : self.starts[node + 1]]
        ]

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {name: node for node, name in enumerate(self.names)}


def is_wnid(text: str) -> bool:
    """Return True for a text in the format of noun and verb ids: ``n`` or ``v`` and
    eight digits.

    >>> is_wnid("n02084071"), is_wnid("v01926311"), is_wnid("a00001740")
    (True, True, False)
    """
    return (
        len(text) == 9
        and text[0] in PARTS.values()
        and text.isascii()
        and text[1:].isdigit()
    )


def read_table(part: str, name: str, columns: list[str] | None = None) -> Any:
    """Return one of the package's compiled tables of a part of speech (`Tables`)."""
    with (
        as_file(files("dsi_cli.wordnet") / "data" / part / f"{name}.parquet") as path,
        pq.ParquetFile(path) as file,
    ):
        return file.read(columns).combine_chunks()


def to_numpy(column: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return a column without nulls as a read-only array; pyarrow's ``to_numpy`` would
    import pandas (0.2 s).
    """
    array = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    return np.frombuffer(array.buffers()[1], dtype, count=len(array))


def offsets_and_values(
    column: Any,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the ``L + 1`` offsets and the concatenated values of a column of ``L``
    lists of int32.
    """
    array = column.combine_chunks()
    return to_numpy(array.offsets, np.dtype(np.int32)), to_numpy(
        array.values, np.dtype(np.int32)
    )


def taxonomy_from_tables(tables: Tables, part: str) -> Taxonomy:
    """Return the taxonomy of a part of speech from its tables, without reading the
    glosses.
    """
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
    """Return WordNet 3.0's 82,115 nouns or 13,767 verbs (read once per process, about
    20 ms).
    """
    return taxonomy_from_tables(partial(read_table, part), part)


def check_nodes(nodes: Nodes, count: int) -> Rows:
    """Return nodes as an array; raise `UsageError` if one is not one of the ``count``
    nodes, such as -1 for unresolved labels.
    """
    checked = np.asarray(nodes, dtype=np.intp).reshape(-1)
    wrong = np.flatnonzero((checked < 0) | (checked >= count))
    if wrong.size:
        position = int(wrong[0])
        node = int(checked[position])
        message = (
            f"expected nodes from 0 to {count - 1}, found {node} at position {position}"
        )
        raise UsageError(
            message,
            hint="leave out unresolved labels",
            code="unknown-node",
            node=node,
            position=position,
        )
    return checked


def parent_edges(taxonomy: Taxonomy, nodes: Rows) -> tuple[Rows, Rows]:
    """Return all edges from ``nodes`` to their parents as two arrays: positions in
    ``nodes``, and parent nodes.
    """
    first = taxonomy.starts[nodes]
    count = taxonomy.starts[nodes + 1] - first
    child = np.repeat(np.arange(len(nodes)), count)
    within = np.arange(len(child)) - np.repeat(np.cumsum(count) - count, count)
    return child, taxonomy.parents[first[child] + within].astype(np.intp)


@lru_cache(maxsize=65536)
def hypernym_closure(taxonomy: Taxonomy, node: int) -> frozenset[int]:
    """Return a node and all its direct and indirect hypernyms."""
    return frozenset((node,)).union(
        *(hypernym_closure(taxonomy, parent) for parent in taxonomy.parents_of(node))
    )


def ancestors(taxonomy: Taxonomy, nodes: Rows) -> Rows:
    """Return the nodes and all their direct and indirect hypernyms, sorted and without
    repeats.
    """
    seen = np.zeros(len(taxonomy.offsets), dtype=bool)
    unseen = np.unique(nodes)
    while unseen.size:
        seen[unseen] = True
        _, parents = parent_edges(taxonomy, unseen)
        unseen = np.unique(parents[~seen[parents]])
    return np.flatnonzero(seen)


def display_parents(taxonomy: Taxonomy, nodes: Rows) -> dict[int, int]:
    """Return the display tree as ``{node: parent}`` for the nodes and all their
    hypernyms, sorted by node.

    The parent is the deepest one, because it is the most specific, and the first of
    equals in WordNet's order. Roots have the parent -1.
    """
    return {
        node: max(
            taxonomy.parents_of(node), key=taxonomy.depths.__getitem__, default=-1
        )
        for node in ancestors(taxonomy, nodes).tolist()
    }


def taxonomy_order(nodes: Nodes, taxonomy: Taxonomy | None = None) -> Rows:
    """Return an order of the classes that keeps related classes adjacent: depth-first
    through their hypernyms.

    Raise `UsageError` if a number is not a node of the taxonomy.

    Parameters
    ----------
    nodes : (N,) int, one node per class, in any order; repeated nodes keep their order.
    taxonomy : the taxonomy of the nodes, by default WordNet 3.0.

    Returns
    -------
    (N,) int
        A permutation: the index of the first class, of the second, and so on. A class
        precedes its hyponyms.

    Notes
    -----
    If a node has several parents, it is placed under the deepest, the first of equals
    in WordNet's order. A dog is a canine before it is a domestic animal. Over all
    hypernyms of ImageNet-1k this rule splits 91 groups; taking the first parent splits
    122. Siblings are sorted by offset, which keeps WordNet's topics together and does
         not depend on the order of the classes.

    Examples
    --------
    >>> names = ["car.n.01", "dog.n.01", "rose.n.01", "wolf.n.01", "truck.n.01"]
    >>> [names[k] for k in taxonomy_order([load().node(name) for name in names])]
    ['dog.n.01', 'wolf.n.01', 'rose.n.01', 'car.n.01', 'truck.n.01']
    """
    taxonomy = taxonomy or load()
    labels = check_nodes(nodes, len(taxonomy.offsets))
    children: dict[int, list[int]] = {}
    for node, parent in reversed(display_parents(taxonomy, labels).items()):
        children.setdefault(parent, []).append(node)
    rank: dict[int, int] = {}
    stack = [-1]  # the parent of all roots
    while stack:
        node = stack.pop()
        rank[node] = len(rank)
        stack.extend(children.get(node, ()))
    return np.argsort([rank[node] for node in labels.tolist()], kind="stable")
