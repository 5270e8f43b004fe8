"""What speaks for each sense that the labels of a list could have: numbers, none of which knows the answer.

``alone`` looks at a sense by itself: how usual it is for its word, what kind of thing it is. ``list_features`` looks at what
the other labels of the list probably mean: whether they lie near it in the taxonomy, mean the same, or lie above or
below it. Weights are `dsi_cli.wordnet.disambiguation.scoring`'s.

Near is measured without pairs. Each label's chances flow up to all hypernyms, so a hypernym knows how many other labels
it expects below. Of the hypernyms of a sense the one counts that is narrowest for the labels it holds: ``log(n / (n + k))
- log(size)``, where ``n`` are the other labels expected below it, ``size`` its share of all nouns, and ``k`` how many
labels are taken to be evidence. The cost grows with the number of labels, not with its square.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsi_cli.wordnet.database.taxonomy import hypernym_closure
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet
from dsi_cli.wordnet.disambiguation.candidates import LabelCandidates
from dsi_cli.wordnet.disambiguation.context import context_fit, stems
from dsi_cli.wordnet.disambiguation.forms import PLURAL

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

LEXICOGRAPHER_FILES = {
    "animal": (5,),
    "artifact": (6,),
    "body": (8,),
    "food": (13,),
    "place": (15,),
    "object": (17,),
    "person": (18,),
    "plant": (20,),
    "substance": (27,),
    "abstract": (4, 7, 9, 10, 11, 12, 14, 16, 19, 21, 22, 23, 24, 25, 26, 28, 31, 37, 40, 42),
}
"""Groups of WordNet's lexicographer files: which kinds of things are photographed. File 3 is in none. Of verbs (29 to 43) those
of cognition, emotion, possession and state are abstract, the others in none."""

LABEL_FEATURES = (
    "rank",
    "share",
    "instance",
    "own name",
    "words",
    "size",
    "leaf",
    "depth",
    "parts",
    "derived",
    "plural",
    "names",
    "context",
    "context in gloss",
    "labels in gloss",
    *LEXICOGRAPHER_FILES,
)
"""rank: of the sense, log. share: of the word's occurrences in tagged text, log. instance: a
person or place with a name. own name: the synset's first name is the word. words: of the synset, log. size: hyponyms at
and below, log. leaf: none below. depth: tens of edges. parts, derived: pointers to parts, to derived words, log. plural:
found only by its singular although the plural is a word of its own. names: of the label's names that can mean it, log.
context, context in gloss: see `dsi_cli.wordnet.disambiguation.context`. labels in gloss: words of other labels in its gloss,
up to 3. Then the kind of thing."""

LIST_FEATURES = ("near 0.5", "near 8", "near tenth", "can share", "same kind", "same synset", "above others", "below others")
"""near: see above, with k of 0.5, 8 and a tenth of the list. can share: the greatest ``p * log(p / s)`` of a hypernym, where
``p`` is the share of the other labels that have any sense below it and ``s`` its share of all nouns: what the list may be about,
whatever its labels seem to mean. same kind: log share of the other labels in the same lexicographer file. same synset: another
label means it. above, below others: another label means a hyponym, a hypernym (less evidence where many labels of the list lie
within each other)."""

NESTED = 8.0
"""Above and below others is no evidence where this share, inverted (an eighth), of the labels lie below others."""
_FARTHEST = -5.0


@dataclass(frozen=True, eq=False)
class CandidateTable:
    """All candidates of a list's labels, as arrays of K.

    Attributes
    ----------
    of : Net
        Whose nodes they are.
    count : int
        Labels.
    label, node : (K,) int
        Of each candidate.
    alone : (K, len(ALONE)) float
    under, above : (P,) int
        A candidate, and a node at or above its node, for each such pair.
    shared : (P,) int
        A number that the pairs of one label and one node above have in common.
    file : (K,) int
        Lexicographer file.
    unfit : (K,) float
        How badly the candidate fits the label's bracket, folder or superclass, from 0 to `UNFIT`.
    """

    of: WordNet
    count: int
    label: Rows
    node: Rows
    alone: Floats
    under: Rows
    above: Rows
    shared: Rows
    file: Rows
    unfit: Floats


def candidate_table(labels: Sequence[str], readings: Sequence[LabelCandidates], wordnet: WordNet | None = None) -> CandidateTable:
    """Return the candidates of all labels with what speaks for each alone; of WordNet 3.0's nouns unless others are given."""
    wordnet = wordnet or load_wordnet()
    label = np.repeat(np.arange(len(labels)), [len(reading.candidates) for reading in readings])
    node = np.array([one.node for reading in readings for one in reading.candidates], dtype=np.intp)
    over = [hypernym_closure(wordnet.taxonomy, int(one)) for one in node]
    under = np.repeat(np.arange(len(node)), [len(nodes) for nodes in over])
    flat = np.array([one for nodes in over for one in nodes], dtype=np.intp)
    _, shared = np.unique(label[under] * len(wordnet.taxonomy.offsets) + flat, return_inverse=True)
    in_context, unfit = context_fit(readings, wordnet)
    parts = [
        *_of_words(readings, wordnet),
        *_of_synsets(node, wordnet),
        *in_context,
        _in_glosses(labels, readings, wordnet),
    ]
    order = [_COMPUTED.index(name) for name in LABEL_FEATURES]
    file = wordnet.kinds["file"][node]
    return CandidateTable(
        wordnet, len(labels), label, node, np.column_stack(parts)[:, order], under, flat, shared, file, unfit
    )


_COMPUTED = (
    *("rank", "share", "own name", "plural", "names"),
    *("instance", "words", "size", "leaf", "depth", "parts", "derived", *LEXICOGRAPHER_FILES),
    *("context", "context in gloss", "labels in gloss"),
)


def _of_words(readings: Sequence[LabelCandidates], wordnet: WordNet) -> list[Floats]:
    known, names, rows = wordnet.words, wordnet.taxonomy.names, []
    for reading in readings:
        has_exact = any(one.how != PLURAL for one in reading.candidates)
        for one in reading.candidates:
            start = known.starts[known.rows[one.word]]
            counts = known.counts[start : start + one.senses]
            share = np.log((counts[one.rank] + 0.5) / (counts.sum() + 0.5 * one.senses))
            is_own = names[one.node].rsplit(".", 2)[0] == one.word
            is_weak = has_exact and one.how == PLURAL
            rows.append((-np.log1p(one.rank), share, is_own, is_weak, np.log(one.names)))
    return list(np.array(rows, dtype=np.float64).reshape(-1, 5).T)


def _of_synsets(node: Rows, wordnet: WordNet) -> list[Floats]:
    known = {name: column[node] for name, column in wordnet.kinds.items()}
    found = [
        known["instance"].astype(np.float64),
        np.log(known["words"]),
        np.log(known["size"]),
        (known["size"] == 1).astype(np.float64),
        wordnet.taxonomy.depths[node] / 10.0,
        np.log1p(known["parts"]),
        np.log1p(known["derived"]),
    ]
    return found + [np.isin(known["file"], files).astype(np.float64) for files in LEXICOGRAPHER_FILES.values()]


def _in_glosses(labels: Sequence[str], readings: Sequence[LabelCandidates], wordnet: WordNet) -> Floats:
    own = [frozenset(stems(label)) for label in labels]
    in_labels = Counter(word for words in own for word in words)
    glosses = (wordnet.definitions([one.node for one in reading.candidates]) for reading in readings)
    says = ((frozenset(stems(gloss)) - words) for words, some in zip(own, glosses, strict=True) for gloss in some)
    return np.array([min(sum(word in in_labels for word in words), 3) for words in says], dtype=np.float64)


def list_features(field: CandidateTable, chances: Floats) -> Floats:
    """Return what speaks for each candidate given the chances of all.

    Parameters
    ----------
    chances : (K,) float
        Of each candidate; a label's add up to 1.

    Returns
    -------
    (K, len(TOGETHER)) float
    """
    nodes = len(field.of.taxonomy.offsets)
    weight = chances[field.under]
    below = np.bincount(field.above, weight, minlength=nodes)[field.above] - np.bincount(field.shared, weight)[field.shared]
    others = np.maximum(below, 0.0)
    near = [_near(field, others, k) for k in (0.5, 8.0, 0.1 * max(field.count - 1, 1))]
    same = np.minimum(np.bincount(field.node, chances, minlength=nodes)[field.node] - chances, 1.0)
    over, under = _within(field, chances, others, same)
    nested = np.bincount(field.label, chances * under, minlength=field.count).mean() if field.count else 0.0
    trust = max(0.0, 1.0 - NESTED * float(nested))
    return np.column_stack([*near, _can_share(field), _same_kind(field, chances), same, over * trust, under * trust])


def _near(field: CandidateTable, others: Floats, k: float) -> Floats:
    share = field.of.kinds["size"][field.above] / len(field.of.taxonomy.offsets)
    value = np.log((others + 1e-9) / (others + k)) - np.log(share)
    out = np.full(len(field.node), _FARTHEST)
    np.maximum.at(out, field.under, value)
    return out


def _can_share(field: CandidateTable) -> Floats:
    """Return how much more of the other labels could lie below a hypernym of each candidate than of all nouns do."""
    nodes = len(field.of.taxonomy.offsets)
    _, first = np.unique(field.shared, return_index=True)
    can = np.bincount(field.above[first], minlength=nodes)[field.above] - 1.0
    part = can / max(field.count - 1, 1)
    size = field.of.kinds["size"][field.above] / nodes
    out = np.zeros(len(field.node))
    np.maximum.at(out, field.under, part * np.log(np.maximum(part, 1e-9) / size))
    return out


def _within(field: CandidateTable, chances: Floats, others: Floats, same: Floats) -> tuple[Floats, Floats]:
    """Return how many other labels lie below each candidate, and above it, up to 1."""
    count, nodes = len(field.node), len(field.of.taxonomy.offsets)
    is_self = field.above == field.node[field.under]
    over = np.zeros(count)
    over[field.under[is_self]] = others[is_self]
    at = np.bincount(field.node, chances, minlength=nodes)[field.above]
    key = field.label * nodes + field.node
    order = np.argsort(key, kind="stable")
    sought = field.label[field.under] * nodes + field.above
    place = np.minimum(np.searchsorted(key[order], sought), count - 1)
    own = np.where(key[order][place] == sought, chances[order][place], 0.0)
    under = np.bincount(field.under, np.where(is_self, 0.0, at - own), minlength=count)
    return np.clip(over - same, 0.0, 1.0), np.clip(under, 0.0, 1.0)


def _same_kind(field: CandidateTable, chances: Floats) -> Floats:
    files = 64
    of_list = np.bincount(field.file, chances, minlength=files)
    of_label = np.bincount(field.label * files + field.file, chances, minlength=field.count * files)
    others = np.maximum(of_list[field.file] - of_label[field.label * files + field.file], 0.0)
    share: Floats = np.log((others + 0.5) / (max(field.count - 1, 1) + 13.0))
    return share
