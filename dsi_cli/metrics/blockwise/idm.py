"""The IDM of matrices that do not fit into memory: their rows are ranked block by block.

The deviation of the chance level needs the product of each rank with its transpose. A temporary file holds the ranks, 2 bytes each.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import p_values, permutation_null
from dsi_cli.metrics.blockwise.blocks import BlockWalk, Indices, RowSource, Single, without_diagonal
from dsi_cli.metrics.idm import ChanceLevel, ConfusedPairs, IdmResult, empty_result, idm, idm_variants, reason_no_idm
from dsi_cli.metrics.measures import Values, mid_ranks
from dsi_cli.metrics.permutation_null import Moments

ROWS_PER_BATCH = 16
"""The number of rows that are ranked at once, so that they fit into the processor's cache."""
DoubleRanks = NDArray[np.integer[Any]]
"""Twice the mid-ranks, which are integers."""


def idm_in_blocks(
    counts: Any, matrix: RowSource, classes: Indices, walk: BlockWalk, scratch: Path | None = None
) -> dict[str, IdmResult]:
    """Return the IDM of confusion counts by a matrix, equal to that of `dsi_cli.metrics.idm.idm`.

    Parameters
    ----------
    counts : scipy.sparse array (C, C) int
        Rows are the truth, columns the prediction. Classes without a sample are left out.
    matrix : the CSM of M of the classes
    classes : (M,) int
        The class of each row of the matrix, in rising order.
    scratch : the folder of the temporary file; that of the system if None
    """
    present = np.asarray(counts.sum(axis=1)).ravel()[classes] > 0
    kept = classes[present]
    counts = counts.tocsr()[kept][:, kept]
    missing = reason_no_idm(len(kept), int(counts.sum()))
    if missing is not None:
        return empty_result(missing, len(kept), int(counts.sum()))
    matrix = matrix if len(kept) == matrix.size else matrix.take(np.flatnonzero(present))
    if len(kept) <= permutation_null.MAX_ENUMERATED_CLASSES:
        return idm(counts.toarray(), matrix.block(0, matrix.size))
    pairs, moments = _pairs_and_moments(counts.tocoo(), matrix, walk, scratch)

    def chance_level(weight: Values) -> ChanceLevel:
        # The skewness would need all ranks at once; the p-value is that of the normal approximation.
        return ChanceLevel(
            permutation_null.product_deviation(_weight_moments(weight, pairs), moments),
            lambda z: p_values.upper_tail(z, 0.0),
        )

    return idm_variants(pairs, chance_level)


def double_ranks(block: Single, start: int) -> DoubleRanks:
    """Return twice the mid-ranks of rows ``(B, C)`` by falling similarity, 0 on the diagonal; the first is row ``start``."""
    doubled = np.zeros(block.shape, dtype=np.uint16 if 2 * block.shape[1] < 2**16 else np.uint32)
    for first in range(0, len(block), ROWS_PER_BATCH):
        batch = block[first : first + ROWS_PER_BATCH]
        is_off_diagonal = np.arange(block.shape[1]) != np.arange(start + first, start + first + len(batch))[:, None]
        ranks = 2 * mid_ranks(-without_diagonal(batch, start + first))
        doubled[first : first + ROWS_PER_BATCH][is_off_diagonal] = ranks.astype(doubled.dtype).ravel()
    return doubled


class _TiledFile:
    """A square matrix of integers in a file of square tiles, so that reading columns costs as much as reading rows.

    Parameters
    ----------
    side : the size of a tile, which is the number of rows per call of `add_rows`
    """

    def __init__(self, file: IO[bytes], size: int, side: int) -> None:
        self._file, self._size, self._side = file, size, side
        self._dtype: np.dtype[Any] = np.dtype(np.uint16)
        self._lock = Lock()

    def add_rows(self, rows: DoubleRanks) -> None:
        """Write the next rows."""
        self._dtype = rows.dtype
        for first in range(0, self._size, self._side):
            self._file.write(rows[:, first : first + self._side].tobytes())

    def sum_of_crossed_products(self, start: int, _stop: int) -> float:
        """Return the sum of ``x_ij x_ji`` over the rows of a tile and the columns from ``start``; later columns count twice."""
        total = 0.0
        for first in range(start, self._size, self._side):
            product = float(np.einsum("ij,ji->", self._tile(start, first), self._tile(first, start)))
            total += product if first == start else 2 * product
        return total

    def _tile(self, row: int, column: int) -> Values:
        height, width = min(self._side, self._size - row), min(self._side, self._size - column)
        with self._lock:  # all threads share the position in the file
            self._file.seek(self._dtype.itemsize * (row * self._size + height * column))
            data = self._file.read(self._dtype.itemsize * height * width)
        return np.frombuffer(data, dtype=self._dtype).reshape(height, width).astype(np.float64)


def _pairs_and_moments(
    counts: Any, matrix: RowSource, walk: BlockWalk, scratch: Path | None
) -> tuple[ConfusedPairs, Moments]:
    """Return the confused pairs with their ranks, and Mantel's sums of all ranks; ``counts`` are in row order."""
    size = matrix.size
    row, column = counts.row.astype(np.intp), counts.col.astype(np.intp)
    pair_ranks, nearest, columns, squares = [], [], np.zeros(size), 0.0
    with tempfile.TemporaryFile(dir=scratch) as file:
        tiles = _TiledFile(file, size, walk.rows)
        blocks = walk.map_blocks(size, lambda start, stop: double_ranks(matrix.block(start, stop), start))
        for number, ranks in enumerate(blocks):
            start = number * walk.rows
            in_block = slice(*np.searchsorted(row, [start, start + len(ranks)]))
            pair_ranks.append(ranks[row[in_block] - start, column[in_block]])
            nearest.append(without_diagonal(ranks, start).min(axis=1))
            columns += ranks.sum(axis=0, dtype=np.float64)
            squares += float(np.einsum("ij,ij->", ranks, ranks, dtype=np.float64))
            tiles.add_rows(ranks)
        file.flush()
        crossed = sum(walk.map_blocks(size, tiles.sum_of_crossed_products))
    pairs = ConfusedPairs(
        row, column, counts.data.astype(np.float64), np.concatenate(pair_ranks) / 2, np.concatenate(nearest) / 2
    )
    # The ranks of each row are 1 to size - 1. All sums are of doubled ranks, and those of products are quadrupled.
    rows = np.full(size, size * (size - 1) / 2)
    return pairs, Moments.of_sums(rows, columns / 2, squares / 4, crossed / 4)


def _weight_moments(weight: Values, pairs: ConfusedPairs) -> Moments:
    """Return Mantel's sums of a matrix with the weights of the pairs and 0 elsewhere, without its diagonal."""
    rows = np.bincount(pairs.row, weight, minlength=pairs.classes).astype(np.float64)
    columns = np.bincount(pairs.column, weight, minlength=pairs.classes).astype(np.float64)
    keys = pairs.row * pairs.classes + pairs.column
    transposed = pairs.column * pairs.classes + pairs.row
    _, index, index_of_transpose = np.intersect1d(keys, transposed, assume_unique=True, return_indices=True)
    crossed = float(weight[index] @ weight[index_of_transpose])
    return Moments.of_sums(rows, columns, float(weight @ weight), crossed)
