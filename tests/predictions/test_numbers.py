"""Whole numbers and counts out of every type."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.predictions.numbers import LARGEST_COUNT, counts, whole


@pytest.mark.parametrize("dtype", ["u1", "i1", ">i2", "<u4", ">i8", "u8", "f2", ">f4", "f8"])
def test_every_type_of_number_is_taken(dtype):
    found = whole(np.array([0, 1, 2], dtype=dtype), "a.npy", "numbers", "do")
    assert_array_equal(found, [0, 1, 2])
    assert found.dtype.kind in "iu"
    assert found.dtype.isnative


def test_integers_keep_their_type_and_truth_values_become_0_and_1():
    assert whole(np.zeros(2, dtype=np.uint8), "a", "b", "c").dtype == np.uint8
    assert_array_equal(whole(np.array([True, False]), "a", "b", "c"), [1, 0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.0, 0.5], "a.npy: expected numbers, found 0.5 at index 1; do this"),
        ([[0, 1], [np.nan, 0]], r"found nan at index \(1, 0\)"),
        ([np.inf], "found inf at index 0"),
        ([1e300], r"found 1e\+300"),
        (np.array([0, 2**64 - 1], dtype=np.uint64), "found 1.84467e.19 at index 1"),
        ([1j], "found values of type complex128"),
        (["x"], "found values of type <U1"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "found values of type datetime64"),
    ],
)
def test_what_is_no_whole_number_is_refused(values, message):
    with pytest.raises(UsageError, match=message):
        whole(np.array(values), "a.npy", "numbers", "do this")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, -1], "expected counts of samples, found -1 at index 1"),
        ([LARGEST_COUNT + 1], r"found 1e\+12 at index 0|found 1000000000001"),
        ([0.25, 0.75], "found 0.25 at index 0; give the counts themselves, not rates or rows that were normalised"),
    ],
)
def test_what_is_no_count_is_refused(values, message):
    with pytest.raises(UsageError, match=message):
        counts(np.array(values), "a.npy")
