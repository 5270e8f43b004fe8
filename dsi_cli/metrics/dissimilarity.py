"""IDM, the Inverse Dissimilarity Metric: how near a class's mistakes fall in a CSM (arXiv 2505.21338, section 3.4).

For truth ``i`` and prediction ``j`` the rank of ``j`` in row ``i`` of the CSM by falling similarity, from 1, ties at their
mid-rank **[choice]**, 0 for the class itself. ``DM`` is the mean rank over samples, over ``C - 1``; ``IDM = 1 - DM``. It is a
function of the confusion counts and the CSM alone.

With the NCSM of the same epoch it is the paper's NIDM, with WordNet's matrix its WIDM. The chance level **[ours]** is that of a
random relabelling of the CSM's classes; deviations are exact by Mantel's moments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics import null
from dsi_cli.metrics.measures import Values, off_diagonal, ranks

VARIANTS = ("all", "errors", "macro")
FEWEST_CLASSES = 3
ALWAYS_RIGHT = "no mistake, so chance gives the same"
NO_Z = "every relabelling gives the same value, so there is no z"
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Dissimilarity:
    """One variant of an IDM and what it is worth; None where something does not exist, with the reason."""

    variant: str
    value: float | None = None
    null_mean: float | None = None
    null_std: float | None = None
    z: float | None = None
    """Standard deviations above chance."""
    excess: float | None = None
    """0 at chance, 1 where every prediction is right."""
    ceiling: float | None = None
    """Every mistake in its class's nearest rank, ties included."""
    low: float | None = None
    high: float | None = None
    """The 95 % interval from the variance of the samples' ranks."""
    classes_used: int = 0
    samples_used: int = 0
    reason: str | None = None


def similarity_ranks(csm: NDArray[np.floating[Any]]) -> Values:
    """Return the rank of each class in each row of a CSM ``(C, C)``, by falling similarity: 0 on the diagonal, else 1 to C-1.

    Ties have their mid-rank; equality is that of the values given.

    Examples
    --------
    >>> similarity_ranks(np.array([[1, 0.5, 0.5], [0.2, 1, 0.9], [0.1, 0.3, 1]])).tolist()
    [[0.0, 1.5, 1.5], [2.0, 0.0, 1.0], [2.0, 1.0, 0.0]]
    """
    out = np.zeros(csm.shape)
    rows = off_diagonal(csm).astype(np.float64)
    out[~np.eye(len(csm), dtype=bool)] = ranks(-rows, axis=1).ravel()
    return out


def idm(counts: NDArray[np.integer[Any]], csm: NDArray[np.floating[Any]]) -> dict[str, Dissimilarity]:
    """Return the IDM of a confusion matrix by a CSM: over all samples, over errors alone, and as the mean over classes.

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth, columns the prediction.
    csm : (C, C) float
        A class whose diagonal is NaN does not take part, nor does one without a sample: ranks and ``C`` are taken among
        the others, and samples whose truth or prediction is left out do not count.

    Raises
    ------
    UsageError
        The two differ in size.

    Examples
    --------
    >>> csm = np.array([[1, 0.9, 0.1, 0.2], [0.9, 1, 0.2, 0.1], [0.1, 0.2, 1, 0.8], [0.2, 0.1, 0.8, 1]])
    >>> nearest = np.array([[5, 1, 0, 0], [1, 5, 0, 0], [0, 0, 5, 1], [0, 0, 1, 5]])
    >>> found = idm(nearest, csm)["errors"]
    >>> round(found.value, 3), round(found.null_mean, 3), found.value == found.ceiling
    (0.667, 0.333, True)
    """
    if counts.ndim != 2 or counts.shape != csm.shape or counts.shape[0] != counts.shape[1]:
        raise UsageError(f"an IDM needs counts and a CSM of one size; these have shapes {counts.shape} and {csm.shape}")
    kept = np.flatnonzero(~np.isnan(np.diagonal(csm)) & (counts.sum(axis=1) > 0))
    used_counts: Values = counts[np.ix_(kept, kept)].astype(np.float64)
    used = {"classes_used": len(kept), "samples_used": int(used_counts.sum())}
    missing = why_nothing(len(kept), used["samples_used"])
    if missing is not None:
        return {variant: Dissimilarity(variant, **used, reason=missing) for variant in VARIANTS}
    rank = similarity_ranks(np.asarray(csm, dtype=np.float32)[np.ix_(kept, kept)])
    found = {variant: _variant(variant, weights, rank) for variant, weights in _weights(used_counts).items()}
    out = {}
    for variant in VARIANTS:
        entry = found.get(variant, Dissimilarity(variant, reason="no mistake"))
        samples = used["samples_used"] - (int(np.trace(used_counts)) if variant == "errors" else 0)
        out[variant] = replace(entry, classes_used=len(kept), samples_used=samples)
    return out


def why_nothing(classes: int, samples: int) -> str | None:
    """Return why there is no IDM of so many classes with samples, None if there is one."""
    if samples == 0:
        return "no sample"
    return f"{classes} classes: ranks need three or more" if classes < FEWEST_CLASSES else None


def _weights(counts: Values) -> dict[str, tuple[Values, Values]]:
    """Return, for each variant, the weight of each cell (they sum to 1) and the counts that the weights are from."""
    total, samples = counts.sum(), counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, samples, out=np.zeros_like(counts), where=samples > 0) / (samples > 0).sum()
    wrong = counts - np.diag(np.diagonal(counts))
    found = {"all": (counts / total, counts), "macro": (shares, counts)}
    return found | ({"errors": (wrong / wrong.sum(), wrong)} if wrong.any() else {})


def _variant(variant: str, weights: tuple[Values, Values], rank: Values) -> Dissimilarity:
    """Return a variant's value, chance level and interval: all follow from the cells' weights and ranks."""
    weight, counts = weights
    classes = len(rank)
    scale = classes - 1
    value = 1 - float((weight * rank).sum()) / scale
    wrong = 1 - float(np.trace(weight))
    chance = 1 - wrong * (classes / 2) / scale
    nearest = np.where(np.eye(classes, dtype=bool), np.inf, rank).min(axis=1)
    ceiling = 1 - float(((weight.sum(axis=1) - np.diagonal(weight)) * nearest).sum()) / scale
    std = null_deviation(weight, rank) / scale
    error = _stratified_error(counts, rank) if variant == "macro" else pooled_error(counts, rank)
    half = NORMAL_95 * error / scale
    entry = Dissimilarity(variant, value, chance, std, ceiling=ceiling, low=value - half, high=value + half)
    if wrong == 0.0:
        return replace(entry, reason=ALWAYS_RIGHT)
    z = (value - chance) / std if std > 0 else None
    reason = None if z is not None else NO_Z
    return replace(entry, z=z, excess=(value - chance) / (1 - chance), reason=reason)


def null_deviation(weight: Values, rank: Values) -> float:
    """Return the deviation of ``sum_ij weight_ij rank_ij`` over all relabellings of the classes of ``rank``, exact."""
    if len(rank) <= null.ENUMERATED:
        sums = [float((weight * rank[np.ix_(p, p)]).sum()) for p in null.every_relabelling(len(rank))]
        return float(np.std(sums))
    return null.product_deviation(null.Moments.of(weight), null.Moments.of(rank))


def pooled_error(counts: Values, rank: Values) -> float:
    """Return the standard error of the mean over samples of what ``rank`` gives each."""
    total = counts.sum()
    mean = (counts * rank).sum() / total
    return float(np.sqrt((counts * (rank - mean) ** 2).sum()) / total)


def _stratified_error(counts: Values, rank: Values) -> float:
    """Return the standard error of the mean over classes of their mean ranks."""
    samples = counts.sum(axis=1)
    present = samples > 0
    shares = counts[present] / samples[present, None]
    means = (shares * rank[present]).sum(axis=1, keepdims=True)
    variances = (shares * (rank[present] - means) ** 2).sum(axis=1) / samples[present]
    return float(np.sqrt(variances.sum()) / present.sum())
