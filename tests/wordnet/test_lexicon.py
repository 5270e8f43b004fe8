"""Words against NLTK's, in its order."""

from __future__ import annotations

import time

import numpy as np
import pytest

from dsi_cli.wordnet import lexicon, taxonomy


def sample_words():
    rng = np.random.default_rng(3)
    lemmas, irregular = sorted(lexicon.load().rows), sorted(lexicon.load().irregular)
    words = [lemmas[k] for k in rng.choice(len(lemmas), 150, replace=False)]
    plurals = [f"{word}s" for word in words[:50]] + ["boxes", "churches", "wolves", "berries", "firemen", "glasses"]
    return words + plurals + [irregular[k] for k in rng.choice(len(irregular), 100, replace=False)] + ["", "s", "zzzz"]


def test_senses_are_nltks_in_its_order(nltk_wordnet):
    for word in sample_words():
        expected = dict.fromkeys(synset.name() for synset in nltk_wordnet.synsets(word, "n"))
        assert [taxonomy.load().names[node] for node in lexicon.senses(word)] == list(expected), word


def test_base_forms_begin_with_nltks(nltk_wordnet):
    for word in sample_words():
        assert (lexicon.base_forms(word) or [None])[0] == nltk_wordnet.morphy(word, "n"), word


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Teddy Bear", "teddy_bear"),
        ("teddy  bear ", "teddy_bear"),
        ("polar-bear", "polar_bear"),
        ("t_shirt", "t-shirt"),
        ("foot ball", "football"),
        ("café", "cafe"),
        ("Ｄｏｇ", "dog"),
    ],
)
def test_one_of_the_spellings_is_wordnets(text, expected):
    assert expected in lexicon.spellings(text)
    assert lexicon.senses(expected)


def test_the_nearest_spelling_is_found_fast():
    assert lexicon.nearest("elefant") == ("elephant",)
    start = time.perf_counter()
    lexicon.nearest("saltatoriun")
    assert time.perf_counter() - start < 0.1


@pytest.mark.parametrize("word", ["", "🐶", "x" * 100, "qqqqqqq"])
def test_what_is_near_nothing_has_no_neighbour(word):
    assert lexicon.nearest(word) == ()
