"""The matrices of a page: as many as fit, at the epochs between which most
changes.
"""

import numpy as np
import pytest

from dsi_cli.report import matrices
from dsi_cli.report.matrices import (
    MANY_CLASSES,
    MAX_EPOCHS,
    BudgetNeed,
    shares,
)
from dsi_cli.report.matrix_codec import LEVELS


def need(epochs, classes, each, fixed=0.0):
    """Return a run whose packed matrix takes ``each`` bytes at the coarsest levels, and
    more at finer levels.
    """
    return BudgetNeed(
        epochs,
        classes,
        {levels: each * (1 + 0.5 * k) for k, levels in enumerate(reversed(LEVELS))},
        fixed,
    )


def used_bytes(run, share):
    return run.fixed + share.epochs * run.cost[share.levels]


def test_shares_of_small_runs_are_complete_and_fine_and_of_many_classes_have_20_epochs():
    assert shares([need(31, 100, 10_000), need(16, 10, 300)]) == [
        (31, LEVELS[0]),
        (16, LEVELS[0]),
    ]
    (share,) = shares([need(100, MANY_CLASSES + 1, 1_000)])
    assert share == (MAX_EPOCHS, LEVELS[0])


def test_shares_with_little_space_are_coarser_before_they_have_fewer_epochs():
    run = need(100, 200, 100_000)
    assert (shares([run], 16_000_000), shares([run], 11_000_000)) == (
        [(100, LEVELS[1])],
        [(100, LEVELS[2])],
    )
    assert shares([run], 5_000_000) == [(50, LEVELS[2])]


def test_shares_of_a_small_run_leave_bytes_to_a_large_run():
    large, small = need(100, 200, 100_000), need(10, 10, 100)
    assert (
        shares([large, small], 10_100_000)[0].epochs,
        shares([large, large], 10_100_000)[0].epochs,
    ) == (100, 50)


@pytest.mark.parametrize("seed", range(20))
def test_shares_never_exceed_the_maximum(seed):
    rng = np.random.default_rng(seed)
    needs = [
        need(
            int(rng.integers(1, 500)),
            int(rng.integers(2, 3000)),
            float(rng.integers(100, 2_000_000)),
        )
        for _ in range(rng.integers(1, 8))
    ]
    result = shares(needs)
    assert (
        sum(used_bytes(run, share) for run, share in zip(needs, result, strict=True))
        <= matrices.MAX_BYTES
    )
    assert all(
        0 <= share.epochs <= run.epochs
        for run, share in zip(needs, result, strict=True)
    )
