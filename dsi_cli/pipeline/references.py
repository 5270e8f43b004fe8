"""What ``--reference`` names: WordNet's measures, those of a taxonomy of one's own, or a matrix; opened once, before all else.

``path``, ``wup``, ``lch`` are of the taxonomy of ``--taxonomy`` where there is one, else of WordNet; ``wordnet:path`` is always of
WordNet. ``res:FILE``, ``lin:FILE``, ``jcn:FILE`` need an information content file. All else is the file of a matrix.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.pipeline import own_matrix
from dsi_cli.pipeline.labelling import FEWEST, Labelling, placed
from dsi_cli.pipeline.options import TAXONOMY
from dsi_cli.pipeline.semantics import Reference
from dsi_cli.wordnet import information, measures, own
from dsi_cli.wordnet.information import UNKNOWN
from dsi_cli.wordnet.taxonomy import Taxonomy

Values = NDArray[np.float64]

OF_WORDNET = "wordnet:"
EXPECTED = "path, wup, lch, res:FILE, lin:FILE, jcn:FILE, or a matrix (.csv, .parquet, .npy)"


@dataclass(frozen=True)
class Opened:
    """A reference that was asked for, its files read."""

    name: str
    """In the tables."""
    made_from: str | None
    """Twelve hex digits that change with its files; None for WordNet's own measures."""
    similarity: Callable[[Labelling], Values]
    """Gives the matrix ``(C, C)`` of a run's classes, NaN for those that it lacks."""
    source: str
    """Where a class must be known, in words."""
    is_matrix: bool = False
    """Whether it is a file that may not fit a run's classes."""
    path_nodes: Callable[[Labelling], Mapping[int, int]] | None = None
    """Of path similarity, which can be had by rows: gives the node of each class that has one."""
    tree: Taxonomy | None = None
    """What these are nodes of; None for WordNet."""

    def of(self, one: Labelling) -> Reference:
        """Return the reference of a run's classes.

        Raises
        ------
        UsageError
            It is a matrix that does not fit the classes.
        """
        if one.labels is None:
            nothing = np.full((one.classes, one.classes), np.nan, dtype=np.float32)
            return Reference(self.name, nothing, one.why_no_reference())
        matrix = self.similarity(one).astype(np.float32)
        return Reference(self.name, matrix, self.too_few(int((~np.isnan(np.diagonal(matrix))).sum()), one.classes))

    def too_few(self, known: int, classes: int) -> str | None:
        """Return why nothing can be aligned with a reference that knows so few of the classes, None where it can."""
        few = f"{known} of {classes} labels are known to {self.source}: an alignment needs {FEWEST} or more"
        return few if known < FEWEST else None

    @property
    def described(self) -> dict[str, str]:
        """What stands beside its tables."""
        return {"reference": self.name} | ({"made_from": self.made_from} if self.made_from else {})


def open_all(asked: Sequence[str], taxonomy: str | None) -> list[Opened]:
    """Return the references that were asked for, in that order, the main one first.

    Raises
    ------
    UsageError
        One is of no known form, a file cannot be read or is not what it should be, or two have the same name.
    """
    tree = None if taxonomy is None else own.read(taxonomy)
    opened = [_open(spec, taxonomy, tree) for spec in dict.fromkeys(asked)]
    names = [one.name for one in opened]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two references are called {name}: rename a file, so that the tables can tell them apart")
    return opened


def check(opened: Iterable[Opened], labellings: Collection[Labelling]) -> None:
    """Raise `UsageError` if a matrix does not fit a run, before anything is written."""
    for one in [one for one in opened if one.is_matrix]:
        for labelling in labellings:
            one.of(labelling)


def bounded(matrix: Values) -> Values:
    """Return a matrix without the infinities of measures by information.

    A class that is not known at all has NaN throughout. What is infinite, or undefined on the diagonal, gets the largest value.
    """
    known = np.logical_not(np.isnan(matrix).all(axis=1), dtype=bool)
    is_open = (np.abs(matrix) >= UNKNOWN / 2) | (np.isnan(matrix) & known[:, None] & known)
    if not is_open.any():
        return matrix
    finite = matrix[~is_open & ~np.isnan(matrix)]
    return np.where(is_open, finite.max(initial=0.0), matrix)


def _open(spec: str, taxonomy: str | None, tree: Taxonomy | None) -> Opened:
    kind, _, rest = spec.partition(":")
    if spec.startswith(OF_WORDNET) and rest in measures.BY_TAXONOMY:
        return _by_wordnet(rest)
    if spec in measures.BY_TAXONOMY:
        return _by_wordnet(spec) if taxonomy is None or tree is None else _by_tree(spec, Path(taxonomy), tree)
    if kind in measures.BY_INFORMATION and rest:
        return _by_information(kind, Path(rest))
    if Path(spec).suffix.lower() in own_matrix.SUFFIXES:
        path = Path(spec)
        matrix = own_matrix.read(path)
        return Opened(_safe(path.stem), _fingerprint(path), matrix.of, path.name, is_matrix=True)
    raise UsageError(f"--reference takes {EXPECTED}; {spec!r} is none of these")


def _by_wordnet(kind: str) -> Opened:
    measure = measures.BY_TAXONOMY[kind]
    return Opened(
        f"{TAXONOMY}-{kind}",
        None,
        lambda one: placed(one.nodes, one.classes, lambda nodes: measure(nodes, None)),
        "WordNet",
        path_nodes=(lambda one: one.nodes) if kind == "path" else None,
    )


def _by_tree(kind: str, path: Path, tree: Taxonomy) -> Opened:
    measure = measures.BY_TAXONOMY[kind]

    def nodes(one: Labelling) -> dict[int, int]:
        assert one.labels is not None
        return {k: node for k, node in enumerate(own.nodes_of(tree, one.labels.names)) if node is not None}

    return Opened(
        f"{_safe(path.stem)}-{kind}",
        _fingerprint(path),
        lambda one: placed(nodes(one), one.classes, lambda x: measure(x, tree)),
        path.name,
        path_nodes=nodes if kind == "path" else None,
        tree=tree,
    )


def _by_information(kind: str, path: Path) -> Opened:
    measure, counts = measures.BY_INFORMATION[kind], information.read(path)

    def similarity(one: Labelling) -> Values:
        known = {index: node for index, node in one.nodes.items() if counts.counts[node] > 0}
        return bounded(placed(known, one.classes, lambda nodes: measure(nodes, counts)))

    return Opened(f"{TAXONOMY}-{kind}-{_safe(path.stem)}", _fingerprint(path), similarity, path.name)


def _fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _safe(stem: str) -> str:
    """Return a name that may be part of a file's name that every Parquet reader takes."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", stem).strip(".-") or "matrix"
