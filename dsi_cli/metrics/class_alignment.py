"""The SAI by Pearson's correlation for single classes and for groups of classes
**[ours]**.

The alignment of a class is the correlation of its rows in the two matrices, without the
diagonal. Its chance level is that of a random order of the other classes. Over all
pairings of the ``n = C - 1`` values the mean is 0 and the deviation exactly ``1/sqrt(n
- 1)``, for any values and ties (Pitman 1937). So ``z = r sqrt(n - 1)``.

The alignment of a group is the SAI by Pearson's correlation among its classes. Its
chance level is that of random relabellings of these classes, with the exact deviation
by Mantel's moments.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import permutation_null
from dsi_cli.metrics.measures import Values, off_diagonal

Csm = NDArray[np.floating[Any]]
# the smallest number of classes of a matrix or group; three classes have too few
# relabellings
MIN_CLASSES = 4


class GroupAlignment(NamedTuple):
    """The alignment of a group; ``reason`` explains a missing value."""

    pearson: float | None = None
    z: float | None = None
    reason: str | None = None


class ClassAgreement(NamedTuple):
    """The agreement of each class of two matrices, two arrays ``(C,)``."""

    pearson: Values
    """The result of `align_rows`."""
    without: Values
    """Pearson's correlation of the matrices without the class; NaN if it is not
    computed.
    """


def align_rows(x: Values, y: Values) -> Values:
    """Return the correlation of each row of two arrays ``(B, n)``, in [-1, 1]; NaN for
    constant rows.

    Of rows without the diagonal, this is the alignment of each class.
    """
    is_constant = (np.ptp(x, axis=1) == 0) | (np.ptp(y, axis=1) == 0)
    x, y = (rows - rows.mean(axis=1, keepdims=True) for rows in (x, y))
    lengths = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    lengths[is_constant] = np.nan
    return np.clip((x * y).sum(axis=1) / lengths, -1.0, 1.0)


def standardize(pearson: Values) -> Values:
    """Return the z ``(C,)`` of the correlations of the classes' rows: their standard
    deviations above chance.
    """
    return pearson * np.sqrt(len(pearson) - 2)


def align_group(a: Csm, b: Csm) -> GroupAlignment:
    """Return the SAI by Pearson's correlation among a group's classes, and its z, from
    its rows and columns ``(G, G)``.

    The group has `MIN_CLASSES` or more.
    """
    x, y = (
        permutation_null.centred_off_diagonal(np.asarray(csm, dtype=np.float64))
        for csm in (a, b)
    )
    if any(np.ptp(off_diagonal(csm)) == 0 for csm in (x, y)):
        return GroupAlignment(
            reason=(
                "all similarities within the group are the same, so there is no"
                " correlation"
            )
        )
    first, second = map(permutation_null.Moments.of, (x, y))
    length = float(np.sqrt(first.sums[0] * second.sums[0]))
    pearson = min(max(float(np.vdot(x, y)) / length, -1.0), 1.0)
    deviation = permutation_null.product_deviation(first, second) / length
    if deviation == 0:
        return GroupAlignment(
            pearson, reason="every relabelling gives the same value, so there is no z"
        )
    return GroupAlignment(pearson, pearson / deviation)
