"""The reference of a label list alone: what ``dsi wordnet`` and `dsi_cli.wordnet_csm` give.

A matrix is made and written by blocks of rows, so that its size is a matter of the disk alone. Of lists above `MAX_DENSE_CLASSES`
labels the nearest classes are given instead, unless the whole matrix is asked for.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.options import REFERENCE
from dsi_cli.analysis.semantics import label_files, mapping_file
from dsi_cli.analysis.semantics.class_labels import ClassLabels, resolve_labels
from dsi_cli.analysis.semantics.references import ReferenceSource
from dsi_cli.errors import NothingToAnalyseError, UsageError
from dsi_cli.labels.label_list import LabelList
from dsi_cli.metrics.blockwise.blocks import without_diagonal
from dsi_cli.metrics.blockwise.wsi import nearest_of_rows
from dsi_cli.similarity import MAX_DENSE_CLASSES as MAX_DENSE_CLASSES
from dsi_cli.store import atomic_write, parquet
from dsi_cli.store.schema import REFERENCE_NEIGHBORS, REFERENCES
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet
from dsi_cli.wordnet.similarity.shortest_paths import LABELS_PER_BLOCK, UNREACHABLE, PathRows

if TYPE_CHECKING:
    import pandas as pd

NEIGHBORS = 10
"""Nearest classes of each, unless another number is asked for."""
MAP_COLUMNS = ("index", "name", "synset", "wnid", "confidence", "reason")


def resolve_label_list(
    labels: str | Sequence[str], mapping: str | Path | None = None, net: WordNet | None = None
) -> ClassLabels:
    """Return what WordNet says of a label file, a preset, or labels themselves; a mapping file comes first.

    Parameters
    ----------
    net : what labels are looked up in; WordNet 3.0's nouns unless given

    Raises
    ------
    UsageError
        The file, the preset or the mapping cannot be read.
    """
    found = label_files.read(labels) if isinstance(labels, str) else LabelList(tuple(labels), None, "the given labels")
    return resolve_labels(found, mapping_file.mapping_or_none(mapping, found, net or load_wordnet()), net)


def neighbors_of(labels: ClassLabels, asked: int | None, *, whole: bool) -> int | None:
    """Return how many nearest classes of each are to be given, None for the whole matrix.

    Raises
    ------
    UsageError
        Both were asked for.
    """
    if whole and asked is not None:
        raise UsageError(f"expected --whole or --neighbors, found --whole and --neighbors {asked}: leave one out")
    return NEIGHBORS if asked is None and not whole and labels.classes > MAX_DENSE_CLASSES else asked


def reference_tables(
    labels: ClassLabels, neighbors: int | None = None, opened: ReferenceSource | None = None
) -> Iterator[Any]:
    """Yield the reference by blocks: rows of ``references``, or of ``reference_neighbors`` if ``neighbors`` are asked for.

    Parameters
    ----------
    opened : another reference than WordNet's path similarity; its whole matrix is one block

    Raises
    ------
    NothingToAnalyseError
        No label is known to the reference.
    UsageError
        Neighbours were asked for, which are those by path similarity, of another reference.
    """
    if opened is not None and opened.name != name_of(labels):
        if neighbors is not None:
            raise UsageError(
                f"the nearest labels are by WordNet's path similarity, not {opened.name}: add --whole for its matrix"
            )
        return iter([_whole(labels, opened)])
    if not labels.resolved:
        raise NothingToAnalyseError(f"none of {labels.classes} labels is known to WordNet: {labels.unresolved[0].reason}")
    return _rows(labels) if neighbors is None else _neighbors(labels, neighbors)


def name_of(labels: ClassLabels) -> str:
    """Return the name of the reference by path similarity: ``wordnet3.0-path``."""
    return f"{labels.wordnet.id}-path"


def write(rows: Iterator[Any], place: Path | IO[bytes], opened: ReferenceSource | None = None) -> None:
    """Write what `reference_tables` yields to a file, or to an open file or pipe; ``opened`` as for that.

    Raises
    ------
    OutputError
        The place may not be written.
    """
    described = {"reference": REFERENCE} if opened is None else opened.described
    if isinstance(place, Path):
        parquet.write_blocks(rows, place, described, place.parent)
    else:
        parquet.write_stream(rows, place, described)


def frame(rows: Iterator[Any]) -> pd.DataFrame:
    """Return the batches of `reference_tables` as a frame: a matrix named by label, or the table of nearest labels."""
    import pandas as pd
    import pyarrow as pa

    table = pa.concat_tables(rows)
    if table.schema.names != [column.name for column in REFERENCES.columns]:
        nearest: pd.DataFrame = table.to_pandas()
        return nearest
    names = pd.Index(table.sort_by("class_index").column("name").to_pylist(), name="class")
    return pd.DataFrame(parquet.to_matrix(table), index=names, columns=list(names))


def write_map(labels: ClassLabels, path: Path) -> None:
    """Write how each label was understood as CSV: index, name, synset, wnid, confidence, reason.

    Raises
    ------
    OutputError
        The place may not be written.
    """
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(MAP_COLUMNS)
    for r in labels.resolutions:
        rows.writerow([r.index, r.label, r.synset, r.wnid, r.confidence, r.reason or r.resolved_by])
    atomic_write.write_atomically(path, text.getvalue().encode(), make_folder=False, option="--write-map")


def table_of(labels: ClassLabels, matrix: NDArray[np.float32], name: str) -> Any:
    """Return the matrix of a label list as a table of the schema; ``name`` is the reference's."""
    return _table(labels, matrix, 0, name)


def _whole(labels: ClassLabels, opened: ReferenceSource) -> Any:
    matrix = opened.of(labels).csm.matrix
    if np.isnan(np.diagonal(matrix)).all():
        why = f": {labels.unresolved[0].reason}" if labels.unresolved else ""
        raise NothingToAnalyseError(f"none of {labels.classes} labels is known to {opened.source}{why}")
    return table_of(labels, matrix, opened.name)


def _rows(labels: ClassLabels) -> Iterator[Any]:
    """Yield the rows of the matrix, equal to `ClassLabels.reference`; a class without a synset has nulls."""
    known, nodes = _known(labels)
    rows = PathRows(nodes, labels.wordnet.taxonomy)
    for start in range(0, labels.classes, LABELS_PER_BLOCK):
        first, last = np.searchsorted(known, [start, start + LABELS_PER_BLOCK])
        matrix = np.full((min(LABELS_PER_BLOCK, labels.classes - start), labels.classes), np.nan, dtype=np.float32)
        if first < last:
            matrix[np.ix_(known[first:last] - start, known)] = rows.block(first, last)
        yield _table(labels, matrix, start, name_of(labels))


def _neighbors(labels: ClassLabels, count: int) -> Iterator[Any]:
    assert labels.label_list is not None
    known, nodes = _known(labels)
    names = np.array(labels.label_list.names, dtype=object)
    constants = {"reference": name_of(labels), "labels_id": labels.label_list.id}
    rows = PathRows(nodes, labels.wordnet.taxonomy)
    for start in range(0, len(nodes) if count and len(nodes) > 1 else 0, LABELS_PER_BLOCK):
        stop = min(start + LABELS_PER_BLOCK, len(nodes))
        near = nearest_of_rows(-without_diagonal(rows.distances(start, stop), start).astype(np.int16), count, start)
        has_path = near.value > -UNREACHABLE
        neighbor = known[near.neighbor[has_path]]
        label = np.broadcast_to(known[start:stop, None], has_path.shape)[has_path]
        varying = {"class_index": label, "name": names[label].tolist(), "neighbor": neighbor}
        varying |= {"neighbor_name": names[neighbor].tolist(), "rank": near.rank[has_path], "ties": near.ties[has_path]}
        varying["similarity"] = 1.0 / (1.0 - near.value[has_path])
        yield parquet.from_columns(REFERENCE_NEIGHBORS, len(label), constants, varying)


def _known(labels: ClassLabels) -> tuple[NDArray[np.intp], list[int]]:
    """Return the classes that have a synset, and its node for each."""
    return np.array(list(labels.nodes)), list(labels.nodes.values())


def _table(labels: ClassLabels, matrix: NDArray[np.float32], start: int, name: str) -> Any:
    assert labels.label_list is not None
    constants = {"reference": name, "labels_id": labels.label_list.id}
    rows = range(start, start + len(matrix))
    varying = {"class_index": rows, "name": list(labels.label_list.names[rows.start : rows.stop])}
    return parquet.from_matrix(REFERENCES, matrix, constants, varying)
