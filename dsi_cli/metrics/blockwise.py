"""WSI, SAI and IDM of class similarity matrices that do not fit into memory: their rows
are made on demand, block by block.

A `RowSource` returns the rows of such a matrix, a `BlockWalk` iterates over its blocks,
and `block_statistics` computes its sums, its WSI and its nearest classes. The SAI
follows from the sums for the cosine, Pearson's correlation and MSE, with their exact
chance levels. All else needs the whole matrix: SSIM, the measures by ranks, the chance
level of MAE, ceilings, confidence intervals and p-values. For the IDM, the rows are
ranked block by block.

`pair_of` and `idm_of` compare matrices of one block, which are whole (`PreparedMatrix`),
and of many blocks (`BlockMatrix`) alike.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import alignment, class_alignment, p_values, permutation_null
from dsi_cli.metrics.alignment import Alignment, MatrixPair
from dsi_cli.metrics.class_alignment import ClassAgreement
from dsi_cli.metrics.idm import (
    ChanceLevel,
    ConfusedPairs,
    Score,
    empty_result,
    idm_of_prepared,
    idm_variants,
    reason_no_idm,
)
from dsi_cli.metrics.measures import (
    ProductMeasure,
    Spread,
    Values,
    mid_ranks,
    off_diagonal,
)
from dsi_cli.metrics.p_values import lazy_property
from dsi_cli.metrics.permutation_null import Moments
from dsi_cli.metrics.prepared_matrix import ROUNDING, PreparedMatrix
from dsi_cli.metrics.wsi import lower_tails, upper_tails

Indices = NDArray[np.intp]
Single = NDArray[np.float32]
Result = TypeVar("Result")
# the largest and the smallest number of rows of a block
MAX_BLOCK_ROWS, MIN_BLOCK_ROWS = (128, 16)
# the memory for each value of a block while two matrices are compared (measured, and
# rounded up)
BYTES_PER_VALUE = 130
# the number of rows that are ranked at once, so that they fit into the processor's
# cache
RANKED_ROWS = 16
TILE_SIDE = 1024  # the rows and columns of the parts in which the file of ranks is read
MEASURES = ("cosine", "mse", "pearson")  # the measures of a SAI that follow from sums
WHOLE_MATRICES = "whole matrices, which are not made above 4,096 classes"
"""The end of the reason why a measure is missing that is not computed by blocks."""


class RowSource(Protocol):
    """A matrix ``(C, C)`` without NaN whose rows are computed on demand. It is
    symmetric unless it is `DenseRows`.
    """

    @property
    def size(self) -> int:
        """The number of classes."""

    def block(self, start: int, stop: int, /) -> Single:
        """Return the rows ``(stop - start, C)`` from ``start`` to ``stop``, with the
        diagonal.
        """

    def take(self, classes: Sequence[int] | Indices, /) -> RowSource:
        """Return the matrix of some of the classes, in the given order."""


class DenseRows:
    """A matrix ``(C, C)`` that is in memory; it need not be symmetric."""

    def __init__(self, matrix: Single) -> None:
        self.matrix = matrix
        self.size = len(matrix)

    def block(self, start: int, stop: int, /) -> Single:
        """Return the rows ``(stop - start, C)`` from ``start`` to ``stop``."""
        return self.matrix[start:stop]

    def take(self, classes: Sequence[int] | Indices, /) -> DenseRows:
        """Return the matrix of some of the classes, in the given order."""
        index = np.asarray(classes, dtype=np.intp)
        return DenseRows(self.matrix[np.ix_(index, index)])


@dataclass(frozen=True)
class BlockWalk:
    """An iteration over the blocks of rows of a matrix."""

    rows: int = MAX_BLOCK_ROWS
    """The number of rows of a block."""
    map_in_order: Callable[..., Iterable[Any]] = map
    """A function like `map`; it may use several threads."""

    def map_blocks(
        self, size: int, function: Callable[[int, int], Result]
    ) -> Iterator[Result]:
        """Yield the result of ``function(start, stop)`` for each block of a matrix with
        ``size`` rows, in order.
        """
        yield from self.map_in_order(
            lambda start: function(start, min(start + self.rows, size)),
            range(0, size, self.rows),
        )


def rows_within(budget: int, classes: int, workers: int) -> int:
    """Return the number of rows of a block for which ``workers`` concurrent blocks stay
    within a budget in bytes.
    """
    return int(
        np.clip(
            budget // (classes * BYTES_PER_VALUE * workers),
            MIN_BLOCK_ROWS,
            MAX_BLOCK_ROWS,
        )
    )


def without_diagonal(block: NDArray[Any], start: int) -> NDArray[Any]:
    """Return rows ``(B, C)`` without the diagonal values of the matrix: ``(B, C-1)``;
    the first is row ``start``.

    >>> without_diagonal(np.arange(6).reshape(2, 3), 1).tolist()
    [[0, 2], [3, 4]]
    """
    size, width = block.shape
    values = np.empty((size, width - 1), dtype=block.dtype)
    values[:, :start] = block[:, :start]
    values[:, start : start + size - 1] = off_diagonal(block[:, start : start + size])
    values[:, start + size - 1 :] = block[:, start + size :]
    return values


# Sums, WSI and nearest classes


@dataclass(frozen=True)
class MatrixSums:
    """Sums and extremes of the off-diagonal values of a matrix, in float64."""

    rows: Values
    """The sum of each row ``(C,)``."""
    columns: Values
    squares: float
    """The sum of all squares."""
    crossed: float
    """The sum of ``x_ij x_ji``."""
    low: float
    high: float
    largest: float
    """The largest absolute value, with the diagonal."""

    @property
    def number(self) -> int:
        """The number of off-diagonal values."""
        return len(self.rows) * (len(self.rows) - 1)

    @property
    def is_constant(self) -> bool:
        """True if all values are equal up to float32 rounding."""
        return self.high - self.low <= ROUNDING * self.largest

    @property
    def spread(self) -> Spread:
        """The spread of the values scaled to [0, 1]."""
        mean, scale = float(self.rows.sum()) / self.number, self.high - self.low
        squares = self.squares - self.number * mean**2
        return Spread(self.number, (mean - self.low) / scale, squares / scale**2)

    @property
    def moments(self) -> Moments:
        """Mantel's sums of the unscaled values."""
        return Moments.of_sums(self.rows, self.columns, self.squares, self.crossed)


class NearestClasses(NamedTuple):
    """The nearest other classes of each class, as arrays ``(B, k)``; the nearest is
    first, ties are in class order.
    """

    neighbor: Indices
    """The class index of the neighbour."""
    rank: Values
    """The rank among all other classes, from 1; ties have their mid-rank."""
    ties: Indices
    """The number of classes with exactly this value, with this one."""
    value: NDArray[Any]
    """The similarity."""


@dataclass(frozen=True)
class BlockStatistics:
    """The sums, the WSI and the nearest classes of a matrix."""

    sums: MatrixSums
    wsi: dict[tuple[str, float], float]
    """The max and min WSI, by ``max`` or ``min`` and the quantile."""
    nearest: NearestClasses | None
    """None if no neighbours were requested."""

    @property
    def mean_wsi(self) -> float:
        """The mean of the off-diagonal values."""
        return float(self.sums.rows.sum()) / self.sums.number


def block_statistics(
    matrix: RowSource,
    walk: BlockWalk,
    quantiles: Sequence[float] = (),
    neighbors: int = 0,
) -> BlockStatistics:
    """Return the statistics of a matrix of two classes or more.

    The max and min WSI are those of the quantiles. ``neighbors`` is the number of
    nearest classes of each class, or 0 for none.
    """

    def values_of_block(
        start: int, stop: int
    ) -> tuple[MatrixSums, dict[tuple[str, float], Values], NearestClasses | None]:
        block = matrix.block(start, stop)
        off = without_diagonal(block, start)
        # The sums. All matrices but dense ones are symmetric.
        values = block.astype(np.float64)
        index = np.arange(len(block))
        values[index, start + index] = 0.0
        squares = crossed = float(np.einsum("ij,ij->", values, values))
        if isinstance(matrix, DenseRows):
            crossed = float(
                np.einsum("ij,ij->", values, matrix.matrix[:, start:stop].T)
            )
        largest = max(-float(block.min()), float(block.max()))
        low, high = float(off.min()), float(off.max())
        sums = MatrixSums(
            values.sum(axis=1), values.sum(axis=0), squares, crossed, low, high, largest
        )
        # The WSI and the nearest classes
        nearest = nearest_of_rows(off, neighbors, start) if neighbors else None
        off.sort(axis=1)
        tails = {}
        for quantile in quantiles:
            tails["max", quantile] = upper_tails(off, quantile)
            tails["min", quantile] = lower_tails(off, quantile)
        return sums, tails, nearest

    of_blocks, tails, near = zip(
        *walk.map_blocks(matrix.size, values_of_block), strict=True
    )
    matrix_sums = MatrixSums(
        rows=np.concatenate([sums.rows for sums in of_blocks]),
        columns=np.sum([sums.columns for sums in of_blocks], axis=0),
        squares=sum(sums.squares for sums in of_blocks),
        crossed=sum(sums.crossed for sums in of_blocks),
        low=min(sums.low for sums in of_blocks),
        high=max(sums.high for sums in of_blocks),
        largest=max(sums.largest for sums in of_blocks),
    )
    wsi = {
        name: float(np.concatenate([of_block[name] for of_block in tails]).mean())
        for name in tails[0]
    }
    if neighbors:
        nearest = NearestClasses(*map(np.concatenate, zip(*near, strict=True)))
    else:
        nearest = None
    return BlockStatistics(matrix_sums, wsi, nearest)


def nearest_of_rows(values: NDArray[Any], count: int, start: int) -> NearestClasses:
    """Return the ``count`` nearest other classes of each row, or all if there are
    fewer.

    The values ``(B, C-1)`` are rows without their diagonal values, and larger is
    nearer. The first is row ``start`` of the matrix.
    """
    count = min(count, values.shape[1])
    edges = np.partition(values, -count, axis=1)[:, -count]
    columns = np.empty((len(values), count), dtype=np.intp)
    ties = np.empty((len(values), count), dtype=np.intp)
    ranks = np.empty((len(values), count))
    for index, (row, edge) in enumerate(zip(values, edges, strict=True)):
        # The candidates include all classes tied with the last neighbour, so that
        # mid-ranks are exact.
        candidates = np.flatnonzero(row >= edge)
        candidate_ranks = mid_ranks(-row[candidates])
        order = np.argsort(candidate_ranks, kind="stable")
        rising, nearest = candidate_ranks[order], order[:count]
        columns[index], ranks[index] = candidates[nearest], candidate_ranks[nearest]
        ends, begins = (
            np.searchsorted(rising, ranks[index], side=side)
            for side in ("right", "left")
        )
        ties[index] = ends - begins
    class_index = np.arange(start, start + len(values))[:, None]
    # columns after the diagonal are shifted by one
    neighbor = columns + (columns >= class_index)
    return NearestClasses(
        neighbor, ranks, ties, np.take_along_axis(values, columns, axis=1)
    )


# SAI


class BlockMatrix:
    """A matrix that is compared in blocks of rows, as `PreparedMatrix` is for one in
    memory. Its statistics are computed on first use if they are not ``known``.
    """

    def __init__(
        self, rows: RowSource, walk: BlockWalk, known: BlockStatistics | None = None
    ) -> None:
        self.rows, self.walk, self._known = rows, walk, known

    @lazy_property
    def sums(self) -> MatrixSums:
        """The sums of the values."""
        return (self._known or block_statistics(self.rows, self.walk)).sums

    @property
    def is_constant(self) -> bool:
        """True if all values are equal up to float32 rounding."""
        return self.sums.is_constant

    def deviations(self, start: int, stop: int) -> Values:
        """Return the scaled deviations of rows from the mean, without the diagonal."""
        block = self.rows.block(start, stop)
        values: Values = without_diagonal(block, start).astype(np.float64)
        values -= float(self.sums.rows.sum()) / self.sums.number
        values /= self.sums.high - self.sums.low or 1.0
        return values


@dataclass(frozen=True)
class BlockPair:
    """Two matrices of the same classes that are compared in blocks of rows; the methods
    are those of `dsi_cli.metrics.alignment.MatrixPair`.
    """

    a: BlockMatrix
    b: BlockMatrix

    @lazy_property
    def _products(self) -> tuple[float, Values]:
        """The sum of the products of the scaled deviations, and the correlation of each
        class's rows.
        """

        def of_block(start: int, stop: int) -> tuple[float, Values]:
            x, y = self.a.deviations(start, stop), self.b.deviations(start, stop)
            return float(np.einsum("ij,ij->", x, y)), class_alignment.align_rows(x, y)

        blocks = self.a.walk.map_blocks(self.a.rows.size, of_block)
        products, pearson = zip(*blocks, strict=True)
        return sum(products), np.concatenate(pearson)

    def class_agreement(self) -> ClassAgreement:
        """Return the correlation of each class's rows in both matrices."""
        pearson = self._products[1]
        return ClassAgreement(pearson, np.full(len(pearson), np.nan))

    def alignments(
        self,
        which: Sequence[str],
        _permutations: int | None = None,
        _draws: int | None = None,
        _seed: int = 0,
    ) -> dict[str, Alignment]:
        """Return the alignment of two matrices that are not constant by each measure.
        Measures that are not in this module's `MEASURES` have a reason and no value.
        """
        product = self._products[0]
        return {
            name: _alignment(name, self.a.sums, self.b.sums, product) for name in which
        }


def pair_of(
    a: PreparedMatrix | BlockMatrix, b: PreparedMatrix | BlockMatrix, order: Indices
) -> MatrixPair | BlockPair:
    """Return two matrices of the same classes as a pair; ``order`` is the display order
    of the classes.
    """
    if isinstance(a, BlockMatrix) and isinstance(b, BlockMatrix):
        return BlockPair(a, b)
    assert isinstance(a, PreparedMatrix), "the size decides, which is the same"
    assert isinstance(b, PreparedMatrix), "the size decides, which is the same"
    return MatrixPair(a, b, order)


def _alignment(name: str, a: MatrixSums, b: MatrixSums, product: float) -> Alignment:
    """Return the alignment by one measure; ``product`` is the sum of the products of
    the scaled deviations.
    """
    empty = Alignment(name, classes_used=len(a.rows))
    if name not in MEASURES:
        return replace(empty, reason=f"this measure needs {WHOLE_MATRICES}")
    deviation = permutation_null.product_deviation(a.moments, b.moments) / (
        (a.high - a.low) * (b.high - b.low)
    )
    measure = ProductMeasure.of(name, a.spread, b.spread)
    entry = alignment.exact_alignment(measure, empty, product, deviation)
    return alignment.with_reasons(
        alignment.with_excess(entry),
        f"a ceiling, an interval and a p-value need {WHOLE_MATRICES}",
    )


# IDM


def idm_of(
    counts: Any,
    matrix: PreparedMatrix | BlockMatrix,
    scratch: Path | None = None,
    *,
    seed: int = 0,
    may_draw: bool = True,
) -> dict[str, Score]:
    """Return the IDM of the confusion counts of classes with samples by a matrix of
    these classes, equal to that of `dsi_cli.metrics.idm.idm`.

    Parameters
    ----------
    counts : array or scipy.sparse array (C, C) int Rows are the truth, columns the
        prediction.
    scratch : the folder of the temporary file of ranks, 2 bytes each, which only blocks
        of rows need; that of the system if None.
    seed, may_draw : as for whole matrices; p-values of blocks are those of the normal
        approximation.
    """
    from scipy.sparse import csr_array

    if isinstance(matrix, BlockMatrix):
        return _idm_in_blocks(csr_array(counts), matrix, scratch)
    whole = counts if isinstance(counts, np.ndarray) else counts.toarray()
    return idm_of_prepared(whole, matrix, seed=seed, may_draw=may_draw)


def _idm_in_blocks(
    counts: Any, matrix: BlockMatrix, scratch: Path | None
) -> dict[str, Score]:
    from scipy.sparse import csr_array

    classes, samples = matrix.rows.size, int(counts.sum())
    missing = reason_no_idm(classes, samples)
    if missing is not None:
        return empty_result(missing, classes, samples)
    pairs, moments = _pairs_and_moments(counts.tocoo(), matrix, scratch)

    def chance_level(weight: Values) -> ChanceLevel:
        weights = csr_array((weight, (pairs.row, pairs.column)), shape=counts.shape)
        crossed = float((weights * weights.T).sum())
        of_weights = Moments.of_sums(
            weights.sum(axis=1), weights.sum(axis=0), float(weight @ weight), crossed
        )
        # The skewness would need all ranks at once; the p-value is that of the normal
        # approximation.
        deviation = permutation_null.product_deviation(of_weights, moments)
        return ChanceLevel(deviation, lambda z: p_values.upper_tail(z, 0.0))

    return idm_variants(pairs, chance_level)


def double_ranks(
    block: Single, start: int, dtype: type[np.integer[Any]]
) -> NDArray[np.integer[Any]]:
    """Return twice the mid-ranks, which are integers, of rows ``(B, C)`` by falling
    similarity; the first is row ``start``.

    The diagonal is 0.
    """
    negated, doubled = -block, np.zeros(block.shape, dtype=dtype)
    rows = np.arange(len(block))
    negated[rows, start + rows] = -np.inf  # the first of each row
    for first in range(0, len(block), RANKED_ROWS):
        batch = slice(first, first + RANKED_ROWS)
        doubled[batch] = 2 * mid_ranks(negated[batch]) - 2
    return doubled


def _pairs_and_moments(
    counts: Any, matrix: BlockMatrix, scratch: Path | None
) -> tuple[ConfusedPairs, Moments]:
    """Return the confused pairs with their ranks, and Mantel's sums of all ranks;
    ``counts`` are in row order.
    """
    rows, walk, size = matrix.rows, matrix.walk, matrix.rows.size
    dtype = np.uint16 if 2 * size < 2**16 else np.uint32
    row, column = counts.row.astype(np.intp), counts.col.astype(np.intp)
    pair_ranks, nearest, columns, squares = [], [], np.zeros(size), 0.0
    with tempfile.TemporaryFile(dir=scratch) as file:
        # The product of each rank with its transpose needs all ranks, so a file holds
        # them.
        every_rank = np.memmap(file, dtype, "w+", shape=(size, size))
        blocks = walk.map_blocks(
            size,
            lambda start, stop: double_ranks(rows.block(start, stop), start, dtype),
        )
        for number, ranks in enumerate(blocks):
            start = number * walk.rows
            in_block = slice(*np.searchsorted(row, [start, start + len(ranks)]))
            pair_ranks.append(ranks[row[in_block] - start, column[in_block]])
            nearest.append(without_diagonal(ranks, start).min(axis=1))
            columns += ranks.sum(axis=0, dtype=np.float64)
            squares += float(np.einsum("ij,ij->", ranks, ranks, dtype=np.float64))
            every_rank[start : start + len(ranks)] = ranks
        # Each part below the diagonal counts twice.
        crossed = 0.0
        for top in range(0, size, TILE_SIDE):
            for left in range(0, top + 1, TILE_SIDE):
                part = every_rank[top : top + TILE_SIDE, left : left + TILE_SIDE]
                opposite = every_rank[left : left + TILE_SIDE, top : top + TILE_SIDE]
                product = float(np.einsum("ij,ji->", part, opposite, dtype=np.float64))
                crossed += product if left == top else 2 * product
        del every_rank, part, opposite
    rank_of_pair, rank_of_nearest = (
        np.concatenate(doubled) / 2 for doubled in (pair_ranks, nearest)
    )
    pairs = ConfusedPairs(
        row,
        column,
        counts.data.astype(np.float64),
        rank_of_pair,
        rank_of_nearest,
        size / 2,
    )
    # The ranks of each row are 1 to size - 1. All sums are of doubled ranks, and those
    # of products are quadrupled.
    row_sums = np.full(size, size * (size - 1) / 2)
    return pairs, Moments.of_sums(row_sums, columns / 2, squares / 4, crossed / 4)
