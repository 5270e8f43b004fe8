"""The reference matrix of a label list, for ``dsi wordnet`` and `dsi_cli.wordnet_csm`.

A matrix is computed and written in blocks of rows, so that only the disk limits its
size. Lists above `MAX_DENSE_CLASSES` labels get the nearest classes instead, unless the
user asks for the whole matrix.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.semantics.class_labels import (
    ClassLabels,
    read_choices,
    resolve_labels,
)
from dsi_cli.analysis.semantics.epoch_context import EpochMatrix
from dsi_cli.analysis.semantics.references import ReferenceSource
from dsi_cli.errors import NothingToAnalyseError, UsageError
from dsi_cli.labels import files
from dsi_cli.labels.label_list import LabelList
from dsi_cli.metrics.blockwise import nearest_of_rows, without_diagonal
from dsi_cli.similarity import MAX_DENSE_CLASSES as MAX_DENSE_CLASSES
from dsi_cli.store import atomic_write, parquet, spreadsheet
from dsi_cli.store.schema import REFERENCE_NEIGHBORS, REFERENCES
from dsi_cli.wordnet.database.wordnet import WordNet
from dsi_cli.wordnet.similarity.path_similarity import (
    LABELS_PER_BLOCK,
    UNREACHABLE,
    PathRows,
)

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_NEIGHBORS = 10  # the number of nearest classes in the tables of long lists


def resolve_label_list(
    labels: str | Sequence[str],
    mapping: str | Path | None = None,
    wordnet: WordNet | None = None,
) -> ClassLabels:
    """Return the labels of a label file, a preset or a sequence with their synsets,
    some of them chosen in a mapping file.

    The labels are looked up in WordNet 3.0's nouns, or in another WordNet.
    """
    if isinstance(labels, str):
        label_list = files.read_labels_or_preset(labels)
    else:
        label_list = LabelList(tuple(labels), None, "the given labels")
    return resolve_labels(
        label_list, read_choices(mapping, label_list, wordnet), wordnet
    )


def choose_neighbors(
    labels: ClassLabels, neighbors: int | None, *, whole: bool
) -> int | None:
    """Return the number of nearest classes to write, None for the whole matrix; raise
    `UsageError` if both are given.
    """
    if whole and neighbors is not None:
        message = f"--whole and --neighbors {neighbors} exclude each other"
        raise UsageError(
            message,
            hint="leave one out",
            code="conflicting-options",
            neighbors=neighbors,
        )
    if neighbors is None and not whole and labels.classes > MAX_DENSE_CLASSES:
        return DEFAULT_NEIGHBORS
    return neighbors


def reference_tables(
    labels: ClassLabels, neighbors: int | None, source: ReferenceSource
) -> Iterator[Any]:
    """Return an iterator over the blocks of a ``references`` table, or of a
    ``reference_neighbors`` table.

    `neighbors` is the number of nearest classes, None for the whole matrix. Raise
    `NothingToAnalyseError` if the reference contains no label, and `UsageError` for the
    nearest classes of another reference than WordNet's path similarity.
    """
    is_path = source.name == f"{labels.wordnet.id}-path"
    if neighbors is not None and not is_path:
        message = (
            f"the nearest labels are by WordNet's path similarity, not {source.name}"
        )
        raise UsageError(
            message,
            hint="add --whole instead of --neighbors",
            code="neighbors-need-path-similarity",
            reference=source.name,
        )
    matrix = source.for_labels(labels, by_rows=is_path)
    if not len(matrix.classes):
        reason = f": {labels.unresolved[0].reason}" if labels.unresolved else ""
        message = f"none of {labels.classes} labels is known to {source.source}{reason}"
        raise NothingToAnalyseError(
            message, code="no-label-known", classes=labels.classes, source=source.source
        )
    if neighbors is None:
        return _matrix_blocks(labels, matrix)
    return _neighbor_blocks(labels, matrix, neighbors)


def write_blocks(
    blocks: Iterator[Any], target: Path | IO[bytes], source: ReferenceSource
) -> None:
    """Write the blocks of `reference_tables`, for the same reference, to a path, an
    open file or a pipe.
    """
    if isinstance(target, Path):
        parquet.write_blocks(blocks, target, source.table_options, target.parent)
    else:
        parquet.write_stream(blocks, target, source.table_options)


def to_frame(blocks: Iterator[Any]) -> pd.DataFrame:
    """Return the blocks of `reference_tables` as a frame: a matrix with label names, or
    the table of nearest labels.
    """
    import pandas as pd
    import pyarrow as pa

    table = pa.concat_tables(blocks)
    if table.schema.names != [column.name for column in REFERENCES.columns]:
        return table.to_pandas()
    names = pd.Index(
        table.sort_by("class_index").column("name").to_pylist(), name="class"
    )
    return pd.DataFrame(parquet.to_matrix(table), index=names, columns=list(names))


def write_map(labels: ClassLabels, path: Path) -> None:
    """Write the synset of each label as CSV; see `map_contents`."""
    atomic_write.write_atomically(
        path, map_contents(labels), make_folder=False, option="--write-map"
    )


def map_contents(labels: ClassLabels) -> bytes:
    """Return the synset of each label as CSV: index, name, synset, wnid, confidence,
    reason.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("index", "name", "synset", "wnid", "confidence", "reason"))
    for resolution in labels.resolutions:
        row = [
            resolution.index,
            spreadsheet.cell_text(resolution.label),
            resolution.synset,
            resolution.wnid,
            resolution.confidence,
        ]
        writer.writerow([*row, resolution.reason or resolution.resolved_by])
    return text.getvalue().encode()


def matrix_table(
    labels: ClassLabels,
    matrix: NDArray[np.float32],
    reference: str | None,
    first_row: int = 0,
) -> Any:
    """Return the rows ``(N, C)`` of a reference matrix, of which the first is that of
    class ``first_row``, as a table.
    """
    assert labels.label_list is not None
    constants = {"reference": reference, "labels_id": labels.label_list.id}
    end = first_row + len(matrix)
    varying = {
        "class_index": range(first_row, end),
        "name": list(labels.label_list.names[first_row:end]),
    }
    return parquet.from_matrix(REFERENCES, matrix, constants, varying)


def _matrix_blocks(labels: ClassLabels, matrix: EpochMatrix) -> Iterator[Any]:
    """Yield the rows of a reference matrix in blocks; a class that the reference lacks
    has nulls.
    """
    known, rows = matrix.classes, matrix.rows(matrix.classes)
    for start in range(0, labels.classes, LABELS_PER_BLOCK):
        first, last = np.searchsorted(known, [start, start + LABELS_PER_BLOCK])
        block = np.full(
            (min(LABELS_PER_BLOCK, labels.classes - start), labels.classes),
            np.nan,
            dtype=np.float32,
        )
        if first < last:
            block[np.ix_(known[first:last] - start, known)] = rows.block(first, last)
        yield matrix_table(labels, block, matrix.reference, start)


def _neighbor_blocks(
    labels: ClassLabels, matrix: EpochMatrix, count: int
) -> Iterator[Any]:
    """Yield the nearest classes of each class by path similarity in blocks; without
    classes that no path reaches.
    """
    assert labels.label_list is not None
    known, rows = matrix.classes, matrix.values
    assert isinstance(rows, PathRows)
    if count == 0 or len(known) < 2:
        return
    names = np.array(labels.label_list.names, dtype=object)
    constants = {"reference": matrix.reference, "labels_id": labels.label_list.id}
    for start in range(0, len(known), LABELS_PER_BLOCK):
        stop = min(start + LABELS_PER_BLOCK, len(known))
        near = nearest_of_rows(
            -without_diagonal(rows.distances(start, stop), start).astype(np.int16),
            count,
            start,
        )
        has_path = near.value > -UNREACHABLE
        neighbor = known[near.neighbor[has_path]]
        label = np.broadcast_to(known[start:stop, None], has_path.shape)[has_path]
        varying = {"class_index": label, "name": names[label].tolist()}
        varying |= {"neighbor": neighbor, "neighbor_name": names[neighbor].tolist()}
        varying |= {"rank": near.rank[has_path], "ties": near.ties[has_path]}
        varying["similarity"] = 1.0 / (1.0 - near.value[has_path])
        yield parquet.from_columns(REFERENCE_NEIGHBORS, len(label), constants, varying)
