"""From words to the synsets that have them: as they stand, as plurals or a verb's forms, in another spelling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from dsi_cli.wordnet.database import lexicon
from dsi_cli.wordnet.database.wordnet import WordNet

EXACT, PLURAL, SPELLED, HEAD = "exact", "plural", "spelled", "head"
"""How a word was found: as it stands, as a plural (or a verb's form), in another spelling, as the head of a compound."""

SPELLING_VARIANTS = (
    ("our", "or"),
    ("re", "er"),
    ("ise", "ize"),
    ("isation", "ization"),
    ("yse", "yze"),
    ("ogue", "og"),
    ("ae", "e"),
    ("oe", "e"),
    ("grey", "gray"),
    ("tyre", "tire"),
    ("plough", "plow"),
    ("ll", "l"),
    ("ier", "yer"),
    ("ce", "se"),
    ("mme", "m"),
    ("ghu", "gu"),
    ("lium", "lum"),
    ("nium", "num"),
    ("py", "pa"),
    ("mou", "mu"),
)
"""British and American spellings, tried in both directions at every place of a word that WordNet does not have."""

_BOTH_WAYS = (*SPELLING_VARIANTS, *((new, old) for old, new in SPELLING_VARIANTS))

MAX_RESPELLED_LENGTH = 60
"""Characters of a word that other spellings are tried of."""


@dataclass(frozen=True)
class Candidate:
    """A synset that a label could mean.

    Attributes
    ----------
    node : int
    word : str
        The lemma under which it stands.
    how : str
        One of ``EXACT``, ``PLURAL``, ``SPELLED``, ``HEAD``.
    rank : int
        Its place in the lemma's sense order, from 0.
    senses : int
        How many senses that lemma has.
    names : int
        How many of the label's names can mean it.
    """

    node: int
    word: str
    how: str
    rank: int
    senses: int
    names: int = 1


def candidate_of(node: int, wordnet: WordNet) -> Candidate:
    """Return a node as a candidate under its own name, as what is certain takes part in a choice."""
    name, _, _ = wordnet.taxonomy.names[node].rsplit(".", 2)
    senses = wordnet.words.senses(name)
    return Candidate(node, name, EXACT, senses.index(node), len(senses))


def merge_candidates(parts: list[tuple[Candidate, ...]]) -> tuple[Candidate, ...]:
    """Return the candidates of several names, each synset once, with the number of names that can mean it."""
    best: dict[int, Candidate] = {}
    count: dict[int, int] = {}
    for candidates in parts:
        for one in candidates:
            count[one.node] = count.get(one.node, 0) + 1
            best.setdefault(one.node, one)
    return tuple(replace(one, names=count[one.node]) for one in best.values())


@lru_cache(maxsize=65536)
def find_candidates(words: str, wordnet: WordNet) -> tuple[Candidate, ...]:
    """Return the senses of words as they stand, else with other joints, else in another spelling; a plural's as well."""
    for forms in (lexicon.spellings(words), lexicon.lemmas_with_letters(words, wordnet.words)):
        candidates = _union(_senses(form, EXACT, wordnet) for form in forms)
        if candidates:
            return candidates
    for form in _respelled("_".join(words.lower().split()), wordnet):
        candidates = _senses(form, SPELLED, wordnet)
        if candidates:
            return candidates
    return ()


def _union(parts: Iterable[tuple[Candidate, ...]]) -> tuple[Candidate, ...]:
    best: dict[int, Candidate] = {}
    for one in (one for part in parts for one in part):
        best.setdefault(one.node, one)
    return tuple(best.values())


def _senses(form: str, how: str, wordnet: WordNet) -> tuple[Candidate, ...]:
    best: dict[int, Candidate] = {}
    for lemma in _lemmas(form, wordnet):
        nodes = wordnet.words.senses(lemma)
        for rank, node in enumerate(nodes):
            best.setdefault(
                node, Candidate(node, lemma, PLURAL if how == EXACT and lemma != form else how, rank, len(nodes))
            )
    return tuple(best.values())


def _lemmas(form: str, wordnet: WordNet) -> list[str]:
    """Return the lemmas that a form can stand for; of several words a verb's first is inflected (*picking_up*)."""
    found = lexicon.base_forms(form, wordnet.words)
    first, joint, rest = form.partition("_")
    if wordnet.part == "noun" or not joint or found:
        return found
    return [lemma for base in lexicon.base_forms(first, wordnet.words) if (lemma := f"{base}_{rest}") in wordnet.words.rows]


def _respelled(form: str, wordnet: WordNet) -> Iterator[str]:
    """Yield a form with one part in the other of two spellings, or with the plural of another word than its last."""
    if len(form) > MAX_RESPELLED_LENGTH:
        return
    for old, new in _BOTH_WAYS:
        at = form.find(old)
        while at >= 0:
            yield form[:at] + new + form[at + len(old) :]
            at = form.find(old, at + 1)
    words = form.split("_")
    for k in range(len(words) - 1):
        word = words[k].removesuffix("'s")
        for base in (word, *lexicon.base_forms(word, wordnet.words)):
            if base != words[k]:
                yield "_".join([*words[:k], base, *words[k + 1 :]])
