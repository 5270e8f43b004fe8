"""Phases of a curve: against brute force over bends, on known shapes, on noise, and what changes nothing."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import dblquad, quad
from scipy.special import gammaln
from scipy.stats import cauchy

from dsi_cli.errors import UsageError
from dsi_cli.metrics import changes
from dsi_cli.metrics.phases import LEAST_EPOCHS, LOG_ODDS, phases

SHAPE = ([0, 3.4, 12, 30], [0.0, 0.3, 0.4, 0.4])


def curve(seed=0, n=31, noise=0.003, shape=SHAPE):
    epochs = np.arange(n)
    return epochs, np.interp(epochs, *shape) + noise * np.random.default_rng(seed).standard_normal(n)


def names(found):
    return [phase.name for phase in found.found]


def ends(found):
    return [phase.last_epoch for phase in found.found]


def slow_evidence(time, values, bends, memory):
    """Return the evidence by the whole covariance matrix: no whitening, no elimination; values of range 1."""
    n, time = len(time), (time - time[0]) / (time[-1] - time[0])
    gaps = np.abs(time[:, None] - time[None, :]) / np.median(np.diff(time))
    covariance = memory**gaps / (1 - memory**2)
    precision = np.linalg.inv(covariance)
    design = np.column_stack([np.ones(n), time, *[np.maximum(time - bend, 0) for bend in bends]])
    within = design.T @ precision @ design
    found = np.linalg.solve(within, design.T @ precision @ values)
    left = (values - design @ found) @ precision @ (values - design @ found)
    scale = -np.linalg.slogdet(covariance)[1] / 2 - np.log(precision.sum()) / 2
    information = np.linalg.slogdet(within)[1] - np.linalg.slogdet(within[:2, :2])[1]
    m = n - 2 - len(bends)
    width = len(bends) / 2 * np.log(2 * np.pi) - information / 2
    return scale + gammaln(m / 2) - m / 2 * np.log(left / 2) + width + cauchy.logpdf(found[2:]).sum()


@pytest.mark.parametrize("epochs", [np.arange(12), np.array([0, 1, 2, 3, 5, 6, 9, 10, 12, 20, 21, 25])])
def test_the_evidence_of_every_set_of_bends_is_that_of_brute_force(epochs):
    time = epochs.astype(float)
    values = np.interp(time, [0, 2.5, 8, 30], [0, 0.3, 0.4, 0.4]) + 0.02 * np.random.default_rng(3).standard_normal(12)
    scaled = (time - time[0]) / (time[-1] - time[0])
    positions = changes._places(len(time))
    values /= np.ptp(values)
    _, sets, weights = changes._weighed(scaled, values, positions)
    seen, expected = [], []
    for table, of_number in zip(weights, sets, strict=True):
        for memory, row in zip(changes.MEMORIES[:-1], table[:-1], strict=True):
            for which, weight in zip(of_number, row, strict=True):
                bends = scaled[positions[which].astype(int)]
                seen.append(weight)
                expected.append(slow_evidence(time, values, bends, memory) - np.log(len(of_number)))
    likely = np.array(seen) > 1e-12
    assert likely.sum() > 100
    logs, expected = np.log(np.array(seen)[likely]), np.array(expected)[likely]
    assert_allclose(logs - logs.max(), expected - expected.max(), atol=1e-6)


def test_the_evidence_of_a_bend_is_the_integral_over_its_change_and_the_noise():
    n, time = 25, np.linspace(0, 1, 25)
    values = np.interp(time, [0, 0.25, 1], [0, 0.8, 1]) + 0.02 * np.random.default_rng(8).standard_normal(25)
    values /= np.ptp(values)
    line = np.column_stack([np.ones(n), time])
    project = np.eye(n) - line @ np.linalg.pinv(line)
    hinge, rest = project @ np.maximum(time - 0.25, 0), project @ values
    change = hinge @ rest / (hinge @ hinge)

    def density(of_change, of_log):
        left = rest - of_change * hinge
        return np.exp(-(n - 2) * of_log - left @ left / 2 / np.exp(2 * of_log)) * cauchy.pdf(of_change)

    assert change < -1
    total, _ = dblquad(density, -5.5, -2.0, change - 1, change + 1, epsabs=0, epsrel=1e-6)
    without, _ = quad(lambda of_log: density(0.0, of_log) / cauchy.pdf(0.0), -5.5, 1.0, epsabs=0, epsrel=1e-6)
    expected = np.log(total) - np.log(without)
    assert slow_evidence(time, values, [0.25], 0.0) - slow_evidence(time, values, [], 0.0) == pytest.approx(
        expected, abs=0.05
    )


def test_the_sets_are_all_that_are_far_enough_apart():
    places = changes._places(14)
    expected = [
        list(which)
        for number in range(4)
        for which in combinations(range(len(places)), number)
        if all(places[b] - places[a] >= 2 for a, b in pairwise(which))
    ]
    assert sorted(list(which) for sets in changes._sets(places) for which in sets) == sorted(expected)
    assert list(places) == list(range(1, 11)), "three intervals at least after the last bend"


def test_a_random_walk_is_the_limit_of_noise_that_remembers():
    time, values = np.arange(14.0), np.cumsum(np.random.default_rng(1).standard_normal(14))
    columns = np.column_stack([np.ones(14), time, np.maximum(time[:, None] - [3.0, 7.0], 0), values])
    near, limit = (changes._of_memory(columns, np.ones(13), memory) for memory in (1 - 1e-9, 1.0))
    for one, other in zip(near, limit, strict=True):
        assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_drawn_slopes_are_those_of_least_squares():
    epochs, values = curve(noise=0.001)
    drawn = changes.curves(epochs.astype(float), values)
    best = int(drawn.weight.argmax())
    bends = drawn.bends[best][~np.isnan(drawn.bends[best])]
    design = np.column_stack([np.ones(31), epochs, *[np.maximum(epochs - bend, 0) for bend in bends]])
    slopes = np.cumsum(np.linalg.lstsq(design, values, rcond=None)[0][1:])
    assert_allclose(drawn.slopes[best][~np.isnan(drawn.slopes[best])], slopes, atol=3e-3)
    assert drawn.weight.sum() == pytest.approx(1)


def test_three_phases_are_found_where_they_are():
    found = phases(*curve())
    assert names(found) == ["surge", "refinement", "stabilisation"]
    assert ends(found) == pytest.approx([3, 12, 30], abs=1)
    assert_allclose([phase.slope for phase in found.found], [0.088, 0.0116, 0], atol=2e-3)
    for phase in found.found:
        assert phase.low <= phase.last_epoch <= phase.high
        assert 0 <= phase.confidence <= 1
    assert [phase.first_epoch for phase in found.found[1:]] == ends(found)[:-1]
    assert found.reason is None


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (([0, 2, 30], [0, 0.3, 0.3]), ["surge", "stabilisation"]),
        (([0, 2, 30], [0, 0.3, 0.45]), ["surge", "refinement"]),
        (([0, 3, 30], [0, 0.4, 0.2]), ["surge", "refinement"]),
        (([0, 18, 30], [0, 0, 0.4]), ["surge"]),
        (([0, 8, 12, 30], [0, 0, 0.4, 0.4]), ["surge", "stabilisation"]),
        (([0, 3, 30], [0, -0.4, -0.3]), ["drop", "growth"]),
    ],
    ids=["straight to flat", "no end", "falls slowly", "still in the surge", "late", "hardly learns"],
)
def test_other_shapes(shape, expected):
    found = phases(*curve(shape=shape))
    assert names(found) == expected
    assert found.found[-1].last_epoch == 30


@pytest.mark.parametrize(
    "shape",
    [
        ([0, 3, 30], [0.4, 0, 0]),
        ([0, 10, 15, 20, 30], [0, 0.5, 0, 0.5, 0.5]),
        ([0, 20, 25, 30], [0, 0.1, -0.4, 0.2]),
    ],
    ids=["falls and stays", "to and fro", "fast at the end"],
)
def test_a_change_of_pace_alone_is_no_phase(shape):
    found = phases(*curve(shape=shape))
    assert found.found == ()
    assert found.reason == "the curve changes its pace, but has no one steep part beside which all else is slow"
    assert found.log_odds > LOG_ODDS


@pytest.mark.parametrize("scale", [1e-6, -1.0, 1e6])
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_scale_and_level_change_nothing(scale, shift):
    epochs, values = curve()
    plain = phases(epochs, values)
    other = phases(epochs, scale * (values + shift), direction=1 if scale > 0 else -1)
    assert names(other) == names(plain)
    assert ends(other) == ends(plain)
    assert_allclose([p.slope for p in other.found], [scale * p.slope for p in plain.found], rtol=1e-5)
    assert_allclose([p.confidence for p in other.found], [p.confidence for p in plain.found], atol=0.01)
    assert other.log_odds == pytest.approx(plain.log_odds, rel=1e-5)


@pytest.mark.parametrize(("factor", "start"), [(10, 0), (1, 500), (0.5, 3)])
def test_the_unit_and_start_of_time_move_the_ends_with_them(factor, start):
    epochs, values = curve()
    assert ends(phases(epochs * factor + start, values)) == [end * factor + start for end in ends(phases(epochs, values))]


def test_points_without_a_value_are_as_if_they_were_not_there():
    epochs, values = curve()
    holed = values.copy()
    holed[[5, 6, 20]] = np.nan, np.inf, np.nan
    known = np.isfinite(holed)
    assert phases(epochs, holed) == phases(epochs[known], values[known])
    assert ends(phases(epochs, holed)) == pytest.approx([3, 12, 30], abs=2)


def test_the_same_twice():
    assert phases(*curve(4)) == phases(*curve(4))


def test_too_few_epochs():
    epochs, values = curve()
    found = phases(epochs[: LEAST_EPOCHS - 1], values[: LEAST_EPOCHS - 1])
    assert (found.found, found.reason) == ((), "7 epochs have a value; at least 8 are needed")
    assert phases(np.array([]), np.array([])).reason == "0 epochs have a value; at least 8 are needed"
    assert names(phases(epochs[:LEAST_EPOCHS], values[:LEAST_EPOCHS]))[0] == "surge"


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_a_curve_that_does_not_move(value):
    assert phases(np.arange(20), np.full(20, value)).reason == "the curve does not move"


def test_a_straight_line_has_no_phases():
    for noise in (0.0, 0.01):
        found = phases(*curve(shape=([0, 30], [0, 0.4]), noise=noise))
        assert found.found == ()
        assert found.reason.startswith("a steady pace or aimless wandering would look the same (log odds -")


def test_a_surge_within_chance_does_not_count():
    epochs, values = curve()
    assert names(phases(epochs, values, least_rise=0.25))
    found = phases(epochs, values, least_rise=0.5)
    assert (found.found, found.reason) == ((), "its steepest part moves it by less than 0.5, which is within chance")


@pytest.mark.parametrize(("n", "within", "trials", "least"), [(31, 2, 60, 0.85), (100, 5, 25, 0.9)])
def test_ends_are_near_the_truth(n, within, trials, least):
    bends, right = np.array([3.4, 11.7]) * (n - 1) / 30, []
    for seed in range(trials):
        found = phases(*curve(seed, n, 0.004, ([0, *bends, n - 1], [0, 0.3, 0.37, 0.37])))
        right.append(len(found.found) == 3 and bool(np.all(np.abs(np.array(ends(found)[:2]) - bends) <= within)))
    assert np.mean(right) >= least


@pytest.mark.parametrize("n", [10, 31])
@pytest.mark.parametrize("kind", ["noise", "walk"])
def test_little_is_claimed_of_noise_and_random_walks(n, kind):
    generator = np.random.default_rng(5)
    steps = generator.standard_normal((120, n))
    claimed = [bool(phases(np.arange(n), one if kind == "noise" else np.cumsum(one)).found) for one in steps]
    assert np.mean(claimed) <= 0.07


def test_a_higher_threshold_claims_less():
    epochs, values = curve()
    odds = phases(epochs, values).log_odds
    assert names(phases(epochs, values, log_odds=odds - 0.1))
    assert not phases(epochs, values, log_odds=odds + 0.1).found


@pytest.mark.parametrize(
    ("epochs", "values", "message"),
    [
        (np.arange(9), np.arange(10), r"one value an epoch: there are \(9,\) epochs and \(10,\) values"),
        (np.zeros((3, 3)), np.zeros((3, 3)), r"one value an epoch: there are \(3, 3\) epochs"),
        (np.array([0, 1, 1, 2]), np.arange(4), "epochs that increase: sort the points, and keep one of each epoch"),
    ],
)
def test_wrong_input(epochs, values, message):
    with pytest.raises(UsageError, match=message):
        phases(epochs, values)


def test_one_epoch_is_singular():
    assert phases([0], [0.5]).reason == "1 epoch has a value; at least 8 are needed"
