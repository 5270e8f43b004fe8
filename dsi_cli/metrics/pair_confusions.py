"""Predictions as evidence about pairs of classes **[ours]**: whether they tell the two
classes apart, and whether the images of one label look like those of another class.

Counts ``(C, C)`` have the truth, or the label, in rows and the prediction in columns.
They may be means over epochs and networks.
"""

from __future__ import annotations

import numpy as np

from dsi_cli.metrics.pair_residuals import TINY, Values, with_diagonal

Z_95 = 1.959964  # of a 95 % confidence interval
SHRINKAGE = 5.0
"""The number of images by which each row of shares is pulled to the mean row."""
MIXTURE_SHARES = np.linspace(0, 1, 21)[1:] ** 2
"""The shares of mislabelled images that are tried, narrower where they are small."""
MIXTURES = 20  # the number of classes per label whose mixtures are tried


def told_apart(counts: Values) -> Values:
    """Return how well predictions tell the classes of each pair apart ``(C, C)``: the
    informedness (Youden 1950), the sum of both recalls minus 1 among the predictions as
    one of the two.

    0 is chance, 1 perfect, NaN without such predictions.
    """
    right = np.diag(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        recalls = right[:, None] / (right[:, None] + counts)
    apart: Values = recalls + recalls.T - 1
    return apart


def told_apart_z(counts: Values) -> Values:
    """Return the z ``(C, C)`` of the test of two proportions, that predictions do not
    tell the classes of a pair apart; 0 without predictions as one of the two.
    """
    right = np.diag(counts)
    images = right[:, None] + counts
    predicted = right[:, None] + counts.T
    with np.errstate(divide="ignore", invalid="ignore"):
        share = predicted / (images + images.T)
        variance = share * (1 - share) * (1 / images + 1 / images.T)
        z = told_apart(counts) / np.sqrt(variance)
    return with_diagonal(np.nan_to_num(z, posinf=0.0, neginf=0.0), 0.0)


def told_apart_interval(counts: Values, first: int, second: int) -> tuple[float, ...]:
    """Return the images of a pair that are predicted as one of the two, the share of
    right predictions if both classes have equally many images (0.5 is chance), and the
    95 % CI of this share (Newcombe 1998, method 10, https://doi.org/btsnwh).
    """
    pair = counts[np.ix_([first, second], [first, second])]
    images = pair.sum(axis=1)
    intervals = [wilson(pair[0, 0], images[0]), wilson(pair[1, 1], images[1])]
    (p1, low1, high1), (p2, low2, high2) = intervals
    share = (p1 + p2) / 2
    low = share - np.hypot(p1 - low1, p2 - low2) / 2
    high = share + np.hypot(high1 - p1, high2 - p2) / 2
    return float(images.sum()), share, float(low), float(high)


def wilson(successes: float, trials: float) -> tuple[float, float, float]:
    """Return a proportion and its 95 % CI by Wilson's score (1927); 0.5 with the CI
    from 0 to 1 without trials.
    """
    if trials <= 0:
        return 0.5, 0.0, 1.0
    share = successes / trials
    spread = Z_95**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = np.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return share, float(max(centre - half, 0.0)), float(min(centre + half, 1.0))


def asymmetry(counts: Values) -> Values:
    """Return by how many standard errors more images of class ``i`` are predicted as
    class ``j`` than the other way round ``(C, C)``.
    """
    z: Values = (counts - counts.T) / np.sqrt(counts + counts.T + 1)
    return z


def mixture_ratios(train: Values, test: Values) -> Values:
    """Return the evidence ``(C, C)`` that images of class ``j`` carry the label ``i``:
    the root of twice the logarithm of a likelihood ratio.

    The wrong predictions of training images labelled ``i`` are a mixture of the test
    rows of ``i`` and of ``j``, or else come from the row of ``i`` alone. The share of
    the mixture is the most likely one.
    """
    evidence = np.zeros_like(test)
    rows = test + SHRINKAGE * test.sum(axis=0) / max(test.sum(), TINY)
    sizes = rows.sum(axis=1)
    for label in np.flatnonzero(test.sum(axis=1) > 0):
        # A prediction that no test image has says nothing.
        is_counted = (train[label] > 0) & (rows[label] > 0)
        is_counted[label] = False
        if not is_counted.any():
            continue
        wrong = train[label, is_counted]
        of_wrong = np.maximum(sizes - rows[:, label], TINY)
        shares = rows[:, is_counted] / of_wrong[:, None]
        excess = shares / shares[label] - 1

        # The slope at a share of 0 orders the classes about as the ratio does.
        others = np.argsort(-(excess @ wrong), kind="stable")[:MIXTURES]
        best = np.zeros(len(others))
        for share in MIXTURE_SHARES:
            mixed = np.maximum(1 + share * excess[others], TINY)
            np.maximum(best, np.log(mixed) @ wrong, out=best)
        evidence[label, others] = np.sqrt(2 * best)
    return with_diagonal(evidence, 0.0)
