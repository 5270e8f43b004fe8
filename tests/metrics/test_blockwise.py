"""What is computed by blocks of rows is what is computed of whole matrices."""

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from dsi_cli.metrics import DEFAULT_MEASURES, alignment, class_alignment, idm, wsi
from dsi_cli.metrics.blockwise import (
    WHOLE_MATRICES,
    BlockMatrix,
    BlockWalk,
    DenseRows,
    block_statistics,
    idm_of,
    nearest_of_rows,
    pair_of,
    without_diagonal,
)
from dsi_cli.metrics.measures import off_diagonal
from dsi_cli.similarity import weight_similarity

Matrix = npt.NDArray[np.float32]
WALK = BlockWalk(7)
"""A number of rows that divides none of the sizes."""


def in_blocks(matrix: Matrix) -> BlockMatrix:
    """Return a matrix that is compared in blocks of rows."""
    return BlockMatrix(DenseRows(matrix), WALK)


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
    matrix = (
        rng.random((classes, classes)) * (rng.random((classes, classes)) < 0.2)
    ).astype(np.float32)
    np.fill_diagonal(matrix, 1.0)
    return matrix


MATRICES = {"cosines": cosines, "tied": tied, "sparse": sparse}


def require_same(found: Any, expected: Any, but: tuple[str, ...] = ()) -> None:
    """Make sure that two records hold the same, numbers to 1e-9; the p-value in blocks
    is that of the normal approximation.
    """
    for field in fields(expected):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if field.name in but:
            continue
        if field.name == "p_value" and other is not None:
            assert one == pytest.approx(other, abs=0.05)
        elif isinstance(other, float):
            assert one == pytest.approx(other, rel=1e-9, abs=1e-9), field.name
        else:
            assert one == other, field.name


@pytest.mark.parametrize("classes", [12, 60])
@pytest.mark.parametrize(
    ("first", "second"),
    [("cosines", "tied"), ("cosines", "sparse"), ("sparse", "tied")],
)
def test_alignments_are_those_of_the_whole_matrices_or_null_with_the_reason(
    classes: int, first: str, second: str
) -> None:
    a, b = MATRICES[first](classes), MATRICES[second](classes)
    expected = alignment.alignments(a, b, permutations=0, draws=0)
    pair = pair_of(in_blocks(a), in_blocks(b), np.arange(classes))
    found, agreement = (
        pair.alignments(DEFAULT_MEASURES, 0, 0, 0),
        pair.class_agreement(),
    )
    assert list(found) == list(expected)
    for name, entry in found.items():
        if name in ("cosine", "mse", "pearson"):
            require_same(
                entry, expected[name], ("ceiling", "p_value", "low", "high", "reason")
            )
            assert (entry.ceiling, entry.low, entry.high, entry.p_value) == (
                None,
                None,
                None,
                None,
            )
        else:
            assert (entry.value, entry.null_mean, entry.classes_used) == (
                None,
                None,
                classes,
            )
        assert (entry.reason or "").endswith(WHOLE_MATRICES)
    assert_allclose(
        agreement.pearson,
        class_alignment.align_rows(
            *(off_diagonal(csm.astype(np.float64)) for csm in (a, b))
        ),
        rtol=1e-9,
    )


@pytest.mark.parametrize("kind", MATRICES)
def test_wsi_and_nearest_are_those_of_the_whole_matrix(kind: str) -> None:
    matrix = MATRICES[kind](50)
    found = block_statistics(DenseRows(matrix), WALK, (0.95, 0.5), 6)
    nearest = nearest_of_rows(without_diagonal(matrix, 0), 6, 0)
    assert found.nearest is not None
    for name in ("neighbor", "rank", "value"):
        assert_array_equal(getattr(found.nearest, name), getattr(nearest, name))
    assert found.mean_wsi == pytest.approx(wsi.mean_wsi(matrix), abs=1e-12)
    for quantile in (0.95, 0.5):
        assert found.wsi["max", quantile] == pytest.approx(
            wsi.max_wsi(matrix, quantile), abs=1e-12
        )
        assert found.wsi["min", quantile] == pytest.approx(
            wsi.min_wsi(matrix, quantile), abs=1e-12
        )


@pytest.mark.parametrize("count", [1, 5, 19, 100])
def test_the_nearest_are_those_of_the_definition(count: int) -> None:
    matrix = tied(20)
    found = nearest_of_rows(without_diagonal(matrix, 0), count, 0)
    for i, row in enumerate(matrix):
        others = sorted((j for j in range(20) if j != i), key=lambda j: (-row[j], j))
        assert list(found.neighbor[i]) == others[:count]
        for k, j in enumerate(others[:count]):
            nearer = sum(row[one] > row[j] for one in others)
            level = sum(row[one] == row[j] for one in others)
            assert (found.rank[i, k], found.ties[i, k]) == (
                1 + nearer + (level - 1) / 2,
                level,
            )
            assert found.value[i, k] == row[j]


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("classes", [20, 45])
def test_idm_is_that_of_dense_counts(kind: str, classes: int) -> None:
    rng = np.random.default_rng(5)
    matrix = MATRICES[kind](classes)
    counts = rng.poisson(0.3, (classes, classes)) + np.diag(rng.integers(0, 4, classes))
    counts[3] = 0
    known = np.delete(np.arange(classes), 1)
    lacking = matrix.copy()
    lacking[1, :], lacking[:, 1] = np.nan, np.nan
    for one in (counts, np.diag(rng.integers(1, 4, classes)), np.zeros_like(counts)):
        expected = idm.idm(one, lacking)
        kept = known[one[known].sum(axis=1) > 0]
        square = np.ix_(kept, kept)
        found = idm_of(csr_array(one[square]), in_blocks(matrix[square]))
        for variant in idm.VARIANTS:
            require_same(found[variant], expected[variant])
