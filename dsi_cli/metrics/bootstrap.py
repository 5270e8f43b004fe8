"""Classes drawn again and again with replacement, and the interval of SSIM from such draws, on request **[ours]**.

SSIM looks at a matrix as an image, so no sums give it without a class. The drawn classes stand in display order, and pairs of a
class with its own copy are masked. The scale stays that of the whole matrices **[choice]**.
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

LARGEST = 256
"""Above this many classes SSIM has a chance level, and a comparison all its draws, on request only."""

AT_ONCE = 1 << 16
"""Pixels whose SSIM is computed in one go: what the caches hold."""

Indices = NDArray[np.intp]
Images = NDArray[np.float32]


def interval_of_ssim(
    a: PreparedMatrix, b: PreparedMatrix, draws: int, seed: int, order: Indices
) -> tuple[float, float] | None:
    """Return the 2.5 and 97.5 percentile of SSIM over bootstrap draws of classes; None if it exists in none.

    Parameters
    ----------
    a, b : two CSMs of the same classes
    order : (C,) int
        The display order.
    """
    drawn = np.concatenate(list(_ssim(a, b, draws, seed, order)))
    drawn = drawn[np.isfinite(drawn)]
    return (float(np.percentile(drawn, 2.5)), float(np.percentile(drawn, 97.5))) if drawn.size else None


@lru_cache(maxsize=2)
def draws_of_classes(classes: int, draws: int, seed: int) -> Indices:
    """Return the classes of each draw ``(draws, C)``, each as often as it was drawn."""
    rng = np.random.default_rng(seed)
    return np.array([rng.integers(0, classes, classes) for _ in range(draws)])


def multiplicities(drawn: Indices) -> Values:
    """Return how often each draw holds each class ``(draws, C)``."""
    return np.stack([np.bincount(draw, minlength=len(draw)) for draw in drawn]).astype(np.float64)


def _ssim(a: PreparedMatrix, b: PreparedMatrix, draws: int, seed: int, order: Indices) -> Iterator[Values]:
    """Yield the SSIM per draw, for some draws at a time; the drawn classes stand in display order."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    drawn = draws_of_classes(a.classes, draws, seed)
    shown = np.take_along_axis(drawn, np.argsort(place[drawn], axis=1, kind="stable"), axis=1)
    bands = list(ssim.window_bands(a.classes, is_symmetric=a.is_symmetric and b.is_symmetric))
    step = max(1, AT_ONCE // max(band.rows * band.columns for band in bands))
    for some in (slice(first, first + step) for first in range(0, draws, step)):
        found, counted = np.zeros(len(shown[some])), np.zeros(len(shown[some]))
        for band in bands:
            key = (draws, seed, order.tobytes(), some.start, band.first, len(bands))
            pixels, share, weight, windows = b.lasting(("windows", *key), partial(_windows, shown[some], band))
            twice, *of_y = b.lasting(("image", *key), partial(_partner, b, pixels, weight))
            # A class and its copy meet on the matrix's own diagonal, which is 0.
            x = a.scaled_single.take(pixels)
            index = ssim.ssim_index(ssim.first_means(x, weight), SecondImage(*of_y), ssim.window_means(x * twice, weight))
            index *= share
            found += index.sum(axis=2).sum(axis=0, dtype=np.float64)
            counted += windows
        with np.errstate(invalid="ignore"):
            yield found / counted


def _windows(shown: Indices, band: WindowBand) -> tuple[NDArray[np.int32], Images, Images, Values]:
    """Return where a part of some draws' images comes from, how often each window counts, and how much of a window counts.

    The first is a place in the flat matrix for each value of the part ``(rows, some, columns)``. A pair of a class with its own
    copy does not count. The last is how many windows count in each draw ``(some,)``.
    """
    classes = shown.shape[1]
    across = np.arange(band.columns)
    across = across + (np.arange(band.first, band.first + band.rows)[:, None] <= across)
    rows, columns = shown.T[band.first : band.first + band.rows, :, None], np.moveaxis(shown[:, across], 1, 0)
    counts = (rows != columns).astype(np.float32)
    share = counts[ssim.INNER] * band.times
    windows: Values = share.sum(axis=2).sum(axis=0, dtype=np.float64)
    return (rows * classes + columns).astype(np.int32), share, ssim.window_weights(counts), windows


def _partner(side: PreparedMatrix, pixels: NDArray[np.int32], weight: Images) -> tuple[Images, ...]:
    """Return a matrix, doubled, as some draws show it, ``(C, some, C-1)``, and what `structure.index` needs of it alone."""
    image = side.scaled_single.take(pixels)
    return 2 * image, *ssim.second_image(ssim.first_means(image, weight))
