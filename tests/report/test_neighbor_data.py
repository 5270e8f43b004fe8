"""The nearest classes and closest pairs, against a slow sort of the matrix."""

import numpy as np
import pytest
from helpers.packed_matrices import decode, unpack
from numpy.testing import assert_allclose

from dsi_cli.report import matrix_codec
from dsi_cli.report.matrix_codec import LEVELS


@pytest.mark.parametrize("size", [2, 3, 12, 40])
@pytest.mark.parametrize("values", ["any", "tied", "missing"])
def test_pack_neighbors_equals_a_slow_sort(size, values):
    rng = np.random.default_rng(size)
    matrix = rng.uniform(-1, 1, (size, size)).astype(np.float32)
    matrix = np.triu(matrix, 1) + np.triu(matrix, 1).T
    matrix = matrix.round(1) if values == "tied" else matrix
    if values == "missing" and size > 3:
        matrix[1] = matrix[:, 1] = np.nan
    most = matrix_codec.neighbor_count(size)
    numbers = unpack(matrix_codec.pack_neighbors(matrix), LEVELS[0]).astype(int)
    near, codes, rest = np.split(numbers, [size * most, 2 * size * most])
    known = np.nan_to_num(matrix, nan=-9)
    for i in range(size):
        expected = sorted((j for j in range(size) if j != i), key=lambda j, i=i: (-known[i, j], j))[:most]
        assert near.reshape(size, most)[i].tolist() == expected
        assert_allclose(decode(matrix_codec.NEIGHBOR_SCALE, codes.reshape(size, most)[i]), matrix[i, expected], atol=2e-5)
    every = sorted(((i, j) for i in range(size) for j in range(i + 1, size)), key=lambda pair: (-known[pair], pair))
    first, second, similarity = rest.reshape(3, -1)
    expected = every[: matrix_codec.MAX_PAIRS]
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected
    assert_allclose(decode(matrix_codec.NEIGHBOR_SCALE, similarity), [matrix[pair] for pair in expected], atol=2e-5)
