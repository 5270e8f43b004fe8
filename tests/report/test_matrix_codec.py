"""Packed matrices of the page, and block means."""

import numpy as np
import pytest
from helpers.packed_matrices import decode, unpack
from numpy.testing import assert_allclose

from dsi_cli.queries import matrices
from dsi_cli.report import matrix_codec
from dsi_cli.report.matrix_codec import LEVELS, QuantizationScale


@pytest.fixture
def matrix():
    values = np.random.default_rng(0).normal(0, 0.3, (17, 17)).astype(np.float32)
    np.fill_diagonal(values, 1)
    return values


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("symmetric", [True, False])
def test_unpack_returns_the_matrix_within_half_a_step(matrix, levels, symmetric):
    matrix = (matrix + matrix.T) / 2 if symmetric else matrix
    matrix[2, 5] = matrix[5, 2] = np.nan
    low, high = np.nanmin(matrix), np.nanmax(matrix[~np.eye(17, dtype=bool)])
    scale = QuantizationScale(float(low), float(high), levels)
    packed = matrix_codec.pack(
        scale.codes(matrix_codec.off_diagonal(matrix, symmetric=symmetric)), levels
    )
    values = iter(decode(scale, unpack(packed, levels)))
    for i in range(17):
        for j in range(i + 1 if symmetric else 0, 17):
            if i != j:
                assert_allclose(next(values), matrix[i, j], atol=scale.step / 2 * 1.001)
    assert next(values, None) is None


@pytest.mark.parametrize("blocks", [1, 4, 5, 8, 17])
@pytest.mark.parametrize("is_complete", [True, False])
def test_block_means_equal_a_slow_mean(matrix, blocks, is_complete):
    order = np.random.default_rng(1).permutation(17)
    starts = [k * 17 // blocks for k in range(blocks)]
    if not is_complete:
        matrix[3] = np.nan
    found = matrices.block_means(matrix, order, starts)
    edges = [*starts, 17]
    for a in range(blocks):
        for b in range(blocks):
            values = [
                matrix[row, column]
                for row in order[edges[a] : edges[a + 1]]
                for column in order[edges[b] : edges[b + 1]]
                if row != column and not np.isnan(matrix[row, column])
            ]
            assert_allclose(
                found[a, b],
                np.mean(values, dtype=float) if values else np.nan,
                atol=1e-6,
            )
