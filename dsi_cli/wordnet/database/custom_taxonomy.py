"""A custom taxonomy in place of WordNet, read from a file.

- CSV: a line ``child,parent`` for each edge, or the other order under a header
  ``parent,child``; a node is its name.
- A JSON tree: objects and lists (``{"pet": ["cat", "dog"]}``), or objects with ``name``
  and ``children``, and optionally ``id``. A leaf that occurs twice has two parents.
  Other nodes of the same name are different nodes if their parents differ.
- ImageNet (``wordnet.is_a.txt``) and BREEDS (``class_hierarchy.txt``): a line ``parent
  child`` of ids for each edge. Names come from ``node_names.txt`` or ``words.txt`` in
  the same folder, or else from WordNet.
- ILSVRC 2012 (``meta.mat``): synsets and their children.
- iNaturalist (``categories.json``, or an annotation file with ``categories``): the
  ranks from kingdom to genus.
- COCO's annotation files: the supercategories.

If there are several roots, `ROOT` is added above them, as NLTK does for verbs, so that
any two nodes have a common hypernym.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.wordnet.database import taxonomy
from dsi_cli.wordnet.database.taxonomy import MAX_DEPTH, Taxonomy

CHILD_WORDS = frozenset(
    (
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
    )
)
PARENT_WORDS = frozenset(
    ("parent", "superclass", "supercategory", "category", "group", "coarse", "hypernym")
)
"""Words in the names of columns in the first line of a CSV file (``child``,
``node_id``, ``Parent class``), in either order.
"""
EXPECTED = (
    "a taxonomy: CSV with a line 'child,parent' for each edge, a JSON tree, or a file"
    " of ImageNet, BREEDS or iNaturalist"
)
RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")
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

    def unique_names(self) -> dict[str, str]:
        """Return a name for each key; names that several nodes have are followed by the
        parent's name or the key.

        A leaf keeps its name if it is the only leaf with it.
        """
        named = {key: self.names.get(key, key) for key in self.parents}
        inner = {parent for parents in self.parents.values() for parent in parents}
        leaves = Counter(name for key, name in named.items() if key not in inner)
        total = Counter(named.values())
        unique = dict(named)
        for key, name in named.items():
            if total[name] > 1 and (key in inner or leaves[name] > 1):
                above = [named[parent] for parent in self.parents[key]]
                candidate = f"{name} ({above[0]})" if above else f"{name} ({key})"
                unique[key] = candidate if candidate not in total else f"{name} ({key})"
        repeated = Counter(unique.values())
        return {
            key: name if repeated[name] == 1 else f"{named[key]} ({key})"
            for key, name in unique.items()
        }


def read_edges(file: Path) -> Edges:
    """Return the edges of a file.

    Raise `UsageError` if the file cannot be read or has another format.
    """
    if file.is_dir():
        file /= "class_hierarchy.txt"
    if file.suffix.lower() == ".mat":
        return _ilsvrc_synsets(file)
    text = _read_text(file)
    if file.suffix.lower() == ".json" or text.lstrip()[:1] in ("{", "["):
        return _json_edges(file, text)
    lines = text.splitlines()
    pairs = [line.split() for line in lines if line.strip()]
    if (
        pairs
        and all(len(pair) == 2 for pair in pairs)
        and any(taxonomy.is_wnid(pair[0]) for pair in pairs)
    ):
        return _id_edges(file, pairs)
    return _csv_edges(file, lines)


def _csv_edges(file: Path, lines: Sequence[str]) -> Edges:
    edges, is_parent_first = Edges(), False
    first = next(filter(str.strip, lines), "")
    for number, row in enumerate(
        csv.reader(lines, delimiter=max(",;\t", key=first.count)), start=1
    ):
        cells = [cell.strip() for cell in row]
        words = (
            [set(re.split(r"[\W_]+", cell.lower())) for cell in cells]
            if number == 1
            else []
        )
        is_parent = [not PARENT_WORDS.isdisjoint(column) for column in words]
        is_header = sorted(is_parent) == [False, True] and all(
            column <= CHILD_WORDS | PARENT_WORDS for column in words
        )
        is_parent_first |= is_header and is_parent[0]
        if not any(cells) or is_header:
            continue
        if len(cells) != 2 or not all(cells):
            names = len([cell for cell in cells if cell])
            message = f"{file}, line {number}: expected {EXPECTED}, found {names} names"
            raise UsageError(message, code="taxonomy-line", line=number, names=names)
        edges.add(*(reversed(cells) if is_parent_first else cells))
    return edges


def _read_text(file: Path) -> str:
    data = _read_bytes(file)
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        message = f"{file}: expected {EXPECTED}, found a file that is not text"
        raise UsageError(message, hint="save it as UTF-8", code="taxonomy-not-text")
    return text


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        message = (
            f"{file}: expected {EXPECTED}, but the file could not be read"
            f" ({error.strerror})"
        )
        raise UsageError(
            message, code="taxonomy-not-readable", reason=error.strerror
        ) from None


def _id_edges(file: Path, pairs: Iterable[Sequence[str]]) -> Edges:
    """Return edges between ids, with the names of a file in the same folder or of
    WordNet.
    """
    edges = Edges()
    for parent, child in pairs:
        edges.add(child, parent)
    known = {}
    names = next(
        filter(Path.is_file, map(file.with_name, ("node_names.txt", "words.txt"))), None
    )
    if names is not None:
        known = dict(
            line.split("\t", 1)
            for line in _read_text(names).splitlines()
            if "\t" in line
        )
    graph = taxonomy.load()
    for key in edges.parents:
        synonyms = [
            name.strip() for name in known.get(key, "").split(",") if name.strip()
        ]
        node = graph.node(key) if taxonomy.is_wnid(key) else None
        if synonyms:
            edges.names[key] = synonyms[0]
        elif node is not None:
            edges.names[key] = graph.names[node]
        edges.aliases += [
            (alias, key)
            for alias in dict.fromkeys((key, known.get(key, key).strip(), *synonyms))
        ]
    return edges


def _ilsvrc_synsets(file: Path) -> Edges:
    """Return the edges of the development kit of ILSVRC 2012."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    edges, data = Edges(), io.BytesIO(_read_bytes(file))
    try:
        rows = [
            {
                name: entry[name].ravel()
                for name in ("ILSVRC2012_ID", "WNID", "words", "children")
            }
            for entry in loadmat(data)["synsets"].ravel()  # type: ignore[arg-type]  # it reads open files, too
        ]
        keys = {int(row["ILSVRC2012_ID"][0]): str(row["WNID"][0]) for row in rows}
        for row in rows:
            key, words = str(row["WNID"][0]), str(row["words"][0])
            edges.add(key, None)
            edges.names[key] = words.split(",")[0]
            edges.aliases += [
                (alias.strip(), key)
                for alias in dict.fromkeys((key, words, *words.split(",")))
            ]
            for child in row["children"]:
                edges.add(keys[int(child)], key)
    except (
        MatReadError,
        zlib.error,
        OSError,
        IndexError,
        KeyError,
        NotImplementedError,
        TypeError,
        ValueError,
    ):
        message = (
            f"{file}: expected the synsets of ILSVRC 2012's meta.mat, found another"
            " file"
        )
        raise UsageError(message, code="taxonomy-not-synsets") from None
    return edges


def _json_edges(file: Path, text: str) -> Edges:
    try:
        document = json.loads(
            text, object_pairs_hook=lambda pairs: _without_repeats(file, pairs)
        )
    except (json.JSONDecodeError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else str(error)
        message = (
            f"{file}: expected a taxonomy as a JSON tree, but the file is not valid"
            f" JSON ({reason})"
        )
        raise UsageError(message, code="taxonomy-not-json", reason=reason) from None
    entries = (
        document.get("categories", document) if isinstance(document, dict) else document
    )
    is_table = (
        isinstance(entries, list)
        and entries
        and all(isinstance(entry, dict) for entry in entries)
    )
    if is_table and all(
        "name" in entry and ("kingdom" in entry or "supercategory" in entry)
        for entry in entries
    ):
        return _category_edges(entries)
    keys = {key for entry in entries for key in entry} if is_table else set()
    if "name" in keys and keys & PARENT_WORDS and keys.isdisjoint(CHILDREN):
        found = min(keys & PARENT_WORDS)
        message = f"{file}: the objects have a {found} but no children"
        raise UsageError(
            message,
            hint="write CSV with a line child,parent for each edge",
            code="taxonomy-not-a-tree",
            found=found,
        )
    edges = Edges()
    _add_tree(edges, file, document, ())
    return edges


def _without_repeats(file: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = [
        name
        for name, number in Counter(name for name, _ in pairs).items()
        if number > 1
    ]
    if repeated:
        message = (
            f"{file}: the name {repeated[0]!r} occurs twice in one object, of which"
            " JSON keeps one; merge the two"
        )
        raise UsageError(message, code="taxonomy-repeated-name", name=repeated[0])
    return dict(pairs)


def _category_edges(entries: Sequence[Mapping[str, Any]]) -> Edges:
    """Return the edges from the ranks of iNaturalist's categories, or from COCO's
    supercategories.
    """
    edges = Edges()
    ranks = (
        RANKS if any("kingdom" in entry for entry in entries) else ("supercategory",)
    )
    for number, entry in enumerate(entries):
        above: str | None = None
        path = ""
        for rank in ranks:
            if name := str(entry.get(rank) or "").strip():
                path += f"/{name}"
                edges.add(path, above)
                edges.names[path], above = name, path
        key, name = f"category {entry.get('id', number)}", str(entry["name"])
        edges.add(key, above)
        edges.names[key] = name
        others = (entry.get("common_name"), entry.get("image_dir_name"))
        edges.aliases += [(str(alias), key) for alias in (name, *others) if alias]
    return edges


def _add_tree(edges: Edges, file: Path, tree: Any, path: tuple[str, ...]) -> None:
    """Add a part of a JSON tree below the node at a path of keys."""
    _require_depth(file, len(path))
    parent = path[-1] if path else None
    if isinstance(tree, list):
        if any(isinstance(member, list) for member in tree):
            message = f"{file}: a list in a list is no part of a tree"
            raise UsageError(
                message,
                hint='write {"parent": ["child", ...]}, or CSV for edges',
                code="taxonomy-not-a-tree",
                found="list",
            )
        for member in tree:
            _add_tree(edges, file, member, path)
    elif isinstance(tree, dict) and isinstance(tree.get("name"), str):
        below = next((tree[key] for key in CHILDREN if tree.get(key)), None)
        identity = next(
            (
                str(tree[key])
                for key in ("wnid", "id")
                if isinstance(tree.get(key), str | int)
            ),
            None,
        )
        _add_node(edges, file, tree["name"], below, path, identity)
    elif isinstance(tree, dict):
        for name, below in tree.items():
            if isinstance(below, str):
                message = f"{file}: {name!r} has the text {below!r} as its value"
                raise UsageError(
                    message,
                    hint='write {"parent": ["child", ...]}',
                    code="taxonomy-not-a-tree",
                    found=below,
                )
            _add_node(edges, file, name, below, path, None)
    elif isinstance(tree, str) and tree.strip():
        edges.add(tree.strip(), parent)
    elif tree is not None or parent is None:
        found = type(tree).__name__
        message = (
            f"{file}: expected names, lists and objects in a JSON tree, found"
            f" {json.dumps(tree)[:40]}"
        )
        raise UsageError(message, code="taxonomy-not-a-tree", found=found)


def _add_node(
    edges: Edges,
    file: Path,
    name: str,
    below: Any,
    path: tuple[str, ...],
    identity: str | None,
) -> None:
    """Add a node and everything below it. An inner node is its id or its path; a leaf
    is its id or its name.
    """
    name, parent = name.strip(), path[-1] if path else None
    key = identity or name
    if below and not identity:
        key = f"{parent or ''}/{name}"
    if edges.names.get(key, name) != name:
        message = (
            f"{file}: the nodes {edges.names[key]!r} and {name!r} have the same id"
            f" {identity}"
        )
        raise UsageError(
            message, hint="give each its own", code="taxonomy-repeated-id", id=identity
        )
    edges.add(key, parent)
    edges.names[key] = name
    if identity and taxonomy.is_wnid(identity):
        edges.aliases.append((identity, key))
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
        raise UsageError(
            f"{file}: expected {EXPECTED}, found an empty file", code="taxonomy-empty"
        )
    unique_names = edges.unique_names()
    parents = {
        unique_names[key]: [unique_names[parent] for parent in above]
        for key, above in edges.parents.items()
    }
    roots = [name for name, above in parents.items() if not above]
    if len(roots) > 1:
        parents |= {ROOT: []} | {root: [ROOT] for root in roots if root != ROOT}
    # The depth is the number of edges on the longest path to a root.
    depths: dict[str, int] = {}
    try:
        for name in TopologicalSorter(parents).static_order():
            depths[name] = max(
                (depths[parent] + 1 for parent in parents[name]), default=0
            )
    except CycleError as error:
        above = error.args[1][:0:-1]  # from each child to its parent
        first = above.index(min(above))
        cycle = [*above[first:], *above[:first], above[first]]
        message = f"{file}: expected a taxonomy, found the cycle {' -> '.join(cycle)}"
        raise UsageError(
            message, hint="remove one edge", code="taxonomy-cycle", cycle=cycle
        ) from None
    _require_depth(file, max(depths.values()))
    names = sorted(parents)
    nodes = {name: node for node, name in enumerate(names)}
    return Taxonomy(
        offsets=np.arange(len(names), dtype=np.int32),
        names=tuple(names),
        depths=np.array([depths[name] for name in names], dtype=np.uint8),
        starts=np.cumsum([0, *(len(parents[name]) for name in names)]).astype(np.int32),
        parents=np.array(
            [nodes[parent] for name in names for parent in parents[name]],
            dtype=np.int32,
        ),
        aliases=tuple(
            (alias, nodes[unique_names[key]]) for alias, key in edges.aliases
        ),
    )


def _require_depth(file: Path, depth: int) -> None:
    if depth > MAX_DEPTH:
        message = (
            f"{file}: expected a taxonomy of {MAX_DEPTH} levels or fewer, found {depth}"
        )
        raise UsageError(message, code="taxonomy-too-deep", depth=depth)


def match_labels(
    taxonomy: Taxonomy, labels: Sequence[str], wnids: Sequence[str | None] | None = None
) -> list[int | None]:
    """Return the node of each label, None for labels that the taxonomy lacks.

    The WordNet id of a label has priority, then an exact name, then another name of a
    node. Otherwise case and separators are ignored. A name that several nodes have
    means none of them.
    """
    exact: dict[str, int | None] = {}
    plain: dict[str, int | None] = {}
    names = [(name, node) for node, name in enumerate(taxonomy.names)]
    for alias, node in taxonomy.aliases:
        exact[alias] = node if exact.get(alias, node) == node else None
    for name, node in (*names, *taxonomy.aliases):
        key = _plain(name)
        plain[key] = node if plain.get(key, node) == node else None
    exact |= names
    nodes = []
    for label, wnid in zip(labels, wnids or [None] * len(labels), strict=True):
        by_id = None if wnid is None else exact.get(wnid)
        nodes.append(
            exact.get(label.strip(), plain.get(_plain(label)))
            if by_id is None
            else by_id
        )
    return nodes


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
