"""SSIM: structural similarity of two CSMs seen as images (Wang, Bovik, Sheikh, Simoncelli 2004, doi:10.1109/TIP.2003.819861).

Gaussian window, sigma 1.5, 11 x 11, K1 0.01, K2 0.03, population covariance, data range 1, mean over the image without its
border of 5: equal to scikit-image's with ``gaussian_weights=True, use_sample_covariance=False``. The window is applied as
a product with a small banded matrix, block by block: several times faster than a sliding filter.
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
SMALLEST = 2 * RADIUS + 2
"""The least number of classes: the image is ``(C, C-1)`` and must hold one window."""
INNER = (slice(RADIUS, -RADIUS), ..., slice(RADIUS, -RADIUS))
"""Where windows have their middle."""
FEWEST_ROWS, BANDS = 24, 8
"""Rows of windows of a band at least, and how many bands there are at most: two bands share ten rows."""
_BLOCK = 16
_AT_ONCE = 12_000
"""Windows whose index is computed in one go: what the caches hold, and what is below the size that is fresh memory each time."""


class WindowMeans(NamedTuple):
    """The windows' means of an image ``(..., rows-10, columns-10)`` and of its squares: what SSIM needs of one side alone."""

    value: Values
    square: Values


class SecondImage(NamedTuple):
    """What SSIM needs of an image alone that others are compared with: its windows' means, changed as the index wants them."""

    twice: Values
    """The means, doubled."""
    square: Values
    """Their squares, and K1's constant."""
    spread: Values
    """The windows' variances, and K2's constant."""


class WindowBand(NamedTuple):
    """A part of the image ``(C, C-1)`` of a matrix without its diagonal, and how often each window in it counts."""

    first: int
    """Its first row; it begins with the first column."""
    rows: int
    columns: int
    times: NDArray[np.float32]
    """``(rows-10, 1, columns-10)``."""

    def of(self, images: NDArray[Pixel]) -> NDArray[Pixel]:
        """Return this part of images ``(C, n, C-1)``."""
        return np.ascontiguousarray(images[self.first : self.first + self.rows, :, : self.columns])

    def summed(self, index: Values) -> NDArray[np.float64]:
        """Return for each image the sum of what `ssim_index` has found, each window as often as it counts."""
        index *= self.times
        found: NDArray[np.float64] = index.sum(axis=2).sum(axis=0, dtype=np.float64)
        return found


def window_bands(classes: int, *, is_symmetric: bool) -> Iterator[WindowBand]:
    """Yield the parts of an image that hold all its windows; of two symmetric matrices' images, what says all of them.

    There a window wholly above the diagonal is the transpose of one below, which counts twice in its place.
    """
    reach = 2 * RADIUS
    down, across = classes - reach, classes - 1 - reach
    if not is_symmetric:
        yield WindowBand(0, classes, classes - 1, np.ones((down, 1, across), dtype=np.float32))
        return
    step = max(FEWEST_ROWS, -(-down // BANDS))
    for first in range(0, down, step):
        last = min(first + step, down)
        right = min(last + reach - 1, across)
        beyond = np.arange(right) - np.arange(first, last)[:, None]
        times = np.where(beyond < -reach, 2, np.where(beyond < reach, 1, 0)).astype(np.float32)
        yield WindowBand(first, last - first + reach, right + reach, times[:, None])


def second_image(y: WindowMeans) -> SecondImage:
    """Return what `ssim_index` needs of the second image."""
    square = y.value * y.value
    return SecondImage(2 * y.value, square + K1**2, y.square - square + K2**2)


def ssim_index(x: WindowMeans, y: SecondImage, twice: Values) -> Values:
    """Return the structural similarity of each window from the means of two images, and those of their product, doubled.

    It takes the place of ``twice``, some rows at a time: as many as the caches hold.
    """
    step = max(1, _AT_ONCE // twice[0].size)
    for rows in (slice(first, first + step) for first in range(0, len(twice), step)):
        _index(*(part[rows] for part in (*x, *y, twice)))
    return twice


def _index(x: Values, x_square: Values, y: Values, y_square: Values, y_spread: Values, twice: Values) -> None:
    both = x * y
    twice -= both
    twice += K2**2
    both += K1**2
    twice *= both
    np.multiply(x, x, out=both)
    spread = x_square - both
    spread += y_spread
    both += y_square
    both *= spread
    twice /= both


def first_means(image: Values, weight: Values | float = 1.0) -> WindowMeans:
    """Return the windows' means of an image and of its squares.

    Parameters
    ----------
    image : (rows, ..., columns), 0 where it does not count
    weight : of the pixels that count in each window: `window_weights`
    """
    return WindowMeans(window_means(image, weight), window_means(image * image, weight))


def window_weights(mask: Values) -> Values:
    """Return how much of each window counts, never quite 0, for a mask of zeros and ones."""
    return np.maximum(window_means(mask), np.asarray(1e-12, dtype=mask.dtype))


def window_means(images: Values, weight: Values | float = 1.0) -> Values:
    """Return the windows' means ``(rows-10, ..., columns-10)`` of images ``(rows, ..., columns)``.

    Many images are looked at in one go if their rows lie side by side: then each product is of matrices that are large.
    """
    rows, *between, columns = images.shape
    down = np.empty((rows - 2 * RADIUS, *between, columns), dtype=images.dtype)
    beside, out = images.reshape(rows, -1), down.reshape(rows - 2 * RADIUS, -1)
    for here, reach, band in _blocks(rows, images.dtype):
        np.matmul(band, beside[reach], out=out[here])
    across = np.empty((*down.shape[:-1], columns - 2 * RADIUS), dtype=images.dtype)
    below, out = down.reshape(-1, columns), across.reshape(-1, columns - 2 * RADIUS)
    for here, reach, band in _blocks(columns, images.dtype):
        np.matmul(below[:, reach], band.T, out=out[:, here])
    if np.ndim(weight):
        across /= weight
    return across


@lru_cache(maxsize=16)
def _blocks(size: int, dtype: np.dtype[Any]) -> tuple[tuple[slice, slice, Values], ...]:
    """Return, block by block, the places of the means, of the values that they are made from, and the window as a band."""
    left, found = size - 2 * RADIUS, []
    for first in range(0, left, _BLOCK):
        wide = min(_BLOCK, left - first)
        here, reach = slice(first, first + wide), slice(first, first + wide + 2 * RADIUS)
        found.append((here, reach, _band(_BLOCK, dtype)[:wide, : wide + 2 * RADIUS]))
    return tuple(found)


@cache
def _band(rows: int, dtype: np.dtype[Any]) -> Values:
    offsets = np.arange(-RADIUS, RADIUS + 1)
    window = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    window /= window.sum()
    band = np.zeros((rows, rows + 2 * RADIUS))
    for row in range(rows):
        band[row, row : row + len(window)] = window
    return band.astype(dtype)
