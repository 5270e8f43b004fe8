"""Classes, pairs and groups that deserve a look **[ours]**: names that fit another
class better, pairs and groups that are close without a reason, classes that are not
learned.

What is usual is measured on the other classes and pairs of the same network, so each
score has a chance level and a p-value. The procedure of Benjamini and Hochberg (1995,
https://doi.org/10.1111/j.2517-6161.1995.tb02031.x) corrects the p-values of each kind.

- The *residual* of a pair is its similarity (Fisher's z of the cosine) minus a
  least-squares fit by the reference and by one effect for each of its two classes
  (the additive model of a round robin, Warner, Kenny and Stoto 1979,
  https://doi.org/10.1037/0022-3514.37.10.1742).
- Every data set has natural look-alikes, so the upper tail of the residuals is taken to
  be exponential, not normal (peaks over a threshold, Pickands 1975,
  https://doi.org/10.1214/aos/1176343003).
- The *fit* of the name ``k`` to class ``i`` is the correlation of row ``i`` of the
  network with row ``k`` of the reference, plus the cosine of class vector ``i`` with
  its prediction from the other classes (kriging with the reference as covariance,
  Rasmussen and Williams 2006, section 5.4.2).
- Symmetric confusions with class effects are quasi-symmetry (Caussinus 1965,
  https://doi.org/10.5802/afst.519); what is left of a difference between both
  directions of a pair is tested by the binomial distribution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import class_alignment
from dsi_cli.metrics.permutation_null import MIN_Z

Values = NDArray[np.float64]
Indices = NDArray[np.intp]

FALSE_DISCOVERY_RATE = 0.1
SINGLE_TEST = 0.05
"""The p-value up to which an epoch or a run shows a suspect that is given."""
MIN_CLASSES = 20  # below, only dead classes are found
TAIL = 0.1
"""The largest share of values that are the tail; of pairs, at most two per class, so
that it consists of neighbours.
"""
DEGREES_OF_FREEDOM = 8
"""Degrees of freedom of Student's t for the scores of classes with the right name;
lists of 100 classes of an ImageNet head have such tails.
"""
MAD_TO_DEVIATION = 1.4826  # for a normal distribution
MAX_COSINE = 0.999  # keeps Fisher's z finite
CYCLE_P, NAME_P = 0.001, 0.01
"""The names of a cycle must gain as much on average as exchanges of the first p-value,
and each as much as random names of the second one.
"""
MIN_ODDS, MAX_ODDS = 0.1, 50.0
"""The weight of a sense among the tests is its prior odds plus the first, which count
up to the second.
"""
MIN_SENSE_GAIN = 0.5  # a smaller gain of the fit does not tell two senses apart
SAME = 0.5
"""Up to this informedness (0 is chance, 1 is perfect), the predictions do not tell the
two classes of a pair apart.
"""
MIN_CONFUSIONS = 5  # of a pair, in both directions, for a test of their difference
MAX_DEAD_LENGTH = 0.5
"""A longer class vector, in relation to the median length, is not dead."""
MIN_SHARE = 0.1  # the share of a class that is predicted as another one
GROUP_SIZES = range(3, 9)
MIN_RESIDUAL, MAX_RESIDUAL = 1.0, 3.0
"""Each pair of a group has at least the first; the second is the most that a pair
counts, so that no single pair makes a group. Both are in standard deviations.
"""
MAX_RATIO = 2.0
"""A pair of a group belongs to the group up to this ratio of its residual to the mean
of the other pairs.
"""
TINY = float(np.finfo(np.float64).tiny)
ROUNDING = 1e-6  # of cosines that are computed from float32 values


@dataclass(frozen=True)
class Suspect:
    """A class, a pair or a group that deserves a look.

    Parameters
    ----------
    members : the indices of its classes. Of names that are exchanged, each class fits
        the name of the next one; of images, the first class is predicted as the last.
    score : the statistic, with the mean and standard deviation of its chance level.
    fit : the name or the sense that fits a single class better, as an index.
    split : the split whose predictions show the suspect, or None if none does.
    """

    kind: str
    members: tuple[int, ...]
    score: float
    q_value: float
    null_mean: float = 0.0
    null_std: float = 1.0
    fit: int | None = None
    split: str | None = None


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
    similarity : (C, C) float, Fisher's z of the cosines of the centred class vectors.
    reference : (C, C) float, or None; larger values are more similar.
    counts : by split, the confusion counts ``(C, C)``, possibly a mean over networks.
    senses : the other senses of the names, or None.
    """

    similarity: Values
    reference: Values | None = None
    counts: Mapping[str, Values] = field(default_factory=dict)
    senses: Senses | None = None

    @cached_property
    def has_learned(self) -> bool:
        """True if the agreement with the reference is above chance; without a
        reference, True.
        """
        if self.reference is None:
            return True
        aligned = class_alignment.align_group(self.similarity, self.reference)
        return aligned.z is not None and aligned.z >= MIN_Z

    @cached_property
    def plain(self) -> Values:
        """The residuals of all pairs by the class effects alone."""
        return pair_residuals(self.similarity)

    @cached_property
    def residuals(self) -> Values:
        """The residuals of all pairs."""
        return pair_residuals(self.similarity, self.reference)

    @cached_property
    def is_far(self) -> NDArray[np.bool_]:
        """True if the reference puts a pair ``(C, C)`` farther apart than the mean."""
        if self.reference is None:
            return np.zeros_like(self.residuals, dtype=bool)
        far: NDArray[np.bool_] = self.reference < upper(self.reference).mean()
        return far

    @cached_property
    def told_apart(self) -> Values:
        """The informedness ``(C, C)`` of the test predictions, or of the others."""
        splits = sorted(self.counts, key=lambda split: split != "test")
        if not splits:
            return np.full_like(self.similarity, np.nan)
        return informedness(self.counts[splits[0]])

    @cached_property
    def fits(self) -> Values:
        """The fits ``(C, C)`` of all names to all classes."""
        assert self.reference is not None
        return name_fits(self.similarity, self.reference)

    @cached_property
    def gains(self) -> Values:
        """The gains ``(C, C)`` of fit of each class by each name over its own name."""
        gains: Values = self.fits - np.diag(self.fits)[:, None]
        return gains

    @cached_property
    def sense_gains(self) -> Values:
        """The gains ``(n,)`` of fit by each other sense over the class's own name."""
        assert self.reference is not None
        assert self.senses is not None
        fits = sense_fits(self.similarity, self.reference, self.senses)
        gains: Values = fits - np.diag(self.fits)[self.senses.owners]
        return gains

    @cached_property
    def gain_tail(self) -> Tail:
        """The tail of the gains of all other names."""
        return Tail.of(off_diagonal(self.gains))

    @cached_property
    def exchange_tail(self) -> Tail:
        """The tail of the mean gains of exchanges of two names."""
        return Tail.of(upper(self.gains + self.gains.T) / 2)

    @cached_property
    def name_p_values(self) -> Values:
        """The p-values ``(C,)`` of the classes' own names."""
        return class_p_values(name_scores(self.gains))

    @cached_property
    def group_scores(self) -> Values:
        """The contribution of each pair to a group."""
        return group_scores(self.residuals, self.is_far)


# The tests


def upper(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return the values of all pairs, those above the diagonal."""
    return matrix[np.triu_indices(len(matrix), 1)]


def off_diagonal(matrix: Values) -> Values:
    """Return all values but the diagonal."""
    return matrix[~np.eye(len(matrix), dtype=bool)]


def with_diagonal(matrix: Values, value: float) -> Values:
    """Return a copy of a matrix with this value on its diagonal."""
    copy = matrix.copy()
    np.fill_diagonal(copy, value)
    return copy


def robust_deviation(values: Values) -> float:
    """Return the standard deviation of normal values, by their median deviation."""
    return float(MAD_TO_DEVIATION * np.median(np.abs(values - np.median(values))))


class Tail(NamedTuple):
    """The exponential upper tail of usual scores."""

    share: float  # the share of the scores that are above the threshold
    threshold: float
    scale: float

    @classmethod
    def of(cls, usual: Values, share: float = TAIL) -> Tail:
        """Return the tail of the usual scores.

        The median of the excesses gives the scale, so that suspects among the usual
        scores hardly change it.
        """
        threshold = float(np.quantile(usual, 1 - share))
        excesses = usual[usual > threshold] - threshold
        scale = np.median(excesses) / np.log(2) if len(excesses) else 0.0
        return cls(share, threshold, max(float(scale), TINY))

    @classmethod
    def of_pairs(cls, matrix: Values) -> Tail:
        """Return the tail of the pairs of a matrix, whose values belong to the nearest
        classes.
        """
        return cls.of(upper(matrix), min(TAIL, 4 / (len(matrix) - 1)))

    def p_values(self, scores: Values) -> Values:
        """Return the probability of each score or more; 1 below the tail."""
        above = np.maximum(scores - self.threshold, 0.0)
        p_values = self.share * np.exp(-above / self.scale)
        return np.where(scores > self.threshold, p_values, 1.0)

    def quantile(self, p_value: float) -> float:
        """Return the score of this p-value."""
        return self.threshold + self.scale * float(np.log(self.share / p_value))


def class_p_values(scores: Values) -> Values:
    """Return the probability of each class's score or more, by Student's t around the
    median of all classes.
    """
    from scipy.special import stdtr

    deviation = max(robust_deviation(scores), TINY)
    standard = (scores - np.median(scores)) / deviation
    p_values: Values = stdtr(DEGREES_OF_FREEDOM, -standard)
    return p_values


def q_values(p_values: Values, weights: Values | None = None) -> Values:
    """Return the false discovery rate at which each test of a family is claimed
    (Benjamini and Hochberg 1995).

    Weights with a mean of 1 divide the p-values (Genovese, Roeder and Wasserman 2006,
    https://doi.org/10.1093/biomet/93.3.509).
    """
    tests = len(p_values)
    if weights is not None:
        p_values = p_values / weights
    order = np.argsort(p_values)
    ranked = p_values[order] * tests / np.arange(1, tests + 1)
    adjusted = np.empty(tests)
    adjusted[order] = np.minimum.accumulate(ranked[::-1])[::-1]
    return np.minimum(adjusted, 1.0)


def q_values_where(p_values: Values, is_tested: NDArray[np.bool_]) -> Values:
    """Return the false discovery rates of the tests of a matrix, which are a family; 1
    for the other values.
    """
    q_of = np.ones_like(p_values)
    q_of[is_tested] = q_values(p_values[is_tested])
    return q_of


# The statistics


def fisher(cosines: NDArray[Any]) -> Values:
    """Return Fisher's z of cosines, whose spread depends less on their size."""
    clipped = np.clip(np.asarray(cosines, np.float64), -MAX_COSINE, MAX_COSINE)
    transformed: Values = np.arctanh(clipped)
    return transformed


def without_class_effects(values: Values) -> Values:
    """Return what a least-squares fit of one effect per class leaves of the
    off-diagonal values of a symmetric matrix ``(C, C)``; 0 on the diagonal.
    """
    classes = len(values)
    pairs = with_diagonal(values, 0.0)
    effects = pairs.sum(axis=1) / (classes - 2)
    mean = pairs.sum() / ((classes - 1) * (classes - 2))
    return with_diagonal(pairs - (effects[:, None] + effects - mean), 0.0)


def pair_residuals(similarity: Values, reference: Values | None = None) -> Values:
    """Return how much closer each pair is than its classes and the reference explain
    ``(C, C)``, in robust standard deviations; 0 on the diagonal.
    """
    residuals = without_class_effects(similarity)
    if reference is not None:
        explained = without_class_effects(reference)
        squares = max((explained * explained).sum(), TINY)
        residuals -= (residuals * explained).sum() / squares * explained
    return residuals / max(robust_deviation(upper(residuals)), ROUNDING)


def name_fits(similarity: Values, reference: Values) -> Values:
    """Return how well the name ``k`` of the reference fits the class ``i`` of the
    network ``(C, C)``: the sum of two measures, each over its standard deviation.
    """
    names = np.arange(len(reference))
    correlations, predicted = _fit_measures(similarity, reference, reference, names)
    return correlations / _spread(correlations) + predicted / _spread(predicted)


def sense_fits(similarity: Values, reference: Values, senses: Senses) -> Values:
    """Return how well other senses fit their classes ``(n,)``, on the scale of
    `name_fits`.
    """
    owners = senses.owners
    names = np.arange(len(reference))
    usual = _fit_measures(similarity, reference, reference, names)
    measures = _fit_measures(similarity, reference, senses.rows, owners)
    fits = np.zeros(len(owners))
    for of_senses, of_names in zip(measures, usual, strict=True):
        fits += of_senses[owners, np.arange(len(owners))] / _spread(of_names)
    return fits


def _fit_measures(
    similarity: Values, reference: Values, rows: Values, owners: Indices
) -> tuple[Values, Values]:
    """Return the two measures ``(C, n)`` of how well names fit classes: Fisher's z of
    the correlation of rows, and the cosine with the prediction by kriging.

    A name is a row ``(n, C)`` of similarities, without that to its own class, the
    owner.
    """
    own = np.arange(len(owners)), owners
    classes = np.arange(len(reference))
    network = _unit_rows(similarity, classes)
    correlations = fisher(network @ _unit_rows(rows, owners).T)

    # The precision of all classes but the owner follows from that of all.
    precision = np.linalg.inv(reference + np.eye(len(reference)))
    others = rows.copy()
    others[own] = 0.0
    weights = others @ precision
    of_owner = weights[own] / np.diag(precision)[owners]
    weights -= of_owner[:, None] * precision[owners]
    weights[own] = 0.0
    return correlations, _predicted_cosines(weights, np.tanh(similarity)).T


def _unit_rows(matrix: Values, owners: Indices) -> Values:
    """Return rows of mean 0 and length 1, in which the class itself is the mean."""
    own = np.arange(len(owners)), owners
    rows = matrix.copy()
    rows[own] = 0.0
    rows -= rows.sum(axis=1, keepdims=True) / (rows.shape[1] - 1)
    rows[own] = 0.0
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)


def _spread(measure: Values) -> float:
    return max(float(off_diagonal(measure).std()), TINY)


def _predicted_cosines(weights: Values, cosines: Values) -> Values:
    """Return the cosine ``(n, C)`` of predicted vectors, weighted sums ``(n, C)`` of
    the class vectors, with the class vectors. No class predicts itself.
    """
    products = weights @ with_diagonal(cosines, 0.0)
    squares = (products * weights).sum(axis=1) + (weights * weights).sum(axis=1)
    cosines_with: Values = products / np.sqrt(np.maximum(squares, TINY))[:, None]
    return cosines_with


def name_scores(gains: Values) -> Values:
    """Return how much better other names fit each class than its own ``(C,)``: alone,
    as an exchange of two names, and as a chain of two.
    """
    others = with_diagonal(gains, -np.inf)
    exchange = (others + others.T).max(axis=1) / 2
    scores: Values = others.max(axis=1) + exchange + chains(gains).max(axis=1)
    return scores


def chains(gains: Values) -> Values:
    """Return the gain of each name for each class ``(C, C)``, plus half of the gain if
    the class with this name is renamed, too; -inf for a class's own name.
    """
    others = with_diagonal(gains, -np.inf)
    chained: Values = others + others.max(axis=1) / 2
    return chained


def name_cycles(
    gains: Values, suspected: Sequence[int], min_gain: float
) -> list[tuple[int, ...]]:
    """Return the cycles of names with the largest sum of gains among the suspected
    classes and those whose names fit these best; each change costs the minimum gain.

    Each class of a cycle fits the name of the next one. A suspected class that keeps
    its name is a cycle of one.
    """
    from scipy.optimize import linear_sum_assignment

    best = chains(gains)[list(suspected)].argmax(axis=1).tolist()
    candidates = sorted({*suspected, *best})
    costs = min_gain * (1 - np.eye(len(candidates)))
    _, names = linear_sum_assignment(costs - gains[np.ix_(candidates, candidates)])
    following = {
        one: candidates[name] for one, name in zip(candidates, names, strict=True)
    }
    cycles: list[tuple[int, ...]] = []
    for first in suspected:
        if any(first in cycle for cycle in cycles):
            continue
        cycle = [first]
        while following[cycle[-1]] != first:
            cycle.append(following[cycle[-1]])
        cycles.append(tuple(cycle))
    return cycles


def group_scores(residuals: Values, is_far: NDArray[np.bool_]) -> Values:
    """Return what each pair ``(C, C)`` adds to a group: its residual, limited and
    standardised over the pairs that the reference puts far apart; 0 for other pairs.
    """
    limited = np.clip(residuals, -MAX_RESIDUAL, MAX_RESIDUAL)
    far = limited[is_far & ~np.eye(len(residuals), dtype=bool)]
    if not len(far):
        return np.zeros_like(residuals)
    return np.where(is_far, (limited - far.mean()) / max(far.std(), TINY), 0.0)


def group_score(scores: Values, group: Sequence[int]) -> float:
    """Return the sum over all pairs of a group over the root of their number, which is
    about standard normal for random groups.
    """
    pairs = upper(scores[np.ix_(group, group)])
    return float(pairs.sum() / np.sqrt(len(pairs)))


def grown_groups(scores: Values, first: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """Yield the groups of each size that grow from a class, with their scores.

    The class with the largest sum of scores is added, among those whose pairs with all
    members reach `MIN_RESIDUAL`. Scores ``(C, C)`` of -inf leave a pair out.
    """
    group = [first]
    least, sums = scores[first].copy(), scores[first].copy()
    total = 0.0
    while len(group) < GROUP_SIZES.stop - 1:
        allowed = np.where(least >= MIN_RESIDUAL, sums, -np.inf)
        best = int(allowed.argmax())
        if allowed[best] == -np.inf:
            return
        total += sums[best]
        group.append(best)
        least = np.minimum(least, scores[best])
        sums = sums + scores[best]
        if len(group) in GROUP_SIZES:
            yield tuple(sorted(group)), total / np.sqrt(comb(len(group), 2))


def informedness(counts: Values) -> Values:
    """Return how well predictions tell the classes of each pair apart ``(C, C)``: the
    sum of both recalls minus 1 (Youden 1950), among the predictions as one of the two;
    0 is chance and 1 perfect, NaN without such predictions.
    """
    right = np.diag(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        recalls = right[:, None] / (right[:, None] + counts)
    apart: Values = recalls + recalls.T - 1
    return apart


def confusion_shares(counts: Values) -> Values:
    """Return the share of the samples of each class that are predicted as each class
    ``(C, C)``; 0 without samples.
    """
    shares: Values = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    return shares


def asymmetry_p_values(counts: Values) -> tuple[Values, Values]:
    """Return the p-value ``(C, C)`` of the number of samples of class ``i`` that are
    predicted as class ``j``, given the number of confusions in both directions, and the
    share of the first direction that the two classes explain.

    Under quasi-symmetry the log odds of the directions are a difference of one effect
    per class (the model of Bradley and Terry 1952), which 50 steps of minorisation
    (Hunter 2004, https://doi.org/10.1214/aos/1079120141) fit to the counts, with half a
    confusion added to each direction.
    """
    from scipy.special import betainc

    wrong = with_diagonal(counts, 0.0)
    smooth = with_diagonal(counts + 0.5, 0.0)
    both, outgoing = smooth + smooth.T, smooth.sum(axis=1)
    strength = np.ones(len(counts))
    for _ in range(50):
        strength = outgoing / (both / (strength[:, None] + strength)).sum(axis=1)
        strength /= strength.mean()
    expected = strength[:, None] / (strength[:, None] + strength)
    p_values = np.ones_like(wrong)
    is_confused = wrong > 0
    given = wrong[is_confused]
    reverse = wrong.T[is_confused]
    p_values[is_confused] = betainc(given, reverse + 1, expected[is_confused])
    return p_values, expected


# The search


def find(network: Network, left_out: Sequence[int] = ()) -> list[Suspect]:
    """Return the suspects of a network at a false discovery rate of 10 % for each kind,
    except for dead classes, which are left out.

    A class is listed under the first kind that explains it: exchanged names, a wrong
    sense, a duplicate, mislabelled images, a shortcut, and last a single wrong name. A
    pair within a shortcut is listed only if it is far closer than the other pairs.
    """
    if len(network.similarity) < MIN_CLASSES or not network.has_learned:
        return []
    taken = set(left_out)
    if network.reference is None:
        return _add(close_pairs(network), taken)
    names = wrong_names(network)
    found = _add([one for one in names if len(one.members) > 1], taken)
    found += _add(wrong_senses(network), taken)
    groups = shortcuts(network, sorted(taken))
    pairs = [
        pair
        for pair in close_pairs(network)
        if not any(_explains(network, group.members, pair) for group in groups)
    ]
    found += _add(pairs, taken)
    found += _add(shortcuts(network, sorted(taken)), taken)
    found += _add([one for one in names if len(one.members) == 1], taken)
    return found


def _explains(network: Network, group: Sequence[int], pair: Suspect) -> bool:
    """Return whether a group holds both classes of a pair, and the pair is not far
    closer than its other pairs.
    """
    if not {*pair.members} <= {*group}:
        return False
    residuals = upper(network.residuals[np.ix_(group, group)])
    of_pair = network.residuals[pair.members]
    others = (residuals.sum() - of_pair) / (len(residuals) - 1)
    return bool(of_pair < MAX_RATIO * others)


def _add(suspects: Sequence[Suspect], taken: set[int]) -> list[Suspect]:
    """Return the suspects without a class that is taken, and take their classes."""
    added = [one for one in suspects if not taken & {*one.members}]
    taken.update(member for one in added for member in one.members)
    return added


def dead_classes(norms: Values | None, counts: Mapping[str, Values]) -> list[Suspect]:
    """Return classes whose vector is short in comparison with all others, or that are
    never predicted although they have samples.

    Parameters
    ----------
    norms : (C,) float, the lengths of the centred class vectors, or None.
    counts : by split, the confusion counts ``(C, C)``.
    """
    q_of = q_values(dead_p_values(norms, counts))
    found = []
    for one in np.flatnonzero(q_of <= FALSE_DISCOVERY_RATE).tolist():
        samples = {
            split: float(of_split[one].sum())
            for split, of_split in counts.items()
            if of_split[:, one].sum() == 0 and of_split[one].sum() > 0
        }
        if norms is not None:
            score, mean = float(norms[one]), float(np.median(norms))
            deviation = robust_deviation(norms)
        else:
            score, mean = 0.0, max(samples.values())
            deviation = float(np.sqrt(mean))
        q_value, split = float(q_of[one]), next(iter(samples), None)
        found.append(
            Suspect("dead-class", (one,), score, q_value, mean, deviation, split=split)
        )
    return found


def dead_p_values(norms: Values | None, counts: Mapping[str, Values]) -> Values:
    """Return the p-value ``(C,)`` of each class as a dead class: the smallest of
    several tests, multiplied by their number.

    The logarithms of the lengths are compared by `class_p_values`, if a length is at
    most `MAX_DEAD_LENGTH` times the median. The number of
    predictions as a class with ``n`` samples has the Poisson probability ``exp(-n)`` of
    being 0. This is no evidence if the predictions name less than half of the classes,
    because then the network has collapsed.
    """
    tests = []
    if norms is not None:
        is_short = norms <= MAX_DEAD_LENGTH * np.median(norms)
        p_values = np.ones(len(norms))
        if is_short.any():
            lengths = np.maximum(norms, 1e-12)
            p_values[is_short] = class_p_values(-np.log(lengths))[is_short]
        tests.append(p_values)
    for of_split in counts.values():
        samples, predicted = of_split.sum(axis=1), of_split.sum(axis=0)
        is_collapsed = 2 * np.count_nonzero(predicted) < len(of_split)
        is_missing = (predicted == 0) & np.logical_not(is_collapsed)
        tests.append(np.where(is_missing, np.exp(-samples), 1.0))
    smallest: Values = np.min(tests, axis=0)
    return np.minimum(smallest * len(tests), 1.0)


def wrong_names(network: Network) -> list[Suspect]:
    """Return cycles of names that are exchanged, and single classes whose name fits
    much worse than another one.

    The family of tests of single classes is that of `name_scores`; the family of pairs
    that of the exchanges.
    """
    gains, tail = network.gains, network.exchange_tail
    q_class = q_values(network.name_p_values)
    # Each pair is twice in the matrix, which does not change its rate.
    is_exchange = ~np.eye(len(gains), dtype=bool)
    q_pair = q_values_where(tail.p_values((gains + gains.T) / 2), is_exchange)
    q_best = np.minimum(q_class, q_pair.min(axis=1))
    suspected = np.flatnonzero(q_best <= FALSE_DISCOVERY_RATE).tolist()
    if not suspected:
        return []
    suspected.sort(key=lambda one: q_best[one])
    others = with_diagonal(gains, -np.inf)
    min_single = max(network.gain_tail.quantile(NAME_P), 0.0)
    found = []
    for cycle in name_cycles(gains, suspected, max(tail.quantile(CYCLE_P), 0.0)):
        of_cycle = gains[cycle, np.roll(cycle, -1)]
        if len(cycle) > 1 and of_cycle.min() >= min_single:
            q_value = q_best[list(cycle)].min()
            found.append(
                _by_gain(network, "wrong-label", cycle, of_cycle.mean(), q_value)
            )
            continue
        for one in cycle:
            gain, best = others[one].max(), int(others[one].argmax())
            if q_class[one] <= FALSE_DISCOVERY_RATE and gain >= min_single:
                single = _by_gain(
                    network, "wrong-label", (one,), gain, q_class[one], best
                )
                found.append(single)
    return found


def _by_gain(
    network: Network,
    kind: str,
    members: tuple[int, ...],
    gain: float,
    q_value: float,
    fit: int | None = None,
) -> Suspect:
    """Return a suspect whose chance level are the gains of all other names."""
    usual = off_diagonal(network.gains)
    mean, deviation = float(usual.mean()), float(usual.std())
    return Suspect(kind, members, float(gain), float(q_value), mean, deviation, fit)


def sense_q_values(network: Network) -> Values:
    """Return the false discovery rate of each other sense ``(n,)``.

    The p-value is the share of random classes whose name would raise the fit by as
    much. Its weight grows with the prior odds of the sense.
    """
    assert network.senses is not None
    p_values = network.gain_tail.p_values(network.sense_gains)
    weights = MIN_ODDS + np.minimum(network.senses.odds, MAX_ODDS)
    return q_values(p_values, weights / weights.mean())


def wrong_senses(network: Network) -> list[Suspect]:
    """Return classes that another sense of their name fits better; each sense is a
    test.
    """
    senses = network.senses
    if senses is None or not len(senses.owners):
        return []
    q_of = sense_q_values(network)
    found: dict[int, Suspect] = {}
    for sense in np.lexsort((-network.sense_gains, q_of)).tolist():
        gain, owner = network.sense_gains[sense], int(senses.owners[sense])
        is_better = q_of[sense] <= FALSE_DISCOVERY_RATE and gain >= MIN_SENSE_GAIN
        if is_better and owner not in found:
            found[owner] = _by_gain(
                network, "wrong-sense", (owner,), gain, q_of[sense], sense
            )
    return list(found.values())


def close_pairs(network: Network) -> list[Suspect]:
    """Return duplicates and pairs with mislabelled images, the strongest first.

    Close pairs come from the residuals, and classes with the same synset from the
    residuals without the reference. They are duplicates if each is the nearest of the
    other, unless predictions tell them apart. One-sided confusions of classes that the
    reference puts far apart are mislabelled images.
    """
    residuals, plain = network.residuals, network.plain
    is_pair = np.triu(np.ones(residuals.shape, dtype=bool), 1)
    q_of = q_values_where(Tail.of_pairs(residuals).p_values(residuals), is_pair)
    nearness = residuals
    if network.reference is not None:
        # The reference explains that classes of the same synset are close.
        is_same = network.reference >= np.diag(network.reference)[:, None]
        nearness = np.where(is_same, plain, residuals)
        p_values = Tail.of_pairs(plain).p_values(plain)
        q_of = np.where(is_same, q_values_where(p_values, is_same & is_pair), q_of)
    best = nearness.argmax(axis=1)
    found = []
    is_close = (q_of <= FALSE_DISCOVERY_RATE) & (nearness > 0)
    for first, second in np.argwhere(is_close).tolist():
        one, other = first, second
        if best[one] != other:
            one, other = other, one
        if best[one] != other:
            continue
        is_mutual = best[other] == one
        is_natural = network.reference is not None and not network.is_far[one, other]
        if is_mutual and not network.told_apart[one, other] > SAME:
            kind = "duplicate"
        elif is_natural:
            continue
        else:
            kind = "mislabelled-images"
        score = float(nearness[first, second])
        q_value = float(q_of[first, second])
        found.append(Suspect(kind, (one, other), score, q_value))
    is_duplicate = np.zeros(residuals.shape, dtype=bool)
    for suspect in found:
        if suspect.kind == "duplicate":
            is_duplicate[suspect.members] = is_duplicate[suspect.members[::-1]] = True
    for split, counts in network.counts.items():
        found += one_sided_confusions(network.is_far & ~is_duplicate, split, counts)
    return sorted(found, key=lambda suspect: suspect.q_value)


def one_sided_confusions(
    is_possible: NDArray[np.bool_], split: str, counts: Values
) -> list[Suspect]:
    """Return the possible pairs of classes of which one is often predicted as the other
    one, and hardly ever the other way round.
    """
    p_values, expected = asymmetry_p_values(counts)
    shares = confusion_shares(counts)
    # The test is conditional on the sum of both directions, so choosing pairs by this
    # sum does not bias it.
    fewest = np.maximum(MIN_SHARE * counts.sum(axis=1, keepdims=True), MIN_CONFUSIONS)
    is_tested = is_possible & (counts + counts.T >= fewest)
    np.fill_diagonal(is_tested, False)
    q_of = q_values_where(p_values, is_tested)
    is_found = (q_of <= FALSE_DISCOVERY_RATE) & (shares >= MIN_SHARE)
    both = counts + counts.T
    means = both * expected
    deviations = np.sqrt(means * (1 - expected))
    return [
        Suspect(
            "mislabelled-images",
            (one, other),
            float(counts[one, other]),
            float(q_of[one, other]),
            float(means[one, other]),
            float(deviations[one, other]),
            split=split,
        )
        for one, other in np.argwhere(is_found).tolist()
    ]


def shortcuts(network: Network, left_out: Sequence[int] = ()) -> list[Suspect]:
    """Return disjoint groups of classes that are close for the network and far apart in
    the reference, the strongest first.

    Random groups are the chance level: the p-value of a group, by the normal
    distribution, is multiplied by the number of groups of its size.
    """
    from scipy.special import ndtr

    scores = with_diagonal(network.group_scores, -np.inf)
    scores[list(left_out)] = scores[:, list(left_out)] = -np.inf
    groups: dict[tuple[int, ...], Suspect] = {}
    for first in range(len(scores)):
        for members, score in grown_groups(scores, first):
            p_value = float(ndtr(-score))
            q_value = min(p_value * comb(len(scores), len(members)), 1.0)
            groups[members] = Suspect("shortcut", members, score, q_value)
    taken: set[int] = set()
    found = []
    for group in sorted(
        groups.values(), key=lambda one: (one.q_value, -one.score, one.members)
    ):
        if group.q_value <= FALSE_DISCOVERY_RATE:
            found += _add([group], taken)
    return found


def share_inside(counts: Values, members: Sequence[int]) -> float:
    """Return the share of the mistakes of a group that stay in the group, NaN without
    mistakes.
    """
    rows = counts[list(members)]
    inside = rows[:, list(members)]
    right = float(np.trace(inside))
    wrong = float(rows.sum()) - right
    return (float(inside.sum()) - right) / wrong if wrong else float("nan")


def p_value_of(network: Network, suspect: Suspect) -> float:
    """Return the p-value of a given suspect in a network, without correction; 1 if
    the network lacks the evidence.
    """
    from scipy.special import ndtr

    members = suspect.members
    counts = network.counts.get(suspect.split or "")
    if counts is not None:
        p_values, _ = asymmetry_p_values(counts)
        return float(p_values[members])
    if not network.has_learned:
        return 1.0
    if suspect.kind in ("duplicate", "mislabelled-images"):
        tests = [
            Tail.of(upper(residuals)).p_values(residuals[members])
            for residuals in (network.residuals, network.plain)
        ]
        return float(min(tests))
    if suspect.kind == "shortcut":
        return float(ndtr(-group_score(network.group_scores, members)))
    if suspect.kind == "wrong-sense":
        return float(network.gain_tail.p_values(network.sense_gains[suspect.fit]))
    if len(members) == 1:
        return float(network.name_p_values[members[0]])
    mean_gain = network.gains[members, np.roll(members, -1)].mean()
    return float(network.exchange_tail.p_values(mean_gain))
