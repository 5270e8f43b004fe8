"""A custom taxonomy in place of WordNet, read from a file; a node is its name.

- CSV: a line ``child,parent`` for each edge, or the other order under a header
  ``parent,child``.
- A JSON tree of objects and lists: ``{"pet": ["cat", "dog"]}``. A leaf that occurs
  twice has two parents.

If there are several roots, `ROOT` is added above them, as NLTK does for verbs, so that
any two nodes have a common hypernym.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from dsi_cli.errors import UsageError, wrong
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
    "a taxonomy: CSV with a line 'child,parent' for each edge, or a JSON tree such as"
    ' {"pet": ["cat", "dog"]}'
)
ROOT = "*ROOT*"
Edges: TypeAlias = dict[str, list[str]]
"""The parents of each node, in the order of the file."""


def _add(edges: Edges, child: str, parent: str | None) -> None:
    """Add a node with one of its parents, or a root."""
    known = edges.setdefault(child, [])
    if parent is not None:
        edges.setdefault(parent, [])
        if parent not in known:
            known.append(parent)


def _other_file(file: Path, found: str, code: str, **fields: Any) -> UsageError:
    """Return the error about a file that is no taxonomy."""
    message = f"{file}: expected {EXPECTED}, found {found}"
    return UsageError(message, code=code, **fields)


def read_edges(file: Path) -> Edges:
    """Return the edges of a file.

    Raise `UsageError` if the file cannot be read or has another format.
    """
    text = _read_text(file)
    if file.suffix.lower() == ".json" or text.lstrip().startswith(("{", "[")):
        return _json_edges(file, text)
    return _csv_edges(file, text.splitlines())


def _csv_edges(file: Path, lines: Sequence[str]) -> Edges:
    edges: Edges = {}
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
        _add(edges, child, parent)
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


def _json_edges(file: Path, text: str) -> Edges:
    edges: Edges = {}
    inner: set[str] = set()

    def inner_nodes(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return an object, whose names are inner nodes; one that occurs twice would be
        one node with the children of both.
        """
        for name, below in pairs:
            if name in inner:
                found = f"the name {name!r} twice above others; rename one of the two"
                raise _other_file(file, found, "taxonomy-repeated-name", name=name)
            if below:
                inner.add(name)
        return dict(pairs)

    try:
        document = json.loads(text, object_pairs_hook=inner_nodes)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else str(error)
        found = f"damaged JSON ({reason})"
        raise _other_file(file, found, "taxonomy-not-json", reason=reason) from None
    _add_tree(edges, file, document, ())
    return edges


def _add_tree(edges: Edges, file: Path, tree: Any, path: tuple[str, ...]) -> None:
    """Add a part of a JSON tree below the node at a path of names."""
    _require_depth(file, len(path))
    parent = path[-1] if path else None
    if isinstance(tree, list) and not any(isinstance(part, list) for part in tree):
        for part in tree:
            _add_tree(edges, file, part, path)
    elif isinstance(tree, dict) and not any(isinstance(v, str) for v in tree.values()):
        for name, below in tree.items():
            _add(edges, name, parent)
            if below:
                _add_tree(edges, file, below, (*path, name))
    elif isinstance(tree, str) and tree.strip():
        _add(edges, tree.strip(), parent)
    else:
        raise _other_file(file, json.dumps(tree)[:40], "taxonomy-not-a-tree")


def read_taxonomy(path: str | PathLike[str]) -> Taxonomy:
    """Return the taxonomy of a file; nodes are in order of their names.

    Raise `UsageError` if the file cannot be read, has another format, is more than
    `MAX_DEPTH` deep, or has a cycle, which the message names.
    """
    file = Path(path)
    parents = read_edges(file)
    if not parents:
        raise _other_file(file, "an empty file", "taxonomy-empty")
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

    The WordNet id of a label has priority, then an exact name. Otherwise case and
    separators are ignored. A name that several nodes have means none of them.
    """
    exact = {name: node for node, name in enumerate(taxonomy.names)}
    plain = _unambiguous((_plain(name), node) for name, node in exact.items())
    nodes: list[int | None] = []
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
