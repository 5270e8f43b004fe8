"""Find the synsets of words: by their exact form, as plurals or inflected verbs, or in another spelling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from dsi_cli.wordnet.database import lexicon
from dsi_cli.wordnet.database.wordnet import WordNet

EXACT, PLURAL, SPELLED, HEAD = "exact", "plural", "spelled", "head"
"""The ways to find a word: unchanged, as a plural (or an inflected verb), in another spelling, as the head of a compound."""
SPELLING_VARIANTS = (
    *(("our", "or"), ("re", "er"), ("ise", "ize"), ("isation", "ization"), ("yse", "yze"), ("ogue", "og"), ("ae", "e")),
    *(("oe", "e"), ("grey", "gray"), ("tyre", "tire"), ("plough", "plow"), ("ll", "l"), ("ier", "yer"), ("ce", "se")),
    *(("mme", "m"), ("ghu", "gu"), ("lium", "lum"), ("nium", "num"), ("py", "pa"), ("mou", "mu")),
)
"""British and American spellings, tried in both directions at every position of a word that WordNet lacks."""
_BOTH_WAYS = (*SPELLING_VARIANTS, *((new, old) for old, new in SPELLING_VARIANTS))
MAX_RESPELLED_LENGTH = 60
"""The maximum number of characters of a word that is tried in other spellings."""


@dataclass(frozen=True)
class Candidate:
    """A synset that a label could mean."""

    node: int
    word: str
    """The lemma that was looked up."""
    how: str
    """One of ``EXACT``, ``PLURAL``, ``SPELLED``, ``HEAD``."""
    rank: int
    """The index of the synset in the lemma's sense order."""
    senses: int
    """The number of senses of the lemma."""
    names: int = 1
    """The number of the label's names that can mean the synset."""


def candidate_of(node: int, wordnet: WordNet) -> Candidate:
    """Return a node as a candidate under its own name."""
    name, _, _ = wordnet.taxonomy.names[node].rsplit(".", 2)
    senses = wordnet.words.senses(name)
    return Candidate(node, name, EXACT, senses.index(node), len(senses))


def merge_candidates(parts: list[tuple[Candidate, ...]]) -> tuple[Candidate, ...]:
    """Return the candidates of several names without repeated synsets, with the number of names that share each synset."""
    count = Counter(candidate.node for candidates in parts for candidate in candidates)
    return tuple(replace(candidate, names=count[candidate.node]) for candidate in _first_of_each_node(parts))


@lru_cache(maxsize=65536)
def find_candidates(words: str, wordnet: WordNet) -> tuple[Candidate, ...]:
    """Return the senses of words, else with other separators, else in another spelling; plurals are included."""
    for forms in (lexicon.spellings(words), lexicon.lemmas_with_letters(words, wordnet.words)):
        candidates = _first_of_each_node(_senses(form, EXACT, wordnet) for form in forms)
        if candidates:
            return candidates
    for form in _respelled("_".join(words.lower().split()), wordnet):
        candidates = _senses(form, SPELLED, wordnet)
        if candidates:
            return candidates
    return ()


def _first_of_each_node(parts: Iterable[tuple[Candidate, ...]]) -> tuple[Candidate, ...]:
    first: dict[int, Candidate] = {}
    for candidates in parts:
        for candidate in candidates:
            first.setdefault(candidate.node, candidate)
    return tuple(first.values())


def _senses(form: str, how: str, wordnet: WordNet) -> tuple[Candidate, ...]:
    candidates: list[Candidate] = []
    for lemma in _lemmas(form, wordnet):
        how_found = PLURAL if how == EXACT and lemma != form else how
        nodes = wordnet.words.senses(lemma)
        candidates += [Candidate(node, lemma, how_found, rank, len(nodes)) for rank, node in enumerate(nodes)]
    return _first_of_each_node([tuple(candidates)])


def _lemmas(form: str, wordnet: WordNet) -> list[str]:
    """Return the possible lemmas of a form; in a verb of several words the first is inflected (*picking_up*)."""
    lemmas = lexicon.base_forms(form, wordnet.words)
    first, separator, rest = form.partition("_")
    if wordnet.part == "noun" or not separator or lemmas:
        return lemmas
    lemmas = [f"{base}_{rest}" for base in lexicon.base_forms(first, wordnet.words)]
    return [lemma for lemma in lemmas if lemma in wordnet.words.rows]


def _respelled(form: str, wordnet: WordNet) -> Iterator[str]:
    """Yield a form with one part in British or American spelling, or with the singular of a word other than the last."""
    if len(form) > MAX_RESPELLED_LENGTH:
        return
    for old, new in _BOTH_WAYS:
        start = form.find(old)
        while start >= 0:
            yield form[:start] + new + form[start + len(old) :]
            start = form.find(old, start + 1)
    words = form.split("_")
    for k in range(len(words) - 1):
        word = words[k].removesuffix("'s")
        for base in (word, *lexicon.base_forms(word, wordnet.words)):
            if base != words[k]:
                yield "_".join([*words[:k], base, *words[k + 1 :]])
