"""Typicality of right and wrong samples: how near they lie to their class's template (arXiv 2505.21338, appendix H).

The template of a class is the mean feature of all its samples. The paper's figure (``group_cosine``) is the cosine between it
and the mean feature of the class's rightly, or wrongly, classified samples. It falls by itself as such samples get fewer, so
beside it stand **[ours]** ``null_mean``, the same for random subsets of that size, and ``sample_cosine``: the mean cosine of a
sample with its template, the sample left out of it.

All of it is a function of one class's features, so only one class need be in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError

SUBSETS = 200
"""Random subsets for ``null_mean``; where there are no more than this many, all of them."""
BINS = 40
"""Of the histogram of sample cosines over [-1, 1]."""
Features = NDArray[np.floating[Any]]
Float64s = NDArray[np.float64]


@dataclass(frozen=True)
class SampleGroup:
    """The right or the wrong samples of one class; None where there are too few."""

    samples: int
    group_cosine: float | None = None
    null_mean: float | None = None
    """The group cosine of random subsets of as many samples."""
    sample_cosine: float | None = None


@dataclass(frozen=True)
class ClassTypicality:
    """The typicality of one class."""

    right: SampleGroup
    wrong: SampleGroup
    cosines: Float64s
    """``(n,)``, each sample's cosine with its class's template without it; NaN where the class has no other sample."""


def class_typicality(features: Features, is_right: NDArray[np.bool_], seed: int | tuple[int, ...] = 0) -> ClassTypicality:
    """Return the typicality of one class's samples; cosines in [-1, 1], 0 where a mean is zero and so has no direction.

    Parameters
    ----------
    features : (n, d) float
        All samples of the class in the split; n of 1 or more.
    is_right : (n,) bool
        Whether the network predicted the class.
    seed : int or tuple of int
        Of the random subsets.

    Raises
    ------
    UsageError
        The shapes do not fit.

    Examples
    --------
    >>> found = class_typicality(np.array([[1.0, 0.0], [1.0, 0.2], [0.0, 1.0]]), np.array([True, True, False]))
    >>> round(found.right.group_cosine, 3), round(found.wrong.group_cosine, 3), round(found.wrong.sample_cosine, 3)
    (0.904, 0.514, 0.1)
    """
    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2 or is_right.shape != rows.shape[:1] or not len(rows):
        raise UsageError(f"features {rows.shape} and flags {is_right.shape}: expected (n, d) and (n,), n of 1 or more")
    total = rows.sum(axis=0)
    cosines = _left_out_cosines(rows, total)
    rights = int(is_right.sum())
    chance = _chance(rows, total, rights, seed)
    right = _group(rows[is_right], total, cosines[is_right], chance[0])
    wrong = _group(rows[~is_right], total, cosines[~is_right], chance[1])
    return ClassTypicality(right, wrong, cosines)


def cosine_histogram(cosines: Float64s) -> NDArray[np.int64]:
    """Return how many cosines lie in each of `BINS` equal bins over [-1, 1]; NaN counts nowhere."""
    found, _ = np.histogram(np.clip(cosines[~np.isnan(cosines)], -1.0, 1.0), bins=BINS, range=(-1.0, 1.0))
    return found.astype(np.int64)


def _group(rows: Float64s, total: Float64s, cosines: Float64s, null: float | None) -> SampleGroup:
    if not len(rows):
        return SampleGroup(0)
    alone = bool(np.isnan(cosines).any())
    return SampleGroup(len(rows), float(_cosine(rows.sum(axis=0), total)), null, None if alone else float(cosines.mean()))


def _left_out_cosines(rows: Float64s, total: Float64s) -> Float64s:
    """Return the cosine of each sample with the sum of all the others."""
    if len(rows) == 1:
        return np.full(1, np.nan)
    return _cosine(rows, total - rows)


def _cosine(a: Float64s, b: Float64s) -> Float64s:
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    products = (a * b).sum(axis=-1)
    return np.asarray(np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0))


def _chance(rows: Float64s, total: Float64s, rights: int, seed: int | tuple[int, ...]) -> tuple[float | None, float | None]:
    """Return the mean group cosine of subsets of ``rights`` samples, and of their complements."""
    count = len(rows)
    if rights in (0, count):
        whole = float(_cosine(total, total))
        return (whole, None) if rights else (None, whole)
    sums = _chosen(count, rights, seed) @ rows
    return float(_cosine(sums, total).mean()), float(_cosine(total - sums, total).mean())


def _chosen(count: int, size: int, seed: int | tuple[int, ...]) -> Float64s:
    """Return subsets of ``size`` among ``count`` as rows of ones and zeros: all, or `SUBSETS` random ones."""
    if comb(count, size) <= SUBSETS:
        members = np.array(list(combinations(range(count), size)))
    else:
        members = np.random.default_rng(seed).random((SUBSETS, count)).argsort(axis=1)[:, :size]
    chosen = np.zeros((len(members), count))
    np.put_along_axis(chosen, members, 1.0, axis=1)
    return chosen
