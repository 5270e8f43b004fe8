"""The variance partition by several references, against least squares."""

import numpy as np
import pytest
from helpers.errors import raises
from scipy import stats

from dsi_cli.metrics.variance_partition import partial_p_value, variance_partition


def matrices(number, classes=14, seed=0):
    """Return symmetric matrices that share a part."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(classes, classes))
    found = [common + rng.normal(size=common.shape) for _ in range(number)]
    return [csm + csm.T for csm in found]


def r_squared(network, references):
    off = ~np.eye(len(network), dtype=bool)
    y = network[off] - network[off].mean()
    x = np.array([np.ones(len(y)), *(csm[off] for csm in references)]).T
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return 1 - residual @ residual / (y @ y)


def without(network, references, index):
    kept = np.ix_(*2 * [np.delete(np.arange(len(network)), index)])
    return network[kept], [csm[kept] for csm in references]


def test_parts_of_two_references_equal_least_squares():
    network, a, b = matrices(3)
    found = variance_partition(network, [a, b], permutations=9)
    of_a, of_b, of_both = (r_squared(network, x) for x in ([a], [b], [a, b]))
    expected = [of_both - of_b, of_both - of_a, of_a + of_b - of_both, of_both]
    assert [share.value for share in found] == pytest.approx(expected)
    assert [share.references for share in found] == [(0,), (1,), (0, 1), (0, 1)]
    assert [share.p_value is None for share in found] == [False, False, True, True]


def test_parts_of_three_references_add_up_to_the_total():
    network, *references = matrices(4)
    *parts, total = variance_partition(network, references, permutations=9)
    assert len(parts) == 7
    assert sum(share.value for share in parts) == pytest.approx(total.value)
    assert total.value == pytest.approx(r_squared(network, references))
    only_first = total.value - r_squared(network, references[1:])
    assert parts[0].value == pytest.approx(only_first)
    # What the first has by itself, with or without others, is its own R^2.
    of_first = sum(share.value for share in parts if 0 in share.references)
    assert of_first == pytest.approx(r_squared(network, references[:1]))


def test_interval_is_the_jackknife_less_half_of_single_pairs():
    network, a, b = matrices(3)
    share = variance_partition(network, [a, b], permutations=9)[0]
    values = []
    for index in range(14):
        part, (x, y) = without(network, [a, b], index)
        values.append(r_squared(part, [x, y]) - r_squared(part, [y]))
    values = np.array(values)
    jackknife = 13 / 14 * ((values - values.mean()) ** 2).sum()
    half = (share.high - share.low) / 2
    variance = (half / stats.t.ppf(0.975, 13)) ** 2
    assert jackknife / 2 * (1 - 1e-9) <= variance <= jackknife
    assert (share.high + share.low) / 2 == pytest.approx(share.value)


def test_p_value_equals_slow_double_semi_partialing():
    network, a, b = matrices(3, classes=9, seed=3)
    rng = np.random.default_rng(5)
    off = ~np.eye(9, dtype=bool)
    design = np.array([np.ones(off.sum()), b[off]]).T
    residual = np.zeros((9, 9))
    residual[off] = a[off] - design @ np.linalg.lstsq(design, a[off], rcond=None)[0]

    def t(matrix):
        x = np.column_stack([matrix[off], design])
        y = network[off]
        beta = np.linalg.lstsq(x, y, rcond=None)[0]
        left = y - x @ beta
        scale = left @ left / (len(y) - 3)
        return abs(beta[0]) / np.sqrt(scale * np.linalg.inv(x.T @ x)[0, 0])

    observed, reached = t(residual), 1
    for _ in range(199):
        order = rng.permutation(9)
        reached += t(residual[np.ix_(order, order)]) >= observed * (1 - 1e-9)
    assert partial_p_value(network, [a, b], 0, 199, 5) == reached / 200


def test_p_values_of_a_reference_without_a_part_are_uniform():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        looks, rest = (np.corrcoef(rng.normal(size=(12, 20))) for _ in range(2))
        network = looks + 0.5 * np.corrcoef(rng.normal(size=(12, 20)))
        found.append(partial_p_value(network, [looks, rest + looks], 1, 99, 1))
    assert np.mean(np.array(found) <= 0.05) < 0.1
    assert 0.4 < np.mean(found) < 0.6


def test_partition_of_wrong_references_raises():
    network, a = matrices(2)
    with raises("wrong-references", count=1):
        variance_partition(network, [a])
    with raises("references-alike"):
        variance_partition(network, [a, 2 * a + 1])
    with raises("references-alike"):
        variance_partition(network, [a, np.ones((14, 14))])
