"""Which classes, and which groups, two matrices agree on, from sums over blocks: see `dsi_cli.metrics.by_class`."""

from __future__ import annotations

import numpy as np

from dsi_cli.metrics import null
from dsi_cli.metrics.blocked import sums
from dsi_cli.metrics.blocked.places import scaled
from dsi_cli.metrics.blocked.sums import Sums
from dsi_cli.metrics.blocked.walk import Rows, Walk, without_diagonal
from dsi_cli.metrics.by_class import FEWEST_CLASSES, SAME_THROUGHOUT, Alignment, too_few
from dsi_cli.metrics.measures import Values


def of_classes(a: Sums, b: Sums, products: Values) -> tuple[Values, Values]:
    """Return the correlation of each row of two matrices, and how many deviations above chance it is; NaN where it has none.

    Parameters
    ----------
    products : (C,) sum of the products of the scaled values of each row
    """
    number = a.classes - 1
    (x, xx), (y, yy) = _scaled_rows(a), _scaled_rows(b)
    lengths = np.sqrt(np.maximum(xx - x * x / number, 0.0) * np.maximum(yy - y * y / number, 0.0))
    lengths[a.row_is_flat | b.row_is_flat | (lengths == 0)] = np.nan
    pearson = np.clip((products - x * y / number) / lengths, -1.0, 1.0)
    return pearson, pearson * np.sqrt(number - 1)


def of_group(a: Rows, b: Rows, walk: Walk) -> Alignment:
    """Return the SAI by Pearson's correlation of a group's classes among themselves, and its z.

    Parameters
    ----------
    a, b : the matrices of the group's classes alone
    """
    if a.size < FEWEST_CLASSES:
        return too_few(a.size)
    x, y = sums.of(a, walk), sums.of(b, walk)
    if x.low == x.high or y.low == y.high:
        return Alignment(reason=SAME_THROUGHOUT)

    def product(start: int, stop: int) -> float:
        both = (
            scaled(without_diagonal(rows.block(start, stop), start), one.low, one.high) for rows, one in ((a, x), (b, y))
        )
        return float(np.einsum("ij,ij->", *both))

    first, second = (one.moments(1 / (one.high - one.low)) for one in (x, y))
    means = [(one.total - one.number * one.low) / (one.high - one.low) for one in (x, y)]
    shared = sum(walk.over(a.size, product)) - means[0] * means[1] / x.number
    lengths = float(np.sqrt(first.sums[0] * second.sums[0]))
    pearson, deviation = float(np.clip(shared / lengths, -1.0, 1.0)), null.product_deviation(first, second) / lengths
    if deviation == 0:
        return Alignment(pearson, reason="every relabelling gives the same value, so there is no z")
    return Alignment(pearson, pearson / deviation)


def _scaled_rows(one: Sums) -> tuple[Values, Values]:
    """Return the sums and the sums of squares of the scaled values of each row."""
    number, reach = one.classes - 1, one.high - one.low
    squares = (one.row_squares - 2 * one.low * one.rows + number * one.low**2) / reach**2
    return (one.rows - number * one.low) / reach, squares
