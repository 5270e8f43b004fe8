"""Decode once: where the rows are kept, what is left out, what is told."""

from __future__ import annotations

import gc
import shutil
import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from dsi_cli.errors import UsageError
from dsi_cli.evaluation import decoding
from dsi_cli.evaluation.datasets import open_samples
from dsi_cli.evaluation.decoding import decode

MEMORY = {"in_memory_below": 10**9, "at_most": 10**9}


def _array(image):
    return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))


@pytest.fixture
def samples(colour_images):
    return open_samples(str(colour_images))


@pytest.fixture
def damaged(colour_images, tmp_path):
    """Return samples of which the first, third and last cannot be decoded."""
    folder = tmp_path / "images" / "bear"
    shutil.copytree(colour_images / "bear", folder)
    files = sorted(folder.iterdir())
    files[0].write_bytes(b"not an image")
    files[2].write_bytes(files[2].read_bytes()[:200])
    files[-1].write_bytes(b"")
    return open_samples(str(tmp_path / "images"))


def _oracle(paths):
    images = []
    for path in paths:
        with Image.open(path) as image:
            images.append(_array(image))
    return np.stack(images)


@pytest.mark.parametrize("workers", [1, 3, None])
def test_all_images_are_decoded_in_order(samples, workers):
    announced, progress = [], []
    decoded = decode(
        samples, _array, workers=workers, announce=announced.append, progress=lambda *done: progress.append(done), **MEMORY
    )
    np.testing.assert_array_equal(decoded.images, _oracle(samples.paths))
    assert decoded.images.dtype == np.uint8
    assert decoded.kept.tolist() == list(range(1000))
    assert decoded.bad == ()
    assert announced == ["3.1 MB of decoded images, in memory"]
    assert progress == [(done, 1000) for done in [*range(64, 1000, 64), 1000]]


def test_above_the_memorys_share_they_are_in_a_file_without_a_name(samples, tmp_path):
    announced = []
    decoded = decode(samples, _array, scratch=tmp_path, in_memory_below=10**6, at_most=10**9, announce=announced.append)
    assert isinstance(decoded.images, np.memmap)
    np.testing.assert_array_equal(decoded.images, _oracle(samples.paths))
    assert announced == ["3.1 MB of decoded images, in a temporary file"]
    assert list(tmp_path.iterdir()) == []


def test_without_room_nothing_is_made(samples, tmp_path, monkeypatch):
    announced = []
    limits = {"in_memory_below": 10, "announce": announced.append}
    assert decode(samples, _array, scratch=tmp_path, at_most=10**6, **limits) is None
    assert decode(samples, _array, scratch=None, at_most=10**9, **limits) is None
    full = shutil.disk_usage(tmp_path)._replace(free=6_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert decode(samples, _array, scratch=tmp_path, at_most=10**9, **limits) is None
    assert announced == []
    assert not any(thread.name.startswith("decode") for thread in threading.enumerate())


def test_a_disk_that_is_full_after_all_makes_nothing(samples, tmp_path, monkeypatch):
    def full(file, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoding, "_allocate", full)
    assert decode(samples, _array, scratch=tmp_path, in_memory_below=10, at_most=10**9) is None


@pytest.mark.parametrize("workers", [1, 3])
def test_bad_images_are_counted_and_the_first_is_named(damaged, workers):
    message = (
        rf"^3 of 10 images cannot be decoded, first {damaged.paths[0]}: not an image .*: --skip-bad-images leaves them out$"
    )
    with pytest.raises(UsageError, match=message):
        decode(damaged, _array, workers=workers, **MEMORY)


@pytest.mark.parametrize("below", [0, 10**9])
def test_bad_images_are_left_out_and_listed(damaged, tmp_path, below):
    decoded = decode(damaged, _array, scratch=tmp_path, in_memory_below=below, at_most=10**9, skip_bad=True)
    assert decoded.kept.tolist() == [1, 3, 4, 5, 6, 7, 8]
    assert [path for path, _ in decoded.bad] == [damaged.paths[number] for number in (0, 2, 9)]
    assert "truncated" in decoded.bad[1][1]
    np.testing.assert_array_equal(decoded.images, _oracle([damaged.paths[number] for number in decoded.kept]))


@pytest.mark.parametrize("skip_bad", [False, True])
def test_nothing_but_bad_images_is_an_error(tmp_path, skip_bad):
    for name in ("1.png", "2.png"):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_bytes(b"")
    message = r"^2 of 2 images cannot be decoded, first .*1.png: not an image that Pillow knows: replace them$"
    with pytest.raises(UsageError, match=message):
        decode(open_samples(str(tmp_path)), _array, skip_bad=skip_bad, **MEMORY)


def test_a_decompression_bomb_is_a_bad_image_and_a_large_image_is_none(tmp_path, monkeypatch):
    for name, size in (("1.png", 20), ("2.png", 20), ("3.png", 40)):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.new("L", (size, size)).save(tmp_path / "a" / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # Pillow warns above it, and refuses above twice as many
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoded = decode(open_samples(str(tmp_path)), _array, skip_bad=True, **MEMORY)
    assert decoded.kept.tolist() == [0, 1]
    assert "decompression bomb" in decoded.bad[0][1]


def test_no_handle_outlives_it(damaged):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode(damaged, _array, skip_bad=True, workers=3, **MEMORY)
        gc.collect()
    assert [warning for warning in caught if issubclass(warning.category, ResourceWarning)] == []


def test_images_of_two_sizes_ask_for_one(tmp_path):
    (tmp_path / "a").mkdir()
    for size in (2, 3):
        Image.new("RGB", (size, size)).save(tmp_path / "a" / f"{size}.png")
    with pytest.raises(UsageError, match=r"2.png is uint8 of shape \(3, 2, 2\) and .*3.png is .*; give --image-size$"):
        decode(open_samples(str(tmp_path)), _array, **MEMORY)


def test_tensors_are_kept_as_floats(tmp_path):
    code = "import torch\nfrom torch.utils.data import TensorDataset\n"
    code += "def data(): return TensorDataset(torch.arange(12.0).reshape(3, 1, 2, 2), torch.tensor([0, 1, 1]))\n"
    (tmp_path / "tensors_of_mine.py").write_text(code)
    decoded = decode(open_samples(f"{tmp_path}/tensors_of_mine.py:data"), _array, **MEMORY)
    assert decoded.images.dtype == np.float32
    np.testing.assert_array_equal(decoded.images, np.arange(12.0).reshape(3, 1, 2, 2))
