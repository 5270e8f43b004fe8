"""What labels are understood to mean, and the reasons where they are not."""

from __future__ import annotations

import re
import time

import pytest

from dsi_cli.errors import UsageError
from dsi_cli.labels.presets import PRESETS, load_preset
from dsi_cli.wordnet.senses import LONGEST_LABEL, RESOLVED_BY, SUGGESTIONS, resolve
from dsi_cli.wordnet.taxonomy import definitions, load


def only(label, wnid=None, preset=None):
    return resolve([label], None if wnid is None else [wnid], preset)[0]


@pytest.mark.parametrize(
    ("label", "synset", "how"),
    [
        ("n02084071", "dog.n.01", "wnid"),
        (" N02084071 ", "dog.n.01", "wnid"),
        ("dog.n.01", "dog.n.01", "synset"),
        ("Great white shark.n.1", "great_white_shark.n.01", "synset"),
        ("domestic_dog.n.01", "dog.n.01", "synset"),
        ("u.s._mint.n.01", "united_states_mint.n.01", "synset"),
        ("dog", "dog.n.01", "first sense"),
        ("Dogs", "dog.n.01", "first sense"),
        ("wolves", "wolf.n.01", "first sense"),
        ("teddy bear", "teddy.n.01", "first sense"),
        ("Ice-Cream", "ice_cream.n.01", "first sense"),
        ("T-shirt/top", "jersey.n.03", "first sense"),
        ("24/7", "24/7.n.01", "first sense"),
        ("no such thing at all, tench", "tench.n.01", "first sense"),
        ("tench, Tinca tinca", "tench.n.01", "synonyms"),
        ("hammerhead, hammerhead shark", "hammerhead.n.03", "synonyms"),
    ],
)
def test_a_label_is_understood(label, synset, how):
    found = only(label)
    assert (found.synset, found.resolved_by, found.reason) == (synset, how, None)
    node = load().node(synset)
    assert (found.wnid, found.definition) == (load().wnid(node), definitions([node])[0])
    assert synset in found.candidates
    assert found.confidence == (1.0 if how in ("wnid", "synset") else None)


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (
            "n99999999",
            "^'n99999999' is not in WordNet 3.0; it may be from another version of WordNet, whose ids differ$",
        ),
        ("v00001740", "is no noun; only nouns have a common taxonomy"),
        ("run.v.01", "is no noun; only nouns have a common taxonomy"),
        ("dog.n.08", "'dog.n.08' is not in WordNet 3.0, which has 7 noun senses of that word"),
        ("dog.n.00", "which has 7 noun senses"),
        ("blorb.n.01", "which has 0 noun senses"),
        ("", "the label is empty; expected a WordNet 3.0 id"),
        (" \t", "the label is empty"),
        ("dog\0", r"'dog\\x00' holds a control character; expected a WordNet 3.0 id"),
        ("\ud800", r"'\\ud800' holds a control character"),
        ("x" * 10_000, "^the label has 10000 characters; expected a WordNet 3.0 id"),
        ("elefant", "'elefant' is no noun in WordNet 3.0; nearest: elephant$"),
        ("aquarium_fish", "nearest: fish$"),
        ("zzz", r"no noun in WordNet 3.0; expected a WordNet 3.0 id \(n02084071\), a synset name"),
        (",/,", "no noun in WordNet 3.0"),
        ("🐶", r"'\\U0001f436' is no noun"),
    ],
)
def test_a_label_without_a_meaning_has_a_reason(label, reason):
    found = only(label)
    assert (found.synset, found.wnid, found.definition, found.confidence) == (None, None, None, None)
    assert found.resolved_by == "unresolved"
    assert found.reason is not None
    assert re.search(reason, found.reason), found.reason


def test_candidates_are_all_senses_in_order():
    found = only("crane")
    assert found.candidates == ("crane.n.01", "crane.n.02", "grus.n.01", "crane.n.04", "crane.n.05")
    assert found.synset == "crane.n.01"


def test_a_given_id_wins_and_the_words_stay_as_candidates():
    found = only("crane", "n02012849")
    assert (found.synset, found.resolved_by, found.confidence) == ("crane.n.05", "wnid", 1.0)
    assert found.candidates[0] == "crane.n.01"
    assert only("crane", "crane.n.05").resolved_by == "synset"
    assert only("crane", "n02012849", "imagenet1k").resolved_by == "preset"
    assert only("my own name", "n02012849").candidates == ("crane.n.05",)


@pytest.mark.parametrize(("wnid", "reason"), [("n99999999", "not in WordNet 3.0"), ("crane", "'crane' is no id; expected")])
def test_a_given_id_that_is_wrong_is_not_replaced_by_a_guess(wnid, reason):
    found = only("crane", wnid, "imagenet1k")
    assert (found.synset, found.resolved_by) == (None, "unresolved")
    assert found.reason is not None
    assert reason in found.reason


@pytest.mark.parametrize("missing", [None, "", "  "])
def test_without_an_id_the_label_speaks_for_itself(missing):
    assert resolve(["dog"], [missing])[0].resolved_by == "first sense"


def test_ids_and_labels_must_be_as_many():
    with pytest.raises(UsageError, match="for each of 2 labels, found 1 ids"):
        resolve(["a", "b"], ["n02084071"])


def test_the_order_and_labels_are_kept():
    found = resolve(["cat", "nothing like it", "dog"])
    assert [(row.index, row.label) for row in found] == [(0, "cat"), (1, "nothing like it"), (2, "dog")]
    assert {row.resolved_by for row in found} <= set(RESOLVED_BY)


@pytest.mark.parametrize("preset", [preset.name for preset in PRESETS])
def test_every_class_of_a_preset_resolves(preset):
    labels = load_preset(preset)
    found = resolve(labels.names, labels.wnids, labels.preset)
    assert [row.wnid for row in found] == list(labels.wnids or ())
    assert {row.resolved_by for row in found if row.wnid} == {"preset"}
    for row in found:
        if row.wnid is None:  # never by its words: "Bengal" would be a region of India
            reason = f"{row.label!a} has no synset in the preset {preset}: WordNet 3.0 lacks it"
            assert (row.resolved_by, row.synset, row.candidates, row.reason) == ("unresolved", None, (), reason)


def test_synonyms_find_the_sense_that_imagenet_means():
    labels = load_preset("imagenet1k")
    found = [(row, wnid) for row, wnid in zip(resolve(labels.names), labels.wnids or (), strict=True)]
    with_synonyms = [row.wnid == wnid for row, wnid in found if row.resolved_by == "synonyms"]
    assert len(with_synonyms) > 450
    assert sum(with_synonyms) / len(with_synonyms) > 0.98
    assert sum(row.wnid == wnid for row, wnid in found) == 893


def test_thousands_of_strange_labels_do_not_take_minutes():
    start = time.perf_counter()
    found = resolve([f"strange{k}" for k in range(5000)])
    assert time.perf_counter() - start < 5
    assert sum("nearest" in (row.reason or "") for row in found) <= SUGGESTIONS


def test_imagenets_longest_label_is_within_the_limit():
    assert max(map(len, load_preset("imagenet22k").names)) < LONGEST_LABEL
