"""SSIM of images against scikit-image, and its interval on request."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from skimage.metrics import structural_similarity

from dsi_cli.metrics import jackknife
from dsi_cli.metrics.alignment import alignments, sai
from dsi_cli.metrics.measures import off_diagonal
from dsi_cli.metrics.ssim import (
    MIN_CLASSES,
    Windows,
    bands,
    mean_ssim,
    shifted_ssim,
    window_means,
)


def images(classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    x = rng.random((classes, classes - 1))
    return x, 0.5 * x + 0.5 * rng.random(x.shape)


def ssim(x: np.ndarray, y: np.ndarray, **options: object) -> float:
    shown = (bands(image[:, None], **options) for image in (x, y))
    return float(mean_ssim(*shown)[0])


def scikit_image(x: np.ndarray, y: np.ndarray, step: int = 1) -> float:
    _, full = structural_similarity(
        x,
        y,
        full=True,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
    )
    return float(full[5:-5:step, 5:-5:step].mean())


@pytest.mark.parametrize("classes", [MIN_CLASSES, 13, 24, 137, 138, 267, 300])
def test_ssim_equals_scikit_image(classes):
    x, y = images(classes)
    assert_allclose(ssim(x, y), scikit_image(x, y), rtol=1e-9)
    assert_allclose(
        ssim(x.astype(np.float32), y.astype(np.float32)), ssim(x, y), atol=1e-5
    )


@pytest.mark.parametrize("step", [1, 3])
def test_shifted_ssim_equals_scikit_image_of_each_part(step):
    (x, _), (_, y) = images(90), images(61)
    windows = Windows.of(y[:, None], step)
    found = shifted_ssim(np.stack([x, 1 - x], axis=1), windows, [0, 6, 27], step)
    parts = [
        image[shift : shift + 61, shift : shift + 60]
        for shift in (0, 6, 27)
        for image in (x, 1 - x)
    ]
    assert_allclose(found, [scikit_image(part, y, step) for part in parts], rtol=1e-9)


def test_ssim_is_within_its_range():
    x, _ = images(20)
    assert_allclose(ssim(x, x), 1.0, rtol=1e-12)
    board = np.indices((20, 19)).sum(axis=0) % 2 * 1.0
    assert -1 <= ssim(board, 1 - board) < -0.9


def test_ssim_windows_with_a_step_are_some_of_all():
    x = np.random.default_rng(0).random((90, 4, 61))
    assert_allclose(window_means(x, 3), window_means(x)[::3, :, ::3], rtol=1e-12)


@pytest.mark.parametrize("classes", [12, 13, 24, 40, 100, 300])
def test_bands_of_symmetric_matrices_give_the_ssim_of_whole_images(classes):
    rng = np.random.default_rng(classes)
    x, y = (np.maximum(m, m.T) for m in rng.random((2, classes, classes)))
    x, y = off_diagonal(x), off_diagonal(0.5 * x + 0.5 * y)
    weights = [band.weights.sum() for band in bands(x[:, None], is_symmetric=True)]
    assert sum(weights) == (classes - 10) * (classes - 11)
    assert_allclose(ssim(x, y, is_symmetric=True), scikit_image(x, y), rtol=1e-9)


@pytest.mark.parametrize("ordered", [False, True])
def test_interval_of_ssim_leaves_each_class_out(make_pair, ordered):
    a, b = make_pair("asymmetric", 16)
    order = np.random.default_rng(11).permutation(16) if ordered else np.arange(16)
    entry = alignments(a, b, ["ssim"], order=order if ordered else None, draws=1)[
        "ssim"
    ]
    # The extremes of the whole matrix, not those without the class, define the scale.
    a, b = ((m - off_diagonal(m).min()) / np.ptp(off_diagonal(m)) for m in (a, b))
    without = []
    for index in range(16):
        kept = np.ix_(*2 * [order[order != index]])
        without.append(
            scikit_image(*(off_diagonal(m[kept]).astype(np.float64) for m in (a, b)))
        )
    interval = jackknife.interval(
        entry.excess, np.array(without) / (1 - entry.null_mean)
    )
    assert_allclose([entry.low, entry.high], interval, rtol=1e-5)


def test_interval_of_ssim_without_draws_is_none_with_the_reason(make_pair):
    a, b = make_pair("asymmetric", 14)
    entry = alignments(a, b, ["ssim"])["ssim"]
    assert entry.value == sai(a, b, "ssim")
    assert (entry.low, entry.high) == (None, None)
    assert "an interval of ssim needs draws in Python" in entry.reason
