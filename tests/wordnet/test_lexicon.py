"""Spellings of words, and the nearest word to one that is misspelt."""

import pytest
from helpers.read_counters import calls

from dsi_cli.wordnet.database import lexicon


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
    assert lexicon.load().senses(expected)


def test_the_nearest_spelling_is_found_among_few_candidates():
    words = lexicon.load()
    assert lexicon.nearest_lemmas("elefant", words) == ("elephant",)
    assert calls(lexicon.nearest_lemmas, "saltatoriun", words) < 10 * sum(
        lemma.startswith("s") for lemma in words.rows
    )


@pytest.mark.parametrize("word", ["", "🐶", "x" * 100, "qqqqqqq"])
def test_nearest_spelling_of_a_far_word_is_none(word):
    assert lexicon.nearest_lemmas(word, lexicon.load()) == ()
