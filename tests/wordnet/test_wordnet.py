"""Verbs, and other WordNets that are installed for NLTK."""

import re

import numpy as np
import pytest
from helpers.errors import raises
from numpy.testing import assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.wordnet.database import nltk_data, taxonomy
from dsi_cli.wordnet.database.taxonomy import Taxonomy
from dsi_cli.wordnet.database.wordnet import load_wordnet, same_synset_in
from dsi_cli.wordnet.disambiguation.candidates import read_label
from dsi_cli.wordnet.disambiguation.resolve import resolve
from dsi_cli.wordnet.similarity import measures
from dsi_cli.wordnet.similarity.path_similarity import common_heights

VERBS = load_wordnet("verb")


def verbs(*words, **options):
    return resolve(words, wordnet=VERBS, **options)


@pytest.mark.parametrize(
    ("label", "word", "context"),
    [
        *(("running", "run", ()), ("Swam", "swim", ()), ("picking_up", "pick_up", ())),
        *(
            ("003.somersaults", "somersault", ()),
            ("baseball pitch", "pitch", ("baseball",)),
        ),
        *(
            ("shaking-hands", "shake_hands", ()),
            ("ride_horse", "ride", ("horse",)),
            ("HorseRiding", "ride", ("Horse",)),
        ),
        ("walking with the dog", "walk", ("dog",)),
    ],
)
def test_labels_of_actions_are_read_as_verbs(label, word, context):
    reading = read_label(label, VERBS)
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
    assert (found.synset, VERBS.taxonomy.wnid(VERBS.taxonomy.node(synset))) == (
        synset,
        found.wnid,
    )


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("n02084071", "^'n02084071' is no verb but a noun; add --pos noun$"),
        ("dog.n.01", "is no verb but a noun"),
        (
            "v99999999",
            (
                "^'v99999999' is not in WordNet 3.0; it may be from another version of"
                " WordNet"
            ),
        ),
        ("run.v.99", "which has 41 verb senses of that word"),
        (
            "elephant",
            (
                r"^'elephant' is no verb in WordNet 3.0; expected a WordNet 3.0 id"
                r" \(v01926311\)"
            ),
        ),
        ("swimm", "nearest: .*swim.*; try"),
    ],
)
def test_resolve_of_no_verb_has_the_reason(label, reason):
    (found,) = verbs(label)
    assert found.synset is None
    assert re.search(reason, found.reason), found.reason


def test_an_unknown_part_of_speech_is_refused():
    with raises("unknown-part-of-speech", UsageError, part="adjective"):
        load_wordnet("adjective")


def test_the_simulated_root_is_one_edge_above_all():
    """Two trees, a over b over c, and x: the root is as far from a class as its
    furthest hypernym and one edge more.
    """
    offsets, depths = np.arange(4, dtype=np.int32), np.array([0, 1, 2, 0], np.uint8)
    starts, parents = np.array([0, 0, 1, 2, 2], np.int32), np.array([0, 1], np.int32)
    tree = Taxonomy(
        offsets, ("a", "b", "c", "x"), depths, starts, parents, "v", simulates_root=True
    )
    assert_array_equal(
        common_heights([2, 3, 1], tree), [[0, 3, 1], [3, 0, 3], [1, 3, 1]]
    )
    assert_array_equal(
        1 / measures.BY_TAXONOMY["path"]([2, 3, 1], tree) - 1,
        [[0, 4, 1], [4, 0, 3], [1, 3, 0]],
    )


MOVE = "00000100 38 v 01 move 0 000 01 + 02 00 | change position"
RUN = (
    "00000200 38 v 02 run 0 speed_up 0 001 @ 00000100 v 0000 01 + 02 00 | move fast;"
    ' "he ran"'
)
INDEX = (
    "move v 1 1 @ 1 0 00000100",
    "run v 1 1 @ 1 1 00000200",
    "speed_up v 1 1 @ 1 0 00000200",
)
SENSES = (
    "move%2:38:00:: 00000100 1 0",
    "run%2:38:00:: 00000200 1 3",
    "speed_up%2:38:00:: 00000200 1 1",
)
SMALL = {
    "data.verb": (MOVE, RUN),
    "index.verb": INDEX,
    "verb.exc": ("ran run",),
    "index.sense": SENSES,
}
"""A WordNet of two verbs in Princeton's format: the files that are not empty, and their
lines.
"""


@pytest.fixture
def corpora(tmp_path, monkeypatch):
    """Return the folder ``corpora`` of an NLTK_DATA that has a small WordNet as the
    folder ``wordnet99``.
    """
    import nltk.data

    folder = tmp_path / "corpora"
    (folder / "wordnet99").mkdir(parents=True)
    files = {
        f"{kind}.{part}": ()
        for kind in ("data", "index")
        for part in ("adj", "adv", "noun", "verb")
    }
    files |= (
        {f"{part}.exc": () for part in ("adj", "adv", "noun", "verb")}
        | {"cntlist.rev": ()}
        | SMALL
    )
    for name, lines in files.items():
        (folder / "wordnet99" / name).write_text("".join(f"{line}\n" for line in lines))
    lexnames = "".join(f"{number:02d}\tname.{number}\t2\n" for number in range(45))
    (folder / "wordnet99" / "lexnames").write_text(lexnames)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    load_wordnet.cache_clear()
    return folder


def test_an_installed_wordnet_is_used_like_the_shipped_one(corpora):
    small = load_wordnet("verb", "wordnet99")
    assert (small.id, small.title) == ("wordnet99-verb", "wordnet99")
    assert small.taxonomy.names == ("move.v.01", "run.v.01")
    assert (small.taxonomy.parents_of(1), small.words.irregular) == (
        [0],
        {"ran": ["run"]},
    )
    assert small.words.counts.tolist() == [0, 3, 1]
    assert {name: values.tolist() for name, values in small.kinds.items()} == {
        "file": [38, 38],
        "instance": [0, 0],
        "parts": [0, 0],
        "derived": [0, 0],
        "size": [2, 1],
        "words": [1, 2],
    }
    for label in ("runs", "ran", "speed_up", "v00000200", "run.v.01"):
        (found,) = resolve([label], wordnet=small)
        assert (found.synset, found.definition) == ("run.v.01", "move fast"), label
    (lost,) = resolve(["v99999999"], wordnet=small)
    assert (
        lost.reason
        == "'v99999999' is not in wordnet99; it may be from another version of WordNet,"
        " whose ids differ"
    )
    (lost,) = resolve(["qzx"], wordnet=small)
    assert (
        "expected a wordnet99 id, a synset name (run.v.01) or an English verb"
        in lost.reason
    )


@pytest.mark.parametrize(
    "name", ["wordnet31", "../wordnet99", "", "x" * 300, "wordnet99\0"]
)
def test_load_wordnet_not_installed_is_refused(corpora, name):
    with raises("wordnet-not-installed", UsageError, name=name, installed="wordnet99"):
        load_wordnet("noun", name)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("data.verb", None),
        ("index.verb", None),
        ("lexnames", ""),
        ("data.verb", "00000100 29 v zz breathe\n"),
        ("data.verb", "00000100 38 v 01 move 0 001 @ 00000009 v 0000 | draw air\n"),
        ("data.verb", b"\xff\xfe"),
        ("index.verb", "move v 0 1 @ 0 0\n"),
        ("index.verb", "move v 1 1 @ 1 1 00000009\n"),
        ("index.sense", "move%2:38:00:: 00000100 one 2\n"),
    ],
)
def test_a_damaged_wordnet_is_refused_in_one_line(corpora, file, text):
    path = corpora / "wordnet99" / file
    path.unlink()
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    expected = (
        r"^the WordNet 'wordnet99' cannot be read \(.+\): python -m nltk.downloader"
        r" --force wordnet99 installs it again$"
    )
    with pytest.raises(UsageError, match=expected):
        nltk_data.read_tables("wordnet99", "verb")


def test_a_presets_synsets_are_found_in_another_wordnet_by_word_and_gloss():
    shipped = load_wordnet()
    assert same_synset_in(shipped, "n02084071") == "n02084071"
    assert same_synset_in(shipped, "n99999999") is None

    class Changed:
        words, taxonomy = shipped.words, taxonomy.load()

        def definitions(self, nodes):
            return ["another gloss" for _ in nodes]

    assert same_synset_in(Changed(), "n02084071") is None
