"""SSIM: structural similarity of two CSMs seen as images (Wang, Bovik, Sheikh, Simoncelli 2004, doi:10.1109/TIP.2003.819861).

Gaussian window, sigma 1.5, 11 x 11, K1 0.01, K2 0.03, population covariance, data range 1, mean over the image without its
border of 5: equal to scikit-image's with ``gaussian_weights=True, use_sample_covariance=False``. The window is applied as
a product with a small banded matrix, block by block: several times faster than a sliding filter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

SIGMA, RADIUS, K1, K2 = 1.5, 5, 0.01, 0.03
SMALLEST = 2 * RADIUS + 2
"""The least number of classes: the image is ``(C, C-1)`` and must hold one window."""
_BLOCK = 128


def ssim(x: Values, y: Values, valid: NDArray[np.bool_] | None = None) -> float:
    """Return the mean structural similarity of two images with values in [0, 1]: in [-1, 1].

    Parameters
    ----------
    x, y : (rows, columns) float64
        At least 11 each way.
    valid : (rows, columns) bool, optional
        Pixels that count **[ours]**: the others are left out of every window's statistics, and windows centred on them of the mean
        (for the bootstrap, where a class may meet its own copy).
    """
    if valid is None:
        means = _blur(np.stack([x, y, x * x, y * y, x * y]))
        return float(_index(means).mean())
    weight = valid.astype(np.float64)
    blurred = _blur(np.stack([weight * x, weight * y, weight * x * x, weight * y * y, weight * x * y, weight]))
    means = blurred[:-1] / np.maximum(blurred[-1], 1e-12)
    return float(_index(means)[valid[RADIUS:-RADIUS, RADIUS:-RADIUS]].mean())


def _index(means: Values) -> Values:
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = means
    both = mean_x * mean_y
    squares = mean_x**2 + mean_y**2
    c1, c2 = K1**2, K2**2
    index: Values = (2 * both + c1) * (2 * (mean_xy - both) + c2)
    index /= (squares + c1) * (mean_xx + mean_yy - squares + c2)
    return index


def _blur(images: Values) -> Values:
    """Return ``(k, rows-10, columns-10)``: the windows' means of ``(k, rows, columns)`` images."""
    return _blur_rows(_blur_rows(images).swapaxes(1, 2)).swapaxes(1, 2)


def _blur_rows(images: Values) -> Values:
    rows = images.shape[1] - 2 * RADIUS
    band = _band(min(_BLOCK, rows))
    out = np.empty((images.shape[0], rows, images.shape[2]))
    for first in range(0, rows, len(band)):
        size = min(len(band), rows - first)
        np.matmul(band[:size, : size + 2 * RADIUS], images[:, first : first + size + 2 * RADIUS], out=out[:, first : first + size])
    return out


def _band(rows: int) -> Values:
    offsets = np.arange(-RADIUS, RADIUS + 1)
    window = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    window /= window.sum()
    band = np.zeros((rows, rows + 2 * RADIUS))
    for row in range(rows):
        band[row, row : row + len(window)] = window
    return band
