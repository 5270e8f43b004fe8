"""The nearest classes of each class and the closest pairs of classes at an epoch, computed from the stored matrix and packed.

Similarities are in [-1, 1]. The packed numbers have 16 bits. They are the class indices of the neighbours row by row, the codes
of their similarities, and the first classes, second classes and similarity codes of the closest pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.queries.neighbors import closest_of_stored
from dsi_cli.report.matrix_codec import LEVELS, QuantizationScale, pack

if TYPE_CHECKING:
    import pandas as pd

SCALE = QuantizationScale(-1.0, 1.0, LEVELS[0])
MAX_PAIRS = 20
MISSING = -9.0
"""Placeholder for a missing similarity: below every similarity, but above the -inf of the class itself."""


def neighbor_count(classes: int) -> int:
    """Return the number of neighbours of each class in the page."""
    return min(10 if classes <= 256 else 5, classes - 1)


def pair_count(classes: int) -> int:
    """Return the number of closest pairs in the page."""
    return min(MAX_PAIRS, classes * (classes - 1) // 2)


def pack_neighbors(matrix: NDArray[Any]) -> str:
    """Return the nearest classes and the closest pairs of a symmetric matrix; ties by class index, missing values last."""
    size = len(matrix)
    values = np.where(np.isnan(matrix), MISSING, matrix.astype(np.float64))
    np.fill_diagonal(values, -np.inf)
    neighbors = _smallest(-values, neighbor_count(size))
    similarity = np.take_along_axis(values, neighbors, axis=1)

    first, second = np.triu_indices(size, 1)
    upper = values[first, second]
    pairs = _smallest(-upper[None, :], pair_count(size))[0]
    return _pack_parts(neighbors, _codes(similarity), first[pairs], second[pairs], _codes(upper[pairs]))


def pack_stored_neighbors(table: pd.DataFrame, classes: int) -> str:
    """Return the nearest classes and the closest pairs from the stored neighbours of each class, which include these pairs."""
    neighbors, values = (table[name].to_numpy().reshape(classes, -1) for name in ("neighbor", "similarity"))
    count = neighbor_count(classes)

    pairs, similarity = closest_of_stored(table, pair_count(classes))
    return _pack_parts(neighbors[:, :count], _codes(values[:, :count]), *pairs.T, _codes(similarity))


def _pack_parts(*parts: NDArray[Any]) -> str:
    return pack(np.concatenate([part.ravel() for part in parts]).astype(np.uint16), LEVELS[0])


def _smallest(keys: NDArray[Any], count: int) -> NDArray[np.intp]:
    """Return the columns of the ``count`` smallest keys of each row, in rising order; ties by column."""
    is_small = keys <= np.partition(keys, count - 1, axis=1)[:, count - 1 : count]
    if is_small.sum() > count * len(keys):  # some row has ties at its last key
        return np.argsort(keys, axis=1, kind="stable")[:, :count]
    columns = np.nonzero(is_small)[1].reshape(len(keys), count)
    order = np.argsort(np.take_along_axis(keys, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _codes(values: NDArray[Any]) -> NDArray[np.uint16]:
    return SCALE.codes(np.where(values <= MISSING, np.nan, values))
