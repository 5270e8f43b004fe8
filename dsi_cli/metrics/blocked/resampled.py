"""The interval of a SAI by blocks of rows: the draws of `dsi_cli.metrics.bootstrap`, for the measures that sums give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsi_cli.metrics import bootstrap
from dsi_cli.metrics.blocked.places import scaled
from dsi_cli.metrics.blocked.sums import Sums
from dsi_cli.metrics.blocked.walk import Indices, Rows, Walk
from dsi_cli.metrics.measures import Values

MEASURES = ("cosine", "mae", "mse", "pearson")


def intervals(
    a: tuple[Rows, Sums],
    b: tuple[Rows, Sums],
    measures: Sequence[str],
    draws: int,
    seed: int,
    order: Indices,
    walk: Walk,
) -> dict[str, tuple[float, float]]:
    """Return the 2.5 and 97.5 percentile of measures out of `MEASURES` over bootstrap draws of classes.

    Parameters
    ----------
    a, b : two matrices of the same classes, and what each adds up to
    order : (C,) which class of the draws stands where
    """
    times = bootstrap.multiplicities(bootstrap.draws_of_classes(len(order), draws, seed))[:, order]

    def of_block(start: int, stop: int) -> Values:
        x, y = (scaled(matrix.block(start, stop), sums.low, sums.high) for matrix, sums in (a, b))
        ones = np.ones_like(x)
        at = np.arange(stop - start)
        for values in (ones, x, y):
            values[at, start + at] = 0.0
        here = times[:, start:stop]
        parts = (ones, x, y, x * x, y * y, x * y, np.abs(x - y))
        return np.stack([np.einsum("di,di->d", here @ part, times) for part in parts])

    found = np.sum(list(walk.over(len(order), of_block)), axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {name: bootstrap.FROM_SUMS[name](*found) for name in measures}
    return bootstrap.percentiles(values)
