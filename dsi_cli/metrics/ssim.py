"""SSIM: structural similarity of two CSMs as images (Wang, Bovik, Sheikh, Simoncelli 2004, doi:10.1109/TIP.2003.819861).

The window is Gaussian with sigma 1.5 and 11 x 11 pixels. K1 is 0.01, K2 is 0.03, the covariance that of the population, the data
range 1. The result is the mean over the image without its border of 5 pixels. It equals that of scikit-image with
``gaussian_weights=True, use_sample_covariance=False``. The window is applied as a product with a small banded matrix, block by
block, which is several times faster than a sliding filter.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Pixel = TypeVar("Pixel", bound=np.generic)

SIGMA, RADIUS, K1, K2 = 1.5, 5, 0.01, 0.03
MIN_CLASSES = 2 * RADIUS + 2
"""The smallest number of classes for which the image ``(C, C-1)`` holds a window."""
INNER = (slice(RADIUS, -RADIUS), ..., slice(RADIUS, -RADIUS))
"""The index of the pixels that are the centre of a window."""
MIN_BAND_ROWS, MAX_BANDS = 24, 8
"""The smallest number of window rows in a band, and the largest number of bands. Adjacent bands share ten pixel rows."""
_ROWS_PER_BLOCK = 16
_WINDOWS_PER_BATCH = 12_000
"""The number of windows computed at once, so that they fit into the processor's cache and memory is reused."""


class WindowMeans(NamedTuple):
    """The window means of an image ``(..., rows-10, columns-10)`` and of its squares."""

    value: Values
    square: Values


class SecondImage(NamedTuple):
    """Window statistics of an image, in the form in which `ssim_index` uses them for its second image."""

    twice: Values
    """The means, doubled."""
    square: Values
    """The squared means plus the constant of K1."""
    spread: Values
    """The variances of the windows plus the constant of K2."""


class WindowBand(NamedTuple):
    """A band of rows of the image ``(C, C-1)`` of a matrix without its diagonal, with the weight of each window."""

    first: int
    """The index of the first row; each band begins in the first column."""
    rows: int
    columns: int
    times: NDArray[np.float32]
    """The weights ``(rows-10, 1, columns-10)``."""

    def crop(self, images: NDArray[Pixel]) -> NDArray[Pixel]:
        """Return this band of images ``(C, n, C-1)``."""
        return np.ascontiguousarray(images[self.first : self.first + self.rows, :, : self.columns])

    def weighted_sum(self, index: Values) -> NDArray[np.float64]:
        """Return the weighted sum of the windows' indices for each image; ``index`` is changed in place."""
        index *= self.times
        sums: NDArray[np.float64] = index.sum(axis=2).sum(axis=0, dtype=np.float64)
        return sums


def window_bands(classes: int, *, is_symmetric: bool) -> Iterator[WindowBand]:
    """Yield bands that together contain all windows of an image, or for two symmetric matrices half of them.

    In a symmetric matrix a window wholly above the diagonal is the transpose of one below, which therefore has the weight 2.
    """
    reach = 2 * RADIUS
    down, across = classes - reach, classes - 1 - reach
    if not is_symmetric:
        yield WindowBand(0, classes, classes - 1, np.ones((down, 1, across), dtype=np.float32))
        return
    step = max(MIN_BAND_ROWS, -(-down // MAX_BANDS))
    for first in range(0, down, step):
        last = min(first + step, down)
        right = min(last + reach - 1, across)
        offset = np.arange(right) - np.arange(first, last)[:, None]
        times = np.where(offset < -reach, 2, np.where(offset < reach, 1, 0)).astype(np.float32)
        yield WindowBand(first, last - first + reach, right + reach, times[:, None])


def second_image(y: WindowMeans) -> SecondImage:
    """Return the statistics of the second image of `ssim_index` from its window means."""
    square = y.value * y.value
    return SecondImage(2 * y.value, square + K1**2, y.square - square + K2**2)


def ssim_index(x: WindowMeans, y: SecondImage, twice: Values) -> Values:
    """Return the structural similarity of each window, in [-1, 1].

    Parameters
    ----------
    x, y : the statistics of the two images
    twice : the doubled window means of the product of the images; the result overwrites it
    """
    step = max(1, _WINDOWS_PER_BATCH // twice[0].size)
    for first in range(0, len(twice), step):
        _index_in_place(*(part[first : first + step] for part in (*x, *y, twice)))
    return twice


def _index_in_place(x: Values, x_square: Values, y: Values, y_square: Values, y_spread: Values, twice: Values) -> None:
    product = x * y
    twice -= product
    twice += K2**2
    product += K1**2
    twice *= product
    np.multiply(x, x, out=product)
    spread = x_square - product
    spread += y_spread
    product += y_square
    product *= spread
    twice /= product


def first_means(image: Values, weight: Values | float = 1.0) -> WindowMeans:
    """Return the window means of an image and of its squares.

    Parameters
    ----------
    image : (rows, ..., columns)
        Pixels that do not count are 0.
    weight : the weight of the counting pixels in each window, from `window_weights`
    """
    return WindowMeans(window_means(image, weight), window_means(image * image, weight))


def window_weights(mask: Values) -> Values:
    """Return the weight of the counting pixels in each window, at least 1e-12, for a mask of zeros and ones."""
    return np.maximum(window_means(mask), np.asarray(1e-12, dtype=mask.dtype))


def window_means(images: Values, weight: Values | float = 1.0) -> Values:
    """Return the window means ``(rows-10, ..., columns-10)`` of images ``(rows, ..., columns)``.

    The images are stored with their rows next to each other, so that few products of large matrices cover all images.
    """
    rows, *between, columns = images.shape
    down = np.empty((rows - 2 * RADIUS, *between, columns), dtype=images.dtype)
    source, out = images.reshape(rows, -1), down.reshape(rows - 2 * RADIUS, -1)
    for target, reach, band in _blocks(rows, images.dtype):
        np.matmul(band, source[reach], out=out[target])
    across = np.empty((*down.shape[:-1], columns - 2 * RADIUS), dtype=images.dtype)
    source, out = down.reshape(-1, columns), across.reshape(-1, columns - 2 * RADIUS)
    for target, reach, band in _blocks(columns, images.dtype):
        np.matmul(source[:, reach], band.T, out=out[:, target])
    if np.ndim(weight):
        across /= weight
    return across


@lru_cache(maxsize=16)
def _blocks(size: int, dtype: np.dtype[Any]) -> tuple[tuple[slice, slice, Values], ...]:
    """Return for each block the indices of the means, the indices of the values they use, and the window as a banded matrix."""
    blocks = []
    for first in range(0, size - 2 * RADIUS, _ROWS_PER_BLOCK):
        width = min(_ROWS_PER_BLOCK, size - 2 * RADIUS - first)
        reach = width + 2 * RADIUS
        band = _band(_ROWS_PER_BLOCK, dtype)[:width, :reach]
        blocks.append((slice(first, first + width), slice(first, first + reach), band))
    return tuple(blocks)


@cache
def _band(rows: int, dtype: np.dtype[Any]) -> Values:
    offsets = np.arange(-RADIUS, RADIUS + 1)
    window = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    window /= window.sum()
    band = np.zeros((rows, rows + 2 * RADIUS))
    for row in range(rows):
        band[row, row : row + len(window)] = window
    return band.astype(dtype)
