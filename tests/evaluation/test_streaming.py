"""Rows in the order asked for, from threads, and what cannot be a row."""

from __future__ import annotations

import threading
import time
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from dsi_cli.errors import UsageError
from dsi_cli.evaluation.samples import Samples
from dsi_cli.evaluation.streaming import RUN, stream


def _samples(image, count=100, is_threadsafe=True):
    return Samples("DATA", "0" * 12, None, np.zeros(count, np.int64), (None,) * count, image, is_threadsafe)


def _grey(number):
    return Image.new("L", (3, 2), number % 256)


def _array(image):
    return np.asarray(image)[None]


@pytest.mark.parametrize("workers", [0, 1, 2, 5, None])
@pytest.mark.parametrize("order", [range(100), range(99, -1, -1), [5], [], [7, 7, 3]])
def test_rows_come_in_the_order_asked_for(workers, order):
    rows = list(stream(_samples(_grey), _array, order, workers=workers))
    assert [number for number, _ in rows] == list(order)
    assert all((row == number).all() and row.shape == (1, 2, 3) for number, row in rows)


def test_look_ahead_is_bounded():
    seen = []

    def image(number):
        seen.append(number)
        return _grey(number)

    rows = stream(_samples(image, 10_000), _array, range(10_000), workers=2)
    next(rows)
    time.sleep(0.1)
    assert len(seen) <= 5 * RUN
    rows.close()
    assert threading.active_count() < 50
    assert len(seen) <= 5 * RUN


def test_warnings_of_pillow_are_no_errors_in_streams_that_are_read_in_turns():
    def image(number):
        warnings.warn_explicit("odd metadata", UserWarning, "file.py", 1, module="PIL.of_tests")
        return _grey(number)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = (stream(_samples(image), _array, range(100), workers=0) for _ in range(2))
        assert next(first)[0] == next(second)[0] == 0
        first.close()
        assert len(list(second)) == 99


def test_what_is_not_threadsafe_is_read_by_this_thread_alone():
    threads = set()

    def image(number):
        threads.add(threading.get_ident())
        return _grey(number)

    list(stream(_samples(image, is_threadsafe=False), _array, range(100), workers=4))
    assert threads == {threading.get_ident()}
    list(stream(_samples(image), _array, range(100), workers=4))
    assert len(threads) > 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_float_tensors_are_float32_as_they_are(dtype):
    values = torch.tensor([[[0.5, -2.0]]], dtype=dtype, requires_grad=True)
    ((_, row),) = stream(_samples(lambda _: values, 1), _array, [0])
    assert row.dtype == np.float32
    np.testing.assert_array_equal(row, [[[0.5, -2.0]]])


def test_byte_tensors_stay_bytes():
    ((_, row),) = stream(_samples(lambda _: torch.full((3, 1, 1), 9, dtype=torch.uint8), 1), _array, [0])
    assert row.dtype == np.uint8


@pytest.mark.parametrize("tensor", [torch.zeros(2, 2), torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64)])
def test_other_tensors_are_refused(tensor):
    with pytest.raises(
        UsageError, match=r"^sample 0: expected a tensor of \(channels, height, width\), floats or uint8, found"
    ):
        list(stream(_samples(lambda _: tensor), _array, [0]))


@pytest.mark.parametrize("workers", [1, 3])
def test_two_sizes_are_named(workers):
    samples = _samples(lambda number: Image.new("L", (3 + (number == 50), 2)))
    message = (
        r"found that sample 0 is uint8 of shape \(1, 2, 3\) and sample 50 is uint8 of shape \(1, 2, 4\); give --image-size$"
    )
    with pytest.raises(UsageError, match=message):
        list(stream(samples, _array, range(100), workers=workers))


def test_two_types_are_named():
    samples = _samples(lambda number: torch.zeros(1, 2, 2, dtype=torch.uint8 if number else torch.float32))
    with pytest.raises(UsageError, match=r"sample 0 is float32 of shape .* and sample 1 is uint8"):
        list(stream(samples, _array, range(2)))


def _bad(number):
    if number % 40 == 3:
        raise SyntaxError("broken PNG file")
    return _grey(number)


@pytest.mark.parametrize("workers", [1, 3])
def test_what_cannot_be_decoded_is_an_error_or_told(workers):
    with pytest.raises(UsageError, match=r"^sample 3 cannot be decoded: broken PNG file: --skip-bad-images leaves it out$"):
        list(stream(_samples(_bad), _array, range(100), workers=workers))
    told = []
    rows = list(stream(_samples(_bad), _array, range(100), workers=workers, on_bad=lambda *bad: told.append(bad)))
    assert told == [(number, "broken PNG file") for number in (3, 43, 83)]
    assert [number for number, _ in rows] == [number for number in range(100) if number % 40 != 3]


@pytest.mark.parametrize("workers", [1, 3])
def test_an_exit_in_a_users_data_set_is_no_exit_of_ours(workers):
    def leaves(_number):
        raise SystemExit(0)

    with pytest.raises(UsageError, match=r"^sample 0 cannot be decoded: SystemExit: 0: --skip-bad-images leaves it out$"):
        list(stream(_samples(leaves), _array, range(100), workers=workers))


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_of_the_transform_comes_through(workers):
    def transform(image):
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        list(stream(_samples(_grey), transform, range(100), workers=workers))
