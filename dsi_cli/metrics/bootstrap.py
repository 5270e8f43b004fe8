"""The bootstrap over classes, and the confidence interval of SSIM from it, on request **[ours]**.

SSIM compares matrices as images, so the jackknife has no closed form for it. A draw shows the drawn classes in display order and
masks pairs of a class with its own copy. The scale stays that of the whole matrices **[choice]**.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import ssim
from dsi_cli.metrics.measures import Values
from dsi_cli.metrics.prepared import PreparedMatrix
from dsi_cli.metrics.ssim import SecondImage, WindowBand

MAX_DEFAULT_CLASSES = 256
"""With more classes, the chance level of SSIM and the draws of a comparison are computed on request only."""

PIXELS_PER_BATCH = 1 << 16
"""The number of pixels whose SSIM is computed at once, so that they fit into the processor's cache."""

Indices = NDArray[np.intp]
Images = NDArray[np.float32]


def interval_of_ssim(
    a: PreparedMatrix, b: PreparedMatrix, draws: int, seed: int, order: Indices
) -> tuple[float, float] | None:
    """Return the 2.5 and 97.5 percentiles of SSIM over bootstrap draws of classes; None if no draw has a value.

    Parameters
    ----------
    a, b : two CSMs of the same classes
    order : (C,) int
        The display order.
    """
    values = np.concatenate(list(_ssim_of_draws(a, b, draws, seed, order)))
    values = values[np.isfinite(values)]
    return (float(np.percentile(values, 2.5)), float(np.percentile(values, 97.5))) if values.size else None


@lru_cache(maxsize=2)
def draw_classes(classes: int, draws: int, seed: int) -> Indices:
    """Return the classes of each draw ``(draws, C)``, each as often as it was drawn."""
    rng = np.random.default_rng(seed)
    return np.array([rng.integers(0, classes, classes) for _ in range(draws)])


def _ssim_of_draws(a: PreparedMatrix, b: PreparedMatrix, draws: int, seed: int, order: Indices) -> Iterator[Values]:
    """Yield the SSIM of each draw, in batches of draws."""
    # Sort the drawn classes of each draw by their position in the display order.
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    drawn = draw_classes(a.classes, draws, seed)
    sorted_draws = np.take_along_axis(drawn, np.argsort(position[drawn], axis=1, kind="stable"), axis=1)

    bands = list(ssim.window_bands(a.classes, is_symmetric=a.is_symmetric and b.is_symmetric))
    step = max(1, PIXELS_PER_BATCH // max(band.rows * band.columns for band in bands))
    for first in range(0, draws, step):
        batch = sorted_draws[first : first + step]
        totals, weights = np.zeros(len(batch)), np.zeros(len(batch))
        for band in bands:
            key = (draws, seed, order.tobytes(), first, band.first, len(bands))
            pixels, share, weight, windows = b.cached(("windows", *key), partial(_windows, batch, band))
            doubled, *second = b.cached(("image", *key), partial(_second_image, b, pixels, weight))
            # Pairs of a class with its own copy get the diagonal value of the matrix, 0.
            x = a.scaled_single.take(pixels)
            product = ssim.window_means(x * doubled, weight)
            index = ssim.ssim_index(ssim.first_means(x, weight), SecondImage(*second), product)
            index *= share
            totals += index.sum(axis=2).sum(axis=0, dtype=np.float64)
            weights += windows
        with np.errstate(invalid="ignore"):
            yield totals / weights


def _windows(draws: Indices, band: WindowBand) -> tuple[NDArray[np.int32], Images, Images, Values]:
    """Return how a band of the images of some draws is taken from a matrix, and the weights of its windows.

    Returns
    -------
    pixels : (rows, draws, columns)
        The index of each pixel in the flat matrix.
    share : the weight of each window in the mean
    weight : the weight of the counting pixels in each window; pairs of a class with its own copy do not count
    windows : (draws,)
        The sum of ``share`` of each draw.
    """
    classes = draws.shape[1]
    columns = np.arange(band.columns)
    columns = columns + (np.arange(band.first, band.first + band.rows)[:, None] <= columns)
    row_classes = draws.T[band.first : band.first + band.rows, :, None]
    column_classes = np.moveaxis(draws[:, columns], 1, 0)
    mask = (row_classes != column_classes).astype(np.float32)
    share = mask[ssim.INNER] * band.times
    windows: Values = share.sum(axis=2).sum(axis=0, dtype=np.float64)
    return (row_classes * classes + column_classes).astype(np.int32), share, ssim.window_weights(mask), windows


def _second_image(matrix: PreparedMatrix, pixels: NDArray[np.int32], weight: Images) -> tuple[Images, ...]:
    """Return the doubled images of a matrix for some draws, and the fields of their `SecondImage`."""
    image = matrix.scaled_single.take(pixels)
    return 2 * image, *ssim.second_image(ssim.first_means(image, weight))
