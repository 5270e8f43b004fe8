"""The references that ``--reference`` names: measures of WordNet or of a custom taxonomy, and matrix files.

``path``, ``wup`` and ``lch`` use the taxonomy of ``--taxonomy``, or else WordNet's nouns or what ``--pos`` and ``--wordnet``
select. ``wordnet:path`` always uses WordNet. ``res:FILE``, ``lin:FILE`` and ``jcn:FILE`` need an information content file.
Everything else is the file of a matrix. dsi opens all references before any other work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.semantics import matrix_file
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.hierarchy import CustomTaxonomy, file_fingerprint, safe_filename, scatter_to_classes
from dsi_cli.analysis.semantics.prepared import SCSM, EpochMatrix, PreparedReference
from dsi_cli.errors import UsageError, nearest
from dsi_cli.wordnet.database.taxonomy import Taxonomy
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet
from dsi_cli.wordnet.similarity import information_content, measures
from dsi_cli.wordnet.similarity.information_content import UNKNOWN
from dsi_cli.wordnet.similarity.path_similarity import PathRows

Values = NDArray[np.float64]
NodesByClass = Callable[[ClassLabels], Mapping[int, int]]

WORDNET_PREFIX = "wordnet:"
EXPECTED = "path, wup, lch, res:FILE, lin:FILE, jcn:FILE, or a matrix (.csv, .parquet, .npy)"


@dataclass(frozen=True)
class ReferenceSource:
    """A reference of any run, with its files read."""

    name: str
    """The name in the tables."""
    made_from: str | None
    """Twelve hex digits of a hash of its files; None for WordNet's measures, which need no file."""
    similarity: Callable[[ClassLabels], Values]
    """Returns the matrix ``(C, C)`` of a run's classes, NaN for classes that the reference lacks."""
    source: str
    """The name of the taxonomy or file in messages."""
    is_matrix: bool = False
    """True for a matrix file, which may not fit the classes of a run."""
    path_nodes: NodesByClass | None = None
    """Returns the node of each class, for path similarity, whose rows can be made on demand."""
    taxonomy: Taxonomy | None = None
    """The taxonomy of these nodes."""

    def for_labels(self, labels: ClassLabels, *, by_rows: bool = False) -> PreparedReference:
        """Return the reference of a run's classes; raise `UsageError` if it is a matrix that does not fit them.

        Parameters
        ----------
        by_rows : make the rows on demand, if possible
        """
        if labels.label_list is None:
            size = 0 if by_rows else labels.classes
            blank = np.full((size, size), np.nan, dtype=np.float32)
            matrix = EpochMatrix(SCSM, blank, np.empty(0, dtype=np.intp))
            return PreparedReference(self.name, matrix, labels.reason_no_reference())
        if by_rows and self.path_nodes is not None:
            nodes = self.path_nodes(labels)
            rows = PathRows(list(nodes.values()), self.taxonomy)
            matrix = EpochMatrix(SCSM, rows, np.array(list(nodes), dtype=np.intp))
        else:
            values = self.similarity(labels).astype(np.float32)
            matrix = EpochMatrix(SCSM, values, np.flatnonzero(~np.isnan(np.diagonal(values))))
        reason = labels.reason_too_few_known(len(matrix.classes), self.source, "an alignment")
        return PreparedReference(self.name, matrix, reason)

    @property
    def table_options(self) -> dict[str, str]:
        """The options that dsi stores in the reference's tables."""
        options = {"reference": self.name}
        if self.made_from:
            options["made_from"] = self.made_from
        return options


def open_references(
    specs: Sequence[str], taxonomy: CustomTaxonomy | None = None, wordnet: WordNet | None = None
) -> list[ReferenceSource]:
    """Return the references that the specifications name, in the same order, the main one first.

    Raise `UsageError` for an unknown form, a file that cannot be read or is invalid, or two references of the same name.

    Parameters
    ----------
    specs : values of ``--reference``
    taxonomy : a taxonomy that replaces WordNet
    wordnet : the WordNet; WordNet 3.0's nouns if None
    """
    sources = [_open_reference(spec, taxonomy, wordnet or load_wordnet()) for spec in dict.fromkeys(specs)]
    for name, number in Counter(source.name for source in sources).items():
        if number > 1:
            message = f"two references are called {name}: rename a file, because the tables identify references by name"
            raise UsageError(message, code="duplicate-reference", reference=name)
    return sources


def check_references(sources: Iterable[ReferenceSource], labels_of_runs: Collection[ClassLabels]) -> None:
    """Raise `UsageError` if a matrix file does not fit a run, before anything is written."""
    for source in sources:
        if source.is_matrix:
            for labels in labels_of_runs:
                source.for_labels(labels)


def clip_to_range(matrix: Values) -> Values:
    """Return a matrix without the infinities of measures of information content.

    A class that is unknown has NaN in its whole row. The largest finite value replaces infinite values, and undefined values on
    the diagonal.
    """
    known = np.logical_not(np.isnan(matrix).all(axis=1), dtype=bool)
    is_undefined = (np.abs(matrix) >= UNKNOWN / 2) | (np.isnan(matrix) & known[:, None] & known)
    if not is_undefined.any():
        return matrix
    finite = matrix[~is_undefined & ~np.isnan(matrix)]
    return np.where(is_undefined, finite.max(initial=0.0), matrix)


def _open_reference(spec: str, custom: CustomTaxonomy | None, wordnet: WordNet) -> ReferenceSource:
    # A measure between the nodes of classes in the custom taxonomy or in WordNet
    kind = spec.removeprefix(WORDNET_PREFIX)
    if kind in measures.BY_TAXONOMY:
        name, made_from, source, taxonomy = wordnet.id, None, "WordNet", wordnet.taxonomy
        nodes: NodesByClass = lambda labels: labels.nodes  # noqa: E731
        if custom is not None and spec == kind:
            name, made_from, source, taxonomy = custom.name, custom.fingerprint, custom.source, custom.taxonomy
            nodes = lambda labels: custom.class_nodes(labels.label_list)  # noqa: E731
        measure = measures.BY_TAXONOMY[kind]

        def similarity(labels: ClassLabels) -> Values:
            return scatter_to_classes(nodes(labels), labels.classes, lambda known: measure(known, taxonomy))

        path_nodes = nodes if kind == "path" else None
        return ReferenceSource(f"{name}-{kind}", made_from, similarity, source, path_nodes=path_nodes, taxonomy=taxonomy)
    # A measure with an information content file
    kind, _, path = spec.partition(":")
    if kind in measures.BY_INFORMATION and path:
        return _information_reference(kind, Path(path), wordnet)
    # A matrix file
    file = Path(spec)
    if file.suffix.lower() in matrix_file.SUFFIXES:
        matrix = matrix_file.read_matrix(file)
        name, fingerprint = safe_filename(file.stem), file_fingerprint(file)
        return ReferenceSource(name, fingerprint, matrix.for_labels, file.name, is_matrix=True)
    suggestion = nearest(spec, measures.BY_TAXONOMY)
    hint = f"; try {suggestion}" if suggestion else ""
    raise UsageError(f"no reference {spec!r}: expected {EXPECTED}{hint}", code="unknown-reference", reference=spec)


def _information_reference(kind: str, path: Path, wordnet: WordNet) -> ReferenceSource:
    measure, information = measures.BY_INFORMATION[kind], information_content.read_information_content(path, wordnet)

    def similarity(labels: ClassLabels) -> Values:
        known = {index: node for index, node in labels.nodes.items() if information.counts[node] > 0}
        return clip_to_range(scatter_to_classes(known, labels.classes, lambda nodes: measure(nodes, information)))

    name = f"{wordnet.id}-{kind}-{safe_filename(path.stem)}"
    return ReferenceSource(name, file_fingerprint(path), similarity, path.name)
