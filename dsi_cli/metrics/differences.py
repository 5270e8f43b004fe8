"""Whether two networks differ in a metric: the difference, and its 95 % interval **[ours]**.

SAI: the jackknife over classes, as for the interval of a SAI (`dsi_cli.metrics.jackknife`), and max WSI: a bootstrap over classes.
Both are paired: the same classes are left out or drawn for both networks, so that what is due to the choice of classes cancels.
IDM: a bootstrap over the mistakes of each
network, from its counts, as if the two had been tested on samples of their own; where they saw the same ones the interval is wider
than it need be. Repetitions: Welch's interval of the difference of two means (Welch 1947, doi:10.1093/biomet/34.1-2.28).

A difference is real where its interval leaves out 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, expected
from dsi_cli.metrics import WSI_QUANTILE, bootstrap, idm, jackknife
from dsi_cli.metrics.alignment import FEWEST_CLASSES, MatrixPair
from dsi_cli.metrics.jackknife import MEASURES
from dsi_cli.metrics.measures import Values
from dsi_cli.metrics.prepared import PreparedMatrix
from dsi_cli.metrics.wsi import max_wsi

DRAWS = 1000
Csm = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Difference:
    """A metric of two networks, and the first less the second; None where it does not exist, with the reason."""

    first: float | None = None
    second: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    """The 95 % interval of the difference."""
    reason: str | None = None

    @property
    def is_real(self) -> bool | None:
        """Whether the interval leaves out 0; None where there is none."""
        if self.low is None or self.high is None:
            return None
        return not self.low <= 0.0 <= self.high


class PreparedPair(NamedTuple):
    """The two CSMs ``(C, C)`` of one network's SAI."""

    a: Csm
    b: Csm
    reliability: float = 1.0
    """Of the two together: a correlation is divided by its square root (`dsi_cli.metrics.split_half`)."""


def alignment_difference(first: PreparedPair, second: PreparedPair, measure: str = "cosine") -> Difference:
    """Return the difference of two networks' SAI excess over chance: 0 at chance, 1 at identity.

    Parameters
    ----------
    first, second : matrices of the same classes in the same order
        A class that one of the four lacks (a NaN diagonal) does not take part.
    measure : out of `MEASURES`
        The excess of ``pearson`` and ``spearman`` is the correlation itself.

    Raises
    ------
    UsageError
        The measure is unknown, the matrices differ in size.
    """
    if measure not in MEASURES:
        raise UsageError(f"no difference by measure {measure!r}: {expected(measure, MEASURES)}")
    matrices = [np.asarray(one) for one in (first.a, first.b, second.a, second.b)]
    if len({one.shape for one in matrices}) > 1:
        raise UsageError(f"a difference needs matrices of one size; these have shapes {[one.shape for one in matrices]}")
    kept = np.flatnonzero(~np.any([np.isnan(np.diagonal(one)) for one in matrices], axis=0))
    if len(kept) < FEWEST_CLASSES:
        return Difference(reason=f"{len(kept)} classes in all matrices: a difference needs {FEWEST_CLASSES} or more")
    sides = [PreparedMatrix(one[np.ix_(kept, kept)]) for one in matrices]
    if any(side.is_constant for side in sides):
        return Difference(reason="constant matrix: all off-diagonal values are the same, so there is no scale")
    scales = [one.reliability**0.5 for one in (first, second)]
    values, without = [], []
    for x, y, scale in zip(sides[::2], sides[1::2], scales, strict=True):
        excess = MatrixPair(x, y, np.arange(len(kept))).alignments([measure], 0, 0, 0)[measure].excess
        assert excess is not None
        values.append(excess / scale)
        without.append(jackknife.excess_without(x, y, measure) / scale)
    a, b = values
    half = jackknife.half_width(without[0] - without[1])
    if half is None:
        return Difference(a, b, a - b, reason="no interval: without one of the classes a matrix has one value throughout")
    return Difference(a, b, a - b, a - b - half, a - b + half)


def max_wsi_difference(
    first: Csm, second: Csm, quantile: float = WSI_QUANTILE, draws: int = DRAWS, seed: int = 0
) -> Difference:
    """Return the difference of two networks' max WSI; raw NCSMs ``(C, C)`` of the same classes in the same order.

    In a draw a row's quantile is that of its values to the drawn classes, pairs of a class with its own copy dropped. A draw holds
    fewer different classes, which lowers a mean of the largest values: the interval is moved so that its draws' mean is the
    difference **[choice]**.

    Raises
    ------
    UsageError
        The matrices differ in size; and as `dsi_cli.metrics.wsi.max_wsi`.
    """
    if first.shape != second.shape:
        raise UsageError(f"a difference needs matrices of one size; these have shapes {first.shape} and {second.shape}")
    times = (
        bootstrap.multiplicities(bootstrap.draws_of_classes(len(first), draws, seed))
        if draws
        else np.empty((0, len(first)))
    )
    a, b = (np.concatenate([[max_wsi(csm, quantile)], _max_wsi_of(csm, times, quantile)]) for csm in (first, second))
    found = _of_draws(a, b)
    if found.value is None or found.low is None or found.high is None:
        return found
    shift = found.value - float(np.nanmean((a - b)[1:]))
    return replace(found, low=found.low + shift, high=found.high + shift)


def idm_difference(
    first: tuple[NDArray[np.integer[Any]], Csm],
    second: tuple[NDArray[np.integer[Any]], Csm],
    draws: int = DRAWS,
    seed: int = 0,
) -> Difference:
    """Return the difference of two networks' IDM over mistakes alone; each its counts and a CSM ``(C, C)``.

    Raises
    ------
    UsageError
        As `dsi_cli.metrics.idm.idm`.
    """
    entries = [idm.idm(*one)["errors"] for one in (first, second)]
    unknown = next((entry.reason for entry in entries if entry.value is None), None)
    if unknown is not None:
        return Difference(entries[0].value, entries[1].value, reason=unknown)
    rng = np.random.default_rng(seed)
    a, b = (
        np.concatenate([[entry.value], _idm_of(*one, rng, draws)])
        for entry, one in zip(entries, (first, second), strict=True)
    )
    return _of_draws(a, b)


def mean_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Return the difference of the means of two networks' repetitions, with Welch's interval.

    Examples
    --------
    >>> found = mean_difference([0.50, 0.52, 0.51], [0.40, 0.42, 0.41])
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3), found.is_real
    (0.1, 0.077, 0.123, True)
    """
    from scipy.stats import t

    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if min(len(a), len(b)) < 1:
        return Difference(reason="no repetition has a value")
    means = float(a.mean()), float(b.mean())
    value = means[0] - means[1]
    if min(len(a), len(b)) < 2:
        return Difference(*means, value, reason="an interval over repetitions needs two or more of each")
    errors = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
    if not errors.any():
        return Difference(*means, value, value, value)
    freedom = errors.sum() ** 2 / (errors**2 / [len(a) - 1, len(b) - 1]).sum()
    half = float(t.ppf(0.975, freedom) * errors.sum() ** 0.5)
    return Difference(*means, value, value - half, value + half)


def _of_draws(a: Values, b: Values) -> Difference:
    """Return the difference from values of which the first is the network's own, the others those of the draws."""
    drawn = (a - b)[1:]
    drawn = drawn[np.isfinite(drawn)]
    first, second = float(a[0]), float(b[0])
    if not drawn.size:
        return Difference(first, second, first - second, reason="no interval: no draws, or the metric exists in none")
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Difference(first, second, first - second, float(low), float(high))


def _max_wsi_of(csm: Csm, times: Values, quantile: float) -> Values:
    """Return the max WSI of each draw."""
    values = np.asarray(csm, dtype=np.float64).copy()
    np.fill_diagonal(values, np.inf)
    order = np.argsort(values, axis=1)[:, :-1]
    ranked = np.take_along_axis(values, order, axis=1)
    return np.array([_max_wsi_of_draw(ranked, order, drawn, quantile) for drawn in times])


def _max_wsi_of_draw(ranked: Values, order: NDArray[np.intp], drawn: Values, quantile: float) -> float:
    """Return the max WSI of one draw; ``ranked (C, C-1)`` are each row's values in rising order, ``order`` their classes."""
    present = drawn > 0
    weight, values = drawn[order[present]], ranked[present]
    reached = np.cumsum(weight, axis=1)
    last = reached[:, -1] - 1
    if (last < 0).any():
        return float("nan")  # one class alone
    place = last * quantile
    below, above = (_at(values, reached, at) for at in (np.floor(place), np.minimum(np.floor(place) + 1, last)))
    kept = weight * (values >= _between(below, above, place - np.floor(place))[:, None])
    tail = (kept * values).sum(axis=1) / kept.sum(axis=1)
    return float((drawn[present] * tail).sum() / drawn.sum())


def _at(values: Values, reached: Values, place: Values) -> Values:
    """Return each row's value at a place, from 0, where each value stands as often as it was drawn."""
    found: Values = np.take_along_axis(values, (reached <= place[:, None]).sum(axis=1)[:, None], axis=1)[:, 0]
    return found


def _between(below: Values, above: Values, share: Values) -> Values:
    """Return what NumPy's quantile gives between two values, to the last bit: whether a value is above it depends on that."""
    step = above - below
    return np.where(share >= 0.5, above - step * (1 - share), below + step * share)


def _idm_of(counts: NDArray[np.integer[Any]], csm: Csm, rng: np.random.Generator, draws: int) -> Values:
    """Return the IDM over mistakes of each draw of as many mistakes."""
    kept = np.flatnonzero(~np.isnan(np.diagonal(csm)) & (counts.sum(axis=1) > 0))
    rank = idm.similarity_ranks(np.asarray(csm, dtype=np.float32)[np.ix_(kept, kept)])
    wrong = np.asarray(counts)[np.ix_(kept, kept)] * (1 - np.eye(len(kept), dtype=np.int64))
    ranks, which = np.unique(rank, return_inverse=True)
    often = np.bincount(which.ravel(), weights=wrong.ravel())
    drawn = rng.multinomial(int(wrong.sum()), often / often.sum(), size=draws)
    values: Values = 1 - drawn @ ranks / often.sum() / (len(kept) - 1)
    return values
