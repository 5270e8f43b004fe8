"""Which classes, and which groups of classes, two CSMs agree on **[ours]**: the SAI by Pearson's correlation, in parts.

Of a class: the correlation of its row in one matrix with its row in the other, each without the diagonal. Chance deals the
labels of the other classes at random: over all pairings of the ``n = C - 1`` values the mean is 0 and the deviation exactly
``1/sqrt(n - 1)``, whatever the values and their ties (Pitman 1937). So ``z = r sqrt(n - 1)``.

Of a group: the SAI by Pearson's correlation of the group's classes among themselves, with the chance level of every SAI: a random
relabelling of these classes, its deviation exact by Mantel's moments.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import measures, permutation_null
from dsi_cli.metrics.measures import Values, off_diagonal

Csm = NDArray[np.floating[Any]]

FEWEST_CLASSES = 4
"""Of a matrix, and of a group: with three classes a relabelling has too little to choose from."""

SAME_THROUGHOUT = "all similarities within the group are the same, so there is no correlation"


class GroupAlignment(NamedTuple):
    """The alignment of a group; None where it does not exist, with the reason."""

    pearson: float | None = None
    z: float | None = None
    reason: str | None = None


def align_classes(a: Csm, b: Csm) -> tuple[Values, Values]:
    """Return the correlation of each row of two CSMs, in [-1, 1], and how many deviations above chance it is.

    Parameters
    ----------
    a, b : (C, C)
        Of the same classes in the same order, without NaN; C is 3 or more.

    Returns
    -------
    pearson, z : (C,)
        NaN where a row has the same value throughout, off the diagonal.

    Examples
    --------
    >>> a = np.array([[1, .9, .1, .2], [.9, 1, .2, .1], [.1, .2, 1, .8], [.2, .1, .8, 1]])
    >>> pearson, z = align_classes(a, a)
    >>> pearson.round(6).tolist(), z.round(3).tolist()
    ([1.0, 1.0, 1.0, 1.0], [1.414, 1.414, 1.414, 1.414])
    """
    x, y = (off_diagonal(np.asarray(csm, dtype=np.float64)) for csm in (a, b))
    pearson = align_rows(x, y)
    return pearson, standardize(pearson)


def align_rows(x: Values, y: Values) -> Values:
    """Return the correlation of each row of two arrays ``(B, n)``, in [-1, 1]; NaN if a row has one value throughout."""
    is_constant = (np.ptp(x, axis=1) == 0) | (np.ptp(y, axis=1) == 0)
    x, y = (rows - rows.mean(axis=1, keepdims=True) for rows in (x, y))
    lengths = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    lengths[is_constant] = np.nan
    pearson: Values = np.clip((x * y).sum(axis=1) / lengths, -1.0, 1.0)
    return pearson


def standardize(pearson: Values) -> Values:
    """Return how many deviations above chance the correlations ``(C,)`` of the classes' rows are."""
    z: Values = pearson * np.sqrt(len(pearson) - 2)
    return z


def align_group(a: Csm, b: Csm) -> GroupAlignment:
    """Return the SAI by Pearson's correlation of a group's classes among themselves, and its z.

    Parameters
    ----------
    a, b : (G, G)
        The group's rows and columns of both matrices, without NaN.
    """
    if len(a) < FEWEST_CLASSES:
        return too_few_classes(len(a))
    square = [np.asarray(csm, dtype=np.float64) for csm in (a, b)]
    x, y = (off_diagonal(csm).ravel() for csm in square)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return GroupAlignment(reason=SAME_THROUGHOUT)
    first, second = map(permutation_null.Moments.of, square)
    deviation = permutation_null.product_deviation(first, second) / float(np.sqrt(first.sums[0] * second.sums[0]))
    pearson = measures.pearson(x, y)
    if deviation == 0:
        return GroupAlignment(pearson, reason="every relabelling gives the same value, so there is no z")
    return GroupAlignment(pearson, pearson / deviation)


def too_few_classes(classes: int) -> GroupAlignment:
    """Return what there is of a group of fewer than `FEWEST_CLASSES`."""
    return GroupAlignment(reason=f"{classes} classes: the alignment of a group needs {FEWEST_CLASSES} or more")
