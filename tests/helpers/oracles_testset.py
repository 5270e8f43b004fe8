"""Independent reference values of what a test set gives: confusion, typicality,
accuracy, loss.

They come from scikit-learn and SciPy in float64; nothing is from the package under
test. ``counts`` is always ``(C, C)``, rows = truth, columns = prediction.
"""

from itertools import combinations

import numpy as np
from scipy import special, stats
from sklearn import metrics
from sklearn.metrics.pairwise import cosine_similarity

from helpers.oracles import ccsm, offdiagonal


def confusion(targets, predictions, classes):
    """Return the number of samples of each truth (row) and prediction (column)."""
    return metrics.confusion_matrix(targets, predictions, labels=range(classes))


def accuracy(counts):
    """Return the share of the samples that are right."""
    return np.trace(counts) / np.sum(counts)


def balanced_accuracy(counts):
    """Return the mean share of right samples over the classes that have a sample."""
    samples = np.sum(counts, axis=1)
    return np.mean((np.diagonal(counts) / np.maximum(samples, 1))[samples > 0])


def accuracy_top5(logits, targets):
    """Return the share of the samples whose truth is among the five largest logits."""
    return metrics.top_k_accuracy_score(
        targets, logits, k=5, labels=range(np.shape(logits)[1])
    )


def cross_entropy(logits, targets):
    """Return the mean over the samples of ``-log softmax(logits)[truth]``."""
    losses = -special.log_softmax(np.asarray(logits, dtype=np.float64), axis=1)
    return losses[np.arange(len(targets)), targets].mean()


def _off(matrix):
    return offdiagonal(matrix).ravel()


def split_half_reliability(counts, halves):
    """Return Spearman-Brown's ``2r / (1 + r)`` of the mean correlation of two halves'
    CCSMs.

    ``halves`` are pairs of counts that sum to ``counts``. Their rows are normalised
    before the classes are dropped that a half lacks. Halves without a correlation do
    not count.
    """
    correlations = []
    for first, second in halves:
        assert np.array_equal(np.add(first, second), counts)
        both = (np.sum(first, axis=1) > 0) & (np.sum(second, axis=1) > 0)
        values = [_off(ccsm(half)[np.ix_(both, both)]) for half in (first, second)]
        if all(len(set(half)) > 1 for half in values):
            correlations.append(stats.pearsonr(*values).statistic)
    mean = np.mean(correlations)
    return 2 * mean / (1 + mean)


def sampled_halves(counts, rng, draws):
    """Split the samples in two at random, each truth class by itself; the first half
    has the odd sample.
    """
    halves = []
    for _ in range(draws):
        first = np.zeros_like(counts)
        for truth, row in enumerate(counts):
            predictions = rng.permutation(np.repeat(np.arange(len(row)), row))
            first[truth] = np.bincount(predictions[::2], minlength=len(row))
        halves.append((first, counts - first))
    return halves


def pearson_corrected(a, b, reliability):
    """Return the correlation of the off-diagonal values over the root of the
    reliability of one side.
    """
    return stats.pearsonr(_off(a), _off(b)).statistic / np.sqrt(reliability)


def template_similarity(features, targets, classes):
    """Return the cosines of the classes' mean features.

    A class without a sample, or with a mean of zero, has similarity 0 to all others and
    1 to itself.
    """
    features, targets = np.asarray(features, dtype=np.float64), np.asarray(targets)
    means = np.zeros((classes, features.shape[1]))
    for index in np.unique(targets):
        means[index] = features[targets == index].mean(axis=0)
    similarity = cosine_similarity(means)
    np.fill_diagonal(similarity, 1)
    return similarity


def _cosine(one, other):
    return float(cosine_similarity([one], [other])[0, 0])


def typicality(features, targets, predictions, classes):
    """Return two rows per class (the right samples, the wrong ones), and the cosines of
    all right and of all wrong samples.

    ``group_cosine`` compares the mean feature of these samples with that of all samples
    of the class. ``sample_cosine`` is the mean of the samples' own cosines, each with
    the mean feature of the other samples of the class; a class's only sample has none.
    """
    features, targets = np.asarray(features, dtype=np.float64), np.asarray(targets)
    is_right = targets == np.asarray(predictions)
    own = np.full(len(targets), np.nan)
    for sample, target in enumerate(targets):
        others = targets == target
        others[sample] = False
        if others.any():
            own[sample] = _cosine(features[sample], features[others].mean(axis=0))
    rows = []
    for index in range(classes):
        members = targets == index
        for correct in (True, False):
            group = members & (is_right == correct)
            known = own[group & ~np.isnan(own)]
            means = (
                [features[chosen].mean(axis=0) for chosen in (members, group)]
                if group.any()
                else None
            )
            rows.append(
                {
                    "class_index": index,
                    "correct": correct,
                    "samples": int(group.sum()),
                    "group_cosine": _cosine(*means) if means else None,
                    "sample_cosine": float(known.mean()) if len(known) else None,
                }
            )
    known = ~np.isnan(own)
    return rows, own[is_right & known].tolist(), own[~is_right & known].tolist()


def typicality_null_enumerated(class_features, size):
    """Return the mean over all subsets of this size of the cosine of the class's mean
    feature and the subset's.
    """
    rows = np.asarray(class_features, dtype=np.float64)
    subsets = np.array(
        [
            rows[list(chosen)].mean(axis=0)
            for chosen in combinations(range(len(rows)), size)
        ]
    )
    return float(cosine_similarity(rows.mean(axis=0, keepdims=True), subsets).mean())
