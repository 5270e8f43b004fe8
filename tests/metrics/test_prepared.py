"""The cache of a prepared matrix changes no number and is bounded."""

from __future__ import annotations

import numpy as np
import pytest

from dsi_cli.metrics import DEFAULT_MEASURES
from dsi_cli.metrics.alignment import MatrixPair
from dsi_cli.metrics.prepared import MAX_CACHED_BYTES, PreparedMatrix


@pytest.mark.parametrize("kind", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("cache_bytes", [MAX_CACHED_BYTES, 3000])
def test_alignments_with_a_prepared_matrix_equal_those_with_a_fresh_one(make_pair, kind, cache_bytes):
    (a, b), (other, _) = make_pair(kind, 14), make_pair("asymmetric", 14)
    order = np.random.default_rng(0).permutation(14)
    prepared = PreparedMatrix(b, cache_bytes)
    prepared.prepare()
    for first in (a, other, a):
        for draws, seed in ((200, 0), (30, 1)):
            options = (DEFAULT_MEASURES, 5, draws, seed)
            with_cache = MatrixPair(PreparedMatrix(first), prepared, order).alignments(*options)
            assert with_cache == MatrixPair(PreparedMatrix(first), PreparedMatrix(b), order).alignments(*options)


def test_cached_computes_arrays_once_while_there_is_space():
    matrix, calls = PreparedMatrix(np.eye(5), cache_bytes=100), []

    def compute() -> tuple[np.ndarray]:
        calls.append(len(calls))
        return (np.full(10, calls[-1], dtype=np.float64),)

    assert [matrix.cached("a", compute)[0][0] for _ in range(2)] == [0, 1]
    matrix.prepare()
    assert [matrix.cached(key, compute)[0][0] for key in ("a", "a", "b", "b")] == [2, 2, 3, 4]
