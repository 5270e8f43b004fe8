"""Where a curve changes its pace: the posterior of continuous piecewise-linear curves, by enumeration.

A curve of ``n`` points is a line that bends up to `MOST_BENDS` times, and noise ``e`` that remembers the point before it:
``e_t = rho e_(t-1) + u_t``. ``rho`` runs over `MEMORIES`, from independent noise (0) to a random walk (1), so a curve that merely
wanders is one of the explanations that compete. Every set of bends is fitted by least squares under every ``rho``.

With the values in units of their range and the time in units of the run, a set of ``K`` bends with residual sum ``S``, changes of
slope ``c`` and ``H`` the products of its hinge functions (level and first slope taken out) has the evidence, up to a constant and
as a logarithm, with ``m = n - 2 - K``,

    log|L| + log Gamma(m/2) - m/2 log(S/2) + K/2 log(2 pi) - 1/2 log|H| - sum log(pi (1 + c^2)) + log P

``|L|`` is the density's scale under that ``rho`` (its Jacobian, and the level). Level and logarithm of the variance have flat
priors, the first slope has Jeffreys', and all are integrated out, the changes of slope by Laplace's method. The changes' prior
is a Cauchy distribution whose scale is the curve's range by the run: a bend is expected to matter to the curve as it is seen,
and may be far larger. That is the price of a bend. BIC's, ``1/2 log n``, is that of a bend of about the noise of one point
(Kass and Wasserman 1995), too cheap where a curve moves by a hundred times its noise. A set pays besides by its share ``P`` of
all places that ``K`` bends could have (Zhang and Siegmund 2007). All numbers of bends and all ``rho`` are equally probable
beforehand.
"""

from __future__ import annotations

from math import lgamma
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Indices = NDArray[np.intp]

MEMORIES = (0.0, 0.4, 0.7, 0.9, 1.0)
"""Correlations of the noise at neighbouring points that are weighed; 1 is a random walk."""
MOST_BENDS = 3
MOST_PLACES = 28
"""Of a longer curve fewer points are tried as bends at first, closer together where it begins; all points count in every fit."""
LIKELY, FINER = 4, (-0.75, -0.5, -0.25, 0.25, 0.5, 0.75)
"""Then so many likeliest places are looked at closely: also at these shares of the way to their neighbours, off the points."""
DRAWS = 400
LAST_INTERVALS, MIDDLE_INTERVALS = 3, 2
"""Fewest intervals of the last line and of one between bends: else a single odd point would be a phase. The first may have one."""
_EXACT = 1e-9


class Curves(NamedTuple):
    """Curves drawn from the posterior, each a row; lines that a curve does not have are NaN."""

    log_odds: float
    """Of one bend or more against none."""
    bends: Values
    """``(D, 3)`` where they bend, on the time axis that was given."""
    slopes: Values
    """``(D, 4)`` of the lines between, change per unit of time."""
    weight: Values
    """``(D,)``, positive, of sum 1."""


class _Sums(NamedTuple):
    """Sums of products under each ``rho`` (first axis), level and slope of the first line eliminated."""

    bends: Values
    """``(R, m, m)`` of the bends' hinge functions with each other."""
    values: Values
    """``(R, m)`` of them with the values."""
    line: Values
    """``(R, m)`` of them with the time, by that of the time with itself."""
    slope: Values
    """``(R,)`` of the line without bends."""
    total: Values
    """``(R,)`` residual sum without bends."""
    scale: Values
    """``(R,)`` ``log|L|``."""


class _Fits(NamedTuple):
    """Least squares of sets of bends under each ``rho``, all ``(R, M)``."""

    explained: Values
    """By how much the bends lower the residual sum."""
    information: Values
    """Determinant of the products of their hinge functions."""
    tails: Values
    """Product of ``1 + c^2`` over their changes of slope."""


def curves(time: Values, values: Values) -> Curves:
    """Return curves drawn from the posterior of piecewise-linear ones, the same for the same input.

    Parameters
    ----------
    time : (n,) increasing, ``n >= 6``
    values : (n,) finite, not all on one line
    """
    n, start, span = len(time), time[0], time[-1] - time[0]
    reach = np.ptp(values)
    values = values / reach
    scaled = (time - start) / span
    positions = _places(n)
    sums, sets, weights = _weighed(scaled, values, positions)
    positions = _closer(positions, weights, sets)
    sums, sets, weights = _weighed(scaled, values, positions)
    places = np.interp(positions, np.arange(n), scaled)
    none, some = weights[0].sum(), sum(table.sum() for table in weights[1:])
    log_odds = float(np.log(max(some, 1e-300)) - np.log(max(none, 1e-300)))
    drawn = _drawn(weights, sets)
    bends = np.concatenate([start + span * _padded(places[which], MOST_BENDS) for _, which, _ in drawn])
    slopes = (
        np.concatenate([_padded(_slopes(sums, memory, which), MOST_BENDS + 1) for memory, which, _ in drawn]) * reach / span
    )
    weight = np.concatenate([counts for _, _, counts in drawn])
    return Curves(log_odds, bends, slopes, weight / weight.sum())


def _weighed(time: Values, values: Values, positions: Values) -> tuple[_Sums, list[Indices], list[Values]]:
    """Return the sums, all sets of bends at those positions, and the posterior of each under each ``rho``, largest 1."""
    n = len(time)
    sums, sets = _sums(time, values, np.interp(positions, np.arange(n), time)), _sets(positions)
    least = np.maximum(sums.total * _EXACT, np.finfo(float).tiny)[:, None]
    logs = []
    for bends, of_number in enumerate(sets):
        fits, freedom = _fits(sums, of_number), n - 2 - bends
        left = np.maximum(sums.total[:, None] - fits.explained, least)
        price = np.log(fits.information * fits.tails**2) / 2 + bends / 2 * np.log(np.pi / 2)
        evidence = sums.scale[:, None] + lgamma(freedom / 2) - freedom / 2 * np.log(left / 2) - price
        logs.append(evidence + _prior(positions, of_number))
    top = max(float(table.max()) for table in logs)
    return sums, sets, [np.exp(table - top) for table in logs]


def _places(n: int) -> Values:
    """Return where a curve may bend, as positions between 0 and ``n - 1``."""
    last = n - 1 - LAST_INTERVALS
    if last <= MOST_PLACES:
        return np.arange(1.0, last + 1)
    return np.unique(np.round(1 + (last - 1) * np.linspace(0, 1, MOST_PLACES) ** 1.5))


def _closer(places: Values, weights: list[Values], sets: list[Indices]) -> Values:
    """Return the places with more of them around the likeliest ones."""
    mass = np.zeros(len(places))
    for table, of_number in zip(weights, sets, strict=True):
        for column in of_number.T:
            mass += np.bincount(column, table.sum(axis=0), len(places))
    step = np.diff(places, prepend=places[0], append=places[-1])
    likely = np.argsort(-mass, kind="stable")[:LIKELY]
    share = np.array(FINER)
    around = places[likely, None] + np.where(share < 0, step[likely, None], step[likely + 1, None]) * share
    return np.unique(np.append(places, np.round(around, 6)))


def _sets(places: Values) -> list[Indices]:
    """Return all sets of 0, 1, 2, 3 bends, each ``(M, K)`` of indices into ``places``; those too close together left out."""
    apart = places[None, :] - places[:, None] >= MIDDLE_INTERVALS
    one = np.arange(len(places))[:, None]
    two = np.argwhere(apart)
    heads, thirds = np.nonzero(apart[two[:, 1]])
    three = np.column_stack([two[heads], thirds])
    return [np.empty((1, 0), dtype=np.intp), *(sets for sets in (one, two, three) if len(sets))]


def _prior(places: Values, sets: Indices) -> Values:
    """Return the logarithm of each set's prior: all parts of the run alike, however close the places in them are."""
    share = np.log(np.gradient(places)) if len(places) > 1 else np.zeros(1)
    logs: Values = share[sets].sum(axis=1)
    prior: Values = logs - np.logaddexp.reduce(logs)
    return prior


def _sums(time: Values, values: Values, places: Values) -> _Sums:
    hinges = np.maximum(time[:, None] - places, 0.0)
    columns = np.column_stack([np.ones(len(time)), time, hinges, values])
    gaps = np.diff(time) / np.median(np.diff(time))
    found = [_of_memory(columns, gaps, memory) for memory in MEMORIES]
    return _Sums(*(np.stack(parts) for parts in zip(*found, strict=True)))


def _of_memory(columns: Values, gaps: Values, memory: float) -> tuple[Values, ...]:
    """Return one row of `_Sums`: the columns made independent, as noise of that memory over those gaps would be."""
    kept = memory**gaps
    precision = 1 / gaps if memory == 1 else (1 - memory**2) / (1 - kept**2)
    white = (columns[1:] - kept[:, None] * columns[:-1]) * np.sqrt(precision)[:, None]
    scale = np.log(precision).sum() / 2
    if memory < 1:
        white = np.vstack([columns[:1] * np.sqrt(1 - memory**2), white])
    products = white.T @ white
    if memory < 1:  # a random walk has no level
        scale += np.log(1 - memory**2) / 2 - np.log(products[0, 0]) / 2
        products = products - np.outer(products[0], products[0]) / products[0, 0]
    line = products[1] / products[1, 1]
    products = products - np.outer(line, products[1])
    inner = slice(2, -1)
    return products[inner, inner], products[inner, -1], line[inner], line[-1], products[-1, -1], np.asarray(scale)


def _fits(sums: _Sums, sets: Indices) -> _Fits:
    """Return the least squares of each set: each bend is taken out of the later ones, then the changes are solved."""
    number, size = sets.shape[1], sums.bends.shape[1]
    flat = sums.bends.reshape(len(sums.bends), -1)
    products = {(i, j): flat.take(sets[:, i] * size + sets[:, j], axis=1) for i in range(number) for j in range(i, number)}
    left = [sums.values.take(bend, axis=1) for bend in sets.T]
    explained = np.zeros((len(flat), len(sets)))
    information, tails = explained + 1, explained + 1
    for i in range(number):
        for j in range(i + 1, number):
            share = products[i, j] / products[i, i]
            left[j] -= share * left[i]
            for k in range(j, number):
                products[j, k] -= share * products[i, k]
        explained += left[i] ** 2 / products[i, i]
        information *= products[i, i]
    for i in reversed(range(number)):
        for j in range(i + 1, number):  # those are changes by now
            left[i] -= products[i, j] * left[j]
        left[i] /= products[i, i]
        tails *= 1 + left[i] ** 2
    return _Fits(explained, information, tails)


def _drawn(weights: list[Values], sets: list[Indices]) -> list[tuple[Indices, Indices, Values]]:
    """Return ``DRAWS`` evenly spaced draws: of each number of bends the rows of MEMORIES, the sets, how often each was drawn."""
    flat = np.cumsum(np.concatenate([table.ravel() for table in weights]))
    chosen, counts = np.unique(np.searchsorted(flat, (np.arange(DRAWS) + 0.5) / DRAWS * flat[-1]), return_counts=True)
    found, begin = [], 0
    for table, of_number in zip(weights, sets, strict=True):
        mine = (chosen >= begin) & (chosen < begin + table.size)
        memory, which = np.divmod(chosen[mine] - begin, table.shape[1])
        found.append((memory, of_number[which], counts[mine].astype(np.float64)))
        begin += table.size
    return found


def _slopes(sums: _Sums, memory: Indices, sets: Indices) -> Values:
    """Return the slopes of each curve's lines, ``(D, K + 1)``."""
    if sets.shape[1] == 0:
        return sums.slope[memory][:, None]
    rows = memory[:, None]
    products = sums.bends[rows[:, :, None], sets[:, :, None], sets[:, None, :]]
    changes = np.linalg.solve(products, sums.values[rows, sets][:, :, None])[:, :, 0]
    first = sums.slope[memory] - (sums.line[rows, sets] * changes).sum(axis=1)
    return np.column_stack([first, first[:, None] + np.cumsum(changes, axis=1)])


def _padded(rows: Values, width: int) -> Values:
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=np.nan)
