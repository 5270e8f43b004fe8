"""Each class's nearest classes, and the closest pairs of all, at every epoch: computed from the table's values, then packed.

Similarities lie in [-1, 1]. An epoch's numbers are 16-bit: the neighbours' class indices, row by row, their codes, then the
pairs' first classes, second classes and codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.report.matrix_codec import LEVELS, QuantizationScale, packed

if TYPE_CHECKING:
    import pandas as pd

SCALE = QuantizationScale(-1.0, 1.0, LEVELS[0])
PAIRS = 20
MISSING = -9.0
"""Less similar than any other, but not the class itself."""


def neighbours_shown(classes: int) -> int:
    """Return how many neighbours of each class the page has."""
    return min(10 if classes <= 256 else 5, classes - 1)


def line(matrix: NDArray[Any]) -> str:
    """Return the nearest classes and the closest pairs of one symmetric matrix; ties by class index, missing values last."""
    size, most = len(matrix), neighbours_shown(len(matrix))
    values = np.where(np.isnan(matrix), MISSING, matrix.astype(np.float64))
    np.fill_diagonal(values, -np.inf)
    near = _first(-values, most)
    first, second = np.triu_indices(size, 1)
    upper = values[first, second]
    pairs = _first(-upper[None, :], min(PAIRS, len(upper)))[0]
    similarity = np.take_along_axis(values, near, axis=1)
    parts = (near, _codes(similarity), first[pairs], second[pairs], _codes(upper[pairs]))
    return packed(np.concatenate([part.ravel() for part in parts]).astype(np.uint16), LEVELS[0])


def line_of(near: pd.DataFrame, classes: int) -> str:
    """Return the same from the stored nearest classes of each, which hold the closest pairs of all."""
    most = neighbours_shown(classes)
    neighbor, value = (near[name].to_numpy().reshape(classes, -1) for name in ("neighbor", "similarity"))
    ends = np.sort(near[["class_index", "neighbor"]].to_numpy(), axis=1)
    pairs, at = np.unique(ends, axis=0, return_index=True)
    similarity = near["similarity"].to_numpy()[at]
    best = np.lexsort((pairs[:, 1], pairs[:, 0], -similarity))[: pairs_shown(classes)]
    parts = (neighbor[:, :most], _codes(value[:, :most]), *pairs[best].T, _codes(similarity[best]))
    return packed(np.concatenate([part.ravel() for part in parts]).astype(np.uint16), LEVELS[0])


def pairs_shown(classes: int) -> int:
    """Return how many of the closest pairs the page has."""
    return min(PAIRS, classes * (classes - 1) // 2)


def _first(keys: NDArray[Any], count: int) -> NDArray[np.intp]:
    """Return the columns of the ``count`` smallest keys of each row, in order, ties by column."""
    near = keys <= np.partition(keys, count - 1, axis=1)[:, count - 1 : count]
    if near.sum() > count * len(keys):  # ties at the end of some row
        return np.argsort(keys, axis=1, kind="stable")[:, :count]
    columns = np.nonzero(near)[1].reshape(len(keys), count)
    order = np.argsort(np.take_along_axis(keys, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _codes(values: NDArray[Any]) -> NDArray[np.uint16]:
    return SCALE.codes(np.where(values <= MISSING, np.nan, values))
