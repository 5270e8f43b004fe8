"""The chance level: exact against full enumeration, sampled against the same draws, and
z on real data.
"""

import itertools

import numpy as np
import pytest
from helpers import oracles
from numpy.testing import assert_allclose
from scipy import stats

from dsi_cli.metrics import DISTANCES, MEASURES, permutation_null
from dsi_cli.metrics.alignment import alignments
from dsi_cli.metrics.measures import EXACT

ALL = MEASURES
KINDS = ("symmetric", "asymmetric", "tied")
# the measures whose null has an exact deviation
SUMS = (
    "cosine",
    "mse",
    "pearson",
    "spearman",
)
NULL = ("null_mean", "null_std")


def products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sum over i, j of x_ij y_p(i)p(j), for every relabelling p."""
    orders = np.array(list(itertools.permutations(range(len(x)))))
    values = np.zeros(len(orders))
    for i, j in itertools.permutations(range(len(x)), 2):
        values += x[i, j] * y[orders[:, i], orders[:, j]]
    return values


def all_values(a: np.ndarray, b: np.ndarray, measure: str) -> np.ndarray:
    """Every relabelling's value of a measure that is linear in the product."""
    count = len(a) * (len(a) - 1)
    x, y = oracles.scaled_square(a), oracles.scaled_square(b)
    if measure == "spearman":
        off = ~np.eye(len(a), dtype=bool)
        x[off], y[off] = stats.rankdata(a[off]), stats.rankdata(b[off])
    raw = products(x, y)
    if measure == "cosine":
        return raw / np.sqrt((x * x).sum() * (y * y).sum())
    if measure == "mse":
        return ((x * x).sum() + (y * y).sum() - 2 * raw) / count
    mean_x, mean_y = x.sum() / count, y.sum() / count
    spread = np.sqrt(
        ((x * x).sum() - count * mean_x**2) * ((y * y).sum() - count * mean_y**2)
    )
    return (raw - count * mean_x * mean_y) / spread


@pytest.mark.parametrize("measure", oracles.VALUE_MEASURES)
@pytest.mark.parametrize("classes", [4, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_null_and_p_value_equal_full_enumeration(make_pair, kind, classes, measure):
    a, b = make_pair(kind, classes)
    entry = alignments(a, b, [measure], draws=0)[measure]
    mean, std, p_value = oracles.null_by_enumeration(a, b, measure)
    assert_allclose(
        [entry.null_mean, entry.null_std, entry.p_value],
        [mean, std, p_value],
        rtol=1e-9,
        atol=1e-12,
    )


@pytest.mark.parametrize("classes", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("kind", [*KINDS, "tied-symmetric"])
def test_mantels_deviation_equals_full_enumeration(make_pair, kind, classes):
    a, b = (oracles.scaled_square(matrix) for matrix in make_pair(kind, classes))
    expected = products(a, b).std()
    for _ in range(2):
        moments = (permutation_null.Moments.of(matrix) for matrix in (a, b))
        assert_allclose(
            permutation_null.product_deviation(*moments), expected, rtol=1e-9
        )
        for matrix in (a, b):  # the diagonal plays no part
            np.fill_diagonal(matrix, 7.0)


@pytest.mark.parametrize("measure", SUMS)
@pytest.mark.parametrize("kind", KINDS)
def test_exact_null_equals_full_enumeration_at_8_classes(make_pair, kind, measure):
    a, b = make_pair(kind, 8)
    entry = alignments(a, b, [measure], draws=0)[measure]
    values = all_values(a, b, measure)
    assert_allclose(entry.value, values[0], rtol=1e-9)
    assert_allclose(
        [entry.null_mean, entry.null_std],
        [values.mean(), values.std()],
        rtol=1e-9,
        atol=1e-12,
    )
    similar = (
        values <= values[0] + 1e-12 if measure == "mse" else values >= values[0] - 1e-12
    )
    assert entry.p_value == pytest.approx(similar.mean(), rel=0.4)


@pytest.mark.parametrize("classes", [8, 30])
@pytest.mark.parametrize("kind", [*KINDS, "tied-symmetric"])
def test_maes_mean_equals_brute_force(make_pair, kind, classes):
    a, b = make_pair(kind, classes)
    assert_allclose(
        alignments(a, b, ["mae"], draws=0)["mae"].null_mean,
        oracles.null_mean_mae(a, b),
        rtol=1e-10,
    )


@pytest.mark.parametrize("kind", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("measure", ALL)
def test_permutations_equal_the_oracles_draw_for_draw(make_pair, kind, measure):
    a, b = make_pair(kind, 13)
    plain = alignments(a, b, [measure], draws=0, permutations=0)[measure]
    entry = alignments(a, b, [measure], draws=0, permutations=40, seed=5)[measure]
    values = oracles.sampled_null(
        *((b, a) if measure == "ssim" else (a, b)), measure, 40, seed=5
    )
    own = oracles.sai(a, b, measure)
    alike = (values <= own).sum() if measure in DISTANCES else (values >= own).sum()
    by_default = alignments(a, b, [measure], draws=0, seed=5)[measure].p_value
    assert entry.p_value == (
        by_default if measure in SUMS and not alike else (1 + alike) / 41
    )
    mean = values.mean() if plain.null_mean is None else plain.null_mean
    std = values.std(ddof=1) if plain.null_std is None else plain.null_std
    z = (own - mean) / std * (-1 if measure in DISTANCES else 1)
    assert_allclose(
        [entry.null_mean, entry.null_std, entry.z], [mean, std, z], rtol=1e-7
    )
    assert_allclose(entry.excess, oracles.excess(own, mean, measure), rtol=1e-7)
    sampled = {"mae": ("null_std",)}.get(measure, () if measure in EXACT else NULL)
    missing = {field for field in NULL if getattr(plain, field) is None}
    assert missing == set(sampled)


def test_ssims_null_is_40_relabellings_of_the_first_matrix_in_display_order_by_default(
    make_pair,
):
    a, b = make_pair("asymmetric", 13)
    order = np.random.default_rng(9).permutation(13)
    entry = alignments(a, b, ["ssim"], order=order, seed=3, draws=0)["ssim"]
    rng = np.random.default_rng(3)
    there = [rng.permutation(13)[order] for _ in range(40)]
    shown = b[np.ix_(order, order)]
    values = np.array(
        [oracles.sai(a[np.ix_(places, places)], shown, "ssim") for places in there]
    )
    assert_allclose(
        [entry.null_mean, entry.null_std],
        [np.mean(values), np.std(values, ddof=1)],
        rtol=1e-7,
    )
    assert entry.p_value == (1 + (values >= entry.value).sum()) / 41


def test_ssims_null_of_many_classes_shifts_each_random_order(make_pair):
    a, b = make_pair("asymmetric", 60)
    order = np.random.default_rng(9).permutation(60)
    entry = alignments(a, b, ["ssim"], order=order, permutations=23, seed=3)["ssim"]
    rng = np.random.default_rng(3)
    drawn = [rng.permutation(60)[order] for _ in range(3)]
    shown = b[np.ix_(order, order)]
    relabelled = [
        np.roll(places, -shift) for shift in range(0, 40, 4) for places in drawn
    ][:23]
    values = [
        oracles.sai(a[np.ix_(places, places)], shown, "ssim") for places in relabelled
    ]
    assert entry.null_mean == pytest.approx(np.mean(values), abs=0.2 * np.std(values))
    assert entry.null_std == pytest.approx(np.std(values, ddof=1), rel=0.2)


def test_ssims_null_by_default_is_within_the_sampling_error_of_its_relabellings(
    make_pair,
):
    a, b = make_pair("symmetric", 100)
    precise = alignments(a, b, ["ssim"], permutations=2000)["ssim"]
    defaults = [alignments(a, b, ["ssim"], seed=seed)["ssim"] for seed in range(1, 25)]
    errors = [entry.null_mean - precise.null_mean for entry in defaults]
    # The mean of 40 relabellings, shifted or not, has this standard error.
    standard_error = precise.null_std / np.sqrt(40)
    assert np.abs(errors).max() < 4 * standard_error
    assert np.std(errors) < 1.5 * standard_error
    deviations = [entry.null_std for entry in defaults]
    assert_allclose(deviations, precise.null_std, rtol=0.5)
    assert np.mean(deviations) == pytest.approx(precise.null_std, rel=0.1)


def test_null_of_one_permutation_has_no_deviation(make_pair):
    a, b = make_pair("asymmetric", 13)
    entry = alignments(a, b, ["kendall"], permutations=1)["kendall"]
    assert (entry.null_mean is None, entry.null_std, entry.z) == (False, None, None)
    assert (
        "the deviation of this measure's chance level needs --permutations"
        in entry.reason
    )
