"""Phases by definition: on curves whose phases are known, on noise, and with their intervals."""

import numpy as np
import pytest

from dsi_cli.metrics.phases import phases

EPOCHS = np.arange(31)


def times(found):
    return {one.name: one.last_epoch for one in found.found}


def slow_time(epochs, values, start, share):
    """Return when a curve first has gone a share of the way to its largest running median of three, by a loop."""
    plateau = max(sorted(values[k : k + 3])[1] for k in range(len(values) - 2))
    level = start + share * (plateau - start)
    for k, value in enumerate(values):
        if value >= level:
            if k == 0:
                return epochs[0]
            before = values[k - 1]
            return epochs[k - 1] + (level - before) / (value - before) * (epochs[k] - epochs[k - 1])
    raise AssertionError("the plateau is reached somewhere")


def saturating(epochs, rate=0.5, noise=0.0, seed=0):
    return 0.5 * (1 - np.exp(-rate * epochs)) + noise * np.random.default_rng(seed).standard_normal(len(epochs))


@pytest.mark.parametrize("seed", range(5))
def test_times_are_those_of_a_slow_loop(seed):
    epochs = np.sort(np.random.default_rng(seed).choice(60, 25, replace=False)).astype(float)
    values = saturating(epochs, noise=0.005, seed=seed)
    found = times(phases(epochs, values, start=0.0))
    for name, share in (("t50", 0.5), ("t90", 0.9), ("t95", 0.95)):
        assert found[name] == pytest.approx(slow_time(epochs, values.tolist(), 0.0, share))


def test_phases_of_a_curve_that_surges_falls_and_stays():
    curve = np.interp(EPOCHS, [0, 4, 12, 30], [0.0, 0.4, 0.36, 0.36])
    surge, refinement, stabilisation, *_ = phases(EPOCHS, curve, start=0.0).found
    assert [one.name for one in (surge, refinement, stabilisation)] == ["surge", "refinement", "stabilisation"]
    assert surge.last_epoch == refinement.first_epoch
    assert (refinement.last_epoch, stabilisation.first_epoch, stabilisation.last_epoch) == (12, 12, 30)
    assert refinement.gain == pytest.approx(0.36 - max(np.median(curve[k : k + 3]) for k in range(29)))


def test_time_does_not_depend_on_which_checkpoints_are_kept():
    curve = saturating(EPOCHS, noise=0.004)
    kept = [EPOCHS, EPOCHS[1:], EPOCHS[::2], EPOCHS[1::2], EPOCHS[::3]]
    found = [times(phases(which, curve[which], start=0.0))["t90"] for which in kept]
    assert np.ptp(found) < 0.8, found


def test_interval_of_the_end_of_the_refinement_begins_no_earlier_than_that_of_the_surge():
    surge, refinement, *_ = phases(EPOCHS, saturating(EPOCHS, noise=0.005, seed=4), start=0.0).found
    assert surge.low <= refinement.low


def test_points_without_a_value_are_left_out():
    curve = saturating(EPOCHS)
    with_gap = np.where(EPOCHS == 7, np.nan, curve)
    kept = EPOCHS != 7
    assert phases(EPOCHS, with_gap, start=0.0) == phases(EPOCHS[kept], curve[kept], start=0.0)


@pytest.mark.parametrize(
    ("curve", "options", "reason"),
    [
        (saturating(np.arange(4)), {}, "4 epochs have a value; at least 5 are needed"),
        (saturating(np.arange(1)), {}, "1 epoch has a value; at least 5 are needed"),
        (np.array([0.0, 0.58, 0.58, 0.57, 0.57]), {"start": 0.0}, "with 4 epochs after the rise, its noise is unknown"),
        (np.full(31, 0.25), {}, "the curve does not rise above its start"),
        (saturating(EPOCHS), {"start": 0.0, "least_gain": 0.6}, "which is within chance (up to 0.6)"),
        (0.02 * EPOCHS, {}, "the curve still rises at its end, so its plateau is not known"),
        (-saturating(EPOCHS), {}, "does not rise"),
    ],
)
def test_reason_if_there_are_no_phases(curve, options, reason):
    found = phases(np.arange(len(curve)), curve, **options)
    assert found.found == ()
    assert reason in found.reason


@pytest.mark.parametrize(("memory", "most"), [(0.0, 0.01), (0.7, 0.05)])
@pytest.mark.parametrize("epochs", [16, 31, 100])
def test_noise_has_phases_in_few_of_1000_curves(memory, most, epochs):
    rng = np.random.default_rng(1)
    claimed = 0
    for _ in range(1000):
        curve = rng.standard_normal(epochs)
        for k in range(1, epochs):
            curve[k] = memory * curve[k - 1] + np.sqrt(1 - memory**2) * curve[k]
        claimed += bool(phases(np.arange(epochs), curve).found)
    assert claimed / 1000 <= most


@pytest.mark.slow
def test_interval_holds_the_time_of_the_curve_without_noise():
    """The classes of each trial have effects of their own, and each epoch has noise."""
    truth = times(phases(EPOCHS, saturating(EPOCHS), start=0.0))["t90"]
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        effect = 0.6 * rng.standard_normal(40)[None, :] * saturating(EPOCHS)[:, None] ** 2
        curve = saturating(EPOCHS, noise=0.003, seed=seed) + effect.mean(axis=1)
        without = curve[:, None] - (effect - effect.mean(axis=1, keepdims=True)) / 39
        (t90,) = (one for one in phases(EPOCHS, curve, start=0.0, without=without).found if one.name == "t90")
        assert t90.low <= t90.last_epoch <= t90.high
        held += t90.low <= truth <= t90.high
    assert held >= 0.85 * 60
