"""The phases of a training run, defined on one of its curves (arXiv 2505.21338, section
5) **[ours]**.

- The *plateau* is the largest running median of three epochs.
- The *surge* lasts until t90, when the curve has gone 90 % of the way from its start to
  the plateau.
- The *refinement* is a decline after t95 that is more than noise. It lasts from t90
  until the curve stays within its noise of its final value.
- The *stabilisation* is the rest.

The last value less the largest cannot be positive, so it is no measure of a decline.
The slope of a least-squares line can have either sign. Its standard error has two
parts: the jackknife over classes of the same line (`dsi_cli.metrics.jackknife`), and
autocorrelated noise between epochs.

The intervals of times and gains come from random curves. In each of them every class
has a random weight, the same at all epochs, and the epochs have noise that continues
from one to the next, an autoregressive process of order 1. Its deviation and its
autocorrelation are those with which the residuals of the curve from a local parabola
have their measured variance and covariance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import count
from dsi_cli.metrics import jackknife
from dsi_cli.metrics.intervals import freedom_of_sum, plain_interval
from dsi_cli.metrics.measures import Values

SURGE, REFINEMENT, STABILISATION = "surge", "refinement", "stabilisation"
# a decline of one of several repetitions that is not shown to be a refinement
DECLINE = "decline"
# shares of the way from the start to the plateau
LEVELS = {"t50": 0.5, "t90": 0.9, "t95": 0.95}
MIN_EPOCHS = 8
# the number of epochs after the rise from which noise and decline are measured
MIN_LATE_EPOCHS = 5
DRAWS = 5000  # the number of random curves for the intervals
# the number of values of the random curves that are in memory at a time
CHUNK = 4_000_000
CACHED = 100_000  # the number of values of the random curves that are computed at once
FINAL_NOISE_DEVIATIONS = 2.0
"""A curve has its final value if it is within this many standard deviations of the
noise between epochs.
"""
MIN_GAIN_DEVIATIONS = 5.0
"""A gain must exceed this many standard deviations of the noise."""
MIN_WALK_DEVIATIONS = 3.0
"""Without a chance level, a gain must exceed this many standard deviations of a random
walk with the steps of the plateau.
"""
# if the last third of a curve adds more than this share of the gain, the plateau is not
# reached
MAX_LATE_GAIN = 0.1
NOISE_WINDOW, CENTRE_WINDOW = 1.5, 2.0
"""A local parabola reaches from the time since the first epoch divided by this factor
to the time multiplied by it.
"""
# autocorrelations of curves with too few epochs to measure them
ASSUMED_FOR_INTERVALS, ASSUMED_FOR_DECLINE = (0.3, 0.9)
AUTOCORRELATION_ERRORS = 1.2
"""The autocorrelation is raised by this many standard errors, since few epochs
understate it (benchmarks/results/phases.md has the effect).
"""
NO_DECLINE = "no decline beyond noise"


@dataclass(frozen=True)
class Phase:
    """A phase of a curve, or the time at which the curve reaches a share of its plateau
    (t50, t90, t95).

    Epochs are interpolated between checkpoints. ``low`` and ``high`` are the 95 %
    confidence interval of ``last_epoch``.
    """

    name: str
    first_epoch: float
    last_epoch: float
    low: float
    high: float
    gain: float | None
    """The gain up to the plateau; for refinement and stabilisation the change over the
    plateau.
    """
    gain_low: float | None
    gain_high: float | None
    is_censored: bool = False
    """True if the curve reaches its level before the second checkpoint; last_epoch is
    then that of the second checkpoint.
    """
    reason: str | None = None
    """For a stabilisation, why no refinement precedes it."""


@dataclass(frozen=True)
class Phases:
    """The phases of a curve in order, then t50, t90 and t95; or the reason why the
    curve has none.
    """

    found: tuple[Phase, ...] = ()
    reason: str | None = None
    is_within_chance: bool = False
    """True if there are no phases because the curve stays within chance."""
    t90_draws: Values | None = field(default=None, compare=False, repr=False)
    """The t90 of random curves, for `t90_difference`."""


Change = tuple[float, float, float]
"""A change of the curve with its 95 % confidence interval."""


class Noise(NamedTuple):
    """Autoregressive noise of order 1 between epochs."""

    deviation: float
    autocorrelation: float
    freedom: float  # the degrees of freedom of the deviation


def phases(
    epochs: NDArray[np.generic],
    values: NDArray[np.generic],
    *,
    start: float | None = None,
    least_gain: float = 0.0,
    without: Values | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    run: int = 0,
) -> Phases:
    """Return the phases of a curve.

    Parameters
    ----------
    epochs : (n,)
        Increasing epochs. Gaps and fractions are allowed.
    values : (n,)
        The curve. Points that are NaN or infinite are left out.
    start : the value from which the curve rises, such as the chance level; the first
        value if None.
    least_gain : the gain that the curve must exceed, in the units of the values.
    without : (n, C), optional, the values with each class left out in turn, for the
        intervals.
    seed : the seed of the random curves.
    draws : the number of random curves.
    run : a number that differs between runs that `t90_difference` compares. Their
        random curves have the same weights of the classes, and independent noise.

    Returns
    -------
    Phases
        Without phases, but with a reason, if the curve has fewer than eight values,
        does not rise above start, gain and noise, or still rises at its end.

    Examples
    --------
    >>> curve = np.interp(np.arange(31), [0, 4, 12, 30], [0.0, 0.4, 0.35, 0.35])
    >>> [(phase.name, round(phase.last_epoch, 1)) for phase in phases(np.arange(31), curve).found]
    [('surge', 3.5), ('refinement', 11.0), ('stabilisation', 30.0), ('t50', 2.0), ('t90', 3.5), ('t95', 3.7)]
    """
    time = np.asarray(epochs, dtype=np.float64)
    curve = np.asarray(values, dtype=np.float64)
    known = np.isfinite(curve)
    time, curve = time[known], curve[known]
    if len(time) < MIN_EPOCHS:
        has = "has" if len(time) == 1 else "have"
        return Phases(
            reason=(
                f"{count(len(time), 'epoch')} {has} a value; at least {MIN_EPOCHS} are"
                " needed"
            )
        )
    begin = float(curve[0]) if start is None else start
    medians = _running_medians(curve)
    gain = float(medians.max()) - begin
    if gain <= 0:
        return Phases(
            reason="the curve does not rise above its start, so it stays within chance",
            is_within_chance=True,
        )
    if gain <= least_gain:
        return Phases(
            reason=(
                f"the curve rises by {gain:.3g}, which is within chance (up to"
                f" {least_gain:.3g})"
            ),
            is_within_chance=True,
        )
    # Estimate the noise after the rise, from second differences. A curve without a
    # chance level must also rise by more than a random walk with the steps of its
    # plateau.
    measured = _quantities(time, curve[None], begin)[0][0]
    risen = int(np.searchsorted(time, measured[1]))
    after_rise = curve[risen:]
    stable = after_rise if len(after_rise) >= MIN_LATE_EPOCHS else curve
    noise = float(np.sqrt(np.square(np.diff(stable, 2)).mean() / 6))
    if start is None:
        walk = float(np.diff(stable).std(ddof=1)) * (len(curve) - 1) ** 0.5
    else:
        walk = 0.0
    if gain <= max(MIN_GAIN_DEVIATIONS * noise, MIN_WALK_DEVIATIONS * walk):
        noise_text = "which is within its noise"
        if stable is curve:
            noise_text = (
                f"but with {count(len(after_rise), 'epoch')} after the rise, its noise"
                " is unknown"
            )
        return Phases(reason=f"the curve rises by {gain:.3g}, {noise_text}")
    if (
        medians.argmax() == len(medians) - 1
        and medians[-1] - medians[2 * len(medians) // 3] > MAX_LATE_GAIN * gain
    ):
        return Phases(
            reason="the curve still rises at its end, so its plateau is not known"
        )

    if without is not None:
        without = without[known]
        without = without if np.isfinite(without).all() else None
    smooth = _local_parabolas(time, NOISE_WINDOW)
    noise_after_rise, noise_of_decline = (
        _noise(time, curve, smooth, risen, assumed)
        for assumed in (ASSUMED_FOR_INTERVALS, ASSUMED_FOR_DECLINE)
    )
    change = _change_after(time, curve, without, float(measured[2]), noise_of_decline)
    # The random curves have the curve itself as their centre up to t90, and a smooth
    # curve after it.
    centre = curve.copy()
    centre[risen:] = (_local_parabolas(time, CENTRE_WINDOW) @ curve)[risen:]
    if change is not None and change[2] < 0:
        deviation = noise_after_rise.deviation
    else:
        deviation = None
    chunks = [
        _quantities(time, curves, begin, deviation)
        for curves in _random_curves(
            centre, noise_after_rise, without, draws, (seed, run)
        )
    ]
    linear, cubic = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    measured, at_centre = (
        _quantities(time, one[None], begin, deviation)[0][0] for one in (curve, centre)
    )
    # Noise raises the largest running median and so delays all times. The draws are
    # shifted by the delay of the median draw.
    drawn = (
        np.concatenate([linear, cubic])
        + measured
        + at_centre
        - 2 * np.median(linear, axis=0)
    )
    return Phases(
        tuple(_in_order(time, measured, drawn, change)), t90_draws=drawn[:, 1]
    )


def t90_difference(first: Phases, second: Phases) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of t90 of the second curve less that of the
    first; None if one has no phases.

    Both come from `phases` with values without each of the same classes, with the same
    seed and with different runs.
    """
    if first.t90_draws is None or second.t90_draws is None:
        return None
    low, high = np.percentile(second.t90_draws - first.t90_draws, [2.5, 97.5])
    return float(low), float(high)


def _in_order(
    time: Values, measured: Values, drawn: Values, change: Change | None
) -> Iterator[Phase]:
    """Yield the phases and times, with limits that are in order and within the
    epochs.
    """
    first, last = float(time[0]), float(time[-1])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    low, high = np.minimum(low, measured), np.maximum(high, measured)
    gain = (float(measured[3]), float(low[3]), float(high[3]))
    # Between the first two checkpoints nothing is known of the time.
    index = [0, 1, 2, 4][: len(measured) - 1]
    is_censored = measured[index] < time[1]
    ends = np.where(
        is_censored, np.where(measured[index] > first, time[1], first), measured[index]
    )
    low = np.clip(low[index], first, last)
    high = np.clip(np.maximum(high[index], ends), first, last)
    low = np.where(low < time[1], first, low)
    low, high = np.maximum.accumulate(low), np.maximum.accumulate(high)

    def phase(name: str, begin: float, end: int, amount: Change) -> Phase:
        return Phase(
            name,
            begin,
            float(ends[end]),
            float(low[end]),
            float(high[end]),
            *amount,
            bool(is_censored[end]),
        )

    yield phase(SURGE, first, 1, gain)
    surged = float(ends[1])
    if change is not None and change[2] < 0:
        yield phase(REFINEMENT, surged, 3, change)
        if ends[3] < last:
            yield Phase(STABILISATION, float(ends[3]), last, last, last, 0.0, 0.0, 0.0)
    elif surged < last:
        reason = NO_DECLINE
        if change is None:
            reason = (
                f"a decline cannot be tested with fewer than {MIN_LATE_EPOCHS} epochs"
                " after t95"
            )
        amount, amount_low, amount_high = change or (None, None, None)
        yield Phase(
            STABILISATION,
            surged,
            last,
            last,
            last,
            amount,
            amount_low,
            amount_high,
            reason=reason,
        )
    for end, name in enumerate(LEVELS):
        yield phase(name, first, end, gain)


def _change_after(
    time: Values, curve: Values, without: Values | None, t95: float, noise: Noise
) -> Change | None:
    """Return the change of a line through the curve after t95, with its 95 % confidence
    interval; None with too few epochs.

    The epoch that reaches t95 is left out, since it is chosen for its high value.
    """
    late = np.flatnonzero(time >= t95)[1:]
    if len(late) < MIN_LATE_EPOCHS:
        return None
    line = line_of_change(time[late])
    change = float(line @ curve[late])
    lags = np.abs(np.subtract.outer(np.arange(len(late)), np.arange(len(late))))
    of_noise = noise.deviation**2 * float(line @ noise.autocorrelation**lags @ line)
    variances, freedoms = [of_noise], [noise.freedom]
    if without is not None:
        of_classes = jackknife.variance(line @ without[late]) or 0.0
        variances.append(of_classes)
        freedoms.append(without.shape[1] - 1)
    if not any(variances):
        return change, change, change
    freedom = freedom_of_sum(variances, freedoms)
    return change, *plain_interval(change, sum(variances) ** 0.5, freedom)


def line_of_change(time: Values) -> Values:
    """Return the weight of each value of a curve in the change of its least-squares line
    over the time ``(n,)``.
    """
    since = time - time.mean()
    return np.asarray(since / (since @ since) * (time[-1] - time[0]))


def _noise(
    time: Values, curve: Values, smooth: Values, risen: int, assumed: float
) -> Noise:
    """Return the noise between epochs after the rise, given the matrix of
    `_local_parabolas`; with few epochs, its autocorrelation is the assumed one.
    """
    # The residuals from local parabolas; epochs with few neighbours have none.
    residual = (np.eye(len(time)) - smooth)[risen:]
    residual = residual[np.any(residual, axis=1)]
    if len(residual) < MIN_LATE_EPOCHS:
        late = curve[risen:] if len(curve) - risen >= MIN_LATE_EPOCHS else curve
        variance = np.square(np.diff(late, 2)).mean() / (
            6 - 8 * assumed + 2 * assumed**2
        )
        return Noise(
            float(np.sqrt(variance)), assumed, max(1.0, 2 * (len(late) - 2) / 3)
        )
    measured = residual @ curve
    # The sums of squares and of products of neighbours that a process with deviation 1
    # would have, for each autocorrelation
    index = np.arange(len(time))
    lags = np.abs(np.subtract.outer(index, index)).ravel()
    squares, neighbours = (
        np.bincount(lags, (earlier.T @ residual[-len(earlier) :]).ravel())
        for earlier in (residual, residual[:-1])
    )
    grid = np.linspace(0, 0.95, 20)
    powers = grid[:, None] ** np.arange(len(time))
    expected = powers @ squares
    square = float(measured @ measured)
    wanted = (
        float(measured[1:] @ measured[:-1]) / (square or 1.0)
        + AUTOCORRELATION_ERRORS / len(measured) ** 0.5
    )
    best = int(np.argmin(np.abs(powers @ neighbours / expected - wanted)))
    deviation = float(np.sqrt(square / expected[best]))
    return Noise(deviation, float(grid[best]), float(squares[0]))


def _random_curves(
    centre: Values,
    noise: Noise,
    without: Values | None,
    draws: int,
    seeds: tuple[int, int],
) -> Iterator[Values]:
    """Yield random curves around a centre, in parts ``(k, n)``."""
    seed, run = seeds
    of_classes = np.random.default_rng([seed, 0])
    of_noise = np.random.default_rng([seed, 1, run])
    size = max(1, CHUNK // len(centre))
    for begin in range(0, draws, size):
        part = min(size, draws - begin)
        process = of_noise.standard_normal((len(centre), part))
        fresh = (1 - noise.autocorrelation**2) ** 0.5
        for epoch in range(1, len(centre)):
            process[epoch] = (
                noise.autocorrelation * process[epoch - 1] + fresh * process[epoch]
            )
        deviations = noise.deviation * np.sqrt(
            noise.freedom / of_noise.chisquare(noise.freedom, part)
        )
        curves = centre + (process * deviations).T
        if without is not None:
            effects = without - without.mean(axis=1, keepdims=True)
            classes = without.shape[1]
            weights = of_classes.standard_normal((part, classes)) * np.sqrt(
                (classes - 1) / classes
            )
            curves += weights @ effects.T
        # Fewer curves at once stay in the processor's cache.
        yield from np.array_split(curves, 1 + curves.size // CACHED)


def _local_parabolas(time: Values, window: float) -> Values:
    """Return the matrix ``(n, n)`` that smooths a curve: the value of a parabola
    through the epochs near each epoch.

    An epoch with fewer than `MIN_LATE_EPOCHS` epochs in the window keeps its value.
    """
    since = time - time[0]
    at = since[:, None]
    near = (since <= at * window) & (since * window >= at)
    is_smooth = np.count_nonzero(near, axis=1) >= MIN_LATE_EPOCHS
    # The least-squares parabola of each epoch, in units of its largest distance
    distance = np.where(near, since - at, 0.0)[is_smooth]
    scaled = distance / np.abs(distance).max(axis=1, keepdims=True)
    weights = near[is_smooth].astype(np.float64)
    powers = np.stack([scaled**power for power in range(3)], axis=1)
    moments = (powers * weights[:, None]) @ powers.swapaxes(1, 2)
    # With three dimensions, this is one column for all matrices in every NumPy.
    first_unit_vector = np.eye(3)[None, :, :1]
    at_epoch = np.linalg.solve(moments, first_unit_vector)
    smoother = np.eye(len(time))
    smoother[is_smooth] = weights * (at_epoch * powers).sum(axis=1)
    return smoother


def _running_medians(curves: Values) -> Values:
    """Return the medians ``(..., n-2)`` of three consecutive values."""
    first, second, third = curves[..., :-2], curves[..., 1:-1], curves[..., 2:]
    return np.maximum(
        np.minimum(first, second), np.minimum(np.maximum(first, second), third)
    )


def _quantities(
    time: Values, curves: Values, begin: float, deviation: float | None = None
) -> tuple[Values, Values]:
    """Return t50, t90, t95 and the gain of each curve, with lines and with cubics
    between the epochs.

    With the deviation of the noise, the end of the refinement is the last column.
    """
    gain = _running_medians(curves).max(axis=1) - begin
    times = [
        _times_reached(time, curves, begin + share * gain) for share in LEVELS.values()
    ]
    linear, cubic = zip(*times, strict=True)
    if deviation is None:
        common = [gain]
    else:
        common = [gain, _settled(time, curves, linear[1], deviation)]
    return np.stack([*linear, *common], axis=1), np.stack([*cubic, *common], axis=1)


def _times_reached(
    time: Values, curves: Values, levels: Values
) -> tuple[Values, Values]:
    """Return when each curve first reaches its level, on a line and on a cubic, or the
    first epoch if it starts above.

    The cubic is monotone, with the slopes of Fritsch and Butland 1984
    (doi:10.1137/0905021) for equal steps. What lies between the line and the cubic is
    not known without more checkpoints.
    """
    row, index = np.arange(len(curves)), np.argmax(curves >= levels[:, None], axis=1)
    before, last = np.maximum(index - 1, 0), len(time) - 1
    a, b, step = curves[row, before], curves[row, index], time[index] - time[before]
    is_later = index > 0
    share = (levels - a) / np.where(is_later, b - a, 1.0)
    # The slopes at both ends, in units of the step
    slopes = np.diff(curves, axis=1) / np.diff(time)
    here = slopes[row, before]
    start = _harmonic_mean(slopes[row, np.maximum(before - 1, 0)], here) * step
    end = _harmonic_mean(here, slopes[row, np.minimum(index, last - 1)]) * step
    low, high = np.zeros(len(curves)), np.ones(len(curves))
    for _ in range(20):  # bisection
        x = (low + high) / 2
        value = (
            a
            + x * x * (3 - 2 * x) * (b - a)
            + x * (1 - x) * ((1 - x) * start - x * end)
        )
        is_below = value < levels
        low, high = np.where(is_below, x, low), np.where(is_below, high, x)
    return (
        time[before] + share * step,
        time[before] + np.where(is_later, low, 0.0) * step,
    )


def _harmonic_mean(first: Values, second: Values) -> Values:
    """Return the harmonic mean of two slopes of the same sign, else 0."""
    is_same = first * second > 0
    return np.where(
        is_same, 2 * first * second / np.where(is_same, first + second, 1.0), 0.0
    )


def _settled(time: Values, curves: Values, t90: Values, deviation: float) -> Values:
    """Return the epoch from which each curve stays near its final value."""
    final = _running_medians(curves)[:, -1]
    is_far = (np.abs(curves - final[:, None]) > FINAL_NOISE_DEVIATIONS * deviation) & (
        time >= t90[:, None]
    )
    after_far = np.where(
        is_far.any(axis=1), len(time) - np.argmax(is_far[:, ::-1], axis=1), 0
    )
    return np.maximum(t90, time[np.minimum(after_far, len(time) - 1)])
