"""The SAI of two matrices that do not fit into memory, by measures that follow from sums over blocks of rows.

These are the cosine, Pearson's correlation and MSE, with their exact chance levels. All else needs the whole matrix: SSIM, the
measures by ranks, the chance level of MAE, ceilings, confidence intervals and p-values.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np

from dsi_cli.metrics import alignment, class_alignment, permutation_null
from dsi_cli.metrics.alignment import Alignment
from dsi_cli.metrics.blockwise.blocks import BlockWalk, MatrixSums, RowSource, matrix_sums, without_diagonal
from dsi_cli.metrics.measures import Values

MEASURES = ("cosine", "mse", "pearson")


class ScaledRows(NamedTuple):
    """A matrix with its sums, which define its scale."""

    matrix: RowSource
    sums: MatrixSums

    def scaled(self, start: int, stop: int) -> Values:
        """Return a block of rows without their diagonal values ``(B, C-1)``, scaled to [0, 1]."""
        values: Values = without_diagonal(self.matrix.block(start, stop), start).astype(np.float64)
        values -= self.sums.low
        values /= self.sums.high - self.sums.low
        return values


def alignments_in_blocks(
    first: RowSource,
    second: RowSource,
    which: Sequence[str],
    walk: BlockWalk,
    known: tuple[MatrixSums | None, MatrixSums | None] = (None, None),
) -> tuple[dict[str, Alignment], Values | None]:
    """Return the SAI of two matrices by each measure, and the correlation of each class's rows.

    Parameters
    ----------
    first, second : matrices of the same classes in the same order
    which : names from `dsi_cli.metrics.MEASURES`; names that are not in this module's `MEASURES` have a reason and no value
    known : the sums of the two matrices, or None to compute them

    Returns
    -------
    entries : dict
        The alignments by measure.
    pearson : (C,)
        The correlations of `dsi_cli.metrics.class_alignment.align_classes`, or None if the matrices cannot be aligned.
    """
    a = ScaledRows(first, known[0] or matrix_sums(first, walk))
    b = ScaledRows(second, known[1] or matrix_sums(second, walk))
    missing = alignment.reason_too_few_classes(first.size)
    if a.sums.is_constant or b.sums.is_constant:
        missing = missing or alignment.CONSTANT
    if missing is not None:
        return {name: Alignment(name, classes_used=first.size, reason=missing) for name in which}, None

    def product_and_correlations(start: int, stop: int) -> tuple[float, Values]:
        x, y = a.scaled(start, stop), b.scaled(start, stop)
        return float(np.einsum("ij,ij->", x, y)), class_alignment.align_rows(x, y)

    products, pearson = zip(*walk.map_blocks(first.size, product_and_correlations), strict=True)
    entries = {name: _alignment(name, a.sums, b.sums, sum(products), walk.requirement) for name in which}
    return entries, np.concatenate(pearson)


def _alignment(name: str, a: MatrixSums, b: MatrixSums, product: float, requirement: str) -> Alignment:
    """Return the alignment by one measure; ``product`` is the sum of the products of the scaled values."""
    if name not in MEASURES:
        return Alignment(name, classes_used=len(a.rows), reason=f"this measure needs {requirement}")
    first, second = a.scaled, b.scaled
    value = _value(name, a.number, first, second, product)
    deviation = permutation_null.product_deviation(a.moments, b.moments) / ((a.high - a.low) * (b.high - b.low))
    mean, std = alignment.chance_level(name, a.number, first, second, deviation)
    entry = Alignment(name, value, mean, std, classes_used=len(a.rows))
    return alignment.with_chance_level(entry, f"a ceiling, an interval and a p-value need {requirement}")


def _value(name: str, n: int, first: tuple[float, float], second: tuple[float, float], product: float) -> float:
    """Return a measure from the sums of values, of squares and of products over ``n`` pairs."""
    (x, xx), (y, yy) = first, second
    if name == "cosine":
        return product / sqrt(xx * yy)
    if name == "mse":
        return max(xx + yy - 2 * product, 0.0) / n
    correlation = (product - x * y / n) / sqrt((xx - x * x / n) * (yy - y * y / n))
    return min(max(correlation, -1.0), 1.0)
