"""SSIM of two matrices in bands: each band of windows needs ten rows more than it has windows."""

from __future__ import annotations

from dsi_cli.metrics import structure
from dsi_cli.metrics.measures import Values

HALO = 2 * structure.RADIUS


def summed(x: Values, y: Values) -> float:
    """Return the sum of the index over the windows that rows of two images ``(rows, C-1)`` hold, 0 where they hold none."""
    if len(x) <= HALO:
        return 0.0
    found = structure.index(structure.means(x), structure.means(y), structure.window_means(x * y))
    return float(found.sum())


def windows(classes: int) -> int:
    """Return how many windows the image ``(C, C-1)`` of a matrix has."""
    return (classes - HALO) * (classes - 1 - HALO)
