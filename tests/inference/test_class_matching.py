"""The data's classes against the classifier's: each rule, what is never guessed, what a
person is told.
"""

from dataclasses import replace

import numpy as np
import pytest
from helpers.errors import raises

from dsi_cli.errors import UsageError
from dsi_cli.inference.class_matching import match_classes
from dsi_cli.inference.dataset import Samples
from dsi_cli.labels.presets import load_preset


def _samples(names, targets=None, wnids=None):
    targets = np.arange(len(names)) if targets is None else np.array(targets)
    return Samples(
        "DATA",
        "0" * 12,
        names,
        targets,
        (None,) * len(targets),
        lambda _: None,
        True,
        wnids,
    )


@pytest.mark.parametrize(
    ("data", "names", "wnids", "expected"),
    [
        (("a", "b"), ("b", "a"), None, [1, 0]),
        (("T-shirt-top", "Bag"), ("Bag", "T-shirt/top"), None, [1, 0]),
        (("maple tree", "ox"), ("ox", "maple_tree"), None, [1, 0]),
        (
            ("n00000002", "n00000001"),
            ("cat", "dog"),
            ("n00000001", "n00000002"),
            [1, 0],
        ),
        (("n00000002", "cat"), ("cat", "dog"), ("n00000001", "n00000002"), [1, 0]),
        (
            ("tench", "goldfish"),
            ("goldfish, Carassius auratus", "tench, Tinca tinca"),
            None,
            [1, 0],
        ),
        (("tench, Tinca tinca", "goldfish"), ("goldfish", "Tinca tinca"), None, [1, 0]),
        (("0 - zero", "1 - one"), ("one", "zero"), None, [1, 0]),
        (("0 - zero", "1 - one"), ("0", "1"), None, [0, 1]),
        (("0", "1", "10", "2"), [str(n) for n in range(11)], None, [0, 1, 10, 2]),
        (("Cat", "cat"), ("cat", "CAT"), None, [1, 0]),
        (("maillot",), ("maillot, tank suit", "maillot"), None, [1]),
        (("Katze", "日本"), ("日本", "katze"), None, [1, 0]),
        (("+", "-"), ("-", "+"), None, [1, 0]),
    ],
)
def test_classes_are_matched_by_what_they_are_called(data, names, wnids, expected):
    targets, _ = match_classes(_samples(data), len(names), names, wnids)
    assert targets.tolist() == expected


@pytest.mark.parametrize("width", [0, 3])
def test_names_that_are_numbers_are_class_numbers(width):
    data = tuple(sorted(str(number).zfill(width) for number in range(12)))
    targets, (found,) = match_classes(_samples(data), 12, list("abcdefghijkl"), None)
    assert targets.tolist() == [int(name) for name in data]
    is_unsorted = width == 0
    code = "class-names-unsorted" if is_unsorted else "class-names-are-numbers"
    assert (found.code, found.fields["names"]) == (code, list(data[:3]))


def test_ids_of_the_data_tell_two_classes_of_one_name_apart():
    data = _samples(("crane", "crane"), wnids=("n03126707", "n02012849"))
    targets, _ = match_classes(data, 2, ("crane", "crane"), ("n02012849", "n03126707"))
    assert targets.tolist() == [0, 1]  # the same list: nothing to look for
    targets, _ = match_classes(
        data, 3, ("crane", "dog", "crane"), ("n02012849", "n00000001", "n03126707")
    )
    assert targets.tolist() == [2, 0]


@pytest.mark.parametrize("by", ["names", "wnids", "first synonyms", "folders"])
def test_imagenet_is_matched_by_its_names_ids_and_synonyms(by):
    preset = load_preset("imagenet1k")
    order = np.random.default_rng(0).permutation(1000)
    words = {
        "names": preset.names,
        "wnids": preset.wnids,
        "first synonyms": [name.split(",")[0] for name in preset.names],
    }
    data = tuple(words.get(by, preset.wnids)[number] for number in order)
    ids = (
        tuple(preset.wnids[number] for number in order)
        if by in ("names", "first synonyms")
        else None
    )
    targets, warnings = match_classes(
        _samples(data, wnids=ids), 1000, preset.names, preset.wnids
    )
    assert targets.tolist() == order.tolist()
    assert warnings == []


@pytest.mark.parametrize(
    ("data", "names", "missing", "unused"),
    [
        (("cat", "cow"), ("cat", "dog"), ["cow"], ["dog"]),
        (("crane",), ("crane", "crane"), ["crane"], ["crane", "crane"]),
        (
            ("Cat", "cat", "c-at"),
            ("cat", "dog", "cow"),
            ["Cat", "c-at"],
            ["dog", "cow"],
        ),
        (("cat", "dog"), ("cat",), ["dog"], []),
        (("0", "cat"), ("a", "b"), ["0", "cat"], ["a", "b"]),
        (("1", "2"), ("a", "b"), ["2"], ["a"]),
        (("1", "01"), ("a", "b"), ["1", "01"], ["a", "b"]),
        (("fin",), ("shark, fin", "whale, fin"), ["fin"], ["shark, fin", "whale, fin"]),
    ],
)
def test_match_classes_without_a_single_match_raises(data, names, missing, unused):
    with raises("unmatched-classes", classes=missing, unused=unused):
        match_classes(_samples(data), len(names), names, None)


def test_classes_without_an_image_are_told():
    names = ("ant", "bear", "cat", "dog", "eel", "fox")
    _, (found,) = match_classes(_samples(("fox", "ant"), [0, 0]), 6, names, None)
    assert found.code == "classes-without-image"
    assert (found.fields["classes"], found.fields["empty"]) == (6, list(names[:5]))
    _, (found,) = match_classes(_samples(names, [0, 1, 2, 3, 5]), 6, names, None)
    assert found.fields["empty"] == ["eel"]


def test_numbers_alone_are_taken_as_they_are():
    targets, warnings = match_classes(
        _samples(None, [1, 0, 2]), 3, ("a", "b", "c"), None
    )
    assert (targets.tolist(), warnings) == ([1, 0, 2], [])
    targets, warnings = match_classes(_samples(None, [1, 4]), 6, None, None)
    assert targets.tolist() == [1, 4]
    assert [found.fields["empty"] for found in warnings] == [[0, 2, 3, 5]]


def test_a_classifier_without_names_takes_the_datas_order_and_a_sorted_one_is_told():
    targets, warnings = match_classes(_samples(("b", "a"), [1, 0, 1]), 2, None, None)
    assert (targets.tolist(), warnings) == ([1, 0, 1], [])
    samples = replace(_samples(("a", "b"), [1, 0, 1]), is_sorted=True)
    targets, warnings = match_classes(samples, 2, None, None)
    assert targets.tolist() == [1, 0, 1]
    assert [found.code for found in warnings] == ["class-order-sorted"]
    assert match_classes(samples, 2, ("b", "a"), None)[1] == []
    assert (
        match_classes(replace(_samples(("0", "1")), is_sorted=True), 2, None, None)[1]
        == []
    )


@pytest.mark.parametrize(
    ("data", "targets", "classes"),
    [(("a", "b", "c"), [0, 1, 2], 2), (("a", "b"), [0, 1], 1000), (None, [0, 1, 2], 2)],
)
def test_match_classes_of_another_number_raises(data, targets, classes):
    with raises("class-count", UsageError, classes=classes, found=len(targets)):
        match_classes(_samples(data, targets), classes, None, None)
