"""What ``--reference`` names: WordNet's measures, those of a taxonomy of one's own, or a matrix; opened once, before all else.

``path``, ``wup``, ``lch`` are of the taxonomy of ``--taxonomy`` where there is one, else of WordNet's nouns, or what ``--pos`` and
``--wordnet`` name; ``wordnet:path`` is always of WordNet. ``res:FILE``, ``lin:FILE``, ``jcn:FILE`` need an information content
file. All else is the file of a matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.semantics import matrix_file
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.hierarchy import OpenedTaxonomy, fingerprint, replace_infinities, scatter_to_classes
from dsi_cli.analysis.semantics.prepared import SCSM, EpochMatrix, MatrixReference
from dsi_cli.errors import UsageError, nearest
from dsi_cli.wordnet.database.taxonomy import Taxonomy
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet
from dsi_cli.wordnet.similarity import information_content, measures
from dsi_cli.wordnet.similarity.information_content import UNKNOWN
from dsi_cli.wordnet.similarity.shortest_paths import PathRows

Values = NDArray[np.float64]

OF_WORDNET = "wordnet:"
EXPECTED = "path, wup, lch, res:FILE, lin:FILE, jcn:FILE, or a matrix (.csv, .parquet, .npy)"


@dataclass(frozen=True)
class ReferenceSource:
    """A reference that was asked for, its files read."""

    name: str
    """In the tables."""
    made_from: str | None
    """Twelve hex digits that change with its files; None for WordNet's own measures."""
    similarity: Callable[[ClassLabels], Values]
    """Gives the matrix ``(C, C)`` of a run's classes, NaN for those that it lacks."""
    source: str
    """Where a class must be known, in words."""
    is_matrix: bool = False
    """Whether it is a file that may not fit a run's classes."""
    path_nodes: Callable[[ClassLabels], Mapping[int, int]] | None = None
    """Of path similarity, which can be had by rows: gives the node of each class that has one."""
    taxonomy: Taxonomy | None = None
    """What these are nodes of."""

    def of(self, labels: ClassLabels, *, by_rows: bool = False) -> MatrixReference:
        """Return the reference of a run's classes.

        Parameters
        ----------
        by_rows : make the rows on demand, if that is possible

        Raises
        ------
        UsageError
            It is a matrix that does not fit the classes.
        """
        if labels.label_list is None:
            nothing = np.full((0, 0) if by_rows else (labels.classes, labels.classes), np.nan, dtype=np.float32)
            return MatrixReference(
                self.name, EpochMatrix(SCSM, nothing, np.empty(0, dtype=np.intp)), labels.why_no_reference()
            )
        if by_rows and self.path_nodes is not None:
            nodes = self.path_nodes(labels)
            csm = EpochMatrix(SCSM, PathRows(list(nodes.values()), self.taxonomy), np.array(list(nodes), dtype=np.intp))
        else:
            matrix = self.similarity(labels).astype(np.float32)
            csm = EpochMatrix(SCSM, matrix, np.flatnonzero(~np.isnan(np.diagonal(matrix))))
        return MatrixReference(self.name, csm, self.too_few(len(csm.classes), labels))

    def too_few(self, known: int, labels: ClassLabels) -> str | None:
        """Return why nothing can be aligned with a reference that knows so few of the classes, None if it can."""
        return labels.too_few(known, self.source, "an alignment")

    @property
    def described(self) -> dict[str, str]:
        """What stands beside its tables."""
        return {"reference": self.name} | ({"made_from": self.made_from} if self.made_from else {})


def open_references(
    asked: Sequence[str], tree: OpenedTaxonomy | None = None, wordnet: WordNet | None = None
) -> list[ReferenceSource]:
    """Return the references that were asked for, in that order, the main one first.

    Parameters
    ----------
    tree : a taxonomy in place of WordNet
    wordnet : the WordNet; 3.0's nouns unless given

    Raises
    ------
    UsageError
        One is of no known form, a file cannot be read or is not what it should be, or two have the same name.
    """
    opened = [_open(spec, tree, wordnet or load_wordnet()) for spec in dict.fromkeys(asked)]
    names = [one.name for one in opened]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two references are called {name}: rename a file, so that the tables can tell them apart")
    return opened


def check_references(opened: Iterable[ReferenceSource], labellings: Collection[ClassLabels]) -> None:
    """Raise `UsageError` if a matrix does not fit a run, before anything is written."""
    for one in [one for one in opened if one.is_matrix]:
        for labelling in labellings:
            one.of(labelling)


def clip_to_range(matrix: Values) -> Values:
    """Return a matrix without the infinities of measures by information.

    A class that is not known at all has NaN throughout. What is infinite, or undefined on the diagonal, gets the largest value.
    """
    known = np.logical_not(np.isnan(matrix).all(axis=1), dtype=bool)
    is_open = (np.abs(matrix) >= UNKNOWN / 2) | (np.isnan(matrix) & known[:, None] & known)
    if not is_open.any():
        return matrix
    finite = matrix[~is_open & ~np.isnan(matrix)]
    return np.where(is_open, finite.max(initial=0.0), matrix)


def _open(spec: str, tree: OpenedTaxonomy | None, wordnet: WordNet) -> ReferenceSource:
    kind, _, rest = spec.partition(":")
    if spec.startswith(OF_WORDNET) and rest in measures.BY_TAXONOMY:
        return _by_wordnet(rest, wordnet)
    if spec in measures.BY_TAXONOMY:
        return _by_wordnet(spec, wordnet) if tree is None else _by_tree(spec, tree)
    if kind in measures.BY_INFORMATION and rest:
        return _by_information(kind, Path(rest), wordnet)
    if Path(spec).suffix.lower() in matrix_file.SUFFIXES:
        path = Path(spec)
        matrix = matrix_file.read_matrix(path)
        return ReferenceSource(replace_infinities(path.stem), fingerprint(path), matrix.of, path.name, is_matrix=True)
    near = nearest(spec, measures.BY_TAXONOMY)
    raise UsageError(f"no reference {spec!r}: expected {EXPECTED}" + (f"; did you mean {near}?" if near else ""))


def _by_wordnet(kind: str, wordnet: WordNet) -> ReferenceSource:
    measure = measures.BY_TAXONOMY[kind]

    def similarity(labels: ClassLabels) -> Values:
        return scatter_to_classes(labels.nodes, labels.classes, lambda nodes: measure(nodes, wordnet.taxonomy))

    nodes = (lambda one: one.nodes) if kind == "path" else None
    return ReferenceSource(f"{wordnet.id}-{kind}", None, similarity, "WordNet", path_nodes=nodes, taxonomy=wordnet.taxonomy)


def _by_tree(kind: str, tree: OpenedTaxonomy) -> ReferenceSource:
    measure = measures.BY_TAXONOMY[kind]

    def nodes(labels: ClassLabels) -> dict[int, int]:
        assert labels.label_list is not None
        return tree.nodes(labels.label_list.names)

    return ReferenceSource(
        f"{tree.name}-{kind}",
        tree.fingerprint,
        lambda one: scatter_to_classes(nodes(one), one.classes, lambda found: measure(found, tree.taxonomy)),
        tree.source,
        path_nodes=nodes if kind == "path" else None,
        taxonomy=tree.taxonomy,
    )


def _by_information(kind: str, path: Path, wordnet: WordNet) -> ReferenceSource:
    measure, counts = measures.BY_INFORMATION[kind], information_content.read_information_content(path, wordnet)

    def similarity(labels: ClassLabels) -> Values:
        known = {index: node for index, node in labels.nodes.items() if counts.counts[node] > 0}
        return clip_to_range(scatter_to_classes(known, labels.classes, lambda nodes: measure(nodes, counts)))

    return ReferenceSource(f"{wordnet.id}-{kind}-{replace_infinities(path.stem)}", fingerprint(path), similarity, path.name)
