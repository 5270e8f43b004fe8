"""SSIM of two matrices in bands: each band of windows needs ten rows, and ten columns, more than it has windows."""

from __future__ import annotations

from dsi_cli.metrics.measures import Values
from dsi_cli.metrics.structure import K1, K2, RADIUS, window_means

HALO = 2 * RADIUS


def summed(x: Values, y: Values) -> float:
    """Return the sum of the index over the windows that parts of two images hold, 0 where they hold none.

    The index of `dsi_cli.metrics.structure.index`, in place: at this size most of its time would go into fresh memory.
    """
    if min(x.shape) <= HALO:
        return 0.0
    both, found = window_means(x), window_means(x * y)
    other, spread = window_means(y), window_means(x * x + y * y)
    squares = both * both + other * other
    both *= other
    found -= both
    found *= 2
    found += K2**2
    both *= 2
    both += K1**2
    found *= both
    spread -= squares
    spread += K2**2
    squares += K1**2
    spread *= squares
    found /= spread
    return float(found.sum())


def windows(classes: int) -> int:
    """Return how many windows the image ``(C, C-1)`` of a matrix has."""
    return (classes - HALO) * (classes - 1 - HALO)
