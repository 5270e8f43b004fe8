"""The p-value of an alignment under random relabelling of the classes, corrected for skewness **[ours]**.

The statistic ``S = sum_ij x_ij y_p(i)p(j)`` of two symmetric matrices is skewed, so that the normal approximation is wrong by a
factor of two at z = 3. The third moment of S over all relabellings is exact. It is a sum over the eight ways in which three pairs
of classes can share classes. The p-value is the tail of a Pearson type III (shifted gamma) distribution with the same mean,
deviation and skewness (Mielke, Berry and Brier 1981).

The tail is wrong by a factor of two or more for fewer than 20 classes, and for confusion matrices with mistakes in few columns,
because the kurtosis matters there. Such matrices need random relabellings.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from dsi_cli.metrics import permutation_null
from dsi_cli.metrics.measures import Values

MIN_CLASSES = 20
"""With this many classes or more the tail is accurate to a factor of about 1.2 down to 0.001."""
MAX_SKEWED_CLASSES = 512
"""With more classes the skewness is neglected. It falls with the number of classes, and its sums take ``C^3`` operations."""
_CLASSES = (2, 3, 3, 4, 4, 4, 5, 6)
"""The number of distinct classes of three pairs, for each of the eight ways."""
_TIMES = np.array([1 / 2, 3, 1, 1, 3, 3 / 4, 3 / 2, 1 / 8])
"""The number of ordered triples of pairs per assignment of classes, for each of the eight ways."""


class ThirdMoments(NamedTuple):
    """The sums of a centred symmetric matrix for the third moment."""

    classes: int
    sums: Values
    """One sum for each of the eight ways in which three pairs share classes."""

    @classmethod
    def of(cls, matrix: Values) -> ThirdMoments:
        """Return the sums of the symmetric part of a matrix ``(n, n)`` without its diagonal."""
        x = permutation_null.centred_off_diagonal((matrix + matrix.T) / 2)
        squared = x * x
        rows, squares, cubes = x.sum(axis=1), squared.sum(axis=1), (squared * x).sum(axis=1)
        between = float(rows @ x @ rows)
        crossed = float(squares @ rows)

        # One pair three times; one pair twice and a pair that shares a class with it; a triangle.
        same = float(cubes.sum())
        doubled = crossed - same
        triangle = float(((x @ x) * x).sum())
        # Three pairs at one class; a path of three pairs; one pair twice and a disjoint pair.
        star = float((rows**3 - 3 * rows * squares + 2 * cubes).sum())
        path = between - 2 * crossed + same - triangle
        apart = 2 * same - 4 * crossed
        # Two pairs that share a class and a disjoint pair.
        two = -2 * (2 * (between - crossed) + float((rows**3 - rows * squares).sum())) + 2 * (2 * doubled + triangle)
        # Three disjoint pairs follow from the others, because the sum of all pairs is 0 and so is its cube.
        known = np.array([same, doubled, triangle, star, path, apart, two])
        return cls(len(x), np.append(known, -float(_TIMES[:-1] @ known) / _TIMES[-1]))


def skewness(x: ThirdMoments, y: ThirdMoments, deviation: float) -> float:
    """Return the skewness of ``S`` over all relabellings, exact for 6 classes or more if one of the matrices is symmetric.

    Parameters
    ----------
    deviation : the standard deviation of ``S`` from `dsi_cli.metrics.permutation_null.product_deviation`
    """
    ways = [prod(range(x.classes - size + 1, x.classes + 1)) for size in _CLASSES]
    third = 8 * float((_TIMES * x.sums * y.sums / np.array(ways, dtype=np.float64)).sum())
    return third / deviation**3


def upper_tail(z: float, skew: float) -> float:
    """Return the probability that a Pearson type III variable of mean 0 and deviation 1 is at least ``z``.

    >>> round(upper_tail(3.0, 0.0), 5), round(upper_tail(3.0, 0.3), 5)
    (0.00135, 0.00358)
    """
    from scipy.special import gammainc, gammaincc, ndtr

    if abs(skew) < 1e-4:
        return float(ndtr(-z))
    shape = 4 / skew**2
    if skew > 0:
        return float(gammaincc(shape, max(shape + z * shape**0.5, 0.0)))
    return float(gammainc(shape, max(shape - z * shape**0.5, 0.0)))
