"""The agreement of a head, labels and predictions, which tells whether they belong
together **[ours]**.

A trained network confuses classes whose class vectors are similar, and both resemble
the reference of the right names. So three comparisons of classes tell which input is in
another order: the head with the confusions, the head with the reference, and the
confusions with the reference.

- The chance level is a random relabelling of the classes (Mantel 1967), which is the
  same as a list in a random order.
- The *residual* of a matrix is what an effect of each class leaves (the additive model
  of a round robin, Warner, Kenny and Stoto 1979,
  https://doi.org/10.1037/0022-3514.37.10.1742). Without it, a class with many mistakes
  would look similar to all others.
- Few mistakes make confusions noisy, which lowers the correlation that a right order
  would have (the attenuation of Spearman 1904).
- Two inputs contradict one another if the correlation is nearer to that of a random
  order than to the least one of right orders, and these two differ clearly.

The constants are chosen on one half of simulated draws; docs/method.md has the rates of
the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.class_alignment import align_group
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.metrics.split_half import reliability
from dsi_cli.similarity import centred_weight_similarity

Values = NDArray[np.float64]
Order = NDArray[np.intp]
"""An order ``(C,)``: class ``i`` gets what class ``order[i]`` has."""
Orders = Mapping[str, Sequence[Order]]

MIN_CLASSES = 10  # of fewer classes, a random order is often as good as the right one


@dataclass(frozen=True)
class Limits:
    """When a correlation contradicts a right order.

    Parameters
    ----------
    least : the least correlation of a right order.
    min_z : the least z of this correlation; with a smaller one, nothing is concluded.
    share : a correlation below this share of the least one is a contradiction.
    """

    least: float
    min_z: float
    share: float


OWN = Limits(least=0.45, min_z=2.0, share=0.4)
"""The limits for a trained head with its own confusions, without their noise."""
REFERENCE = Limits(least=0.22, min_z=2.5, share=0.5)
"""The limits for a trained head, or for its confusions, with the reference."""
MIN_GAIN = 5.0
"""A better order gains at least so many standard deviations by chance."""
MIN_MISTAKES, MISTAKES_PER_CLASS = 150, 3
"""The noise of fewer mistakes than the first, or than the second per class, is not known
well.
"""
HALVINGS = 4  # of the samples, for the reliability of the confusions
LEARNED_MULTIPLE, MIN_ACCURACY = 3.0, 0.1
"""A network has learned to classify from this multiple of the accuracy by chance, and
from this accuracy.
"""
MIN_ASSIGNED = 0.2
"""The accuracy of predictions in another order than the truth, once put right."""
MAX_CLASSES = 1000  # of more classes, so many are compared
SAME_ORDER = 0.8
"""An order gives this share of the accuracy if it is the one of the predictions."""
CERTAIN_Z = 6.0  # a better order of this z needs no other sign of a trained network
MIN_SHIFT_GAIN = 4.0
"""Predictions of other epochs gain so many standard deviations if they are moved."""
MIN_CHECKPOINTS = 5  # the least number of checkpoints whose changes are compared
TINY = float(np.finfo(np.float64).tiny)
MAX_COSINE = 0.999  # keeps Fisher's z finite


class Agreement(NamedTuple):
    """A correlation of two matrices off their diagonals, and its z by relabelling."""

    value: float
    z: float

    @property
    def deviation(self) -> float:
        """The standard deviation of the correlation by chance."""
        return self.value / self.z


class BetterOrder(NamedTuple):
    """An order in which two matrices agree far better, with its name."""

    name: str
    agreement: Agreement


@dataclass(frozen=True)
class Comparison:
    """Two matrices ``(C, C)`` of the same classes, NaN for missing classes."""

    fixed: Values
    ordered: Values  # the matrix whose order may be wrong
    limits: Limits

    def agreement(self, order: Order | None = None) -> Agreement | None:
        """Return the agreement, as given or in another order; None without a value."""
        classes = len(self.fixed)
        kept = np.linspace(0, classes - 1, min(classes, MAX_CLASSES)).astype(np.intp)
        place = kept if order is None else order[kept]
        is_known = ~np.isnan(np.diagonal(self.fixed)[kept])
        is_known &= ~np.isnan(np.diagonal(self.ordered)[place])
        kept, place = kept[is_known], place[is_known]
        if len(kept) < MIN_CLASSES:
            return None
        fixed, ordered = self.fixed[np.ix_(kept, kept)], self.ordered
        found = align_group(fixed, ordered[np.ix_(place, place)])
        if found.pearson is None or not found.z:
            return None
        return Agreement(found.pearson, found.z)

    @cached_property
    def given(self) -> Agreement | None:
        """The agreement in the given order."""
        return self.agreement()

    @property
    def is_aligned(self) -> bool:
        """True if the matrices agree above chance."""
        return self.given is not None and self.given.z >= MIN_Z

    @property
    def is_contradiction(self) -> bool:
        """True if the matrices agree so little that the order must be wrong."""
        if self.given is None or self.given.z >= MIN_Z:
            return False
        limits = self.limits
        has_power = limits.least >= limits.min_z * self.given.deviation
        return has_power and self.given.value < limits.share * limits.least

    def better_order(self, orders: Orders) -> BetterOrder | None:
        """Return the order in which the matrices agree best if they agree far better
        than as given; None if there is no such order.
        """
        tried = [
            BetterOrder(name, found)
            for name, of_name in orders.items()
            for order in of_name
            if (found := self.agreement(order)) is not None
        ]
        if self.given is None or not tried:
            return None
        best = max(tried, key=lambda one: one.agreement.value)
        gain = best.agreement.value - self.given.value
        is_better = gain >= MIN_GAIN * self.given.deviation
        return best if is_better and best.agreement.z >= MIN_Z else None


@dataclass(frozen=True)
class Inputs:
    """The inputs of one epoch of a run, which belong together.

    Parameters
    ----------
    similarity : (C, C), the similarities of the head (raw NCSM).
    reference : (C, C) in the order of the labels, NaN for missing classes; or None.
    counts : the confusion counts ``(C, C)`` by split.
    orders : the orders to try, by name.
    accuracy : the accuracy according to the log, or None.
    """

    weight: Values
    similarity: Values
    reference: Values | None
    counts: Mapping[str, NDArray[np.int64]]
    orders: Orders
    accuracy: float | None = None


@dataclass(frozen=True)
class Contradiction:
    """Inputs that do not belong together.

    Parameters
    ----------
    kind : one of `KINDS`.
    split : the split of the predictions, or None for the labels.
    given : the agreement as given, or None if the predictions agree with the truth in
        no way.
    better : the order in which the inputs agree far better, or None.
    own : the agreement of the head with its confusions, if it shows that the network
        has been trained.
    which : the input in another order, targets or predictions; None if it is unknown.
    order : the name of this order; None if it is unknown.
    accuracy, accuracy_meant : the accuracy as given or in the log, and in the better
        order.
    by_name : True if the confusions have the order of the labels, too.
    """

    kind: str
    split: str | None = None
    given: Agreement | None = None
    better: BetterOrder | None = None
    own: Agreement | None = None
    which: str | None = None
    order: str | None = None
    accuracy: float | None = None
    accuracy_meant: float | None = None
    by_name: bool = False


LABELS, PREDICTIONS, TRUTH, UNRELATED = "labels", "predictions", "truth", "unrelated"
"""The kinds of contradictions: labels in another order than the head; predictions and
truth in another order than the head; predictions in another order than the truth;
predictions that are independent of the truth.
"""


def contradictions(inputs: Inputs) -> list[Contradiction]:
    """Return which inputs contradict one another; none for a network that has not
    learned to classify.
    """
    classes = len(inputs.weight)
    if classes < MIN_CLASSES:
        return []
    labels = None
    if inputs.reference is not None:
        similarity = np.asarray(inputs.similarity, dtype=np.float64)
        reference = np.asarray(inputs.reference, dtype=np.float64)
        labels = Comparison(similarity, reference, REFERENCE)
    accuracies = [inputs.accuracy or 0.0]
    is_trained = has_learned(accuracies[0], classes)
    found: list[Contradiction] = []
    own: Agreement | None = None
    has_own_order = False
    for split, counts in inputs.counts.items():
        if not has_learned(accuracy_of(counts), classes):
            is_known = is_trained or (labels is not None and labels.is_aligned)
            found += _of_truth(inputs, split, is_known=is_known)
            continue
        is_trained = True
        accuracies.append(accuracy_of(counts))
        of_split = with_confusions(inputs.weight, counts)
        better = of_split.better_order(inputs.orders)
        if better is not None or of_split.is_contradiction:
            given = of_split.given
            found.append(Contradiction(PREDICTIONS, split, given, better))
            has_own_order = True
        elif of_split.is_aligned:
            own = of_split.given
    if labels is None:
        return found
    better = labels.better_order(inputs.orders)
    is_wrong = better is not None and (is_trained or better.agreement.z >= CERTAIN_Z)
    # Without its own confusions and without a log, the head may be of another task.
    is_wrong |= labels.is_contradiction and is_trained
    if not is_wrong:
        return found
    by_name = has_own_order and _follow_labels(inputs)
    if by_name:
        found = [one for one in found if one.kind != PREDICTIONS]
    of_labels = Contradiction(
        LABELS,
        given=labels.given,
        better=better,
        own=own,
        accuracy=max(accuracies),
        by_name=by_name,
    )
    return [*found, of_labels]


def _follow_labels(inputs: Inputs) -> bool:
    """Return whether the confusions agree with the reference: their classes are those
    of the labels.
    """
    assert inputs.reference is not None
    reference = np.asarray(inputs.reference, dtype=np.float64)
    return any(
        Comparison(confusions(counts), reference, REFERENCE).is_aligned
        for counts in inputs.counts.values()
    )


def _of_truth(inputs: Inputs, split: str, *, is_known: bool) -> list[Contradiction]:
    """Return how predictions of a low accuracy contradict the truth; nothing if the
    network may be untrained.
    """
    counts = inputs.counts[split]
    accuracy = accuracy_of(counts)
    assigned = assignment(counts)
    if assigned is None:
        is_unrelated = is_known and is_at_chance(counts)
        found = Contradiction(UNRELATED, split, accuracy=accuracy)
        return [found] if is_unrelated else []
    meant, accuracy_meant = assigned
    # The head tells which of the two has its order.
    renamed = {
        "predictions": counts[:, meant],
        "targets": counts[inverse(meant)],
    }
    agreements = {
        which: with_confusions(inputs.weight, one).given
        for which, one in renamed.items()
    }
    known = {which: one for which, one in agreements.items() if one is not None}
    which = max(known, key=lambda one: known[one].value, default=None)
    if which is not None and known[which].z < MIN_Z:
        which = None
    found = Contradiction(
        TRUTH,
        split,
        which=which,
        order=_order_of(counts, accuracy_meant, inputs.orders),
        accuracy=accuracy,
        accuracy_meant=accuracy_meant,
    )
    return [found]


def _order_of(
    counts: NDArray[np.int64], accuracy_meant: float, orders: Orders
) -> str | None:
    """Return the name of the order in which predictions have almost the accuracy that
    they can have; None if there is none.
    """
    accuracies = {
        name: max(
            accuracy_of(counts[:, way])
            for one in of_name
            for way in (one, inverse(one))
        )
        for name, of_name in orders.items()
    }
    best = max(accuracies, key=lambda name: accuracies[name], default=None)
    if best is None or accuracies[best] < SAME_ORDER * accuracy_meant:
        return None
    return best


def with_confusions(weight: Values, counts: NDArray[np.int64]) -> Comparison:
    """Return the comparison of a head ``(C, d)`` with confusion counts ``(C, C)``."""
    least = 0.0
    mistakes = counts.sum() - np.trace(counts)
    if mistakes >= min(MIN_MISTAKES, MISTAKES_PER_CLASS * len(counts)):
        found = reliability(counts, HALVINGS).value
        least = OWN.least * max(found or 0.0, 0.0) ** 0.5
    limits = replace(OWN, least=least)
    return Comparison(residual(_fisher(weight)), confusions(counts), limits)


def confusions(counts: NDArray[np.int64]) -> Values:
    """Return the residual of the square roots of the symmetrised shares of mistakes,
    NaN for classes without samples.
    """
    samples = counts.sum(axis=1)
    kept = np.flatnonzero(samples)
    shares = counts[np.ix_(kept, kept)] / samples[kept, None]
    np.fill_diagonal(shares, 0.0)
    found = np.full(counts.shape, np.nan)
    if len(kept) >= MIN_CLASSES:
        found[np.ix_(kept, kept)] = residual(np.sqrt(shares + shares.T))
    return found


def residual(matrix: Values) -> Values:
    """Return a symmetric matrix ``(C, C)`` less the least-squares effects of its
    classes, with a diagonal of 0; C is 3 or more.
    """
    classes = len(matrix)
    left = np.array(matrix, dtype=np.float64)
    np.fill_diagonal(left, 0.0)
    sums = left.sum(axis=1)
    effects = (sums - sums.sum() / (2 * (classes - 1))) / (classes - 2)
    left -= effects[:, None] + effects
    np.fill_diagonal(left, 0.0)
    return left


# Orders


def orders(
    names: Sequence[str] | None,
    ids: Sequence[str | None] | None,
    others: Mapping[str, Sequence[int]],
    classes: int,
) -> dict[str, list[Order]]:
    """Return the orders that people confuse, by name; the given one is left out.

    Parameters
    ----------
    names : the labels in the given order, or None.
    ids : their WordNet ids, or None.
    others : other orders by name, such as that of another list: the index in the given
        list of each of its classes.
    classes : the number of classes.
    """
    indices = range(classes)
    found: dict[str, list[Order]] = {}

    def add(name: str, order: Sequence[int]) -> None:
        array = np.array(order, dtype=np.intp)
        known = [one for of_name in found.values() for one in of_name]
        if any((array == one).all() for one in [np.arange(classes), *known]):
            return
        found.setdefault(name, []).append(array)

    for name, order in others.items():
        add(name, order)
    sort_keys: dict[str, Callable[[int], str]] = {}
    if names is not None:
        given = names
        sort_keys["alphabetical order"] = given.__getitem__
        sort_keys["alphabetical order without case"] = lambda one: given[one].casefold()
    if ids is not None and None not in ids:
        known_ids = ids
        sort_keys["the order of the WordNet ids"] = lambda one: str(known_ids[one])
    for name, key in sort_keys.items():
        add(name, sorted(indices, key=key))
    as_text = sorted(indices, key=str)
    add("the order of numbered folders (1, 10, 2)", as_text)
    add("the order of numbered folders (1, 10, 2)", inverse(as_text).tolist())
    add("an order that is shifted by one", np.roll(indices, 1).tolist())
    add("an order that is shifted by one", np.roll(indices, -1).tolist())
    add("reversed order", list(reversed(indices)))
    return found


def inverse(order: Sequence[int] | Order) -> Order:
    """Return the inverse of an order.

    >>> inverse([2, 0, 1]).tolist()
    [1, 2, 0]
    """
    return np.argsort(order)


# Predictions and truth


def has_learned(accuracy: float, classes: int) -> bool:
    """Return whether a network with this accuracy has learned to classify."""
    return accuracy >= max(LEARNED_MULTIPLE / classes, MIN_ACCURACY)


def accuracy_of(counts: NDArray[np.int64]) -> float:
    """Return the accuracy of confusion counts ``(C, C)``."""
    return float(np.trace(counts) / max(counts.sum(), 1))


def is_at_chance(counts: NDArray[np.int64]) -> bool:
    """Return whether predictions are independent of the truth, by the number of right
    ones.
    """
    samples = max(int(counts.sum()), 1)
    shares = counts.sum(axis=1) / samples, counts.sum(axis=0) / samples
    chance = float(shares[0] @ shares[1])
    deviation = (chance * (1 - chance) / samples) ** 0.5
    return accuracy_of(counts) <= chance + MIN_Z * deviation


def assignment(counts: NDArray[np.int64], seed: int = 0) -> tuple[Order, float] | None:
    """Return the class that predictions call each class, ``(C,)``, and the accuracy if
    they meant it; None unless it is far above the given accuracy.

    One half of the samples gives the assignment, and the other one the accuracy. It is
    not sought for more than `MAX_CLASSES` classes.
    """
    if len(counts) > MAX_CLASSES:
        return None
    from scipy.optimize import linear_sum_assignment

    half = np.random.default_rng(seed).binomial(counts, 0.5)
    other = counts - half
    _, meant = linear_sum_assignment(half, maximize=True)
    accuracy = float(other[np.arange(len(meant)), meant].sum() / max(other.sum(), 1))
    limit = max(MIN_ASSIGNED, LEARNED_MULTIPLE * accuracy_of(counts))
    if accuracy < limit or not has_learned(accuracy, len(counts)):
        return None
    return meant, accuracy


# Epochs


def shift_by_changes(
    heads: Sequence[Values], predictions: Sequence[NDArray[np.int64]]
) -> tuple[int, Agreement, Agreement] | None:
    """Return by how many checkpoints predictions are off, with the agreement of changes
    as given and without this shift; None if they are not off, or if it is unknown.

    From one checkpoint to the next, those confusions rise whose class vectors come
    closer. So the changes of both agree in the right order of epochs, and hardly in
    another one.

    Parameters
    ----------
    heads : the head ``(C, d)`` of each checkpoint, in the order of the epochs.
    predictions : the confusion counts ``(C, C)`` that each checkpoint is said to have.
    """
    if len(heads) < MIN_CHECKPOINTS:
        return None
    own = [_normal(residual(_fisher(head))) for head in heads]
    theirs = [_normal(np.nan_to_num(confusions(counts))) for counts in predictions]
    of_heads, of_predictions = np.diff(own, axis=0), np.diff(theirs, axis=0)
    classes = len(heads[0])
    agreements = {}
    for by in (0, 1, -1):
        pairs = [
            (step, of_predictions[index - by])
            for index, step in enumerate(of_heads)
            if 0 <= index - by < len(of_predictions)
        ]
        values = [
            float(np.vdot(a, b) / max(np.linalg.norm(a) * np.linalg.norm(b), TINY))
            for a, b in pairs
        ]
        deviation = (classes * (classes - 3) / 2 * len(values)) ** -0.5
        value = float(np.mean(values))
        agreements[by] = Agreement(value, value / deviation)
    by = max((1, -1), key=lambda one: agreements[one].value)
    if agreements[by].z < MIN_SHIFT_GAIN:
        return None
    gain = agreements[by].value - agreements[0].value
    if gain < MIN_SHIFT_GAIN * 2**0.5 * agreements[by].deviation:
        return None
    return by, agreements[0], agreements[by]


def _normal(matrix: Values) -> Values:
    """Return a matrix with a root mean square of 1; zeros stay."""
    return matrix / max(float(np.sqrt(np.mean(matrix**2))), TINY)


def _fisher(weight: Values) -> Values:
    """Return Fisher's z of the cosines of the centred class vectors ``(C, C)``."""
    cosines = centred_weight_similarity(weight).astype(np.float64)
    return np.arctanh(np.clip(cosines, -MAX_COSINE, MAX_COSINE))
