"""The words of WordNet's nouns, or of its verbs: lemmas with their synsets in sense order, base forms, nearest spellings.

Conventions. A *lemma* is in lower case with underscores for spaces, as in WordNet's files. The *sense order* is
WordNet's own: by how often each sense was met in tagged text, then by the lexicographers' choice; so the first sense
is the usual meaning of a word, which need not be the one a data set means. Synsets are nodes of the taxonomy. The words are
those of WordNet 3.0's nouns unless others are given.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial

import numpy as np
import numpy.typing as npt

from dsi_cli.wordnet.database.taxonomy import Tables, offsets_and_values, read_table

DETACHMENTS = {
    "noun": (
        ("s", ""),
        ("ses", "s"),
        ("ves", "f"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ),
    "verb": (("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
}
"""WordNet's rules for regular forms (``morphy``), in its order: an ending, and what stands in its place."""

_ENDS = {"noun": ("s", "men"), "verb": ("s", "ed", "ing")}  # what all endings above end in: most words are base forms


@dataclass(frozen=True, eq=False)
class Lexicon:
    """All lemmas of a part of speech.

    Attributes
    ----------
    part : str
        ``noun`` or ``verb``.
    rows : dict
        Lemma to row.
    starts : (L + 1,) int32
        The senses of row ``r`` are ``synsets[starts[r]:starts[r + 1]]``.
    synsets : (S,) int32
        Nodes of the taxonomy, in sense order for each lemma.
    counts : (S,) int32
        How often each of these senses was met in tagged text.
    irregular : dict
        Irregular form to its base forms.
    """

    part: str
    rows: dict[str, int]
    starts: npt.NDArray[np.int32]
    synsets: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]
    irregular: dict[str, list[str]]

    def senses(self, lemma: str) -> list[int]:
        """Return the nodes of exactly this lemma, in sense order; empty where there is no such lemma."""
        row = self.rows.get(lemma)
        if row is None:
            return []
        return [int(node) for node in self.synsets[self.starts[row] : self.starts[row + 1]]]

    def lemmas(self, node: int) -> list[str]:
        """Return the lemmas of a node, in the order of the letters."""
        lemmas, order, nodes = self._by_node
        first, end = np.searchsorted(nodes, [node, node + 1])
        return [lemmas[row] for row in np.searchsorted(self.starts, np.sort(order[first:end]), side="right") - 1]

    @cached_property
    def _by_node(self) -> tuple[list[str], npt.NDArray[np.intp], npt.NDArray[np.int32]]:
        order = np.argsort(self.synsets, kind="stable")
        return list(self.rows), order, self.synsets[order]

    @cached_property
    def by_letters(self) -> dict[str, list[str]]:
        """The lemmas that hold more than letters and digits, by these alone."""
        found: dict[str, list[str]] = {}
        for lemma in self.rows:
            if not lemma.isalnum():
                found.setdefault(re.sub(r"\W|_", "", lemma), []).append(lemma)
        return found

    @cached_property
    def by_first_letter(self) -> dict[str, list[str]]:
        """All lemmas."""
        found: dict[str, list[str]] = {}
        for lemma in self.rows:
            found.setdefault(lemma[0], []).append(lemma)
        return found


def lexicon_from_tables(tables: Tables, part: str) -> Lexicon:
    """Return the lemmas of a part of speech out of its tables."""
    lemmas, exceptions = tables("lemmas"), tables("exceptions")
    starts, synsets = offsets_and_values(lemmas["synsets"])
    _, counts = offsets_and_values(lemmas["counts"])
    rows = {lemma: row for row, lemma in enumerate(lemmas["lemma"].to_pylist())}
    irregular = dict(zip(exceptions["form"].to_pylist(), exceptions["bases"].to_pylist(), strict=True))
    return Lexicon(part, rows, starts, synsets, counts, irregular)


@cache
def load(part: str = "noun") -> Lexicon:
    """Return WordNet 3.0's 117,798 lemmas of nouns or 11,529 of verbs (read once a process, some 50 ms)."""
    return lexicon_from_tables(partial(read_table, part), part)


def base_forms(form: str, words: Lexicon | None = None) -> list[str]:
    """Return the lemmas that a form can stand for, the form itself first (NLTK's ``morphy``, all of them).

    Examples
    --------
    >>> base_forms("wolves"), base_forms("glasses"), base_forms("blorbs")
    (['wolf'], ['glasses', 'glass'], [])
    >>> base_forms("running", load("verb")), base_forms("swum", load("verb"))
    (['run'], ['swim'])
    """
    words = words or load()
    bases = words.irregular.get(form)
    if bases is None and not form.endswith(_ENDS[words.part]):
        return [form] if form in words.rows else []
    if bases is None:
        bases = _detached(form, words.part)
    return [lemma for lemma in dict.fromkeys([form, *bases]) if lemma in words.rows]


def _detached(form: str, part: str) -> list[str]:
    return [form.removesuffix(old) + new for old, new in DETACHMENTS[part] if form.endswith(old)]


def senses(form: str, words: Lexicon | None = None) -> list[int]:
    """Return the nodes that a form can mean, in sense order, each once: NLTK's ``wordnet.synsets(form, "n")``, or ``"v"``."""
    words = words or load()
    return list(dict.fromkeys(node for lemma in base_forms(form, words) for node in words.senses(lemma)))


def spellings(text: str) -> list[str]:
    """Return the ways in which WordNet may spell a text: as it stands, then with other joints, then without accents.

    Examples
    --------
    >>> spellings("Ice-Cream")
    ['ice-cream', 'ice_cream', 'icecream']
    """
    as_given = "_".join(unicodedata.normalize("NFKC", text).lower().split())
    plain = "".join(c for c in unicodedata.normalize("NFKD", as_given) if not unicodedata.combining(c))
    spaced = as_given.replace("-", "_")
    joints = [as_given, spaced, spaced.replace("_", "-"), spaced.replace("_", ""), plain]
    return list(dict.fromkeys(joints))


def lemmas_with_letters(text: str, words: Lexicon | None = None) -> list[str]:
    """Return the lemmas that have the letters of a text, whatever stands between them.

    Examples
    --------
    >>> joined("black footed albatross"), joined("stbernard")
    (['black-footed_albatross'], ['st_bernard'])
    """
    words = words or load()
    bare = letters_and_digits(text)
    return [
        lemma
        for form in (bare, *_detached(bare, words.part))
        for lemma in ([form] if form in words.rows else words.by_letters.get(form, ()))
    ]


def letters_and_digits(text: str) -> str:
    """Return a text's letters and digits alone, in lower case and without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if c.isalnum())


@lru_cache(maxsize=4096)
def nearest_lemmas(word: str, count: int = 3, words: Lexicon | None = None) -> tuple[str, ...]:
    """Return up to ``count`` lemmas spelled almost like a word, best first (same first letter, almost as long).

    Examples
    --------
    >>> nearest("elefant")
    ('elephant',)
    """
    known = set(word)
    pool = (lemma for lemma in (words or load()).by_first_letter.get(word[:1], ()) if abs(len(lemma) - len(word)) <= 2)
    alike: Iterable[str] = [lemma for lemma in pool if len(known - set(lemma)) <= 2]
    return tuple(difflib.get_close_matches(word, alike, n=count, cutoff=0.8))
