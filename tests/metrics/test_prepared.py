"""A prepared matrix changes no number."""

from __future__ import annotations

import numpy as np
import pytest

from dsi_cli.metrics import DEFAULT_MEASURES
from dsi_cli.metrics.alignment import MatrixPair
from dsi_cli.metrics.prepared import PreparedMatrix


@pytest.mark.parametrize("kind", ["symmetric", "asymmetric"])
def test_alignments_with_a_prepared_matrix_equal_those_with_a_fresh_one(make_pair, kind):
    (a, b), (other, _) = make_pair(kind, 14), make_pair("asymmetric", 14)
    order = np.random.default_rng(0).permutation(14)
    prepared = PreparedMatrix(b)
    prepared.prepare()
    for first in (a, other, a):
        options = (DEFAULT_MEASURES, 5, 1, 0)
        with_prepared = MatrixPair(PreparedMatrix(first), prepared, order).alignments(*options)
        assert with_prepared == MatrixPair(PreparedMatrix(first), PreparedMatrix(b), order).alignments(*options)
