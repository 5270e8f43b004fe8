"""Alignment by class and by group, against NumPy, against the whole SAI, and its null
against all permutations.
"""

from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dsi_cli.metrics.alignment import alignments
from dsi_cli.metrics.class_alignment import align_group, align_rows, standardize
from dsi_cli.metrics.measures import off_diagonal


def random_csm(rng, classes, *, symmetric=True):
    matrix = rng.normal(size=(classes, classes))
    matrix = matrix + matrix.T if symmetric else matrix
    np.fill_diagonal(matrix, 1.0)
    return matrix


def align_classes(a, b):
    pearson = align_rows(off_diagonal(a), off_diagonal(b))
    return pearson, standardize(pearson)


def without(row, place):
    return np.delete(row, place)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("classes", [3, 5, 40])
def test_a_class_is_the_correlation_of_its_rows(classes, symmetric):
    rng = np.random.default_rng(classes)
    a, b = (random_csm(rng, classes, symmetric=symmetric) for _ in range(2))
    pearson, _ = align_classes(a, b)
    expected = [
        np.corrcoef(without(a[i], i), without(b[i], i))[0, 1] for i in range(classes)
    ]
    assert_allclose(pearson, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "values", [[0.1, 0.4, 0.2, 0.9, 0.3], [1, 1, 2, 2, 2], [0, 0, 0, 0, 5]]
)
def test_the_null_of_a_class_is_that_of_all_pairings(values):
    """Mean 0 and deviation 1/sqrt(n - 1), ties or not: z is the value over the
    deviation of the enumerated null.
    """
    other = np.array([0.3, 0.3, 0.8, 0.1, 0.5])
    null = [np.corrcoef(np.array(order), other)[0, 1] for order in permutations(values)]
    assert np.mean(null) == pytest.approx(0, abs=1e-12)
    assert np.std(null) == pytest.approx(1 / np.sqrt(4))
    a, b = np.eye(6), np.eye(6)
    a[0, 1:], b[0, 1:] = values, other
    pearson, z = align_classes(a, b)
    assert z[0] == pytest.approx(pearson[0] / np.std(null))


def test_a_row_of_one_value_has_no_correlation():
    rng = np.random.default_rng(0)
    a, b = random_csm(rng, 6, symmetric=False), random_csm(rng, 6, symmetric=False)
    a[2], b[4] = 0.1, 0.7
    pearson, z = align_classes(a, b)
    assert_array_equal(np.flatnonzero(np.isnan(pearson)), [2, 4])
    assert_array_equal(np.isnan(pearson), np.isnan(z))


@pytest.mark.parametrize("classes", [8, 20])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_group_is_the_sai_of_its_classes(classes, symmetric):
    rng = np.random.default_rng(classes)
    a, b = random_csm(rng, classes, symmetric=symmetric), random_csm(rng, classes)
    whole = alignments(a, b, ["pearson"], draws=0)["pearson"]
    found = align_group(a, b)
    assert found.pearson == pytest.approx(whole.value)
    assert found.z == pytest.approx(whole.z)


@pytest.mark.parametrize("classes", [4, 5])
def test_the_null_of_a_group_is_that_of_all_relabellings(classes):
    rng = np.random.default_rng(classes)
    a, b = random_csm(rng, classes), random_csm(rng, classes).round()
    assert align_group(a, b).z == pytest.approx(
        alignments(a, b, ["pearson"])["pearson"].z
    )


def test_a_group_without_differences_has_no_alignment():
    a = random_csm(np.random.default_rng(0), 5)
    expected = (
        None,
        None,
        "all similarities within the group are the same, so there is no correlation",
    )
    assert align_group(a, np.full((5, 5), 0.25)) == expected


def test_a_group_in_which_every_relabelling_gives_the_same_has_no_z():
    """Rows of one value against a ring, in which all rows have the same sum."""
    rows = np.repeat(np.arange(5.0)[:, None], 5, axis=1)
    ring = np.roll(np.eye(5), 1, axis=1) + np.roll(np.eye(5), -1, axis=1)
    assert align_group(rows, ring) == (
        pytest.approx(0),
        None,
        "every relabelling gives the same value, so there is no z",
    )
