"""Why a sense was chosen, in words: what spoke most for it, and which labels it is near to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsi_cli.wordnet.database.taxonomy import hypernym_closure
from dsi_cli.wordnet.disambiguation.candidates import LabelCandidates
from dsi_cli.wordnet.disambiguation.context import UNRELATED_PENALTY
from dsi_cli.wordnet.disambiguation.features import LABEL_FEATURES, LEXICOGRAPHER_FILES, LIST_FEATURES, CandidateTable, Floats
from dsi_cli.wordnet.disambiguation.forms import HEAD, SPELLED
from dsi_cli.wordnet.disambiguation.scoring import SenseScores, Weights, scores

GROUPS = {
    "the usual sense": ("rank", "share"),
    "the synset's own name": ("own name", "plural"),
    "of a kind that is photographed": (*LEXICOGRAPHER_FILES, "instance"),
    "a richer entry in WordNet": ("words", "size", "leaf", "depth", "parts", "derived"),
    "shared by its names": ("names",),
    "fits the words beside it": ("context", "context in gloss", "labels in gloss"),
    "near other labels": ("near 0.5", "near 8", "near tenth", "can share", "same kind"),
    "the other sense is another label's": ("same synset",),
    "the other sense lies above or below other labels": ("above others", "below others"),
}
"""Kinds of evidence as a person would say them."""
_NEAR = "near other labels"


def explain_choices(
    field: CandidateTable,
    labels: Sequence[str],
    readings: Sequence[LabelCandidates],
    choices: Sequence[SenseScores],
    weights: Weights,
) -> list[str]:
    """Return for each label why its chosen candidate was preferred; empty where it has none."""
    chances = np.zeros(len(field.node))
    for choice in choices:
        chances[choice.candidates] = choice.chances
    evidence = scores(field, chances, weights)
    columns = {words: [(*LABEL_FEATURES, *LIST_FEATURES).index(name) for name in names] for words, names in GROUPS.items()}
    grouped = np.column_stack([evidence[:, at].sum(axis=1) for at in columns.values()])
    below = _labels_below(field, choices)
    starts = np.searchsorted(field.label, np.arange(field.count))
    said = []
    for index, choice in enumerate(choices):
        if not len(choice.candidates):
            said.append("")
            continue
        picked = readings[index].candidates[int(choice.candidates[0] - starts[index])]
        parts = _how_found(picked.how, picked.word, readings[index])
        if field.unfit[choice.candidates[0]] == UNRELATED_PENALTY:
            parts.append(_unfit(readings[index]))
        if len(choice.candidates) > 1:
            parts.append(_against(field, labels, choice, grouped, below, index))
        said.append("; ".join(parts) or f"the only sense of {picked.word}")
    return said


def _how_found(how: str, word: str, reading: LabelCandidates) -> list[str]:
    if how == HEAD:
        beside = " ".join(one for one in (*reading.context, *reading.beside) if one.lower().replace(" ", "_") != word)
        return [f"WordNet lacks the whole: taken for its head, {word}" + (f" (beside it: {beside})" if beside else "")]
    return [f"spelled {word} in WordNet"] if how == SPELLED else []


def _unfit(reading: LabelCandidates) -> str:
    beside = [ascii(one[:30]) for one in (*reading.beside, *reading.superclass)]
    beside += [f"not {one[:30]!a}" for one in reading.excluded]
    return f"nothing of what stands beside it fits ({', '.join(beside)})"


def _against(
    field: CandidateTable,
    labels: Sequence[str],
    choice: SenseScores,
    grouped: Floats,
    below: dict[int, list[int]],
    index: int,
) -> str:
    first, second = choice.candidates[:2]
    other = field.of.taxonomy.names[int(field.node[second])]
    if choice.displaced:
        return f"one of {len(choice.candidates)} senses, as another label is {other} more clearly"
    gain = grouped[first] - grouped[second]
    most = [name for name, value in sorted(zip(GROUPS, gain, strict=True), key=lambda pair: -pair[1]) if value > 0.3][:2]
    words = [_near(field, labels, below, int(first), index) if name == _NEAR else name for name in most]
    because = " and ".join(words) or "hardly more likely"
    return f"of {len(choice.candidates)} senses, rather than {other}: {because}"


def _labels_below(field: CandidateTable, choices: Sequence[SenseScores]) -> dict[int, list[int]]:
    """Return the first three labels that were chosen at or below each node."""
    below: dict[int, list[int]] = {}
    for index, choice in enumerate(choices):
        if len(choice.candidates):
            for node in hypernym_closure(field.of.taxonomy, int(field.node[choice.candidates[0]])):
                known = below.setdefault(node, [])
                if len(known) < 3:
                    known.append(index)
    return below


def _near(field: CandidateTable, labels: Sequence[str], below: dict[int, list[int]], row: int, index: int) -> str:
    """Return the labels under the narrowest hypernym that a candidate shares with others, two of them."""
    size = field.of.kinds["size"]
    for node in sorted(hypernym_closure(field.of.taxonomy, int(field.node[row])), key=lambda node: (size[node], node)):
        others = [ascii(labels[k][:30]) for k in below.get(node, []) if k != index][:2]
        if others:
            return f"near {' and '.join(others)}"
    return _NEAR
