"""Error consistency: whether two networks are right on the same samples, beyond what
their accuracies explain (Geirhos, Meding and Wichmann 2020, arXiv 2006.16736).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.differences import Difference


def error_consistency(
    first: NDArray[np.bool_], second: NDArray[np.bool_]
) -> Difference:
    """Return Cohen's kappa of two networks being right on the same samples, as the value
    with its standard error over samples.

    It is 0 if they agree as often as independent networks of their accuracies, and 1 if
    they are right on exactly the same samples.

    Parameters
    ----------
    first, second : (N,) bool
        Whether each network is right on each sample.

    Returns
    -------
    Difference
        ``first`` and ``second`` are the accuracies. The value is missing, with the
        reason, if a network is always right or always wrong and so is the other.

    Examples
    --------
    >>> right = np.array([True, True, False, False])
    >>> error_consistency(right, right).value, error_consistency(right, ~right).value
    (1.0, -1.0)
    """
    x, y = (np.asarray(right, dtype=np.float64) for right in (first, second))
    number = len(x)
    if number < 2:
        return Difference(reason="fewer than two samples")
    p, q = float(x.mean()), float(y.mean())
    same = x * y + (1 - x) * (1 - y)
    observed = float(same.mean())
    expected = p * q + (1 - p) * (1 - q)
    if expected == 1:
        reason = "both networks are always right, or both are always wrong"
        return Difference(p, q, reason=reason)
    kappa = (observed - expected) / (1 - expected)
    # The linearization over samples: the effect of each on kappa.
    of_expected = (2 * q - 1) * (x - p) + (2 * p - 1) * (y - q)
    effects: NDArray[Any] = (same - observed) - (1 - kappa) * of_expected
    error = float(np.linalg.norm(effects)) / (1 - expected) / number
    return Difference(p, q, kappa, error, number - 1)
