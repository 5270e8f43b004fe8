"""A custom taxonomy in place of WordNet: a CSV file of ``child,parent``, with one edge per line.

A child may have several parents. A label means the node of the same name; case, and whether words are joined by spaces,
hyphens or underscores, do not matter. If there are several roots, `ROOT` is added above them, as NLTK does for verbs, so that
any two nodes have a common hypernym.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.wordnet.database.taxonomy import Taxonomy

ROOT = "*ROOT*"
MAX_DEPTH = 90
"""The maximum number of edges from the root, because distances are stored as bytes."""
HEADER = ("child", "parent")
EXPECTED = "a taxonomy as CSV, a line 'child,parent' for each edge"


def read_taxonomy(path: str | PathLike[str]) -> Taxonomy:
    """Return the taxonomy of a CSV file; nodes are in order of their names.

    Raises
    ------
    UsageError
        The file cannot be read, has another format, is more than `MAX_DEPTH` deep, or has a cycle; the message names it.
    """
    file = Path(path)
    parents: dict[str, list[str]] = {}
    for number, row in enumerate(csv.reader(_read_lines(file)), start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and tuple(cell.lower() for cell in cells) == HEADER):
            continue
        if len(cells) != 2 or not all(cells):
            names = len([cell for cell in cells if cell])
            message = f"{file}, line {number}: expected {EXPECTED}, found {names} names"
            raise UsageError(message, code="taxonomy-line", line=number, names=names)
        child, parent = cells
        parents.setdefault(parent, [])
        if parent not in parents.setdefault(child, []):
            parents[child].append(parent)
    if not parents:
        raise UsageError(f"{file}: expected {EXPECTED}, found an empty file", code="taxonomy-empty")
    return _taxonomy(file, parents)


def match_labels(taxonomy: Taxonomy, labels: Sequence[str]) -> list[int | None]:
    """Return the node of each label, None for labels that the taxonomy lacks.

    An exact name has priority. Otherwise case and separators are ignored, unless two nodes differ only in these.
    """
    by_name = {name: node for node, name in enumerate(taxonomy.names)}
    by_plain_name: dict[str, int | None] = {}
    for name, node in by_name.items():
        plain = _plain(name)
        by_plain_name[plain] = None if plain in by_plain_name else node
    return [by_name.get(label.strip(), by_plain_name.get(_plain(label))) for label in labels]


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _read_lines(file: Path) -> list[str]:
    try:
        data = file.read_bytes()
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except OSError as error:
        message = f"{file}: expected {EXPECTED}, but the file could not be read ({error.strerror})"
        raise UsageError(message, code="taxonomy-not-readable", reason=error.strerror) from None
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        message = f"{file}: expected {EXPECTED}, found a file that is not text; save it as UTF-8"
        raise UsageError(message, code="taxonomy-not-text")
    return text.splitlines()


def _taxonomy(file: Path, parents: dict[str, list[str]]) -> Taxonomy:
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
