"""The references that ``--reference`` names: measures of WordNet or of a custom
taxonomy, and matrix files.

``path``, ``wup`` and ``lch`` use the taxonomy of ``--taxonomy``, or else WordNet's
nouns or what ``--pos`` and ``--wordnet`` select. ``wordnet:path`` always uses WordNet.
``res:FILE``, ``lin:FILE`` and ``jcn:FILE`` need an information content file. Everything
else is a plug-in (`dsi_cli.plugins`), or the file of a matrix, such as human similarity
judgements or text embeddings:

- CSV: a header of names, and a first column of names, as ``dsi export`` writes, or
  none; or only numbers, in class order. A first column of names with another number of
  columns is an embedding, whose rows are compared by their cosine.
- Parquet: the same, or the rows of a ``references`` table.
- NPY: only numbers.

Larger values mean more similar. Rows that are no class of a run are left out. A class
is missing if it has no row, or if its row and its column contain only NaN or empty
cells. dsi opens all references before any other work.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsi_cli import plugins
from dsi_cli.analysis.semantics.class_labels import MIN_KNOWN_CLASSES, ClassLabels
from dsi_cli.analysis.semantics.epoch_context import SCSM, EpochMatrix
from dsi_cli.analysis.semantics.hierarchy import (
    CustomTaxonomy,
    file_fingerprint,
    safe_filename,
    scatter_to_classes,
)
from dsi_cli.errors import OutputError, UsageError, listed, suggestion
from dsi_cli.facts import Fact, fact
from dsi_cli.predictions.matrix_tables import is_number
from dsi_cli.store import parquet
from dsi_cli.wordnet.database.taxonomy import Taxonomy
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet
from dsi_cli.wordnet.disambiguation.resolve import Resolution
from dsi_cli.wordnet.similarity import measures
from dsi_cli.wordnet.similarity.measures import UNKNOWN
from dsi_cli.wordnet.similarity.path_similarity import PathRows

Values = NDArray[np.float64]
Names = tuple[str, ...] | None

SUFFIXES = (".csv", ".parquet", ".npy")
SYMMETRY_TOLERANCE = 1e-6
"""The allowed difference of symmetric values, as a fraction of the largest absolute
value outside the diagonal.
"""
NodesByClass = Callable[[ClassLabels], Mapping[int, int]]
WORDNET_PREFIX = "wordnet:"
EXPECTED = "path, wup, lch, lin, res:FILE, lin:FILE, jcn:FILE, or a matrix (.csv, .parquet, .npy)"


@dataclass(frozen=True)
class ReferenceMatrix:
    """A symmetric reference matrix from a file."""

    path: Path
    values: Values  # the values ``(N, N)``, NaN in rows and columns of missing classes
    names: Names

    def for_labels(self, labels: ClassLabels) -> Values:
        """Return the matrix of a run's classes ``(C, C)``, in their order, NaN for
        classes that it lacks.

        Raise `UsageError` if the matrix has fewer than four of the classes, or if it
        has no names and another size.
        """
        entries = labels.resolutions
        if self.names is None:
            size, classes = self.values.shape, labels.classes
            if size[0] == classes:
                return self.values
            message = f"{self.path} is {_size(size)}, but there are {classes} classes"
            raise UsageError(
                message,
                hint="write one row per class",
                code="wrong-reference-size",
                size=size,
                classes=classes,
            )
        known = {index: self.row_of(entry) for index, entry in enumerate(entries)}
        rows = {index: row for index, row in known.items() if row is not None}
        if len(rows) < min(MIN_KNOWN_CLASSES, len(entries)):
            missing = [entry.label for entry in entries if entry.index not in rows]
            message = (
                f"{self.path} has no row for {listed(list(map(repr, missing)), 3)};"
                " expected the name, the synset or the WordNet id of each class"
            )
            raise UsageError(message, code="class-not-in-reference", names=missing)
        found = np.full((len(entries), len(entries)), np.nan)
        found[np.ix_(list(rows), list(rows))] = self.values[
            np.ix_(list(rows.values()), list(rows.values()))
        ]
        return found

    def row_of(self, entry: Resolution) -> int | None:
        """Return the row of a class, by its label, synset or WordNet id; None if the
        matrix lacks it.
        """
        found = (
            self._rows.get(name) for name in (entry.label, entry.synset, entry.wnid)
        )
        return next((row for row in found if row is not None), None)

    @cached_property
    def _rows(self) -> dict[str | None, int]:
        return {name: row for row, name in enumerate(self.names or ())}


def read_matrix(path: Path) -> ReferenceMatrix:
    """Return the matrix of a file.

    Raise `UsageError` if the file cannot be read, or if the matrix is not square,
    symmetric and finite, or has a name twice.
    """
    try:
        values, names = _read_values(path)
    except OSError as error:
        message = f"the reference {path} cannot be read: {error.strerror or error}"
        raise UsageError(message, code="unreadable-reference", path=str(path)) from None
    except (ValueError, TypeError, OutputError) as error:
        message = f"the reference {path} is not a matrix of numbers: {error}"
        raise UsageError(message, code="invalid-reference", path=str(path)) from None
    return _matrix(path, values, names)


def _matrix(path: Path, values: Values, names: Names) -> ReferenceMatrix:
    """Return the matrix with these values; errors as `read_matrix`."""
    if names is not None and values.shape[0] != values.shape[1]:
        values = _cosines(values)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        message = (
            f"the reference {path} is {_size(values.shape)}; expected a square matrix,"
            " with one row per class"
        )
        raise UsageError(message, code="reference-not-square", size=values.shape)
    if names is not None and len(set(names)) < len(names):
        name = Counter(names).most_common(1)[0][0]
        message = (
            f"the reference {path} has the name {name!r} twice; expected each class"
            " once"
        )
        raise UsageError(message, code="duplicate-name", name=name)
    return ReferenceMatrix(path, _symmetrized(path, values, names), names)


def _cosines(embedding: Values) -> Values:
    """Return the cosine similarity ``(N, N)`` of the rows of an embedding ``(N, d)``."""
    lengths = np.linalg.norm(embedding, axis=1, keepdims=True)
    rows = np.divide(
        embedding, lengths, out=np.full_like(embedding, np.nan), where=lengths > 0
    )
    return np.asarray(rows @ rows.T)


def _read_values(path: Path) -> tuple[Values, Names]:
    """Return the numbers in a file, and the names of the classes if it has them."""
    with path.open("rb") as file:  # pyarrow has one error for missing and damaged files
        if path.suffix.lower() == ".npy":
            # np.load would call a file of another format pickled data
            array = np.lib.format.read_array(file, allow_pickle=False)
            return array.astype(np.float64, casting="same_kind"), None
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path)
    with path.open(newline="", encoding="utf-8-sig") as text:
        rows = [[cell.strip() for cell in row] for row in csv.reader(text)]
    return _parse_cells([row for row in rows if any(row)])


def _symmetrized(path: Path, values: Values, names: Names) -> Values:
    """Return the mean of the matrix and its transpose, after checking that it is finite
    and symmetric.
    """
    # A class is missing if it has no value apart from the diagonal.
    empty = np.isnan(values)
    np.fill_diagonal(empty, True)
    present = np.flatnonzero(~(empty.all(axis=1) & empty.all(axis=0)))
    inner = values[np.ix_(present, present)]
    # A class may have no similarity to itself, or an infinite one, such as that of
    # Jiang and Conrath.
    diagonal, others = np.diagonal(inner), inner[~np.eye(len(inner), dtype=bool)]
    largest = others[np.isfinite(others)].max(initial=0.0)
    np.fill_diagonal(inner, np.where(np.isfinite(diagonal), diagonal, largest))

    def pair_names(pair: NDArray[np.intp]) -> tuple[str, ...]:
        return tuple(
            repr(names[present[k]]) if names else f"class {present[k]}" for k in pair
        )

    gaps = np.argwhere(~np.isfinite(inner))
    if len(gaps):
        pair = pair_names(gaps[0])
        message = f"the reference {path} has no finite value for {' and '.join(pair)}"
        raise UsageError(
            message,
            hint="give one, or leave out a whole class",
            code="reference-not-finite",
            classes=pair,
        )
    differences = np.abs(inner - inner.T)
    if len(others) and differences.max() > SYMMETRY_TOLERANCE * np.abs(others).max():
        row, column = np.unravel_index(differences.argmax(), differences.shape)
        pair = pair_names(np.array([row, column]))
        message = (
            f"the reference {path} is not symmetric: the value of {' and '.join(pair)}"
            f" is {inner[row, column]:g} above the diagonal or {inner[column, row]:g}"
            " below it"
        )
        raise UsageError(
            message,
            hint="make both equal",
            code="reference-not-symmetric",
            classes=pair,
        )
    if len(others) and diagonal.max() <= others.min() < others.max():
        message = (
            f"the reference {path} has {diagonal.max():g} on its diagonal and larger"
            " values elsewhere, as distances"
        )
        message += " have; write similarities, whose largest values are on the diagonal"
        raise UsageError(message, code="reference-of-distances")
    result = np.full_like(values, np.nan)
    result[np.ix_(present, present)] = (inner + inner.T) / 2
    return result


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _read_parquet(path: Path) -> tuple[Values, Names]:
    import pandas as pd

    table = parquet.read(path)
    if {"similarity", "name", "class_index"} <= set(table.column_names):
        matrix = parquet.to_matrix(table).astype(np.float64)
        return matrix, tuple(map(str, table.sort_by("class_index")["name"].to_pylist()))
    frame = table.to_pandas()
    if not isinstance(frame.index, pd.RangeIndex):  # the names of the rows
        frame = frame.reset_index()
    cells = frame.astype(object).where(frame.notna(), "").astype(str)
    header = list(map(str, frame.columns))
    # Names with one prefix and a number (column_0, column_1) are no names of classes
    # but count the columns.
    is_counted = len({name.rstrip("0123456789") for name in header}) < 2
    rows = cells.to_numpy().tolist()
    return _parse_cells(rows if is_counted else [header, *rows])


def _parse_cells(rows: list[list[str]]) -> tuple[Values, Names]:
    """Return the numbers and the names, which are in the first row, and in the first
    column unless it has a value too many.
    """
    header = rows[0] if rows else []
    are_names = not any(map(is_number, header))
    if header and len(header) == len(rows) and not all(map(is_number, header)):
        return _parse_named_rows(rows)
    if len(header) == len(rows) - 1 and are_names:
        return _numbers(rows[1:]), tuple(header)
    # The rows of an embedding have a name each, and the header may name the dimensions.
    if len(rows) > MIN_KNOWN_CLASSES and not any(is_number(row[0]) for row in rows[1:]):
        has_header = not all(map(is_number, header[1:]))
        rows = rows[1:] if has_header else rows
        return _numbers([row[1:] for row in rows]), tuple(row[0] for row in rows)
    return _numbers(rows), None


def _parse_named_rows(rows: list[list[str]]) -> tuple[Values, Names]:
    """Return the numbers and the names, which are in the first row and column. The
    columns give the order.
    """
    values = _numbers([row[1:] for row in rows[1:]])
    names, row_names = rows[0][1:], [row[0] for row in rows[1:]]
    for name in sorted({*names, *row_names}):
        if names.count(name) != row_names.count(name):
            raise ValueError(
                f"{name!r} is not in the first row as often as in the first column"
            )
    # A name that occurs twice is refused later.
    if names != row_names:
        values = values[[row_names.index(name) for name in names]]
    return values, tuple(names)


def _numbers(rows: list[list[str]]) -> Values:
    """Return the numbers in cells, NaN for empty ones; raise `ValueError` if there are
    others.
    """
    if len({len(row) for row in rows}) > 1:
        raise ValueError("its rows differ in length")
    return np.array([[float(cell or "nan") for cell in row] for row in rows])


@dataclass(frozen=True)
class ReferenceSource:
    """A reference of any run, with its files read."""

    name: str  # the name in the tables
    # twelve hex digits of a hash of its files; None for WordNet's measures, which need
    # no file
    made_from: str | None
    similarity: Callable[[ClassLabels], Values]
    """Returns the matrix ``(C, C)`` of a run's classes, NaN for classes that the
    reference lacks.
    """
    source: str  # the name of the taxonomy or file in messages
    # True for a matrix file, which may not fit the classes of a run
    is_matrix: bool = False
    path_nodes: NodesByClass | None = None
    """Returns the node of each class, for path similarity, whose rows can be made on
    demand.
    """
    taxonomy: Taxonomy | None = None  # the taxonomy of these nodes

    def for_labels(self, labels: ClassLabels, *, by_rows: bool = False) -> EpochMatrix:
        """Return the reference of a run's classes, if possible with rows made on demand
        (`by_rows`).

        Raise `UsageError` if the reference is a matrix that does not fit the classes.
        """
        values: NDArray[np.float32] | PathRows
        if labels.label_list is None:
            size = 0 if by_rows else labels.classes
            values = np.full((size, size), np.nan, dtype=np.float32)
            classes = np.empty(0, dtype=np.intp)
            reason = labels.reason_no_reference()
        else:
            if by_rows and self.path_nodes is not None:
                nodes = self.path_nodes(labels)
                values = PathRows(list(nodes.values()), self.taxonomy)
                classes = np.array(list(nodes), dtype=np.intp)
            else:
                values = self.similarity(labels).astype(np.float32)
                classes = np.flatnonzero(~np.isnan(np.diagonal(values)))
            reason = labels.reason_too_few_known(
                len(classes), self.source, "an alignment"
            )
        return EpochMatrix(
            SCSM, values, classes, reference=self.name, reason_missing=reason
        )

    @property
    def table_options(self) -> dict[str, str]:
        """The options that dsi stores in the reference's tables."""
        return {"reference": self.name} | (
            {"made_from": self.made_from} if self.made_from else {}
        )


def open_references(
    specs: Sequence[str],
    taxonomy: CustomTaxonomy | None = None,
    wordnet: WordNet | None = None,
) -> list[ReferenceSource]:
    """Return the references that values of ``--reference`` name, in the same order, the
    main one first.

    A taxonomy may replace WordNet, which is WordNet 3.0's nouns by default. Raise
    `UsageError` for an unknown form, a file that cannot be read or is invalid, or two
    references of the same name.
    """
    sources = [
        _open_reference(spec, taxonomy, wordnet or load_wordnet())
        for spec in dict.fromkeys(specs)
    ]
    for name, number in Counter(source.name for source in sources).items():
        if number > 1:
            message = (
                f"two references are called {name}: rename a file, because the tables"
                " identify references by name"
            )
            raise UsageError(message, code="duplicate-reference", reference=name)
    return sources


def open_measure(
    spec: str, taxonomy: CustomTaxonomy | None, wordnet: WordNet
) -> ReferenceSource:
    """Return the reference of a measure; raise `UsageError` also if a taxonomy is given
    that it does not use.
    """
    (source,) = open_references([spec], taxonomy, wordnet)
    if taxonomy is not None and source.taxonomy is not taxonomy.taxonomy:
        message = (
            f"{spec} is no measure of {taxonomy.source}; take path, wup or lch, or"
            " leave out the taxonomy"
        )
        raise UsageError(
            message, code="options-conflict", options=("--taxonomy", "--measure")
        )
    return source


def check_references(
    sources: Sequence[ReferenceSource], labels_of_runs: Iterable[ClassLabels]
) -> None:
    """Raise `UsageError` if a matrix file does not fit a run, before anything is
    written.
    """
    for source, labels in product(
        [source for source in sources if source.is_matrix], labels_of_runs
    ):
        source.for_labels(labels)


def facts(sources: Sequence[ReferenceSource], labels: ClassLabels) -> list[Fact]:
    """Return a fact for each matrix file that lacks some of a run's classes."""
    found = []
    for source in sources:
        if source.is_matrix and labels.label_list is not None:
            known = source.for_labels(labels).classes
            missing = np.setdiff1d(np.arange(labels.classes), known)
            if len(missing):
                names = [labels.resolutions[index].label for index in missing.tolist()]
                found.append(
                    fact(
                        "classes-not-in-reference",
                        reference=source.source,
                        labels=names,
                        classes=labels.classes,
                    )
                )
    return found


def _open_reference(
    spec: str, custom: CustomTaxonomy | None, wordnet: WordNet
) -> ReferenceSource:
    file = Path(spec)
    kind, _, counts = spec.partition(":")
    measure = spec.removeprefix(WORDNET_PREFIX)
    if measure in measures.BY_TAXONOMY:
        is_custom = custom is not None and spec == measure
        return _of_taxonomy(measure, custom if is_custom else None, wordnet)
    if kind in measures.BY_INFORMATION and counts:
        return _of_information(kind, Path(counts), wordnet)
    if file.suffix.lower() in SUFFIXES:
        matrix = read_matrix(file)
        return ReferenceSource(
            safe_filename(file.stem),
            file_fingerprint(file),
            matrix.for_labels,
            file.name,
            is_matrix=True,
        )
    plugin = plugins.load(plugins.REFERENCES).get(spec)
    if plugin is not None:
        return ReferenceSource(
            spec, plugin.id, partial(_of_plugin, plugin), spec, is_matrix=True
        )
    raise UsageError(
        f"no reference {spec!r}: expected {EXPECTED}",
        hint=suggestion(spec, measures.BY_TAXONOMY),
        code="unknown-reference",
        reference=spec,
    )


def _of_plugin(plugin: plugins.Plugin, labels: ClassLabels) -> Values:
    """Return the matrix of a plug-in, which gets the names of the classes."""
    names = [entry.label for entry in labels.resolutions]
    values = plugin.call(partial(np.array, dtype=np.float64), names)
    return _matrix(Path(plugin.name), values, None).for_labels(labels)


def _of_taxonomy(
    kind: str, custom: CustomTaxonomy | None, wordnet: WordNet
) -> ReferenceSource:
    """Return the reference of a measure between the nodes of classes in the custom
    taxonomy, or in WordNet without one.
    """
    if custom is None:
        name, source, made_from = wordnet.id, "WordNet", None
        taxonomy = wordnet.taxonomy
    else:
        name, source, made_from = custom.name, custom.source, custom.fingerprint
        taxonomy = custom.taxonomy
    measure = measures.BY_TAXONOMY[kind]

    def nodes(labels: ClassLabels) -> Mapping[int, int]:
        if custom is None:
            return labels.nodes
        return custom.class_nodes(labels.label_list)

    def similarity(labels: ClassLabels) -> Values:
        return scatter_to_classes(
            nodes(labels), labels.classes, lambda known: measure(known, taxonomy)
        )

    return ReferenceSource(
        f"{name}-{kind}",
        made_from,
        similarity,
        source,
        path_nodes=nodes if kind == "path" else None,
        taxonomy=taxonomy,
    )


def _of_information(kind: str, file: Path, wordnet: WordNet) -> ReferenceSource:
    """Return the reference of a measure with an information content file."""
    measure = measures.BY_INFORMATION[kind]
    information = measures.read_information_content(str(file), wordnet)

    def similarity(labels: ClassLabels) -> Values:
        known = {
            index: node
            for index, node in labels.nodes.items()
            if information.counts[node] > 0
        }
        matrix = scatter_to_classes(
            known, labels.classes, lambda nodes: measure(nodes, information)
        )
        # The largest finite value replaces infinite values, and undefined ones on the
        # diagonal. Unknown classes stay NaN.
        has_values = np.logical_not(np.isnan(matrix).all(axis=1), dtype=bool)
        is_undefined = np.isnan(matrix) & has_values[:, None] & has_values
        is_undefined |= np.abs(matrix) >= UNKNOWN / 2
        finite = matrix[~is_undefined & ~np.isnan(matrix)]
        return np.where(is_undefined, finite.max(initial=0.0), matrix)

    name = f"{wordnet.id}-{kind}-{safe_filename(file.stem)}"
    return ReferenceSource(name, file_fingerprint(file), similarity, file.name)
