"""WSI, the Weights Similarity Index: how similar the classes of one raw NCSM are (arXiv
2505.21338, section 3.3).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import WSI_QUANTILE
from dsi_cli.metrics.measures import off_diagonal
from dsi_cli.similarity import require_same_order

Csm = ArrayLike


def mean_wsi(csm: Csm) -> float:
    """Return the mean of the upper triangle of a raw NCSM, in [-1, 1] (arXiv
    2505.21338, section 3.3).

    Parameters
    ----------
    csm : (C, C) float, the raw NCSM without NaN.

    Raises
    ------
    UsageError
        The matrix is not square or has fewer than two classes (code ``not-square``).

    Examples
    --------
    >>> import numpy as np
    >>> csm = np.array([[1, 0.8, 0.1], [0.8, 1, 0.3], [0.1, 0.3, 1]])
    >>> round(mean_wsi(csm), 2)
    0.4
    """
    return float(off_diagonal(_checked(csm)).mean())


def max_wsi(csm: Csm, quantile: float = WSI_QUANTILE) -> float:
    """Return the mean similarity of a class to its most similar classes, averaged over
    classes, in [-1, 1].

    A row contributes the mean of its off-diagonal values ``>=`` its quantile, which
    NumPy interpolates linearly. Source: arXiv 2505.21338, section 3.3.

    Parameters
    ----------
    csm : (C, C) float, the raw NCSM without NaN.
    quantile : float, the quantile in [0, 1] **[choice]**.

    Raises
    ------
    UsageError
        The matrix is not square or has fewer than two classes (code ``not-square``), or
        the quantile is outside [0, 1] (code ``quantile-out-of-range``).

    Examples
    --------
    >>> import numpy as np
    >>> csm = np.array([[1, 0.8, 0.1], [0.8, 1, 0.3], [0.1, 0.3, 1]])
    >>> round(max_wsi(csm), 2)
    0.63
    """
    rising = np.sort(off_diagonal(_checked(csm)), axis=1)
    return float(upper_tails(rising, quantile).mean())


def min_wsi(csm: Csm, quantile: float = WSI_QUANTILE) -> float:
    """Return the mean similarity of a class to its least similar classes, averaged over
    classes, in [-1, 1].

    A row contributes the mean of its off-diagonal values ``<=`` its ``1 - quantile``
    quantile. The result is computed as ``-max_wsi(-csm)``, so that floating point
    cannot make the two sets of values differ in size. Source: arXiv 2505.21338, section
    3.3.

    Parameters
    ----------
    csm : (C, C) float, the raw NCSM without NaN.
    quantile : float, the quantile in [0, 1] **[choice]**.

    Raises
    ------
    UsageError
        The errors are those of `max_wsi`.

    Examples
    --------
    >>> import numpy as np
    >>> csm = np.array([[1, 0.8, 0.1], [0.8, 1, 0.3], [0.1, 0.3, 1]])
    >>> round(min_wsi(csm), 2)
    0.17
    """
    rising = np.sort(off_diagonal(_checked(csm)), axis=1)
    return float(lower_tails(rising, quantile).mean())


def upper_tails(
    rising: NDArray[np.floating[Any]], quantile: float
) -> NDArray[np.float64]:
    """Return for each row ``(B, n)``, in rising order, the mean of its values at or
    above its quantile; `max_wsi` documents the errors.
    """
    if not 0.0 <= quantile <= 1.0:
        message = f"the WSI quantile {quantile} is not between 0 and 1"
        raise UsageError(message, code="quantile-out-of-range", quantile=quantile)
    exact = quantile * (rising.shape[1] - 1)
    lower = int(exact)
    upper = min(lower + 1, rising.shape[1] - 1)
    quantiles = interpolated(rising[:, lower], rising[:, upper], exact - lower)
    # The values from the upper one on are in the tail. So are others only if the lower
    # one equals the quantile.
    is_tied = bool((rising[:, lower] >= quantiles).any())
    tail = rising[:, 0 if is_tied else upper :].astype(np.float64)
    kept = tail >= quantiles[:, None]
    return np.where(kept, tail, 0.0).sum(axis=1) / kept.sum(axis=1)


def lower_tails(
    rising: NDArray[np.floating[Any]], quantile: float
) -> NDArray[np.float64]:
    """Return for each row in rising order the mean of its values at or below its ``1 -
    quantile`` quantile.
    """
    return -upper_tails(-rising[:, ::-1], quantile)


def interpolated(
    below: NDArray[np.floating[Any]], above: NDArray[np.floating[Any]], share: float
) -> NDArray[np.float64]:
    """Return the values at a share of the way from one array to another.

    The expression is that of `numpy.quantile`, equal to the last bit, because it
    decides which values are above a quantile.
    """
    low, high = below.astype(np.float64), above.astype(np.float64)
    if share >= 0.5:
        return high - (high - low) * (1 - share)
    return low + (high - low) * share


def _checked(csm: Csm) -> NDArray[np.float64]:
    require_same_order(csm)
    csm = np.asarray(csm)
    if csm.ndim != 2 or csm.shape[0] != csm.shape[1] or len(csm) < 2:
        message = (
            "the WSI needs a square matrix of two classes or more; this one has shape"
            f" {csm.shape}"
        )
        raise UsageError(message, code="not-square", shape=csm.shape)
    return csm.astype(np.float64)
