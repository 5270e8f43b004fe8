"""Decoding a split, in memory or for each use, and images in the order asked for."""

import shutil
import threading
import time
import warnings

import numpy as np
import pytest
import torch
from helpers.errors import raises
from PIL import Image

from dsi_cli.errors import UsageError
from dsi_cli.inference import decoding
from dsi_cli.inference.dataset import Samples
from dsi_cli.inference.decoding import SAMPLES_PER_TASK, decode, stream
from dsi_cli.inference.open_dataset import open_samples

MEMORY = {"memory": 10**9}


@pytest.fixture(params=[1, 3])
def workers(request, monkeypatch):
    """Let images be decoded by the calling thread alone, or by three."""
    monkeypatch.setattr(decoding, "usable_cores", lambda: request.param)


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


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize(("memory", "is_kept"), [(10**9, True), (10**6, False)])
def test_decode_with_any_memory_gives_all_images_in_order(samples, memory, is_kept):
    progress = []
    images = decode(
        samples, _array, memory=memory, progress=lambda *done: progress.append(done)
    )
    assert (images.pixels is not None) == is_kept
    assert images.kept.tolist() == list(range(1000))
    assert images.bad == []
    assert progress == [(done, 1000) for done in [*range(64, 1000, 64), 1000]]
    order = np.arange(1000)[::-1]
    batches = list(images.batches(order, 300))
    assert [len(batch) for batch in batches] == [300, 300, 300, 100]
    assert batches[0].dtype == np.uint8
    np.testing.assert_array_equal(
        np.concatenate(batches), _oracle([samples.paths[number] for number in order])
    )


@pytest.mark.usefixtures("workers")
def test_bad_images_are_counted_and_the_first_is_named(damaged):
    with raises("bad-images", bad=3, samples=10) as caught:
        decode(damaged, _array, **MEMORY)
    assert f"such as {damaged.paths[0]} (not an image" in str(caught.value)


@pytest.mark.parametrize("memory", [0, 10**9])
def test_bad_images_are_left_out_and_listed(damaged, memory):
    images = decode(damaged, _array, memory=memory, skip_bad=True)
    kept, bad = images.kept, images.bad
    assert kept.tolist() == [1, 3, 4, 5, 6, 7, 8]
    assert [path for path, _ in bad] == [damaged.paths[number] for number in (0, 2, 9)]
    assert "truncated" in bad[1][1]
    np.testing.assert_array_equal(
        np.concatenate(list(images.batches(np.arange(7), 4))),
        _oracle([damaged.paths[number] for number in kept]),
    )


@pytest.mark.parametrize("skip_bad", [False, True])
def test_nothing_but_bad_images_is_an_error(tmp_path, skip_bad):
    for name in ("1.png", "2.png"):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_bytes(b"")
    with raises("bad-images", bad=2, samples=2):
        decode(open_samples(str(tmp_path)), _array, skip_bad=skip_bad, **MEMORY)


def test_a_decompression_bomb_is_a_bad_image_and_a_large_image_is_none(
    tmp_path, monkeypatch
):
    for name, size in (("1.png", 20), ("2.png", 20), ("3.png", 40)):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.new("L", (size, size)).save(tmp_path / "a" / name)
    # Pillow warns above it, and refuses above twice as many
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = decode(open_samples(str(tmp_path)), _array, skip_bad=True, **MEMORY)
    assert images.kept.tolist() == [0, 1]
    assert "decompression bomb" in images.bad[0][1]


def test_tensors_are_kept_as_floats(tmp_path):
    code = "import torch\nfrom torch.utils.data import TensorDataset\n"
    code += (
        "def data(): return TensorDataset(torch.arange(12.0).reshape(3, 1, 2, 2),"
        " torch.tensor([0, 1, 1]))\n"
    )
    (tmp_path / "tensors_of_mine.py").write_text(code)
    samples = open_samples(f"{tmp_path}/tensors_of_mine.py:data")
    pixels = decode(samples, _array, **MEMORY).pixels
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, np.arange(12.0).reshape(3, 1, 2, 2))


def _samples(image, count=100, is_threadsafe=True):
    return Samples(
        "DATA",
        "0" * 12,
        None,
        np.zeros(count, np.int64),
        (None,) * count,
        image,
        is_threadsafe,
    )


def _grey(number):
    return Image.new("L", (3, 2), number % 256)


def _grey_array(image):
    return np.asarray(image)[None]


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("order", [range(100), range(99, -1, -1), [5], [], [7, 7, 3]])
def test_rows_come_in_the_order_asked_for(order):
    rows = list(stream(_samples(_grey), _grey_array, order))
    assert [number for number, _ in rows] == list(order)
    assert all((row == number).all() and row.shape == (1, 2, 3) for number, row in rows)


@pytest.mark.usefixtures("workers")
def test_look_ahead_is_bounded():
    seen = []

    def image(number):
        seen.append(number)
        return _grey(number)

    rows = stream(_samples(image, 10_000), _grey_array, range(10_000))
    next(rows)
    time.sleep(0.1)
    assert len(seen) <= 7 * SAMPLES_PER_TASK
    rows.close()
    assert threading.active_count() < 50
    assert len(seen) <= 7 * SAMPLES_PER_TASK


def test_warnings_of_pillow_are_no_errors_in_streams_that_are_read_in_turns(
    monkeypatch,
):
    monkeypatch.setattr(decoding, "usable_cores", lambda: 1)

    def image(number):
        warnings.warn_explicit(
            "odd metadata", UserWarning, "file.py", 1, module="PIL.of_tests"
        )
        return _grey(number)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = (
            stream(_samples(image), _grey_array, range(100)) for _ in range(2)
        )
        assert next(first)[0] == next(second)[0] == 0
        first.close()
        assert len(list(second)) == 99


def test_stream_of_unsafe_samples_uses_one_thread(monkeypatch):
    monkeypatch.setattr(decoding, "usable_cores", lambda: 4)
    threads = set()

    def image(number):
        threads.add(threading.get_ident())
        return _grey(number)

    list(stream(_samples(image, is_threadsafe=False), _grey_array, range(100)))
    assert threads == {threading.get_ident()}
    list(stream(_samples(image), _grey_array, range(100)))
    assert len(threads) > 1


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16]
)
def test_float_tensors_are_float32_as_they_are(dtype):
    values = torch.tensor([[[0.5, -2.0]]], dtype=dtype, requires_grad=True)
    ((_, row),) = stream(_samples(lambda _: values, 1), _grey_array, [0])
    assert row.dtype == np.float32
    np.testing.assert_array_equal(row, [[[0.5, -2.0]]])


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(2, 2),
        torch.zeros(1, 3, 2, 2),
        torch.zeros(1, 2, 2, dtype=torch.int64),
    ],
)
def test_other_tensors_are_refused(tensor):
    with raises("not-an-image-tensor", UsageError):
        list(stream(_samples(lambda _: tensor), _grey_array, [0]))


@pytest.mark.usefixtures("workers")
def test_two_sizes_are_named():
    samples = _samples(lambda number: Image.new("L", (3 + (number == 50), 2)))
    message = (
        r"found that sample 0 is uint8 of shape \(1, 2, 3\) and sample 50 is uint8 of"
        r" shape \(1, 2, 4\); give --image-size$"
    )
    with pytest.raises(UsageError, match=message):
        list(stream(samples, _grey_array, range(100)))


def _bad(number):
    if number % 40 == 3:
        raise SyntaxError("broken PNG file")
    return _grey(number)


@pytest.mark.usefixtures("workers")
def test_stream_of_bad_images_raises_or_reports():
    with raises("bad-image", sample=3, reason="broken PNG file"):
        list(stream(_samples(_bad), _grey_array, range(100)))
    told = []
    rows = list(
        stream(
            _samples(_bad),
            _grey_array,
            range(100),
            on_bad=lambda *bad: told.append(bad),
        )
    )
    assert told == [(number, "broken PNG file") for number in (3, 43, 83)]
    assert [number for number, _ in rows] == [
        number for number in range(100) if number % 40 != 3
    ]


@pytest.mark.usefixtures("workers")
def test_an_exit_in_a_users_data_set_is_no_exit_of_ours():
    def leaves(_number):
        raise SystemExit(0)

    with raises("bad-image", sample=0, reason="SystemExit: 0"):
        list(stream(_samples(leaves), _grey_array, range(100)))
