"""The difference of two networks in a metric, with its 95 % confidence interval **[ours]**.

- SAI: the jackknife over classes, as for the interval of a SAI (`dsi_cli.metrics.jackknife`).
- Max WSI: a bootstrap over classes.
- IDM: a bootstrap over the mistakes of each network, from its counts, as if the networks were tested on different samples. The
  interval is wider than necessary if both were tested on the same samples.
- Means over repetitions: Welch's interval (Welch 1947, doi:10.1093/biomet/34.1-2.28).

SAI and max WSI are paired: the same classes are left out or drawn for both networks, so that the effect of the choice of classes
cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, expected
from dsi_cli.metrics import WSI_QUANTILE, bootstrap, idm, jackknife
from dsi_cli.metrics.alignment import CONSTANT, MIN_CLASSES, MatrixPair
from dsi_cli.metrics.jackknife import MEASURES
from dsi_cli.metrics.measures import Values, similarity_ranks
from dsi_cli.metrics.prepared import PreparedMatrix
from dsi_cli.metrics.wsi import max_wsi

DRAWS = 1000
"""The default number of bootstrap draws."""
Csm = NDArray[np.floating[Any]]
CountsAndCsm = tuple[NDArray[np.integer[Any]], Csm]


@dataclass(frozen=True)
class Difference:
    """A metric of two networks and its difference; missing values are None and have a ``reason``."""

    first: float | None = None
    second: float | None = None
    value: float | None = None
    """The metric of the first network less that of the second."""
    low: float | None = None
    """The lower end of the 95 % confidence interval of the difference."""
    high: float | None = None
    """The upper end of the interval."""
    reason: str | None = None

    @property
    def is_real(self) -> bool | None:
        """True if the 95 % confidence interval excludes 0; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return not self.low <= 0.0 <= self.high


class CsmPair(NamedTuple):
    """The two CSMs ``(C, C)`` of one network's SAI."""

    a: Csm
    b: Csm
    reliability: float = 1.0
    """The product of the reliabilities of both; a correlation is divided by its square root (`dsi_cli.metrics.split_half`)."""


def alignment_difference(first: CsmPair, second: CsmPair, measure: str = "cosine") -> Difference:
    """Return the difference of two networks' SAI excess over chance, which is 0 at chance and 1 at identity.

    Parameters
    ----------
    first, second : CSMs of the same classes in the same order
        A class with a NaN diagonal in any of the four matrices is left out.
    measure : a name from `dsi_cli.metrics.jackknife.MEASURES`
        The excess of ``pearson`` and ``spearman`` is the correlation itself.

    Raises
    ------
    UsageError
        The measure has no difference (code ``unknown-measure``), or the matrices differ in size (code ``different-sizes``).
    """
    if measure not in MEASURES:
        raise UsageError(
            f"no difference by measure {measure!r}: {expected(measure, MEASURES)}", code="unknown-measure", measure=measure
        )
    csms = [np.asarray(csm) for csm in (first.a, first.b, second.a, second.b)]
    _require_one_size(csms)
    kept = np.flatnonzero(~np.any([np.isnan(np.diagonal(csm)) for csm in csms], axis=0))
    if len(kept) < MIN_CLASSES:
        return Difference(reason=f"{len(kept)} classes in all matrices: a difference needs {MIN_CLASSES} or more")
    matrices = [PreparedMatrix(csm[np.ix_(kept, kept)]) for csm in csms]
    if any(matrix.is_constant for matrix in matrices):
        return Difference(reason=CONSTANT)
    values, without = [], []
    for x, y, reliability in (
        (matrices[0], matrices[1], first.reliability),
        (matrices[2], matrices[3], second.reliability),
    ):
        excess = MatrixPair(x, y, np.arange(len(kept))).alignments([measure], 0, 0, 0)[measure].excess
        assert excess is not None
        values.append(excess / reliability**0.5)
        without.append(jackknife.excess_without(x, y, measure) / reliability**0.5)
    a, b = values
    half = jackknife.half_width(without[0] - without[1])
    if half is None:
        return Difference(a, b, a - b, reason="no interval: without one of the classes a matrix is constant")
    return Difference(a, b, a - b, a - b - half, a - b + half)


def max_wsi_difference(
    first: Csm, second: Csm, quantile: float = WSI_QUANTILE, draws: int = DRAWS, seed: int = 0
) -> Difference:
    """Return the difference of two networks' max WSI.

    The quantile of a row in a draw is that of its values for the drawn classes, without pairs of a class with its own copy. A draw
    has fewer distinct classes, which lowers the mean of the largest values. The interval is therefore shifted so that the mean
    over draws equals the difference **[choice]**.

    Parameters
    ----------
    first, second : (C, C) float
        Raw NCSMs of the same classes in the same order.
    quantile : float
        The quantile of the max WSI, in [0, 1].
    draws : int
        The number of bootstrap draws; no interval if 0.
    seed : int
        The seed of the draws.

    Raises
    ------
    UsageError
        The matrices differ in size (code ``different-sizes``), or `dsi_cli.metrics.wsi.max_wsi` does not accept them.
    """
    _require_one_size([first, second])
    times = np.empty((0, len(first)))
    if draws:
        times = bootstrap.multiplicities(bootstrap.draw_classes(len(first), draws, seed))
    a, b = (np.array([max_wsi(csm, quantile), *_max_wsi_of_draws(csm, times, quantile)]) for csm in (first, second))
    difference = _difference_from_draws(a, b)
    if difference.value is None or difference.low is None or difference.high is None:
        return difference
    shift = difference.value - float(np.nanmean((a - b)[1:]))
    return replace(difference, low=difference.low + shift, high=difference.high + shift)


def idm_difference(first: CountsAndCsm, second: CountsAndCsm, draws: int = DRAWS, seed: int = 0) -> Difference:
    """Return the difference of two networks' IDM over mistakes alone.

    Parameters
    ----------
    first, second : the confusion counts and the CSM of each network, both ``(C, C)``
    draws : the number of bootstrap draws of mistakes; no interval if 0
    seed : the seed of the draws

    Raises
    ------
    UsageError
        The errors are those of `dsi_cli.metrics.idm.idm`.
    """
    a, b = (idm.idm(*network)["errors"] for network in (first, second))
    if a.value is None or b.value is None:
        return Difference(a.value, b.value, reason=a.reason if a.value is None else b.reason)
    rng = np.random.default_rng(seed)
    first_values = np.array([a.value, *_idm_of_draws(*first, rng, draws)])
    second_values = np.array([b.value, *_idm_of_draws(*second, rng, draws)])
    return _difference_from_draws(first_values, second_values)


def mean_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Return the difference of the means of two networks' repetitions, with Welch's interval.

    Examples
    --------
    >>> difference = mean_difference([0.50, 0.52, 0.51], [0.40, 0.42, 0.41])
    >>> round(difference.value, 3), round(difference.low, 3), round(difference.high, 3), difference.is_real
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


def _require_one_size(csms: Sequence[Csm]) -> None:
    shapes = [csm.shape for csm in csms]
    if len(set(shapes)) > 1:
        raise UsageError(
            f"a difference needs matrices of one size; these have shapes {shapes}", code="different-sizes", shapes=shapes
        )


def _difference_from_draws(a: Values, b: Values) -> Difference:
    """Return the difference of two networks; the first value of each array is its own, the others are those of the draws."""
    drawn = (a - b)[1:]
    drawn = drawn[np.isfinite(drawn)]
    first, second = float(a[0]), float(b[0])
    if not drawn.size:
        return Difference(first, second, first - second, reason="no interval: no draws, or the metric exists in none")
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Difference(first, second, first - second, float(low), float(high))


def _max_wsi_of_draws(csm: Csm, times: Values, quantile: float) -> Values:
    """Return the max WSI of each draw; ``times (draws, C)`` is how often each draw contains each class."""
    values = np.asarray(csm, dtype=np.float64).copy()
    np.fill_diagonal(values, np.inf)
    order = np.argsort(values, axis=1)[:, :-1]
    rising = np.take_along_axis(values, order, axis=1)
    return np.array([_max_wsi_of_draw(rising, order, drawn, quantile) for drawn in times])


def _max_wsi_of_draw(rising: Values, order: NDArray[np.intp], drawn: Values, quantile: float) -> float:
    """Return the max WSI of one draw; ``rising (C, C-1)`` holds the sorted values of each row, ``order`` their classes."""
    present = drawn > 0
    weight, values = drawn[order[present]], rising[present]
    cumulative = np.cumsum(weight, axis=1)
    last = cumulative[:, -1] - 1
    if (last < 0).any():
        return float("nan")  # the draw consists of one class

    # NumPy's linearly interpolated quantile of each row, in which each value occurs as often as its class was drawn.
    position = last * quantile
    lower = np.floor(position)
    below = _value_at(values, cumulative, lower)
    above = _value_at(values, cumulative, np.minimum(lower + 1, last))
    # This is NumPy's own expression, equal to the last bit, because it decides which values are above the quantile.
    share, step = position - lower, above - below
    threshold = np.where(share >= 0.5, above - step * (1 - share), below + step * share)

    kept = weight * (values >= threshold[:, None])
    tail = (kept * values).sum(axis=1) / kept.sum(axis=1)
    return float((drawn[present] * tail).sum() / drawn.sum())


def _value_at(values: Values, cumulative: Values, position: Values) -> Values:
    """Return the value at a position of each sorted row, from 0; ``cumulative`` sums the multiplicities of the values."""
    column = (cumulative <= position[:, None]).sum(axis=1)[:, None]
    result: Values = np.take_along_axis(values, column, axis=1)[:, 0]
    return result


def _idm_of_draws(counts: NDArray[np.integer[Any]], csm: Csm, rng: np.random.Generator, draws: int) -> Values:
    """Return the IDM over mistakes of each draw of as many mistakes."""
    kept = np.flatnonzero(~np.isnan(np.diagonal(csm)) & (counts.sum(axis=1) > 0))
    rank = similarity_ranks(np.asarray(csm, dtype=np.float32)[np.ix_(kept, kept)])
    wrong = np.asarray(counts)[np.ix_(kept, kept)] * (1 - np.eye(len(kept), dtype=np.int64))
    ranks, rank_index = np.unique(rank, return_inverse=True)
    mistakes = np.bincount(rank_index.ravel(), weights=wrong.ravel())
    drawn = rng.multinomial(int(wrong.sum()), mistakes / mistakes.sum(), size=draws)
    values: Values = 1 - drawn @ ranks / mistakes.sum() / (len(kept) - 1)
    return values
