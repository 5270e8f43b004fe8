"""WSI, the Weights Similarity Index: how similar the classes of one raw NCSM are (arXiv 2505.21338, section 3.3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import WSI_QUANTILE
from dsi_cli.metrics.measures import off_diagonal

Csm = NDArray[np.floating[Any]]


def mean_wsi(csm: Csm) -> float:
    """Return the mean of the upper triangle of a raw NCSM, in [-1, 1].

    Parameters
    ----------
    csm : (C, C) float

    Raises
    ------
    UsageError
        The matrix is not square with two classes or more.
    """
    return float(off_diagonal(_checked(csm)).mean())


def max_wsi(csm: Csm, quantile: float = WSI_QUANTILE) -> float:
    """Return how similar a class is to its most similar classes, mean over classes, in [-1, 1].

    Per row: the mean of the off-diagonal values at or above that row's quantile (linear interpolation).

    Parameters
    ----------
    csm : (C, C) float
        The raw NCSM.
    quantile : float
        In [0, 1].

    Raises
    ------
    UsageError
        The matrix is not square with two classes or more, or the quantile is outside [0, 1].
    """
    return float(upper_tails(off_diagonal(_checked(csm)), quantile).mean())


def min_wsi(csm: Csm, quantile: float = WSI_QUANTILE) -> float:
    """Return how similar a class is to its least similar classes, mean over classes, in [-1, 1].

    The mean of the values at or below each row's ``1 - quantile`` quantile, computed as ``-max_wsi(-csm)`` so that
    floating point cannot make the two sets differ in size.

    Parameters
    ----------
    csm : (C, C) float
        The raw NCSM.
    quantile : float
        In [0, 1].

    Raises
    ------
    UsageError
        As for `max_wsi`.
    """
    return -float(upper_tails(-off_diagonal(_checked(csm)), quantile).mean())


def upper_tails(rows: NDArray[np.float64], quantile: float) -> NDArray[np.float64]:
    """Return the mean of the values of each row ``(B, n)`` that are at or above the row's quantile; errors as for `max_wsi`."""
    if not 0.0 <= quantile <= 1.0:
        raise UsageError(f"a WSI quantile lies between 0 and 1; {quantile} does not")
    kept = rows >= np.quantile(rows, quantile, axis=1, keepdims=True)
    tails: NDArray[np.float64] = np.where(kept, rows, 0.0).sum(axis=1) / kept.sum(axis=1)
    return tails


def _checked(csm: Csm) -> NDArray[np.float64]:
    if csm.ndim != 2 or csm.shape[0] != csm.shape[1] or len(csm) < 2:
        raise UsageError(f"WSI needs a square matrix of two classes or more; this one has shape {csm.shape}")
    return csm.astype(np.float64)
