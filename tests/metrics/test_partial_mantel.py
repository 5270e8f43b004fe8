"""The partial Mantel correlation against the textbook's formula, and its null against
all relabellings.
"""

from itertools import permutations

import numpy as np
import pytest

from dsi_cli.metrics.partial_mantel import NAME, partial_mantel, residual_matrix


def three(classes, seed=0):
    rng = np.random.default_rng([classes, seed])
    common, *own = (np.corrcoef(rng.normal(size=(classes, 9))) for _ in range(4))
    return [common + matrix for matrix in own]


def off(matrix):
    return matrix[~np.eye(len(matrix), dtype=bool)]


@pytest.mark.parametrize("classes", [5, 12, 40])
def test_partial_mantel_equals_the_formula(classes):
    a, b, given = three(classes)
    ab, ag, bg = (
        np.corrcoef(off(x), off(y))[0, 1] for x, y in ((a, b), (a, given), (b, given))
    )
    expected = (ab - ag * bg) / np.sqrt((1 - ag**2) * (1 - bg**2))
    found = partial_mantel(a, b, given)
    assert (found.measure, found.value, found.classes_used) == (
        NAME,
        pytest.approx(expected),
        classes,
    )


def test_the_null_is_that_of_all_relabellings_of_a_residual():
    """Eight classes are more than are enumerated: there the moments stand in."""
    a, b, given = three(8)
    x, y = residual_matrix(a, given), residual_matrix(b, given)
    orders = np.array(list(permutations(range(8))))
    centred = np.where(np.eye(8) > 0, 0, x - off(x).mean())
    null = (centred * y[orders[:, :, None], orders[:, None]]).sum(axis=(1, 2)) / (
        56 * off(x).std() * off(y).std()
    )
    found = partial_mantel(a, b, given)
    assert (found.null_mean, found.null_std) == (
        pytest.approx(np.mean(null), abs=1e-9),
        pytest.approx(np.std(null)),
    )
    assert found.z == pytest.approx(found.value / np.std(null))


def test_partial_mantel_removes_a_common_cause():
    rng = np.random.default_rng(0)
    looks = np.corrcoef(rng.normal(size=(60, 9)))
    a, b = (looks + 0.5 * np.corrcoef(rng.normal(size=(60, 9))) for _ in range(2))
    assert np.corrcoef(off(a), off(b))[0, 1] > 0.6
    assert abs(partial_mantel(a, b, looks).value) < 0.1


def test_partial_mantel_given_a_constant_matrix_is_the_plain_correlation():
    a, b, _ = three(12)
    assert partial_mantel(a, b, np.full((12, 12), 0.3)).value == pytest.approx(
        np.corrcoef(off(a), off(b))[0, 1]
    )


@pytest.mark.parametrize("place", [0, 1])
def test_partial_mantel_of_a_matrix_that_the_given_one_explains_has_no_value(place):
    a, b, given = three(12)
    pair = [a, b]
    pair[place] = 3 * given - 0.7
    found = partial_mantel(*pair, given)
    assert found.value is None
    assert found.reason == "the given matrix explains one of the two: nothing remains"


def test_the_interval_holds_the_value_and_scaling_changes_nothing():
    a, b, given = three(30)
    found = partial_mantel(a, b, given)
    assert found.low < found.value < found.high
    again = partial_mantel(2 * a + 1, 0.5 * b, 7 * given - 3)
    assert (again.value, again.z) == (
        pytest.approx(found.value),
        pytest.approx(found.z),
    )
