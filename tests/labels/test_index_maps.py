"""Lists and index maps to names."""

import pytest

from dsi_cli.labels.index_maps import IndexedNames, read_names


@pytest.mark.parametrize(
    "value", [{1: "cat", 2: "dog"}, {"2": "dog", "1": "cat"}, {"cat": 1, "dog": 2}, {"dog": "2", "cat": "1"}]
)
def test_index_maps_may_begin_at_one(value):
    assert read_names(value) == IndexedNames(("cat", "dog"), first=1)


def test_pairs_of_id_and_name_are_read():
    assert read_names({"1": ["n02084071", "dog"], "0": ["n02121620", "cat"]}) == IndexedNames(
        ("cat", "dog"),
        ("n02121620", "n02084071"),
    )


def test_digits_may_be_names():
    assert read_names({"0": 1, "1": 0}) == IndexedNames(("1", "0"))
    assert read_names({"0": "1", "1": "0"}) == IndexedNames(("1", "0"))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([], "an empty list"),
        ({}, "an object of 0 keys that is not an index map"),
        (7, "found a number"),
        (True, "found true or false"),
        (None, "found null"),
        ("cat", "found a text"),
        ({"cat", "dog"}, "found a set"),
        (["cat", 3], "found a number as the name of class 1"),
        (["cat", ["dog"]], "found a list as the name of class 1"),
        ([{"cat": 0}], "found an object as the name of class 0"),
        (["cat", " "], "found an empty name for class 1"),
        (["LABEL_0", "LABEL_1"], r"only placeholders \(LABEL_0"),
        ({"a": "b"}, "an object of 1 key that is not an index map"),
        ({"cat": 0, "dog": True}, "an object of 2 keys that is not an index map"),
        ({"cat": 0, "dog": 0}, "found index 0 twice"),
        ({"0": "a", "00": "b"}, "found index 0 twice"),
        ({"0": "cat", "2": "dog"}, "found indices from 0 to 2 without 1; they must start at 0 or 1 and have no gaps"),
        ({"cat": 2, "dog": 3}, "from 2 to 3 without 0"),
        ({"cat": 1, "dog": 3}, "from 1 to 3 without 2"),
        ({"cat": -1, "dog": 0}, "from -1 to 0 without 1"),
        ({"cat": 0, "dog": 10**5000}, r"to a number beyond 10\^9 without 1"),
        ({0: "cat", 1: 5}, "found a number as the name of class 1"),
    ],
)
def test_index_maps_that_are_wrong_raise_one_line(value, found):
    with pytest.raises(ValueError, match=found):
        read_names(value)
