"""Choose the senses of all labels of a list together, and give the reasons in words.

The probability of each sense depends on the likely senses of the other labels.

The score of each candidate is a weighted sum of its features
(`dsi_cli.wordnet.disambiguation.features`), and its probability is the softmax of the
scores. The first scores consider each label alone. Then features and probabilities are
computed in turn, each new probability the mean of the old and the new one, until they
hardly change (mean-field inference). Finally the synsets are assigned in the order of
falling probability, so that two labels share a synset only if no other fits.

`NOUN_WEIGHTS` are few and general: they name no word, synset or list. ``python -m
benchmarks.sense_weights`` fits them and prints the table; ``docs/labels.md`` gives
their accuracy under cross-validation. For lack of verb lists to fit on, verbs use the
weights of nouns except for a few that were set by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsi_cli.store.schema import UNCERTAIN
from dsi_cli.wordnet.database import lexicon
from dsi_cli.wordnet.database.taxonomy import hypernym_closure
from dsi_cli.wordnet.disambiguation.candidates import HEAD, SPELLED
from dsi_cli.wordnet.disambiguation.context import UNRELATED_PENALTY
from dsi_cli.wordnet.disambiguation.features import (
    LABEL_FEATURES,
    LEXICOGRAPHER_FILES,
    LIST_FEATURES,
    CandidateTable,
    Floats,
    Rows,
    list_features,
)

# Each feature has one weight for a label alone, and one for a label within a list.
NOUN_WEIGHTS: dict[str, tuple[float, float]] = {
    "rank": (-0.09, -0.06),
    "share": (0.46, 0.42),
    "instance": (-0.70, -0.50),
    "own name": (1.95, 1.86),
    "words": (-0.31, -0.30),
    "size": (0.19, 0.36),
    "leaf": (-0.77, -0.51),
    "depth": (1.44, 0.23),
    "parts": (0.18, 0.41),
    "derived": (0.43, 0.37),
    "plural": (-1.19, -0.94),
    "names": (3.35, 2.86),
    "context": (2.19, 1.82),
    "context in gloss": (0.85, 0.83),
    "labels in gloss": (0.13, 0.03),
    "animal": (2.33, 0.52),
    "artifact": (2.35, -0.14),
    "body": (-2.04, -0.50),
    "food": (1.75, 0.48),
    "place": (-0.57, -0.11),
    "object": (0.03, 0.00),
    "person": (-0.81, -0.08),
    "plant": (-0.55, -0.11),
    "substance": (-0.85, -0.14),
    "abstract": (-1.60, -0.05),
    "near 0.5": (0.00, -0.38),
    "near 8": (0.00, 0.63),
    "near tenth": (0.00, 0.54),
    "can share": (0.00, 0.24),
    "same kind": (0.00, 0.45),
    "same synset": (0.00, -3.03),
    "above others": (0.00, -2.91),
    "below others": (0.00, -2.59),
}

VERB_WEIGHTS: dict[str, tuple[float, float]] = NOUN_WEIGHTS | {
    "rank": (0.8, 0.8),
    "share": (0.8, 0.8),
    "own name": (0.6, 0.6),
    "size": (0.1, 0.1),
    "derived": (0.2, 0.2),
    "abstract": (-1.0, -1.0),
    "near 8": (0.0, 0.3),
    "near tenth": (0.0, 0.3),
    "same synset": (0.0, -0.5),
    **dict.fromkeys(
        (
            "words",
            "leaf",
            "depth",
            "near 0.5",
            "can share",
            "above others",
            "below others",
        ),
        (0.0, 0.0),
    ),
}
"""For verbs, the first sense counts more and the shape of the taxonomy less: lists of
actions have *jump* and *high jump*.
"""

NEAR = "near other labels"
EVIDENCE = {
    "the usual sense": ("rank", "share"),
    "the synset's own name": ("own name", "plural"),
    "of a kind that is photographed": (*LEXICOGRAPHER_FILES, "instance"),
    "a richer entry in WordNet": ("words", "size", "leaf", "depth", "parts", "derived"),
    "shared by its names": ("names",),
    "fits its context": ("context", "context in gloss", "labels in gloss"),
    NEAR: ("near 0.5", "near 8", "near tenth", "can share", "same kind"),
    "the other sense is another label's": ("same synset",),
    "the other sense is above or below other labels": ("above others", "below others"),
}
"""Groups of features by their description, for the reasons of choices."""
# the minimum difference of scores for a group of features to be mentioned
MIN_GAIN = 0.3
ROUNDS = 8  # the number of rounds of mean-field inference
# the list length at which the weights for labels alone and the weights for lists count
# equally
HALF_TRUST_LABELS = 3.0
# the score of "none of these senses", which competes even with the only sense of a word
NO_SENSE_SCORE = -1.0
CONTEXT_PENALTY_WEIGHT = 2.5
"""The weight of the penalty for a sense that does not fit the label's bracket, folder
or superclass.
"""
# the minimum probability of a sense that replaces a sense which another label has
MIN_SHARED_CHANCE = 0.05
FORM_CONFIDENCE = {HEAD: 0.6, SPELLED: 0.8}
"""The factors of confidence for words that were found only as a head or in another
spelling.
"""
MAX_UNCERTAIN_CONFIDENCE = 0.5
"""The maximum confidence in four cases: another label has the same words, another label
has the most probable sense, no sense fits the label's bracket, folder or superclass, or
the sense has another topic than nearly all other labels.
"""
MIN_TOPIC_SHARE, MIN_TOPIC_LABELS, MAX_TOPIC_SIZE = 0.8, 4, 0.1
"""A topic is a hypernym or lexicographer file of this share and number of the other
labels, and of at most this share of nouns.
"""
MAX_RARE_SHARE, MAX_RARE_LABELS = 0.1, 2
"""A lexicographer file is rare among the certain senses if it has at most this share or
number of them.
"""


@dataclass(frozen=True, eq=False)
class SenseScores:
    """The ranked senses of one label."""

    candidates: Rows
    """Rows of the candidate table ``(K,)``, the chosen one first, then by decreasing
    probability; may be empty.
    """
    chances: Floats  # the probabilities of the candidates ``(K,)``; their sum is 1
    confidence: float  # the probability in [0, 1] that the chosen sense is right
    is_displaced: bool  # True if a more probable sense was assigned to another label
    # True if nearly all other labels have a topic that the chosen sense lacks
    is_off_topic: bool = False


def load_weights(part: str) -> Floats:
    """Return the weights of nouns or of verbs ``(2, F)``: a row for single labels, and
    one for labels in a list.

    The columns are in the order of ``LABEL_FEATURES`` and ``LIST_FEATURES``.
    """
    weights = NOUN_WEIGHTS if part == "noun" else VERB_WEIGHTS
    return np.array(
        [
            [weights[name][row] for name in (*LABEL_FEATURES, *LIST_FEATURES)]
            for row in (0, 1)
        ]
    )


def select_senses(table: CandidateTable, weights: Floats) -> list[SenseScores]:
    """Return the senses chosen jointly for all labels of a list; the order of the list
    does not matter.
    """
    chances = infer_senses(table, weights)
    # The probability that a label means any of its candidates rather than none
    # (``NO_SENSE_SCORE``)
    raised = np.exp(np.minimum(scores(table, chances, weights).sum(axis=1), 50.0))
    raised = np.bincount(table.label, raised, minlength=table.count)
    fit_chances = raised / (np.exp(NO_SENSE_SCORE) + raised)
    keys = [lexicon.letters_and_digits(label) for label in table.labels]
    numbers = Counter(keys)
    duplicates = frozenset(index for index, key in enumerate(keys) if numbers[key] > 1)
    assigned = _assign_senses(table, chances)
    trust = fit_chances[table.label] * np.array(
        [FORM_CONFIDENCE.get(sense.how, 1.0) for sense in table.senses]
    )
    off_topic = _off_topic(table, assigned, chances * trust >= UNCERTAIN)
    # Rank the candidates of each label.
    starts = np.searchsorted(table.label, np.arange(1, table.count))
    choices = []
    for index, order in enumerate(
        np.split(np.lexsort((-chances, table.label)), starts)
    ):
        if not len(order):
            choices.append(SenseScores(order, np.zeros(0), 0.0, is_displaced=False))
            continue
        pick = assigned[index]
        is_displaced = bool(pick != order[0])
        order = np.concatenate([[pick], order[order != pick]])
        confidence = chances[pick]
        if is_displaced:
            confidence = chances[pick] / max(chances[pick], 1.0 - chances[order[1]])
        confidence = float(confidence * trust[pick])
        if (
            is_displaced
            or off_topic[pick]
            or index in duplicates
            or table.unfit[pick] == UNRELATED_PENALTY
        ):
            confidence = min(confidence, MAX_UNCERTAIN_CONFIDENCE)
        choices.append(
            SenseScores(
                order,
                chances[order],
                min(confidence, 1.0),
                is_displaced,
                bool(off_topic[pick]),
            )
        )
    return choices


def infer_senses(table: CandidateTable, weights: Floats) -> Floats:
    """Return the probabilities of all candidates ``(K,)``; their sum is 1 for each
    label.
    """
    penalty = CONTEXT_PENALTY_WEIGHT * table.unfit
    chances = softmax(table, table.alone @ weights[0, : len(LABEL_FEATURES)] - penalty)
    for _ in range(ROUNDS):
        chances = 0.5 * (
            chances
            + softmax(table, scores(table, chances, weights).sum(axis=1) - penalty)
        )
    return chances


def scores(table: CandidateTable, chances: Floats, weights: Floats) -> Floats:
    """Return the weighted features of each candidate, ``(K, len(LABEL_FEATURES) +
    len(LIST_FEATURES))``.

    The shorter the list, the more the weights for labels alone count.
    """
    trust = table.count / (table.count + HALF_TRUST_LABELS)
    features: Floats = np.hstack([table.alone, list_features(table, chances)])
    return features * (trust * weights[1] + (1.0 - trust) * weights[0])


def softmax(table: CandidateTable, scores: Floats) -> Floats:
    """Return scores as probabilities whose sum is 1 for each label."""
    top = np.full(table.count, -np.inf)
    np.maximum.at(top, table.label, scores)
    raised = np.exp(scores - top[table.label])
    return raised / np.bincount(table.label, raised, minlength=table.count)[table.label]


def _assign_senses(table: CandidateTable, chances: Floats) -> Rows:
    """Return the candidate of each label (-1 without any); a synset is assigned once,
    except as the head of a compound.
    """
    best = np.full(table.count, -1, dtype=np.intp)
    order = np.argsort(-chances, kind="stable")
    best[table.label[order[::-1]]] = order[::-1]
    assigned = np.full(table.count, -1, dtype=np.intp)
    used: set[int] = set()
    for row in order:
        if chances[row] < MIN_SHARED_CHANCE:
            break
        # Several compounds may share a head ("annual crop" and "permanent crop"), and
        # several actions a verb.
        label = table.label[row]
        node = int(table.node[row])
        may_share = table.senses[row].how == HEAD
        if assigned[label] < 0 and (node not in used or may_share):
            assigned[label] = row
            if not may_share:
                used.add(node)
    return np.where(assigned < 0, best, assigned)


def _off_topic(
    table: CandidateTable, assigned: Rows, certain: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return for each candidate whether nearly all labels have a topic and this
    assigned sense has none ``(K,)``.

    The topic of the certain senses counts, too, for a sense whose lexicographer file is
    rare among them. A sense that fits its context (``mouse (computer)``) needs no
    topic.
    """
    is_assigned = np.isin(np.arange(len(table.node)), assigned)
    kinds, nodes = table.wordnet.kinds, len(table.wordnet.taxonomy.offsets)
    # Each assigned candidate is paired with its hypernyms, and with its lexicographer
    # file as a further node.
    pairs = is_assigned[table.candidate]
    candidate = np.concatenate([table.candidate[pairs], np.flatnonzero(is_assigned)])
    node = np.concatenate([table.hypernym[pairs], nodes + table.file[is_assigned]])
    size = np.concatenate([kinds["size"], np.bincount(kinds["file"])])
    is_off = np.zeros(len(table.node), dtype=bool)
    for counted in (is_assigned, is_assigned & certain):
        labels = np.bincount(node, counted[candidate], minlength=len(size))
        least = max(MIN_TOPIC_SHARE * (counted.sum() - 1), MIN_TOPIC_LABELS)
        is_topic = (labels >= least) & (size <= MAX_TOPIC_SIZE * nodes)
        has_topic = (
            np.bincount(candidate, is_topic[node], minlength=len(table.node)) > 0
        )
        is_rare = labels[nodes + table.file] <= max(
            MAX_RARE_SHARE * counted.sum(), MAX_RARE_LABELS
        )
        is_off |= (
            is_assigned
            & ~has_topic
            & is_topic.any()
            & (is_rare | (counted is is_assigned))
        )
    return is_off & (table.alone[:, LABEL_FEATURES.index("context")] == 0)


def explain_choices(
    table: CandidateTable, choices: Sequence[SenseScores], weights: Floats
) -> list[str]:
    """Return the reason for the chosen candidate of each label; empty for labels
    without candidates.
    """
    graph, chances = table.wordnet.taxonomy, np.zeros(len(table.node))
    for choice in choices:
        chances[choice.candidates] = choice.chances
    # Sum the weighted features of each group.
    evidence = scores(table, chances, weights)
    features = (*LABEL_FEATURES, *LIST_FEATURES)
    columns = [[features.index(name) for name in names] for names in EVIDENCE.values()]
    grouped = np.column_stack([evidence[:, indices].sum(axis=1) for indices in columns])
    # Find for each node the first three labels whose chosen sense is at or below it.
    labels_below: dict[int, list[int]] = {}
    for index, choice in enumerate(choices):
        for node in (
            hypernym_closure(graph, int(table.node[choice.candidates[0]]))
            if len(choice.candidates)
            else ()
        ):
            indices = labels_below.setdefault(node, [])
            if len(indices) < 3:
                indices.append(index)
    explanations = []
    for choice in choices:
        if not len(choice.candidates):
            explanations.append("")
            continue
        row = int(choice.candidates[0])
        parts = _explain_form(table, choice)
        if len(choice.candidates) > 1:
            other = int(choice.candidates[1])
            name = graph.names[int(table.node[other])]
            if choice.is_displaced:
                parts.append(
                    f"one of {len(choice.candidates)} senses, because {name} fits"
                    " another label better"
                )
            else:
                # Name the two groups of features that most favour the chosen sense over
                # the next one.
                gains = sorted(
                    zip(grouped[row] - grouped[other], EVIDENCE, strict=True),
                    key=lambda pair: -pair[0],
                )
                strongest = [group for gain, group in gains if gain > MIN_GAIN][:2]
                if NEAR in strongest:
                    near = _near(table, labels_below, row)
                    strongest = [
                        near if group == NEAR else group for group in strongest
                    ]
                because = " and ".join(strongest) or "hardly more likely"
                parts.append(
                    f"of {len(choice.candidates)} senses, rather than {name}: {because}"
                )
        explanations.append(
            "; ".join(parts) or f"the only sense of {table.senses[row].word}"
        )
    return explanations


def _explain_form(table: CandidateTable, choice: SenseScores) -> list[str]:
    """Return how the chosen candidate was found, and whether it contradicts its context
    or the topic of the list.
    """
    row = int(choice.candidates[0])
    picked, reading = table.senses[row], table.readings[table.label[row]]
    parts = ["unlike nearly all other labels"] if choice.is_off_topic else []
    if picked.how == HEAD:
        words = (*reading.context, *reading.descriptions)
        context = " ".join(
            word for word in words if word.lower().replace(" ", "_") != picked.word
        )
        note = f" (context: {context})" if context else ""
        parts.append(
            f"WordNet lacks the whole label, so its head is used: {picked.word}{note}"
        )
    elif picked.how == SPELLED:
        parts.append(f"spelled {picked.word} in WordNet")
    if table.unfit[row] == UNRELATED_PENALTY:
        words = (*reading.descriptions, *reading.superclass)
        context = ", ".join(
            [
                *(ascii(word[:30]) for word in words),
                *(f"not {word[:30]!a}" for word in reading.excluded),
            ]
        )
        parts.append(f"no sense fits its context ({context})")
    return parts


def _near(table: CandidateTable, labels_below: dict[int, list[int]], row: int) -> str:
    """Return up to two other labels below the narrowest hypernym that a candidate
    shares with them.
    """
    size = table.wordnet.kinds["size"]
    hypernyms = hypernym_closure(table.wordnet.taxonomy, int(table.node[row]))
    for node in sorted(hypernyms, key=lambda node: (size[node], node)):
        others = [
            other for other in labels_below.get(node, []) if other != table.label[row]
        ]
        if others:
            return (
                "near"
                f" {' and '.join(ascii(table.labels[other][:30]) for other in others[:2])}"
            )
    return NEAR
