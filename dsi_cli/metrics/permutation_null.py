"""The chance level: the distribution of a metric when the classes of one matrix are
relabelled at random.

The null is the Mantel permutation: rows and columns of one matrix are permuted
together. Each off-diagonal position moves to each other equally often, so means are
exact without sampling. Statistics that are linear in ``S = sum_ij x_ij y_p(i)p(j)``
have an exact deviation from `Moments` (Mantel 1967), also for asymmetric and tied
matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
# standard deviations above the chance level from which a value counts as above chance,
# everywhere; the chance band of figures and pages has this width
MIN_Z = 3.0
# up to this many classes all relabellings are enumerated instead
MAX_ENUMERATED_CLASSES = 7
# a variance below this share of the sum of its absolute terms is rounding
ROUNDING = 1e-12


@dataclass(frozen=True)
class Moments:
    """The sums over a matrix ``(n, n)``, centred off its diagonal, that Mantel's second
    moment needs (``A1`` to ``A6``).
    """

    classes: int
    sums: tuple[float, float, float, float, float, float]

    @classmethod
    def of(cls, matrix: Values) -> Moments:
        """Return the sums of one matrix without its diagonal."""
        centred = centred_off_diagonal(matrix)
        flat = centred.ravel()
        crossed = float((centred * centred.T).sum())
        return cls.of_sums(
            centred.sum(axis=1), centred.sum(axis=0), float(flat @ flat), crossed
        )

    @classmethod
    def of_sums(
        cls, rows: Values, columns: Values, squares: float, crossed: float
    ) -> Moments:
        """Return Mantel's sums of a matrix from sums of its off-diagonal values.

        These are the sum of each row and of each column ``(n,)``, that of ``x_ij x_ij``
        and that of ``x_ij x_ji``.
        """
        n = len(rows)
        mean = float(rows.sum()) / (n * (n - 1))
        rows, columns = rows - (n - 1) * mean, columns - (n - 1) * mean
        a1 = squares - n * (n - 1) * mean * mean
        a2 = crossed - n * (n - 1) * mean * mean
        a3 = float(rows @ rows) - a1
        a4 = float(columns @ columns) - a1
        a5 = float(rows @ columns) - a2
        a6 = float(rows.sum()) ** 2 - a1 - a2 - a3 - a4 - 2 * a5
        return cls(n, (a1, a2, a3, a4, a5, a6))


def product_deviation(x: Moments, y: Moments) -> float:
    """Return the standard deviation of ``sum_ij x_ij y_p(i)p(j)`` over all relabellings
    ``p``, exact for 3 classes or more.
    """
    n = x.classes
    (a1, a2, a3, a4, a5, a6), (b1, b2, b3, b4, b5, b6) = x.sums, y.sums
    pairs, triples = n * (n - 1), n * (n - 1) * (n - 2)
    terms = np.array([a1 * b1, a2 * b2, a3 * b3, a4 * b4, 2 * a5 * b5, a6 * b6])
    # the last one of three classes is 0
    terms /= [pairs, pairs, triples, triples, triples, triples * max(n - 3, 1)]
    second = float(terms.sum())
    # The terms cancel up to rounding if every relabelling gives the same sum.
    return second**0.5 if second > ROUNDING * float(np.abs(terms).sum()) else 0.0


def centred_off_diagonal(matrix: Values) -> Values:
    """Return the matrix less the mean of its off-diagonal values, with a diagonal of
    0.
    """
    n = len(matrix)
    centred: Values = matrix - (matrix.sum() - np.trace(matrix)) / (n * (n - 1))
    np.fill_diagonal(centred, 0.0)
    return centred


def mean_absolute_difference(x_sorted: Values, y_sorted: Values) -> float:
    """Return the mean of ``|x_a - y_b|`` over all pairs of two sorted arrays: the exact
    chance level of ``mae``.
    """
    starts = np.concatenate([[0], np.flatnonzero(y_sorted[1:] != y_sorted[:-1]) + 1])
    values, counts = y_sorted[starts], np.diff(np.append(starts, len(y_sorted)))
    below = np.searchsorted(x_sorted, values)
    prefix = np.concatenate([[0.0], np.cumsum(x_sorted)])
    total = values * (2 * below - len(x_sorted)) + prefix[-1] - 2 * prefix[below]
    return float(total @ counts / (len(x_sorted) * len(y_sorted)))


def every_relabelling(classes: int) -> NDArray[np.intp]:
    """Return all permutations of the classes ``(classes!, classes)``; the identity is
    the first.
    """
    return np.array(list(permutations(range(classes))), dtype=np.intp)
