"""The phases of a training run, defined on one of its curves (arXiv 2505.21338, section 5) **[ours]**.

- The *plateau* is the largest running median of three epochs.
- The *surge* lasts until t90, when the curve has gone 90 % of the way from its start to the plateau.
- The *refinement* lasts from t90 until the curve stays within its noise of its final value.
- The *stabilisation* is the rest.

The confidence intervals come from random curves. In each of them every class has a random weight, the same at all epochs, and every
epoch has independent noise. The spread over classes is that of the jackknife (`dsi_cli.metrics.jackknife`). The noise between
epochs is estimated from second differences of the curve after t90 (Gasser, Sroka and Jennen-Steinmetz 1986,
doi:10.1093/biomet/73.3.625).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import count
from dsi_cli.metrics.measures import Values

SURGE, REFINEMENT, STABILISATION = "surge", "refinement", "stabilisation"
LEVELS = {"t50": 0.5, "t90": 0.9, "t95": 0.95}  # shares of the way from the start to the plateau
MIN_EPOCHS = 5
DRAWS = 500  # the number of random curves for the intervals
FINAL_NOISE_DEVIATIONS = 2.0
"""A curve has its final value if it is within this many standard deviations of the noise between epochs."""
MIN_GAIN_DEVIATIONS = 5.0
"""A gain must exceed this many standard deviations of the noise; 2 % of 1,000 autocorrelated noise curves do (docs/phases.md)."""
MAX_LATE_GAIN = 0.1  # if the last third of a curve adds more than this share of the gain, the plateau is not reached


@dataclass(frozen=True)
class Phase:
    """A phase of a curve, or the time at which the curve reaches a share of its plateau (t50, t90, t95).

    Epochs are interpolated between checkpoints. ``low`` and ``high`` are the 95 % confidence interval of ``last_epoch``, and
    ``gain`` is the change of the curve during the phase.
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
    """The phases of a curve in order, then t50, t90 and t95; or the reason why the curve has none."""

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
        Increasing epochs. Gaps and fractions are allowed.
    values : (n,)
        The curve. Points that are NaN or infinite are left out.
    start : the value from which the curve rises, such as the chance level; the first value if None.
    least_gain : the gain that the curve must exceed, in the units of the values.
    without : (n, C), optional, the values with each class left out in turn, for the intervals.
    seed : the seed of the random curves.

    Returns
    -------
    Phases
        Without phases, but with a reason, if the curve has fewer than five values, does not rise above start, gain and noise, or
        still rises at its end.

    Examples
    --------
    >>> curve = np.interp(np.arange(31), [0, 4, 12, 30], [0.0, 0.4, 0.38, 0.38])
    >>> [(phase.name, round(phase.last_epoch, 1)) for phase in phases(np.arange(31), curve).found]
    [('surge', 3.6), ('refinement', 12.0), ('stabilisation', 30.0), ('t50', 2.0), ('t90', 3.6), ('t95', 3.8)]
    """
    time, curve = np.asarray(epochs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    known = np.isfinite(curve)
    time, curve = time[known], curve[known]
    if len(time) < MIN_EPOCHS:
        has = "has" if len(time) == 1 else "have"
        return Phases(reason=f"{count(len(time), 'epoch')} {has} a value; at least {MIN_EPOCHS} are needed")
    begin = float(curve[0]) if start is None else start
    medians = _running_medians(curve)
    gain = float(medians.max()) - begin
    if gain <= 0:
        return Phases(reason="the curve does not rise above its start, so it stays within chance")
    if gain <= least_gain:
        return Phases(reason=f"the curve rises by {gain:.3g}, which is within chance (up to {least_gain:.3g})")
    # Estimate the noise after the rise, from second differences. Without a chance level, the spread of the second half of the
    # curve separates a curve that drifts from one that rises.
    risen = _times_reached(time, curve[None], np.array([begin + LEVELS["t90"] * gain]))[0]
    after_rise = curve[np.searchsorted(time, risen) :]
    stable = after_rise if len(after_rise) >= MIN_EPOCHS else curve
    noise = float(np.sqrt(np.square(np.diff(stable, 2)).mean() / 6))
    drift = float(curve[len(curve) // 2 :].std()) if start is None else 0.0
    if gain <= MIN_GAIN_DEVIATIONS * max(noise, drift):
        noise_text = "which is within its noise"
        if stable is curve:
            noise_text = f"but with {count(len(after_rise), 'epoch')} after the rise, its noise is unknown"
        return Phases(reason=f"the curve rises by {gain:.3g}, {noise_text}")
    if medians.argmax() == len(medians) - 1 and medians[-1] - medians[2 * len(medians) // 3] > MAX_LATE_GAIN * gain:
        return Phases(reason="the curve still rises at its end, so its plateau is not known")

    measured = _times_and_gains(time, curve[None], begin, noise)[0].tolist()
    # Random curves have the noise between epochs and the spread over classes.
    rng = np.random.default_rng(seed)
    random_curves = curve + noise * rng.standard_normal((DRAWS, len(curve)))
    if without is not None and np.isfinite(without[known]).all():
        effects, classes = without[known] - without[known].mean(axis=1, keepdims=True), without.shape[1]
        weights = rng.standard_normal((DRAWS, classes)) * np.sqrt((classes - 1) / classes)
        random_curves += weights @ effects.T
    drawn = _times_and_gains(time, random_curves, begin, noise)
    return Phases(tuple(_phases_with_intervals(time, measured, drawn)))


def _running_medians(curves: Values) -> Values:
    """Return the medians ``(..., n-2)`` of three consecutive values."""
    return np.median(np.lib.stride_tricks.sliding_window_view(curves, 3, axis=-1), axis=-1)


def _times_reached(time: Values, curves: Values, levels: Values) -> Values:
    """Return the interpolated time at which each curve first reaches its level, or the first epoch if it starts above."""
    row, index = np.arange(len(curves)), np.argmax(curves >= levels[:, None], axis=1)
    before = np.maximum(index - 1, 0)
    rise = np.where(index > 0, curves[row, index] - curves[row, before], 1.0)
    return time[before] + (levels - curves[row, before]) / rise * (time[index] - time[before])


def _times_and_gains(time: Values, curves: Values, begin: float, noise: float) -> Values:
    """Return, for each curve, t50, t90, t95, the end of the refinement, the gain of the surge and the change since the plateau."""
    medians = _running_medians(curves)
    plateau, final = medians.max(axis=1), medians[:, -1]
    times = [_times_reached(time, curves, begin + share * (plateau - begin)) for share in LEVELS.values()]
    # The curve has settled after the last epoch that is far from the final value.
    is_far = (np.abs(curves - final[:, None]) > FINAL_NOISE_DEVIATIONS * noise) & (time >= times[1][:, None])
    after_far = np.where(is_far.any(axis=1), len(time) - np.argmax(is_far[:, ::-1], axis=1), 0)
    settled = np.maximum(times[1], time[np.minimum(after_far, len(time) - 1)])
    return np.stack([*times, settled, plateau - begin, final - plateau], axis=1)


def _phases_with_intervals(time: Values, measured: list[float], drawn: Values) -> Iterator[Phase]:
    """Yield the phases and times with the 2.5 and 97.5 percentiles over the random curves.

    Noise raises the largest running median and so delays all times. A random curve has the noise of the curve and again its own.
    The percentiles are therefore shifted back by twice the median delay of the random curves.
    """
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0) - 2 * (np.median(drawn, axis=0) - measured)
    low, high = np.minimum(low, measured), np.maximum(high, measured)
    t50, t90, t95, settled, gain, change = range(6)
    first, last = float(time[0]), float(time[-1])
    low[:gain], high[:gain] = np.clip(low[:gain], first, last), np.clip(high[:gain], first, last)
    low[settled] = max(low[settled], low[t90])  # the refinement begins at t90

    def phase(name: str, begin: float, end: int, amount: int) -> Phase:
        ends = (float(measured[end]), float(low[end]), float(high[end]))
        return Phase(name, begin, *ends, measured[amount], float(low[amount]), float(high[amount]))

    if measured[t90] > first:
        yield phase(SURGE, first, t90, gain)
    if measured[settled] > measured[t90]:
        yield phase(REFINEMENT, measured[t90], settled, change)
    if measured[settled] < last:
        yield Phase(STABILISATION, measured[settled], last, last, last, 0.0, 0.0, 0.0)
    for index, name in ((t50, "t50"), (t90, "t90"), (t95, "t95")):
        yield phase(name, first, index, gain)
