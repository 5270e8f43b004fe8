"""Choose the senses of all labels of a list together: the probability of each sense depends on the likely senses of the others.

The score of each candidate is a weighted sum of its features (`dsi_cli.wordnet.disambiguation.features`), and its
probability is the softmax of the scores. The first scores consider each label alone. Then features and probabilities are
computed in turn, each new probability the mean of the old and the new one, until they hardly change (mean-field inference).
Finally the synsets are assigned in the order of falling probability, so that two labels share a synset only if no other fits.

`NOUN_WEIGHTS` are few and general: they name no word, synset or list. ``python -m benchmarks.sense_weights`` fits them;
``docs/senses.md`` gives their accuracy under cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsi_cli.wordnet.database import lexicon
from dsi_cli.wordnet.database.taxonomy import hypernym_closure
from dsi_cli.wordnet.disambiguation.candidates import LabelCandidates
from dsi_cli.wordnet.disambiguation.context import UNRELATED_PENALTY
from dsi_cli.wordnet.disambiguation.features import LABEL_FEATURES, LIST_FEATURES, CandidateTable, Floats, Rows, list_features
from dsi_cli.wordnet.disambiguation.forms import HEAD, SPELLED
from dsi_cli.wordnet.disambiguation.weights import VERB_WEIGHTS, NOUN_WEIGHTS

ROUNDS = 8
"""Rounds of evidence and chances."""

HALF_TRUST_LABELS = 3.0
"""A list of so many labels speaks for itself half: the weights of labels alone count as much as those of lists."""

NO_SENSE_SCORE = -1.0
"""The score of "none of these", against which even the only sense of a word has to stand."""

CONTEXT_PENALTY_WEIGHT = 2.5
"""What a sense loses that fits the label's bracket, folder or superclass badly, times how badly."""

MIN_SHARED_CHANCE = 0.05
"""The chance from which a sense is good enough to be taken instead of one that another label has."""

FORM_CONFIDENCE = {HEAD: 0.6, SPELLED: 0.8}
"""What confidence is multiplied by where the words were found only so."""

MAX_UNCERTAIN_CONFIDENCE = 0.5
"""The greatest confidence of labels with the same words, as nothing says which is which; where another label has the likeliest
sense; and where nothing of a label's bracket, folder or superclass fits."""


@dataclass(frozen=True, eq=False)
class Weights:
    """One weight for each kind of evidence: ``first`` for labels alone, ``then`` for a list's."""

    first: Floats
    then: Floats


@dataclass(frozen=True, eq=False)
class SenseScores:
    """What one label probably means.

    Attributes
    ----------
    candidates : (K,) int
        Rows of the field, the chosen first, then by falling chance; empty where the label has none.
    chances : (K,) float
        Of these; they add up to 1.
    confidence : float
        That the chosen is right, in [0, 1].
    displaced : bool
        Whether a likelier sense is another label's.
    """

    candidates: Rows
    chances: Floats
    confidence: float
    displaced: bool


def load_weights(part: str = "noun") -> Weights:
    """Return the weights of nouns or of verbs as arrays, in the order of ``LABEL_FEATURES`` and ``LIST_FEATURES``."""
    weights = NOUN_WEIGHTS if part == "noun" else VERB_WEIGHTS
    first = np.array([weights[name][0] for name in LABEL_FEATURES])
    return Weights(first, np.array([weights[name][1] for name in (*LABEL_FEATURES, *LIST_FEATURES)]))


def select_senses(
    field: CandidateTable, labels: Sequence[str], readings: Sequence[LabelCandidates], weights: Weights
) -> list[SenseScores]:
    """Return the choice for each label of a list, jointly, given the evidence; the same for the same list, whatever its order."""
    chances = infer_senses(field, weights)
    any_fits = _any_fits(field, scores(field, chances, weights).sum(axis=1))
    forms = [one.how for reading in readings for one in reading.candidates]
    is_shared = np.array([field.of.part == "verb" and form == HEAD for form in forms], dtype=bool)
    taken = _handed_out(field, chances, labels, is_shared)
    starts = np.searchsorted(field.label, np.arange(field.count + 1))
    twice = _twice(labels)
    choices = []
    for index in range(field.count):
        rows = np.arange(starts[index], starts[index + 1])
        order = rows[np.argsort(-chances[rows], kind="stable")]
        if not len(rows):
            choices.append(SenseScores(order, np.zeros(0), 0.0, displaced=False))
            continue
        pick = taken[index]
        is_displaced = bool(pick != order[0])
        order = np.concatenate([[pick], order[order != pick]])
        sure = chances[pick] / max(chances[pick], 1.0 - chances[order[1]]) if is_displaced else chances[pick]
        limit = MAX_UNCERTAIN_CONFIDENCE if is_displaced or index in twice or field.unfit[pick] == UNRELATED_PENALTY else 1.0
        confidence = min(float(sure * any_fits[index]) * FORM_CONFIDENCE.get(forms[pick], 1.0), limit)
        choices.append(SenseScores(order, chances[order], confidence, is_displaced))
    return choices


def infer_senses(field: CandidateTable, weights: Weights) -> Floats:
    """Return the chances of all candidates, ``(K,)``; a label's add up to 1."""
    against = CONTEXT_PENALTY_WEIGHT * field.unfit
    chances = softmax(field, field.alone @ weights.first - against)
    for _ in range(ROUNDS):
        chances = 0.5 * (chances + softmax(field, scores(field, chances, weights).sum(axis=1) - against))
    return chances


def scores(field: CandidateTable, chances: Floats, weights: Weights) -> Floats:
    """Return how much each kind of evidence speaks for each candidate, ``(K, len(ALONE) + len(TOGETHER))``."""
    both: Floats = np.hstack([field.alone, list_features(field, chances)])
    return both * _blended(field, weights)


def _blended(field: CandidateTable, weights: Weights) -> Floats:
    """Return the weights for a list of this length: the shorter it is, the more each label stands alone."""
    trust = field.count / (field.count + HALF_TRUST_LABELS)
    alone = np.concatenate([weights.first, np.zeros(len(LIST_FEATURES))])
    weight: Floats = trust * weights.then + (1.0 - trust) * alone
    return weight


def _any_fits(field: CandidateTable, total: Floats) -> Floats:
    """Return the chance that a label means any of its candidates: against "none of these", whose score is ``NO_SENSE_SCORE``."""
    raised = np.bincount(field.label, np.exp(np.minimum(total, 50.0)), minlength=field.count)
    chance: Floats = raised / (np.exp(NO_SENSE_SCORE) + raised)
    return chance


def softmax(field: CandidateTable, scores: Floats) -> Floats:
    """Return scores as chances that add up to 1 for each label."""
    top = np.full(field.count, -np.inf)
    np.maximum.at(top, field.label, scores)
    raised = np.exp(scores - top[field.label])
    chance: Floats = raised / np.bincount(field.label, raised, minlength=field.count)[field.label]
    return chance


def _handed_out(field: CandidateTable, chances: Floats, labels: Sequence[str], is_shared: npt.NDArray[np.bool_]) -> Rows:
    """Return the candidate that each label gets (-1 for none): from the greatest chance down, each synset once.

    Those of ``is_shared`` may be another label's as well: *ride a bike* and *ride a horse*.
    """
    best = np.full(field.count, -1, dtype=np.intp)
    order = np.argsort(-chances, kind="stable")
    best[field.label[order[::-1]]] = order[::-1]
    closeness = _closeness(field, best, _twice(labels))
    got = np.full(field.count, -1, dtype=np.intp)
    used: set[int] = set()
    for row in np.lexsort((-closeness, -chances)):
        if chances[row] < MIN_SHARED_CHANCE:
            break
        label, node = field.label[row], int(field.node[row])
        if got[label] < 0 and (node not in used or is_shared[row]):
            got[label] = row
            used.add(node)
    return np.where(got < 0, best, got)


def _twice(labels: Sequence[str]) -> frozenset[int]:
    """Return the labels whose words another label has as well."""
    seen: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        seen.setdefault(lexicon.letters_and_digits(label), []).append(index)
    return frozenset(index for group in seen.values() if len(group) > 1 for index in group)


def _closeness(field: CandidateTable, best: npt.NDArray[np.intp], twice: frozenset[int]) -> Floats:
    """Return how near the candidates of labels with the same words are to what stands beside them in the list.

    It is all that tells such labels apart: data sets are often sorted by topic.
    """
    out, sizes = np.zeros(len(field.node)), field.of.kinds["size"]
    for row in np.flatnonzero(np.isin(field.label, list(twice))):
        at = field.label[row]
        beside = [k for k in (at - 2, at - 1, at + 1, at + 2) if 0 <= k < field.count and k not in twice and best[k] >= 0]
        over = hypernym_closure(field.of.taxonomy, int(field.node[row]))
        for k in beside:
            shared = over & hypernym_closure(field.of.taxonomy, int(field.node[best[k]]))
            size = min((int(sizes[node]) for node in shared), default=len(sizes))
            out[row] = max(out[row], -np.log(size) + 12.0)
    return out
