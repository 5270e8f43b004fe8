"""Phases by definition: on curves whose phases are known, on noise, and with their
intervals.
"""

import numpy as np
import pytest

from dsi_cli.metrics.phases import NO_DECLINE, phases, t90_difference

EPOCHS = np.arange(31)


def times(found):
    return {one.name: one.last_epoch for one in found.found}


def slow_time(epochs, values, start, share):
    """Return when a curve first has gone a share of the way to its largest running
    median of three, by a loop.
    """
    plateau = max(sorted(values[k : k + 3])[1] for k in range(len(values) - 2))
    level = start + share * (plateau - start)
    for k, value in enumerate(values):
        if value >= level:
            if k == 0:
                return epochs[0]
            before = values[k - 1]
            return epochs[k - 1] + (level - before) / (value - before) * (
                epochs[k] - epochs[k - 1]
            )
    raise AssertionError("the plateau is reached somewhere")


def saturating(epochs, rate=0.5, noise=0.0, seed=0):
    return 0.5 * (1 - np.exp(-rate * epochs)) + noise * np.random.default_rng(
        seed
    ).standard_normal(len(epochs))


@pytest.mark.parametrize("seed", range(5))
def test_times_are_those_of_a_slow_loop(seed):
    epochs = np.sort(np.random.default_rng(seed).choice(60, 25, replace=False)).astype(
        float
    )
    values = saturating(epochs, noise=0.005, seed=seed)
    found = times(phases(epochs, values, start=0.0))
    for name, share in (("t50", 0.5), ("t90", 0.9), ("t95", 0.95)):
        expected = slow_time(epochs, values.tolist(), 0.0, share)
        if epochs[0] < expected < epochs[1]:
            expected = epochs[1]  # no time before the second checkpoint is known
        assert found[name] == pytest.approx(expected)


def test_phases_of_a_curve_that_surges_falls_and_stays():
    curve = np.interp(EPOCHS, [0, 4, 12, 30], [0.0, 0.4, 0.36, 0.36])
    surge, refinement, stabilisation, *_ = phases(EPOCHS, curve, start=0.0).found
    assert [one.name for one in (surge, refinement, stabilisation)] == [
        "surge",
        "refinement",
        "stabilisation",
    ]
    assert surge.last_epoch == refinement.first_epoch
    assert refinement.last_epoch == pytest.approx(12, abs=1), (
        "within its noise, which is not zero at the corners"
    )
    assert (stabilisation.first_epoch, stabilisation.last_epoch) == (
        refinement.last_epoch,
        30,
    )
    line = np.polynomial.Polynomial.fit(EPOCHS[5:], curve[5:], 1)
    assert refinement.gain == pytest.approx(line(30) - line(5)), (
        "the change of a line after the epoch that reaches t95"
    )
    assert refinement.gain_high < 0


def test_time_does_not_depend_on_which_checkpoints_are_kept():
    curve = saturating(EPOCHS, noise=0.004)
    kept = [EPOCHS, EPOCHS[1:], EPOCHS[::2], EPOCHS[1::2], EPOCHS[::3]]
    found = [times(phases(which, curve[which], start=0.0))["t90"] for which in kept]
    assert np.ptp(found) < 0.8, found


@pytest.mark.parametrize("seed", range(8))
def test_limits_of_phases_and_times_are_in_order(seed):
    curve = (
        saturating(EPOCHS, noise=0.01, seed=seed)
        - 0.2 * np.clip(EPOCHS - 8, 0, 12) / 12
    )
    found = {one.name: one for one in phases(EPOCHS, curve, start=0.0).found}
    for earlier, later in (("t50", "t90"), ("t90", "t95"), ("surge", "refinement")):
        one, other = found[earlier], found[later]
        assert one.low <= other.low
        assert one.last_epoch <= other.last_epoch
        assert one.high <= other.high
    for one in found.values():
        assert 0 <= one.low <= one.last_epoch <= one.high <= 30


def ar(rng, memory, epochs):
    noise = rng.standard_normal(epochs)
    for k in range(1, epochs):
        noise[k] = memory * noise[k - 1] + np.sqrt(1 - memory**2) * noise[k]
    return noise


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("with_classes", [False, True])
def test_refinement_of_curves_without_decline_is_found_in_few(memory, with_classes):
    rng, refined = np.random.default_rng(3), 0
    for _ in range(100):
        values = saturating(EPOCHS)[:, None] * (1 + 0.3 * rng.standard_normal(20))
        values += 0.03 * np.stack([ar(rng, memory, 31) for _ in range(20)], axis=1)
        curve = values.mean(axis=1)
        without = (
            curve[:, None] - (values - curve[:, None]) / 19 if with_classes else None
        )
        found = phases(EPOCHS, curve, start=0.0, without=without, draws=2).found
        names = [one.name for one in found[:3]]
        refined += "refinement" in names
        if "refinement" not in names:
            assert names == ["surge", "stabilisation", "t50"]
            assert found[1].reason == NO_DECLINE
            assert found[1].gain_high >= 0
    assert refined <= 5


@pytest.mark.parametrize("epochs", [16, 31])
def test_refinement_of_curves_with_a_decline_is_found_in_most(epochs):
    time, refined = np.arange(epochs), 0
    for seed in range(50):
        curve = (
            saturating(time, rate=1.0, noise=0.002, seed=seed)
            - 0.1 * np.clip(time - 3, 0, None) / epochs
        )
        refined += any(
            one.name == "refinement"
            for one in phases(time, curve, start=0.0, draws=2).found
        )
    assert refined >= 45


def test_stabilisation_with_few_epochs_after_t95_has_the_reason():
    _, stabilisation, *_ = phases(
        EPOCHS[:11], saturating(EPOCHS[:11], rate=0.35), start=0.0
    ).found
    assert (
        stabilisation.reason
        == "a decline cannot be tested with fewer than 5 epochs after t95"
    )
    assert stabilisation.gain is None


@pytest.mark.parametrize(
    ("epochs", "by"), [(EPOCHS, 1.0), (EPOCHS[1:], 1.0), (EPOCHS[::3], 3.0)]
)
def test_time_before_the_second_checkpoint_is_that_checkpoint(epochs, by):
    curve = saturating(epochs, rate=4.0)
    found = {one.name: one for one in phases(epochs, curve, start=0.0).found}
    assert found["t90"].is_censored
    assert found["surge"].is_censored
    assert (found["t90"].last_epoch, found["t90"].low) == (by, epochs[0])
    assert found["t90"].high >= by
    assert not found["stabilisation"].is_censored


def test_limits_hardly_depend_on_the_seed():
    curve = saturating(EPOCHS, noise=0.005, seed=1)
    limits = []
    for seed in range(5):
        t90 = next(
            one
            for one in phases(EPOCHS, curve, start=0.0, seed=seed).found
            if one.name == "t90"
        )
        limits.append((t90.low, t90.high))
    assert np.ptp(limits, axis=0).max() < 0.1 * (limits[0][1] - limits[0][0])


def test_t90_difference_of_paired_runs_is_more_precise_than_the_intervals():
    """Both runs have the same classes, whose spread delays or hastens both."""
    effects = (
        2.0
        * np.random.default_rng(0).standard_normal(30)
        * saturating(EPOCHS)[:, None] ** 2
    )

    def run(rate, index):
        curve = saturating(EPOCHS, rate=rate)
        without = curve[:, None] - (effects - effects.mean(axis=1, keepdims=True)) / 29
        return phases(EPOCHS, curve, start=0.0, without=without, run=index)

    first, second = run(0.5, 0), run(0.46, 1)
    before, after = (
        next(one for one in found.found if one.name == "t90")
        for found in (first, second)
    )
    assert before.high > after.low, "the intervals overlap"
    low, high = t90_difference(first, second)
    assert 0 < low < after.last_epoch - before.last_epoch < high
    assert t90_difference(first, phases(EPOCHS, np.zeros(31))) is None


def test_points_without_a_value_are_left_out():
    curve = saturating(EPOCHS)
    with_gap = np.where(EPOCHS == 7, np.nan, curve)
    kept = EPOCHS != 7
    assert phases(EPOCHS, with_gap, start=0.0) == phases(
        EPOCHS[kept], curve[kept], start=0.0
    )


@pytest.mark.parametrize(
    ("curve", "options", "reason"),
    [
        (saturating(np.arange(7)), {}, "7 epochs have a value; at least 8 are needed"),
        (saturating(np.arange(1)), {}, "1 epoch has a value; at least 8 are needed"),
        (
            np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.58, 0.58, 0.57, 0.57]),
            {"start": 0.0},
            "with 4 epochs after the rise, its noise is unknown",
        ),
        (np.full(31, 0.25), {}, "the curve does not rise above its start"),
        (
            saturating(EPOCHS),
            {"start": 0.0, "least_gain": 0.6},
            "which is within chance (up to 0.6)",
        ),
        (
            0.02 * EPOCHS,
            {},
            "the curve still rises at its end, so its plateau is not known",
        ),
        (-saturating(EPOCHS), {}, "does not rise"),
    ],
)
def test_reason_if_there_are_no_phases(curve, options, reason):
    found = phases(np.arange(len(curve)), curve, **options)
    assert found.found == ()
    assert reason in found.reason


@pytest.mark.parametrize(
    ("memory", "most"), [(0.0, 0.01), (0.7, 0.02), (0.97, 0.05), (1.0, 0.05)]
)
@pytest.mark.parametrize("epochs", [16, 31, 100])
def test_noise_has_phases_in_few_of_1000_curves(memory, most, epochs):
    rng = np.random.default_rng(1)
    claimed = 0
    for _ in range(1000):
        curve = rng.standard_normal(epochs)
        for k in range(1, epochs):
            curve[k] = (
                memory * curve[k - 1] + (np.sqrt(1 - memory**2) or 1.0) * curve[k]
            )
        claimed += bool(phases(np.arange(epochs), curve, draws=2).found)
    assert claimed / 1000 <= most


@pytest.mark.slow
def test_interval_holds_the_time_of_the_curve_without_noise():
    """The classes of each trial have effects of their own, and each epoch has noise."""
    truth = times(phases(EPOCHS, saturating(EPOCHS), start=0.0))["t90"]
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        effect = (
            0.6 * rng.standard_normal(40)[None, :] * saturating(EPOCHS)[:, None] ** 2
        )
        curve = saturating(EPOCHS, noise=0.003, seed=seed) + effect.mean(axis=1)
        without = curve[:, None] - (effect - effect.mean(axis=1, keepdims=True)) / 39
        (t90,) = (
            one
            for one in phases(EPOCHS, curve, start=0.0, without=without).found
            if one.name == "t90"
        )
        assert t90.low <= t90.last_epoch <= t90.high
        held += t90.low <= truth <= t90.high
    assert held >= 0.85 * 60
