"""Reliability of a CCSM: how well the mistakes in one half of the samples predict those
in the other half **[ours]**.

A CCSM gets noisier as mistakes vanish, so a falling SAI with it may be noise alone. The
samples of each class are divided at random into two halves. The reliability ``2 r / (1
+ r)`` is the Spearman-Brown formula of the Pearson correlation ``r`` of the halves'
CCSMs off the diagonal, averaged over seeded random halvings **[choice]**. A correlation
with the CCSM divided by the square root of the reliability is that with a noiseless
CCSM (Spearman 1904, the correction for attenuation).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from dsi_cli.errors import UsageError
from dsi_cli.metrics.idm import NO_MISTAKE, Score
from dsi_cli.similarity import require_same_order

HALVINGS = 20  # the default number of random halvings
MIN_VARIANCE = 1e-12
"""A smaller variance of the values of a half, relative to their squared mean, is
rounding: they are equal.
"""


def reliability(counts: ArrayLike, halvings: int = HALVINGS, seed: int = 0) -> Score:
    """Return the split-half reliability ``2 r / (1 + r)`` of the CCSM of confusion
    counts, with r in [-1, 1].

    It is at most 1, and near or below 0 if the mistakes of the halves have nothing in
    common. Chance levels are missing. Source: Spearman 1910 and Brown 1910.

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth, columns the prediction. Classes with fewer than two samples
        have no halves and are left out.
    halvings : int, the number of times that the samples are divided into halves.
    seed : int, the seed of the halvings.

    Raises
    ------
    UsageError
        The counts are not a square matrix (code ``not-square``), or the number of
        halvings is 0 (code ``too-few-halvings``).

    Examples
    --------
    >>> counts = np.array([[50, 40, 0], [40, 50, 0], [0, 10, 80]])
    >>> round(reliability(counts).value, 1)
    1.0
    """
    require_same_order(counts)
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        message = (
            "a reliability needs a square matrix of counts; this one has shape"
            f" {counts.shape}"
        )
        raise UsageError(message, code="not-square", shape=counts.shape)
    if halvings < 1:
        message = f"a reliability needs one halving or more, not {halvings}"
        raise UsageError(message, code="too-few-halvings", halvings=halvings)
    kept = np.flatnonzero(counts.sum(axis=1) >= 2)
    result = Score(
        classes_used=len(kept), samples_used=int(counts[np.ix_(kept, kept)].sum())
    )
    if len(kept) < 3:
        return replace(
            result,
            reason=f"{len(kept)} classes with two samples or more: halves need three",
        )
    # A CCSM has few values that are not 0: those of the mistakes that occur.
    rows, rng = np.asarray(counts[kept], dtype=np.int64), np.random.default_rng(seed)
    true, predicted = np.nonzero(rows)
    number, samples = rows[true, predicted], rows.sum(axis=1)
    mistakes = np.flatnonzero((kept[true] != predicted) & np.isin(predicted, kept))
    half_sizes = np.stack([(samples + 1) // 2, samples // 2])[:, true[mistakes]]
    pairs = len(kept) * (len(kept) - 1)

    # Divide the samples of each row at random; an odd sample is in the first half.
    cell_of_sample = np.repeat(np.arange(len(number)), number)
    row_of_sample = true[cell_of_sample]
    starts = np.cumsum(samples) - samples
    first_half = np.flatnonzero(
        (np.arange(len(cell_of_sample)) - starts[row_of_sample]) % 2 == 0
    )
    correlations = []
    for _ in range(halvings):
        order = np.argsort(row_of_sample + rng.random(len(row_of_sample)))
        first = np.bincount(cell_of_sample[order[first_half]], minlength=len(number))
        shares = np.stack([first, number - first])[:, mistakes] / half_sizes
        means = shares.sum(axis=1) / pairs
        covariance = shares @ shares.T / pairs - np.outer(means, means)
        variances = np.diagonal(covariance)
        # A half without mistakes is constant.
        if (variances > MIN_VARIANCE * means**2).all():
            correlations.append(covariance[0, 1] / np.sqrt(variances.prod()))
    if not correlations:
        if len(mistakes):
            reason = "too few mistakes: in every halving one half has none"
        else:
            reason = NO_MISTAKE
        return replace(result, reason=reason)
    r = float(np.mean(correlations))
    if r <= -1.0 + 1e-12:
        return replace(result, reason="the halves contradict each other")
    return replace(result, value=2.0 * r / (1.0 + r))
