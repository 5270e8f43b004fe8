"""Labels, numbers or names, to class numbers."""

import numpy as np
import pytest
from helpers.errors import raises

from dsi_cli.errors import UsageError
from dsi_cli.predictions.epoch_predictions import EncodedLabels, class_numbers

NAMES = ("cat", "Dog", "dog", "aquarium_fish", "crane", "crane", "3", "none")


def numbers(labels, names=NAMES, size=8):
    is_text = isinstance(labels[0], str)
    coded = (np.arange(len(labels)), tuple(labels)) if is_text else (np.array(labels),)
    return class_numbers(
        EncodedLabels(*coded), size, names, "target", "sample {}".format
    ).tolist()


@pytest.mark.parametrize(
    ("label", "number"),
    [("cat", 0), ("Dog", 1), ("dog", 2), ("3", 6), ("4", 4), ("4.0", 4), ("none", 7)],
)
def test_numbers_of_a_label_is_the_class_of_this_name_or_number(label, number):
    assert numbers([label]) == [number]


@pytest.mark.parametrize(
    "label",
    [
        "CAT",
        "aquarium fish",
        "crane",
        "8",
        "-1",
        "1.5",
        "nan",
        "",
        "x" * 500,
        "a\nb",
        "9" * 400,
    ],
)
def test_numbers_of_other_text_is_one_line_with_its_place(label):
    message = (
        r"^sample 1: the target '.*' is not a class; expected 0 to 7, or only names of"
        r" exactly one class \('cat', 'Dog', "
    )
    with pytest.raises(UsageError, match=message) as caught:
        numbers(["cat", label])
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_numbers_of_a_wrong_number_or_name_are_refused_with_the_place():
    assert numbers([0, 7]) == [0, 7]
    with pytest.raises(
        UsageError, match=r"^sample 1: the target 100 is not a class; expected 0 to 7"
    ):
        numbers([0, 100, 101])
    assert numbers(["1", "0"], None) == [1, 0]
    with raises("unknown-class", UsageError, label="'cat'"):
        numbers(["cat"], None)
    with pytest.raises(
        UsageError, match="the target 'dog' is not a class; expected 0 to 1"
    ):
        numbers(["dog"], NAMES, 2)
    assert numbers(["2", "1"], ("1", "2", "3"), 3) == [1, 0]
    with pytest.raises(
        UsageError,
        match="sample 1: the target '0' is not a class; expected 0 to 2, or only",
    ):
        numbers(["2", "0"], ("1", "2", "3"), 3)
