"""The fit of each sense of a label to its context: its bracket, folder or superclass,
or the rest of a compound.

Context words are read like labels, so that *computer equipment* is an equipment. If
several labels share the words, only the senses that most of these labels can be
hyponyms of count. For example, the *plants* of herbs and trees are not factories. A
sense is *below* the words if it is one of their senses or a hyponym of one, or if its
gloss begins with one of them. A sense *mentions* the words if its gloss contains one of
them or a synonym. A sense is *related* if its gloss contains the head of a narrow
hypernym of the words (of a guitar, *instrument*), or if it is below such a hypernym.
The parts of a compound or path are weaker evidence: they do not describe the whole
label.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dsi_cli.wordnet.database.taxonomy import hypernym_closure
from dsi_cli.wordnet.database.wordnet import WordNet
from dsi_cli.wordnet.disambiguation.candidates import (
    LabelCandidates,
    find_candidates,
    read_label,
)

Floats = npt.NDArray[np.float64]
UNRELATED_PENALTY, SAME_FILE_PENALTY, HYPERNYM_PENALTY = 2.0, 1.8, 1.0
"""The penalties for a sense that does not fit its context: unrelated, in the same
lexicographer file, related by a hypernym.
"""
SUPERCLASS_WEIGHT = 1.5  # the weight of a superclass relative to a bracket or folder
MAX_NARROW_SIZE = 3000  # the maximum number of synsets at and below a narrow hypernym
PERSONS = ("people", "person")
"""An irregular plural that WordNet's rules lack; the senses of "people" are groups,
which have no person below them.
"""
MAX_LEVELS_UP = 2
"""The maximum number of edges to a narrow hypernym: an airplane is a heavier-than-air
craft and an aircraft.
"""
_STOP_WORDS = frozenset(
    (
        "the",
        "and",
        "for",
        "with",
        "that",
        "used",
        "from",
        "which",
        "its",
        "any",
        "being",
        "having",
        "not",
        "one",
    )
)


class LabelContext(NamedTuple):
    """The meaning of context words: their senses and stems, their narrow hypernyms and
    the stems of these.
    """

    senses: frozenset[int] = frozenset()
    words: frozenset[str] = frozenset()
    wider: frozenset[int] = frozenset()
    heads: frozenset[str] = frozenset()

    def fits(self, nodes: frozenset[int], words: Iterable[str]) -> bool:
        """Return whether one of a sense's hypernyms is a sense of the context, or one
        of some words is a word of it.
        """
        return bool(nodes & self.senses or self.words.intersection(words))


def stems(text: str) -> list[str]:
    """Return the words of a text with at least three letters, without stop words and
    the plural's *s*.
    """
    words = re.findall(r"[a-z]{3,}", text.lower())
    return [
        word.removesuffix("s") if len(word) > 3 else word
        for word in words
        if word not in _STOP_WORDS
    ]


@lru_cache(maxsize=4096)
def _senses(text: str, wordnet: WordNet) -> frozenset[int]:
    plural, singular = PERSONS
    texts = dict.fromkeys(
        (text, re.sub(rf"\b{plural}\b", singular, text, flags=re.IGNORECASE))
    )
    return frozenset(
        candidate.node
        for text in texts
        for candidate in read_label(text, wordnet).candidates
    )


def _context(text: str, senses: Iterable[int], wordnet: WordNet) -> LabelContext:
    lemmas, sizes = wordnet.words.lemmas, wordnet.kinds["size"]
    wider: set[int] = set()
    level = set(senses)
    for _ in range(MAX_LEVELS_UP):
        parents = {
            parent for node in level for parent in wordnet.taxonomy.parents_of(node)
        }
        level = {parent for parent in parents if sizes[parent] < MAX_NARROW_SIZE}
        wider |= level
    synonyms = [lemma for node in senses for lemma in lemmas(node) if "_" not in lemma]
    heads = [lemma.rpartition("_")[2] for node in wider for lemma in lemmas(node)]
    word_stems = frozenset(stem for word in (text, *synonyms) for stem in stems(word))
    head_stems = frozenset(stem for head in heads for stem in stems(head))
    return LabelContext(frozenset(senses), word_stems, frozenset(wider), head_stems)


def _merged(contexts: Iterable[LabelContext]) -> LabelContext:
    merged = LabelContext()
    for context in contexts:
        merged = LabelContext(
            merged.senses | context.senses,
            merged.words | context.words,
            merged.wider | context.wider,
            merged.heads | context.heads,
        )
    return merged


def _fit_of_label(
    reading: LabelCandidates, contexts: Mapping[str, LabelContext], wordnet: WordNet
) -> list[tuple[float, float, float]]:
    """Return the two features and the penalty of each candidate of a label, see
    `context_fit`.
    """
    if not any(
        (reading.context, reading.descriptions, reading.superclass, reading.excluded)
    ):
        return [(0.0, 0.0, 0.0)] * len(reading.candidates)
    part_senses = set()
    for text in reading.context:
        part_senses |= {sense.node for sense in find_candidates(text, wordnet)}
    part_words = frozenset(stems(" ".join(reading.context)))
    descriptions = _merged(contexts[text] for text in reading.descriptions)
    superclass = _merged(contexts[text] for text in reading.superclass)
    excluded = _merged(contexts[text] for text in reading.excluded)
    described = _merged((descriptions, superclass))
    files = wordnet.kinds["file"]
    context_files = {files[node] for node in described.senses}
    glosses = wordnet.definitions([sense.node for sense in reading.candidates])
    words_of_candidates = [stems(gloss) for gloss in glosses]
    # Words without a noun sense, such as *electronic*, still exclude the senses that do
    # not mention them if another sense does.
    has_context = bool(context_files) or not described.words.isdisjoint(
        chain(*words_of_candidates)
    )
    rows: list[tuple[float, float, float]] = []
    for candidate, words in zip(reading.candidates, words_of_candidates, strict=True):
        nodes = hypernym_closure(wordnet.taxonomy, candidate.node)
        shares_head = not described.heads.isdisjoint(words)
        is_related = shares_head or bool(nodes & described.wider)
        # The penalty, by how closely the candidate is related to the context
        if excluded.fits(nodes, words):
            penalty = UNRELATED_PENALTY
        elif described.fits(nodes, words) or not has_context:
            penalty = 0.0
        elif is_related:
            penalty = HYPERNYM_PENALTY
        elif files[candidate.node] in context_files:
            penalty = SAME_FILE_PENALTY
        else:
            penalty = UNRELATED_PENALTY
        # A gloss that begins with the context states its kind: a bus is "a vehicle
        # carrying many passengers".
        is_below_part = bool((nodes - {candidate.node}) & part_senses)
        is_below = descriptions.fits(nodes, words[:1]) or is_below_part
        fit = is_below + SUPERCLASS_WEIGHT * superclass.fits(nodes, words[:1])
        shares_word = not (described.words | part_words).isdisjoint(words)
        rows.append((fit, is_related or shares_word, penalty))
    return rows


def context_fit(
    readings: Sequence[LabelCandidates], wordnet: WordNet
) -> tuple[dict[str, Floats], Floats]:
    """Return how well each candidate fits the context of its label: two features by
    name, and a penalty.

    The first feature counts whether the candidate is below the context, where a
    superclass counts `SUPERCLASS_WEIGHT`. The second is 1 if the candidate mentions the
    context or is related to it. The penalty is 0 if the candidate is below its
    description or superclass, or mentions it, or if these have no sense and no
    candidate mentions them. Otherwise it is `HYPERNYM_PENALTY` for related senses,
    `SAME_FILE_PENALTY` for senses in the same lexicographer file, and else
    `UNRELATED_PENALTY`. It is also `UNRELATED_PENALTY` for a candidate that is below
    the words that the label excludes, or mentions them.
    """
    # Count for each sense of a description or superclass the labels that can be
    # hyponyms of it.
    fitting: dict[str, Counter[int]] = {}
    texts: set[str] = set()
    for reading in readings:
        hypernyms: set[int] = set()
        for candidate in reading.candidates:
            hypernyms |= hypernym_closure(wordnet.taxonomy, candidate.node)
        for text in (*reading.descriptions, *reading.superclass):
            counts = fitting.setdefault(text, Counter())
            counts.update(hypernyms & _senses(text, wordnet))
        texts.update(reading.descriptions, reading.superclass, reading.excluded)
    # Keep the senses that fit most labels.
    contexts = {}
    for text in texts:
        senses = _senses(text, wordnet)
        if fitting.get(text):
            most = max(fitting[text].values())
            senses = frozenset(
                node for node, number in fitting[text].items() if number == most
            )
        contexts[text] = _context(text, senses, wordnet)
    rows = []
    for reading in readings:
        rows += _fit_of_label(reading, contexts, wordnet)
    below, mentioned, penalty = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return {"context": below, "context in gloss": mentioned}, penalty
