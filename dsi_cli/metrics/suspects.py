"""Classes, pairs and groups that deserve a look **[ours]**, ranked for each kind.

Each kind of `dsi_cli.suspect_kinds` has a function here that orders its candidates by
a score. The strongest findings are explained away, and the rest is computed again:
exchanged names are put right, twins are merged, the pairs of a group are set aside, and
classes that were not learned are left out. So no kind shuts another one out.

- *Closeness* is a residual in relation to that of a usual nearest class
  (`pair_residuals`). Which classes may be the same is asked without the reference,
  since it explains why natural look-alikes are close, and synonyms too.
- A *group* is as close as its farthest pair, by the residuals with the reference.
- *Names* and *senses* are compared by their fits (`name_fits`).
- *Predictions* tell twins from look-alikes, and show the images of wrong labels
  (`pair_confusions`).

The false discovery rate (Benjamini and Hochberg 1995,
https://doi.org/10.1111/j.2517-6161.1995.tb02031.x) takes the upper tail of all
candidates of a kind to be exponential (Pickands 1975,
https://doi.org/10.1214/aos/1176343003). It describes a suspect; grades decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import class_alignment
from dsi_cli.metrics.name_fits import (
    Indices,
    agreement_without,
    name_fits,
    name_scores,
    own_fits,
    sense_fits,
)
from dsi_cli.metrics.pair_confusions import (
    asymmetry,
    mixture_ratios,
    told_apart,
    told_apart_z,
)
from dsi_cli.metrics.pair_residuals import (
    TINY,
    Values,
    closeness,
    filled,
    has_pairs,
    pair_residuals,
    robust_deviation,
    upper,
    with_diagonal,
)
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.suspect_kinds import (
    KINDS_BY_NAME,
    STRONG,
    TEST,
    TRAIN,
    WEIGHTS,
)

MIN_CLASSES = 8  # with fewer, the other classes do not show what is usual
MIN_NAMES = 20  # with fewer names, a row of the reference has too few values
NEED_NAMES = ("wrong-label", "wrong-sense")
MAX_LISTED = 50  # candidates of a kind
ROUNDS = 5  # of explaining strong findings away
TAIL = 0.1  # the share of all candidates that are the upper tail
GAINS_OF_SINGLE, SINGLE_OVER_EXCHANGE = 5.5, 1.7
"""The gains of a single name and its score, over those of an exchange that is as rare.
"""
LOG_P_WEIGHT = 1 / 3
"""The weight of the logarithm of a p-value next to a closeness."""
MAX_USUAL_P = 0.05
"""Predictions that do not tell usual nearest classes apart at this p-value are no
evidence yet.
"""
SHARE_OF_USUAL = 1 / 4
"""The share of the usual logarithm that makes networks of any accuracy comparable."""
MAX_ASYMMETRY = 3.0
"""The standard errors of one-sided confusions that count: with many images, each
difference between the two directions is certain.
"""
APART_POWER = 2 / 3  # of the informedness, as a factor of the closeness in a group
NEAR_QUANTILE = 0.95  # of the reference, above which names say that classes are alike
PAIRS_PER_CLASS = 6  # the pairs that may belong to a group
MAX_GROUP = 8  # classes
MIN_OF_GROUP = 0.5
"""A further class belongs to a group if its pairs have this share of the median pair's
closeness.
"""
MIN_RATIO = 3.0
"""The least evidence about mislabelled images that counts as usual: a network that
hardly errs in training has none about most labels.
"""
MIN_ODDS, MAX_ODDS = 0.1, 50.0
"""The weight of a sense is its prior odds plus the first, which count up to the second.
"""


@dataclass(frozen=True)
class Suspect:
    """A class, a pair or a group that deserves a look.

    Parameters
    ----------
    kind, source : names of `dsi_cli.suspect_kinds`.
    members : the indices of its classes. Of names that are exchanged, each class fits
        the name of the next one; images with the label of the first class may be those
        of the last.
    score : the statistic; the next fields describe it in all candidates of the kind.
    fit : the sense that fits a class better, as an index, or None.
    """

    kind: str
    source: str
    members: tuple[int, ...]
    score: float
    q_value: float = 1.0
    null_mean: float = 0.0
    null_std: float = 1.0
    fit: int | None = None

    @property
    def strength(self) -> float:
        """The score in relation to that of a strong suspect; comparable over kinds."""
        return self.score / KINDS_BY_NAME[self.kind].measured[self.source].strong

    @property
    def grade(self) -> str:
        """The grade: strong, worth a look, or ordinary."""
        return KINDS_BY_NAME[self.kind].measured[self.source].grade(self.score)


@dataclass(frozen=True)
class Senses:
    """Other senses of the names: for each, the class, its row ``(n, C)`` of the
    reference, how probable it is in relation to the sense that was used, and its
    synset.
    """

    owners: Indices
    rows: Values
    odds: Values
    synsets: Sequence[str] = ()


@dataclass(frozen=True)
class Network:
    """The evidence of one network, or the mean over several networks with the same
    classes.

    Parameters
    ----------
    similarity : (C, C) float, Fisher's z of the cosines of the centred class vectors;
        NaN for pairs that are set aside.
    lengths : (C,) float, the lengths of the centred class vectors, or None.
    reference : (C, C) float, larger values are more similar; NaN for classes that it
        lacks; None without a reference.
    counts : by split, the confusion counts ``(C, C)``, possibly a mean over networks.
    senses : the other senses of the names, or None.
    """

    similarity: Values
    lengths: Values | None = None
    reference: Values | None = None
    counts: Mapping[str, Values] = field(default_factory=dict)
    senses: Senses | None = None

    @cached_property
    def families(self) -> dict[str, list[Family]]:
        """The families of candidates that were asked for, by kind."""
        return {}

    @property
    def all(self) -> Indices:
        """All classes."""
        return np.arange(len(self.similarity))

    @property
    def source(self) -> str:
        """The source that shows that classes are the same or share something: test
        predictions, if they tell usual nearest classes apart.
        """
        return TEST if self.usual_log_p <= np.log(MAX_USUAL_P) else WEIGHTS

    @cached_property
    def closeness(self) -> Values:
        """The closeness of all pairs without the reference."""
        return closeness(pair_residuals(self.similarity))

    @cached_property
    def log_p(self) -> Values:
        """The logarithms of the p-values ``(C, C)`` that test predictions do not tell
        the classes of a pair apart; 0 without test predictions.
        """
        if TEST not in self.counts:
            return np.zeros_like(self.similarity)
        from scipy.special import log_ndtr

        log_p: Values = log_ndtr(-told_apart_z(self.counts[TEST]))
        return log_p

    @cached_property
    def usual_log_p(self) -> float:
        """The median of these logarithms over the nearest class of each class."""
        nearest = self.closeness.argmax(axis=1)
        return float(np.median(self.log_p[np.arange(len(nearest)), nearest]))

    @cached_property
    def named(self) -> Indices:
        """The classes whose names and similarities are both known."""
        if self.reference is None:
            return np.arange(0)
        is_named = ~np.isnan(np.diag(self.reference))
        return np.flatnonzero(has_pairs(self.similarity) & is_named)

    @cached_property
    def similarity_of_named(self) -> Values:
        """The similarity of the named classes, in which class effects replace the pairs
        that are set aside.
        """
        return filled(self.similarity[np.ix_(self.named, self.named)])

    @cached_property
    def names(self) -> Values:
        """The reference of the named classes. Classes of the same synset count as the
        nearest two of different ones, since their images may differ.
        """
        assert self.reference is not None
        names = self.reference[np.ix_(self.named, self.named)]
        itself = np.diag(names)
        others = names[names < itself.min()]
        is_same = names >= itself[:, None]
        nearest = others.max() if len(others) else itself.min()
        return with_diagonal(np.where(is_same, nearest, names), 0.0) + np.diag(itself)

    @cached_property
    def has_learned(self) -> bool:
        """True if the agreement with the reference is above chance; with fewer than
        `MIN_NAMES` names, True.
        """
        if len(self.named) < MIN_NAMES:
            return True
        aligned = class_alignment.align_group(self.similarity_of_named, self.names)
        return aligned.z is not None and aligned.z >= MIN_Z

    @cached_property
    def residuals(self) -> Values:
        """The residuals of all pairs."""
        return pair_residuals(self.similarity, self.reference)

    @cached_property
    def unexplained(self) -> Values:
        """The closeness of all pairs beyond what the reference explains."""
        return closeness(self.residuals)

    @cached_property
    def is_near(self) -> NDArray[np.bool_]:
        """True if the reference puts a pair ``(C, C)`` among the nearest ones."""
        if self.reference is None or len(self.named) < MIN_NAMES:
            return np.zeros_like(self.similarity, dtype=bool)
        pairs = upper(self.reference)
        near: NDArray[np.bool_] = self.reference > np.nanquantile(pairs, NEAR_QUANTILE)
        return near

    @cached_property
    def sameness(self) -> Values:
        """The score of each pair as one class twice: its closeness without the
        reference, plus the logarithm of the p-value that test predictions do not tell
        its classes apart, less a share of that of usual nearest classes.
        """
        if self.source == WEIGHTS:
            return self.closeness
        evidence = self.log_p - SHARE_OF_USUAL * self.usual_log_p
        scores: Values = self.closeness + LOG_P_WEIGHT * evidence
        return scores

    @cached_property
    def distinct(self) -> Values:
        """The closeness beyond the reference, times a power of how well test
        predictions tell the classes of a pair apart.
        """
        if self.source == WEIGHTS:
            return self.unexplained
        apart = np.clip(np.nan_to_num(told_apart(self.counts[TEST])), 0.0, 1.0)
        is_pair = np.isfinite(self.unexplained)
        known = np.where(is_pair, self.unexplained, 0.0)
        return np.where(is_pair, known * apart**APART_POWER, -np.inf)

    @cached_property
    def moved(self) -> Values:
        """The score of each ordered pair ``(label, class)`` as mislabelled images, by
        test predictions and by those of training images, if there are any.
        """
        if TRAIN in self.counts:
            train = self.counts[TRAIN]
            ratios = mixture_ratios(train, self.counts[TEST])
            largest = ratios.max(axis=1)[train.any(axis=1)]
            usual = float(np.median(largest)) if len(largest) else MIN_RATIO
            usual = max(usual, MIN_RATIO)
            return np.where(np.isneginf(self.unexplained), -np.inf, ratios / usual)
        one_sided = np.clip(asymmetry(self.counts[TEST]).T, None, MAX_ASYMMETRY)
        return self.distinct + one_sided

    @cached_property
    def gains(self) -> Values:
        """The gains ``(n, n)`` of fit of each named class by each name over its own."""
        fits = name_fits(self.similarity_of_named, self.names)
        gains: Values = fits - np.diag(fits)[:, None]
        return gains

    @cached_property
    def exchanges(self) -> Values:
        """The mean gains of exchanges of two names ``(n, n)`` that both classes gain
        from; -inf for others.
        """
        both_gain = np.minimum(self.gains, self.gains.T) > 0
        means = (self.gains + self.gains.T) / 2
        return with_diagonal(np.where(both_gain, means, -np.inf), -np.inf)

    @cached_property
    def misfits(self) -> Values:
        """The scores ``(n,)`` of the names of single classes: how much the agreement
        rises without the class, in robust deviations, plus how much better other names
        fit it, on the scale of exchanges.
        """
        agreement = agreement_without(self.similarity_of_named, self.names)
        deviation = max(robust_deviation(agreement), TINY)
        rises = (agreement - np.median(agreement)) / deviation
        scores = rises + name_scores(self.gains) / GAINS_OF_SINGLE
        has_better = self.gains.max(axis=1) > 0
        return np.where(has_better, scores / SINGLE_OVER_EXCHANGE, -np.inf)

    @cached_property
    def own_fit(self) -> Values:
        """The correlations ``(n,)`` of the rows of the named classes with those of
        their names.
        """
        return own_fits(self.similarity_of_named, self.names)

    @cached_property
    def sense_gains(self) -> Values:
        """The gains ``(s,)`` of fit by each other sense over the class's own name."""
        assert self.senses is not None
        assert self.reference is not None
        position = np.full(len(self.similarity), -1)
        position[self.named] = np.arange(len(self.named))
        owners = position[self.senses.owners]
        gains = np.full(len(owners), -np.inf)
        is_known = owners >= 0
        if not is_known.any():
            return gains
        rows = self.senses.rows[np.ix_(is_known, self.named)]
        fits = sense_fits(self.similarity_of_named, self.names, rows, owners[is_known])
        own = np.diag(name_fits(self.similarity_of_named, self.names))
        gains[is_known] = fits - own[owners[is_known]]
        return gains


def q_values(scores: Values) -> Values:
    """Return the false discovery rate ``(n,)`` at which each candidate is claimed, if
    the upper tail of all scores is exponential.

    The median of the excesses gives the scale of the tail, so that suspects among the
    scores hardly change it.
    """
    threshold = np.quantile(scores, 1 - TAIL)
    excesses = scores[scores > threshold] - threshold
    scale = np.median(excesses) / np.log(2) if len(excesses) else 0.0
    above = np.maximum(scores - threshold, 0.0) / max(float(scale), TINY)
    p_values = np.where(above > 0, TAIL * np.exp(-above), 1.0)
    order = np.argsort(p_values)
    ranked = p_values[order] * len(scores) / np.arange(1, len(scores) + 1)
    adjusted = np.empty(len(scores))
    adjusted[order] = np.minimum.accumulate(ranked[::-1])[::-1]
    return np.minimum(adjusted, 1.0)


# The candidates of each kind


@dataclass(frozen=True)
class Family:
    """The candidates of a kind that are compared with one another.

    Parameters
    ----------
    kind, source : names of `dsi_cli.suspect_kinds`.
    scores : (n,) float, the scores of the candidates; -inf is none.
    members_of : returns the classes of the candidate with an index.
    score_of : returns the score of any suspect of this kind and source.
    has_fits : True if the index of a candidate is its ``fit``.
    """

    kind: str
    source: str
    scores: Values
    members_of: Callable[[int], tuple[int, ...]]
    score_of: Callable[[Suspect], float]
    has_fits: bool = False

    def candidates(self) -> list[Suspect]:
        """Return the candidates with the highest scores, the strongest first."""
        indices = np.flatnonzero(np.isfinite(self.scores))
        if not len(indices):
            return []
        known = self.scores[indices]
        q_of = q_values(known)
        mean, deviation = float(np.median(known)), robust_deviation(known)
        found = []
        for place in np.argsort(-known, kind="stable")[:MAX_LISTED].tolist():
            index = int(indices[place])
            suspect = Suspect(
                self.kind,
                self.source,
                self.members_of(index),
                float(known[place]),
                float(q_of[place]),
                mean,
                deviation,
                index if self.has_fits else None,
            )
            found.append(suspect)
        return found

    def standing(self, suspect: Suspect) -> tuple[str, int] | None:
        """Return the grade of a suspect by its score in this family, and its rank; None
        if it has no score.
        """
        own = self.score_of(suspect)
        if not np.isfinite(own):
            return None
        grade = KINDS_BY_NAME[self.kind].measured[self.source].grade(own)
        return grade, 1 + int(np.count_nonzero(self.scores > own))


def _of_classes(kind: str, source: str, scores: Values, classes: Indices) -> Family:
    """Return the family of single classes with scores ``(n,)``."""
    score_of_class = dict(zip(classes.tolist(), scores.tolist(), strict=True))

    def score_of(suspect: Suspect) -> float:
        if len(suspect.members) > 1:
            return -np.inf
        return score_of_class.get(suspect.members[0], -np.inf)

    return Family(
        kind,
        source,
        scores,
        lambda index: (int(classes[index]),),
        score_of,
    )


def _of_pairs(kind: str, source: str, scores: Values, classes: Indices) -> Family:
    """Return the family of pairs of classes with symmetric scores ``(n, n)``."""
    first, second = np.triu_indices(len(scores), 1)

    def score_of(suspect: Suspect) -> float:
        is_known = np.isin(suspect.members, classes)
        if len(is_known) == 1 or not is_known.all():
            return -np.inf
        return float(scores[tuple(np.searchsorted(classes, suspect.members))])

    return Family(
        kind,
        source,
        scores[first, second],
        lambda index: (int(classes[first[index]]), int(classes[second[index]])),
        score_of,
    )


def _duplicates(network: Network) -> list[Family]:
    return [_of_pairs("duplicate", network.source, network.sameness, network.all)]


def _mislabelled_images(network: Network) -> list[Family]:
    """Return the family of labels, each with the class that its images may show."""
    if TEST not in network.counts:
        return []
    scores = network.moved
    shown = scores.argmax(axis=1)
    family = Family(
        "mislabelled-images",
        TRAIN if TRAIN in network.counts else TEST,
        scores.max(axis=1),
        lambda label: (label, int(shown[label])),
        lambda suspect: float(scores[suspect.members]),
    )
    return [family]


def _shortcuts(network: Network) -> list[Family]:
    """Return the family of triples of close classes, with the score of their farthest
    pair: each close pair with the class that is closest to both.

    The names of two pairs of a triple do not say by themselves that they are alike.
    """
    scores, is_near = network.distinct, network.is_near
    first, second = np.triu_indices(len(scores), 1)
    of_pairs = scores[first, second]
    found: dict[tuple[int, ...], float] = {}
    pairs = np.argsort(-of_pairs, kind="stable")[: PAIRS_PER_CLASS * len(scores)]
    for pair in pairs.tolist():
        one, other = int(first[pair]), int(second[pair])
        near = is_near[one].astype(int) + is_near[other] + is_near[one, other]
        farthest = np.minimum(scores[one], scores[other])
        farthest[near > 1] = -np.inf
        third = int(farthest.argmax())
        score = float(min(of_pairs[pair], farthest[third]))
        if score > 0:
            found[tuple(sorted((one, other, third)))] = score
    triples = list(found)

    def score_of(suspect: Suspect) -> float:
        return float(upper(scores[np.ix_(suspect.members, suspect.members)]).min())

    values = np.array(list(found.values()))
    return [Family("shortcut", network.source, values, triples.__getitem__, score_of)]


def _wrong_labels(network: Network) -> list[Family]:
    kind, named = "wrong-label", network.named
    return [
        _of_pairs(kind, WEIGHTS, network.exchanges, named),
        _of_classes(kind, WEIGHTS, network.misfits, named),
    ]


def _wrong_senses(network: Network) -> list[Family]:
    """Return the family of other senses: the score is minus the logarithm of the share
    of names of other classes that raise the fit as much, plus that of the odds.
    """
    senses = network.senses
    if senses is None:
        return []
    gains = network.sense_gains
    of_names = network.gains[~np.eye(len(network.gains), dtype=bool)]
    threshold = np.quantile(of_names, 1 - TAIL)
    scale = np.median(of_names[of_names > threshold] - threshold) / np.log(2)
    rarity = (gains - threshold) / max(float(scale), TINY) - np.log(TAIL)
    odds = MIN_ODDS + np.minimum(senses.odds, MAX_ODDS)
    scores = np.where(gains > 0, rarity + np.log(odds), -np.inf)
    family = Family(
        "wrong-sense",
        WEIGHTS,
        scores,
        lambda sense: (int(senses.owners[sense]),),
        lambda suspect: float(scores[suspect.fit]),
        has_fits=True,
    )
    return [family]


def _dead_classes(network: Network) -> list[Family]:
    """Return the families of short vectors and of missing predictions: the score is
    minus the logarithm of the length in relation to the median, and that of the images
    of a class for each prediction.

    Of a network that has not learned, the lengths are no evidence. Nor are predictions
    that name less than half of the classes, because then the network has collapsed.
    """
    kind, families = "dead-class", []
    if network.lengths is not None and network.has_learned:
        lengths = np.maximum(network.lengths, TINY)
        scores = np.log(np.median(lengths) / lengths)
        families.append(_of_classes(kind, WEIGHTS, scores, network.all))
    counts = network.counts.get(TEST)
    if counts is not None:
        images, predicted = counts.sum(axis=1), counts.sum(axis=0)
        scores = np.log((images + 1) / (predicted + 1))
        has_collapsed = 2 * np.count_nonzero(predicted) < len(counts)
        scores[(images == 0) | has_collapsed] = -np.inf
        families.append(_of_classes(kind, TEST, scores, network.all))
    return families


FAMILIES: Mapping[str, Callable[[Network], list[Family]]] = {
    "duplicate": _duplicates,
    "mislabelled-images": _mislabelled_images,
    "shortcut": _shortcuts,
    "wrong-label": _wrong_labels,
    "wrong-sense": _wrong_senses,
    "dead-class": _dead_classes,
}
"""The families of candidates of each kind."""


def families(network: Network, kind: str) -> list[Family]:
    """Return the families of candidates of a kind, which a network remembers."""
    if kind not in network.families:
        network.families[kind] = FAMILIES[kind](network)
    return network.families[kind]


def candidates(network: Network, kind: str) -> list[Suspect]:
    """Return the candidates of a kind, the strongest first.

    The families of a kind take turns, since which of two descriptions of a wrong name
    is right often remains open.
    """
    turns = [
        turn
        for family in families(network, kind)
        for turn in enumerate(family.candidates())
    ]
    turns.sort(key=lambda turn: (turn[0], -turn[1].strength))
    found: list[Suspect] = []
    for _, suspect in turns:
        grown = suspect
        if kind == "shortcut":
            grown = replace(suspect, members=_grown(network, suspect.members))
        if _is_new(grown, found):
            found.append(grown)
    return found


def _grown(network: Network, triple: tuple[int, ...]) -> tuple[int, ...]:
    """Return a triple with the classes whose pairs with all members are close, and
    whose names are not near to those of all.
    """
    scores, group = network.distinct, list(triple)
    while len(group) < MAX_GROUP:
        farthest = scores[group].min(axis=0)
        near = np.count_nonzero(network.is_near[group], axis=0)
        farthest[near == len(group)] = -np.inf
        best = int(farthest.argmax())
        usual = np.median(upper(scores[np.ix_(group, group)]))
        if farthest[best] < MIN_OF_GROUP * usual:
            break
        group.append(best)
    return tuple(sorted(group))


def _is_new(suspect: Suspect, found: Iterable[Suspect]) -> bool:
    """Return whether none of the earlier candidates of its kind is nearly the same."""
    return not any(_is_repeated(suspect, earlier) for earlier in found)


def _is_repeated(suspect: Suspect, earlier: Suspect) -> bool:
    """Return whether an earlier candidate of the same kind is nearly the same: a group
    with two classes in common, the same class, or a class of a strong exchange.
    """
    common = len({*suspect.members} & {*earlier.members})
    if len(suspect.members) == 1:
        return common > 0 and (len(earlier.members) == 1 or earlier.grade == STRONG)
    return common > 1


def standing(network: Network, suspect: Suspect) -> tuple[str, int] | None:
    """Return the grade of a given suspect in the evidence of one run or epoch, and its
    rank; None if the network lacks the evidence.
    """
    if suspect.kind not in kinds_sought(network):
        return None
    found = [
        family.standing(suspect)
        for family in families(network, suspect.kind)
        if family.source == suspect.source or suspect.kind != "dead-class"
    ]
    return next((one for one in found if one is not None), None)


# Explaining away


def find(network: Network) -> dict[str, list[Suspect]]:
    """Return the suspects of each kind, the strongest first.

    Strong findings come first. Their corrections are applied, and the other candidates
    are those of what is left. Of a network that has not learned, only dead classes are
    sought.
    """
    found: dict[str, list[Suspect]] = {kind: [] for kind in FAMILIES}
    # Dead classes are sought once, and are never candidates of another kind.
    sought = [kind for kind in kinds_sought(network) if kind != "dead-class"]
    dead = candidates(network, "dead-class")
    strong = [one for one in dead if one.grade == STRONG]
    others: list[Suspect] = []
    for _ in range(ROUNDS):
        for suspect in strong:
            found[suspect.kind].append(suspect)
            network = CORRECTIONS[suspect.kind](network, suspect)
        others = []
        for kind in sought:
            of_kind = candidates(network, kind)
            others += [one for one in of_kind if _is_new(one, found[kind])]
        strong = _disjoint(one for one in others if one.grade == STRONG)
        if not strong:
            break
    for suspect in [*others, *dead]:
        if _is_new(suspect, found[suspect.kind]):
            found[suspect.kind].append(suspect)
    return {kind: of_kind[:MAX_LISTED] for kind, of_kind in found.items()}


def kinds_sought(network: Network) -> list[str]:
    """Return the kinds that are sought in a network."""
    if len(network.similarity) < MIN_CLASSES or not network.has_learned:
        return ["dead-class"]
    has_names = len(network.named) >= MIN_NAMES
    return [kind for kind in FAMILIES if has_names or kind not in NEED_NAMES]


def _disjoint(suspects: Iterable[Suspect]) -> list[Suspect]:
    """Return the strongest suspects that have no class in common; pairs and groups come
    before single classes, whose rows they change.
    """
    taken: set[int] = set()
    found = []
    for suspect in sorted(
        suspects, key=lambda one: (len(one.members) == 1, -one.strength)
    ):
        if not taken & {*suspect.members}:
            taken.update(suspect.members)
            found.append(suspect)
    return found


def _without_class(network: Network, suspect: Suspect) -> Network:
    """Leave the last class of a suspect out."""
    one = suspect.members[-1]
    similarity = network.similarity.copy()
    similarity[one] = similarity[:, one] = np.nan
    counts = {split: of_split.copy() for split, of_split in network.counts.items()}
    for of_split in counts.values():
        of_split[one] = of_split[:, one] = 0.0
    return replace(network, similarity=similarity, counts=counts)


def _merged(network: Network, suspect: Suspect) -> Network:
    """Count the images of two twins as those of the first, and leave the second out."""
    first, second = suspect.members
    counts = {}
    for split, of_split in network.counts.items():
        merged = of_split.copy()
        merged[first] += merged[second]
        merged[:, first] += merged[:, second]
        counts[split] = merged
    return _without_class(replace(network, counts=counts), suspect)


def _without_pairs(network: Network, suspect: Suspect) -> Network:
    """Set the pairs of a group aside."""
    similarity = network.similarity.copy()
    similarity[np.ix_(suspect.members, suspect.members)] = np.nan
    return replace(network, similarity=similarity)


def _without_label(network: Network, suspect: Suspect) -> Network:
    """Set a pair aside, and the training images with the label of its first class."""
    counts = dict(network.counts)
    if TRAIN in counts:
        counts[TRAIN] = counts[TRAIN].copy()
        counts[TRAIN][suspect.members[0]] = 0.0
    return _without_pairs(replace(network, counts=counts), suspect)


def _renamed(network: Network, suspect: Suspect) -> Network:
    """Exchange two names, or forget the name of a single class."""
    assert network.reference is not None
    members, reference = list(suspect.members), network.reference.copy()
    if len(members) == 1:
        reference[members] = reference[:, members] = np.nan
    else:
        names = np.arange(len(reference))
        names[members] = members[::-1]
        reference = reference[np.ix_(names, names)]
    return replace(network, reference=reference)


def _with_sense(network: Network, suspect: Suspect) -> Network:
    """Use the better sense of a class."""
    assert network.reference is not None
    assert network.senses is not None
    reference, one = network.reference.copy(), suspect.members[0]
    itself = reference[one, one]
    reference[one] = reference[:, one] = network.senses.rows[suspect.fit]
    reference[one, one] = itself
    return replace(network, reference=reference)


CORRECTIONS: Mapping[str, Callable[[Network, Suspect], Network]] = {
    "duplicate": _merged,
    "mislabelled-images": _without_label,
    "shortcut": _without_pairs,
    "wrong-label": _renamed,
    "wrong-sense": _with_sense,
    "dead-class": _without_class,
}
"""The evidence that a suspect of each kind does not explain."""
