"""The phases of a training run, read off one of its curves by definition (arXiv 2505.21338, section 5) **[ours]**.

- *plateau*: the largest running median of three epochs;
- *surge*: until the curve has gone 90 % of the way from its start to the plateau (t90, interpolated between checkpoints);
- *refinement*: from there until the curve stays within its noise of its final value, with the change since the plateau;
- *stabilisation*: the rest.

The intervals come from draws of curves: each class has a random weight, the same at all epochs, and each epoch has its own noise.
The spread over classes is that of the jackknife (`dsi_cli.metrics.jackknife`). The noise between epochs is measured on the second
differences of the curve after t90 (Gasser, Sroka and Jennen-Steinmetz 1986, doi:10.1093/biomet/73.3.625).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, count
from dsi_cli.metrics.measures import Values

SURGE, REFINEMENT, STABILISATION = "surge", "refinement", "stabilisation"
LEVELS = {"t50": 0.5, "t90": 0.9, "t95": 0.95}
"""Shares of the way from the start to the plateau."""
LEAST_EPOCHS = 5
DRAWS = 500
NOISE = 2.0
"""Standard deviations of the noise between epochs within which a curve counts as having its final value."""
CLEAR = 5.0
"""Standard deviations of the noise that a gain must exceed: of 1,000 curves of noise that remembers, 3 % pass (docs/phases.md)."""
RISING = 0.1
"""Share of the gain that the last third of a curve must add for its plateau not to count as reached."""


@dataclass(frozen=True)
class Phase:
    """A phase of a curve, or the time at which it reaches a share of its plateau (t50, t90, t95).

    ``low`` and ``high`` are the 95 % interval of ``last_epoch``, ``gain_low`` and ``gain_high`` that of ``gain``, the change of the
    curve during the phase. Epochs are interpolated between checkpoints.
    """

    name: str
    first_epoch: float
    last_epoch: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float


@dataclass(frozen=True)
class Phases:
    """The phases of a curve in order, then t50, t90 and t95; or the reason why it has none."""

    found: tuple[Phase, ...] = ()
    reason: str | None = None


def phases(
    epochs: NDArray[np.generic],
    values: NDArray[np.generic],
    *,
    start: float | None = None,
    least_gain: float = 0.0,
    without: Values | None = None,
    seed: int = 0,
) -> Phases:
    """Return the phases of a curve.

    Parameters
    ----------
    epochs : (n,)
        Increasing. Gaps and fractions are allowed.
    values : (n,)
        Points that are NaN or infinite are left out.
    start : the value from which the curve rises, such as the chance level; the first value if None
    least_gain : the smallest gain that counts, in the units of the values
    without : (n, C), optional
        The values with each class left out in turn, for the intervals.
    seed : of the draws

    Raises
    ------
    UsageError
        The shapes do not fit, or the epochs do not increase.

    Examples
    --------
    >>> curve = np.interp(np.arange(31), [0, 4, 12, 30], [0.0, 0.4, 0.38, 0.38])
    >>> [(phase.name, round(phase.last_epoch, 1)) for phase in phases(np.arange(31), curve).found]
    [('surge', 3.6), ('refinement', 12.0), ('stabilisation', 30.0), ('t50', 2.0), ('t90', 3.6), ('t95', 3.8)]
    """
    time, curve, left_out = _checked(epochs, values, without)
    if len(time) < LEAST_EPOCHS:
        has = "has" if len(time) == 1 else "have"
        return Phases(reason=f"{count(len(time), 'epoch')} {has} a value; at least {LEAST_EPOCHS} are needed")
    begin = float(curve[0]) if start is None else start
    medians = _running_medians(curve)
    gain = float(medians.max()) - begin
    if gain <= 0:
        return Phases(reason="the curve does not rise above its start, so it stays within chance")
    if gain <= least_gain:
        return Phases(reason=f"the curve rises by {gain:.3g}, which is within chance (up to {least_gain:.3g})")
    # The noise is that of the curve after its rise. Without a chance level, a curve that wanders is told from one that rises by how
    # far its second half wanders.
    after = curve[np.searchsorted(time, _reached(time, curve, begin + LEVELS["t90"] * gain)) :]
    noise = _noise(after if len(after) >= LEAST_EPOCHS else curve)
    wanders = float(curve[len(curve) // 2 :].std()) if start is None else 0.0
    if gain <= CLEAR * max(noise, wanders):
        return Phases(reason=f"the curve rises by {gain:.3g}, which is within its noise")
    if medians.argmax() == len(medians) - 1 and medians[-1] - medians[2 * len(medians) // 3] > RISING * gain:
        return Phases(reason="the curve still rises at its end, so its plateau is not known")

    measured = _measured(time, curve, begin, noise)
    drawn = np.array([_measured(time, one, begin, noise) for one in _draws(curve, left_out, noise, seed)])
    return Phases(tuple(_parts(time, measured, drawn)))


def _checked(
    epochs: NDArray[np.generic], values: NDArray[np.generic], without: Values | None
) -> tuple[Values, Values, Values | None]:
    """Return the points that have a value."""
    time, curve = np.asarray(epochs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if time.ndim != 1 or time.shape != curve.shape or (without is not None and len(without) != len(time)):
        raise UsageError(f"phases need one value for each epoch: there are {time.shape} epochs and {curve.shape} values")
    if not np.all(np.diff(time) > 0):
        raise UsageError("phases need epochs that increase: sort the points, and keep one of each epoch")
    known = np.isfinite(curve)
    return time[known], curve[known], None if without is None else without[known]


def _running_medians(curve: Values) -> Values:
    """Return the median of each three neighbouring values, ``(n-2,)``."""
    first, second, third = curve[:-2], curve[1:-1], curve[2:]
    medians: Values = np.maximum(np.minimum(first, second), np.minimum(np.maximum(first, second), third))
    return medians


def _noise(curve: Values) -> float:
    """Return the standard deviation of the noise between epochs, from second differences."""
    return float(np.sqrt(np.square(np.diff(curve, 2)).mean() / 6))


def _draws(curve: Values, without: Values | None, noise: float, seed: int) -> Values:
    """Return curves ``(DRAWS, n)`` with the spread over classes and the noise between epochs."""
    rng = np.random.default_rng(seed)
    drawn = curve + noise * rng.standard_normal((DRAWS, len(curve)))
    if without is not None and np.isfinite(without).all():
        classes = without.shape[1]
        weights = rng.standard_normal((DRAWS, classes)) * np.sqrt((classes - 1) / classes)
        drawn += weights @ (without - without.mean(axis=1, keepdims=True)).T
    return drawn


def _reached(time: Values, curve: Values, level: float) -> float:
    """Return when a curve first reaches a level, interpolated; its first epoch if it has already."""
    at = int(np.argmax(curve >= level))
    if at == 0:
        return float(time[0])
    part = (level - curve[at - 1]) / (curve[at] - curve[at - 1])
    return float(time[at - 1] + part * (time[at] - time[at - 1]))


def _measured(time: Values, curve: Values, begin: float, noise: float) -> list[float]:
    """Return t50, t90, t95, the end of the refinement, the gain of the surge and the change since the plateau."""
    medians = _running_medians(curve)
    plateau, final = float(medians.max()), float(medians[-1])
    times = [_reached(time, curve, begin + share * (plateau - begin)) for share in LEVELS.values()]
    is_far = (np.abs(curve - final) > NOISE * noise) & (time >= times[1])
    last = int(np.flatnonzero(is_far)[-1]) + 1 if is_far.any() else 0
    settled = max(times[1], float(time[min(last, len(time) - 1)]))
    return [*times, settled, plateau - begin, final - plateau]


def _parts(time: Values, measured: list[float], drawn: Values) -> Iterator[Phase]:
    """Yield the phases, with the 2.5 and 97.5 percentiles over the draws.

    Noise raises the largest running median, and so delays all times. A draw has the noise of the curve and once more its own, so
    the percentiles are moved back by twice what the draws are later than the curve.
    """
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0) - 2 * (np.median(drawn, axis=0) - measured)
    low, high = np.minimum(low, measured), np.maximum(high, measured)
    t50, t90, t95, settled, gain, change = range(6)
    first, last = float(time[0]), float(time[-1])
    low[:gain], high[:gain] = np.clip(low[:gain], first, last), np.clip(high[:gain], first, last)

    def part(name: str, begin: float, end: int, amount: int) -> Phase:
        ends = (float(measured[end]), float(low[end]), float(high[end]))
        return Phase(name, begin, *ends, measured[amount], float(low[amount]), float(high[amount]))

    if measured[t90] > first:
        yield part(SURGE, first, t90, gain)
    if measured[settled] > measured[t90]:
        yield part(REFINEMENT, measured[t90], settled, change)
    if measured[settled] < last:
        yield Phase(STABILISATION, measured[settled], last, last, last, 0.0, 0.0, 0.0)
    for place, name in ((t50, "t50"), (t90, "t90"), (t95, "t95")):
        yield part(name, first, place, gain)
