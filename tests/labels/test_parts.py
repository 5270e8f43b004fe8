"""Lists that are a part of a preset."""

from __future__ import annotations

import random

import pytest

from dsi_cli.labels.label_list import LabelList
from dsi_cli.labels.presets import MIN_PARTIAL_NAMES, load_preset, recognise

IMAGENETTE = (
    *("tench", "English springer", "cassette player", "chain saw", "church"),
    *("French horn", "garbage truck", "gas pump", "golf ball", "parachute"),
)


@pytest.mark.parametrize("name", ["cifar100", "food101", "places365", "flowers102"])
@pytest.mark.parametrize("seed", range(3))
def test_a_part_has_the_presets_ids(name, seed):
    whole = load_preset(name)
    places = random.Random(seed).sample(range(len(whole.names)), 20)
    names = tuple(whole.names[place] for place in places)
    found = recognise([f"{number}: {one.upper()}" for number, one in enumerate(names)])
    assert (found.preset, found.subset_of) == (None, name)
    assert found.wnids == tuple(whole.wnids[place] for place in places)


def test_imagenette_is_a_part_of_imagenet():
    found = recognise(IMAGENETTE)
    assert found.subset_of == "imagenet1k"
    assert found.wnids[2:4] == ("n02979186", "n03000684")


def test_what_is_no_part_is_left_alone():
    few = load_preset("cifar100").names[: MIN_PARTIAL_NAMES - 1]
    for names in (few, (*few, "gearbox"), (*few, few[0]), ("crane", *IMAGENETTE)):
        assert recognise(names) == LabelList(tuple(names), None, "the given labels")
    assert recognise(IMAGENETTE, wnids=["n02979186", *[None] * 9]).subset_of is None


def test_presets_that_disagree_give_no_ids():
    shared = ("mouse", "keyboard", "bottle", "bowl", "chair", "couch", "orange", "bear", "elephant", "train")
    assert recognise(shared).subset_of is None  # a mouse is an animal in CIFAR-100, and a device in COCO
