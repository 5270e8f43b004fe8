"""What a page keeps whole: as much as there is room for, of the epochs between which most changes."""

from __future__ import annotations

import numpy as np
import pytest

from dsi_cli.report import size_budget
from dsi_cli.report.matrix_codec import LEVELS
from dsi_cli.report.size_budget import MANY_CLASSES, MOST_WHOLE, BudgetNeed, shares


def need(epochs, classes, each, between=0.0, fixed=0.0):
    """A run whose packed matrix of an epoch takes so many bytes at the coarsest levels, and more at finer ones."""
    return BudgetNeed(
        epochs, classes, {levels: each * (1 + 0.5 * k) for k, levels in enumerate(reversed(LEVELS))}, between, fixed
    )


def spent(one, share):
    return one.fixed + share.whole * one.cost[share.levels] + (one.epochs - share.whole) * one.between


def test_small_runs_are_whole_and_fine():
    assert shares([need(31, 100, 10_000), need(16, 10, 300)]) == [(31, LEVELS[0]), (16, LEVELS[0])]


def test_many_classes_keep_at_most_so_many_epochs():
    (share,) = shares([need(100, MANY_CLASSES + 1, 1_000)])
    assert share == (MOST_WHOLE, LEVELS[0])


def test_coarser_values_before_fewer_epochs():
    one = need(100, 200, 100_000)
    assert shares([one], 16_000_000) == [(100, LEVELS[1])]
    assert shares([one], 11_000_000) == [(100, LEVELS[2])]
    assert shares([one], 5_000_000) == [(50, LEVELS[2])]


def test_a_small_run_leaves_its_room_to_a_large_one():
    large, small = need(100, 200, 100_000), need(10, 10, 100)
    assert shares([large, small], 10_100_000)[0].whole == 100
    assert shares([large, large], 10_100_000)[0].whole == 50


@pytest.mark.parametrize("seed", range(20))
def test_the_room_is_never_exceeded(seed):
    rng = np.random.default_rng(seed)
    needs = [
        need(
            int(rng.integers(1, 500)), int(rng.integers(2, 3000)), float(rng.integers(100, 2_000_000)), rng.integers(0, 90)
        )
        for _ in range(rng.integers(1, 8))
    ]
    found = shares(needs)
    assert sum(spent(one, share) for one, share in zip(needs, found, strict=True)) <= size_budget.BYTES
    assert all(0 <= share.whole <= one.epochs for one, share in zip(needs, found, strict=True))
