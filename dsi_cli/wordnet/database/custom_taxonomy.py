"""A custom taxonomy in place of WordNet, from a file of `dsi_cli.wordnet.database.taxonomy_files`.

A child may have several parents. A label means the node of the same name; case, and whether words are joined by spaces,
hyphens or underscores, do not matter. If there are several roots, `ROOT` is added above them, as NLTK does for verbs, so that
any two nodes have a common hypernym.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.wordnet.database.taxonomy import Taxonomy
from dsi_cli.wordnet.database.taxonomy_files import EXPECTED, MAX_DEPTH, read_edges

ROOT = "*ROOT*"


def read_taxonomy(path: str | PathLike[str]) -> Taxonomy:
    """Return the taxonomy of a file; nodes are in order of their names.

    Raises
    ------
    UsageError
        The file cannot be read, has another format, is more than `MAX_DEPTH` deep, or has a cycle; the message names it.
    """
    file = Path(path)
    edges = read_edges(file)
    if not edges.parents:
        raise UsageError(f"{file}: expected {EXPECTED}, found an empty file", code="taxonomy-empty")
    names = edges.unique_names()
    parents = {names[key]: [names[parent] for parent in above] for key, above in edges.parents.items()}
    return _taxonomy(file, parents, [(alias, names[key]) for alias, key in edges.aliases])


def match_labels(taxonomy: Taxonomy, labels: Sequence[str], wnids: Sequence[str | None] | None = None) -> list[int | None]:
    """Return the node of each label, None for labels that the taxonomy lacks.

    The WordNet id of a label has priority, then an exact name, then another name of a node. Otherwise case and separators are
    ignored. A name that several nodes have means none of them.
    """
    by_name = {name: node for node, name in enumerate(taxonomy.names)}
    by_alias: dict[str, int | None] = {}
    by_plain_name: dict[str, int | None] = {}
    for alias, node in taxonomy.aliases:
        by_alias[alias] = node if by_alias.get(alias, node) == node else None
    for name, node in (*by_name.items(), *taxonomy.aliases):
        plain = _plain(name)
        by_plain_name[plain] = node if by_plain_name.get(plain, node) == node else None
    found = [by_name.get(label.strip(), by_alias.get(label.strip(), by_plain_name.get(_plain(label)))) for label in labels]
    by_id = [None if wnid is None else by_name.get(wnid, by_alias.get(wnid)) for wnid in wnids or [None] * len(labels)]
    return [other if node is None else node for node, other in zip(by_id, found, strict=True)]


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _taxonomy(file: Path, parents: dict[str, list[str]], aliases: Sequence[tuple[str, str]]) -> Taxonomy:
    roots = [name for name, its_parents in parents.items() if not its_parents]
    if len(roots) > 1:
        parents |= {ROOT: []} | {root: [ROOT] for root in roots if root != ROOT}
    names = sorted(parents)
    depths = _depths(file, parents)
    deepest = max(depths.values())
    if deepest > MAX_DEPTH:
        message = f"{file}: expected a taxonomy of {MAX_DEPTH} levels or fewer, found {deepest}"
        raise UsageError(message, code="taxonomy-too-deep", depth=deepest)
    nodes = {name: node for node, name in enumerate(names)}
    flat = [nodes[parent] for name in names for parent in parents[name]]
    starts = np.cumsum([0, *(len(parents[name]) for name in names)])
    return Taxonomy(
        offsets=np.arange(len(names), dtype=np.int32),
        names=tuple(names),
        depths=np.array([depths[name] for name in names], dtype=np.uint8),
        starts=starts.astype(np.int32),
        parents=np.array(flat, dtype=np.int32),
        aliases=tuple((alias, nodes[name]) for alias, name in aliases),
    )


def _depths(file: Path, parents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the number of edges on the longest path to a root (Kahn's topological sort, from the roots down)."""
    children: dict[str, list[str]] = {name: [] for name in parents}
    pending = {name: len(its_parents) for name, its_parents in parents.items()}
    for name, its_parents in parents.items():
        for parent in its_parents:
            children[parent].append(name)
    depths = {name: 0 for name, count in pending.items() if count == 0}
    ready = list(depths)
    while ready:
        name = ready.pop()
        for child in children[name]:
            depths[child] = max(depths.get(child, 0), depths[name] + 1)
            pending[child] -= 1
            if pending[child] == 0:
                ready.append(child)
    unvisited = {name for name, count in pending.items() if count}
    if unvisited:
        cycle = _find_cycle(parents, unvisited)
        message = f"{file}: expected a taxonomy, found a cycle: {' -> '.join(cycle)}; take one edge out"
        raise UsageError(message, code="taxonomy-cycle", cycle=cycle)
    return depths


def _find_cycle(parents: Mapping[str, Iterable[str]], unvisited: set[str]) -> list[str]:
    """Return a cycle whose first name is repeated at the end; every unvisited node has an unvisited parent."""
    names = [min(unvisited)]
    while True:
        parent = min(name for name in parents[names[-1]] if name in unvisited)
        if parent in names:
            return [*names[names.index(parent) :], parent]
        names.append(parent)
