"""What all sources share: numbering labels, choosing a split, fingerprints."""

import numpy as np
import pytest
from helpers.errors import raises

from dsi_cli.errors import UsageError
from dsi_cli.inference.dataset import Samples, encode_labels, pick_split, require_range


def _samples(names, targets):
    return Samples("here", "0" * 12, names, np.array(targets), (None, "a.png", None), lambda _: None, True)


def test_a_sample_without_a_file_is_called_by_its_number():
    assert [_samples(None, [0, 0, 0]).locate(number) for number in range(2)] == ["sample 0", "a.png"]


def test_names_are_numbered_in_sorted_order():
    targets, names = encode_labels(["dog", "cat", "dog"], None, str)
    assert names == ("cat", "dog")
    assert targets.tolist() == [1, 0, 1]
    assert targets.dtype == np.int64


def test_numbers_stay_and_keep_the_stated_names():
    targets, names = encode_labels([2, 0], ("a", "b", "c"), str)
    assert (targets.tolist(), names) == ([2, 0], ("a", "b", "c"))
    assert encode_labels([7], None, str)[1] is None


def test_numbers_and_names_do_not_mix():
    with raises("mixed-labels", UsageError):
        encode_labels([0, 1, "cat"], None, "row {}".format)


@pytest.mark.parametrize(
    ("targets", "names", "message"),
    [
        ([0, -1], None, r"^row 1: expected a class number of 0 or more, found -1; use a split whose labels are public"),
        ([0, 2], ("a", "b"), r"^row 1: expected a class number of 0 to 1 \(it has 2 names\), found 2;"),
    ],
)
def test_a_number_without_a_class_is_refused(targets, names, message):
    with pytest.raises(UsageError, match=message):
        require_range(np.array(targets), names, "row {}".format)


@pytest.mark.parametrize(
    ("found", "train", "expected"),
    [
        (["train", "test"], True, "train"),
        (["train", "test"], False, "test"),
        (["validation", "train"], False, "validation"),
        (["val", "val"], False, "val"),
    ],
)
def test_the_split_that_is_there_is_picked(found, train, expected):
    assert pick_split(found, train, "data") == expected


def test_a_missing_split_is_refused():
    with pytest.raises(UsageError, match=r"^data: expected a train split, found only test; name its folder or file$"):
        pick_split(["test"], True, "data")
    with pytest.raises(UsageError, match=r"^data: expected a test split, found only train; name"):
        pick_split(["train"], False, "data")
