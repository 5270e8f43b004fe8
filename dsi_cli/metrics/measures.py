"""The measures of a SAI, on off-diagonal values ``x (n,)`` and ``y (n,)``, or on ``y (draws, n)`` for many at once.

``cosine``, ``mae`` and ``mse`` take values already scaled to [0, 1] (`scaled`); the correlations do not care. All work in
float64 and take no NaN. Source: arXiv 2505.21338, section 3.2; the correlations: the authors' notebook.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)


def off_diagonal(matrix: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return the ``(..., C, C-1)`` array that is left of a ``(..., C, C)`` one when each row drops its diagonal value.

    >>> off_diagonal(np.arange(9.0).reshape(3, 3)).tolist()
    [[1.0, 2.0], [3.0, 5.0], [6.0, 7.0]]
    """
    *more, size, _ = matrix.shape
    # Without the first value, every (C+1)-th is a diagonal one.
    between = matrix.reshape(*more, size * size)[..., 1:].reshape(*more, size - 1, size + 1)[..., :-1]
    return between.reshape(*more, size, size - 1)


def scaled(values: Values) -> Values:
    """Return the values min-max scaled to [0, 1]; the caller has made sure that they are not all the same."""
    low, high = values.min(), values.max()
    between: Values = (values - low) / (high - low)
    return between


def mid_ranks(values: NDArray[Any]) -> Values:
    """Return the rank of each value along the last axis, from 1 for the smallest; equal values have the mean of their ranks.

    >>> mid_ranks(np.array([0.5, 0.1, 0.5])).tolist()
    [2.5, 1.0, 2.5]
    """
    order = np.argsort(values, axis=-1)
    rising = np.take_along_axis(values, order, axis=-1)
    # Equal values are a run in rising order, which begins where a value differs from the one before, and in each first column.
    begins = np.ones(rising.shape, dtype=bool)
    np.not_equal(rising[..., 1:], rising[..., :-1], out=begins[..., 1:])
    starts = np.flatnonzero(begins)
    sizes = np.diff(starts, append=begins.size)
    middles = starts % values.shape[-1] + (sizes + 1) / 2
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, np.repeat(middles, sizes).reshape(values.shape), axis=-1)
    return ranks


def cosine(x: Values, y: Values) -> Any:
    """Return the cosine of values in [0, 1]: in [0, 1], high by chance alone."""
    return y @ x / np.sqrt((x @ x) * _square_sum(y))


def mae(x: Values, y: Values) -> Any:
    """Return the mean absolute difference, in [0, 1]; lower is closer."""
    return np.abs(x - y).mean(axis=-1)


def mse(x: Values, y: Values) -> Any:
    """Return the mean squared difference, in [0, 1]; lower is closer."""
    return np.square(x - y).mean(axis=-1)


def pearson(x: Values, y: Values) -> Any:
    """Return Pearson's correlation, in [-1, 1]."""
    x, y = x - x.mean(), y - y.mean(axis=-1, keepdims=True)
    return np.clip(y @ x / np.sqrt((x @ x) * _square_sum(y)), -1.0, 1.0)


def kendall(x: Values, y: Values) -> Any:
    """Return Kendall's tau-b, in [-1, 1]."""
    from scipy.stats import kendalltau

    if y.ndim == 1:
        return kendalltau(x, y, variant="b").statistic
    return np.array([kendall(x, one) for one in y])


def _square_sum(values: Values) -> Any:
    return np.einsum("...i,...i->...", values, values)


ON_VALUES: dict[str, Callable[[Values, Values], Any]] = {
    "cosine": cosine,
    "mae": mae,
    "mse": mse,
    "pearson": pearson,
    "kendall": kendall,
}
"""The measures that need the scaled values; ``spearman`` is ``pearson`` on ranks, ``ssim`` needs the image."""
