"""SSIM: structural similarity of two CSMs as images (Wang, Bovik, Sheikh, Simoncelli
2004, doi:10.1109/TIP.2003.819861).

The window is Gaussian with sigma 1.5 and 11 x 11 pixels. K1 is 0.01, K2 is 0.03, the
covariance that of the population, the data range 1. The result is the mean over the
image without its border of 5 pixels. It equals that of scikit-image with
``gaussian_weights=True, use_sample_covariance=False``. The window is applied as a
product with a small banded matrix, block by block, which is several times faster than a
sliding filter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
SIGMA, RADIUS, K1, K2 = 1.5, 5, 0.01, 0.03
# the smallest number of classes for which the image ``(C, C-1)`` holds a window
MIN_CLASSES = 2 * RADIUS + 2
MIN_BAND_ROWS, MAX_BANDS = 45, 8
"""The smallest number of window rows in a band, and the largest number of bands.
Adjacent bands share ten pixel rows.
"""
# the distance of the first windows of two blocks, which fit into the processor's cache
_PIXELS_PER_BLOCK = 32


def window_bands(
    classes: int, *, is_symmetric: bool
) -> Iterator[tuple[tuple[slice, ...], NDArray[np.float32]]]:
    """Yield bands of images ``(C, n, C-1)`` that together contain all windows, or for
    two symmetric matrices half of them.

    A band is the index of its rows and columns, and the weights ``(rows-10, 1,
    columns-10)`` of its windows. In a symmetric matrix a window wholly above the
    diagonal is the transpose of one below, which therefore has the weight 2.
    """
    reach = 2 * RADIUS
    down, across = classes - reach, classes - 1 - reach
    if not is_symmetric:
        yield np.s_[:, :, :], np.ones((down, 1, across), dtype=np.float32)
        return
    step = max(MIN_BAND_ROWS, -(-down // MAX_BANDS))
    for first in range(0, down, step):
        last = min(first + step, down)
        right = min(last + reach - 1, across)
        offset = np.arange(right) - np.arange(first, last)[:, None]
        weights = np.where(offset < -reach, 2, np.where(offset < reach, 1, 0)).astype(
            np.float32
        )
        yield np.s_[first : last + reach, :, : right + reach], weights[:, None]


def mean_ssim(
    x: Values, y: Values, *, is_symmetric: bool = False
) -> NDArray[np.float64]:
    """Return the mean SSIM ``(n,)`` of images ``(C, n, C-1)`` with images ``(C, 1 or n,
    C-1)``, each in [-1, 1].

    If both are images of symmetric matrices (``is_symmetric``), half of the windows are
    computed.
    """
    totals, weight = np.zeros(x.shape[1]), 0.0
    for band, weights in window_bands(len(x), is_symmetric=is_symmetric):
        first, second = np.ascontiguousarray(x[band]), np.ascontiguousarray(y[band])
        x_means, xx, y_means, yy, xy = map(
            window_means,
            (first, first * first, second, second * second, first * second),
        )
        means, squares = x_means * y_means, x_means * x_means + y_means * y_means
        index = (2 * means + K1**2) * (2 * (xy - means) + K2**2)
        index /= (squares + K1**2) * (xx + yy - squares + K2**2)
        index *= weights
        totals += index.sum(axis=2).sum(axis=0, dtype=np.float64)
        weight += float(weights.sum())
    return totals / weight


def shifted_ssim(
    x: Values, y: Values, shifts: Sequence[int], step: int
) -> NDArray[np.float64]:
    """Return the mean SSIM ``(shifts * n,)`` of parts of larger images ``(K, n, K-1)``
    with one image ``(C, 1, C-1)``.

    Each part begins on the diagonal. The window means of the larger images are computed
    once for all parts.

    Parameters
    ----------
    shifts : the first row and column of each part, multiples of ``step``.
    step : the distance of the windows that are used, down and across. With 4, the
        deviation over relabellings of 100 classes differs by less than 2 % from that of
        all windows.
    """
    # The means and variances of the windows, of the larger images for all parts at once
    x_means, x_squares, y_means, y_squares = (
        window_means(image, step) for image in (x, x * x, y, y * y)
    )
    x_variances = x_squares - x_means * x_means
    y_variances = y_squares - y_means * y_means
    x_squares, y_squares = x_means * x_means, y_means * y_means
    (rows, _, columns), (down, _, across) = y.shape, y_means.shape
    products = np.empty((rows, x.shape[1], columns), dtype=x.dtype)
    values = []
    for shift in shifts:
        first = shift // step
        part = np.s_[first : first + down, :, first : first + across]
        np.multiply(
            x[shift : shift + rows, :, shift : shift + columns], y, out=products
        )
        means = x_means[part] * y_means
        index = 2 * (window_means(products, step) - means) + K2**2
        index *= 2 * means + K1**2
        index /= x_squares[part] + (y_squares + K1**2)
        index /= x_variances[part] + (y_variances + K2**2)
        values.append(np.einsum("ijk->j", index, dtype=np.float64) / (down * across))
    return np.concatenate(values)


def window_means(images: Values, step: int = 1) -> Values:
    """Return every ``step``-th window mean of images ``(rows, ..., columns)``, down and
    across.

    The images are stored with their rows next to each other, so that few products of
    large matrices cover all images.
    """
    rows, *between, columns = images.shape
    height, width = (-(-(size - 2 * RADIUS) // step) for size in (rows, columns))
    down = np.empty((height, *between, columns), dtype=images.dtype)
    source, out = images.reshape(rows, -1), down.reshape(height, -1)
    for target, reach, band in _blocks(height, step, images.dtype):
        np.matmul(band, source[reach], out=out[target])
    across = np.empty((*down.shape[:-1], width), dtype=images.dtype)
    source, out = down.reshape(-1, columns), across.reshape(-1, width)
    for target, reach, band in _blocks(width, step, images.dtype):
        np.matmul(source[:, reach], band.T, out=out[:, target])
    return across


@lru_cache(maxsize=16)
def _blocks(
    number: int, step: int, dtype: np.dtype[Any]
) -> tuple[tuple[slice, slice, Values], ...]:
    """Return for each block the indices of the means, the indices of the values they
    use, and the window as a banded matrix.
    """
    window = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    window /= window.sum()
    blocks, most = [], _PIXELS_PER_BLOCK // step
    for first in range(0, number, most):
        count = min(most, number - first)
        band = np.zeros((count, (count - 1) * step + len(window)))
        for row in range(count):
            band[row, row * step : row * step + len(window)] = window
        reach = slice(first * step, first * step + band.shape[1])
        blocks.append((slice(first, first + count), reach, band.astype(dtype)))
    return tuple(blocks)
