"""Reliability of a CCSM against a loop over samples, and the cases that have a known
answer.
"""

import numpy as np
import pytest
from helpers import oracles_testset
from helpers.errors import raises
from numpy.testing import assert_allclose

from dsi_cli.metrics.split_half import reliability


def mistaken(classes: int, samples: int, seed: int, *, noise: float = 0.0):
    """Return counts whose mistakes follow a structure, a share of them none at all;
    half of the samples are right.
    """
    rng = np.random.default_rng([classes, samples, seed])
    structure = rng.random((classes, classes)) ** 4
    np.fill_diagonal(structure, 0)
    even = (1 - np.eye(classes)) / (classes - 1)
    wrong = (1 - noise) * structure / structure.sum(
        axis=1, keepdims=True
    ) + noise * even
    return np.stack(
        [rng.multinomial(samples, row) for row in 0.5 * (wrong + np.eye(classes))]
    )


def one_answer(doubt: tuple[int, int] = (1, 2)):
    """Return counts of 5 classes that every deal halves alike, up to which half is
    which: one class alone is in doubt.
    """
    counts = 2 * np.roll(np.eye(5, dtype=int), 1, axis=1)
    counts[0] = 0
    counts[0, doubt] = 1
    return counts


def slow(counts, halvings: int, seed: int = 99):
    """Return the oracle's value, and the standard error of such a value of as many
    halvings.
    """
    halves = oracles_testset.sampled_halves(
        counts, np.random.default_rng(seed), halvings
    )
    value = oracles_testset.split_half_reliability(counts, halves)
    parts = [halves[at::10] for at in range(10)]
    spread = np.std(
        [oracles_testset.split_half_reliability(counts, part) for part in parts], ddof=1
    )
    return value, spread / np.sqrt(10)


@pytest.mark.parametrize("doubt", [(1, 2), (3, 4), (0, 2), (2, 5), (2, 6)])
@pytest.mark.parametrize("alone", [0, 1])
def test_reliability_equals_the_oracle_if_all_halvings_agree(doubt, alone):
    """Classes without samples, or with one, have no halves: they are left out, rows
    being normalised before.
    """
    counts = np.zeros((7, 7), dtype=int)
    counts[:5, :5] = one_answer()
    counts[0] = 0
    counts[0, doubt] = 1
    counts[5, 1] = alone
    found = reliability(counts, halvings=3)
    halves = oracles_testset.sampled_halves(counts, np.random.default_rng(0), 4)
    assert_allclose(
        found.value,
        oracles_testset.split_half_reliability(counts, halves),
        rtol=0,
        atol=1e-12,
    )
    assert (found.classes_used, found.reason) == (5, None)


@pytest.mark.parametrize(
    ("classes", "samples", "noise"), [(6, 30, 0.3), (10, 9, 0.0), (12, 51, 0.9)]
)
@pytest.mark.parametrize("empty", [False, True])
def test_reliability_equals_the_oracle_of_other_halvings_within_sampling_error(
    classes, samples, noise, empty
):
    counts = mistaken(classes, samples, seed=1, noise=noise)
    if empty:
        counts[1], counts[4] = 0, 0
        counts[4, 2] = 1
    expected, error = slow(counts, halvings=200)
    found = reliability(counts, halvings=1000)
    assert abs(found.value - expected) < 4 * error * np.sqrt(1.2), (
        found.value,
        expected,
        error,
    )
    assert found.classes_used == classes - 2 * empty


def test_reliability_is_one_of_equal_halves_and_about_0_of_noise():
    counts = 6 * np.roll(np.eye(4, dtype=int), 1, axis=1)
    assert_allclose(reliability(counts).value, 1.0, rtol=0, atol=1e-12)
    found = [
        reliability(mistaken(30, 100, seed=seed, noise=1.0)).value for seed in range(30)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(30)
    assert np.std(found) < 0.12
    assert max(found) < 0.35


def test_permuting_the_classes_changes_nothing():
    counts, order = one_answer(), np.array([3, 0, 4, 2, 1])
    assert_allclose(
        reliability(counts[np.ix_(order, order)]).value,
        reliability(counts).value,
        rtol=0,
        atol=1e-12,
    )
    counts, order = mistaken(14, 40, seed=6), np.random.default_rng(6).permutation(14)
    many = [
        reliability(one, halvings=600).value
        for one in (counts, counts[np.ix_(order, order)])
    ]
    assert_allclose(many[0], many[1], rtol=0, atol=4 * slow(counts, halvings=100)[1])


def test_the_classes_and_samples_that_take_part_are_counted():
    """As everywhere, a sample whose truth or prediction is left out does not count."""
    counts = mistaken(6, 20, seed=8)
    counts[5] = 0
    counts[5, 0] = 1
    counts[0, 5] = 3
    found = reliability(counts)
    assert (found.classes_used, found.samples_used) == (5, int(counts[:5, :5].sum()))


@pytest.mark.parametrize(
    ("counts", "classes", "samples", "reason"),
    [
        (
            np.zeros((5, 5), dtype=int),
            0,
            0,
            "0 classes with two samples or more: halves need three",
        ),
        (
            np.eye(4, dtype=int),
            0,
            0,
            "0 classes with two samples or more: halves need three",
        ),
        (
            np.diag([2, 3, 1]),
            2,
            5,
            "2 classes with two samples or more: halves need three",
        ),
        (np.diag([4, 4, 4]), 3, 12, "no mistake"),
        (
            np.array([[4, 1, 0], [0, 4, 0], [0, 0, 4]]),
            3,
            13,
            "too few mistakes: in every halving one half has none",
        ),
        (
            np.ones((3, 3), dtype=int) - np.eye(3, dtype=int),
            3,
            6,
            "the halves contradict each other",
        ),
    ],
)
def test_reliability_that_does_not_exist_has_the_reason(
    counts, classes, samples, reason
):
    found = reliability(counts)
    assert (found.value, found.classes_used, found.samples_used, found.reason) == (
        None,
        classes,
        samples,
        reason,
    )


@pytest.mark.parametrize(
    ("shape", "halvings", "code", "fields"),
    [
        ((2, 3), 5, "not-square", {"shape": (2, 3)}),
        ((4,), 5, "not-square", {"shape": (4,)}),
        ((3, 3), 0, "too-few-halvings", {"halvings": 0}),
    ],
)
def test_reliability_of_counts_that_are_not_square_or_no_halving_raises(
    shape, halvings, code, fields
):
    with raises(code, **fields):
        reliability(np.ones(shape, dtype=int), halvings)
