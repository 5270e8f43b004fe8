"""How well each sense of a label fits the words beside it: its bracket, folder or superclass, or the rest of a compound.

The words beside a label are read as labels are, so that *computer equipment* is an equipment. Words that several labels share
count only in the senses that most of these labels can lie below: among *plants* that are herbs and trees no plant is a factory.
A sense *lies below* the words where it is one of their senses or a kind of it. It is *named* with them where its gloss has one of
the words, a synonym of theirs, or the head of a narrow hypernym (of a guitar *instrument*), or where it lies below such a hypernym.
The parts of a compound or path stand beside it as they are: they are no description of the whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat

import numpy as np
import numpy.typing as npt

from dsi_cli.wordnet.database.taxonomy import hypernym_closure
from dsi_cli.wordnet.database.wordnet import WordNet
from dsi_cli.wordnet.disambiguation.candidates import LabelCandidates, read_label
from dsi_cli.wordnet.disambiguation.forms import find_candidates

Floats = npt.NDArray[np.float64]

UNRELATED_PENALTY, SAME_FILE_PENALTY, HYPERNYM_PENALTY = 2.0, 1.8, 1.0
"""How badly a sense fits what stands beside its label: not at all, as the same kind of thing, by a hypernym of it."""
SUPERCLASS_WEIGHT = 3.0
"""Words beside a label that its superclass counts for."""
MAX_NARROW_SIZE = 3000
"""Synsets at and below a hypernym of the words beside a label that still says what they are about."""
PERSONS = ("people", "person")
"""An irregular plural that WordNet's rules lack; its own senses are groups, which no person lies below."""
MAX_LEVELS_UP = 2
"""How far above the words such a hypernym may be: an airplane is a heavier-than-air craft and an aircraft."""

_STOP = frozenset(
    ("the", "and", "for", "with", "that", "used", "from", "which", "its", "any", "being", "having", "not", "one")
)


@dataclass(frozen=True)
class LabelContext:
    """What words beside a label mean: nodes, words that name them in a gloss; narrow hypernyms, and words that name these."""

    senses: frozenset[int]
    words: frozenset[str]
    wider: frozenset[int] = frozenset()
    heads: frozenset[str] = frozenset()


def stems(text: str) -> list[str]:
    """Return the words of three letters and more of a text that say something, without a plural's *s*."""
    words = re.findall(r"[a-z]{3,}", text.lower())
    return [word.removesuffix("s") if len(word) > 3 else word for word in words if word not in _STOP]


def label_contexts(readings: Sequence[LabelCandidates], wordnet: WordNet) -> dict[str, LabelContext]:
    """Return what each text that stands beside a label means, in this list."""
    fitting: dict[str, Counter[int]] = {}
    for reading in readings:
        texts = [text for text in (*reading.beside, *reading.superclass) if _senses(text, wordnet)]
        over = {node for one in reading.candidates for node in hypernym_closure(wordnet.taxonomy, one.node)} if texts else set()
        for text in texts:
            fitting.setdefault(text, Counter()).update(over & _senses(text, wordnet))
    known = {}
    for text in {text for reading in readings for text in (*reading.beside, *reading.superclass, *reading.excluded)}:
        count = fitting.get(text)
        most = max(count.values()) if count else 0
        senses = frozenset(node for node, fits in count.items() if fits == most) if count else _senses(text, wordnet)
        known[text] = _about(text, senses, wordnet)
    return known


@lru_cache(maxsize=4096)
def _senses(text: str, wordnet: WordNet) -> frozenset[int]:
    plural, single = PERSONS
    texts = dict.fromkeys((text, re.sub(rf"\b{plural}\b", single, text, flags=re.IGNORECASE)))
    return frozenset(found.node for text in texts for found in read_label(text, wordnet).candidates)


def _about(text: str, senses: Iterable[int], wordnet: WordNet) -> LabelContext:
    names, sizes = wordnet.words.lemmas, wordnet.kinds["size"]
    wider, level = set(), set(senses)
    for _ in range(MAX_LEVELS_UP):
        level = {over for node in level for over in wordnet.taxonomy.parents_of(node) if sizes[over] < MAX_NARROW_SIZE}
        wider |= level
    synonyms = [lemma for node in senses for lemma in names(node) if "_" not in lemma]
    heads = [lemma.rpartition("_")[2] for node in wider for lemma in names(node)]
    words, of_wider = (frozenset(stem for one in some for stem in stems(one)) for some in ((text, *synonyms), heads))
    return LabelContext(frozenset(senses), words, frozenset(wider), of_wider)


@lru_cache(maxsize=4096)
def _part(text: str, wordnet: WordNet) -> LabelContext:
    return LabelContext(frozenset(one.node for one in find_candidates(text, wordnet)), frozenset(stems(text)))


def context_fit(readings: Sequence[LabelCandidates], wordnet: WordNet) -> tuple[list[Floats], Floats]:
    """Return how well each candidate fits the words beside its label: two arrays of evidence, and how badly it does.

    The evidence is whether it lies below any of the words, where a superclass counts `SUPERCLASS_WEIGHT`, and whether it is named with
    any. Where bracket, folder or superclass mean something that it neither lies below nor is named with, it fits badly: it is
    only named with a hypernym of theirs (`HYPERNYM_PENALTY`), only of the same lexicographer file (`SAME_FILE_PENALTY`), or neither (`UNRELATED_PENALTY`). A sense
    that lies below, or is named with, what the label excludes is `UNRELATED_PENALTY`, too.
    """
    known, files, rows = label_contexts(readings, wordnet), wordnet.kinds["file"], []
    for reading in readings:
        parts = [_part(text, wordnet) for text in reading.context]
        said, top = ([known[text] for text in texts] for texts in (reading.beside, reading.superclass))
        excluded = [known[text] for text in reading.excluded]
        kinds = {files[node] for words in (*said, *top) for node in words.senses}
        glosses = (
            wordnet.definitions([one.node for one in reading.candidates])
            if parts or said or top or excluded
            else repeat("")
        )
        for one, gloss in zip(reading.candidates, glosses, strict=False):
            at, says = hypernym_closure(wordnet.taxonomy, one.node), frozenset(stems(gloss))
            is_below, is_below_top = (any(at & words.senses for words in some) for some in (said, top))
            is_named = any(says & words.words for words in (*said, *top))
            is_about = any(says & words.heads or at & words.wider for words in (*said, *top))
            is_part = any((at - {one.node}) & words.senses for words in parts)
            below = (is_below or is_part) + SUPERCLASS_WEIGHT * is_below_top
            named = is_named or is_about or any(says & words.words for words in parts)
            is_fit = is_below or is_below_top or is_named or not kinds
            badly = 0.0 if is_fit else HYPERNYM_PENALTY if is_about else SAME_FILE_PENALTY if files[one.node] in kinds else UNRELATED_PENALTY
            if any(at & words.senses or says & words.words for words in excluded):
                badly = UNRELATED_PENALTY
            rows.append((below, named, badly))
    evidence = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return list(evidence[:2]), evidence[2]
