"""Partial Mantel correlation: what two CSMs share beyond what a third one explains **[ours]**.

Is a network's similarity semantics, or looks? Off the diagonal both matrices are replaced by what is left of them after
least-squares regression on the third; Pearson's correlation of the two residuals is the partial correlation (Smouse, Long and
Sokal 1986). Its chance level is a random relabelling of the classes of one residual matrix, exact by Mantel's moments.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.alignment import Alignment, alignments

Csm = NDArray[np.floating[Any]]

NAME = "partial_pearson"
EXPLAINED = 1e-9
"""Of the length of the off-diagonal values: a residual that is shorter is rounding."""


def residual_of(csm: Csm, given: Csm) -> NDArray[np.float64] | None:
    """Return what is left of a CSM ``(C, C)`` off the diagonal after regression on another; None where nothing is.

    The diagonal is 0. A ``given`` matrix of one value explains the mean alone.
    """
    off = ~np.eye(len(csm), dtype=bool)
    x, z = (np.asarray(matrix, dtype=np.float64)[off] for matrix in (csm, given))
    x, z = x - x.mean(), z - z.mean()
    length = float(z @ z)
    left = x - (float(x @ z) / length) * z if length > 0 else x
    if float(left @ left) <= EXPLAINED**2 * max(float(x @ x), np.finfo(np.float64).tiny):
        return None
    matrix = np.zeros(csm.shape)
    matrix[off] = left
    return matrix


def partial_mantel(
    a: Csm, b: Csm, given: Csm, *, permutations: int | None = None, draws: int | None = None, seed: int = 0
) -> Alignment:
    """Return the partial correlation of two CSMs given a third, in [-1, 1], with what belongs beside it.

    Parameters
    ----------
    a, b, given : (C, C)
        Of the same classes in the same order, without NaN.
    permutations, draws, seed
        As for `dsi_cli.metrics.alignment.alignments`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> looks, rest = (np.corrcoef(rng.normal(size=(9, 20))) for _ in range(2))
    >>> round(partial_mantel(looks + rest, looks + rest, looks).value, 6)
    1.0
    """
    first, second = residual_of(a, given), residual_of(b, given)
    if first is None or second is None:
        return Alignment(
            NAME, classes_used=len(a), reason="one matrix says the same as the one that is given: nothing is left"
        )
    found = alignments(first, second, ["pearson"], permutations=permutations, draws=draws, seed=seed)["pearson"]
    return replace(found, measure=NAME)
