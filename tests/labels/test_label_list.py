"""The record, and what its id depends on."""

import itertools
import random
import re

import pytest

from dsi_cli.labels.files import read_labels
from dsi_cli.labels.label_list import LabelList, leading_ids, match_order, name_key
from dsi_cli.labels.presets import PRESETS, aliases, load_preset, recognise


def test_the_id_depends_on_names_order_and_ids_alone():
    lists = [
        LabelList(("cat", "dog"), None, "a"),
        LabelList(("dog", "cat"), None, "a"),
        LabelList(("catdog",), None, "a"),
        LabelList(("cat", "dog"), ("n02121620", None), "a"),
        LabelList(("cat", "dog"), (None, None), "a"),
    ]
    assert len({labels.id for labels in lists}) == len(lists)
    assert all(re.fullmatch(r"[0-9a-f]{12}", labels.id) for labels in lists)
    assert lists[0].id == LabelList(("cat", "dog"), None, "b", "some preset").id
    assert len(LabelList(("\ud800",), None, "a").id) == 12  # a name without UTF-8


def test_duplicates_are_reported_once_and_in_order():
    assert LabelList(("b", "a", "b", "a", "b", "c"), None, "a").duplicates == ("b", "a")
    assert LabelList(("a", "b"), None, "a").duplicates == ()


NAMES = [preset.name for preset in PRESETS]
SMALL = [preset.name for preset in PRESETS if preset.classes <= 1000] + ["imagenet12k"]
DISTINCT = [
    name
    for name in NAMES
    if len(set(load_preset(name).names)) == len(load_preset(name).names)
]
"""Presets whose names tell all classes apart."""


def shuffled(items, seed=0):
    order = list(range(len(items)))
    random.Random(seed).shuffle(order)
    return order, [items[k] for k in order]


@pytest.mark.parametrize("name", [name for name in NAMES if "imagenet" in name])
def test_recognise_ids_in_any_order_gives_the_names(name):
    labels = load_preset(name)
    found = recognise(labels.wnids, "y")
    assert (found.preset, found.wnids, found.names) == (
        name,
        labels.wnids,
        labels.names,
    )
    places, wnids = shuffled(labels.wnids)
    found = recognise(wnids)
    assert (found.preset, list(found.wnids)) == (name, wnids)
    assert list(found.names) == [labels.names[k] for k in places]


@pytest.mark.parametrize("name", DISTINCT)
def test_recognise_names_in_any_order_gives_the_ids(name):
    labels = load_preset(name)
    places, names = shuffled(labels.names, 0)
    found = recognise(names)
    assert (found.preset, found.names) == (name, tuple(names))
    assert list(found.wnids) == [labels.wnids[k] for k in places]


@pytest.mark.parametrize(
    "spell",
    [
        str,
        str.upper,
        lambda name: name.replace("_", " "),
        lambda name: name.replace(" ", "-"),
        lambda name: name.replace("_", "").replace(" ", ""),
        lambda name: f"  {name} ",
    ],
)
@pytest.mark.parametrize("name", ["cifar100", "imagenet1k", "fashion-mnist"])
def test_spelling_is_no_matter(name, spell):
    labels = load_preset(name)
    found = recognise([spell(one) for one in labels.names])
    assert (found.preset, found.wnids) == (name, labels.wnids)


@pytest.mark.parametrize("joint", [" ", "_", "-"])
@pytest.mark.parametrize("name", ["imagenet1k", "mini-imagenet", "tiny-imagenet"])
def test_recognise_ids_before_names_gives_the_preset(name, joint):
    labels = load_preset(name)
    names = [
        wnid + joint + one.split(",")[0]
        for wnid, one in zip(labels.wnids, labels.names, strict=True)
    ]
    found = recognise(sorted(names, reverse=True))
    assert (found.preset, list(found.wnids)) == (
        name,
        sorted(labels.wnids, reverse=True),
    )
    assert found.names == tuple(sorted(names, reverse=True))


def test_recognise_ids_before_names_of_another_list_keeps_them():
    names = ("n02085620-Chihuahua", "n02085782-Japanese_spaniel")
    assert recognise(names) == LabelList(
        names, ("n02085620", "n02085782"), "the given labels"
    )
    assert leading_ids([]) is None
    # nothing follows: the name is an id itself
    assert leading_ids(["n02085620"]) is None


def test_recognise_ids_that_differ_from_the_preset_keeps_them(tmp_path):
    right = load_preset("cifar100")
    # wrong senses: the dish and the defeat
    other = {
        "dolphin": "n02581957",
        "skunk": "n07476495",
    }
    rows = zip(right.wnids, right.names, strict=True)
    (tmp_path / "wrong.tsv").write_text(
        "".join(f"{other.get(name, wnid)}\t{name}\n" for wnid, name in rows)
    )
    wrong_senses = read_labels(tmp_path / "wrong.tsv")
    assert wrong_senses.names == right.names
    assert wrong_senses.preset is None
    assert wrong_senses.wnids != right.wnids
    assert recognise(right.names, wnids=right.wnids).preset == "cifar100"
    assert recognise(right.names, wnids=(None, *right.wnids[1:])).preset is None
    assert (
        recognise(right.names, wnids=(*right.wnids[1:], right.wnids[0])).preset is None
    )


@pytest.mark.parametrize("name", sorted(aliases()))
def test_other_names_in_use_are_recognised(name):
    labels = load_preset(name)
    assert aliases()[name].keys() <= set(labels.names)
    found = recognise([aliases()[name].get(one, [one])[-1] for one in labels.names])
    assert (found.preset, found.wnids) == (name, labels.wnids)


@pytest.mark.parametrize("name", SMALL)
def test_recognise_a_list_with_one_class_renamed_is_none(name):
    names = list(load_preset(name).names)
    for at in (
        (0, len(names) // 2, len(names) - 1)
        if len(names) <= 1000
        else (len(names) // 2,)
    ):
        other = names.copy()
        other[at] = "flying saucer"
        assert recognise(other).preset is None
        other[at] = names[at - 1] if names[at] != names[at - 1] else "flying saucer"
        assert recognise(other).preset is None


@pytest.mark.parametrize("name", SMALL)
def test_a_part_of_a_list_and_a_longer_one_are_others(name):
    names = load_preset(name).names
    assert recognise(names[:-1]).preset != name
    assert recognise(names[1:]).preset != name
    assert recognise((*names, "flying saucer")).preset is None


def spellings(name):
    """Return all keys that each class of a preset answers to."""
    labels = load_preset(name)
    return [
        {
            name_key(other)
            for other in (one, *one.split(","), *aliases().get(name, {}).get(one, ()))
        }
        for one in labels.names
    ]


def test_presets_of_one_length_have_distinct_names():
    pairs = [
        (a.name, b.name)
        for a, b in itertools.permutations(PRESETS, 2)
        if a.classes == b.classes
    ]
    assert ("cifar10", "stl10") in pairs  # lists of other lengths are not even compared
    for a, b in pairs:
        of_b = set().union(*spellings(b))
        # b has a class of a under no name
        assert [keys for keys in spellings(a) if not keys & of_b], (
            a,
            b,
        )


def test_a_class_claimed_twice_is_no_match_and_the_surer_name_wins():
    known = LabelList(("cat", "dog"), ("n02121620", "n02084071"), "made up")
    assert match_order(["cat", "Cat"], None, known, {}) is None
    assert match_order(["dog", "pussy"], None, known, {"cat": ("pussy",)}) == (1, 0)
    assert match_order(["n02084071", "n02084071"], None, known, {}) is None
    for known_ids in (known, LabelList(known.wnids, None, "ids alone")):
        assert match_order(["n02084071", "n02121620"], None, known_ids, {}) == (1, 0)
    assert match_order(["a", "b"], [None, "n02121620"], known, {}) is None
    known = LabelList(("screen, blind", "blind"), ("n1", "n2"), "made up")
    assert match_order(["blind", "screen"], None, known, {}) == (1, 0)
