"""WSI, SAI and IDM of class similarity matrices that do not fit into memory: their rows
are made on demand, block by block.

A `RowSource` returns the rows of such a matrix, a `BlockWalk` iterates over its blocks,
and `block_statistics` computes its sums, its WSI and its nearest classes. The SAI
follows from the sums for the cosine, Pearson's correlation and MSE, with their exact
chance levels. All else needs the whole matrix: SSIM, the measures by ranks, the chance
level of MAE, ceilings, confidence intervals and p-values. For the IDM, the rows are
ranked block by block.
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
from dsi_cli.metrics.alignment import Alignment
from dsi_cli.metrics.class_alignment import ClassAgreement
from dsi_cli.metrics.idm import (
    ChanceLevel,
    ConfusedPairs,
    Score,
    empty_result,
    idm,
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
from dsi_cli.metrics.permutation_null import Moments
from dsi_cli.metrics.prepared_matrix import ROUNDING
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
SHORT_OF_MEMORY = "whole matrices in memory; give more with memory= in Python"
TOO_MANY_CLASSES = "whole matrices, which are not made above 4,096 classes"
"""The requirements of measures that are not computed by blocks of rows, as the end of
the reason why they are missing.
"""


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
    requirement: str = TOO_MANY_CLASSES
    """`SHORT_OF_MEMORY` or `TOO_MANY_CLASSES`, the reason why some measures are null.
    """

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


def alignments_in_blocks(
    first: RowSource,
    second: RowSource,
    which: Sequence[str],
    walk: BlockWalk,
    known: tuple[MatrixSums | None, MatrixSums | None] = (None, None),
) -> tuple[dict[str, Alignment], ClassAgreement | None]:
    """Return the SAI of two matrices of the same classes by each measure, and the
    correlation of each class's rows.

    Measures that are not in this module's `MEASURES` have a reason and no value. The
    sums of a matrix are computed if they are not ``known``. There are no correlations
    if the matrices cannot be aligned.
    """
    a = known[0] or block_statistics(first, walk).sums
    b = known[1] or block_statistics(second, walk).sums
    missing = alignment.reason_too_few_classes(first.size)
    if a.is_constant or b.is_constant:
        missing = missing or alignment.CONSTANT
    if missing is not None:
        return {
            name: Alignment(name, classes_used=first.size, reason=missing)
            for name in which
        }, None

    def deviations(
        matrix: RowSource, sums: MatrixSums, start: int, stop: int
    ) -> Values:
        values: Values = without_diagonal(matrix.block(start, stop), start).astype(
            np.float64
        )
        values -= float(sums.rows.sum()) / sums.number
        values /= sums.high - sums.low
        return values

    def product_and_correlations(start: int, stop: int) -> tuple[float, Values]:
        x, y = deviations(first, a, start, stop), deviations(second, b, start, stop)
        return float(np.einsum("ij,ij->", x, y)), class_alignment.align_rows(x, y)

    products, pearson = zip(
        *walk.map_blocks(first.size, product_and_correlations), strict=True
    )
    entries = {
        name: _alignment(name, a, b, sum(products), walk.requirement) for name in which
    }
    return entries, ClassAgreement(np.concatenate(pearson), np.full(first.size, np.nan))


def _alignment(
    name: str, a: MatrixSums, b: MatrixSums, product: float, requirement: str
) -> Alignment:
    """Return the alignment by one measure; ``product`` is the sum of the products of
    the scaled deviations.
    """
    empty = Alignment(name, classes_used=len(a.rows))
    if name not in MEASURES:
        return replace(empty, reason=f"this measure needs {requirement}")
    deviation = permutation_null.product_deviation(a.moments, b.moments) / (
        (a.high - a.low) * (b.high - b.low)
    )
    measure = ProductMeasure.of(name, a.spread, b.spread)
    entry = alignment.exact_alignment(measure, empty, product, deviation)
    return alignment.with_reasons(
        alignment.with_excess(entry),
        f"a ceiling, an interval and a p-value need {requirement}",
    )


# IDM


def idm_in_blocks(
    counts: Any,
    matrix: RowSource,
    classes: Indices,
    walk: BlockWalk,
    scratch: Path | None = None,
) -> dict[str, Score]:
    """Return the IDM of confusion counts by a matrix, equal to that of
    `dsi_cli.metrics.idm.idm`.

    Parameters
    ----------
    counts : scipy.sparse array (C, C) int Rows are the truth, columns the prediction.
        Classes without a sample are left out.
    matrix : the CSM of M of the classes.
    classes : (M,) int, the class of each row of the matrix, in rising order.
    scratch : the folder of the temporary file of ranks, 2 bytes each; that of the
        system if None.
    """
    from scipy.sparse import csr_array

    present = np.asarray(counts.sum(axis=1)).ravel()[classes] > 0
    kept = classes[present]
    counts = counts.tocsr()[kept][:, kept]
    missing = reason_no_idm(len(kept), int(counts.sum()))
    if missing is not None:
        return empty_result(missing, len(kept), int(counts.sum()))
    if len(kept) != matrix.size:
        matrix = matrix.take(np.flatnonzero(present))
    if len(kept) <= permutation_null.MAX_ENUMERATED_CLASSES:
        return idm(counts.toarray(), matrix.block(0, matrix.size))
    pairs, moments = _pairs_and_moments(counts.tocoo(), matrix, walk, scratch)

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
    counts: Any, matrix: RowSource, walk: BlockWalk, scratch: Path | None
) -> tuple[ConfusedPairs, Moments]:
    """Return the confused pairs with their ranks, and Mantel's sums of all ranks;
    ``counts`` are in row order.
    """
    size = matrix.size
    dtype = np.uint16 if 2 * size < 2**16 else np.uint32
    row, column = counts.row.astype(np.intp), counts.col.astype(np.intp)
    pair_ranks, nearest, columns, squares = [], [], np.zeros(size), 0.0
    with tempfile.TemporaryFile(dir=scratch) as file:
        # The product of each rank with its transpose needs all ranks, so a file holds
        # them.
        every_rank = np.memmap(file, dtype, "w+", shape=(size, size))
        blocks = walk.map_blocks(
            size,
            lambda start, stop: double_ranks(matrix.block(start, stop), start, dtype),
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
    rows = np.full(size, size * (size - 1) / 2)
    return pairs, Moments.of_sums(rows, columns / 2, squares / 4, crossed / 4)
