"""Labels, numbers or names, to class numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.predictions.classes import Classes, Labels, from_array

NAMES = ("cat", "Dog", "dog", "aquarium_fish", "crane", "crane", "3", "none")


def numbers(texts, names=NAMES, size=None):
    labels = from_array(np.array(texts), "a.npy")
    return Classes(len(names or ()) if size is None else size, names).numbers(labels, "target", "sample {}".format).tolist()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("cat", 0),
        (" cat ", 0),
        ("CAT", 0),
        ("Dog", 1),
        ("dog", 2),
        ("Aquarium Fish", 3),
        ("aquarium-fish", 3),
        ("3", 6),
        ("4", 4),
        ("4.0", 4),
        ("4.000000000000000000e+00", 4),
        ("+5", 5),
        ("none", 7),
    ],
)
def test_a_label_is_looked_up_as_it_is_then_as_a_number_then_loosely(text, number):
    assert numbers([text]) == [number]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("horse", r"sample 1: the target 'horse' is no class: expected one of the 8 names \('cat', 'Dog', 'dog'"),
        ("DOG", "sample 1: the target 'DOG' could be any of the classes 1, 2; give the class's number"),
        ("crane", "'crane' could be any of the classes 4, 5"),
        ("8", "the target 8 is no class: expected 0 to 7, as the classifier has 8"),
        ("-1", "the target -1 is no class"),
        ("1.5", "'1.5' is no class"),
        ("9" * 30, "'999999999999999999999999999999' is no class"),
        ("", r"the target is missing \(''\); give every sample a class"),
        ("NaN", "the target is missing"),
        ("--", "'--' is no class"),
        ("x" * 500, r"'x{57}\.\.\.' is no class"),
        ("a\nb", r"'a\\nb' is no class"),
    ],
)
def test_what_is_no_class_is_said_with_its_place(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        numbers(["cat", text, text])
    assert "\n" not in str(caught.value)


def test_names_without_a_label_list_are_refused_and_numbers_are_not():
    assert numbers(["1", "0"], None, 2) == [1, 0]
    with pytest.raises(UsageError, match="'cat' is a name, and the classes have none; give their names"):
        numbers(["cat"], None, 2)


def test_a_name_beyond_the_classifiers_rows_is_refused():
    with pytest.raises(UsageError, match="the target 2 is no class: expected 0 to 1"):
        numbers(["dog"], NAMES, 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.float32])
def test_numbers_are_checked_and_the_first_wrong_one_is_named(dtype):
    assert numbers(np.array([0, 7], dtype=dtype)) == [0, 7]
    with pytest.raises(UsageError, match="sample 1: the target 100 is no class: expected 0 to 7"):
        numbers(np.array([0, 100, 101], dtype=dtype))


def test_a_text_that_does_not_occur_does_not_matter():
    labels = Labels(np.array([0, 0]), ("cat", "horse"))
    assert_array_equal(Classes(8, NAMES).numbers(labels, "target", str), [0, 0])


def test_bytes_are_text_in_utf8():
    assert numbers(np.array([b"cat", b"dog"])) == [0, 2]
    with pytest.raises(UsageError, match="expected class names in UTF-8, found other bytes"):
        numbers(np.array([b"\xff\xfe"]))


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=6), min_size=1, unique=True))
def test_every_distinct_name_is_its_own_class(names):
    assert numbers(names, names) == list(range(len(names)))


@given(st.text(max_size=12))
def test_any_text_is_a_class_or_refused_in_one_line(text):
    try:
        assert Classes(8, NAMES).numbers(Labels(np.zeros(1, dtype=int), (text,)), "target", str)[0] in range(8)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
