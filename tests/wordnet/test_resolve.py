"""What labels are understood to mean, and the reasons where they are not."""

import re

import numpy as np
import pytest
from helpers.read_counters import calls

from dsi_cli.labels.presets import PRESETS, load_preset, recognise
from dsi_cli.store.schema import UNCERTAIN
from dsi_cli.wordnet.database.taxonomy import hypernym_closure, load
from dsi_cli.wordnet.database.wordnet import load_wordnet
from dsi_cli.wordnet.disambiguation.candidates import read_label
from dsi_cli.wordnet.disambiguation.features import (
    LIST_FEATURES,
    candidate_table,
    list_features,
)
from dsi_cli.wordnet.disambiguation.resolve import CERTAIN, resolve, resolve_part


def only(label, wnid=None, preset=None):
    return resolve([label], None if wnid is None else [wnid], preset)[0]


@pytest.mark.parametrize(
    ("label", "synset", "how"),
    [
        *(
            ("n02084071", "dog.n.01", "wnid"),
            (" N02084071 ", "dog.n.01", "wnid"),
            ("dog.n.01", "dog.n.01", "synset"),
        ),
        *(
            ("Great white shark.n.1", "great_white_shark.n.01", "synset"),
            ("domestic_dog.n.01", "dog.n.01", "synset"),
        ),
        *(
            ("u.s._mint.n.01", "united_states_mint.n.01", "synset"),
            ("n02084071 crane", "dog.n.01", "wnid"),
        ),
        *(
            ("n02084071-dog", "dog.n.01", "wnid"),
            ("crane (n02084071)", "dog.n.01", "wnid"),
        ),
        *(
            ("Synset('domestic_dog.n.01')", "dog.n.01", "synset"),
            ("dog", "dog.n.01", "chosen sense"),
        ),
        *(
            ("Dogs", "dog.n.01", "chosen sense"),
            ("wolves", "wolf.n.01", "chosen sense"),
        ),
        *(
            ("teddy bear", "teddy.n.01", "only sense"),
            ("Ice-Cream", "ice_cream.n.01", "only sense"),
        ),
        *(
            ("jack-o-lantern", "jack-o'-lantern.n.02", "chosen sense"),
            ("sea_horse", "seahorse.n.02", "chosen sense"),
        ),
        *(
            ("T-shirt/top", "jersey.n.03", "only sense"),
            ("24/7", "24/7.n.01", "only sense"),
        ),
        *(
            ("zzz qqq, tench", "tench.n.01", "only sense"),
            ("tench, Tinca tinca", "tench.n.01", "synonyms"),
        ),
        *(
            ("0 airplane|8", "airplane.n.01", "only sense"),
            ("001.ak-47_tench", "tench.n.01", "head noun"),
        ),
        ("003.Black_footed_Albatross", "black-footed_albatross.n.01", "only sense"),
        *(
            ("polarBear", "ice_bear.n.01", "only sense"),
            ("diningtable", "dining_table.n.01", "only sense"),
        ),
        *(
            ("crane (bird)", "crane.n.05", "chosen sense"),
            ("vehicle/car", "car.n.01", "chosen sense"),
        ),
        ("/a/apartment_building/outdoor", "apartment_building.n.01", "only sense"),
        *(
            ("traffic_lights", "traffic_light.n.01", "only sense"),
            ("gaoler's jewellry", "jewelry.n.01", "head noun"),
        ),
        *(
            ("aquarium_fish", "fish.n.01", "head noun"),
            ("maple_tree", "maple.n.02", "head noun"),
        ),
        *(
            ("glasses of water", "glass.n.02", "head noun"),
            ("hammerhead, hammerhead shark", "hammerhead.n.03", "synonyms"),
        ),
    ],
)
def test_a_label_is_understood(label, synset, how):
    found = only(label)
    assert (found.synset, found.resolved_by) == (synset, how)
    node = load().node(synset)
    assert (found.wnid, found.definition) == (
        load().wnid(node),
        load_wordnet().definitions([node])[0],
    )
    assert synset in found.candidates
    assert (found.confidence == 1.0, found.reason is None) == (
        how in CERTAIN,
        how in CERTAIN,
    )
    assert 0 < found.confidence <= 1


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (
            "n99999999",
            (
                "^'n99999999' is not in WordNet 3.0; it may be from another version of"
                " WordNet, whose ids differ$"
            ),
        ),
        *(
            ("v00001740", "^'v00001740' is no noun but a verb; add --pos verb$"),
            ("run.v.01", "is no noun but a verb"),
        ),
        ("big.a.01", "^'big.a.01' is no noun; only nouns and verbs have a taxonomy$"),
        ("a00001740", "is no noun; only nouns and verbs"),
        (
            "dog.n.08",
            "'dog.n.08' is not in WordNet 3.0, which has 7 noun senses of that word",
        ),
        *(
            ("dog.n.00", "which has 7 noun senses"),
            ("blorb.n.01", "which has 0 noun senses"),
        ),
        *(
            ("", "the label is empty; expected a WordNet 3.0 id"),
            (" \t", "the label is empty"),
        ),
        (
            "dog\0",
            r"'dog\\x00' contains a control character; expected a WordNet 3.0 id",
        ),
        ("\ud800", r"'\\ud800' contains a control character"),
        ("x" * 10_000, "^the label has 10000 characters; expected a WordNet 3.0 id"),
        (
            "elefant",
            (
                r"^'elefant' is no noun in WordNet 3.0; nearest: elephant; try"
                r" elephant.n.01$"
            ),
        ),
        ("polar baer", r"nearest: polar_bear, .*; try ice_bear.n.01$"),
        ("classic guitarr", r"nearest: guitar; try guitar.n.01$"),
        (
            "zzz",
            (
                r"no noun in WordNet 3.0; expected a WordNet 3.0 id \(n02084071\), a"
                r" synset name"
            ),
        ),
        *((",/,", "no noun in WordNet 3.0"), ("🐶", "'🐶' is no noun")),
    ],
)
def test_a_label_without_a_meaning_has_a_reason(label, reason):
    found = only(label)
    assert (found.synset, found.wnid, found.definition, found.confidence) == (
        None,
        None,
        None,
        None,
    )
    assert found.resolved_by == "unresolved"
    assert re.search(reason, found.reason or ""), found.reason


def test_candidates_are_all_senses_by_falling_chance():
    found = only("crane")
    assert set(found.candidates) == {
        "crane.n.01",
        "crane.n.02",
        "grus.n.01",
        "crane.n.04",
        "crane.n.05",
    }
    assert found.synset == found.candidates[0]
    assert list(found.scores) == sorted(found.scores, reverse=True)
    assert sum(found.scores) == pytest.approx(1, abs=1e-3)


def test_a_given_id_wins_and_the_words_stay_as_candidates():
    found = only("crane", "n02012849")
    assert (found.synset, found.resolved_by, found.confidence) == (
        "crane.n.05",
        "wnid",
        1.0,
    )
    assert (found.candidates[0], only("crane", "crane.n.05").resolved_by) == (
        "crane.n.01",
        "synset",
    )
    assert only("crane", "n02012849", "imagenet1k").resolved_by == "preset"
    assert only("my own name", "n02012849").candidates == ("crane.n.05",)


@pytest.mark.parametrize(
    ("wnid", "reason"),
    [("n99999999", "not in WordNet 3.0"), ("crane", "'crane' is not an id")],
)
def test_a_given_id_that_is_wrong_is_not_replaced_by_a_guess(wnid, reason):
    found = only("crane", wnid, "imagenet1k")
    assert (found.synset, found.resolved_by) == (None, "unresolved")
    assert reason in (found.reason or "")


@pytest.mark.parametrize("preset", [preset.name for preset in PRESETS])
def test_every_class_of_a_preset_resolves(preset):
    labels = load_preset(preset)
    found = resolve(labels.names, labels.wnids, labels.preset)
    assert [row.wnid for row in found] == list(labels.wnids or ())
    assert {row.resolved_by for row in found if row.wnid} == {"preset"}
    for row in found:
        if row.wnid is None:  # never by its words: "Bengal" would be a region of India
            reason = (
                f"{row.label!a} has no synset in the preset {preset}: WordNet 3.0"
                " lacks it"
            )
            assert (row.resolved_by, row.synset, row.candidates, row.reason) == (
                "unresolved",
                None,
                (),
                reason,
            )


def test_synonyms_find_the_sense_that_imagenet_means():
    labels = load_preset("imagenet1k")
    found = [
        (row, wnid)
        for row, wnid in zip(resolve(labels.names), labels.wnids or (), strict=True)
    ]
    with_synonyms = [
        row.wnid == wnid for row, wnid in found if row.resolved_by == "synonyms"
    ]
    assert len(with_synonyms) > 450
    assert sum(with_synonyms) / len(with_synonyms) > 0.98
    assert sum(row.wnid == wnid for row, wnid in found) >= 970


@pytest.mark.parametrize(
    "words",
    [
        "crane.n.05 heron stork flamingo pelican",
        "crane.n.04 excavator forklift lathe pump bulldozer tractor winch drill",
    ],
)
def test_the_list_decides_between_senses(words):
    synset, *others = words.split()
    found = resolve(["crane", *others])[0]
    assert (
        resolve(
            ["a", "b", "c", "crane"], ["n02006656", "n02007558", "n02002724", None]
        )[3].synset
        == "crane.n.05"
    )
    prompts = [f"a photo of a {word}" for word in ("crane", *others)]
    assert (found.synset, resolve(prompts)[0].synset) == (synset, synset)
    assert "near '" in found.reason
    assert found.confidence > UNCERTAIN


def test_two_labels_share_a_synset_only_as_compounds_or_where_nothing_else_fits():
    crops = ["AnnualCrop", "PermanentCrop", "Highway", "Pasture", "River", "SeaLake"]
    assert [one.synset for one in resolve(crops)[:2]] == ["crop.n.01"] * 2
    cranes = resolve(
        [
            "heron",
            "stork",
            "crane",
            "lathe",
            "excavator",
            "forklift",
            "crane",
            "bulldozer",
            "flamingo",
        ]
    )
    assert {one.synset for one in cranes if one.label == "crane"} == {
        "crane.n.05",
        "crane.n.04",
    }
    assert all(one.is_uncertain for one in cranes if one.label == "crane")
    assert {one.synset for one in resolve(["tench", "tench", "Tench"])} == {
        "tench.n.01"
    }


def test_resolve_mapping_wins_over_senses():
    found = resolve(
        ["crane", "dog", "cat"],
        [None, "n02084071", None],
        chosen={0: "n02012849", 1: "", 2: "n99999999"},
    )
    assert (found[0].synset, found[0].resolved_by, found[0].confidence) == (
        "crane.n.05",
        "map",
        1.0,
    )
    assert (found[1].synset, found[1].resolved_by, found[1].reason) == (
        None,
        "map",
        "left out by the mapping",
    )
    assert not found[1].is_uncertain
    assert (found[2].synset, found[2].resolved_by) == (None, "unresolved")


def test_the_work_grows_with_the_number_of_labels():
    labels = [name.split(",")[0] for name in load_preset("imagenet1k").names]
    found = resolve(labels)
    assert found == resolve(labels)
    assert calls(resolve, labels) < 8 * calls(resolve, labels[:250])


@pytest.mark.parametrize(
    ("labels", "superclasses"),
    [
        *(
            (["jaguar (car)", "beetle (car)", "mustang (car)"], None),
            (["python (programming)", "apple (company)"], None),
        ),
        (["falcon (aircraft)", "cobra (car)"], None),
        (["vehicles/jaguar", "vehicles/beetle", "electronics/keyboard"], None),
        (["jaguar", "hornet"], ["car", "aircraft"]),
    ],
)
def test_a_sense_that_contradicts_its_context_is_uncertain(labels, superclasses):
    for found in resolve(labels, superclasses=superclasses)[:2]:
        assert found.is_uncertain
        assert found.reason.startswith("no sense fits its context")


@pytest.mark.parametrize(
    ("label", "synset"),
    [
        ("saddle (bicycle)", "bicycle_seat.n.01"),  # its gloss names the bracket
        ("boot (car)", "boot.n.02"),  # its gloss names a synonym of the bracket
        *(
            ("mouse (computer equipment)", "mouse.n.04"),
            ("iron (for clothing)", "iron.n.04"),
        ),
        *(
            ("bow (violin)", "bow.n.02"),
            ("crane (machine)", "crane.n.04"),
        ),  # its gloss names an instrument, a device
        *(
            ("grape (fruit)", "grape.n.01"),
            ("wolf (spider)", "wolf_spider.n.01"),
        ),  # a kind, or a part of the name
        (
            "mouse (electronic)",
            "mouse.n.04",
        ),  # its gloss names the bracket, which is no noun
    ],
)
def test_a_sense_that_fits_the_bracket_wins(label, synset):
    assert resolve([label, "bus", "table", "lamp", "dog"])[0].synset == synset


def test_a_folder_counts_in_the_sense_that_most_of_its_labels_fit():
    assert (
        resolve(["plants/lily", "plants/rose", "plants/mint", "plants/iris"])[2].synset
        == "mint.n.02"
    )
    assert (
        resolve(
            ["C:\\data\\train\\seal", "C:\\data\\train\\bat", "C:\\data\\train\\lion"]
        )[1].synset
        == "bat.n.01"
    )
    scenes = [
        "church/indoor",
        "church/outdoor",
        "stadium/baseball",
        "stadium/football",
        "cave",
        "hill",
        "igloo",
        "lake",
    ]
    for labels in (scenes, [f"/{name[0]}/{name}" for name in scenes]):
        rows = resolve(labels)[:4]
        assert [row.synset for row in rows if row.is_uncertain] == 2 * [
            "church.n.02"
        ] + 2 * ["stadium.n.01"]


def test_a_superclass_that_is_of_the_same_kind_or_a_number_contradicts_nothing():
    # WordNet's bus is no vehicle
    rows = resolve(
        ["bus", "apple", "cat"], superclasses=["vehicles", "fruit", "animal"]
    )
    assert [row.synset for row in rows] == ["bus.n.01", "apple.n.01", "cat.n.01"]
    for label, superclass in (
        ("fork", "kitchen"),
        ("pizza", "food"),
        ("toilet", "furniture"),
        ("lion", "0"),
    ):
        assert (
            "no sense fits"
            not in resolve([label, "spoon"], superclasses=[superclass, "kitchen"])[
                0
            ].reason
        )


def test_resolve_prefers_a_sense_that_all_labels_share():
    labels = ["oak", "maple", "birch", "cherry", "plum", "pear"]
    field = candidate_table(
        labels, [read_label(label) for label in labels], load_wordnet()
    )
    shared = list_features(field, np.ones(len(field.node)))[
        :, LIST_FEATURES.index("can share")
    ]
    of = dict(zip((load().names[node] for node in field.node), shared, strict=True))
    assert of["oak.n.02"] > of["oak.n.01"] > 0, "a tree rather than its wood"
    assert of["pear.n.02"] > of["pear.n.01"] > 0, "a tree rather than its fruit"


@pytest.mark.parametrize(
    "form",
    [
        "class_{}",
        "{}",
        "label_{}",
        "Class {}",
        "LABEL_{}",
        "class{:02d}",
        "cls-{}",
        "target_{}",
        "thing {}",
        "n{}",
    ],
)
def test_lists_of_placeholders_mean_nothing(form):
    labels = [form.format(number) for number in range(20)]
    found = resolve(labels)
    assert {(one.synset, one.resolved_by, one.candidates) for one in found} == {
        (None, "placeholder", ())
    }
    assert (
        found[7].reason == f"{labels[7]!r} is a placeholder; give the real class name"
    )
    assert all(one.is_uncertain for one in found)


@pytest.mark.parametrize(
    "label", ["7up", "ace", "2 door car", "Boeing 747", "first class", "n02084071"]
)
def test_names_with_digits_are_no_placeholders(label):
    assert {
        one.resolved_by for one in resolve([label, "cat", "dog", "Boeing 737"])
    }.isdisjoint({"placeholder"})


def test_ids_that_wordnet_lacks_are_reported_as_such():
    found = resolve(["n00000001", "n00000002", "n00000003"])
    assert {one.resolved_by for one in found} == {"unresolved"}
    assert "is not in WordNet 3.0" in found[0].reason


CLOSE = ["needle", "button", "brooch", "ring (jewelry)"]


def is_below(name, over):
    return load().node(over) in hypernym_closure(load(), load().node(name))


def test_a_sense_below_what_is_excluded_does_not_win():
    plain, negated = (
        resolve(["pin", *CLOSE])[0],
        resolve(["pin (non-jewelry)", *CLOSE])[0],
    )
    assert plain.synset == "pin.n.01"
    assert is_below(plain.synset, "jewelry.n.01")
    assert not is_below(negated.synset, "jewelry.n.01")
    assert (
        resolve(["bat (not an animal)", "cat", "dog", "mouse"])[0].synset != "bat.n.01"
    )
    assert (
        resolve(["crane (non bird)", "heron", "stork", "flamingo"])[0].synset
        != "crane.n.05"
    )
    # If only an excluded sense is left, the label is uncertain.
    found = resolve(["brooch (non-jewelry)", "cat", "dog"])[0]
    assert found.is_uncertain
    assert "no sense fits its context (not 'jewelry')" in found.reason


def test_chosen_senses_of_a_foreign_list_are_uncertain():
    fruit = ["Apfel", "Birne", "Kirsche", "Banane", "Zitrone"]
    german = " ".join(
        [*fruit, "Ball", "Gift", "Hut", "Bad", "Rind", "Tag", "Hose", "Brief"]
    )
    codes = ("us de fr it gb in cn jp", "ALB BET DOL LAG OTHER SHARK YFT")
    for labels in (german, "hond huis stoel kat room boom rug bank", *codes):
        assert all(row.is_uncertain for row in resolve(labels.split()))
    # A single unknown label, or less than a quarter, says nothing about the others.
    assert [row.is_uncertain for row in resolve(["cat", "dog", "blorb"])] == [
        False,
        False,
        True,
    ]
    animals = [
        "elephant",
        "giraffe",
        "zebra",
        "lion",
        "horse",
        "wolf",
        "hippopotamus",
        "koala",
        "kangaroo",
        "gorilla",
    ]
    rows = resolve([*animals, *(f"{name}s" for name in animals), *fruit])
    assert [
        row.label
        for row in rows
        if row.synset is not None and row.label in animals and row.is_uncertain
    ] == []


def test_chosen_senses_of_a_list_that_mostly_lacks_synsets_are_uncertain():
    for missing in (
        ["0", "1", "2", "3"],
        ["class_0", "class_1", "class_2", "class_3"],
        ["n99999999", "n99999998", "n99999997", "\0"],
    ):
        rows = resolve([*missing, "cat", "dog", "horse"])
        assert all(row.is_uncertain for row in rows)
        assert [row.synset for row in rows[4:]] == [
            "cat.n.01",
            "dog.n.01",
            "horse.n.01",
        ]
        assert rows[4].confidence == 0.5
    rows = resolve(["class_0", "class_1", "cat", "dog", "horse"])
    assert [row.is_uncertain for row in rows] == [True, True, False, False, False]
    # A class that the user left out is not missing, and an id is certain.
    left_out = resolve(
        ["apple", "pear", "plum", "cat", "dog"], chosen={0: "", 1: "", 2: ""}
    )
    assert [row.is_uncertain for row in left_out] == [False] * 5
    assert not resolve(["0", "1", "2", "n02084071"])[-1].is_uncertain


def test_sense_with_another_topic_than_all_other_labels_is_uncertain():
    # Uncertain labels (*mass*, *skipper*) say nothing about the topic.
    xray = (
        "pneumonia emphysema hernia fibrosis atelectasis mass nodule thickening finding"
        " edema infiltration"
    )
    insects = (
        "monarch moth bee ant comma skipper peacock swallowtail viceroy admiral"
        " question_mark"
    )
    for words in (
        "morel chanterelle shiitake truffle parasol",
        "cat dog cow hen pig empty",
        xray,
        insects,
    ):
        *_, almost_last, last = resolve(words.split())
        assert (last.is_uncertain, "unlike nearly all other labels" in last.reason) == (
            True,
            True,
        )
        assert "unlike" not in almost_last.reason
    assert not resolve(["cat", "dog", "cow", "hen", "pig", "seal (stamp)"])[
        -1
    ].is_uncertain, "it fits its context"


def test_sense_of_a_longer_preset_that_contradicts_the_list_is_uncertain():
    part = recognise(
        [
            "bird",
            "cat",
            "dog",
            "horse",
            "sheep",
            "cow",
            "elephant",
            "bear",
            "zebra",
            "giraffe",
            "mouse",
        ]
    )
    *others, mouse = resolve_part(
        resolve(part.names, part.wnids, "coco80"), "coco80", resolve(part.names)
    )
    assert (mouse.synset, mouse.candidates[1]) == ("mouse.n.04", "mouse.n.01")
    assert {row.resolved_by for row in others} == {"preset"}
    assert (mouse.is_uncertain, "rather than mouse.n.01" in mouse.reason) == (
        True,
        True,
    )


@pytest.mark.parametrize("unit", ["1 ", "(", "not ", "a/", "dog of "])
def test_read_label_of_thousands_of_words_finds_no_sense(unit):
    assert read_label(unit * 5000 + "dog").candidates == ()
