"""The features of all candidate senses of a list of labels.

`LABEL_FEATURES` describe a sense by itself: how common it is for its word, and what
kind of thing it is. `LIST_FEATURES` compare it with the probable senses of the other
labels: whether these are close in the taxonomy, the same, hypernyms or hyponyms.
`dsi_cli.wordnet.disambiguation.scoring` weights the features.

Closeness needs no loop over pairs. The probabilities of each label's senses are summed
up to all hypernyms, so that ``n`` other labels are expected below a hypernym. The
closeness of a sense is the largest ``log(n / (n + k)) - log(size)`` of its hypernyms.
``size`` is the hypernym's share of all nouns, and ``k`` the number of labels that count
as evidence. The cost is linear in the number of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsi_cli.wordnet.database.lexicon import letters_and_digits
from dsi_cli.wordnet.database.taxonomy import hypernym_closure
from dsi_cli.wordnet.database.wordnet import WordNet
from dsi_cli.wordnet.disambiguation.candidates import PLURAL, Candidate, LabelCandidates
from dsi_cli.wordnet.disambiguation.context import context_fit, stems

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
    "abstract": (
        4,
        7,
        9,
        10,
        11,
        12,
        14,
        16,
        19,
        21,
        22,
        23,
        24,
        25,
        26,
        28,
        31,
        37,
        40,
        42,
    ),
}
"""Groups of WordNet's lexicographer files, because some kinds of things are
photographed more often than others.

File 3 is in no group. For verbs (29 to 43), those of cognition, emotion, possession and
state are abstract; the others are in no group.
"""
LABEL_FEATURES = (
    *(
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
    ),
    *("context", "context in gloss", "labels in gloss"),
    *LEXICOGRAPHER_FILES,
)
"""The features of a sense by itself:

rank: the log rank of the sense. share: the log share of the word's count in tagged
text. instance: the sense is a named person or place. own name: the word is the synset's
first name. words: the log number of the synset's words. size: the log number of its
hyponyms. leaf: it has no hyponyms. depth: tens of edges to the root. parts, derived:
the log number of pointers to parts and to derived words. plural: only the singular
matches although the plural is also a word. names: the log number of the label's names
that can mean it. context, context in gloss: `dsi_cli.wordnet.disambiguation.context`.
labels in gloss: the number of words of other labels in its gloss, up to 3. The
remaining features are the groups of `LEXICOGRAPHER_FILES`.
"""
LIST_FEATURES = (
    *("near 0.5", "near 8", "near tenth", "can share"),
    *("same kind", "same synset", "above others", "below others"),
)
"""The features of a sense within a list:

near: the closeness to other labels, with ``k`` of 0.5, 8 and a tenth of the list. can
share: the largest ``p * log(p / s)`` of a hypernym. Here ``p`` is the share of the
other labels with any sense below it, and ``s`` is its share of all nouns. This finds
the topic of the list without choosing senses. same kind: the log share of the other
labels in the same lexicographer file. same synset: another label means the synset.
above others, below others: another label means a hyponym or a hypernym. These two count
less in lists where many labels are hyponyms of other labels.
"""
NESTED_WEIGHT = 8.0
"""The factor of the share of nested labels: "above others" and "below others" are
ignored if an eighth of the labels is nested.
"""
MIN_CLOSENESS = -5.0
LEXICOGRAPHER_FILE_COUNT = 64


@dataclass(frozen=True, eq=False)
class CandidateTable:
    """All K candidates of a list's labels, as arrays."""

    wordnet: WordNet
    labels: Sequence[str]
    # the candidates of each label, and the words next to them
    readings: Sequence[LabelCandidates]
    senses: Sequence[Candidate]  # the candidates of all labels ``(K,)``
    label: Rows  # the index of the label of each candidate ``(K,)``
    node: Rows  # the node of each candidate ``(K,)``
    alone: (
        Floats  # the features of each candidate by itself ``(K, len(LABEL_FEATURES))``
    )
    # the candidate of each of P pairs of a candidate and a node at or above its node
    # ``(P,)``
    candidate: Rows
    hypernym: Rows  # the node of each pair ``(P,)``
    # an index that pairs with the same label and the same hypernym share ``(P,)``
    group: Rows
    file: Rows  # the lexicographer file of each candidate ``(K,)``
    # the penalty for not fitting the label's context ``(K,)``, from 0 to
    # `context.UNRELATED_PENALTY`
    unfit: Floats

    @property
    def count(self) -> int:
        """The number of labels."""
        return len(self.labels)


def candidate_table(
    labels: Sequence[str], readings: Sequence[LabelCandidates], wordnet: WordNet
) -> CandidateTable:
    """Return the candidates of all labels with their features."""
    senses: list[Candidate] = []
    label_of_sense: list[int] = []
    for index, reading in enumerate(readings):
        senses += reading.candidates
        label_of_sense += [index] * len(reading.candidates)
    label = np.array(label_of_sense, dtype=np.intp)
    node = np.array([sense.node for sense in senses], dtype=np.intp)
    features, unfit = context_fit(readings, wordnet)
    features |= _word_features(labels, senses, label, wordnet)
    features |= _synset_features(node, wordnet)

    # Pair each candidate with all nodes at or above its node.
    candidate_of_pair: list[int] = []
    hypernym_of_pair: list[int] = []
    for row, sense in enumerate(senses):
        closure = hypernym_closure(wordnet.taxonomy, sense.node)
        candidate_of_pair += [row] * len(closure)
        hypernym_of_pair += closure
    candidate = np.array(candidate_of_pair, dtype=np.intp)
    hypernym = np.array(hypernym_of_pair, dtype=np.intp)
    keys = label[candidate] * len(wordnet.taxonomy.names) + hypernym
    _, group = np.unique(keys, return_inverse=True)
    return CandidateTable(
        wordnet=wordnet,
        labels=labels,
        readings=readings,
        senses=senses,
        label=label,
        node=node,
        alone=np.column_stack([features[name] for name in LABEL_FEATURES]),
        candidate=candidate,
        hypernym=hypernym,
        group=group,
        file=wordnet.kinds["file"][node],
        unfit=unfit,
    )


def _word_features(
    labels: Sequence[str], senses: Sequence[Candidate], label: Rows, wordnet: WordNet
) -> dict[str, Floats]:
    """Return the features of the words of each candidate."""
    words, names = wordnet.words, wordnet.taxonomy.names
    label_stems = [frozenset(stems(text)) for text in labels]
    all_stems = frozenset().union(*label_stems)
    glosses = wordnet.definitions([sense.node for sense in senses])
    exact_labels = set()
    for index, sense in zip(label.tolist(), senses, strict=True):
        if sense.how != PLURAL:
            exact_labels.add(index)
    share, own_name, plural, in_gloss = [], [], [], []
    for index, sense, gloss in zip(label.tolist(), senses, glosses, strict=True):
        start = words.starts[words.rows[sense.word]]
        counts = words.counts[start : start + sense.senses] + 0.5
        share.append(counts[sense.rank] / counts.sum())
        name = letters_and_digits(names[sense.node].rsplit(".", 2)[0])
        own_name.append(name == letters_and_digits(sense.word))
        plural.append(sense.how == PLURAL and index in exact_labels)
        # the number of words of other labels in the gloss
        mentioned = all_stems.intersection(stems(gloss)) - label_stems[index]
        in_gloss.append(min(len(mentioned), 3))
    return {
        "rank": -np.log1p([sense.rank for sense in senses]),
        "share": np.log(share),
        "own name": np.array(own_name, dtype=np.float64),
        "plural": np.array(plural, dtype=np.float64),
        "names": np.log([sense.names for sense in senses]),
        "labels in gloss": np.array(in_gloss, dtype=np.float64),
    }


def _synset_features(node: Rows, wordnet: WordNet) -> dict[str, Floats]:
    """Return the features of the synset of each candidate."""
    kinds = {name: column[node] for name, column in wordnet.kinds.items()}
    features: dict[str, Floats] = {
        "instance": kinds["instance"].astype(np.float64),
        "words": np.log(kinds["words"]),
        "size": np.log(kinds["size"]),
        "leaf": (kinds["size"] == 1).astype(np.float64),
        "depth": wordnet.taxonomy.depths[node] / 10.0,
        "parts": np.log1p(kinds["parts"]),
        "derived": np.log1p(kinds["derived"]),
    }
    for name, files in LEXICOGRAPHER_FILES.items():
        features[name] = np.isin(kinds["file"], files).astype(np.float64)
    return features


def list_features(table: CandidateTable, chances: Floats) -> Floats:
    """Return the features of each candidate within the list ``(K,
    len(LIST_FEATURES))``, from the candidates' chances ``(K,)``.
    """
    candidates = len(table.node)
    nodes = len(table.wordnet.taxonomy.offsets)
    files = LEXICOGRAPHER_FILE_COUNT
    size = table.wordnet.kinds["size"][table.hypernym] / nodes
    others_in_list = max(table.count - 1, 1)

    # Near: the other labels that are expected at or below each hypernym, relative to
    # the size of the hypernym
    weight = chances[table.candidate]
    all_labels = np.bincount(table.hypernym, weight, minlength=nodes)[table.hypernym]
    own_label = np.bincount(table.group, weight)[table.group]
    others = np.maximum(all_labels - own_label, 0.0)
    near = np.full((3, candidates), MIN_CLOSENESS)
    for closeness, k in zip(near, (0.5, 8.0, 0.1 * others_in_list), strict=True):
        of_pair = np.log((others + 1e-9) / (others + k)) - np.log(size)
        np.maximum.at(closeness, table.candidate, of_pair)

    # Can share: the other labels that can be below a hypernym, whichever sense they
    # have
    _, first = np.unique(table.group, return_index=True)
    can_be_below = np.bincount(table.hypernym[first], minlength=nodes)
    share = (can_be_below[table.hypernym] - 1.0) / others_in_list
    can_share = np.zeros(candidates)
    of_pair = share * np.log(np.maximum(share, 1e-9) / size)
    np.maximum.at(can_share, table.candidate, of_pair)

    # Same kind: the other labels in the same lexicographer file
    keys = table.label * files + table.file
    of_label = np.bincount(keys, chances, minlength=table.count * files)[keys]
    of_all = np.bincount(table.file, chances, minlength=files)[table.file]
    of_others = np.maximum(of_all - of_label, 0.0)
    same_kind = np.log((of_others + 0.5) / (others_in_list + 13.0))

    # Same synset, and above others: other labels at a candidate's node, and below it
    at_node = np.bincount(table.node, chances, minlength=nodes)
    same = np.minimum(at_node[table.node] - chances, 1.0)
    is_self = table.hypernym == table.node[table.candidate]
    is_above = np.clip(others[is_self] - same, 0.0, 1.0)

    # Below others: labels at a candidate's hypernyms, except candidates of the same
    # label
    own = np.bincount(table.group, weight * is_self)[table.group]
    at_hypernym = np.where(is_self, 0.0, at_node[table.hypernym] - own)
    is_below = np.bincount(table.candidate, at_hypernym, minlength=candidates)
    is_below = np.clip(is_below, 0.0, 1.0)

    # Both count less in lists with many nested labels.
    nested_labels = np.bincount(
        table.label, chances * is_below, minlength=table.count
    ).sum()
    nested = float(nested_labels) / max(table.count, 1)
    trust = max(0.0, 1.0 - NESTED_WEIGHT * nested)
    return np.column_stack(
        [*near, can_share, same_kind, same, is_above * trust, is_below * trust]
    )
