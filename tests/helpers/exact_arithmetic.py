"""Chance levels exactly, where full enumeration is out of reach: all relabellings of the classes, float64, no sampling."""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from helpers import oracles

Array = npt.NDArray[np.float64]


def null_deviation(a: Array, b: Array) -> float:
    """Return the deviation of ``sum a_ij b_p(i)p(j)`` over all relabellings p, pair by kind of pair.

    Two positions (i, j) and (k, l) stand in one of seven relations (the same, mirrored, one class in common in one of four
    ways, none); a relabelling sends them to every two positions in the same relation equally often. The diagonals do not count.
    """
    n = len(a)
    a, b = a - a[~np.eye(n, dtype=bool)].mean(), b - b[~np.eye(n, dtype=bool)].mean()
    np.fill_diagonal(a, 0)
    np.fill_diagonal(b, 0)
    relations = np.array([_relations(a), _relations(b)])
    triples = n * (n - 1) * (n - 2)
    counts = np.array([n * (n - 1)] * 2 + [triples] * 4 + [triples * (n - 3)])
    return float(np.sqrt(np.sum(relations[0] * relations[1] / counts)))


def _relations(m: Array) -> list[float]:
    same, mirrored = (m * m).sum(), (m * m.T).sum()
    row = sum(np.outer(r, r).sum() - (r * r).sum() for r in m)
    column = sum(np.outer(c, c).sum() - (c * c).sum() for c in m.T)
    after = sum(np.outer(m[:, i], m[i]).sum() - (m[:, i] * m[i]).sum() for i in range(len(m)))
    return [same, mirrored, row, column, after, after, m.sum() ** 2 - same - mirrored - row - column - 2 * after]


def _square(off: Array) -> Array:
    """Return off-diagonal values as a square with a diagonal of 0."""
    n = len(off)
    out = np.zeros((n, n))
    out[~np.eye(n, dtype=bool)] = np.ravel(off)
    return out


def null_of_sai(a: Array, b: Array, measure: str) -> tuple[float, float | None]:
    """Return the mean and deviation of a measure over all relabellings, float64."""
    if measure == "mae":
        return oracles.null_mean_mae(a, b), None
    x, y = oracles.offdiagonal(a), oracles.offdiagonal(b)
    if measure == "spearman":
        x, y = rankdata(x).reshape(x.shape), rankdata(y).reshape(y.shape)
    else:
        x, y = oracles.minmax(x), oracles.minmax(y)
    deviation = null_deviation(_square(x), _square(y))
    if measure == "cosine":
        lengths = np.sqrt((x**2).sum() * (y**2).sum())
        return x.mean() * y.mean() * x.size / lengths, deviation / lengths
    if measure == "mse":
        return (x**2).mean() + (y**2).mean() - 2 * x.mean() * y.mean(), 2 * deviation / x.size
    return 0.0, deviation / (x.std() * y.std() * x.size)
