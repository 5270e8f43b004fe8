"""The reasons for chosen senses in words: the strongest evidence, and the related labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsi_cli.wordnet.database.taxonomy import hypernym_closure
from dsi_cli.wordnet.disambiguation.candidates import HEAD, SPELLED, Candidate, LabelCandidates
from dsi_cli.wordnet.disambiguation.context import UNRELATED_PENALTY
from dsi_cli.wordnet.disambiguation.features import (
    LABEL_FEATURES,
    LEXICOGRAPHER_FILES,
    LIST_FEATURES,
    CandidateTable,
)
from dsi_cli.wordnet.disambiguation.scoring import SenseScores, Weights, scores

NEAR = "near other labels"
GROUPS = {
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
"""Groups of features by their description."""
MIN_GAIN = 0.3
"""The minimum difference of scores for a group of features to be mentioned."""


def explain_choices(
    table: CandidateTable,
    labels: Sequence[str],
    readings: Sequence[LabelCandidates],
    choices: Sequence[SenseScores],
    weights: Weights,
) -> list[str]:
    """Return the reason for the chosen candidate of each label; empty for labels without candidates."""
    graph, chances = table.wordnet.taxonomy, np.zeros(len(table.node))
    for choice in choices:
        chances[choice.candidates] = choice.chances
    # Sum the weighted features of each group.
    evidence = scores(table, chances, weights)
    features = (*LABEL_FEATURES, *LIST_FEATURES)
    columns = [[features.index(name) for name in names] for names in GROUPS.values()]
    grouped = np.column_stack([evidence[:, indices].sum(axis=1) for indices in columns])
    # Find for each node the first three labels whose chosen sense is at or below it.
    labels_below: dict[int, list[int]] = {}
    for index, choice in enumerate(choices):
        for node in hypernym_closure(graph, int(table.node[choice.candidates[0]])) if len(choice.candidates) else ():
            indices = labels_below.setdefault(node, [])
            if len(indices) < 3:
                indices.append(index)
    starts = np.searchsorted(table.label, np.arange(table.count))
    explanations = []
    for index, choice in enumerate(choices):
        if not len(choice.candidates):
            explanations.append("")
            continue
        reading, row = readings[index], int(choice.candidates[0])
        picked = reading.candidates[row - int(starts[index])]
        parts = _explain_form(picked, reading, is_unrelated=bool(table.unfit[row] == UNRELATED_PENALTY))
        if len(choice.candidates) > 1:
            other = int(choice.candidates[1])
            name = graph.names[int(table.node[other])]
            if choice.is_displaced:
                parts.append(f"one of {len(choice.candidates)} senses, because {name} fits another label better")
            else:
                # Name the two groups of features that most favour the chosen sense over the next one.
                gains = sorted(zip(grouped[row] - grouped[other], GROUPS, strict=True), key=lambda pair: -pair[0])
                strongest = [group for gain, group in gains if gain > MIN_GAIN][:2]
                if NEAR in strongest:
                    near = _near(table, labels, labels_below, row, index)
                    strongest = [near if group == NEAR else group for group in strongest]
                because = " and ".join(strongest) or "hardly more likely"
                parts.append(f"of {len(choice.candidates)} senses, rather than {name}: {because}")
        explanations.append("; ".join(parts) or f"the only sense of {picked.word}")
    return explanations


def _explain_form(picked: Candidate, reading: LabelCandidates, *, is_unrelated: bool) -> list[str]:
    """Return how a candidate was found, and whether it contradicts its context."""
    parts = []
    if picked.how == HEAD:
        words = (*reading.context, *reading.descriptions)
        context = " ".join(word for word in words if word.lower().replace(" ", "_") != picked.word)
        note = f" (context: {context})" if context else ""
        parts.append(f"WordNet lacks the whole label, so its head is used: {picked.word}{note}")
    elif picked.how == SPELLED:
        parts.append(f"spelled {picked.word} in WordNet")
    if is_unrelated:
        words = (*reading.descriptions, *reading.superclass)
        context = ", ".join([*(ascii(word[:30]) for word in words), *(f"not {word[:30]!a}" for word in reading.excluded)])
        parts.append(f"no sense fits its context ({context})")
    return parts


def _near(table: CandidateTable, labels: Sequence[str], labels_below: dict[int, list[int]], row: int, index: int) -> str:
    """Return up to two other labels below the narrowest hypernym that a candidate shares with them."""
    size = table.wordnet.kinds["size"]
    hypernyms = hypernym_closure(table.wordnet.taxonomy, int(table.node[row]))
    for node in sorted(hypernyms, key=lambda node: (size[node], node)):
        others = [ascii(labels[other][:30]) for other in labels_below.get(node, []) if other != index][:2]
        if others:
            return f"near {' and '.join(others)}"
    return NEAR
