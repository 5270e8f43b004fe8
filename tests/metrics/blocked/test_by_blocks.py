"""What is computed by blocks of rows is what is computed of whole matrices."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from dsi_cli.metrics import DEFAULT_MEASURES, alignment, by_class, dissimilarity, weights
from dsi_cli.metrics.blocked import alignment as blocked
from dsi_cli.metrics.blocked import by_class as blocked_by_class
from dsi_cli.metrics.blocked import dissimilarity as blocked_dissimilarity
from dsi_cli.metrics.blocked import places, survey
from dsi_cli.metrics.blocked.walk import Walk, rows_within
from dsi_cli.similarity.blocks import Sparse, Whole
from dsi_cli.similarity.weights import weight_similarity

Matrix = npt.NDArray[np.float32]
WALK = Walk(7)
"""A number of rows that divides none of the sizes."""


def cosines(classes: int, seed: int = 0) -> Matrix:
    """Return an NCSM."""
    return weight_similarity(np.random.default_rng(seed).normal(size=(classes, 40)))


def tied(classes: int, seed: int = 1) -> Matrix:
    """Return a symmetric matrix of eight distinct values, as WordNet's are."""
    steps = np.random.default_rng(seed).integers(1, 9, size=(classes, classes))
    upper = np.triu((1 / (1 + steps)).astype(np.float32), 1)
    return upper + upper.T + np.eye(classes, dtype=np.float32)


def sparse(classes: int, seed: int = 2) -> Matrix:
    """Return a matrix that is not symmetric and mostly zero, as CCSMs are."""
    rng = np.random.default_rng(seed)
    matrix = (rng.random((classes, classes)) * (rng.random((classes, classes)) < 0.2)).astype(np.float32)
    np.fill_diagonal(matrix, 1.0)
    return matrix


MATRICES = {"cosines": cosines, "tied": tied, "sparse": sparse}


def require_same(found: Any, expected: Any, but: tuple[str, ...] = ()) -> None:
    """Make sure that two records hold the same, numbers to 1e-6."""
    for field in fields(expected):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if field.name in but:
            continue
        if isinstance(other, float):
            assert one == pytest.approx(other, rel=1e-6, abs=1e-6), field.name
        else:
            assert one == other, field.name


@pytest.mark.parametrize("classes", [12, 60])
@pytest.mark.parametrize(("first", "second"), [("cosines", "tied"), ("cosines", "sparse"), ("sparse", "tied")])
def test_alignments_are_those_of_the_whole_matrices(classes: int, first: str, second: str) -> None:
    a, b = MATRICES[first](classes), MATRICES[second](classes)
    order = np.random.default_rng(3).permutation(classes)
    expected = alignment.alignments(a, b, order=order, permutations=5, draws=30, seed=4)
    sides = (blocked.Side(Whole(one).take(order), WALK) for one in (a, b))
    found, _ = blocked.alignments(*sides, DEFAULT_MEASURES, WALK, order=order, permutations=5, draws=30, seed=4)
    assert list(found) == list(expected)
    for name in ("cosine", "mae", "mse", "pearson"):
        require_same(found[name], expected[name])
    for name in ("spearman", "ssim"):
        require_same(found[name], expected[name], ("low", "high", "reason"))
        assert (found[name].reason or "").endswith(blocked.NO_INTERVAL)


def test_without_draws_nothing_is_sampled_and_the_reasons_are_those_of_whole_matrices() -> None:
    a, b = cosines(300), tied(300)
    expected = alignment.alignments(a, b)
    found, _ = blocked.alignments(blocked.Side(Whole(a), WALK), blocked.Side(Whole(b), WALK), DEFAULT_MEASURES, WALK)
    for name in DEFAULT_MEASURES:
        require_same(found[name], expected[name])


def test_ranks_from_the_histogram_are_as_near_as_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = cosines(150), tied(150)
    expected = alignment.alignments(a, b, ["spearman", "mae"])
    monkeypatch.setattr(places, "EXACT", 0)
    found, _ = blocked.alignments(blocked.Side(Whole(a), WALK), blocked.Side(Whole(b), WALK), ["spearman", "mae"], WALK)
    for name in expected:
        for field in ("value", "null_mean", "excess", "ceiling", *(["null_std"] if name == "spearman" else [])):
            assert getattr(found[name], field) == pytest.approx(getattr(expected[name], field), rel=1e-6, abs=1e-6), field


@pytest.mark.parametrize(
    ("classes", "constant", "reason"),
    [
        (3, False, "3 classes in both matrices: an alignment needs 4 or more"),
        (20, True, "constant matrix: all off-diagonal"),
    ],
)
def test_why_there_is_no_alignment(classes: int, constant: bool, reason: str) -> None:
    other = np.full((classes, classes), 0.5, dtype=np.float32) if constant else tied(classes)
    sides = [blocked.Side(Whole(one), WALK) for one in (cosines(classes), other)]
    found, compared = blocked.alignments(*sides, ["cosine"], WALK)
    assert compared is None
    assert (found["cosine"].reason or "").startswith(reason)
    assert alignment.alignments(cosines(classes), other, ["cosine"])["cosine"] == found["cosine"]


def test_kendall_and_a_small_ssim_are_refused_with_the_reason() -> None:
    sides = [blocked.Side(Whole(one), WALK) for one in (cosines(11), tied(11))]
    found, _ = blocked.alignments(*sides, ["kendall", "ssim"], WALK)
    assert found["kendall"].reason == blocked.NO_KENDALL
    assert (found["ssim"].reason or "").startswith("ssim's window needs 12 classes or more, not 11")


def test_classes_and_groups_are_those_of_the_whole_matrices() -> None:
    a, b = cosines(40), tied(40)
    b[5, :], b[:, 5] = 0.25, 0.25
    sides = [blocked.Side(Whole(one), WALK) for one in (a, b)]
    _, compared = blocked.alignments(*sides, ["cosine"], WALK)
    assert compared is not None
    found = blocked_by_class.of_classes(sides[0].sums, sides[1].sums, compared.products)
    for one, other in zip(found, by_class.of_classes(a, b), strict=True):
        assert np.isnan(one[5])
        assert_allclose(one, other, rtol=1e-6, atol=1e-6)
    for size in (3, 4, 9):
        one, other = (
            blocked_by_class.of_group(Whole(a[:size, :size]), Whole(b[:size, :size]), WALK),
            by_class.of_group(a[:size, :size], b[:size, :size]),
        )
        assert one.reason == other.reason
        if other.pearson is not None:
            assert (one.pearson, one.z) == (pytest.approx(other.pearson, rel=1e-6), pytest.approx(other.z, rel=1e-6))


@pytest.mark.parametrize("kind", MATRICES)
def test_wsi_and_nearest_are_those_of_the_whole_matrix(kind: str) -> None:
    matrix = MATRICES[kind](50)
    found = survey.of(Whole(matrix), WALK, (0.95, 0.5), 6)
    assert found.mean_wsi == pytest.approx(weights.mean_wsi(matrix), abs=1e-12)
    for quantile in (0.95, 0.5):
        assert found.wsi["max", quantile] == pytest.approx(weights.max_wsi(matrix, quantile), abs=1e-12)
        assert found.wsi["min", quantile] == pytest.approx(weights.min_wsi(matrix, quantile), abs=1e-12)
    ranks = dissimilarity.similarity_ranks(matrix)
    assert found.nearest is not None
    off = np.where(np.eye(50, dtype=bool), -np.inf, matrix)
    assert_array_equal(found.nearest.neighbor, np.argsort(-off, axis=1, kind="stable")[:, :6])
    assert_array_equal(found.nearest.rank, np.take_along_axis(ranks, found.nearest.neighbor, axis=1))
    assert_array_equal(found.nearest.similarity, np.take_along_axis(matrix, found.nearest.neighbor, axis=1))


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("classes", [6, 45])
def test_idm_is_that_of_dense_counts(kind: str, classes: int) -> None:
    rng = np.random.default_rng(5)
    matrix = MATRICES[kind](classes)
    counts = rng.poisson(0.3, (classes, classes)) + np.diag(rng.integers(0, 4, classes))
    counts[3] = 0
    known = np.delete(np.arange(classes), 1)
    lacking = matrix.copy()
    lacking[1, :], lacking[:, 1] = np.nan, np.nan
    for one in (counts, np.diag(rng.integers(1, 4, classes)), np.zeros_like(counts)):
        expected = dissimilarity.idm(one, lacking)
        found = blocked_dissimilarity.idm(csr_array(one), Whole(matrix[np.ix_(known, known)]), known, WALK)
        for variant in dissimilarity.VARIANTS:
            require_same(found[variant], expected[variant])


def test_ranks_of_rows_are_the_mid_ranks() -> None:
    matrix = tied(23)
    matrix[2, 4], matrix[2, 5] = 0.0, -0.0
    found = np.concatenate([blocked_dissimilarity.doubled_ranks(matrix[at : at + 7], at) for at in range(0, 23, 7)])
    assert_array_equal(found / 2, dissimilarity.similarity_ranks(matrix))


def test_a_sparse_matrix_is_its_dense_one() -> None:
    matrix = sparse(30)
    rows = Sparse(csr_array(matrix)).take(np.arange(29, 3, -1))
    expected = matrix[3:][::-1, 3:][:, ::-1][:26, :26]
    assert_array_equal(rows.block(2, 9, 1), expected[2:9, 1:])
    assert_array_equal(rows.across(2, 9), expected[:, 2:9].T)


def test_rows_of_a_block_fit_the_budget() -> None:
    assert rows_within(4 << 30, 21_841, 2) == 256
    assert rows_within(1 << 30, 21_841, 2) == 189
    assert rows_within(1, 21_841, 2) == 16
