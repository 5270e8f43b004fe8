"""Partial Mantel correlation: the correlation of two CSMs after a third one is
regressed out **[ours]**.

It separates, for example, agreement with semantics from visual similarity. Off the
diagonal both matrices are replaced by their residuals of a least-squares regression on
the third. Pearson's correlation of the residuals is the partial correlation (Smouse,
Long and Sokal 1986). The chance level is that of random relabellings of one residual
matrix, exact by Mantel's moments.

The regression is linear and takes the third matrix as free of error. If the relation is
curved, or the third matrix is noisy, the partial correlation differs from 0 although
the third matrix explains everything (docs/method.md has measured examples).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.alignment import Alignment, alignments

Csm = NDArray[np.floating[Any]]
NAME = "partial_pearson"
# a residual shorter than this share of the length of the off-diagonal values is
# rounding
MIN_RESIDUAL = 1e-9


def residual_matrix(csm: Csm, given: Csm) -> NDArray[np.float64] | None:
    """Return the residuals ``(C, C)`` of a CSM after regression on another off the
    diagonal, or None if they are rounding.

    The diagonal is 0. A constant ``given`` matrix explains only the mean.
    """
    off = ~np.eye(len(csm), dtype=bool)
    x, z = (np.asarray(matrix, dtype=np.float64)[off] for matrix in (csm, given))
    x, z = x - x.mean(), z - z.mean()
    length = float(z @ z)
    residual = x - (float(x @ z) / length) * z if length > 0 else x
    if float(residual @ residual) <= MIN_RESIDUAL**2 * max(
        float(x @ x), np.finfo(np.float64).tiny
    ):
        return None
    matrix = np.zeros(csm.shape)
    matrix[off] = residual
    return matrix


def partial_mantel(
    a: Csm, b: Csm, given: Csm, *, permutations: int | None = None, seed: int = 0
) -> Alignment:
    """Return the partial correlation of two CSMs given a third, in [-1, 1], with its
    chance level.

    The CSMs ``(C, C)`` are of the same classes in the same order, without NaN. The
    value is missing, with the reason, if the third matrix explains one of the others.
    `dsi_cli.metrics.alignment.alignments` documents the options.

    >>> rng = np.random.default_rng(0)
    >>> looks, rest = (np.corrcoef(rng.normal(size=(9, 20))) for _ in range(2))
    >>> round(partial_mantel(looks + rest, looks + rest, looks).value, 6)
    1.0
    """
    first, second = residual_matrix(a, given), residual_matrix(b, given)
    if first is None or second is None:
        return Alignment(
            NAME,
            classes_used=len(a),
            reason="the given matrix explains one of the two: nothing remains",
        )
    entry = alignments(
        first, second, ["pearson"], permutations=permutations, seed=seed
    )["pearson"]
    return replace(entry, measure=NAME)
