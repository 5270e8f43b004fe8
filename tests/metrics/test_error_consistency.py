"""Error consistency against the formulas of Cohen's kappa."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from dsi_cli.metrics.error_consistency import error_consistency


def right(share, number=400, seed=0):
    return np.random.default_rng(seed).random(number) < share


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.8, 0.6), (0.95, 0.1)])
def test_error_consistency_is_cohens_kappa(shares):
    first, second = (right(share, seed=at) for at, share in enumerate(shares))
    second[:100] = first[:100]
    found = error_consistency(first, second)
    assert found.value == pytest.approx(cohen_kappa_score(first, second))
    assert (found.first, found.second) == (first.mean(), second.mean())


def test_error_of_kappa_is_that_of_a_jackknife_over_samples():
    first, second = right(0.7), right(0.6, seed=1)
    second[:200] = first[:200]
    found = error_consistency(first, second)
    without = np.array(
        [
            cohen_kappa_score(np.delete(first, at), np.delete(second, at))
            for at in range(len(first))
        ]
    )
    number = len(first)
    error = np.sqrt((number - 1) / number * ((without - without.mean()) ** 2).sum())
    assert found.error == pytest.approx(error, rel=0.01)
    assert found.low < found.value < found.high


def test_error_consistency_is_symmetric():
    first, second = right(0.7), right(0.6, seed=1)
    one, other = error_consistency(first, second), error_consistency(second, first)
    assert one.value == pytest.approx(other.value)
    assert one.error == pytest.approx(other.error)


def test_error_consistency_of_networks_without_mistakes_has_the_reason():
    always = np.ones(5, dtype=bool)
    assert error_consistency(always, always).reason is not None
    assert error_consistency(always[:1], always[:1]).reason == "fewer than two samples"
