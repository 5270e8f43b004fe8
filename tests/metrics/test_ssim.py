"""The parts of SSIM, put together for two images, plain and masked, against scikit-image and a slow loop."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import oracles
from numpy.testing import assert_allclose
from skimage.metrics import structural_similarity

from dsi_cli.metrics.measures import off_diagonal
from dsi_cli.metrics.ssim import (
    INNER,
    MIN_CLASSES,
    first_means,
    second_image,
    ssim_index,
    window_bands,
    window_means,
    window_weights,
)


def images(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([rows, columns])
    x = rng.random((rows, columns))
    return x, 0.5 * x + 0.5 * rng.random((rows, columns))


def ssim(x: np.ndarray, y: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Return the mean SSIM of two images; of the pixels ``valid`` alone, if they are given."""
    if valid is None:
        return float(ssim_index(first_means(x), second_image(first_means(y)), window_means(2 * x * y)).mean())
    mask = valid.astype(x.dtype)
    x, y, weight = mask * x, mask * y, window_weights(mask)
    return float(
        ssim_index(first_means(x, weight), second_image(first_means(y, weight)), window_means(2 * x * y, weight))[
            valid[INNER]
        ].mean()
    )


def scikit_image(x: np.ndarray, y: np.ndarray) -> float:
    _, full = structural_similarity(
        x, y, full=True, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0
    )
    return float(full[5:-5, 5:-5].mean())


@pytest.mark.parametrize("classes", [12, 13, 24, 137, 138, 139, 140, 266, 267, 300])
def test_equals_scikit_image(classes):
    x, y = images(classes, classes - 1)
    assert_allclose(ssim(x, y), scikit_image(x, y), rtol=1e-9)


def test_the_smallest_image():
    x, y = images(11, 11)
    assert_allclose(ssim(x, y), scikit_image(x, y), rtol=1e-9)
    assert MIN_CLASSES == 12


@pytest.mark.parametrize("shape", [(20, 31), (150, 14), (14, 150)])
def test_images_need_not_be_square(shape):
    x, y = images(*shape)
    assert_allclose(ssim(x, y), scikit_image(x, y), rtol=1e-9)


def test_range():
    x, _ = images(20, 19)
    assert_allclose(ssim(x, x), 1.0, rtol=1e-12)
    board = np.indices((20, 19)).sum(axis=0) % 2 * 1.0
    assert -1 <= ssim(board, 1 - board) < -0.9


@pytest.mark.parametrize("classes", [12, 30, 139])
def test_an_all_true_mask_changes_nothing(classes):
    x, y = images(classes, classes - 1)
    assert_allclose(ssim(x, y, np.ones(x.shape, dtype=bool)), ssim(x, y), rtol=1e-9)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_a_partial_mask_equals_the_slow_loop(share):
    x, y = images(18, 17)
    valid = np.random.default_rng(12).random(x.shape) > share
    assert_allclose(ssim(x, y, valid), oracles.masked_ssim(x, y, valid), rtol=1e-9)


def test_windows_without_a_pixel_do_not_count():
    x, y = images(30, 29)
    valid = np.ones(x.shape, dtype=bool)
    valid[6:20, 3:17] = False
    assert_allclose(ssim(x, y, valid), oracles.masked_ssim(x, y, valid), rtol=1e-9)


@pytest.mark.parametrize("masked", [False, True])
def test_float32_images_are_nearly_as_good(masked):
    x, y = images(139, 138)
    valid = np.random.default_rng(18).random(x.shape) > 0.1 if masked else None
    assert_allclose(ssim(x.astype(np.float32), y.astype(np.float32), valid), ssim(x, y, valid), rtol=0, atol=1e-5)


def test_masked_pixels_do_not_matter():
    x, y = images(18, 17)
    valid = np.random.default_rng(13).random(x.shape) > 0.3
    assert ssim(np.where(valid, x, 9.0), np.where(valid, y, -4.0), valid) == pytest.approx(ssim(x, y, valid), rel=1e-12)


@pytest.mark.parametrize("classes", [12, 13, 24, 40, 100, 137, 300])
def test_window_bands_of_symmetric_matrices_give_the_ssim_of_whole_images(classes):
    rng = np.random.default_rng(classes)
    x, y = (np.maximum(m, m.T) for m in rng.random((2, classes, classes)))
    x, y = (off_diagonal(m)[:, None] for m in (x, 0.5 * x + 0.5 * y))
    counted, total = 0.0, 0.0
    for band in window_bands(classes, is_symmetric=True):
        a, b = band.crop(x), band.crop(y)
        total += band.weighted_sum(ssim_index(first_means(a), second_image(first_means(b)), window_means(2 * a * b)))[0]
        counted += float(band.times.sum())
    assert counted == (classes - 10) * (classes - 11)
    assert_allclose(total / counted, scikit_image(x[:, 0], y[:, 0]), rtol=1e-9)
    (whole,) = window_bands(classes, is_symmetric=False)
    assert whole.crop(x).shape == (classes, 1, classes - 1)
    assert whole.times.sum() == counted
