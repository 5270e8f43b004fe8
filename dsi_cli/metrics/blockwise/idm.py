"""The IDM of more classes than a matrix is made whole of: the rows are ranked block by block.

The deviation of the chance level needs the product of each rank with that of the opposite direction. So the ranks, 2 bytes each,
are kept in a temporary file while the rows are gone through.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import permutation_null
from dsi_cli.metrics.blockwise.blocks import BlockWalk, Indices, RowSource, Single, without_diagonal
from dsi_cli.metrics.idm import ConfusedPairs, IdmResult, empty_result, idm, idm_variants, reason_no_idm
from dsi_cli.metrics.measures import Values, mid_ranks
from dsi_cli.metrics.permutation_null import Moments

AT_ONCE = 16
"""The number of rows that are ranked at once: as many as the processor's cache holds."""
Doubled = NDArray[np.integer[Any]]
"""Twice the mid-ranks, which are whole numbers."""


def idm_in_blocks(
    counts: Any, matrix: RowSource, classes: Indices, walk: BlockWalk, scratch: Path | None = None
) -> dict[str, IdmResult]:
    """Return the IDM of confusion counts by a matrix, as `dsi_cli.metrics.idm.idm` does.

    Parameters
    ----------
    counts : scipy.sparse array (C, C) int
        Rows are the truth, columns the prediction. Classes without a sample do not take part.
    matrix : of M of the classes
    classes : (M,) int
        The class of each row of the matrix, rising.
    scratch : the folder of the temporary file; the system's own if None
    """
    present = np.asarray(counts.sum(axis=1)).ravel()[classes] > 0
    kept = classes[present]
    counts = counts.tocsr()[kept][:, kept]
    missing = reason_no_idm(len(kept), int(counts.sum()))
    if missing is not None:
        return empty_result(missing, len(kept), int(counts.sum()))
    matrix = matrix if len(kept) == matrix.size else matrix.take(np.flatnonzero(present))
    if len(kept) <= permutation_null.ENUMERATED:
        return idm(counts.toarray(), matrix.block(0, matrix.size))
    cells, moments = _ranked(counts.tocoo(), matrix, walk, scratch)
    return idm_variants(cells, lambda weight: permutation_null.product_deviation(_of_cells(weight, cells), moments))


def doubled_ranks(block: Single, start: int) -> Doubled:
    """Return twice the mid-ranks of rows ``(B, C)`` by falling similarity, 0 on the diagonal; the first is row ``start``."""
    found = np.zeros(block.shape, dtype=np.uint16 if 2 * block.shape[1] < 2**16 else np.uint32)
    for first in range(0, len(block), AT_ONCE):
        some = block[first : first + AT_ONCE]
        others = np.arange(block.shape[1]) != np.arange(start + first, start + first + len(some))[:, None]
        ranks = 2 * mid_ranks(-without_diagonal(some, start + first))
        found[first : first + AT_ONCE][others] = ranks.astype(found.dtype).ravel()
    return found


class _Tiles:
    """A square matrix of whole numbers in a file, tile by tile, so that rows and columns are read alike.

    Parameters
    ----------
    side : the size of a tile; rows are added so many at a time
    """

    def __init__(self, file: IO[bytes], size: int, side: int) -> None:
        self._file, self._size, self._side = file, size, side
        self._dtype: np.dtype[Any] = np.dtype(np.uint16)
        self._lock = Lock()

    def add(self, rows: Doubled) -> None:
        """Add the next rows."""
        self._dtype = rows.dtype
        for first in range(0, self._size, self._side):
            self._file.write(rows[:, first : first + self._side].tobytes())

    def crossed(self, start: int, _stop: int) -> float:
        """Return the sum of ``x_ij x_ji`` over the rows of a tile and the columns from there on: those behind the tile twice."""
        total = 0.0
        for first in range(start, self._size, self._side):
            tile, other = self._tile(start, first), self._tile(first, start)
            total += (1 if first == start else 2) * float(np.einsum("ij,ji->", tile, other))
        return total

    def _tile(self, row: int, column: int) -> Values:
        height, width = (min(self._side, self._size - at) for at in (row, column))
        with self._lock:  # all threads share the position in the file
            self._file.seek(self._dtype.itemsize * (row * self._size + height * column))
            data = self._file.read(self._dtype.itemsize * height * width)
        return np.frombuffer(data, dtype=self._dtype).reshape(height, width).astype(np.float64)


def _ranked(counts: Any, matrix: RowSource, walk: BlockWalk, scratch: Path | None) -> tuple[ConfusedPairs, Moments]:
    """Return the cells with their ranks, and Mantel's sums of all ranks; ``counts`` are in the order of the rows."""
    size = matrix.size
    row, column = (at.astype(np.intp) for at in (counts.row, counts.col))
    ranks_of_cells, nearest, columns, squares = [], [], np.zeros(size), 0.0
    with tempfile.TemporaryFile(dir=scratch) as file:
        tiles = _Tiles(file, size, walk.rows)
        for number, ranks in enumerate(
            walk.over(size, lambda start, stop: doubled_ranks(matrix.block(start, stop), start))
        ):
            start = number * walk.rows
            here = slice(*np.searchsorted(row, [start, start + len(ranks)]))
            ranks_of_cells.append(ranks[row[here] - start, column[here]])
            nearest.append(without_diagonal(ranks, start).min(axis=1))
            columns += ranks.sum(axis=0, dtype=np.float64)
            squares += float(np.einsum("ij,ij->", ranks, ranks, dtype=np.float64))
            tiles.add(ranks)
        file.flush()
        crossed = sum(walk.over(size, tiles.crossed))
    rows = np.full(size, size * (size - 1) / 2)
    cells = ConfusedPairs(
        row, column, counts.data.astype(np.float64), np.concatenate(ranks_of_cells) / 2, np.concatenate(nearest) / 2
    )
    return cells, Moments.of_sums(rows, columns / 2, squares / 4, crossed / 4)


def _of_cells(weight: Values, cells: ConfusedPairs) -> Moments:
    """Return Mantel's sums of a matrix that is zero but for the weights of the cells; its diagonal plays no part."""
    rows, columns = (
        np.bincount(at, weight, minlength=cells.classes).astype(np.float64) for at in (cells.row, cells.column)
    )
    keys, turned = cells.row * cells.classes + cells.column, cells.column * cells.classes + cells.row
    _, here, there = np.intersect1d(keys, turned, assume_unique=True, return_indices=True)
    return Moments.of_sums(rows, columns, float(weight @ weight), float(weight[here] @ weight[there]))
