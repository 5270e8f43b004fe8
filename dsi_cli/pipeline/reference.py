"""The reference matrix of a label list alone: what ``dsi wordnet`` and `dsi_cli.wordnet_csm` give."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import NothingToAnalyseError, OutputError
from dsi_cli.labels import files
from dsi_cli.labels.lists import LabelList
from dsi_cli.pipeline import mapped
from dsi_cli.pipeline.labelling import Labelling, label
from dsi_cli.pipeline.options import REFERENCE
from dsi_cli.store import parquet
from dsi_cli.store.schema import REFERENCES

MAP_COLUMNS = ("index", "name", "synset", "wnid", "confidence", "reason")


def of(labels: str | Sequence[str], mapping: str | Path | None = None) -> Labelling:
    """Return what WordNet says of a label file, a preset, or labels themselves; a mapping file comes first.

    Raises
    ------
    UsageError
        The file, the preset or the mapping cannot be read.
    """
    found = files.read(labels) if isinstance(labels, str) else LabelList(tuple(labels), None, "the given labels")
    return label(found, None if mapping is None else mapped.chosen(mapping, found))


def write(one: Labelling, path: Path) -> None:
    """Write the matrix as ``references`` table rows.

    Raises
    ------
    NothingToAnalyseError
        No label is known to WordNet.
    OutputError
        The place may not be written.
    """
    parquet.write(_known(one), path, {"reference": REFERENCE}, path.parent)


def write_stream(one: Labelling, file: IO[bytes]) -> None:
    """Write the matrix to an open file or pipe; errors as for `write`."""
    parquet.write_stream(_known(one), file, {"reference": REFERENCE})


def write_map(one: Labelling, path: Path) -> None:
    """Write how each label was understood as CSV: index, name, synset, wnid, confidence, reason.

    Raises
    ------
    OutputError
        The place may not be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(MAP_COLUMNS)
            for r in one.resolutions:
                rows.writerow([r.index, r.label, r.synset, r.wnid, r.confidence, r.reason or r.resolved_by])
        part.replace(path)
    except OSError as error:
        parquet.discard(part)
        raise OutputError(parquet.cannot_write(path, error)) from None


def table_of(one: Labelling, matrix: NDArray[np.float32]) -> Any:
    """Return the matrix of a label list as a table of the schema."""
    assert one.labels is not None
    constants = {"reference": REFERENCE, "labels_id": one.labels.id}
    varying = {"class_index": range(one.classes), "name": list(one.labels.names)}
    return parquet.from_matrix(REFERENCES, matrix, constants, varying)


def _known(one: Labelling) -> Any:
    if not one.resolved:
        raise NothingToAnalyseError(f"none of {one.classes} labels is known to WordNet: {one.unresolved[0].reason}")
    return table_of(one, one.reference())
