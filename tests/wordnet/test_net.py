"""Verbs, and other WordNets that are installed for NLTK, against NLTK and against the shipped WordNet 3.0."""

from __future__ import annotations

import re
import shutil
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.wordnet import installed, lexicon, measures, net, taxonomy
from dsi_cli.wordnet.candidates import read
from dsi_cli.wordnet.senses import resolve
from dsi_cli.wordnet.subsumers import common_heights
from dsi_cli.wordnet.taxonomy import Taxonomy

VERBS = net.load("verb")


def verbs(*words, **options):
    return resolve(words, of=VERBS, **options)


@pytest.fixture(scope="module")
def pairs():
    """Return verbs, many of which are roots or have several hypernyms, and 21,000 pairs of them."""
    rng, graph = np.random.default_rng(5), VERBS.taxonomy
    count = np.diff(graph.starts)
    several = np.flatnonzero(count > 1)
    nodes = np.concatenate([rng.choice(len(count), 1200), several, rng.choice(np.flatnonzero(count == 0), 200)])
    place = {int(node): k for k, node in enumerate(nodes)}
    near = [(k, place[p]) for k, node in enumerate(nodes) for p in graph.parents_of(int(node)) if p in place]
    mixed = [(1200 + i, 1200 + j) for i in range(len(several)) for j in range(len(several))]
    same = [(k, k) for k in range(0, len(nodes), 20)]
    return nodes, [*rng.integers(0, len(nodes), (20_000, 2)), *near, *(pair[::-1] for pair in near), *mixed, *same]


@pytest.mark.parametrize("kind", ["path", "wup", "lch"])
def test_20000_random_pairs_of_verbs_equal_nltk_to_the_last_bit(nltk_wordnet, pairs, kind):
    nodes, of = pairs
    synsets = [nltk_wordnet.synset(VERBS.taxonomy.names[node]) for node in nodes]
    found = measures.BY_TAXONOMY[kind](nodes, VERBS.taxonomy)
    expected = [getattr(synsets[i], f"{kind}_similarity")(synsets[j]) for i, j in of]
    assert [found[i, j] for i, j in of] == expected
    roots = [k for k, node in enumerate(nodes) if not VERBS.taxonomy.parents_of(int(node))]
    assert sum(i in roots and j in roots and nodes[i] != nodes[j] for i, j in of) > 100


def test_verbs_have_the_names_parents_and_glosses_of_nltk(nltk_wordnet):
    graph = VERBS.taxonomy
    assert len(graph.names) == 13_767
    for node in np.random.default_rng(2).choice(len(graph.names), 300, replace=False):
        synset = nltk_wordnet.synset(graph.names[node])
        assert synset.name() == graph.names[node]
        assert {graph.names[parent] for parent in graph.parents_of(int(node))} == {one.name() for one in synset.hypernyms()}
        assert (graph.depths[node], VERBS.definitions([node])) == (synset.max_depth(), [synset.definition()])


def test_senses_and_forms_of_verbs_are_nltks(nltk_wordnet):
    rng, words = np.random.default_rng(3), VERBS.words
    lemmas, irregular = sorted(words.rows), sorted(words.irregular)
    some = [lemmas[k] for k in rng.choice(len(lemmas), 80, replace=False)]
    forms = [
        form for word in some for form in (word, f"{word}s", f"{word}ed", f"{word}ing", f"{word[:-1]}ing", f"{word}es")
    ]
    for form in [*forms, *(irregular[k] for k in rng.choice(len(irregular), 150, replace=False)), "", "ing", "zzzz"]:
        expected = dict.fromkeys(synset.name() for synset in nltk_wordnet.synsets(form, "v"))
        assert [VERBS.taxonomy.names[node] for node in lexicon.senses(form, words)] == list(expected), form
        assert (lexicon.base_forms(form, words) or [None])[0] == nltk_wordnet.morphy(form, "v"), form


@pytest.mark.parametrize(
    ("label", "word", "context"),
    [
        ("running", "run", ()),
        ("Swam", "swim", ()),
        ("picking_up", "pick_up", ()),
        ("shaking-hands", "shake_hands", ()),
        ("ride_horse", "ride", ("horse",)),
        ("HorseRiding", "ride", ("Horse",)),
        ("baseball pitch", "pitch", ("baseball",)),
        ("walking with the dog", "walk", ("dog",)),
        ("003.somersaults", "somersault", ()),
    ],
)
def test_labels_of_actions_are_read_as_verbs(label, word, context):
    reading = read(label, VERBS)
    assert (reading.candidates[0].word, reading.context) == (word, context)


@pytest.mark.parametrize(
    ("label", "synset"),
    [
        ("v01926311", "run.v.01"),
        ("v01926311 running", "run.v.01"),
        ("sprint.v.01", "sprint.v.01"),
        ("kayaking", "kayak.v.01"),
    ],
)
def test_verbs_are_resolved(label, synset):
    (found,) = verbs(label)
    assert found.synset == synset
    assert VERBS.taxonomy.wnid(VERBS.taxonomy.node(synset)) == found.wnid


def test_the_head_of_an_action_is_called_a_verb():
    (found,) = verbs("ride_horse")
    assert (found.synset, found.resolved_by) == ("ride.v.01", "head verb")


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("n02084071", "^'n02084071' is no verb but one of WordNet's nouns; nouns are compared with --pos noun$"),
        ("dog.n.01", "is no verb but one of WordNet's nouns"),
        ("v99999999", "^'v99999999' is not in WordNet 3.0; it may be from another version of WordNet"),
        ("run.v.99", "which has 41 verb senses of that word"),
        ("elephant", r"^'elephant' is no verb in WordNet 3.0; expected a WordNet 3.0 id \(v01926311\)"),
        ("swimm", "nearest: .*swim.*; did you mean"),
    ],
)
def test_what_is_no_verb_has_a_reason(label, reason):
    (found,) = verbs(label)
    assert found.synset is None
    assert re.search(reason, found.reason), found.reason


def test_two_actions_with_one_verb_share_it():
    first, second = verbs("ride bike", "ride horse")
    assert first.synset == second.synset == "ride.v.01"
    assert first.is_uncertain


def test_an_unknown_part_of_speech_is_refused():
    with pytest.raises(UsageError, match=r"--pos takes noun or verb; 'adjective' is neither"):
        net.load("adjective")


def test_the_simulated_root_is_one_edge_above_all():
    """Two trees, a over b over c, and x: the root is as far from a class as its furthest hypernym and one edge more."""
    offsets, depths = np.arange(4, dtype=np.int32), np.array([0, 1, 2, 0], np.uint8)
    starts, parents = np.array([0, 0, 1, 2, 2], np.int32), np.array([0, 1], np.int32)
    tree = Taxonomy(offsets, ("a", "b", "c", "x"), depths, starts, parents, "v", simulates_root=True)
    assert_array_equal(common_heights([2, 3, 1], tree), [[0, 3, 1], [3, 0, 3], [1, 3, 1]])
    assert_array_equal(1 / measures.BY_TAXONOMY["path"]([2, 3, 1], tree) - 1, [[0, 4, 1], [4, 0, 3], [1, 3, 0]])


@pytest.fixture
def corpora(shared, tmp_path, monkeypatch):
    """Return an NLTK_DATA whose folder ``corpora`` holds the shared WordNet as the folder ``wordnet99``, two lines changed."""
    folder = tmp_path / "corpora"
    with zipfile.ZipFile(shared / "wordnet" / "nltk_data" / "corpora" / "wordnet.zip") as archive:
        for file in ("data.verb", "index.verb", "verb.exc", "index.sense", "data.noun"):
            archive.extract(f"wordnet/{file}", folder)
    (folder / "wordnet").rename(folder / "wordnet99")
    verbs = folder / "wordnet99" / "data.verb"
    verbs.write_text(verbs.read_text().replace("| move fast by using", "| move very fast by using"))
    with (folder / "wordnet99" / "verb.exc").open("a") as file:
        file.write("runnen run\n")
    monkeypatch.setenv("NLTK_DATA", str(tmp_path))
    return folder


def test_an_installed_wordnet_is_the_shipped_one_but_for_what_was_changed(corpora):
    net.load.cache_clear()
    other = net.load("verb", "wordnet99")
    assert (other.id, other.title) == ("wordnet99-verb", "wordnet99")
    shipped = VERBS.taxonomy
    for name in ("names", "depths", "starts", "parents"):
        assert_array_equal(getattr(other.taxonomy, name), getattr(shipped, name))
    assert set(np.unique(other.taxonomy.offsets - shipped.offsets)) <= {0, 18}  # see scripts/compile_wordnet.py
    assert {name: column.tolist() for name, column in other.kinds.items()} == {
        name: column.tolist() for name, column in VERBS.kinds.items()
    }
    for name in ("starts", "synsets"):
        assert_array_equal(getattr(other.words, name), getattr(VERBS.words, name))
    assert other.words.rows == VERBS.words.rows
    assert other.words.irregular == VERBS.words.irregular | {"runnen": ["run"]}
    everything = range(len(shipped.names))
    differing = [
        k
        for k, (a, b) in enumerate(zip(other.definitions(everything), VERBS.definitions(everything), strict=True))
        if a != b
    ]
    assert [shipped.names[k] for k in differing] == ["run.v.01"]
    (found,) = resolve(["runnen"], of=other)
    assert found.definition.startswith("move very fast by using")
    (lost,) = resolve(["v99999999"], of=other)
    assert lost.reason == "'v99999999' is not in wordnet99; it may be from another version of WordNet, whose ids differ"
    (lost,) = resolve(["qzx"], of=other)
    assert "expected a wordnet99 id, a synset name (run.v.01) or an English verb" in lost.reason


def test_a_zip_file_is_read_as_a_folder(corpora):
    kept = installed.read("wordnet99", "verb")
    with zipfile.ZipFile(corpora / "wordnet99.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (corpora / "wordnet99").iterdir():
            archive.write(path, f"wordnet99/{path.name}")
    shutil.rmtree(corpora / "wordnet99")
    assert "wordnet99" in installed.names()
    found = installed.read("wordnet99", "verb")
    assert all(found[name].equals(table) for name, table in kept.items())


@pytest.mark.parametrize("name", ["wordnet31", "../wordnet99", "", "x" * 300, "wordnet99\0"])
def test_what_is_not_installed_is_said(corpora, name):
    expected = (
        r"--wordnet takes a WordNet that is installed for NLTK, found '.*'; installed: .*wordnet99.* \(python -m nltk"
    )
    with pytest.raises(UsageError, match=expected):
        net.load("noun", name)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("data.verb", None, "found no data.verb; python -m nltk.downloader --force wordnet99 installs it anew"),
        ("index.verb", "", "found no index.verb"),
        ("data.verb", "00001740 29 v zz breathe\n", "found data.verb damaged in line 1"),
        ("data.verb", "00001740 29 v 01 breathe 0 001 @ 00000009 v 0000 | draw air\n", "that points nowhere"),
        ("index.verb", "breathe v 0 1 @ 0 0\n", "found index.verb damaged in line 1"),
        ("index.verb", "breathe v 1 1 @ 1 1 00000009\n", "that points nowhere"),
        ("index.sense", "breathe%2:29:00:: 00001740 one 2\n", "found index.sense damaged at breathe%2:29:00::"),
    ],
)
def test_a_damaged_wordnet_is_refused(corpora, file, text, message):
    path = corpora / "wordnet99" / file
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=message):
        installed.read("wordnet99", "verb")


def test_hypernyms_in_a_circle_are_refused(corpora):
    lines = [f"0000000{k} 29 v 01 w{k} 0 001 @ 0000000{3 - k} v 0000 | gloss" for k in (1, 2)]
    (corpora / "wordnet99" / "data.verb").write_text("\n".join(lines))
    (corpora / "wordnet99" / "index.verb").write_text("w1 v 1 1 @ 1 0 00000001\nw2 v 1 1 @ 1 0 00000002\n")
    with pytest.raises(UsageError, match="found hypernyms that form a cycle, or are more than 90 deep"):
        installed.read("wordnet99", "verb")


def test_a_file_that_is_no_text_or_no_zip_is_refused(corpora):
    (corpora / "wordnet99" / "data.verb").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"data.verb cannot be read: .*decode"):
        installed.read("wordnet99", "verb")
    (corpora / "broken.zip").write_bytes(b"PK no zip")
    with pytest.raises(UsageError, match=r"broken.zip: expected a WordNet in Princeton's format, found no data.noun"):
        installed.read("broken", "noun")


def test_a_presets_synsets_are_found_in_another_wordnet_by_word_and_gloss():
    shipped = net.load()
    assert net.same_in(shipped, "n02084071") == "n02084071"
    assert net.same_in(shipped, "n99999999") is None

    class Changed:
        words, taxonomy = shipped.words, taxonomy.load()

        def definitions(self, nodes):
            return ["another gloss" for _ in nodes]

    assert net.same_in(Changed(), "n02084071") is None
