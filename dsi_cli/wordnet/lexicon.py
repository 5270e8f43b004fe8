"""The words of WordNet 3.0's nouns: lemmas with their synsets in sense order, base forms, nearest spellings.

Conventions. A *lemma* is in lower case with underscores for spaces, as in WordNet's files. The *sense order* is
WordNet's own: by how often each sense was met in tagged text, then by the lexicographers' choice; so the first sense
is the usual meaning of a word, which need not be the one a data set means. Synsets are nodes of the taxonomy.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from dsi_cli.wordnet.taxonomy import lists, read_table
from dsi_cli.wordnet.taxonomy import load as taxonomy_load

DETACHMENTS = (
    ("s", ""),
    ("ses", "s"),
    ("ves", "f"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
)
"""WordNet's rules for regular plurals (``morphy``), in its order: an ending, and what stands in its place."""

_PLURAL_ENDS = ("s", "men")  # what all endings above end in: most words are no plurals


@dataclass(frozen=True, eq=False)
class Lexicon:
    """All noun lemmas.

    Attributes
    ----------
    rows : dict
        Lemma to row.
    starts : (L + 1,) int32
        The senses of row ``r`` are ``synsets[starts[r]:starts[r + 1]]``.
    synsets : (S,) int32
        Nodes of the taxonomy, in sense order for each lemma.
    counts : (S,) int32
        How often each of these senses was met in tagged text.
    irregular : dict
        Irregular plural to its base forms.
    """

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


@cache
def load() -> Lexicon:
    """Return WordNet 3.0's 117,798 noun lemmas (read once a process, some 50 ms)."""
    lemmas, exceptions = read_table("lemmas"), read_table("exceptions")
    starts, synsets = lists(lemmas["synsets"])
    _, counts = lists(lemmas["counts"])
    rows = {lemma: row for row, lemma in enumerate(lemmas["lemma"].to_pylist())}
    irregular = dict(zip(exceptions["form"].to_pylist(), exceptions["bases"].to_pylist(), strict=True))
    return Lexicon(rows, starts, synsets, counts, irregular)


def base_forms(form: str) -> list[str]:
    """Return the lemmas that a form can stand for, the form itself first (NLTK's ``morphy``, for nouns, all of them).

    Examples
    --------
    >>> base_forms("wolves"), base_forms("glasses"), base_forms("blorbs")
    (['wolf'], ['glasses', 'glass'], [])
    """
    lexicon = load()
    bases = lexicon.irregular.get(form)
    if bases is None and not form.endswith(_PLURAL_ENDS):
        return [form] if form in lexicon.rows else []
    if bases is None:
        bases = [form.removesuffix(old) + new for old, new in DETACHMENTS if form.endswith(old)]
    return [lemma for lemma in dict.fromkeys([form, *bases]) if lemma in lexicon.rows]


def senses(form: str) -> list[int]:
    """Return the nodes that a form can mean, in sense order, each once: NLTK's ``wordnet.synsets(form, "n")``."""
    return list(dict.fromkeys(node for lemma in base_forms(form) for node in load().senses(lemma)))


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


def joined(text: str) -> list[str]:
    """Return the lemmas that have the letters of a text, whatever stands between them.

    Examples
    --------
    >>> joined("black footed albatross"), joined("stbernard")
    (['black-footed_albatross'], ['st_bernard'])
    """
    bare = letters(text)
    forms = (bare, *(bare.removesuffix(old) + new for old, new in DETACHMENTS if bare.endswith(old)))
    return [lemma for form in forms for lemma in ([form] if form in load().rows else _by_letters().get(form, ()))]


def letters(text: str) -> str:
    """Return a text's letters and digits alone, in lower case and without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if c.isalnum())


@cache
def _by_letters() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for lemma in load().rows:
        if not lemma.isalnum():
            found.setdefault(re.sub(r"\W|_", "", lemma), []).append(lemma)
    return found


@lru_cache(maxsize=65536)
def above(node: int) -> frozenset[int]:
    """Return a node and all that lie above it."""
    parents = taxonomy_load().parents_of(node)
    return frozenset((node,)).union(*(above(parent) for parent in parents))


@lru_cache(maxsize=4096)
def nearest(word: str, count: int = 3) -> tuple[str, ...]:
    """Return up to ``count`` lemmas spelled almost like a word, best first (same first letter, almost as long).

    Examples
    --------
    >>> nearest("elefant")
    ('elephant',)
    """
    known = set(word)
    pool = (lemma for lemma in _by_first_letter().get(word[:1], ()) if abs(len(lemma) - len(word)) <= 2)
    alike: Iterable[str] = [lemma for lemma in pool if len(known - set(lemma)) <= 2]
    return tuple(difflib.get_close_matches(word, alike, n=count, cutoff=0.8))


@cache
def _by_first_letter() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for lemma in load().rows:
        found.setdefault(lemma[0], []).append(lemma)
    return found
