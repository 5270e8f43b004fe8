"""IDM of many classes: the counts sparse, the ranks row by row; see `dsi_cli.metrics.dissimilarity`.

The deviation of the chance level needs each rank beside that of the opposite direction. So the ranks, 2 bytes each, wait in a
temporary file while the rows are gone through.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import dissimilarity, null
from dsi_cli.metrics.blocked.sums import unscaled
from dsi_cli.metrics.blocked.walk import Indices, Rows, Single, Walk, without_diagonal
from dsi_cli.metrics.dissimilarity import ALWAYS_RIGHT, NO_Z, NORMAL_95, VARIANTS, Dissimilarity
from dsi_cli.metrics.measures import Values

AT_ONCE = 16
"""Rows that are ranked in one go: what the processor's cache holds."""
Doubled = NDArray[np.integer[Any]]
"""Twice the mid-ranks, whole numbers."""


@dataclass(frozen=True)
class Cells:
    """The pairs of truth and prediction that occur."""

    row: Indices
    column: Indices
    count: Values
    rank: Values
    """0 on the diagonal."""

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether truth and prediction are the same."""
        return np.equal(self.row, self.column, dtype=bool)


@dataclass(frozen=True)
class Ranks:
    """What the ranks of a matrix tell beside those of the cells."""

    moments: null.Moments
    nearest: Values
    """The least rank of each row."""


def idm(counts: Any, matrix: Rows, classes: Indices, walk: Walk, scratch: Path | None = None) -> dict[str, Dissimilarity]:
    """Return the IDM of confusion counts by a matrix, as `dsi_cli.metrics.dissimilarity.idm` does.

    Parameters
    ----------
    counts : scipy.sparse array (C, C) int
        Rows are the truth, columns the prediction. Classes without a sample do not take part.
    classes : (M,) int
        Which of these each row of the matrix is, rising.
    scratch : folder of the temporary file; the system's own if None
    """
    present = np.asarray(counts.sum(axis=1)).ravel()[classes] > 0
    kept = classes[present]
    counts = counts.tocsr()[kept][:, kept].tocsr()
    samples = int(counts.sum())
    missing = dissimilarity.why_nothing(len(kept), samples)
    if missing is not None:
        return {
            one: Dissimilarity(one, None, classes_used=len(kept), samples_used=samples, reason=missing) for one in VARIANTS
        }
    matrix = matrix if len(kept) == matrix.size else matrix.take(np.flatnonzero(present))
    if len(kept) <= null.ENUMERATED:
        return dissimilarity.idm(counts.toarray(), matrix.block(0, matrix.size))
    cells, ranks = _ranked(counts, matrix, walk, scratch)
    found = {one: _variant(one, weight, cells, ranks) for one, weight in _weights(cells, len(kept)).items()}
    wrong = samples - int(cells.count[cells.right].sum())
    return {
        one: replace(
            found.get(one, Dissimilarity(one, reason="no mistake")),
            classes_used=len(kept),
            samples_used=wrong if one == "errors" else samples,
        )
        for one in VARIANTS
    }


def doubled_ranks(block: Single, start: int) -> Doubled:
    """Return twice the mid-ranks of rows from the ``start``-th on by falling similarity, ``(B, C)``; 0 on the diagonal."""
    found = np.zeros(block.shape, dtype=np.uint16 if 2 * block.shape[1] < 2**16 else np.uint32)
    for first in range(0, len(block), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        _rank(without_diagonal(block[some], start + first), start + first, found[some])
    return found


def _rank(values: Single, start: int, into: Doubled) -> None:
    """Put twice the mid-ranks of rows without their diagonal values into rows with them."""
    size, width = values.shape
    bits = (0.0 - values).view(np.int32)  # 0.0 less, so that both zeros are one
    rising = (bits ^ ((bits >> 31) | np.int32(-(2**31)))).view(np.uint32).astype(np.uint64)
    keys = np.sort((rising << np.uint64(32)) | np.arange(width, dtype=np.uint64), axis=1)
    column, value = (keys & np.uint64(0xFFFFFFFF)).astype(np.intp), (keys >> np.uint64(32)).astype(np.uint32)
    place = np.arange(width, dtype=np.int32)
    differs = value[:, 1:] != value[:, :-1]
    first, last = np.zeros((size, width), dtype=np.int32), np.full((size, width), width - 1, dtype=np.int32)
    np.maximum.accumulate(np.where(differs, place[1:], 0), axis=1, out=first[:, 1:])
    last[:, :-1] = np.minimum.accumulate(np.where(differs, place[:-1], width - 1)[:, ::-1], axis=1)[:, ::-1]
    own = np.arange(start, start + size)[:, None]
    np.put_along_axis(into, column + (column >= own), (first + last + 2).astype(into.dtype), axis=1)


class Waiting:
    """A square matrix of whole numbers in a file, tile by tile, so that rows and columns are read alike.

    Parameters
    ----------
    side : of a tile; rows are given so many at a time
    """

    def __init__(self, file: Any, size: int, side: int) -> None:
        self._file, self._size, self._side = file, size, side
        self._dtype: np.dtype[Any] = np.dtype(np.uint16)
        self._lock = Lock()

    def add(self, rows: Doubled) -> None:
        """Take the next rows."""
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
        place = self._dtype.itemsize * (row * self._size + height * column)
        with self._lock:  # the position in the file is one for all threads
            self._file.seek(place)
            data = self._file.read(self._dtype.itemsize * height * width)
        return np.frombuffer(data, dtype=self._dtype).reshape(height, width).astype(np.float64)


def _ranked(counts: Any, matrix: Rows, walk: Walk, scratch: Path | None) -> tuple[Cells, Ranks]:
    """Return the cells with their ranks, and what belongs to all ranks."""
    size = matrix.size
    at = counts.indptr
    cell_ranks, nearest, columns, squares = [], [], np.zeros(size), 0.0
    with tempfile.TemporaryFile(dir=scratch) as file:
        waiting = Waiting(file, size, walk.rows)
        for start, ranks in enumerate(walk.over(size, lambda start, stop: doubled_ranks(matrix.block(start, stop), start))):
            first = start * walk.rows
            here = slice(at[first], at[first + len(ranks)])
            rows = np.repeat(np.arange(len(ranks)), np.diff(at[first : first + len(ranks) + 1]))
            cell_ranks.append(ranks[rows, counts.indices[here]])
            own = np.arange(len(ranks))
            nearest.append(np.where(own[:, None] + first == np.arange(size), np.iinfo(ranks.dtype).max, ranks).min(axis=1))
            columns += ranks.sum(axis=0, dtype=np.float64)
            squares += float(np.einsum("ij,ij->", ranks, ranks, dtype=np.float64))
            waiting.add(ranks)
        file.flush()
        crossed = sum(walk.over(size, waiting.crossed))
    row = np.repeat(np.arange(size), np.diff(at))
    cells = Cells(row, counts.indices.astype(np.intp), counts.data.astype(np.float64), np.concatenate(cell_ranks) / 2)
    moments = unscaled(size, squares / 4, crossed / 4, np.full(size, size * (size - 1) / 2), columns / 2).moments()
    return cells, Ranks(moments, np.concatenate(nearest) / 2)


def _weights(cells: Cells, classes: int) -> Mapping[str, Values]:
    """Return, for each variant, the weight of each cell; they sum to 1."""
    samples = np.bincount(cells.row, weights=cells.count, minlength=classes)
    wrong = np.where(cells.right, 0.0, cells.count)
    found = {"all": cells.count / cells.count.sum(), "macro": cells.count / samples[cells.row] / np.count_nonzero(samples)}
    return found | ({"errors": wrong / wrong.sum()} if wrong.any() else {})


def _variant(variant: str, weight: Values, cells: Cells, ranks: Ranks) -> Dissimilarity:
    """Return a variant's value, chance level and interval."""
    classes = ranks.moments.classes
    scale = classes - 1
    off = np.where(cells.right, 0.0, weight)
    value = 1 - float(weight @ cells.rank) / scale
    wrong = 1 - float(weight[cells.right].sum())
    chance = 1 - wrong * (classes / 2) / scale
    ceiling = 1 - float(off @ ranks.nearest[cells.row]) / scale
    std = null.product_deviation(_of_cells(off, cells, classes), ranks.moments) / scale
    error = _stratified_error(cells, classes) if variant == "macro" else _pooled_error(cells, variant)
    half = NORMAL_95 * error / scale
    entry = Dissimilarity(variant, value, chance, std, ceiling=ceiling, low=value - half, high=value + half)
    if wrong == 0.0:
        return replace(entry, reason=ALWAYS_RIGHT)
    z = (value - chance) / std if std > 0 else None
    return replace(entry, z=z, excess=(value - chance) / (1 - chance), reason=None if z is not None else NO_Z)


def _pooled_error(cells: Cells, variant: str) -> float:
    count = np.where(cells.right, 0.0, cells.count) if variant == "errors" else cells.count
    total = count.sum()
    mean = count @ cells.rank / total
    return float(np.sqrt(count @ np.square(cells.rank - mean)) / total)


def _stratified_error(cells: Cells, classes: int) -> float:
    samples = np.bincount(cells.row, weights=cells.count, minlength=classes)
    share = cells.count / samples[cells.row]
    means = np.bincount(cells.row, weights=share * cells.rank, minlength=classes)
    spread = np.bincount(cells.row, weights=share * np.square(cells.rank - means[cells.row]), minlength=classes)
    present = samples > 0
    return float(np.sqrt((spread[present] / samples[present]).sum()) / present.sum())


def _of_cells(weight: Values, cells: Cells, classes: int) -> null.Moments:
    """Return Mantel's sums of a matrix that is zero but for the cells; the diagonal plays no part."""
    from scipy.sparse import coo_array

    matrix = coo_array((weight, (cells.row, cells.column)), shape=(classes, classes)).tocsr()
    rows, columns = (
        np.bincount(at, weights=weight, minlength=classes).astype(np.float64) for at in (cells.row, cells.column)
    )
    return unscaled(classes, float(weight @ weight), float(matrix.multiply(matrix.T).sum()), rows, columns).moments()
