"""The measures of a SAI, on off-diagonal values ``x (n,)`` and ``y (n,)``, or on ``y
(draws, n)`` for many at once.

``cosine``, ``mae`` and ``mse`` expect values that are scaled to [0, 1]. The
correlations do not depend on the scale. All measures work in float64 and accept no NaN.
Sources: arXiv 2505.21338, section 3.2; the authors' companion notebook for Spearman's
and Kendall's correlation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)


def off_diagonal(matrix: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return matrices ``(..., C, C)`` without their diagonal values, row by row:
    ``(..., C, C-1)``.

    >>> off_diagonal(np.arange(9.0).reshape(3, 3)).tolist()
    [[1.0, 2.0], [3.0, 5.0], [6.0, 7.0]]
    """
    *leading, size, _ = matrix.shape
    # After the first value, every (C+1)-th value is on the diagonal.
    values = matrix.reshape(*leading, size * size)[..., 1:].reshape(
        *leading, size - 1, size + 1
    )[..., :-1]
    return values.reshape(*leading, size, size - 1)


def mid_ranks(values: NDArray[Any]) -> Values:
    """Return the rank of each value along the last axis, from 1 for the smallest; equal
    values have the mean of their ranks.

    >>> mid_ranks(np.array([0.5, 0.1, 0.5])).tolist()
    [2.5, 1.0, 2.5]
    """
    order = np.argsort(values, axis=-1)
    rising = np.take_along_axis(values, order, axis=-1)
    # Equal values are adjacent in rising order. A group of them starts in the first
    # column, or where the value changes.
    is_start = np.ones(rising.shape, dtype=bool)
    np.not_equal(rising[..., 1:], rising[..., :-1], out=is_start[..., 1:])
    starts = np.flatnonzero(is_start)
    sizes = np.diff(starts, append=is_start.size)
    middles = starts % values.shape[-1] + (sizes + 1) / 2
    ranks = np.empty(values.shape)
    np.put_along_axis(
        ranks, order, np.repeat(middles, sizes).reshape(values.shape), axis=-1
    )
    return ranks


def similarity_ranks(
    csm: NDArray[np.floating[Any]], ties: Literal["average", "min", "max"] = "average"
) -> Values:
    """Return the rank of each class in each row of a CSM ``(C, C)`` by falling
    similarity: 0 on the diagonal, else 1 to C-1.

    Ties, which are exactly equal values, have their mid-rank, or that of another method
    of `scipy.stats.rankdata`.

    >>> similarity_ranks(np.array([[1, 0.5, 0.5], [0.2, 1, 0.9], [0.1, 0.3, 1]])).tolist()
    [[0.0, 1.5, 1.5], [2.0, 0.0, 1.0], [2.0, 1.0, 0.0]]
    """
    negated = -csm.astype(np.float64)
    np.fill_diagonal(negated, -np.inf)  # the first of each row
    if ties == "average":
        return mid_ranks(negated) - 1

    from scipy.stats import rankdata

    return np.asarray(rankdata(negated, method=ties, axis=1) - 1, dtype=np.float64)


def cosine(x: Values, y: Values) -> Any:
    """Return the cosine of values in [0, 1]: in [0, 1]; its chance level is high."""
    return y @ x / np.sqrt((x @ x) * np.einsum("...i,...i->...", y, y))


def mae(x: Values, y: Values) -> Any:
    """Return the mean absolute difference, in [0, 1]; lower is closer."""
    return np.abs(x - y).mean(axis=-1)


def mse(x: Values, y: Values) -> Any:
    """Return the mean squared difference, in [0, 1]; lower is closer."""
    return np.square(x - y).mean(axis=-1)


def pearson(x: Values, y: Values) -> Any:
    """Return Pearson's correlation, in [-1, 1]."""
    x, y = x - x.mean(), y - y.mean(axis=-1, keepdims=True)
    return np.clip(
        y @ x / np.sqrt((x @ x) * np.einsum("...i,...i->...", y, y)), -1.0, 1.0
    )


def kendall(x: Values, y: Values) -> Any:
    """Return Kendall's tau-b, in [-1, 1]."""
    from scipy.stats import kendalltau

    if y.ndim == 1:
        return kendalltau(x, y, variant="b").statistic
    return np.array([kendall(x, row) for row in y])


def kendall_a(x: Values, y: Values) -> Any:
    """Return Kendall's tau-a, in [-1, 1]: tau-b over all pairs of values, so that ties
    lower it.
    """
    if y.ndim > 1:
        return np.array([kendall_a(x, row) for row in y])
    # The share of the pairs that are not tied, in x and in y.
    untied = [
        1 - counts @ (counts - 1) / (len(x) * (len(x) - 1))
        for counts in (np.unique(v, return_counts=True)[1] for v in (x, y))
    ]
    return kendall(x, y) * np.sqrt(np.prod(untied))


ON_VALUES: dict[str, Callable[[Values, Values], Any]] = {
    "cosine": cosine,
    "mae": mae,
    "mse": mse,
    "pearson": pearson,
    "spearman": pearson,
    "kendall": kendall,
    "kendall_a": kendall_a,
}
"""The measures by name. ``spearman`` gets ranks in place of values; ``ssim`` compares
images (`dsi_cli.metrics.ssim`).
"""
