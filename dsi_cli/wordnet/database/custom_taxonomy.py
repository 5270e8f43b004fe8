"""A taxonomy of one's own in place of WordNet: a CSV file of ``child,parent``, an edge a line.

A child may have several parents; a node is known by its name, and a label means the node of its name, whatever the case and
whether words are joined by spaces, hyphens or underscores. Several roots are put under one, `ROOT`, as NLTK does for verbs, so that
any two nodes have a hypernym in common.
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
"""Edges from the root; distances are kept in bytes."""
HEADER = ("child", "parent")
EXPECTED = "a taxonomy as CSV, a line 'child,parent' for each edge"


def read_taxonomy(path: str | PathLike[str]) -> Taxonomy:
    """Return the taxonomy of a CSV file; nodes are in order of their names.

    Raises
    ------
    UsageError
        The file cannot be read, is of another form, is more than `MAX_DEPTH` deep, or has a cycle; the message names it.
    """
    file = Path(path)
    parents: dict[str, list[str]] = {}
    for number, row in enumerate(csv.reader(_lines(file)), start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and tuple(cell.lower() for cell in cells) == HEADER):
            continue
        if len(cells) != 2 or not all(cells):
            raise UsageError(f"{file}, line {number}: expected {EXPECTED}, found {len([c for c in cells if c])} names")
        child, parent = cells
        parents.setdefault(parent, [])
        if parent not in parents.setdefault(child, []):
            parents[child].append(parent)
    if not parents:
        raise UsageError(f"{file}: expected {EXPECTED}, found an empty file")
    return _taxonomy(file, parents)


def match_labels(taxonomy: Taxonomy, labels: Sequence[str]) -> list[int | None]:
    """Return the node of each label, None for those that the taxonomy lacks.

    An exact name wins; else case and the joints of words do not count, unless two nodes differ in nothing else.
    """
    exact = {name: node for node, name in enumerate(taxonomy.names)}
    alike: dict[str, int | None] = {}
    for name, node in exact.items():
        alike[_plain(name)] = None if _plain(name) in alike else node
    return [exact.get(label.strip(), alike.get(_plain(label))) for label in labels]


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _lines(file: Path) -> list[str]:
    try:
        data = file.read_bytes()
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file}: expected {EXPECTED}, which could not be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file}: expected {EXPECTED}, found no text; save it as UTF-8") from None
    if "\0" in text:
        raise UsageError(f"{file}: expected {EXPECTED}, found no text; save it as UTF-8")
    return text.splitlines()


def _taxonomy(file: Path, parents: dict[str, list[str]]) -> Taxonomy:
    roots = [name for name, above in parents.items() if not above]
    if len(roots) > 1:
        parents |= {ROOT: []} | {root: [ROOT] for root in roots if root != ROOT}
    names = sorted(parents)
    depths = _depths(file, parents)
    if max(depths.values()) > MAX_DEPTH:
        raise UsageError(f"{file}: expected a taxonomy of {MAX_DEPTH} levels or fewer, found {max(depths.values())}")
    row = {name: node for node, name in enumerate(names)}
    flat = [row[above] for name in names for above in parents[name]]
    starts = np.cumsum([0, *(len(parents[name]) for name in names)])
    return Taxonomy(
        offsets=np.arange(len(names), dtype=np.int32),
        names=tuple(names),
        depths=np.array([depths[name] for name in names], dtype=np.uint8),
        starts=starts.astype(np.int32),
        parents=np.array(flat, dtype=np.int32),
    )


def _depths(file: Path, parents: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Return the longest way to a root, from the roots down."""
    children: dict[str, list[str]] = {name: [] for name in parents}
    waiting = {name: len(list(above)) for name, above in parents.items()}
    for name, above in parents.items():
        for parent in above:
            children[parent].append(name)
    depths = {name: 0 for name, count in waiting.items() if count == 0}
    ready = list(depths)
    while ready:
        name = ready.pop()
        for child in children[name]:
            depths[child] = max(depths.get(child, 0), depths[name] + 1)
            waiting[child] -= 1
            if waiting[child] == 0:
                ready.append(child)
    stuck = {name for name, count in waiting.items() if count}
    if stuck:
        raise UsageError(
            f"{file}: expected a taxonomy, found a cycle: {' -> '.join(_cycle(parents, stuck))}; take one edge out"
        )
    return depths


def _cycle(parents: Mapping[str, Iterable[str]], stuck: set[str]) -> list[str]:
    """Return a cycle, its first name again at the end: each node that waits has a parent that waits."""
    way = [min(stuck)]
    while True:
        above = min(name for name in parents[way[-1]] if name in stuck)
        if above in way:
            return [*way[way.index(above) :], above]
        way.append(above)
