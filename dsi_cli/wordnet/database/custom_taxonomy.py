"""A custom taxonomy in place of WordNet, read from a file.

- CSV: a line ``child,parent`` for each edge, or the other order under a header
  ``parent,child``; a node is its name.
- A JSON tree: objects and lists (``{"pet": ["cat", "dog"]}``), or objects with ``name``
  and ``children``, and optionally ``id``. A leaf that occurs twice has two parents.
  Other nodes of the same name are different nodes if their parents differ.
- ImageNet (``wordnet.is_a.txt``) and BREEDS (``class_hierarchy.txt``): a line ``parent
  child`` of ids for each edge. Names come from ``node_names.txt`` or ``words.txt`` in
  the same folder, or else from WordNet.

If there are several roots, `ROOT` is added above them, as NLTK does for verbs, so that
any two nodes have a common hypernym.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from dsi_cli.errors import UsageError, wrong
from dsi_cli.wordnet.database import taxonomy
from dsi_cli.wordnet.database.taxonomy import MAX_DEPTH, Taxonomy

CHILD_WORDS = frozenset(
    [
        "child",
        "class",
        "name",
        "label",
        "node",
        "id",
        "subclass",
        "subcategory",
        "fine",
        "hyponym",
    ]
)
PARENT_WORDS = frozenset(
    ["parent", "superclass", "supercategory", "category", "group", "coarse", "hypernym"]
)
"""Words in the names of columns in the first line of a CSV file (``child``,
``node_id``, ``Parent class``), in either order.
"""
EXPECTED = (
    "a taxonomy: CSV with a line 'child,parent' for each edge, a JSON tree such as"
    ' {"pet": ["cat", "dog"]}, or a file of ImageNet or BREEDS'
)
CHILDREN = ("children", "subclasses")
ROOT = "*ROOT*"


@dataclass
class Edges:
    """The nodes of a file with their parents, and their names.

    A key identifies a node. Its name is the key if ``names`` does not contain it.
    """

    parents: dict[str, list[str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    # further names of nodes, each with the key
    aliases: list[tuple[str, str]] = field(default_factory=list)

    def add(self, child: str, parent: str | None) -> None:
        """Add a node with one of its parents, or a root."""
        known = self.parents.setdefault(child, [])
        if parent is not None:
            self.parents.setdefault(parent, [])
            if parent not in known:
                known.append(parent)

    def add_aliases(self, key: str, names: Iterable[str]) -> None:
        """Add further names of a node."""
        self.aliases += [(name, key) for name in dict.fromkeys(names)]

    def unique_names(self) -> dict[str, str]:
        """Return a name for each key; names that several nodes have are followed by the
        parent's name or the key.

        A leaf keeps its name if it is the only leaf with it.
        """
        named = {key: self.names.get(key, key) for key in self.parents}
        inner = {parent for parents in self.parents.values() for parent in parents}
        leaves = Counter(name for key, name in named.items() if key not in inner)
        total = Counter(named.values())
        unique = {}
        for key, name in named.items():
            unique[key] = name
            is_only_leaf = key not in inner and leaves[name] == 1
            if total[name] == 1 or is_only_leaf:
                continue
            above = self.parents[key]
            unique[key] = f"{name} ({key})"
            if above and f"{name} ({named[above[0]]})" not in total:
                unique[key] = f"{name} ({named[above[0]]})"
        repeated = Counter(unique.values())
        for key, name in named.items():
            if repeated[unique[key]] > 1:
                unique[key] = f"{name} ({key})"
        return unique


def _other_file(file: Path, found: str, code: str, **fields: Any) -> UsageError:
    """Return the error about a file that is no taxonomy."""
    message = f"{file}: expected {EXPECTED}, found {found}"
    return UsageError(message, code=code, **fields)


def read_edges(file: Path) -> Edges:
    """Return the edges of a file.

    Raise `UsageError` if the file cannot be read or has another format.
    """
    if file.is_dir():
        file /= "class_hierarchy.txt"
    text = _read_text(file)
    if file.suffix.lower() == ".json" or text.lstrip().startswith(("{", "[")):
        return _json_edges(file, text)
    lines = text.splitlines()
    pairs = [line.split() for line in lines if line.strip()]
    are_pairs = all(len(pair) == 2 for pair in pairs)
    if are_pairs and any(taxonomy.is_wnid(pair[0]) for pair in pairs):
        return _id_edges(file, pairs)
    return _csv_edges(file, lines)


def _csv_edges(file: Path, lines: Sequence[str]) -> Edges:
    edges = Edges()
    first = next(filter(str.strip, lines), "")
    delimiter = max(",;\t", key=first.count)
    is_parent_first = False
    for number, row in enumerate(csv.reader(lines, delimiter=delimiter), start=1):
        cells = [cell.strip() for cell in row]
        names = [cell for cell in cells if cell]
        if not names:
            continue
        if number == 1 and _is_header(cells):
            is_parent_first = not PARENT_WORDS.isdisjoint(_words(cells[0]))
            continue
        if len(names) != 2 or len(cells) != 2:
            raise _other_file(
                file,
                f"{len(names)} names in line {number}",
                "taxonomy-line",
                line=number,
                names=len(names),
            )
        child, parent = cells
        if is_parent_first:
            child, parent = parent, child
        edges.add(child, parent)
    return edges


def _is_header(cells: Sequence[str]) -> bool:
    """Return True if the cells of the first line name the columns of child and
    parent.
    """
    are_parents = [not PARENT_WORDS.isdisjoint(_words(cell)) for cell in cells]
    are_known = all(_words(cell) <= CHILD_WORDS | PARENT_WORDS for cell in cells)
    return are_known and sorted(are_parents) == [False, True]


def _words(cell: str) -> set[str]:
    return set(re.split(r"[\W_]+", cell.lower()))


def _read_text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        found = f"a file that could not be read ({error.strerror})"
        raise _other_file(
            file, found, "taxonomy-not-readable", reason=error.strerror
        ) from None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        found = "a file that is not text; save it as UTF-8"
        raise _other_file(file, found, "taxonomy-not-text")
    return text


def _id_edges(file: Path, pairs: Iterable[Sequence[str]]) -> Edges:
    """Return edges between ids, with the names of a file in the same folder or of
    WordNet.
    """
    edges = Edges()
    for parent, child in pairs:
        edges.add(child, parent)
    known = {}
    for name in ("words.txt", "node_names.txt"):
        if file.with_name(name).is_file():
            lines = _read_text(file.with_name(name)).splitlines()
            known = dict(line.split("\t", 1) for line in lines if "\t" in line)
    graph = taxonomy.load()
    for key in edges.parents:
        words = known.get(key, "").strip()
        synonyms = [name.strip() for name in words.split(",") if name.strip()]
        node = graph.node(key) if taxonomy.is_wnid(key) else None
        if synonyms:
            edges.names[key] = synonyms[0]
        elif node is not None:
            edges.names[key] = graph.names[node]
        edges.add_aliases(key, [key, words or key, *synonyms])
    return edges


def _json_edges(file: Path, text: str) -> Edges:
    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return an object; JSON would keep one of several equal names."""
        names = Counter(name for name, _ in pairs)
        for name, number in names.items():
            if number > 1:
                found = f"the name {name!r} twice in one object; merge the two"
                raise _other_file(file, found, "taxonomy-repeated-name", name=name)
        return dict(pairs)

    try:
        document = json.loads(text, object_pairs_hook=without_repeats)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else str(error)
        found = f"damaged JSON ({reason})"
        raise _other_file(file, found, "taxonomy-not-json", reason=reason) from None
    edges = Edges()
    if isinstance(document, list) and all(isinstance(it, dict) for it in document):
        keys = {key for entry in document for key in entry}
        if "name" in keys and keys & PARENT_WORDS and keys.isdisjoint(CHILDREN):
            found = f"objects with a {min(keys & PARENT_WORDS)} but no children"
            raise _other_file(file, found, "taxonomy-not-a-tree")
    _add_tree(edges, file, document, ())
    return edges


def _add_tree(edges: Edges, file: Path, tree: Any, path: tuple[str, ...]) -> None:
    """Add a part of a JSON tree below the node at a path of keys."""
    _require_depth(file, len(path))
    if isinstance(tree, list) and not any(isinstance(part, list) for part in tree):
        for part in tree:
            _add_tree(edges, file, part, path)
    elif isinstance(tree, dict) and isinstance(tree.get("name"), str):
        below = tree.get(CHILDREN[0]) or tree.get(CHILDREN[1])
        identity = tree.get("wnid", tree.get("id"))
        if not isinstance(identity, str | int):
            identity = None
        _add_node(edges, file, tree["name"], below, path, identity)
    elif isinstance(tree, dict) and not any(isinstance(v, str) for v in tree.values()):
        for name, below in tree.items():
            _add_node(edges, file, name, below, path, None)
    elif isinstance(tree, str) and tree.strip():
        edges.add(tree.strip(), path[-1] if path else None)
    elif tree is not None or not path:
        raise _other_file(file, json.dumps(tree)[:40], "taxonomy-not-a-tree")


def _add_node(
    edges: Edges,
    file: Path,
    name: str,
    below: Any,
    path: tuple[str, ...],
    identity: str | int | None,
) -> None:
    """Add a node and everything below it. An inner node is its id or its path; a leaf
    is its id or its name.
    """
    name, parent = name.strip(), path[-1] if path else None
    key = name
    if identity is not None and identity != "":
        key = str(identity)
    elif below:
        key = f"{parent or ''}/{name}"
    if edges.names.get(key, name) != name:
        found = f"the id {key} of both {edges.names[key]!r} and {name!r}"
        raise _other_file(file, found, "taxonomy-repeated-id", id=key)
    edges.add(key, parent)
    edges.names[key] = name
    if taxonomy.is_wnid(key):
        edges.aliases.append((key, key))
    if below:
        _add_tree(edges, file, below, (*path, key))


def read_taxonomy(path: str | PathLike[str]) -> Taxonomy:
    """Return the taxonomy of a file; nodes are in order of their names.

    Raise `UsageError` if the file cannot be read, has another format, is more than
    `MAX_DEPTH` deep, or has a cycle, which the message names.
    """
    file = Path(path)
    edges = read_edges(file)
    if not edges.parents:
        raise _other_file(file, "an empty file", "taxonomy-empty")
    unique_names = edges.unique_names()
    parents = {}
    for key, above in edges.parents.items():
        parents[unique_names[key]] = [unique_names[parent] for parent in above]
    roots = [name for name, above in parents.items() if not above]
    if len(roots) > 1:
        parents |= {root: [ROOT] for root in roots}
        parents[ROOT] = []
    # The depth is the number of edges on the longest path to a root.
    depths: dict[str, int] = {}
    try:
        for name in TopologicalSorter(parents).static_order():
            above_depths = [depths[parent] for parent in parents[name]]
            depths[name] = 1 + max(above_depths, default=-1)
    except CycleError as error:
        above = error.args[1][:0:-1]  # from each child to its parent
        first = above.index(min(above))
        cycle = [*above[first:], *above[:first], above[first]]
        found = f"the cycle {' -> '.join(cycle)}; remove one edge"
        raise _other_file(file, found, "taxonomy-cycle", cycle=cycle) from None
    _require_depth(file, max(depths.values()))
    names = sorted(parents)
    nodes = {name: node for node, name in enumerate(names)}
    counts = [len(parents[name]) for name in names]
    parent_names = [parent for name in names for parent in parents[name]]
    return Taxonomy(
        offsets=np.arange(len(names), dtype=np.int32),
        names=tuple(names),
        depths=np.array([depths[name] for name in names], dtype=np.uint8),
        starts=np.cumsum([0, *counts]).astype(np.int32),
        parents=np.array([nodes[name] for name in parent_names], dtype=np.int32),
        aliases=tuple(
            (alias, nodes[unique_names[key]]) for alias, key in edges.aliases
        ),
    )


def _require_depth(file: Path, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise wrong(
            file,
            f"a taxonomy of {MAX_DEPTH} levels or fewer",
            depth,
            code="taxonomy-too-deep",
            depth=depth,
        )


def match_labels(
    taxonomy: Taxonomy, labels: Sequence[str], wnids: Sequence[str | None] | None = None
) -> list[int | None]:
    """Return the node of each label, None for labels that the taxonomy lacks.

    The WordNet id of a label has priority, then an exact name, then another name of a
    node. Otherwise case and separators are ignored. A name that several nodes have
    means none of them.
    """
    names = [(name, node) for node, name in enumerate(taxonomy.names)]
    exact = _unambiguous(taxonomy.aliases) | dict(names)
    plain = _unambiguous(
        [(_plain(name), node) for name, node in (*names, *taxonomy.aliases)]
    )
    nodes = []
    for label, wnid in zip(labels, wnids or [None] * len(labels), strict=True):
        node = exact.get(wnid or "")
        if node is None:
            node = exact.get(label.strip(), plain.get(_plain(label)))
        nodes.append(node)
    return nodes


def _unambiguous(names: Iterable[tuple[str, int]]) -> dict[str, int | None]:
    """Return the node of each name; None for a name of several nodes."""
    nodes: dict[str, int | None] = {}
    for name, node in names:
        nodes[name] = node if nodes.get(name, node) == node else None
    return nodes


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
