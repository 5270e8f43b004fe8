"""Correlations of several CSMs without classes or clusters, and variances of statistics
of them.
"""

import numpy as np
import pytest
from helpers import oracles
from scipy import stats

from dsi_cli.metrics import jackknife
from dsi_cli.metrics.alignment import MatrixPair
from dsi_cli.metrics.cluster_jackknife import (
    CorrelatedMatrices,
    agreement_columns,
    cosine_excess_without,
    gradient,
    interval,
)
from dsi_cli.metrics.differences import (
    CsmPair,
    alignment_difference,
    max_wsi_difference,
)
from dsi_cli.metrics.prepared_matrix import PreparedMatrix

SINGLE = np.arange(12)
CLUSTERS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 5])


def csms(classes=12, number=3, *, symmetric=True, seed=0):
    """Return random CSMs that share a part."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(classes, classes))
    found = [common + rng.normal(size=common.shape) for _ in range(number)]
    return np.array([x + x.T for x in found] if symmetric else found)


def correlation(x, y, counted):
    return np.corrcoef(x[counted], y[counted])[0, 1]


def first_pair(correlations):
    return correlations[..., 0, 1]


def corrected(correlations):
    return correlations[..., 0, 2] / np.sqrt(correlations[..., 0, 1])


def cluster_sums(effects, clusters):
    """Return the sum of effects over both directions of each pair of clusters."""
    names = np.unique(clusters)
    return np.array(
        [
            2 * effects[np.ix_(clusters == g, clusters == h)].sum()
            for at, g in enumerate(names)
            for h in names[:at]
        ]
    )


def pair_effects(x, y, clusters):
    """Return what each pair of clusters adds to the correlation of two matrices."""
    off = ~np.eye(len(x), dtype=bool)
    u, v = np.zeros_like(x), np.zeros_like(y)
    u[off], v[off] = stats.zscore(x[off]), stats.zscore(y[off])
    effects = u * v - correlation(x, y, off) / 2 * (u**2 + v**2)
    return cluster_sums(effects, clusters) / off.sum()


def variance_of_residuals(sums):
    """Return the variance of a sum over pairs of clusters, less what an effect of each
    cluster explains by least squares.
    """
    pairs = len(sums)
    clusters = round((1 + np.sqrt(1 + 8 * pairs)) / 2)
    design = np.zeros((pairs, clusters + 1))
    at = [(g, h) for g in range(clusters) for h in range(g)]
    for row, (g, h) in enumerate(at):
        design[row, [g, h, -1]] = 1.0
    residual = sums - design @ np.linalg.lstsq(design, sums, rcond=None)[0]
    return (residual @ residual) / (pairs - clusters) * pairs


@pytest.mark.parametrize("clusters", [SINGLE, CLUSTERS])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("only_some", [True, False])
def test_correlations_without_clusters_equal_those_of_the_smaller_matrices(
    clusters, symmetric, only_some
):
    matrices = csms(symmetric=symmetric)
    counted = ~np.eye(12, dtype=bool)
    pairs = None
    if only_some:
        pairs = np.add.outer(np.arange(12), np.arange(12)) % 3 > 0
        counted = counted & pairs
    found = CorrelatedMatrices(matrices, clusters, pairs)
    for i, x in enumerate(matrices):
        for j, y in enumerate(matrices):
            assert found.whole[i, j] == pytest.approx(correlation(x, y, counted))
            for at, cluster in enumerate(np.unique(clusters)):
                kept = clusters != cluster
                part = counted & np.outer(kept, kept)
                expected = correlation(x, y, part)
                assert found.without[at, i, j] == pytest.approx(expected, abs=1e-12)


def test_single_classes_are_the_clusters_by_default():
    matrices = csms()
    by_default = CorrelatedMatrices(matrices).without
    assert np.array_equal(by_default, CorrelatedMatrices(matrices, SINGLE).without)


def test_variance_of_one_correlation_is_that_of_the_interval_of_the_agreement():
    x, y = csms(number=2)
    found = CorrelatedMatrices([x, y])
    pair = MatrixPair(PreparedMatrix(x), PreparedMatrix(y), SINGLE)
    without = jackknife.excess_without(pair.of_values, "pearson")
    value = float(found.whole[0, 1])
    pair_variance = jackknife.pair_variance(pair.of_values, value)
    assert found.pair_variance(first_pair) == pytest.approx(pair_variance, rel=1e-6)
    ends = jackknife.interval(value, without, pair_variance)
    assert found.interval(first_pair) == pytest.approx(ends, rel=1e-6)


@pytest.mark.parametrize("clusters", [SINGLE, CLUSTERS])
def test_pair_variance_equals_a_least_squares_fit_of_the_effects(clusters):
    matrices = csms()
    slopes = gradient(corrected, np.corrcoef(matrices.reshape(3, -1)))
    assert set(slopes) == {(0, 1), (0, 2)}
    found = CorrelatedMatrices(matrices, clusters)
    off = ~np.eye(12, dtype=bool)
    z = np.zeros_like(matrices)
    for at, matrix in enumerate(matrices):
        z[at][off] = stats.zscore(matrix[off])
    r = found.whole
    first = z[0] * z[2] - r[0, 2] / 2 * (z[0] ** 2 + z[2] ** 2)
    second = z[0] * z[1] - r[0, 1] / 2 * (z[0] ** 2 + z[1] ** 2)
    effects = first / np.sqrt(r[0, 1]) - r[0, 2] / 2 / r[0, 1] ** 1.5 * second
    sums = cluster_sums(effects, clusters) / off.sum()
    expected = variance_of_residuals(sums)
    assert found.pair_variance(corrected) == pytest.approx(expected, rel=1e-6)


def test_variance_does_not_depend_on_scale_offset_or_order():
    matrices = csms()
    order = np.random.default_rng(1).permutation(12)
    moved = 3.0 * matrices[:, order][:, :, order] - 2.0
    first = CorrelatedMatrices(matrices, CLUSTERS).variance(corrected)
    second = CorrelatedMatrices(moved, CLUSTERS[order]).variance(corrected)
    assert first == pytest.approx(second, rel=1e-8)


def test_constant_matrix_has_no_variance():
    matrices = csms(number=2)
    matrices[1] = 0.5
    found = CorrelatedMatrices(matrices)
    assert np.isnan(found.whole[0, 1])
    assert found.interval(first_pair) is None


def test_interval_of_a_value_above_one_is_plain():
    low, high = interval(1.1, 0.01, 20)
    assert (low + high) / 2 == pytest.approx(1.1)
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 20) * 0.1)
    assert interval(np.nan, 0.01, 20) is None
    assert interval(0.5, None, 20) is None


def test_alignment_difference_with_clusters_leaves_the_same_cluster_out_for_both():
    matrices = csms(number=4)
    # Effects of classes, so that single pairs have less than half of the variance.
    of_class = np.random.default_rng(5).normal(size=(4, 12))
    matrices += 3 * (of_class[:, :, None] + of_class[:, None])
    matrices[0][7, :] = matrices[0][:, 7] = np.nan
    found = alignment_difference(
        CsmPair(matrices[0], matrices[2]),
        CsmPair(matrices[1], matrices[3], reliability=0.8),
        "pearson",
        CLUSTERS,
    )
    known = np.delete(np.arange(12), 7)

    def difference(kept):
        square, off = np.ix_(kept, kept), ~np.eye(len(kept), dtype=bool)
        a, b, x, y = (matrix[square] for matrix in matrices)
        return correlation(a, x, off) - correlation(b, y, off) / np.sqrt(0.8)

    assert found.value == pytest.approx(difference(known))
    without = np.array(
        [difference(known[CLUSTERS[known] != cluster]) for cluster in range(6)]
    )
    variance = 5 / 6 * ((without - without.mean()) ** 2).sum()
    square = np.ix_(known, known)
    a, b, x, y = (matrix[square] for matrix in matrices)
    sums = pair_effects(a, x, CLUSTERS[known])
    sums -= pair_effects(b, y, CLUSTERS[known]) / np.sqrt(0.8)
    expected = variance - variance_of_residuals(sums)
    assert variance / 2 < expected < variance
    assert found.error == pytest.approx(np.sqrt(expected))
    assert (found.freedom, found.covers) == (5, "clusters")


def test_max_wsi_difference_with_clusters_leaves_the_same_cluster_out_for_both():
    matrices = csms(classes=12, number=2)
    found = max_wsi_difference(*matrices, clusters=CLUSTERS)
    without = []
    for cluster in range(6):
        square = np.ix_(cluster != CLUSTERS, cluster != CLUSTERS)
        values = [oracles.wsi(matrix[square], "max") for matrix in matrices]
        without.append(values[0] - values[1])
    without = np.array(without)
    error = np.sqrt(5 / 6 * ((without - without.mean()) ** 2).sum())
    assert found.error == pytest.approx(error)


def test_cosine_excess_without_clusters_equals_that_of_the_smaller_matrices():
    first, second, _ = csms()
    found = cosine_excess_without(first, second, CLUSTERS)
    for index, cluster in enumerate(np.unique(CLUSTERS)):
        kept = np.ix_(cluster != CLUSTERS, cluster != CLUSTERS)
        expected = oracles._excess_of(first[kept], second[kept], "cosine")
        assert found[index] == pytest.approx(expected)


@pytest.mark.parametrize("only_some", [True, False])
def test_chance_level_of_agreement_columns_equals_relabellings(only_some):
    first, second, _ = csms(classes=24)
    pairs = None
    counted = ~np.eye(24, dtype=bool)
    if only_some:
        groups = np.arange(24) // 6
        pairs = groups[:, None] == groups
        counted = counted & pairs
    found = agreement_columns(CorrelatedMatrices([first, second], pairs=pairs))
    assert found["value"] == pytest.approx(correlation(first, second, counted))
    rng, relabelled = np.random.default_rng(0), []
    for _ in range(4000):
        order = rng.permutation(24)
        moved = first[np.ix_(order, order)]
        relabelled.append(correlation(moved, second, counted))
    assert np.mean(relabelled) == pytest.approx(0.0, abs=0.01)
    assert found["null_std"] == pytest.approx(np.std(relabelled), rel=0.05)
    assert found["z"] == pytest.approx(found["value"] / found["null_std"])


def test_agreement_columns_of_a_constant_matrix_are_missing():
    first, _, _ = csms()
    found = agreement_columns(CorrelatedMatrices([first, np.ones((12, 12))]))
    assert set(found.values()) == {None}
