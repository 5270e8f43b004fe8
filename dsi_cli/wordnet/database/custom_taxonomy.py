"""A custom taxonomy in place of WordNet, from a file of `dsi_cli.wordnet.database.taxonomy_files`.

A child may have several parents. A label means the node of the same name; case, and whether words are joined by spaces,
hyphens or underscores, do not matter. If there are several roots, `ROOT` is added above them, as NLTK does for verbs, so that
any two nodes have a common hypernym.
"""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
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
    # The depth is the number of edges on the longest path to a root.
    depths: dict[str, int] = {}
    try:
        for name in TopologicalSorter(parents).static_order():
            depths[name] = max((depths[parent] + 1 for parent in parents[name]), default=0)
    except CycleError as error:
        above = error.args[1][:0:-1]  # from each child to its parent
        first = above.index(min(above))
        cycle = [*above[first:], *above[:first], above[first]]
        message = f"{file}: expected a taxonomy, found the cycle {' -> '.join(cycle)}; remove one edge"
        raise UsageError(message, code="taxonomy-cycle", cycle=cycle) from None
    deepest = max(depths.values())
    if deepest > MAX_DEPTH:
        message = f"{file}: expected a taxonomy of {MAX_DEPTH} levels or fewer, found {deepest}"
        raise UsageError(message, code="taxonomy-too-deep", depth=deepest)
    names = sorted(parents)
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
