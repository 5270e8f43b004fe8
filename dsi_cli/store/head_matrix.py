"""What stands for a matrix too large to be stored: a classifier from which any part of it is made, and the nearest classes."""

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
"""Those that a classifier gives."""


def matrix_part(
    head: Path, kind: str, labels: pd.Index, rows: Sequence[int | str] | None, classes: Sequence[int | str] | None
) -> pd.DataFrame:
    """Return a part of a matrix, made from a stored classifier.

    Parameters
    ----------
    rows, classes : names or indices of the rows, and of the columns; all if None

    Raises
    ------
    UsageError
        There is no such class, or the part is too large.
    """
    down, across = (class_indices(asked, labels) for asked in (rows, classes))
    require_few(len(down), len(across), kind)
    matrix = _cosines(head, kind, head.stat().st_mtime_ns)
    found = matrix.between(down, across)
    return pd.DataFrame(found, index=labels[down], columns=labels[across])


def require_few(rows: int, columns: int, kind: str) -> None:
    """Raise `UsageError` if a part of a matrix is too large to be made at once."""
    if rows * columns > similarity.MAX_DENSE_CLASSES**2:
        raise UsageError(
            f"the {kind} of {columns:,} classes is not stored, and {rows:,} x {columns:,} values are too many at once: ask for"
            f" some, .csm({kind!r}, rows=[...], classes=[...]) or dsi export --rows 0:100; neighbors/ holds the nearest of each"
        )


def class_indices(asked: Sequence[int | str] | None, labels: pd.Index) -> NDArray[np.intp]:
    """Return the indices of classes that are asked for by name or index.

    Raises
    ------
    UsageError
        There is no such class.
    """
    if asked is None:
        return np.arange(len(labels))
    named = {str(name): index for index, name in reversed(list(enumerate(labels)))}
    found = []
    for one in asked:
        index = named.get(one) if isinstance(one, str) else int(one)
        if index is None or not 0 <= index < len(labels):
            raise UsageError(f"no class {one!r}: expected a name, or an index from 0 to {len(labels) - 1}")
        found.append(index)
    return np.array(found, dtype=np.intp)


@lru_cache(maxsize=1)
def _cosines(head: Path, kind: str, _changed: int) -> Cosines:
    weight = parquet.to_rows(parquet.read(head), "weight")
    return Cosines.of(weight, centred=kind == "ncsm_centred")
