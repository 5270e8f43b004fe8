"""Parts of matrices that are too large to be stored, computed from a stored classifier head."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli import similarity
from dsi_cli.errors import UsageError
from dsi_cli.similarity.weights import Cosines
from dsi_cli.store import parquet

KINDS = ("ncsm", "ncsm_centred")
"""The kinds of matrices that a classifier head gives."""


def matrix_part(
    head: Path, kind: str, labels: pd.Index, rows: Sequence[int | str] | None, classes: Sequence[int | str] | None
) -> pd.DataFrame:
    """Return a part of a matrix, computed from a stored classifier head.

    Parameters
    ----------
    head : the file of the classifier head
    kind : the kind of matrix
    labels : the names of all classes
    rows, classes : names or indices of the rows, and of the columns; all if None

    Raises
    ------
    UsageError
        A class does not exist, or the part is too large.
    """
    row_indices, column_indices = class_indices(rows, labels), class_indices(classes, labels)
    require_few(len(row_indices), len(column_indices), kind)
    matrix = _cosines(head, kind, head.stat().st_mtime_ns)
    values = matrix.between(row_indices, column_indices)
    return pd.DataFrame(values, index=labels[row_indices], columns=labels[column_indices])


def require_few(rows: int, columns: int, kind: str) -> None:
    """Raise `UsageError` if a part of a matrix is too large to be computed at once."""
    if rows * columns > similarity.MAX_DENSE_CLASSES**2:
        raise UsageError(
            f"the {kind} of {columns:,} classes is not stored, and {rows:,} x {columns:,} values are too many at once; select a"
            f" part with .csm({kind!r}, rows=[...], classes=[...]) or dsi export --rows 0:100; neighbors/ holds the nearest"
            " classes of each class",
            code="matrix-too-large",
            kind=kind,
        )


def class_indices(classes: Sequence[int | str] | None, labels: pd.Index) -> NDArray[np.intp]:
    """Return the indices of classes that are given by name or index; all indices if ``classes`` is None.

    Raises
    ------
    UsageError
        A class does not exist.
    """
    if classes is None:
        return np.arange(len(labels))
    # The first of several classes with one name counts.
    indices_by_name = {str(name): index for index, name in reversed(list(enumerate(labels)))}
    indices = []
    for name_or_index in classes:
        index = indices_by_name.get(name_or_index) if isinstance(name_or_index, str) else int(name_or_index)
        if index is None or not 0 <= index < len(labels):
            raise UsageError(
                f"no class {name_or_index!r}: expected a name, or an index from 0 to {len(labels) - 1}",
                code="unknown-class",
                name=name_or_index,
            )
        indices.append(index)
    return np.array(indices, dtype=np.intp)


@lru_cache(maxsize=1)
def _cosines(head: Path, kind: str, _modified_ns: int) -> Cosines:
    weight = parquet.to_rows(parquet.read(head), "weight")
    return Cosines.of(weight, centred=kind == "ncsm_centred")
