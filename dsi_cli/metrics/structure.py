"""SSIM: structural similarity of two CSMs seen as images (Wang, Bovik, Sheikh, Simoncelli 2004, doi:10.1109/TIP.2003.819861).

Gaussian window, sigma 1.5, 11 x 11, K1 0.01, K2 0.03, population covariance, data range 1, mean over the image without its
border of 5: equal to scikit-image's with ``gaussian_weights=True, use_sample_covariance=False``. The window is applied as
a product with a small banded matrix, block by block: several times faster than a sliding filter.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]

SIGMA, RADIUS, K1, K2 = 1.5, 5, 0.01, 0.03
SMALLEST = 2 * RADIUS + 2
"""The least number of classes: the image is ``(C, C-1)`` and must hold one window."""
_BLOCK = 128


def ssim(x: Values, y: Values, valid: NDArray[np.bool_] | None = None) -> float:
    """Return the mean structural similarity of two images with values in [0, 1]: in [-1, 1].

    Parameters
    ----------
    x, y : (rows, columns) float64 or float32
        At least 11 each way; float32 is twice as fast and good to 1e-5.
    valid : (rows, columns) bool, optional
        Pixels that count **[ours]**: the others are left out of every window's statistics, and windows centred on them of the mean
        (for the bootstrap, where a class may meet its own copy). NaN where no window is left.
    """
    if valid is None:
        means = _blur(np.stack([x, y, x * x, y * y, x * y], axis=1))
        return float(_index(means).mean())
    weight = valid.astype(x.dtype)
    x, y = weight * x, weight * y
    blurred = _blur(np.stack([x, y, x * x, y * y, x * y, weight], axis=1))
    means = blurred[:, :-1] / np.maximum(blurred[:, -1:], 1e-12)
    counted = _index(means)[valid[RADIUS:-RADIUS, RADIUS:-RADIUS]]
    return float(counted.mean()) if counted.size else float("nan")


def _index(means: Values) -> Values:
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = means.swapaxes(0, 1)
    both = mean_x * mean_y
    squares = mean_x**2 + mean_y**2
    c1, c2 = K1**2, K2**2
    index: Values = (2 * both + c1) * (2 * (mean_xy - both) + c2)
    index /= (squares + c1) * (mean_xx + mean_yy - squares + c2)
    return index


def _blur(images: Values) -> Values:
    """Return the windows' means ``(rows-10, k, columns-10)`` of ``k`` images ``(rows, k, columns)``.

    With the images side by side, each direction is one product of two matrices a block.
    """
    rows, count, columns = images.shape
    flat = images.reshape(rows, count * columns)
    down = np.empty((rows - 2 * RADIUS, count * columns), dtype=images.dtype)
    for here, reach, band in _blocks(rows, images.dtype):
        np.matmul(band, flat[reach], out=down[here])
    flat = down.reshape(-1, columns)
    across = np.empty((len(flat), columns - 2 * RADIUS), dtype=images.dtype)
    for here, reach, band in _blocks(columns, images.dtype):
        across[:, here] = flat[:, reach] @ band.T
    return across.reshape(rows - 2 * RADIUS, count, -1)


def _blocks(size: int, dtype: np.dtype[Any]) -> Iterator[tuple[slice, slice, Values]]:
    """Yield, block by block, the places of the means, of the values that they are made from, and the window as a band."""
    left = size - 2 * RADIUS
    for first in range(0, left, _BLOCK):
        wide = min(_BLOCK, left - first)
        yield (
            slice(first, first + wide),
            slice(first, first + wide + 2 * RADIUS),
            _band(_BLOCK, dtype)[:wide, : wide + 2 * RADIUS],
        )


@cache
def _band(rows: int, dtype: np.dtype[Any]) -> Values:
    offsets = np.arange(-RADIUS, RADIUS + 1)
    window = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    window /= window.sum()
    band = np.zeros((rows, rows + 2 * RADIUS))
    for row in range(rows):
        band[row, row : row + len(window)] = window
    return band.astype(dtype)
