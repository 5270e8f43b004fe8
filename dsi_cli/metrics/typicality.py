"""Typicality of correctly and wrongly classified samples: their similarity to the class
template (arXiv 2505.21338, appendix H).

The template of a class is the mean feature of all its samples. The paper's figure
(``group_cosine``) is the cosine between the template and the mean feature of the
class's correctly, or wrongly, classified samples. It falls as such samples get fewer.
Two more values **[ours]** therefore go with it. ``null_mean`` is the mean group cosine
of random subsets of the same size. ``sample_cosine`` is the mean cosine of a sample
with the template of the other samples.

All values depend on one class's features alone, so only one class needs to be in
memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUBSETS = 200
"""The number of random subsets for ``null_mean``. If no more subsets exist, all of them
are used.
"""
BINS = 40  # the number of bins of the histogram of sample cosines over [-1, 1]
Features = NDArray[np.floating[Any]]
Float64s = NDArray[np.float64]


@dataclass(frozen=True)
class SampleGroup:
    """The correctly or the wrongly classified samples of one class; too few samples
    have no values.
    """

    samples: int
    group_cosine: float | None = None
    """The cosine of the samples' mean feature with the template."""
    null_mean: float | None = None
    """The mean group cosine of random subsets of as many samples: the chance level."""
    sample_cosine: float | None = None
    """The mean cosine of a sample with the template of the other samples."""


@dataclass(frozen=True)
class ClassTypicality:
    """The typicality of one class."""

    right: SampleGroup
    wrong: SampleGroup
    cosines: Float64s
    """The cosine ``(n,)`` of each sample with the template of the other samples; NaN
    for an only sample.
    """


def class_typicality(
    features: Features, is_right: NDArray[np.bool_], seed: int | tuple[int, ...] = 0
) -> ClassTypicality:
    """Return the typicality of one class's samples; cosines are in [-1, 1], and 0 for a
    mean feature of zero.

    Parameters
    ----------
    features : (n, d) float, the features of all samples of the class in the split, one
        or more, without NaN.
    is_right : (n,) bool, True for each sample that is predicted correctly.
    seed : int or tuple of int, the seed of the random subsets.

    Examples
    --------
    >>> result = class_typicality(np.array([[1.0, 0.0], [1.0, 0.2], [0.0, 1.0]]), np.array([True, True, False]))
    >>> round(result.right.group_cosine, 3), round(result.wrong.group_cosine, 3), round(result.wrong.sample_cosine, 3)
    (0.904, 0.514, 0.1)
    """
    rows = np.asarray(features, dtype=np.float64)
    total = rows.sum(axis=0)
    count, size = len(rows), int(is_right.sum())
    # The cosine of a sample with the sum of all others equals that with their mean.
    cosines = np.full(1, np.nan) if count == 1 else _cosine(rows, total - rows)
    # The chance level: take all subsets, or random ones if there are too many, as rows
    # of ones and zeros.
    if comb(count, size) <= SUBSETS:
        members = np.array(list(combinations(range(count), size)), dtype=np.intp)
    else:
        members = (
            np.random.default_rng(seed)
            .random((SUBSETS, count))
            .argsort(axis=1)[:, :size]
        )
    subsets = np.zeros((len(members), count))
    np.put_along_axis(subsets, members, 1.0, axis=1)
    sums = subsets @ rows
    # A subset is chosen with its complement, which has the size of the other group.
    right = _sample_group(
        rows[is_right], total, cosines[is_right], float(_cosine(sums, total).mean())
    )
    wrong = _sample_group(
        rows[~is_right],
        total,
        cosines[~is_right],
        float(_cosine(total - sums, total).mean()),
    )
    return ClassTypicality(right, wrong, cosines)


def cosine_histogram(cosines: Float64s) -> NDArray[np.int64]:
    """Return the number of cosines in each of `BINS` equal bins over [-1, 1]; NaN is
    not counted.
    """
    counts, _ = np.histogram(
        np.clip(cosines[~np.isnan(cosines)], -1.0, 1.0), bins=BINS, range=(-1.0, 1.0)
    )
    return counts.astype(np.int64)


def _sample_group(
    rows: Float64s, total: Float64s, cosines: Float64s, null_mean: float
) -> SampleGroup:
    if not len(rows):
        return SampleGroup(0)
    mean = None if np.isnan(cosines).any() else float(cosines.mean())
    return SampleGroup(
        len(rows), float(_cosine(rows.sum(axis=0), total)), null_mean, mean
    )


def _cosine(a: Float64s, b: Float64s) -> Float64s:
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    products = (a * b).sum(axis=-1)
    return np.asarray(
        np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    )
