"""The words of WordNet's nouns or verbs: lemmas with their synsets in sense order, base
forms, nearest spellings.

A *lemma* is in lower case with underscores for spaces, as in WordNet's files. WordNet's
*sense order* sorts senses by their count in tagged text, then by the lexicographers'
choice. The first sense is the most common meaning of a word; a data set may use another
one. Synsets are nodes of the taxonomy. The default lexicon is that of WordNet 3.0's
nouns.
"""

from __future__ import annotations

import difflib
import string
import unicodedata
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial

import numpy as np
import numpy.typing as npt

from dsi_cli.wordnet.database.taxonomy import Tables, offsets_and_values, read_table

DETACHMENTS = {
    "noun": (
        *(("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z")),
        *(("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y")),
    ),
    "verb": (
        ("s", ""),
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("ed", "e"),
        ("ed", ""),
        ("ing", "e"),
        ("ing", ""),
    ),
}
"""WordNet's rules for regular forms (``morphy``), in its order: an ending and its
replacement.
"""


@dataclass(frozen=True, eq=False)
class Lexicon:
    """All lemmas of a part of speech."""

    part: str  # ``noun`` or ``verb``
    rows: dict[str, int]  # the row of each lemma
    # ``(L + 1,)``; the senses of row ``r`` are ``synsets[starts[r]:starts[r + 1]]``
    starts: npt.NDArray[np.int32]
    # nodes of the taxonomy, in sense order for each lemma
    synsets: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]  # the count of each of these senses in tagged text
    irregular: dict[str, list[str]]  # the base forms of each irregular form

    def senses(self, lemma: str) -> list[int]:
        """Return the nodes of exactly this lemma, in sense order; empty if the lemma is
        unknown.
        """
        row = self.rows.get(lemma)
        if row is None:
            return []
        return [
            int(node) for node in self.synsets[self.starts[row] : self.starts[row + 1]]
        ]

    def lemmas(self, node: int) -> list[str]:
        """Return the lemmas of a node in alphabetical order."""
        lemmas: list[str] = self._lemma_of_sense[self.synsets == node].tolist()
        return lemmas

    @cached_property
    def _lemma_of_sense(self) -> npt.NDArray[np.object_]:
        return np.repeat(np.array(list(self.rows), dtype=object), np.diff(self.starts))

    @cached_property
    def by_letters(self) -> dict[str, list[str]]:
        """The lemmas that contain separators, by their letters and digits."""
        # One text of all lemmas is translated faster than each lemma.
        forms = (
            "\n".join(self.rows)
            .translate(str.maketrans("", "", string.punctuation))
            .split("\n")
        )
        lemmas: dict[str, list[str]] = {}
        for form, lemma in zip(forms, self.rows, strict=True):
            if form != lemma:
                lemmas.setdefault(form, []).append(lemma)
        return lemmas


def lexicon_from_tables(tables: Tables, part: str) -> Lexicon:
    """Return the lemmas of a part of speech from its tables."""
    lemmas, exceptions = tables("lemmas"), tables("exceptions")
    starts, synsets = offsets_and_values(lemmas["synsets"])
    _, counts = offsets_and_values(lemmas["counts"])
    rows = {lemma: row for row, lemma in enumerate(lemmas["lemma"].to_pylist())}
    irregular = dict(
        zip(
            exceptions["form"].to_pylist(), exceptions["bases"].to_pylist(), strict=True
        )
    )
    return Lexicon(part, rows, starts, synsets, counts, irregular)


@cache
def load(part: str = "noun") -> Lexicon:
    """Return WordNet 3.0's 117,798 lemmas of nouns or 11,529 of verbs (read once per
    process, about 50 ms).
    """
    return lexicon_from_tables(partial(read_table, part), part)


def base_forms(form: str, words: Lexicon) -> list[str]:
    """Return all lemmas that a form can be an inflection of, the form itself first
    (like NLTK's ``morphy``).

    >>> base_forms("wolves", load()), base_forms("glasses", load()), base_forms("blorbs", load())
    (['wolf'], ['glasses', 'glass'], [])
    >>> base_forms("running", load("verb")), base_forms("swum", load("verb"))
    (['run'], ['swim'])
    """
    bases = words.irregular.get(form)
    if bases is None:
        bases = _detach_endings(form, words.part)
    return [lemma for lemma in dict.fromkeys([form, *bases]) if lemma in words.rows]


def _detach_endings(form: str, part: str) -> list[str]:
    return [
        form.removesuffix(old) + new
        for old, new in DETACHMENTS[part]
        if form.endswith(old)
    ]


def spellings(text: str) -> list[str]:
    """Return possible spellings of a text in WordNet: unchanged, with other separators,
    and without accents.

    >>> spellings("Ice-Cream")
    ['ice-cream', 'ice_cream', 'icecream']
    """
    as_given = "_".join(unicodedata.normalize("NFKC", text).lower().split())
    plain = "".join(
        c
        for c in unicodedata.normalize("NFKD", as_given)
        if not unicodedata.combining(c)
    )
    spaced = as_given.replace("-", "_")
    return list(
        dict.fromkeys(
            [as_given, spaced, spaced.replace("_", "-"), spaced.replace("_", ""), plain]
        )
    )


def lemmas_with_letters(text: str, words: Lexicon) -> list[str]:
    """Return the lemmas that have the letters of a text, ignoring separators.

    >>> lemmas_with_letters("black footed albatross", load()), lemmas_with_letters("stbernard", load())
    (['black-footed_albatross'], ['st_bernard'])
    """
    bare = letters_and_digits(text)
    lemmas: list[str] = []
    for form in (bare, *_detach_endings(bare, words.part)):
        lemmas += [form] if form in words.rows else words.by_letters.get(form, [])
    return lemmas


def letters_and_digits(text: str) -> str:
    """Return only the letters and digits of a text, in lower case and without
    accents.
    """
    return "".join(
        c for c in unicodedata.normalize("NFKD", text.lower()) if c.isalnum()
    )


@lru_cache(maxsize=4096)
def nearest_lemmas(word: str, words: Lexicon) -> tuple[str, ...]:
    """Return up to three lemmas of similar spelling and length with the same first
    letter, best first.

    >>> nearest_lemmas("elefant", load())
    ('elephant',)
    """
    letters = set(word)
    same_letter = [lemma for lemma in words.rows if lemma[0] == word[:1]]
    similar = [
        lemma
        for lemma in same_letter
        if abs(len(lemma) - len(word)) <= 2 and len(letters - set(lemma)) <= 2
    ]
    return tuple(difflib.get_close_matches(word, similar, n=3, cutoff=0.8))
