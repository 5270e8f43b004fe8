"""Products on a device are those of NumPy, and what a device cannot do is told. A GPU's are the same code on another device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.evaluation.products import Products
from dsi_cli.pipeline import heads
from dsi_cli.similarity.blocks import Cosines

WEIGHT = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
def test_a_matrix_by_rows_is_the_same(device):
    here, there = (Cosines.of(WEIGHT, on=on) for on in (None, lambda unit: Products(unit, device)))
    some, others = np.array([5, 2, 39]), np.array([2, 0])
    for matrices in ((here, there), (here.take(some), there.take(some))):
        ours, theirs = (one.block(0, 3, 1) for one in matrices)
        assert theirs.dtype == np.float32
        assert_allclose(theirs, ours, atol=1e-6)
    assert_allclose(there.between(some, others), here.between(some, others), atol=1e-6)
    assert_array_equal(np.diagonal(there.block(0, 40)), 1.0)


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_the_processor_needs_no_torch(device):
    assert heads.multiplier(device) is None


def test_a_device_that_is_not_there():
    with pytest.raises(UsageError, match=r"--device warp:9 is not there: .*; try auto or cpu"):
        heads.multiplier("warp:9")


def test_a_device_without_room(monkeypatch):
    def full(*_args):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate much")

    products = Products(WEIGHT, "cpu")
    monkeypatch.setattr(torch.Tensor, "__matmul__", full)
    with pytest.raises(UsageError, match=r"--device cpu cannot multiply here: CUDA out of memory\.; try cpu"):
        products(slice(0, 3), slice(0, 3))
