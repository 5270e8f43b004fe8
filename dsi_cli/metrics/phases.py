"""The phases of a training run, read off a curve of it: surge, refinement, stabilisation (arXiv 2505.21338, section 5).

`dsi_cli.metrics.changes` draws piecewise-linear curves from the posterior given the points. Here each of them is put into words by
one rule, and what most of them say is the answer. Slopes count as positive in the direction that learning takes (``direction``).

- **surge**: the steepest rise, mostly at the start, else after lines during which nothing happens yet. Neighbouring lines at least
  `AS_STEEP` as steep are part of it. Every other line, whichever way it goes, is less steep than that: else it is no surge.
- **refinement**: what moves more slowly, up or down, between the surge and
- **stabilisation**: lines at the end so flat that over a whole run they would change the curve by at most `FLAT` of the surge.
- **drop** and **growth** (Appendix E, a run that hardly learns): the first line falls, all that follows is less steep than
  `AS_STEEP` of it, and in the end it rises.

Nothing is claimed unless the log odds of a bend against none are `LOG_ODDS`; aimless wandering is one explanation of "none".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, count
from dsi_cli.metrics import changes

Values = NDArray[np.float64]

SURGE, REFINEMENT, STABILISATION, DROP, GROWTH = "surge", "refinement", "stabilisation", "drop", "growth"
LEAST_EPOCHS = 8
LOG_ODDS = 4.0
"""Natural logarithm of the odds that a claim needs; chosen on random walks (docs/phases.md)."""
AS_STEEP, FLAT = 1 / 3, 0.1
HALF = 0.5
"""Share of the drawn curves that have to begin with a phase, for it to be claimed."""
TOLERANCE = 0.05
"""Share of a run by which a boundary may be off, at least one epoch, and still count as the one that is stated."""
LOW, HIGH = 0.025, 0.975


@dataclass(frozen=True)
class Phase:
    """One phase of a curve."""

    name: str
    """surge, refinement or stabilisation; drop or growth in a run that hardly learns."""
    first_epoch: float
    last_epoch: float
    """The epoch of the bend that ends it, where the next phase begins."""
    slope: float
    """Mean change of the curve per epoch."""
    confidence: float
    """Probability, 0 to 1, that there is such a phase and that each of its ends is off by at most `TOLERANCE`."""
    low: float
    """Lower end of the 95 % interval of ``last_epoch``; both are the run's end for the last phase."""
    high: float


@dataclass(frozen=True)
class Phases:
    """What a curve shows."""

    found: tuple[Phase, ...]
    reason: str | None
    """Why nothing was found."""
    log_odds: float | None = None
    """Of a curve that changes its pace against one that does not; None where that could not be asked."""


class _Part(NamedTuple):
    """A phase in one drawn curve."""

    name: str
    begin: float
    end: float
    slope: float


_Reading = tuple[_Part, ...]
_Cuts = tuple[tuple[str, int, int], ...]
_NO_BEND = "a steady pace or aimless wandering would look the same (log odds {odds:.1f}, {needed:g} needed)"
_OTHER_SHAPE = "the curve changes its pace, but has no one steep part beside which all else is slow"
_TOO_SMALL = "its steepest part moves it by less than {least:.3g}, which is within chance"


def phases(
    epochs: NDArray[np.generic],
    values: NDArray[np.generic],
    *,
    direction: int = 1,
    least_rise: float = 0.0,
    log_odds: float = LOG_ODDS,
) -> Phases:
    """Return the phases of a curve, in order, or why there are none; the same for the same input.

    Parameters
    ----------
    epochs : (n,) increasing, gaps and fractions allowed
    values : (n,) of the curve; points that are NaN or infinite are left out
    direction : 1 for a curve that rises as a network learns, -1 for one that falls
    least_rise : smallest surge that counts, in the units of the values; for what chance alone moves
    log_odds : evidence that a claim needs

    Raises
    ------
    UsageError
        The two differ in length, or the epochs do not increase.

    Examples
    --------
    >>> curve = np.interp(np.arange(31), [0, 3, 12, 30], [0.0, 0.3, 0.4, 0.4])
    >>> curve += 0.003 * np.random.default_rng(0).standard_normal(31)
    >>> [(phase.name, phase.last_epoch) for phase in phases(np.arange(31), curve).found]
    [('surge', 3.0), ('refinement', 12.0), ('stabilisation', 30.0)]
    """
    time, curve = _checked(epochs, values)
    if len(time) < LEAST_EPOCHS:
        return Phases(
            (),
            f"{count(len(time), 'epoch')} {'has' if len(time) == 1 else 'have'} a value; at least {LEAST_EPOCHS} are needed",
        )
    if np.ptp(curve) <= 1e-9 * np.abs(curve).max():
        return Phases((), "the curve does not move")
    drawn = changes.curves(time, direction * curve)
    if drawn.log_odds < log_odds:
        return Phases((), _NO_BEND.format(odds=drawn.log_odds, needed=log_odds), drawn.log_odds)
    found = _agreed(drawn, time, direction, least_rise)
    if found or not _agreed(drawn, time, direction, 0.0):
        return Phases(found, None if found else _OTHER_SHAPE, drawn.log_odds)
    return Phases((), _TOO_SMALL.format(least=least_rise), drawn.log_odds)


def _agreed(drawn: changes.Curves, time: Values, direction: int, least_rise: float) -> tuple[Phase, ...]:
    """Return what most of the drawn curves show."""
    readings = [
        _read(bends[~np.isnan(bends)], slopes[~np.isnan(slopes)], time, direction, least_rise)
        for bends, slopes in zip(drawn.bends, drawn.slopes, strict=True)
    ]
    names = _most_probable(readings, drawn.weight)
    return _stated(names, readings, drawn.weight, time) if names else ()


def _checked(epochs: NDArray[np.generic], values: NDArray[np.generic]) -> tuple[Values, Values]:
    time, curve = np.asarray(epochs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if time.ndim != 1 or time.shape != curve.shape:
        raise UsageError(f"phases need one value an epoch: there are {time.shape} epochs and {curve.shape} values")
    if not np.all(np.diff(time) > 0):
        raise UsageError("phases need epochs that increase: sort the points, and keep one of each epoch")
    known = np.isfinite(curve)
    return time[known], curve[known]


def _read(bends: Values, slopes: Values, time: Values, direction: int, least_rise: float) -> _Reading:
    """Return the phases of one drawn curve, whose slopes are positive in the direction of learning."""
    ends = np.array([time[0], *bends, time[-1]])
    rises = slopes * np.diff(ends)
    cuts = _surge(slopes, rises, ends, least_rise) or _drop(slopes, rises, least_rise)
    return tuple(
        _Part(name, ends[first], ends[last], direction * rises[first:last].sum() / (ends[last] - ends[first]))
        for name, first, last in cuts
        if first < last
    )


def _surge(slopes: Values, rises: Values, ends: Values, least_rise: float) -> _Cuts:
    """Return which lines are which phase of a curve that surges: name, first line, the line after the last."""
    top = int(slopes.argmax())
    is_steep = slopes >= AS_STEEP * slopes[top]
    begin, end = top, top + 1
    while begin > 0 and is_steep[begin - 1]:
        begin -= 1
    while end < len(slopes) and is_steep[end]:
        end += 1
    others = np.abs(np.concatenate([slopes[:begin], slopes[end:]]))
    rise = rises[begin:end].sum()
    if rise <= 0 or rise < least_rise or len(others) == 0 or others.max() >= AS_STEEP * slopes[top]:
        return ()
    still = len(slopes)
    while still > end and abs(slopes[still - 1]) * (ends[-1] - ends[0]) <= FLAT * rise:
        still -= 1
    return (SURGE, begin, end), (REFINEMENT, end, still), (STABILISATION, still, len(slopes))


def _drop(slopes: Values, rises: Values, least_rise: float) -> _Cuts:
    """Return the two phases of a curve that drops and then grows slowly, as `_surge` does."""
    fall, grown = -rises[0], rises[1:].sum()
    is_slower = bool(np.all(np.abs(slopes[1:]) < -AS_STEEP * slopes[0]))
    if len(slopes) == 1 or fall < least_rise or not is_slower or slopes[-1] <= 0 or grown < FLAT * fall:
        return ()
    return (DROP, 0, 1), (GROWTH, 1, len(slopes))


def _names(reading: _Reading) -> tuple[str, ...]:
    return tuple(part.name for part in reading)


def _most_probable(readings: list[_Reading], weight: Values) -> tuple[str, ...]:
    """Return the phases that most drawn curves show; none if fewer than half begin alike.

    Which of refinement and stabilisation follow is asked among the curves that begin with a surge.
    """
    by_first: Counter[str] = Counter()
    by_names: Counter[tuple[str, ...]] = Counter()
    for reading, share in zip(readings, weight, strict=True):
        by_first[reading[0].name if reading else ""] += share
        by_names[_names(reading)] += share
    (first, share), *_ = by_first.most_common(1)
    return next(names for names, _ in by_names.most_common() if names[:1] == (first,)) if first and share >= HALF else ()


def _stated(names: tuple[str, ...], readings: list[_Reading], weight: Values, time: Values) -> tuple[Phase, ...]:
    """Return the phases of those names: their ends are medians over the drawn curves that show them."""
    share = np.array([each for reading, each in zip(readings, weight, strict=True) if _names(reading) == names])
    shown = [reading for reading in readings if _names(reading) == names]
    near = max(1.0, TOLERANCE * (time[-1] - time[0]))
    found = []
    at = partial(_nearest, time)
    for place, name in enumerate(names):
        parts = [reading[place] for reading in shown]
        begin = _quantile([part.begin for part in parts], share, 0.5)
        low, end, high = (_quantile([part.end for part in parts], share, level) for level in (LOW, 0.5, HIGH))
        sure = sum(
            each
            for reading, each in zip(readings, weight, strict=True)
            for part in reading
            if part.name == name and abs(part.begin - begin) <= near and abs(part.end - end) <= near
        )
        slope = float(np.dot([part.slope for part in parts], share) / share.sum())
        found.append(Phase(name, at(begin), at(end), slope, min(float(sure), 1.0), at(low), at(high)))
    return tuple(found)


def _quantile(values: list[float], weight: Values, level: float) -> float:
    """Return the smallest value that at least that share of the weight does not exceed."""
    order = np.argsort(values)
    reached = np.cumsum(weight[order]) / weight.sum()
    return float(values[order[min(int(np.searchsorted(reached, level)), len(order) - 1)]])


def _nearest(time: Values, value: float) -> float:
    return float(time[np.abs(time - value).argmin()])
