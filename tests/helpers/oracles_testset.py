"""Slow, independent reference implementations of what a test set gives: confusion, IDM, typicality, accuracy, loss.

As in `oracles`: float64, plain loops where a loop is the definition, nothing from the package under test. A figure
that does not exist is a ``ValueError``, but a None where it is one of several that are returned together.

``counts`` is always ``(C, C)``, rows = truth, columns = prediction. The IDM ranks the values as they are handed in:
hand in the stored float32 matrix where ties matter.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from helpers.oracles import TOLERANCE, ccsm, ncsm, offdiagonal

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

TOP = 5


# Confusion


def confusion(targets: Sequence[int], predictions: Sequence[int], classes: int) -> Counts:
    """Count the samples of each truth (row) and prediction (column)."""
    out = np.zeros((classes, classes), dtype=np.int64)
    for truth, prediction in zip(targets, predictions, strict=True):
        if not (0 <= truth < classes and 0 <= prediction < classes):
            raise ValueError(f"class {truth} or {prediction} is not in 0..{classes - 1}")
        out[truth, prediction] += 1
    return out


def samples_of(counts: npt.ArrayLike) -> list[tuple[int, int]]:
    """Expand counts to one ``(truth, prediction)`` a sample, by truth and then prediction."""
    table = np.asarray(counts)
    out = []
    for i in range(len(table)):
        for j in range(len(table)):
            if table[i, j] < 0 or table[i, j] != int(table[i, j]):
                raise ValueError(f"{table[i, j]} is not a count")
            out += [(i, j)] * int(table[i, j])
    return out


def accuracy(counts: npt.ArrayLike) -> float:
    """Fraction of the samples that are right."""
    samples = samples_of(counts)
    if not samples:
        raise ValueError("no sample, no accuracy")
    return sum(truth == prediction for truth, prediction in samples) / len(samples)


def balanced_accuracy(counts: npt.ArrayLike) -> float:
    """Mean over the classes that have a sample of the fraction of theirs that are right."""
    table = np.asarray(counts, dtype=np.float64)
    recalls = [table[i, i] / table[i].sum() for i in range(len(table)) if table[i].sum() > 0]
    if not recalls:
        raise ValueError("no sample, no accuracy")
    return float(sum(recalls) / len(recalls))


# Scores


def accuracy_top5(logits: npt.ArrayLike, targets: Sequence[int]) -> float:
    """Fraction of the samples for which fewer than five other classes have a strictly larger logit than the truth."""
    scores = np.asarray(logits, dtype=np.float64)
    hits = []
    for row, truth in zip(scores, targets, strict=True):
        larger = sum(1 for k in range(len(row)) if k != truth and row[k] > row[truth])
        hits.append(larger < TOP)
    return sum(hits) / len(hits)


def cross_entropy(logits: npt.ArrayLike, targets: Sequence[int]) -> float:
    """Mean over the samples of ``-log softmax(logits)[truth]``, natural logarithm."""
    scores = np.asarray(logits, dtype=np.float64)
    losses = []
    for row, truth in zip(scores, targets, strict=True):
        top = float(max(row))
        losses.append(top + math.log(math.fsum(math.exp(value - top) for value in row)) - float(row[truth]))
    return math.fsum(losses) / len(losses)


# Reliability of a CCSM


def _pearson(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Pearson correlation; None where it does not exist: fewer than two values, or all equal on a side."""
    if len(set(xs)) < 2 or len(set(ys)) < 2:
        return None
    mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    top = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    square_x = math.fsum((x - mean_x) ** 2 for x in xs)
    square_y = math.fsum((y - mean_y) ** 2 for y in ys)
    return top / (math.sqrt(square_x) * math.sqrt(square_y))


def _off(matrix: npt.ArrayLike) -> list[float]:
    return [float(value) for value in offdiagonal(matrix).ravel()]


def _half_correlation(first: Array, second: Array) -> float | None:
    """Pearson of two halves' CCSMs on the classes that both halves have; rows are normalised before any is dropped."""
    both = [i for i in range(len(first)) if first[i].sum() > 0 and second[i].sum() > 0]
    one, two = ccsm(first), ccsm(second)
    xs = [float(one[i, j]) for i in both for j in both if i != j]
    ys = [float(two[i, j]) for i in both for j in both if i != j]
    return _pearson(xs, ys)


def split_half_reliability(counts: npt.ArrayLike, halves: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]]) -> float:
    """Split-half reliability of the CCSM of these counts.

    Parameters
    ----------
    counts : array_like
        ``(C, C)``.
    halves : iterable of (first, second)
        Confusion counts that sum to `counts`, such as those of `sampled_halves`.

    Returns
    -------
    float
        Spearman-Brown's ``2r / (1 + r)`` of the mean ``r`` over the halves that have one: of one mean, not the mean
        of many. ``ValueError`` where no halves have one, or ``r`` is -1.
    """
    table = np.asarray(counts, dtype=np.float64)
    found = []
    for first, second in halves:
        one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
        if not np.array_equal(one + two, table):
            raise ValueError("the halves do not sum to the counts")
        r = _half_correlation(one, two)
        if r is not None:
            found.append(r)
    if not found:
        raise ValueError("no halves have a correlation")
    mean = math.fsum(found) / len(found)
    if mean <= -1 + TOLERANCE:
        raise ValueError("a correlation of -1 has no Spearman-Brown value")
    return 2 * mean / (1 + mean)


def sampled_halves(counts: npt.ArrayLike, rng: np.random.Generator, draws: int) -> list[tuple[Counts, Counts]]:
    """Split the samples in two at random, each truth class by itself.

    Per draw and per truth class, in order, one ``rng.permutation`` of the number of its samples (classes without any
    make no call); the samples at even places go to the first half, so that it has the odd one out.
    """
    table = np.asarray(counts)
    samples = samples_of(table)
    of_class = [[prediction for truth, prediction in samples if truth == i] for i in range(len(table))]
    out = []
    for _ in range(draws):
        halves = (np.zeros(table.shape, dtype=np.int64), np.zeros(table.shape, dtype=np.int64))
        for i, own in enumerate(of_class):
            if own:
                for place, which in enumerate(rng.permutation(len(own))):
                    halves[place % 2][i, own[int(which)]] += 1
        out.append(halves)
    return out


def pearson_corrected(a: npt.ArrayLike, b: npt.ArrayLike, reliability_a: float, reliability_b: float = 1.0) -> float:
    """Pearson of the off-diagonal values over the root of the product of the reliabilities; it may leave [-1, 1]."""
    r = _pearson(_off(a), _off(b))
    if r is None:
        raise ValueError("a constant matrix has no correlation")
    if not (reliability_a > 0 and reliability_b > 0):
        raise ValueError("a reliability that is not positive corrects nothing")
    return r / math.sqrt(reliability_a * reliability_b)


# Class means


def _cosine(x: Array, y: Array) -> float:
    """Cosine of two vectors; 0 where one of them is zero, as for a zero row of a similarity matrix."""
    length_x, length_y = math.sqrt(float(np.sum(x * x))), math.sqrt(float(np.sum(y * y)))
    if length_x == 0 or length_y == 0:
        return 0.0
    return float(np.sum(x * y)) / (length_x * length_y)


def _mean(features: Array, chosen: Sequence[int]) -> Array:
    """Mean of the chosen rows."""
    total = np.zeros(features.shape[1])
    for n in chosen:
        total = total + features[n]
    return np.asarray(total / len(chosen), dtype=np.float64)


def _members(targets: Sequence[int], index: int) -> list[int]:
    return [n for n in range(len(targets)) if targets[n] == index]


def template_similarity(features: npt.ArrayLike, targets: Sequence[int], classes: int) -> Array:
    """Cosine similarity of every two classes' mean features.

    Parameters
    ----------
    features : array_like
        ``(N, d)``.
    targets : sequence of int
        ``N`` class indices.
    classes : int
        ``C``.

    Returns
    -------
    Array
        ``(C, C)``. A zero mean, or a class without a sample, has similarity 0 to all others and 1 to itself.
    """
    rows = np.asarray(features, dtype=np.float64)
    means = np.zeros((classes, rows.shape[1]))
    for i in range(classes):
        own = _members(targets, i)
        if own:
            means[i] = _mean(rows, own)
    return ncsm(means)


# Typicality


class TypicalityRow(TypedDict):
    """The right or the wrong samples of a class."""

    class_index: int
    correct: bool
    samples: int
    group_cosine: float | None
    sample_cosine: float | None


def typicality(
    features: npt.ArrayLike, targets: Sequence[int], predictions: Sequence[int], classes: int
) -> tuple[list[TypicalityRow], list[float], list[float]]:
    """Cosines of the right and the wrong samples with their class's template, its mean feature.

    Parameters
    ----------
    features : array_like
        ``(N, d)``.
    targets, predictions : sequence of int
        ``N`` class indices each.
    classes : int
        ``C``.

    Returns
    -------
    rows : list of TypicalityRow
        ``2 C``: per class the right ones, then the wrong ones. ``group_cosine`` is that of the template of ALL the
        class's samples and the mean feature of these samples, None where there are none. ``sample_cosine`` is the
        mean of the samples' own cosines, each with the template of the class's other samples; None where there are
        no samples, or the class has only one.
    right, wrong : list of float
        All the samples' own cosines, in the order of the samples; that of a class's only sample is missing.
    """
    array = np.asarray(features, dtype=np.float64)
    own_cosines = [_left_out_cosine(array, targets, n) for n in range(len(targets))]
    is_right = [targets[n] == predictions[n] for n in range(len(targets))]
    rows: list[TypicalityRow] = []
    for i in range(classes):
        members = _members(targets, i)
        for correct in (True, False):
            group = [n for n in members if is_right[n] == correct]
            known = _without_none([own_cosines[n] for n in group])
            rows.append(
                {
                    "class_index": i,
                    "correct": correct,
                    "samples": len(group),
                    "group_cosine": _cosine(_mean(array, members), _mean(array, group)) if group else None,
                    "sample_cosine": math.fsum(known) / len(known) if known else None,
                }
            )
    right = _without_none([own_cosines[n] for n in range(len(targets)) if is_right[n]])
    wrong = _without_none([own_cosines[n] for n in range(len(targets)) if not is_right[n]])
    return rows, right, wrong


def _left_out_cosine(features: Array, targets: Sequence[int], n: int) -> float | None:
    others = [m for m in _members(targets, targets[n]) if m != n]
    return _cosine(features[n], _mean(features, others)) if others else None


def _without_none(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def typicality_null_enumerated(class_features: npt.ArrayLike, size: int) -> float:
    """Mean over all subsets of this size of the cosine of the class's mean feature and the subset's.

    Parameters
    ----------
    class_features : array_like
        ``(n, d)``, all the samples of one class.
    size : int
        1 to ``n``.
    """
    rows = np.asarray(class_features, dtype=np.float64)
    if not 1 <= size <= len(rows):
        raise ValueError(f"no subset of {size} of {len(rows)} samples")
    template = _mean(rows, range(len(rows)))
    values = [_cosine(template, _mean(rows, chosen)) for chosen in itertools.combinations(range(len(rows)), size)]
    return math.fsum(values) / len(values)


class TypicalitySummary(TypedDict):
    """Mean group cosines over classes, with the number of classes that had no such samples."""

    right: float | None
    wrong: float | None
    left_out_right: int
    left_out_wrong: int


def typicality_summary(rows: Iterable[TypicalityRow]) -> TypicalitySummary:
    """Mean over classes of the group cosine of the right and of the wrong samples: the paper's figure.

    Classes without such samples are left out of that mean, and counted; a mean over no class is None.
    """
    kept = list(rows)
    right = [row["group_cosine"] for row in kept if row["correct"]]
    wrong = [row["group_cosine"] for row in kept if not row["correct"]]
    known_right, known_wrong = _without_none(right), _without_none(wrong)
    return {
        "right": math.fsum(known_right) / len(known_right) if known_right else None,
        "wrong": math.fsum(known_wrong) / len(known_wrong) if known_wrong else None,
        "left_out_right": len(right) - len(known_right),
        "left_out_wrong": len(wrong) - len(known_wrong),
    }


# IDM


class Idm(TypedDict):
    """The IDM over all samples, over the mistakes, and as the mean over classes."""

    all: float
    errors: float | None
    macro: float


def ranks(csm: npt.ArrayLike) -> Array:
    """Rank of every class in every row by falling similarity: the class itself 0, the others from 1, ties at mid-rank."""
    square = np.asarray(csm, dtype=np.float64)
    if np.isnan(square).any():
        raise ValueError("a NaN has no rank")
    count = len(square)
    out = np.zeros((count, count))
    for i, row in enumerate(square.tolist()):
        for j, value in enumerate(row):
            if j != i:
                others = row[:i] + row[i + 1 :]
                larger = sum(1 for other in others if other > value)
                equal = others.count(value) - 1
                out[i, j] = 1 + larger + equal / 2
    return out


def idm(counts: npt.ArrayLike, csm: npt.ArrayLike) -> Idm:
    """Inverse dissimilarity metric of a confusion table in a class similarity matrix, sample by sample.

    Parameters
    ----------
    counts, csm : array_like
        ``(C, C)``, the same classes in the same order, ``C >= 2``.

    Returns
    -------
    Idm
        ``all``: 1 - the mean rank of the samples over ``C - 1``. ``errors``: of the mistakes alone, None where there
        is none. ``macro``: the mean over the classes that have a sample of the class's own ``all``.
    """
    table = ranks(csm)
    count = len(table)
    samples = samples_of(counts)
    if np.shape(counts) != table.shape:
        raise ValueError(f"counts of {np.shape(counts)} and a matrix of {table.shape}")
    if count < 2 or not samples:
        raise ValueError("needs two classes and a sample")
    of_all = [float(table[i, j]) for i, j in samples]
    of_errors = [float(table[i, j]) for i, j in samples if i != j]
    by_class: dict[int, list[float]] = {}
    for i, j in samples:
        by_class.setdefault(i, []).append(float(table[i, j]))
    own = [_inverse(values, count) for values in by_class.values()]
    return {
        "all": _inverse(of_all, count),
        "errors": _inverse(of_errors, count) if of_errors else None,
        "macro": math.fsum(own) / len(own),
    }


def _inverse(sample_ranks: list[float], count: int) -> float:
    return 1 - math.fsum(sample_ranks) / len(sample_ranks) / (count - 1)


def idm_ceiling(counts: npt.ArrayLike, csm: npt.ArrayLike) -> Idm:
    """IDM if every mistake were in the class nearest to its truth: rank 1, or the mid-rank of those that tie for it."""
    square, table = np.asarray(csm, dtype=np.float64), np.asarray(counts)
    count = len(square)
    moved = np.zeros((count, count), dtype=np.int64)
    for i, j in samples_of(table):
        if i == j:
            moved[i, i] += 1
        else:
            nearest = max((k for k in range(count) if k != i), key=lambda k: square[i, k])
            moved[i, nearest] += 1
    return idm(moved, square)
